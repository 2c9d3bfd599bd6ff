#ifndef KW_WIRE_MLKEM_H
#define KW_WIRE_MLKEM_H

#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* ML-KEM-768 (FIPS 203), as libcrypto has it from 3.5 on. It is fetched by name at run time, so the same binary runs on
 * 3.0, where everything here answers KW_EVERSION. Only hybrid.h uses it: alone it is not trusted yet. */

#define KW_MLKEM_SEED_SIZE 64u /* d ‖ z: the secret key as it is kept */
#define KW_MLKEM_PUBLIC_SIZE 1184u
#define KW_MLKEM_ENC_SIZE 1088u
#define KW_MLKEM_RANDOM_SIZE 32u
#define KW_MLKEM_SHARED_SIZE 32u

/* Whether this libcrypto has it. Asked of it once per process. */
bool kw_mlkem_able(void);

/* All: KW_EVERSION not able; KW_EFIELD something has another size than above; KW_ECRYPTO. Outputs have the sizes above. */
KW_MUST_USE enum kw_err kw_mlkem_public(struct kw_view seed, uint8_t *out);
/* random: KW_MLKEM_RANDOM_SIZE bytes, used once. KW_EFIELD also: public_key has numbers out of range. */
KW_MUST_USE enum kw_err kw_mlkem_encap(struct kw_view public_key, const uint8_t *random, uint8_t *enc, uint8_t *shared);
/* A changed enc gives another secret (implicit rejection), no error. */
KW_MUST_USE enum kw_err kw_mlkem_decap(struct kw_view seed, struct kw_view enc, uint8_t *shared);

#endif
