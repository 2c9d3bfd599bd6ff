/* tests/golden/blobs.txt: sealed attachments chunk by chunk, each with its path; made anew and compared, checked and opened.
 * tests/decoder opens the same file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/blob.h"
#include "proto/wire/merkle.h"
#include "tests/kit/golden.h"

#define FILE_NAME "blobs.txt"
#define SIZE_MAX_HERE 65536u

struct world {
	struct kit_golden text;
	struct kw_blob_what what;
	struct kw_blob_keys keys;
	uint32_t index;
	struct kw_view chunk; /* what a path is flipped beside */
	struct kw_view path;
	uint8_t plain[SIZE_MAX_HERE];
	uint8_t sealed[SIZE_MAX_HERE + 64];
	struct kw_digest nodes[16];
	uint8_t space[KW_BLOB_PATH_SIZE_MAX];
};

static struct kw_view chunk_of(const struct world *w, uint32_t index)
{
	return KW_VIEW(w->sealed + (size_t)index * KW_BLOB_SEALED_CHUNK_SIZE, kw_blob_chunk_size(w->what.size, index));
}

static void seal(struct world *w, uint32_t size, uint8_t *key)
{
	w->what.size = kw_blob_padded_size(size);
	uint32_t chunks = kw_blob_chunks(w->what.size);
	memset(w->plain, 0, sizeof(w->plain));
	for (uint32_t i = 0; i < size; i++)
		w->plain[i] = (uint8_t)(i * 7 + i / 251);
	memset(key, (int)(size & 0x7f), KW_BLOB_KEY_SIZE);
	assert_int_equal(kw_blob_keys(key, &w->keys), KW_OK);
	w->what.commit = w->keys.commit;
	for (uint32_t i = 0; i < chunks; i++) {
		struct kw_view out = chunk_of(w, i);
		struct kw_view plain = KW_VIEW(w->plain + (size_t)i * KW_BLOB_CHUNK_SIZE, out.size - KW_AEAD_TAG_SIZE);
		uint8_t *to = w->sealed + (size_t)i * KW_BLOB_SEALED_CHUNK_SIZE;
		assert_int_equal(kw_blob_seal(&w->keys, (struct kw_blob_place){w->what.size, i}, plain, to), KW_OK);
		assert_int_equal(kw_merkle_leaf(out, &w->nodes[i]), KW_OK);
	}
	assert_int_equal(kw_blob_tree_build(chunks, w->nodes), KW_OK);
	const struct kw_digest *root = &w->nodes[kw_blob_tree_count(chunks) - 1];
	assert_int_equal(kw_blob_name(w->what.size, &w->what.commit, root, &w->what.digest), KW_OK);
}

static const char *flip_chunk(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_digest leaf;
	return kw_blob_check(&w->what, w->index, bytes, w->path, &leaf) == KW_OK ? "ok" : "not_authentic";
}

static const char *flip_path(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_digest leaf;
	return kw_blob_check(&w->what, w->index, w->chunk, bytes, &leaf) == KW_OK ? "ok" : "not_authentic";
}

static void tell_chunk(struct world *w, uint32_t index)
{
	uint32_t places[KW_BLOB_PATH_MAX];
	uint32_t count = kw_blob_tree_path(kw_blob_chunks(w->what.size), index, places);
	uint8_t plain[KW_BLOB_CHUNK_SIZE];
	for (uint32_t i = 0; i < count; i++)
		memcpy(w->space + (size_t)i * KW_DIGEST_SIZE, w->nodes[places[i]].bytes, KW_DIGEST_SIZE);
	w->index = index;
	w->chunk = chunk_of(w, index);
	w->path = KW_VIEW(w->space, (size_t)count * KW_DIGEST_SIZE);
	assert_string_equal(flip_chunk(w, w->chunk), "ok");
	assert_int_equal(kw_blob_open(&w->keys, (struct kw_blob_place){w->what.size, index}, w->chunk, plain), KW_OK);
	assert_memory_equal(plain, w->plain + (size_t)index * KW_BLOB_CHUNK_SIZE, w->chunk.size - KW_AEAD_TAG_SIZE);
	fprintf(w->text.file, "chunk %u", index);
	kit_golden_hex(&w->text, w->chunk);
	kit_golden_hex(&w->text, w->path);
	fputs("\nflips chunk 101", w->text.file);
	kit_golden_flips(&w->text, w->chunk, 101, flip_chunk, w);
	if (count > 0) {
		fputs("\nflips path 1", w->text.file);
		kit_golden_flips(&w->text, w->path, 1, flip_path, w);
	}
	fputc('\n', w->text.file);
}

static void test_blobs_are_frozen(void **state)
{
	static const uint32_t SIZES[] = {1, 600, 16384, 16385, 33000};
	struct world *w = calloc(1, sizeof(*w));
	(void)state;
	assert_non_null(w);
	kit_golden_begin(&w->text);
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
		uint8_t key[KW_BLOB_KEY_SIZE];
		struct kw_digest file;
		seal(w, SIZES[i], key);
		struct kw_view whole = KW_VIEW(w->plain, SIZES[i]);
		assert_int_equal(kw_sha256(&whole, 1, &file), KW_OK);
		fprintf(w->text.file, "blob %u %u", SIZES[i], w->what.size);
		kit_golden_hex(&w->text, KW_VIEW_OF(key));
		kit_golden_hex(&w->text, KW_VIEW_OF(w->what.commit.bytes));
		kit_golden_hex(&w->text, KW_VIEW_OF(w->what.digest.bytes));
		kit_golden_hex(&w->text, KW_VIEW_OF(file.bytes));
		fputc('\n', w->text.file);
		for (uint32_t index = 0; index < kw_blob_chunks(w->what.size); index++)
			tell_chunk(w, index);
		kw_blob_keys_fini(&w->keys);
	}
	kit_golden_end(&w->text, FILE_NAME);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blobs_are_frozen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
