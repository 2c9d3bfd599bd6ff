#include <string.h>

#include "agent/shell/spool_scan.h"

/* Offers as rows: the record, its place among what is due, and reading them. The first byte is a version: rows only grow. */

#define VERSION 1u
#define MEMBER_SIZE 96u
#define HEAD_SIZE 256u
#define OFFER_SIZE (HEAD_SIZE + AGT_OFFER_MEMBERS_MAX * MEMBER_SIZE)

#define AT_STATE 1u
#define AT_FLAGS 2u
#define AT_COUNT 3u
#define AT_WINNER 4u
#define AT_ROUND 5u
#define AT_RISK 6u
#define AT_CLAIMS 8u
#define AT_SERVICE 12u
#define AT_BAND 16u
#define AT_CLAIM_BY 24u
#define AT_CREATED 32u
#define AT_SPAN 40u
#define AT_LEASED 48u
#define AT_NUMBER 56u
#define AT_ID 64u
#define AT_DIGEST 80u
#define AT_MESSAGE 112u
#define AT_REFERRAL 128u
#define AT_ADMIN2 144u
#define AT_CASE_TAG 168u
#define FLAG_MANUAL 1u
#define FLAG_UNCLAIMED 2u
#define FLAG_COORDINATOR 1u

static void encode(const struct spool_offer *offer, uint8_t *out)
{
	const struct agt_offer *core = &offer->core;

	memset(out, 0, OFFER_SIZE);
	out[0] = VERSION;
	out[AT_STATE] = (uint8_t)core->state;
	out[AT_FLAGS] = (uint8_t)((core->manual ? FLAG_MANUAL : 0) | (core->unclaimed ? FLAG_UNCLAIMED : 0));
	out[AT_COUNT] = core->count;
	out[AT_WINNER] = core->winner;
	out[AT_ROUND] = core->round;
	out[AT_RISK] = (uint8_t)offer->risk;
	kw_put_u32(out + AT_CLAIMS, core->claims);
	kw_put_u32(out + AT_SERVICE, offer->service);
	kw_put_u32(out + AT_BAND, offer->age_band);
	kw_put_u64(out + AT_CLAIM_BY, (uint64_t)core->claim_by_ms);
	kw_put_u64(out + AT_CREATED, (uint64_t)offer->created_ms);
	kw_put_u64(out + AT_SPAN, (uint64_t)offer->span_ms);
	kw_put_u64(out + AT_LEASED, (uint64_t)offer->leased_ms);
	kw_put_u64(out + AT_NUMBER, offer->number);
	memcpy(out + AT_ID, offer->id.bytes, KW_ID_SIZE);
	memcpy(out + AT_DIGEST, offer->request_digest.bytes, KW_DIGEST_SIZE);
	memcpy(out + AT_MESSAGE, offer->message_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_REFERRAL, offer->referral_thread_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_ADMIN2, offer->admin2, sizeof(offer->admin2));
	memcpy(out + AT_CASE_TAG, offer->case_tag, sizeof(offer->case_tag));
	for (uint8_t i = 0; i < core->count; i++) {
		uint8_t *at = out + HEAD_SIZE + i * MEMBER_SIZE;

		at[0] = (uint8_t)core->members[i].state;
		at[1] = core->members[i].coordinator ? FLAG_COORDINATOR : 0;
		kw_put_u32(at + 4, core->members[i].claim);
		memcpy(at + 8, offer->threads[i].bytes, KW_ID_SIZE);
		memcpy(at + 24, offer->agencies[i].text, sizeof(offer->agencies[i].text));
	}
}

static enum kw_err decode(struct kw_view bytes, struct spool_offer *out)
{
	const uint8_t *in = bytes.data;

	if (bytes.size < OFFER_SIZE || in[0] != VERSION || in[AT_STATE] > AGT_OFFER_WITHDRAWN ||
		in[AT_COUNT] > AGT_OFFER_MEMBERS_MAX || (in[AT_WINNER] != AGT_OFFER_NOBODY && in[AT_WINNER] >= in[AT_COUNT]) ||
		in[AT_ADMIN2 + SPOOL_PCODE_SIZE - 1] != '\0')
		return KW_ECORRUPT;
	memset(out, 0, sizeof(*out));
	out->core = (struct agt_offer){.state = (enum agt_offer_state)in[AT_STATE],
		.manual = (in[AT_FLAGS] & FLAG_MANUAL) != 0,
		.unclaimed = (in[AT_FLAGS] & FLAG_UNCLAIMED) != 0,
		.count = in[AT_COUNT],
		.winner = in[AT_WINNER],
		.round = in[AT_ROUND],
		.claims = kw_get_u32(in + AT_CLAIMS),
		.claim_by_ms = (int64_t)kw_get_u64(in + AT_CLAIM_BY)};
	out->risk = in[AT_RISK];
	out->service = kw_get_u32(in + AT_SERVICE);
	out->age_band = kw_get_u32(in + AT_BAND);
	out->created_ms = (int64_t)kw_get_u64(in + AT_CREATED);
	out->span_ms = (int64_t)kw_get_u64(in + AT_SPAN);
	out->leased_ms = (int64_t)kw_get_u64(in + AT_LEASED);
	out->number = kw_get_u64(in + AT_NUMBER);
	memcpy(out->id.bytes, in + AT_ID, KW_ID_SIZE);
	memcpy(out->request_digest.bytes, in + AT_DIGEST, KW_DIGEST_SIZE);
	memcpy(out->message_id.bytes, in + AT_MESSAGE, KW_ID_SIZE);
	memcpy(out->referral_thread_id.bytes, in + AT_REFERRAL, KW_ID_SIZE);
	memcpy(out->admin2, in + AT_ADMIN2, sizeof(out->admin2));
	memcpy(out->case_tag, in + AT_CASE_TAG, sizeof(out->case_tag));
	for (uint8_t i = 0; i < out->core.count; i++) {
		const uint8_t *at = in + HEAD_SIZE + i * MEMBER_SIZE;

		if (at[0] > AGT_MEMBER_CLOSED || at[24 + KW_NAME_SIZE_MAX] != '\0')
			return KW_ECORRUPT;
		out->core.members[i] = (struct agt_offer_member){.state = (enum agt_member_state)at[0],
			.coordinator = (at[1] & FLAG_COORDINATOR) != 0,
			.claim = kw_get_u32(at + 4)};
		memcpy(out->threads[i].bytes, at + 8, KW_ID_SIZE);
		memcpy(out->agencies[i].text, at + 24, sizeof(out->agencies[i].text));
	}
	return KW_OK;
}

enum kw_err spool_offer_get(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_offer *out)
{
	uint8_t key[8];
	struct kw_buf plain;
	enum kw_err err;

	kw_put_u64(key, number);
	kw_buf_init(&plain, OFFER_SIZE + 64);
	err = spool_get_sealed(spool, txn, T_OFFERS, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

/* What must happen to it at some time, and when. */
static enum spool_offer_due due_of(const struct spool_offer *offer, uint8_t *key)
{
	enum spool_offer_due due = SPOOL_OFFER_DUE_NONE;
	int64_t at_ms = offer->core.claim_by_ms;

	if (offer->core.state == AGT_OFFER_LEASED) {
		due = SPOOL_OFFER_DUE_FORGET;
		at_ms = offer->leased_ms + SPOOL_OFFER_KEEP_MS;
	} else if (offer->core.state == AGT_OFFER_OPEN && offer->core.unclaimed) {
		due = SPOOL_OFFER_DUE_UNCLAIMED;
	} else if (offer->core.state == AGT_OFFER_OPEN && offer->core.winner == AGT_OFFER_NOBODY) {
		due = SPOOL_OFFER_DUE_CLAIM;
	}
	key[0] = (uint8_t)due;
	kw_put_u64(key + 1, (uint64_t)at_ms);
	kw_put_u64(key + 9, offer->number);
	return due;
}

enum kw_err spool_offer_put(struct spool *spool, MDB_txn *txn, const struct spool_offer *offer,
	const struct spool_offer *before)
{
	uint8_t plain[OFFER_SIZE];
	uint8_t number[8];
	uint8_t due[SPOOL_OFFER_DUE_SIZE];
	enum kw_err err = KW_OK;

	kw_put_u64(number, offer->number);
	if (before != NULL && due_of(before, due) != SPOOL_OFFER_DUE_NONE)
		err = spool_del(spool, txn, T_OFFERDUE, KW_VIEW_OF(due), NULL);
	if (err == KW_OK && due_of(offer, due) != SPOOL_OFFER_DUE_NONE)
		err = spool_put(spool, txn, T_OFFERDUE, KW_VIEW_OF(due), KW_VIEW(NULL, 0));
	if (err != KW_OK)
		return err;
	encode(offer, plain);
	err = spool_put_sealed(spool, txn, T_OFFERS, KW_VIEW_OF(number), KW_VIEW_OF(plain));
	kw_wipe(plain, sizeof(plain));
	return err;
}

/* The rest runs on the loop thread, one read transaction a call. */

enum kw_err spool_offer(struct spool *spool, const struct spool_offer_key *key, struct spool_offer *out)
{
	uint8_t tag[SPOOL_TAG_SIZE];
	uint64_t number = key->number;
	struct kw_view row;
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	if (number == 0) {
		err = spool_tag(spool, KW_VIEW_OF(key->id->bytes), tag);
		if (err == KW_OK)
			err = spool_get(spool, txn, T_OFFERID, KW_VIEW_OF(tag), &row);
		if (err == KW_OK)
			number = row.size == 8 ? kw_get_u64(row.data) : 0;
	}
	if (err == KW_OK)
		err = spool_offer_get(spool, txn, number, out);
	mdb_txn_abort(txn);
	return err;
}

enum kw_err spool_offers(struct spool *spool, bool (*each)(void *user, const struct spool_offer *offer), void *user)
{
	MDB_cursor *cursor = NULL;
	MDB_txn *txn;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OFFERS], &cursor));
	int rc = err == KW_OK ? mdb_cursor_get(cursor, &k, &v, MDB_LAST) : MDB_NOTFOUND;
	for (bool more = true; more && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV)) {
		struct spool_offer offer;

		if (k.mv_size == 8 && spool_offer_get(spool, txn, kw_get_u64(k.mv_data), &offer) == KW_OK)
			more = each(user, &offer);
		else
			spool->damaged_reads++;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_offers_unclaimed(struct spool *spool, int64_t now_ms,
	bool (*each)(void *user, const struct spool_offer *offer), void *user)
{
	MDB_cursor *cursor = NULL;
	MDB_txn *txn;
	MDB_val k;
	MDB_val v;
	bool more = true;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OFFERDUE], &cursor));
	int rc = err == KW_OK ? mdb_cursor_get(cursor, &k, &v, MDB_FIRST) : MDB_NOTFOUND;
	while (more && rc == 0 && k.mv_size == SPOOL_OFFER_DUE_SIZE) {
		const uint8_t *key = k.mv_data;
		uint8_t past[SPOOL_OFFER_DUE_SIZE] = {SPOOL_OFFER_DUE_UNCLAIMED};
		struct spool_offer offer;
		bool late = (int64_t)kw_get_u64(key + 1) <= now_ms;

		if (key[0] > SPOOL_OFFER_DUE_UNCLAIMED)
			break;
		/* One whose time has just passed counts before the sweep comes to it; of one that waits for a person's choice
		 * the claims' own threads tell. */
		if ((key[0] == SPOOL_OFFER_DUE_UNCLAIMED || late) &&
			spool_offer_get(spool, txn, kw_get_u64(key + 9), &offer) == KW_OK && offer.core.winner == AGT_OFFER_NOBODY)
			more = each(user, &offer);
		bool pass = key[0] < SPOOL_OFFER_DUE_UNCLAIMED && !late; /* what follows of its kind is not late either */
		if (pass)
			k = (MDB_val){.mv_size = sizeof(past), .mv_data = past};
		rc = mdb_cursor_get(cursor, &k, &v, pass ? MDB_SET_RANGE : MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
