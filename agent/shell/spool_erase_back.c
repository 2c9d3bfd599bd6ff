#include "agent/shell/spool_thread_inner.h"

/* What was said about consent and did not arrive is said again, until an answer comes: also to an agency that the hub does
 * not know any more, because it may be let in again and still has what it was given. It waits on the list of follow-ups;
 * how long is the agent's to decide (agent_follow.c). */

/* What becomes of a message of ours, told to the row of its thread. */
static enum kw_err tell(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	const struct agt_erase_event *event)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, key);

	if (err == KW_OK)
		err = spool_erasure_find(spool, txn, key, &erasure, &row);
	if (err != KW_OK)
		return err;
	agt_erase_step(&row, event, &result);
	return result.changed ? spool_erasure_keep(spool, txn, &erasure, &result) : KW_OK;
}

enum kw_err spool_erasure_sent(struct spool *spool, MDB_txn *txn, const struct spool_item *item, enum spool_follow_what what)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_SENT, .number = item->number};

	switch (what) {
	case SPOOL_FOLLOW_CONSENT:
		event.say = AGT_ERASE_SAY_CONSENT;
		break;
	case SPOOL_FOLLOW_ERASE:
		event.say = AGT_ERASE_SAY_ERASE;
		break;
	case SPOOL_FOLLOW_ACK:
		event.say = AGT_ERASE_SAY_ACK;
		break;
	default:
		return KW_OK;
	}
	return tell(spool, txn, item, &event);
}

enum kw_err spool_erasure_unreached(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	return tell(spool, txn, item,
		&(struct agt_erase_event){.type = AGT_ERASE_EV_DEAD, .number = item->number, .reason = item->reason});
}
