#include <stdlib.h>
#include <string.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/message.h"
#include "proto/wire/receipt.h"

/* Items: lists, one message, and the subscription. Contents were checked when they were stored; they are unpacked again
 * within the same bounds. */

/* An item as protobuf, and the memory behind it. */
struct shown {
	Kinward__V1__Item item;
	struct spool_item from;
	Kinward__V1__ReceiptLevel levels[KW_RECEIPT_LEVEL_COUNT];
	struct kw_arena arena;
	struct shown *next;
};

static ProtobufCBinaryData bytes_of(const uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)data};
}

static void shown_free(struct shown *shown)
{
	kw_arena_fini(&shown->arena);
	kw_wipe(shown, sizeof(*shown));
	free(shown);
}

/* Whether consent was withdrawn, so that there is no content to show. */
static bool is_withdrawn(struct spool *spool, const struct spool_item *item)
{
	struct spool_erasure erasure;

	return spool_erasure(spool, &item->thread_id, &item->agency, &erasure) == KW_OK && spool_erasure_hides(&erasure);
}

static void show_signed(struct shown *shown)
{
	Kinward__V1__Item *item = &shown->item;

	item->signed_receipts = shown->levels;
	for (int level = KW_RECEIPT_STORED; level < KW_RECEIPT_LEVEL_COUNT; level++)
		if (shown->from.signed_levels & (1u << level))
			shown->levels[item->n_signed_receipts++] = (Kinward__V1__ReceiptLevel)level;
}

/* NULL when memory is out. A content that cannot be read is left out, and the rest shown. */
static struct shown *show(const struct spool_item *from, struct kw_view content, bool received)
{
	struct shown *shown = calloc(1, sizeof(*shown));
	struct kw_fault fault;

	if (shown == NULL)
		return NULL;
	shown->from = *from;
	from = &shown->from;
	kw_arena_init(&shown->arena, KW_CONTENT_ARENA_MAX);
	Kinward__V1__Item *item = &shown->item;
	kinward__v1__item__init(item);
	item->number = from->number;
	item->message_id = bytes_of(from->message_id.bytes, KW_ID_SIZE);
	item->thread_id = bytes_of(from->thread_id.bytes, KW_ID_SIZE);
	item->thread_sequence = from->thread_sequence;
	item->agency = (char *)(uintptr_t)from->agency.text;
	item->at_unix_ms = from->at_ms;
	item->state = received ? KINWARD__V1__OUT_STATE__OUT_STATE_UNSPECIFIED : (Kinward__V1__OutState)from->state;
	if (from->reason != KW_OK)
		item->reason = (char *)(uintptr_t)kw_err_name(from->reason);
	item->acked = from->acked;
	item->held_unix_ms = from->held_ms;
	item->delivered_unix_ms = from->delivered_ms;
	item->opened_unix_ms = from->opened_ms;
	item->decided_unix_ms = from->decided_ms;
	if (!received)
		show_signed(shown);
	item->envelope_id = bytes_of(from->envelope_id.bytes, KW_ID_SIZE);
	item->digest = bytes_of(from->digest.bytes, KW_DIGEST_SIZE);
	if (content.size > 0 && kw_content_unpack(content, &shown->arena, &item->content, &fault) != KW_OK)
		item->content = NULL;
	return shown;
}

struct gather {
	struct shown *head;
	struct shown **tail;
	size_t count;
	size_t bytes;
	bool received;
	bool failed;
	struct spool *spool;
};

static bool gather_one(void *user, const struct spool_item *item, struct kw_view content)
{
	struct gather *gather = user;
	struct shown *shown = show(item, content, gather->received);

	if (shown == NULL) {
		gather->failed = true;
		return false;
	}
	shown->item.withdrawn = gather->received && content.size == 0 && is_withdrawn(gather->spool, item);
	*gather->tail = shown;
	gather->tail = &shown->next;
	gather->count++;
	gather->bytes += content.size + 256;
	return gather->bytes < SOCKET_LIST_BYTES_MAX;
}

static void gather_free(struct gather *gather)
{
	while (gather->head != NULL) {
		struct shown *next = gather->head->next;

		shown_free(gather->head);
		gather->head = next;
	}
}

static void reply_list(struct socket_conn *conn, uint64_t id, const struct gather *gather, uint64_t next_after)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__ItemList body = KINWARD__V1__ITEM_LIST__INIT;
	Kinward__V1__Item **items = calloc(gather->count + 1, sizeof(*items));
	size_t i = 0;

	if (items == NULL) {
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		return;
	}
	for (struct shown *shown = gather->head; shown != NULL; shown = shown->next)
		items[i++] = &shown->item;
	body.items = items;
	body.n_items = gather->count;
	body.next_after = next_after;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEMS;
	reply.items = &body;
	socket_reply(conn, &reply);
	free(items);
}

void socket_do_list(struct socket_conn *conn, uint64_t id, enum spool_list list, const Kinward__V1__ListRequest *request)
{
	struct spool_query query = {.list = list,
		.after = request->after,
		.limit = request->limit == 0 ? 100 : request->limit,
		.all = request->all,
		.content = list == SPOOL_LIST_INBOX};
	struct gather gather = {.tail = &gather.head, .received = list == SPOOL_LIST_INBOX,
		.spool = conn->socket->host.spool};
	uint64_t next_after = 0;
	enum kw_err err;

	if (request->limit > SPOOL_LIST_MAX) {
		socket_refuse(conn, id, KW_EFIELD,
			&(struct socket_detail){.field = "limit", .text = "A list has at most 500 items; ask on from next_after."});
		return;
	}
	err = spool_list(conn->socket->host.spool, &query, gather_one, &gather, &next_after);
	if (err == KW_OK && gather.failed)
		err = KW_ENOMEM;
	if (err != KW_OK)
		socket_refuse(conn, id, err, &(struct socket_detail){0});
	else
		reply_list(conn, id, &gather, next_after);
	gather_free(&gather);
}

static void reply_item(struct socket_conn *conn, uint64_t id, struct shown *shown)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;

	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEM;
	reply.item = &shown->item;
	socket_reply(conn, &reply);
}

void socket_do_show(struct socket_conn *conn, uint64_t id, const Kinward__V1__ShowRequest *request)
{
	struct spool_item item;
	struct kw_buf content;
	struct kw_id key;
	bool received = false;
	enum kw_err err;

	if (request->message_id.len != KW_ID_SIZE) {
		socket_refuse(conn, id, KW_EFIELD,
			&(struct socket_detail){.field = "show.message_id", .text = "A message id has 16 bytes."});
		return;
	}
	memcpy(key.bytes, request->message_id.data, KW_ID_SIZE);
	kw_buf_init(&content, KW_FRAME_SIZE_MAX * 2);
	err = spool_show(conn->socket->host.spool, &key, &item, &received, &content);
	struct shown *shown = err == KW_OK ? show(&item, kw_buf_view(&content), received) : NULL;
	if (err == KW_OK && shown == NULL)
		err = KW_ENOMEM;
	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){.field = err == KW_ENOTFOUND ? "show.message_id" : NULL});
	} else {
		shown->item.withdrawn = content.size == 0 && is_withdrawn(conn->socket->host.spool, &item);
		reply_item(conn, id, shown);
		shown_free(shown);
	}
	kw_buf_fini(&content);
}

void socket_do_subscribe(struct socket_conn *conn, uint64_t id, const Kinward__V1__SubscribeRequest *request)
{
	if (conn->subscribed != 0) {
		socket_refuse(conn, id, KW_ESTATE, &(struct socket_detail){.text = "This connection is subscribed already."});
		return;
	}
	conn->subscribed = id;
	conn->after = request->after;
	/* The pump that called this pushes what is there. */
}

static bool push_one(void *user, const struct spool_item *item, struct kw_view content)
{
	struct socket_conn *conn = user;
	struct shown *shown = show(item, content, true);

	if (shown == NULL)
		return false;
	shown->item.withdrawn = content.size == 0 && is_withdrawn(conn->socket->host.spool, item);
	reply_item(conn, conn->subscribed, shown);
	shown_free(shown);
	conn->after = item->number;
	return !conn->closing && uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) < SOCKET_PENDING_BYTES;
}

void socket_push(struct socket_conn *conn)
{
	struct spool_query query = {.list = SPOOL_LIST_INBOX, .after = conn->after, .limit = SPOOL_LIST_MAX, .content = true};
	uint64_t next_after;

	if (conn->subscribed == 0 || conn->closing || conn->ending ||
		uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) >= SOCKET_PENDING_BYTES)
		return;
	/* New means not acknowledged, also after a number. */
	enum kw_err err = spool_list(conn->socket->host.spool, &query, push_one, conn, &next_after);
	if (err != KW_OK) {
		socket_refuse(conn, conn->subscribed, err, &(struct socket_detail){0});
		conn->subscribed = 0;
	}
}
