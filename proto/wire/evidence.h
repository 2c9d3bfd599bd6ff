#ifndef KW_WIRE_EVIDENCE_H
#define KW_WIRE_EVIDENCE_H

#include "proto/wire/audit.h"
#include "proto/wire/envelope.h"
#include "proto/wire/receipt.h"
#include "proto/wire/role_client.h"

/* Evidence files (kinward/v1/proof.proto): who sent an envelope to whom, and who confirmed it, shown to somebody who has
 * nothing but the file and the network's root fingerprint.
 *
 *   root fingerprint → RootRole 1, 2, … → timestamp → snapshot → directories → identity keys of sender and recipient
 *   header, commit, slot and its path, body digest → T; sender's key over T and claims; recipient's key over receipts of T
 *
 * A file is taken whole or refused: nothing in it is left unchecked. Pure: no clock, no files; it allocates for the roles. */

#define KW_EVIDENCE_VERSION 1u
#define KW_EVIDENCE_SIZE_MAX (24u << 20)
#define KW_EVIDENCE_RECEIPTS_MAX 8u
#define KW_EVIDENCE_DIRECTORIES_MAX 2u
#define KW_ENVELOPE_PROOF_SIZE_MAX 4096u

struct kw_sealed;

/* What T is made of, and the sender's signature; views into its input. */
struct kw_envelope_proof {
	struct kw_envelope envelope; /* without body and auth */
	struct kw_digest body_digest;
	struct kw_view claims;
	struct kw_view signature; /* KW_SIGNATURE_SIZE bytes */
};

/* Appends the EnvelopeProof of one recipient's envelope. KW_EFIELD: no such recipient; KW_ECRYPTO, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_envelope_proof_of(const struct kw_sealed *sealed, size_t recipient, struct kw_buf *out);
/* Reads one and verifies nothing. KW_EFORMAT, KW_EFIELD, KW_EVERSION. */
KW_MUST_USE enum kw_err kw_envelope_proof_read(struct kw_view bytes, struct kw_envelope_proof *out);

/* The SignedRoles as they came, in the order of RoleChain. */
struct kw_evidence_roles {
	struct kw_view roots[KW_ROLE_ROOTS_MAX];
	uint32_t roots_count;
	struct kw_view timestamp;
	struct kw_view snapshot;
	struct kw_view directories[KW_EVIDENCE_DIRECTORIES_MAX];
	uint32_t directories_count;
};

/* The parts of a file; views. */
struct kw_evidence_parts {
	struct kw_view envelope;
	struct kw_view receipts[KW_EVIDENCE_RECEIPTS_MAX]; /* by level */
	uint32_t receipts_count;
	struct kw_evidence_roles roles;
	struct kw_view held; /* an encoded HeldProof; of size 0: none */
};

/* Appends a HeldProof. checkpoint: a SignedRole; inclusion: encoded. KW_EFIELD: one is empty; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_held_proof_add(struct kw_buf *out, struct kw_view checkpoint, struct kw_view inclusion);
/* The two parts; views. KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_held_proof_read(struct kw_view bytes, struct kw_view *checkpoint, struct kw_view *inclusion);

/* Appends the file; reads one and verifies nothing. KW_EFIELD: a count is out of range, a part is empty; KW_EFORMAT,
 * KW_EVERSION: another version of the file; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_evidence_add(struct kw_buf *out, const struct kw_evidence_parts *parts);
KW_MUST_USE enum kw_err kw_evidence_read(struct kw_view bytes, struct kw_evidence_parts *out);

/* What does not hold. */
enum kw_evidence_fault {
	KW_EVIDENCE_FINE,
	KW_EVIDENCE_FORM,       /* no evidence file, or one of another version */
	KW_EVIDENCE_ROLES,      /* the signed roles: see rule */
	KW_EVIDENCE_SENDER,     /* no directory in the file has the sender, with the key that signed */
	KW_EVIDENCE_SIGNATURE,  /* the sender has not signed this envelope */
	KW_EVIDENCE_RECIPIENT,  /* no directory in the file has the recipient */
	KW_EVIDENCE_ENVELOPE,   /* a receipt is about another envelope */
	KW_EVIDENCE_RECEIPT,    /* the recipient has not signed a receipt */
	KW_EVIDENCE_HELD,       /* the hub where the message entered has not logged it */
	KW_EVIDENCE_LOCAL,      /* memory or libcrypto failed here: nothing is said about the file */
	KW_EVIDENCE_FAULT_COUNT
};
/* Wire name, and one sentence; static storage. */
const char *kw_evidence_fault_name(enum kw_evidence_fault fault);
const char *kw_evidence_fault_text(enum kw_evidence_fault fault);

/* What a file proves. */
struct kw_evidence {
	struct kw_digest digest; /* T */
	struct kw_digest body_digest;
	struct kw_id envelope_id;
	enum kw_msg_class msg_class;
	uint32_t size_bucket;
	uint32_t expiry_hour;
	struct kw_claims claims;
	struct kw_name home_hub; /* where it entered */
	struct kw_name recipient;
	struct kw_name recipient_hub;
	bool sender_revoked;    /* by the directory in the file, which may be younger than the message */
	bool recipient_revoked;
	uint32_t receipts_count;
	struct kw_receipt receipts[KW_EVIDENCE_RECEIPTS_MAX]; /* by level */
	bool held; /* the hub's audit log had it when the checkpoint was made */
	struct kw_checkpoint checkpoint;
	uint64_t root_version;
	int64_t roles_unix_ms; /* when the hub last signed the timestamp in the file, by its clock */
};

struct kw_evidence_refusal {
	enum kw_evidence_fault fault;
	enum kw_role_rule rule; /* with KW_EVIDENCE_ROLES */
};

/* Verifies a file. KW_OK: all of it holds. Otherwise *why says what does not, and out is untouched: KW_EAUTH for what is
 * signed by somebody else or about something else, KW_EFORMAT, KW_EFIELD, KW_EVERSION, KW_ETOOBIG for what cannot be read;
 * KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_evidence_verify(struct kw_view bytes, const struct kw_digest *root_fingerprint,
	struct kw_evidence *out, struct kw_evidence_refusal *why);

#endif
