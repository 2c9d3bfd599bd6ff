#include <stdlib.h>
#include <string.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* One commit, on the writer thread:
 *
 *   trims and cursors of the batch are noted → appends and removals are applied, an append below its queue's trim
 *   costs nothing → a slice of trimmed rows is deleted → rows of touched queues and cursors are written, once each
 *   → commit: two flushes
 *
 * Bodies go to the end of the log, where LMDB fills page after page; only the small index is written in many places. Any
 * error aborts the transaction and is final for the process: the state in memory may be ahead of the disk then. */

enum kw_err store_writer_init(struct store_writer *writer, struct store_env *env)
{
	writer->env = env;
	/* Large, but zero pages until a slot is used. */
	writer->queues = calloc(STORE_QUEUE_COUNT, sizeof(*writer->queues));
	writer->touched = calloc(STORE_QUEUE_COUNT, sizeof(*writer->touched));
	writer->cursors = calloc(STORE_QUEUE_COUNT, sizeof(*writer->cursors));
	writer->lagging = calloc(STORE_QUEUE_COUNT, sizeof(*writer->lagging));
	return writer->queues != NULL && writer->touched != NULL && writer->cursors != NULL && writer->lagging != NULL ?
			   KW_OK :
			   KW_ENOMEM;
}

void store_writer_fini(struct store_writer *writer)
{
	free(writer->queues);
	free(writer->touched);
	free(writer->cursors);
	free(writer->lagging);
	store_audit_fini(&writer->audit);
}

void store_writer_lag(struct store_writer *writer, uint32_t queue)
{
	if (writer->queues[queue].lagging)
		return;
	writer->queues[queue].lagging = true;
	writer->lagging[(writer->lagging_head + writer->lagging_count++) % STORE_QUEUE_COUNT] = queue;
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

static void note_trim(struct store_writer *writer, const struct store_op *op)
{
	struct store_queue *state = touch(writer, op->queue);
	if (op->sequence <= state->trimmed)
		return;
	state->trimmed = op->sequence;
	if (state->count > 0)
		store_writer_lag(writer, op->queue);
}

static void note_cursor(struct store_writer *writer, const struct store_op *op)
{
	struct store_queue *state = &writer->queues[op->queue];
	state->cursor = (struct kw_cursor){.epoch = op->epoch, .sequence = op->sequence};
	if (!state->cursor_set) {
		state->cursor_set = true;
		writer->cursors[writer->cursor_count++] = op->queue;
	}
}

static int append(struct store_writer *writer, const struct store_op *op)
{
	struct store_queue *state = touch(writer, op->queue);
	KW_ASSERT(op->sequence > state->last);
	state->last = op->sequence;
	writer->figures.rows++;
	if (op->sequence <= state->trimmed)
		return 0;

	uint8_t index_key[STORE_INDEX_KEY_SIZE], log_key[STORE_LOG_KEY_SIZE];
	uint8_t row[STORE_ROW_HEAD_SIZE + STORE_INDEX_SIZE_MAX];
	store_row_index_key(index_key, op->queue, op->sequence);
	kw_put_u64(log_key, writer->position);

	uint32_t payload_size = STORE_INDEX_KEY_SIZE + op->box->size;
	MDB_val key = store_val(log_key, sizeof(log_key));
	MDB_val value = store_val(NULL, STORE_ROW_HEAD_SIZE + payload_size);
	int code = mdb_cursor_put(writer->log, &key, &value, MDB_APPEND | MDB_RESERVE);
	if (code != 0)
		return code;
	uint8_t *out = value.mv_data;
	memcpy(out + STORE_ROW_HEAD_SIZE, index_key, sizeof(index_key));
	memcpy(out + STORE_ROW_HEAD_SIZE + sizeof(index_key), op->box->data, op->box->size);
	store_row_seal(out, STORE_LOG, &key, payload_size);

	const struct store_index index = {
		.position = writer->position++,
		.size = op->box->size,
		.expiry_hour = op->expiry_hour,
		.owner_slot = op->owner_slot,
		.envelope_id = op->envelope_id,
		.thread_id = op->thread_id,
	};
	key = store_val(index_key, sizeof(index_key));
	uint32_t index_size = store_row_index_put(row + STORE_ROW_HEAD_SIZE, &index);
	store_row_seal(row, STORE_INDEX, &key, index_size);
	value = store_val(row, STORE_ROW_HEAD_SIZE + index_size);
	state->count++;
	state->bytes += op->box->size;
	return mdb_cursor_put(writer->index, &key, &value, 0);
}

int store_writer_set_aside(struct store_writer *writer, const MDB_val *key, const MDB_val *value)
{
	uint8_t bytes[8];
	if (writer->damaged_kept >= STORE_DAMAGED_MAX || value->mv_size > STORE_DAMAGED_SIZE_MAX || key->mv_size > 64)
		return 0;
	uint8_t *copy = malloc(value->mv_size + key->mv_size);
	if (copy == NULL)
		return ENOMEM;
	memcpy(copy, key->mv_data, key->mv_size);
	memcpy(copy + key->mv_size, value->mv_data, value->mv_size);
	kw_put_u64(bytes, writer->damaged_kept++);
	MDB_val aside_key = store_val(bytes, sizeof(bytes));
	MDB_val aside = store_val(copy, key->mv_size + value->mv_size);
	int code = mdb_put(writer->txn, writer->env->dbi.damaged, &aside_key, &aside, 0);
	free(copy);
	return code;
}

/* Deletes the row that the index cursor stands on, and its body. A damaged index row does not say where its body is; the
 * body stays then. */
static int delete_current(struct store_writer *writer, const struct store_op *op, const MDB_val *key,
	const MDB_val *value)
{
	struct store_queue *state = touch(writer, op->queue);
	bool reported = op->kind == STORE_OP_DAMAGED; /* and counted by the reader */
	struct kw_view payload;
	struct store_index index;
	int code = 0;
	if (state->count > 0)
		state->count--;
	if (store_row_check(key, value, STORE_INDEX, &payload) && store_row_index_get(payload, &index)) {
		uint8_t bytes[STORE_LOG_KEY_SIZE];
		state->bytes -= state->bytes < index.size ? state->bytes : index.size;
		kw_put_u64(bytes, index.position);
		MDB_val log_key = store_val(bytes, sizeof(bytes));
		MDB_val body;
		code = mdb_cursor_get(writer->log, &log_key, &body, MDB_SET);
		if (code == 0 && op->kind == STORE_OP_RECALL)
			code = store_wipe_row(writer->log, &log_key, &body);
		if (code == 0)
			code = mdb_cursor_del(writer->log, 0);
		else if (code == MDB_NOTFOUND)
			code = 0;
	} else {
		writer->figures.damaged += !reported;
		code = store_writer_set_aside(writer, key, value);
	}
	return code != 0 ? code : mdb_cursor_del(writer->index, 0);
}

static int seek(struct store_writer *writer, const struct store_op *op, MDB_val *key, MDB_val *value)
{
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, op->queue, op->sequence);
	*key = store_val(bytes, sizeof(bytes));
	return mdb_cursor_get(writer->index, key, value, MDB_SET_KEY);
}

static int remove_row(struct store_writer *writer, const struct store_op *op)
{
	MDB_val key, value;
	int code = seek(writer, op, &key, &value);
	if (code == MDB_NOTFOUND)
		return 0;
	return code != 0 ? code : delete_current(writer, op, &key, &value);
}

/* And its bytes go too, once this is durable. */
static int recall_row(struct store_writer *writer, const struct store_op *op)
{
	int code = remove_row(writer, op);
	writer->wipe = true;
	return code != 0 ? code : store_wipe_mark(writer->txn, writer->env);
}

/* A reader found this row damaged; looked at again, because it may have been deleted since. */
static int remove_damaged(struct store_writer *writer, const struct store_op *op)
{
	MDB_val key, value, body = {0};
	struct kw_view payload;
	int code = seek(writer, op, &key, &value);
	if (code != 0)
		return code == MDB_NOTFOUND ? 0 : code;
	struct store_index index;
	if (!store_row_check(&key, &value, STORE_INDEX, &payload) || !store_row_index_get(payload, &index))
		return delete_current(writer, op, &key, &value);
	uint8_t bytes[STORE_LOG_KEY_SIZE];
	kw_put_u64(bytes, index.position);
	MDB_val log_key = store_val(bytes, sizeof(bytes));
	code = mdb_cursor_get(writer->log, &log_key, &body, MDB_SET);
	if (code != 0 && code != MDB_NOTFOUND)
		return code;
	struct kw_view log_payload;
	if (code == 0 && store_row_check(&log_key, &body, STORE_LOG, &log_payload) &&
		log_payload.size == STORE_INDEX_KEY_SIZE + index.size &&
		memcmp(log_payload.data, key.mv_data, STORE_INDEX_KEY_SIZE) == 0)
		return 0;
	code = code == 0 ? store_writer_set_aside(writer, &log_key, &body) : 0;
	if (code != 0)
		return code;
	code = seek(writer, op, &key, &value); /* the put above may have moved pages */
	return code != 0 ? code : delete_current(writer, op, &key, &value);
}

static int put_agency(struct store_writer *writer, const struct store_op *op)
{
	int code = 0;
	for (uint8_t copy = 0; copy < STORE_COPIES && code == 0; copy++) {
		uint8_t bytes[5];
		uint8_t row[STORE_ROW_HEAD_SIZE + sizeof(struct kw_name)];
		MDB_val key = store_val(bytes, sizeof(bytes));
		MDB_val value = store_val(row, sizeof(row));
		kw_put_u32(bytes, op->queue);
		bytes[4] = copy;
		memcpy(row + STORE_ROW_HEAD_SIZE, op->box->data, sizeof(struct kw_name));
		store_row_seal(row, STORE_AGENCY, &key, sizeof(struct kw_name));
		code = mdb_put(writer->txn, writer->env->dbi.agencies, &key, &value, 0);
	}
	return code;
}

static int put_time(struct store_writer *writer, const struct store_op *op)
{
	uint8_t number = STORE_TIME_KEY;
	uint8_t row[STORE_ROW_HEAD_SIZE + STORE_TIME_SIZE];
	MDB_val key = store_val(&number, sizeof(number));
	MDB_val value = store_val(row, sizeof(row));
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, op->sequence);
	store_row_seal(row, STORE_TIME, &key, STORE_TIME_SIZE);
	return mdb_put(writer->txn, writer->env->dbi.meta, &key, &value, 0);
}

/* Deletes trimmed rows of one queue, at most *budget; *finished when none is left. */
static int trim_queue(struct store_writer *writer, uint32_t queue, uint32_t *budget, bool *finished)
{
	const struct store_op trim = {.kind = STORE_OP_TRIM, .queue = queue};
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, queue, 0);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	int code = mdb_cursor_get(writer->index, &key, &value, MDB_SET_RANGE);
	while (code == 0) {
		if (store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) != queue ||
			kw_get_u64((const uint8_t *)key.mv_data + STORE_QUEUE_KEY_SIZE) > writer->queues[queue].trimmed)
			break;
		if (*budget == 0) {
			*finished = false;
			return 0;
		}
		(*budget)--;
		code = delete_current(writer, &trim, &key, &value);
		if (code == 0) /* stands on the row after the deleted one */
			code = mdb_cursor_get(writer->index, &key, &value, MDB_NEXT);
	}
	*finished = true;
	return code == MDB_NOTFOUND ? 0 : code;
}

static int trim_slice(struct store_writer *writer)
{
	uint32_t budget = STORE_TRIM_ROWS_MAX;
	int code = 0;
	while (code == 0 && budget > 0 && writer->lagging_count > 0) {
		uint32_t queue = writer->lagging[writer->lagging_head];
		bool finished = false;
		code = trim_queue(writer, queue, &budget, &finished);
		if (!finished)
			break;
		writer->queues[queue].lagging = false;
		writer->lagging_head = (writer->lagging_head + 1) % STORE_QUEUE_COUNT;
		writer->lagging_count--;
	}
	return code;
}

int store_writer_put_queue(MDB_txn *txn, MDB_dbi dbi, uint32_t queue, const struct store_queue *state)
{
	uint8_t bytes[STORE_QUEUE_KEY_SIZE], row[STORE_ROW_HEAD_SIZE + STORE_QUEUE_SIZE];
	uint8_t *payload = row + STORE_ROW_HEAD_SIZE;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	store_row_queue_key(bytes, queue);
	kw_put_u64(payload, state->last);
	kw_put_u64(payload + 8, state->trimmed);
	kw_put_u64(payload + 16, state->count);
	kw_put_u64(payload + 24, state->bytes);
	store_row_seal(row, STORE_QUEUE, &key, STORE_QUEUE_SIZE);
	return mdb_put(txn, dbi, &key, &value, 0);
}

static int put_cursor(struct store_writer *writer, uint32_t queue)
{
	uint8_t bytes[STORE_QUEUE_KEY_SIZE], row[STORE_ROW_HEAD_SIZE + STORE_CURSOR_SIZE];
	const struct kw_cursor *cursor = &writer->queues[queue].cursor;
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	store_row_queue_key(bytes, queue);
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, cursor->epoch);
	kw_put_u64(row + STORE_ROW_HEAD_SIZE + 8, cursor->sequence);
	store_row_seal(row, STORE_CURSOR, &key, STORE_CURSOR_SIZE);
	return mdb_put(writer->txn, writer->env->dbi.cursors, &key, &value, 0);
}

static int put_touched(struct store_writer *writer)
{
	int code = 0;
	for (uint32_t i = 0; i < writer->touched_count && code == 0; i++) {
		struct store_queue *state = &writer->queues[writer->touched[i]];
		state->touched = false;
		code = store_writer_put_queue(writer->txn, writer->env->dbi.queues, writer->touched[i], state);
	}
	for (uint32_t i = 0; i < writer->cursor_count && code == 0; i++) {
		writer->queues[writer->cursors[i]].cursor_set = false;
		code = put_cursor(writer, writer->cursors[i]);
	}
	writer->touched_count = 0;
	writer->cursor_count = 0;
	return code;
}

int store_writer_measure(MDB_txn *txn, const struct store_env *env, struct store_figures *figures)
{
	const struct store_dbis *dbi = &env->dbi;
	/* 0 and 1 are LMDB's own: the free list and the list of tables. */
	const MDB_dbi all[] = {0, 1, dbi->meta, dbi->agencies, dbi->queues, dbi->cursors, dbi->index, dbi->log, dbi->damaged,
		dbi->threads, dbi->clocks, dbi->held, dbi->prekeys, dbi->leaves, dbi->tail, dbi->checkpoints};
	uint64_t pages = 2; /* meta pages */
	MDB_envinfo info;
	int code = mdb_env_info(env->env, &info);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && code == 0; i++) {
		MDB_stat stat;
		code = mdb_stat(txn, all[i], &stat);
		if (code == 0 && all[i] == dbi->threads)
			figures->threads = stat.ms_entries;
		if (code == 0 && all[i] == dbi->clocks)
			figures->clocks = stat.ms_entries;
		if (code == 0)
			pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	}
	if (code != 0)
		return code;
	figures->used_bytes = pages * env->page_size;
	figures->file_bytes = (info.me_last_pgno + 1) * env->page_size;
	return 0;
}

static int apply(struct store_writer *writer, const struct store_op *op)
{
	switch (op->kind) {
	case STORE_OP_APPEND:
		return append(writer, op);
	case STORE_OP_REMOVE:
		return remove_row(writer, op);
	case STORE_OP_RECALL:
		return recall_row(writer, op);
	case STORE_OP_DAMAGED:
		return remove_damaged(writer, op);
	case STORE_OP_AGENCY:
		return put_agency(writer, op);
	case STORE_OP_PREKEYS:
		return store_writer_put_prekeys(writer, op);
	case STORE_OP_HELD:
		return store_writer_put_held(writer->txn, writer->env->dbi.held, op);
	case STORE_OP_TIME:
		return put_time(writer, op);
	case STORE_OP_FORGET:
		return store_audit_forget(writer, op);
	case STORE_OP_CHECKPOINT:
		return store_audit_put_checkpoint(writer, op);
	case STORE_OP_THREAD:
	case STORE_OP_THREAD_DAMAGED:
	case STORE_OP_CLOCK_STRAY:
	case STORE_OP_CLOCK_EARLY:
		return store_writer_thread(writer, op);
	case STORE_OP_TRIM:
	case STORE_OP_CURSOR:
		break; /* noted already */
	}
	return 0;
}

static int apply_batch(struct store_writer *writer, const struct store_batch *batch)
{
	int code = store_audit_begin(writer, batch);
	uint64_t rows = writer->figures.rows;
	for (uint32_t i = 0; i < batch->count; i++) {
		if (batch->ops[i].kind == STORE_OP_TRIM)
			note_trim(writer, &batch->ops[i]);
		else if (batch->ops[i].kind == STORE_OP_CURSOR)
			note_cursor(writer, &batch->ops[i]);
	}
	for (uint32_t i = 0; i < batch->count && code == 0; i++)
		code = apply(writer, &batch->ops[i]);
	if (code == 0)
		code = store_audit_end(writer);
	if (code == 0)
		code = store_writer_measure(writer->txn, writer->env, &writer->figures);
	/* The reserve above map_size is for deletions. */
	if (code == 0 && writer->figures.rows != rows && writer->figures.used_bytes > writer->env->map_size)
		code = MDB_MAP_FULL;
	return code;
}

enum kw_err store_writer_commit(struct store_writer *writer, const struct store_batch *batch)
{
	int code = mdb_txn_begin(writer->env->env, NULL, 0, &writer->txn);
	if (code != 0)
		return store_env_err(code);
	writer->threads = NULL; /* the last one ended with its transaction */
	code = mdb_cursor_open(writer->txn, writer->env->dbi.log, &writer->log);
	if (code == 0)
		code = mdb_cursor_open(writer->txn, writer->env->dbi.index, &writer->index);
	if (code == 0 && batch != NULL)
		code = apply_batch(writer, batch);
	if (code == 0)
		code = trim_slice(writer);
	if (code == 0)
		code = put_touched(writer);
	if (code == 0)
		code = store_writer_measure(writer->txn, writer->env, &writer->figures);
	if (code != 0) {
		mdb_txn_abort(writer->txn);
		/* Not found here means a tree that contradicts itself. */
		return code == MDB_NOTFOUND ? KW_ECORRUPT : store_env_err(code);
	}
	code = mdb_txn_commit(writer->txn);
	writer->figures.commits++;
	return store_env_err(code);
}
