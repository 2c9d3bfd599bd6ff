#ifndef AGENT_SHELL_CODES_H
#define AGENT_SHELL_CODES_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* Enum values as people write them: SERVICE_TYPE_HEALTH_MEDICAL is "health_medical", "Health/Medical" or
 * "health-medical". Only for words that a person or a spreadsheet gives; JSON uses the full names. */

/* Room for any short name of the schema. */
#define CODES_SHORT_SIZE 64u

/* The value by its short or full name; case does not count, and blank, '-' and '/' count as '_'. A few usual synonyms are
 * known: m, f, boy, girl for sex; yes, no, true, false for consent answers and for alive. The value 0 ("unspecified") is
 * never found. NULL if there is none. */
const ProtobufCEnumValue *codes_find(const ProtobufCEnumDescriptor *type, const char *text);

/* The short name in lower case, cut at size; the number if this version does not know it. Returns out. */
const char *codes_short(const ProtobufCEnumDescriptor *type, int value, char *out, size_t size);

/* All short names but the one of 0, separated by blanks, cut at a whole name. Returns out. */
const char *codes_list(const ProtobufCEnumDescriptor *type, char *out, size_t size);

#endif
