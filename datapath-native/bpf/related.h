/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * ICMP errors: found by the head of the packet that caused them, delivered to its sender.
 */
#pragma once
#include "established.h"

#define ICMP_HEADER 8

/* The embedded packet's addresses and ports. Extension headers inside are not followed. */
static __always_inline int parse_inner(struct __sk_buff *skb, const struct packet *p, struct packet *inner)
{
	__u32 off = p->l4 + ICMP_HEADER;
	__be16 ports[4];

	inner->family = p->family;
	if (p->family == 4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return REASON_MALFORMED;
		addr_from_v4(&inner->src, ip.saddr);
		addr_from_v4(&inner->dst, ip.daddr);
		inner->proto = ip.protocol;
		off += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.version != 6)
			return REASON_MALFORMED;
		__builtin_memcpy(&inner->src, &ip.saddr, 16);
		__builtin_memcpy(&inner->dst, &ip.daddr, 16);
		inner->proto = ip.nexthdr;
		off += sizeof(ip);
	}
	inner->l4 = off;
	if (bpf_skb_load_bytes(skb, off, ports, sizeof(ports)))
		return REASON_MALFORMED;
	inner->sport = is_icmp(inner) ? ports[2] : ports[0];
	inner->dport = is_icmp(inner) ? ports[2] : ports[1];
	return 0;
}

/* The client of a frontend must recognise its own packet: the embedded destination becomes the frontend. In IPv4 the
 * embedded header's checksum balances the address, so the ICMP checksum sees the port only. */
static __always_inline int translate_inner(struct __sk_buff *skb, const struct packet *p, const struct packet *inner,
					   const struct weft_conn *conn)
{
	struct weft_addr old = inner->dst, new = conn->frontend;
	__u32 ip = p->l4 + ICMP_HEADER, check = p->l4 + 2;
	__be16 port = conn->frontend_port;
	__s64 diff;

	if (p->family == 4) {
		if (bpf_l3_csum_replace(skb, ip + offsetof(struct iphdr, check), old.w[3], new.w[3], 4) ||
		    bpf_skb_store_bytes(skb, ip + offsetof(struct iphdr, daddr), &new.w[3], 4, 0))
			return -1;
	} else {
		diff = bpf_csum_diff((void *)old.w, 16, (void *)new.w, 16, 0);
		if (diff < 0 || bpf_l4_csum_replace(skb, check, 0, diff, 0) ||
		    bpf_skb_store_bytes(skb, ip + offsetof(struct ipv6hdr, daddr), &new, 16, 0))
			return -1;
	}
	if (bpf_l4_csum_replace(skb, check, inner->dport, port, 2))
		return -1;
	return bpf_skb_store_bytes(skb, inner->l4 + 2, &port, 2, 0);
}

/* The program's verdict for an ICMP error. elsewhere: the packet isn't for a pod of this node, so it is none of our
 * business unless it is about a translated connection. */
__noinline int related(struct __sk_buff *skb, struct packet *p, int elsewhere)
{
	struct packet inner = {};
	struct weft_tuple key;
	struct weft_conn *conn;

	if (!p)
		return TC_ACT_SHOT;
	inner.hook = p->hook;
	if (parse_inner(skb, p, &inner))
		return elsewhere ? pass(skb) : drop(skb, p, 0, REASON_MALFORMED);
	conn = conn_lookup(&inner, &key);
	if (!conn && inner.proto == IPPROTO_TCP && (is_proxy_port(inner.sport) || is_proxy_port(inner.dport))) {
		inner.leg = 1;
		conn = conn_lookup(&inner, &key);
	}
	/* A pod may complain about packets that were sent to it, and to their sender, only. */
	if (!conn || conn->flags & CONN_REVOKED || !addr_equal(&inner.src, &p->dst) ||
	    (p->hook == HOOK_FROM_POD && !addr_equal(&inner.dst, &p->src)))
		return elsewhere ? pass(skb) : drop(skb, p, 0, REASON_INVALID);
	p->reply = !inner.reply;
	if (elsewhere && !(p->reply && conn->flags & CONN_NAT))
		return pass(skb);
	if (check_hops(p, receiver(p, conn)))
		return drop(skb, p, conn, REASON_TTL);
	count(skb, REASON_RELATED);
	if (p->reply && conn->flags & CONN_NAT) {
		struct weft_addr old = p->src, new = conn->frontend;

		if (translate_inner(skb, p, &inner, conn) ||
		    (addr_equal(&old, &inner.dst) && write_addr(skb, p, 1, &old, &new)))
			return drop(skb, p, conn, REASON_MALFORMED);
	}
	return deliver(skb, p, conn);
}
