#include "proto/wire/enrol.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "proto/wire/crypt.h"
#include "proto/wire/pbscan.h"

/* What a new agent asks: its keys, each proving itself by a signature, and that it has the code, by an HMAC that is good on one
 * connection only. */

#define SIGNED_LABEL "kw1 enrol request"
#define LINK_LABEL "kw1 enrol link"
#define FILE_LABEL "kw1 enrol file"
#define PHRASE_LABEL "kw1 enrol phrase"

enum kw_err kw_enrol_request_add(struct kw_buf *out, const struct kw_enrol_request *request)
{
	if (request->csr.size < 1 || request->csr.size > KW_ENROL_CSR_SIZE_MAX)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 2, request->csr);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW(request->identity_key, KW_KEY_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, KW_VIEW(request->sealing_key, KW_KEY_SIZE));
	return err != KW_OK ? err : kw_pb_add_bytes(out, 6, KW_VIEW(request->code_id, KW_ENROL_ID_SIZE));
}

static enum kw_err request_parse(struct kw_view bytes, struct kw_enrol_request *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	out->csr = kw_pb_need_bytes(&pb, 2, 1, KW_ENROL_CSR_SIZE_MAX);
	out->identity_key = kw_pb_need_bytes(&pb, 3, KW_KEY_SIZE, KW_KEY_SIZE).data;
	out->sealing_key = kw_pb_need_bytes(&pb, 4, KW_KEY_SIZE, KW_KEY_SIZE).data;
	out->code_id = kw_pb_need_bytes(&pb, 6, KW_ENROL_ID_SIZE, KW_ENROL_ID_SIZE).data;
	return kw_pb_end(&pb);
}

/* SIGNED_LABEL ‖ request */
static enum kw_err signed_bytes(struct kw_view request, struct kw_buf *out)
{
	kw_buf_init(out, sizeof(SIGNED_LABEL) + KW_ENROL_REQUEST_SIZE_MAX);
	enum kw_err err = kw_buf_add(out, kw_view_str(SIGNED_LABEL));
	return err != KW_OK ? err : kw_buf_add(out, request);
}

/* Over all of the ask that stands before the proof. */
static enum kw_err prove(const struct kw_enrol_ask *ask, const struct kw_digest *code_key, const struct kw_digest *binding,
	struct kw_digest *out)
{
	const struct kw_view parts[] = {
		kw_view_str(binding != NULL ? LINK_LABEL : FILE_LABEL),
		binding != NULL ? KW_VIEW_OF(binding->bytes) : KW_VIEW(NULL, 0),
		KW_VIEW(ask->identity_signature, KW_SIGNATURE_SIZE),
		KW_VIEW(ask->tls_signature, KW_SIGNATURE_SIZE),
		ask->request,
	};
	return kw_hmac_sha256(KW_VIEW_OF(code_key->bytes), parts, sizeof(parts) / sizeof(parts[0]), out);
}

enum kw_err kw_enrol_ask_add(struct kw_buf *out, struct kw_view request, const struct kw_enrol_asker *asker)
{
	uint8_t by_identity[KW_SIGNATURE_SIZE];
	uint8_t by_tls[KW_SIGNATURE_SIZE];
	struct kw_digest proof;
	struct kw_buf bytes;
	const struct kw_enrol_ask ask = {.request = request, .identity_signature = by_identity, .tls_signature = by_tls};
	enum kw_err err = signed_bytes(request, &bytes);
	if (err == KW_OK)
		err = kw_ed25519_sign(asker->identity, kw_buf_view(&bytes), by_identity);
	if (err == KW_OK)
		err = kw_ed25519_sign(asker->tls, kw_buf_view(&bytes), by_tls);
	if (err == KW_OK)
		err = prove(&ask, &asker->code_key, asker->binding, &proof);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, request);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW_OF(by_identity));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW_OF(by_tls));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, KW_VIEW_OF(proof.bytes));
	kw_buf_fini(&bytes);
	return err;
}

/* The key that a certificate is asked for; the request must be signed with it. */
static enum kw_err csr_key(struct kw_view csr, uint8_t key[KW_KEY_SIZE])
{
	const unsigned char *at = csr.data;
	X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)csr.size);
	enum kw_err err = request != NULL && at == csr.data + csr.size ? KW_OK : KW_EFORMAT;
	EVP_PKEY *public_key = err == KW_OK ? X509_REQ_get0_pubkey(request) : NULL;
	size_t size = KW_KEY_SIZE;
	if (err == KW_OK && (public_key == NULL || EVP_PKEY_get_id(public_key) != EVP_PKEY_ED25519 ||
		X509_REQ_verify(request, public_key) != 1 || EVP_PKEY_get_raw_public_key(public_key, key, &size) != 1))
		err = KW_EAUTH;
	X509_REQ_free(request);
	ERR_clear_error();
	return err;
}

enum kw_err kw_enrol_ask_parse(struct kw_view bytes, struct kw_enrol_ask *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_enrol_ask ask = {.request = kw_pb_need_bytes(&pb, 1, 1, KW_ENROL_REQUEST_SIZE_MAX)};
	struct kw_view by_identity = kw_pb_need_bytes(&pb, 2, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	struct kw_view by_tls = kw_pb_need_bytes(&pb, 3, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	ask.proof = kw_pb_need_bytes(&pb, 4, KW_DIGEST_SIZE, KW_DIGEST_SIZE).data;
	ask.identity_signature = by_identity.data;
	ask.tls_signature = by_tls.data;
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = request_parse(ask.request, &ask.is);
	if (err == KW_OK)
		err = csr_key(ask.is.csr, ask.tls_key);
	if (err != KW_OK)
		return err;
	struct kw_buf message;
	err = signed_bytes(ask.request, &message);
	if (err == KW_OK)
		err = kw_ed25519_verify(ask.is.identity_key, kw_buf_view(&message), by_identity);
	if (err == KW_OK)
		err = kw_ed25519_verify(ask.tls_key, kw_buf_view(&message), by_tls);
	kw_buf_fini(&message);
	if (err == KW_OK)
		*out = ask;
	return err;
}

enum kw_err kw_enrol_ask_prove(const struct kw_enrol_ask *ask, const struct kw_digest *code_key, const struct kw_digest *binding)
{
	struct kw_digest want;
	enum kw_err err = prove(ask, code_key, binding, &want);
	if (err == KW_OK && !kw_equal_secret(want.bytes, ask->proof, KW_DIGEST_SIZE))
		err = KW_EAUTH;
	kw_wipe(&want, sizeof(want));
	return err;
}

enum kw_err kw_enrol_phrase(const struct kw_digest *root_fingerprint, const struct kw_name *agency, const struct kw_enrol_ask *ask,
	char out[KW_ENROL_PHRASE_SIZE])
{
	struct kw_digest digest;
	const struct kw_view name = kw_view_str(agency->text);
	const uint8_t name_size = (uint8_t)name.size;
	const struct kw_view parts[] = {
		kw_view_str(PHRASE_LABEL),
		KW_VIEW_OF(root_fingerprint->bytes),
		KW_VIEW(&name_size, 1),
		name,
		KW_VIEW(ask->is.identity_key, KW_KEY_SIZE),
		KW_VIEW(ask->is.sealing_key, KW_KEY_SIZE),
		KW_VIEW_OF(ask->tls_key),
	};
	enum kw_err err = kw_sha256(parts, sizeof(parts) / sizeof(parts[0]), &digest);
	if (err != KW_OK)
		return err;
	for (size_t i = 0; i < KW_ENROL_PHRASE_SIZE / 5; i++) {
		uint32_t group = kw_get_u32(digest.bytes + 4 * i) % 10000u;
		for (size_t k = 4; k > 0; k--, group /= 10)
			out[5 * i + k - 1] = (char)('0' + group % 10);
		out[5 * i + 4] = ' ';
	}
	out[KW_ENROL_PHRASE_SIZE - 1] = '\0';
	return KW_OK;
}

bool kw_enrol_phrase_equal(const char *phrase, const char *typed)
{
	for (;; typed++) {
		while (*phrase == ' ')
			phrase++;
		if (*typed == ' ' || *typed == '-' || *typed == '.')
			continue;
		if (*typed != *phrase)
			return false;
		if (*typed == '\0')
			return true;
		phrase++;
	}
}
