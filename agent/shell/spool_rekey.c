#include "agent/shell/spool_rekey.h"

#include <string.h>

#include "agent/shell/spool_inner.h"
#include "agent/shell/spool_scan.h"

/* A notice says key_gone → the row leaves the outbox and its number stands in the table → the agent asks for fresh keys, seals,
 * appends → in that transaction the number leaves the table and the item gets its new envelope. A crash anywhere leaves it in the
 * table or in the outbox, never in both, and the item's mark is as durable as the row.
 *
 * What may come between: consent is withdrawn (the content is gone), the message expires, its agency is shut out. Then it is a
 * dead letter, with the reason key_gone. */

#define ROW_SIZE_MIN (9u + KW_KEY_ID_SIZE_MIN)
#define ROW_SIZE_MAX (9u + KW_KEY_ID_SIZE_MAX)

/* Class ‖ expiry of the row ‖ of the envelope ‖ key id. */
static enum kw_err put_row(struct spool *spool, MDB_txn *txn, const struct spool_place *place, const struct spool_out_row *row)
{
	struct kw_envelope envelope;
	uint8_t key[8];
	uint8_t bytes[ROW_SIZE_MAX];
	enum kw_err err = kw_envelope_parse(row->envelope, &envelope);

	if (err != KW_OK || envelope.key_id.size > KW_KEY_ID_SIZE_MAX)
		return KW_ECORRUPT;
	kw_put_u64(key, place->number);
	bytes[0] = (uint8_t)place->msg_class;
	kw_put_u32(bytes + 1, row->expiry_hour);
	kw_put_u32(bytes + 5, envelope.label.expiry_hour);
	memcpy(bytes + 9, envelope.key_id.data, envelope.key_id.size);
	return spool_put(spool, txn, T_REKEY, KW_VIEW_OF(key), KW_VIEW(bytes, 9 + envelope.key_id.size));
}

static enum kw_err read_row(struct kw_view bytes, struct spool_rekey *out)
{
	if (bytes.size < ROW_SIZE_MIN || bytes.size > ROW_SIZE_MAX || bytes.data[0] >= KW_MSG_CLASS_COUNT)
		return KW_ECORRUPT;
	out->msg_class = (enum kw_msg_class)bytes.data[0];
	out->row_expiry_hour = kw_get_u32(bytes.data + 1);
	out->expiry_hour = kw_get_u32(bytes.data + 5);
	return kw_key_id_from(KW_VIEW(bytes.data + 9, bytes.size - 9), &out->key_id);
}

enum kw_err spool_rekey_note(struct spool *spool, MDB_txn *txn, struct spool_op *op, const struct spool_place *place,
	bool *noted)
{
	const struct kw_frame_notice *notice = &op->u.notice.notice;
	uint8_t key[9];
	struct kw_view payload;
	struct spool_out_row row;
	struct spool_item item;

	*noted = false;
	if (notice->reason != KW_EKEYGONE || place->number == 0)
		return KW_OK;
	spool_out_key(place->msg_class, place->sequence, key);
	enum kw_err err = spool_item_get(spool, txn, place->number, &item);
	if (err != KW_OK || item.rekeyed || (item.state != SPOOL_QUEUED && item.state != SPOOL_HELD))
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	err = spool_get(spool, txn, T_OUT, KW_VIEW_OF(key), &payload);
	/* Put off: it leaves again as it is, and this is heard again. */
	*noted = err == KW_ENOTFOUND;
	if (err == KW_OK)
		err = spool_out_decode(payload, &row);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	err = put_row(spool, txn, place, &row);
	if (err != KW_OK)
		return err == KW_ECORRUPT ? KW_OK : err;
	item.rekeyed = true;
	err = spool_turn(spool, txn, &item, SPOOL_QUEUED);
	if (err == KW_OK)
		err = spool_leave(spool, txn, place, op);
	/* A second notice about the same envelope finds nothing. */
	if (err == KW_OK)
		err = spool_del(spool, txn, T_ENV, KW_VIEW_OF(notice->envelope_id.bytes), NULL);
	*noted = err == KW_OK;
	op->rekey = op->rekey || *noted;
	return err;
}

static enum kw_err erased(struct spool *spool, MDB_txn *txn, const struct spool_item *item, bool *out)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, key);

	return err != KW_OK ? err : spool_erasure_is_done(spool, txn, key, out);
}

/* The new envelope takes the old one's place. */
static enum kw_err move_over(struct spool *spool, MDB_txn *txn, const struct spool_op *op, struct spool_item *item)
{
	enum kw_err err = spool_forget_tracks(spool, txn, &item->envelope_id);

	item->envelope_id = op->u.append.envelope_id;
	item->digest = op->u.append.rekey_digest;
	if (err == KW_OK)
		err = spool_item_put(spool, txn, item);
	return err != KW_OK ? err
		: spool_proof_put(spool, txn, &(struct spool_proof){.number = item->number, .bytes = kw_buf_view(&op->proof)});
}

enum kw_err spool_rekey_take(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_place place = {.msg_class = op->u.append.msg_class, .sequence = op->u.append.sequence};
	struct spool_item item;
	uint8_t key[8];
	bool had = false;
	bool gone = false;

	if (!op->u.append.rekey)
		return KW_OK;
	kw_put_u64(key, op->u.append.retry_number);
	enum kw_err err = spool_del(spool, txn, T_REKEY, KW_VIEW_OF(key), &had);
	if (err == KW_OK)
		err = spool_item_get(spool, txn, op->u.append.retry_number, &item);
	if (err == KW_OK)
		err = erased(spool, txn, &item, &gone);
	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	if (err == KW_OK && had && !gone && item.state == SPOOL_QUEUED)
		return move_over(spool, txn, op, &item);
	op->fault = AGT_FAULT_STATE;
	if (err == KW_OK && had)
		err = spool_bury(spool, txn, item.number, KW_EKEYGONE, SPOOL_END_LOST);
	else
		err = KW_OK;
	return err != KW_OK ? err : spool_gone_add(op, &place);
}

enum kw_err spool_run_unrekey(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint8_t key[8];
	bool had = false;
	struct spool_item item;

	spool->now_ms = op->u.unrekey.now_ms;
	kw_put_u64(key, op->u.unrekey.number);
	enum kw_err err = spool_del(spool, txn, T_REKEY, KW_VIEW_OF(key), &had);
	if (err != KW_OK || !had)
		return err;
	err = spool_item_get(spool, txn, op->u.unrekey.number, &item);
	if (err == KW_OK)
		err = spool_forget_tracks(spool, txn, &item.envelope_id);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	return spool_bury(spool, txn, op->u.unrekey.number, KW_EKEYGONE, SPOOL_END_LOST);
}

/* What a row needs to be sealed again; a part that cannot be read is empty. */
static enum kw_err load(struct spool *spool, MDB_txn *txn, struct spool_rekey *out, struct kw_buf *content, struct kw_buf *tracks)
{
	uint8_t key[8];
	struct kw_buf blob;

	kw_put_u64(key, out->item.number);
	kw_buf_init(&blob, KW_FRAME_SIZE_MAX * 2);
	enum kw_err err = spool_get_sealed(spool, txn, T_SENTBODY, KW_VIEW_OF(key), &blob);
	if (err == KW_OK)
		err = spool_content_get(spool, txn, (struct spool_content_place){T_SENTBODY, KW_VIEW_OF(key), &out->item},
			kw_buf_view(&blob), content);
	kw_buf_fini(&blob);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		err = KW_OK;
	if (err == KW_OK)
		err = spool_get_sealed(spool, txn, T_TRACKS, KW_VIEW_OF(out->item.envelope_id.bytes), tracks);
	out->content = kw_buf_view(content);
	out->tracks = kw_buf_view(tracks);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

struct walk {
	struct spool *spool;
	MDB_txn *txn;
	bool (*each)(void *user, const struct spool_rekey *rekey);
	void *user;
	bool on;
};

static enum kw_err hand_over(struct walk *walk, const MDB_val *key, const MDB_val *value)
{
	struct spool *spool = walk->spool;
	struct spool_rekey rekey = {.row_expiry_hour = 0};
	struct kw_view row;
	struct kw_buf content;
	struct kw_buf tracks;

	kw_buf_init(&content, KW_FRAME_SIZE_MAX * 2);
	kw_buf_init(&tracks, KW_FRAME_SIZE_MAX);
	enum kw_err err = key->mv_size == 8 ? spool_check(T_REKEY, KW_VIEW(key->mv_data, key->mv_size), value, &row) : KW_ECORRUPT;
	if (err == KW_OK)
		err = read_row(row, &rekey);
	if (err == KW_OK)
		err = spool_item_get(spool, walk->txn, kw_get_u64(key->mv_data), &rekey.item);
	if (err == KW_OK)
		err = load(spool, walk->txn, &rekey, &content, &tracks);
	if (err == KW_OK)
		walk->on = walk->each(walk->user, &rekey);
	else
		spool->damaged_reads++;
	kw_buf_fini(&content);
	kw_buf_fini(&tracks);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT || err == KW_EFIELD ? KW_OK : err;
}

enum kw_err spool_rekeys(struct spool *spool, bool (*each)(void *user, const struct spool_rekey *rekey), void *user)
{
	struct walk walk = {.spool = spool, .each = each, .user = user, .on = true};
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_read_begin(spool, &walk.txn);

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(walk.txn, spool->tables[T_REKEY], &cursor));
	if (err != KW_OK) {
		mdb_txn_abort(walk.txn);
		return err;
	}
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	while (err == KW_OK && walk.on && rc == 0) {
		err = hand_over(&walk, &k, &v);
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(walk.txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
