#include "proto/link/pki.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "proto/base/check.h"
#include "proto/link/file.h"
#include "proto/wire/spki.h"

#define SERIAL_SIZE 16
#define EARLY_S 3600

enum kw_err kw_pki_key_new(EVP_PKEY **out)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (key == NULL)
		return KW_ECRYPTO;
	*out = key;
	return KW_OK;
}

enum pki_kind { PKI_ROOT, PKI_ISSUING, PKI_SERVER, PKI_AGENCY };

#define DAY_S INT64_C(86400)
#define ROOT_S (3650 * DAY_S)
#define ISSUING_S (1825 * DAY_S)
#define SERVER_S (365 * DAY_S)
#define AGENCY_S (90 * DAY_S)

struct request {
	enum pki_kind kind;
	const char *common_name;
	const struct kw_name *hub;    /* NULL for PKI_ROOT */
	const struct kw_name *agency; /* PKI_AGENCY only */
	int64_t life_s;
	int64_t now_unix_ms;
	EVP_PKEY *subject_key;
	X509 *issuer; /* NULL for PKI_ROOT */
	EVP_PKEY *issuer_key;
};

static int set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_SIZE];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return 0;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and never shorter */
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	int ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return ok;
}

static int set_subject(X509 *certificate, const struct request *request)
{
	static const char *const UNITS[] = {"root", "issuer", "hub", "agency"};
	X509_NAME *subject = X509_get_subject_name(certificate);
	return X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Kinward", -1, -1, 0) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_ASC, (const unsigned char *)UNITS[request->kind], -1, -1,
		       0) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)request->common_name, -1, -1, 0) == 1;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	int ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

static int add_name(X509 *certificate, X509 *issuer, const struct request *request)
{
	char uri[32 + 2 * (KW_NAME_SIZE_MAX + 1)];
	int size = request->kind == PKI_AGENCY
		? snprintf(uri, sizeof(uri), "URI:kinward:agency:%s@%s", request->agency->text, request->hub->text)
		: snprintf(uri, sizeof(uri), "URI:kinward:hub:%s", request->hub->text);
	KW_ASSERT(size > 0 && (size_t)size < sizeof(uri));
	return add_extension(certificate, issuer, NID_subject_alt_name, uri);
}

static int add_extensions(X509 *certificate, X509 *issuer, const struct request *request)
{
	static const char *const CONSTRAINTS[] = {"critical,CA:TRUE,pathlen:1", "critical,CA:TRUE,pathlen:0",
		"critical,CA:FALSE", "critical,CA:FALSE"};
	bool authority = request->kind == PKI_ROOT || request->kind == PKI_ISSUING;
	const char *usage = authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature";
	if (request->kind == PKI_ISSUING)
		usage = "critical,keyCertSign,cRLSign,digitalSignature"; /* it signs the directory too */
	if (!add_extension(certificate, issuer, NID_basic_constraints, CONSTRAINTS[request->kind]) ||
		!add_extension(certificate, issuer, NID_key_usage, usage) ||
		!add_extension(certificate, issuer, NID_subject_key_identifier, "hash") ||
		!add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always"))
		return 0;
	if (request->kind == PKI_SERVER && !add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth"))
		return 0;
	if (request->kind == PKI_AGENCY && !add_extension(certificate, issuer, NID_ext_key_usage, "clientAuth"))
		return 0;
	return request->kind == PKI_ROOT || add_name(certificate, issuer, request);
}

static int64_t agency_life_s(void)
{
#ifdef KW_UNSAFE_TESTS
	const char *text = getenv("KW_UNSAFE_CERTIFICATE_LIFE_S");
	if (text != NULL)
		return strtol(text, NULL, 10);
#endif
	return AGENCY_S;
}

/* No certificate outlives the one that it hangs on: it would not be believed then. KW_EEXPIRED: that one has ended. */
static enum kw_err bound_life(const struct request *request, int64_t *life_s)
{
	int64_t ends_ms;
	*life_s = request->life_s;
	if (request->issuer == NULL)
		return KW_OK;
	enum kw_err err = kw_spki_expires(request->issuer, &ends_ms);
	if (err != KW_OK)
		return err;
	int64_t left_s = (ends_ms - request->now_unix_ms) / 1000;
	if (left_s < *life_s)
		*life_s = left_s;
	return left_s > 0 ? KW_OK : KW_EEXPIRED;
}

static enum kw_err issue(const struct request *request, X509 **out)
{
	int64_t life_s;
	enum kw_err err = bound_life(request, &life_s);
	if (err != KW_OK)
		return err;
	X509 *certificate = X509_new();
	if (certificate == NULL)
		return KW_ENOMEM;
	X509 *issuer = request->issuer == NULL ? certificate : request->issuer;
	time_t now = (time_t)(request->now_unix_ms / 1000);
	int ok = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
		 X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -EARLY_S, &now) != NULL &&
		 X509_time_adj_ex(X509_getm_notAfter(certificate), (int)(life_s / DAY_S), (long)(life_s % DAY_S), &now) != NULL &&
		 X509_set_pubkey(certificate, request->subject_key) == 1 && set_subject(certificate, request) &&
		 X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
		 add_extensions(certificate, issuer, request) && X509_sign(certificate, request->issuer_key, NULL) > 0;
	if (!ok) {
		ERR_clear_error();
		X509_free(certificate);
		return KW_ECRYPTO;
	}
	*out = certificate;
	return KW_OK;
}

enum kw_err kw_pki_root_new(EVP_PKEY *key, const char *name, int64_t now_unix_ms, X509 **out)
{
	if (strlen(name) < 1 || strlen(name) > 64)
		return KW_EFIELD;
	const struct request request = {.kind = PKI_ROOT, .common_name = name, .life_s = ROOT_S,
		.now_unix_ms = now_unix_ms, .subject_key = key, .issuer_key = key};
	return issue(&request, out);
}

enum kw_err kw_pki_issuing_new(const struct kw_pki_issuer *root, EVP_PKEY *key, const struct kw_name *hub,
	int64_t now_unix_ms, X509 **out)
{
	const struct request request = {.kind = PKI_ISSUING, .common_name = hub->text, .hub = hub, .life_s = ISSUING_S,
		.now_unix_ms = now_unix_ms, .subject_key = key, .issuer = root->certificate, .issuer_key = root->key};
	return issue(&request, out);
}

enum kw_err kw_pki_server_new(const struct kw_pki_issuer *issuing, EVP_PKEY *key, const struct kw_name *hub,
	int64_t now_unix_ms, X509 **out)
{
	const struct request request = {.kind = PKI_SERVER, .common_name = hub->text, .hub = hub, .life_s = SERVER_S,
		.now_unix_ms = now_unix_ms, .subject_key = key, .issuer = issuing->certificate, .issuer_key = issuing->key};
	return issue(&request, out);
}

enum kw_err kw_pki_csr_add(EVP_PKEY *key, struct kw_buf *out)
{
	enum kw_err err = KW_ECRYPTO;
	unsigned char *der = NULL;
	X509_REQ *csr = X509_REQ_new();
	if (csr == NULL)
		return KW_ENOMEM;
	if (X509_REQ_set_version(csr, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(csr, key) == 1 &&
		X509_REQ_sign(csr, key, NULL) > 0) {
		int size = i2d_X509_REQ(csr, &der);
		if (size > 0)
			err = kw_buf_add(out, KW_VIEW(der, (size_t)size));
	}
	OPENSSL_free(der);
	X509_REQ_free(csr);
	return err;
}

static enum kw_err csr_key(struct kw_view der, EVP_PKEY **out)
{
	const unsigned char *at = der.data;
	X509_REQ *csr = d2i_X509_REQ(NULL, &at, (long)der.size);
	ERR_clear_error();
	if (csr == NULL || at != der.data + der.size) {
		X509_REQ_free(csr);
		return KW_EFORMAT;
	}
	EVP_PKEY *key = X509_REQ_get_pubkey(csr);
	bool good = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 && X509_REQ_verify(csr, key) == 1;
	ERR_clear_error();
	X509_REQ_free(csr);
	if (!good) {
		EVP_PKEY_free(key);
		return KW_EAUTH;
	}
	*out = key;
	return KW_OK;
}

enum kw_err kw_pki_agency_issue(const struct kw_pki_issuer *issuing, struct kw_view csr,
	const struct kw_pki_agency *agency, int64_t now_unix_ms, X509 **out)
{
	EVP_PKEY *key = NULL;
	enum kw_err err = csr_key(csr, &key);
	if (err != KW_OK)
		return err;
	const struct request request = {.kind = PKI_AGENCY, .common_name = agency->agency.text, .hub = &agency->hub,
		.agency = &agency->agency, .life_s = agency_life_s(), .now_unix_ms = now_unix_ms, .subject_key = key,
		.issuer = issuing->certificate, .issuer_key = issuing->key};
	err = issue(&request, out);
	EVP_PKEY_free(key);
	return err;
}

enum kw_err kw_pki_cert_add_der(X509 *certificate, struct kw_buf *out)
{
	unsigned char *der = NULL;
	int size = i2d_X509(certificate, &der);
	if (size <= 0)
		return KW_ECRYPTO;
	enum kw_err err = kw_buf_add(out, KW_VIEW(der, (size_t)size));
	OPENSSL_free(der);
	return err;
}

enum kw_err kw_pki_cert_from_der(struct kw_view der, X509 **out)
{
	const unsigned char *at = der.data;
	X509 *certificate = der.size > KW_PKI_FILE_SIZE_MAX ? NULL : d2i_X509(NULL, &at, (long)der.size);
	ERR_clear_error();
	if (certificate == NULL || at != der.data + der.size) {
		X509_free(certificate);
		return KW_EFORMAT;
	}
	*out = certificate;
	return KW_OK;
}

static enum kw_err save_bio(const char *path, mode_t mode, BIO *bio)
{
	char *data = NULL;
	long size = BIO_get_mem_data(bio, &data);
	return size > 0 ? kw_file_write_atomic(path, KW_VIEW(data, (size_t)size), mode) : KW_ECRYPTO;
}

enum kw_err kw_pki_key_save(const char *path, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	if (bio == NULL)
		return KW_ENOMEM;
	enum kw_err err = KW_ECRYPTO;
	if (PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		err = save_bio(path, 0400, bio);
	BIO_free(bio);
	return err;
}

enum kw_err kw_pki_certs_save(const char *path, X509 *const *certificates, size_t count)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio == NULL)
		return KW_ENOMEM;
	enum kw_err err = KW_OK;
	for (size_t i = 0; i < count && err == KW_OK; i++)
		err = PEM_write_bio_X509(bio, certificates[i]) == 1 ? KW_OK : KW_ECRYPTO;
	if (err == KW_OK)
		err = save_bio(path, 0644, bio);
	BIO_free(bio);
	return err;
}

/* Opens a PEM file as a BIO over `bytes`, which must outlive it. */
static enum kw_err load_bio(const char *path, enum kw_file_kind kind, struct kw_buf *bytes, BIO **out)
{
	kw_buf_init(bytes, KW_PKI_FILE_SIZE_MAX);
	enum kw_err err = kw_file_read(path, kind, bytes);
	if (err != KW_OK)
		return err;
	if (bytes->size == 0)
		return KW_EFORMAT;
	*out = BIO_new_mem_buf(bytes->data, (int)bytes->size);
	return *out == NULL ? KW_ENOMEM : KW_OK;
}

/* PKCS #8 of Ed25519 (RFC 8410) is these bytes and the seed. Read by hand: the decoders of libcrypto leave copies in freed memory. */
static const uint8_t PKCS8[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
#define SEED_SIZE 32u

static enum kw_err from_pkcs8(struct kw_view der, EVP_PKEY **out)
{
	if (der.size == sizeof(PKCS8) + SEED_SIZE && memcmp(der.data, PKCS8, sizeof(PKCS8)) == 0) {
		*out = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, der.data + sizeof(PKCS8), SEED_SIZE);
		return *out == NULL ? KW_ECRYPTO : KW_OK;
	}
	const unsigned char *at = der.data;
	EVP_PKEY *other = d2i_AutoPrivateKey(NULL, &at, (long)der.size);
	enum kw_err err = other == NULL ? KW_EFORMAT : KW_EAUTH;
	EVP_PKEY_free(other);
	return err;
}

enum kw_err kw_pki_key_load(const char *path, EVP_PKEY **out)
{
	struct kw_buf bytes;
	BIO *bio = NULL;
	EVP_PKEY *key = NULL;
	unsigned char *der = NULL;
	long size = 0;
	enum kw_err err = load_bio(path, KW_FILE_SECRET, &bytes, &bio);
	if (err == KW_OK)
		err = PEM_bytes_read_bio_secmem(&der, &size, NULL, PEM_STRING_EVP_PKEY, bio, NULL, NULL) == 1 ? KW_OK : KW_EFORMAT;
	if (err == KW_OK)
		err = from_pkcs8(KW_VIEW(der, (size_t)size), &key);
	if (der != NULL)
		OPENSSL_secure_clear_free(der, (size_t)size);
	ERR_clear_error();
	BIO_free(bio);
	kw_buf_fini(&bytes);
	if (err == KW_OK)
		*out = key;
	return err;
}

enum kw_err kw_pki_cert_load(const char *path, X509 **out)
{
	struct kw_buf bytes;
	BIO *bio = NULL;
	X509 *certificate = NULL;
	enum kw_err err = load_bio(path, KW_FILE_PUBLIC, &bytes, &bio);
	if (err == KW_OK) {
		certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		err = certificate == NULL ? KW_EFORMAT : KW_OK;
	}
	ERR_clear_error();
	BIO_free(bio);
	kw_buf_fini(&bytes);
	if (err == KW_OK)
		*out = certificate;
	return err;
}
