/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Writing to packets: translation of one end, hop limit, Ethernet header.
 */
#pragma once
#include "events.h"

#define IPV4_OFF(field) (ETH_HLEN + offsetof(struct iphdr, field))
#define IPV6_OFF(field) (ETH_HLEN + offsetof(struct ipv6hdr, field))

static __always_inline int checksum_offset(const struct packet *p)
{
	if (p->fragment == FRAGMENT_LATER)
		return 0;
	if (p->proto == IPPROTO_TCP)
		return p->l4 + offsetof(struct tcphdr, check);
	if (p->proto == IPPROTO_UDP)
		return p->l4 + offsetof(struct udphdr, check);
	return p->proto == IPPROTO_ICMPV6 ? p->l4 + 2 : 0;
}

/* Store and checksum flags as the kernel wants them: an IPv4 address is balanced by the header's own checksum in
 * skb->csum, an IPv6 address is not, so that store must tell (RECOMPUTE). */
static __always_inline int write_addr(struct __sk_buff *skb, const struct packet *p, int source,
				      const struct weft_addr *old, const struct weft_addr *new)
{
	__u64 udp = p->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	int check = checksum_offset(p);
	__u32 off;
	__s64 diff;

	if (p->family == 4) {
		off = source ? IPV4_OFF(saddr) : IPV4_OFF(daddr);
		if (bpf_l3_csum_replace(skb, IPV4_OFF(check), old->w[3], new->w[3], 4) ||
		    bpf_skb_store_bytes(skb, off, &new->w[3], 4, 0))
			return -1;
		return check ? bpf_l4_csum_replace(skb, check, old->w[3], new->w[3], 4 | BPF_F_PSEUDO_HDR | udp) : 0;
	}
	off = source ? IPV6_OFF(saddr) : IPV6_OFF(daddr);
	diff = bpf_csum_diff((void *)old->w, 16, (void *)new->w, 16, 0);
	if (diff < 0 || bpf_skb_store_bytes(skb, off, new, 16, BPF_F_RECOMPUTE_CSUM))
		return -1;
	return check ? bpf_l4_csum_replace(skb, check, 0, diff, BPF_F_PSEUDO_HDR | udp) : 0;
}

static __always_inline int write_port(struct __sk_buff *skb, const struct packet *p, int source, __be16 old,
				      __be16 new)
{
	__u64 udp = p->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	int check = checksum_offset(p);

	if (p->fragment == FRAGMENT_LATER || old == new)
		return 0;
	if (check && bpf_l4_csum_replace(skb, check, old, new, 2 | udp))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4 + (source ? 0 : 2), &new, 2, 0);
}

/* Gives one end of a TCP or UDP packet another address and port, in *p too. */
__noinline int translate_end(struct __sk_buff *skb, struct packet *p, int source, const struct weft_addr *addr,
				    __be16 port)
{
	struct weft_addr *end, new;
	__be16 *end_port;

	if (!p || !addr)
		return REASON_MALFORMED;
	new = *addr;
	end = source ? &p->src : &p->dst;
	end_port = source ? &p->sport : &p->dport;
	if (write_addr(skb, p, source, end, &new) || write_port(skb, p, source, *end_port, port))
		return REASON_MALFORMED;
	*end = new;
	*end_port = port;
	return 0;
}

/* One hop less; REASON_TTL if none is left. */
static __always_inline int decrement_ttl(struct __sk_buff *skb, const struct packet *p)
{
	__be16 old, new;
	__u8 ttl;

	if (p->family == 6) {
		if (bpf_skb_load_bytes(skb, IPV6_OFF(hop_limit), &ttl, 1) || ttl <= 1)
			return REASON_TTL;
		ttl--;
		return bpf_skb_store_bytes(skb, IPV6_OFF(hop_limit), &ttl, 1, BPF_F_RECOMPUTE_CSUM) ? REASON_MALFORMED : 0;
	}
	if (bpf_skb_load_bytes(skb, IPV4_OFF(ttl), &old, 2) || (bpf_ntohs(old) >> 8) <= 1)
		return REASON_TTL;
	new = bpf_htons(bpf_ntohs(old) - 0x100);
	if (bpf_l3_csum_replace(skb, IPV4_OFF(check), old, new, 2) ||
	    bpf_skb_store_bytes(skb, IPV4_OFF(ttl), &new, 2, 0))
		return REASON_MALFORMED;
	return 0;
}

struct macs {
	__u8 dst[6];
	__u8 src[6];
};

static __always_inline int write_macs(struct __sk_buff *skb, const struct macs *m)
{
	return bpf_skb_store_bytes(skb, 0, m, sizeof(*m), 0);
}
