#ifndef AGENT_SHELL_SPOOL_INNER_H
#define AGENT_SHELL_SPOOL_INNER_H

#include <lmdb.h>
#include <pthread.h>
#include <uv.h>

#include "agent/shell/spool.h"

/* Shared by the spool's own files; nobody else includes it.
 *
 * Tables (all keys big-endian):
 *   meta    "state" → spool_numbers; "check" → a sealed constant that proves the store key; "keep:" ‖ name → sealed
 *   out     class ‖ sequence → number ‖ at ‖ envelope id ‖ expiry ‖ wants ‖ envelope       (ciphertext already)
 *   retry   due ms ‖ number → class ‖ an out row
 *   env     envelope id → number ‖ class ‖ sequence                                        (0 in place of a retried row)
 *   sent    number → sealed item          sentbody  number → sealed content
 *   sentid  message id ‖ tag(agency) → number
 *   inbox   number → sealed item ‖ content      inid  message id ‖ tag(agency) → number
 *   innew   number → "", not acknowledged      dead  number of a sent one → "", not acknowledged
 *   seen    digest → expiry hour          seenexp  expiry hour ‖ digest → ""
 *   due     key → sealed receipt
 *   proof   number ‖ level → sealed: of a sent one, what proves that it was sent (0), and each signed receipt of it
 *   thread  thread id → last place given; of schema 1, read by its upgrade only
 *   threads tag(thread id) ‖ tag(agency) → sealed record      threadno  number → that key
 *   open    number → its place in todo, or "": open, or a person is needed      todo    not first ‖ due ms ‖ number → "", waits for us
 *   threadlog  that key ‖ n → sealed step  early    that key ‖ place → sealed act and inbox number
 *   erasure tag(thread id) ‖ tag(agency) → sealed: what was asked and done about consent there      asked  that key → "", no answer
 *   cases   tag(case) ‖ member → ""; under member 0 the tag of the caller's own id      names   tag(pseudonym) ‖ tag(who gave it) ‖ member → ""
 *   ownclear  that key → sealed: what our own case system has to be cleared of, its names under a key of their own in the vault
 *   shred   id of a key in the vault → "", to be destroyed
 *   named   tag(digest of an attachment) → hour in which a message that names it was stored
 *   recall  envelope id → sealed agency ‖ expiry hour: the hub shall not deliver it
 *   tracks  envelope id → sealed tracks   follow   key → sealed: what the agent has to say by itself
 *   services tag(agency) → sealed: what it offers      answers  tag(agency) ‖ tag(thread id) → sealed: what it answered
 *   offers  number → sealed offer          offerid  tag(offer id) → number       offerthread  a thread's key → number
 *   offerdue  what ‖ ms ‖ number → ""      offerbody  number → sealed content of the referral, under its key in the vault
 *   alarm   due ms ‖ thread number ‖ what → "": the agent's own alarms. A place that its thread has left goes when its time comes
 *   reg     tag(local id) → sealed record aside    key → envelope that could not be opened */

enum spool_table {
	T_META, T_OUT, T_RETRY, T_ENV, T_SENT, T_SENTBODY, T_SENTID, T_INBOX, T_INID, T_INNEW, T_DEAD, T_SEEN, T_SEENEXP,
	T_DUE, T_THREAD, T_REG, T_ASIDE, T_THREADS, T_THREADNO, T_OPEN, T_THREADLOG, T_EARLY, T_TRACKS, T_FOLLOW,
	T_ERASURE, T_SHRED, T_RECALL, T_SERVICES, T_ANSWERS, T_OFFERS, T_OFFERID, T_OFFERTHREAD, T_OFFERDUE, T_OFFERBODY, T_NAMED,
	T_TODO, T_ASKED, T_CASES, T_NAMES, T_ALARM, T_CLEAR, T_PROOF,
	T_COUNT
};

#define SPOOL_SCHEMA 5u
#define SPOOL_SCHEMA_BEFORE_CASES 4u /* threads under their pseudonyms alone */
#define SPOOL_SCHEMA_BEFORE_DRAFTS 3u /* referrals of offers under the store key alone */
#define SPOOL_SCHEMA_BEFORE_VAULT 2u /* contents under the store key alone */
#define SPOOL_SCHEMA_BEFORE_THREADS 1u
#define SPOOL_TAG_SIZE 8u
#define SPOOL_ENV_SIZE 17u

/* What meta/state holds, in this order; only grows at the end. */
enum spool_number {
	N_SCHEMA, N_EPOCH, N_HUB_EPOCH, N_NEXT_ITEM, N_NEXT_INBOX, N_NEXT_DUE, N_NEXT_ASIDE, N_FIRST_ASIDE,
	N_NEXT_SEQ,                                 /* one per class */
	N_HELD_SEQ = N_NEXT_SEQ + KW_MSG_CLASS_COUNT,
	N_CURSOR_EPOCH = N_HELD_SEQ + KW_MSG_CLASS_COUNT,
	N_CURSOR_SEQ = N_CURSOR_EPOCH + KW_MSG_CLASS_COUNT,
	N_COUNTS = N_CURSOR_SEQ + KW_MSG_CLASS_COUNT, /* enum spool_count */
	N_NEXT_THREAD = N_COUNTS + SPOOL_COUNT_COUNT,
	N_NEXT_FOLLOW,
	N_COMPACT, /* 1: contents of an older schema are in freed pages; the file is to be written anew */
	N_NEXT_OFFER,
	N_TODO, /* not 0: todo and asked are made, in this version of theirs; an older version does not keep them, and does not write this number */
	N_SKEW,   /* hub time minus our clock, two's complement */
	N_HUB_MS, /* hub time, kept from time to time */
	N_COUNT
};

struct spool_move;

struct spool {
	MDB_env *env;
	int folder_fd; /* holds the lock that keeps a second process out; -1: none */
	MDB_dbi tables[T_COUNT];
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t tag_key[SPOOL_KEY_SIZE];
	char *path;
	uint64_t map_size;
	bool unsafe_no_sync;
	bool has_coordinator;
	struct kw_name coordinator;

	MDB_env *keys_env;         /* the vault; swapped by the writer under keys_lock */
	MDB_dbi keys_dbi;
	pthread_rwlock_t keys_lock;
	MDB_txn *keys_txn;         /* the writer's: keys that were made in this batch */
	pthread_t keys_owner;      /* the thread of keys_txn */
	bool shreds;               /* the writer's: keys wait to be destroyed */

	uint64_t numbers[N_COUNT]; /* the writer's */
	struct kw_clock_limits limits; /* the writer's, from the start on */
	uint8_t sweep_key[9];      /* the writer's: where the expiry walk goes on */
	int64_t now_ms;            /* the writer's: when the operation that runs was asked for */
	uint64_t retry_rows;       /* the writer's */
	enum spool_space level;    /* the writer's */

	uint64_t told[N_COUNT];    /* the loop's copy, as of the last commit seen */
	enum spool_space space;    /* the loop's copy */
	uint64_t put_off;          /* the loop's copy: rows of the retry table */
	uint64_t pending;          /* the loop's */
	const struct spool_group *joining; /* the loop's: a group of which a part has been handed over; NULL: none */
	uint64_t damaged_reads;    /* the loop's */

	uv_async_t *async;
	pthread_t writer;
	bool writer_runs;
	pthread_mutex_t lock;      /* over all below */
	pthread_cond_t wake;
	bool stop;
	enum kw_err failed;        /* the first commit error: nothing runs after it */
	struct spool_op *queue_head, **queue_tail;
	struct spool_op *done_head, **done_tail;
	uint64_t published[N_COUNT];
	uint64_t published_put_off;
	enum spool_space published_space;
};

/* spool_row.c: rows with checksums, and sealing under the store key. Views from get are valid until the next write of the
 * transaction. KW_ENOTFOUND, KW_ECORRUPT, KW_ENOSPACE, KW_EIO. */
KW_MUST_USE enum kw_err spool_keys(struct spool *spool, const uint8_t *store_key);
enum kw_err spool_mdb(int rc);
KW_MUST_USE enum kw_err spool_put(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_view payload);
KW_MUST_USE enum kw_err spool_get(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_view *payload);
/* KW_OK also when there is none; *had may be NULL. */
KW_MUST_USE enum kw_err spool_del(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key, bool *had);
/* The payload of a value met by a cursor. */
KW_MUST_USE enum kw_err spool_check(enum spool_table table, struct kw_view key, const MDB_val *value,
	struct kw_view *payload);
KW_MUST_USE enum kw_err spool_put_sealed(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_view plain);
/* Appends the plain bytes to out. */
KW_MUST_USE enum kw_err spool_unseal(struct spool *spool, enum spool_table table, struct kw_view key,
	struct kw_view sealed, struct kw_buf *out);
KW_MUST_USE enum kw_err spool_get_sealed(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_buf *out);
/* SPOOL_TAG_SIZE bytes: a keyed hash, so that the disk does not show which agency or local id. */
KW_MUST_USE enum kw_err spool_tag(const struct spool *spool, struct kw_view text, uint8_t *out);
struct kw_view spool_name_view(const struct kw_name *name);

/* spool_vault.c: the keys of contents. Ids are tags or numbers, so the vault names nobody. */
struct spool_vault_id {
	size_t size;
	uint8_t bytes[2u * SPOOL_TAG_SIZE];
};
struct spool_vault_ids {
	size_t count;
	struct spool_vault_id *ids;
};
KW_MUST_USE enum kw_err spool_vault_open(struct spool *spool);
void spool_vault_close(struct spool *spool);
/* SPOOL_KEY_SIZE bytes; KW_ENOTFOUND: there never was one, or it is destroyed. */
KW_MUST_USE enum kw_err spool_vault_key(struct spool *spool, const struct spool_vault_id *id, uint8_t *out);
/* The writer's: the same, and makes one. It is durable with spool_vault_commit, which comes before the spool's commit. */
KW_MUST_USE enum kw_err spool_vault_make(struct spool *spool, const struct spool_vault_id *id, uint8_t *out);
KW_MUST_USE enum kw_err spool_vault_commit(struct spool *spool);
void spool_vault_abort(struct spool *spool);
/* The writer's, between transactions: these keys are gone when it returns KW_OK. KW_ENOSPACE: nothing has changed. */
KW_MUST_USE enum kw_err spool_vault_destroy(struct spool *spool, const struct spool_vault_ids *ids);

/* spool_content.c: contents under the key of their thread. */
struct spool_content_place {
	enum spool_table table;
	struct kw_view key;
	const struct spool_item *item; /* put and get: whose content it is */
};
KW_MUST_USE enum kw_err spool_vault_thread(const struct spool *spool, const struct kw_id *thread_id,
	const struct kw_name *agency, struct spool_vault_id *out);
/* The key of a registration, by its local id; by the tag of that id, under which its row stands. */
KW_MUST_USE enum kw_err spool_vault_registration(const struct spool *spool, struct kw_view local_id,
	struct spool_vault_id *out);
void spool_vault_registration_row(const uint8_t *tag, struct spool_vault_id *out);
/* The key of an offer's referral. */
void spool_vault_offer(uint64_t number, struct spool_vault_id *out);
/* Both append to out. Opening gives nothing when the key is destroyed, and the bytes as they are of an older spool. */
KW_MUST_USE enum kw_err spool_content_seal(struct spool *spool, const struct spool_vault_id *id,
	struct spool_content_place place, struct kw_view plain, struct kw_buf *out);
KW_MUST_USE enum kw_err spool_content_open(struct spool *spool, const struct spool_vault_id *id,
	struct spool_content_place place, struct kw_view blob, struct kw_buf *out);
bool spool_content_is_sealed(struct kw_view blob);
/* For a message: the writer's seals nothing when its thread is erased; the reader's shows nothing when it is restricted. */
KW_MUST_USE enum kw_err spool_content_put(struct spool *spool, MDB_txn *txn, struct spool_content_place place,
	struct kw_view plain, struct kw_buf *out);
KW_MUST_USE enum kw_err spool_content_get(struct spool *spool, MDB_txn *txn, struct spool_content_place place,
	struct kw_view blob, struct kw_buf *out);

/* spool_todo.c: the order of what waits for us. */
#define SPOOL_TODO_KEY_SIZE 17u
/* The thread's place in it, and whether it is on the list of the open ones. */
KW_MUST_USE enum kw_err spool_todo_put(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread);
/* The list of what was asked about consent and has no answer. */
KW_MUST_USE enum kw_err spool_asked_put(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	const struct spool_erasure *erasure);
/* Makes it, and the list of what was asked about consent, where there is none. Before the writer starts. */
KW_MUST_USE enum kw_err spool_todo_open(struct spool *spool);

/* spool_clock.c: clocks as the hub runs them, and the alarms that only the agent can give. */
/* Before the writer starts. */
KW_MUST_USE enum kw_err spool_clocks_open(struct spool *spool);
/* The event's time on hub time, and the hub's limits. */
void spool_clock_event(const struct spool *spool, struct agt_thread_event *event);
/* Where the thread stands in the order of alarms; with its record. */
KW_MUST_USE enum kw_err spool_clock_put(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread);
/* Whether its consent is ours to ask for again. */
bool spool_clock_consents(const struct spool_thread *thread);
/* A message in a thread, of whichever side, brings the consent as it is now. */
KW_MUST_USE enum kw_err spool_clock_consent(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
KW_MUST_USE enum kw_err spool_run_clocks(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_remind(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* spool_todo.c: the thread of a number; KW_ENOTFOUND also for one that is damaged, which is counted. */
KW_MUST_USE enum kw_err spool_thread_numbered(struct spool *spool, MDB_txn *txn, struct kw_view number, struct spool_thread *out);
/* spool_in.c: an item and op's content into the inbox; id: message id ‖ tag(agency). */
KW_MUST_USE enum kw_err spool_put_inbox(struct spool *spool, MDB_txn *txn, struct spool_op *op, const struct spool_item *item,
	struct kw_view id);

/* spool_named.c: the attachments that a message names, with the message. */
KW_MUST_USE enum kw_err spool_put_named(struct spool *spool, MDB_txn *txn, const struct spool_op *op);

/* spool_clear.c: what our own case system has to be cleared of. thread: as it was before the erasure. */
KW_MUST_USE enum kw_err spool_clear_put(struct spool *spool, MDB_txn *txn, const struct spool_erasure *asked,
	const struct spool_thread *thread);
KW_MUST_USE enum kw_err spool_clear_confirm(struct spool *spool, MDB_txn *txn, struct spool_op *op);

/* spool_erase.c */
KW_MUST_USE enum kw_err spool_run_withdraw(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_answer(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* KW_ENOTFOUND; a damaged row is KW_ECORRUPT. */
KW_MUST_USE enum kw_err spool_erasure_get(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	struct spool_erasure *out);
/* The same; a row that is missing or damaged is no row. *core is what agent/core/erase.h knows of it. */
KW_MUST_USE enum kw_err spool_erasure_find(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	struct spool_erasure *out, struct agt_erase *core);
/* What the core made of the row, but for what it reaches in other threads: the row itself, what is said, the key. */
KW_MUST_USE enum kw_err spool_erasure_keep(struct spool *spool, MDB_txn *txn, struct spool_erasure *erasure,
	const struct agt_erase_result *result);
/* Whether the contents of this thread are gone, or about to be. */
KW_MUST_USE enum kw_err spool_erasure_is_done(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, bool *out);
/* A message of theirs that is about consent: what it asks for, or answers. */
KW_MUST_USE enum kw_err spool_erasure_take(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* spool_erase_back.c: a follow-up of ours is on its way; nothing for those that are not about consent. */
KW_MUST_USE enum kw_err spool_erasure_sent(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	enum spool_follow_what what);
/* A message of ours is dead: what it said about consent is said again where that may help. */
KW_MUST_USE enum kw_err spool_erasure_unreached(struct spool *spool, MDB_txn *txn, const struct spool_item *item);
/* Destroys the keys that wait for it, then says so; between transactions. */
KW_MUST_USE enum kw_err spool_shred(struct spool *spool);
/* Recalls of envelopes that would have expired by now are not said any more. */
KW_MUST_USE enum kw_err spool_sweep_recalls(struct spool *spool, MDB_txn *txn, const struct spool_op *op);
/* Whether keys wait to be destroyed. */
KW_MUST_USE enum kw_err spool_shred_due(struct spool *spool, bool *out);
#define SPOOL_RECALL_SIZE 68u
#define SPOOL_ERASURE_SIZE 1792u
/* What the core makes of a row becomes its part of it; the way there is spool_erasure_core. */
void spool_erasure_set(struct spool_erasure *erasure, const struct agt_erase *core);
void spool_erasure_encode(const struct spool_erasure *erasure, uint8_t *out);
KW_MUST_USE enum kw_err spool_erasure_decode(struct kw_view bytes, struct spool_erasure *out);

#define SPOOL_ITEM_SIZE 288u
void spool_item_encode(const struct spool_item *item, uint8_t *out);
/* number and acked are not in the bytes. */
KW_MUST_USE enum kw_err spool_item_decode(struct kw_view bytes, struct spool_item *out);
KW_MUST_USE enum kw_err spool_item_get(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_item *out);
KW_MUST_USE enum kw_err spool_item_put(struct spool *spool, MDB_txn *txn, const struct spool_item *item);

struct spool_out_row {
	uint64_t number; /* 0: no message of a caller, a receipt */
	int64_t at_ms;
	struct kw_id envelope_id;
	uint32_t expiry_hour;
	bool wants_receipt;
	struct kw_view envelope;
};
#define SPOOL_OUT_HEAD_SIZE 37u
KW_MUST_USE enum kw_err spool_out_encode(const struct spool_out_row *row, struct kw_buf *out);
KW_MUST_USE enum kw_err spool_out_decode(struct kw_view bytes, struct spool_out_row *out);
void spool_out_key(enum kw_msg_class msg_class, uint64_t sequence, uint8_t *out);

/* Where a row of ours is. */
struct spool_place {
	uint64_t number;
	enum kw_msg_class msg_class;
	uint64_t sequence;
};
KW_MUST_USE enum kw_err spool_place_get(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id,
	struct spool_place *out);
KW_MUST_USE enum kw_err spool_place_put(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id,
	const struct spool_place *place);

/* The map is larger than map_size by this: what has been taken already must find room, and deletes need pages. */
#define SPOOL_RESERVE_SIZE ((uint64_t)64 << 20)

/* spool_space.c, for the writer. */
/* From `was`, to which it is compared: a level ends below where it begins. */
enum spool_space spool_space_measure(struct spool *spool, enum spool_space was);
/* KW_EIO of a write that was cut short because the disk is full, which is all that LMDB says then, is KW_ENOSPACE. */
enum kw_err spool_space_err(const struct spool *spool, enum kw_err err);

/* spool.c: the writer thread begins; all is read. */
KW_MUST_USE enum kw_err spool_start(struct spool *spool, uv_loop_t *loop);

/* spool.c: runs one operation, whichever it is. */
KW_MUST_USE enum kw_err spool_run(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* spool_group.c: runs the group that begins with `op`; *next is the operation behind it. */
KW_MUST_USE enum kw_err spool_run_group(struct spool *spool, MDB_txn *txn, struct spool_op *op, struct spool_op **next);
/* The groups among them have no effect when they are run again; false when there was none left to give up. */
bool spool_groups_give_up(struct spool_op *ops);
/* A group takes the operation; true when it is whole: *first to *last are then to be handed over. */
bool spool_group_join(struct spool_op *op, struct spool_op **first, struct spool_op **last);

/* spool_out.c, spool_in.c: operations, run by the writer in its transaction. */
KW_MUST_USE enum kw_err spool_run_append(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_held(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_epoch(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_receive(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_notice(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_ack(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_keep(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_register(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_sweep(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* All rows count as unsent again. */
KW_MUST_USE enum kw_err spool_unhold(struct spool *spool, MDB_txn *txn);
/* Moves an item to another state and keeps the counts. */
KW_MUST_USE enum kw_err spool_turn(struct spool *spool, MDB_txn *txn, struct spool_item *item, enum spool_state state);
/* The row leaves the outbox; told with the operation. */
KW_MUST_USE enum kw_err spool_leave(struct spool *spool, MDB_txn *txn, const struct spool_place *place,
	struct spool_op *op);
/* How a message of ours ended. */
enum spool_end {
	SPOOL_END_REFUSED, /* the other side has had it and says no */
	SPOOL_END_LOST,    /* it is certain that it never arrived */
	SPOOL_END_UNSURE,  /* no receipt: it may have arrived */
	SPOOL_END_NONE     /* it has arrived after all */
};
/* A message of ours is dead for a reason. Its thread goes on without it, but for one that may have arrived. */
KW_MUST_USE enum kw_err spool_bury(struct spool *spool, MDB_txn *txn, uint64_t number, enum kw_err reason,
	enum spool_end end);
/* One is past its expiry, and neither receipt nor hub has said what became of it. */
KW_MUST_USE enum kw_err spool_expire(struct spool *spool, MDB_txn *txn, uint64_t number);
/* A message of ours has arrived, as a receipt says or an answer shows: `at_ms` and `opened` of the receipt count. One that was
 * taken for dead because no receipt came is not. */
KW_MUST_USE enum kw_err spool_arrived(struct spool *spool, MDB_txn *txn, struct spool_item *item,
	const struct spool_receipt *receipt);
/* The envelope's row is gone for good: what the hub was to know of it goes too. */
KW_MUST_USE enum kw_err spool_forget_tracks(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id);
/* Tells the core that a row is not there any more. */
KW_MUST_USE enum kw_err spool_gone_add(struct spool_op *op, const struct spool_place *place);

/* spool_in.c: a receipt that we owe for a message of theirs. */
struct spool_due {
	const struct spool_item *item; /* theirs: agency, digest, envelope id, thread, time */
	const struct spool_act *act;   /* what it does to its thread; NULL: nothing that the hub should know */
	enum kw_err failure;
	bool opened;
	bool decided; /* a person answered it, at the item's time */
	bool urgent;
};
#define SPOOL_DUE_SIZE 141u
#define SPOOL_DUE_SIZE_BEFORE_JITTER 140u
#define SPOOL_DUE_SIZE_BEFORE_THREADS 122u
KW_MUST_USE enum kw_err spool_put_due(struct spool *spool, MDB_txn *txn, const struct spool_due *due);

/* spool_proof.c: see spool_proof.h. */
struct spool_proof {
	uint64_t number;
	uint8_t level;
	struct kw_view bytes;
};
/* KW_OK also for no bytes. */
KW_MUST_USE enum kw_err spool_proof_put(struct spool *spool, MDB_txn *txn, const struct spool_proof *proof);
/* A receipt about this message of ours is believed: its proof, and what it says of a person. */
KW_MUST_USE enum kw_err spool_receipt_keep(struct spool *spool, MDB_txn *txn, const struct spool_op *op,
	const struct spool_receipt *receipt, struct spool_item *item);
/* A message of ours was appended to its thread: when a person decided with it, its receipt is due. */
KW_MUST_USE enum kw_err spool_decide(struct spool *spool, MDB_txn *txn, struct spool_op *op);

/* spool_thread.c: threads, in the transaction of what moves them. */
#define SPOOL_THREAD_KEY_SIZE (2u * SPOOL_TAG_SIZE)
KW_MUST_USE enum kw_err spool_thread_key(const struct spool *spool, const struct kw_id *thread_id,
	const struct kw_name *agency, uint8_t *out);
/* KW_ENOTFOUND; a damaged record is KW_ECORRUPT. */
KW_MUST_USE enum kw_err spool_thread_get(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_thread *out);
/* A message and what it does. */
struct spool_move {
	const struct spool_item *item;
	const struct spool_act *act;
	const struct spool_claim *claim; /* ours: what the caller says about the case; NULL: nothing */
	uint64_t case_id;                /* ours: the case that it has already, of an offer; 0 */
	uint64_t number; /* the place it has or is about to have in its list */
	int64_t now_ms;
	bool log_only;   /* the upgrade: no receipts, no follow-ups */
};
/* Ours: op->fault says whether it may go; then the record is as after it. */
KW_MUST_USE enum kw_err spool_thread_ours(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	struct spool_op *op);
/* Theirs: what is to become of the message. AGT_THREAD_ILLEGAL: refuse it. KW_EFULL: nothing has changed, and it may come again
 * later. */
KW_MUST_USE enum kw_err spool_thread_theirs(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	enum agt_thread_verdict *out);
/* spool_gap.c: places that are not to be waited for, as the author of this message says; before it is judged. move->act may be
 * of no kind. */
KW_MUST_USE enum kw_err spool_gaps_take(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	const struct spool_op *op);
/* A message of ours is lost, or nobody knows: where others wait behind it, its agency is told with a receipt. */
KW_MUST_USE enum kw_err spool_gap_tell(struct spool *spool, MDB_txn *txn, const struct spool_item *item);
/* The place of a message that cannot be used, because its content cannot. */
KW_MUST_USE enum kw_err spool_gap_unreadable(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
/* After that: those that waited for it, with their receipts. */
KW_MUST_USE enum kw_err spool_thread_drain(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
/* The other side's agent has our message. */
KW_MUST_USE enum kw_err spool_thread_delivered(struct spool *spool, MDB_txn *txn, const struct spool_item *item);
/* A message of ours does not count, or does after all. */
KW_MUST_USE enum kw_err spool_thread_void(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	enum spool_end end);
/* Whether this one of ours made a case our own: then it counts until it is certain that it does not. */
KW_MUST_USE enum kw_err spool_thread_binds(struct spool *spool, MDB_txn *txn, const struct spool_item *item, bool *out);
/* The hub declares a state; nothing when it may not, or when there is no such thread. */
KW_MUST_USE enum kw_err spool_thread_hub(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
/* A reminder came for the thread of this item. */
KW_MUST_USE enum kw_err spool_thread_reminded(struct spool *spool, MDB_txn *txn, const struct spool_op *op);
/* Early ones that have waited too long: refused, so that their authors hear of it. */
KW_MUST_USE enum kw_err spool_sweep_early(struct spool *spool, MDB_txn *txn, const struct spool_op *op);

/* spool_thread_row.c: rows of threads as bytes. */
#define SPOOL_THREAD_SIZE 300u
#define SPOOL_THREAD_HEAD_SIZE 152u         /* what stays of an erased thread; behind it stand service and pseudonyms */
#define SPOOL_THREAD_HEAD_SIZE_BEFORE_CASES 144u
#define SPOOL_THREAD_SIZE_BEFORE_VAULT 224u
/* Bytes of the head of a row of this version. */
size_t spool_thread_head(uint8_t version);
void spool_thread_encode(const struct spool_thread *thread, uint8_t *out);
KW_MUST_USE enum kw_err spool_thread_decode(struct kw_view bytes, struct spool_thread *out);
/* A step in the log: what replaying it needs, and where its message is. */
struct spool_log {
	struct agt_thread_event event;
	uint8_t became;
	bool refused;
	bool lost; /* it never reached the other side: the record is made without it */
	bool repeat;
	uint32_t content_type;
	uint64_t number;
};
#define SPOOL_LOG_SIZE 40u
void spool_log_encode(const struct spool_log *log, uint8_t *out);
KW_MUST_USE enum kw_err spool_log_decode(struct kw_view bytes, struct spool_log *out);
/* One of theirs that waits: what it will do, where it lies in the inbox, and since when. number 0: nothing lies there, the
 * place is a gap; then of what it will do only kind and state count, and state 0 is nothing. */
struct spool_early {
	struct spool_act act;
	uint64_t number;
	int64_t at_ms;
};
#define SPOOL_EARLY_SIZE 104u
#define SPOOL_EARLY_GAP_SIZE 16u
/* The bytes that it takes: one of the two above. */
size_t spool_early_size(const struct spool_early *early);
void spool_early_encode(const struct spool_early *early, uint8_t *out);
KW_MUST_USE enum kw_err spool_early_decode(struct kw_view bytes, struct spool_early *out);
#define SPOOL_FOLLOW_SIZE 91u /* and the content that it holds */
#define SPOOL_FOLLOW_SIZE_BEFORE_OFFERS 83u
#define SPOOL_FOLLOW_SIZE_BEFORE_CONSENT 82u
void spool_follow_encode(const struct spool_follow *follow, uint8_t *out);
KW_MUST_USE enum kw_err spool_follow_decode(struct kw_view bytes, struct spool_follow *out);
void spool_log_key(const uint8_t *thread_key, uint32_t n, uint8_t *out); /* SPOOL_THREAD_KEY_SIZE + 4 bytes */

/* Writes down what the agent has to say by itself; `follow` but for its key. */
KW_MUST_USE enum kw_err spool_follow_put(struct spool *spool, MDB_txn *txn, const struct spool_follow *follow);

#include "agent/shell/spool_offer_inner.h"

/* spool_reseal.c: contents of an older schema get the key of their thread. What a crash interrupts goes on at the next start. */
KW_MUST_USE enum kw_err spool_reseal(struct spool *spool);
/* spool_upgrade.c: makes a spool of an older schema one of this. All tables are open. */
KW_MUST_USE enum kw_err spool_upgrade(struct spool *spool);

#endif
