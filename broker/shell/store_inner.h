#ifndef BROKER_STORE_INNER_H
#define BROKER_STORE_INNER_H

#include <lmdb.h>
#include <uv.h>

#include "broker/shell/store_hash.h"
#include "proto/wire/audit.h"

/* What the files of the store share. Who touches what:
 *
 *   loop thread    everything in struct store but `writer`, and the fields under `lock` while it holds it
 *   writer thread  struct store_writer, and the fields under `lock` while it holds it
 *
 * store.c hands over, store_writer.c commits, store_read.c reads, store_env.c creates and opens, store_load.c checks and
 * repairs at start, store_thread.c and store_writer_thread.c are the threads on either side, store_check.c looks at the pages of the file before LMDB does, store_row.c is the form of a row. */

#define STORE_OPS_MAX 4096u             /* operations in a batch; only the last ticket's may pass it. 1024 cost a fifth at full load */
#define STORE_BYTES_MAX (4u << 20)      /* body bytes in a batch, likewise */
#define STORE_TRIM_ROWS_MAX 4096u       /* rows that one commit deletes */
#define STORE_EARLY_MAX 4096u           /* threads that one look for what is due finds too early in the order */
#define STORE_DAMAGED_MAX 1024u         /* rows kept aside for a person to look at; further ones are dropped */
#define STORE_DAMAGED_SIZE_MAX 70000u
#define STORE_RESERVE_SIZE (64u << 20)  /* map beyond map_size: deletes need pages when appends have none left */
#define STORE_ROOM_SIZE (512u << 10)    /* on the disk before a batch of deletes begins; more where bodies are added */
#define STORE_ROOM_LOOK_NS 1000000000u  /* from one look for it to the next */
#define STORE_SCHEMA_VERSION 5u /* 1 had no threads, 2 did not count them, 3 had none that stand early, 4 no audit log; taken as they are */
#define STORE_SCHEMA_UNCOUNTED 2u
#define STORE_QUEUE_COUNT (STORE_SLOT_MAX * KW_MSG_CLASS_COUNT)
#define STORE_SEEN_COUNT 64u

/* store_row.c: magic u16, version u8, kind u8, payload size u32, CRC32C u32 over key, the eight bytes before and payload. */
enum store_kind {
	STORE_META = 'm',   /* schema u32, epoch u64, record version of threads u32; key: copy u8 */
	STORE_AGENCY = 'a', /* name, zero padded; key: slot u32, copy u8 */
	STORE_QUEUE = 'q',  /* last, trimmed, count, bytes u64; key: slot u32, class u8 */
	STORE_CURSOR = 'c', /* epoch, sequence u64; key: slot u32, class u8 */
	/* position u64, size, expiry_hour, owner u32, envelope id, thread id or nothing; key: slot u32, class u8, sequence u64 */
	STORE_INDEX = 'i',
	STORE_THREAD = 't', /* due u64, record; key: thread id */
	/* place, due u64, record; the same key. It stands in the order at its place, which is earlier than its due time, or at
	 * its due time when a look for what is due has come by there */
	STORE_THREAD_EARLY = 'p',
	STORE_CLOCK = 'k',  /* nothing; key: due or place u64, thread id */
	STORE_HELD = 'n',   /* open threads, waiting reminders u32; key: slot u32 */
	STORE_PREKEYS = 'y', /* an encoded SignedPrekeys; key: slot u32 */
	STORE_TIME = 'h',   /* hub time u64; in the meta table, key: STORE_TIME_KEY */
	STORE_LEAVES = 'f', /* a block of the audit log, see store_writer_audit.c; key: number of the block u64 */
	STORE_STRIP = 'e',  /* what one commit has added to the block that is not full; key: number of its first leaf u64 */
	STORE_PEAKS = 'y',  /* the tree before that block; key: STORE_PEAKS_KEY */
	STORE_CHECKPOINT = 'x', /* a SignedRole; key: size u64 */
	STORE_LOG = 'l'     /* the key of the index row, body; key: position u64 */
};

#define STORE_ROW_HEAD_SIZE 12u
#define STORE_META_SIZE 16u
#define STORE_META_SIZE_MIN 12u /* up to schema 2, with records of version 1 */
#define STORE_HELD_SIZE 8u
#define STORE_QUEUE_SIZE 32u
#define STORE_CURSOR_SIZE 16u
#define STORE_INDEX_SIZE 36u
#define STORE_INDEX_SIZE_MAX (STORE_INDEX_SIZE + KW_ID_SIZE)
#define STORE_THREAD_HEAD_SIZE 8u
#define STORE_THREAD_EARLY_HEAD_SIZE 16u
#define STORE_CLOCK_KEY_SIZE (8u + KW_ID_SIZE)
#define STORE_TIME_SIZE 8u
#define STORE_WIPE_KEY UINT8_C(0x81) /* u8, a raw byte: recalled bytes may be in free pages */
#define STORE_TIME_KEY UINT8_C(0x80) /* u8, none of the copies' numbers */
#define STORE_QUEUE_KEY_SIZE 5u
#define STORE_INDEX_KEY_SIZE 13u
#define STORE_LOG_KEY_SIZE 8u
#define STORE_LEAVES_KEY_SIZE 8u
#define STORE_PEAKS_KEY UINT8_C(0) /* u8: before all strips */
#define STORE_BLOCK_LEVEL 10u
#define STORE_BLOCK_LEAVES (1u << STORE_BLOCK_LEVEL)
#define STORE_TAG_SIZE 8u
#define STORE_LEAF_SIZE (KW_DIGEST_SIZE + STORE_TAG_SIZE + KW_AUDIT_SALT_SIZE)
#define STORE_BLOCK_SIZE (STORE_BLOCK_LEAVES * STORE_LEAF_SIZE)
#define STORE_COPIES 2u /* of what the store cannot do without: meta and agencies */

/* Writes the head before a payload that is in place at out + STORE_ROW_HEAD_SIZE. */
void store_row_seal(uint8_t *out, enum store_kind kind, const MDB_val *key, uint32_t payload_size);
/* False unless every byte of key and value is as it was written. */
bool store_row_check(const MDB_val *key, const MDB_val *value, enum store_kind kind, struct kw_view *payload);
void store_row_queue_key(uint8_t out[STORE_QUEUE_KEY_SIZE], uint32_t queue);
/* UINT32_MAX when the key has another size or is out of range. */
uint32_t store_row_queue_of(const MDB_val *key, size_t key_size);
void store_row_index_key(uint8_t out[STORE_INDEX_KEY_SIZE], uint32_t queue, uint64_t sequence);

struct store_index {
	uint64_t position;
	uint32_t size;
	uint32_t expiry_hour;
	uint32_t owner_slot;
	struct kw_id envelope_id;
	struct kw_id thread_id; /* zero: none */
};

/* Writes at most STORE_INDEX_SIZE_MAX bytes and returns how many. */
uint32_t store_row_index_put(uint8_t *out, const struct store_index *index);
/* False when the payload has another size. */
bool store_row_index_get(struct kw_view payload, struct store_index *out);
void store_row_clock_key(uint8_t out[STORE_CLOCK_KEY_SIZE], uint64_t due_ms, const struct kw_id *id);
/* A thread's row, checked; false when it is damaged. *place_ms, which may be NULL: due_ms, or where it stands early. */
bool store_row_thread(const MDB_val *key, const MDB_val *value, struct store_thread *out, uint64_t *place_ms);
#define STORE_ROW_THREAD_SIZE_MAX (STORE_ROW_HEAD_SIZE + STORE_THREAD_EARLY_HEAD_SIZE + STORE_THREAD_SIZE_MAX)
/* Writes it and returns its size. */
uint32_t store_row_thread_put(uint8_t out[STORE_ROW_THREAD_SIZE_MAX], const MDB_val *key, const struct store_thread *thread,
	uint64_t place_ms);

static inline uint32_t store_queue_index(uint32_t slot, enum kw_msg_class msg_class)
{
	return slot * KW_MSG_CLASS_COUNT + (uint32_t)msg_class;
}

static inline MDB_val store_val(const void *data, size_t size)
{
	return (MDB_val){.mv_size = size, .mv_data = (void *)(uintptr_t)data};
}

/* What a batch is made of. */
enum store_op_kind {
	STORE_OP_APPEND,
	STORE_OP_CURSOR,
	STORE_OP_TRIM,
	STORE_OP_REMOVE,
	STORE_OP_RECALL,
	STORE_OP_AGENCY,
	STORE_OP_DAMAGED,
	STORE_OP_THREAD,         /* box: the record, or NULL to remove */
	STORE_OP_THREAD_DAMAGED, /* looked at again */
	STORE_OP_CLOCK_STRAY,    /* a place in the order that no thread has; looked at again */
	STORE_OP_CLOCK_EARLY,    /* a thread that stood early and is not due yet; likewise */
	STORE_OP_PREKEYS,        /* box, of the slot */
	STORE_OP_FORGET,         /* box: the envelope digest; number of the leaf in sequence */
	STORE_OP_CHECKPOINT,     /* box: a signed checkpoint; size in sequence */
	STORE_OP_HELD,           /* threads in owner_slot, reminders in expiry_hour */
	STORE_OP_TIME
};

struct store_op {
	enum store_op_kind kind;
	uint32_t queue;         /* store_queue_index; the slot for STORE_OP_AGENCY, STORE_OP_PREKEYS and STORE_OP_HELD */
	uint64_t sequence;      /* due_ms for threads and clocks; the time */
	uint64_t epoch;         /* STORE_OP_CURSOR; of STORE_OP_THREAD, up to where what is due was looked for */
	struct store_box *box;  /* body, or name for STORE_OP_AGENCY; one reference */
	uint32_t owner_slot;
	uint32_t expiry_hour;
	struct kw_id envelope_id;
	struct kw_id thread_id;
};

struct store_batch {
	struct store_batch *next;
	struct store_op *ops;
	uint32_t count;
	uint32_t cap;
	uint32_t logged; /* of them have a leaf in the audit log */
	uint64_t bytes;
	uint64_t ticket; /* the highest in it */
	enum kw_err err; /* of its commit */
};

/* What the writer knows of one queue; its row in `queues` is the same, but for the fields below the line. */
struct store_queue {
	uint64_t last;
	uint64_t trimmed; /* rows up to here are gone, though a later slice may have to delete them */
	uint64_t count;   /* rows in the index, deleted in slices or not */
	uint64_t bytes;
	/* ---- */
	struct kw_cursor cursor;
	bool touched;
	bool cursor_set;
	bool lagging; /* is in the ring of queues with rows to delete */
};

struct store_dbis {
	MDB_dbi meta;
	MDB_dbi agencies;
	MDB_dbi queues;
	MDB_dbi cursors;
	MDB_dbi index;
	MDB_dbi log;
	MDB_dbi damaged;
	MDB_dbi threads;
	MDB_dbi clocks;
	MDB_dbi held;
	MDB_dbi prekeys;
	MDB_dbi leaves;
	MDB_dbi tail;
	MDB_dbi checkpoints;
};

struct store_env {
	MDB_env *env;
	struct store_dbis dbi;
	int folder_fd; /* holds the lock that keeps a second process out */
	uint64_t map_size;
	uint32_t page_size;
	uint32_t record_version;
	char *path;     /* of its own; NULL in one that is only built */
	unsigned flags; /* of mdb_env_open */
};

/* Figures that travel from the writer to the loop with each commit. */
struct store_figures {
	uint64_t commits;
	uint64_t rows;
	uint64_t damaged;
	uint64_t used_bytes;
	uint64_t file_bytes;
	uint64_t threads;
	uint64_t clocks;
	struct kw_tree tree; /* the audit log, as committed */
	bool log_broken;
};

/* STORE_BLOCK_LEAVES leaves of the audit log, as they are stored. */
struct store_block {
	struct kw_digest hashes[STORE_BLOCK_LEAVES];
	uint8_t tags[STORE_BLOCK_LEAVES][STORE_TAG_SIZE]; /* of the envelope digests; 0 when forgotten */
	uint8_t salts[STORE_BLOCK_LEAVES][KW_AUDIT_SALT_SIZE];
};
_Static_assert(sizeof(struct store_block) == STORE_BLOCK_SIZE, "a block is stored as it is");

/* A view of one: full, or of a strip. */
struct store_leaves {
	uint64_t first; /* number of its first leaf */
	uint32_t count;
	const uint8_t *hashes;
	const uint8_t *tags;
	const uint8_t *salts;
	struct kw_view nodes; /* of level STORE_BLOCK_LEVEL and up that a full block completes */
};

/* The writer's side of the audit log. */
struct store_audit {
	struct store_hash *hash;   /* NULL: no log is kept */
	uint32_t left;             /* leaves of this batch that are not taken yet */
	struct store_block *tail;  /* the leaves behind the last full block */
	uint32_t written;          /* of them, in strips */
};

struct store_writer {
	struct store_env *env;
	struct store_queue *queues; /* STORE_QUEUE_COUNT */
	uint32_t *touched;          /* queues whose row this batch rewrites */
	uint32_t touched_count;
	uint32_t *cursors;          /* queues whose receive cursor this batch rewrites */
	uint32_t cursor_count;
	uint32_t *lagging;          /* ring of queues with trimmed rows still in the tree */
	uint32_t lagging_head;
	uint32_t lagging_count;
	uint64_t position;          /* next in the log */
	uint64_t damaged_kept;
	bool wipe;                  /* recalled bytes are in free pages */
	struct store_figures figures;
	MDB_txn *txn;               /* during a commit */
	MDB_cursor *log;
	MDB_cursor *index;
	struct store_audit audit;
	MDB_cursor *threads;        /* NULL until the first one of a commit */
};

struct store_overlay;

struct store {
	struct store_env env;
	struct store_writer writer;
	struct store_hooks hooks;
	uv_async_t async;
	uv_loop_t *loop;
	uint64_t epoch;
	uint64_t time_ms;            /* as it was read at start */
	bool opened;                 /* lock, wake and async are there */
	bool closing;
	bool reported;               /* on_committed has said an error */
	enum kw_err loop_err;        /* memory ran out while handing over */
	uint64_t ticket;             /* the highest handed over */
	struct store_batch *filling; /* NULL until the first change of a turn */
	struct store_batch *spare;
	uint64_t pending_ops;
	uint64_t *trimmed;           /* per queue: what store_trim has said, committed or not */
	struct store_figures figures;
	uint64_t damaged_seen;       /* by readers */
	uint64_t seen[STORE_SEEN_COUNT]; /* damaged rows reported lately, so that each counts once */
	uint32_t seen_next;
	uint64_t reach_bytes; /* the file and the disk's free space, when it was asked */
	uint64_t free_asked_ms;
	uv_mutex_t reading;          /* held within a read, and while the file gives way to a new one */
	MDB_txn *reader;             /* reset between uses */
	MDB_cursor *read_index;
	MDB_cursor *read_clocks;
	struct store_overlay *overlay; /* threads whose last change is not committed yet */
	uint64_t due_looked_ms;        /* the latest time of a look for what is due */
	uint8_t sweep_key[STORE_INDEX_KEY_SIZE];

	uv_thread_t thread;
	bool thread_runs;
	uint64_t rewrite_wait_ns;
	uint64_t rewrite_at_ns; /* the writer's: when to write the file anew; 0: nothing was recalled */
	uv_mutex_t lock;
	uv_cond_t wake;
	/* under lock: */
	struct store_batch *queued;      /* oldest first */
	struct store_batch *queued_last; /* the loop may take it back while the writer has not */
	struct store_batch *done;
	struct store_batch *done_last;
	struct store_figures done_figures;
	bool stop;
	bool waiting; /* the writer, for room on the disk */
	enum kw_err failed;
};

enum kw_err store_env_err(int code);
/* Opens or creates; half-open on failure, so store_env_close follows either way. */
enum kw_err store_env_open(const struct store_options *options, struct store_env *env);
void store_env_close(struct store_env *env);
#define STORE_ENV_DATA "data.mdb"
#define STORE_ENV_BUILD "new"
/* Opens the LMDB environment in `path` and its tables. */
int store_env_open_lmdb(const char *path, unsigned flags, unsigned table_flags, struct store_env *env);
enum kw_err store_env_errno(void);
enum kw_err store_env_sync(int folder_fd, const char *name, int flags);
void store_env_remove_build(int folder_fd);
/* Writes both copies of the meta row. */
int store_env_put_meta(MDB_txn *txn, const struct store_env *env, uint64_t epoch);
/* A random epoch that is not 0. */
enum kw_err store_env_new_epoch(uint64_t *out);

/* Checks the pages of a closed data file, so that LMDB never walks a broken tree. KW_ECORRUPT, KW_EIO, KW_ENOMEM. */
enum kw_err store_check_file(int fd);

/* Reads what the writer needs, repairs what can be repaired. Before the threads start. */
enum kw_err store_load(struct store *store, const struct store_options *options);

enum kw_err store_writer_init(struct store_writer *writer, struct store_env *env);
void store_writer_fini(struct store_writer *writer);
/* Marks a queue whose trimmed rows have to be deleted in slices. */
void store_writer_lag(struct store_writer *writer, uint32_t queue);
/* One transaction and one sync: the batch (or NULL) and a slice of rows to delete. */
enum kw_err store_writer_commit(struct store_writer *writer, const struct store_batch *batch);
int store_writer_put_queue(MDB_txn *txn, MDB_dbi dbi, uint32_t queue, const struct store_queue *state);
/* Measures pages in use, as a transaction sees them. */
int store_writer_measure(MDB_txn *txn, const struct store_env *env, struct store_figures *figures);

/* store_wipe.c: what was recalled leaves the file. The first three within a transaction, the last between two. */
int store_wipe_row(MDB_cursor *cursor, const MDB_val *key, const MDB_val *value);
int store_wipe_mark(MDB_txn *txn, const struct store_env *env);
bool store_wipe_is_marked(MDB_txn *txn, const struct store_env *env);
int store_wipe_unmark(MDB_txn *txn, const struct store_env *env);
/* Overwrites a file that has lost its name. */
enum kw_err store_wipe_file(int fd);
/* A larger store is not written anew. */
#define STORE_COMPACT_BYTES_MAX ((uint64_t)1 << 30)
enum kw_err store_writer_wipe(struct store_writer *writer);

/* store_rewrite.c: the file is written anew if something was recalled since the last time. At a start, with no store yet, or on
 * the writer's thread between two transactions. KW_OK also when it was not; another error leaves no store. */
enum kw_err store_rewrite(struct store_env *env, struct store *store);
/* At a start, before the writer runs: what that start could not do is tried again. */
void store_rewrite_begin(struct store *store, const struct store_options *options);
/* Something was recalled. */
void store_rewrite_later(struct store *store);
bool store_rewrite_is_due(const struct store *store);
enum kw_err store_rewrite_now(struct store *store);
/* Waits to be woken, or until it is due. Lock held. */
void store_rewrite_wait(struct store *store);

/* Room for one more change on this ticket; NULL when none will be taken any more. store.c */
struct store_op *store_next_op(struct store *store, uint64_t ticket);
/* Memory ran out while handing over: the loop hears of it in on_committed. */
void store_out_of_memory(struct store *store);

/* store_audit.c. The row that was handed over last has a leaf, if it is no word of the hub itself. */
void store_log_row(struct store *store, const struct store_row *row);

/* store_writer_audit.c, within the transaction. Before the rows of a batch and after them. */
int store_audit_begin(struct store_writer *writer, const struct store_batch *batch);
int store_audit_end(struct store_writer *writer);
int store_audit_forget(struct store_writer *writer, const struct store_op *op);
int store_audit_put_checkpoint(struct store_writer *writer, const struct store_op *op);
void store_audit_fini(struct store_audit *audit);
/* Where the log ends, at a start. When that cannot be read figures->log_broken says so, and no message is stopped. */
int store_audit_load(struct store_writer *writer, MDB_txn *txn, const struct store_options *options);

/* store_audit_read.c. False: the row is damaged. out: into the row. */
bool store_audit_block(const MDB_val *key, const MDB_val *value, struct store_leaves *out);
bool store_audit_strip(const MDB_val *key, const MDB_val *value, struct store_leaves *out);
bool store_audit_peaks(const MDB_val *key, const MDB_val *value, struct kw_tree *out);
/* The row with leaf `index`, of a full block or a strip. MDB_NOTFOUND: there is none, or it is damaged. */
int store_audit_get(MDB_txn *txn, const struct store_env *env, uint64_t index, struct store_leaves *out);
/* A complete node. MDB_NOTFOUND: there is none, or the row that it is in is damaged. */
int store_audit_node(MDB_txn *txn, const struct store_env *env, uint32_t level, uint64_t index, struct kw_digest *out);
/* Whether leaf `at` of these is of this envelope, and its salt is there. */
bool store_audit_is_of(const struct store_leaves *leaves, uint32_t at, const struct kw_digest *envelope_digest);

struct store_overlay *store_overlay_new(void);
/* Accepts NULL. */
void store_overlay_free(struct store_overlay *overlay);
/* Forgets what is committed now. */
void store_overlay_settle(struct store_overlay *overlay, uint64_t ticket);

/* store_writer_thread.c, within the transaction */
int store_writer_thread(struct store_writer *writer, const struct store_op *op);
int store_writer_put_held(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op);
/* store_prekey.c, likewise */
int store_writer_put_prekeys(struct store_writer *writer, const struct store_op *op);
/* Copies a damaged row aside for a person to look at, while there is room for such. */
int store_writer_set_aside(struct store_writer *writer, const MDB_val *key, const MDB_val *value);

/* Hands a damaged row to the writer, once. */
void store_report_damage(struct store *store, uint32_t queue, uint64_t sequence);
int store_reader_begin(struct store *store);
void store_reader_end(struct store *store);
/* Not within a read. */
void store_reader_close(struct store *store);

#endif
