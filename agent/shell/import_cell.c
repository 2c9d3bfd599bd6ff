#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/shell/codes.h"
#include "agent/shell/import_row.h"

/* One cell into the JSON of a row. */

#define WORD_SIZE 256u

static enum kw_err refuse(struct import_fault *fault, const char *rule)
{
	(void)snprintf(fault->rule, sizeof(fault->rule), "%s", rule); /* fits: ours */
	return KW_EFIELD;
}

/* Puts a value (taken) at a path, making the objects on the way. NULL values are broken UTF-8: json_string says so. */
static enum kw_err put(json_t *root, const char *path, json_t *value, bool append, struct import_fault *fault)
{
	json_t *at = root;
	while (value) {
		char name[WORD_SIZE];
		size_t size = strcspn(path, ".");
		(void)snprintf(name, sizeof(name), "%.*s", (int)size, path); /* fits: paths are ours */
		bool last = path[size] == '\0';
		json_t *next = json_object_get(at, name);
		if (last && !append)
			return json_object_set_new(at, name, value) == 0 ? KW_OK : KW_ENOMEM;
		if (!next && json_object_set_new(at, name, last ? json_array() : json_object()) != 0) {
			json_decref(value);
			return KW_ENOMEM;
		}
		at = json_object_get(at, name);
		if (last)
			return json_array_append_new(at, value) == 0 ? KW_OK : KW_ENOMEM;
		path += size + 1;
	}
	return refuse(fault, "must be UTF-8 text; save the file as \"CSV UTF-8\"");
}

static json_t *get(json_t *root, const char *path)
{
	json_t *at = root;
	while (at && *path) {
		char name[WORD_SIZE];
		size_t size = strcspn(path, ".");
		(void)snprintf(name, sizeof(name), "%.*s", (int)size, path); /* fits: paths are ours */
		at = json_object_get(at, name);
		path += size + (path[size] == '.' ? 1 : 0);
	}
	return at;
}

static enum kw_err append_text(json_t *root, const char *path, const char *text, struct import_fault *fault)
{
	const char *before = json_string_value(get(root, path));
	if (!before)
		return put(root, path, json_string(text), false, fault);
	size_t size = strlen(before) + strlen(text) + 3;
	char *both = malloc(size);
	if (!both)
		return KW_ENOMEM;
	(void)snprintf(both, size, "%s, %s", before, text); /* fits */
	enum kw_err err = put(root, path, json_string(both), false, fault);
	free(both);
	return err;
}

static enum kw_err code_of(const ProtobufCEnumDescriptor *type, const char *text, struct import_fault *fault,
	json_t **out)
{
	const ProtobufCEnumValue *value = codes_find(type, text);
	if (!value) {
		char list[440];
		(void)snprintf(fault->rule, sizeof(fault->rule), "is no known code; one of: %s",
			codes_list(type, list, sizeof(list))); /* cut short is good enough */
		return KW_EFIELD;
	}
	*out = json_string(value->name);
	return *out ? KW_OK : KW_ENOMEM;
}

/* The next item of a list separated by ';' or '|' (and for codes by ','), trimmed; false at the end. */
static bool next_item(const char **cursor, const char *separators, char item[WORD_SIZE])
{
	while (**cursor) {
		size_t size = strcspn(*cursor, separators);
		const char *from = *cursor;
		*cursor += size + ((*cursor)[size] ? 1 : 0);
		size_t blank = strspn(from, " \t");
		blank = blank < size ? blank : size;
		from += blank;
		size -= blank;
		while (size > 0 && (from[size - 1] == ' ' || from[size - 1] == '\t'))
			size--;
		if (size == 0)
			continue;
		(void)snprintf(item, WORD_SIZE, "%.*s", (int)size, from); /* longer ones break every rule of the schema anyway */
		return true;
	}
	return false;
}

static enum kw_err set_list(json_t *root, const struct import_column *column, const char *text,
	struct import_fault *fault)
{
	char item[WORD_SIZE];
	enum kw_err err = KW_OK;
	const char *separators = column->type == CELL_CODES ? ";|," : ";|";
	while (err == KW_OK && next_item(&text, separators, item)) {
		json_t *value = NULL;
		if (column->type == CELL_CODES)
			err = code_of(column->codes, item, fault, &value);
		else
			value = strlen(item) + 1 < WORD_SIZE ? json_string(item) : NULL;
		if (err == KW_OK && !value && strlen(item) + 1 >= WORD_SIZE)
			err = refuse(fault, "has an item of more than 254 bytes");
		if (err == KW_OK)
			err = put(root, column->path, value, true, fault);
	}
	return err;
}

static enum kw_err set_part(json_t *root, const char *path, const char *text, const char *role, struct import_fault *fault)
{
	json_t *value = json_string(text);
	if (!value)
		return put(root, path, NULL, true, fault);
	return put(root, path, json_pack("{s:o, s:s}", "text", value, "role", role), true, fault);
}

static enum kw_err set_name(json_t *root, const struct import_column *column, const char *text,
	struct import_fault *fault)
{
	char path[WORD_SIZE];
	char word[WORD_SIZE];
	enum kw_err err = KW_OK;
	(void)snprintf(path, sizeof(path), "%s.parts", column->path); /* fits: paths are ours */
	while (err == KW_OK && next_item(&text, " \t", word))
		err = set_part(root, path, word, "NAME_ROLE_OTHER", fault);
	return err;
}

static bool digits(const char *text, size_t count, int *out)
{
	int number = 0;
	for (size_t i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (text[i] - '0');
	}
	*out = number;
	return true;
}

/* YYYY, YYYY-MM, YYYY-MM-DD (also with / and with a time after it), YYYYMMDD. Which of a day and a month comes first in
 * 03/04/2015 is a guess, so that form is refused. */
static bool parse_date(const char *text, int *year, int *month, int *day)
{
	*month = *day = 0;
	size_t size = strcspn(text, "T ");
	if (!digits(text, size < 4 ? size : 4, year) || size < 4)
		return false;
	if (size == 4)
		return text[size] == '\0';
	if (size == 8 && digits(text + 4, 2, month) && digits(text + 6, 2, day))
		return true;
	char dash = text[4];
	if ((dash != '-' && dash != '/') || size < 7 || !digits(text + 5, 2, month))
		return false;
	if (size == 7)
		return text[size] == '\0';
	return size == 10 && text[7] == dash && digits(text + 8, 2, day);
}

static enum kw_err set_date(json_t *root, const char *path, const char *text, struct import_fault *fault)
{
	static const struct {
		const char *name;
		size_t at;
	} PARTS[] = {{"year", 0}, {"month", 1}, {"day", 2}};
	int numbers[3];
	enum kw_err err = KW_OK;
	if (!parse_date(text, &numbers[0], &numbers[1], &numbers[2]))
		return refuse(fault, "must be a date: YYYY-MM-DD, YYYYMMDD, YYYY-MM or YYYY");
	for (size_t i = 0; err == KW_OK && i < 3; i++) {
		char member[WORD_SIZE];
		(void)snprintf(member, sizeof(member), "%s.%s", path, PARTS[i].name); /* fits: paths are ours */
		err = put(root, member, json_integer(numbers[i]), false, fault);
	}
	/* 0000-00-00 and the like would otherwise read as "not known" further on. */
	if (err == KW_OK && (numbers[0] == 0 || (strlen(text) > 4 && numbers[1] == 0) || (strlen(text) > 7 && numbers[2] == 0)))
		err = refuse(fault, "has a year, month or day of zero; leave out what is not known: YYYY-MM or YYYY");
	return err;
}

static enum kw_err set_number(json_t *root, const char *path, const char *text, struct import_fault *fault)
{
	int number = 0;
	size_t size = strlen(text);
	if (size > 6 || !digits(text, size, &number))
		return refuse(fault, "must be a whole number");
	return put(root, path, json_integer(number), false, fault);
}

static enum kw_err set_bool(json_t *root, const char *path, const char *text, struct import_fault *fault)
{
	static const char *const YES[] = {"true", "yes", "y", "1"};
	static const char *const NO[] = {"false", "no", "n", "0"};
	for (size_t i = 0; i < 4; i++) {
		if (strcasecmp(text, YES[i]) == 0)
			return put(root, path, json_true(), false, fault);
		if (strcasecmp(text, NO[i]) == 0)
			return put(root, path, json_false(), false, fault);
	}
	return refuse(fault, "must be yes or no");
}

enum kw_err import_cell_set(json_t *root, const struct import_column *column, const char *text,
	struct import_fault *fault)
{
	json_t *value = NULL;
	enum kw_err err = KW_OK;
	switch (column->type) {
	case CELL_ID:
		return column->path ? put(root, column->path, json_string(text), false, fault) : KW_OK;
	case CELL_TEXT:
		return put(root, column->path, json_string(text), false, fault);
	case CELL_APPEND:
		return append_text(root, column->path, text, fault);
	case CELL_TEXTS:
	case CELL_CODES:
		return set_list(root, column, text, fault);
	case CELL_PART:
		return set_part(root, column->path, text, column->role, fault);
	case CELL_NAME:
		return set_name(root, column, text, fault);
	case CELL_CODE:
		err = code_of(column->codes, text, fault, &value);
		return err == KW_OK ? put(root, column->path, value, false, fault) : err;
	case CELL_NUMBER:
		return set_number(root, column->path, text, fault);
	case CELL_BOOL:
		return set_bool(root, column->path, text, fault);
	case CELL_DATE:
		return set_date(root, column->path, text, fault);
	}
	return refuse(fault, "has a type that imports do not know");
}
