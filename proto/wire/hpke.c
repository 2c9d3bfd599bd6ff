#include "proto/wire/hpke.h"

#include <string.h>

#include "proto/base/check.h"

#define KDF_ID 0x0001u

size_t kw_hpke_enc_size(enum kw_hpke_kem kem)
{
	return kem == KW_HPKE_HYBRID ? KW_HYBRID_ENC_SIZE : KW_HPKE_ENC_SIZE;
}

static enum kw_hpke_kem kem_of(const struct kw_hpke_suite *suite)
{
	return suite->kem == 0 ? KW_HPKE_X25519 : suite->kem;
}

/* suite_id of RFC 9180: "KEM" and the KEM's number inside the KEM, "HPKE" and all three numbers elsewhere. */
struct suite_id {
	uint8_t bytes[10];
	size_t size;
};

static struct suite_id kem_suite(void)
{
	struct suite_id id = {.bytes = "KEM", .size = 5};
	kw_put_u16(id.bytes + 3, KW_HPKE_X25519);
	return id;
}

static struct suite_id hpke_suite(enum kw_hpke_kem kem, uint16_t aead)
{
	struct suite_id id = {.bytes = "HPKE", .size = 10};
	kw_put_u16(id.bytes + 4, (uint16_t)kem);
	kw_put_u16(id.bytes + 6, KDF_ID);
	kw_put_u16(id.bytes + 8, aead);
	return id;
}

/* LabeledExtract, RFC 9180 §4. */
static enum kw_err extract(const struct suite_id *id, struct kw_view salt, const char *label, struct kw_view ikm,
	struct kw_digest *out)
{
	struct kw_view parts[] = {kw_view_str("HPKE-v1"), KW_VIEW(id->bytes, id->size), kw_view_str(label), ikm};
	return kw_hkdf_extract(salt, parts, 4, out);
}

struct expansion {
	const char *label;
	struct kw_view info;
	uint8_t *out;
	size_t size;
};

/* LabeledExpand, RFC 9180 §4. */
static enum kw_err expand(const struct suite_id *id, const struct kw_digest *key, const struct expansion *e)
{
	if (e->size > KW_HPKE_EXPORT_SIZE_MAX)
		return KW_ETOOBIG;
	uint8_t size[2];
	kw_put_u16(size, (uint16_t)e->size);
	struct kw_view parts[] = {KW_VIEW_OF(size), kw_view_str("HPKE-v1"), KW_VIEW(id->bytes, id->size),
		kw_view_str(e->label), e->info};
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(key->bytes), .parts = parts, .parts_count = 5};
	return kw_hkdf_expand(&hkdf, e->out, e->size);
}

/* ExtractAndExpand, RFC 9180 §4.1. */
static enum kw_err kem_secret(struct kw_view dh, struct kw_view kem_context, struct kw_digest *out)
{
	struct suite_id id = kem_suite();
	struct kw_digest prk;
	enum kw_err err = extract(&id, KW_VIEW(NULL, 0), "eae_prk", dh, &prk);
	struct expansion e = {"shared_secret", kem_context, out->bytes, sizeof(out->bytes)};
	if (err == KW_OK)
		err = expand(&id, &prk, &e);
	kw_wipe(&prk, sizeof(prk));
	return err;
}

/* The two Diffie-Hellman results and the three public keys that a KEM secret is made of. */
struct kem {
	uint8_t dh[2 * KW_KEY_SIZE];
	uint8_t context[3 * KW_KEY_SIZE]; /* enc, recipient, sender */
	size_t keys_count;                /* 1, or 2 with a sender's key */
};

static enum kw_err kem_finish(struct kem *kem, const uint8_t *sender, struct kw_digest *out)
{
	if (sender != NULL)
		memcpy(kem->context + 2 * KW_KEY_SIZE, sender, KW_KEY_SIZE);
	return kem_secret(KW_VIEW(kem->dh, kem->keys_count * KW_KEY_SIZE),
		KW_VIEW(kem->context, (kem->keys_count + 1) * KW_KEY_SIZE), out);
}

/* Encap and AuthEncap. */
static enum kw_err encap(const struct kw_hpke_send *send, uint8_t *enc, struct kw_digest *out)
{
	struct kw_x25519 fresh;
	const struct kw_x25519 *ephemeral = send->ephemeral;
	struct kem kem = {.keys_count = send->sender != NULL ? 2 : 1};
	enum kw_err err = KW_OK;
	if (ephemeral == NULL) {
		err = kw_x25519_generate(&fresh);
		ephemeral = &fresh;
	}
	if (err == KW_OK)
		err = kw_x25519_shared(ephemeral, send->recipient, kem.dh);
	if (err == KW_OK && send->sender != NULL)
		err = kw_x25519_shared(send->sender, send->recipient, kem.dh + KW_KEY_SIZE);
	if (err == KW_OK) {
		memcpy(kem.context, ephemeral->public_key, KW_KEY_SIZE);
		memcpy(kem.context + KW_KEY_SIZE, send->recipient, KW_KEY_SIZE);
		err = kem_finish(&kem, send->sender != NULL ? send->sender->public_key : NULL, out);
	}
	if (err == KW_OK)
		memcpy(enc, ephemeral->public_key, KW_KEY_SIZE);
	kw_wipe(&kem, sizeof(kem));
	kw_wipe(&fresh, sizeof(fresh));
	return err;
}

/* Decap and AuthDecap. */
static enum kw_err decap(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_digest *out)
{
	struct kem kem = {.keys_count = recv->sender != NULL ? 2 : 1};
	enum kw_err err = kw_x25519_shared(recv->recipient, enc, kem.dh);
	if (err == KW_OK && recv->sender != NULL)
		err = kw_x25519_shared(recv->recipient, recv->sender, kem.dh + KW_KEY_SIZE);
	if (err == KW_OK) {
		memcpy(kem.context, enc, KW_KEY_SIZE);
		memcpy(kem.context + KW_KEY_SIZE, recv->recipient->public_key, KW_KEY_SIZE);
		err = kem_finish(&kem, recv->sender, out);
	}
	kw_wipe(&kem, sizeof(kem));
	/* Nothing of ours is wrong: the sender's bytes are. */
	return err == KW_EFIELD ? KW_EOPEN : err;
}

/* The hybrid KEM has no labels and no Extract of its own: its shared secret goes into the key schedule as it is. */
static enum kw_err encap_hybrid(const struct kw_hpke_send *send, uint8_t *enc, struct kw_digest *out)
{
	uint8_t fresh[KW_HYBRID_RANDOM_SIZE];
	enum kw_err err = KW_OK;
	if (send->random == NULL)
		err = kw_random(fresh, sizeof(fresh));
	else
		memcpy(fresh, send->random, sizeof(fresh));
	if (err == KW_OK)
		err = kw_hybrid_encap(send->recipient, fresh, enc, out->bytes);
	kw_wipe(fresh, sizeof(fresh));
	return err;
}

static enum kw_err decap_hybrid(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_digest *out)
{
	enum kw_err err = kw_hybrid_decap(recv->hybrid, enc, out->bytes);
	return err == KW_EFIELD ? KW_EOPEN : err;
}

/* VerifyPSKInputs of RFC 9180 §5.1, and that a sender's key is there exactly in the auth modes. */
static enum kw_err suite_check(const struct kw_hpke_suite *suite, bool sender_given)
{
	bool psk_mode = suite->mode == KW_HPKE_PSK || suite->mode == KW_HPKE_AUTH_PSK;
	bool auth_mode = suite->mode == KW_HPKE_AUTH || suite->mode == KW_HPKE_AUTH_PSK;
	if ((unsigned)suite->mode > KW_HPKE_AUTH_PSK || auth_mode != sender_given)
		return KW_EFIELD;
	if (kem_of(suite) != KW_HPKE_X25519 && (kem_of(suite) != KW_HPKE_HYBRID || auth_mode))
		return KW_EFIELD;
	if (psk_mode ? suite->psk.size < 32 || suite->psk_id.size == 0 : suite->psk.size != 0 || suite->psk_id.size != 0)
		return KW_EFIELD;
	if (suite->aead != KW_HPKE_EXPORT_ONLY && kw_aead_key_size((enum kw_aead_id)suite->aead) == 0)
		return KW_EFIELD;
	return KW_OK;
}

/* KeySchedule, RFC 9180 §5.1. */
static enum kw_err schedule(const struct kw_hpke_suite *suite, const struct kw_digest *shared, struct kw_hpke *out)
{
	struct suite_id id = hpke_suite(kem_of(suite), suite->aead);
	struct kw_digest psk_id_hash;
	struct kw_digest info_hash;
	struct kw_digest secret;
	struct kw_hpke hpke = {.kem = kem_of(suite), .aead = suite->aead};
	enum kw_err err = extract(&id, KW_VIEW(NULL, 0), "psk_id_hash", suite->psk_id, &psk_id_hash);
	if (err == KW_OK)
		err = extract(&id, KW_VIEW(NULL, 0), "info_hash", suite->info, &info_hash);
	if (err == KW_OK)
		err = extract(&id, KW_VIEW_OF(shared->bytes), "secret", suite->psk, &secret);
	if (err != KW_OK)
		return err;
	uint8_t context[1 + 2 * KW_DIGEST_SIZE];
	context[0] = (uint8_t)suite->mode;
	memcpy(context + 1, psk_id_hash.bytes, KW_DIGEST_SIZE);
	memcpy(context + 1 + KW_DIGEST_SIZE, info_hash.bytes, KW_DIGEST_SIZE);
	struct expansion steps[] = {
		{"exp", KW_VIEW_OF(context), hpke.exporter, sizeof(hpke.exporter)},
		{"key", KW_VIEW_OF(context), hpke.key, kw_aead_key_size((enum kw_aead_id)suite->aead)},
		{"base_nonce", KW_VIEW_OF(context), hpke.base_nonce, sizeof(hpke.base_nonce)},
	};
	size_t steps_count = suite->aead == KW_HPKE_EXPORT_ONLY ? 1 : 3;
	for (size_t i = 0; i < steps_count && err == KW_OK; i++)
		err = expand(&id, &secret, &steps[i]);
	if (err == KW_OK)
		*out = hpke;
	kw_wipe(&secret, sizeof(secret));
	kw_wipe(&hpke, sizeof(hpke));
	return err;
}

enum kw_err kw_hpke_send(const struct kw_hpke_send *send, uint8_t *enc, struct kw_hpke *out)
{
	uint8_t enc_new[KW_HPKE_ENC_SIZE_MAX];
	struct kw_digest shared;
	enum kw_err err = suite_check(&send->suite, send->sender != NULL);
	if (err == KW_OK)
		err = kem_of(&send->suite) == KW_HPKE_HYBRID ? encap_hybrid(send, enc_new, &shared) : encap(send, enc_new, &shared);
	if (err != KW_OK)
		return err;
	err = schedule(&send->suite, &shared, out);
	if (err == KW_OK)
		memcpy(enc, enc_new, kw_hpke_enc_size(out->kem));
	kw_wipe(&shared, sizeof(shared));
	return err;
}

enum kw_err kw_hpke_recv(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_hpke *out)
{
	struct kw_digest shared;
	enum kw_err err = suite_check(&recv->suite, recv->sender != NULL);
	if (err == KW_OK && (kem_of(&recv->suite) == KW_HPKE_HYBRID) != (recv->hybrid != NULL))
		err = KW_EFIELD;
	if (err == KW_OK)
		err = recv->hybrid != NULL ? decap_hybrid(recv, enc, &shared) : decap(recv, enc, &shared);
	if (err != KW_OK)
		return err;
	err = schedule(&recv->suite, &shared, out);
	kw_wipe(&shared, sizeof(shared));
	return err;
}

void kw_hpke_fini(struct kw_hpke *hpke)
{
	if (hpke != NULL)
		kw_wipe(hpke, sizeof(*hpke));
}

/* ComputeNonce, RFC 9180 §5.2. 64 bits of sequence never run out. */
static struct kw_aead message_aead(const struct kw_hpke *hpke, uint8_t *nonce)
{
	KW_ASSERT(hpke->aead != KW_HPKE_EXPORT_ONLY);
	uint8_t sequence[8];
	kw_put_u64(sequence, hpke->sequence);
	memcpy(nonce, hpke->base_nonce, KW_AEAD_NONCE_SIZE);
	for (size_t i = 0; i < sizeof(sequence); i++)
		nonce[KW_AEAD_NONCE_SIZE - sizeof(sequence) + i] ^= sequence[i];
	return (struct kw_aead){.id = (enum kw_aead_id)hpke->aead, .key = hpke->key, .nonce = nonce};
}

enum kw_err kw_hpke_seal(struct kw_hpke *hpke, struct kw_view aad, struct kw_view plain, uint8_t *out)
{
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	struct kw_aead aead = message_aead(hpke, nonce);
	enum kw_err err = kw_aead_seal(&aead, aad, plain, out);
	if (err == KW_OK)
		hpke->sequence++;
	return err;
}

enum kw_err kw_hpke_open(struct kw_hpke *hpke, struct kw_view aad, struct kw_view sealed, uint8_t *out)
{
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	struct kw_aead aead = message_aead(hpke, nonce);
	enum kw_err err = kw_aead_open(&aead, aad, sealed, out);
	if (err == KW_OK)
		hpke->sequence++;
	return err;
}

enum kw_err kw_hpke_export(const struct kw_hpke *hpke, struct kw_view context, void *out, size_t size)
{
	struct suite_id id = hpke_suite(hpke->kem, hpke->aead);
	struct kw_digest key;
	memcpy(key.bytes, hpke->exporter, sizeof(key.bytes));
	struct expansion e = {"sec", context, out, size};
	enum kw_err err = expand(&id, &key, &e);
	kw_wipe(&key, sizeof(key));
	return err;
}

enum kw_err kw_hpke_derive(struct kw_view ikm, struct kw_x25519 *out)
{
	if (ikm.size < KW_KEY_SIZE)
		return KW_EFIELD;
	struct suite_id id = kem_suite();
	struct kw_digest prk;
	uint8_t secret[KW_KEY_SIZE];
	enum kw_err err = extract(&id, KW_VIEW(NULL, 0), "dkp_prk", ikm, &prk);
	struct expansion e = {"sk", KW_VIEW(NULL, 0), secret, sizeof(secret)};
	if (err == KW_OK)
		err = expand(&id, &prk, &e);
	if (err == KW_OK)
		err = kw_x25519_from_secret(secret, out);
	kw_wipe(&prk, sizeof(prk));
	kw_wipe(secret, sizeof(secret));
	return err;
}

enum kw_err kw_hpke_seal_once(const struct kw_hpke_send *send, struct kw_view plain, uint8_t *out)
{
	struct kw_hpke hpke;
	enum kw_err err = kw_hpke_send(send, out, &hpke);
	if (err != KW_OK)
		return err;
	err = kw_hpke_seal(&hpke, KW_VIEW(NULL, 0), plain, out + kw_hpke_enc_size(hpke.kem));
	kw_hpke_fini(&hpke);
	return err;
}

enum kw_err kw_hpke_open_once(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_view sealed, uint8_t *out)
{
	struct kw_hpke hpke;
	enum kw_err err = kw_hpke_recv(recv, enc, &hpke);
	if (err != KW_OK)
		return err;
	err = kw_hpke_open(&hpke, KW_VIEW(NULL, 0), sealed, out);
	kw_hpke_fini(&hpke);
	return err;
}
