/* kw_pb_prescan of pbscan.h: apart, because it is the only part that knows protobuf-c. */

#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "proto/base/check.h"
#include "proto/wire/pbscan.h"

#define SEEN_FIELDS_MAX 128u /* fields one message type of ours may define */

/* One message being walked. An explicit stack, so that depth costs no stack of ours. */
struct level {
	struct kw_pb pb;
	const ProtobufCMessageDescriptor *descriptor;
	uint64_t seen[SEEN_FIELDS_MAX / 64]; /* bit i: field i of the descriptor has appeared */
};

struct walk {
	struct level levels[KW_PB_DEPTH_MAX];
	uint32_t depth;
	uint32_t fields_left;
};

/* Length of the UTF-8 sequence at `in` (RFC 3629 §4), 0 if there is none. A zero byte is none: it would end a C string. */
static size_t utf8_step(const uint8_t *in, size_t size)
{
	if (in[0] >= 0x01 && in[0] <= 0x7f)
		return 1;
	size_t need = in[0] >= 0xc2 && in[0] <= 0xdf ? 2 : in[0] >= 0xe0 && in[0] <= 0xef ? 3 :
		in[0] >= 0xf0 && in[0] <= 0xf4 ? 4 : 0;
	if (need == 0 || need > size)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((in[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if ((in[0] == 0xe0 && in[1] < 0xa0) || (in[0] == 0xed && in[1] > 0x9f) || (in[0] == 0xf0 && in[1] < 0x90) ||
		(in[0] == 0xf4 && in[1] > 0x8f))
		return 0;
	return need;
}

static bool string_ok(struct kw_view text)
{
	for (size_t at = 0; at < text.size;) {
		size_t step = utf8_step(text.data + at, text.size - at);
		if (step == 0)
			return false;
		at += step;
	}
	return true;
}

static enum kw_pb_type wire_type(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return KW_PB_FIXED32;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return KW_PB_FIXED64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return KW_PB_BYTES;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_ENUM:
		return KW_PB_VARINT;
	}
	return KW_PB_VARINT;
}

/* Counts the elements of a packed field: one byte on the wire may become eight in memory. */
static enum kw_err packed(struct walk *walk, enum kw_pb_type type, struct kw_view bytes)
{
	size_t count = 0;
	if (type == KW_PB_VARINT) {
		unsigned run = 0;
		for (size_t i = 0; i < bytes.size; i++) {
			run++;
			if (run > 10 || (run > 1 && bytes.data[i] == 0))
				return KW_EFORMAT;
			if (bytes.data[i] < 0x80) {
				count++;
				run = 0;
			}
		}
		if (run != 0)
			return KW_EFORMAT;
	} else {
		size_t each = type == KW_PB_FIXED64 ? 8 : 4;
		if (bytes.size % each != 0)
			return KW_EFORMAT;
		count = bytes.size / each;
	}
	if (count > walk->fields_left)
		return KW_ETOOBIG;
	walk->fields_left -= (uint32_t)count;
	return KW_OK;
}

static enum kw_err push(struct walk *walk, struct kw_view bytes, const ProtobufCMessageDescriptor *descriptor,
	uint32_t depth_max)
{
	if (walk->depth == depth_max)
		return KW_ETOOBIG;
	KW_ASSERT(descriptor->n_fields <= SEEN_FIELDS_MAX);
	walk->levels[walk->depth++] = (struct level){.pb = kw_pb_from(bytes), .descriptor = descriptor};
	return KW_OK;
}

/* Checks one field that the schema knows; pushes it if it is a message. */
static enum kw_err known(struct walk *walk, const ProtobufCFieldDescriptor *rule, const struct kw_pb_field *field,
	uint32_t depth_max)
{
	struct level *level = &walk->levels[walk->depth - 1];
	enum kw_pb_type type = wire_type(rule->type);
	if (rule->label == PROTOBUF_C_LABEL_REPEATED) {
		if (field->type == KW_PB_BYTES && type != KW_PB_BYTES)
			return packed(walk, type, field->bytes);
	} else {
		/* Readers disagree about a singular field that comes twice: last wins, or both are merged. */
		size_t index = (size_t)(rule - level->descriptor->fields);
		if (level->seen[index / 64] >> (index % 64) & 1)
			return KW_EFORMAT;
		level->seen[index / 64] |= UINT64_C(1) << (index % 64);
	}
	if (field->type != type)
		return KW_EFORMAT;
	if (rule->type == PROTOBUF_C_TYPE_STRING && !string_ok(field->bytes))
		return KW_EFORMAT;
	if (rule->type == PROTOBUF_C_TYPE_MESSAGE)
		return push(walk, field->bytes, rule->descriptor, depth_max);
	return KW_OK;
}

enum kw_err kw_pb_prescan(struct kw_view bytes, const ProtobufCMessageDescriptor *descriptor,
	struct kw_pb_limits limits)
{
	KW_ASSERT(limits.depth_max >= 1 && limits.depth_max <= KW_PB_DEPTH_MAX);
	struct walk walk = {.fields_left = limits.fields_max};
	enum kw_err err = push(&walk, bytes, descriptor, limits.depth_max);
	while (err == KW_OK && walk.depth > 0) {
		struct level *level = &walk.levels[walk.depth - 1];
		struct kw_pb_field field;
		if (!kw_pb_next(&level->pb, &field)) {
			err = kw_pb_end(&level->pb);
			walk.depth--;
			continue;
		}
		if (walk.fields_left-- == 0)
			return KW_ETOOBIG;
		const ProtobufCFieldDescriptor *rule =
			protobuf_c_message_descriptor_get_field(level->descriptor, field.number);
		if (rule != NULL)
			err = known(&walk, rule, &field, limits.depth_max);
	}
	return err;
}
