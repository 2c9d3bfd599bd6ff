#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/shell/codes.h"
#include "agent/shell/json.h"
#include "agent/shell/table_inner.h"

/* One cell into JSON and back. */

#define DAY_MS INT64_C(86400000)
#define MINUTE_MS INT64_C(60000)

static enum kw_err refuse(char rule[TABLE_RULE_SIZE], const char *text)
{
	(void)snprintf(rule, TABLE_RULE_SIZE, "%s", text); /* fits: ours */
	return KW_EFIELD;
}

/* Exactly `count` digits; moves over them. */
static bool take_digits(const char **at, unsigned count, int *out)
{
	*out = 0;
	for (unsigned i = 0; i < count; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

static bool take(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static int days_of(int year, int month)
{
	static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return DAYS[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; H. Hinnant, "chrono-compatible low-level date algorithms". */
static int64_t days_from(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The other way. */
static void day_of(int64_t days, int *year, int *month, int *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y + era * 400 + (*month <= 2 ? 1 : 0));
}

/* YYYY-MM-DD of a day that is; moves over it. */
static bool take_day(const char **at, int numbers[3])
{
	return take_digits(at, 4, &numbers[0]) && take(at, '-') && take_digits(at, 2, &numbers[1]) && take(at, '-') &&
		take_digits(at, 2, &numbers[2]) && numbers[1] >= 1 && numbers[1] <= 12 && numbers[2] >= 1 &&
		numbers[2] <= days_of(numbers[0], numbers[1]);
}

static bool take_zone(const char **at, int64_t *ms)
{
	int hours = 0, minutes = 0;
	(void)take(at, ' ');
	if (take(at, 'Z') || take(at, 'z'))
		return true;
	bool east = **at == '+';
	if (!take(at, '+') && !take(at, '-'))
		return false;
	if (!take_digits(at, 2, &hours) || !take(at, ':') || !take_digits(at, 2, &minutes) || hours > 14 || minutes > 59)
		return false;
	int64_t offset = (hours * 60 + minutes) * MINUTE_MS;
	*ms += east ? -offset : offset;
	return true;
}

static bool take_clock(const char **at, int64_t *ms)
{
	int hour = 0, minute = 0, second = 0, milli = 0;
	if (!take_digits(at, 2, &hour) || !take(at, ':') || !take_digits(at, 2, &minute))
		return false;
	if (take(at, ':')) {
		if (!take_digits(at, 2, &second))
			return false;
		if (take(at, '.') && !take_digits(at, 3, &milli))
			return false;
	}
	*ms += hour * 60 * MINUTE_MS + minute * MINUTE_MS + second * INT64_C(1000) + milli;
	return hour < 24 && minute < 60 && second < 60;
}

static enum kw_err read_time(const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	int numbers[3];
	char number[24];
	const char *at = text;
	bool good = take_day(&at, numbers);
	int64_t ms = good ? days_from(numbers[0], numbers[1], numbers[2]) * DAY_MS : 0;
	if (good && *at) {
		good = (take(&at, 'T') || take(&at, ' ')) && take_clock(&at, &ms);
		if (good && !*at)
			return refuse(rule, "must have its zone, or it is another hour to the other agency: 2026-11-24T14:00+03:00 or ...Z");
		good = good && take_zone(&at, &ms) && !*at;
	}
	if (!good)
		return refuse(rule, "must be a time such as 2026-11-24T14:00+03:00 or 2026-11-24T11:00Z, or a day such as 2026-11-24");
	if (ms <= 0)
		return refuse(rule, "must be after 1970; correct it");
	(void)snprintf(number, sizeof(number), "%" PRId64, ms); /* fits by its range */
	*out = json_string(number);
	return *out ? KW_OK : KW_ENOMEM;
}

/* Which of a day and a month comes first in 03/04/2015 is a guess, so that form is refused. */
static enum kw_err read_date(const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	int numbers[3] = {0};
	size_t size = strlen(text);
	const char *at = text;
	bool good = false;
	if (size == 4)
		good = take_digits(&at, 4, &numbers[0]);
	else if (size == 7)
		good = take_digits(&at, 4, &numbers[0]) && take(&at, '-') && take_digits(&at, 2, &numbers[1]) && numbers[1] >= 1 &&
			numbers[1] <= 12;
	else if (size == 10)
		good = take_day(&at, numbers);
	if (!good)
		return refuse(rule, "must be a date that is: 2026-11-24, or 2026-11 or 2026 when the rest is not known");
	*out = json_pack("{s:i}", "year", numbers[0]);
	int failed = *out ? 0 : 1;
	if (!failed && numbers[1] > 0)
		failed |= json_object_set_new(*out, "month", json_integer(numbers[1]));
	if (!failed && numbers[2] > 0)
		failed |= json_object_set_new(*out, "day", json_integer(numbers[2]));
	return failed ? KW_ENOMEM : KW_OK;
}

static enum kw_err read_bool(const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	static const char *const YES[] = {"yes", "true", "y", "1"};
	static const char *const NO[] = {"no", "false", "n", "0"};
	for (size_t i = 0; i < 4; i++) {
		if (strcasecmp(text, YES[i]) == 0 || strcasecmp(text, NO[i]) == 0) {
			*out = json_boolean(strcasecmp(text, YES[i]) == 0);
			return KW_OK;
		}
	}
	return refuse(rule, "must be yes or no");
}

static enum kw_err read_number(const struct kw_rule *limits, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	size_t size = strlen(text);
	if (size > 10 || strspn(text, "0123456789") != size || strtoll(text, NULL, 10) > (long long)UINT32_MAX) {
		(void)snprintf(rule, TABLE_RULE_SIZE, "must be a whole number, %" PRIu32 " to %" PRIu32 ", digits only", limits->min,
			limits->max); /* fits */
		return KW_EFIELD;
	}
	*out = json_integer((json_int_t)strtoll(text, NULL, 10));
	return *out ? KW_OK : KW_ENOMEM;
}

static enum kw_err read_bytes(const struct kw_rule *limits, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	uint8_t bytes[TABLE_CELL_SIZE_MAX / 2];
	char *base64 = NULL;
	size_t size = strlen(text) / 2;
	if (strlen(text) % 2 != 0 || size > sizeof(bytes) || kw_unhex(bytes, size, text) != KW_OK) {
		(void)snprintf(rule, TABLE_RULE_SIZE, "must be %" PRIu32 " hex digits, as kinward prints ids", 2 * limits->max);
		return KW_EFIELD;
	}
	if (json_base64(KW_VIEW(bytes, size), &base64) != KW_OK)
		return KW_ENOMEM;
	*out = json_string(base64);
	free(base64);
	return *out ? KW_OK : KW_ENOMEM;
}

static enum kw_err read_code(const ProtobufCEnumDescriptor *type, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	const ProtobufCEnumValue *value = codes_find(type, text);
	if (!value) {
		char list[440];
		(void)snprintf(rule, TABLE_RULE_SIZE, "is no known code; one of: %s", codes_list(type, list, sizeof(list))); /* fits */
		return KW_EFIELD;
	}
	*out = json_string(value->name);
	return *out ? KW_OK : KW_ENOMEM;
}

static enum kw_err read_value(const struct table_step *step, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	switch (step->field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		return read_code(step->field->descriptor, text, out, rule);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(text, out, rule);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(table_rule(step), text, out, rule);
	case PROTOBUF_C_TYPE_INT64: /* a time: the schema has no other */
		return read_time(text, out, rule);
	case PROTOBUF_C_TYPE_UINT32:
		return read_number(table_rule(step), text, out, rule);
	case PROTOBUF_C_TYPE_STRING:
		*out = json_string(text);
		return *out ? KW_OK : refuse(rule, "must be UTF-8 text; save the file as \"CSV UTF-8\"");
	default:
		return table_is_date(step->field) ? read_date(text, out, rule) : refuse(rule, "has a type that tables do not know");
	}
}

bool table_trim(const char *text, char out[TABLE_CELL_SIZE_MAX + 1])
{
	text += strspn(text, " \t\r\n");
	size_t size = strlen(text);
	while (size > 0 && strchr(" \t\r\n", text[size - 1]))
		size--;
	if (size > TABLE_CELL_SIZE_MAX)
		return false;
	memcpy(out, text, size);
	out[size] = '\0';
	return true;
}

static enum kw_err read_list(const struct table_step *step, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	const char *separators = step->field->type == PROTOBUF_C_TYPE_STRING ? ";|" : ";|,";
	json_t *list = json_array();
	enum kw_err err = list ? KW_OK : KW_ENOMEM;
	while (err == KW_OK && *text) {
		char part[TABLE_CELL_SIZE_MAX + 1], item[TABLE_CELL_SIZE_MAX + 1];
		json_t *value = NULL;
		size_t size = strcspn(text, separators);
		memcpy(part, text, size); /* fits: it is of one cell */
		part[size] = '\0';
		text += size + (text[size] ? 1 : 0);
		if (!table_trim(part, item) || !item[0])
			continue;
		err = read_value(step, item, &value, rule);
		if (err == KW_OK && json_array_append_new(list, value) != 0)
			err = KW_ENOMEM;
	}
	if (err == KW_OK)
		*out = list;
	else
		json_decref(list);
	return err;
}

enum kw_err table_cell_read(const struct table_step *step, const char *text, json_t **out, char rule[TABLE_RULE_SIZE])
{
	return table_is_list(step) ? read_list(step, text, out, rule) : read_value(step, text, out, rule);
}

/* --- the other way */

static void time_text(int64_t ms, char out[64])
{
	int year = 0, month = 0, day = 0;
	int64_t of_day = ms % DAY_MS;
	day_of(ms / DAY_MS, &year, &month, &day);
	int n = snprintf(out, 64, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, (int)(of_day / (60 * MINUTE_MS)),
		(int)(of_day / MINUTE_MS % 60), (int)(of_day / 1000 % 60)); /* fits */
	if (of_day % 1000)
		n += snprintf(out + n, 64 - (size_t)n, ".%03d", (int)(of_day % 1000)); /* fits */
	(void)snprintf(out + n, 64 - (size_t)n, "Z");                               /* fits */
}

static void date_text(json_t *value, char out[64])
{
	int year = (int)json_integer_value(json_object_get(value, "year"));
	int month = (int)json_integer_value(json_object_get(value, "month"));
	int day = (int)json_integer_value(json_object_get(value, "day"));
	int n = snprintf(out, 64, "%04d", year); /* fits */
	if (month)
		n += snprintf(out + n, 64 - (size_t)n, "-%02d", month); /* fits */
	if (month && day)
		(void)snprintf(out + n, 64 - (size_t)n, "-%02d", day); /* fits */
}

static char *hex_text(json_t *value)
{
	struct kw_buf bytes;
	char *out = NULL;
	kw_buf_init(&bytes, TABLE_CELL_SIZE_MAX / 2);
	if (json_unbase64(kw_view_str(json_string_value(value)), &bytes) == KW_OK)
		out = malloc(bytes.size * 2 + 1);
	if (out)
		kw_hex(out, kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
	return out;
}

char *table_cell_text(const ProtobufCFieldDescriptor *field, json_t *value)
{
	char text[CODES_SHORT_SIZE] = "";
	const ProtobufCEnumValue *code;
	switch (field->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return json_is_string(value) ? hex_text(value) : NULL;
	case PROTOBUF_C_TYPE_STRING:
		return json_is_string(value) ? strdup(json_string_value(value)) : NULL;
	case PROTOBUF_C_TYPE_ENUM:
		code = json_is_string(value) ? protobuf_c_enum_descriptor_get_value_by_name(field->descriptor,
			json_string_value(value)) : NULL;
		return code ? strdup(codes_short(field->descriptor, code->value, text, sizeof(text))) : NULL;
	case PROTOBUF_C_TYPE_BOOL:
		return strdup(json_is_true(value) ? "yes" : "no");
	case PROTOBUF_C_TYPE_INT64:
		if (!json_is_string(value))
			return NULL;
		time_text(strtoll(json_string_value(value), NULL, 10), text);
		return strdup(text);
	case PROTOBUF_C_TYPE_UINT32:
		(void)snprintf(text, sizeof(text), "%" PRId64, (int64_t)json_integer_value(value)); /* fits */
		return strdup(text);
	default:
		if (!table_is_date(field))
			return NULL;
		date_text(value, text);
		return strdup(text);
	}
}
