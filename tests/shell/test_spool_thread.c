#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>
#include <uv.h>

#include "agent/shell/act.h"
#include "agent/shell/json.h"
#include "agent/shell/spool.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Threads in a spool of their own folder: each message moves its thread in its own transaction, in turn. */

struct rig {
	uv_loop_t loop;
	struct spool *spool;
	char folder[64];
	char path[96];
	uint8_t key[SPOOL_KEY_SIZE];
	uint64_t outbox;  /* sequence of the outbox' log */
	uint64_t arrived; /* of the hub's */
	/* Of the last operation done: */
	enum kw_err err;
	bool repeat;
	bool follow;
	uint64_t number;
	enum agt_thread_fault fault;
	uint8_t present;
	uint32_t gone_count;
};

#define NOW 1700000000000
#define HOUR 3600000
#define THEM "agency-b"

static void on_done(struct spool_op *op, enum kw_err err)
{
	struct rig *rig = op->user;
	rig->err = err;
	rig->repeat = op->repeat;
	rig->follow = op->follow;
	rig->number = op->number;
	rig->fault = op->fault;
	rig->present = op->present.state;
	rig->gone_count = op->gone_count;
}

static void run(struct rig *rig, struct spool_op *op)
{
	op->user = rig;
	op->done = on_done;
	spool_do(rig->spool, op);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(rig->err, KW_OK);
}

static void open_spool(struct rig *rig)
{
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = 64u << 20};
	assert_int_equal(spool_open(&options, &rig->loop, &rig->spool), KW_OK);
}

static void close_spool(struct rig *rig)
{
	spool_close(rig->spool);
	rig->spool = NULL;
	uv_run(&rig->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-thread-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/spool", rig->folder);
	memset(rig->key, 7, sizeof(rig->key));
	uv_loop_init(&rig->loop);
	open_spool(rig);
	*state = rig;
	return 0;
}

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *walk)
{
	(void)file;
	(void)kind;
	(void)walk;
	return remove(path);
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->spool != NULL)
		close_spool(rig);
	uv_loop_close(&rig->loop);
	assert_int_equal(nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(rig);
	return 0;
}

static struct kw_name name(const char *text)
{
	struct kw_name out = {0};
	snprintf(out.text, sizeof(out.text), "%s", text);
	return out;
}

static struct kw_id id(uint8_t n)
{
	struct kw_id out;
	memset(out.bytes, n, sizeof(out.bytes));
	return out;
}

static struct kw_digest digest(uint8_t n)
{
	struct kw_digest out;
	memset(out.bytes, n, sizeof(out.bytes));
	return out;
}

/* A message: `n` names its message, envelope and digest. */
struct said {
	uint8_t n;
	uint8_t thread;
	const char *agency; /* NULL: THEM */
	uint64_t sequence;
	enum kw_thread_kind kind;
	uint8_t state;
	bool opening;
	const char *case_ref;
	int64_t now_ms; /* 0: NOW */
	uint64_t follow_key;
};

static struct spool_item item_of(const struct said *said)
{
	return (struct spool_item){.message_id = id((uint8_t)(said->n + 100)),
		.thread_id = id(said->thread),
		.thread_sequence = said->sequence,
		.agency = name(said->agency ? said->agency : THEM),
		.at_ms = said->now_ms ? said->now_ms : NOW,
		.envelope_id = id(said->n),
		.digest = digest(said->n)};
}

static struct spool_act act_from(const struct said *said)
{
	struct spool_act act = {.kind = said->kind, .opening = said->opening, .state = said->state, .risk = KW_RISK_HIGH};
	act.service = 14;
	snprintf(act.case_ref, sizeof(act.case_ref), "%s", said->case_ref ? said->case_ref : "K-17-pseudonym");
	return act;
}

static void ours(struct rig *rig, struct said said)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox;
	op->u.append.envelope_id = id(said.n);
	op->u.append.expiry_hour = NOW / HOUR + 24;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = said.now_ms ? said.now_ms : NOW;
	op->u.append.fresh = true;
	op->u.append.item = item_of(&said);
	op->u.append.act = act_from(&said);
	op->u.append.follow_key = said.follow_key;
	struct kw_frame_track track = {.thread_id = id(said.thread), .kind = (uint8_t)said.kind, .state = said.state,
		.sequence = (uint32_t)said.sequence, .other_agency = name(THEM)};
	assert_int_equal(kw_frame_track_add(&op->box->tracks, &track), KW_OK);
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("a secret sentence")), KW_OK);
	run(rig, op);
}

static void theirs(struct rig *rig, struct said said)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&said);
	op->u.receive.act = act_from(&said);
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("their words")), KW_OK);
	run(rig, op);
}

/* Unless said otherwise: thread 200, a referral, its first place. */
static struct said opens(struct said said)
{
	said.opening = true;
	said.thread = said.thread ? said.thread : 200;
	said.sequence = said.sequence ? said.sequence : 1;
	if (said.kind == KW_THREAD_NONE) {
		said.kind = KW_THREAD_REFERRAL;
		said.state = KW_REFERRAL_QUEUED;
	}
	return said;
}

static struct said moves(struct said said)
{
	said.thread = said.thread ? said.thread : 200;
	return said;
}

#define OPENS(...) opens((struct said){__VA_ARGS__})
#define SAYS(what, name, ...) moves((struct said){.kind = KW_THREAD_##what, .state = KW_##what##_##name, __VA_ARGS__})
#define MOVES(name, ...) SAYS(REFERRAL, name, __VA_ARGS__)

static void receipt(struct rig *rig, uint8_t n, enum kw_err failure, bool opened)
{
	static uint8_t fresh = 0;
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_RECEIPT;
	op->u.receive.item.agency = name(THEM);
	op->u.receive.item.at_ms = NOW + 3;
	op->u.receive.item.digest = digest(fresh++);
	op->u.receive.item.digest.bytes[0] = 0xee;
	op->u.receive.receipts_count = 1;
	op->u.receive.receipts = calloc(1, sizeof(*op->u.receive.receipts));
	op->u.receive.receipts[0] = (struct spool_receipt){
		.digest = digest(n), .envelope_id = id(n), .failure = failure, .opened = opened, .at_ms = NOW + 2};
	run(rig, op);
}

static void notice(struct rig *rig, uint8_t n, enum kw_err reason, uint32_t retry_after_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = 1};
	op->u.notice.notice = (struct kw_frame_notice){.envelope_id = id(n), .reason = reason, .retry_after_ms = retry_after_ms};
	op->u.notice.now_ms = NOW + 5;
	run(rig, op);
}

static void sweep(struct rig *rig, int64_t now_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_SWEEP);
	op->u.sweep.now_ms = now_ms;
	op->u.sweep.rows_max = 100;
	run(rig, op);
}

static struct spool_thread thread(struct rig *rig, uint8_t n)
{
	struct kw_id thread_id = id(n);
	struct kw_name agency = name(THEM);
	struct spool_thread out;
	assert_int_equal(spool_thread(rig->spool, &thread_id, &agency, &out), KW_OK);
	return out;
}

static uint8_t state_of(struct rig *rig)
{
	return thread(rig, 200).record.state;
}

static struct spool_item sent(struct rig *rig, uint8_t n)
{
	struct kw_id message = id((uint8_t)(n + 100));
	struct kw_name agency = name(THEM);
	struct spool_item item;
	assert_int_equal(spool_find_sent(rig->spool, &message, &agency, &item), KW_OK);
	return item;
}

struct dues {
	uint32_t count;
	struct spool_receipt list[32];
};

static void on_due(void *user, const struct spool_receipt *due)
{
	struct dues *dues = user;
	assert_true(dues->count < 32);
	dues->list[dues->count++] = *due;
}

static struct dues dues(struct rig *rig)
{
	struct dues out = {0};
	assert_int_equal(spool_due(rig->spool, 0, on_due, &out), KW_OK);
	return out;
}

static bool count_item(void *user, const struct spool_item *item, struct kw_view content)
{
	uint32_t *counts = user;
	(void)content;
	counts[0]++;
	counts[1] += item->reason == KW_EILLEGAL;
	return true;
}

/* Items in the inbox; *refused: those with the mark. */
static uint32_t inbox(struct rig *rig, uint32_t *refused)
{
	struct spool_query query = {.list = SPOOL_LIST_INBOX, .limit = SPOOL_LIST_MAX, .content = true};
	uint32_t counts[2] = {0};
	uint64_t next = 1;
	assert_int_equal(spool_list(rig->spool, &query, count_item, counts, &next), KW_OK);
	if (refused != NULL)
		*refused = counts[1];
	return counts[0];
}

struct steps {
	uint32_t count;
	struct spool_step list[32];
};

static void on_step(void *user, const struct spool_step *step)
{
	struct steps *steps = user;
	assert_true(steps->count < 32);
	steps->list[steps->count++] = *step;
}

static struct steps steps(struct rig *rig)
{
	struct spool_thread one = thread(rig, 200);
	struct steps out = {0};
	assert_int_equal(spool_steps(rig->spool, &one, on_step, &out), KW_OK);
	return out;
}

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
	assert_int_equal(start.lanes[KW_NORMAL].next_sequence, rig->outbox + 1);
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

/* The other end refused an event of ours: the state goes back to what it was without it. */
static void test_spool_thread_goes_back_when_ours_was_refused(void **state)
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
	assert_int_equal(one.record.state, KW_REFERRAL_ACKNOWLEDGED);
	assert_int_equal(one.record.changed_ms, NOW + 1);
	assert_int_equal(one.record.next, 3); /* the other end has used the place */
	struct steps all = steps(rig);
	assert_int_equal(all.count, 3);
	assert_true(all.list[2].refused);
	assert_int_equal(all.list[2].reason, KW_EILLEGAL);

	/* Not the newest: what came after it stands. */
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = 3));
	theirs(rig, MOVES(REJECTED, .n = 52, .sequence = 2));
	assert_int_equal(state_of(rig), KW_REFERRAL_REJECTED);
	receipt(rig, 3, KW_EILLEGAL, false);
	assert_int_equal(state_of(rig), KW_REFERRAL_REJECTED);
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

static bool count_thread(void *user, const struct spool_thread *one)
{
	uint32_t *counts = user;
	counts[0]++;
	counts[1] = counts[1] * 10 + (uint32_t)one->number;
	return true;
}

static uint32_t list_threads(struct rig *rig, struct spool_thread_query query, uint64_t *next)
{
	uint32_t counts[2] = {0};
	assert_int_equal(spool_threads(rig->spool, &query, count_thread, counts, next), KW_OK);
	return counts[1];
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

/* --- schema 1 */

static const char REFERRAL_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralRequest\":{\"caseRef\":\"K-1\","
	"\"service\":\"SERVICE_TYPE_SHELTER\",\"risk\":\"RISK_LOW\",\"reason\":\"Fever.\",\"children\":[{\"code\":\"K\",\"age\":"
	"{\"years\":9,\"asOf\":{\"year\":2026,\"month\":9,\"day\":21}},\"sex\":\"SEX_FEMALE\"}],\"referrer\":{\"name\":\"Sara\"},"
	"\"consent\":{\"services\":\"CONSENT_ANSWER_GIVEN\",\"shareOtherOrgs\":\"CONSENT_ANSWER_GIVEN\",\"obtainedFrom\":"
	"\"CONSENT_SOURCE_CAREGIVER\"}}}";
static const char ACCEPTED_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralEvent\":{\"state\":"
	"\"REFERRAL_STATE_ACCEPTED\",\"atUnixMs\":\"1700000000000\"}}";
static const char ACKNOWLEDGED_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralEvent\":{\"state\":"
	"\"REFERRAL_STATE_ACKNOWLEDGED\",\"atUnixMs\":\"1700000000000\"}}";

static void fill_content(struct spool_op *op, const char *text)
{
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	struct kw_fault problem;
	kw_buf_clear(&op->content);
	assert_int_equal(json_map_parse(&kinward__v1__content__descriptor, kw_view_str(text), &message, &fault), KW_OK);
	assert_int_equal(kw_content_pack((Kinward__V1__Content *)message, &op->content, &problem), KW_OK);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* Messages as schema 1 kept them: content, and no thread. */
static void old_sent(struct rig *rig, struct said said, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox;
	op->u.append.envelope_id = id(said.n);
	op->u.append.expiry_hour = NOW / HOUR + 24;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = NOW;
	op->u.append.fresh = true;
	op->u.append.item = item_of(&said);
	fill_content(op, text);
	run(rig, op);
}

static void old_received(struct rig *rig, struct said said, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&said);
	fill_content(op, text);
	run(rig, op);
}

/* Takes from the closed spool what schema 1 did not have, and says that it is one. */
static void make_old(struct rig *rig)
{
	static const char *const fresh[] = {"threads", "threadno", "open", "threadlog", "early", "tracks", "follow"};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	MDB_val key = {.mv_size = 5, .mv_data = (void *)(uintptr_t) "state"};
	MDB_val value;
	uint8_t row[4096];
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++) {
		MDB_dbi table;
		assert_int_equal(mdb_dbi_open(txn, fresh[i], 0, &table), 0);
		assert_int_equal(mdb_drop(txn, table, 1), 0);
	}
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
	assert_true(value.mv_size < sizeof(row) && value.mv_size > 5 + 8 + 16);
	size_t size = value.mv_size - 16; /* two numbers fewer */
	memcpy(row, value.mv_data, size);
	kw_put_u64(row + 5, 1);
	uint8_t table = 0;
	uint32_t crc = kw_crc32c(0, &table, 1);
	crc = kw_crc32c(crc, "state", 5);
	kw_put_u32(row, kw_crc32c(crc, row + 4, size - 4));
	value = (MDB_val){.mv_size = size, .mv_data = row};
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_spool_of_schema_1_gets_its_threads(void **state)
{
	struct rig *rig = *state;
	old_sent(rig, (struct said){.n = 1, .thread = 200, .sequence = 1}, REFERRAL_JSON);
	receipt(rig, 1, KW_OK, true);
	old_received(rig, (struct said){.n = 52, .thread = 200, .sequence = 2, .now_ms = NOW + 1}, ACCEPTED_JSON);
	old_received(rig, (struct said){.n = 51, .thread = 200, .sequence = 1, .now_ms = NOW + 2}, ACKNOWLEDGED_JSON);
	old_received(rig, (struct said){.n = 53, .thread = 201, .sequence = 1, .now_ms = NOW + 3}, REFERRAL_JSON);
	old_sent(rig, (struct said){.n = 2, .thread = 202, .sequence = 1}, REFERRAL_JSON);
	notice(rig, 2, KW_ENOAGENCY, 0);
	close_spool(rig);
	make_old(rig);
	open_spool(rig);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_REFERRAL_ACCEPTED);
	assert_int_equal(one.record.next, 2);
	assert_int_equal(one.record.expected, 3);
	assert_int_equal(one.record.risk, KW_RISK_LOW);
	assert_string_equal(one.case_ref, "K-1");
	assert_int_equal(thread(rig, 201).record.state, KW_REFERRAL_DELIVERED);
	assert_int_equal(thread(rig, 202).record.state, KW_REFERRAL_UNDELIVERABLE);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){0}, &(uint64_t){0}), 123);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), 2);
	assert_int_equal(dues(rig).count, 3); /* nobody is told anything of the past */
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	close_spool(rig);
	open_spool(rig); /* and only once */
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(steps(rig).count, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(test_spool_thread_follows_its_messages),
		CASE(test_spool_thread_refuses_ours_by_the_newest_state),
		CASE(test_spool_thread_early_waits_and_is_judged_in_turn),
		CASE(test_spool_thread_event_before_its_opening),
		CASE(test_spool_thread_illegal_is_told_and_not_shown),
		CASE(test_spool_thread_early_and_then_illegal),
		CASE(test_spool_thread_goes_back_when_ours_was_refused),
		CASE(test_spool_thread_undeliverable),
		CASE(test_spool_thread_gap_is_given_up_in_the_end),
		CASE(test_spool_thread_strangers_stay_apart),
		CASE(test_spool_tracks_go_with_the_row),
		CASE(test_spool_withdrawal_asks_for_an_answer),
		CASE(test_spool_follow_up_that_is_not_wanted_goes),
		CASE(test_spool_lease_closes_the_others_of_the_same_offer),
		CASE(test_spool_threads_are_listed_in_order),
		CASE(test_spool_reminder_is_an_inbox_item),
		CASE(test_spool_pages_show_no_thread),
		CASE(test_spool_of_schema_1_gets_its_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
