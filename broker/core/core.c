#include "broker/core/core.h"

#include <string.h>

#include "broker/core/state.h"
#include "proto/base/check.h"

const struct brk_limits BRK_LIMITS_DEFAULT = {
	.slots_max = 10000,
	.conns_max = 16384,
	.window_entries = 65536,
	.pending_max = 131072,
	.threads_pending_max = 65536,
	.queue_messages_max = 1000000,
	.queue_bytes_max = 2ull << 30,
	.urgent_messages_max = 100000,
	.notices_max = 20000,
	.reminders_max = 20000,
	.threads_open_max = 200000,
	.grant_messages = 256,
	.grant_bytes = 1u << 20,
	.out_bytes_max = 256u << 10,
	.refused_retry_ms = 60000,
	.threads = {.keep_ms = UINT64_C(90) * 86400000u},
};

/* A session that another one replaced: mostly the agency's own newer connection, which may be gone again soon. */
#define REPLACED_RETRY_MS 5000u

/* A step always has room for one handler's own effects when it starts; the loops that can emit without bound stop so
 * far from the end. */
#define PLAN_RESERVE 16u
#define SPACE_RETRY_MS 1000u

static size_t aligned(size_t size)
{
	return (size + 63u) & ~(size_t)63u;
}

size_t brk_size(const struct brk_limits *limits)
{
	return aligned(sizeof(struct brk)) + aligned(limits->conns_max * sizeof(uint32_t)) +
	       aligned(limits->slots_max * sizeof(struct brk_agency)) +
	       aligned(limits->window_entries * sizeof(struct brk_node)) +
	       aligned(limits->pending_max * sizeof(struct brk_pending));
}

static void agency_init(struct brk_agency *agency)
{
	static const struct brk_list EMPTY = {.head = BRK_NODE_NONE, .tail = BRK_NODE_NONE, .count = 0};
	agency->conn = BRK_CONN_NONE;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		agency->queue[c].window = EMPTY;
		agency->queue[c].flight = EMPTY;
	}
}

struct brk *brk_init(void *memory, const struct brk_limits *limits)
{
	KW_ASSERT(brk_limits_fault(limits) == NULL);
	uint8_t *at = memory;
	struct brk *brk = memory;
	at += aligned(sizeof(*brk));
	brk->limits = *limits;
	if (kw_clock_limit(&limits->threads.limits, KW_CLOCK_DELIVERED, KW_RISK_HIGH) == 0)
		kw_clock_limits_default(&brk->limits.threads.limits);
	brk->conn_slot = (uint32_t *)(void *)at;
	at += aligned(limits->conns_max * sizeof(uint32_t));
	brk->agencies = (struct brk_agency *)(void *)at;
	at += aligned(limits->slots_max * sizeof(struct brk_agency));
	brk->nodes = (struct brk_node *)(void *)at;
	at += aligned(limits->window_entries * sizeof(struct brk_node));
	brk->pending = (struct brk_pending *)(void *)at;

	for (uint32_t i = 0; i < limits->conns_max; i++)
		brk->conn_slot[i] = BRK_SLOT_NONE;
	for (uint32_t i = 0; i < limits->slots_max; i++)
		agency_init(&brk->agencies[i]);
	for (uint32_t i = 0; i < limits->window_entries; i++)
		brk->nodes[i].next = i + 1 < limits->window_entries ? i + 1 : BRK_NODE_NONE;
	brk->free_count = limits->window_entries;
	brk->dirty_head = BRK_SLOT_NONE;
	brk->dirty_tail = BRK_SLOT_NONE;
	brk->coordinator = BRK_SLOT_NONE;
	return brk;
}

struct brk_effect *brk_fx(struct brk *brk, enum brk_effect_type type)
{
	KW_ASSERT(brk->plan->count < BRK_PLAN_MAX);
	struct brk_effect *fx = &brk->plan->effects[brk->plan->count++];
	fx->type = type;
	return fx;
}

uint64_t brk_fx_ticket(struct brk *brk)
{
	return ++brk->ticket;
}

void brk_fx_note(struct brk *brk, uint32_t slot, enum brk_note code, enum kw_err err)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_NOTE);
	fx->slot = slot;
	fx->u.note.code = code;
	fx->u.note.err = err;
}

void brk_fx_close(struct brk *brk, uint32_t conn, enum kw_err err, const char *field)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_ERROR);
	/* Who is closed for lack of space comes back at once, to go on receiving without credit to send. */
	uint32_t retry_ms = err == KW_ENOSPACE ? SPACE_RETRY_MS : brk->limits.refused_retry_ms;
	if (err == KW_ECLOSED)
		retry_ms = REPLACED_RETRY_MS;
	if (kw_err_class(err) != KW_CLASS_RETRY)
		retry_ms = 0;
	fx->conn = conn;
	fx->u.error = (struct kw_frame_error){
		.code = err,
		.scope = 3,
		.retryable = kw_err_class(err) == KW_CLASS_RETRY,
		.retry_after_ms = retry_ms,
	};
	size_t size = strlen(field);
	KW_ASSERT(size < sizeof(fx->u.error.field));
	memcpy(fx->u.error.field, field, size);
	fx = brk_fx(brk, BRK_FX_CLOSE);
	fx->conn = conn;
	fx->u.err = err;
	brk_session_down(brk, conn);
}

void brk_dirty(struct brk *brk, uint32_t slot, uint8_t what)
{
	struct brk_agency *agency = &brk->agencies[slot];
	agency->dirty |= what;
	if (agency->listed)
		return;
	agency->listed = true;
	agency->next_dirty = BRK_SLOT_NONE;
	if (brk->dirty_tail == BRK_SLOT_NONE)
		brk->dirty_head = slot;
	else
		brk->agencies[brk->dirty_tail].next_dirty = slot;
	brk->dirty_tail = slot;
}

struct brk_agency *brk_agency_of(struct brk *brk, uint32_t conn, uint32_t *slot)
{
	KW_ASSERT(conn < brk->limits.conns_max);
	*slot = brk->conn_slot[conn];
	return *slot == BRK_SLOT_NONE ? NULL : &brk->agencies[*slot];
}

void brk_wake_all(struct brk *brk, uint8_t what)
{
	for (uint32_t slot = 0; slot < brk->limits.slots_max; slot++)
		if (brk->agencies[slot].conn != BRK_CONN_NONE)
			brk_dirty(brk, slot, what);
}

/* What an agency has been told holds for refused_retry_ms; while it is still so, it is told again in time. */
static void tell_space(struct brk *brk, bool now)
{
	uint64_t since_ms = brk->wall_ms - brk->space_told_ms; /* a clock that was set back makes it large: told early */
	if (brk->space == BRK_SPACE_OK || (!now && since_ms < brk->limits.refused_retry_ms / 2))
		return;
	brk->space_told_ms = brk->wall_ms;
	brk_wake_all(brk, BRK_DIRTY_SPACE);
}

static void space_changed(struct brk *brk, enum brk_space space)
{
	brk->scarce = brk->starved;
	if (brk->starved || brk->postponed) {
		brk->starved = false;
		for (uint32_t slot = 0; slot < brk->limits.slots_max; slot++)
			brk_deliver_retry(&brk->agencies[slot]);
		brk->postponed = false;
		brk_wake_all(brk, BRK_DIRTY_PUMP);
	}
	bool was_ok = brk->space == BRK_SPACE_OK;
	brk->space = space;
	if (was_ok != (space == BRK_SPACE_OK)) {
		brk_fx_note(brk, BRK_SLOT_NONE, was_ok ? BRK_NOTE_SPACE_LOW : BRK_NOTE_SPACE_OK, was_ok ? KW_ENOSPACE : KW_OK);
		if (!was_ok)
			brk_wake_all(brk, BRK_DIRTY_ACK);
	}
	if (space == BRK_SPACE_OK && brk->clocks_held) {
		brk->clocks_held = false;
		brk_fx_note(brk, BRK_SLOT_NONE, BRK_NOTE_CLOCKS_GO_ON, KW_OK);
	}
	tell_space(brk, was_ok);
}

static void agency_changed(struct brk *brk, const struct brk_event *event)
{
	KW_ASSERT(event->u.agency.slot < brk->limits.slots_max);
	struct brk_agency *agency = &brk->agencies[event->u.agency.slot];
	agency->known = true;
	agency->name = event->u.agency.name;
	agency->revoked = event->u.agency.revoked;
	if (brk->limits.coordinator.text[0] != '\0' && kw_name_equal(&agency->name, &brk->limits.coordinator))
		brk->coordinator = event->u.agency.slot;
	if (agency->revoked && agency->conn != BRK_CONN_NONE)
		brk_fx_close(brk, agency->conn, KW_EDENIED, "agency");
}

static void queue_recovered(struct brk *brk, const struct brk_event *event)
{
	KW_ASSERT(event->u.queue.slot < brk->limits.slots_max);
	struct brk_queue *queue = &brk->agencies[event->u.queue.slot].queue[event->u.queue.msg_class];
	bool empty = event->u.queue.first > event->u.queue.last;
	queue->last = event->u.queue.last;
	queue->durable = queue->last;
	queue->sent = queue->last; /* nobody remembers what was under way */
	queue->acked = empty ? queue->last : event->u.queue.first - 1;
	queue->cover = queue->acked;
	queue->count = event->u.queue.count;
	queue->bytes = event->u.queue.bytes;
	brk->counts.waiting += queue->count;
}

static void cursor_recovered(struct brk *brk, const struct brk_event *event)
{
	KW_ASSERT(event->u.cursor.slot < brk->limits.slots_max);
	struct kw_rx_lane *rx = &brk->agencies[event->u.cursor.slot].rx[event->u.cursor.msg_class];
	rx->durable = event->u.cursor.cursor;
	rx->got = event->u.cursor.cursor;
}

static void held_recovered(struct brk *brk, const struct brk_event *event)
{
	KW_ASSERT(event->u.held.slot < brk->limits.slots_max);
	struct brk_agency *agency = &brk->agencies[event->u.held.slot];
	agency->held = event->u.held.held;
	agency->reminders_kept = agency->held.reminders;
}

static void drained(struct brk *brk, uint32_t conn)
{
	uint32_t slot;
	struct brk_agency *agency = brk_agency_of(brk, conn, &slot);
	if (agency == NULL)
		return;
	agency->out_bytes = 0;
	brk_dirty(brk, slot, BRK_DIRTY_PUMP);
}

/* Turns what the step changed into acks and deliveries, as far as the plan has room. */
static void flush(struct brk *brk)
{
	while (brk->dirty_head != BRK_SLOT_NONE) {
		if (brk->plan->count + PLAN_RESERVE > BRK_PLAN_MAX) {
			brk->plan->more = true;
			return;
		}
		uint32_t slot = brk->dirty_head;
		struct brk_agency *agency = &brk->agencies[slot];
		uint8_t dirty = agency->dirty;
		brk->dirty_head = agency->next_dirty;
		if (brk->dirty_head == BRK_SLOT_NONE)
			brk->dirty_tail = BRK_SLOT_NONE;
		agency->dirty = 0;
		agency->listed = false;
		if (agency->conn == BRK_CONN_NONE)
			continue;
		if (dirty & BRK_DIRTY_SPACE)
			brk_session_send_space(brk, agency);
		if (dirty & BRK_DIRTY_ACK)
			brk_session_send_ack(brk, agency);
		if (dirty & BRK_DIRTY_PUMP)
			brk_deliver_pump(brk, slot);
	}
}

static void dispatch(struct brk *brk, const struct brk_event *event)
{
	switch (event->type) {
	case BRK_EV_START:
		brk->epoch = event->u.epoch;
		break;
	case BRK_EV_AGENCY:
		agency_changed(brk, event);
		break;
	case BRK_EV_QUEUE:
		queue_recovered(brk, event);
		break;
	case BRK_EV_CURSOR:
		cursor_recovered(brk, event);
		break;
	case BRK_EV_HELD:
		held_recovered(brk, event);
		break;
	case BRK_EV_HELLO:
		brk_session_hello(brk, event);
		break;
	case BRK_EV_CONN_DOWN:
		brk_session_down(brk, event->u.conn);
		break;
	case BRK_EV_MESSAGE:
		brk_intake_message(brk, &event->u.message);
		break;
	case BRK_EV_ACK:
		brk_session_ack(brk, event);
		break;
	case BRK_EV_UNOPENED:
		brk_deliver_unopened(brk, event);
		break;
	case BRK_EV_COMMITTED:
		brk_intake_committed(brk, event->u.ticket);
		break;
	case BRK_EV_ROWS:
		brk_deliver_rows(brk, event);
		break;
	case BRK_EV_EXPIRED:
		brk_deliver_expired(brk, event);
		break;
	case BRK_EV_RECALLED:
		brk_deliver_recalled(brk, event);
		break;
	case BRK_EV_DRAINED:
		drained(brk, event->u.conn);
		break;
	case BRK_EV_SPACE:
		space_changed(brk, event->u.space);
		break;
	case BRK_EV_DUE:
		brk_watch_due(brk, event);
		break;
	case BRK_EV_CONTINUE:
		break;
	}
}

void brk_step(struct brk *brk, const struct brk_event *event, struct brk_plan *plan)
{
	plan->count = 0;
	plan->more = false;
	brk->plan = plan;
	brk->wall_ms = event->wall_ms;
	dispatch(brk, event);
	flush(brk);
	brk->plan = NULL;
}

const struct brk_thread_rules *brk_rules(const struct brk *brk)
{
	return &brk->limits.threads;
}

struct brk_held brk_held_of(const struct brk *brk, uint32_t slot)
{
	KW_ASSERT(slot < brk->limits.slots_max);
	return brk->agencies[slot].held;
}

bool brk_is_admitted(const struct brk *brk, uint32_t slot)
{
	return slot < brk->limits.slots_max && brk->agencies[slot].known && !brk->agencies[slot].revoked;
}

void brk_counts_get(const struct brk *brk, struct brk_counts *out)
{
	*out = brk->counts;
}
