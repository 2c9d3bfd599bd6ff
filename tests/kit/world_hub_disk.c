#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* The hub's disk, with the semantics of broker/shell/store.h: changes in order, in transactions that end between two
 * tickets, and a read that sees what is committed. */

void w_hub_image_free(struct w_hub_image *image)
{
	for (uint32_t slot = 0; slot < W_AGENTS_MAX; slot++)
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			free(image->queue[slot][c].rows.at);
	free(image->threads.at);
	memset(image, 0, sizeof(*image));
}

void w_hub_image_copy(struct w_hub_image *to, const struct w_hub_image *from)
{
	w_hub_image_free(to);
	*to = *from;
	memset(&to->threads, 0, sizeof(to->threads));
	for (uint32_t i = 0; i < from->threads.count; i++)
		*W_PUSH(to->threads) = from->threads.at[i];
	for (uint32_t slot = 0; slot < W_AGENTS_MAX; slot++) {
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
			struct w_hub_queue *queue = &to->queue[slot][c];
			const struct w_hub_queue *source = &from->queue[slot][c];
			queue->rows.at = NULL;
			queue->rows.count = 0;
			queue->rows.cap = 0;
			for (uint32_t i = 0; i < source->rows.count; i++)
				*W_PUSH(queue->rows) = source->rows.at[i];
		}
	}
}

static void apply_append(struct world *w, const struct w_hub_op *op)
{
	struct w_hub_queue *queue = &w->hub.image.queue[op->slot][op->msg_class];
	if (op->sequence <= queue->last)
		w_fail(w, "the hub gives sequence %llu of queue %u/%d out twice", (unsigned long long)op->sequence, op->slot,
			(int)op->msg_class);
	queue->last = op->sequence;
	if (op->row.body & W_REMINDER)
		w->reminders.at[op->row.body & ~(W_NOTICE | W_REMINDER)].queued = true;
	*W_PUSH(queue->rows) = op->row;
	if (op->from_slot != BRK_SLOT_NONE)
		w->hub.image.cursor[op->from_slot][op->from_class] = op->cursor;
}

static void apply(struct world *w, const struct w_hub_op *op)
{
	struct w_hub_queue *queue = &w->hub.image.queue[op->slot][op->msg_class];
	uint32_t kept = 0;
	if (op->held_slot != BRK_SLOT_NONE)
		w->hub.image.held[op->held_slot] = op->held;
	switch (op->type) {
	case BRK_FX_APPEND:
	case BRK_FX_NOTICE:
	case BRK_FX_REMINDER:
		apply_append(w, op);
		break;
	case BRK_FX_THREAD:
	case BRK_FX_THREAD_GONE:
		w_thread_apply(w, op);
		break;
	case BRK_FX_HELD:
		break;
	case BRK_FX_CURSOR:
		w->hub.image.cursor[op->slot][op->msg_class] = op->cursor;
		break;
	default: /* TRIM, REMOVE */
		for (uint32_t i = 0; i < queue->rows.count; i++) {
			uint64_t sequence = queue->rows.at[i].sequence;
			bool goes = op->type == BRK_FX_TRIM ? sequence <= op->sequence : sequence == op->sequence;
			if (!goes)
				queue->rows.at[kept++] = queue->rows.at[i];
		}
		queue->rows.count = kept;
		break;
	}
}

void w_hub_disk_do(struct world *w, const struct brk_effect *fx)
{
	struct w_hub *hub = &w->hub;
	struct w_hub_op op = {.type = fx->type, .ticket = fx->ticket, .slot = fx->slot, .msg_class = fx->msg_class,
		.sequence = fx->sequence, .from_slot = BRK_SLOT_NONE, .held_slot = BRK_SLOT_NONE};
	if (hub->ops.count > 0 && fx->ticket < hub->ops.at[hub->ops.count - 1].ticket)
		w_fail(w, "hub tickets go back");
	if (fx->type == BRK_FX_APPEND) {
		const struct brk_entry *entry = &fx->u.append.entry;
		struct w_box *box = w_box(w, &hub->boxes, fx->box);
		op.row = (struct w_hub_row){.sequence = fx->sequence, .body = box != NULL ? box->body : 0, .size = entry->size,
			.expiry_hour = entry->expiry_hour, .owner = entry->owner_slot, .id = entry->envelope_id,
			.thread_id = entry->thread_id};
		op.from_slot = fx->u.append.from_slot;
		op.from_class = fx->u.append.from_class;
		op.cursor = fx->u.append.from_cursor;
	} else if (fx->type == BRK_FX_NOTICE) {
		uint32_t body = w->notices.count | W_NOTICE;
		*W_PUSH(w->notices) = fx->u.notice;
		op.row = (struct w_hub_row){.sequence = fx->sequence, .body = body, .size = w_body_size(w, body),
			.owner = BRK_SLOT_NONE, .id = fx->u.notice.envelope_id};
	} else if (fx->type == BRK_FX_REMINDER) {
		uint32_t body = w_thread_remind(w, fx);
		op.row = (struct w_hub_row){
			.sequence = fx->sequence, .body = body, .size = w_body_size(w, body), .owner = BRK_SLOT_NONE};
	} else if (fx->type >= BRK_FX_THREAD && fx->type <= BRK_FX_UNDELIVERABLE) {
		op.slot = 0; /* of no queue */
		op.msg_class = KW_CONTROL;
		w_thread_do(w, fx, &op);
	} else if (fx->type == BRK_FX_HELD) {
		op.held_slot = fx->slot;
		op.held = fx->u.held;
	} else if (fx->type == BRK_FX_CURSOR) {
		op.cursor = fx->u.cursor;
	} else if (fx->type == BRK_FX_TRIM && hub->trimmed[fx->slot][fx->msg_class] < fx->sequence) {
		hub->trimmed[fx->slot][fx->msg_class] = fx->sequence;
	}
	*W_PUSH(hub->ops) = op;
}

/* A transaction begins when the last one has ended; how much gets into it is chance. */
void w_hub_disk_kick(struct world *w)
{
	struct w_hub *hub = &w->hub;
	if (hub->in_flight > 0 || hub->ops.count == 0)
		return;
	uint32_t count = (uint32_t)prng_range(&w->prng, 1, hub->ops.count);
	while (count < hub->ops.count && hub->ops.at[count].ticket == hub->ops.at[count - 1].ticket)
		count++;
	hub->in_flight = count;
	w_at(w, prng_range(&w->prng, w->draw.commit_min, w->draw.commit_max),
		(struct w_event){.type = W_EV_COMMIT, .node = W_HUB, .life = hub->life});
}

static uint64_t apply_flight(struct world *w, bool crash)
{
	struct w_hub *hub = &w->hub;
	uint64_t ticket = 0;
	for (uint32_t i = 0; i < hub->in_flight; i++) {
		if (!(crash && w->mutant == WORLD_REMINDER_APART && hub->ops.at[i].type == BRK_FX_REMINDER))
			apply(w, &hub->ops.at[i]);
		ticket = hub->ops.at[i].ticket;
	}
	hub->ops.count -= hub->in_flight;
	memmove(hub->ops.at, hub->ops.at + hub->in_flight, hub->ops.count * sizeof(*hub->ops.at));
	hub->in_flight = 0;
	return ticket;
}

/* And of each agency: its open threads, the reminders that wait for it. */
static void check_held(struct world *w, uint32_t slot)
{
	const struct w_hub_image *image = &w->hub.image;
	const struct w_hub_queue *queue = &image->queue[slot][KW_CONTROL];
	struct brk_held held = brk_held_of(w->hub.brk, slot), want = {.threads = 0};
	for (uint32_t i = 0; i < image->threads.count; i++)
		want.threads += brk_thread_is_open(&image->threads.at[i]) && brk_thread_payer(&image->threads.at[i]) == slot;
	for (uint32_t i = 0; i < queue->rows.count; i++)
		want.reminders += (queue->rows.at[i].body & W_REMINDER) != 0;
	if (held.threads != want.threads || held.reminders != want.reminders)
		w_fail(w, "the hub counts %u open threads of agent %u and %u reminders for it; there are %u and %u", held.threads,
			slot, held.reminders, want.threads, want.reminders);
	if (image->held[slot].threads != want.threads || image->held[slot].reminders != want.reminders)
		w_fail(w, "the hub's disk has %u open threads of agent %u and %u reminders for it; there are %u and %u",
			image->held[slot].threads, slot, image->held[slot].reminders, want.threads, want.reminders);
}

/* With nothing under way, the core and the disk count the same. */
static void check_counts(struct world *w)
{
	uint64_t rows = 0;
	for (uint32_t slot = 0; slot < W_AGENTS_MAX; slot++)
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			rows += w->hub.image.queue[slot][c].rows.count;
	struct brk_counts counts;
	brk_counts_get(w->hub.brk, &counts);
	for (uint32_t slot = 0; slot < W_AGENTS_MAX; slot++)
		check_held(w, slot);
	if (counts.waiting != rows)
		w_fail(w, "the hub counts %llu waiting, its disk holds %llu", (unsigned long long)counts.waiting,
			(unsigned long long)rows);
}

void w_hub_disk_done(struct world *w)
{
	struct brk_event event = {.type = BRK_EV_COMMITTED};
	event.u.ticket = apply_flight(w, false);
	w_hub_step(w, &event);
	if (w->hub.ops.count == 0 && w->mutant == WORLD_SOUND)
		check_counts(w);
}

/* The mutant's disk: rows go, their senders' cursors stay. */
static void lose_last(struct w_hub_image *image)
{
	for (uint32_t slot = 0; slot < W_AGENTS_MAX; slot++)
		for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
			if (image->queue[slot][c].rows.count > 0)
				image->queue[slot][c].rows.count--;
}

void w_hub_disk_crash(struct world *w)
{
	struct w_hub *hub = &w->hub;
	if (hub->in_flight > 0) {
		bool keep = prng_percent(&w->prng, 50);
		w_mark(w, keep ? WORLD_MARK_HUB_CRASH_KEPT : WORLD_MARK_HUB_CRASH_LOST);
		if (keep)
			(void)apply_flight(w, true);
	}
	hub->ops.count = 0;
	hub->in_flight = 0;
	memset(hub->trimmed, 0, sizeof(hub->trimmed));
	if (w->mutant == WORLD_LOSE_ACKED)
		lose_last(&hub->image);
	if (!hub->has_backup || !prng_percent(&w->prng, w->draw.restore_percent))
		return;
	w_log(w, "the hub comes back from its backup with a new epoch");
	w_mark(w, WORLD_MARK_NEW_EPOCH);
	w->epoch_lost = true;
	w_hub_image_copy(&hub->image, &hub->backup);
	hub->image.epoch = prng_next(&w->prng) | 1;
	memset(hub->image.cursor, 0, sizeof(hub->image.cursor));
}
