#include <string.h>

#include "agent/shell/spool_aside.h"
#include "agent/shell/spool_scan.h"
#include "proto/wire/envelope.h"

/* What could not be opened: kept as it came, for people and for whoever looks into an attack. The newest SPOOL_ASIDE_MAX are kept, so
 * rubbish without end takes no more room than that.
 *
 * Row: "KWA1" ‖ u64 when ‖ u8 error ‖ u8 size of the reason ‖ reason ‖ envelope. Older agents wrote the envelope alone. */

#define MAGIC "KWA1"
#define MAGIC_SIZE 4u
#define HEAD_SIZE (MAGIC_SIZE + 10u)

enum kw_err spool_aside_put(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	const char *reason = op->u.receive.aside_reason != NULL ? op->u.receive.aside_reason : "";
	size_t size = strnlen(reason, SPOOL_ASIDE_REASON_SIZE_MAX);
	uint8_t head[HEAD_SIZE] = MAGIC;
	uint8_t key[8];
	struct kw_buf row;
	enum kw_err err;

	kw_put_u64(head + MAGIC_SIZE, (uint64_t)op->u.receive.item.at_ms);
	head[MAGIC_SIZE + 8] = (uint8_t)op->u.receive.failure;
	head[MAGIC_SIZE + 9] = (uint8_t)size;
	kw_buf_init(&row, KW_FRAME_SIZE_MAX * 2);
	err = kw_buf_add(&row, KW_VIEW_OF(head));
	if (err == KW_OK)
		err = kw_buf_add(&row, KW_VIEW(reason, size));
	if (err == KW_OK)
		err = kw_buf_add(&row, KW_VIEW(op->box->data, op->box->size));
	spool->numbers[N_COUNTS + SPOOL_COUNT_UNOPENED]++;
	kw_put_u64(key, spool->numbers[N_NEXT_ASIDE]++);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_ASIDE, KW_VIEW_OF(key), kw_buf_view(&row));
	kw_buf_fini(&row);
	if (err != KW_OK || spool->numbers[N_NEXT_ASIDE] - spool->numbers[N_FIRST_ASIDE] <= SPOOL_ASIDE_MAX)
		return err;
	kw_put_u64(key, spool->numbers[N_FIRST_ASIDE]++);
	return spool_del(spool, txn, T_ASIDE, KW_VIEW_OF(key), NULL);
}

static void decode(struct kw_view row, struct spool_aside *out)
{
	struct kw_envelope_label label;

	if (row.size >= HEAD_SIZE && memcmp(row.data, MAGIC, MAGIC_SIZE) == 0 && row.data[MAGIC_SIZE + 8] < KW_ERR_COUNT &&
		row.data[MAGIC_SIZE + 9] <= SPOOL_ASIDE_REASON_SIZE_MAX && row.size - HEAD_SIZE >= row.data[MAGIC_SIZE + 9]) {
		size_t size = row.data[MAGIC_SIZE + 9];

		out->at_ms = (int64_t)kw_get_u64(row.data + MAGIC_SIZE);
		out->error = (enum kw_err)row.data[MAGIC_SIZE + 8];
		memcpy(out->reason, row.data + HEAD_SIZE, size);
		row = KW_VIEW(row.data + HEAD_SIZE + size, row.size - HEAD_SIZE - size);
	}
	out->size = (uint32_t)row.size;
	out->readable = kw_envelope_peek(row, &label) == KW_OK;
	if (out->readable)
		out->envelope_id = label.id;
}

struct asides {
	bool (*each)(void *user, const struct spool_aside *aside);
	void *user;
};

static enum kw_err read_one(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_page *page)
{
	const struct asides *asides = page->user;
	struct spool_aside aside = {.number = number};
	struct kw_view row;
	uint8_t key[8];

	kw_put_u64(key, number);
	enum kw_err err = spool_get(spool, txn, T_ASIDE, KW_VIEW_OF(key), &row);
	if (err == KW_ECORRUPT)
		spool->damaged_reads++;
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	decode(row, &aside);
	page->count++;
	page->stopped = !asides->each(asides->user, &aside);
	return KW_OK;
}

enum kw_err spool_asides(struct spool *spool, const struct spool_query *query,
	bool (*each)(void *user, const struct spool_aside *aside), void *user, uint64_t *next_after)
{
	const struct asides asides = {.each = each, .user = user};
	struct spool_page page = {
		.table = T_ASIDE, .after = query->after, .limit = query->limit, .each = read_one, .user = &asides};

	return spool_page(spool, &page, next_after);
}
