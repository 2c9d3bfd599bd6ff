/* The directory at its limits. Whom a reader believes is tested in test_role.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/directory.h"
#include "proto/wire/enrol.h"

#define NOW_MS 1780000000000ll

struct world {
	struct kw_directory directory;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	size_t room = KW_DIRECTORY_AGENCIES_MAX + 1;
	assert_non_null(world);
	struct kw_directory *directory = &world->directory;
	directory->entries = calloc(room, sizeof(*directory->entries));
	assert_non_null(directory->entries);
	directory->version = UINT64_MAX;
	directory->signed_unix_ms = NOW_MS;
	directory->expires_unix_ms = NOW_MS + 1;
	for (size_t i = 0; i < room; i++) {
		struct kw_directory_entry *entry = &directory->entries[room - 1 - i];
		(void)snprintf(entry->agency.text, sizeof(entry->agency.text), "agency-%zu", i);
		struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
		entry->sealing_keys_count = 1;
		entry->revoked = i % 2 == 1;
		key->suites[0] = 2;
		key->suites_count = 1;
		memcpy(key->public_key, entry->agency.text, sizeof(key->public_key));
		assert_int_equal(kw_directory_key_id(key->public_key, key->key_id), KW_OK);
	}
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &directory->hub), KW_OK);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	free(world->directory.entries);
	free(world);
	return 0;
}

static enum kw_err pack(const struct world *world, struct kw_buf *out)
{
	kw_buf_init(out, KW_DIRECTORY_SIZE_MAX);
	return kw_directory_pack(&world->directory, out);
}

static void test_ten_thousand_agencies_are_found_and_one_more_is_refused(void **state)
{
	struct world *world = *state;
	struct kw_buf bytes;
	struct kw_directory *got = NULL;
	struct kw_directory_entry *all = world->directory.entries;
	world->directory.count = KW_DIRECTORY_AGENCIES_MAX;
	assert_int_equal(pack(world, &bytes), KW_OK);
	assert_int_equal(kw_directory_read(kw_buf_view(&bytes), &got), KW_OK);
	assert_int_equal(got->count, KW_DIRECTORY_AGENCIES_MAX);
	for (size_t i = 0; i < got->count; i++) {
		const struct kw_directory_entry *found = kw_directory_find(got, &all[i].agency);
		assert_non_null(found);
		assert_memory_equal(found, &all[i], sizeof(*found));
	}
	assert_null(kw_directory_find(got, &all[KW_DIRECTORY_AGENCIES_MAX].agency));
	kw_directory_free(got);
	kw_buf_fini(&bytes);
	world->directory.count = KW_DIRECTORY_AGENCIES_MAX + 1;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	assert_int_equal(bytes.size, 0);
	kw_buf_fini(&bytes);
}

static void test_counts_out_of_range_are_not_signed(void **state)
{
	struct world *world = *state;
	struct kw_buf bytes;
	struct kw_directory_entry *entry = &world->directory.entries[0];
	world->directory.count = 1;
	entry->sealing_keys_count = 0;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	entry->sealing_keys_count = KW_DIRECTORY_SEALING_KEYS_MAX + 1;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	entry->sealing_keys_count = 1;
	entry->sealing_keys[0].suites_count = 0;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	entry->sealing_keys[0].suites_count = 1;
	world->directory.version = 0;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
	world->directory.version = 1;
	world->directory.expires_unix_ms = 0;
	assert_int_equal(pack(world, &bytes), KW_EFIELD);
}

static void test_a_key_id_of_another_key_is_refused(void **state)
{
	struct world *world = *state;
	struct kw_buf bytes;
	struct kw_directory *got = NULL;
	world->directory.count = 1;
	world->directory.entries[0].sealing_keys[0].key_id[0] ^= 1;
	assert_int_equal(pack(world, &bytes), KW_OK);
	assert_int_equal(kw_directory_read(kw_buf_view(&bytes), &got), KW_EFIELD);
	kw_buf_fini(&bytes);
}

static void test_an_enrolment_reply_comes_back_whole(void **state)
{
	struct world *world = *state;
	struct kw_enrol_reply reply = {.hub = world->directory.hub, .agency = world->directory.entries[0].agency,
		.certificates = {kw_view_str("leaf"), kw_view_str("issuer")}, .certificates_count = 2};
	struct kw_enrol_reply got;
	struct kw_buf bytes;
	kw_buf_init(&bytes, 4096);
	assert_int_equal(kw_enrol_reply_add(&bytes, &reply), KW_OK);
	assert_int_equal(kw_enrol_reply_parse(kw_buf_view(&bytes), &got), KW_OK);
	assert_true(kw_name_equal(&got.agency, &reply.agency) && kw_name_equal(&got.hub, &reply.hub));
	assert_int_equal(got.certificates_count, 2);
	assert_true(kw_view_equal(got.certificates[1], reply.certificates[1]));
	size_t whole = bytes.size;
	size_t last = whole - (sizeof("issuer") - 1 + 2);
	for (size_t size = 0; size < whole; size++)
		assert_int_equal(kw_enrol_reply_parse(KW_VIEW(bytes.data, size), &got) == KW_OK, size == last);
	reply.certificates_count = KW_ENROL_CERTIFICATES_MAX + 1;
	assert_int_equal(kw_enrol_reply_add(&bytes, &reply), KW_EFIELD);
	kw_buf_fini(&bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ten_thousand_agencies_are_found_and_one_more_is_refused),
		CASE(test_counts_out_of_range_are_not_signed),
		CASE(test_a_key_id_of_another_key_is_refused),
		CASE(test_an_enrolment_reply_comes_back_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
