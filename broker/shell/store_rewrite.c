#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"

/* The file is written anew, so that what was recalled is not in the gaps of its pages either: a copy of what lives, beside it,
 * takes its name, and the old one is overwritten. A crash leaves the one or the other, and the old one's mark; only one within
 * the overwriting leaves bytes on the disk, under no name.
 *
 * It is done at a start that finds the mark, and in a hub that runs at STORE_REWRITE_WAIT_MS after the first recall since the
 * last time: by then more of them may have come, and each costs no copy of its own. The writer does it, so messages wait for
 * their commit meanwhile; readers wait only while the one file takes the other's place. */

/* On the disk, beside the copy, for what arrives meanwhile. */
#define ROOM_LEFT ((uint64_t)64 << 20)

/* Whether something was recalled since the file was written anew, and it can be in a time that messages can wait. */
static bool is_wanted(const struct store_env *env)
{
	struct store_figures figures = {0};
	struct statvfs disk;
	MDB_txn *txn;
	if (mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn) != 0)
		return false;
	bool out = store_wipe_is_marked(txn, env) && store_writer_measure(txn, env, &figures) == 0 &&
		figures.used_bytes <= STORE_COMPACT_BYTES_MAX;
	mdb_txn_abort(txn);
	/* Without room the mark stays. */
	return out && (fstatvfs(env->folder_fd, &disk) != 0 ||
		(uint64_t)disk.f_bavail * disk.f_frsize >= figures.used_bytes + ROOM_LEFT);
}

/* A copy of what lives, without the mark, in the build folder. */
static enum kw_err copy_living(const char *build, struct store_env *env)
{
	struct store_env copy = {.folder_fd = -1, .map_size = env->map_size, .record_version = env->record_version};
	MDB_txn *txn;
	int code = mdb_env_copy2(env->env, build, MDB_CP_COMPACT);
	if (code == 0)
		code = store_env_open_lmdb(build, 0, 0, &copy);
	if (code == 0)
		code = mdb_txn_begin(copy.env, NULL, 0, &txn);
	if (code == 0) {
		code = store_wipe_unmark(txn, &copy);
		if (code == 0)
			code = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	store_env_close(&copy);
	return store_env_err(code);
}

/* The copy takes the file's place, in the folder and here. */
static enum kw_err swap(struct store_env *env)
{
	enum kw_err err = KW_OK;
	mdb_env_close(env->env);
	env->env = NULL;
	if (renameat(env->folder_fd, STORE_ENV_BUILD "/" STORE_ENV_DATA, env->folder_fd, STORE_ENV_DATA) != 0)
		err = store_env_errno();
	if (err == KW_OK)
		err = store_env_sync(env->folder_fd, ".", O_RDONLY | O_DIRECTORY);
	return err == KW_OK ? store_env_err(store_env_open_lmdb(env->path, env->flags, 0, env)) : err;
}

static enum kw_err swap_beside_readers(struct store_env *env, struct store *store)
{
	if (store == NULL)
		return swap(env);
	uv_mutex_lock(&store->reading);
	store_reader_close(store);
	enum kw_err err = swap(env);
	uv_mutex_unlock(&store->reading);
	return err;
}

enum kw_err store_rewrite(struct store_env *env, struct store *store)
{
	char build[4096];
	int length = snprintf(build, sizeof(build), "%s/" STORE_ENV_BUILD, env->path);
	if (length < 0 || (size_t)length >= sizeof(build) || !is_wanted(env))
		return KW_OK;
	store_env_remove_build(env->folder_fd);
	if (mkdirat(env->folder_fd, STORE_ENV_BUILD, 0700) != 0)
		return errno == ENOSPC ? KW_OK : store_env_errno();
	int old = openat(env->folder_fd, STORE_ENV_DATA, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Somebody who verifies the log reads it (log_verify.c): another time, the mark stays. */
	if (old >= 0 && flock(old, LOCK_EX | LOCK_NB) != 0) {
		(void)close(old);
		store_env_remove_build(env->folder_fd);
		return KW_OK;
	}
	enum kw_err err = old < 0 ? store_env_errno() : copy_living(build, env);
	if (err == KW_OK)
		err = store_env_sync(env->folder_fd, STORE_ENV_BUILD "/" STORE_ENV_DATA, O_RDONLY);
	bool no_room = err == KW_ENOSPACE; /* no room for a second one: the mark stays */
	if (err == KW_OK)
		err = swap_beside_readers(env, store);
	if (err == KW_OK)
		err = store_wipe_file(old);
	if (old >= 0)
		(void)close(old);
	store_env_remove_build(env->folder_fd);
	return no_room ? KW_OK : err;
}

void store_rewrite_begin(struct store *store, const struct store_options *options)
{
	uint64_t wait_ms = options->rewrite_wait_ms != 0 ? options->rewrite_wait_ms : STORE_REWRITE_WAIT_MS;
	store->rewrite_wait_ns = wait_ms * UINT64_C(1000000);
	store_rewrite_later(store);
}

void store_rewrite_later(struct store *store)
{
	if (store->rewrite_at_ns == 0)
		store->rewrite_at_ns = uv_hrtime() + store->rewrite_wait_ns;
}

bool store_rewrite_is_due(const struct store *store)
{
	return store->rewrite_at_ns != 0 && store->failed == KW_OK && uv_hrtime() >= store->rewrite_at_ns;
}

void store_rewrite_wait(struct store *store)
{
	uint64_t now = uv_hrtime();
	if (store->rewrite_at_ns == 0 || store->failed != KW_OK)
		uv_cond_wait(&store->wake, &store->lock);
	else if (store->rewrite_at_ns > now)
		(void)uv_cond_timedwait(&store->wake, &store->lock, store->rewrite_at_ns - now); /* looked at again either way */
}

enum kw_err store_rewrite_now(struct store *store)
{
	MDB_txn *txn;
	enum kw_err err = store_rewrite(&store->env, store);
	store->rewrite_at_ns = 0;
	if (err != KW_OK || mdb_txn_begin(store->env.env, NULL, MDB_RDONLY, &txn) != 0)
		return err;
	bool marked = store_wipe_is_marked(txn, &store->env);
	mdb_txn_abort(txn);
	if (marked)
		store_rewrite_later(store);
	return KW_OK;
}
