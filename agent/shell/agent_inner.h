#ifndef AGENT_SHELL_AGENT_INNER_H
#define AGENT_SHELL_AGENT_INNER_H

#include <openssl/x509.h>
#include <uv.h>

#include "agent/core/core.h"
#include "agent/shell/agent.h"
#include "agent/shell/agent_roles.h"
#include "agent/shell/letter.h"
#include "agent/shell/settings.h"
#include "agent/shell/socket.h"
#include "agent/shell/spool_read.h"
#include "proto/link/link.h"
#include "proto/wire/message.h"

/* Shared by the agent's own files: agent.c (life), agent_state.c (the state directory), agent_plan.c (the core's
 * effects), agent_link.c (frames), agent_blob.c and agent_desk.c (attachments), agent_send.c (what callers send), agent_in.c
 * (what arrives), agent_receipt.c (receipts and retries), agent_thread.c (what threads allow and ask for). */

#define AGENT_CHAIN_FILE "chain.pem"
#define AGENT_ROOT_FILE "root.pem"
#define AGENT_KEYS_FILE "keys"
#define AGENT_SPOOL_FOLDER "spool"
#define AGENT_CONFIG_FILE "agent.yaml"
#define AGENT_BLOB_FOLDER "blobs"

#define AGENT_OUTBOX_DEFAULT 100000u
#define AGENT_SENDING_MAX 4096u
#define AGENT_LIFETIME_HOURS 720u
#define AGENT_LIFETIME_HOURS_MAX 1080u
#define AGENT_TICK_MS 1000u
#define AGENT_SWEEP_TICKS 10u
#define AGENT_SWEEP_ROWS 2000u
#define AGENT_HOUR_MS 3600000

/* A message of a caller on its way to the disk. */
struct agent_sending {
	struct agent *agent;
	struct agent_sending *next;
	struct agent_sending **at;
	struct socket_call *call; /* NULL: a follow-up of our own, or of a batch */
	struct agent_batch *batch; /* that it is part of; NULL: of none */
	struct kw_name agency;
	struct kw_id thread_id;
	uint64_t thread_sequence; /* 0: no place in a thread */
	enum kw_risk risk;
	char field[64];           /* of the content, that declares the state */
	struct socket_sent sent;
};

/* What cannot be sent is tried again after a while, each time longer. */
struct agent_pause {
	uint32_t seconds; /* 0: nothing failed */
	uint32_t left;
};
#define AGENT_PAUSE_MIN 10u
#define AGENT_PAUSE_MAX 3600u
/* Something could not be sent. */
void agent_pause_begin(struct agent_pause *pause);
/* After a part of what there is, `end`: the last. When all could be sent the next pause is short again. */
void agent_pause_round(struct agent_pause *pause, bool end);
/* One second has passed. True: try now. */
bool agent_pause_tick(struct agent_pause *pause);

/* How long receipts wait for company: drawn when the first begins to wait, and one time for all. */
struct agent_jitter {
	bool open;     /* all leave in this round */
	bool waits;
	uint32_t left; /* seconds */
};
#define AGENT_JITTER_MAX 30u
/* Whether one leaves now. If not, it waits: drawn % (AGENT_JITTER_MAX + 1) seconds unless others wait already. */
bool agent_jitter_leaves(struct agent_jitter *jitter, bool at_once, uint32_t drawn);
/* The next tick ends the wait. */
bool agent_jitter_is_over(const struct agent_jitter *jitter);
/* One second has passed. True: all leave, in rounds until agent_jitter_end. */
bool agent_jitter_tick(struct agent_jitter *jitter);
void agent_jitter_open(struct agent_jitter *jitter);
void agent_jitter_end(struct agent_jitter *jitter);

/* Whether a follow-up that could not be said for this error stays on the list; else it leaves it for good. */
bool agent_follow_stays(const struct spool_follow *follow, enum kw_err err);

/* What a refusal says besides its error. */
struct agent_refusal {
	const char *field;
	const char *text;
	char path[160];
	char words[400];
	struct kw_fault fault;
};

struct agent {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_signal_t signals[2];
	struct settings *settings;
	struct keys *keys;
	struct letter_office office;
	struct agent_roles *roles;
	const struct kw_directory *directory; /* of roles */
	struct kw_digest tls_key_digest;
	X509 *root;
	struct kw_digest root_fingerprint;
	EVP_PKEY *tls_key;
	struct kw_tls_context *tls;
	struct kw_net *net;
	struct kw_link_hooks hooks;
	struct kw_link *link;  /* NULL: none */
	struct spool *spool;
	struct socket *socket;

	struct agt *core;
	struct agt_plan *plan;
	bool stepping;
	bool wrote;            /* frames were appended to the link in this step */
	bool down_due;         /* CONN_DOWN waits for the end of the step */
	enum kw_err down_err;
	bool drained_due;
	uint64_t refill_from[KW_MSG_CLASS_COUNT]; /* 0: not asked */
	uint32_t refill_count[KW_MSG_CLASS_COUNT];
	struct spool_rows *rows;
	struct spool_op *submitting; /* the append that the SUBMIT in this step is about */

	uint64_t committed;    /* highest ticket that is durable */
	uint64_t committed_told;
	uv_check_t after;      /* ends a turn: tells the core of commits, writes receipts, tells subscribers */
	bool news;
	bool due;              /* receipts may be due */
	uint64_t due_next;
	struct agent_jitter jitter;
	uint32_t due_flying;   /* messages with receipts on their way to the disk */
	struct agent_pause due_pause; /* of those that could not be sent */
	uint32_t retrying;
	bool follow;           /* follow-ups may be due */
	uint32_t following;
	uint64_t follow_from;  /* key to go on from; 0: the first */
	struct agent_pause follow_pause;
	bool recall;           /* the hub may not know what it shall not deliver */
	uint32_t ticks;
	bool sweeping;

	enum spool_space space; /* as the log and the core know it */
	struct agent_batch *batch;      /* that is being given; NULL: none */
	struct agent_sending *staged;   /* while one of its messages is looked at: those before it */
	uint32_t staged_count;
	uint32_t committing;            /* batches on their way to the disk */
	struct agent_sending *sending;
	uint32_t sending_count;

	int64_t since_ms;
	int64_t skew_ms;
	struct kw_clock_limits limits; /* the hub's */
	int64_t hub_at_ms;  /* hub time ... */
	int64_t mono_at_ms; /* ... at this moment of the machine's second clock */
	int64_t kept_ms;    /* hub time when it was kept last */
	bool keeping;
	bool reminding;
	enum kw_err problem;
	uint64_t pong_ms;
	uint64_t nonce;
	struct agent_blobs *blobs;
	bool stopping;
	bool failed;
};

int64_t agent_now_ms(void);
/* Something only a restart can mend. */
void agent_fail(struct agent *agent, const char *event, enum kw_err err);

/* The store's room has another level: for the log and, where it matters, the core. Not from within a step. */
void agent_look_at_space(struct agent *agent);

/* agent_state.c. Paths: `out` of PATH_MAX (4096) bytes. */
KW_MUST_USE enum kw_err agent_path(const char *folder, const char *file, char *out);
KW_MUST_USE enum kw_err agent_state_load(struct agent *agent);
/* A ROLE_PART. */
KW_MUST_USE enum kw_err agent_role_frame(struct agent *agent, struct kw_view body);
void agent_state_fini(struct agent *agent);

/* agent_contact.c: whether the directory is good enough to write to this agency. KW_EOFFLINE: there is none yet; KW_EEXPIRED: it is
 * too old for somebody new. *text: in words, with these two; static storage. */
KW_MUST_USE enum kw_err agent_contact_check(const struct agent *agent, const struct kw_name *agency, const char **text);

/* agent_plan.c: steps the core and does what it says. Not from within a step. */
void agent_step(struct agent *agent, struct agt_event *event);
/* Submits an append; takes op. */
void agent_submit(struct agent *agent, struct spool_op *op);

/* agent_link.c */
void agent_connect(struct agent *agent);
void agent_conn_down(struct agent *agent, enum kw_err err);

/* agent_send.c: the socket's host. */
void agent_send(void *user, Kinward__V1__SendRequest *request, struct socket_call *call);
void agent_status(void *user, Kinward__V1__StatusReply *reply);
/* What agent->problem means here and what to do, one sentence; "" when all is well. Static storage. */
const char *agent_problem_text(const struct agent *agent);
void agent_identity(void *user, struct socket_identity *out);

/* Puts a message on its way; `op` has item and content. KW_OK takes op and call; otherwise both stay the caller's. call NULL:
 * it is our own. */
#define AGENT_WITHDRAWN_TEXT "Consent for this case was withdrawn: kinward consent list shows when and for what. Send it only if consent " \
	"was given again since, and say so: --new-consent."
struct agent_outgoing {
	struct letter letter;
	enum kw_risk risk;
	bool by_person; /* somebody asked for it: not of the agent's own accord */
	const char *field;
};
/* What a caller says about the case of what it sends. KW_EFIELD: too long, or no thread id. */
KW_MUST_USE enum kw_err agent_take_claim(const char *local_id, const ProtobufCBinaryData *from_thread, struct spool_claim *out);
KW_MUST_USE enum kw_err agent_submit_letter(struct agent *agent, struct agent_outgoing *outgoing, struct spool_op *op,
	struct socket_call *call);
/* What a caller asks to send, checked, completed, in its place and sealed, and not yet on its way.
 *   draft->op  a fresh append; the caller's, also on failure. On KW_OK, when it is no repeat, its user is the agent_sending,
 *              which the caller frees or gives to agent_sending_go */
struct agent_draft {
	struct spool_op *op;
	bool repeated;           /* it was sent before: as `sent` says */
	struct socket_sent sent;
	struct agent_refusal refusal;
};
KW_MUST_USE enum kw_err agent_send_prepare(struct agent *agent, Kinward__V1__SendRequest *request, struct agent_draft *draft);
/* The field and the words of a refusal, where they do not stand yet. */
void agent_send_words(enum kw_err err, struct agent_refusal *refusal);
/* On its way, with op->done set by the caller; takes op. */
void agent_sending_go(struct agent *agent, struct spool_op *op);
/* Off the list again. */
void agent_sending_end(struct agent *agent, struct agent_sending *sending);

/* agent_batch.c: several messages or records as one; the socket's host. */
#define AGENT_BATCH_COUNT_MAX 4096u
#define AGENT_BATCH_SIZE_MAX (32u * 1024u * 1024u) /* contents and envelopes */
#define AGENT_BATCH_IDLE_S 60u
void agent_batch(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);
/* The caller is gone: what it has not committed is forgotten. */
void agent_batch_gone(void *user, const void *caller);
/* Each second: one that waits for too long is forgotten. */
void agent_batch_tick(struct agent *agent);
/* Forgets the one that is being given. */
void agent_batch_drop(struct agent *agent);
/* Headers carry whole hours, so a lifetime is rounded up. 0 hours: the usual one. */
uint32_t agent_expiry_hour(int64_t now_ms, uint32_t lifetime_hours);

/* agent_thread.c */
/* Gives the item of an append its place in its thread. KW_EILLEGAL when the thread does not allow what it does, with words
 * on why; the writer asks again, because something may arrive meanwhile.
 *   field    of the content, that declares the state; "" for none
 *   risk     written on KW_OK: that of the thread */
KW_MUST_USE enum kw_err agent_thread_place(struct agent *agent, struct spool_op *op, const char *field,
	struct agent_refusal *refusal, enum kw_risk *risk);
/* The error and the words for what the writer refused. `field`: of the content; "" for none. */
enum kw_err agent_thread_refused(const struct spool_op *op, const char *field, struct agent_refusal *refusal);
/* Says what the agent has to say by itself. */
void agent_follow(struct agent *agent);
/* A hub's reminder as an item of the inbox. A bad one leaves op without content: its cursor moves on. */
KW_MUST_USE enum kw_err agent_reminder(struct agent *agent, struct kw_view bytes, struct spool_op *op);

/* agent_clock.c: the hub's clocks as known here, and the alarms that only an agent can give. */
void agent_clock_start(struct agent *agent);
/* Hub time now: it goes on by the machine's second clock from what the hub said last, so our wall clock may jump. */
int64_t agent_hub_ms(const struct agent *agent);
/* A WELCOME came. limits NULL: it says nothing of them. */
void agent_clock_welcome(struct agent *agent, int64_t hub_ms, const struct kw_clock_limits *limits);
void agent_clock_tick(struct agent *agent);

/* agent_in.c: IN_STORE and IN_NOTICE; each takes the box. */
void agent_in_store(struct agent *agent, const struct agt_effect *effect);
void agent_in_notice(struct agent *agent, const struct agt_effect *effect);
/* What every operation with a ticket does when it is done. */
void agent_op_done(struct spool_op *op, enum kw_err err);

/* agent_blob.c: attachments on the link. */
KW_MUST_USE enum kw_err agent_blobs_open(struct agent *agent);
/* Stops; what is under way ends with the loop. Then free. Both accept an agent without blobs. */
void agent_blobs_close(struct agent *agent);
void agent_blobs_free(struct agent *agent);
void agent_blobs_up(struct agent *agent);
void agent_blobs_down(struct agent *agent);
void agent_blobs_drained(struct agent *agent);
void agent_blobs_tick(struct agent *agent);
KW_MUST_USE enum kw_err agent_blob_frame(struct agent *agent, const struct kw_frame *frame);
/* Every attachment that a content names was attached for this agency. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err agent_blobs_named(const struct agent *agent, const ProtobufCMessage *content,
	const struct kw_name *agency);

/* A message that names this attachment is stored. */
void agent_blobs_name(struct agent *agent, const struct kw_digest *digest);
/* Of ours, expired undelivered and not seen by a person yet. */
uint64_t agent_blobs_lost(const struct agent *agent);

/* agent_desk.c: attachments on the local socket. */
void agent_attachment(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

/* agent_proof.c: evidence, on the local socket. */
void agent_proof(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

/* agent_receipt.c */
void agent_receipts(struct agent *agent);
/* Each second: those that could not be sent, when their time has come. */
void agent_receipts_again(struct agent *agent);
void agent_retries(struct agent *agent);

#endif
