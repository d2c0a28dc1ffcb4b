/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * A packet of a known connection.
 */
#pragma once
#include "open.h"
#include "reset.h"

#define NOT_ESTABLISHED (-100)

/* The verdict changed to a denial: cuts the connection. */
static __always_inline int cut(struct __sk_buff *skb, struct packet *p, struct weft_conn *conn, int reason)
{
	if (!p || !conn)
		return TC_ACT_SHOT;
	count(skb, reason);
	emit(p, conn, EVENT_REVOKED, reason);
	if (p->proto != IPPROTO_TCP)
		return TC_ACT_SHOT;
	conn->flags |= CONN_REVOKED;
	return reset(skb, p, conn, 1) ? TC_ACT_SHOT : deliver(skb, p, conn);
}

/* The same, and a TCP entry stays, so that whoever speaks next is reset too (a keepalive's sequence number is too old
 * for the reset that it turned into to count). */
static __always_inline int revoke(struct __sk_buff *skb, struct packet *p, const struct weft_tuple *key,
				  struct weft_conn *conn, int reason)
{
	int verdict = cut(skb, p, conn, reason);

	if (p->proto != IPPROTO_TCP)
		bpf_map_delete_elem(&weft_conntrack, key);
	return verdict;
}

/* Looks both verdicts up again and takes the present epochs over. The result is as that of verdict(). */
__noinline __u32 revalidate(struct packet *p, struct weft_conn *conn)
{
	struct weft_tuple way;
	__be16 listener;
	int reason;

	if (!p || !conn)
		return REASON_DEFAULT_DENY;
	side_take(&conn->from, conn->from.slot);
	side_take(&conn->to, conn->to.slot);
	directed(&way, p);
	reason = decide(conn, &way, &p->dir, &listener);
	return reason | (__u32)listener << 16;
}

/* Between two ends of which one is Envoy, only Envoy speaks for itself. */
static __always_inline int is_misdirected(const struct packet *p, const struct side *sender)
{
	return (sender->path == PATH_PROXY) != (p->hook == HOOK_FROM_PROXY);
}

static __always_inline int lost_its_proxy(const struct weft_conn *conn)
{
	return (conn->to.path == PATH_PROXY && !is_proxy(conn->proxy_to)) ||
	       (conn->from.path == PATH_PROXY && !is_proxy(conn->proxy_from));
}

/* The program's verdict, or NOT_ESTABLISHED if the entry was another pod's. */
static __always_inline int established(struct __sk_buff *skb, struct packet *p, const struct weft_tuple *key,
				       struct weft_conn *conn)
{
	const struct side *sender = p->reply ? &conn->to : &conn->from;
	enum freshness from, to;
	int reason, verdict, last;

	if (p->hook == HOOK_FROM_UNDERLAY && sender->slot != SLOT_NONE)
		return drop(skb, p, 0, REASON_SPOOFED);
	if (is_misdirected(p, sender))
		return drop(skb, p, conn, REASON_INVALID);
	if (collides(p, conn))
		return drop(skb, p, conn, REASON_NAT_COLLISION);
	from = side_freshness(&conn->from);
	to = side_freshness(&conn->to);
	if (from == GONE || to == GONE) {
		bpf_map_delete_elem(&weft_conntrack, key);
		p->reply = 0;
		return NOT_ESTABLISHED;
	}
	if (conn->flags & CONN_REVOKED) {
		count(skb, REASON_INVALID);
		emit(p, conn, EVENT_DROP, REASON_INVALID);
		reset(skb, p, conn, 0);
		return TC_ACT_SHOT;
	}
	if (from == CHANGED || to == CHANGED) {
		__u32 found = revalidate(p, conn);

		reason = reason_of(found);
		/* Envoy can't take a connection over in mid-stream, nor let go of it. */
		if (!forwards(reason) || listener_of(found) != conn->proxy_port)
			return revoke(skb, p, key, conn, reason);
	}
	if (lost_its_proxy(conn))
		return revoke(skb, p, key, conn, REASON_NO_PROXY);
	reason = check_hops(p, receiver(p, conn));
	if (reason)
		return drop(skb, p, conn, reason);
	count(skb, REASON_ESTABLISHED);
	last = is_last_word(p, conn);
	if (conn_account(skb, p, conn) && conn->from.path != PATH_PROXY)
		emit(p, conn, EVENT_CLOSED, REASON_ESTABLISHED);
	if (p->reply && conn->flags & CONN_NAT) {
		reason = translate_end(skb, p, 1, &conn->frontend, conn->frontend_port);
		if (reason)
			return drop(skb, p, conn, reason);
	}
	verdict = deliver(skb, p, conn);
	if (last)
		bpf_map_delete_elem(&weft_conntrack, key);
	return verdict;
}
