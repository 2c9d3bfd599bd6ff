#ifndef AGENT_SHELL_AGENT_AUDIT_H
#define AGENT_SHELL_AGENT_AUDIT_H

#include "agent/shell/agent_inner.h"
#include "proto/wire/frame_audit.h"

/* The audit log of our hub, as one who follows it (proto/wire/audit.h): what was believed is on disk before it counts; what is
 * not believed is an alarm, which is logged and shown until a person accepts the log. Nothing of it stops a message: a hub that
 * signs no checkpoint, or a wrong one, delivers as before. */

#define AGENT_AUDIT_FILE "audit.bin"
#define AGENT_AUDIT_CALLS_MAX 16u /* proofs that callers wait for */
#define AGENT_AUDIT_WAIT_S 8u

/* What the file holds. */
struct agent_log_state {
	struct kw_audit_client client;
	struct kw_buf last;     /* the SignedRole of client.last; empty: none yet */
	struct kw_role_keys keys;
	uint8_t log_key[KW_KEY_SIZE];
	bool keyed;             /* log_key is known */
	enum kw_audit_rule alarm;
	int64_t alarm_unix_ms;
	struct kw_buf refused;  /* the SignedRole that raised it */
};

/* agent_audit_state.c. A damaged file is KW_EFORMAT and leaves an empty state. */
void agent_log_state_init(struct agent_log_state *state, const struct kw_name *hub);
void agent_log_state_fini(struct agent_log_state *state);
KW_MUST_USE enum kw_err agent_log_state_load(const char *path, struct agent_log_state *state);
KW_MUST_USE enum kw_err agent_log_state_save(const char *path, const struct agent_log_state *state);

/* The keys that sign the log of our hub. `offered`: what the hub gave with a checkpoint, or empty. Until the root names the
 * keys of the log, the first one that came is the one. False: not known yet. */
bool agent_log_keys(struct agent *agent, struct kw_view offered, struct kw_role_keys *out);

KW_MUST_USE enum kw_err agent_audit_open(struct agent *agent);
void agent_audit_free(struct agent *agent);
/* For HELLO. */
uint64_t agent_audit_size(const struct agent *agent);
/* CHECKPOINT or PROOF. An error: the frame breaks the protocol; a log that is not believed is none. */
KW_MUST_USE enum kw_err agent_audit_frame(struct agent *agent, const struct kw_frame *frame);
/* The session has ended, or the agent stops: who waits is told. */
void agent_audit_down(struct agent *agent);
void agent_audit_tick(struct agent *agent);
void agent_audit_status(const struct agent *agent, Kinward__V1__StatusReply *reply);
/* The host's. */
void agent_audit(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

#endif
