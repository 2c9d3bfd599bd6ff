#include "proto/wire/clocks.h"

#include <string.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct clock_info {
	const char *name;
	int64_t high, medium, low; /* default limits */
};

static const struct clock_info clocks[KW_CLOCK_COUNT] = {
	[KW_CLOCK_DELIVERED] = {"delivered", 15 * MINUTE, 4 * HOUR, 24 * HOUR},
	[KW_CLOCK_ACKNOWLEDGED] = {"acknowledged", 1 * HOUR, 24 * HOUR, 72 * HOUR},
	[KW_CLOCK_DECIDED] = {"decided", 24 * HOUR, 72 * HOUR, 14 * DAY},
	[KW_CLOCK_SERVICE] = {"service", 24 * HOUR, 7 * DAY, 30 * DAY},
	[KW_CLOCK_OUTCOME] = {"outcome", 3 * DAY, 7 * DAY, 14 * DAY},
	[KW_CLOCK_REVIEW] = {"review", 7 * DAY, 14 * DAY, 30 * DAY},
	[KW_CLOCK_TRACING] = {"tracing", 14 * DAY, 14 * DAY, 14 * DAY},
	[KW_CLOCK_TRACING_YOUNG] = {"tracing_young", 7 * DAY, 7 * DAY, 7 * DAY},
	[KW_CLOCK_VERIFICATION] = {"verification", 14 * DAY, 14 * DAY, 14 * DAY},
	[KW_CLOCK_REUNIFICATION] = {"reunification", 30 * DAY, 30 * DAY, 30 * DAY},
	[KW_CLOCK_FOLLOW_UP_FIRST] = {"follow_up_first", 7 * DAY, 7 * DAY, 7 * DAY},
	[KW_CLOCK_FOLLOW_UP_SECOND] = {"follow_up_second", 30 * DAY, 30 * DAY, 30 * DAY},
	[KW_CLOCK_FOLLOW_UP_THIRD] = {"follow_up_third", 90 * DAY, 90 * DAY, 90 * DAY},
	[KW_CLOCK_MATCH] = {"match", 72 * HOUR, 72 * HOUR, 72 * HOUR},
	[KW_CLOCK_HANDOVER] = {"handover", 48 * HOUR, 7 * DAY, 7 * DAY},
	[KW_CLOCK_CLAIMED] = {"claimed", 1 * HOUR, 24 * HOUR, 72 * HOUR},
};

/* Which clock runs in which state; where none stands, none runs. */
static const uint8_t clock_of_state[KW_THREAD_KIND_COUNT][KW_STATE_MAX] = {
	[KW_THREAD_REFERRAL] = {
		[KW_REFERRAL_QUEUED] = KW_CLOCK_DELIVERED,
		[KW_REFERRAL_DELIVERED] = KW_CLOCK_ACKNOWLEDGED,
		[KW_REFERRAL_ACKNOWLEDGED] = KW_CLOCK_DECIDED,
		[KW_REFERRAL_NEED_INFO] = KW_CLOCK_DECIDED,
		[KW_REFERRAL_ACCEPTED] = KW_CLOCK_SERVICE,
		[KW_REFERRAL_SCHEDULED] = KW_CLOCK_SERVICE,
		[KW_REFERRAL_NO_SHOW] = KW_CLOCK_SERVICE,
		[KW_REFERRAL_IN_PROGRESS] = KW_CLOCK_OUTCOME,
		[KW_REFERRAL_COMPLETED] = KW_CLOCK_REVIEW,
		[KW_REFERRAL_NOT_PROVIDED] = KW_CLOCK_REVIEW,
		[KW_REFERRAL_REJECTED] = KW_CLOCK_REVIEW,
		[KW_REFERRAL_ONWARD_PROPOSED] = KW_CLOCK_REVIEW,
		[KW_REFERRAL_CANCEL_REQUESTED] = KW_CLOCK_ACKNOWLEDGED,
	},
	[KW_THREAD_TRANSFER] = {
		[KW_TRANSFER_REQUESTED] = KW_CLOCK_DECIDED,
		[KW_TRANSFER_OFFERED] = KW_CLOCK_ACKNOWLEDGED,
		[KW_TRANSFER_ACKNOWLEDGED] = KW_CLOCK_DECIDED,
		[KW_TRANSFER_ACCEPTED] = KW_CLOCK_HANDOVER,
		[KW_TRANSFER_HANDOVER_CONFIRMED] = KW_CLOCK_REVIEW,
		[KW_TRANSFER_WITHDRAW_REQUESTED] = KW_CLOCK_DELIVERED, /* an agent answers, not a person */
	},
	[KW_THREAD_TRACING] = {
		[KW_TRACING_REGISTERED] = KW_CLOCK_TRACING,
		[KW_TRACING_TRACING] = KW_CLOCK_TRACING,
		[KW_TRACING_NOT_VERIFIED] = KW_CLOCK_TRACING,
		[KW_TRACING_REOPENED] = KW_CLOCK_TRACING,
		[KW_TRACING_FAMILY_LOCATED] = KW_CLOCK_VERIFICATION,
		[KW_TRACING_VERIFYING] = KW_CLOCK_VERIFICATION,
		[KW_TRACING_VERIFIED] = KW_CLOCK_REUNIFICATION,
		[KW_TRACING_REUNIFICATION_PLANNED] = KW_CLOCK_REUNIFICATION,
		[KW_TRACING_REUNIFIED] = KW_CLOCK_FOLLOW_UP_FIRST,
		[KW_TRACING_FOLLOW_UP] = KW_CLOCK_FOLLOW_UP_SECOND,
		[KW_TRACING_SUSPENDED] = KW_CLOCK_REVIEW,
	},
	[KW_THREAD_MATCH] = {
		[KW_MATCH_CANDIDATE] = KW_CLOCK_MATCH,
		[KW_MATCH_REVIEWING] = KW_CLOCK_MATCH,
		[KW_MATCH_CONFIRMED_ONE] = KW_CLOCK_MATCH,
		[KW_MATCH_CONFIRMED_BY_OTHER] = KW_CLOCK_MATCH,
	},
	[KW_THREAD_OFFER] = {
		[KW_OFFER_OFFERED] = KW_CLOCK_CLAIMED,
		[KW_OFFER_CLAIMED] = KW_CLOCK_CLAIMED,
	},
};

/* ----------------------------------------------------------------------------------------------------------- limits */

void kw_clock_limits_default(struct kw_clock_limits *limits)
{
	memset(limits, 0, sizeof(*limits));
	for (int clock = 0; clock < KW_CLOCK_COUNT; clock++) {
		limits->limit_ms[clock][KW_RISK_HIGH] = clocks[clock].high;
		limits->limit_ms[clock][KW_RISK_MEDIUM] = clocks[clock].medium;
		limits->limit_ms[clock][KW_RISK_LOW] = clocks[clock].low;
	}
}

enum kw_err kw_clock_limit_set(struct kw_clock_limits *limits, enum kw_clock clock, enum kw_risk risk, int64_t limit_ms)
{
	if ((unsigned)clock >= KW_CLOCK_COUNT || clock == KW_CLOCK_NONE || (unsigned)risk >= KW_RISK_COUNT)
		return KW_EFIELD;
	if (limit_ms < KW_CLOCK_LIMIT_MS_MIN || limit_ms > KW_CLOCK_LIMIT_MS_MAX)
		return KW_EFIELD;
	for (int r = KW_RISK_NONE + 1; r < KW_RISK_COUNT; r++) {
		if (risk == KW_RISK_NONE || r == (int)risk)
			limits->limit_ms[clock][r] = limit_ms;
	}
	return KW_OK;
}

int64_t kw_clock_limit(const struct kw_clock_limits *limits, enum kw_clock clock, enum kw_risk risk)
{
	if ((unsigned)clock >= KW_CLOCK_COUNT)
		return 0;
	bool known = risk == KW_RISK_MEDIUM || risk == KW_RISK_LOW;
	return limits->limit_ms[clock][known ? risk : KW_RISK_HIGH];
}

/* ------------------------------------------------------------------------------------------------------- start, stop */

enum kw_clock kw_clock_of(const struct kw_clock_thread *thread)
{
	if ((unsigned)thread->kind >= KW_THREAD_KIND_COUNT || thread->state >= KW_STATE_MAX)
		return KW_CLOCK_NONE;
	enum kw_clock clock = (enum kw_clock)clock_of_state[thread->kind][thread->state];
	return clock == KW_CLOCK_TRACING && thread->young ? KW_CLOCK_TRACING_YOUNG : clock;
}

static void start(struct kw_clock_run *run, const struct kw_clock_limits *limits, enum kw_clock clock, int64_t from_ms)
{
	run->clock = (uint8_t)clock;
	run->told = 0;
	run->started_ms = from_ms;
	run->deadline_ms = from_ms + kw_clock_limit(limits, clock, (enum kw_risk)run->risk);
}

/* A visit was made: the next one of three is due, counted from the reunion. One made when the next is due already stands for
 * that as well. After the last there is the case to review. */
static void follow_up(struct kw_clock_run *run, const struct kw_clock_limits *limits, int64_t now_ms)
{
	int clock = run->clock == KW_CLOCK_FOLLOW_UP_FIRST ? KW_CLOCK_FOLLOW_UP_SECOND : run->clock + 1;
	while (clock <= KW_CLOCK_FOLLOW_UP_THIRD &&
		   run->started_ms + kw_clock_limit(limits, (enum kw_clock)clock, (enum kw_risk)run->risk) <= now_ms)
		clock++;
	if (clock <= KW_CLOCK_FOLLOW_UP_THIRD)
		start(run, limits, (enum kw_clock)clock, run->started_ms);
	else
		start(run, limits, KW_CLOCK_REVIEW, now_ms);
}

static bool is_follow_up(uint8_t clock)
{
	return clock == KW_CLOCK_FOLLOW_UP_FIRST || clock == KW_CLOCK_FOLLOW_UP_SECOND || clock == KW_CLOCK_FOLLOW_UP_THIRD;
}

static bool is_tracing(uint8_t clock)
{
	return clock == KW_CLOCK_TRACING || clock == KW_CLOCK_TRACING_YOUNG;
}

void kw_clock_move(struct kw_clock_run *run, const struct kw_clock_limits *limits, const struct kw_clock_thread *thread,
	int64_t now_ms)
{
	enum kw_clock clock = kw_clock_of(thread);
	if (clock == KW_CLOCK_NONE) {
		*run = (struct kw_clock_run){0};
		return;
	}
	bool same_risk = run->risk == (uint8_t)thread->risk;
	run->risk = (uint8_t)thread->risk;
	if (clock == KW_CLOCK_FOLLOW_UP_SECOND) {
		/* A visit after the third asks for another review. */
		if (is_follow_up(run->clock))
			follow_up(run, limits, now_ms);
		else
			start(run, limits, KW_CLOCK_REVIEW, now_ms);
		return;
	}
	if (run->clock != (uint8_t)clock || is_tracing(run->clock))
		start(run, limits, clock, now_ms);
	else if (!same_risk)
		run->deadline_ms = run->started_ms + kw_clock_limit(limits, clock, thread->risk);
}

void kw_clock_touch(struct kw_clock_run *run, int64_t now_ms)
{
	if (!is_tracing(run->clock))
		return;
	run->deadline_ms = now_ms + (run->deadline_ms - run->started_ms);
	run->started_ms = now_ms;
	run->told = 0;
}

/* ------------------------------------------------------------------------------------------------------------ steps */

#define STEP_PERCENT 50u
#define LAST_PERCENT 200u

static int64_t due_ms(const struct kw_clock_run *run, unsigned percent)
{
	return run->started_ms + (run->deadline_ms - run->started_ms) * (int64_t)percent / 100;
}

int64_t kw_clock_next_ms(const struct kw_clock_run *run)
{
	if (run->clock == KW_CLOCK_NONE || run->told >= LAST_PERCENT)
		return INT64_MAX;
	return due_ms(run, run->told + STEP_PERCENT);
}

int64_t kw_clock_late_ms(const struct kw_clock_run *run, int64_t now_ms)
{
	return kw_clock_is_late(run, now_ms) ? now_ms - run->deadline_ms : 0;
}

bool kw_clock_is_late(const struct kw_clock_run *run, int64_t now_ms)
{
	return run->clock != KW_CLOCK_NONE && now_ms >= run->deadline_ms;
}

struct notices {
	struct kw_clock_notice *list;
	size_t count;
	int64_t due_ms;
	uint8_t percent;
};

static void tell(struct notices *notices, enum kw_audience audience, enum kw_audience as)
{
	notices->list[notices->count++] = (struct kw_clock_notice){
		.percent = notices->percent, .audience = audience, .as = as, .due_ms = notices->due_ms};
}

/* Tells the focal point or the supervisor of those of the two parties that are in `parties`. */
static void tell_focal(struct notices *notices, unsigned parties, enum kw_audience as)
{
	if ((parties >> KW_PARTY_OTHER & 1u) != 0)
		tell(notices, KW_AUDIENCE_RECEIVER, as);
	if ((parties >> KW_PARTY_OPENER & 1u) != 0)
		tell(notices, KW_AUDIENCE_SENDER, as);
}

static void tell_supervisor(struct notices *notices, unsigned parties, enum kw_audience as)
{
	if ((parties >> KW_PARTY_OTHER & 1u) != 0)
		tell(notices, KW_AUDIENCE_RECEIVER_SUPERVISOR, as);
	if ((parties >> KW_PARTY_OPENER & 1u) != 0)
		tell(notices, KW_AUDIENCE_SENDER_SUPERVISOR, as);
}

#define BOTH (1u << KW_PARTY_OPENER | 1u << KW_PARTY_OTHER)

/* Those who wait; when each waits for the other, both. */
static void tell_telephone(struct notices *notices, unsigned waited_for)
{
	notices->percent = LAST_PERCENT;
	tell_focal(notices, waited_for == BOTH ? BOTH : BOTH & ~waited_for, KW_AUDIENCE_SENDER);
}

/* The parties whose turn it is. What transport has not done yet is for the other to fetch. */
static unsigned waited_for(const struct kw_clock_thread *thread)
{
	unsigned parties = 0;
	for (int party = KW_PARTY_OPENER; party <= KW_PARTY_OTHER; party++) {
		if (kw_state_waits_for(thread->kind, thread->state, (enum kw_party)party))
			parties |= 1u << party;
	}
	return parties != 0 ? parties : 1u << KW_PARTY_OTHER;
}

size_t kw_clock_take_due(struct kw_clock_run *run, const struct kw_clock_thread *thread, int64_t now_ms,
	struct kw_clock_notice *notices)
{
	struct notices out = {.list = notices};
	unsigned parties = waited_for(thread);
	bool telephone_at_once = run->clock == KW_CLOCK_DELIVERED && (run->risk == KW_RISK_HIGH || run->risk == KW_RISK_NONE);
	while (run->clock != KW_CLOCK_NONE && run->told < LAST_PERCENT && kw_clock_next_ms(run) <= now_ms) {
		out.due_ms = kw_clock_next_ms(run);
		out.percent = run->told = (uint8_t)(run->told + STEP_PERCENT);
		if (out.percent == 50) {
			tell_focal(&out, parties, KW_AUDIENCE_RECEIVER);
		} else if (out.percent == 100) {
			tell_supervisor(&out, parties, KW_AUDIENCE_RECEIVER_SUPERVISOR);
			tell_focal(&out, BOTH & ~parties, KW_AUDIENCE_SENDER);
			if (telephone_at_once)
				tell_telephone(&out, parties);
		} else if (out.percent == 150) {
			tell_supervisor(&out, BOTH & ~parties, KW_AUDIENCE_SENDER_SUPERVISOR);
			tell(&out, KW_AUDIENCE_COORDINATOR, KW_AUDIENCE_COORDINATOR);
		} else if (!telephone_at_once) {
			tell_telephone(&out, parties);
		}
	}
	return out.count;
}

/* ------------------------------------------------------------------------------------------------------------ names */

const char *kw_clock_name(enum kw_clock clock)
{
	return (unsigned)clock < KW_CLOCK_COUNT ? clocks[clock].name : NULL;
}

enum kw_clock kw_clock_from_name(const char *name)
{
	for (int clock = KW_CLOCK_NONE + 1; clock < KW_CLOCK_COUNT; clock++) {
		if (strcmp(clocks[clock].name, name) == 0)
			return (enum kw_clock)clock;
	}
	return KW_CLOCK_NONE;
}

const char *kw_audience_name(enum kw_audience audience)
{
	static const char *const names[KW_AUDIENCE_COUNT] = {"receiver", "receiver_supervisor", "sender", "sender_supervisor",
		"coordinator"};
	return (unsigned)audience < KW_AUDIENCE_COUNT ? names[audience] : NULL;
}

/* --------------------------------------------------------------------------------------------------------- hub time */

void kw_hub_time_start(struct kw_hub_time *time, int64_t stored_ms, int64_t wall_ms, int64_t mono_ms)
{
	time->hub_ms = wall_ms > stored_ms ? wall_ms : stored_ms;
	time->mono_ms = mono_ms;
	time->apart_ms = wall_ms - time->hub_ms;
	time->rest_ms = 0;
}

int64_t kw_hub_time_now(struct kw_hub_time *time, int64_t wall_ms, int64_t mono_ms)
{
	int64_t passed = mono_ms > time->mono_ms ? mono_ms - time->mono_ms : 0;
	int64_t lean = wall_ms - (time->hub_ms + passed);
	int64_t lean_max = (time->rest_ms + passed) / 10;
	time->rest_ms = (time->rest_ms + passed) % 10;
	if (lean > lean_max)
		lean = lean_max;
	else if (lean < -lean_max)
		lean = -lean_max;
	time->hub_ms += passed + lean;
	time->mono_ms += passed;
	time->apart_ms = wall_ms - time->hub_ms;
	return time->hub_ms;
}

int64_t kw_hub_time_ahead_ms(const struct kw_hub_time *time)
{
	return time->apart_ms < 0 ? -time->apart_ms : 0;
}

void kw_hub_time_reset(struct kw_hub_time *time, int64_t wall_ms, int64_t mono_ms)
{
	*time = (struct kw_hub_time){.hub_ms = wall_ms, .mono_ms = mono_ms};
}
