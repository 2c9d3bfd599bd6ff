#include <string.h>

#include "broker/core/state.h"
#include "proto/base/check.h"

/* What a notice counts against its queue's bytes; its real size is decided when it is encoded. */
#define NOTICE_SIZE 128u

static void pending_push(struct brk *brk, const struct brk_pending *pending)
{
	KW_ASSERT(brk->pending_count < brk->limits.pending_max);
	uint32_t at = brk->pending_head + brk->pending_count;
	if (at >= brk->limits.pending_max)
		at -= brk->limits.pending_max;
	brk->pending[at] = *pending;
	brk->pending_count++;
	if (pending->clock) {
		brk->clocks_pending++;
		brk->clock_threads_pending += pending->threads;
	}
}

uint64_t brk_intake_notices(const struct brk_agency *agency)
{
	uint64_t count = agency->queue[KW_CONTROL].count;
	return count - (agency->held.reminders < count ? agency->held.reminders : count);
}

struct kw_credit brk_intake_grant(struct brk *brk, struct brk_agency *agency, enum kw_msg_class msg_class)
{
	struct kw_credit window = {.messages = brk->limits.grant_messages, .bytes = brk->limits.grant_bytes};
	/* Nothing is granted towards a full disk, nor while a burst of all agencies at once fills the memory. */
	bool burst = brk->pending_count > brk->limits.pending_max / 2 ||
				 brk->threads_pending > brk->limits.threads_pending_max / 2;
	bool hold = msg_class == KW_CONTROL || brk->space != BRK_SPACE_OK || burst;
	brk->held = brk->held || burst;
	/* An agency that sends what must be refused and never takes the notices would fill the disk with them: what it sends
	 * stays with it until it does. */
	agency->owes_acks = brk_intake_notices(agency) >= brk->limits.notices_max;
	hold = hold || agency->owes_acks;
	return kw_rx_grant(&agency->rx[msg_class], window, hold);
}

static enum kw_err admit(const struct brk *brk, const struct brk_message *message)
{
	if (message->err != KW_OK)
		return message->err;
	if (message->to_slot == BRK_SLOT_NONE)
		return KW_ENOAGENCY;
	const struct brk_agency *to = &brk->agencies[message->to_slot];
	if (!brk_is_admitted(brk, message->to_slot))
		return KW_ENOAGENCY;
	if (message->expiry_hour != 0 && (uint64_t)message->expiry_hour * 3600000u <= brk->wall_ms)
		return KW_EEXPIRED;
	const struct brk_queue *queue = to->queue;
	if (message->msg_class == KW_URGENT)
		return queue[KW_URGENT].count >= brk->limits.urgent_messages_max ? KW_EFULL : KW_OK;
	if (queue[KW_NORMAL].count + queue[KW_BULK].count >= brk->limits.queue_messages_max)
		return KW_EFULL;
	if (queue[KW_NORMAL].bytes + queue[KW_BULK].bytes + message->size > brk->limits.queue_bytes_max)
		return KW_EFULL;
	return KW_OK;
}

struct brk_effect *brk_intake_control(struct brk *brk, uint32_t owner, enum brk_effect_type type,
	struct brk_pending *pending)
{
	struct brk_queue *queue = &brk->agencies[owner].queue[KW_CONTROL];
	struct brk_effect *fx = brk_fx(brk, type);
	fx->ticket = brk->ticket; /* of the change that it tells of: one transaction holds both */
	fx->slot = owner;
	fx->msg_class = KW_CONTROL;
	fx->sequence = ++queue->last;
	queue->count++;
	queue->bytes += NOTICE_SIZE;
	brk->counts.waiting++;
	pending->ticket = fx->ticket;
	pending->to_slot = owner;
	pending->to_class = KW_CONTROL;
	pending->to_sequence = fx->sequence;
	pending_push(brk, pending);
	return fx;
}

void brk_intake_notice(struct brk *brk, uint32_t owner, const struct kw_frame_notice *notice, struct brk_pending *pending)
{
	brk_intake_control(brk, owner, BRK_FX_NOTICE, pending)->u.notice = *notice;
}

void brk_intake_pending(struct brk *brk, struct brk_pending *pending)
{
	pending->ticket = brk->ticket;
	pending_push(brk, pending);
}

/* The refusal is a row in the sender's own queue, committed with the cursor that moves past the message: neither a crash
 * nor a lost link can make it silent. */
static void refuse(struct brk *brk, const struct brk_message *message, struct brk_pending *pending, enum kw_err err)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_CURSOR);
	fx->ticket = brk_fx_ticket(brk);
	fx->slot = pending->from_slot;
	fx->msg_class = pending->from_class;
	fx->u.cursor = pending->from_cursor;
	struct kw_frame_notice notice = {
		.envelope_id = message->envelope_id,
		.agency = message->to,
		.reason = err,
		.retry_after_ms = kw_err_class(err) == KW_CLASS_RETRY ? brk->limits.refused_retry_ms : 0,
	};
	brk_intake_notice(brk, pending->from_slot, &notice, pending);
	brk->counts.refused++;
	brk_fx_note(brk, pending->from_slot, BRK_NOTE_REFUSED, err);
}

static void append(struct brk *brk, const struct brk_message *message, struct brk_pending *pending)
{
	struct brk_queue *queue = &brk->agencies[message->to_slot].queue[message->msg_class];
	uint64_t ticket = brk_fx_ticket(brk);
	struct brk_entry entry = {
		.sequence = queue->last + 1,
		.box = message->box,
		.size = message->size,
		.expiry_hour = message->expiry_hour,
		.owner_slot = pending->from_slot,
		.envelope_id = message->envelope_id,
	};
	if (message->track_count > 0)
		entry.thread_id = brk_watch_tracks(brk, message, pending->from_slot, pending);
	struct brk_effect *fx = brk_fx(brk, BRK_FX_APPEND);
	fx->ticket = ticket;
	fx->slot = message->to_slot;
	fx->msg_class = message->msg_class;
	fx->sequence = entry.sequence;
	fx->box = entry.box;
	fx->u.append.entry = entry;
	fx->u.append.from_slot = pending->from_slot;
	fx->u.append.from_class = pending->from_class;
	fx->u.append.from_cursor = pending->from_cursor;
	brk_deliver_offer(brk, message->to_slot, message->msg_class, &entry);
	queue->last = entry.sequence;
	queue->count++;
	queue->bytes += message->size;
	brk->counts.waiting++;
	pending->ticket = fx->ticket;
	pending->to_slot = message->to_slot;
	pending->to_class = message->msg_class;
	pending->to_sequence = entry.sequence;
	pending_push(brk, pending);
}

void brk_intake_message(struct brk *brk, const struct brk_message *message)
{
	uint32_t slot;
	struct brk_agency *agency = brk_agency_of(brk, message->conn, &slot);
	if (agency == NULL)
		return;
	if (message->msg_class == KW_CONTROL || message->sequence == 0) {
		brk_fx_close(brk, message->conn, KW_EPROTO, "message.class");
		return;
	}
	if (!brk_room_for_message(brk, message->track_count)) {
		brk_fx_close(brk, message->conn, KW_EBUSY, "");
		return;
	}
	/* Credit that was given while there was room is taken back with the session: it would add up to more than is left. */
	if (brk->space == BRK_SPACE_OUT) {
		brk_fx_close(brk, message->conn, KW_ENOSPACE, "");
		return;
	}
	struct kw_rx_lane *rx = &agency->rx[message->msg_class];
	switch (kw_rx_arrive(rx, message->sequence, message->size)) {
	case KW_RX_OVERRUN:
		brk_fx_close(brk, message->conn, KW_EPROTO, "message.credit");
		return;
	case KW_RX_REPEAT:
		brk->counts.repeats++;
		brk_dirty(brk, slot, BRK_DIRTY_ACK);
		return;
	case KW_RX_NEW:
		break;
	}
	struct brk_pending pending = {
		.from_slot = slot,
		.from_class = message->msg_class,
		.from_cursor = rx->got,
		.from_session = agency->session,
		.from_size = message->size,
	};
	enum kw_err err = admit(brk, message);
	if (err != KW_OK)
		refuse(brk, message, &pending, err);
	else
		append(brk, message, &pending);
}

static void settle(struct brk *brk, const struct brk_pending *pending)
{
	brk->threads_pending -= pending->threads;
	if (pending->clock) {
		brk->clocks_pending--;
		brk->clock_threads_pending -= pending->threads;
	}
	if (pending->from_cursor.epoch != 0) {
		struct brk_agency *from = &brk->agencies[pending->from_slot];
		struct kw_rx_lane *rx = &from->rx[pending->from_class];
		kw_rx_committed(rx, pending->from_cursor);
		if (from->session == pending->from_session)
			kw_rx_released(rx, pending->from_size);
		brk->counts.taken++;
		brk_dirty(brk, pending->from_slot, BRK_DIRTY_ACK);
	}
	if (pending->to_sequence != 0) {
		struct brk_queue *queue = &brk->agencies[pending->to_slot].queue[pending->to_class];
		if (pending->to_sequence > queue->durable)
			queue->durable = pending->to_sequence;
		if (queue->window.count > 0 || queue->cover < queue->durable)
			brk_dirty(brk, pending->to_slot, BRK_DIRTY_PUMP);
	}
}

void brk_intake_committed(struct brk *brk, uint64_t ticket)
{
	while (brk->pending_count > 0 && brk->pending[brk->pending_head].ticket <= ticket) {
		settle(brk, &brk->pending[brk->pending_head]);
		brk->pending_head++;
		if (brk->pending_head == brk->limits.pending_max)
			brk->pending_head = 0;
		brk->pending_count--;
	}
	brk->committed = ticket;
	if (brk->remove_ticket != 0 && brk->remove_ticket <= ticket) {
		brk->remove_ticket = 0;
		brk_wake_all(brk, BRK_DIRTY_PUMP); /* refills that waited for the rows to be gone */
	}
	if (brk->held && brk->pending_count <= brk->limits.pending_max / 2 &&
		brk->threads_pending <= brk->limits.threads_pending_max / 2) {
		brk->held = false;
		brk_wake_all(brk, BRK_DIRTY_ACK);
	}
}
