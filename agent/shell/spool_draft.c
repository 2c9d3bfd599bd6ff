#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_scan.h"
#include "agent/shell/spool_thread_inner.h"

/* The referral of an offer until it is sent: a content of no thread yet, so it has a key of its own in the vault. Where it goes
 * its key is put on the list of those to be destroyed in the same transaction (spool_shred.c), so that no copy of the file,
 * no freed page and no restart brings it back. */

enum kw_err spool_draft_put(struct spool *spool, MDB_txn *txn, uint64_t number, struct kw_view referral)
{
	struct spool_vault_id id;
	struct kw_buf sealed;
	uint8_t key[8];

	kw_put_u64(key, number);
	spool_vault_offer(number, &id);
	kw_buf_init(&sealed, KW_FRAME_SIZE_MAX * 2);
	enum kw_err err = spool_content_seal(spool, &id,
		(struct spool_content_place){.table = T_OFFERBODY, .key = KW_VIEW_OF(key)}, referral, &sealed);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_OFFERBODY, KW_VIEW_OF(key), kw_buf_view(&sealed));
	kw_buf_fini(&sealed);
	return err;
}

enum kw_err spool_draft_shred(struct spool *spool, MDB_txn *txn, uint64_t number)
{
	struct spool_vault_id id;
	uint8_t key[8];
	bool had = false;

	kw_put_u64(key, number);
	spool_vault_offer(number, &id);
	enum kw_err err = spool_del(spool, txn, T_OFFERBODY, KW_VIEW_OF(key), &had);
	if (err != KW_OK || !had)
		return err;
	spool->shreds = true;
	return spool_put(spool, txn, T_SHRED, KW_VIEW(id.bytes, id.size), KW_VIEW(NULL, 0));
}

enum kw_err spool_offer_referral(struct spool *spool, uint64_t number, struct kw_buf *out)
{
	struct spool_vault_id id;
	struct kw_buf sealed;
	uint8_t key[8];
	size_t before = out->size;
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	kw_put_u64(key, number);
	spool_vault_offer(number, &id);
	kw_buf_init(&sealed, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, T_OFFERBODY, KW_VIEW_OF(key), &sealed);
	if (err == KW_OK)
		err = spool_content_open(spool, &id, (struct spool_content_place){.table = T_OFFERBODY, .key = KW_VIEW_OF(key)},
			kw_buf_view(&sealed), out);
	mdb_txn_abort(txn);
	kw_buf_fini(&sealed);
	return err == KW_OK && out->size == before ? KW_ENOTFOUND : err;
}

/* Whether consent for the case was withdrawn after the offer was made. */
static enum kw_err is_withdrawn(struct spool *spool, MDB_txn *txn, const struct spool_offer *offer, bool *out)
{
	static const uint8_t none[SPOOL_CASE_TAG_SIZE];
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_ERASURE], &cursor));

	*out = false;
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; !*out && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_erasure erasure;

		*out = k.mv_size == SPOOL_THREAD_KEY_SIZE && spool_erasure_get(spool, txn, k.mv_data, &erasure) == KW_OK &&
			!erasure.due && erasure.asked_ms >= offer->created_ms &&
			memcmp(erasure.case_tag, none, sizeof(none)) != 0 &&
			memcmp(erasure.case_tag, offer->case_tag, sizeof(none)) == 0;
	}
	mdb_cursor_close(cursor);
	return rc == 0 || rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

enum kw_err spool_draft_reseal(struct spool *spool, MDB_txn *txn, struct kw_view key, struct kw_view plain)
{
	struct spool_offer offer;
	struct spool_act act;
	bool withdrawn = false;

	if (key.size != 8 || plain.size == 0 || spool_content_is_sealed(plain))
		return KW_OK;
	uint64_t number = kw_get_u64(key.data);
	act_of_bytes(plain, &act);
	enum kw_err err = spool_draft_put(spool, txn, number, plain);
	if (err == KW_OK)
		err = spool_offer_get(spool, txn, number, &offer);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_ECORRUPT : err;
	const struct spool_offer before = offer;
	err = spool_case_tag(spool, act.case_ref, offer.case_tag);
	if (err == KW_OK)
		err = spool_offer_put(spool, txn, &offer, &before);
	if (err == KW_OK)
		err = is_withdrawn(spool, txn, &offer, &withdrawn);
	return err != KW_OK || !withdrawn ? err : spool_offer_consent(spool, txn, &offer);
}
