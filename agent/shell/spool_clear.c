#include <string.h>

#include "agent/shell/spool_clear.h"
#include "agent/shell/spool_thread_inner.h"

/* Copies outside the agent, run by the writer. A holder's key is destroyed at once, and with it everything by which the case
 * could be found again in the agency's own case system; so that is kept apart, in the transaction that takes the question, under a
 * key of its own:
 *
 *   asked → a row here → kinward todo, until a person says that the own system is clear → the row and its key go
 *
 * With `erase: confirmed` the answer waits for that word; otherwise it has left when the key of the contents was gone. */

#define VERSION 1u
#define FLAG_LIMITED 1u
#define FLAG_WAITS 2u
#define AT_THREAD 8u
#define AT_AGENCY 24u
#define AT_MESSAGE 88u
#define AT_ASKED 104u
#define AT_NUMBER 112u
#define HEAD_SIZE 120u
#define REF_SIZE (SPOOL_CASE_REF_SIZE_MAX + 1u)
#define NAMES_SIZE (2u * REF_SIZE)

static struct spool_vault_id vault_id(uint64_t number)
{
	struct spool_vault_id id = {.size = 1 + sizeof(number), .bytes = {'c'}};

	kw_put_u64(id.bytes + 1, number);
	return id;
}

static struct spool_content_place place_of(const uint8_t *key)
{
	return (struct spool_content_place){.table = T_CLEAR, .key = KW_VIEW(key, SPOOL_THREAD_KEY_SIZE)};
}

static enum kw_err seal(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_clear *clear)
{
	uint8_t head[HEAD_SIZE] = {VERSION, (uint8_t)((clear->limited ? FLAG_LIMITED : 0) | (clear->answer_waits ? FLAG_WAITS : 0)),
		(uint8_t)clear->kind, clear->action, clear->purposes};
	uint8_t names[NAMES_SIZE];
	uint64_t number = spool->numbers[N_NEXT_FOLLOW]++; /* one that nothing had before: a key that is destroyed stays so */
	struct spool_vault_id id = vault_id(number);
	struct kw_buf row;

	memcpy(head + AT_THREAD, clear->thread_id.bytes, KW_ID_SIZE);
	memcpy(head + AT_AGENCY, clear->agency.text, sizeof(clear->agency.text));
	memcpy(head + AT_MESSAGE, clear->message_id.bytes, KW_ID_SIZE);
	kw_put_u64(head + AT_ASKED, (uint64_t)clear->asked_ms);
	kw_put_u64(head + AT_NUMBER, number);
	memcpy(names, clear->case_ref, REF_SIZE);
	memcpy(names + REF_SIZE, clear->alias, REF_SIZE);
	kw_buf_init(&row, 4096);
	enum kw_err err = kw_buf_add(&row, KW_VIEW_OF(head));
	if (err == KW_OK)
		err = spool_content_seal(spool, &id, place_of(key), KW_VIEW_OF(names), &row);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_CLEAR, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), kw_buf_view(&row));
	kw_buf_fini(&row);
	kw_wipe(names, sizeof(names));
	return err;
}

/* KW_ENOTFOUND, KW_ECORRUPT. number may be NULL. */
static enum kw_err get(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct spool_clear *out, uint64_t *number)
{
	struct kw_buf row;
	struct kw_buf names;

	kw_buf_init(&row, 4096);
	kw_buf_init(&names, 4096);
	enum kw_err err = spool_get_sealed(spool, txn, T_CLEAR, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), &row);
	if (err == KW_OK && (row.size < HEAD_SIZE || row.data[0] != VERSION || row.data[AT_AGENCY + KW_NAME_SIZE_MAX] != '\0'))
		err = KW_ECORRUPT;
	if (err == KW_OK) {
		struct spool_vault_id id = vault_id(kw_get_u64(row.data + AT_NUMBER));

		err = spool_content_open(spool, &id, place_of(key), KW_VIEW(row.data + HEAD_SIZE, row.size - HEAD_SIZE), &names);
	}
	if (err == KW_OK) {
		*out = (struct spool_clear){.kind = (enum kw_thread_kind)row.data[2],
			.action = row.data[3],
			.purposes = row.data[4],
			.limited = (row.data[1] & FLAG_LIMITED) != 0,
			.answer_waits = (row.data[1] & FLAG_WAITS) != 0,
			.asked_ms = (int64_t)kw_get_u64(row.data + AT_ASKED)};
		memcpy(out->thread_id.bytes, row.data + AT_THREAD, KW_ID_SIZE);
		memcpy(out->agency.text, row.data + AT_AGENCY, sizeof(out->agency.text));
		memcpy(out->message_id.bytes, row.data + AT_MESSAGE, KW_ID_SIZE);
		if (names.size == NAMES_SIZE && names.data[REF_SIZE - 1] == '\0' && names.data[NAMES_SIZE - 1] == '\0') {
			memcpy(out->case_ref, names.data, REF_SIZE);
			memcpy(out->alias, names.data + REF_SIZE, REF_SIZE);
		}
		if (number != NULL)
			*number = kw_get_u64(row.data + AT_NUMBER);
	}
	kw_buf_fini(&names);
	kw_buf_fini(&row);
	return err;
}

static enum kw_err drop(struct spool *spool, MDB_txn *txn, const uint8_t *key, uint64_t number)
{
	struct spool_vault_id id = vault_id(number);
	enum kw_err err = spool_del(spool, txn, T_CLEAR, KW_VIEW(key, SPOOL_THREAD_KEY_SIZE), NULL);

	spool->shreds = true;
	return err != KW_OK ? err : spool_put(spool, txn, T_SHRED, KW_VIEW(id.bytes, id.size), KW_VIEW(NULL, 0));
}

/* The message that opened the thread, when it was theirs. */
static enum kw_err find_opening(struct spool *spool, MDB_txn *txn, const uint8_t *key, struct kw_id *out)
{
	struct spool_log log;
	struct spool_item item;
	struct kw_buf plain;
	uint8_t number[8];
	enum kw_err err = spool_log_get(spool, txn, key, 1, &log);

	if (err != KW_OK || log.event.author != AGT_THREAD_THEIRS)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	kw_put_u64(number, log.number);
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, T_INBOX, KW_VIEW_OF(number), &plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(&plain), &item);
	if (err == KW_OK)
		*out = item.message_id;
	kw_buf_fini(&plain);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

enum kw_err spool_clear_put(struct spool *spool, MDB_txn *txn, const struct spool_erasure *asked,
	const struct spool_thread *thread)
{
	struct spool_clear clear = {.thread_id = asked->thread_id,
		.agency = asked->agency,
		.kind = thread->record.kind,
		/* What a law keeps is kept there as well, and not used. */
		.action = asked->outcome == SPOOL_ERASE_RETAINED ? SPOOL_RESTRICT_ACTION : asked->action,
		.purposes = asked->purposes,
		.limited = asked->limited,
		.answer_waits = asked->unconfirmed,
		.asked_ms = asked->asked_ms};
	struct spool_clear old;
	uint64_t number = 0;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	enum kw_err err = spool_thread_key(spool, &asked->thread_id, &asked->agency, key);

	if (err != KW_OK || thread->record.kind == KW_THREAD_NONE)
		return err; /* nothing of it ever came here */
	memcpy(clear.case_ref, thread->case_ref, sizeof(clear.case_ref));
	memcpy(clear.alias, thread->alias, sizeof(clear.alias));
	err = find_opening(spool, txn, key, &clear.message_id);
	if (err != KW_OK)
		return err;
	err = get(spool, txn, key, &old, &number);
	if (err == KW_OK)
		err = drop(spool, txn, key, number);
	return err == KW_OK || err == KW_ENOTFOUND || err == KW_ECORRUPT ? seal(spool, txn, key, &clear) : err;
}

/* The answer that waited for it may leave. */
static enum kw_err confirmed(struct spool *spool, MDB_txn *txn, const uint8_t *key, int64_t now_ms)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_CONFIRMED};
	struct spool_erasure erasure;
	struct agt_erase row;
	struct agt_erase_result result;
	enum kw_err err = spool_erasure_find(spool, txn, key, &erasure, &row);

	if (err != KW_OK)
		return err;
	agt_erase_step(&row, &event, &result);
	if (result.changed && result.next.outcome != AGT_ERASE_OPEN)
		erasure.answered_ms = now_ms;
	return result.changed ? spool_erasure_keep(spool, txn, &erasure, &result) : KW_OK;
}

enum kw_err spool_clear_confirm(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE] = {0};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = SPOOL_TAG_SIZE, .mv_data = key};
	MDB_val v;
	struct spool_clear clear;
	uint64_t number = 0;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(op->u.answer.thread_id.bytes), key);

	op->count = 0;
	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_CLEAR], &cursor));
	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	bool found = rc == 0 && k.mv_size == sizeof(key) && memcmp(k.mv_data, key, SPOOL_TAG_SIZE) == 0;
	if (found)
		memcpy(key, k.mv_data, sizeof(key));
	mdb_cursor_close(cursor);
	if (!found)
		return rc == 0 || rc == MDB_NOTFOUND ? KW_OK : spool_mdb(rc);
	err = get(spool, txn, key, &clear, &number);
	if (err == KW_OK)
		err = drop(spool, txn, key, number);
	else if (err == KW_ECORRUPT) /* nothing is left to read in it */
		err = spool_del(spool, txn, T_CLEAR, KW_VIEW_OF(key), NULL);
	if (err == KW_OK)
		err = confirmed(spool, txn, key, op->u.answer.erasure->answered_ms);
	op->count = err == KW_OK;
	op->follow = true;
	return err;
}

enum kw_err spool_clears(struct spool *spool, bool (*each)(void *user, const struct spool_clear *clear), void *user)
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
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_CLEAR], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0 && more; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct spool_clear clear;

		if (k.mv_size == SPOOL_THREAD_KEY_SIZE && get(spool, txn, k.mv_data, &clear, NULL) == KW_OK)
			more = each(user, &clear);
		else
			spool->damaged_reads++;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
