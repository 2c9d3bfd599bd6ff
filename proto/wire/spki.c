#include "proto/wire/spki.h"

#include <string.h>

#include <openssl/x509v3.h>

enum kw_err kw_spki_digest(const X509 *certificate, struct kw_digest *out)
{
	unsigned char *der = NULL;
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	if (size <= 0)
		return KW_ECRYPTO;
	int ok = EVP_Digest(der, (size_t)size, out->bytes, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return ok == 1 ? KW_OK : KW_ECRYPTO;
}

static const char AGENCY[] = "kinward:agency:";
static const char HUB[] = "kinward:hub:";

static bool after(struct kw_view text, const char *prefix, struct kw_view *rest)
{
	size_t size = strlen(prefix);
	if (text.size <= size || memcmp(text.data, prefix, size) != 0)
		return false;
	*rest = KW_VIEW(text.data + size, text.size - size);
	return true;
}

static enum kw_err read_uri(struct kw_view uri, struct kw_spki_name *out)
{
	struct kw_view rest;
	if (after(uri, HUB, &rest)) {
		out->kind = KW_SPKI_HUB;
		return kw_name_from(rest, &out->hub);
	}
	if (!after(uri, AGENCY, &rest))
		return KW_EAUTH;
	const uint8_t *at = memchr(rest.data, '@', rest.size);
	if (at == NULL)
		return KW_EAUTH;
	size_t size = (size_t)(at - rest.data);
	out->kind = KW_SPKI_AGENCY;
	enum kw_err err = kw_name_from(KW_VIEW(rest.data, size), &out->agency);
	return err != KW_OK ? err : kw_name_from(KW_VIEW(at + 1, rest.size - size - 1), &out->hub);
}

enum kw_err kw_spki_name_of(const X509 *certificate, struct kw_spki_name *out)
{
	struct kw_spki_name name = {.kind = KW_SPKI_HUB};
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	enum kw_err err = KW_EAUTH;
	int found = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *entry = sk_GENERAL_NAME_value(names, i);
		if (entry->type != GEN_URI)
			continue;
		found++;
		const ASN1_IA5STRING *uri = entry->d.uniformResourceIdentifier;
		err = read_uri(KW_VIEW(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri)), &name);
	}
	GENERAL_NAMES_free(names);
	if (found != 1 || err != KW_OK)
		return KW_EAUTH;
	*out = name;
	return KW_OK;
}
