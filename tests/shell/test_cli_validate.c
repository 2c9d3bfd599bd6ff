#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "proto/wire/message.h"

/* kinward validate on files in a folder of its own. */

static char FOLDER[32];
static char OUT[65536];
static char ERR[4096];

#define EVENT "{\"referralEvent\": {\"state\": \"REFERRAL_STATE_ACCEPTED\", \"atUnixMs\": \"1760000000123\"}}"
#define WHOLE "{\"messageId\": \"AQIDBAUGBwgJCgsMDQ4PEA==\", \"createdUnixMs\": \"1760000000123\", " \
	"\"referralEvent\": {\"state\": \"REFERRAL_STATE_ACCEPTED\", \"atUnixMs\": \"1760000000123\"}}"
#define CONSENT "{\"services\": \"CONSENT_ANSWER_GIVEN\", \"shareOtherOrgs\": \"CONSENT_ANSWER_GIVEN\", " \
	"\"obtainedFrom\": \"CONSENT_SOURCE_CAREGIVER\"}"

static int setup(void **state)
{
	(void)state;
	(void)snprintf(FOLDER, sizeof(FOLDER), "/tmp/kw-validate-XXXXXX");
	return mkdtemp(FOLDER) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	static const char *const NAMES[] = {"a.json", "b.json", "c.json", "d.json", "notes.txt", "odd\x1b.json"};
	char path[64];
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", FOLDER, NAMES[i]);
		(void)unlink(path); /* it may not be there */
	}
	return rmdir(FOLDER);
}

/* The path of a file in the folder, with this text in it; good until the call after next. */
static const char *put(const char *name, const char *text)
{
	static char paths[2][64];
	static unsigned turn;
	char *path = paths[turn++ % 2];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", FOLDER, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return path;
}

/* Runs `kinward validate` with up to four arguments; the last is followed by NULL. */
static int validate(const char *first, ...)
{
	char *argv[8] = {(char *)(uintptr_t) "kinward", (char *)(uintptr_t) "validate"};
	int argc = 2;
	va_list args;
	va_start(args, first);
	for (const char *arg = first; arg && argc < 7; arg = va_arg(args, const char *))
		argv[argc++] = (char *)(uintptr_t)arg;
	va_end(args);
	FILE *out = fmemopen(OUT, sizeof(OUT), "w");
	FILE *err = fmemopen(ERR, sizeof(ERR), "w");
	assert_non_null(out);
	assert_non_null(err);
	int code = cli_main(argc, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return code;
}

/* What was printed after the folder's name, as one line. */
static void says(const char *name, const char *rest)
{
	char line[512];
	(void)snprintf(line, sizeof(line), "%s/%s%s\n", FOLDER, name, rest);
	if (!strstr(OUT, line))
		fail_msg("expected %s in %s", line, OUT);
}

static void test_validate_prints_ok_or_field_and_rule(void **state)
{
	(void)state;
	assert_int_equal(validate(put("a.json", EVENT), NULL), CLI_OK);
	says("a.json", ": OK");
	assert_int_equal(validate(put("a.json", "{\"referralEvent\": {\"state\": 11, \"atUnixMs\": 1}}"), NULL), CLI_REFUSED);
	says("a.json", ": referralEvent.reason: is required with this state; fill it in");
	assert_int_equal(validate(put("a.json", "{\"referralEvent\": {\"state\": 99, \"atUnixMs\": 1}}"), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "a.json: referralEvent.state: no such code; one of REFERRAL_STATE_QUEUED, "));
	assert_int_equal(validate(put("a.json", "{\"referalEvent\": {}}"), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "a.json: referalEvent: no such field; Content has messageId, createdUnixMs, "));
	assert_int_equal(validate(put("a.json", "{}"), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "a.json: one of these is required: referralRequest referralEvent "));
	assert_null(strchr(ERR, '\n'));
}

static void test_validate_gives_line_and_column_of_a_syntax_error(void **state)
{
	(void)state;
	assert_int_equal(validate(put("a.json", "{\n  \"messageId\" 5}\n"), NULL), CLI_REFUSED);
	says("a.json", ":2:15: is not JSON: ':' expected");
	assert_int_equal(validate("--json", put("a.json", "{\n  \"messageId\" 5}\n"), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "\"line\":2,\"column\":15"));
	assert_int_equal(validate(put("a.json", ""), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "a.json:1:0: is not JSON: it is empty\n"));
}

static void test_validate_looks_at_every_file_and_counts(void **state)
{
	(void)state;
	(void)put("b.json", EVENT);
	(void)put("c.json", "[]");
	(void)put("notes.txt", "not for us");
	(void)put("a.json", EVENT);
	assert_int_equal(validate(FOLDER, NULL), CLI_REFUSED);
	char wanted[512];
	(void)snprintf(wanted, sizeof(wanted), "%s/a.json: OK\n%s/b.json: OK\n%s/c.json: must be an object; put { } around its fields\n"
		"3 files: 2 good, 1 refused\n", FOLDER, FOLDER, FOLDER);
	assert_string_equal(OUT, wanted);
	/* A missing file keeps the others from nothing, and its code is the greater. */
	const char *good = put("a.json", EVENT);
	assert_int_equal(validate("/nonexistent.json", FOLDER, good, NULL), CLI_NOT_FOUND);
	assert_non_null(strstr(OUT, "4 files: 3 good, 1 refused\n"));
	assert_non_null(strstr(ERR, "cannot read /nonexistent.json"));
	assert_int_equal(validate("--json", FOLDER, NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "a.json\",\"ok\":true}\n"));
	assert_non_null(strstr(OUT, "c.json\",\"ok\":false,\"code\":\"bad_field\",\"field\":\"\",\"rule\":\"must be an object; put { } around its fields\"}\n"));
	assert_non_null(strstr(OUT, "{\"summary\":{\"files\":3,\"good\":2,\"refused\":1}}\n"));
}

static void test_validate_of_an_empty_folder_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(validate(FOLDER, NULL), CLI_NOT_FOUND);
	assert_non_null(strstr(ERR, "no .json file in "));
	assert_int_equal(validate("/nonexistent", NULL), CLI_NOT_FOUND);
	assert_int_equal(validate(NULL, NULL), CLI_USAGE);
}

static void test_validate_complete_wants_what_the_agent_would_set(void **state)
{
	(void)state;
	assert_int_equal(validate("--complete", put("a.json", WHOLE), NULL), CLI_OK);
	assert_int_equal(validate(put("a.json", WHOLE), NULL), CLI_OK);
	assert_int_equal(validate("--complete", put("a.json", EVENT), NULL), CLI_REFUSED);
	says("a.json", ": messageId: must be 16 bytes; correct it");
	assert_int_equal(validate("--complete", put("a.json", "{\"messageId\": \"AQIDBAUGBwgJCgsMDQ4PEA==\", \"receipt\": {}}"), NULL),
		CLI_REFUSED);
	says("a.json", ": createdUnixMs: must be milliseconds since 1970, before the year 10000; correct it");
	/* What is given is held to its rule either way. */
	assert_int_equal(validate(put("a.json", "{\"messageId\": \"AQID\", \"receipt\": {}}"), NULL), CLI_REFUSED);
	says("a.json", ": messageId: must be 16 bytes; correct it");
	assert_int_equal(validate(put("a.json", "{\"createdUnixMs\": -1, \"receipt\": {}}"), NULL), CLI_REFUSED);
	says("a.json", ": createdUnixMs: must be milliseconds since 1970, before the year 10000; correct it");
}

static void test_validate_as_takes_a_message_by_itself(void **state)
{
	(void)state;
	assert_int_equal(validate("--as", "Consent", put("a.json", CONSENT), NULL), CLI_OK);
	assert_int_equal(validate("--as", "PartialDate", put("a.json", "{\"year\": 2023, \"month\": 2, \"day\": 29}"), NULL),
		CLI_REFUSED);
	says("a.json", ": day: is not a day of that month; correct it");
	assert_int_equal(validate("--as", "Hello", put("a.json", "{}"), NULL), CLI_USAGE); /* no rules for frames */
	assert_int_equal(validate("--as", "Consennt", put("a.json", "{}"), NULL), CLI_USAGE);
}

/* Many short names stand within each field's limit and together over that of a Content. */
static void test_validate_refuses_what_is_too_large_to_travel(void **state)
{
	(void)state;
	static char text[60000];
	char reason[3001];
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	size_t used = (size_t)snprintf(text, sizeof(text), "{\"referralRequest\": {\"caseRef\": \"K\", \"service\": 1, \"risk\": 1, "
		"\"reason\": \"%s\", \"referrer\": {\"name\": \"J\"}, \"consent\": " CONSENT ", \"servicesGiven\": [", reason);
	for (unsigned i = 0; i < 16; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s{\"service\": 1, \"note\": \"%.1000s\"}", i ? ", " : "",
			reason);
	used += (size_t)snprintf(text + used, sizeof(text) - used, "], \"children\": [");
	for (unsigned i = 0; i < 16; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s{\"code\": \"C\", \"sex\": 1, \"age\": {\"years\": 9, "
			"\"asOf\": {\"year\": 2025}}, \"name\": {\"parts\": [{\"text\": \"A\", \"role\": 1}], \"otherNames\": [\"%.200s\", "
			"\"%.200s\", \"%.200s\", \"%.200s\", \"%.200s\", \"%.200s\", \"%.200s\"]}}", i ? ", " : "", reason, reason, reason,
			reason, reason, reason, reason);
	(void)snprintf(text + used, sizeof(text) - used, "]}}");
	assert_int_equal(validate(put("a.json", text), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, " bytes, at most 40960; send less in one message\n"));
	assert_int_equal(validate("--json", put("a.json", text), NULL), CLI_REFUSED);
	assert_non_null(strstr(OUT, "\"code\":\"too_big\""));
}

static void test_validate_disarms_names(void **state)
{
	(void)state;
	assert_int_equal(validate(put("odd\x1b.json", "{\"a\\u001b[2J\": 1}"), NULL), CLI_REFUSED);
	assert_null(strchr(OUT, '\x1b'));
	assert_non_null(strstr(OUT, "/odd\\x1b.json: a\\x1b[2J: no such field; Content has messageId, "));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_validate_prints_ok_or_field_and_rule),
		WITH_FOLDER(test_validate_gives_line_and_column_of_a_syntax_error),
		WITH_FOLDER(test_validate_looks_at_every_file_and_counts),
		WITH_FOLDER(test_validate_of_an_empty_folder_is_an_error),
		WITH_FOLDER(test_validate_complete_wants_what_the_agent_would_set),
		WITH_FOLDER(test_validate_as_takes_a_message_by_itself),
		WITH_FOLDER(test_validate_refuses_what_is_too_large_to_travel),
		WITH_FOLDER(test_validate_disarms_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
