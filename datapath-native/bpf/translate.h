/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Services at the packet: what sockets did not translate, and node ports asked from outside.
 */
#pragma once
#include "nat.h"
#include "conntrack.h"
#include "service.h"

static __always_inline int is_own_node(const struct weft_addr *a)
{
	const volatile struct weft_addr *own = addr_is_v4(a) ? &config.node_ipv4 : &config.node_ipv6;

	return a->w[3] == own->w[3] && a->w[2] == own->w[2] && a->w[1] == own->w[1] && a->w[0] == own->w[0];
}

static __always_inline struct weft_service *frontend_of(struct weft_service_key *key, const struct packet *p)
{
	struct weft_service *svc = service_lookup(key);
	__u8 kind;

	if (svc)
		return svc;
	if (key->scope == SCOPE_EXTERNAL && !is_own_node(&p->dst))
		return 0;
	__builtin_memset(&key->addr, 0, sizeof(key->addr));
	svc = service_lookup(key);
	if (!svc || key->scope == SCOPE_EXTERNAL)
		return svc;
	kind = kind_of(&p->dst);
	return kind == KIND_HOST || kind == KIND_REMOTE_NODE ? svc : 0;
}

/* The backend of the packet's flow into *value, remembered or chosen. */
static __always_inline int flow_backend(const struct packet *p, const struct request *r, const struct weft_service *svc,
					struct weft_nat *value)
{
	struct weft_tuple key = {.pa = p->sport, .pb = p->dport, .proto = p->proto};
	int begins = p->proto == IPPROTO_UDP || opens_tcp(p);
	struct weft_nat *nat;

	key.a = p->src;
	key.b = p->dst;
	nat = bpf_map_lookup_elem(&weft_nat, &key);
	if (nat && (!begins || nat->set == svc->backends || is_member(svc, &nat->backend))) {
		if (begins)
			nat->set = svc->backends;
		value->backend = nat->backend;
		return 0;
	}
	if (!begins)
		return REASON_INVALID;
	if (!svc->count || choose_backend(r, svc, &value->backend))
		return REASON_NO_BACKEND;
	value->set = svc->backends;
	return bpf_map_update_elem(&weft_nat, &key, value, BPF_ANY) ? REASON_MAP_FULL : 0;
}

/* Gives a packet to a Service the address of its flow's backend; p->translated says so. Returns 0 or the reason to
 * drop. A packet from outside that belongs to no flow is left to the node's stack: it may be a reply to the node. */
__noinline int translate_service(struct __sk_buff *skb, struct packet *p, __u8 scope)
{
	struct weft_nat nat = {};
	struct weft_service *svc;
	struct request r = {};
	int reason;

	if (!p || (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP))
		return 0;
	r.key.addr = p->dst;
	r.key.port = p->dport;
	r.key.proto = p->proto;
	r.key.scope = scope;
	r.key.family = p->family;
	svc = frontend_of(&r.key, p);
	if (!svc)
		return 0;
	if (svc->proxy_port && p->proto == IPPROTO_TCP && p->hook == HOOK_FROM_POD) {
		p->routed = svc->proxy_port;
		return 0;
	}
	p->frontend = p->dst;
	p->frontend_port = p->dport;
	r.client = addr_hash(&p->src);
	reason = flow_backend(p, &r, svc, &nat);
	if (reason == REASON_INVALID && scope == SCOPE_EXTERNAL)
		return 0;
	p->translated = 1;
	if (reason)
		return reason;
	if (addr_equal(&nat.backend.addr, &p->src))
		return REASON_NAT_COLLISION;
	return translate_end(skb, p, 0, &nat.backend.addr, nat.backend.port);
}

/* The packet meets an entry that is another connection's: two flows are one behind translation. */
static __always_inline int collides(const struct packet *p, const struct weft_conn *conn)
{
	if (p->reply)
		return p->translated;
	if (!p->translated)
		return conn->flags & CONN_NAT;
	return !(conn->flags & CONN_NAT) || conn->frontend_port != p->frontend_port ||
	       !addr_equal(&conn->frontend, &p->frontend);
}
