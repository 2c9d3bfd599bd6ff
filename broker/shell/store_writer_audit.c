#include <stdlib.h>
#include <string.h>

#include "broker/shell/store_inner.h"
#include "proto/wire/merkle.h"

/* The audit log in the store, on the writer's thread and in the transaction of the message. A third of what a hub could carry
 * once went into it, so it writes as little as it can, and leaves what is free in the file in large pieces.
 *
 *   a message is handed over → its leaf is hashed, on a thread of its own (store_hash.c), while the writer is busy with others
 *   a batch begins           → room for the blocks that it will fill, at the end of `leaves`
 *   its rows are put         → its leaves go into the block in memory, and as one row, a strip, to the end of `tail`
 *   the block is full        → it goes into its room, as one row, and `tail` is emptied
 *
 *   row of a block: hashes of its leaves, tags (the first bytes of each envelope digest), salts; then the hashes of the nodes
 *   from level STORE_BLOCK_LEVEL on that the block completes, upwards
 *   row of a strip: hashes of its leaves, tags, salts
 *   row of the peaks: number of the block that is not full u64; the peaks of the tree of those before it, the lowest first
 *
 * Node (level, index) is in the row of the last block below it; one below STORE_BLOCK_LEVEL is computed from leaves. `tail` has
 * all that the log needs to go on, so a damaged block takes proofs with it, never the log.
 *
 * A block is written once, in one piece of the file: its leaves in rows of their own, between those of messages, which soon go
 * again, cut what is free into so many pieces that a commit took a third longer. There is no index by envelope either: keys at
 * random in a table that every message touches are what makes a store slow. Who looks for an envelope looks through the tags,
 * the newest first (store_audit_read.c).
 *
 * What is forgotten loses its salt and its tag: they are overwritten where they stand. */

#define NODES_MAX (KW_TREE_LEVELS_MAX - STORE_BLOCK_LEVEL)
#define PEAKS_SIZE_MAX (STORE_ROW_HEAD_SIZE + 8u + NODES_MAX * KW_DIGEST_SIZE)

struct nodes {
	uint32_t count;
	struct kw_digest hashes[NODES_MAX];
};

static enum kw_err add_node(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct nodes *nodes = user;
	(void)index;
	if (level >= STORE_BLOCK_LEVEL)
		nodes->hashes[nodes->count++] = *hash;
	return KW_OK;
}

static size_t nodes_of(uint64_t number)
{
	return (1u + (size_t)__builtin_ctzll(number + 1)) * KW_DIGEST_SIZE;
}

/* The row of a block, which has the same size each time. *row: where it goes. */
static int reserve_block(struct store_writer *writer, uint64_t number, unsigned flags, MDB_val *key, uint8_t **row)
{
	MDB_val value = store_val(NULL, STORE_ROW_HEAD_SIZE + STORE_BLOCK_SIZE + nodes_of(number));
	kw_put_u64(key->mv_data, number);
	int code = mdb_put(writer->txn, writer->env->dbi.leaves, key, &value, MDB_RESERVE | flags);
	*row = value.mv_data;
	return code;
}

/* Room for a block that this batch will fill; nothing of it stays when that does not come about. */
static int put_room(struct store_writer *writer, uint64_t number)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE], *row;
	MDB_val key = store_val(bytes, sizeof(bytes));
	return reserve_block(writer, number, MDB_APPEND, &key, &row);
}

/* Into its room, or over what is there. */
static int put_block(struct store_writer *writer, uint64_t number, const struct store_block *block, struct kw_view nodes)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE], *row;
	MDB_val key = store_val(bytes, sizeof(bytes));
	int code = reserve_block(writer, number, 0, &key, &row);
	if (code != 0)
		return code;
	memcpy(row + STORE_ROW_HEAD_SIZE, block, STORE_BLOCK_SIZE);
	memcpy(row + STORE_ROW_HEAD_SIZE + STORE_BLOCK_SIZE, nodes.data, nodes.size);
	store_row_seal(row, STORE_LEAVES, &key, (uint32_t)(STORE_BLOCK_SIZE + nodes.size));
	return 0;
}

static int put_peaks(struct store_writer *writer)
{
	const struct kw_tree *tree = &writer->figures.tree;
	const uint8_t number = STORE_PEAKS_KEY;
	uint8_t row[PEAKS_SIZE_MAX];
	uint32_t size = 8;
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, tree->size / STORE_BLOCK_LEAVES);
	for (uint32_t level = STORE_BLOCK_LEVEL; level < KW_TREE_LEVELS_MAX; level++) {
		if ((tree->size >> level & 1) == 0)
			continue;
		memcpy(row + STORE_ROW_HEAD_SIZE + size, tree->peaks[level].bytes, KW_DIGEST_SIZE);
		size += KW_DIGEST_SIZE;
	}
	MDB_val key = store_val(&number, sizeof(number));
	MDB_val value = store_val(row, STORE_ROW_HEAD_SIZE + size);
	store_row_seal(row, STORE_PEAKS, &key, size);
	return mdb_put(writer->txn, writer->env->dbi.tail, &key, &value, 0);
}

/* Leaves first..end of the block. */
static int put_strip(struct store_writer *writer, uint32_t first, uint32_t end)
{
	const struct store_block *block = writer->audit.tail;
	uint8_t bytes[STORE_LEAVES_KEY_SIZE];
	uint32_t count = end - first;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(NULL, STORE_ROW_HEAD_SIZE + count * STORE_LEAF_SIZE);
	kw_put_u64(bytes, writer->figures.tree.size / STORE_BLOCK_LEAVES * STORE_BLOCK_LEAVES + first);
	int code = mdb_put(writer->txn, writer->env->dbi.tail, &key, &value, MDB_RESERVE);
	if (code != 0)
		return code;
	uint8_t *out = (uint8_t *)value.mv_data + STORE_ROW_HEAD_SIZE;
	memcpy(out, block->hashes[first].bytes, count * sizeof(block->hashes[0]));
	memcpy(out + count * KW_DIGEST_SIZE, block->tags[first], count * STORE_TAG_SIZE);
	memcpy(out + count * (KW_DIGEST_SIZE + STORE_TAG_SIZE), block->salts[first], count * KW_AUDIT_SALT_SIZE);
	store_row_seal(value.mv_data, STORE_STRIP, &key, count * STORE_LEAF_SIZE);
	return 0;
}

/* What is in the block and in no strip yet; the peaks with the first one. */
static int put_tail(struct store_writer *writer)
{
	struct store_audit *audit = &writer->audit;
	uint32_t end = (uint32_t)(writer->figures.tree.size % STORE_BLOCK_LEAVES);
	int code = audit->written == 0 ? put_peaks(writer) : 0;
	if (code == 0 && audit->written < end)
		code = put_strip(writer, audit->written, end);
	audit->written = end;
	return code;
}

static int add_leaf(struct store_writer *writer, const struct store_leaf_job *job)
{
	struct store_audit *audit = &writer->audit;
	struct kw_tree *tree = &writer->figures.tree;
	struct nodes nodes;
	const struct kw_tree_sink sink = {.put = add_node, .user = &nodes};
	uint64_t index = tree->size;
	uint32_t at = (uint32_t)(index % STORE_BLOCK_LEAVES);
	bool full = at + 1 == STORE_BLOCK_LEAVES;
	nodes.count = 0;
	if (kw_tree_append(tree, &job->leaf, full ? &sink : NULL) != KW_OK)
		return EIO;
	audit->tail->hashes[at] = job->leaf;
	memcpy(audit->tail->tags[at], job->digest.bytes, STORE_TAG_SIZE);
	memcpy(audit->tail->salts[at], job->salt, KW_AUDIT_SALT_SIZE);
	if (!full)
		return 0;
	int code = put_block(writer, index / STORE_BLOCK_LEAVES, audit->tail, KW_VIEW(nodes.hashes, nodes.count * KW_DIGEST_SIZE));
	if (code == 0)
		code = mdb_drop(writer->txn, writer->env->dbi.tail, 0);
	kw_wipe(audit->tail, sizeof(*audit->tail));
	audit->written = 0;
	return code;
}

int store_audit_begin(struct store_writer *writer, const struct store_batch *batch)
{
	uint64_t size = writer->figures.tree.size;
	int code = 0;
	writer->audit.left = batch->logged;
	for (uint64_t i = size / STORE_BLOCK_LEAVES; i < (size + batch->logged) / STORE_BLOCK_LEAVES && code == 0; i++)
		code = put_room(writer, i);
	return code;
}

int store_audit_end(struct store_writer *writer)
{
	struct store_audit *audit = &writer->audit;
	int code = 0;
	if (audit->left == 0)
		return 0;
	while (audit->left > 0 && code == 0) {
		const struct store_leaf_job *jobs;
		uint32_t count;
		enum kw_err err = store_hash_take(audit->hash, audit->left, &jobs, &count);
		if (err != KW_OK)
			return err == KW_ENOMEM ? ENOMEM : EIO;
		for (uint32_t i = 0; i < count && code == 0; i++)
			code = add_leaf(writer, &jobs[i]);
		audit->left -= count;
	}
	return code != 0 ? code : put_tail(writer);
}

void store_audit_fini(struct store_audit *audit)
{
	store_hash_free(audit->hash);
	audit->hash = NULL;
	if (audit->tail != NULL)
		kw_wipe(audit->tail, sizeof(*audit->tail));
	free(audit->tail);
	audit->tail = NULL;
}

int store_audit_put_checkpoint(struct store_writer *writer, const struct store_op *op)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE], row[STORE_ROW_HEAD_SIZE + KW_AUDIT_SIGNED_SIZE_MAX];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, STORE_ROW_HEAD_SIZE + op->box->size);
	kw_put_u64(bytes, op->sequence);
	memcpy(row + STORE_ROW_HEAD_SIZE, op->box->data, op->box->size);
	store_row_seal(row, STORE_CHECKPOINT, &key, op->box->size);
	return mdb_put(writer->txn, writer->env->dbi.checkpoints, &key, &value, 0);
}

/* In its row; of the same size, so it is overwritten in the new pages. */
static int forget_in_block(struct store_writer *writer, const struct store_leaves *leaves, uint32_t at)
{
	struct store_block *block = malloc(sizeof(*block));
	struct nodes nodes;
	if (block == NULL)
		return ENOMEM;
	memcpy(block, leaves->hashes, sizeof(*block)); /* hashes, tags and salts stand in a row as in a block */
	memset(block->tags[at], 0, STORE_TAG_SIZE);
	memset(block->salts[at], 0, KW_AUDIT_SALT_SIZE);
	nodes.count = (uint32_t)(leaves->nodes.size / KW_DIGEST_SIZE);
	memcpy(nodes.hashes, leaves->nodes.data, leaves->nodes.size);
	int code = put_block(writer, leaves->first / STORE_BLOCK_LEAVES, block, KW_VIEW(nodes.hashes, nodes.count * KW_DIGEST_SIZE));
	kw_wipe(block, sizeof(*block));
	free(block);
	return code;
}

/* The strip that it is in, as it was. */
static int forget_in_tail(struct store_writer *writer, const struct store_leaves *leaves, uint32_t at)
{
	struct store_audit *audit = &writer->audit;
	uint32_t first = (uint32_t)(leaves->first % STORE_BLOCK_LEAVES);
	memset(audit->tail->tags[first + at], 0, STORE_TAG_SIZE);
	memset(audit->tail->salts[first + at], 0, KW_AUDIT_SALT_SIZE);
	return put_strip(writer, first, first + leaves->count);
}

int store_audit_forget(struct store_writer *writer, const struct store_op *op)
{
	struct store_leaves leaves;
	struct kw_digest digest;
	memcpy(digest.bytes, op->box->data, KW_DIGEST_SIZE);
	if (writer->audit.hash == NULL)
		return 0;
	int code = store_audit_end(writer); /* what this batch has added is there too */
	if (code == 0)
		code = store_audit_get(writer->txn, writer->env, op->sequence, &leaves);
	if (code != 0)
		return code == MDB_NOTFOUND ? 0 : code;
	uint32_t at = (uint32_t)(op->sequence - leaves.first);
	if (!store_audit_is_of(&leaves, at, &digest))
		return 0;
	bool full = op->sequence / STORE_BLOCK_LEAVES < writer->figures.tree.size / STORE_BLOCK_LEAVES;
	code = full ? forget_in_block(writer, &leaves, at) : forget_in_tail(writer, &leaves, at);
	writer->wipe = true;
	return code == 0 ? store_wipe_mark(writer->txn, writer->env) : code;
}

/* The strips behind the peaks, one after the other. False: one is damaged or missing. */
static bool load_strips(struct store_writer *writer, MDB_cursor *cursor)
{
	struct store_block *block = writer->audit.tail;
	struct kw_tree *tree = &writer->figures.tree;
	struct store_leaves strip;
	MDB_val key, value;
	uint64_t base = tree->size;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		if (!store_audit_strip(&key, &value, &strip) || strip.first != tree->size ||
			tree->size - base + strip.count >= STORE_BLOCK_LEAVES)
			return false;
		uint32_t at = (uint32_t)(strip.first - base);
		memcpy(block->hashes[at].bytes, strip.hashes, strip.count * KW_DIGEST_SIZE);
		memcpy(block->tags[at], strip.tags, strip.count * STORE_TAG_SIZE);
		memcpy(block->salts[at], strip.salts, strip.count * KW_AUDIT_SALT_SIZE);
		for (uint32_t i = 0; i < strip.count; i++)
			if (kw_tree_append(tree, &block->hashes[at + i], NULL) != KW_OK)
				return false;
	}
	writer->audit.written = (uint32_t)(tree->size - base);
	return code == MDB_NOTFOUND;
}

/* False: the log cannot go on. */
static int load(struct store_writer *writer, MDB_txn *txn, bool *good)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_stat stat;
	int code = mdb_stat(txn, writer->env->dbi.leaves, &stat);
	if (code == 0)
		code = mdb_cursor_open(txn, writer->env->dbi.tail, &cursor);
	if (code != 0)
		return code;
	code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	if (code == MDB_NOTFOUND)
		*good = stat.ms_entries == 0; /* a log that begins; or the last commit filled a block, which cannot be without peaks */
	else if (code == 0)
		*good = store_audit_peaks(&key, &value, &writer->figures.tree) &&
			writer->figures.tree.size / STORE_BLOCK_LEAVES == stat.ms_entries && load_strips(writer, cursor);
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

int store_audit_load(struct store_writer *writer, MDB_txn *txn, const struct store_options *options)
{
	struct store_audit *audit = &writer->audit;
	bool good = false;
	audit->tail = calloc(1, sizeof(*audit->tail));
	if (audit->tail == NULL)
		return ENOMEM;
	int code = load(writer, txn, &good);
	writer->figures.log_broken = !good;
	writer->figures.damaged += code == 0 && !good;
	if (code != 0 || !good)
		return code;
	return store_hash_new(options->leaf_digest, &audit->hash) == KW_OK ? 0 : ENOMEM;
}
