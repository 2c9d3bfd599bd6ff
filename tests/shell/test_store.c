#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>
#include <uv.h>

#include "broker/shell/store.h"
#include "tests/kit/folder.h"

#define MAP_SIZE (64ull << 20)
#define MEMORY_MIN (512ull << 20) /* free in memory; below, all stay on the disk */

/* A store in a folder of its own, and what it told. */
struct rig {
	uv_loop_t loop;
	uv_timer_t keep; /* so that the loop waits instead of spinning */
	struct store *store;
	char folder[64];
	char path[96];
	struct store_options options;
	uint64_t ticket; /* handed over */
	uint64_t acked;
	uint32_t error_count;
	enum kw_err err;
	int ack_fd; /* acked tickets go there too, or -1 */
	/* Of the last recovery: */
	uint32_t agency_count;
	char agency[64];
	struct store_extent extents[8][KW_MSG_CLASS_COUNT];
	struct kw_cursor cursors[8][KW_MSG_CLASS_COUNT];
	/* Of the last read: */
	uint32_t count;
	uint64_t first;
	uint64_t last;
	bool wrong;
	uint32_t body_size;
};

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
}

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	if (err != KW_OK) {
		rig->err = err;
		rig->error_count++;
		return;
	}
	assert_true(ticket >= rig->acked && rig->error_count == 0);
	rig->acked = ticket;
	if (rig->ack_fd >= 0)
		assert_int_equal(write(rig->ack_fd, &ticket, sizeof(ticket)), sizeof(ticket));
}

static void on_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	struct rig *rig = user;
	rig->agency_count++;
	(void)snprintf(rig->agency, sizeof(rig->agency), "%u %.40s", slot, name->text);
}

static void on_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	struct rig *rig = user;
	if (slot < 8)
		rig->extents[slot][msg_class] = *extent;
}

static void on_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	struct rig *rig = user;
	if (slot < 8)
		rig->cursors[slot][msg_class] = cursor;
}

static enum kw_err try_open(struct rig *rig)
{
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	const struct store_recovery recovery = {
		.user = rig, .agency = on_agency, .queue = on_queue, .cursor = on_cursor};
	rig->agency_count = 0;
	memset(rig->extents, 0, sizeof(rig->extents));
	memset(rig->cursors, 0, sizeof(rig->cursors));
	rig->error_count = 0;
	rig->err = KW_OK;
	enum kw_err err = store_open(&rig->options, &rig->loop, &hooks, &rig->store);
	if (err != KW_OK) {
		rig->store = NULL;
		return err;
	}
	return store_recover(rig->store, &recovery);
}

static void open_store(struct rig *rig)
{
	assert_int_equal(try_open(rig), KW_OK);
}

static void close_store(struct rig *rig)
{
	store_close(rig->store);
	rig->store = NULL;
	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
}

/* Where a test's store lies. What a process leaves behind when it ends or is killed is the kernel's page cache, the same
 * for a disk as for memory, where the thousands of syncs of these tests cost nothing. Those that have few stay on the disk,
 * so that real syncs, O_DSYNC and locks of its file system are seen too. */
static const char *parent_of(bool in_memory)
{
	struct statvfs room;
	bool fits = statvfs("/dev/shm", &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize >= MEMORY_MIN;
	return in_memory && fits && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void rig_init(struct rig *rig, bool in_memory)
{
	memset(rig, 0, sizeof(*rig));
	rig->ack_fd = -1;
	rig->body_size = 200;
	(void)snprintf(rig->folder, sizeof(rig->folder), "%s/kw-store-XXXXXX", parent_of(in_memory));
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/db", rig->folder);
	rig->options = (struct store_options){.path = rig->path, .map_size = MAP_SIZE};
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(uv_timer_init(&rig->loop, &rig->keep), 0);
	assert_int_equal(uv_timer_start(&rig->keep, on_timer, 5, 5), 0);
}

static void rig_fini(struct rig *rig)
{
	if (rig->store != NULL)
		close_store(rig);
	uv_close((uv_handle_t *)&rig->keep, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	(void)folder_remove(rig->folder);
}

/* A body that says which row it is of, in every byte. */
static void fill(uint8_t *data, uint32_t size, uint32_t slot, uint64_t sequence)
{
	uint64_t word = (sequence * 0x9e3779b97f4a7c15ull) ^ slot;
	for (uint32_t i = 0; i < size; i++)
		data[i] = (uint8_t)(word >> (i % 8 * 8)) ^ (uint8_t)i;
}

static void append(struct rig *rig, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct store_box *box = store_box_new(rig->body_size);
	assert_non_null(box);
	fill(box->data, box->size, slot, sequence);
	struct store_row row = {
		.slot = slot,
		.msg_class = msg_class,
		.sequence = sequence,
		.owner_slot = 7,
		.expiry_hour = (uint32_t)(sequence % 10),
		.box = box,
	};
	memcpy(row.envelope_id.bytes, &sequence, sizeof(sequence));
	store_append(rig->store, ++rig->ticket, &row);
	store_box_unref(box);
}

static void wait_acked(struct rig *rig)
{
	store_kick(rig->store);
	while (rig->acked < rig->ticket && rig->error_count == 0)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
}

static void append_many(struct rig *rig, uint32_t slot, uint64_t first, uint64_t last)
{
	for (uint64_t sequence = first; sequence <= last; sequence++) {
		append(rig, slot, KW_NORMAL, sequence);
		if (sequence % 64 == 0) {
			store_kick(rig->store);
			(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		}
		if (sequence % 2048 == 0)
			wait_acked(rig);
	}
	wait_acked(rig);
}

static void each(void *user, const struct store_row *row)
{
	struct rig *rig = user;
	uint8_t *expected = malloc(row->box->size + 1u);
	assert_non_null(expected);
	fill(expected, row->box->size, row->slot, row->sequence);
	if (memcmp(expected, row->box->data, row->box->size) != 0 || row->owner_slot != 7 ||
		row->expiry_hour != row->sequence % 10 || memcmp(row->envelope_id.bytes, &row->sequence, 8) != 0 ||
		row->box->size != rig->body_size || (rig->count > 0 && row->sequence <= rig->last))
		rig->wrong = true;
	free(expected);
	if (rig->count++ == 0)
		rig->first = row->sequence;
	rig->last = row->sequence;
	store_box_unref(row->box);
}

static enum kw_err read_queue(struct rig *rig, uint32_t slot, uint64_t from, uint32_t count_max)
{
	const struct store_range range = {
		.slot = slot, .msg_class = KW_NORMAL, .from = from, .count_max = count_max, .bytes_max = 1u << 30};
	rig->count = 0;
	rig->first = rig->last = 0;
	rig->wrong = false;
	enum kw_err err = store_read(rig->store, &range, each, rig);
	assert_false(rig->wrong);
	return err;
}

static struct store_stats stats(struct rig *rig)
{
	struct store_stats out;
	store_stats_get(rig->store, &out);
	return out;
}

static int make_rig(void **state, bool in_memory)
{
	struct rig *rig = malloc(sizeof(*rig));
	assert_non_null(rig);
	rig_init(rig, in_memory);
	*state = rig;
	return 0;
}

static int setup(void **state)
{
	return make_rig(state, true);
}

static int setup_on_disk(void **state)
{
	return make_rig(state, false);
}

static int teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static void test_store_keeps_rows_cursors_and_agencies(void **state)
{
	struct rig *rig = *state;
	struct kw_name name;
	open_store(rig);
	uint64_t epoch = store_epoch(rig->store);
	assert_true(epoch != 0);
	assert_int_equal(kw_name_from(kw_view_str("north"), &name), KW_OK);
	store_put_agency(rig->store, ++rig->ticket, 3, &name);
	append_many(rig, 1, 1, 1000);
	append_many(rig, 2, 1, 5);
	store_put_cursor(rig->store, ++rig->ticket, 2, KW_URGENT, (struct kw_cursor){.epoch = 9, .sequence = 8});
	store_put_cursor(rig->store, ++rig->ticket, 2, KW_URGENT, (struct kw_cursor){.epoch = 9, .sequence = 10});
	wait_acked(rig);
	close_store(rig);

	open_store(rig);
	assert_true(store_epoch(rig->store) == epoch);
	assert_int_equal(rig->agency_count, 1);
	assert_string_equal(rig->agency, "3 north");
	struct store_extent *extent = &rig->extents[1][KW_NORMAL];
	assert_true(extent->first == 1 && extent->last == 1000 && extent->count == 1000 && extent->bytes == 200000);
	assert_true(rig->cursors[2][KW_URGENT].epoch == 9 && rig->cursors[2][KW_URGENT].sequence == 10);
	assert_int_equal(read_queue(rig, 1, 1, 5000), KW_OK);
	assert_true(rig->count == 1000 && rig->first == 1 && rig->last == 1000);
	assert_int_equal(read_queue(rig, 1, 500, 10), KW_OK);
	assert_true(rig->count == 10 && rig->first == 500);
	assert_int_equal(read_queue(rig, 2, 6, 10), KW_OK);
	assert_int_equal(rig->count, 0);
}

static void test_store_commits_on_close(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	for (uint64_t i = 1; i <= 3000; i++)
		append(rig, 1, KW_NORMAL, i);
	close_store(rig);
	open_store(rig);
	assert_int_equal(read_queue(rig, 1, 1, 5000), KW_OK);
	assert_int_equal(rig->count, 3000);
}

static void test_store_trims_removes_and_remembers_the_last(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, 1, 100);
	store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, 40);
	store_remove(rig->store, ++rig->ticket, 1, KW_NORMAL, 42);
	store_remove(rig->store, ++rig->ticket, 1, KW_NORMAL, 4242);
	assert_int_equal(read_queue(rig, 1, 1, 500), KW_OK); /* trimmed from the call on */
	assert_true(rig->first == 41);
	wait_acked(rig);
	assert_int_equal(read_queue(rig, 1, 1, 500), KW_OK);
	assert_true(rig->count == 59 && rig->first == 41);
	close_store(rig);
	open_store(rig);
	struct store_extent *extent = &rig->extents[1][KW_NORMAL];
	assert_true(extent->first == 41 && extent->last == 100 && extent->count == 59);
	store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, 100);
	wait_acked(rig);
	close_store(rig);
	open_store(rig);
	assert_true(extent->first == 101 && extent->last == 100 && extent->count == 0 && extent->bytes == 0);
}

static void test_store_elides_what_is_trimmed_in_its_batch(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, 1, 1);
	uint64_t used = stats(rig).used_bytes;
	for (uint64_t i = 2; i <= 900; i++) {
		append(rig, 1, KW_NORMAL, i);
		store_trim(rig->store, rig->ticket, 1, KW_NORMAL, i);
	}
	wait_acked(rig);
	assert_true(stats(rig).used_bytes <= used);
	close_store(rig);
	open_store(rig);
	assert_true(rig->extents[1][KW_NORMAL].last == 900 && rig->extents[1][KW_NORMAL].count == 0);
}

static void test_store_trims_in_slices_without_promising_less(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, 1, 20000);
	uint64_t full = stats(rig).used_bytes;
	close_store(rig);
	pid_t child = fork(); /* dies as soon as the trim is durable */
	assert_true(child >= 0);
	if (child == 0) {
		uv_loop_init(&rig->loop);
		uv_timer_init(&rig->loop, &rig->keep);
		uv_timer_start(&rig->keep, on_timer, 5, 5);
		if (try_open(rig) != KW_OK)
			_exit(1);
		store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, 19990);
		wait_acked(rig);
		_exit(0);
	}
	int status;
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	open_store(rig);
	struct store_extent *extent = &rig->extents[1][KW_NORMAL];
	assert_true(extent->first == 19991 && extent->last == 20000 && extent->count == 10 && extent->bytes == 2000);
	assert_int_equal(read_queue(rig, 1, 1, 500), KW_OK);
	assert_true(rig->count == 10 && rig->first == 19991);
	for (int i = 0; i < 1000 && stats(rig).used_bytes > full / 4; i++)
		(void)uv_run(&rig->loop, UV_RUN_ONCE); /* the pages come back without any new change */
	assert_true(stats(rig).used_bytes <= full / 4);
}

static void test_store_takes_a_new_epoch(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	uint64_t epoch = store_epoch(rig->store);
	append_many(rig, 1, 1, 10);
	store_put_cursor(rig->store, ++rig->ticket, 1, KW_BULK, (struct kw_cursor){.epoch = 1, .sequence = 2});
	wait_acked(rig);
	close_store(rig);
	rig->options.new_epoch = true;
	open_store(rig);
	assert_true(store_epoch(rig->store) != epoch && store_epoch(rig->store) != 0);
	assert_true(rig->cursors[1][KW_BULK].epoch == 0);
	assert_int_equal(read_queue(rig, 1, 1, 500), KW_OK);
	assert_int_equal(rig->count, 10);
	epoch = store_epoch(rig->store);
	close_store(rig);
	rig->options.new_epoch = false;
	open_store(rig);
	assert_true(store_epoch(rig->store) == epoch);
}

static uint32_t sweep_count;

static void each_swept(void *user, const struct store_row *row)
{
	(void)user;
	assert_true(row->expiry_hour > 0 && row->expiry_hour <= 3 && row->box == NULL);
	sweep_count++;
}

static void test_store_sweeps_in_slices(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	sweep_count = 0;
	assert_true(store_sweep(rig->store, 3, 100, each_swept, NULL));
	append_many(rig, 1, 1, 500);
	append_many(rig, 2, 1, 500);
	store_trim(rig->store, ++rig->ticket, 2, KW_NORMAL, 100);
	uint32_t slices = 1;
	while (!store_sweep(rig->store, 3, 100, each_swept, NULL))
		slices++;
	assert_int_equal(sweep_count, 270); /* 3 of each 10 */
	assert_true(slices >= 10 && slices <= 11);
	sweep_count = 0;
	while (!store_sweep(rig->store, 3, 100, each_swept, NULL))
		continue;
	assert_int_equal(sweep_count, 270);
}

static void test_store_refuses_what_is_unsafe(void **state)
{
	struct rig *rig = *state;
	rig->options.unsafe_no_sync = true;
	unsetenv("KW_UNSAFE_TEST");
	assert_int_equal(try_open(rig), KW_EDENIED);
	setenv("KW_UNSAFE_TEST", "1", 1);
#ifdef KW_UNSAFE_TESTS
	open_store(rig);
	close_store(rig);
#else
	assert_int_equal(try_open(rig), KW_EDENIED);
#endif
	unsetenv("KW_UNSAFE_TEST");
	rig->options.unsafe_no_sync = false;
	open_store(rig);
	struct rig other = *rig;
	assert_int_equal(try_open(&other), KW_EBUSY);
}

static off_t file_size(const struct rig *rig)
{
	char name[128];
	struct stat status;
	(void)snprintf(name, sizeof(name), "%s/data.mdb", rig->path);
	assert_int_equal(stat(name, &status), 0);
	return status.st_size;
}

static void test_store_refuses_a_truncated_file(void **state)
{
	struct rig *rig = *state;
	char name[128];
	open_store(rig);
	append_many(rig, 1, 1, 1000);
	close_store(rig);
	(void)snprintf(name, sizeof(name), "%s/data.mdb", rig->path);
	off_t size = file_size(rig);
	const off_t cuts[] = {size - 1, size - 4096, size / 2, 8192, 4096, 100, 1, 0};
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		assert_int_equal(truncate(name, cuts[i]), 0);
		assert_int_equal(try_open(rig), KW_ECORRUPT);
	}
}

static void test_store_is_full_once_and_drains(void **state)
{
	struct rig *rig = *state;
	rig->options.map_size = 4u << 20;
	rig->body_size = 2000; /* one commit for each: with small ones it takes minutes on a busy machine */
	for (int round = 0; round < 20; round++) {
		open_store(rig);
		struct store_extent *extent = &rig->extents[1][KW_NORMAL];
		uint64_t next = extent->last + 1, acked = extent->last;
		while (rig->error_count == 0) {
			append(rig, 1, KW_NORMAL, next++);
			wait_acked(rig);
			acked += rig->error_count == 0;
		}
		assert_int_equal(rig->err, KW_ENOSPACE);
		append(rig, 1, KW_NORMAL, next);
		store_kick(rig->store);
		for (int i = 0; i < 3; i++)
			(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_int_equal(rig->error_count, 1);
		rig->acked = rig->ticket;
		close_store(rig);
		open_store(rig);
		assert_true(extent->last == acked); /* nothing lost, nothing extra */
		struct store_stats full = stats(rig);
		assert_true(full.used_bytes >= full.map_bytes / 100 * 85);
		store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, extent->last - 5);
		wait_acked(rig);
		assert_int_equal(rig->error_count, 0);
		for (int i = 0; i < 1000 && stats(rig).used_bytes > full.used_bytes / 4; i++)
			(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_true(stats(rig).used_bytes <= full.used_bytes / 4);
		close_store(rig);
	}
}

static void test_store_holds_no_pages_back(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, 1, 2000);
	off_t before = 0;
	for (uint64_t at = 2001; at <= 24000; at += 500) {
		append_many(rig, 1, at, at + 499);
		assert_int_equal(read_queue(rig, 1, 1, 20), KW_OK);
		store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, at - 1501);
		wait_acked(rig);
		if (at == 6001)
			before = file_size(rig);
	}
	assert_true(file_size(rig) <= 2 * before);
}

/* Another process that died while it read leaves a slot in the lock file, which would hold pages back for ever. */
static void test_store_clears_stale_readers(void **state)
{
	struct rig *rig = *state;
	int pipe_fds[2];
	open_store(rig);
	close_store(rig);
	assert_int_equal(pipe(pipe_fds), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		MDB_env *env;
		MDB_txn *txn;
		if (mdb_env_create(&env) != 0 || mdb_env_open(env, rig->path, MDB_NOTLS, 0600) != 0 ||
			mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || write(pipe_fds[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	char byte;
	int status;
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	open_store(rig);
	append_many(rig, 1, 1, 10);
	close_store(rig);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_true(waitpid(child, &status, 0) == child);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	open_store(rig);
	append_many(rig, 1, 11, 2000);
	off_t before = file_size(rig);
	for (uint64_t at = 2001; at <= 20000; at += 500) {
		append_many(rig, 1, at, at + 499);
		store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, at - 1501);
		wait_acked(rig);
	}
	assert_true(file_size(rig) <= 3 * before);
}

/* Child: appends with cursors, in turns of up to 40 tickets, trims behind itself, tells acked tickets, until killed. */
static void run_until_killed(struct rig *rig, int fd)
{
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->keep);
	uv_timer_start(&rig->keep, on_timer, 5, 5);
	rig->ack_fd = fd;
	if (try_open(rig) != KW_OK)
		_exit(1);
	uint64_t next = rig->extents[1][KW_NORMAL].last + 1;
	rig->ticket = rig->acked = next - 1; /* the ticket of a row is its sequence */
	while (true) {
		for (uint64_t i = 0; i < 1 + next % 40; i++) {
			append(rig, 1, KW_NORMAL, next);
			store_put_cursor(rig->store, rig->ticket, 2, KW_NORMAL, (struct kw_cursor){.epoch = 5, .sequence = next});
			if (next > 400)
				store_trim(rig->store, rig->ticket, 1, KW_NORMAL, next - 400);
			next++;
		}
		store_kick(rig->store);
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		while (rig->ticket - rig->acked > 300)
			(void)uv_run(&rig->loop, UV_RUN_ONCE);
	}
}

static void test_store_keeps_every_acked_ticket_when_killed(void **state)
{
	struct rig *rig = *state;
	open_store(rig); /* makes it */
	close_store(rig);
	for (int round = 0; round < 20; round++) {
		int pipe_fds[2];
		assert_int_equal(pipe(pipe_fds), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			(void)close(pipe_fds[0]);
			run_until_killed(rig, pipe_fds[1]);
		}
		(void)close(pipe_fds[1]);
		uint64_t acked = 0, got;
		int want = 1 + round * 7, status;
		while (read(pipe_fds[0], &got, sizeof(got)) == (ssize_t)sizeof(got)) {
			acked = got;
			if (want-- == 0)
				assert_int_equal(kill(child, SIGKILL), 0);
		}
		(void)close(pipe_fds[0]);
		assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		open_store(rig);
		struct store_extent *extent = &rig->extents[1][KW_NORMAL];
		assert_true(acked > 0 && extent->last >= acked);
		assert_true(rig->cursors[2][KW_NORMAL].sequence == extent->last); /* never one without the other */
		assert_int_equal(read_queue(rig, 1, 1, 5000), KW_OK);
		assert_true(rig->last == extent->last && rig->first == extent->first);
		assert_true(rig->count == extent->count && rig->count == rig->last - rig->first + 1);
		close_store(rig);
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Random changes against a plain model, with reopening in between. */
static void test_store_agrees_with_a_model(void **state)
{
	struct rig *rig = *state;
	static bool there[4][20001];
	uint64_t last[4] = {0}, floor[4] = {0}, seed = 88172645463325252ull;
	memset(there, 0, sizeof(there));
	open_store(rig);
	for (int step = 0; step < 1500; step++) {
		for (uint64_t i = next_random(&seed) % 60; i > 0; i--) {
			uint32_t slot = (uint32_t)(next_random(&seed) % 4);
			uint64_t roll = next_random(&seed) % 100;
			if (roll < 60 && last[slot] < 20000) {
				append(rig, slot, KW_NORMAL, ++last[slot]);
				there[slot][last[slot]] = true;
			} else if (roll < 80 && last[slot] > 0) {
				uint64_t gone = 1 + next_random(&seed) % last[slot];
				store_remove(rig->store, ++rig->ticket, slot, KW_NORMAL, gone);
				there[slot][gone] = false;
			} else if (roll < 90 && last[slot] > floor[slot]) {
				floor[slot] += 1 + next_random(&seed) % (last[slot] - floor[slot]);
				store_trim(rig->store, ++rig->ticket, slot, KW_NORMAL, floor[slot]);
			}
		}
		store_kick(rig->store);
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		if (step % 50 != 49)
			continue;
		wait_acked(rig);
		if (step % 150 == 149) {
			close_store(rig);
			open_store(rig);
		}
		for (uint32_t slot = 0; slot < 4; slot++) {
			uint64_t count = 0;
			for (uint64_t i = floor[slot] + 1; i <= last[slot]; i++)
				count += there[slot][i];
			assert_int_equal(read_queue(rig, slot, 1, 100000), KW_OK);
			assert_true(rig->count == count);
			if (step % 150 == 149)
				assert_true(rig->extents[slot][KW_NORMAL].count == count && rig->extents[slot][KW_NORMAL].last == last[slot]);
		}
	}
	assert_int_equal(stats(rig).damaged_rows, 0);
}

/* Opens a store whose file has one flipped bit; works on it as a hub would. 0: all served rows were right. */
static int use_damaged(struct rig *rig, uint32_t rows)
{
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->keep);
	uv_timer_start(&rig->keep, on_timer, 1, 1);
	rig->error_count = 0;
	enum kw_err err = try_open(rig);
	if (err != KW_OK)
		return err == KW_ECORRUPT || err == KW_EVERSION ? 10 : 2;
	const struct store_range range = {
		.slot = 1, .msg_class = KW_NORMAL, .from = 1, .count_max = 100000, .bytes_max = 1u << 30};
	rig->count = 0;
	rig->wrong = false;
	err = store_read(rig->store, &range, each, rig);
	if (rig->wrong)
		return 3;
	if (err != KW_OK)
		return err == KW_ECORRUPT ? 11 : 4;
	uint32_t count = rig->count;
	sweep_count = 0;
	for (int i = 0; i < 100 && !store_sweep(rig->store, 3, 100, each_swept, NULL); i++)
		continue;
	append(rig, 1, KW_NORMAL, rig->extents[1][KW_NORMAL].last + 1 > rows ? rig->extents[1][KW_NORMAL].last + 1 : rows + 1);
	wait_acked(rig);
	if (rig->error_count > 0)
		return 12; /* refused: nothing was promised, whatever LMDB calls the damage */
	store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, rows);
	wait_acked(rig);
	if (rig->error_count > 0)
		return 12;
	if (count < rows && stats(rig).damaged_rows == 0)
		return 7; /* lost in silence */
	return count < rows ? 13 : 14;
}

static void test_store_never_serves_a_damaged_row(void **state)
{
	struct rig *rig = *state;
	char name[128];
	const uint32_t rows = 300;
	uint32_t outcomes[256] = {0};
	uint64_t seed = 0x2545f4914f6cdd1dull;
	open_store(rig);
	append_many(rig, 1, 1, rows);
	close_store(rig);
	(void)snprintf(name, sizeof(name), "%s/data.mdb", rig->path);
	size_t size = (size_t)file_size(rig);
	uint8_t *good = malloc(size);
	assert_non_null(good);
	int fd = open(name, O_RDWR);
	assert_true(fd >= 0 && pread(fd, good, size, 0) == (ssize_t)size);
	const char *many = getenv("KW_TEST_FLIPS");
	long flips = many != NULL ? strtol(many, NULL, 10) : 500;
	for (long i = 0; i < flips; i++) {
		size_t at = next_random(&seed) % size;
		uint8_t flipped = good[at] ^ (uint8_t)(1u << (next_random(&seed) % 8));
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		assert_int_equal(pwrite(fd, good, size, 0), (ssize_t)size);
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			alarm(20);
			_exit(use_damaged(rig, rows));
		}
		int status;
		assert_true(waitpid(child, &status, 0) == child);
		if (!WIFEXITED(status) || WEXITSTATUS(status) < 10)
			print_message("flip at %zu of page %zu: status %x\n", at % 4096, at / 4096, (unsigned)status);
		outcomes[WIFEXITED(status) ? WEXITSTATUS(status) : 200]++;
	}
	(void)close(fd);
	free(good);
	print_message("%u refused at open, %u at read, %u at commit, %u rows set aside, %u harmless\n", outcomes[10],
		outcomes[11], outcomes[12], outcomes[13], outcomes[14]);
	assert_true(outcomes[10] + outcomes[11] + outcomes[12] + outcomes[13] + outcomes[14] == (uint32_t)flips);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_store_keeps_rows_cursors_and_agencies, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_commits_on_close, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_trims_removes_and_remembers_the_last, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_elides_what_is_trimmed_in_its_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_trims_in_slices_without_promising_less, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_takes_a_new_epoch, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_sweeps_in_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_what_is_unsafe, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_a_truncated_file, setup_on_disk, teardown),
		cmocka_unit_test_setup_teardown(test_store_is_full_once_and_drains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_holds_no_pages_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_clears_stale_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_keeps_every_acked_ticket_when_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_agrees_with_a_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_never_serves_a_damaged_row, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
