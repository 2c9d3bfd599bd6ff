#ifndef KW_WIRE_PBSCAN_H
#define KW_WIRE_PBSCAN_H

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* Protobuf's wire format, read strictly and without allocation: a cursor, a reader for messages that have one encoding
 * only, small writers, and a scan to run before protobuf-c may touch bytes from outside.
 * Source: protobuf.dev/programming-guides/encoding. Views point into the input. */

#define KW_PB_DEPTH_MAX 16u    /* messages within messages, the outermost counts 1 */
#define KW_PB_FIELDS_MAX 1024u /* fields of a whole message, nested ones and packed elements included */
#define KW_PB_NUMBER_MAX 0x1fffffffu

enum kw_pb_type {
	KW_PB_VARINT = 0,
	KW_PB_FIXED64 = 1,
	KW_PB_BYTES = 2,
	KW_PB_FIXED32 = 5
};

/* A cursor with a sticky error: after the first one every call does nothing and gives zeros, so a reader may check once
 * at the end. Treat the members as read only. */
struct kw_pb {
	const uint8_t *at;
	const uint8_t *end;
	enum kw_err err;
};

struct kw_pb_field {
	uint32_t number; /* 1..KW_PB_NUMBER_MAX */
	enum kw_pb_type type;
	uint64_t value;       /* varint and fixed types; 0 for bytes */
	struct kw_view bytes; /* bytes only; else empty */
};

struct kw_pb kw_pb_from(struct kw_view bytes);

/* Reads the next field. False at the end and on an error; kw_pb_end tells which.
 * KW_EFORMAT  cut short, a group, a field number of 0 or over the maximum, an integer not in its shortest form */
KW_MUST_USE bool kw_pb_next(struct kw_pb *pb, struct kw_pb_field *out);

/* The sticky error; KW_EFIELD when there is none but bytes are left; else KW_OK. */
KW_MUST_USE enum kw_err kw_pb_end(const struct kw_pb *pb);

/* Reading messages that are signed or hashed as they travel: the caller asks for the fields in ascending order, and
 * whatever is missing, repeated, out of order, unknown, explicitly zero or out of range is KW_EFIELD. So each value has
 * one encoding. Misuse shows as a refusal, never as acceptance. */

/* A field of 1..max. 0 on an error. */
uint64_t kw_pb_need_uint(struct kw_pb *pb, uint32_t number, uint64_t max);
/* The same, but may be absent: then 0. */
uint64_t kw_pb_may_uint(struct kw_pb *pb, uint32_t number, uint64_t max);
/* A field of size_min..size_max bytes; size_min at least 1. Empty on an error. */
struct kw_view kw_pb_need_bytes(struct kw_pb *pb, uint32_t number, size_t size_min, size_t size_max);
/* True when the next field has this number; for repeated fields. */
bool kw_pb_is_next(const struct kw_pb *pb, uint32_t number);

/* Writers. As proto3 does, they write nothing for 0 or for no bytes. KW_ETOOBIG, KW_ENOMEM from the buffer; on an error
 * the buffer may hold a part of the field. */
KW_MUST_USE enum kw_err kw_pb_add_uint(struct kw_buf *buf, uint32_t number, uint64_t value);
KW_MUST_USE enum kw_err kw_pb_add_fixed64(struct kw_buf *buf, uint32_t number, uint64_t value);
KW_MUST_USE enum kw_err kw_pb_add_bytes(struct kw_buf *buf, uint32_t number, struct kw_view bytes);
/* Only the tag and the length of a bytes field, also for 0; the caller adds exactly `size` bytes after it. */
KW_MUST_USE enum kw_err kw_pb_add_head(struct kw_buf *buf, uint32_t number, size_t size);

/* What a scan allows. */
struct kw_pb_limits {
	uint32_t depth_max;  /* 1..KW_PB_DEPTH_MAX */
	uint32_t fields_max;
};

#define KW_PB_LIMITS ((struct kw_pb_limits){.depth_max = KW_PB_DEPTH_MAX, .fields_max = KW_PB_FIELDS_MAX})

struct ProtobufCMessageDescriptor;

/* Walks a whole message, guided by its descriptor, before protobuf-c unpacks it. protobuf-c recurses, allocates for each
 * field and keeps strings as C strings, so what could hurt it is refused here: depth, number of fields, bad structure,
 * a field of another wire type than the schema's, a singular field that is given twice, strings that are not UTF-8 or
 * hold a zero byte. Unknown fields are counted and skipped.
 * KW_EFORMAT  structure, type, string or repeated singular field
 * KW_ETOOBIG  over a limit */
KW_MUST_USE enum kw_err kw_pb_prescan(struct kw_view bytes, const struct ProtobufCMessageDescriptor *descriptor,
	struct kw_pb_limits limits);

#endif
