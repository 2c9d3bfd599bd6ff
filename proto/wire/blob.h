#ifndef KW_WIRE_BLOB_H
#define KW_WIRE_BLOB_H

#include "proto/wire/crypt.h"
#include "proto/wire/envelope.h"

/* Blobs: attachments (photo, document), sealed apart from the message that names them.
 *
 *   key     32 random bytes, fresh for each blob, so the same file sent twice has two names that nobody can link
 *   commit  = HKDF-Expand(key, "kw1 blob commit", 32)      no blob opens under two keys
 *   body    = STREAM of the padded file in 16 KiB chunks, AES-256-GCM under HKDF-Expand(key, "kw1 blob body", 32),
 *             nonce as in a message's body (suite.h): the index stops a reorder, the last flag a cut or an extension
 *   root    = Merkle root over the sealed chunks, RFC 9162 hashing; a node without a sister rises as it is
 *   digest  = H("kw1 blob" ‖ u64 padded size ‖ commit ‖ root)             the blob's name
 *
 * A tree and not a plain hash, so that each chunk proves by itself, with its path, that it belongs to the name: a hub
 * stores nothing that is not what was announced, and a resumed transfer needs nothing checked again at its end.
 * Padded with zeros to 512, 1024, 2048, 4096, then Padmé, so the size tells little; the true size is in the message. */

#define KW_BLOB_SIZE_MAX (64u << 20) /* of the file, and by Padmé of the padded one too */
#define KW_BLOB_KEY_SIZE 32u
#define KW_BLOB_CHUNK_SIZE KW_CHUNK_SIZE
#define KW_BLOB_SEALED_CHUNK_SIZE (KW_BLOB_CHUNK_SIZE + KW_AEAD_TAG_SIZE)
#define KW_BLOB_CHUNKS_MAX (KW_BLOB_SIZE_MAX / KW_BLOB_CHUNK_SIZE)
#define KW_BLOB_PATH_MAX 12u /* hashes beside the way from a leaf to the root */
#define KW_BLOB_PATH_SIZE_MAX (KW_BLOB_PATH_MAX * KW_DIGEST_SIZE)

/* A blob as a carrier knows it. */
struct kw_blob_what {
	struct kw_digest digest;
	struct kw_digest commit;
	uint32_t size; /* padded, before sealing */
};

/* size: 0..KW_BLOB_SIZE_MAX. */
uint32_t kw_blob_padded_size(uint32_t size);
/* True for a padded size that may be: 1..KW_BLOB_SIZE_MAX and a result of padding. */
bool kw_blob_size_ok(uint64_t padded_size);

/* For a padded size that is right. Chunks all have KW_BLOB_SEALED_CHUNK_SIZE bytes but the last, which may have less. */
uint32_t kw_blob_chunks(uint32_t padded_size);
uint32_t kw_blob_sealed_size(uint32_t padded_size);
uint32_t kw_blob_chunk_size(uint32_t padded_size, uint32_t index); /* sealed */

/* Wiped by kw_blob_keys_fini. */
struct kw_blob_keys {
	uint8_t body[KW_AEAD_KEY_SIZE_MAX];
	struct kw_digest commit;
};
/* key: KW_BLOB_KEY_SIZE bytes. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_blob_keys(const uint8_t *key, struct kw_blob_keys *out);
void kw_blob_keys_fini(struct kw_blob_keys *keys);

/* Where a chunk stands. */
struct kw_blob_place {
	uint32_t padded_size;
	uint32_t index; /* below kw_blob_chunks(padded_size) */
};
/* plain: kw_blob_chunk_size() - KW_AEAD_TAG_SIZE bytes. Writes kw_blob_chunk_size() bytes. */
KW_MUST_USE enum kw_err kw_blob_seal(const struct kw_blob_keys *keys, struct kw_blob_place place, struct kw_view plain,
	uint8_t *out);
/* KW_EOPEN for a wrong key, place, size or content; nothing of the plaintext is left in out then. */
KW_MUST_USE enum kw_err kw_blob_open(const struct kw_blob_keys *keys, struct kw_blob_place place, struct kw_view sealed,
	uint8_t *out);

/* The tree as an array, leaves first, then level by level, the root last. */
uint32_t kw_blob_tree_count(uint32_t chunks);
#define KW_BLOB_TREE_MAX (2u * KW_BLOB_CHUNKS_MAX)
/* nodes: kw_blob_tree_count(chunks) of them; the leaves are there. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_blob_tree_build(uint32_t chunks, struct kw_digest *nodes);
/* Places in the array of the nodes beside the way of leaf `index`; gives how many, at most KW_BLOB_PATH_MAX. */
uint32_t kw_blob_tree_path(uint32_t chunks, uint32_t index, uint32_t places[KW_BLOB_PATH_MAX]);

/* The name. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_blob_name(uint32_t padded_size, const struct kw_digest *commit, const struct kw_digest *root,
	struct kw_digest *out);
/* Does this sealed chunk with this path (joined hashes, leaf side first) belong to the blob's name at this index?
 *   leaf  the chunk's leaf, on KW_OK
 * KW_EAUTH when not, KW_ECRYPTO */
KW_MUST_USE enum kw_err kw_blob_check(const struct kw_blob_what *what, uint32_t index, struct kw_view sealed,
	struct kw_view path, struct kw_digest *leaf);

#endif
