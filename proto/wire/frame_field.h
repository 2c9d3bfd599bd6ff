#ifndef KW_WIRE_FRAME_FIELD_H
#define KW_WIRE_FRAME_FIELD_H

#include <stdbool.h>

#include "proto/wire/frame.h"
#include "proto/wire/pbscan.h"

/* What the two files of the frame codec share, and nobody else needs: a reader that knows each field's wire type, the
 * parts that repeat in several frames, and a writer that fills in the frame's length at the end. */

#define KW_FIELD_NUMBER_MAX 12u /* highest field number in a frame that is read by hand */

enum kw_field_kind {
	KW_FIELD_UNKNOWN = 0, /* skipped: a newer peer may send it */
	KW_FIELD_VARINT,
	KW_FIELD_FIXED64,
	KW_FIELD_BYTES,
	KW_FIELD_BYTES_REPEATED
};

struct kw_field_rules {
	uint8_t kinds[KW_FIELD_NUMBER_MAX + 1]; /* enum kw_field_kind, by field number */
};

/* A cursor over the fields of one message with a sticky error, looked at once at the end. */
struct kw_fields {
	struct kw_pb pb;
	const struct kw_field_rules *rules;
	uint32_t seen; /* bit n: field n has come */
	enum kw_err err;
};

struct kw_fields kw_fields_from(struct kw_view body, const struct kw_field_rules *rules);

/* The next field that the rules name. False at the end and on an error; kw_fields_end tells which.
 * KW_EFORMAT  bad structure, another wire type than the rules', a second copy of a field that does not repeat */
KW_MUST_USE bool kw_fields_next(struct kw_fields *fields, struct kw_pb_field *out);
KW_MUST_USE enum kw_err kw_fields_end(const struct kw_fields *fields);
/* Makes `err` the result unless there was an error before. */
void kw_fields_fail(struct kw_fields *fields, enum kw_err err);

/* The field's integer; over `max` it is KW_EFIELD and 0. */
uint64_t kw_fields_uint(struct kw_fields *fields, const struct kw_pb_field *field, uint64_t max);
/* The field's exactly 16 bytes, else KW_EFIELD. */
void kw_fields_id(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_id *out);
/* The error with this wire name; KW_EFIELD when it is "ok" or we do not know it. */
enum kw_err kw_fields_reason(struct kw_fields *fields, const struct kw_pb_field *field);

/* One Cursor or Credit into the place of its class. KW_EFIELD when the class is out of range or has its bit in `mask`
 * already; sets the bit. */
void kw_fields_cursor(struct kw_fields *fields, struct kw_view bytes, struct kw_cursor *cursors, uint8_t *mask);
void kw_fields_credit(struct kw_fields *fields, struct kw_view bytes, struct kw_credit *credits, uint8_t *mask);

/* Appends one Cursor or Credit as field `number` for each class in `mask`, from the place of its class. */
KW_MUST_USE enum kw_err kw_field_add_cursors(struct kw_buf *out, uint32_t number, const struct kw_cursor *cursors,
	uint8_t mask);
KW_MUST_USE enum kw_err kw_field_add_credits(struct kw_buf *out, uint32_t number, const struct kw_credit *credits,
	uint8_t mask);
/* frame_clocks.c: one ClockLimit into limits (NULL: only checked). KW_EFIELD for a limit out of range, or a clock that has its bit
 * in `mask` already; sets the bit. A clock that we do not know is passed over. */
void kw_fields_clock(struct kw_fields *fields, struct kw_view bytes, struct kw_clock_limits *limits, uint32_t *mask);
/* Appends one ClockLimit as field `number` for each clock. */
KW_MUST_USE enum kw_err kw_field_add_clocks(struct kw_buf *out, uint32_t number, const struct kw_clock_limits *limits);
/* A cursor that names a place but no store cannot be. */
bool kw_field_cursors_ok(const struct kw_cursor *cursors);

/* Begins a frame: its head, length still open. *start is where it begins, for kw_field_frame_end. */
KW_MUST_USE enum kw_err kw_field_frame_begin(struct kw_buf *out, uint8_t type, size_t *start);
/* Ends it: fills in the length, or takes the whole frame back when `err` is not KW_OK. Gives `err`, or KW_ETOOBIG. */
KW_MUST_USE enum kw_err kw_field_frame_end(struct kw_buf *out, size_t start, enum kw_err err);

#endif
