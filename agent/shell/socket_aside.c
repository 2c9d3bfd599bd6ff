#include <stdlib.h>
#include <string.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_aside.h"

/* What could not be opened, for whoever looks into it. */

struct aside_one {
	struct spool_aside from;
	Kinward__V1__UnopenedItem item;
};

struct aside_gather {
	struct aside_one *list;
	Kinward__V1__UnopenedItem **rows;
	size_t count;
};

static bool gather_one(void *user, const struct spool_aside *aside)
{
	struct aside_gather *gather = user;
	struct aside_one *one = &gather->list[gather->count];
	Kinward__V1__UnopenedItem *item = &one->item;

	one->from = *aside;
	kinward__v1__unopened_item__init(item);
	item->number = one->from.number;
	item->at_unix_ms = one->from.at_ms;
	item->reason = one->from.reason;
	if (one->from.error != KW_OK)
		item->error = (char *)(uintptr_t)kw_err_name(one->from.error);
	item->size = one->from.size;
	if (one->from.readable)
		item->envelope_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = one->from.envelope_id.bytes};
	gather->rows[gather->count++] = item;
	return true;
}

void socket_do_unopened(struct socket_conn *conn, uint64_t id, const Kinward__V1__ListRequest *request)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__UnopenedList body = KINWARD__V1__UNOPENED_LIST__INIT;
	const struct spool_query query = {.after = request->after, .limit = request->limit == 0 ? 100 : request->limit};
	enum kw_err err = KW_OK;

	if (request->limit > SPOOL_LIST_MAX) {
		socket_refuse(conn, id, KW_EFIELD,
			&(struct socket_detail){.field = "limit", .text = "A list has at most 500 items; ask on from next_after."});
		return;
	}
	struct aside_gather gather = {.list = calloc(query.limit, sizeof(*gather.list)), .rows = calloc(query.limit, sizeof(*gather.rows))};
	if (gather.list == NULL || gather.rows == NULL)
		err = KW_ENOMEM;
	if (err == KW_OK)
		err = spool_asides(conn->socket->host.spool, &query, gather_one, &gather, &body.next_after);
	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){0});
	} else {
		body.items = gather.rows;
		body.n_items = gather.count;
		reply.id = id;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_UNOPENED;
		reply.unopened = &body;
		socket_reply(conn, &reply);
	}
	free(gather.list);
	free(gather.rows);
}
