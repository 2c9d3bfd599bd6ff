#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "agent/cli/commands.h"
#include "proto/wire/validate.h"

/* kinward validate over tests/data/messages: good/NAME.json is a Content without a fault; beside bad/NAME.json stands
 * NAME.expect with the field's path ("-" for the whole message), the rule, and for a text that is no JSON line:column. The
 * expectations were written from the schema's comments, not by the program; see SOURCES.md there. */

#define FOLDER KW_TEST_DATA_DIR "/messages"
#define BAD_MIN 150
#define TYPES_MAX 128u

static char OUT[8192];

static int validate(const char *path)
{
	char *argv[] = {(char *)(uintptr_t) "kinward", (char *)(uintptr_t) "validate", (char *)(uintptr_t)path};
	FILE *out = fmemopen(OUT, sizeof(OUT), "w");
	FILE *err = fopen("/dev/null", "w");
	assert_non_null(out);
	assert_non_null(err);
	int code = cli_main(3, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return code;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool ends(const char *name, const char *with)
{
	size_t size = strlen(name), tail = strlen(with);
	return size > tail && strcmp(name + size - tail, with) == 0;
}

/* Calls `each` with the name of every .json of the folder; any other file must be the expectation of one. */
static unsigned walk(const char *folder, void (*each)(const char *stem, void *context), void *context)
{
	struct dirent **entries = NULL;
	unsigned json = 0, expectations = 0;
	int count = scandir(folder, &entries, is_visible, by_name);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		char stem[256];
		(void)snprintf(stem, sizeof(stem), "%s", entries[i]->d_name);
		if (ends(stem, ".json")) {
			stem[strlen(stem) - 5] = '\0';
			each(stem, context);
			json++;
		} else {
			assert_true(ends(stem, ".expect"));
			expectations++;
		}
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(expectations, strcmp(folder, FOLDER "/bad") == 0 ? json : 0);
	return json;
}

/* Which bodies of Content the good messages have: a good message is named by its body. */
struct bodies {
	bool seen[64];
};

static void good_is_good(const char *stem, void *context)
{
	struct bodies *bodies = context;
	const ProtobufCMessageDescriptor *content = &kinward__v1__content__descriptor;
	char path[512], wanted[520];
	size_t longest = 0;
	unsigned body = 0;
	(void)snprintf(path, sizeof(path), FOLDER "/good/%s.json", stem);
	(void)snprintf(wanted, sizeof(wanted), "%s: OK\n", path);
	int code = validate(path);
	if (code != CLI_OK || strcmp(OUT, wanted) != 0)
		fail_msg("good/%s.json: exit %d, %s", stem, code, OUT);
	assert_true(content->n_fields <= sizeof(bodies->seen));
	for (unsigned i = 0; i < content->n_fields; i++) {
		size_t size = strlen(content->fields[i].name);
		if (strncmp(stem, content->fields[i].name, size) == 0 && size > longest) {
			longest = size;
			body = i;
		}
	}
	bodies->seen[body] = true;
}

static void test_every_good_message_is_ok_and_every_body_has_one(void **state)
{
	(void)state;
	struct bodies bodies = {.seen = {false}};
	(void)walk(FOLDER "/good", good_is_good, &bodies);
	for (unsigned i = 0; i < kinward__v1__content__descriptor.n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &kinward__v1__content__descriptor.fields[i];
		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && !bodies.seen[i])
			fail_msg("no good message has the body %s", field->name);
	}
}

/* What the expectations name: message types, and kinds of rule. */
struct covered {
	const ProtobufCMessageDescriptor *types[TYPES_MAX];
	unsigned type_count;
	bool kinds[KW_RULE_WEEK + 1];
};

static void add_type(struct covered *covered, const ProtobufCMessageDescriptor *type)
{
	for (unsigned i = 0; i < covered->type_count; i++)
		if (covered->types[i] == type)
			return;
	assert_true(covered->type_count < TYPES_MAX);
	covered->types[covered->type_count++] = type;
}

/* The field of that name in either spelling, or NULL. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, const char *name, size_t size)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		const char *a = type->fields[i].name;
		size_t j = 0;
		/* my_field is myField too. */
		while (*a && j < size) {
			bool joint = a[0] == '_' && name[j] != '_';
			if (joint)
				a++;
			char wanted = joint && *a >= 'a' && *a <= 'z' ? (char)(*a - 'a' + 'A') : *a;
			if (wanted != name[j])
				break;
			a++;
			j++;
		}
		if (!*a && j == size)
			return &type->fields[i];
	}
	return NULL;
}

/* Follows a path down to its last field; what is no field of ours ends it. */
static void cover(struct covered *covered, const char *path)
{
	const ProtobufCMessageDescriptor *type = &kinward__v1__content__descriptor;
	while (*path) {
		size_t size = strcspn(path, ".[");
		const ProtobufCFieldDescriptor *field = find_field(type, path, size);
		add_type(covered, type);
		if (!field)
			return;
		path += size;
		path += *path == '[' ? strcspn(path, ".") : 0;
		path += *path == '.' ? 1 : 0;
		if (!*path)
			covered->kinds[kw_validate_rules(type)->rules[field - type->fields].kind] = true;
		else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			type = field->descriptor;
	}
}

static void bad_is_refused_as_expected(const char *stem, void *context)
{
	char path[512], expected[4096], wanted[4096];
	char *lines[3] = {NULL, NULL, NULL};
	(void)snprintf(path, sizeof(path), FOLDER "/bad/%s.expect", stem);
	FILE *file = fopen(path, "rb");
	if (!file)
		fail_msg("bad/%s.expect is missing", stem);
	size_t size = fread(expected, 1, sizeof(expected) - 1, file);
	(void)fclose(file);
	expected[size] = '\0';
	char *save = NULL;
	for (unsigned i = 0; i < 3; i++)
		lines[i] = strtok_r(i == 0 ? expected : NULL, "\n", &save);
	assert_non_null(lines[1]);
	bool is_whole = strcmp(lines[0], "-") == 0;
	(void)snprintf(path, sizeof(path), FOLDER "/bad/%s.json", stem);
	if (lines[2])
		(void)snprintf(wanted, sizeof(wanted), "%s:%s: %s\n", path, lines[2], lines[1]);
	else
		(void)snprintf(wanted, sizeof(wanted), "%s: %s%s%s\n", path, is_whole ? "" : lines[0], is_whole ? "" : ": ", lines[1]);
	int code = validate(path);
	if (code != CLI_REFUSED || strcmp(OUT, wanted) != 0)
		fail_msg("bad/%s.json: exit %d\nexpected %sgot      %s", stem, code, wanted, OUT);
	cover(context, is_whole ? "" : lines[0]);
}

static void needs(const struct covered *covered, const ProtobufCMessageDescriptor *type)
{
	bool found = false;
	for (unsigned i = 0; i < covered->type_count; i++)
		found = found || covered->types[i] == type;
	if (!found)
		fail_msg("no bad message breaks a rule in %s", type->short_name);
	for (unsigned i = 0; i < type->n_fields; i++)
		if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			needs(covered, type->fields[i].descriptor);
}

static void test_every_bad_message_is_refused_by_field_and_rule(void **state)
{
	(void)state;
	struct covered covered = {.type_count = 0};
	unsigned count = walk(FOLDER "/bad", bad_is_refused_as_expected, &covered);
	assert_true(count >= BAD_MIN);
	needs(&covered, &kinward__v1__content__descriptor);
	for (unsigned kind = 0; kind <= KW_RULE_WEEK; kind++)
		if (!covered.kinds[kind])
			fail_msg("no bad message breaks a rule of kind %u (proto/wire/validate.h)", kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_good_message_is_ok_and_every_body_has_one),
		cmocka_unit_test(test_every_bad_message_is_refused_by_field_and_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
