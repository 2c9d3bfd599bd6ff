#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "agent/shell/spool_thread_inner.h"

/* What waits for us, in the order in which a person takes it: what nobody else would take, then by the time at which it is due,
 * what has no clock last, the older thread first.
 *
 *   a record is written → its place is made from it → the row of the open thread keeps the place → the order has it
 *
 * All in the transaction that moves the thread, so that showing the first few costs no more than they do. An older spool has
 * no order; neither does one that an older version has written to since, which does not know the number that says so. */

#define FIRST_AT 0u
#define DUE_AT 1u
#define NUMBER_AT 9u

/* False when it does not wait for us. */
static bool place_of(const struct spool_thread *thread, uint8_t *out)
{
	int64_t due_ms = agt_thread_due_ms(&thread->record);

	if (!agt_thread_waits_for_us(&thread->record))
		return false;
	out[FIRST_AT] = thread->unclaimed ? 0 : 1;
	kw_put_u64(out + DUE_AT, due_ms > 0 ? (uint64_t)due_ms : UINT64_MAX);
	kw_put_u64(out + NUMBER_AT, thread->number);
	return true;
}

/* The row of an open thread, which is empty or its place. A damaged one is as good as none: a place that it held is passed over
 * when the order is read. */
struct open_row {
	bool there;
	bool placed;
	uint8_t place[SPOOL_TODO_KEY_SIZE];
};

static enum kw_err get_open(struct spool *spool, MDB_txn *txn, struct kw_view number, struct open_row *out)
{
	struct kw_view row;
	enum kw_err err = spool_get(spool, txn, T_OPEN, number, &row);

	out->there = err == KW_OK;
	out->placed = err == KW_OK && row.size == SPOOL_TODO_KEY_SIZE;
	if (out->placed)
		memcpy(out->place, row.data, SPOOL_TODO_KEY_SIZE);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_todo_put(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread)
{
	uint8_t number[8];
	uint8_t place[SPOOL_TODO_KEY_SIZE];
	struct open_row was;
	bool waits = place_of(thread, place);

	kw_put_u64(number, thread->number);
	enum kw_err err = get_open(spool, txn, KW_VIEW_OF(number), &was);
	bool same = was.placed == waits && (!waits || memcmp(was.place, place, sizeof(place)) == 0);
	if (err == KW_OK && was.placed && !same)
		err = spool_del(spool, txn, T_TODO, KW_VIEW_OF(was.place), NULL);
	if (err == KW_OK && waits && !same)
		err = spool_put(spool, txn, T_TODO, KW_VIEW_OF(place), KW_VIEW(NULL, 0));
	if (err != KW_OK)
		return err;
	if (!agt_thread_is_open(&thread->record))
		return spool_del(spool, txn, T_OPEN, KW_VIEW_OF(number), NULL);
	return was.there && same ? KW_OK : spool_put(spool, txn, T_OPEN, KW_VIEW_OF(number), KW_VIEW(place, waits ? sizeof(place) : 0));
}

/* The thread of a number; KW_ENOTFOUND also for one that is damaged, which is counted. */
static enum kw_err get_thread(struct spool *spool, MDB_txn *txn, struct kw_view number, struct spool_thread *out)
{
	struct kw_view key;
	enum kw_err err = spool_get(spool, txn, T_THREADNO, number, &key);

	if (err == KW_OK && key.size != SPOOL_THREAD_KEY_SIZE)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key.data, out);
	if (err == KW_ECORRUPT || err == KW_ENOTFOUND) {
		spool->damaged_reads++;
		return KW_ENOTFOUND;
	}
	return err;
}

bool spool_erasure_is_open(const struct spool_erasure *erasure)
{
	return erasure->outcome == 0 || erasure->outcome == SPOOL_ERASE_FAILED;
}

enum kw_err spool_asked_put(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, const struct spool_erasure *erasure)
{
	const struct kw_view key = KW_VIEW(thread_key, SPOOL_THREAD_KEY_SIZE);

	if (spool_erasure_is_open(erasure))
		return spool_put(spool, txn, T_ASKED, key, KW_VIEW(NULL, 0));
	return spool_del(spool, txn, T_ASKED, key, NULL);
}

static enum kw_err build_asked(struct spool *spool, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_drop(txn, spool->tables[T_ASKED], 0));

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_ERASURE], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_erasure erasure;

		/* A damaged one is counted when all are listed. */
		if (k.mv_size == SPOOL_THREAD_KEY_SIZE && spool_erasure_get(spool, txn, k.mv_data, &erasure) == KW_OK)
			err = spool_asked_put(spool, txn, k.mv_data, &erasure);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

static enum kw_err build_todo(struct spool *spool, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_drop(txn, spool->tables[T_TODO], 0));

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OPEN], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_thread thread;
		uint8_t number[8];

		if (k.mv_size != sizeof(number))
			continue;
		memcpy(number, k.mv_data, sizeof(number));
		err = get_thread(spool, txn, KW_VIEW_OF(number), &thread);
		if (err == KW_OK) /* its row may name a place of an order that is gone */
			err = spool_put(spool, txn, T_OPEN, KW_VIEW_OF(number), KW_VIEW(NULL, 0));
		if (err == KW_OK)
			err = spool_todo_put(spool, txn, &thread);
		if (err == KW_ENOTFOUND)
			err = KW_OK;
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_todo_open(struct spool *spool)
{
	uint8_t bytes[N_COUNT * 8];
	MDB_txn *txn;

	if (spool->numbers[N_TODO] != 0)
		return KW_OK;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));
	if (err != KW_OK)
		return err;
	err = build_todo(spool, txn);
	if (err == KW_OK)
		err = build_asked(spool, txn);
	spool->numbers[N_TODO] = 1;
	for (int i = 0; i < N_COUNT; i++)
		kw_put_u64(bytes + i * 8, spool->numbers[i]);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_META, kw_view_str("state"), KW_VIEW_OF(bytes));
	if (err == KW_OK)
		return spool_mdb(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return err;
}

enum kw_err spool_todo(struct spool *spool, bool (*each)(void *user, const struct spool_thread *thread), void *user)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k;
	MDB_val v;
	bool more = true;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_TODO], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0 && more; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_thread thread;
		uint8_t place[SPOOL_TODO_KEY_SIZE];

		if (k.mv_size != sizeof(place))
			continue;
		const uint8_t *key = k.mv_data;
		err = get_thread(spool, txn, KW_VIEW(key + NUMBER_AT, 8), &thread);
		/* A place that its thread has left, after damage: it stands elsewhere, or nowhere. */
		if (err == KW_OK && place_of(&thread, place) && memcmp(place, key, sizeof(place)) == 0)
			more = each(user, &thread);
		if (err == KW_ENOTFOUND)
			err = KW_OK;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
