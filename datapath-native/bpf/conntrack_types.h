/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Values that only the programs read and write.
 */
#pragma once
#include "layout.h"

#define SLOT_NONE (~0U)

/* How packets reach one end of a connection. */
enum weft_path {
	PATH_STACK = 0,	 /* the node's own stack: its processes, or what it routes */
	PATH_POD = 1,	 /* a pod of this node */
	PATH_UNDERLAY = 2, /* another node or its pods, by the node's routes */
	PATH_MAC = 3,	 /* out of the underlay to the neighbour that the connection came from */
	PATH_WORLD = 4,	 /* the stack, masqueraded */
	PATH_PROXY = 5	 /* a pod of this node that runs Envoy */
};

/* One end of a connection. */
struct side {
	__u64 set;     /* policy set that decided, 0: none */
	__u32 slot;    /* SLOT_NONE: not a pod of this node */
	__u32 epoch;   /* of the slot when the verdict was looked up */
	__u32 ifindex; /* of the slot's pod: a slot may be given to another one */
	__u16 rule;
	__u8 path;
	__u8 fin; /* this end has said goodbye */
};

#define CONN_FROM_B 1	 /* the originator is end b of the key */
#define CONN_NAT 2	 /* the destination is translated from frontend */
#define CONN_NODE 4	 /* a node to its own pod: no policy */
#define CONN_CLOSED 8	 /* FIN from both ends, or RST */
#define CONN_REVOKED 16	 /* cut by a policy change: whoever still speaks is reset */
#define CONN_REPLIED 32
#define CONN_OPENING 64	 /* counted in weft_opening until both ends have been heard */
#define CONN_ROUTED 128	 /* to a Service, of which Envoy chooses the backend: policies are asked when it has */

struct weft_conn {
	__u64 seen_ns; /* CLOCK_MONOTONIC_COARSE: good to a few ms, and a tenth of the price */
	__u64 packets[2]; /* from the originator, to it */
	__u64 bytes[2];
	struct side from;
	struct side to;
	struct weft_addr frontend; /* CONN_NAT, or what a socket meant */
	__be16 frontend_port;
	__u8 flags;
	__u8 reason; /* of the first packet's verdict */
	__u8 l2_dst[6]; /* PATH_MAC: where replies go, and from which address of ours */
	__u8 l2_src[6];
	__u16 proxy_from; /* from.path is PATH_PROXY: slot of the Envoy that opened it */
	__u16 proxy_to;	  /* to.path is PATH_PROXY: slot of the Envoy that it goes to */
	__be16 proxy_port; /* of its listener */
	__u8 passed; /* enum stage: what Envoy has decided on it before */
	__u8 pad;
};

/* What a connection that Envoy opened has behind it: the client's side (its egress rules, routes), or the server's. */
enum stage { STAGE_NONE = 0, STAGE_CLIENT = 1, STAGE_SERVER = 2 };

/* weft_opening: array by slot. Connections that a pod opened in the present period and that came to nothing so far. */
struct weft_opening {
	__u64 since_ns;
	__u32 count;
	__u32 ifindex; /* of the pod: a slot may be given to another one */
};

/* weft_tenants: LRU hash by tenant. Connections that it has had handed to Envoy in the present second. */
struct weft_tenant {
	__u64 since_ns;
	__u32 count;
	__u32 pad;
};

struct weft_nat {
	__u64 set;
	struct weft_backend backend;
};

struct weft_fragment_key {
	struct weft_addr src;
	struct weft_addr dst;
	__be32 id;
	__u8 proto;
	__u8 pad[3];
};

struct weft_fragment {
	__be16 sport;
	__be16 dport;
	__u8 icmp_type;
	__u8 pad[3];
};
