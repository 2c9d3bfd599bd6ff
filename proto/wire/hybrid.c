#include "proto/wire/hybrid.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "proto/wire/crypt.h"
#include "proto/wire/curve.h"
#include "proto/wire/mlkem.h"

_Static_assert(KW_HYBRID_PUBLIC_SIZE == KW_MLKEM_PUBLIC_SIZE + KW_KEY_SIZE, "a public key is both");
_Static_assert(KW_HYBRID_ENC_SIZE == KW_MLKEM_ENC_SIZE + KW_KEY_SIZE, "an encapsulation is both");
_Static_assert(KW_HYBRID_RANDOM_SIZE == KW_MLKEM_RANDOM_SIZE + KW_KEY_SIZE, "randomness is for both");

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *shake256;
static EVP_MD *sha3_256;

static void fetch_all(void)
{
	shake256 = EVP_MD_fetch(NULL, "SHAKE256", NULL);
	sha3_256 = EVP_MD_fetch(NULL, "SHA3-256", NULL);
}

static enum kw_err refused(enum kw_err err)
{
	ERR_clear_error();
	return err;
}

bool kw_hybrid_able(void)
{
	return kw_mlkem_able();
}

static enum kw_err ready(void)
{
	if (!kw_hybrid_able())
		return KW_EVERSION;
	if (CRYPTO_THREAD_run_once(&once, fetch_all) != 1 || shake256 == NULL || sha3_256 == NULL)
		return refused(KW_ECRYPTO);
	return KW_OK;
}

/* Both secrets in full. */
struct parts {
	uint8_t mlkem[KW_MLKEM_SEED_SIZE];
	struct kw_x25519 x25519;
};

/* expandDecapsulationKey: SHAKE256 stretches the seed into the seeds of both. */
static enum kw_err expand(const uint8_t *seed, struct parts *out)
{
	uint8_t stretched[KW_MLKEM_SEED_SIZE + KW_KEY_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool ok = hash != NULL && EVP_DigestInit_ex2(hash, shake256, NULL) == 1 &&
		EVP_DigestUpdate(hash, seed, KW_HYBRID_SEED_SIZE) == 1 &&
		EVP_DigestFinalXOF(hash, stretched, sizeof(stretched)) == 1;
	EVP_MD_CTX_free(hash);
	enum kw_err err = ok ? kw_x25519_from_secret(stretched + KW_MLKEM_SEED_SIZE, &out->x25519) : refused(KW_ECRYPTO);
	memcpy(out->mlkem, stretched, sizeof(out->mlkem));
	kw_wipe(stretched, sizeof(stretched));
	return err;
}

enum kw_err kw_hybrid_from_seed(const uint8_t *seed, struct kw_hybrid *out)
{
	struct kw_hybrid key;
	struct parts parts;
	enum kw_err err = ready();
	if (err != KW_OK)
		return err;
	memcpy(key.seed, seed, sizeof(key.seed));
	err = expand(key.seed, &parts);
	if (err == KW_OK)
		err = kw_mlkem_public(KW_VIEW_OF(parts.mlkem), key.public_key);
	if (err == KW_OK) {
		memcpy(key.public_key + KW_MLKEM_PUBLIC_SIZE, parts.x25519.public_key, KW_KEY_SIZE);
		*out = key;
	}
	kw_wipe(&parts, sizeof(parts));
	kw_wipe(&key, sizeof(key));
	return err;
}

enum kw_err kw_hybrid_generate(struct kw_hybrid *out)
{
	uint8_t seed[KW_HYBRID_SEED_SIZE];
	enum kw_err err = kw_random(seed, sizeof(seed));
	if (err == KW_OK)
		err = kw_hybrid_from_seed(seed, out);
	kw_wipe(seed, sizeof(seed));
	return err;
}

/* The two secrets that one is made of. */
struct joined {
	uint8_t mlkem[KW_MLKEM_SHARED_SIZE];
	uint8_t x25519[KW_KEY_SIZE];
};

/* The combiner of X-Wing. ML-KEM's part of enc need not be hashed, because ML-KEM does that itself. */
static enum kw_err join(const struct joined *joined, const uint8_t *x25519_enc, const uint8_t *x25519_public,
	uint8_t *shared)
{
	static const uint8_t LABEL[] = {'\\', '.', '/', '/', '^', '\\'};
	uint8_t digest[KW_HYBRID_SHARED_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool ok = hash != NULL && EVP_DigestInit_ex2(hash, sha3_256, NULL) == 1 &&
		EVP_DigestUpdate(hash, joined->mlkem, sizeof(joined->mlkem)) == 1 &&
		EVP_DigestUpdate(hash, joined->x25519, sizeof(joined->x25519)) == 1 &&
		EVP_DigestUpdate(hash, x25519_enc, KW_KEY_SIZE) == 1 &&
		EVP_DigestUpdate(hash, x25519_public, KW_KEY_SIZE) == 1 &&
		EVP_DigestUpdate(hash, LABEL, sizeof(LABEL)) == 1 && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
	EVP_MD_CTX_free(hash);
	if (ok)
		memcpy(shared, digest, sizeof(digest));
	kw_wipe(digest, sizeof(digest));
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_hybrid_encap(const uint8_t *public_key, const uint8_t *random, uint8_t *enc, uint8_t *shared)
{
	const uint8_t *x25519_public = public_key + KW_MLKEM_PUBLIC_SIZE;
	uint8_t fresh[KW_HYBRID_ENC_SIZE];
	struct kw_x25519 ephemeral;
	struct joined joined;
	enum kw_err err = ready();
	if (err != KW_OK)
		return err;
	err = kw_mlkem_encap(KW_VIEW(public_key, KW_MLKEM_PUBLIC_SIZE), random, fresh, joined.mlkem);
	if (err == KW_OK)
		err = kw_x25519_from_secret(random + KW_MLKEM_RANDOM_SIZE, &ephemeral);
	if (err == KW_OK)
		err = kw_x25519_shared(&ephemeral, x25519_public, joined.x25519);
	if (err == KW_OK) {
		memcpy(fresh + KW_MLKEM_ENC_SIZE, ephemeral.public_key, KW_KEY_SIZE);
		err = join(&joined, ephemeral.public_key, x25519_public, shared);
	}
	if (err == KW_OK)
		memcpy(enc, fresh, sizeof(fresh));
	kw_wipe(&ephemeral, sizeof(ephemeral));
	kw_wipe(&joined, sizeof(joined));
	return err;
}

enum kw_err kw_hybrid_decap(const struct kw_hybrid *key, const uint8_t *enc, uint8_t *shared)
{
	const uint8_t *x25519_enc = enc + KW_MLKEM_ENC_SIZE;
	struct parts parts;
	struct joined joined;
	enum kw_err err = ready();
	if (err != KW_OK)
		return err;
	err = expand(key->seed, &parts);
	if (err == KW_OK)
		err = kw_mlkem_decap(KW_VIEW_OF(parts.mlkem), KW_VIEW(enc, KW_MLKEM_ENC_SIZE), joined.mlkem);
	if (err == KW_OK)
		err = kw_x25519_shared(&parts.x25519, x25519_enc, joined.x25519);
	if (err == KW_OK)
		err = join(&joined, x25519_enc, parts.x25519.public_key, shared);
	kw_wipe(&parts, sizeof(parts));
	kw_wipe(&joined, sizeof(joined));
	return err;
}
