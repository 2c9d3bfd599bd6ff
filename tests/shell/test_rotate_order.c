/* An order of `kinward agent rotate` that the disk refuses: no hub may hear of a key that a stop would lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/renew_inner.h"
#include "proto/link/file.h"
#include "tests/kit/folder.h"

static const char secret[] = "correct horse battery";

struct rig {
	char folder[64];
	char path[96];
	struct settings settings;
	struct agent *agent;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct keys *keys = calloc(2, sizeof(*keys));
	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-order-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/" AGENT_KEYS_FILE, rig->folder);
	assert_int_equal(keys_generate(&keys[1]), KW_OK);
	assert_int_equal(keys_save(rig->path, &keys[1], kw_view_str(secret)), KW_OK);
	assert_int_equal(keys_load(rig->path, kw_view_str(secret), &keys[0]), KW_OK);
	keys_fini(&keys[1]);
	rig->settings.state = rig->folder;
	rig->agent = calloc(1, sizeof(*rig->agent));
	rig->agent->settings = &rig->settings;
	rig->agent->keys = keys;
	rig->agent->renew = calloc(1, sizeof(*rig->agent->renew));
	rig->agent->core = agt_init(calloc(1, agt_size()));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	keys_fini(rig->agent->keys);
	free(rig->agent->keys);
	free(rig->agent->renew);
	free(rig->agent->core);
	free(rig->agent);
	assert_int_equal(folder_remove(rig->folder), 0);
	free(rig);
	return 0;
}

static void give_order(const struct rig *rig, const char *line)
{
	char path[96];
	(void)snprintf(path, sizeof(path), "%s/" AGENT_ROTATE_FILE, rig->folder);
	assert_int_equal(kw_file_write_atomic(path, kw_view_str(line), 0600), KW_OK);
	renew_keys_tick(rig->agent);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_a_key_that_cannot_be_written_is_brought_in_nowhere(void **state)
{
	struct rig *rig = *state;
	struct keys *keys = rig->agent->keys;
	struct keys *file = calloc(1, sizeof(*file));
	static const struct keys_next none;
	char blocked[128];
	/* Where the file would be written there is a folder; this holds for root too. */
	(void)snprintf(blocked, sizeof(blocked), "%s.new", rig->path);
	assert_int_equal(mkdir(blocked, 0700), 0);
	static const char *const orders[] = {"identity compromised\n", "tls scheduled\n", "sealing scheduled\n"};
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		give_order(rig, orders[i]);
		for (int which = 0; which < KEYS_WHICH_COUNT; which++)
			assert_false(keys_next_is(keys, (enum keys_which)which));
		assert_memory_equal(&keys->next, &none, sizeof(none));
	}
	assert_int_equal(rmdir(blocked), 0);
	/* One that is in the file already stays, whatever comes of an order to make it again. */
	assert_int_equal(keys_next_make(keys, KEYS_IDENTITY, 1), KW_OK);
	assert_int_equal(keys_save_again(rig->path, keys), KW_OK);
	assert_int_equal(mkdir(blocked, 0700), 0);
	give_order(rig, "identity scheduled\n");
	assert_true(keys_next_is(keys, KEYS_IDENTITY));
	assert_int_equal(rmdir(blocked), 0);
	assert_int_equal(keys_load(rig->path, kw_view_str(secret), file), KW_OK);
	assert_memory_equal(&file->next, &keys->next, sizeof(keys->next));
	keys_fini(file);
	free(file);
}

/* A rotation takes time: the hub has the new key, and the link is cut before its directory is here. What is sent meanwhile is good. */
static void test_what_is_signed_during_a_rotation_is_believed(void **state)
{
	const int64_t now = INT64_C(1780000000000), hour = INT64_C(3600000);
	struct kw_directory_entry entry = {.sealing_keys_count = 0};
	struct kw_ed25519 former, next;
	uint8_t id[KEYS_ID_SIZE];
	(void)state;
	assert_int_equal(kw_ed25519_generate(&former), KW_OK);
	assert_int_equal(kw_ed25519_generate(&next), KW_OK);
	assert_int_equal(keys_id(former.public_key, id), KW_OK);
	memcpy(entry.identity_key, next.public_key, KW_KEY_SIZE);
	memcpy(entry.identity_change.former_key, former.public_key, KW_KEY_SIZE);
	for (uint8_t reason = KW_IDENTITY_SCHEDULED; reason < KW_IDENTITY_REASON_COUNT; reason++) {
		entry.identity_change.reason = reason;
		entry.identity_change.unix_ms = renew_change_ms(reason, now);
		/* The hub takes it, also when its clock and ours are some hours apart. */
		assert_true(entry.identity_change.unix_ms < now - 11 * hour + KW_RENEW_WINDOW_MS);
		const uint8_t *found = kw_directory_identity(&entry, KW_VIEW_OF(id), now + 11 * hour, now + 12 * hour);
		if (reason == KW_IDENTITY_COMPROMISED)
			assert_null(found);
		else
			assert_memory_equal(found, former.public_key, KW_KEY_SIZE);
	}
	assert_int_equal(renew_change_ms(KW_IDENTITY_COMPROMISED, now), now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_key_that_cannot_be_written_is_brought_in_nowhere, setup, teardown),
		cmocka_unit_test(test_what_is_signed_during_a_rotation_is_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
