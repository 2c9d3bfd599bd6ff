#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shell/prekeys.h"
#include "proto/link/log.h"
#include "tests/kit/folder.h"

/* Our own dated keys: made ahead, destroyed on their day and not before, on disk as in memory, whatever a crash leaves. */

#define DAY 20700u
#define AT(day) ((int64_t)(day) * KW_PREKEY_DAY_MS)

struct rig {
	char folder[64];
	struct keys keys;
	struct prekeys_self self;
	struct prekeys *prekeys;
};

static struct kw_name name(const char *text)
{
	struct kw_name out = {.text = {0}};
	memcpy(out.text, text, strlen(text));
	return out;
}

static void open_prekeys(struct rig *rig)
{
	assert_int_equal(prekeys_open(&rig->self, &rig->prekeys), KW_OK);
}

static void open_rig(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	kw_log_level_set(KW_LOG_ERROR);
	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-prekeys.XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	assert_int_equal(keys_generate(&rig->keys), KW_OK);
	rig->self = (struct prekeys_self){
		.folder = rig->folder, .keys = &rig->keys, .agency = name("agency-b"), .hub = name("hub-0")};
	open_prekeys(rig);
}

static void close_rig(struct rig *rig)
{
	prekeys_close(rig->prekeys);
	keys_fini(&rig->keys);
	assert_int_equal(folder_remove(rig->folder), 0);
}

static void restart(struct rig *rig)
{
	prekeys_close(rig->prekeys);
	open_prekeys(rig);
}

/* Both clocks say so. */
static bool day(struct rig *rig, int64_t ms)
{
	const struct prekeys_clock clock = {.heard = true, .hub_ms = ms, .wall_ms = ms};
	bool news;
	assert_int_equal(prekeys_day(rig->prekeys, &clock, &news), KW_OK);
	return news;
}

static void batch_of(const struct rig *rig, struct kw_prekeys *out)
{
	assert_int_equal(kw_prekeys_read(prekeys_batch(rig->prekeys), out), KW_OK);
}

static enum kw_err has(const struct rig *rig, const uint8_t *public_key)
{
	uint8_t id[KW_PREKEY_ID_SIZE];
	struct kw_x25519 pair;
	assert_int_equal(kw_prekey_id(public_key, id), KW_OK);
	enum kw_err err = prekeys_find(rig->prekeys, KW_VIEW_OF(id), &pair);
	if (err == KW_OK)
		assert_memory_equal(pair.public_key, public_key, KW_KEY_SIZE);
	return err;
}

static const char *path_of(const struct rig *rig, const char *ending)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/" KEYS_PREKEY_FILE "%s", rig->folder, ending);
	return path;
}

static void test_keys_are_made_45_days_ahead_and_one_more_each_day(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys first, next;
	struct stat file;
	open_rig(&rig);
	assert_int_equal(prekeys_through_day(rig.prekeys), 0);
	assert_true(day(&rig, AT(DAY) + 5));
	assert_false(day(&rig, AT(DAY) + 6)); /* once a day */
	assert_false(day(&rig, AT(DAY + 1) - 1));
	batch_of(&rig, &first);
	assert_int_equal(first.first_day, DAY);
	assert_int_equal(first.count, 1 + KW_PREKEY_AHEAD_DAYS);
	assert_int_equal(prekeys_through_day(rig.prekeys), DAY + KW_PREKEY_AHEAD_DAYS);
	for (uint32_t i = 0; i < first.count; i++)
		assert_int_equal(has(&rig, first.keys[i]), KW_OK);
	assert_int_equal(stat(path_of(&rig, ""), &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_true(day(&rig, AT(DAY + 1)));
	batch_of(&rig, &next);
	assert_int_equal(next.first_day, DAY + 1);
	assert_int_equal(next.count, first.count);
	assert_memory_equal(next.keys[0], first.keys[1], (size_t)45 * KW_KEY_SIZE); /* only the last is new */
	/* What was made is there after a restart, and is not made anew. */
	restart(&rig);
	assert_true(day(&rig, AT(DAY + 1) + 9));
	batch_of(&rig, &first);
	assert_memory_equal(&first, &next, sizeof(next));
	close_rig(&rig);
}

static void test_the_batch_is_signed_by_our_identity(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys out;
	enum kw_prekey_rule rule;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	const struct kw_prekeys_expect expect = {
		.agency = &rig.self.agency, .hub = &rig.self.hub, .identity_key = rig.keys.identity.public_key};
	assert_int_equal(kw_prekeys_accept(&expect, prekeys_batch(rig.prekeys), &out, &rule), KW_OK);
	close_rig(&rig);
}

static void test_a_new_identity_signs_the_same_keys_anew(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys first, after;
	enum kw_prekey_rule rule;
	struct keys other;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	uint32_t through = prekeys_through_day(rig.prekeys);
	while (prekeys_give(rig.prekeys, through))
		;
	assert_int_equal(keys_generate(&other), KW_OK);
	rig.keys.identity = other.identity;
	memcpy(rig.keys.identity_id, other.identity_id, sizeof(other.identity_id));
	assert_true(day(&rig, AT(DAY) + 1000));
	assert_false(day(&rig, AT(DAY) + 2000));
	const struct kw_prekeys_expect expect = {
		.agency = &rig.self.agency, .hub = &rig.self.hub, .identity_key = rig.keys.identity.public_key};
	assert_int_equal(kw_prekeys_accept(&expect, prekeys_batch(rig.prekeys), &after, &rule), KW_OK);
	assert_memory_equal(after.keys, first.keys, sizeof(after.keys));
	assert_true(prekeys_give(rig.prekeys, through)); /* to a hub that has the old one of the same days */
	keys_fini(&other);
	close_rig(&rig);
}

static void test_a_key_goes_45_days_after_its_day_and_not_before(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys first;
	struct keys_prekeys disk;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	assert_true(day(&rig, AT(DAY + 1 + KW_PREKEY_KEEP_DAYS) - 1));
	assert_int_equal(has(&rig, first.keys[0]), KW_OK);
	assert_true(day(&rig, AT(DAY + 1 + KW_PREKEY_KEEP_DAYS)));
	assert_int_equal(has(&rig, first.keys[0]), KW_ENOTFOUND);
	assert_int_equal(has(&rig, first.keys[1]), KW_OK);
	/* Nor is it on the disk, for who has all keys and the passphrase. */
	assert_int_equal(keys_prekey_load(rig.folder, &rig.keys, &disk), KW_OK);
	assert_true(disk.count > 0);
	for (uint32_t i = 0; i < disk.count; i++)
		assert_memory_not_equal(disk.list[i].pair.public_key, first.keys[0], KW_KEY_SIZE);
	assert_int_equal(disk.list[0].day, DAY + 1);
	close_rig(&rig);
}

static void test_the_old_file_is_overwritten(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t bytes[4096];
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	int old = open(path_of(&rig, ""), O_RDONLY);
	assert_true(old >= 0);
	assert_true(day(&rig, AT(DAY + 1)));
	ssize_t size = pread(old, bytes, sizeof(bytes), 0);
	assert_true(size > 1000);
	for (ssize_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(close(old), 0);
	assert_int_not_equal(access(path_of(&rig, ".old"), F_OK), 0);
	assert_int_not_equal(access(path_of(&rig, ".new"), F_OK), 0);
	close_rig(&rig);
}

static void copy_file(const char *from, const char *to)
{
	uint8_t bytes[8192];
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(in >= 0 && out >= 0);
	ssize_t size = read(in, bytes, sizeof(bytes));
	assert_true(size > 0);
	assert_int_equal(write(out, bytes, (size_t)size), size);
	assert_int_equal(close(in), 0);
	assert_int_equal(close(out), 0);
}

/* Each of the places where a crash may fall, made by hand. */
static void test_what_a_crash_leaves_is_overwritten_by_the_next_start(void **state)
{
	(void)state;
	struct rig rig;
	char old_path[160], new_path[160];
	struct kw_prekeys first, after;
	uint8_t bytes[4096];
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	(void)snprintf(old_path, sizeof(old_path), "%s", path_of(&rig, ".old"));
	(void)snprintf(new_path, sizeof(new_path), "%s", path_of(&rig, ".new"));
	/* Before the new one has the name. */
	copy_file(path_of(&rig, ""), new_path);
	restart(&rig);
	assert_int_not_equal(access(new_path, F_OK), 0);
	/* Between the two names: the old one is the file itself. */
	assert_int_equal(link(path_of(&rig, ""), old_path), 0);
	restart(&rig);
	assert_int_not_equal(access(old_path, F_OK), 0);
	assert_int_equal(has(&rig, first.keys[0]), KW_OK);
	/* After it: the old one waits to be overwritten. */
	copy_file(path_of(&rig, ""), old_path);
	int old = open(old_path, O_RDONLY);
	restart(&rig);
	assert_int_not_equal(access(old_path, F_OK), 0);
	ssize_t size = pread(old, bytes, sizeof(bytes), 0);
	assert_true(size > 1000);
	for (ssize_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(close(old), 0);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &after);
	assert_memory_equal(&first, &after, sizeof(after));
	close_rig(&rig);
}

/* A child that destroys keys, day after day, and is killed at some moment: what it had made is whole, and what the next start
 * finds after that day holds none that should be gone. */
static void test_kill_9_while_keys_go_leaves_the_one_or_the_other(void **state)
{
	(void)state;
	struct rig rig;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	uint32_t at = DAY;
	for (uint32_t round = 0; round < 30; round++) {
		int words[2];
		assert_int_equal(pipe(words), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			for (uint32_t i = at; i < at + 500; i++) {
				const struct prekeys_clock clock = {.heard = true, .hub_ms = AT(i), .wall_ms = AT(i)};
				bool news;
				if (prekeys_day(rig.prekeys, &clock, &news) != KW_OK || write(words[1], &i, sizeof(i)) != sizeof(i))
					_exit(1);
			}
			_exit(0);
		}
		assert_int_equal(close(words[1]), 0);
		usleep(1000 + 700 * (round % 17));
		assert_int_equal(kill(child, SIGKILL), 0);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		uint32_t done;
		while (read(words[0], &done, sizeof(done)) == sizeof(done))
			at = done;
		assert_int_equal(close(words[0]), 0);
		struct keys_prekeys disk;
		assert_int_equal(keys_prekey_load(rig.folder, &rig.keys, &disk), KW_OK);
		assert_true(disk.count > KW_PREKEY_AHEAD_DAYS);
		assert_true(disk.list[0].day + 1 + KW_PREKEY_KEEP_DAYS > at);
		assert_true(disk.list[disk.count - 1].day >= at + KW_PREKEY_AHEAD_DAYS);
		assert_int_not_equal(access(path_of(&rig, ".old"), F_OK), 0);
		assert_int_not_equal(access(path_of(&rig, ".new"), F_OK), 0);
		restart(&rig);
	}
	close_rig(&rig);
}

static void test_a_wrong_clock_makes_and_destroys_nothing(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys first;
	bool news;
	open_rig(&rig);
	/* Nothing before the hub was heard: the machine may have started with any time. */
	struct prekeys_clock clock = {.heard = false, .hub_ms = AT(DAY), .wall_ms = AT(DAY)};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	/* A hub that jumps ahead, and a machine that does. */
	clock = (struct prekeys_clock){.heard = true, .hub_ms = AT(DAY + 200), .wall_ms = AT(DAY)};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	assert_true(prekeys_clock_differs(rig.prekeys));
	clock = (struct prekeys_clock){.heard = true, .hub_ms = AT(DAY), .wall_ms = AT(DAY + 200)};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	clock = (struct prekeys_clock){.heard = true, .hub_ms = AT(DAY + 200), .wall_ms = 0};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	/* Both are ahead, and not together: one of them is wrong, and nobody knows which. */
	clock = (struct prekeys_clock){.heard = true, .hub_ms = AT(DAY + 200), .wall_ms = AT(DAY + 90)};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	for (uint32_t i = 0; i < first.count; i++)
		assert_int_equal(has(&rig, first.keys[i]), KW_OK);
	/* A day apart is still one clock; the earlier of the two counts. */
	clock = (struct prekeys_clock){
		.heard = true, .hub_ms = AT(DAY + 1 + KW_PREKEY_KEEP_DAYS), .wall_ms = AT(DAY + KW_PREKEY_KEEP_DAYS)};
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_true(news);
	assert_false(prekeys_clock_differs(rig.prekeys));
	assert_int_equal(has(&rig, first.keys[0]), KW_OK);
	clock.hub_ms += 1;
	assert_int_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_true(prekeys_clock_differs(rig.prekeys));
	/* Both agree: it is time. */
	assert_true(day(&rig, AT(DAY + 200)));
	for (uint32_t i = 0; i < first.count; i++)
		assert_int_equal(has(&rig, first.keys[i]), KW_ENOTFOUND);
	close_rig(&rig);
}

static void test_a_damaged_file_is_dropped_and_made_anew(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys first;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	kw_log_level_set((enum kw_log_level)(KW_LOG_ERROR + 1)); /* it says so */
	int file = open(path_of(&rig, ""), O_RDWR);
	assert_int_equal(pwrite(file, "x", 1, 99), 1);
	assert_int_equal(close(file), 0);
	restart(&rig);
	assert_int_equal(has(&rig, first.keys[0]), KW_ENOTFOUND);
	assert_int_not_equal(access(path_of(&rig, ""), F_OK), 0);
	assert_true(day(&rig, AT(DAY)));
	batch_of(&rig, &first);
	assert_int_equal(has(&rig, first.keys[0]), KW_OK);
	/* Of another key file. */
	rig.keys.store[0] ^= 1;
	restart(&rig);
	assert_int_equal(has(&rig, first.keys[0]), KW_ENOTFOUND);
	close_rig(&rig);
}

static void test_a_loose_mode_is_refused(void **state)
{
	(void)state;
	struct rig rig;
	struct prekeys *again = NULL;
	open_rig(&rig);
	assert_true(day(&rig, AT(DAY)));
	assert_int_equal(chmod(path_of(&rig, ""), 0640), 0);
	assert_int_equal(prekeys_open(&rig.self, &again), KW_EDENIED);
	assert_null(again);
	close_rig(&rig);
}

static void test_a_file_holds_192_secrets_and_no_more(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys batch;
	struct keys_prekeys disk;
	open_rig(&rig);
	/* Both clocks are wrong, three times, and back again. */
	assert_true(day(&rig, AT(DAY)));
	for (uint32_t i = 3; i > 0; i--) {
		restart(&rig);
		assert_true(day(&rig, AT(DAY + 1000 * i)));
		restart(&rig);
	}
	assert_true(day(&rig, AT(DAY)));
	assert_int_equal(keys_prekey_load(rig.folder, &rig.keys, &disk), KW_OK);
	assert_int_equal(disk.count, 4 * 46);
	for (uint32_t i = 1; i < 9; i++)
		assert_true(day(&rig, AT(DAY + i)));
	assert_int_equal(keys_prekey_load(rig.folder, &rig.keys, &disk), KW_OK);
	assert_int_equal(disk.count, KEYS_PREKEYS_MAX);
	batch_of(&rig, &batch);
	assert_int_equal(batch.count, 46);
	assert_true(day(&rig, AT(DAY + 9)));
	batch_of(&rig, &batch);
	assert_int_equal(batch.count, 45); /* no room for the last: what is there goes on */
	assert_int_equal(keys_prekey_load(rig.folder, &rig.keys, &disk), KW_OK);
	assert_int_equal(disk.count, KEYS_PREKEYS_MAX);
	close_rig(&rig);
}

static void test_a_batch_is_given_to_a_hub_that_lacks_it(void **state)
{
	(void)state;
	struct rig rig;
	open_rig(&rig);
	assert_false(prekeys_give(rig.prekeys, 0)); /* there is none */
	assert_true(day(&rig, AT(DAY)));
	uint32_t through = prekeys_through_day(rig.prekeys);
	/* Made now: twice, whatever it has, because it may have one of the same days with keys that we have lost. */
	assert_true(prekeys_give(rig.prekeys, through));
	assert_true(prekeys_give(rig.prekeys, through));
	assert_false(prekeys_give(rig.prekeys, through));
	assert_false(prekeys_give(rig.prekeys, through + 1));
	assert_true(prekeys_give(rig.prekeys, through - 1));
	restart(&rig);
	assert_true(day(&rig, AT(DAY)));
	assert_false(prekeys_give(rig.prekeys, through));
	assert_true(prekeys_give(rig.prekeys, 0));
	close_rig(&rig);
}

/* A disk on which nothing can be written: nothing is published that would be lost with the process. */
static void test_what_cannot_be_kept_is_not_published(void **state)
{
	(void)state;
	struct rig rig;
	bool news;
	const struct prekeys_clock clock = {.heard = true, .hub_ms = AT(DAY), .wall_ms = AT(DAY)};
	open_rig(&rig);
	kw_log_level_set((enum kw_log_level)(KW_LOG_ERROR + 1));
	assert_int_equal(mkdir(path_of(&rig, ".new"), 0700), 0); /* in the way */
	assert_int_not_equal(prekeys_day(rig.prekeys, &clock, &news), KW_OK);
	assert_false(news);
	assert_int_equal(prekeys_through_day(rig.prekeys), 0);
	assert_int_equal(rmdir(path_of(&rig, ".new")), 0);
	assert_true(day(&rig, AT(DAY)));
	struct kw_prekeys batch;
	batch_of(&rig, &batch);
	restart(&rig);
	for (uint32_t i = 0; i < batch.count; i++)
		assert_int_equal(has(&rig, batch.keys[i]), KW_OK);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_made_45_days_ahead_and_one_more_each_day),
		cmocka_unit_test(test_the_batch_is_signed_by_our_identity),
		cmocka_unit_test(test_a_new_identity_signs_the_same_keys_anew),
		cmocka_unit_test(test_a_key_goes_45_days_after_its_day_and_not_before),
		cmocka_unit_test(test_the_old_file_is_overwritten),
		cmocka_unit_test(test_what_a_crash_leaves_is_overwritten_by_the_next_start),
		cmocka_unit_test(test_kill_9_while_keys_go_leaves_the_one_or_the_other),
		cmocka_unit_test(test_a_wrong_clock_makes_and_destroys_nothing),
		cmocka_unit_test(test_a_damaged_file_is_dropped_and_made_anew),
		cmocka_unit_test(test_a_loose_mode_is_refused),
		cmocka_unit_test(test_a_file_holds_192_secrets_and_no_more),
		cmocka_unit_test(test_a_batch_is_given_to_a_hub_that_lacks_it),
		cmocka_unit_test(test_what_cannot_be_kept_is_not_published),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
