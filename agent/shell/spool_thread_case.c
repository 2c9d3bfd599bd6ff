#include "agent/shell/spool_case.h"

#include <string.h>

/* What a message does to the case of its thread, run by the writer: which case it is of, the index, the other threads of the
 * case or of the offer. */

enum kw_err spool_pass_say(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread, uint8_t state)
{
	struct spool_follow follow = {
		.thread_id = thread->thread_id, .agency = thread->agency, .kind = thread->record.kind, .state = state};

	return spool_follow_put(spool, txn, &follow);
}

struct closing {
	struct spool *spool;
	MDB_txn *txn;
	const struct spool_pass *pass;
};

static enum kw_err close_one(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	const struct closing *closing = user;

	(void)key; /* a follow-up names the thread */
	if (thread->record.kind != KW_THREAD_OFFER || thread->number == closing->pass->thread.number ||
		thread->record.party != KW_PARTY_OPENER || !agt_thread_may(&thread->record, KW_OFFER_CLOSED))
		return KW_OK;
	return spool_pass_say(closing->spool, closing->txn, thread, KW_OFFER_CLOSED);
}

enum kw_err spool_pass_close_others(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass)
{
	struct closing closing = {spool, txn, pass};

	return spool_case_named(spool, txn, &(struct spool_case_name){.ref = pass->thread.case_ref}, close_one, &closing);
}

enum kw_err spool_pass_cases(struct spool *spool, MDB_txn *txn, const struct spool_move *move, struct spool_pass *pass)
{
	const struct spool_claim *claim = move->claim;
	bool claims = claim != NULL && (claim->has_from || claim->local_id[0] != '\0');
	struct spool_case_wish wish = {.present = pass->known ? pass->thread.case_id : move->case_id,
		.own_ref = move->act->opening && move->case_id == 0 ? move->act->case_ref : NULL,
		.claim = claim};

	pass->cased = move->act->kind != KW_THREAD_OFFER && (!pass->known || move->act->opening || claims);
	enum kw_err err = pass->cased ? spool_case_find(spool, txn, &wish, &pass->cases) : KW_OK;
	bool asks = err == KW_OK && pass->cases.fault == AGT_FAULT_NONE && claim != NULL && !claim->consent_anew;
	return asks && move->act->opening && !pass->known ? spool_case_anew(spool, txn, move->act->kind, &pass->cases) : err;
}

enum kw_err spool_pass_index(struct spool *spool, MDB_txn *txn, const struct spool_act *act, struct spool_pass *pass)
{
	struct spool_thread *thread = &pass->thread;
	bool ours = pass->event.author == AGT_THREAD_OURS;
	struct spool_case_name name = {ours ? NULL : &thread->agency, thread->case_ref};
	bool step = pass->result.verdict == AGT_THREAD_APPLY;
	enum kw_err err = KW_OK;

	if (!pass->known || pass->cased)
		err = spool_case_add(spool, txn, thread->case_id, thread->number);
	if (err == KW_OK && pass->cased)
		err = spool_case_call_local(spool, txn, &pass->cases, thread->number);
	if (err == KW_OK && act->opening && (step || !pass->known))
		err = spool_case_call(spool, txn, &name, thread->number);
	if (err != KW_OK || !step || act->alias[0] == '\0' || thread->alias[0] == '\0')
		return err;
	name.ref = thread->alias; /* the new owner's, whose word it is */
	if (ours)
		err = spool_case_alias(spool, txn, thread);
	return err != KW_OK ? err : spool_case_call(spool, txn, &name, thread->number);
}
