/* Verifying what tree.c proves, from bytes of a stranger. How many hashes a proof has follows from the sizes alone, so
 * the count is settled first and the rest can only end in the right root or another. */

#include <string.h>

#include "proto/wire/merkle.h"
#include "proto/wire/tree.h"

static uint32_t bits_count(uint64_t value)
{
	return value == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(value);
}

/* Hashes beside the way from node `index` of a level whose last node is `last` to the root: one on each level below the
 * point where the two ways meet, and above it one for each time that the way comes from the right. */
static uint32_t climb_count(uint64_t index, uint64_t last)
{
	uint32_t inner = bits_count(index ^ last);
	return inner + (uint32_t)__builtin_popcountll(index >> inner);
}

static bool take(struct kw_view from, struct kw_digest *out)
{
	if (from.size != sizeof(out->bytes))
		return false;
	memcpy(out->bytes, from.data, sizeof(out->bytes));
	return true;
}

static bool all_hashes(const struct kw_view *path, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (path[i].size != KW_DIGEST_SIZE)
			return false;
	return true;
}

/* A way to the root: the node that it is at, and the last node of that level. */
struct way {
	uint64_t index;
	uint64_t last;
};

/* Up to the next level on which there is somebody beside; true if that one stands on the left. */
static bool way_step(struct way *way)
{
	bool left = (way->index & 1) != 0 || way->index == way->last;
	while (left && (way->index & 1) == 0 && way->index != 0) {
		way->index >>= 1;
		way->last >>= 1;
	}
	way->index >>= 1;
	way->last >>= 1;
	return left;
}

static enum kw_err same(const struct kw_digest *computed, struct kw_view claimed)
{
	return kw_view_equal(KW_VIEW_OF(computed->bytes), claimed) ? KW_OK : KW_EAUTH;
}

enum kw_err kw_tree_root_by(const struct kw_tree_inclusion *claim, struct kw_digest *root)
{
	if (claim->size > KW_TREE_SIZE_MAX || claim->index >= claim->size)
		return KW_EFIELD;
	struct way way = {claim->index, claim->size - 1};
	struct kw_digest at;
	struct kw_digest hash;
	if (claim->path_count != climb_count(way.index, way.last) || !all_hashes(claim->path, claim->path_count) ||
		!take(claim->leaf, &at))
		return KW_EFORMAT;
	enum kw_err err = KW_OK;
	for (size_t i = 0; i < claim->path_count && err == KW_OK; i++) {
		(void)take(claim->path[i], &hash); /* sizes are checked */
		err = way_step(&way) ? kw_merkle_node(&hash, &at, &at) : kw_merkle_node(&at, &hash, &at);
	}
	if (err == KW_OK)
		*root = at;
	return err;
}

enum kw_err kw_tree_verify_inclusion(const struct kw_tree_inclusion *claim)
{
	struct kw_digest root;
	enum kw_err err = kw_tree_root_by(claim, &root);
	if (err != KW_OK)
		return err;
	return claim->root.size != KW_DIGEST_SIZE ? KW_EFORMAT : same(&root, claim->root);
}

/* Climbs with both trees at once: what stands on the left is in both, what stands on the right is new. */
static enum kw_err climb_both(const struct kw_tree_consistency *claim, struct way way, size_t from,
	const struct kw_digest *start)
{
	struct kw_digest old = *start;
	struct kw_digest new = *start;
	struct kw_digest hash;
	enum kw_err err = KW_OK;
	for (size_t i = from; i < claim->path_count && err == KW_OK; i++) {
		(void)take(claim->path[i], &hash); /* sizes are checked */
		bool left = way_step(&way);
		if (left)
			err = kw_merkle_node(&hash, &old, &old);
		if (err == KW_OK)
			err = left ? kw_merkle_node(&hash, &new, &new) : kw_merkle_node(&new, &hash, &new);
	}
	if (err == KW_OK)
		err = same(&old, claim->root_old);
	return err == KW_OK ? same(&new, claim->root) : err;
}

enum kw_err kw_tree_verify_consistency(const struct kw_tree_consistency *claim)
{
	if (claim->size > KW_TREE_SIZE_MAX || claim->size_old < 1 || claim->size_old > claim->size)
		return KW_EFIELD;
	if (claim->size_old == claim->size) {
		if (claim->path_count != 0)
			return KW_EFORMAT;
		return kw_view_equal(claim->root_old, claim->root) ? KW_OK : KW_EAUTH;
	}
	uint32_t level = (uint32_t)__builtin_ctzll(claim->size_old);
	struct way way = {(claim->size_old >> level) - 1, (claim->size - 1) >> level};
	/* A power of two is one peak, which is the old root: the proof does not repeat it. */
	size_t from = way.index == 0 ? 0 : 1;
	if (claim->path_count != from + climb_count(way.index, way.last) || !all_hashes(claim->path, claim->path_count) ||
		claim->root_old.size != KW_DIGEST_SIZE || claim->root.size != KW_DIGEST_SIZE)
		return KW_EFORMAT;
	struct kw_digest start;
	(void)take(from == 0 ? claim->root_old : claim->path[0], &start); /* sizes are checked */
	return climb_both(claim, way, from, &start);
}
