#ifndef KW_KIT_SPOOL_RIG_H
#define KW_KIT_SPOOL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "agent/shell/json.h"
#include "agent/shell/spool_read.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "tests/kit/folder.h"

/* A spool in a folder of its own, and messages that open and move threads in it. For tests of the spool only. */

struct rig {
	uv_loop_t loop;
	struct spool *spool;
	char folder[64];
	char path[96];
	uint8_t key[SPOOL_KEY_SIZE];
	uint64_t outbox[KW_MSG_CLASS_COUNT]; /* sequence of the outbox' log */
	uint64_t arrived;                    /* of the hub's */
	uint64_t done;                       /* operations that ended well */
	uint64_t wrong;                      /* that did not */
	/* Of the last operation done: */
	enum kw_err err;
	bool repeat;
	bool follow;
	uint32_t count;
	uint64_t number;
	enum agt_thread_fault fault;
	uint8_t present;
	bool decided;
	uint32_t strangers;
	uint32_t gone_count;
	struct spool_gone gone[8]; /* the first of them */
};

#define NOW 1700000000000
#define HOUR 3600000
#define THEM "agency-b"

static inline void on_done(struct spool_op *op, enum kw_err err)
{
	struct rig *rig = op->user;
	rig->done += err == KW_OK;
	rig->wrong += err != KW_OK;
	rig->err = err;
	rig->repeat = op->repeat;
	rig->follow = op->follow;
	rig->count = op->count;
	rig->number = op->number;
	rig->fault = op->fault;
	rig->present = op->present.state;
	rig->decided = op->decided;
	rig->strangers = op->strangers;
	rig->gone_count = op->gone_count;
	for (uint32_t i = 0; i < op->gone_count && i < 8; i++)
		rig->gone[i] = op->gone[i];
}

static inline void begin(struct rig *rig, struct spool_op *op)
{
	op->user = rig;
	op->done = on_done;
	spool_do(rig->spool, op);
}

static inline void wait_done(struct rig *rig)
{
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

/* Says what came of it; also for children, in which a failed assertion would go on with the tests of their parent. */
static inline enum kw_err try_run(struct rig *rig, struct spool_op *op)
{
	begin(rig, op);
	wait_done(rig);
	return rig->err;
}

static inline void run(struct rig *rig, struct spool_op *op)
{
	assert_int_equal(try_run(rig, op), KW_OK);
}

static inline enum kw_err try_open_spool(struct rig *rig, uint64_t map_size)
{
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = map_size};
	return spool_open(&options, &rig->loop, &rig->spool);
}

#define MIB (1u << 20)
#define MAP_SIZE (64u * MIB)

static inline void open_sized(struct rig *rig, uint64_t map_size)
{
	assert_int_equal(try_open_spool(rig, map_size), KW_OK);
}

static inline void open_spool(struct rig *rig)
{
	open_sized(rig, MAP_SIZE);
}

static inline void close_spool(struct rig *rig)
{
	spool_close(rig->spool);
	rig->spool = NULL;
	uv_run(&rig->loop, UV_RUN_DEFAULT);
}

/* A rig whose spool the test opens itself. */
static inline int setup_closed(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-spool-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/spool", rig->folder);
	memset(rig->key, 7, sizeof(rig->key));
	uv_loop_init(&rig->loop);
	*state = rig;
	return 0;
}

static inline int setup(void **state)
{
	int failed = setup_closed(state);
	open_spool(*state);
	return failed;
}

static inline int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->spool != NULL)
		close_spool(rig);
	uv_loop_close(&rig->loop);
	assert_int_equal(folder_remove(rig->folder), 0);
	free(rig);
	return 0;
}

static inline struct kw_name name(const char *text)
{
	struct kw_name out = {0};
	snprintf(out.text, sizeof(out.text), "%s", text);
	return out;
}

static inline struct kw_id id(uint8_t n)
{
	struct kw_id out;
	memset(out.bytes, n, sizeof(out.bytes));
	return out;
}

static inline struct kw_digest digest(uint8_t n)
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
	const char *alias;
	int64_t now_ms; /* 0: NOW */
	uint64_t follow_key;
	bool by_person;
	bool anew; /* consent was given again */
	const char *json; /* as schema 1 kept it: a content that can be read, and no word of a thread */
};

static inline struct spool_item item_of(const struct said *said)
{
	return (struct spool_item){.message_id = id((uint8_t)(said->n + 100)),
		.thread_id = id(said->thread),
		.thread_sequence = said->sequence,
		.agency = name(said->agency ? said->agency : THEM),
		.at_ms = said->now_ms ? said->now_ms : NOW,
		.envelope_id = id(said->n),
		.digest = digest(said->n)};
}

static inline struct spool_act act_from(const struct said *said)
{
	struct spool_act act = {.kind = said->kind, .opening = said->opening, .state = said->state, .risk = KW_RISK_HIGH};
	act.service = 14;
	snprintf(act.case_ref, sizeof(act.case_ref), "%s", said->case_ref ? said->case_ref : "K-17-pseudonym");
	snprintf(act.alias, sizeof(act.alias), "%s", said->alias ? said->alias : "");
	return act;
}

static inline void fill_content(struct spool_op *op, const char *text)
{
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	struct kw_fault problem;
	if (text == NULL) {
		assert_int_equal(kw_buf_add(&op->content, kw_view_str("a secret sentence")), KW_OK);
		return;
	}
	assert_int_equal(json_map_parse(&kinward__v1__content__descriptor, kw_view_str(text), &message, &fault), KW_OK);
	assert_int_equal(kw_content_pack((Kinward__V1__Content *)message, &op->content, &problem), KW_OK);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* The operations as they are before anything is said in them. */
static inline struct spool_op *append_op(struct rig *rig, enum kw_msg_class msg_class, struct spool_item item)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = msg_class;
	op->u.append.sequence = ++rig->outbox[msg_class];
	op->u.append.envelope_id = item.envelope_id;
	op->u.append.expiry_hour = NOW / HOUR + 24;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = item.at_ms;
	op->u.append.fresh = true;
	op->u.append.item = item;
	return op;
}

static inline struct spool_op *arrival_op(enum spool_arrival arrival, uint64_t sequence, struct spool_item item)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = sequence};
	op->u.receive.arrival = arrival;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item;
	return op;
}

static inline void ours(struct rig *rig, struct said said)
{
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.follow_key = said.follow_key;
	op->u.append.by_person = said.by_person;
	if (said.json == NULL)
		op->u.append.act = act_from(&said);
	struct kw_frame_track track = {.thread_id = id(said.thread), .kind = (uint8_t)said.kind, .state = said.state,
		.sequence = (uint32_t)said.sequence, .other_agency = name(THEM)};
	assert_int_equal(kw_frame_track_add(&op->box->tracks, &track), KW_OK);
	fill_content(op, said.json);
	run(rig, op);
}

/* What the agent has to say by itself. */
struct follow_list {
	uint32_t count;
	struct spool_follow follows[64];
};

static inline bool gather_follows(void *user, const struct spool_follow *follow)
{
	struct follow_list *list = user;
	list->follows[list->count++] = *follow;
	return list->count < 64;
}

static inline struct follow_list pending(struct rig *rig)
{
	struct follow_list list = {0};
	assert_int_equal(spool_follows(rig->spool, 0, gather_follows, &list), KW_OK);
	return list;
}

static inline uint32_t waiting(struct rig *rig, enum spool_follow_what what)
{
	struct follow_list list = pending(rig);
	uint32_t count = 0;
	for (uint32_t i = 0; i < list.count; i++)
		count += list.follows[i].what == what;
	return count;
}

/* Opens one of ours that passes on what thread `from` brought; 0: says nothing of that. */
static inline void ours_from(struct rig *rig, uint8_t from, struct said said)
{
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = act_from(&said);
	op->u.append.claim.has_from = from != 0;
	op->u.append.claim.from_thread = id(from);
	op->u.append.claim.consent_anew = said.anew;
	fill_content(op, NULL);
	run(rig, op);
}

static inline void theirs(struct rig *rig, struct said said)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&said));
	if (said.json == NULL)
		op->u.receive.act = act_from(&said);
	fill_content(op, said.json);
	run(rig, op);
}

/* Unless said otherwise: thread 200, a referral, its first place. */
static inline struct said opens(struct said said)
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

static inline struct said moves(struct said said)
{
	said.thread = said.thread ? said.thread : 200;
	return said;
}

#define OPENS(...) opens((struct said){__VA_ARGS__})
#define SAYS(what, name, ...) moves((struct said){.kind = KW_THREAD_##what, .state = KW_##what##_##name, __VA_ARGS__})
#define MOVES(name, ...) SAYS(REFERRAL, name, __VA_ARGS__)

static inline void receipt_of(struct rig *rig, const char *from, uint8_t n, enum kw_err failure, bool opened)
{
	static uint8_t fresh = 0;
	struct spool_item item = {.agency = name(from), .at_ms = NOW + 3, .digest = digest(fresh++)};
	struct spool_op *op = arrival_op(SPOOL_RECEIPT, ++rig->arrived, item);
	op->u.receive.item.digest.bytes[0] = 0xee;
	op->u.receive.receipts_count = 1;
	op->u.receive.receipts = calloc(1, sizeof(*op->u.receive.receipts));
	op->u.receive.receipts[0] = (struct spool_receipt){
		.digest = digest(n), .envelope_id = id(n), .failure = failure, .opened = opened, .at_ms = NOW + 2};
	run(rig, op);
}

static inline void receipt(struct rig *rig, uint8_t n, enum kw_err failure, bool opened)
{
	receipt_of(rig, THEM, n, failure, opened);
}

static inline void notice_at(struct rig *rig, uint8_t n, enum kw_err reason, uint32_t retry_after_ms, int64_t now_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = 1};
	op->u.notice.notice = (struct kw_frame_notice){.envelope_id = id(n), .reason = reason, .retry_after_ms = retry_after_ms};
	op->u.notice.now_ms = now_ms;
	run(rig, op);
}

static inline void notice(struct rig *rig, uint8_t n, enum kw_err reason, uint32_t retry_after_ms)
{
	notice_at(rig, n, reason, retry_after_ms, NOW + 5);
}

static inline void held_to(struct rig *rig, enum kw_msg_class msg_class, uint64_t sequence, int64_t now_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_HELD);
	op->u.held.msg_class = msg_class;
	op->u.held.sequence = sequence;
	op->u.held.now_ms = now_ms;
	run(rig, op);
}

/* The hub holds all that we have sent. */
static inline void held(struct rig *rig)
{
	held_to(rig, KW_NORMAL, rig->outbox[KW_NORMAL], NOW);
}

static inline void sweep(struct rig *rig, int64_t now_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_SWEEP);
	op->u.sweep.now_ms = now_ms;
	op->u.sweep.rows_max = 100;
	run(rig, op);
}

static inline struct spool_thread thread(struct rig *rig, uint8_t n)
{
	struct kw_id thread_id = id(n);
	struct kw_name agency = name(THEM);
	struct spool_thread out;
	assert_int_equal(spool_thread(rig->spool, &thread_id, &agency, &out), KW_OK);
	return out;
}

static inline uint8_t state_of(struct rig *rig)
{
	return thread(rig, 200).record.state;
}

static inline struct spool_item sent(struct rig *rig, uint8_t n)
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

static inline void on_due(void *user, const struct spool_receipt *due)
{
	struct dues *dues = user;
	assert_true(dues->count < 32);
	dues->list[dues->count++] = *due;
}

static inline struct dues dues(struct rig *rig)
{
	struct dues out = {0};
	assert_int_equal(spool_due(rig->spool, 0, on_due, &out), KW_OK);
	return out;
}

static inline bool count_item(void *user, const struct spool_item *item, struct kw_view content)
{
	uint32_t *counts = user;
	(void)content;
	counts[0]++;
	counts[1] += item->reason == KW_EILLEGAL;
	return true;
}

/* Items in the inbox; *refused: those with the mark. */
static inline uint32_t inbox(struct rig *rig, uint32_t *refused)
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

static inline void on_step(void *user, const struct spool_step *step)
{
	struct steps *steps = user;
	assert_true(steps->count < 32);
	steps->list[steps->count++] = *step;
}

static inline struct steps steps(struct rig *rig)
{
	struct spool_thread one = thread(rig, 200);
	struct steps out = {0};
	assert_int_equal(spool_steps(rig->spool, &one, on_step, &out), KW_OK);
	return out;
}

static inline bool count_thread(void *user, const struct spool_thread *one)
{
	uint32_t *counts = user;
	counts[0]++;
	counts[1] = counts[1] * 10 + (uint32_t)one->number;
	return true;
}

static inline uint32_t list_threads(struct rig *rig, struct spool_thread_query query, uint64_t *next)
{
	uint32_t counts[2] = {0};
	assert_int_equal(spool_threads(rig->spool, &query, count_thread, counts, next), KW_OK);
	return counts[1];
}

#define SPOOL_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
