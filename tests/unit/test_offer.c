/* agent/core/offer.c: who gets an offered referral. Each rule by itself, and then many thousand random histories, in which
 * what must never happen is looked for after every step. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/core/offer.h"
#include "tests/kit/prng.h"

#define BY 1000

struct bench {
	struct agt_offer offer;
	struct agt_offer_result result;
};

static struct bench bench(uint8_t count, bool manual)
{
	struct bench out = {0};
	agt_offer_init(&out.offer, count, manual, BY);
	return out;
}

static void step(struct bench *bench, enum agt_offer_event_type type, uint8_t member)
{
	struct agt_offer_event event = {.type = type, .member = member, .now_ms = member};
	if (type == AGT_OFFER_EV_TIME)
		event = (struct agt_offer_event){.type = type, .now_ms = BY - 1 + member};
	agt_offer_step(&bench->offer, &event, &bench->result);
	bench->offer = bench->result.next;
}

static void test_offer_goes_to_the_first_claim(void **state)
{
	(void)state;
	struct bench b = bench(8, false);
	step(&b, AGT_OFFER_EV_CLAIM, 5);
	assert_int_equal(b.result.lease, 5);
	assert_false(b.result.refer);
	assert_int_equal(b.result.close, 0); /* nobody is told before the lease is said */
	step(&b, AGT_OFFER_EV_CLAIM, 2);
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	assert_true(agt_offer_may_lease(&b.offer, 5));
	assert_false(agt_offer_may_lease(&b.offer, 2));
	assert_false(agt_offer_may_lease(&b.offer, AGT_OFFER_NOBODY));
	step(&b, AGT_OFFER_EV_LEASE_SENT, 5);
	assert_true(b.result.refer);
	assert_int_equal(b.result.close, 0xff & ~(1u << 5));
	assert_int_equal(b.offer.state, AGT_OFFER_LEASED);
	assert_false(agt_offer_may_lease(&b.offer, 5)); /* said once */
	step(&b, AGT_OFFER_EV_CLAIM, 7); /* too late */
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	assert_int_equal(b.result.close, 0);
}

static void test_offer_claim_given_back_goes_to_the_next(void **state)
{
	(void)state;
	struct bench b = bench(3, false);
	step(&b, AGT_OFFER_EV_CLAIM, 2);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	step(&b, AGT_OFFER_EV_CLAIM, 0);
	step(&b, AGT_OFFER_EV_DECLINE, 2);
	assert_int_equal(b.result.lease, 1); /* in the order of the claims */
	assert_false(agt_offer_may_lease(&b.offer, 2));
	assert_false(b.result.again);
	step(&b, AGT_OFFER_EV_FAILED, 1);
	assert_int_equal(b.result.lease, 0);
	step(&b, AGT_OFFER_EV_DECLINE, 0);
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	assert_true(b.result.escalate); /* nobody is left */
}

static void test_offer_lease_given_back_begins_another_round(void **state)
{
	(void)state;
	struct bench b = bench(4, false);
	uint8_t from[AGT_OFFER_MEMBERS_MAX];
	step(&b, AGT_OFFER_EV_DECLINE, 3);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 1);
	step(&b, AGT_OFFER_EV_DECLINE, 1);
	assert_true(b.result.again);
	assert_int_equal(agt_offer_again(&b.offer, 5 * BY, from), 2);
	assert_int_equal(from[0], 0);
	assert_int_equal(from[1], 2);
	assert_int_equal(b.offer.round, 2);
	assert_int_equal(b.offer.winner, AGT_OFFER_NOBODY);
	assert_int_equal(b.offer.claim_by_ms, 5 * BY);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	assert_int_equal(b.result.lease, 1);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 1);
	step(&b, AGT_OFFER_EV_DECLINE, 1);
	step(&b, AGT_OFFER_EV_DECLINE, 0); /* of one that was closed: nothing */
	assert_int_equal(agt_offer_again(&b.offer, 9 * BY, from), 1);
	step(&b, AGT_OFFER_EV_CLAIM, 0);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 0);
	step(&b, AGT_OFFER_EV_DECLINE, 0);
	assert_int_equal(agt_offer_again(&b.offer, 12 * BY, from), 0);
	assert_true(b.offer.unclaimed);
	assert_int_equal(agt_offer_coordinator(&b.offer), 0);
}

static void test_offer_picked_by_a_person(void **state)
{
	(void)state;
	struct bench b = bench(3, true);
	step(&b, AGT_OFFER_EV_CLAIM, 0);
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	step(&b, AGT_OFFER_EV_PICK, 1);
	assert_int_equal(b.result.refusal, AGT_OFFER_NOT_CLAIMED);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	step(&b, AGT_OFFER_EV_TIME, 1);
	assert_false(b.result.escalate); /* a person has a choice to make */
	step(&b, AGT_OFFER_EV_PICK, 1);
	assert_int_equal(b.result.refusal, AGT_OFFER_TAKEN_ON);
	assert_int_equal(b.result.lease, 1);
	step(&b, AGT_OFFER_EV_PICK, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_HAS_WINNER);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 1);
	step(&b, AGT_OFFER_EV_WITHDRAW, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_HAS_WINNER);
}

static void test_offer_withdrawn(void **state)
{
	(void)state;
	struct bench b = bench(3, false);
	step(&b, AGT_OFFER_EV_DECLINE, 0);
	step(&b, AGT_OFFER_EV_CLAIM, 1); /* chosen, and not told yet */
	step(&b, AGT_OFFER_EV_WITHDRAW, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_TAKEN_ON);
	assert_int_equal(b.result.close, 6);
	assert_false(agt_offer_may_lease(&b.offer, 1));
	step(&b, AGT_OFFER_EV_CLAIM, 2);
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	step(&b, AGT_OFFER_EV_WITHDRAW, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_OVER);
	step(&b, AGT_OFFER_EV_PICK, 1);
	assert_int_equal(b.result.refusal, AGT_OFFER_OVER);
	step(&b, AGT_OFFER_EV_TIME, 50);
	assert_false(b.result.escalate);
}

/* Consent is withdrawn: also of one that is leased, which then goes to nobody else. */
static void test_offer_without_consent(void **state)
{
	(void)state;
	struct bench b = bench(3, false);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	assert_false(agt_offer_may_refer(&b.offer, 1)); /* chosen, and not told yet */
	step(&b, AGT_OFFER_EV_CONSENT, 0);
	assert_int_equal(b.result.close, 7);
	assert_false(agt_offer_may_lease(&b.offer, 1));
	step(&b, AGT_OFFER_EV_CONSENT, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_OVER);

	b = bench(3, false);
	step(&b, AGT_OFFER_EV_CLAIM, 1);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 1);
	assert_true(agt_offer_may_refer(&b.offer, 1));
	assert_false(agt_offer_may_refer(&b.offer, 2));
	assert_false(agt_offer_may_refer(&b.offer, AGT_OFFER_NOBODY));
	step(&b, AGT_OFFER_EV_WITHDRAW, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_HAS_WINNER); /* a person alone may not */
	step(&b, AGT_OFFER_EV_CONSENT, 0);
	assert_int_equal(b.result.refusal, AGT_OFFER_TAKEN_ON);
	assert_int_equal(b.result.close, 2); /* the winner; the others were told before */
	assert_int_equal(b.offer.state, AGT_OFFER_WITHDRAWN);
	assert_false(agt_offer_may_refer(&b.offer, 1));
	step(&b, AGT_OFFER_EV_DECLINE, 1);
	assert_false(b.result.again);
	step(&b, AGT_OFFER_EV_FAILED, 2);
	step(&b, AGT_OFFER_EV_TIME, 50);
	assert_false(b.result.escalate);
	assert_false(b.result.again);
}

static void test_offer_unclaimed_at_its_limit(void **state)
{
	(void)state;
	struct bench b = bench(8, false);
	step(&b, AGT_OFFER_EV_TIME, 0); /* limit - 1 */
	assert_false(b.result.escalate);
	step(&b, AGT_OFFER_EV_TIME, 1); /* limit */
	assert_true(b.result.escalate);
	assert_int_equal(agt_offer_coordinator(&b.offer), 8);
	assert_int_equal(agt_offer_coordinator(&b.offer), AGT_OFFER_NOBODY); /* once */
	step(&b, AGT_OFFER_EV_TIME, 2); /* limit + 1 */
	assert_false(b.result.escalate);
	step(&b, AGT_OFFER_EV_CLAIM, 8); /* the coordinator's claim gives it nothing by itself */
	assert_int_equal(b.result.lease, AGT_OFFER_NOBODY);
	step(&b, AGT_OFFER_EV_CLAIM, 3); /* late, and still of use */
	assert_int_equal(b.result.lease, 3);
	assert_false(b.offer.unclaimed);
	step(&b, AGT_OFFER_EV_LEASE_SENT, 3);
	assert_int_equal(b.result.close, 0x1ff & ~(1u << 3));
}

/* Random histories. A lease that is said may be refused by the other end afterwards, and messages come at any time. */
static void run_history(uint64_t seed)
{
	struct prng prng = {seed};
	struct bench b = bench((uint8_t)prng_range(&prng, 1, 8), prng_below(&prng, 3) == 0);
	uint8_t from[AGT_OFFER_MEMBERS_MAX];
	uint32_t referred = 0, rounds = 1;
	for (int i = 0; i < 60; i++) {
		struct agt_offer before = b.offer;
		enum agt_offer_event_type type = (enum agt_offer_event_type)prng_below(&prng, AGT_OFFER_EV_TIME + 1);
		uint8_t member = b.offer.count == 0 ? 0 : (uint8_t)prng_below(&prng, b.offer.count);
		if (type == AGT_OFFER_EV_LEASE_SENT && b.offer.winner != AGT_OFFER_NOBODY)
			member = b.offer.winner;
		if (type == AGT_OFFER_EV_LEASE_SENT && !agt_offer_may_lease(&b.offer, member))
			continue; /* the writer refuses it */
		if (b.offer.count == 0 && type < AGT_OFFER_EV_WITHDRAW)
			continue;
		if (type == AGT_OFFER_EV_WITHDRAW && prng_below(&prng, 8) != 0)
			continue;
		step(&b, type, member);
		if (b.result.lease != AGT_OFFER_NOBODY) {
			assert_int_equal(before.winner == AGT_OFFER_NOBODY || before.winner == member, 1);
			assert_int_equal(b.offer.members[b.result.lease].state, AGT_MEMBER_CLAIMED);
			assert_true(type == AGT_OFFER_EV_PICK || (!b.offer.manual && !b.offer.members[b.result.lease].coordinator));
		}
		uint32_t may = 0;
		for (uint8_t m = 0; m < b.offer.count; m++)
			may += agt_offer_may_lease(&b.offer, m);
		assert_in_range(may, 0, 1);
		referred += b.result.refer;
		if (b.offer.winner != AGT_OFFER_NOBODY)
			assert_int_equal((b.result.close >> b.offer.winner) & 1, 0);
		if (b.offer.state == AGT_OFFER_LEASED)
			assert_int_not_equal(b.offer.winner, AGT_OFFER_NOBODY);
		if (b.result.again) {
			rounds++;
			agt_offer_again(&b.offer, BY, from);
		}
		if (b.result.escalate)
			agt_offer_coordinator(&b.offer);
		assert_true(referred <= rounds); /* one in each round: it takes a lease given back to have another */
	}
}

static void test_offer_has_one_winner_in_any_history(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50000; seed++)
		run_history(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer_goes_to_the_first_claim),
		cmocka_unit_test(test_offer_claim_given_back_goes_to_the_next),
		cmocka_unit_test(test_offer_lease_given_back_begins_another_round),
		cmocka_unit_test(test_offer_picked_by_a_person),
		cmocka_unit_test(test_offer_withdrawn),
		cmocka_unit_test(test_offer_without_consent),
		cmocka_unit_test(test_offer_unclaimed_at_its_limit),
		cmocka_unit_test(test_offer_has_one_winner_in_any_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
