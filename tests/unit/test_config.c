/* Configuration: what is wrong is named, with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/link/config.h"
#include "proto/link/file.h"

struct limits {
	uint32_t connections_max;
};

struct settings {
	char *listen;
	struct limits limits;
};

static const cyaml_schema_field_t LIMITS[] = {
	CYAML_FIELD_UINT("connections_max", CYAML_FLAG_DEFAULT, struct limits, connections_max),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t SETTINGS[] = {
	CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct settings, listen, 1, 100),
	CYAML_FIELD_MAPPING("limits", CYAML_FLAG_DEFAULT, struct settings, limits, LIMITS),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t SCHEMA = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, SETTINGS)};

static char path[64];

static enum kw_err load(const char *text, struct settings **out, struct kw_config_fault *fault)
{
	cyaml_data_t *data = NULL;
	assert_int_equal(kw_file_write_atomic(path, kw_view_str(text), 0644), KW_OK);
	enum kw_err err = kw_config_load(path, &SCHEMA, &data, fault);
	*out = data;
	return err;
}

static void test_a_good_file_fills_the_struct(void **state)
{
	(void)state;
	struct settings *settings;
	struct kw_config_fault fault;
	assert_int_equal(load("listen: a:1\nlimits:\n  connections_max: 7\n", &settings, &fault), KW_OK);
	assert_string_equal(settings->listen, "a:1");
	assert_int_equal(settings->limits.connections_max, 7);
	kw_config_free(&SCHEMA, settings);
	kw_config_free(&SCHEMA, NULL);
}

/* The text, the code, the place, and what the operator must be able to read. */
static const struct {
	const char *text;
	enum kw_err err;
	unsigned line;
	const char *field;
} BAD[] = {
	{"listen: a:1\nlimits:\n  connections_max: many\n", KW_EFIELD, 3, "limits.connections_max"},
	{"listen: a:1\nlimits:\n  connections_max: -1\n", KW_EFIELD, 3, "limits.connections_max"},
	{"listen: a:1\nlimits:\n  connections_max: 4294967296\n", KW_EFIELD, 3, "limits.connections_max"},
	{"listen: a:1\nlimits:\n  conections_max: 7\n", KW_EFIELD, 3, "limits"},
	{"listen: a:1\nlimits: {connections_max: 7}\nmore: 1\n", KW_EFIELD, 3, ""},
	{"listen: a:1\nlimits:\n  connections_max: 7\n  conections_max: 7\n", KW_EFIELD, 4, "limits"},
	{"listen: \"\"\nlimits: {connections_max: 7}\n", KW_EFIELD, 1, "listen"},
	{"listen: a:1\n", KW_EFIELD, 1, "limits"},
	{"listen: [a, b]\nlimits: {connections_max: 7}\n", KW_EFIELD, 1, "listen"},
	{"listen: &x a:1\nlimits: {connections_max: *x}\n", KW_EFIELD, 2, "limits.connections_max"},
	{"listen: \"a\n", KW_EFORMAT, 1, "listen"},
	{"", KW_EFIELD, 0, ""},
};

static void test_each_mistake_is_named_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		struct settings *settings = NULL;
		struct kw_config_fault fault = {.code = KW_OK};
		print_message("%s", BAD[i].text);
		assert_int_equal(load(BAD[i].text, &settings, &fault), BAD[i].err);
		print_message("  -> %s\n", fault.text);
		assert_null(settings);
		assert_int_equal(fault.code, BAD[i].err);
		if (BAD[i].line != 0)
			assert_int_equal(fault.line, BAD[i].line);
		assert_string_equal(fault.field, BAD[i].field);
		assert_non_null(strstr(fault.text, path));
		assert_null(strchr(fault.text, '\n'));
	}
}

static void test_an_unknown_key_is_named(void **state)
{
	(void)state;
	struct settings *settings = NULL;
	struct kw_config_fault fault;
	assert_int_equal(load("lissten: a:1\nlimits: {connections_max: 7}\n", &settings, &fault), KW_EFIELD);
	assert_non_null(strstr(fault.text, "lissten"));
	assert_int_equal(fault.line, 1);
}

static void test_a_file_that_others_may_write_is_refused(void **state)
{
	(void)state;
	struct settings *settings;
	struct kw_config_fault fault;
	cyaml_data_t *data = NULL;
	assert_int_equal(load("listen: a:1\nlimits: {connections_max: 7}\n", &settings, &fault), KW_OK);
	kw_config_free(&SCHEMA, settings);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(kw_config_load(path, &SCHEMA, &data, &fault), KW_EDENIED);
	assert_non_null(strstr(fault.text, path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kw_config_load(path, &SCHEMA, &data, &fault), KW_ENOTFOUND);
	assert_null(data);
}

int main(void)
{
	char dir[] = "/tmp/kw-config-XXXXXX";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_file_fills_the_struct),
		cmocka_unit_test(test_each_mistake_is_named_with_its_place),
		cmocka_unit_test(test_an_unknown_key_is_named),
		cmocka_unit_test(test_a_file_that_others_may_write_is_refused),
	};
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/c.yaml", dir);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(dir);
	return failed;
}
