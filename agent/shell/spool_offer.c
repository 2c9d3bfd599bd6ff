#include <string.h>

#include "agent/shell/spool_case.h"
#include "proto/wire/crypt.h"

/* Offers, run by the writer in the transaction of what moves them: the claim that is committed first is the first, and the
 * choice, the lease that is to be said and the end for all others stand together or not at all. What has to be said is
 * written into the list of follow-ups and leaves it with the message that it becomes, so a crash anywhere loses nothing
 * and says nothing twice. Who is chosen decides agent/core/offer.h.
 *
 * The whole referral lies beside the offer under a key of its own (spool_draft.c). It becomes a message after LEASED, and only
 * while the lease stands: the transaction that would append it looks. */

#define DUE_MAX 64u

static enum kw_err thread_key_of(struct spool *spool, const struct spool_offer *offer, uint8_t at, uint8_t *out)
{
	return spool_thread_key(spool, &offer->threads[at], &offer->agencies[at], out);
}

/* The offer that a thread belongs to, and the member's place; AGT_OFFER_NOBODY for a thread of an earlier round. */
static enum kw_err find(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, struct spool_offer *out, uint8_t *at)
{
	struct kw_view row;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	enum kw_err err = spool_get(spool, txn, T_OFFERTHREAD, KW_VIEW(thread_key, SPOOL_THREAD_KEY_SIZE), &row);

	if (err == KW_OK && row.size != 8)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		err = spool_offer_get(spool, txn, kw_get_u64(row.data), out);
	*at = AGT_OFFER_NOBODY;
	for (uint8_t i = 0; err == KW_OK && i < out->core.count; i++) {
		err = thread_key_of(spool, out, i, key);
		if (err == KW_OK && memcmp(key, thread_key, sizeof(key)) == 0)
			*at = i;
	}
	return err;
}

/* One member gets a thread, and is to be asked in it. */
static enum kw_err ask(struct spool *spool, MDB_txn *txn, const struct spool_offer *offer, uint8_t at)
{
	struct spool_follow follow = {.thread_id = offer->threads[at],
		.agency = offer->agencies[at],
		.kind = KW_THREAD_OFFER,
		.state = KW_OFFER_OFFERED,
		.what = SPOOL_FOLLOW_OFFER,
		.offer = offer->number};
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	uint8_t number[8];
	enum kw_err err = thread_key_of(spool, offer, at, key);

	kw_put_u64(number, offer->number);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_OFFERTHREAD, KW_VIEW_OF(key), KW_VIEW_OF(number));
	return err != KW_OK ? err : spool_follow_put(spool, txn, &follow);
}

static enum kw_err say(struct spool *spool, MDB_txn *txn, const struct spool_offer *offer, uint8_t at,
	enum spool_follow_what what)
{
	struct spool_follow follow = {.thread_id = offer->threads[at],
		.agency = offer->agencies[at],
		.kind = KW_THREAD_OFFER,
		.state = what == SPOOL_FOLLOW_LEASE ? KW_OFFER_LEASED : KW_OFFER_CLOSED,
		.what = what,
		.offer = offer->number};

	if (what == SPOOL_FOLLOW_REFERRAL) {
		follow.thread_id = offer->referral_thread_id;
		follow.kind = KW_THREAD_REFERRAL;
		follow.state = KW_REFERRAL_QUEUED;
	}
	return spool_follow_put(spool, txn, &follow);
}

static enum kw_err ask_coordinator(struct spool *spool, MDB_txn *txn, struct spool_offer *offer)
{
	uint8_t at = spool->has_coordinator ? agt_offer_coordinator(&offer->core) : AGT_OFFER_NOBODY;

	if (at == AGT_OFFER_NOBODY)
		return KW_OK; /* it stands first in what waits for us, and that is all that can be done */
	offer->agencies[at] = spool->coordinator;
	enum kw_err err = kw_random(offer->threads[at].bytes, KW_ID_SIZE);
	return err != KW_OK ? err : ask(spool, txn, offer, at);
}

/* Another round after a lease was given back: new threads, because the old ones are closed. */
static enum kw_err again(struct spool *spool, MDB_txn *txn, struct spool_offer *offer)
{
	struct spool_offer old = *offer;
	uint8_t from[AGT_OFFER_MEMBERS_MAX];
	uint8_t count = agt_offer_again(&offer->core, spool->now_ms + offer->span_ms, from);
	enum kw_err err = kw_random(offer->message_id.bytes, KW_ID_SIZE);

	if (err == KW_OK)
		err = kw_random(offer->referral_thread_id.bytes, KW_ID_SIZE);
	offer->leased_ms = 0;
	for (uint8_t i = 0; err == KW_OK && i < count; i++) {
		offer->agencies[i] = old.agencies[from[i]];
		err = kw_random(offer->threads[i].bytes, KW_ID_SIZE);
		if (err == KW_OK)
			err = ask(spool, txn, offer, i);
	}
	return err != KW_OK || count > 0 ? err : ask_coordinator(spool, txn, offer);
}

/* Does what a step says, and keeps the record. */
static enum kw_err carry_out(struct spool *spool, MDB_txn *txn, struct spool_offer *offer,
	const struct agt_offer_result *result)
{
	struct spool_offer before = *offer;
	bool withdrawn = result->next.state == AGT_OFFER_WITHDRAWN;
	enum kw_err err = KW_OK;

	offer->core = result->next;
	if (result->lease != AGT_OFFER_NOBODY)
		err = say(spool, txn, offer, result->lease, SPOOL_FOLLOW_LEASE);
	for (uint8_t i = 0; err == KW_OK && i < offer->core.count; i++) {
		if ((result->close & (1u << i)) != 0)
			err = say(spool, txn, offer, i, withdrawn ? SPOOL_FOLLOW_WITHDRAW : SPOOL_FOLLOW_CLOSE);
	}
	if (err == KW_OK && result->refer) {
		offer->leased_ms = spool->now_ms;
		err = say(spool, txn, offer, offer->core.winner, SPOOL_FOLLOW_REFERRAL);
	}
	if (err == KW_OK && result->again)
		err = again(spool, txn, offer);
	if (err == KW_OK && result->escalate)
		err = ask_coordinator(spool, txn, offer);
	if (err == KW_OK && withdrawn)
		err = spool_draft_shred(spool, txn, offer->number);
	return err != KW_OK ? err : spool_offer_put(spool, txn, offer, &before);
}

enum kw_err spool_offer_event(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, enum agt_offer_event_type type)
{
	struct spool_offer offer;
	struct agt_offer_event event = {.type = type, .now_ms = INT64_MAX}; /* TIME: whoever says so knows that it is over */
	struct agt_offer_result result;
	enum kw_err err = find(spool, txn, thread_key, &offer, &event.member);

	if (err == KW_ECORRUPT) {
		spool->numbers[N_COUNTS + SPOOL_COUNT_DAMAGED]++;
		return KW_OK;
	}
	if (err != KW_OK || event.member == AGT_OFFER_NOBODY)
		return err == KW_ENOTFOUND ? KW_OK : err;
	agt_offer_step(&offer.core, &event, &result);
	err = carry_out(spool, txn, &offer, &result);
	kw_wipe(&offer, sizeof(offer));
	return err;
}

enum kw_err spool_offer_hub(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];

	if (move->act->kind != KW_THREAD_OFFER || move->act->state != KW_OFFER_UNCLAIMED)
		return KW_OK;
	enum kw_err err = spool_thread_key(spool, &move->item->thread_id, &move->item->agency, key);
	return err != KW_OK ? err : spool_offer_event(spool, txn, key, AGT_OFFER_EV_TIME);
}

enum kw_err spool_offer_may_lease(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, bool *known, bool *may)
{
	struct spool_offer offer;
	uint8_t at;
	enum kw_err err = find(spool, txn, thread_key, &offer, &at);

	*known = err != KW_ENOTFOUND;
	*may = !*known || (err == KW_OK && at != AGT_OFFER_NOBODY && agt_offer_may_lease(&offer.core, at));
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_offer_may_refer(struct spool *spool, MDB_txn *txn, struct spool_op *op, bool *may)
{
	const struct spool_item *item = &op->u.append.item;
	struct spool_follow follow;
	struct spool_offer offer;
	struct kw_buf plain;
	uint8_t key[8];

	kw_put_u64(key, op->u.append.follow_key);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX);
	enum kw_err err = spool_get_sealed(spool, txn, T_FOLLOW, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = spool_follow_decode(kw_buf_view(&plain), &follow);
	bool refers = err == KW_OK ? follow.what == SPOOL_FOLLOW_REFERRAL : op->u.append.follow_what == SPOOL_FOLLOW_REFERRAL;
	kw_buf_fini(&plain);
	*may = !refers;
	if (err == KW_OK && refers) {
		err = spool_offer_get(spool, txn, follow.offer, &offer);
		op->u.append.case_id = err == KW_OK ? offer.case_id : 0;
		*may = err == KW_OK && agt_offer_may_refer(&offer.core, offer.core.winner) &&
			kw_id_equal(&offer.referral_thread_id, &item->thread_id) &&
			kw_name_equal(&offer.agencies[offer.core.winner], &item->agency);
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_offer_consent(struct spool *spool, MDB_txn *txn, struct spool_offer *offer)
{
	struct agt_offer_event event = {.type = AGT_OFFER_EV_CONSENT};
	struct agt_offer_result result;

	agt_offer_step(&offer->core, &event, &result);
	return result.refusal == AGT_OFFER_TAKEN_ON ? carry_out(spool, txn, offer, &result) : KW_OK;
}

/* Which case it is about: the referral will be of the same. */
static enum kw_err put_case(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_offer *offer = &op->u.offer.offer;
	const struct spool_case_wish wish = {.own_ref = op->u.offer.case_ref, .claim = &op->u.offer.claim};
	const uint64_t member = offer->number | SPOOL_MEMBER_OFFER;
	struct spool_case_found found;
	enum kw_err err = spool_case_find(spool, txn, &wish, &found);

	if (err == KW_OK && found.fault == AGT_FAULT_NONE && !op->u.offer.claim.consent_anew)
		err = spool_case_anew(spool, txn, KW_THREAD_REFERRAL, &found);
	op->fault = err == KW_OK ? found.fault : AGT_FAULT_NONE;
	if (err != KW_OK || op->fault != AGT_FAULT_NONE)
		return err;
	err = spool_case_settle(spool, txn, &found, &offer->case_id);
	if (err == KW_OK)
		err = spool_case_add(spool, txn, offer->case_id, member);
	if (err == KW_OK)
		err = spool_case_call(spool, txn, &(struct spool_case_name){.ref = op->u.offer.case_ref}, member);
	return err != KW_OK ? err : spool_case_call_local(spool, txn, &found, member);
}

enum kw_err spool_run_offer(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_offer *offer = &op->u.offer.offer;
	struct spool_offer old;
	struct kw_view row;
	uint8_t tag[SPOOL_TAG_SIZE];
	uint8_t number[8];
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(offer->id.bytes), tag);

	if (err != KW_OK)
		return err;
	err = spool_get(spool, txn, T_OFFERID, KW_VIEW_OF(tag), &row);
	if (err == KW_OK) {
		bool same = row.size == 8 && spool_offer_get(spool, txn, kw_get_u64(row.data), &old) == KW_OK &&
			memcmp(old.request_digest.bytes, offer->request_digest.bytes, KW_DIGEST_SIZE) == 0;

		op->repeat = same;
		op->u.offer.taken = !same;
		return KW_OK;
	}
	if (err != KW_ENOTFOUND)
		return err;
	if (spool->numbers[N_NEXT_OFFER] == 0)
		spool->numbers[N_NEXT_OFFER] = 1;
	offer->number = spool->numbers[N_NEXT_OFFER];
	kw_put_u64(number, offer->number);
	err = put_case(spool, txn, op);
	if (err != KW_OK || op->fault != AGT_FAULT_NONE)
		return err; /* nothing is written */
	spool->numbers[N_NEXT_OFFER]++;
	err = spool_put(spool, txn, T_OFFERID, KW_VIEW_OF(tag), KW_VIEW_OF(number));
	if (err == KW_OK)
		err = spool_draft_put(spool, txn, offer->number, kw_buf_view(&op->content));
	for (uint8_t i = 0; err == KW_OK && i < offer->core.count; i++)
		err = ask(spool, txn, offer, i);
	return err != KW_OK ? err : spool_offer_put(spool, txn, offer, NULL);
}

/* The member whose thread has this id, whichever agency it is with. */
static enum kw_err find_thread(struct spool *spool, MDB_txn *txn, const struct kw_id *id, struct spool_offer *out, uint8_t *at)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE] = {0};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(id->bytes), key);

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OFFERTHREAD], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	bool found = rc == 0 && k.mv_size == sizeof(key) && memcmp(k.mv_data, key, SPOOL_TAG_SIZE) == 0;
	if (found)
		memcpy(key, k.mv_data, sizeof(key));
	mdb_cursor_close(cursor);
	return found ? find(spool, txn, key, out, at) : KW_ENOTFOUND;
}

static enum kw_err find_id(struct spool *spool, MDB_txn *txn, const struct kw_id *id, struct spool_offer *out)
{
	uint8_t tag[SPOOL_TAG_SIZE];
	struct kw_view row;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(id->bytes), tag);

	if (err == KW_OK)
		err = spool_get(spool, txn, T_OFFERID, KW_VIEW_OF(tag), &row);
	if (err == KW_OK)
		err = row.size == 8 ? spool_offer_get(spool, txn, kw_get_u64(row.data), out) : KW_ECORRUPT;
	return err;
}

enum kw_err spool_run_pick(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_offer offer;
	struct agt_offer_event event = {.type = op->u.pick.withdraw ? AGT_OFFER_EV_WITHDRAW : AGT_OFFER_EV_PICK};
	struct agt_offer_result result;
	enum kw_err err = op->u.pick.withdraw ? find_id(spool, txn, &op->u.pick.id, &offer)
		: find_thread(spool, txn, &op->u.pick.id, &offer, &event.member);

	spool->now_ms = op->u.pick.now_ms;
	if (err == KW_OK && event.member == AGT_OFFER_NOBODY)
		err = KW_ENOTFOUND; /* the thread of an earlier round */
	op->u.pick.result = err;
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK;
	if (err != KW_OK)
		return err;
	op->u.pick.offer_id = offer.id;
	agt_offer_step(&offer.core, &event, &result);
	op->u.pick.refusal = result.refusal;
	if (result.refusal != AGT_OFFER_TAKEN_ON) {
		op->u.pick.result = KW_EILLEGAL;
		return KW_OK;
	}
	return carry_out(spool, txn, &offer, &result);
}

enum kw_err spool_run_unfollow(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_follow *follow = &op->u.unfollow.follow;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	uint8_t number[8];
	bool had;
	enum kw_err err;

	spool->now_ms = op->u.unfollow.now_ms;
	kw_put_u64(number, follow->key);
	err = spool_del(spool, txn, T_FOLLOW, KW_VIEW_OF(number), &had);
	if (err != KW_OK || !had || (follow->what != SPOOL_FOLLOW_OFFER && follow->what != SPOOL_FOLLOW_LEASE))
		return err;
	err = spool_thread_key(spool, &follow->thread_id, &follow->agency, key);
	if (err == KW_OK)
		err = spool_offer_event(spool, txn, key, AGT_OFFER_EV_FAILED);
	return err;
}

struct dues {
	uint32_t count;
	uint8_t keys[DUE_MAX][SPOOL_OFFER_DUE_SIZE];
};

static enum kw_err gather_due(struct spool *spool, MDB_txn *txn, uint8_t what, int64_t now_ms, struct dues *out)
{
	uint8_t first[SPOOL_OFFER_DUE_SIZE] = {what};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(first), .mv_data = first};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OFFERDUE], &cursor));

	out->count = 0;
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (rc == 0 && out->count < DUE_MAX && k.mv_size == SPOOL_OFFER_DUE_SIZE) {
		const uint8_t *key = k.mv_data;

		if (key[0] != what || (int64_t)kw_get_u64(key + 1) > now_ms)
			break;
		memcpy(out->keys[out->count++], key, SPOOL_OFFER_DUE_SIZE);
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == 0 || rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

enum kw_err spool_sweep_offers(struct spool *spool, MDB_txn *txn, int64_t now_ms)
{
	struct agt_offer_event event = {.type = AGT_OFFER_EV_TIME, .now_ms = now_ms};
	struct agt_offer_result result;
	struct spool_offer offer;
	struct dues dues;
	enum kw_err err = gather_due(spool, txn, SPOOL_OFFER_DUE_CLAIM, now_ms, &dues);

	for (uint32_t i = 0; err == KW_OK && i < dues.count; i++) {
		err = spool_offer_get(spool, txn, kw_get_u64(dues.keys[i] + 9), &offer);
		if (err == KW_OK) {
			agt_offer_step(&offer.core, &event, &result);
			err = result.escalate ? carry_out(spool, txn, &offer, &result) : KW_OK;
		} else if (err == KW_ENOTFOUND || err == KW_ECORRUPT) {
			err = spool_del(spool, txn, T_OFFERDUE, KW_VIEW(dues.keys[i], SPOOL_OFFER_DUE_SIZE), NULL);
		}
	}
	if (err == KW_OK)
		err = gather_due(spool, txn, SPOOL_OFFER_DUE_FORGET, now_ms, &dues);
	for (uint32_t i = 0; err == KW_OK && i < dues.count; i++) {
		err = spool_del(spool, txn, T_OFFERDUE, KW_VIEW(dues.keys[i], SPOOL_OFFER_DUE_SIZE), NULL);
		if (err == KW_OK)
			err = spool_draft_shred(spool, txn, kw_get_u64(dues.keys[i] + 9));
	}
	return err;
}

enum kw_err spool_pass_void_offer(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, uint8_t was)
{
	if (pass->thread.record.kind != KW_THREAD_OFFER || pass->thread.record.party != KW_PARTY_OPENER ||
		(was != KW_OFFER_OFFERED && was != KW_OFFER_LEASED))
		return KW_OK;
	return spool_offer_event(spool, txn, pass->key, AGT_OFFER_EV_FAILED);
}
