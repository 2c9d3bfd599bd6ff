#include "agent/shell/agent_roles_self.h"

#include <string.h>

#include "proto/link/log.h"
#include "proto/wire/crypt.h"

static bool has_identity(const struct agent_roles_self *self, const uint8_t *key)
{
	for (uint32_t i = 0; i < self->identity_count; i++)
		if (memcmp(self->identity_keys[i], key, KW_KEY_SIZE) == 0)
			return true;
	return false;
}

static bool has_tls(const struct agent_roles_self *self, const struct kw_digest *digest)
{
	for (uint32_t i = 0; i < self->tls_count; i++)
		if (memcmp(&self->tls_key_digests[i], digest, sizeof(*digest)) == 0)
			return true;
	return false;
}

static bool has_sealing(const struct agent_roles_self *self, const uint8_t *key)
{
	for (uint32_t i = 0; i < self->sealing_count; i++)
		if (memcmp(self->sealing_keys[i], key, KW_KEY_SIZE) == 0)
			return true;
	return false;
}

static bool has_hybrid(const struct agent_roles_self *self, const uint8_t *key)
{
	const struct kw_view part = KW_VIEW(key, KW_HYBRID_PUBLIC_SIZE);
	struct kw_digest digest;

	if (kw_sha256(&part, 1, &digest) != KW_OK)
		return false;
	for (uint32_t i = 0; i < self->hybrid_count; i++)
		if (memcmp(&self->hybrid_digests[i], &digest, sizeof(digest)) == 0)
			return true;
	return false;
}

bool agent_roles_is_self(const struct agent_roles_self *self, const struct kw_directory_entry *own)
{
	static const struct kw_digest none;
	if (!has_identity(self, own->identity_key) || !has_tls(self, &own->tls_key_digest))
		return false;
	if (memcmp(&own->next_tls_key_digest, &none, sizeof(none)) != 0 && !has_tls(self, &own->next_tls_key_digest))
		return false;
	for (uint8_t i = 0; i < own->sealing_keys_count; i++)
		if (!has_sealing(self, own->sealing_keys[i].public_key))
			return false;
	for (uint8_t i = 0; i < own->hybrid_keys_count; i++)
		if (!has_hybrid(self, own->hybrid_keys[i].public_key))
			return false;
	return true;
}

static void tell(const struct agent_roles_self *self, const struct kw_directory_entry *was, const struct kw_directory_entry *is)
{
	const struct kw_identity_who who = {.agency = &is->agency, .hub = &self->hub};
	bool own_word = memcmp(is->identity_change.former_key, was->identity_key, KW_KEY_SIZE) == 0 &&
		kw_identity_verify(&who, is->identity_key, &is->identity_change) == KW_OK;
	if (own_word)
		kw_log(KW_LOG_WARN, "identity_replaced", KW_LOG_STR("agency", is->agency.text),
			KW_LOG_STR("reason", kw_identity_reason_name(is->identity_change.reason)),
			KW_LOG_STR("text", "this agency has replaced its identity key itself: the former key says so"));
	else
		kw_log(KW_LOG_ERROR, "identity_unproven", KW_LOG_STR("agency", is->agency.text),
			KW_LOG_STR("text", "this agency has another identity key than before, and the former key has not said so: it has enrolled anew, or "
				"somebody has put a key in its place. Compare the fingerprint by telephone (kinward keys) before you send it anything"));
}

void agent_roles_tell_changes(const struct agent_roles_self *self, const struct kw_directory *before,
	const struct kw_directory *after)
{
	for (size_t i = 0; before != NULL && i < after->count; i++) {
		const struct kw_directory_entry *is = &after->entries[i];
		const struct kw_directory_entry *was = kw_directory_find(before, &is->agency);
		if (was != NULL && !kw_name_equal(&is->agency, &self->agency) && memcmp(was->identity_key, is->identity_key, KW_KEY_SIZE) != 0)
			tell(self, was, is);
	}
}
