#ifndef AGENT_SHELL_SPOOL_H
#define AGENT_SHELL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/core/core.h"
#include "agent/core/erase.h"
#include "agent/core/thread.h"
#include "agent/shell/spool_offer.h"
#include "agent/shell/spool_values.h"
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
	SPOOL_OP_UNFOLLOW,  /* unfollow: what cannot be said */
	SPOOL_OP_CLOCKS,    /* clocks: what is known of the hub's */
	SPOOL_OP_REMIND     /* remind: an alarm of our own, with a reminder for the inbox as content, or none */
};

enum spool_arrival {
	SPOOL_MESSAGE,  /* item and content go into the inbox */
	SPOOL_RECEIPT,  /* receipts are applied */
	SPOOL_REFUSED,  /* opened and signed, but the content is not usable: only a receipt with the failure is due */
	SPOOL_UNOPENED  /* set aside */
};

/* Operations that are one: they run in the same transaction, and when one of them is refused, or there is no room for all,
 * none of them has any effect. Its operations are handed over one after the other, with nothing else between them. */
struct spool_group {
	uint32_t count;           /* operations */
	enum kw_err err;          /* result: KW_EILLEGAL, one has a fault; KW_ENOSPACE */
	uint32_t refs;            /* the loop's, as the rest */
	uint32_t joined;          /* handed over */
	struct spool_op *head, **tail;
};
/* With one reference, and another for each operation whose `group` it is. NULL when memory is out. */
struct spool_group *spool_group_new(uint32_t count);
void spool_group_unref(struct spool_group *group); /* accepts NULL */

struct spool_op {
	enum spool_op_type type;
	struct spool_group *group; /* NULL: by itself. Let go with the operation */
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
	uint32_t limited;        /* withdraw: of count, those whose thread goes on without the purposes */
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
			struct spool_claim claim; /* fresh ones of a caller */
			uint64_t case_id;        /* of the offer whose referral it is; by the spool */
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
			bool erase_confirmed;        /* its answer waits until our own case system is clear */
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
			uint8_t clock;        /* enum kw_clock */
			int64_t due_ms;       /* on hub time; 0: not said */
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
			bool by_thread;          /* thread_id, else every thread of the case of claim or case_ref */
			struct kw_id thread_id;
			struct spool_claim claim;
			char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1];
			uint64_t case_id;        /* result: of which case; 0 for a thread alone */
			bool ambiguous;          /* result: more than one is meant, and nothing was done */
			struct spool_erasure *erasure; /* what is asked; freed with the operation. op->count: of how many agencies */
		} withdraw;
		struct {
			struct kw_id thread_id;
			struct spool_erasure *erasure; /* outcome, ground, until, note; freed with the operation. op->count 0: none waits */
			bool cleared;            /* instead: our own case system is clear of it; of `erasure` answered_ms alone */
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
			struct spool_offer offer; /* number and case are given by the spool */
			bool taken;               /* result: another offer has this id */
			struct spool_claim claim;
			char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1]; /* of the referral */
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
		struct spool_clocks clocks;
		struct {
			struct spool_alarm alarm;
			struct kw_clock_run run; /* of a clock: after this step. Nothing happens when the thread has moved meanwhile */
			uint8_t step;
			struct spool_item item;  /* of the reminder */
			int64_t now_ms;
		} remind;
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
