#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/shell/store_inner.h"

/* What a start reads before the writer runs, in one transaction that is committed only when something was repaired:
 *
 *   meta → agencies → queues → end of the log → queues with trimmed rows left → what is held of each agency
 *
 * Meta and agencies exist twice, because a hub that forgot which slot is whose could hand one agency's queue to another:
 * one bad copy is written anew, two are KW_ECORRUPT. A bad queue row is built again from the index; the last sequence
 * of an empty queue is lost with it, so the store takes a new epoch and its numbers need not fit the old ones. */

struct load {
	struct store *store;
	MDB_txn *txn;
	bool changed;
	bool rebuild;
	bool recount; /* of open threads */
};

static enum kw_err load_meta(struct load *load)
{
	struct store_dbis *dbi = &load->store->env.dbi;
	unsigned good = 0;
	bool old = false;
	for (uint8_t copy = 0; copy < STORE_COPIES; copy++) {
		MDB_val key = store_val(&copy, sizeof(copy));
		MDB_val value;
		struct kw_view payload;
		if (mdb_get(load->txn, dbi->meta, &key, &value) != 0 || !store_row_check(&key, &value, STORE_META, &payload) ||
			payload.size < STORE_META_SIZE_MIN)
			continue;
		uint32_t version = kw_get_u32(payload.data);
		if (version == 0 || version > STORE_SCHEMA_VERSION)
			return KW_EVERSION;
		/* Its threads would not be known, and what is not known is taken for none. */
		uint32_t record = payload.size >= STORE_META_SIZE ? kw_get_u32(payload.data + 12) : 0;
		if (load->store->env.record_version != 0 && record > load->store->env.record_version)
			return KW_EVERSION;
		old = old || version < STORE_SCHEMA_VERSION || record < load->store->env.record_version;
		load->recount = load->recount || version <= STORE_SCHEMA_UNCOUNTED;
		load->store->epoch = kw_get_u64(payload.data + 4);
		good++;
	}
	if (good == 0)
		return KW_ECORRUPT;
	if (good == STORE_COPIES && !old)
		return KW_OK;
	load->changed = true;
	load->store->writer.figures.damaged += good != STORE_COPIES;
	return store_env_err(store_env_put_meta(load->txn, &load->store->env, load->store->epoch));
}

/* Only a floor for the wall clock: without it, the wall clock is believed. */
static void load_time(struct load *load)
{
	uint8_t number = STORE_TIME_KEY;
	MDB_val key = store_val(&number, sizeof(number));
	MDB_val value;
	struct kw_view payload;
	if (mdb_get(load->txn, load->store->env.dbi.meta, &key, &value) == 0 &&
		store_row_check(&key, &value, STORE_TIME, &payload) && payload.size == STORE_TIME_SIZE)
		load->store->time_ms = kw_get_u64(payload.data);
}

/* Writes a bad copy of an agency's row anew from the other one. */
static enum kw_err mend_agency(struct load *load, const MDB_val *bad)
{
	uint8_t bytes[5];
	if (bad->mv_size != sizeof(bytes))
		return KW_ECORRUPT;
	memcpy(bytes, bad->mv_data, sizeof(bytes));
	bytes[4] ^= 1u;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	struct kw_view payload;
	MDB_dbi dbi = load->store->env.dbi.agencies;
	if (mdb_get(load->txn, dbi, &key, &value) != 0 || !store_row_check(&key, &value, STORE_AGENCY, &payload) ||
		payload.size != sizeof(struct kw_name))
		return KW_ECORRUPT;
	uint8_t row[STORE_ROW_HEAD_SIZE + sizeof(struct kw_name)];
	memcpy(row + STORE_ROW_HEAD_SIZE, payload.data, payload.size);
	bytes[4] ^= 1u;
	store_row_seal(row, STORE_AGENCY, &key, sizeof(struct kw_name));
	value = store_val(row, sizeof(row));
	load->changed = true;
	load->store->writer.figures.damaged++;
	return store_env_err(mdb_put(load->txn, dbi, &key, &value, 0));
}

static enum kw_err load_agencies(struct load *load)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	enum kw_err err = KW_OK;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.agencies, &cursor);
	if (code != 0)
		return store_env_err(code);
	while (err == KW_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!store_row_check(&key, &value, STORE_AGENCY, &payload) || payload.size != sizeof(struct kw_name))
			err = mend_agency(load, &key);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || code == MDB_NOTFOUND ? err : store_env_err(code);
}

static enum kw_err load_queues(struct load *load)
{
	struct store_writer *writer = &load->store->writer;
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.queues, &cursor);
	if (code != 0)
		return store_env_err(code);
	while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		uint32_t queue = store_row_queue_of(&key, STORE_QUEUE_KEY_SIZE);
		if (queue != UINT32_MAX && store_row_check(&key, &value, STORE_QUEUE, &payload) &&
			payload.size == STORE_QUEUE_SIZE) {
			struct store_queue *state = &writer->queues[queue];
			state->last = kw_get_u64(payload.data);
			state->trimmed = kw_get_u64(payload.data + 8);
			state->count = kw_get_u64(payload.data + 16);
			state->bytes = kw_get_u64(payload.data + 24);
			continue;
		}
		writer->figures.damaged++;
		load->rebuild = true;
		load->changed = true;
		code = mdb_cursor_del(cursor, 0);
		if (code != 0)
			break;
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
}

/* Walks the whole index for queues that lost their row. */
static enum kw_err rebuild_queues(struct load *load)
{
	struct store_writer *writer = &load->store->writer;
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	uint32_t rebuilt = UINT32_MAX;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.index, &cursor);
	if (code != 0)
		return store_env_err(code);
	while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		uint32_t queue = store_row_queue_of(&key, STORE_INDEX_KEY_SIZE);
		struct store_index index;
		if (queue == UINT32_MAX || !store_row_check(&key, &value, STORE_INDEX, &payload) ||
			!store_row_index_get(payload, &index) || (queue != rebuilt && writer->queues[queue].last != 0))
			continue;
		rebuilt = queue;
		writer->queues[queue].last = kw_get_u64((const uint8_t *)key.mv_data + STORE_QUEUE_KEY_SIZE);
		writer->queues[queue].count++;
		writer->queues[queue].bytes += index.size;
		code = store_writer_put_queue(load->txn, load->store->env.dbi.queues, queue, &writer->queues[queue]);
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
}

/* The next position of the log follows its last good row. Bad ones after it go: a flipped bit in the last key would
 * leave no positions to append at. */
static enum kw_err load_position(struct load *load)
{
	struct store_writer *writer = &load->store->writer;
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.log, &cursor);
	if (code != 0)
		return store_env_err(code);
	writer->position = 1;
	while ((code = mdb_cursor_get(cursor, &key, &value, MDB_LAST)) == 0) {
		if (key.mv_size == STORE_LOG_KEY_SIZE && store_row_check(&key, &value, STORE_LOG, &payload)) {
			writer->position = kw_get_u64(key.mv_data) + 1;
			break;
		}
		load->changed = true;
		code = mdb_cursor_del(cursor, 0);
		if (code != 0)
			break;
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
}

/* Finds the queues whose last trim a stop cut short. */
static enum kw_err load_lagging(struct load *load)
{
	struct store *store = load->store;
	MDB_cursor *cursor;
	int code = mdb_cursor_open(load->txn, store->env.dbi.index, &cursor);
	if (code != 0)
		return store_env_err(code);
	for (uint32_t queue = 0; queue < STORE_QUEUE_COUNT && code == 0; queue++) {
		const struct store_queue *state = &store->writer.queues[queue];
		store->trimmed[queue] = state->trimmed;
		if (state->count == 0 || state->trimmed == 0)
			continue;
		uint8_t bytes[STORE_INDEX_KEY_SIZE];
		store_row_index_key(bytes, queue, 0);
		MDB_val key = store_val(bytes, sizeof(bytes));
		MDB_val value;
		code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
		if (code == 0 && store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) == queue &&
			kw_get_u64((const uint8_t *)key.mv_data + STORE_QUEUE_KEY_SIZE) <= state->trimmed)
			store_writer_lag(&store->writer, queue);
		if (code == MDB_NOTFOUND)
			code = 0;
	}
	mdb_cursor_close(cursor);
	return store_env_err(code);
}

static int count_threads(struct load *load, const struct store_options *options, uint32_t *counts)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct store_thread thread;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.threads, &cursor);
	while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		uint32_t slot = STORE_SLOT_NONE;
		if (store_row_thread(&key, &value, &thread, NULL))
			slot = options->thread_payer(thread.record, thread.size);
		if (slot < STORE_SLOT_MAX)
			counts[slot]++;
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* A walk over all threads, for a store that never counted them, or lost a count. Reminders that wait are notices then, until
 * they are taken. */
static int recount(struct load *load, const struct store_options *options)
{
	struct store_env *env = &load->store->env;
	uint32_t *counts = calloc(STORE_SLOT_MAX, sizeof(*counts));
	if (counts == NULL)
		return ENOMEM;
	int code = mdb_drop(load->txn, env->dbi.held, 0);
	if (code == 0)
		code = count_threads(load, options, counts);
	for (uint32_t slot = 0; slot < STORE_SLOT_MAX && code == 0; slot++) {
		const struct store_op op = {.kind = STORE_OP_HELD, .queue = slot, .owner_slot = counts[slot]};
		if (counts[slot] > 0)
			code = store_writer_put_held(load->txn, env->dbi.held, &op);
	}
	free(counts);
	return code;
}

static enum kw_err load_held(struct load *load, const struct store_options *options)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	if (options->thread_payer == NULL)
		return KW_OK;
	int code = mdb_cursor_open(load->txn, load->store->env.dbi.held, &cursor);
	if (code != 0)
		return store_env_err(code);
	while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		bool sound = store_row_check(&key, &value, STORE_HELD, &payload);
		load->store->writer.figures.damaged += !sound;
		load->recount = load->recount || !sound;
	}
	mdb_cursor_close(cursor);
	if (code != MDB_NOTFOUND || !load->recount)
		return code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
	load->changed = true;
	return store_env_err(recount(load, options));
}

static enum kw_err load_all(struct load *load, const struct store_options *options)
{
	bool new_epoch = options->new_epoch;
	struct store *store = load->store;
	enum kw_err err = load_meta(load);
	load_time(load);
	if (err == KW_OK)
		err = load_agencies(load);
	if (err == KW_OK)
		err = load_queues(load);
	if (err == KW_OK && load->rebuild)
		err = rebuild_queues(load);
	if (err == KW_OK)
		err = load_position(load);
	if (err == KW_OK)
		err = load_lagging(load);
	if (err == KW_OK)
		err = load_held(load, options);
	if (err == KW_OK && options->leaf_digest != NULL)
		err = store_env_err(store_audit_load(&store->writer, load->txn, options));
	if (err == KW_OK && new_epoch) {
		load->changed = true;
		err = store_env_err(mdb_drop(load->txn, store->env.dbi.cursors, 0));
	}
	if (err == KW_OK && (new_epoch || load->rebuild)) {
		err = store_env_new_epoch(&store->epoch);
		if (err == KW_OK)
			err = store_env_err(store_env_put_meta(load->txn, &store->env, store->epoch));
	}
	return err;
}

enum kw_err store_load(struct store *store, const struct store_options *options)
{
	struct load load = {.store = store};
	MDB_stat stat;
	int code = mdb_txn_begin(store->env.env, NULL, 0, &load.txn);
	if (code != 0)
		return store_env_err(code);
	enum kw_err err = load_all(&load, options);
	if (err == KW_OK)
		err = store_env_err(mdb_stat(load.txn, store->env.dbi.damaged, &stat));
	if (err == KW_OK) {
		store->writer.damaged_kept = stat.ms_entries;
		err = store_env_err(store_writer_measure(load.txn, &store->env, &store->writer.figures));
	}
	if (err != KW_OK || !load.changed) {
		mdb_txn_abort(load.txn);
	} else {
		err = store_env_err(mdb_txn_commit(load.txn));
	}
	store->figures = store->writer.figures;
	return err;
}
