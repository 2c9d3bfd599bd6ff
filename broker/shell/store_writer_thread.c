#include <string.h>

#include "broker/shell/store_inner.h"

/* Threads within one commit. A thread's row says where it stands in the order of due times, and the two tables change
 * together, so the writer needs nobody to tell it the old place. */

static MDB_val id_key(const struct store_op *op)
{
	return store_val(op->thread_id.bytes, KW_ID_SIZE);
}

/* What is on disk: *due_ms is 0 when the thread has no place in the order, or its row is damaged and does not say. */
static int find(struct store_writer *writer, const struct store_op *op, bool *there, uint64_t *due_ms)
{
	struct store_thread thread;
	MDB_val key = id_key(op);
	MDB_val value;
	int code = mdb_get(writer->txn, writer->env->dbi.threads, &key, &value);
	*there = code == 0;
	*due_ms = 0;
	if (code != 0)
		return code == MDB_NOTFOUND ? 0 : code;
	if (store_row_thread(&key, &value, &thread)) {
		*due_ms = thread.due_ms;
		return 0;
	}
	writer->figures.damaged += op->kind != STORE_OP_THREAD_DAMAGED; /* else the reader has counted it */
	return store_writer_set_aside(writer, &key, &value);
}

static int remove_clock(struct store_writer *writer, uint64_t due_ms, const struct kw_id *id)
{
	uint8_t bytes[STORE_CLOCK_KEY_SIZE];
	store_row_clock_key(bytes, due_ms, id);
	MDB_val key = store_val(bytes, sizeof(bytes));
	int code = mdb_del(writer->txn, writer->env->dbi.clocks, &key, NULL);
	return code == MDB_NOTFOUND ? 0 : code;
}

static int put_clock(struct store_writer *writer, uint64_t due_ms, const struct kw_id *id)
{
	uint8_t bytes[STORE_CLOCK_KEY_SIZE], row[STORE_ROW_HEAD_SIZE];
	store_row_clock_key(bytes, due_ms, id);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	store_row_seal(row, STORE_CLOCK, &key, 0);
	return mdb_put(writer->txn, writer->env->dbi.clocks, &key, &value, 0);
}

static int put_row(struct store_writer *writer, const struct store_op *op)
{
	uint8_t row[STORE_ROW_HEAD_SIZE + STORE_THREAD_HEAD_SIZE + STORE_THREAD_SIZE_MAX];
	MDB_val key = id_key(op);
	uint32_t payload_size = STORE_THREAD_HEAD_SIZE + op->box->size;
	kw_put_u64(row + STORE_ROW_HEAD_SIZE, op->sequence);
	memcpy(row + STORE_ROW_HEAD_SIZE + STORE_THREAD_HEAD_SIZE, op->box->data, op->box->size);
	store_row_seal(row, STORE_THREAD, &key, payload_size);
	MDB_val value = store_val(row, STORE_ROW_HEAD_SIZE + payload_size);
	return mdb_put(writer->txn, writer->env->dbi.threads, &key, &value, 0);
}

static int remove_row(struct store_writer *writer, const struct store_op *op)
{
	MDB_val key = id_key(op);
	int code = mdb_del(writer->txn, writer->env->dbi.threads, &key, NULL);
	return code == MDB_NOTFOUND ? 0 : code;
}

static int change(struct store_writer *writer, const struct store_op *op)
{
	bool there;
	uint64_t old_ms;
	uint64_t new_ms = op->box != NULL ? op->sequence : 0;
	int code = find(writer, op, &there, &old_ms);
	if (code == 0 && old_ms != 0 && old_ms != new_ms)
		code = remove_clock(writer, old_ms, &op->thread_id);
	if (code == 0 && op->box == NULL)
		return there ? remove_row(writer, op) : 0;
	if (code == 0)
		code = put_row(writer, op);
	if (code == 0 && new_ms != 0 && new_ms != old_ms)
		code = put_clock(writer, new_ms, &op->thread_id);
	return code;
}

/* A reader found this row damaged; it may have been written anew since. Its place in the order becomes a stray one. */
static int remove_damaged(struct store_writer *writer, const struct store_op *op)
{
	struct store_thread thread;
	MDB_val key = id_key(op);
	MDB_val value;
	int code = mdb_get(writer->txn, writer->env->dbi.threads, &key, &value);
	if (code != 0)
		return code == MDB_NOTFOUND ? 0 : code;
	if (store_row_thread(&key, &value, &thread))
		return 0;
	code = store_writer_set_aside(writer, &key, &value);
	return code == 0 ? remove_row(writer, op) : code;
}

int store_writer_put_held(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op)
{
	uint8_t bytes[4], row[STORE_ROW_HEAD_SIZE + STORE_HELD_SIZE];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	kw_put_u32(bytes, op->queue);
	kw_put_u32(row + STORE_ROW_HEAD_SIZE, op->owner_slot);
	kw_put_u32(row + STORE_ROW_HEAD_SIZE + 4, op->expiry_hour);
	store_row_seal(row, STORE_HELD, &key, STORE_HELD_SIZE);
	return mdb_put(txn, dbi, &key, &value, 0);
}

int store_writer_thread(struct store_writer *writer, const struct store_op *op)
{
	bool there;
	uint64_t due_ms;
	if (op->kind == STORE_OP_THREAD)
		return change(writer, op);
	if (op->kind == STORE_OP_THREAD_DAMAGED)
		return remove_damaged(writer, op);
	int code = find(writer, op, &there, &due_ms);
	if (code == 0 && due_ms != op->sequence)
		code = remove_clock(writer, op->sequence, &op->thread_id);
	/* A flipped bit may have made the stray place out of the true one. */
	return code == 0 && due_ms != 0 ? put_clock(writer, due_ms, &op->thread_id) : code;
}
