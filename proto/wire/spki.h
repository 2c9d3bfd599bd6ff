#ifndef KW_WIRE_SPKI_H
#define KW_WIRE_SPKI_H

#include <openssl/x509.h>

#include "proto/base/id.h"

/* What names a certificate here: the SHA-256 of its public key, and one URI. */

/* SHA-256 of the certificate's SubjectPublicKeyInfo: a root's fingerprint, a TLS key's digest. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_spki_digest(const X509 *certificate, struct kw_digest *out);

enum kw_spki_kind { KW_SPKI_AGENCY, KW_SPKI_HUB };

struct kw_spki_name {
	enum kw_spki_kind kind;
	struct kw_name agency; /* of KW_SPKI_AGENCY, else zeroed */
	struct kw_name hub;
};

/* Reads the one URI of the subject alternative name: "kinward:agency:NAME@HUB" or "kinward:hub:HUB". Nothing else in a
 * certificate names anybody.
 * KW_EAUTH  no URI, more than one, or one that breaks the form */
KW_MUST_USE enum kw_err kw_spki_name_of(const X509 *certificate, struct kw_spki_name *out);

/* The moments from which and until which a certificate is good. KW_EFORMAT: no times; KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_spki_begins(const X509 *certificate, int64_t *unix_ms);
KW_MUST_USE enum kw_err kw_spki_expires(const X509 *certificate, int64_t *unix_ms);

#endif
