#include <stdlib.h>
#include <string.h>

#include "proto/link/address.h"
#include "proto/link/link_inner.h"

const struct kw_link_limits KW_LINK_LIMITS_DEFAULT = {
	.connections_max = 16384,
	.half_open_max = 256,
	.half_open_per_address_max = 8,
	.handshake_ms = 20000,
	.first_frame_ms = 10000,
	.handshakes_per_s_max = 50,
};

#define LISTEN_BACKLOG 512

static bool too_many_from(const struct kw_link_server *server, const char *address)
{
	uint32_t count = 0;
	for (const struct kw_link *link = server->net->watched; link != NULL; link = link->next_watched)
		if (link->is_half_open && strcmp(link->address, address) == 0)
			count++;
	return count > server->limits.half_open_per_address_max;
}

/* A handshake costs a core a millisecond: a storm of them, after an outage, must not starve who is in already. libuv does
 * not accept the next connection before this one is taken, so not taking it leaves the rest in the listen queue. */
static bool over_rate(struct kw_link_server *server)
{
	uint64_t now = uv_now(server->net->loop);
	if (now - server->second_ms >= 1000) {
		server->second_ms = now;
		server->accepted = 0;
	}
	if (server->limits.handshakes_per_s_max == 0 || server->accepted < server->limits.handshakes_per_s_max) {
		server->accepted++;
		return false;
	}
	return true;
}

/* libuv calls again only after a connection is taken, so whoever does not take one must come back by the clock. */
static void wait(struct kw_link_server *server)
{
	if (server->waiting)
		return;
	server->waiting = true;
	server->next_waiting = server->net->waiting;
	server->net->waiting = server;
}

static void take(struct kw_link_server *server)
{
	uv_stream_t *stream = (uv_stream_t *)&server->tcp;
	struct kw_link *link = link_new(server->net, server->context, &server->hooks);
	if (link == NULL) {
		wait(server);
		return;
	}
	link->server = server;
	server->links++;
	link->is_half_open = true;
	server->net->half_open++;
	if (uv_accept(stream, (uv_stream_t *)&link->tcp) != 0) {
		link_drop(link, KW_ECLOSED);
		return;
	}
	net_watch(link, server->limits.handshake_ms);
	link_start(link);
	if (server->links > server->limits.connections_max || server->net->half_open > server->limits.half_open_max ||
		too_many_from(server, link->address))
		link_drop(link, KW_EBUSY);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct kw_link_server *server = stream->data;
	if (status != 0)
		return; /* out of descriptors, or the peer has gone: libuv sheds it, live ones go on */
	if (over_rate(server))
		wait(server);
	else
		take(server);
}

void server_resume_all(struct kw_net *net)
{
	struct kw_link_server *server = net->waiting;
	net->waiting = NULL;
	while (server != NULL) {
		struct kw_link_server *next = server->next_waiting;
		server->waiting = false;
		if (over_rate(server))
			wait(server);
		else
			take(server);
		server = next;
	}
}

static void free_server(struct kw_link_server *server)
{
	if (server->handle_closed && server->links == 0)
		free(server);
}

void server_link_gone(struct kw_link_server *server)
{
	server->links--;
	free_server(server);
}

static void on_server_closed(uv_handle_t *handle)
{
	struct kw_link_server *server = handle->data;
	server->handle_closed = true;
	free_server(server);
}

static int bind_to(uv_tcp_t *tcp, const char *host, int port)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	if (uv_ip4_addr(host, port, &v4) == 0)
		return uv_tcp_bind(tcp, (const struct sockaddr *)&v4, 0);
	int status = uv_ip6_addr(host, port, &v6);
	return status != 0 ? status : uv_tcp_bind(tcp, (const struct sockaddr *)&v6, 0);
}

static enum kw_err listen_err(int status)
{
	switch (status) {
	case UV_EINVAL:
		return KW_EFIELD;
	case UV_EADDRINUSE:
		return KW_EBUSY;
	case UV_EADDRNOTAVAIL:
		return KW_ENOTFOUND;
	case UV_EACCES:
		return KW_EDENIED;
	default:
		return KW_EIO;
	}
}

enum kw_err kw_link_listen(struct kw_net *net, const char *address, struct kw_tls_context *context,
	const struct kw_link_hooks *hooks, struct kw_link_server **out)
{
	char host[KW_ADDRESS_HOST_SIZE];
	char port[KW_ADDRESS_PORT_SIZE];
	enum kw_err err = kw_address_split(address, host, port);
	if (err != KW_OK)
		return err;
	struct kw_link_server *server = calloc(1, sizeof(*server));
	if (server == NULL)
		return KW_ENOMEM;
	server->net = net;
	server->context = context;
	server->hooks = *hooks;
	server->limits = KW_LINK_LIMITS_DEFAULT;
	if (uv_tcp_init(net->loop, &server->tcp) != 0) {
		free(server);
		return KW_ENOMEM;
	}
	server->tcp.data = server;
	int status = bind_to(&server->tcp, host, (int)strtol(port, NULL, 10));
	if (status == 0)
		status = uv_listen((uv_stream_t *)&server->tcp, LISTEN_BACKLOG, on_connection);
	if (status != 0) {
		kw_link_server_close(server);
		return listen_err(status);
	}
	*out = server;
	return KW_OK;
}

void kw_link_server_limits(struct kw_link_server *server, const struct kw_link_limits *limits)
{
	server->limits = *limits;
}

uint16_t kw_link_server_port(const struct kw_link_server *server)
{
	struct sockaddr_storage name;
	int size = sizeof(name);
	if (uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&name, &size) != 0)
		return 0;
	/* The port stands at the same place in both families. */
	return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

void kw_link_server_close(struct kw_link_server *server)
{
	if (server == NULL || server->closed)
		return;
	server->closed = true;
	struct kw_link_server **at = &server->net->waiting;
	while (*at != NULL && *at != server)
		at = &(*at)->next_waiting;
	if (*at == server)
		*at = server->next_waiting;
	uv_close((uv_handle_t *)&server->tcp, on_server_closed);
}

struct dial {
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	struct kw_link *link;
};

static void on_connected(uv_connect_t *connect, int status)
{
	struct dial *dial = connect->data;
	struct kw_link *link = dial->link;
	free(dial);
	if (link->is_closing_handle)
		return;
	if (status != 0)
		link_drop(link, KW_EOFFLINE);
	else
		link_start(link);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
	struct dial *dial = resolve->data;
	struct kw_link *link = dial->link;
	link->resolving = NULL;
	if (link->is_closing_handle || status != 0 ||
		uv_tcp_connect(&dial->connect, &link->tcp, found->ai_addr, on_connected) != 0) {
		if (link->is_closing_handle)
			link_closed_late(link);
		else
			link_drop(link, KW_EOFFLINE);
		free(dial);
	}
	uv_freeaddrinfo(found);
}

enum kw_err kw_link_connect(struct kw_net *net, const char *address, struct kw_tls_context *context,
	const struct kw_link_hooks *hooks, struct kw_link **out)
{
	char host[KW_ADDRESS_HOST_SIZE];
	char port[KW_ADDRESS_PORT_SIZE];
	enum kw_err err = kw_address_split(address, host, port);
	if (err != KW_OK)
		return err;
	struct kw_link *link = link_new(net, context, hooks);
	if (link == NULL)
		return KW_ENOMEM;
	net_watch(link, KW_LINK_LIMITS_DEFAULT.handshake_ms);
	*out = link;
	struct dial *dial = calloc(1, sizeof(*dial));
	if (dial == NULL) {
		link_drop(link, KW_ENOMEM);
		return KW_OK;
	}
	dial->link = link;
	dial->resolve.data = dial;
	dial->connect.data = dial;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	link->resolving = &dial->resolve;
	if (uv_getaddrinfo(net->loop, &dial->resolve, on_resolved, host, port, &hints) != 0) {
		link->resolving = NULL;
		free(dial);
		link_drop(link, KW_EOFFLINE);
	}
	return KW_OK;
}
