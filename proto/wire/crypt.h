#ifndef KW_WIRE_CRYPT_H
#define KW_WIRE_CRYPT_H

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/id.h"

/* The symmetric primitives everything sealed or hashed is made of: SHA-256, HMAC, HKDF, AEAD, scrypt, random bytes.
 *
 * All of it is EVP of OpenSSL 3.0 underneath. Algorithms are fetched once per process and contexts are kept per thread,
 * because a fetch by name costs more than a short hash. A kept context never holds a key after the call that used it.
 * Every function may answer KW_ECRYPTO: libcrypto refused what must succeed, and the program should stop.
 *
 * `parts` are hashed one after the other as if joined. Nothing separates them: a caller who joins parts of varying
 * size writes the lengths itself, or two different inputs give the same hash. */

#define KW_PARTS_MAX 12u

#define KW_AEAD_KEY_SIZE_MAX 32u
#define KW_AEAD_NONCE_SIZE 12u
#define KW_AEAD_TAG_SIZE 16u

/* SHA-256 (FIPS 180-4) of parts_count parts. */
KW_MUST_USE enum kw_err kw_sha256(const struct kw_view *parts, size_t parts_count, struct kw_digest *out);

/* HMAC-SHA-256 (RFC 2104); a key of any size, also empty. */
KW_MUST_USE enum kw_err kw_hmac_sha256(struct kw_view key, const struct kw_view *parts, size_t parts_count,
	struct kw_digest *out);

/* HKDF-Extract (RFC 5869 §2.2): out is the pseudorandom key. An empty salt stands for 32 zero bytes. */
KW_MUST_USE enum kw_err kw_hkdf_extract(struct kw_view salt, const struct kw_view *parts, size_t parts_count,
	struct kw_digest *out);

/* What HKDF-Expand (RFC 5869 §2.3) reads. */
struct kw_hkdf {
	struct kw_view key;           /* the pseudorandom key, 32 bytes unless a test says otherwise */
	const struct kw_view *parts;  /* the info, at most KW_PARTS_MAX parts */
	size_t parts_count;
};

/* Writes `size` bytes. KW_ETOOBIG when size > 255 * 32, out untouched. */
KW_MUST_USE enum kw_err kw_hkdf_expand(const struct kw_hkdf *hkdf, void *out, size_t size);

/* The numbers are the AEAD identifiers of RFC 9180 §7.3. AES-128 is here for that RFC's vectors; Kinward seals with the
 * other two. */
enum kw_aead_id {
	KW_AEAD_AES_128_GCM = 1,
	KW_AEAD_AES_256_GCM = 2,
	KW_AEAD_CHACHA20_POLY1305 = 3
};

/* 16 or 32; 0 for an id that is none of the above. */
size_t kw_aead_key_size(enum kw_aead_id id);

/* One use of one key: borrowed for the call. The same key and nonce must never meet two plaintexts. */
struct kw_aead {
	enum kw_aead_id id;
	const uint8_t *key;   /* kw_aead_key_size(id) bytes */
	const uint8_t *nonce; /* KW_AEAD_NONCE_SIZE bytes */
};

/* Encrypts: writes plain.size + KW_AEAD_TAG_SIZE bytes, the tag last. `out` may be plain.data itself, not overlap it
 * otherwise. KW_ETOOBIG over 2^31 - 1 bytes. */
KW_MUST_USE enum kw_err kw_aead_seal(const struct kw_aead *aead, struct kw_view aad, struct kw_view plain, uint8_t *out);

/* Decrypts: writes sealed.size - KW_AEAD_TAG_SIZE bytes.
 * KW_EOPEN  the tag does not verify or the input is shorter than a tag; what was written to out is wiped */
KW_MUST_USE enum kw_err kw_aead_open(const struct kw_aead *aead, struct kw_view aad, struct kw_view sealed, uint8_t *out);

/* Random bytes for keys and ids, from libcrypto's seeded generator. */
KW_MUST_USE enum kw_err kw_random(void *out, size_t size);

/* scrypt (RFC 7914): a key from a passphrase. Memory is 128 * r * 2^cost_log2 bytes. */
struct kw_scrypt {
	struct kw_view passphrase;
	struct kw_view salt;
	uint8_t cost_log2; /* 1..22 */
	uint8_t r;         /* 1..32 */
	uint8_t p;         /* 1..16 */
};

/* Writes `size` bytes, at most 1,024. KW_EFIELD when a cost is out of range, so that a damaged key file cannot ask for
 * all memory; KW_ETOOBIG for size. */
KW_MUST_USE enum kw_err kw_scrypt(const struct kw_scrypt *scrypt, void *out, size_t size);

#endif
