#ifndef KW_LINK_LINK_INNER_H
#define KW_LINK_LINK_INNER_H

#include <uv.h>

#include "proto/link/link.h"

/* Shared by link.c (one connection), link_net.c (what a loop's links share) and link_dial.c (listen and connect). */

#define LINK_READ_SIZE 65536u
/* Plaintext of one read: no more than its ciphertext, one record of head room. */
#define LINK_PLAIN_SIZE_MAX (LINK_READ_SIZE + 4u * 16384u + KW_FRAME_SIZE_MAX)

enum link_state { LINK_OPENING, LINK_OPEN, LINK_CLOSING };

struct kw_net {
	uv_loop_t *loop;
	uv_prepare_t turn_end;
	uv_idle_t no_wait; /* runs while a link waits to be flushed, so that poll does not sleep */
	uv_timer_t clock;
	struct kw_link *dirty;
	struct kw_link *watched; /* with a deadline */
	struct kw_link_server *waiting; /* servers that accepted their share of this second */
	struct kw_net_stats stats;
	struct kw_buf plain;
	uint32_t half_open;
	uint32_t open_handles;
	char read[LINK_READ_SIZE];
};

struct kw_link {
	uv_tcp_t tcp;
	uv_write_t write;
	struct kw_net *net;
	struct kw_link_server *server; /* NULL: dialled */
	struct kw_tls *tls;
	struct kw_link_hooks hooks;
	void *user;
	struct kw_buf out;     /* plaintext frames */
	struct kw_buf partial; /* start of a frame */
	struct kw_buf writing; /* ciphertext lent to uv_write */
	struct kw_link *next_dirty;
	struct kw_link *next_watched;
	struct kw_link **link_watched;
	uint64_t deadline_ms;
	enum link_state state;
	enum kw_err err;
	struct kw_link_stats stats;
	bool is_dirty;
	bool is_writing;
	bool is_paused;
	bool is_half_open;
	bool is_closing_handle;
	bool is_handle_closed;
	uv_getaddrinfo_t *resolving; /* keeps the link alive until it has ended */
	char address[64];
};

struct kw_link_server {
	uv_tcp_t tcp;
	struct kw_net *net;
	struct kw_tls_context *context;
	struct kw_link_hooks hooks;
	struct kw_link_limits limits;
	uint32_t links;
	uint64_t second_ms;       /* start of the second that accepted counts */
	uint32_t accepted;
	bool waiting;             /* the listen queue waits for the next second */
	struct kw_link_server *next_waiting;
	bool closed; /* freed once its links are gone too */
	bool handle_closed;
};

/* link.c */
struct kw_link *link_new(struct kw_net *net, struct kw_tls_context *context, const struct kw_link_hooks *hooks);
/* TCP is up: TLS starts, reading starts. */
void link_start(struct kw_link *link);
/* Closes the handle now, whatever waits. */
void link_drop(struct kw_link *link, enum kw_err err);
/* The name look-up of a link whose handle has closed meanwhile has ended too. */
void link_closed_late(struct kw_link *link);
/* Encrypts and writes what waits. */
void link_flush(struct kw_link *link);

/* link_net.c */
void net_dirty(struct kw_link *link);
void net_watch(struct kw_link *link, uint32_t after_ms);
void net_unwatch(struct kw_link *link);

/* link_dial.c */
void server_link_gone(struct kw_link_server *server);
/* Accepts what waits in the listen queues, a new second having begun. */
void server_resume_all(struct kw_net *net);

#endif
