#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/id.h"
#include "proto/wire/audit.h"
#include "proto/wire/frame.h"

/* The hub's durable state: queues, cursors, agencies. One writer thread commits in groups; this interface is used from
 * the loop thread only. It stays narrow, so that another engine can stand behind it: append to a queue, read from a
 * cursor, trim up to a cursor, small keyed state, in batches, one completion per batch.
 *
 * Every change carries a ticket, growing by the caller's count. Changes go into the batch that is filling; the writer
 * takes it when its last commit has ended (no timer), runs one transaction and one sync, and the loop gets
 * on_committed(ticket): everything up to that ticket is durable. A batch does not begin before there is room on the disk for
 * it; it waits, and all behind it. Any commit error is final: on_committed says so, the
 * process must ack nothing more, stop and be restarted. */

struct store;
struct uv_loop_s;

/* An owned body shared by the store and deliveries. Counted on the loop thread only; the writer reads it while the
 * batch holds a reference. */
struct store_box {
	uint32_t refs;
	uint32_t size;
	uint8_t data[];
};

/* A box with one reference and uninitialised data; NULL when memory is out. */
struct store_box *store_box_new(uint32_t size);
void store_box_ref(struct store_box *box);
/* Accepts NULL. */
void store_box_unref(struct store_box *box);

/* What the hub knows of one waiting message. Slots are small numbers for agencies, stable for the store's life. */
#define STORE_SLOT_NONE UINT32_MAX
#define STORE_SLOT_MAX 10000u /* slots are 0..STORE_SLOT_MAX - 1 */

struct store_row {
	uint32_t slot;                /* queue: the recipient */
	enum kw_msg_class msg_class;  /* queue; KW_CONTROL rows hold an encoded Notice, others an Envelope */
	uint64_t sequence;            /* place in the queue, from 1, only growing */
	uint32_t owner_slot;          /* the agency that submitted it; STORE_SLOT_NONE for notices */
	uint32_t expiry_hour;         /* hours since 1970; 0 = never */
	struct kw_id envelope_id;
	struct kw_id thread_id;       /* the thread that it opens; zero for none */
	uint32_t body_size;           /* bytes of the body; set by the store, also where box is NULL */
	struct store_box *box;        /* the body */
};

/* A thread as the store keeps it: the record is the caller's. Ordered by due_ms in a second table, so that nothing ever
 * walks all threads. */
#define STORE_THREAD_SIZE_MAX 128u

struct store_thread {
	struct kw_id id;
	uint64_t due_ms; /* when it wants to be looked at, since 1970; 0: never */
	uint32_t size;   /* of the record; 0: there is no such thread */
	uint8_t record[STORE_THREAD_SIZE_MAX];
};

#define STORE_REWRITE_WAIT_MS UINT64_C(600000)
struct store_options {
	const char *path;      /* directory; made if it is missing, as TESTING's LMDB rules say */
	uint64_t map_size;     /* bytes of address space, sparse */
	uint32_t record_version; /* the latest of a thread's record that the caller reads: KW_EVERSION when one was written later */
	/* The slot that a record of a thread counts against, STORE_SLOT_NONE for none: when what is held has to be counted. */
	uint32_t (*thread_payer)(const uint8_t *record, uint32_t size);
	/* The audit log has a leaf for each appended row but those of KW_CONTROL, over its body's digest. Called on threads of the
	 * store. NULL: no log is kept. */
	enum kw_err (*leaf_digest)(const uint8_t *body, uint32_t size, struct kw_digest *out);
	bool new_epoch;        /* forget receive cursors and take a new epoch: after a restore from backup */
	uint64_t rewrite_wait_ms; /* so long after a recall its last bytes leave the file; 0: STORE_REWRITE_WAIT_MS */
	bool unsafe_no_sync;   /* positive control of the tests only: refused unless KW_UNSAFE_TEST=1 is in the environment, and in a release always */
};

struct store_hooks {
	void *user;
	void (*on_committed)(void *user, uint64_t ticket, enum kw_err err); /* on the loop thread */
};

/* Opens or creates, checks, and starts the writer. KW_EIO, KW_ENOSPACE, KW_ECORRUPT, KW_EVERSION, KW_ENOMEM; KW_EBUSY when
 * another process has the store open; KW_EDENIED for unsafe_no_sync without the environment. */
KW_MUST_USE enum kw_err store_open(const struct store_options *options, struct uv_loop_s *loop,
	const struct store_hooks *hooks, struct store **out);
/* Commits what was handed over, ends the writer, closes the files. Accepts NULL. on_committed is not called any more. The
 * memory goes in a close callback: run the loop once more before closing it. */
void store_close(struct store *store);

uint64_t store_epoch(const struct store *store);
/* The hub time that was kept last when the store was opened; 0 for none. */
uint64_t store_time(const struct store *store);

/* The rows of one queue on disk: first..last sequences (first = last + 1 when empty; last is remembered). */
struct store_extent {
	uint64_t first;
	uint64_t last;
	uint64_t count;
	uint64_t bytes;
};

/* Calls back once for each agency, queue and cursor on disk, before any door opens. */
struct store_recovery {
	void *user;
	void (*agency)(void *user, uint32_t slot, const struct kw_name *name);
	void (*queue)(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent);
	/* what was received from that agency */
	void (*cursor)(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor);
	/* threads that count against it, and reminders that wait for it, as store_put_held said last; NULL: not asked for */
	void (*held)(void *user, uint32_t slot, uint32_t threads, uint32_t reminders);
};

KW_MUST_USE enum kw_err store_recover(struct store *store, const struct store_recovery *recovery);

/* Changes. They cannot fail here: memory for the batch is bounded by the caller's credit; a failure comes with
 * on_committed. The store takes its own reference of a box. */
void store_put_agency(struct store *store, uint64_t ticket, uint32_t slot, const struct kw_name *name);
void store_append(struct store *store, uint64_t ticket, const struct store_row *row);
/* The receive cursor of (slot, class): commits with the append that has the same ticket, or after an earlier one. */
void store_put_cursor(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class,
	struct kw_cursor cursor);
/* Deletes all rows of the queue up to and including `sequence`. They are never read again from this call on, and after
 * the commit not by a later start either; the pages come back in slices. A row that is still in the same batch never
 * reaches the disk. */
void store_trim(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence);
/* Deletes one row; no error if it is gone. */
void store_remove(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence);
/* The same, and its bytes leave the file: what its owner takes back. They are gone soon after the commit, at the latest with
 * the next start. */
void store_recall(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence);
/* Writes a thread, or with size 0 removes it and its place in the order. */
void store_put_thread(struct store *store, uint64_t ticket, const struct store_thread *thread);
/* What store_recovery.held gives after the next start. */
void store_put_held(struct store *store, uint64_t ticket, uint32_t slot, uint32_t threads, uint32_t reminders);
/* The newest prekeys of an agency, in the place of those before; bytes are at most KW_PREKEYS_SIZE_MAX. store_prekey.c */
void store_put_prekeys(struct store *store, uint64_t ticket, uint32_t slot, struct kw_view bytes);
/* Appends what is committed of them; nothing when there is none, or the row is damaged: their agency gives them again.
 * KW_ENOMEM, KW_ETOOBIG (of out), KW_EIO, KW_ECORRUPT (the tree itself). */
KW_MUST_USE enum kw_err store_get_prekeys(struct store *store, uint32_t slot, struct kw_buf *out);
/* What store_time gives after the next start: the hub's time, kept from time to time. */
void store_put_time(struct store *store, uint64_t ticket, uint64_t hub_ms);
/* Deletes what ties leaf `index` of the audit log to this envelope: its salt. The leaf stays, and with it every proof of the
 * log; this leaf proves nothing any more. The bytes leave the file as those of store_recall do. Nothing happens when the leaf
 * is of another envelope. */
void store_forget(struct store *store, uint64_t ticket, const struct kw_digest *envelope_digest, uint64_t index);
/* Keeps a checkpoint that somebody was shown. */
void store_put_checkpoint(struct store *store, uint64_t ticket, uint64_t size, struct kw_view signed_role);
/* Wakes the writer if a batch waits and it is idle; call at the end of each loop turn. */
void store_kick(struct store *store);

/* The committed row of one envelope that waits for an agency, without its box. A walk over the index of its queues. */
bool store_find(struct store *store, uint32_t slot, const struct kw_id *envelope_id, struct store_row *out);

/* Reads committed rows of one queue from `from` on, at most count_max rows and about bytes_max bytes (at least one row).
 * Each row has a new box that the callee owns. A damaged row is set aside, counted and skipped. KW_ENOMEM, KW_EIO,
 * KW_ECORRUPT (the tree itself): rows already handed over stay the callee's. */
struct store_range {
	uint32_t slot;
	enum kw_msg_class msg_class;
	uint64_t from;
	uint32_t count_max;
	uint32_t bytes_max;
};
KW_MUST_USE enum kw_err store_read(struct store *store, const struct store_range *range,
	void (*each)(void *user, const struct store_row *row), void *user);

/* Reads threads by their ids into the rest of the structs, changes that are not committed yet included. A damaged one is
 * set aside, counted, and reads as none. KW_EIO, KW_ECORRUPT (the tree itself). */
KW_MUST_USE enum kw_err store_get_threads(struct store *store, struct store_thread *threads, uint32_t count);
/* The threads with 0 < due_ms <= now_ms, the most overdue first, looking at no more than count_max of them: those whose
 * last change is not committed yet count and are left out until it is. One whose time was put off since it was given its
 * place in the order may come before one that has been due for longer, where not all fit. Same errors. */
KW_MUST_USE enum kw_err store_due(struct store *store, uint64_t now_ms, uint32_t count_max, struct store_thread *out,
	uint32_t *count);

/* The audit log as committed. False: none is kept, or it is damaged. out: borrowed, valid until the loop's next turn. */
bool store_log(const struct store *store, const struct kw_tree **out);
struct store_leaf {
	uint64_t index;
	uint8_t salt[KW_AUDIT_SALT_SIZE];
};
/* The newest leaf of an envelope below number `below`, which is at most STORE_FIND_LEAVES_MAX leaves away,
 * those of the block that is not full not counted; there is no index.
 * KW_ENOTFOUND: there is none from *looked_from on, or its salt was deleted; look again below that, unless it is 0. KW_EIO. */
#define STORE_FIND_LEAVES_MAX 65536u
KW_MUST_USE enum kw_err store_find_leaf(struct store *store, const struct kw_digest *envelope_digest, uint64_t below,
	struct store_leaf *out, uint64_t *looked_from);
/* Proofs of the log at `size`, which was committed. KW_EIO, KW_ECORRUPT; those of kw_tree_prove_*. */
KW_MUST_USE enum kw_err store_prove(struct store *store, uint64_t index, uint64_t size, struct kw_tree_proof *out);
KW_MUST_USE enum kw_err store_prove_growth(struct store *store, uint64_t size_old, uint64_t size, struct kw_tree_proof *out);

/* Walks rows in slices, looking for expired ones: calls back for each row with 0 < expiry_hour <= hour (box is NULL),
 * and returns true when the walk has wrapped to the start. rows_max bounds one slice. */
bool store_sweep(struct store *store, uint32_t hour, uint32_t rows_max,
	void (*each)(void *user, const struct store_row *row), void *user);

struct store_stats {
	uint64_t commits;        /* transactions synced */
	uint64_t rows;           /* rows appended since start */
	uint64_t used_bytes;     /* pages in use */
	uint64_t map_bytes;      /* min(map size, size of the file + free disk) */
	uint64_t damaged_rows;   /* set aside since start */
	uint64_t threads;        /* on disk */
	uint64_t clocks;         /* of them, with a due_ms */
	uint64_t pending_ops;    /* handed over, not committed */
	bool waiting;            /* for room on the disk, which somebody else has filled: nothing is committed */
};
void store_stats_get(struct store *store, struct store_stats *out);

#endif
