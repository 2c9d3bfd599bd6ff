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

#include "broker/shell/store.h"
#include "tests/kit/disk.h"

/* The hub's store on a disk that somebody else fills: no batch begins without room for it, and none is given up. */

#define BODY_SIZE 8000u
#define DISK_MIB 24u
#define FEW 20u
#define MANY 400u

struct rig {
	uv_loop_t loop;
	uv_timer_t keep; /* so that the loop waits instead of spinning */
	struct store *store;
	char folder[64];
	char path[96];
	char ballast[96];
	bool mounted;
	uint64_t ticket; /* handed over */
	uint64_t acked;
	uint32_t error_count;
	struct store_extent extent; /* of the last recovery */
};

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
}

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	rig->error_count += err != KW_OK;
	if (err == KW_OK)
		rig->acked = ticket;
}

static void on_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	(void)user;
	(void)slot;
	(void)name;
}

static void on_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	struct rig *rig = user;
	assert_true(slot == 0 && msg_class == KW_NORMAL);
	rig->extent = *extent;
}

static void on_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	(void)user;
	(void)slot;
	(void)msg_class;
	(void)cursor;
}

static void open_store(struct rig *rig)
{
	const struct store_options options = {.path = rig->path, .map_size = 1ull << 30};
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	const struct store_recovery recovery = {.user = rig, .agency = on_agency, .queue = on_queue, .cursor = on_cursor};
	rig->extent = (struct store_extent){.first = 0};
	assert_int_equal(store_open(&options, &rig->loop, &hooks, &rig->store), KW_OK);
	assert_int_equal(store_recover(rig->store, &recovery), KW_OK);
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
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kw-store-space-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/db", rig->folder);
	snprintf(rig->ballast, sizeof(rig->ballast), "%s/ballast", rig->folder);
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(uv_timer_init(&rig->loop, &rig->keep), 0);
	assert_int_equal(uv_timer_start(&rig->keep, on_timer, 5, 5), 0);
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
	if (rig->store != NULL)
		close_store(rig);
	uv_close((uv_handle_t *)&rig->keep, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	uv_loop_close(&rig->loop);
	assert_int_equal(nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	if (rig->mounted)
		assert_int_equal(umount(rig->folder), 0);
	assert_int_equal(rmdir(rig->folder), 0);
	free(rig);
	return 0;
}

static void append(struct rig *rig, uint32_t count)
{
	while (count-- > 0) {
		struct store_box *box = store_box_new(BODY_SIZE);
		assert_non_null(box);
		memset(box->data, 7, BODY_SIZE);
		rig->ticket++;
		const struct store_row row = {
			.slot = 0, .msg_class = KW_NORMAL, .sequence = rig->ticket, .owner_slot = STORE_SLOT_NONE, .box = box};
		store_append(rig->store, rig->ticket, &row);
		store_box_unref(box);
		store_kick(rig->store);
	}
}

static struct store_stats stats(struct rig *rig)
{
	struct store_stats out;
	store_stats_get(rig->store, &out);
	return out;
}

/* Runs the loop until all is durable, or for so long. */
static void run(struct rig *rig, uint32_t ms)
{
	uint64_t until = uv_hrtime() + ms * 1000000ull;
	while (rig->acked < rig->ticket && uv_hrtime() < until)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static bool begin(struct rig *rig)
{
	rig->mounted = disk_small(rig->folder, DISK_MIB);
	if (!rig->mounted)
		return false;
	open_store(rig);
	append(rig, FEW);
	run(rig, 10000);
	assert_int_equal(rig->acked, FEW);
	disk_fill(rig->ballast, 40960);
	append(rig, MANY);
	run(rig, 2500);
	assert_int_equal(rig->error_count, 0);
	assert_true(stats(rig).waiting);
	assert_true(rig->acked < rig->ticket);
	return true;
}

static void test_store_waits_for_room_and_goes_on(void **state)
{
	struct rig *rig = *state;
	if (!begin(rig))
		skip();
	assert_int_equal(unlink(rig->ballast), 0);
	run(rig, 10000);
	assert_int_equal(rig->error_count, 0);
	assert_int_equal(rig->acked, rig->ticket);
	assert_false(stats(rig).waiting);
	close_store(rig);
	open_store(rig);
	assert_int_equal(rig->extent.count, FEW + MANY);
	assert_int_equal(rig->extent.last, rig->ticket);
}

/* It ends at once all the same; what waited was never acknowledged and is not there. */
static void test_store_that_waits_can_be_closed(void **state)
{
	struct rig *rig = *state;
	if (!begin(rig))
		skip();
	uint64_t before = uv_hrtime();
	close_store(rig);
	assert_true(uv_hrtime() - before < 3000000000ull);
	open_store(rig); /* also while the disk is full */
	assert_int_equal(rig->extent.last, rig->acked);
	assert_int_equal(rig->extent.count, rig->acked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_store_waits_for_room_and_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_that_waits_can_be_closed, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
