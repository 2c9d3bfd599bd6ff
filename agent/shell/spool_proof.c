#include <string.h>

#include "agent/shell/spool_inner.h"
#include "agent/shell/spool_proof.h"
#include "agent/shell/spool_scan.h"
#include "agent/shell/spool_thread_inner.h"
#include "proto/wire/receipt.h"

/* What evidence is made of, beside the rows of the messages that we sent: the envelope's clear parts and our signature, kept when
 * it is appended, and each signed receipt. Nothing of the content, so it stays when that is erased.
 *
 * And the other side of it: what a person decides here is said to the author of what was decided on (R3). */

enum kw_err spool_proof_put(struct spool *spool, MDB_txn *txn, const struct spool_proof *proof)
{
	uint8_t key[9];

	kw_put_u64(key, proof->number);
	key[8] = proof->level;
	return proof->bytes.size == 0 ? KW_OK : spool_put_sealed(spool, txn, T_PROOF, KW_VIEW_OF(key), proof->bytes);
}

static enum kw_err put_receipt(struct spool *spool, MDB_txn *txn, uint64_t number, uint8_t level, struct kw_view bytes)
{
	return spool_proof_put(spool, txn, &(struct spool_proof){.number = number, .level = level, .bytes = bytes});
}

enum kw_err spool_receipt_keep(struct spool *spool, MDB_txn *txn, const struct spool_op *op,
	const struct spool_receipt *receipt, struct spool_item *item)
{
	enum kw_receipt_level level = receipt->failure != KW_OK ? KW_RECEIPT_FAILED
				      : receipt->decided	? KW_RECEIPT_DECIDED
				      : receipt->opened		? KW_RECEIPT_OPENED
								: KW_RECEIPT_STORED;
	uint8_t bit = (uint8_t)(1u << level);
	bool is_signed = receipt->proof_size > 0;
	bool changed = false;
	enum kw_err err = KW_OK;

	/* The first one of each level stands; a repeat says a later time. */
	if (is_signed && !(item->signed_levels & bit)) {
		err = put_receipt(spool, txn, item->number, (uint8_t)level,
			KW_VIEW(op->proof.data + receipt->proof_at, receipt->proof_size));
		item->signed_levels |= bit;
		changed = true;
	}
	if (level == KW_RECEIPT_DECIDED && item->decided_ms == 0) {
		item->decided_ms = receipt->at_ms;
		changed = true;
	}
	/* The person's word came first. */
	if (level == KW_RECEIPT_OPENED && item->state == SPOOL_OPENED && receipt->at_ms < item->opened_ms) {
		item->opened_ms = receipt->at_ms;
		changed = true;
	}
	return err == KW_OK && changed ? spool_item_put(spool, txn, item) : err;
}

struct proofs {
	struct spool *spool;
	const struct spool_item *item;
	void (*each)(void *user, uint8_t level, struct kw_view bytes);
	void *user;
};

static enum kw_err read_one(const struct proofs *proofs, MDB_txn *txn, uint8_t level)
{
	uint8_t key[9];
	struct kw_buf plain;

	kw_put_u64(key, proofs->item->number);
	key[8] = level;
	kw_buf_init(&plain, 8192);
	enum kw_err err = spool_get_sealed(proofs->spool, txn, T_PROOF, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		proofs->each(proofs->user, level, kw_buf_view(&plain));
	else if (err == KW_ECORRUPT)
		proofs->spool->damaged_reads++;
	kw_buf_fini(&plain);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_proofs(struct spool *spool, const struct spool_item *item,
	void (*each)(void *user, uint8_t level, struct kw_view bytes), void *user)
{
	struct proofs proofs = {.spool = spool, .item = item, .each = each, .user = user};
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	for (uint8_t level = SPOOL_PROOF_ENVELOPE; err == KW_OK && level < KW_RECEIPT_LEVEL_COUNT; level++)
		err = read_one(&proofs, txn, level);
	mdb_txn_abort(txn);
	return err;
}

/* The item of theirs that stands in the inbox under this number. */
static enum kw_err their_item(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_item *out)
{
	uint8_t key[8];
	struct kw_buf plain;

	kw_put_u64(key, number);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	enum kw_err err = spool_get_sealed(spool, txn, T_INBOX, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

/* The last message of theirs that counts and that no decision of ours has answered yet. KW_ENOTFOUND. */
static enum kw_err find_asked(struct spool *spool, MDB_txn *txn, const struct spool_op *op, struct spool_item *out)
{
	const struct spool_item *ours = &op->u.append.item;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread;
	enum kw_err err = spool_thread_key(spool, &ours->thread_id, &ours->agency, key);

	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key, &thread);
	for (uint32_t n = err == KW_OK ? thread.log_count : 0; err == KW_OK && n > 0; n--) {
		struct spool_log log;

		err = spool_log_get(spool, txn, key, n, &log);
		if (err != KW_OK)
			break;
		if (log.event.author == AGT_THREAD_OURS && log.number == op->number)
			continue; /* the one that is being appended */
		if (log.event.author == AGT_THREAD_THEIRS && !log.refused && log.number != 0)
			return their_item(spool, txn, log.number, out);
		if (log.event.author == AGT_THREAD_OURS && !log.refused && !log.lost &&
			agt_thread_decides(log.event.kind, log.event.state))
			break;
	}
	return err != KW_OK ? err : KW_ENOTFOUND;
}

enum kw_err spool_decide(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_act *act = &op->u.append.act;
	struct spool_item asked;

	if (!op->u.append.fresh || !op->u.append.by_person || !agt_thread_decides(act->kind, act->state))
		return KW_OK;
	enum kw_err err = find_asked(spool, txn, op, &asked);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK; /* nothing of theirs was asked; a row that is damaged holds up nobody's answer */
	if (err != KW_OK)
		return err;
	asked.at_ms = op->u.append.now_ms;
	op->decided = true;
	return spool_put_due(spool, txn, &(struct spool_due){.item = &asked, .opened = true, .decided = true,
		.urgent = op->u.append.msg_class == KW_URGENT});
}
