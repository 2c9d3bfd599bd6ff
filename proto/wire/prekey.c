#include "proto/wire/prekey.h"

#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/frame_field.h"
#include "proto/wire/pbscan.h"

static const char SIGNED_HEAD[] = "kw1 prekeys";
#define SIGNED_HEAD_SIZE (sizeof(SIGNED_HEAD) - 1)
#define BATCH_SIZE_MAX (KW_PREKEYS_SIZE_MAX - 72u) /* the rest is tags, lengths and the signature */

uint32_t kw_prekey_day(int64_t unix_ms)
{
	if (unix_ms < 0)
		return 0;
	int64_t day = unix_ms / KW_PREKEY_DAY_MS;
	return day > KW_PREKEY_DAY_MAX ? KW_PREKEY_DAY_MAX : (uint32_t)day;
}

uint32_t kw_prekeys_last_day(const struct kw_prekeys *prekeys)
{
	return prekeys->first_day + prekeys->count - 1;
}

const uint8_t *kw_prekeys_key(const struct kw_prekeys *prekeys, uint32_t day)
{
	if (day < prekeys->first_day && prekeys->first_day - day <= KW_PREKEY_SLACK_DAYS)
		day = prekeys->first_day;
	if (day < prekeys->first_day || day - prekeys->first_day >= prekeys->count)
		return NULL;
	return prekeys->keys[day - prekeys->first_day];
}

enum kw_err kw_prekey_id(const uint8_t *public_key, uint8_t *out)
{
	struct kw_view part = KW_VIEW(public_key, KW_KEY_SIZE);
	struct kw_digest digest;
	enum kw_err err = kw_sha256(&part, 1, &digest);
	if (err == KW_OK)
		memcpy(out, digest.bytes, KW_PREKEY_ID_SIZE);
	return err;
}

/* A key for two days would be destroyed twice, and opened in between. */
static bool stands_twice(const struct kw_prekeys *prekeys)
{
	for (uint32_t i = 1; i < prekeys->count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (memcmp(prekeys->keys[i], prekeys->keys[k], KW_KEY_SIZE) == 0)
				return true;
	return false;
}

static enum kw_err check(const struct kw_prekeys *prekeys)
{
	if (prekeys->count < 1 || prekeys->count > KW_PREKEYS_MAX || prekeys->first_day < 1 ||
		prekeys->first_day > KW_PREKEY_DAY_MAX || kw_prekeys_last_day(prekeys) > KW_PREKEY_DAY_MAX || stands_twice(prekeys))
		return KW_EFIELD;
	return KW_OK;
}

static enum kw_err add_batch(struct kw_buf *out, const struct kw_prekeys *prekeys)
{
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(prekeys->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, kw_view_str(prekeys->hub.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW_OF(prekeys->identity_key_id));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, prekeys->first_day);
	for (uint32_t i = 0; err == KW_OK && i < prekeys->count; i++)
		err = kw_pb_add_bytes(out, 5, KW_VIEW_OF(prekeys->keys[i]));
	return err;
}

/* "kw1 prekeys" ‖ batch. */
static enum kw_err add_signed(struct kw_buf *out, struct kw_view batch)
{
	enum kw_err err = kw_buf_add(out, KW_VIEW(SIGNED_HEAD, SIGNED_HEAD_SIZE));
	return err != KW_OK ? err : kw_buf_add(out, batch);
}

enum kw_err kw_prekeys_sign(struct kw_prekeys *prekeys, const struct kw_ed25519 *identity, struct kw_buf *out)
{
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_buf text;
	enum kw_err err = check(prekeys);
	if (err == KW_OK)
		err = kw_prekey_id(identity->public_key, prekeys->identity_key_id);
	if (err != KW_OK)
		return err;
	kw_buf_init(&text, SIGNED_HEAD_SIZE + BATCH_SIZE_MAX);
	err = kw_buf_add(&text, KW_VIEW(SIGNED_HEAD, SIGNED_HEAD_SIZE));
	if (err == KW_OK)
		err = add_batch(&text, prekeys);
	if (err == KW_OK)
		err = kw_ed25519_sign(identity, kw_buf_view(&text), signature);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, KW_VIEW(text.data + SIGNED_HEAD_SIZE, text.size - SIGNED_HEAD_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW_OF(signature));
	kw_buf_fini(&text);
	return err;
}

static enum kw_err read_batch(struct kw_view bytes, struct kw_prekeys *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_prekeys prekeys = {.count = 0};
	struct kw_view agency = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	struct kw_view hub = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
	struct kw_view id = kw_pb_need_bytes(&pb, 3, KW_PREKEY_ID_SIZE, KW_PREKEY_ID_SIZE);
	prekeys.first_day = (uint32_t)kw_pb_need_uint(&pb, 4, KW_PREKEY_DAY_MAX);
	while (prekeys.count < KW_PREKEYS_MAX && kw_pb_is_next(&pb, 5)) {
		struct kw_view key = kw_pb_need_bytes(&pb, 5, KW_KEY_SIZE, KW_KEY_SIZE);
		if (key.size != KW_KEY_SIZE)
			break; /* sticky: told at the end */
		memcpy(prekeys.keys[prekeys.count++], key.data, KW_KEY_SIZE);
	}
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(agency, &prekeys.agency);
	if (err == KW_OK)
		err = kw_name_from(hub, &prekeys.hub);
	if (err == KW_OK)
		err = check(&prekeys);
	if (err != KW_OK)
		return err;
	memcpy(prekeys.identity_key_id, id.data, KW_PREKEY_ID_SIZE);
	*out = prekeys;
	return KW_OK;
}

struct parts {
	struct kw_view batch;
	struct kw_view signature;
};

static enum kw_err read_signed(struct kw_view bytes, struct parts *parts, struct kw_prekeys *out)
{
	if (bytes.size > KW_PREKEYS_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_pb pb = kw_pb_from(bytes);
	parts->batch = kw_pb_need_bytes(&pb, 1, 1, BATCH_SIZE_MAX);
	parts->signature = kw_pb_need_bytes(&pb, 2, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	return err != KW_OK ? err : read_batch(parts->batch, out);
}

enum kw_err kw_prekeys_read(struct kw_view bytes, struct kw_prekeys *out)
{
	struct parts parts;
	return read_signed(bytes, &parts, out);
}

const char *kw_prekey_rule_name(enum kw_prekey_rule rule)
{
	static const char *const names[KW_PREKEY_RULE_COUNT] = {"", "form", "agency", "key", "signature", "rollback"};
	return (unsigned)rule < KW_PREKEY_RULE_COUNT ? names[rule] : "unknown";
}

const char *kw_prekey_rule_text(enum kw_prekey_rule rule)
{
	static const char *const texts[KW_PREKEY_RULE_COUNT] = {"", "it does not parse, or breaks a rule of the schema",
		"it is another agency's, or of another hub: somebody has swapped it",
		"it was made under another identity key than the directory's", "the agency's identity key has not signed it",
		"it is older than the one that was accepted before"};
	return (unsigned)rule < KW_PREKEY_RULE_COUNT ? texts[rule] : "unknown";
}

static enum kw_err check_signature(const uint8_t *identity_key, const struct parts *parts)
{
	struct kw_buf text;
	kw_buf_init(&text, SIGNED_HEAD_SIZE + BATCH_SIZE_MAX);
	enum kw_err err = add_signed(&text, parts->batch);
	if (err == KW_OK)
		err = kw_ed25519_verify(identity_key, kw_buf_view(&text), parts->signature);
	kw_buf_fini(&text);
	return err;
}

static bool goes_back(const struct kw_prekeys *before, const struct kw_prekeys *now)
{
	if (before == NULL || memcmp(before->identity_key_id, now->identity_key_id, KW_PREKEY_ID_SIZE) != 0)
		return false;
	return now->first_day < before->first_day || kw_prekeys_last_day(now) < kw_prekeys_last_day(before);
}

static enum kw_err check_identity(const struct kw_prekeys_expect *expect, const struct kw_prekeys *prekeys,
	const struct parts *parts, enum kw_prekey_rule *rule)
{
	uint8_t id[KW_PREKEY_ID_SIZE];
	*rule = KW_PREKEY_RULE_KEY;
	enum kw_err err = kw_prekey_id(expect->identity_key, id);
	if (err == KW_OK && memcmp(id, prekeys->identity_key_id, sizeof(id)) != 0)
		err = KW_EAUTH;
	if (err != KW_OK)
		return err;
	*rule = KW_PREKEY_RULE_SIGNATURE;
	return check_signature(expect->identity_key, parts);
}

enum kw_err kw_prekeys_accept(const struct kw_prekeys_expect *expect, struct kw_view bytes, struct kw_prekeys *out,
	enum kw_prekey_rule *rule)
{
	struct parts parts;
	struct kw_prekeys prekeys;
	*rule = KW_PREKEY_RULE_FORM;
	enum kw_err err = read_signed(bytes, &parts, &prekeys);
	if (err != KW_OK)
		return err;
	*rule = KW_PREKEY_RULE_AGENCY;
	if (!kw_name_equal(&prekeys.agency, expect->agency) || !kw_name_equal(&prekeys.hub, expect->hub))
		return KW_EAUTH;
	if (expect->identity_key != NULL)
		err = check_identity(expect, &prekeys, &parts, rule);
	if (err != KW_OK)
		return err;
	*rule = KW_PREKEY_RULE_ROLLBACK;
	if (goes_back(expect->before, &prekeys))
		return KW_EVERSION;
	*rule = KW_PREKEY_RULE_NONE;
	*out = prekeys;
	return KW_OK;
}

enum kw_err kw_prekeys_want_parse(struct kw_view body, struct kw_prekeys_want *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_prekeys_want want = {.through_day = 0};
	struct kw_view agency = KW_VIEW(NULL, 0);
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1)
			agency = field.bytes;
		else
			want.through_day = (uint32_t)kw_fields_uint(&fields, &field, KW_PREKEY_DAY_MAX);
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = kw_name_from(agency, &want.agency);
	if (err == KW_OK)
		*out = want;
	return err;
}

enum kw_err kw_prekeys_want_add(struct kw_buf *out, const struct kw_prekeys_want *want)
{
	size_t start;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_PREKEYS_WANT, &start);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, kw_view_str(want->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, want->through_day);
	return kw_field_frame_end(out, start, err);
}
