#include "agent/shell/spool_scan.h"

enum kw_err spool_read_begin(struct spool *spool, MDB_txn **out)
{
	return spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, out));
}

static enum spool_scan_word scan_row(struct spool *spool, const struct spool_scan *scan, struct kw_view key,
	const MDB_val *value, struct kw_buf *plain)
{
	struct kw_view sealed;

	kw_buf_clear(plain);
	if (spool_check(scan->table, key, value, &sealed) != KW_OK ||
		spool_unseal(spool, scan->table, key, sealed, plain) != KW_OK)
		return SPOOL_SCAN_DAMAGED;
	return scan->each(scan->user, key, kw_buf_view(plain));
}

enum kw_err spool_scan(struct spool *spool, const struct spool_scan *scan)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k = {.mv_size = scan->from.size, .mv_data = (void *)(uintptr_t)scan->from.data};
	MDB_val v;
	struct kw_buf plain;
	enum spool_scan_word word = SPOOL_SCAN_ON;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[scan->table], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, scan->from.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
	while (rc == 0 && word != SPOOL_SCAN_STOP) {
		word = scan_row(spool, scan, KW_VIEW(k.mv_data, k.mv_size), &v, &plain);
		spool->damaged_reads += word == SPOOL_SCAN_DAMAGED;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	kw_buf_fini(&plain);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_page(struct spool *spool, struct spool_page *page, uint64_t *next_after)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	uint8_t key[8];
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	uint64_t number = page->after;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	kw_put_u64(key, page->after + 1);
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[page->table], &cursor));
	if (err == KW_OK && page->after != UINT64_MAX)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && page->count < page->limit && !page->stopped) {
		if (k.mv_size == 8) {
			number = kw_get_u64(k.mv_data);
			err = page->each(spool, txn, number, page);
		}
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	if (err == KW_OK && rc != 0 && rc != MDB_NOTFOUND)
		err = spool_mdb(rc);
	if (err == KW_OK)
		*next_after = rc == 0 ? number : 0;
	return err;
}
