/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * A connection's first packet: verdict, paths, entry.
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

static __always_inline int admit(struct __sk_buff *skb, struct packet *p, struct weft_conn *conn)
{
	struct weft_tuple way;
	int node, reason;

	if (p->hook == HOOK_FROM_UNDERLAY && (slot_of(&p->src) != SLOT_NONE || kind_of(&p->src) == KIND_HOST))
		return REASON_SPOOFED;
	side_take(&conn->from, p->hook == HOOK_FROM_POD ? p->slot : SLOT_NONE);
	side_take(&conn->to, p->hook == HOOK_TO_POD ? p->slot : slot_of(&p->dst));
	node = p->hook == HOOK_TO_POD && !skb->ingress_ifindex && kind_of(&p->src) == KIND_HOST;
	if (node)
		conn->flags |= CONN_NODE;
	/* Where no policy is in force a connection may be older than its entry. */
	else if (!opens(p) && (conn->from.set || conn->to.set))
		return REASON_INVALID;
	directed(&way, p);
	reason = decide(conn, &way, &p->dir);
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
	error = path_onward(skb, p, conn);
	if (!error)
		error = path_back(skb, p, conn);
	if (!error)
		error = check_hops(p, receiver(p, conn));
	if (error)
		return drop(skb, p, conn, error);
	if (!take_opening(conn))
		return drop(skb, p, conn, REASON_HALF_OPEN);
	conn->seen_ns = bpf_ktime_get_coarse_ns();
	conn->packets[0] = 1;
	conn->bytes[0] = skb->len;
	if (bpf_map_update_elem(&weft_conntrack, &key, conn, BPF_ANY))
		return drop(skb, p, conn, REASON_MAP_FULL);
	count(skb, reason);
	emit(p, conn, EVENT_NEW, reason);
	return deliver(skb, p, conn);
}
