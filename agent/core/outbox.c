#include "agent/core/state.h"

#include "proto/base/check.h"

/* What is sent, and when. A row may leave only after its own commit: a sequence that a crash takes back would be given
 * to another message, which the hub would then drop as a repeat. */

#define HOUR_MS 3600000u

void agt_outbox_start(struct agt *agt, const struct agt_start *start)
{
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		const struct agt_lane_recovery *lane = &start->lanes[c];
		struct agt_outbox *out = &agt->outbox[c];

		out->next = lane->next_sequence;
		out->committed = lane->next_sequence - 1;
		out->held = lane->held_sequence;
		out->sent = lane->held_sequence;
		out->covered = lane->held_sequence + 1;
	}
}

static void push(struct agt_outbox *out, const struct agt_row *row, uint64_t ticket)
{
	KW_ASSERT(out->count < AGT_WINDOW_BOXES);
	struct agt_entry *entry = &out->ring[(out->head + out->count) % AGT_WINDOW_BOXES];

	out->count++;
	*entry = (struct agt_entry){.sequence = row->sequence,
		.box = row->box,
		.ticket = ticket,
		.size = row->size,
		.expiry_hour = row->expiry_hour};
}

static void pop(struct agt_outbox *out)
{
	out->head = (out->head + 1) % AGT_WINDOW_BOXES;
	out->count--;
}

void agt_outbox_submit(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	enum kw_msg_class msg_class = event->u.submit.msg_class;
	KW_ASSERT(msg_class > KW_CONTROL && msg_class < KW_MSG_CLASS_COUNT);
	struct agt_outbox *out = &agt->outbox[msg_class];
	struct agt_row row = event->u.submit.row;

	row.sequence = out->next++;
	struct agt_effect *effect = agt_plan_store(agt, plan, AGT_FX_OUT_APPEND);
	effect->msg_class = msg_class;
	effect->sequence = row.sequence;
	effect->box = row.box;
	effect->u.row = row;
	out->last_ticket = effect->ticket;
	if (out->mark_ticket == 0) {
		out->mark_ticket = effect->ticket;
		out->mark_sequence = row.sequence;
	}

	/* Only when nothing older waits on disk alone may the row skip the way over the disk. */
	if (out->covered == row.sequence && out->count < AGT_WINDOW_BOXES) {
		push(out, &row, effect->ticket);
		out->covered = row.sequence + 1;
	} else {
		agt_plan_drop(plan, row.box);
	}
}

void agt_outbox_committed(struct agt *agt)
{
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		struct agt_outbox *out = &agt->outbox[c];

		if (out->mark_ticket == 0 || agt->committed_ticket < out->mark_ticket)
			continue;
		out->committed = out->mark_sequence;
		if (agt->committed_ticket >= out->last_ticket) {
			out->committed = out->next - 1;
			out->mark_ticket = 0;
		} else {
			out->mark_ticket = out->last_ticket;
			out->mark_sequence = out->next - 1;
		}
	}
}

void agt_outbox_rows(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	enum kw_msg_class msg_class = event->u.rows.msg_class;
	struct agt_outbox *out = &agt->outbox[msg_class];
	bool wanted = out->asked && !out->stale && event->u.rows.from == out->asked_from;

	out->asked = false;
	out->stale = false;
	for (uint32_t i = 0; i < event->u.rows.count; i++) {
		const struct agt_row *row = &event->u.rows.rows[i];

		/* A row at or past what is not committed for certain is read again later. */
		if (!wanted || row->sequence < out->covered || out->count == AGT_WINDOW_BOXES) {
			wanted = wanted && row->sequence < out->covered;
			agt_plan_drop(plan, row->box);
			continue;
		}
		push(out, row, 0);
		out->covered = row->sequence + 1;
	}
	if (wanted && event->u.rows.end && out->covered <= out->asked_upto)
		out->covered = out->asked_upto + 1;
}

void agt_outbox_gone(struct agt *agt, enum kw_msg_class msg_class, uint64_t sequence, struct agt_plan *plan)
{
	struct agt_outbox *out = &agt->outbox[msg_class];

	for (uint32_t i = 0; i < out->count; i++) {
		struct agt_entry *entry = &out->ring[(out->head + i) % AGT_WINDOW_BOXES];

		if (entry->sequence != sequence)
			continue;
		agt_plan_drop(plan, entry->box);
		entry->box = 0;
		return;
	}
}

bool agt_outbox_held(struct agt *agt, enum kw_msg_class msg_class, uint64_t sequence, struct agt_plan *plan)
{
	struct agt_outbox *out = &agt->outbox[msg_class];

	if (sequence >= out->next)
		return false;
	if (sequence <= out->held)
		return true;
	/* The hub may still be writing what the last session sent when it greets this one, and tell of it only now. */
	if (sequence > out->sent) {
		while (out->count > 0 && out->ring[out->head].sequence <= sequence) {
			agt_plan_drop(plan, out->ring[out->head].box);
			pop(out);
		}
		out->sent = sequence;
		if (out->covered <= sequence)
			out->covered = sequence + 1;
	}
	out->held = sequence;
	struct agt_effect *effect = agt_plan_store(agt, plan, AGT_FX_OUT_HELD);
	effect->msg_class = msg_class;
	effect->sequence = sequence;
	return true;
}

void agt_outbox_session(struct agt *agt, enum kw_msg_class msg_class, uint64_t hub_has, struct agt_plan *plan)
{
	struct agt_outbox *out = &agt->outbox[msg_class];

	KW_ASSERT(hub_has < out->next);
	if (out->sent != hub_has) {
		/* The ring begins elsewhere than the hub wants: read from the disk again. */
		while (out->count > 0) {
			agt_plan_drop(plan, out->ring[out->head].box);
			pop(out);
		}
		out->stale = out->asked;
		out->sent = hub_has;
		out->covered = hub_has + 1;
	}
	if (hub_has < out->held)
		out->held = hub_has;
	(void)agt_outbox_held(agt, msg_class, hub_has, plan); /* cannot claim too much: sent is hub_has */
}

static bool expired(const struct agt_entry *entry, uint64_t wall_ms)
{
	return entry->expiry_hour != 0 && wall_ms / HOUR_MS >= entry->expiry_hour;
}

static void send_class(struct agt *agt, enum kw_msg_class msg_class, uint64_t wall_ms, struct agt_plan *plan)
{
	struct agt_outbox *out = &agt->outbox[msg_class];

	while (out->count > 0) {
		const struct agt_entry *entry = &out->ring[out->head];

		if (plan->count + AGT_PLAN_RESERVE >= AGT_PLAN_MAX) {
			plan->more = true;
			return;
		}
		if (entry->ticket > agt->committed_ticket)
			return;
		if (entry->box == 0 || expired(entry, wall_ms)) {
			agt_plan_drop(plan, entry->box);
		} else {
			if (agt->out_bytes >= AGT_OUT_BYTES_MAX || !kw_tx_may(&out->tx, entry->size))
				return;
			kw_tx_sent(&out->tx, entry->size);
			agt->out_bytes += entry->size;
			struct agt_effect *effect = agt_plan_add(plan, AGT_FX_SEND);
			effect->msg_class = msg_class;
			effect->sequence = entry->sequence;
			effect->box = entry->box;
		}
		out->sent = entry->sequence;
		pop(out);
	}
	/* Rows between the last one and `covered` are gone from the disk: the hub's ack never names them. */
}

static void refill(struct agt_outbox *out, enum kw_msg_class msg_class, struct agt_plan *plan)
{
	if (out->asked || out->count > AGT_WINDOW_BOXES / 2 || out->covered > out->committed)
		return;
	out->asked = true;
	out->stale = false;
	out->asked_from = out->covered;
	out->asked_upto = out->committed;
	struct agt_effect *effect = agt_plan_add(plan, AGT_FX_REFILL);
	effect->msg_class = msg_class;
	effect->sequence = out->covered;
	effect->u.count_max = AGT_WINDOW_BOXES - out->count;
}

void agt_outbox_pump(struct agt *agt, uint64_t wall_ms, struct agt_plan *plan)
{
	if (agt->state != AGT_ONLINE)
		return;
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		send_class(agt, (enum kw_msg_class)c, wall_ms, plan);
		refill(&agt->outbox[c], (enum kw_msg_class)c, plan);
	}
}
