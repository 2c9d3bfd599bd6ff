#include "agent/shell/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/json_inner.h"
#include "proto/wire/spelling.h"

/* Reading: the JSON value is turned into wire bytes, which protobuf-c then unpacks. Going through the wire form needs no
 * knowledge of how protobuf-c lays out or frees its structs, and presence, oneofs and repeats fall out by themselves. */

__attribute__((format(printf, 2, 3))) enum kw_err json_refuse(struct json_walk *walk, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(walk->fault->rule, sizeof(walk->fault->rule), format, args); /* cut short is good enough */
	va_end(args);
	memcpy(walk->fault->path, walk->path, sizeof(walk->path));
	walk->fault->line = 0;
	walk->fault->column = 0;
	return KW_EFIELD;
}

size_t json_push_name(struct json_walk *walk, const char *name)
{
	size_t before = walk->path_size;
	size_t room = sizeof(walk->path) - before;
	int n = snprintf(walk->path + before, room, "%s%s", before ? "." : "", name);
	walk->path_size += n < 0 ? 0 : (size_t)n >= room ? room - 1 : (size_t)n;
	return before;
}

size_t json_push_index(struct json_walk *walk, size_t index)
{
	size_t before = walk->path_size;
	size_t room = sizeof(walk->path) - before;
	int n = snprintf(walk->path + before, room, "[%zu]", index);
	walk->path_size += n < 0 ? 0 : (size_t)n >= room ? room - 1 : (size_t)n;
	return before;
}

void json_pop(struct json_walk *walk, size_t before)
{
	walk->path_size = before;
	walk->path[before] = '\0';
}

void json_camel(char out[JSON_NAME_SIZE], const char *name)
{
	(void)snprintf(out, JSON_NAME_SIZE, "%s", name); /* fits: a name of the schema */
	kw_spell_json(out);
}

static enum kw_err put_varint(struct kw_buf *out, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;
	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value)
			bytes[n] |= 0x80;
		n++;
	} while (value);
	return kw_buf_add(out, KW_VIEW(bytes, n));
}

/* Little-endian, as protobuf has it. */
static enum kw_err put_fixed(struct kw_buf *out, uint64_t value, size_t size)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return kw_buf_add(out, KW_VIEW(bytes, size));
}

static enum kw_err put_tag(struct kw_buf *out, const ProtobufCFieldDescriptor *field, unsigned wire_type)
{
	return put_varint(out, (uint64_t)field->id << 3 | wire_type);
}

static enum kw_err put_delimited(struct kw_buf *out, const ProtobufCFieldDescriptor *field, struct kw_view bytes)
{
	enum kw_err err = put_tag(out, field, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
	if (err == KW_OK)
		err = put_varint(out, bytes.size);
	if (err == KW_OK && bytes.size)
		err = kw_buf_add(out, bytes);
	return err;
}

/* Adds a name to a list; what does not fit whole is told as "and more", and the answer is false. */
static bool list_name(char *names, size_t names_size, size_t *size, const char *name)
{
	static const char MORE[] = " and more";
	if (*size + strlen(", ") + strlen(name) + sizeof(MORE) > names_size) {
		memcpy(names + *size, MORE, sizeof(MORE));
		return false;
	}
	int n = snprintf(names + *size, names_size - *size, "%s%s", *size ? ", " : "", name);
	*size += n > 0 ? (size_t)n : 0;
	return true;
}

/* Code 0 means that the field is absent, so it is taken and never offered. */
static enum kw_err read_enum(struct json_walk *walk, const ProtobufCEnumDescriptor *type, json_t *value, uint64_t *out)
{
	const ProtobufCEnumValue *found = NULL;
	if (json_is_string(value)) {
		found = protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(value));
	} else if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);
		if (number >= INT32_MIN && number <= INT32_MAX)
			found = protobuf_c_enum_descriptor_get_value(type, (int)number);
	}
	if (found) {
		*out = (uint64_t)(int64_t)found->value;
		return KW_OK;
	}
	char names[JSON_RULE_SIZE_MAX - 40] = "";
	size_t size = 0;
	for (unsigned i = 0; i < type->n_values; i++)
		if (type->values[i].value != 0 && !list_name(names, sizeof(names), &size, type->values[i].name))
			break;
	return json_refuse(walk, "no such code; one of %s", names);
}

/* Everything that is a number on the wire; writes tag and value. */
static enum kw_err read_scalar(struct json_walk *walk, const ProtobufCFieldDescriptor *field, json_t *value,
	struct kw_buf *out)
{
	uint64_t bits = 0;
	enum kw_err err = KW_OK;
	if (field->type == PROTOBUF_C_TYPE_ENUM)
		err = read_enum(walk, field->descriptor, value, &bits);
	else
		err = json_read_number(walk, field->type, value, &bits);
	if (err != KW_OK)
		return err;
	switch (field->type) {
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		err = put_tag(out, field, PROTOBUF_C_WIRE_TYPE_32BIT);
		return err == KW_OK ? put_fixed(out, bits, 4) : err;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		err = put_tag(out, field, PROTOBUF_C_WIRE_TYPE_64BIT);
		return err == KW_OK ? put_fixed(out, bits, 8) : err;
	default:
		err = put_tag(out, field, PROTOBUF_C_WIRE_TYPE_VARINT);
		return err == KW_OK ? put_varint(out, bits) : err;
	}
}

static enum kw_err read_bytes(struct json_walk *walk, const ProtobufCFieldDescriptor *field, json_t *value,
	struct kw_buf *out)
{
	if (!json_is_string(value))
		return json_refuse(walk, "must be a string of base64; put it in quotes");
	struct kw_buf bytes;
	kw_buf_init(&bytes, JSON_TEXT_SIZE_MAX);
	enum kw_err err = json_unbase64(KW_VIEW(json_string_value(value), json_string_length(value)), &bytes);
	if (err == KW_OK)
		err = put_delimited(out, field, kw_buf_view(&bytes));
	else if (err == KW_EFORMAT)
		err = json_refuse(walk, "must be base64 (A-Z a-z 0-9 + / =); encode the bytes again");
	kw_buf_fini(&bytes);
	return err;
}

static enum kw_err read_object(struct json_walk *walk, const ProtobufCMessageDescriptor *type, json_t *object,
	struct kw_buf *out);

static enum kw_err read_value(struct json_walk *walk, const ProtobufCFieldDescriptor *field, json_t *value,
	struct kw_buf *out)
{
	if (++walk->values > JSON_VALUES_MAX) {
		(void)json_refuse(walk, "more than %u values; split it", JSON_VALUES_MAX);
		return KW_ETOOBIG;
	}
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (!json_is_string(value))
			return json_refuse(walk, "must be a string; put it in quotes");
		return put_delimited(out, field, KW_VIEW(json_string_value(value), json_string_length(value)));
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(walk, field, value, out);
	case PROTOBUF_C_TYPE_MESSAGE: {
		struct kw_buf inner;
		kw_buf_init(&inner, JSON_TEXT_SIZE_MAX);
		enum kw_err err = read_object(walk, field->descriptor, value, &inner);
		if (err == KW_OK)
			err = put_delimited(out, field, kw_buf_view(&inner));
		kw_buf_fini(&inner);
		return err;
	}
	default:
		return read_scalar(walk, field, value, out);
	}
}

static enum kw_err read_array(struct json_walk *walk, const ProtobufCFieldDescriptor *field, json_t *value,
	struct kw_buf *out)
{
	if (!json_is_array(value))
		return json_refuse(walk, "must be an array; put [ ] around it");
	size_t count = json_array_size(value);
	for (size_t i = 0; i < count; i++) {
		size_t before = json_push_index(walk, i);
		enum kw_err err = KW_OK;
		if (json_is_null(json_array_get(value, i)))
			err = json_refuse(walk, "must not be null; leave it out of the array");
		else
			err = read_value(walk, field, json_array_get(value, i), out);
		if (err != KW_OK)
			return err; /* the path stays where it went wrong */
		json_pop(walk, before);
	}
	return KW_OK;
}

/* The value given for `field` under its other spelling than `key`, or NULL. */
static bool given(json_t *object, const ProtobufCFieldDescriptor *field, const char *key)
{
	char camel[JSON_NAME_SIZE];
	json_camel(camel, field->name);
	json_t *a = json_object_get(object, camel);
	json_t *b = json_object_get(object, field->name);
	return (a && !json_is_null(a) && strcmp(camel, key) != 0) || (b && !json_is_null(b) && strcmp(field->name, key) != 0);
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, const char *key)
{
	char camel[JSON_NAME_SIZE];
	for (unsigned i = 0; i < type->n_fields; i++) {
		json_camel(camel, type->fields[i].name);
		if (strcmp(camel, key) == 0 || strcmp(type->fields[i].name, key) == 0)
			return &type->fields[i];
	}
	return NULL;
}

/* A second spelling of the field, or a second member of its oneof, is ambiguous: refuse rather than choose. */
static enum kw_err check_alone(struct json_walk *walk, const ProtobufCMessageDescriptor *type, json_t *object,
	const ProtobufCFieldDescriptor *field, const char *key)
{
	if (given(object, field, key))
		return json_refuse(walk, "given twice, under both spellings of its name; take one out");
	if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return KW_OK;
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *other = &type->fields[i];
		if (other == field || !(other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
			other->quantifier_offset != field->quantifier_offset)
			continue;
		if (given(object, other, "")) {
			char names[2][JSON_NAME_SIZE];
			json_camel(names[0], field->name);
			json_camel(names[1], other->name);
			return json_refuse(walk, "only one may be set of %s and %s; leave out the other", names[0], names[1]);
		}
	}
	return KW_OK;
}

static enum kw_err refuse_unknown(struct json_walk *walk, const ProtobufCMessageDescriptor *type)
{
	char names[JSON_RULE_SIZE_MAX - 60] = "";
	size_t size = 0;
	for (unsigned i = 0; i < type->n_fields; i++) {
		char camel[JSON_NAME_SIZE];
		json_camel(camel, type->fields[i].name);
		if (!list_name(names, sizeof(names), &size, camel))
			break;
	}
	return json_refuse(walk, "no such field; %s has %s", type->short_name, size ? names : "no fields");
}

static enum kw_err read_object(struct json_walk *walk, const ProtobufCMessageDescriptor *type, json_t *object,
	struct kw_buf *out)
{
	if (!json_is_object(object))
		return json_refuse(walk, "must be an object; put { } around its fields");
	if (++walk->depth > JSON_DEPTH_MAX) {
		(void)json_refuse(walk, "deeper than %u levels; no message is, so correct the braces", JSON_DEPTH_MAX);
		return KW_ETOOBIG;
	}
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value) {
		char name[JSON_NAME_SIZE];
		const ProtobufCFieldDescriptor *field = find_field(type, key);
		if (field)
			json_camel(name, field->name);
		size_t before = json_push_name(walk, field ? name : key);
		if (!field)
			return refuse_unknown(walk, type);
		if (!json_is_null(value)) {
			enum kw_err err = check_alone(walk, type, object, field, key);
			if (err == KW_OK)
				err = field->label == PROTOBUF_C_LABEL_REPEATED ? read_array(walk, field, value, out)
										 : read_value(walk, field, value, out);
			if (err != KW_OK)
				return err;
		}
		json_pop(walk, before);
	}
	walk->depth--;
	return KW_OK;
}

enum kw_err json_map_read(const ProtobufCMessageDescriptor *type, json_t *value, ProtobufCMessage **out,
	struct json_fault *fault)
{
	struct json_walk walk = {.fault = fault};
	struct kw_buf bytes;
	kw_buf_init(&bytes, JSON_TEXT_SIZE_MAX);
	*fault = (struct json_fault){.rule = "out of memory, or over the limit of size"};
	enum kw_err err = read_object(&walk, type, value, &bytes);
	if (err == KW_OK) {
		ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, bytes.size, bytes.data);
		if (message)
			*out = message;
		else
			err = KW_ENOMEM; /* the bytes are ours and well formed */
	}
	kw_buf_fini(&bytes);
	return err;
}

enum kw_err json_map_text(struct kw_view text, json_t **out, struct json_fault *fault)
{
	*fault = (struct json_fault){.rule = ""};
	if (text.size > JSON_TEXT_SIZE_MAX) {
		(void)snprintf(fault->rule, sizeof(fault->rule), "longer than %u bytes", JSON_TEXT_SIZE_MAX);
		return KW_ETOOBIG;
	}
	if (text.size == 0) { /* jansson takes this for a mistake of ours */
		*fault = (struct json_fault){.rule = "is not JSON: it is empty", .line = 1};
		return KW_EFORMAT;
	}
	json_error_t error;
	json_t *value = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
	if (!value) {
		/* jansson quotes the text near the fault ("... near 'Amina'"): leave that out, it may be personal. */
		char *near = strstr(error.text, " near ");
		int size = near ? (int)(near - error.text) : (int)strlen(error.text);
		(void)snprintf(fault->rule, sizeof(fault->rule), "is not JSON: %.*s", size, error.text);
		fault->line = error.line < 1 ? 1 : error.line;
		fault->column = error.column < 0 ? 0 : error.column;
		return json_error_code(&error) == json_error_out_of_memory ? KW_ENOMEM : KW_EFORMAT;
	}
	*out = value;
	return KW_OK;
}

enum kw_err json_map_parse(const ProtobufCMessageDescriptor *type, struct kw_view text, ProtobufCMessage **out,
	struct json_fault *fault)
{
	json_t *value = NULL;
	enum kw_err err = json_map_text(text, &value, fault);
	if (err == KW_OK)
		err = json_map_read(type, value, out, fault);
	json_decref(value);
	return err;
}
