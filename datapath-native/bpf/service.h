/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * From a Service's frontend to one of its backends; for packets and sockets alike.
 */
#pragma once
#include "addr.h"
#include "maps_service.h"

#define NSEC_PER_SEC 1000000000ULL

/* Who asks for what. */
struct request {
	struct weft_service_key key;
	__u64 client;	/* one value a client; see weft_affinity */
	__u64 flow;	/* nonzero: remember the choice for this one, even without affinity */
};

static __always_inline struct weft_service *service_lookup(const struct weft_service_key *key)
{
	return bpf_map_lookup_elem(&weft_services, key);
}

static __always_inline int backend_equal(const struct weft_backend *a, const struct weft_backend *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

struct member_search {
	struct weft_backend_key key;
	const struct weft_backend *wanted;
	int found;
};

static long member_step(__u32 i, struct member_search *s)
{
	struct weft_backend *b;

	s->key.index = i;
	b = bpf_map_lookup_elem(&weft_backends, &s->key);
	s->found = b && backend_equal(b, s->wanted);
	return s->found;
}

/* Backend sets are named by content, so a remembered backend must be looked for in the present one. */
__noinline int is_member(const struct weft_service *svc, const struct weft_backend *wanted)
{
	struct member_search s = {.wanted = wanted};

	if (!svc || !wanted)
		return 0;
	s.key.set = svc->backends;
	bpf_loop(svc->count, member_step, &s, 0);
	return s.found;
}

static __always_inline __u32 maglev_index(const struct weft_service *svc, __u64 hash)
{
	__u64 set = svc->backends;
	void *table = bpf_map_lookup_elem(&weft_maglev, &set);
	__u32 i = hash % svc->maglev_size, *index;

	index = table ? bpf_map_lookup_elem(table, &i) : 0;
	return index && *index < svc->count ? *index : hash % svc->count;
}

static __always_inline void affinity_key(struct weft_affinity_key *key, const struct request *r,
					 const struct weft_service *svc)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client = r->flow ? r->flow : r->client;
	key->service = svc->service;
	key->port = r->key.port;
	key->proto = r->key.proto;
	key->family = r->key.family;
}

static __noinline void remember(const struct weft_affinity_key *key, const struct weft_backend *backend)
{
	struct weft_affinity value = {.used_ns = bpf_ktime_get_ns()};

	value.backend = *backend;
	bpf_map_update_elem(&weft_affinity, key, &value, BPF_ANY);
}

/* 0 and *out, or negative if the set has no such member (the loader is about to swap it). svc->count is not 0.
 * With Maglev and affinity the client alone decides, so every node chooses the same. */
__noinline int choose_backend(const struct request *r, const struct weft_service *svc, struct weft_backend *out)
{
	struct weft_backend_key bk = {};
	__u64 now = bpf_ktime_get_ns(), ttl;
	struct weft_affinity_key ak;
	struct weft_backend *b;
	int maglev, sticky;

	if (!r || !svc || !out)
		return -1;
	maglev = svc->flags & SERVICE_MAGLEV && svc->maglev_size;
	sticky = !maglev && (svc->affinity_s || r->flow);
	ttl = (svc->affinity_s ? svc->affinity_s : 120) * NSEC_PER_SEC;
	bk.set = svc->backends;
	if (sticky) {
		struct weft_affinity *a;

		affinity_key(&ak, r, svc);
		a = bpf_map_lookup_elem(&weft_affinity, &ak);
		if (a && now - a->used_ns < ttl && is_member(svc, &a->backend)) {
			a->used_ns = now;
			*out = a->backend;
			return 0;
		}
	}
	if (maglev)
		bk.index = maglev_index(svc, svc->affinity_s ? r->client : (__u64)bpf_get_prandom_u32() << 8);
	else
		bk.index = bpf_get_prandom_u32() % (svc->count ? svc->count : 1);
	b = bpf_map_lookup_elem(&weft_backends, &bk);
	if (!b)
		return -1;
	*out = *b;
	if (sticky)
		remember(&ak, b);
	return 0;
}
