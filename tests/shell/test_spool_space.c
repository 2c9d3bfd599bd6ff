#include "agent/shell/spool_read.h"
#include "tests/kit/disk.h"
#include "tests/kit/spool_rig.h"

#include <sys/mount.h>

/* A store without room: by its own size, and on a disk that somebody else fills to the last byte. */

#define BODY_SIZE 3700u /* with its head a row is a page */
#define DISK_MIB 24u

/* The disk that the test in progress has its spool on, and who fills it; empty: none of its own. */
static char disk[80];
static char ballast[96];

static int teardown_disk(void **state)
{
	struct rig *rig = *state;
	if (rig->spool != NULL)
		close_spool(rig);
	if (disk[0] != 0)
		assert_int_equal(umount(disk), 0);
	disk[0] = 0;
	return teardown(state);
}

static void receive(struct rig *rig, uint32_t count)
{
	static const uint8_t body[BODY_SIZE];
	while (count-- > 0) {
		uint64_t n = ++rig->arrived;
		struct spool_op *op = arrival_op(SPOOL_MESSAGE, n, (struct spool_item){.agency = name(THEM), .at_ms = NOW});
		memcpy(op->u.receive.item.message_id.bytes, &n, sizeof(n));
		memcpy(op->u.receive.item.envelope_id.bytes, &n, sizeof(n));
		memcpy(op->u.receive.item.digest.bytes, &n, sizeof(n));
		assert_int_equal(kw_buf_add(&op->content, KW_VIEW_OF(body)), KW_OK);
		begin(rig, op);
	}
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
			at[now] = rig->done * BODY_SIZE;
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
	assert_true(is_there(rig, 1) && is_there(rig, rig->arrived));
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), rig->arrived);
}

static bool small_disk(struct rig *rig)
{
	char folder[sizeof(disk)];
	snprintf(folder, sizeof(folder), "%s/disk", rig->folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	if (!disk_small(folder, DISK_MIB))
		return false;
	memcpy(disk, folder, sizeof(disk));
	snprintf(ballast, sizeof(ballast), "%s/ballast", disk);
	snprintf(rig->path, sizeof(rig->path), "%s/spool", disk);
	return true;
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
		disk_fill(ballast, round % 2 * 20 * 4096);
		receive(rig, 400); /* several batches, none of which fits */
		assert_true(comes_to(rig, SPOOL_SPACE_FULL));
		usleep(1500000); /* and it is tried again meanwhile */
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		assert_int_equal(rig->wrong, 0);
		assert_true(spool_pending(rig->spool) > 0);
		assert_false(is_there(rig, rig->arrived));
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_RECEIVED), rig->done);
		/* Space comes back, and it goes on by itself. */
		assert_int_equal(unlink(ballast), 0);
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
	assert_int_equal(start.lanes[KW_NORMAL].received.sequence, rig->arrived);
	for (uint64_t n = 1; n <= rig->arrived; n++)
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
	disk_fill(ballast, 0);
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
	assert_false(is_there(rig, rig->arrived));
	struct agt_start start;
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].received.sequence, done);
}

#define SPACE_CASE(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown_disk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPACE_CASE(test_space_levels_come_in_time),
		SPACE_CASE(test_space_full_disk_is_waited_out),
		SPACE_CASE(test_space_closing_gives_up_what_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
