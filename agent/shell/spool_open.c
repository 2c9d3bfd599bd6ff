#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/shell/spool_inner.h"
#include "proto/wire/crypt.h"

/* Opening: made in a folder beside and renamed, so that a power loss leaves either no store or a whole one; then the key
 * is proved, the file is compared with its own page count (a truncated one would be SIGBUS), and the writer starts. */

#define MAP_SIZE_DEFAULT ((uint64_t)4 << 30)
#define READERS_MAX 16u

static const char *const table_names[T_COUNT] = {[T_META] = "meta", [T_OUT] = "out", [T_RETRY] = "retry",
	[T_ENV] = "env", [T_SENT] = "sent", [T_SENTBODY] = "sentbody", [T_SENTID] = "sentid", [T_INBOX] = "inbox",
	[T_INID] = "inid", [T_INNEW] = "innew", [T_DEAD] = "dead", [T_SEEN] = "seen", [T_SEENEXP] = "seenexp",
	[T_DUE] = "due", [T_THREAD] = "thread", [T_REG] = "reg", [T_ASIDE] = "aside", [T_THREADS] = "threads",
	[T_THREADNO] = "threadno", [T_OPEN] = "open", [T_THREADLOG] = "threadlog", [T_EARLY] = "early", [T_TRACKS] = "tracks",
	[T_FOLLOW] = "follow", [T_ERASURE] = "erasure", [T_SHRED] = "shred",
	[T_RECALL] = "recall", [T_SERVICES] = "services",
	[T_ANSWERS] = "answers", [T_OFFERS] = "offers", [T_OFFERID] = "offerid", [T_OFFERTHREAD] = "offerthread",
	[T_OFFERDUE] = "offerdue", [T_OFFERBODY] = "offerbody",
	[T_NAMED] = "named", [T_TODO] = "todo", [T_ASKED] = "asked", [T_CASES] = "cases", [T_NAMES] = "names", [T_ALARM] = "alarm",
	[T_CLEAR] = "ownclear", [T_PROOF] = "proof"};

static const char check_text[] = "kinward agent spool";

static enum kw_err open_env(const char *path, const struct spool_options *options, MDB_env **out)
{
	MDB_env *env;
	unsigned flags = MDB_NOTLS | (options->unsafe_no_sync ? MDB_NOSYNC : 0u);
	uint64_t map_size = options->map_size != 0 ? options->map_size : MAP_SIZE_DEFAULT;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return spool_mdb(rc);
	rc = mdb_env_set_maxdbs(env, T_COUNT);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, (size_t)(map_size + SPOOL_RESERVE_SIZE));
	if (rc == 0)
		rc = mdb_env_open(env, path, flags, 0600);
	if (rc != 0) {
		mdb_env_close(env);
		return spool_mdb(rc);
	}
	*out = env;
	return KW_OK;
}

/* The file must be as long as its newest meta page says. */
static enum kw_err check_size(MDB_env *env)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat file;
	int fd = -1;
	int dead = 0;

	(void)mdb_reader_check(env, &dead); /* slots of a killed process; a failure shows elsewhere */
	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &stat) != 0 || mdb_env_get_fd(env, &fd) != 0 ||
		fstat(fd, &file) != 0)
		return KW_EIO;
	return (uint64_t)file.st_size < (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize ? KW_ECORRUPT : KW_OK;
}

static enum kw_err open_tables(struct spool *spool, unsigned flags)
{
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, flags == 0 ? MDB_RDONLY : 0, &txn));

	for (int t = 0; err == KW_OK && t < T_COUNT; t++)
		err = spool_mdb(mdb_dbi_open(txn, table_names[t], flags, &spool->tables[t]));
	if (err == KW_OK)
		return spool_mdb(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return err == KW_ENOTFOUND ? KW_ECORRUPT : err;
}

/* Writes the numbers and, when new, the proof of the key. */
static enum kw_err save(struct spool *spool, bool fresh, bool unhold)
{
	uint8_t bytes[N_COUNT * 8];
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));

	if (err != KW_OK)
		return err;
	if (fresh)
		err = spool_put_sealed(spool, txn, T_META, kw_view_str("check"), kw_view_str(check_text));
	if (err == KW_OK && unhold)
		err = spool_unhold(spool, txn);
	for (int i = 0; i < N_COUNT; i++)
		kw_put_u64(bytes + i * 8, spool->numbers[i]);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_META, kw_view_str("state"), KW_VIEW_OF(bytes));
	if (err == KW_OK)
		return spool_mdb(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return err;
}

static enum kw_err new_epoch(struct spool *spool)
{
	enum kw_err err = kw_random(&spool->numbers[N_EPOCH], sizeof(spool->numbers[N_EPOCH]));

	spool->numbers[N_EPOCH] |= 1;
	return err;
}

static enum kw_err sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		return KW_EIO;
	int rc = fsync(fd);
	close(fd);
	return rc == 0 ? KW_OK : KW_EIO;
}

static enum kw_err sync_parent(const char *path)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return sync_path(".", O_DIRECTORY);
	size_t size = slash == path ? 1 : (size_t)(slash - path);
	if (size >= sizeof(parent))
		return KW_ETOOBIG;
	memcpy(parent, path, size);
	parent[size] = '\0';
	return sync_path(parent, O_DIRECTORY);
}

/* folder ‖ name, PATH_SIZE characters at most. */
#define PATH_SIZE 4096u
static enum kw_err join(const char *folder, const char *name, char *out)
{
	int size = snprintf(out, PATH_SIZE, "%s%s", folder, name);

	return size < 0 || (size_t)size >= PATH_SIZE ? KW_ETOOBIG : KW_OK;
}

static void remove_folder(const char *path)
{
	char file[PATH_SIZE];

	if (join(path, "/data.mdb", file) == KW_OK)
		unlink(file);
	if (join(path, "/lock.mdb", file) == KW_OK)
		unlink(file);
	rmdir(path);
}

static enum kw_err fill(const char *path, const struct spool_options *options)
{
	struct spool spool = {0};
	char file[PATH_SIZE];
	enum kw_err err = open_env(path, options, &spool.env);

	if (err != KW_OK)
		return err;
	spool.numbers[N_SCHEMA] = SPOOL_SCHEMA;
	spool.numbers[N_NEXT_ITEM] = 1;
	spool.numbers[N_NEXT_INBOX] = 1;
	spool.numbers[N_NEXT_DUE] = 1;
	spool.numbers[N_NEXT_ASIDE] = 1;
	spool.numbers[N_FIRST_ASIDE] = 1;
	spool.numbers[N_NEXT_THREAD] = 1;
	spool.numbers[N_NEXT_FOLLOW] = 1;
	spool.numbers[N_NEXT_OFFER] = 1;
	spool.numbers[N_TODO] = 1;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		spool.numbers[N_NEXT_SEQ + c] = 1;
	err = new_epoch(&spool);
	if (err == KW_OK)
		err = spool_keys(&spool, options->store_key);
	if (err == KW_OK)
		err = open_tables(&spool, MDB_CREATE);
	if (err == KW_OK)
		err = save(&spool, true, false);
	mdb_env_close(spool.env);
	kw_wipe(&spool, sizeof(spool));
	if (err == KW_OK)
		err = join(path, "/data.mdb", file);
	return err != KW_OK ? err : sync_path(file, 0);
}

static enum kw_err create(const struct spool_options *options)
{
	char path[PATH_SIZE];
	enum kw_err err = join(options->path, ".new", path);

	if (err != KW_OK)
		return err;
	remove_folder(path); /* of a creation that was cut short: it was never in use */
	if (mkdir(path, 0700) != 0)
		return errno == ENOSPC ? KW_ENOSPACE : KW_EIO;
	err = fill(path, options);
	if (err == KW_OK)
		err = sync_path(path, O_DIRECTORY);
	if (err == KW_OK && rename(path, options->path) != 0)
		err = KW_EIO;
	if (err == KW_OK)
		err = sync_parent(options->path);
	if (err != KW_OK)
		remove_folder(path);
	return err;
}

/* The tables; those that an older schema did not have are made. Which schema it is stands in a table, so that one is looked
 * at first. */
static enum kw_err open_known_tables(struct spool *spool)
{
	struct kw_view state;
	MDB_txn *txn;
	uint64_t schema = 0;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_dbi_open(txn, table_names[T_META], 0, &spool->tables[T_META]));
	if (err == KW_OK)
		err = spool_get(spool, txn, T_META, kw_view_str("state"), &state);
	if (err == KW_OK && state.size >= 8)
		schema = kw_get_u64(state.data);
	mdb_txn_abort(txn);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_ECORRUPT : err;
	return open_tables(spool, schema <= SPOOL_SCHEMA ? MDB_CREATE : 0);
}

/* The state row and the proof of the key. */
static enum kw_err load(struct spool *spool)
{
	struct kw_view state;
	struct kw_buf proof;
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	kw_buf_init(&proof, 4096);
	err = spool_get(spool, txn, T_META, kw_view_str("state"), &state);
	if (err == KW_OK) {
		for (size_t i = 0; i < N_COUNT && (i + 1) * 8 <= state.size; i++)
			spool->numbers[i] = kw_get_u64(state.data + i * 8);
		if (spool->numbers[N_SCHEMA] == 0 || spool->numbers[N_SCHEMA] > SPOOL_SCHEMA)
			err = KW_EVERSION;
		else if (spool->numbers[N_EPOCH] == 0)
			err = KW_ECORRUPT;
	}
	if (err == KW_OK && spool_get_sealed(spool, txn, T_META, kw_view_str("check"), &proof) != KW_OK)
		err = KW_EAUTH;
	mdb_txn_abort(txn);
	kw_buf_fini(&proof);
	return err == KW_ENOTFOUND ? KW_ECORRUPT : err;
}

/* Two agents on one spool would overwrite each other's messages. */
static enum kw_err lock_folder(struct spool *spool, const char *path)
{
	spool->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->folder_fd < 0)
		return KW_EIO;
	if (flock(spool->folder_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? KW_EBUSY : KW_EIO;
	return KW_OK;
}

/* Overwrites a file that has lost its name. */
static enum kw_err wipe_fd(int fd)
{
	static const uint8_t zeros[65536];
	struct stat file;

	if (fstat(fd, &file) != 0)
		return KW_EIO;
	for (off_t at = 0; at < file.st_size;) {
		size_t left = (size_t)(file.st_size - at);
		ssize_t n = pwrite(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), at);

		if (n <= 0)
			return KW_EIO;
		at += n;
	}
	return fsync(fd) == 0 ? KW_OK : KW_EIO;
}

/* The file anew without its freed pages, which hold contents as an older schema had them; the old one is overwritten. What
 * a crash leaves of it is done again, as the number says; only one between the last two steps leaves the old bytes on the
 * disk, under no name. */
static enum kw_err compact(struct spool *spool, const struct spool_options *options)
{
	char folder[PATH_SIZE];
	char fresh[PATH_SIZE];
	char path[PATH_SIZE];
	int fd = -1;
	enum kw_err err = join(options->path, "/compact", folder);

	if (err == KW_OK)
		err = join(folder, "/data.mdb", fresh);
	if (err == KW_OK)
		err = join(options->path, "/data.mdb", path);
	if (err != KW_OK)
		return err;
	remove_folder(folder);
	if (mkdir(folder, 0700) != 0)
		return errno == ENOSPC ? KW_ENOSPACE : KW_EIO;
	err = spool_mdb(mdb_env_copy2(spool->env, folder, MDB_CP_COMPACT));
	if (err == KW_OK)
		err = sync_path(fresh, 0);
	if (err == KW_OK)
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (err == KW_OK && fd < 0)
		err = KW_EIO;
	if (err == KW_OK) {
		mdb_env_close(spool->env);
		spool->env = NULL;
		err = rename(fresh, path) == 0 ? sync_path(options->path, O_DIRECTORY) : KW_EIO;
	}
	if (err == KW_OK)
		err = wipe_fd(fd);
	if (fd >= 0)
		close(fd);
	remove_folder(folder);
	if (err == KW_OK)
		err = open_env(options->path, options, &spool->env);
	if (err == KW_OK)
		err = open_tables(spool, 0);
	if (err != KW_OK)
		return err;
	spool->numbers[N_COMPACT] = 0;
	return save(spool, false, false);
}

static enum kw_err open_all(struct spool *spool, const struct spool_options *options)
{
	struct stat folder;
	enum kw_err err = KW_OK;

	if (lstat(options->path, &folder) != 0)
		err = errno == ENOENT ? create(options) : KW_EIO;
	else if (!S_ISDIR(folder.st_mode))
		err = KW_EIO;
	if (err == KW_OK)
		err = lock_folder(spool, options->path);
	if (err == KW_OK)
		err = open_env(options->path, options, &spool->env);
	if (err == KW_OK)
		err = check_size(spool->env);
	if (err == KW_OK)
		err = spool_keys(spool, options->store_key);
	if (err == KW_OK)
		err = open_known_tables(spool);
	if (err == KW_OK)
		err = load(spool);
	if (err == KW_OK)
		err = spool_vault_open(spool);
	if (err == KW_OK && spool->numbers[N_SCHEMA] != SPOOL_SCHEMA)
		err = spool_upgrade(spool);
	if (err == KW_OK)
		err = spool_clocks_open(spool);
	if (err == KW_OK)
		err = spool_todo_open(spool);
	if (err == KW_OK && spool->numbers[N_COMPACT] != 0)
		err = compact(spool, options);
	if (err == KW_OK)
		err = spool_shred_due(spool, &spool->shreds);
	if (err == KW_OK && spool->shreds)
		err = spool_shred(spool);
	if (err == KW_ENOSPACE && spool->shreds)
		err = KW_OK; /* the writer tries again */
	if (err != KW_OK || !options->new_epoch)
		return err;
	err = new_epoch(spool);
	return err != KW_OK ? err : save(spool, false, true);
}

enum kw_err spool_open(const struct spool_options *options, struct uv_loop_s *loop, struct spool **out)
{
	const char *unsafe = getenv("KW_UNSAFE_TEST");
	pthread_condattr_t monotonic; /* its calls fail for bad arguments only */
	struct spool *spool;
	enum kw_err err;

	if (options->unsafe_no_sync && (unsafe == NULL || strcmp(unsafe, "1") != 0))
		return KW_EDENIED;
	spool = calloc(1, sizeof(*spool));
	if (spool == NULL)
		return KW_ENOMEM;
	pthread_mutex_init(&spool->lock, NULL);
	pthread_rwlock_init(&spool->keys_lock, NULL);
	spool->unsafe_no_sync = options->unsafe_no_sync;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&spool->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	spool->folder_fd = -1;
	spool->map_size = options->map_size != 0 ? options->map_size : MAP_SIZE_DEFAULT;
	spool->has_coordinator = options->coordinator != NULL;
	if (options->coordinator != NULL)
		spool->coordinator = *options->coordinator;
	spool->path = strdup(options->path);
	err = spool->path == NULL ? KW_ENOMEM : open_all(spool, options);
	if (err == KW_OK)
		err = spool_start(spool, loop);
	if (err != KW_OK) {
		spool_close(spool);
		return err;
	}
	*out = spool;
	return KW_OK;
}
