/* A log line is one JSON object, whatever goes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "proto/link/log.h"

static char line[2 * KW_LOG_LINE_MAX];

/* What `write_one` put on stderr, parsed; line keeps the text. */
static json_t *caught(void (*write_one)(const char *value), const char *value)
{
	int ends[2];
	int stderr_kept = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	write_one(value);
	assert_int_equal(dup2(stderr_kept, STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	close(stderr_kept);
	ssize_t size = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	assert_in_range(size, 0, KW_LOG_LINE_MAX);
	line[size] = '\0';
	if (size == 0)
		return NULL;
	assert_int_equal(line[size - 1], '\n');
	assert_ptr_equal(strchr(line, '\n'), line + size - 1);
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	return json;
}

static void write_three(const char *value)
{
	kw_log(KW_LOG_INFO, "link_open", KW_LOG_STR("agency", value), KW_LOG_INT("size", -5), KW_LOG_ERR(KW_EAUTH));
}

static void write_debug(const char *value)
{
	kw_log(KW_LOG_DEBUG, "detail", KW_LOG_STR("agency", value));
}

static void test_a_line_is_one_json_object(void **state)
{
	(void)state;
	json_t *json = caught(write_three, "a\"b\\c\n\x01");
	assert_string_equal(json_string_value(json_object_get(json, "level")), "info");
	assert_string_equal(json_string_value(json_object_get(json, "event")), "link_open");
	assert_string_equal(json_string_value(json_object_get(json, "agency")), "a\"b\\c\n\x01");
	assert_string_equal(json_string_value(json_object_get(json, "error")), "not_authentic");
	assert_int_equal(json_integer_value(json_object_get(json, "size")), -5);
	const char *time = json_string_value(json_object_get(json, "t"));
	assert_int_equal(strlen(time), strlen("2026-11-24T10:00:00.000Z"));
	json_decref(json);
	json = caught(write_three, NULL);
	assert_true(json_is_null(json_object_get(json, "agency")));
	json_decref(json);
}

static void test_a_line_that_is_full_is_still_json(void **state)
{
	(void)state;
	static const char FILL[] = {'a', '\n', '"', (char)0xe9};
	char value[2 * KW_LOG_LINE_MAX];
	for (size_t size = 0; size < sizeof(value); size++) {
		memset(value, FILL[size % sizeof(FILL)], size);
		value[size] = '\0';
		json_decref(caught(write_three, value));
	}
}

static void test_a_level_below_the_threshold_is_silent(void **state)
{
	(void)state;
	assert_null(caught(write_debug, "x"));
	kw_log_level_set(KW_LOG_DEBUG);
	json_decref(caught(write_debug, "x"));
	kw_log_level_set(KW_LOG_INFO);
	assert_null(caught(write_debug, "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_is_one_json_object),
		cmocka_unit_test(test_a_line_that_is_full_is_still_json),
		cmocka_unit_test(test_a_level_below_the_threshold_is_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
