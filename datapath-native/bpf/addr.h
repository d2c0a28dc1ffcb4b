/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Addresses: 16 bytes, IPv4 as ::ffff:a.b.c.d.
 */
#pragma once
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define V4_PREFIX bpf_htonl(0xffff)

static __always_inline void addr_from_v4(struct weft_addr *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = V4_PREFIX;
	a->w[3] = v4;
}

static __always_inline int addr_is_v4(const struct weft_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == V4_PREFIX;
}

static __always_inline int addr_is_zero(const struct weft_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static __always_inline int addr_equal(const struct weft_addr *a, const struct weft_addr *b)
{
	return !((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3]));
}

/* Any total order does; the last word differs first between addresses of one network. */
static __always_inline int addr_less(const struct weft_addr *a, const struct weft_addr *b)
{
	if (a->w[3] != b->w[3])
		return a->w[3] < b->w[3];
	if (a->w[2] != b->w[2])
		return a->w[2] < b->w[2];
	if (a->w[1] != b->w[1])
		return a->w[1] < b->w[1];
	return a->w[0] < b->w[0];
}

static __always_inline int addr_is_multicast(const struct weft_addr *a)
{
	if (addr_is_v4(a))
		return (a->b[12] & 0xf0) == 0xe0 || a->w[3] == bpf_htonl(0xffffffff);
	return a->b[0] == 0xff;
}

static __always_inline int addr_is_link_local_v6(const struct weft_addr *a)
{
	return (a->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* Mixes an address into 64 bits: clients outside have no socket that could name them. */
static __always_inline __u64 addr_hash(const struct weft_addr *a)
{
	__u64 h = ((__u64)a->w[0] << 32 | a->w[1]) * 0x9e3779b97f4a7c15ULL;

	h ^= ((__u64)a->w[2] << 32 | a->w[3]) * 0xc2b2ae3d27d4eb4fULL;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ULL;
	return h ^ h >> 32;
}
