#include "proto/wire/frame_field.h"

#include <string.h>

#define REASON_SIZE_MAX 31u /* longer than every wire name of an error */

struct kw_fields kw_fields_from(struct kw_view body, const struct kw_field_rules *rules)
{
	return (struct kw_fields){.pb = kw_pb_from(body), .rules = rules};
}

void kw_fields_fail(struct kw_fields *fields, enum kw_err err)
{
	if (fields->err == KW_OK)
		fields->err = err;
}

static bool kind_fits(enum kw_field_kind kind, enum kw_pb_type type)
{
	switch (kind) {
	case KW_FIELD_VARINT:
		return type == KW_PB_VARINT;
	case KW_FIELD_FIXED64:
		return type == KW_PB_FIXED64;
	case KW_FIELD_BYTES:
	case KW_FIELD_BYTES_REPEATED:
		return type == KW_PB_BYTES;
	case KW_FIELD_UNKNOWN:
		break;
	}
	return false;
}

bool kw_fields_next(struct kw_fields *fields, struct kw_pb_field *out)
{
	while (fields->err == KW_OK && kw_pb_next(&fields->pb, out)) {
		if (out->number > KW_FIELD_NUMBER_MAX)
			continue;
		enum kw_field_kind kind = (enum kw_field_kind)fields->rules->kinds[out->number];
		if (kind == KW_FIELD_UNKNOWN)
			continue;
		uint32_t bit = UINT32_C(1) << out->number;
		/* Readers disagree about a field that comes twice, so it may not. */
		if (!kind_fits(kind, out->type) || (kind != KW_FIELD_BYTES_REPEATED && (fields->seen & bit))) {
			kw_fields_fail(fields, KW_EFORMAT);
			return false;
		}
		fields->seen |= bit;
		return true;
	}
	return false;
}

enum kw_err kw_fields_end(const struct kw_fields *fields)
{
	return fields->err != KW_OK ? fields->err : kw_pb_end(&fields->pb);
}

uint64_t kw_fields_uint(struct kw_fields *fields, const struct kw_pb_field *field, uint64_t max)
{
	if (field->value <= max)
		return field->value;
	kw_fields_fail(fields, KW_EFIELD);
	return 0;
}

void kw_fields_id(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_id *out)
{
	if (field->bytes.size != KW_ID_SIZE) {
		kw_fields_fail(fields, KW_EFIELD);
		return;
	}
	memcpy(out->bytes, field->bytes.data, KW_ID_SIZE);
}

enum kw_err kw_fields_reason(struct kw_fields *fields, const struct kw_pb_field *field)
{
	char name[REASON_SIZE_MAX + 1] = "";
	enum kw_err reason = KW_ERR_COUNT;
	size_t size = field->bytes.size;
	if (size > 0 && size <= REASON_SIZE_MAX && memchr(field->bytes.data, 0, size) == NULL) {
		memcpy(name, field->bytes.data, size);
		reason = kw_err_from_name(name);
	}
	if (reason == KW_ERR_COUNT || reason == KW_OK) {
		kw_fields_fail(fields, KW_EFIELD);
		return KW_OK;
	}
	return reason;
}

/* Both have the class as field 1 and two numbers as 2 and 3. */
struct per_class {
	unsigned msg_class;
	uint64_t second;
	uint64_t third;
};

static bool per_class(struct kw_fields *fields, struct kw_view bytes, const struct kw_field_rules *rules,
	struct per_class *out)
{
	struct kw_fields inner = kw_fields_from(bytes, rules);
	struct kw_pb_field field;
	*out = (struct per_class){0};
	while (kw_fields_next(&inner, &field)) {
		if (field.number == 1)
			out->msg_class = (unsigned)kw_fields_uint(&inner, &field, KW_MSG_CLASS_COUNT - 1);
		else if (field.number == 2)
			out->second = field.value;
		else
			out->third = field.value;
	}
	enum kw_err err = kw_fields_end(&inner);
	if (err != KW_OK)
		kw_fields_fail(fields, err);
	return err == KW_OK;
}

/* Marks a class as present; false when it was. */
static bool mark(struct kw_fields *fields, uint8_t *mask, unsigned msg_class)
{
	uint8_t bit = (uint8_t)(1u << msg_class);
	if (*mask & bit) {
		kw_fields_fail(fields, KW_EFIELD);
		return false;
	}
	*mask |= bit;
	return true;
}

void kw_fields_cursor(struct kw_fields *fields, struct kw_view bytes, struct kw_cursor *cursors, uint8_t *mask)
{
	static const struct kw_field_rules RULES = {.kinds = {
		[1] = KW_FIELD_VARINT, [2] = KW_FIELD_FIXED64, [3] = KW_FIELD_VARINT}};
	struct per_class value;
	if (!per_class(fields, bytes, &RULES, &value) || !mark(fields, mask, value.msg_class))
		return;
	cursors[value.msg_class] = (struct kw_cursor){.epoch = value.second, .sequence = value.third};
}

void kw_fields_credit(struct kw_fields *fields, struct kw_view bytes, struct kw_credit *credits, uint8_t *mask)
{
	static const struct kw_field_rules RULES = {.kinds = {
		[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT, [3] = KW_FIELD_VARINT}};
	struct per_class value;
	if (!per_class(fields, bytes, &RULES, &value) || !mark(fields, mask, value.msg_class))
		return;
	credits[value.msg_class] = (struct kw_credit){.messages = value.second, .bytes = value.third};
}

bool kw_field_cursors_ok(const struct kw_cursor *cursors)
{
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++)
		if (cursors[c].epoch == 0 && cursors[c].sequence != 0)
			return false;
	return true;
}

/* A nested message of less than 128 bytes: one byte of length, filled in afterwards. */
static enum kw_err nested_begin(struct kw_buf *out, uint32_t number, unsigned msg_class)
{
	enum kw_err err = kw_pb_add_head(out, number, 0);
	return err == KW_OK ? kw_pb_add_uint(out, 1, msg_class) : err;
}

static void nested_end(struct kw_buf *out, size_t head_at)
{
	size_t body_at = head_at + 2; /* a tag and a length of one byte each */
	out->data[head_at + 1] = (uint8_t)(out->size - body_at);
}

enum kw_err kw_field_add_cursors(struct kw_buf *out, uint32_t number, const struct kw_cursor *cursors, uint8_t mask)
{
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		if (!(mask >> c & 1))
			continue;
		size_t at = out->size;
		enum kw_err err = nested_begin(out, number, c);
		if (err == KW_OK)
			err = kw_pb_add_fixed64(out, 2, cursors[c].epoch);
		if (err == KW_OK)
			err = kw_pb_add_uint(out, 3, cursors[c].sequence);
		if (err != KW_OK)
			return err;
		nested_end(out, at);
	}
	return KW_OK;
}

enum kw_err kw_field_add_credits(struct kw_buf *out, uint32_t number, const struct kw_credit *credits, uint8_t mask)
{
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		if (!(mask >> c & 1))
			continue;
		size_t at = out->size;
		enum kw_err err = nested_begin(out, number, c);
		if (err == KW_OK)
			err = kw_pb_add_uint(out, 2, credits[c].messages);
		if (err == KW_OK)
			err = kw_pb_add_uint(out, 3, credits[c].bytes);
		if (err != KW_OK)
			return err;
		nested_end(out, at);
	}
	return KW_OK;
}

enum kw_err kw_field_frame_begin(struct kw_buf *out, uint8_t type, size_t *start)
{
	const uint8_t head[KW_FRAME_HEAD_SIZE] = {0, 0, 0, type};
	*start = out->size;
	return kw_buf_add(out, KW_VIEW_OF(head));
}

enum kw_err kw_field_frame_end(struct kw_buf *out, size_t start, enum kw_err err)
{
	if (err == KW_OK && out->size - start > KW_FRAME_SIZE_MAX)
		err = KW_ETOOBIG;
	if (err != KW_OK) {
		out->size = start;
		return err;
	}
	size_t body_size = out->size - start - KW_FRAME_HEAD_SIZE;
	out->data[start] = (uint8_t)(body_size >> 16);
	kw_put_u16(out->data + start + 1, (uint16_t)(body_size & 0xffff));
	return KW_OK;
}
