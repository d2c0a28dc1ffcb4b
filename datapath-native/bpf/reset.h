/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Resets, made from the packet that met a changed verdict: one back to its sender, one onward in its place
 * (RFC 9293 3.10.7.4: a reset counts if its sequence number is the one that the receiver expects next).
 */
#pragma once
#include "deliver.h"

/* On clones that must not be judged again. Nothing from a pod carries it: crossing into another network namespace
 * clears marks. */
#define MARK_RESET 0x77526573

struct reset {
	struct weft_addr src;
	struct weft_addr dst;
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack;
	__u8 family;
	__u8 flags;
	__u8 partial; /* the device completes the checksum */
	__u8 pad;
};

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline __u32 pseudo_sum(const struct weft_addr *src, const struct weft_addr *dst, __u8 family,
					__u32 len)
{
	__be32 tail[2] = {bpf_htonl(len), bpf_htonl(IPPROTO_TCP)};
	__u32 n = family == 4 ? 4 : 16;
	__s64 sum;

	sum = bpf_csum_diff(0, 0, (void *)tail, 8, 0);
	if (n == 4) {
		sum = bpf_csum_diff(0, 0, (void *)&src->w[3], 4, sum);
		return bpf_csum_diff(0, 0, (void *)&dst->w[3], 4, sum);
	}
	sum = bpf_csum_diff(0, 0, (void *)src->w, 16, sum);
	return bpf_csum_diff(0, 0, (void *)dst->w, 16, sum);
}

static __always_inline int write_tcp(struct __sk_buff *skb, const struct reset *r)
{
	__u32 sum = pseudo_sum(&r->src, &r->dst, r->family, sizeof(struct tcphdr));
	struct tcphdr tcp = {.source = r->sport, .dest = r->dport, .seq = r->seq, .ack_seq = r->ack, .doff = 5};

	tcp.rst = 1;
	tcp.ack = !!(r->flags & TCP_ACK);
	if (r->partial)
		tcp.check = fold(sum);
	else
		tcp.check = ~fold(bpf_csum_diff(0, 0, (void *)&tcp, sizeof(tcp), sum));
	return bpf_skb_store_bytes(skb, ETH_HLEN + (r->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)),
				   &tcp, sizeof(tcp), BPF_F_RECOMPUTE_CSUM);
}

__noinline int write_reset(struct __sk_buff *skb, const struct reset *r)
{
	if (!r)
		return -1;
	if (r->family == 4) {
		struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};

		ip.tot_len = bpf_htons(sizeof(ip) + sizeof(struct tcphdr));
		ip.frag_off = bpf_htons(0x4000);
		ip.saddr = r->src.w[3];
		ip.daddr = r->dst.w[3];
		ip.check = ~fold(bpf_csum_diff(0, 0, (void *)&ip, sizeof(ip), 0));
		if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM))
			return -1;
	} else {
		struct ipv6hdr ip = {.version = 6, .nexthdr = IPPROTO_TCP, .hop_limit = 64};

		ip.payload_len = bpf_htons(sizeof(struct tcphdr));
		__builtin_memcpy(&ip.saddr, &r->src, 16);
		__builtin_memcpy(&ip.daddr, &r->dst, 16);
		if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM))
			return -1;
	}
	return write_tcp(skb, r);
}

/* Reads what a reset needs and cuts the packet to bare headers. TCP without IP options only. */
static __always_inline int reset_prepare(struct __sk_buff *skb, const struct packet *p, struct tcphdr *tcp,
					 __u32 *payload, __u8 *partial)
{
	__u32 l4 = ETH_HLEN + (p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	__be16 length;
	__u32 len;

	if (p->proto != IPPROTO_TCP || p->l4 != l4 || p->fragment || p->tcp_flags & TCP_RST)
		return -1;
	if (bpf_skb_load_bytes(skb, l4, tcp, sizeof(*tcp)))
		return -1;
	/* Ethernet pads short frames, so the length is the header's; 0: larger than it can say. */
	if (bpf_skb_load_bytes(skb, p->family == 4 ? IPV4_OFF(tot_len) : IPV6_OFF(payload_len), &length, 2))
		return -1;
	len = bpf_ntohs(length);
	if (!len)
		len = skb->len - l4;
	else if (p->family == 4)
		len -= sizeof(struct iphdr);
	*payload = len - tcp->doff * 4 + !!(p->tcp_flags & TCP_SYN) + !!(p->tcp_flags & TCP_FIN);
	*partial = tcp->check == fold(pseudo_sum(&p->src, &p->dst, p->family, len));
	return bpf_skb_change_tail(skb, l4 + sizeof(*tcp), 0);
}

/* In place: the stack of all callers together has 512 bytes. */
static __always_inline void swap_macs(struct macs *m)
{
	for (int i = 0; i < 6; i++) {
		__u8 dst = m->dst[i];

		m->dst[i] = m->src[i];
		m->src[i] = dst;
	}
}

static __always_inline int send_back(struct __sk_buff *skb, const struct packet *p, const struct reset *r)
{
	__u32 mark = skb->mark, ifindex = p->hook == HOOK_FROM_UNDERLAY ? config.underlay_ifindex : skb->ifindex;
	struct macs m;

	if (write_reset(skb, r) || bpf_skb_load_bytes(skb, 0, &m, sizeof(m)))
		return -1;
	swap_macs(&m);
	if (p->hook == HOOK_FROM_PROXY) /* Envoy's frames say in their source address what it decided */
		m.dst[5] = config.pod_mac[5];
	write_macs(skb, &m);
	skb->mark = MARK_RESET;
	bpf_clone_redirect(skb, ifindex, p->hook == HOOK_TO_POD ? BPF_F_INGRESS : 0);
	skb->mark = mark;
	swap_macs(&m);
	return write_macs(skb, &m);
}

/* Resets the packet's sender and, with onward, turns the packet into a reset for the other end; 0: deliver it.
 * Addresses in *p are those behind translation; the frontend's client knows the frontend only. */
__noinline int reset(struct __sk_buff *skb, const struct packet *p, const struct weft_conn *conn, int onward)
{
	struct tcphdr tcp;
	struct reset r = {};
	__u32 payload;
	__u8 partial;
	int nat;

	if (!p || !conn)
		return -1;
	nat = conn->flags & CONN_NAT;
	if (reset_prepare(skb, p, &tcp, &payload, &partial))
		return -1;
	r.family = p->family;
	r.partial = partial;
	r.src = nat && !p->reply ? conn->frontend : p->dst;
	r.sport = nat && !p->reply ? conn->frontend_port : p->dport;
	r.dst = p->src;
	r.dport = p->sport;
	r.seq = tcp.ack_seq;
	if (!tcp.ack) {
		r.seq = 0;
		r.flags = TCP_ACK;
		r.ack = bpf_htonl(bpf_ntohl(tcp.seq) + payload);
	}
	if (send_back(skb, p, &r) || !onward)
		return -1;
	r.src = nat && p->reply ? conn->frontend : p->src;
	r.sport = nat && p->reply ? conn->frontend_port : p->sport;
	r.dst = p->dst;
	r.dport = p->dport;
	r.seq = tcp.seq;
	r.ack = tcp.ack_seq;
	r.flags = tcp.ack ? TCP_ACK : 0;
	return write_reset(skb, &r);
}
