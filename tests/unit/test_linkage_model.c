/* The index and its searches against a list and a sort, over random changes that come while searches are under way. A
 * failure prints its seed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/linkage_rig.h"

#define RECORDS 6000u
#define HANDLES 8000u
#define TICKETS 64u
#define OWNERS 4u

struct row {
	struct brk_linkage_record record;
	uint64_t number; /* 0: not live */
};

struct model {
	struct linkage_rig rig;
	struct brk_linkage_scan scan;
	struct prng prng;
	struct row rows[HANDLES];
	struct brk_linkage_query queries[TICKETS];
	bool asked[TICKETS];
	uint32_t live;
	uint32_t hour;
	uint32_t families;
	bool narrow; /* a few buckets of many segments; else many buckets of few */
	uint32_t answers, inexact, found;
};

static struct model model;
static struct brk_linkage_found sorted[HANDLES];

static int by_rank(const void *a, const void *b)
{
	const struct brk_linkage_found *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* What a query should find, by looking at each record. */
static uint32_t naive(const struct brk_linkage_query *query)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < HANDLES; i++) {
		const struct brk_linkage_record *record = &model.rows[i].record;
		if (model.rows[i].number == 0 || record->epoch != query->epoch || record->scope != query->scope ||
			(query->kinds >> record->kind & 1) == 0 || record->expiry_hour <= query->now_hour ||
			(query->skip_owner != BRK_LINKAGE_NONE && record->owner == query->skip_owner) ||
			kw_id_equal(&record->handle, &query->self))
			continue;
		uint32_t distance = linkage_rig_distance(record->code, query->code);
		uint32_t score = brk_linkage_score_of(&model.rig.index.score, distance, query->size_class, record->size_class);
		if (score < query->least)
			continue;
		sorted[count++] = (struct brk_linkage_found){model.rows[i].number, record->handle, record->owner, score,
			(uint16_t)distance, record->kind, record->size_class};
	}
	qsort(sorted, count, sizeof(sorted[0]), by_rank);
	return count < query->k ? count : query->k;
}

static void check_answer(const struct brk_linkage_answer *answer)
{
	assert_true(answer->ticket < TICKETS && model.asked[answer->ticket]);
	model.asked[answer->ticket] = false;
	model.answers++;
	if (!answer->exact) {
		model.inexact++;
		return;
	}
	uint32_t count = naive(&model.queries[answer->ticket]);
	assert_int_equal(answer->count, count);
	model.found += count;
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(answer->found[i].score, sorted[i].score);
		assert_int_equal(answer->found[i].number, sorted[i].number);
		assert_int_equal(answer->found[i].distance, sorted[i].distance);
		assert_int_equal(answer->found[i].owner, sorted[i].owner);
		assert_int_equal(answer->found[i].kind, sorted[i].kind);
		assert_int_equal(answer->found[i].size_class, sorted[i].size_class);
		assert_memory_equal(answer->found[i].handle.bytes, sorted[i].handle.bytes, KW_ID_SIZE);
	}
}

static uint8_t a_class(void)
{
	if (model.narrow)
		return prng_percent(&model.prng, 97) ? 12 : 13;
	/* So few that no bucket finds all segments begun by others. */
	static const uint8_t RARE[] = {0, 8, 20, 30, 44, 48};
	return prng_percent(&model.prng, 90) ? (uint8_t)prng_range(&model.prng, 10, 14) : RARE[prng_below(&model.prng, 6)];
}

static uint32_t an_epoch(void)
{
	return model.narrow ? 8 : (uint32_t)prng_range(&model.prng, 7, 8);
}

static uint32_t a_scope(void)
{
	return prng_percent(&model.prng, model.narrow ? 3 : 50);
}

static void put(void)
{
	uint32_t at = (uint32_t)prng_below(&model.prng, HANDLES);
	struct row *row = &model.rows[at];
	struct brk_linkage_record record = {
		.handle = linkage_rig_handle(at),
		.epoch = an_epoch(),
		.scope = a_scope(),
		.owner = row->number != 0 ? row->record.owner : (uint32_t)prng_below(&model.prng, OWNERS),
		.expiry_hour = prng_percent(&model.prng, 30) ? BRK_LINKAGE_NEVER : model.hour + (uint32_t)prng_below(&model.prng, 40),
		.kind = (uint8_t)prng_below(&model.prng, 2),
		.size_class = a_class(),
	};
	linkage_rig_code(&model.prng, model.families, prng_percent(&model.prng, 50) ? 0 : 400, record.code);
	uint64_t number = 0;
	if (row->number != 0 && prng_percent(&model.prng, 30)) {
		/* Only its expiry. */
		uint32_t expiry = record.expiry_hour;
		record = row->record;
		record.expiry_hour = expiry;
	}
	enum kw_err err = brk_linkage_index_put(&model.rig.index, &record, &number);
	if (row->number == 0 && model.live == RECORDS) {
		assert_int_equal(err, KW_EFULL);
		return;
	}
	assert_int_equal(err, KW_OK);
	if (row->number == 0)
		model.live++;
	row->record = record;
	row->number = number;
}

static void withdraw(uint32_t at)
{
	struct row *row = &model.rows[at];
	struct kw_id handle = linkage_rig_handle(at);
	if (row->number == 0) {
		assert_int_equal(brk_linkage_index_withdraw(&model.rig.index, &handle, 0), KW_ENOTFOUND);
		return;
	}
	assert_int_equal(brk_linkage_index_withdraw(&model.rig.index, &handle, row->record.owner + 1), KW_EDENIED);
	assert_int_equal(brk_linkage_index_withdraw(&model.rig.index, &handle, row->record.owner), KW_OK);
	row->number = 0;
	model.live--;
}

static void sweep(void)
{
	struct kw_id gone[20];
	struct brk_linkage_sweep sweep = {.now_hour = model.hour, .epoch_min = prng_percent(&model.prng, 2) ? 8 : 7,
		.budget = (uint32_t)prng_range(&model.prng, 1, 5000), .gone_max = (uint32_t)prng_range(&model.prng, 1, 20), .gone = gone};
	brk_linkage_index_sweep(&model.rig.index, &sweep);
	assert_true(sweep.gone_count <= sweep.gone_max);
	for (uint32_t i = 0; i < sweep.gone_count; i++) {
		uint32_t at = 0;
		while (at < HANDLES && !(model.rows[at].number != 0 && kw_id_equal(&model.rows[at].record.handle, &gone[i])))
			at++;
		assert_true(at < HANDLES);
		assert_true(model.rows[at].record.expiry_hour <= model.hour || model.rows[at].record.epoch < sweep.epoch_min);
		model.rows[at].number = 0;
		model.live--;
	}
}

static void ask(void)
{
	uint32_t ticket = (uint32_t)prng_below(&model.prng, TICKETS);
	uint32_t self = (uint32_t)prng_below(&model.prng, HANDLES);
	struct brk_linkage_query *query = &model.queries[ticket];
	if (model.asked[ticket])
		return;
	*query = (struct brk_linkage_query){
		.ticket = ticket,
		.self = prng_percent(&model.prng, 50) ? linkage_rig_handle(self) : (struct kw_id){{0}},
		.epoch = an_epoch(),
		.scope = a_scope(),
		.now_hour = model.hour,
		.least = prng_percent(&model.prng, 50) ? 1 : (uint32_t)prng_range(&model.prng, 1, 900000),
		.skip_owner = prng_percent(&model.prng, 50) ? BRK_LINKAGE_NONE : (uint32_t)prng_below(&model.prng, OWNERS),
		.k = (uint16_t)(prng_percent(&model.prng, 80) ? prng_range(&model.prng, 1, 20) : prng_range(&model.prng, 1, 256)),
		.kinds = (uint8_t)prng_range(&model.prng, 1, 3),
		.size_class = a_class(),
	};
	if (prng_percent(&model.prng, 50) && model.rows[self].number != 0)
		memcpy(query->code, model.rows[self].record.code, sizeof(query->code));
	else
		linkage_rig_code(&model.prng, model.families, 300, query->code);
	assert_int_equal(brk_linkage_scan_ask(&model.scan, query), KW_OK);
	model.asked[ticket] = true;
}

static void step(void)
{
	struct brk_linkage_answer answer;
	(void)brk_linkage_scan_step(&model.scan, (uint32_t)prng_range(&model.prng, 0, 700));
	while (brk_linkage_scan_answer(&model.scan, &answer))
		check_answer(&answer);
}

static void check_record(void)
{
	uint32_t at = (uint32_t)prng_below(&model.prng, HANDLES);
	struct kw_id handle = linkage_rig_handle(at);
	struct brk_linkage_record record;
	uint64_t number;
	enum kw_err err = brk_linkage_index_get(&model.rig.index, &handle, &record, &number);
	assert_int_equal(err, model.rows[at].number == 0 ? KW_ENOTFOUND : KW_OK);
	assert_int_equal(model.rig.index.count, model.live);
	if (err != KW_OK)
		return;
	const struct brk_linkage_record *expected = &model.rows[at].record;
	assert_int_equal(number, model.rows[at].number);
	assert_true(record.epoch == expected->epoch && record.scope == expected->scope && record.owner == expected->owner &&
		record.expiry_hour == expected->expiry_hour && record.kind == expected->kind &&
		record.size_class == expected->size_class);
	assert_memory_equal(record.code, expected->code, sizeof(record.code));
}

/* Whatever has gone leaves no trace in the index's memory. */
static void check_traces(void)
{
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t at = (uint32_t)prng_below(&model.prng, HANDLES);
		struct kw_id handle = linkage_rig_handle(at);
		const void *trace = memmem(model.rig.memory, model.rig.size, handle.bytes, KW_ID_SIZE);
		assert_int_equal(trace != NULL, model.rows[at].number != 0);
	}
	for (uint32_t slot = 0; slot < model.rig.index.segments_used * BRK_LINKAGE_SEGMENT; slot++) {
		static const uint64_t BLANK[BRK_LINKAGE_CODE_WORDS];
		uint64_t code[BRK_LINKAGE_CODE_WORDS];
		if (slot % BRK_LINKAGE_SEGMENT < model.rig.index.segments[slot / BRK_LINKAGE_SEGMENT].count)
			continue;
		brk_linkage_index_code(&model.rig.index, slot, code);
		assert_memory_equal(code, BLANK, sizeof(code));
	}
}

static void act(void)
{
	uint64_t what = prng_below(&model.prng, 100);
	if (what < 40)
		put();
	else if (what < 55)
		withdraw((uint32_t)prng_below(&model.prng, HANDLES));
	else if (what < 58)
		sweep();
	else if (what < 65)
		ask();
	else if (what < 95)
		step();
	else if (what < 99)
		check_record();
	else
		model.hour += prng_percent(&model.prng, 20);
}

static void run(uint64_t seed, const struct brk_linkage_kernel *kernel)
{
	memset(&model, 0, sizeof(model));
	model.prng.state = seed;
	model.hour = 1000;
	model.narrow = seed % 2 == 0;
	model.families = seed % 3 == 0 ? 1 : (uint32_t)(seed % 7) * 5 + 2;
	linkage_rig_init(&model.rig, &(struct brk_linkage_limits){RECORDS, 4}, kernel);
	assert_int_equal(brk_linkage_scan_init(&model.scan, &model.rig.index), KW_OK);
	print_message("seed %llu, %s\n", (unsigned long long)seed, kernel->name);
	for (uint32_t i = 0; i < RECORDS; i++)
		put();
	for (uint32_t i = 0; i < 9000; i++)
		act();
	check_traces();
	for (uint32_t i = 0; i < HANDLES; i++)
		withdraw(i);
	check_traces();
	assert_int_equal(model.rig.index.count, 0);
	assert_true(model.answers > 100 && model.found > 500 && model.inexact * 20 < model.answers);
	brk_linkage_scan_fini(&model.scan);
	linkage_rig_fini(&model.rig);
}

static void test_index_is_a_list_and_a_sort(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		const struct brk_linkage_kernel *kernel =
			brk_linkage_kernel_get((enum brk_linkage_kernel_kind)(seed % BRK_LINKAGE_KERNEL_COUNT));
		run(seed, kernel != NULL ? kernel : brk_linkage_kernel_best());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_is_a_list_and_a_sort),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
