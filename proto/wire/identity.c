#include "proto/wire/identity.h"

#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/identity_inner.h"

#define LABEL "kw1 identity"
/* Label, two names with their length, two keys, time, reason. */
#define STATEMENT_SIZE_MAX (sizeof(LABEL) - 1 + 2 * (1 + KW_NAME_SIZE_MAX) + 2 * KW_KEY_SIZE + 8 + 1)

static const char *const NAMES[KW_IDENTITY_REASON_COUNT] = {[KW_IDENTITY_SCHEDULED] = "scheduled",
	[KW_IDENTITY_STAFF] = "staff", [KW_IDENTITY_COMPROMISED] = "compromised"};

const char *kw_identity_reason_name(uint8_t reason)
{
	return reason < KW_IDENTITY_REASON_COUNT ? NAMES[reason] : NULL;
}

uint8_t kw_identity_reason_from(const char *name)
{
	for (uint8_t i = 1; i < KW_IDENTITY_REASON_COUNT; i++)
		if (strcmp(name, NAMES[i]) == 0)
			return i;
	return 0;
}

static uint8_t *put_name(uint8_t *at, const struct kw_name *name)
{
	size_t size = strlen(name->text);
	*at = (uint8_t)size;
	memcpy(at + 1, name->text, size);
	return at + 1 + size;
}

/* What both keys sign. */
static struct kw_view statement(const struct kw_identity_who *who, const uint8_t *key,
	const struct kw_identity_change *change, uint8_t out[STATEMENT_SIZE_MAX])
{
	uint8_t *at = out + sizeof(LABEL) - 1;
	memcpy(out, LABEL, sizeof(LABEL) - 1);
	at = put_name(at, who->agency);
	at = put_name(at, who->hub);
	memcpy(at, change->former_key, KW_KEY_SIZE);
	memcpy(at + KW_KEY_SIZE, key, KW_KEY_SIZE);
	at += 2 * (size_t)KW_KEY_SIZE;
	kw_put_u64(at, (uint64_t)change->unix_ms);
	at[8] = change->reason;
	return KW_VIEW(out, (size_t)(at + 9 - out));
}

static bool form_ok(const struct kw_identity_change *change)
{
	return kw_identity_reason_name(change->reason) != NULL && change->unix_ms > 0;
}

enum kw_err kw_identity_sign(const struct kw_identity_who *who, const struct kw_ed25519 *former,
	const struct kw_ed25519 *key, struct kw_identity_change *change)
{
	uint8_t bytes[STATEMENT_SIZE_MAX];
	if (!form_ok(change))
		return KW_EFIELD;
	memcpy(change->former_key, former->public_key, KW_KEY_SIZE);
	struct kw_view said = statement(who, key->public_key, change, bytes);
	enum kw_err err = kw_ed25519_sign(former, said, change->former_signature);
	return err != KW_OK ? err : kw_ed25519_sign(key, said, change->signature);
}

enum kw_err kw_identity_verify(const struct kw_identity_who *who, const uint8_t *key, const struct kw_identity_change *change)
{
	uint8_t bytes[STATEMENT_SIZE_MAX];
	if (!form_ok(change))
		return KW_EFIELD;
	if (memcmp(key, change->former_key, KW_KEY_SIZE) == 0)
		return KW_EAUTH;
	struct kw_view said = statement(who, key, change, bytes);
	enum kw_err err = kw_ed25519_verify(change->former_key, said, KW_VIEW_OF(change->former_signature));
	return err != KW_OK ? err : kw_ed25519_verify(key, said, KW_VIEW_OF(change->signature));
}

static ProtobufCBinaryData lend(const uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)data};
}

void kw_identity_lend(const struct kw_identity_change *change, Kinward__V1__IdentityChange *out)
{
	kinward__v1__identity_change__init(out);
	out->former_key = lend(change->former_key, KW_KEY_SIZE);
	out->changed_unix_ms = change->unix_ms;
	out->reason = (Kinward__V1__IdentityChangeReason)change->reason;
	out->former_signature = lend(change->former_signature, KW_SIGNATURE_SIZE);
	out->signature = lend(change->signature, KW_SIGNATURE_SIZE);
}

enum kw_err kw_identity_take(const Kinward__V1__IdentityChange *from, struct kw_identity_change *out)
{
	if (from->former_key.len != KW_KEY_SIZE || from->former_signature.len != KW_SIGNATURE_SIZE ||
		from->signature.len != KW_SIGNATURE_SIZE || from->changed_unix_ms <= 0 || from->reason < 1 ||
		from->reason >= (int)KW_IDENTITY_REASON_COUNT)
		return KW_EFIELD;
	memcpy(out->former_key, from->former_key.data, KW_KEY_SIZE);
	memcpy(out->former_signature, from->former_signature.data, KW_SIGNATURE_SIZE);
	memcpy(out->signature, from->signature.data, KW_SIGNATURE_SIZE);
	out->unix_ms = from->changed_unix_ms;
	out->reason = (uint8_t)from->reason;
	return KW_OK;
}

bool kw_directory_is_set(const struct kw_digest *digest)
{
	static const struct kw_digest none;
	return memcmp(digest, &none, sizeof(none)) != 0;
}

bool kw_directory_tls_key(const struct kw_directory_entry *entry, const struct kw_digest *key)
{
	return memcmp(&entry->tls_key_digest, key, sizeof(*key)) == 0 ||
		(kw_directory_is_set(&entry->next_tls_key_digest) &&
			memcmp(&entry->next_tls_key_digest, key, sizeof(*key)) == 0);
}

static bool has_id(const uint8_t *key, struct kw_view key_id)
{
	uint8_t id[KW_DIRECTORY_KEY_ID_SIZE];
	return kw_directory_key_id(key, id) == KW_OK && kw_view_equal(key_id, KW_VIEW_OF(id));
}

const uint8_t *kw_directory_identity(const struct kw_directory_entry *entry, struct kw_view key_id, int64_t sent_unix_ms,
	int64_t now_unix_ms)
{
	const struct kw_identity_change *change = &entry->identity_change;
	if (has_id(entry->identity_key, key_id))
		return entry->identity_key;
	if (change->reason == 0 || change->reason == KW_IDENTITY_COMPROMISED || sent_unix_ms > change->unix_ms ||
		now_unix_ms - change->unix_ms > KW_IDENTITY_FORMER_MS || !has_id(change->former_key, key_id))
		return NULL;
	return change->former_key;
}
