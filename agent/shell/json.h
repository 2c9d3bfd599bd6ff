#ifndef AGENT_SHELL_JSON_H
#define AGENT_SHELL_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* Protobuf messages as JSON and back, for every message of the schema, driven by protobuf-c's descriptors.
 *
 * The mapping is the standard one (protobuf.dev/programming-guides/json): lowerCamelCase names (the name in the .proto
 * is accepted too), 64-bit integers as strings (numbers are accepted too), enum values by name (their numbers are
 * accepted too), bytes as base64 (the URL alphabet is accepted too), fields at their default left out, null = not set.
 *
 * Stricter than the standard where a mistake would lose part of a case: an unknown field, an unknown enum value, a field
 * given twice, two members of one oneof, a number out of its range or with a fraction, and a name repeated in an object
 * are refused, with the path of the field and the rule. Presence and meaning are not checked here; proto/wire/message.h
 * does that. Floating point goes both ways exactly. */

/* Longest JSON text read, bytes. */
#define JSON_TEXT_SIZE_MAX (1024u * 1024u)
/* Objects within objects. */
#define JSON_DEPTH_MAX 16u
/* Values (objects, array items and scalars) in one text. */
#define JSON_VALUES_MAX 65536u
#define JSON_PATH_SIZE_MAX 255u
#define JSON_RULE_SIZE_MAX 511u

/* Why a text was refused. Both texts are terminated, never contain a value of the input, and may contain its field
 * names: escape them before they reach a terminal. */
struct json_fault {
	char path[JSON_PATH_SIZE_MAX + 1]; /* such as "referral.child.age.years"; empty for the whole */
	char rule[JSON_RULE_SIZE_MAX + 1]; /* what it must be */
	int line;                          /* of a syntax error, from 1; 0 otherwise */
	int column;
};

/* Parses `text` as one JSON object of the given type.
 *   out    written on KW_OK; free with protobuf_c_message_free_unpacked(out, NULL)
 *   fault  written on every other result
 * KW_EFORMAT  not JSON (line and column are set)
 * KW_EFIELD   a field is refused
 * KW_ETOOBIG  over one of the limits above
 * KW_ENOMEM */
KW_MUST_USE enum kw_err json_map_parse(const ProtobufCMessageDescriptor *type, struct kw_view text,
	ProtobufCMessage **out, struct json_fault *fault);

/* The same for a value that is parsed already; borrowed. The path begins at this value. */
KW_MUST_USE enum kw_err json_map_read(const ProtobufCMessageDescriptor *type, json_t *value, ProtobufCMessage **out,
	struct json_fault *fault);

/* Parses any JSON text with the limits and the strictness above, for callers with a shape of their own.
 *   out    written on KW_OK; free with json_decref() */
KW_MUST_USE enum kw_err json_map_text(struct kw_view text, json_t **out, struct json_fault *fault);

/* The message as a JSON object, in the order of the schema. An enum number that this version does not know is written as
 * a number; fields this version does not know are left out.
 *   out    written on KW_OK; free with json_decref()
 *   fault  names the field on KW_EFORMAT
 * KW_EFORMAT  a string is not UTF-8
 * KW_ETOOBIG  deeper than JSON_DEPTH_MAX
 * KW_ENOMEM */
KW_MUST_USE enum kw_err json_map_write(const ProtobufCMessage *message, json_t **out, struct json_fault *fault);

/* base64 of the standard alphabet, padded. KW_ENOMEM. The caller frees *out. */
KW_MUST_USE enum kw_err json_base64(struct kw_view bytes, char **out);
/* Decodes base64 of either alphabet, padded or not, of `size` characters, and appends to `out`.
 * KW_EFORMAT  not base64, or bits left over */
KW_MUST_USE enum kw_err json_unbase64(struct kw_view text, struct kw_buf *out);

#endif
