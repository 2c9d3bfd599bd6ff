#include <string.h>

#include "agent/shell/spool_read.h"
#include "agent/shell/spool_scan.h"

/* Reading messages on the loop thread. */

static struct spool_box *box_of(struct kw_view envelope)
{
	return spool_box_new(envelope);
}

/* What the hub is to know of it goes with the row each time; damaged, it stays away and the message goes all the same. */
static enum kw_err fill_tracks(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id, struct kw_buf *out)
{
	enum kw_err err = spool_get_sealed(spool, txn, T_TRACKS, KW_VIEW_OF(envelope_id->bytes), out);

	if (err == KW_ECORRUPT) {
		spool->damaged_reads++;
		kw_buf_clear(out);
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static bool fill_row(struct spool *spool, MDB_txn *txn, const struct spool_out_row *from, uint64_t sequence,
	struct agt_row *out)
{
	struct spool_box *box = box_of(from->envelope);

	if (box == NULL || fill_tracks(spool, txn, &from->envelope_id, &box->tracks) != KW_OK) {
		spool_box_unref(box);
		return false;
	}
	*out = (struct agt_row){.sequence = sequence,
		.envelope_id = from->envelope_id,
		.size = box->size,
		.expiry_hour = from->expiry_hour,
		.wants_receipt = from->wants_receipt,
		.box = (uint64_t)(uintptr_t)box};
	return true;
}

enum kw_err spool_rows(struct spool *spool, enum kw_msg_class msg_class, uint64_t from, struct spool_rows *out)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	uint8_t key[9];
	MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
	MDB_val v;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_read_begin(spool, &txn);

	out->count = 0;
	out->end = false;
	if (err != KW_OK)
		return err;
	spool_out_key(msg_class, from, key);
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_OUT], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && out->count < out->count_max) {
		struct kw_view row_key = KW_VIEW(k.mv_data, k.mv_size);
		struct kw_view payload;
		struct spool_out_row row;

		if (row_key.size != 9 || row_key.data[0] != (uint8_t)msg_class)
			break;
		if (spool_check(T_OUT, row_key, &v, &payload) != KW_OK || spool_out_decode(payload, &row) != KW_OK)
			spool->damaged_reads++;
		else if (fill_row(spool, txn, &row, kw_get_u64(row_key.data + 1), &out->rows[out->count]))
			out->count++;
		else
			err = KW_ENOMEM;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	out->end = err == KW_OK && (rc == MDB_NOTFOUND || (rc == 0 && ((const uint8_t *)k.mv_data)[0] != (uint8_t)msg_class));
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	if (err != KW_OK) {
		for (uint32_t i = 0; i < out->count; i++)
			spool_box_unref((struct spool_box *)(uintptr_t)out->rows[i].box);
		out->count = 0;
	}
	return err;
}

static bool has(struct spool *spool, MDB_txn *txn, enum spool_table table, uint64_t number)
{
	uint8_t key[8];
	struct kw_view payload;

	kw_put_u64(key, number);
	return spool_get(spool, txn, table, KW_VIEW_OF(key), &payload) == KW_OK;
}

/* The item of out->number in a list; its content comes behind it in `plain`. */
static enum kw_err load(struct spool *spool, MDB_txn *txn, enum spool_list list, struct kw_buf *plain,
	struct spool_item *out)
{
	uint64_t number = out->number;
	uint8_t key[8];
	bool inbox = list == SPOOL_LIST_INBOX;
	enum kw_err err;

	kw_put_u64(key, number);
	kw_buf_clear(plain);
	err = spool_get_sealed(spool, txn, inbox ? T_INBOX : T_SENT, KW_VIEW_OF(key), plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(plain), out);
	if (err != KW_OK)
		return err;
	out->number = number;
	if (inbox)
		out->acked = !has(spool, txn, T_INNEW, number);
	else
		out->acked = out->state == SPOOL_DEAD && !has(spool, txn, T_DEAD, number);
	return KW_OK;
}

static struct kw_view body_of(const struct kw_buf *plain)
{
	return KW_VIEW(plain->data + SPOOL_ITEM_SIZE, plain->size - SPOOL_ITEM_SIZE);
}

/* The content of a loaded item takes the place of its sealed form in `plain`; nothing does when it is erased. */
static enum kw_err load_body(struct spool *spool, MDB_txn *txn, enum spool_list list, const struct spool_item *item,
	struct kw_buf *plain)
{
	uint8_t key[8];
	struct kw_buf sealed;
	struct spool_content_place place = {
		.table = list == SPOOL_LIST_INBOX ? T_INBOX : T_SENTBODY, .key = KW_VIEW_OF(key), .item = item};
	enum kw_err err = KW_OK;

	kw_put_u64(key, item->number);
	kw_buf_init(&sealed, KW_FRAME_SIZE_MAX * 2);
	if (list == SPOOL_LIST_INBOX) /* item and content are one row */
		err = kw_buf_add(&sealed, body_of(plain));
	else
		err = spool_get_sealed(spool, txn, T_SENTBODY, place.key, &sealed);
	plain->size = SPOOL_ITEM_SIZE;
	if (err == KW_OK)
		err = spool_content_get(spool, txn, place, kw_buf_view(&sealed), plain);
	kw_buf_fini(&sealed);
	return err;
}

static enum spool_table table_of(const struct spool_query *query)
{
	switch (query->list) {
	case SPOOL_LIST_INBOX:
		return query->all ? T_INBOX : T_INNEW;
	case SPOOL_LIST_DEAD:
		return query->all ? T_SENT : T_DEAD;
	default:
		return T_SENT;
	}
}

struct each {
	const struct spool_query *query;
	bool (*call)(void *user, const struct spool_item *item, struct kw_view content);
	void *user;
};

static enum kw_err hand_over(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_page *page)
{
	const struct each *each = page->user;
	const struct spool_query *query = each->query;
	struct spool_item item = {.number = number};
	struct kw_buf plain;
	enum kw_err err;

	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = load(spool, txn, query->list, &plain, &item);
	if (err == KW_OK && query->content)
		err = load_body(spool, txn, query->list, &item, &plain);
	if (err == KW_ECORRUPT || err == KW_ENOTFOUND) {
		spool->damaged_reads++;
		err = KW_OK;
	} else if (err == KW_OK && (query->list != SPOOL_LIST_DEAD || item.state == SPOOL_DEAD)) {
		page->count++;
		page->stopped = !each->call(each->user, &item, query->content ? body_of(&plain) : KW_VIEW(NULL, 0));
	}
	kw_buf_fini(&plain);
	return err;
}

enum kw_err spool_list(struct spool *spool, const struct spool_query *query,
	bool (*call)(void *user, const struct spool_item *item, struct kw_view content), void *user, uint64_t *next_after)
{
	const struct each each = {.query = query, .call = call, .user = user};
	struct spool_page page = {
		.table = table_of(query), .after = query->after, .limit = query->limit, .each = hand_over, .user = &each};

	return spool_page(spool, &page, next_after);
}

/* The first number under a message id in an index. */
static enum kw_err first_of(struct spool *spool, MDB_txn *txn, enum spool_table index, const struct kw_id *id,
	uint64_t *out)
{
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = KW_ID_SIZE, .mv_data = (void *)(uintptr_t)id->bytes};
	MDB_val v;
	struct kw_view number;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[index], &cursor));

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE));
	if (err == KW_OK && (k.mv_size < KW_ID_SIZE || memcmp(k.mv_data, id->bytes, KW_ID_SIZE) != 0))
		err = KW_ENOTFOUND;
	if (err == KW_OK)
		err = spool_check(index, KW_VIEW(k.mv_data, k.mv_size), &v, &number);
	if (err == KW_OK && number.size != 8)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		*out = kw_get_u64(number.data);
	mdb_cursor_close(cursor);
	return err;
}

static enum kw_err find(struct spool *spool, MDB_txn *txn, const struct kw_id *id, enum spool_list *list, uint64_t *number)
{
	struct spool_place place;
	enum kw_err err = first_of(spool, txn, T_INID, id, number);

	*list = SPOOL_LIST_INBOX;
	if (err != KW_ENOTFOUND)
		return err;
	*list = SPOOL_LIST_SENT;
	err = first_of(spool, txn, T_SENTID, id, number);
	if (err != KW_ENOTFOUND)
		return err;
	err = spool_place_get(spool, txn, id, &place);
	*number = place.number;
	return err == KW_OK && place.number == 0 ? KW_ENOTFOUND : err;
}

enum kw_err spool_show(struct spool *spool, const struct kw_id *id, struct spool_item *out, bool *received,
	struct kw_buf *content)
{
	MDB_txn *txn;
	struct kw_buf plain;
	struct spool_item item;
	enum spool_list list;
	uint64_t number = 0;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = find(spool, txn, id, &list, &number);
	item.number = number;
	if (err == KW_OK)
		err = load(spool, txn, list, &plain, &item);
	if (err == KW_OK)
		err = load_body(spool, txn, list, &item, &plain);
	mdb_txn_abort(txn);
	if (err == KW_OK)
		err = kw_buf_add(content, body_of(&plain));
	if (err == KW_OK) {
		*out = item;
		*received = list == SPOOL_LIST_INBOX;
	}
	kw_buf_fini(&plain);
	return err;
}

enum kw_err spool_find_sent(struct spool *spool, const struct kw_id *message_id, const struct kw_name *agency,
	struct spool_item *out)
{
	uint8_t id[KW_ID_SIZE + SPOOL_TAG_SIZE];
	struct kw_view number;
	MDB_txn *txn;
	enum kw_err err;

	memcpy(id, message_id->bytes, KW_ID_SIZE);
	err = spool_tag(spool, spool_name_view(agency), id + KW_ID_SIZE);
	if (err == KW_OK)
		err = spool_read_begin(spool, &txn);
	if (err != KW_OK)
		return err;
	err = spool_get(spool, txn, T_SENTID, KW_VIEW_OF(id), &number);
	if (err == KW_OK && number.size != 8)
		err = KW_ECORRUPT;
	if (err == KW_OK)
		err = spool_item_get(spool, txn, kw_get_u64(number.data), out);
	mdb_txn_abort(txn);
	return err;
}

static bool read_due(struct kw_view plain, struct spool_receipt *out)
{
	if ((plain.size != SPOOL_DUE_SIZE && plain.size != SPOOL_DUE_SIZE_BEFORE_JITTER &&
		    plain.size != SPOOL_DUE_SIZE_BEFORE_THREADS) ||
		plain.data[KW_NAME_SIZE_MAX] != 0 || plain.data[112] >= KW_ERR_COUNT)
		return false;
	memcpy(out->agency.text, plain.data, sizeof(out->agency.text));
	memcpy(out->digest.bytes, plain.data + 64, KW_DIGEST_SIZE);
	memcpy(out->envelope_id.bytes, plain.data + 96, KW_ID_SIZE);
	out->failure = (enum kw_err)plain.data[112];
	out->opened = plain.data[113] != 0;
	out->decided = plain.data[113] == 2;
	out->at_ms = (int64_t)kw_get_u64(plain.data + 114);
	out->urgent = plain.size == SPOOL_DUE_SIZE && plain.data[140] != 0;
	if (plain.size != SPOOL_DUE_SIZE_BEFORE_THREADS) {
		memcpy(out->thread_id.bytes, plain.data + 122, KW_ID_SIZE);
		out->kind = plain.data[138];
		out->risk = plain.data[139];
		out->tracked = out->kind != KW_THREAD_NONE;
	}
	return true;
}

struct due_walk {
	void (*call)(void *user, const struct spool_receipt *receipt);
	void *user;
	uint32_t rows;
};

static enum spool_scan_word each_due(void *user, struct kw_view key, struct kw_view plain)
{
	struct due_walk *walk = user;
	struct spool_receipt receipt = {.key = key.size == 8 ? kw_get_u64(key.data) : 0};

	if (walk->rows++ == SPOOL_RECEIPTS_MAX * 4)
		return SPOOL_SCAN_STOP;
	if (!read_due(plain, &receipt))
		return SPOOL_SCAN_DAMAGED;
	walk->call(walk->user, &receipt);
	return SPOOL_SCAN_ON;
}

enum kw_err spool_due(struct spool *spool, uint64_t from,
	void (*call)(void *user, const struct spool_receipt *receipt), void *user)
{
	struct due_walk walk = {.call = call, .user = user};
	uint8_t first[8];
	struct spool_scan scan = {.table = T_DUE, .from = KW_VIEW_OF(first), .each = each_due, .user = &walk};

	kw_put_u64(first, from);
	return spool_scan(spool, &scan);
}

/* Reads one retry row; false when it is damaged or memory is out. */
static bool read_retry(struct spool *spool, MDB_txn *txn, struct kw_view key, const MDB_val *value,
	struct spool_retry *out)
{
	struct kw_view payload;
	struct spool_out_row row;

	if (key.size != 16 || spool_check(T_RETRY, key, value, &payload) != KW_OK || payload.size < 2 ||
		payload.data[0] >= KW_MSG_CLASS_COUNT || payload.data[0] == KW_CONTROL ||
		spool_out_decode(KW_VIEW(payload.data + 1, payload.size - 1), &row) != KW_OK)
		return false;
	out->due_ms = kw_get_u64(key.data);
	out->number = kw_get_u64(key.data + 8);
	out->msg_class = (enum kw_msg_class)payload.data[0];
	return fill_row(spool, txn, &row, 0, &out->row);
}

enum kw_err spool_retries(struct spool *spool, uint64_t now_ms,
	bool (*call)(void *user, const struct spool_retry *retry), void *user)
{
	MDB_txn *txn;
	MDB_cursor *cursor = NULL;
	MDB_val k;
	MDB_val v;
	bool more = true;
	int rc = MDB_NOTFOUND;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_RETRY], &cursor));
	if (err == KW_OK)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	while (rc == 0 && more && k.mv_size == 16 && kw_get_u64(k.mv_data) <= now_ms) {
		struct spool_retry retry;

		if (read_retry(spool, txn, KW_VIEW(k.mv_data, k.mv_size), &v, &retry))
			more = call(user, &retry);
		else
			spool->damaged_reads++;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}
