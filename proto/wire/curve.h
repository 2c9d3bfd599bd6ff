#ifndef KW_WIRE_CURVE_H
#define KW_WIRE_CURVE_H

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* Ed25519 signatures (RFC 8032, pure) and X25519 key agreement (RFC 7748), with raw 32-byte keys.
 *
 * Both key structs carry the public half beside the secret, because deriving it costs as much as the operation itself.
 * Make them only by the functions here: a signature made with a foreign public half gives the secret away. Wipe them
 * (kw_wipe) when done. KW_ECRYPTO means libcrypto refused what must succeed. */

#define KW_KEY_SIZE 32u
#define KW_SIGNATURE_SIZE 64u

struct kw_ed25519 {
	uint8_t seed[KW_KEY_SIZE]; /* secret */
	uint8_t public_key[KW_KEY_SIZE];
};

struct kw_x25519 {
	uint8_t secret[KW_KEY_SIZE]; /* secret; clamped when used, not here */
	uint8_t public_key[KW_KEY_SIZE];
};

KW_MUST_USE enum kw_err kw_ed25519_generate(struct kw_ed25519 *out);
/* seed: KW_KEY_SIZE bytes, may be out->seed. */
KW_MUST_USE enum kw_err kw_ed25519_from_seed(const uint8_t *seed, struct kw_ed25519 *out);
/* signature: KW_SIGNATURE_SIZE bytes are written. */
KW_MUST_USE enum kw_err kw_ed25519_sign(const struct kw_ed25519 *key, struct kw_view message, uint8_t *signature);
/* public_key: KW_KEY_SIZE bytes.
 * KW_EAUTH  the signature does not verify, has another size, or the key is no point */
KW_MUST_USE enum kw_err kw_ed25519_verify(const uint8_t *public_key, struct kw_view message, struct kw_view signature);

KW_MUST_USE enum kw_err kw_x25519_generate(struct kw_x25519 *out);
/* secret: KW_KEY_SIZE bytes, may be out->secret. */
KW_MUST_USE enum kw_err kw_x25519_from_secret(const uint8_t *secret, struct kw_x25519 *out);
/* public_key: the peer's, KW_KEY_SIZE bytes. shared: KW_KEY_SIZE bytes are written on KW_OK only.
 * KW_EFIELD  the shared secret would be all zero: a public key of low order (RFC 7748 §6.1, RFC 9180 §7.1.4) */
KW_MUST_USE enum kw_err kw_x25519_shared(const struct kw_x25519 *key, const uint8_t *public_key, uint8_t *shared);

#endif
