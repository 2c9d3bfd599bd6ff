/* agent/shell/spool_clock.c and act.c: clocks at the agent as the hub runs them, on hub time; the clock of a child under 5, which
 * only the agent knows; the end of a consent. */

#include "agent/shell/act.h"
#include "tests/kit/spool_rig.h"

#define SECOND INT64_C(1000)
#define DAY (24 * INT64_C(3600000))
#define SKEW (5 * DAY) /* the hub's clock is far from ours, so that the two cannot be taken for each other */

/* What a WELCOME and the time since make of it. */
static void know(struct rig *rig, int64_t skew_ms, int64_t acknowledged_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_CLOCKS);
	kw_clock_limits_default(&op->u.clocks.limits);
	if (acknowledged_ms != 0)
		assert_int_equal(kw_clock_limit_set(&op->u.clocks.limits, KW_CLOCK_ACKNOWLEDGED, KW_RISK_HIGH, acknowledged_ms), KW_OK);
	op->u.clocks.skew_ms = skew_ms;
	op->u.clocks.hub_ms = NOW + skew_ms;
	run(rig, op);
}

static struct spool_thread thread_of(struct rig *rig, uint8_t number)
{
	struct kw_id thread = id(number);
	struct spool_thread out;
	assert_int_equal(spool_thread(rig->spool, &thread, NULL, &out), KW_OK);
	return out;
}

static int64_t due_of(struct rig *rig, uint8_t number)
{
	struct spool_thread thread = thread_of(rig, number);
	return agt_thread_due_ms(&thread.record);
}

static void reopen(struct rig *rig)
{
	close_spool(rig);
	open_spool(rig);
}

static void test_what_the_hub_said_outlives_a_restart(void **state)
{
	struct rig *rig = *state;
	struct spool_clocks known;
	struct kw_clock_limits defaults;
	kw_clock_limits_default(&defaults);
	spool_clocks(rig->spool, &known);
	assert_memory_equal(&known.limits, &defaults, sizeof(defaults));
	assert_true(known.skew_ms == 0 && known.hub_ms == 0);
	know(rig, -SKEW, 10 * SECOND);
	reopen(rig);
	spool_clocks(rig->spool, &known);
	assert_int_equal(kw_clock_limit(&known.limits, KW_CLOCK_ACKNOWLEDGED, KW_RISK_HIGH), 10 * SECOND);
	assert_int_equal(kw_clock_limit(&known.limits, KW_CLOCK_ACKNOWLEDGED, KW_RISK_LOW), 3 * DAY);
	assert_int_equal(kw_clock_limit(&known.limits, KW_CLOCK_HANDOVER, KW_RISK_HIGH), 2 * DAY);
	assert_true(known.skew_ms == -SKEW && known.hub_ms == NOW - SKEW);
}

static void test_due_times_are_those_of_the_hub(void **state)
{
	struct rig *rig = *state;
	know(rig, SKEW, 10 * SECOND);
	theirs(rig, OPENS(.n = 1));
	assert_int_equal(due_of(rig, 200), NOW + SKEW + 10 * SECOND);
	reopen(rig);
	assert_int_equal(due_of(rig, 200), NOW + SKEW + 10 * SECOND);
	/* Another limit moves no clock that runs; the next one has it. */
	know(rig, SKEW, 20 * SECOND);
	assert_int_equal(due_of(rig, 200), NOW + SKEW + 10 * SECOND);
	theirs(rig, OPENS(.n = 2, .thread = 201));
	assert_int_equal(due_of(rig, 201), NOW + SKEW + 20 * SECOND);
}

/* As at the hub: what is put off stays due. */
static void test_another_appointment_gives_no_more_time(void **state)
{
	struct rig *rig = *state;
	int64_t due_ms = NOW + SKEW + 2 + DAY; /* service, high */
	know(rig, SKEW, 0);
	theirs(rig, OPENS(.n = 1));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 2, .sequence = 1, .now_ms = NOW + 1));
	ours(rig, MOVES(ACCEPTED, .n = 3, .sequence = 2, .now_ms = NOW + 2));
	assert_int_equal(due_of(rig, 200), due_ms);
	ours(rig, MOVES(SCHEDULED, .n = 4, .sequence = 3, .now_ms = NOW + 10 * HOUR));
	ours(rig, MOVES(NO_SHOW, .n = 5, .sequence = 4, .now_ms = NOW + 20 * HOUR));
	ours(rig, MOVES(SCHEDULED, .n = 6, .sequence = 5, .now_ms = NOW + 30 * HOUR));
	assert_int_equal(due_of(rig, 200), due_ms);
	reopen(rig);
	assert_int_equal(due_of(rig, 200), due_ms);
}

static void test_follow_ups_count_from_the_reunion(void **state)
{
	struct rig *rig = *state;
	static const uint8_t STATES[] = {KW_TRACING_TRACING, KW_TRACING_FAMILY_LOCATED, KW_TRACING_VERIFYING, KW_TRACING_VERIFIED,
		KW_TRACING_REUNIFICATION_PLANNED, KW_TRACING_REUNIFIED};
	uint64_t sequence[2] = {1, 0};
	know(rig, SKEW, 0);
	ours(rig, OPENS(.n = 1, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED));
	for (uint8_t i = 0; i < sizeof(STATES); i++) {
		bool other = STATES[i] == KW_TRACING_FAMILY_LOCATED;
		struct said said = {.n = (uint8_t)(i + 2), .thread = 200, .kind = KW_THREAD_TRACING, .state = STATES[i],
			.sequence = ++sequence[other], .now_ms = NOW + i + 1};
		(other ? theirs : ours)(rig, said);
		assert_int_equal(thread_of(rig, 200).record.state, STATES[i]);
	}
	int64_t reunited_ms = NOW + SKEW + (int64_t)sizeof(STATES);
	assert_int_equal(due_of(rig, 200), reunited_ms + 7 * DAY);
	ours(rig, SAYS(TRACING, FOLLOW_UP, .n = 20, .sequence = ++sequence[0], .now_ms = NOW + 6 * DAY));
	assert_int_equal(due_of(rig, 200), reunited_ms + 30 * DAY);
	ours(rig, SAYS(TRACING, FOLLOW_UP, .n = 21, .sequence = ++sequence[0], .now_ms = NOW + 29 * DAY));
	assert_int_equal(due_of(rig, 200), reunited_ms + 90 * DAY);
}

static void test_the_hubs_word_on_a_clock_stands(void **state)
{
	struct rig *rig = *state;
	struct said said = OPENS(.n = 1);
	theirs(rig, said);
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = 1};
	op->u.notice.item = item_of(&said);
	op->u.notice.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_DELIVERED};
	op->u.notice.step = 50;
	op->u.notice.clock = KW_CLOCK_ACKNOWLEDGED;
	op->u.notice.due_ms = NOW + 7 * SECOND;
	op->u.notice.now_ms = NOW + 4;
	fill_content(op, NULL);
	run(rig, op);
	assert_int_equal(thread_of(rig, 200).reminded, 50);
	assert_int_equal(due_of(rig, 200), NOW + 7 * SECOND);
}

/* ------------------------------------------------------------------------------------------------------- a young child */

#define NAME "{\"parts\": [{\"text\": \"Amina\", \"role\": \"NAME_ROLE_GIVEN\"}]}"
#define CONSENT "\"consent\": {\"services\": \"CONSENT_ANSWER_GIVEN\", \"shareOtherOrgs\": \"CONSENT_ANSWER_GIVEN\"," \
	" \"tracing\": \"CONSENT_ANSWER_GIVEN\", \"obtainedFrom\": \"CONSENT_SOURCE_CAREGIVER\"%s}"
#define CHILD "{\"name\": " NAME ", \"sex\": \"SEX_FEMALE\", \"relation\": \"RELATION_MOTHER\", %s}"
#define SEARCH "{\"messageId\": \"AQIDBAUGBwgJCgsMDQ4PEA==\", \"createdUnixMs\": \"1700000000000\", \"tracingRequest\": {" \
	"\"inquirer\": {\"name\": " NAME ", \"contact\": {\"phone\": \"1\"}}, \"children\": [" CHILD ", " CHILD "], " CONSENT "}}"

static void act_of_json(const char *json, struct spool_act *out)
{
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	struct kw_fault broken;
	if (json_map_parse(&kinward__v1__content__descriptor, kw_view_str(json), &message, &fault) != KW_OK)
		fail_msg("%s: %s", fault.path, fault.rule);
	if (kw_content_validate((Kinward__V1__Content *)message, &broken) != KW_OK)
		fail_msg("%s %s", broken.field, broken.rule);
	act_of((Kinward__V1__Content *)message, out);
	protobuf_c_message_free_unpacked(message, NULL);
}

static struct spool_act search_for(const char *one, const char *two, const char *consent)
{
	struct spool_act act;
	char json[3000];
	(void)snprintf(json, sizeof(json), SEARCH, one, two, consent);
	act_of_json(json, &act);
	return act;
}

#define AGED(years) "\"age\": {\"years\": " years ", \"asOf\": {\"year\": 2023, \"month\": 11, \"day\": 14}}"
#define TEN AGED("10")
#define Y2023_11_14 INT64_C(1699920000000)

static void test_a_child_is_young_until_it_is_surely_five(void **state)
{
	(void)state;
	static const struct {
		const char *child;
		int64_t until;
	} CASES[] = {
		{AGED("5"), 0},
		{AGED("4"), Y2023_11_14 + 366 * DAY},
		{AGED("3"), Y2023_11_14 + 731 * DAY},
		{AGED("0"), Y2023_11_14 + 1827 * DAY},
		{"\"age\": {\"range\": {\"yearsMin\": 4, \"yearsMax\": 7}, \"asOf\": {\"year\": 2023, \"month\": 11, \"day\": 14}}",
			Y2023_11_14 + 366 * DAY},
		{"\"age\": {\"range\": {\"yearsMin\": 5, \"yearsMax\": 7}, \"asOf\": {\"year\": 2023, \"month\": 11, \"day\": 14}}", 0},
		{"\"age\": {\"years\": 4, \"asOf\": {\"year\": 2023}}", INT64_C(1735603200000)},      /* 2024-12-31 */
		{"\"birthDate\": {\"year\": 2020, \"month\": 2, \"day\": 29}", INT64_C(1740787200000)}, /* 2025-03-01 */
		{"\"birthDate\": {\"year\": 2019}", INT64_C(1735603200000)},
		{"\"birthDate\": {\"year\": 1960, \"month\": 1, \"day\": 1}", 0},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(search_for(CASES[i].child, TEN, "").young_until_ms, CASES[i].until);
		assert_int_equal(search_for(TEN, CASES[i].child, "").young_until_ms, CASES[i].until);
	}
	assert_int_equal(search_for(AGED("4"), AGED("2"), "").young_until_ms, search_for(AGED("2"), TEN, "").young_until_ms);
}

static void say_search(struct rig *rig, uint8_t n, struct spool_act act, bool own)
{
	struct said said = OPENS(.n = n, .thread = n, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED);
	struct spool_op *op = own ? append_op(rig, KW_NORMAL, item_of(&said))
		: arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	*(own ? &op->u.append.act : &op->u.receive.act) = act;
	fill_content(op, NULL);
	run(rig, op);
}

struct alarms {
	uint32_t count;
	struct spool_alarm list[8];
};

static bool gather(void *user, const struct spool_alarm *alarm)
{
	struct alarms *alarms = user;
	assert_true(alarms->count < 8);
	alarms->list[alarms->count++] = *alarm;
	return true;
}

static struct alarms alarms_at(struct rig *rig, int64_t hub_ms)
{
	struct alarms alarms = {.count = 0};
	assert_int_equal(spool_alarms(rig->spool, hub_ms, gather, &alarms), KW_OK);
	return alarms;
}

/* The next step, as the loop takes it. */
static void remind(struct rig *rig, const struct spool_alarm *alarm, bool words)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_REMIND);
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	const struct agt_thread *record = &alarm->thread.record;
	const struct kw_clock_thread clocked = {
		.kind = record->kind, .state = record->state, .risk = record->risk, .young = true};
	static uint8_t fresh = 0;
	op->u.remind.alarm = *alarm;
	op->u.remind.run = record->run;
	if (alarm->what == SPOOL_ALARM_CLOCK && alarm->stands) {
		assert_true(kw_clock_take_due(&op->u.remind.run, &clocked, alarm->due_ms, notices) > 0);
		op->u.remind.step = notices[0].percent;
	}
	op->u.remind.item = (struct spool_item){.message_id = id(++fresh), .thread_id = alarm->thread.thread_id,
		.agency = alarm->thread.agency, .at_ms = NOW};
	op->u.remind.now_ms = NOW;
	if (words)
		fill_content(op, NULL);
	run(rig, op);
}

/* DOMAIN §5, by the product's own path: the message's content → its act → the thread's clock → the order of alarms, at each step
 * one second before it, at it, one second after it, for each risk; with a restart between. */
static void test_the_clock_of_a_young_child_at_its_limit_for_each_risk(void **state)
{
	struct rig *rig = *state;
	know(rig, SKEW, 0);
	for (int risk = KW_RISK_NONE; risk <= KW_RISK_LOW; risk++) {
		uint8_t n = (uint8_t)(10 + risk);
		struct spool_act act = search_for(TEN, AGED("3"), "");
		int64_t start_ms = NOW + SKEW;
		act.risk = risk; /* a search has none of its own; whatever it is, the limit is the same */
		say_search(rig, n, act, risk % 2 == 0);
		assert_int_equal(thread_of(rig, n).record.run.clock, KW_CLOCK_TRACING_YOUNG);
		assert_int_equal(due_of(rig, n), start_ms + 7 * DAY);
		for (int step = 1; step <= 4; step++) {
			int64_t due_ms = start_ms + step * 7 * DAY / 2;
			reopen(rig);
			assert_int_equal(alarms_at(rig, due_ms - SECOND).count, 0);
			struct alarms alarms = alarms_at(rig, due_ms);
			assert_int_equal(alarms.count, 1);
			assert_int_equal(alarms_at(rig, due_ms + SECOND).count, 1);
			assert_true(alarms.list[0].stands && alarms.list[0].what == SPOOL_ALARM_CLOCK && alarms.list[0].due_ms == due_ms);
			uint64_t before = spool_count(rig->spool, SPOOL_COUNT_NEW);
			remind(rig, &alarms.list[0], step != 3);
			remind(rig, &alarms.list[0], true); /* once more, as after a crash before the reply: nothing */
			assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_NEW), before + (step != 3));
			assert_int_equal(thread_of(rig, n).reminded, step * 50);
			assert_int_equal(thread_of(rig, n).record.run.told, step * 50);
		}
		assert_int_equal(alarms_at(rig, INT64_MAX).count, 0);
	}
	/* One of five years or more has the hub's clock, and no alarm here. */
	say_search(rig, 30, search_for(TEN, AGED("5"), ""), true);
	assert_int_equal(thread_of(rig, 30).record.run.clock, KW_CLOCK_TRACING);
	assert_int_equal(due_of(rig, 30), NOW + SKEW + 14 * DAY);
	assert_int_equal(alarms_at(rig, INT64_MAX).count, 0);
}

static void test_an_action_starts_the_young_clock_anew(void **state)
{
	struct rig *rig = *state;
	say_search(rig, 10, search_for(TEN, AGED("3"), ""), true);
	struct alarms alarms = alarms_at(rig, NOW + 4 * DAY);
	remind(rig, &alarms.list[0], true);
	ours(rig, SAYS(TRACING, TRACING, .n = 11, .thread = 10, .sequence = 2, .now_ms = NOW + 5 * DAY));
	assert_int_equal(thread_of(rig, 10).record.run.told, 0);
	assert_int_equal(due_of(rig, 10), NOW + 12 * DAY);
	alarms = alarms_at(rig, NOW + 7 * DAY); /* the place of the clock that was */
	assert_int_equal(alarms.count, 1);
	assert_false(alarms.list[0].stands);
	remind(rig, &alarms.list[0], true);
	assert_int_equal(alarms_at(rig, NOW + 7 * DAY).count, 0);
	assert_int_equal(thread_of(rig, 10).reminded, 0);
	assert_true(alarms_at(rig, NOW + 5 * DAY + 7 * DAY / 2).list[0].stands);
	/* A family was found: nothing of it is said any more. */
	theirs(rig, SAYS(TRACING, FAMILY_LOCATED, .n = 12, .thread = 10, .sequence = 1, .now_ms = NOW + 6 * DAY));
	assert_false(alarms_at(rig, INT64_MAX).list[0].stands);
}

/* Our wall clock jumps a day; hub time does not, and so what was kept as their difference moves. */
static void test_a_jump_of_our_clock_makes_nobody_late(void **state)
{
	struct rig *rig = *state;
	for (int64_t jump = -DAY; jump <= DAY; jump += 2 * DAY) {
		uint8_t n = jump < 0 ? 10 : 11;
		know(rig, SKEW - jump, 0);
		struct said said = OPENS(.n = n, .thread = n, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED, .now_ms = NOW + jump);
		struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
		op->u.append.act = search_for(AGED("1"), TEN, "");
		fill_content(op, NULL);
		run(rig, op);
		assert_int_equal(thread_of(rig, n).record.run.started_ms, NOW + SKEW);
		assert_int_equal(due_of(rig, n), NOW + SKEW + 7 * DAY);
	}
}

/* ------------------------------------------------------------------------------------------------ the end of a consent */

static bool count_todo(void *user, const struct spool_thread *thread)
{
	(void)thread;
	++*(uint32_t *)user;
	return true;
}

static uint32_t todo(struct rig *rig)
{
	uint32_t count = 0;
	assert_int_equal(spool_todo(rig->spool, count_todo, &count), KW_OK);
	return count;
}

static void refer(struct rig *rig, uint8_t n, bool own, int64_t until_ms)
{
	struct said said = OPENS(.n = n, .thread = n);
	struct spool_op *op = own ? append_op(rig, KW_NORMAL, item_of(&said))
		: arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	struct spool_act *act = own ? &op->u.append.act : &op->u.receive.act;
	*act = act_from(&said);
	act->consent = true;
	act->consent_until_ms = until_ms;
	fill_content(op, NULL);
	run(rig, op);
}

static void renew(struct rig *rig, uint8_t thread, uint8_t n, int64_t until_ms)
{
	struct said said = {.n = n, .thread = thread};
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = (struct spool_act){.consent = true, .consent_until_ms = until_ms};
	fill_content(op, NULL);
	run(rig, op);
}

static void test_a_consent_that_ends_stands_in_todo(void **state)
{
	struct rig *rig = *state;
	int64_t until_ms = NOW + 3 * DAY;
	refer(rig, 10, true, until_ms);
	refer(rig, 11, true, 0);         /* open-ended */
	refer(rig, 12, false, until_ms); /* theirs to ask for again */
	uint32_t theirs_to_answer = todo(rig);
	assert_int_equal(theirs_to_answer, 1); /* the one that came */
	assert_int_equal(alarms_at(rig, until_ms - SECOND).count, 0);
	reopen(rig);
	struct alarms alarms = alarms_at(rig, until_ms);
	assert_int_equal(alarms.count, 1);
	assert_true(alarms.list[0].stands && alarms.list[0].what == SPOOL_ALARM_CONSENT);
	remind(rig, &alarms.list[0], false);
	assert_true(thread_of(rig, 10).lapsed);
	assert_int_equal(todo(rig), theirs_to_answer + 1);
	reopen(rig);
	assert_int_equal(todo(rig), theirs_to_answer + 1);
	assert_int_equal(alarms_at(rig, INT64_MAX).count, 0);
	/* A new one ends it, and ends in its turn. */
	renew(rig, 10, 20, until_ms + DAY);
	assert_false(thread_of(rig, 10).lapsed);
	assert_int_equal(todo(rig), theirs_to_answer);
	alarms = alarms_at(rig, until_ms + DAY);
	assert_int_equal(alarms.count, 1);
	remind(rig, &alarms.list[0], false);
	assert_int_equal(todo(rig), theirs_to_answer + 1);
	ours(rig, MOVES(CONSENT_WITHDRAWN, .n = 21, .thread = 10, .sequence = 2));
	assert_int_equal(todo(rig), theirs_to_answer); /* it is over */
}

static void test_a_consent_is_read_from_what_opens_or_renews(void **state)
{
	(void)state;
	struct spool_act act = search_for(TEN, TEN, ", \"validUntilUnixMs\": \"1800000000000\"");
	assert_true(act.consent && act.consent_until_ms == INT64_C(1800000000000));
	act = search_for(TEN, TEN, ", \"validUntilUnixMs\": \"1800000000000\", \"override\": {\"reason\": \"R\", \"approver\": \"A\"}");
	assert_true(act.consent && act.consent_until_ms == 0);
	static const char UPDATE[] = "{\"messageId\": \"AQIDBAUGBwgJCgsMDQ4PEA==\", \"createdUnixMs\": \"1700000000000\","
		" \"consentUpdate\": {\"about\": {\"threadId\": \"AQIDBAUGBwgJCgsMDQ4PEA==\"}, \"effectiveAtUnixMs\": \"1700000000000\","
		" \"obtainedFrom\": \"CONSENT_SOURCE_CAREGIVER\", " CONSENT "}}";
	char json[2000];
	(void)snprintf(json, sizeof(json), UPDATE, ", \"validUntilUnixMs\": \"1900000000000\"");
	act_of_json(json, &act);
	assert_true(act.kind == KW_THREAD_NONE && act.consent && act.consent_until_ms == INT64_C(1900000000000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_hub_said_outlives_a_restart),
		TEST(test_due_times_are_those_of_the_hub),
		TEST(test_another_appointment_gives_no_more_time),
		TEST(test_follow_ups_count_from_the_reunion),
		TEST(test_the_hubs_word_on_a_clock_stands),
		cmocka_unit_test(test_a_child_is_young_until_it_is_surely_five),
		TEST(test_the_clock_of_a_young_child_at_its_limit_for_each_risk),
		TEST(test_an_action_starts_the_young_clock_anew),
		TEST(test_a_jump_of_our_clock_makes_nobody_late),
		TEST(test_a_consent_that_ends_stands_in_todo),
		cmocka_unit_test(test_a_consent_is_read_from_what_opens_or_renews),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
