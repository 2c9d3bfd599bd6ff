/* agent/core/thread_end.c: consent that is withdrawn ends a thread of every kind, in every state that is open, from both sides,
 * in the copies of both and of the hub; and only a purpose without which it cannot go on does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/owner.h"
#include "agent/core/thread.h"
#include "broker/core/thread.h"
#include "proto/wire/clocks.h"

static struct agt_thread at(enum kw_thread_kind kind, uint8_t state, enum kw_party party)
{
	return (struct agt_thread){.kind = kind, .state = state, .party = party, .risk = KW_RISK_HIGH, .expected = 2, .next = 2};
}

static enum agt_thread_verdict step(struct agt_thread *thread, enum agt_thread_author author, uint8_t state)
{
	struct agt_thread_event event = {.author = author, .kind = thread->kind, .state = state, .now_ms = 1,
		.sequence = author == AGT_THREAD_OURS ? thread->next : thread->expected};
	struct agt_thread_result result;
	agt_thread_step(thread, &event, &result);
	*thread = result.next;
	return result.verdict;
}

/* The owner has asked for its offer back, and waits for the other's agent. */
static bool waits(const struct agt_thread *thread)
{
	return thread->kind == KW_THREAD_TRANSFER && thread->state == KW_TRANSFER_WITHDRAW_REQUESTED &&
		thread->party == KW_PARTY_OPENER;
}

static void hub_takes(enum kw_thread_kind kind, uint8_t from, enum kw_party author, uint8_t said, uint8_t became)
{
	struct brk_thread_rules rules = {.keep_ms = 1000};
	kw_clock_limits_default(&rules.limits);
	struct brk_thread hub = {.kind = (uint8_t)kind, .state = from, .risk = KW_RISK_HIGH, .slot = {1, 2}, .sequence = {1, 1}};
	struct kw_clock_thread clocked = {.kind = kind, .state = from, .risk = KW_RISK_HIGH};
	struct brk_track track = {.kind = (uint8_t)kind, .state = said, .risk = KW_RISK_HIGH, .sequence = 2,
		.from_slot = author == KW_PARTY_OPENER ? 1 : 2, .to_slot = author == KW_PARTY_OPENER ? 2 : 1,
		.other_slot = author == KW_PARTY_OPENER ? 2 : 1};
	kw_clock_move(&hub.run, &rules.limits, &clocked, 1);
	assert_int_equal(brk_thread_track(&rules, &hub, &track, 2), BRK_TRACK_MOVED);
	assert_int_equal(hub.state, became);
	if (kw_state_is_open(kind, became))
		return;
	assert_false(brk_thread_is_open(&hub));
	assert_int_equal(hub.run.clock, KW_CLOCK_NONE); /* nobody is reminded of it any more */
}

static void test_every_open_state_ends_from_both_sides_and_at_the_hub(void **state)
{
	(void)state;
	unsigned ended = 0;
	for (int kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			for (int party = KW_PARTY_OPENER; party <= KW_PARTY_OTHER && kw_state_is_open(kind, s); party++) {
				struct agt_thread ours = at(kind, s, party);
				struct agt_thread theirs = at(kind, s, party == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER);
				uint8_t said = agt_thread_withdrawal(&ours);
				if (said == 0 && waits(&ours))
					continue;
				if (said == 0)
					fail_msg("%s: no way out of %s for the %s", kw_thread_kind_name(kind), kw_state_name(kind, s),
						kw_party_name(party));
				assert_int_equal(agt_thread_withdrawal_theirs(&theirs), said);
				assert_int_equal(step(&ours, AGT_THREAD_OURS, said), AGT_THREAD_APPLY);
				assert_int_equal(step(&theirs, AGT_THREAD_THEIRS, said), AGT_THREAD_APPLY);
				assert_int_equal(ours.state, theirs.state);
				hub_takes(kind, s, party, said, ours.state);
				assert_true(!agt_thread_is_open(&ours) || waits(&ours));
				assert_int_equal(agt_thread_due_ms(&ours) != 0, agt_thread_is_open(&ours));
				ended++;
			}
		}
	}
	assert_true(ended > 50);
}

static void test_an_owner_that_waits_is_answered_or_has_a_way_again(void **state)
{
	(void)state;
	struct agt_thread owner = at(KW_THREAD_TRANSFER, KW_TRANSFER_WITHDRAW_REQUESTED, KW_PARTY_OPENER);
	struct agt_thread late = owner;
	assert_int_equal(step(&owner, AGT_THREAD_THEIRS, KW_TRANSFER_WITHDRAWN), AGT_THREAD_APPLY);
	assert_false(agt_thread_is_open(&owner));
	/* An acceptance was on its way: the case is the other's, and the thread still ends. */
	assert_int_equal(step(&late, AGT_THREAD_THEIRS, KW_TRANSFER_ACCEPTED), AGT_THREAD_APPLY);
	assert_int_equal(agt_thread_withdrawal(&late), KW_TRANSFER_CONSENT_WITHDRAWN);
	assert_int_equal(step(&late, AGT_THREAD_OURS, KW_TRANSFER_CONSENT_WITHDRAWN), AGT_THREAD_APPLY);
	assert_false(agt_thread_is_open(&late));
	assert_false(agt_thread_owns(&late));
	struct agt_case about = {.got = 0};
	agt_case_add(&about, &late, 1);
	assert_false(agt_case_is_ours(&about) || agt_case_may_offer(&about)); /* it was given, and is not on offer any more */
	assert_false(about.on_offer);
}

static void test_before_the_acceptance_the_owner_never_ends_it_alone(void **state)
{
	(void)state;
	static const uint8_t before[] = {KW_TRANSFER_OFFERED, KW_TRANSFER_ACKNOWLEDGED};
	for (size_t i = 0; i < sizeof(before); i++) {
		struct agt_thread owner = at(KW_THREAD_TRANSFER, before[i], KW_PARTY_OPENER);
		assert_int_equal(agt_thread_withdrawal(&owner), KW_TRANSFER_WITHDRAW_REQUESTED); /* or two would have the case */
		assert_false(agt_thread_may(&owner, KW_TRANSFER_CONSENT_WITHDRAWN));
	}
}

static void test_what_is_over_says_nothing_but_where_data_may_be(void **state)
{
	(void)state;
	struct agt_thread none = {0}, failed = at(KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, KW_PARTY_OPENER);
	struct agt_thread closed = at(KW_THREAD_TRACING, KW_TRACING_CLOSED, KW_PARTY_OTHER);
	struct agt_thread gone = at(KW_THREAD_TRACING, KW_TRACING_CONSENT_WITHDRAWN, KW_PARTY_OPENER);
	failed.failed = true;
	assert_int_equal(agt_thread_withdrawal(&none), 0);
	assert_int_equal(agt_thread_withdrawal_theirs(&none), 0);
	assert_int_equal(agt_thread_withdrawal(&failed), 0);
	assert_int_equal(agt_thread_withdrawal(&closed), KW_TRACING_CONSENT_WITHDRAWN);
	assert_int_equal(agt_thread_withdrawal(&gone), 0);
	assert_false(agt_thread_may(&gone, KW_TRACING_REOPENED)); /* a new consent is a new case */
}

static void test_only_a_purpose_that_it_needs_ends_a_thread(void **state)
{
	(void)state;
	static const char needed[KW_THREAD_KIND_COUNT][8] = {[KW_THREAD_REFERRAL] = "xx.....", [KW_THREAD_TRANSFER] = "xx.....",
		[KW_THREAD_TRACING] = ".xx....", [KW_THREAD_MATCH] = ".xx....", [KW_THREAD_OFFER] = "xx....."};
	for (int kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		uint8_t others = 0;
		for (int purpose = 0; purpose < 7; purpose++) { /* services, sharing, tracing, reporting, name, photo, authorities */
			bool ends = needed[kind][purpose] == 'x';
			assert_int_equal(agt_thread_ends_without(kind, (uint8_t)(1u << purpose)), ends);
			others |= (uint8_t)(ends ? 0 : 1u << purpose);
			assert_int_equal(agt_thread_ends_without(kind, (uint8_t)(1u << purpose | 0x40u)), ends);
		}
		assert_false(agt_thread_ends_without(kind, others));
		assert_false(agt_thread_ends_without(kind, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_open_state_ends_from_both_sides_and_at_the_hub),
		cmocka_unit_test(test_an_owner_that_waits_is_answered_or_has_a_way_again),
		cmocka_unit_test(test_before_the_acceptance_the_owner_never_ends_it_alone),
		cmocka_unit_test(test_what_is_over_says_nothing_but_where_data_may_be),
		cmocka_unit_test(test_only_a_purpose_that_it_needs_ends_a_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
