#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "broker/shell/store.h"
#include "tests/kit/folder.h"

/* What was recalled is nowhere in the hub's file: not in a row, a gap or a free page. */

#define MARK "mark of a recalled envelope "

struct rig {
	uv_loop_t loop;
	uv_timer_t keep;
	struct store *store;
	char folder[64];
	char path[96];
	uint64_t ticket;
	uint64_t acked;
};

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
}

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	assert_int_equal(err, KW_OK);
	rig->acked = ticket;
}

static void open_store(struct rig *rig)
{
	struct store_options options = {.path = rig->path, .map_size = 256u << 20};
	struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	assert_int_equal(store_open(&options, &rig->loop, &hooks, &rig->store), KW_OK);
}

static void close_store(struct rig *rig)
{
	store_close(rig->store);
	rig->store = NULL;
	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-wipe-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/store", rig->folder);
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->keep);
	uv_timer_start(&rig->keep, on_timer, 1000, 1000);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->store != NULL)
		close_store(rig);
	uv_close((uv_handle_t *)&rig->keep, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	uv_loop_close(&rig->loop);
	assert_int_equal(folder_remove(rig->folder), 0);
	free(rig);
	return 0;
}

static void wait_acked(struct rig *rig)
{
	store_kick(rig->store);
	while (rig->acked < rig->ticket)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
}

/* A body of this size that is nothing but its mark and number. */
static void append(struct rig *rig, uint64_t sequence, uint32_t size, const char *mark)
{
	char text[64];
	struct store_box *box = store_box_new(size);
	struct store_row row = {.slot = 1, .msg_class = KW_NORMAL, .sequence = sequence, .owner_slot = 7, .box = box};
	int length = snprintf(text, sizeof(text), "%s%06u ", mark, (unsigned)sequence);
	for (uint32_t i = 0; i < size; i++)
		box->data[i] = (uint8_t)text[i % (uint32_t)length];
	memcpy(row.envelope_id.bytes, &sequence, sizeof(sequence));
	store_append(rig->store, ++rig->ticket, &row);
	store_box_unref(box);
}

/* Places in the file where the text stands. */
static size_t find(const struct rig *rig, const char *text)
{
	char path[128];
	struct stat file;
	size_t found = 0, size = strlen(text);
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && fstat(fd, &file) == 0);
	uint8_t *data = malloc((size_t)file.st_size);
	assert_true(read(fd, data, (size_t)file.st_size) == file.st_size);
	close(fd);
	for (const uint8_t *at = data; (at = memmem(at, (size_t)file.st_size - (size_t)(at - data), text, size)) != NULL; at += size)
		found++;
	free(data);
	return found;
}

static void recall_odd(struct rig *rig, uint64_t last)
{
	for (uint64_t sequence = 1; sequence <= last; sequence += 2)
		store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, sequence);
	wait_acked(rig);
}

static void fill(struct rig *rig, uint64_t last, uint32_t size)
{
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		append(rig, sequence, size, sequence % 2 == 1 ? MARK : "another ");
		if (sequence % 16 == 0)
			wait_acked(rig);
	}
	wait_acked(rig);
}

static void check_size(struct rig *rig, uint32_t size)
{
	struct store_row row;
	struct kw_id id = {{0}};
	open_store(rig);
	fill(rig, 200, size);
	size_t before = find(rig, MARK);
	assert_int_not_equal(before, 0);
	uint64_t one = 1, two = 2;
	memcpy(id.bytes, &one, sizeof(one));
	assert_true(store_find(rig->store, 1, &id, &row));
	assert_true(row.sequence == 1 && row.owner_slot == 7 && row.body_size == size);
	recall_odd(rig, 200);
	assert_false(store_find(rig->store, 1, &id, &row));
	memcpy(id.bytes, &two, sizeof(two));
	assert_true(store_find(rig->store, 1, &id, &row));
	close_store(rig); /* the writer has finished its last work */
	size_t left = find(rig, MARK);
	printf("bodies of %u bytes: %zu places at first, %zu after the recall, 0 after the next start\n", size, before, left);
	assert_true(left < before / 2);
	open_store(rig);
	assert_int_equal(find(rig, MARK), 0);
	assert_true(find(rig, "another 000200") > 0);
	assert_true(store_find(rig->store, 1, &id, &row));
}

static void test_small_ones_leave_no_byte(void **state)
{
	check_size(*state, 700);
}

static void test_large_ones_leave_no_byte(void **state)
{
	check_size(*state, 9000);
}

static void test_an_ordinary_removal_does_leave_its_bytes(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	fill(rig, 200, 700);
	for (uint64_t sequence = 1; sequence <= 200; sequence += 2)
		store_remove(rig->store, ++rig->ticket, 1, KW_NORMAL, sequence);
	wait_acked(rig);
	close_store(rig);
	open_store(rig);
	assert_int_not_equal(find(rig, MARK), 0); /* or the cases above prove nothing */
}

static void test_a_kill_in_between_is_made_good(void **state)
{
	struct rig *rig = *state;
	for (int round = 0; round < 12; round++) {
		(void)folder_remove(rig->path);
		int ready[2];
		assert_int_equal(pipe(ready), 0);
		pid_t child = fork();
		if (child == 0) {
			struct rig *own = calloc(1, sizeof(*own));
			memcpy(own->path, rig->path, sizeof(own->path));
			uv_loop_init(&own->loop);
			uv_timer_init(&own->loop, &own->keep);
			uv_timer_start(&own->keep, on_timer, 1000, 1000);
			open_store(own);
			fill(own, 400, 700);
			recall_odd(own, 400);
			(void)!write(ready[1], "x", 1); /* it is acknowledged: from here on it must be gone in the end */
			pause();
		}
		char byte;
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		usleep((useconds_t)(round * 700));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		open_store(rig);
		close_store(rig);
		assert_int_equal(find(rig, MARK), 0);
		assert_true(find(rig, "another 000400") > 0);
	}
}

/* What it costs: the free pages of a store that was once full of other messages. */
static void test_what_it_costs_is_told(void **state)
{
	struct rig *rig = *state;
	struct timespec from, to;
	open_store(rig);
	for (uint64_t sequence = 1; sequence <= 40000; sequence++) {
		append(rig, sequence, 1000, "another ");
		if (sequence % 512 == 0)
			wait_acked(rig);
	}
	wait_acked(rig);
	store_trim(rig->store, ++rig->ticket, 1, KW_NORMAL, 39990);
	wait_acked(rig);
	close_store(rig);
	open_store(rig);
	append(rig, 40001, 1000, MARK);
	wait_acked(rig);
	clock_gettime(CLOCK_MONOTONIC, &from);
	store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, 40001);
	wait_acked(rig);
	close_store(rig);
	clock_gettime(CLOCK_MONOTONIC, &to);
	open_store(rig);
	printf("one recall in a store of 40,000 messages that have gone: %.0f ms\n",
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	assert_int_equal(find(rig, MARK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_ones_leave_no_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_ones_leave_no_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_ordinary_removal_does_leave_its_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_kill_in_between_is_made_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_costs_is_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
