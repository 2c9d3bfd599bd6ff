#include <string.h>

#include "agent/shell/spool_case.h"

/* The cases of an older spool, which knew pseudonyms alone: those that we gave make one case, whatever the agency; those of an
 * agency one in its own threads. Nothing else is known of them, so nothing else is joined; what was passed on under another
 * pseudonym is named to a person (kinward consent list) and joined by --case or --from-thread. */

/* Who gave the pseudonym of a thread: whoever opened it, but for a transfer that was asked for, which the offer names. */
static enum kw_err is_ours(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_thread *thread, bool *out)
{
	struct spool_log log;
	enum kw_err err = spool_log_get(spool, txn, key, 1, &log);

	*out = thread->record.party == KW_PARTY_OPENER;
	if (err == KW_OK && (thread->record.kind != KW_THREAD_TRANSFER || thread->record.state == KW_TRANSFER_REQUESTED))
		*out = log.event.author == AGT_THREAD_OURS;
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* Ours are the same as those that we gave before. */
static enum kw_err find_case(struct spool *spool, MDB_txn *txn, bool ours, struct spool_thread *thread)
{
	struct spool_case_wish wish = {.own_ref = thread->case_ref};
	struct spool_case_found found;

	if (!ours)
		return spool_case_theirs(spool, txn, &thread->agency, thread->case_ref, &thread->case_id);
	enum kw_err err = spool_case_find(spool, txn, &wish, &found);
	return err != KW_OK ? err : spool_case_settle(spool, txn, &found, &thread->case_id);
}

static enum kw_err build_thread(struct spool *spool, MDB_txn *txn, const uint8_t *key)
{
	struct spool_thread thread;
	bool ours = false;
	enum kw_err err = spool_thread_get(spool, txn, key, &thread);

	if (err != KW_OK || thread.case_id != 0) /* of schema 1: it has one since its messages were judged again */
		return err;
	err = is_ours(spool, txn, key, &thread, &ours);
	if (err == KW_OK && thread.record.kind != KW_THREAD_OFFER)
		err = find_case(spool, txn, ours, &thread);
	if (err == KW_OK)
		err = spool_case_add(spool, txn, thread.case_id, thread.number);
	if (err == KW_OK)
		err = spool_case_call(spool, txn, &(struct spool_case_name){ours ? NULL : &thread.agency, thread.case_ref},
			thread.number);
	/* The new owner gave the alias. */
	bool alias_ours = thread.record.party == KW_PARTY_OTHER;
	if (err == KW_OK && alias_ours && thread.alias[0] != '\0')
		err = spool_case_alias(spool, txn, &thread);
	if (err == KW_OK)
		err = spool_case_call(spool, txn, &(struct spool_case_name){alias_ours ? NULL : &thread.agency, thread.alias},
			thread.number);
	return err != KW_OK ? err : spool_thread_put(spool, txn, key, &thread);
}

/* The tag of an offer is that of a pseudonym of ours. */
static enum kw_err build_offer(struct spool *spool, MDB_txn *txn, uint64_t number)
{
	struct spool_offer offer;
	enum kw_err err = spool_offer_get(spool, txn, number, &offer);

	if (err != KW_OK)
		return err;
	const struct spool_offer before = offer;
	err = spool_case_offer_old(spool, txn, &offer);
	return err != KW_OK ? err : spool_offer_put(spool, txn, &offer, &before);
}

enum kw_err spool_case_build(struct spool *spool, MDB_txn *txn)
{
	enum kw_err err = KW_OK;

	for (uint64_t number = 1; err == KW_OK && number < spool->numbers[N_NEXT_THREAD]; number++) {
		uint8_t row[8];
		struct kw_view found;
		uint8_t key[SPOOL_THREAD_KEY_SIZE];

		kw_put_u64(row, number);
		err = spool_get(spool, txn, T_THREADNO, KW_VIEW_OF(row), &found);
		if (err == KW_OK && found.size != sizeof(key))
			err = KW_ECORRUPT;
		if (err == KW_OK) {
			memcpy(key, found.data, sizeof(key));
			err = build_thread(spool, txn, key);
		}
		if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
			err = KW_OK; /* counted when it is read for somebody */
	}
	for (uint64_t number = 1; err == KW_OK && number < spool->numbers[N_NEXT_OFFER]; number++) {
		err = build_offer(spool, txn, number);
		if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
			err = KW_OK;
	}
	return err;
}
