/* The index and its searches, claim by claim; test_linkage_model.c has the random walk. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/linkage_rig.h"

static struct linkage_rig rig;
static struct brk_linkage_scan scan;
static struct brk_linkage_answer answer;

static void begin(uint32_t records_max, uint32_t partitions_max)
{
	struct brk_linkage_limits limits = {records_max, partitions_max};
	linkage_rig_init(&rig, &limits, brk_linkage_kernel_best());
	assert_int_equal(brk_linkage_scan_init(&scan, &rig.index), KW_OK);
}

static void end(void)
{
	brk_linkage_scan_fini(&scan);
	linkage_rig_fini(&rig);
}

/* A code that differs from that of all zero bits in `bits`. */
static struct brk_linkage_record record_of(uint64_t handle, uint32_t bits)
{
	struct brk_linkage_record record = {.handle = linkage_rig_handle(handle), .epoch = 1, .scope = 1, .owner = 5,
		.expiry_hour = BRK_LINKAGE_NEVER, .size_class = 12};
	for (uint32_t i = 0; i < bits; i++)
		record.code[i / 8] |= (uint8_t)(1u << i % 8);
	return record;
}

static enum kw_err put(const struct brk_linkage_record *record)
{
	uint64_t number = 0;
	return brk_linkage_index_put(&rig.index, record, &number);
}

static void put_many(uint64_t from, uint32_t count, uint32_t bits)
{
	for (uint32_t i = 0; i < count; i++) {
		struct brk_linkage_record record = record_of(from + i, bits);
		assert_int_equal(put(&record), KW_OK);
	}
}

static void withdraw(uint64_t handle)
{
	struct kw_id id = linkage_rig_handle(handle);
	assert_int_equal(brk_linkage_index_withdraw(&rig.index, &id, 5), KW_OK);
}

static struct brk_linkage_query query_of(uint64_t ticket, uint16_t k)
{
	return (struct brk_linkage_query){.ticket = ticket, .epoch = 1, .scope = 1, .least = 1, .skip_owner = BRK_LINKAGE_NONE,
		.k = k, .kinds = 3, .size_class = 12};
}

static void ask(uint64_t ticket, uint16_t k)
{
	struct brk_linkage_query query = query_of(ticket, k);
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
}

static void finish(void)
{
	while (brk_linkage_scan_step(&scan, 100000))
		continue;
	assert_true(brk_linkage_scan_answer(&scan, &answer));
}

static void assert_found(uint32_t at, uint64_t handle)
{
	struct kw_id id = linkage_rig_handle(handle);
	assert_true(at < answer.count);
	assert_memory_equal(answer.found[at].handle.bytes, id.bytes, KW_ID_SIZE);
}

static void test_size_and_limits(void **state)
{
	struct brk_linkage_limits limits = {BRK_LINKAGE_RECORDS_MAX, BRK_LINKAGE_PARTITIONS_MAX};
	uint64_t size = 0;
	(void)state;
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_OK);
	limits.records_max = BRK_LINKAGE_RECORDS_MAX + 1;
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_EFIELD);
	limits.records_max = 0;
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_EFIELD);
	limits = (struct brk_linkage_limits){1, BRK_LINKAGE_PARTITIONS_MAX + 1};
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_EFIELD);
	limits.partitions_max = 0;
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_EFIELD);
	/* Ten million records and what searches them, within 3 GiB. */
	limits = (struct brk_linkage_limits){10000000, 64};
	assert_int_equal(brk_linkage_index_size(&limits, &size), KW_OK);
	assert_true(size + BRK_LINKAGE_SCANS_MAX * sizeof(struct brk_linkage_scan) < UINT64_C(3) << 30);
}

static void test_put_refuses(void **state)
{
	(void)state;
	begin(10, 2);
	struct brk_linkage_record record = record_of(1, 3);
	record.kind = BRK_LINKAGE_KIND_COUNT;
	assert_int_equal(put(&record), KW_EFIELD);
	record = record_of(1, 3);
	record.size_class = 48;
	assert_int_equal(put(&record), KW_OK);
	record.size_class = 49;
	assert_int_equal(put(&record), KW_EFIELD);
	record = record_of(1, 3);
	memset(&record.handle, 0, sizeof(record.handle));
	assert_int_equal(put(&record), KW_EFIELD);
	/* A handle that is another agency's. */
	record = record_of(1, 3);
	record.owner = 6;
	assert_int_equal(put(&record), KW_EDENIED);
	assert_int_equal(brk_linkage_index_withdraw(&rig.index, &record.handle, 6), KW_EDENIED);
	assert_int_equal(rig.index.count, 1);
	end();
}

static void test_records_max_and_one_more(void **state)
{
	(void)state;
	begin(10, 2);
	put_many(1, 10, 3);
	struct brk_linkage_record record = record_of(11, 3);
	assert_int_equal(put(&record), KW_EFULL);
	/* Another's place is free again; one that is there may change all the while. */
	record = record_of(4, 9);
	assert_int_equal(put(&record), KW_OK);
	withdraw(7);
	record = record_of(11, 3);
	assert_int_equal(put(&record), KW_OK);
	end();
}

static void test_partitions_max_and_one_more(void **state)
{
	(void)state;
	begin(10, 2);
	struct brk_linkage_record record = record_of(1, 3);
	assert_int_equal(put(&record), KW_OK);
	record = record_of(2, 3);
	record.scope = 2;
	assert_int_equal(put(&record), KW_OK);
	record = record_of(3, 3);
	record.epoch = 2;
	assert_int_equal(put(&record), KW_EFULL);
	/* A change that finds no room leaves the old record. */
	record.handle = linkage_rig_handle(2);
	assert_int_equal(put(&record), KW_EFULL);
	assert_int_equal(rig.index.count, 2);
	withdraw(1);
	record.handle = linkage_rig_handle(3);
	assert_int_equal(put(&record), KW_OK);
	end();
}

static enum kw_err put_in(uint32_t partition, uint32_t bucket)
{
	struct brk_linkage_record record = record_of(1 + partition * 1000 + bucket, 3);
	record.scope = partition;
	record.kind = (uint8_t)(bucket % 2);
	record.size_class = (uint8_t)(bucket / 2);
	return put(&record);
}

/* With many partitions of sizes spread wide, begun segments run out first. */
static void test_segments_may_end_before_records_max(void **state)
{
	uint32_t count = 0;
	(void)state;
	begin(BRK_LINKAGE_SEGMENT, 8);
	for (uint32_t partition = 0; partition < 8; partition++)
		for (uint32_t bucket = 0; bucket < 98; bucket++)
			if (put_in(partition, bucket) == KW_OK)
				count++;
	assert_int_equal(count, 1 + 8 * BRK_LINKAGE_SPARE_SEGMENTS);
	assert_int_equal(rig.index.count, count);
	/* In begun ones there is room still. */
	struct brk_linkage_record record = record_of(100000, 3);
	record.scope = 0;
	assert_int_equal(put(&record), KW_OK);
	end();
	begin(98, 1);
	for (uint32_t bucket = 0; bucket < 98; bucket++)
		assert_int_equal(put_in(0, bucket), KW_OK);
	end();
}

static void test_equals_by_insertion(void **state)
{
	(void)state;
	begin(100, 1);
	put_many(1, 30, 100);
	/* A change makes it new among equals; a new expiry does not. */
	struct brk_linkage_record record = record_of(2, 101);
	assert_int_equal(put(&record), KW_OK);
	record = record_of(2, 100);
	assert_int_equal(put(&record), KW_OK);
	record = record_of(3, 100);
	record.expiry_hour = 50;
	assert_int_equal(put(&record), KW_OK);
	ask(9, 30);
	finish();
	assert_int_equal(answer.ticket, 9);
	assert_int_equal(answer.count, 30);
	assert_found(0, 1);
	assert_found(1, 3);
	assert_found(2, 4);
	assert_found(29, 2);
	end();
}

static void test_query_says_what_it_wants(void **state)
{
	(void)state;
	begin(100, 2);
	put_many(1, 1, 10);
	struct brk_linkage_record record = record_of(2, 20);
	record.kind = BRK_LINKAGE_TRACING;
	assert_int_equal(put(&record), KW_OK);
	record = record_of(3, 30);
	record.owner = 6;
	record.expiry_hour = 100;
	assert_int_equal(put(&record), KW_OK);
	record = record_of(4, 0);
	record.scope = 2;
	assert_int_equal(put(&record), KW_OK);
	struct brk_linkage_query query = query_of(1, 20);
	query.now_hour = 99;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 3);
	query.now_hour = 100;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 2);
	query.now_hour = 0;
	query.kinds = 1u << BRK_LINKAGE_TRACING;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 1);
	assert_found(0, 2);
	query.kinds = 3;
	query.skip_owner = 5;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 1);
	assert_found(0, 3);
	query.skip_owner = BRK_LINKAGE_NONE;
	query.self = linkage_rig_handle(1);
	query.least = brk_linkage_score_of(&rig.index.score, 20, 12, 12);
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 1);
	assert_found(0, 2);
	query.scope = 77;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	finish();
	assert_int_equal(answer.count, 0);
	assert_true(answer.exact);
	end();
}

static void test_query_refused(void **state)
{
	(void)state;
	begin(100, 1);
	struct brk_linkage_query query = query_of(1, BRK_LINKAGE_K_MAX);
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	query.k = BRK_LINKAGE_K_MAX + 1;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query.k = 0;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query = query_of(1, 1);
	query.kinds = 0;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query.kinds = 4;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query = query_of(1, 1);
	query.size_class = 49;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query = query_of(1, 1);
	query.least = 0;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	query.least = BRK_LINKAGE_SCORE_ONE + 1;
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EFIELD);
	end();
}

static void test_k_max_is_found_whole(void **state)
{
	(void)state;
	begin(1000, 1);
	for (uint32_t i = 0; i < 600; i++)
		put_many(i + 1, 1, i + 1);
	ask(1, BRK_LINKAGE_K_MAX);
	finish();
	assert_int_equal(answer.count, BRK_LINKAGE_K_MAX);
	assert_found(0, 1);
	assert_found(BRK_LINKAGE_K_MAX - 1, BRK_LINKAGE_K_MAX);
	end();
}

static void test_waiting_max_and_one_more(void **state)
{
	(void)state;
	begin(1000, 1);
	put_many(1, 1, 10);
	for (uint32_t i = 0; i < BRK_LINKAGE_WAITING_MAX; i++)
		ask(i, 1);
	struct brk_linkage_query query = query_of(0, 1);
	assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_EBUSY);
	for (uint32_t i = 0; i < BRK_LINKAGE_WAITING_MAX; i++) {
		if (!brk_linkage_scan_answer(&scan, &answer))
			finish();
		assert_int_equal(answer.ticket, i);
		assert_int_equal(answer.count, 1);
	}
	assert_false(brk_linkage_scan_answer(&scan, &answer));
	assert_int_equal(scan.passes, BRK_LINKAGE_WAITING_MAX / BRK_LINKAGE_BATCH_MAX);
	end();
}

static void test_batch_max_and_one_more(void **state)
{
	(void)state;
	begin(1000, 2);
	put_many(1, 300, 10);
	for (uint32_t i = 0; i < BRK_LINKAGE_BATCH_MAX; i++)
		ask(i, 3);
	finish();
	assert_int_equal(scan.passes, 1);
	/* What a pass looks at first it reads twice: here 172..299, from a block's first on. */
	assert_int_equal(scan.looked, 300 + 300 - 176);
	while (brk_linkage_scan_answer(&scan, &answer))
		continue;
	/* The one more waits; one of another scope, asked before it, has a pass of its own and none overtakes it. */
	for (uint32_t i = 0; i <= BRK_LINKAGE_BATCH_MAX; i++) {
		struct brk_linkage_query query = query_of(i, 3);
		query.scope = i == 2 ? 2 : 1;
		assert_int_equal(brk_linkage_scan_ask(&scan, &query), KW_OK);
	}
	ask(1000, 3);
	finish();
	assert_int_equal(scan.passes, 2);
	uint32_t count = 1;
	for (; brk_linkage_scan_answer(&scan, &answer); count++)
		assert_true(answer.ticket != 2 && answer.ticket != 1000);
	assert_int_equal(count, BRK_LINKAGE_BATCH_MAX);
	finish();
	assert_int_equal(answer.ticket, 2);
	finish();
	assert_int_equal(answer.ticket, 1000);
	end();
}

static void test_scans_max_and_one_more(void **state)
{
	static struct brk_linkage_scan others[BRK_LINKAGE_SCANS_MAX];
	(void)state;
	begin(10, 1);
	for (uint32_t i = 1; i < BRK_LINKAGE_SCANS_MAX; i++)
		assert_int_equal(brk_linkage_scan_init(&others[i], &rig.index), KW_OK);
	assert_int_equal(brk_linkage_scan_init(&others[0], &rig.index), KW_EFULL);
	brk_linkage_scan_fini(&others[2]);
	assert_int_equal(brk_linkage_scan_init(&others[0], &rig.index), KW_OK);
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		brk_linkage_scan_fini(&others[i]);
	end();
}

static void test_step_is_bounded(void **state)
{
	(void)state;
	begin(10000, 1);
	put_many(1, 5000, 10);
	ask(1, 3);
	uint64_t before = 0;
	for (bool more = true; more; before = scan.looked) {
		more = brk_linkage_scan_step(&scan, 500);
		/* The pass begins with a look at one segment; each step reads one more than its budget at most. */
		assert_true(scan.looked - before <= 500 + BRK_LINKAGE_SEGMENT);
	}
	assert_true(scan.looked >= 5000);
	assert_true(brk_linkage_scan_answer(&scan, &answer));
	end();
}

static void test_sizes_that_cannot_be_near_are_not_read(void **state)
{
	(void)state;
	begin(10000, 1);
	put_many(1, 100, 200);
	for (uint32_t i = 0; i < 2000; i++) {
		struct brk_linkage_record record = record_of(1000 + i, 0);
		record.size_class = 47;
		assert_int_equal(put(&record), KW_OK);
	}
	ask(1, 5);
	finish();
	assert_int_equal(scan.looked, 200);
	assert_found(0, 1);
	/* With room in its list it reads them. */
	ask(2, 200);
	finish();
	assert_int_equal(answer.count, 200);
	assert_true(scan.looked > 400);
	end();
}

/* The segment to be looked at next is freed, and taken by a bucket that the query must not see. */
static void test_segment_freed_under_the_scan(void **state)
{
	(void)state;
	for (uint32_t backwards = 0; backwards < 2; backwards++) {
		begin(10000, 2);
		put_many(1, BRK_LINKAGE_SEGMENT + 40, 300);
		if (backwards != 0) {
			ask(0, 1);
			finish();
		}
		ask(1, 40);
		/* The look at the last segment; forwards, then, the first one. */
		assert_true(brk_linkage_scan_step(&scan, backwards != 0 ? 1 : 41));
		for (uint32_t i = 0; i < 40; i++)
			withdraw(BRK_LINKAGE_SEGMENT + 40 - i);
		struct brk_linkage_record record = record_of(5000, 0);
		record.scope = 2;
		assert_int_equal(put(&record), KW_OK);
		finish();
		assert_int_equal(answer.count, 40);
		for (uint32_t i = 0; i < 40; i++)
			assert_found(i, i + 1);
		end();
	}
}

static void test_partition_stays_while_searched(void **state)
{
	(void)state;
	begin(10000, 1);
	put_many(1, 600, 300);
	ask(1, 5);
	assert_true(brk_linkage_scan_step(&scan, 1));
	for (uint32_t i = 0; i < 600; i++)
		withdraw(i + 1);
	struct brk_linkage_record record = record_of(5000, 0);
	record.scope = 2;
	assert_int_equal(put(&record), KW_EFULL);
	finish();
	assert_int_equal(answer.count, 0);
	assert_int_equal(put(&record), KW_OK);
	end();
}

#define BEST 1900u

/* From BEST on, records are nearer than all before, the first of them nearest; they lie in what a pass looks at first. */
static void put_best_last(void)
{
	put_many(1, BEST - 1, 700);
	for (uint32_t i = 0; i < 100; i++)
		put_many(BEST + i, 1, 200 + i);
}

/* Withdraws the best of a pass under way. */
static void disturb(uint64_t *next, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		withdraw((*next)++);
}

static void test_what_is_withdrawn_is_made_up_for(void **state)
{
	(void)state;
	begin(10000, 1);
	put_best_last();
	uint64_t next = BEST;
	ask(1, 5);
	assert_true(brk_linkage_scan_step(&scan, 1000));
	disturb(&next, BRK_LINKAGE_MORE);
	finish();
	assert_int_equal(scan.passes, 1);
	assert_true(answer.exact);
	assert_int_equal(answer.count, 5);
	assert_found(0, next);
	/* One more, and it is searched again. */
	ask(2, 5);
	assert_true(brk_linkage_scan_step(&scan, 1000));
	disturb(&next, BRK_LINKAGE_MORE + 1);
	finish();
	assert_int_equal(scan.passes, 3);
	assert_int_equal(answer.ticket, 2);
	assert_true(answer.exact);
	assert_int_equal(answer.count, 5);
	assert_found(4, next + 4);
	end();
}

static void test_rounds_max(void **state)
{
	(void)state;
	for (uint32_t disturbed = BRK_LINKAGE_ROUNDS_MAX - 1; disturbed <= BRK_LINKAGE_ROUNDS_MAX; disturbed++) {
		begin(10000, 1);
		put_best_last();
		uint64_t next = BEST;
		ask(1, 5);
		for (uint32_t round = 0; round < disturbed; round++) {
			assert_true(brk_linkage_scan_step(&scan, 1000));
			assert_int_equal(scan.passes, round + 1);
			disturb(&next, BRK_LINKAGE_MORE + 1);
			while (!scan.done)
				(void)brk_linkage_scan_step(&scan, 400);
		}
		finish();
		assert_int_equal(scan.passes, BRK_LINKAGE_ROUNDS_MAX);
		assert_int_equal(answer.exact, disturbed < BRK_LINKAGE_ROUNDS_MAX);
		if (answer.exact)
			assert_found(0, next);
		end();
	}
}

static void test_sweep(void **state)
{
	static struct kw_id gone[1000];
	(void)state;
	begin(10000, 2);
	for (uint32_t i = 0; i < 900; i++) {
		struct brk_linkage_record record = record_of(i + 1, 10);
		record.epoch = i < 300 ? 1 : 2;
		record.expiry_hour = i % 3 == 0 ? 100 : BRK_LINKAGE_NEVER;
		assert_int_equal(put(&record), KW_OK);
	}
	struct brk_linkage_sweep sweep = {.now_hour = 99, .epoch_min = 1, .budget = 1000, .gone_max = 1000, .gone = gone};
	brk_linkage_index_sweep(&rig.index, &sweep);
	assert_int_equal(sweep.gone_count, 0);
	sweep.now_hour = 100;
	sweep.gone_max = 7;
	uint32_t total = 0, steps = 0;
	do {
		brk_linkage_index_sweep(&rig.index, &sweep);
		assert_true(sweep.gone_count <= 7);
		total += sweep.gone_count;
	} while (!sweep.done && ++steps < 1000);
	assert_int_equal(total, 300);
	assert_int_equal(rig.index.count, 600);
	sweep.epoch_min = 2;
	sweep.gone_max = 1000;
	sweep.budget = 1;
	for (total = 0, steps = 0, sweep.done = false; !sweep.done && steps < 1000; steps++) {
		brk_linkage_index_sweep(&rig.index, &sweep);
		total += sweep.gone_count;
	}
	assert_int_equal(steps, 3); /* a segment each, and the end */
	assert_int_equal(total, 200);
	assert_int_equal(rig.index.count, 400);
	end();
}

static void test_load_keeps_numbers(void **state)
{
	(void)state;
	begin(100, 1);
	for (uint64_t i = 1; i <= 20; i++) {
		struct brk_linkage_record record = record_of(i, 100);
		assert_int_equal(brk_linkage_index_load(&rig.index, &record, 1000 - i), KW_OK);
		assert_int_equal(brk_linkage_index_load(&rig.index, &record, 2000), KW_EEXIST);
	}
	struct brk_linkage_record record = record_of(50, 100);
	assert_int_equal(brk_linkage_index_load(&rig.index, &record, 0), KW_EFIELD);
	assert_int_equal(brk_linkage_index_load(&rig.index, &record, UINT64_MAX), KW_EFIELD);
	uint64_t number = 0;
	assert_int_equal(brk_linkage_index_put(&rig.index, &record, &number), KW_OK);
	assert_int_equal(number, 1000);
	ask(1, 30);
	finish();
	assert_int_equal(answer.count, 21);
	assert_found(0, 20);
	assert_found(19, 1);
	assert_found(20, 50);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_and_limits),
		cmocka_unit_test(test_put_refuses),
		cmocka_unit_test(test_records_max_and_one_more),
		cmocka_unit_test(test_partitions_max_and_one_more),
		cmocka_unit_test(test_segments_may_end_before_records_max),
		cmocka_unit_test(test_equals_by_insertion),
		cmocka_unit_test(test_query_says_what_it_wants),
		cmocka_unit_test(test_query_refused),
		cmocka_unit_test(test_k_max_is_found_whole),
		cmocka_unit_test(test_waiting_max_and_one_more),
		cmocka_unit_test(test_batch_max_and_one_more),
		cmocka_unit_test(test_scans_max_and_one_more),
		cmocka_unit_test(test_step_is_bounded),
		cmocka_unit_test(test_sizes_that_cannot_be_near_are_not_read),
		cmocka_unit_test(test_segment_freed_under_the_scan),
		cmocka_unit_test(test_partition_stays_while_searched),
		cmocka_unit_test(test_what_is_withdrawn_is_made_up_for),
		cmocka_unit_test(test_rounds_max),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_load_keeps_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
