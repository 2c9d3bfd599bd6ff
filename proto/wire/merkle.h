#ifndef KW_WIRE_MERKLE_H
#define KW_WIRE_MERKLE_H

#include "proto/base/bytes.h"
#include "proto/base/id.h"

/* Merkle tree hashing of RFC 9162 §2.1, and its small use over an envelope's slots: a tree of 1, 2, 4 or 8 leaves.
 * KW_ECRYPTO is the only error. */

#define KW_MERKLE_SMALL_DEPTH_MAX 3u
#define KW_MERKLE_SMALL_LEAVES_MAX 8u

/* H(0x00 ‖ data). */
KW_MUST_USE enum kw_err kw_merkle_leaf(struct kw_view data, struct kw_digest *out);
/* H(0x01 ‖ left ‖ right). */
KW_MUST_USE enum kw_err kw_merkle_node(const struct kw_digest *left, const struct kw_digest *right,
	struct kw_digest *out);

/* A complete tree: level 0 are the leaves, level `depth` the root. */
struct kw_merkle_small {
	uint32_t depth; /* 0..KW_MERKLE_SMALL_DEPTH_MAX: 1 << depth leaves */
	struct kw_digest levels[KW_MERKLE_SMALL_DEPTH_MAX + 1][KW_MERKLE_SMALL_LEAVES_MAX];
};

/* The smallest depth whose tree has room for leaves_count (1..8) leaves. */
uint32_t kw_merkle_small_depth(size_t leaves_count);
/* Fills the levels above 0; the caller has set depth and the 1 << depth leaves. */
KW_MUST_USE enum kw_err kw_merkle_small_build(struct kw_merkle_small *tree);

/* Where a leaf stands and the hashes beside its way to the root, leaf side first. */
struct kw_merkle_path {
	uint32_t index;        /* below 1 << depth */
	uint32_t depth;        /* 0..KW_MERKLE_SMALL_DEPTH_MAX */
	const uint8_t *hashes[KW_MERKLE_SMALL_DEPTH_MAX]; /* depth times KW_DIGEST_SIZE bytes, borrowed */
};

/* A path into `tree`, borrowed from it; index < 1 << tree->depth. */
struct kw_merkle_path kw_merkle_small_path(const struct kw_merkle_small *tree, uint32_t index);
/* The root that this leaf and path lead to. */
KW_MUST_USE enum kw_err kw_merkle_small_root(const struct kw_digest *leaf, const struct kw_merkle_path *path,
	struct kw_digest *out);

#endif
