#include "agent/shell/spool_case.h"

#include <string.h>

#include "agent/shell/spool_consent.h"

/* The index of cases: its keys, and walking it. A walk goes by key, so that whoever is called may change the tables; also the row
 * that it is given. */

enum kw_err spool_case_head(const struct spool *spool, uint64_t case_id, uint8_t *out)
{
	uint8_t bytes[5 + 8] = "group";

	kw_put_u64(bytes + 5, case_id);
	return spool_tag(spool, KW_VIEW_OF(bytes), out);
}

/* No agency has a name with a blank. */
enum kw_err spool_case_name_head(const struct spool *spool, const struct spool_case_name *name, uint8_t *out)
{
	enum kw_err err = spool_case_tag(spool, name->ref, out);

	if (err != KW_OK)
		return err;
	return spool_tag(spool, name->agency != NULL ? spool_name_view(name->agency) : kw_view_str("our own"), out + SPOOL_TAG_SIZE);
}

enum kw_err spool_case_walk(struct spool *spool, MDB_txn *txn, const struct spool_case_rows *rows)
{
	uint8_t key[SPOOL_NAME_KEY_SIZE] = {0};
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = rows->key_size, .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[rows->table], &cursor));

	if (err != KW_OK)
		return err;
	memcpy(key, rows->head, rows->head_size);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == rows->key_size && memcmp(k.mv_data, rows->head, rows->head_size) == 0) {
		memcpy(key, k.mv_data, rows->key_size);
		uint64_t member = kw_get_u64(key + rows->key_size - 8);

		if (member != 0)
			err = rows->each(rows->user, member);
		bool last = true;
		for (size_t i = rows->key_size; last && i-- > rows->head_size; last = key[i] == 0)
			key[i]++;
		if (last)
			break;
		k = (MDB_val){.mv_size = rows->key_size, .mv_data = key};
		rc = err == KW_OK ? mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE) : 0;
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_case_member(struct spool *spool, MDB_txn *txn, uint64_t member, uint8_t *key, struct spool_thread *out)
{
	uint8_t number[8];
	struct kw_view row;

	kw_put_u64(number, member);
	enum kw_err err = spool_get(spool, txn, T_THREADNO, KW_VIEW_OF(number), &row);
	if (err == KW_OK && row.size != SPOOL_THREAD_KEY_SIZE)
		err = KW_ECORRUPT;
	if (err == KW_OK) {
		memcpy(key, row.data, SPOOL_THREAD_KEY_SIZE);
		err = spool_thread_get(spool, txn, key, out);
	}
	return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
}

struct threads {
	struct spool *spool;
	MDB_txn *txn;
	spool_case_each *each;
	void *user;
};

static enum kw_err hand_thread(void *user, uint64_t member)
{
	const struct threads *threads = user;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread;

	if ((member & SPOOL_MEMBER_OFFER) != 0)
		return KW_OK;
	enum kw_err err = spool_case_member(threads->spool, threads->txn, member, key, &thread);
	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_OK : err;
	return threads->each(threads->user, key, &thread);
}

enum kw_err spool_case_threads(struct spool *spool, MDB_txn *txn, uint64_t case_id, spool_case_each *each, void *user)
{
	uint8_t head[SPOOL_TAG_SIZE];
	struct threads threads = {spool, txn, each, user};
	enum kw_err err = spool_case_head(spool, case_id, head);

	if (err != KW_OK || case_id == 0)
		return err;
	return spool_case_walk(spool, txn, &(struct spool_case_rows){T_CASES, head, sizeof(head), SPOOL_CASE_KEY_SIZE, hand_thread, &threads});
}

enum kw_err spool_case_named(struct spool *spool, MDB_txn *txn, const struct spool_case_name *name, spool_case_each *each,
	void *user)
{
	uint8_t head[2 * SPOOL_TAG_SIZE];
	struct threads threads = {spool, txn, each, user};
	enum kw_err err = spool_case_name_head(spool, name, head);

	if (err != KW_OK || name->ref[0] == '\0')
		return err;
	return spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, head, sizeof(head), SPOOL_NAME_KEY_SIZE, hand_thread, &threads});
}

enum kw_err spool_case_tagged(struct spool *spool, MDB_txn *txn, const uint8_t *tag, spool_case_each *each, void *user)
{
	static const uint8_t none[SPOOL_TAG_SIZE];
	struct threads threads = {spool, txn, each, user};

	if (memcmp(tag, none, sizeof(none)) == 0)
		return KW_OK;
	return spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, tag, SPOOL_TAG_SIZE, SPOOL_NAME_KEY_SIZE, hand_thread, &threads});
}

struct offers {
	enum kw_err (*each)(void *user, uint64_t number);
	void *user;
};

static enum kw_err hand_offer(void *user, uint64_t member)
{
	const struct offers *offers = user;

	return (member & SPOOL_MEMBER_OFFER) == 0 ? KW_OK : offers->each(offers->user, member & ~SPOOL_MEMBER_OFFER);
}

enum kw_err spool_case_offers(struct spool *spool, MDB_txn *txn, uint64_t case_id,
	enum kw_err (*each)(void *user, uint64_t number), void *user)
{
	uint8_t head[SPOOL_TAG_SIZE];
	struct offers offers = {each, user};
	enum kw_err err = spool_case_head(spool, case_id, head);

	if (err != KW_OK || case_id == 0)
		return err;
	return spool_case_walk(spool, txn, &(struct spool_case_rows){T_CASES, head, sizeof(head), SPOOL_CASE_KEY_SIZE, hand_offer, &offers});
}

enum kw_err spool_case_thread_id(struct spool *spool, MDB_txn *txn, const struct kw_id *thread_id, spool_case_each *each,
	void *user)
{
	uint8_t key[SPOOL_THREAD_KEY_SIZE] = {0};
	uint8_t head[SPOOL_TAG_SIZE];
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(thread_id->bytes), head);

	if (err == KW_OK)
		err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_THREADS], &cursor));
	if (err != KW_OK)
		return err;
	memcpy(key, head, sizeof(head));
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == sizeof(key) && memcmp(k.mv_data, head, sizeof(head)) == 0) {
		struct spool_thread thread;

		memcpy(key, k.mv_data, sizeof(key));
		err = spool_thread_get(spool, txn, key, &thread);
		if (err == KW_OK)
			err = each(user, key, &thread);
		else if (err == KW_ECORRUPT)
			err = KW_OK; /* counted when it is read for somebody */
		k = (MDB_val){.mv_size = sizeof(key), .mv_data = key};
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET);
		if (err == KW_OK && rc == 0)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
