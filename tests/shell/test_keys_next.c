/* Keys that are replaced, and the file that has them all: what was made is there after a stop, what is over is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/keys.h"
#include "proto/wire/crypt.h"
#include "proto/wire/identity.h"
#include "tests/kit/keys_rig.h"

static void test_new_keys_survive_a_stop_and_take_their_place(void **state)
{
	struct keys keys;
	struct kw_x25519 found;
	(void)state;
	begin(&keys);
	for (int i = 0; i < KEYS_HYBRID /* that one: test_keys_hybrid.c */; i++) {
		enum keys_which which;
		assert_int_equal(keys_which_from(keys_which_name((enum keys_which)i), &which), KW_OK);
		assert_int_equal(which, i);
		assert_false(keys_next_is(&keys, which));
		assert_int_equal(keys_next_make(&keys, which, KW_IDENTITY_STAFF), KW_OK);
	}
	struct keys_next next = keys.next;
	struct kw_x25519 former = keys.sealing;
	uint8_t former_id[KEYS_ID_SIZE];
	memcpy(former_id, keys.sealing_id, sizeof(former_id));
	again(&keys);
	assert_memory_equal(&keys.next, &next, sizeof(next));
	/* Asked again it makes no others. */
	assert_int_equal(keys_next_make(&keys, KEYS_IDENTITY, KW_IDENTITY_SCHEDULED), KW_OK);
	assert_memory_equal(&keys.next, &next, sizeof(next));
	/* What is sealed to the new key opens before it has taken its place, and to the former one after it. */
	assert_int_equal(keys_sealing_find(&keys, KW_VIEW_OF(next.sealing_id), &found), KW_OK);
	assert_memory_equal(&found, &next.sealing, sizeof(found));
	for (int i = 0; i < KEYS_HYBRID; i++)
		assert_int_equal(keys_next_take(&keys, (enum keys_which)i, NOW_MS), KW_OK);
	again(&keys);
	assert_memory_equal(&keys.identity, &next.identity, sizeof(next.identity));
	assert_memory_equal(&keys.sealing, &next.sealing, sizeof(next.sealing));
	assert_memory_equal(keys.tls_seed, next.tls_seed, sizeof(next.tls_seed));
	static const struct keys_next none;
	assert_memory_equal(&keys.next, &none, sizeof(none));
	assert_int_equal(keys_sealing_find(&keys, KW_VIEW_OF(keys.sealing_id), &found), KW_OK);
	assert_int_equal(keys_sealing_find(&keys, KW_VIEW_OF(former_id), &found), KW_OK);
	assert_memory_equal(&found, &former, sizeof(found));
	/* Until its time is over, to the millisecond. */
	assert_false(keys_former_drop(&keys, NOW_MS - 1));
	assert_true(keys_former_drop(&keys, NOW_MS));
	assert_int_equal(keys_sealing_find(&keys, KW_VIEW_OF(former_id), &found), KW_ENOTFOUND);
	static const struct keys_former gone[KEYS_FORMER_MAX];
	assert_memory_equal(keys.former, gone, sizeof(gone));
	again(&keys);
	assert_int_equal(keys_sealing_find(&keys, KW_VIEW_OF(former_id), &found), KW_ENOTFOUND);
	keys_fini(&keys);
}

static void test_former_keys_have_a_limit(void **state)
{
	struct keys keys;
	(void)state;
	begin(&keys);
	for (uint32_t i = 0; i < KEYS_FORMER_MAX; i++) {
		assert_int_equal(keys_next_make(&keys, KEYS_SEALING, 0), KW_OK);
		assert_int_equal(keys_next_take(&keys, KEYS_SEALING, NOW_MS + (int64_t)i), KW_OK);
	}
	assert_int_equal(keys_next_make(&keys, KEYS_SEALING, 0), KW_EFULL);
	assert_false(keys_next_is(&keys, KEYS_SEALING));
	again(&keys);
	assert_int_equal(keys.former_count, KEYS_FORMER_MAX);
	assert_true(keys_former_drop(&keys, NOW_MS)); /* the oldest */
	assert_int_equal(keys.former_count, KEYS_FORMER_MAX - 1);
	assert_int_equal(keys.former[0].until_unix_ms, NOW_MS + 1);
	assert_int_equal(keys_next_make(&keys, KEYS_SEALING, 0), KW_OK);
	keys_fini(&keys);
}

/* A file of an older version: four secrets and no records. */
static void test_a_file_of_the_older_form_is_read_and_written_anew(void **state)
{
	uint8_t file[4 + 4 + 16 + 12 + 128 + 16] = "KWK1\x0a\x08\x01";
	uint8_t plain[128];
	uint8_t kek[32];
	struct keys keys;
	char magic[5] = "";
	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i + 1);
	const struct kw_scrypt scrypt = {
		.passphrase = kw_view_str(secret), .salt = KW_VIEW(file + 8, 16), .cost_log2 = 10, .r = 8, .p = 1};
	assert_int_equal(kw_scrypt(&scrypt, kek, sizeof(kek)), KW_OK);
	const struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = kek, .nonce = file + 24};
	assert_int_equal(kw_aead_seal(&aead, KW_VIEW(file, 36), KW_VIEW_OF(plain), file + 36), KW_OK);
	int fd = open(path, O_WRONLY | O_CREAT, 0400);
	assert_int_equal(write(fd, file, sizeof(file)), sizeof(file));
	assert_int_equal(close(fd), 0);
	assert_int_equal(keys_load(path, kw_view_str(secret), &keys), KW_OK);
	assert_memory_equal(keys.identity.seed, plain, 32);
	assert_memory_equal(keys.sealing.secret, plain + 32, 32);
	assert_memory_equal(keys.tls_seed, plain + 64, 32);
	assert_memory_equal(keys.store, plain + 96, 32);
	again(&keys);
	assert_memory_equal(keys.store, plain + 96, 32);
	keys_fini(&keys);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, magic, 4), 4);
	assert_int_equal(close(fd), 0);
	assert_string_equal(magic, "KWK2");
}

/* What a file asks of scrypt is bounded before any memory is asked for; at the bounds it is only a wrong passphrase. */
static void test_costs_have_limits(void **state)
{
	static const struct {
		size_t at;
		uint8_t max;
	} costs[] = {{4, KEYS_COST_LOG2_MAX}, {5, KEYS_COST_R_MAX}, {6, KEYS_COST_P_MAX}};
	static const uint8_t cheap[3] = {10, 8, 1};
	struct keys keys;
	(void)state;
	begin(&keys);
	keys_fini(&keys);
	assert_int_equal(chmod(path, 0600), 0);
	for (size_t i = 0; i < 3; i++) {
		for (uint8_t more = 0; more < 2; more++) {
			uint8_t head[3];
			memcpy(head, cheap, sizeof(head));
			head[costs[i].at - 4] = (uint8_t)(costs[i].max + more);
			int fd = open(path, O_WRONLY);
			assert_int_equal(pwrite(fd, head, sizeof(head), 4), sizeof(head));
			assert_int_equal(close(fd), 0);
			assert_int_equal(keys_load(path, kw_view_str(secret), &keys), more == 0 ? KW_EAUTH : KW_EFORMAT);
		}
	}
}

static bool contains(const uint8_t *haystack, size_t size, const uint8_t *needle, size_t needle_size)
{
	for (size_t i = 0; i + needle_size <= size; i++)
		if (memcmp(haystack + i, needle, needle_size) == 0)
			return true;
	return false;
}

/* Through a descriptor that was open before: what the file held is overwritten, not only without a name. */
static void test_what_the_file_held_is_overwritten(void **state)
{
	struct keys keys;
	uint8_t before[1024];
	uint8_t after[1024];
	(void)state;
	begin(&keys);
	int fd = open(path, O_RDONLY);
	ssize_t size = read(fd, before, sizeof(before));
	assert_true(size > 100);
	assert_int_equal(keys_save_again(path, &keys), KW_OK);
	assert_int_equal(pread(fd, after, sizeof(after), 0), size);
	assert_false(contains(after, (size_t)size, before + 36, 16));
	assert_int_equal(close(fd), 0);
	keys_fini(&keys);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, keys_rig_setup, keys_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_new_keys_survive_a_stop_and_take_their_place),
		CASE(test_former_keys_have_a_limit),
		CASE(test_a_file_of_the_older_form_is_read_and_written_anew),
		CASE(test_costs_have_limits),
		CASE(test_what_the_file_held_is_overwritten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
