#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "agent/shell/spool_read.h"
#include "tests/kit/disk.h"

/* A store without room: by its own size, and on a disk that somebody else fills to the last byte. */

#define NOW 1700000000000
#define HOUR 3600000
#define MIB (1u << 20)
#define BODY_SIZE 3700u /* with its head a row is a page */
#define DISK_MIB 24u

struct rig {
	uv_loop_t loop;
	struct spool *spool;
	char folder[64];
	char path[96];
	char ballast[96];
	bool mounted;
	uint8_t key[SPOOL_KEY_SIZE];
	uint64_t sequence;
	uint64_t done;  /* operations that ended well */
	uint64_t wrong; /* that did not, with ... */
	enum kw_err err;
	uint64_t number; /* of the last one that did */
};

static void on_done(struct spool_op *op, enum kw_err err)
{
	struct rig *rig = op->user;
	if (err != KW_OK) {
		rig->err = err;
		rig->wrong++;
		return;
	}
	rig->done++;
	rig->number = op->number;
}

static void open_sized(struct rig *rig, uint64_t map_size)
{
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = map_size};
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
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-space-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/spool", rig->folder);
	snprintf(rig->ballast, sizeof(rig->ballast), "%s/ballast", rig->folder);
	memset(rig->key, 7, sizeof(rig->key));
	uv_loop_init(&rig->loop);
	*state = rig;
	return 0;
}

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *walk)
{
	(void)file;
	(void)kind;
	return walk->level == 0 ? 0 : remove(path);
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->spool != NULL)
		close_spool(rig);
	uv_loop_close(&rig->loop);
	assert_int_equal(nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	if (rig->mounted)
		assert_int_equal(umount(rig->folder), 0);
	assert_int_equal(rmdir(rig->folder), 0);
	free(rig);
	return 0;
}

static struct spool_op *receive_op(struct rig *rig)
{
	static const uint8_t body[BODY_SIZE];
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	uint64_t n = ++rig->sequence;
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = n};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item.at_ms = NOW;
	memcpy(op->u.receive.item.agency.text, "agency-b", sizeof("agency-b"));
	memcpy(op->u.receive.item.message_id.bytes, &n, sizeof(n));
	memcpy(op->u.receive.item.envelope_id.bytes, &n, sizeof(n));
	memcpy(op->u.receive.item.digest.bytes, &n, sizeof(n));
	assert_int_equal(kw_buf_add(&op->content, KW_VIEW_OF(body)), KW_OK);
	op->user = rig;
	op->done = on_done;
	return op;
}

static void receive(struct rig *rig, uint32_t count)
{
	while (count-- > 0)
		spool_do(rig->spool, receive_op(rig));
}

static void wait_done(struct rig *rig)
{
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

/* Runs the loop until the store says so, ten seconds at most. */
static bool comes_to(struct rig *rig, enum spool_space space)
{
	for (int i = 0; i < 1000 && spool_space(rig->spool) != space; i++) {
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		usleep(10000);
	}
	return spool_space(rig->spool) == space;
}

static bool is_there(struct rig *rig, uint64_t n)
{
	struct kw_id message = {{0}};
	struct spool_item item;
	struct kw_buf content;
	bool received = false;
	memcpy(message.bytes, &n, sizeof(n));
	kw_buf_init(&content, 8192);
	enum kw_err err = spool_show(rig->spool, &message, &item, &received, &content);
	bool whole = err == KW_OK && received && content.size == BODY_SIZE;
	kw_buf_fini(&content);
	return whole;
}

/* Levels come in their order while there is still room for what is on its way, and are known again at the next start. */
static void test_space_levels_come_in_time(void **state)
{
	struct rig *rig = *state;
	enum spool_space was = SPOOL_SPACE_OK;
	uint64_t at[SPOOL_SPACE_FULL + 1] = {0};
	open_sized(rig, 64 * MIB);
	for (uint32_t i = 0; i < 1000 && was < SPOOL_SPACE_HOLD; i++) {
		receive(rig, 20);
		wait_done(rig);
		enum spool_space now = spool_space(rig->spool);
		assert_in_range(now, was, was + 1);
		if (now != was)
			at[now] = (uint64_t)rig->done * BODY_SIZE;
		was = now;
	}
	/* 30% and 15% of 64 MiB are left; rows cost more than their bodies. */
	assert_in_range(at[SPOOL_SPACE_LOW], 30 * MIB, 45 * MIB);
	assert_in_range(at[SPOOL_SPACE_HOLD], 36 * MIB, 54 * MIB);
	/* Two windows of each class that the hub may still send, and more. */
	receive(rig, 1500);
	wait_done(rig);
	assert_int_equal(rig->wrong, 0);
	assert_int_equal(spool_space(rig->spool), SPOOL_SPACE_HOLD);
	close_spool(rig);
	open_sized(rig, 64 * MIB);
	assert_int_equal(spool_space(rig->spool), SPOOL_SPACE_HOLD);
	close_spool(rig);
	open_sized(rig, 256 * MIB);
	assert_int_equal(spool_space(rig->spool), SPOOL_SPACE_OK);
	assert_true(is_there(rig, 1) && is_there(rig, rig->sequence));
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), rig->sequence);
}

static bool small_disk(struct rig *rig)
{
	rig->mounted = disk_small(rig->folder, DISK_MIB);
	return rig->mounted;
}

static void test_space_full_disk_is_waited_out(void **state)
{
	struct rig *rig = *state;
	if (!small_disk(rig))
		skip();
	open_sized(rig, 1024 * MIB);
	receive(rig, 100);
	wait_done(rig);
	assert_int_equal(rig->done, 100);
	for (uint32_t round = 1; round <= 3; round++) {
		uint64_t before = rig->done;
		disk_fill(rig->ballast, round % 2 * 20 * 4096);
		receive(rig, 400); /* several batches, none of which fits */
		assert_true(comes_to(rig, SPOOL_SPACE_FULL));
		usleep(1500000); /* and it is tried again meanwhile */
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		assert_int_equal(rig->wrong, 0);
		assert_true(spool_pending(rig->spool) > 0);
		assert_false(is_there(rig, rig->sequence));
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), rig->done);
		/* Space comes back, and it goes on by itself. */
		assert_int_equal(unlink(rig->ballast), 0);
		wait_done(rig);
		assert_int_equal(rig->wrong, 0);
		assert_int_equal(rig->done, before + 400);
		/* What was run again has counted once: rows have one number each, without a gap. */
		assert_int_equal(rig->number, rig->done);
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), rig->done);
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REPEATS), 0);
		assert_true(comes_to(rig, SPOOL_SPACE_OK));
	}
	close_spool(rig);
	open_sized(rig, 1024 * MIB);
	struct agt_start start;
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].received.sequence, rig->sequence);
	for (uint64_t n = 1; n <= rig->sequence; n++)
		assert_true(is_there(rig, n));
}

/* Who must stop says that what waits was not done; it is not there afterwards either. */
static void test_space_closing_gives_up_what_waits(void **state)
{
	struct rig *rig = *state;
	if (!small_disk(rig))
		skip();
	open_sized(rig, 1024 * MIB);
	receive(rig, 10);
	wait_done(rig);
	disk_fill(rig->ballast, 0);
	receive(rig, 400);
	assert_true(comes_to(rig, SPOOL_SPACE_FULL));
	uint64_t done = rig->done; /* a first batch may have found free pages in the file */
	close_spool(rig);
	assert_int_equal(rig->err, KW_ENOSPACE);
	assert_true(rig->wrong > 0);
	assert_int_equal(done + rig->wrong, 410);
	open_sized(rig, 1024 * MIB); /* also while the disk is full */
	assert_true(spool_space(rig->spool) >= SPOOL_SPACE_HOLD);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), done);
	assert_false(is_there(rig, rig->sequence));
	struct agt_start start;
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].received.sequence, done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_space_levels_come_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_space_full_disk_is_waited_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_space_closing_gives_up_what_waits, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
