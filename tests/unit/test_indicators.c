/* agent/core/indicators.c: each rule of counting at its limit, and that the validator takes what is told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/indicators.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "proto/wire/states.h"

#define FROM INT64_C(1795392000000) /* 2026-W48 begins on Monday 2026-11-23 */
#define TO (FROM + INT64_C(7) * 86400000)
#define SHELTER 14u
#define NO_CAPACITY 1u
#define DECLINED 7u
#define PROVIDED 1u

static struct indicators_book book;
static struct indicators_cell cells[INDICATORS_CELLS_MAX];

static int setup(void **state)
{
	(void)state;
	memset(&book, 0, sizeof(book));
	assert_true(indicators_week_from("2026-W48", &book.week));
	return 0;
}

static enum indicators_result refer(const struct indicators_step *steps, size_t count)
{
	return indicators_referral(&book, &(struct indicators_thread){steps, count}, SHELTER, "SS01");
}
#define REFER(...) refer((const struct indicators_step[]){__VA_ARGS__}, sizeof((const struct indicators_step[]){__VA_ARGS__}) / \
	sizeof(struct indicators_step))
static uint32_t unmet(void) { return book.unmet[SHELTER - 1][0]; }

static void test_week_begins_on_monday_utc(void **state)
{
	(void)state;
	assert_int_equal(book.week.from_ms, FROM);
	assert_int_equal(book.week.to_ms, TO);
	struct indicators_week week;
	assert_false(indicators_week_from("2026-W54", &week));
}

static void test_area_from_pcode(void **state)
{
	(void)state;
	static const struct { struct indicators_place place; const char *area; } CASES[] = {
		{{"", "SS010203", 0, 2}, "SS01"}, {{"", "SS01", 0, 2}, "SS01"}, {{"", "SS0", 0, 2}, "SS"}, {{"", "SS", 0, 2}, "SS"},
		{{"", "KE0231", 0, 3}, "KE023"}, {{"", "KE023", 1, 2}, "KE023"}, {{"SS", "", 0, 2}, "SS"}, {{"", "", 1, 2}, NULL},
		{{"", "", 0, 2}, NULL}, {{"SS", "0102", 2, 2}, "SS"}, {{"", "0102", 2, 2}, NULL}, {{"", "SSA1B2", 3, 2}, "SS"},
		{{"", "SS01234567890123456789", 3, 2}, NULL},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char area[INDICATORS_AREA_SIZE_MAX + 1] = "";
		assert_int_equal(indicators_area_from(&CASES[i].place, area), CASES[i].area != NULL);
		if (CASES[i].area != NULL)
			assert_string_equal(area, CASES[i].area);
	}
}

static void test_unmet_only_in_its_week(void **state)
{
	(void)state;
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, FROM - 1}), INDICATORS_NOTHING);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, FROM}), INDICATORS_COUNTED);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, TO - 1}), INDICATORS_COUNTED);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, TO}), INDICATORS_NOTHING);
	assert_int_equal(unmet(), 2);
	assert_int_equal(book.completed[SHELTER - 1][0].denominator, 0); /* none was accepted */
}

static void test_unmet_is_the_providers_want(void **state)
{
	(void)state;
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, DECLINED, 0, FROM}), INDICATORS_NOTHING);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, 5, 0, FROM}), INDICATORS_NOTHING);
	assert_int_equal(REFER({KW_REFERRAL_EXPIRED, 0, 0, FROM}), INDICATORS_COUNTED);
	assert_int_equal(REFER({KW_REFERRAL_UNDELIVERABLE, 0, 0, FROM}), INDICATORS_COUNTED);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, 0, 0, FROM}), INDICATORS_COUNTED); /* why is erased */
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, FROM}, {KW_REFERRAL_CLOSED, 0, 0, FROM + 1}),
		INDICATORS_COUNTED);
	assert_int_equal(unmet(), 4);
	assert_int_equal(REFER({KW_REFERRAL_REJECTED, NO_CAPACITY, 0, FROM}, {KW_REFERRAL_CONSENT_WITHDRAWN, 0, 0, FROM + 1}),
		INDICATORS_NOTHING);
}

static void test_unmet_once_in_its_life(void **state)
{
	(void)state;
	assert_int_equal(REFER({KW_REFERRAL_EXPIRED, 0, 0, FROM - 9}, {KW_REFERRAL_ACKNOWLEDGED, 0, 0, FROM},
		{KW_REFERRAL_REJECTED, NO_CAPACITY, 0, FROM + 1}), INDICATORS_NOTHING);
	assert_int_equal(REFER({KW_REFERRAL_EXPIRED, 0, 0, FROM}, {KW_REFERRAL_ACKNOWLEDGED, 0, 0, FROM + 1}), INDICATORS_NOTHING);
	assert_int_equal(REFER({KW_REFERRAL_EXPIRED, 0, 0, FROM}, {KW_REFERRAL_ACKNOWLEDGED, 0, 0, TO}), INDICATORS_COUNTED);
	assert_int_equal(unmet(), 1);
}

static void test_completed_among_the_accepted(void **state)
{
	(void)state;
	(void)REFER({KW_REFERRAL_ACCEPTED, 0, 0, FROM - 1}, {KW_REFERRAL_COMPLETED, 0, PROVIDED, FROM});
	(void)REFER({KW_REFERRAL_ACCEPTED, 0, 0, FROM}, {KW_REFERRAL_COMPLETED, 0, 2, FROM});
	(void)REFER({KW_REFERRAL_ACCEPTED, 0, 0, FROM}, {KW_REFERRAL_COMPLETED, 0, 4, FROM}); /* declined by the client */
	(void)REFER({KW_REFERRAL_ACCEPTED, 0, 0, FROM}, {KW_REFERRAL_NOT_PROVIDED, NO_CAPACITY, 0, FROM});
	(void)REFER({KW_REFERRAL_ACCEPTED, 0, 0, FROM}, {KW_REFERRAL_CANCELLED, 0, 0, FROM});
	(void)REFER({KW_REFERRAL_ACKNOWLEDGED, 0, 0, FROM}, {KW_REFERRAL_CANCELLED, 0, 0, FROM}); /* not accepted */
	assert_int_equal(book.completed[SHELTER - 1][0].denominator, 5);
	assert_int_equal(book.completed[SHELTER - 1][0].numerator, 2);
	assert_int_equal(unmet(), 1); /* the one that was not provided */
}

static void test_follow_up_within_30_days(void **state)
{
	(void)state;
	const int64_t day30 = INDICATORS_FOLLOW_UP_MS;
	const int64_t due[] = {FROM - 1, FROM, TO - 1, TO};
	for (size_t i = 0; i < 4; i++) {
		struct indicators_step steps[2] = {
			{KW_TRACING_REUNIFIED, 0, 0, due[i] - day30}, {KW_TRACING_FOLLOW_UP, 0, 0, due[i]}};
		indicators_tracing(&book, &(struct indicators_thread){steps, 2});
	}
	assert_int_equal(book.follow_up.denominator, 2);
	assert_int_equal(book.follow_up.numerator, 2); /* on the last millisecond */
	struct indicators_step late[2] = {{KW_TRACING_REUNIFIED, 0, 0, FROM - day30}, {KW_TRACING_FOLLOW_UP, 0, 0, FROM + 1}};
	indicators_tracing(&book, &(struct indicators_thread){late, 2});
	assert_int_equal(book.follow_up.denominator, 3);
	assert_int_equal(book.follow_up.numerator, 2);
	late[1] = (struct indicators_step){KW_TRACING_INVALID, 0, 0, FROM};
	indicators_tracing(&book, &(struct indicators_thread){late, 2});
	assert_int_equal(book.follow_up.denominator, 3); /* not due */
}

static void test_areas_and_codes_have_their_limits(void **state)
{
	(void)state;
	struct indicators_step step = {KW_REFERRAL_EXPIRED, 0, 0, FROM};
	struct indicators_thread thread = {&step, 1};
	char area[] = "SS00";
	for (uint32_t i = 0; i < INDICATORS_AREAS_MAX; i++) {
		area[2] = (char)('0' + i / 10);
		area[3] = (char)('0' + i % 10);
		assert_int_equal(indicators_referral(&book, &thread, SHELTER, area), INDICATORS_COUNTED);
	}
	assert_int_equal(indicators_referral(&book, &thread, SHELTER, "SS99"), INDICATORS_FULL);
	assert_int_equal(indicators_referral(&book, &thread, SHELTER, ""), INDICATORS_NO_PLACE);
	assert_int_equal(indicators_referral(&book, &thread, 0, "SS00"), INDICATORS_NO_PLACE);
	assert_int_equal(indicators_referral(&book, &thread, INDICATORS_SERVICES_MAX, "SS00"), INDICATORS_COUNTED);
	assert_int_equal(indicators_referral(&book, &thread, INDICATORS_SERVICES_MAX + 1, "SS00"), INDICATORS_NO_PLACE);
	indicators_care(&book, INDICATORS_CARES_MAX, 5);
	indicators_care(&book, INDICATORS_CARES_MAX + 1, 5);
	indicators_care(&book, 0, 5);
	assert_int_equal(book.cares[INDICATORS_CARES_MAX - 1], 5);
}

/* The validator takes a cell as it would be sent. */
static bool passes(const struct indicators_cell *cell)
{
	Kinward__V1__IndicatorCell row = KINWARD__V1__INDICATOR_CELL__INIT;
	struct kw_fault fault;
	row.indicator = (Kinward__V1__Indicator)cell->kind;
	row.service = (Kinward__V1__ServiceType)cell->service;
	row.care_arrangement = (Kinward__V1__CareArrangement)cell->care_arrangement;
	row.admin1_pcode = (char *)(uintptr_t)cell->area;
	row.numerator = cell->numerator;
	row.denominator = cell->denominator;
	row.suppressed = cell->hidden;
	return kw_message_validate(&row.base, "", &fault) == KW_OK;
}

static void test_what_is_told_passes_and_what_is_hidden_would_not(void **state)
{
	(void)state;
	memcpy(book.areas[0], "SS01", 5);
	memcpy(book.areas[1], "SS02", 5);
	book.areas_count = 2;
	for (uint32_t service = 1; service <= INDICATORS_SERVICES_MAX; service++)
		for (uint32_t n = 0; n <= 12; n++) {
			memset(book.unmet, 0, sizeof(book.unmet));
			book.unmet[service - 1][0] = n;
			size_t count = indicators_cells(&book, cells);
			bool hidden = false;
			for (size_t i = 0; i < count; i++) {
				assert_true(passes(&cells[i]));
				hidden = hidden || (cells[i].service == service && cells[i].hidden && cells[i].area == book.areas[0]);
			}
			struct indicators_cell bare = {.kind = INDICATORS_UNMET, .service = service, .area = "SS01", .numerator = n};
			assert_int_equal(hidden, !passes(&bare));
			assert_int_equal(hidden, n > 0 && n < (service == INDICATORS_SENSITIVE_SERVICE ? 10u : 5u));
		}
}

static void test_one_hidden_cell_has_a_companion(void **state)
{
	(void)state;
	memcpy(book.areas[0], "SS01", 5);
	memcpy(book.areas[1], "SS02", 5);
	book.areas_count = 2;
	book.unmet[SHELTER - 1][0] = 3;
	book.unmet[SHELTER - 1][1] = 20;
	book.unmet[1][0] = 30;
	book.unmet[1][1] = 40;
	size_t count = indicators_cells(&book, cells), hidden = 0;
	for (size_t i = 0; i < count; i++)
		hidden += cells[i].hidden;
	assert_int_equal(hidden, 4); /* two in each row and column that has one */
	memset(&book.unmet, 0, sizeof(book.unmet));
	book.areas_count = 0;
	assert_int_equal(indicators_cells(&book, cells), 0);
}

/* The rate of children reunified or in care; NULL when it is not among the cells. */
static const struct indicators_cell *in_care(void)
{
	size_t count = indicators_cells(&book, cells);
	for (size_t i = 0; i < count; i++)
		if (cells[i].kind == INDICATORS_IN_CARE) {
			assert_true(passes(&cells[i]));
			return &cells[i];
		}
	return NULL;
}

static void test_in_care_is_with_family_or_community(void **state)
{
	(void)state;
	assert_null(in_care());
	for (uint32_t care = 1; care <= INDICATORS_CARES_MAX; care++) {
		memset(book.cares, 0, sizeof(book.cares));
		indicators_care(&book, care, 10);
		bool appropriate = care <= 6 || care == 8 || care == 9; /* not 7, an institution, and none of the last four */
		assert_non_null(in_care());
		assert_false(in_care()->hidden);
		assert_int_equal(in_care()->numerator, appropriate ? 10 : 0);
		assert_int_equal(in_care()->denominator, 10);
	}
	indicators_care(&book, 5, 5);
	assert_int_equal(in_care()->numerator, 5);
	assert_int_equal(in_care()->denominator, 15);
}

static void test_in_care_hides_where_it_would_give_away(void **state)
{
	(void)state;
	const struct { uint32_t cares[INDICATORS_CARES_MAX]; bool hidden; } CASES[] = {
		{{[5] = 5, [6] = 5}, false}, {{[5] = 4, [6] = 6}, true}, {{[5] = 6, [6] = 4}, true}, {{[5] = 4}, true},
		/* 6 and 7 are told as they are; 3 and 2 hide each other, and the sums of both lines are harmless */
		{{[4] = 3, [5] = 2, [6] = 7}, false},
		/* 3 and the 6 that hides it are in different lines: the rate would tell the 3 */
		{{[4] = 3, [5] = 20, [6] = 6, [9] = 8}, true},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		memcpy(book.cares, CASES[i].cares, sizeof(book.cares));
		assert_non_null(in_care());
		assert_int_equal(in_care()->hidden, CASES[i].hidden);
	}
}

/* Whoever knows how many are registered, and takes the rate and what is told of the arrangements, learns of no group below 5. */
static void test_in_care_never_lets_a_small_one_be_subtracted(void **state)
{
	(void)state;
	uint32_t seed = 1, told = 0;
	for (int round = 0; round < 20000; round++) {
		for (uint32_t i = 0; i < INDICATORS_CARES_MAX; i++) {
			seed = seed * 1664525u + 1013904223u;
			book.cares[i] = seed >> 29 ? 0 : (seed >> 16) % 14;
		}
		const struct indicators_cell *rate = in_care();
		if (!rate || rate->hidden)
			continue;
		told++;
		size_t count = indicators_cells(&book, cells);
		uint32_t left[2] = {rate->denominator - rate->numerator, rate->numerator}, hidden[2] = {0, 0};
		for (size_t i = 0; i < count; i++) {
			uint32_t care = cells[i].care_arrangement;
			bool line = care <= 6 || care == 8 || care == 9;
			if (cells[i].kind != INDICATORS_CARE)
				continue;
			hidden[line] += cells[i].hidden;
			left[line] -= cells[i].numerator;
		}
		for (int line = 0; line < 2; line++) {
			assert_int_not_equal(hidden[line], 1);
			assert_true(hidden[line] == 0 ? left[line] == 0 : left[line] >= 5);
		}
	}
	assert_in_range(told, 100, 19900); /* it did look at something */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_week_begins_on_monday_utc, setup),
		cmocka_unit_test_setup(test_area_from_pcode, setup),
		cmocka_unit_test_setup(test_unmet_only_in_its_week, setup),
		cmocka_unit_test_setup(test_unmet_is_the_providers_want, setup),
		cmocka_unit_test_setup(test_unmet_once_in_its_life, setup),
		cmocka_unit_test_setup(test_completed_among_the_accepted, setup),
		cmocka_unit_test_setup(test_follow_up_within_30_days, setup),
		cmocka_unit_test_setup(test_areas_and_codes_have_their_limits, setup),
		cmocka_unit_test_setup(test_what_is_told_passes_and_what_is_hidden_would_not, setup),
		cmocka_unit_test_setup(test_one_hidden_cell_has_a_companion, setup),
		cmocka_unit_test_setup(test_in_care_is_with_family_or_community, setup),
		cmocka_unit_test_setup(test_in_care_hides_where_it_would_give_away, setup),
		cmocka_unit_test_setup(test_in_care_never_lets_a_small_one_be_subtracted, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
