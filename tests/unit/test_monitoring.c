/* agent/core: assess.c, surveillance.c, suppress.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/assess.h"
#include "agent/core/suppress.h"
#include "agent/core/surveillance.h"

static enum assess_choice choice(struct assess_question question)
{
	struct assess_advice advice = assess_choose(&question);
	assert_true(strlen(advice.reason) > 20 && strlen(advice.next) > 20);
	return advice.choice;
}

static void test_assessment_by_phase_access_and_data(void **state)
{
	(void)state;
	const struct assess_question visited = {.phase = ASSESS_LATER, .access = ASSESS_ACCESS_SITES, .communities = 40};
	struct assess_question q = visited;
	assert_int_equal(choice(q), ASSESS_RAPID);
	q.phase = ASSESS_FIRST_72_HOURS;
	assert_int_equal(choice(q), ASSESS_DESK_REVIEW);
	q.phase = ASSESS_FIRST_TWO_WEEKS;
	assert_int_equal(choice(q), ASSESS_RAPID); /* nobody else assesses */
	q.multi_sector_planned = true;
	assert_int_equal(choice(q), ASSESS_MULTI_SECTOR);
	q.phase = ASSESS_LATER;
	assert_int_equal(choice(q), ASSESS_RAPID);
	q.recent_cp_data = true;
	assert_int_equal(choice(q), ASSESS_DESK_REVIEW);
	q = visited;
	q.access = ASSESS_ACCESS_NONE;
	assert_int_equal(choice(q), ASSESS_DESK_REVIEW);
	q.access = ASSESS_ACCESS_REMOTE;
	assert_int_equal(choice(q), ASSESS_DESK_REVIEW);
	q.multi_sector_planned = true;
	assert_int_equal(choice(q), ASSESS_MULTI_SECTOR);
	q = visited;
	q.communities = 0;
	assert_int_equal(choice(q), ASSESS_DESK_REVIEW);
}

static void test_fewer_than_15_communities_are_assessed_each(void **state)
{
	(void)state;
	struct assess_question q = {.phase = ASSESS_LATER, .access = ASSESS_ACCESS_SITES, .communities = 14};
	assert_int_equal(choice(q), ASSESS_SITE_SPECIFIC);
	q.communities = 15;
	assert_int_equal(choice(q), ASSESS_RAPID);
	q.communities = 1;
	assert_int_equal(choice(q), ASSESS_SITE_SPECIFIC);
	assert_true(assess_is_site_specific(14));
	assert_false(assess_is_site_specific(15));
	assert_string_equal(assess_choice_name(ASSESS_SITE_SPECIFIC), "site_specific");
}

/* ------------------------------------------------------------------------------------------------- surveillance */

struct found {
	size_t count;
	struct surveillance_pair last;
};

static bool note(void *user, const struct surveillance_pair *pair)
{
	struct found *found = user;
	found->count++;
	found->last = *pair;
	return true;
}

static struct surveillance_case girl_of_eight(uint32_t handle)
{
	return (struct surveillance_case){.village_pcode = "SS010203", .week = 2900, .sex = 1, .cause = 1, .age_low = 8,
		.age_high = 8, .age_known = true, .handle = handle};
}

static struct found pair_of(struct surveillance_case a, struct surveillance_case b)
{
	struct found found = {0};
	struct surveillance_case cases[] = {a, b};
	surveillance_candidates(cases, 2, note, &found);
	return found;
}

static void test_candidates_by_each_field_and_its_limit(void **state)
{
	(void)state;
	struct surveillance_case a = girl_of_eight(1);
	struct surveillance_case b = girl_of_eight(2);
	assert_int_equal(pair_of(a, b).count, 1);
	assert_int_equal(pair_of(a, b).last.missing, 0);
	b.age_low = b.age_high = 10;
	assert_int_equal(pair_of(a, b).count, 1);
	b.age_low = b.age_high = 11;
	assert_int_equal(pair_of(a, b).count, 0);
	b.age_low = 10; /* a band: 10..14 */
	b.age_high = 14;
	assert_int_equal(pair_of(a, b).count, 1);
	b = girl_of_eight(2);
	b.week = a.week + 4;
	assert_int_equal(pair_of(a, b).count, 1);
	assert_int_equal(pair_of(b, a).last.first, 1); /* in the order of weeks */
	b.week = a.week + 5;
	assert_int_equal(pair_of(a, b).count, 0);
	b = girl_of_eight(2);
	b.sex = 2;
	assert_int_equal(pair_of(a, b).count, 0);
	b = girl_of_eight(2);
	b.cause = 2;
	assert_int_equal(pair_of(a, b).count, 0);
	b = girl_of_eight(2);
	b.village_pcode[7] = '4';
	assert_int_equal(pair_of(a, b).count, 0);
}

static void test_missing_is_no_mismatch(void **state)
{
	(void)state;
	struct surveillance_case a = girl_of_eight(1);
	struct surveillance_case b = girl_of_eight(2);
	b.sex = 0;
	b.cause = 0;
	b.age_known = false;
	assert_int_equal(pair_of(a, b).count, 1);
	assert_int_equal(pair_of(a, b).last.missing, 3);
}

/* Against a comparison of all with all, on made-up villages. */
static void test_candidates_like_all_with_all(void **state)
{
	(void)state;
	enum { COUNT = 400 };
	static struct surveillance_case cases[COUNT];
	uint64_t random = 12345;
	for (uint32_t i = 0; i < COUNT; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint32_t draw = (uint32_t)(random >> 33);
		cases[i] = girl_of_eight(i);
		cases[i].village_pcode[7] = (char)('0' + draw % 5);
		cases[i].week += draw / 5 % 12;
		cases[i].sex = (uint8_t)(draw / 60 % 3);
		cases[i].cause = (uint8_t)(draw / 180 % 3);
		cases[i].age_low = cases[i].age_high = (uint8_t)(draw / 540 % 18);
	}
	size_t expected = 0;
	for (uint32_t i = 0; i < COUNT; i++)
		for (uint32_t k = i + 1; k < COUNT; k++) {
			const struct surveillance_case *a = &cases[i], *b = &cases[k];
			uint32_t weeks = a->week > b->week ? a->week - b->week : b->week - a->week;
			int years = (int)a->age_low - (int)b->age_low;
			expected += strcmp(a->village_pcode, b->village_pcode) == 0 && weeks <= 4 &&
				(a->sex == b->sex || a->sex == 0 || b->sex == 0) &&
				(a->cause == b->cause || a->cause == 0 || b->cause == 0) && years >= -2 && years <= 2;
		}
	struct found found = {0};
	surveillance_candidates(cases, COUNT, note, &found);
	assert_true(expected > 100);
	assert_int_equal(found.count, expected);
}

static void test_weeks(void **state)
{
	(void)state;
	uint32_t a = 0;
	uint32_t b = 0;
	assert_true(surveillance_week_from("2026-W48", &a));
	assert_int_equal(a, (20780 - 4) / 7); /* Monday 2026-11-23 is day 20780 since 1970-01-01 */
	assert_true(surveillance_week_from("2020-W53", &a)); /* a long year */
	assert_true(surveillance_week_from("2021-W01", &b));
	assert_int_equal(b, a + 1);
	assert_false(surveillance_week_from("2021-W53", &a));
	assert_true(surveillance_week_from("2021-W52", &a));
	static const char *const BAD[] = {"2026-W00", "2026-W54", "2026-48", "2026W48", "20x6-W48", "", "2026-W481", "1900-W10"};
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		assert_false(surveillance_week_from(BAD[i], &a));
}

/* -------------------------------------------------------------------------------------------------- suppression */

static void apply(struct suppress_cell *cells, size_t rows, size_t columns, const bool *sensitive)
{
	struct suppress_table table = {.rows = rows, .columns = columns, .cells = cells, .sensitive = sensitive};
	suppress_apply(&table);
}

static void test_small_counts_at_the_limit(void **state)
{
	(void)state;
	assert_false(suppress_is_small(&(struct suppress_cell){.numerator = 0}, false));
	assert_true(suppress_is_small(&(struct suppress_cell){.numerator = 1}, false));
	assert_true(suppress_is_small(&(struct suppress_cell){.numerator = 4}, false));
	assert_false(suppress_is_small(&(struct suppress_cell){.numerator = 5}, false));
	assert_true(suppress_is_small(&(struct suppress_cell){.numerator = 9}, true));
	assert_false(suppress_is_small(&(struct suppress_cell){.numerator = 10}, true));
	/* A rate: what is missing to the whole is told by it. */
	assert_true(suppress_is_small(&(struct suppress_cell){.numerator = 96, .denominator = 100}, false));
	assert_false(suppress_is_small(&(struct suppress_cell){.numerator = 95, .denominator = 100}, false));
	assert_false(suppress_is_small(&(struct suppress_cell){.numerator = 100, .denominator = 100}, false));
	assert_true(suppress_is_small(&(struct suppress_cell){.numerator = 0, .denominator = 3}, false));
}

static void test_no_margin_can_be_subtracted(void **state)
{
	(void)state;
	const bool sensitive[3] = {false};
	struct suppress_cell cells[9] = {{3, 0, false}, {20, 0, false}, {30, 0, false}, {40, 0, false}, {50, 0, false},
		{60, 0, false}, {70, 0, false}, {80, 0, false}, {90, 0, false}};
	apply(cells, 3, 3, sensitive);
	assert_true(cells[0].hidden);
	assert_true(cells[1].hidden); /* the smallest of its row */
	for (size_t line = 0; line < 3; line++) {
		size_t in_row = 0, in_column = 0;
		for (size_t i = 0; i < 3; i++) {
			in_row += cells[line * 3 + i].hidden;
			in_column += cells[i * 3 + line].hidden;
		}
		assert_int_not_equal(in_row, 1);
		assert_int_not_equal(in_column, 1);
	}
	assert_false(cells[8].hidden); /* and no more than needed */
}

static void test_two_small_ones_need_a_third(void **state)
{
	(void)state;
	const bool sensitive[1] = {false};
	struct suppress_cell cells[4] = {{1, 0, false}, {2, 0, false}, {40, 0, false}, {0, 0, false}};
	apply(cells, 1, 4, sensitive);
	assert_true(cells[0].hidden && cells[1].hidden);
	assert_true(cells[2].hidden); /* 1 + 2 would still be small */
	assert_false(cells[3].hidden);
}

static void test_nothing_small_hides_nothing(void **state)
{
	(void)state;
	const bool sensitive[2] = {false, true};
	struct suppress_cell cells[4] = {{5, 0, false}, {0, 0, false}, {10, 0, false}, {12, 0, false}};
	apply(cells, 2, 2, sensitive);
	for (int i = 0; i < 4; i++)
		assert_false(cells[i].hidden);
	cells[3].numerator = 9; /* sensitive */
	apply(cells, 2, 2, sensitive);
	assert_true(cells[3].hidden && cells[2].hidden);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assessment_by_phase_access_and_data),
		cmocka_unit_test(test_fewer_than_15_communities_are_assessed_each),
		cmocka_unit_test(test_candidates_by_each_field_and_its_limit),
		cmocka_unit_test(test_missing_is_no_mismatch),
		cmocka_unit_test(test_candidates_like_all_with_all),
		cmocka_unit_test(test_weeks),
		cmocka_unit_test(test_small_counts_at_the_limit),
		cmocka_unit_test(test_no_margin_can_be_subtracted),
		cmocka_unit_test(test_two_small_ones_need_a_third),
		cmocka_unit_test(test_nothing_small_hides_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
