#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_thread_inner.h"

/* Consent that is withdrawn reaches the offers of the case, in the transaction that asks the holders: whoever was asked hears
 * that it is over, nobody gets the lease any more, and the referral that waited is destroyed. One whose lease was given out
 * ends too, or it would be offered again when the lease comes back. */

static bool is_tagged(struct spool *spool, const struct spool_offer *offer, const char *ref)
{
	static const uint8_t none[SPOOL_CASE_TAG_SIZE];
	uint8_t tag[SPOOL_CASE_TAG_SIZE];

	return ref != NULL && ref[0] != '\0' && spool_case_tag(spool, ref, tag) == KW_OK && memcmp(tag, none, sizeof(tag)) != 0 &&
		memcmp(tag, offer->case_tag, sizeof(tag)) == 0;
}

/* One of its threads: with somebody who was asked in this round, or the one in which the referral goes. */
static bool has_thread(const struct spool_offer *offer, const struct kw_id *thread_id)
{
	for (uint8_t i = 0; i < offer->core.count; i++)
		if (kw_id_equal(&offer->threads[i], thread_id))
			return true;
	return kw_id_equal(&offer->referral_thread_id, thread_id);
}

static bool is_reached(struct spool *spool, const struct spool_offer_reach *reach, const struct spool_offer *offer)
{
	if (reach->thread_id != NULL)
		return has_thread(offer, reach->thread_id);
	return is_tagged(spool, offer, reach->case_ref) || is_tagged(spool, offer, reach->alias);
}

enum kw_err spool_erase_offers(struct spool *spool, MDB_txn *txn, const struct spool_offer_reach *reach,
	struct spool_op *op)
{
	MDB_cursor *cursor;
	uint8_t key[8];
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OFFERS], &cursor));

	op->offers = 0; /* also when the transaction runs a second time */
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	while (err == KW_OK && rc == 0 && k.mv_size == sizeof(key)) {
		struct spool_offer offer;

		memcpy(key, k.mv_data, sizeof(key));
		if (spool_offer_get(spool, txn, kw_get_u64(key), &offer) == KW_OK && offer.core.state != AGT_OFFER_WITHDRAWN &&
			is_reached(spool, reach, &offer)) {
			err = spool_offer_consent(spool, txn, &offer);
			op->follow = true;
			op->offers++;
		}
		kw_put_u64(key, kw_get_u64(key) + 1); /* by key: the row was written */
		k = (MDB_val){.mv_size = sizeof(key), .mv_data = key};
		rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
