#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/json_inner.h"

/* Writing walks the struct that protobuf-c made, by the offsets in its descriptor. */

#define MEMBER(type, base, offset) (*(const type *)((const char *)(base) + (offset)))

static json_t *write_enum(const ProtobufCEnumDescriptor *type, int number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
	return value ? json_string(value->name) : json_integer(number);
}

static json_t *write_real(double number)
{
	if (isnan(number))
		return json_string("NaN");
	if (isinf(number))
		return json_string(number < 0 ? "-Infinity" : "Infinity");
	return json_real(number);
}

static json_t *write_bytes(const ProtobufCBinaryData *bytes)
{
	char *text = NULL;
	if (json_base64(KW_VIEW(bytes->data, bytes->len), &text) != KW_OK)
		return NULL;
	json_t *value = json_string(text);
	free(text);
	return value;
}

static json_t *write_i64(int64_t number)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRId64, number); /* fits by its range */
	return json_string(text);
}

static json_t *write_u64(uint64_t number)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRIu64, number); /* fits by its range */
	return json_string(text);
}

/* Numbers and bytes at `at`; NULL when memory is short. */
static json_t *write_scalar(const ProtobufCFieldDescriptor *field, const void *at)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(MEMBER(int32_t, at, 0));
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(MEMBER(uint32_t, at, 0));
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return write_i64(MEMBER(int64_t, at, 0));
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return write_u64(MEMBER(uint64_t, at, 0));
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(MEMBER(protobuf_c_boolean, at, 0));
	case PROTOBUF_C_TYPE_FLOAT:
		return write_real((double)MEMBER(float, at, 0));
	case PROTOBUF_C_TYPE_DOUBLE:
		return write_real(MEMBER(double, at, 0));
	case PROTOBUF_C_TYPE_ENUM:
		return write_enum(field->descriptor, MEMBER(int, at, 0));
	default:
		return write_bytes(&MEMBER(ProtobufCBinaryData, at, 0));
	}
}

static enum kw_err write_object(struct json_walk *walk, const ProtobufCMessage *message, json_t **out);

static enum kw_err write_value(struct json_walk *walk, const ProtobufCFieldDescriptor *field, const void *at, json_t **out)
{
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return write_object(walk, MEMBER(ProtobufCMessage *, at, 0), out);
	if (field->type != PROTOBUF_C_TYPE_STRING) {
		*out = write_scalar(field, at);
		return *out ? KW_OK : KW_ENOMEM;
	}
	const char *text = MEMBER(char *, at, 0);
	*out = json_string(text ? text : "");
	if (*out)
		return KW_OK;
	(void)json_refuse(walk, "is not UTF-8"); /* or memory is short; json_string does not say which */
	return KW_EFORMAT;
}

static size_t item_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static enum kw_err write_array(struct json_walk *walk, const ProtobufCFieldDescriptor *field, const void *message,
	json_t **out)
{
	size_t count = MEMBER(size_t, message, field->quantifier_offset);
	const char *items = MEMBER(char *, message, field->offset);
	json_t *array = json_array();
	enum kw_err err = array ? KW_OK : KW_ENOMEM;
	for (size_t i = 0; err == KW_OK && i < count; i++) {
		json_t *item = NULL;
		size_t before = json_push_index(walk, i);
		err = write_value(walk, field, items + i * item_size(field->type), &item);
		json_pop(walk, before);
		if (err == KW_OK && json_array_append_new(array, item) != 0)
			err = KW_ENOMEM;
	}
	if (err == KW_OK)
		*out = array;
	else
		json_decref(array);
	return err;
}

/* proto3: a field at its default is not there. Members of a oneof and sub-messages know whether they are. */
static bool is_set(const ProtobufCFieldDescriptor *field, const void *message)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return MEMBER(size_t, message, field->quantifier_offset) > 0;
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return MEMBER(uint32_t, message, field->quantifier_offset) == field->id;
	const void *at = (const char *)message + field->offset;
	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return MEMBER(void *, at, 0) != NULL;
	case PROTOBUF_C_TYPE_STRING:
		return MEMBER(char *, at, 0) && MEMBER(char *, at, 0)[0];
	case PROTOBUF_C_TYPE_BYTES:
		return MEMBER(ProtobufCBinaryData, at, 0).len > 0;
	default: {
		static const char ZERO[8];
		return memcmp(at, ZERO, item_size(field->type)) != 0; /* so -0.0 is kept */
	}
	}
}

static enum kw_err write_object(struct json_walk *walk, const ProtobufCMessage *message, json_t **out)
{
	if (++walk->depth > JSON_DEPTH_MAX) {
		(void)json_refuse(walk, "deeper than %u levels", JSON_DEPTH_MAX);
		return KW_ETOOBIG;
	}
	json_t *object = json_object();
	enum kw_err err = object ? KW_OK : KW_ENOMEM;
	for (unsigned i = 0; err == KW_OK && i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		if (!is_set(field, message))
			continue;
		char camel[JSON_NAME_SIZE];
		json_camel(camel, field->name);
		json_t *value = NULL;
		size_t before = json_push_name(walk, camel);
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			err = write_array(walk, field, message, &value);
		else
			err = write_value(walk, field, (const char *)message + field->offset, &value);
		json_pop(walk, before);
		if (err == KW_OK && json_object_set_new(object, camel, value) != 0)
			err = KW_ENOMEM;
	}
	walk->depth--;
	if (err == KW_OK)
		*out = object;
	else
		json_decref(object);
	return err;
}

enum kw_err json_map_write(const ProtobufCMessage *message, json_t **out, struct json_fault *fault)
{
	struct json_walk walk = {.fault = fault};
	*fault = (struct json_fault){.rule = "out of memory"};
	return write_object(&walk, message, out);
}
