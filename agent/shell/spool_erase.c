#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_thread_inner.h"
#include "proto/wire/crypt.h"

/* Consent that is withdrawn, run by the writer. In one transaction: what is asked of each holder is written down, what has to
 * be said to it goes on the list of what the agent says by itself, and the keys of our own contents go on the list of those
 * to be destroyed. A crash anywhere leaves all of it or nothing, and each list is worked off once (agent_follow, spool_shred).
 *
 * A holder answers "done" only when the key is gone: spool_shred says so, not the transaction that asked for it. */

bool spool_erasure_hides(const struct spool_erasure *erasure)
{
	if (erasure->role == SPOOL_ERASURE_HOLDER)
		return !erasure->due && erasure->outcome != SPOOL_ERASE_RETAINED;
	return erasure->action == SPOOL_ERASE_ACTION;
}

static bool is_done(const struct spool_erasure *erasure)
{
	return erasure->action == SPOOL_ERASE_ACTION && spool_erasure_hides(erasure);
}

enum kw_err spool_erasure_get(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, struct spool_erasure *out)
{
	struct kw_buf plain;
	enum kw_err err;

	kw_buf_init(&plain, 4096);
	err = spool_get_sealed(spool, txn, T_ERASURE, KW_VIEW(thread_key, SPOOL_THREAD_KEY_SIZE), &plain);
	if (err == KW_OK)
		err = spool_erasure_decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

enum kw_err spool_erasure_put(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	const struct spool_erasure *erasure)
{
	uint8_t plain[SPOOL_ERASURE_SIZE];

	spool_erasure_encode(erasure, plain);
	enum kw_err err =
		spool_put_sealed(spool, txn, T_ERASURE, KW_VIEW(thread_key, SPOOL_THREAD_KEY_SIZE), KW_VIEW_OF(plain));
	return err != KW_OK ? err : spool_asked_put(spool, txn, thread_key, erasure);
}

enum kw_err spool_erasure_is_done(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, bool *out)
{
	struct spool_erasure erasure;
	enum kw_err err = spool_erasure_get(spool, txn, thread_key, &erasure);

	*out = err == KW_ECORRUPT || (err == KW_OK && is_done(&erasure)); /* a damaged row was a row */
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static enum kw_err say(struct spool *spool, MDB_txn *txn, const struct spool_erasure *erasure, enum spool_follow_what what)
{
	struct spool_follow follow = {.thread_id = erasure->thread_id, .agency = erasure->agency, .what = what};

	return spool_follow_put(spool, txn, &follow);
}

/* What says that consent is withdrawn, after a death or for the first time. */
static enum kw_err ask_again(struct spool *spool, MDB_txn *txn, const struct spool_erasure *erasure)
{
	return say(spool, txn, erasure, erasure->action == SPOOL_ERASE_ACTION ? SPOOL_FOLLOW_ERASE : SPOOL_FOLLOW_CONSENT);
}

/* The key of a thread's contents is to be destroyed, and its record keeps what an audit needs: ids, states, times. */
static enum kw_err erase_thread(struct spool *spool, MDB_txn *txn, const uint8_t *key)
{
	struct spool_thread thread;
	enum kw_err err = spool_put(spool, txn, T_SHRED, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), KW_VIEW(NULL, 0));

	spool->shreds = true;
	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key, &thread);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	memset(thread.case_ref, 0, sizeof(thread.case_ref));
	memset(thread.alias, 0, sizeof(thread.alias));
	thread.service = 0;
	return spool_thread_put(spool, txn, key, &thread);
}

/* The hub may have it. */
static enum kw_err put_recall(struct spool *spool, MDB_txn *txn, const struct spool_out_row *row,
	const struct kw_name *agency)
{
	uint8_t plain[SPOOL_RECALL_SIZE];
	struct kw_id envelope_id = row->envelope_id; /* the row's views end with the next write */

	memcpy(plain, agency->text, sizeof(agency->text));
	kw_put_u32(plain + sizeof(agency->text), row->expiry_hour);
	return spool_put_sealed(spool, txn, T_RECALL, KW_VIEW_OF(envelope_id.bytes), KW_VIEW_OF(plain));
}

/* What we had sent there and nobody has taken yet need not arrive any more. */
static enum kw_err recall(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread, struct spool_op *op)
{
	MDB_cursor *cursor;
	uint8_t key[9] = {0};
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OUT], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == sizeof(key) && op->gone_count < SPOOL_GONE_MAX) {
		struct spool_out_row row;
		struct kw_view payload;
		struct spool_item item;

		memcpy(key, k.mv_data, sizeof(key));
		if (spool_check(T_OUT, KW_VIEW_OF(key), &v, &payload) == KW_OK && spool_out_decode(payload, &row) == KW_OK &&
			row.number != 0 && spool_item_get(spool, txn, row.number, &item) == KW_OK &&
			kw_id_equal(&item.thread_id, &thread->thread_id) && kw_name_equal(&item.agency, &thread->agency)) {
			struct spool_place place = {.number = row.number,
				.msg_class = (enum kw_msg_class)(key[0] % KW_MSG_CLASS_COUNT),
				.sequence = kw_get_u64(key + 1)};

			err = put_recall(spool, txn, &row, &thread->agency);
			if (err == KW_OK)
				err = spool_leave(spool, txn, &place, op);
			item.reason = KW_ERECALLED;
			if (err == KW_OK)
				err = spool_turn(spool, txn, &item, SPOOL_DEAD); /* nobody has to look at it: it is on no list */
		}
		k = (MDB_val){.mv_size = sizeof(key), .mv_data = key};
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		if (err == KW_OK && rc == 0 && memcmp(k.mv_data, key, sizeof(key)) == 0)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_case_tag(const struct spool *spool, const char *case_ref, uint8_t *out)
{
	char text[SPOOL_CASE_REF_SIZE_MAX + 8] = "case ";

	memset(out, 0, SPOOL_TAG_SIZE);
	if (case_ref[0] == '\0')
		return KW_OK;
	memcpy(text + 5, case_ref, strnlen(case_ref, SPOOL_CASE_REF_SIZE_MAX));
	return spool_tag(spool, kw_view_str(text), out);
}

/* Asks the other agency of a thread, and counts it. Does nothing where it was asked before, or asked us. */
static enum kw_err ask(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread,
	const struct spool_erasure *what, struct spool_op *op)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	struct spool_follow state = {.thread_id = thread->thread_id,
		.agency = thread->agency,
		.kind = thread->record.kind,
		.state = agt_thread_withdrawal(&thread->record)};
	enum kw_err err = spool_thread_key(spool, &thread->thread_id, &thread->agency, key);

	if (err == KW_OK)
		err = spool_erasure_get(spool, txn, key, &erasure);
	if (err == KW_OK && (erasure.action == SPOOL_ERASE_ACTION || what->action != SPOOL_ERASE_ACTION))
		return KW_OK;
	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	erasure = *what;
	erasure.role = SPOOL_ERASURE_AUTHOR;
	erasure.thread_id = thread->thread_id;
	erasure.agency = thread->agency;
	err = spool_case_tag(spool, thread->case_ref, erasure.case_tag);
	if (err == KW_OK)
		err = spool_erasure_put(spool, txn, key, &erasure);
	if (err == KW_OK && erasure.action == SPOOL_ERASE_ACTION)
		err = recall(spool, txn, thread, op);
	if (err == KW_OK && state.state != 0)
		err = spool_follow_put(spool, txn, &state);
	if (err == KW_OK)
		err = say(spool, txn, &erasure, SPOOL_FOLLOW_CONSENT);
	if (err == KW_OK && erasure.action == SPOOL_ERASE_ACTION)
		err = say(spool, txn, &erasure, SPOOL_FOLLOW_ERASE);
	if (err == KW_OK && erasure.action == SPOOL_ERASE_ACTION)
		err = erase_thread(spool, txn, key);
	op->follow = true;
	op->count++;
	return err;
}

/* Which threads a withdrawal is about. */
struct reach {
	const struct kw_id *thread_id;     /* this one; NULL: those of a pseudonym */
	const char *case_ref;
	const char *alias;
	const uint8_t *but;                /* not this one: a key */
	bool told_by_us;                   /* those only that we began */
	uint32_t passed_count;             /* who was asked */
	struct kw_name passed[SPOOL_PASSED_MAX];
};

static bool is_named(const struct spool_thread *thread, const char *ref)
{
	return ref != NULL && ref[0] != '\0' && (strcmp(thread->case_ref, ref) == 0 || strcmp(thread->alias, ref) == 0);
}

static bool is_reached(const struct reach *reach, const struct spool_thread *thread, struct kw_view key)
{
	if (reach->but != NULL && memcmp(key.data, reach->but, SPOOL_THREAD_KEY_SIZE) == 0)
		return false;
	if (reach->told_by_us && thread->record.party != KW_PARTY_OPENER)
		return false;
	if (reach->thread_id != NULL)
		return kw_id_equal(&thread->thread_id, reach->thread_id);
	/* What ties offers together is no pseudonym. */
	return thread->record.kind != KW_THREAD_OFFER && (is_named(thread, reach->case_ref) || is_named(thread, reach->alias));
}

static enum kw_err ask_all(struct spool *spool, MDB_txn *txn, struct reach *reach, const struct spool_erasure *what,
	struct spool_op *op)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	const struct spool_offer_reach offers = {reach->thread_id, reach->case_ref, reach->alias};
	enum kw_err err = spool_erase_offers(spool, txn, &offers, op);

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_THREADNO], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_thread thread;
		struct kw_view key;
		uint32_t before = op->count;

		if (spool_check(T_THREADNO, KW_VIEW(k.mv_data, k.mv_size), &v, &key) != KW_OK ||
			key.size != SPOOL_THREAD_KEY_SIZE || spool_thread_get(spool, txn, key.data, &thread) != KW_OK ||
			!is_reached(reach, &thread, key))
			continue;
		err = ask(spool, txn, &thread, what, op);
		if (op->count > before && reach->passed_count < SPOOL_PASSED_MAX)
			reach->passed[reach->passed_count++] = thread.agency;
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_run_withdraw(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct reach reach = {.case_ref = op->u.withdraw.case_ref};

	op->count = 0;
	if (op->u.withdraw.by_thread)
		reach.thread_id = &op->u.withdraw.thread_id;
	return ask_all(spool, txn, &reach, op->u.withdraw.erasure, op);
}

/* The other agency has said it all with its Erase, whatever becomes of its event. */
static enum kw_err end_thread(struct spool *spool, MDB_txn *txn, const struct spool_erasure *erasure)
{
	struct spool_item item = {.thread_id = erasure->thread_id, .agency = erasure->agency};
	struct spool_act act = {.kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_CONSENT_WITHDRAWN};
	struct spool_move move = {.item = &item, .act = &act, .now_ms = erasure->asked_ms};

	return spool_thread_receipt(spool, txn, &move);
}

/* A holder erases: those that it told hear of it, its own key goes. */
static enum kw_err apply(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_erasure *erasure,
	struct spool_op *op)
{
	struct spool_thread thread = {0};
	struct spool_erasure onward = *erasure;
	struct reach reach = {.case_ref = thread.case_ref, .alias = thread.alias, .but = key, .told_by_us = true};
	enum kw_err err = spool_thread_get(spool, txn, key, &thread);

	erasure->due = false;
	erasure->outcome = 0; /* until the key is gone */
	onward.passed_on = true;
	onward.due = false;
	onward.outcome = 0;
	onward.number = 0;
	onward.note[0] = '\0';
	if (err == KW_OK)
		err = spool_case_tag(spool, thread.case_ref, erasure->case_tag);
	if (err == KW_OK)
		err = end_thread(spool, txn, erasure);
	if (err == KW_OK)
		err = ask_all(spool, txn, &reach, &onward, op);
	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	erasure->passed_count = reach.passed_count;
	memcpy(erasure->passed, reach.passed, sizeof(erasure->passed));
	err = spool_erasure_put(spool, txn, key, erasure);
	return err != KW_OK ? err : erase_thread(spool, txn, key);
}

static enum kw_err take_answer(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_op *op)
{
	const struct spool_erasure *answer = op->u.receive.erasure;
	struct spool_erasure erasure;
	enum kw_err err = spool_erasure_get(spool, txn, key, &erasure);

	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err; /* we have asked nothing there */
	if (erasure.role == SPOOL_ERASURE_HOLDER || erasure.action != answer->action)
		return KW_OK;
	erasure.outcome = answer->outcome;
	erasure.ground = answer->ground;
	erasure.until_ms = answer->until_ms;
	erasure.failure = answer->failure;
	erasure.answered_ms = op->u.receive.item.at_ms;
	erasure.passed_count = answer->passed_count;
	memcpy(erasure.passed, answer->passed, sizeof(erasure.passed));
	memcpy(erasure.note, answer->note, sizeof(erasure.note));
	return spool_erasure_put(spool, txn, key, &erasure);
}

/* An Erase, or a ConsentUpdate that restricts. */
static enum kw_err take_question(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_op *op)
{
	struct spool_erasure asked = *op->u.receive.erasure;
	struct spool_erasure before;
	enum kw_err err = spool_erasure_get(spool, txn, key, &before);

	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	bool known = err == KW_OK && (before.action == asked.action || before.action == SPOOL_ERASE_ACTION);
	op->follow = true;
	if (known && before.role == SPOOL_ERASURE_HOLDER) /* it asks again: the answer may have been lost with its store */
		return before.outcome != 0 ? say(spool, txn, &before, SPOOL_FOLLOW_ACK) : KW_OK;
	if (known) {
		before.role = SPOOL_ERASURE_OWN;
		err = spool_erasure_put(spool, txn, key, &before);
		return err != KW_OK ? err : say(spool, txn, &before, SPOOL_FOLLOW_ACK);
	}
	asked.agency = op->u.receive.item.agency;
	asked.role = SPOOL_ERASURE_HOLDER;
	asked.asked_ms = op->u.receive.item.at_ms;
	if (asked.action == SPOOL_ERASE_ACTION && !op->u.receive.erase_manual)
		return apply(spool, txn, key, &asked, op);
	asked.due = asked.action == SPOOL_ERASE_ACTION;
	if (!asked.due) {
		asked.outcome = SPOOL_ERASE_DONE;
		asked.answered_ms = asked.asked_ms;
	}
	err = spool_erasure_put(spool, txn, key, &asked);
	return err != KW_OK || asked.due ? err : say(spool, txn, &asked, SPOOL_FOLLOW_ACK);
}

enum kw_err spool_erasure_take(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_erasure *said = op->u.receive.erasure;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	/* Under the name of the agency that says it: nobody speaks about the threads of others. */
	enum kw_err err = spool_thread_key(spool, &said->thread_id, &op->u.receive.item.agency, key);

	if (err != KW_OK)
		return err;
	return said->outcome != 0 ? take_answer(spool, txn, key, op) : take_question(spool, txn, key, op);
}

/* The first row of this thread id that waits for a person, or was kept by one. KW_ENOTFOUND. */
static enum kw_err find_waiting(struct spool *spool, MDB_txn *txn, const struct kw_id *thread_id, uint8_t *key,
	struct spool_erasure *out)
{
	MDB_cursor *cursor;
	uint8_t tag[SPOOL_TAG_SIZE];
	MDB_val k = {.mv_size = sizeof(tag), .mv_data = tag};
	MDB_val v;
	bool found = false;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(thread_id->bytes), tag);

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_ERASURE], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (!found && rc == 0 && k.mv_size == SPOOL_THREAD_KEY_SIZE && memcmp(k.mv_data, tag, sizeof(tag)) == 0) {
		memcpy(key, k.mv_data, SPOOL_THREAD_KEY_SIZE);
		found = spool_erasure_get(spool, txn, key, out) == KW_OK && out->role == SPOOL_ERASURE_HOLDER &&
			(out->due || out->outcome == SPOOL_ERASE_RETAINED);
		rc = found ? 0 : mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return found ? KW_OK : rc == 0 || rc == MDB_NOTFOUND ? KW_ENOTFOUND : spool_mdb(rc);
}

enum kw_err spool_run_answer(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_erasure *answer = op->u.answer.erasure;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	enum kw_err err = find_waiting(spool, txn, &op->u.answer.thread_id, key, &erasure);

	op->count = err == KW_OK;
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	op->follow = true;
	if (answer->outcome == SPOOL_ERASE_DONE) {
		err = apply(spool, txn, key, &erasure, op);
		op->count = 1;
		return err;
	}
	erasure.due = false;
	erasure.outcome = answer->outcome;
	erasure.ground = answer->ground;
	erasure.until_ms = answer->until_ms;
	erasure.answered_ms = answer->answered_ms;
	memcpy(erasure.note, answer->note, sizeof(erasure.note));
	err = spool_erasure_put(spool, txn, key, &erasure);
	return err != KW_OK ? err : say(spool, txn, &erasure, SPOOL_FOLLOW_ACK);
}

/* The row of a message of ours; KW_ENOTFOUND also for a damaged one. */
static enum kw_err row_of(struct spool *spool, MDB_txn *txn, const struct spool_item *item, uint8_t *key,
	struct spool_erasure *out)
{
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, key);

	if (err == KW_OK)
		err = spool_erasure_get(spool, txn, key, out);
	return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
}

enum kw_err spool_erasure_sent(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	enum kw_err err = row_of(spool, txn, item, key, &erasure);

	if (err != KW_OK || erasure.role == SPOOL_ERASURE_HOLDER)
		return err == KW_ENOTFOUND ? KW_OK : err;
	erasure.number = item->number;
	erasure.failure = KW_OK;
	return spool_erasure_put(spool, txn, key, &erasure);
}

enum kw_err spool_erasure_dead(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	enum kw_err err = row_of(spool, txn, item, key, &erasure);

	if (err != KW_OK || erasure.number != item->number || erasure.outcome != 0)
		return err == KW_ENOTFOUND ? KW_OK : err;
	/* An agency that was away for so long is asked again until it answers; one that cannot be reached is a person's to see. */
	erasure.failure = item->reason;
	if (item->reason == KW_EEXPIRED || item->reason == KW_EUNCONFIRMED) {
		erasure.number = 0;
		erasure.failure = KW_OK;
		err = ask_again(spool, txn, &erasure);
	}
	return err != KW_OK ? err : spool_erasure_put(spool, txn, key, &erasure);
}
