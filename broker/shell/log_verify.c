#include "broker/shell/log_verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"

/* One snapshot: the leaves in order are appended to a tree of our own, and each row must have the nodes that come of it; at the
 * size of each checkpoint our root must be the signed one; then each salt must lead to its leaf. The shared lock on the file
 * keeps a broker from overwriting it meanwhile (store_rewrite.c). */

struct verify {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi leaves;
	MDB_dbi salts;
	MDB_dbi checkpoints;
	const struct kw_name *hub;
	const struct kw_role_keys *keys;
	struct log_verified *out;
	const char *fault;
	struct kw_tree tree;
	struct kw_view row; /* what is left of the one that is compared */
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
	(void)level;
	(void)index;
	if (v->row.size < KW_DIGEST_SIZE || memcmp(v->row.data, hash->bytes, KW_DIGEST_SIZE) != 0)
		return KW_EAUTH;
	v->row = KW_VIEW(v->row.data + KW_DIGEST_SIZE, v->row.size - KW_DIGEST_SIZE);
	return KW_OK;
}

static enum kw_err add_leaf(struct verify *v, const MDB_val *key, const MDB_val *value)
{
	const struct kw_tree_sink sink = {.put = same_node, .user = v};
	struct kw_digest leaf;
	uint64_t at = v->tree.size;
	if (key->mv_size != STORE_LEAF_KEY_SIZE || kw_get_u64(key->mv_data) != at)
		return wrong(v, at, "a leaf is missing");
	if (!store_row_check(key, value, STORE_LEAF, &v->row) || v->row.size < KW_DIGEST_SIZE)
		return wrong(v, at, "a leaf is damaged");
	memcpy(leaf.bytes, v->row.data, KW_DIGEST_SIZE);
	enum kw_err err = kw_tree_append(&v->tree, &leaf, &sink);
	if (err == KW_EAUTH || (err == KW_OK && v->row.size != 0))
		return wrong(v, at, "a node of the tree is not what its leaves make it");
	return err;
}

static enum kw_err check_checkpoint(struct verify *v, const MDB_val *key, const MDB_val *value)
{
	struct kw_view bytes;
	struct kw_role_signed role;
	struct kw_checkpoint checkpoint;
	struct kw_digest root;
	uint32_t good;
	uint64_t at = key->mv_size == STORE_LEAF_KEY_SIZE ? kw_get_u64(key->mv_data) : 0;
	if (!store_row_check(key, value, STORE_CHECKPOINT, &bytes) || kw_role_parse(bytes, &role) != KW_OK ||
		kw_checkpoint_read(role.payload, &checkpoint) != KW_OK)
		return wrong(v, at, "a checkpoint is damaged");
	if (kw_role_check(&role, KW_ROLE_LOG, v->keys, &good) != KW_OK || !kw_name_equal(&checkpoint.hub, v->hub))
		return wrong(v, at, "a checkpoint is not signed by this hub's log key");
	enum kw_err err = kw_tree_root(&v->tree, &root);
	if (err == KW_OK && (checkpoint.size != v->tree.size || at != checkpoint.size ||
							memcmp(&root, &checkpoint.root, sizeof(root)) != 0))
		return wrong(v, at, "a checkpoint that was shown is not of this log");
	v->out->checkpoints++;
	return err;
}

/* Leaves and checkpoints side by side. */
static enum kw_err walk(struct verify *v, MDB_cursor *leaves, MDB_cursor *checkpoints)
{
	MDB_val key, value, shown_key, shown;
	enum kw_err err = KW_OK;
	int next = mdb_cursor_get(checkpoints, &shown_key, &shown, MDB_FIRST);
	int code = mdb_cursor_get(leaves, &key, &value, MDB_FIRST);
	while (code == 0 && err == KW_OK) {
		err = add_leaf(v, &key, &value);
		while (err == KW_OK && next == 0 &&
			(shown_key.mv_size != STORE_LEAF_KEY_SIZE || kw_get_u64(shown_key.mv_data) <= v->tree.size)) {
			err = check_checkpoint(v, &shown_key, &shown);
			next = mdb_cursor_get(checkpoints, &shown_key, &shown, MDB_NEXT);
		}
		code = mdb_cursor_get(leaves, &key, &value, MDB_NEXT);
	}
	if (err == KW_OK && next == 0)
		err = wrong(v, kw_get_u64(shown_key.mv_data), "a checkpoint was shown of more leaves than there are: the log was cut");
	if (err == KW_OK && ((code != 0 && code != MDB_NOTFOUND) || (next != 0 && next != MDB_NOTFOUND)))
		err = store_env_err(code != MDB_NOTFOUND ? code : next);
	v->out->leaves = v->tree.size;
	return err == KW_OK ? kw_tree_root(&v->tree, &v->out->root) : err;
}

static enum kw_err check_salt(struct verify *v, const MDB_val *key, const MDB_val *value)
{
	struct kw_view payload;
	struct kw_digest digest, leaf, stored;
	const struct store_env env = {.dbi.leaves = v->leaves};
	if (key->mv_size != STORE_SALT_KEY_SIZE || !store_row_check(key, value, STORE_SALT, &payload) ||
		payload.size != STORE_SALT_SIZE)
		return wrong(v, 0, "a salt is damaged");
	uint64_t index = kw_get_u64(payload.data);
	memcpy(digest.bytes, (const uint8_t *)key->mv_data + 8, KW_DIGEST_SIZE);
	enum kw_err err = kw_audit_leaf(payload.data + 8, &digest, &leaf);
	if (err == KW_OK && (store_audit_node(v->txn, &env, 0, index, &stored) != 0 || memcmp(&leaf, &stored, sizeof(leaf)) != 0))
		err = wrong(v, index, "a salt and its envelope do not make their leaf");
	v->out->salts++;
	return err;
}

static enum kw_err check_all(struct verify *v)
{
	MDB_cursor *leaves = NULL, *checkpoints = NULL, *salts = NULL;
	MDB_val key, value;
	int code = mdb_cursor_open(v->txn, v->leaves, &leaves);
	if (code == 0)
		code = mdb_cursor_open(v->txn, v->checkpoints, &checkpoints);
	if (code == 0)
		code = mdb_cursor_open(v->txn, v->salts, &salts);
	enum kw_err err = code == 0 ? walk(v, leaves, checkpoints) : store_env_err(code);
	while (err == KW_OK && (code = mdb_cursor_get(salts, &key, &value, MDB_NEXT)) == 0)
		err = check_salt(v, &key, &value);
	if (err == KW_OK && code != MDB_NOTFOUND)
		err = store_env_err(code);
	mdb_cursor_close(leaves);
	mdb_cursor_close(checkpoints);
	mdb_cursor_close(salts);
	return err;
}

static int open_log(const char *path, struct verify *v)
{
	int code = mdb_env_create(&v->env);
	if (code == 0)
		code = mdb_env_set_maxdbs(v->env, 20);
	if (code == 0)
		code = mdb_env_open(v->env, path, MDB_RDONLY | MDB_NOTLS, 0600);
	if (code == 0)
		code = mdb_txn_begin(v->env, NULL, MDB_RDONLY, &v->txn);
	if (code == 0)
		code = mdb_dbi_open(v->txn, "leaves", 0, &v->leaves);
	if (code == 0)
		code = mdb_dbi_open(v->txn, "salts", 0, &v->salts);
	return code == 0 ? mdb_dbi_open(v->txn, "checkpoints", 0, &v->checkpoints) : code;
}

/* The file that is open is still the one that has the name. */
static bool has_name(int fd, const char *file)
{
	struct stat open_one, named;
	return fstat(fd, &open_one) == 0 && stat(file, &named) == 0 && open_one.st_ino == named.st_ino;
}

enum kw_err log_verify(const char *path, const struct kw_name *hub, const struct kw_role_keys *keys, struct log_verified *out,
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
	if (v.env != NULL)
		mdb_env_close(v.env);
	(void)close(fd);
	*fault = v.fault;
	return err;
}
