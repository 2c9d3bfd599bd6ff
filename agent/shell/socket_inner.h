#ifndef AGENT_SHELL_SOCKET_INNER_H
#define AGENT_SHELL_SOCKET_INNER_H

#include <uv.h>

#include "agent/shell/socket.h"
#include "agent/shell/spool_read.h"

/* Shared by socket.c (connections and bytes), socket_call.c (requests), socket_list.c (items) socket_case.c (threads)
 * and socket_week.c (weekly numbers). */

struct socket_conn {
	uv_pipe_t pipe;
	struct socket *socket;
	struct socket_conn *next;
	struct socket_conn **at;
	struct kw_buf in;
	uint32_t calls;    /* under way; each holds the connection */
	bool pumping;
	bool reading;
	bool ending;       /* no more requests; closes once all replies have left */
	bool closing;      /* uv_close was called */
	bool closed;
	uint64_t subscribed; /* id of the request; 0 = not */
	uint64_t after;
};

struct socket {
	uv_pipe_t pipe;
	uv_loop_t *loop;
	struct socket_options options;
	struct socket_host host;
	char *path;
	struct socket_conn *conns;
	uint32_t count;
	bool closing;
	bool closed;
	char space[65536]; /* read into; used within one callback */
};

struct socket_call {
	struct socket_conn *conn;
	uint64_t id;
};

/* What a refusal says besides its code; both may be NULL. */
struct socket_detail {
	const char *field;
	const char *text;
};

/* Dead letters that nobody has acknowledged, of threads that are not erased; at most 100, the oldest first. */
struct socket_dead_one;
struct socket_dead {
	struct socket_dead_one *list;
	Kinward__V1__Item **rows;
	size_t count;
};
/* Fini in both cases. */
KW_MUST_USE enum kw_err socket_dead(struct spool *spool, struct socket_dead *out);
void socket_dead_fini(struct socket_dead *dead);

/* What our own case system has to be cleared of. */
struct socket_clear_one;
struct socket_clears {
	struct socket_clear_one *list;
	Kinward__V1__ClearRow **rows;
	size_t count;
	size_t room;
};
/* Fini in both cases. */
KW_MUST_USE enum kw_err socket_clears(struct spool *spool, struct socket_clears *out);
void socket_clears_fini(struct socket_clears *clears);

/* Rows of what was asked about consent. */
struct socket_consent;
struct socket_consents {
	struct socket_consent *list;
	Kinward__V1__ConsentRow **rows;
	size_t count;
	size_t room;
};

/* Handles one request. */
void socket_request(struct socket_conn *conn, struct kw_view bytes);
/* A call under way; NULL when memory is out. */
struct socket_call *socket_call_new(struct socket_conn *conn, uint64_t id);
/* Writes a reply, if the connection still is. */
void socket_reply(struct socket_conn *conn, const Kinward__V1__LocalReply *reply);
void socket_refuse(struct socket_conn *conn, uint64_t id, enum kw_err err, const struct socket_detail *detail);
/* Goes on with requests that wait in the buffer, and frees the connection when it is over. */
void socket_pump(struct socket_conn *conn);
void socket_push(struct socket_conn *conn);

void socket_do_list(struct socket_conn *conn, uint64_t id, enum spool_list list, const Kinward__V1__ListRequest *request);
void socket_do_show(struct socket_conn *conn, uint64_t id, const Kinward__V1__ShowRequest *request);
void socket_do_cases(struct socket_conn *conn, uint64_t id, const Kinward__V1__CaseListRequest *request);
void socket_do_case(struct socket_conn *conn, uint64_t id, const Kinward__V1__CaseShowRequest *request);
void socket_do_todo(struct socket_conn *conn, uint64_t id, const Kinward__V1__TodoRequest *request);
void socket_do_consents(struct socket_conn *conn, uint64_t id, const Kinward__V1__ConsentListRequest *request);
/* What was asked about consent, in the order of the list. Fini in both cases. KW_ENOMEM. */
KW_MUST_USE enum kw_err socket_consents(struct spool *spool, const Kinward__V1__ConsentListRequest *request,
	struct socket_consents *out);
/* What was asked in one thread: one row, or none. Fini in both cases. */
KW_MUST_USE enum kw_err socket_consent_of(struct spool *spool, const struct spool_thread *thread, struct socket_consents *out);
void socket_consents_fini(struct socket_consents *consents);
void socket_do_care_count(struct socket_conn *conn, uint64_t id);
void socket_do_week_keep(struct socket_conn *conn, uint64_t id, const Kinward__V1__WeekKeepRequest *request);
/* socket_aside.c */
void socket_do_unopened(struct socket_conn *conn, uint64_t id, const Kinward__V1__ListRequest *request);
void socket_do_subscribe(struct socket_conn *conn, uint64_t id, const Kinward__V1__SubscribeRequest *request);

#endif
