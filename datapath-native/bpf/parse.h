/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * From a socket buffer to a struct packet: addresses, ports, and what else verdicts need.
 */
#pragma once
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/pkt_cls.h>
#include "maps.h"
#include "addr.h"

#ifndef IPPROTO_ICMPV6
#define IPPROTO_ICMPV6 58
#endif
#define IPPROTO_SCTP_ 132
#define ICMP_ECHOREPLY 0 /* <linux/icmp.h> needs a C library */
#define ICMP_DEST_UNREACH 3
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST 60
#define MAX_EXTENSION_HEADERS 4

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

/* Functions that are not static are verified once, not once a call: their pointers may be null as far as the verifier
 * knows, hence the checks. */

/* HOOK_FROM_PROXY: what a proxy pod sends with an address that is not its own. */
enum hook { HOOK_FROM_POD, HOOK_TO_POD, HOOK_FROM_UNDERLAY, HOOK_FROM_PROXY };
enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

struct packet {
	struct weft_addr src;
	struct weft_addr dst;
	struct weft_addr frontend; /* the Service address that dst was translated from */
	__be16 sport;
	__be16 dport;
	__be16 frontend_port;
	__u16 l4;    /* offset of the transport header */
	__u8 proto;
	__u8 family; /* 4 or 6 */
	__u8 tcp_flags;
	__u8 fragment;
	__u8 icmp_type;
	__u8 translated;
	__u8 hook;
	__u8 reply;
	__u8 dir;    /* whose verdict */
	__u8 ttl;
	__u8 leg;   /* of the connection's key; see open.h */
	__u8 stage; /* enum stage, of packets that Envoy sends */
	__be16 routed; /* not 0: to a Service that Envoy routes, behind this listener */
	__u8 pad[2];
	__u32 slot;  /* of the pod whose device this is, SLOT_NONE on the underlay */
};

static __always_inline int is_icmp(const struct packet *p)
{
	return p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
}

static __always_inline int is_icmp_echo_request(const struct packet *p)
{
	return (p->proto == IPPROTO_ICMP && p->icmp_type == ICMP_ECHO) ||
	       (p->proto == IPPROTO_ICMPV6 && p->icmp_type == ICMPV6_ECHO_REQUEST);
}

static __always_inline int is_icmp_echo(const struct packet *p)
{
	return is_icmp_echo_request(p) || (p->proto == IPPROTO_ICMP && p->icmp_type == ICMP_ECHOREPLY) ||
	       (p->proto == IPPROTO_ICMPV6 && p->icmp_type == ICMPV6_ECHO_REPLY);
}

/* Carries the head of the packet that caused it (RFC 792, RFC 4443). */
static __always_inline int is_icmp_error(const struct packet *p)
{
	if (p->proto == IPPROTO_ICMP)
		return p->icmp_type == ICMP_DEST_UNREACH || p->icmp_type == ICMP_TIME_EXCEEDED ||
		       p->icmp_type == ICMP_PARAMETERPROB;
	return p->proto == IPPROTO_ICMPV6 && p->icmp_type >= ICMPV6_DEST_UNREACH && p->icmp_type <= ICMPV6_PARAMPROB;
}

/* Neighbour discovery and multicast listeners between a pod and its host device: router solicitation, neighbour
 * solicitation and advertisement, MLD. */
static __always_inline int is_neighbour_discovery(const struct packet *p)
{
	return p->proto == IPPROTO_ICMPV6 && (p->icmp_type == 133 || p->icmp_type == 135 || p->icmp_type == 136 ||
					      p->icmp_type == 131 || p->icmp_type == 132 || p->icmp_type == 143);
}

/* The first fragment has the ports, later ones find them here. One that overtakes the first is dropped. */
static __always_inline int parse_fragment(struct packet *p, __be32 id)
{
	struct weft_fragment_key key = {.id = id, .proto = p->proto};
	struct weft_fragment *known;

	key.src = p->src;
	key.dst = p->dst;
	if (p->fragment == FRAGMENT_FIRST) {
		struct weft_fragment value = {.sport = p->sport, .dport = p->dport, .icmp_type = p->icmp_type};

		return bpf_map_update_elem(&weft_frags, &key, &value, BPF_ANY) ? REASON_MAP_FULL : 0;
	}
	known = bpf_map_lookup_elem(&weft_frags, &key);
	if (!known)
		return REASON_UNSUPPORTED;
	p->sport = known->sport;
	p->dport = known->dport;
	p->icmp_type = known->icmp_type;
	return 0;
}

static __always_inline int parse_transport(struct __sk_buff *skb, struct packet *p)
{
	union {
		__u8 b[16];
		__be16 h[8];
	} l4 = {};

	switch (p->proto) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, p->l4, &l4, 14) || l4.b[12] >> 4 < 5)
			return REASON_MALFORMED;
		p->tcp_flags = l4.b[13];
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP_:
		if (bpf_skb_load_bytes(skb, p->l4, &l4, 8))
			return REASON_MALFORMED;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (bpf_skb_load_bytes(skb, p->l4, &l4, 8) || (p->proto == IPPROTO_ICMP) != (p->family == 4))
			return REASON_MALFORMED;
		p->icmp_type = l4.b[0];
		if (is_icmp_echo(p))
			p->sport = p->dport = l4.h[2];
		return 0;
	default:
		return REASON_UNSUPPORTED;
	}
	p->sport = l4.h[0];
	p->dport = l4.h[1];
	return 0;
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct packet *p, __be32 *id)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return REASON_MALFORMED;
	p->family = 4;
	addr_from_v4(&p->src, ip.saddr);
	addr_from_v4(&p->dst, ip.daddr);
	p->proto = ip.protocol;
	p->l4 = ETH_HLEN + sizeof(ip);
	p->ttl = ip.ttl;
	*id = ip.id;
	if (bpf_ntohs(ip.tot_len) + ETH_HLEN > (int)skb->len)
		return REASON_MALFORMED;
	if (ip.ihl > 5) /* options are not carried: a source route changes the destination after the verdict */
		return REASON_UNSUPPORTED;
	if (ip.frag_off & bpf_htons(0x1fff))
		p->fragment = FRAGMENT_LATER;
	else if (ip.frag_off & bpf_htons(0x2000))
		p->fragment = FRAGMENT_FIRST;
	return 0;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct packet *p, __be32 *id)
{
	struct ipv6hdr ip;
	__u8 next;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 6)
		return REASON_MALFORMED;
	p->family = 6;
	__builtin_memcpy(&p->src, &ip.saddr, sizeof(p->src));
	__builtin_memcpy(&p->dst, &ip.daddr, sizeof(p->dst));
	p->l4 = ETH_HLEN + sizeof(ip);
	p->ttl = ip.hop_limit;
	if (addr_is_v4(&p->src) || addr_is_v4(&p->dst)) /* RFC 4291 2.5.5.2: never on the wire; would pass for IPv4 */
		return REASON_MALFORMED;
	if (bpf_ntohs(ip.payload_len) + p->l4 > (int)skb->len)
		return REASON_MALFORMED;
	next = ip.nexthdr;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		__u8 ext[8];

		if (next != NEXTHDR_HOP && next != NEXTHDR_DEST && next != NEXTHDR_FRAGMENT)
			break;
		if (p->fragment == FRAGMENT_LATER)
			break;
		if (bpf_skb_load_bytes(skb, p->l4, ext, sizeof(ext)))
			return REASON_MALFORMED;
		if (next == NEXTHDR_FRAGMENT) {
			if ((ext[2] << 8 | ext[3]) & 0xfff8)
				p->fragment = FRAGMENT_LATER;
			else if (ext[3] & 1)
				p->fragment = FRAGMENT_FIRST;
			__builtin_memcpy(id, ext + 4, sizeof(*id));
			p->l4 += 8;
		} else {
			p->l4 += 8 + ext[1] * 8;
		}
		next = ext[0];
	}
	p->proto = next; /* a routing header is not carried: it could change the destination after the verdict */
	return 0;
}

/* 0 or the reason to drop. The caller has cleared *p; it has addresses as soon as there is an IP header. */
__noinline int parse(struct __sk_buff *skb, struct packet *p)
{
	__be32 id = 0;
	int reason;

	if (!p)
		return REASON_MALFORMED;
	reason = skb->protocol == bpf_htons(ETH_P_IP) ? parse_ipv4(skb, p, &id) : parse_ipv6(skb, p, &id);
	if (reason)
		return reason;
	if (p->fragment == FRAGMENT_LATER)
		return parse_fragment(p, id);
	reason = parse_transport(skb, p);
	if (!reason && p->fragment == FRAGMENT_FIRST)
		reason = parse_fragment(p, id);
	return reason;
}
