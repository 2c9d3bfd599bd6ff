#include <string.h>

#include "agent/shell/spool_inner.h"
#include "proto/wire/crypt.h"

/* What arrives, run by the writer: messages, receipts, notices; and what the caller has seen.
 *
 * The cursor, the effect and the receipt that is due are one transaction, so a crash anywhere leaves all or nothing, and
 * the digest in the seen-set makes the effect exactly one however often the message comes. */

#define HOUR_MS 3600000
#define SEEN_KEEP_HOURS 48u
#define RETRY_MIN_MS 1000u
#define RETRY_FULL_MS 60000u /* the other side waits for an earlier message of ours */
/* A message that the hub puts off again and again waits longer each time, a quarter of its age: each try costs the link the whole
 * envelope. What is urgent is tried more often. */
#define RETRY_MAX_MS 3600000
#define RETRY_URGENT_MAX_MS 300000

static enum kw_err put_cursor(struct spool *spool, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	spool->numbers[N_CURSOR_EPOCH + msg_class] = cursor.epoch;
	spool->numbers[N_CURSOR_SEQ + msg_class] = cursor.sequence;
	return KW_OK;
}

/* Agency ‖ digest ‖ envelope id ‖ failure ‖ opened ‖ at ‖ thread id ‖ its kind, 0 when the hub need not know ‖ risk ‖ urgent. */
enum kw_err spool_put_due(struct spool *spool, MDB_txn *txn, const struct spool_due *due)
{
	const struct spool_item *item = due->item;
	uint8_t plain[SPOOL_DUE_SIZE] = {0};
	uint8_t key[8];

	memcpy(plain, item->agency.text, 64);
	memcpy(plain + 64, item->digest.bytes, KW_DIGEST_SIZE);
	memcpy(plain + 96, item->envelope_id.bytes, KW_ID_SIZE);
	plain[112] = (uint8_t)due->failure;
	plain[113] = due->decided ? 2 : due->opened; /* of an agent before it, anything but 0 is opened */
	kw_put_u64(plain + 114, (uint64_t)item->at_ms);
	memcpy(plain + 122, item->thread_id.bytes, KW_ID_SIZE);
	if (due->act != NULL) {
		plain[138] = (uint8_t)due->act->kind;
		plain[139] = (uint8_t)due->act->risk;
	}
	plain[140] = due->urgent;
	kw_put_u64(key, spool->numbers[N_NEXT_DUE]++);
	return spool_put_sealed(spool, txn, T_DUE, KW_VIEW_OF(key), KW_VIEW_OF(plain));
}

static enum kw_err put_seen(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint8_t until[4];
	uint8_t key[4 + KW_DIGEST_SIZE];
	uint32_t hour = op->u.receive.expiry_hour;
	enum kw_err err;

	hour = hour > UINT32_MAX - SEEN_KEEP_HOURS ? UINT32_MAX : hour + SEEN_KEEP_HOURS;
	kw_put_u32(until, hour);
	err = spool_put(spool, txn, T_SEEN, KW_VIEW_OF(op->u.receive.item.digest.bytes), KW_VIEW_OF(until));
	if (err != KW_OK)
		return err;
	kw_put_u32(key, hour);
	memcpy(key + 4, op->u.receive.item.digest.bytes, KW_DIGEST_SIZE);
	return spool_put(spool, txn, T_SEENEXP, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
}

enum kw_err spool_put_inbox(struct spool *spool, MDB_txn *txn, struct spool_op *op, const struct spool_item *item,
	struct kw_view id)
{
	struct kw_buf plain;
	uint8_t head[SPOOL_ITEM_SIZE];
	uint8_t number[8];
	enum kw_err err;

	op->number = spool->numbers[N_NEXT_INBOX]++;
	kw_put_u64(number, op->number);
	spool_item_encode(item, head);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = kw_buf_add(&plain, KW_VIEW_OF(head));
	if (err == KW_OK)
		err = spool_content_put(spool, txn, (struct spool_content_place){T_INBOX, KW_VIEW_OF(number), item},
			kw_buf_view(&op->content), &plain);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_INBOX, KW_VIEW_OF(number), kw_buf_view(&plain));
	kw_buf_fini(&plain);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_INID, id, KW_VIEW_OF(number));
	if (err == KW_OK)
		err = spool_put(spool, txn, T_INNEW, KW_VIEW_OF(number), KW_VIEW(NULL, 0));
	spool->numbers[N_COUNTS + SPOOL_COUNT_RECEIVED]++;
	spool->numbers[N_COUNTS + SPOOL_COUNT_NEW]++;
	return err;
}

static uint32_t retry_wait(const struct spool *spool, const struct spool_place *place, uint32_t asked, int64_t since_ms)
{
	int64_t wait = (spool->now_ms - since_ms) / 4;
	int64_t max = place->msg_class == KW_URGENT ? RETRY_URGENT_MAX_MS : RETRY_MAX_MS;

	wait = wait > max ? max : wait; /* a clock that was set back makes it negative: as asked */
	wait = wait < (int64_t)asked ? (int64_t)asked : wait;
	return wait < (int64_t)RETRY_MIN_MS ? RETRY_MIN_MS : (uint32_t)wait;
}

/* The hub, or its recipient, could not take the row now: it waits in the retry table, and its lane does not. */
static enum kw_err put_off(struct spool *spool, MDB_txn *txn, struct spool_op *op, const struct spool_place *place,
	uint32_t asked)
{
	uint8_t key[16];
	uint8_t out_key[9];
	struct kw_view payload;
	struct kw_buf bytes;
	uint64_t number = place->number;
	struct spool_item item = {.at_ms = spool->now_ms};
	uint32_t spread;
	enum kw_err err;

	spool_out_key(place->msg_class, place->sequence, out_key);
	err = spool_get(spool, txn, T_OUT, KW_VIEW_OF(out_key), &payload);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	/* Spread over half as long again: rows that come back all at once fill the queue again at once. */
	err = kw_random(&spread, sizeof(spread));
	if (err != KW_OK)
		return err;
	enum kw_err known = number != 0 ? spool_item_get(spool, txn, number, &item) : KW_ENOTFOUND;
	uint32_t wait = retry_wait(spool, place, asked, known == KW_OK ? item.at_ms : spool->now_ms);
	kw_put_u64(key, (uint64_t)spool->now_ms + wait + spread % (wait / 2 + 1));
	/* A receipt has no number; any that is free keeps its key apart. */
	kw_put_u64(key + 8, number != 0 ? number : spool->numbers[N_NEXT_ITEM]++);
	kw_buf_init(&bytes, payload.size + 1);
	err = kw_buf_add_u8(&bytes, (uint8_t)place->msg_class);
	if (err == KW_OK)
		err = kw_buf_add(&bytes, payload);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_RETRY, KW_VIEW_OF(key), kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
	if (err == KW_OK)
		err = spool_leave(spool, txn, place, op);
	if (err == KW_OK && known == KW_OK && item.state == SPOOL_HELD)
		return spool_turn(spool, txn, &item, SPOOL_QUEUED);
	if (err == KW_OK && known != KW_OK && known != KW_ENOTFOUND && known != KW_ECORRUPT)
		return known;
	return err;
}

/* One entry of a receipt about a message of ours. It counts only from the agency that the message was for, and only for
 * the very envelope. */
static enum kw_err apply_receipt(struct spool *spool, MDB_txn *txn, struct spool_op *op,
	const struct spool_receipt *receipt)
{
	struct spool_place place;
	struct spool_item item;
	enum kw_err err = spool_place_get(spool, txn, &receipt->envelope_id, &place);

	if (err == KW_OK && place.number == 0)
		return KW_OK;
	if (err == KW_OK)
		err = spool_item_get(spool, txn, place.number, &item);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK;
	if (err != KW_OK)
		return err;
	if (!kw_name_equal(&item.agency, &op->u.receive.item.agency) ||
		memcmp(item.digest.bytes, receipt->digest.bytes, KW_DIGEST_SIZE) != 0) {
		op->strangers++;
		return KW_OK;
	}
	/* There is no room for it there yet: the same envelope again, in the same place of its thread. */
	if (receipt->failure == KW_EFULL && (item.state == SPOOL_QUEUED || item.state == SPOOL_HELD))
		return put_off(spool, txn, op, &place, RETRY_FULL_MS);
	err = spool_leave(spool, txn, &place, op);
	if (err == KW_OK)
		err = spool_forget_tracks(spool, txn, &receipt->envelope_id);
	if (err == KW_OK)
		err = spool_receipt_keep(spool, txn, op, receipt, &item);
	if (err != KW_OK)
		return err;
	if (receipt->failure != KW_OK)
		return spool_bury(spool, txn, place.number, receipt->failure, SPOOL_END_REFUSED);
	return spool_arrived(spool, txn, &item, receipt);
}

static enum kw_err set_aside(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint8_t key[8];
	enum kw_err err;

	spool->numbers[N_COUNTS + SPOOL_COUNT_UNOPENED]++;
	kw_put_u64(key, spool->numbers[N_NEXT_ASIDE]++);
	err = spool_put(spool, txn, T_ASIDE, KW_VIEW_OF(key), KW_VIEW(op->box->data, op->box->size));
	if (err != KW_OK || spool->numbers[N_NEXT_ASIDE] - spool->numbers[N_FIRST_ASIDE] <= SPOOL_ASIDE_MAX)
		return err;
	kw_put_u64(key, spool->numbers[N_FIRST_ASIDE]++);
	return spool_del(spool, txn, T_ASIDE, KW_VIEW_OF(key), NULL);
}

/* True in *repeat when the envelope, or the message in another envelope, has been here. id: message id ‖ tag(agency). */
static enum kw_err seen_before(struct spool *spool, MDB_txn *txn, const struct spool_op *op, struct kw_view id,
	bool *repeat)
{
	struct kw_view payload;
	enum kw_err err = spool_get(spool, txn, T_SEEN, KW_VIEW_OF(op->u.receive.item.digest.bytes), &payload);

	if (err == KW_ENOTFOUND && op->u.receive.arrival == SPOOL_MESSAGE)
		err = spool_get(spool, txn, T_INID, id, &payload);
	*repeat = err == KW_OK || err == KW_ECORRUPT; /* a damaged row was a row */
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* A message that is not a receipt and not a repeat: its place in a thread, its place in the inbox, and the receipts that
 * both make due. One that its thread refuses is not put into the inbox: it does not count. */
static enum kw_err take_message(struct spool *spool, MDB_txn *txn, struct spool_op *op, struct kw_view id)
{
	const struct spool_act *act = &op->u.receive.act;
	struct spool_move move = {.item = &op->u.receive.item,
		.act = act,
		.number = spool->numbers[N_NEXT_INBOX],
		.now_ms = op->u.receive.item.at_ms};
	bool threaded = op->u.receive.arrival == SPOOL_MESSAGE && act->kind != KW_THREAD_NONE;
	enum agt_thread_verdict verdict = AGT_THREAD_APPLY;
	uint64_t follows = spool->numbers[N_NEXT_FOLLOW];
	enum kw_err err = spool_gaps_take(spool, txn, &move, op);

	if (err == KW_OK)
		err = threaded ? spool_thread_theirs(spool, txn, &move, &verdict) : spool_gap_unreadable(spool, txn, &move);

	/* Too many wait: as if it had not come yet, and its author is told to send it again. */
	bool full = err == KW_EFULL;
	if (full)
		err = spool_del(spool, txn, T_SEEN, KW_VIEW_OF(move.item->digest.bytes), NULL);
	if (err == KW_OK && (full || verdict == AGT_THREAD_ILLEGAL)) {
		op->u.receive.arrival = SPOOL_REFUSED;
		op->u.receive.failure = full ? KW_EFULL : KW_EILLEGAL;
	}
	if (err == KW_OK && op->u.receive.arrival == SPOOL_MESSAGE && op->u.receive.erasure != NULL)
		err = spool_erasure_take(spool, txn, op);
	if (err == KW_OK && op->u.receive.arrival == SPOOL_MESSAGE)
		err = spool_put_inbox(spool, txn, op, move.item, id);
	if (err == KW_OK && op->u.receive.arrival == SPOOL_MESSAGE)
		err = spool_service_taken(spool, txn, op);
	if (err == KW_OK && op->u.receive.arrival == SPOOL_MESSAGE)
		err = spool_clock_consent(spool, txn, &move);
	if (err == KW_OK && op->u.receive.arrival == SPOOL_MESSAGE)
		err = spool_put_named(spool, txn, op);
	/* Until its turn has come nobody can say whether it is good: its author hears that it is here (R1). */
	if (err == KW_OK)
		err = spool_put_due(spool, txn, &(struct spool_due){.item = move.item,
			.act = threaded && act->opening && op->u.receive.failure == KW_OK ? act : NULL,
			.failure = op->u.receive.failure,
			.opened = op->u.receive.failure == KW_OK && verdict != AGT_THREAD_EARLY,
			.urgent = op->u.receive.msg_class == KW_URGENT});
	if (err == KW_OK && threaded && !full)
		err = spool_thread_drain(spool, txn, &move);
	op->follow = op->follow || spool->numbers[N_NEXT_FOLLOW] != follows;
	return err;
}

enum kw_err spool_run_receive(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint8_t id[KW_ID_SIZE + SPOOL_TAG_SIZE];
	enum spool_arrival arrival = op->u.receive.arrival;
	enum kw_err err = put_cursor(spool, op->u.receive.msg_class, op->u.receive.cursor);

	spool->now_ms = op->u.receive.item.at_ms;
	if (err != KW_OK || arrival == SPOOL_UNOPENED)
		return err != KW_OK ? err : set_aside(spool, txn, op);
	memcpy(id, op->u.receive.item.message_id.bytes, KW_ID_SIZE);
	err = spool_tag(spool, spool_name_view(&op->u.receive.item.agency), id + KW_ID_SIZE);
	if (err == KW_OK)
		err = seen_before(spool, txn, op, KW_VIEW_OF(id), &op->repeat);
	if (err != KW_OK)
		return err;
	if (op->repeat)
		spool->numbers[N_COUNTS + SPOOL_COUNT_REPEATS]++;
	else
		err = put_seen(spool, txn, op);
	for (uint32_t i = 0; err == KW_OK && !op->repeat && i < op->u.receive.receipts_count; i++)
		err = apply_receipt(spool, txn, op, &op->u.receive.receipts[i]);
	if (err == KW_OK && arrival == SPOOL_RECEIPT && !op->repeat)
		return spool_gaps_take(spool, txn,
			&(struct spool_move){.item = &op->u.receive.item, .act = &op->u.receive.act, .now_ms = op->u.receive.item.at_ms}, op);
	if (err != KW_OK || arrival == SPOOL_RECEIPT)
		return err;
	if (!op->repeat)
		return take_message(spool, txn, op, KW_VIEW_OF(id));
	/* Who repeats has no receipt yet. */
	return spool_put_due(spool, txn, &(struct spool_due){.item = &op->u.receive.item,
		.failure = op->u.receive.failure,
		.opened = op->u.receive.failure == KW_OK,
		.urgent = op->u.receive.msg_class == KW_URGENT});
}

/* A hub's reminder: an item of the inbox, like a message; and what it knows of the thread that we cannot know, as that it
 * expired. */
static enum kw_err take_reminder(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_item *item = &op->u.notice.item;
	struct spool_move move = {.item = item, .act = &op->u.notice.act, .now_ms = op->u.notice.now_ms};
	uint8_t id[KW_ID_SIZE + SPOOL_TAG_SIZE];
	enum kw_err err;

	memcpy(id, item->message_id.bytes, KW_ID_SIZE);
	err = spool_tag(spool, spool_name_view(&item->agency), id + KW_ID_SIZE);
	if (err == KW_OK)
		err = spool_put_inbox(spool, txn, op, item, KW_VIEW_OF(id));
	if (err == KW_OK)
		err = spool_thread_hub(spool, txn, &move);
	return err != KW_OK ? err : spool_thread_reminded(spool, txn, op);
}

/* A hub's last word about a message of ours: that it cannot arrive any more, or that it was under way when it expired. One that
 * has lost its memory since knows of its second life only. */
static enum kw_err hub_ends(struct spool *spool, MDB_txn *txn, uint64_t number, enum kw_err reason)
{
	struct spool_item item = {.passed = false};
	enum kw_err err = reason == KW_EEXPIRED ? spool_item_get(spool, txn, number, &item) : KW_OK;

	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	reason = item.passed ? KW_EUNCONFIRMED : reason;
	bool unsure = reason == KW_EUNCONFIRMED;
	err = spool_bury(spool, txn, number, reason, unsure ? SPOOL_END_UNSURE : SPOOL_END_LOST);

	if (err != KW_OK || !unsure)
		return err;
	err = spool_item_get(spool, txn, number, &item);
	if (err == KW_OK && item.state == SPOOL_DEAD && item.reason == KW_EUNCONFIRMED)
		err = spool_thread_void(spool, txn, &item, SPOOL_END_UNSURE);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_run_notice(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct kw_frame_notice *notice = &op->u.notice.notice;
	struct spool_place place;
	enum kw_err err = put_cursor(spool, KW_CONTROL, op->u.notice.cursor);

	spool->now_ms = op->u.notice.now_ms;
	if (err == KW_OK && op->content.size > 0)
		return take_reminder(spool, txn, op);
	if (err == KW_OK)
		err = spool_place_get(spool, txn, &notice->envelope_id, &place);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	if (notice->retry_after_ms != 0)
		return put_off(spool, txn, op, &place, notice->retry_after_ms);
	err = spool_leave(spool, txn, &place, op);
	if (err == KW_OK)
		err = spool_forget_tracks(spool, txn, &notice->envelope_id);
	if (err == KW_OK && place.number != 0)
		return hub_ends(spool, txn, place.number, notice->reason);
	return err != KW_OK ? err : spool_del(spool, txn, T_ENV, KW_VIEW_OF(notice->envelope_id.bytes), NULL);
}

/* Takes all items of a message id off a list. */
static enum kw_err ack_list(struct spool *spool, MDB_txn *txn, enum spool_table index, const struct kw_id *id,
	uint32_t *changed)
{
	enum spool_table list = index == T_INID ? T_INNEW : T_DEAD;
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = KW_ID_SIZE, .mv_data = (void *)(uintptr_t)id->bytes};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[index], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size >= KW_ID_SIZE && memcmp(k.mv_data, id->bytes, KW_ID_SIZE) == 0) {
		struct kw_view number;
		bool had = false;

		if (spool_check(index, KW_VIEW(k.mv_data, k.mv_size), &v, &number) == KW_OK)
			err = spool_del(spool, txn, list, number, &had);
		*changed += had;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

static void lower(uint64_t *count, uint32_t by)
{
	*count = *count > by ? *count - by : 0;
}

enum kw_err spool_run_ack(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint32_t fresh = 0;
	uint32_t dead = 0;
	enum kw_err err = KW_OK;

	for (uint32_t i = 0; err == KW_OK && i < op->u.ack.ids_count; i++) {
		err = ack_list(spool, txn, T_INID, &op->u.ack.ids[i], &fresh);
		if (err == KW_OK)
			err = ack_list(spool, txn, T_SENTID, &op->u.ack.ids[i], &dead);
	}
	lower(&spool->numbers[N_COUNTS + SPOOL_COUNT_NEW], fresh);
	lower(&spool->numbers[N_COUNTS + SPOOL_COUNT_DEAD], dead);
	op->count = fresh + dead;
	return err;
}

/* u8 size ‖ local id ‖ registration, under a key of its own. */
static enum kw_err put_record(struct spool *spool, MDB_txn *txn, struct kw_view key, struct kw_view local_id,
	const struct kw_buf *record)
{
	struct spool_vault_id id;
	struct kw_buf row;
	enum kw_err err = spool_vault_registration(spool, local_id, &id);

	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	if (err == KW_OK)
		err = spool_content_seal(spool, &id, (struct spool_content_place){.table = T_REG, .key = key}, kw_buf_view(record), &row);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_REG, key, kw_buf_view(&row));
	kw_buf_fini(&row);
	return err;
}

/* KW_ENOTFOUND; out stays empty when its key is destroyed. */
static enum kw_err get_record(struct spool *spool, MDB_txn *txn, struct kw_view key, struct kw_view local_id,
	struct kw_buf *out)
{
	struct spool_vault_id id;
	struct kw_buf row;
	enum kw_err err = spool_vault_registration(spool, local_id, &id);

	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	if (err == KW_OK)
		err = spool_get_sealed(spool, txn, T_REG, key, &row);
	if (err == KW_OK)
		err = spool_content_open(spool, &id, (struct spool_content_place){.table = T_REG, .key = key}, kw_buf_view(&row), out);
	kw_buf_fini(&row);
	return err;
}

enum kw_err spool_run_register(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct kw_view local_id = KW_VIEW(op->u.registration.local_id, op->u.registration.local_id_size);
	uint8_t key[SPOOL_TAG_SIZE];
	struct kw_buf old;
	struct kw_buf record;
	enum kw_err err = spool_tag(spool, local_id, key);

	if (err != KW_OK)
		return err;
	kw_buf_init(&old, KW_FRAME_SIZE_MAX * 2);
	kw_buf_init(&record, KW_FRAME_SIZE_MAX * 2);
	err = kw_buf_add_u8(&record, (uint8_t)local_id.size);
	if (err == KW_OK)
		err = kw_buf_add(&record, local_id);
	if (err == KW_OK)
		err = kw_buf_add(&record, kw_buf_view(&op->content));
	if (err != KW_OK)
		goto out;
	err = get_record(spool, txn, KW_VIEW_OF(key), local_id, &old);
	if (err == KW_OK && kw_view_equal(kw_buf_view(&old), kw_buf_view(&record))) {
		op->repeat = true;
		goto out;
	}
	if (err == KW_ENOTFOUND)
		spool->numbers[N_COUNTS + SPOOL_COUNT_REGISTRATIONS]++;
	else if (err != KW_OK && err != KW_ECORRUPT)
		goto out;
	err = put_record(spool, txn, KW_VIEW_OF(key), local_id, &record);
out:
	kw_buf_fini(&old);
	kw_buf_fini(&record);
	return err;
}
