#include <string.h>

#include "agent/shell/keys.h"
#include "proto/wire/crypt.h"

/* The key of the hybrid suite. There is one only where libcrypto has ML-KEM. */

static enum kw_err digest_of(const uint8_t *public_key, struct kw_digest *out)
{
	const struct kw_view part = KW_VIEW(public_key, KW_HYBRID_PUBLIC_SIZE);
	return kw_sha256(&part, 1, out);
}

enum kw_err keys_hybrid_make(struct keys *keys)
{
	struct kw_hybrid fresh;
	struct keys_hybrid *next = &keys->next.hybrid;

	if (keys->former_hybrid_count == KEYS_FORMER_MAX)
		return KW_EFULL;
	enum kw_err err = kw_hybrid_generate(&fresh);
	if (err != KW_OK)
		return err;
	memcpy(next->seed, fresh.seed, sizeof(next->seed));
	err = digest_of(fresh.public_key, &next->public_digest);
	next->set = err == KW_OK;
	kw_wipe(&fresh, sizeof(fresh));
	return err;
}

void keys_hybrid_take(struct keys *keys, int64_t until_unix_ms)
{
	if (keys->hybrid.set) { /* room: keys_hybrid_make */
		keys->former_hybrid[keys->former_hybrid_count] = keys->hybrid;
		keys->former_hybrid[keys->former_hybrid_count++].until_unix_ms = until_unix_ms;
	}
	keys->hybrid = keys->next.hybrid;
	kw_wipe(&keys->next.hybrid, sizeof(keys->next.hybrid));
}

bool keys_hybrid_drop(struct keys *keys, int64_t now_unix_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < keys->former_hybrid_count; i++) {
		if (keys->former_hybrid[i].until_unix_ms > now_unix_ms)
			keys->former_hybrid[kept++] = keys->former_hybrid[i];
	}
	bool some = kept < keys->former_hybrid_count;
	kw_wipe(&keys->former_hybrid[kept], (keys->former_hybrid_count - kept) * sizeof(keys->former_hybrid[0]));
	keys->former_hybrid_count = kept;
	return some;
}

static bool has_id(const struct keys_hybrid *key, struct kw_view id)
{
	return key->set && kw_view_equal(id, KW_VIEW(key->public_digest.bytes, KEYS_ID_SIZE));
}

enum kw_err keys_hybrid_find(const struct keys *keys, struct kw_view key_id, struct kw_hybrid *out)
{
	const struct keys_hybrid *found = has_id(&keys->hybrid, key_id) ? &keys->hybrid
		: has_id(&keys->next.hybrid, key_id)                    ? &keys->next.hybrid
									: NULL;

	for (uint32_t i = 0; found == NULL && i < keys->former_hybrid_count; i++)
		found = has_id(&keys->former_hybrid[i], key_id) ? &keys->former_hybrid[i] : NULL;
	return found == NULL ? KW_ENOTFOUND : kw_hybrid_from_seed(found->seed, out);
}

bool keys_hybrid_is(const struct keys_hybrid *key, const uint8_t *public_key)
{
	struct kw_digest digest;

	return key->set && digest_of(public_key, &digest) == KW_OK && memcmp(&digest, &key->public_digest, sizeof(digest)) == 0;
}
