#include <string.h>

#include "broker/shell/store_inner.h"

/* What a start reads: the epoch, the state of each queue, the receive cursors, the end of the log. A damaged row of what
 * can be derived is derived again; a damaged receive cursor is forgotten, so that the sender sends again. */

static bool next_row(MDB_cursor *cursor, MDB_val *key, MDB_val *value, int *code)
{
	*code = mdb_cursor_get(cursor, key, value, MDB_NEXT);
	return *code == 0;
}

static int end_of(int code)
{
	return code == MDB_NOTFOUND ? 0 : code;
}

static enum kw_err load_meta(struct store *store, MDB_txn *txn, bool new_epoch)
{
	for (uint8_t copy = 0; copy < STORE_COPIES; copy++) {
		struct kw_view payload;
		MDB_val key = store_val(&copy, sizeof(copy));
		MDB_val value;
		if (mdb_get(txn, store->env.dbi.meta, &key, &value) != 0 ||
			!store_row_check(&key, &value, STORE_META, &payload) || payload.size != STORE_META_SIZE)
			continue;
		if (kw_get_u32(payload.data) != STORE_SCHEMA_VERSION)
			return KW_EVERSION;
		store->epoch = kw_get_u64(payload.data + 4);
		if (!new_epoch)
			return KW_OK;
		enum kw_err err = store_env_new_epoch(&store->epoch);
		if (err == KW_OK)
			err = store_env_err(store_env_put_meta(txn, store->env.dbi.meta, store->epoch));
		return err;
	}
	return KW_ECORRUPT;
}

static int load_queues(struct store *store, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(txn, store->env.dbi.queues, &cursor);
	if (code != 0)
		return code;
	while (next_row(cursor, &key, &value, &code)) {
		struct kw_view payload;
		uint32_t queue = store_row_queue_of(&key, STORE_QUEUE_KEY_SIZE);
		if (queue == UINT32_MAX || !store_row_check(&key, &value, STORE_QUEUE, &payload) ||
			payload.size != STORE_QUEUE_SIZE)
			continue; /* the index tells the rest */
		store->writer.queues[queue].last = kw_get_u64(payload.data);
		store->writer.queues[queue].trimmed = kw_get_u64(payload.data + 8);
	}
	mdb_cursor_close(cursor);
	return end_of(code);
}

/* Counts what is really there, and finds trimmed rows whose deletion a crash cut short. */
static int load_index(struct store *store, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(txn, store->env.dbi.index, &cursor);
	if (code != 0)
		return code;
	while (next_row(cursor, &key, &value, &code)) {
		struct kw_view payload;
		struct store_index index;
		uint32_t queue = store_row_queue_of(&key, STORE_INDEX_KEY_SIZE);
		if (queue == UINT32_MAX)
			continue;
		struct store_queue *state = &store->writer.queues[queue];
		uint64_t sequence = kw_get_u64((const uint8_t *)key.mv_data + STORE_QUEUE_KEY_SIZE);
		state->count++;
		if (store_row_check(&key, &value, STORE_INDEX, &payload) && payload.size == STORE_INDEX_SIZE) {
			store_row_index_get(payload, &index);
			state->bytes += index.size;
		}
		if (sequence > state->last)
			state->last = sequence;
		if (sequence <= state->trimmed)
			store_writer_lag(&store->writer, queue);
	}
	mdb_cursor_close(cursor);
	return end_of(code);
}

static int load_log_end(struct store *store, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(txn, store->env.dbi.log, &cursor);
	if (code != 0)
		return code;
	code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (code == 0 && key.mv_size == STORE_LOG_KEY_SIZE)
		store->writer.position = kw_get_u64(key.mv_data) + 1;
	mdb_cursor_close(cursor);
	return end_of(code);
}

enum kw_err store_load(struct store *store, bool new_epoch)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(store->env.env, NULL, 0, &txn);
	if (code != 0)
		return store_env_err(code);
	enum kw_err err = load_meta(store, txn, new_epoch);
	if (err == KW_OK && new_epoch)
		err = store_env_err(mdb_drop(txn, store->env.dbi.cursors, 0));
	if (err == KW_OK)
		err = store_env_err(load_queues(store, txn));
	if (err == KW_OK)
		err = store_env_err(load_index(store, txn));
	if (err == KW_OK)
		err = store_env_err(load_log_end(store, txn));
	if (err != KW_OK) {
		mdb_txn_abort(txn);
		return err;
	}
	for (uint32_t queue = 0; queue < STORE_QUEUE_COUNT; queue++)
		store->trimmed[queue] = store->writer.queues[queue].trimmed;
	err = store_env_err(mdb_txn_commit(txn));
	if (err == KW_OK)
		err = store_env_err(store_writer_measure(&store->env, &store->writer.figures));
	store->figures = store->writer.figures;
	return err;
}

static int each_agency(struct store *store, const struct store_recovery *recovery)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	uint32_t last = UINT32_MAX;
	int code = mdb_cursor_open(store->reader, store->env.dbi.agencies, &cursor);
	if (code != 0)
		return code;
	while (next_row(cursor, &key, &value, &code)) {
		struct kw_view payload;
		struct kw_name name;
		if (key.mv_size != 5 || !store_row_check(&key, &value, STORE_AGENCY, &payload) ||
			payload.size != sizeof(name) || kw_get_u32(key.mv_data) == last)
			continue; /* the other copy serves */
		last = kw_get_u32(key.mv_data);
		memcpy(&name, payload.data, sizeof(name));
		recovery->agency(recovery->user, last, &name);
	}
	mdb_cursor_close(cursor);
	return end_of(code);
}

static int each_cursor(struct store *store, const struct store_recovery *recovery)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(store->reader, store->env.dbi.cursors, &cursor);
	if (code != 0)
		return code;
	while (next_row(cursor, &key, &value, &code)) {
		struct kw_view payload;
		uint32_t queue = store_row_queue_of(&key, STORE_QUEUE_KEY_SIZE);
		if (queue == UINT32_MAX || !store_row_check(&key, &value, STORE_CURSOR, &payload) ||
			payload.size != STORE_CURSOR_SIZE)
			continue;
		struct kw_cursor got = {.epoch = kw_get_u64(payload.data), .sequence = kw_get_u64(payload.data + 8)};
		recovery->cursor(recovery->user, queue / KW_MSG_CLASS_COUNT, (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT),
			got);
	}
	mdb_cursor_close(cursor);
	return end_of(code);
}

enum kw_err store_recover(struct store *store, const struct store_recovery *recovery)
{
	int code = store_reader_begin(store);
	if (code == 0)
		code = each_agency(store, recovery);
	for (uint32_t queue = 0; code == 0 && queue < STORE_QUEUE_COUNT; queue++) {
		const struct store_queue *state = &store->writer.queues[queue];
		if (state->last == 0)
			continue;
		struct store_extent extent = {
			.first = state->trimmed < state->last ? state->trimmed + 1 : state->last + 1,
			.last = state->last,
			.count = state->count,
			.bytes = state->bytes,
		};
		recovery->queue(recovery->user, queue / KW_MSG_CLASS_COUNT, (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT),
			&extent);
	}
	if (code == 0)
		code = each_cursor(store, recovery);
	store_reader_end(store);
	return store_env_err(code);
}
