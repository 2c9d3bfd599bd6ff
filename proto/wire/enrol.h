#ifndef KW_WIRE_ENROL_H
#define KW_WIRE_ENROL_H

#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* Enrolment: the code that an operator gives to an agency, and the request and reply that it pays for. */

/* "host:port" or "[v6]:port", printable ASCII. */
#define KW_ENROL_ADDRESS_SIZE_MAX 128u
#define KW_ENROL_SECRET_SIZE 16u
/* Text of a code with the longest address, terminator included. */
#define KW_ENROL_TEXT_SIZE_MAX 384u
#define KW_ENROL_CSR_SIZE_MAX 2048u
#define KW_ENROL_CERTIFICATES_MAX 3u
#define KW_ENROL_CERTIFICATE_SIZE_MAX 4096u

struct kw_enrol_code {
	char address[KW_ENROL_ADDRESS_SIZE_MAX + 1]; /* of the hub, terminated */
	struct kw_digest root_fingerprint;           /* SHA-256 of the root's SubjectPublicKeyInfo */
	uint8_t secret[KW_ENROL_SECRET_SIZE];        /* wipe the struct when done */
};

/* Writes "KW1-" and groups of five of Crockford's base 32 (crockford.com/base32.html), a checksum at the end; terminated.
 * KW_EFIELD  address empty, too long or not printable */
KW_MUST_USE enum kw_err kw_enrol_code_format(const struct kw_enrol_code *code, char out[KW_ENROL_TEXT_SIZE_MAX]);
/* Reads what a person typed: any case, O for 0, I and L for 1, with or without hyphens and blanks.
 * KW_EFORMAT   not a code; KW_EVERSION: a code of a later kind (KW2…)
 * KW_ECORRUPT  is never returned: a failed checksum is KW_EAUTH, "typed wrong" */
KW_MUST_USE enum kw_err kw_enrol_code_parse(const char *text, struct kw_enrol_code *out);

/* A code at rest, at the hub: a file named by the first half of the secret's SHA-256, in hex, so that whoever reads the
 * folder's listing has no secret. `kinward hub add` writes it, the broker reads it. KW_ECRYPTO. */
#define KW_ENROL_FILE_SIZE 40u /* "enrol/" and 32 digits, terminated */
#define KW_ENROL_LIFE_S (72 * 3600)
KW_MUST_USE enum kw_err kw_enrol_file_name(const uint8_t *secret, char out[KW_ENROL_FILE_SIZE]);

/* What a new agent sends. Views are borrowed; after a parse they point into the request. */
struct kw_enrol_request {
	const uint8_t *secret;       /* KW_ENROL_SECRET_SIZE */
	struct kw_view csr;          /* PKCS #10, DER */
	const uint8_t *identity_key; /* KW_KEY_SIZE; ignored by kw_enrol_request_add, which takes it from the key */
	const uint8_t *sealing_key;  /* KW_KEY_SIZE */
};

/* Appends an encoded EnrolRequest with its proof, signed by `identity`. KW_ETOOBIG, KW_EFIELD, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_enrol_request_add(struct kw_buf *out, const struct kw_enrol_request *request,
	const struct kw_ed25519 *identity);
/* Parses and checks the proof. The secret is the caller's to compare (kw_equal_secret), the CSR the authority's.
 * KW_EFORMAT, KW_EFIELD; KW_EAUTH: the proof does not verify */
KW_MUST_USE enum kw_err kw_enrol_request_parse(struct kw_view bytes, struct kw_enrol_request *out);

struct kw_enrol_reply {
	struct kw_name agency;
	struct kw_name hub;
	struct kw_view certificates[KW_ENROL_CERTIFICATES_MAX]; /* DER, leaf first, without the root */
	size_t certificates_count;                              /* at least 1 */
};

/* Appends an encoded EnrolReply. KW_EFIELD, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_enrol_reply_add(struct kw_buf *out, const struct kw_enrol_reply *reply);
/* Views point into bytes. Nothing is verified here but the form. KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_enrol_reply_parse(struct kw_view bytes, struct kw_enrol_reply *out);

#endif
