#include "proto/wire/mlkem.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define NAME "ML-KEM-768"

/* Names that the headers of 3.0 lack. */
#define PARAM_SEED "seed"
#define PARAM_RANDOM "ikme"

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static bool able;

static void look(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, NAME, NULL);
	able = context != NULL;
	EVP_PKEY_CTX_free(context);
	ERR_clear_error(); /* not to have it is no error */
}

bool kw_mlkem_able(void)
{
	return CRYPTO_THREAD_run_once(&once, look) == 1 && able;
}

static enum kw_err refused(enum kw_err err)
{
	ERR_clear_error();
	return err;
}

/* One octet string makes the key: the seed or the public half. */
static EVP_PKEY *load(const char *name, struct kw_view bytes, int selection)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, NAME, NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes.data, bytes.size),
		OSSL_PARAM_construct_end(),
	};
	if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, selection, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

static enum kw_err check(struct kw_view bytes, size_t size)
{
	if (!kw_mlkem_able())
		return KW_EVERSION;
	return bytes.size == size ? KW_OK : KW_EFIELD;
}

enum kw_err kw_mlkem_public(struct kw_view seed, uint8_t *out)
{
	size_t size = 0;
	enum kw_err err = check(seed, KW_MLKEM_SEED_SIZE);
	if (err != KW_OK)
		return err;
	EVP_PKEY *key = load(PARAM_SEED, seed, EVP_PKEY_KEYPAIR);
	bool ok = key != NULL &&
		EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, KW_MLKEM_PUBLIC_SIZE, &size) == 1 &&
		size == KW_MLKEM_PUBLIC_SIZE;
	EVP_PKEY_free(key);
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_mlkem_encap(struct kw_view public_key, const uint8_t *random, uint8_t *enc, uint8_t *shared)
{
	size_t enc_size = KW_MLKEM_ENC_SIZE;
	size_t shared_size = KW_MLKEM_SHARED_SIZE;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(PARAM_RANDOM, (void *)(uintptr_t)random, KW_MLKEM_RANDOM_SIZE),
		OSSL_PARAM_construct_end(),
	};
	enum kw_err err = check(public_key, KW_MLKEM_PUBLIC_SIZE);
	if (err != KW_OK)
		return err;
	EVP_PKEY *key = load(OSSL_PKEY_PARAM_PUB_KEY, public_key, EVP_PKEY_PUBLIC_KEY);
	if (key == NULL)
		return refused(KW_EFIELD);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = context != NULL && EVP_PKEY_encapsulate_init(context, params) == 1 &&
		EVP_PKEY_encapsulate(context, enc, &enc_size, shared, &shared_size) == 1 &&
		enc_size == KW_MLKEM_ENC_SIZE && shared_size == KW_MLKEM_SHARED_SIZE;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_mlkem_decap(struct kw_view seed, struct kw_view enc, uint8_t *shared)
{
	size_t size = KW_MLKEM_SHARED_SIZE;
	enum kw_err err = check(seed, KW_MLKEM_SEED_SIZE);
	if (err == KW_OK)
		err = check(enc, KW_MLKEM_ENC_SIZE);
	if (err != KW_OK)
		return err;
	EVP_PKEY *key = load(PARAM_SEED, seed, EVP_PKEY_KEYPAIR);
	EVP_PKEY_CTX *context = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = context != NULL && EVP_PKEY_decapsulate_init(context, NULL) == 1 &&
		EVP_PKEY_decapsulate(context, shared, &size, enc.data, enc.size) == 1 && size == KW_MLKEM_SHARED_SIZE;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return ok ? KW_OK : refused(KW_ECRYPTO);
}
