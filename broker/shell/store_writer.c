#include <stdlib.h>
#include <string.h>

#include "broker/shell/store_inner.h"

/* One transaction and one sync for a batch, on the writer thread. Bodies go to the end of the log, a small row beside them
 * into the index; each touched queue's state and each receive cursor is written once. */

#define MEASURE_COMMITS 64u

enum kw_err store_writer_init(struct store_writer *writer, struct store_env *env)
{
	writer->env = env;
	writer->queues = calloc(STORE_QUEUE_COUNT, sizeof(*writer->queues));
	writer->touched = calloc(STORE_QUEUE_COUNT, sizeof(uint32_t));
	writer->cursors = calloc(STORE_QUEUE_COUNT, sizeof(uint32_t));
	writer->lagging = calloc(STORE_QUEUE_COUNT, sizeof(uint32_t));
	if (writer->queues == NULL || writer->touched == NULL || writer->cursors == NULL || writer->lagging == NULL)
		return KW_ENOMEM;
	return KW_OK;
}

void store_writer_fini(struct store_writer *writer)
{
	free(writer->queues);
	free(writer->touched);
	free(writer->cursors);
	free(writer->lagging);
}

static struct store_queue *touch(struct store_writer *writer, uint32_t queue)
{
	struct store_queue *state = &writer->queues[queue];
	if (!state->touched) {
		state->touched = true;
		writer->touched[writer->touched_count++] = queue;
	}
	return state;
}

void store_writer_lag(struct store_writer *writer, uint32_t queue)
{
	struct store_queue *state = &writer->queues[queue];
	if (state->lagging)
		return;
	state->lagging = true;
	uint32_t at = (writer->lagging_head + writer->lagging_count) % STORE_QUEUE_COUNT;
	writer->lagging[at] = queue;
	writer->lagging_count++;
}

static int do_append(struct store_writer *writer, const struct store_op *op)
{
	struct store_queue *state = touch(writer, op->queue);
	struct store_index index = {
		.position = writer->position++,
		.size = op->box->size,
		.expiry_hour = op->expiry_hour,
		.owner_slot = op->owner_slot,
		.envelope_id = op->envelope_id,
	};
	uint8_t index_key[STORE_INDEX_KEY_SIZE];
	uint8_t log_key[STORE_LOG_KEY_SIZE];
	uint8_t index_row[STORE_ROW_HEAD_SIZE + STORE_INDEX_SIZE];
	store_row_index_key(index_key, op->queue, op->sequence);
	kw_put_u64(log_key, index.position);
	MDB_val key = store_val(log_key, sizeof(log_key));
	MDB_val value = {.mv_size = STORE_ROW_HEAD_SIZE + STORE_INDEX_KEY_SIZE + op->box->size};
	int code = mdb_put(writer->txn, writer->env->dbi.log, &key, &value, MDB_APPEND | MDB_RESERVE);
	if (code != 0)
		return code;
	uint8_t *row = value.mv_data;
	memcpy(row + STORE_ROW_HEAD_SIZE, index_key, sizeof(index_key));
	memcpy(row + STORE_ROW_HEAD_SIZE + STORE_INDEX_KEY_SIZE, op->box->data, op->box->size);
	store_row_seal(row, STORE_LOG, &key, STORE_INDEX_KEY_SIZE + op->box->size);

	key = store_val(index_key, sizeof(index_key));
	value = store_val(index_row, sizeof(index_row));
	store_row_index_put(index_row + STORE_ROW_HEAD_SIZE, &index);
	store_row_seal(index_row, STORE_INDEX, &key, STORE_INDEX_SIZE);
	code = mdb_put(writer->txn, writer->env->dbi.index, &key, &value, 0);
	if (code != 0)
		return code;
	state->last = op->sequence > state->last ? op->sequence : state->last;
	state->count++;
	state->bytes += op->box->size;
	writer->figures.rows++;
	return 0;
}

/* Deletes the row that the index cursor is on. A damaged index row does not say where its body is: the body stays. */
static int delete_here(struct store_writer *writer, uint32_t queue, const MDB_val *key, const MDB_val *value)
{
	struct store_queue *state = touch(writer, queue);
	struct store_index index;
	struct kw_view payload;
	if (store_row_check(key, value, STORE_INDEX, &payload) && payload.size == STORE_INDEX_SIZE) {
		uint8_t log_key[STORE_LOG_KEY_SIZE];
		store_row_index_get(payload, &index);
		kw_put_u64(log_key, index.position);
		MDB_val log = store_val(log_key, sizeof(log_key));
		int code = mdb_del(writer->txn, writer->env->dbi.log, &log, NULL);
		if (code != 0 && code != MDB_NOTFOUND)
			return code;
		state->bytes -= index.size < state->bytes ? index.size : state->bytes;
	}
	state->count -= state->count > 0 ? 1 : 0;
	return mdb_cursor_del(writer->index, 0);
}

/* Deletes rows up to queue->trimmed, at most *room of them. */
static int delete_trimmed(struct store_writer *writer, uint32_t queue, uint32_t *room, bool *all)
{
	uint8_t first[STORE_INDEX_KEY_SIZE];
	store_row_index_key(first, queue, 0);
	MDB_val key = store_val(first, sizeof(first));
	MDB_val value;
	int code = mdb_cursor_get(writer->index, &key, &value, MDB_SET_RANGE);
	*all = false;
	while (code == 0 && *room > 0) {
		if (store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) != queue ||
			kw_get_u64((const uint8_t *)key.mv_data + STORE_QUEUE_KEY_SIZE) > writer->queues[queue].trimmed)
			break;
		code = delete_here(writer, queue, &key, &value);
		(*room)--;
		if (code == 0)
			code = mdb_cursor_get(writer->index, &key, &value, MDB_NEXT); /* after a delete: the row that moved up */
	}
	*all = *room > 0;
	return code == MDB_NOTFOUND ? 0 : code;
}

static int do_remove(struct store_writer *writer, const struct store_op *op)
{
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, op->queue, op->sequence);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	int code = mdb_cursor_get(writer->index, &key, &value, MDB_SET_KEY);
	if (code == 0)
		code = delete_here(writer, op->queue, &key, &value);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* Keeps the row's bytes for a person to look at. It stays where it is: LMDB moves neighbours when it deletes, and on a page
 * with a damaged header that is a crash (seen). Readers skip it. */
static int do_damaged(struct store_writer *writer, const struct store_op *op)
{
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, op->queue, op->sequence);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	int code = mdb_get(writer->txn, writer->env->dbi.index, &key, &value);
	writer->figures.damaged++;
	if (code == 0 && writer->damaged_kept < STORE_DAMAGED_MAX && value.mv_size <= STORE_DAMAGED_SIZE_MAX) {
		writer->damaged_kept++;
		code = mdb_put(writer->txn, writer->env->dbi.damaged, &key, &value, 0);
	}
	return code == MDB_NOTFOUND ? 0 : code;
}

static int do_agency(struct store_writer *writer, const struct store_op *op)
{
	int code = 0;
	for (uint8_t copy = 0; copy < STORE_COPIES && code == 0; copy++) {
		uint8_t bytes[5];
		uint8_t row[STORE_ROW_HEAD_SIZE + sizeof(struct kw_name)];
		kw_put_u32(bytes, op->queue);
		bytes[4] = copy;
		MDB_val key = store_val(bytes, sizeof(bytes));
		MDB_val value = store_val(row, sizeof(row));
		memcpy(row + STORE_ROW_HEAD_SIZE, op->box->data, sizeof(struct kw_name));
		store_row_seal(row, STORE_AGENCY, &key, sizeof(struct kw_name));
		code = mdb_put(writer->txn, writer->env->dbi.agencies, &key, &value, 0);
	}
	return code;
}

static int do_op(struct store_writer *writer, const struct store_op *op)
{
	struct store_queue *state = &writer->queues[op->queue < STORE_QUEUE_COUNT ? op->queue : 0];
	switch (op->kind) {
	case STORE_OP_APPEND:
		return do_append(writer, op);
	case STORE_OP_CURSOR:
		state->cursor = (struct kw_cursor){.epoch = op->epoch, .sequence = op->sequence};
		if (!state->cursor_set) {
			state->cursor_set = true;
			writer->cursors[writer->cursor_count++] = op->queue;
		}
		return 0;
	case STORE_OP_TRIM:
		if (op->sequence > state->trimmed) {
			(void)touch(writer, op->queue);
			state->trimmed = op->sequence;
			store_writer_lag(writer, op->queue);
		}
		return 0;
	case STORE_OP_REMOVE:
		return do_remove(writer, op);
	case STORE_OP_AGENCY:
		return do_agency(writer, op);
	case STORE_OP_DAMAGED:
		return do_damaged(writer, op);
	}
	return 0;
}

int store_writer_put_queue(MDB_txn *txn, MDB_dbi dbi, uint32_t queue, const struct store_queue *state)
{
	uint8_t bytes[STORE_QUEUE_KEY_SIZE];
	uint8_t row[STORE_ROW_HEAD_SIZE + STORE_QUEUE_SIZE];
	uint8_t *at = row + STORE_ROW_HEAD_SIZE;
	store_row_queue_key(bytes, queue);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	kw_put_u64(at, state->last);
	kw_put_u64(at + 8, state->trimmed);
	kw_put_u64(at + 16, state->count);
	kw_put_u64(at + 24, state->bytes);
	store_row_seal(row, STORE_QUEUE, &key, STORE_QUEUE_SIZE);
	return mdb_put(txn, dbi, &key, &value, 0);
}

static int put_cursor(struct store_writer *writer, uint32_t queue)
{
	uint8_t bytes[STORE_QUEUE_KEY_SIZE];
	uint8_t row[STORE_ROW_HEAD_SIZE + STORE_CURSOR_SIZE];
	store_row_queue_key(bytes, queue);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, writer->queues[queue].cursor.epoch);
	kw_put_u64(row + STORE_ROW_HEAD_SIZE + 8, writer->queues[queue].cursor.sequence);
	store_row_seal(row, STORE_CURSOR, &key, STORE_CURSOR_SIZE);
	return mdb_put(writer->txn, writer->env->dbi.cursors, &key, &value, 0);
}

static int delete_slice(struct store_writer *writer)
{
	uint32_t room = STORE_TRIM_ROWS_MAX;
	int code = 0;
	while (code == 0 && room > 0 && writer->lagging_count > 0) {
		uint32_t queue = writer->lagging[writer->lagging_head];
		bool all;
		code = delete_trimmed(writer, queue, &room, &all);
		if (!all)
			break;
		writer->queues[queue].lagging = false;
		writer->lagging_head = (writer->lagging_head + 1) % STORE_QUEUE_COUNT;
		writer->lagging_count--;
	}
	return code;
}

static int write_states(struct store_writer *writer)
{
	int code = 0;
	for (uint32_t i = 0; i < writer->touched_count; i++) {
		uint32_t queue = writer->touched[i];
		writer->queues[queue].touched = false;
		if (code == 0)
			code = store_writer_put_queue(writer->txn, writer->env->dbi.queues, queue, &writer->queues[queue]);
	}
	for (uint32_t i = 0; i < writer->cursor_count; i++) {
		writer->queues[writer->cursors[i]].cursor_set = false;
		if (code == 0)
			code = put_cursor(writer, writer->cursors[i]);
	}
	writer->touched_count = 0;
	writer->cursor_count = 0;
	return code;
}

/* Pages in use: all up to the last one, less those of the free list (table 0, one row per old transaction, its first word
 * the count). LMDB lets only a read transaction look at it. */
int store_writer_measure(const struct store_env *env, struct store_figures *figures)
{
	MDB_envinfo info;
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val key;
	MDB_val value;
	uint64_t free_pages = 0;
	int code = mdb_env_info(env->env, &info);
	if (code == 0)
		code = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
	if (code != 0)
		return code;
	code = mdb_cursor_open(txn, 0, &cursor);
	while (code == 0) {
		size_t count = 0;
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (code == 0 && value.mv_size >= sizeof(count))
			memcpy(&count, value.mv_data, sizeof(count));
		free_pages += count;
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor); /* a read transaction does not end its cursors */
	mdb_txn_abort(txn);
	uint64_t pages = (uint64_t)info.me_last_pgno + 1;
	figures->file_bytes = pages * env->page_size;
	figures->used_bytes = (pages - (free_pages < pages ? free_pages : pages)) * env->page_size;
	return code == MDB_NOTFOUND ? 0 : code;
}

enum kw_err store_writer_commit(struct store_writer *writer, const struct store_batch *batch)
{
	int code = mdb_txn_begin(writer->env->env, NULL, 0, &writer->txn);
	if (code != 0)
		return store_env_err(code);
	code = mdb_cursor_open(writer->txn, writer->env->dbi.index, &writer->index);
	for (uint32_t i = 0; code == 0 && i < batch->count; i++)
		code = do_op(writer, &batch->ops[i]);
	if (code == 0)
		code = delete_slice(writer);
	if (code == 0)
		code = write_states(writer);
	if (writer->index != NULL)
		mdb_cursor_close(writer->index);
	writer->index = NULL;
	if (code != 0) {
		mdb_txn_abort(writer->txn);
		return store_env_err(code);
	}
	code = mdb_txn_commit(writer->txn);
	writer->figures.commits++;
	/* Counting free pages walks their list: now and then is enough for a decision about the last third of the disk. */
	if (code == 0 && writer->figures.commits % MEASURE_COMMITS == 0)
		code = store_writer_measure(writer->env, &writer->figures);
	return store_env_err(code);
}
