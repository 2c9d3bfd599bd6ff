#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"

/* Creation and opening.
 *
 *   folder made and synced → locked → no data file: built in FOLDER/new, synced, renamed, both folders synced
 *   → pages checked → mdb_env_open → stale readers cleared → tables opened
 *
 * A crash while creating leaves FOLDER/new, which the next start removes; power loss can only find the whole file or
 * none. A file shorter than its meta page says would be SIGBUS under LMDB, so the file is looked at before LMDB maps it. */

#define ENV_DBS_MAX 20
#define ENV_LOCK "lock.mdb"
#define ENV_MODE 0600

enum kw_err store_env_err(int code)
{
	switch (code) {
	case 0:
		return KW_OK;
	case MDB_NOTFOUND:
		return KW_ENOTFOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return KW_ENOSPACE;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
	case MDB_INVALID:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_VALSIZE:
		return KW_ECORRUPT;
	case MDB_VERSION_MISMATCH:
		return KW_EVERSION;
	case ENOMEM:
		return KW_ENOMEM;
	default:
		return KW_EIO;
	}
}

enum kw_err store_env_new_epoch(uint64_t *out)
{
	uint64_t epoch = 0;
	while (epoch == 0) {
		if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
			return KW_EIO;
	}
	*out = epoch;
	return KW_OK;
}

int store_env_put_meta(MDB_txn *txn, const struct store_env *env, uint64_t epoch)
{
	int code = 0;
	for (uint8_t copy = 0; copy < STORE_COPIES && code == 0; copy++) {
		uint8_t row[STORE_ROW_HEAD_SIZE + STORE_META_SIZE];
		MDB_val key = store_val(&copy, sizeof(copy));
		MDB_val value = store_val(row, sizeof(row));
		kw_put_u32(row + STORE_ROW_HEAD_SIZE, STORE_SCHEMA_VERSION);
		kw_put_u64(row + STORE_ROW_HEAD_SIZE + 4, epoch);
		kw_put_u32(row + STORE_ROW_HEAD_SIZE + 12, env->record_version);
		store_row_seal(row, STORE_META, &key, STORE_META_SIZE);
		code = mdb_put(txn, env->dbi.meta, &key, &value, 0);
	}
	return code;
}

static int open_dbis(MDB_txn *txn, unsigned flags, struct store_dbis *dbi)
{
	const struct {
		const char *name;
		MDB_dbi *out;
	} tables[] = {
		{"meta", &dbi->meta},     {"agencies", &dbi->agencies}, {"queues", &dbi->queues},
		{"index", &dbi->index},   {"cursors", &dbi->cursors},   {"log", &dbi->log},
		{"damaged", &dbi->damaged},
	};
	int code = 0;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && code == 0; i++)
		code = mdb_dbi_open(txn, tables[i].name, flags, tables[i].out);
	/* A store of version 1 has none of these, one of version 2 has not the last. */
	if (code == 0)
		code = mdb_dbi_open(txn, "threads", MDB_CREATE, &dbi->threads);
	if (code == 0)
		code = mdb_dbi_open(txn, "clocks", MDB_CREATE, &dbi->clocks);
	if (code == 0)
		code = mdb_dbi_open(txn, "prekeys", MDB_CREATE, &dbi->prekeys); /* nor has one of version 4 from before them */
	if (code == 0)
		code = mdb_dbi_open(txn, "held", MDB_CREATE, &dbi->held);
	if (code == 0) /* up to version 4 there is no audit log */
		code = mdb_dbi_open(txn, "leaves", MDB_CREATE, &dbi->leaves);
	if (code == 0)
		code = mdb_dbi_open(txn, "tail", MDB_CREATE, &dbi->tail);
	return code == 0 ? mdb_dbi_open(txn, "checkpoints", MDB_CREATE, &dbi->checkpoints) : code;
}

int store_env_open_lmdb(const char *path, unsigned flags, unsigned table_flags, struct store_env *env)
{
	MDB_txn *txn = NULL;
	MDB_stat stat;
	int dead = 0;
	int code = mdb_env_create(&env->env);
	if (code == 0)
		code = mdb_env_set_maxdbs(env->env, ENV_DBS_MAX);
	if (code == 0)
		code = mdb_env_set_mapsize(env->env, (size_t)(env->map_size + STORE_RESERVE_SIZE));
	if (code == 0)
		code = mdb_env_open(env->env, path, MDB_NOTLS | flags, ENV_MODE);
	if (code == 0)
		code = mdb_reader_check(env->env, &dead);
	if (code == 0)
		code = mdb_txn_begin(env->env, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = open_dbis(txn, table_flags, &env->dbi);
	uint64_t epoch;
	if (code == 0 && table_flags != 0 && store_env_new_epoch(&epoch) != KW_OK)
		code = EIO;
	if (code == 0 && table_flags != 0)
		code = store_env_put_meta(txn, env, epoch);
	if (code == 0)
		code = mdb_env_stat(env->env, &stat);
	if (code != 0) {
		mdb_txn_abort(txn);
		return code == MDB_NOTFOUND ? MDB_INVALID : code;
	}
	env->page_size = stat.ms_psize;
	return mdb_txn_commit(txn);
}

enum kw_err store_env_errno(void)
{
	return errno == ENOSPC || errno == EDQUOT ? KW_ENOSPACE : KW_EIO;
}

enum kw_err store_env_sync(int folder_fd, const char *name, int flags)
{
	int fd = openat(folder_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return store_env_errno();
	enum kw_err err = fsync(fd) == 0 ? KW_OK : store_env_errno();
	if (close(fd) != 0 && err == KW_OK)
		err = store_env_errno();
	return err;
}

/* Makes the folder if it is missing, syncs its parent then, and opens it. */
static enum kw_err open_folder(const char *path, int *fd)
{
	bool made = mkdir(path, 0700) == 0;
	if (!made && errno != EEXIST)
		return store_env_errno();
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return store_env_errno();
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? KW_EBUSY : KW_EIO;
	return made ? store_env_sync(*fd, "..", O_RDONLY | O_DIRECTORY) : KW_OK;
}

void store_env_remove_build(int folder_fd)
{
	(void)unlinkat(folder_fd, STORE_ENV_BUILD "/" STORE_ENV_DATA, 0); /* mostly absent */
	(void)unlinkat(folder_fd, STORE_ENV_BUILD "/" ENV_LOCK, 0);
	(void)unlinkat(folder_fd, STORE_ENV_BUILD, AT_REMOVEDIR);
}

static enum kw_err create(const char *path, const struct store_env *like)
{
	int folder_fd = like->folder_fd;
	struct store_env fresh = {.folder_fd = -1, .map_size = like->map_size, .record_version = like->record_version};
	char build[4096];
	int length = snprintf(build, sizeof(build), "%s/" STORE_ENV_BUILD, path);
	if (length < 0 || (size_t)length >= sizeof(build))
		return KW_ETOOBIG;
	store_env_remove_build(folder_fd);
	if (mkdirat(folder_fd, STORE_ENV_BUILD, 0700) != 0)
		return store_env_errno();
	enum kw_err err = store_env_err(store_env_open_lmdb(build, 0, MDB_CREATE, &fresh));
	store_env_close(&fresh);
	if (err == KW_OK)
		err = store_env_sync(folder_fd, STORE_ENV_BUILD "/" STORE_ENV_DATA, O_RDONLY);
	if (err == KW_OK && renameat(folder_fd, STORE_ENV_BUILD "/" STORE_ENV_DATA, folder_fd, STORE_ENV_DATA) != 0)
		err = store_env_errno();
	if (err == KW_OK)
		err = store_env_sync(folder_fd, STORE_ENV_BUILD, O_RDONLY | O_DIRECTORY);
	if (err == KW_OK)
		err = store_env_sync(folder_fd, ".", O_RDONLY | O_DIRECTORY);
	store_env_remove_build(folder_fd);
	return err;
}

static enum kw_err check_file(int folder_fd)
{
	int fd = openat(folder_fd, STORE_ENV_DATA, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? KW_ENOTFOUND : KW_EIO;
	enum kw_err err = store_check_file(fd);
	(void)close(fd); /* only read */
	return err;
}

enum kw_err store_env_open(const struct store_options *options, struct store_env *env)
{
	env->folder_fd = -1;
	env->map_size = options->map_size;
	env->record_version = options->record_version;
	env->flags = options->unsafe_no_sync ? MDB_NOSYNC : 0;
	env->path = strdup(options->path);
	if (env->path == NULL)
		return KW_ENOMEM;
	enum kw_err err = open_folder(options->path, &env->folder_fd);
	if (err != KW_OK)
		return err;
	err = check_file(env->folder_fd);
	if (err == KW_ENOTFOUND) {
		err = create(options->path, env);
		if (err == KW_OK)
			err = check_file(env->folder_fd);
	}
	if (err != KW_OK)
		return err;
	err = store_env_err(store_env_open_lmdb(env->path, env->flags, 0, env));
	return err == KW_OK ? store_rewrite(env, NULL) : err;
}

void store_env_close(struct store_env *env)
{
	if (env->env != NULL)
		mdb_env_close(env->env);
	env->env = NULL;
	if (env->folder_fd >= 0)
		(void)close(env->folder_fd); /* only holds the lock */
	env->folder_fd = -1;
	free(env->path);
	env->path = NULL;
}
