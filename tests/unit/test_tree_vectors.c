/* proto/wire/tree.h against all verdicts of transparency-dev/merkle, the good and the bad. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "proto/wire/tree.h"

#define PATH_MAX_COUNT 16u
#define BYTES_MAX 128u

/* Verdicts, by how the verifier answered. */
struct counts {
	int files;
	int accepted;
	int by_sizes;  /* KW_EFIELD */
	int by_form;   /* KW_EFORMAT */
	int by_root;   /* KW_EAUTH */
};

struct bytes {
	uint8_t data[BYTES_MAX];
	size_t size;
};

static struct kw_view decode(const json_t *value, struct bytes *out)
{
	const char *text = json_string_value(value);
	assert_non_null(text);
	size_t size = strlen(text);
	assert_true(size / 4 * 3 <= sizeof(out->data));
	int written = EVP_DecodeBlock(out->data, (const unsigned char *)text, (int)size);
	assert_true(written >= 0);
	/* The '=' at the end stand for bytes that are not there. */
	for (; size > 0 && text[size - 1] == '='; size--)
		written--;
	out->size = (size_t)written;
	return KW_VIEW(out->data, out->size);
}

struct path {
	struct bytes bytes[PATH_MAX_COUNT];
	struct kw_view views[PATH_MAX_COUNT];
	size_t count;
};

static void decode_path(const json_t *test, struct path *out)
{
	const json_t *proof = json_object_get(test, "proof"); /* null when empty */
	out->count = json_array_size(proof);
	assert_true(out->count <= PATH_MAX_COUNT);
	for (size_t i = 0; i < out->count; i++)
		out->views[i] = decode(json_array_get(proof, i), &out->bytes[i]);
}

static uint64_t number_of(const json_t *test, const char *name)
{
	const json_t *value = json_object_get(test, name);
	assert_true(json_is_real(value));
	double number = json_real_value(value);
	assert_true(number >= 0 && (number < 1000 || number > 1e19));
	return number < 1000 ? (uint64_t)number : UINT64_MAX;
}

static enum kw_err run_inclusion(const json_t *test)
{
	struct path path;
	struct bytes leaf;
	struct bytes root;
	decode_path(test, &path);
	struct kw_tree_inclusion claim = {
		.index = number_of(test, "leafIdx"),
		.size = number_of(test, "treeSize"),
		.leaf = decode(json_object_get(test, "leafHash"), &leaf),
		.root = decode(json_object_get(test, "root"), &root),
		.path = path.views,
		.path_count = path.count,
	};
	return kw_tree_verify_inclusion(&claim);
}

static enum kw_err run_consistency(const json_t *test)
{
	struct path path;
	struct bytes old;
	struct bytes root;
	decode_path(test, &path);
	struct kw_tree_consistency claim = {
		.size_old = number_of(test, "size1"),
		.size = number_of(test, "size2"),
		.root_old = decode(json_object_get(test, "root1"), &old),
		.root = decode(json_object_get(test, "root2"), &root),
		.path = path.views,
		.path_count = path.count,
	};
	return kw_tree_verify_consistency(&claim);
}

static void count(enum kw_err err, struct counts *counts)
{
	counts->files++;
	counts->accepted += err == KW_OK;
	counts->by_sizes += err == KW_EFIELD;
	counts->by_form += err == KW_EFORMAT;
	counts->by_root += err == KW_EAUTH;
}

static struct counts run_folder(const char *folder, enum kw_err (*run)(const json_t *test))
{
	struct counts counts = {0};
	const char *name;
	json_t *test;
	/* As real numbers, because one is 2^64 - 1; the others are below 20. */
	json_t *all = json_load_file(KW_TEST_DATA_DIR "/crypto/merkle-rfc6962-transparency-dev.json",
		JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(all);
	json_object_foreach(all, name, test) {
		if (strncmp(name, folder, strlen(folder)) != 0)
			continue;
		enum kw_err err = run(test);
		bool refuse = json_is_true(json_object_get(test, "wantErr"));
		if ((err != KW_OK) != refuse)
			fail_msg("%s: %s", name, kw_err_name(err));
		printf("%s: %s\n", name, kw_err_name(err));
		count(err, &counts);
	}
	json_decref(all);
	printf("merkle-rfc6962-transparency-dev.json, %s: %d verdicts, %d accepted, %d refused (%d by sizes, %d by form, "
		"%d by root)\n", folder, counts.files, counts.accepted, counts.by_sizes + counts.by_form + counts.by_root,
		counts.by_sizes, counts.by_form, counts.by_root);
	assert_int_equal(counts.files, counts.accepted + counts.by_sizes + counts.by_form + counts.by_root);
	return counts;
}

static void test_tree_gives_every_inclusion_verdict(void **state)
{
	(void)state;
	struct counts counts = run_folder("testdata/inclusion/", run_inclusion);
	assert_int_equal(counts.files, 98);
	assert_int_equal(counts.accepted, 6);
	assert_int_equal(counts.by_sizes, 17);
	assert_int_equal(counts.by_form, 46);
	assert_int_equal(counts.by_root, 29);
}

static void test_tree_gives_every_consistency_verdict(void **state)
{
	(void)state;
	struct counts counts = run_folder("testdata/consistency/", run_consistency);
	assert_int_equal(counts.files, 98);
	assert_int_equal(counts.accepted, 6);
	assert_int_equal(counts.by_sizes, 13);
	assert_int_equal(counts.by_form, 62);
	assert_int_equal(counts.by_root, 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_gives_every_inclusion_verdict),
		cmocka_unit_test(test_tree_gives_every_consistency_verdict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
