#include <string.h>

#include "agent/shell/spool_read.h"
#include "agent/shell/spool_thread_inner.h"

/* Clocks as the hub runs them, by what it has said of its limits and its time, and the two alarms that only an agent can give:
 *
 *   a record is written → its next alarm stands in the order → the loop finds it due, and makes the reminder
 *     → the writer puts it into the inbox and marks the step as taken, in one transaction, if the thread is as the loop saw it
 *
 * The clock of a child under 5, because a hub knows no age; and the end of a consent. A place in the order that its thread has
 * left meanwhile goes when its time comes: until then it costs a row. */

#define KEY_SIZE 17u
#define NUMBER_AT 8u
#define WHAT_AT 16u

static const char LIMITS_KEY[] = "clocks";
#define LIMITS_SIZE (KW_CLOCK_COUNT * 3u * 4u)

/* ------------------------------------------------------------------------------------------------- what the hub has said */

enum kw_err spool_clocks_open(struct spool *spool)
{
	struct kw_view row;
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	kw_clock_limits_default(&spool->limits);
	if (err != KW_OK)
		return err;
	err = spool_get(spool, txn, T_META, kw_view_str(LIMITS_KEY), &row);
	/* Of an older version it is shorter. What is damaged is said again with the next session. */
	for (uint32_t i = 0; err == KW_OK && i < KW_CLOCK_COUNT * 3u && (i + 1) * 4 <= row.size; i++) {
		int64_t limit_ms = (int64_t)kw_get_u32(row.data + (size_t)i * 4) * 1000;

		if (kw_clock_limit_set(&spool->limits, (enum kw_clock)(i / 3), (enum kw_risk)(i % 3 + KW_RISK_HIGH), limit_ms) != KW_OK)
			continue; /* out of range, or of no clock: the default stays */
	}
	mdb_txn_abort(txn);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

void spool_clocks(const struct spool *spool, struct spool_clocks *out)
{
	*out = (struct spool_clocks){.limits = spool->limits,
		.skew_ms = (int64_t)spool->told[N_SKEW],
		.hub_ms = (int64_t)spool->told[N_HUB_MS]};
}

enum kw_err spool_run_clocks(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint8_t row[LIMITS_SIZE];

	spool->limits = op->u.clocks.limits;
	spool->numbers[N_SKEW] = (uint64_t)op->u.clocks.skew_ms;
	spool->numbers[N_HUB_MS] = (uint64_t)op->u.clocks.hub_ms;
	for (uint32_t i = 0; i < KW_CLOCK_COUNT * 3u; i++)
		kw_put_u32(row + (size_t)i * 4, (uint32_t)(spool->limits.limit_ms[i / 3][i % 3 + KW_RISK_HIGH] / 1000));
	return spool_put(spool, txn, T_META, kw_view_str(LIMITS_KEY), KW_VIEW_OF(row));
}

void spool_clock_event(const struct spool *spool, struct agt_thread_event *event)
{
	event->limits = &spool->limits;
	event->hub_ms = event->now_ms + (int64_t)spool->numbers[N_SKEW];
}

/* -------------------------------------------------------------------------------------------------------- the order */

bool spool_clock_consents(const struct spool_thread *thread)
{
	const struct agt_thread *record = &thread->record;

	if (record->kind == KW_THREAD_TRANSFER)
		return agt_thread_owns(record);
	return (record->kind == KW_THREAD_REFERRAL || record->kind == KW_THREAD_TRACING) && record->party == KW_PARTY_OPENER;
}

/* When the thread wants this alarm; 0: never, as it is. */
static int64_t wanted_ms(const struct spool_thread *thread, enum spool_alarm_what what)
{
	if (!agt_thread_is_open(&thread->record))
		return 0;
	if (what == SPOOL_ALARM_CONSENT)
		return thread->lapsed || !spool_clock_consents(thread) ? 0 : thread->consent_until_ms;
	int64_t next_ms = thread->record.run.clock == KW_CLOCK_TRACING_YOUNG ? kw_clock_next_ms(&thread->record.run) : INT64_MAX;
	return next_ms == INT64_MAX ? 0 : next_ms;
}

static void alarm_key(int64_t due_ms, uint64_t number, enum spool_alarm_what what, uint8_t *out)
{
	kw_put_u64(out, (uint64_t)due_ms);
	kw_put_u64(out + NUMBER_AT, number);
	out[WHAT_AT] = (uint8_t)what;
}

enum kw_err spool_clock_put(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread)
{
	uint8_t key[KEY_SIZE];
	enum kw_err err = KW_OK;

	for (int what = SPOOL_ALARM_CLOCK; err == KW_OK && what <= SPOOL_ALARM_CONSENT; what++) {
		int64_t due_ms = wanted_ms(thread, (enum spool_alarm_what)what);

		alarm_key(due_ms, thread->number, (enum spool_alarm_what)what, key);
		if (due_ms > 0)
			err = spool_put(spool, txn, T_ALARM, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
	}
	return err;
}

enum kw_err spool_clock_consent(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	struct spool_thread thread;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];

	/* What opens a thread has set it already. */
	if (!move->act->consent || (move->act->kind != KW_THREAD_NONE && !move->act->opening))
		return KW_OK;
	enum kw_err err = spool_thread_key(spool, &move->item->thread_id, &move->item->agency, key);
	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key, &thread);
	if (err == KW_OK && thread.consent_until_ms != move->act->consent_until_ms) {
		thread.consent_until_ms = move->act->consent_until_ms;
		thread.lapsed = false;
		err = spool_thread_put(spool, txn, key, &thread);
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_alarms(struct spool *spool, int64_t hub_ms, bool (*each)(void *user, const struct spool_alarm *alarm),
	void *user)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k;
	MDB_val v;
	bool more = true;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_ALARM], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0 && more; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_alarm alarm = {.what = SPOOL_ALARM_CLOCK};
		const uint8_t *key = k.mv_data;

		if (k.mv_size != KEY_SIZE)
			continue;
		alarm.due_ms = (int64_t)kw_get_u64(key);
		if (alarm.due_ms > hub_ms)
			break;
		alarm.number = kw_get_u64(key + NUMBER_AT);
		alarm.what = key[WHAT_AT] == SPOOL_ALARM_CONSENT ? SPOOL_ALARM_CONSENT : SPOOL_ALARM_CLOCK;
		err = spool_thread_numbered(spool, txn, KW_VIEW(key + NUMBER_AT, 8), &alarm.thread);
		alarm.stands = err == KW_OK && wanted_ms(&alarm.thread, alarm.what) == alarm.due_ms;
		if (err == KW_OK || err == KW_ENOTFOUND) {
			more = each(user, &alarm);
			err = KW_OK;
		}
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

/* --------------------------------------------------------------------------------------------------------- the alarm */

static enum kw_err find(struct spool *spool, MDB_txn *txn, struct kw_view number, struct spool_thread *out)
{
	struct kw_view key;
	enum kw_err err = spool_get(spool, txn, T_THREADNO, number, &key);

	if (err == KW_OK && key.size != SPOOL_THREAD_KEY_SIZE)
		err = KW_ECORRUPT;
	return err == KW_OK ? spool_thread_get(spool, txn, key.data, out) : err;
}

/* The record goes on past the alarm, which gives it its next place. */
static enum kw_err take(struct spool *spool, MDB_txn *txn, struct spool_op *op, struct spool_thread *thread)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	uint8_t id[KW_ID_SIZE + SPOOL_TAG_SIZE];
	const struct spool_item *item = &op->u.remind.item;
	enum kw_err err = spool_thread_key(spool, &thread->thread_id, &thread->agency, key);

	if (op->u.remind.alarm.what == SPOOL_ALARM_CONSENT)
		thread->lapsed = true;
	else
		thread->record.run = op->u.remind.run;
	if (op->u.remind.step != 0)
		thread->reminded = op->u.remind.step;
	if (err == KW_OK)
		err = spool_thread_put(spool, txn, key, thread);
	if (err != KW_OK || op->content.size == 0)
		return err;
	memcpy(id, item->message_id.bytes, KW_ID_SIZE);
	err = spool_tag(spool, spool_name_view(&item->agency), id + KW_ID_SIZE);
	return err != KW_OK ? err : spool_put_inbox(spool, txn, op, item, KW_VIEW_OF(id));
}

enum kw_err spool_run_remind(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_alarm *alarm = &op->u.remind.alarm;
	struct spool_thread thread;
	uint8_t key[KEY_SIZE];
	bool there = false;

	spool->now_ms = op->u.remind.now_ms;
	alarm_key(alarm->due_ms, alarm->number, alarm->what, key);
	enum kw_err err = spool_del(spool, txn, T_ALARM, KW_VIEW_OF(key), &there);
	if (err != KW_OK || !there || !alarm->stands)
		return err;
	err = find(spool, txn, KW_VIEW(key + NUMBER_AT, 8), &thread);
	if (err == KW_OK && wanted_ms(&thread, alarm->what) == alarm->due_ms)
		err = take(spool, txn, op, &thread);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}
