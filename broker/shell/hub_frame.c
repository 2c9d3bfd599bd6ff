#include <string.h>

#include "broker/shell/hub_inner.h"
#include "proto/wire/envelope.h"

void hub_hello(struct hub *hub, uint32_t conn, const struct kw_name *agency, const struct kw_frame_hello *hello)
{
	struct brk_event event = {.type = BRK_EV_HELLO};
	event.u.hello.conn = conn;
	event.u.hello.slot = roster_find(hub->roster, agency);
	event.u.hello.hello = *hello;
	if (event.u.hello.slot == STORE_SLOT_NONE) {
		hub->wire.close(hub->wire.user, conn, KW_EDENIED);
		return;
	}
	hub_audit_hello(hub, conn, hello->log_size);
	hub_event(hub, &event);
	hub_blobs_up(hub, conn, event.u.hello.slot);
}

void hub_credit(struct hub *hub, uint32_t conn, const struct kw_credit *credits)
{
	struct brk_event event = {.type = BRK_EV_ACK};
	event.u.ack.conn = conn;
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		event.u.ack.ack.credit_mask |= (uint8_t)(1u << c);
		event.u.ack.ack.credits[c] = credits[c];
	}
	hub_event(hub, &event);
}

/* Reads what a hub may know of an envelope. One that cannot be carried still becomes a message event, so that its sender
 * hears of it in a notice, which names an agency in any case: the sender itself, when nobody can say for whom it was. */
static void label(struct hub *hub, const struct kw_name *from, struct kw_view envelope, struct brk_message *message)
{
	struct kw_envelope_label label;
	message->to_slot = BRK_SLOT_NONE;
	message->to = *from;
	message->err = kw_envelope_peek(envelope, &label);
	if (message->err != KW_OK)
		return;
	message->envelope_id = label.id;
	message->expiry_hour = label.expiry_hour;
	message->err = kw_name_from(label.agency, &message->to);
	/* From a session comes what is at home here: the header's home is the hub whose log proves that it was held. */
	if (message->err == KW_OK &&
		(label.msg_class != message->msg_class || !kw_view_equal(label.home_hub, kw_view_str(hub->name.text))))
		message->err = KW_EFIELD;
	if (message->err != KW_OK)
		return;
	if (!kw_view_equal(label.hub, kw_view_str(hub->name.text)))
		message->err = KW_ENOAGENCY;
	else
		message->to_slot = roster_find(hub->roster, &message->to);
}

static enum kw_err take_message(struct hub *hub, uint32_t conn, const struct kw_name *agency, struct kw_view body)
{
	struct kw_frame_message frame;
	enum kw_err err = kw_frame_message_parse(body, &frame);
	if (err != KW_OK)
		return err;
	if (frame.envelope.size == 0)
		return KW_EPROTO;
	hub_audit_sent(hub, conn);
	struct store_box *box = store_box_new((uint32_t)frame.envelope.size);
	if (box == NULL)
		return KW_ENOMEM;
	memcpy(box->data, frame.envelope.data, frame.envelope.size);
	struct brk_event event = {.type = BRK_EV_MESSAGE};
	event.u.message.conn = conn;
	event.u.message.msg_class = frame.msg_class;
	event.u.message.sequence = frame.sequence;
	event.u.message.box = (uint64_t)(uintptr_t)box;
	event.u.message.size = box->size;
	label(hub, agency, frame.envelope, &event.u.message);
	if (frame.tracks.size > 0)
		err = hub_tracks(hub, frame.tracks, &event.u.message);
	if (err == KW_OK)
		hub_event(hub, &event);
	store_box_unref(box);
	return err;
}

static void one_row(void *user, const struct store_row *row)
{
	struct store_row *out = user;
	*out = *row;
	store_box_unref(row->box);
	out->box = NULL;
}

static enum kw_err take_unopened(struct hub *hub, uint32_t conn, const struct kw_name *agency, struct kw_view body)
{
	struct brk_event event = {.type = BRK_EV_UNOPENED};
	event.u.unopened.conn = conn;
	event.u.unopened.owner_slot = BRK_SLOT_NONE;
	struct kw_frame_unopened *unopened = &event.u.unopened.unopened;
	enum kw_err err = kw_frame_unopened_parse(body, unopened);
	if (err != KW_OK)
		return err;
	struct store_row row = {.owner_slot = STORE_SLOT_NONE};
	struct store_range range = {
		.slot = roster_find(hub->roster, agency),
		.msg_class = unopened->msg_class,
		.from = unopened->sequence,
		.count_max = 1,
		.bytes_max = 1,
	};
	err = store_read(hub->store, &range, one_row, &row);
	if (err != KW_OK)
		return err;
	if (row.sequence == unopened->sequence && kw_id_equal(&row.envelope_id, &unopened->envelope_id)) {
		event.u.unopened.owner_slot = row.owner_slot;
		event.u.unopened.thread_id = row.thread_id;
	}
	hub_event(hub, &event);
	return KW_OK;
}

static enum kw_err take_recall(struct hub *hub, uint32_t conn, struct kw_view body)
{
	struct kw_frame_recall recall;
	struct store_row row;
	enum kw_err err = kw_frame_recall_parse(body, &recall);
	if (err != KW_OK)
		return err;
	uint32_t slot = roster_find(hub->roster, &recall.agency);
	if (slot == STORE_SLOT_NONE || !store_find(hub->store, slot, &recall.envelope_id, &row))
		return KW_OK;
	struct brk_event event = {.type = BRK_EV_RECALLED};
	event.u.expired.conn = conn;
	event.u.expired.slot = slot;
	event.u.expired.msg_class = row.msg_class;
	event.u.expired.entry.sequence = row.sequence;
	event.u.expired.entry.size = row.body_size;
	event.u.expired.entry.owner_slot = row.owner_slot;
	event.u.expired.entry.envelope_id = row.envelope_id;
	hub_event(hub, &event);
	return KW_OK;
}

enum kw_err hub_frame(struct hub *hub, uint32_t conn, const struct kw_name *agency, const struct kw_frame *frame)
{
	switch (frame->type) {
	case KW_FRAME_MESSAGE:
		return take_message(hub, conn, agency, frame->body);
	case KW_FRAME_RECALL:
		return take_recall(hub, conn, frame->body);
	case KW_FRAME_PROVE:
		return hub_audit_prove(hub, conn, frame->body);
	case KW_FRAME_UNOPENED:
		return take_unopened(hub, conn, agency, frame->body);
	case KW_FRAME_ACK: {
		struct brk_event event = {.type = BRK_EV_ACK};
		event.u.ack.conn = conn;
		enum kw_err err = kw_frame_ack_parse(frame->body, &event.u.ack.ack);
		if (err == KW_OK)
			hub_event(hub, &event);
		return err;
	}
	default:
		return KW_EPROTO;
	}
}
