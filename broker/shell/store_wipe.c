#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* What was recalled leaves the file too. LMDB writes a changed page beside the old one and puts the old one on its list of
 * free pages, with its bytes. So the row is overwritten before it is deleted, and then the free pages are: a table takes them
 * all, full of zeros, and is dropped.
 *
 *   the removal commits, with a mark → the table is begun: only the next transaction but one may take the pages that the
 *   removal freed → it grows by as many pages as are free → it is dropped
 *
 * That leaves what LMDB does not let anybody reach: a page of small rows is written with whatever its buffer held in the gap
 * between its rows, which may be a piece of a body. So the mark stays until the file is written anew (store_rewrite.c), which
 * copies rows and nothing else. A reader that holds old pages, or a full map, leaves the free pages for that as well.
 *
 * The cost is one write of every free page, on the writer's thread: a store that is mostly free pages pays for its size, and
 * messages wait meanwhile. */

#define TABLE "wipe"
#define PASS_PAGES 16384u

void store_remove(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	KW_ASSERT(slot < STORE_SLOT_MAX);
	struct store_op *op = store_next_op(store, ticket);
	if (op != NULL)
		*op = (struct store_op){
			.kind = STORE_OP_REMOVE, .queue = store_queue_index(slot, msg_class), .sequence = sequence};
}

void store_recall(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	KW_ASSERT(slot < STORE_SLOT_MAX);
	struct store_op *op = store_next_op(store, ticket);
	if (op != NULL)
		*op = (struct store_op){
			.kind = STORE_OP_RECALL, .queue = store_queue_index(slot, msg_class), .sequence = sequence};
}

int store_wipe_row(MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
	MDB_val k = *key;
	MDB_val v = {.mv_size = value->mv_size, .mv_data = calloc(1, value->mv_size)};
	if (v.mv_data == NULL)
		return ENOMEM;
	int code = mdb_cursor_put(cursor, &k, &v, MDB_CURRENT);
	free(v.mv_data);
	return code;
}

int store_wipe_mark(MDB_txn *txn, const struct store_env *env)
{
	uint8_t number = STORE_WIPE_KEY;
	MDB_val key = store_val(&number, sizeof(number));
	MDB_val value = store_val(&number, sizeof(number));
	return mdb_put(txn, env->dbi.meta, &key, &value, 0);
}

bool store_wipe_is_marked(MDB_txn *txn, const struct store_env *env)
{
	uint8_t number = STORE_WIPE_KEY;
	MDB_val key = store_val(&number, sizeof(number));
	MDB_val value;
	return mdb_get(txn, env->dbi.meta, &key, &value) == 0;
}

int store_wipe_unmark(MDB_txn *txn, const struct store_env *env)
{
	uint8_t number = STORE_WIPE_KEY;
	MDB_val key = store_val(&number, sizeof(number));
	int code = mdb_del(txn, env->dbi.meta, &key, NULL);
	return code == MDB_NOTFOUND ? 0 : code;
}

enum kw_err store_wipe_file(int fd)
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

/* Pages that the next transaction may take, when nobody reads what is older. LMDB shows its list to readers only. */
static int free_pages(const struct store_env *env, uint64_t *out)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key, value;
	*out = 0;
	int code = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
	if (code != 0)
		return code;
	code = mdb_cursor_open(txn, 0, &cursor); /* 0: the list: transaction → pages that it freed */
	if (code != 0)
		goto out;
	for (code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); code == 0;
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		size_t freed_by = 0, count = 0;
		if (key.mv_size != sizeof(freed_by) || value.mv_size < sizeof(count))
			continue;
		memcpy(&freed_by, key.mv_data, sizeof(freed_by));
		memcpy(&count, value.mv_data, sizeof(count));
		if (freed_by < mdb_txn_id(txn))
			*out += count;
	}
	mdb_cursor_close(cursor);
out:
	mdb_txn_abort(txn);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* One value of one page. */
static int put_zeros(MDB_txn *txn, MDB_dbi dbi, const struct store_env *env, uint64_t number)
{
	uint8_t bytes[8];
	kw_put_u64(bytes, number);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(NULL, env->page_size - 16u);
	int code = mdb_put(txn, dbi, &key, &value, MDB_APPEND | MDB_RESERVE);
	if (code == 0)
		memset(value.mv_data, 0, value.mv_size);
	return code;
}

static int end_txn(MDB_txn *txn, int code)
{
	if (code == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}

static int begin_table(const struct store_env *env)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int code = mdb_txn_begin(env->env, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = mdb_dbi_open(txn, TABLE, MDB_CREATE, &dbi);
	if (code == 0)
		code = mdb_drop(txn, dbi, 0); /* what a crash left */
	if (code == 0)
		code = put_zeros(txn, dbi, env, 0);
	return end_txn(txn, code);
}

/* *left: free pages at the beginning of this pass. */
static int fill(const struct store_env *env, uint64_t *first, uint64_t *left)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int code = free_pages(env, left);
	if (code == 0)
		code = mdb_txn_begin(env->env, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = mdb_dbi_open(txn, TABLE, 0, &dbi);
	uint64_t count = *left < PASS_PAGES ? *left : PASS_PAGES;
	for (uint64_t i = 0; i < count && code == 0; i++)
		code = put_zeros(txn, dbi, env, ++*first);
	return end_txn(txn, code);
}

static int drop_table(const struct store_env *env)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int code = mdb_txn_begin(env->env, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = mdb_dbi_open(txn, TABLE, 0, &dbi);
	if (code == 0)
		code = mdb_drop(txn, dbi, 1);
	return end_txn(txn, code == MDB_NOTFOUND ? 0 : code);
}

enum kw_err store_writer_wipe(struct store_writer *writer)
{
	uint64_t first = 0, left = 0;
	writer->wipe = false;
	int code = begin_table(writer->env);
	uint64_t last = UINT64_MAX;
	while (code == 0) {
		code = fill(writer->env, &first, &left);
		/* The list of free pages is kept in pages, so a few always are; less than a pass, or no fewer than before: done. */
		if (left < PASS_PAGES || left >= last)
			break;
		last = left;
	}
	bool no_room = code == MDB_MAP_FULL || code == ENOSPC;
	if (code == 0 || no_room)
		code = drop_table(writer->env);
	return store_env_err(code);
}
