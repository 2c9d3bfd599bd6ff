/* Opening in steps, each of which names its reason when it fails:
 *   1. parse; is it for us
 *   2. find our secret key, open the slot: DEK
 *   3. the commitment, in constant time, before anything else is decrypted
 *   4. T; the AuthBlock under T; the claims
 *   5. find the sender's identity key; the signature
 *   6. the body and its padding
 */
#include "proto/wire/open.h"

#include <string.h>

#include "proto/wire/suite.h"

struct opening {
	const struct kw_open_request *request;
	struct kw_envelope envelope;
	struct kw_digest header_hash;
	uint8_t dek[KW_DEK_SIZE];
	struct kw_suite_keys keys;
	uint8_t block[KW_AUTH_SIZE_MAX];
	struct kw_opened opened;
	enum kw_open_reason reason;
};

const char *kw_open_reason_name(enum kw_open_reason reason)
{
	static const char *const NAMES[KW_OPEN_REASON_COUNT] = {"ok", "structure", "not_for_us", "key_unknown", "slot",
		"commit", "auth", "claims", "sender_unknown", "signature", "body", "padding", "suite", "local"};
	return (unsigned)reason < KW_OPEN_REASON_COUNT ? NAMES[reason] : "unknown";
}

/* Every refusal of the envelope looks the same outside; our own trouble keeps its code. */
static enum kw_err blame(struct opening *o, enum kw_err err, enum kw_open_reason reason)
{
	if (err == KW_OK)
		return KW_OK;
	bool sealed_wrong = err == KW_EOPEN || err == KW_EAUTH || err == KW_EFORMAT || err == KW_EFIELD ||
		err == KW_ENOTFOUND;
	o->reason = sealed_wrong ? reason : KW_OPEN_LOCAL;
	return sealed_wrong ? KW_EOPEN : err;
}

/* A lookup's KW_ENOTFOUND is about the envelope; its other errors are ours and are passed on as they are. */
static enum kw_err blame_lookup(struct opening *o, enum kw_err err, enum kw_open_reason reason)
{
	if (err == KW_OK || err == KW_ENOTFOUND)
		return blame(o, err, reason);
	o->reason = KW_OPEN_LOCAL;
	return err;
}

static enum kw_err open_structure(struct opening *o)
{
	enum kw_err err = kw_envelope_parse(o->request->envelope, &o->envelope);
	if (err != KW_OK) {
		o->reason = KW_OPEN_STRUCTURE;
		return err;
	}
	bool ours = kw_view_equal(o->envelope.label.agency, kw_view_str(o->request->agency.text)) &&
		kw_view_equal(o->envelope.label.hub, kw_view_str(o->request->hub.text));
	if (!ours)
		return blame(o, KW_EOPEN, KW_OPEN_NOT_FOR_US);
	return blame(o, kw_sha256(&o->envelope.header, 1, &o->header_hash), KW_OPEN_LOCAL);
}

/* Our secret of the kind that the suite needs. */
struct slot_secret {
	struct kw_x25519 x25519;
	struct kw_hybrid hybrid;
};

static enum kw_err find_key(struct opening *o, struct slot_secret *out)
{
	const struct kw_open_request *request = o->request;
	if (o->envelope.label.suite != KW_SUITE_HYBRID)
		return request->find_secret(request->user, o->envelope.key_id, &out->x25519);
	return request->find_hybrid == NULL ? KW_ENOTFOUND
					    : request->find_hybrid(request->user, o->envelope.key_id, &out->hybrid);
}

static enum kw_err open_slot(struct opening *o)
{
	enum kw_suite suite = o->envelope.label.suite;
	struct slot_secret secret;
	struct kw_slot_info info;
	enum kw_err err = find_key(o, &secret);
	if (err != KW_OK)
		return blame_lookup(o, err, KW_OPEN_KEY_UNKNOWN);
	kw_slot_info(&o->envelope, &o->header_hash, &info);
	struct kw_hpke_recv recv = {
		.suite = {.mode = KW_HPKE_BASE, .kem = kw_suite_kem(suite), .aead = (uint16_t)kw_suite_aead(suite),
			.info = KW_VIEW(info.bytes, info.size)},
		.recipient = &secret.x25519,
		.hybrid = suite == KW_SUITE_HYBRID ? &secret.hybrid : NULL,
	};
	err = kw_hpke_open_once(&recv, o->envelope.enc, o->envelope.sealed_key, o->dek);
	kw_wipe(&secret, sizeof(secret));
	if (err != KW_EVERSION)
		return blame(o, err, KW_OPEN_SLOT);
	/* The key is ours and was made by a libcrypto that had the suite. Ours to mend, yet nothing to tell a peer. */
	return blame(o, KW_EOPEN, KW_OPEN_SUITE);
}

static enum kw_err open_commit(struct opening *o)
{
	enum kw_err err = kw_suite_keys(o->envelope.label.suite, &o->header_hash, o->dek, &o->keys);
	if (err == KW_OK && !kw_equal_secret(o->keys.commit, o->envelope.commit, KW_DIGEST_SIZE))
		err = KW_EOPEN;
	return blame(o, err, KW_OPEN_COMMIT);
}

static enum kw_err open_signature(struct opening *o, const struct kw_auth_block *block)
{
	const struct kw_claims *claims = &o->opened.claims;
	struct kw_open_sender sender = {&claims->sender, &claims->sender_hub, kw_key_id_view(&claims->key_id),
		claims->sent_unix_ms};
	uint8_t identity[KW_KEY_SIZE];
	struct kw_signed signed_bytes;
	enum kw_err err = o->request->find_identity(o->request->user, &sender, identity);
	if (err != KW_OK)
		return blame_lookup(o, err, KW_OPEN_SENDER_UNKNOWN);
	kw_signed_from(&o->opened.digest, block->claims, &signed_bytes);
	err = kw_ed25519_verify(identity, KW_VIEW(signed_bytes.bytes, signed_bytes.size), block->signature);
	return blame(o, err, KW_OPEN_SIGNATURE);
}

static enum kw_err open_auth(struct opening *o)
{
	struct kw_auth_block block;
	size_t block_size = 0;
	size_t padded_size = o->envelope.auth.size - KW_AEAD_TAG_SIZE;
	enum kw_err err = kw_envelope_digest_of(&o->envelope, &o->header_hash, &o->opened.digest);
	if (err == KW_OK)
		err = kw_auth_open(&o->keys, &o->opened.digest, o->envelope.auth, o->block);
	if (err != KW_OK)
		return blame(o, err, KW_OPEN_AUTH);
	err = kw_pad_strip(KW_VIEW(o->block, padded_size), &block_size);
	if (err == KW_OK && kw_pad_auth_size(block_size) != padded_size)
		err = KW_EFORMAT;
	if (err == KW_OK)
		err = kw_auth_block_parse(KW_VIEW(o->block, block_size), &block);
	if (err == KW_OK)
		err = kw_claims_parse(block.claims, &o->opened.claims);
	if (err != KW_OK)
		return blame(o, err, KW_OPEN_CLAIMS);
	return open_signature(o, &block);
}

static enum kw_err open_body(struct opening *o)
{
	struct kw_buf *content = &o->opened.content;
	size_t padded_size = o->envelope.label.size_bucket;
	enum kw_err err = kw_buf_reserve(content, padded_size);
	if (err == KW_OK)
		err = kw_body_open(&o->keys, o->envelope.body, padded_size, content->data);
	if (err != KW_OK)
		return blame(o, err, KW_OPEN_BODY);
	return blame(o, kw_pad_strip(KW_VIEW(content->data, padded_size), &content->size), KW_OPEN_PADDING);
}

static enum kw_err copy_label(struct opening *o)
{
	const struct kw_envelope_label *label = &o->envelope.label;
	struct kw_opened *opened = &o->opened;
	opened->envelope_id = label->id;
	opened->suite = label->suite;
	opened->msg_class = label->msg_class;
	opened->expiry_hour = label->expiry_hour;
	opened->size_bucket = label->size_bucket;
	opened->hops_max = label->hops_max;
	return blame(o, kw_name_from(label->home_hub, &opened->home_hub), KW_OPEN_STRUCTURE);
}

enum kw_err kw_open(const struct kw_open_request *request, struct kw_opened *out, enum kw_open_reason *reason)
{
	struct opening o = {.request = request, .reason = KW_OPEN_OK};
	kw_buf_init(&o.opened.content, KW_BODY_SIZE_MAX);
	enum kw_err err = open_structure(&o);
	if (err == KW_OK)
		err = open_slot(&o);
	if (err == KW_OK)
		err = open_commit(&o);
	if (err == KW_OK)
		err = open_auth(&o);
	if (err == KW_OK)
		err = open_body(&o);
	if (err == KW_OK)
		err = copy_label(&o);
	*reason = o.reason;
	if (err == KW_OK) {
		*out = o.opened;
		o.opened.content = (struct kw_buf){0};
	}
	kw_opened_fini(&o.opened);
	kw_wipe(&o, sizeof(o));
	return err;
}

void kw_opened_fini(struct kw_opened *opened)
{
	if (opened == NULL)
		return;
	kw_buf_fini(&opened->content);
	kw_wipe(&opened->claims, sizeof(opened->claims));
}
