#ifndef KW_WIRE_TREE_H
#define KW_WIRE_TREE_H

#include "proto/base/bytes.h"
#include "proto/base/id.h"

/* The append-only Merkle tree of RFC 9162 §2.1: what an audit log is made of. The small tree over an envelope's slots is
 * in merkle.h, and so is the hashing of leaves and nodes.
 *
 * A node (level, index) covers the leaves index << level up to (index + 1) << level. A node whose leaves are all there is
 * complete and never changes again, so only complete nodes are stored; the few that are not are computed when a root or a
 * proof needs them. Nothing here allocates, waits or keeps anything. */

#define KW_TREE_SIZE_MAX (UINT64_C(1) << 62)
#define KW_TREE_LEVELS_MAX 63u /* of complete nodes: 0..62 */
#define KW_TREE_PROOF_MAX 63u  /* hashes in the longest proof of either kind */

/* A compact range: the roots of the complete subtrees that the tree falls into, one for each bit of its size. It is all
 * that appending needs. Zeroed, it is the empty tree. */
struct kw_tree {
	uint64_t size; /* leaves, 0..KW_TREE_SIZE_MAX */
	struct kw_digest peaks[KW_TREE_LEVELS_MAX]; /* [level] counts while that bit of size is set */
};

/* Where complete nodes are written to and read from. An error ends the call with it. */
struct kw_tree_sink {
	enum kw_err (*put)(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash);
	void *user;
};
struct kw_tree_source {
	enum kw_err (*get)(void *user, uint32_t level, uint64_t index, struct kw_digest *out);
	void *user;
};

/* Appends one leaf, already hashed (kw_merkle_leaf). Each node that it completes goes to `sink`, the leaf itself first;
 * NULL when nobody keeps them. On an error the tree is as it was, whatever the sink has taken.
 * KW_ETOOBIG  the tree is full; KW_ECRYPTO; errors of put */
KW_MUST_USE enum kw_err kw_tree_append(struct kw_tree *tree, const struct kw_digest *leaf,
	const struct kw_tree_sink *sink);

/* The root over all leaves; for the empty tree the hash of nothing. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_tree_root(const struct kw_tree *tree, struct kw_digest *out);

/* The tree as it was at `size`, read from at most KW_TREE_LEVELS_MAX nodes: to go on after a restart, or for the root of
 * an older checkpoint. KW_EFIELD: size over KW_TREE_SIZE_MAX; errors of get. */
KW_MUST_USE enum kw_err kw_tree_load(const struct kw_tree_source *source, uint64_t size, struct kw_tree *out);

struct kw_tree_proof {
	size_t count;
	struct kw_digest hashes[KW_TREE_PROOF_MAX];
};

/* That leaf `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1).
 * KW_EFIELD  index is not below size, or size over KW_TREE_SIZE_MAX; KW_ECRYPTO; errors of get */
KW_MUST_USE enum kw_err kw_tree_prove_inclusion(const struct kw_tree_source *source, uint64_t index, uint64_t size,
	struct kw_tree_proof *out);

/* That the tree of `size` leaves begins with all leaves of the tree of `size_old` (RFC 9162 §2.1.4.1).
 * KW_EFIELD  size_old is 0 or over size, or size over KW_TREE_SIZE_MAX; KW_ECRYPTO; errors of get */
KW_MUST_USE enum kw_err kw_tree_prove_consistency(const struct kw_tree_source *source, uint64_t size_old, uint64_t size,
	struct kw_tree_proof *out);

/* A claim as it was received. Everything is borrowed; sizes are whatever a stranger wrote. */
struct kw_tree_inclusion {
	uint64_t index;
	uint64_t size;
	struct kw_view leaf; /* its hash */
	struct kw_view root; /* of the tree of `size` leaves, from a checkpoint that somebody trusted signed */
	const struct kw_view *path;
	size_t path_count;
};
struct kw_tree_consistency {
	uint64_t size_old;
	uint64_t size;
	struct kw_view root_old;
	struct kw_view root;
	const struct kw_view *path;
	size_t path_count;
};

/* RFC 9162 §2.1.3.2 and §2.1.4.2. KW_OK only for what the prover would have written, hash by hash; in this order:
 * KW_EFIELD   the sizes and the index can belong to no proof: index not below size, a tree of 0 leaves, size_old over
 *             size, a size over KW_TREE_SIZE_MAX
 * KW_EFORMAT  another number of hashes than such a proof has, or something that is no hash
 * KW_EAUTH    it is a proof, of something else: a root does not follow from it
 * KW_ECRYPTO */
KW_MUST_USE enum kw_err kw_tree_verify_inclusion(const struct kw_tree_inclusion *claim);
/* The root that leaf and path lead to, for a root that is signed and not sent; claim->root is not looked at. */
KW_MUST_USE enum kw_err kw_tree_root_by(const struct kw_tree_inclusion *claim, struct kw_digest *root);
/* Two trees of one size are consistent when their roots are the same bytes and the proof is empty. */
KW_MUST_USE enum kw_err kw_tree_verify_consistency(const struct kw_tree_consistency *claim);

#endif
