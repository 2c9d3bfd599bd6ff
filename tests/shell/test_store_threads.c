/* The store's threads: read-your-writes, the order of due times, one transaction with the rows of the same ticket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"
#include "tests/kit/folder.h"

#define NEVER UINT64_MAX

struct rig {
	char dir[64];
	char path[80];
	uv_loop_t loop;
	uv_timer_t alive; /* a loop without an active handle does not poll */
	struct store *store;
	uint64_t ticket;
	uint64_t committed;
	enum kw_err err;
	int ack_fd;
	bool counts; /* threads, against the slot that is their value */
	uint32_t held[8][2]; /* as the start gave it */
};

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	rig->committed = ticket;
	if (err != KW_OK)
		rig->err = err;
	if (rig->ack_fd >= 0)
		(void)!write(rig->ack_fd, &ticket, sizeof(ticket));
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static uint32_t payer(const uint8_t *record, uint32_t size)
{
	return size == 12 ? (uint32_t)kw_get_u64(record + 4) : STORE_SLOT_NONE;
}

static void open_store(struct rig *rig)
{
	struct store_options options = {.path = rig->path, .map_size = 64u << 20};
	if (rig->counts)
		options.thread_payer = payer;
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(uv_timer_init(&rig->loop, &rig->alive), 0);
	assert_int_equal(uv_timer_start(&rig->alive, on_alive, 5, 5), 0);
	rig->committed = 0;
	rig->err = KW_OK;
	assert_int_equal(store_open(&options, &rig->loop, &hooks, &rig->store), KW_OK);
}

static void close_store(struct rig *rig)
{
	store_close(rig->store);
	uv_close((uv_handle_t *)&rig->alive, NULL);
	rig->store = NULL;
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
}

static void commit(struct rig *rig)
{
	store_kick(rig->store);
	while (rig->committed < rig->ticket && rig->err == KW_OK)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(rig->err, KW_OK);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	rig->ack_fd = -1;
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/kw-threads-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/db", rig->dir);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->store != NULL)
		close_store(rig);
	(void)folder_remove(rig->dir);
	free(rig);
	return 0;
}

static struct kw_id id_of(uint32_t number)
{
	struct kw_id id = {{0}};
	kw_put_u32(id.bytes, number * 2654435761u);
	kw_put_u32(id.bytes + 12, number);
	return id;
}

/* The record says its number and its value. */
static void put_on(struct rig *rig, uint64_t ticket, uint32_t number, uint64_t due_ms, uint64_t value)
{
	struct store_thread thread = {.id = id_of(number), .due_ms = due_ms, .size = 12};
	kw_put_u32(thread.record, number);
	kw_put_u64(thread.record + 4, value);
	store_put_thread(rig->store, ticket, &thread);
}

static void put(struct rig *rig, uint32_t number, uint64_t due_ms, uint64_t value)
{
	put_on(rig, ++rig->ticket, number, due_ms, value);
}

static void erase(struct rig *rig, uint32_t number)
{
	const struct store_thread none = {.id = id_of(number)};
	store_put_thread(rig->store, ++rig->ticket, &none);
}

/* Its value; 0 when it is not there. */
static uint64_t get(struct rig *rig, uint32_t number)
{
	struct store_thread thread = {.id = id_of(number), .size = 99};
	assert_int_equal(store_get_threads(rig->store, &thread, 1), KW_OK);
	if (thread.size == 0)
		return 0;
	assert_int_equal(thread.size, 12);
	assert_int_equal(kw_get_u32(thread.record), number);
	return kw_get_u64(thread.record + 4);
}

/* The numbers that are due, as text. */
static const char *due(struct rig *rig, uint64_t now_ms, uint32_t count_max)
{
	static char text[1000];
	static struct store_thread out[100];
	uint32_t count = 0;
	size_t at = 0;
	assert_int_equal(store_due(rig->store, now_ms, count_max, out, &count), KW_OK);
	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", i > 0 ? " " : "", kw_get_u32(out[i].record));
	return text;
}

static struct store_stats stats(struct rig *rig)
{
	struct store_stats out;
	store_stats_get(rig->store, &out);
	return out;
}

static void test_threads_are_read_before_and_after_their_commit(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	assert_int_equal(get(rig, 1), 0);
	put(rig, 1, 0, 10);
	assert_int_equal(get(rig, 1), 10);
	put(rig, 1, 0, 11);
	assert_int_equal(get(rig, 1), 11);
	commit(rig);
	assert_int_equal(get(rig, 1), 11);
	put(rig, 1, 0, 12);
	put(rig, 2, 0, 20);
	assert_true(get(rig, 1) == 12 && get(rig, 2) == 20);
	erase(rig, 1);
	assert_int_equal(get(rig, 1), 0); /* gone, though a commit still has it */
	commit(rig);
	close_store(rig);
	open_store(rig);
	assert_true(get(rig, 1) == 0 && get(rig, 2) == 20);
}

static void test_threads_keep_their_order_through_changes_and_restarts(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	put(rig, 1, 300, 1);
	put(rig, 2, 100, 1);
	put(rig, 3, 200, 1);
	put(rig, 4, 0, 1);
	commit(rig);
	assert_string_equal(due(rig, 99, 10), "");
	assert_string_equal(due(rig, 100, 10), "2");
	assert_string_equal(due(rig, 300, 10), "2 3 1");
	assert_string_equal(due(rig, 300, 2), "2 3");
	put(rig, 2, 250, 2);
	assert_string_equal(due(rig, 300, 10), "3 1"); /* not the old place, and not the new one before its commit */
	put(rig, 3, 200, 2);
	assert_string_equal(due(rig, 300, 10), "3 1");
	commit(rig);
	assert_string_equal(due(rig, 300, 10), "3 2 1");
	erase(rig, 3);
	assert_string_equal(due(rig, 300, 10), "2 1");
	put(rig, 1, 0, 2);
	commit(rig);
	assert_int_equal(stats(rig).damaged_rows, 0); /* what is under way is no damage */
	close_store(rig);
	open_store(rig);
	assert_string_equal(due(rig, NEVER, 10), "2");
	assert_true(stats(rig).threads == 3 && stats(rig).clocks == 1 && stats(rig).damaged_rows == 0);
}

static void test_threads_come_and_go_in_one_batch(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t n = 1; n <= 50; n++)
			put(rig, n, 1000 + (n * 7 + round) % 50, round);
		for (uint32_t n = 1; n <= 50; n += 2)
			erase(rig, n);
	}
	commit(rig);
	assert_true(stats(rig).threads == 25 && stats(rig).clocks == 25);
	for (uint32_t n = 2; n <= 50; n += 2)
		assert_int_equal(get(rig, n), 2);
}

#define KILLED_THREADS 8u

/* Each ticket appends a row and moves a thread: whatever a kill leaves, they say the same. */
static void run_until_killed(struct rig *rig)
{
	struct store_box *box = store_box_new(100);
	memset(box->data, 0, 100);
	open_store(rig);
	for (uint64_t ticket = 1;; ticket++) {
		struct store_row row = {.slot = 1, .msg_class = KW_NORMAL, .sequence = ticket, .owner_slot = 2, .box = box};
		row.thread_id = id_of((uint32_t)(ticket % KILLED_THREADS));
		store_append(rig->store, ticket, &row);
		put_on(rig, ticket, (uint32_t)(ticket % KILLED_THREADS), ticket, ticket);
		store_kick(rig->store);
		while (rig->committed + 300 < ticket)
			(void)uv_run(&rig->loop, UV_RUN_ONCE);
	}
}

struct last {
	uint64_t sequence;
	uint32_t wrong;
};

static void each_row(void *user, const struct store_row *row)
{
	struct last *last = user;
	struct kw_id id = id_of((uint32_t)(row->sequence % KILLED_THREADS));
	last->sequence = row->sequence;
	last->wrong += !kw_id_equal(&row->thread_id, &id);
	store_box_unref(row->box);
}

static void check_after_kill(struct rig *rig, uint64_t acked)
{
	struct last last = {0};
	const struct store_range range = {
		.slot = 1, .msg_class = KW_NORMAL, .from = 1, .count_max = UINT32_MAX, .bytes_max = UINT32_MAX};
	open_store(rig);
	assert_int_equal(store_read(rig->store, &range, each_row, &last), KW_OK);
	assert_true(last.sequence >= acked && last.wrong == 0);
	uint64_t now = last.sequence, threads = now < KILLED_THREADS ? now : KILLED_THREADS;
	for (uint64_t ticket = now; ticket > 0 && ticket + KILLED_THREADS > now; ticket--)
		assert_int_equal(get(rig, (uint32_t)(ticket % KILLED_THREADS)), ticket);
	assert_true(stats(rig).threads == threads && stats(rig).clocks == threads);
	if (now >= KILLED_THREADS) {
		struct store_thread out[KILLED_THREADS];
		uint32_t count;
		assert_int_equal(store_due(rig->store, NEVER, KILLED_THREADS, out, &count), KW_OK);
		assert_int_equal(count, KILLED_THREADS);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(out[i].due_ms, now - KILLED_THREADS + 1 + i);
	}
	close_store(rig);
}

static void test_a_killed_store_has_the_thread_of_every_row_it_has(void **state)
{
	struct rig *rig = *state;
	for (uint32_t round = 0; round < 12; round++) {
		int pipe_fds[2];
		uint64_t acked = 0, ticket;
		(void)folder_remove(rig->path);
		assert_int_equal(pipe(pipe_fds), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(pipe_fds[0]);
			rig->ack_fd = pipe_fds[1];
			run_until_killed(rig);
		}
		close(pipe_fds[1]);
		usleep(20000 + round * 9000);
		kill(child, SIGKILL);
		while (read(pipe_fds[0], &ticket, sizeof(ticket)) == sizeof(ticket))
			acked = ticket;
		close(pipe_fds[0]);
		assert_int_equal(waitpid(child, NULL, 0), child);
		if (access(rig->path, F_OK) == 0)
			check_after_kill(rig, acked);
	}
}

/* Opens the closed store with LMDB itself and changes it. */
static void with_lmdb(struct rig *rig, void (*change)(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks))
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi threads, clocks;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 128u << 20), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "threads", 0, &threads), 0);
	assert_int_equal(mdb_dbi_open(txn, "clocks", 0, &clocks), 0);
	change(txn, threads, clocks);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void damage_thread_2(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)clocks;
	struct kw_id id = id_of(2);
	MDB_val key = store_val(id.bytes, sizeof(id.bytes));
	MDB_val value;
	uint8_t copy[100];
	assert_int_equal(mdb_get(txn, threads, &key, &value), 0);
	size_t size = value.mv_size;
	memcpy(copy, value.mv_data, size);
	copy[size - 1] ^= 1;
	value = store_val(copy, size);
	assert_int_equal(mdb_put(txn, threads, &key, &value, 0), 0);
}

/* As a flipped bit in a clock's key would: the true place is gone, another one is there. */
static void misplace_thread_3(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	struct kw_id id = id_of(3);
	uint8_t bytes[STORE_CLOCK_KEY_SIZE];
	uint8_t row[STORE_ROW_HEAD_SIZE] = {0};
	store_row_clock_key(bytes, 300, &id);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, sizeof(row));
	assert_int_equal(mdb_del(txn, clocks, &key, NULL), 0);
	store_row_clock_key(bytes, 44, &id);
	assert_int_equal(mdb_put(txn, clocks, &key, &value, 0), 0);
}

static void test_damaged_threads_are_set_aside_and_strays_mended(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	put(rig, 1, 100, 1);
	put(rig, 2, 200, 2);
	put(rig, 3, 300, 3);
	commit(rig);
	close_store(rig);
	with_lmdb(rig, damage_thread_2);
	with_lmdb(rig, misplace_thread_3);

	open_store(rig);
	assert_true(get(rig, 1) == 1 && get(rig, 2) == 0 && get(rig, 3) == 3);
	assert_string_equal(due(rig, NEVER, 10), "1");
	assert_true(stats(rig).damaged_rows > 0);
	put(rig, 4, 400, 4); /* a ticket to wait for: the repairs are before it */
	commit(rig);
	assert_string_equal(due(rig, NEVER, 10), "1 3 4");
	uint64_t damaged = stats(rig).damaged_rows;
	put(rig, 2, 50, 22); /* the id can be used again */
	commit(rig);
	assert_string_equal(due(rig, NEVER, 10), "2 1 3 4");
	assert_int_equal(stats(rig).damaged_rows, damaged);
	assert_true(stats(rig).threads == 4 && stats(rig).clocks == 4);
}

static void make_version(MDB_txn *txn, uint32_t version)
{
	MDB_dbi meta, held;
	if (version < 3) {
		assert_int_equal(mdb_dbi_open(txn, "held", 0, &held), 0);
		assert_int_equal(mdb_drop(txn, held, 1), 0);
	}
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	for (uint8_t copy = 0; copy < STORE_COPIES; copy++) {
		uint8_t row[STORE_ROW_HEAD_SIZE + STORE_META_SIZE_MIN];
		MDB_val key = store_val(&copy, 1);
		MDB_val value;
		assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
		memcpy(row, value.mv_data, sizeof(row));
		kw_put_u32(row + STORE_ROW_HEAD_SIZE, version);
		store_row_seal(row, STORE_META, &key, STORE_META_SIZE_MIN);
		value = store_val(row, sizeof(row));
		assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	}
}

static void make_version_1(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	assert_int_equal(mdb_drop(txn, threads, 1), 0);
	assert_int_equal(mdb_drop(txn, clocks, 1), 0);
	make_version(txn, 1);
}

static void make_version_2(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	(void)clocks;
	make_version(txn, 2);
}

static void make_version_3(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	(void)clocks;
	make_version(txn, 3);
}

static void damage_held(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	MDB_dbi held;
	MDB_cursor *cursor;
	MDB_val key, value;
	uint8_t copy[STORE_ROW_HEAD_SIZE + STORE_HELD_SIZE];
	(void)threads;
	(void)clocks;
	assert_int_equal(mdb_dbi_open(txn, "held", 0, &held), 0);
	assert_int_equal(mdb_cursor_open(txn, held, &cursor), 0);
	assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
	assert_int_equal(value.mv_size, sizeof(copy));
	memcpy(copy, value.mv_data, sizeof(copy));
	copy[sizeof(copy) - 5] ^= 4;
	value = store_val(copy, sizeof(copy));
	assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
	mdb_cursor_close(cursor);
}

static void no_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	(void)user;
	(void)slot;
	(void)name;
}

static void no_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	(void)user;
	(void)slot;
	(void)msg_class;
	(void)extent;
}

static void no_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	(void)user;
	(void)slot;
	(void)msg_class;
	(void)cursor;
}

static void on_held(void *user, uint32_t slot, uint32_t threads, uint32_t reminders)
{
	struct rig *rig = user;
	assert_true(slot < 8);
	rig->held[slot][0] = threads;
	rig->held[slot][1] = reminders;
}

/* Starts again; what is held of slots 3 and 5 is as told. */
static void reopen_held(struct rig *rig, uint32_t threads_3, uint32_t reminders_3, uint32_t threads_5, uint32_t reminders_5)
{
	const struct store_recovery recovery = {
		.user = rig, .agency = no_agency, .queue = no_queue, .cursor = no_cursor, .held = on_held};
	memset(rig->held, 0, sizeof(rig->held));
	open_store(rig);
	assert_int_equal(store_recover(rig->store, &recovery), KW_OK);
	assert_true(rig->held[3][0] == threads_3 && rig->held[3][1] == reminders_3);
	assert_true(rig->held[5][0] == threads_5 && rig->held[5][1] == reminders_5);
}

static void test_what_is_held_is_kept_and_counted_when_it_is_lost(void **state)
{
	struct rig *rig = *state;
	rig->counts = true;
	open_store(rig);
	put(rig, 1, 100, 3);
	put(rig, 2, 100, 5);
	put(rig, 3, 100, 5);
	store_put_held(rig->store, rig->ticket, 3, 11, 12); /* no walk finds that: it is believed */
	store_put_held(rig->store, rig->ticket, 5, 13, 14);
	commit(rig);
	close_store(rig);
	reopen_held(rig, 11, 12, 13, 14);
	close_store(rig);
	with_lmdb(rig, damage_held);
	reopen_held(rig, 1, 0, 2, 0);
	assert_int_equal(stats(rig).damaged_rows, 1);
	close_store(rig);
	reopen_held(rig, 1, 0, 2, 0);
	assert_int_equal(stats(rig).damaged_rows, 0);
	store_put_held(rig->store, ++rig->ticket, 5, 7, 0);
	commit(rig);
	close_store(rig);
	with_lmdb(rig, make_version_2);
	reopen_held(rig, 1, 0, 2, 0);
	assert_int_equal(stats(rig).damaged_rows, 0);
}

static void test_records_of_a_later_version_are_refused(void **state)
{
	struct rig *rig = *state;
	struct store_options options = {.path = rig->path, .map_size = 64u << 20, .record_version = 7};
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	open_store(rig); /* one that says nothing of records */
	close_store(rig);
	const struct {
		uint32_t version;
		enum kw_err err;
	} STARTS[] = {{7, KW_OK}, {6, KW_EVERSION}, {7, KW_OK}, {8, KW_OK}, {7, KW_EVERSION}, {8, KW_OK}};
	for (size_t i = 0; i < sizeof(STARTS) / sizeof(STARTS[0]); i++) {
		options.record_version = STARTS[i].version;
		assert_int_equal(uv_loop_init(&rig->loop), 0);
		assert_int_equal(store_open(&options, &rig->loop, &hooks, &rig->store), STARTS[i].err);
		if (STARTS[i].err == KW_OK)
			store_close(rig->store);
		rig->store = NULL;
		(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&rig->loop), 0);
	}
}

static void test_a_store_of_version_1_is_taken(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	uint64_t epoch = store_epoch(rig->store);
	close_store(rig);
	with_lmdb(rig, make_version_1);
	open_store(rig);
	assert_true(store_epoch(rig->store) == epoch);
	assert_int_equal(stats(rig).damaged_rows, 0);
	put(rig, 1, 100, 1);
	commit(rig);
	close_store(rig);
	open_store(rig);
	assert_string_equal(due(rig, NEVER, 10), "1");
}

static bool stands(MDB_txn *txn, MDB_dbi clocks, uint32_t number, uint64_t at_ms)
{
	struct kw_id id = id_of(number);
	uint8_t bytes[STORE_CLOCK_KEY_SIZE];
	store_row_clock_key(bytes, at_ms, &id);
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	return mdb_get(txn, clocks, &key, &value) == 0;
}

static void thread_1_stands_at_100(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	assert_true(stands(txn, clocks, 1, 100) && !stands(txn, clocks, 1, 500) && !stands(txn, clocks, 1, 700));
}

static void thread_1_stands_at_500(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	assert_true(!stands(txn, clocks, 1, 100) && stands(txn, clocks, 1, 500) && !stands(txn, clocks, 1, 700));
}

static void thread_1_stands_nowhere(MDB_txn *txn, MDB_dbi threads, MDB_dbi clocks)
{
	(void)threads;
	assert_true(!stands(txn, clocks, 1, 100) && !stands(txn, clocks, 1, 500) && !stands(txn, clocks, 1, 700));
}

/* What an event costs: the order is not written while the thread is only put off. */
static void test_a_thread_that_is_put_off_moves_when_its_place_is_looked_at(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	put(rig, 1, 100, 1);
	commit(rig);
	put(rig, 1, 700, 2);
	commit(rig);
	put(rig, 1, 500, 3);
	commit(rig);
	close_store(rig);
	with_lmdb(rig, thread_1_stands_at_100);
	open_store(rig);
	assert_string_equal(due(rig, 99, 10), "");
	assert_string_equal(due(rig, 499, 10), ""); /* looked at: it goes on */
	put(rig, 2, 0, 1);
	commit(rig);
	assert_string_equal(due(rig, 499, 10), "");
	close_store(rig);
	with_lmdb(rig, thread_1_stands_at_500);
	open_store(rig);
	assert_string_equal(due(rig, 500, 10), "1");
	put(rig, 1, 700, 4); /* its place was looked at */
	commit(rig);
	assert_string_equal(due(rig, 699, 10), "");
	assert_string_equal(due(rig, 700, 10), "1");
	assert_true(stats(rig).clocks == 1 && stats(rig).damaged_rows == 0);
	put(rig, 1, 800, 5);
	commit(rig);
	put(rig, 1, 900, 6);
	erase(rig, 1);
	commit(rig);
	assert_true(stats(rig).clocks == 0 && stats(rig).damaged_rows == 0);
	close_store(rig);
	with_lmdb(rig, thread_1_stands_nowhere);
}

/* One that stands early and is due by now as well is not made to wait, and comes in its turn. */
static void test_one_that_stands_early_is_due_in_its_turn(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	put(rig, 1, 100, 1);
	put(rig, 2, 200, 1);
	commit(rig);
	put(rig, 1, 300, 2);
	commit(rig);
	assert_string_equal(due(rig, 300, 10), "2 1");
	assert_string_equal(due(rig, 300, 10), "2 1"); /* the core had no room for them */
	close_store(rig);
	open_store(rig);
	put(rig, 1, 250, 3); /* nothing was looked at yet */
	commit(rig);
	assert_string_equal(due(rig, 249, 10), "2");
	assert_string_equal(due(rig, 250, 10), "2 1");
	assert_true(stats(rig).clocks == 2 && stats(rig).damaged_rows == 0);
}

#define MODEL_THREADS 60u

struct model {
	uint64_t due_ms[MODEL_THREADS]; /* of those that are there; 0: never */
	bool there[MODEL_THREADS];
	bool put[MODEL_THREADS]; /* since the last commit */
	uint64_t seed;
	uint64_t now_ms;
};

static uint32_t draw(struct model *model, uint32_t below)
{
	model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(model->seed >> 33) % below;
}

static void model_put(struct rig *rig, struct model *model, uint32_t n)
{
	model->put[n] = true;
	if (draw(model, 10) == 0) {
		model->there[n] = false;
		erase(rig, n);
		return;
	}
	model->there[n] = true;
	model->due_ms[n] = draw(model, 12) == 0 ? 0 : model->now_ms + 1 + draw(model, 400);
	put(rig, n, model->due_ms[n], 1);
}

/* All that are due and committed are found, nothing else is, and in their order. */
static void model_check(struct rig *rig, const struct model *model)
{
	static struct store_thread out[MODEL_THREADS];
	uint32_t count, want = 0;
	assert_int_equal(store_due(rig->store, model->now_ms, MODEL_THREADS, out, &count), KW_OK);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = kw_get_u32(out[i].record);
		assert_true(model->there[n] && out[i].due_ms == model->due_ms[n] && out[i].due_ms <= model->now_ms);
		assert_true(i == 0 || out[i - 1].due_ms <= out[i].due_ms);
	}
	for (uint32_t n = 0; n < MODEL_THREADS; n++)
		want += model->there[n] && model->due_ms[n] != 0 && model->due_ms[n] <= model->now_ms && !model->put[n];
	assert_true(count >= want && count <= MODEL_THREADS);
}

static void model_commit(struct rig *rig, struct model *model)
{
	uint32_t clocks = 0, threads = 0;
	commit(rig);
	memset(model->put, 0, sizeof(model->put));
	for (uint32_t n = 0; n < MODEL_THREADS; n++) {
		threads += model->there[n];
		clocks += model->there[n] && model->due_ms[n] != 0;
	}
	assert_true(stats(rig).threads == threads && stats(rig).clocks == clocks);
}

static void test_whatever_moves_is_due_when_it_is_due(void **state)
{
	struct rig *rig = *state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct model model = {.seed = seed, .now_ms = 1000};
		(void)folder_remove(rig->path);
		rig->ticket = 0;
		open_store(rig);
		for (uint32_t round = 0; round < 400; round++) {
			for (uint32_t i = draw(&model, 8); i > 0; i--)
				model_put(rig, &model, draw(&model, MODEL_THREADS));
			if (draw(&model, 3) == 0)
				model_check(rig, &model);
			if (draw(&model, 3) == 0)
				store_put_time(rig->store, ++rig->ticket, model.now_ms); /* a ticket to wait for */
			if (draw(&model, 2) == 0)
				model_commit(rig, &model);
			model.now_ms += draw(&model, 30);
			if (draw(&model, 40) != 0)
				continue;
			close_store(rig);
			open_store(rig);
			rig->committed = rig->ticket;
			memset(model.put, 0, sizeof(model.put));
		}
		model_check(rig, &model);
		model_commit(rig, &model);
		model_check(rig, &model);
		assert_int_equal(stats(rig).damaged_rows, 0);
		close_store(rig);
	}
}

static void test_a_store_of_version_3_is_taken(void **state)
{
	struct rig *rig = *state;
	rig->counts = true;
	open_store(rig);
	put(rig, 1, 100, 3);
	store_put_held(rig->store, rig->ticket, 3, 11, 12);
	commit(rig);
	close_store(rig);
	with_lmdb(rig, make_version_3);
	reopen_held(rig, 11, 12, 0, 0);
	put(rig, 1, 300, 3);
	commit(rig);
	assert_string_equal(due(rig, 299, 10), "");
	assert_string_equal(due(rig, 300, 10), "1");
	assert_int_equal(stats(rig).damaged_rows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads_are_read_before_and_after_their_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads_keep_their_order_through_changes_and_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads_come_and_go_in_one_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_killed_store_has_the_thread_of_every_row_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_threads_are_set_aside_and_strays_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_held_is_kept_and_counted_when_it_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_of_a_later_version_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_store_of_version_1_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_thread_that_is_put_off_moves_when_its_place_is_looked_at, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_stands_early_is_due_in_its_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whatever_moves_is_due_when_it_is_due, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_store_of_version_3_is_taken, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
