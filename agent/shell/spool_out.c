#include <stdlib.h>
#include <string.h>

#include "agent/shell/spool_inner.h"

/* The outbox, run by the writer: append, what the hub holds, new epochs, expiry.
 *
 * A row stays until its receipt, so that a hub that lost its disk can be served again. Rows that want no receipt
 * (receipts) stay for an hour after the hub has them, because the hub may still say that it could not queue them. */

#define HOUR_MS 3600000
#define RECEIPT_KEEP_MS HOUR_MS

enum kw_err spool_turn(struct spool *spool, MDB_txn *txn, struct spool_item *item, enum spool_state state)
{
	static const enum spool_count counts[] = {[SPOOL_QUEUED] = SPOOL_COUNT_QUEUED,
		[SPOOL_HELD] = SPOOL_COUNT_HELD,
		[SPOOL_DELIVERED] = SPOOL_COUNT_DELIVERED,
		[SPOOL_OPENED] = SPOOL_COUNT_OPENED,
		[SPOOL_DEAD] = SPOOL_COUNT_DEAD};
	uint64_t *was = item->state == 0 ? NULL : &spool->numbers[N_COUNTS + counts[item->state]];

	/* DEAD counts the list, not the state; spool_bury and ack keep it. */
	if (was != NULL && item->state != SPOOL_DEAD && *was > 0)
		(*was)--;
	if (state != SPOOL_DEAD)
		spool->numbers[N_COUNTS + counts[state]]++;
	item->state = state;
	return spool_item_put(spool, txn, item);
}

enum kw_err spool_gone_add(struct spool_op *op, const struct spool_place *place)
{
	if (op->gone_count == SPOOL_GONE_MAX)
		return KW_OK;
	if (op->gone == NULL) {
		op->gone = calloc(SPOOL_GONE_MAX, sizeof(*op->gone));
		if (op->gone == NULL)
			return KW_ENOMEM;
	}
	op->gone[op->gone_count++] = (struct spool_gone){.msg_class = place->msg_class, .sequence = place->sequence};
	return KW_OK;
}

enum kw_err spool_forget_tracks(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id)
{
	return spool_del(spool, txn, T_TRACKS, KW_VIEW_OF(envelope_id->bytes), NULL);
}

enum kw_err spool_leave(struct spool *spool, MDB_txn *txn, const struct spool_place *place, struct spool_op *op)
{
	uint8_t key[9];
	bool had;
	enum kw_err err;

	spool_out_key(place->msg_class, place->sequence, key);
	err = spool_del(spool, txn, T_OUT, KW_VIEW_OF(key), &had);
	return err != KW_OK || !had ? err : spool_gone_add(op, place);
}

/* A new message of a caller: the list of sent ones, its content, and the ways to find it. */
static enum kw_err append_item(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_item *item = &op->u.append.item;
	uint8_t number[8];
	uint8_t id[KW_ID_SIZE + SPOOL_TAG_SIZE];
	struct kw_buf body;
	enum kw_err err;

	item->number = spool->numbers[N_NEXT_ITEM]++;
	op->number = item->number;
	kw_put_u64(number, item->number);
	spool->numbers[N_COUNTS + SPOOL_COUNT_SENT]++;
	item->state = (enum spool_state)0;
	err = spool_turn(spool, txn, item, SPOOL_QUEUED);
	if (err == KW_OK)
		err = spool_proof_put(spool, txn, &(struct spool_proof){.number = item->number, .bytes = kw_buf_view(&op->proof)});
	if (err != KW_OK)
		return err;
	kw_buf_init(&body, KW_FRAME_SIZE_MAX * 2);
	err = spool_content_put(spool, txn, (struct spool_content_place){T_SENTBODY, KW_VIEW_OF(number), item},
		kw_buf_view(&op->content), &body);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_SENTBODY, KW_VIEW_OF(number), kw_buf_view(&body));
	kw_buf_fini(&body);
	if (err == KW_OK)
		err = spool_erasure_sent(spool, txn, item, op->u.append.follow_what);
	if (err != KW_OK)
		return err;
	memcpy(id, item->message_id.bytes, KW_ID_SIZE);
	err = spool_tag(spool, spool_name_view(&item->agency), id + KW_ID_SIZE);
	if (err != KW_OK)
		return err;
	return spool_put(spool, txn, T_SENTID, KW_VIEW_OF(id), KW_VIEW_OF(number));
}

/* What a new message does to its thread, before anything of it is stored. op->fault: it may not go after all, because
 * something arrived since it was asked for; the core is told that there is no such row. */
static enum kw_err append_thread(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_place place = {.msg_class = op->u.append.msg_class, .sequence = op->u.append.sequence};
	struct spool_move move = {.item = &op->u.append.item,
		.act = &op->u.append.act,
		.claim = &op->u.append.claim,
		.number = spool->numbers[N_NEXT_ITEM],
		.now_ms = op->u.append.now_ms};
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	bool erased = false;
	bool may = true;
	enum kw_err err = KW_OK;

	if (!op->u.append.fresh)
		return KW_OK;
	if (op->u.append.follow_key == 0) { /* what the agent says by itself is about the erasure */
		err = spool_thread_key(spool, &move.item->thread_id, &move.item->agency, key);
		if (err == KW_OK)
			err = spool_erasure_is_done(spool, txn, key, &erased);
	} else {
		err = spool_offer_may_refer(spool, txn, op, &may);
	}
	move.case_id = op->u.append.case_id;
	if (err == KW_OK && erased)
		op->fault = AGT_FAULT_ERASED;
	else if (err == KW_OK && !may)
		op->fault = AGT_FAULT_STATE; /* the lease was given back, or consent withdrawn, while it was being written */
	else if (err == KW_OK && op->u.append.act.kind != KW_THREAD_NONE)
		err = spool_thread_ours(spool, txn, &move, op);
	return err != KW_OK || op->fault == AGT_FAULT_NONE ? err : spool_gone_add(op, &place);
}

/* What else changes in the transaction of an append: the retry row it was, the receipts it carries. */
static enum kw_err append_rest(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint8_t retry[16];
	uint8_t due[8];
	enum kw_err err = KW_OK;

	if (op->u.append.retry_ms != 0) {
		kw_put_u64(retry, op->u.append.retry_ms);
		kw_put_u64(retry + 8, op->u.append.retry_number);
		err = spool_del(spool, txn, T_RETRY, KW_VIEW_OF(retry), NULL);
	}
	for (uint32_t i = 0; err == KW_OK && i < op->u.append.due_count; i++) {
		kw_put_u64(due, op->u.append.due_keys[i]);
		err = spool_del(spool, txn, T_DUE, KW_VIEW_OF(due), NULL);
	}
	if (err == KW_OK && op->u.append.retry_ms == 0 && op->box->tracks.size > 0)
		err = spool_put_sealed(spool, txn, T_TRACKS, KW_VIEW_OF(op->u.append.envelope_id.bytes),
			kw_buf_view(&op->box->tracks));
	return err;
}

/* A follow-up leaves its list with the message that it became, and also when the thread does not want it any more. */
static enum kw_err append_follow(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint8_t key[8];

	/* When another message took its place meanwhile it still has to be said, in the next one. */
	if (op->u.append.follow_key == 0 || op->fault == AGT_FAULT_PLACE)
		return KW_OK;
	kw_put_u64(key, op->u.append.follow_key);
	return spool_del(spool, txn, T_FOLLOW, KW_VIEW_OF(key), NULL);
}

enum kw_err spool_run_append(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_out_row row = {.number = op->u.append.retry_number,
		.at_ms = op->u.append.now_ms,
		.envelope_id = op->u.append.envelope_id,
		.expiry_hour = op->u.append.expiry_hour,
		.wants_receipt = op->u.append.wants_receipt,
		.envelope = KW_VIEW(op->box->data, op->box->size)};
	struct spool_place place = {.msg_class = op->u.append.msg_class, .sequence = op->u.append.sequence};
	struct kw_buf bytes;
	uint8_t key[9];

	spool->now_ms = op->u.append.now_ms;
	enum kw_err err = append_thread(spool, txn, op);

	if (spool->numbers[N_NEXT_SEQ + place.msg_class] <= place.sequence)
		spool->numbers[N_NEXT_SEQ + place.msg_class] = place.sequence + 1;
	if (err == KW_OK)
		err = append_follow(spool, txn, op);
	if (err != KW_OK || op->fault != AGT_FAULT_NONE)
		return err;
	if (op->u.append.fresh) {
		err = append_item(spool, txn, op);
		if (err != KW_OK)
			return err;
		row.number = op->number;
	} else if (!row.wants_receipt) {
		row.number = 0; /* a retried receipt stood under a number that only kept its key apart */
	}
	place.number = row.number;
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX + SPOOL_OUT_HEAD_SIZE);
	err = spool_out_encode(&row, &bytes);
	spool_out_key(place.msg_class, place.sequence, key);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_OUT, KW_VIEW_OF(key), kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
	if (err == KW_OK)
		err = spool_place_put(spool, txn, &row.envelope_id, &place);
	if (err == KW_OK)
		err = append_rest(spool, txn, op);
	if (err == KW_OK && op->u.append.fresh)
		err = spool_clock_consent(spool, txn, &(struct spool_move){.item = &op->u.append.item, .act = &op->u.append.act});
	if (err == KW_OK)
		err = spool_decide(spool, txn, op);
	return err != KW_OK ? err : spool_service_sent(spool, txn, op);
}

/* Calls `each` for the out rows of first..last keys; `each` may delete or change any row but must not keep the view. */
static enum kw_err set_state(struct spool *spool, MDB_txn *txn, uint64_t number, enum spool_state state, int64_t now_ms)
{
	struct spool_item item;
	enum kw_err err;

	if (number == 0)
		return KW_OK;
	err = spool_item_get(spool, txn, number, &item);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK; /* a damaged item does not hold up the row */
	if (err != KW_OK || (item.state != SPOOL_QUEUED && item.state != SPOOL_HELD))
		return err;
	/* A hub without its memory: it had this one, or may have had it, because its ack can be lost too. */
	bool passed = item.passed || state == SPOOL_QUEUED;
	if (item.state == state && item.passed == passed)
		return KW_OK;
	if (state == SPOOL_HELD)
		item.held_ms = now_ms;
	item.passed = passed;
	return spool_turn(spool, txn, &item, state);
}

struct walk {
	enum spool_state state;
	int64_t now_ms;
	uint8_t last[9];
};

/* Gives all rows from key `from` to `last` a state. */
static enum kw_err walk_states(struct spool *spool, MDB_txn *txn, uint8_t *from, const struct walk *walk)
{
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = 9, .mv_data = from};
	MDB_val v;
	struct kw_view payload;
	struct spool_out_row row;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OUT], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == 9 && memcmp(k.mv_data, walk->last, 9) <= 0) {
		if (spool_check(T_OUT, KW_VIEW(k.mv_data, k.mv_size), &v, &payload) != KW_OK ||
			spool_out_decode(payload, &row) != KW_OK)
			spool->numbers[N_COUNTS + SPOOL_COUNT_DAMAGED]++;
		else
			err = set_state(spool, txn, row.number, walk->state, walk->now_ms);
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (err == KW_OK && rc != 0 && rc != MDB_NOTFOUND)
		err = spool_mdb(rc);
	return err;
}

enum kw_err spool_run_held(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	enum kw_msg_class msg_class = op->u.held.msg_class;
	uint64_t *held = &spool->numbers[N_HELD_SEQ + msg_class];
	struct walk walk = {.state = SPOOL_HELD, .now_ms = op->u.held.now_ms};
	uint8_t from[9];

	spool_out_key(msg_class, *held + 1, from);
	spool_out_key(msg_class, op->u.held.sequence, walk.last);
	*held = op->u.held.sequence;
	return walk_states(spool, txn, from, &walk);
}

enum kw_err spool_unhold(struct spool *spool, MDB_txn *txn)
{
	struct walk walk = {.state = SPOOL_QUEUED};
	uint8_t from[9] = {0};

	memset(walk.last, 0xff, sizeof(walk.last));
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		spool->numbers[N_HELD_SEQ + c] = 0;
	return walk_states(spool, txn, from, &walk);
}

enum kw_err spool_run_epoch(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	bool first = op->type == SPOOL_OP_EPOCH && spool->numbers[N_HUB_EPOCH] == 0;

	spool->numbers[op->type == SPOOL_OP_EPOCH ? N_HUB_EPOCH : N_EPOCH] = op->u.epoch;
	return first ? KW_OK : spool_unhold(spool, txn);
}

/* What to do with one row of the outbox or the retry table at its sweep: true = it goes. */
static bool is_over(const struct spool *spool, const struct spool_out_row *row, const struct spool_place *place,
	int64_t now_ms)
{
	if (row->expiry_hour != 0 && now_ms / HOUR_MS >= row->expiry_hour)
		return true;
	return !row->wants_receipt && place->sequence <= spool->numbers[N_HELD_SEQ + place->msg_class] &&
	       now_ms - row->at_ms >= RECEIPT_KEEP_MS;
}

static enum kw_err end_row(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id,
	const struct spool_place *place, struct spool_op *op)
{
	enum kw_err err = spool_leave(spool, txn, place, op);

	if (err == KW_OK)
		err = spool_forget_tracks(spool, txn, envelope_id);
	if (err == KW_OK && place->number != 0)
		return spool_expire(spool, txn, place->number);
	return err != KW_OK ? err : spool_del(spool, txn, T_ENV, KW_VIEW_OF(envelope_id->bytes), NULL);
}

/* The expiry walk over the outbox, a slice at a time. */
static enum kw_err sweep_out(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = 9, .mv_data = spool->sweep_key};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OUT], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	for (uint32_t i = 0; err == KW_OK && rc == 0 && i < op->u.sweep.rows_max && op->gone_count < SPOOL_GONE_MAX; i++) {
		struct kw_view payload;
		struct spool_out_row row;
		uint8_t key[9];

		memcpy(key, k.mv_data, sizeof(key));
		memcpy(spool->sweep_key, key, sizeof(key));
		if (spool_check(T_OUT, KW_VIEW_OF(key), &v, &payload) == KW_OK && spool_out_decode(payload, &row) == KW_OK) {
			struct spool_place place = {.number = row.number,
				.msg_class = (enum kw_msg_class)(key[0] % KW_MSG_CLASS_COUNT),
				.sequence = kw_get_u64(key + 1)};
			struct kw_id envelope_id = row.envelope_id;

			if (is_over(spool, &row, &place, op->u.sweep.now_ms))
				err = end_row(spool, txn, &envelope_id, &place, op);
		}
		/* By key, because the row may be gone and the cursor with it. */
		k = (MDB_val){.mv_size = 9, .mv_data = key};
		if (err == KW_OK) {
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
			if (rc == 0 && memcmp(k.mv_data, key, sizeof(key)) == 0)
				rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
		}
	}
	mdb_cursor_close(cursor);
	if (rc == MDB_NOTFOUND)
		memset(spool->sweep_key, 0, sizeof(spool->sweep_key));
	else if (err == KW_OK)
		err = spool_mdb(rc);
	return err;
}

/* Expired ones of the retry table; it is short, so a bounded walk from its start is enough. */
static enum kw_err sweep_retry(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_RETRY], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (uint32_t i = 0; err == KW_OK && rc == 0 && i < op->u.sweep.rows_max; i++) {
		struct kw_view payload;
		struct spool_out_row row;

		if (spool_check(T_RETRY, KW_VIEW(k.mv_data, k.mv_size), &v, &payload) == KW_OK && payload.size > 1 &&
			spool_out_decode(KW_VIEW(payload.data + 1, payload.size - 1), &row) == KW_OK && row.expiry_hour != 0 &&
			op->u.sweep.now_ms / HOUR_MS >= row.expiry_hour) {
			uint64_t number = row.number;
			bool wants_receipt = row.wants_receipt;
			struct kw_id envelope_id = row.envelope_id;

			err = spool_mdb(mdb_cursor_del(cursor, 0));
			if (err == KW_OK)
				err = spool_forget_tracks(spool, txn, &envelope_id);
			if (err == KW_OK && wants_receipt)
				err = spool_expire(spool, txn, number);
		}
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

/* Digests that may be forgotten: no copy of the message can still be on its way. */
static enum kw_err sweep_seen(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_SEENEXP], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (uint32_t i = 0; err == KW_OK && rc == 0 && i < op->u.sweep.rows_max; i++) {
		const uint8_t *key = k.mv_data;

		if (k.mv_size == 4 + KW_DIGEST_SIZE) {
			if (op->u.sweep.now_ms / HOUR_MS < kw_get_u32(key))
				break;
			err = spool_del(spool, txn, T_SEEN, KW_VIEW(key + 4, KW_DIGEST_SIZE), NULL);
		}
		if (err == KW_OK)
			err = spool_mdb(mdb_cursor_del(cursor, 0));
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_run_sweep(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	enum kw_err err;

	spool->now_ms = op->u.sweep.now_ms;
	err = sweep_out(spool, txn, op);
	if (err == KW_OK)
		err = sweep_retry(spool, txn, op);
	if (err == KW_OK)
		err = spool_sweep_early(spool, txn, op);
	if (err == KW_OK)
		err = spool_sweep_recalls(spool, txn, op);
	if (err == KW_OK)
		err = spool_sweep_offers(spool, txn, op->u.sweep.now_ms);
	return err != KW_OK ? err : sweep_seen(spool, txn, op);
}
