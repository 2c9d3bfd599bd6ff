#include "proto/wire/blob.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/suite.h"

uint32_t kw_blob_padded_size(uint32_t size)
{
	KW_ASSERT(size <= KW_BLOB_SIZE_MAX);
	return kw_pad_round(size > 0 ? size : 1);
}

bool kw_blob_size_ok(uint64_t padded_size)
{
	return padded_size >= 1 && padded_size <= KW_BLOB_SIZE_MAX && kw_pad_round((uint32_t)padded_size) == padded_size;
}

uint32_t kw_blob_chunks(uint32_t padded_size)
{
	return (padded_size + KW_BLOB_CHUNK_SIZE - 1) / KW_BLOB_CHUNK_SIZE;
}

uint32_t kw_blob_sealed_size(uint32_t padded_size)
{
	return padded_size + kw_blob_chunks(padded_size) * KW_AEAD_TAG_SIZE;
}

uint32_t kw_blob_chunk_size(uint32_t padded_size, uint32_t index)
{
	uint32_t left = padded_size - index * KW_BLOB_CHUNK_SIZE;
	return (left < KW_BLOB_CHUNK_SIZE ? left : KW_BLOB_CHUNK_SIZE) + KW_AEAD_TAG_SIZE;
}

enum kw_err kw_blob_keys(const uint8_t *key, struct kw_blob_keys *out)
{
	struct kw_view commit = kw_view_str("kw1 blob commit");
	struct kw_view body = kw_view_str("kw1 blob body");
	struct kw_view view = KW_VIEW(key, KW_BLOB_KEY_SIZE);
	struct kw_blob_keys keys;
	enum kw_err err = kw_hkdf_expand(&(struct kw_hkdf){view, &commit, 1}, keys.commit.bytes, sizeof(keys.commit.bytes));
	if (err == KW_OK)
		err = kw_hkdf_expand(&(struct kw_hkdf){view, &body, 1}, keys.body, sizeof(keys.body));
	if (err == KW_OK)
		*out = keys;
	kw_blob_keys_fini(&keys);
	return err;
}

void kw_blob_keys_fini(struct kw_blob_keys *keys)
{
	if (keys != NULL)
		kw_wipe(keys, sizeof(*keys));
}

enum kw_err kw_blob_seal(const struct kw_blob_keys *keys, struct kw_blob_place place, struct kw_view plain, uint8_t *out)
{
	uint32_t chunks = kw_blob_chunks(place.padded_size);
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	KW_ASSERT(place.index < chunks);
	KW_ASSERT(plain.size + KW_AEAD_TAG_SIZE == kw_blob_chunk_size(place.padded_size, place.index));
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = keys->body, .nonce = nonce};
	kw_suite_chunk_nonce(nonce, place.index, place.index == chunks - 1);
	return kw_aead_seal(&aead, KW_VIEW(NULL, 0), plain, out);
}

enum kw_err kw_blob_open(const struct kw_blob_keys *keys, struct kw_blob_place place, struct kw_view sealed, uint8_t *out)
{
	uint32_t chunks = kw_blob_chunks(place.padded_size);
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	if (place.index >= chunks || sealed.size != kw_blob_chunk_size(place.padded_size, place.index))
		return KW_EOPEN;
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = keys->body, .nonce = nonce};
	kw_suite_chunk_nonce(nonce, place.index, place.index == chunks - 1);
	return kw_aead_open(&aead, KW_VIEW(NULL, 0), sealed, out);
}

static uint32_t above(uint32_t width)
{
	return (width + 1) / 2;
}

uint32_t kw_blob_tree_count(uint32_t chunks)
{
	uint32_t count = chunks;
	for (uint32_t width = chunks; width > 1; width = above(width))
		count += above(width);
	return count;
}

enum kw_err kw_blob_tree_build(uint32_t chunks, struct kw_digest *nodes)
{
	enum kw_err err = KW_OK;
	for (uint32_t width = chunks; width > 1 && err == KW_OK; width = above(width)) {
		struct kw_digest *up = nodes + width;
		for (uint32_t i = 0; i < width && err == KW_OK; i += 2) {
			if (i + 1 < width)
				err = kw_merkle_node(&nodes[i], &nodes[i + 1], &up[i / 2]);
			else
				up[i / 2] = nodes[i];
		}
		nodes = up;
	}
	return err;
}

uint32_t kw_blob_tree_path(uint32_t chunks, uint32_t index, uint32_t places[KW_BLOB_PATH_MAX])
{
	uint32_t count = 0;
	uint32_t start = 0;
	KW_ASSERT(chunks <= KW_BLOB_CHUNKS_MAX && index < chunks);
	for (uint32_t width = chunks; width > 1; width = above(width)) {
		if ((index ^ 1u) < width)
			places[count++] = start + (index ^ 1u);
		start += width;
		index /= 2;
	}
	return count;
}

enum kw_err kw_blob_name(uint32_t padded_size, const struct kw_digest *commit, const struct kw_digest *root,
	struct kw_digest *out)
{
	uint8_t size[8];
	kw_put_u64(size, padded_size);
	struct kw_view parts[] = {kw_view_str("kw1 blob"), KW_VIEW_OF(size), KW_VIEW_OF(commit->bytes), KW_VIEW_OF(root->bytes)};
	return kw_sha256(parts, 4, out);
}

enum kw_err kw_blob_check(const struct kw_blob_what *what, uint32_t index, struct kw_view sealed, struct kw_view path,
	struct kw_digest *leaf)
{
	uint32_t places[KW_BLOB_PATH_MAX];
	uint32_t chunks = kw_blob_chunks(what->size);
	struct kw_digest mine, at, name;
	if (index >= chunks || sealed.size != kw_blob_chunk_size(what->size, index) ||
		path.size != (size_t)kw_blob_tree_path(chunks, index, places) * KW_DIGEST_SIZE)
		return KW_EAUTH;
	enum kw_err err = kw_merkle_leaf(sealed, &mine);
	const uint8_t *next = path.data;
	at = mine;
	for (uint32_t width = chunks, i = index; width > 1 && err == KW_OK; width = above(width), i /= 2) {
		struct kw_digest beside;
		if ((i ^ 1u) >= width)
			continue;
		memcpy(beside.bytes, next, KW_DIGEST_SIZE);
		next += KW_DIGEST_SIZE;
		err = i & 1 ? kw_merkle_node(&beside, &at, &at) : kw_merkle_node(&at, &beside, &at);
	}
	if (err == KW_OK)
		err = kw_blob_name(what->size, &what->commit, &at, &name);
	if (err == KW_OK && memcmp(name.bytes, what->digest.bytes, KW_DIGEST_SIZE) != 0)
		err = KW_EAUTH;
	if (err == KW_OK)
		*leaf = mine;
	return err;
}
