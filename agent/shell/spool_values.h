#ifndef AGENT_SHELL_SPOOL_VALUES_H
#define AGENT_SHELL_SPOOL_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/core/erase.h"
#include "agent/core/thread.h"
#include "proto/base/id.h"
#include "proto/wire/frame.h"

/* What the spool keeps, as values: messages, threads and their steps, what the agent has to say by itself, what was asked about
 * consent, receipts. Part of spool.h. */

#define SPOOL_CASE_REF_SIZE_MAX 64u

/* What has become of a message of ours; the numbers of OutState in local.proto. */
enum spool_state {
	SPOOL_QUEUED = 1,
	SPOOL_HELD = 2,
	SPOOL_DELIVERED = 3,
	SPOOL_OPENED = 4,
	SPOOL_DEAD = 5
};

/* One message of ours or for us. Times are milliseconds since 1970, 0 = not yet. */
struct spool_item {
	uint64_t number;
	struct kw_id message_id;
	struct kw_id thread_id;
	uint64_t thread_sequence;
	struct kw_name agency; /* the other one */
	int64_t at_ms;
	enum spool_state state; /* sent ones */
	enum kw_err reason;     /* dead ones */
	bool acked;
	bool passed; /* sent ones: a hub that has lost its memory since had it, and may have delivered it */
	int64_t held_ms;
	int64_t delivered_ms;
	int64_t opened_ms;
	struct kw_id envelope_id;
	struct kw_digest digest;         /* T */
	struct kw_digest request_digest; /* sent ones: of what the caller asked for, to tell a repeat from another message */
	int64_t decided_ms;    /* sent ones: a person there has answered it */
	uint8_t signed_levels; /* sent ones: bit n: a signed receipt of kw_receipt_level n is kept */
};

/* What a message does to its thread, as its content says. kind KW_THREAD_NONE: it has no place in one. */
struct spool_act {
	enum kw_thread_kind kind;
	bool opening;
	uint8_t state;
	enum kw_risk risk;
	uint32_t content_type; /* field number of the body in Content */
	uint32_t service;      /* of the schema; 0 when there is none */
	char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1]; /* of an offer: what its threads have in common */
	bool unclaimed; /* of an offer: it came to the coordinator because nobody else claimed it */
	char alias[SPOOL_CASE_REF_SIZE_MAX + 1];    /* the new owner's pseudonym from its acceptance on */
	int64_t young_until_ms;   /* of a search: see agt_thread */
	bool consent;             /* it carries the consent on which the thread stands */
	int64_t consent_until_ms; /* when that ends; 0: it does not */
};

/* A place whose message the other side may never get, and the state that stands there all the same; 0: none. */
struct spool_gap {
	uint64_t sequence;
	uint8_t state;
	struct kw_id thread_id; /* zeros: of the message's own */
};

/* What a caller says about the case of what it sends: it stays here. */
struct spool_claim {
	char local_id[SPOOL_CASE_REF_SIZE_MAX + 1]; /* the case's id in the caller's own system; empty: not said */
	bool has_from;
	struct kw_id from_thread; /* the thread that brought what is passed on */
	bool consent_anew;        /* after a withdrawal, consent was given again */
};

/* A thread with one agency. */
struct spool_thread {
	uint64_t number; /* in order of opening, from 1 */
	struct kw_id thread_id;
	struct kw_name agency; /* the other one */
	struct agt_thread record;
	uint64_t case_id; /* local and random, see spool_case.h; 0: none, of an offer */
	uint32_t service;
	char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1]; /* empty once erased */
	char alias[SPOOL_CASE_REF_SIZE_MAX + 1];    /* of a transfer: the new owner's pseudonym */
	uint32_t log_count;
	uint8_t reminded; /* percent of the last reminder in this state; 0: none */
	bool unclaimed;   /* an offer that came to us for coordination */
	int64_t consent_until_ms; /* when the consent that it stands on ends; 0: it does not */
	bool lapsed;      /* it has ended; only where we have to ask for it anew, and the thread is open */
};

/* What the agent knows of its hub's clocks; durable. */
struct spool_clocks {
	struct kw_clock_limits limits;
	int64_t skew_ms; /* hub time minus our wall clock */
	int64_t hub_ms;  /* hub time when this was kept last; 0: never */
};

/* A thread of which something is to be said now, or whose place in that order is an old one. */
enum spool_alarm_what { SPOOL_ALARM_CLOCK, SPOOL_ALARM_CONSENT };
struct spool_alarm {
	enum spool_alarm_what what;
	uint64_t number;  /* of the thread */
	int64_t due_ms;   /* its place in the order */
	bool stands;      /* else it only leaves the order */
	struct spool_thread thread; /* of one that stands */
};

/* One step of a thread. */
struct spool_step {
	enum agt_thread_author author;
	uint8_t state;     /* declared */
	uint8_t became;    /* the state after it */
	bool refused;      /* it does not count: the other side refused it, or it never arrived */
	bool repeat;       /* it said what was known */
	bool early;        /* theirs: it waits for an earlier one */
	uint32_t content_type;
	uint64_t sequence;
	int64_t at_ms;
	uint64_t number;   /* of the message, ours in the outbox's list and theirs in the inbox; 0: none */
	struct kw_id message_id; /* of that message; zeros when there is none */
	enum kw_err reason;      /* why it is refused */
	enum spool_state sent;   /* ours: how far the message is */
};

enum spool_follow_what {
	SPOOL_FOLLOW_STATE,     /* declare `state` */
	SPOOL_FOLLOW_CONSENT,   /* ConsentUpdate, as the erasure of the thread says */
	SPOOL_FOLLOW_ERASE,     /* likewise Erase */
	SPOOL_FOLLOW_ACK,       /* likewise EraseAck */
	SPOOL_FOLLOW_OFFER,     /* the offer, which opens its thread */
	SPOOL_FOLLOW_LEASE,
	SPOOL_FOLLOW_CLOSE,     /* another agency has it */
	SPOOL_FOLLOW_WITHDRAW,  /* it is not needed any more */
	SPOOL_FOLLOW_REFERRAL,  /* the whole referral, which opens its thread */
	SPOOL_FOLLOW_DIRECTORY, /* what we offer */
	SPOOL_FOLLOW_CONTENT,   /* ready-made, in no thread's order */
	SPOOL_FOLLOW_COUNT
};

/* What the agent has to say by itself. */
struct spool_follow {
	uint64_t key;
	enum spool_follow_what what;
	struct kw_id thread_id;
	struct kw_name agency;
	enum kw_thread_kind kind; /* KW_THREAD_NONE: in no thread's order */
	uint8_t state;
	uint64_t offer;           /* number of the offer that it is about; 0: none */
	struct kw_view content;   /* SPOOL_FOLLOW_CONTENT; lives for the call */
};

/* What was asked and done about consent in one thread. One a thread: the first to ask asked for both. Codes are those of
 * consent.proto. It holds nothing of the case. */
#define SPOOL_PASSED_MAX 16u
#define SPOOL_ERASE_NOTE_MAX 500u

/* As agent/core/erase.h has them, which decides what becomes of a row. */
#define SPOOL_ERASE_ACTION AGT_ERASE_ACTION
#define SPOOL_RESTRICT_ACTION 2u
#define SPOOL_ERASE_DONE AGT_ERASE_DONE
#define SPOOL_ERASE_RETAINED AGT_ERASE_RETAINED
#define SPOOL_ERASE_FAILED AGT_ERASE_FAILED

enum spool_erasure_role {
	SPOOL_ERASURE_AUTHOR = AGT_ERASE_AUTHOR,
	SPOOL_ERASURE_HOLDER = AGT_ERASE_HOLDER,
	SPOOL_ERASURE_OWN = AGT_ERASE_OWN
};

struct spool_erasure {
	struct kw_id thread_id;
	struct kw_name agency; /* the other one */
	enum spool_erasure_role role;
	uint8_t action;      /* ErasureAction; of a withdrawal 0: as the purposes say, see spool_run_withdraw */
	uint8_t reason;      /* ErasureReason */
	uint8_t purposes;    /* bit n - 1: ConsentPurpose n was withdrawn */
	uint8_t from;        /* ConsentSource */
	uint8_t outcome;     /* ErasureOutcome; 0: no answer yet */
	uint8_t ground;      /* LegalGround */
	bool due;            /* ours to decide: nothing was done by itself */
	bool passed_on;      /* asked because another agency asked us */
	bool shreds;         /* our own key waits to be destroyed */
	bool limited;        /* restricted for these purposes alone: the thread goes on */
	bool unconfirmed;    /* our answer waits until our own case system is clear: see spool_clear.h */
	uint8_t case_tag[8]; /* keyed hash of the pseudonym, to find it by; zeros for none */
	uint8_t alias_tag[8]; /* of the new owner's, likewise */
	int64_t asked_ms;
	int64_t effective_ms;
	int64_t answered_ms; /* 0: not yet */
	int64_t until_ms;    /* retained until; 0: open */
	uint64_t number;     /* of the question, ours, in the list of sent ones: Erase, or ConsentUpdate; 0: not under way yet */
	uint64_t answer;     /* of our EraseAck, likewise */
	enum kw_err failure; /* FAILED, or our question did not arrive */
	uint32_t passed_count;
	struct kw_name passed[SPOOL_PASSED_MAX]; /* whom the holder has told */
	uint32_t passed_more; /* how many more than there is room for */
	char note[SPOOL_ERASE_NOTE_MAX + 1];
	/* Read only: */
	enum spool_state sent; /* how far our question is; 0: not under way yet */
	uint64_t case_id;      /* of the thread */
};

/* What is known of the hub's clocks, as of the open. */
void spool_clocks(const struct spool *spool, struct spool_clocks *out);

/* A row that left the outbox. */
struct spool_gone {
	enum kw_msg_class msg_class;
	uint64_t sequence;
};
#define SPOOL_GONE_MAX 512u

/* One entry of a Receipt, received or due. */
struct spool_receipt {
	uint64_t key; /* due ones: place in the table */
	struct kw_name agency;
	struct kw_digest digest;
	struct kw_id envelope_id;
	enum kw_err failure; /* KW_OK: opened and verified */
	bool opened;         /* false: R1 only */
	bool decided;        /* R3 */
	bool urgent;         /* due ones: it does not wait for company */
	uint32_t proof_at;   /* received ones: what proves it, within spool_op.proof; of size 0: it is not signed */
	uint32_t proof_size;
	int64_t at_ms;
	bool tracked;        /* due ones: it opened a thread, so the hub hears that it was delivered: these three */
	struct kw_id thread_id;
	uint8_t kind;
	uint8_t risk;
};

#endif
