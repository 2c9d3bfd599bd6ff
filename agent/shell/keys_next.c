#include <string.h>

#include "agent/shell/keys_inner.h"
#include "proto/wire/crypt.h"

static const char *const NAMES[KEYS_WHICH_COUNT] = {[KEYS_IDENTITY] = "identity", [KEYS_TLS] = "tls", [KEYS_SEALING] = "sealing",
	[KEYS_HYBRID] = "hybrid"};

const char *keys_which_name(enum keys_which which)
{
	return NAMES[which];
}

enum kw_err keys_which_from(const char *name, enum keys_which *out)
{
	for (unsigned i = 0; i < KEYS_HYBRID; i++) {
		if (strcmp(name, NAMES[i]) == 0) {
			*out = (enum keys_which)i;
			return KW_OK;
		}
	}
	return KW_EFIELD;
}

bool keys_next_is(const struct keys *keys, enum keys_which which)
{
	switch (which) {
	case KEYS_IDENTITY:
		return keys->next.identity_reason != 0;
	case KEYS_TLS:
		return keys->next.tls_set;
	case KEYS_HYBRID:
		return keys->next.hybrid.set;
	default:
		return keys->next.sealing_set;
	}
}

static enum kw_err make_sealing(struct keys *keys)
{
	if (keys->former_count == KEYS_FORMER_MAX)
		return KW_EFULL;
	enum kw_err err = kw_x25519_generate(&keys->next.sealing);
	if (err == KW_OK)
		err = keys_id(keys->next.sealing.public_key, keys->next.sealing_id);
	keys->next.sealing_set = err == KW_OK;
	return err;
}

enum kw_err keys_next_make(struct keys *keys, enum keys_which which, uint8_t reason)
{
	enum kw_err err;

	if (keys_next_is(keys, which))
		return KW_OK;
	switch (which) {
	case KEYS_IDENTITY:
		err = kw_ed25519_generate(&keys->next.identity);
		keys->next.identity_reason = err == KW_OK ? reason : 0;
		return err;
	case KEYS_TLS:
		err = kw_random(keys->next.tls_seed, sizeof(keys->next.tls_seed));
		keys->next.tls_set = err == KW_OK;
		return err;
	case KEYS_HYBRID:
		return keys_hybrid_make(keys);
	default:
		return make_sealing(keys);
	}
}

void keys_next_drop(struct keys *keys, enum keys_which which)
{
	switch (which) {
	case KEYS_IDENTITY:
		kw_wipe(&keys->next.identity, sizeof(keys->next.identity));
		keys->next.identity_reason = 0;
		return;
	case KEYS_TLS:
		kw_wipe(keys->next.tls_seed, sizeof(keys->next.tls_seed));
		keys->next.tls_set = false;
		return;
	case KEYS_HYBRID:
		kw_wipe(&keys->next.hybrid, sizeof(keys->next.hybrid));
		return;
	default:
		kw_wipe(&keys->next.sealing, sizeof(keys->next.sealing));
		kw_wipe(keys->next.sealing_id, sizeof(keys->next.sealing_id));
		keys->next.sealing_set = false;
	}
}

static void take_sealing(struct keys *keys, int64_t until_unix_ms)
{
	struct keys_former *former = &keys->former[keys->former_count++]; /* room: make_sealing */

	former->key = keys->sealing;
	memcpy(former->id, keys->sealing_id, sizeof(former->id));
	former->until_unix_ms = until_unix_ms;
	keys->sealing = keys->next.sealing;
	kw_wipe(&keys->next.sealing, sizeof(keys->next.sealing));
	keys->next.sealing_set = false;
}

enum kw_err keys_next_take(struct keys *keys, enum keys_which which, int64_t until_unix_ms)
{
	if (!keys_next_is(keys, which))
		return KW_OK;
	if (which == KEYS_SEALING) {
		take_sealing(keys, until_unix_ms);
	} else if (which == KEYS_HYBRID) {
		keys_hybrid_take(keys, until_unix_ms);
	} else if (which == KEYS_TLS) {
		memcpy(keys->tls_seed, keys->next.tls_seed, sizeof(keys->tls_seed));
		kw_wipe(keys->next.tls_seed, sizeof(keys->next.tls_seed));
		keys->next.tls_set = false;
	} else {
		keys->identity = keys->next.identity;
		kw_wipe(&keys->next.identity, sizeof(keys->next.identity));
		keys->next.identity_reason = 0;
	}
	return keys_fill_ids(keys);
}

bool keys_former_drop(struct keys *keys, int64_t now_unix_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < keys->former_count; i++) {
		if (keys->former[i].until_unix_ms > now_unix_ms)
			keys->former[kept++] = keys->former[i];
	}
	bool some = kept < keys->former_count;
	kw_wipe(&keys->former[kept], (keys->former_count - kept) * sizeof(keys->former[0]));
	keys->former_count = kept;
	return keys_hybrid_drop(keys, now_unix_ms) || some;
}

enum kw_err keys_sealing_find(const struct keys *keys, struct kw_view key_id, struct kw_x25519 *out)
{
	if (kw_view_equal(key_id, KW_VIEW_OF(keys->sealing_id))) {
		*out = keys->sealing;
		return KW_OK;
	}
	if (keys->next.sealing_set && kw_view_equal(key_id, KW_VIEW_OF(keys->next.sealing_id))) {
		*out = keys->next.sealing;
		return KW_OK;
	}
	for (uint32_t i = 0; i < keys->former_count; i++) {
		if (kw_view_equal(key_id, KW_VIEW_OF(keys->former[i].id))) {
			*out = keys->former[i].key;
			return KW_OK;
		}
	}
	return KW_ENOTFOUND;
}
