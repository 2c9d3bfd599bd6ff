#ifndef KW_TEST_KIT_HOSTILE_LETTER_H
#define KW_TEST_KIT_HOSTILE_LETTER_H

#include "agent/shell/keys.h"
#include "proto/wire/envelope.h"
#include "proto/wire/seal.h"
#include "proto/wire/suite.h"
#include "tests/kit/site.h"

/* A true message of one agency to some others, with the message key that its sender and each of its recipients know, and what
 * such people can make of it. Failures are cmocka's. */

struct hostile_letter {
	struct kw_id message_id;
	struct kw_sealed sealed;     /* one envelope per recipient, in their order */
	struct kw_claims claims;
	struct kw_buf content;
	uint8_t dek[KW_DEK_SIZE];
	struct kw_suite_keys keys;   /* of dek under the header as it was sealed */
	struct kw_envelope parts;    /* of the envelope that was taken apart last */
	struct kw_buf header;        /* what the functions below made */
	struct kw_buf slot;
	uint8_t enc[KW_HPKE_ENC_SIZE + KW_SEALED_KEY_SIZE];
	uint8_t commit[KW_DIGEST_SIZE];
	uint8_t auth[KW_AUTH_SIZE_MAX + KW_AEAD_TAG_SIZE];
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_buf body;
	struct kw_buf bytes;         /* what hostile_letter_encode made */
};

struct hostile_writing {
	const struct keys *from;       /* whose identity signs */
	const char *sender;            /* as whom; NULL: agency-1 */
	const char *sender_hub;        /* NULL: hub-0 */
	const char *home_hub;          /* NULL: hub-0 */
	const struct keys *to[4];      /* until NULL; recipient i is to_name[i], NULL: agency-i without agency-1 */
	const char *to_name[4];
	enum kw_suite suite;           /* 0: AES */
	uint32_t expiry_hour;          /* 0: in ten days */
	size_t content_size;           /* pads the content to a size of this kind; 0: small */
	uint32_t content_type;         /* 0: of the content */
	struct kw_view content;        /* empty: a question for places in a shelter */
};

void hostile_letter_write(struct hostile_letter *letter, const struct hostile_writing *writing);
/* Accepts a zeroed one. */
void hostile_letter_fini(struct hostile_letter *letter);
struct kw_view hostile_letter_envelope(const struct hostile_letter *letter, size_t recipient);

/* parts are those of this recipient's envelope, to be changed. */
void hostile_letter_take_apart(struct hostile_letter *letter, size_t recipient);
/* The parts as they now are; valid until the next call. */
struct kw_view hostile_letter_encode(struct hostile_letter *letter);

/* parts.header and parts.slot anew from the label and the other fields: what everybody can do. */
void hostile_letter_new_header(struct hostile_letter *letter);
void hostile_letter_new_slot(struct hostile_letter *letter);
/* What takes the message key, or another: keys and commitment of the present header; a slot with `dek` inside for a sealing key;
 * the body; the AuthBlock with these claims under the present T, signed by `signer`, or with the signature of before when NULL. */
void hostile_letter_new_keys(struct hostile_letter *letter, const uint8_t *dek);
void hostile_letter_seal_slot(struct hostile_letter *letter, const uint8_t *dek, const struct kw_x25519 *to);
void hostile_letter_new_body(struct hostile_letter *letter, struct kw_view content);
void hostile_letter_new_auth(struct hostile_letter *letter, const struct kw_claims *claims, const struct kw_ed25519 *signer);
/* T of the parts as they now are. */
void hostile_letter_digest(const struct hostile_letter *letter, struct kw_digest *out);

uint32_t hostile_hour_in(int hours);

#endif
