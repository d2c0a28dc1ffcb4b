// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Services at the socket: a connection to a frontend becomes one to a backend before its first packet, so no packet
 * pays. IPv4 and IPv4-mapped addresses are one family.
 */
#include <linux/in.h>
#include "maps_service.h"
#include "addr.h"
#include "service.h"

#define PROCEED 1
#define REFUSE 0
#define ECONNREFUSED 111

static __always_inline void ctx_addr(const struct bpf_sock_addr *ctx, int v6, struct weft_addr *out)
{
	if (!v6) {
		addr_from_v4(out, ctx->user_ip4);
		return;
	}
	out->w[0] = ctx->user_ip6[0];
	out->w[1] = ctx->user_ip6[1];
	out->w[2] = ctx->user_ip6[2];
	out->w[3] = ctx->user_ip6[3];
}

static __always_inline void ctx_set(struct bpf_sock_addr *ctx, int v6, const struct weft_addr *addr, __be16 port)
{
	ctx->user_port = port;
	if (!v6) {
		ctx->user_ip4 = addr->w[3];
		return;
	}
	ctx->user_ip6[0] = addr->w[0];
	ctx->user_ip6[1] = addr->w[1];
	ctx->user_ip6[2] = addr->w[2];
	ctx->user_ip6[3] = addr->w[3];
}

static __always_inline struct weft_service *find(struct weft_service_key *key, const struct weft_addr *addr)
{
	struct weft_address_key ak = {.prefixlen = 128};
	struct weft_service *svc = service_lookup(key);
	struct weft_address *a;

	if (svc)
		return svc;
	__builtin_memset(&key->addr, 0, sizeof(key->addr)); /* a node port, if the address is a node's */
	svc = service_lookup(key);
	if (!svc)
		return 0;
	ak.addr = *addr;
	a = bpf_map_lookup_elem(&weft_addresses, &ak);
	return a && (a->kind == KIND_HOST || a->kind == KIND_REMOTE_NODE) ? svc : 0;
}

static __always_inline int refuse(void)
{
	bpf_set_retval(-ECONNREFUSED);
	return REFUSE;
}

/* Translates the address that the socket asks for. datagram: the socket isn't connected, so the choice must be the
 * same for its next datagram to the same frontend. */
static __always_inline int forward(struct bpf_sock_addr *ctx, int v6, int datagram)
{
	struct weft_sk_reverse_key rk = {};
	struct weft_sk_reverse rv = {};
	struct weft_backend backend;
	struct weft_service *svc;
	struct weft_addr addr;
	struct request r = {};

	ctx_addr(ctx, v6, &addr);
	r.key.addr = addr;
	r.key.port = ctx->user_port;
	r.key.proto = ctx->protocol;
	r.key.scope = SCOPE_INTERNAL;
	r.key.family = addr_is_v4(&addr) ? 4 : 6;
	svc = find(&r.key, &addr);
	if (!svc)
		return PROCEED;
	r.client = bpf_get_netns_cookie(ctx);
	/* Envoy must see which Service was meant. Sockets of the node itself have no way to it. */
	if (svc->proxy_port && ctx->protocol == IPPROTO_TCP && r.client != config.netns)
		return PROCEED;
	if (!svc->count)
		return refuse();
	rk.cookie = bpf_get_socket_cookie(ctx);
	if (datagram && !svc->affinity_s)
		r.flow = rk.cookie;
	if (choose_backend(&r, svc, &backend))
		return refuse();
	rk.addr = backend.addr;
	rk.port = backend.port;
	rv.addr = addr;
	rv.port = ctx->user_port;
	if (bpf_map_update_elem(&weft_sk_reverse, &rk, &rv, BPF_ANY) && datagram)
		return refuse(); /* the answer would come from a stranger */
	ctx_set(ctx, v6, &backend.addr, backend.port);
	return PROCEED;
}

/* Gives the address of a backend its frontend's face again. */
static __always_inline int reverse(struct bpf_sock_addr *ctx, int v6)
{
	struct weft_sk_reverse_key rk = {};
	struct weft_sk_reverse *rv;

	rk.cookie = bpf_get_socket_cookie(ctx);
	ctx_addr(ctx, v6, &rk.addr);
	rk.port = ctx->user_port;
	rv = bpf_map_lookup_elem(&weft_sk_reverse, &rk);
	if (rv)
		ctx_set(ctx, v6, &rv->addr, rv->port);
	return PROCEED;
}

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 0, 0);
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 1, 0);
}

SEC("cgroup/sendmsg4")
int weft_sendmsg4(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 0, 1);
}

SEC("cgroup/sendmsg6")
int weft_sendmsg6(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 1, 1);
}

SEC("cgroup/recvmsg4")
int weft_recvmsg4(struct bpf_sock_addr *ctx)
{
	return reverse(ctx, 0);
}

SEC("cgroup/recvmsg6")
int weft_recvmsg6(struct bpf_sock_addr *ctx)
{
	return reverse(ctx, 1);
}

SEC("cgroup/getpeername4")
int weft_getpeername4(struct bpf_sock_addr *ctx)
{
	return reverse(ctx, 0);
}

SEC("cgroup/getpeername6")
int weft_getpeername6(struct bpf_sock_addr *ctx)
{
	return reverse(ctx, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
