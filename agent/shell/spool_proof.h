#ifndef AGENT_SHELL_SPOOL_PROOF_H
#define AGENT_SHELL_SPOOL_PROOF_H

#include "agent/shell/spool.h"

/* What the spool keeps for evidence (kinward/v1/proof.proto) about one message of ours, as of the last commit. */

#define SPOOL_PROOF_ENVELOPE 0u /* an EnvelopeProof; else a number of kw_receipt_level, and a ReceiptProof */

/* Calls `each` by level, for what there is: nothing for a message of an agent before evidence. Views live for the call. */
KW_MUST_USE enum kw_err spool_proofs(struct spool *spool, const struct spool_item *item,
	void (*each)(void *user, uint8_t level, struct kw_view bytes), void *user);

#endif
