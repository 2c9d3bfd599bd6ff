/* proto/wire/tree.h against a naive tree: the definitions of RFC 9162 §2.1 word by word, over lists of leaves. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"
#include "proto/wire/tree.h"
#include "tests/kit/prng.h"

#define SIZE_MAX_TESTED 130u
#define LEVELS 9u

/* What a store keeps: every complete node, and how often it was written. */
struct nodes {
	struct kw_digest hash[LEVELS][SIZE_MAX_TESTED + 1];
	int puts[LEVELS][SIZE_MAX_TESTED + 1];
	uint64_t gets;
	bool fail;
};

static struct nodes nodes;
static struct kw_digest leaves[SIZE_MAX_TESTED];

static enum kw_err put(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct nodes *to = user;
	assert_true(level < LEVELS && index <= SIZE_MAX_TESTED);
	if (to->fail)
		return KW_ENOSPACE;
	to->hash[level][index] = *hash;
	to->puts[level][index]++;
	return KW_OK;
}

static enum kw_err get(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct nodes *from = user;
	assert_true(level < LEVELS && index <= SIZE_MAX_TESTED);
	assert_int_equal(from->puts[level][index], 1); /* only complete nodes are asked for */
	if (from->fail)
		return KW_EIO;
	from->gets++;
	*out = from->hash[level][index];
	return KW_OK;
}

static const struct kw_tree_sink SINK = {put, &nodes};
static const struct kw_tree_source SOURCE = {get, &nodes};

/* The largest power of two below n. */
static uint64_t split_of(uint64_t n)
{
	uint64_t k = 1;
	while (2 * k < n)
		k *= 2;
	return k;
}

/* MTH */
static struct kw_digest naive_root(const struct kw_digest *d, uint64_t n)
{
	struct kw_digest out;
	if (n == 0) {
		assert_int_equal(kw_sha256(NULL, 0, &out), KW_OK);
		return out;
	}
	if (n == 1)
		return d[0];
	uint64_t k = split_of(n);
	struct kw_digest left = naive_root(d, k);
	struct kw_digest right = naive_root(d + k, n - k);
	assert_int_equal(kw_merkle_node(&left, &right, &out), KW_OK);
	return out;
}

static void add(struct kw_tree_proof *proof, struct kw_digest hash)
{
	assert_true(proof->count < KW_TREE_PROOF_MAX);
	proof->hashes[proof->count++] = hash;
}

/* PATH(m, D[n]) */
static void naive_path(uint64_t m, const struct kw_digest *d, uint64_t n, struct kw_tree_proof *out)
{
	if (n == 1)
		return;
	uint64_t k = split_of(n);
	if (m < k) {
		naive_path(m, d, k, out);
		add(out, naive_root(d + k, n - k));
	} else {
		naive_path(m - k, d + k, n - k, out);
		add(out, naive_root(d, k));
	}
}

/* SUBPROOF(m, D[n], b) */
static void naive_subproof(uint64_t m, const struct kw_digest *d, uint64_t n, bool b, struct kw_tree_proof *out)
{
	if (m == n) {
		if (!b)
			add(out, naive_root(d, n));
		return;
	}
	uint64_t k = split_of(n);
	if (m <= k) {
		naive_subproof(m, d, k, b, out);
		add(out, naive_root(d + k, n - k));
	} else {
		naive_subproof(m - k, d + k, n - k, false, out);
		add(out, naive_root(d, k));
	}
}

static void check_same(const struct kw_tree_proof *a, const struct kw_tree_proof *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_memory_equal(a->hashes[i].bytes, b->hashes[i].bytes, KW_DIGEST_SIZE);
}

/* A proof as views, with room for one too many. */
struct path {
	struct kw_view views[KW_TREE_PROOF_MAX + 1];
	size_t count;
};

static struct path path_of(const struct kw_tree_proof *proof)
{
	struct path path = {.count = proof->count};
	for (size_t i = 0; i < proof->count; i++)
		path.views[i] = KW_VIEW_OF(proof->hashes[i].bytes);
	path.views[proof->count] = KW_VIEW_OF(leaves[0].bytes);
	return path;
}

static int grow(void **state)
{
	(void)state;
	struct kw_tree tree = {0};
	memset(&nodes, 0, sizeof(nodes));
	for (uint32_t i = 0; i < SIZE_MAX_TESTED; i++) {
		uint8_t data[4];
		kw_put_u32(data, i);
		assert_int_equal(kw_merkle_leaf(KW_VIEW_OF(data), &leaves[i]), KW_OK);
		assert_int_equal(kw_tree_append(&tree, &leaves[i], &SINK), KW_OK);
	}
	return 0;
}

static void test_tree_root_is_the_naive_one_at_every_size(void **state)
{
	(void)state;
	struct kw_tree tree = {0};
	for (uint64_t size = 0; size <= SIZE_MAX_TESTED; size++) {
		struct kw_digest root;
		struct kw_digest expected = naive_root(leaves, size);
		struct kw_tree loaded;
		assert_int_equal(kw_tree_root(&tree, &root), KW_OK);
		assert_memory_equal(root.bytes, expected.bytes, KW_DIGEST_SIZE);
		/* The same from the store, and it goes on from there. */
		assert_int_equal(kw_tree_load(&SOURCE, size, &loaded), KW_OK);
		assert_int_equal(loaded.size, size);
		assert_int_equal(kw_tree_root(&loaded, &root), KW_OK);
		assert_memory_equal(root.bytes, expected.bytes, KW_DIGEST_SIZE);
		if (size == SIZE_MAX_TESTED)
			break;
		assert_int_equal(kw_tree_append(&loaded, &leaves[size], NULL), KW_OK);
		tree = loaded;
	}
}

static void test_tree_writes_each_complete_node_once(void **state)
{
	(void)state;
	for (uint32_t level = 0; level < LEVELS; level++)
		for (uint64_t i = 0; i <= SIZE_MAX_TESTED; i++)
			assert_int_equal(nodes.puts[level][i], i < SIZE_MAX_TESTED >> level ? 1 : 0);
}

static void check_inclusion(uint64_t index, uint64_t size, const struct kw_digest *root)
{
	struct kw_tree_proof proof;
	struct kw_tree_proof expected = {.count = 0};
	naive_path(index, leaves, size, &expected);
	assert_int_equal(kw_tree_prove_inclusion(&SOURCE, index, size, &proof), KW_OK);
	check_same(&proof, &expected);
	struct path path = path_of(&proof);
	struct kw_tree_inclusion claim = {index, size, KW_VIEW_OF(leaves[index].bytes), KW_VIEW_OF(root->bytes), path.views,
		path.count};
	assert_int_equal(kw_tree_verify_inclusion(&claim), KW_OK);
	for (uint64_t other = 0; other < size; other++) {
		if (other == index)
			continue;
		claim.index = other;
		enum kw_err err = kw_tree_verify_inclusion(&claim);
		assert_true(err == KW_EAUTH || err == KW_EFORMAT);
	}
	claim.index = index;
	claim.path_count = path.count + 1;
	assert_int_equal(kw_tree_verify_inclusion(&claim), KW_EFORMAT);
	if (path.count == 0)
		return;
	claim.path_count = path.count - 1;
	assert_int_equal(kw_tree_verify_inclusion(&claim), KW_EFORMAT);
	claim.path_count = path.count;
	proof.hashes[(index + size) % path.count].bytes[index % KW_DIGEST_SIZE] ^= 1;
	assert_int_equal(kw_tree_verify_inclusion(&claim), KW_EAUTH);
}

static void test_tree_proves_inclusion_at_every_size(void **state)
{
	(void)state;
	for (uint64_t size = 1; size <= SIZE_MAX_TESTED; size++) {
		struct kw_digest root = naive_root(leaves, size);
		for (uint64_t index = 0; index < size; index++)
			check_inclusion(index, size, &root);
	}
}

static void check_consistency(uint64_t old, uint64_t size, const struct kw_digest roots[SIZE_MAX_TESTED + 1])
{
	struct kw_tree_proof proof;
	struct kw_tree_proof expected = {.count = 0};
	naive_subproof(old, leaves, size, true, &expected);
	assert_int_equal(kw_tree_prove_consistency(&SOURCE, old, size, &proof), KW_OK);
	check_same(&proof, &expected);
	struct path path = path_of(&proof);
	struct kw_tree_consistency claim = {old, size, KW_VIEW_OF(roots[old].bytes), KW_VIEW_OF(roots[size].bytes),
		path.views, path.count};
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_OK);
	/* A forked log: another tree of either size. */
	claim.root_old = KW_VIEW_OF(roots[old - 1].bytes);
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_EAUTH);
	claim.root_old = KW_VIEW_OF(roots[old].bytes);
	claim.root = KW_VIEW_OF(roots[size - 1].bytes);
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_EAUTH);
	claim.root = KW_VIEW_OF(roots[size].bytes);
	claim.path_count = path.count + 1;
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_EFORMAT);
	claim.path_count = path.count;
	if (path.count == 0)
		return;
	path.views[(old + size) % path.count].size--;
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_EFORMAT);
	path.views[(old + size) % path.count].size++;
	proof.hashes[(old + size) % path.count].bytes[old % KW_DIGEST_SIZE] ^= 0x80;
	assert_int_equal(kw_tree_verify_consistency(&claim), KW_EAUTH);
}

static void test_tree_proves_consistency_of_every_two_sizes(void **state)
{
	(void)state;
	static struct kw_digest roots[SIZE_MAX_TESTED + 1];
	for (uint64_t size = 0; size <= SIZE_MAX_TESTED; size++)
		roots[size] = naive_root(leaves, size);
	for (uint64_t size = 1; size <= SIZE_MAX_TESTED; size++)
		for (uint64_t old = 1; old <= size; old++)
			check_consistency(old, size, roots);
}

static void test_tree_refuses_sizes_that_can_belong_to_no_proof(void **state)
{
	(void)state;
	struct kw_tree_proof proof;
	struct kw_tree tree;
	struct kw_view root = KW_VIEW_OF(leaves[0].bytes);
	const uint64_t max = KW_TREE_SIZE_MAX;
	const uint64_t inclusions[][2] = {{0, 0}, {1, 1}, {7, 7}, {UINT64_MAX, 1}, {0, max + 1}, {UINT64_MAX, UINT64_MAX}};
	const uint64_t consistencies[][2] = {{0, 0}, {0, 1}, {2, 1}, {1, max + 1}, {max + 1, max + 1}, {1, UINT64_MAX}};
	for (size_t i = 0; i < 6; i++) {
		struct kw_tree_inclusion inclusion = {inclusions[i][0], inclusions[i][1], root, root, NULL, 0};
		struct kw_tree_consistency consistency = {consistencies[i][0], consistencies[i][1], root, root, NULL, 0};
		assert_int_equal(kw_tree_verify_inclusion(&inclusion), KW_EFIELD);
		assert_int_equal(kw_tree_verify_consistency(&consistency), KW_EFIELD);
		assert_int_equal(kw_tree_prove_inclusion(&SOURCE, inclusions[i][0], inclusions[i][1], &proof), KW_EFIELD);
		assert_int_equal(kw_tree_prove_consistency(&SOURCE, consistencies[i][0], consistencies[i][1], &proof),
			KW_EFIELD);
	}
	assert_int_equal(kw_tree_load(&SOURCE, max + 1, &tree), KW_EFIELD);
}

/* A tree of equal leaves: a complete node depends on its level alone, so a tree of 2^62 leaves costs nothing. */
static struct kw_digest equal_nodes[KW_TREE_LEVELS_MAX];

static enum kw_err get_equal(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	assert_true(level < KW_TREE_LEVELS_MAX);
	assert_true(index < KW_TREE_SIZE_MAX >> level);
	++*(uint64_t *)user;
	*out = equal_nodes[level];
	return KW_OK;
}

static void check_huge(uint64_t index, uint64_t old, uint64_t size)
{
	uint64_t gets = 0;
	struct kw_tree_source source = {get_equal, &gets};
	struct kw_tree_proof proof;
	struct kw_tree tree;
	struct kw_digest root;
	struct kw_digest root_old;
	assert_int_equal(kw_tree_load(&source, size, &tree), KW_OK);
	assert_int_equal(kw_tree_root(&tree, &root), KW_OK);
	assert_int_equal(kw_tree_load(&source, old, &tree), KW_OK);
	assert_int_equal(kw_tree_root(&tree, &root_old), KW_OK);
	gets = 0;
	assert_int_equal(kw_tree_prove_inclusion(&source, index, size, &proof), KW_OK);
	assert_true(gets <= 2 * KW_TREE_LEVELS_MAX);
	struct path path = path_of(&proof);
	struct kw_tree_inclusion inclusion = {index, size, KW_VIEW_OF(equal_nodes[0].bytes), KW_VIEW_OF(root.bytes),
		path.views, path.count};
	assert_int_equal(kw_tree_verify_inclusion(&inclusion), KW_OK);
	inclusion.leaf = KW_VIEW_OF(equal_nodes[1].bytes);
	assert_int_equal(kw_tree_verify_inclusion(&inclusion), KW_EAUTH);
	assert_int_equal(kw_tree_prove_consistency(&source, old, size, &proof), KW_OK);
	path = path_of(&proof);
	struct kw_tree_consistency consistency = {old, size, KW_VIEW_OF(root_old.bytes), KW_VIEW_OF(root.bytes), path.views,
		path.count};
	assert_int_equal(kw_tree_verify_consistency(&consistency), KW_OK);
}

static void test_tree_holds_at_its_largest_size(void **state)
{
	(void)state;
	struct prng prng = {.state = 62};
	uint64_t gets = 0;
	struct kw_tree_source source = {get_equal, &gets};
	struct kw_tree tree;
	equal_nodes[0] = leaves[0];
	for (uint32_t level = 1; level < KW_TREE_LEVELS_MAX; level++)
		assert_int_equal(kw_merkle_node(&equal_nodes[level - 1], &equal_nodes[level - 1], &equal_nodes[level]), KW_OK);
	check_huge(0, 1, KW_TREE_SIZE_MAX);
	check_huge(KW_TREE_SIZE_MAX - 1, KW_TREE_SIZE_MAX - 1, KW_TREE_SIZE_MAX);
	check_huge(KW_TREE_SIZE_MAX - 2, KW_TREE_SIZE_MAX - 2, KW_TREE_SIZE_MAX - 1);
	for (int i = 0; i < 500; i++) {
		uint64_t size = prng_range(&prng, 1, KW_TREE_SIZE_MAX >> prng_below(&prng, 62));
		check_huge(prng_below(&prng, size), prng_range(&prng, 1, size), size);
	}
	assert_int_equal(kw_tree_load(&source, KW_TREE_SIZE_MAX - 1, &tree), KW_OK);
	assert_int_equal(kw_tree_append(&tree, &leaves[0], NULL), KW_OK);
	assert_memory_equal(tree.peaks[62].bytes, equal_nodes[62].bytes, KW_DIGEST_SIZE);
	assert_int_equal(kw_tree_append(&tree, &leaves[0], NULL), KW_ETOOBIG);
}

static void test_tree_is_as_it_was_after_an_error_of_the_store(void **state)
{
	(void)state;
	struct kw_tree_proof proof = {.count = 77};
	struct kw_tree tree;
	struct kw_tree before;
	assert_int_equal(kw_tree_load(&SOURCE, 7, &tree), KW_OK);
	before = tree;
	nodes.fail = true;
	assert_int_equal(kw_tree_append(&tree, &leaves[7], &SINK), KW_ENOSPACE);
	assert_int_equal(tree.size, before.size);
	assert_memory_equal(tree.peaks, before.peaks, 3 * sizeof(tree.peaks[0]));
	assert_int_equal(kw_tree_load(&SOURCE, 8, &tree), KW_EIO);
	assert_int_equal(tree.size, 7);
	assert_int_equal(kw_tree_prove_inclusion(&SOURCE, 3, 9, &proof), KW_EIO);
	assert_int_equal(kw_tree_prove_consistency(&SOURCE, 6, 9, &proof), KW_EIO);
	assert_int_equal(proof.count, 77);
	nodes.fail = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_root_is_the_naive_one_at_every_size),
		cmocka_unit_test(test_tree_writes_each_complete_node_once),
		cmocka_unit_test(test_tree_proves_inclusion_at_every_size),
		cmocka_unit_test(test_tree_proves_consistency_of_every_two_sizes),
		cmocka_unit_test(test_tree_refuses_sizes_that_can_belong_to_no_proof),
		cmocka_unit_test(test_tree_holds_at_its_largest_size),
		cmocka_unit_test(test_tree_is_as_it_was_after_an_error_of_the_store),
	};
	return cmocka_run_group_tests(tests, grow, NULL);
}
