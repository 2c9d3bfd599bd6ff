#include <string.h>

#include "broker/shell/store_inner.h"

/* Threads within one commit. A thread's row says where it stands in the order of due times, and the two tables change
 * together, so the writer needs nobody to tell it the old place.
 *
 *   due later than before  → it goes on standing where it stands: an event mostly puts a time off, and each change of the
 *                            order would write two more pages that hardly any other event of the commit shares
 *   due earlier, or its place has been looked at → it moves
 *   the look for what is due finds one that is not → it moves to its due time; the row stays as it is */

struct found {
	bool there;
	uint64_t due_ms;   /* 0: it has no place in the order, or its row is damaged and does not say */
	uint64_t place_ms; /* as the row has it */
};

static MDB_val id_key(const struct store_op *op)
{
	return store_val(op->thread_id.bytes, KW_ID_SIZE);
}

/* What is on disk. The cursor stands on it then. */
static int find(struct store_writer *writer, const struct store_op *op, struct found *found)
{
	struct store_thread thread;
	MDB_val key = id_key(op);
	MDB_val value;
	int code = writer->threads != NULL ? 0 : mdb_cursor_open(writer->txn, writer->env->dbi.threads, &writer->threads);
	if (code != 0)
		return code;
	code = mdb_cursor_get(writer->threads, &key, &value, MDB_SET);
	*found = (struct found){.there = code == 0};
	if (code != 0)
		return code == MDB_NOTFOUND ? 0 : code;
	if (store_row_thread(&key, &value, &thread, &found->place_ms)) {
		found->due_ms = thread.due_ms;
		return 0;
	}
	writer->figures.damaged += op->kind != STORE_OP_THREAD_DAMAGED; /* else the reader has counted it */
	return store_writer_set_aside(writer, &key, &value);
}

/* Where it does stand: at its place, or at its due time, for the row does not hear of it when the look has come by. */
static int stand(struct store_writer *writer, const struct found *found, const struct kw_id *id, uint64_t *at_ms)
{
	uint8_t bytes[STORE_CLOCK_KEY_SIZE];
	MDB_val value;
	*at_ms = found->due_ms;
	if (found->due_ms == 0 || found->place_ms == found->due_ms)
		return 0;
	store_row_clock_key(bytes, found->place_ms, id);
	MDB_val key = store_val(bytes, sizeof(bytes));
	int code = mdb_get(writer->txn, writer->env->dbi.clocks, &key, &value);
	if (code == 0)
		*at_ms = found->place_ms;
	return code == MDB_NOTFOUND ? 0 : code;
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

/* Where find has found it, or anew. */
static int put_row(struct store_writer *writer, const struct store_op *op, bool there, uint64_t place_ms)
{
	uint8_t row[STORE_ROW_THREAD_SIZE_MAX];
	MDB_val key = id_key(op);
	struct store_thread thread = {.due_ms = op->sequence, .size = op->box->size};
	memcpy(thread.record, op->box->data, op->box->size);
	MDB_val value = store_val(row, store_row_thread_put(row, &key, &thread, place_ms));
	return mdb_cursor_put(writer->threads, &key, &value, there ? MDB_CURRENT : 0);
}

static int remove_row(struct store_writer *writer, const struct store_op *op)
{
	MDB_val key = id_key(op);
	int code = mdb_del(writer->txn, writer->env->dbi.threads, &key, NULL);
	return code == MDB_NOTFOUND ? 0 : code;
}

static int change(struct store_writer *writer, const struct store_op *op)
{
	struct found found;
	uint64_t at_ms = 0;
	uint64_t new_ms = op->box != NULL ? op->sequence : 0;
	uint64_t looked_ms = op->epoch;
	int code = find(writer, op, &found);
	if (code == 0)
		code = stand(writer, &found, &op->thread_id, &at_ms);
	bool stays = at_ms != 0 && (at_ms == new_ms || (at_ms < new_ms && at_ms > looked_ms));
	if (code == 0 && at_ms != 0 && !stays)
		code = remove_clock(writer, at_ms, &op->thread_id);
	if (code == 0 && op->box == NULL)
		return found.there ? remove_row(writer, op) : 0;
	if (code == 0)
		code = put_row(writer, op, found.there, stays ? at_ms : new_ms);
	if (code == 0 && new_ms != 0 && !stays)
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
	if (store_row_thread(&key, &value, &thread, NULL))
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

/* The look for what is due came by one that stood there early. It may have moved since. */
static int go_on(struct store_writer *writer, const struct store_op *op, const struct found *found)
{
	if (found->due_ms == 0 || found->place_ms != op->sequence || found->due_ms == op->sequence)
		return 0;
	int code = remove_clock(writer, op->sequence, &op->thread_id);
	return code != 0 ? code : put_clock(writer, found->due_ms, &op->thread_id);
}

static int remove_stray(struct store_writer *writer, const struct store_op *op, const struct found *found)
{
	uint64_t at_ms = 0;
	int code = 0;
	if (found->due_ms == 0 || (found->due_ms != op->sequence && found->place_ms != op->sequence))
		code = remove_clock(writer, op->sequence, &op->thread_id);
	/* A flipped bit may have made the stray place out of the true one. */
	if (code == 0)
		code = stand(writer, found, &op->thread_id, &at_ms);
	return code == 0 && at_ms != 0 ? put_clock(writer, at_ms, &op->thread_id) : code;
}

int store_writer_thread(struct store_writer *writer, const struct store_op *op)
{
	struct found found;
	if (op->kind == STORE_OP_THREAD)
		return change(writer, op);
	if (op->kind == STORE_OP_THREAD_DAMAGED)
		return remove_damaged(writer, op);
	int code = find(writer, op, &found);
	if (code != 0)
		return code;
	return op->kind == STORE_OP_CLOCK_EARLY ? go_on(writer, op, &found) : remove_stray(writer, op, &found);
}
