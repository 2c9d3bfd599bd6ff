#ifndef KW_WIRE_RECEIPT_H
#define KW_WIRE_RECEIPT_H

#include "proto/base/id.h"
#include "proto/wire/curve.h"
#include "proto/wire/tree.h"

/* Receipts that can be shown to others (kinward/v1/receipt.proto): one signature for a batch, and for each receipt the way
 * to it, so that it can be shown without the others, which are about other messages.
 *
 *   leaf       H(0x00 ‖ entry), the entry in its one encoding as in envelope.proto
 *   root       of the tree over the leaves in the order of the batch, RFC 9162 §2.1
 *   signature  Ed25519 of the recipient's identity key over "kw1 receipt" ‖ root ‖ u32 count
 *
 * The entry names the envelope digest T, so it says nothing of any other message. Pure: no clock, no allocation but the
 * buffers that are given. */

#define KW_RECEIPTS_MAX 128u
#define KW_RECEIPT_PATH_MAX 7u
#define KW_RECEIPT_FAILURE_SIZE_MAX 31u
#define KW_RECEIPT_ENTRY_SIZE_MAX 128u
#define KW_RECEIPT_PROOF_SIZE_MAX 512u

/* The numbers of ReceiptLevel. */
enum kw_receipt_level {
	KW_RECEIPT_STORED = 1,
	KW_RECEIPT_OPENED = 2,
	KW_RECEIPT_FAILED = 3,
	KW_RECEIPT_DECIDED = 4,
	KW_RECEIPT_LEVEL_COUNT
};

struct kw_receipt {
	struct kw_digest digest; /* T */
	struct kw_id envelope_id;
	enum kw_receipt_level level;
	char failure[KW_RECEIPT_FAILURE_SIZE_MAX + 1]; /* wire name; with FAILED alone */
	int64_t at_unix_ms; /* 1 or more, by the recipient's clock */
};

/* Appends the entry in its one encoding. KW_EFIELD: a rule of the schema is broken; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_receipt_add(struct kw_buf *out, const struct kw_receipt *receipt);
/* Reads that encoding and no other. KW_EFORMAT, KW_EFIELD; out untouched. */
KW_MUST_USE enum kw_err kw_receipt_read(struct kw_view bytes, struct kw_receipt *out);

/* The tree over a batch, 16 KiB. Zeroed, it is empty. Read only for callers. */
struct kw_receipt_batch {
	struct kw_tree tree;
	struct kw_digest nodes[KW_RECEIPT_PATH_MAX + 1][KW_RECEIPTS_MAX]; /* complete ones, by level and index */
};

/* Appends the next. KW_EFULL past KW_RECEIPTS_MAX; errors of kw_receipt_add, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_receipt_batch_add(struct kw_receipt_batch *batch, const struct kw_receipt *receipt);
/* signature: KW_SIGNATURE_SIZE bytes. KW_EFIELD: an empty batch; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_receipt_batch_sign(const struct kw_receipt_batch *batch, const struct kw_ed25519 *identity,
	uint8_t *signature);
/* KW_EAUTH: this key has not signed this batch; KW_EFIELD: an empty one; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_receipt_batch_verify(const struct kw_receipt_batch *batch, const uint8_t *identity_key,
	struct kw_view signature);

/* What has to be kept to show one receipt. */
struct kw_receipt_proof {
	struct kw_receipt receipt;
	uint32_t index; /* below count */
	uint32_t count; /* 1..KW_RECEIPTS_MAX */
	uint32_t path_count;
	struct kw_digest path[KW_RECEIPT_PATH_MAX];
	uint8_t signature[KW_SIGNATURE_SIZE];
};

/* The proof of receipt `index`, which is given again. signature: of the batch. KW_EFIELD: no such receipt; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_receipt_batch_prove(const struct kw_receipt_batch *batch, uint32_t index,
	const struct kw_receipt *receipt, const uint8_t *signature, struct kw_receipt_proof *out);
/* Appends a ReceiptProof; reads one. KW_EFIELD, KW_EFORMAT, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_receipt_proof_add(struct kw_buf *out, const struct kw_receipt_proof *proof);
KW_MUST_USE enum kw_err kw_receipt_proof_read(struct kw_view bytes, struct kw_receipt_proof *out);
/* KW_EAUTH: this key has not signed a batch with this receipt in this place; KW_EFIELD, KW_EFORMAT: such a proof cannot be. */
KW_MUST_USE enum kw_err kw_receipt_proof_verify(const struct kw_receipt_proof *proof, const uint8_t *identity_key);

#endif
