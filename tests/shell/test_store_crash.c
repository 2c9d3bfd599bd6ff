/* The store against a killed process and against damaged bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "broker/shell/store.h"
#include "proto/wire/crypt.h"
#include "tests/kit/folder.h"

#define BODY_SIZE 700u
#define SLOT 3u
#define FLIPS 400

struct rig {
	char dir[64];
	char path[80];
	uv_loop_t loop;
	uv_timer_t alive; /* a loop without an active handle does not poll */
	struct store *store;
	uint64_t committed;
	enum kw_err err;
	uint64_t rows;
	uint64_t last;
	struct store_extent extent;
	struct kw_cursor cursor;
};

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	rig->committed = ticket;
	if (err != KW_OK)
		rig->err = err;
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static enum kw_err leaf_digest(const uint8_t *body, uint32_t size, struct kw_digest *out)
{
	struct kw_view view = KW_VIEW(body, size);
	return kw_sha256(&view, 1, out);
}

static enum kw_err try_open(struct rig *rig, bool no_sync)
{
	const struct store_options options = {.path = rig->path, .map_size = 64u << 20, .unsafe_no_sync = no_sync,
		.leaf_digest = leaf_digest};
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	(void)uv_loop_init(&rig->loop);
	rig->committed = 0;
	enum kw_err err = store_open(&options, &rig->loop, &hooks, &rig->store);
	if (err == KW_OK) {
		(void)uv_timer_init(&rig->loop, &rig->alive);
		(void)uv_timer_start(&rig->alive, on_alive, 1000, 1000);
	}
	return err;
}

static void close_store(struct rig *rig)
{
	store_close(rig->store);
	uv_close((uv_handle_t *)&rig->alive, NULL);
	rig->store = NULL;
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
}

/* The body of a row tells its sequence in every byte, so that a mix-up or damage shows. */
static void append(struct rig *rig, uint64_t sequence)
{
	struct store_box *box = store_box_new(BODY_SIZE);
	assert_non_null(box);
	memset(box->data, (int)(sequence % 251), BODY_SIZE);
	struct store_row row = {.slot = SLOT, .msg_class = KW_NORMAL, .sequence = sequence, .owner_slot = 1,
		.expiry_hour = (uint32_t)sequence, .box = box};
	store_append(rig->store, sequence, &row);
	store_put_cursor(rig->store, sequence, 1, KW_NORMAL, (struct kw_cursor){.epoch = 9, .sequence = sequence});
	store_box_unref(box);
}

static void commit(struct rig *rig, uint64_t ticket)
{
	store_kick(rig->store);
	while (rig->committed < ticket) {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		store_kick(rig->store);
	}
	assert_int_equal(rig->err, KW_OK);
}

static void each(void *user, const struct store_row *row)
{
	struct rig *rig = user;
	assert_true(row->sequence > rig->last);
	assert_int_equal(row->box->size, BODY_SIZE);
	for (uint32_t i = 0; i < BODY_SIZE; i++)
		assert_int_equal(row->box->data[i], row->sequence % 251);
	rig->last = row->sequence;
	rig->rows++;
	store_box_unref(row->box);
}

static enum kw_err try_read(struct rig *rig)
{
	const struct store_range range = {
		.slot = SLOT, .msg_class = KW_NORMAL, .from = 1, .count_max = UINT32_MAX, .bytes_max = UINT32_MAX};
	rig->rows = 0;
	rig->last = 0;
	return store_read(rig->store, &range, each, rig);
}

static void read_all(struct rig *rig)
{
	assert_int_equal(try_read(rig), KW_OK);
}

static void on_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	(void)user;
	(void)slot;
	(void)name;
}

static void on_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	(void)msg_class;
	if (slot == SLOT)
		((struct rig *)user)->extent = *extent;
}

static void on_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	(void)slot;
	(void)msg_class;
	((struct rig *)user)->cursor = cursor;
}

static void recover(struct rig *rig)
{
	const struct store_recovery recovery = {
		.user = rig, .agency = on_agency, .queue = on_queue, .cursor = on_cursor};
	assert_int_equal(store_recover(rig->store, &recovery), KW_OK);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/kw-store-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/db", rig->dir);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	(void)folder_remove(rig->dir);
	free(rig);
	return 0;
}

/* Appends one after the other, and tells each committed ticket through the pipe, until it is killed. */
static void child(struct rig *rig, int out)
{
	if (try_open(rig, false) != KW_OK)
		_exit(1);
	recover(rig);
	for (uint64_t i = rig->extent.last + 1;; i++) {
		append(rig, i);
		commit(rig, i);
		if (write(out, &i, sizeof(i)) != sizeof(i))
			_exit(2);
	}
}

static void test_what_was_committed_survives_sigkill(void **state)
{
	struct rig *rig = *state;
	uint64_t acked = 0;
	for (int round = 0; round < 8; round++) {
		int pipes[2];
		assert_int_equal(pipe(pipes), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child(rig, pipes[1]);
		close(pipes[1]);
		uint64_t ticket;
		for (int i = 0; i < 20 + round * 7 && read(pipes[0], &ticket, sizeof(ticket)) == sizeof(ticket); i++)
			acked = ticket;
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (read(pipes[0], &ticket, sizeof(ticket)) == sizeof(ticket))
			acked = ticket;
		close(pipes[0]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(try_open(rig, false), KW_OK);
		recover(rig);
		read_all(rig);
		assert_true(rig->last >= acked);
		assert_int_equal(rig->rows, rig->last);
		assert_int_equal(rig->extent.last, rig->last);
		assert_int_equal(rig->extent.count, rig->rows);
		/* The cursor is of the same transaction as its row. */
		assert_int_equal(rig->cursor.sequence, rig->last);
		/* And so is its leaf. */
		const struct kw_tree *tree;
		assert_true(store_log(rig->store, &tree));
		assert_int_equal(tree->size, rig->last);
		close_store(rig);
	}
	assert_true(acked > 100);
}

static void test_trimmed_rows_stay_gone_and_numbers_are_not_reused(void **state)
{
	struct rig *rig = *state;
	assert_int_equal(try_open(rig, false), KW_OK);
	for (uint64_t i = 1; i <= 50; i++)
		append(rig, i);
	commit(rig, 50);
	store_remove(rig->store, 51, SLOT, KW_NORMAL, 45);
	store_trim(rig->store, 52, SLOT, KW_NORMAL, 40);
	commit(rig, 52);
	read_all(rig);
	assert_int_equal(rig->rows, 9);
	store_trim(rig->store, 53, SLOT, KW_NORMAL, 50);
	commit(rig, 53);
	close_store(rig);
	assert_int_equal(try_open(rig, false), KW_OK);
	recover(rig);
	read_all(rig);
	assert_int_equal(rig->rows, 0);
	assert_int_equal(rig->extent.last, 50);
	assert_int_equal(rig->extent.first, 51);
	assert_int_equal(rig->extent.count, 0);
	assert_int_equal(rig->extent.bytes, 0);
	close_store(rig);
}

static void each_old(void *user, const struct store_row *row)
{
	assert_null(row->box);
	assert_int_equal(row->body_size, BODY_SIZE); /* what the queue's quota gets back */
	(*(uint32_t *)user)++;
}

static void test_the_sweep_finds_what_is_past_its_hour(void **state)
{
	struct rig *rig = *state;
	uint32_t found = 0;
	assert_int_equal(try_open(rig, false), KW_OK);
	for (uint64_t i = 1; i <= 30; i++)
		append(rig, i);
	commit(rig, 30);
	while (!store_sweep(rig->store, 10, 7, each_old, &found))
		;
	assert_int_equal(found, 10);
	close_store(rig);
}

static void test_a_damaged_byte_is_never_served(void **state)
{
	struct rig *rig = *state;
	char file[128];
	assert_int_equal(try_open(rig, false), KW_OK);
	for (uint64_t i = 1; i <= 200; i++)
		append(rig, i);
	commit(rig, 200);
	close_store(rig);
	(void)snprintf(file, sizeof(file), "%s/data.mdb", rig->path);
	struct stat info;
	assert_int_equal(stat(file, &info), 0);
	size_t size = (size_t)info.st_size;
	uint8_t *whole = malloc(size);
	assert_non_null(whole);
	int fd = open(file, O_RDWR);
	assert_int_equal(pread(fd, whole, size, 0), size);
	uint32_t noticed = 0;
	for (int i = 0; i < FLIPS; i++) {
		size_t at = (size_t)(((uint64_t)i * 2654435761u + 7u) % size);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		assert_int_equal(pwrite(fd, whole, size, 0), size);
		uint8_t bad = whole[at] ^ (uint8_t)(1u << (i % 8));
		assert_int_equal(pwrite(fd, &bad, 1, (off_t)at), 1);
		/* Opens and serves only what is whole (each checks it), or refuses to open; it never crashes. */
		if (try_open(rig, false) == KW_OK) {
			enum kw_err err = try_read(rig); /* or says that the tree itself is broken */
			noticed += err != KW_OK || rig->rows < 200;
			close_store(rig);
		} else {
			noticed++;
			(void)uv_loop_close(&rig->loop);
		}
	}
	free(whole);
	assert_true(noticed > 0);
	close(fd);
}

static void test_a_store_without_sync_is_for_tests_alone(void **state)
{
	struct rig *rig = *state;
	(void)unsetenv("KW_UNSAFE_TEST");
	assert_int_equal(try_open(rig, true), KW_EDENIED);
	(void)uv_loop_close(&rig->loop);
}

static void test_a_second_process_is_kept_out(void **state)
{
	struct rig *rig = *state;
	struct rig other = *rig;
	assert_int_equal(try_open(rig, false), KW_OK);
	assert_int_equal(try_open(&other, false), KW_EBUSY);
	(void)uv_loop_close(&other.loop);
	close_store(rig);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_was_committed_survives_sigkill),
		CASE(test_trimmed_rows_stay_gone_and_numbers_are_not_reused),
		CASE(test_the_sweep_finds_what_is_past_its_hour),
		CASE(test_a_damaged_byte_is_never_served),
		CASE(test_a_store_without_sync_is_for_tests_alone),
		CASE(test_a_second_process_is_kept_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
