#include <string.h>
#include <time.h>

#include "agent/shell/agent_phones.h"
#include "agent/shell/reminder.h"
#include "proto/link/log.h"

/* The hub's clocks as known here: its time and its limits, as the last WELCOME said, kept for a start without a hub. And the
 * alarms that only an agent can give, because a hub knows neither ages nor consents:
 *
 *   tick → alarms that are due, in their order → a reminder to our own inbox, with the step marked as taken
 *
 * A child under 5 makes the clock of a search shorter; the hub's goes on beside it, for both agencies and the coordinator. Both
 * agents know the age, and each reminds its own people, as the steps of clocks.h say. Of an end of consent the case stands in
 * todo. What can fail: reading and writing the spool, as everywhere. */

#define KEEP_MS 60000
#define SKEW_MOVED_MS 1000
#define ALARMS_MAX 16u

/* It goes on while the machine sleeps. */
static int64_t mono_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t agent_hub_ms(const struct agent *agent)
{
	return agent->hub_at_ms + (mono_ms() - agent->mono_at_ms);
}

void agent_clock_start(struct agent *agent)
{
	struct spool_clocks known;

	spool_clocks(agent->spool, &known);
	agent->limits = known.limits;
	agent->skew_ms = known.skew_ms;
	/* As a hub does: the time that nothing ran shows on the wall clock alone, so that is believed, unless it went back. */
	agent->hub_at_ms = agent_now_ms() + known.skew_ms;
	if (agent->hub_at_ms < known.hub_ms)
		agent->hub_at_ms = known.hub_ms;
	agent->mono_at_ms = mono_ms();
	agent->kept_ms = agent->hub_at_ms;
}

static void kept(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->keeping = false;
	agent_op_done(op, err);
}

/* The writer tells hub time from our wall clock by the difference, which is kept with it. */
static void keep(struct agent *agent)
{
	struct spool_op *op = agent->keeping ? NULL : spool_op_new(SPOOL_OP_CLOCKS);

	if (op == NULL)
		return; /* the next tick tries again */
	agent->keeping = true;
	agent->kept_ms = agent_hub_ms(agent);
	agent->skew_ms = agent->kept_ms - agent_now_ms();
	op->u.clocks = (struct spool_clocks){.limits = agent->limits, .skew_ms = agent->skew_ms, .hub_ms = agent->kept_ms};
	op->done = kept;
	op->user = agent;
	spool_do(agent->spool, op);
}

void agent_clock_welcome(struct agent *agent, int64_t hub_ms, const struct kw_clock_limits *limits)
{
	agent->hub_at_ms = hub_ms;
	agent->mono_at_ms = mono_ms();
	if (limits != NULL)
		agent->limits = *limits;
	agent->kept_ms = 0; /* at once, or with the next tick */
	keep(agent);
}

struct due {
	uint32_t count;
	struct spool_alarm alarms[ALARMS_MAX];
};

static bool gather(void *user, const struct spool_alarm *alarm)
{
	struct due *due = user;

	due->alarms[due->count++] = *alarm;
	return due->count < ALARMS_MAX;
}

static void reminded(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->reminding = false;
	agent->news = agent->news || op->number != 0;
	agent_op_done(op, err);
}

/* Whose step it is: our own people's. The others hear from their own agent, and the coordinator from the hub. */
static bool is_ours(const struct agt_thread *thread, enum kw_audience audience)
{
	bool other = audience == KW_AUDIENCE_RECEIVER || audience == KW_AUDIENCE_RECEIVER_SUPERVISOR;

	return audience != KW_AUDIENCE_COORDINATOR && other == (thread->party == KW_PARTY_OTHER);
}

/* The next step of the clock, and what our people hear of it; no content when they hear nothing. */
static enum kw_err take_step(struct agent *agent, const struct spool_alarm *alarm, struct spool_op *op)
{
	const struct agt_thread *thread = &alarm->thread.record;
	const struct kw_clock_thread clocked = {.kind = thread->kind, .state = thread->state, .risk = thread->risk, .young = true};
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	struct spool_item *item = &op->u.remind.item;
	enum kw_err err = KW_OK;

	op->u.remind.run = thread->run;
	size_t count = kw_clock_take_due(&op->u.remind.run, &clocked, alarm->due_ms, notices);
	for (size_t i = 0; i < count && op->content.size == 0 && err == KW_OK; i++) {
		if (!is_ours(thread, notices[i].audience))
			continue;
		bool waits = notices[i].as == KW_AUDIENCE_SENDER || notices[i].as == KW_AUDIENCE_SENDER_SUPERVISOR;
		struct kw_frame_reminder reminder = {.thread_id = alarm->thread.thread_id,
			.kind = (uint8_t)thread->kind,
			.clock = thread->run.clock,
			.step = notices[i].percent,
			.audience = (uint8_t)(notices[i].as + 1),
			.risk = (uint8_t)thread->risk,
			.state = kw_state_public(thread->kind, thread->state),
			.due_unix_ms = thread->run.deadline_ms,
			.late_ms = kw_clock_late_ms(&thread->run, agent_hub_ms(agent)),
			.agency = waits ? alarm->thread.agency : agent->office.agency,
			.other_agency = waits ? agent->office.agency : alarm->thread.agency};

		item->at_ms = op->u.remind.now_ms;
		item->thread_id = alarm->thread.thread_id;
		item->agency = alarm->thread.agency;
		op->u.remind.step = reminder.step;
		err = reminder_pack(agent, &reminder, item, &op->content);
	}
	return err;
}

static enum kw_err give(struct agent *agent, const struct spool_alarm *alarm)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_REMIND);
	enum kw_err err = op == NULL ? KW_ENOMEM : KW_OK;

	if (op != NULL) {
		op->u.remind.alarm = *alarm;
		op->u.remind.now_ms = agent_now_ms();
	}
	if (err == KW_OK && alarm->stands && alarm->what == SPOOL_ALARM_CLOCK)
		err = take_step(agent, alarm, op);
	if (err != KW_OK) {
		spool_op_free(op);
		return err;
	}
	op->done = reminded;
	op->user = agent;
	agent->reminding = true;
	spool_do(agent->spool, op);
	return KW_OK;
}

void agent_clock_tick(struct agent *agent)
{
	struct due due = {.count = 0};
	int64_t hub_ms = agent_hub_ms(agent);
	int64_t moved = hub_ms - agent_now_ms() - agent->skew_ms;

	if (moved > SKEW_MOVED_MS || moved < -SKEW_MOVED_MS || hub_ms - agent->kept_ms >= KEEP_MS)
		keep(agent);
	/* What was read last has to be gone from the order. */
	if (agent->reminding || agent->keeping || agent->space >= SPOOL_SPACE_HOLD)
		return;
	enum kw_err err = spool_alarms(agent->spool, hub_ms, gather, &due);
	for (uint32_t i = 0; err == KW_OK && i < due.count; i++)
		err = give(agent, &due.alarms[i]);
	if (err != KW_OK) /* they stay in the order and are tried again */
		kw_log(KW_LOG_WARN, "alarm_not_given", KW_LOG_ERR(err));
}
