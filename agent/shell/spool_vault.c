#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/spool_inner.h"
#include "proto/base/check.h"
#include "proto/wire/crypt.h"

/* The vault: one random key for the contents of each thread, wrapped under the store key, in a small environment of its own
 * beside the spool. LMDB keeps the bytes of deleted rows in freed pages, and a copy of the file takes them along; so what is
 * to be erased is never deleted, its key is. The vault alone is small enough to be written anew for that:
 *
 *   all keys but the destroyed ones → keys/new (made, committed, synced) → keys/data.mdb gets the second name keys/old →
 *   keys/new takes the name keys/data.mdb → the folder is synced → keys/old is overwritten, synced, unlinked
 *
 * A crash anywhere leaves the old vault or the new one under its name; the next open overwrites an "old" that is left, and
 * the spool's table of shreds, which is emptied only afterwards, has the destruction done again where it was not.
 *
 * A key is durable before the first row that needs it: the writer commits the vault before the spool. A key whose row never
 * came is used by the next message of the thread. */

#define KEYS_FOLDER "/keys"
#define DATA "/data.mdb"
#define NEW "/new"
#define OLD "/old"
#define PATH_SIZE 4096u
#define READERS_MAX 8u
#define RESERVE_SIZE ((uint64_t)16 << 20)
#define WIPE_SIZE 65536u
#define WRAPPED_SIZE (KW_AEAD_NONCE_SIZE + SPOOL_KEY_SIZE + KW_AEAD_TAG_SIZE)

static enum kw_err join(const struct spool *spool, const char *name, char *out)
{
	int size = snprintf(out, PATH_SIZE, "%s" KEYS_FOLDER "%s", spool->path, name);

	return size < 0 || (size_t)size >= PATH_SIZE ? KW_ETOOBIG : KW_OK;
}

static enum kw_err sys_err(void)
{
	return errno == ENOSPC || errno == EDQUOT ? KW_ENOSPACE : KW_EIO;
}

static enum kw_err sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		return KW_EIO;
	enum kw_err err = fsync(fd) == 0 ? KW_OK : KW_EIO;
	close(fd);
	return err;
}

static enum kw_err sync_folder(const struct spool *spool)
{
	char path[PATH_SIZE];
	enum kw_err err = join(spool, "", path);

	return err != KW_OK ? err : sync_path(path, O_DIRECTORY);
}

static enum kw_err open_env(const struct spool *spool, const char *path, unsigned flags, MDB_env **out)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return spool_mdb(rc);
	rc = mdb_env_set_maxreaders(env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, (size_t)(spool->map_size / 2 + RESERVE_SIZE));
	if (rc == 0)
		rc = mdb_env_open(env, path, MDB_NOTLS | (spool->unsafe_no_sync ? MDB_NOSYNC : 0u) | flags, 0600);
	if (rc == 0) {
		*out = env;
		return KW_OK;
	}
	mdb_env_close(env);
	return spool_mdb(rc);
}

/* Overwrites and unlinks a file that is the vault no more, or never became it. KW_OK also when there is none. */
static enum kw_err wipe(const struct spool *spool, const char *name)
{
	static const uint8_t zeros[WIPE_SIZE];
	char path[PATH_SIZE];
	struct stat file;
	enum kw_err err = join(spool, name, path);
	int fd = err == KW_OK ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (err != KW_OK || (fd < 0 && errno == ENOENT))
		return err;
	if (fd < 0 || fstat(fd, &file) != 0)
		err = KW_EIO;
	for (off_t at = 0; err == KW_OK && at < file.st_size;) {
		size_t left = (size_t)(file.st_size - at);
		ssize_t n = pwrite(fd, zeros, left < WIPE_SIZE ? left : WIPE_SIZE, at);

		if (n <= 0)
			err = sys_err();
		else
			at += n;
	}
	if (err == KW_OK && fsync(fd) != 0)
		err = KW_EIO;
	if (fd >= 0)
		close(fd);
	if (err == KW_OK && unlink(path) != 0)
		err = KW_EIO;
	return err != KW_OK ? err : sync_folder(spool);
}

/* A crash between the two names: "old" is still the vault itself, and must not be overwritten. */
static enum kw_err drop_same_old(const struct spool *spool)
{
	char path[PATH_SIZE];
	char old[PATH_SIZE];
	struct stat file;
	struct stat other;
	enum kw_err err = join(spool, DATA, path);

	if (err == KW_OK)
		err = join(spool, OLD, old);
	if (err != KW_OK || lstat(old, &other) != 0 || lstat(path, &file) != 0 || file.st_ino != other.st_ino)
		return err;
	return unlink(old) == 0 ? KW_OK : KW_EIO;
}

static enum kw_err drop_new(const struct spool *spool)
{
	char lock[PATH_SIZE];
	enum kw_err err = wipe(spool, NEW);

	if (err == KW_OK)
		err = join(spool, NEW "-lock", lock);
	return err != KW_OK || unlink(lock) == 0 || errno == ENOENT ? err : KW_EIO;
}

static enum kw_err keep(MDB_txn *txn, MDB_dbi dbi, MDB_cursor *from, const struct spool_vault_ids *gone)
{
	MDB_val k;
	MDB_val v;
	int rc = mdb_cursor_get(from, &k, &v, MDB_FIRST);

	while (rc == 0) {
		bool destroyed = false;

		for (size_t i = 0; i < gone->count && !destroyed; i++)
			destroyed = k.mv_size == gone->ids[i].size && memcmp(k.mv_data, gone->ids[i].bytes, k.mv_size) == 0;
		if (!destroyed)
			rc = mdb_put(txn, dbi, &k, &v, MDB_APPEND);
		if (rc == 0)
			rc = mdb_cursor_get(from, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

/* Copies all keys but some into the file `new`, committed and synced; old may be NULL: then it is empty. */
static enum kw_err fill_new(struct spool *spool, MDB_env *old, const struct spool_vault_ids *gone)
{
	char path[PATH_SIZE];
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_txn *reader = NULL;
	MDB_cursor *cursor = NULL;
	MDB_dbi dbi = 0;
	enum kw_err err = drop_new(spool);

	if (err == KW_OK)
		err = join(spool, NEW, path);
	if (err == KW_OK)
		err = open_env(spool, path, MDB_NOSUBDIR, &env);
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_begin(env, NULL, 0, &txn));
	if (err == KW_OK)
		err = spool_mdb(mdb_dbi_open(txn, NULL, 0, &dbi));
	if (err == KW_OK && old != NULL)
		err = spool_mdb(mdb_txn_begin(old, NULL, MDB_RDONLY, &reader));
	if (err == KW_OK && old != NULL)
		err = spool_mdb(mdb_cursor_open(reader, spool->keys_dbi, &cursor));
	if (err == KW_OK && old != NULL)
		err = keep(txn, dbi, cursor, gone);
	mdb_cursor_close(cursor);
	if (reader != NULL)
		mdb_txn_abort(reader);
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_commit(txn));
	else if (txn != NULL)
		mdb_txn_abort(txn);
	if (env != NULL)
		mdb_env_close(env);
	return err != KW_OK ? err : sync_path(path, 0);
}

/* `new` takes the vault's name; the one before stays as `old`. */
static enum kw_err swap(struct spool *spool, bool first)
{
	char path[PATH_SIZE];
	char fresh[PATH_SIZE];
	char old[PATH_SIZE];
	enum kw_err err = join(spool, DATA, path);

	if (err == KW_OK)
		err = join(spool, NEW, fresh);
	if (err == KW_OK)
		err = join(spool, OLD, old);
	if (err == KW_OK && !first && link(path, old) != 0)
		err = sys_err();
	if (err == KW_OK && rename(fresh, path) != 0)
		err = sys_err();
	if (err == KW_OK)
		err = drop_new(spool);
	return err != KW_OK ? err : sync_folder(spool);
}

static enum kw_err attach(struct spool *spool)
{
	char path[PATH_SIZE];
	MDB_txn *txn;
	enum kw_err err = join(spool, "", path);

	if (err == KW_OK)
		err = open_env(spool, path, 0, &spool->keys_env);
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_begin(spool->keys_env, NULL, MDB_RDONLY, &txn));
	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_dbi_open(txn, NULL, 0, &spool->keys_dbi));
	mdb_txn_abort(txn);
	return err;
}

enum kw_err spool_vault_open(struct spool *spool)
{
	char path[PATH_SIZE];
	struct stat file;
	enum kw_err err = join(spool, "", path);

	if (err == KW_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
		err = sys_err();
	if (err == KW_OK)
		err = drop_same_old(spool);
	if (err == KW_OK)
		err = wipe(spool, OLD);
	if (err == KW_OK)
		err = drop_new(spool);
	if (err == KW_OK)
		err = join(spool, DATA, path);
	if (err == KW_OK && stat(path, &file) != 0) {
		err = errno == ENOENT ? fill_new(spool, NULL, NULL) : KW_EIO;
		if (err == KW_OK)
			err = swap(spool, true);
		if (err == KW_OK)
			err = sync_path(spool->path, O_DIRECTORY);
	}
	return err != KW_OK ? err : attach(spool);
}

void spool_vault_close(struct spool *spool)
{
	spool_vault_abort(spool);
	if (spool->keys_env != NULL)
		mdb_env_close(spool->keys_env);
	spool->keys_env = NULL;
}

enum kw_err spool_vault_destroy(struct spool *spool, const struct spool_vault_ids *ids)
{
	enum kw_err err;

	KW_ASSERT(spool->keys_txn == NULL);
	err = fill_new(spool, spool->keys_env, ids);
	if (err != KW_OK)
		return err;
	/* A reader on the loop thread must not have the old file open when it is overwritten. */
	pthread_rwlock_wrlock(&spool->keys_lock);
	mdb_env_close(spool->keys_env);
	spool->keys_env = NULL;
	err = swap(spool, false);
	if (err == KW_OK)
		err = wipe(spool, OLD);
	if (err == KW_OK)
		err = attach(spool);
	pthread_rwlock_unlock(&spool->keys_lock);
	return err;
}

/* The wrapped key in a transaction of the vault; KW_ENOTFOUND. */
static enum kw_err unwrap(struct spool *spool, MDB_txn *txn, const struct spool_vault_id *id, uint8_t *out)
{
	MDB_val k = {.mv_size = id->size, .mv_data = (void *)(uintptr_t)id->bytes};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_get(txn, spool->keys_dbi, &k, &v));

	if (err != KW_OK)
		return err;
	if (v.mv_size != WRAPPED_SIZE)
		return KW_ECORRUPT;
	const uint8_t *bytes = v.mv_data;
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = spool->row_key, .nonce = bytes};
	err = kw_aead_open(&aead, KW_VIEW(id->bytes, id->size),
		KW_VIEW(bytes + KW_AEAD_NONCE_SIZE, WRAPPED_SIZE - KW_AEAD_NONCE_SIZE), out);
	return err == KW_EOPEN ? KW_ECORRUPT : err;
}

enum kw_err spool_vault_key(struct spool *spool, const struct spool_vault_id *id, uint8_t *out)
{
	MDB_txn *txn;
	enum kw_err err;

	if (spool->keys_txn != NULL && pthread_equal(pthread_self(), spool->keys_owner))
		return unwrap(spool, spool->keys_txn, id, out);
	pthread_rwlock_rdlock(&spool->keys_lock);
	err = spool->keys_env == NULL ? KW_EIO : spool_mdb(mdb_txn_begin(spool->keys_env, NULL, MDB_RDONLY, &txn));
	if (err == KW_OK) {
		err = unwrap(spool, txn, id, out);
		mdb_txn_abort(txn);
	}
	pthread_rwlock_unlock(&spool->keys_lock);
	return err;
}

enum kw_err spool_vault_make(struct spool *spool, const struct spool_vault_id *id, uint8_t *out)
{
	uint8_t wrapped[WRAPPED_SIZE];
	MDB_val k = {.mv_size = id->size, .mv_data = (void *)(uintptr_t)id->bytes};
	MDB_val v = {.mv_size = sizeof(wrapped), .mv_data = wrapped};
	enum kw_err err = spool_vault_key(spool, id, out);

	if (err != KW_ENOTFOUND)
		return err;
	err = kw_random(out, SPOOL_KEY_SIZE);
	if (err == KW_OK)
		err = kw_random(wrapped, KW_AEAD_NONCE_SIZE);
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = spool->row_key, .nonce = wrapped};
	if (err == KW_OK)
		err = kw_aead_seal(&aead, KW_VIEW(id->bytes, id->size), KW_VIEW(out, SPOOL_KEY_SIZE), wrapped + KW_AEAD_NONCE_SIZE);
	if (err == KW_OK && spool->keys_txn == NULL) {
		err = spool_mdb(mdb_txn_begin(spool->keys_env, NULL, 0, &spool->keys_txn));
		spool->keys_owner = pthread_self();
	}
	return err != KW_OK ? err : spool_mdb(mdb_put(spool->keys_txn, spool->keys_dbi, &k, &v, 0));
}

enum kw_err spool_vault_commit(struct spool *spool)
{
	MDB_txn *txn = spool->keys_txn;

	spool->keys_txn = NULL;
	return txn == NULL ? KW_OK : spool_mdb(mdb_txn_commit(txn));
}

void spool_vault_abort(struct spool *spool)
{
	if (spool->keys_txn != NULL)
		mdb_txn_abort(spool->keys_txn);
	spool->keys_txn = NULL;
}
