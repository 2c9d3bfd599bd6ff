#include <string.h>

#include "agent/shell/spool_inner.h"
#include "agent/shell/spool_read.h"

/* Which attachments the messages here name. The blobs lie beside the store and come before or after their message, often
 * days; those that nobody names are not kept for long (proto/wire/blobs.h). */

#define HOUR_MS 3600000

enum kw_err spool_put_named(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint8_t hour[4];
	enum kw_err err = KW_OK;

	kw_put_u32(hour, (uint32_t)(op->u.receive.item.at_ms / HOUR_MS));
	for (uint32_t i = 0; err == KW_OK && i < op->u.receive.named_count; i++) {
		uint8_t tag[SPOOL_TAG_SIZE];

		err = spool_tag(spool, KW_VIEW_OF(op->u.receive.named[i].bytes), tag);
		if (err == KW_OK)
			err = spool_put(spool, txn, T_NAMED, KW_VIEW_OF(tag), KW_VIEW_OF(hour));
	}
	return err;
}

enum kw_err spool_named(struct spool *spool, const struct kw_digest *digest, uint32_t *hour)
{
	uint8_t tag[SPOOL_TAG_SIZE];
	struct kw_view value;
	MDB_txn *txn;
	enum kw_err err = spool_tag(spool, KW_VIEW_OF(digest->bytes), tag);

	if (err == KW_OK)
		err = spool_mdb(mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn));
	if (err != KW_OK)
		return err;
	err = spool_get(spool, txn, T_NAMED, KW_VIEW_OF(tag), &value);
	if (err == KW_OK && value.size != 4)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		*hour = kw_get_u32(value.data);
	mdb_txn_abort(txn);
	return err;
}
