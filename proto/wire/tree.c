#include "proto/wire/tree.h"

#include "proto/base/check.h"
#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"

static bool has_peak(uint64_t size, uint32_t level)
{
	return (size >> level & 1) != 0;
}

static enum kw_err put(const struct kw_tree_sink *sink, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	return sink != NULL ? sink->put(sink->user, level, index, hash) : KW_OK;
}

enum kw_err kw_tree_append(struct kw_tree *tree, const struct kw_digest *leaf, const struct kw_tree_sink *sink)
{
	if (tree->size >= KW_TREE_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_digest at = *leaf;
	uint32_t level = 0;
	enum kw_err err = put(sink, 0, tree->size, &at);
	/* Like adding 1 to a number: each set bit from below carries, and two subtrees become one. */
	while (err == KW_OK && has_peak(tree->size, level)) {
		err = kw_merkle_node(&tree->peaks[level], &at, &at);
		level++;
		if (err == KW_OK)
			err = put(sink, level, tree->size >> level, &at);
	}
	if (err != KW_OK)
		return err;
	tree->peaks[level] = at;
	tree->size++;
	return KW_OK;
}

/* Joins peaks into one root, the smallest first, which stands on the right. */
static enum kw_err fold(const struct kw_tree *tree, struct kw_digest *out)
{
	struct kw_digest at;
	bool begun = false;
	enum kw_err err = KW_OK;
	for (uint32_t level = 0; level < KW_TREE_LEVELS_MAX && err == KW_OK; level++) {
		if (!has_peak(tree->size, level))
			continue;
		if (begun)
			err = kw_merkle_node(&tree->peaks[level], &at, &at);
		else
			at = tree->peaks[level];
		begun = true;
	}
	KW_ASSERT(begun);
	if (err == KW_OK)
		*out = at;
	return err;
}

enum kw_err kw_tree_root(const struct kw_tree *tree, struct kw_digest *out)
{
	return tree->size == 0 ? kw_sha256(NULL, 0, out) : fold(tree, out);
}

/* The peaks of the leaves from start up to start + size, where start is a multiple of a power of two not below size. */
static enum kw_err load_range(const struct kw_tree_source *source, uint64_t start, uint64_t size, struct kw_tree *out)
{
	uint64_t end = start + size;
	enum kw_err err = KW_OK;
	out->size = size;
	for (uint32_t level = 0; level < KW_TREE_LEVELS_MAX && err == KW_OK; level++)
		if (has_peak(size, level))
			err = source->get(source->user, level, (end >> level) - 1, &out->peaks[level]);
	return err;
}

enum kw_err kw_tree_load(const struct kw_tree_source *source, uint64_t size, struct kw_tree *out)
{
	struct kw_tree tree;
	if (size > KW_TREE_SIZE_MAX)
		return KW_EFIELD;
	enum kw_err err = load_range(source, 0, size, &tree);
	if (err == KW_OK)
		*out = tree;
	return err;
}

/* The hash beside a path: a complete node is read, the last of its level is joined from what is there of it. */
static enum kw_err beside(const struct kw_tree_source *source, uint32_t level, uint64_t index, uint64_t size,
	struct kw_digest *out)
{
	uint64_t start = index << level;
	struct kw_tree rest;
	if (size - start >= UINT64_C(1) << level)
		return source->get(source->user, level, index, out);
	enum kw_err err = load_range(source, start, size - start, &rest);
	return err == KW_OK ? fold(&rest, out) : err;
}

/* Appends what stands beside the way from a complete node up to the root. */
static enum kw_err climb(const struct kw_tree_source *source, uint32_t level, uint64_t index, uint64_t size,
	struct kw_tree_proof *proof)
{
	enum kw_err err = KW_OK;
	for (; err == KW_OK && UINT64_C(1) << level < size; level++, index >>= 1) {
		/* The last node of a level that is not full may have nobody beside it: it moves up as it is. */
		if ((index ^ 1) << level >= size)
			continue;
		KW_ASSERT(proof->count < KW_TREE_PROOF_MAX);
		err = beside(source, level, index ^ 1, size, &proof->hashes[proof->count++]);
	}
	return err;
}

enum kw_err kw_tree_prove_inclusion(const struct kw_tree_source *source, uint64_t index, uint64_t size,
	struct kw_tree_proof *out)
{
	struct kw_tree_proof proof = {.count = 0};
	if (size > KW_TREE_SIZE_MAX || index >= size)
		return KW_EFIELD;
	enum kw_err err = climb(source, 0, index, size, &proof);
	if (err == KW_OK)
		*out = proof;
	return err;
}

enum kw_err kw_tree_prove_consistency(const struct kw_tree_source *source, uint64_t size_old, uint64_t size,
	struct kw_tree_proof *out)
{
	struct kw_tree_proof proof = {.count = 0};
	enum kw_err err = KW_OK;
	if (size > KW_TREE_SIZE_MAX || size_old < 1 || size_old > size)
		return KW_EFIELD;
	if (size_old < size) {
		/* It starts at the old tree's last peak. If that is the whole old tree, the verifier has it as the old root. */
		uint32_t level = (uint32_t)__builtin_ctzll(size_old);
		uint64_t index = (size_old >> level) - 1;
		if (index > 0)
			err = source->get(source->user, level, index, &proof.hashes[proof.count++]);
		if (err == KW_OK)
			err = climb(source, level, index, size, &proof);
	}
	if (err == KW_OK)
		*out = proof;
	return err;
}
