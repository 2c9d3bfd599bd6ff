#ifndef KW_WIRE_FRAME_AUDIT_H
#define KW_WIRE_FRAME_AUDIT_H

#include "proto/wire/audit.h"
#include "proto/wire/frame.h"

/* The frames of the audit log (frame.proto has their meaning; what is in them is read by audit.h). Written and read without
 * allocation, as in frame.h. */

struct kw_frame_checkpoint {
	struct kw_view checkpoint;  /* a SignedRole, 1..KW_AUDIT_SIGNED_SIZE_MAX bytes */
	struct kw_view consistency; /* 0..KW_AUDIT_PROOF_SIZE_MAX */
	struct kw_view log_key;     /* KW_KEY_SIZE, or empty */
};

KW_MUST_USE enum kw_err kw_frame_checkpoint_parse(struct kw_view body, struct kw_frame_checkpoint *out);
KW_MUST_USE enum kw_err kw_frame_checkpoint_add(struct kw_buf *out, const struct kw_frame_checkpoint *checkpoint);

struct kw_frame_prove {
	struct kw_digest digest; /* when size_old is 0 */
	uint64_t below;          /* with a digest, PROVE only: leaves below this number; 0: all. 0..KW_TREE_SIZE_MAX */
	uint64_t size_old;       /* 0..KW_TREE_SIZE_MAX */
};

KW_MUST_USE enum kw_err kw_frame_prove_parse(struct kw_view body, struct kw_frame_prove *out);
KW_MUST_USE enum kw_err kw_frame_prove_add(struct kw_buf *out, const struct kw_frame_prove *prove);

struct kw_frame_proof {
	struct kw_frame_prove of;
	enum kw_err code; /* not KW_OK: the rest is empty */
	uint64_t below;   /* with KW_ENOTFOUND: look below this number, too; 0: all were looked at. 0..KW_TREE_SIZE_MAX */
	struct kw_view checkpoint;
	struct kw_view proof; /* an InclusionProof, or with size_old a ConsistencyProof; 1..KW_AUDIT_PROOF_SIZE_MAX */
};

KW_MUST_USE enum kw_err kw_frame_proof_parse(struct kw_view body, struct kw_frame_proof *out);
KW_MUST_USE enum kw_err kw_frame_proof_add(struct kw_buf *out, const struct kw_frame_proof *proof);

#endif
