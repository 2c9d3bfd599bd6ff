#include <errno.h>
#include <string.h>

#include "broker/shell/store_inner.h"

/* Reading, on the loop thread. One read transaction is kept and reset between uses, so that a read costs no allocation
 * and holds no pages back once it has returned. Every byte is checked before it is believed; a row that fails is handed
 * to the writer, which sets it aside, and the walk goes on. */

int store_reader_begin(struct store *store)
{
	int code = 0;
	uv_mutex_lock(&store->reading);
	if (store->env.env == NULL)
		return EIO; /* it could not be opened again */
	if (store->reader == NULL) {
		code = mdb_txn_begin(store->env.env, NULL, MDB_RDONLY, &store->reader);
		if (code == 0)
			code = mdb_cursor_open(store->reader, store->env.dbi.index, &store->read_index);
		return code == 0 ? mdb_cursor_open(store->reader, store->env.dbi.clocks, &store->read_clocks) : code;
	}
	code = mdb_txn_renew(store->reader);
	if (code == 0)
		code = mdb_cursor_renew(store->reader, store->read_index);
	return code == 0 ? mdb_cursor_renew(store->reader, store->read_clocks) : code;
}

void store_reader_end(struct store *store)
{
	if (store->reader != NULL)
		mdb_txn_reset(store->reader);
	uv_mutex_unlock(&store->reading);
}

void store_reader_close(struct store *store)
{
	if (store->reader == NULL)
		return;
	mdb_cursor_close(store->read_index);
	mdb_cursor_close(store->read_clocks);
	mdb_txn_abort(store->reader);
	store->reader = NULL;
}

void store_report_damage(struct store *store, uint32_t queue, uint64_t sequence)
{
	uint64_t mark = ((uint64_t)queue << 44) ^ sequence;
	for (uint32_t i = 0; i < STORE_SEEN_COUNT; i++) {
		if (store->seen[i] == mark)
			return;
	}
	store->seen[store->seen_next++ % STORE_SEEN_COUNT] = mark;
	store->damaged_seen++;
	struct store_op *op = store_next_op(store, store->ticket);
	if (op != NULL)
		*op = (struct store_op){.kind = STORE_OP_DAMAGED, .queue = queue, .sequence = sequence};
}

static uint64_t sequence_of(const MDB_val *key)
{
	return kw_get_u64((const uint8_t *)key->mv_data + STORE_QUEUE_KEY_SIZE);
}

/* Fills the row from an index entry; false when it is damaged. */
static bool row_from(const MDB_val *key, const MDB_val *value, struct store_row *row, struct store_index *index)
{
	struct kw_view payload;
	uint32_t queue = store_row_queue_of(key, STORE_INDEX_KEY_SIZE);
	if (queue == UINT32_MAX || !store_row_check(key, value, STORE_INDEX, &payload) ||
		!store_row_index_get(payload, index))
		return false;
	*row = (struct store_row){
		.slot = queue / KW_MSG_CLASS_COUNT,
		.msg_class = (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT),
		.sequence = sequence_of(key),
		.owner_slot = index->owner_slot,
		.expiry_hour = index->expiry_hour,
		.envelope_id = index->envelope_id,
		.thread_id = index->thread_id,
		.body_size = index->size,
	};
	return true;
}

/* Reads the body into a new box. KW_ECORRUPT: this row is damaged. Other errors end the read. */
static enum kw_err body_of(struct store *store, const MDB_val *key, const struct store_index *index,
	struct store_box **out)
{
	uint8_t bytes[STORE_LOG_KEY_SIZE];
	struct kw_view payload;
	MDB_val value;
	kw_put_u64(bytes, index->position);
	MDB_val log_key = store_val(bytes, sizeof(bytes));
	int code = mdb_get(store->reader, store->env.dbi.log, &log_key, &value);
	if (code == MDB_NOTFOUND)
		return KW_ECORRUPT;
	if (code != 0)
		return KW_EIO;
	if (!store_row_check(&log_key, &value, STORE_LOG, &payload) ||
		payload.size != (size_t)STORE_INDEX_KEY_SIZE + index->size ||
		memcmp(payload.data, key->mv_data, STORE_INDEX_KEY_SIZE) != 0)
		return KW_ECORRUPT;
	*out = store_box_new(index->size);
	if (*out == NULL)
		return KW_ENOMEM;
	memcpy((*out)->data, payload.data + STORE_INDEX_KEY_SIZE, index->size);
	return KW_OK;
}

enum kw_err store_read(struct store *store, const struct store_range *range,
	void (*each)(void *user, const struct store_row *row), void *user)
{
	uint32_t queue = store_queue_index(range->slot, range->msg_class);
	uint64_t from = range->from > store->trimmed[queue] ? range->from : store->trimmed[queue] + 1;
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, queue, from);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	uint64_t size = 0;
	enum kw_err err = KW_OK;

	int code = store_reader_begin(store);
	if (code == 0)
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
	for (uint32_t count = 0; code == 0 && count < range->count_max && (count == 0 || size < range->bytes_max);) {
		struct store_row row;
		struct store_index index;
		if (store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) != queue)
			break;
		err = row_from(&key, &value, &row, &index) ? body_of(store, &key, &index, &row.box) : KW_ECORRUPT;
		if (err == KW_OK) {
			count++;
			size += index.size;
			each(user, &row);
		} else if (err == KW_ECORRUPT) {
			store_report_damage(store, queue, sequence_of(&key));
			err = KW_OK;
		} else {
			break;
		}
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT);
	}
	store_reader_end(store);
	if (err != KW_OK)
		return err;
	return code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
}

/* Adds one to the key, so that the next slice begins after it; false when there is none after it. */
static bool key_step(uint8_t key[STORE_INDEX_KEY_SIZE])
{
	for (size_t i = STORE_INDEX_KEY_SIZE; i-- > 0;) {
		if (++key[i] != 0)
			return true;
	}
	return false;
}

bool store_sweep(struct store *store, uint32_t hour, uint32_t rows_max,
	void (*each)(void *user, const struct store_row *row), void *user)
{
	bool wrapped = false;
	bool moved = false; /* else keys out of order would keep the walk in one place */
	MDB_val key = store_val(store->sweep_key, STORE_INDEX_KEY_SIZE);
	MDB_val value;
	int code = store_reader_begin(store);
	if (code == 0)
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
	for (uint32_t i = 0; code == 0 && i < rows_max; i++) {
		struct store_row row;
		struct store_index index;
		uint32_t queue = store_row_queue_of(&key, STORE_INDEX_KEY_SIZE);
		if (queue != UINT32_MAX && memcmp(key.mv_data, store->sweep_key, STORE_INDEX_KEY_SIZE) >= 0) {
			memcpy(store->sweep_key, key.mv_data, STORE_INDEX_KEY_SIZE);
			moved = true;
			wrapped = !key_step(store->sweep_key);
		}
		if (row_from(&key, &value, &row, &index)) {
			if (row.expiry_hour > 0 && row.expiry_hour <= hour && row.sequence > store->trimmed[queue])
				each(user, &row);
		} else if (queue != UINT32_MAX) {
			store_report_damage(store, queue, sequence_of(&key));
		}
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT);
	}
	store_reader_end(store);
	wrapped = wrapped || code != 0 || !moved;
	if (wrapped)
		memset(store->sweep_key, 0, STORE_INDEX_KEY_SIZE);
	return wrapped;
}

bool store_find(struct store *store, uint32_t slot, const struct kw_id *envelope_id, struct store_row *out)
{
	bool found = false;
	int code = store_reader_begin(store);
	for (uint32_t c = KW_URGENT; code == 0 && !found && c < KW_MSG_CLASS_COUNT; c++) {
		uint8_t bytes[STORE_INDEX_KEY_SIZE];
		uint32_t queue = store_queue_index(slot, (enum kw_msg_class)c);
		store_row_index_key(bytes, queue, store->trimmed[queue] + 1);
		MDB_val key = store_val(bytes, sizeof(bytes));
		MDB_val value;
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
		while (code == 0 && !found && store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) == queue) {
			struct store_index index;
			found = row_from(&key, &value, out, &index) && kw_id_equal(&out->envelope_id, envelope_id);
			if (!found)
				code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT);
		}
		code = code == MDB_NOTFOUND ? 0 : code;
	}
	store_reader_end(store);
	return found;
}

static void recover_agency(const struct store_recovery *recovery, const MDB_val *key, struct kw_view payload)
{
	const uint8_t *bytes = key->mv_data;
	struct kw_name name;
	if (key->mv_size != 5 || payload.size != sizeof(name) || bytes[4] != 0)
		return; /* the second copy */
	memcpy(&name, payload.data, sizeof(name));
	name.text[KW_NAME_SIZE_MAX] = '\0';
	recovery->agency(recovery->user, kw_get_u32(bytes), &name);
}

/* Takes rows off the extent that a trim has named but no slice has deleted yet, and finds the first that is left. */
static int settle(struct store *store, uint32_t queue, uint64_t trimmed, struct store_extent *extent)
{
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, queue, 0);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	extent->first = extent->last + 1;
	if (extent->count == 0)
		return 0;
	int code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
	for (; code == 0; code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT)) {
		struct store_row row;
		struct store_index index;
		if (store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) != queue)
			break;
		if (sequence_of(&key) > trimmed) {
			extent->first = sequence_of(&key);
			break;
		}
		extent->count -= extent->count > 0;
		if (row_from(&key, &value, &row, &index))
			extent->bytes -= extent->bytes < index.size ? extent->bytes : index.size;
	}
	if (extent->first > extent->last)
		extent->count = extent->bytes = 0;
	return code == MDB_NOTFOUND ? 0 : code;
}

static int recover_queue(struct store *store, const struct store_recovery *recovery, const MDB_val *key,
	struct kw_view payload)
{
	uint32_t queue = store_row_queue_of(key, STORE_QUEUE_KEY_SIZE);
	if (queue == UINT32_MAX || payload.size != STORE_QUEUE_SIZE)
		return 0;
	struct store_extent extent = {
		.last = kw_get_u64(payload.data),
		.count = kw_get_u64(payload.data + 16),
		.bytes = kw_get_u64(payload.data + 24),
	};
	int code = settle(store, queue, kw_get_u64(payload.data + 8), &extent);
	if (code == 0)
		recovery->queue(
			recovery->user, queue / KW_MSG_CLASS_COUNT, (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT), &extent);
	return code;
}

static void recover_cursor(const struct store_recovery *recovery, const MDB_val *key, struct kw_view payload)
{
	uint32_t queue = store_row_queue_of(key, STORE_QUEUE_KEY_SIZE);
	if (queue == UINT32_MAX || payload.size != STORE_CURSOR_SIZE)
		return;
	struct kw_cursor cursor = {.epoch = kw_get_u64(payload.data), .sequence = kw_get_u64(payload.data + 8)};
	recovery->cursor(
		recovery->user, queue / KW_MSG_CLASS_COUNT, (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT), cursor);
}

static void recover_held(const struct store_recovery *recovery, const MDB_val *key, struct kw_view payload)
{
	uint32_t slot = key->mv_size == 4 ? kw_get_u32(key->mv_data) : STORE_SLOT_NONE;
	if (recovery->held != NULL && slot < STORE_SLOT_MAX && payload.size == STORE_HELD_SIZE)
		recovery->held(recovery->user, slot, kw_get_u32(payload.data), kw_get_u32(payload.data + 4));
}

static int recover_table(struct store *store, const struct store_recovery *recovery, MDB_dbi dbi, enum store_kind kind)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct kw_view payload;
	int code = mdb_cursor_open(store->reader, dbi, &cursor);
	if (code != 0)
		return code;
	while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!store_row_check(&key, &value, kind, &payload)) {
			/* Only a cursor can still be bad here; its agency sends again from the start. */
			store->damaged_seen++;
			continue;
		}
		if (kind == STORE_AGENCY)
			recover_agency(recovery, &key, payload);
		else if (kind == STORE_QUEUE)
			code = recover_queue(store, recovery, &key, payload);
		else if (kind == STORE_HELD)
			recover_held(recovery, &key, payload);
		else
			recover_cursor(recovery, &key, payload);
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

enum kw_err store_recover(struct store *store, const struct store_recovery *recovery)
{
	const struct store_dbis *dbi = &store->env.dbi;
	int code = store_reader_begin(store);
	if (code == 0)
		code = recover_table(store, recovery, dbi->agencies, STORE_AGENCY);
	if (code == 0)
		code = recover_table(store, recovery, dbi->queues, STORE_QUEUE);
	if (code == 0)
		code = recover_table(store, recovery, dbi->cursors, STORE_CURSOR);
	if (code == 0)
		code = recover_table(store, recovery, dbi->held, STORE_HELD);
	store_reader_end(store);
	return store_env_err(code);
}
