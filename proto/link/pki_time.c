#include <time.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "proto/link/pki.h"
#include "proto/wire/spki.h"

#define EARLY_MS INT64_C(3600000) /* validity begins so long before the certificate was made (pki.c) */

enum kw_err kw_pki_due(const X509 *certificate, int64_t *unix_ms)
{
	int64_t begins;
	int64_t ends;
	enum kw_err err = kw_spki_begins(certificate, &begins);
	if (err == KW_OK)
		err = kw_spki_expires(certificate, &ends);
	if (err != KW_OK)
		return err;
	begins += EARLY_MS;
	*unix_ms = ends <= begins ? begins : begins + (ends - begins) / 3 * 2;
	return KW_OK;
}

static enum kw_err verify(X509 *leaf, STACK_OF(X509) *sent, X509_STORE *store, int64_t now_unix_ms)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	enum kw_err err = KW_ENOMEM;
	if (context != NULL && X509_STORE_CTX_init(context, store, leaf, sent) == 1) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
		X509_VERIFY_PARAM_set_depth(param, 2);
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
		X509_VERIFY_PARAM_set_time(param, (time_t)(now_unix_ms / 1000));
		err = X509_verify_cert(context) == 1 ? KW_OK : KW_EAUTH;
		int why = X509_STORE_CTX_get_error(context);
		if (err != KW_OK && (why == X509_V_ERR_CERT_HAS_EXPIRED || why == X509_V_ERR_CERT_NOT_YET_VALID))
			err = KW_EEXPIRED;
	}
	X509_STORE_CTX_free(context);
	ERR_clear_error();
	return err;
}

enum kw_err kw_pki_chain_check(X509 *const *certificates, size_t count, X509 *root, int64_t now_unix_ms)
{
	STACK_OF(X509) *sent = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	enum kw_err err = sent != NULL && store != NULL && X509_STORE_add_cert(store, root) == 1 ? KW_OK : KW_ENOMEM;
	for (size_t i = 1; err == KW_OK && i < count; i++)
		err = sk_X509_push(sent, certificates[i]) > 0 ? KW_OK : KW_ENOMEM;
	if (err == KW_OK)
		err = verify(certificates[0], sent, store, now_unix_ms);
	sk_X509_free(sent); /* the certificates are the caller's */
	X509_STORE_free(store);
	return err;
}
