/* agent/core/thread.c: turn, opening, refusal, replay and follow-ups. The tables themselves have tests of their own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/thread.h"

#define NOW 1700000000000

/* A thread under test, as one of its two agencies sees it. */
struct bench {
	struct agt_thread thread;
	struct agt_thread_result result;
	int64_t now_ms;
};

static struct bench bench(void)
{
	return (struct bench){.now_ms = NOW};
}

static enum agt_thread_verdict step(struct bench *bench, struct agt_thread_event event)
{
	event.now_ms = bench->now_ms++;
	agt_thread_step(&bench->thread, &event, &bench->result);
	bench->thread = bench->result.next;
	return bench->result.verdict;
}

static enum agt_thread_verdict ours(struct bench *bench, enum kw_thread_kind kind, uint8_t state)
{
	uint64_t next = bench->thread.kind == KW_THREAD_NONE ? 1 : bench->thread.next;
	return step(bench, (struct agt_thread_event){.author = AGT_THREAD_OURS, .kind = kind, .state = state, .sequence = next});
}

static enum agt_thread_verdict theirs(struct bench *bench, enum kw_thread_kind kind, uint8_t state, uint64_t sequence)
{
	return step(bench,
		(struct agt_thread_event){.author = AGT_THREAD_THEIRS, .kind = kind, .state = state, .sequence = sequence});
}

static struct agt_thread_event opening(enum agt_thread_author author, enum kw_thread_kind kind, uint8_t state)
{
	return (struct agt_thread_event){
		.author = author, .kind = kind, .opening = true, .state = state, .risk = KW_RISK_HIGH, .sequence = 1};
}

#define REFERRAL(name) KW_THREAD_REFERRAL, KW_REFERRAL_##name
#define TRANSFER(name) KW_THREAD_TRANSFER, KW_TRANSFER_##name
#define OFFER(name) KW_THREAD_OFFER, KW_OFFER_##name

static void test_thread_places_end_where_tracks_do(void **state)
{
	(void)state;
	struct bench them = bench();
	step(&them, opening(AGT_THREAD_THEIRS, REFERRAL(QUEUED)));
	assert_int_equal(theirs(&them, REFERRAL(CANCEL_REQUESTED), UINT32_MAX), AGT_THREAD_EARLY);
	assert_int_equal(theirs(&them, REFERRAL(CANCEL_REQUESTED), (uint64_t)UINT32_MAX + 1), AGT_THREAD_ILLEGAL);
	assert_int_equal(them.result.fault, AGT_FAULT_PLACE);
	assert_int_equal(theirs(&them, REFERRAL(CANCEL_REQUESTED), UINT64_MAX), AGT_THREAD_ILLEGAL);
	assert_int_equal(them.thread.expected, 2);
}

static void test_thread_opens_for_both(void **state)
{
	(void)state;
	struct bench sender = bench(), receiver = bench();
	assert_int_equal(step(&sender, opening(AGT_THREAD_OURS, REFERRAL(QUEUED))), AGT_THREAD_APPLY);
	assert_int_equal(sender.thread.party, KW_PARTY_OPENER);
	assert_int_equal(sender.thread.state, KW_REFERRAL_QUEUED);
	assert_int_equal(sender.thread.risk, KW_RISK_HIGH);
	assert_int_equal(sender.thread.next, 2);
	assert_int_equal(sender.thread.expected, 1);
	assert_int_equal(sender.thread.opened_ms, NOW);
	assert_int_equal(step(&receiver, opening(AGT_THREAD_THEIRS, REFERRAL(QUEUED))), AGT_THREAD_APPLY);
	assert_int_equal(receiver.thread.party, KW_PARTY_OTHER);
	assert_int_equal(receiver.thread.state, KW_REFERRAL_DELIVERED);
	assert_int_equal(receiver.thread.next, 1);
	assert_int_equal(receiver.thread.expected, 2);

	/* The receipt; it has no place, and a second one says nothing new. */
	struct agt_thread_event receipt = {
		.author = AGT_THREAD_RECEIPT, .kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_DELIVERED};
	assert_int_equal(step(&sender, receipt), AGT_THREAD_APPLY);
	assert_int_equal(sender.thread.state, KW_REFERRAL_DELIVERED);
	assert_int_equal(sender.thread.expected, 1);
	assert_int_equal(step(&sender, receipt), AGT_THREAD_REPEAT);
}

static void test_thread_needs_an_opening(void **state)
{
	(void)state;
	struct bench one = bench();
	assert_int_equal(ours(&one, REFERRAL(CANCEL_REQUESTED)), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_NO_THREAD);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_NO_THREAD);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 2), AGT_THREAD_EARLY); /* the opening may still come */
	assert_int_equal(one.thread.kind, KW_THREAD_NONE);
	/* States in which no thread begins; the second of them is the hub's word. */
	assert_int_equal(step(&one, opening(AGT_THREAD_THEIRS, REFERRAL(ACCEPTED))), AGT_THREAD_ILLEGAL);
	assert_int_equal(step(&one, opening(AGT_THREAD_THEIRS, KW_THREAD_MATCH, KW_MATCH_SUPERSEDED)), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.thread.kind, KW_THREAD_NONE);
}

static struct bench opened(enum agt_thread_author author)
{
	struct bench one = bench();
	assert_int_equal(step(&one, opening(author, REFERRAL(QUEUED))), AGT_THREAD_APPLY);
	return one;
}

static void test_thread_is_opened_once(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	struct agt_thread_event again = opening(AGT_THREAD_OURS, REFERRAL(QUEUED));
	again.sequence = 2;
	assert_int_equal(step(&one, again), AGT_THREAD_ILLEGAL); /* not even while it would say nothing new */
	assert_int_equal(one.result.fault, AGT_FAULT_OPENED);
	assert_int_equal(one.thread.next, 2);
	assert_int_equal(ours(&one, TRANSFER(WITHDRAW_REQUESTED)), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_KIND);
}

static void test_thread_takes_theirs_in_turn(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	assert_int_equal(theirs(&one, REFERRAL(ACCEPTED), 2), AGT_THREAD_EARLY);
	assert_int_equal(one.thread.state, KW_REFERRAL_QUEUED);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 0), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_PLACE);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_APPLY); /* also before the receipt */
	assert_int_equal(one.thread.changed_ms, one.now_ms - 1);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_REPEAT);
	assert_int_equal(one.result.fault, AGT_FAULT_PLACE);
	assert_int_equal(one.thread.expected, 2);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 2), AGT_THREAD_REPEAT); /* a new message that says the same */
	assert_int_equal(one.result.fault, AGT_FAULT_NONE);
	assert_int_equal(one.thread.expected, 3);
	assert_int_equal(theirs(&one, REFERRAL(ACCEPTED), 3), AGT_THREAD_APPLY);
	assert_int_equal(one.thread.state, KW_REFERRAL_ACCEPTED);
}

static void test_thread_illegal_uses_the_place_and_changes_nothing_else(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	struct agt_thread before = one.thread;
	assert_int_equal(theirs(&one, REFERRAL(COMPLETED), 1), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_STATE);
	assert_int_equal(one.thread.expected, 2);
	before.expected = 2;
	assert_memory_equal(&one.thread, &before, sizeof(before));
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 2), AGT_THREAD_APPLY);
}

static void test_thread_ours_has_the_next_place_only(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	for (uint64_t sequence = 0; sequence <= 3; sequence++) {
		struct bench copy = one;
		enum agt_thread_verdict verdict = step(&copy, (struct agt_thread_event){.author = AGT_THREAD_OURS,
			.kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_CANCEL_REQUESTED, .sequence = sequence});
		assert_int_equal(verdict, sequence == 2 ? AGT_THREAD_APPLY : AGT_THREAD_ILLEGAL);
		assert_int_equal(copy.result.fault, sequence == 2 ? AGT_FAULT_NONE : AGT_FAULT_PLACE);
		assert_int_equal(copy.thread.next, sequence == 2 ? 3 : 2);
	}
}

/* What crossed on the wire is taken from the other side, and not offered to ours. */
static void test_thread_ours_knows_the_state(void **state)
{
	(void)state;
	struct bench receiver = opened(AGT_THREAD_THEIRS), sender = opened(AGT_THREAD_OURS);
	assert_int_equal(ours(&receiver, REFERRAL(ACKNOWLEDGED)), AGT_THREAD_APPLY);
	assert_int_equal(theirs(&receiver, REFERRAL(CANCEL_REQUESTED), 2), AGT_THREAD_APPLY);
	assert_int_equal(ours(&receiver, REFERRAL(REJECTED)), AGT_THREAD_ILLEGAL);
	assert_int_equal(receiver.result.fault, AGT_FAULT_STATE);
	assert_int_equal(theirs(&sender, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_APPLY);
	assert_int_equal(ours(&sender, REFERRAL(CANCEL_REQUESTED)), AGT_THREAD_APPLY);
	assert_int_equal(theirs(&sender, REFERRAL(REJECTED), 2), AGT_THREAD_APPLY); /* it crossed the request */
	assert_int_equal(sender.thread.state, KW_REFERRAL_REJECTED);
}

static void test_thread_that_never_arrived_takes_nothing_of_ours(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	one.thread.failed = true;
	assert_false(agt_thread_is_open(&one.thread));
	assert_false(agt_thread_may(&one.thread, KW_REFERRAL_CANCEL_REQUESTED));
	uint8_t states[KW_STATE_MAX];
	assert_int_equal(agt_thread_choices(&one.thread, states), 0);
	assert_int_equal(ours(&one, REFERRAL(CANCEL_REQUESTED)), AGT_THREAD_ILLEGAL);
	assert_int_equal(one.result.fault, AGT_FAULT_FAILED);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_APPLY); /* it did arrive after all */
	assert_false(one.thread.failed);
	assert_true(agt_thread_is_open(&one.thread));
}

static void test_thread_replays_without_what_was_refused(void **state)
{
	(void)state;
	struct bench one = opened(AGT_THREAD_OURS);
	assert_int_equal(theirs(&one, REFERRAL(ACKNOWLEDGED), 1), AGT_THREAD_APPLY);
	struct agt_thread acknowledged = one.thread;
	struct agt_thread_event first = opening(AGT_THREAD_OURS, REFERRAL(QUEUED));
	first.now_ms = NOW;
	struct agt_thread_event second = {.author = AGT_THREAD_THEIRS, .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_ACKNOWLEDGED, .sequence = 1, .now_ms = acknowledged.changed_ms};
	assert_int_equal(ours(&one, REFERRAL(CANCEL_REQUESTED)), AGT_THREAD_APPLY);
	assert_int_equal(one.thread.state, KW_REFERRAL_CANCEL_REQUESTED);

	agt_thread_rewind(&one.thread, &first);
	assert_int_equal(one.thread.state, KW_REFERRAL_QUEUED);
	agt_thread_again(&one.thread, &second);
	assert_int_equal(one.thread.state, KW_REFERRAL_ACKNOWLEDGED);
	assert_int_equal(one.thread.changed_ms, acknowledged.changed_ms);
	assert_int_equal(one.thread.next, 3); /* the place was used at the other end */
	assert_int_equal(one.thread.expected, 2);
	/* What needed the one that is gone does not count. */
	struct agt_thread_event orphan = {.author = AGT_THREAD_THEIRS, .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_CANCELLED, .sequence = 2, .now_ms = NOW + 50};
	agt_thread_again(&one.thread, &orphan);
	assert_int_equal(one.thread.state, KW_REFERRAL_ACKNOWLEDGED);
}

static struct bench transfer(enum agt_thread_author author)
{
	struct bench one = bench();
	assert_int_equal(step(&one, opening(author, TRANSFER(OFFERED))), AGT_THREAD_APPLY);
	return one;
}

static void test_thread_case_changes_hands_at_accepted(void **state)
{
	(void)state;
	struct bench old = transfer(AGT_THREAD_OURS), new = transfer(AGT_THREAD_THEIRS);
	assert_true(agt_thread_owns(&old.thread));
	assert_false(agt_thread_owns(&new.thread));
	assert_int_equal(ours(&new, TRANSFER(ACKNOWLEDGED)), AGT_THREAD_APPLY);
	assert_false(agt_thread_owns(&new.thread));
	assert_int_equal(ours(&new, TRANSFER(ACCEPTED)), AGT_THREAD_APPLY);
	assert_true(agt_thread_owns(&new.thread));
	assert_int_equal(theirs(&old, TRANSFER(ACKNOWLEDGED), 1), AGT_THREAD_APPLY);
	assert_true(agt_thread_owns(&old.thread)); /* until it knows; DOMAIN §4 counts from the new owner's disk */
	assert_int_equal(theirs(&old, TRANSFER(ACCEPTED), 2), AGT_THREAD_APPLY);
	assert_false(agt_thread_owns(&old.thread));
	assert_int_equal(ours(&new, TRANSFER(HANDOVER_CONFIRMED)), AGT_THREAD_APPLY);
	assert_true(agt_thread_owns(&new.thread));
}

/* The would-be owner asks first: then the one that is asked is the opener of the table. */
static void test_thread_request_makes_the_asked_one_the_owner(void **state)
{
	(void)state;
	struct bench asker = bench(), owner = bench();
	assert_int_equal(step(&asker, opening(AGT_THREAD_OURS, TRANSFER(REQUESTED))), AGT_THREAD_APPLY);
	assert_int_equal(step(&owner, opening(AGT_THREAD_THEIRS, TRANSFER(REQUESTED))), AGT_THREAD_APPLY);
	assert_int_equal(asker.thread.party, KW_PARTY_OTHER);
	assert_int_equal(owner.thread.party, KW_PARTY_OPENER);
	assert_false(agt_thread_owns(&asker.thread));
	assert_true(agt_thread_owns(&owner.thread));
	assert_true(agt_thread_waits_for_us(&owner.thread));
	struct agt_thread_event offer = opening(AGT_THREAD_OURS, TRANSFER(OFFERED));
	assert_int_equal(step(&owner, offer), AGT_THREAD_APPLY); /* an opening that answers */
	assert_int_equal(owner.thread.next, 2);
	offer.author = AGT_THREAD_THEIRS;
	assert_int_equal(step(&asker, offer), AGT_THREAD_APPLY);
	assert_int_equal(asker.thread.state, KW_TRANSFER_OFFERED);
	assert_true(agt_thread_waits_for_us(&asker.thread));
}

static void test_thread_answers_a_withdrawal_unless_it_accepted(void **state)
{
	(void)state;
	struct bench new = transfer(AGT_THREAD_THEIRS);
	assert_int_equal(ours(&new, TRANSFER(ACKNOWLEDGED)), AGT_THREAD_APPLY);
	struct bench accepted = new;
	assert_int_equal(theirs(&new, TRANSFER(WITHDRAW_REQUESTED), 2), AGT_THREAD_APPLY);
	assert_int_equal(new.result.follow, AGT_FOLLOW_WITHDRAWN);
	assert_int_equal(ours(&new, TRANSFER(ACCEPTED)), AGT_THREAD_ILLEGAL); /* it knows: too late */
	assert_int_equal(ours(&new, TRANSFER(WITHDRAWN)), AGT_THREAD_APPLY);
	assert_int_equal(new.result.follow, AGT_FOLLOW_NONE);

	assert_int_equal(ours(&accepted, TRANSFER(ACCEPTED)), AGT_THREAD_APPLY);
	assert_int_equal(theirs(&accepted, TRANSFER(WITHDRAW_REQUESTED), 2), AGT_THREAD_ILLEGAL);
	assert_int_equal(accepted.result.follow, AGT_FOLLOW_NONE);
	assert_true(agt_thread_owns(&accepted.thread));

	/* The old owner's own request asks nothing of itself. */
	struct bench old = transfer(AGT_THREAD_OURS);
	assert_int_equal(ours(&old, TRANSFER(WITHDRAW_REQUESTED)), AGT_THREAD_APPLY);
	assert_int_equal(old.result.follow, AGT_FOLLOW_NONE);
}

static void test_thread_lease_closes_the_other_offers(void **state)
{
	(void)state;
	struct bench sender = bench(), candidate = bench();
	assert_int_equal(step(&sender, opening(AGT_THREAD_OURS, OFFER(OFFERED))), AGT_THREAD_APPLY);
	assert_int_equal(theirs(&sender, OFFER(CLAIMED), 1), AGT_THREAD_APPLY);
	assert_int_equal(sender.result.follow, AGT_FOLLOW_NONE);
	assert_int_equal(ours(&sender, OFFER(LEASED)), AGT_THREAD_APPLY);
	assert_int_equal(sender.result.follow, AGT_FOLLOW_CLOSE_OTHERS);
	assert_int_equal(step(&candidate, opening(AGT_THREAD_THEIRS, OFFER(OFFERED))), AGT_THREAD_APPLY);
	assert_int_equal(ours(&candidate, OFFER(CLAIMED)), AGT_THREAD_APPLY);
	assert_int_equal(theirs(&candidate, OFFER(LEASED), 2), AGT_THREAD_APPLY);
	assert_int_equal(candidate.result.follow, AGT_FOLLOW_NONE);
}

static void test_thread_on_offer_bars_another_until_it_is_over(void **state)
{
	(void)state;
	struct bench owner = bench(), asked = bench(), taker = bench();
	assert_false(agt_thread_bars_offer(&owner.thread));
	assert_int_equal(step(&owner, opening(AGT_THREAD_OURS, TRANSFER(OFFERED))), AGT_THREAD_APPLY);
	assert_true(agt_thread_bars_offer(&owner.thread));
	assert_int_equal(theirs(&owner, TRANSFER(ACKNOWLEDGED), 1), AGT_THREAD_APPLY);
	struct bench back = owner;
	assert_int_equal(theirs(&owner, TRANSFER(ACCEPTED), 2), AGT_THREAD_APPLY);
	assert_true(agt_thread_bars_offer(&owner.thread)); /* given away, and not handed over */
	assert_int_equal(ours(&back, TRANSFER(WITHDRAW_REQUESTED)), AGT_THREAD_APPLY);
	assert_true(agt_thread_bars_offer(&back.thread)); /* nobody knows yet whose it is */
	assert_int_equal(theirs(&back, TRANSFER(WITHDRAWN), 2), AGT_THREAD_APPLY);
	assert_false(agt_thread_bars_offer(&back.thread));
	/* A request binds nobody, and neither does the offer of another. */
	assert_int_equal(step(&asked, opening(AGT_THREAD_THEIRS, TRANSFER(REQUESTED))), AGT_THREAD_APPLY);
	assert_false(agt_thread_bars_offer(&asked.thread));
	assert_int_equal(step(&taker, opening(AGT_THREAD_THEIRS, TRANSFER(OFFERED))), AGT_THREAD_APPLY);
	assert_false(agt_thread_bars_offer(&taker.thread));
}

static void test_thread_says_withdrawn_as_its_kind_can(void **state)
{
	(void)state;
	struct bench referral = bench(), transfer = bench(), offer = bench(), none = bench();
	assert_int_equal(agt_thread_withdrawal(&none.thread), 0);
	assert_int_equal(step(&referral, opening(AGT_THREAD_THEIRS, REFERRAL(QUEUED))), AGT_THREAD_APPLY);
	assert_int_equal(agt_thread_withdrawal(&referral.thread), KW_REFERRAL_CONSENT_WITHDRAWN);
	assert_int_equal(ours(&referral, REFERRAL(CONSENT_WITHDRAWN)), AGT_THREAD_APPLY);
	assert_int_equal(agt_thread_withdrawal(&referral.thread), 0);
	assert_int_equal(step(&transfer, opening(AGT_THREAD_OURS, TRANSFER(OFFERED))), AGT_THREAD_APPLY);
	assert_int_equal(agt_thread_withdrawal(&transfer.thread), KW_TRANSFER_WITHDRAW_REQUESTED);
	assert_int_equal(step(&offer, opening(AGT_THREAD_OURS, OFFER(OFFERED))), AGT_THREAD_APPLY);
	assert_int_equal(agt_thread_withdrawal(&offer.thread), KW_OFFER_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_opens_for_both),
		cmocka_unit_test(test_thread_places_end_where_tracks_do),
		cmocka_unit_test(test_thread_needs_an_opening),
		cmocka_unit_test(test_thread_is_opened_once),
		cmocka_unit_test(test_thread_takes_theirs_in_turn),
		cmocka_unit_test(test_thread_illegal_uses_the_place_and_changes_nothing_else),
		cmocka_unit_test(test_thread_ours_has_the_next_place_only),
		cmocka_unit_test(test_thread_ours_knows_the_state),
		cmocka_unit_test(test_thread_that_never_arrived_takes_nothing_of_ours),
		cmocka_unit_test(test_thread_replays_without_what_was_refused),
		cmocka_unit_test(test_thread_case_changes_hands_at_accepted),
		cmocka_unit_test(test_thread_request_makes_the_asked_one_the_owner),
		cmocka_unit_test(test_thread_answers_a_withdrawal_unless_it_accepted),
		cmocka_unit_test(test_thread_lease_closes_the_other_offers),
		cmocka_unit_test(test_thread_on_offer_bars_another_until_it_is_over),
		cmocka_unit_test(test_thread_says_withdrawn_as_its_kind_can),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
