/* A directory on the wire: in pieces, and as what has changed. 10,000 agencies, and one more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/role_client.h"
#include "proto/wire/role_delta.h"
#include "proto/wire/role_frame.h"

#define NOW_MS INT64_C(1780000000000)
#define DAY_MS INT64_C(86400000)

struct world {
	struct kw_ed25519 registrar;
	struct kw_directory directory;
};

static void fill(struct kw_directory_entry *entry, size_t number)
{
	memset(entry, 0, sizeof(*entry));
	(void)snprintf(entry->agency.text, sizeof(entry->agency.text), "agency-%05zu", number);
	(void)snprintf((char *)entry->identity_key, sizeof(entry->identity_key), "identity %zu", number);
	struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
	memcpy(key->public_key, entry->agency.text, sizeof(key->public_key));
	key->suites[0] = 2;
	key->suites_count = 1;
	entry->sealing_keys_count = 1;
	assert_int_equal(kw_directory_key_id(key->public_key, key->key_id), KW_OK);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct kw_directory *directory = &world->directory;
	assert_int_equal(kw_ed25519_generate(&world->registrar), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &directory->hub), KW_OK);
	directory->version = 7;
	directory->signed_unix_ms = NOW_MS;
	directory->expires_unix_ms = NOW_MS + 90 * DAY_MS;
	directory->entries = calloc(KW_DIRECTORY_AGENCIES_MAX + 1, sizeof(*directory->entries));
	assert_non_null(directory->entries);
	for (size_t i = 0; i <= KW_DIRECTORY_AGENCIES_MAX; i++)
		fill(&directory->entries[i], i);
	directory->count = 100;
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

/* A SignedRole of the present directory; *signed_role points into it. */
static void sign(const struct world *world, struct kw_buf *out, struct kw_role_signed *signed_role)
{
	struct kw_buf payload;
	struct kw_role_signed role = {.count = 0};
	kw_buf_init(&payload, KW_DIRECTORY_SIZE_MAX);
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	assert_int_equal(kw_directory_pack(&world->directory, &payload), KW_OK);
	role.payload = kw_buf_view(&payload);
	assert_int_equal(kw_role_sign(&role, KW_ROLE_REGISTRAR, &world->registrar), KW_OK);
	assert_int_equal(kw_role_add(out, &role), KW_OK);
	kw_buf_fini(&payload);
	assert_int_equal(kw_role_parse(kw_buf_view(out), signed_role), KW_OK);
}

static struct kw_directory *read_back(const struct kw_buf *bytes)
{
	struct kw_role_signed role;
	struct kw_directory *out = NULL;
	assert_int_equal(kw_role_parse(kw_buf_view(bytes), &role), KW_OK);
	assert_int_equal(kw_directory_read(role.payload, &out), KW_OK);
	return out;
}

/* Cuts `whole` into frames and puts them together again; gives the number of frames. */
static uint32_t travel(struct kw_view whole, struct kw_role_inbox *inbox)
{
	struct kw_buf wire;
	uint32_t frames = 0;
	bool done = false;
	kw_buf_init(&wire, 2 * KW_ROLE_SIZE_MAX);
	for (uint32_t at = 0; at < whole.size; at += KW_ROLE_PART_SIZE_MAX) {
		size_t size = whole.size - at < KW_ROLE_PART_SIZE_MAX ? whole.size - at : KW_ROLE_PART_SIZE_MAX;
		const struct kw_role_part part = {.kind = KW_ROLE_KIND_DIRECTORY, .offset = at, .total = (uint32_t)whole.size,
			.bytes = KW_VIEW(whole.data + at, size)};
		assert_int_equal(kw_role_part_add(&wire, &part), KW_OK);
	}
	struct kw_view rest = kw_buf_view(&wire);
	while (rest.size > 0) {
		struct kw_frame frame;
		struct kw_role_part part;
		size_t used;
		assert_false(done);
		assert_int_equal(kw_frame_next(rest, KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
		assert_int_equal(frame.type, KW_FRAME_ROLE_PART);
		assert_int_equal(kw_role_part_parse(frame.body, &part), KW_OK);
		assert_int_equal(kw_role_inbox_take(inbox, &part, &done), KW_OK);
		rest = KW_VIEW(rest.data + used, rest.size - used);
		frames++;
	}
	assert_true(done);
	kw_buf_fini(&wire);
	return frames;
}

static void test_ten_thousand_agencies_travel_in_pieces(void **state)
{
	struct world *world = *state;
	struct kw_role_signed role;
	struct kw_role_inbox inbox;
	struct kw_buf bytes;
	kw_role_inbox_init(&inbox);
	world->directory.count = KW_DIRECTORY_AGENCIES_MAX;
	sign(world, &bytes, &role);
	assert_true(bytes.size > KW_FRAME_SIZE_MAX);
	uint32_t frames = travel(kw_buf_view(&bytes), &inbox);
	assert_int_equal(frames, (bytes.size + KW_ROLE_PART_SIZE_MAX - 1) / KW_ROLE_PART_SIZE_MAX);
	assert_true(kw_view_equal(kw_buf_view(&inbox.bytes), kw_buf_view(&bytes)));
	struct kw_directory *got = read_back(&inbox.bytes);
	assert_int_equal(got->count, KW_DIRECTORY_AGENCIES_MAX);
	print_message("10,000 agencies: %zu bytes in %u frames\n", bytes.size, frames);
	kw_directory_free(got);
	kw_role_inbox_fini(&inbox);
	kw_buf_fini(&bytes);
	world->directory.count = KW_DIRECTORY_AGENCIES_MAX + 1;
	kw_buf_init(&bytes, KW_DIRECTORY_SIZE_MAX);
	assert_int_equal(kw_directory_pack(&world->directory, &bytes), KW_EFIELD);
	kw_buf_fini(&bytes);
}

/* As many agencies, each with as many keys as it may have: the limits fit each other. */
static void test_the_largest_directory_can_be_signed(void **state)
{
	struct world *world = *state;
	struct kw_role_signed role;
	struct kw_buf bytes;
	world->directory.count = KW_DIRECTORY_AGENCIES_MAX;
	for (size_t i = 0; i < KW_DIRECTORY_AGENCIES_MAX; i++) {
		struct kw_directory_entry *entry = &world->directory.entries[i];
		for (size_t j = 0; j < KW_DIRECTORY_SEALING_KEYS_MAX; j++) {
			entry->sealing_keys[j] = entry->sealing_keys[0];
			entry->sealing_keys[j].suites_count = KW_DIRECTORY_SUITES_MAX;
			memset(entry->sealing_keys[j].suites, 1, KW_DIRECTORY_SUITES_MAX);
		}
		for (size_t j = 0; j < KW_DIRECTORY_HYBRID_KEYS_MAX; j++) {
			entry->hybrid_keys[j].suites_count = KW_DIRECTORY_SUITES_MAX;
			memset(entry->hybrid_keys[j].suites, 1, KW_DIRECTORY_SUITES_MAX);
		}
		entry->sealing_keys_count = KW_DIRECTORY_SEALING_KEYS_MAX;
		entry->hybrid_keys_count = KW_DIRECTORY_HYBRID_KEYS_MAX;
		memset(entry->agency.text, 'a', KW_NAME_SIZE_MAX);
		(void)snprintf(entry->agency.text + KW_NAME_SIZE_MAX - 5, 6, "%05zu", i);
	}
	sign(world, &bytes, &role);
	print_message("the largest directory: %zu bytes\n", bytes.size);
	kw_buf_fini(&bytes);
}

static void test_only_the_next_piece_fits(void **state)
{
	struct kw_role_inbox inbox;
	bool whole;
	(void)state;
	kw_role_inbox_init(&inbox);
	const struct kw_role_part first = {.kind = KW_ROLE_KIND_ROOT, .total = 6, .bytes = kw_view_str("abc")};
	const struct kw_role_part bad[] = {
		{.kind = KW_ROLE_KIND_ROOT, .total = 6, .offset = 2, .bytes = kw_view_str("cd")},      /* repeats */
		{.kind = KW_ROLE_KIND_ROOT, .total = 6, .offset = 4, .bytes = kw_view_str("ef")},      /* leaves out */
		{.kind = KW_ROLE_KIND_ROOT, .total = 7, .offset = 3, .bytes = kw_view_str("def")},     /* another size */
		{.kind = KW_ROLE_KIND_SNAPSHOT, .total = 6, .offset = 3, .bytes = kw_view_str("def")}, /* another kind */
	};
	const struct kw_role_part last = {.kind = KW_ROLE_KIND_ROOT, .total = 6, .offset = 3, .bytes = kw_view_str("def")};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(kw_role_inbox_take(&inbox, &first, &whole), KW_OK);
		assert_false(whole);
		assert_int_equal(kw_role_inbox_take(&inbox, &bad[i], &whole), KW_EPROTO);
		assert_int_equal(kw_role_inbox_take(&inbox, &last, &whole), KW_EPROTO); /* what was under way is gone */
	}
	assert_int_equal(kw_role_inbox_take(&inbox, &first, &whole), KW_OK);
	assert_int_equal(kw_role_inbox_take(&inbox, &first, &whole), KW_OK); /* begins anew */
	assert_int_equal(kw_role_inbox_take(&inbox, &last, &whole), KW_OK);
	assert_true(whole);
	assert_true(kw_view_equal(kw_buf_view(&inbox.bytes), kw_view_str("abcdef")));
	kw_role_inbox_fini(&inbox);
}

static void test_what_is_announced_has_limits(void **state)
{
	struct kw_buf out;
	(void)state;
	kw_buf_init(&out, KW_FRAME_SIZE_MAX);
	const struct kw_role_part good = {.kind = KW_ROLE_KIND_TIMESTAMP, .total = 8u << 10, .bytes = kw_view_str("x")};
	assert_int_equal(kw_role_part_add(&out, &good), KW_OK);
	out.size = 0;
	for (unsigned i = 0; i < 6; i++) {
		struct kw_role_part part = good;
		if (i == 0)
			part.total++; /* of its kind */
		else if (i == 1)
			part.total = 0;
		else if (i == 2)
			part.bytes.size = 0;
		else if (i == 3)
			part.offset = part.total;
		else if (i == 4)
			part.kind = (enum kw_role_kind)6;
		else
			part.offset = part.total - 1, part.bytes = kw_view_str("xy"); /* beyond the end */
		assert_int_equal(kw_role_part_add(&out, &part), KW_EFIELD);
		assert_int_equal(out.size, 0);
	}
	kw_buf_fini(&out);
}

static void test_the_question_comes_back(void **state)
{
	struct kw_roles_have have = {.root = 1, .timestamp = UINT64_MAX, .directory = 3};
	struct kw_roles_have got;
	struct kw_frame frame;
	struct kw_buf out;
	size_t used;
	(void)state;
	kw_buf_init(&out, 256);
	assert_int_equal(kw_roles_want_add(&out, &have), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&out), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(frame.type, KW_FRAME_ROLES_WANT);
	assert_int_equal(kw_roles_want_parse(frame.body, &got), KW_OK);
	assert_memory_equal(&got, &have, sizeof(got));
	kw_buf_fini(&out);
}

/* Changes one, removes two, adds two: the first and the last places among them. */
static void change(struct world *world, struct kw_name *names)
{
	struct kw_directory *directory = &world->directory;
	names[0] = directory->entries[50].agency;
	names[1] = directory->entries[0].agency;
	names[2] = directory->entries[99].agency;
	names[3] = directory->entries[100].agency;
	names[4] = names[0]; /* twice */
	directory->entries[50].revoked = true;
	directory->entries[0] = directory->entries[101]; /* pack sorts */
	names[5] = directory->entries[0].agency;
	directory->entries[99] = directory->entries[100];
	directory->version++;
	directory->signed_unix_ms += DAY_MS;
	directory->expires_unix_ms += DAY_MS;
}

static void test_what_changed_makes_the_same_bytes(void **state)
{
	struct world *world = *state;
	struct kw_name names[6];
	struct kw_role_signed role;
	struct kw_buf before;
	struct kw_buf after;
	struct kw_buf delta;
	struct kw_buf made;
	sign(world, &before, &role);
	struct kw_directory *have = read_back(&before);
	change(world, names);
	sign(world, &after, &role);
	struct kw_directory *now = read_back(&after);
	kw_buf_init(&delta, KW_ROLE_SIZE_MAX);
	kw_buf_init(&made, KW_ROLE_SIZE_MAX);
	const struct kw_role_delta what = {.directory = now, .role = &role, .from_version = 7, .names = names, .count = 6};
	assert_int_equal(kw_role_delta_add(&delta, &what), KW_OK);
	assert_true(delta.size < after.size / 10);
	assert_int_equal(kw_role_delta_apply(kw_buf_view(&delta), have, &made), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&made), kw_buf_view(&after)));
	/* From another version it would make something else. */
	have->version++;
	made.size = 0;
	assert_int_equal(kw_role_delta_apply(kw_buf_view(&delta), have, &made), KW_EVERSION);
	have->version--;
	for (size_t size = 0; size < delta.size; size++)
		assert_int_not_equal(kw_role_delta_apply(KW_VIEW(delta.data, size), have, &made), KW_OK);
	/* A flipped bit is refused, or makes other bytes, which have another digest. (Only a true may be written as another number
	 * than 1 and be read as the same.) */
	uint32_t same = 0;
	for (size_t i = 0; i < delta.size; i++) {
		delta.data[i] ^= 4;
		made.size = 0;
		if (kw_role_delta_apply(kw_buf_view(&delta), have, &made) == KW_OK)
			same += kw_view_equal(kw_buf_view(&made), kw_buf_view(&after));
		delta.data[i] ^= 4;
	}
	assert_int_equal(same, 1);
	kw_directory_free(have);
	kw_directory_free(now);
	kw_buf_fini(&before);
	kw_buf_fini(&after);
	kw_buf_fini(&delta);
	kw_buf_fini(&made);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ten_thousand_agencies_travel_in_pieces),
		CASE(test_the_largest_directory_can_be_signed),
		CASE(test_only_the_next_piece_fits),
		CASE(test_what_is_announced_has_limits),
		CASE(test_the_question_comes_back),
		CASE(test_what_changed_makes_the_same_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
