#include <stdio.h>
#include <string.h>

#include "agent/shell/table_inner.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/base/check.h"

/* Columns by name: children[1].age.years. Case does not count, and a blank or '-' counts as '_'. */

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == ' ' || c == '-' ? '_' : c;
}

/* `size` bytes of a text against a name. */
static bool same(const char *text, size_t size, const char *name)
{
	for (size_t i = 0; i < size; i++)
		if (!name[i] || fold(text[i]) != fold(name[i]))
			return false;
	return name[size] == '\0';
}

/* CapacityQuery is capacity_query. */
static bool same_kind(const char *text, const char *name)
{
	for (; *text; text++) {
		if (fold(*text) == '_')
			continue;
		name += *name == '_';
		if (fold(*text) != *name++)
			return false;
	}
	return *name == '\0';
}

const ProtobufCFieldDescriptor *table_kind_at(unsigned i)
{
	const ProtobufCMessageDescriptor *content = &kinward__v1__content__descriptor;
	for (unsigned k = 0; k < content->n_fields; k++)
		if ((content->fields[k].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && i-- == 0)
			return &content->fields[k];
	return NULL;
}

const ProtobufCFieldDescriptor *table_kind(const char *name)
{
	const ProtobufCFieldDescriptor *kind;
	for (unsigned i = 0; (kind = table_kind_at(i)) != NULL; i++)
		if (same_kind(name, kind->name))
			return kind;
	return NULL;
}

bool table_stays_here(const ProtobufCFieldDescriptor *kind)
{
	return kind->id == KINWARD__V1__CONTENT__BODY_UASC_REGISTRATION;
}

const char *table_role_name(enum table_role role)
{
	static const char *const NAMES[TABLE_ROLE_COUNT] = {
		[TABLE_GROUP] = "#group", [TABLE_TO] = "#to", [TABLE_THREAD] = "#thread", [TABLE_LOCAL_ID] = "#id"};
	return NAMES[role];
}

const struct kw_rule *table_rule(const struct table_step *step)
{
	const struct kw_rule_set *set = kw_validate_rules(step->parent);
	size_t index = (size_t)(step->field - step->parent->fields);
	KW_ASSERT(set && index < set->count);
	return &set->rules[index];
}

bool table_is_date(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor == &kinward__v1__partial_date__descriptor;
}

bool table_is_list(const struct table_step *step)
{
	return step->field->label == PROTOBUF_C_LABEL_REPEATED && step->index == 0;
}

/* What a message has, for somebody who misspelt a column; cut at a whole name. */
static enum kw_err refuse_name(const ProtobufCMessageDescriptor *type, char rule[TABLE_RULE_SIZE])
{
	static const char MORE[] = " ...";
	size_t used = (size_t)snprintf(rule, TABLE_RULE_SIZE, "is no known column; correct it, or put # before its name to have "
		"it ignored; %s has", type->short_name); /* fits */
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (used + strlen(type->fields[i].name) + 1 + sizeof(MORE) > TABLE_RULE_SIZE) {
			memcpy(rule + used, MORE, sizeof(MORE));
			break;
		}
		used += (size_t)snprintf(rule + used, TABLE_RULE_SIZE - used, " %s", type->fields[i].name); /* fits */
	}
	return KW_EFIELD;
}

/* "[3]" or "[]" at *at, if there is one; moves over it. */
static enum kw_err read_index(const char **at, struct table_step *step, char rule[TABLE_RULE_SIZE])
{
	bool repeats = step->field->label == PROTOBUF_C_LABEL_REPEATED;
	const char *digits = *at + 1;
	step->index = 0;
	if (**at != '[')
		return KW_OK;
	size_t size = strspn(digits, "0123456789");
	if (digits[size] != ']' || size > 4) {
		(void)snprintf(rule, TABLE_RULE_SIZE, "has no number in its brackets; write %s[1]", step->field->name); /* fits */
		return KW_EFIELD;
	}
	for (size_t i = 0; i < size; i++)
		step->index = step->index * 10 + (unsigned)(digits[i] - '0');
	*at = digits + size + 1;
	if (!repeats) {
		(void)snprintf(rule, TABLE_RULE_SIZE, "has a number, but a message has one %s; take [ ] out", step->field->name);
		return KW_EFIELD;
	}
	unsigned most = table_rule(step)->count_max;
	if (size > 0 && (step->index < 1 || step->index > most)) {
		(void)snprintf(rule, TABLE_RULE_SIZE, "is outside of %s[1] to %s[%u]; take it out", step->field->name,
			step->field->name, most); /* fits */
		return KW_EFIELD;
	}
	if (size == 0)
		step->index = TABLE_NEXT;
	return KW_OK;
}

static enum kw_err read_step(const char **at, struct table_step *step, char rule[TABLE_RULE_SIZE])
{
	size_t size = strcspn(*at, ".[");
	step->field = NULL;
	for (unsigned i = 0; !step->field && i < step->parent->n_fields; i++)
		if (same(*at, size, step->parent->fields[i].name))
			step->field = &step->parent->fields[i];
	if (!step->field)
		return refuse_name(step->parent, rule);
	*at += size;
	enum kw_err err = read_index(at, step, rule);
	if (err != KW_OK)
		return err;
	if (**at != '\0' && **at != '.') {
		(void)snprintf(rule, TABLE_RULE_SIZE, "has something behind its brackets; correct it");
		return KW_EFIELD;
	}
	return KW_OK;
}

/* Where a path may end. */
static enum kw_err check_end(const struct table_step *last, char rule[TABLE_RULE_SIZE])
{
	if (last->field->type != PROTOBUF_C_TYPE_MESSAGE || (table_is_date(last->field) && !table_is_list(last)))
		return KW_OK;
	const ProtobufCMessageDescriptor *type = last->field->descriptor;
	(void)snprintf(rule, TABLE_RULE_SIZE, "has parts, and each is a column of its own, such as %s%s.%s", last->field->name,
		last->field->label == PROTOBUF_C_LABEL_REPEATED ? "[1]" : "", type->fields[0].name); /* fits */
	return KW_EFIELD;
}

enum kw_err table_path_from(const ProtobufCMessageDescriptor *body, const char *header, struct table_path *out,
	char rule[TABLE_RULE_SIZE])
{
	const char *at = header;
	bool has_next = false;
	out->count = 0;
	for (;;) {
		struct table_step *step = &out->steps[out->count];
		step->parent = body;
		enum kw_err err = read_step(&at, step, rule);
		if (err != KW_OK)
			return err;
		out->count++;
		if (has_next && step->index == TABLE_NEXT) {
			(void)snprintf(rule, TABLE_RULE_SIZE, "has [ ] without a number twice; number the inner one");
			return KW_EFIELD;
		}
		has_next = has_next || step->index == TABLE_NEXT;
		if (*at == '\0')
			return check_end(step, rule);
		at++; /* the dot */
		if (step->field->type != PROTOBUF_C_TYPE_MESSAGE || out->count == TABLE_STEPS_MAX) {
			(void)snprintf(rule, TABLE_RULE_SIZE, "goes on behind %s, which has no parts; correct it", step->field->name);
			return KW_EFIELD;
		}
		if (table_is_list(step)) {
			(void)snprintf(rule, TABLE_RULE_SIZE, "needs a number: %s[1] side by side, or %s[] for one a row",
				step->field->name, step->field->name); /* fits */
			return KW_EFIELD;
		}
		body = step->field->descriptor;
	}
}

void table_path_text(const struct table_path *path, unsigned count, char out[TABLE_PATH_SIZE])
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		char index[16] = "";
		if (path->steps[i].index == TABLE_NEXT)
			memcpy(index, "[]", sizeof("[]"));
		else if (path->steps[i].index > 0)
			(void)snprintf(index, sizeof(index), "[%u]", path->steps[i].index); /* fits */
		int n = snprintf(out + used, TABLE_PATH_SIZE - used, "%s%s%s", i ? "." : "", path->steps[i].field->name, index);
		used += n < 0 ? 0 : (size_t)n;
		if (used >= TABLE_PATH_SIZE)
			return; /* cut; the schema's longest fits, as validate_rules.c asserts */
	}
}
