#ifndef AGENT_CLIENTS_C_KINWARD_H
#define AGENT_CLIENTS_C_KINWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "kinward/v1/local.pb-c.h"
#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* A blocking client of kinward-agent's local socket. Needs protobuf-c, proto/base and the C made from
 * proto/kinward/v1/local.proto; nothing else, so it can be built into a case system.
 *
 *     struct kinward agent;
 *     Kinward__V1__LocalReply *reply = NULL;
 *     if (kinward_open(&agent, NULL, 10000) != KW_OK || kinward_ask(&agent, &request, &reply) != KW_OK)
 *         fprintf(stderr, "%s\n", agent.problem);
 *     else if (kinward_refusal(reply))
 *         fprintf(stderr, "%s: %s\n", kinward_refusal(reply)->field, kinward_refusal(reply)->text);
 *     kinward_reply_free(reply);
 *     kinward_close(&agent);
 *
 * One struct kinward serves one thread at a time. */

#define KINWARD_SOCKET_DEFAULT "/run/kinward/agent.sock"
#define KINWARD_SOCKET_ENV "KINWARD_SOCKET"

/* Largest request and reply, bytes of protobuf. */
#define KINWARD_REQUEST_SIZE_MAX (1024u * 1024u)
#define KINWARD_REPLY_SIZE_MAX (64u * 1024u * 1024u)
#define KINWARD_PROBLEM_SIZE_MAX 511u

struct kinward {
	int fd; /* -1 when closed */
	int timeout_ms;
	uint64_t last_id;
	uint64_t subscription; /* id of the subscribe request; 0 for none */
	struct kw_buf in;      /* read and not used yet; wiped, it holds content */
	/* What went wrong in the last call that did not return KW_OK, and what to do: one or two English sentences. */
	char problem[KINWARD_PROBLEM_SIZE_MAX + 1];
};

/* The path that kinward_open uses for NULL: the environment's KINWARD_SOCKET if it is set, else the default. */
const char *kinward_socket_path(void);

/* Connects.
 *   agent       set up in every case; give it to kinward_close
 *   path        of the socket; NULL for kinward_socket_path()
 *   timeout_ms  limit of this call and of each later kinward_ask; at least 1
 * KW_ENOTFOUND  no such socket     KW_ECLOSED  nobody listens
 * KW_EDENIED    not permitted      KW_ETIMEOUT, KW_EFIELD (path too long), KW_EIO, KW_ENOMEM */
KW_MUST_USE enum kw_err kinward_open(struct kinward *agent, const char *path, int timeout_ms);

/* Closes, and wipes what was buffered. Accepts NULL and an agent that is closed or zeroed by kinward_open. */
void kinward_close(struct kinward *agent);

/* Sends one request and waits for its reply.
 *   request  its id is set by this call; the rest is the caller's
 *   reply    written on KW_OK; free with kinward_reply_free. KW_OK means that the agent answered: its answer may be a
 *            refusal, see kinward_refusal
 * KW_ETIMEOUT  no answer in time. The agent may still carry it out: ask again with the same content.message_id, which the
 *              agent then recognises
 * KW_ECLOSED   the agent closed the connection: open a new one and ask again, in the same way
 * KW_ESTATE    this connection is subscribed; use a second one
 * KW_ETOOBIG, KW_EFORMAT, KW_EIO, KW_ENOMEM */
KW_MUST_USE enum kw_err kinward_ask(struct kinward *agent, Kinward__V1__LocalRequest *request,
	Kinward__V1__LocalReply **reply);

/* Asks for every new inbox item on this connection: those after number `after`, or with 0 those not acknowledged.
 * KW_ESTATE if it is subscribed already; otherwise as kinward_ask. */
KW_MUST_USE enum kw_err kinward_subscribe(struct kinward *agent, uint64_t after);

/* Waits for the next reply of the subscription: an item, or a refusal that ends it.
 *   timeout_ms  0 looks without waiting; negative waits for ever
 *   reply       as in kinward_ask
 * KW_ETIMEOUT  nothing yet; call again, nothing is lost
 * KW_ESTATE    not subscribed; otherwise as kinward_ask. */
KW_MUST_USE enum kw_err kinward_next(struct kinward *agent, int timeout_ms, Kinward__V1__LocalReply **reply);

/* The agent's refusal in this reply, or NULL. Lives as long as the reply. */
const Kinward__V1__LocalError *kinward_refusal(const Kinward__V1__LocalReply *reply);

/* Accepts NULL. */
void kinward_reply_free(Kinward__V1__LocalReply *reply);

#endif
