#ifndef AGENT_SHELL_SOCKET_H
#define AGENT_SHELL_SOCKET_H

#include "agent/shell/spool.h"
#include "kinward/v1/local.pb-c.h"
#include "proto/wire/directory.h"
#include "proto/wire/message.h"

/* The local socket (kinward/v1/local.proto): Unix domain, one loop thread, for users of this machine that are allowed.
 *
 * A caller may have many requests under way on one connection; replies come as they are ready. A caller that does not
 * read is not read from either; one whose replies pile up is cut off. */

#define SOCKET_REQUEST_SIZE_MAX 65536u
#define SOCKET_CALLS_MAX 64u               /* requests under way on one connection */
#define SOCKET_LIST_BYTES_MAX (1u << 20)   /* contents in one list; the caller asks on */
#define SOCKET_PENDING_BYTES (1u << 20)    /* replies not taken: no more requests are read */
#define SOCKET_IDS_MAX 500u
#define SOCKET_CONNECTIONS_DEFAULT 64u
#define SOCKET_NO_SPACE_TEXT \
	"This agent's store or disk is nearly full, so it takes nothing new; what it has is safe. Free disk, or raise store_mib in " \
	"agent.yaml and restart it; then try again."

struct socket;
struct socket_call; /* one request whose reply is due */
struct uv_loop_s;

struct socket_identity {
	struct kw_digest identity_fingerprint;
	uint8_t sealing_key_id[8];
	struct kw_digest root_fingerprint;
	const struct kw_directory *directory; /* borrowed for the call; may be NULL */
};

/* Who is behind the socket. */
struct socket_host {
	void *user;
	struct spool *spool;
	/* Answers with socket_call_sent or socket_call_refuse, now or later. The request lives for the call; its content may
	 * be completed in place. */
	void (*send)(void *user, Kinward__V1__SendRequest *request, struct socket_call *call);
	/* Strings are borrowed until the next call of the host. */
	void (*status)(void *user, Kinward__V1__StatusReply *reply);
	void (*identity)(void *user, struct socket_identity *out);
	/* attach, attachment_get, attachments: answers with socket_call_reply or socket_call_refuse, now or later. The request
	 * lives for the call. NULL: refused. */
	void (*attachment)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
	/* services, publish, refer, offers, lease: the same. */
	void (*service)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
	/* Hub time, milliseconds since 1970: what clocks run on. NULL: our own. */
	int64_t (*hub_ms)(void *user);
	/* batch: likewise; a batch belongs to the caller that socket_call_caller gives. */
	void (*batch)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
	/* This caller is gone for good. NULL: nobody asks. */
	void (*gone)(void *user, const void *caller);
	/* proof: likewise. */
	void (*proof)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
	/* consent_withdraw, consent_answer: likewise. */
	void (*consent)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
};

struct socket_options {
	const char *path;
	const uint32_t *allow_uids; /* besides root and our own; borrowed for the socket's life */
	unsigned allow_uids_count;
	uint32_t connections_max;   /* 0 = SOCKET_CONNECTIONS_DEFAULT */
};

/* Listens. A socket file that nobody listens on is replaced. KW_EEXIST when somebody does, KW_EIO, KW_ENOMEM. */
KW_MUST_USE enum kw_err socket_open(const struct socket_options *options, const struct socket_host *host,
	struct uv_loop_s *loop, struct socket **out);
/* Takes no more connections and requests; replies that are due still leave. Accepts NULL. */
void socket_stop(struct socket *socket);
/* Stops; open connections are closed. Calls that are not answered yet must still be. Accepts NULL. */
void socket_close(struct socket *socket);

/* New items may be in the inbox: tells the subscribers. */
void socket_news(struct socket *socket);

/* The connection that the call came on: to tell callers apart. */
const void *socket_call_caller(const struct socket_call *call);
/* A registration as an operation of the spool, with *out to be handed over; or why not. KW_EFIELD, KW_ENOSPACE, KW_ENOMEM. */
KW_MUST_USE enum kw_err socket_register_op(struct spool *spool, const Kinward__V1__RegisterRequest *request,
	struct kw_fault *fault, struct spool_op **out);

struct socket_sent {
	struct kw_id message_id;
	struct kw_id thread_id;
	struct kw_id envelope_id;
	bool repeated;
};
/* Each ends the call. field and text may be NULL; a NULL text is the error's own. */
void socket_call_sent(struct socket_call *call, const struct socket_sent *sent);
/* Any reply; its id is filled in. */
void socket_call_reply(struct socket_call *call, Kinward__V1__LocalReply *reply);
void socket_call_refuse(struct socket_call *call, enum kw_err err, const char *field, const char *text);

#endif
