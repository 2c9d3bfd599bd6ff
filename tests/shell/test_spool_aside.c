/* What could not be opened, as the spool keeps it: how much of it, and what is said of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/shell/spool_aside.h"
#include "agent/shell/spool_inner.h"
#include "tests/kit/spool_rig.h"

static void set_aside(struct rig *rig, struct kw_view bytes, const char *reason)
{
	struct spool_item item = {.at_ms = NOW + 5};
	struct spool_op *op = arrival_op(SPOOL_UNOPENED, ++rig->arrived, item);
	op->box = spool_box_new(bytes);
	assert_non_null(op->box);
	op->u.receive.failure = KW_EOPEN;
	op->u.receive.aside_reason = reason;
	run(rig, op);
}

struct found {
	uint32_t count;
	struct spool_aside first;
	struct spool_aside last;
};

static bool on_aside(void *user, const struct spool_aside *aside)
{
	struct found *found = user;
	if (found->count == 0)
		found->first = *aside;
	found->last = *aside;
	found->count++;
	return true;
}

static uint64_t find(struct rig *rig, uint64_t after, uint32_t limit, struct found *found)
{
	struct spool_query query = {.after = after, .limit = limit};
	uint64_t next = 0;
	*found = (struct found){.count = 0};
	assert_int_equal(spool_asides(rig->spool, &query, on_aside, found, &next), KW_OK);
	return next;
}

/* The newest SPOOL_ASIDE_MAX are kept; the count is of all that ever came. */
static void test_the_oldest_makes_way_for_one_more(void **state)
{
	struct rig *rig = *state;
	struct found found;
	for (uint32_t i = 0; i < SPOOL_ASIDE_MAX; i++)
		set_aside(rig, kw_view_str("rubbish"), "structure");
	uint64_t next = find(rig, 0, SPOOL_LIST_MAX, &found);
	assert_int_equal(found.count, SPOOL_LIST_MAX);
	assert_int_equal(found.first.number, 1);
	assert_int_equal(next, SPOOL_LIST_MAX);
	assert_int_equal(find(rig, next, SPOOL_LIST_MAX, &found), 0);
	assert_int_equal(found.count, SPOOL_ASIDE_MAX - SPOOL_LIST_MAX);
	set_aside(rig, kw_view_str("more"), "structure");
	(void)find(rig, 0, 1, &found);
	assert_int_equal(found.first.number, 2);
	assert_int_equal(find(rig, SPOOL_ASIDE_MAX, 10, &found), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.first.number, SPOOL_ASIDE_MAX + 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_UNOPENED), SPOOL_ASIDE_MAX + 1);
	close_spool(rig);
	open_spool(rig);
	(void)find(rig, 0, 1, &found);
	assert_int_equal(found.first.number, 2);
	set_aside(rig, kw_view_str("more"), "structure");
	(void)find(rig, 0, 1, &found);
	assert_int_equal(found.first.number, 3);
}

static void test_what_is_said_of_one(void **state)
{
	struct rig *rig = *state;
	struct found found;
	char reason[SPOOL_ASIDE_REASON_SIZE_MAX + 2];
	memset(reason, 'r', sizeof(reason) - 1);
	reason[SPOOL_ASIDE_REASON_SIZE_MAX + 1] = '\0'; /* one too long: cut */
	set_aside(rig, kw_view_str("seven b"), reason);
	(void)find(rig, 0, 10, &found);
	assert_int_equal(found.count, 1);
	reason[SPOOL_ASIDE_REASON_SIZE_MAX] = '\0';
	assert_string_equal(found.last.reason, reason);
	set_aside(rig, kw_view_str(""), reason); /* as long as it may be */
	(void)find(rig, 1, 10, &found);
	assert_string_equal(found.last.reason, reason);
	assert_int_equal(found.last.size, 0);
	set_aside(rig, kw_view_str("KWA1 is how it begins"), NULL);
	(void)find(rig, 2, 10, &found);
	assert_string_equal(found.last.reason, "");
	assert_int_equal(found.last.size, 21);
	assert_int_equal(found.last.error, KW_EOPEN);
	assert_int_equal(found.last.at_ms, NOW + 5);
	assert_false(found.last.readable);
}

/* An agent of before kept the envelope alone. */
static void test_a_row_of_an_older_agent_is_shown_as_far_as_it_goes(void **state)
{
	struct rig *rig = *state;
	struct found found;
	MDB_txn *txn;
	uint8_t key[8];
	set_aside(rig, kw_view_str("one"), "slot");
	kw_put_u64(key, 1);
	assert_int_equal(mdb_txn_begin(rig->spool->env, NULL, 0, &txn), 0);
	assert_int_equal(spool_put(rig->spool, txn, T_ASIDE, KW_VIEW_OF(key), kw_view_str("an envelope")), KW_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	(void)find(rig, 0, 10, &found);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.first.at_ms, 0);
	assert_int_equal(found.first.size, 11);
	assert_string_equal(found.first.reason, "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_oldest_makes_way_for_one_more),
		CASE(test_what_is_said_of_one),
		CASE(test_a_row_of_an_older_agent_is_shown_as_far_as_it_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
