/* Sealing in steps:
 *   1. check the request; draw id and DEK
 *   2. header, its hash, the keys and the commitment
 *   3. a slot per recipient, and the tree over them filled up with random leaves
 *   4. pad and encrypt the body
 *   5. T over all of it; sign the claims; encrypt the AuthBlock under T
 *   6. encode an envelope per recipient
 */
#include "proto/wire/seal.h"

#include <string.h>

#include "proto/wire/suite.h"

#define HEADER_SIZE_MAX 128u
#define SLOT_SIZE_MAX (320u + KW_HPKE_ENC_SIZE_MAX)

struct sealing {
	const struct kw_seal_request *request;
	struct kw_envelope envelope; /* the common parts; slot and path are set for each recipient in turn */
	uint8_t dek[KW_DEK_SIZE];
	struct kw_suite_keys keys;
	struct kw_buf header;
	struct kw_buf slots[KW_RECIPIENTS_MAX];
	struct kw_merkle_small tree;
	struct kw_buf padded;
	struct kw_buf body;
	struct kw_buf claims;
	struct kw_buf block;
	struct kw_buf auth;
	struct kw_digest digest;
	struct kw_sealed sealed;
};

static void sealing_init(struct sealing *s, const struct kw_seal_request *request)
{
	*s = (struct sealing){.request = request};
	kw_buf_init(&s->header, HEADER_SIZE_MAX);
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) {
		kw_buf_init(&s->slots[i], SLOT_SIZE_MAX);
		kw_buf_init(&s->sealed.envelopes[i], KW_ENVELOPE_SIZE_MAX);
	}
	kw_buf_init(&s->padded, KW_BODY_SIZE_MAX);
	kw_buf_init(&s->body, KW_BODY_SIZE_MAX + KW_CHUNKS_MAX * KW_AEAD_TAG_SIZE);
	kw_buf_init(&s->claims, KW_AUTH_SIZE_MAX);
	kw_buf_init(&s->block, KW_AUTH_SIZE_MAX);
	kw_buf_init(&s->auth, KW_AUTH_SIZE_MAX + KW_AEAD_TAG_SIZE);
}

static void sealing_fini(struct sealing *s)
{
	kw_buf_fini(&s->header);
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++)
		kw_buf_fini(&s->slots[i]);
	kw_buf_fini(&s->padded);
	kw_buf_fini(&s->body);
	kw_buf_fini(&s->claims);
	kw_buf_fini(&s->block);
	kw_buf_fini(&s->auth);
	kw_sealed_fini(&s->sealed);
	kw_wipe(s, sizeof(*s));
}

static enum kw_err random_fill(const struct sealing *s, void *out, size_t size)
{
	const struct kw_seal_random *random = s->request->random;
	return random != NULL ? random->fill(random->user, out, size) : kw_random(out, size);
}

static bool name_ok(const struct kw_name *name)
{
	struct kw_name copy;
	return memchr(name->text, '\0', sizeof(name->text)) != NULL &&
		kw_name_from(kw_view_str(name->text), &copy) == KW_OK;
}

static bool key_id_ok(const struct kw_key_id *id)
{
	return id->size >= KW_KEY_ID_SIZE_MIN && id->size <= KW_KEY_ID_SIZE_MAX;
}

static enum kw_err request_check(const struct kw_seal_request *request)
{
	const struct kw_claims *claims = &request->claims;
	if (!kw_suite_known(request->suite))
		return KW_EVERSION;
	if (request->content.size > KW_SEAL_SIZE_MAX)
		return KW_ETOOBIG;
	if (request->recipients_count < 1 || request->recipients_count > KW_RECIPIENTS_MAX)
		return KW_EFIELD;
	for (size_t i = 0; i < request->recipients_count; i++) {
		const struct kw_seal_recipient *recipient = &request->recipients[i];
		if (!name_ok(&recipient->agency) || !name_ok(&recipient->hub) || !key_id_ok(&recipient->key_id))
			return KW_EFIELD;
		if ((request->suite == KW_SUITE_HYBRID) != (recipient->hybrid_key != NULL))
			return KW_EFIELD;
	}
	if (!name_ok(&request->home_hub) || !name_ok(&claims->sender) || !name_ok(&claims->sender_hub) ||
		!key_id_ok(&claims->key_id))
		return KW_EFIELD;
	if (request->msg_class < KW_URGENT || request->msg_class > KW_BULK || request->expiry_hour < 1 ||
		request->hops_max < 1 || request->hops_max > KW_HOPS_MAX)
		return KW_EFIELD;
	return claims->sent_unix_ms >= 1 && claims->content_type >= 1 ? KW_OK : KW_EFIELD;
}

static enum kw_err make_header(struct sealing *s)
{
	struct kw_envelope_label *label = &s->envelope.label;
	*label = (struct kw_envelope_label){
		.suite = s->request->suite,
		.msg_class = s->request->msg_class,
		.expiry_hour = s->request->expiry_hour,
		.size_bucket = kw_pad_bucket(s->request->content.size),
		.hops_max = s->request->hops_max,
		.home_hub = kw_view_str(s->request->home_hub.text),
	};
	enum kw_err err = random_fill(s, label->id.bytes, sizeof(label->id.bytes));
	if (err == KW_OK)
		err = random_fill(s, s->dek, sizeof(s->dek));
	if (err == KW_OK)
		err = kw_envelope_add_header(&s->header, label);
	if (err != KW_OK)
		return err;
	struct kw_digest header_hash;
	s->envelope.header = kw_buf_view(&s->header);
	err = kw_sha256(&s->envelope.header, 1, &header_hash);
	if (err == KW_OK)
		err = kw_suite_keys(s->request->suite, &header_hash, s->dek, &s->keys);
	s->envelope.commit = s->keys.commit;
	return err;
}

/* Names the recipient in the envelope's label and key id, for the slot and its HPKE info. */
static void address(struct sealing *s, const struct kw_seal_recipient *recipient)
{
	s->envelope.label.agency = kw_view_str(recipient->agency.text);
	s->envelope.label.hub = kw_view_str(recipient->hub.text);
	s->envelope.key_id = kw_key_id_view(&recipient->key_id);
}

/* The random part of one slot: drawn here and not in the HPKE, so that golden files repeat. */
struct slot_random {
	struct kw_x25519 ephemeral;
	uint8_t hybrid[KW_HYBRID_RANDOM_SIZE];
};

static enum kw_err draw(const struct sealing *s, struct slot_random *out)
{
	enum kw_err err;
	if (s->request->suite == KW_SUITE_HYBRID) {
		err = random_fill(s, out->hybrid, sizeof(out->hybrid) / 2);
		return err == KW_OK ? random_fill(s, out->hybrid + sizeof(out->hybrid) / 2, sizeof(out->hybrid) / 2) : err;
	}
	err = random_fill(s, out->ephemeral.secret, sizeof(out->ephemeral.secret));
	return err == KW_OK ? kw_x25519_from_secret(out->ephemeral.secret, &out->ephemeral) : err;
}

static enum kw_err make_slot(struct sealing *s, size_t index)
{
	const struct kw_seal_recipient *recipient = &s->request->recipients[index];
	enum kw_suite suite = s->request->suite;
	uint8_t sealed[KW_HPKE_ENC_SIZE_MAX + KW_SEALED_KEY_SIZE];
	struct kw_slot_info info;
	struct slot_random random;
	address(s, recipient);
	kw_slot_info(&s->envelope, &s->keys.header_hash, &info);
	struct kw_hpke_send send = {
		.suite = {.mode = KW_HPKE_BASE, .kem = kw_suite_kem(suite), .aead = (uint16_t)kw_suite_aead(suite),
			.info = KW_VIEW(info.bytes, info.size)},
		.recipient = suite == KW_SUITE_HYBRID ? recipient->hybrid_key : recipient->public_key,
		.ephemeral = &random.ephemeral,
		.random = random.hybrid,
	};
	enum kw_err err = draw(s, &random);
	if (err == KW_OK)
		err = kw_hpke_seal_once(&send, KW_VIEW(s->dek, sizeof(s->dek)), sealed);
	kw_wipe(&random, sizeof(random));
	if (err != KW_OK)
		return err;
	s->envelope.enc = sealed;
	s->envelope.sealed_key = KW_VIEW(sealed + kw_suite_enc_size(suite), KW_SEALED_KEY_SIZE);
	err = kw_envelope_add_slot(&s->slots[index], &s->envelope);
	if (err == KW_OK)
		err = kw_merkle_leaf(kw_buf_view(&s->slots[index]), &s->tree.levels[0][index]);
	return err;
}

/* Leaves that stand for nobody look like hashes of slots, so a recipient learns only the size class of the group. */
static enum kw_err make_slots(struct sealing *s)
{
	size_t count = s->request->recipients_count;
	enum kw_err err = KW_OK;
	s->tree.depth = kw_merkle_small_depth(count);
	for (size_t i = 0; i < count && err == KW_OK; i++)
		err = make_slot(s, i);
	for (size_t i = count; i < (size_t)1 << s->tree.depth && err == KW_OK; i++)
		err = random_fill(s, s->tree.levels[0][i].bytes, KW_DIGEST_SIZE);
	return err == KW_OK ? kw_merkle_small_build(&s->tree) : err;
}

static enum kw_err make_body(struct sealing *s)
{
	size_t padded_size = s->envelope.label.size_bucket;
	size_t sealed_size = kw_body_sealed_size(padded_size);
	/* Reserve first: growth by steps would leave copies to wipe. */
	enum kw_err err = kw_buf_reserve(&s->padded, padded_size);
	if (err == KW_OK)
		err = kw_buf_add(&s->padded, s->request->content);
	if (err == KW_OK)
		err = kw_pad_add(&s->padded, padded_size);
	if (err == KW_OK)
		err = kw_buf_reserve(&s->body, sealed_size);
	if (err == KW_OK)
		err = kw_body_seal(&s->keys, kw_buf_view(&s->padded), s->body.data);
	if (err != KW_OK)
		return err;
	s->body.size = sealed_size;
	s->envelope.body = kw_buf_view(&s->body);
	return KW_OK;
}

/* Turns to one recipient's slot and path. */
static void turn(struct sealing *s, size_t index)
{
	s->envelope.slot = kw_buf_view(&s->slots[index]);
	s->envelope.path = kw_merkle_small_path(&s->tree, (uint32_t)index);
}

static enum kw_err make_auth(struct sealing *s)
{
	struct kw_signed signed_bytes;
	uint8_t *signature = s->sealed.signature;
	turn(s, 0); /* every path leads to the same root */
	enum kw_err err = kw_envelope_digest_of(&s->envelope, &s->keys.header_hash, &s->digest);
	if (err == KW_OK)
		err = kw_claims_add(&s->claims, &s->request->claims);
	if (err != KW_OK)
		return err;
	memcpy(s->sealed.claims, s->claims.data, s->claims.size); /* bounded by its buffer's limit */
	s->sealed.claims_size = s->claims.size;
	kw_signed_from(&s->digest, kw_buf_view(&s->claims), &signed_bytes);
	err = kw_ed25519_sign(s->request->identity, KW_VIEW(signed_bytes.bytes, signed_bytes.size), signature);
	struct kw_auth_block block = {.claims = kw_buf_view(&s->claims), .signature = KW_VIEW(signature, KW_SIGNATURE_SIZE)};
	if (err == KW_OK)
		err = kw_auth_block_add(&s->block, &block);
	if (err == KW_OK)
		err = kw_pad_add(&s->block, kw_pad_auth_size(s->block.size));
	if (err == KW_OK)
		err = kw_buf_reserve(&s->auth, s->block.size + KW_AEAD_TAG_SIZE);
	if (err == KW_OK)
		err = kw_auth_seal(&s->keys, &s->digest, kw_buf_view(&s->block), s->auth.data);
	if (err != KW_OK)
		return err;
	s->auth.size = s->block.size + KW_AEAD_TAG_SIZE;
	s->envelope.auth = kw_buf_view(&s->auth);
	return KW_OK;
}

static enum kw_err make_envelopes(struct sealing *s)
{
	enum kw_err err = KW_OK;
	for (size_t i = 0; i < s->request->recipients_count && err == KW_OK; i++) {
		struct kw_buf *buf = &s->sealed.envelopes[i];
		turn(s, i);
		/* Tags, lengths and the index take less than 64 bytes. */
		err = kw_buf_reserve(buf, s->header.size + s->slots[i].size + s->body.size + s->auth.size + 64 +
			(1 + KW_MERKLE_SMALL_DEPTH_MAX) * (KW_DIGEST_SIZE + 2));
		if (err == KW_OK)
			err = kw_envelope_add(buf, &s->envelope);
	}
	s->sealed.envelope_id = s->envelope.label.id;
	s->sealed.digest = s->digest;
	s->sealed.size_bucket = s->envelope.label.size_bucket;
	s->sealed.envelopes_count = s->request->recipients_count;
	return err;
}

enum kw_err kw_seal(const struct kw_seal_request *request, struct kw_sealed *out)
{
	enum kw_err err = request_check(request);
	if (err != KW_OK)
		return err;
	struct sealing s;
	sealing_init(&s, request);
	err = make_header(&s);
	if (err == KW_OK)
		err = make_slots(&s);
	if (err == KW_OK)
		err = make_body(&s);
	if (err == KW_OK)
		err = make_auth(&s);
	if (err == KW_OK)
		err = make_envelopes(&s);
	if (err == KW_OK) {
		*out = s.sealed;
		s.sealed = (struct kw_sealed){0};
	}
	sealing_fini(&s);
	return err;
}

void kw_sealed_fini(struct kw_sealed *sealed)
{
	if (sealed == NULL)
		return;
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++)
		kw_buf_fini(&sealed->envelopes[i]);
	sealed->envelopes_count = 0;
	kw_wipe(sealed->claims, sizeof(sealed->claims));
}
