#include "agent/shell/spool_consent.h"
#include "tests/kit/spool_rig.h"

/* What was said about consent and did not arrive: it stands on the list again, and among what has no answer. */

#define CASE "K-17-pseudonym"

static uint8_t next_n = 20;

static struct spool_erasure *question(uint8_t thread, uint8_t action)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(thread), .action = action, .reason = 1, .from = 1, .purposes = 2,
		.asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static void withdraw(struct rig *rig, uint8_t action)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), CASE);
	op->u.withdraw.erasure = question(0, action);
	run(rig, op);
}

static void asked_to_erase(struct rig *rig, uint8_t n)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&(struct said){.n = n, .thread = 200});
	op->u.receive.erasure = question(200, SPOOL_ERASE_ACTION);
	fill_content(op, NULL);
	run(rig, op);
}

/* What the agent does with the first follow-up of a kind, but for the sealing. Returns the envelope's number. */
static uint8_t say(struct rig *rig, enum spool_follow_what what)
{
	struct follow_list list = pending(rig);
	uint32_t at = 0;
	while (at < list.count && list.follows[at].what != what)
		at++;
	assert_true(at < list.count);
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	uint8_t n = next_n++;
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox[KW_NORMAL];
	op->u.append.envelope_id = id(n);
	op->u.append.expiry_hour = NOW / HOUR + 24 * 45;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = NOW;
	op->u.append.fresh = true;
	op->u.append.follow_key = list.follows[at].key;
	op->u.append.follow_what = what;
	op->u.append.item = item_of(&(struct said){.n = n, .thread = 200});
	fill_content(op, NULL);
	run(rig, op);
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	return n;
}

static struct spool_erasure erasure(struct rig *rig)
{
	struct kw_id thread_id = id(200);
	struct kw_name agency = name(THEM);
	struct spool_erasure out;
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &agency, &out), KW_OK);
	return out;
}

static void test_an_erase_that_the_hub_gives_back_is_said_again(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	withdraw(rig, SPOOL_ERASE_ACTION);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 1);
	static const enum kw_err gone[] = {KW_ENOAGENCY, KW_EDENIED, KW_ENOAGENCY, KW_EEXPIRED};
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		uint8_t n = say(rig, SPOOL_FOLLOW_ERASE);
		assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 0);
		assert_int_equal(erasure(rig).failure, KW_OK);
		notice(rig, n, gone[i], 0);
		assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 1);
		assert_int_equal(erasure(rig).outcome, 0); /* without an answer, and it says why */
		assert_int_equal(erasure(rig).failure, gone[i] == KW_EEXPIRED ? KW_OK : gone[i]);
		close_spool(rig);
		open_spool(rig);
		assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 1);
	}
	/* One that is held up for another reason is a person's to see. */
	uint8_t n = say(rig, SPOOL_FOLLOW_ERASE);
	notice(rig, n, KW_ETOOBIG, 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 0);
	assert_int_equal(erasure(rig).failure, KW_ETOOBIG);
}

static void test_a_restriction_that_the_hub_gives_back_is_said_again(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	withdraw(rig, SPOOL_ERASE_ACTION + 1);
	notice(rig, say(rig, SPOOL_FOLLOW_CONSENT), KW_EDENIED, 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_CONSENT), 1);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 0);
}

static void test_an_answer_that_the_hub_gives_back_is_said_again(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	asked_to_erase(rig, 2);
	static const enum kw_err gone[] = {KW_ENOAGENCY, KW_EDENIED, KW_EEXPIRED, KW_EUNCONFIRMED};
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		assert_int_equal(waiting(rig, SPOOL_FOLLOW_ACK), 1);
		uint8_t n = say(rig, SPOOL_FOLLOW_ACK);
		assert_int_equal(waiting(rig, SPOOL_FOLLOW_ACK), 0);
		notice(rig, n, gone[i], 0);
	}
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ACK), 1);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 0); /* we were asked: nothing is asked of them */
	assert_int_equal(erasure(rig).outcome, SPOOL_ERASE_DONE);
	assert_int_equal(erasure(rig).sent, 0);
	uint8_t n = say(rig, SPOOL_FOLLOW_ACK);
	receipt(rig, n, KW_OK, true);
	notice(rig, n, KW_ENOAGENCY, 0); /* it had arrived */
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ACK), 0);
}

static void test_the_question_is_the_erase_and_not_what_informs_beside_it(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	withdraw(rig, SPOOL_ERASE_ACTION);
	uint8_t erase = say(rig, SPOOL_FOLLOW_ERASE);
	uint8_t update = say(rig, SPOOL_FOLLOW_CONSENT); /* it could not be sent at first */
	notice(rig, update, KW_EEXPIRED, 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 0);
	notice(rig, erase, KW_EEXPIRED, 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 1);
}

static void test_who_had_asked_too_answers_again_when_its_answer_is_lost(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	withdraw(rig, SPOOL_ERASE_ACTION);
	uint8_t question = say(rig, SPOOL_FOLLOW_ERASE);
	asked_to_erase(rig, 2);
	assert_int_equal(erasure(rig).role, SPOOL_ERASURE_OWN);
	uint8_t answer = say(rig, SPOOL_FOLLOW_ACK);
	notice(rig, answer, KW_EEXPIRED, 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ACK), 1);
	assert_int_equal(erasure(rig).answer, 0);
	close_spool(rig);
	open_spool(rig);
	(void)say(rig, SPOOL_FOLLOW_ACK);
	assert_true(erasure(rig).answer != 0 && erasure(rig).answer != erasure(rig).number);
	notice(rig, question, KW_EEXPIRED, 0); /* it still knows which one was the question */
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_ERASE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_an_erase_that_the_hub_gives_back_is_said_again),
		SPOOL_CASE(test_a_restriction_that_the_hub_gives_back_is_said_again),
		SPOOL_CASE(test_an_answer_that_the_hub_gives_back_is_said_again),
		SPOOL_CASE(test_the_question_is_the_erase_and_not_what_informs_beside_it),
		SPOOL_CASE(test_who_had_asked_too_answers_again_when_its_answer_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
