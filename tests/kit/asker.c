#include "tests/kit/asker.h"

#include <openssl/evp.h>

#include "proto/base/check.h"
#include "proto/link/pki.h"

void kit_asker_init(struct kit_asker *asker, uint8_t secret)
{
	struct kw_buf csr;
	*asker = (struct kit_asker){.secret = {secret}};
	KW_ASSERT(kw_ed25519_generate(&asker->identity) == KW_OK);
	KW_ASSERT(kw_ed25519_generate(&asker->tls) == KW_OK);
	KW_ASSERT(kw_x25519_generate(&asker->sealing) == KW_OK);
	KW_ASSERT(kw_enrol_code_id(asker->secret, asker->code_id) == KW_OK);
	KW_ASSERT(kw_enrol_code_key(asker->secret, &asker->code_key) == KW_OK);
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, asker->tls.seed, sizeof(asker->tls.seed));
	KW_ASSERT(key != NULL);
	kw_buf_init(&csr, KW_ENROL_CSR_SIZE_MAX);
	kw_buf_init(&asker->request, KW_ENROL_REQUEST_SIZE_MAX);
	KW_ASSERT(kw_pki_csr_add(key, &csr) == KW_OK);
	const struct kw_enrol_request request = {.csr = kw_buf_view(&csr),
		.identity_key = asker->identity.public_key,
		.sealing_key = asker->sealing.public_key,
		.code_id = asker->code_id};
	KW_ASSERT(kw_enrol_request_add(&asker->request, &request) == KW_OK);
	EVP_PKEY_free(key);
	kw_buf_fini(&csr);
}

void kit_asker_fini(struct kit_asker *asker)
{
	kw_buf_fini(&asker->request);
}

void kit_asker_ask(const struct kit_asker *asker, const struct kw_digest *binding, struct kw_buf *out)
{
	const struct kw_enrol_asker who = {
		.identity = &asker->identity, .tls = &asker->tls, .code_key = asker->code_key, .binding = binding};
	KW_ASSERT(kw_enrol_ask_add(out, kw_buf_view(&asker->request), &who) == KW_OK);
}
