#include "agent/shell/spool_consent.h"
#include "tests/kit/spool_rig.h"

/* Whose a case is: the writer adds up the transfers of it before it lets one more begin, and before it takes an acceptance
 * back that never arrived. */

#define OFFERS(...) OPENS(.kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED, __VA_ARGS__)

/* Ours goes to them: accepted, under a pseudonym of theirs, and handed over. */
static void give(struct rig *rig, uint8_t n, uint8_t thread, const char *case_ref, const char *alias)
{
	ours_from(rig, thread == 202 ? 200 : 0, OFFERS(.n = n, .thread = thread, .case_ref = case_ref));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = (uint8_t)(n + 50), .thread = thread, .sequence = 1));
	theirs(rig, SAYS(TRANSFER, ACCEPTED, .n = (uint8_t)(n + 51), .thread = thread, .sequence = 2, .alias = alias));
	theirs(rig, SAYS(TRANSFER, HANDOVER_CONFIRMED, .n = (uint8_t)(n + 52), .thread = thread, .sequence = 3));
	ours(rig, SAYS(TRANSFER, COMPLETE, .n = (uint8_t)(n + 1), .thread = thread, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

/* Theirs becomes ours; messages n and n + 1 are ours. */
static void get(struct rig *rig, uint8_t n, uint8_t thread, const char *case_ref, const char *alias)
{
	theirs(rig, OFFERS(.n = (uint8_t)(n + 50), .thread = thread, .case_ref = case_ref));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = n, .thread = thread, .sequence = 1));
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = (uint8_t)(n + 1), .thread = thread, .sequence = 2, .alias = alias));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

static bool owned(struct rig *rig)
{
	struct spool_thread one = thread(rig, 200);
	return agt_thread_owns(&one.record);
}

static enum agt_thread_fault offer(struct rig *rig, uint8_t n, uint8_t thread, const char *case_ref, uint8_t from)
{
	ours_from(rig, from, OFFERS(.n = n, .thread = thread, .agency = "agency-c", .case_ref = case_ref));
	return rig->fault;
}

static void test_a_former_owner_does_not_offer_it_again(void **state)
{
	struct rig *rig = *state;
	give(rig, 1, 200, "K-17", "J-3");
	assert_int_equal(state_of(rig), KW_TRANSFER_COMPLETE);
	assert_int_equal(offer(rig, 3, 201, "K-17", 0), AGT_FAULT_GIVEN);
	assert_int_equal(offer(rig, 3, 201, "J-3", 200), AGT_FAULT_GIVEN); /* by another name */
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(offer(rig, 3, 201, "K-17", 0), AGT_FAULT_GIVEN);
	assert_int_equal(offer(rig, 3, 201, "K-18", 0), AGT_FAULT_NONE);
	assert_int_equal(offer(rig, 4, 202, "K-18", 0), AGT_FAULT_OFFERED);
}

static void test_it_is_offered_again_when_it_came_back(void **state)
{
	struct rig *rig = *state;
	give(rig, 1, 200, "K-17", "J-3");
	get(rig, 10, 201, "J-3", "K-90"); /* under their name, and we give it another */
	assert_int_equal(offer(rig, 20, 202, "K-17", 0), AGT_FAULT_NONE);
	assert_int_equal(offer(rig, 21, 203, "K-90", 0), AGT_FAULT_OFFERED);
	assert_int_equal(offer(rig, 21, 203, "J-3", 201), AGT_FAULT_OFFERED);
}

static void test_what_was_given_to_us_is_given_once(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OFFERS(.n = 60, .thread = 200, .case_ref = "J-5"));
	assert_int_equal(offer(rig, 1, 201, "J-5", 200), AGT_FAULT_GIVEN); /* it is theirs until we accept it */
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 2, .sequence = 1));
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 3, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	give(rig, 20, 202, "J-5", NULL);
	assert_int_equal(offer(rig, 30, 203, "J-5", 0), AGT_FAULT_GIVEN);
}

static void test_until_it_is_handed_over_the_words_are_others(void **state)
{
	struct rig *rig = *state;
	ours(rig, OFFERS(.n = 1, .case_ref = "K-17"));
	assert_int_equal(offer(rig, 2, 201, "K-17", 0), AGT_FAULT_OFFERED);
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 51, .sequence = 1));
	theirs(rig, SAYS(TRANSFER, ACCEPTED, .n = 52, .sequence = 2));
	assert_int_equal(offer(rig, 2, 201, "K-17", 0), AGT_FAULT_OFFERED);
}

static void withdraw(struct rig *rig, const char *case_ref)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "%s", case_ref);
	op->u.withdraw.erasure = calloc(1, sizeof(*op->u.withdraw.erasure));
	*op->u.withdraw.erasure = (struct spool_erasure){
		.action = SPOOL_ERASE_ACTION, .reason = 1, .from = 1, .purposes = 2, .asked_ms = NOW, .effective_ms = NOW};
	run(rig, op);
}

static void test_erasure_does_not_make_it_ours(void **state)
{
	struct rig *rig = *state;
	give(rig, 1, 200, "K-17", "J-3");
	withdraw(rig, "K-17");
	assert_string_equal(thread(rig, 200).case_ref, "");
	assert_int_equal(offer(rig, 3, 201, "J-3", 200), AGT_FAULT_WITHDRAWN);
	ours_from(rig, 200, OFFERS(.n = 3, .thread = 201, .agency = "agency-c", .case_ref = "J-3", .anew = true));
	assert_int_equal(rig->fault, AGT_FAULT_GIVEN);
	ours_from(rig, 0, OFFERS(.n = 3, .thread = 201, .agency = "agency-c", .case_ref = "K-17", .anew = true));
	assert_int_equal(rig->fault, AGT_FAULT_GIVEN);
}

/* An acceptance which the hub says never arrived. */
static void test_an_acceptance_stands_when_the_case_has_gone_on(void **state)
{
	struct rig *rig = *state;
	get(rig, 1, 200, "J-5", NULL);
	notice(rig, 2, KW_EEXPIRED, 0);
	assert_false(owned(rig)); /* it is still here: taken back */
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 3, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(offer(rig, 4, 201, "J-5", 200), AGT_FAULT_NONE);
	notice(rig, 3, KW_EEXPIRED, 0);
	assert_true(owned(rig)); /* agency-c may accept it any moment */
	assert_int_equal(sent(rig, 3).reason, KW_EUNCONFIRMED); /* a person hears of it, and the old owner with our next word */
	struct spool_gap gaps[SPOOL_GAPS_MAX];
	uint32_t count = 0;
	ours(rig, SAYS(TRANSFER, HANDOVER_CONFIRMED, .n = 6, .sequence = 3));
	struct spool_item next = sent(rig, 6);
	assert_int_equal(spool_gaps(rig->spool, &next, gaps, &count), KW_OK);
	assert_int_equal(count, 1);
	assert_int_equal(gaps[0].state, KW_TRANSFER_ACCEPTED);
	assert_int_equal(thread(rig, 200).record.next, 4);
}

/* Nor what an acceptance stands on. */
static void test_an_acceptance_does_not_fall_with_another_message(void **state)
{
	struct rig *rig = *state;
	get(rig, 1, 200, "J-5", NULL);
	assert_int_equal(offer(rig, 4, 201, "J-5", 200), AGT_FAULT_NONE);
	notice(rig, 1, KW_EOPEN, 0);
	assert_true(owned(rig));
}

static void test_a_hub_without_its_memory_proves_nothing(void **state)
{
	struct rig *rig = *state;
	get(rig, 1, 200, "J-5", NULL);
	for (uint64_t epoch = 8; epoch < 10; epoch++) { /* nobody has heard whether the first one had it */
		struct spool_op *op = spool_op_new(SPOOL_OP_EPOCH);
		op->u.epoch = epoch;
		run(rig, op);
	}
	notice(rig, 2, KW_EEXPIRED, 0);
	assert_true(owned(rig));
	assert_int_equal(sent(rig, 2).reason, KW_EUNCONFIRMED);
}

static void test_a_withdrawal_recalls_no_acceptance(void **state)
{
	struct rig *rig = *state;
	get(rig, 1, 200, "J-5", NULL);
	ours_from(rig, 200, OPENS(.n = 5, .thread = 210, .case_ref = "J-5")); /* a referral, for the difference */
	withdraw(rig, "J-5");
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	assert_int_equal(sent(rig, 2).state, SPOOL_QUEUED);
	assert_int_equal(sent(rig, 5).reason, KW_ERECALLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_a_former_owner_does_not_offer_it_again),
		SPOOL_CASE(test_it_is_offered_again_when_it_came_back),
		SPOOL_CASE(test_what_was_given_to_us_is_given_once),
		SPOOL_CASE(test_until_it_is_handed_over_the_words_are_others),
		SPOOL_CASE(test_erasure_does_not_make_it_ours),
		SPOOL_CASE(test_an_acceptance_stands_when_the_case_has_gone_on),
		SPOOL_CASE(test_an_acceptance_does_not_fall_with_another_message),
		SPOOL_CASE(test_a_hub_without_its_memory_proves_nothing),
		SPOOL_CASE(test_a_withdrawal_recalls_no_acceptance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
