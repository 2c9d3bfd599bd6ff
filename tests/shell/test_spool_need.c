#include <lmdb.h>

#include "agent/shell/spool_inner.h"
#include "tests/kit/spool_rig.h"

/* What only a person can mend stands first in todo and on the list of cases, though nothing of it is our move. */

struct seen {
	uint32_t count;
	uint8_t threads[8];
};

static bool look(void *user, const struct spool_thread *one)
{
	struct seen *seen = user;
	seen->threads[seen->count++] = one->thread_id.bytes[0];
	return seen->count < 8;
}

static struct seen todo(struct rig *rig)
{
	struct seen seen = {0};
	assert_int_equal(spool_todo(rig->spool, look, &seen), KW_OK);
	return seen;
}

static bool is_listed(struct rig *rig, uint8_t n)
{
	struct spool_thread_query query = {.open = true};
	struct seen seen = {0};
	uint64_t next = 0;
	assert_int_equal(spool_threads(rig->spool, &query, look, &seen, &next), KW_OK);
	for (uint32_t i = 0; i < seen.count; i++)
		if (seen.threads[i] == n)
			return true;
	return false;
}

/* The hub's word on a thread, or only its reminder. */
static void hub_says(struct rig *rig, uint8_t n, uint8_t thread, uint8_t state, uint8_t step)
{
	struct said said = {.n = n, .thread = thread, .kind = KW_THREAD_REFERRAL, .state = state};
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = n};
	op->u.notice.item = item_of(&said);
	op->u.notice.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .state = state != 0 ? state : KW_REFERRAL_DELIVERED};
	op->u.notice.step = step;
	op->u.notice.now_ms = NOW + n;
	fill_content(op, NULL);
	run(rig, op);
}

/* 201 waits for us, by a clock that has run out long ago. */
static void our_move(struct rig *rig)
{
	theirs(rig, OPENS(.n = 1, .thread = 201, .now_ms = NOW - 1000 * (int64_t)HOUR));
	assert_int_equal(todo(rig).threads[0], 201);
}

static void stands_first(struct rig *rig)
{
	assert_int_equal(todo(rig).count, 2);
	assert_int_equal(todo(rig).threads[0], 200);
	assert_true(is_listed(rig, 200));
}

static void test_an_undeliverable_referral_stands_first_until_it_is_cancelled(void **state)
{
	struct rig *rig = *state;
	our_move(rig);
	ours(rig, OPENS(.n = 2));
	assert_int_equal(todo(rig).count, 1);
	notice(rig, 2, KW_ENOAGENCY, 0);
	assert_int_equal(state_of(rig), KW_REFERRAL_UNDELIVERABLE);
	stands_first(rig);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = thread(rig, 200).record.next));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(todo(rig).count, 1);
	assert_int_equal(todo(rig).threads[0], 201);
}

static void test_an_expired_referral_stands_first_until_somebody_answers(void **state)
{
	struct rig *rig = *state;
	our_move(rig);
	ours(rig, OPENS(.n = 2));
	hub_says(rig, 30, 200, KW_REFERRAL_EXPIRED, 200);
	assert_int_equal(state_of(rig), KW_REFERRAL_EXPIRED);
	stands_first(rig);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 4, .sequence = 1));
	assert_int_equal(todo(rig).count, 1);
	assert_true(is_listed(rig, 200)); /* it is open again */
}

static void test_who_has_to_telephone_sees_it_first_until_it_moves(void **state)
{
	struct rig *rig = *state;
	our_move(rig);
	ours(rig, OPENS(.n = 2));
	hub_says(rig, 30, 200, 0, 150);
	assert_int_equal(todo(rig).count, 1);
	hub_says(rig, 31, 200, 0, 200);
	stands_first(rig);
	hub_says(rig, 32, 200, 0, 150); /* to a supervisor, in the same queue: it came later, and the case is no less late */
	stands_first(rig);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 4, .sequence = 1));
	assert_int_equal(todo(rig).count, 1);
}

/* As a version wrote it that lists open threads only. */
static void test_an_older_order_is_made_anew_with_them(void **state)
{
	struct rig *rig = *state;
	our_move(rig);
	ours(rig, OPENS(.n = 2));
	hub_says(rig, 30, 200, KW_REFERRAL_EXPIRED, 200);
	struct spool_op *op = spool_op_new(SPOOL_OP_SWEEP); /* the numbers are written with the next operation */
	rig->spool->numbers[N_TODO] = 1;
	op->u.sweep.now_ms = NOW;
	op->u.sweep.rows_max = 1;
	run(rig, op);
	MDB_txn *txn;
	assert_int_equal(mdb_txn_begin(rig->spool->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_drop(txn, rig->spool->tables[T_TODO], 0), 0);
	assert_int_equal(mdb_drop(txn, rig->spool->tables[T_OPEN], 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(todo(rig).count, 0);
	close_spool(rig);
	open_spool(rig);
	stands_first(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_undeliverable_referral_stands_first_until_it_is_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_expired_referral_stands_first_until_somebody_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_has_to_telephone_sees_it_first_until_it_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_older_order_is_made_anew_with_them, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
