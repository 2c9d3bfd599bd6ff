#ifndef AGENT_SHELL_SPOOL_OFFER_INNER_H
#define AGENT_SHELL_SPOOL_OFFER_INNER_H

/* Offers and services, for the files that implement the spool. Part of spool_inner.h, which includes it at its end. */

/* spool_offer.c: offers, in the transaction of what moves them. */
KW_MUST_USE enum kw_err spool_run_offer(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_pick(struct spool *spool, MDB_txn *txn, struct spool_op *op);
KW_MUST_USE enum kw_err spool_run_unfollow(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* Something happened in the thread of a member. KW_OK also when it is a member of no offer. */
KW_MUST_USE enum kw_err spool_offer_event(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	enum agt_offer_event_type type);
/* The hub's word in the thread of a member. Its UNCLAIMED ends the time to claim for all members: they were asked at once,
 * and the hub's limit may be shorter than ours. */
KW_MUST_USE enum kw_err spool_offer_hub(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
/* LEASED may be said in this thread. `known`: it is the thread of an offer that we keep; of others nothing is known. */
KW_MUST_USE enum kw_err spool_offer_may_lease(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, bool *known,
	bool *may);
/* Offers that nobody claimed in time; referrals that are kept no longer. */
KW_MUST_USE enum kw_err spool_sweep_offers(struct spool *spool, MDB_txn *txn, int64_t now_ms);
/* Whether the append may go on: it is not the referral of an offer, or this agency has its lease. Its case is the offer's. */
KW_MUST_USE enum kw_err spool_offer_may_refer(struct spool *spool, MDB_txn *txn, struct spool_op *op, bool *may);
/* Consent for its case is withdrawn: it is over, and its referral is to be destroyed. Nothing when it is over already. */
KW_MUST_USE enum kw_err spool_offer_consent(struct spool *spool, MDB_txn *txn, struct spool_offer *offer);

/* spool_draft.c: the referral of an offer, under a key of its own. */
KW_MUST_USE enum kw_err spool_draft_put(struct spool *spool, MDB_txn *txn, uint64_t number, struct kw_view referral);
/* The row goes now and the key with the next spool_shred. KW_OK also when there is none. */
KW_MUST_USE enum kw_err spool_draft_shred(struct spool *spool, MDB_txn *txn, uint64_t number);
/* The upgrade's: one under the store key alone gets its own; where consent was withdrawn since, it goes. KW_ECORRUPT. */
KW_MUST_USE enum kw_err spool_draft_reseal(struct spool *spool, MDB_txn *txn, struct kw_view key, struct kw_view plain);

/* spool_erase_offer.c: ends the offers of a thread, or those of a case. */
struct spool_offer_reach {
	const struct kw_id *thread_id; /* NULL: of the case */
	uint64_t case_id;
};
KW_MUST_USE enum kw_err spool_erase_offers(struct spool *spool, MDB_txn *txn, const struct spool_offer_reach *reach,
	struct spool_op *op);

/* spool_offer_row.c: offers as bytes and rows. */
KW_MUST_USE enum kw_err spool_offer_get(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_offer *out);
/* Writes the record, and where its time stands in the list of what is due. before: NULL when it is new. */
KW_MUST_USE enum kw_err spool_offer_put(struct spool *spool, MDB_txn *txn, const struct spool_offer *offer,
	const struct spool_offer *before);
enum spool_offer_due { SPOOL_OFFER_DUE_CLAIM, SPOOL_OFFER_DUE_UNCLAIMED, SPOOL_OFFER_DUE_FORGET, SPOOL_OFFER_DUE_NONE };
#define SPOOL_OFFER_DUE_SIZE 17u

/* spool_service.c: what agencies offer and answer. */
KW_MUST_USE enum kw_err spool_run_publish(struct spool *spool, MDB_txn *txn, struct spool_op *op);
/* A message of ours, or one of theirs that was taken: what it says about services is kept. */
KW_MUST_USE enum kw_err spool_service_sent(struct spool *spool, MDB_txn *txn, const struct spool_op *op);
KW_MUST_USE enum kw_err spool_service_taken(struct spool *spool, MDB_txn *txn, const struct spool_op *op);

#endif
