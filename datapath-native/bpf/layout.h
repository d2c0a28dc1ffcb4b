/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Keys and values of every map: the one contract between the programs (bpf/), the loader (src/) and what is
 * pinned. A change that an older program can't read raises WEFT_LAYOUT, which is part of the pins' path.
 *
 * Addresses are 16 bytes everywhere; IPv4 is ::ffff:a.b.c.d. Ports are in network order where the type says be16.
 */
#pragma once

#define WEFT_LAYOUT 2

struct weft_addr {
	union {
		__u8 b[16];
		__be32 w[4];
	};
};

/* weft_addresses: LPM trie. What the node's policies can tell of an address range. prefixlen counts 128 bits. */
enum weft_kind { KIND_WORLD = 0, KIND_POD = 1, KIND_HOST = 2, KIND_REMOTE_NODE = 3 };

struct weft_address_key {
	__u32 prefixlen;
	struct weft_addr addr;
};

struct weft_address {
	__u64 class;
	__u8 kind;
	__u8 pad[7];
};

/* weft_policy: LPM trie over set, class, direction, protocol, port; prefixlen is 136 (any protocol), 144 (any
 * port) to 160 (one port). No entry: denied if the set's bit for the direction says so. */
enum weft_direction { DIR_INGRESS = 0, DIR_EGRESS = 1 };
enum weft_verdict { VERDICT_DENY = 0, VERDICT_ALLOW = 1, VERDICT_PROXY = 2 };

#define SET_INGRESS_ENFORCED 1ULL /* bits of a set's id */
#define SET_EGRESS_ENFORCED 2ULL
#define RULE_NONE 0xffff /* no rule decided: no policy, implicit deny or the node itself */

struct weft_policy_key {
	__u32 prefixlen;
	__u64 set;
	__u64 class;
	__u8 dir;
	__u8 proto;
	__be16 port;
} __attribute__((packed));

struct weft_policy_value {
	__u8 verdict;
	__u8 pad;
	__u16 rule;
	__be16 proxy_port; /* VERDICT_PROXY: of Envoy's listener in the proxy's network namespace */
	__u8 pad2[2];
};

/* weft_pods: array by slot. The owner of all that concerns one local pod; ifindex 0: the slot is free.
 * set is written alone (8 bytes, never torn); a raised epoch makes every packet's verdict be looked up again. */
struct weft_pod {
	__u64 set;
	__u32 epoch;
	__u32 ifindex; /* host side of the pod's veth */
	struct weft_addr ipv4;
	struct weft_addr ipv6;
	__u32 flags;
	__u32 pad;
	__u64 tenant; /* hash of the namespace's name */
};

#define POD_PROXY 1 /* runs Envoy: speaks with its clients' addresses */

/* weft_proxy: array of one. The pod to whose Envoy new connections go; ifindex 0: there is none. */
struct weft_proxy {
	__u32 slot;
	__u32 ifindex; /* of the slot's pod */
};

/* Ports of Envoy in a proxy's network namespace, both ends included: of its listeners, and of its own connections to
 * servers, which no other pod may open connections from. */
#define PROXY_LISTENER_FIRST 20000
#define PROXY_LISTENER_LAST 59999
#define PROXY_SOURCE_FIRST 61000
#define PROXY_SOURCE_LAST 65535

/* weft_pod_by_addr: hash addr -> slot. weft_pod_by_dev: hash ifindex -> slot. */

/* weft_services: hash frontend -> backend set. Sets are immutable and named by content, so a change of backends
 * is one new set and one swapped value. addr all zero: any address of this node or another (node ports). */
enum weft_scope { SCOPE_INTERNAL = 0, SCOPE_EXTERNAL = 1 }; /* who asks: the cluster's workloads, or the underlay */

struct weft_service_key {
	struct weft_addr addr;
	__be16 port;
	__u8 proto;
	__u8 scope;
	__u8 family; /* 4 or 6: tells node ports (addr zero) apart */
	__u8 pad[3];
};

#define SERVICE_MAGLEV 1
#define SERVICE_NODE_PORT 2

struct weft_service {
	__u64 backends;	   /* set id */
	__u64 service;	   /* id for flows and affinity: hash of namespace/name */
	__u32 count;	   /* 0: refuse */
	__u32 flags;
	__u32 affinity_s;  /* seconds, 0: off */
	__u32 maglev_size; /* entries of the table in weft_maglev, prime; 0 without SERVICE_MAGLEV */
	__be16 proxy_port; /* not 0: Envoy routes what pods send here, behind its listener on this port */
	__u8 pad[6];
};

/* weft_backends: hash (set, index) -> address. */
struct weft_backend_key {
	__u64 set;
	__u32 index;
	__u32 pad;
};

struct weft_backend {
	struct weft_addr addr;
	__be16 port;
	__u8 pad[6];
};

/* weft_maglev: hash of arrays; key is the set's id, value an array of maglev_size __u32 indexes. */

/* weft_affinity: LRU (client, service) -> backend. client is the netns cookie at a socket, a hash of the address
 * for clients outside. */
struct weft_affinity_key {
	__u64 client;
	__u64 service;
	__be16 port;
	__u8 proto;
	__u8 family;
	__u32 pad;
};

struct weft_affinity {
	struct weft_backend backend;
	__u64 used_ns; /* CLOCK_MONOTONIC */
};

/* weft_sk_reverse: LRU (socket, backend) -> frontend, for recvmsg and getpeername. */
struct weft_sk_reverse_key {
	__u64 cookie;
	struct weft_addr addr;
	__be16 port;
	__u8 pad[6];
};

struct weft_sk_reverse {
	struct weft_addr addr;
	__be16 port;
	__u8 pad[6];
};

/* weft_conntrack: LRU. One entry a connection; the key is the tuple as seen behind translation with its two ends in
 * a canonical order (the smaller address, then port, first), so both directions find it with one lookup.
 * Its value is the programs' own; see conntrack.h. */
struct weft_tuple {
	struct weft_addr a;
	struct weft_addr b;
	__be16 pa; /* ICMP echo: the identifier on both */
	__be16 pb;
	__u8 proto;
	__u8 leg; /* 1: from Envoy to the server that it guards; see open.h */
	__u8 pad[2];
};

/* weft_events: ring buffer. */
enum weft_event_type {
	EVENT_NEW = 1,	   /* a connection's first packet was allowed */
	EVENT_DROP = 2,	   /* a packet was dropped: reason says why */
	EVENT_REVOKED = 3, /* a live connection was cut by a policy change */
	EVENT_CLOSED = 4   /* FIN or RST seen; counters are the connection's */
};

/* Why a packet was forwarded or dropped; index of weft_metrics. The loader and the docs read this list: one line
 * each, in this form. */
enum weft_reason {
	REASON_UNKNOWN = 0,
	/* forwarded */
	REASON_POLICY_ALLOWED = 1,   /* a rule allows it */
	REASON_NO_POLICY = 2,	     /* no policy selects the pod in this direction */
	REASON_NODE_TO_OWN_POD = 3,  /* a node may always reach its own pods */
	REASON_ESTABLISHED = 4,	     /* part of an allowed connection */
	REASON_RELATED = 5,	     /* an ICMP error about an allowed connection */
	REASON_PASSED = 6,	     /* not a pod's traffic */
	REASON_PROXIED = 7,	     /* handed to Envoy, which decides on each request */
	REASON_FROM_PROXY = 8,	     /* Envoy has decided and passes it on */
	/* dropped */
	REASON_POLICY_DENIED = 16,   /* a rule denies it */
	REASON_DEFAULT_DENY = 17,    /* policies select the pod and none allows it */
	REASON_SPOOFED = 18,	     /* the source address is not the pod's */
	REASON_UNKNOWN_POD = 19,     /* the device or slot has no pod (yet) */
	REASON_MALFORMED = 20,	     /* headers that can't be parsed */
	REASON_UNSUPPORTED = 21,     /* a protocol or fragment that the datapath does not carry */
	REASON_NO_BACKEND = 22,	     /* the Service has no endpoints */
	REASON_NO_ROUTE = 23,	     /* no route or neighbour for the destination */
	REASON_NAT_COLLISION = 24,   /* translation would clash with another connection */
	REASON_TTL = 25,	     /* hop limit reached */
	REASON_MAP_FULL = 26,	     /* no room in a map */
	REASON_INVALID = 27,	     /* no such connection, and not a packet that opens one */
	REASON_HALF_OPEN = 28,	     /* the pod opened too many connections that came to nothing */
	REASON_NO_PROXY = 29,	     /* a rule needs layer 7, and no Envoy of this node serves it */
	REASON_PROXY_PORT = 30,	     /* the source port is reserved for Envoy */
	REASON_PROXY_LIMIT = 31,     /* the namespace had too many connections handed to Envoy within a second */
	REASON_MAX = 64
};
#define METRIC_EVENTS_LOST 63 /* index of weft_metrics: events that found the ring full */

struct weft_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct weft_addr src; /* of the packet that caused the event, behind translation */
	struct weft_addr dst;
	struct weft_addr service; /* the Service address that was meant, or zero */
	__be16 sport;
	__be16 dport;
	__be16 service_port;
	__u8 proto;
	__u8 type;
	__u8 reason;
	__u8 dir;	   /* whose verdict: DIR_EGRESS (the source's policies) or DIR_INGRESS */
	__u8 tcp_flags;
	__u8 reply;	   /* the packet travels against the direction of the connection */
	__u16 egress_rule;  /* index into the set's rules, RULE_NONE: none */
	__u16 ingress_rule;
	__u32 src_slot;	   /* weft_pods, ~0: not a pod of this node */
	__u32 dst_slot;
	__u64 egress_set;  /* 0: none */
	__u64 ingress_set;
	__u64 packets;	   /* EVENT_CLOSED, EVENT_REVOKED: of the connection, both directions */
	__u64 bytes;
};

/* weft_metrics: per-CPU array by reason. */
struct weft_metric {
	__u64 packets;
	__u64 bytes;
};

/* Read-only configuration, set at load. */
struct weft_config {
	struct weft_addr node_ipv4; /* zero: the family is off */
	struct weft_addr node_ipv6;
	__u32 underlay_ifindex;
	__u32 flags;
	__u8 pod_mac[6];  /* the same in every pod */
	__u8 host_mac[6]; /* of the host side of every veth */
	__u32 masquerade_mark; /* set on packets from a pod to the world; nftables masquerades them */
	__u64 netns; /* cookie of the node's own network namespace */
};
