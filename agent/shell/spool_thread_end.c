#include "agent/shell/spool_thread_inner.h"

/* Withdrawn consent ends the thread, run by the writer. agent/core/thread_end.h says by which state; here is when it is said
 * again or taken as said:
 *
 *   a holder erases → the other side has said it all with its Erase, also where its event is recalled or waits behind a gap
 *   we asked, and the other side's word crosses it so that the thread stands open again → we say it once more */

static enum kw_err say(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread, uint8_t state)
{
	struct spool_follow follow = {
		.thread_id = thread->thread_id, .agency = thread->agency, .kind = thread->record.kind, .state = state};

	return spool_follow_put(spool, txn, &follow);
}

enum kw_err spool_thread_end_theirs(struct spool *spool, MDB_txn *txn, const struct spool_erasure *erasure)
{
	struct spool_item item = {.thread_id = erasure->thread_id, .agency = erasure->agency};
	struct spool_act act = {.kind = KW_THREAD_NONE};
	struct spool_move move = {.item = &item, .act = &act, .now_ms = erasure->asked_ms};
	struct spool_pass pass;
	enum kw_err err = spool_pass_find(spool, txn, &item, &pass);

	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	act.kind = pass.thread.record.kind;
	act.state = agt_thread_withdrawal_theirs(&pass.thread.record);
	if (act.state == 0)
		return KW_OK;
	err = spool_thread_receipt(spool, txn, &move);
	/* An owner asks for its offer back: that has an answer. */
	bool asks = act.kind == KW_THREAD_TRANSFER && act.state == KW_TRANSFER_WITHDRAW_REQUESTED;
	return err == KW_OK && asks ? say(spool, txn, &pass.thread, KW_TRANSFER_WITHDRAWN) : err;
}

enum kw_err spool_thread_end_again(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass)
{
	const struct agt_thread *record = &pass->thread.record;
	struct spool_erasure erasure;
	struct agt_erase row;
	uint8_t state = agt_thread_withdrawal(record);

	if (pass->event.author != AGT_THREAD_THEIRS || pass->result.verdict != AGT_THREAD_APPLY ||
		!agt_thread_is_open(record) || state == 0)
		return KW_OK;
	enum kw_err err = spool_erasure_find(spool, txn, pass->key, &erasure, &row);
	return err == KW_OK && agt_erase_ends(&row) ? say(spool, txn, &pass->thread, state) : err;
}
