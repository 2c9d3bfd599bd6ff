#ifndef KW_WIRE_ENROL_H
#define KW_WIRE_ENROL_H

#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* Enrolment: the code that an operator gives to an agency, and what the two sides say to each other. proto/PROTOCOL.md has
 * every byte. The secret of the code never travels: the agency proves that it has it.
 *
 * enrol.c: the code. enrol_ask.c: what is asked. enrol_reply.c: the answers. What the hub remembers of it: enrolment.h. */

/* "host:port" or "[v6]:port", printable ASCII. */
#define KW_ENROL_ADDRESS_SIZE_MAX 128u
#define KW_ENROL_SECRET_SIZE 16u
/* Text of a code with the longest names, terminator included. */
#define KW_ENROL_TEXT_SIZE_MAX 512u
#define KW_ENROL_LIFE_S (72 * 3600)

struct kw_enrol_code {
	char address[KW_ENROL_ADDRESS_SIZE_MAX + 1]; /* of the hub, terminated */
	struct kw_name agency;                       /* whom it enrols */
	struct kw_digest root_fingerprint;           /* SHA-256 of the root's SubjectPublicKeyInfo */
	uint8_t secret[KW_ENROL_SECRET_SIZE];        /* wipe the struct when done */
};

/* Writes "KW1-" and groups of five of Crockford's base 32 (crockford.com/base32.html), a checksum at the end; terminated.
 * KW_EFIELD  address empty, too long or not printable, or no agency */
KW_MUST_USE enum kw_err kw_enrol_code_format(const struct kw_enrol_code *code, char out[KW_ENROL_TEXT_SIZE_MAX]);
/* Reads what a person typed: any case, O for 0, I and L for 1, with or without hyphens and blanks.
 * KW_EFORMAT   not a code; KW_EVERSION: a code of a later kind (KW2…)
 * KW_ECORRUPT  is never returned: a failed checksum is KW_EAUTH, "typed wrong" */
KW_MUST_USE enum kw_err kw_enrol_code_parse(const char *text, struct kw_enrol_code *out);

/* The hub keeps neither the code nor its secret, but two things that are derived of it: the id, by which it finds its record, and
 * the key, which checks a proof. KW_ECRYPTO. */
#define KW_ENROL_ID_SIZE 16u
KW_MUST_USE enum kw_err kw_enrol_code_id(const uint8_t *secret, uint8_t id[KW_ENROL_ID_SIZE]);
KW_MUST_USE enum kw_err kw_enrol_code_key(const uint8_t *secret, struct kw_digest *key);

#define KW_ENROL_CSR_SIZE_MAX 2048u
#define KW_ENROL_REQUEST_SIZE_MAX 2304u
#define KW_ENROL_ASK_SIZE_MAX 2560u

/* What a new agent asks for: made once, the same bytes at each try. Views are borrowed; after a parse they point into it. */
struct kw_enrol_request {
	struct kw_view csr;          /* PKCS #10, DER */
	const uint8_t *identity_key; /* KW_KEY_SIZE */
	const uint8_t *sealing_key;  /* KW_KEY_SIZE */
	const uint8_t *code_id;      /* KW_ENROL_ID_SIZE */
};

/* Appends an encoded EnrolRequest. KW_EFIELD for the size of the CSR; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_enrol_request_add(struct kw_buf *out, const struct kw_enrol_request *request);

/* Who asks, by which way. */
struct kw_enrol_asker {
	const struct kw_ed25519 *identity;
	const struct kw_ed25519 *tls;
	struct kw_digest code_key;
	/* The TLS exporter of the connection (kw_tls_peer): a proof is good on its own connection only. NULL: by file. */
	const struct kw_digest *binding;
};
/* Appends an encoded EnrolAsk: the request with both keys' signatures and the proof. KW_ETOOBIG, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_enrol_ask_add(struct kw_buf *out, struct kw_view request, const struct kw_enrol_asker *asker);

struct kw_enrol_ask {
	struct kw_view request;            /* as it was encoded */
	const uint8_t *identity_signature; /* KW_SIGNATURE_SIZE */
	const uint8_t *tls_signature;      /* KW_SIGNATURE_SIZE */
	const uint8_t *proof;              /* KW_DIGEST_SIZE */
	struct kw_enrol_request is;        /* what the request says */
	uint8_t tls_key[KW_KEY_SIZE];      /* of the CSR */
};
/* Checks form and all three signatures, the CSR's own among them; not the proof. Views point into bytes.
 * KW_EFORMAT, KW_EFIELD; KW_EAUTH: a signature does not verify, or the TLS key is not Ed25519 */
KW_MUST_USE enum kw_err kw_enrol_ask_parse(struct kw_view bytes, struct kw_enrol_ask *out);
/* Does the asker have the secret? In constant time. KW_EAUTH: no; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_enrol_ask_prove(const struct kw_enrol_ask *ask, const struct kw_digest *code_key,
	const struct kw_digest *binding);

/* What both sides show, and people compare: six groups of four digits over the root's fingerprint, the agency's name and all
 * keys of the request. */
#define KW_ENROL_PHRASE_SIZE 30u /* terminated */
KW_MUST_USE enum kw_err kw_enrol_phrase(const struct kw_digest *root_fingerprint, const struct kw_name *agency,
	const struct kw_enrol_ask *ask, char out[KW_ENROL_PHRASE_SIZE]);
/* Compares what a person typed: only digits count, but nothing else than blanks, '-' and '.' may stand between them. */
bool kw_enrol_phrase_equal(const char *phrase, const char *typed);

/* How far it is, to who has proved the code: EnrolPhase of frame.proto. */
enum kw_enrol_phase {
	KW_ENROL_ASKED = 1,    /* stored; a person has to approve */
	KW_ENROL_APPROVED = 2, /* not carried out yet */
	KW_ENROL_EXPIRED = 3,  /* nobody asked within 72 hours */
	KW_ENROL_BURNT = 4,    /* KW_ENROL_TRIES_MAX wrong proofs */
	KW_ENROL_REFUSED = 5,  /* by a person */
	KW_ENROL_TAKEN = 6,    /* another request came first with this code */
	KW_ENROL_EXISTS = 7    /* the hub has an agency of this name */
};

struct kw_enrol_state {
	enum kw_enrol_phase phase;
	struct kw_name agency;
};
/* Appends an encoded EnrolState. KW_ENOMEM, KW_ETOOBIG. */
KW_MUST_USE enum kw_err kw_enrol_state_add(struct kw_buf *out, const struct kw_enrol_state *state);
/* KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_enrol_state_parse(struct kw_view bytes, struct kw_enrol_state *out);

#define KW_ENROL_CERTIFICATES_MAX 3u
#define KW_ENROL_CERTIFICATE_SIZE_MAX 4096u

struct kw_enrol_reply {
	struct kw_name agency;
	struct kw_name hub;
	struct kw_view certificates[KW_ENROL_CERTIFICATES_MAX]; /* DER, leaf first, without the root */
	size_t certificates_count;                              /* at least 1 */
	struct kw_view root;                                    /* DER; by file only, else empty */
};

/* Appends an encoded EnrolReply. KW_EFIELD, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_enrol_reply_add(struct kw_buf *out, const struct kw_enrol_reply *reply);
/* Views point into bytes. Nothing is verified here but the form. KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_enrol_reply_parse(struct kw_view bytes, struct kw_enrol_reply *out);

/* The file that is carried where there is no link: one line that says what it is, then the message. */
enum kw_enrol_paper { KW_ENROL_PAPER_REQUEST, KW_ENROL_PAPER_REPLY };
#define KW_ENROL_PAPER_SIZE_MAX 20480u
KW_MUST_USE enum kw_err kw_enrol_paper_add(struct kw_buf *out, enum kw_enrol_paper which, struct kw_view body);
/* *body points into bytes.
 * KW_EFORMAT  not a file of an enrolment; KW_EFIELD: of the other kind; KW_EVERSION: of another version */
KW_MUST_USE enum kw_err kw_enrol_paper_parse(struct kw_view bytes, enum kw_enrol_paper which, struct kw_view *body);

#endif
