#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/thread.h"
#include "kinward/v1/track.pb-c.h"
#include "proto/wire/clocks.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define T0 INT64_C(1700000000000)

/* DOMAIN.md §5, line by line: a state in which the clock runs, and the limits for high, medium and low. */
static const struct {
	enum kw_clock clock;
	enum kw_thread_kind kind;
	uint8_t state;
	int64_t limit_ms[3];
} table[] = {
	{KW_CLOCK_DELIVERED, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, {15 * MINUTE, 4 * HOUR, 24 * HOUR}},
	{KW_CLOCK_ACKNOWLEDGED, KW_THREAD_REFERRAL, KW_REFERRAL_DELIVERED, {1 * HOUR, 24 * HOUR, 72 * HOUR}},
	{KW_CLOCK_DECIDED, KW_THREAD_REFERRAL, KW_REFERRAL_ACKNOWLEDGED, {24 * HOUR, 72 * HOUR, 14 * DAY}},
	{KW_CLOCK_SERVICE, KW_THREAD_REFERRAL, KW_REFERRAL_ACCEPTED, {24 * HOUR, 7 * DAY, 30 * DAY}},
	{KW_CLOCK_OUTCOME, KW_THREAD_REFERRAL, KW_REFERRAL_IN_PROGRESS, {3 * DAY, 7 * DAY, 14 * DAY}},
	{KW_CLOCK_REVIEW, KW_THREAD_REFERRAL, KW_REFERRAL_COMPLETED, {7 * DAY, 14 * DAY, 30 * DAY}},
	{KW_CLOCK_TRACING, KW_THREAD_TRACING, KW_TRACING_TRACING, {14 * DAY, 14 * DAY, 14 * DAY}},
	{KW_CLOCK_TRACING_YOUNG, KW_THREAD_TRACING, KW_TRACING_TRACING, {7 * DAY, 7 * DAY, 7 * DAY}},
	{KW_CLOCK_VERIFICATION, KW_THREAD_TRACING, KW_TRACING_FAMILY_LOCATED, {14 * DAY, 14 * DAY, 14 * DAY}},
	{KW_CLOCK_REUNIFICATION, KW_THREAD_TRACING, KW_TRACING_VERIFIED, {30 * DAY, 30 * DAY, 30 * DAY}},
	{KW_CLOCK_FOLLOW_UP_FIRST, KW_THREAD_TRACING, KW_TRACING_REUNIFIED, {7 * DAY, 7 * DAY, 7 * DAY}},
	{KW_CLOCK_FOLLOW_UP_SECOND, KW_THREAD_TRACING, KW_TRACING_FOLLOW_UP, {30 * DAY, 30 * DAY, 30 * DAY}},
	{KW_CLOCK_FOLLOW_UP_THIRD, KW_THREAD_TRACING, KW_TRACING_FOLLOW_UP, {90 * DAY, 90 * DAY, 90 * DAY}},
	{KW_CLOCK_MATCH, KW_THREAD_MATCH, KW_MATCH_CANDIDATE, {72 * HOUR, 72 * HOUR, 72 * HOUR}},
	{KW_CLOCK_HANDOVER, KW_THREAD_TRANSFER, KW_TRANSFER_ACCEPTED, {48 * HOUR, 7 * DAY, 7 * DAY}},
	{KW_CLOCK_CLAIMED, KW_THREAD_OFFER, KW_OFFER_OFFERED, {1 * HOUR, 24 * HOUR, 72 * HOUR}},
};
#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

static struct kw_clock_limits defaults(void)
{
	struct kw_clock_limits limits;
	kw_clock_limits_default(&limits);
	return limits;
}

static struct kw_clock_thread referral(uint8_t state, enum kw_risk risk)
{
	return (struct kw_clock_thread){.kind = KW_THREAD_REFERRAL, .state = state, .risk = risk};
}

static struct kw_clock_thread tracing(uint8_t state)
{
	return (struct kw_clock_thread){.kind = KW_THREAD_TRACING, .state = state, .risk = KW_RISK_MEDIUM};
}

/* Brings a thread into the state of a line at T0, by way of what comes before it where that matters. */
static struct kw_clock_run run_of(size_t line, struct kw_clock_thread *thread, const struct kw_clock_limits *limits)
{
	struct kw_clock_run run = {0};
	/* Only an agent knows that a child is young: there the clock starts with the message that asks for the search. */
	if (table[line].clock == KW_CLOCK_TRACING_YOUNG) {
		const struct agt_thread none = {.kind = KW_THREAD_NONE};
		struct agt_thread_event event = {.author = AGT_THREAD_OURS, .kind = KW_THREAD_TRACING, .opening = true,
			.state = KW_TRACING_REGISTERED, .risk = thread->risk, .sequence = 1, .now_ms = T0 - 9 * DAY, .hub_ms = T0,
			.young_until_ms = T0 + DAY, .limits = limits};
		struct agt_thread_result result;
		agt_thread_step(&none, &event, &result);
		assert_int_equal(result.verdict, AGT_THREAD_APPLY);
		assert_int_equal(agt_thread_due_ms(&result.next), result.next.run.deadline_ms);
		struct kw_clock_run run_young = result.next.run;
		event.young_until_ms = T0; /* it is five by now */
		agt_thread_step(&none, &event, &result);
		assert_int_equal(result.next.run.clock, KW_CLOCK_TRACING);
		return run_young;
	}
	if (table[line].state == KW_TRACING_FOLLOW_UP && thread->kind == KW_THREAD_TRACING) {
		thread->state = KW_TRACING_REUNIFIED;
		kw_clock_move(&run, limits, thread, T0);
		thread->state = KW_TRACING_FOLLOW_UP;
		kw_clock_move(&run, limits, thread, T0 + 6 * DAY);
		if (table[line].clock == KW_CLOCK_FOLLOW_UP_THIRD)
			kw_clock_move(&run, limits, thread, T0 + 29 * DAY);
		return run;
	}
	kw_clock_move(&run, limits, thread, T0);
	return run;
}

static struct kw_clock_thread thread_of(size_t line, int risk)
{
	return (struct kw_clock_thread){.kind = table[line].kind, .state = table[line].state, .risk = risk,
		.young = table[line].clock == KW_CLOCK_TRACING_YOUNG};
}

static void test_each_clock_at_its_limit_for_each_risk(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	uint32_t seen = 0;
	for (size_t line = 0; line < TABLE_COUNT; line++) {
		for (int risk = KW_RISK_HIGH; risk <= KW_RISK_LOW; risk++) {
			struct kw_clock_thread thread = thread_of(line, risk);
			struct kw_clock_run run = run_of(line, &thread, &limits);
			int64_t limit = table[line].limit_ms[risk - KW_RISK_HIGH];
			assert_int_equal(run.clock, table[line].clock);
			assert_int_equal(run.started_ms, T0);
			assert_int_equal(kw_clock_limit(&limits, table[line].clock, risk), limit);
			assert_int_equal(run.deadline_ms, T0 + limit);

			assert_false(kw_clock_is_late(&run, T0 + limit - SECOND));
			assert_int_equal(kw_clock_late_ms(&run, T0 + limit - SECOND), 0);
			assert_true(kw_clock_is_late(&run, T0 + limit));
			assert_int_equal(kw_clock_late_ms(&run, T0 + limit), 0);
			assert_true(kw_clock_is_late(&run, T0 + limit + SECOND));
			assert_int_equal(kw_clock_late_ms(&run, T0 + limit + SECOND), SECOND);
			seen |= 1u << table[line].clock;
		}
	}
	assert_int_equal(seen, (1u << KW_CLOCK_COUNT) - 2); /* none is left out */
}

/* "50 receiver, 100 sender": a notice as text. */
static void add_text(char *text, size_t size, const struct kw_clock_notice *notice)
{
	size_t used = strlen(text);
	int n = snprintf(text + used, size - used, "%s%u %s", used == 0 ? "" : ", ", notice->percent,
		kw_audience_name(notice->audience));
	assert_true(n > 0 && used + (size_t)n < size);
}

/* The notices due at a time, from a copy of the run, with the time that each step says it was due. */
static void assert_due(const struct kw_clock_run *from, const struct kw_clock_thread *thread, int64_t now_ms,
	const char *want)
{
	struct kw_clock_run run = *from;
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	size_t count = kw_clock_take_due(&run, thread, now_ms, notices);
	assert_true(count <= KW_CLOCK_NOTICES_MAX);
	char text[600] = "";
	for (size_t i = 0; i < count; i++) {
		assert_true(notices[i].due_ms <= now_ms);
		if (i > 0)
			assert_true(notices[i].due_ms >= notices[i - 1].due_ms);
		add_text(text, sizeof(text), &notices[i]);
	}
	if (strcmp(text, want) != 0) {
		fail_msg("%s, %s, risk %d, %lld s after the start: told \"%s\", expected \"%s\"",
			kw_clock_name(run.clock), kw_state_name(thread->kind, thread->state), (int)thread->risk,
			(long long)((now_ms - from->started_ms) / SECOND), text, want);
	}
	/* Once taken, never again. */
	assert_int_equal(kw_clock_take_due(&run, thread, now_ms, notices), 0);
}

struct steps {
	const char *at[4]; /* what is told at 50, 100, 150 and 200 % */
};

static const struct steps for_other = {
	{"50 receiver", "100 receiver_supervisor, 100 sender", "150 sender_supervisor, 150 coordinator", "200 sender"}};
static const struct steps for_opener = {
	{"50 sender", "100 sender_supervisor, 100 receiver", "150 receiver_supervisor, 150 coordinator", "200 receiver"}};
static const struct steps for_both = {{"50 receiver, 50 sender", "100 receiver_supervisor, 100 sender_supervisor",
	"150 coordinator", "200 receiver, 200 sender"}};
static const struct steps undelivered_high = {{"50 receiver", "100 receiver_supervisor, 100 sender, 200 sender",
	"150 sender_supervisor, 150 coordinator", ""}};

/* Each step at one second before it, at it, and one second after; told one by one, and all that was missed at once. */
static void check_steps(const struct kw_clock_run *from, const struct kw_clock_thread *thread, const struct steps *want)
{
	struct kw_clock_run run = *from;
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	int64_t limit = from->deadline_ms - from->started_ms;
	char all[600] = "";
	for (int i = 0; i < 4; i++) {
		int64_t due = from->started_ms + limit * (i + 1) / 2;
		assert_int_equal(kw_clock_next_ms(&run), due);
		assert_due(&run, thread, due - SECOND, "");
		assert_due(from, thread, due - SECOND, all);
		assert_due(&run, thread, due, want->at[i]);
		assert_due(&run, thread, due + SECOND, want->at[i]);
		size_t count = kw_clock_take_due(&run, thread, due + SECOND, notices);
		for (size_t n = 0; n < count; n++) {
			assert_int_equal(notices[n].due_ms, due);
			add_text(all, sizeof(all), &notices[n]);
		}
		assert_int_equal(run.told, (i + 1) * 50);
		assert_due(from, thread, due + SECOND, all);
	}
	assert_int_equal(kw_clock_next_ms(&run), INT64_MAX);
	assert_due(&run, thread, INT64_MAX, "");
	assert_int_equal(run.deadline_ms, from->deadline_ms);
}

static const struct steps *steps_of(size_t line, int risk)
{
	switch (table[line].clock) {
	case KW_CLOCK_DELIVERED:
		return risk == KW_RISK_HIGH ? &undelivered_high : &for_other;
	case KW_CLOCK_TRACING:
	case KW_CLOCK_TRACING_YOUNG:
	case KW_CLOCK_MATCH:
		return &for_both;
	case KW_CLOCK_REVIEW:
	case KW_CLOCK_VERIFICATION:
	case KW_CLOCK_REUNIFICATION:
	case KW_CLOCK_FOLLOW_UP_FIRST:
	case KW_CLOCK_FOLLOW_UP_SECOND:
	case KW_CLOCK_FOLLOW_UP_THIRD:
		return &for_opener;
	default:
		return &for_other;
	}
}

static void test_each_step_of_each_clock_for_each_risk(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	for (size_t line = 0; line < TABLE_COUNT; line++) {
		for (int risk = KW_RISK_HIGH; risk <= KW_RISK_LOW; risk++) {
			struct kw_clock_thread thread = thread_of(line, risk);
			struct kw_clock_run run = run_of(line, &thread, &limits);
			check_steps(&run, &thread, steps_of(line, risk));
		}
	}
}

static void test_the_party_that_is_waited_for_hears_first(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = referral(KW_REFERRAL_ACKNOWLEDGED, KW_RISK_MEDIUM);
	kw_clock_move(&run, &limits, &thread, T0);
	assert_due(&run, &thread, T0 + 36 * HOUR, "50 receiver");
	thread.state = KW_REFERRAL_NEED_INFO;
	kw_clock_move(&run, &limits, &thread, T0 + HOUR);
	assert_due(&run, &thread, T0 + 36 * HOUR, "50 sender");

	thread = (struct kw_clock_thread){.kind = KW_THREAD_MATCH, .state = KW_MATCH_CONFIRMED_ONE, .risk = KW_RISK_LOW};
	run = (struct kw_clock_run){0};
	kw_clock_move(&run, &limits, &thread, T0);
	assert_due(&run, &thread, T0 + 36 * HOUR, "50 receiver");
	thread.state = KW_MATCH_CONFIRMED_BY_OTHER;
	assert_due(&run, &thread, T0 + 36 * HOUR, "50 sender");
}

/* "receiver" in a Reminder has to act, "sender" waits, whichever of the two opened the thread. */
static void test_a_notice_says_who_has_to_act(void **state)
{
	(void)state;
	static const struct {
		struct kw_clock_thread thread;
		const char *as;
	} stories[] = {
		{{KW_THREAD_REFERRAL, KW_REFERRAL_DELIVERED, KW_RISK_LOW, false}, "receiver receiver_supervisor sender"
			" sender_supervisor coordinator sender"},
		{{KW_THREAD_REFERRAL, KW_REFERRAL_NEED_INFO, KW_RISK_LOW, false}, "receiver receiver_supervisor sender"
			" sender_supervisor coordinator sender"},
		{{KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, KW_RISK_HIGH, false}, "receiver receiver_supervisor sender sender"
			" sender_supervisor coordinator"},
		{{KW_THREAD_MATCH, KW_MATCH_REVIEWING, KW_RISK_LOW, false}, "receiver receiver receiver_supervisor"
			" receiver_supervisor coordinator sender sender"},
	};
	struct kw_clock_limits limits = defaults();
	for (size_t s = 0; s < sizeof(stories) / sizeof(stories[0]); s++) {
		struct kw_clock_run run = {0};
		kw_clock_move(&run, &limits, &stories[s].thread, T0);
		struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
		size_t count = kw_clock_take_due(&run, &stories[s].thread, T0 + 1000 * DAY, notices);
		char text[300] = "";
		for (size_t i = 0; i < count; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i == 0 ? "" : " ", kw_audience_name(notices[i].as));
		assert_string_equal(text, stories[s].as);
	}
}

/* Our names beside those of the schema. */
static void test_numbers_are_those_of_the_schema(void **state)
{
	(void)state;
	assert_int_equal(KW_AUDIENCE_COUNT + 1, kinward__v1__reminder_audience__descriptor.n_values);
	assert_int_equal(KW_AUDIENCE_RECEIVER + 1, KINWARD__V1__REMINDER_AUDIENCE__REMINDER_AUDIENCE_RECEIVER);
	assert_int_equal(KW_AUDIENCE_SENDER + 1, KINWARD__V1__REMINDER_AUDIENCE__REMINDER_AUDIENCE_SENDER);
	assert_int_equal(KW_AUDIENCE_COORDINATOR + 1, KINWARD__V1__REMINDER_AUDIENCE__REMINDER_AUDIENCE_COORDINATOR);
	assert_int_equal(KW_THREAD_KIND_COUNT, kinward__v1__thread_kind__descriptor.n_values);
	assert_int_equal(KW_THREAD_OFFER, KINWARD__V1__THREAD_KIND__THREAD_KIND_OFFER);
	assert_int_equal(KW_RISK_HIGH, KINWARD__V1__RISK__RISK_HIGH);
	assert_int_equal(KW_RISK_LOW, KINWARD__V1__RISK__RISK_LOW);
}

static void test_a_clock_goes_on_under_a_new_state(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	static const uint8_t same[][2] = {{KW_REFERRAL_ACKNOWLEDGED, KW_REFERRAL_NEED_INFO},
		{KW_REFERRAL_NEED_INFO, KW_REFERRAL_ACKNOWLEDGED}, {KW_REFERRAL_ACCEPTED, KW_REFERRAL_SCHEDULED},
		{KW_REFERRAL_SCHEDULED, KW_REFERRAL_NO_SHOW}, {KW_REFERRAL_NO_SHOW, KW_REFERRAL_SCHEDULED},
		{KW_REFERRAL_SCHEDULED, KW_REFERRAL_SCHEDULED}};
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct kw_clock_run run = {0};
		struct kw_clock_thread thread = referral(same[i][0], KW_RISK_MEDIUM);
		kw_clock_move(&run, &limits, &thread, T0);
		assert_true(kw_clock_take_due(&run, &thread, run.deadline_ms, notices) > 0);
		struct kw_clock_run before = run;
		thread.state = same[i][1];
		kw_clock_move(&run, &limits, &thread, T0 + HOUR);
		assert_memory_equal(&run, &before, sizeof(run));
	}
	/* Another clock starts anew, with nothing told. */
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = referral(KW_REFERRAL_QUEUED, KW_RISK_LOW);
	kw_clock_move(&run, &limits, &thread, T0);
	assert_true(kw_clock_take_due(&run, &thread, T0 + 20 * HOUR, notices) > 0);
	thread.state = KW_REFERRAL_DELIVERED;
	kw_clock_move(&run, &limits, &thread, T0 + 20 * HOUR);
	assert_int_equal(run.told, 0);
	assert_int_equal(run.started_ms, T0 + 20 * HOUR);
	assert_int_equal(run.deadline_ms, T0 + 92 * HOUR);
}

static void test_a_new_risk_moves_the_deadline(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = referral(KW_REFERRAL_DELIVERED, KW_RISK_LOW);
	kw_clock_move(&run, &limits, &thread, T0);
	thread.risk = KW_RISK_HIGH;
	kw_clock_move(&run, &limits, &thread, T0 + 10 * MINUTE);
	assert_int_equal(run.started_ms, T0);
	assert_int_equal(run.deadline_ms, T0 + HOUR);
	/* New settings alone move no deadline that stands. */
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_ACKNOWLEDGED, KW_RISK_HIGH, 2 * HOUR), KW_OK);
	kw_clock_move(&run, &limits, &thread, T0 + 20 * MINUTE);
	assert_int_equal(run.deadline_ms, T0 + HOUR);
	/* A thread without a risk is treated with the greatest care. */
	thread.risk = KW_RISK_NONE;
	kw_clock_move(&run, &limits, &thread, T0 + 20 * MINUTE);
	assert_int_equal(run.deadline_ms, T0 + 2 * HOUR);
	thread.state = KW_REFERRAL_QUEUED;
	kw_clock_move(&run, &limits, &thread, T0);
	check_steps(&run, &thread, &undelivered_high);
}

static void test_no_clock_runs_where_nothing_is_waited_for(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
			struct kw_clock_thread thread = {.kind = kind, .state = s, .risk = KW_RISK_HIGH};
			struct kw_clock_run run = {0};
			kw_clock_move(&run, &limits, &thread, T0);
			/* Between the second confirmation and the link there is only the hub itself. */
			bool hub_alone = kind == KW_THREAD_MATCH && s == KW_MATCH_CONFIRMED_BOTH;
			if ((run.clock != KW_CLOCK_NONE) != (kw_state_is_open(kind, s) && !hub_alone))
				fail_msg("%s: %s", kw_thread_kind_name(kind), kw_state_name(kind, s));
		}
	}
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = referral(KW_REFERRAL_COMPLETED, KW_RISK_HIGH);
	kw_clock_move(&run, &limits, &thread, T0);
	thread.state = KW_REFERRAL_CLOSED;
	kw_clock_move(&run, &limits, &thread, T0 + DAY);
	assert_memory_equal(&run, (&(struct kw_clock_run){0}), sizeof(run));
	assert_int_equal(kw_clock_next_ms(&run), INT64_MAX);
	assert_false(kw_clock_is_late(&run, INT64_MAX));
	assert_int_equal(kw_clock_late_ms(&run, INT64_MAX), 0);
	assert_due(&run, &thread, INT64_MAX, "");
	thread.kind = KW_THREAD_KIND_COUNT;
	assert_int_equal(kw_clock_of(&thread), KW_CLOCK_NONE);
	thread = (struct kw_clock_thread){.kind = KW_THREAD_REFERRAL, .state = 255};
	assert_int_equal(kw_clock_of(&thread), KW_CLOCK_NONE);
}

/* The clock of every state that has one, in the words of the two names. */
static const char *const clocks_of_states[KW_THREAD_KIND_COUNT] = {
	[KW_THREAD_REFERRAL] = "QUEUED delivered DELIVERED acknowledged ACKNOWLEDGED decided NEED_INFO decided ACCEPTED service "
		"SCHEDULED service NO_SHOW service IN_PROGRESS outcome COMPLETED review NOT_PROVIDED review REJECTED review "
		"ONWARD_PROPOSED review CANCEL_REQUESTED acknowledged",
	[KW_THREAD_TRANSFER] = "REQUESTED decided OFFERED acknowledged ACKNOWLEDGED decided ACCEPTED handover "
		"HANDOVER_CONFIRMED review WITHDRAW_REQUESTED delivered",
	[KW_THREAD_TRACING] = "REGISTERED tracing TRACING tracing NOT_VERIFIED tracing REOPENED tracing "
		"FAMILY_LOCATED verification VERIFYING verification VERIFIED reunification REUNIFICATION_PLANNED reunification "
		"REUNIFIED follow_up_first FOLLOW_UP follow_up_second SUSPENDED review",
	[KW_THREAD_MATCH] = "CANDIDATE match REVIEWING match CONFIRMED_ONE match CONFIRMED_BY_OTHER match",
	[KW_THREAD_OFFER] = "OFFERED claimed CLAIMED claimed",
};

/* The next word of a text, which moves on; false at its end. */
static bool next_word(const char **at, char *word, size_t size)
{
	*at += strspn(*at, " ");
	size_t length = strcspn(*at, " ");
	assert_true(length < size);
	memcpy(word, *at, length);
	word[length] = 0;
	*at += length;
	return length > 0;
}

static void test_each_state_has_its_clock(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		enum kw_clock want[KW_STATE_MAX] = {KW_CLOCK_NONE};
		char name[32], clock[32];
		const char *at = clocks_of_states[kind];
		while (next_word(&at, name, sizeof(name)) && next_word(&at, clock, sizeof(clock))) {
			assert_int_not_equal(kw_state_from_name(kind, name), 0);
			assert_int_not_equal(kw_clock_from_name(clock), KW_CLOCK_NONE);
			want[kw_state_from_name(kind, name)] = kw_clock_from_name(clock);
		}
		for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
			struct kw_clock_thread thread = {.kind = kind, .state = s, .risk = KW_RISK_HIGH};
			assert_int_equal(kw_clock_of(&thread), want[s]);
		}
	}
}

static void test_tracing_starts_anew_with_each_action(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = tracing(KW_TRACING_REGISTERED);
	kw_clock_move(&run, &limits, &thread, T0);
	thread.state = KW_TRACING_TRACING;
	kw_clock_move(&run, &limits, &thread, T0 + 3 * DAY);
	assert_int_equal(run.deadline_ms, T0 + 17 * DAY);
	assert_true(kw_clock_take_due(&run, &thread, T0 + 12 * DAY, notices) > 0);
	kw_clock_touch(&run, T0 + 12 * DAY);
	assert_int_equal(run.told, 0);
	assert_int_equal(run.deadline_ms, T0 + 26 * DAY);
	assert_due(&run, &thread, T0 + 18 * DAY, "");
	/* Other clocks are not put off by talk. */
	thread.state = KW_TRACING_FAMILY_LOCATED;
	kw_clock_move(&run, &limits, &thread, T0 + 20 * DAY);
	kw_clock_touch(&run, T0 + 25 * DAY);
	assert_int_equal(run.deadline_ms, T0 + 34 * DAY);
	thread.state = KW_TRACING_VERIFYING;
	kw_clock_move(&run, &limits, &thread, T0 + 26 * DAY);
	assert_int_equal(run.deadline_ms, T0 + 34 * DAY);
}

static void test_follow_ups_count_from_the_reunion(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	/* The days of the visits, and which clock runs after each. */
	static const struct {
		int day[4];
		enum kw_clock clock[4];
	} stories[] = {
		{{6, 28, 80, 100}, {KW_CLOCK_FOLLOW_UP_SECOND, KW_CLOCK_FOLLOW_UP_THIRD, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW}},
		{{9, 31, 95, 96}, {KW_CLOCK_FOLLOW_UP_SECOND, KW_CLOCK_FOLLOW_UP_THIRD, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW}},
		{{40, 41, 91, 99}, {KW_CLOCK_FOLLOW_UP_THIRD, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW}},
		{{30, 90, 91, 92}, {KW_CLOCK_FOLLOW_UP_THIRD, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW}},
		{{120, 121, 122, 123}, {KW_CLOCK_REVIEW, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW, KW_CLOCK_REVIEW}},
	};
	for (size_t s = 0; s < sizeof(stories) / sizeof(stories[0]); s++) {
		struct kw_clock_run run = {0};
		struct kw_clock_thread thread = tracing(KW_TRACING_REUNIFIED);
		kw_clock_move(&run, &limits, &thread, T0);
		thread.state = KW_TRACING_FOLLOW_UP;
		for (int visit = 0; visit < 4; visit++) {
			int64_t now = T0 + stories[s].day[visit] * DAY;
			kw_clock_move(&run, &limits, &thread, now);
			assert_int_equal(run.clock, stories[s].clock[visit]);
			assert_int_equal(run.started_ms, run.clock == KW_CLOCK_REVIEW ? now : T0);
			assert_false(kw_clock_is_late(&run, now));
		}
	}
}

static void test_a_time_before_the_start_is_not_late(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	struct kw_clock_run run = {0};
	struct kw_clock_thread thread = referral(KW_REFERRAL_QUEUED, KW_RISK_HIGH);
	kw_clock_move(&run, &limits, &thread, T0);
	static const int64_t early[] = {T0 - 1, T0 - DAY, 0, -1, INT64_MIN};
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		assert_due(&run, &thread, early[i], "");
		assert_false(kw_clock_is_late(&run, early[i]));
		assert_int_equal(kw_clock_late_ms(&run, early[i]), 0);
	}
	/* Nor is what was told before a jump back told again when that time comes anew. */
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	assert_int_equal(kw_clock_take_due(&run, &thread, T0 + 15 * MINUTE, notices), 4);
	assert_due(&run, &thread, T0 - DAY, "");
	assert_due(&run, &thread, T0 + 15 * MINUTE, "");
	assert_due(&run, &thread, T0 + 23 * MINUTE, "150 sender_supervisor, 150 coordinator");
}

static void test_limits_can_be_set_within_bounds(void **state)
{
	(void)state;
	struct kw_clock_limits limits = defaults();
	for (int clock = KW_CLOCK_NONE + 1; clock < KW_CLOCK_COUNT; clock++) {
		for (int risk = KW_RISK_HIGH; risk <= KW_RISK_LOW; risk++) {
			struct kw_clock_limits want = limits;
			int64_t limit = 1000 + clock * 100 + risk;
			want.limit_ms[clock][risk] = limit;
			assert_int_equal(kw_clock_limit_set(&limits, clock, risk, limit), KW_OK);
			assert_memory_equal(&limits, &want, sizeof(limits));
			assert_int_equal(kw_clock_limit(&limits, clock, risk), limit);
		}
	}
	struct kw_clock_limits before = limits;
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_LOW, KW_CLOCK_LIMIT_MS_MIN - 1), KW_EFIELD);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_LOW, KW_CLOCK_LIMIT_MS_MAX + 1), KW_EFIELD);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_NONE, KW_RISK_LOW, DAY), KW_EFIELD);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_COUNT, KW_RISK_LOW, DAY), KW_EFIELD);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_COUNT, DAY), KW_EFIELD);
	assert_memory_equal(&limits, &before, sizeof(limits));
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_LOW, KW_CLOCK_LIMIT_MS_MIN), KW_OK);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_LOW, KW_CLOCK_LIMIT_MS_MAX), KW_OK);
	assert_int_equal(kw_clock_limit_set(&limits, KW_CLOCK_MATCH, KW_RISK_NONE, 5 * DAY), KW_OK);
	for (int risk = KW_RISK_HIGH; risk <= KW_RISK_LOW; risk++)
		assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_MATCH, risk), 5 * DAY);
	assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_NONE, KW_RISK_HIGH), 0);
	assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_COUNT, KW_RISK_HIGH), 0);
}

static void test_names_lead_there_and_back(void **state)
{
	(void)state;
	for (int clock = KW_CLOCK_NONE + 1; clock < KW_CLOCK_COUNT; clock++) {
		assert_non_null(kw_clock_name(clock));
		assert_int_equal(kw_clock_from_name(kw_clock_name(clock)), clock);
	}
	assert_null(kw_clock_name(KW_CLOCK_NONE));
	assert_null(kw_clock_name(KW_CLOCK_COUNT));
	assert_int_equal(kw_clock_from_name("none"), KW_CLOCK_NONE);
	assert_null(kw_audience_name(KW_AUDIENCE_COUNT));
}

/* Runs the hub time for a while, looked at every `every` ms, with the wall clock `off` from the truth. */
static int64_t live(struct kw_hub_time *time, int64_t *mono, int64_t off, int64_t span)
{
	int64_t last = time->hub_ms;
	for (int64_t end = *mono + span; *mono < end;) {
		*mono += 7;
		int64_t now = kw_hub_time_now(time, T0 + *mono + off, *mono);
		assert_true(now >= last);
		assert_true(now - last <= 8);
		last = now;
	}
	return last;
}

static void test_hub_time_leans_and_never_jumps(void **state)
{
	(void)state;
	static const int64_t jumps[] = {DAY, -DAY};
	for (int i = 0; i < 2; i++) {
		struct kw_hub_time time;
		int64_t mono = 0;
		kw_hub_time_start(&time, 0, T0, 0);
		assert_in_range(live(&time, &mono, 0, HOUR) - T0 - mono, 0, 0);
		assert_int_equal(time.apart_ms, 0);
		/* For an hour the wall clock is a day off: hub time is at most a tenth of that hour off, and it shows. */
		int64_t now = live(&time, &mono, jumps[i], HOUR);
		int64_t off = now - (T0 + mono);
		int64_t bound = HOUR / 10 + 1;
		assert_true(i == 0 ? off > 0 && off <= bound : off < 0 && off >= -bound);
		assert_true(time.apart_ms > KW_HUB_TIME_APART_MS_MAX || time.apart_ms < -KW_HUB_TIME_APART_MS_MAX);
		/* Set right again, it comes back to the truth. */
		now = live(&time, &mono, 0, 2 * HOUR);
		assert_int_equal(now, T0 + mono);
		/* And an ordinary drift of the monotonic clock is followed. */
		now = live(&time, &mono, 30 * SECOND, HOUR);
		assert_int_equal(now, T0 + mono + 30 * SECOND);
	}
}

static void test_hub_time_after_a_start(void **state)
{
	(void)state;
	struct kw_hub_time time;
	kw_hub_time_start(&time, T0, T0 + 3 * DAY, 500); /* down for three days */
	assert_int_equal(time.hub_ms, T0 + 3 * DAY);
	kw_hub_time_start(&time, T0, T0 - DAY, 500); /* the wall clock fell back while it was down */
	assert_int_equal(time.hub_ms, T0);
	assert_int_equal(time.apart_ms, -DAY);
	assert_int_equal(kw_hub_time_now(&time, T0 - DAY + 1000, 1500), T0 + 900);
	/* A monotonic clock that does not move moves nothing. */
	assert_int_equal(kw_hub_time_now(&time, T0 + DAY, 1500), T0 + 900);
	assert_int_equal(kw_hub_time_now(&time, T0 + DAY, 10), T0 + 900);
}

static void test_hub_time_ahead_and_reset(void **state)
{
	(void)state;
	struct kw_hub_time time;
	kw_hub_time_start(&time, T0 + DAY, T0, 500); /* it was stored with a clock a day ahead */
	assert_int_equal(kw_hub_time_ahead_ms(&time), DAY);
	int64_t now = kw_hub_time_now(&time, T0 + 1000, 1500);
	assert_int_equal(now - kw_hub_time_ahead_ms(&time), T0 + 1000); /* the earlier of the two */
	kw_hub_time_reset(&time, T0 + 2000, 2500);
	assert_int_equal(kw_hub_time_ahead_ms(&time), 0);
	assert_int_equal(kw_hub_time_now(&time, T0 + 3000, 3500), T0 + 3000);
	/* A clock that is ahead is not believed: hub time is the earlier one. */
	now = kw_hub_time_now(&time, T0 + DAY, 4500);
	assert_int_equal(kw_hub_time_ahead_ms(&time), 0);
	assert_true(now < T0 + 5000);
	kw_hub_time_reset(&time, T0 + DAY, 5500);
	assert_int_equal(kw_hub_time_now(&time, T0 + DAY + 1000, 6500), T0 + DAY + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_clock_at_its_limit_for_each_risk),
		cmocka_unit_test(test_each_step_of_each_clock_for_each_risk),
		cmocka_unit_test(test_the_party_that_is_waited_for_hears_first),
		cmocka_unit_test(test_a_notice_says_who_has_to_act),
		cmocka_unit_test(test_numbers_are_those_of_the_schema),
		cmocka_unit_test(test_a_clock_goes_on_under_a_new_state),
		cmocka_unit_test(test_a_new_risk_moves_the_deadline),
		cmocka_unit_test(test_no_clock_runs_where_nothing_is_waited_for),
		cmocka_unit_test(test_each_state_has_its_clock),
		cmocka_unit_test(test_tracing_starts_anew_with_each_action),
		cmocka_unit_test(test_follow_ups_count_from_the_reunion),
		cmocka_unit_test(test_a_time_before_the_start_is_not_late),
		cmocka_unit_test(test_limits_can_be_set_within_bounds),
		cmocka_unit_test(test_names_lead_there_and_back),
		cmocka_unit_test(test_hub_time_leans_and_never_jumps),
		cmocka_unit_test(test_hub_time_after_a_start),
		cmocka_unit_test(test_hub_time_ahead_and_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
