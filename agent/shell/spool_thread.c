#include <string.h>

#include "agent/shell/spool_thread_inner.h"
#include "proto/base/check.h"

/* Threads, run by the writer in the transaction of the message that moves them, so that no crash leaves a message without
 * its effect or an effect twice. What an event does is judged by agent/core/thread.h; here stand the records and their log;
 * what arrives, in turn or before it, is in spool_early.c.
 *
 * A damaged record refuses what would move it: a state that is guessed is worse than one that a person must look up. */

enum kw_err spool_thread_key(const struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	uint8_t *out)
{
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(thread_id->bytes), out);

	return err != KW_OK ? err : spool_tag(spool, spool_name_view(agency), out + SPOOL_TAG_SIZE);
}

/* Where the pseudonyms of a thread stand. */
static struct spool_content_place place_of(const uint8_t *key)
{
	return (struct spool_content_place){.table = T_THREADS, .key = KW_VIEW(key, SPOOL_THREAD_KEY_SIZE)};
}

static struct spool_vault_id vault_id(const uint8_t *key)
{
	struct spool_vault_id id = {.size = SPOOL_THREAD_KEY_SIZE};

	memcpy(id.bytes, key, SPOOL_THREAD_KEY_SIZE);
	return id;
}

/* Head ‖ sealed part becomes the whole; of an erased thread zeros. */
static enum kw_err open_private(struct spool *spool, const uint8_t *key, struct kw_buf *plain)
{
	static const uint8_t zeros[SPOOL_THREAD_SIZE - SPOOL_THREAD_HEAD_SIZE];
	struct spool_vault_id id = vault_id(key);
	struct kw_buf part;
	enum kw_err err;

	if (plain->size < SPOOL_THREAD_HEAD_SIZE)
		return KW_ECORRUPT;
	kw_buf_init(&part, 4096);
	err = spool_content_open(spool, &id, place_of(key),
		KW_VIEW(plain->data + SPOOL_THREAD_HEAD_SIZE, plain->size - SPOOL_THREAD_HEAD_SIZE), &part);
	if (err == KW_OK && part.size == 0)
		err = kw_buf_add(&part, KW_VIEW_OF(zeros));
	plain->size = SPOOL_THREAD_HEAD_SIZE;
	if (err == KW_OK)
		err = kw_buf_add(plain, kw_buf_view(&part));
	kw_buf_fini(&part);
	return err;
}

/* The row: what names nothing of the case in the head, the rest under the key of the thread, and nothing once it is erased. */
static enum kw_err put_row(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_thread *thread)
{
	uint8_t plain[SPOOL_THREAD_SIZE];
	struct spool_vault_id id = vault_id(key);
	struct kw_buf row;
	enum kw_err err;

	spool_thread_encode(thread, plain);
	kw_buf_init(&row, 4096);
	err = kw_buf_add(&row, KW_VIEW(plain, SPOOL_THREAD_HEAD_SIZE));
	if (err == KW_OK && (thread->service != 0 || thread->case_ref[0] != '\0' || thread->alias[0] != '\0'))
		err = spool_content_seal(spool, &id, place_of(key),
			KW_VIEW(plain + SPOOL_THREAD_HEAD_SIZE, SPOOL_THREAD_SIZE - SPOOL_THREAD_HEAD_SIZE), &row);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_THREADS, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), kw_buf_view(&row));
	kw_buf_fini(&row);
	kw_wipe(plain, sizeof(plain));
	return err;
}

enum kw_err spool_thread_get(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_thread *out)
{
	struct kw_buf plain;
	enum kw_err err;

	kw_buf_init(&plain, 4096);
	err = spool_get_sealed(spool, txn, T_THREADS, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), &plain);
	if (err == KW_OK && plain.size != SPOOL_THREAD_SIZE_BEFORE_VAULT)
		err = open_private(spool, key, &plain);
	if (err == KW_OK)
		err = spool_thread_decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

enum kw_err spool_thread_put(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_thread *thread)
{
	uint8_t number[8];
	bool fresh = thread->number == 0;
	enum kw_err err = KW_OK;

	if (fresh)
		thread->number = spool->numbers[N_NEXT_THREAD]++;
	kw_put_u64(number, thread->number);
	if (fresh)
		err = spool_put(spool, txn, T_THREADNO, KW_VIEW_OF(number), KW_VIEW(key, SPOOL_THREAD_KEY_SIZE));
	if (err == KW_OK)
		err = put_row(spool, txn, key, thread);
	return err != KW_OK ? err : spool_todo_put(spool, txn, thread);
}

enum kw_err spool_log_put(struct spool *spool, MDB_txn *txn, const uint8_t *key, uint32_t n, const struct spool_log *log)
{
	uint8_t log_key[SPOOL_THREAD_KEY_SIZE + 4];
	uint8_t plain[SPOOL_LOG_SIZE];

	spool_log_key(key, n, log_key);
	spool_log_encode(log, plain);
	return spool_put_sealed(spool, txn, T_THREADLOG, KW_VIEW_OF(log_key), KW_VIEW_OF(plain));
}

enum kw_err spool_log_get(struct spool *spool, MDB_txn *txn, const uint8_t *key, uint32_t n, struct spool_log *out)
{
	uint8_t log_key[SPOOL_THREAD_KEY_SIZE + 4];
	struct kw_buf plain;
	enum kw_err err;

	spool_log_key(key, n, log_key);
	kw_buf_init(&plain, 4096);
	err = spool_get_sealed(spool, txn, T_THREADLOG, KW_VIEW_OF(log_key), &plain);
	if (err == KW_OK)
		err = spool_log_decode(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

/* How long the log may be before this step. The other side must not be able to leave us without a way to go on or to end it. */
static uint32_t log_max(const struct spool_pass *pass)
{
	const struct agt_thread *next = &pass->result.next;

	if (!kw_state_is_open(next->kind, next->state) || pass->event.author > AGT_THREAD_THEIRS)
		return SPOOL_LOG_MAX + SPOOL_LOG_RESERVE;
	/* Another appointment is no way on. */
	return pass->event.author == AGT_THREAD_OURS && next->state != pass->thread.record.state ? SPOOL_LOG_MAX + SPOOL_LOG_RESERVE / 2
		: SPOOL_LOG_MAX;
}

enum kw_err spool_pass_judge(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	enum agt_thread_author author, struct spool_pass *pass)
{
	const struct spool_act *act = move->act;
	enum kw_err err = spool_thread_key(spool, &move->item->thread_id, &move->item->agency, pass->key);

	if (err != KW_OK)
		return err;
	err = spool_thread_get(spool, txn, pass->key, &pass->thread);
	pass->known = err == KW_OK;
	if (err == KW_ENOTFOUND) {
		memset(&pass->thread, 0, sizeof(pass->thread));
		err = KW_OK;
	}
	if (err != KW_OK)
		return err;
	pass->event = (struct agt_thread_event){.author = author,
		.kind = act->kind,
		.opening = act->opening,
		.state = act->state,
		.risk = act->risk,
		.sequence = author > AGT_THREAD_THEIRS ? 0 : move->item->thread_sequence,
		.now_ms = move->now_ms};
	agt_thread_step(&pass->thread.record, &pass->event, &pass->result);
	if (pass->result.verdict == AGT_THREAD_APPLY && pass->thread.log_count >= log_max(pass)) {
		struct agt_thread before = pass->thread.record;

		if (author == AGT_THREAD_THEIRS)
			before.expected = pass->result.next.expected;
		pass->result = (struct agt_thread_result){
			.verdict = AGT_THREAD_ILLEGAL, .fault = AGT_FAULT_LONG, .next = before};
	}
	return KW_OK;
}

enum kw_err spool_pass_keep(struct spool *spool, MDB_txn *txn, const struct spool_move *move, struct spool_pass *pass)
{
	struct spool_thread *thread = &pass->thread;
	bool step = pass->result.verdict == AGT_THREAD_APPLY;
	enum kw_err err = KW_OK;

	if (!pass->known) {
		thread->thread_id = move->item->thread_id;
		thread->agency = move->item->agency;
		thread->service = move->act->service;
		thread->unclaimed = move->act->unclaimed;
		memcpy(thread->case_ref, move->act->case_ref, sizeof(thread->case_ref));
	} else if (pass->result.verdict == AGT_THREAD_APPLY && move->act != NULL && move->act->opening &&
		move->act->case_ref[0] != '\0') {
		memcpy(thread->case_ref, move->act->case_ref, sizeof(thread->case_ref)); /* an offer names what a request did not */
	}
	if (pass->result.verdict == AGT_THREAD_APPLY && move->act != NULL && move->act->alias[0] != '\0')
		memcpy(thread->alias, move->act->alias, sizeof(thread->alias));
	if (pass->result.next.changed_ms != thread->record.changed_ms || pass->result.next.state != thread->record.state)
		thread->reminded = 0;
	thread->record = pass->result.next;
	if (step) {
		struct spool_log log = {.event = pass->event,
			.became = thread->record.state,
			.content_type = pass->event.author <= AGT_THREAD_THEIRS ? move->act->content_type : 0,
			.number = move->number};

		err = spool_log_put(spool, txn, pass->key, ++thread->log_count, &log);
	}
	return err != KW_OK ? err : spool_thread_put(spool, txn, pass->key, thread);
}

enum kw_err spool_follow_put(struct spool *spool, MDB_txn *txn, const struct spool_follow *follow)
{
	uint8_t head[SPOOL_FOLLOW_SIZE];
	uint8_t key[8];
	struct kw_buf plain;

	kw_put_u64(key, spool->numbers[N_NEXT_FOLLOW]++);
	spool_follow_encode(follow, head);
	kw_buf_init(&plain, SPOOL_FOLLOW_SIZE + follow->content.size);
	enum kw_err err = kw_buf_add(&plain, KW_VIEW_OF(head));
	if (err == KW_OK && follow->content.size > 0)
		err = kw_buf_add(&plain, follow->content);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_FOLLOW, KW_VIEW_OF(key), kw_buf_view(&plain));
	kw_buf_fini(&plain);
	return err;
}

static enum kw_err put_follow(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread, uint8_t state)
{
	struct spool_follow follow = {
		.thread_id = thread->thread_id, .agency = thread->agency, .kind = thread->record.kind, .state = state};

	return spool_follow_put(spool, txn, &follow);
}

/* The open threads of the same offer with other agencies are told that it is closed. */
static enum kw_err close_others(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OPEN], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_thread thread;
		struct kw_view key;

		if (spool_get(spool, txn, T_THREADNO, KW_VIEW(k.mv_data, k.mv_size), &key) != KW_OK ||
			key.size != SPOOL_THREAD_KEY_SIZE || spool_thread_get(spool, txn, key.data, &thread) != KW_OK)
			continue;
		if (thread.record.kind != KW_THREAD_OFFER || thread.number == pass->thread.number ||
			thread.record.party != KW_PARTY_OPENER || thread.case_ref[0] == '\0' ||
			strcmp(thread.case_ref, pass->thread.case_ref) != 0 ||
			!agt_thread_may(&thread.record, KW_OFFER_CLOSED))
			continue;
		err = put_follow(spool, txn, &thread, KW_OFFER_CLOSED);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_pass_follow(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass)
{
	switch (pass->result.follow) {
	case AGT_FOLLOW_WITHDRAWN:
		return put_follow(spool, txn, &pass->thread, KW_TRANSFER_WITHDRAWN);
	case AGT_FOLLOW_CLOSE_OTHERS:
		return close_others(spool, txn, pass);
	case AGT_FOLLOW_NONE:
		break;
	}
	return KW_OK;
}

/* Whether another thread keeps us from offering this case: two new owners must not be able to accept it. */
static enum kw_err is_offered(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, const char *case_ref,
	bool *out)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OPEN], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (*out = false; !*out && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_thread thread;
		struct kw_view key;

		if (spool_get(spool, txn, T_THREADNO, KW_VIEW(k.mv_data, k.mv_size), &key) != KW_OK ||
			key.size != SPOOL_THREAD_KEY_SIZE || memcmp(key.data, pass->key, SPOOL_THREAD_KEY_SIZE) == 0 ||
			spool_thread_get(spool, txn, key.data, &thread) != KW_OK)
			continue;
		*out = agt_thread_bars_offer(&thread.record) && strcmp(thread.case_ref, case_ref) == 0;
	}
	mdb_cursor_close(cursor);
	return rc == 0 || rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

/* Whether a thread of this id stands with another agency. One id must not name two: a caller that gives the id alone could not
 * say which it means, and hubs hold it for the thread of the first two. */
static enum kw_err is_taken(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, bool *out)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE] = {0};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_THREADS], &cursor));

	if (err != KW_OK)
		return err;
	memcpy(key, pass->key, SPOOL_TAG_SIZE);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	*out = rc == 0 && k.mv_size == sizeof(key) && memcmp(k.mv_data, key, SPOOL_TAG_SIZE) == 0;
	mdb_cursor_close(cursor);
	return rc == 0 || rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
}

enum kw_err spool_thread_ours(struct spool *spool, MDB_txn *txn, const struct spool_move *move, struct spool_op *op)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_judge(spool, txn, move, AGT_THREAD_OURS, &pass);

	if (err == KW_ECORRUPT) {
		op->fault = AGT_FAULT_STATE;
		return KW_OK;
	}
	if (err != KW_OK)
		return err;
	op->present = pass.thread.record;
	if (pass.result.verdict == AGT_THREAD_ILLEGAL) {
		op->fault = pass.result.fault;
		return KW_OK;
	}
	if (!move->log_only && !pass.known) {
		bool taken = false;

		err = is_taken(spool, txn, &pass, &taken);
		if (err != KW_OK || taken) {
			op->fault = AGT_FAULT_TAKEN;
			return err;
		}
	}
	if (!move->log_only && move->act->kind == KW_THREAD_TRANSFER && move->act->state == KW_TRANSFER_OFFERED) {
		bool offered = false;

		err = is_offered(spool, txn, &pass, move->act->case_ref, &offered);
		if (err != KW_OK || offered) {
			op->fault = AGT_FAULT_OFFERED; /* of an error nothing is read but the error */
			return err;
		}
	}
	bool of_offer = move->act->kind == KW_THREAD_OFFER && move->act->state == KW_OFFER_LEASED;
	bool may = true; /* LEASED in the thread of an offer that we keep is said to the winner alone */
	if (err == KW_OK && of_offer)
		err = spool_offer_may_lease(spool, txn, pass.key, &of_offer, &may);
	if (err != KW_OK || !may) {
		op->fault = AGT_FAULT_STATE;
		return err;
	}
	err = spool_pass_keep(spool, txn, move, &pass);
	if (err != KW_OK || move->log_only)
		return err;
	if (of_offer) /* which knows its members: nobody has to look for them */
		return spool_offer_event(spool, txn, pass.key, AGT_OFFER_EV_LEASE_SENT);
	op->follow = op->follow || pass.result.follow != AGT_FOLLOW_NONE;
	return spool_pass_follow(spool, txn, &pass);
}

/* A word that has no place: of the hub, or a receipt. One that does not apply changes nothing and nobody is told. */
static enum kw_err placeless(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	enum agt_thread_author author)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_judge(spool, txn, move, author, &pass);

	if (err != KW_OK || pass.result.verdict != AGT_THREAD_APPLY)
		return err == KW_ECORRUPT ? KW_OK : err;
	return spool_pass_keep(spool, txn, move, &pass);
}

enum kw_err spool_thread_receipt(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	return placeless(spool, txn, move, AGT_THREAD_RECEIPT);
}

enum kw_err spool_thread_hub(struct spool *spool, MDB_txn *txn, const struct spool_move *move)
{
	enum kw_err err = placeless(spool, txn, move, AGT_THREAD_HUB);

	return err != KW_OK ? err : spool_offer_hub(spool, txn, move);
}

enum kw_err spool_pass_is_opening(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	const struct spool_pass *pass, bool *out)
{
	struct spool_log log;
	enum kw_err err = spool_log_get(spool, txn, pass->key, 1, &log);

	if (err != KW_OK)
		return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
	*out = log.event.author == AGT_THREAD_OURS && log.number == item->number;
	return KW_OK;
}

enum kw_err spool_pass_find(struct spool *spool, MDB_txn *txn, const struct spool_item *item, struct spool_pass *pass)
{
	enum kw_err err = spool_thread_key(spool, &item->thread_id, &item->agency, pass->key);

	if (err == KW_OK)
		err = spool_thread_get(spool, txn, pass->key, &pass->thread);
	pass->known = true;
	return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
}

enum kw_err spool_thread_delivered(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	struct spool_act act = {.kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_DELIVERED};
	struct spool_move move = {.item = item, .act = &act, .number = item->number, .now_ms = item->delivered_ms};
	struct spool_pass pass;
	enum kw_err err = spool_pass_find(spool, txn, item, &pass);

	bool opening = false;

	if (err == KW_OK)
		err = spool_pass_is_opening(spool, txn, item, &pass, &opening);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	if (pass.thread.record.kind != KW_THREAD_REFERRAL || !opening)
		return KW_OK;
	return placeless(spool, txn, &move, AGT_THREAD_RECEIPT);
}

enum kw_err spool_thread_reminded(struct spool *spool, MDB_txn *txn, const struct spool_item *item, uint8_t step)
{
	struct spool_pass pass;
	enum kw_err err = spool_pass_find(spool, txn, item, &pass);

	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err; /* a coordinator has no part in the thread */
	pass.thread.reminded = step;
	return spool_thread_put(spool, txn, pass.key, &pass.thread);
}
