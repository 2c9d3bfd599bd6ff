#include "agent/shell/import_primero.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/import_row.h"

/* Each case's fields become cells of the same row that a CSV line would be, so that both have one set of columns, rules
 * and errors; the relatives' subform becomes rows of its own kind within. */

#define FAMILY "family_details_section"
#define RELATIVES_MAX 64u

/* The cells of one object. Texts that had to be made (numbers, lists) are owned. */
struct flat {
	struct import_cell cells[IMPORT_COLUMNS_MAX];
	char *owned[IMPORT_COLUMNS_MAX];
	size_t count;
};

static void flat_fini(struct flat *flat)
{
	for (size_t i = 0; flat && i < flat->count; i++) {
		if (flat->owned[i])
			kw_wipe(flat->owned[i], strlen(flat->owned[i]));
		free(flat->owned[i]);
	}
	free(flat);
}

/* An array of texts as "a|b|c". NULL if it holds something else, or memory is short. */
static char *join(json_t *array)
{
	struct kw_buf out;
	kw_buf_init(&out, IMPORT_CELL_SIZE_MAX * 2);
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < json_array_size(array); i++) {
		json_t *item = json_array_get(array, i);
		if (!json_is_string(item))
			err = KW_EFIELD;
		else if (i > 0)
			err = kw_buf_add_u8(&out, '|');
		if (err == KW_OK)
			err = kw_buf_add(&out, KW_VIEW(json_string_value(item), json_string_length(item)));
	}
	if (err == KW_OK)
		err = kw_buf_add_u8(&out, 0);
	char *text = err == KW_OK ? strdup((const char *)out.data) : NULL;
	kw_buf_fini(&out);
	return text;
}

/* A value as the text of a cell; NULL when it is no text, number, boolean or list of texts. */
static char *text_of(json_t *value)
{
	char number[40];
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "true" : "false");
	if (json_is_array(value))
		return join(value);
	if (!json_is_number(value))
		return NULL;
	if (json_is_integer(value))
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value)); /* fits */
	else
		(void)snprintf(number, sizeof(number), "%.10g", json_real_value(value)); /* fits */
	return strdup(number);
}

/* Fills `flat` from the object's fields that a column knows. */
static enum kw_err flatten(const struct import_columns *columns, json_t *object, struct flat *flat,
	struct import_fault *fault)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value) {
		if (json_is_null(value) || strcmp(name, FAMILY) == 0 || !import_column_find(columns, name))
			continue;
		if (flat->count == IMPORT_COLUMNS_MAX)
			return KW_ETOOBIG;
		char *text = text_of(value);
		if (!text) {
			(void)snprintf(fault->column, sizeof(fault->column), "%s", name); /* cut short is good enough */
			(void)snprintf(fault->rule, sizeof(fault->rule), "must be a text, a number, true, false or a list of texts");
			return KW_EFIELD;
		}
		flat->owned[flat->count] = text;
		flat->cells[flat->count++] = (struct import_cell){.header = name, .text = text};
	}
	return KW_OK;
}

/* One entry of the subform as the JSON of a Relative, appended to `array`. */
static enum kw_err add_relative(const struct import_run *run, json_t *entry, json_t *array, struct import_fault *fault)
{
	struct import_options options = {.kind = IMPORT_RELATIVE, .as_of = run->options->as_of};
	char no_id[IMPORT_LOCAL_ID_SIZE_MAX + 1];
	json_t *relative = NULL;
	struct flat *flat = calloc(1, sizeof(*flat));
	size_t line = fault->line;
	enum kw_err err = flat ? flatten(import_columns(IMPORT_RELATIVE), entry, flat, fault) : KW_ENOMEM;
	if (err == KW_OK && flat->count > 0) {
		struct import_row row = {.line = line, .cells = flat->cells, .count = flat->count};
		err = import_row_json(&options, &row, &relative, no_id, fault);
		if (err == KW_OK && json_array_append_new(array, relative) != 0)
			err = KW_ENOMEM;
	}
	flat_fini(flat);
	return err;
}

static enum kw_err add_relatives(const struct import_run *run, json_t *object, json_t *array, struct import_fault *fault)
{
	json_t *family = json_object_get(object, FAMILY);
	enum kw_err err = KW_OK;
	if (!family || json_is_null(family) || run->options->kind != IMPORT_REGISTRATION)
		return KW_OK;
	if (!json_is_array(family) || json_array_size(family) > RELATIVES_MAX) {
		(void)snprintf(fault->column, sizeof(fault->column), FAMILY);
		(void)snprintf(fault->rule, sizeof(fault->rule), "must be an array of at most %u objects", RELATIVES_MAX);
		return KW_EFIELD;
	}
	for (size_t i = 0; err == KW_OK && i < json_array_size(family); i++)
		err = add_relative(run, json_array_get(family, i), array, fault);
	return err;
}

static enum kw_err take_case(const struct import_run *run, json_t *object, size_t number)
{
	struct import_fault fault = {.line = number};
	struct flat *flat = calloc(1, sizeof(*flat));
	json_t *relatives = json_array();
	enum kw_err err = flat && relatives ? KW_OK : KW_ENOMEM;
	if (err == KW_OK && !json_is_object(object)) {
		(void)snprintf(fault.rule, sizeof(fault.rule), "must be an object { } with the fields of one case");
		err = KW_EFIELD;
	}
	if (err == KW_OK)
		err = flatten(import_columns(run->options->kind), object, flat, &fault);
	if (err == KW_OK)
		err = add_relatives(run, object, relatives, &fault);
	if (err == KW_OK) {
		struct import_row row = {.line = number, .cells = flat->cells, .count = flat->count, .relatives = relatives};
		err = import_row_take(run, &row);
	} else if (kw_err_class(err) == KW_CLASS_REJECT) {
		err = import_row_refuse(run, &fault);
	}
	json_decref(relatives);
	flat_fini(flat);
	return err;
}

/* Unknown fields, each named once over all cases. */
static enum kw_err check_fields(const struct import_run *run, json_t *cases)
{
	json_t *seen = json_object();
	const char *headers[IMPORT_COLUMNS_MAX];
	size_t count = 0;
	if (!seen)
		return KW_ENOMEM;
	for (size_t i = 0; i < json_array_size(cases); i++) {
		const char *name;
		json_t *value;
		json_object_foreach(json_array_get(cases, i), name, value) {
			if (count < IMPORT_COLUMNS_MAX && strcmp(name, FAMILY) != 0 && !json_object_get(seen, name) &&
				json_object_set_new(seen, name, json_true()) == 0)
				headers[count++] = name;
		}
	}
	json_decref(seen);
	return import_check_headers(run, headers, count);
}

static enum kw_err refuse_file(const struct import_run *run, enum kw_err err, int line, const char *rule)
{
	struct import_fault fault = {.line = line > 0 ? (size_t)line : 0};
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: ours */
	run->sink->refused(run->sink->context, &fault);
	return err;
}

static enum kw_err take_cases(const struct import_run *run, json_t *cases)
{
	enum kw_err err = check_fields(run, cases);
	for (size_t i = 0; err == KW_OK && i < json_array_size(cases); i++)
		err = take_case(run, json_array_get(cases, i), i + 1);
	return err;
}

enum kw_err import_primero(struct kw_view text, const struct import_options *options, const struct import_sink *sink,
	struct import_summary *summary)
{
	struct import_run run = {.options = options, .sink = sink, .summary = summary};
	*summary = (struct import_summary){0};
	if (text.size > IMPORT_FILE_SIZE_MAX)
		return refuse_file(&run, KW_ETOOBIG, 0, "is larger than 64 MiB; split it");
	json_error_t error;
	json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return refuse_file(&run, KW_EFORMAT, error.line, "is not JSON, or gives a field twice");
	json_t *data = json_is_object(root) ? json_object_get(root, "data") : NULL;
	json_t *one = NULL;
	if (!data && json_is_object(root))
		data = one = json_pack("[O]", root);
	else if (!data)
		data = root;
	enum kw_err err = KW_OK;
	if (json_is_array(data))
		err = take_cases(&run, data);
	else
		err = refuse_file(&run, KW_EFORMAT, 1, "must be an array of cases, or {\"data\": [...]}");
	json_decref(one);
	json_decref(root);
	return err;
}
