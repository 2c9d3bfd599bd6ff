/* The frame itself and the two hot ones, MESSAGE and ACK: read in one pass, written into place. */

#include "proto/wire/frame.h"

#include "proto/wire/frame_field.h"

#define LENGTH_SIZE 3u /* the u24 at the start of a frame */

enum kw_err kw_frame_next(struct kw_view bytes, size_t size_max, struct kw_frame *out, size_t *used)
{
	static const uint8_t NOTHING[1];
	size_t body_size = 0;
	bool whole = false;
	if (bytes.size >= LENGTH_SIZE) {
		body_size = (size_t)bytes.data[0] << 16 | kw_get_u16(bytes.data + 1);
		/* Before the body is here: nobody should collect bytes only to be refused. */
		if (KW_FRAME_HEAD_SIZE + body_size > size_max)
			return KW_ETOOBIG;
		whole = bytes.size >= KW_FRAME_HEAD_SIZE + body_size;
	}
	if (!whole) {
		*out = (struct kw_frame){.type = 0, .body = KW_VIEW(NULL, 0)};
		*used = 0;
		return KW_OK;
	}
	const uint8_t *body = body_size > 0 ? bytes.data + KW_FRAME_HEAD_SIZE : NOTHING;
	*out = (struct kw_frame){.type = bytes.data[LENGTH_SIZE], .body = KW_VIEW(body, body_size)};
	*used = KW_FRAME_HEAD_SIZE + body_size;
	return KW_OK;
}

enum kw_err kw_frame_add(struct kw_buf *out, uint8_t type, struct kw_view body)
{
	size_t start;
	if (body.size > KW_FRAME_SIZE_MAX - KW_FRAME_HEAD_SIZE)
		return KW_ETOOBIG;
	enum kw_err err = kw_field_frame_begin(out, type, &start);
	if (err == KW_OK)
		err = kw_buf_add(out, body);
	return kw_field_frame_end(out, start, err);
}

/* What a message must be, read or written. */
static enum kw_err message_check(const struct kw_frame_message *message)
{
	if (message->envelope.size > KW_ENVELOPE_SIZE_MAX || message->notice.size > KW_ENVELOPE_SIZE_MAX ||
		message->reminder.size > KW_ENVELOPE_SIZE_MAX ||
		message->tracks.size > KW_FRAME_TRACKS_MAX * KW_FRAME_TRACK_SIZE_MAX)
		return KW_ETOOBIG;
	if (message->sequence == 0 || (unsigned)message->msg_class >= KW_MSG_CLASS_COUNT)
		return KW_EFIELD;
	/* The control class is a hub's own words, and those are the control class. */
	bool control = message->msg_class == KW_CONTROL;
	bool notice = message->notice.size > 0;
	bool reminder = message->reminder.size > 0;
	if (control == (message->envelope.size > 0) || control != (notice || reminder) || (notice && reminder) ||
		(control && message->tracks.size > 0))
		return KW_EFIELD;
	return KW_OK;
}

/* Takes one more track into the run of them. They stand side by side, so that the run can be kept and sent as it is. */
static void take_track(struct kw_fields *fields, const struct kw_pb_field *field, struct kw_view *tracks)
{
	size_t head_size = field->bytes.size < 0x80 ? 2 : field->bytes.size < 0x4000 ? 3 : 4;
	const uint8_t *start = field->bytes.data - head_size;
	if (tracks->size == 0)
		tracks->data = start;
	else if (tracks->data + tracks->size != start)
		kw_fields_fail(fields, KW_EFORMAT);
	tracks->size = (size_t)(field->bytes.data + field->bytes.size - tracks->data);
}

enum kw_err kw_frame_message_parse(struct kw_view body, struct kw_frame_message *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_BYTES, [4] = KW_FIELD_BYTES, [5] = KW_FIELD_BYTES_REPEATED, [6] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	uint32_t track_count = 0;
	struct kw_frame_message message = {.msg_class = KW_CONTROL};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			message.msg_class = (enum kw_msg_class)kw_fields_uint(&fields, &field, KW_MSG_CLASS_COUNT - 1);
			break;
		case 2:
			message.sequence = field.value;
			break;
		case 3:
			message.envelope = field.bytes;
			break;
		case 4:
			message.notice = field.bytes;
			break;
		case 5:
			take_track(&fields, &field, &message.tracks);
			if (++track_count > KW_FRAME_TRACKS_MAX)
				kw_fields_fail(&fields, KW_ETOOBIG);
			break;
		default:
			message.reminder = field.bytes;
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = message_check(&message);
	if (err == KW_OK)
		*out = message;
	return err;
}

enum kw_err kw_frame_message_add(struct kw_buf *out, const struct kw_frame_message *message)
{
	size_t start;
	enum kw_err err = message_check(message);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_MESSAGE, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, message->msg_class);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, message->sequence);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, message->envelope);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, message->notice);
	if (err == KW_OK)
		err = kw_buf_add(out, message->tracks);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 6, message->reminder);
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_frame_ack_parse(struct kw_view body, struct kw_frame_ack *out)
{
	static const struct kw_field_rules RULES = {.kinds = {
		[1] = KW_FIELD_BYTES_REPEATED, [2] = KW_FIELD_BYTES_REPEATED}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_ack ack = {.cursor_mask = 0};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1)
			kw_fields_cursor(&fields, field.bytes, ack.cursors, &ack.cursor_mask);
		else
			kw_fields_credit(&fields, field.bytes, ack.credits, &ack.credit_mask);
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && !kw_field_cursors_ok(ack.cursors))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = ack;
	return err;
}

/* True when the mask names only classes that exist. */
static bool mask_ok(uint8_t mask)
{
	return mask >> KW_MSG_CLASS_COUNT == 0;
}

enum kw_err kw_frame_ack_add(struct kw_buf *out, const struct kw_frame_ack *ack)
{
	size_t start;
	if (!mask_ok(ack->cursor_mask) || !mask_ok(ack->credit_mask))
		return KW_EFIELD;
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++)
		if ((ack->cursor_mask >> c & 1) && ack->cursors[c].epoch == 0 && ack->cursors[c].sequence != 0)
			return KW_EFIELD;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_ACK, &start);
	if (err == KW_OK)
		err = kw_field_add_cursors(out, 1, ack->cursors, ack->cursor_mask);
	if (err == KW_OK)
		err = kw_field_add_credits(out, 2, ack->credits, ack->credit_mask);
	return kw_field_frame_end(out, start, err);
}
