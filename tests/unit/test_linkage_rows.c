/* Stored rows of linkage records: what is written is read, and nothing else is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/linkage_rows.h"
#include "tests/kit/linkage_rig.h"

static uint8_t out[BRK_LINKAGE_ROWS_SIZE_MAX];

static struct brk_linkage_row row_of(uint64_t at)
{
	struct prng prng = {at};
	struct brk_linkage_row row = {.number = at, .record = {.handle = linkage_rig_handle(at), .epoch = 3, .scope = 0xfffffffe,
		.owner = 77, .expiry_hour = (uint32_t)(500000 + at), .kind = (uint8_t)(at % 2), .size_class = (uint8_t)(at % 49)}};
	linkage_rig_code(&prng, 10, 500, row.record.code);
	return row;
}

static struct kw_view block_of(uint32_t count)
{
	struct brk_linkage_rows_writer writer;
	brk_linkage_rows_begin(&writer, &RIG_PARAMS, out);
	for (uint32_t i = 0; i < count; i++) {
		struct brk_linkage_row row = row_of(i + 1);
		assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_OK);
	}
	return brk_linkage_rows_end(&writer);
}

/* After a change, so that the checksum does not hide what is behind it. */
static void sum_again(size_t size)
{
	kw_put_u32(out + 4, kw_crc32c(0, out + 8, size - 8));
}

static void test_rows_come_back(void **state)
{
	static const uint32_t COUNTS[] = {1, 2, 100, BRK_LINKAGE_ROWS_MAX};
	(void)state;
	for (uint32_t c = 0; c < 4; c++) {
		struct brk_linkage_rows rows;
		struct kw_view block = block_of(COUNTS[c]);
		assert_int_equal(brk_linkage_rows_open(block, &rows), KW_OK);
		assert_int_equal(rows.count, COUNTS[c]);
		for (uint32_t i = 0; i < rows.count; i++) {
			struct brk_linkage_row row, expected = row_of(i + 1);
			assert_int_equal(brk_linkage_rows_read(&rows, i, &row), KW_OK);
			assert_true(row.number == expected.number && row.record.epoch == 3 && row.record.scope == 0xfffffffe &&
				row.record.owner == 77 && row.record.expiry_hour == expected.record.expiry_hour &&
				row.record.kind == expected.record.kind && row.record.size_class == expected.record.size_class);
			assert_memory_equal(row.record.handle.bytes, expected.record.handle.bytes, KW_ID_SIZE);
			assert_memory_equal(row.record.code, expected.record.code, BRK_LINKAGE_CODE_SIZE);
		}
	}
	assert_int_equal(block_of(BRK_LINKAGE_ROWS_MAX).size, BRK_LINKAGE_ROWS_SIZE_MAX);
}

static void test_rows_bytes(void **state)
{
	static const uint8_t HEAD[] = {'K', 'W', 'L', 'R', 0, 0, 0, 0, 1, 5, 32, 0, 6, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
	(void)state;
	struct kw_view block = block_of(1);
	assert_int_equal(block.size, 16 + 234);
	assert_memory_equal(out, HEAD, 4);
	assert_memory_equal(out + 8, HEAD + 8, sizeof(HEAD) - 8);
	assert_int_equal(kw_get_u32(out + 16 + 24), 3);
	assert_int_equal(out[16 + 40], 1);
	assert_int_equal(out[16 + 41], 1);
}

static void test_rows_max_and_one_more(void **state)
{
	struct brk_linkage_rows_writer writer;
	struct brk_linkage_rows rows;
	struct brk_linkage_row row = row_of(1);
	static uint8_t larger[BRK_LINKAGE_ROWS_SIZE_MAX + BRK_LINKAGE_ROW_SIZE];
	(void)state;
	brk_linkage_rows_begin(&writer, &RIG_PARAMS, larger);
	for (uint32_t i = 0; i < BRK_LINKAGE_ROWS_MAX; i++)
		assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_OK);
	assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_EFULL);
	(void)brk_linkage_rows_end(&writer);
	/* A whole block of one row more, with a right checksum. */
	memcpy(larger + BRK_LINKAGE_ROWS_SIZE_MAX, larger + 16, BRK_LINKAGE_ROW_SIZE);
	kw_put_u16(larger + 14, BRK_LINKAGE_ROWS_MAX + 1);
	kw_put_u32(larger + 4, kw_crc32c(0, larger + 8, sizeof(larger) - 8));
	assert_int_equal(brk_linkage_rows_open(KW_VIEW_OF(larger), &rows), KW_EFIELD);
}

static void test_writer_refuses_what_no_reader_takes(void **state)
{
	struct brk_linkage_rows_writer writer;
	(void)state;
	brk_linkage_rows_begin(&writer, &RIG_PARAMS, out);
	struct brk_linkage_row row = row_of(1);
	row.number = 0;
	assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_EFIELD);
	row = row_of(1);
	row.record.kind = 2;
	assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_EFIELD);
	row = row_of(1);
	row.record.size_class = 49;
	assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_EFIELD);
	row = row_of(1);
	memset(&row.record.handle, 0, KW_ID_SIZE);
	assert_int_equal(brk_linkage_rows_add(&writer, &row), KW_EFIELD);
	assert_int_equal(writer.count, 0);
}

static void test_each_flipped_bit_is_seen(void **state)
{
	struct brk_linkage_rows rows;
	(void)state;
	struct kw_view block = block_of(3);
	for (size_t bit = 0; bit < block.size * 8; bit++) {
		out[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(brk_linkage_rows_open(block, &rows), bit < 32 ? KW_EFORMAT : KW_ECORRUPT);
		out[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t size = 0; size < block.size; size++)
		assert_true(brk_linkage_rows_open(KW_VIEW(out, size), &rows) != KW_OK);
}

static void test_head_is_checked(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		enum kw_err err;
	} CASES[] = {
		{8, 2, KW_EVERSION}, {8, 0, KW_EVERSION}, {9, 0, KW_EFIELD}, {9, 9, KW_EFIELD}, {10, 0, KW_EFIELD},
		{10, 24, KW_EFIELD}, {11, 1, KW_EFIELD}, {12, 255, KW_EFIELD}, {15, 0, KW_EFIELD}, {15, 2, KW_EFORMAT},
		{15, 4, KW_EFORMAT}, {14, 1, KW_EFIELD},
	};
	struct brk_linkage_rows rows = {.count = 99};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct kw_view block = block_of(3);
		out[CASES[i].at] = CASES[i].value;
		sum_again(block.size);
		assert_int_equal(brk_linkage_rows_open(block, &rows), CASES[i].err);
		assert_int_equal(rows.count, 99);
	}
}

static void test_load(void **state)
{
	struct linkage_rig rig;
	struct brk_linkage_loaded loaded;
	(void)state;
	linkage_rig_init(&rig, &(struct brk_linkage_limits){1000, 2}, brk_linkage_kernel_best());
	struct kw_view block = block_of(100);
	assert_int_equal(brk_linkage_rows_load(&rig.index, block, &loaded), KW_OK);
	assert_int_equal(loaded.count, 100);
	assert_int_equal(loaded.refused, 0);
	for (uint32_t i = 0; i < 100; i++) {
		struct brk_linkage_row expected = row_of(i + 1);
		struct brk_linkage_record record;
		uint64_t number;
		assert_int_equal(brk_linkage_index_get(&rig.index, &expected.record.handle, &record, &number), KW_OK);
		assert_int_equal(number, i + 1);
		assert_memory_equal(record.code, expected.record.code, BRK_LINKAGE_CODE_SIZE);
	}
	/* The same again, and a bad row among good ones. */
	assert_int_equal(brk_linkage_rows_load(&rig.index, block, &loaded), KW_OK);
	assert_true(loaded.count == 0 && loaded.refused == 100 && loaded.err == KW_EEXIST);
	block = block_of(102);
	out[16 + 100 * BRK_LINKAGE_ROW_SIZE + 40] = 2;
	sum_again(block.size);
	assert_int_equal(brk_linkage_rows_load(&rig.index, block, &loaded), KW_OK);
	assert_true(loaded.count == 1 && loaded.refused == 101);
	/* Codes of another encoding. */
	out[9] = 4;
	sum_again(block.size);
	assert_int_equal(brk_linkage_rows_load(&rig.index, block, &loaded), KW_EVERSION);
	assert_int_equal(rig.index.count, 101);
	linkage_rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_come_back),
		cmocka_unit_test(test_rows_bytes),
		cmocka_unit_test(test_rows_max_and_one_more),
		cmocka_unit_test(test_writer_refuses_what_no_reader_takes),
		cmocka_unit_test(test_each_flipped_bit_is_seen),
		cmocka_unit_test(test_head_is_checked),
		cmocka_unit_test(test_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
