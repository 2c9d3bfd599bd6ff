#include <string.h>

#include "agent/shell/spool_thread_inner.h"

/* Contents of an older schema, which stood under the store key alone, get the key of their thread, or their own. Some rows in each
 * transaction; each row says by its first byte whether it is done, so nothing else has to be remembered. */

#define SLICE_ROWS 4096u
#define KEY_MAX 64u

struct walk {
	enum spool_table table;
	uint8_t key[KEY_MAX]; /* of the last row that was looked at */
	size_t key_size;
	bool over;
};

/* Item ‖ content, or a content whose item stands elsewhere. */
static enum kw_err reseal_message(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_buf *plain)
{
	struct spool_item item;
	struct kw_buf row;
	size_t head = table == T_INBOX ? SPOOL_ITEM_SIZE : 0;
	enum kw_err err = table == T_INBOX ? spool_item_decode(kw_buf_view(plain), &item) :
		key.size == 8 ? spool_item_get(spool, txn, kw_get_u64(key.data), &item) : KW_ECORRUPT;

	if (err != KW_OK)
		return err == KW_ENOTFOUND ? KW_ECORRUPT : err;
	struct kw_view content = KW_VIEW(plain->data + head, plain->size - head);
	if (content.size == 0 || spool_content_is_sealed(content))
		return KW_OK;
	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	err = kw_buf_add(&row, KW_VIEW(plain->data, head));
	if (err == KW_OK)
		err = spool_content_put(spool, txn, (struct spool_content_place){table, key, &item}, content, &row);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, table, key, kw_buf_view(&row));
	kw_buf_fini(&row);
	return err;
}

/* u8 size ‖ local id ‖ registration. */
static enum kw_err reseal_record(struct spool *spool, MDB_txn *txn, struct kw_view key, const struct kw_buf *plain)
{
	struct spool_vault_id id;
	struct kw_buf row;
	enum kw_err err;

	/* A local id has 1 to 64 bytes: one of a single byte would look sealed, were it not for the tag that the key is. */
	uint8_t tag[SPOOL_TAG_SIZE];
	if (plain->size < 2 || plain->size < 1u + plain->data[0])
		return KW_ECORRUPT;
	struct kw_view local_id = KW_VIEW(plain->data + 1, plain->data[0]);
	err = spool_tag(spool, local_id, tag);
	if (err != KW_OK || key.size != sizeof(tag) || memcmp(tag, key.data, sizeof(tag)) != 0)
		return err; /* sealed already */
	err = spool_vault_registration(spool, local_id, &id);
	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	if (err == KW_OK)
		err = spool_content_seal(spool, &id, (struct spool_content_place){.table = T_REG, .key = key}, kw_buf_view(plain), &row);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_REG, key, kw_buf_view(&row));
	kw_buf_fini(&row);
	return err;
}

static enum kw_err reseal_row(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_buf *plain)
{
	struct spool_thread thread;

	if (table == T_OFFERBODY)
		return spool_draft_reseal(spool, txn, key, kw_buf_view(plain));
	if (table == T_REG)
		return reseal_record(spool, txn, key, plain);
	if (table != T_THREADS)
		return reseal_message(spool, txn, table, key, plain);
	if (plain->size != SPOOL_THREAD_SIZE_BEFORE_VAULT || key.size != SPOOL_THREAD_KEY_SIZE)
		return KW_OK;
	enum kw_err err = spool_thread_decode(kw_buf_view(plain), &thread);
	return err != KW_OK ? err : spool_thread_put(spool, txn, key.data, &thread);
}

/* Some rows; a damaged one stays as it is, for nobody can read it. */
static enum kw_err slice(struct spool *spool, MDB_txn *txn, struct walk *walk)
{
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = walk->key_size, .mv_data = walk->key};
	MDB_val v;
	struct kw_buf plain;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[walk->table], &cursor));

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	int rc = mdb_cursor_get(cursor, &k, &v, walk->key_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
	for (uint32_t i = 0; err == KW_OK && rc == 0 && i < SLICE_ROWS && k.mv_size <= KEY_MAX; i++) {
		struct kw_view key = KW_VIEW(walk->key, k.mv_size);
		struct kw_view sealed;

		walk->key_size = k.mv_size;
		memmove(walk->key, k.mv_data, k.mv_size);
		kw_buf_clear(&plain);
		err = spool_check(walk->table, key, &v, &sealed);
		if (err == KW_OK)
			err = spool_unseal(spool, walk->table, key, sealed, &plain);
		if (err == KW_OK)
			err = reseal_row(spool, txn, walk->table, key, &plain);
		if (err == KW_ECORRUPT)
			err = KW_OK;
		/* By key: the row was written. */
		k = (MDB_val){.mv_size = walk->key_size, .mv_data = walk->key};
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		if (err == KW_OK && rc == 0 && k.mv_size == walk->key_size && memcmp(k.mv_data, walk->key, k.mv_size) == 0)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	walk->over = rc != 0;
	if (err == KW_OK && rc == 0) {
		walk->key_size = k.mv_size <= KEY_MAX ? k.mv_size : 0;
		memcpy(walk->key, k.mv_data, walk->key_size);
	}
	mdb_cursor_close(cursor);
	kw_buf_fini(&plain);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_reseal(struct spool *spool)
{
	static const enum spool_table tables[] = {T_OFFERBODY, T_SENTBODY, T_INBOX, T_REG, T_THREADS};
	size_t count = spool->numbers[N_SCHEMA] == SPOOL_SCHEMA_BEFORE_DRAFTS ? 1 : sizeof(tables) / sizeof(tables[0]);
	enum kw_err err = KW_OK;

	for (size_t t = 0; err == KW_OK && t < count; t++) {
		struct walk walk = {.table = tables[t]};

		while (err == KW_OK && !walk.over) {
			MDB_txn *txn;

			err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));
			if (err != KW_OK)
				break;
			err = slice(spool, txn, &walk);
			if (err == KW_OK)
				err = spool_vault_commit(spool);
			if (err == KW_OK) {
				err = spool_mdb(mdb_txn_commit(txn));
				continue;
			}
			spool_vault_abort(spool);
			mdb_txn_abort(txn);
		}
	}
	return err;
}
