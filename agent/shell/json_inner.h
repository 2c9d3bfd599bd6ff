#ifndef AGENT_SHELL_JSON_INNER_H
#define AGENT_SHELL_JSON_INNER_H

#include "agent/shell/json.h"

/* What the parts of the JSON mapper share: json.c reads messages, json_write.c writes them, json_scalar.c does numbers
 * and base64. Nobody else includes this. */

/* Room for a field name and its terminator. */
#define JSON_NAME_SIZE 64u

/* Where we are in a text. */
struct json_walk {
	struct json_fault *fault;
	char path[JSON_PATH_SIZE_MAX + 1];
	size_t path_size;
	unsigned depth;
	unsigned values;
};

/* Records the present path and the rule; returns KW_EFIELD. */
__attribute__((format(printf, 2, 3))) enum kw_err json_refuse(struct json_walk *walk, const char *format, ...);

/* Add one step to the path; return what json_pop needs. A path too long for its room is cut. */
size_t json_push_name(struct json_walk *walk, const char *name);
size_t json_push_index(struct json_walk *walk, size_t index);
void json_pop(struct json_walk *walk, size_t before);

/* The lowerCamelCase form of a .proto field name. */
void json_camel(char out[JSON_NAME_SIZE], const char *name);

/* Reads a number or boolean of the given protobuf type (all but enums) within its exact range.
 *   bits  the wire's value: zigzag, two's complement or IEEE bits already applied
 * KW_EFIELD with the fault set. */
KW_MUST_USE enum kw_err json_read_number(struct json_walk *walk, ProtobufCType type, json_t *value, uint64_t *bits);

#endif
