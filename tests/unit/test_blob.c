/* proto/wire/blob.c, blob_pace.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/blob.h"
#include "proto/wire/blob_pace.h"
#include "proto/wire/merkle.h"

#define assert_ok(e) assert_int_equal(e, KW_OK)

static const uint8_t KEY[KW_BLOB_KEY_SIZE] = {1, 2, 3, 4};

/* A whole sealed blob in memory. */
struct sealed {
	struct kw_blob_what what;
	struct kw_blob_keys keys;
	uint32_t chunks;
	uint8_t *plain;
	uint8_t *bytes;
	struct kw_digest *nodes;
};

static struct kw_view chunk_of(const struct sealed *s, uint32_t index)
{
	return KW_VIEW(s->bytes + (size_t)index * KW_BLOB_SEALED_CHUNK_SIZE, kw_blob_chunk_size(s->what.size, index));
}

static void make(struct sealed *s, uint32_t size)
{
	s->what.size = kw_blob_padded_size(size);
	s->chunks = kw_blob_chunks(s->what.size);
	s->plain = calloc(1, s->what.size);
	s->bytes = malloc(kw_blob_sealed_size(s->what.size));
	s->nodes = calloc(kw_blob_tree_count(s->chunks), sizeof(*s->nodes));
	for (uint32_t i = 0; i < size; i++)
		s->plain[i] = (uint8_t)(i * 7 + i / 251);
	assert_ok(kw_blob_keys(KEY, &s->keys));
	s->what.commit = s->keys.commit;
	for (uint32_t i = 0; i < s->chunks; i++) {
		struct kw_view out = chunk_of(s, i);
		struct kw_view plain = KW_VIEW(s->plain + (size_t)i * KW_BLOB_CHUNK_SIZE, out.size - KW_AEAD_TAG_SIZE);
		assert_ok(kw_blob_seal(&s->keys, (struct kw_blob_place){s->what.size, i}, plain, (uint8_t *)(uintptr_t)out.data));
		assert_ok(kw_merkle_leaf(out, &s->nodes[i]));
	}
	assert_ok(kw_blob_tree_build(s->chunks, s->nodes));
	assert_ok(kw_blob_name(s->what.size, &s->what.commit, &s->nodes[kw_blob_tree_count(s->chunks) - 1], &s->what.digest));
}

static void drop(struct sealed *s)
{
	free(s->plain);
	free(s->bytes);
	free(s->nodes);
	kw_blob_keys_fini(&s->keys);
}

static struct kw_view path_of(const struct sealed *s, uint32_t index, uint8_t *space)
{
	uint32_t places[KW_BLOB_PATH_MAX];
	uint32_t count = kw_blob_tree_path(s->chunks, index, places);
	for (uint32_t i = 0; i < count; i++)
		memcpy(space + i * KW_DIGEST_SIZE, s->nodes[places[i]].bytes, KW_DIGEST_SIZE);
	return KW_VIEW(space, count * KW_DIGEST_SIZE);
}

static enum kw_err check(const struct sealed *s, uint32_t index, struct kw_view bytes)
{
	uint8_t space[KW_BLOB_PATH_SIZE_MAX];
	struct kw_digest leaf;
	return kw_blob_check(&s->what, index, bytes, path_of(s, index, space), &leaf);
}

static void test_every_chunk_proves_itself_and_opens(void **state)
{
	(void)state;
	/* One chunk, two, an odd tree, a full level, one more than it; the last chunk short and full. */
	static const uint32_t SIZES[] = {0, 1, 512, 16384, 16385, 16384 * 3, 16384 * 7 + 5, 16384 * 8, 16384 * 9, 700000};
	for (size_t k = 0; k < sizeof(SIZES) / sizeof(SIZES[0]); k++) {
		struct sealed s;
		uint8_t plain[KW_BLOB_CHUNK_SIZE];
		make(&s, SIZES[k]);
		for (uint32_t i = 0; i < s.chunks; i++) {
			struct kw_view bytes = chunk_of(&s, i);
			assert_ok(check(&s, i, bytes));
			assert_ok(kw_blob_open(&s.keys, (struct kw_blob_place){s.what.size, i}, bytes, plain));
			assert_memory_equal(plain, s.plain + (size_t)i * KW_BLOB_CHUNK_SIZE, bytes.size - KW_AEAD_TAG_SIZE);
		}
		drop(&s);
	}
}

static void test_flipped_bytes_are_refused(void **state)
{
	(void)state;
	struct sealed s;
	uint8_t plain[KW_BLOB_CHUNK_SIZE];
	make(&s, 16384 * 5 + 100);
	for (uint32_t i = 0; i < s.chunks; i++) {
		struct kw_view bytes = chunk_of(&s, i);
		const size_t at[] = {0, bytes.size / 2, bytes.size - 1};
		for (int k = 0; k < 3; k++) {
			uint8_t *byte = s.bytes + (bytes.data - s.bytes) + at[k];
			*byte ^= 0x10;
			assert_int_equal(check(&s, i, bytes), KW_EAUTH);
			assert_int_equal(kw_blob_open(&s.keys, (struct kw_blob_place){s.what.size, i}, bytes, plain), KW_EOPEN);
			*byte ^= 0x10;
		}
	}
	/* A path that leads elsewhere, and one too short. */
	uint8_t space[KW_BLOB_PATH_SIZE_MAX];
	struct kw_view path = path_of(&s, 2, space);
	struct kw_digest leaf;
	space[40] ^= 1;
	assert_int_equal(kw_blob_check(&s.what, 2, chunk_of(&s, 2), path, &leaf), KW_EAUTH);
	space[40] ^= 1;
	assert_ok(kw_blob_check(&s.what, 2, chunk_of(&s, 2), path, &leaf));
	path.size -= KW_DIGEST_SIZE;
	assert_int_equal(kw_blob_check(&s.what, 2, chunk_of(&s, 2), path, &leaf), KW_EAUTH);
	drop(&s);
}

static void test_a_cut_a_reorder_an_extension_are_refused(void **state)
{
	(void)state;
	struct sealed s, longer;
	uint8_t plain[KW_BLOB_CHUNK_SIZE];
	make(&s, 16384 * 4);
	make(&longer, 16384 * 8);
	struct kw_blob_place place = {s.what.size, 0};
	/* Reorder: every chunk in every other's place. */
	for (uint32_t i = 0; i < s.chunks; i++)
		for (uint32_t k = 0; k < s.chunks; k++) {
			if (i == k)
				continue;
			place.index = k;
			assert_int_equal(check(&s, k, chunk_of(&s, i)), KW_EAUTH);
			assert_int_equal(kw_blob_open(&s.keys, place, chunk_of(&s, i), plain), KW_EOPEN);
		}
	/* Cut: the first four chunks of eight are no blob of four, though the key is the same. */
	place.index = 3;
	assert_int_equal(check(&s, 3, chunk_of(&longer, 3)), KW_EAUTH);
	assert_int_equal(kw_blob_open(&s.keys, place, chunk_of(&longer, 3), plain), KW_EOPEN);
	/* Extension: the last chunk of four does not go on, and there is no fifth. */
	assert_int_equal(kw_blob_open(&s.keys, (struct kw_blob_place){longer.what.size, 3}, chunk_of(&s, 3), plain), KW_EOPEN);
	place.index = 4;
	assert_int_equal(kw_blob_open(&s.keys, place, chunk_of(&s, 3), plain), KW_EOPEN);
	assert_int_equal(check(&s, 3, KW_VIEW(chunk_of(&s, 3).data, 100)), KW_EAUTH);
	/* The same chunks under another size or commitment have another name. */
	struct kw_blob_what other = s.what;
	struct kw_digest leaf;
	uint8_t space[KW_BLOB_PATH_SIZE_MAX];
	other.commit.bytes[5] ^= 1;
	assert_int_equal(kw_blob_check(&other, 0, chunk_of(&s, 0), path_of(&s, 0, space), &leaf), KW_EAUTH);
	drop(&s);
	drop(&longer);
}

static void test_another_key_has_another_name_and_opens_nothing(void **state)
{
	(void)state;
	struct sealed s;
	struct kw_blob_keys other;
	uint8_t key[KW_BLOB_KEY_SIZE] = {1, 2, 3, 5};
	uint8_t plain[KW_BLOB_CHUNK_SIZE];
	make(&s, 100);
	assert_ok(kw_blob_keys(key, &other));
	assert_memory_not_equal(other.commit.bytes, s.keys.commit.bytes, KW_DIGEST_SIZE);
	assert_int_equal(kw_blob_open(&other, (struct kw_blob_place){s.what.size, 0}, chunk_of(&s, 0), plain), KW_EOPEN);
	drop(&s);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(kw_blob_padded_size(0), 512);
	assert_int_equal(kw_blob_padded_size(512), 512);
	assert_int_equal(kw_blob_padded_size(513), 1024);
	assert_int_equal(kw_blob_padded_size(4096), 4096);
	assert_int_equal(kw_blob_padded_size(KW_BLOB_SIZE_MAX), KW_BLOB_SIZE_MAX);
	assert_int_equal(kw_blob_padded_size(KW_BLOB_SIZE_MAX - 1), KW_BLOB_SIZE_MAX);
	assert_int_equal(kw_blob_chunks(KW_BLOB_SIZE_MAX), KW_BLOB_CHUNKS_MAX);
	assert_true(kw_blob_size_ok(KW_BLOB_SIZE_MAX));
	assert_false(kw_blob_size_ok(KW_BLOB_SIZE_MAX + 1ull));
	assert_false(kw_blob_size_ok(0));
	assert_false(kw_blob_size_ok(16385));
	uint32_t sizes = 0;
	for (uint32_t size = 1; size <= KW_BLOB_SIZE_MAX - 4096; size += 4099) {
		uint32_t padded = kw_blob_padded_size(size);
		assert_true(padded >= size && kw_blob_size_ok(padded));
		assert_true(size < 4096 || padded - size <= size / 8);
		sizes += kw_blob_size_ok(size) ? 1 : 0;
	}
	assert_true(sizes < 2000); /* what a size tells: of 16,000 looked at, few are ever seen */
}

static void test_tree_is_that_of_rfc_9162(void **state)
{
	(void)state;
	/* MTH by its definition, for each number of leaves: split at the largest power of two below. */
	struct kw_digest leaves[33], nodes[80], stack[34];
	for (uint32_t i = 0; i < 33; i++)
		memset(leaves[i].bytes, (int)i + 1, KW_DIGEST_SIZE);
	for (uint32_t n = 1; n <= 33; n++) {
		/* Equivalent form: merge equal-sized neighbours as leaves come, then the rest from the right. */
		uint32_t depth[34], top = 0;
		for (uint32_t i = 0; i < n; i++) {
			stack[top] = leaves[i];
			depth[top++] = 0;
			while (top > 1 && depth[top - 1] == depth[top - 2]) {
				assert_ok(kw_merkle_node(&stack[top - 2], &stack[top - 1], &stack[top - 2]));
				depth[--top - 1]++;
			}
		}
		while (top > 1) {
			assert_ok(kw_merkle_node(&stack[top - 2], &stack[top - 1], &stack[top - 2]));
			top--;
		}
		memcpy(nodes, leaves, n * sizeof(leaves[0]));
		assert_ok(kw_blob_tree_build(n, nodes));
		assert_memory_equal(nodes[kw_blob_tree_count(n) - 1].bytes, stack[0].bytes, KW_DIGEST_SIZE);
	}
	assert_true(kw_blob_tree_count(KW_BLOB_CHUNKS_MAX) <= KW_BLOB_TREE_MAX);
}

/* A link of `rate` bytes a second and a round trip, whose queue a taker keeps filled by its own rule. Gives how long a
 * byte that is sent at the end waits behind what is under way. */
static uint64_t run_link(uint64_t rate, uint64_t round_ms, uint32_t seconds, uint64_t *carried)
{
	struct kw_blob_pace pace;
	uint64_t asked = 0, got = 0, free_at_us = 0;
	struct { uint64_t at_us; uint32_t bytes; } flight[4096];
	uint32_t head = 0, count = 0;
	uint64_t waits = 0;
	kw_blob_pace_begin(&pace);
	for (uint64_t now = 0; now < seconds * 1000ull; now++) {
		uint32_t size = kw_blob_pace_ask(&pace, (uint32_t)(asked - got), UINT32_MAX);
		if (size > 0) {
			uint32_t piece_max = kw_blob_pace_piece(size);
			kw_blob_pace_asked(&pace, asked == got, now);
			asked += size;
			uint64_t start = (now + round_ms / 2) * 1000;
			for (; size > 0 && count < 4096; count++) {
				uint32_t piece = size < piece_max ? size : piece_max;
				free_at_us = (free_at_us > start ? free_at_us : start) + piece * 1000000ull / rate;
				flight[(head + count) % 4096].at_us = free_at_us + round_ms * 500;
				flight[(head + count) % 4096].bytes = piece;
				size -= piece;
			}
			assert_int_equal(size, 0);
		}
		while (count > 0 && flight[head].at_us <= now * 1000) {
			got += flight[head].bytes;
			kw_blob_pace_got(&pace, flight[head].bytes, now);
			head = (head + 1) % 4096;
			count--;
		}
		uint64_t wait = free_at_us > now * 1000 ? free_at_us / 1000 - now : 0;
		if (now > 5000 && wait > waits)
			waits = wait;
	}
	*carried = got;
	return waits;
}

static void test_pace_fills_the_link_and_lets_others_pass(void **state)
{
	(void)state;
	static const struct { uint64_t rate, round_ms; } LINKS[] = {
		{4000, 800}, {16000, 600}, {64000, 100}, {250000, 600}, {250000, 0}, {1000000, 200}};
	for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]); i++) {
		uint64_t carried;
		uint64_t wait = run_link(LINKS[i].rate, LINKS[i].round_ms, 60, &carried);
		print_message("%u B/s, round trip %u ms: waits %u ms, filled %u%%\n", (unsigned)LINKS[i].rate,
			(unsigned)LINKS[i].round_ms, (unsigned)wait, (unsigned)(carried * 100 / LINKS[i].rate / 60));
		/* Half a second and what the round trip's own bytes take, and some on top. */
		assert_true(wait <= KW_BLOB_SLICE_MS + 2 * LINKS[i].round_ms + 100);
		assert_true(carried > LINKS[i].rate * 60 * 8 / 10);
	}
}

static void test_pace_stays_within_its_limits(void **state)
{
	(void)state;
	struct kw_blob_pace pace;
	kw_blob_pace_begin(&pace);
	kw_blob_pace_asked(&pace, true, 1000);
	kw_blob_pace_got(&pace, UINT32_MAX, 1000);
	assert_int_equal(pace.window, KW_BLOB_WINDOW_MAX);
	kw_blob_pace_asked(&pace, true, 2000);
	kw_blob_pace_got(&pace, 1, 900000000);
	assert_int_equal(pace.window, KW_BLOB_WINDOW_MIN);
	assert_int_equal(pace.round_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_chunk_proves_itself_and_opens),
		cmocka_unit_test(test_flipped_bytes_are_refused),
		cmocka_unit_test(test_a_cut_a_reorder_an_extension_are_refused),
		cmocka_unit_test(test_another_key_has_another_name_and_opens_nothing),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_tree_is_that_of_rfc_9162),
		cmocka_unit_test(test_pace_fills_the_link_and_lets_others_pass),
		cmocka_unit_test(test_pace_stays_within_its_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
