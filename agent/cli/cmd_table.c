#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/table.h"
#include "proto/wire/message.h"

/* kinward import --as MESSAGE. Steps: the whole file is read and checked · every agency is one that we can send to · the
 * messages go to the agent, in the order of the file. Up to the last step a fault leaves nothing behind.
 * In the last step the agent may refuse (a state that does not allow it) or go away. Then the rest is not sent, and as ids
 * come from what is sent, the same command goes on where it stopped. */

struct table_job {
	struct cli_call *call;
	const struct cli_table_import *import;
	const ProtobufCFieldDescriptor *kind;
	const char *file;
	struct table *table;
	struct kinward agent;
	size_t faults, sent, repeated;
};

static void print_fault(void *context, const struct table_fault *fault)
{
	struct table_job *job = context;
	struct cli_call *call = job->call;
	if (call->json) {
		char column[4 * sizeof(fault->column)]; /* it may be no UTF-8 */
		cli_escape(column, sizeof(column), fault->column);
		cli_print_json(call->out, json_pack("{s:{s:s, s:I, s:s, s:s, s:s}}", "refused", "file", job->file, "row",
			(json_int_t)fault->row, "column", column, "field", fault->field, "rule", fault->rule));
		return;
	}
	cli_print_text(call->err, job->file);
	(void)fputs(": ", call->err);
	if (fault->row)
		(void)fprintf(call->err, "row %zu", fault->row);
	if (fault->column[0]) {
		(void)fputs(", column ", call->err);
		cli_print_text(call->err, fault->column);
	}
	if (fault->row)
		(void)fputs(": ", call->err);
	cli_print_text(call->err, fault->rule);
	(void)fputc('\n', call->err);
}

/* A fault found here: printed while there is room, as table_read does. */
static void refuse(struct table_job *job, const struct table_message *message, const char *column, const char *rule)
{
	struct table_fault fault = {.row = message->row};
	(void)snprintf(fault.column, sizeof(fault.column), "%s", column); /* fits: ours */
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule);       /* fits: ours */
	if (job->faults++ < TABLE_FAULTS_MAX)
		print_fault(job, &fault);
}

static const char *agency_of(const struct table_job *job, const struct table_message *message)
{
	return message->agency[0] ? message->agency : job->import->to ? job->import->to : "";
}

static int print_summary(struct table_job *job, int code)
{
	struct cli_call *call = job->call;
	size_t rows = job->table ? table_rows(job->table) : 0;
	size_t count = job->table ? table_count(job->table) : 0;
	bool dry = job->import->dry_run;
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:{s:s, s:I, s:I, s:I, s:I, s:I}}", "summary", "file", job->file, "rows",
			(json_int_t)rows, "messages", (json_int_t)count, "sent", (json_int_t)job->sent, "repeated",
			(json_int_t)job->repeated, "faults", (json_int_t)job->faults));
		return code;
	}
	if (job->faults > TABLE_FAULTS_MAX)
		(void)fprintf(call->err, "and %zu more faults; correct these first\n", job->faults - TABLE_FAULTS_MAX);
	if (job->faults > 0)
		(void)fprintf(call->out, "%zu fault%s; nothing was sent\n", job->faults, job->faults == 1 ? "" : "s");
	else if (dry)
		(void)fprintf(call->out, "%zu rows: %zu messages, all good; nothing was sent\n", rows, count);
	else
		(void)fprintf(call->out, "%zu rows: %zu messages, %zu in the outbox, %zu there already\n", rows, count, job->sent,
			job->repeated);
	return code;
}

/* A good message as structs; *content borrows from *body, which the caller frees. */
static int unpack(struct table_job *job, const struct table_message *message, Kinward__V1__Content *content,
	ProtobufCMessage **body)
{
	*body = protobuf_c_message_unpack(job->kind->descriptor, NULL, message->body.size, message->body.data);
	if (!*body)
		return cli_fail_err(job->call, KW_ENOMEM, NULL); /* the bytes are ours and well formed */
	content->body_case = (Kinward__V1__Content__BodyCase)job->kind->id;
	memcpy((char *)content + job->kind->offset, body, sizeof(*body)); /* the members of the oneof are pointers */
	return CLI_OK;
}

static int print_message(struct table_job *job, const struct table_message *message)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	ProtobufCMessage *body = NULL;
	struct json_fault fault;
	json_t *json = NULL;
	int code = unpack(job, message, &content, &body);
	if (code != CLI_OK)
		return code;
	enum kw_err err = json_map_write(&content.base, &json, &fault);
	if (err == KW_OK)
		cli_print_json(job->call->out, json_pack("{s:I, s:o}", "row", (json_int_t)message->row, "content", json));
	else
		code = cli_fail_json(job->call, err, job->file, &fault);
	protobuf_c_message_free_unpacked(body, NULL);
	return code;
}

/* What only the way needs; a file that is only checked needs no agency yet. */
static void check_ways(struct table_job *job)
{
	for (size_t i = 0; i < table_count(job->table); i++) {
		struct table_message message = table_at(job->table, i);
		if (table_stays_here(job->kind)) {
			if (!message.local_id[0])
				refuse(job, &message, "#id", "is required: the id of the case in your own system");
			if (message.agency[0] || message.thread[0])
				refuse(job, &message, message.agency[0] ? "#to" : "#thread", "is for what is sent; a registration stays at your "
					"own agent, so leave it empty");
		} else if (!agency_of(job, &message)[0] && !job->import->dry_run) {
			refuse(job, &message, "#to", "is required where the command line has no --to: the agency that it goes to");
		}
	}
}

/* Every agency is one that the directory has, before the first message goes. */
static int check_agencies(struct table_job *job)
{
	Kinward__V1__KeysRequest keys = KINWARD__V1__KEYS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_KEYS;
	request.keys = &keys;
	int code = cli_ask(job->call, &job->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_KEYS, &reply);
	if (code != CLI_OK)
		return code;
	for (size_t i = 0; i < table_count(job->table); i++) {
		struct table_message message = table_at(job->table, i);
		const Kinward__V1__KnownAgency *known = NULL;
		for (size_t k = 0; !known && k < reply->keys->n_agencies; k++)
			if (strcmp(reply->keys->agencies[k]->agency, agency_of(job, &message)) == 0)
				known = reply->keys->agencies[k];
		if (!known)
			refuse(job, &message, message.agency[0] ? "#to" : "", "goes to an agency that is not in the directory; kinward keys "
				"lists them");
		else if (known->revoked)
			refuse(job, &message, message.agency[0] ? "#to" : "", "goes to an agency that is shut out; kinward keys lists them");
	}
	kinward_reply_free(reply);
	return CLI_OK;
}

static enum kw_err add_text(struct kw_buf *out, const char *text)
{
	return kw_buf_add(out, KW_VIEW(text, strlen(text) + 1));
}

/* The id of a message comes from what it says and where it goes, so that the same row is the same message however often
 * the file is imported. Rows that are alike in all of it are told apart by their count. */
static enum kw_err derive_id(const struct table_job *job, const struct table_message *message, json_t *seen,
	uint8_t id[KW_ID_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH], number[8];
	char hex[2 * SHA256_DIGEST_LENGTH + 1];
	struct kw_buf bytes;
	kw_buf_init(&bytes, message->body.size + 3 * (TABLE_CELL_SIZE_MAX + 1) + 64);
	kw_put_u32(number, job->kind->id);
	enum kw_err err = add_text(&bytes, "kw1 import table");
	if (err == KW_OK)
		err = add_text(&bytes, agency_of(job, message));
	if (err == KW_OK)
		err = add_text(&bytes, message->thread);
	if (err == KW_OK)
		err = add_text(&bytes, message->group);
	if (err == KW_OK)
		err = kw_buf_add(&bytes, KW_VIEW(number, 4));
	if (err == KW_OK)
		err = kw_buf_add(&bytes, message->body);
	if (err == KW_OK && !SHA256(bytes.data, bytes.size, digest))
		err = KW_ECRYPTO;
	kw_buf_fini(&bytes);
	if (err != KW_OK)
		return err;
	kw_hex(hex, KW_VIEW_OF(digest));
	json_int_t before = json_integer_value(json_object_get(seen, hex));
	if (json_object_set_new(seen, hex, json_integer(before + 1)) != 0)
		return KW_ENOMEM;
	if (before > 0) {
		uint8_t again[SHA256_DIGEST_LENGTH + 8];
		memcpy(again, digest, sizeof(digest));
		kw_put_u64(again + sizeof(digest), (uint64_t)before);
		if (!SHA256(again, sizeof(again), digest))
			return KW_ECRYPTO;
	}
	memcpy(id, digest, KW_ID_SIZE);
	return KW_OK;
}

static char *borrowed(const char *text)
{
	return (char *)(uintptr_t)text; /* protobuf-c's structs have no const; packing changes nothing */
}

static int register_one(struct table_job *job, const struct table_message *message, Kinward__V1__Content *content)
{
	Kinward__V1__RegisterRequest body = KINWARD__V1__REGISTER_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	body.local_id = borrowed(message->local_id);
	body.registration = content->uasc_registration;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER;
	request.register_ = &body;
	int code = cli_ask(job->call, &job->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_REGISTERED, &reply);
	if (code != CLI_OK)
		return code;
	job->repeated += reply->registered->repeated_request ? 1 : 0;
	job->sent += reply->registered->repeated_request ? 0 : 1;
	kinward_reply_free(reply);
	return CLI_OK;
}

static int send_one(struct table_job *job, const struct table_message *message, Kinward__V1__Content *content)
{
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	uint8_t thread[KW_ID_SIZE];
	send.agency = borrowed(agency_of(job, message));
	send.content = content;
	if (kw_unhex(thread, sizeof(thread), message->thread) == KW_OK) /* it is good or empty */
		send.thread_id = (ProtobufCBinaryData){.len = sizeof(thread), .data = thread};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SEND;
	request.send = &send;
	int code = cli_ask(job->call, &job->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_SENT, &reply);
	if (code != CLI_OK)
		return code;
	job->repeated += reply->sent->repeated_request ? 1 : 0;
	job->sent += reply->sent->repeated_request ? 0 : 1;
	kinward_reply_free(reply);
	return CLI_OK;
}

static int take_message(struct table_job *job, const struct table_message *message, json_t *seen)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	ProtobufCMessage *body = NULL;
	uint8_t id[KW_ID_SIZE];
	enum kw_err err = derive_id(job, message, seen, id);
	if (err != KW_OK)
		return cli_fail_err(job->call, err, NULL);
	int code = unpack(job, message, &content, &body);
	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	if (code == CLI_OK)
		code = table_stays_here(job->kind) ? register_one(job, message, &content) : send_one(job, message, &content);
	if (body)
		protobuf_c_message_free_unpacked(body, NULL);
	return code;
}

static int send_all(struct table_job *job)
{
	json_t *seen = json_object();
	size_t count = table_count(job->table);
	int code = seen ? CLI_OK : cli_fail_err(job->call, KW_ENOMEM, NULL);
	for (size_t i = 0; code == CLI_OK && i < count; i++) {
		struct table_message message = table_at(job->table, i);
		code = take_message(job, &message, seen);
		if (code == CLI_OK)
			continue;
		(void)fputs("kinward: ", job->call->err);
		cli_print_text(job->call->err, job->file);
		(void)fprintf(job->call->err, ": stopped at row %zu, %zu of %zu messages are in; %srun the same command again, and it "
			"sends only what is missing\n", message.row, job->sent + job->repeated, count,
			code == CLI_REFUSED ? "correct the row, " : "");
	}
	json_decref(seen);
	return code;
}

static int run(struct table_job *job, struct kw_view text)
{
	struct table_ask ask = {.kind = job->kind, .refused = print_fault, .context = job};
	enum kw_err err = table_read(text, &ask, &job->table, &job->faults);
	if (err != KW_OK && job->faults == 0)
		return cli_fail_err(job->call, err, NULL);
	if (err != KW_OK)
		return print_summary(job, CLI_REFUSED);
	int code = CLI_OK;
	check_ways(job);
	if (job->faults == 0 && !job->import->dry_run) {
		code = cli_connect(job->call, &job->agent);
		if (code == CLI_OK && !table_stays_here(job->kind))
			code = check_agencies(job);
	}
	if (code != CLI_OK)
		return code;
	if (job->faults > 0)
		return print_summary(job, CLI_REFUSED);
	if (!job->import->dry_run)
		code = send_all(job);
	for (size_t i = 0; code == CLI_OK && job->import->dry_run && job->call->json && i < table_count(job->table); i++) {
		struct table_message message = table_at(job->table, i);
		code = print_message(job, &message);
	}
	return print_summary(job, code);
}

int cli_import_table(struct cli_call *call, const struct cli_table_import *import)
{
	struct table_job job = {.call = call, .import = import, .kind = table_kind(import->as), .file = call->args[0],
		.agent = {.fd = -1}};
	struct kw_buf text;
	if (!job.kind)
		return cli_fail_usage(call, "--as is registration, referral, or a message that kinward template --list names");
	if (table_stays_here(job.kind) && import->to)
		return cli_fail_usage(call, "registrations go to your own agent; --to is for what is sent");
	kw_buf_init(&text, TABLE_FILE_SIZE_MAX);
	int code = cli_read_file(call, call->args[0], &text);
	if (code == CLI_OK)
		code = run(&job, kw_buf_view(&text));
	kinward_close(&job.agent);
	table_free(job.table);
	kw_buf_fini(&text);
	return code;
}
