#include "proto/wire/merkle.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/crypt.h"

enum kw_err kw_merkle_leaf(struct kw_view data, struct kw_digest *out)
{
	static const uint8_t LEAF = 0x00;
	struct kw_view parts[] = {KW_VIEW(&LEAF, 1), data};
	return kw_sha256(parts, 2, out);
}

enum kw_err kw_merkle_node(const struct kw_digest *left, const struct kw_digest *right, struct kw_digest *out)
{
	static const uint8_t NODE = 0x01;
	struct kw_view parts[] = {KW_VIEW(&NODE, 1), KW_VIEW_OF(left->bytes), KW_VIEW_OF(right->bytes)};
	return kw_sha256(parts, 3, out);
}

uint32_t kw_merkle_small_depth(size_t leaves_count)
{
	KW_ASSERT(leaves_count >= 1 && leaves_count <= KW_MERKLE_SMALL_LEAVES_MAX);
	uint32_t depth = 0;
	while (((size_t)1 << depth) < leaves_count)
		depth++;
	return depth;
}

enum kw_err kw_merkle_small_build(struct kw_merkle_small *tree)
{
	KW_ASSERT(tree->depth <= KW_MERKLE_SMALL_DEPTH_MAX);
	enum kw_err err = KW_OK;
	for (uint32_t level = 1; level <= tree->depth; level++) {
		const struct kw_digest *below = tree->levels[level - 1];
		for (uint32_t i = 0; i < (1u << (tree->depth - level)) && err == KW_OK; i++)
			err = kw_merkle_node(&below[2 * i], &below[2 * i + 1], &tree->levels[level][i]);
	}
	return err;
}

struct kw_merkle_path kw_merkle_small_path(const struct kw_merkle_small *tree, uint32_t index)
{
	KW_ASSERT(index < (1u << tree->depth));
	struct kw_merkle_path path = {.index = index, .depth = tree->depth};
	for (uint32_t level = 0; level < tree->depth; level++)
		path.hashes[level] = tree->levels[level][(index >> level) ^ 1].bytes;
	return path;
}

enum kw_err kw_merkle_small_root(const struct kw_digest *leaf, const struct kw_merkle_path *path,
	struct kw_digest *out)
{
	struct kw_digest at = *leaf;
	enum kw_err err = KW_OK;
	for (uint32_t level = 0; level < path->depth && err == KW_OK; level++) {
		struct kw_digest beside;
		memcpy(beside.bytes, path->hashes[level], sizeof(beside.bytes));
		err = path->index >> level & 1 ? kw_merkle_node(&beside, &at, &at) : kw_merkle_node(&at, &beside, &at);
	}
	if (err == KW_OK)
		*out = at;
	return err;
}
