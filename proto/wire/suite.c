#include "proto/wire/suite.h"

#include <string.h>

#include "proto/base/check.h"

enum kw_aead_id kw_suite_aead(enum kw_suite suite)
{
	return suite == KW_SUITE_CHACHA ? KW_AEAD_CHACHA20_POLY1305 : KW_AEAD_AES_256_GCM;
}

enum kw_hpke_kem kw_suite_kem(enum kw_suite suite)
{
	return suite == KW_SUITE_HYBRID ? KW_HPKE_HYBRID : KW_HPKE_X25519;
}

enum kw_err kw_suite_keys(enum kw_suite suite, const struct kw_digest *header_hash, const uint8_t *dek,
	struct kw_suite_keys *out)
{
	KW_ASSERT(kw_suite_known(suite));
	struct kw_suite_keys keys = {.suite = suite, .header_hash = *header_hash};
	uint8_t number[2];
	kw_put_u16(number, (uint16_t)suite);
	struct kw_view commit[] = {kw_view_str("kw1 commit"), KW_VIEW_OF(number), KW_VIEW_OF(header_hash->bytes)};
	struct kw_view body[] = {kw_view_str("kw1 body"), KW_VIEW_OF(header_hash->bytes)};
	struct kw_view auth[] = {kw_view_str("kw1 auth"), KW_VIEW_OF(header_hash->bytes)};
	struct kw_view key = KW_VIEW(dek, KW_DEK_SIZE);
	enum kw_err err = kw_hkdf_expand(&(struct kw_hkdf){key, commit, 3}, keys.commit, sizeof(keys.commit));
	if (err == KW_OK)
		err = kw_hkdf_expand(&(struct kw_hkdf){key, body, 2}, keys.body, sizeof(keys.body));
	if (err == KW_OK)
		err = kw_hkdf_expand(&(struct kw_hkdf){key, auth, 2}, keys.auth, sizeof(keys.auth));
	if (err == KW_OK)
		*out = keys;
	kw_suite_keys_fini(&keys);
	return err;
}

void kw_suite_keys_fini(struct kw_suite_keys *keys)
{
	if (keys != NULL)
		kw_wipe(keys, sizeof(*keys));
}

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
	if (size > 0) /* an empty view may hold NULL */
		memcpy(at, data, size);
	return at + size;
}

static uint8_t *put_size(uint8_t *at, size_t size)
{
	KW_ASSERT(size <= UINT16_MAX);
	kw_put_u16(at, (uint16_t)size);
	return at + 2;
}

void kw_slot_info(const struct kw_envelope *envelope, const struct kw_digest *header_hash, struct kw_slot_info *out)
{
	struct kw_view agency = envelope->label.agency;
	struct kw_view hub = envelope->label.hub;
	KW_ASSERT(agency.size <= KW_NAME_SIZE_MAX && hub.size <= KW_NAME_SIZE_MAX);
	KW_ASSERT(envelope->key_id.size <= KW_KEY_ID_SIZE_MAX);
	uint8_t *at = put(out->bytes, "kw1 slot", 8);
	at = put(at, header_hash->bytes, KW_DIGEST_SIZE);
	at = put(at, envelope->commit, KW_DIGEST_SIZE);
	/* A name has no '@', so the joined destination splits in one way only. */
	at = put_size(at, agency.size + 1 + hub.size);
	at = put(at, agency.data, agency.size);
	at = put(at, "@", 1);
	at = put(at, hub.data, hub.size);
	at = put_size(at, envelope->key_id.size);
	at = put(at, envelope->key_id.data, envelope->key_id.size);
	out->size = (size_t)(at - out->bytes);
}

void kw_signed_from(const struct kw_digest *digest, struct kw_view claims, struct kw_signed *out)
{
	/* Not T alone: every recipient of one message knows the DEK, could seal another AuthBlock for the same T, and keep
	 * the signature under claims of its own making: another thread, another time, another type. */
	KW_ASSERT(claims.size <= KW_AUTH_SIZE_MAX);
	uint8_t *at = put(out->bytes, "kw1 env", 7);
	at = put(at, digest->bytes, KW_DIGEST_SIZE);
	at = put_size(at, claims.size);
	at = put(at, claims.data, claims.size);
	out->size = (size_t)(at - out->bytes);
}

static size_t chunks_count(size_t padded_size)
{
	return (padded_size + KW_CHUNK_SIZE - 1) / KW_CHUNK_SIZE;
}

size_t kw_body_sealed_size(size_t padded_size)
{
	return padded_size + chunks_count(padded_size) * KW_AEAD_TAG_SIZE;
}

void kw_suite_chunk_nonce(uint8_t *nonce, size_t index, bool last)
{
	memset(nonce, 0, KW_AEAD_NONCE_SIZE);
	kw_put_u32(nonce + 7, (uint32_t)index);
	nonce[11] = last ? 1 : 0;
}

static size_t chunk_size(size_t padded_size, size_t index)
{
	size_t left = padded_size - index * KW_CHUNK_SIZE;
	return left < KW_CHUNK_SIZE ? left : KW_CHUNK_SIZE;
}

enum kw_err kw_body_seal(const struct kw_suite_keys *keys, struct kw_view padded, uint8_t *out)
{
	KW_ASSERT(padded.size >= 1 && padded.size <= KW_BODY_SIZE_MAX);
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	struct kw_aead aead = {.id = kw_suite_aead(keys->suite), .key = keys->body, .nonce = nonce};
	size_t count = chunks_count(padded.size);
	enum kw_err err = KW_OK;
	for (size_t i = 0; i < count && err == KW_OK; i++) {
		size_t size = chunk_size(padded.size, i);
		kw_suite_chunk_nonce(nonce, i, i == count - 1);
		err = kw_aead_seal(&aead, KW_VIEW(NULL, 0), KW_VIEW(padded.data + i * KW_CHUNK_SIZE, size), out);
		out += size + KW_AEAD_TAG_SIZE;
	}
	return err;
}

enum kw_err kw_body_open(const struct kw_suite_keys *keys, struct kw_view sealed, size_t padded_size, uint8_t *out)
{
	KW_ASSERT(padded_size >= 1 && padded_size <= KW_BODY_SIZE_MAX);
	KW_ASSERT(sealed.size == kw_body_sealed_size(padded_size));
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	struct kw_aead aead = {.id = kw_suite_aead(keys->suite), .key = keys->body, .nonce = nonce};
	size_t count = chunks_count(padded_size);
	const uint8_t *at = sealed.data;
	enum kw_err err = KW_OK;
	for (size_t i = 0; i < count && err == KW_OK; i++) {
		size_t size = chunk_size(padded_size, i) + KW_AEAD_TAG_SIZE;
		kw_suite_chunk_nonce(nonce, i, i == count - 1);
		err = kw_aead_open(&aead, KW_VIEW(NULL, 0), KW_VIEW(at, size), out + i * KW_CHUNK_SIZE);
		at += size;
	}
	if (err != KW_OK)
		kw_wipe(out, padded_size);
	return err;
}

/* The key serves one message once, so a fixed nonce never repeats under it. */
static const uint8_t AUTH_NONCE[KW_AEAD_NONCE_SIZE];

enum kw_err kw_auth_seal(const struct kw_suite_keys *keys, const struct kw_digest *digest, struct kw_view block,
	uint8_t *out)
{
	struct kw_aead aead = {.id = kw_suite_aead(keys->suite), .key = keys->auth, .nonce = AUTH_NONCE};
	return kw_aead_seal(&aead, KW_VIEW_OF(digest->bytes), block, out);
}

enum kw_err kw_auth_open(const struct kw_suite_keys *keys, const struct kw_digest *digest, struct kw_view sealed,
	uint8_t *out)
{
	struct kw_aead aead = {.id = kw_suite_aead(keys->suite), .key = keys->auth, .nonce = AUTH_NONCE};
	return kw_aead_open(&aead, KW_VIEW_OF(digest->bytes), sealed, out);
}
