#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/shell/codes.h"
#include "agent/shell/table_inner.h"
#include "proto/wire/comments.h"

/* The columns of a form, and what to write into each: from the schema's descriptors, rules and comments. */

#define COMMENT_SIZE 1600u
/* A part of so few plain columns is small: more of it is given side by side. */
#define SMALL_PART 4u

struct walk {
	const struct table_form *form;
	const ProtobufCFieldDescriptor *rows; /* the list that stands one part a row; NULL for none */
	struct table_path path;
	unsigned count;
	void (*each)(void *context, const char *header, const char *comment);
	void *context;
};

struct text {
	char *out;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text->out + text->used, text->size - text->used, format, args);
	va_end(args);
	if (n > 0)
		text->used += (size_t)n < text->size - text->used ? (size_t)n : text->size - text->used - 1; /* cut: a comment */
}

static bool in_oneof(const ProtobufCFieldDescriptor *field)
{
	return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* The first steps that a message can be without: 0 when it cannot be without the column; the whole path when the column
 * itself is free. */
static unsigned free_steps(const struct table_path *path)
{
	unsigned deepest = 0;
	for (unsigned i = 0; i < path->count; i++) {
		const struct table_step *step = &path->steps[i];
		bool first = step->index <= 1 || step->index == TABLE_NEXT;
		if (!table_rule(step)->required || !first || (in_oneof(step->field) && i + 1 < path->count))
			deepest = i + 1;
	}
	return deepest;
}

/* The members of a oneof, when it has more than one. */
static void add_oneof(struct text *text, const struct table_step *step)
{
	const ProtobufCMessageDescriptor *type = step->parent;
	unsigned members = 0, said = 0;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < type->n_fields; i++) {
			const ProtobufCFieldDescriptor *other = &type->fields[i];
			if (!in_oneof(other) || other->quantifier_offset != step->field->quantifier_offset)
				continue;
			if (pass == 0)
				members++;
			else if (members > 1)
				add(text, "%s%s", said++ ? " or " : table_rule(step)->required ? "Fill in one: " : "At most one: ", other->name);
		}
	}
	add(text, "%s", said ? ". " : "");
}

static void add_required(struct text *text, const struct table_path *path)
{
	const struct table_step *last = &path->steps[path->count - 1];
	unsigned free = free_steps(path);
	char head[TABLE_PATH_SIZE];
	if (in_oneof(last->field)) {
		add_oneof(text, last);
	} else if (free == 0) {
		add(text, "Required. ");
	} else if (free < path->count) {
		table_path_text(path, free, head);
		add(text, "Required with %s. ", head);
	}
}

static void add_codes(struct text *text, const struct table_step *step)
{
	const ProtobufCEnumDescriptor *type = step->field->descriptor;
	unsigned count = 0;
	add(text, " One of:");
	for (unsigned i = 0; i < type->n_values; i++) {
		char code[CODES_SHORT_SIZE];
		int value = type->values[i].value;
		if (value > 0 && (uint32_t)value >= table_rule(step)->min)
			add(text, "%s %s", count++ ? "," : "", codes_short(type, value, code, sizeof(code)));
	}
	add(text, ".");
}

/* How to write a cell. What the comment says already is not said again. */
static void add_form(struct text *text, const struct table_step *step)
{
	const struct kw_rule *rule = table_rule(step);
	bool ranged = strstr(text->out, "..") != NULL;
	switch (step->field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		add_codes(text, step);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		add(text, " yes or no.");
		break;
	case PROTOBUF_C_TYPE_INT64:
		add(text, " A time with its zone, such as 2026-11-24T14:00+03:00.");
		break;
	case PROTOBUF_C_TYPE_BYTES:
		add(text, " %" PRIu32 " hex digits.", 2 * rule->max);
		break;
	case PROTOBUF_C_TYPE_UINT32:
		if (!ranged)
			add(text, " A number, %" PRIu32 "..%" PRIu32 ".", rule->min, rule->max);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		add(text, " A date: 2026-11-24, 2026-11 or 2026.");
		break;
	default:
		if (!ranged && rule->max > 0)
			add(text, " Text of at most %" PRIu32 " bytes.", rule->max);
		break;
	}
	if (table_is_list(step))
		add(text, " Several: put ; between them.");
}

static enum kw_err give(struct walk *walk)
{
	const struct table_step *last = &walk->path.steps[walk->path.count - 1];
	char header[TABLE_PATH_SIZE];
	char comment[COMMENT_SIZE];
	struct text text = {.out = comment, .size = sizeof(comment)};
	if (walk->form->required && free_steps(&walk->path) > 0)
		return KW_OK;
	if (++walk->count > TABLE_COLUMNS_MAX)
		return KW_ETOOBIG;
	table_path_text(&walk->path, walk->path.count, header);
	comment[0] = '\0';
	add_required(&text, &walk->path);
	add(&text, "%s", kw_schema_comment(last->parent, (unsigned)(last->field - last->parent->fields)));
	add_form(&text, last);
	walk->each(walk->context, header, comment);
	return KW_OK;
}

static bool is_part(const ProtobufCFieldDescriptor *field)
{
	return field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* How often a list of parts is given: more for small ones, once for large ones within others. */
static unsigned repeats(const struct walk *walk, const struct table_step *step)
{
	const ProtobufCMessageDescriptor *type = step->field->descriptor;
	bool small = type->n_fields <= SMALL_PART, inside = false;
	for (unsigned i = 0; i < type->n_fields; i++)
		small = small && (type->fields[i].type != PROTOBUF_C_TYPE_MESSAGE || table_is_date(&type->fields[i]));
	for (unsigned i = 0; i + 1 < walk->path.count; i++)
		inside = inside || walk->path.steps[i].index > 0;
	unsigned given = walk->form->repeats ? walk->form->repeats : 2;
	unsigned count = walk->form->required ? 1 : small && given < 3 ? 3 : inside && !small ? 1 : given;
	unsigned most = table_rule(step)->count_max;
	return count < most ? count : most;
}

static enum kw_err walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type);

static enum kw_err walk_field(struct walk *walk, const ProtobufCFieldDescriptor *field)
{
	struct table_step *step = &walk->path.steps[walk->path.count - 1];
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return give(walk);
	if (table_is_date(field)) {
		enum kw_err err = give(walk);
		if (err != KW_OK || walk->path.count == TABLE_STEPS_MAX || walk->form->required)
			return err;
		/* The date itself is one cell; that it was estimated is another. */
		const ProtobufCMessageDescriptor *date = field->descriptor;
		walk->path.steps[walk->path.count++] = (struct table_step){.parent = date,
			.field = protobuf_c_message_descriptor_get_field_by_name(date, "estimated")};
		err = give(walk);
		walk->path.count--;
		return err;
	}
	if (!is_part(field))
		return walk_message(walk, field->descriptor);
	if (field == walk->rows) {
		step->index = TABLE_NEXT;
		return walk_message(walk, field->descriptor);
	}
	unsigned count = repeats(walk, step);
	enum kw_err err = KW_OK;
	for (unsigned i = 1; err == KW_OK && i <= count; i++) {
		step->index = i;
		err = walk_message(walk, field->descriptor);
	}
	return err;
}

/* Recursion ends with the schema's depth: no type holds itself. */
static enum kw_err walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type)
{
	enum kw_err err = KW_OK;
	if (walk->path.count == TABLE_STEPS_MAX)
		return KW_ETOOBIG;
	for (unsigned i = 0; err == KW_OK && i < type->n_fields; i++) {
		walk->path.steps[walk->path.count++] = (struct table_step){.parent = type, .field = &type->fields[i]};
		err = walk_field(walk, &type->fields[i]);
		walk->path.count--;
	}
	return err;
}

enum kw_err table_form_rows(const struct table_form *form, const ProtobufCFieldDescriptor **out)
{
	const ProtobufCMessageDescriptor *type = form->kind->descriptor;
	const ProtobufCFieldDescriptor *only = NULL;
	unsigned parts = 0;
	*out = NULL;
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (!is_part(&type->fields[i]))
			continue;
		parts++;
		only = &type->fields[i];
		if (form->rows && strcmp(form->rows, only->name) == 0)
			*out = only;
	}
	if (!form->rows && parts == 1)
		*out = only;
	return *out || !form->rows || strcmp(form->rows, "none") == 0 ? KW_OK : KW_EFIELD;
}

enum kw_err table_columns(const struct table_form *form, void (*each)(void *context, const char *header, const char *comment),
	void *context)
{
	struct walk walk = {.form = form, .each = each, .context = context};
	enum kw_err err = table_form_rows(form, &walk.rows);
	if (err != KW_OK)
		return err;
	if (walk.rows)
		each(context, table_role_name(TABLE_GROUP), "Rows with the same word here form one message; each adds one to the "
			"columns with []. What else a message says is filled in once.");
	if (table_stays_here(form->kind)) {
		each(context, table_role_name(TABLE_LOCAL_ID), "Required. The id of the case in your own system, 1..64 bytes.");
	} else {
		each(context, table_role_name(TABLE_TO), "The agency that it goes to; empty for the one that --to names.");
		each(context, table_role_name(TABLE_THREAD), "The thread that it belongs to, 32 hex digits; empty begins a new one.");
	}
	walk.count = 3;
	return walk_message(&walk, form->kind->descriptor);
}
