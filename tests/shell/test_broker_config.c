/* broker/shell/config.c and config_clocks.c: what broker.yaml says of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/shell/config.h"

#define MINUTE 60000
#define HOUR (60 * MINUTE)
#define DAY (INT64_C(24) * HOUR)
#define TOP "hub: h\nlisten: 127.0.0.1:0\n"

static char path[64];

static enum kw_err load(const char *text, struct config *config, struct kw_config_fault *fault)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return config_load(path, config, fault);
}

static void test_nothing_said_means_the_defaults(void **state)
{
	(void)state;
	struct config config;
	struct kw_config_fault fault;
	struct kw_clock_limits limits;
	kw_clock_limits_default(&limits);
	assert_int_equal(load(TOP, &config, &fault), KW_OK);
	assert_memory_equal(&config.threads.limits, &limits, sizeof(limits));
	assert_true(config.threads.keep_ms == 90ull * DAY && config.coordinator.text[0] == '\0');
	config_fini(&config);
}

static void test_each_clock_and_risk_can_be_set(void **state)
{
	(void)state;
	for (int clock = KW_CLOCK_NONE + 1; clock < KW_CLOCK_COUNT; clock++) {
		struct config config;
		struct kw_config_fault fault;
		char text[300];
		(void)snprintf(text, sizeof(text), TOP "coordinator: lead\nthreads_keep_days: 7\nclocks:\n  %s:\n    low: 3 min\n"
			"    high: 90 s\n", kw_clock_name((enum kw_clock)clock));
		assert_int_equal(load(text, &config, &fault), KW_OK);
		struct kw_clock_limits want;
		kw_clock_limits_default(&want);
		want.limit_ms[clock][KW_RISK_HIGH] = 90000;
		want.limit_ms[clock][KW_RISK_LOW] = 3 * MINUTE;
		assert_memory_equal(&config.threads.limits, &want, sizeof(want));
		assert_true(config.threads.keep_ms == 7ull * DAY && strcmp(config.coordinator.text, "lead") == 0);
		config_fini(&config);
	}
}

/* The longest that a hub may remember what is over, and the shortest; one day more and one less are among the mistakes below. */
static void test_threads_are_kept_within_bounds(void **state)
{
	(void)state;
	static const uint32_t days[] = {1, CONFIG_THREADS_KEEP_DAYS_MAX};
	for (size_t i = 0; i < 2; i++) {
		struct config config;
		struct kw_config_fault fault;
		char text[200];
		(void)snprintf(text, sizeof(text), TOP "threads_keep_days: %u\n", days[i]);
		assert_int_equal(load(text, &config, &fault), KW_OK);
		assert_true(config.threads.keep_ms == (uint64_t)days[i] * DAY);
		config_fini(&config);
	}
}

static void test_durations_are_read_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms; /* 0: refused */
	} CASES[] = {{"15 min", 15 * MINUTE}, {"15min", 15 * MINUTE}, {"4 h", 4 * HOUR}, {"4", 4 * HOUR}, {"14 d", 14 * DAY},
		{"30 s", 30000}, {"400 d", 400 * DAY}, {"401 d", 0}, {"9601", 0}, {"9600", 400 * DAY}, {"", 0}, {"h", 0}, {"-1 h", 0},
		{"1.5 h", 0}, {"1 h ", 0}, {"1 m", 0}, {"1 hour", 0}, {"99999999999999999999 s", 0}, {" 1 h", 0}};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		int64_t ms = 0;
		enum kw_err err = config_clocks_duration(CASES[i].text, &ms);
		print_message("%s\n", CASES[i].text);
		assert_int_equal(err, CASES[i].ms != 0 ? KW_OK : KW_EFIELD);
		assert_int_equal(ms, CASES[i].ms);
	}
}

static void test_each_mistake_is_named_with_its_place(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *field;
		unsigned line, column;
	} BAD[] = {
		{TOP "clocks:\n  delivered:\n    high: soon\n", "clocks.delivered.high", 5, 5},
		{TOP "clocks:\n  delivered:\n    high: 1 h\n  decided:\n    # high: low:\n    high: 2 h\n    low: 0 s\n",
			"clocks.decided.low", 9, 5},
		{TOP "clocks: {match: {high: 1 h, medium: 500 d}}\n", "clocks.match.medium", 3, 29},
		{TOP "threads_keep_days: 0\n", "threads_keep_days", 3, 1},
		{TOP "threads_keep_days: 3651\n", "threads_keep_days", 3, 1},
		{TOP "threads_open_max: 0\n", "threads_open_max", 3, 1},
		{TOP "# coordinator: x\ncoordinator: Lead\n", "coordinator", 4, 1},
		{TOP "map_size_mib: 1\n", "map_size_mib", 3, 1},
		{TOP "clocks:\n  delivred:\n    high: 1 h\n", "clocks", 4, 3},
		{TOP "clocks:\n  delivered:\n    urgent: 1 h\n", "clocks.delivered", 5, 5},
	};
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		struct config config;
		struct kw_config_fault fault = {.code = KW_OK};
		assert_int_equal(load(BAD[i].text, &config, &fault), KW_EFIELD);
		print_message("%s\n", fault.text);
		assert_string_equal(fault.field, BAD[i].field);
		assert_int_equal(fault.line, BAD[i].line);
		assert_int_equal(fault.column, BAD[i].column);
		char place[100];
		(void)snprintf(place, sizeof(place), "%s:%u:%u: %s: ", path, BAD[i].line, BAD[i].column, BAD[i].field);
		assert_true(strncmp(fault.text, place, strlen(place)) == 0);
	}
}

static void test_numbers_up_to_their_limits(void **state)
{
	(void)state;
	static const struct {
		const char *field;
		unsigned long max;
	} numbers[] = {{"connections_max", CONFIG_CONNECTIONS_MAX}, {"map_size_mib", CONFIG_MAP_SIZE_MIB_MAX},
		{"queue_size_mib_max", CONFIG_MAP_SIZE_MIB_MAX}, {"blob_store_mib", CONFIG_MAP_SIZE_MIB_MAX},
		{"blob_agency_mib", CONFIG_MAP_SIZE_MIB_MAX}, {"threads_keep_days", CONFIG_THREADS_KEEP_DAYS_MAX}};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct config config;
		struct kw_config_fault fault = {.code = KW_OK};
		char text[200];
		(void)snprintf(text, sizeof(text), TOP "%s: %lu\n", numbers[i].field, numbers[i].max);
		assert_int_equal(load(text, &config, &fault), KW_OK);
		config_fini(&config);
		(void)snprintf(text, sizeof(text), TOP "%s: %lu\n", numbers[i].field, numbers[i].max + 1);
		assert_int_equal(load(text, &config, &fault), KW_EFIELD);
		assert_string_equal(fault.field, numbers[i].field);
	}
}

int main(void)
{
	char dir[] = "/tmp/kw-broker-config-XXXXXX";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_said_means_the_defaults),
		cmocka_unit_test(test_each_clock_and_risk_can_be_set),
		cmocka_unit_test(test_threads_are_kept_within_bounds),
		cmocka_unit_test(test_durations_are_read_or_refused),
		cmocka_unit_test(test_each_mistake_is_named_with_its_place),
		cmocka_unit_test(test_numbers_up_to_their_limits),
	};
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/broker.yaml", dir);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(dir);
	return failed;
}
