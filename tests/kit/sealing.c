#include "tests/kit/sealing.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/check.h"

/* SHA-256 of a label and a number: the kit's only source of bytes. */
static struct kw_digest draw(const char *label, uint64_t seed, uint64_t number)
{
	uint8_t numbers[16];
	struct kw_digest digest;
	kw_put_u64(numbers, seed);
	kw_put_u64(numbers + 8, number);
	struct kw_view parts[] = {kw_view_str(label), KW_VIEW_OF(numbers)};
	KW_ASSERT(kw_sha256(parts, 2, &digest) == KW_OK);
	return digest;
}

static enum kw_err fill(void *user, void *out, size_t size)
{
	struct kit_sealing *kit = user;
	struct kw_digest digest = draw("random", kit->seed, kit->drawn++);
	KW_ASSERT(size <= sizeof(digest.bytes));
	memcpy(out, digest.bytes, size);
	return KW_OK;
}

static struct kw_name name_of(const char *format, size_t number)
{
	struct kw_name name = {{0}};
	char text[KW_NAME_SIZE_MAX + 1];
	snprintf(text, sizeof(text), "%s-%zu", format, number);
	KW_ASSERT(kw_name_from(kw_view_str(text), &name) == KW_OK);
	return name;
}

static void make_hybrids(struct kit_sealing *kit)
{
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		if (kw_hybrid_able())
			KW_ASSERT(kw_hybrid_from_seed(draw("hybrid", 0, i).bytes, &kit->hybrids[i]) == KW_OK);
		kit->recipients[i].hybrid_key = kit->hybrids[i].public_key;
	}
}

static struct kw_key_id key_id_of(uint8_t first)
{
	return (struct kw_key_id){.size = KW_KEY_ID_SIZE_MIN, .bytes = {first, 1, 2, 3, 4, 5, 6, 7}};
}

void kit_sealing_init(struct kit_sealing *kit, enum kw_suite suite, size_t recipients_count, struct kw_view content)
{
	*kit = (struct kit_sealing){.seed = 1, .random = {.fill = fill, .user = kit}};
	KW_ASSERT(kw_ed25519_from_seed(draw("identity", 0, 0).bytes, &kit->identity) == KW_OK);
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		struct kw_seal_recipient *recipient = &kit->recipients[i];
		KW_ASSERT(kw_x25519_from_secret(draw("secret", 0, i).bytes, &kit->secrets[i]) == KW_OK);
		recipient->agency = name_of("agency", i);
		recipient->hub = name_of("hub", i % 2);
		recipient->key_id = key_id_of((uint8_t)i);
		memcpy(recipient->public_key, kit->secrets[i].public_key, KW_KEY_SIZE);
	}
	if (suite == KW_SUITE_HYBRID)
		make_hybrids(kit);
	kit->request = (struct kw_seal_request){
		.suite = suite,
		.recipients = kit->recipients,
		.recipients_count = recipients_count,
		.identity = &kit->identity,
		.claims = {
			.sender = name_of("sender", 9),
			.sender_hub = name_of("hub", 0),
			.key_id = key_id_of(0xf0),
			.sent_unix_ms = INT64_C(1795000000123),
			.content_type = 17,
			.thread_sequence = 300,
		},
		.home_hub = name_of("hub", 0),
		.msg_class = KW_NORMAL,
		.expiry_hour = 498700,
		.hops_max = 2,
		.content = content,
		.random = &kit->random,
	};
	memset(kit->request.claims.thread_id.bytes, 0x7d, KW_ID_SIZE);
}

void kit_sealing_dek(const struct kit_sealing *kit, uint8_t *dek)
{
	struct kw_digest digest = draw("random", kit->seed, kit->drawn + 1);
	memcpy(dek, digest.bytes, KW_DEK_SIZE);
}

static enum kw_err find_secret(void *user, struct kw_view key_id, struct kw_x25519 *out)
{
	const struct kit_sealing *kit = user;
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++)
		if (kw_view_equal(key_id, kw_key_id_view(&kit->recipients[i].key_id))) {
			*out = kit->secrets[i];
			return KW_OK;
		}
	return KW_ENOTFOUND;
}

static enum kw_err find_hybrid(void *user, struct kw_view key_id, struct kw_hybrid *out)
{
	const struct kit_sealing *kit = user;
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++)
		if (kw_view_equal(key_id, kw_key_id_view(&kit->recipients[i].key_id))) {
			*out = kit->hybrids[i];
			return KW_OK;
		}
	return KW_ENOTFOUND;
}

static enum kw_err find_identity(void *user, const struct kw_open_sender *sender, uint8_t *out)
{
	const struct kit_sealing *kit = user;
	const struct kw_claims *claims = &kit->request.claims;
	if (!kw_name_equal(sender->agency, &claims->sender) || !kw_name_equal(sender->hub, &claims->sender_hub) ||
		!kw_view_equal(sender->key_id, kw_key_id_view(&claims->key_id)))
		return KW_ENOTFOUND;
	memcpy(out, kit->identity.public_key, KW_KEY_SIZE);
	return KW_OK;
}

struct kw_open_request kit_sealing_open(struct kit_sealing *kit, size_t recipient_index, struct kw_view envelope)
{
	KW_ASSERT(recipient_index < KW_RECIPIENTS_MAX);
	return (struct kw_open_request){
		.envelope = envelope,
		.agency = kit->recipients[recipient_index].agency,
		.hub = kit->recipients[recipient_index].hub,
		.find_secret = find_secret,
		.find_hybrid = find_hybrid,
		.find_identity = find_identity,
		.user = kit,
	};
}
