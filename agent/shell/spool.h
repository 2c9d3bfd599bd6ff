#ifndef AGENT_SHELL_SPOOL_H
#define AGENT_SHELL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/core/core.h"
#include "agent/core/thread.h"
#include "agent/shell/spool_offer.h"
#include "proto/base/id.h"
#include "proto/wire/frame.h"

/* The agency's durable state: what is to be sent, what was sent, what was received. LMDB, one writer thread with group
 * commit; this interface is used from the loop thread only.
 *
 * A change is an operation: allocated by spool_op_new, filled in, handed over with spool_do. The writer runs operations in
 * order, many in one transaction and one sync; then each one's done() is called on the loop thread, with its results
 * filled in, and the operation is freed. A commit that finds no room waits for some, and all behind it; any other commit
 * error is final: done() says so, and the process must promise nothing more, stop and be restarted.
 *
 * Whatever says who writes to whom, and every content, is encrypted under the store key (AES-256-GCM), because freed pages
 * keep bytes. Each row carries a CRC32C over its key and value; a damaged row is skipped and counted. */

struct spool;
struct uv_loop_s;

#define SPOOL_KEY_SIZE 32u
#define SPOOL_LIST_MAX 500u
#define SPOOL_RECEIPTS_MAX 128u /* entries of one Receipt message */
#define SPOOL_LOCAL_ID_SIZE_MAX 64u
#define SPOOL_ASIDE_MAX 1000u   /* messages kept that could not be opened; older ones go */
#define SPOOL_CASE_REF_SIZE_MAX 64u
#define SPOOL_LOG_MAX 1000u     /* steps of one thread; a thread that is longer takes no more of the other side */
#define SPOOL_LOG_RESERVE 64u   /* half of it for our next states, the rest for what ends the thread and for words without a place */
#define SPOOL_EARLY_MAX 64u     /* messages of one thread that wait for an earlier one */
#define SPOOL_EARLY_AGENCY_MAX 1000u /* of one agency */
#define SPOOL_EARLY_UNKNOWN_MAX 200u /* of one agency, in threads that nothing has opened yet */
#define SPOOL_EARLY_ALL_MAX 10000u   /* of all threads together */
#define SPOOL_GAPS_MAX 8u       /* places that one message of a thread says are not to be waited for */
#define SPOOL_EARLY_HOURS 1104u /* and so long: after the longest life of a message, and a day, the gap stays a gap */

struct spool_options {
	const char *path;         /* directory; made if it is missing */
	uint64_t map_size;        /* bytes that the store may use, sparse; 0 = 4 GiB */
	const uint8_t *store_key; /* SPOOL_KEY_SIZE bytes; copied */
	bool new_epoch;           /* take a new outbox epoch: after a restore from backup */
	const struct kw_name *coordinator; /* who is asked when nobody claims an offer; NULL: nobody. Copied */
	bool unsafe_no_sync;      /* positive control of the tests only: refused unless KW_UNSAFE_TEST=1 */
};

/* KW_EIO, KW_ENOSPACE, KW_ECORRUPT, KW_EVERSION, KW_ENOMEM; KW_EAUTH when the store was made with another key;
 * KW_EBUSY when another process has it open. */
KW_MUST_USE enum kw_err spool_open(const struct spool_options *options, struct uv_loop_s *loop, struct spool **out);
/* Commits what was handed over, ends the writer, calls what is done, frees. What waits for room gets KW_ENOSPACE. Accepts
 * NULL. */
void spool_close(struct spool *spool);

/* Fills START for the core: all but directory_version. */
void spool_recover(const struct spool *spool, struct agt_start *out);

/* Bytes of an envelope, or of what a hub says itself; counted on the loop thread only. */
struct spool_box {
	uint32_t refs;
	uint32_t size;
	bool reminder;   /* a hub's reminder, not its notice */
	struct kw_buf tracks; /* what the hub is to know of the threads, in the form of kw_frame_message.tracks */
	uint8_t data[];
};
/* One reference, a copy of the bytes, no tracks; NULL when memory is out. */
struct spool_box *spool_box_new(struct kw_view bytes);
void spool_box_ref(struct spool_box *box);
void spool_box_unref(struct spool_box *box); /* accepts NULL */

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
};

/* A place whose message the other side may never get, and the state that stands there all the same; 0: none. */
struct spool_gap {
	uint64_t sequence;
	uint8_t state;
	struct kw_id thread_id; /* zeros: of the message's own */
};

/* A thread with one agency. */
struct spool_thread {
	uint64_t number; /* in order of opening, from 1 */
	struct kw_id thread_id;
	struct kw_name agency; /* the other one */
	struct agt_thread record;
	uint32_t service;
	char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1]; /* empty once erased */
	char alias[SPOOL_CASE_REF_SIZE_MAX + 1];    /* of a transfer: the new owner's pseudonym */
	uint32_t log_count;
	uint8_t reminded; /* percent of the last reminder in this state; 0: none */
	bool unclaimed;   /* an offer that came to us for coordination */
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

/* Of consent.proto's ErasureAction and ErasureOutcome. */
#define SPOOL_ERASE_ACTION 1u
#define SPOOL_ERASE_DONE 1u
#define SPOOL_ERASE_RETAINED 2u
#define SPOOL_ERASE_FAILED 3u

enum spool_erasure_role {
	SPOOL_ERASURE_AUTHOR, /* we asked the other agency */
	SPOOL_ERASURE_HOLDER, /* it asked us */
	SPOOL_ERASURE_OWN     /* it asked us after we had asked: both have answers to give */
};

struct spool_erasure {
	struct kw_id thread_id;
	struct kw_name agency; /* the other one */
	enum spool_erasure_role role;
	uint8_t action;      /* ErasureAction */
	uint8_t reason;      /* ErasureReason */
	uint8_t purposes;    /* bit n - 1: ConsentPurpose n was withdrawn */
	uint8_t from;        /* ConsentSource */
	uint8_t outcome;     /* ErasureOutcome; 0: no answer yet */
	uint8_t ground;      /* LegalGround */
	bool due;            /* ours to decide: nothing was done by itself */
	bool passed_on;      /* asked because another agency asked us */
	uint8_t case_tag[8]; /* keyed hash of the pseudonym, to find it by; zeros for none */
	int64_t asked_ms;
	int64_t effective_ms;
	int64_t answered_ms; /* 0: not yet */
	int64_t until_ms;    /* retained until; 0: open */
	uint64_t number;     /* of our Erase or ConsentUpdate, a holder's EraseAck, in the list of sent ones; 0: not
	                        under way yet */
	enum kw_err failure; /* FAILED, or our question did not arrive */
	uint32_t passed_count;
	struct kw_name passed[SPOOL_PASSED_MAX]; /* whom the holder has told */
	char note[SPOOL_ERASE_NOTE_MAX + 1];
	/* Read only: */
	enum spool_state sent; /* how far our question is; 0: not under way yet */
};

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

#define SPOOL_KEEP_NAME_SIZE_MAX 32u

enum spool_op_type {
	SPOOL_OP_APPEND,    /* append: a row at the outbox' end */
	SPOOL_OP_HELD,      /* held: R0 */
	SPOOL_OP_EPOCH,     /* epoch: the hub's */
	SPOOL_OP_OWN_EPOCH, /* epoch: ours */
	SPOOL_OP_RECEIVE,   /* receive: a message from the hub, opened or not */
	SPOOL_OP_NOTICE,    /* notice: from the hub about a message of ours */
	SPOOL_OP_ACK,       /* ack: the caller has seen these */
	SPOOL_OP_REGISTER,  /* registration */
	SPOOL_OP_SWEEP,     /* sweep: expire, forget */
	SPOOL_OP_WITHDRAW,  /* withdraw: consent to share a case, a thread or a record */
	SPOOL_OP_ANSWER,    /* answer: what we do about an Erase that waits for a person */
	SPOOL_OP_KEEP,      /* keep: content, unless there is one of that name already; then content becomes that one */
	SPOOL_OP_PUBLISH,   /* publish: what we offer, with its content, and to whom it goes */
	SPOOL_OP_OFFER,     /* offer: a new one, with the referral as content */
	SPOOL_OP_PICK,      /* pick: a person's word on an offer */
	SPOOL_OP_UNFOLLOW   /* unfollow: what cannot be said */
};

enum spool_arrival {
	SPOOL_MESSAGE,  /* item and content go into the inbox */
	SPOOL_RECEIPT,  /* receipts are applied */
	SPOOL_REFUSED,  /* opened and signed, but the content is not usable: only a receipt with the failure is due */
	SPOOL_UNOPENED  /* set aside */
};

struct spool_op {
	enum spool_op_type type;
	uint64_t ticket; /* 0: not the core's */
	void (*done)(struct spool_op *op, enum kw_err err);
	void *user;
	struct spool_op *next; /* the spool's */
	struct kw_buf content; /* append: content of a new message; receive: content; register: the record. Wiped and freed
	                          with the operation */
	struct kw_buf answer;  /* receive: a Content that answers it by itself, in its thread; empty: none */
	struct kw_buf proof;   /* append: an EnvelopeProof, kept beside the item; receive: the ReceiptProofs of receipts */
	struct spool_box *box; /* append: envelope; receive: envelope of an unopened one. Released with the operation */
	/* Results */
	uint32_t gone_count;
	struct spool_gone *gone; /* rows that left the outbox: tell the core. Freed with the operation */
	bool repeat;             /* receive, register, keep: it was there already */
	uint32_t count;          /* ack: how many changed */
	uint64_t number;         /* append, receive: the item's number */
	enum agt_thread_fault fault;  /* append: refused, nothing is stored; `present` is the thread as it is */
	struct agt_thread present;    /* before: as the loop thread expects it to be with this, of no kind where it cannot know */
	bool decided;            /* append: a receipt is due for what was decided on */
	uint32_t strangers;      /* receive: receipts that do not fit what they are about, and were not believed */
	bool follow;             /* append, receive: something follows, see spool_follows */
	uint32_t offers;         /* withdraw, answer, receive: offers of the case that ended with it */
	union {
		struct {
			enum kw_msg_class msg_class;
			uint64_t sequence;
			struct kw_id envelope_id;
			uint32_t expiry_hour;
			bool wants_receipt;
			int64_t now_ms;
			bool fresh;              /* a new message of a caller: item and content are stored as sent */
			bool by_person;          /* not of the agent's own accord */
			struct spool_item item;  /* number is given by the spool */
			struct spool_act act;    /* fresh ones */
			uint64_t follow_key;     /* not 0: the follow-up that it is */
			enum spool_follow_what follow_what;
			uint64_t retry_ms;       /* not 0: it comes from the retry table, where it stood under ... */
			uint64_t retry_number;   /* ... these two */
			uint32_t due_count;      /* receipts that it carries */
			uint64_t *due_keys;      /* freed with the operation */
		} append;
		struct {
			enum kw_msg_class msg_class;
			uint64_t sequence;
			int64_t now_ms;
		} held;
		uint64_t epoch;
		struct {
			enum kw_msg_class msg_class;
			struct kw_cursor cursor;
			enum spool_arrival arrival;
			struct spool_item item;
			struct spool_act act;
			uint32_t expiry_hour;
			enum kw_err failure; /* SPOOL_REFUSED; by the spool: KW_EILLEGAL */
			uint32_t gaps_count;
			struct spool_gap gaps[SPOOL_GAPS_MAX]; /* of its author's, before its own place */
			uint32_t receipts_count;
			struct spool_receipt *receipts; /* freed with the operation */
			struct spool_erasure *erasure; /* ConsentUpdate, Erase, EraseAck: what it says. Freed with the operation */
			bool erase_manual;           /* a person decides about an Erase */
			uint32_t named_count;        /* attachments that the message names */
			struct kw_digest *named;     /* freed with the operation */
		} receive;
		struct {
			struct kw_cursor cursor;
			struct kw_frame_notice notice;
			/* A reminder instead: with content, which becomes this item of the inbox. */
			struct spool_item item;
			struct spool_act act; /* the state that the hub tells of */
			uint8_t step;         /* percent */
			int64_t now_ms;
		} notice;
		struct {
			uint32_t ids_count;
			struct kw_id *ids; /* freed with the operation */
		} ack;
		struct {
			uint8_t local_id[SPOOL_LOCAL_ID_SIZE_MAX];
			size_t local_id_size;
			int64_t now_ms;
		} registration;
		struct {
			int64_t now_ms;
			uint32_t rows_max;
		} sweep;
		struct {
			bool by_thread;          /* thread_id, else every thread of case_ref */
			struct kw_id thread_id;
			char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1];
			struct spool_erasure *erasure; /* what is asked; freed with the operation. op->count: of how many agencies */
		} withdraw;
		struct {
			struct kw_id thread_id;
			struct spool_erasure *erasure; /* outcome, ground, until, note; freed with the operation. op->count 0: none waits */
		} answer;
		struct {
			char name[SPOOL_KEEP_NAME_SIZE_MAX + 1];
		} keep; /* with empty content: only asks */
		struct {
			struct kw_name own;
			int64_t issued_ms;
			int64_t now_ms;
			uint32_t count;
			struct kw_name *agencies; /* freed with the operation */
		} publish;
		struct {
			struct spool_offer offer; /* number is given by the spool */
			bool taken;               /* result: another offer has this id */
		} offer;
		struct {
			struct kw_id id; /* of the member's thread; of the offer to withdraw it */
			bool withdraw;
			int64_t now_ms;
			enum kw_err result; /* KW_OK, KW_ENOTFOUND, KW_EILLEGAL: see refusal */
			enum agt_offer_refusal refusal;
			struct kw_id offer_id; /* result */
		} pick;
		struct {
			struct spool_follow follow;
			int64_t now_ms;
		} unfollow;
	} u;
};

/* A zeroed operation with its content buffer ready; NULL when memory is out. */
struct spool_op *spool_op_new(enum spool_op_type type);
/* For an operation that was not handed over. Accepts NULL. */
void spool_op_free(struct spool_op *op);
/* Hands over. The spool owns the operation from now on. */
void spool_do(struct spool *spool, struct spool_op *op);
/* Operations handed over and not done. */
uint64_t spool_pending(const struct spool *spool);

/* Room under the map's size or on the disk, whichever is less; pages that are free inside the file count as room. It is
 * measured with each commit and once a second, and is told as of the last time on the loop. Each level ends a little below
 * where it begins. What is handed over is taken at every level: it is for the caller to hold back. */
enum spool_space {
	SPOOL_SPACE_OK,
	SPOOL_SPACE_LOW,  /* below 30%: no new messages of callers; what is left is for the hub's, for receipts and acks */
	SPOOL_SPACE_HOLD, /* below 15%: no new messages of the hub either */
	SPOOL_SPACE_FULL  /* a commit found no room, and is tried again each second: nothing is done() until there is some */
};
enum spool_space spool_space(const struct spool *spool);

enum spool_count {
	SPOOL_COUNT_SENT,
	SPOOL_COUNT_QUEUED,
	SPOOL_COUNT_HELD,
	SPOOL_COUNT_DELIVERED,
	SPOOL_COUNT_OPENED,
	SPOOL_COUNT_DEAD,
	SPOOL_COUNT_RECEIVED,
	SPOOL_COUNT_REPEATS,
	SPOOL_COUNT_UNOPENED,
	SPOOL_COUNT_NEW,
	SPOOL_COUNT_REGISTRATIONS,
	SPOOL_COUNT_DAMAGED,
	SPOOL_COUNT_COUNT
};
/* As of the last commit. */
uint64_t spool_count(const struct spool *spool, enum spool_count count);

/* Messages that the hub has put off, as of the last commit. */
uint64_t spool_put_off(const struct spool *spool);

#endif
