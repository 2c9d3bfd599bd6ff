#include "agent/core/core.h"

#include <string.h>

#include "agent/core/state.h"
#include "proto/base/check.h"

/* The session: dial, greet, keep alive, give up, try again. Each step ends the same way: what may leave leaves, what is
 * due is acknowledged, and a connection is dialled if it is time. */

#define VERSION 1u

size_t agt_size(void)
{
	return sizeof(struct agt);
}

struct agt *agt_init(void *memory)
{
	struct agt *agt = memory;

	agt->state = AGT_BLANK;
	agt->ping_after_ms = AGT_PING_MS;
	return agt;
}

bool agt_online(const struct agt *agt)
{
	return agt->state == AGT_ONLINE;
}

struct agt_effect *agt_plan_add(struct agt_plan *plan, enum agt_effect_type type)
{
	KW_ASSERT(plan->count < AGT_PLAN_MAX);
	struct agt_effect *effect = &plan->effects[plan->count++];

	memset(effect, 0, sizeof(*effect));
	effect->type = type;
	return effect;
}

struct agt_effect *agt_plan_store(struct agt *agt, struct agt_plan *plan, enum agt_effect_type type)
{
	struct agt_effect *effect = agt_plan_add(plan, type);

	effect->ticket = ++agt->ticket;
	return effect;
}

void agt_plan_drop(struct agt_plan *plan, uint64_t box)
{
	if (box != 0)
		agt_plan_add(plan, AGT_FX_DROP)->box = box;
}

void agt_plan_note(struct agt_plan *plan, enum agt_note code, enum kw_err err)
{
	struct agt_effect *effect = agt_plan_add(plan, AGT_FX_NOTE);

	effect->u.note.code = code;
	effect->u.note.err = err;
}

/* Full jitter: all agents of a hub that comes back would else come at once. */
static void schedule(struct agt *agt, const struct agt_event *event, uint64_t at_least_ms)
{
	uint64_t limit = AGT_RETRY_CAP_MS;

	if (agt->tries < 20 && ((uint64_t)AGT_RETRY_BASE_MS << agt->tries) < limit)
		limit = (uint64_t)AGT_RETRY_BASE_MS << agt->tries;
	agt->tries++;
	agt->retry_at_ms = event->mono_ms + at_least_ms + event->random % (limit + 1);
}

static void disconnect(struct agt *agt, enum kw_err err, struct agt_plan *plan)
{
	agt->state = AGT_CLOSING;
	agt_plan_add(plan, AGT_FX_DISCONNECT)->u.err = err;
}

static void broke_rules(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	agt_plan_note(plan, AGT_NOTE_PEER_BROKE_RULES, KW_EPROTO);
	schedule(agt, event, 0);
	disconnect(agt, KW_EPROTO, plan);
}

static void on_conn_up(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	if (agt->state != AGT_DIALLING)
		return;
	agt->state = AGT_GREETING;
	agt->heard_ms = event->mono_ms;
	agt->pinged = false;
	agt->out_bytes = 0;

	struct kw_frame_hello *hello = &agt_plan_add(plan, AGT_FX_HELLO)->u.hello;
	hello->version_min = VERSION;
	hello->version_max = VERSION;
	hello->epoch = agt->epoch;
	hello->clock_unix_ms = (int64_t)event->wall_ms;
	hello->directory_version = agt->directory_version;
	agt_inflow_hello(agt, hello);
}

static void on_conn_down(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	if (agt->state == AGT_BLANK || agt->state == AGT_IDLE)
		return;
	if (agt->state != AGT_CLOSING) /* else the wait was set with the reason */
		schedule(agt, event, 0);
	agt->state = AGT_IDLE;
	agt->hub_full_until_ms = 0; /* the next session hears of it again */
	agt_plan_note(plan, AGT_NOTE_OFFLINE, event->u.err);
}

/* What the hub has of our log. A cursor of another epoch says nothing about this one. */
static uint64_t hub_has(const struct agt *agt, const struct kw_frame_hello *hello, int msg_class)
{
	const struct kw_cursor *cursor = &hello->cursors[msg_class];

	return cursor->epoch == agt->epoch ? cursor->sequence : 0;
}

/* The hub has rows that we do not know of: this disk is an old copy. Its next rows would be taken for repeats, so we
 * begin a new log; the recipients' seen-sets drop what they have. */
static void own_epoch(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	agt->epoch = event->random | 1;
	struct agt_effect *effect = agt_plan_store(agt, plan, AGT_FX_OWN_EPOCH);
	effect->u.epoch = agt->epoch;
	agt->gate_ticket = effect->ticket;
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
		agt->outbox[c].held = 0;
	agt_plan_note(plan, AGT_NOTE_OWN_NEW_EPOCH, KW_OK);
	agt->retry_at_ms = event->mono_ms;
	disconnect(agt, KW_ESTATE, plan);
}

static void on_welcome(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	const struct kw_frame_hello *hello = &event->u.hello;

	if (agt->state != AGT_GREETING)
		return;
	if (hello->version_max != VERSION || hello->epoch == 0) {
		broke_rules(agt, event, plan);
		return;
	}
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		if (hub_has(agt, hello, c) >= agt->outbox[c].next) {
			own_epoch(agt, event, plan);
			return;
		}
	}
	agt->state = AGT_ONLINE;
	agt->tries = 0;
	agt_plan_note(plan, AGT_NOTE_ONLINE, KW_OK);
	if (hello->epoch != agt->hub_epoch) {
		if (agt->hub_epoch != 0)
			agt_plan_note(plan, AGT_NOTE_HUB_NEW_EPOCH, KW_OK);
		agt->hub_epoch = hello->epoch;
		agt_plan_store(agt, plan, AGT_FX_EPOCH)->u.epoch = hello->epoch;
		for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
			agt->outbox[c].held = 0;
	}
	agt_inflow_session(agt, hello->epoch);
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		kw_tx_begin(&agt->outbox[c].tx, hello->credits[c]);
		agt_outbox_session(agt, (enum kw_msg_class)c, hub_has(agt, hello, c), plan);
	}
}

static void on_message(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	if (agt->state != AGT_ONLINE || event->u.message.msg_class >= KW_MSG_CLASS_COUNT) {
		agt_plan_drop(plan, event->u.message.box);
		return;
	}
	if (!agt_inflow_message(agt, event, plan))
		broke_rules(agt, event, plan);
}

/* The hub may have no room for what we send; it says so while it lasts. */
static void hub_full(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	uint64_t lasts_ms = event->u.error.retry_after_ms;

	if (lasts_ms < AGT_HUB_FULL_MIN_MS)
		lasts_ms = AGT_HUB_FULL_MIN_MS;
	if (lasts_ms > AGT_HUB_FULL_MAX_MS)
		lasts_ms = AGT_HUB_FULL_MAX_MS;
	if (agt->hub_full_until_ms == 0)
		agt_plan_note(plan, AGT_NOTE_HUB_REFUSES, event->u.error.code);
	agt->hub_full_until_ms = event->mono_ms + lasts_ms;
}

static void hub_takes(struct agt *agt, struct agt_plan *plan)
{
	if (agt->hub_full_until_ms == 0)
		return;
	agt->hub_full_until_ms = 0;
	agt_plan_note(plan, AGT_NOTE_HUB_TAKES, KW_OK);
}

static void on_ack(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	const struct kw_frame_ack *ack = &event->u.ack;

	if (agt->state != AGT_ONLINE)
		return;
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		if ((ack->credit_mask & (1u << c)) != 0) {
			if (ack->credits[c].messages > agt->outbox[c].tx.credit.messages)
				hub_takes(agt, plan);
			kw_tx_credit(&agt->outbox[c].tx, ack->credits[c]);
		}
		if ((ack->cursor_mask & (1u << c)) == 0 || ack->cursors[c].epoch != agt->epoch)
			continue;
		if (!agt_outbox_held(agt, (enum kw_msg_class)c, ack->cursors[c].sequence, plan)) {
			broke_rules(agt, event, plan);
			return;
		}
	}
}

static void on_error(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	const struct kw_frame_error *error = &event->u.error;

	if (error->code == KW_ENOSPACE && agt->state == AGT_ONLINE)
		hub_full(agt, event, plan);
	else
		agt_plan_note(plan, AGT_NOTE_HUB_REFUSES, error->code);
	if (error->scope != 3 || (agt->state != AGT_GREETING && agt->state != AGT_ONLINE))
		return;
	/* What will be refused again is asked rarely; somebody may mend it meanwhile. */
	if (!error->retryable && agt->tries < 6)
		agt->tries = 6;
	schedule(agt, event, error->retry_after_ms);
	disconnect(agt, error->code, plan);
}

static void on_goaway(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	if (agt->state != AGT_GREETING && agt->state != AGT_ONLINE)
		return;
	agt->tries = 0;
	schedule(agt, event, event->u.delay_ms);
	disconnect(agt, KW_ECLOSED, plan);
}

static void heard(struct agt *agt, const struct agt_event *event)
{
	if (agt->pinged && agt->ping_after_ms < AGT_PING_MAX_MS)
		agt->ping_after_ms = agt->ping_after_ms * 2 < AGT_PING_MAX_MS ? agt->ping_after_ms * 2 : AGT_PING_MAX_MS;
	agt->pinged = false;
	agt->heard_ms = event->mono_ms;
}

static void on_tick(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	bool dead = false;

	if (agt->state == AGT_GREETING)
		dead = event->mono_ms - agt->heard_ms >= AGT_WELCOME_MS;
	else if (agt->state == AGT_ONLINE)
		dead = agt->pinged && event->mono_ms - agt->ping_ms >= AGT_PING_MS;
	else
		return;
	if (dead) {
		agt->ping_after_ms = AGT_PING_MS;
		agt_plan_note(plan, AGT_NOTE_SILENT_LINK, KW_ETIMEOUT);
		schedule(agt, event, 0);
		disconnect(agt, KW_ETIMEOUT, plan);
	} else if (agt->state == AGT_ONLINE && !agt->pinged && event->mono_ms - agt->heard_ms >= agt->ping_after_ms) {
		agt->pinged = true;
		agt->ping_ms = event->mono_ms;
		agt_plan_add(plan, AGT_FX_PING);
	}
	if (agt->hub_full_until_ms != 0 && event->mono_ms >= agt->hub_full_until_ms)
		hub_takes(agt, plan);
}

static void on_start(struct agt *agt, const struct agt_event *event)
{
	const struct agt_start *start = &event->u.start;

	KW_ASSERT(agt->state == AGT_BLANK && start->epoch != 0);
	agt->epoch = start->epoch;
	agt->hub_epoch = start->hub_epoch;
	agt->directory_version = start->directory_version;
	agt->retry_at_ms = event->mono_ms;
	agt_outbox_start(agt, start);
	agt_inflow_start(agt, start);
	agt->state = AGT_IDLE;
}

static void dispatch(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	switch (event->type) {
	case AGT_EV_START:
		on_start(agt, event);
		break;
	case AGT_EV_SUBMIT:
		agt_outbox_submit(agt, event, plan);
		break;
	case AGT_EV_COMMITTED:
		agt->committed_ticket = event->u.ticket;
		agt_outbox_committed(agt);
		agt_inflow_committed(agt);
		break;
	case AGT_EV_CONN_UP:
		on_conn_up(agt, event, plan);
		break;
	case AGT_EV_CONN_DOWN:
		on_conn_down(agt, event, plan);
		break;
	case AGT_EV_WELCOME:
		on_welcome(agt, event, plan);
		break;
	case AGT_EV_MESSAGE:
		on_message(agt, event, plan);
		break;
	case AGT_EV_ACK:
		on_ack(agt, event, plan);
		break;
	case AGT_EV_ERROR:
		on_error(agt, event, plan);
		break;
	case AGT_EV_GOAWAY:
		on_goaway(agt, event, plan);
		break;
	case AGT_EV_DRAINED:
		agt->out_bytes = 0;
		break;
	case AGT_EV_ROWS:
		agt_outbox_rows(agt, event, plan);
		break;
	case AGT_EV_RECEIPTED:
		agt_outbox_gone(agt, event->u.receipted.msg_class, event->u.receipted.sequence, plan);
		break;
	case AGT_EV_SPACE:
		agt_inflow_space(agt, event->u.hold);
		break;
	case AGT_EV_TICK:
		on_tick(agt, event, plan);
		break;
	case AGT_EV_PONG:
		break;
	}
}

void agt_step(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	plan->count = 0;
	plan->more = false;
	KW_ASSERT(agt->state != AGT_BLANK || event->type == AGT_EV_START);
	switch (event->type) {
	case AGT_EV_WELCOME:
	case AGT_EV_MESSAGE:
	case AGT_EV_ACK:
	case AGT_EV_ERROR:
	case AGT_EV_PONG:
		heard(agt, event);
		break;
	default:
		break;
	}
	dispatch(agt, event, plan);
	agt_outbox_pump(agt, event->wall_ms, plan);
	/* While more is on its way to the disk, the ack waits for it and tells both. */
	if (agt->inflow.count == 0 || event->type == AGT_EV_COMMITTED)
		agt_inflow_ack(agt, plan);
	if (agt->state == AGT_IDLE && event->mono_ms >= agt->retry_at_ms && agt->inflow.count == 0 &&
		agt->committed_ticket >= agt->gate_ticket) {
		agt->state = AGT_DIALLING;
		agt_plan_add(plan, AGT_FX_CONNECT);
	}
}
