#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* Plays broker/shell: boxes, connections, refills, the search for expired rows; and looks at every promise that leaves. */

static void check_promise(struct world *w, uint32_t slot, int msg_class, struct kw_cursor told)
{
	struct kw_cursor durable = w->hub.image.cursor[slot][msg_class];
	if (told.sequence > 0 && (durable.epoch != told.epoch || durable.sequence < told.sequence))
		w_fail(w, "I1: the hub acknowledges %llu of agent %u, class %d, and has %llu on disk",
			(unsigned long long)told.sequence, slot, msg_class, (unsigned long long)durable.sequence);
}

static void put_frame(struct world *w, const struct brk_effect *fx)
{
	struct w_frame frame = {.msg_class = fx->msg_class, .sequence = fx->sequence};
	uint32_t number = w->hub.conn_of[fx->conn];
	if (number == UINT32_MAX) {
		w_fail(w, "the hub writes to connection %u, which is gone", fx->conn);
		return;
	}
	uint32_t slot = w->conns.at[number].agent;
	switch (fx->type) {
	case BRK_FX_SEND: {
		struct w_box *box = w_box(w, &w->hub.boxes, fx->box);
		if (box == NULL)
			return;
		frame.type = KW_FRAME_MESSAGE;
		frame.body = box->body;
		w_log(w, "hub -> %u: message %d/%llu, body %x", slot, (int)fx->msg_class, (unsigned long long)fx->sequence,
			box->body);
		break;
	}
	case BRK_FX_ACK:
		frame.type = KW_FRAME_ACK;
		frame.u.ack = fx->u.ack;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			if (fx->u.ack.cursor_mask & (1u << c))
				check_promise(w, slot, c, fx->u.ack.cursors[c]);
		break;
	case BRK_FX_WELCOME:
		frame.type = KW_FRAME_WELCOME;
		frame.u.hello = fx->u.welcome;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			check_promise(w, slot, c, fx->u.welcome.cursors[c]);
		if (fx->u.welcome.credits[KW_NORMAL].messages == 0)
			w_mark(w, WORLD_MARK_HELD_CREDIT);
		w_log(w, "hub -> %u: welcome", slot);
		break;
	default:
		frame.type = KW_FRAME_ERROR;
		frame.u.error = fx->u.error;
		if (fx->u.error.code == KW_EPROTO)
			w_fail(w, "the hub finds that agent %u broke the rules: %s", slot, fx->u.error.field);
		if (fx->u.error.code == KW_EBUSY)
			w_mark(w, WORLD_MARK_HUB_BUSY);
		break;
	}
	w_net_send(w, number, W_TO_AGENT, &frame);
}

static void note(struct world *w, const struct brk_effect *fx)
{
	static const int MARKS[] = {
		[BRK_NOTE_ONLINE] = -1,
		[BRK_NOTE_OFFLINE] = -1,
		[BRK_NOTE_REPLACED] = WORLD_MARK_REPLACED,
		[BRK_NOTE_REFUSED] = WORLD_MARK_REFUSED,
		[BRK_NOTE_EXPIRED] = WORLD_MARK_EXPIRED_AT_HUB,
		[BRK_NOTE_UNOPENED] = WORLD_MARK_UNOPENED,
		[BRK_NOTE_SPACE_LOW] = WORLD_MARK_SPACE_LOW,
		[BRK_NOTE_SPACE_OK] = -1,
		[BRK_NOTE_TRACK_ILLEGAL] = WORLD_MARK_TRACK_ILLEGAL,
		[BRK_NOTE_TRACK_FOREIGN] = -1,
		[BRK_NOTE_TRACK_OVER] = -1,
		[BRK_NOTE_CLOCKS_HELD] = -1,
		[BRK_NOTE_CLOCKS_GO_ON] = -1,
	};
	w_log(w, "hub notes %d about %d: %s", (int)fx->u.note.code, (int)fx->slot, kw_err_name(fx->u.note.err));
	if (fx->u.note.code == BRK_NOTE_TRACK_FOREIGN)
		w_fail(w, "the hub finds that agent %u speaks of a thread of others", fx->slot);
	if (MARKS[fx->u.note.code] >= 0)
		w_mark(w, (enum world_mark)MARKS[fx->u.note.code]);
}

static void carry_out(struct world *w)
{
	struct w_hub *hub = &w->hub;
	for (uint32_t i = 0; i < hub->plan.count && !w->failed; i++) {
		const struct brk_effect *fx = &hub->plan.effects[i];
		w_note(w, 100 + (uint64_t)fx->type, fx->sequence, fx->ticket);
		switch (fx->type) {
		case BRK_FX_KEEP:
			w_box_hold(w, &hub->boxes, fx->box, 1);
			break;
		case BRK_FX_DROP:
			w_box_hold(w, &hub->boxes, fx->box, -1);
			break;
		case BRK_FX_APPEND:
		case BRK_FX_CURSOR:
		case BRK_FX_NOTICE:
		case BRK_FX_TRIM:
		case BRK_FX_REMOVE:
		case BRK_FX_RECALL:
		case BRK_FX_REMINDER:
		case BRK_FX_THREAD:
		case BRK_FX_THREAD_GONE:
		case BRK_FX_UNDELIVERABLE:
		case BRK_FX_HELD:
			w_hub_disk_do(w, fx);
			break;
		case BRK_FX_SEND:
			put_frame(w, fx);
			w_box_hold(w, &hub->boxes, fx->box, -1);
			break;
		case BRK_FX_ACK:
		case BRK_FX_WELCOME:
		case BRK_FX_ERROR:
			put_frame(w, fx);
			break;
		case BRK_FX_CLOSE:
			if (hub->conn_of[fx->conn] != UINT32_MAX)
				w_net_close(w, hub->conn_of[fx->conn], 1);
			break;
		case BRK_FX_REFILL:
			*W_PUSH(hub->refills) = (struct w_refill){.slot = fx->slot, .msg_class = fx->msg_class,
				.from = fx->sequence, .count_max = fx->u.refill.count_max};
			break;
		case BRK_FX_NOTE:
			note(w, fx);
			break;
		}
	}
}

static void step(struct world *w, struct brk_event *event)
{
	struct w_hub *hub = &w->hub;
	event->wall_ms = w_hub_now(w);
	brk_step(hub->brk, event, &hub->plan);
	carry_out(w);
	struct brk_event more = {.type = BRK_EV_CONTINUE, .wall_ms = event->wall_ms};
	while (hub->plan.more && !w->failed) {
		brk_step(hub->brk, &more, &hub->plan);
		carry_out(w);
	}
}

static void refill(struct world *w, const struct w_refill *ask)
{
	struct w_hub *hub = &w->hub;
	const struct w_hub_queue *queue = &hub->image.queue[ask->slot][ask->msg_class];
	struct brk_entry entries[BRK_REFILL_COUNT];
	uint32_t count = 0;
	bool end = true;
	for (uint32_t i = 0; i < queue->rows.count; i++) {
		const struct w_hub_row *row = &queue->rows.at[i];
		if (row->sequence < ask->from || row->sequence <= hub->trimmed[ask->slot][ask->msg_class])
			continue;
		if (count == ask->count_max || (count > 0 && prng_percent(&w->prng, 10))) { /* or so many bytes */
			end = false;
			break;
		}
		entries[count++] = (struct brk_entry){.sequence = row->sequence, .box = w_box_new(&hub->boxes, row->body, 1),
			.size = row->size, .expiry_hour = row->expiry_hour, .owner_slot = row->owner, .envelope_id = row->id,
			.thread_id = row->thread_id, .reminder = (row->body & W_REMINDER) != 0};
	}
	if (count > 0)
		w_mark(w, WORLD_MARK_HUB_REFILL);
	struct brk_event event = {.type = BRK_EV_ROWS};
	event.u.rows.slot = ask->slot;
	event.u.rows.msg_class = ask->msg_class;
	event.u.rows.end = end;
	event.u.rows.count = count;
	event.u.rows.entries = entries;
	step(w, &event);
}

void w_hub_step(struct world *w, struct brk_event *event)
{
	struct w_hub *hub = &w->hub;
	uint32_t rounds = 0;
	w_note(w, 50, (uint64_t)event->type, 0);
	step(w, event);
	while (hub->refills.count > 0 && !w->failed) {
		struct w_refill ask = hub->refills.at[--hub->refills.count];
		refill(w, &ask);
		if (++rounds > 100000)
			w_fail(w, "refills without end: queue %u/%d from %llu", ask.slot, (int)ask.msg_class,
				(unsigned long long)ask.from);
	}
	if (w->mutant == WORLD_ACK_BEFORE_COMMIT && hub->ops.count > 0) {
		struct brk_event early = {.type = BRK_EV_COMMITTED, .u.ticket = hub->ops.at[hub->ops.count - 1].ticket};
		if (event->type != BRK_EV_COMMITTED)
			w_hub_step(w, &early);
	}
	w_hub_disk_kick(w);
}

void w_hub_start(struct world *w)
{
	struct w_hub *hub = &w->hub;
	hub->up = true;
	hub->life++;
	for (uint32_t i = 0; i < W_CONNS_MAX; i++)
		hub->conn_of[i] = UINT32_MAX;
	if (hub->memory == NULL)
		hub->memory = malloc(brk_size(&hub->limits));
	if (hub->memory == NULL)
		abort();
	memset(hub->memory, 0, brk_size(&hub->limits));
	hub->brk = brk_init(hub->memory, &hub->limits);
	w_hub_time_start(w);
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = hub->image.epoch};
	step(w, &event);
	for (uint32_t slot = 0; slot < w->draw.agents; slot++) {
		event = (struct brk_event){.type = BRK_EV_AGENCY};
		event.u.agency.slot = slot;
		event.u.agency.name = w_name(slot);
		step(w, &event);
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
			const struct w_hub_queue *queue = &hub->image.queue[slot][c];
			event = (struct brk_event){.type = BRK_EV_QUEUE};
			event.u.queue.slot = slot;
			event.u.queue.msg_class = (enum kw_msg_class)c;
			event.u.queue.last = queue->last;
			event.u.queue.first = queue->rows.count > 0 ? queue->rows.at[0].sequence : queue->last + 1;
			event.u.queue.count = queue->rows.count;
			for (uint32_t i = 0; i < queue->rows.count; i++)
				event.u.queue.bytes += queue->rows.at[i].size;
			step(w, &event);
			event = (struct brk_event){.type = BRK_EV_CURSOR};
			event.u.cursor.slot = slot;
			event.u.cursor.msg_class = (enum kw_msg_class)c;
			event.u.cursor.cursor = hub->image.cursor[slot][c];
			step(w, &event);
		}
		event = (struct brk_event){.type = BRK_EV_HELD};
		event.u.held.slot = slot;
		event.u.held.held = hub->image.held[slot];
		step(w, &event);
	}
	w_at(w, prng_below(&w->prng, 1000), (struct w_event){.type = W_EV_TICK, .node = W_HUB, .life = hub->life});
}

static void gather(struct world *w)
{
	struct brk_counts counts;
	brk_counts_get(w->hub.brk, &counts);
	w->result->marks[WORLD_MARK_HUB_REPEAT] += counts.repeats;
}

void w_hub_crash(struct world *w)
{
	struct w_hub *hub = &w->hub;
	gather(w);
	hub->up = false;
	hub->refills.count = 0;
	w_boxes_clear(&hub->boxes);
	w_hub_disk_crash(w);
	for (uint32_t i = 0; i < w->conns.count; i++) {
		if (!w->conns.at[i].open[1])
			continue;
		w->conns.at[i].open[1] = false;
		w_net_cut(w, i);
	}
}

static void take_message(struct world *w, uint32_t conn, const struct w_frame *frame)
{
	const struct w_msg *msg = &w->msgs.at[frame->body];
	struct brk_event event = {.type = BRK_EV_MESSAGE};
	struct brk_tracked tracks[1];
	event.u.message = (struct brk_message){
		.conn = conn,
		.msg_class = frame->msg_class,
		.sequence = frame->sequence,
		.box = w_box_new(&w->hub.boxes, frame->body, 1),
		.size = msg->size,
		.to_slot = msg->to == W_NOBODY ? BRK_SLOT_NONE : msg->to,
		.expiry_hour = msg->expiry_hour,
		.envelope_id = w_id(frame->body),
		.to = w_name(msg->to),
	};
	event.u.message.track_count = w_thread_tracks(w, frame->body, tracks);
	event.u.message.tracks = tracks;
	uint64_t box = event.u.message.box;
	/* The box is lent for the step alone, but the refills that follow it must not hide a use after that. */
	step(w, &event);
	w_box_hold(w, &w->hub.boxes, box, -1);
	struct brk_event more = {.type = BRK_EV_CONTINUE};
	w_hub_step(w, &more);
}

static void take_unopened(struct world *w, uint32_t conn, uint32_t slot, const struct w_frame *frame)
{
	struct brk_event event = {.type = BRK_EV_UNOPENED};
	event.u.unopened.conn = conn;
	event.u.unopened.unopened = frame->u.unopened;
	event.u.unopened.owner_slot = BRK_SLOT_NONE;
	const struct w_hub_queue *queue = &w->hub.image.queue[slot][frame->u.unopened.msg_class];
	for (uint32_t i = 0; i < queue->rows.count; i++)
		if (queue->rows.at[i].sequence == frame->u.unopened.sequence) {
			event.u.unopened.owner_slot = queue->rows.at[i].owner;
			event.u.unopened.thread_id = queue->rows.at[i].thread_id;
		}
	w_hub_step(w, &event);
}

void w_hub_frame(struct world *w, uint32_t number, const struct w_frame *frame)
{
	uint32_t conn = w->conns.at[number].hub_conn;
	struct brk_event event = {.type = BRK_EV_ACK};
	w_log(w, "hub <- %u: frame %d, class %d/%llu", w->conns.at[number].agent, (int)frame->type, (int)frame->msg_class,
		(unsigned long long)frame->sequence);
	switch (frame->type) {
	case KW_FRAME_HELLO:
		event.type = BRK_EV_HELLO;
		event.u.hello.conn = conn;
		event.u.hello.slot = w->conns.at[number].agent;
		event.u.hello.hello = frame->u.hello;
		w_hub_step(w, &event);
		break;
	case KW_FRAME_MESSAGE:
		take_message(w, conn, frame);
		break;
	case KW_FRAME_UNOPENED:
		take_unopened(w, conn, w->conns.at[number].agent, frame);
		break;
	case KW_FRAME_ACK:
		event.u.ack.conn = conn;
		event.u.ack.ack = frame->u.ack;
		w_hub_step(w, &event);
		break;
	case KW_FRAME_PING: {
		struct w_frame pong = {.type = KW_FRAME_PONG};
		w_net_send(w, number, W_TO_AGENT, &pong);
		break;
	}
	default:
		w_fail(w, "an agent sends a frame of type %d", (int)frame->type);
		break;
	}
}

void w_hub_down(struct world *w, uint32_t number)
{
	uint32_t conn = w->conns.at[number].hub_conn;
	if (!w->hub.up || conn == BRK_CONN_NONE || w->hub.conn_of[conn] != number)
		return;
	struct brk_event event = {.type = BRK_EV_CONN_DOWN, .u.conn = conn};
	w_hub_step(w, &event);
	w->hub.conn_of[conn] = UINT32_MAX;
}

void w_hub_tick(struct world *w)
{
	struct w_hub *hub = &w->hub;
	struct brk_event event = {.type = BRK_EV_SPACE, .u.space = hub->space};
	w_hub_step(w, &event);
	uint32_t hour = (uint32_t)(w_hub_now(w) / 3600000u);
	hub->time_on_disk = (int64_t)w_hub_now(w);
	for (uint32_t slot = 0; slot < w->draw.agents; slot++) {
		for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
			const struct w_hub_queue *queue = &hub->image.queue[slot][c];
			for (uint32_t i = 0; i < queue->rows.count; i++) {
				const struct w_hub_row *row = &queue->rows.at[i];
				if (row->expiry_hour == 0 || row->expiry_hour > hour)
					continue;
				event = (struct brk_event){.type = BRK_EV_EXPIRED};
				event.u.expired.slot = slot;
				event.u.expired.msg_class = (enum kw_msg_class)c;
				event.u.expired.entry = (struct brk_entry){.sequence = row->sequence, .size = row->size,
					.expiry_hour = row->expiry_hour, .owner_slot = row->owner, .envelope_id = row->id,
					.thread_id = row->thread_id};
				w_hub_step(w, &event);
			}
		}
	}
	w_thread_due(w);
}
