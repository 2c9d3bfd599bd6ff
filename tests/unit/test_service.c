/* agent/core/service.c: who suits whom, at each limit, and in which order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/core/service.h"

#define NOW 1700000000000
#define DAY INT64_C(86400000)

static const struct agt_service_place PLACE = {.pcode = "SS0102", .admin_level = 2};

static struct agt_service service(void)
{
	return (struct agt_service){.type = 14, .active = true, .minimum_age = 6, .maximum_age = 17, .places = &PLACE,
		.place_count = 1, .capacity = AGT_CAPACITY_AVAILABLE, .assured_ms = NOW - DAY, .valid_until_ms = NOW + DAY};
}

static struct agt_need need(void)
{
	return (struct agt_need){.type = 14, .pcode = "SS0102", .now_ms = NOW};
}

static uint32_t against(const struct agt_service *service, const struct agt_need *need)
{
	struct agt_fit fit;
	assert_true(agt_service_fit(service, need, &fit));
	return fit.against;
}

static void test_service_type_and_status(void **state)
{
	(void)state;
	struct agt_service s = service();
	struct agt_need n = need();
	struct agt_fit fit;
	assert_int_equal(against(&s, &n), 0);
	n.type = 13;
	assert_false(agt_service_fit(&s, &n, &fit));
	n.type = 0;
	s.active = false;
	assert_int_equal(against(&s, &n), AGT_AGAINST_INACTIVE);
}

static void test_service_ages_at_their_limits(void **state)
{
	(void)state;
	static const struct {
		uint32_t age;
		uint32_t against;
	} rows[] = {{0, AGT_AGAINST_AGE}, {5, AGT_AGAINST_AGE}, {6, 0}, {7, 0}, {16, 0}, {17, 0}, {18, AGT_AGAINST_AGE}};
	struct agt_service s = service();
	struct agt_need n = need();
	n.has_age = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n.age = rows[i].age;
		assert_int_equal(against(&s, &n), rows[i].against);
	}
	s.maximum_age = 0; /* no limit */
	n.age = 120;
	assert_int_equal(against(&s, &n), 0);
	n.has_age = false;
	n.age = 0;
	assert_int_equal(against(&s, &n), 0);
}

static void test_service_sex_and_language(void **state)
{
	(void)state;
	struct agt_service s = service();
	struct agt_need n = need();
	s.sex = 1;
	assert_int_equal(against(&s, &n), 0);
	n.sex = 1;
	assert_int_equal(against(&s, &n), 0);
	n.sex = 2;
	assert_int_equal(against(&s, &n), AGT_AGAINST_SEX);
	s.sex = 0;
	n.language = "apd";
	assert_int_equal(against(&s, &n), 0); /* not said: speaks against nothing */
	s.languages[s.language_count++] = "zne";
	assert_int_equal(against(&s, &n), AGT_AGAINST_LANGUAGE);
	s.languages[s.language_count++] = "apd";
	assert_int_equal(against(&s, &n), 0);
}

static void test_service_stale_at_each_limit(void **state)
{
	(void)state;
	struct agt_service s = service();
	struct agt_need n = need();
	s.assured_ms = NOW - AGT_SERVICE_ASSURED_MS + 1;
	assert_int_equal(against(&s, &n), 0);
	s.assured_ms = NOW - AGT_SERVICE_ASSURED_MS;
	assert_int_equal(against(&s, &n), 0);
	s.assured_ms = NOW - AGT_SERVICE_ASSURED_MS - 1;
	assert_int_equal(against(&s, &n), AGT_AGAINST_STALE);
	s = service();
	s.valid_until_ms = NOW + 1;
	assert_int_equal(against(&s, &n), 0);
	s.valid_until_ms = NOW;
	assert_int_equal(against(&s, &n), AGT_AGAINST_STALE);
	s.valid_until_ms = NOW - 1;
	assert_int_equal(against(&s, &n), AGT_AGAINST_STALE);
}

static void test_service_answers_count_for_a_time(void **state)
{
	(void)state;
	struct agt_service s = service();
	struct agt_need n = need();
	struct agt_fit fit;
	s.reply.capacity = AGT_CAPACITY_NONE;
	s.reply.at_ms = NOW - 10;
	s.reply.until_ms = NOW + 1;
	assert_true(agt_service_fit(&s, &n, &fit));
	assert_int_equal(fit.against, AGT_AGAINST_FULL);
	assert_true(fit.answered);
	s.reply.until_ms = NOW;
	assert_int_equal(against(&s, &n), 0);
	s.reply.until_ms = 0;
	s.assured_ms = NOW - 9 * DAY;
	s.reply.at_ms = NOW - AGT_SERVICE_REPLY_MS + 1;
	assert_int_equal(against(&s, &n), AGT_AGAINST_FULL);
	s.reply.at_ms = NOW - AGT_SERVICE_REPLY_MS;
	assert_int_equal(against(&s, &n), 0);
	s.reply.at_ms = NOW - 10;
	s.assured_ms = NOW - 9; /* the entry is newer than the answer */
	assert_int_equal(against(&s, &n), 0);
	s.assured_ms = NOW - 9 * DAY;
	s.valid_until_ms = NOW - 1; /* stale, but it answered just now */
	s.reply.capacity = AGT_CAPACITY_AVAILABLE;
	assert_int_equal(against(&s, &n), 0);
	s = service();
	s.capacity = AGT_CAPACITY_NONE;
	assert_int_equal(against(&s, &n), AGT_AGAINST_FULL);
	s.capacity = AGT_CAPACITY_WAITLIST;
	assert_int_equal(against(&s, &n), 0);
}

static void test_service_areas(void **state)
{
	(void)state;
	static const struct {
		const char *place;
		uint32_t level;
		const char *need;
		enum agt_area area;
	} rows[] = {{"SS0102", 2, "SS0102", AGT_AREA_SAME}, {"SS01", 1, "SS0102", AGT_AREA_COVERS}, {"SS", 0, "SS0102", AGT_AREA_COVERS},
		{"SS010203", 3, "SS0102", AGT_AREA_WITHIN}, {"SS010203", 3, "SS010204", AGT_AREA_NEAR},
		{"SS010203", 3, "SS010304", AGT_AREA_PROVINCE}, {"SS0102", 2, "SS0103", AGT_AREA_PROVINCE},
		{"SS0102", 2, "SS0201", AGT_AREA_COUNTRY}, {"SS0102", 2, "KE001", AGT_AREA_ABROAD},
		/* three characters a level */
		{"KE001002", 2, "KE001003", AGT_AREA_PROVINCE}, {"KE001002", 2, "KE002002", AGT_AREA_COUNTRY},
		{"KE001002003", 3, "KE001002004", AGT_AREA_NEAR}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct agt_service_place place = {rows[i].place, rows[i].level};
		assert_int_equal(agt_service_area(&place, rows[i].need), rows[i].area);
	}
	struct agt_service s = service();
	struct agt_need n = need();
	n.pcode = "SS0199";
	assert_int_equal(against(&s, &n), 0);
	n.pcode = "SS0202";
	assert_int_equal(against(&s, &n), AGT_AGAINST_FAR);
	n.pcode = ""; /* anywhere */
	assert_int_equal(against(&s, &n), 0);
	const struct agt_service_place two[] = {{"SS0501", 2}, {"SS0202", 2}};
	s.places = two;
	s.place_count = 2;
	n.pcode = "SS0202"; /* the nearest of its places counts */
	assert_int_equal(against(&s, &n), 0);
}

/* Each row comes before all that follow. */
static void test_service_order(void **state)
{
	(void)state;
	const struct agt_fit rows[] = {
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_SAME, .assured_ms = 9},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_SAME, .assured_ms = 8},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_SAME, .wait_days = 1, .assured_ms = 9},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_COVERS},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_PROVINCE},
		{.capacity = AGT_CAPACITY_WAITLIST, .area = AGT_AREA_SAME},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_SAME, .against = AGT_AGAINST_STALE},
		{.capacity = AGT_CAPACITY_NONE, .area = AGT_AREA_SAME, .against = AGT_AGAINST_FULL},
		{.capacity = AGT_CAPACITY_AVAILABLE, .area = AGT_AREA_SAME, .against = AGT_AGAINST_AGE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(agt_service_order(&rows[i], &rows[i]), 0);
		for (size_t k = i + 1; k < sizeof(rows) / sizeof(rows[0]); k++) {
			assert_true(agt_service_order(&rows[i], &rows[k]) < 0);
			assert_true(agt_service_order(&rows[k], &rows[i]) > 0);
		}
	}
}

static void test_service_answers_by_itself(void **state)
{
	(void)state;
	struct agt_service s = service();
	struct agt_need n = need();
	assert_int_equal(agt_service_answer(&s, &n, 0, 120), AGT_CAPACITY_AVAILABLE);
	assert_int_equal(agt_service_answer(&s, &n, 0, 5), AGT_CAPACITY_NONE);
	assert_int_equal(agt_service_answer(&s, &n, 0, 6), AGT_CAPACITY_AVAILABLE);
	assert_int_equal(agt_service_answer(&s, &n, 17, 30), AGT_CAPACITY_AVAILABLE);
	assert_int_equal(agt_service_answer(&s, &n, 18, 30), AGT_CAPACITY_NONE);
	n.pcode = "SS0103"; /* not there */
	assert_int_equal(agt_service_answer(&s, &n, 0, 120), AGT_CAPACITY_NONE);
	n = need();
	s.valid_until_ms = NOW; /* stale: a person answers */
	assert_int_equal(agt_service_answer(&s, &n, 0, 120), AGT_CAPACITY_UNKNOWN);
	s = service();
	s.active = false;
	assert_int_equal(agt_service_answer(&s, &n, 0, 120), AGT_CAPACITY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_type_and_status),
		cmocka_unit_test(test_service_ages_at_their_limits),
		cmocka_unit_test(test_service_sex_and_language),
		cmocka_unit_test(test_service_stale_at_each_limit),
		cmocka_unit_test(test_service_answers_count_for_a_time),
		cmocka_unit_test(test_service_areas),
		cmocka_unit_test(test_service_order),
		cmocka_unit_test(test_service_answers_by_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
