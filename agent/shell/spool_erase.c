#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_case.h"
#include "proto/wire/crypt.h"

/* Consent that is withdrawn, run by the writer; agent/core/erase.h decides. In one transaction: what is asked of each holder
 * is written down, what has to be said to it goes on the list of what the agent says by itself, and the keys of our own contents go on the list of those
 * to be destroyed. A crash anywhere leaves all of it or nothing, and each list is worked off once (agent_follow, spool_shred).
 *
 * A holder answers "done" only when the key is gone: spool_shred says so, not the transaction that asked for it. */

bool spool_erasure_hides(const struct spool_erasure *erasure)
{
	struct agt_erase row;

	spool_erasure_core(erasure, &row);
	return agt_erase_hides(&row);
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
	struct agt_erase row = {.known = false};
	enum kw_err err = spool_erasure_get(spool, txn, thread_key, &erasure);

	if (err == KW_OK)
		spool_erasure_core(&erasure, &row);
	*out = err == KW_ECORRUPT || agt_erase_is_over(&row); /* a damaged row was a row */
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_erasure_find(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key, struct spool_erasure *out,
	struct agt_erase *core)
{
	enum kw_err err = spool_erasure_get(spool, txn, thread_key, out);

	*core = (struct agt_erase){.known = false};
	if (err == KW_OK)
		spool_erasure_core(out, core);
	else
		memset(out, 0, sizeof(*out));
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
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

enum kw_err spool_erasure_keep(struct spool *spool, MDB_txn *txn, struct spool_erasure *erasure,
	const struct agt_erase_result *result)
{
	static const enum spool_follow_what whats[AGT_ERASE_SAY_COUNT] = {[AGT_ERASE_SAY_CONSENT] = SPOOL_FOLLOW_CONSENT,
		[AGT_ERASE_SAY_ERASE] = SPOOL_FOLLOW_ERASE,
		[AGT_ERASE_SAY_ACK] = SPOOL_FOLLOW_ACK};
	struct spool_follow follow = {.thread_id = erasure->thread_id, .agency = erasure->agency};
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	enum kw_err err = spool_thread_key(spool, &erasure->thread_id, &erasure->agency, key);

	spool_erasure_set(erasure, &result->next);
	if (err == KW_OK && result->changed)
		err = spool_erasure_put(spool, txn, key, erasure);
	for (int i = 0; err == KW_OK && i < AGT_ERASE_SAY_COUNT; i++) {
		follow.what = whats[i];
		if ((result->say >> i & 1u) != 0)
			err = spool_follow_put(spool, txn, &follow);
	}
	return err == KW_OK && result->shred ? erase_thread(spool, txn, key) : err;
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

/* What we had sent there and nobody has taken yet need not arrive any more, but for the words on which it hangs whose a case
 * or a lease is: an acceptance that nobody hears of would leave the case to two. */
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
			kw_id_equal(&item.thread_id, &thread->thread_id) && kw_name_equal(&item.agency, &thread->agency) &&
			(item.thread_sequence == 0 || !agt_thread_binds(thread->record.kind))) {
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

/* What stays to find it by: the thread forgets what it is called with the erasure, and then the tags stay as they are. */
static enum kw_err put_tags(const struct spool *spool, const struct spool_thread *thread, struct spool_erasure *erasure)
{
	enum kw_err err = KW_OK;

	if (thread->case_ref[0] != '\0')
		err = spool_case_tag(spool, thread->case_ref, erasure->case_tag);
	return err != KW_OK || thread->alias[0] == '\0' ? err : spool_case_tag(spool, thread->alias, erasure->alias_tag);
}

/* Whether a kind of thread goes on: only purposes are withdrawn that it does not need. An erasure that is asked for in so many
 * words, or by another agency, ends it whatever the purposes. */
static bool is_limited(enum kw_thread_kind kind, const struct spool_erasure *what)
{
	return what->action != SPOOL_ERASE_ACTION && what->purposes != 0 && !agt_thread_ends_without(kind, what->purposes);
}

/* Asks the other agency of a thread, and counts it. Does nothing where it was asked before, or asked us. */
static enum kw_err ask(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread,
	const struct spool_erasure *what, struct spool_op *op)
{
	bool limited = is_limited(thread->record.kind, what);
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ASK,
		.action = what->action != 0 ? what->action : limited ? SPOOL_RESTRICT_ACTION : SPOOL_ERASE_ACTION,
		.purposes = what->purposes,
		.limited = limited,
		.passed_on = what->passed_on};
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;
	struct spool_follow state = {.thread_id = thread->thread_id,
		.agency = thread->agency,
		.kind = thread->record.kind,
		.state = agt_thread_withdrawal(&thread->record)};
	enum kw_err err = spool_thread_key(spool, &thread->thread_id, &thread->agency, key);

	if (err == KW_OK)
		err = spool_erasure_find(spool, txn, key, &erasure, &row);
	if (err != KW_OK)
		return err;
	agt_erase_step(&row, &event, &result);
	if (!result.changed)
		return KW_OK;
	struct spool_erasure before = erasure;
	erasure = *what;
	erasure.thread_id = thread->thread_id;
	erasure.agency = thread->agency;
	memcpy(erasure.case_tag, before.case_tag, sizeof(erasure.case_tag));
	memcpy(erasure.alias_tag, before.alias_tag, sizeof(erasure.alias_tag));
	err = put_tags(spool, thread, &erasure);
	if (err == KW_OK && result.recall)
		err = recall(spool, txn, thread, op);
	if (err == KW_OK && result.withdraw && state.state != 0)
		err = spool_follow_put(spool, txn, &state);
	if (err == KW_OK)
		err = spool_erasure_keep(spool, txn, &erasure, &result);
	op->follow = true;
	op->count++;
	op->limited += limited;
	return err;
}

/* Which threads a withdrawal is about. */
struct reach {
	struct spool *spool;
	MDB_txn *txn;
	struct spool_op *op;
	const struct spool_erasure *what;
	const struct kw_id *thread_id;     /* this one; NULL: those of the case */
	uint64_t case_id;
	const uint8_t *but;                /* not this one: a key */
	bool told_by_us;                   /* those only that we began */
	struct spool_erasure *told;        /* where it is written down who was asked; NULL: nowhere */
};

/* A name stands once, however many threads it has with us. */
static void tell(struct spool_erasure *told, const struct kw_name *agency)
{
	for (uint32_t i = 0; i < told->passed_count; i++)
		if (kw_name_equal(&told->passed[i], agency))
			return;
	if (told->passed_count < SPOOL_PASSED_MAX)
		told->passed[told->passed_count++] = *agency;
	else
		told->passed_more++;
}

static enum kw_err reach_one(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	const struct reach *reach = user;
	struct agt_erase_reach rule = {.by_thread = reach->thread_id != NULL, .told_by_us = reach->told_by_us};
	struct agt_erase_match match = {.same_id = reach->thread_id != NULL,
		.named = reach->thread_id == NULL,
		.cause = reach->but != NULL && memcmp(key, reach->but, SPOOL_THREAD_KEY_SIZE) == 0};
	uint32_t before = reach->op->count;

	if (!agt_erase_reaches(&rule, &thread->record, &match))
		return KW_OK;
	enum kw_err err = ask(reach->spool, reach->txn, thread, reach->what, reach->op);
	if (err == KW_OK && reach->op->count > before && reach->told != NULL)
		tell(reach->told, &thread->agency);
	return err;
}

static enum kw_err ask_all(struct reach *reach)
{
	const struct spool_offer_reach offers = {reach->thread_id, reach->case_id};
	bool limited = is_limited(KW_THREAD_OFFER, reach->what);
	enum kw_err err = limited ? KW_OK : spool_erase_offers(reach->spool, reach->txn, &offers, reach->op);

	if (err != KW_OK)
		return err;
	if (reach->thread_id != NULL)
		return spool_case_thread_id(reach->spool, reach->txn, reach->thread_id, reach_one, reach);
	return spool_case_threads(reach->spool, reach->txn, reach->case_id, reach_one, reach);
}

enum kw_err spool_run_withdraw(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct reach reach = {.spool = spool, .txn = txn, .op = op, .what = op->u.withdraw.erasure};
	enum kw_err err = KW_OK;

	op->count = 0;
	op->offers = 0;
	op->limited = 0;
	if (op->u.withdraw.by_thread)
		reach.thread_id = &op->u.withdraw.thread_id;
	else
		err = spool_case_meant(spool, txn, op->u.withdraw.case_ref, &op->u.withdraw.claim, &reach.case_id);
	op->u.withdraw.ambiguous = err == KW_EEXIST;
	op->u.withdraw.case_id = err == KW_OK ? reach.case_id : 0;
	if (err != KW_OK)
		return err == KW_EEXIST ? KW_OK : err;
	return ask_all(&reach);
}

/* What a holder was asked, or decided, is asked of those that it told; of an erasure its own key goes, and the thread ends. */
static enum kw_err apply(struct spool *spool, MDB_txn *txn, struct spool_erasure *erasure,
	const struct agt_erase_result *result, struct spool_op *op)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread = {0};
	struct spool_erasure onward = *erasure;
	struct reach reach = {.spool = spool, .txn = txn, .op = op, .what = &onward, .but = key, .told_by_us = true, .told = erasure};
	enum kw_err err = spool_thread_key(spool, &erasure->thread_id, &erasure->agency, key);

	if (err != KW_OK)
		return err;
	err = spool_thread_get(spool, txn, key, &thread);
	onward.passed_on = true;
	onward.passed_count = 0;
	onward.passed_more = 0;
	onward.purposes = result->next.purposes;
	onward.note[0] = '\0';
	reach.case_id = thread.case_id;
	if (err == KW_OK)
		err = put_tags(spool, &thread, erasure);
	if (err == KW_OK && result->shred)
		err = spool_thread_end_theirs(spool, txn, erasure);
	if (err == KW_OK)
		err = ask_all(&reach);
	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	err = spool_erasure_keep(spool, txn, erasure, result);
	bool holds = result->next.role == AGT_ERASE_HOLDER; /* who asked itself knows what it has to clear */
	return err != KW_OK || !holds ? err : spool_clear_put(spool, txn, erasure, &thread);
}

static enum kw_err take_answer(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_op *op)
{
	const struct spool_erasure *answer = op->u.receive.erasure;
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ANSWERED,
		.action = answer->action,
		.outcome = answer->outcome,
		.reason = answer->failure};
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;
	enum kw_err err = spool_erasure_find(spool, txn, key, &erasure, &row);

	if (err != KW_OK)
		return err;
	agt_erase_step(&row, &event, &result);
	if (!result.changed)
		return KW_OK; /* we have asked nothing of the kind there */
	erasure.ground = answer->ground;
	erasure.until_ms = answer->until_ms;
	erasure.answered_ms = op->u.receive.item.at_ms;
	erasure.passed_count = answer->passed_count;
	erasure.passed_more = answer->passed_more;
	memcpy(erasure.passed, answer->passed, sizeof(erasure.passed));
	memcpy(erasure.note, answer->note, sizeof(erasure.note));
	return spool_erasure_keep(spool, txn, &erasure, &result);
}

/* An Erase, or a ConsentUpdate that restricts. */
static enum kw_err take_question(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_op *op)
{
	const struct spool_erasure *asked = op->u.receive.erasure;
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ASKED,
		.action = asked->action,
		.purposes = asked->purposes,
		.manual = op->u.receive.erase_manual};
	struct spool_thread thread = {0};
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;
	enum kw_err err = spool_erasure_find(spool, txn, key, &erasure, &row);

	if (err == KW_OK)
		err = spool_thread_get(spool, txn, key, &thread);
	event.limited = err == KW_OK && is_limited(thread.record.kind, asked); /* of a case that is not here nothing is used at all */
	event.confirm = err == KW_OK && op->u.receive.erase_confirmed;         /* nor is it in our own system */
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		err = KW_OK;
	if (err != KW_OK)
		return err;
	agt_erase_step(&row, &event, &result);
	op->follow = true;
	if (result.fresh) {
		erasure = *asked;
		erasure.agency = op->u.receive.item.agency;
		erasure.asked_ms = op->u.receive.item.at_ms;
		erasure.answered_ms = result.next.outcome != AGT_ERASE_OPEN ? erasure.asked_ms : 0;
	}
	if (result.onward)
		return apply(spool, txn, &erasure, &result, op);
	err = spool_erasure_keep(spool, txn, &erasure, &result);
	bool restricts = result.changed && result.next.action != SPOOL_ERASE_ACTION && result.next.role != AGT_ERASE_AUTHOR;
	return err == KW_OK && restricts ? spool_clear_put(spool, txn, &erasure, &thread) : err;
}

enum kw_err spool_erasure_take(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_erasure *said = op->u.receive.erasure;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	/* Under the name of the agency that says it: nobody speaks about the threads of others. */
	enum kw_err err = spool_thread_key(spool, &said->thread_id, &op->u.receive.item.agency, key);

	if (err != KW_OK)
		return err;
	return said->outcome != AGT_ERASE_OPEN ? take_answer(spool, txn, key, op) : take_question(spool, txn, key, op);
}

/* The first row of this thread id that waits for a person, or was kept by one. KW_ENOTFOUND. */
static enum kw_err find_waiting(struct spool *spool, MDB_txn *txn, const struct kw_id *thread_id,
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
		found = spool_erasure_get(spool, txn, k.mv_data, out) == KW_OK && out->role == SPOOL_ERASURE_HOLDER &&
			(out->due || out->outcome == SPOOL_ERASE_RETAINED);
		rc = found ? 0 : mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return found ? KW_OK : rc == 0 || rc == MDB_NOTFOUND ? KW_ENOTFOUND : spool_mdb(rc);
}

enum kw_err spool_run_answer(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	const struct spool_erasure *answer = op->u.answer.erasure;
	struct agt_erase_event event = {.type = AGT_ERASE_EV_DECIDED, .outcome = answer->outcome};
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;

	if (op->u.answer.cleared)
		return spool_clear_confirm(spool, txn, op);
	enum kw_err err = find_waiting(spool, txn, &op->u.answer.thread_id, &erasure);

	op->count = err == KW_OK;
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	spool_erasure_core(&erasure, &row);
	agt_erase_step(&row, &event, &result);
	op->follow = true;
	if (!result.shred) {
		erasure.ground = answer->ground;
		erasure.until_ms = answer->until_ms;
		erasure.answered_ms = answer->answered_ms;
		memcpy(erasure.note, answer->note, sizeof(erasure.note));
	}
	err = result.onward ? apply(spool, txn, &erasure, &result, op) : spool_erasure_keep(spool, txn, &erasure, &result);
	op->count = 1; /* the thread that was decided about, however many were asked for it */
	return err;
}
