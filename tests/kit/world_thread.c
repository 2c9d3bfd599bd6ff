#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* The hub's threads on its disk, and what is said with messages: every second message opens a referral, and the receipt of
 * it says that it is delivered. What the clocks say arrives at agents as control rows. */

#define LIMIT_MS 20000
#define W_REMINDERS_FEW 8u

/* Short clocks: every run sees all of their steps. */
void w_thread_limits(struct world *w)
{
	struct brk_limits *limits = &w->hub.limits;
	kw_clock_limits_default(&limits->threads.limits);
	for (int clock = KW_CLOCK_NONE + 1; clock < KW_CLOCK_COUNT; clock++)
		if (kw_clock_limit_set(&limits->threads.limits, (enum kw_clock)clock, KW_RISK_NONE, LIMIT_MS) != KW_OK)
			abort();
	limits->threads.keep_ms = 300000;
	limits->threads_pending_max = limits->pending_max > KW_FRAME_TRACKS_MAX ? limits->pending_max : KW_FRAME_TRACKS_MAX + 1;
	limits->pending_max += BRK_ALARMS_MAX + 1; /* the clocks' own: messages have what was drawn */
	if (brk_limits_fault(limits) != NULL)
		abort();
	limits->threads_open_max = 1000000;
	/* Some hubs have room for few: their agents hear in one of what they missed. */
	limits->reminders_max = limits->notices_max == 4 ? W_REMINDERS_FEW : 100000;
	limits->coordinator = w_name(0);
}

/* In a world with threads the hub's wall clock jumps, and the hub has its own time, as broker/shell/hub_thread.c. */
uint64_t w_hub_now(struct world *w)
{
	if (!w->threads)
		return w_wall(w);
	return (uint64_t)kw_hub_time_now(&w->hub.time, (int64_t)w_wall(w) + w->hub.jump_ms, (int64_t)w->now);
}

void w_hub_time_start(struct world *w)
{
	kw_hub_time_start(&w->hub.time, w->hub.time_on_disk, (int64_t)w_wall(w) + w->hub.jump_ms, (int64_t)w->now);
}

void w_hub_jump(struct world *w)
{
	const int64_t day_ms = 86400000;
	w->hub.jump_ms = prng_percent(&w->prng, 30) ? 0 : (int64_t)prng_below(&w->prng, 2 * (uint64_t)day_ms) - day_ms;
	w_log(w, "the hub's clock is off by %lld ms", (long long)w->hub.jump_ms);
	w_mark(w, WORLD_MARK_CLOCK_JUMP);
	w_at(w, prng_below(&w->prng, w->draw.jump_every * 2), (struct w_event){.type = W_EV_JUMP});
}

bool w_thread_is(uint32_t msg)
{
	return msg % 2 == 0;
}

static struct brk_thread *on_disk(struct w_hub *hub, const struct kw_id *id)
{
	for (uint32_t i = 0; i < hub->image.threads.count; i++)
		if (kw_id_equal(&hub->image.threads.at[i].id, id))
			return &hub->image.threads.at[i];
	return NULL;
}

/* The last change that is under way; NULL for none. */
static const struct w_hub_op *under_way(const struct w_hub *hub, const struct kw_id *id)
{
	for (uint32_t i = hub->ops.count; i-- > 0;) {
		const struct w_hub_op *op = &hub->ops.at[i];
		if ((op->type == BRK_FX_THREAD || op->type == BRK_FX_THREAD_GONE) && kw_id_equal(&op->thread.id, id))
			return op;
	}
	return NULL;
}

static struct brk_thread find(struct w_hub *hub, const struct kw_id *id)
{
	struct brk_thread none = {.id = *id};
	const struct w_hub_op *op = under_way(hub, id);
	if (op != NULL)
		return op->type == BRK_FX_THREAD ? op->thread : none;
	const struct brk_thread *thread = on_disk(hub, id);
	return thread != NULL ? *thread : none;
}

/* A record as the store would give it back. */
static struct brk_thread stored(struct world *w, const struct brk_thread *thread)
{
	uint8_t bytes[BRK_THREAD_SIZE];
	struct brk_thread out = {.id = thread->id, .due_ms = thread->due_ms};
	brk_thread_pack(bytes, thread);
	if (brk_thread_unpack(KW_VIEW_OF(bytes), &out) != KW_OK || memcmp(&out.run, &thread->run, sizeof(out.run)) != 0)
		w_fail(w, "a thread's record is not read as it was written");
	return out;
}

void w_thread_do(struct world *w, const struct brk_effect *fx, struct w_hub_op *op)
{
	if (fx->type == BRK_FX_THREAD) {
		op->thread = stored(w, &fx->u.thread);
		return;
	}
	if (fx->type == BRK_FX_THREAD_GONE) {
		op->thread.id = fx->u.thread.id;
		return;
	}
	op->thread = find(&w->hub, &fx->u.thread_id);
	op->type = op->thread.kind != KW_THREAD_NONE ? BRK_FX_THREAD : BRK_FX_THREAD_GONE;
	const struct brk_thread before = op->thread;
	if (!brk_thread_undeliverable(brk_rules(w->hub.brk), &op->thread, w_hub_now(w)))
		return;
	w_mark(w, WORLD_MARK_UNDELIVERABLE);
	if (!brk_undelivered(w->hub.brk, &before, &op->thread, &op->held_slot, &op->held))
		op->held_slot = BRK_SLOT_NONE;
}

/* What the new record says was told and the old one did not. */
static void steps_taken(struct world *w, const struct brk_thread *old, const struct brk_thread *thread)
{
	const struct kw_clock_run *run = &thread->run;
	bool same = old != NULL && old->run.clock == run->clock && old->run.started_ms == run->started_ms;
	for (uint32_t step = same ? old->run.told + 50u : 50u; step <= run->told; step += 50)
		*W_PUSH(w->taken) = (struct w_taken){
			.thread_id = thread->id, .clock = run->clock, .step = (uint8_t)step, .due_ms = run->deadline_ms};
}

void w_thread_apply(struct world *w, const struct w_hub_op *op)
{
	struct w_hub *hub = &w->hub;
	struct brk_thread *thread = on_disk(hub, &op->thread.id);
	if (w->threads && op->type == BRK_FX_THREAD)
		steps_taken(w, thread, &op->thread);
	if (op->type == BRK_FX_THREAD && thread == NULL)
		thread = W_PUSH(hub->image.threads);
	if (op->type == BRK_FX_THREAD)
		*thread = op->thread;
	else if (thread != NULL)
		*thread = hub->image.threads.at[--hub->image.threads.count];
}

/* The track of what a message says, or of what a receipt says of the opening of a referral. */
static uint32_t say_tracks(struct world *w, const struct w_msg *msg, struct brk_tracked *out)
{
	const struct w_say *say = msg->receipt ? &w->msgs.at[msg->about].say : &msg->say;
	if (say->type != W_SAY_EVENT || msg->to == W_NOBODY)
		return 0;
	struct w_thread *about = &w->thread.at[say->thread];
	if (msg->receipt && (!say->opening || msg->failed || about->kind != KW_THREAD_REFERRAL))
		return 0;
	*out = (struct brk_tracked){.track = {.id = w_thread_id(say->thread), .kind = (uint8_t)about->kind,
		.risk = (uint8_t)say->risk, .state = msg->receipt ? KW_REFERRAL_DELIVERED : say->state,
		.sequence = msg->receipt ? 0 : say->place, .other_slot = msg->to}};
	out->thread = find(&w->hub, &out->track.id);
	if (msg->receipt)
		return 1;
	int party = about->end[KW_PARTY_OPENER] == msg->from ? KW_PARTY_OPENER : KW_PARTY_OTHER;
	about->skipped = about->skipped || say->place > out->thread.sequence[party] + 1;
	return 1;
}

uint32_t w_thread_tracks(struct world *w, uint32_t number, struct brk_tracked *out)
{
	const struct w_msg *msg = &w->msgs.at[number];
	if (w->threads)
		return say_tracks(w, msg, out);
	uint32_t thread = msg->receipt ? msg->about : number;
	if (!w_thread_is(thread) || msg->to == W_NOBODY)
		return 0;
	*out = (struct brk_tracked){.track = {.id = w_id(thread), .kind = KW_THREAD_REFERRAL, .risk = KW_RISK_HIGH,
								.state = msg->receipt ? KW_REFERRAL_DELIVERED : KW_REFERRAL_QUEUED,
								.sequence = msg->receipt ? 0 : 1, .other_slot = msg->to}};
	out->thread = find(&w->hub, &out->track.id);
	return 1;
}

void w_thread_due(struct world *w)
{
	struct w_hub *hub = &w->hub;
	struct kw_id due[20];
	uint32_t count = 0;
	for (uint32_t i = 0; i < hub->image.threads.count && count < 20; i++) {
		const struct brk_thread *thread = &hub->image.threads.at[i];
		if (thread->due_ms != 0 && thread->due_ms <= w_hub_now(w) && under_way(hub, &thread->id) == NULL)
			due[count++] = thread->id;
	}
	for (uint32_t i = 0; i < count && !w->failed; i++) {
		struct brk_event event = {.type = BRK_EV_DUE};
		event.u.due = find(hub, &due[i]);
		w_hub_step(w, &event);
	}
}

/* None early in hub time, and none about what is over. */
static void check_reminder(struct world *w, const struct kw_frame_reminder *reminder)
{
	enum kw_thread_kind kind = (enum kw_thread_kind)reminder->kind;
	bool expired = kind == KW_THREAD_REFERRAL && reminder->state == KW_REFERRAL_EXPIRED;
	bool unclaimed = kind == KW_THREAD_OFFER && reminder->state == KW_OFFER_UNCLAIMED;
	/* One of high risk that is not delivered is told of at its limit. */
	uint32_t step = reminder->step == 200 && (reminder->clock == KW_CLOCK_DELIVERED || expired) ? 100 : reminder->step;
	int64_t due_ms = reminder->due_unix_ms - LIMIT_MS + LIMIT_MS * (int64_t)step / 100;
	w_log(w, "hub reminds of thread %u: %u %% of clock %u, audience %u, state %u", w_thread_of(&reminder->thread_id),
		reminder->step, reminder->clock, reminder->audience, reminder->state);
	if (due_ms > (int64_t)w_hub_now(w))
		w_fail(w, "reminder: %u %% of clock %u, %lld ms early", reminder->step, reminder->clock,
			(long long)(due_ms - (int64_t)w_hub_now(w)));
	if (!expired && !unclaimed && !kw_state_is_open(kind, reminder->state))
		w_fail(w, "reminder: thread %u is over", w_thread_of(&reminder->thread_id));
	if (expired || unclaimed)
		w->thread.at[w_thread_of(&reminder->thread_id)].hub_word = true;
}

uint32_t w_thread_remind(struct world *w, const struct brk_effect *fx)
{
	uint32_t body = w->reminders.count | W_NOTICE | W_REMINDER;
	*W_PUSH(w->reminders) = (struct w_told){.reminder = fx->u.reminder, .slot = fx->slot};
	if (w->threads)
		check_reminder(w, &fx->u.reminder);
	return body;
}

/* The same words, of the same run of the same clock: a hub that came back from a backup may say them again. */
static bool is_same(const struct w_told *a, const struct w_told *b)
{
	return a->slot == b->slot && kw_id_equal(&a->reminder.thread_id, &b->reminder.thread_id) &&
		   a->reminder.clock == b->reminder.clock && a->reminder.step == b->reminder.step &&
		   a->reminder.audience == b->reminder.audience && a->reminder.state == b->reminder.state &&
		   a->reminder.due_unix_ms == b->reminder.due_unix_ms;
}

void w_thread_reminded(struct world *w, uint32_t agent, uint32_t body)
{
	uint32_t number = body & ~(W_NOTICE | W_REMINDER);
	struct w_told *told = &w->reminders.at[number];
	w_mark(w, WORLD_MARK_REMINDED);
	if (told->slot != agent)
		w_fail(w, "agent %u has a reminder for agent %u", agent, told->slot);
	if (w->epoch_lost)
		return;
	told->inbox++;
	for (uint32_t i = 0; i < w->reminders.count; i++)
		if (w->reminders.at[i].inbox > (i == number ? 1u : 0u) && is_same(&w->reminders.at[i], told))
			w_fail(w, "agent %u is reminded twice of %u %%", agent, told->reminder.step);
}

/* Where few reminders may wait, a later one of the same clock stands for this step, or the thread moved first. */
static bool stands_for(const struct world *w, const struct w_taken *taken)
{
	if (w->hub.limits.reminders_max > W_REMINDERS_FEW)
		return false;
	for (uint32_t i = 0; i < w->reminders.count; i++) {
		const struct w_told *told = &w->reminders.at[i];
		if (told->queued && told->reminder.clock == taken->clock && told->reminder.due_unix_ms == taken->due_ms &&
			told->reminder.step > taken->step && kw_id_equal(&told->reminder.thread_id, &taken->thread_id))
			return true;
	}
	for (uint32_t i = 0; i < w->hub.image.threads.count; i++) {
		const struct brk_thread *thread = &w->hub.image.threads.at[i];
		if (kw_id_equal(&thread->id, &taken->thread_id))
			return thread->run.clock != taken->clock || thread->run.deadline_ms != taken->due_ms;
	}
	return true; /* it is forgotten: over, or given up when all had been told */
}

/* Each step that the disk says was taken was told to somebody; and none is due and forgotten. */
static void check_steps(struct world *w)
{
	struct w_hub *hub = &w->hub;
	for (uint32_t i = 0; i < w->taken.count && !w->epoch_lost && !w->failed; i++) {
		const struct w_taken *taken = &w->taken.at[i];
		bool found = false;
		for (uint32_t j = 0; j < w->reminders.count && !found; j++) {
			const struct w_told *told = &w->reminders.at[j];
			found = told->queued && told->reminder.clock == taken->clock && told->reminder.due_unix_ms == taken->due_ms &&
				(told->reminder.step == taken->step || taken->step == 200) &&
				kw_id_equal(&told->reminder.thread_id, &taken->thread_id);
			if (found && told->inbox == 0)
				w_fail(w, "reminder: %u %% of thread %u reached nobody", taken->step, w_thread_of(&taken->thread_id));
		}
		if (!found && !stands_for(w, taken))
			w_fail(w, "reminder: %u %% of clock %u of thread %u was not told", taken->step, taken->clock,
				w_thread_of(&taken->thread_id));
	}
	for (uint32_t i = 0; i < hub->image.threads.count && !w->failed; i++) {
		const struct brk_thread *thread = &hub->image.threads.at[i];
		if (kw_clock_is_late(&thread->run, (int64_t)w_hub_now(w)) && thread->run.told == 200)
			w_mark(w, WORLD_MARK_LATE_THREAD);
	}
}

bool w_thread_done(struct world *w, bool tell)
{
	struct w_hub *hub = &w->hub;
	for (uint32_t i = 0; i < hub->image.threads.count && w->threads; i++) {
		const struct brk_thread *thread = &hub->image.threads.at[i];
		if (thread->owed == 0 && (thread->due_ms == 0 || thread->due_ms > w_hub_now(w)))
			continue;
		if (tell)
			w_fail(w, "reminder: thread %u is due since %llu ms", w_thread_of(&thread->id),
				(unsigned long long)(w_hub_now(w) - thread->due_ms));
		return false;
	}
	return true;
}

void w_thread_check(struct world *w)
{
	struct w_hub *hub = &w->hub;
	if (w->threads) {
		check_steps(w);
		return;
	}
	for (uint32_t i = 0; i < hub->image.threads.count; i++) {
		const struct brk_thread *thread = &hub->image.threads.at[i];
		const struct w_msg *msg = &w->msgs.at[w_msg_of(&thread->id)];
		if (thread->slot[KW_PARTY_OPENER] != msg->from || thread->slot[KW_PARTY_OTHER] != msg->to)
			w_fail(w, "a thread has other parties than its message");
		if (msg->state == W_DELIVERED && thread->state == KW_REFERRAL_QUEUED && !w->epoch_lost)
			w_fail(w, "message %u is delivered, its sender knows, and the hub does not", w_msg_of(&thread->id));
		if (thread->state == KW_REFERRAL_UNDELIVERABLE && msg->state != W_DEAD && !w->epoch_lost)
			w_fail(w, "the hub finds message %u undeliverable, and its sender does not", w_msg_of(&thread->id));
	}
}
