#include "proto/wire/crypt.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "proto/base/check.h"

#define HMAC_BLOCK_SIZE 64u
#define AEAD_COUNT 4u /* indexed by enum kw_aead_id; 0 is unused */
#define SCRYPT_MEMORY_MAX (UINT64_C(2) << 30)
#define SCRYPT_OUT_MAX 1024u

struct contexts {
	EVP_MD_CTX *hash;
	EVP_CIPHER_CTX *aead[AEAD_COUNT];
};

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static CRYPTO_THREAD_LOCAL contexts_key;
static EVP_MD *sha256;
static EVP_CIPHER *ciphers[AEAD_COUNT];
static bool ready;

static void contexts_free(void *data)
{
	struct contexts *contexts = data;
	if (contexts == NULL)
		return;
	EVP_MD_CTX_free(contexts->hash);
	for (size_t i = 0; i < AEAD_COUNT; i++)
		EVP_CIPHER_CTX_free(contexts->aead[i]);
	OPENSSL_free(contexts);
}

static void fetch_all(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	ciphers[KW_AEAD_AES_128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	ciphers[KW_AEAD_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	ciphers[KW_AEAD_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	ready = sha256 != NULL && ciphers[1] != NULL && ciphers[2] != NULL && ciphers[3] != NULL &&
		CRYPTO_THREAD_init_local(&contexts_key, contexts_free) == 1;
}

/* This thread's contexts, made on its first call; NULL when libcrypto cannot give them. */
static struct contexts *contexts_get(void)
{
	if (CRYPTO_THREAD_run_once(&once, fetch_all) != 1 || !ready)
		return NULL;
	struct contexts *contexts = CRYPTO_THREAD_get_local(&contexts_key);
	if (contexts != NULL)
		return contexts;
	contexts = OPENSSL_zalloc(sizeof(*contexts));
	if (contexts == NULL)
		return NULL;
	bool ok = (contexts->hash = EVP_MD_CTX_new()) != NULL &&
		EVP_DigestInit_ex2(contexts->hash, sha256, NULL) == 1;
	for (size_t i = 1; i < AEAD_COUNT; i++)
		ok = ok && (contexts->aead[i] = EVP_CIPHER_CTX_new()) != NULL &&
			EVP_CipherInit_ex2(contexts->aead[i], ciphers[i], NULL, NULL, 1, NULL) == 1;
	if (!ok || CRYPTO_THREAD_set_local(&contexts_key, contexts) != 1) {
		contexts_free(contexts);
		return NULL;
	}
	return contexts;
}

/* libcrypto's error queue is per thread and grows with each refusal; ours are expected, so it is emptied here. */
static enum kw_err refused(enum kw_err err)
{
	ERR_clear_error();
	return err;
}

static bool hash_parts(EVP_MD_CTX *hash, const struct kw_view *parts, size_t parts_count)
{
	for (size_t i = 0; i < parts_count; i++)
		if (parts[i].size > 0 && EVP_DigestUpdate(hash, parts[i].data, parts[i].size) != 1)
			return false;
	return true;
}

/* One whole hash: `first` (may be empty), then the parts. */
static bool hash_whole(EVP_MD_CTX *hash, struct kw_view first, const struct kw_view *parts, size_t parts_count,
	uint8_t *out)
{
	return EVP_DigestInit_ex2(hash, NULL, NULL) == 1 && hash_parts(hash, &first, 1) &&
		hash_parts(hash, parts, parts_count) && EVP_DigestFinal_ex(hash, out, NULL) == 1;
}

enum kw_err kw_sha256(const struct kw_view *parts, size_t parts_count, struct kw_digest *out)
{
	struct contexts *contexts = contexts_get();
	struct kw_digest digest;
	if (contexts == NULL || !hash_whole(contexts->hash, KW_VIEW(NULL, 0), parts, parts_count, digest.bytes))
		return refused(KW_ECRYPTO);
	*out = digest;
	return KW_OK;
}

enum kw_err kw_hmac_sha256(struct kw_view key, const struct kw_view *parts, size_t parts_count, struct kw_digest *out)
{
	struct contexts *contexts = contexts_get();
	if (contexts == NULL)
		return refused(KW_ECRYPTO);
	uint8_t block[HMAC_BLOCK_SIZE] = {0};
	uint8_t inner[KW_DIGEST_SIZE];
	struct kw_digest tag;
	bool ok = true;
	if (key.size > sizeof(block))
		ok = hash_whole(contexts->hash, KW_VIEW(NULL, 0), &key, 1, block);
	else if (key.size > 0)
		memcpy(block, key.data, key.size);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36;
	ok = ok && hash_whole(contexts->hash, KW_VIEW_OF(block), parts, parts_count, inner);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	struct kw_view inner_view = KW_VIEW_OF(inner);
	ok = ok && hash_whole(contexts->hash, KW_VIEW_OF(block), &inner_view, 1, tag.bytes);
	/* Starting a new hash overwrites the state, which is the tag itself and may be a key. */
	ok = ok && EVP_DigestInit_ex2(contexts->hash, NULL, NULL) == 1;
	kw_wipe(block, sizeof(block));
	kw_wipe(inner, sizeof(inner));
	if (ok)
		*out = tag;
	kw_wipe(&tag, sizeof(tag));
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_hkdf_extract(struct kw_view salt, const struct kw_view *parts, size_t parts_count,
	struct kw_digest *out)
{
	/* HMAC pads its key with zeros, so an empty salt is already the 32 zero bytes RFC 5869 asks for. */
	return kw_hmac_sha256(salt, parts, parts_count, out);
}

enum kw_err kw_hkdf_expand(const struct kw_hkdf *hkdf, void *out, size_t size)
{
	KW_ASSERT(hkdf->parts_count <= KW_PARTS_MAX);
	if (size > (size_t)255 * KW_DIGEST_SIZE)
		return KW_ETOOBIG;
	struct kw_view parts[KW_PARTS_MAX + 2];
	struct kw_digest block;
	uint8_t counter = 0;
	enum kw_err err = KW_OK;
	if (hkdf->parts_count > 0)
		memcpy(parts + 1, hkdf->parts, hkdf->parts_count * sizeof(parts[0]));
	parts[hkdf->parts_count + 1] = KW_VIEW(&counter, 1);
	uint8_t *at = out;
	while (size > 0 && err == KW_OK) {
		parts[0] = KW_VIEW(block.bytes, counter == 0 ? 0 : sizeof(block.bytes));
		counter++;
		err = kw_hmac_sha256(hkdf->key, parts, hkdf->parts_count + 2, &block);
		if (err != KW_OK)
			break;
		size_t step = size < sizeof(block.bytes) ? size : sizeof(block.bytes);
		memcpy(at, block.bytes, step);
		at += step;
		size -= step;
	}
	kw_wipe(&block, sizeof(block));
	return err;
}

size_t kw_aead_key_size(enum kw_aead_id id)
{
	switch (id) {
	case KW_AEAD_AES_128_GCM:
		return 16;
	case KW_AEAD_AES_256_GCM:
	case KW_AEAD_CHACHA20_POLY1305:
		return 32;
	}
	return 0;
}

/* Keys the kept context and feeds the additional data. */
static EVP_CIPHER_CTX *aead_start(const struct kw_aead *aead, struct kw_view aad, bool seal)
{
	KW_ASSERT(kw_aead_key_size(aead->id) != 0);
	struct contexts *contexts = contexts_get();
	if (contexts == NULL)
		return NULL;
	EVP_CIPHER_CTX *cipher = contexts->aead[aead->id];
	int written;
	if (EVP_CipherInit_ex2(cipher, NULL, aead->key, aead->nonce, seal, NULL) != 1)
		return NULL;
	if (aad.size > 0 && EVP_CipherUpdate(cipher, NULL, &written, aad.data, (int)aad.size) != 1)
		return NULL;
	return cipher;
}

/* Overwrites the key in a kept context by a zero key: a reset would free it and cost an allocation per message. */
static bool aead_end(EVP_CIPHER_CTX *cipher)
{
	static const uint8_t ZERO[KW_AEAD_KEY_SIZE_MAX];
	return EVP_CipherInit_ex2(cipher, NULL, ZERO, ZERO, 1, NULL) == 1;
}

enum kw_err kw_aead_seal(const struct kw_aead *aead, struct kw_view aad, struct kw_view plain, uint8_t *out)
{
	if (aad.size > INT_MAX || plain.size > INT_MAX - KW_AEAD_TAG_SIZE)
		return KW_ETOOBIG;
	EVP_CIPHER_CTX *cipher = aead_start(aead, aad, true);
	if (cipher == NULL)
		return refused(KW_ECRYPTO);
	int written;
	bool ok = plain.size == 0 || EVP_CipherUpdate(cipher, out, &written, plain.data, (int)plain.size) == 1;
	ok = ok && EVP_CipherFinal_ex(cipher, out + plain.size, &written) == 1 &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, (int)KW_AEAD_TAG_SIZE, out + plain.size) == 1;
	ok = aead_end(cipher) && ok;
	return ok ? KW_OK : refused(KW_ECRYPTO);
}

enum kw_err kw_aead_open(const struct kw_aead *aead, struct kw_view aad, struct kw_view sealed, uint8_t *out)
{
	if (sealed.size < KW_AEAD_TAG_SIZE)
		return KW_EOPEN;
	if (aad.size > INT_MAX || sealed.size > INT_MAX)
		return KW_ETOOBIG;
	size_t size = sealed.size - KW_AEAD_TAG_SIZE;
	uint8_t tag[KW_AEAD_TAG_SIZE];
	memcpy(tag, sealed.data + size, sizeof(tag));
	EVP_CIPHER_CTX *cipher = aead_start(aead, aad, false);
	if (cipher == NULL)
		return refused(KW_ECRYPTO);
	int written;
	uint8_t none[KW_AEAD_TAG_SIZE];
	bool ok = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, (int)sizeof(tag), tag) == 1;
	ok = ok && (size == 0 || EVP_CipherUpdate(cipher, out, &written, sealed.data, (int)size) == 1);
	ok = ok && EVP_CipherFinal_ex(cipher, none, &written) == 1;
	if (!ok)
		kw_wipe(out, size);
	if (!aead_end(cipher)) {
		kw_wipe(out, size);
		return refused(KW_ECRYPTO);
	}
	return ok ? KW_OK : refused(KW_EOPEN);
}

enum kw_err kw_random(void *out, size_t size)
{
	if (size > INT_MAX || RAND_bytes(out, (int)size) != 1)
		return refused(KW_ECRYPTO);
	return KW_OK;
}

enum kw_err kw_scrypt(const struct kw_scrypt *scrypt, void *out, size_t size)
{
	if (scrypt->cost_log2 < 1 || scrypt->cost_log2 > 22 || scrypt->r < 1 || scrypt->r > 32 || scrypt->p < 1 ||
		scrypt->p > 16)
		return KW_EFIELD;
	if (size < 1 || size > SCRYPT_OUT_MAX)
		return KW_ETOOBIG;
	const char *passphrase = scrypt->passphrase.size ? (const char *)scrypt->passphrase.data : "";
	if (EVP_PBE_scrypt(passphrase, scrypt->passphrase.size, scrypt->salt.data, scrypt->salt.size,
		UINT64_C(1) << scrypt->cost_log2, scrypt->r, scrypt->p, SCRYPT_MEMORY_MAX, out, size) != 1)
		return refused(KW_ECRYPTO);
	return KW_OK;
}
