#include <lmdb.h>
#include <time.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "tests/kit/spool_rig.h"

/* The order of what waits for us: kept by every transaction that moves a thread, made for a spool that has none. What it says is
 * compared with a walk over all open threads. */

#define THREADS_MAX 1500u

static uint64_t drawn;

static uint32_t draw(uint32_t below)
{
	drawn = drawn * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(drawn >> 33) % below;
}

static void count_done(struct spool_op *op, enum kw_err err)
{
	(void)op;
	assert_int_equal(err, KW_OK);
}

static void settle(struct rig *rig)
{
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

struct told {
	uint32_t thread;
	uint64_t sequence;
	bool opening;
	enum kw_thread_kind kind;
	uint8_t state;
	enum kw_risk risk;
	int64_t at_ms;
	bool unclaimed;
};

/* A message of theirs, not waited for: many share a commit. */
static void tell(struct rig *rig, const struct told *told)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	struct spool_item *item = &op->u.receive.item;
	op->done = count_done;
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	kw_put_u64(item->message_id.bytes, rig->arrived);
	kw_put_u64(item->digest.bytes, rig->arrived);
	kw_put_u64(item->envelope_id.bytes, rig->arrived);
	kw_put_u32(item->thread_id.bytes, told->thread + 1);
	item->thread_sequence = told->sequence;
	item->at_ms = told->at_ms;
	item->agency = name(THEM);
	op->u.receive.act = (struct spool_act){.kind = told->kind, .opening = told->opening, .state = told->state, .risk = told->risk,
		.unclaimed = told->unclaimed};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("x")), KW_OK);
	spool_do(rig->spool, op);
}

/* Consent is withdrawn, and a person has to say what becomes of it here. */
static void ask_to_erase(struct rig *rig, uint32_t thread)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	struct spool_item *item = &op->u.receive.item;
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	kw_put_u64(item->message_id.bytes, rig->arrived);
	kw_put_u64(item->digest.bytes, rig->arrived);
	kw_put_u64(item->envelope_id.bytes, rig->arrived);
	kw_put_u32(item->thread_id.bytes, thread + 1);
	item->at_ms = NOW;
	item->agency = name(THEM);
	op->u.receive.erase_manual = true;
	op->u.receive.erasure = calloc(1, sizeof(*op->u.receive.erasure));
	*op->u.receive.erasure = (struct spool_erasure){.thread_id = item->thread_id, .action = SPOOL_ERASE_ACTION, .reason = 1,
		.from = 1, .purposes = 2, .asked_ms = NOW, .effective_ms = NOW};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("erase it")), KW_OK);
	run(rig, op);
}

static bool count_asked(void *user, const struct spool_erasure *erasure)
{
	assert_true(spool_erasure_is_open(erasure));
	++*(uint32_t *)user;
	return true;
}

static uint32_t asked(struct rig *rig)
{
	uint32_t count = 0;
	assert_int_equal(spool_erasures(rig->spool, true, count_asked, &count), KW_OK);
	return count;
}

static void tell_opening(struct rig *rig, uint32_t thread)
{
	struct told told = {.thread = thread, .sequence = 1, .opening = true, .kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_QUEUED,
		.risk = (enum kw_risk)(KW_RISK_NONE + 1 + draw(KW_RISK_COUNT - 1)), .at_ms = NOW + (int64_t)draw(1000000) * 1000,
		.unclaimed = draw(10) == 0};
	if (draw(4) == 0) {
		told.kind = KW_THREAD_TRACING; /* theirs to act */
		told.state = KW_TRACING_REGISTERED;
	}
	tell(rig, &told);
}

/* Mostly taken, sometimes refused: both are judged. */
static void tell_move(struct rig *rig, uint32_t thread, uint64_t sequence)
{
	static const uint8_t STATES[] = {
		KW_REFERRAL_CANCEL_REQUESTED, KW_REFERRAL_CONSENT_WITHDRAWN, KW_REFERRAL_ACKNOWLEDGED, KW_REFERRAL_CLOSED};
	const struct told told = {.thread = thread, .sequence = sequence, .kind = KW_THREAD_REFERRAL,
		.state = STATES[draw(4)], .risk = KW_RISK_NONE, .at_ms = NOW + (int64_t)draw(1000000) * 1000};
	tell(rig, &told);
}

struct list {
	uint32_t count;
	uint32_t limit;
	struct spool_thread threads[THREADS_MAX];
};

static bool keep(void *user, const struct spool_thread *thread)
{
	struct list *list = user;
	assert_true(list->count < THREADS_MAX);
	list->threads[list->count++] = *thread;
	return list->count < list->limit;
}

static bool keep_waiting(void *user, const struct spool_thread *thread)
{
	return agt_thread_waits_for_us(&thread->record) ? keep(user, thread) : true;
}

static int by_turn(const void *a, const void *b)
{
	const struct spool_thread *x = a, *y = b;
	int64_t due_x = agt_thread_due_ms(&x->record), due_y = agt_thread_due_ms(&y->record);
	if (x->unclaimed != y->unclaimed)
		return x->unclaimed ? -1 : 1;
	due_x = due_x != 0 ? due_x : INT64_MAX;
	due_y = due_y != 0 ? due_y : INT64_MAX;
	if (due_x != due_y)
		return due_x < due_y ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* Returns how many wait. */
static uint32_t check_order(struct rig *rig)
{
	static struct list all, order;
	const struct spool_thread_query query = {.open = true};
	uint64_t next = 0;
	all.count = order.count = 0;
	all.limit = order.limit = THREADS_MAX;
	assert_int_equal(spool_threads(rig->spool, &query, keep_waiting, &all, &next), KW_OK);
	qsort(all.threads, all.count, sizeof(all.threads[0]), by_turn);
	assert_int_equal(spool_todo(rig->spool, keep, &order), KW_OK);
	assert_int_equal(order.count, all.count);
	for (uint32_t i = 0; i < all.count; i++)
		assert_int_equal(order.threads[i].number, all.threads[i].number);
	order.count = 0;
	order.limit = 3;
	assert_int_equal(spool_todo(rig->spool, keep, &order), KW_OK);
	assert_int_equal(order.count, all.count < 3 ? all.count : 3);
	return all.count;
}

static void reopen(struct rig *rig)
{
	close_spool(rig);
	open_spool(rig);
}

/* In the table of the closed spool. */
static uint64_t places(struct rig *rig)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi todo;
	MDB_stat stat;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, MDB_RDONLY, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "todo", 0, &todo), 0);
	assert_int_equal(mdb_stat(txn, todo, &stat), 0);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return stat.ms_entries;
}

static void test_todo_is_the_order_of_a_walk_over_all(void **state)
{
	struct rig *rig = *state;
	static uint64_t sequences[120];
	uint32_t most = 0;
	memset(sequences, 0, sizeof(sequences));
	drawn = 11;
	for (uint32_t round = 0; round < 60; round++) {
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t thread = draw(120);
			if (sequences[thread]++ == 0)
				tell_opening(rig, thread);
			else
				tell_move(rig, thread, sequences[thread]);
		}
		settle(rig);
		uint32_t waits = check_order(rig);
		most = waits > most ? waits : most;
		if (draw(10) == 0)
			reopen(rig);
	}
	assert_true(most >= 20);
	uint32_t waits = check_order(rig);
	close_spool(rig);
	assert_int_equal(places(rig), waits); /* none is left behind, to be passed over for ever */
	open_spool(rig);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DAMAGED), 0);
}

static void test_todo_follows_what_we_say(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	assert_int_equal(check_order(rig), 1);
	ours(rig, MOVES(ACKNOWLEDGED, .n = 2, .sequence = 1, .now_ms = NOW + 5));
	assert_int_equal(check_order(rig), 1);
	ours(rig, MOVES(ACCEPTED, .n = 3, .sequence = 2));
	ours(rig, MOVES(NOT_PROVIDED, .n = 4, .sequence = 3));
	assert_int_equal(check_order(rig), 0); /* theirs to close */
	theirs(rig, MOVES(CLOSED, .n = 5, .sequence = 2));
	assert_int_equal(check_order(rig), 0);
}

/* As a version before the order leaves it: no table, or one that it has not kept, and no number that says so. */
static void make_old(struct rig *rig, bool drop)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta, todo, asked_table;
	MDB_val key = {.mv_size = 5, .mv_data = (void *)(uintptr_t) "state"};
	MDB_val value;
	uint8_t row[4096];
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "todo", 0, &todo), 0);
	assert_int_equal(mdb_drop(txn, todo, drop), 0);
	assert_int_equal(mdb_dbi_open(txn, "asked", 0, &asked_table), 0);
	assert_int_equal(mdb_drop(txn, asked_table, drop), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
	size_t size = value.mv_size - 8; /* the last number */
	assert_true(size < sizeof(row));
	memcpy(row, value.mv_data, size);
	uint8_t table = 0;
	uint32_t crc = kw_crc32c(0, &table, 1);
	crc = kw_crc32c(crc, "state", 5);
	kw_put_u32(row, kw_crc32c(crc, row + 4, size - 4));
	value = (MDB_val){.mv_size = size, .mv_data = row};
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_todo_is_made_for_a_spool_that_has_none(void **state)
{
	struct rig *rig = *state;
	drawn = 5;
	for (uint32_t i = 0; i < 200; i++)
		tell_opening(rig, i);
	settle(rig);
	for (uint32_t i = 0; i < 3; i++)
		ask_to_erase(rig, i * 7);
	uint32_t waits = check_order(rig);
	assert_int_equal(asked(rig), 3);
	for (uint32_t round = 0; round < 2; round++) {
		close_spool(rig);
		make_old(rig, round == 0);
		open_spool(rig);
		assert_int_equal(check_order(rig), waits);
		assert_int_equal(asked(rig), 3);
	}
	for (uint32_t i = 0; i < 200; i += 3)
		tell_move(rig, i, 2);
	settle(rig);
	assert_true(check_order(rig) < waits);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DAMAGED), 0);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* 5 of 1,500 against all: a walk would cost as much for the few. KW_TODO_THREADS: more, and the times are told. */
static void test_todo_costs_what_it_shows(void **state)
{
	struct rig *rig = *state;
	static struct list list;
	const char *wanted = getenv("KW_TODO_THREADS");
	const struct spool_thread_query query = {.open = true};
	uint32_t count = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10) : THREADS_MAX;
	uint64_t next = 0, walk_ns = UINT64_MAX, few_ns = UINT64_MAX;
	uint32_t counts[2] = {0};
	drawn = 7;
	for (uint32_t i = 0; i < count; i++) {
		tell_opening(rig, i);
		if (i % 500 == 499)
			settle(rig);
	}
	settle(rig);
	for (uint32_t i = 0; i < 5; i++) {
		uint64_t start_ns = now_ns();
		assert_int_equal(spool_threads(rig->spool, &query, count_thread, counts, &next), KW_OK);
		uint64_t ns = now_ns() - start_ns;
		walk_ns = ns < walk_ns ? ns : walk_ns;
		list.count = 0;
		list.limit = 5;
		start_ns = now_ns();
		assert_int_equal(spool_todo(rig->spool, keep, &list), KW_OK);
		ns = now_ns() - start_ns;
		few_ns = ns < few_ns ? ns : few_ns;
		assert_int_equal(list.count, 5);
	}
	if (wanted != NULL)
		print_message("%u open: all %.2f ms, the first 5 %.3f ms\n", count, (double)walk_ns / 1e6, (double)few_ns / 1e6);
	assert_true(few_ns * 20 < walk_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_todo_is_the_order_of_a_walk_over_all),
		SPOOL_CASE(test_todo_follows_what_we_say),
		SPOOL_CASE(test_todo_is_made_for_a_spool_that_has_none),
		SPOOL_CASE(test_todo_costs_what_it_shows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
