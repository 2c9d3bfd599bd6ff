#ifndef KW_WIRE_HYBRID_H
#define KW_WIRE_HYBRID_H

#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* The hybrid KEM of suite 0x11: MLKEM768-X25519 (draft-ietf-hpke-pq, KEM 0x647a; X-Wing, draft-connolly-cfrg-xwing-kem).
 * Its secret holds as long as one of ML-KEM-768 (FIPS 203) and X25519 does, so that what is recorded today stays closed
 * to a quantum computer of tomorrow.
 *
 * ML-KEM is in libcrypto from 3.5 on. It is fetched by name at run time: the same binary runs on 3.0, where everything
 * here answers KW_EVERSION and kw_hybrid_able() says so beforehand. */

#define KW_HYBRID_SEED_SIZE 32u
#define KW_HYBRID_PUBLIC_SIZE 1216u /* 1,184 of ML-KEM-768, then 32 of X25519 */
#define KW_HYBRID_ENC_SIZE 1120u    /* 1,088 of ML-KEM-768, then 32 of X25519 */
#define KW_HYBRID_RANDOM_SIZE 64u   /* 32 of ML-KEM-768, then an ephemeral X25519 secret */
#define KW_HYBRID_SHARED_SIZE 32u

/* Made by the functions below only, and wiped (kw_wipe) when done. */
struct kw_hybrid {
	uint8_t seed[KW_HYBRID_SEED_SIZE]; /* secret; both keys come from it */
	uint8_t public_key[KW_HYBRID_PUBLIC_SIZE];
};

/* Whether this libcrypto has ML-KEM-768. Asked of it once per process. */
bool kw_hybrid_able(void);

/* KW_EVERSION when not able; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_hybrid_generate(struct kw_hybrid *out);
/* seed: KW_HYBRID_SEED_SIZE bytes, may be out->seed. Errors as above. */
KW_MUST_USE enum kw_err kw_hybrid_from_seed(const uint8_t *seed, struct kw_hybrid *out);

/* A fresh secret for whoever holds the key. random: KW_HYBRID_RANDOM_SIZE bytes, used once; enc: KW_HYBRID_ENC_SIZE and
 * shared: KW_HYBRID_SHARED_SIZE bytes are written.
 * KW_EVERSION  not able
 * KW_EFIELD    public_key (KW_HYBRID_PUBLIC_SIZE bytes) is none: out of range for ML-KEM, of low order for X25519 */
KW_MUST_USE enum kw_err kw_hybrid_encap(const uint8_t *public_key, const uint8_t *random, uint8_t *enc, uint8_t *shared);
/* A changed enc of the right size gives another secret, by ML-KEM's rule of implicit rejection; what is sealed under it
 * does not open.
 * KW_EVERSION  not able
 * KW_EFIELD    enc is of low order for X25519 */
KW_MUST_USE enum kw_err kw_hybrid_decap(const struct kw_hybrid *key, const uint8_t *enc, uint8_t *shared);

#endif
