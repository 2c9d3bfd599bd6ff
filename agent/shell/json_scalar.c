#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/json_inner.h"

/* A decimal integer as JSON writes one: no blank, no plus, no leading zero. */
static bool plain_integer(const char *text, bool *negative)
{
	*negative = text[0] == '-';
	if (*negative)
		text++;
	if (text[0] == '0' && text[1])
		return false;
	size_t digits = strspn(text, "0123456789");
	return digits > 0 && text[digits] == '\0';
}

/* Any JSON form of an integer as sign and magnitude; false if it is none or over 64 bits. */
static bool integer_of(json_t *value, bool *negative, uint64_t *magnitude)
{
	if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);
		*negative = number < 0;
		*magnitude = number < 0 ? (uint64_t)0 - (uint64_t)number : (uint64_t)number;
		return true;
	}
	if (json_is_string(value)) {
		const char *text = json_string_value(value);
		if (!plain_integer(text, negative))
			return false;
		errno = 0;
		*magnitude = strtoull(text + (*negative ? 1 : 0), NULL, 10);
		return errno == 0;
	}
	if (json_is_real(value)) {
		/* 1e3 and 5.0 are integers too; beyond 2^53 a double no longer says which. */
		double number = json_real_value(value);
		if (!(fabs(number) <= 9007199254740992.0) || fabs(number - trunc(number)) > 0)
			return false;
		*negative = number < 0;
		*magnitude = (uint64_t)fabs(number);
		return true;
	}
	return false;
}

static enum kw_err read_signed(struct json_walk *walk, json_t *value, int64_t min, int64_t *out)
{
	bool negative = false;
	uint64_t magnitude = 0;
	uint64_t max = (uint64_t)(-(min + 1));
	if (!integer_of(value, &negative, &magnitude) || magnitude > max + (negative ? 1u : 0u))
		return json_refuse(walk, "must be a whole number from %" PRId64 " to %" PRIu64 "; correct it", min, max);
	*out = negative ? (int64_t)((uint64_t)0 - magnitude) : (int64_t)magnitude;
	return KW_OK;
}

static enum kw_err read_unsigned(struct json_walk *walk, json_t *value, uint64_t max, uint64_t *out)
{
	bool negative = false;
	uint64_t magnitude = 0;
	if (!integer_of(value, &negative, &magnitude) || magnitude > max || (negative && magnitude))
		return json_refuse(walk, "must be a whole number from 0 to %" PRIu64 "; correct it", max);
	*out = magnitude;
	return KW_OK;
}

static enum kw_err read_real(struct json_walk *walk, json_t *value, double max, double *out)
{
	double number = 0;
	if (json_is_number(value)) {
		number = json_number_value(value);
		if (fabs(number) > max)
			return json_refuse(walk, "out of range; correct it");
	} else if (json_is_string(value) && strcmp(json_string_value(value), "NaN") == 0) {
		number = (double)NAN;
	} else if (json_is_string(value) && strcmp(json_string_value(value), "Infinity") == 0) {
		number = (double)INFINITY;
	} else if (json_is_string(value) && strcmp(json_string_value(value), "-Infinity") == 0) {
		number = -(double)INFINITY;
	} else {
		return json_refuse(walk, "must be a number; correct it");
	}
	*out = number;
	return KW_OK;
}

static enum kw_err read_floating(struct json_walk *walk, ProtobufCType type, json_t *value, uint64_t *bits)
{
	double number = 0;
	enum kw_err err = read_real(walk, value, type == PROTOBUF_C_TYPE_FLOAT ? (double)FLT_MAX : DBL_MAX, &number);
	if (err != KW_OK)
		return err;
	if (type == PROTOBUF_C_TYPE_DOUBLE) {
		memcpy(bits, &number, sizeof(*bits));
		return KW_OK;
	}
	float narrow = (float)number;
	uint32_t narrow_bits = 0;
	memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
	*bits = narrow_bits;
	return KW_OK;
}

enum kw_err json_read_number(struct json_walk *walk, ProtobufCType type, json_t *value, uint64_t *bits)
{
	int64_t number = 0;
	enum kw_err err = KW_OK;
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		err = read_signed(walk, value, INT32_MIN, &number);
		*bits = (uint64_t)number;
		return err;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		err = read_signed(walk, value, INT64_MIN, &number);
		*bits = (uint64_t)number;
		return err;
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SINT64:
		err = read_signed(walk, value, type == PROTOBUF_C_TYPE_SINT32 ? INT32_MIN : INT64_MIN, &number);
		*bits = ((uint64_t)number << 1) ^ (number < 0 ? UINT64_MAX : 0);
		return err;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return read_unsigned(walk, value, UINT32_MAX, bits);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_unsigned(walk, value, UINT64_MAX, bits);
	case PROTOBUF_C_TYPE_BOOL:
		if (!json_is_boolean(value))
			return json_refuse(walk, "must be true or false, without quotes; correct it");
		*bits = json_is_true(value) ? 1 : 0;
		return KW_OK;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_floating(walk, type, value, bits);
	default:
		return json_refuse(walk, "has a type that JSON input does not know");
	}
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum kw_err json_base64(struct kw_view bytes, char **out)
{
	char *text = malloc((bytes.size + 2) / 3 * 4 + 1);
	if (!text)
		return KW_ENOMEM;
	size_t n = 0;
	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t have = bytes.size - i < 3 ? bytes.size - i : 3;
		uint32_t word = (uint32_t)bytes.data[i] << 16;
		word |= have > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
		word |= have > 2 ? (uint32_t)bytes.data[i + 2] : 0;
		text[n++] = BASE64[word >> 18];
		text[n++] = BASE64[word >> 12 & 63];
		text[n++] = have > 1 ? BASE64[word >> 6 & 63] : '=';
		text[n++] = have > 2 ? BASE64[word & 63] : '=';
	}
	text[n] = '\0';
	*out = text;
	return KW_OK;
}

static int base64_digit(uint8_t c)
{
	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	const char *at = c ? strchr(BASE64, c) : NULL;
	return at ? (int)(at - BASE64) : -1;
}

enum kw_err json_unbase64(struct kw_view text, struct kw_buf *out)
{
	size_t size = text.size;
	if (size % 4 == 0) /* padding, if there is any, fills the last group of four */
		for (int pad = 0; pad < 2 && size > 0 && text.data[size - 1] == '='; pad++)
			size--;
	if (size % 4 == 1)
		return KW_EFORMAT;
	uint32_t word = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < size; i++) {
		int digit = base64_digit(text.data[i]);
		if (digit < 0)
			return KW_EFORMAT;
		word = (word << 6 | (uint32_t)digit) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		enum kw_err err = kw_buf_add_u8(out, (uint8_t)(word >> bits));
		if (err != KW_OK)
			return err;
	}
	return (word & ((1u << bits) - 1)) == 0 ? KW_OK : KW_EFORMAT;
}
