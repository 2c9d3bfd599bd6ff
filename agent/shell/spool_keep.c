#include <string.h>

#include "agent/shell/spool_inner.h"
#include "agent/shell/spool_read.h"
#include "proto/base/check.h"

/* What monitoring asks of the store: every registration, to count, and a number that was told once and stays as it was. */

static struct kw_view keep_key(const struct spool_op *op, char *out, size_t size)
{
	static const char prefix[] = "keep:";
	size_t name_size = strlen(op->u.keep.name);

	KW_ASSERT(name_size <= SPOOL_KEEP_NAME_SIZE_MAX && sizeof(prefix) - 1 + name_size <= size);
	memcpy(out, prefix, sizeof(prefix) - 1);
	memcpy(out + sizeof(prefix) - 1, op->u.keep.name, name_size);
	return KW_VIEW(out, sizeof(prefix) - 1 + name_size);
}

enum kw_err spool_run_keep(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	char bytes[SPOOL_KEEP_NAME_SIZE_MAX + 8];
	struct kw_view key = keep_key(op, bytes, sizeof(bytes));
	struct kw_buf kept;
	enum kw_err err;

	op->repeat = false; /* also when the transaction runs a second time */
	kw_buf_init(&kept, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, T_META, key, &kept);
	if (err == KW_OK) {
		op->repeat = true;
		op->content.size = 0;
		err = kw_buf_add(&op->content, kw_buf_view(&kept));
	} else if (err == KW_ENOTFOUND) {
		err = op->content.size > 0 ? spool_put_sealed(spool, txn, T_META, key, kw_buf_view(&op->content)) : KW_OK;
	}
	kw_buf_fini(&kept);
	return err;
}

/* u8 size ‖ local id ‖ registration, under its own key. KW_ENOTFOUND: that key is destroyed. */
static enum kw_err hand_over(struct spool *spool, struct kw_view key, const MDB_val *value, struct kw_buf *plain,
	struct kw_view *out)
{
	struct spool_vault_id id;
	struct kw_view sealed;
	struct kw_buf row;
	enum kw_err err = spool_check(T_REG, key, value, &sealed);

	plain->size = 0;
	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	if (err == KW_OK && key.size != SPOOL_TAG_SIZE)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		err = spool_unseal(spool, T_REG, key, sealed, &row);
	if (err == KW_OK) {
		spool_vault_registration_row(key.data, &id);
		err = spool_content_open(spool, &id, (struct spool_content_place){.table = T_REG, .key = key}, kw_buf_view(&row), plain);
	}
	kw_buf_fini(&row);
	if (err == KW_OK && plain->size == 0)
		err = KW_ENOTFOUND;
	if (err != KW_OK)
		return err;
	if (plain->size < 2 || plain->size < 1u + plain->data[0])
		return KW_ECORRUPT;
	*out = KW_VIEW(plain->data + 1 + plain->data[0], plain->size - 1 - plain->data[0]);
	return KW_OK;
}

enum kw_err spool_registrations(struct spool *spool, bool (*each)(void *user, struct kw_view registration), void *user)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k, v;
	struct kw_buf plain;
	bool more = true;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_REG], &cursor));
	int rc = err == KW_OK ? mdb_cursor_get(cursor, &k, &v, MDB_FIRST) : MDB_NOTFOUND;
	while (err == KW_OK && rc == 0 && more) {
		struct kw_view record = {0};

		err = hand_over(spool, KW_VIEW(k.mv_data, k.mv_size), &v, &plain, &record);
		if (err == KW_OK)
			more = each(user, record);
		else if (err == KW_ECORRUPT)
			spool->damaged_reads++;
		if (err == KW_ECORRUPT || err == KW_ENOTFOUND)
			err = KW_OK;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	if (err == KW_OK && rc != 0 && rc != MDB_NOTFOUND)
		err = spool_mdb(rc);
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	kw_buf_fini(&plain);
	return err;
}
