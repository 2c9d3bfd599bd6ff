#ifndef KW_LINK_PKI_H
#define KW_LINK_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "proto/base/id.h"

/* Keys and certificates, all Ed25519 and X.509 v3:
 *
 *   root            10 years   CA            offline; its fingerprint (kw_spki_digest) is what agents pin
 *   issuing         5 years    CA, pathlen 0 one per hub: URI kinward:hub:HUB; signs certificates and the directory
 *   server          1 year     URI kinward:hub:HUB          EKU server and client authentication (peer links dial too)
 *   agency          90 days    URI kinward:agency:NAME@HUB  EKU client authentication
 *
 * None is made to outlive the one that signs it. A certificate is due to be renewed at two thirds of its life (kw_pki_due).
 * Every *out is owned by the caller: EVP_PKEY_free, X509_free. KW_ENOMEM and KW_ECRYPTO anywhere; KW_EEXPIRED: the issuer's
 * certificate has ended. */

#define KW_PKI_FILE_SIZE_MAX 65536u
#define KW_PKI_CHAIN_MAX 4u /* certificates in one file */

struct kw_pki_issuer {
	EVP_PKEY *key;     /* borrowed */
	X509 *certificate; /* borrowed; belongs to key */
};

KW_MUST_USE enum kw_err kw_pki_key_new(EVP_PKEY **out);

/* now_unix_ms: validity starts an hour before it, for clocks that run behind.
 * name: shown to people only, 1..64 bytes; KW_EFIELD otherwise. */
KW_MUST_USE enum kw_err kw_pki_root_new(EVP_PKEY *key, const char *name, int64_t now_unix_ms, X509 **out);
/* key: of the new certificate; only its public half is used. */
KW_MUST_USE enum kw_err kw_pki_issuing_new(const struct kw_pki_issuer *root, EVP_PKEY *key, const struct kw_name *hub,
	int64_t now_unix_ms, X509 **out);
KW_MUST_USE enum kw_err kw_pki_server_new(const struct kw_pki_issuer *issuing, EVP_PKEY *key, const struct kw_name *hub,
	int64_t now_unix_ms, X509 **out);

/* Appends a PKCS #10 request, DER. It asks for nothing but a key: names are the authority's to give. */
KW_MUST_USE enum kw_err kw_pki_csr_add(EVP_PKEY *key, struct kw_buf *out);

struct kw_pki_agency {
	struct kw_name agency;
	struct kw_name hub;
};
/* Issues to the key of the request; everything else that the request says is ignored.
 * KW_EFORMAT  not a PKCS #10 request
 * KW_EAUTH    its signature does not verify, or the key is not Ed25519 */
KW_MUST_USE enum kw_err kw_pki_agency_issue(const struct kw_pki_issuer *issuing, struct kw_view csr,
	const struct kw_pki_agency *agency, int64_t now_unix_ms, X509 **out);

/* When two thirds of a certificate's life are over. KW_EFORMAT. */
KW_MUST_USE enum kw_err kw_pki_due(const X509 *certificate, int64_t *unix_ms);
/* Whether a chain, leaf first and without the root, is good at a moment and ends at this root, one authority in between. count: 1 to
 * KW_PKI_CHAIN_MAX. KW_EEXPIRED: one of them is not good at that moment; KW_EAUTH: anything else. */
KW_MUST_USE enum kw_err kw_pki_chain_check(X509 *const *certificates, size_t count, X509 *root, int64_t now_unix_ms);

/* PEM files. A key is written 0400 and refused when group or others may read it; certificates are 0644.
 * Errors of file.h; KW_EFORMAT: no such PEM in it; KW_EAUTH: a key that is not Ed25519. */
KW_MUST_USE enum kw_err kw_pki_key_save(const char *path, EVP_PKEY *key);
KW_MUST_USE enum kw_err kw_pki_key_load(const char *path, EVP_PKEY **out);
/* certificates: leaf first. count: 1..KW_PKI_CHAIN_MAX. */
KW_MUST_USE enum kw_err kw_pki_certs_save(const char *path, X509 *const *certificates, size_t count);
/* The first certificate of the file. */
KW_MUST_USE enum kw_err kw_pki_cert_load(const char *path, X509 **out);

KW_MUST_USE enum kw_err kw_pki_cert_add_der(X509 *certificate, struct kw_buf *out);
/* KW_EFORMAT  not one certificate, or bytes behind it */
KW_MUST_USE enum kw_err kw_pki_cert_from_der(struct kw_view der, X509 **out);

#endif
