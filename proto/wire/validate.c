/* The engine: walks a message by its descriptor and applies the rule of each field. It knows no message by name, but that a
 * Content says when it was written. */

#include "proto/wire/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/base/check.h"
#include "proto/base/id.h"
#include "proto/wire/codes.h"
#include "proto/wire/spelling.h"
#include "proto/wire/validate_clash.h"

#define TIME_MAX_UNIX_MS INT64_C(253402300799999)
/* 2000-01-01: a clock before it was never set. */
#define CLOCK_MIN_UNIX_MS INT64_C(946684800000)
#define DAY_MS INT64_C(86400000)
/* Of a week. */
#define YEAR_MIN 1900u
#define YEAR_MAX 2100u

/* One value and where it stands. index is -1 unless the field repeats. */
struct place {
	const ProtobufCFieldDescriptor *field;
	const struct kw_rule *rule;
	const void *at;
	long index;
};

static enum kw_err check_message(struct kw_walk *walk, const ProtobufCMessage *message);

/* Goes one step down the path, spelled as in JSON, and gives the size to go back to. A path that is too long is cut, never
 * overrun. */
static size_t enter(struct kw_walk *walk, const char *field, long index)
{
	size_t before = walk->path_size;
	size_t room = sizeof(walk->path) - before;
	const char *dot = before > 0 && field[0] != '\0' ? "." : "";
	int size = index < 0 ? snprintf(walk->path + before, room, "%s%s", dot, field) :
		snprintf(walk->path + before, room, "%s%s[%ld]", dot, field, index);
	if (size > 0)
		kw_spell_json(walk->path + before);
	walk->path_size = before + strlen(walk->path + before);
	return before;
}

static void leave(struct kw_walk *walk, size_t before)
{
	walk->path_size = before;
	walk->path[before] = '\0';
}

enum kw_err kw_validate_refuse(struct kw_walk *walk, enum kw_err code, const char *field, const char *rule)
{
	size_t before = enter(walk, field, -1);
	*walk->fault = (struct kw_fault){.code = code};
	memcpy(walk->fault->field, walk->path, walk->path_size + 1);
	(void)snprintf(walk->fault->rule, sizeof(walk->fault->rule), "%s", rule); /* cut if need be */
	leave(walk, before);
	return code;
}

static enum kw_err refuse_at(struct kw_walk *walk, const struct place *place, const char *rule)
{
	size_t before = enter(walk, place->field->name, place->index);
	enum kw_err err = kw_validate_refuse(walk, KW_EFIELD, "", rule);
	leave(walk, before);
	return err;
}

/* A member of a oneof was chosen, and an element stands there, so that 0 is a value; elsewhere it is absence. */
static bool zero_is_a_value(const struct place *place)
{
	return place->index >= 0 || (place->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

static enum kw_err refuse_range(struct kw_walk *walk, const struct place *place, const char *unit)
{
	char rule[96];
	uint32_t min = place->rule->min;
	if (place->rule->required && min == 0 && !zero_is_a_value(place))
		min = 1;
	if (min == place->rule->max)
		(void)snprintf(rule, sizeof(rule), "must be %" PRIu32 "%s; correct it", min, unit); /* fits */
	else
		(void)snprintf(rule, sizeof(rule), "must be %" PRIu32 " to %" PRIu32 "%s; correct it", min, place->rule->max,
			unit); /* fits */
	return refuse_at(walk, place, rule);
}

/* Length of the UTF-8 sequence at `in` (RFC 3629 §4), 0 if there is none. The terminator ends every attempt early. */
static size_t utf8_step(const uint8_t *in)
{
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t size = in[0] >= 0xc2 && in[0] <= 0xdf ? 2 : in[0] >= 0xe0 && in[0] <= 0xef ? 3 :
		in[0] >= 0xf0 && in[0] <= 0xf4 ? 4 : 0;
	if (size == 0)
		return 0;
	/* Overlong forms, surrogates, C1 control characters, and what lies beyond U+10FFFF. */
	if (in[0] == 0xe0 || in[0] == 0xc2)
		low = 0xa0;
	else if (in[0] == 0xed)
		high = 0x9f;
	else if (in[0] == 0xf0)
		low = 0x90;
	else if (in[0] == 0xf4)
		high = 0x8f;
	if (in[1] < low || in[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((in[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

static bool text_ok(const char *text, bool lines)
{
	const uint8_t *at = (const uint8_t *)text;
	while (*at != 0) {
		size_t step = 1;
		if (*at >= 0x80)
			step = utf8_step(at);
		else if ((*at < 0x20 && !(lines && *at == '\n')) || *at == 0x7f)
			step = 0;
		if (step == 0)
			return false;
		at += step;
	}
	return true;
}

/* True when the text is min..max characters, all of them in the set; "a-z" is written out by the caller. */
static bool all_in(const char *text, const char *set, size_t min, size_t max)
{
	size_t size = strlen(text);
	return size >= min && size <= max && strspn(text, set) == size;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* The weekday of 31 December; 0 is Sunday. */
static unsigned last_weekday(unsigned year)
{
	return (year + year / 4 - year / 100 + year / 400) % 7;
}

/* ISO 8601: a year has week 53 when it ends on a Thursday, or the year before ended on a Wednesday. */
static bool week_ok(const char *text)
{
	unsigned digits[6];
	static const uint8_t PLACES[] = {0, 1, 2, 3, 6, 7};
	if (strlen(text) != 8 || text[4] != '-' || text[5] != 'W')
		return false;
	for (unsigned i = 0; i < 6; i++) {
		char c = text[PLACES[i]];
		if (c < '0' || c > '9')
			return false;
		digits[i] = (unsigned)(c - '0');
	}
	unsigned year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
	unsigned week = digits[4] * 10 + digits[5];
	if (year < YEAR_MIN || year > YEAR_MAX)
		return false;
	bool is_long = last_weekday(year) == 4 || last_weekday(year - 1) == 3;
	return week >= 1 && week <= (is_long ? 53u : 52u);
}

/* NULL when the code is well formed, else the rule. */
static const char *code_rule(enum kw_rule_kind kind, const char *text, uint32_t max)
{
	struct kw_name name;
	switch (kind) {
	case KW_RULE_NAME:
		return kw_name_from(kw_view_str(text), &name) == KW_OK ? NULL :
			"must be an agency's name, 1 to 63 of a-z, 0-9 and '-'; correct it";
	case KW_RULE_LANGUAGE:
		if (!all_in(text, LOWER, 3, 3))
			return "must be an ISO 639-3 code, three of a-z; correct it";
		return kw_code_is_language(text) ? NULL : "is no code of ISO 639-3; correct it, or upgrade this agent";
	case KW_RULE_COUNTRY:
		if (!all_in(text, UPPER, 2, 2))
			return "must be an ISO 3166-1 alpha-2 code, two of A-Z; correct it";
		return kw_code_is_country(text) ? NULL : "is no code of ISO 3166-1 alpha-2; correct it, or upgrade this agent";
	case KW_RULE_PCODE:
		return all_in(text, UPPER DIGITS, 2, 20) ? NULL : "must be a P-code, 2 to 20 of A-Z and 0-9; correct it";
	case KW_RULE_SCRIPT:
		if (text[0] < 'A' || text[0] > 'Z' || !all_in(text + 1, LOWER, 3, 3))
			return "must be an ISO 15924 code such as Arab; correct it";
		return kw_code_is_script(text) ? NULL : "is no code of ISO 15924; correct it, or upgrade this agent";
	case KW_RULE_WEEK:
		return week_ok(text) ? NULL : "must be an ISO 8601 week such as 2026-W48, one that the year has; correct it";
	case KW_RULE_PHONE:
		return all_in(text, DIGITS "+-() ", 1, max) ? NULL : "must be of 0-9, +, -, ( ) and space; correct it";
	case KW_RULE_WIRE_NAME:
		return all_in(text, LOWER "_", 1, max) ? NULL : "must be the wire name of an error; correct it";
	default:
		return NULL;
	}
}

static enum kw_err check_text(struct kw_walk *walk, const struct place *place, const char *text)
{
	const struct kw_rule *rule = place->rule;
	size_t size = text == NULL ? 0 : strlen(text);
	if (size == 0 && (rule->required || place->index >= 0))
		return refuse_at(walk, place, "is required; fill it in");
	if (size == 0)
		return KW_OK;
	/* A form of its own size has no max. */
	if (rule->max > 0 && (size < rule->min || size > rule->max))
		return refuse_range(walk, place, " bytes of text");
	if (rule->kind != KW_RULE_LINE && rule->kind != KW_RULE_LINES) {
		const char *broken = code_rule(rule->kind, text, rule->max);
		return broken == NULL ? KW_OK : refuse_at(walk, place, broken);
	}
	if (!text_ok(text, rule->kind == KW_RULE_LINES))
		return refuse_at(walk, place, rule->kind == KW_RULE_LINES ?
			"must be UTF-8 without control characters other than line feeds; remove them" :
			"must be UTF-8 without control characters; remove them");
	return KW_OK;
}

static enum kw_err check_bytes(struct kw_walk *walk, const struct place *place, const ProtobufCBinaryData *bytes)
{
	if (bytes->len == 0 && !place->rule->required && place->index < 0)
		return KW_OK;
	if (bytes->len < place->rule->min || bytes->len > place->rule->max)
		return refuse_range(walk, place, " bytes");
	return KW_OK;
}

static enum kw_err check_enum(struct kw_walk *walk, const struct place *place, int value)
{
	char rule[96];
	if (value == 0 && !place->rule->required && place->index < 0)
		return KW_OK;
	if (value == 0)
		return refuse_at(walk, place, "is required; choose one of its codes");
	if (protobuf_c_enum_descriptor_get_value(place->field->descriptor, value) == NULL) {
		(void)snprintf(rule, sizeof(rule), "has the unknown code %d; correct it, or upgrade this agent",
			value); /* fits */
		return refuse_at(walk, place, rule);
	}
	if (value < 0 || (uint32_t)value < place->rule->min)
		return refuse_at(walk, place, "is a code that is never sent; choose another");
	return KW_OK;
}

static enum kw_err check_uint(struct kw_walk *walk, const struct place *place, uint32_t value)
{
	if (value == 0 && !zero_is_a_value(place) && !place->rule->required)
		return KW_OK;
	if (value < place->rule->min || value > place->rule->max || (value == 0 && !zero_is_a_value(place)))
		return refuse_range(walk, place, "");
	return KW_OK;
}

static enum kw_err check_time(struct kw_walk *walk, const struct place *place, int64_t value)
{
	char rule[96];
	if (value == 0 && !place->rule->required && !zero_is_a_value(place))
		return KW_OK;
	if (value <= 0 || value > TIME_MAX_UNIX_MS)
		return refuse_at(walk, place, "must be milliseconds since 1970, before the year 10000; correct it");
	if (place->rule->back_days > 0 && walk->created_ms > 0 &&
		value < walk->created_ms - (int64_t)place->rule->back_days * DAY_MS) {
		(void)snprintf(rule, sizeof(rule), "must not be more than %" PRIu32 " days before the message was made; correct it",
			place->rule->back_days); /* fits */
		return refuse_at(walk, place, rule);
	}
	return KW_OK;
}

/* The day of a time, from days since 1970 (H. S. Fliegel and T. C. Van Flandern, CACM 11 (1968) 657). */
static void day_of(int64_t unix_ms, Kinward__V1__PartialDate *out)
{
	int64_t l = unix_ms / DAY_MS + 2440588 + 68569;
	int64_t n = 4 * l / 146097;
	l -= (146097 * n + 3) / 4;
	int64_t i = 4000 * (l + 1) / 1461001;
	l = l - 1461 * i / 4 + 31;
	int64_t j = 80 * l / 2447;
	out->day = (uint32_t)(l - 2447 * j / 80);
	l = j / 11;
	out->month = (uint32_t)(j + 2 - 12 * l);
	out->year = (uint32_t)(100 * (n - 49) + i + l);
}

/* Not after the day on which the message was made; by what is known of the date. */
static enum kw_err check_past(struct kw_walk *walk, const struct place *place, const void *message)
{
	Kinward__V1__PartialDate last = KINWARD__V1__PARTIAL_DATE__INIT;
	if (!place->rule->past || walk->created_ms == 0)
		return KW_OK;
	day_of(walk->created_ms + DAY_MS, &last);
	return kw_clash_before(&last, message) ? refuse_at(walk, place, "must not be after the day of the message; correct it") :
		KW_OK;
}

static enum kw_err check_value(struct kw_walk *walk, const struct place *place)
{
	const ProtobufCMessage *message;
	size_t before;
	enum kw_err err;
	switch (place->rule->kind) {
	case KW_RULE_MESSAGE:
		message = *(ProtobufCMessage *const *)place->at;
		if (message == NULL)
			return place->rule->required ? refuse_at(walk, place, "is required; fill it in") : KW_OK;
		before = enter(walk, place->field->name, place->index);
		err = check_message(walk, message);
		leave(walk, before);
		return err == KW_OK ? check_past(walk, place, message) : err;
	case KW_RULE_ENUM:
		return check_enum(walk, place, *(const int *)place->at);
	case KW_RULE_UINT:
		return check_uint(walk, place, *(const uint32_t *)place->at);
	case KW_RULE_TIME:
		return check_time(walk, place, *(const int64_t *)place->at);
	case KW_RULE_BYTES:
		return check_bytes(walk, place, place->at);
	case KW_RULE_BOOL:
		return KW_OK;
	default:
		return check_text(walk, place, *(char *const *)place->at);
	}
}

/* Bytes from one element of a repeated field to the next. */
static size_t stride(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return sizeof(int64_t);
	default:
		return sizeof(uint32_t);
	}
}

static enum kw_err check_repeated(struct kw_walk *walk, struct place *place, const uint8_t *base)
{
	char rule[64];
	size_t count = *(const size_t *)(const void *)(base + place->field->quantifier_offset);
	const uint8_t *items = *(uint8_t *const *)(const void *)(base + place->field->offset);
	if (count > place->rule->count_max || (count == 0 && place->rule->required)) {
		(void)snprintf(rule, sizeof(rule), "must be given %d to %" PRIu32 " times; correct the number",
			place->rule->required ? 1 : 0, place->rule->count_max); /* fits */
		return refuse_at(walk, place, rule);
	}
	for (size_t i = 0; i < count; i++) {
		place->at = items + i * stride(place->field->type);
		place->index = (long)i;
		enum kw_err err = check_value(walk, place);
		if (err != KW_OK)
			return err;
	}
	return KW_OK;
}

/* No member of a oneof that must have one is set: names them, as many as there is room for. */
static enum kw_err refuse_oneof(struct kw_walk *walk, const ProtobufCMessage *message, unsigned offset)
{
	static const char MORE[] = " and more";
	char rule[sizeof(walk->fault->rule)] = "one of these is required:";
	size_t used = strlen(rule);
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;
	if (message->n_unknown_fields > 0)
		return kw_validate_refuse(walk, KW_EVERSION, "", "is of a kind that is not known here; upgrade this agent");
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || field->quantifier_offset != offset)
			continue;
		if (used + 1 + strlen(field->name) + sizeof(MORE) > sizeof(rule)) {
			memcpy(rule + used, MORE, sizeof(MORE));
			break;
		}
		rule[used++] = ' ';
		memcpy(rule + used, field->name, strlen(field->name) + 1);
		kw_spell_json(rule + used);
		used += strlen(rule + used);
	}
	return kw_validate_refuse(walk, KW_EFIELD, "", rule);
}

/* So that a oneof is missed once, not once per member. */
static bool is_first_member(const ProtobufCMessageDescriptor *descriptor, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if ((descriptor->fields[k].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			descriptor->fields[k].quantifier_offset == descriptor->fields[i].quantifier_offset)
			return false;
	return true;
}

static enum kw_err check_field(struct kw_walk *walk, const ProtobufCMessage *message, unsigned i,
	const struct kw_rule *rule)
{
	const uint8_t *base = (const uint8_t *)message;
	struct place place = {.field = &message->descriptor->fields[i], .rule = rule, .index = -1};
	if (place.field->label == PROTOBUF_C_LABEL_REPEATED)
		return check_repeated(walk, &place, base);
	if (place.field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		uint32_t chosen = *(const uint32_t *)(const void *)(base + place.field->quantifier_offset);
		if (chosen == 0 && rule->required && is_first_member(message->descriptor, i))
			return refuse_oneof(walk, message, place.field->quantifier_offset);
		if (chosen != place.field->id)
			return KW_OK;
	}
	place.at = base + place.field->offset;
	return check_value(walk, &place);
}

/* Whether the walk ends here: not while faults are collected. */
static enum kw_err fault_or_go_on(struct kw_walk *walk, enum kw_err err)
{
	if (err == KW_OK || walk->each == NULL)
		return err;
	walk->faults++;
	walk->each(walk->context, walk->fault);
	return KW_OK;
}

/* Recursion ends with the schema's depth: no type contains itself, and kw_pb_prescan bounds what is unpacked. */
static enum kw_err check_message(struct kw_walk *walk, const ProtobufCMessage *message)
{
	const struct kw_rule_set *set = kw_validate_rules(message->descriptor);
	KW_ASSERT(set != NULL && set->count == message->descriptor->n_fields);
	size_t before = walk->faults;
	for (unsigned i = 0; i < set->count; i++) {
		enum kw_err err = fault_or_go_on(walk, check_field(walk, message, i, &set->rules[i]));
		if (err != KW_OK)
			return err;
	}
	if (set->across == NULL || walk->faults != before)
		return KW_OK;
	return fault_or_go_on(walk, set->across(walk, message));
}

/* A message is judged by when it was written, or by `at_ms` when that is later. */
static int64_t judged_at(const ProtobufCMessage *message, int64_t at_ms)
{
	int64_t written_ms = message->descriptor == &kinward__v1__content__descriptor ?
		((const Kinward__V1__Content *)(const void *)message)->created_unix_ms : 0;
	return written_ms > at_ms ? written_ms : at_ms;
}

/* When the root says that it was made. A clock that was never set says nothing. */
static int64_t made_at(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "created_unix_ms");
	if (field == NULL || field->type != PROTOBUF_C_TYPE_INT64)
		return 0;
	int64_t at = *(const int64_t *)(const void *)((const uint8_t *)message + field->offset);
	return at >= CLOCK_MIN_UNIX_MS && at <= TIME_MAX_UNIX_MS ? at : 0;
}

enum kw_err kw_message_validate(const ProtobufCMessage *message, const char *root, struct kw_fault *fault)
{
	struct kw_walk walk = {.fault = fault, .at_ms = judged_at(message, 0), .created_ms = made_at(message)};
	(void)enter(&walk, root, -1); /* never left: the root stays */
	return check_message(&walk, message);
}

enum kw_err kw_message_validate_at(const ProtobufCMessage *message, int64_t at_ms, struct kw_fault *fault)
{
	struct kw_walk walk = {.fault = fault, .at_ms = judged_at(message, at_ms), .created_ms = made_at(message)};
	return check_message(&walk, message);
}

size_t kw_message_faults(const ProtobufCMessage *message, void (*each)(void *context, const struct kw_fault *fault),
	void *context)
{
	struct kw_fault fault;
	struct kw_walk walk = {.fault = &fault, .each = each, .context = context, .at_ms = judged_at(message, 0),
		.created_ms = made_at(message)};
	(void)check_message(&walk, message); /* each has been told all */
	return walk.faults;
}
