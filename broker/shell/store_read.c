#include <string.h>

#include "broker/shell/store_inner.h"

/* Reads on the loop thread: short read transactions that are reset between uses, every row checked and copied out. */

int store_reader_begin(struct store *store)
{
	int code = mdb_txn_renew(store->reader);
	if (code == 0)
		code = mdb_cursor_open(store->reader, store->env.dbi.index, &store->read_index);
	return code;
}

void store_reader_end(struct store *store)
{
	if (store->read_index != NULL)
		mdb_cursor_close(store->read_index);
	store->read_index = NULL;
	mdb_txn_reset(store->reader);
}

static bool index_of(const MDB_val *key, const MDB_val *value, struct store_index *out)
{
	struct kw_view payload;
	if (!store_row_check(key, value, STORE_INDEX, &payload) || payload.size != STORE_INDEX_SIZE)
		return false;
	store_row_index_get(payload, out);
	return true;
}

/* Copies the body of an index row; NULL with KW_ECORRUPT when it is damaged or gone. */
static enum kw_err body_of(struct store *store, const MDB_val *index_key, const struct store_index *index,
	struct store_box **out)
{
	uint8_t bytes[STORE_LOG_KEY_SIZE];
	struct kw_view payload;
	kw_put_u64(bytes, index->position);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	int code = mdb_get(store->reader, store->env.dbi.log, &key, &value);
	if (code != 0)
		return code == MDB_NOTFOUND ? KW_ECORRUPT : store_env_err(code);
	if (!store_row_check(&key, &value, STORE_LOG, &payload) || payload.size != STORE_INDEX_KEY_SIZE + index->size ||
		memcmp(payload.data, index_key->mv_data, STORE_INDEX_KEY_SIZE) != 0)
		return KW_ECORRUPT;
	struct store_box *box = store_box_new(index->size);
	if (box == NULL)
		return KW_ENOMEM;
	memcpy(box->data, payload.data + STORE_INDEX_KEY_SIZE, index->size);
	*out = box;
	return KW_OK;
}

static void row_from(const MDB_val *key, const struct store_index *index, struct store_row *row)
{
	uint32_t queue = store_row_queue_of(key, STORE_INDEX_KEY_SIZE);
	*row = (struct store_row){
		.slot = queue / KW_MSG_CLASS_COUNT,
		.msg_class = (enum kw_msg_class)(queue % KW_MSG_CLASS_COUNT),
		.sequence = kw_get_u64((const uint8_t *)key->mv_data + STORE_QUEUE_KEY_SIZE),
		.owner_slot = index->owner_slot,
		.expiry_hour = index->expiry_hour,
		.envelope_id = index->envelope_id,
		.body_size = index->size,
	};
}

struct read_state {
	const struct store_range *range;
	void (*each)(void *user, const struct store_row *row);
	void *user;
	uint32_t queue;
	uint32_t count;
	uint64_t bytes;
};

static enum kw_err read_one(struct store *store, struct read_state *state, const MDB_val *key, const MDB_val *value)
{
	struct store_index index;
	struct store_row row;
	uint64_t sequence = kw_get_u64((const uint8_t *)key->mv_data + STORE_QUEUE_KEY_SIZE);
	enum kw_err err = index_of(key, value, &index) ? KW_OK : KW_ECORRUPT;
	struct store_box *box = NULL;
	if (err == KW_OK)
		err = body_of(store, key, &index, &box);
	if (err == KW_ECORRUPT) {
		store_report_damage(store, state->queue, sequence);
		return KW_OK;
	}
	if (err != KW_OK)
		return err;
	row_from(key, &index, &row);
	row.box = box;
	state->count++;
	state->bytes += index.size;
	state->each(state->user, &row);
	return KW_OK;
}

enum kw_err store_read(struct store *store, const struct store_range *range,
	void (*each)(void *user, const struct store_row *row), void *user)
{
	uint32_t queue = store_queue_index(range->slot, range->msg_class);
	struct read_state state = {.range = range, .each = each, .user = user, .queue = queue};
	uint64_t from = range->from > store->trimmed[queue] ? range->from : store->trimmed[queue] + 1;
	uint8_t bytes[STORE_INDEX_KEY_SIZE];
	store_row_index_key(bytes, queue, from);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	enum kw_err err = store_env_err(store_reader_begin(store));
	if (err != KW_OK)
		return err;
	int code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
	while (code == 0 && err == KW_OK && state.count < range->count_max && state.bytes < range->bytes_max) {
		if (store_row_queue_of(&key, STORE_INDEX_KEY_SIZE) != queue)
			break;
		err = read_one(store, &state, &key, &value);
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT);
	}
	store_reader_end(store);
	if (err == KW_OK && code != 0 && code != MDB_NOTFOUND)
		err = store_env_err(code);
	return err;
}

bool store_sweep(struct store *store, uint32_t hour, uint32_t rows_max,
	void (*each)(void *user, const struct store_row *row), void *user)
{
	MDB_val key = store_val(store->sweep_key, sizeof(store->sweep_key));
	MDB_val value;
	if (store_reader_begin(store) != 0) {
		store_reader_end(store);
		return false;
	}
	int code = mdb_cursor_get(store->read_index, &key, &value, MDB_SET_RANGE);
	for (uint32_t i = 0; code == 0 && i < rows_max; i++) {
		struct store_index index;
		struct store_row row;
		uint32_t queue = store_row_queue_of(&key, STORE_INDEX_KEY_SIZE);
		if (queue != UINT32_MAX && index_of(&key, &value, &index) && index.expiry_hour != 0 &&
			index.expiry_hour <= hour) {
			row_from(&key, &index, &row);
			if (row.sequence > store->trimmed[queue])
				each(user, &row);
		}
		code = mdb_cursor_get(store->read_index, &key, &value, MDB_NEXT);
	}
	bool wrapped = code != 0;
	if (wrapped)
		memset(store->sweep_key, 0, sizeof(store->sweep_key));
	else if (key.mv_size == sizeof(store->sweep_key))
		memcpy(store->sweep_key, key.mv_data, key.mv_size);
	store_reader_end(store);
	return wrapped;
}
