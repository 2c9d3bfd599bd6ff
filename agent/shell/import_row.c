#include "agent/shell/import_row.h"

#include <stdio.h>
#include <string.h>

#include "agent/shell/json.h"
#include "proto/base/check.h"
#include "proto/wire/message.h"
#include "proto/wire/spelling.h"

/* Steps: cells → JSON · defaults for what is missing · days of ages · keyed objects → arrays · JSON → message · check ·
 * hand over. The first step that refuses ends the row. */

#define COLUMN_SIZE 64u
#define VALUE_SIZE 256u

/* What is known of a row while it is built. */
struct build {
	const struct import_options *options;
	const struct import_columns *columns;
	json_t *root;
	bool set[IMPORT_COLUMNS_MAX]; /* by index of the column */
	char *local_id;
	struct import_fault *fault;
};

static void name_column(struct import_fault *fault, const char *column)
{
	(void)snprintf(fault->column, sizeof(fault->column), "%s", column); /* cut short is good enough */
}

static enum kw_err refuse(struct import_fault *fault, const char *column, const char *rule)
{
	name_column(fault, column);
	(void)snprintf(fault->rule, sizeof(fault->rule), "%s", rule); /* fits: ours */
	return KW_EFIELD;
}

/* `text` without the blanks around it, in out; false if it is too long. */
static bool trim(const char *text, char out[IMPORT_CELL_SIZE_MAX + 1])
{
	text += strspn(text, " \t\r\n");
	size_t size = strlen(text);
	while (size > 0 && strchr(" \t\r\n", text[size - 1]))
		size--;
	if (size > IMPORT_CELL_SIZE_MAX)
		return false;
	memcpy(out, text, size);
	out[size] = '\0';
	return true;
}

static enum kw_err set_cell(struct build *build, const struct import_column *column, const char *header, const char *text)
{
	size_t index = (size_t)(column - build->columns->columns);
	char trimmed[IMPORT_CELL_SIZE_MAX + 1];
	if (!trim(text, trimmed))
		return refuse(build->fault, header, "is longer than 8192 bytes");
	if (!trimmed[0])
		return KW_OK; /* missing is missing */
	if (build->set[index])
		return refuse(build->fault, header, "is given twice, under two of its names");
	enum kw_err err = import_cell_set(build->root, column, trimmed, build->fault);
	if (err != KW_OK) {
		name_column(build->fault, header);
		(void)snprintf(build->fault->field, sizeof(build->fault->field), "%s", column->path ? column->path : "");
		kw_spell_json(build->fault->field);
		return err;
	}
	if (column->type == CELL_ID) {
		if (strlen(trimmed) > IMPORT_LOCAL_ID_SIZE_MAX)
			return refuse(build->fault, header, "is longer than 64 bytes");
		memcpy(build->local_id, trimmed, strlen(trimmed) + 1);
	}
	build->set[index] = true;
	return KW_OK;
}

/* The next "column=value" of a list; false at the end. A piece without '=' has an empty value. */
static bool next_default(const char **cursor, char column[COLUMN_SIZE], char value[VALUE_SIZE])
{
	*cursor += strspn(*cursor, ", ");
	if (!**cursor)
		return false;
	size_t size = strcspn(*cursor, ",");
	size_t name = strcspn(*cursor, "=");
	name = name < size ? name : size;
	(void)snprintf(column, COLUMN_SIZE, "%.*s", (int)name, *cursor); /* a cut name is unknown, a cut value too long */
	(void)snprintf(value, VALUE_SIZE, "%.*s", (int)(size > name ? size - name - 1 : 0), *cursor + name + (size > name));
	*cursor += size;
	return true;
}

static enum kw_err set_defaults(struct build *build)
{
	char column_name[COLUMN_SIZE], value[VALUE_SIZE];
	const char *cursor = build->options->defaults ? build->options->defaults : "";
	while (next_default(&cursor, column_name, value)) {
		const struct import_column *column = import_column_find(build->columns, column_name);
		if (!column || build->set[column - build->columns->columns])
			continue; /* import_check_headers has reported unknown ones */
		enum kw_err err = set_cell(build, column, column_name, value);
		if (err != KW_OK)
			return err;
	}
	return KW_OK;
}

/* The object at a path of one or three members ("age", "children.0.age"), or NULL. */
static json_t *object_at(json_t *root, const char *path, json_t **parent)
{
	char name[COLUMN_SIZE];
	json_t *at = root;
	*parent = NULL;
	while (at && *path) {
		size_t size = strcspn(path, ".");
		(void)snprintf(name, sizeof(name), "%.*s", (int)size, path); /* fits: paths are ours */
		*parent = at;
		at = json_object_get(at, name);
		path += size + (path[size] == '.' ? 1 : 0);
	}
	return at;
}

/* An age is true on a day. A day without an age is no age. */
static enum kw_err finish_age(struct build *build)
{
	json_t *parent = NULL;
	json_t *age = object_at(build->root, build->columns->age, &parent);
	if (!age)
		return KW_OK;
	if (!json_object_get(age, "years"))
		return json_object_del(parent, "age") == 0 ? KW_OK : KW_ENOMEM;
	if (json_object_get(age, "as_of"))
		return KW_OK;
	static const struct import_column AS_OF = {.name = "as_of", .aliases = "", .type = CELL_DATE, .path = "as_of"};
	if (!build->options->as_of)
		return refuse(build->fault, "age", "needs the day on which it was true: a column registration_date, or --as-of");
	enum kw_err err = import_cell_set(age, &AS_OF, build->options->as_of, build->fault);
	if (err != KW_OK)
		name_column(build->fault, "age");
	return err;
}

/* Turns an object keyed by what tells its members apart into the array that the schema has. */
static enum kw_err finish_array(json_t *root, const char *name, const char *key_name)
{
	json_t *keyed = json_object_get(root, name);
	if (!json_is_object(keyed))
		return KW_OK;
	json_t *array = json_array();
	const char *key;
	json_t *member;
	int failed = array ? 0 : 1;
	json_object_foreach(keyed, key, member) {
		if (key_name)
			failed |= json_object_set_new(member, key_name, json_string(key));
		failed |= json_array_append(array, member);
	}
	failed |= json_object_set_new(root, name, array);
	return failed ? KW_ENOMEM : KW_OK;
}

static enum kw_err finish(struct build *build, json_t *relatives)
{
	static const char *const ARRAYS[][2] = {
		{"locations", "kind"}, {"relatives", "relation"}, {"other_ids", "issuer"}, {"children", NULL}};
	enum kw_err err = finish_age(build);
	for (size_t i = 0; err == KW_OK && i < sizeof(ARRAYS) / sizeof(ARRAYS[0]); i++)
		err = finish_array(build->root, ARRAYS[i][0], ARRAYS[i][1]);
	if (err != KW_OK || !relatives || json_array_size(relatives) == 0)
		return err;
	json_t *array = json_object_get(build->root, "relatives");
	if (!array)
		return json_object_set(build->root, "relatives", relatives) == 0 ? KW_OK : KW_ENOMEM;
	return json_array_extend(array, relatives) == 0 ? KW_OK : KW_ENOMEM;
}

enum kw_err import_row_json(const struct import_options *options, const struct import_row *row, json_t **out,
	char local_id[IMPORT_LOCAL_ID_SIZE_MAX + 1], struct import_fault *fault)
{
	struct build build = {.options = options, .columns = import_columns(options->kind), .root = json_object(),
		.local_id = local_id, .fault = fault};
	KW_ASSERT(build.columns->count <= IMPORT_COLUMNS_MAX);
	*fault = (struct import_fault){.line = row->line};
	local_id[0] = '\0';
	enum kw_err err = build.root ? KW_OK : KW_ENOMEM;
	for (size_t i = 0; err == KW_OK && i < row->count; i++) {
		const struct import_column *column = import_column_find(build.columns, row->cells[i].header);
		if (column)
			err = set_cell(&build, column, row->cells[i].header, row->cells[i].text);
	}
	if (err == KW_OK)
		err = set_defaults(&build);
	if (err == KW_OK)
		err = finish(&build, row->relatives);
	if (err == KW_OK && options->kind != IMPORT_RELATIVE && !local_id[0])
		err = refuse(fault, build.columns->columns[0].name, options->kind == IMPORT_REFERRAL ?
			"is required: a pseudonym of the case for you and the agency that gets it, not your own case number" :
			"is required: the id of the case in your own system");
	if (err == KW_OK)
		*out = build.root;
	else
		json_decref(build.root);
	return err;
}

/* The column whose path is the longest beginning of the field, under the name that the file gives it. */
static void find_column(const struct import_run *run, const struct import_row *row, struct import_fault *fault)
{
	const struct import_columns *columns = import_columns(run->options->kind);
	const struct import_column *best = NULL;
	size_t longest = 0;
	for (size_t i = 0; i < columns->count; i++) {
		const struct import_column *column = &columns->columns[i];
		char path[sizeof(fault->field)];
		(void)snprintf(path, sizeof(path), "%s", column->path ? column->path : ""); /* fits: ours */
		kw_spell_json(path);
		size_t size = strlen(path);
		if (size == 0 || strncmp(fault->field, path, size) != 0 || !strchr(".[", fault->field[size]) || size <= longest)
			continue;
		longest = size;
		best = column;
	}
	if (!best)
		return;
	name_column(fault, best->name);
	for (size_t i = 0; i < row->count; i++)
		if (import_column_find(columns, row->cells[i].header) == best)
			name_column(fault, row->cells[i].header);
}

static enum kw_err check_and_take(const struct import_run *run, const struct import_row *row, json_t *root,
	const char *local_id, struct import_fault *fault)
{
	ProtobufCMessage *message = NULL;
	struct json_fault json_fault;
	struct kw_fault wire_fault;
	bool repeated = false;
	enum kw_err err = json_map_read(import_columns(run->options->kind)->message, root, &message, &json_fault);
	if (err != KW_OK) {
		(void)snprintf(fault->field, sizeof(fault->field), "%.*s", (int)sizeof(fault->field) - 1, json_fault.path);
		(void)snprintf(fault->rule, sizeof(fault->rule), "%s", json_fault.rule);
		find_column(run, row, fault);
		return err;
	}
	err = kw_message_validate(message, "", &wire_fault);
	if (err == KW_OK) {
		struct import_record record = {.line = row->line, .local_id = local_id, .message = message};
		err = run->sink->take(run->sink->context, &record, &repeated, fault);
		if (err == KW_OK && repeated)
			run->summary->repeated++;
		else if (err == KW_OK)
			run->summary->imported++;
	} else {
		(void)snprintf(fault->field, sizeof(fault->field), "%s", wire_fault.field);
		(void)snprintf(fault->rule, sizeof(fault->rule), "%s", wire_fault.rule);
	}
	if (err != KW_OK)
		find_column(run, row, fault);
	protobuf_c_message_free_unpacked(message, NULL);
	return err;
}

enum kw_err import_row_refuse(const struct import_run *run, const struct import_fault *fault)
{
	run->summary->rows++;
	run->summary->refused++;
	run->sink->refused(run->sink->context, fault);
	return run->options->strict ? KW_EFIELD : KW_OK;
}

enum kw_err import_row_take(const struct import_run *run, const struct import_row *row)
{
	struct import_fault fault;
	json_t *root = NULL;
	char local_id[IMPORT_LOCAL_ID_SIZE_MAX + 1];
	if (run->summary->rows >= IMPORT_ROWS_MAX)
		return KW_ETOOBIG;
	enum kw_err err = import_row_json(run->options, row, &root, local_id, &fault);
	if (err == KW_OK)
		err = check_and_take(run, row, root, local_id, &fault);
	json_decref(root);
	if (err == KW_OK) {
		run->summary->rows++;
		return KW_OK;
	}
	if (kw_err_class(err) != KW_CLASS_REJECT)
		return err;
	return import_row_refuse(run, &fault);
}

enum kw_err import_check_headers(const struct import_run *run, const char *const *headers, size_t count)
{
	const struct import_columns *columns = import_columns(run->options->kind);
	bool unknown = false;
	for (size_t i = 0; i < count; i++) {
		if (!headers[i][0] || import_column_find(columns, headers[i]))
			continue;
		run->sink->ignored(run->sink->context, headers[i]);
		unknown = true;
	}
	if (unknown && run->options->strict) {
		struct import_fault fault = {.rule = "has columns that no rule knows, and strict was asked for"};
		run->sink->refused(run->sink->context, &fault);
		return KW_EFIELD;
	}
	char name[COLUMN_SIZE], value[VALUE_SIZE];
	const char *cursor = run->options->defaults ? run->options->defaults : "";
	while (next_default(&cursor, name, value)) {
		if (import_column_find(columns, name))
			continue;
		struct import_fault fault = {.rule = "is no column that can have a default; kinward import --columns lists them"};
		name_column(&fault, name);
		run->sink->refused(run->sink->context, &fault);
		return KW_EFIELD;
	}
	return KW_OK;
}
