#include "agent/shell/spool_clear.h"
#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_inner.h"
#include "tests/kit/spool_rig.h"

/* What our own case system has to be cleared of: named until it is confirmed, and gone with its key then. */

#define CASE "K-17-pseudonym"
#define PHOTO 32u
#define SHARING 2u

struct seen {
	uint32_t count;
	struct spool_clear last;
};

static bool look(void *user, const struct spool_clear *clear)
{
	struct seen *seen = user;
	seen->count++;
	seen->last = *clear;
	return true;
}

static struct seen clears(struct rig *rig)
{
	struct seen seen = {0};
	assert_int_equal(spool_clears(rig->spool, look, &seen), KW_OK);
	assert_int_equal(rig->spool->damaged_reads, 0);
	return seen;
}

static void asked(struct rig *rig, uint8_t n, uint8_t action, uint8_t purposes, bool confirmed)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = n, .thread = 200}));
	op->u.receive.erasure = calloc(1, sizeof(*op->u.receive.erasure));
	*op->u.receive.erasure = (struct spool_erasure){.thread_id = id(200), .action = action, .reason = 1, .from = 1,
		.purposes = purposes, .asked_ms = NOW, .effective_ms = NOW};
	op->u.receive.erase_confirmed = confirmed;
	fill_content(op, NULL);
	run(rig, op);
}

/* How many threads were waited for. */
static uint32_t confirm(struct rig *rig)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(200);
	op->u.answer.cleared = true;
	op->u.answer.erasure = calloc(1, sizeof(*op->u.answer.erasure));
	op->u.answer.erasure->answered_ms = NOW + 9;
	run(rig, op);
	return rig->count;
}

static bool count_acks(void *user, const struct spool_follow *follow)
{
	*(uint32_t *)user += follow->what == SPOOL_FOLLOW_ACK;
	return true;
}

static uint32_t acks(struct rig *rig)
{
	uint32_t count = 0;
	assert_int_equal(spool_follows(rig->spool, 0, count_acks, &count), KW_OK);
	return count;
}

/* Keys of such rows in the vault; their numbers are small here. */
static uint32_t keys(struct rig *rig)
{
	uint32_t count = 0;
	for (uint64_t number = 0; number < 100; number++) {
		struct spool_vault_id name = {.size = 9, .bytes = {'c'}};
		uint8_t key[SPOOL_KEY_SIZE];
		kw_put_u64(name.bytes + 1, number);
		count += spool_vault_key(rig->spool, &name, key) == KW_OK;
	}
	return count;
}

static void test_an_erased_case_is_named_until_it_is_confirmed(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	asked(rig, 20, SPOOL_ERASE_ACTION, 0, false);
	assert_int_equal(acks(rig), 1); /* the agent's own copy is gone, and that is said */
	struct spool_thread one = thread(rig, 200);
	assert_string_equal(one.case_ref, "");
	for (int round = 0; round < 2; round++) {
		struct seen seen = clears(rig);
		assert_int_equal(seen.count, 1);
		assert_string_equal(seen.last.case_ref, CASE);
		assert_string_equal(seen.last.agency.text, THEM);
		struct kw_id message = id(101), thread_id = id(200);
		assert_true(kw_id_equal(&seen.last.message_id, &message) && kw_id_equal(&seen.last.thread_id, &thread_id));
		assert_true(seen.last.kind == KW_THREAD_REFERRAL && seen.last.action == SPOOL_ERASE_ACTION && !seen.last.answer_waits);
		assert_int_equal(seen.last.asked_ms, NOW);
		close_spool(rig);
		open_spool(rig);
	}
	assert_int_equal(keys(rig), 1);
	assert_int_equal(confirm(rig), 1);
	assert_int_equal(clears(rig).count, 0);
	assert_int_equal(keys(rig), 0); /* and nothing on the disk names the case any more */
	assert_int_equal(confirm(rig), 0);
	assert_int_equal(acks(rig), 1);
}

static void test_where_it_is_set_done_waits_for_the_word(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	asked(rig, 20, SPOOL_ERASE_ACTION, 0, true);
	struct spool_thread one = thread(rig, 200);
	assert_string_equal(one.case_ref, ""); /* the agent's copy waits for nothing */
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(acks(rig), 0);
	assert_true(clears(rig).last.answer_waits);
	assert_int_equal(confirm(rig), 1);
	assert_int_equal(acks(rig), 1);
	struct kw_id thread_id = id(200);
	struct kw_name agency = name(THEM);
	struct spool_erasure row;
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &agency, &row), KW_OK);
	assert_int_equal(row.outcome, SPOOL_ERASE_DONE);
	assert_int_equal(row.answered_ms, NOW + 9);
}

static void test_a_purpose_is_named_too_and_gives_way_to_the_whole(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	asked(rig, 20, SPOOL_RESTRICT_ACTION, PHOTO, false);
	struct seen seen = clears(rig);
	assert_true(seen.count == 1 && seen.last.limited && seen.last.purposes == PHOTO);
	assert_int_equal(seen.last.action, SPOOL_RESTRICT_ACTION);
	asked(rig, 21, SPOOL_RESTRICT_ACTION, SHARING, false);
	seen = clears(rig);
	assert_true(seen.count == 1 && !seen.last.limited && seen.last.purposes == (PHOTO | SHARING));
	asked(rig, 22, SPOOL_ERASE_ACTION, 0, false);
	seen = clears(rig);
	assert_true(seen.count == 1 && seen.last.action == SPOOL_ERASE_ACTION);
	assert_string_equal(seen.last.case_ref, CASE);
	assert_int_equal(keys(rig), 1);
	asked(rig, 23, SPOOL_ERASE_ACTION, 0, false); /* it asks again, and that is nothing new */
	assert_int_equal(clears(rig).count, 1);
	assert_int_equal(confirm(rig), 1);
	assert_int_equal(keys(rig), 0);
}

static void decide(struct rig *rig, uint8_t outcome)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(200);
	op->u.answer.erasure = calloc(1, sizeof(*op->u.answer.erasure));
	op->u.answer.erasure->outcome = outcome;
	op->u.answer.erasure->ground = 2;
	run(rig, op);
	assert_int_equal(rig->count, 1);
}

/* Nobody shall erase from the case system what a law keeps; once it does not any more, it is to go there too. */
static void test_what_a_law_keeps_is_not_to_be_erased_elsewhere(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = 20, .thread = 200}));
	op->u.receive.erasure = calloc(1, sizeof(*op->u.receive.erasure));
	*op->u.receive.erasure = (struct spool_erasure){.thread_id = id(200), .action = SPOOL_ERASE_ACTION, .reason = 1, .from = 1,
		.asked_ms = NOW, .effective_ms = NOW};
	op->u.receive.erase_manual = true;
	fill_content(op, NULL);
	run(rig, op);
	assert_int_equal(clears(rig).count, 0); /* a person decides first */
	decide(rig, SPOOL_ERASE_RETAINED);
	struct seen seen = clears(rig);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.action, SPOOL_RESTRICT_ACTION);
	decide(rig, SPOOL_ERASE_DONE);
	seen = clears(rig);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.action, SPOOL_ERASE_ACTION);
	assert_string_equal(seen.last.case_ref, CASE);
}

static void test_of_a_case_that_never_came_nothing_is_asked_here(void **state)
{
	struct rig *rig = *state;
	asked(rig, 20, SPOOL_ERASE_ACTION, 0, true);
	assert_int_equal(clears(rig).count, 0);
	assert_int_equal(acks(rig), 1); /* nor does its answer wait for anybody */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_erased_case_is_named_until_it_is_confirmed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_where_it_is_set_done_waits_for_the_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_purpose_is_named_too_and_gives_way_to_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_law_keeps_is_not_to_be_erased_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_a_case_that_never_came_nothing_is_asked_here, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
