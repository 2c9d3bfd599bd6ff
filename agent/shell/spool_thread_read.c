#include <string.h>

#include "agent/shell/spool_read.h"
#include "agent/shell/spool_scan.h"
#include "agent/shell/spool_thread_inner.h"

/* Reading threads on the loop thread. */

/* The thread of this id that was opened first, whoever the agency is: another agency that learned the id and opens a thread
 * with it does not take its place. */
static enum kw_err first_of(struct spool *spool, MDB_txn *txn, const struct kw_id *thread_id, struct spool_thread *out)
{
	struct spool_thread thread;
	bool found = false;
	uint8_t key[SPOOL_THREAD_KEY_SIZE] = {0};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(thread_id->bytes), key);

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_THREADS], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == sizeof(key) && memcmp(k.mv_data, key, SPOOL_TAG_SIZE) == 0) {
		err = spool_thread_get(spool, txn, k.mv_data, &thread);
		if (err == KW_ECORRUPT) {
			spool->damaged_reads++;
			err = KW_OK;
		} else if (err == KW_OK && (!found || thread.number < out->number)) {
			*out = thread;
			found = true;
		}
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (err == KW_OK && rc != 0 && rc != MDB_NOTFOUND)
		err = spool_mdb(rc);
	return err == KW_OK && !found ? KW_ENOTFOUND : err;
}

enum kw_err spool_thread(struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_thread *out)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	if (agency == NULL) {
		err = first_of(spool, txn, thread_id, out);
	} else {
		err = spool_thread_key(spool, thread_id, agency, key);
		if (err == KW_OK)
			err = spool_thread_get(spool, txn, key, out);
	}
	mdb_txn_abort(txn);
	return err;
}

struct walk {
	const struct spool_thread_query *query;
	bool (*each)(void *user, const struct spool_thread *thread);
	void *user;
};

static enum kw_err hand_over(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_page *page)
{
	const struct walk *walk = page->user;
	struct spool_thread thread;
	struct kw_view key;
	uint8_t row[8];
	enum kw_err err;

	kw_put_u64(row, number);
	err = spool_get(spool, txn, T_THREADNO, KW_VIEW_OF(row), &key);
	if (err == KW_OK && key.size != SPOOL_THREAD_KEY_SIZE)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key.data, &thread);
	if (err == KW_ECORRUPT || err == KW_ENOTFOUND) {
		spool->damaged_reads++;
		return KW_OK;
	}
	if (err != KW_OK || (walk->query->kind != KW_THREAD_NONE && thread.record.kind != walk->query->kind))
		return err;
	page->stopped = !walk->each(walk->user, &thread);
	page->count++;
	return KW_OK;
}

enum kw_err spool_threads(struct spool *spool, const struct spool_thread_query *query,
	bool (*each)(void *user, const struct spool_thread *thread), void *user, uint64_t *next_after)
{
	const struct walk walk = {.query = query, .each = each, .user = user};
	struct spool_page page = {.table = query->open ? T_OPEN : T_THREADNO,
		.after = query->after,
		.limit = query->limit == 0 ? UINT32_MAX : query->limit,
		.each = hand_over,
		.user = &walk};

	return spool_page(spool, &page, next_after);
}

/* What the message of a step is by now. */
static enum kw_err fill_step(struct spool *spool, MDB_txn *txn, const struct spool_log *log, struct spool_step *out)
{
	struct spool_item item;
	uint8_t key[8];
	struct kw_buf plain;
	enum kw_err err;

	*out = (struct spool_step){.author = log->event.author,
		.state = log->event.state,
		.became = log->became,
		.refused = log->refused,
		.repeat = log->repeat,
		.content_type = log->content_type,
		.sequence = log->event.sequence,
		.at_ms = log->event.now_ms,
		.number = log->number};
	if (log->number == 0)
		return KW_OK;
	kw_put_u64(key, log->number);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, log->event.author == AGT_THREAD_THEIRS ? T_INBOX : T_SENT, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(&plain), &item);
	kw_buf_fini(&plain);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK; /* the step stands without its message */
	if (err != KW_OK)
		return err;
	out->message_id = item.message_id;
	out->reason = item.reason;
	out->sent = log->event.author == AGT_THREAD_OURS ? item.state : (enum spool_state)0;
	return KW_OK;
}

/* Those that wait, in the order of their places. */
static enum kw_err early_steps(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	void (*each)(void *user, const struct spool_step *step), void *user)
{
	uint8_t key[SPOOL_EARLY_KEY_SIZE];
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	struct kw_buf plain;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_EARLY], &cursor));

	if (err != KW_OK)
		return err;
	spool_early_key(thread_key, 0, key);
	kw_buf_init(&plain, 4096);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	for (; err == KW_OK && rc == 0 && k.mv_size == sizeof(key) &&
		memcmp(k.mv_data, thread_key, SPOOL_THREAD_KEY_SIZE) == 0;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct kw_view row = KW_VIEW(k.mv_data, k.mv_size);
		struct kw_view sealed;
		struct spool_early early;
		struct spool_step step;

		kw_buf_clear(&plain);
		if (spool_check(T_EARLY, row, &v, &sealed) != KW_OK || spool_unseal(spool, T_EARLY, row, sealed, &plain) != KW_OK ||
			spool_early_decode(kw_buf_view(&plain), &early) != KW_OK) {
			spool->damaged_reads++;
			continue;
		}
		if (early.number == 0) /* a gap: nobody has sent anything that waits */
			continue;
		struct spool_log log = {.event = {.author = AGT_THREAD_THEIRS,
			.kind = early.act.kind,
			.state = early.act.state,
			.sequence = kw_get_u64(row.data + SPOOL_THREAD_KEY_SIZE),
			.now_ms = early.at_ms},
			.content_type = early.act.content_type,
			.number = early.number};
		err = fill_step(spool, txn, &log, &step);
		step.early = true;
		if (err == KW_OK)
			each(user, &step);
	}
	mdb_cursor_close(cursor);
	kw_buf_fini(&plain);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_steps(struct spool *spool, const struct spool_thread *thread,
	void (*each)(void *user, const struct spool_step *step), void *user)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	err = spool_thread_key(spool, &thread->thread_id, &thread->agency, key);
	for (uint32_t n = 1; err == KW_OK && n <= thread->log_count; n++) {
		struct spool_log log;
		struct spool_step step;

		err = spool_log_get(spool, txn, key, n, &log);
		if (err == KW_ECORRUPT || err == KW_ENOTFOUND) {
			spool->damaged_reads++;
			err = KW_OK;
			continue;
		}
		if (err == KW_OK)
			err = fill_step(spool, txn, &log, &step);
		if (err == KW_OK)
			each(user, &step);
	}
	if (err == KW_OK)
		err = early_steps(spool, txn, key, each, user);
	mdb_txn_abort(txn);
	return err;
}

struct follow_walk {
	bool (*each)(void *user, const struct spool_follow *follow);
	void *user;
};

static enum spool_scan_word each_follow(void *user, struct kw_view key, struct kw_view plain)
{
	const struct follow_walk *walk = user;
	struct spool_follow follow = {.key = key.size == 8 ? kw_get_u64(key.data) : 0};

	if (spool_follow_decode(plain, &follow) != KW_OK)
		return SPOOL_SCAN_DAMAGED;
	return walk->each(walk->user, &follow) ? SPOOL_SCAN_ON : SPOOL_SCAN_STOP;
}

enum kw_err spool_follows(struct spool *spool, uint64_t from,
	bool (*each)(void *user, const struct spool_follow *follow), void *user)
{
	struct follow_walk walk = {.each = each, .user = user};
	uint8_t first[8];
	struct spool_scan scan = {.table = T_FOLLOW, .from = KW_VIEW_OF(first), .each = each_follow, .user = &walk};

	kw_put_u64(first, from);
	return spool_scan(spool, &scan);
}
