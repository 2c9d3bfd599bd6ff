#ifndef KW_WIRE_SUITE_H
#define KW_WIRE_SUITE_H

#include "proto/wire/envelope.h"

/* The composition that seal.c and open.c share, so that the two cannot drift apart:
 *
 *   DEK     32 random bytes, one per message
 *   commit  = HKDF-Expand(DEK, "kw1 commit" ‖ u16 suite ‖ H(hdr), 32)
 *   slot    = HPKE base mode to the recipient, info = "kw1 slot" ‖ H(hdr) ‖ commit ‖ u16-prefixed "agency@hub" ‖
 *             u16-prefixed key id, plaintext = DEK
 *   body    = STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015) of the padded message in 16 KiB chunks under
 *             HKDF-Expand(DEK, "kw1 body" ‖ H(hdr), 32): nonce = 7 zero bytes ‖ u32 chunk index ‖ u8 last
 *   T       = H("kw1 T" ‖ H(hdr) ‖ commit ‖ S ‖ H(body)), S the Merkle root over the slots (envelope.h)
 *   auth    = AEAD of the padded AuthBlock under HKDF-Expand(DEK, "kw1 auth" ‖ H(hdr), 32), zero nonce, aad = T
 *
 * A header hash comes with every key, so the same DEK under another header opens nothing. The commitment makes the AEADs
 * key-committing: no ciphertext opens to two recipients differently. */

/* What is derived from one DEK and one header. Wiped by kw_suite_keys_fini. */
struct kw_suite_keys {
	enum kw_suite suite;
	struct kw_digest header_hash;
	uint8_t commit[KW_DIGEST_SIZE];
	uint8_t body[KW_AEAD_KEY_SIZE_MAX];
	uint8_t auth[KW_AEAD_KEY_SIZE_MAX];
};

/* dek: KW_DEK_SIZE bytes. */
KW_MUST_USE enum kw_err kw_suite_keys(enum kw_suite suite, const struct kw_digest *header_hash, const uint8_t *dek,
	struct kw_suite_keys *out);
void kw_suite_keys_fini(struct kw_suite_keys *keys);

enum kw_aead_id kw_suite_aead(enum kw_suite suite);
enum kw_hpke_kem kw_suite_kem(enum kw_suite suite);

/* The info of a slot's HPKE: every part has a fixed size or its size before it. */
#define KW_SLOT_INFO_SIZE_MAX \
	(8u + 2 * KW_DIGEST_SIZE + 2 + 2 * KW_NAME_SIZE_MAX + 1 + 2 + KW_KEY_ID_SIZE_MAX)
struct kw_slot_info {
	uint8_t bytes[KW_SLOT_INFO_SIZE_MAX];
	size_t size;
};
/* Uses commit, key_id and the destination of the label; names and key id are within their limits. */
void kw_slot_info(const struct kw_envelope *envelope, const struct kw_digest *header_hash, struct kw_slot_info *out);

/* What the sender's identity key signs: "kw1 env" ‖ T ‖ u16-prefixed claims. */
#define KW_SIGNED_SIZE_MAX (7u + KW_DIGEST_SIZE + 2 + KW_AUTH_SIZE_MAX)
struct kw_signed {
	uint8_t bytes[KW_SIGNED_SIZE_MAX];
	size_t size;
};
/* claims: at most KW_AUTH_SIZE_MAX bytes. */
void kw_signed_from(const struct kw_digest *digest, struct kw_view claims, struct kw_signed *out);

/* The nonce of one chunk of a STREAM, KW_AEAD_NONCE_SIZE bytes: the index stops a reorder or a repeat, the last flag a cut
 * or an extension. */
void kw_suite_chunk_nonce(uint8_t *nonce, size_t index, bool last);

/* Bytes of a sealed body: the padded size and a tag for each chunk. */
size_t kw_body_sealed_size(size_t padded_size);
/* padded: 1..KW_BODY_SIZE_MAX bytes. Writes kw_body_sealed_size(padded.size) bytes. */
KW_MUST_USE enum kw_err kw_body_seal(const struct kw_suite_keys *keys, struct kw_view padded, uint8_t *out);
/* sealed: kw_body_sealed_size(padded_size) bytes. Writes padded_size bytes; on KW_EOPEN they are wiped. */
KW_MUST_USE enum kw_err kw_body_open(const struct kw_suite_keys *keys, struct kw_view sealed, size_t padded_size,
	uint8_t *out);

/* The auth AEAD, as kw_aead_seal and kw_aead_open. */
KW_MUST_USE enum kw_err kw_auth_seal(const struct kw_suite_keys *keys, const struct kw_digest *digest,
	struct kw_view block, uint8_t *out);
KW_MUST_USE enum kw_err kw_auth_open(const struct kw_suite_keys *keys, const struct kw_digest *digest,
	struct kw_view sealed, uint8_t *out);

#endif
