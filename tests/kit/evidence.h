#ifndef KW_TEST_KIT_EVIDENCE_H
#define KW_TEST_KIT_EVIDENCE_H

#include "proto/wire/evidence.h"
#include "tests/kit/sealing.h"

/* A small network with its signed roles, a message in it and its receipts, all from fixed seeds: what tests of evidence, the
 * golden file and the fuzzer need. Nothing of it is secret. */

#define KIT_EVIDENCE_RECEIPTS 3u /* stored, opened, decided; in batches of 1, 5 and 128 */
#define KIT_EVIDENCE_MS INT64_C(1795000000000)

struct kit_evidence {
	struct kit_sealing sealing; /* sender-9@hub-0 to agency-0@hub-0, agency-1@hub-1, … */
	struct kw_sealed sealed;
	struct kw_ed25519 root, registrar, snapshot, timestamp, log;
	struct kw_ed25519 identities[KW_RECIPIENTS_MAX];
	struct kw_digest fingerprint; /* of the root */
	struct kw_buf roots[2];       /* SignedRoles: version 1, and 2 with another registrar */
	struct kw_buf timestamp_role, snapshot_role;
	struct kw_buf directories[2]; /* of hub-0, hub-1 */
	struct kw_buf envelope;       /* EnvelopeProof of recipient 0 */
	struct kw_buf receipts[KIT_EVIDENCE_RECEIPTS];
	struct kw_buf held; /* in a log of two leaves, as the second */
};

/* recipients_count: 1..KW_RECIPIENTS_MAX. */
void kit_evidence_init(struct kit_evidence *kit, size_t recipients_count);
void kit_evidence_fini(struct kit_evidence *kit);

/* The parts of a good file about recipient 0; change one and make the file. */
struct kw_evidence_parts kit_evidence_parts(const struct kit_evidence *kit);
/* out is initialised here. */
void kit_evidence_file(const struct kw_evidence_parts *parts, struct kw_buf *out);
/* A ReceiptProof of place `index` in a batch of `count`, the others being about other messages. out is initialised here. */
struct kit_receipt {
	struct kw_receipt receipt;
	uint32_t index;
	uint32_t count;
	const struct kw_ed25519 *identity;
};
void kit_evidence_receipt(const struct kit_receipt *what, struct kw_buf *out);
/* Field by field: what lies between fields is nobody's. */
bool kit_evidence_receipt_same(const struct kw_receipt *a, const struct kw_receipt *b);
bool kit_evidence_same(const struct kw_evidence *a, const struct kw_evidence *b);
/* A receipt of this level about the kit's message. */
struct kw_receipt kit_evidence_about(const struct kit_evidence *kit, enum kw_receipt_level level);

#endif
