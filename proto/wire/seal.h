#ifndef KW_WIRE_SEAL_H
#define KW_WIRE_SEAL_H

#include "proto/wire/envelope.h"

/* Sealing: one message in, one envelope per recipient out. The composition is described in suite.h. Opening: open.h. */

struct kw_seal_recipient {
	struct kw_name agency;
	struct kw_name hub;
	struct kw_key_id key_id;           /* of the sealing key */
	uint8_t public_key[KW_KEY_SIZE];   /* X25519; not used with KW_SUITE_HYBRID */
	const uint8_t *hybrid_key;         /* with KW_SUITE_HYBRID: KW_HYBRID_PUBLIC_SIZE bytes, borrowed; else NULL */
};

/* Where randomness comes from. A test gives its own, so that golden files repeat. */
struct kw_seal_random {
	/* Fills `size` bytes; an error ends the sealing with it. */
	enum kw_err (*fill)(void *user, void *out, size_t size);
	void *user;
};

/* Everything is borrowed for the call. */
struct kw_seal_request {
	enum kw_suite suite;
	const struct kw_seal_recipient *recipients;
	size_t recipients_count; /* 1..KW_RECIPIENTS_MAX */
	const struct kw_ed25519 *identity; /* the sender's, of claims.key_id */
	struct kw_claims claims;
	struct kw_name home_hub;
	enum kw_msg_class msg_class; /* not KW_CONTROL */
	uint32_t expiry_hour;        /* hours since 1970, 1 or more */
	uint32_t hops_max;           /* 1..KW_HOPS_MAX */
	struct kw_view content;      /* 0..KW_SEAL_SIZE_MAX bytes */
	const struct kw_seal_random *random; /* NULL: kw_random, as the product must */
};

struct kw_sealed {
	struct kw_id envelope_id;
	struct kw_digest digest; /* T: one for all recipients */
	uint32_t size_bucket;
	size_t envelopes_count;
	struct kw_buf envelopes[KW_RECIPIENTS_MAX]; /* in the order of the recipients */
	/* What the sender signed, for evidence (evidence.h): inside the envelopes only recipients can read it. */
	size_t claims_size;
	uint8_t claims[KW_AUTH_SIZE_MAX];
	uint8_t signature[KW_SIGNATURE_SIZE];
};

/* Seals. On KW_OK `out` is to be freed by kw_sealed_fini; on an error it is untouched. Every call makes a new message key
 * and id: to send the same message again, keep the envelopes.
 * KW_EVERSION  unknown suite, or one that this libcrypto does not have
 * KW_ETOOBIG   content over KW_SEAL_SIZE_MAX
 * KW_EFIELD    a count, name, key id, class, number or recipient key out of range
 * KW_ENOMEM, KW_ECRYPTO */
KW_MUST_USE enum kw_err kw_seal(const struct kw_seal_request *request, struct kw_sealed *out);
/* Accepts NULL and a zeroed struct. */
void kw_sealed_fini(struct kw_sealed *sealed);

#endif
