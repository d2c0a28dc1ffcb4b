/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * A connection's first packet: verdict, paths, entry.
 *
 * With layer-7 rules one connection of a pod becomes two or three, its legs: client to Envoy, and Envoy to the server (or
 * to Envoy once more, if the client's side and the server's have rules). All bear the client's and the server's
 * addresses; Envoy's ports come from a range of its own. Two nodes' Envoys may choose the same port, so the last leg has
 * a 1 in its key.
 */
#pragma once
#include "deliver.h"
#include "translate.h"

/* What the pod's socket meant, if its connect was translated: for events only. */
static __always_inline void recall_frontend(struct __sk_buff *skb, const struct packet *p, struct weft_conn *conn)
{
	struct weft_sk_reverse_key key = {};
	struct weft_sk_reverse *meant;

	if (p->translated) {
		conn->flags |= CONN_NAT;
		conn->frontend = p->frontend;
		conn->frontend_port = p->frontend_port;
		return;
	}
	if (p->hook != HOOK_FROM_POD)
		return;
	key.cookie = bpf_get_socket_cookie(skb);
	key.addr = p->dst;
	key.port = p->dport;
	meant = key.cookie ? bpf_map_lookup_elem(&weft_sk_reverse, &key) : 0;
	if (!meant)
		return;
	conn->frontend = meant->addr;
	conn->frontend_port = meant->port;
}

/* How packets reach the destination. Behind another node's host network replies would not come back by us. */
static __always_inline int path_onward(struct __sk_buff *skb, const struct packet *p, struct weft_conn *conn)
{
	__u8 kind;

	conn->to.path = PATH_POD;
	if (conn->to.slot != SLOT_NONE)
		return 0;
	kind = kind_of(&p->dst);
	conn->to.path = PATH_STACK;
	if (kind == KIND_HOST)
		return 0;
	conn->to.path = PATH_UNDERLAY;
	if (p->hook == HOOK_FROM_UNDERLAY && kind != KIND_POD)
		return REASON_UNSUPPORTED;
	if (kind != KIND_WORLD)
		return check_route(skb, p);
	conn->to.path = PATH_WORLD;
	return 0;
}

/* How replies reach the source. A client of the world may have come through another node, which must see the
 * replies: they go to the neighbour that brought the packet. */
static __always_inline int path_back(struct __sk_buff *skb, const struct packet *p, struct weft_conn *conn)
{
	struct macs m;

	conn->from.path = p->hook == HOOK_FROM_POD ? PATH_POD : PATH_STACK;
	if (p->hook == HOOK_FROM_PROXY)
		conn->from.path = PATH_PROXY;
	if (p->hook != HOOK_FROM_UNDERLAY)
		return 0;
	conn->from.path = PATH_UNDERLAY;
	if (kind_of(&p->src) != KIND_WORLD)
		return 0;
	conn->from.path = PATH_MAC;
	if (bpf_skb_load_bytes(skb, 0, &m, sizeof(m)))
		return REASON_MALFORMED;
	__builtin_memcpy(conn->l2_dst, m.src, 6);
	__builtin_memcpy(conn->l2_src, m.dst, 6);
	return 0;
}

/* Opening a connection costs Envoy more than a packet costs the kernel, and all tenants of a node share it. */
#define PROXIED_MOST 4096
#define PROXIED_PERIOD SECONDS(1)

/* 0 if the namespace whose rules want Envoy has had its share. */
static __always_inline int take_share(const struct weft_conn *conn, __u8 dir)
{
	__u32 slot = dir == DIR_EGRESS ? conn->from.slot : conn->to.slot;
	__u64 now = bpf_ktime_get_coarse_ns(), key;
	struct weft_pod *pod = pod_of(slot);
	struct weft_tenant fresh = {.since_ns = now, .count = 1}, *tenant;

	if (!pod)
		return 1;
	key = pod->tenant;
	tenant = bpf_map_lookup_elem(&weft_tenants, &key);
	if (!tenant) {
		bpf_map_update_elem(&weft_tenants, &key, &fresh, BPF_ANY);
		return 1;
	}
	if (now - tenant->since_ns > PROXIED_PERIOD) {
		tenant->since_ns = now;
		tenant->count = 0;
	}
	if (tenant->count >= PROXIED_MOST)
		return 0;
	__sync_fetch_and_add(&tenant->count, 1);
	return 1;
}

/* To the Envoy that takes new connections. */
static __always_inline int path_to_proxy(struct weft_conn *conn, __u8 dir)
{
	__u32 zero = 0;
	struct weft_proxy *proxy = bpf_map_lookup_elem(&weft_proxy, &zero);
	struct weft_pod *pod = proxy && proxy->ifindex ? pod_of(proxy->slot) : 0;

	if (!pod || pod->ifindex != proxy->ifindex || !(pod->flags & POD_PROXY))
		return REASON_NO_PROXY;
	if (!take_share(conn, dir))
		return REASON_PROXY_LIMIT;
	conn->to.path = PATH_PROXY;
	conn->proxy_to = proxy->slot;
	return 0;
}

/* The sender's policies. Envoy speaks for its clients. */
static __always_inline void take_sender(struct weft_conn *conn, const struct packet *p)
{
	if (p->hook == HOOK_FROM_PROXY) {
		side_take(&conn->from, slot_of(&p->src));
		conn->proxy_from = p->slot;
		conn->passed = p->stage;
		return;
	}
	side_take(&conn->from, p->hook == HOOK_FROM_POD ? p->slot : SLOT_NONE);
}

static __always_inline int admit(struct __sk_buff *skb, struct packet *p, struct weft_conn *conn)
{
	struct weft_tuple way;
	int node, reason;

	if (p->hook == HOOK_FROM_UNDERLAY && (slot_of(&p->src) != SLOT_NONE || kind_of(&p->src) == KIND_HOST))
		return REASON_SPOOFED;
	if (p->hook == HOOK_FROM_PROXY && (!p->stage || !opens_tcp(p)))
		return REASON_INVALID;
	take_sender(conn, p);
	side_take(&conn->to, p->hook == HOOK_TO_POD ? p->slot : slot_of(&p->dst));
	node = p->hook == HOOK_TO_POD && !skb->ingress_ifindex && kind_of(&p->src) == KIND_HOST;
	if (node)
		conn->flags |= CONN_NODE;
	/* Where no policy is in force a connection may be older than its entry. */
	else if (!opens(p) && (conn->from.set || conn->to.set))
		return REASON_INVALID;
	if (p->routed) {
		if (!opens_tcp(p))
			return REASON_INVALID;
		conn->flags |= CONN_ROUTED;
		conn->proxy_port = p->routed;
		conn->frontend = p->dst;
		conn->frontend_port = p->dport;
	}
	directed(&way, p);
	reason = decide(conn, &way, &p->dir, &conn->proxy_port);
	conn->reason = reason;
	return reason;
}

/* The program's verdict for a packet that has no entry. */
__noinline int open_connection(struct __sk_buff *skb, struct packet *p)
{
	__u32 zero = 0;
	struct weft_conn *conn = bpf_map_lookup_elem(&weft_scratch, &zero);
	struct weft_tuple key;
	int reason, error;

	if (!p || !conn)
		return TC_ACT_SHOT;
	__builtin_memset(conn, 0, sizeof(*conn));
	if (canonical(&key, p))
		conn->flags = CONN_FROM_B;
	conn->from.rule = conn->to.rule = RULE_NONE;
	conn->from.slot = conn->to.slot = SLOT_NONE;
	recall_frontend(skb, p, conn);
	reason = admit(skb, p, conn);
	if (!forwards(reason))
		return drop(skb, p, conn, reason);
	error = reason == REASON_PROXIED ? path_to_proxy(conn, p->dir) : path_onward(skb, p, conn);
	if (!error)
		error = path_back(skb, p, conn);
	if (!error)
		error = check_hops(p, receiver(p, conn));
	if (error)
		return drop(skb, p, conn, error);
	if (conn->from.path != PATH_PROXY && !take_opening(conn))
		return drop(skb, p, conn, REASON_HALF_OPEN);
	conn->seen_ns = bpf_ktime_get_coarse_ns();
	conn->packets[0] = 1;
	conn->bytes[0] = skb->len;
	if (bpf_map_update_elem(&weft_conntrack, &key, conn, BPF_ANY))
		return drop(skb, p, conn, REASON_MAP_FULL);
	count(skb, reason);
	if (conn->from.path != PATH_PROXY) /* its client's connection has been told */
		emit(p, conn, EVENT_NEW, reason);
	return deliver(skb, p, conn);
}
