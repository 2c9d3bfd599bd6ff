#ifndef KW_WIRE_COMMENTS_H
#define KW_WIRE_COMMENTS_H

#include <protobuf-c/protobuf-c.h>

/* What the schema's comment says of a field, for people who fill in a form: its meaning, unit and range, without the marks
 * "Required." and "Personal.", which its rule has as well. Made from the schema by proto/rules.py.
 *   field  index in type->fields
 * Static storage; empty for a type that is not below Content. */
const char *kw_schema_comment(const ProtobufCMessageDescriptor *type, unsigned field);

#endif
