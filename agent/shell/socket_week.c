#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/core/indicators.h"
#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/message.h"

/* An agency's week in numbers: registrations counted inside the agent, and a week that is told the same way ever after,
 * whatever has been erased since. */

#define PARTS_MAX 16u

struct care_counts {
	uint32_t counts[INDICATORS_CARES_MAX + 1]; /* by code */
	struct kw_arena arena;
};

static bool count_one(void *user, struct kw_view bytes)
{
	struct care_counts *counts = user;
	struct kw_unpack what = {.descriptor = &kinward__v1__uasc_registration__descriptor, .size_max = KW_FRAME_SIZE_MAX};
	ProtobufCMessage *message = NULL;
	struct kw_fault fault = {0};

	kw_arena_init(&counts->arena, KW_MESSAGE_ARENA_MAX);
	if (kw_message_unpack(bytes, what, &counts->arena, &message, &fault) == KW_OK) {
		unsigned code = (unsigned)((const Kinward__V1__UascRegistration *)message)->care_arrangement;

		if (code <= INDICATORS_CARES_MAX)
			counts->counts[code]++;
	}
	kw_arena_fini(&counts->arena);
	return true;
}

void socket_do_care_count(struct socket_conn *conn, uint64_t id)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__CareCountReply body = KINWARD__V1__CARE_COUNT_REPLY__INIT;
	Kinward__V1__CareCount rows[INDICATORS_CARES_MAX];
	Kinward__V1__CareCount *list[INDICATORS_CARES_MAX];
	struct care_counts counts;

	memset(&counts, 0, sizeof(counts));
	enum kw_err err = spool_registrations(conn->socket->host.spool, count_one, &counts);

	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){0});
		return;
	}
	for (uint32_t code = 1; code <= INDICATORS_CARES_MAX; code++) {
		if (counts.counts[code] == 0)
			continue;
		kinward__v1__care_count__init(&rows[body.n_counts]);
		rows[body.n_counts].care_arrangement = (Kinward__V1__CareArrangement)code;
		rows[body.n_counts].count = counts.counts[code];
		list[body.n_counts] = &rows[body.n_counts];
		body.n_counts++;
	}
	body.counts = list;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_CARE_COUNTS;
	reply.care_counts = &body;
	socket_reply(conn, &reply);
}

static void kept(struct spool_op *op, enum kw_err err)
{
	struct socket_call *call = op->user;
	struct kw_unpack what = {.descriptor = &kinward__v1__week_keep_request__descriptor, .size_max = KW_FRAME_SIZE_MAX};
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__WeekKeepReply body = KINWARD__V1__WEEK_KEEP_REPLY__INIT;
	ProtobufCMessage *message = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;

	kw_arena_init(&arena, KW_MESSAGE_ARENA_MAX);
	if (err == KW_OK && op->content.size > 0)
		err = kw_message_unpack(kw_buf_view(&op->content), what, &arena, &message, &fault);
	if (err != KW_OK) {
		socket_call_refuse(call, err, NULL, NULL);
		goto out;
	}
	if (message != NULL) {
		body.parts = ((Kinward__V1__WeekKeepRequest *)message)->parts;
		body.n_parts = ((Kinward__V1__WeekKeepRequest *)message)->n_parts;
	}
	body.repeated_request = op->repeat;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_WEEK_KEPT;
	reply.week_kept = &body;
	socket_call_reply(call, &reply);
out:
	kw_arena_fini(&arena);
}

/* Every part by the rules of the catalogue, and of that week. */
static enum kw_err check(const Kinward__V1__WeekKeepRequest *request, struct kw_fault *fault, struct socket_detail *detail)
{
	struct indicators_week week;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	detail->field = "week_keep.week";
	detail->text = "Give an ISO 8601 week that is over, such as 2026-W47.";
	if (!indicators_week_from(request->week, &week) || week.to_ms > (int64_t)now.tv_sec * 1000)
		return KW_EFIELD;
	detail->field = "week_keep.parts";
	detail->text = "Give at most 16 parts, each of the week itself.";
	if (request->n_parts > PARTS_MAX)
		return KW_EFIELD;
	for (size_t i = 0; i < request->n_parts; i++) {
		if (strcmp(request->parts[i]->week, request->week) != 0)
			return KW_EFIELD;
		enum kw_err err = kw_message_validate(&request->parts[i]->base, "parts", fault);
		if (err != KW_OK) {
			*detail = (struct socket_detail){fault->field, fault->rule};
			return err;
		}
	}
	return KW_OK;
}

void socket_do_week_keep(struct socket_conn *conn, uint64_t id, const Kinward__V1__WeekKeepRequest *request)
{
	struct kw_fault fault = {0};
	struct socket_detail detail = {0};
	struct spool_op *op;
	enum kw_err err = check(request, &fault, &detail);

	if (err == KW_OK && spool_space(conn->socket->host.spool) != SPOOL_SPACE_OK) {
		detail = (struct socket_detail){.text = SOCKET_NO_SPACE_TEXT};
		err = KW_ENOSPACE;
	}
	if (err != KW_OK) {
		socket_refuse(conn, id, err, &detail);
		return;
	}
	op = spool_op_new(SPOOL_OP_KEEP);
	size_t packed = request->n_parts > 0 ? kinward__v1__week_keep_request__get_packed_size(request) : 0;
	struct socket_call *call = op != NULL && kw_buf_reserve(&op->content, packed) == KW_OK ? socket_call_new(conn, id) : NULL;
	if (call == NULL) {
		spool_op_free(op);
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		return;
	}
	if (packed > 0)
		op->content.size = kinward__v1__week_keep_request__pack(request, op->content.data);
	memcpy(op->u.keep.name, "week-", 5);
	memcpy(op->u.keep.name + 5, request->week, strlen(request->week)); /* 8 bytes, by its form */
	op->user = call;
	op->done = kept;
	spool_do(conn->socket->host.spool, op);
}
