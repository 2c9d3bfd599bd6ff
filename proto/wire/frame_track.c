/* The parts of a MESSAGE that let a hub watch threads: Track towards it, Reminder from it. */

#include <string.h>

#include "proto/wire/frame.h"
#include "proto/wire/frame_field.h"

#define TRACKS_FIELD 5u /* of Message */

static struct kw_view text_of(const struct kw_name *name)
{
	return KW_VIEW(name->text, strnlen(name->text, sizeof(name->text)));
}

static bool name_ok(const struct kw_name *name)
{
	struct kw_name copy;
	return kw_name_from(text_of(name), &copy) == KW_OK;
}

static enum kw_err track_fields_add(struct kw_buf *out, const struct kw_frame_track *track)
{
	enum kw_err err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(track->thread_id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, track->kind);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, track->state);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, track->risk);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 5, track->sequence);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 6, text_of(&track->other_agency));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 7, track->present);
	return err == KW_OK ? kw_pb_add_uint(out, 8, track->heard) : err;
}

enum kw_err kw_frame_track_add(struct kw_buf *out, const struct kw_frame_track *track)
{
	if (!name_ok(&track->other_agency))
		return KW_EFIELD;
	size_t start = out->size;
	enum kw_err err = kw_pb_add_head(out, TRACKS_FIELD, 0);
	if (err == KW_OK)
		err = track_fields_add(out, track);
	if (err != KW_OK) {
		out->size = start;
		return err;
	}
	/* Less than 128 bytes: one byte of length, as kw_pb_add_head left it. */
	out->data[start + 1] = (uint8_t)(out->size - start - 2);
	return KW_OK;
}

static enum kw_err track_parse(struct kw_view body, struct kw_frame_track *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_VARINT, [6] = KW_FIELD_BYTES,
		[7] = KW_FIELD_VARINT, [8] = KW_FIELD_VARINT}};
	const uint32_t needed = 1u << 1 | 1u << 6;
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_track track = {.kind = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			kw_fields_id(&fields, &field, &track.thread_id);
			break;
		case 2:
			track.kind = (uint8_t)kw_fields_uint(&fields, &field, UINT8_MAX);
			break;
		case 3:
			track.state = (uint8_t)kw_fields_uint(&fields, &field, UINT8_MAX);
			break;
		case 4:
			track.risk = (uint8_t)kw_fields_uint(&fields, &field, UINT8_MAX);
			break;
		case 5:
			track.sequence = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		case 7:
			track.present = (uint8_t)kw_fields_uint(&fields, &field, UINT8_MAX);
			break;
		case 8:
			track.heard = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		default:
			kw_fields_fail(&fields, kw_name_from(field.bytes, &track.other_agency));
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && (fields.seen & needed) != needed)
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = track;
	return err;
}

enum kw_err kw_frame_tracks_parse(struct kw_view tracks, struct kw_frame_track *out, uint32_t *count)
{
	struct kw_pb pb = kw_pb_from(tracks);
	struct kw_pb_field field;
	uint32_t found = 0;
	enum kw_err err = KW_OK;
	while (err == KW_OK && kw_pb_next(&pb, &field)) {
		if (field.number != TRACKS_FIELD || field.type != KW_PB_BYTES)
			err = KW_EFORMAT;
		else if (found == KW_FRAME_TRACKS_MAX)
			err = KW_ETOOBIG;
		else
			err = track_parse(field.bytes, &out[found++]);
	}
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	if (err == KW_OK)
		*count = found;
	return err;
}

static enum kw_err reminder_check(const struct kw_frame_reminder *reminder)
{
	if (reminder->due_unix_ms < 0 || reminder->late_ms < 0)
		return KW_EFIELD;
	return name_ok(&reminder->agency) && name_ok(&reminder->other_agency) ? KW_OK : KW_EFIELD;
}

/* The small numbers, fields 2 to 7. */
static uint8_t *reminder_number(struct kw_frame_reminder *reminder, uint32_t number)
{
	uint8_t *const numbers[] = {&reminder->kind, &reminder->clock, &reminder->step, &reminder->audience,
		&reminder->risk, &reminder->state};
	return numbers[number - 2];
}

enum kw_err kw_frame_reminder_parse(struct kw_view body, struct kw_frame_reminder *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_VARINT, [6] = KW_FIELD_VARINT,
		[7] = KW_FIELD_VARINT, [8] = KW_FIELD_VARINT, [9] = KW_FIELD_VARINT, [10] = KW_FIELD_BYTES,
		[11] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_reminder reminder = {.kind = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1)
			kw_fields_id(&fields, &field, &reminder.thread_id);
		else if (field.number <= 7)
			*reminder_number(&reminder, field.number) = (uint8_t)kw_fields_uint(&fields, &field, UINT8_MAX);
		else if (field.number == 8)
			reminder.due_unix_ms = (int64_t)kw_fields_uint(&fields, &field, INT64_MAX);
		else if (field.number == 9)
			reminder.late_ms = (int64_t)kw_fields_uint(&fields, &field, INT64_MAX);
		else
			kw_fields_fail(&fields,
				kw_name_from(field.bytes, field.number == 10 ? &reminder.agency : &reminder.other_agency));
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && !(fields.seen >> 1 & 1))
		err = KW_EFIELD;
	if (err == KW_OK)
		err = reminder_check(&reminder);
	if (err == KW_OK)
		*out = reminder;
	return err;
}

enum kw_err kw_frame_reminder_add(struct kw_buf *out, const struct kw_frame_reminder *reminder)
{
	size_t start = out->size;
	struct kw_frame_reminder copy = *reminder;
	enum kw_err err = reminder_check(reminder);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(reminder->thread_id.bytes));
	for (uint32_t number = 2; number <= 7 && err == KW_OK; number++)
		err = kw_pb_add_uint(out, number, *reminder_number(&copy, number));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 8, (uint64_t)reminder->due_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 9, (uint64_t)reminder->late_ms);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 10, text_of(&reminder->agency));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 11, text_of(&reminder->other_agency));
	if (err != KW_OK)
		out->size = start;
	return err;
}
