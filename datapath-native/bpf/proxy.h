/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Envoy's side of the datapath: which listener a connection goes to, and what Envoy has decided on those that it opens.
 */
#pragma once
#include "deliver.h"

static __always_inline int has_proxy(void)
{
	__u32 zero = 0;
	struct weft_proxy *proxy = bpf_map_lookup_elem(&weft_proxy, &zero);

	return proxy && proxy->ifindex;
}

/* See weft_out_of_proxy. */
static __always_inline __u8 stage_of(struct __sk_buff *skb)
{
	__u8 last;

	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source) + 5, &last, 1))
		return STAGE_NONE;
	last ^= config.pod_mac[5];
	return last <= STAGE_SERVER ? last : STAGE_NONE;
}

/* The socket for the packet as it is, or with another destination port. */
static __always_inline struct bpf_sock *find_socket(struct __sk_buff *skb, const struct packet *p, __be16 dport)
{
	struct bpf_sock_tuple t = {};

	if (p->family == 4) {
		t.ipv4.saddr = p->src.w[3];
		t.ipv4.daddr = p->dst.w[3];
		t.ipv4.sport = p->sport;
		t.ipv4.dport = dport;
		return bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(t.ipv6.saddr, &p->src, sizeof(t.ipv6.saddr));
	__builtin_memcpy(t.ipv6.daddr, &p->dst, sizeof(t.ipv6.daddr));
	t.ipv6.sport = p->sport;
	t.ipv6.dport = dport;
	return bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* A socket in TIME_WAIT would have to get the packet itself; proxies' namespaces keep none. */
static __always_inline int to_listener(struct __sk_buff *skb, struct packet *p)
{
	struct weft_tuple key;
	struct weft_conn *conn;
	struct bpf_sock *sk;
	long error;

	canonical(&key, p);
	conn = bpf_map_lookup_elem(&weft_conntrack, &key);
	if (!conn || conn->to.path != PATH_PROXY) /* a probe of this node to Envoy's own address */
		return TC_ACT_OK;
	sk = find_socket(skb, p, p->dport);
	if (sk) {
		int listens = sk->state == BPF_TCP_LISTEN;

		bpf_sk_release(sk);
		if (!listens) /* sent again */
			return TC_ACT_OK;
	}
	sk = find_socket(skb, p, conn->proxy_port);
	if (!sk)
		return drop(skb, p, conn, REASON_NO_PROXY);
	error = sk->state == BPF_TCP_LISTEN ? bpf_sk_assign(skb, sk, 0) : -1;
	bpf_sk_release(sk);
	return error ? drop(skb, p, conn, REASON_NO_PROXY) : TC_ACT_OK;
}
