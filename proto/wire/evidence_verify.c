#include "proto/wire/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/suite.h"

/* Verifying an evidence file, in this order: form; roles from the root fingerprint down; T; the sender's signature; each
 * receipt. Age does not matter: what was signed is proven also when the roles have expired since. */

const char *kw_evidence_fault_name(enum kw_evidence_fault fault)
{
	static const char *const names[KW_EVIDENCE_FAULT_COUNT] = {"none", "form", "roles", "sender", "signature", "recipient",
		"other_envelope", "receipt", "held", "local"};
	return fault < KW_EVIDENCE_FAULT_COUNT ? names[fault] : "unknown";
}

const char *kw_evidence_fault_text(enum kw_evidence_fault fault)
{
	static const char *const texts[KW_EVIDENCE_FAULT_COUNT] = {
		[KW_EVIDENCE_FINE] = "nothing is wrong with it",
		[KW_EVIDENCE_FORM] = "is no evidence file of a version that this program knows, or is damaged: ask for it again",
		[KW_EVIDENCE_ROLES] = "does not lead from this root fingerprint to the agencies' keys: changed, or of another network",
		[KW_EVIDENCE_SENDER] = "names a sender that its directory has not with the key that signed: it proves nothing about who sent it",
		[KW_EVIDENCE_SIGNATURE] = "is not signed by the sender that it names: it was changed, or put together from several",
		[KW_EVIDENCE_RECIPIENT] = "names a recipient that its directory has not: it proves nothing about who confirmed it",
		[KW_EVIDENCE_ENVELOPE] = "holds a receipt that is about another message",
		[KW_EVIDENCE_RECEIPT] = "holds a receipt that the recipient has not signed",
		[KW_EVIDENCE_HELD] = "holds a hub's word that it logged the message, and that does not hold",
		[KW_EVIDENCE_LOCAL] = "could not be checked here: memory or libcrypto failed; try again",
	};
	return fault < KW_EVIDENCE_FAULT_COUNT ? texts[fault] : "unknown";
}

struct checking {
	struct kw_evidence_parts parts;
	struct kw_envelope_proof proof;
	struct kw_role_client *client;
	struct kw_directory *directories[KW_EVIDENCE_DIRECTORIES_MAX];
	uint32_t directories_count;
	const struct kw_directory_entry *recipient;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
};

/* Our own trouble says nothing about the file. */
static enum kw_err blame(struct checking *c, enum kw_err err, enum kw_evidence_fault fault)
{
	if (err != KW_OK)
		c->why.fault = kw_err_class(err) == KW_CLASS_FATAL ? KW_EVIDENCE_LOCAL : fault;
	return err;
}

static enum kw_err read_parts(struct checking *c, struct kw_view bytes)
{
	struct kw_evidence *out = &c->evidence;
	const struct kw_envelope_label *label = &c->proof.envelope.label;
	enum kw_err err = kw_evidence_read(bytes, &c->parts);
	if (err == KW_OK)
		err = kw_envelope_proof_read(c->parts.envelope, &c->proof);
	if (err == KW_OK)
		err = kw_claims_parse(c->proof.claims, &out->claims);
	if (err == KW_OK)
		err = kw_name_from(label->home_hub, &out->home_hub);
	if (err == KW_OK)
		err = kw_name_from(label->agency, &out->recipient);
	if (err == KW_OK)
		err = kw_name_from(label->hub, &out->recipient_hub);
	if (err != KW_OK)
		return blame(c, err, KW_EVIDENCE_FORM);
	out->envelope_id = label->id;
	out->msg_class = label->msg_class;
	out->size_bucket = label->size_bucket;
	out->expiry_hour = label->expiry_hour;
	out->body_digest = c->proof.body_digest;
	return KW_OK;
}

/* As of the moment when the timestamp was signed: age does not matter here, but what had expired by then is refused. */
static enum kw_err signed_at(struct kw_view bytes, int64_t *out)
{
	struct kw_role_signed role;
	struct kw_timestamp timestamp;
	enum kw_err err = kw_role_parse(bytes, &role);
	if (err == KW_OK)
		err = kw_timestamp_read(role.payload, &timestamp);
	if (err == KW_OK)
		*out = timestamp.signed_unix_ms;
	return err;
}

/* Every directory is another hub's, and is the one that the snapshot names. */
static enum kw_err read_directory(struct checking *c, struct kw_view bytes)
{
	struct kw_role_signed role;
	struct kw_directory *found = NULL;
	struct kw_name hub = {0};
	enum kw_err err = kw_role_parse(bytes, &role);
	if (err == KW_OK)
		err = kw_directory_read(role.payload, &found);
	if (err == KW_OK)
		hub = found->hub;
	kw_directory_free(found);
	if (err != KW_OK)
		return err;
	for (uint32_t i = 0; i < c->directories_count; i++)
		if (kw_name_equal(&c->directories[i]->hub, &hub))
			return KW_EFIELD;
	err = kw_role_client_directory(c->client, &hub, bytes, &c->directories[c->directories_count], &c->why.rule);
	c->directories_count += err == KW_OK;
	return err;
}

static enum kw_err check_roles(struct checking *c, const struct kw_digest *root_fingerprint)
{
	const struct kw_evidence_roles *roles = &c->parts.roles;
	enum kw_role_rule *rule = &c->why.rule;
	enum kw_err err = KW_OK;
	kw_role_client_init(c->client, &c->evidence.claims.sender_hub, root_fingerprint);
	for (uint32_t i = 0; err == KW_OK && i < roles->roots_count; i++) {
		err = kw_role_client_root(c->client, roles->roots[i], rule);
		if (err == KW_OK && c->client->root.version != i + 1)
			err = KW_EFIELD; /* the same one again */
	}
	if (err == KW_OK)
		err = signed_at(roles->timestamp, &c->evidence.roles_unix_ms);
	if (err == KW_OK)
		err = kw_role_client_timestamp(c->client, roles->timestamp, c->evidence.roles_unix_ms, rule);
	if (err == KW_OK)
		err = kw_role_client_snapshot(c->client, roles->snapshot, c->evidence.roles_unix_ms, rule);
	for (uint32_t i = 0; err == KW_OK && i < roles->directories_count; i++)
		err = read_directory(c, roles->directories[i]);
	c->evidence.root_version = c->client->root.version;
	return blame(c, err, KW_EVIDENCE_ROLES);
}

static const struct kw_directory_entry *find(const struct checking *c, const struct kw_name *agency, const struct kw_name *hub)
{
	for (uint32_t i = 0; i < c->directories_count; i++)
		if (kw_name_equal(&c->directories[i]->hub, hub))
			return kw_directory_find(c->directories[i], agency);
	return NULL;
}

static enum kw_err check_sender(struct checking *c)
{
	struct kw_evidence *out = &c->evidence;
	const struct kw_directory_entry *entry = find(c, &out->claims.sender, &out->claims.sender_hub);
	struct kw_digest header_hash;
	struct kw_signed signed_bytes;
	/* A key that the agency has replaced itself since proves what it signed before, however long ago. */
	const uint8_t *key = entry == NULL ? NULL
		: kw_directory_identity(entry, kw_key_id_view(&out->claims.key_id), out->claims.sent_unix_ms, entry->identity_change.unix_ms);
	if (key == NULL)
		return blame(c, KW_EAUTH, KW_EVIDENCE_SENDER);
	enum kw_err err = kw_sha256(&c->proof.envelope.header, 1, &header_hash);
	if (err == KW_OK)
		err = kw_envelope_digest_join(&c->proof.envelope, &header_hash, &c->proof.body_digest, &out->digest);
	if (err != KW_OK)
		return blame(c, err, KW_EVIDENCE_LOCAL);
	kw_signed_from(&out->digest, c->proof.claims, &signed_bytes);
	out->sender_revoked = entry->revoked;
	err = kw_ed25519_verify(key, KW_VIEW(signed_bytes.bytes, signed_bytes.size), c->proof.signature);
	return blame(c, err, KW_EVIDENCE_SIGNATURE);
}

static enum kw_err check_receipt(struct checking *c, uint32_t i)
{
	struct kw_evidence *out = &c->evidence;
	struct kw_receipt_proof proof;
	enum kw_err err = kw_receipt_proof_read(c->parts.receipts[i], &proof);
	if (err == KW_OK && i > 0 && out->receipts[i - 1].level >= proof.receipt.level)
		err = KW_EFIELD;
	if (err != KW_OK)
		return blame(c, err, KW_EVIDENCE_FORM);
	if (memcmp(&proof.receipt.digest, &out->digest, sizeof(out->digest)) != 0 ||
		!kw_id_equal(&proof.receipt.envelope_id, &out->envelope_id))
		return blame(c, KW_EAUTH, KW_EVIDENCE_ENVELOPE);
	err = kw_receipt_proof_verify(&proof, c->recipient->identity_key);
	const struct kw_identity_change *change = &c->recipient->identity_change;
	if (err == KW_EAUTH && change->reason != 0 && change->reason != KW_IDENTITY_COMPROMISED && proof.receipt.at_unix_ms <= change->unix_ms)
		err = kw_receipt_proof_verify(&proof, change->former_key);
	if (err == KW_OK)
		out->receipts[out->receipts_count++] = proof.receipt;
	return blame(c, err, KW_EVIDENCE_RECEIPT);
}

/* The recipient has to be known also when it has confirmed nothing: else "sent to whom" would be a name without a meaning. */
static enum kw_err check_receipts(struct checking *c)
{
	struct kw_evidence *out = &c->evidence;
	enum kw_err err = KW_OK;
	c->recipient = find(c, &out->recipient, &out->recipient_hub);
	if (c->recipient == NULL)
		return blame(c, KW_EAUTH, KW_EVIDENCE_RECIPIENT);
	out->recipient_revoked = c->recipient->revoked;
	for (uint32_t i = 0; err == KW_OK && i < c->parts.receipts_count; i++)
		err = check_receipt(c, i);
	return err;
}

/* R0, by the log keys of the hub where the message entered. */
static enum kw_err check_held(struct checking *c)
{
	struct kw_evidence *out = &c->evidence;
	const struct kw_hub_role *hub = kw_root_hub(&c->client->root, &out->home_hub);
	struct kw_view signed_role, bytes;
	struct kw_role_signed role;
	struct kw_inclusion inclusion;
	uint32_t good;
	if (c->parts.held.size == 0)
		return KW_OK;
	enum kw_err err = kw_held_proof_read(c->parts.held, &signed_role, &bytes);
	if (err == KW_OK)
		err = kw_role_parse(signed_role, &role);
	if (err == KW_OK)
		err = hub == NULL ? KW_EAUTH : kw_role_check(&role, KW_ROLE_LOG, &hub->log, &good);
	if (err == KW_OK)
		err = kw_checkpoint_read(role.payload, &out->checkpoint);
	if (err == KW_OK && !kw_name_equal(&out->checkpoint.hub, &out->home_hub))
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_inclusion_read(bytes, &inclusion);
	if (err == KW_OK)
		err = kw_audit_verify(&out->checkpoint, &out->digest, &inclusion);
	out->held = err == KW_OK;
	return blame(c, err, KW_EVIDENCE_HELD);
}

enum kw_err kw_evidence_verify(struct kw_view bytes, const struct kw_digest *root_fingerprint, struct kw_evidence *out,
	struct kw_evidence_refusal *why)
{
	struct checking *c = calloc(1, sizeof(*c));
	*why = (struct kw_evidence_refusal){.fault = KW_EVIDENCE_LOCAL};
	if (c == NULL)
		return KW_ENOMEM;
	c->client = calloc(1, sizeof(*c->client));
	enum kw_err err = blame(c, c->client == NULL ? KW_ENOMEM : KW_OK, KW_EVIDENCE_LOCAL);
	if (err == KW_OK)
		err = read_parts(c, bytes);
	if (err == KW_OK)
		err = check_roles(c, root_fingerprint);
	if (err == KW_OK)
		err = check_sender(c);
	if (err == KW_OK)
		err = check_receipts(c);
	if (err == KW_OK)
		err = check_held(c);
	if (err == KW_OK)
		*out = c->evidence;
	*why = c->why;
	for (uint32_t i = 0; i < c->directories_count; i++)
		kw_directory_free(c->directories[i]);
	free(c->client);
	free(c);
	return err;
}
