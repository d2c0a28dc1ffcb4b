/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * The last step: where an allowed packet goes.
 */
#pragma once
#include "conntrack.h"
#include "nat.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

/* REASON_NO_ROUTE unless the node's routes lead to dst by the underlay. An unresolved neighbour is no error. */
__noinline int check_route(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup fib = {.ifindex = config.underlay_ifindex};
	long found;

	if (!p)
		return REASON_NO_ROUTE;
	if (p->family == 4) {
		fib.family = AF_INET;
		fib.ipv4_src = p->src.w[3];
		fib.ipv4_dst = p->dst.w[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &p->src, sizeof(p->src));
		__builtin_memcpy(fib.ipv6_dst, &p->dst, sizeof(p->dst));
	}
	found = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	switch (found) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return 0;
	default:
		return REASON_NO_ROUTE;
	}
}

static __always_inline int to_pod(struct __sk_buff *skb, const struct side *side)
{
	struct macs m;

	for (int i = 0; i < 6; i++) { /* not memcpy: without volatile the compiler takes config's zeros for constants */
		m.dst[i] = config.pod_mac[i];
		m.src[i] = config.host_mac[i];
	}
	write_macs(skb, &m);
	return bpf_redirect_peer(side->ifindex, 0);
}

/* On packets that go to a proxy pod by its device's egress hook. Nothing from a pod carries it; see MARK_RESET. */
#define MARK_PROXY 0x77526670

static __always_inline int is_proxy(__u32 slot)
{
	struct weft_pod *pod = pod_of(slot);

	return pod && pod->flags & POD_PROXY;
}

/* Into the network namespace of an Envoy. Only from an ingress hook there is a way past the device's egress hook. */
static __always_inline int to_proxy(struct __sk_buff *skb, const struct packet *p, __u32 slot)
{
	struct weft_pod *pod = pod_of(slot);
	struct macs m;

	if (!pod || !(pod->flags & POD_PROXY))
		return TC_ACT_SHOT;
	for (int i = 0; i < 6; i++) {
		m.dst[i] = config.pod_mac[i];
		m.src[i] = config.host_mac[i];
	}
	write_macs(skb, &m);
	if (p->hook != HOOK_TO_POD)
		return bpf_redirect_peer(pod->ifindex, 0);
	skb->mark = MARK_PROXY;
	return bpf_redirect(pod->ifindex, 0);
}

/* A client that is its own server would not take its own address for another's: there Envoy speaks as itself. What the
 * server answers is turned back by answers_itself. */
static __always_inline int meets_itself(const struct packet *p)
{
	return p->hook == HOOK_FROM_PROXY && addr_equal(&p->src, &p->dst);
}

static __always_inline int speak_as_proxy(struct __sk_buff *skb, struct packet *p)
{
	struct weft_pod *pod = pod_of(p->slot);
	const struct weft_addr *own;

	if (!pod)
		return REASON_UNKNOWN_POD;
	own = p->family == 4 ? &pod->ipv4 : &pod->ipv6;
	if (addr_is_zero(own))
		return REASON_UNSUPPORTED;
	return translate_end(skb, p, 1, own, p->sport);
}

/* Nobody else may send to a proxy's own address, so that this can only be such an answer. */
static __always_inline int answers_itself(const struct packet *p)
{
	return p->hook == HOOK_FROM_POD && p->proto == IPPROTO_TCP && is_proxy_port(p->dport) &&
	       is_proxy(slot_of(&p->dst));
}

static __always_inline int to_neighbour(struct __sk_buff *skb, const struct weft_conn *conn)
{
	struct macs m;

	__builtin_memcpy(m.dst, conn->l2_dst, 6);
	__builtin_memcpy(m.src, conn->l2_src, 6);
	write_macs(skb, &m);
	return bpf_redirect(config.underlay_ifindex, 0);
}

static __always_inline const struct side *receiver(const struct packet *p, const struct weft_conn *conn)
{
	return p->reply ? &conn->from : &conn->to;
}

/* REASON_TTL if the packet would have to go from device to device but may not. */
static __always_inline int check_hops(const struct packet *p, const struct side *to)
{
	int here = p->hook == HOOK_TO_POD || to->path == PATH_STACK || to->path == PATH_WORLD || to->path == PATH_PROXY;

	return here || p->ttl > 1 ? 0 : REASON_TTL;
}

/* The verdict of the program; the packet has been counted. At a pod's egress hook it is where it belongs already. */
static __always_inline int deliver(struct __sk_buff *skb, struct packet *p, const struct weft_conn *conn)
{
	const struct side *side = receiver(p, conn);
	int reason;

	if (side->path == PATH_PROXY)
		return to_proxy(skb, p, p->reply ? conn->proxy_from : conn->proxy_to);
	if (p->hook == HOOK_TO_POD || side->path == PATH_STACK)
		return TC_ACT_OK;
	if (side->path == PATH_WORLD) {
		skb->mark |= config.masquerade_mark;
		return TC_ACT_OK;
	}
	reason = decrement_ttl(skb, p);
	if (!reason && meets_itself(p))
		reason = speak_as_proxy(skb, p);
	if (reason)
		return drop(skb, p, conn, reason);
	if (side->path == PATH_POD)
		return to_pod(skb, side);
	if (side->path == PATH_MAC)
		return to_neighbour(skb, conn);
	return bpf_redirect_neigh(config.underlay_ifindex, 0, 0, 0);
}
