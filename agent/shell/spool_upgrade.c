#include <stdlib.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/spool_thread_inner.h"
#include "proto/base/check.h"

/* From schema 3, which sealed the referrals of offers under the store key alone, and 2 and 1, which sealed all contents so:
 * spool_reseal.c gives each its key first.
 *
 * From schema 1, which knew messages and no threads: every message that opens or moves a thread is judged again, in the
 * order in which they were stored here. All in one transaction, so a crash leaves the old schema, and the next start
 * does it again. What was refused or never arrived is left out, and nobody is told anything: it is history. */

struct past {
	int64_t at_ms;
	uint64_t number;
	bool ours;
};

struct history {
	struct past *list;
	size_t count;
	size_t room;
};

static enum kw_err add(struct history *history, const struct past *past)
{
	if (history->count == history->room) {
		size_t room = history->room == 0 ? 1024 : history->room * 2;
		struct past *list = reallocarray(history->list, room, sizeof(*list));

		if (list == NULL)
			return KW_ENOMEM;
		history->list = list;
		history->room = room;
	}
	history->list[history->count++] = *past;
	return KW_OK;
}

/* By time; of one moment ours first, then in the order of each list. */
static int by_time(const void *a, const void *b)
{
	const struct past *x = a;
	const struct past *y = b;

	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	if (x->ours != y->ours)
		return x->ours ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* The item and the content of a message. */
static enum kw_err read_past(struct spool *spool, MDB_txn *txn, const struct past *past, struct spool_item *item,
	struct kw_buf *content)
{
	uint8_t key[8];
	struct kw_buf sealed;
	enum kw_err err;

	kw_put_u64(key, past->number);
	kw_buf_clear(content);
	err = spool_get_sealed(spool, txn, past->ours ? T_SENT : T_INBOX, KW_VIEW_OF(key), content);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(content), item);
	if (err != KW_OK)
		return err;
	item->number = past->number;
	kw_buf_init(&sealed, KW_FRAME_SIZE_MAX * 2);
	if (past->ours)
		err = spool_get_sealed(spool, txn, T_SENTBODY, KW_VIEW_OF(key), &sealed);
	else
		err = kw_buf_add(&sealed, KW_VIEW(content->data + SPOOL_ITEM_SIZE, content->size - SPOOL_ITEM_SIZE));
	kw_buf_clear(content);
	if (err == KW_OK)
		err = spool_content_get(spool, txn,
			(struct spool_content_place){past->ours ? T_SENTBODY : T_INBOX, KW_VIEW_OF(key), item}, kw_buf_view(&sealed), content);
	kw_buf_fini(&sealed);
	return err;
}

static enum kw_err gather(struct spool *spool, MDB_txn *txn, bool ours, struct history *history)
{
	enum spool_table table = ours ? T_SENT : T_INBOX;
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	struct kw_buf plain;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[table], &cursor));

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct kw_view key = KW_VIEW(k.mv_data, k.mv_size);
		struct kw_view sealed;
		struct spool_item item;

		kw_buf_clear(&plain);
		if (key.size != 8 || spool_check(table, key, &v, &sealed) != KW_OK ||
			spool_unseal(spool, table, key, sealed, &plain) != KW_OK ||
			spool_item_decode(kw_buf_view(&plain), &item) != KW_OK)
			continue; /* counted when it is read for somebody */
		err = add(history, &(struct past){.at_ms = item.at_ms, .number = kw_get_u64(key.data), .ours = ours});
	}
	mdb_cursor_close(cursor);
	kw_buf_fini(&plain);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

/* A message of ours that the tables of today would refuse: its place is used all the same, and must not be given again. */
static enum kw_err skip_place(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread;
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, key);

	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key, &thread);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	if (thread.record.next <= item->thread_sequence)
		thread.record.next = item->thread_sequence + 1;
	return spool_thread_put(spool, txn, key, &thread);
}

static enum kw_err tell_ours(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	struct spool_op op = {.type = SPOOL_OP_APPEND};
	const struct spool_item *item = move->item;
	enum kw_err err = spool_thread_ours(spool, txn, move, &op);

	if (err != KW_OK || op.fault != AGT_FAULT_NONE)
		return err != KW_OK ? err : skip_place(spool, txn, item);
	if (item->state == SPOOL_DELIVERED || item->state == SPOOL_OPENED)
		return spool_thread_delivered(spool, txn, item);
	spool->now_ms = move->now_ms;
	if (item->state == SPOOL_DEAD)
		return spool_thread_void(spool, txn, item, SPOOL_END_LOST);
	return KW_OK;
}

static enum kw_err tell(struct spool *spool, MDB_txn *txn, const struct past *past, struct kw_buf *content)
{
	struct spool_item item;
	struct spool_act act;
	struct spool_move move = {
		.item = &item, .act = &act, .number = past->number, .now_ms = past->at_ms, .log_only = true};
	enum agt_thread_verdict verdict;
	enum kw_err err = read_past(spool, txn, past, &item, content);

	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	act_of_bytes(kw_buf_view(content), &act);
	if (act.kind == KW_THREAD_NONE)
		return KW_OK;
	if (past->ours)
		return tell_ours(spool, txn, &move);
	err = spool_thread_theirs(spool, txn, &move, &verdict);
	return err != KW_OK ? err : spool_thread_drain(spool, txn, &move);
}

static enum kw_err upgrade(struct spool *spool, MDB_txn *txn)
{
	struct history history = {0};
	struct kw_buf content;
	enum kw_err err = gather(spool, txn, true, &history);

	kw_buf_init(&content, KW_FRAME_SIZE_MAX * 2);
	if (err == KW_OK)
		err = gather(spool, txn, false, &history);
	if (err == KW_OK && history.count > 0)
		qsort(history.list, history.count, sizeof(history.list[0]), by_time);
	for (size_t i = 0; err == KW_OK && i < history.count; i++)
		err = tell(spool, txn, &history.list[i], &content);
	kw_buf_fini(&content);
	free(history.list);
	return err;
}

enum kw_err spool_upgrade(struct spool *spool)
{
	uint8_t bytes[N_COUNT * 8];
	bool threads = spool->numbers[N_SCHEMA] == SPOOL_SCHEMA_BEFORE_THREADS;
	MDB_txn *txn;
	enum kw_err err = spool_reseal(spool);

	KW_ASSERT(spool->numbers[N_SCHEMA] != 0 && spool->numbers[N_SCHEMA] < SPOOL_SCHEMA);
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));
	if (err != KW_OK)
		return err;
	if (threads) {
		spool->numbers[N_NEXT_THREAD] = 1;
		spool->numbers[N_NEXT_FOLLOW] = 1;
		err = upgrade(spool, txn);
	}
	if (spool->numbers[N_NEXT_OFFER] == 0)
		spool->numbers[N_NEXT_OFFER] = 1;
	spool->numbers[N_SCHEMA] = SPOOL_SCHEMA;
	spool->numbers[N_COMPACT] = 1;
	for (int i = 0; i < N_COUNT; i++)
		kw_put_u64(bytes + i * 8, spool->numbers[i]);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_META, kw_view_str("state"), KW_VIEW_OF(bytes));
	if (err == KW_OK)
		err = spool_vault_commit(spool);
	if (err == KW_OK)
		return spool_mdb(mdb_txn_commit(txn));
	spool_vault_abort(spool);
	mdb_txn_abort(txn);
	return err;
}
