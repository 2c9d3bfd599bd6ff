#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"
#include "proto/wire/spelling.h"

/* Requests: unpacked within bounds, checked, carried out. What changes the spool is answered after its commit. */

void socket_refuse(struct socket_conn *conn, uint64_t id, enum kw_err err, const struct socket_detail *detail)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__LocalError body = KINWARD__V1__LOCAL_ERROR__INIT;
	char field[256];

	(void)snprintf(field, sizeof(field), "%s", detail->field != NULL ? detail->field : ""); /* fits: a path of ours */
	kw_spell_json(field);
	body.code = (char *)(uintptr_t)kw_err_name(err);
	body.field = field;
	body.text = (char *)(uintptr_t)(detail->text != NULL ? detail->text : kw_err_text(err));
	body.retryable = kw_err_class(err) == KW_CLASS_RETRY;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ERROR;
	reply.error = &body;
	socket_reply(conn, &reply);
}

static void refuse_field(struct socket_conn *conn, uint64_t id, const char *field, const char *rule)
{
	socket_refuse(conn, id, KW_EFIELD, &(struct socket_detail){.field = field, .text = rule});
}

static void do_send(struct socket_conn *conn, Kinward__V1__LocalRequest *request)
{
	struct socket_call *call = socket_call_new(conn, request->id);

	if (call == NULL)
		socket_refuse(conn, request->id, KW_ENOMEM, &(struct socket_detail){0});
	else
		conn->socket->host.send(conn->socket->host.user, request->send, call);
}

/* Hands a request to the host. hand NULL: this agent does no such thing. */
static void do_host(struct socket_conn *conn, const Kinward__V1__LocalRequest *request,
	void (*hand)(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call))
{
	struct socket_call *call = hand == NULL ? NULL : socket_call_new(conn, request->id);

	if (hand == NULL)
		refuse_field(conn, request->id, "body", "The request asks for nothing that this agent knows.");
	else if (call == NULL)
		socket_refuse(conn, request->id, KW_ENOMEM, &(struct socket_detail){0});
	else
		hand(conn->socket->host.user, request, call);
}

static void call_done(struct spool_op *op, enum kw_err err)
{
	struct socket_call *call = op->user;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__AckReply acked = KINWARD__V1__ACK_REPLY__INIT;
	Kinward__V1__RegisterReply registered = KINWARD__V1__REGISTER_REPLY__INIT;

	if (err != KW_OK) {
		socket_call_refuse(call, err, NULL, NULL);
		return;
	}
	reply.id = call->id;
	if (op->type == SPOOL_OP_ACK) {
		acked.count = op->count;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ACKED;
		reply.acked = &acked;
	} else {
		registered.repeated_request = op->repeat;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_REGISTERED;
		reply.registered = &registered;
	}
	socket_reply(call->conn, &reply);
	struct socket_conn *conn = call->conn;
	free(call);
	conn->calls--;
	socket_pump(conn);
}

/* Hands an operation over; its reply comes after the commit. Takes op. */
static void do_op(struct socket_conn *conn, uint64_t id, struct spool_op *op)
{
	struct socket_call *call = socket_call_new(conn, id);

	if (call == NULL) {
		spool_op_free(op);
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		return;
	}
	op->user = call;
	op->done = call_done;
	spool_do(conn->socket->host.spool, op);
}

static void do_ack(struct socket_conn *conn, uint64_t id, const Kinward__V1__AckRequest *request)
{
	struct spool_op *op;

	if (request->n_message_ids == 0 || request->n_message_ids > SOCKET_IDS_MAX) {
		refuse_field(conn, id, "ack.message_ids", "Give 1 to 500 message ids.");
		return;
	}
	for (size_t i = 0; i < request->n_message_ids; i++) {
		if (request->message_ids[i].len != KW_ID_SIZE) {
			refuse_field(conn, id, "ack.message_ids", "A message id has 16 bytes.");
			return;
		}
	}
	op = spool_op_new(SPOOL_OP_ACK);
	if (op != NULL)
		op->u.ack.ids = calloc(request->n_message_ids, sizeof(*op->u.ack.ids));
	if (op == NULL || op->u.ack.ids == NULL) {
		spool_op_free(op);
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		return;
	}
	op->u.ack.ids_count = (uint32_t)request->n_message_ids;
	for (size_t i = 0; i < request->n_message_ids; i++)
		memcpy(op->u.ack.ids[i].bytes, request->message_ids[i].data, KW_ID_SIZE);
	do_op(conn, id, op);
}

static enum kw_err broken(struct kw_fault *fault, const char *field, const char *rule)
{
	*fault = (struct kw_fault){.code = KW_EFIELD};
	(void)snprintf(fault->field, sizeof(fault->field), "%s", field); /* fits: ours */
	(void)snprintf(fault->rule, sizeof(fault->rule), "%s", rule);    /* as above */
	return KW_EFIELD;
}

enum kw_err socket_register_op(struct spool *spool, const Kinward__V1__RegisterRequest *request, struct kw_fault *fault,
	struct spool_op **out)
{
	size_t size = strlen(request->local_id);

	fault->rule[0] = '\0';
	if (size == 0 || size > SPOOL_LOCAL_ID_SIZE_MAX)
		return broken(fault, "register.local_id", "The record's own id has 1 to 64 bytes.");
	if (request->registration == NULL)
		return broken(fault, "register.registration", "Give the registration.");
	enum kw_err err = kw_message_validate(&request->registration->base, "registration", fault);
	if (err != KW_OK)
		return err;
	if (spool_space(spool) != SPOOL_SPACE_OK)
		return KW_ENOSPACE;
	struct spool_op *op = spool_op_new(SPOOL_OP_REGISTER);
	size_t packed = kinward__v1__uasc_registration__get_packed_size(request->registration);
	if (op == NULL || kw_buf_reserve(&op->content, packed) != KW_OK) {
		spool_op_free(op);
		return KW_ENOMEM;
	}
	op->content.size += kinward__v1__uasc_registration__pack(request->registration, op->content.data);
	memcpy(op->u.registration.local_id, request->local_id, size);
	op->u.registration.local_id_size = size;
	*out = op;
	return KW_OK;
}

static void do_register(struct socket_conn *conn, uint64_t id, const Kinward__V1__RegisterRequest *request)
{
	struct kw_fault fault;
	struct spool_op *op = NULL;
	enum kw_err err = socket_register_op(conn->socket->host.spool, request, &fault, &op);

	if (err == KW_OK)
		do_op(conn, id, op);
	else
		socket_refuse(conn, id, err, &(struct socket_detail){.field = fault.rule[0] ? fault.field : NULL,
			.text = fault.rule[0] ? fault.rule : err == KW_ENOSPACE ? SOCKET_NO_SPACE_TEXT : NULL});
}

static void do_status(struct socket_conn *conn, uint64_t id)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__StatusReply body = KINWARD__V1__STATUS_REPLY__INIT;
	const struct spool *spool = conn->socket->host.spool;

	body.sent = spool_count(spool, SPOOL_COUNT_SENT);
	body.queued = spool_count(spool, SPOOL_COUNT_QUEUED);
	body.held = spool_count(spool, SPOOL_COUNT_HELD);
	body.delivered = spool_count(spool, SPOOL_COUNT_DELIVERED);
	body.opened = spool_count(spool, SPOOL_COUNT_OPENED);
	body.dead = spool_count(spool, SPOOL_COUNT_DEAD);
	body.received = spool_count(spool, SPOOL_COUNT_RECEIVED);
	body.repeats_dropped = spool_count(spool, SPOOL_COUNT_REPEATS);
	body.unopened = spool_count(spool, SPOOL_COUNT_UNOPENED);
	body.inbox_new = spool_count(spool, SPOOL_COUNT_NEW);
	body.registrations = spool_count(spool, SPOOL_COUNT_REGISTRATIONS);
	body.put_off = spool_put_off(spool);
	body.store = (Kinward__V1__StoreState)(KINWARD__V1__STORE_STATE__STORE_STATE_OK + (int)spool_space(spool));
	conn->socket->host.status(conn->socket->host.user, &body);
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_STATUS;
	reply.status = &body;
	socket_reply(conn, &reply);
}

/* One agency of the directory in a reply. */
struct known {
	Kinward__V1__KnownAgency agency;
	struct kw_digest fingerprint;
};

static void fill_known(const struct kw_directory *directory, struct known *known, Kinward__V1__KnownAgency **list)
{
	for (size_t i = 0; i < directory->count; i++) {
		const struct kw_directory_entry *entry = &directory->entries[i];
		struct kw_view key = KW_VIEW_OF(entry->identity_key);

		kinward__v1__known_agency__init(&known[i].agency);
		known[i].agency.agency = (char *)(uintptr_t)entry->agency.text;
		known[i].agency.revoked = entry->revoked;
		if (kw_sha256(&key, 1, &known[i].fingerprint) == KW_OK)
			known[i].agency.identity_fingerprint =
				(ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = known[i].fingerprint.bytes};
		const struct kw_identity_who who = {.agency = &entry->agency, .hub = &directory->hub};
		if (entry->identity_change.reason != 0 &&
			kw_identity_verify(&who, entry->identity_key, &entry->identity_change) == KW_OK) {
			known[i].agency.identity_changed_unix_ms = entry->identity_change.unix_ms;
			known[i].agency.identity_reason = (char *)(uintptr_t)kw_identity_reason_name(entry->identity_change.reason);
		}
		list[i] = &known[i].agency;
	}
}

static void do_keys(struct socket_conn *conn, uint64_t id)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__KeysReply body = KINWARD__V1__KEYS_REPLY__INIT;
	struct socket_identity identity = {0};
	struct known *known;
	Kinward__V1__KnownAgency **list;

	conn->socket->host.identity(conn->socket->host.user, &identity);
	size_t count = identity.directory != NULL ? identity.directory->count : 0;
	known = calloc(count + 1, sizeof(*known));
	list = calloc(count + 1, sizeof(*list));
	if (known == NULL || list == NULL) {
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		goto out;
	}
	if (count > 0)
		fill_known(identity.directory, known, list);
	body.identity_fingerprint = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = identity.identity_fingerprint.bytes};
	body.sealing_key_id = (ProtobufCBinaryData){.len = sizeof(identity.sealing_key_id), .data = identity.sealing_key_id};
	body.root_fingerprint = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = identity.root_fingerprint.bytes};
	body.agencies = list;
	body.n_agencies = count;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_KEYS;
	reply.keys = &body;
	socket_reply(conn, &reply);
out:
	free(known);
	free(list);
}

/* What is read of cases and counted over them. */
static void dispatch_case(struct socket_conn *conn, Kinward__V1__LocalRequest *request)
{
	switch (request->body_case) {
	case KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_LIST:
		socket_do_consents(conn, request->id, request->consent_list);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_CARE_COUNT:
		socket_do_care_count(conn, request->id);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_WEEK_KEEP:
		socket_do_week_keep(conn, request->id, request->week_keep);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_CASES:
		socket_do_cases(conn, request->id, request->cases);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW:
		socket_do_case(conn, request->id, request->case_show);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_TODO:
		socket_do_todo(conn, request->id, request->todo);
		break;
	default:
		refuse_field(conn, request->id, "body", "The request asks for nothing that this agent knows.");
		break;
	}
}

static void dispatch(struct socket_conn *conn, Kinward__V1__LocalRequest *request)
{
	switch (request->body_case) {
	case KINWARD__V1__LOCAL_REQUEST__BODY_SEND:
		do_send(conn, request);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_INBOX:
		socket_do_list(conn, request->id, SPOOL_LIST_INBOX, request->inbox);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_OUTBOX:
		socket_do_list(conn, request->id, SPOOL_LIST_SENT, request->outbox);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_DEAD_LETTERS:
		socket_do_list(conn, request->id, SPOOL_LIST_DEAD, request->dead_letters);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_SHOW:
		socket_do_show(conn, request->id, request->show);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_ACK:
		do_ack(conn, request->id, request->ack);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_STATUS:
		do_status(conn, request->id);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_SUBSCRIBE:
		socket_do_subscribe(conn, request->id, request->subscribe);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER:
		do_register(conn, request->id, request->register_);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_KEYS:
		do_keys(conn, request->id);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_BATCH:
		do_host(conn, request, conn->socket->host.batch);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_ATTACH:
	case KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_GET:
	case KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENTS:
	case KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_REMOVE:
		do_host(conn, request, conn->socket->host.attachment);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_WITHDRAW:
	case KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_ANSWER:
		do_host(conn, request, conn->socket->host.consent);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_PROOF:
		do_host(conn, request, conn->socket->host.proof);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_SERVICES:
	case KINWARD__V1__LOCAL_REQUEST__BODY_PUBLISH:
	case KINWARD__V1__LOCAL_REQUEST__BODY_REFER:
	case KINWARD__V1__LOCAL_REQUEST__BODY_OFFERS:
	case KINWARD__V1__LOCAL_REQUEST__BODY_LEASE:
		do_host(conn, request, conn->socket->host.service);
		break;
	default:
		dispatch_case(conn, request);
		break;
	}
}

void socket_request(struct socket_conn *conn, struct kw_view bytes)
{
	struct kw_unpack what = {.descriptor = &kinward__v1__local_request__descriptor, .size_max = SOCKET_REQUEST_SIZE_MAX};
	ProtobufCMessage *message = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;
	enum kw_err err;

	kw_arena_init(&arena, KW_MESSAGE_ARENA_MAX);
	err = kw_message_unpack(bytes, what, &arena, &message, &fault);
	if (err != KW_OK) {
		socket_refuse(conn, 0, err, &(struct socket_detail){.field = fault.field, .text = fault.rule[0] ? fault.rule : NULL});
	} else {
		Kinward__V1__LocalRequest *request = (Kinward__V1__LocalRequest *)message;

		if (request->id == 0)
			refuse_field(conn, 0, "id", "A request has an id that is not 0.");
		else
			dispatch(conn, request);
	}
	kw_arena_fini(&arena);
}
