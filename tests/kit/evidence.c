#include "tests/kit/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"

static void key_from(const char *label, struct kw_ed25519 *out)
{
	struct kw_digest seed;
	struct kw_view part = kw_view_str(label);
	KW_ASSERT(kw_sha256(&part, 1, &seed) == KW_OK);
	KW_ASSERT(kw_ed25519_from_seed(seed.bytes, out) == KW_OK);
}

static void sign(enum kw_role kind, struct kw_buf *payload, const struct kw_ed25519 *key, struct kw_buf *out)
{
	struct kw_role_signed role = {.payload = kw_buf_view(payload)};
	KW_ASSERT(kw_role_sign(&role, kind, key) == KW_OK);
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	KW_ASSERT(kw_role_add(out, &role) == KW_OK);
	kw_buf_clear(payload);
}

static void one_key(struct kw_role_keys *keys, const struct kw_ed25519 *key)
{
	*keys = (struct kw_role_keys){.threshold = 1};
	KW_ASSERT(kw_role_keys_put(keys, key->public_key) == KW_OK);
}

static void make_roots(struct kit_evidence *kit, struct kw_buf *payload)
{
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	struct kw_view parts[] = {KW_VIEW_OF(head), KW_VIEW_OF(kit->root.public_key)};
	struct kw_root *root = calloc(1, sizeof(*root));
	KW_ASSERT(root != NULL && kw_sha256(parts, 2, &kit->fingerprint) == KW_OK);
	root->tls_root_digest = kit->fingerprint;
	root->expires_unix_ms = KIT_EVIDENCE_MS * 2;
	one_key(&root->root, &kit->root);
	root->hub_count = 2;
	for (size_t i = 0; i < 2; i++) {
		root->hubs[i].hub = kit->sealing.recipients[i].hub;
		one_key(&root->hubs[i].registrar, &kit->log); /* until version 2 */
		one_key(&root->hubs[i].snapshot, &kit->snapshot);
		one_key(&root->hubs[i].timestamp, &kit->timestamp);
		one_key(&root->hubs[i].log, &kit->log);
	}
	for (size_t i = 0; i < 2; i++) {
		root->version = i + 1;
		KW_ASSERT(kw_root_add(payload, root) == KW_OK);
		sign(KW_ROLE_ROOT, payload, &kit->root, &kit->roots[i]);
		one_key(&root->hubs[0].registrar, &kit->registrar);
		one_key(&root->hubs[1].registrar, &kit->registrar);
	}
	free(root);
}

static struct kw_directory_entry entry_of(const struct kw_name *agency, const struct kw_ed25519 *identity,
	const struct kw_seal_recipient *sealing)
{
	struct kw_directory_entry entry = {.agency = *agency, .sealing_keys_count = 1};
	struct kw_directory_sealing_key *key = &entry.sealing_keys[0];
	memcpy(entry.identity_key, identity->public_key, KW_KEY_SIZE);
	memcpy(key->public_key, sealing->public_key, KW_KEY_SIZE);
	KW_ASSERT(kw_directory_key_id(key->public_key, key->key_id) == KW_OK);
	key->suites[0] = 1;
	key->suites_count = 1;
	return entry;
}

static void make_rest(struct kit_evidence *kit, struct kw_buf *payload)
{
	struct kw_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct kw_timestamp timestamp = {.hub = kit->sealing.recipients[0].hub, .version = 9, .signed_unix_ms = KIT_EVIDENCE_MS,
		.expires_unix_ms = KIT_EVIDENCE_MS + 86400000, .snapshot_version = 4, .root_version = 2};
	KW_ASSERT(snapshot != NULL);
	snapshot->hub = timestamp.hub;
	snapshot->version = 4;
	snapshot->expires_unix_ms = KIT_EVIDENCE_MS + 86400000;
	snapshot->count = 2;
	for (size_t h = 0; h < 2; h++) {
		struct kw_directory_entry entries[KW_RECIPIENTS_MAX + 1];
		struct kw_directory directory = {.hub = kit->sealing.recipients[h].hub, .version = 7 + h,
			.signed_unix_ms = KIT_EVIDENCE_MS, .expires_unix_ms = KIT_EVIDENCE_MS + 86400000, .entries = entries};
		for (size_t i = h; i < KW_RECIPIENTS_MAX; i += 2)
			entries[directory.count++] = entry_of(&kit->sealing.recipients[i].agency, &kit->identities[i],
				&kit->sealing.recipients[i]);
		if (h == 0)
			entries[directory.count++] = entry_of(&kit->sealing.request.claims.sender, &kit->sealing.identity,
				&kit->sealing.recipients[0]);
		KW_ASSERT(kw_directory_pack(&directory, payload) == KW_OK);
		snapshot->directories[h] = (struct kw_snapshot_entry){.hub = directory.hub, .version = directory.version};
		KW_ASSERT(kw_role_digest(kw_buf_view(payload), &snapshot->directories[h].digest) == KW_OK);
		sign(KW_ROLE_REGISTRAR, payload, &kit->registrar, &kit->directories[h]);
	}
	KW_ASSERT(kw_snapshot_add(payload, snapshot) == KW_OK);
	KW_ASSERT(kw_role_digest(kw_buf_view(payload), &timestamp.snapshot_digest) == KW_OK);
	sign(KW_ROLE_SNAPSHOT, payload, &kit->snapshot, &kit->snapshot_role);
	KW_ASSERT(kw_timestamp_add(payload, &timestamp) == KW_OK);
	sign(KW_ROLE_TIMESTAMP, payload, &kit->timestamp, &kit->timestamp_role);
	free(snapshot);
}

struct kw_receipt kit_evidence_about(const struct kit_evidence *kit, enum kw_receipt_level level)
{
	struct kw_receipt receipt = {.digest = kit->sealed.digest, .envelope_id = kit->sealed.envelope_id, .level = level,
		.at_unix_ms = KIT_EVIDENCE_MS + 1000 * (int64_t)level};
	if (level == KW_RECEIPT_FAILED)
		memcpy(receipt.failure, "bad_field", sizeof("bad_field"));
	return receipt;
}

void kit_evidence_receipt(const struct kit_receipt *what, struct kw_buf *out)
{
	struct kw_receipt_batch *batch = calloc(1, sizeof(*batch));
	struct kw_receipt_proof proof;
	uint8_t signature[KW_SIGNATURE_SIZE];
	KW_ASSERT(batch != NULL);
	for (uint32_t i = 0; i < what->count; i++) {
		struct kw_receipt other = {.level = KW_RECEIPT_STORED, .at_unix_ms = KIT_EVIDENCE_MS};
		memset(other.digest.bytes, (int)i + 1, KW_DIGEST_SIZE);
		memset(other.envelope_id.bytes, (int)i + 1, KW_ID_SIZE);
		KW_ASSERT(kw_receipt_batch_add(batch, i == what->index ? &what->receipt : &other) == KW_OK);
	}
	KW_ASSERT(kw_receipt_batch_sign(batch, what->identity, signature) == KW_OK);
	KW_ASSERT(kw_receipt_batch_prove(batch, what->index, &what->receipt, signature, &proof) == KW_OK);
	kw_buf_init(out, KW_RECEIPT_PROOF_SIZE_MAX);
	KW_ASSERT(kw_receipt_proof_add(out, &proof) == KW_OK);
	free(batch);
}

static void make_held(struct kit_evidence *kit, struct kw_buf *payload)
{
	static const uint8_t salt[KW_AUDIT_SALT_SIZE] = {0x5a, 0x17};
	struct kw_tree tree = {.size = 0};
	struct kw_digest first = {{1}};
	struct kw_digest leaf;
	struct kw_buf signed_role, bytes;
	struct kw_checkpoint checkpoint = {.hub = kit->sealing.request.home_hub, .size = 2, .at_unix_ms = KIT_EVIDENCE_MS + 500};
	struct kw_inclusion inclusion = {.index = 1, .salt = salt, .path = KW_VIEW_OF(first.bytes)};
	KW_ASSERT(kw_audit_leaf(salt, &kit->sealed.digest, &leaf) == KW_OK);
	KW_ASSERT(kw_tree_append(&tree, &first, NULL) == KW_OK);
	KW_ASSERT(kw_tree_append(&tree, &leaf, NULL) == KW_OK);
	KW_ASSERT(kw_tree_root(&tree, &checkpoint.root) == KW_OK);
	KW_ASSERT(kw_checkpoint_add(payload, &checkpoint) == KW_OK);
	sign(KW_ROLE_LOG, payload, &kit->log, &signed_role);
	kw_buf_init(&bytes, 4096);
	KW_ASSERT(kw_inclusion_add(&bytes, &inclusion) == KW_OK);
	kw_buf_init(&kit->held, 8192);
	KW_ASSERT(kw_held_proof_add(&kit->held, kw_buf_view(&signed_role), kw_buf_view(&bytes)) == KW_OK);
	kw_buf_fini(&signed_role);
	kw_buf_fini(&bytes);
}

void kit_evidence_init(struct kit_evidence *kit, size_t recipients_count)
{
	static const struct kit_receipt places[KIT_EVIDENCE_RECEIPTS] = {
		{.receipt.level = KW_RECEIPT_STORED, .index = 0, .count = 1},
		{.receipt.level = KW_RECEIPT_OPENED, .index = 4, .count = 5},
		{.receipt.level = KW_RECEIPT_DECIDED, .index = 77, .count = 128},
	};
	struct kw_buf payload;
	char label[] = "identity 0";
	memset(kit, 0, sizeof(*kit));
	kit_sealing_init(&kit->sealing, KW_SUITE_AES, recipients_count, kw_view_str("what nobody may read in evidence"));
	key_from("root", &kit->root);
	key_from("registrar", &kit->registrar);
	key_from("snapshot", &kit->snapshot);
	key_from("timestamp", &kit->timestamp);
	key_from("log", &kit->log);
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		label[sizeof(label) - 2] = (char)('0' + i);
		key_from(label, &kit->identities[i]);
	}
	uint8_t key_id[KW_DIRECTORY_KEY_ID_SIZE];
	KW_ASSERT(kw_directory_key_id(kit->sealing.identity.public_key, key_id) == KW_OK);
	KW_ASSERT(kw_key_id_from(KW_VIEW_OF(key_id), &kit->sealing.request.claims.key_id) == KW_OK);
	KW_ASSERT(kw_seal(&kit->sealing.request, &kit->sealed) == KW_OK);
	kw_buf_init(&payload, KW_ROLE_SIZE_MAX);
	make_roots(kit, &payload);
	make_rest(kit, &payload);
	make_held(kit, &payload);
	kw_buf_fini(&payload);
	kw_buf_init(&kit->envelope, KW_ENVELOPE_PROOF_SIZE_MAX);
	KW_ASSERT(kw_envelope_proof_of(&kit->sealed, 0, &kit->envelope) == KW_OK);
	for (size_t i = 0; i < KIT_EVIDENCE_RECEIPTS; i++) {
		struct kit_receipt what = places[i];
		what.receipt = kit_evidence_about(kit, what.receipt.level);
		what.identity = &kit->identities[0];
		kit_evidence_receipt(&what, &kit->receipts[i]);
	}
}

void kit_evidence_fini(struct kit_evidence *kit)
{
	kw_sealed_fini(&kit->sealed);
	for (size_t i = 0; i < 2; i++) {
		kw_buf_fini(&kit->roots[i]);
		kw_buf_fini(&kit->directories[i]);
	}
	kw_buf_fini(&kit->timestamp_role);
	kw_buf_fini(&kit->snapshot_role);
	kw_buf_fini(&kit->envelope);
	kw_buf_fini(&kit->held);
	for (size_t i = 0; i < KIT_EVIDENCE_RECEIPTS; i++)
		kw_buf_fini(&kit->receipts[i]);
}

struct kw_evidence_parts kit_evidence_parts(const struct kit_evidence *kit)
{
	struct kw_evidence_parts parts = {.envelope = kw_buf_view(&kit->envelope), .held = kw_buf_view(&kit->held), .receipts_count = KIT_EVIDENCE_RECEIPTS,
		.roles = {.roots_count = 2, .timestamp = kw_buf_view(&kit->timestamp_role),
			.snapshot = kw_buf_view(&kit->snapshot_role), .directories_count = 1}};
	for (uint32_t i = 0; i < 2; i++)
		parts.roles.roots[i] = kw_buf_view(&kit->roots[i]);
	parts.roles.directories[0] = kw_buf_view(&kit->directories[0]);
	for (size_t i = 0; i < KIT_EVIDENCE_RECEIPTS; i++)
		parts.receipts[i] = kw_buf_view(&kit->receipts[i]);
	return parts;
}

void kit_evidence_file(const struct kw_evidence_parts *parts, struct kw_buf *out)
{
	kw_buf_init(out, KW_EVIDENCE_SIZE_MAX);
	KW_ASSERT(kw_evidence_add(out, parts) == KW_OK);
}

bool kit_evidence_receipt_same(const struct kw_receipt *a, const struct kw_receipt *b)
{
	return memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0 && kw_id_equal(&a->envelope_id, &b->envelope_id) &&
		a->level == b->level && strcmp(a->failure, b->failure) == 0 && a->at_unix_ms == b->at_unix_ms;
}

static bool claims_same(const struct kw_claims *a, const struct kw_claims *b)
{
	return kw_name_equal(&a->sender, &b->sender) && kw_name_equal(&a->sender_hub, &b->sender_hub) &&
		kw_view_equal(kw_key_id_view(&a->key_id), kw_key_id_view(&b->key_id)) && a->sent_unix_ms == b->sent_unix_ms &&
		a->content_type == b->content_type && kw_id_equal(&a->thread_id, &b->thread_id) &&
		a->thread_sequence == b->thread_sequence;
}

static bool held_same(const struct kw_evidence *a, const struct kw_evidence *b)
{
	return a->held == b->held && kw_name_equal(&a->checkpoint.hub, &b->checkpoint.hub) &&
		a->checkpoint.size == b->checkpoint.size && a->checkpoint.at_unix_ms == b->checkpoint.at_unix_ms &&
		memcmp(&a->checkpoint.root, &b->checkpoint.root, sizeof(a->checkpoint.root)) == 0;
}

bool kit_evidence_same(const struct kw_evidence *a, const struct kw_evidence *b)
{
	if (a->receipts_count != b->receipts_count)
		return false;
	for (uint32_t i = 0; i < a->receipts_count; i++)
		if (!kit_evidence_receipt_same(&a->receipts[i], &b->receipts[i]))
			return false;
	return memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0 &&
		memcmp(&a->body_digest, &b->body_digest, sizeof(a->body_digest)) == 0 &&
		kw_id_equal(&a->envelope_id, &b->envelope_id) && a->msg_class == b->msg_class && a->size_bucket == b->size_bucket &&
		a->expiry_hour == b->expiry_hour && claims_same(&a->claims, &b->claims) &&
		kw_name_equal(&a->home_hub, &b->home_hub) && kw_name_equal(&a->recipient, &b->recipient) &&
		kw_name_equal(&a->recipient_hub, &b->recipient_hub) && a->sender_revoked == b->sender_revoked &&
		a->recipient_revoked == b->recipient_revoked && a->root_version == b->root_version &&
		a->roles_unix_ms == b->roles_unix_ms && held_same(a, b);
}
