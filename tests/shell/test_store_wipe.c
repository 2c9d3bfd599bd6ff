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
	uint64_t rewrite_wait_ms; /* 0: the default, which no test waits for */
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
	struct store_options options = {.path = rig->path, .map_size = 256u << 20, .rewrite_wait_ms = rig->rewrite_wait_ms};
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
	memset(data, 0, (size_t)file.st_size); /* else the search of the memory finds what this has read */
	__asm__ volatile("" : : "r"(data) : "memory");
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

static void wait_ms(struct rig *rig, uint64_t ms)
{
	uint64_t from = uv_hrtime();
	uv_timer_stop(&rig->keep);
	uv_timer_start(&rig->keep, on_timer, 5, 5);
	while (uv_hrtime() - from < ms * 1000000u)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
}

/* Until the mark is nowhere in the file, at most 20 s. Gives the places that are left. */
static size_t wait_gone(struct rig *rig)
{
	uint64_t from = uv_hrtime();
	size_t left = find(rig, MARK);
	while (left > 0 && uv_hrtime() - from < UINT64_C(20000000000)) {
		wait_ms(rig, 10);
		left = find(rig, MARK);
	}
	return left;
}

/* A sanitizer keeps what was freed, as it was. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_KEPT true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_IS_KEPT true
#endif
#endif
#ifndef MEMORY_IS_KEPT
#define MEMORY_IS_KEPT false
#endif

/* Places in the memory of this process, whatever it is for, that look like the bodies: the end of one round of the text and
 * the beginning of the next, which stand together nowhere else. */
static size_t find_in_memory(void)
{
	static const char veiled[] = "1 nbsl!pg!b!sfdbmmfe!fowfmpqf"; /* each letter but the first two is one further on */
	size_t size = sizeof(veiled) - 1, found = 0;
	if (MEMORY_IS_KEPT)
		return 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	int memory = open("/proc/self/mem", O_RDONLY);
	char line[512];
	assert_true(maps != NULL && memory >= 0);
	uint8_t *page = malloc(1u << 16);
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *rest = NULL;
		unsigned long from = strtoul(line, &rest, 16);
		unsigned long to = *rest == '-' ? strtoul(rest + 1, &rest, 16) : from; /* then a blank and the rights */
		if (strncmp(rest, " r", 2) != 0 || strstr(line, "data.mdb") != NULL)
			continue; /* the file is looked at by find() */
		for (unsigned long at = from; at < to; at += (1u << 16) - 64u) {
			size_t count = to - at < (1u << 16) ? to - at : 1u << 16;
			ssize_t n = pread(memory, page, count, (off_t)at);
			for (ssize_t i = 0; i + (ssize_t)size <= n; i++) {
				size_t same = 0;
				while (same < size && page[i + (ssize_t)same] == (uint8_t)(veiled[same] - (same > 1)))
					same++;
				found += same == size;
			}
			memset(page, 0, count);
		}
	}
	free(page);
	close(memory);
	fclose(maps);
	return found;
}

static void check_running(struct rig *rig, uint32_t size)
{
	struct store_row row;
	struct kw_id id = {{0}};
	uint64_t two = 2;
	rig->rewrite_wait_ms = 200;
	open_store(rig);
	fill(rig, 200, size);
	assert_int_not_equal(find(rig, MARK), 0);
	size_t before = find_in_memory();
	recall_odd(rig, 200);
	size_t first = find(rig, MARK);
	assert_int_equal(wait_gone(rig), 0); /* and the store never closed */
	wait_ms(rig, 50);
	size_t after = find_in_memory();
	printf("bodies of %u bytes, in a store that runs: %zu places in the file at once, 0 later; in memory %zu, then %zu\n", size,
		first, before, after);
	/* It works on, with what it had and what comes; and once more. */
	memcpy(id.bytes, &two, sizeof(two));
	assert_true(store_find(rig->store, 1, &id, &row));
	append(rig, 201, size, MARK);
	append(rig, 202, size, "another ");
	wait_acked(rig);
	assert_int_not_equal(find(rig, MARK), 0);
	store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, 201);
	wait_acked(rig);
	assert_int_equal(wait_gone(rig), 0);
	close_store(rig);
	open_store(rig);
	uint64_t last = 202;
	memcpy(id.bytes, &last, sizeof(last));
	assert_true(store_find(rig->store, 1, &id, &row));
	assert_true(row.body_size == size);
	assert_int_equal(after, 0);
}

static void test_a_running_store_leaves_no_byte(void **state)
{
	check_running(*state, 700);
}

static void test_a_running_store_leaves_no_byte_of_large_ones(void **state)
{
	check_running(*state, 9000);
}

/* Nothing was recalled: the file stays the one it is. */
static void test_a_file_without_a_mark_is_not_written_anew(void **state)
{
	struct rig *rig = *state;
	char path[128];
	struct stat before, after;
	rig->rewrite_wait_ms = 20;
	open_store(rig);
	fill(rig, 20, 700);
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	assert_int_equal(stat(path, &before), 0);
	wait_ms(rig, 200);
	append(rig, 21, 700, "another ");
	wait_acked(rig);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, 1);
	wait_acked(rig);
	wait_ms(rig, 400);
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	/* And then there is nothing to do: no commit after commit. */
	struct store_stats first, last;
	store_stats_get(rig->store, &first);
	wait_ms(rig, 300);
	append(rig, 22, 700, "another ");
	wait_acked(rig);
	store_stats_get(rig->store, &last);
	assert_true(last.commits - first.commits <= 3);
}

/* Readers and the writer go on while files change places. */
static void test_reads_go_on_meanwhile(void **state)
{
	struct rig *rig = *state;
	struct store_row row;
	struct kw_id id = {{0}};
	rig->rewrite_wait_ms = 1;
	open_store(rig);
	fill(rig, 64, 700);
	for (uint64_t sequence = 65; sequence <= 400; sequence++) {
		uint64_t kept = 2;
		append(rig, sequence, 700, sequence % 2 == 1 ? MARK : "another ");
		store_kick(rig->store);
		memcpy(id.bytes, &kept, sizeof(kept));
		assert_true(store_find(rig->store, 1, &id, &row));
		if (sequence % 2 == 0) {
			wait_acked(rig);
			store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, sequence - 1);
		}
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
	}
	wait_acked(rig);
	for (uint64_t sequence = 2; sequence <= 400; sequence += 2) {
		memcpy(id.bytes, &sequence, sizeof(sequence));
		assert_true(store_find(rig->store, 1, &id, &row));
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

/* And the writing anew: how long a message waits that comes just then. */
static void test_what_writing_anew_costs_is_told(void **state)
{
	struct rig *rig = *state;
	rig->rewrite_wait_ms = 1;
	open_store(rig);
	for (uint64_t sequence = 1; sequence <= 40000; sequence++) {
		append(rig, sequence, 1000, sequence == 1 ? MARK : "another ");
		if (sequence % 512 == 0)
			wait_acked(rig);
	}
	wait_acked(rig);
	store_recall(rig->store, ++rig->ticket, 1, KW_NORMAL, 1);
	wait_acked(rig);
	uint64_t longest = 0;
	for (uint64_t sequence = 40001; sequence <= 40400; sequence++) {
		uint64_t from = uv_hrtime();
		append(rig, sequence, 1000, "another ");
		wait_acked(rig);
		longest = uv_hrtime() - from > longest ? uv_hrtime() - from : longest;
	}
	assert_int_equal(wait_gone(rig), 0);
	printf("a store of 40,000 messages written anew: the longest wait for a commit was %.0f ms\n", (double)longest / 1e6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_ones_leave_no_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_ones_leave_no_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_ordinary_removal_does_leave_its_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_kill_in_between_is_made_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_running_store_leaves_no_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_running_store_leaves_no_byte_of_large_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_without_a_mark_is_not_written_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reads_go_on_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_costs_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_writing_anew_costs_is_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
