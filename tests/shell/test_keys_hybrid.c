/* The key of the hybrid suite in the key file. Most of it needs no ML-KEM: a seed and a digest are kept, whatever they are of. */
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

#include "agent/shell/keys.h"
#include "proto/wire/crypt.h"
#include "tests/kit/keys_rig.h"

/* As if it were one: what a libcrypto without ML-KEM keeps for a later one. */
static void fake(struct keys_hybrid *key, uint8_t byte)
{
	uint8_t public_key[KW_HYBRID_PUBLIC_SIZE];
	memset(public_key, byte, sizeof(public_key));
	memset(key->seed, byte + 1, sizeof(key->seed));
	const struct kw_view part = KW_VIEW_OF(public_key);
	assert_int_equal(kw_sha256(&part, 1, &key->public_digest), KW_OK);
	key->set = true;
	assert_true(keys_hybrid_is(key, public_key));
	public_key[KW_HYBRID_PUBLIC_SIZE - 1] ^= 1;
	assert_false(keys_hybrid_is(key, public_key));
}

static void test_every_record_survives_a_stop(void **state)
{
	struct keys keys;
	struct kw_hybrid found;
	(void)state;
	begin(&keys);
	assert_false(keys.hybrid.set); /* a file without such a record is one of before them */
	fake(&keys.hybrid, 10);
	fake(&keys.next.hybrid, 20);
	for (uint8_t i = 0; i < KEYS_FORMER_MAX; i++) {
		assert_int_equal(keys_next_make(&keys, KEYS_SEALING, 0), KW_OK);
		assert_int_equal(keys_next_take(&keys, KEYS_SEALING, NOW_MS), KW_OK);
		fake(&keys.former_hybrid[i], (uint8_t)(30 + i));
		keys.former_hybrid[i].until_unix_ms = NOW_MS + i;
	}
	keys.former_hybrid_count = KEYS_FORMER_MAX;
	struct keys before = keys;
	again(&keys); /* the largest file there is but for the identity and TLS key */
	assert_memory_equal(&keys.hybrid, &before.hybrid, sizeof(keys.hybrid));
	assert_memory_equal(&keys.next.hybrid, &before.next.hybrid, sizeof(keys.next.hybrid));
	assert_int_equal(keys.former_hybrid_count, KEYS_FORMER_MAX);
	assert_memory_equal(keys.former_hybrid, before.former_hybrid, sizeof(keys.former_hybrid));
	kw_wipe(&before, sizeof(before));
	static const uint8_t unknown[KEYS_ID_SIZE] = {1};
	assert_int_equal(keys_hybrid_find(&keys, KW_VIEW_OF(unknown), &found), KW_ENOTFOUND);
	if (!kw_hybrid_able())
		assert_int_equal(keys_hybrid_find(&keys, KW_VIEW(keys.hybrid.public_digest.bytes, KEYS_ID_SIZE), &found), KW_EVERSION);
	keys_fini(&keys);
}

static void test_former_ones_are_destroyed_in_time(void **state)
{
	struct keys keys;
	(void)state;
	begin(&keys);
	fake(&keys.next.hybrid, 1);
	assert_int_equal(keys_next_take(&keys, KEYS_HYBRID, NOW_MS), KW_OK);
	assert_int_equal(keys.former_hybrid_count, 0); /* there was none before the first */
	for (uint8_t i = 0; i < KEYS_FORMER_MAX; i++) {
		fake(&keys.next.hybrid, (uint8_t)(2 + i));
		assert_int_equal(keys_next_take(&keys, KEYS_HYBRID, NOW_MS + i), KW_OK);
		assert_false(keys.next.hybrid.set);
	}
	assert_int_equal(keys.former_hybrid_count, KEYS_FORMER_MAX);
	assert_int_equal(keys_next_make(&keys, KEYS_HYBRID, 0), KW_EFULL);
	assert_false(keys_former_drop(&keys, NOW_MS - 1));
	assert_true(keys_former_drop(&keys, NOW_MS));
	again(&keys);
	assert_int_equal(keys.former_hybrid_count, KEYS_FORMER_MAX - 1);
	assert_int_equal(keys.former_hybrid[0].until_unix_ms, NOW_MS + 1);
	assert_true(keys_former_drop(&keys, NOW_MS + KEYS_FORMER_MAX));
	static const struct keys_hybrid gone[KEYS_FORMER_MAX];
	assert_memory_equal(keys.former_hybrid, gone, sizeof(gone));
	enum kw_err err = keys_next_make(&keys, KEYS_HYBRID, 0);
	assert_int_equal(err, kw_hybrid_able() ? KW_OK : KW_EVERSION);
	assert_int_equal(keys_next_is(&keys, KEYS_HYBRID), err == KW_OK);
	keys_fini(&keys);
}

static void test_a_real_one_comes_back_from_its_seed(void **state)
{
	struct keys keys;
	struct kw_hybrid found;
	(void)state;
	if (!kw_hybrid_able()) {
		print_message("skipped: no ML-KEM\n");
		skip();
	}
	begin(&keys);
	assert_int_equal(keys_next_make(&keys, KEYS_HYBRID, 0), KW_OK);
	again(&keys);
	assert_int_equal(keys_hybrid_find(&keys, KW_VIEW(keys.next.hybrid.public_digest.bytes, KEYS_ID_SIZE), &found), KW_OK);
	assert_true(keys_hybrid_is(&keys.next.hybrid, found.public_key));
	assert_false(keys_hybrid_is(&keys.hybrid, found.public_key));
	keys_fini(&keys);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, keys_rig_setup, keys_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_every_record_survives_a_stop),
		CASE(test_former_ones_are_destroyed_in_time),
		CASE(test_a_real_one_comes_back_from_its_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
