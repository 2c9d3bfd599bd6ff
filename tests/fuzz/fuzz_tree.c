/* A claim about an append-only tree, from a stranger. It may verify only if it is, hash by hash, what the prover writes
 * for these sizes: a second proof of the same would need a collision of SHA-256. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/merkle.h"
#include "proto/wire/tree.h"

#define LEAVES 64u
#define LEVELS 7u
#define PATH_COUNT 12u

static struct kw_digest nodes[LEVELS][LEAVES];

static enum kw_err put(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	(void)user;
	nodes[level][index] = *hash;
	return KW_OK;
}

static enum kw_err get(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	(void)user;
	KW_ASSERT(level < LEVELS && index < LEAVES >> level);
	*out = nodes[level][index];
	return KW_OK;
}

static const struct kw_tree_source SOURCE = {get, NULL};

static void grow(void)
{
	static struct kw_tree tree;
	const struct kw_tree_sink sink = {put, NULL};
	while (tree.size < LEAVES) {
		uint8_t data = (uint8_t)tree.size;
		struct kw_digest leaf;
		KW_ASSERT(kw_merkle_leaf(KW_VIEW(&data, 1), &leaf) == KW_OK);
		KW_ASSERT(kw_tree_append(&tree, &leaf, &sink) == KW_OK);
	}
}

static struct kw_digest root_at(uint64_t size)
{
	struct kw_tree tree;
	struct kw_digest root;
	KW_ASSERT(kw_tree_load(&SOURCE, size, &tree) == KW_OK);
	KW_ASSERT(kw_tree_root(&tree, &root) == KW_OK);
	return root;
}

/* Turns input into a path: one byte says what a hash is (the prover's own, some node of the tree, bytes of the input). */
static size_t path_from(struct kw_view input, const struct kw_tree_proof *honest, struct kw_view *path)
{
	size_t count = 0;
	while (count < PATH_COUNT && input.size >= 2) {
		uint8_t kind = input.data[0] % 4;
		uint8_t which = input.data[1];
		input = KW_VIEW(input.data + 2, input.size - 2);
		if (kind <= 1 && honest->count > 0) {
			path[count] = KW_VIEW_OF(honest->hashes[(count + 1 + kind * which) % honest->count].bytes);
			count++;
		} else if (kind == 2) {
			uint32_t level = which % LEVELS;
			path[count++] = KW_VIEW_OF(nodes[level][which % (LEAVES >> level)].bytes);
		} else {
			size_t size = which % 4 == 0 ? which : KW_DIGEST_SIZE;
			size = size < input.size ? size : input.size;
			path[count++] = KW_VIEW(input.data, size);
			input = KW_VIEW(input.data + size, input.size - size);
		}
	}
	return count;
}

static bool is_honest(const struct kw_tree_proof *honest, const struct kw_view *path, size_t path_count)
{
	if (path_count != honest->count)
		return false;
	for (size_t i = 0; i < path_count; i++)
		if (!kw_view_equal(path[i], KW_VIEW_OF(honest->hashes[i].bytes)))
			return false;
	return true;
}

static void one_inclusion(uint64_t index, uint64_t size, struct kw_view input)
{
	struct kw_view path[PATH_COUNT];
	struct kw_tree_proof honest = {.count = 0};
	struct kw_digest root = root_at(size);
	enum kw_err possible = kw_tree_prove_inclusion(&SOURCE, index, size, &honest);
	size_t count = path_from(input, &honest, path);
	struct kw_tree_inclusion claim = {index, size, KW_VIEW_OF(nodes[0][index % LEAVES].bytes), KW_VIEW_OF(root.bytes),
		path, count};
	enum kw_err err = kw_tree_verify_inclusion(&claim);
	KW_ASSERT((err == KW_OK) == (possible == KW_OK && is_honest(&honest, path, count)));
	KW_ASSERT((err == KW_EFIELD) == (possible == KW_EFIELD));
}

static void one_consistency(uint64_t old, uint64_t size, struct kw_view input)
{
	struct kw_view path[PATH_COUNT];
	struct kw_tree_proof honest = {.count = 0};
	struct kw_digest root = root_at(size);
	struct kw_digest root_old = root_at(old);
	enum kw_err possible = kw_tree_prove_consistency(&SOURCE, old, size, &honest);
	size_t count = path_from(input, &honest, path);
	struct kw_tree_consistency claim = {old, size, KW_VIEW_OF(root_old.bytes), KW_VIEW_OF(root.bytes), path, count};
	enum kw_err err = kw_tree_verify_consistency(&claim);
	KW_ASSERT((err == KW_OK) == (possible == KW_OK && is_honest(&honest, path, count)));
	KW_ASSERT((err == KW_EFIELD) == (possible == KW_EFIELD));
}

/* Sizes as they come: nothing is known of them but that the verifier must return. */
static void one_wild(struct kw_view input)
{
	struct kw_view path[PATH_COUNT];
	struct kw_tree_proof none = {.count = 0};
	if (input.size < 16)
		return;
	uint64_t first = kw_get_u64(input.data);
	uint64_t second = kw_get_u64(input.data + 8);
	size_t count = path_from(KW_VIEW(input.data + 16, input.size - 16), &none, path);
	struct kw_view hash = KW_VIEW_OF(nodes[0][0].bytes);
	struct kw_tree_inclusion inclusion = {first, second, hash, hash, path, count};
	struct kw_tree_consistency consistency = {first, second, hash, hash, path, count};
	enum kw_err err = kw_tree_verify_inclusion(&inclusion);
	/* A leaf is its own tree; nothing longer can end where it began. */
	KW_ASSERT((err == KW_OK) == (first == 0 && second == 1 && count == 0));
	err = kw_tree_verify_consistency(&consistency);
	KW_ASSERT((err == KW_OK) == (first == second && first >= 1 && first <= KW_TREE_SIZE_MAX && count == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	grow();
	if (size < 3)
		return 0;
	struct kw_view rest = KW_VIEW(data + 3, size - 3);
	uint64_t first = data[1] % (LEAVES + 2);
	uint64_t second = data[2] % (LEAVES + 1);
	if (data[0] % 3 == 0)
		one_inclusion(first, second, rest);
	else if (data[0] % 3 == 1)
		one_consistency(first < LEAVES ? first : LEAVES, second, rest);
	else
		one_wild(rest);
	return 0;
}
