/* Bytes from anybody as an evidence file, and as the parts of one, which a mutation of a whole file would not reach behind their
 * signatures. Whatever is read has one encoding, and the only file that verifies is one that says what the kit's says. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/check.h"
#include "tests/kit/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_file(const struct kit_evidence *kit, struct kw_view bytes)
{
	struct kw_evidence_parts parts;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	struct kw_buf again;
	enum kw_err err = kw_evidence_verify(bytes, &kit->fingerprint, &evidence, &why);
	KW_ASSERT((err == KW_OK) == (why.fault == KW_EVIDENCE_FINE));
	KW_ASSERT(why.fault != KW_EVIDENCE_LOCAL);
	if (err == KW_OK) {
		KW_ASSERT(memcmp(&evidence.digest, &kit->sealed.digest, sizeof(evidence.digest)) == 0);
		for (uint32_t i = 0; i < evidence.receipts_count; i++) {
			struct kw_receipt want = kit_evidence_about(kit, evidence.receipts[i].level);
			KW_ASSERT(kit_evidence_receipt_same(&evidence.receipts[i], &want));
		}
	}
	if (kw_evidence_read(bytes, &parts) != KW_OK)
		return;
	kw_buf_init(&again, KW_EVIDENCE_SIZE_MAX);
	KW_ASSERT(kw_evidence_add(&again, &parts) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes));
	kw_buf_fini(&again);
}

static void as_receipt(const struct kit_evidence *kit, struct kw_view bytes)
{
	struct kw_receipt_proof proof;
	struct kw_buf again;
	if (kw_receipt_proof_read(bytes, &proof) != KW_OK)
		return;
	kw_buf_init(&again, KW_RECEIPT_PROOF_SIZE_MAX);
	KW_ASSERT(kw_receipt_proof_add(&again, &proof) == KW_OK);
	KW_ASSERT(kw_view_equal(kw_buf_view(&again), bytes));
	kw_buf_fini(&again);
	if (kw_receipt_proof_verify(&proof, kit->identities[0].public_key) == KW_OK) {
		struct kw_receipt want = kit_evidence_about(kit, proof.receipt.level);
		KW_ASSERT(kit_evidence_receipt_same(&proof.receipt, &want));
	}
}

static void as_parts(struct kw_view bytes)
{
	struct kw_envelope_proof proof;
	struct kw_receipt receipt;
	struct kw_view checkpoint, inclusion;
	if (kw_envelope_proof_read(bytes, &proof) == KW_OK)
		KW_ASSERT(proof.envelope.path.index >> proof.envelope.path.depth == 0 && proof.signature.size == KW_SIGNATURE_SIZE);
	if (kw_receipt_read(bytes, &receipt) == KW_OK)
		KW_ASSERT((receipt.failure[0] != '\0') == (receipt.level == KW_RECEIPT_FAILED));
	if (kw_held_proof_read(bytes, &checkpoint, &inclusion) == KW_OK)
		KW_ASSERT(checkpoint.size > 0 && inclusion.size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kit_evidence kit;
	if (kit.envelope.size == 0)
		kit_evidence_init(&kit, 3);
	struct kw_view bytes = KW_VIEW(data, size);
	as_file(&kit, bytes);
	as_receipt(&kit, bytes);
	as_parts(bytes);
	return 0;
}
