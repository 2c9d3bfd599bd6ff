#include "broker/shell/log_verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"

/* One snapshot: the leaves in order are appended to a tree of our own, and each row must have the nodes and peaks that come of
 * it; at the size of each checkpoint our root must be the signed one. The shared lock on the file keeps a broker from
 * overwriting it meanwhile (store_rewrite.c). */

struct verify {
	struct store_env env;
	MDB_txn *txn;
	MDB_cursor *checkpoints;
	MDB_val shown_key, shown; /* the next one, while shown_code is 0 */
	int shown_code;
	const struct kw_name *hub;
	const struct log_keys *keys;
	struct log_verified *out;
	const char *fault;
	struct kw_tree tree;
	struct kw_view nodes; /* of the row that is compared, what is left of them */
};

static enum kw_err wrong(struct verify *v, uint64_t at, const char *fault)
{
	v->out->at = at;
	v->fault = fault;
	return KW_EAUTH;
}

static enum kw_err same_node(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct verify *v = user;
	(void)index;
	if (level < STORE_BLOCK_LEVEL)
		return KW_OK;
	if (v->nodes.size < KW_DIGEST_SIZE || memcmp(v->nodes.data, hash->bytes, KW_DIGEST_SIZE) != 0)
		return KW_EAUTH;
	v->nodes = KW_VIEW(v->nodes.data + KW_DIGEST_SIZE, v->nodes.size - KW_DIGEST_SIZE);
	return KW_OK;
}

/* By the keys of any root: those of now have not signed what was shown before they were made. */
static bool is_signed(const struct verify *v, const struct kw_role_signed *role)
{
	uint32_t good;
	for (uint32_t i = 0; i < v->keys->count; i++)
		if (kw_role_check(role, KW_ROLE_LOG, &v->keys->keys[i], &good) == KW_OK)
			return true;
	return false;
}

static enum kw_err check_checkpoint(struct verify *v)
{
	struct kw_view bytes;
	struct kw_role_signed role;
	struct kw_checkpoint checkpoint;
	struct kw_digest root;
	uint64_t at = v->shown_key.mv_size == STORE_LEAVES_KEY_SIZE ? kw_get_u64(v->shown_key.mv_data) : 0;
	if (!store_row_check(&v->shown_key, &v->shown, STORE_CHECKPOINT, &bytes) || kw_role_parse(bytes, &role) != KW_OK ||
		kw_checkpoint_read(role.payload, &checkpoint) != KW_OK)
		return wrong(v, at, "a checkpoint is damaged");
	if (!is_signed(v, &role) || !kw_name_equal(&checkpoint.hub, v->hub))
		return wrong(v, at, "a checkpoint is not signed by this hub's log key");
	enum kw_err err = kw_tree_root(&v->tree, &root);
	if (err == KW_OK && (checkpoint.size != v->tree.size || at != checkpoint.size ||
							memcmp(&root, &checkpoint.root, sizeof(root)) != 0))
		return wrong(v, at, "a checkpoint that was shown is not of this log");
	v->out->checkpoints++;
	v->shown_code = mdb_cursor_get(v->checkpoints, &v->shown_key, &v->shown, MDB_NEXT);
	return err;
}

static enum kw_err add_leaves(struct verify *v, const struct store_leaves *leaves)
{
	static const uint8_t NONE[KW_AUDIT_SALT_SIZE];
	const struct kw_tree_sink sink = {.put = same_node, .user = v};
	struct kw_digest leaf;
	enum kw_err err = KW_OK;
	v->nodes = leaves->nodes;
	for (uint32_t i = 0; i < leaves->count && err == KW_OK; i++) {
		v->out->salts += memcmp(leaves->salts + i * KW_AUDIT_SALT_SIZE, NONE, sizeof(NONE)) != 0;
		memcpy(leaf.bytes, leaves->hashes + i * KW_DIGEST_SIZE, KW_DIGEST_SIZE);
		err = kw_tree_append(&v->tree, &leaf, &sink);
		if (err == KW_EAUTH)
			return wrong(v, v->tree.size, "a node of the tree is not what its leaves make it");
		while (err == KW_OK && v->shown_code == 0 &&
			(v->shown_key.mv_size != STORE_LEAVES_KEY_SIZE || kw_get_u64(v->shown_key.mv_data) <= v->tree.size))
			err = check_checkpoint(v);
	}
	return err;
}

static enum kw_err check_peaks(struct verify *v, const MDB_val *key, const MDB_val *value)
{
	struct kw_tree before;
	if (!store_audit_peaks(key, value, &before))
		return wrong(v, v->tree.size, "the row of the peaks is damaged");
	if (before.size != v->tree.size)
		return wrong(v, v->tree.size, "leaves are missing before the last ones");
	for (uint32_t level = STORE_BLOCK_LEVEL; level < KW_TREE_LEVELS_MAX; level++)
		if ((before.size >> level & 1) != 0 && memcmp(&before.peaks[level], &v->tree.peaks[level], KW_DIGEST_SIZE) != 0)
			return wrong(v, v->tree.size, "the log goes on from another tree than its leaves make");
	return KW_OK;
}

static enum kw_err walk_tail(struct verify *v, MDB_cursor *tail)
{
	MDB_val key, value;
	struct store_leaves strip;
	int code = mdb_cursor_get(tail, &key, &value, MDB_FIRST);
	if (code == MDB_NOTFOUND)
		return v->tree.size == 0 ? KW_OK : wrong(v, v->tree.size, "the row of the peaks is missing");
	enum kw_err err = code == 0 ? check_peaks(v, &key, &value) : store_env_err(code);
	while (err == KW_OK && (code = mdb_cursor_get(tail, &key, &value, MDB_NEXT)) == 0) {
		if (!store_audit_strip(&key, &value, &strip))
			return wrong(v, v->tree.size, "a row of leaves is damaged");
		if (strip.first != v->tree.size)
			return wrong(v, v->tree.size, "leaves are missing");
		err = add_leaves(v, &strip);
	}
	return err == KW_OK && code != MDB_NOTFOUND ? store_env_err(code) : err;
}

static enum kw_err walk_blocks(struct verify *v, MDB_cursor *leaves)
{
	MDB_val key, value;
	struct store_leaves block;
	enum kw_err err = KW_OK;
	int code = 0;
	while (err == KW_OK && (code = mdb_cursor_get(leaves, &key, &value, MDB_NEXT)) == 0) {
		if (!store_audit_block(&key, &value, &block))
			return wrong(v, v->tree.size, "a row of leaves is damaged");
		if (block.first != v->tree.size)
			return wrong(v, v->tree.size, "leaves are missing");
		err = add_leaves(v, &block);
	}
	return err == KW_OK && code != MDB_NOTFOUND ? store_env_err(code) : err;
}

/* Leaves and checkpoints side by side. */
static enum kw_err walk(struct verify *v, MDB_cursor *leaves, MDB_cursor *tail)
{
	v->shown_code = mdb_cursor_get(v->checkpoints, &v->shown_key, &v->shown, MDB_FIRST);
	enum kw_err err = walk_blocks(v, leaves);
	if (err == KW_OK)
		err = walk_tail(v, tail);
	if (err == KW_OK && v->shown_code == 0)
		err = wrong(v, v->tree.size, "a checkpoint was shown of more leaves than there are: the log was cut");
	if (err == KW_OK && v->shown_code != MDB_NOTFOUND)
		err = store_env_err(v->shown_code);
	v->out->leaves = v->tree.size;
	return err == KW_OK ? kw_tree_root(&v->tree, &v->out->root) : err;
}

static enum kw_err check_all(struct verify *v)
{
	MDB_cursor *leaves = NULL, *tail = NULL;
	int code = mdb_cursor_open(v->txn, v->env.dbi.checkpoints, &v->checkpoints);
	if (code == 0)
		code = mdb_cursor_open(v->txn, v->env.dbi.leaves, &leaves);
	if (code == 0)
		code = mdb_cursor_open(v->txn, v->env.dbi.tail, &tail);
	enum kw_err err = code == 0 ? walk(v, leaves, tail) : store_env_err(code);
	mdb_cursor_close(tail);
	mdb_cursor_close(leaves);
	mdb_cursor_close(v->checkpoints);
	return err;
}

static int open_log(const char *path, struct verify *v)
{
	int code = mdb_env_create(&v->env.env);
	if (code == 0)
		code = mdb_env_set_maxdbs(v->env.env, 20);
	if (code == 0)
		code = mdb_env_open(v->env.env, path, MDB_RDONLY | MDB_NOTLS, 0600);
	if (code == 0)
		code = mdb_txn_begin(v->env.env, NULL, MDB_RDONLY, &v->txn);
	if (code == 0)
		code = mdb_dbi_open(v->txn, "leaves", 0, &v->env.dbi.leaves);
	if (code == 0)
		code = mdb_dbi_open(v->txn, "tail", 0, &v->env.dbi.tail);
	return code == 0 ? mdb_dbi_open(v->txn, "checkpoints", 0, &v->env.dbi.checkpoints) : code;
}

/* The file that is open is still the one that has the name. */
static bool has_name(int fd, const char *file)
{
	struct stat open_one, named;
	return fstat(fd, &open_one) == 0 && stat(file, &named) == 0 && open_one.st_ino == named.st_ino;
}

enum kw_err log_verify(const char *path, const struct kw_name *hub, const struct log_keys *keys, struct log_verified *out,
	const char **fault)
{
	struct verify v = {.hub = hub, .keys = keys, .out = out};
	char file[4096];
	*out = (struct log_verified){.leaves = 0};
	*fault = NULL;
	int length = snprintf(file, sizeof(file), "%s/" STORE_ENV_DATA, path);
	if (length < 0 || (size_t)length >= sizeof(file))
		return KW_ETOOBIG;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return KW_ENOTFOUND;
	enum kw_err err = flock(fd, LOCK_SH | LOCK_NB) == 0 ? KW_OK : KW_EBUSY;
	if (err == KW_OK)
		err = store_env_err(open_log(path, &v));
	if (err == KW_OK && !has_name(fd, file))
		err = KW_EBUSY;
	if (err == KW_OK)
		err = check_all(&v);
	if (v.txn != NULL)
		mdb_txn_abort(v.txn);
	if (v.env.env != NULL)
		mdb_env_close(v.env.env);
	(void)close(fd);
	*fault = v.fault;
	return err;
}
