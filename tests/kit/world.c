#include "tests/kit/world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* The clock, the draw and the loop. world_net.c is the network, world_hub*.c and world_agent*.c play the shells and disks
 * of the two daemons, world_check.c knows what must be true. */

/* After the faults end, everything must have come true within this time. The longest wait in a sound run is the agent's
 * reconnect after many failures: ten minutes; a tight world (one message a queue, one frame under way, eight
 * reminders every ten minutes) takes hours. */
#define CALM_MS (400u * 60000u)
#define STEPS_MAX 3000000u

volatile uint64_t world_seed;

const char *const WORLD_MUTANT_NAMES[WORLD_MUTANT_COUNT] = {
	[WORLD_SOUND] = "sound",
	[WORLD_NO_DEDUP] = "no_dedup",
	[WORLD_ACK_BEFORE_COMMIT] = "ack_before_commit",
	[WORLD_LOSE_ACKED] = "lose_acked",
	[WORLD_NO_RESEND_ON_EPOCH] = "no_resend_on_epoch",
	[WORLD_WITHDRAW_ALONE] = "withdraw_alone",
	[WORLD_EARLY_AT_ONCE] = "early_at_once",
	[WORLD_FOLLOW_VOLATILE] = "follow_volatile",
	[WORLD_TRANSFER_EXPIRES] = "transfer_expires",
	[WORLD_CLAIM_IN_MEMORY] = "claim_in_memory",
	[WORLD_ERASE_VOLATILE] = "erase_volatile",
	[WORLD_NO_TOMB] = "no_tomb",
	[WORLD_ERASE_NAMES_BACK] = "erase_names_back",
	[WORLD_ERASE_DONE_EARLY] = "erase_done_early",
	[WORLD_ERASE_OWN_EARLY] = "erase_own_early",
	[WORLD_ERASE_STALE_ANSWER] = "erase_stale_answer",
	[WORLD_ERASE_NOT_ONWARD] = "erase_not_onward",
	[WORLD_ERASE_ASKS_ONCE] = "erase_asks_once",
	[WORLD_ERASE_ANSWERS_ONCE] = "erase_answers_once",
	[WORLD_ERASE_LOST_IS_DONE] = "erase_lost_is_done",
	[WORLD_ERASE_LAST_ANSWER] = "erase_last_answer",
	[WORLD_ERASE_BESIDE] = "erase_beside",
	[WORLD_RECALL_ALL] = "recall_all",
	[WORLD_ACCEPTANCE_UNDONE] = "acceptance_undone",
	[WORLD_OFFER_ONCE_GIVEN] = "offer_once_given",
	[WORLD_NEW_HUB_KNOWS] = "new_hub_knows",
	[WORLD_REMINDER_APART] = "reminder_apart",
	[WORLD_REKEY_VOLATILE] = "rekey_volatile",
	[WORLD_REKEY_PUT_OFF] = "rekey_put_off",
	[WORLD_REKEY_EACH_TIME] = "rekey_each_time",
};

const char *const WORLD_MARK_NAMES[WORLD_MARK_COUNT] = {
	[WORLD_MARK_DELIVERED] = "delivered",
	[WORLD_MARK_REFUSED] = "refused for now",
	[WORLD_MARK_RETRIED] = "submitted again",
	[WORLD_MARK_DEAD] = "dead letter",
	[WORLD_MARK_HUB_REFILL] = "hub refill with rows",
	[WORLD_MARK_AGENT_REFILL] = "agent refill with rows",
	[WORLD_MARK_REPLACED] = "session replaced",
	[WORLD_MARK_EXPIRED_AT_HUB] = "expired at the hub",
	[WORLD_MARK_EXPIRED_AT_AGENT] = "expired at the agent",
	[WORLD_MARK_NEW_EPOCH] = "hub restored, new epoch",
	[WORLD_MARK_HUB_REPEAT] = "repeat at the hub",
	[WORLD_MARK_SEEN_REPEAT] = "repeat by digest at the recipient",
	[WORLD_MARK_UNOPENED] = "could not be opened",
	[WORLD_MARK_HUB_CRASH_KEPT] = "hub crash, transaction in flight kept",
	[WORLD_MARK_HUB_CRASH_LOST] = "hub crash, transaction in flight lost",
	[WORLD_MARK_AGENT_CRASH_KEPT] = "agent crash, transaction in flight kept",
	[WORLD_MARK_AGENT_CRASH_LOST] = "agent crash, transaction in flight lost",
	[WORLD_MARK_HUB_BUSY] = "hub too busy",
	[WORLD_MARK_SPACE_LOW] = "space low",
	[WORLD_MARK_AGENT_HOLDS] = "an agent without room",
	[WORLD_MARK_SILENT_LINK] = "silent link given up",
	[WORLD_MARK_STALL] = "link stalled one way",
	[WORLD_MARK_HELD_CREDIT] = "welcome without credit",
	[WORLD_MARK_DELIVERED_AND_DEAD] = "delivered and a dead letter",
	[WORLD_MARK_SEALED_AGAIN] = "sealed once more, the key was gone",
	[WORLD_MARK_KEY_GONE_TWICE] = "and gone once more",
	[WORLD_MARK_REMINDED] = "reminded of a thread",
	[WORLD_MARK_UNDELIVERABLE] = "thread undeliverable",
	[WORLD_MARK_TRACK_ILLEGAL] = "track that fits no machine",
	[WORLD_MARK_ACCEPTED] = "case accepted",
	[WORLD_MARK_CAME_BACK] = "case came back to where it began",
	[WORLD_MARK_OFFER_BARRED] = "offer barred: not ours, or on offer",
	[WORLD_MARK_WITHDRAWN] = "offer withdrawn",
	[WORLD_MARK_WITHDRAW_LATE] = "withdrawal crossed the acceptance",
	[WORLD_MARK_EARLY] = "early event waits",
	[WORLD_MARK_ILLEGAL_THEIRS] = "event refused by the other side",
	[WORLD_MARK_ILLEGAL_OURS] = "event refused by our own disk",
	[WORLD_MARK_REPLAYED] = "record made again without an event",
	[WORLD_MARK_PLACE_AGAIN] = "place given again",
	[WORLD_MARK_FOLLOW_AGAIN] = "follow-up said again after a crash",
	[WORLD_MARK_CANCEL_CROSSED] = "cancellation crossed the last word",
	[WORLD_MARK_HUB_WORD] = "hub's word moved a thread at an agent",
	[WORLD_MARK_HUB_AGREES] = "hub compared with both ends",
	[WORLD_MARK_CLOCK_JUMP] = "hub's clock jumped",
	[WORLD_MARK_SPLIT] = "agent cut off for long",
	[WORLD_MARK_LATE_THREAD] = "late thread, all reminded",
	[WORLD_MARK_LEASED] = "lease said",
	[WORLD_MARK_SECOND_CLAIM] = "claim when another one had won",
	[WORLD_MARK_GIVEN_BACK] = "lease given back",
	[WORLD_MARK_ANOTHER_ROUND] = "another round of an offer",
	[WORLD_MARK_LEASE_VOID] = "lease not wanted any more",
	[WORLD_MARK_UNCLAIMED] = "offer that nobody claimed",
	[WORLD_MARK_OFFER_GIVEN] = "offer barred: given away",
	[WORLD_MARK_OWNER_UNHEARD] = "old owner has not heard, and may not offer",
	[WORLD_MARK_STANDS] = "acceptance stands: the case has gone on",
	[WORLD_MARK_UNCONFIRMED] = "expired, and may have arrived",
	[WORLD_MARK_ROSE] = "arrived after all",
	[WORLD_MARK_CONSENT_WITHDRAWN] = "consent withdrawn",
	[WORLD_MARK_RESTRICTED] = "consent restricted",
	[WORLD_MARK_ERASED] = "erasure answered",
	[WORLD_MARK_RETAINED] = "kept on a legal ground",
	[WORLD_MARK_PASSED_ON] = "erasure passed on",
	[WORLD_MARK_BOTH_ASKED] = "both ends asked to erase",
	[WORLD_MARK_RECALLED] = "recalled",
	[WORLD_MARK_ERASED_BARS] = "refused: the thread is erased",
	[WORLD_MARK_AFTER_ERASURE] = "message of a thread that was erased",
	[WORLD_MARK_ASKED_AGAIN] = "asked again to erase",
	[WORLD_MARK_ANSWERED_AGAIN] = "answer about erasure said again",
	[WORLD_MARK_ANSWER_OVERTAKEN] = "answer after \"done\" not heard",
};

void w_grow(void **at, uint32_t count, uint32_t *cap, size_t size)
{
	if (count == *cap) {
		*cap = *cap == 0 ? 16 : *cap * 2;
		*at = realloc(*at, *cap * size);
		if (*at == NULL)
			abort();
	}
	memset((uint8_t *)*at + count * size, 0, size);
}

/* Everything that happens goes through here, so two runs are equal when their hashes are. */
void w_note(struct world *w, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t parts[] = {w->now, a, b, c};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		w->result->hash = (w->result->hash ^ parts[i]) * 0x9e3779b97f4a7c15u ^ (w->result->hash >> 29);
}

void w_log(struct world *w, const char *format, ...)
{
	if (w->log == NULL)
		return;
	va_list list;
	va_start(list, format);
	fprintf(w->log, "%9llu  ", (unsigned long long)w->now);
	vfprintf(w->log, format, list);
	fputc('\n', w->log);
	va_end(list);
}

void w_fail(struct world *w, const char *format, ...)
{
	if (w->failed)
		return;
	w->failed = true;
	va_list list;
	va_start(list, format);
	vsnprintf(w->result->why, sizeof(w->result->why), format, list);
	va_end(list);
	w_log(w, "FAILED: %s", w->result->why);
}

void w_mark(struct world *w, enum world_mark mark)
{
	w->result->marks[mark]++;
}

static bool before(const struct w_event *a, const struct w_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void w_at(struct world *w, uint64_t delay, struct w_event event)
{
	event.at = w->now + delay;
	event.order = w->order++;
	(void)W_PUSH(w->heap);
	uint32_t i = w->heap.count - 1;
	while (i > 0 && before(&event, &w->heap.at[(i - 1) / 2])) {
		w->heap.at[i] = w->heap.at[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->heap.at[i] = event;
}

static struct w_event take(struct world *w)
{
	struct w_event first = w->heap.at[0];
	struct w_event last = w->heap.at[--w->heap.count];
	uint32_t i = 0;
	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= w->heap.count)
			break;
		if (child + 1 < w->heap.count && before(&w->heap.at[child + 1], &w->heap.at[child]))
			child++;
		if (!before(&w->heap.at[child], &last))
			break;
		w->heap.at[i] = w->heap.at[child];
		i = child;
	}
	if (w->heap.count > 0)
		w->heap.at[i] = last;
	return first;
}

uint64_t w_wall(const struct world *w)
{
	return w->draw.wall_start + w->now;
}

struct kw_id w_id(uint32_t msg)
{
	struct kw_id id = {{0}};
	msg++;
	memcpy(id.bytes, &msg, sizeof(msg));
	return id;
}

uint32_t w_msg_of(const struct kw_id *id)
{
	uint32_t msg;
	memcpy(&msg, id->bytes, sizeof(msg));
	return msg - 1;
}

struct kw_name w_name(uint32_t agent)
{
	struct kw_name name = {{0}};
	name.text[0] = (char)('a' + (char)(agent % 26));
	return name;
}

uint32_t w_body_size(const struct world *w, uint32_t body)
{
	return body & W_NOTICE ? 60 : w->msgs.at[body].size;
}

uint64_t w_box_new(struct w_boxes *boxes, uint32_t body, int32_t kept)
{
	uint32_t at;
	if (boxes->spare.count > 0) {
		at = boxes->spare.at[--boxes->spare.count];
	} else {
		at = boxes->box.count;
		(void)W_PUSH(boxes->box);
	}
	boxes->box.at[at] = (struct w_box){.body = body, .kept = kept, .live = true};
	boxes->live++;
	return at + 1;
}

struct w_box *w_box(struct world *w, struct w_boxes *boxes, uint64_t box)
{
	if (box == 0 || box > boxes->box.count || !boxes->box.at[box - 1].live) {
		w_fail(w, "box %llu is used after its end", (unsigned long long)box);
		return NULL;
	}
	return &boxes->box.at[box - 1];
}

void w_box_hold(struct world *w, struct w_boxes *boxes, uint64_t box, int32_t add)
{
	struct w_box *at = w_box(w, boxes, box);
	if (at == NULL)
		return;
	at->kept += add;
	if (at->kept > 0)
		return;
	at->live = false;
	boxes->live--;
	*W_PUSH(boxes->spare) = (uint32_t)(box - 1);
}

void w_boxes_clear(struct w_boxes *boxes)
{
	boxes->box.count = 0;
	boxes->spare.count = 0;
	boxes->live = 0;
}

static uint32_t one_of(struct world *w, const uint32_t *from, uint32_t count)
{
	return from[prng_below(&w->prng, count)];
}
#define ONE_OF(w, ...) \
	one_of(w, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void draw_world(struct world *w)
{
	struct w_draw *draw = &w->draw;
	draw->agents = (uint32_t)prng_range(&w->prng, 2, W_AGENTS_MAX);
	draw->calm_at = prng_range(&w->prng, 10000, 90000);
	draw->delay_min = prng_range(&w->prng, 1, 20);
	draw->delay_max = draw->delay_min + ONE_OF(w, 1, 10, 100, 1000);
	draw->commit_min = prng_range(&w->prng, 1, 5);
	draw->commit_max = draw->commit_min + ONE_OF(w, 1, 10, 300, 3000);
	draw->submit_every = ONE_OF(w, 1000, 3000, 6000);
	draw->fault_every = ONE_OF(w, 0, 2000, 10000, 30000);
	draw->crash_every = ONE_OF(w, 0, 3000, 10000, 30000);
	draw->space_every = ONE_OF(w, 0, 0, 5000, 20000);
	draw->restore_percent = ONE_OF(w, 0, 0, 20, 60);
	draw->unopenable_percent = ONE_OF(w, 0, 0, 3);
	draw->nobody_percent = ONE_OF(w, 0, 0, 10);
	draw->expiry_percent = ONE_OF(w, 0, 0, 30);
	/* An hour ends at some time in the run or soon after: that is when messages expire. */
	draw->wall_start = 500000ull * 3600000u - prng_range(&w->prng, 1, 2 * draw->calm_at);

	struct brk_limits *limits = &w->hub.limits;
	*limits = (struct brk_limits){
		.slots_max = W_AGENTS_MAX + 1,
		.conns_max = W_CONNS_MAX,
		.window_entries = ONE_OF(w, 5, 8, 16, 256),
		.pending_max = ONE_OF(w, 3, 4, 8, 64, 1024),
		.queue_messages_max = ONE_OF(w, 1, 2, 5, 1000, 1000),
		.queue_bytes_max = ONE_OF(w, 8192, 1 << 20),
		.urgent_messages_max = ONE_OF(w, 1, 2, 1000),
		.notices_max = ONE_OF(w, 4, 50, 100000),
		.grant_messages = ONE_OF(w, 1, 2, 8, 256),
		.grant_bytes = ONE_OF(w, 4096, 16384, 1 << 20),
		.out_bytes_max = ONE_OF(w, 1, 4096, 256 << 10),
		.refused_retry_ms = ONE_OF(w, 500, 2000, 10000),
	};
	w_thread_limits(w);
	static const uint32_t gone[] = {0, 3, 15};
	draw->key_gone_percent = w->threads ? 0 : gone[prng_below(&w->keys, 3)];
	/* What passes through a queue of one message takes hours; few are enough to try it. */
	bool tight = limits->queue_messages_max <= 2 || limits->urgent_messages_max <= 2 || limits->pending_max <= 4 + BRK_ALARMS_MAX + 1;
	draw->messages_max = tight ? 80 : 1000;
	if (w->threads)
		w_people_draw(w);
}

static void schedule_faults(struct world *w)
{
	const struct w_draw *draw = &w->draw;
	if (draw->fault_every > 0)
		w_at(w, prng_below(&w->prng, draw->fault_every * 2), (struct w_event){.type = W_EV_LINK_FAULT});
	if (draw->crash_every > 0)
		w_at(w, prng_below(&w->prng, draw->crash_every * 2), (struct w_event){.type = W_EV_CRASH});
	if (draw->space_every > 0)
		w_at(w, prng_below(&w->prng, draw->space_every * 2), (struct w_event){.type = W_EV_SPACE});
	if (draw->restore_percent > 0)
		w_at(w, prng_below(&w->prng, 20000), (struct w_event){.type = W_EV_BACKUP});
	for (uint32_t i = 0; i < draw->agents; i++)
		w_at(w, prng_below(&w->prng, draw->submit_every), (struct w_event){.type = W_EV_SUBMIT, .node = i});
	if (draw->split_every > 0)
		w_at(w, prng_below(&w->prng, draw->split_every * 2), (struct w_event){.type = W_EV_SPLIT});
	if (draw->jump_every > 0)
		w_at(w, prng_below(&w->prng, draw->jump_every * 2), (struct w_event){.type = W_EV_JUMP});
	w_at(w, draw->calm_at, (struct w_event){.type = W_EV_CALM});
}

/* For long, an agent reaches nobody. */
static void split(struct world *w)
{
	if (w->calm)
		return;
	struct w_agent *agent = &w->agents[prng_below(&w->prng, w->draw.agents)];
	agent->split_until = w->now + prng_range(&w->prng, 5000, 60000);
	w_log(w, "agent %u is cut off until %llu", agent->number, (unsigned long long)agent->split_until);
	w_mark(w, WORLD_MARK_SPLIT);
	if (agent->conn != UINT32_MAX)
		w_net_cut(w, agent->conn);
	w_at(w, prng_below(&w->prng, w->draw.split_every * 2), (struct w_event){.type = W_EV_SPLIT});
}

static void crash_some(struct world *w)
{
	if (w->calm)
		return;
	uint32_t node = prng_percent(&w->prng, 50) ? W_HUB : (uint32_t)prng_below(&w->prng, w->draw.agents);
	bool up = node == W_HUB ? w->hub.up : w->agents[node].up;
	if (up) {
		w_log(w, "crash of node %u", node);
		if (node == W_HUB)
			w_hub_crash(w);
		else
			w_agent_crash(w, node);
		w_at(w, prng_range(&w->prng, 10, 8000), (struct w_event){.type = W_EV_RESTART, .node = node});
	}
	w_at(w, prng_below(&w->prng, w->draw.crash_every * 2), (struct w_event){.type = W_EV_CRASH});
}

static void restart(struct world *w, uint32_t node)
{
	w_log(w, "start of node %u", node);
	if (node == W_HUB)
		w_hub_start(w);
	else
		w_agent_start(w, node);
}

static void agent_space(struct world *w, struct w_agent *agent, bool holds)
{
	struct agt_event event = {.type = AGT_EV_SPACE, .u.hold = holds};
	w_log(w, "agent %u %s", agent->number, holds ? "has no room" : "has room");
	agent->holds = holds;
	if (!agent->up)
		return;
	if (holds && agt_online(agent->agt))
		w_mark(w, WORLD_MARK_AGENT_HOLDS);
	w_agent_step(w, agent, &event);
}

static void space(struct world *w)
{
	if (w->calm)
		return;
	struct w_agent *agent = &w->agents[prng_below(&w->prng, w->draw.agents)];
	agent_space(w, agent, !agent->holds);
	w->hub.space = w->hub.space != BRK_SPACE_OK ? BRK_SPACE_OK : ONE_OF(w, BRK_SPACE_LOW, BRK_SPACE_OUT);
	w_at(w, prng_below(&w->prng, w->draw.space_every * 2), (struct w_event){.type = W_EV_SPACE});
}

static void calm(struct world *w)
{
	w_log(w, "the faults end");
	w->calm = true;
	w->hub.space = BRK_SPACE_OK;
	for (uint32_t i = 0; i < w->draw.agents; i++)
		agent_space(w, &w->agents[i], false);
	for (uint32_t i = 0; i < w->draw.agents; i++)
		w->agents[i].split_until = 0;
	w_net_heal(w);
}

static void tick(struct world *w, const struct w_event *event)
{
	bool hub = event->node == W_HUB;
	if (hub ? event->life != w->hub.life || !w->hub.up :
		  event->life != w->agents[event->node].life || !w->agents[event->node].up)
		return;
	if (hub)
		w_hub_tick(w);
	else
		w_agent_tick(w, &w->agents[event->node]);
	w_at(w, prng_range(&w->prng, 900, 1100), *event);
}

static void happen(struct world *w, const struct w_event *event)
{
	struct w_agent *agent = event->node < W_AGENTS_MAX ? &w->agents[event->node] : NULL;
	bool lives = agent != NULL && agent->up && agent->life == event->life;
	w_note(w, event->type, (uint64_t)event->node << 32 | event->a, event->b);
	switch (event->type) {
	case W_EV_COMMIT:
		if (event->node == W_HUB && w->hub.up && w->hub.life == event->life)
			w_hub_disk_done(w);
		else if (lives)
			w_agent_disk_done(w, agent);
		break;
	case W_EV_TICK:
		tick(w, event);
		break;
	case W_EV_READ:
		if (lives)
			w_agent_read(w, agent, event);
		break;
	case W_EV_SUBMIT:
		if (w->calm || w->msgs.count > w->draw.messages_max)
			break;
		if (agent->up)
			(w->threads ? w_people_act : w_agent_submit)(w, agent);
		w_at(w, prng_below(&w->prng, w->draw.submit_every * 2), *event);
		break;
	case W_EV_CRASH:
		crash_some(w);
		break;
	case W_EV_RESTART:
		restart(w, event->node);
		break;
	case W_EV_LINK_FAULT:
		if (!w->calm)
			w_net_fault(w);
		break;
	case W_EV_SPACE:
		space(w);
		break;
	case W_EV_BACKUP:
		w_hub_image_copy(&w->hub.backup, &w->hub.image);
		w->hub.has_backup = true;
		if (!w->calm)
			w_at(w, prng_below(&w->prng, 60000), *event);
		break;
	case W_EV_CALM:
		calm(w);
		break;
	case W_EV_SPLIT:
		split(w);
		break;
	case W_EV_JUMP:
		if (!w->calm)
			w_hub_jump(w);
		break;
	default:
		w_net_event(w, event);
		break;
	}
}

static void loop(struct world *w)
{
	uint64_t check_at = 0;
	while (!w->failed) {
		struct w_event event = take(w);
		w->now = event.at;
		happen(w, &event);
		if (++w->result->steps > STEPS_MAX)
			w_fail(w, "too many steps");
		if (w->threads && w->result->steps % 512 == 0)
			w_erase_check_lists(w);
		if (!w->calm || w->now < check_at)
			continue;
		check_at = w->now + 1000;
		if (w_check_converged(w, false)) {
			w_log(w, "all is done");
			return;
		}
		if (w->now > w->draw.calm_at + CALM_MS)
			(void)w_check_converged(w, true);
	}
}

static void world_free(struct world *w)
{
	for (uint32_t i = 0; i < W_AGENTS_MAX; i++) {
		struct w_agent *agent = &w->agents[i];
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			free(agent->rows[c].at);
		free(agent->retries.at);
		free(agent->dues.at);
		free(agent->rekeys.at);
		w_say_free(agent);
		free(agent->ops.at);
		free(agent->gone.at);
		free(agent->boxes.box.at);
		free(agent->boxes.spare.at);
		free(agent->memory);
	}
	w_hub_image_free(&w->hub.image);
	w_hub_image_free(&w->hub.backup);
	free(w->hub.refills.at);
	free(w->hub.ops.at);
	free(w->hub.boxes.box.at);
	free(w->hub.boxes.spare.at);
	free(w->hub.memory);
	free(w->heap.at);
	free(w->msgs.at);
	free(w->notices.at);
	free(w->reminders.at);
	free(w->taken.at);
	free(w->thread.at);
	free(w->cases.at);
	free(w->groups.at);
	free(w->conns.at);
	free(w->frames.at);
	free(w->spare_frames.at);
	free(w);
}

void world_run(const struct world_options *options, struct world_result *result)
{
	struct world *w = calloc(1, sizeof(*w));
	if (w == NULL)
		abort();
	world_seed = options->seed;
	w->keys.state = options->seed * 0x9e3779b97f4a7c15u + 7;
	w->prng.state = options->seed * 0x2545f4914f6cdd1du + 1;
	w->mutant = options->mutant;
	w->threads = options->threads;
	w->log = options->log;
	w->result = result;
	result->ok = false;
	result->why[0] = 0;
	result->hash = options->seed;
	result->steps = 0;
	draw_world(w);
	w->hub.image.epoch = prng_next(&w->prng) | 1;
	for (uint32_t i = 0; i < w->draw.agents; i++) {
		w->agents[i].number = i;
		w->agents[i].epoch = prng_next(&w->prng) | 1;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			w->agents[i].next[c] = 1;
	}
	w_hub_start(w);
	for (uint32_t i = 0; i < w->draw.agents; i++)
		w_agent_start(w, i);
	schedule_faults(w);
	loop(w);
	if (!w->failed)
		w_check_end(w);
	result->ok = !w->failed;
	world_free(w);
}
