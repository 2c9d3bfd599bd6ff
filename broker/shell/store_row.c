#include <string.h>

#include "broker/shell/store_inner.h"

/* One head for every row, so that no byte of the file is believed before its checksum: LMDB itself checks nothing, and of
 * thousands of flipped bits it notices a handful. */

#define ROW_MAGIC 0x4b57u
#define ROW_VERSION 1u
#define ROW_CRC_AT 8u

static uint32_t row_crc(const MDB_val *key, const uint8_t *row, size_t payload_size)
{
	uint32_t crc = kw_crc32c(0, key->mv_data, key->mv_size);
	crc = kw_crc32c(crc, row, ROW_CRC_AT);
	return kw_crc32c(crc, row + STORE_ROW_HEAD_SIZE, payload_size);
}

void store_row_seal(uint8_t *out, enum store_kind kind, const MDB_val *key, uint32_t payload_size)
{
	kw_put_u16(out, ROW_MAGIC);
	out[2] = ROW_VERSION;
	out[3] = (uint8_t)kind;
	kw_put_u32(out + 4, payload_size);
	kw_put_u32(out + ROW_CRC_AT, row_crc(key, out, payload_size));
}

bool store_row_check(const MDB_val *key, const MDB_val *value, enum store_kind kind, struct kw_view *payload)
{
	const uint8_t *row = value->mv_data;
	if (value->mv_size < STORE_ROW_HEAD_SIZE || value->mv_size > STORE_DAMAGED_SIZE_MAX)
		return false;
	size_t payload_size = value->mv_size - STORE_ROW_HEAD_SIZE;
	if (kw_get_u16(row) != ROW_MAGIC || row[2] != ROW_VERSION || row[3] != (uint8_t)kind ||
		kw_get_u32(row + 4) != payload_size || kw_get_u32(row + ROW_CRC_AT) != row_crc(key, row, payload_size))
		return false;
	*payload = KW_VIEW(row + STORE_ROW_HEAD_SIZE, payload_size);
	return true;
}

void store_row_queue_key(uint8_t out[STORE_QUEUE_KEY_SIZE], uint32_t queue)
{
	kw_put_u32(out, queue / KW_MSG_CLASS_COUNT);
	out[4] = (uint8_t)(queue % KW_MSG_CLASS_COUNT);
}

uint32_t store_row_queue_of(const MDB_val *key, size_t key_size)
{
	const uint8_t *bytes = key->mv_data;
	if (key->mv_size != key_size || kw_get_u32(bytes) >= STORE_SLOT_MAX || bytes[4] >= KW_MSG_CLASS_COUNT)
		return UINT32_MAX;
	return kw_get_u32(bytes) * KW_MSG_CLASS_COUNT + bytes[4];
}

void store_row_index_key(uint8_t out[STORE_INDEX_KEY_SIZE], uint32_t queue, uint64_t sequence)
{
	store_row_queue_key(out, queue);
	kw_put_u64(out + STORE_QUEUE_KEY_SIZE, sequence);
}

static bool id_is_set(const struct kw_id *id)
{
	static const struct kw_id NONE;
	return !kw_id_equal(id, &NONE);
}

uint32_t store_row_index_put(uint8_t *out, const struct store_index *index)
{
	kw_put_u64(out, index->position);
	kw_put_u32(out + 8, index->size);
	kw_put_u32(out + 12, index->expiry_hour);
	kw_put_u32(out + 16, index->owner_slot);
	memcpy(out + 20, index->envelope_id.bytes, KW_ID_SIZE);
	if (!id_is_set(&index->thread_id))
		return STORE_INDEX_SIZE;
	memcpy(out + STORE_INDEX_SIZE, index->thread_id.bytes, KW_ID_SIZE);
	return STORE_INDEX_SIZE_MAX;
}

bool store_row_index_get(struct kw_view payload, struct store_index *out)
{
	if (payload.size != STORE_INDEX_SIZE && payload.size != STORE_INDEX_SIZE_MAX)
		return false;
	out->position = kw_get_u64(payload.data);
	out->size = kw_get_u32(payload.data + 8);
	out->expiry_hour = kw_get_u32(payload.data + 12);
	out->owner_slot = kw_get_u32(payload.data + 16);
	memcpy(out->envelope_id.bytes, payload.data + 20, KW_ID_SIZE);
	out->thread_id = (struct kw_id){{0}};
	if (payload.size == STORE_INDEX_SIZE_MAX)
		memcpy(out->thread_id.bytes, payload.data + STORE_INDEX_SIZE, KW_ID_SIZE);
	return true;
}

void store_row_clock_key(uint8_t out[STORE_CLOCK_KEY_SIZE], uint64_t due_ms, const struct kw_id *id)
{
	kw_put_u64(out, due_ms);
	memcpy(out + 8, id->bytes, KW_ID_SIZE);
}

uint32_t store_row_thread_put(uint8_t out[STORE_ROW_THREAD_SIZE_MAX], const MDB_val *key, const struct store_thread *thread,
	uint64_t place_ms)
{
	bool early = place_ms != thread->due_ms;
	uint8_t *at = out + STORE_ROW_HEAD_SIZE;
	if (early) {
		kw_put_u64(at, place_ms);
		at += 8;
	}
	kw_put_u64(at, thread->due_ms);
	memcpy(at + 8, thread->record, thread->size);
	uint32_t size = (early ? STORE_THREAD_EARLY_HEAD_SIZE : STORE_THREAD_HEAD_SIZE) + thread->size;
	store_row_seal(out, early ? STORE_THREAD_EARLY : STORE_THREAD, key, size);
	return STORE_ROW_HEAD_SIZE + size;
}

bool store_row_thread(const MDB_val *key, const MDB_val *value, struct store_thread *out, uint64_t *place_ms)
{
	struct kw_view payload;
	bool early = store_row_check(key, value, STORE_THREAD_EARLY, &payload);
	size_t head_size = early ? STORE_THREAD_EARLY_HEAD_SIZE : STORE_THREAD_HEAD_SIZE;
	if (key->mv_size != KW_ID_SIZE || (!early && !store_row_check(key, value, STORE_THREAD, &payload)) ||
		payload.size <= head_size || payload.size > head_size + STORE_THREAD_SIZE_MAX)
		return false;
	memcpy(out->id.bytes, key->mv_data, KW_ID_SIZE);
	out->due_ms = kw_get_u64(payload.data + head_size - 8);
	out->size = (uint32_t)(payload.size - head_size);
	memcpy(out->record, payload.data + head_size, out->size);
	if (place_ms != NULL)
		*place_ms = kw_get_u64(payload.data);
	return true;
}
