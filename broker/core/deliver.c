#include "broker/core/state.h"
#include "proto/base/check.h"

/* How many more boxes this agency may hold. All come from one store; once that has run dry, nobody takes more than a fair
 * share for a while, or agencies that read slowly would hold everything and the others wait for ever. */
static uint32_t node_room(struct brk *brk, const struct brk_agency *agency)
{
	uint32_t room = brk->free_count;
	if (brk->scarce) {
		uint32_t share = brk->limits.window_entries / (brk->counts.online > 0 ? brk->counts.online : 1);
		uint32_t held = 0;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			held += agency->queue[c].window.count + agency->queue[c].flight.count;
		share = share > 0 ? share : 1;
		share = held < share ? share - held : 0;
		room = share < room ? share : room;
	}
	if (room == 0)
		brk->starved = true;
	return room;
}

static uint32_t node_take(struct brk *brk, const struct brk_agency *agency, const struct brk_entry *entry)
{
	if (node_room(brk, agency) == 0)
		return BRK_NODE_NONE;
	uint32_t at = brk->free_node;
	brk->free_node = brk->nodes[at].next;
	brk->free_count--;
	brk->nodes[at].entry = *entry;
	return at;
}

static void node_give(struct brk *brk, uint32_t at)
{
	brk->nodes[at].next = brk->free_node;
	brk->free_node = at;
	brk->free_count++;
}

static void list_push(struct brk *brk, struct brk_list *list, uint32_t at)
{
	brk->nodes[at].next = BRK_NODE_NONE;
	if (list->tail == BRK_NODE_NONE)
		list->head = at;
	else
		brk->nodes[list->tail].next = at;
	list->tail = at;
	list->count++;
}

static uint32_t list_pop(struct brk *brk, struct brk_list *list)
{
	uint32_t at = list->head;
	list->head = brk->nodes[at].next;
	if (list->head == BRK_NODE_NONE)
		list->tail = BRK_NODE_NONE;
	list->count--;
	return at;
}

static void count_off(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entry)
{
	struct brk_agency *agency = &brk->agencies[slot];
	struct brk_queue *queue = &agency->queue[msg_class];
	queue->count -= queue->count > 0 ? 1 : 0;
	queue->bytes -= queue->bytes < entry->size ? queue->bytes : entry->size;
	brk->counts.waiting -= brk->counts.waiting > 0 ? 1 : 0;
	if (msg_class != KW_CONTROL)
		return;
	agency->held.reminders -= entry->reminder && agency->held.reminders > 0 ? 1 : 0;
	/* A damaged row takes its kind along; an empty queue holds none of any kind. */
	if (queue->count == 0)
		agency->held.reminders = 0;
}

static void trim(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct brk_queue *queue = &brk->agencies[slot].queue[msg_class];
	if (sequence <= queue->acked)
		return;
	queue->acked = sequence;
	struct brk_effect *fx = brk_fx(brk, BRK_FX_TRIM);
	fx->ticket = brk_fx_ticket(brk);
	fx->slot = slot;
	fx->msg_class = msg_class;
	fx->sequence = sequence;
	if (brk->agencies[slot].held.reminders != brk->agencies[slot].reminders_kept)
		brk_watch_held(brk, slot);
}

bool brk_expired(const struct brk *brk, uint32_t expiry_hour)
{
	return expiry_hour != 0 && (uint64_t)expiry_hour * 3600000u <= brk->wall_ms - brk->limits.threads.ahead_ms;
}

static void tell_owner(struct brk *brk, uint32_t slot, const struct brk_entry *entry, enum kw_err reason)
{
	if (entry->owner_slot == BRK_SLOT_NONE || entry->owner_slot >= brk->limits.slots_max)
		return;
	struct kw_frame_notice notice = {
		.envelope_id = entry->envelope_id,
		.agency = brk->agencies[slot].name,
		.reason = reason,
	};
	struct brk_pending pending = {.from_slot = slot};
	brk_intake_notice(brk, entry->owner_slot, &notice, &pending);
}

static bool pending_room(const struct brk *brk)
{
	return brk_room_for_message(brk, 0);
}

/* Takes a row off the disk. Until that is durable a reader may still see it. */
static void take_off(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entry,
	enum brk_effect_type type)
{
	struct brk_queue *queue = &brk->agencies[slot].queue[msg_class];
	struct brk_effect *fx = brk_fx(brk, type);
	fx->ticket = brk_fx_ticket(brk);
	fx->slot = slot;
	fx->msg_class = msg_class;
	fx->sequence = entry->sequence;
	brk->remove_ticket = fx->ticket;
	queue->remove_ticket = fx->ticket;
	if (entry->sequence > queue->removed)
		queue->removed = entry->sequence;
	count_off(brk, slot, msg_class, entry);
}

/* And tells its owner, in one commit. Of one that was under way once and whose ack was lost nobody here knows whether it has
 * arrived; any other has not. */
static void expire(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entry)
{
	bool unsent = entry->sequence > brk->agencies[slot].queue[msg_class].sent;
	take_off(brk, slot, msg_class, entry, BRK_FX_REMOVE);
	tell_owner(brk, slot, entry, unsent ? KW_EEXPIRED : KW_EUNCONFIRMED);
	brk_watch_undeliverable(brk, &entry->thread_id);
	brk->counts.expired++;
	brk_fx_note(brk, slot, BRK_NOTE_EXPIRED, KW_OK);
}

void brk_deliver_offer(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entry)
{
	struct brk_agency *agency = &brk->agencies[slot];
	struct brk_queue *queue = &agency->queue[msg_class];
	if (agency->conn == BRK_CONN_NONE || queue->refill || queue->cover != queue->last)
		return;
	if (queue->window.count >= BRK_QUEUE_WINDOW)
		return;
	uint32_t at = node_take(brk, agency, entry);
	if (at == BRK_NODE_NONE)
		return;
	brk_fx(brk, BRK_FX_KEEP)->box = entry->box;
	list_push(brk, &queue->window, at);
	queue->cover = entry->sequence;
	brk_dirty(brk, slot, BRK_DIRTY_PUMP);
}

static void ask_refill(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class)
{
	struct brk_queue *queue = &brk->agencies[slot].queue[msg_class];
	uint32_t room = node_room(brk, &brk->agencies[slot]);
	/* Rows that the recipient has already are only counted off; they need no room. */
	if (room == 0 && queue->cover >= queue->resumed)
		return;
	queue->refill = true;
	struct brk_effect *fx = brk_fx(brk, BRK_FX_REFILL);
	fx->slot = slot;
	fx->msg_class = msg_class;
	fx->sequence = queue->cover + 1;
	fx->u.refill.count_max = queue->cover < queue->resumed || room > BRK_REFILL_COUNT ? BRK_REFILL_COUNT : room;
	fx->u.refill.bytes_max = BRK_REFILL_BYTES;
}

/* Sends the head of the window. False: this class cannot go on now. */
static bool send_next(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, bool wait)
{
	struct brk_agency *agency = &brk->agencies[slot];
	struct brk_queue *queue = &agency->queue[msg_class];
	if (queue->window.count == 0) {
		if (!queue->refill && !queue->dry && queue->cover < queue->durable && queue->remove_ticket <= brk->committed)
			ask_refill(brk, slot, msg_class);
		return false;
	}
	if (wait)
		return false;
	struct brk_entry entry = brk->nodes[queue->window.head].entry;
	if (brk_expired(brk, entry.expiry_hour)) {
		if (!pending_room(brk)) {
			brk->postponed = true;
			return false;
		}
		node_give(brk, list_pop(brk, &queue->window));
		brk_fx(brk, BRK_FX_DROP)->box = entry.box;
		expire(brk, slot, msg_class, &entry);
		return true;
	}
	/* Not before it is durable: a crash would take the sequence back and give it to another message, which the recipient
	 * would then drop as a repeat. */
	if (entry.sequence > queue->durable || !kw_tx_may(&agency->tx[msg_class], entry.size))
		return false;
	kw_tx_sent(&agency->tx[msg_class], entry.size);
	agency->out_bytes += entry.size;
	queue->sent = entry.sequence;
	list_push(brk, &queue->flight, list_pop(brk, &queue->window));
	struct brk_effect *fx = brk_fx(brk, BRK_FX_SEND);
	fx->conn = agency->conn;
	fx->slot = slot;
	fx->msg_class = msg_class;
	fx->sequence = entry.sequence;
	fx->box = entry.box;
	return true;
}

void brk_deliver_pump(struct brk *brk, uint32_t slot)
{
	struct brk_agency *agency = &brk->agencies[slot];
	if (agency->owes_acks && brk_intake_notices(agency) < brk->limits.notices_max)
		brk_dirty(brk, slot, BRK_DIRTY_ACK);
	/* Rows of a higher class are being read: they go first. Not the notices: most tell of what will be tried again, and an
	 * agency that tries again and again over a slow link would get nothing else. */
	bool wait = false;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		do {
			if (agency->out_bytes >= brk->limits.out_bytes_max)
				return;
			if (brk->plan->count + 8 > BRK_PLAN_MAX) {
				brk_dirty(brk, slot, BRK_DIRTY_PUMP);
				return;
			}
		} while (send_next(brk, slot, (enum kw_msg_class)c, wait));
		wait = wait || (c != KW_CONTROL && agency->queue[c].refill);
	}
}

void brk_deliver_rows(struct brk *brk, const struct brk_event *event)
{
	uint32_t slot = event->u.rows.slot;
	enum kw_msg_class msg_class = event->u.rows.msg_class;
	KW_ASSERT(slot < brk->limits.slots_max && event->u.rows.count <= BRK_REFILL_COUNT);
	struct brk_agency *agency = &brk->agencies[slot];
	struct brk_queue *queue = &agency->queue[msg_class];
	bool wanted = queue->refill && agency->conn != BRK_CONN_NONE;
	queue->refill = false;
	bool full = false;
	for (uint32_t i = 0; i < event->u.rows.count; i++) {
		const struct brk_entry *entry = &event->u.rows.entries[i];
		uint32_t at = BRK_NODE_NONE;
		bool done = wanted && !full && entry->sequence <= queue->resumed;
		if (wanted && !full && !done && entry->sequence > queue->cover)
			at = node_take(brk, agency, entry);
		if (done && entry->sequence > queue->cover)
			count_off(brk, slot, msg_class, entry);
		if (at != BRK_NODE_NONE)
			list_push(brk, &queue->window, at);
		else
			brk_fx(brk, BRK_FX_DROP)->box = entry->box;
		full = full || (at == BRK_NODE_NONE && !done);
		if ((done || at != BRK_NODE_NONE) && entry->sequence > queue->cover)
			queue->cover = entry->sequence;
	}
	if (wanted && !full && event->u.rows.end && queue->cover < queue->durable)
		queue->cover = queue->durable;
	if (wanted)
		trim(brk, slot, msg_class, queue->resumed < queue->cover ? queue->resumed : queue->cover);
	queue->dry = wanted && full && event->u.rows.count > 0 && queue->window.count == 0;
	if (wanted)
		brk_dirty(brk, slot, BRK_DIRTY_PUMP);
}

void brk_deliver_acked(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct brk_queue *queue = &brk->agencies[slot].queue[msg_class];
	uint64_t upto = 0;
	while (queue->flight.count > 0 && brk->nodes[queue->flight.head].entry.sequence <= sequence) {
		uint32_t at = list_pop(brk, &queue->flight);
		upto = brk->nodes[at].entry.sequence;
		count_off(brk, slot, msg_class, &brk->nodes[at].entry);
		node_give(brk, at);
		brk->counts.delivered++;
	}
	if (upto != 0)
		trim(brk, slot, msg_class, upto);
}

/* Whether a row that was read from the disk is there only, and stays until somebody takes it off. */
static bool on_disk_only(const struct brk *brk, const struct brk_event *event)
{
	KW_ASSERT(event->u.expired.slot < brk->limits.slots_max);
	const struct brk_queue *queue = &brk->agencies[event->u.expired.slot].queue[event->u.expired.msg_class];
	const struct brk_entry *entry = &event->u.expired.entry;
	/* A row in memory is under way, or will be judged when its turn to be sent comes. */
	if (entry->sequence <= queue->cover || entry->sequence > queue->durable || queue->refill)
		return false;
	/* The recipient has it, or it is judged already and not yet off the disk. */
	return entry->sequence > queue->resumed &&
	       !(queue->remove_ticket > brk->committed && entry->sequence <= queue->removed);
}

void brk_deliver_expired(struct brk *brk, const struct brk_event *event)
{
	const struct brk_entry *entry = &event->u.expired.entry;
	if (on_disk_only(brk, event) && brk_expired(brk, entry->expiry_hour) && pending_room(brk))
		expire(brk, event->u.expired.slot, event->u.expired.msg_class, entry);
}

void brk_deliver_recalled(struct brk *brk, const struct brk_event *event)
{
	uint32_t slot = event->u.expired.slot;
	uint32_t owner;
	/* Its owner alone; one that asks again, because it heard nothing, finds no row. What is being delivered is delivered: the
	 * Erase is behind it. */
	if (brk_agency_of(brk, event->u.expired.conn, &owner) == NULL || event->u.expired.entry.owner_slot != owner ||
		!on_disk_only(brk, event))
		return;
	take_off(brk, slot, event->u.expired.msg_class, &event->u.expired.entry, BRK_FX_RECALL);
	brk->counts.recalled++;
	brk_fx_note(brk, slot, BRK_NOTE_RECALLED, KW_OK);
}

void brk_deliver_unopened(struct brk *brk, const struct brk_event *event)
{
	uint32_t slot;
	if (brk_agency_of(brk, event->u.unopened.conn, &slot) == NULL || !pending_room(brk))
		return;
	struct brk_entry entry = {
		.owner_slot = event->u.unopened.owner_slot,
		.envelope_id = event->u.unopened.unopened.envelope_id,
	};
	if (entry.owner_slot == BRK_SLOT_NONE)
		return;
	enum kw_err reason = event->u.unopened.unopened.key_gone ? KW_EKEYGONE : KW_EOPEN;
	(void)brk_fx_ticket(brk); /* the notice is a change of its own */
	tell_owner(brk, slot, &entry, reason);
	if (reason == KW_EOPEN) /* else its owner seals it anew, and the thread goes on with that */
		brk_watch_undeliverable(brk, &event->u.unopened.thread_id);
	brk->counts.unopened++;
	brk_fx_note(brk, slot, BRK_NOTE_UNOPENED, reason);
}

void brk_deliver_retry(struct brk_agency *agency)
{
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		agency->queue[c].dry = false;
}

void brk_deliver_reset(struct brk *brk, struct brk_agency *agency)
{
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		struct brk_queue *queue = &agency->queue[c];
		while (queue->window.count > 0) {
			uint32_t at = list_pop(brk, &queue->window);
			brk_fx(brk, BRK_FX_DROP)->box = brk->nodes[at].entry.box;
			node_give(brk, at);
		}
		while (queue->flight.count > 0)
			node_give(brk, list_pop(brk, &queue->flight));
		queue->cover = queue->acked;
		queue->refill = false;
		queue->dry = false;
	}
}
