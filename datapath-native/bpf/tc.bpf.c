// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The packet programs. On the host side of each pod's veth: weft_from_pod (ingress) and weft_to_pod (egress). On the
 * underlay: weft_from_underlay (ingress) and weft_to_underlay (egress). Inside the network namespace of a proxy pod:
 * weft_into_proxy (ingress) and weft_out_of_proxy (egress). README.md has the picture.
 */
#include "related.h"
#include "proxy.h"

static __always_inline int is_ip(const struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6);
}

/* The pod whose device this is; p->slot. */
static __always_inline struct weft_pod *own_pod(struct __sk_buff *skb, struct packet *p)
{
	__u32 ifindex = skb->ifindex, *slot = bpf_map_lookup_elem(&weft_pod_by_dev, &ifindex);
	struct weft_pod *pod;

	p->slot = slot ? *slot : SLOT_NONE;
	pod = slot ? pod_of(*slot) : 0;
	return pod && pod->ifindex == ifindex ? pod : 0;
}

/* Neighbour discovery is between the pod and this node; farther it would be a way past policies. */
static __always_inline int is_for_this_node(const struct packet *p)
{
	return addr_is_multicast(&p->dst) || addr_is_link_local_v6(&p->dst) || kind_of(&p->dst) == KIND_HOST;
}

/* The verdict if the packet is of a known connection, else NOT_ESTABLISHED. */
__noinline int track_known(struct __sk_buff *skb, struct packet *p)
{
	struct weft_tuple key;
	struct weft_conn *conn;

	if (!p)
		return TC_ACT_SHOT;
	conn = conn_find(p, &key);
	return conn ? established(skb, p, &key, conn) : NOT_ESTABLISHED;
}

static __always_inline int track(struct __sk_buff *skb, struct packet *p)
{
	int verdict = track_known(skb, p);

	return verdict == NOT_ESTABLISHED ? open_connection(skb, p) : verdict;
}

/* Envoy speaks for its clients: with their addresses, about connections that were handed to it or that it opened. */
static __always_inline void speak_for_client(struct __sk_buff *skb, struct packet *p)
{
	p->hook = HOOK_FROM_PROXY;
	p->stage = stage_of(skb);
}

SEC("tcx/ingress")
int weft_from_pod(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_FROM_POD, .dir = DIR_EGRESS, .slot = SLOT_NONE};
	struct weft_pod *pod;
	int reason, verdict;

	if (skb->mark == MARK_RESET)
		return TC_ACT_OK;
	if (skb->vlan_present) /* the underlay's other networks are none of a pod's */
		return drop(skb, &p, 0, REASON_UNSUPPORTED);
	if (!is_ip(skb)) /* ARP, answered by the host for its own addresses */
		return skb->protocol == bpf_htons(ETH_P_ARP) ? pass(skb) : drop(skb, &p, 0, REASON_UNSUPPORTED);
	pod = own_pod(skb, &p);
	reason = parse(skb, &p);
	if (!pod)
		return drop(skb, &p, 0, REASON_UNKNOWN_POD);
	if (reason == REASON_MALFORMED)
		return drop(skb, &p, 0, reason);
	if (!addr_equal(&p.src, p.family == 4 ? &pod->ipv4 : &pod->ipv6)) {
		if (!reason && is_neighbour_discovery(&p) && is_for_this_node(&p) &&
		    (addr_is_zero(&p.src) || addr_is_link_local_v6(&p.src)))
			return pass(skb);
		if (reason || p.proto != IPPROTO_TCP || !(pod->flags & POD_PROXY))
			return drop(skb, &p, 0, REASON_SPOOFED);
		speak_for_client(skb, &p);
	}
	if (!reason && is_neighbour_discovery(&p) && is_for_this_node(&p))
		return pass(skb);
	if (!reason && addr_is_multicast(&p.dst))
		reason = REASON_UNSUPPORTED;
	if (!reason && answers_itself(&p))
		reason = translate_end(skb, &p, 0, &p.src, p.dport);
	if (reason)
		return drop(skb, &p, 0, reason);
	if (is_icmp_error(&p))
		return related(skb, &p, 0);
	if (p.hook == HOOK_FROM_POD && opens_tcp(&p) && is_proxy_port(p.sport) && has_proxy())
		return drop(skb, &p, 0, REASON_PROXY_PORT);
	verdict = track_known(skb, &p);
	if (verdict != NOT_ESTABLISHED)
		return verdict;
	reason = p.hook == HOOK_FROM_PROXY ? 0 : translate_service(skb, &p, SCOPE_INTERNAL);
	if (reason)
		return drop(skb, &p, 0, reason);
	return p.translated ? track(skb, &p) : open_connection(skb, &p);
}

SEC("tcx/egress")
int weft_to_pod(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_TO_POD, .dir = DIR_INGRESS, .slot = SLOT_NONE};
	int reason;

	if (skb->mark == MARK_RESET || skb->mark == MARK_PROXY)
		return TC_ACT_OK;
	if (!is_ip(skb))
		return pass(skb);
	if (!own_pod(skb, &p))
		return drop(skb, &p, 0, REASON_UNKNOWN_POD);
	reason = parse(skb, &p);
	if (!reason && is_neighbour_discovery(&p) && !skb->ingress_ifindex)
		return pass(skb);
	if (reason)
		return drop(skb, &p, 0, reason);
	if (is_icmp_error(&p))
		return related(skb, &p, 0);
	return track(skb, &p);
}

/* A reply of a backend on another node, on its way to the client that asked here. */
static __noinline int is_transit_reply(struct packet *p)
{
	struct weft_tuple key;
	struct weft_conn *conn = conn_lookup(p, &key);

	return conn && p->reply && conn->flags & CONN_NAT;
}

/* Not for a pod of this node: a Service asked from outside, a reply through us to one who asked, or none of ours. */
__noinline int from_underlay_elsewhere(struct __sk_buff *skb, struct packet *p)
{
	int reason;

	if (!p)
		return TC_ACT_SHOT;
	if (is_icmp_error(p))
		return related(skb, p, 1);
	reason = translate_service(skb, p, SCOPE_EXTERNAL);
	if (reason)
		return drop(skb, p, 0, reason);
	if (p->translated)
		return track(skb, p);
	if (is_own_node(&p->dst))
		return pass(skb);
	return is_transit_reply(p) ? track(skb, p) : pass(skb);
}

SEC("tcx/ingress")
int weft_from_underlay(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_FROM_UNDERLAY, .dir = DIR_INGRESS, .slot = SLOT_NONE};
	int reason, local;

	if (!is_ip(skb) || skb->vlan_present)
		return pass(skb);
	reason = parse(skb, &p);
	local = slot_of(&p.dst) != SLOT_NONE;
	if (reason)
		return local ? drop(skb, &p, 0, reason) : pass(skb);
	if (!local)
		return from_underlay_elsewhere(skb, &p);
	return is_icmp_error(&p) ? related(skb, &p, 0) : track(skb, &p);
}

/* Replies of backends in this node's host network get their frontend's face. Everything else goes as it is. */
SEC("tcx/egress")
int weft_to_underlay(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_TO_POD, .slot = SLOT_NONE};
	struct weft_tuple key;
	struct weft_conn *conn;

	if (skb->mark == MARK_RESET || !is_ip(skb) || skb->vlan_present || parse(skb, &p) || !is_own_node(&p.src))
		return TC_ACT_OK;
	conn = conn_lookup(&p, &key);
	if (!conn || !p.reply || !(conn->flags & CONN_NAT) || conn->to.path != PATH_STACK)
		return TC_ACT_OK;
	count(skb, REASON_ESTABLISHED);
	if (conn_account(skb, &p, conn))
		emit(&p, conn, EVENT_CLOSED, REASON_ESTABLISHED);
	return translate_end(skb, &p, 1, &conn->frontend, conn->frontend_port) ? TC_ACT_SHOT : TC_ACT_OK;
}

/* Inside a proxy pod's network namespace: a connection's first packet goes to the listener that its verdict named. All
 * others find their sockets by themselves. */
SEC("tcx/ingress")
int weft_into_proxy(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_TO_POD, .dir = DIR_INGRESS, .slot = SLOT_NONE};

	if (!is_ip(skb) || parse(skb, &p) || !opens_tcp(&p))
		return TC_ACT_OK;
	return to_listener(skb, &p);
}

/* Marks do not survive the way out of a network namespace: the stage goes into the frame's source address. */
SEC("tcx/egress")
int weft_out_of_proxy(struct __sk_buff *skb)
{
	__u8 last = config.pod_mac[5] ^ (skb->mark & 3);

	if (skb->mark == STAGE_CLIENT || skb->mark == STAGE_SERVER)
		bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source) + 5, &last, 1, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
