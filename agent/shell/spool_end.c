#include "agent/shell/spool_inner.h"

/* How a message of ours ends, run by the writer: refused, lost, arrived, or nobody knows. What may have arrived is never taken
 * out of its thread: the other side may have acted on it, and an acceptance that is undone here alone leaves a case to
 * nobody. */

enum kw_err spool_bury(struct spool *spool, MDB_txn *txn, uint64_t number, enum kw_err reason, enum spool_end end)
{
	struct spool_item item;
	uint8_t key[8];
	bool listed = false;
	enum kw_err err = spool_item_get(spool, txn, number, &item);

	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK;
	if (err != KW_OK)
		return err;
	/* What arrived cannot fail to arrive, but it may still be refused: one that came before its turn is judged later. */
	bool judged = end == SPOOL_END_REFUSED && reason == KW_EILLEGAL;
	/* Nor is the last word said about one that may have arrived. */
	bool unsure = item.state == SPOOL_DEAD && item.reason == KW_EUNCONFIRMED && end != SPOOL_END_UNSURE;
	if ((item.state == SPOOL_DEAD && !unsure) || ((item.state == SPOOL_DELIVERED || item.state == SPOOL_OPENED) && !judged))
		return KW_OK;
	item.reason = reason;
	err = spool_turn(spool, txn, &item, SPOOL_DEAD);
	if (err != KW_OK)
		return err;
	kw_put_u64(key, number);
	err = spool_del(spool, txn, T_DEAD, KW_VIEW_OF(key), &listed);
	if (err != KW_OK)
		return err;
	spool->numbers[N_COUNTS + SPOOL_COUNT_DEAD] += !listed;
	err = spool_put(spool, txn, T_DEAD, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
	if (err == KW_OK)
		err = spool_erasure_unreached(spool, txn, &item);
	if (err == KW_OK && end != SPOOL_END_UNSURE)
		err = spool_thread_void(spool, txn, &item, end);
	return err != KW_OK || end == SPOOL_END_REFUSED ? err : spool_gap_tell(spool, txn, &item);
}

/* Only what the hub never took is certain not to have arrived;
 * an acceptance that makes a case ours stands even then, because a lost ack looks the same. */
enum kw_err spool_expire(struct spool *spool, MDB_txn *txn, uint64_t number)
{
	struct spool_item item;
	bool binds = false;
	enum kw_err err = spool_item_get(spool, txn, number, &item);

	if (err == KW_OK)
		err = spool_thread_binds(spool, txn, &item, &binds);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	if (item.state == SPOOL_HELD || item.passed || binds)
		return spool_bury(spool, txn, number, KW_EUNCONFIRMED, SPOOL_END_UNSURE);
	return spool_bury(spool, txn, number, KW_EEXPIRED, SPOOL_END_LOST);
}

/* Takes an item off the list of the dead. */
static enum kw_err rise(struct spool *spool, MDB_txn *txn, struct spool_item *item)
{
	uint8_t key[8];
	bool listed = false;
	enum kw_err err;

	kw_put_u64(key, item->number);
	err = spool_del(spool, txn, T_DEAD, KW_VIEW_OF(key), &listed);
	if (err != KW_OK)
		return err;
	if (listed && spool->numbers[N_COUNTS + SPOOL_COUNT_DEAD] > 0)
		spool->numbers[N_COUNTS + SPOOL_COUNT_DEAD]--;
	item->reason = KW_OK;
	return spool_thread_void(spool, txn, item, SPOOL_END_NONE);
}

enum kw_err spool_arrived(struct spool *spool, MDB_txn *txn, struct spool_item *item, const struct spool_receipt *receipt)
{
	bool dead = item->state == SPOOL_DEAD;
	enum kw_err err = KW_OK;

	if (item->state == SPOOL_OPENED || (dead && item->reason != KW_EEXPIRED && item->reason != KW_EUNCONFIRMED))
		return KW_OK;
	if (item->held_ms == 0)
		item->held_ms = spool->now_ms; /* the receipt overtook the hub's ack */
	if (item->delivered_ms == 0)
		item->delivered_ms = receipt->at_ms;
	if (receipt->opened)
		item->opened_ms = receipt->at_ms;
	else if (item->state == SPOOL_DELIVERED)
		return KW_OK;
	if (dead)
		err = rise(spool, txn, item);
	if (err == KW_OK)
		err = spool_turn(spool, txn, item, receipt->opened ? SPOOL_OPENED : SPOOL_DELIVERED);
	return err != KW_OK ? err : spool_thread_delivered(spool, txn, item);
}
