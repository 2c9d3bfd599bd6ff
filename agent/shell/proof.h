#ifndef AGENT_SHELL_PROOF_H
#define AGENT_SHELL_PROOF_H

#include "agent/shell/spool.h"
#include "proto/wire/evidence.h"

/* Puts an evidence file together from what the spool keeps and the signed roles. */

struct proof_request {
	struct spool *spool;
	const struct spool_item *item; /* a sent one */
	const struct kw_evidence_roles *roles;
	const struct kw_digest *root_fingerprint;
};

/* Appends the file, verified as anybody else would.
 * KW_ENOTFOUND  nothing is kept about this message: it was sent by an older agent
 * KW_EAUTH and the like  it does not hold, see *why; as when the recipient has changed its identity key since
 * errors of the spool, KW_ENOMEM, KW_ETOOBIG */
KW_MUST_USE enum kw_err proof_file(const struct proof_request *request, struct kw_buf *out, struct kw_evidence_refusal *why);

#endif
