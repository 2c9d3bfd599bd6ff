#include <lmdb.h>

#include "agent/shell/spool_read.h"
#include "tests/kit/spool_rig.h"

/* Threads in a spool: each message moves its thread in its own transaction, in turn. */

static void test_spool_thread_follows_its_messages(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED);
	receipt(rig, 1, KW_OK, true);
	assert_int_equal(state_of(rig), KW_REFERRAL_DELIVERED);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2, .now_ms = NOW + 9));
	close_spool(rig);
	open_spool(rig);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(one.record.changed_ms, NOW + 9);
	assert_int_equal(one.record.opened_ms, NOW);
	assert_int_equal(one.record.risk, KW_RISK_HIGH);
	assert_int_equal(one.record.next, 3);
	assert_int_equal(one.record.expected, 2);
	assert_int_equal(one.service, 14);
	assert_string_equal(one.case_ref, "K-17-pseudonym");
	assert_string_equal(one.agency.text, THEM);

	struct steps all = steps(rig);
	static const uint8_t states[] = {KW_REFERRAL_QUEUED, KW_REFERRAL_DELIVERED, KW_REFERRAL_ACKNOWLEDGED,
		KW_REFERRAL_CANCEL_REQUESTED};
	static const enum agt_thread_author authors[] = {AGT_THREAD_OURS, AGT_THREAD_RECEIPT, AGT_THREAD_THEIRS, AGT_THREAD_OURS};
	assert_int_equal(all.count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(all.list[i].state, states[i]);
		assert_int_equal(all.list[i].author, authors[i]);
		assert_false(all.list[i].refused);
	}
	struct kw_id message = id(101);
	assert_true(kw_id_equal(&all.list[0].message_id, &message));
	assert_int_equal(all.list[0].sent, SPOOL_OPENED);
}

static void test_spool_thread_refuses_ours_by_the_newest_state(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	ours(rig, MOVES(ACCEPTED, .n = 2, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(rig->present, KW_REFERRAL_QUEUED);
	assert_int_equal(rig->gone_count, 1); /* the core has a row that is not there */
	assert_int_equal(rig->number, 0);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), 1);
	assert_int_equal(thread(rig, 200).record.next, 2);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = 3));
	assert_int_equal(rig->fault, AGT_FAULT_PLACE);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(rig->gone_count, 0);
	/* The outbox goes on after the row that was refused. */
	struct agt_start start;
	close_spool(rig);
	open_spool(rig);
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].next_sequence, rig->outbox[KW_NORMAL] + 1);
}

static void test_spool_thread_early_waits_and_is_judged_in_turn(void **state)
{
	struct rig *rig = *state;
	uint32_t refused = 0;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(SCHEDULED, .n = 53, .sequence = 3));
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED);
	assert_int_equal(inbox(rig, &refused), 2); /* a person may read them */
	struct dues due = dues(rig);
	assert_int_equal(due.count, 2);
	assert_int_equal(due.list[0].failure, KW_OK);
	assert_false(due.list[0].opened); /* R1 */
	struct steps all = steps(rig);
	assert_int_equal(all.count, 3);
	assert_true(all.list[1].early);
	assert_int_equal(all.list[1].state, KW_REFERRAL_ACCEPTED);
	close_spool(rig);
	open_spool(rig);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_SCHEDULED);
	assert_int_equal(thread(rig, 200).record.expected, 4);
	due = dues(rig);
	assert_int_equal(due.count, 5);
	for (uint32_t i = 2; i < 5; i++)
		assert_true(due.list[i].opened);
	struct kw_id envelope = id(52);
	assert_true(kw_id_equal(&due.list[3].envelope_id, &envelope));
	assert_int_equal(inbox(rig, &refused), 3);
	assert_int_equal(refused, 0);
	all = steps(rig);
	assert_int_equal(all.count, 4);
	assert_false(all.list[3].early);
}

static void test_spool_thread_event_before_its_opening(void **state)
{
	struct rig *rig = *state;
	theirs(rig, MOVES(CANCEL_REQUESTED, .n = 52, .sequence = 2));
	struct kw_id thread_id = id(200);
	struct spool_thread none;
	assert_int_equal(spool_thread(rig->spool, &thread_id, NULL, &none), KW_ENOTFOUND);
	theirs(rig, OPENS(.n = 51));
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	struct dues due = dues(rig);
	assert_int_equal(due.count, 3);
	assert_true(due.list[1].tracked); /* the hub hears that the referral was delivered */
	assert_int_equal(due.list[1].kind, KW_THREAD_REFERRAL);
	assert_int_equal(due.list[1].risk, KW_RISK_HIGH);
	assert_true(kw_id_equal(&due.list[1].thread_id, &thread_id));
	assert_false(due.list[0].tracked);
	assert_false(due.list[2].tracked);
}

static void test_spool_thread_illegal_is_told_and_not_shown(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(COMPLETED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED);
	assert_int_equal(inbox(rig, NULL), 0);
	struct dues due = dues(rig);
	assert_int_equal(due.count, 1);
	assert_int_equal(due.list[0].failure, KW_EILLEGAL);
	assert_false(due.list[0].opened);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 52, .sequence = 2)); /* its place was used: the next one has its turn */
	assert_int_equal(state_of(rig), KW_REFERRAL_ACKNOWLEDGED);
	theirs(rig, MOVES(ACCEPTED, .n = 53, .sequence = 2)); /* another message in a place that is used */
	assert_int_equal(state_of(rig), KW_REFERRAL_ACKNOWLEDGED);
	assert_int_equal(dues(rig).list[2].failure, KW_EILLEGAL);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 52, .sequence = 2)); /* the very message again */
	assert_true(rig->repeat);
	assert_int_equal(inbox(rig, NULL), 1);
}

static void test_spool_thread_early_and_then_illegal(void **state)
{
	struct rig *rig = *state;
	uint32_t refused = 0;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(COMPLETED, .n = 52, .sequence = 2));
	theirs(rig, MOVES(COMPLETED, .n = 62, .sequence = 2)); /* two in one place: the second is refused */
	assert_int_equal(inbox(rig, &refused), 1);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACKNOWLEDGED);
	struct dues due = dues(rig);
	assert_int_equal(due.count, 4);
	assert_int_equal(due.list[1].failure, KW_EILLEGAL);
	assert_int_equal(due.list[3].failure, KW_EILLEGAL);
	assert_int_equal(inbox(rig, &refused), 2);
	assert_int_equal(refused, 1);
	theirs(rig, MOVES(ACCEPTED, .n = 53, .sequence = 3));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
}

/* The other end refused an event of ours: something of theirs won, here too when it arrives, and nothing else is undone. */
static void test_spool_thread_stands_when_ours_was_refused(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1, .now_ms = NOW + 1));
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2, .now_ms = NOW + 2));
	receipt(rig, 2, KW_OK, false); /* it came before its turn: R1 */
	assert_int_equal(sent(rig, 2).state, SPOOL_DELIVERED);
	receipt(rig, 2, KW_EILLEGAL, false);
	assert_int_equal(sent(rig, 2).state, SPOOL_DEAD);
	assert_int_equal(sent(rig, 2).reason, KW_EILLEGAL);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(one.record.next, 3); /* the other end has used the place */
	struct steps all = steps(rig);
	assert_int_equal(all.count, 3);
	assert_true(all.list[2].refused);
	assert_int_equal(all.list[2].reason, KW_EILLEGAL);

	theirs(rig, MOVES(REJECTED, .n = 52, .sequence = 2));
	assert_int_equal(state_of(rig), KW_REFERRAL_REJECTED);
}

/* What stands on a refused one stays: ours CANCEL_REQUESTED and CLOSED crossed theirs ACKNOWLEDGED and REJECTED. There the
 * first is refused and the second closes; here both of theirs are refused. Both sides end CLOSED. */
static void test_spool_thread_keeps_what_stands_on_a_refused_one(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2));
	ours(rig, MOVES(CLOSED, .n = 3, .sequence = 3));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	theirs(rig, MOVES(REJECTED, .n = 52, .sequence = 2));
	assert_int_equal(state_of(rig), KW_REFERRAL_CLOSED);
	receipt(rig, 2, KW_EILLEGAL, false);
	assert_int_equal(sent(rig, 2).state, SPOOL_DEAD);
	assert_int_equal(state_of(rig), KW_REFERRAL_CLOSED);
}

static void test_spool_thread_undeliverable(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	notice(rig, 1, KW_ENOAGENCY, 0);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_REFERRAL_UNDELIVERABLE);
	assert_int_equal(one.record.changed_ms, NOW + 5);
	assert_false(one.record.failed); /* it may still have arrived: the sender may cancel */
	assert_true(agt_thread_may(&one.record, KW_REFERRAL_CANCEL_REQUESTED));

	/* An event that never arrived: its place is given to the next one, or the other end would wait for it. */
	ours(rig, OPENS(.n = 2, .thread = 201));
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .thread = 201, .sequence = 2));
	notice(rig, 3, KW_EEXPIRED, 0);
	one = thread(rig, 201);
	assert_int_equal(one.record.state, KW_REFERRAL_QUEUED);
	assert_int_equal(one.record.next, 2);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 4, .thread = 201, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);

	/* Expired in our own outbox. */
	ours(rig, OPENS(.n = 5, .thread = 202));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_int_equal(thread(rig, 202).record.state, KW_REFERRAL_UNDELIVERABLE);

	/* A kind without that state is over. */
	ours(rig, OPENS(.n = 6, .thread = 203, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	notice(rig, 6, KW_EOPEN, 0);
	one = thread(rig, 203);
	assert_true(one.record.failed);
	assert_false(agt_thread_is_open(&one.record));
}

/* The hub has taken it: it may have arrived whatever the clock says, so the case keeps its new owner, and the place is used. */
static void test_spool_thread_unconfirmed_still_counts(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 2, .sequence = 2));
	held(rig);
	sweep(rig, NOW + (int64_t)25 * HOUR);
	struct spool_thread one = thread(rig, 200);
	assert_true(agt_thread_owns(&one.record));
	assert_int_equal(one.record.next, 3);
	assert_int_equal(sent(rig, 2).state, SPOOL_DEAD);
	assert_int_equal(sent(rig, 2).reason, KW_EUNCONFIRMED);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 1);
	close_spool(rig);
	open_spool(rig);
	receipt(rig, 2, KW_OK, false); /* the receipt was late */
	assert_int_equal(sent(rig, 2).state, SPOOL_DELIVERED);
	assert_int_equal(sent(rig, 2).reason, KW_OK);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
	receipt(rig, 2, KW_OK, true);
	assert_int_equal(sent(rig, 2).state, SPOOL_OPENED);
	one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_TRANSFER_ACCEPTED);
	assert_int_equal(one.record.next, 3);
	assert_false(steps(rig).list[2].refused);
}

/* An acceptance whose ack was lost looks as if it had never left: it stands. What is not binding does not. */
static void test_spool_thread_acceptance_stands_until_the_hub_knows(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 1, .sequence = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, SAYS(TRANSFER, ACCEPTED, .n = 2, .sequence = 2));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	struct spool_thread one = thread(rig, 200);
	assert_true(agt_thread_owns(&one.record));
	assert_int_equal(sent(rig, 2).reason, KW_EUNCONFIRMED);
	notice(rig, 2, KW_EUNCONFIRMED, 0); /* the hub does not know either */
	one = thread(rig, 200);
	assert_true(agt_thread_owns(&one.record));
	notice(rig, 2, KW_ENOAGENCY, 0); /* the hub never sent it on */
	one = thread(rig, 200);
	assert_false(agt_thread_owns(&one.record));
	assert_int_equal(one.record.next, 2);
	assert_int_equal(sent(rig, 2).reason, KW_ENOAGENCY);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 1);
}

/* Taken for lost, and it has arrived: it counts again, in its place. */
static void test_spool_thread_lost_and_found(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_int_equal(state_of(rig), KW_REFERRAL_DELIVERED);
	assert_int_equal(thread(rig, 200).record.next, 2);
	receipt(rig, 2, KW_OK, true);
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(thread(rig, 200).record.next, 3);
	assert_int_equal(sent(rig, 2).state, SPOOL_OPENED);
	struct steps all = steps(rig);
	assert_false(all.list[all.count - 1].refused);

	/* Unconfirmed, and then refused there: as when the refusal had come in time. */
	ours(rig, OPENS(.n = 3, .thread = 201));
	receipt(rig, 3, KW_OK, true);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 4, .thread = 201, .sequence = 2));
	held(rig);
	sweep(rig, NOW + (int64_t)25 * HOUR);
	receipt(rig, 4, KW_EILLEGAL, false);
	assert_int_equal(sent(rig, 4).reason, KW_EILLEGAL);
	assert_int_equal(thread(rig, 201).record.next, 3);
	receipt(rig, 4, KW_OK, false); /* an older receipt that comes last */
	assert_int_equal(sent(rig, 4).state, SPOOL_DEAD);
	/* A hub that lost its memory had it: that it waits here again proves nothing. */
	ours(rig, OPENS(.n = 5, .thread = 202));
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 6, .thread = 202, .sequence = 2));
	held(rig);
	struct spool_op *op = spool_op_new(SPOOL_OP_EPOCH);
	op->u.epoch = 8;
	run(rig, op);
	op = spool_op_new(SPOOL_OP_EPOCH);
	op->u.epoch = 9;
	run(rig, op);
	assert_int_equal(sent(rig, 6).state, SPOOL_QUEUED);
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_int_equal(sent(rig, 6).reason, KW_EUNCONFIRMED);
	assert_int_equal(thread(rig, 202).record.state, KW_REFERRAL_CANCEL_REQUESTED);
}

static void test_spool_thread_answer_proves_the_opening(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(sent(rig, 1).state, SPOOL_DELIVERED);
	theirs(rig, SAYS(TRANSFER, ACCEPTED, .n = 52, .sequence = 2));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	struct spool_thread one = thread(rig, 200);
	assert_false(one.record.failed);
	assert_int_equal(one.record.state, KW_TRANSFER_ACCEPTED);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
	receipt(rig, 1, KW_OK, true);
	assert_int_equal(sent(rig, 1).state, SPOOL_OPENED);

	/* The answer comes after the opening was given up, and before that only a refused word did. */
	ours(rig, OPENS(.n = 2, .thread = 201, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED,
		.case_ref = "K-2"));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_true(thread(rig, 201).record.failed);
	theirs(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 53, .thread = 201, .sequence = 1));
	assert_false(thread(rig, 201).record.failed);
	assert_int_equal(sent(rig, 2).state, SPOOL_DELIVERED);
	ours(rig, OPENS(.n = 3, .thread = 202, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED,
		.case_ref = "K-3"));
	theirs(rig, SAYS(TRANSFER, COMPLETE, .n = 54, .thread = 202, .sequence = 1));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_false(thread(rig, 202).record.failed);
	ours(rig, OPENS(.n = 4, .thread = 203, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED,
		.case_ref = "K-4"));
	sweep(rig, NOW + (int64_t)25 * HOUR);
	receipt(rig, 4, KW_OK, true);
	assert_false(thread(rig, 203).record.failed);
	/* The hub does not know whether a referral arrived: its word for that, from which either can go on. */
	ours(rig, OPENS(.n = 5, .thread = 204));
	notice(rig, 5, KW_EUNCONFIRMED, 0);
	assert_int_equal(thread(rig, 204).record.state, KW_REFERRAL_UNDELIVERABLE);
	receipt(rig, 5, KW_OK, true);
	assert_int_equal(thread(rig, 204).record.state, KW_REFERRAL_DELIVERED);
}

static void test_spool_thread_gap_is_given_up_in_the_end(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	receipt(rig, 1, KW_OK, true);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 2));
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 3));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 53, .thread = 210, .sequence = 2)); /* of a thread that nobody opened */
	sweep(rig, NOW + (int64_t)(SPOOL_EARLY_HOURS - 1) * HOUR);
	assert_int_equal(state_of(rig), KW_REFERRAL_DELIVERED);
	sweep(rig, NOW + (int64_t)SPOOL_EARLY_HOURS * HOUR);
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
	assert_int_equal(thread(rig, 200).record.expected, 4);
	uint32_t refused = 0;
	assert_int_equal(inbox(rig, &refused), 3);
	assert_int_equal(refused, 1);
	assert_int_equal(dues(rig).count, 6);
	sweep(rig, NOW + (int64_t)SPOOL_EARLY_HOURS * HOUR);
	assert_int_equal(dues(rig).count, 6);
}

static void test_spool_thread_strangers_stay_apart(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1, .agency = "agency-x"));
	assert_int_equal(state_of(rig), KW_REFERRAL_QUEUED);
	theirs(rig, OPENS(.n = 52, .agency = "agency-x"));
	struct kw_id thread_id = id(200);
	struct spool_thread first;
	assert_int_equal(spool_thread(rig->spool, &thread_id, NULL, &first), KW_OK);
	assert_string_equal(first.agency.text, THEM); /* the one that was opened first */
	assert_int_equal(first.record.state, KW_REFERRAL_QUEUED);

	/* What never has its turn does not fill the disk. */
	for (uint32_t i = 0; i < SPOOL_EARLY_MAX + 5; i++)
		theirs(rig, MOVES(ACKNOWLEDGED, .n = (uint8_t)(60 + i), .sequence = 10 + i, .agency = "agency-y"));
	struct spool_query query = {.list = SPOOL_LIST_INBOX, .limit = SPOOL_LIST_MAX};
	uint32_t counts[2] = {0};
	uint64_t next;
	assert_int_equal(spool_list(rig->spool, &query, count_item, counts, &next), KW_OK);
	assert_int_equal(counts[0], 1 + SPOOL_EARLY_MAX);
}

/* Makes the record of a thread with THEM unreadable. */
static void damage_record(struct rig *rig, uint32_t which)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *cursor;
	MDB_val k, v;
	close_spool(rig);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 64u << 20), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "threads", 0, &dbi), 0);
	assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
	assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_FIRST), 0);
	for (uint32_t i = 0; i < which; i++)
		assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_NEXT), 0);
	uint8_t *bytes = malloc(v.mv_size);
	memcpy(bytes, v.mv_data, v.mv_size);
	bytes[v.mv_size - 1] ^= 1;
	MDB_val bad = {.mv_size = v.mv_size, .mv_data = bytes};
	assert_int_equal(mdb_cursor_put(cursor, &k, &bad, MDB_CURRENT), 0);
	mdb_cursor_close(cursor);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(bytes);
	open_spool(rig);
}

static void test_spool_thread_id_is_of_one_agency(void **state)
{
	struct rig *rig = *state;
	struct kw_id thread_id = id(200);
	struct spool_thread one;
	uint32_t found = 0;
	ours(rig, OPENS(.n = 1));
	ours(rig, OPENS(.n = 2, .agency = "agency-x"));
	assert_int_equal(rig->fault, AGT_FAULT_TAKEN);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), 1);
	/* Of two that stand all the same, because another agency opened one, a damaged record does not hide the other. */
	theirs(rig, OPENS(.n = 51, .agency = "agency-x"));
	for (uint32_t i = 0; i < 2; i++) {
		damage_record(rig, i);
		found += spool_thread(rig->spool, &thread_id, NULL, &one) == KW_OK;
	}
	assert_int_equal(found, 1); /* the second time both are */
}

static struct kw_buf row_tracks(struct rig *rig)
{
	struct spool_rows rows = {.count_max = 1};
	struct kw_buf out;
	kw_buf_init(&out, 4096);
	assert_int_equal(spool_rows(rig->spool, KW_NORMAL, 1, &rows), KW_OK);
	assert_int_equal(rows.count, 1);
	struct spool_box *box = (struct spool_box *)(uintptr_t)rows.rows[0].box;
	assert_int_equal(kw_buf_add(&out, kw_buf_view(&box->tracks)), KW_OK);
	spool_box_unref(box);
	return out;
}

static bool on_retry(void *user, const struct spool_retry *retry)
{
	struct spool_box *box = (struct spool_box *)(uintptr_t)retry->row.box;
	*(size_t *)user = box->tracks.size;
	spool_box_unref(box);
	return false;
}

static void test_spool_tracks_go_with_the_row(void **state)
{
	struct rig *rig = *state;
	struct kw_frame_track tracks[KW_FRAME_TRACKS_MAX];
	uint32_t count = 0;
	size_t retried = 0;
	ours(rig, OPENS(.n = 1));
	close_spool(rig);
	open_spool(rig); /* after a restart the row leaves with what the hub is to know */
	struct kw_buf bytes = row_tracks(rig);
	assert_int_equal(kw_frame_tracks_parse(kw_buf_view(&bytes), tracks, &count), KW_OK);
	assert_int_equal(count, 1);
	assert_int_equal(tracks[0].state, KW_REFERRAL_QUEUED);
	kw_buf_fini(&bytes);
	notice(rig, 1, KW_EFULL, 1000);
	assert_int_equal(spool_retries(rig->spool, NOW + (int64_t)HOUR, on_retry, &retried), KW_OK);
	assert_true(retried > 0);
}

/* One message of many; `apart`: each in a thread of its own. */
static void one_of(struct rig *rig, uint32_t number, struct said said, bool apart)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	memcpy(op->u.receive.item.message_id.bytes, &number, sizeof(number));
	if (apart)
		memcpy(op->u.receive.item.thread_id.bytes, &number, sizeof(number));
	memcpy(op->u.receive.item.envelope_id.bytes, &number, sizeof(number));
	memcpy(op->u.receive.item.digest.bytes, &number, sizeof(number));
	op->u.receive.act = act_from(&said);
	fill_content(op, NULL);
	begin(rig, op);
}

static void all_done(struct rig *rig)
{
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(rig->err, KW_OK);
}

static void on_last_due(void *user, const struct spool_receipt *due)
{
	*(struct spool_receipt *)user = *due;
}

/* Who fills the room for what is early fills its own, and what finds none comes again. */
static void test_spool_thread_early_ones_have_a_quota_each(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt last = {.failure = KW_OK};
	ours(rig, OPENS(.n = 1));
	for (uint32_t i = 0; i < SPOOL_EARLY_UNKNOWN_MAX + 5; i++)
		one_of(rig, 1000000 + i, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 2, .agency = "agency-x"), true);
	all_done(rig);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_NEW), SPOOL_EARLY_UNKNOWN_MAX);
	assert_int_equal(spool_due(rig->spool, SPOOL_EARLY_UNKNOWN_MAX, on_last_due, &last), KW_OK);
	assert_int_equal(last.failure, KW_EFULL); /* not a word about its state */
	assert_string_equal(last.agency.text, "agency-x");
	/* The same envelope again is no repeat: it was not kept. */
	one_of(rig, 1000000 + SPOOL_EARLY_UNKNOWN_MAX, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 2, .agency = "agency-x"), true);
	all_done(rig);
	assert_false(rig->repeat);
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(state_of(rig), KW_REFERRAL_ACCEPTED);
	/* Also in a thread that nothing has opened yet. */
	theirs(rig, MOVES(CANCEL_REQUESTED, .n = 72, .thread = 212, .sequence = 2));
	theirs(rig, OPENS(.n = 71, .thread = 212));
	assert_int_equal(thread(rig, 212).record.state, KW_REFERRAL_CANCEL_REQUESTED);
	/* And agency-x can still be early in a thread that it has, up to a quota. */
	theirs(rig, OPENS(.n = 61, .thread = 211, .agency = "agency-x"));
	theirs(rig, MOVES(CANCEL_REQUESTED, .n = 63, .thread = 211, .sequence = 3, .agency = "agency-x"));
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_NEW), SPOOL_EARLY_UNKNOWN_MAX + 6);
}

static void test_spool_thread_no_room_there_is_tried_again(void **state)
{
	struct rig *rig = *state;
	size_t retried = 0;
	ours(rig, OPENS(.n = 1));
	receipt(rig, 1, KW_OK, true);
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2));
	held(rig);
	receipt(rig, 2, KW_EFULL, false);
	assert_int_equal(sent(rig, 2).state, SPOOL_QUEUED);
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(thread(rig, 200).record.next, 3);
	assert_int_equal(spool_retries(rig->spool, NOW + 30000, on_retry, &retried), KW_OK);
	assert_int_equal(retried, 0);
	assert_int_equal(spool_retries(rig->spool, NOW + (int64_t)HOUR, on_retry, &retried), KW_OK);
	assert_true(retried > 0);
}

static void test_spool_thread_full_log_leaves_a_way_out(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	for (uint32_t i = 0; i < SPOOL_LOG_MAX + 5; i++) /* what says nothing new takes no room */
		one_of(rig, 1000 + i, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 1 + i), false);
	all_done(rig);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.log_count, 2);
	uint64_t place = one.record.expected;
	one_of(rig, 5000, MOVES(ACCEPTED, .n = 1, .sequence = place++), false);
	for (uint32_t i = 0; i < SPOOL_LOG_MAX; i++) /* another appointment each time */
		one_of(rig, 5001 + i, MOVES(SCHEDULED, .n = 1, .sequence = place++, .now_ms = NOW + 1 + i), false);
	all_done(rig);
	one = thread(rig, 200);
	assert_int_equal(one.log_count, SPOOL_LOG_MAX);
	assert_int_equal(one.record.expected, place); /* a refused one has used its place */
	assert_int_equal(one.record.changed_ms, NOW + SPOOL_LOG_MAX - 3); /* and nothing else */
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 2, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	theirs(rig, MOVES(CANCELLED, .n = 61, .sequence = place));
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCELLED);
}

static void test_spool_thread_full_log_has_its_own_fault(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 1, .sequence = 1));
	ours(rig, MOVES(ACCEPTED, .n = 2, .sequence = 2));
	uint64_t place = 3;
	for (; rig->fault == AGT_FAULT_NONE && place < SPOOL_LOG_MAX * 2; place++)
		ours(rig, MOVES(SCHEDULED, .n = (uint8_t)(3 + place % 40), .sequence = place, .now_ms = NOW + (int64_t)place));
	assert_int_equal(rig->fault, AGT_FAULT_LONG);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.log_count, SPOOL_LOG_MAX);
	ours(rig, MOVES(COMPLETED, .n = 2, .sequence = place - 1));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

struct follows {
	uint32_t count;
	struct spool_follow list[8];
};

static bool on_follow(void *user, const struct spool_follow *follow)
{
	struct follows *follows = user;
	assert_true(follows->count < 8);
	follows->list[follows->count++] = *follow;
	return true;
}

static struct follows follows(struct rig *rig)
{
	struct follows out = {0};
	assert_int_equal(spool_follows(rig->spool, 0, on_follow, &out), KW_OK);
	return out;
}

static void test_spool_withdrawal_asks_for_an_answer(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	assert_int_equal(follows(rig).count, 0);
	theirs(rig, SAYS(TRANSFER, WITHDRAW_REQUESTED, .n = 52, .sequence = 2));
	assert_true(rig->follow);
	close_spool(rig);
	open_spool(rig); /* a crash does not forget it */
	struct follows list = follows(rig);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.list[0].state, KW_TRANSFER_WITHDRAWN);
	assert_string_equal(list.list[0].agency.text, THEM);
	ours(rig, SAYS(TRANSFER, WITHDRAWN, .n = 1, .sequence = 1,
		.follow_key = list.list[0].key));
	assert_int_equal(state_of(rig), KW_TRANSFER_WITHDRAWN);
	assert_int_equal(follows(rig).count, 0);
}

static void test_spool_follow_up_that_is_not_wanted_goes(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 51, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	theirs(rig, SAYS(TRANSFER, WITHDRAW_REQUESTED, .n = 52, .sequence = 2));
	struct follows list = follows(rig);
	ours(rig, SAYS(TRANSFER, COMPLETE, .n = 1, .sequence = 1,
		.follow_key = list.list[0].key));
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(follows(rig).count, 0);
}

static void test_spool_lease_closes_the_others_of_the_same_offer(void **state)
{
	struct rig *rig = *state;
	for (uint8_t i = 0; i < 4; i++)
		ours(rig, OPENS(.n = (uint8_t)(1 + i), .thread = (uint8_t)(200 + i), .kind = KW_THREAD_OFFER,
			.state = KW_OFFER_OFFERED, .case_ref = i == 3 ? "another offer" : "one offer"));
	theirs(rig, SAYS(OFFER, CLAIMED, .n = 51, .sequence = 1));
	ours(rig, SAYS(OFFER, LEASED, .n = 9, .sequence = 2));
	assert_true(rig->follow);
	struct follows list = follows(rig);
	assert_int_equal(list.count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(list.list[i].state, KW_OFFER_CLOSED);
		assert_int_equal(list.list[i].thread_id.bytes[0], 201 + i);
	}
}

static void test_spool_threads_are_listed_in_order(void **state)
{
	struct rig *rig = *state;
	uint64_t next = 0;
	for (uint8_t i = 0; i < 4; i++)
		ours(rig, OPENS(.n = (uint8_t)(1 + i), .thread = (uint8_t)(200 + i),
			.kind = i == 3 ? KW_THREAD_TRANSFER : KW_THREAD_REFERRAL, .state = i == 3 ? KW_TRANSFER_OFFERED : KW_REFERRAL_QUEUED));
	ours(rig, MOVES(CONSENT_WITHDRAWN, .n = 9, .thread = 201, .sequence = 2)); /* that one is over */
	assert_int_equal(list_threads(rig, (struct spool_thread_query){0}, &next), 1234);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){.open = true}, &next), 134);
	assert_int_equal(next, 0);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){.open = true, .limit = 2}, &next), 13);
	assert_int_equal(next, 3);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){.open = true, .after = 3}, &next), 4);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){.kind = KW_THREAD_TRANSFER}, &next), 4);
}

static void test_spool_reminder_is_an_inbox_item(void **state)
{
	struct rig *rig = *state;
	ours(rig, OPENS(.n = 1));
	struct said said = {.n = 70, .thread = 200};
	for (uint8_t i = 0; i < 2; i++) {
		struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
		op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = (uint64_t)i + 1};
		said.n = (uint8_t)(70 + i);
		op->u.notice.item = item_of(&said);
		op->u.notice.act = (struct spool_act){.kind = KW_THREAD_REFERRAL,
			.state = i == 0 ? KW_REFERRAL_ACCEPTED : KW_REFERRAL_EXPIRED};
		op->u.notice.step = i == 0 ? 100 : 200;
		op->u.notice.now_ms = NOW + 1;
		assert_int_equal(kw_buf_add(&op->content, kw_view_str("a reminder")), KW_OK);
		run(rig, op);
		assert_int_equal(inbox(rig, NULL), i + 1u);
		/* A hub may say that it expired, and cannot say that it was accepted. */
		assert_int_equal(state_of(rig), i == 0 ? KW_REFERRAL_QUEUED : KW_REFERRAL_EXPIRED);
		assert_int_equal(thread(rig, 200).reminded, i == 0 ? 100 : 200);
	}
	struct agt_start start;
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_CONTROL].received.sequence, 2);
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 51, .sequence = 1));
	assert_int_equal(thread(rig, 200).reminded, 0);
}

static bool file_has(struct rig *rig, const void *bytes, size_t size)
{
	char path[128];
	struct stat file;
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	int fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &file), 0);
	char *all = malloc((size_t)file.st_size);
	assert_int_equal(read(fd, all, (size_t)file.st_size), file.st_size);
	close(fd);
	bool found = memmem(all, (size_t)file.st_size, bytes, size) != NULL;
	free(all);
	return found;
}

static void test_spool_pages_show_no_thread(void **state)
{
	struct rig *rig = *state;
	struct kw_id thread_id = id(200), envelope = id(1);
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACCEPTED, .n = 52, .sequence = 2));
	close_spool(rig);
	assert_false(file_has(rig, "K-17-pseudonym", 14));
	assert_false(file_has(rig, THEM, strlen(THEM)));
	assert_false(file_has(rig, thread_id.bytes, KW_ID_SIZE));
	assert_true(file_has(rig, envelope.bytes, KW_ID_SIZE)); /* so the search does find */
	open_spool(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_spool_thread_follows_its_messages),
		SPOOL_CASE(test_spool_thread_refuses_ours_by_the_newest_state),
		SPOOL_CASE(test_spool_thread_early_waits_and_is_judged_in_turn),
		SPOOL_CASE(test_spool_thread_event_before_its_opening),
		SPOOL_CASE(test_spool_thread_illegal_is_told_and_not_shown),
		SPOOL_CASE(test_spool_thread_early_and_then_illegal),
		SPOOL_CASE(test_spool_thread_stands_when_ours_was_refused),
		SPOOL_CASE(test_spool_thread_keeps_what_stands_on_a_refused_one),
		SPOOL_CASE(test_spool_thread_undeliverable),
		SPOOL_CASE(test_spool_thread_unconfirmed_still_counts),
		SPOOL_CASE(test_spool_thread_acceptance_stands_until_the_hub_knows),
		SPOOL_CASE(test_spool_thread_lost_and_found),
		SPOOL_CASE(test_spool_thread_answer_proves_the_opening),
		SPOOL_CASE(test_spool_thread_gap_is_given_up_in_the_end),
		SPOOL_CASE(test_spool_thread_strangers_stay_apart),
		SPOOL_CASE(test_spool_thread_early_ones_have_a_quota_each),
		SPOOL_CASE(test_spool_thread_no_room_there_is_tried_again),
		SPOOL_CASE(test_spool_thread_full_log_leaves_a_way_out),
		SPOOL_CASE(test_spool_thread_full_log_has_its_own_fault),
		SPOOL_CASE(test_spool_thread_id_is_of_one_agency),
		SPOOL_CASE(test_spool_tracks_go_with_the_row),
		SPOOL_CASE(test_spool_withdrawal_asks_for_an_answer),
		SPOOL_CASE(test_spool_follow_up_that_is_not_wanted_goes),
		SPOOL_CASE(test_spool_lease_closes_the_others_of_the_same_offer),
		SPOOL_CASE(test_spool_threads_are_listed_in_order),
		SPOOL_CASE(test_spool_reminder_is_an_inbox_item),
		SPOOL_CASE(test_spool_pages_show_no_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
