#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "tests/kit/spool_rig.h"

#include <lmdb.h>

/* Which threads are of one case. What two agencies call alike is not one child; what this agency says is one, is, whatever it is
 * called where. */

static uint32_t holders;
static bool ambiguous;
static uint64_t reached;

static struct kw_id thread_of(uint8_t n)
{
	return id(n);
}

static void open_ours(struct rig *rig, struct said said, const char *local_id, uint8_t from)
{
	said = opens(said);
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = act_from(&said);
	if (local_id != NULL)
		snprintf(op->u.append.claim.local_id, sizeof(op->u.append.claim.local_id), "%s", local_id);
	op->u.append.claim.has_from = from != 0;
	op->u.append.claim.from_thread = thread_of(from);
	op->u.append.claim.consent_anew = said.anew;
	fill_content(op, NULL);
	run(rig, op);
}
#define OURS(rig, local_id, from, ...) open_ours(rig, (struct said){__VA_ARGS__}, local_id, from)
#define OFFER .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED

static struct spool_erasure *question(uint8_t thread, uint8_t action)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(thread), .action = action, .reason = 1, .from = 2, .purposes = 5,
		.asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static void withdrawn(struct spool_op *op, enum kw_err err)
{
	on_done(op, err);
	holders = op->count;
	ambiguous = op->u.withdraw.ambiguous;
	reached = op->u.withdraw.case_id;
}

static uint32_t withdraw_op(struct rig *rig, struct spool_op *op)
{
	op->u.withdraw.erasure = question(0, SPOOL_ERASE_ACTION);
	op->user = rig;
	op->done = withdrawn;
	uint64_t before = rig->done + rig->wrong;
	spool_do(rig->spool, op);
	while (rig->done + rig->wrong == before)
		uv_run(&rig->loop, UV_RUN_ONCE);
	return holders;
}

static uint32_t withdraw(struct rig *rig, const char *case_ref, const char *local_id, uint8_t from)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "%s", case_ref ? case_ref : "");
	snprintf(op->u.withdraw.claim.local_id, sizeof(op->u.withdraw.claim.local_id), "%s", local_id ? local_id : "");
	op->u.withdraw.claim.has_from = from != 0;
	op->u.withdraw.claim.from_thread = thread_of(from);
	return withdraw_op(rig, op);
}

static void asked(struct rig *rig, uint8_t n, uint8_t thread, uint8_t action, bool manual)
{
	struct said said = {.n = n, .thread = thread};
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	op->u.receive.erasure = question(thread, action);
	op->u.receive.erase_manual = manual;
	fill_content(op, NULL);
	run(rig, op);
}

static struct spool_erasure erasure(struct rig *rig, uint8_t thread, const char *agency)
{
	struct kw_id thread_id = id(thread);
	struct kw_name other = name(agency);
	struct spool_erasure out;
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &other, &out), KW_OK);
	return out;
}

static bool is_asked(struct rig *rig, uint8_t thread, const char *agency)
{
	struct kw_id thread_id = id(thread);
	struct kw_name other = name(agency);
	struct spool_erasure out;
	enum kw_err err = spool_erasure(rig->spool, &thread_id, &other, &out);
	assert_true(err == KW_OK || err == KW_ENOTFOUND);
	return err == KW_OK;
}

/* ------------------------------------------------------------------------------------------------------ not one child */

static void test_a_holder_does_not_erase_what_another_calls_alike(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "K-100"));
	OURS(rig, NULL, 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-100"); /* another child */
	theirs(rig, OPENS(.n = 3, .thread = 3, .agency = "agency-d", .case_ref = "K-100")); /* a third */
	asked(rig, 4, 1, SPOOL_ERASE_ACTION, false);
	assert_false(is_asked(rig, 2, "agency-c"));
	assert_false(is_asked(rig, 3, "agency-d"));
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 0);
	/* A person hears of both. */
	struct spool_same_names same;
	struct kw_id one = id(1);
	assert_int_equal(spool_same_names(rig->spool, 0, &one, &same), KW_OK);
	assert_int_equal(same.count, 2);
	struct kw_id second = id(2);
	assert_true(kw_id_equal(&same.list[0].thread_id, &second) || kw_id_equal(&same.list[1].thread_id, &second));
}

static void test_a_withdrawal_does_not_reach_what_another_calls_alike(void **state)
{
	struct rig *rig = *state;
	OURS(rig, NULL, 0, .n = 1, .thread = 1, .case_ref = "K-200");
	theirs(rig, OPENS(.n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-200"));
	theirs(rig, OPENS(.n = 3, .thread = 3, .case_ref = "K-200")); /* nor what the same agency opens: it chose the word */
	assert_int_equal(withdraw(rig, "K-200", NULL, 0), 1);
	assert_true(is_asked(rig, 1, THEM));
	assert_false(is_asked(rig, 2, "agency-c"));
	assert_false(is_asked(rig, 3, THEM));
	struct spool_same_names same;
	assert_int_equal(spool_same_names(rig->spool, reached, NULL, &same), KW_OK);
	assert_int_equal(same.count, 2);
	assert_int_equal(withdraw(rig, NULL, NULL, 2), 1); /* said by thread */
	assert_int_equal(spool_same_names(rig->spool, reached, NULL, &same), KW_OK);
	assert_int_equal(same.count, 1); /* what was asked is not named any more */
}

static void test_a_pseudonym_of_two_others_must_be_told_apart(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "K-5"));
	assert_int_equal(withdraw(rig, "K-6", NULL, 0), 0);
	assert_false(ambiguous);
	theirs(rig, OPENS(.n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-5"));
	assert_int_equal(withdraw(rig, "K-5", NULL, 0), 0);
	assert_true(ambiguous);
	assert_false(is_asked(rig, 1, THEM));
	assert_int_equal(withdraw(rig, NULL, NULL, 1), 1);
	assert_false(is_asked(rig, 2, "agency-c"));
}

/* One pseudonym of ours for two children, with two agencies: the caller's ids tell them apart. */
static void test_one_pseudonym_of_ours_may_stand_for_two_children(void **state)
{
	struct rig *rig = *state;
	OURS(rig, "42", 0, .n = 1, .thread = 1, .case_ref = "K-7");
	OURS(rig, "43", 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-7");
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	OURS(rig, NULL, 0, .n = 3, .thread = 3, .agency = "agency-d", .case_ref = "K-7");
	assert_int_equal(rig->fault, AGT_FAULT_CASE); /* which? */
	assert_int_equal(withdraw(rig, "K-7", NULL, 0), 0);
	assert_true(ambiguous);
	assert_int_equal(withdraw(rig, NULL, "43", 0), 1);
	assert_true(is_asked(rig, 2, "agency-c"));
	assert_false(is_asked(rig, 1, THEM));
}

/* ---------------------------------------------------------------------------------------------------------- one child */

static void test_what_is_passed_on_under_another_name_is_reached(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	OURS(rig, NULL, 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "BC-9");
	asked(rig, 3, 1, SPOOL_ERASE_ACTION, false);
	assert_true(is_asked(rig, 2, "agency-c"));
	struct spool_erasure told = erasure(rig, 2, "agency-c");
	assert_true(told.passed_on);
	assert_int_equal(told.purposes, 5);
	assert_int_equal(told.from, 2);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 1);
	close_spool(rig); /* the case outlives the erasure: what is opened later of the same is of it, too */
	open_spool(rig);
	OURS(rig, NULL, 1, .n = 4, .thread = 4, .agency = "agency-d", .case_ref = "BD-2", .anew = true);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(withdraw(rig, NULL, NULL, 2), 2); /* who asked us as well: it may know of others */
	assert_true(is_asked(rig, 4, "agency-d"));
}

/* Nobody passes on what consent was withdrawn for, unless somebody says that there is a consent anew; that is then on record. */
static void test_what_consent_was_withdrawn_for_is_not_passed_on(void **state)
{
	struct rig *rig = *state;
	OURS(rig, "42", 0, .n = 1, .thread = 1, .case_ref = "K-17");
	assert_int_equal(withdraw(rig, NULL, "42", 0), 1);
	OURS(rig, "42", 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_WITHDRAWN);
	OURS(rig, NULL, 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_WITHDRAWN);
	close_spool(rig); /* as an index, it outlives the erasure and a restart */
	open_spool(rig);
	OURS(rig, "42", 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-18", .now_ms = NOW + 1);
	assert_int_equal(rig->fault, AGT_FAULT_WITHDRAWN);
	OURS(rig, "43", 0, .n = 3, .thread = 3, .agency = "agency-c", .case_ref = "K-19"); /* another child */
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	OURS(rig, "42", 0, .n = 4, .thread = 4, .agency = "agency-c", .case_ref = "K-18", .now_ms = NOW + 1, .anew = true);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	OURS(rig, "42", 0, .n = 5, .thread = 5, .agency = "agency-d", .case_ref = "K-20", .now_ms = NOW + 2);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

/* Consent for tracing is withdrawn: services are not held up. */
static void test_what_it_does_not_need_may_be_withdrawn(void **state)
{
	struct rig *rig = *state;
	OURS(rig, "42", 0, .n = 1, .thread = 1, .case_ref = "K-17");
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.claim.local_id, sizeof(op->u.withdraw.claim.local_id), "42");
	op->u.withdraw.erasure = question(0, 0);
	op->u.withdraw.erasure->purposes = AGT_PURPOSE_TRACING;
	run(rig, op);
	OURS(rig, "42", 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

/* The other side asks again about the same child: it has a consent. */
static void test_the_other_side_may_have_a_new_consent(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	asked(rig, 2, 1, SPOOL_ERASE_ACTION, false); /* purposes 5: services and tracing */
	OURS(rig, NULL, 1, .n = 3, .thread = 3, .agency = "agency-c", .case_ref = "BC-9");
	assert_int_equal(rig->fault, AGT_FAULT_WITHDRAWN);
	theirs(rig, OPENS(.n = 4, .thread = 4, .case_ref = "AB-1", .now_ms = NOW + 1));
	OURS(rig, NULL, 4, .n = 5, .thread = 5, .agency = "agency-c", .case_ref = "BC-9", .now_ms = NOW + 2);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

static uint32_t withdraw_thread(struct rig *rig, uint8_t thread)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	op->u.withdraw.by_thread = true;
	op->u.withdraw.thread_id = thread_of(thread);
	return withdraw_op(rig, op);
}

/* We withdrew one thread alone, and the question of its other end crosses it: that is about the case. */
static void test_questions_that_cross_reach_those_that_we_told(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	OURS(rig, NULL, 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "BC-9");
	assert_int_equal(withdraw_thread(rig, 1), 1);
	assert_false(is_asked(rig, 2, "agency-c"));
	asked(rig, 3, 1, SPOOL_ERASE_ACTION, false);
	assert_true(is_asked(rig, 2, "agency-c"));
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 1);
	assert_int_equal(erasure(rig, 1, THEM).role, SPOOL_ERASURE_OWN);
}

/* They withdrew one thread alone; that we withdraw the case asks them back, so that they ask those that they told. */
static void test_who_asked_for_one_thread_is_asked_for_the_case(void **state)
{
	struct rig *rig = *state;
	OURS(rig, NULL, 0, .n = 1, .thread = 1, .case_ref = "AB-1");
	asked(rig, 3, 1, SPOOL_ERASE_ACTION, false);
	struct spool_erasure before = erasure(rig, 1, THEM);
	assert_int_equal(withdraw(rig, "AB-1", NULL, 0), 1);
	struct spool_erasure after = erasure(rig, 1, THEM);
	assert_true(after.role == SPOOL_ERASURE_OWN && after.outcome == AGT_ERASE_OPEN);
	assert_memory_equal(before.case_tag, after.case_tag, sizeof(after.case_tag)); /* it is found by it as before */
	assert_int_equal(withdraw(rig, "AB-1", NULL, 0), 0);
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(erasure(rig, 1, THEM).role, SPOOL_ERASURE_OWN);
}

static void test_a_restriction_is_passed_on(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	OURS(rig, NULL, 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "BC-9");
	asked(rig, 3, 1, 2, true);
	assert_int_equal(erasure(rig, 2, "agency-c").action, 2);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 1);
	assert_int_equal(erasure(rig, 1, THEM).outcome, SPOOL_ERASE_DONE);
}

static void decide(struct rig *rig, uint8_t thread, uint8_t outcome)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(thread);
	op->u.answer.erasure = question(thread, SPOOL_ERASE_ACTION);
	op->u.answer.erasure->outcome = outcome;
	op->u.answer.erasure->ground = outcome == SPOOL_ERASE_RETAINED ? 2 : 0;
	run(rig, op);
	assert_int_equal(rig->count, 1);
}

static void test_who_keeps_it_by_law_still_asks_those_it_told(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	OURS(rig, NULL, 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "BC-9");
	asked(rig, 3, 1, SPOOL_ERASE_ACTION, true);
	assert_false(is_asked(rig, 2, "agency-c")); /* a person decides first */
	decide(rig, 1, SPOOL_ERASE_RETAINED);
	assert_int_equal(erasure(rig, 2, "agency-c").action, SPOOL_ERASE_ACTION);
	assert_int_equal(erasure(rig, 1, THEM).outcome, SPOOL_ERASE_RETAINED);
	assert_int_equal(erasure(rig, 1, THEM).ground, 2);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 1);
	decide(rig, 1, SPOOL_ERASE_DONE);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, 1); /* who was told is not forgotten, and not told twice */
}

static void test_a_case_is_offered_once_whatever_it_is_called(void **state)
{
	struct rig *rig = *state;
	OURS(rig, "42", 0, .n = 1, .thread = 1, OFFER, .case_ref = "K-17");
	OURS(rig, "42", 0, .n = 2, .thread = 2, .agency = "agency-c", OFFER, .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_OFFERED);
	OURS(rig, NULL, 1, .n = 3, .thread = 3, .agency = "agency-c", OFFER, .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_OFFERED);
	OURS(rig, NULL, 0, .n = 4, .thread = 4, .agency = "agency-c", OFFER, .case_ref = "K-17");
	assert_int_equal(rig->fault, AGT_FAULT_OFFERED);
	OURS(rig, "43", 0, .n = 5, .thread = 5, .agency = "agency-c", OFFER, .case_ref = "K-18");
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	/* What another agency offers to us under the same word does not bar ours. */
	theirs(rig, OPENS(.n = 6, .thread = 6, OFFER, .case_ref = "K-19"));
	OURS(rig, NULL, 0, .n = 7, .thread = 7, .agency = "agency-c", OFFER, .case_ref = "K-19");
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

static void test_an_id_comes_to_what_was_sent_before_it(void **state)
{
	struct rig *rig = *state;
	OURS(rig, NULL, 0, .n = 1, .thread = 1, .case_ref = "K-1");
	OURS(rig, "42", 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-2");
	OURS(rig, "42", 0, .n = 3, .thread = 3, .agency = "agency-d", .case_ref = "K-1"); /* so K-1 was that child all the time */
	assert_int_equal(withdraw(rig, NULL, "42", 0), 3);
	assert_true(is_asked(rig, 1, THEM));
}

static void test_two_cases_of_the_callers_are_never_made_one(void **state)
{
	struct rig *rig = *state;
	OURS(rig, "42", 0, .n = 1, .thread = 1, .case_ref = "K-1");
	OURS(rig, "43", 1, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-2");
	assert_int_equal(rig->fault, AGT_FAULT_CASE);
	OURS(rig, NULL, 9, .n = 3, .thread = 3, .agency = "agency-c", .case_ref = "K-2");
	assert_int_equal(rig->fault, AGT_FAULT_FROM);
	assert_int_equal(withdraw(rig, NULL, "42", 0), 1);
}

/* The new owner's word is its own: its later threads are of the case, those of others are not. */
static void test_the_new_owners_alias(void **state)
{
	struct rig *rig = *state;
	OURS(rig, NULL, 0, .n = 1, .thread = 1, OFFER, .case_ref = "K-17");
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 7, .thread = 1, .sequence = 1));
	struct said said = {.n = 2, .thread = 1, .sequence = 2, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_ACCEPTED};
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	op->u.receive.act = (struct spool_act){.kind = said.kind, .state = said.state, .alias = "J-3"};
	fill_content(op, NULL);
	run(rig, op);
	assert_string_equal(thread(rig, 1).alias, "J-3");
	theirs(rig, OPENS(.n = 3, .thread = 3, .case_ref = "J-3"));
	theirs(rig, OPENS(.n = 4, .thread = 4, .agency = "agency-c", .case_ref = "J-3"));
	assert_int_equal(withdraw(rig, "K-17", NULL, 0), 2);
	assert_true(is_asked(rig, 3, THEM));
	assert_false(is_asked(rig, 4, "agency-c"));
	struct spool_same_names same;
	assert_int_equal(spool_same_names(rig->spool, reached, NULL, &same), KW_OK);
	assert_int_equal(same.count, 1); /* that of agency-c: called like the alias */
}

static void test_our_own_alias(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .thread = 1, OFFER, .case_ref = "K-17"));
	OURS(rig, NULL, 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "J-3"); /* opened here before it was ours */
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 7, .thread = 1, .sequence = 1));
	struct said said = {.n = 3, .thread = 1, .sequence = 2, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_ACCEPTED};
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = (struct spool_act){.kind = said.kind, .state = said.state, .alias = "J-3"};
	fill_content(op, NULL);
	run(rig, op);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	OURS(rig, NULL, 0, .n = 4, .thread = 4, .agency = "agency-d", .case_ref = "J-3");
	asked(rig, 5, 1, SPOOL_ERASE_ACTION, false);
	assert_true(is_asked(rig, 2, "agency-c"));
	assert_true(is_asked(rig, 4, "agency-d"));
}

/* The answer has room for so many; how many more there are is said. */
static void pass_on_to(struct rig *rig, uint8_t count)
{
	theirs(rig, OPENS(.n = 1, .thread = 1, .case_ref = "AB-1"));
	for (uint8_t i = 0; i < count; i++) {
		char agency[16];
		snprintf(agency, sizeof(agency), "far-%u", i);
		OURS(rig, NULL, 1, .n = (uint8_t)(10 + i), .thread = (uint8_t)(10 + i), .agency = agency, .case_ref = "X");
	}
	asked(rig, 2, 1, SPOOL_ERASE_ACTION, false);
}

static void test_all_holders_fit_into_the_answer(void **state)
{
	struct rig *rig = *state;
	pass_on_to(rig, SPOOL_PASSED_MAX);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, SPOOL_PASSED_MAX);
	assert_int_equal(erasure(rig, 1, THEM).passed_more, 0);
}

static void test_one_holder_too_many_is_counted(void **state)
{
	struct rig *rig = *state;
	pass_on_to(rig, SPOOL_PASSED_MAX + 1);
	assert_int_equal(erasure(rig, 1, THEM).passed_count, SPOOL_PASSED_MAX);
	assert_int_equal(erasure(rig, 1, THEM).passed_more, 1);
	for (uint8_t i = 0; i <= SPOOL_PASSED_MAX; i++) {
		char agency[16];
		snprintf(agency, sizeof(agency), "far-%u", i);
		assert_true(is_asked(rig, (uint8_t)(10 + i), agency));
	}
}

/* ------------------------------------------------------------------------------------------------------------- upgrade */

static void put_row(MDB_txn *txn, MDB_dbi dbi, uint8_t number, MDB_val key, struct kw_view payload)
{
	uint8_t row[2048] = {[4] = 1};
	assert_true(payload.size + 5 <= sizeof(row));
	memcpy(row + 5, payload.data, payload.size);
	uint32_t crc = kw_crc32c(kw_crc32c(0, &number, 1), key.mv_data, key.mv_size);
	kw_put_u32(row, kw_crc32c(crc, row + 4, payload.size + 1));
	MDB_val v = {.mv_size = payload.size + 5, .mv_data = row};
	assert_int_equal(mdb_put(txn, dbi, &key, &v, 0), 0);
}

#define THREADS 17 /* the order of enum spool_table is the order on disk */
#define AT_CASE 144u /* at the end of the head of a thread's row; before that the head ended here */

/* The row of a thread without its case, as schema 4 wrote it. */
static void forget_case(MDB_txn *txn, MDB_dbi dbi, MDB_val k, MDB_val v, const uint8_t *row_key)
{
	uint8_t aad[17] = {THREADS};
	uint8_t key[16];
	uint8_t sealed[1024];
	uint8_t plain[1024];
	size_t size = v.mv_size - 5;
	assert_true(k.mv_size == sizeof(key) && size <= sizeof(sealed));
	memcpy(key, k.mv_data, sizeof(key));
	memcpy(aad + 1, key, sizeof(key));
	memcpy(sealed, (const uint8_t *)v.mv_data + 5, size);
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = row_key, .nonce = sealed};
	assert_int_equal(kw_aead_open(&aead, KW_VIEW_OF(aad), KW_VIEW(sealed + 12, size - 12), plain), KW_OK);
	assert_int_not_equal(kw_get_u64(plain + AT_CASE), 0);
	memmove(plain + AT_CASE, plain + AT_CASE + 8, size - 28 - AT_CASE - 8);
	plain[0] = 2;
	size -= 8;
	assert_int_equal(kw_aead_seal(&aead, KW_VIEW_OF(aad), KW_VIEW(plain, size - 28), sealed + 12), KW_OK);
	put_row(txn, dbi, THREADS, (MDB_val){sizeof(key), key}, KW_VIEW(sealed, size));
}

static void make_old(const struct rig *rig)
{
	const struct kw_view rows = kw_view_str("kw1 spool rows");
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(rig->key), .parts = &rows, .parts_count = 1};
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t meta[1024];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = 5, .mv_data = (void *)(uintptr_t)"state"};
	MDB_val v;
	assert_int_equal(kw_hkdf_expand(&hkdf, row_key, SPOOL_KEY_SIZE), KW_OK);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 48), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "cases", 0, &dbi), 0);
	assert_int_equal(mdb_drop(txn, dbi, 1), 0);
	assert_int_equal(mdb_dbi_open(txn, "names", 0, &dbi), 0);
	assert_int_equal(mdb_drop(txn, dbi, 1), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
	memcpy(meta, (const uint8_t *)v.mv_data + 5, v.mv_size - 5);
	assert_int_equal(kw_get_u64(meta), 5);
	kw_put_u64(meta, 4); /* the schema is the first number */
	put_row(txn, dbi, 0, k, KW_VIEW(meta, v.mv_size - 5));
	assert_int_equal(mdb_dbi_open(txn, "threads", 0, &dbi), 0);
	assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
	while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
		forget_case(txn, dbi, k, v, row_key);
	mdb_cursor_close(cursor);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_an_old_spool_gets_its_cases(void **state)
{
	struct rig *rig = *state;
	OURS(rig, NULL, 0, .n = 1, .thread = 1, .case_ref = "K-17");
	OURS(rig, NULL, 0, .n = 2, .thread = 2, .agency = "agency-c", .case_ref = "K-17");
	theirs(rig, OPENS(.n = 3, .thread = 3, .agency = "agency-d", .case_ref = "K-17"));
	theirs(rig, OPENS(.n = 4, .thread = 4, .case_ref = "AB-1"));
	theirs(rig, OPENS(.n = 5, .thread = 5, .case_ref = "AB-1"));
	close_spool(rig);
	make_old(rig);
	open_spool(rig);
	assert_int_not_equal(thread(rig, 1).case_id, 0);
	assert_int_equal(thread(rig, 4).case_id, thread(rig, 5).case_id);
	assert_int_equal(withdraw(rig, "K-17", NULL, 0), 2);
	assert_false(is_asked(rig, 3, "agency-d"));
	assert_int_equal(withdraw(rig, "AB-1", NULL, 0), 2); /* nobody else calls one so */
	OURS(rig, "42", 1, .n = 6, .thread = 6, .agency = "agency-e", .case_ref = "K-99", .anew = true);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(withdraw(rig, "K-17", NULL, 0), 1); /* the same case, under a third name */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_a_holder_does_not_erase_what_another_calls_alike),
		SPOOL_CASE(test_a_withdrawal_does_not_reach_what_another_calls_alike),
		SPOOL_CASE(test_a_pseudonym_of_two_others_must_be_told_apart),
		SPOOL_CASE(test_one_pseudonym_of_ours_may_stand_for_two_children),
		SPOOL_CASE(test_what_is_passed_on_under_another_name_is_reached),
		SPOOL_CASE(test_what_consent_was_withdrawn_for_is_not_passed_on),
		SPOOL_CASE(test_what_it_does_not_need_may_be_withdrawn),
		SPOOL_CASE(test_the_other_side_may_have_a_new_consent),
		SPOOL_CASE(test_questions_that_cross_reach_those_that_we_told),
		SPOOL_CASE(test_who_asked_for_one_thread_is_asked_for_the_case),
		SPOOL_CASE(test_a_restriction_is_passed_on),
		SPOOL_CASE(test_who_keeps_it_by_law_still_asks_those_it_told),
		SPOOL_CASE(test_a_case_is_offered_once_whatever_it_is_called),
		SPOOL_CASE(test_an_id_comes_to_what_was_sent_before_it),
		SPOOL_CASE(test_two_cases_of_the_callers_are_never_made_one),
		SPOOL_CASE(test_the_new_owners_alias),
		SPOOL_CASE(test_our_own_alias),
		SPOOL_CASE(test_all_holders_fit_into_the_answer),
		SPOOL_CASE(test_one_holder_too_many_is_counted),
		SPOOL_CASE(test_an_old_spool_gets_its_cases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
