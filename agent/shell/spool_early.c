#include <string.h>

#include "agent/shell/spool_thread_inner.h"

/* What the other side says in a thread, run by the writer: in turn, or before its turn. One that is early lies in the inbox
 * like any other, for a person to read, and moves the thread when the places before it are filled. Its author hears that
 * it is stored (R1) at once, and that it was opened or refused only then.
 *
 * A place may stay empty for ever, because its message died on the way or the author lost it. After the longest life of
 * a message the sweep gives it up, and the thread goes on. */

void spool_early_key(const uint8_t *thread_key, uint64_t sequence, uint8_t *out)
{
	memcpy(out, thread_key, SPOOL_THREAD_KEY_SIZE);
	kw_put_u64(out + SPOOL_THREAD_KEY_SIZE, sequence);
}

/* Each agency has its own quota, and a smaller one in threads that do not exist: it shuts out nobody but itself, and does not
 * fill the disk with what never has its turn. Gaps are short rows, and are counted apart. */
enum kw_err spool_early_crowded(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, bool gap, bool *out)
{
	uint8_t thread[SPOOL_THREAD_KEY_SIZE] = {0};
	uint32_t here = 0, all = 0, unknown = 0, gaps = 0;
	bool known = false;
	MDB_cursor *cursor;
	MDB_stat stat;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_stat(txn, spool->tables[T_EARLY], &stat));

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_EARLY], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		const uint8_t *key = k.mv_data;
		struct kw_view there;

		if (k.mv_size != SPOOL_EARLY_KEY_SIZE || memcmp(key + SPOOL_TAG_SIZE, pass->key + SPOOL_TAG_SIZE, SPOOL_TAG_SIZE) != 0)
			continue;
		if (v.mv_size < SPOOL_EARLY_SIZE) {
			gaps++;
			continue;
		}
		if (all++ == 0 || memcmp(thread, key, sizeof(thread)) != 0) {
			memcpy(thread, key, sizeof(thread));
			known = spool_get(spool, txn, T_THREADS, KW_VIEW_OF(thread), &there) != KW_ENOTFOUND;
		}
		unknown += !known;
		here += memcmp(thread, pass->key, sizeof(thread)) == 0;
	}
	mdb_cursor_close(cursor);
	*out = stat.ms_entries >= SPOOL_EARLY_ALL_MAX;
	if (gap)
		*out = *out || gaps >= SPOOL_EARLY_AGENCY_MAX;
	else
		*out = *out || here >= SPOOL_EARLY_MAX || all >= SPOOL_EARLY_AGENCY_MAX ||
		       (!pass->known && unknown >= SPOOL_EARLY_UNKNOWN_MAX);
	return rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

static enum kw_err get_early(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_early *out)
{
	struct kw_buf plain;
	enum kw_err err;

	kw_buf_init(&plain, 4096);
	err = spool_get_sealed(spool, txn, T_EARLY, KW_VIEW(key, SPOOL_EARLY_KEY_SIZE), &plain);
	if (err == KW_OK)
		err = spool_early_decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

/* Lets a message wait. Two messages in one place cannot both have it: the second is refused. What was taken for a gap is none.
 * KW_EFULL: too many wait. */
static enum kw_err put_early(struct spool *spool, MDB_txn *txn, const struct spool_move *move, struct spool_pass *pass)
{
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	uint8_t plain[SPOOL_EARLY_SIZE];
	struct spool_early early = {.act = *move->act, .number = move->number, .at_ms = move->now_ms};
	struct spool_early there;
	bool crowded = false;
	enum kw_err err;

	spool_early_key(pass->key, move->item->thread_sequence, key);
	err = get_early(spool, txn, key, &there);
	if ((err == KW_OK && there.number != 0) || err == KW_ECORRUPT) {
		pass->result.verdict = AGT_THREAD_ILLEGAL;
		return KW_OK;
	}
	if (err == KW_OK || err == KW_ENOTFOUND)
		err = spool_early_crowded(spool, txn, pass, false, &crowded);
	if (err != KW_OK || crowded)
		return err != KW_OK ? err : KW_EFULL;
	spool_early_encode(&early, plain);
	return spool_put_sealed(spool, txn, T_EARLY, KW_VIEW_OF(key), KW_VIEW_OF(plain));
}

/* Who answers has had our opening, whether or not the receipt has come. */
static enum kw_err answered(struct spool *spool, MDB_txn *txn, const struct spool_move *move, const struct spool_pass *pass)
{
	struct spool_receipt receipt = {.at_ms = move->now_ms};
	struct spool_item item;
	struct spool_log log;
	enum kw_err err = spool_log_get(spool, txn, pass->key, 1, &log);

	if (err == KW_OK && log.event.author == AGT_THREAD_OURS && log.number != 0)
		err = spool_item_get(spool, txn, log.number, &item);
	else if (err == KW_OK)
		return KW_OK;
	if (err == KW_OK)
		err = spool_arrived(spool, txn, &item, &receipt);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* What a judged message of theirs leaves behind, but for its receipt. */
static enum kw_err settle(struct spool *spool, MDB_txn *txn, const struct spool_move *move, struct spool_pass *pass)
{
	bool changed = pass->result.verdict == AGT_THREAD_APPLY || (pass->known && pass->result.next.expected !=
		pass->thread.record.expected);
	bool first = pass->known && pass->thread.record.expected == 1 && pass->result.verdict == AGT_THREAD_APPLY;
	enum kw_err err = changed ? spool_pass_keep(spool, txn, move, pass) : KW_OK;

	if (err == KW_OK && first && !move->log_only)
		err = answered(spool, txn, move, pass);
	if (err == KW_OK && !move->log_only)
		err = spool_pass_follow(spool, txn, pass);
	/* The answer to an offer of ours: the one that comes first has it. */
	if (err == KW_OK && !move->log_only && pass->result.verdict == AGT_THREAD_APPLY &&
		pass->event.kind == KW_THREAD_OFFER && pass->thread.record.party == KW_PARTY_OPENER)
		err = spool_offer_event(spool, txn, pass->key,
			pass->event.state == KW_OFFER_CLAIMED ? AGT_OFFER_EV_CLAIM : AGT_OFFER_EV_DECLINE);
	return err;
}

enum kw_err spool_thread_theirs(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	enum agt_thread_verdict *out)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_judge(spool, txn, move, AGT_THREAD_THEIRS, &pass);

	if (err == KW_ECORRUPT) {
		spool->numbers[N_COUNTS + SPOOL_COUNT_DAMAGED]++;
		*out = AGT_THREAD_ILLEGAL;
		return KW_OK;
	}
	if (err == KW_OK && pass.result.verdict == AGT_THREAD_EARLY)
		err = put_early(spool, txn, move, &pass);
	else if (err == KW_OK)
		err = settle(spool, txn, move, &pass);
	if (err != KW_OK)
		return err;
	*out = pass.result.verdict;
	/* A message that was here before was known by its id: this is another one in a place that is used. */
	bool filled = false;
	if (*out == AGT_THREAD_REPEAT && pass.result.fault == AGT_FAULT_PLACE)
		err = spool_gap_filled(spool, txn, move, &pass, &filled);
	if (*out == AGT_THREAD_REPEAT && pass.result.fault == AGT_FAULT_PLACE && !filled)
		*out = AGT_THREAD_ILLEGAL;
	return err;
}

enum kw_err spool_early_item(struct spool *spool, MDB_txn *txn, uint64_t number, bool refused, struct spool_item *out)
{
	uint8_t key[8];
	struct kw_buf plain;
	enum kw_err err;

	kw_put_u64(key, number);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, T_INBOX, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(&plain), out);
	if (err == KW_OK && refused) {
		out->reason = KW_EILLEGAL;
		spool_item_encode(out, plain.data);
		err = spool_put_sealed(spool, txn, T_INBOX, KW_VIEW_OF(key), kw_buf_view(&plain));
	}
	kw_buf_fini(&plain);
	return err;
}

/* One that waited: it leaves the table, is judged, and its author hears of it. */
static enum kw_err take_early(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_move *after)
{
	struct spool_item item;
	struct spool_early early;
	struct spool_move move = {.item = &item, .act = &early.act, .now_ms = after->now_ms, .log_only = after->log_only};
	enum agt_thread_verdict verdict = AGT_THREAD_ILLEGAL;
	enum kw_err err = get_early(spool, txn, key, &early);

	move.number = err == KW_OK ? early.number : 0;
	bool gap = err == KW_OK && early.number == 0;
	if (err == KW_OK && !gap)
		err = spool_early_item(spool, txn, move.number, false, &item);
	enum kw_err gone = err == KW_ENOTFOUND ? KW_OK : spool_del(spool, txn, T_EARLY, KW_VIEW(key, SPOOL_EARLY_KEY_SIZE), NULL);
	if (gone != KW_OK)
		return gone;
	if (err != KW_OK)
		return err == KW_ECORRUPT ? KW_ENOTFOUND : err; /* nothing to judge: the gap stays */
	if (gap)
		return spool_gap_step(spool, txn, key, &early, after);
	item.thread_sequence = kw_get_u64(key + SPOOL_THREAD_KEY_SIZE);
	err = spool_thread_theirs(spool, txn, &move, &verdict);
	err = err == KW_EFULL ? KW_OK : err; /* no more than refused */
	if (err == KW_OK && verdict == AGT_THREAD_EARLY) /* only the sweep takes one whose turn has not come */
		err = spool_del(spool, txn, T_EARLY, KW_VIEW(key, SPOOL_EARLY_KEY_SIZE), NULL);
	bool refused = verdict == AGT_THREAD_ILLEGAL || verdict == AGT_THREAD_EARLY;
	if (err == KW_OK && refused)
		err = spool_early_item(spool, txn, move.number, true, &item);
	if (err != KW_OK || after->log_only)
		return err;
	item.at_ms = move.now_ms;
	return spool_put_due(spool, txn, &(struct spool_due){.item = &item, .failure = refused ? KW_EILLEGAL : KW_OK,
		.opened = !refused});
}

/* Messages and gaps that may lie in a row. */
#define ROW_MAX (SPOOL_EARLY_MAX + SPOOL_EARLY_AGENCY_MAX)

/* There is no thread, and gaps in its first places say that nothing will open it: what is behind them has its turn, to be
 * refused. */
static enum kw_err drain_unopened(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, const struct spool_move *move)
{
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	uint8_t plain[SPOOL_EARLY_GAP_SIZE];
	struct spool_early early;
	enum kw_err err = KW_OK;

	for (uint64_t place = 1; err == KW_OK && place <= ROW_MAX; place++) {
		spool_early_key(thread_key, place, key);
		err = get_early(spool, txn, key, &early);
		if (err != KW_OK || early.number == 0)
			continue;
		err = take_early(spool, txn, key, move);
		spool_early_encode(&(struct spool_early){.at_ms = move->now_ms}, plain);
		if (err == KW_OK)
			err = spool_put_sealed(spool, txn, T_EARLY, KW_VIEW_OF(key), KW_VIEW_OF(plain));
	}
	return err;
}

enum kw_err spool_thread_drain(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	uint8_t thread_key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread;
	enum kw_err err = spool_thread_key(spool, &move->item->thread_id, &move->item->agency, thread_key);

	/* Each round uses a place. */
	for (uint32_t i = 0; err == KW_OK && i < ROW_MAX; i++) {
		err = spool_thread_get(spool, txn, thread_key, &thread);
		if (err == KW_ENOTFOUND) {
			err = drain_unopened(spool, txn, thread_key, move);
			break;
		}
		if (err == KW_OK) {
			spool_early_key(thread_key, thread.record.expected, key);
			err = take_early(spool, txn, key, move);
		}
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* Gives up the empty places before the first one that waits in a thread, or the one that waits where there is no thread. */
static enum kw_err give_up(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_move *move)
{
	struct spool_thread thread;
	uint8_t at[SPOOL_EARLY_KEY_SIZE];
	enum kw_err err = spool_thread_get(spool, txn, key, &thread);

	if (err == KW_ENOTFOUND || err == KW_ECORRUPT) {
		err = take_early(spool, txn, key, move);
		return err == KW_ENOTFOUND ? KW_OK : err;
	}
	if (err != KW_OK)
		return err;
	if (kw_get_u64(key + SPOOL_THREAD_KEY_SIZE) < thread.record.expected) /* a gap that was none: its message came */
		return spool_del(spool, txn, T_EARLY, KW_VIEW(key, SPOOL_EARLY_KEY_SIZE), NULL);
	thread.record.expected = kw_get_u64(key + SPOOL_THREAD_KEY_SIZE);
	err = spool_thread_put(spool, txn, key, &thread);
	memcpy(at, key, sizeof(at));
	for (uint32_t i = 0; err == KW_OK && i < ROW_MAX; i++) {
		err = take_early(spool, txn, at, move);
		kw_put_u64(at + SPOOL_THREAD_KEY_SIZE, kw_get_u64(at + SPOOL_THREAD_KEY_SIZE) + 1);
	}
	return err == KW_ENOTFOUND ? KW_OK : err;
}

/* Whether a row of the table has waited too long; one that is damaged has. */
static bool is_over(struct spool *spool, struct kw_view key, const MDB_val *value, int64_t now_ms)
{
	const int64_t keep_ms = (int64_t)SPOOL_EARLY_HOURS * 3600000;
	struct spool_early early;
	struct kw_buf plain;
	struct kw_view sealed;

	kw_buf_init(&plain, 4096);
	bool sound = spool_check(T_EARLY, key, value, &sealed) == KW_OK &&
		spool_unseal(spool, T_EARLY, key, sealed, &plain) == KW_OK &&
		spool_early_decode(kw_buf_view(&plain), &early) == KW_OK;
	kw_buf_fini(&plain);
	return !sound || now_ms - early.at_ms >= keep_ms;
}

enum kw_err spool_sweep_early(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	struct spool_move move = {.now_ms = op->u.sweep.now_ms};
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_EARLY], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	while (err == KW_OK && rc == 0 && k.mv_size == sizeof(key)) {
		memcpy(key, k.mv_data, sizeof(key));
		if (is_over(spool, KW_VIEW_OF(key), &v, op->u.sweep.now_ms))
			err = give_up(spool, txn, key, &move);
		/* By key: the row may be gone, and others with it. */
		k = (MDB_val){.mv_size = sizeof(key), .mv_data = key};
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		if (err == KW_OK && rc == 0 && memcmp(k.mv_data, key, sizeof(key)) == 0)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
