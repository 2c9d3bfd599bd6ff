#ifndef KW_WIRE_OPEN_H
#define KW_WIRE_OPEN_H

#include "proto/wire/envelope.h"

/* Opening an envelope: the recipient's side of seal.h. Structure first, then commitment, sender, signature, and the body
 * last, so that nothing is decrypted for a stranger. Expiry, replays and the sender's clock are the caller's matter. */

/* What failed, for the local log only: a peer hears KW_EOPEN and nothing else, because a finer answer would let it test
 * guesses about our keys and contacts. */
enum kw_open_reason {
	KW_OPEN_OK = 0,
	KW_OPEN_STRUCTURE,      /* the bytes are no envelope; the error says more */
	KW_OPEN_NOT_FOR_US,     /* the slot names another agency or hub */
	KW_OPEN_KEY_UNKNOWN,    /* no secret key with this id: destroyed, or never ours */
	KW_OPEN_SLOT,           /* the sealed key does not open */
	KW_OPEN_COMMIT,         /* the commitment is not to this key */
	KW_OPEN_AUTH,           /* the AuthBlock does not decrypt under this digest */
	KW_OPEN_CLAIMS,         /* the AuthBlock or the claims in it are malformed */
	KW_OPEN_SENDER_UNKNOWN, /* no identity key for the sender; a newer directory may have it */
	KW_OPEN_SIGNATURE,      /* the sender did not sign this */
	KW_OPEN_BODY,           /* a chunk of the body does not decrypt */
	KW_OPEN_PADDING,        /* the padding is malformed */
	KW_OPEN_SUITE,          /* the suite is good, and libcrypto does not have it, or we do not list it */
	KW_OPEN_LOCAL,          /* a lookup, memory or libcrypto failed; the error says which */
	KW_OPEN_REASON_COUNT
};

/* Stable lower-case name for the log; static storage. */
const char *kw_open_reason_name(enum kw_open_reason reason);

/* Whose identity key is asked for. Borrowed for the call. */
struct kw_open_sender {
	const struct kw_name *agency;
	const struct kw_name *hub;
	struct kw_view key_id;
	int64_t sent_unix_ms; /* as it says itself */
};

struct kw_open_request {
	struct kw_view envelope; /* encoded Envelope */
	struct kw_name agency;   /* we */
	struct kw_name hub;      /* our hub */
	/* Copies the secret sealing key of this id. KW_ENOTFOUND: there is none. Another error ends the opening with it. */
	enum kw_err (*find_secret)(void *user, struct kw_view key_id, struct kw_x25519 *out);
	/* The same for KW_SUITE_HYBRID; NULL: there are none. A key of one kind is never used in a suite of the other. */
	enum kw_err (*find_hybrid)(void *user, struct kw_view key_id, struct kw_hybrid *out);
	/* Writes the sender's Ed25519 public key, KW_KEY_SIZE bytes. Errors as above. */
	enum kw_err (*find_identity)(void *user, const struct kw_open_sender *sender, uint8_t *out);
	void *user;
};

struct kw_opened {
	struct kw_buf content;   /* the message as it was sealed; wiped by kw_opened_fini */
	struct kw_digest digest; /* T, for receipts */
	struct kw_id envelope_id;
	enum kw_suite suite;
	enum kw_msg_class msg_class;
	uint32_t expiry_hour;
	uint32_t size_bucket;
	uint32_t hops_max;
	struct kw_name home_hub;
	struct kw_claims claims; /* signed by claims.sender */
};

/* Opens. On KW_OK `out` is to be freed by kw_opened_fini; on an error it is untouched. `reason` is always written.
 * Errors of kw_envelope_parse  the bytes are no envelope we speak
 * KW_EOPEN                     everything else that can be wrong with it
 * KW_ENOMEM, KW_ECRYPTO, errors of the lookups  our own trouble; the envelope may be fine */
KW_MUST_USE enum kw_err kw_open(const struct kw_open_request *request, struct kw_opened *out,
	enum kw_open_reason *reason);
/* Accepts NULL and a zeroed struct. */
void kw_opened_fini(struct kw_opened *opened);

#endif
