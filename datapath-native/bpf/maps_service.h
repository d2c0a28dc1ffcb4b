/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Maps and configuration that packets and sockets share. Sizes are defaults; the loader may change them.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include "layout.h"
#include <bpf/bpf_helpers.h>

const volatile struct weft_config config;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_address_key);
	__type(value, struct weft_address);
} weft_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_service_key);
	__type(value, struct weft_service);
} weft_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_backend_key);
	__type(value, struct weft_backend);
} weft_backends SEC(".maps");

struct weft_maglev_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP); /* tables differ in size */
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__array(values, struct weft_maglev_table);
} weft_maglev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_affinity_key);
	__type(value, struct weft_affinity);
} weft_affinity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_sk_reverse_key);
	__type(value, struct weft_sk_reverse);
} weft_sk_reverse SEC(".maps");
