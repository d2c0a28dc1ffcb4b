/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Who is this address, and may it? Verdicts are reasons: those below 16 forward.
 */
#pragma once
#include "parse.h"

static __always_inline int forwards(int reason)
{
	return reason < REASON_POLICY_DENIED;
}

static __always_inline struct weft_address *classify(const struct weft_addr *addr)
{
	struct weft_address_key key = {.prefixlen = 128};

	key.addr = *addr;
	return bpf_map_lookup_elem(&weft_addresses, &key);
}

static __always_inline __u8 kind_of(const struct weft_addr *addr)
{
	struct weft_address *a = classify(addr);

	return a ? a->kind : KIND_WORLD;
}

static __always_inline __u32 slot_of(const struct weft_addr *addr)
{
	struct weft_addr own = *addr; /* a key in the caller's memory is refused before 6.2 */
	__u32 *slot = bpf_map_lookup_elem(&weft_pod_by_addr, &own);

	return slot ? *slot : SLOT_NONE;
}

static __always_inline struct weft_pod *pod_of(__u32 slot)
{
	return bpf_map_lookup_elem(&weft_pods, &slot);
}

/* A verdict: its reason, and above it the port of Envoy's listener where that is REASON_PROXIED. */
static __always_inline int reason_of(__u32 verdict)
{
	return verdict & 0xff;
}

static __always_inline __be16 listener_of(__u32 verdict)
{
	return verdict >> 16;
}

__noinline __u32 verdict(struct side *side, const struct weft_addr *peer, __u8 dir, __u8 proto, __be16 port)
{
	struct weft_policy_key key = {.prefixlen = 160, .dir = dir, .proto = proto, .port = port};
	struct weft_policy_value *v;
	struct weft_address *a;

	if (!side || !peer)
		return REASON_DEFAULT_DENY;
	side->rule = RULE_NONE;
	if (!side->set)
		return REASON_NO_POLICY;
	a = classify(peer);
	key.set = side->set;
	key.class = a ? a->class : 0;
	v = bpf_map_lookup_elem(&weft_policy, &key);
	if (v) {
		side->rule = v->rule;
		if (v->verdict == VERDICT_PROXY && proto == IPPROTO_TCP)
			return REASON_PROXIED | (__u32)v->proxy_port << 16;
		return v->verdict == VERDICT_ALLOW ? REASON_POLICY_ALLOWED : REASON_POLICY_DENIED;
	}
	return side->set & (dir == DIR_EGRESS ? SET_EGRESS_ENFORCED : SET_INGRESS_ENFORCED) ? REASON_DEFAULT_DENY
											    : REASON_NO_POLICY;
}

/* Takes the slot's present state over. The epoch is read first: if the set or its entries change after that, the
 * next packet sees another epoch and looks again. */
static __always_inline void side_take(struct side *side, __u32 slot)
{
	struct weft_pod *pod = slot == SLOT_NONE ? 0 : pod_of(slot);

	side->slot = pod ? slot : SLOT_NONE;
	side->rule = RULE_NONE;
	if (!pod) {
		side->set = 0;
		return;
	}
	side->epoch = *(volatile __u32 *)&pod->epoch;
	side->ifindex = pod->ifindex;
	side->set = *(volatile __u64 *)&pod->set;
}

/* The verdict of both ends on a connection from way->a to way->b. *dir: whose it is; *listener: where Envoy is to
 * decide (REASON_PROXIED), else 0. The client's side comes before the server's; of a connection that Envoy opened, what
 * it decided before is not asked again. */
static __always_inline int decide(struct weft_conn *conn, const struct weft_tuple *way, __u8 *dir, __be16 *listener)
{
	__be16 port = way->proto == IPPROTO_ICMP || way->proto == IPPROTO_ICMPV6 ? 0 : way->pb;
	__u32 egress, ingress;

	if (conn->flags & CONN_ROUTED) {
		*dir = DIR_EGRESS;
		*listener = conn->proxy_port;
		return REASON_PROXIED;
	}
	*listener = 0;
	*dir = DIR_INGRESS;
	if (conn->flags & CONN_NODE)
		return REASON_NODE_TO_OWN_POD;
	if (conn->passed == STAGE_SERVER)
		return REASON_FROM_PROXY;
	*dir = DIR_EGRESS;
	egress = verdict(&conn->from, &way->b, DIR_EGRESS, way->proto, port);
	if (!forwards(reason_of(egress)))
		return reason_of(egress);
	ingress = verdict(&conn->to, &way->a, DIR_INGRESS, way->proto, port);
	if (!forwards(reason_of(ingress))) {
		*dir = DIR_INGRESS;
		return reason_of(ingress);
	}
	if (reason_of(egress) == REASON_PROXIED && !conn->passed) {
		*listener = listener_of(egress);
		return REASON_PROXIED;
	}
	/* Where no policy decided, it is the verdict of the end that is here; the sender's, if both are. */
	if (reason_of(ingress) != REASON_NO_POLICY || conn->from.slot == SLOT_NONE)
		*dir = DIR_INGRESS;
	if (reason_of(ingress) == REASON_PROXIED) {
		*listener = listener_of(ingress);
		return REASON_PROXIED;
	}
	if (conn->passed)
		return REASON_FROM_PROXY;
	return reason_of(egress) == REASON_POLICY_ALLOWED ? REASON_POLICY_ALLOWED : reason_of(ingress);
}
