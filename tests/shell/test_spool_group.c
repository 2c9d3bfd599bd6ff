#include "agent/shell/spool_read.h"
#include "tests/kit/spool_rig.h"

/* Operations that are one: all of them count or none. */

#define GROUP_MAX 8u

struct seen {
	uint32_t done;
	enum kw_err err[GROUP_MAX];
	enum agt_thread_fault fault[GROUP_MAX];
	uint32_t gone[GROUP_MAX];
	bool repeat[GROUP_MAX];
};

static struct seen SEEN;

static void one_done(struct spool_op *op, enum kw_err err)
{
	assert_true(SEEN.done < GROUP_MAX);
	SEEN.err[SEEN.done] = err;
	SEEN.fault[SEEN.done] = op->fault;
	SEEN.gone[SEEN.done] = op->gone_count;
	SEEN.repeat[SEEN.done++] = op->repeat;
}

static void join(struct rig *rig, struct spool_group *group, struct spool_op *op)
{
	op->group = group;
	group->refs++;
	op->done = one_done;
	spool_do(rig->spool, op);
}

static struct spool_op *says(struct rig *rig, struct said said)
{
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = act_from(&said);
	fill_content(op, NULL);
	return op;
}

static struct spool_op *record(const char *local_id, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_REGISTER);
	memcpy(op->u.registration.local_id, local_id, strlen(local_id));
	op->u.registration.local_id_size = strlen(local_id);
	fill_content(op, NULL);
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	return op;
}

static struct spool_group *begin_group(uint32_t count)
{
	struct spool_group *group = spool_group_new(count);
	memset(&SEEN, 0, sizeof(SEEN));
	assert_non_null(group);
	return group;
}

static bool is_sent(struct rig *rig, uint8_t n)
{
	struct spool_item item;
	struct kw_id message = id((uint8_t)(n + 100));
	struct kw_name them = name(THEM);
	enum kw_err err = spool_find_sent(rig->spool, &message, &them, &item);
	assert_true(err == KW_OK || err == KW_ENOTFOUND);
	return err == KW_OK;
}

static void test_group_is_stored_as_a_whole(void **state)
{
	struct rig *rig = *state;
	struct spool_group *group = begin_group(3);
	join(rig, group, says(rig, OPENS(.n = 1, .thread = 201)));
	join(rig, group, says(rig, OPENS(.n = 2, .thread = 202)));
	for (int i = 0; i < 3; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	assert_int_equal(SEEN.done, 0); /* a part of it is not handed over */
	assert_false(is_sent(rig, 1));
	join(rig, group, says(rig, OPENS(.n = 3, .thread = 203)));
	wait_done(rig);
	assert_int_equal(SEEN.done, 3);
	assert_int_equal(group->err, KW_OK);
	spool_group_unref(group);
	close_spool(rig);
	open_spool(rig);
	assert_true(is_sent(rig, 1) && is_sent(rig, 2) && is_sent(rig, 3));
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_QUEUED), 3);
}

/* The one in the middle has no thread to move. Those around it, and what stands in the same transaction but not in the group. */
static void test_group_with_a_refused_one_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	struct agt_start start;
	struct spool_group *group = begin_group(3);
	begin(rig, says(rig, OPENS(.n = 10, .thread = 210)));
	join(rig, group, says(rig, OPENS(.n = 1, .thread = 201)));
	join(rig, group, says(rig, MOVES(CLOSED, .n = 2, .thread = 202, .sequence = 1)));
	join(rig, group, says(rig, OPENS(.n = 3, .thread = 203)));
	begin(rig, says(rig, OPENS(.n = 11, .thread = 211)));
	wait_done(rig);
	assert_int_equal(SEEN.done, 3);
	assert_int_equal(group->err, KW_EILLEGAL);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(SEEN.err[i], KW_OK);
		assert_int_equal(SEEN.gone[i], 1); /* the core is told that there are no such rows */
		assert_int_equal(SEEN.fault[i], i == 1 ? AGT_FAULT_NO_THREAD : AGT_FAULT_NONE);
	}
	spool_group_unref(group);
	assert_false(is_sent(rig, 1) || is_sent(rig, 2) || is_sent(rig, 3));
	assert_true(is_sent(rig, 10) && is_sent(rig, 11));
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), 2);
	struct spool_thread thread;
	struct kw_id thread_id = id(201);
	struct kw_name them = name(THEM);
	assert_int_equal(spool_thread(rig->spool, &thread_id, &them, &thread), KW_ENOTFOUND);
	/* The places in the outbox are used up all the same: the core has given them. */
	close_spool(rig);
	open_spool(rig);
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].next_sequence, 6);
	/* And the same messages may be sent by themselves. */
	ours(rig, OPENS(.n = 1, .thread = 201));
	assert_true(is_sent(rig, 1));
}

/* Another message took the place that one of the group was given. */
static void test_group_is_refused_when_something_came_between(void **state)
{
	struct rig *rig = *state;
	struct spool_group *group = begin_group(2);
	ours(rig, OPENS(.n = 1, .thread = 201));
	ours(rig, MOVES(CONSENT_WITHDRAWN, .n = 2, .thread = 201, .sequence = 2));
	join(rig, group, says(rig, MOVES(CONSENT_WITHDRAWN, .n = 3, .thread = 201, .sequence = 2)));
	join(rig, group, says(rig, OPENS(.n = 4, .thread = 204)));
	wait_done(rig);
	assert_int_equal(group->err, KW_EILLEGAL);
	assert_int_not_equal(SEEN.fault[0], AGT_FAULT_NONE);
	assert_false(is_sent(rig, 3) || is_sent(rig, 4));
	spool_group_unref(group);
}

static void test_group_of_steps_in_one_thread(void **state)
{
	struct rig *rig = *state;
	struct spool_thread thread;
	struct kw_id thread_id = id(201);
	struct kw_name them = name(THEM);
	struct spool_group *group = begin_group(2);
	join(rig, group, says(rig, OPENS(.n = 1, .thread = 201)));
	join(rig, group, says(rig, MOVES(CONSENT_WITHDRAWN, .n = 2, .thread = 201, .sequence = 2)));
	wait_done(rig);
	assert_int_equal(group->err, KW_OK);
	spool_group_unref(group);
	assert_int_equal(spool_thread(rig->spool, &thread_id, &them, &thread), KW_OK);
	assert_int_equal(thread.record.state, KW_REFERRAL_CONSENT_WITHDRAWN);
}

static void test_group_of_records(void **state)
{
	struct rig *rig = *state;
	struct spool_group *group = begin_group(2);
	join(rig, group, record("C-1", "one"));
	join(rig, group, record("C-2", "two"));
	wait_done(rig);
	assert_false(SEEN.repeat[0] || SEEN.repeat[1]);
	spool_group_unref(group);
	group = begin_group(2);
	join(rig, group, record("C-2", "two"));
	join(rig, group, record("C-3", "three"));
	wait_done(rig);
	assert_true(SEEN.repeat[0] && !SEEN.repeat[1]);
	spool_group_unref(group);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REGISTRATIONS), 3);
}

/* Without room for all of it a group does not wait: it is told so, and the others go on. */
static void test_group_without_room_leaves_nothing_and_does_not_wait(void **state)
{
	static char large[65536];
	struct rig *rig = *state;
	uint32_t count = 6000;
	struct spool_group *group = begin_group(count);
	SEEN.done = 0;
	memset(large, 'x', sizeof(large));
	for (uint32_t i = 0; i < count; i++) {
		char local_id[16];
		(void)snprintf(local_id, sizeof(local_id), "C-%u", i);
		struct spool_op *op = record(local_id, "");
		assert_int_equal(kw_buf_add(&op->content, KW_VIEW(large, 40000)), KW_OK);
		op->group = group;
		group->refs++;
		spool_do(rig->spool, op);
	}
	wait_done(rig);
	assert_int_equal(group->err, KW_ENOSPACE);
	spool_group_unref(group);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REGISTRATIONS), 0);
	ours(rig, OPENS(.n = 1, .thread = 201));
	assert_true(is_sent(rig, 1));
}

#define IN_SPOOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SPOOL(test_group_is_stored_as_a_whole),
		IN_SPOOL(test_group_with_a_refused_one_leaves_nothing),
		IN_SPOOL(test_group_is_refused_when_something_came_between),
		IN_SPOOL(test_group_of_steps_in_one_thread),
		IN_SPOOL(test_group_of_records),
		IN_SPOOL(test_group_without_room_leaves_nothing_and_does_not_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
