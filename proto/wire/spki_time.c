#include "proto/wire/spki.h"

#include <openssl/asn1.h>

#define DAY_S INT64_C(86400)

static enum kw_err to_unix_ms(const ASN1_TIME *time, int64_t *unix_ms)
{
	int days;
	int seconds;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	if (epoch == NULL)
		return KW_ENOMEM;
	bool ok = time != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
	ASN1_TIME_free(epoch);
	if (!ok)
		return KW_EFORMAT;
	*unix_ms = (days * DAY_S + seconds) * 1000;
	return KW_OK;
}

enum kw_err kw_spki_begins(const X509 *certificate, int64_t *unix_ms)
{
	return to_unix_ms(X509_get0_notBefore(certificate), unix_ms);
}

enum kw_err kw_spki_expires(const X509 *certificate, int64_t *unix_ms)
{
	return to_unix_ms(X509_get0_notAfter(certificate), unix_ms);
}
