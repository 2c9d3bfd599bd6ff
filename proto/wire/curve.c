#include "proto/wire/curve.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "proto/wire/crypt.h"

static enum kw_err refused(enum kw_err err)
{
	ERR_clear_error();
	return err;
}

/* What makes key objects of raw bytes, kept per thread: to fetch it by name costs as much as all else around a key. It
 * never holds a key itself. */
struct makers {
	EVP_PKEY_CTX *x25519;
	EVP_PKEY_CTX *ed25519;
};

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static CRYPTO_THREAD_LOCAL makers_key;
static bool ready;

static void makers_free(void *data)
{
	struct makers *makers = data;
	if (makers == NULL)
		return;
	EVP_PKEY_CTX_free(makers->x25519);
	EVP_PKEY_CTX_free(makers->ed25519);
	OPENSSL_free(makers);
}

static void make_key(void)
{
	ready = CRYPTO_THREAD_init_local(&makers_key, makers_free) == 1;
}

static EVP_PKEY_CTX *maker_new(const char *type)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (context != NULL && EVP_PKEY_fromdata_init(context) == 1)
		return context;
	EVP_PKEY_CTX_free(context);
	return NULL;
}

/* This thread's, made on its first call; NULL when libcrypto cannot give them. */
static struct makers *makers_get(void)
{
	if (CRYPTO_THREAD_run_once(&once, make_key) != 1 || !ready)
		return NULL;
	struct makers *makers = CRYPTO_THREAD_get_local(&makers_key);
	if (makers != NULL)
		return makers;
	makers = OPENSSL_zalloc(sizeof(*makers));
	if (makers == NULL)
		return NULL;
	makers->x25519 = maker_new("X25519");
	makers->ed25519 = maker_new("ED25519");
	if (makers->x25519 == NULL || makers->ed25519 == NULL || CRYPTO_THREAD_set_local(&makers_key, makers) != 1) {
		makers_free(makers);
		return NULL;
	}
	return makers;
}

/* A key object. secret: NULL for one that only verifies or is agreed with. public_key: given with a secret, libcrypto does
 * not compute it again; NULL when it shall. */
static EVP_PKEY *load(int type, const uint8_t *secret, const uint8_t *public_key)
{
	struct makers *makers = makers_get();
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[3];
	size_t count = 0;
	if (makers == NULL)
		return NULL;
	if (secret != NULL)
		params[count++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t)secret,
			KW_KEY_SIZE);
	if (public_key != NULL)
		params[count++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)public_key,
			KW_KEY_SIZE);
	params[count] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata(type == EVP_PKEY_X25519 ? makers->x25519 : makers->ed25519, &key,
		secret != NULL ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

static enum kw_err public_of(int type, const uint8_t *secret, uint8_t *out)
{
	size_t size = KW_KEY_SIZE;
	EVP_PKEY *key = load(type, secret, NULL);
	bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &size) == 1 && size == KW_KEY_SIZE;
	EVP_PKEY_free(key);
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_ed25519_from_seed(const uint8_t *seed, struct kw_ed25519 *out)
{
	struct kw_ed25519 key;
	memcpy(key.seed, seed, sizeof(key.seed));
	enum kw_err err = public_of(EVP_PKEY_ED25519, key.seed, key.public_key);
	if (err == KW_OK)
		*out = key;
	kw_wipe(&key, sizeof(key));
	return err;
}

enum kw_err kw_ed25519_generate(struct kw_ed25519 *out)
{
	uint8_t seed[KW_KEY_SIZE];
	enum kw_err err = kw_random(seed, sizeof(seed));
	if (err == KW_OK)
		err = kw_ed25519_from_seed(seed, out);
	kw_wipe(seed, sizeof(seed));
	return err;
}

enum kw_err kw_ed25519_sign(const struct kw_ed25519 *key, struct kw_view message, uint8_t *signature)
{
	size_t size = KW_SIGNATURE_SIZE;
	EVP_PKEY *pair = load(EVP_PKEY_ED25519, key->seed, key->public_key);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = pair != NULL && context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
		EVP_DigestSign(context, signature, &size, message.data, message.size) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pair);
	return ok && size == KW_SIGNATURE_SIZE ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_ed25519_verify(const uint8_t *public_key, struct kw_view message, struct kw_view signature)
{
	if (signature.size != KW_SIGNATURE_SIZE)
		return KW_EAUTH;
	EVP_PKEY *key = load(EVP_PKEY_ED25519, NULL, public_key);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	enum kw_err err = KW_ECRYPTO;
	if (key != NULL && context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1)
		err = EVP_DigestVerify(context, signature.data, signature.size, message.data, message.size) == 1 ? KW_OK
														 : KW_EAUTH;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return err == KW_OK ? KW_OK : refused(err);
}

enum kw_err kw_x25519_from_secret(const uint8_t *secret, struct kw_x25519 *out)
{
	struct kw_x25519 key;
	memcpy(key.secret, secret, sizeof(key.secret));
	enum kw_err err = public_of(EVP_PKEY_X25519, key.secret, key.public_key);
	if (err == KW_OK)
		*out = key;
	kw_wipe(&key, sizeof(key));
	return err;
}

enum kw_err kw_x25519_generate(struct kw_x25519 *out)
{
	uint8_t secret[KW_KEY_SIZE];
	enum kw_err err = kw_random(secret, sizeof(secret));
	if (err == KW_OK)
		err = kw_x25519_from_secret(secret, out);
	kw_wipe(secret, sizeof(secret));
	return err;
}

enum kw_err kw_x25519_shared(const struct kw_x25519 *key, const uint8_t *public_key, uint8_t *shared)
{
	static const uint8_t ZERO[KW_KEY_SIZE];
	uint8_t secret[KW_KEY_SIZE];
	size_t size = sizeof(secret);
	enum kw_err err = KW_ECRYPTO;
	EVP_PKEY *own = load(EVP_PKEY_X25519, key->secret, key->public_key);
	EVP_PKEY *peer = load(EVP_PKEY_X25519, NULL, public_key);
	EVP_PKEY_CTX *context = own == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	/* Set the peer without validation: for X25519 it would only compare sizes, and derivation refuses low orders. */
	if (peer != NULL && context != NULL && EVP_PKEY_derive_init(context) == 1 &&
		EVP_PKEY_derive_set_peer_ex(context, peer, 0) == 1)
		err = EVP_PKEY_derive(context, secret, &size) == 1 && size == sizeof(secret) ? KW_OK : KW_EFIELD;
	/* libcrypto refuses an all-zero result too; a second look costs nothing and does not depend on its version. */
	if (err == KW_OK && kw_equal_secret(secret, ZERO, sizeof(secret)))
		err = KW_EFIELD;
	if (err == KW_OK)
		memcpy(shared, secret, sizeof(secret));
	kw_wipe(secret, sizeof(secret));
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	return err == KW_OK ? KW_OK : refused(err);
}
