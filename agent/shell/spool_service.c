#include <string.h>

#include "agent/shell/spool_scan.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* What agencies say that they offer, and what they answered when asked for a place. Of each agency the newest directory is
 * kept, whatever order they come in; of an answer, the last for each service and area. Run by the writer in the transaction
 * of the message; read on the loop thread. */

#define SERVICES_HEAD_SIZE 88u
#define ANSWER_SIZE 144u
#define ANSWER_KEY_SIZE (2u * SPOOL_TAG_SIZE)

static enum kw_err put_services(struct spool *spool, MDB_txn *txn, const struct spool_services *said)
{
	uint8_t head[SERVICES_HEAD_SIZE] = {0};
	uint8_t key[SPOOL_TAG_SIZE];
	struct kw_buf plain;
	enum kw_err err = spool_tag(spool, spool_name_view(&said->agency), key);

	if (err != KW_OK)
		return err;
	memcpy(head, said->agency.text, sizeof(said->agency.text));
	head[64] = said->own;
	kw_put_u64(head + 72, (uint64_t)said->issued_ms);
	kw_put_u64(head + 80, (uint64_t)said->received_ms);
	kw_buf_init(&plain, SERVICES_HEAD_SIZE + said->content.size);
	err = kw_buf_add(&plain, KW_VIEW_OF(head));
	if (err == KW_OK)
		err = kw_buf_add(&plain, said->content);
	if (err == KW_OK)
		err = spool_put_sealed(spool, txn, T_SERVICES, KW_VIEW_OF(key), kw_buf_view(&plain));
	kw_buf_fini(&plain);
	return err;
}

static enum kw_err decode_services(struct kw_view plain, struct spool_services *out)
{
	if (plain.size < SERVICES_HEAD_SIZE || plain.data[KW_NAME_SIZE_MAX] != '\0')
		return KW_ECORRUPT;
	memcpy(out->agency.text, plain.data, sizeof(out->agency.text));
	out->own = plain.data[64] != 0;
	out->issued_ms = (int64_t)kw_get_u64(plain.data + 72);
	out->received_ms = (int64_t)kw_get_u64(plain.data + 80);
	out->content = KW_VIEW(plain.data + SERVICES_HEAD_SIZE, plain.size - SERVICES_HEAD_SIZE);
	return KW_OK;
}

/* Unless a newer one is here. A damaged row gives way. */
static enum kw_err replace_services(struct spool *spool, MDB_txn *txn, const struct spool_services *said)
{
	uint8_t key[SPOOL_TAG_SIZE];
	struct spool_services old = {0};
	struct kw_buf plain;
	enum kw_err err = spool_tag(spool, spool_name_view(&said->agency), key);

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_get_sealed(spool, txn, T_SERVICES, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = decode_services(kw_buf_view(&plain), &old);
	kw_buf_fini(&plain);
	if (err == KW_OK && said->issued_ms < old.issued_ms)
		return KW_OK;
	if (err != KW_OK && err != KW_ENOTFOUND && err != KW_ECORRUPT)
		return err;
	return put_services(spool, txn, said);
}

enum kw_err spool_run_publish(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	struct spool_services said = {.agency = op->u.publish.own,
		.own = true,
		.issued_ms = op->u.publish.issued_ms,
		.received_ms = op->u.publish.now_ms,
		.content = kw_buf_view(&op->content)};
	enum kw_err err = put_services(spool, txn, &said); /* what a person publishes now counts now */

	for (uint32_t i = 0; err == KW_OK && i < op->u.publish.count; i++) {
		struct spool_follow follow = {.agency = op->u.publish.agencies[i], .what = SPOOL_FOLLOW_DIRECTORY};

		err = kw_random(follow.thread_id.bytes, KW_ID_SIZE);
		if (err == KW_OK)
			err = spool_follow_put(spool, txn, &follow);
	}
	op->count = op->u.publish.count;
	return err;
}

static void encode_answer(const struct spool_answer *answer, uint8_t *out)
{
	memset(out, 0, ANSWER_SIZE);
	memcpy(out, answer->agency.text, sizeof(answer->agency.text));
	memcpy(out + 64, answer->admin2, sizeof(answer->admin2));
	kw_put_u32(out + 88, answer->service);
	kw_put_u32(out + 92, answer->age_band);
	kw_put_u32(out + 96, answer->capacity);
	kw_put_u32(out + 100, answer->wait_days);
	kw_put_u64(out + 104, (uint64_t)answer->asked_ms);
	kw_put_u64(out + 112, (uint64_t)answer->at_ms);
	kw_put_u64(out + 120, (uint64_t)answer->until_ms);
}

static enum kw_err decode_answer(struct kw_view plain, struct spool_answer *out)
{
	const uint8_t *in = plain.data;

	if (plain.size != ANSWER_SIZE || in[KW_NAME_SIZE_MAX] != '\0' || in[64 + SPOOL_PCODE_SIZE - 1] != '\0')
		return KW_ECORRUPT;
	memset(out, 0, sizeof(*out));
	memcpy(out->agency.text, in, sizeof(out->agency.text));
	memcpy(out->admin2, in + 64, sizeof(out->admin2));
	out->service = kw_get_u32(in + 88);
	out->age_band = kw_get_u32(in + 92);
	out->capacity = kw_get_u32(in + 96);
	out->wait_days = kw_get_u32(in + 100);
	out->asked_ms = (int64_t)kw_get_u64(in + 104);
	out->at_ms = (int64_t)kw_get_u64(in + 112);
	out->until_ms = (int64_t)kw_get_u64(in + 120);
	return KW_OK;
}

static enum kw_err answer_get(struct spool *spool, MDB_txn *txn, struct kw_view key, struct spool_answer *out)
{
	struct kw_buf plain;
	enum kw_err err;

	kw_buf_init(&plain, 1024);
	err = spool_get_sealed(spool, txn, T_ANSWERS, key, &plain);
	if (err == KW_OK)
		err = decode_answer(kw_buf_view(&plain), out);
	kw_buf_fini(&plain);
	return err;
}

static enum kw_err answer_key(struct spool *spool, const struct spool_item *item, uint8_t *out)
{
	enum kw_err err = spool_tag(spool, spool_name_view(&item->agency), out);

	return err != KW_OK ? err : spool_tag(spool, KW_VIEW_OF(item->thread_id.bytes), out + SPOOL_TAG_SIZE);
}

static enum kw_err answer_put(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_answer *answer)
{
	uint8_t plain[ANSWER_SIZE];

	encode_answer(answer, plain);
	return spool_put_sealed(spool, txn, T_ANSWERS, KW_VIEW(key, ANSWER_KEY_SIZE), KW_VIEW_OF(plain));
}

/* Whether an older row says nothing any more, now that `fresh` is there. */
static bool is_replaced(const struct spool_answer *old, const struct spool_answer *fresh, int64_t now_ms)
{
	bool same = old->service == fresh->service && old->age_band == fresh->age_band &&
		strcmp(old->admin2, fresh->admin2) == 0;
	int64_t last_ms = old->at_ms > old->asked_ms ? old->at_ms : old->asked_ms;

	/* A question that is not answered yet replaces no answer. */
	return (same && (fresh->at_ms != 0 || old->at_ms == 0)) || now_ms - last_ms >= SPOOL_ANSWER_KEEP_MS;
}

/* Takes away what the row under `key` makes needless; beyond the limit the walk takes whatever it meets. */
static enum kw_err tidy_answers(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_answer *fresh,
	int64_t now_ms)
{
	MDB_cursor *cursor;
	uint8_t first[ANSWER_KEY_SIZE] = {0};
	MDB_val k = {.mv_size = sizeof(first), .mv_data = first};
	MDB_val v;
	uint32_t kept = 0;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_ANSWERS], &cursor));

	if (err != KW_OK)
		return err;
	memcpy(first, key, SPOOL_TAG_SIZE);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (err == KW_OK && rc == 0 && k.mv_size == ANSWER_KEY_SIZE && memcmp(k.mv_data, key, SPOOL_TAG_SIZE) == 0) {
		struct spool_answer old;
		enum kw_err read = answer_get(spool, txn, KW_VIEW(k.mv_data, k.mv_size), &old);
		bool own = memcmp(k.mv_data, key, ANSWER_KEY_SIZE) == 0;

		if (!own && (read != KW_OK || kept >= SPOOL_ANSWERS_MAX || is_replaced(&old, fresh, now_ms)))
			err = spool_mdb(mdb_cursor_del(cursor, 0));
		else
			kept++;
		if (err == KW_OK)
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == 0 || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

enum kw_err spool_service_sent(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;
	uint8_t key[ANSWER_KEY_SIZE];
	enum kw_err err = KW_OK;

	if (!op->u.append.fresh || op->u.append.act.content_type != KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY)
		return KW_OK;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	if (kw_content_unpack(kw_buf_view(&op->content), &arena, &content, &fault) == KW_OK) {
		const Kinward__V1__CapacityQuery *query = content->capacity_query;
		struct spool_answer answer = {.agency = op->u.append.item.agency,
			.service = query->service,
			.age_band = query->age_band,
			.asked_ms = op->u.append.now_ms};

		memcpy(answer.admin2, query->admin2_pcode, strnlen(query->admin2_pcode, SPOOL_PCODE_SIZE - 1));
		err = answer_key(spool, &op->u.append.item, key);
		if (err == KW_OK)
			err = answer_put(spool, txn, key, &answer);
		if (err == KW_OK)
			err = tidy_answers(spool, txn, key, &answer, op->u.append.now_ms);
	}
	kw_arena_fini(&arena);
	return err;
}

/* An answer counts in the thread of its question only, and from the agency that was asked. */
static enum kw_err take_reply(struct spool *spool, MDB_txn *txn, const struct spool_op *op,
	const Kinward__V1__CapacityReply *reply)
{
	struct spool_answer answer;
	uint8_t key[ANSWER_KEY_SIZE];
	enum kw_err err = answer_key(spool, &op->u.receive.item, key);

	if (err == KW_OK)
		err = answer_get(spool, txn, KW_VIEW_OF(key), &answer);
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	answer.at_ms = op->u.receive.item.at_ms;
	answer.until_ms = reply->until_unix_ms;
	answer.capacity = reply->capacity;
	answer.wait_days = reply->wait_days;
	err = answer_put(spool, txn, key, &answer);
	return err != KW_OK ? err : tidy_answers(spool, txn, key, &answer, answer.at_ms);
}

enum kw_err spool_service_taken(struct spool *spool, MDB_txn *txn, const struct spool_op *op)
{
	uint32_t type = op->u.receive.act.content_type;
	const struct spool_item *item = &op->u.receive.item;
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;
	enum kw_err err = KW_OK;

	if (op->answer.size > 0) {
		struct spool_follow follow = {.thread_id = item->thread_id,
			.agency = item->agency,
			.what = SPOOL_FOLLOW_CONTENT,
			.content = kw_buf_view(&op->answer)};

		return spool_follow_put(spool, txn, &follow);
	}
	if (type != KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY && type != KINWARD__V1__CONTENT__BODY_CAPACITY_REPLY)
		return KW_OK;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	if (kw_content_unpack(kw_buf_view(&op->content), &arena, &content, &fault) != KW_OK) {
		/* it was checked before it came here */
	} else if (content->body_case == KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY) {
		struct spool_services said = {.agency = item->agency,
			.issued_ms = content->service_directory->issued_unix_ms,
			.received_ms = item->at_ms,
			.content = kw_buf_view(&op->content)};

		err = replace_services(spool, txn, &said);
	} else {
		err = take_reply(spool, txn, op, content->capacity_reply);
	}
	kw_arena_fini(&arena);
	return err;
}

struct services_walk {
	bool (*each)(void *user, const struct spool_services *said);
	void *user;
};

static enum spool_scan_word each_services(void *user, struct kw_view key, struct kw_view plain)
{
	const struct services_walk *call = user;
	struct spool_services said;

	(void)key;
	return decode_services(plain, &said) != KW_OK || call->each(call->user, &said) ? SPOOL_SCAN_ON : SPOOL_SCAN_STOP;
}

enum kw_err spool_services(struct spool *spool, bool (*each)(void *user, const struct spool_services *said), void *user)
{
	struct services_walk call = {.each = each, .user = user};

	return spool_scan(spool, &(struct spool_scan){.table = T_SERVICES, .each = each_services, .user = &call});
}

enum kw_err spool_services_of(struct spool *spool, const struct kw_name *agency, struct kw_buf *out)
{
	uint8_t key[SPOOL_TAG_SIZE];
	struct spool_services said;
	struct kw_buf plain;
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	if (err != KW_OK)
		return err;
	kw_buf_init(&plain, KW_FRAME_SIZE_MAX * 2);
	err = spool_tag(spool, spool_name_view(agency), key);
	if (err == KW_OK)
		err = spool_get_sealed(spool, txn, T_SERVICES, KW_VIEW_OF(key), &plain);
	mdb_txn_abort(txn);
	if (err == KW_OK)
		err = decode_services(kw_buf_view(&plain), &said);
	if (err == KW_OK)
		err = kw_buf_add(out, said.content);
	kw_buf_fini(&plain);
	return err;
}

struct answers_walk {
	bool (*each)(void *user, const struct spool_answer *answer);
	void *user;
};

static enum spool_scan_word each_answer(void *user, struct kw_view key, struct kw_view plain)
{
	const struct answers_walk *call = user;
	struct spool_answer answer;

	(void)key;
	return decode_answer(plain, &answer) != KW_OK || call->each(call->user, &answer) ? SPOOL_SCAN_ON : SPOOL_SCAN_STOP;
}

enum kw_err spool_answers(struct spool *spool, bool (*each)(void *user, const struct spool_answer *answer), void *user)
{
	struct answers_walk call = {.each = each, .user = user};

	return spool_scan(spool, &(struct spool_scan){.table = T_ANSWERS, .each = each_answer, .user = &call});
}
