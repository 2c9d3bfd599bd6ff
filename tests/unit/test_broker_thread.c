/* broker/core/thread.c: a record and a track in, a record out; and what a clock says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/thread.h"
#include "kinward/v1/track.pb-c.h"

#define HOUR_MS 3600000ull
#define DAY_MS (24 * HOUR_MS)
#define NOW (480000ull * HOUR_MS)
#define A 3u /* agencies, by slot */
#define B 5u
#define C 7u

struct fix {
	struct brk_thread_rules rules;
	struct brk_thread thread;
	uint64_t now_ms;
	uint32_t expiry_hour; /* of the next message */
	uint8_t risk;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	kw_clock_limits_default(&f->rules.limits);
	f->rules.keep_ms = 90 * DAY_MS;
	f->now_ms = NOW;
	f->risk = KW_RISK_HIGH;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* A track of `from` about a thread with `other`, in a message to `other`. */
static struct brk_track track_of(const struct fix *f, uint32_t from, uint32_t other, uint8_t state, uint32_t sequence)
{
	return (struct brk_track){.id = {{1}}, .kind = KW_THREAD_REFERRAL, .state = state, .risk = f->risk,
		.sequence = sequence, .from_slot = from, .other_slot = other, .to_slot = other, .expiry_hour = f->expiry_hour};
}

static enum brk_verdict say(struct fix *f, uint32_t from, uint8_t state, uint32_t sequence)
{
	struct brk_track track = track_of(f, from, from == A ? B : A, state, sequence);
	if (f->thread.kind != KW_THREAD_NONE)
		track.kind = f->thread.kind;
	return brk_thread_track(&f->rules, &f->thread, &track, f->now_ms);
}

static void open_as(struct fix *f, uint8_t kind, uint32_t from, uint8_t state)
{
	struct brk_track track = track_of(f, from, from == A ? B : A, state, 1);
	track.kind = kind;
	f->thread = (struct brk_thread){.kind = KW_THREAD_NONE};
	assert_int_equal(brk_thread_track(&f->rules, &f->thread, &track, f->now_ms), BRK_TRACK_OPENED);
}

static void opened(struct fix *f)
{
	open_as(f, KW_THREAD_REFERRAL, A, KW_REFERRAL_QUEUED);
}

static struct brk_due due_now(struct fix *f)
{
	struct brk_due due;
	memset(&due, 0x55, sizeof(due));
	brk_thread_due(&f->rules, &f->thread, f->now_ms, &due);
	return due;
}

static uint32_t told(const struct brk_due *due, enum kw_audience audience, uint8_t percent)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < due->count; i++)
		count += due->alarms[i].audience == audience && due->alarms[i].percent == percent;
	return count;
}

static void test_the_first_track_opens_and_names_the_parties(void **state)
{
	struct fix *f = *state;
	f->expiry_hour = 480010;
	opened(f);
	assert_true(f->thread.slot[KW_PARTY_OPENER] == A && f->thread.slot[KW_PARTY_OTHER] == B);
	assert_true(f->thread.state == KW_REFERRAL_QUEUED && f->thread.risk == KW_RISK_HIGH && f->thread.expiry_hour == 480010);
	assert_int_equal(f->thread.run.clock, KW_CLOCK_DELIVERED);
	assert_int_equal(f->thread.due_ms, NOW + 450000); /* half of 15 minutes */
	/* Who asks for a case is not its owner, so it is the other. */
	open_as(f, KW_THREAD_TRANSFER, A, KW_TRANSFER_REQUESTED);
	assert_true(f->thread.slot[KW_PARTY_OPENER] == B && f->thread.slot[KW_PARTY_OTHER] == A);
	assert_int_equal(brk_thread_waits_for(&f->thread), KW_PARTY_OPENER);
	open_as(f, KW_THREAD_TRANSFER, A, KW_TRANSFER_OFFERED);
	assert_int_equal(f->thread.slot[KW_PARTY_OPENER], A);
}

static void test_what_cannot_open_changes_nothing(void **state)
{
	struct fix *f = *state;
	struct brk_thread none = {.id = {{1}}};
	struct brk_track good = track_of(f, A, B, KW_REFERRAL_QUEUED, 1);
	struct brk_track bad[6] = {good, good, good, good, good, good};
	bad[0].state = KW_REFERRAL_ACCEPTED; /* nothing begins so */
	bad[1].kind = 99;
	bad[2].state = 200;
	bad[3].risk = KW_RISK_COUNT;
	bad[4].to_slot = C; /* B gets no message, so nobody may have it reminded */
	bad[5].kind = KW_THREAD_MATCH;
	bad[5].state = KW_MATCH_SUPERSEDED; /* the hub's word */
	for (unsigned i = 0; i < 6; i++) {
		f->thread = none;
		assert_int_equal(brk_thread_track(&f->rules, &f->thread, &bad[i], NOW), BRK_TRACK_ILLEGAL);
		assert_memory_equal(&f->thread, &none, sizeof(none));
	}
	assert_int_equal(brk_thread_track(&f->rules, &f->thread, &good, NOW), BRK_TRACK_OPENED);
}

static void test_a_match_is_linked_once_both_have_confirmed(void **state)
{
	struct fix *f = *state;
	struct brk_due due;
	f->risk = KW_RISK_NONE;
	open_as(f, KW_THREAD_MATCH, A, KW_MATCH_CANDIDATE);
	assert_int_equal(say(f, B, KW_MATCH_REVIEWING, 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, A, KW_MATCH_CONFIRMED_ONE, 2), BRK_TRACK_MOVED);
	assert_true(f->thread.state == KW_MATCH_CONFIRMED_ONE && f->thread.due_ms > f->now_ms);
	due = due_now(f);
	assert_true(!due.declared && f->thread.state == KW_MATCH_CONFIRMED_ONE); /* one alone links nothing */
	assert_int_equal(say(f, B, KW_MATCH_CONFIRMED_ONE, 2), BRK_TRACK_MOVED);
	assert_true(f->thread.state == KW_MATCH_CONFIRMED_BOTH && f->thread.due_ms == f->now_ms);
	due = due_now(f);
	assert_true(due.declared && !due.over && f->thread.state == KW_MATCH_LINKED);
	assert_int_equal(due.count, 2); /* both holders; no coordinator hears of records */
	for (uint32_t i = 0; i < due.count; i++)
		assert_true(due.alarms[i].state == KW_MATCH_LINKED && due.alarms[i].late_ms == 0 && due.alarms[i].clock == KW_CLOCK_MATCH &&
			due.alarms[i].percent == 50 && due.alarms[i].audience != KW_AUDIENCE_COORDINATOR);
	assert_int_equal(f->thread.due_ms, f->now_ms + f->rules.keep_ms);
	due = due_now(f);
	assert_false(due.declared);
	/* Where one rejects, nothing is linked. */
	open_as(f, KW_THREAD_MATCH, A, KW_MATCH_CANDIDATE);
	assert_int_equal(say(f, B, KW_MATCH_REVIEWING, 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, A, KW_MATCH_CONFIRMED_ONE, 2), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, KW_MATCH_REJECTED, 2), BRK_TRACK_MOVED);
	due = due_now(f);
	assert_true(!due.declared && f->thread.state == KW_MATCH_REJECTED);
}

static void test_only_the_two_parties_are_heard(void **state)
{
	struct fix *f = *state;
	opened(f);
	struct brk_thread before = f->thread;
	struct brk_track track = track_of(f, C, A, KW_REFERRAL_ACKNOWLEDGED, 1);
	assert_int_equal(brk_thread_track(&f->rules, &f->thread, &track, NOW), BRK_TRACK_FOREIGN);
	track = track_of(f, B, C, KW_REFERRAL_ACKNOWLEDGED, 1); /* names another */
	assert_int_equal(brk_thread_track(&f->rules, &f->thread, &track, NOW), BRK_TRACK_ILLEGAL);
	track = track_of(f, B, A, KW_TRANSFER_ACKNOWLEDGED, 1);
	track.kind = KW_THREAD_TRANSFER;
	assert_int_equal(brk_thread_track(&f->rules, &f->thread, &track, NOW), BRK_TRACK_ILLEGAL);
	assert_int_equal(say(f, A, KW_REFERRAL_ACCEPTED, 2), BRK_TRACK_ILLEGAL); /* not the sender's to say */
	assert_memory_equal(&f->thread, &before, sizeof(before));
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1), BRK_TRACK_MOVED);
}

static void test_receipts_move_and_repeats_do_not(void **state)
{
	struct fix *f = *state;
	opened(f);
	f->now_ms += 60000;
	assert_int_equal(say(f, B, KW_REFERRAL_DELIVERED, 0), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.run.clock, KW_CLOCK_ACKNOWLEDGED);
	assert_int_equal(f->thread.due_ms, NOW + 60000 + 1800000);
	struct brk_thread before = f->thread;
	f->now_ms += 60000;
	assert_int_equal(say(f, B, KW_REFERRAL_DELIVERED, 0), BRK_TRACK_REPEAT);
	assert_int_equal(say(f, A, KW_REFERRAL_QUEUED, 1), BRK_TRACK_REPEAT); /* the same message, sent again */
	assert_memory_equal(&f->thread, &before, sizeof(before));
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, KW_REFERRAL_ACCEPTED, 2), BRK_TRACK_MOVED);
	before = f->thread;
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1), BRK_TRACK_REPEAT);
	assert_int_equal(say(f, B, KW_REFERRAL_DELIVERED, 0), BRK_TRACK_REPEAT); /* late, and no way back */
	assert_memory_equal(&f->thread, &before, sizeof(before));
}

/* An urgent message overtakes a normal one. */
static void test_early_events_wait_for_what_is_missing(void **state)
{
	struct fix *f = *state;
	opened(f);
	assert_int_equal(say(f, B, KW_REFERRAL_ACCEPTED, 2), BRK_TRACK_EARLY);
	assert_int_equal(f->thread.state, KW_REFERRAL_QUEUED);
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, KW_REFERRAL_ACCEPTED);
	assert_true(f->thread.sequence[KW_PARTY_OTHER] == 2 && f->thread.early_state[KW_PARTY_OTHER] == 0);
	assert_int_equal(f->thread.run.clock, KW_CLOCK_SERVICE);
	/* What fits nowhere, though nothing is missing, is forgotten. */
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 3), BRK_TRACK_ILLEGAL);
	assert_int_equal(say(f, B, KW_REFERRAL_REJECTED, 4), BRK_TRACK_EARLY);
	assert_int_equal(say(f, B, KW_REFERRAL_SCHEDULED, 3), BRK_TRACK_MOVED);
	assert_true(f->thread.state == KW_REFERRAL_SCHEDULED && f->thread.early_state[KW_PARTY_OTHER] == 0);
}

static void test_a_clock_goes_on_while_it_is_the_same(void **state)
{
	struct fix *f = *state;
	opened(f);
	(void)say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1);
	(void)say(f, B, KW_REFERRAL_ACCEPTED, 2);
	f->now_ms += HOUR_MS;
	(void)say(f, B, KW_REFERRAL_SCHEDULED, 3);
	assert_int_equal(f->thread.run.started_ms, NOW);
	assert_int_equal(f->thread.due_ms, NOW + 12 * HOUR_MS);
	(void)say(f, B, KW_REFERRAL_IN_PROGRESS, 4);
	assert_int_equal(f->thread.run.started_ms, NOW + HOUR_MS);
}

static void test_the_opener_alone_says_how_urgent_it_is(void **state)
{
	struct fix *f = *state;
	opened(f);
	f->risk = KW_RISK_LOW; /* the provider would like more time */
	(void)say(f, B, KW_REFERRAL_DELIVERED, 0);
	assert_true(f->thread.risk == KW_RISK_HIGH && f->thread.run.risk == KW_RISK_HIGH);
	assert_int_equal(f->thread.run.deadline_ms, NOW + HOUR_MS);
	(void)say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1);
	(void)say(f, B, KW_REFERRAL_NEED_INFO, 2);
	assert_true(f->thread.risk == KW_RISK_HIGH && f->thread.run.deadline_ms == NOW + (int64_t)DAY_MS);
	f->risk = KW_RISK_MEDIUM;
	assert_int_equal(say(f, A, KW_REFERRAL_ACKNOWLEDGED, 2), BRK_TRACK_MOVED);
	assert_true(f->thread.risk == KW_RISK_MEDIUM && f->thread.run.started_ms == NOW);
	assert_int_equal(f->thread.run.deadline_ms, NOW + (int64_t)(3 * DAY_MS));
}

static void test_any_word_about_a_tracing_case_starts_its_clock_anew(void **state)
{
	struct fix *f = *state;
	open_as(f, KW_THREAD_TRACING, A, KW_TRACING_REGISTERED);
	f->now_ms += DAY_MS;
	assert_int_equal(say(f, A, KW_TRACING_TRACING, 2), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.due_ms, NOW + 8 * DAY_MS);
	f->now_ms += DAY_MS;
	assert_int_equal(say(f, A, KW_TRACING_TRACING, 3), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.due_ms, NOW + 9 * DAY_MS);
}

/* Every clock that a hub runs, for each risk, a second before its steps, at them and a second after. */
static void test_steps_come_at_their_time_for_every_state_and_risk(void **state)
{
	struct fix *f = *state;
	uint32_t seen = 0;
	for (uint8_t kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (uint8_t at = 1; at < KW_STATE_MAX; at++) {
			for (uint8_t risk = KW_RISK_HIGH; risk < KW_RISK_COUNT; risk++) {
				const struct kw_clock_thread now = {.kind = kind, .state = at, .risk = risk};
				f->thread = (struct brk_thread){.id = {{1}}, .slot = {A, B}, .kind = kind, .state = at, .risk = risk};
				kw_clock_move(&f->thread.run, &f->rules.limits, &now, NOW);
				uint8_t clock = f->thread.run.clock;
				if (clock == KW_CLOCK_NONE)
					continue;
				uint64_t limit = (uint64_t)kw_clock_limit(&f->rules.limits, clock, risk);
				seen |= 1u << clock;
				for (uint64_t percent = 50; percent <= 200; percent += 50) {
					f->now_ms = NOW + limit * percent / 100 - 1000;
					assert_int_equal(due_now(f).count, 0);
					f->now_ms += 1000;
					struct brk_thread copy = f->thread;
					struct brk_due due = due_now(f);
					bool telephoned = percent == 200 && clock == KW_CLOCK_DELIVERED && risk == KW_RISK_HIGH;
					assert_true((due.count > 0) != telephoned);
					for (uint32_t i = 0; i < due.count; i++) {
						assert_int_equal(due.alarms[i].clock, clock);
						assert_int_equal(due.alarms[i].due_ms, NOW + limit);
						assert_int_equal(due.alarms[i].late_ms, percent < 100 ? 0 : limit * (percent - 100) / 100);
					}
					struct brk_thread after = f->thread;
					assert_int_equal(due_now(f).count, 0); /* said once */
					f->thread = copy;
					f->now_ms += 1000;
					assert_int_equal(due_now(f).count, due.count);
					f->thread = after;
					if (due.declared)
						break;
					assert_int_equal(f->thread.due_ms,
						percent < 200 ? NOW + limit * (percent + 50) / 100 : f->now_ms - 1000 + 90 * DAY_MS);
				}
			}
		}
	}
	/* TRACING_YOUNG runs only where the age is known, the later follow-ups after the first. */
	uint32_t all = (1u << KW_CLOCK_COUNT) - 2;
	assert_int_equal(seen | 1u << KW_CLOCK_TRACING_YOUNG | 1u << KW_CLOCK_FOLLOW_UP_SECOND | 1u << KW_CLOCK_FOLLOW_UP_THIRD,
		all);
}

static void test_steps_go_to_those_whom_they_concern(void **state)
{
	struct fix *f = *state;
	opened(f);
	f->now_ms = NOW + 450000;
	struct brk_due due = due_now(f);
	assert_true(due.count == 1 && told(&due, KW_AUDIENCE_RECEIVER, 50) == 1);
	f->now_ms = NOW + 900000;
	due = due_now(f); /* undelivered and of high risk: telephone at once */
	assert_true(due.count == 3 && told(&due, KW_AUDIENCE_RECEIVER_SUPERVISOR, 100) == 1);
	assert_true(told(&due, KW_AUDIENCE_SENDER, 100) == 1 && told(&due, KW_AUDIENCE_SENDER, 200) == 1);
	/* The hub was away: all that was due is said, in order. */
	opened(f);
	f->risk = KW_RISK_LOW;
	opened(f);
	f->now_ms = NOW + 900000 + 30 * DAY_MS;
	due = due_now(f);
	assert_true(told(&due, KW_AUDIENCE_RECEIVER, 50) == 1 && told(&due, KW_AUDIENCE_RECEIVER_SUPERVISOR, 100) == 1);
	assert_true(told(&due, KW_AUDIENCE_SENDER_SUPERVISOR, 150) == 1 && told(&due, KW_AUDIENCE_COORDINATOR, 150) == 1);
	assert_true(told(&due, KW_AUDIENCE_SENDER, 200) == 1);
	assert_int_equal(f->thread.due_ms, f->now_ms + 90 * DAY_MS); /* and stays as late as it is */
	assert_int_equal(f->thread.state, KW_REFERRAL_QUEUED);
}

static void test_an_opening_message_that_goes_makes_it_undeliverable(void **state)
{
	struct fix *f = *state;
	opened(f);
	assert_true(brk_thread_undeliverable(&f->rules, &f->thread, f->now_ms));
	assert_true(f->thread.state == KW_REFERRAL_UNDELIVERABLE && f->thread.run.clock == KW_CLOCK_NONE);
	assert_int_equal(f->thread.due_ms, NOW + 90 * DAY_MS);
	assert_false(brk_thread_undeliverable(&f->rules, &f->thread, f->now_ms));
	assert_int_equal(say(f, B, KW_REFERRAL_DELIVERED, 0), BRK_TRACK_MOVED); /* it had arrived after all */
	assert_false(brk_thread_undeliverable(&f->rules, &f->thread, f->now_ms));
	open_as(f, KW_THREAD_TRANSFER, A, KW_TRANSFER_OFFERED);
	assert_false(brk_thread_undeliverable(&f->rules, &f->thread, f->now_ms));
}

static void test_unacknowledged_past_its_expiry_it_is_expired(void **state)
{
	struct fix *f = *state;
	f->expiry_hour = 480001;
	opened(f);
	(void)say(f, B, KW_REFERRAL_DELIVERED, 0);
	struct brk_thread delivered = f->thread;
	f->now_ms = NOW + HOUR_MS - 1000;
	assert_false(due_now(f).declared);
	assert_int_equal(f->thread.due_ms, NOW + HOUR_MS); /* the expiry; the clock's next step is then too */
	f->now_ms = NOW + HOUR_MS;
	struct brk_due due = due_now(f);
	assert_true(due.declared && !due.over && f->thread.state == KW_REFERRAL_EXPIRED);
	assert_true(told(&due, KW_AUDIENCE_SENDER, 200) == 1 && told(&due, KW_AUDIENCE_RECEIVER, 200) == 1);
	for (uint32_t i = 0; i < due.count; i++)
		assert_int_equal(due.alarms[i].state, KW_REFERRAL_EXPIRED);
	assert_int_equal(say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1), BRK_TRACK_MOVED); /* late, and it counts */

	f->thread = delivered;
	f->now_ms = NOW;
	(void)say(f, B, KW_REFERRAL_ACKNOWLEDGED, 1);
	f->now_ms = NOW + 2 * HOUR_MS;
	assert_false(due_now(f).declared); /* a person has it: it does not expire */
	/* Undelivered, the end of its row says so first. */
	opened(f);
	f->now_ms = NOW + 5 * HOUR_MS - 1000;
	opened(f);
	assert_int_equal(f->thread.state, KW_REFERRAL_QUEUED);
}

static void test_an_offer_without_a_claim_is_unclaimed_at_its_limit(void **state)
{
	struct fix *f = *state;
	open_as(f, KW_THREAD_OFFER, A, KW_OFFER_OFFERED);
	f->now_ms = NOW + HOUR_MS - 1000;
	assert_false(due_now(f).declared);
	f->now_ms += 1000;
	struct brk_due due = due_now(f);
	assert_true(due.declared && f->thread.state == KW_OFFER_UNCLAIMED && due.count <= BRK_ALARMS_MAX);
	assert_int_equal(told(&due, KW_AUDIENCE_COORDINATOR, 100), 1);
	open_as(f, KW_THREAD_OFFER, A, KW_OFFER_OFFERED);
	(void)say(f, B, KW_OFFER_CLAIMED, 1);
	f->now_ms += 2 * HOUR_MS;
	assert_false(due_now(f).declared);
	assert_int_equal(f->thread.state, KW_OFFER_CLAIMED);
}

static void test_a_thread_that_is_over_goes_after_a_while(void **state)
{
	struct fix *f = *state;
	opened(f);
	(void)say(f, A, KW_REFERRAL_CONSENT_WITHDRAWN, 2);
	assert_int_equal(f->thread.due_ms, NOW + 90 * DAY_MS);
	f->now_ms = f->thread.due_ms;
	struct brk_due due = due_now(f);
	assert_true(due.over && due.count == 0);
	opened(f);
	f->now_ms += 400 * DAY_MS;
	assert_false(due_now(f).over); /* an open one stays, however late */
}

/* An open one that nobody answers: after its last step it stays as long, and both hear of its end. */
static void test_a_silent_thread_is_given_up_after_a_while(void **state)
{
	struct fix *f = *state;
	open_as(f, KW_THREAD_TRANSFER, A, KW_TRANSFER_REQUESTED); /* the opener is waited for */
	f->now_ms += 400 * DAY_MS;
	assert_true(due_now(f).count > 0 && f->thread.run.told == 200);
	f->now_ms = f->thread.due_ms - 1;
	struct brk_due due = due_now(f);
	assert_true(due.count == 0 && !due.over);
	f->now_ms = f->thread.due_ms;
	due = due_now(f);
	assert_true(due.over && due.count == 2);
	assert_true(told(&due, KW_AUDIENCE_SENDER_SUPERVISOR, 200) == 1 && told(&due, KW_AUDIENCE_RECEIVER_SUPERVISOR, 200) == 1);
	for (uint32_t i = 0; i < 2; i++) {
		bool opener = due.alarms[i].audience == KW_AUDIENCE_SENDER_SUPERVISOR;
		assert_int_equal(due.alarms[i].as, opener ? KW_AUDIENCE_RECEIVER_SUPERVISOR : KW_AUDIENCE_SENDER_SUPERVISOR);
		assert_true(due.alarms[i].clock == KW_CLOCK_DECIDED && due.alarms[i].state == KW_TRANSFER_REQUESTED);
	}
}

static void test_who_opened_it_answers_for_it(void **state)
{
	struct fix *f = *state;
	opened(f);
	assert_int_equal(brk_thread_payer(&f->thread), A);
	/* Who asks another for its case, opens a thread whose opener is the other. */
	open_as(f, KW_THREAD_TRANSFER, A, KW_TRANSFER_REQUESTED);
	assert_true(f->thread.slot[KW_PARTY_OPENER] == B && brk_thread_payer(&f->thread) == A);
	assert_true(brk_thread_is_open(&f->thread));
	f->thread = (struct brk_thread){.kind = KW_THREAD_NONE};
	assert_false(brk_thread_is_open(&f->thread));
}

static void test_who_had_no_room_hears_the_newest_step_later(void **state)
{
	struct fix *f = *state;
	f->risk = KW_RISK_MEDIUM; /* 4 hours to deliver */
	opened(f);
	f->now_ms = NOW + 2 * HOUR_MS;
	assert_int_equal(due_now(f).count, 1);
	brk_thread_owe(&f->thread, KW_AUDIENCE_RECEIVER, f->now_ms);
	assert_int_equal(f->thread.due_ms, f->now_ms + BRK_THREAD_WAIT_MS);
	uint8_t bytes[BRK_THREAD_SIZE];
	brk_thread_pack(bytes, &f->thread);
	assert_int_equal(brk_thread_unpack(KW_VIEW_OF(bytes), &f->thread), KW_OK);
	f->now_ms = f->thread.due_ms;
	struct brk_due due = due_now(f);
	assert_true(due.count == 1 && told(&due, KW_AUDIENCE_RECEIVER, 50) == 1 && due.alarms[0].as == KW_AUDIENCE_RECEIVER);
	assert_true(f->thread.owed == 0 && f->thread.due_ms == NOW + 4 * HOUR_MS);
	/* It misses several: one comes, of the newest; those who had room hear nothing twice. */
	brk_thread_owe(&f->thread, KW_AUDIENCE_RECEIVER, f->now_ms);
	f->now_ms = NOW + 8 * HOUR_MS;
	due = due_now(f);
	assert_true(told(&due, KW_AUDIENCE_RECEIVER, 200) == 1 && told(&due, KW_AUDIENCE_COORDINATOR, 150) == 1);
	brk_thread_owe(&f->thread, KW_AUDIENCE_RECEIVER_SUPERVISOR, f->now_ms);
	assert_int_equal(f->thread.due_ms, f->now_ms + BRK_THREAD_WAIT_MS);
	struct brk_thread owed = f->thread;
	f->now_ms += BRK_THREAD_WAIT_MS;
	due = due_now(f);
	assert_true(due.count == 1 && told(&due, KW_AUDIENCE_RECEIVER_SUPERVISOR, 150) == 1 && !due.over);
	/* What is about a clock that stopped is not owed any more. */
	f->thread = owed;
	assert_int_equal(say(f, B, KW_REFERRAL_DELIVERED, 0), BRK_TRACK_MOVED);
	assert_true(f->thread.owed == 0 && f->thread.due_ms == f->now_ms + 12 * HOUR_MS);
}

static void test_records_are_read_as_they_were_written(void **state)
{
	struct fix *f = *state;
	uint8_t bytes[BRK_THREAD_SIZE], again[BRK_THREAD_SIZE];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(17 * i + 3);
	bytes[0] = 2; /* version */
	assert_int_equal(brk_thread_unpack(KW_VIEW_OF(bytes), &f->thread), KW_OK);
	brk_thread_pack(again, &f->thread);
	assert_memory_equal(bytes, again, sizeof(bytes)); /* no byte is forgotten, none in another's place */
	struct brk_thread before = f->thread;
	bytes[0] = 3;
	assert_int_equal(brk_thread_unpack(KW_VIEW_OF(bytes), &f->thread), KW_EVERSION);
	bytes[0] = 2;
	assert_int_equal(brk_thread_unpack(KW_VIEW(bytes, sizeof(bytes) - 1), &f->thread), KW_EVERSION);
	assert_memory_equal(&f->thread, &before, sizeof(before));
	bytes[0] = 1; /* without its last two bytes */
	assert_int_equal(brk_thread_unpack(KW_VIEW_OF(bytes), &f->thread), KW_EVERSION);
	assert_int_equal(brk_thread_unpack(KW_VIEW(bytes, sizeof(bytes) - 2), &f->thread), KW_OK);
	before.first = before.owed = 0;
	assert_memory_equal(&f->thread, &before, sizeof(before));
	opened(f);
	f->thread.sequence[1] = 77;
	brk_thread_pack(bytes, &f->thread);
	struct brk_thread out = {.id = f->thread.id, .due_ms = f->thread.due_ms};
	assert_int_equal(brk_thread_unpack(KW_VIEW_OF(bytes), &out), KW_OK);
	assert_true(out.slot[1] == B && out.state == KW_REFERRAL_QUEUED && out.sequence[0] == 1 && out.sequence[1] == 77);
	assert_int_equal(out.run.deadline_ms, f->thread.run.deadline_ms);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_first_track_opens_and_names_the_parties),
		TEST(test_what_cannot_open_changes_nothing),
		TEST(test_a_match_is_linked_once_both_have_confirmed),
		TEST(test_only_the_two_parties_are_heard),
		TEST(test_receipts_move_and_repeats_do_not),
		TEST(test_early_events_wait_for_what_is_missing),
		TEST(test_a_clock_goes_on_while_it_is_the_same),
		TEST(test_the_opener_alone_says_how_urgent_it_is),
		TEST(test_any_word_about_a_tracing_case_starts_its_clock_anew),
		TEST(test_steps_come_at_their_time_for_every_state_and_risk),
		TEST(test_steps_go_to_those_whom_they_concern),
		TEST(test_an_opening_message_that_goes_makes_it_undeliverable),
		TEST(test_unacknowledged_past_its_expiry_it_is_expired),
		TEST(test_an_offer_without_a_claim_is_unclaimed_at_its_limit),
		TEST(test_a_thread_that_is_over_goes_after_a_while),
		TEST(test_a_silent_thread_is_given_up_after_a_while),
		TEST(test_who_opened_it_answers_for_it),
		TEST(test_who_had_no_room_hears_the_newest_step_later),
		TEST(test_records_are_read_as_they_were_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
