/* agent/core/completeness.c: what is expected, what came and what is missing; and weeks as texts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/completeness.h"
#include "agent/core/surveillance.h"

#define FIRST 2900u
#define WEEKS 3u
#define SITES 3u

/* The third is expected from the second week on. */
static const struct completeness_site sites[SITES] = {{0, 1000}, {FIRST, 0}, {FIRST + 1, 500}};
static struct completeness_cell cells[SITES * WEEKS];
static struct completeness_book book;

static int setup(void **state)
{
	(void)state;
	memset(cells, 0, sizeof(cells));
	book = (struct completeness_book){
		.sites = sites, .sites_count = SITES, .first_week = FIRST, .weeks_count = WEEKS, .cells = cells};
	return 0;
}

static struct completeness_sum sum_of(uint32_t week)
{
	struct completeness_sum sum = {0};
	completeness_add(&book, week, &sum);
	return sum;
}

static void take(size_t site, uint32_t week, struct completeness_cell cell)
{
	assert_true(completeness_take(&book, site, week, &cell));
}

static void test_a_site_is_expected_from_its_first_week(void **state)
{
	(void)state;
	assert_int_equal(sum_of(FIRST).expected, 2);
	assert_int_equal(sum_of(FIRST + 1).expected, 3);
	assert_false(completeness_is_missing(&book, 2, FIRST));
	assert_true(completeness_is_missing(&book, 2, FIRST + 1));
	take(2, FIRST, (struct completeness_cell){.cases = 1}); /* it came all the same: never more reports than expected */
	assert_int_equal(sum_of(FIRST).expected, 3);
	assert_int_equal(sum_of(FIRST).reported, 1);
}

static void test_a_zero_report_is_a_report(void **state)
{
	(void)state;
	take(0, FIRST, (struct completeness_cell){.zero = true});
	assert_false(completeness_is_missing(&book, 0, FIRST));
	assert_true(completeness_is_missing(&book, 1, FIRST));
	struct completeness_sum sum = sum_of(FIRST);
	assert_int_equal(sum.reported, 1);
	assert_int_equal(sum.zero, 1);
	assert_int_equal(sum.cases, 0);
}

static void test_the_last_report_of_a_site_and_week_counts(void **state)
{
	(void)state;
	take(0, FIRST, (struct completeness_cell){.cases = 5, .verified = 4});
	take(0, FIRST, (struct completeness_cell){.zero = true});
	struct completeness_sum sum = sum_of(FIRST);
	assert_int_equal(sum.reported, 1);
	assert_int_equal(sum.zero, 1);
	assert_int_equal(sum.cases, 0);
	assert_int_equal(sum.verified, 0);
}

static void test_incidence_takes_only_sites_whose_children_are_known(void **state)
{
	(void)state;
	take(0, FIRST, (struct completeness_cell){.cases = 4, .verified = 3});
	take(1, FIRST, (struct completeness_cell){.cases = 9, .verified = 9}); /* nobody knows of how many */
	take(0, FIRST + 1, (struct completeness_cell){.zero = true});
	take(2, FIRST + 1, (struct completeness_cell){.cases = 2, .verified = 1});
	struct completeness_sum sum = {0};
	for (uint32_t week = 0; week < WEEKS; week++)
		completeness_add(&book, FIRST + week, &sum);
	assert_int_equal(sum.expected, 8);
	assert_int_equal(sum.reported, 4);
	assert_int_equal(sum.cases, 15);
	assert_int_equal(sum.verified, 13);
	assert_int_equal(sum.verified_there, 4);
	assert_int_equal(sum.child_weeks, 1000 + 1000 + 500); /* no weeks without a report */
}

static void test_what_is_not_in_the_book_is_not_taken(void **state)
{
	(void)state;
	const struct completeness_cell cell = {.cases = 1};
	assert_false(completeness_take(&book, SITES, FIRST, &cell));
	assert_false(completeness_take(&book, 0, FIRST - 1, &cell));
	assert_false(completeness_take(&book, 0, FIRST + WEEKS, &cell));
	assert_true(completeness_take(&book, SITES - 1, FIRST + WEEKS - 1, &cell));
	assert_int_equal(sum_of(FIRST - 1).expected, 0);
	assert_int_equal(sum_of(FIRST + WEEKS).expected, 0);
	assert_false(completeness_is_missing(&book, SITES, FIRST));
	assert_false(completeness_is_missing(&book, 0, FIRST + WEEKS));
}

static void test_every_week_has_one_text(void **state)
{
	(void)state;
	char text[SURVEILLANCE_WEEK_SIZE];
	uint32_t first = 0, last = 0, back = 0;
	assert_true(surveillance_week_from("1971-W01", &first));
	assert_true(surveillance_week_from("2200-W52", &last));
	for (uint32_t week = first; week <= last; week++) {
		surveillance_week_text(week, text);
		assert_true(surveillance_week_from(text, &back));
		assert_int_equal(back, week);
	}
	surveillance_week_text(first - 1, text);
	assert_string_equal(text, "");
	surveillance_week_text(last + 1, text);
	assert_string_equal(text, "");
	assert_true(surveillance_week_from("2020-W53", &back));
	surveillance_week_text(back, text);
	assert_string_equal(text, "2020-W53");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_site_is_expected_from_its_first_week, setup),
		cmocka_unit_test_setup(test_a_zero_report_is_a_report, setup),
		cmocka_unit_test_setup(test_the_last_report_of_a_site_and_week_counts, setup),
		cmocka_unit_test_setup(test_incidence_takes_only_sites_whose_children_are_known, setup),
		cmocka_unit_test_setup(test_what_is_not_in_the_book_is_not_taken, setup),
		cmocka_unit_test(test_every_week_has_one_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
