#include <sys/statvfs.h>

#include "agent/shell/spool_inner.h"

/* How much room there is. A store has to stop in time: the first thing that would not find room could be a receipt. */

#define MIB ((uint64_t)1 << 20)
#define BACK_PERCENT 5u

/* Left over when a level begins: a share of the room, or a fixed amount where the share would be less, because what is on
 * its way when it begins does not shrink with the store: a window of each class from the hub, batches of the writer. A small
 * store cannot spare that, and gives a larger share, but never less than size_min: free pages of a small file on a full disk
 * are no room. */
struct level {
	uint32_t percent;
	uint64_t size;
	uint32_t percent_max;
	uint64_t size_min;
};
static const struct level LOW = {.percent = 30, .size = 16 * MIB, .percent_max = 50, .size_min = 4 * MIB};
static const struct level HOLD = {.percent = 15, .size = 8 * MIB, .percent_max = 30, .size_min = 2 * MIB};

static bool is_below(const struct level *level, uint64_t left, uint64_t room, bool was)
{
	uint64_t least = room / 100 * level->percent;
	uint64_t most = room / 100 * level->percent_max;
	uint64_t size = level->size < most ? level->size : most;

	least = size > least ? size : least;
	least = level->size_min > least ? level->size_min : least;
	return left < least + (was ? room / 100 * BACK_PERCENT : 0);
}

/* Pages of all tables, and of LMDB's own two: the list of tables and that of free pages. */
static bool used_pages(struct spool *spool, uint64_t *used, uint64_t *file)
{
	MDB_envinfo info;
	MDB_stat stat;
	MDB_txn *txn;

	if (mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn) != 0)
		return false;
	bool good = mdb_env_info(spool->env, &info) == 0 && mdb_env_stat(spool->env, &stat) == 0;
	uint64_t page = good ? stat.ms_psize : 0;
	uint64_t pages = 2; /* meta pages */
	for (unsigned t = 0; good && t < T_COUNT + 2u; t++) {
		good = mdb_stat(txn, t < T_COUNT ? spool->tables[t] : (MDB_dbi)(t - T_COUNT), &stat) == 0;
		pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	}
	mdb_txn_abort(txn);
	*used = pages * page;
	*file = good ? (info.me_last_pgno + 1) * page : 0;
	return good;
}

enum spool_space spool_space_measure(struct spool *spool, enum spool_space was)
{
	struct statvfs disk;
	uint64_t used;
	uint64_t file;
	uint64_t room = spool->map_size;

	if (!used_pages(spool, &used, &file))
		return SPOOL_SPACE_HOLD; /* nobody knows; the next commit says why */
	if (statvfs(spool->path, &disk) == 0) {
		uint64_t reach = file + (uint64_t)disk.f_bavail * disk.f_frsize;
		room = reach < room ? reach : room;
	}
	uint64_t left = used < room ? room - used : 0;
	if (is_below(&HOLD, left, room, was >= SPOOL_SPACE_HOLD))
		return SPOOL_SPACE_HOLD;
	return is_below(&LOW, left, room, was >= SPOOL_SPACE_LOW) ? SPOOL_SPACE_LOW : SPOOL_SPACE_OK;
}

enum kw_err spool_space_err(const struct spool *spool, enum kw_err err)
{
	struct statvfs disk;

	if (err == KW_EIO && statvfs(spool->path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < MIB)
		return KW_ENOSPACE;
	return err;
}
