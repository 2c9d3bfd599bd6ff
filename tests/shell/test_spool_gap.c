#include "tests/kit/spool_rig.h"

/* Places of a thread whose message cannot come any more, or cannot be read: what is behind them does not wait. */

#define LATER (NOW + (int64_t)25 * HOUR) /* past the expiry of what the rig sends */

/* A message that can be opened and whose content nobody can use. */
static void unreadable(struct rig *rig, struct said said)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_REFUSED;
	op->u.receive.failure = KW_EFIELD;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&said);
	run(rig, op);
}

static void test_spool_gap_unreadable_uses_its_place(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	unreadable(rig, MOVES(QUEUED, .n = 51, .sequence = 1));
	struct dues due = dues(rig);
	assert_int_equal(due.count, 1);
	assert_int_equal(due.list[0].failure, KW_EFIELD);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 52, .sequence = 2));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACKNOWLEDGED);
	assert_int_equal(thread(rig, 200).record.expected, 3);
	unreadable(rig, MOVES(QUEUED, .n = 51, .sequence = 1)); /* the same again */
	assert_true(rig->repeat);
	assert_int_equal(thread(rig, 200).record.expected, 3);
	unreadable(rig, MOVES(QUEUED, .n = 53, .sequence = 0)); /* one without a place */
	assert_int_equal(thread(rig, 200).record.expected, 3);
}

static void test_spool_gap_unreadable_before_its_turn(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	unreadable(rig, MOVES(QUEUED, .n = 52, .sequence = 2));
	theirs(rig, MOVES(ACCEPTED, .n = 53, .sequence = 3));
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED);
	assert_int_equal(steps(rig).count, 2); /* nothing is shown of what cannot be read */
	close_spool(rig);
	open_spool(rig);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
	assert_int_equal(thread(rig, 200).record.expected, 4);
}

/* An opening that cannot be read: what follows it cannot move anything, and its author hears so at once. */
static void test_spool_gap_unreadable_opening(void **state)
{
	struct rig *rig = *state;
	uint32_t refused = 0;
	theirs(rig, MOVES(CANCEL_REQUESTED, .n = 52, .sequence = 2)); /* it came first, and waits */
	unreadable(rig, MOVES(QUEUED, .n = 51, .sequence = 1));
	theirs(rig, MOVES(CONSENT_WITHDRAWN, .n = 53, .sequence = 3));
	struct dues due = dues(rig);
	uint32_t illegal = 0;
	for (uint32_t i = 0; i < due.count; i++)
		illegal += due.list[i].failure == KW_EILLEGAL;
	assert_int_equal(illegal, 2);
	assert_int_equal(inbox(rig, &refused), 2);
	assert_int_equal(refused, 2);
	/* What is kept of it goes with time, and moves nothing. */
	sweep(rig, NOW + (int64_t)(SPOOL_EARLY_HOURS + 1) * HOUR);
	assert_int_equal(dues(rig).count, due.count);
}

/* Ours that the other side could not read does not count here either: else a case would have two owners. */
static void test_spool_gap_ours_that_could_not_be_read(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 2, .sequence = 2));
	struct spool_thread one = thread(rig, 200);
	assert_true(agt_thread_owns(&one.record));
	receipt(rig, 2, KW_EFIELD, false);
	one = thread(rig, 200);
	assert_false(agt_thread_owns(&one.record));
	assert_int_equal(one.record.state, KW_TRANSFER_ACKNOWLEDGED);
	assert_int_equal(one.record.next, 3); /* the place is used there */
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 3, .sequence = 3));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	one = thread(rig, 200);
	assert_true(agt_thread_owns(&one.record));
}

/* A message that says which places of its author's are not to be waited for. */
static void theirs_after(struct rig *rig, struct said said, struct spool_gap gap)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&said);
	op->u.receive.act = act_from(&said);
	op->u.receive.gaps_count = 1;
	op->u.receive.gaps[0] = gap;
	fill_content(op, NULL);
	run(rig, op);
}

static void test_spool_gap_lost_state_is_taken_from_the_next(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	theirs(rig, MOVES(IN_PROGRESS, .n = 54, .sequence = 4)); /* waits */
	theirs_after(rig, MOVES(SCHEDULED, .n = 53, .sequence = 3), (struct spool_gap){.sequence = 2, .state = KW_REFERRAL_ACCEPTED});
	assert_int_equal(state_of(rig), KW_REFERRAL_IN_PROGRESS);
	assert_int_equal(thread(rig, 200).record.expected, 5);
	struct steps all = steps(rig);
	assert_int_equal(all.count, 5);
	assert_int_equal(all.list[2].state, KW_REFERRAL_ACCEPTED);
	assert_int_equal(all.list[2].number, 0);
	struct dues due = dues(rig);
	assert_int_equal(due.count, 4); /* none for what never came */
	for (uint32_t i = 2; i < due.count; i++)
		assert_int_equal(due.list[i].failure, KW_OK);
	/* It comes after all: no word against it, and it is shown. */
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	assert_int_equal(dues(rig).list[4].failure, KW_OK);
	assert_true(dues(rig).list[4].opened);
	assert_int_equal(state_of(rig), KW_REFERRAL_IN_PROGRESS);
	assert_int_not_equal(steps(rig).list[2].number, 0);
	assert_int_equal(inbox(rig, NULL), 4);
	/* And a second one in that place is refused. */
	theirs(rig, MOVES(ACCEPTED, .n = 62, .sequence = 2));
	assert_int_equal(dues(rig).list[5].failure, KW_EILLEGAL);
}

static void test_spool_gap_of_nothing_is_stepped_over(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACCEPTED, .n = 53, .sequence = 3));
	theirs_after(rig, MOVES(SCHEDULED, .n = 54, .sequence = 4), (struct spool_gap){.sequence = 2, .state = 0});
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED); /* the first is still on its way */
	close_spool(rig);
	open_spool(rig);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_SCHEDULED);
	assert_int_equal(thread(rig, 200).record.expected, 5);
}

/* A word about a place moves nothing that has been judged, nothing behind the message, and no place whose message is here. */
static void test_spool_gap_words_that_change_nothing(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	theirs_after(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2), (struct spool_gap){.sequence = 1, .state = KW_REFERRAL_REJECTED});
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
	theirs_after(rig, MOVES(SCHEDULED, .n = 53, .sequence = 3), (struct spool_gap){.sequence = 4, .state = KW_REFERRAL_NOT_PROVIDED});
	assert_int_equal(state_of(rig), KW_REFERRAL_SCHEDULED);
	assert_int_equal(thread(rig, 200).record.expected, 4);
	theirs(rig, MOVES(IN_PROGRESS, .n = 55, .sequence = 5));
	theirs_after(rig, MOVES(COMPLETED, .n = 56, .sequence = 6), (struct spool_gap){.sequence = 5, .state = KW_REFERRAL_NOT_PROVIDED});
	theirs(rig, MOVES(NO_SHOW, .n = 54, .sequence = 4));
	assert_int_equal(thread(rig, 200).record.expected, 7);
	struct steps all = steps(rig);
	assert_int_not_equal(all.list[all.count - 1].state, KW_REFERRAL_NOT_PROVIDED);
}

static void test_spool_gap_makes_way_for_its_message(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs_after(rig, MOVES(SCHEDULED, .n = 53, .sequence = 3), (struct spool_gap){.sequence = 2, .state = 0});
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_SCHEDULED);
	struct steps all = steps(rig);
	assert_int_equal(all.count, 4);
	assert_int_equal(all.list[2].state, KW_REFERRAL_ACCEPTED);
	assert_int_not_equal(all.list[2].number, 0);
}

static void test_spool_gap_lost_opening(void **state)
{
	struct rig *rig = *state;
	theirs_after(rig, MOVES(CANCEL_REQUESTED, .n = 52, .sequence = 2), (struct spool_gap){.sequence = 1, .state = 0});
	struct dues due = dues(rig);
	assert_int_equal(due.list[due.count - 1].failure, KW_EILLEGAL); /* at once, not after 46 days */
	/* It was only late: its word counts, as long as it is the first. */
	theirs(rig, OPENS(.n = 51));
	assert_int_equal(state_of(rig), KW_REFERRAL_DELIVERED);
	theirs(rig, MOVES(CANCEL_REQUESTED, .n = 53, .sequence = 3));
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	sweep(rig, NOW + (int64_t)(SPOOL_EARLY_HOURS + 1) * HOUR);
	assert_int_equal(thread(rig, 200).record.expected, 4);
}

static struct spool_gap gap_of(struct rig *rig, uint64_t place, uint32_t *count)
{
	struct spool_gap list[SPOOL_GAPS_MAX];
	memset(list, 0, sizeof(list));
	struct said said = MOVES(CLOSED, .n = 99, .sequence = place);
	struct spool_item item = item_of(&said);
	assert_int_equal(spool_gaps(rig->spool, &item, list, count), KW_OK);
	return list[0];
}

/* What our next message names. */
static void test_spool_gap_ours_are_named(void **state)
{
	struct rig *rig = *state;
	uint32_t count = 9;
	theirs(rig, OPENS(.n = 51));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, MOVES(ACCEPTED, .n = 2, .sequence = 2));
	(void)gap_of(rig, 3, &count);
	assert_int_equal(count, 0); /* it is on its way */
	held(rig);
	sweep(rig, LATER);
	assert_int_equal(sent(rig, 2).reason, KW_EUNCONFIRMED);
	struct spool_gap gap = gap_of(rig, 3, &count);
	assert_int_equal(count, 1);
	assert_int_equal(gap.sequence, 2);
	assert_int_equal(gap.state, KW_REFERRAL_ACCEPTED);
	(void)gap_of(rig, 2, &count); /* never its own place or a later one */
	assert_int_equal(count, 0);
	ours(rig, MOVES(SCHEDULED, .n = 3, .sequence = 3, .now_ms = LATER));
	(void)gap_of(rig, 4, &count); /* said again until one of them was opened */
	assert_int_equal(count, 1);
	receipt(rig, 3, KW_OK, false);
	(void)gap_of(rig, 4, &count);
	assert_int_equal(count, 1);
	receipt(rig, 3, KW_OK, true);
	(void)gap_of(rig, 4, &count);
	assert_int_equal(count, 0);
}

static void test_spool_gap_ours_that_never_left(void **state)
{
	struct rig *rig = *state;
	uint32_t count = 9;
	theirs(rig, OPENS(.n = 51));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, MOVES(ACCEPTED, .n = 2, .sequence = 2));
	ours(rig, MOVES(SCHEDULED, .n = 3, .sequence = 3));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	notice(rig, 2, KW_EEXPIRED, 0); /* the hub never sent it on, and the next place is given away */
	struct spool_gap gap = gap_of(rig, 4, &count);
	assert_int_equal(count, 1);
	assert_int_equal(gap.sequence, 2);
	assert_int_equal(gap.state, 0);
	/* A place that another message has is none: the last one, lost, leaves its own. */
	notice(rig, 3, KW_EEXPIRED, 0);
	assert_int_equal(thread(rig, 200).record.next, 3);
	ours(rig, MOVES(ACCEPTED, .n = 4, .sequence = 3));
	(void)gap_of(rig, 4, &count);
	assert_int_equal(count, 1);
	/* A late receipt settles it. */
	receipt(rig, 4, KW_OK, true);
	(void)gap_of(rig, 4, &count);
	assert_int_equal(count, 0);
}

static void test_spool_gap_ours_that_opened_the_thread(void **state)
{
	struct rig *rig = *state;
	uint32_t count = 9;
	ours(rig, OPENS(.n = 1));
	held(rig);
	sweep(rig, LATER);
	assert_int_equal(sent(rig, 1).reason, KW_EUNCONFIRMED);
	struct spool_gap gap = gap_of(rig, 2, &count);
	assert_int_equal(count, 1);
	assert_int_equal(gap.sequence, 1);
	assert_int_equal(gap.state, 0); /* a state without its content opens nothing */
}

/* Others wait behind it there, and perhaps nothing more is to be said: a receipt for a message of theirs carries the word. */
static void test_spool_gap_is_told_with_a_receipt(void **state)
{
	struct rig *rig = *state;
	uint32_t count = 9;
	theirs(rig, OPENS(.n = 51));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, MOVES(ACCEPTED, .n = 2, .sequence = 2));
	ours(rig, MOVES(SCHEDULED, .n = 3, .sequence = 3, .now_ms = NOW + 1));
	receipt(rig, 3, KW_OK, false); /* it waits there */
	assert_int_equal(dues(rig).count, 1);
	(void)gap_of(rig, 0, &count);
	assert_int_equal(count, 0);
	held(rig);
	sweep(rig, LATER);
	struct dues due = dues(rig);
	assert_int_equal(due.count, 2);
	struct kw_id envelope = id(51), thread_id = id(200);
	assert_true(kw_id_equal(&due.list[1].envelope_id, &envelope) && kw_id_equal(&due.list[1].thread_id, &thread_id));
	assert_true(due.list[1].opened);
	struct spool_gap gap = gap_of(rig, 0, &count); /* what that receipt says */
	assert_int_equal(count, 1);
	assert_true(gap.sequence == 2 && gap.state == KW_REFERRAL_ACCEPTED);
	/* The last one holds up nobody: no receipt, and no word before there is a later one. */
	ours(rig, MOVES(IN_PROGRESS, .n = 4, .sequence = 4, .now_ms = LATER));
	held(rig);
	sweep(rig, LATER + (int64_t)25 * HOUR);
	assert_int_equal(sent(rig, 4).state, SPOOL_DEAD);
	assert_int_equal(dues(rig).count, 2);
	(void)gap_of(rig, 0, &count);
	assert_int_equal(count, 1);
}

static void test_spool_gap_comes_with_a_receipt(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	theirs(rig, MOVES(SCHEDULED, .n = 53, .sequence = 3));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACKNOWLEDGED);
	for (uint8_t i = 0; i < 2; i++) {
		struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
		op->u.receive.msg_class = KW_NORMAL;
		op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
		op->u.receive.arrival = SPOOL_RECEIPT;
		op->u.receive.item.agency = name(i == 0 ? "agency-x" : THEM); /* another agency's word is about a thread of its own */
		op->u.receive.item.at_ms = NOW + 3;
		op->u.receive.item.digest = digest((uint8_t)(230 + i));
		op->u.receive.gaps_count = 1;
		op->u.receive.gaps[0] = (struct spool_gap){.sequence = 2, .state = KW_REFERRAL_ACCEPTED, .thread_id = id(200)};
		run(rig, op);
		assert_int_equal(state_of(rig), i == 0 ? KW_REFERRAL_ACKNOWLEDGED : KW_REFERRAL_SCHEDULED);
	}
	struct dues due = dues(rig);
	assert_true(due.list[due.count - 1].opened); /* its author hears that it had its turn */
}

static void test_spool_gap_is_kept_short(void **state)
{
	struct rig *rig = *state;
	uint32_t count = 0;
	theirs(rig, OPENS(.n = 51));
	for (uint8_t i = 1; i <= SPOOL_GAPS_MAX + 2; i++)
		ours(rig, moves((struct said){.kind = KW_THREAD_REFERRAL, .n = i, .sequence = i, .state = i == 1 ? KW_REFERRAL_ACKNOWLEDGED
			: i == 2 ? KW_REFERRAL_ACCEPTED : i % 2 == 1 ? KW_REFERRAL_SCHEDULED : KW_REFERRAL_NO_SHOW}));
	held(rig);
	sweep(rig, LATER);
	assert_int_equal(gap_of(rig, SPOOL_GAPS_MAX + 3, &count).sequence, 1);
	assert_int_equal(count, SPOOL_GAPS_MAX);
	(void)gap_of(rig, SPOOL_GAPS_MAX, &count);
	assert_int_equal(count, SPOOL_GAPS_MAX - 1);
}

/* Gaps have a quota of their own: who sends what nobody can read does not take the room of what must wait. */
static void test_spool_gap_has_a_quota(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	for (uint32_t i = 0; i < SPOOL_EARLY_AGENCY_MAX + 1; i++) {
		struct said said = MOVES(QUEUED, .n = 51, .sequence = 3 + i);
		struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
		op->u.receive.msg_class = KW_NORMAL;
		op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
		op->u.receive.arrival = SPOOL_REFUSED;
		op->u.receive.failure = KW_EFIELD;
		op->u.receive.expiry_hour = NOW / HOUR + 24;
		op->u.receive.item = item_of(&said);
		memcpy(op->u.receive.item.digest.bytes, &i, sizeof(i));
		op->user = rig;
		op->done = on_done;
		spool_do(rig->spool, op);
	}
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 53, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
	assert_int_equal(thread(rig, 200).record.expected, 3 + SPOOL_EARLY_AGENCY_MAX); /* the last one was one too many */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_spool_gap_unreadable_uses_its_place),
		SPOOL_CASE(test_spool_gap_unreadable_before_its_turn),
		SPOOL_CASE(test_spool_gap_unreadable_opening),
		SPOOL_CASE(test_spool_gap_ours_that_could_not_be_read),
		SPOOL_CASE(test_spool_gap_lost_state_is_taken_from_the_next),
		SPOOL_CASE(test_spool_gap_of_nothing_is_stepped_over),
		SPOOL_CASE(test_spool_gap_words_that_change_nothing),
		SPOOL_CASE(test_spool_gap_makes_way_for_its_message),
		SPOOL_CASE(test_spool_gap_lost_opening),
		SPOOL_CASE(test_spool_gap_ours_are_named),
		SPOOL_CASE(test_spool_gap_ours_that_never_left),
		SPOOL_CASE(test_spool_gap_ours_that_opened_the_thread),
		SPOOL_CASE(test_spool_gap_is_told_with_a_receipt),
		SPOOL_CASE(test_spool_gap_comes_with_a_receipt),
		SPOOL_CASE(test_spool_gap_is_kept_short),
		SPOOL_CASE(test_spool_gap_has_a_quota),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
