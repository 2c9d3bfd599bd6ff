#include "agent/shell/batch.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/receipt.h"

/* The names of entries are checked where contents are validated; a level of a newer version is no level here. */
static enum kw_err entry_of(const Kinward__V1__ReceiptEntry *entry, struct kw_receipt *out)
{
	*out = (struct kw_receipt){.level = (enum kw_receipt_level)entry->level, .at_unix_ms = entry->at_unix_ms};
	if (entry->digest.len != KW_DIGEST_SIZE || entry->envelope_id.len != KW_ID_SIZE ||
		strlen(entry->failure) > KW_RECEIPT_FAILURE_SIZE_MAX)
		return KW_EFIELD;
	memcpy(out->digest.bytes, entry->digest.data, KW_DIGEST_SIZE);
	memcpy(out->envelope_id.bytes, entry->envelope_id.data, KW_ID_SIZE);
	memcpy(out->failure, entry->failure, strlen(entry->failure));
	return KW_OK;
}

static enum kw_err fill(const Kinward__V1__Receipt *receipt, struct kw_receipt_batch *batch)
{
	enum kw_err err = KW_OK;

	for (size_t i = 0; err == KW_OK && i < receipt->n_entries; i++) {
		struct kw_receipt one;

		err = entry_of(receipt->entries[i], &one);
		if (err == KW_OK)
			err = kw_receipt_batch_add(batch, &one);
	}
	return err;
}

enum kw_err batch_sign(Kinward__V1__Receipt *receipt, const struct kw_ed25519 *identity, uint8_t *signature)
{
	struct kw_receipt_batch *batch = calloc(1, sizeof(*batch));
	enum kw_err err = batch == NULL ? KW_ENOMEM : fill(receipt, batch);

	if (err == KW_OK)
		err = kw_receipt_batch_sign(batch, identity, signature);
	if (err == KW_OK)
		receipt->signature = (ProtobufCBinaryData){.len = KW_SIGNATURE_SIZE, .data = signature};
	free(batch);
	return err;
}

static enum kw_err prove(const struct kw_receipt_batch *batch, uint32_t index, const Kinward__V1__Receipt *receipt,
	struct spool_op *op)
{
	struct spool_receipt *out = &op->u.receive.receipts[index];
	struct kw_receipt one;
	struct kw_receipt_proof proof;
	enum kw_err err = entry_of(receipt->entries[index], &one);

	if (err == KW_OK)
		err = kw_receipt_batch_prove(batch, index, &one, receipt->signature.data, &proof);
	out->proof_at = (uint32_t)op->proof.size;
	if (err == KW_OK)
		err = kw_receipt_proof_add(&op->proof, &proof);
	out->proof_size = (uint32_t)op->proof.size - out->proof_at;
	return err;
}

static enum kw_err take_signature(const Kinward__V1__Receipt *receipt, const uint8_t *identity_key, struct spool_op *op)
{
	struct kw_receipt_batch *batch = calloc(1, sizeof(*batch));
	enum kw_err err = batch == NULL ? KW_ENOMEM : fill(receipt, batch);

	if (err == KW_OK)
		err = kw_receipt_batch_verify(batch, identity_key, KW_VIEW(receipt->signature.data, receipt->signature.len));
	for (uint32_t i = 0; err == KW_OK && i < receipt->n_entries; i++)
		err = prove(batch, i, receipt, op);
	free(batch);
	return err == KW_EFIELD ? KW_EAUTH : err; /* what we cannot write ourselves nobody has signed */
}

static void take_entry(const Kinward__V1__ReceiptEntry *entry, struct spool_receipt *out)
{
	memcpy(out->digest.bytes, entry->digest.data, KW_DIGEST_SIZE); /* sizes: kw_content_validate */
	memcpy(out->envelope_id.bytes, entry->envelope_id.data, KW_ID_SIZE);
	out->opened = entry->level != KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_STORED;
	out->decided = entry->level == KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_DECIDED;
	out->at_ms = entry->at_unix_ms;
	if (entry->level == KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_FAILED) {
		out->failure = kw_err_from_name(entry->failure);
		if (out->failure == KW_ERR_COUNT || out->failure == KW_OK)
			out->failure = KW_EFORMAT; /* of a newer version */
	}
}

enum kw_err batch_take(const Kinward__V1__Receipt *receipt, const uint8_t *identity_key, struct spool_op *op)
{
	op->u.receive.receipts = calloc(receipt->n_entries, sizeof(*op->u.receive.receipts));
	if (op->u.receive.receipts == NULL)
		return KW_ENOMEM;
	op->u.receive.receipts_count = (uint32_t)receipt->n_entries;
	for (size_t i = 0; i < receipt->n_entries; i++)
		take_entry(receipt->entries[i], &op->u.receive.receipts[i]);
	enum kw_err err = receipt->signature.len == 0 ? KW_OK : take_signature(receipt, identity_key, op);
	if (err == KW_EAUTH)
		op->u.receive.receipts_count = 0;
	return err;
}
