#ifndef AGENT_SHELL_RENEW_H
#define AGENT_SHELL_RENEW_H

#include <stdbool.h>

#include "agent/shell/keys.h"
#include "proto/wire/renew.h"

/* The agent keeps its certificate good, and brings in new keys (`kinward agent rotate`):
 *
 *   two thirds of the life of the certificate are over, or a new key is there → RENEW in the session, signed by the identity key for this
 *   connection → RENEWED → chain.pem is replaced in one step → the next connection shows it
 *
 * A certificate that has expired, or that the hub refuses, gets no session: then RENEW goes through the enrolment door, which
 * asks for none. A new key is in the key file before the hub hears of it, and takes the place of the former one when the
 * directory has it under our own name. So a stop anywhere leaves a pair that works.
 *
 * What can fail: the hub refuses (told in `kinward status`, tried again, less often each time); it does not answer (the next session);
 * it sends what is no certificate of ours (refused, and the one in use stays); the disk (the same). */

struct agent;
struct agent_renew;
struct kw_frame;

/* The order of `kinward agent rotate`, in the state directory: "identity REASON", "tls" or "sealing" and a line end. */
#define AGENT_ROTATE_FILE "rotate.order"
/* How long a former sealing key is kept: the longest life of a message, and 48 hours. */
#define AGENT_FORMER_MS KW_IDENTITY_FORMER_MS

/* After keys, chain and roles are loaded. KW_ENOMEM, KW_EFORMAT. */
KW_MUST_USE enum kw_err agent_renew_open(struct agent *agent);
/* Before the loop ends; lets what is under way end. Accepts an agent without. */
void agent_renew_close(struct agent *agent);
/* Which of the two TLS keys is the leaf's: its seed. NULL: neither. */
const uint8_t *agent_renew_seed(const struct keys *keys, X509 *leaf);
/* Who we are, for agent_roles.h; also whenever the keys have changed. */
struct agent_roles_self;
KW_MUST_USE enum kw_err agent_renew_self(const struct agent *agent, struct agent_roles_self *out);

/* Once a second. */
void agent_renew_tick(struct agent *agent);
/* RENEWED in the session. An error ends it. */
KW_MUST_USE enum kw_err agent_renew_frame(struct agent *agent, struct kw_view body);
/* The session, or the attempt at one, has ended with this. */
void agent_renew_down(struct agent *agent, enum kw_err err);
/* The hub has ended it with this. */
void agent_renew_refused(struct agent *agent, enum kw_err err);
/* Instead of a session, when there can be none with this certificate: goes to the enrolment door, and connects when it has a new one, or says
 * agent_conn_down. False: there can be one. */
bool agent_renew_connect(struct agent *agent);
/* There is another directory. */
void agent_renew_directory(struct agent *agent);

struct agent_renew_state {
	int64_t expires_unix_ms;  /* of the certificate */
	enum kw_err problem;      /* why the hub did not renew it last time; KW_OK: it did, or was not asked */
	const char *text;         /* what is wrong with certificate or clock and what to do; "" when nothing. Static, or the agent's. */
	const char *rotating;     /* "identity", "tls", "sealing", of what is being brought in, the first; "" for none */
};
void agent_renew_state(const struct agent *agent, struct agent_renew_state *out);

#endif
