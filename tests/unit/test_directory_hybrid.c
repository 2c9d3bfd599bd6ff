/* Hybrid keys in the directory: their sizes and counts at the limit and beyond, what an older reader sees, and which suite
 * a sender takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/directory.h"
#include "proto/wire/envelope.h"
#include "proto/wire/pbscan.h"

#define NOW_MS 1780000000000ll
#define BYTES_MAX 65536u

struct world {
	struct kw_directory directory;
	struct kw_directory_entry entry;
};

/* A key of its own for each number; only its size and id matter here. */
static void make_key(struct kw_directory_hybrid_key *key, uint8_t number)
{
	memset(key->public_key, number, sizeof(key->public_key));
	key->suites[0] = KW_SUITE_HYBRID;
	key->suites_count = 1;
	assert_int_equal(kw_directory_hybrid_key_id(key->public_key, key->key_id), KW_OK);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	struct kw_directory_sealing_key *key = &world->entry.sealing_keys[0];
	assert_int_equal(kw_name_from(kw_view_str("agency-a"), &world->entry.agency), KW_OK);
	world->entry.sealing_keys_count = 1;
	key->suites[0] = KW_SUITE_CHACHA;
	key->suites[1] = KW_SUITE_AES;
	key->suites_count = 2;
	assert_int_equal(kw_directory_key_id(key->public_key, key->key_id), KW_OK);
	world->directory = (struct kw_directory){.version = 1, .signed_unix_ms = NOW_MS, .expires_unix_ms = NOW_MS + 1,
		.entries = &world->entry, .count = 1};
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &world->directory.hub), KW_OK);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	free(world);
	return 0;
}

static enum kw_err pack(const struct world *world, struct kw_buf *out)
{
	kw_buf_init(out, BYTES_MAX);
	return kw_directory_pack(&world->directory, out);
}

static void test_hybrid_keys_come_back_up_to_the_largest_count(void **state)
{
	struct world *world = *state;
	for (uint8_t count = 0; count <= KW_DIRECTORY_HYBRID_KEYS_MAX; count++) {
		struct kw_buf bytes;
		struct kw_directory *got = NULL;
		world->entry.hybrid_keys_count = count;
		for (uint8_t i = 0; i < count; i++)
			make_key(&world->entry.hybrid_keys[i], (uint8_t)(i + 1));
		assert_int_equal(pack(world, &bytes), KW_OK);
		assert_int_equal(kw_directory_read(kw_buf_view(&bytes), &got), KW_OK);
		assert_memory_equal(&got->entries[0], &world->entry, sizeof(world->entry));
		printf("entry with %u hybrid keys: %zu bytes\n", count, bytes.size);
		kw_directory_free(got);
		kw_buf_fini(&bytes);
	}
}

static void test_hybrid_counts_out_of_range_are_not_signed(void **state)
{
	struct world *world = *state;
	struct kw_buf bytes;
	make_key(&world->entry.hybrid_keys[0], 1);
	world->entry.hybrid_keys_count = KW_DIRECTORY_HYBRID_KEYS_MAX + 1;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	world->entry.hybrid_keys_count = 1;
	world->entry.hybrid_keys[0].suites_count = 0;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	world->entry.hybrid_keys[0].suites_count = KW_DIRECTORY_SUITES_MAX + 1;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	world->entry.hybrid_keys[0].suites_count = KW_DIRECTORY_SUITES_MAX;
	assert_int_equal(pack(world, &bytes), KW_OK);
	kw_buf_fini(&bytes);
}

/* A directory written by hand, as a faulty hub might. */
struct by_hand {
	size_t key_size;
	size_t keys_count;
	uint32_t field; /* the number in the entry */
	bool wrong_id;
};

static void add_key_by_hand(struct kw_buf *entry, const struct by_hand *what, uint8_t number)
{
	uint8_t public_key[2 * KW_HYBRID_PUBLIC_SIZE];
	struct kw_digest digest;
	struct kw_buf key;
	memset(public_key, number, sizeof(public_key));
	struct kw_view view = KW_VIEW(public_key, what->key_size);
	kw_buf_init(&key, BYTES_MAX);
	assert_int_equal(kw_sha256(&view, 1, &digest), KW_OK);
	digest.bytes[0] ^= what->wrong_id ? 1 : 0;
	assert_int_equal(kw_pb_add_bytes(&key, 1, KW_VIEW(digest.bytes, KW_DIRECTORY_KEY_ID_SIZE)), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&key, 2, view), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&key, 3, KW_VIEW("\x11", 1)), KW_OK); /* packed */
	assert_int_equal(kw_pb_add_bytes(entry, what->field, kw_buf_view(&key)), KW_OK);
	kw_buf_fini(&key);
}

static void directory_by_hand(const struct by_hand *what, struct kw_buf *out)
{
	struct kw_buf entry;
	const struct by_hand classic = {.key_size = KW_DIRECTORY_KEY_SIZE, .keys_count = 1, .field = 3};
	kw_buf_init(&entry, BYTES_MAX);
	assert_int_equal(kw_pb_add_bytes(&entry, 1, kw_view_str("agency-a")), KW_OK);
	assert_int_equal(kw_pb_add_bytes(&entry, 2, KW_VIEW("0123456789abcdef0123456789abcdef", 32)), KW_OK);
	add_key_by_hand(&entry, &classic, 1);
	assert_int_equal(kw_pb_add_bytes(&entry, 4, KW_VIEW("0123456789abcdef0123456789abcdef", 32)), KW_OK);
	for (size_t i = 0; i < what->keys_count; i++)
		add_key_by_hand(&entry, what, (uint8_t)i);
	assert_int_equal(kw_pb_add_bytes(out, 1, kw_view_str("hub-a")), KW_OK);
	assert_int_equal(kw_pb_add_uint(out, 2, 1), KW_OK);
	assert_int_equal(kw_pb_add_uint(out, 3, NOW_MS), KW_OK);
	assert_int_equal(kw_pb_add_bytes(out, 4, kw_buf_view(&entry)), KW_OK);
	assert_int_equal(kw_pb_add_uint(out, 5, NOW_MS + 1), KW_OK);
	kw_buf_fini(&entry);
}

static enum kw_err read_by_hand(const struct by_hand *what, struct kw_directory **got)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, BYTES_MAX);
	directory_by_hand(what, &bytes);
	enum kw_err err = kw_directory_read(kw_buf_view(&bytes), got);
	kw_buf_fini(&bytes);
	return err;
}

static void test_hybrid_keys_of_another_size_count_or_id_are_refused(void **state)
{
	(void)state;
	const struct by_hand good = {.key_size = KW_HYBRID_PUBLIC_SIZE, .keys_count = KW_DIRECTORY_HYBRID_KEYS_MAX, .field = 6};
	struct kw_directory *got = NULL;
	assert_int_equal(read_by_hand(&good, &got), KW_OK);
	assert_int_equal(got->entries[0].hybrid_keys_count, KW_DIRECTORY_HYBRID_KEYS_MAX);
	kw_directory_free(got);
	struct by_hand bad = good;
	bad.key_size = KW_HYBRID_PUBLIC_SIZE + 1;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
	bad.key_size = KW_HYBRID_PUBLIC_SIZE - 1;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
	bad.key_size = KW_KEY_SIZE;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
	bad = good;
	bad.keys_count++;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
	bad = good;
	bad.wrong_id = true;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
	/* Among the keys of X25519 it would stop every reader before this one. */
	bad = good;
	bad.field = 3;
	assert_int_equal(read_by_hand(&bad, &got), KW_EFIELD);
}

/* To a reader of before, hybrid keys are a field that it does not know; so is to this one a field of tomorrow. */
static void test_a_field_of_tomorrow_is_passed_over(void **state)
{
	(void)state;
	const struct by_hand later = {.key_size = KW_HYBRID_PUBLIC_SIZE, .keys_count = 3, .field = 7};
	struct kw_directory *got = NULL;
	assert_int_equal(read_by_hand(&later, &got), KW_OK);
	assert_int_equal(got->entries[0].sealing_keys_count, 1);
	assert_int_equal(got->entries[0].hybrid_keys_count, 0);
	kw_directory_free(got);
}

static void test_sender_takes_the_strongest_suite_that_both_have(void **state)
{
	struct world *world = *state;
	struct kw_directory_choice choice;
	struct kw_directory_entry *entry = &world->entry;
	/* No hybrid key: the agency's own order, whatever the sender has. */
	assert_int_equal(kw_directory_choose(entry, true, &choice), KW_OK);
	assert_int_equal(choice.suite, KW_SUITE_CHACHA);
	assert_ptr_equal(choice.public_key, entry->sealing_keys[0].public_key);
	assert_null(choice.hybrid_key);
	make_key(&entry->hybrid_keys[0], 1);
	make_key(&entry->hybrid_keys[1], 2);
	entry->hybrid_keys_count = 2;
	assert_int_equal(kw_directory_choose(entry, true, &choice), KW_OK);
	assert_int_equal(choice.suite, KW_SUITE_HYBRID);
	assert_ptr_equal(choice.hybrid_key, entry->hybrid_keys[0].public_key);
	assert_ptr_equal(choice.key_id, entry->hybrid_keys[0].key_id);
	assert_null(choice.public_key);
	/* The sender's libcrypto lacks it. */
	assert_int_equal(kw_directory_choose(entry, false, &choice), KW_OK);
	assert_int_equal(choice.suite, KW_SUITE_CHACHA);
	assert_ptr_equal(choice.key_id, entry->sealing_keys[0].key_id);
	/* A suite of tomorrow is passed over, on either list. */
	entry->hybrid_keys[0].suites[0] = 0x12;
	entry->sealing_keys[0].suites[0] = 9;
	assert_int_equal(kw_directory_choose(entry, true, &choice), KW_OK);
	assert_ptr_equal(choice.hybrid_key, entry->hybrid_keys[1].public_key);
	assert_int_equal(kw_directory_choose(entry, false, &choice), KW_OK);
	assert_int_equal(choice.suite, KW_SUITE_AES);
}

static void test_sender_takes_no_suite_under_a_key_of_the_other_kind(void **state)
{
	struct world *world = *state;
	struct kw_directory_choice choice = {.suite = 99};
	struct kw_directory_entry *entry = &world->entry;
	make_key(&entry->hybrid_keys[0], 1);
	entry->hybrid_keys_count = 1;
	entry->hybrid_keys[0].suites[0] = KW_SUITE_AES;
	entry->sealing_keys[0].suites[0] = KW_SUITE_HYBRID;
	entry->sealing_keys[0].suites_count = 1;
	assert_int_equal(kw_directory_choose(entry, true, &choice), KW_EVERSION);
	assert_int_equal(kw_directory_choose(entry, false, &choice), KW_EVERSION);
	assert_int_equal(choice.suite, 99);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_hybrid_keys_come_back_up_to_the_largest_count),
		CASE(test_hybrid_counts_out_of_range_are_not_signed),
		CASE(test_hybrid_keys_of_another_size_count_or_id_are_refused),
		CASE(test_a_field_of_tomorrow_is_passed_over),
		CASE(test_sender_takes_the_strongest_suite_that_both_have),
		CASE(test_sender_takes_no_suite_under_a_key_of_the_other_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
