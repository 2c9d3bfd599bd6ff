#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/shell/store_inner.h"
#include "proto/wire/merkle.h"

/* The audit log in the store, on the writer's thread and in the transaction of the message:
 *
 *   a row is appended → its leaf, and each node of the tree that it completes, as one row at the end of `leaves`
 *   the batch ends    → the salts of its leaves, sorted, into `salts`
 *
 * Node (level, index) is in the row of the last leaf below it, (index + 1 << level) - 1, so every node is one read away, and
 * where the log ends is the last row: nothing else is kept, and nothing can disagree.
 *
 * Salts are found by the digest of an envelope, which is random, and random keys in a table that every message touches are
 * what makes a store slow. So the table is made of places, each named after the first leaf that went there: within a place
 * salts stand by digest. A place takes whole batches until it has STORE_SALT_PLACE_MIN. Under load a batch is a place, and
 * all is appended; when there is little to do a batch is one salt, which goes into one of a handful of pages. Whoever looks
 * for a digest looks into each place, the newest first.
 *
 * What is forgotten loses its row: salt, and which leaf was whose. LMDB may keep its key where two pages of the table part, so
 * somebody with the file and the envelope may still find that the envelope was here once, but no leaf of it. */

#define LEAF_ROW_SIZE_MAX (STORE_ROW_HEAD_SIZE + KW_TREE_LEVELS_MAX * KW_DIGEST_SIZE)
#define SALTS_FIRST 256u

struct leaf_row {
	uint32_t count;
	uint8_t bytes[LEAF_ROW_SIZE_MAX];
};

static enum kw_err add_node(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct leaf_row *row = user;
	(void)level;
	(void)index;
	memcpy(row->bytes + STORE_ROW_HEAD_SIZE + row->count++ * KW_DIGEST_SIZE, hash->bytes, KW_DIGEST_SIZE);
	return KW_OK;
}

/* Each 16 bytes are used once and leave this place with it. */
static int draw(struct store_audit *audit, uint8_t *out)
{
	if (audit->pool_used == 0) {
		if (getrandom(audit->pool, sizeof(audit->pool), 0) != (ssize_t)sizeof(audit->pool))
			return EIO;
		audit->pool_used = sizeof(audit->pool);
	}
	audit->pool_used -= KW_AUDIT_SALT_SIZE;
	memcpy(out, audit->pool + audit->pool_used, KW_AUDIT_SALT_SIZE);
	kw_wipe(audit->pool + audit->pool_used, KW_AUDIT_SALT_SIZE);
	return 0;
}

static struct store_salt *add_salt(struct store_audit *audit)
{
	if (audit->salt_count == audit->salt_cap) {
		uint32_t cap = audit->salt_cap == 0 ? SALTS_FIRST : 2u * audit->salt_cap;
		struct store_salt *salts = realloc(audit->salts, cap * sizeof(*salts));
		if (salts == NULL)
			return NULL;
		audit->salts = salts;
		audit->salt_cap = cap;
	}
	return &audit->salts[audit->salt_count++];
}

int store_audit_append(struct store_writer *writer, const struct store_op *op)
{
	struct store_audit *audit = &writer->audit;
	struct kw_tree *tree = &writer->figures.tree;
	struct leaf_row row = {.count = 0};
	const struct kw_tree_sink sink = {.put = add_node, .user = &row};
	struct kw_digest leaf;
	uint8_t bytes[STORE_LEAF_KEY_SIZE];
	if (audit->leaf_digest == NULL || writer->figures.log_broken || op->queue % KW_MSG_CLASS_COUNT == KW_CONTROL)
		return 0;
	struct store_salt *salt = add_salt(audit);
	if (salt == NULL)
		return ENOMEM;
	salt->index = tree->size;
	int code = draw(audit, salt->salt);
	if (code != 0)
		return code;
	enum kw_err err = audit->leaf_digest(op->box->data, op->box->size, &salt->digest);
	if (err == KW_OK)
		err = kw_audit_leaf(salt->salt, &salt->digest, &leaf);
	if (err == KW_OK)
		err = kw_tree_append(tree, &leaf, &sink);
	if (err != KW_OK)
		return err == KW_ENOMEM ? ENOMEM : EIO;
	if (audit->leaves == NULL)
		code = mdb_cursor_open(writer->txn, writer->env->dbi.leaves, &audit->leaves);
	if (code != 0)
		return code;
	kw_put_u64(bytes, salt->index);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row.bytes, STORE_ROW_HEAD_SIZE + row.count * KW_DIGEST_SIZE);
	store_row_seal(row.bytes, STORE_LEAF, &key, row.count * KW_DIGEST_SIZE);
	return mdb_cursor_put(audit->leaves, &key, &value, MDB_APPEND);
}

static int by_digest(const void *a, const void *b)
{
	const struct store_salt *x = a, *y = b;
	int order = memcmp(x->digest.bytes, y->digest.bytes, KW_DIGEST_SIZE);
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static void salt_key(uint8_t out[STORE_SALT_KEY_SIZE], uint64_t place, const struct kw_digest *digest)
{
	kw_put_u64(out, place);
	memcpy(out + 8, digest->bytes, KW_DIGEST_SIZE);
}

static int put_salt(MDB_cursor *cursor, uint64_t place, const struct store_salt *salt, unsigned flags)
{
	uint8_t bytes[STORE_SALT_KEY_SIZE], row[STORE_ROW_HEAD_SIZE + STORE_SALT_SIZE];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	salt_key(bytes, place, &salt->digest);
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, salt->index);
	memcpy(row + STORE_ROW_HEAD_SIZE + 8, salt->salt, KW_AUDIT_SALT_SIZE);
	store_row_seal(row, STORE_SALT, &key, STORE_SALT_SIZE);
	return mdb_cursor_put(cursor, &key, &value, flags);
}

int store_audit_end(struct store_writer *writer)
{
	struct store_audit *audit = &writer->audit;
	MDB_cursor *cursor;
	if (audit->salt_count == 0)
		return 0;
	int code = mdb_cursor_open(writer->txn, writer->env->dbi.salts, &cursor);
	if (code != 0)
		return code;
	bool fresh = audit->place_count == 0 || audit->place_count >= STORE_SALT_PLACE_MIN;
	if (fresh) {
		audit->place = audit->salts[0].index; /* above all that were: they are named after leaves */
		audit->place_count = 0;
	}
	qsort(audit->salts, audit->salt_count, sizeof(*audit->salts), by_digest);
	for (uint32_t i = 0; i < audit->salt_count && code == 0; i++) {
		/* The same envelope again, sent after its hub came back with a new epoch: the later leaf is the one to prove. */
		bool again = i > 0 && kw_view_equal(KW_VIEW_OF(audit->salts[i].digest.bytes), KW_VIEW_OF(audit->salts[i - 1].digest.bytes));
		code = put_salt(cursor, audit->place, &audit->salts[i], fresh && !again ? MDB_APPEND : 0);
	}
	mdb_cursor_close(cursor);
	audit->place_count += audit->salt_count;
	kw_wipe(audit->salts, audit->salt_count * sizeof(*audit->salts));
	audit->salt_count = 0;
	return code;
}

void store_audit_fini(struct store_audit *audit)
{
	if (audit->salts != NULL)
		kw_wipe(audit->salts, audit->salt_cap * sizeof(*audit->salts));
	free(audit->salts);
	audit->salts = NULL;
	kw_wipe(audit->pool, sizeof(audit->pool));
}

int store_audit_put_checkpoint(struct store_writer *writer, const struct store_op *op)
{
	uint8_t bytes[STORE_LEAF_KEY_SIZE], row[STORE_ROW_HEAD_SIZE + KW_AUDIT_SIGNED_SIZE_MAX];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, STORE_ROW_HEAD_SIZE + op->box->size);
	kw_put_u64(bytes, op->sequence);
	memcpy(row + STORE_ROW_HEAD_SIZE, op->box->data, op->box->size);
	store_row_seal(row, STORE_CHECKPOINT, &key, op->box->size);
	return mdb_put(writer->txn, writer->env->dbi.checkpoints, &key, &value, 0);
}

static bool read_salt(const MDB_val *key, const MDB_val *value, struct store_salt *out)
{
	struct kw_view payload;
	if (key->mv_size != STORE_SALT_KEY_SIZE || !store_row_check(key, value, STORE_SALT, &payload) ||
		payload.size != STORE_SALT_SIZE)
		return false;
	memcpy(out->digest.bytes, (const uint8_t *)key->mv_data + 8, KW_DIGEST_SIZE);
	out->index = kw_get_u64(payload.data);
	memcpy(out->salt, payload.data + 8, KW_AUDIT_SALT_SIZE);
	return true;
}

/* Goes to the digest in the place `*place`: 0 when it is there; MDB_NOTFOUND, and *place the one before; MDB_LAST_PAGE never.
 * *more: there is one before. */
static int look(MDB_cursor *cursor, const struct kw_digest *digest, uint64_t *place, bool *more)
{
	uint8_t bytes[STORE_SALT_KEY_SIZE];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	salt_key(bytes, *place, digest);
	*more = false;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
	if (code != MDB_NOTFOUND)
		return code;
	static const struct kw_digest ZERO;
	salt_key(bytes, *place, &ZERO);
	key = store_val(bytes, sizeof(bytes));
	code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (code == 0)
		code = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
	else if (code == MDB_NOTFOUND) /* the place has lost its last row */
		code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (code != 0)
		return code;
	if (key.mv_size != STORE_SALT_KEY_SIZE || kw_get_u64(key.mv_data) >= *place)
		return MDB_CORRUPTED;
	*place = kw_get_u64(key.mv_data);
	*more = true;
	return MDB_NOTFOUND;
}

/* The cursor on the newest row of this digest in a place up to *place. */
static int find(MDB_cursor *cursor, const struct kw_digest *digest, uint64_t *place)
{
	bool more = true;
	int code = MDB_NOTFOUND;
	while (code == MDB_NOTFOUND && more)
		code = look(cursor, digest, place, &more);
	return code;
}

static int last_place(MDB_cursor *cursor, uint64_t *out)
{
	MDB_val key, value;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (code == 0 && key.mv_size != STORE_SALT_KEY_SIZE)
		return MDB_CORRUPTED;
	if (code == 0)
		*out = kw_get_u64(key.mv_data);
	return code;
}

int store_audit_find(MDB_cursor *cursor, const struct kw_digest *digest, struct store_salt *out)
{
	MDB_val key, value;
	uint64_t place;
	int code = last_place(cursor, &place);
	if (code == 0)
		code = find(cursor, digest, &place);
	if (code == 0)
		code = mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT);
	if (code == 0 && !read_salt(&key, &value, out))
		code = MDB_NOTFOUND; /* damaged: it proves nothing */
	return code;
}

int store_audit_forget(struct store_writer *writer, const struct store_op *op)
{
	struct kw_digest digest;
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t place;
	memcpy(digest.bytes, op->box->data, KW_DIGEST_SIZE);
	int code = store_audit_end(writer); /* what this batch has added is looked at too */
	if (code == 0)
		code = mdb_cursor_open(writer->txn, writer->env->dbi.salts, &cursor);
	if (code != 0)
		return code;
	code = last_place(cursor, &place);
	while (code == 0 && (code = find(cursor, &digest, &place)) == 0) {
		code = mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT);
		if (code == 0)
			code = store_wipe_row(cursor, &key, &value);
		if (code == 0)
			code = mdb_cursor_del(cursor, 0);
		writer->wipe = true;
	}
	mdb_cursor_close(cursor);
	if (code == MDB_NOTFOUND)
		code = 0;
	return code == 0 && writer->wipe ? store_wipe_mark(writer->txn, writer->env) : code;
}

int store_audit_node(MDB_txn *txn, const struct store_env *env, uint32_t level, uint64_t index, struct kw_digest *out)
{
	uint8_t bytes[STORE_LEAF_KEY_SIZE];
	struct kw_view payload;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	kw_put_u64(bytes, ((index + 1) << level) - 1);
	int code = mdb_get(txn, env->dbi.leaves, &key, &value);
	if (code != 0)
		return code;
	if (!store_row_check(&key, &value, STORE_LEAF, &payload) || payload.size < (level + 1u) * KW_DIGEST_SIZE)
		return MDB_NOTFOUND;
	memcpy(out->bytes, payload.data + level * KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	return 0;
}

struct mend {
	MDB_txn *txn;
	const struct store_env *env;
	int code;
	bool changed;
	uint64_t damaged;
};

/* A leaf from its salt, wherever that stands: a walk over all of them, for a row that a disk has lost. */
static int leaf_again(struct mend *mend, uint64_t index, struct kw_digest *out)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct store_salt salt;
	int code = mdb_cursor_open(mend->txn, mend->env->dbi.salts, &cursor);
	bool found = false;
	while (code == 0 && !found && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
		found = read_salt(&key, &value, &salt) && salt.index == index;
	if (code == 0 || code == MDB_NOTFOUND)
		mdb_cursor_close(cursor);
	if (code == 0)
		code = kw_audit_leaf(salt.salt, &salt.digest, out) == KW_OK ? 0 : EIO;
	return code;
}

/* The row of one leaf from what it was made of: its salt, and the nodes beside its way up. */
static int mend_row(struct mend *mend, uint64_t at)
{
	struct leaf_row row = {.count = 0};
	struct kw_digest hash, left;
	uint8_t bytes[STORE_LEAF_KEY_SIZE];
	int code = leaf_again(mend, at, &hash);
	for (uint32_t level = 0; code == 0; level++) {
		(void)add_node(&row, level, 0, &hash);
		if ((at >> level & 1) == 0)
			break;
		code = store_audit_node(mend->txn, mend->env, level, (at >> level) - 1, &left);
		if (code == 0 && kw_merkle_node(&left, &hash, &hash) != KW_OK)
			code = EIO;
	}
	if (code != 0)
		return code;
	kw_put_u64(bytes, at);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row.bytes, STORE_ROW_HEAD_SIZE + row.count * KW_DIGEST_SIZE);
	store_row_seal(row.bytes, STORE_LEAF, &key, row.count * KW_DIGEST_SIZE);
	mend->changed = true;
	mend->damaged++;
	return mdb_put(mend->txn, mend->env->dbi.leaves, &key, &value, 0);
}

static enum kw_err get_mended(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct mend *mend = user;
	mend->code = store_audit_node(mend->txn, mend->env, level, index, out);
	if (mend->code == MDB_NOTFOUND)
		mend->code = mend_row(mend, ((index + 1) << level) - 1);
	if (mend->code == 0)
		mend->code = store_audit_node(mend->txn, mend->env, level, index, out);
	return mend->code == 0 ? KW_OK : KW_ECORRUPT;
}

static int count_place(MDB_txn *txn, const struct store_env *env, struct store_audit *audit)
{
	uint8_t bytes[STORE_SALT_KEY_SIZE];
	static const struct kw_digest ZERO;
	MDB_cursor *cursor;
	MDB_val key, value;
	int code = mdb_cursor_open(txn, env->dbi.salts, &cursor);
	if (code != 0)
		return code;
	audit->place_count = 0;
	code = last_place(cursor, &audit->place);
	if (code == 0) {
		salt_key(bytes, audit->place, &ZERO);
		key = store_val(bytes, sizeof(bytes));
		code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
		for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
			audit->place_count++;
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

int store_audit_load(struct store_writer *writer, MDB_txn *txn, bool *changed)
{
	struct mend mend = {.txn = txn, .env = writer->env};
	const struct kw_tree_source source = {.get = get_mended, .user = &mend};
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t size = 0;
	int code = mdb_cursor_open(txn, writer->env->dbi.leaves, &cursor);
	if (code != 0)
		return code;
	code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (code == 0 && key.mv_size == STORE_LEAF_KEY_SIZE)
		size = kw_get_u64(key.mv_data) + 1;
	else if (code == 0)
		writer->figures.log_broken = true;
	mdb_cursor_close(cursor);
	if (code != 0 && code != MDB_NOTFOUND)
		return code;
	code = count_place(txn, writer->env, &writer->audit);
	if (code != 0)
		return code;
	/* A log that cannot go on stops no referral; what lost it is told, and its checkpoints end. */
	if (kw_tree_load(&source, size, &writer->figures.tree) != KW_OK)
		writer->figures.log_broken = true;
	*changed = *changed || mend.changed;
	writer->figures.damaged += mend.damaged;
	return mend.code == MDB_NOTFOUND || writer->figures.log_broken ? 0 : mend.code;
}
