#include "agent/shell/proof.h"

#include <string.h>

#include "agent/shell/spool_proof.h"
#include "proto/wire/receipt.h"

struct kept {
	struct kw_buf bytes[KW_RECEIPT_LEVEL_COUNT]; /* by level; 0: the envelope */
	enum kw_err err;
};

static void keep(void *user, uint8_t level, struct kw_view bytes)
{
	struct kept *kept = user;

	if (kept->err == KW_OK)
		kept->err = kw_buf_add(&kept->bytes[level], bytes);
}

static enum kw_err build(const struct proof_request *request, const struct kept *kept, struct kw_buf *out)
{
	struct kw_evidence_parts parts = {.envelope = kw_buf_view(&kept->bytes[SPOOL_PROOF_ENVELOPE]), .roles = *request->roles};

	if (parts.envelope.size == 0)
		return KW_ENOTFOUND;
	for (int level = KW_RECEIPT_STORED; level < KW_RECEIPT_LEVEL_COUNT; level++)
		if (kept->bytes[level].size > 0)
			parts.receipts[parts.receipts_count++] = kw_buf_view(&kept->bytes[level]);
	return kw_evidence_add(out, &parts);
}

enum kw_err proof_file(const struct proof_request *request, struct kw_buf *out, struct kw_evidence_refusal *why)
{
	struct kept kept = {.err = KW_OK};
	struct kw_evidence evidence;

	*why = (struct kw_evidence_refusal){.fault = KW_EVIDENCE_FINE};
	for (int level = 0; level < KW_RECEIPT_LEVEL_COUNT; level++)
		kw_buf_init(&kept.bytes[level], KW_ENVELOPE_PROOF_SIZE_MAX);
	enum kw_err err = spool_proofs(request->spool, request->item, keep, &kept);
	if (err == KW_OK)
		err = kept.err;
	if (err == KW_OK)
		err = build(request, &kept, out);
	if (err == KW_OK)
		err = kw_evidence_verify(kw_buf_view(out), request->root_fingerprint, &evidence, why);
	for (int level = 0; level < KW_RECEIPT_LEVEL_COUNT; level++)
		kw_buf_fini(&kept.bytes[level]);
	return err;
}
