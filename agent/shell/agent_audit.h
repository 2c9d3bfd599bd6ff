#ifndef AGENT_SHELL_AGENT_AUDIT_H
#define AGENT_SHELL_AGENT_AUDIT_H

#include "agent/shell/agent_inner.h"
#include "proto/wire/frame_audit.h"

/* The audit log of our hub, as one who follows it (proto/wire/audit.h): what was believed is on disk before it counts; what is
 * not believed is an alarm, which is logged and shown until a person accepts the log. Nothing of it stops a message: a hub that
 * signs no checkpoint, or a wrong one, delivers as before. */

#define AGENT_AUDIT_FILE "audit.bin"
#define AGENT_AUDIT_CALLS_MAX 16u /* proofs that callers wait for */
#define AGENT_AUDIT_WAIT_S 8u     /* for one answer of the hub */
#define AGENT_AUDIT_ROOT_S 60u    /* for a root that explains a signature */

/* What the file holds. */
struct agent_log_state {
	struct kw_audit_client client;
	struct kw_buf last;     /* the SignedRole of client.last; empty: none yet */
	enum kw_audit_rule alarm;
	int64_t alarm_unix_ms;
	struct kw_buf refused;  /* the SignedRole that raised it */
};

/* agent_audit_state.c. A damaged file is KW_EFORMAT and leaves an empty state. */
void agent_log_state_init(struct agent_log_state *state, const struct kw_name *hub);
void agent_log_state_fini(struct agent_log_state *state);
KW_MUST_USE enum kw_err agent_log_state_load(const char *path, struct agent_log_state *state);
KW_MUST_USE enum kw_err agent_log_state_save(const char *path, const struct agent_log_state *state);

/* A caller that waits for the hub, or nobody. */
struct agent_audit_wait {
	struct socket_call *call;
	struct kw_frame_prove prove;
	struct kw_checkpoint other; /* of a caller who brings one; size 0: none */
	bool witnessed;             /* ... that a witness says it has seen, and the hub has not signed here */
	uint64_t number;            /* of the message of ours that the proof is kept with; 0: none */
	uint32_t left_s;
	bool again;                 /* the hub was busy */
	bool used;
};

struct agent_log {
	struct agent_log_state state;
	char path[4096];
	struct kw_role_keys keys; /* of a reply that is being written */
	bool asked; /* for growth, in this session */
	struct kw_buf unjudged; /* a LogCheckpoint that our root's keys have not signed; empty: none */
	uint32_t unjudged_s;    /* 0: as long as there is no root at all */
	struct agent_audit_wait waiting[AGENT_AUDIT_CALLS_MAX];
};

/* agent_audit_wait.c. What callers wait for. */
KW_MUST_USE enum kw_err agent_audit_ask(struct agent *agent, const struct kw_frame_prove *prove);
/* Where a caller may wait; NULL: all places are taken, or somebody waits for the same. */
struct agent_audit_wait *agent_audit_place(struct agent_log *log, const struct kw_frame_prove *prove);
/* Refuses the call when it cannot be asked. */
void agent_audit_wait_for(struct agent *agent, const struct agent_audit_wait *what);
void agent_audit_wait_tick(struct agent *agent);
/* True: somebody waited for it. */
bool agent_audit_answer(struct agent *agent, const struct kw_frame_proof *frame);
void agent_audit_reply(struct socket_call *call, Kinward__V1__AuditReply *body);
void agent_audit_fill(const struct agent *agent, Kinward__V1__AuditReply *body);
/* The first alarm stays: it has the checkpoint that shows it. */
void agent_audit_alarm(struct agent *agent, enum kw_audit_rule rule, struct kw_view refused);

/* agent_audit_held.c. Keeps a verified proof beside the message of this number; what cannot be kept is logged. */
void agent_audit_keep(struct agent *agent, uint64_t number, struct kw_view inclusion);
/* A caller brings what a witness has said. */
void agent_audit_witnessed(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call);

KW_MUST_USE enum kw_err agent_audit_open(struct agent *agent);
void agent_audit_free(struct agent *agent);
/* For HELLO. */
uint64_t agent_audit_size(const struct agent *agent);
/* CHECKPOINT or PROOF. An error: the frame breaks the protocol; a log that is not believed is none. */
KW_MUST_USE enum kw_err agent_audit_frame(struct agent *agent, const struct kw_frame *frame);
/* A root may have come: what was not to be judged by the keys before is judged now. */
void agent_audit_roles(struct agent *agent);
/* The session has ended, or the agent stops: who waits is told. */
void agent_audit_down(struct agent *agent);
void agent_audit_tick(struct agent *agent);
void agent_audit_status(const struct agent *agent, Kinward__V1__StatusReply *reply);
/* The host's. */
void agent_audit(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

#endif
