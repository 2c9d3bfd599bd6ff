#include "agent/shell/spool_thread_inner.h"

/* What was said about consent and did not arrive is said again, until an answer comes: also to an agency that the hub does
 * not know any more, because it may be let in again and still has what it was given. It waits on the list of follow-ups;
 * how long is the agent's to decide (agent_follow.c). */

/* The row of a message of ours; KW_ENOTFOUND also for a damaged one. */
static enum kw_err row_of(struct spool *spool, MDB_txn *txn, const struct spool_item *item, uint8_t *key,
	struct spool_erasure *out)
{
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, key);

	if (err == KW_OK)
		err = spool_erasure_get(spool, txn, key, out);
	return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
}

enum kw_err spool_erasure_answered(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	enum kw_err err = row_of(spool, txn, item, key, &erasure);

	if (err != KW_OK || erasure.role != SPOOL_ERASURE_HOLDER)
		return err == KW_ENOTFOUND ? KW_OK : err;
	erasure.number = item->number;
	return spool_erasure_put(spool, txn, key, &erasure);
}

enum kw_err spool_erasure_unreached(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	bool gone = item->reason == KW_ENOAGENCY || item->reason == KW_EDENIED;
	bool late = item->reason == KW_EEXPIRED || item->reason == KW_EUNCONFIRMED;
	enum kw_err err = row_of(spool, txn, item, key, &erasure);

	if (err != KW_OK || erasure.number != item->number)
		return err == KW_ENOTFOUND ? KW_OK : err;
	struct spool_follow follow = {.thread_id = erasure.thread_id, .agency = erasure.agency, .what = SPOOL_FOLLOW_ACK};
	if (erasure.role != SPOOL_ERASURE_HOLDER) {
		err = spool_erasure_dead(spool, txn, item);
		if (err != KW_OK || !gone || erasure.outcome != 0)
			return err;
		erasure.failure = item->reason; /* until it is on its way again */
		follow.what = erasure.action == SPOOL_ERASE_ACTION ? SPOOL_FOLLOW_ERASE : SPOOL_FOLLOW_CONSENT;
	} else if (!gone && !late) {
		return KW_OK;
	}
	erasure.number = 0;
	err = spool_erasure_put(spool, txn, key, &erasure);
	return err != KW_OK ? err : spool_follow_put(spool, txn, &follow);
}
