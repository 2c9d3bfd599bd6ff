/* A block of linkage rows from a disk that lied: what opens is written again byte for byte, and what is loaded is found and
 * searched without harm. The checksum is made right for most inputs, or nothing behind it would ever be reached. */

#include <stdlib.h>
#include <string.h>

#include "broker/core/linkage_rows.h"
#include "broker/core/linkage_scan.h"
#include "proto/base/check.h"

static const struct brk_linkage_params PARAMS = {.filter_bits = 1536, .arity = 5, .quantum = 32};
static const struct brk_linkage_limits LIMITS = {200, 2};

static void write_again(struct kw_view block, const struct brk_linkage_rows *rows)
{
	static uint8_t out[BRK_LINKAGE_ROWS_SIZE_MAX];
	struct brk_linkage_rows_writer writer;
	brk_linkage_rows_begin(&writer, &rows->params, out);
	for (uint32_t i = 0; i < rows->count; i++) {
		struct brk_linkage_row row;
		if (brk_linkage_rows_read(rows, i, &row) != KW_OK)
			return;
		KW_ASSERT(brk_linkage_rows_add(&writer, &row) == KW_OK);
	}
	KW_ASSERT(kw_view_equal(brk_linkage_rows_end(&writer), block));
}

/* Each record that was loaded finds itself, with the best score that there is. */
static void search(struct brk_linkage_index *index, const struct brk_linkage_rows *rows)
{
	static struct brk_linkage_scan scan;
	struct brk_linkage_answer answer;
	struct brk_linkage_row row;
	uint64_t number;
	KW_ASSERT(brk_linkage_scan_init(&scan, index) == KW_OK);
	if (brk_linkage_rows_read(rows, 0, &row) == KW_OK &&
		brk_linkage_index_get(index, &row.record.handle, &row.record, &number) == KW_OK && row.record.expiry_hour > 0) {
		struct brk_linkage_query query = {.epoch = row.record.epoch, .scope = row.record.scope, .least = 1, .k = 3, .kinds = 3,
			.skip_owner = BRK_LINKAGE_NONE, .size_class = row.record.size_class};
		memcpy(query.code, row.record.code, sizeof(query.code));
		KW_ASSERT(brk_linkage_scan_ask(&scan, &query) == KW_OK);
		while (brk_linkage_scan_step(&scan, 100))
			continue;
		KW_ASSERT(brk_linkage_scan_answer(&scan, &answer) && answer.count >= 1 && answer.exact);
		KW_ASSERT(answer.found[0].score == BRK_LINKAGE_SCORE_ONE);
	}
	brk_linkage_scan_fini(&scan);
}

static void load(struct kw_view block, const struct brk_linkage_rows *rows)
{
	static struct brk_linkage_index index;
	static void *memory;
	static uint64_t size;
	struct brk_linkage_config config = {LIMITS, PARAMS, brk_linkage_kernel_get(BRK_LINKAGE_PORTABLE), {1, 2}};
	struct brk_linkage_loaded loaded;
	if (memory == NULL) {
		KW_ASSERT(brk_linkage_index_size(&LIMITS, &size) == KW_OK);
		memory = aligned_alloc(64, size);
		KW_ASSERT(memory != NULL);
		memset(memory, 0, size);
	}
	KW_ASSERT(brk_linkage_index_init(&index, &config, memory) == KW_OK);
	if (brk_linkage_rows_load(&index, block, &loaded) != KW_OK)
		return;
	KW_ASSERT(loaded.count + loaded.refused == rows->count && loaded.count == index.count);
	search(&index, rows);
	/* All go again, so the memory is as it was. */
	for (uint32_t i = 0; i < rows->count; i++) {
		struct brk_linkage_row row;
		if (brk_linkage_rows_read(rows, i, &row) == KW_OK)
			(void)brk_linkage_index_withdraw(&index, &row.record.handle, row.record.owner);
	}
	for (uint32_t slot = 0; slot < index.segments_used * BRK_LINKAGE_SEGMENT; slot++) {
		if (index.slots[slot].number == 0)
			continue;
		/* Two rows of one handle and different owners: the second was refused, and its owner may not withdraw the first. */
		struct kw_id handle = index.slots[slot].handle;
		KW_ASSERT(brk_linkage_index_withdraw(&index, &handle, index.slots[slot].owner) == KW_OK);
		slot--;
	}
	KW_ASSERT(index.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t block[BRK_LINKAGE_ROWS_SIZE_MAX + BRK_LINKAGE_ROW_SIZE];
	struct brk_linkage_rows rows;
	if (size == 0 || size > sizeof(block))
		return 0;
	bool is_summed = data[0] % 8 != 0;
	memcpy(block, data + 1, --size);
	if (is_summed && size >= BRK_LINKAGE_ROWS_HEAD_SIZE)
		kw_put_u32(block + 4, kw_crc32c(0, block + 8, size - 8));
	struct kw_view view = KW_VIEW(block, size);
	if (brk_linkage_rows_open(view, &rows) != KW_OK)
		return 0;
	write_again(view, &rows);
	load(view, &rows);
	return 0;
}
