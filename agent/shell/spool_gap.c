#include <string.h>

#include "agent/shell/spool_read.h"
#include "agent/shell/spool_thread_inner.h"

/* Places of a thread whose message the receiver can do without. There are two: its content cannot be used there, or it was
 * lost on the way. Of the first its receiver knows; of the second its author, when the envelope has expired and no receipt
 * has come, and each later message of its in the thread, or receipt for one in it, names the place until one behind it was
 * opened. Where messages wait behind the place, such a receipt is said once more for it.
 *
 * What is certain not to count is nothing, and the receiver only steps over it. What may have arrived counts at its author
 * and is named with the state that it declared: a receiver that has never had the message takes that state in its place, so
 * that both sides stand on the same; one that has it already ignores the word. An opening cannot be told so: it needs its
 * content. */

/* Notes that this place is not to be waited for, where no message waits. Past the quota it is forgotten: the gap closes later,
 * as if nobody had said a word. */
static enum kw_err put_gap(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, uint64_t sequence,
	const struct spool_early *gap)
{
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	uint8_t plain[SPOOL_EARLY_GAP_SIZE];
	struct kw_view there;
	bool crowded = false;
	enum kw_err err;

	spool_early_key(pass->key, sequence, key);
	err = spool_get(spool, txn, T_EARLY, KW_VIEW_OF(key), &there);
	if (err != KW_ENOTFOUND)
		return err == KW_ECORRUPT ? KW_OK : err;
	err = spool_early_crowded(spool, txn, pass, true, &crowded);
	if (err != KW_OK || crowded)
		return err;
	spool_early_encode(gap, plain);
	return spool_put_sealed(spool, txn, T_EARLY, KW_VIEW_OF(key), KW_VIEW_OF(plain));
}

/* The thread of an item; pass->known says whether there is one. */
static enum kw_err find(struct spool *spool, MDB_txn *txn, const struct spool_item *item, struct spool_pass *pass)
{
	enum kw_err err = spool_pass_find(spool, txn, item, pass);

	pass->known = err == KW_OK;
	return err == KW_ENOTFOUND ? KW_OK : err;
}

static enum kw_err take_gap(struct spool *spool, MDB_txn *txn, const struct spool_move *move, const struct spool_gap *gap)
{
	static const struct kw_id own;
	struct spool_item item = {.thread_id = gap->thread_id, .agency = move->item->agency};
	struct spool_move there = {.item = &item, .now_ms = move->now_ms};
	struct spool_early early = {.act = {.state = gap->state}, .at_ms = move->now_ms};
	struct spool_pass pass = {.known = false};
	uint64_t below = UINT64_MAX;

	if (kw_id_equal(&gap->thread_id, &own)) {
		item.thread_id = move->item->thread_id;
		below = move->item->thread_sequence != 0 ? move->item->thread_sequence : UINT64_MAX;
	}
	enum kw_err err = find(spool, txn, &item, &pass);
	early.act.kind = pass.known ? pass.thread.record.kind : move->act->kind;
	if (err != KW_OK || gap->sequence < (pass.known ? pass.thread.record.expected : 1) || gap->sequence >= below ||
		early.act.kind == KW_THREAD_NONE)
		return err;
	err = put_gap(spool, txn, &pass, gap->sequence, &early);
	return err == KW_OK && pass.known ? spool_thread_drain(spool, txn, &there) : err;
}

enum kw_err spool_gaps_take(struct spool *spool, MDB_txn *txn, const struct spool_move *move, const struct spool_op *op)
{
	enum kw_err err = KW_OK;

	for (uint32_t i = 0; err == KW_OK && i < op->u.receive.gaps_count; i++)
		err = take_gap(spool, txn, move, &op->u.receive.gaps[i]);
	return err;
}

enum kw_err spool_gap_unreadable(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	uint64_t sequence = move->item->thread_sequence;
	struct spool_early gap = {.at_ms = move->now_ms};
	struct spool_pass pass = {.known = false};
	enum kw_err err;

	if (sequence == 0 || sequence > UINT32_MAX)
		return KW_OK;
	err = find(spool, txn, move->item, &pass);
	if (err != KW_OK || (pass.known && sequence < pass.thread.record.expected))
		return err;
	if (pass.known && sequence == pass.thread.record.expected) {
		pass.thread.record.expected++;
		err = spool_thread_put(spool, txn, pass.key, &pass.thread);
	} else {
		err = put_gap(spool, txn, &pass, sequence, &gap);
	}
	return err != KW_OK ? err : spool_thread_drain(spool, txn, move);
}

enum kw_err spool_gap_step(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_early *gap,
	const struct spool_move *after)
{
	struct spool_item item = {.thread_sequence = kw_get_u64(key + SPOOL_THREAD_KEY_SIZE)};
	struct spool_move move = {.item = &item, .act = &gap->act, .now_ms = after->now_ms, .log_only = after->log_only};
	enum agt_thread_verdict verdict;
	struct spool_thread thread;
	enum kw_err err = spool_thread_get(spool, txn, key, &thread);

	if (err != KW_OK)
		return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
	item.thread_id = thread.thread_id;
	item.agency = thread.agency;
	if (gap->act.state != 0 && item.thread_sequence == thread.record.expected)
		return spool_thread_theirs(spool, txn, &move, &verdict); /* refused or not, the place is used */
	thread.record.expected = item.thread_sequence + 1;
	return spool_thread_put(spool, txn, key, &thread);
}

enum kw_err spool_gap_filled(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	const struct spool_pass *pass, bool *out)
{
	*out = false;
	for (uint32_t n = 1; !*out && n <= pass->thread.log_count; n++) {
		struct spool_log log;
		enum kw_err err = spool_log_get(spool, txn, pass->key, n, &log);

		if (err == KW_ECORRUPT || err == KW_ENOTFOUND)
			continue;
		if (err != KW_OK)
			return err;
		if (log.event.author != AGT_THREAD_THEIRS || log.number != 0 || move->number == 0 ||
			log.event.sequence != move->item->thread_sequence || log.event.state != move->act->state ||
			log.event.kind != move->act->kind)
			continue;
		log.number = move->number;
		log.content_type = move->act->content_type;
		*out = true;
		err = spool_log_put(spool, txn, pass->key, n, &log);
		if (err != KW_OK)
			return err;
	}
	return KW_OK;
}

/* What our log says of our places; lowest first. */
struct gaps {
	uint32_t count;
	struct spool_gap list[SPOOL_LOG_MAX + SPOOL_LOG_RESERVE];
};

static void drop(struct gaps *gaps, uint64_t from, uint64_t below)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < gaps->count; i++)
		if (gaps->list[i].sequence < from || gaps->list[i].sequence >= below)
			gaps->list[kept++] = gaps->list[i];
	gaps->count = kept;
}

/* One step of ours. A place that was given away again is what was said there last. */
static void add_step(struct gaps *gaps, const struct spool_log *log, const struct spool_item *item)
{
	bool dead = item->state == SPOOL_DEAD;
	bool unsure = dead && item->reason == KW_EUNCONFIRMED;
	bool gone = log->lost || (log->event.opening && dead && item->reason != KW_EILLEGAL);
	struct spool_gap gap = {
		.sequence = log->event.sequence, .state = unsure && !log->lost && !log->event.opening ? log->event.state : 0};

	drop(gaps, gap.sequence, gap.sequence + 1);
	if (item->state == SPOOL_OPENED) /* judged, so all before it was */
		drop(gaps, 0, gap.sequence);
	if ((unsure || gone) && gaps->count < SPOOL_LOG_MAX + SPOOL_LOG_RESERVE)
		gaps->list[gaps->count++] = gap;
}

static enum kw_err read_gaps(struct spool *spool, MDB_txn *txn, const struct spool_item *item, struct gaps *gaps)
{
	struct spool_pass pass = {.known = false};
	enum kw_err err = spool_pass_find(spool, txn, item, &pass);
	uint64_t below = item->thread_sequence;

	for (uint32_t n = 1; err == KW_OK && n <= pass.thread.log_count; n++) {
		struct spool_log log;
		struct spool_item message;

		err = spool_log_get(spool, txn, pass.key, n, &log);
		if (err == KW_OK && log.event.author == AGT_THREAD_OURS && log.event.sequence != 0)
			err = spool_item_get(spool, txn, log.number, &message);
		else if (err == KW_OK)
			continue;
		if (err == KW_OK)
			add_step(gaps, &log, &message);
		else if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
			err = KW_OK; /* of a damaged row nothing is said */
	}
	if (below == 0)
		below = pass.thread.record.next > 0 ? pass.thread.record.next - 1 : 0;
	drop(gaps, below, UINT64_MAX);
	return err == KW_ENOTFOUND ? KW_OK : err;
}

enum kw_err spool_gaps(struct spool *spool, const struct spool_item *item, struct spool_gap *out, uint32_t *count)
{
	struct gaps gaps = {.count = 0};
	MDB_txn *txn;
	enum kw_err err;

	*count = 0;
	err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));
	if (err != KW_OK)
		return err;
	err = read_gaps(spool, txn, item, &gaps);
	mdb_txn_abort(txn);
	while (err == KW_OK && *count < SPOOL_GAPS_MAX && *count < gaps.count) {
		out[*count] = gaps.list[*count];
		(*count)++;
	}
	return err;
}

/* The newest message of theirs in the thread that was not refused. KW_ENOTFOUND: there is none. */
static enum kw_err newest_of_theirs(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, struct spool_item *out)
{
	enum kw_err err = KW_ENOTFOUND;

	for (uint32_t n = pass->thread.log_count; err == KW_ENOTFOUND && n > 0; n--) {
		struct spool_log log;

		err = spool_log_get(spool, txn, pass->key, n, &log);
		if (err == KW_OK && log.event.author == AGT_THREAD_THEIRS && log.number != 0)
			err = spool_early_item(spool, txn, log.number, false, out);
		else if (err == KW_OK)
			err = KW_ENOTFOUND;
		if (err == KW_ECORRUPT || (err == KW_OK && out->reason != KW_OK))
			err = KW_ENOTFOUND;
	}
	return err;
}

enum kw_err spool_gap_tell(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	struct spool_item theirs;
	struct spool_pass pass;
	enum kw_err err = item->thread_sequence == 0 ? KW_ENOTFOUND : spool_pass_find(spool, txn, item, &pass);

	if (err == KW_OK && item->thread_sequence + 1 >= pass.thread.record.next)
		return KW_OK; /* nothing is behind it */
	if (err == KW_OK)
		err = newest_of_theirs(spool, txn, &pass, &theirs);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	theirs.at_ms = spool->now_ms;
	return spool_put_due(spool, txn, &(struct spool_due){.item = &theirs, .opened = true});
}
