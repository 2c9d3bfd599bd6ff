#include <string.h>

#include "agent/shell/spool_case.h"

/* Consent that is withdrawn reaches the offers of the case, in the transaction that asks the holders: whoever was asked hears
 * that it is over, nobody gets the lease any more, and the referral that waited is destroyed. One whose lease was given out
 * ends too, or it would be offered again when the lease comes back. */

/* One of its threads: with somebody who was asked in this round, or the one in which the referral goes. */
static bool has_thread(const struct spool_offer *offer, const struct kw_id *thread_id)
{
	for (uint8_t i = 0; i < offer->core.count; i++)
		if (kw_id_equal(&offer->threads[i], thread_id))
			return true;
	return kw_id_equal(&offer->referral_thread_id, thread_id);
}

struct ending {
	struct spool *spool;
	MDB_txn *txn;
	struct spool_op *op;
};

static enum kw_err end_offer(const struct ending *ending, struct spool_offer *offer)
{
	if (offer->core.state == AGT_OFFER_WITHDRAWN)
		return KW_OK;
	ending->op->follow = true;
	ending->op->offers++;
	return spool_offer_consent(ending->spool, ending->txn, offer);
}

static enum kw_err end_of_case(void *user, uint64_t number)
{
	const struct ending *ending = user;
	struct spool_offer offer;
	enum kw_err err = spool_offer_get(ending->spool, ending->txn, number, &offer);

	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	return end_offer(ending, &offer);
}

/* An offer has no index by the thread of its referral, which nobody knows before it has the lease. */
static enum kw_err end_of_thread(const struct ending *ending, const struct kw_id *thread_id)
{
	enum kw_err err = KW_OK;

	for (uint64_t number = 1; err == KW_OK && number < ending->spool->numbers[N_NEXT_OFFER]; number++) {
		struct spool_offer offer;

		err = spool_offer_get(ending->spool, ending->txn, number, &offer);
		if (err == KW_OK && has_thread(&offer, thread_id))
			err = end_offer(ending, &offer);
		if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
			err = KW_OK;
	}
	return err;
}

enum kw_err spool_erase_offers(struct spool *spool, MDB_txn *txn, const struct spool_offer_reach *reach,
	struct spool_op *op)
{
	struct ending ending = {spool, txn, op};

	op->offers = 0; /* also when the transaction runs a second time */
	return reach->thread_id != NULL ? end_of_thread(&ending, reach->thread_id)
		: spool_case_offers(spool, txn, reach->case_id, end_of_case, &ending);
}
