/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Connections: one entry each, found from both directions with one lookup.
 */
#pragma once
#include "policy.h"

#define SECONDS(n) ((__u64)(n)*1000000000ULL)
#define TIMEOUT_TCP SECONDS(8 * 3600)
#define TIMEOUT_TCP_OPENING SECONDS(120)
#define TIMEOUT_CLOSED SECONDS(10)
#define TIMEOUT_OTHER SECONDS(180)
#define TIMEOUT_OTHER_UNREPLIED SECONDS(30)

/* All pods share one table, whose oldest entries give way: a pod may fill an eighth of it with connections that come
 * to nothing (two periods may meet), then its further ones are refused. */
#define OPENING_MOST 16384
#define OPENING_PERIOD TIMEOUT_TCP_OPENING

/* The packet's ends in canonical order; 1 if its source is end b. */
static __always_inline int canonical(struct weft_tuple *t, const struct packet *p)
{
	int from_b = addr_equal(&p->src, &p->dst) ? bpf_ntohs(p->dport) < bpf_ntohs(p->sport)
						  : addr_less(&p->dst, &p->src);

	t->a = from_b ? p->dst : p->src;
	t->b = from_b ? p->src : p->dst;
	t->pa = from_b ? p->dport : p->sport;
	t->pb = from_b ? p->sport : p->dport;
	t->proto = p->proto;
	t->leg = p->leg;
	t->pad[0] = t->pad[1] = 0;
	return from_b;
}

/* From the originator (a) to the other end (b). */
static __always_inline void directed(struct weft_tuple *t, const struct packet *p)
{
	t->a = p->reply ? p->dst : p->src;
	t->b = p->reply ? p->src : p->dst;
	t->pa = p->reply ? p->dport : p->sport;
	t->pb = p->reply ? p->sport : p->dport;
	t->proto = p->proto;
	t->leg = p->leg;
	t->pad[0] = t->pad[1] = 0;
}

static __always_inline int opens_tcp(const struct packet *p)
{
	return p->proto == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline int opens(const struct packet *p)
{
	if (p->proto == IPPROTO_TCP)
		return opens_tcp(p);
	return is_icmp(p) ? is_icmp_echo_request(p) : 1;
}

static __always_inline __u64 timeout_of(const struct weft_conn *conn, __u8 proto)
{
	if (conn->flags & CONN_CLOSED)
		return TIMEOUT_CLOSED;
	if (proto == IPPROTO_TCP)
		return conn->flags & CONN_REPLIED ? TIMEOUT_TCP : TIMEOUT_TCP_OPENING;
	return conn->flags & CONN_REPLIED ? TIMEOUT_OTHER : TIMEOUT_OTHER_UNREPLIED;
}

/* The entry for this packet, or null; p->reply is set. What is over or past its time makes room for a new one. */
static __always_inline struct weft_conn *conn_lookup(struct packet *p, struct weft_tuple *key)
{
	int from_b = canonical(key, p);
	struct weft_conn *conn = bpf_map_lookup_elem(&weft_conntrack, key);

	p->reply = 0;
	if (!conn)
		return 0;
	if (opens_tcp(p) && conn->flags & (CONN_CLOSED | CONN_REVOKED))
		return 0;
	if (bpf_ktime_get_coarse_ns() - conn->seen_ns > timeout_of(conn, p->proto))
		return 0;
	p->reply = from_b != !!(conn->flags & CONN_FROM_B);
	return conn;
}

static __always_inline int is_proxy_port(__be16 port)
{
	return bpf_ntohs(port) >= PROXY_SOURCE_FIRST;
}

/* The same for a packet whose leg is to be found out: a server answers Envoy first of all, and what Envoy says without
 * a socket (resets) bears no stage. */
static __always_inline struct weft_conn *conn_find(struct packet *p, struct weft_tuple *key)
{
	struct weft_conn *conn;
	int other;

	if (p->hook == HOOK_FROM_PROXY)
		p->leg = p->stage == STAGE_SERVER;
	else
		p->leg = p->hook == HOOK_FROM_POD && p->proto == IPPROTO_TCP && is_proxy_port(p->dport);
	conn = conn_lookup(p, key);
	other = p->hook == HOOK_FROM_PROXY ? !p->stage && p->tcp_flags & TCP_RST : p->leg;
	if (conn || !other)
		return conn;
	p->leg = !p->leg;
	conn = conn_lookup(p, key);
	return conn;
}

enum freshness { FRESH, CHANGED, GONE };

static __always_inline enum freshness side_freshness(const struct side *side)
{
	struct weft_pod *pod;

	if (side->slot == SLOT_NONE)
		return FRESH;
	pod = pod_of(side->slot);
	if (!pod || pod->ifindex != side->ifindex)
		return GONE;
	return *(volatile __u32 *)&pod->epoch == side->epoch ? FRESH : CHANGED;
}

/* 0 if the pod that opens the connection has no room left for it; else it is counted. */
static __always_inline int take_opening(struct weft_conn *conn)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	__u32 slot = conn->from.slot;
	struct weft_opening *opening = slot == SLOT_NONE ? 0 : bpf_map_lookup_elem(&weft_opening, &slot);

	if (!opening)
		return 1;
	if (opening->ifindex != conn->from.ifindex || now - opening->since_ns > OPENING_PERIOD) {
		opening->ifindex = conn->from.ifindex;
		opening->since_ns = now;
		opening->count = 0;
	}
	if (opening->count >= OPENING_MOST)
		return 0;
	__sync_fetch_and_add(&opening->count, 1);
	conn->flags |= CONN_OPENING;
	return 1;
}

static __always_inline void return_opening(struct weft_conn *conn)
{
	__u32 slot = conn->from.slot;
	struct weft_opening *opening = bpf_map_lookup_elem(&weft_opening, &slot);

	conn->flags &= ~CONN_OPENING;
	if (opening && opening->count)
		__sync_fetch_and_add(&opening->count, -1);
}

/* Both ends have been heard; for TCP that is the originator's answer to the answer. */
static __always_inline int settles(const struct packet *p, const struct weft_conn *conn)
{
	if (p->proto != IPPROTO_TCP)
		return p->reply;
	return p->tcp_flags & TCP_RST || (!p->reply && conn->flags & CONN_REPLIED && !(p->tcp_flags & TCP_SYN));
}

/* No packet follows this one: the connection was refused, or this is the answer to the second FIN. Its entry would
 * only take the place of one that is idle. */
static __always_inline int is_last_word(const struct packet *p, const struct weft_conn *conn)
{
	if (p->proto != IPPROTO_TCP)
		return 0;
	if (p->tcp_flags & TCP_RST)
		return conn->flags & CONN_OPENING;
	return conn->from.fin && conn->to.fin && !(p->tcp_flags & (TCP_FIN | TCP_SYN));
}

/* Counts the packet; 1 if it ended the connection. */
static __always_inline int conn_account(struct __sk_buff *skb, const struct packet *p, struct weft_conn *conn)
{
	int dir = !!p->reply;

	conn->seen_ns = bpf_ktime_get_coarse_ns();
	__sync_fetch_and_add(&conn->packets[dir], 1);
	__sync_fetch_and_add(&conn->bytes[dir], skb->len);
	if (conn->flags & CONN_OPENING && settles(p, conn))
		return_opening(conn);
	if (p->reply && !(conn->flags & CONN_REPLIED))
		conn->flags |= CONN_REPLIED;
	if (p->proto != IPPROTO_TCP || !(p->tcp_flags & (TCP_FIN | TCP_RST)) || conn->flags & CONN_CLOSED)
		return 0;
	if (p->tcp_flags & TCP_FIN) {
		if (p->reply)
			conn->to.fin = 1;
		else
			conn->from.fin = 1;
	}
	if (!(p->tcp_flags & TCP_RST) && !(conn->from.fin && conn->to.fin))
		return 0;
	conn->flags |= CONN_CLOSED;
	return 1;
}
