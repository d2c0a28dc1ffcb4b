/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Counters by reason and the ring of events.
 */
#pragma once
#include "parse.h"

static __always_inline void count(struct __sk_buff *skb, __u32 reason)
{
	struct weft_metric *m = bpf_map_lookup_elem(&weft_metrics, &reason);

	if (!m)
		return;
	m->packets++;
	m->bytes += skb->len;
}

/* conn may be null: a packet that has no connection. */
__noinline int emit(const struct packet *p, const struct weft_conn *conn, __u8 type, __u8 reason)
{
	const struct side *src, *dst;
	struct weft_event *e;
	__u32 lost = METRIC_EVENTS_LOST;

	if (!p)
		return 0;
	e = bpf_ringbuf_reserve(&weft_events, sizeof(*e), 0);
	if (!e) {
		struct weft_metric *m = bpf_map_lookup_elem(&weft_metrics, &lost);

		if (m)
			m->packets++;
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_ns();
	e->src = p->src;
	e->dst = p->dst;
	e->sport = p->sport;
	e->dport = p->dport;
	e->proto = p->proto;
	e->type = type;
	e->reason = reason;
	e->dir = p->dir;
	e->tcp_flags = p->tcp_flags;
	e->reply = p->reply;
	e->egress_rule = RULE_NONE;
	e->ingress_rule = RULE_NONE;
	e->src_slot = p->hook == HOOK_FROM_POD ? p->slot : SLOT_NONE;
	e->dst_slot = p->hook == HOOK_TO_POD ? p->slot : SLOT_NONE;
	if (p->translated) {
		e->service = p->frontend;
		e->service_port = p->frontend_port;
	}
	if (conn) {
		src = p->reply ? &conn->to : &conn->from;
		dst = p->reply ? &conn->from : &conn->to;
		e->src_slot = src->slot;
		e->dst_slot = dst->slot;
		e->egress_set = conn->from.set;
		e->ingress_set = conn->to.set;
		e->egress_rule = conn->from.rule;
		e->ingress_rule = conn->to.rule;
		e->service = conn->frontend;
		e->service_port = conn->frontend_port;
		if (type == EVENT_CLOSED || type == EVENT_REVOKED) {
			e->packets = conn->packets[0] + conn->packets[1];
			e->bytes = conn->bytes[0] + conn->bytes[1];
		}
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int drop(struct __sk_buff *skb, const struct packet *p, const struct weft_conn *conn,
				__u32 reason)
{
	count(skb, reason);
	emit(p, conn, EVENT_DROP, reason);
	return TC_ACT_SHOT;
}

static __always_inline int pass(struct __sk_buff *skb)
{
	count(skb, REASON_PASSED);
	return TC_ACT_OK;
}
