#include "proto/wire/pbscan.h"

#include <string.h>

#define VARINT_SIZE_MAX 10u

struct kw_pb kw_pb_from(struct kw_view bytes)
{
	/* An empty view may hold NULL, and arithmetic on NULL is undefined. */
	static const uint8_t NOTHING[1];
	const uint8_t *at = bytes.size > 0 ? bytes.data : NOTHING;
	return (struct kw_pb){.at = at, .end = at + bytes.size, .err = KW_OK};
}

static bool fail(struct kw_pb *pb, enum kw_err err)
{
	if (pb->err == KW_OK)
		pb->err = err;
	return false;
}

static bool varint_long(struct kw_pb *pb, uint64_t *out)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_SIZE_MAX && pb->at < pb->end; i++) {
		uint8_t byte = *pb->at++;
		if (i == VARINT_SIZE_MAX - 1 && byte > 1)
			return fail(pb, KW_EFORMAT);
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			if (byte == 0)
				return fail(pb, KW_EFORMAT);
			*out = value;
			return true;
		}
	}
	return fail(pb, KW_EFORMAT);
}

/* A varint in its shortest form: at most ten bytes, the last not zero unless it is alone. */
static inline bool varint(struct kw_pb *pb, uint64_t *out)
{
	if (pb->at < pb->end && *pb->at < 0x80) {
		*out = *pb->at++;
		return true;
	}
	return varint_long(pb, out);
}

static inline bool take(struct kw_pb *pb, size_t size, const uint8_t **out)
{
	if (size > (size_t)(pb->end - pb->at))
		return fail(pb, KW_EFORMAT);
	*out = pb->at;
	pb->at += size;
	return true;
}

/* Little-endian, unlike everything else in Kinward. */
static uint64_t little(const uint8_t *in, size_t size)
{
	uint64_t value = 0;
	for (size_t i = size; i > 0; i--)
		value = value << 8 | in[i - 1];
	return value;
}

static bool field_value(struct kw_pb *pb, struct kw_pb_field *field)
{
	const uint8_t *at;
	uint64_t size;
	switch (field->type) {
	case KW_PB_VARINT:
		return varint(pb, &field->value);
	case KW_PB_FIXED64:
	case KW_PB_FIXED32:
		size = field->type == KW_PB_FIXED64 ? 8 : 4;
		if (!take(pb, (size_t)size, &at))
			return false;
		field->value = little(at, (size_t)size);
		return true;
	case KW_PB_BYTES:
		if (!varint(pb, &size) || !take(pb, (size_t)size, &at))
			return false;
		field->bytes = KW_VIEW(at, (size_t)size);
		return true;
	}
	return fail(pb, KW_EFORMAT); /* groups and the two types that do not exist */
}

bool kw_pb_next(struct kw_pb *pb, struct kw_pb_field *out)
{
	uint64_t tag;
	if (pb->err != KW_OK || pb->at == pb->end || !varint(pb, &tag))
		return false;
	if (tag >> 3 == 0 || tag >> 3 > KW_PB_NUMBER_MAX)
		return fail(pb, KW_EFORMAT);
	struct kw_pb_field field = {.number = (uint32_t)(tag >> 3), .type = (enum kw_pb_type)(tag & 7)};
	if (!field_value(pb, &field))
		return false;
	*out = field;
	return true;
}

enum kw_err kw_pb_end(const struct kw_pb *pb)
{
	if (pb->err != KW_OK)
		return pb->err;
	return pb->at == pb->end ? KW_OK : KW_EFIELD;
}

/* Steps over the tag of the next field if it is this one; else KW_EFIELD. */
static inline bool need(struct kw_pb *pb, uint32_t number, enum kw_pb_type type)
{
	uint64_t wanted = (uint64_t)number << 3 | (uint64_t)type;
	uint64_t tag;
	if (pb->err != KW_OK)
		return false;
	if (wanted < 0x80 && pb->at < pb->end && *pb->at == wanted) { /* numbers up to 15: all that a hub reads */
		pb->at++;
		return true;
	}
	if (pb->at == pb->end)
		return fail(pb, KW_EFIELD);
	return varint(pb, &tag) && (tag == wanted || fail(pb, KW_EFIELD));
}

uint64_t kw_pb_need_uint(struct kw_pb *pb, uint32_t number, uint64_t max)
{
	uint64_t value;
	if (!need(pb, number, KW_PB_VARINT) || !varint(pb, &value))
		return 0;
	if (value < 1 || value > max) {
		(void)fail(pb, KW_EFIELD); /* sticky; the caller looks at the end */
		return 0;
	}
	return value;
}

uint64_t kw_pb_may_uint(struct kw_pb *pb, uint32_t number, uint64_t max)
{
	return kw_pb_is_next(pb, number) ? kw_pb_need_uint(pb, number, max) : 0;
}

struct kw_view kw_pb_need_bytes(struct kw_pb *pb, uint32_t number, size_t size_min, size_t size_max)
{
	const uint8_t *at;
	uint64_t size;
	if (!need(pb, number, KW_PB_BYTES) || !varint(pb, &size) || !take(pb, (size_t)size, &at))
		return KW_VIEW(NULL, 0);
	if (size < size_min || size > size_max) {
		(void)fail(pb, KW_EFIELD); /* as above */
		return KW_VIEW(NULL, 0);
	}
	return KW_VIEW(at, (size_t)size);
}

bool kw_pb_is_next(const struct kw_pb *pb, uint32_t number)
{
	struct kw_pb ahead = *pb;
	uint64_t tag;
	if (pb->err != KW_OK || pb->at == pb->end)
		return false;
	return varint(&ahead, &tag) && tag >> 3 == number;
}

static enum kw_err add_varint(struct kw_buf *buf, uint64_t value)
{
	uint8_t bytes[VARINT_SIZE_MAX];
	size_t size = 0;
	while (value >= 0x80) {
		bytes[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[size++] = (uint8_t)value;
	return kw_buf_add(buf, KW_VIEW(bytes, size));
}

static enum kw_err add_tag(struct kw_buf *buf, uint32_t number, enum kw_pb_type type)
{
	return add_varint(buf, (uint64_t)number << 3 | (uint64_t)type);
}

enum kw_err kw_pb_add_uint(struct kw_buf *buf, uint32_t number, uint64_t value)
{
	if (value == 0)
		return KW_OK;
	enum kw_err err = add_tag(buf, number, KW_PB_VARINT);
	return err == KW_OK ? add_varint(buf, value) : err;
}

enum kw_err kw_pb_add_fixed64(struct kw_buf *buf, uint32_t number, uint64_t value)
{
	if (value == 0)
		return KW_OK;
	uint8_t bytes[8];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	enum kw_err err = add_tag(buf, number, KW_PB_FIXED64);
	return err == KW_OK ? kw_buf_add(buf, KW_VIEW_OF(bytes)) : err;
}

enum kw_err kw_pb_add_head(struct kw_buf *buf, uint32_t number, size_t size)
{
	enum kw_err err = add_tag(buf, number, KW_PB_BYTES);
	return err == KW_OK ? add_varint(buf, size) : err;
}

enum kw_err kw_pb_add_bytes(struct kw_buf *buf, uint32_t number, struct kw_view bytes)
{
	if (bytes.size == 0)
		return KW_OK;
	enum kw_err err = kw_pb_add_head(buf, number, bytes.size);
	return err == KW_OK ? kw_buf_add(buf, bytes) : err;
}
