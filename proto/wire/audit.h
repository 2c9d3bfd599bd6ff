#ifndef KW_WIRE_AUDIT_H
#define KW_WIRE_AUDIT_H

#include "proto/wire/role.h"
#include "proto/wire/tree.h"

/* The audit log of a hub as everybody else sees it (kinward/v1/audit.proto): leaves, checkpoints, proofs, and what one who
 * follows a log accepts. The tree itself is in tree.h. Pure: no clock, no files. */

#define KW_AUDIT_SALT_SIZE 16u
#define KW_AUDIT_PROOF_SIZE_MAX 2200u  /* an encoded proof of either kind */
#define KW_AUDIT_SIGNED_SIZE_MAX 2048u /* of a SignedRole with a checkpoint or a statement */
#define KW_AUDIT_PATH_SIZE_MAX (KW_TREE_PROOF_MAX * KW_DIGEST_SIZE)

/* H(0x00 ‖ H("kw1 leaf" ‖ salt ‖ digest)). salt: KW_AUDIT_SALT_SIZE bytes. Without the salt nobody can tell whose leaf it is,
 * also not by trying digests. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_audit_leaf(const uint8_t *salt, const struct kw_digest *envelope_digest, struct kw_digest *out);

struct kw_checkpoint {
	struct kw_name hub;
	uint64_t size; /* 1..KW_TREE_SIZE_MAX */
	struct kw_digest root;
	int64_t at_unix_ms;
};
/* Appends the encoded payload of the role "log". KW_EFIELD, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_checkpoint_add(struct kw_buf *out, const struct kw_checkpoint *checkpoint);
/* KW_EFORMAT, KW_EFIELD; out untouched. */
KW_MUST_USE enum kw_err kw_checkpoint_read(struct kw_view payload, struct kw_checkpoint *out);

struct kw_witness {
	struct kw_name witness;
	int64_t at_unix_ms;
	struct kw_view checkpoint; /* encoded; after a read it points into the payload */
};
KW_MUST_USE enum kw_err kw_witness_add(struct kw_buf *out, const struct kw_witness *statement);
KW_MUST_USE enum kw_err kw_witness_read(struct kw_view payload, struct kw_witness *out);

struct kw_inclusion {
	uint64_t index;
	const uint8_t *salt; /* KW_AUDIT_SALT_SIZE; borrowed */
	struct kw_view path; /* a multiple of KW_DIGEST_SIZE */
};
KW_MUST_USE enum kw_err kw_inclusion_add(struct kw_buf *out, const struct kw_inclusion *proof);
KW_MUST_USE enum kw_err kw_inclusion_read(struct kw_view bytes, struct kw_inclusion *out);

struct kw_consistency {
	uint64_t size_old;
	struct kw_view path;
};
KW_MUST_USE enum kw_err kw_consistency_add(struct kw_buf *out, const struct kw_consistency *proof);
KW_MUST_USE enum kw_err kw_consistency_read(struct kw_view bytes, struct kw_consistency *out);

/* R0: this envelope is in the log that the checkpoint is of. Errors of kw_tree_verify_inclusion. */
KW_MUST_USE enum kw_err kw_audit_verify(const struct kw_checkpoint *checkpoint, const struct kw_digest *envelope_digest,
	const struct kw_inclusion *proof);

/* Why a checkpoint was refused; for the log and for people. */
enum kw_audit_rule {
	KW_AUDIT_RULE_NONE,
	KW_AUDIT_RULE_FORM,
	KW_AUDIT_RULE_SIGNATURE, /* the hub's log keys have not signed it */
	KW_AUDIT_RULE_HUB,       /* of another hub's log */
	KW_AUDIT_RULE_ROLLBACK,  /* shorter than what was seen before */
	KW_AUDIT_RULE_FORKED,    /* it does not begin with what was seen before: the hub shows different logs to different people */
	KW_AUDIT_RULE_PROOF,     /* it may, and the proof is missing or does not fit */
	KW_AUDIT_RULE_COUNT
};
/* Wire name, and one sentence that says what to do; static storage. */
const char *kw_audit_rule_name(enum kw_audit_rule rule);
const char *kw_audit_rule_text(enum kw_audit_rule rule);

/* What one who follows the log of one hub remembers. Durable by its caller, before it believes. */
struct kw_audit_client {
	struct kw_checkpoint last; /* size 0: none yet; hub is set */
};

/* signed_role: a SignedRole of the role "log". consistency: an encoded ConsistencyProof from the last one to this; empty when
 * there is no last one, or it has the same size. Refused: the client is as it was.
 * KW_EFORMAT, KW_EFIELD, KW_ETOOBIG (FORM); KW_EAUTH (SIGNATURE, HUB, FORKED, PROOF); KW_EVERSION (ROLLBACK); KW_ENOMEM,
 * KW_ECRYPTO with RULE_NONE */
KW_MUST_USE enum kw_err kw_audit_client_take(struct kw_audit_client *client, const struct kw_role_keys *log,
	struct kw_view signed_role, struct kw_view consistency, enum kw_audit_rule *rule);

#endif
