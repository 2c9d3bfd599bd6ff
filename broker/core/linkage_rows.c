#include "broker/core/linkage_rows.h"

#include <string.h>

#include "proto/base/check.h"

#define MAGIC UINT32_C(0x4b574c52) /* "KWLR" */
#define SUMMED 8u                  /* the checksum covers what follows */

static bool is_valid(const struct brk_linkage_params *params, const struct brk_linkage_row *row)
{
	static const struct kw_id NONE;
	return row->number != 0 && row->number != UINT64_MAX && !kw_id_equal(&row->record.handle, &NONE) &&
	       row->record.kind < BRK_LINKAGE_KIND_COUNT && row->record.size_class <= params->filter_bits / params->quantum;
}

void brk_linkage_rows_begin(struct brk_linkage_rows_writer *writer, const struct brk_linkage_params *params, uint8_t *out)
{
	KW_ASSERT(brk_linkage_params_valid(params));
	*writer = (struct brk_linkage_rows_writer){*params, out, 0};
}

enum kw_err brk_linkage_rows_add(struct brk_linkage_rows_writer *writer, const struct brk_linkage_row *row)
{
	if (writer->count == BRK_LINKAGE_ROWS_MAX)
		return KW_EFULL;
	if (!is_valid(&writer->params, row))
		return KW_EFIELD;
	uint8_t *out = writer->out + BRK_LINKAGE_ROWS_HEAD_SIZE + writer->count * BRK_LINKAGE_ROW_SIZE;
	const struct brk_linkage_record *record = &row->record;
	kw_put_u64(out, row->number);
	memcpy(out + 8, record->handle.bytes, KW_ID_SIZE);
	kw_put_u32(out + 24, record->epoch);
	kw_put_u32(out + 28, record->scope);
	kw_put_u32(out + 32, record->owner);
	kw_put_u32(out + 36, record->expiry_hour);
	out[40] = record->kind;
	out[41] = record->size_class;
	memcpy(out + 42, record->code, BRK_LINKAGE_CODE_SIZE);
	writer->count++;
	return KW_OK;
}

struct kw_view brk_linkage_rows_end(struct brk_linkage_rows_writer *writer)
{
	uint8_t *out = writer->out;
	size_t size = BRK_LINKAGE_ROWS_HEAD_SIZE + writer->count * BRK_LINKAGE_ROW_SIZE;
	KW_ASSERT(writer->count > 0);
	kw_put_u32(out, MAGIC);
	out[8] = BRK_LINKAGE_ROWS_VERSION;
	out[9] = writer->params.arity;
	out[10] = writer->params.quantum;
	out[11] = 0;
	kw_put_u16(out + 12, writer->params.filter_bits);
	kw_put_u16(out + 14, (uint16_t)writer->count);
	kw_put_u32(out + 4, kw_crc32c(0, out + SUMMED, size - SUMMED));
	return KW_VIEW(out, size);
}

enum kw_err brk_linkage_rows_open(struct kw_view block, struct brk_linkage_rows *rows)
{
	const uint8_t *in = block.data;
	if (block.size < BRK_LINKAGE_ROWS_HEAD_SIZE || kw_get_u32(in) != MAGIC)
		return KW_EFORMAT;
	if (kw_get_u32(in + 4) != kw_crc32c(0, in + SUMMED, block.size - SUMMED))
		return KW_ECORRUPT;
	if (in[8] != BRK_LINKAGE_ROWS_VERSION)
		return KW_EVERSION;
	struct brk_linkage_rows found = {
		.rows = KW_VIEW(in + BRK_LINKAGE_ROWS_HEAD_SIZE, block.size - BRK_LINKAGE_ROWS_HEAD_SIZE),
		.params = {.filter_bits = kw_get_u16(in + 12), .arity = in[9], .quantum = in[10]},
		.count = kw_get_u16(in + 14),
	};
	if (found.count == 0 || found.count > BRK_LINKAGE_ROWS_MAX || in[11] != 0 || !brk_linkage_params_valid(&found.params))
		return KW_EFIELD;
	if (found.rows.size != (size_t)found.count * BRK_LINKAGE_ROW_SIZE)
		return KW_EFORMAT;
	*rows = found;
	return KW_OK;
}

enum kw_err brk_linkage_rows_read(const struct brk_linkage_rows *rows, uint32_t at, struct brk_linkage_row *row)
{
	KW_ASSERT(at < rows->count);
	const uint8_t *in = rows->rows.data + (size_t)at * BRK_LINKAGE_ROW_SIZE;
	struct brk_linkage_row found = {
		.number = kw_get_u64(in),
		.record = {
			.epoch = kw_get_u32(in + 24),
			.scope = kw_get_u32(in + 28),
			.owner = kw_get_u32(in + 32),
			.expiry_hour = kw_get_u32(in + 36),
			.kind = in[40],
			.size_class = in[41],
		},
	};
	memcpy(found.record.handle.bytes, in + 8, KW_ID_SIZE);
	memcpy(found.record.code, in + 42, BRK_LINKAGE_CODE_SIZE);
	if (!is_valid(&rows->params, &found))
		return KW_EFIELD;
	*row = found;
	return KW_OK;
}

static bool is_alike(const struct brk_linkage_params *a, const struct brk_linkage_params *b)
{
	return a->filter_bits == b->filter_bits && a->arity == b->arity && a->quantum == b->quantum;
}

enum kw_err brk_linkage_rows_load(struct brk_linkage_index *index, struct kw_view block, struct brk_linkage_loaded *loaded)
{
	struct brk_linkage_rows rows;
	struct brk_linkage_loaded result = {.err = KW_OK};
	enum kw_err err = brk_linkage_rows_open(block, &rows);
	if (err != KW_OK)
		return err;
	if (!is_alike(&rows.params, &index->score.params))
		return KW_EVERSION;
	/* Places of handles lie all over memory: they are fetched side by side first. */
	for (uint32_t i = 0; i < rows.count; i++) {
		struct kw_id handle;
		memcpy(handle.bytes, rows.rows.data + (size_t)i * BRK_LINKAGE_ROW_SIZE + 8, KW_ID_SIZE);
		brk_linkage_index_expect(index, &handle);
	}
	for (uint32_t i = 0; i < rows.count; i++) {
		struct brk_linkage_row row;
		err = brk_linkage_rows_read(&rows, i, &row);
		if (err == KW_OK)
			err = brk_linkage_index_load(index, &row.record, row.number);
		if (err == KW_OK) {
			result.count++;
			continue;
		}
		if (result.refused++ == 0)
			result.err = err;
	}
	*loaded = result;
	return KW_OK;
}
