#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_thread_inner.h"

/* Destroying keys, by the writer between transactions, and reading what was asked about consent. The list of keys is durable
 * before anything is destroyed and is emptied after, so a crash has it done again; a key that is gone already is no harm. */

#define SHRED_MAX 4096u

enum kw_err spool_shred_due(struct spool *spool, bool *out)
{
	MDB_txn *txn;
	MDB_stat stat;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_stat(txn, spool->tables[T_SHRED], &stat));
	mdb_txn_abort(txn);
	*out = err == KW_OK && stat.ms_entries > 0;
	return err;
}

/* Fills ids with what waits; the caller frees them. */
static enum kw_err gather(struct spool *spool, struct spool_vault_ids *ids)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k;
	MDB_val v;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	ids->ids = calloc(SHRED_MAX, sizeof(*ids->ids));
	err = ids->ids == NULL ? KW_ENOMEM : spool_mdb(mdb_cursor_open(txn, spool->tables[T_SHRED], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; rc == 0 && ids->count < SHRED_MAX; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_vault_id *id = &ids->ids[ids->count++];

		id->size = k.mv_size < sizeof(id->bytes) ? k.mv_size : sizeof(id->bytes);
		memcpy(id->bytes, k.mv_data, id->size);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A holder's key is gone: its answer may leave. */
static enum kw_err answer(struct spool *spool, MDB_txn *txn, const struct spool_vault_id *id)
{
	struct spool_erasure erasure;
	enum kw_err err = spool_del(spool, txn, T_SHRED, KW_VIEW(id->bytes, id->size), NULL);

	if (err != KW_OK || id->size != SPOOL_THREAD_KEY_SIZE)
		return err;
	err = spool_erasure_get(spool, txn, id->bytes, &erasure);
	if (err != KW_OK || erasure.role != SPOOL_ERASURE_HOLDER || erasure.outcome != 0 || erasure.due)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	struct spool_follow follow = {
		.thread_id = erasure.thread_id, .agency = erasure.agency, .what = SPOOL_FOLLOW_ACK};
	erasure.outcome = SPOOL_ERASE_DONE;
	erasure.answered_ms = now_ms();
	err = spool_erasure_put(spool, txn, id->bytes, &erasure);
	return err != KW_OK ? err : spool_follow_put(spool, txn, &follow);
}

static enum kw_err answer_all(struct spool *spool, const struct spool_vault_ids *ids)
{
	uint8_t bytes[N_COUNT * 8];
	uint64_t follow = spool->numbers[N_NEXT_FOLLOW];
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));

	if (err != KW_OK)
		return err;
	for (size_t i = 0; err == KW_OK && i < ids->count; i++)
		err = answer(spool, txn, &ids->ids[i]);
	for (int i = 0; i < N_COUNT; i++)
		kw_put_u64(bytes + i * 8, spool->numbers[i]);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_META, kw_view_str("state"), KW_VIEW_OF(bytes));
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_commit(txn));
	else
		mdb_txn_abort(txn);
	if (err != KW_OK)
		spool->numbers[N_NEXT_FOLLOW] = follow;
	return err;
}

enum kw_err spool_shred(struct spool *spool)
{
	struct spool_vault_ids ids = {0};
	enum kw_err err = gather(spool, &ids);

	if (err == KW_OK && ids.count > 0)
		err = spool_vault_destroy(spool, &ids);
	if (err == KW_OK && ids.count > 0)
		err = answer_all(spool, &ids);
	if (err == KW_OK)
		spool->shreds = ids.count == SHRED_MAX;
	free(ids.ids);
	return err;
}

/* How far the question is. */
static void fill_sent(struct spool *spool, MDB_txn *txn, struct spool_erasure *erasure)
{
	struct spool_item item;

	erasure->sent = (enum spool_state)0;
	if (erasure->role != SPOOL_ERASURE_HOLDER && erasure->number != 0 &&
		spool_item_get(spool, txn, erasure->number, &item) == KW_OK)
		erasure->sent = item.state;
}

enum kw_err spool_erasures(struct spool *spool, bool open, bool (*each)(void *user, const struct spool_erasure *erasure),
	void *user)
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
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[open ? T_ASKED : T_ERASURE], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0 && more; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_erasure erasure;

		if (k.mv_size != SPOOL_THREAD_KEY_SIZE || spool_erasure_get(spool, txn, k.mv_data, &erasure) != KW_OK) {
			spool->damaged_reads++;
			continue;
		}
		if (open && !spool_erasure_is_open(&erasure)) {
			spool->damaged_reads++; /* the row and the list are written together */
			continue;
		}
		fill_sent(spool, txn, &erasure);
		more = each(user, &erasure);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_erasure(struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_erasure *out)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	MDB_txn *txn;
	enum kw_err err = spool_thread_key(spool, thread_id, agency, key);

	if (err == KW_OK)
		err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));
	if (err != KW_OK)
		return err;
	err = spool_erasure_get(spool, txn, key, out);
	if (err == KW_OK)
		fill_sent(spool, txn, out);
	mdb_txn_abort(txn);
	return err;
}

/* A row of the table of recalls. */
static bool read_recall(struct spool *spool, const MDB_val *k, const MDB_val *v, struct kw_frame_recall *out,
	uint32_t *expiry_hour)
{
	struct kw_view key = KW_VIEW(k->mv_data, k->mv_size);
	struct kw_view sealed;
	struct kw_buf plain;

	kw_buf_init(&plain, 4096);
	bool sound = key.size == KW_ID_SIZE && spool_check(T_RECALL, key, v, &sealed) == KW_OK &&
		spool_unseal(spool, T_RECALL, key, sealed, &plain) == KW_OK && plain.size == SPOOL_RECALL_SIZE &&
		plain.data[KW_NAME_SIZE_MAX] == '\0';
	if (sound) {
		memcpy(out->envelope_id.bytes, key.data, KW_ID_SIZE);
		memcpy(out->agency.text, plain.data, sizeof(out->agency.text));
		*expiry_hour = kw_get_u32(plain.data + sizeof(out->agency.text));
	}
	kw_buf_fini(&plain);
	return sound;
}

enum kw_err spool_recalls(struct spool *spool, void (*each)(void *user, const struct kw_frame_recall *recall), void *user)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k;
	MDB_val v;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_RECALL], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct kw_frame_recall recall = {.envelope_id = {{0}}};
		uint32_t expiry_hour;

		if (read_recall(spool, &k, &v, &recall, &expiry_hour))
			each(user, &recall);
		else
			spool->damaged_reads++;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_sweep_recalls(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_RECALL], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (uint32_t i = 0; err == KW_OK && rc == 0 && i < op->u.sweep.rows_max; i++) {
		struct kw_frame_recall recall = {.envelope_id = {{0}}};
		uint32_t expiry_hour = 0;

		if (!read_recall(spool, &k, &v, &recall, &expiry_hour) || op->u.sweep.now_ms / 3600000 >= expiry_hour)
			err = spool_mdb(mdb_cursor_del(cursor, 0));
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
