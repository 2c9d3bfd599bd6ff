/* agent.yaml: every number in it at its limit and one more, by the text of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/settings.h"

#define TOP "state: /s\nhub: 127.0.0.1:1\nsocket: /s/a\n"

static char path[64];

static enum kw_err load(const char *text, struct kw_config_fault *fault)
{
	struct settings *settings = NULL;
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	enum kw_err err = settings_load(path, &settings, fault);
	if (err == KW_OK)
		settings_free(settings);
	return err;
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *field;
		unsigned long max;
	} numbers[] = {{"blob_peer_mib", SETTINGS_BLOB_PEER_MIB_MAX}, {"blob_peer_count_max", SETTINGS_BLOB_PEER_COUNT_MAX}};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char text[200];
		struct kw_config_fault fault = {0};
		(void)snprintf(text, sizeof(text), TOP "%s: %lu\n", numbers[i].field, numbers[i].max);
		assert_int_equal(load(text, &fault), KW_OK);
		(void)snprintf(text, sizeof(text), TOP "%s: %lu\n", numbers[i].field, numbers[i].max + 1);
		assert_int_equal(load(text, &fault), KW_EFIELD);
		assert_string_equal(fault.field, numbers[i].field);
		(void)snprintf(text, sizeof(text), "%lu", numbers[i].max);
		assert_non_null(strstr(fault.text, text)); /* the rule is told with its number */
	}
}

static enum kw_err load_uids(unsigned count, struct kw_config_fault *fault)
{
	char text[1000] = TOP "allow_uids: [";
	for (unsigned i = 0; i < count; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u", i == 0 ? "" : ", ", 1000 + i);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "]\n");
	return load(text, fault);
}

static void test_uids(void **state)
{
	(void)state;
	struct kw_config_fault fault = {0};
	assert_int_equal(load_uids(SETTINGS_UIDS_MAX, &fault), KW_OK);
	assert_int_equal(load_uids(SETTINGS_UIDS_MAX + 1, &fault), KW_EFIELD);
	assert_non_null(strstr(fault.field, "allow_uids"));
}

/* A comment makes it as large as it may be. */
static void test_size_of_the_file(void **state)
{
	(void)state;
	struct kw_config_fault fault = {0};
	char *text = malloc(KW_CONFIG_SIZE_MAX + 2);
	assert_non_null(text);
	for (size_t more = 0; more < 2; more++) {
		size_t size = KW_CONFIG_SIZE_MAX + more;
		memset(text, '-', size);
		memcpy(text, TOP "# ", sizeof(TOP "# ") - 1);
		text[size - 1] = '\n';
		text[size] = '\0';
		assert_int_equal(load(text, &fault), more == 0 ? KW_OK : KW_ETOOBIG);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_uids),
		cmocka_unit_test(test_size_of_the_file),
	};
	(void)snprintf(path, sizeof(path), "/tmp/kw-settings-limits-%d.yaml", (int)getpid());
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return failed;
}
