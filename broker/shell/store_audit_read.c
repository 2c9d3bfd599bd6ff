#include <string.h>

#include "broker/shell/store_inner.h"
#include "proto/wire/merkle.h"

/* The rows of the audit log, read: store_writer_audit.c has their form. */

static void view_of(const uint8_t *at, uint32_t count, struct store_leaves *out)
{
	out->count = count;
	out->hashes = at;
	out->tags = at + count * KW_DIGEST_SIZE;
	out->salts = out->tags + count * STORE_TAG_SIZE;
	out->nodes = KW_VIEW(NULL, 0);
}

bool store_audit_block(const MDB_val *key, const MDB_val *value, struct store_leaves *out)
{
	struct kw_view payload;
	if (key->mv_size != STORE_LEAVES_KEY_SIZE || !store_row_check(key, value, STORE_LEAVES, &payload))
		return false;
	uint64_t number = kw_get_u64(key->mv_data);
	/* The block's own root, and one more for each level that it completes. */
	size_t nodes = (1u + (size_t)__builtin_ctzll(number + 1)) * KW_DIGEST_SIZE;
	if (number >= KW_TREE_SIZE_MAX >> STORE_BLOCK_LEVEL || payload.size != STORE_BLOCK_SIZE + nodes)
		return false;
	out->first = number << STORE_BLOCK_LEVEL;
	view_of(payload.data, STORE_BLOCK_LEAVES, out);
	out->nodes = KW_VIEW(payload.data + STORE_BLOCK_SIZE, nodes);
	return true;
}

bool store_audit_strip(const MDB_val *key, const MDB_val *value, struct store_leaves *out)
{
	struct kw_view payload;
	if (key->mv_size != STORE_LEAVES_KEY_SIZE || !store_row_check(key, value, STORE_STRIP, &payload))
		return false;
	size_t count = payload.size / STORE_LEAF_SIZE;
	out->first = kw_get_u64(key->mv_data);
	if (out->first >= KW_TREE_SIZE_MAX || count < 1 || count >= STORE_BLOCK_LEAVES || payload.size != count * STORE_LEAF_SIZE)
		return false;
	view_of(payload.data, (uint32_t)count, out);
	return true;
}

bool store_audit_peaks(const MDB_val *key, const MDB_val *value, struct kw_tree *out)
{
	struct kw_view payload;
	if (!store_row_check(key, value, STORE_PEAKS, &payload) || payload.size < 8)
		return false;
	uint64_t number = kw_get_u64(payload.data);
	if (number > KW_TREE_SIZE_MAX >> STORE_BLOCK_LEVEL ||
		payload.size != 8 + (size_t)__builtin_popcountll(number) * KW_DIGEST_SIZE)
		return false;
	const uint8_t *at = payload.data + 8;
	*out = (struct kw_tree){.size = number << STORE_BLOCK_LEVEL};
	for (uint32_t level = STORE_BLOCK_LEVEL; level < KW_TREE_LEVELS_MAX; level++) {
		if ((out->size >> level & 1) == 0)
			continue;
		memcpy(out->peaks[level].bytes, at, KW_DIGEST_SIZE);
		at += KW_DIGEST_SIZE;
	}
	return true;
}

/* The strip with leaf `index`: the last one that begins no later. */
static int get_strip(MDB_txn *txn, MDB_dbi dbi, uint64_t index, struct store_leaves *out)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	MDB_cursor *cursor;
	int code = mdb_cursor_open(txn, dbi, &cursor);
	if (code != 0)
		return code;
	kw_put_u64(bytes, index + 1);
	code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (code == 0 || code == MDB_NOTFOUND)
		code = mdb_cursor_get(cursor, &key, &value, code == 0 ? MDB_PREV : MDB_LAST);
	mdb_cursor_close(cursor);
	if (code == 0 && (!store_audit_strip(&key, &value, out) || index - out->first >= out->count))
		code = MDB_NOTFOUND;
	return code;
}

int store_audit_get(MDB_txn *txn, const struct store_env *env, uint64_t index, struct store_leaves *out)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	kw_put_u64(bytes, index / STORE_BLOCK_LEAVES);
	int code = mdb_get(txn, env->dbi.leaves, &key, &value);
	if (code == MDB_NOTFOUND)
		return get_strip(txn, env->dbi.tail, index, out);
	return code == 0 && !store_audit_block(&key, &value, out) ? MDB_NOTFOUND : code;
}

/* Node (level, index) from its leaves, which are in one block or in several strips. */
static int join(MDB_txn *txn, const struct store_env *env, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct kw_tree tree = {.size = 0};
	struct store_leaves leaves = {.count = 0};
	struct kw_digest leaf;
	uint64_t at = index << level, end = (index + 1) << level;
	enum kw_err err = KW_OK;
	for (; at < end && err == KW_OK; at++) {
		if (leaves.count == 0 || at - leaves.first >= leaves.count) {
			int code = store_audit_get(txn, env, at, &leaves);
			if (code != 0)
				return code;
		}
		memcpy(leaf.bytes, leaves.hashes + (at - leaves.first) * KW_DIGEST_SIZE, KW_DIGEST_SIZE);
		err = kw_tree_append(&tree, &leaf, NULL);
	}
	*out = tree.peaks[level];
	return err == KW_OK ? 0 : EIO;
}

int store_audit_node(MDB_txn *txn, const struct store_env *env, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct store_leaves leaves;
	if (level < STORE_BLOCK_LEVEL)
		return join(txn, env, level, index, out);
	int code = store_audit_get(txn, env, ((index + 1) << level) - 1, &leaves);
	if (code != 0)
		return code;
	size_t at = (level - STORE_BLOCK_LEVEL) * KW_DIGEST_SIZE;
	if (leaves.nodes.size < at + KW_DIGEST_SIZE)
		return MDB_NOTFOUND;
	memcpy(out->bytes, leaves.nodes.data + at, KW_DIGEST_SIZE);
	return 0;
}

bool store_audit_is_of(const struct store_leaves *leaves, uint32_t at, const struct kw_digest *envelope_digest)
{
	static const uint8_t NONE[KW_AUDIT_SALT_SIZE];
	const uint8_t *salt = leaves->salts + at * KW_AUDIT_SALT_SIZE;
	struct kw_digest leaf;
	return memcmp(leaves->tags + at * STORE_TAG_SIZE, envelope_digest->bytes, STORE_TAG_SIZE) == 0 &&
		memcmp(salt, NONE, sizeof(NONE)) != 0 && kw_audit_leaf(salt, envelope_digest, &leaf) == KW_OK &&
		memcmp(leaf.bytes, leaves->hashes + at * KW_DIGEST_SIZE, KW_DIGEST_SIZE) == 0;
}

static bool look_in(const struct store_leaves *leaves, uint64_t below, const struct kw_digest *digest, struct store_leaf *out)
{
	for (uint32_t at = leaves->count; at-- > 0;) {
		if (leaves->first + at >= below || !store_audit_is_of(leaves, at, digest))
			continue;
		out->index = leaves->first + at;
		memcpy(out->salt, leaves->salts + at * KW_AUDIT_SALT_SIZE, KW_AUDIT_SALT_SIZE);
		return true;
	}
	return false;
}

/* Whether a block may have it, from its tags alone: most have not, and their checksum costs more than the look. */
static bool may_have(const MDB_val *value, const struct kw_digest *digest)
{
	if (value->mv_size < STORE_ROW_HEAD_SIZE + STORE_BLOCK_SIZE)
		return false;
	const uint8_t *tags = (const uint8_t *)value->mv_data + STORE_ROW_HEAD_SIZE + STORE_BLOCK_LEAVES * KW_DIGEST_SIZE;
	for (uint32_t at = 0; at < STORE_BLOCK_LEAVES; at++)
		if (memcmp(tags + at * STORE_TAG_SIZE, digest->bytes, STORE_TAG_SIZE) == 0)
			return true;
	return false;
}

/* From block `*number` downwards; *number: the last one that was looked at. */
static int walk_blocks(MDB_cursor *cursor, const struct kw_digest *digest, uint64_t below, uint64_t *number,
	struct store_leaf *out)
{
	uint8_t bytes[STORE_LEAVES_KEY_SIZE];
	struct store_leaves block;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	kw_put_u64(bytes, *number);
	int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
	for (uint32_t left = STORE_FIND_LEAVES_MAX / STORE_BLOCK_LEAVES; code == 0; left--) {
		if (key.mv_size == STORE_LEAVES_KEY_SIZE)
			*number = kw_get_u64(key.mv_data);
		if (may_have(&value, digest) && store_audit_block(&key, &value, &block) && look_in(&block, below, digest, out))
			return 0;
		if (left == 1 || *number == 0)
			return MDB_NOTFOUND;
		code = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
	}
	return code;
}

/* Strips from `*below` on downwards, which are less than a block. *below: where they begin. */
static int walk_strips(MDB_cursor *cursor, const struct kw_digest *digest, uint64_t *below, struct store_leaf *out)
{
	struct store_leaves strip;
	MDB_val key, value;
	uint64_t from = *below;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_PREV)) {
		if (key.mv_size != STORE_LEAVES_KEY_SIZE)
			break;
		uint64_t first = kw_get_u64(key.mv_data);
		if (first >= from)
			continue;
		if (store_audit_strip(&key, &value, &strip) && look_in(&strip, from, digest, out))
			return 0;
		*below = first;
	}
	return code == 0 ? MDB_NOTFOUND : code;
}

static int find(struct store *store, const struct kw_digest *digest, uint64_t below, struct store_leaf *out,
	uint64_t *looked_from)
{
	MDB_cursor *cursor;
	uint64_t rest = below;
	int code = mdb_cursor_open(store->reader, store->env.dbi.tail, &cursor);
	if (code != 0)
		return code;
	code = walk_strips(cursor, digest, &rest, out);
	mdb_cursor_close(cursor);
	if (code != MDB_NOTFOUND || rest == 0)
		return code;
	code = mdb_cursor_open(store->reader, store->env.dbi.leaves, &cursor);
	if (code != 0)
		return code;
	uint64_t number = (rest - 1) >> STORE_BLOCK_LEVEL;
	code = walk_blocks(cursor, digest, below, &number, out);
	mdb_cursor_close(cursor);
	*looked_from = number << STORE_BLOCK_LEVEL;
	return code;
}

enum kw_err store_find_leaf(struct store *store, const struct kw_digest *envelope_digest, uint64_t below,
	struct store_leaf *out, uint64_t *looked_from)
{
	*looked_from = 0;
	uint64_t size = store->figures.tree.size;
	if (below == 0 || below > size)
		below = size;
	if (below == 0)
		return KW_ENOTFOUND;
	int code = store_reader_begin(store);
	if (code == 0)
		code = find(store, envelope_digest, below, out, looked_from);
	store_reader_end(store);
	return code == MDB_NOTFOUND ? KW_ENOTFOUND : store_env_err(code);
}
