#include "agent/shell/spool_thread_inner.h"

/* What becomes of a thread when a message of ours does not count in it, or does after all; run by the writer. */

/* Our opening never arrived. A referral has a state for that, from which the sender can go on, also when it is not certain;
 * a thread of another kind is over. Who has answered has had it. */
static enum kw_err void_opening(struct spool *spool, MDB_txn *txn, const struct spool_item *item, enum spool_end end,
	struct spool_pass *pass)
{
	struct agt_thread_event event = {.author = AGT_THREAD_HUB,
		.kind = pass->thread.record.kind,
		.state = KW_REFERRAL_UNDELIVERABLE,
		.now_ms = spool->now_ms};
	struct spool_move move = {.item = item, .number = item->number};

	pass->event = event;
	pass->result = (struct agt_thread_result){.verdict = AGT_THREAD_ILLEGAL, .next = pass->thread.record};
	if (event.kind == KW_THREAD_REFERRAL)
		agt_thread_step(&pass->thread.record, &event, &pass->result);
	if (end == SPOOL_END_UNSURE && pass->result.verdict != AGT_THREAD_APPLY)
		return KW_OK;
	pass->result.next.failed = pass->result.verdict == AGT_THREAD_ILLEGAL;
	return spool_pass_keep(spool, txn, &move, pass);
}

/* Marks the step of a message of ours as one that does not count. When it never reached the other side, or could not be read
 * there, the record is made again from its log without it. When the other side's thread refused it, the record stays as it is: the tables are made such that
 * the same one of two loses on both sides, so what won has undone it here already, or will when it arrives; to undo it by
 * hand as well would take away what stands on it, and the two sides would differ. One that arrived after all counts again,
 * in its place. KW_ENOTFOUND when the log has none. */
static enum kw_err step_void(struct spool *spool, MDB_txn *txn, const struct spool_item *item, enum spool_end end,
	struct spool_pass *pass)
{
	struct agt_thread record = pass->thread.record;
	bool found = false;
	bool lost = end == SPOOL_END_LOST || (end == SPOOL_END_REFUSED && item->reason != KW_EILLEGAL);
	bool again = lost;
	enum kw_err err = KW_OK;

	for (uint32_t n = 1; err == KW_OK && n <= pass->thread.log_count; n++) {
		struct spool_log log;

		err = spool_log_get(spool, txn, pass->key, n, &log);
		if (err != KW_OK)
			break;
		if (n > 1 && log.event.author == AGT_THREAD_OURS && log.number == item->number) {
			found = true;
			again = again || log.lost;
			log.refused = end != SPOOL_END_NONE;
			log.lost = lost;
			err = spool_log_put(spool, txn, pass->key, n, &log);
		}
		if (log.lost)
			continue;
		if (n == 1)
			agt_thread_rewind(&record, &log.event);
		else
			agt_thread_again(&record, &log.event);
	}
	if (err != KW_OK || !found)
		return err != KW_OK ? err : KW_ENOTFOUND;
	if (again)
		pass->thread.record = record;
	return KW_OK;
}

enum kw_err spool_thread_binds(struct spool *spool, MDB_txn *txn, const struct spool_item *item, bool *out)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_find(spool, txn, item, &pass);

	*out = false;
	if (err != KW_OK || pass.thread.record.kind != KW_THREAD_TRANSFER)
		return err == KW_ENOTFOUND ? KW_OK : err;
	for (uint32_t n = 1; err == KW_OK && !*out && n <= pass.thread.log_count; n++) {
		struct spool_log log;

		err = spool_log_get(spool, txn, pass.key, n, &log);
		*out = err == KW_OK && log.event.author == AGT_THREAD_OURS && log.number == item->number &&
		       log.event.state == KW_TRANSFER_ACCEPTED;
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_thread_void(struct spool *spool, MDB_txn *txn, const struct spool_item *item, enum spool_end end)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_find(spool, txn, item, &pass);

	bool opening = false;

	if (err == KW_OK)
		err = spool_pass_is_opening(spool, txn, item, &pass, &opening);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	uint8_t was = opening ? (uint8_t)KW_OFFER_OFFERED : pass.thread.record.state;
	bool gone = end == SPOOL_END_LOST || end == SPOOL_END_REFUSED; /* for certain: a lease that may stand is one */
	if (opening && end != SPOOL_END_NONE) {
		if (pass.thread.record.expected > 1)
			return KW_OK;
		err = void_opening(spool, txn, item, end, &pass);
		return err != KW_OK || !gone ? err : spool_pass_void_offer(spool, txn, &pass, was);
	}
	pass.thread.record.failed = pass.thread.record.failed && !opening;
	if (!opening && end != SPOOL_END_UNSURE)
		err = step_void(spool, txn, item, end, &pass);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	/* Where the other side never saw the place, the next message must fill it, or nothing after it would ever have its
	 * turn there. */
	if (end == SPOOL_END_LOST && item->thread_sequence + 1 == pass.thread.record.next)
		pass.thread.record.next = item->thread_sequence;
	else if (end == SPOOL_END_NONE && item->thread_sequence == pass.thread.record.next)
		pass.thread.record.next = item->thread_sequence + 1;
	err = spool_thread_put(spool, txn, pass.key, &pass.thread);
	return err != KW_OK || !gone ? err : spool_pass_void_offer(spool, txn, &pass, was);
}
