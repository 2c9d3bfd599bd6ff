#include "agent/shell/spool_consent.h"
#include "tests/kit/spool_rig.h"

/* Consent that is withdrawn ends the thread, at who asks and at who holds, of every kind: nothing of it is left in todo. */

#define CASE "K-17-pseudonym"

struct list {
	uint32_t count;
	struct spool_follow follows[16];
};

static bool gather(void *user, const struct spool_follow *follow)
{
	struct list *list = user;
	list->follows[list->count++] = *follow;
	return list->count < 16;
}

/* The last state that the agent is to declare by itself; state 0: none. */
static struct spool_follow follow(struct rig *rig)
{
	struct list list = {0};
	struct spool_follow last = {.state = 0};
	assert_int_equal(spool_follows(rig->spool, 0, gather, &list), KW_OK);
	for (uint32_t i = 0; i < list.count; i++)
		last = list.follows[i].what == SPOOL_FOLLOW_STATE ? list.follows[i] : last;
	return last;
}

static uint8_t declares(struct rig *rig)
{
	return follow(rig).state;
}

/* The agent declares it. */
static void declare(struct rig *rig, uint8_t n, uint64_t sequence)
{
	struct spool_follow one = follow(rig);
	ours(rig, moves((struct said){.n = n, .sequence = sequence, .kind = one.kind, .state = one.state, .follow_key = one.key}));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

static struct spool_erasure *question(uint8_t thread)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(thread), .action = SPOOL_ERASE_ACTION, .reason = 1, .from = 1, .purposes = 2,
		.asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static void withdraw(struct rig *rig)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	op->u.withdraw.by_thread = true;
	op->u.withdraw.thread_id = id(200);
	op->u.withdraw.erasure = question(200);
	run(rig, op);
	assert_int_equal(rig->count, 1);
}

/* Their Erase alone: the event that came with it is lost, or waits behind something that was recalled. */
static void asked_to_erase(struct rig *rig)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = 40, .thread = 200}));
	op->u.receive.erasure = question(200);
	fill_content(op, NULL);
	run(rig, op);
}

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

static bool is_open(struct rig *rig)
{
	struct spool_thread one = thread(rig, 200);
	return agt_thread_is_open(&one.record);
}

static void accept_transfer(struct rig *rig)
{
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 2, .sequence = 1));
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 3, .sequence = 2));
}

static void test_a_new_owner_withdraws_after_its_acceptance(void **state)
{
	struct rig *rig = *state;
	accept_transfer(rig);
	assert_int_equal(todo(rig), 1); /* it has to confirm the handover */
	withdraw(rig);
	assert_int_equal(declares(rig), KW_TRANSFER_CONSENT_WITHDRAWN);
	declare(rig, 4, 3);
	assert_int_equal(todo(rig), 0);
}

static void test_a_new_owner_is_asked_after_its_acceptance(void **state)
{
	struct rig *rig = *state;
	accept_transfer(rig);
	asked_to_erase(rig);
	assert_int_equal(state_of(rig), KW_TRANSFER_CONSENT_WITHDRAWN);
	assert_int_equal(todo(rig), 0);
	theirs(rig, SAYS(TRANSFER, CONSENT_WITHDRAWN, .n = 5, .sequence = 2)); /* the event comes after all */
	assert_int_equal(state_of(rig), KW_TRANSFER_CONSENT_WITHDRAWN);
	assert_int_equal(inbox(rig, NULL), 3);
}

static void test_who_is_asked_before_it_accepts_lets_go(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	asked_to_erase(rig);
	assert_int_equal(state_of(rig), KW_TRANSFER_WITHDRAW_REQUESTED);
	assert_int_equal(declares(rig), KW_TRANSFER_WITHDRAWN); /* by itself, as it answers the owner's event */
	declare(rig, 4, 1);
	assert_int_equal(todo(rig), 0);
}

static void test_an_acceptance_that_crosses_ends_all_the_same(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 2, .sequence = 1));
	withdraw(rig);
	assert_int_equal(declares(rig), KW_TRANSFER_WITHDRAW_REQUESTED);
	declare(rig, 3, 2);
	theirs(rig, SAYS(TRANSFER, ACCEPTED, .n = 4, .sequence = 2));
	assert_int_equal(state_of(rig), KW_TRANSFER_ACCEPTED);
	assert_int_equal(declares(rig), KW_TRANSFER_CONSENT_WITHDRAWN);
	declare(rig, 5, 3);
	assert_false(is_open(rig));
	struct spool_thread after = thread(rig, 200);
	assert_false(agt_thread_owns(&after.record));
}

static void test_tracing_ends_at_who_traces(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED));
	asked_to_erase(rig);
	assert_int_equal(state_of(rig), KW_TRACING_CONSENT_WITHDRAWN);
	assert_int_equal(todo(rig), 0);
}

static void test_tracing_ends_at_who_traces_and_hears_it_first(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED));
	theirs(rig, SAYS(TRACING, TRACING, .n = 2, .sequence = 2));
	ours(rig, SAYS(TRACING, FAMILY_LOCATED, .n = 3, .sequence = 1));
	withdraw(rig);
	assert_int_equal(declares(rig), KW_TRACING_CONSENT_WITHDRAWN);
	declare(rig, 4, 2);
	assert_false(is_open(rig));
}

static void test_an_offer_ends_at_who_was_asked(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_OFFER, .state = KW_OFFER_OFFERED));
	assert_int_equal(todo(rig), 1);
	withdraw(rig);
	assert_int_equal(declares(rig), KW_OFFER_DECLINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_new_owner_withdraws_after_its_acceptance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_new_owner_is_asked_after_its_acceptance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_asked_before_it_accepts_lets_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_acceptance_that_crosses_ends_all_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tracing_ends_at_who_traces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tracing_ends_at_who_traces_and_hears_it_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_offer_ends_at_who_was_asked, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
