#include <stdlib.h>
#include <string.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"
#include "proto/wire/prekey.h"

/* The newest prekeys of each agency, by slot. They are read rarely, so they are not kept in memory: who asks in the turn in which
 * they were given gets those before. */

void store_put_prekeys(struct store *store, uint64_t ticket, uint32_t slot, struct kw_view bytes)
{
	KW_ASSERT(slot < STORE_SLOT_MAX && bytes.size > 0 && bytes.size <= KW_PREKEYS_SIZE_MAX);
	struct store_box *box = store_box_new((uint32_t)bytes.size);
	if (box == NULL) {
		store_out_of_memory(store);
		return;
	}
	memcpy(box->data, bytes.data, bytes.size);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL) {
		store_box_unref(box);
		return;
	}
	*op = (struct store_op){.kind = STORE_OP_PREKEYS, .queue = slot, .box = box};
	store->filling->bytes += bytes.size;
}

int store_writer_put_prekeys(struct store_writer *writer, const struct store_op *op)
{
	uint8_t bytes[4], row[STORE_ROW_HEAD_SIZE + KW_PREKEYS_SIZE_MAX];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value = store_val(row, STORE_ROW_HEAD_SIZE + op->box->size);
	kw_put_u32(bytes, op->queue);
	memcpy(row + STORE_ROW_HEAD_SIZE, op->box->data, op->box->size);
	store_row_seal(row, STORE_PREKEYS, &key, op->box->size);
	return mdb_put(writer->txn, writer->env->dbi.prekeys, &key, &value, 0);
}

enum kw_err store_get_prekeys(struct store *store, uint32_t slot, struct kw_buf *out)
{
	uint8_t bytes[4];
	MDB_val key = store_val(bytes, sizeof(bytes));
	MDB_val value;
	struct kw_view payload;
	kw_put_u32(bytes, slot);
	int code = store_reader_begin(store);
	if (code == 0)
		code = mdb_get(store->reader, store->env.dbi.prekeys, &key, &value);
	enum kw_err err = code == MDB_NOTFOUND ? KW_OK : store_env_err(code);
	if (code == 0 && store_row_check(&key, &value, STORE_PREKEYS, &payload))
		err = kw_buf_add(out, payload);
	else if (code == 0)
		store->damaged_seen++;
	store_reader_end(store);
	return err;
}
