#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/table.h"
#include "proto/wire/message.h"

/* kinward import --as MESSAGE. Steps: the whole file is read and checked · every agency is one that we can send to · the
 * messages go to the agent as one batch, in the order of the file: it looks at each, and stores all of them or none. A fault
 * at any step leaves nothing behind. When the agent goes away before it has said that all are in, nobody knows whether they
 * are; as ids come from what is sent, the same command then sends nothing twice. */

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
	else if (code == CLI_OK)
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

/* A fault that the agent names: told like the others, by row and column. */
static void refuse_as(struct table_job *job, const struct table_message *message, const Kinward__V1__LocalError *refusal)
{
	struct table_fault fault = {.row = message->row};
	(void)snprintf(fault.column, sizeof(fault.column), "%s", table_header_of(job->table, refusal->field)); /* fits: a header */
	(void)snprintf(fault.field, sizeof(fault.field), "%s", refusal->field);                  /* cut short is good enough */
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", refusal->text);                     /* as above */
	if (job->faults++ < TABLE_FAULTS_MAX)
		print_fault(job, &fault);
}

/* One step of the batch. CLI_OK with *reply, which may be a refusal. */
static int ask(struct table_job *job, Kinward__V1__BatchRequest *step, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_BATCH;
	request.batch = step;
	enum kw_err err = kinward_ask(&job->agent, &request, reply);
	return err == KW_OK ? CLI_OK : cli_fail_agent(job->call, &job->agent, err);
}

/* What cannot be now: nothing is in, and another try may do. */
static int later(struct table_job *job, const Kinward__V1__LocalError *refusal)
{
	int code = cli_fail_refused(job->call, refusal);
	(void)fputs("kinward: nothing of the file was sent; run the same command again\n", job->call->err);
	return code;
}

static int add_step(struct table_job *job, const struct table_message *message, Kinward__V1__Content *content,
	Kinward__V1__LocalReply **reply)
{
	Kinward__V1__BatchRequest step = KINWARD__V1__BATCH_REQUEST__INIT;
	Kinward__V1__RegisterRequest record = KINWARD__V1__REGISTER_REQUEST__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	uint8_t thread[KW_ID_SIZE];
	if (table_stays_here(job->kind)) {
		record.local_id = borrowed(message->local_id);
		record.registration = content->uasc_registration;
		step.step_case = KINWARD__V1__BATCH_REQUEST__STEP_REGISTER;
		step.register_ = &record;
		return ask(job, &step, reply);
	}
	send.agency = borrowed(agency_of(job, message));
	send.content = content;
	if (kw_unhex(thread, sizeof(thread), message->thread) == KW_OK) /* it is good or empty */
		send.thread_id = (ProtobufCBinaryData){.len = sizeof(thread), .data = thread};
	step.step_case = KINWARD__V1__BATCH_REQUEST__STEP_SEND;
	step.send = &send;
	return ask(job, &step, reply);
}

/* Gives one message to the batch. CLI_OK also when it is refused: the others may have faults as well. */
static int add_message(struct table_job *job, const struct table_message *message, json_t *seen)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	ProtobufCMessage *body = NULL;
	uint8_t id[KW_ID_SIZE];
	enum kw_err err = derive_id(job, message, seen, id);
	if (err != KW_OK)
		return cli_fail_err(job->call, err, NULL);
	int code = unpack(job, message, &content, &body);
	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	if (code == CLI_OK)
		code = add_step(job, message, &content, &reply);
	if (body)
		protobuf_c_message_free_unpacked(body, NULL);
	const Kinward__V1__LocalError *refusal = code == CLI_OK ? kinward_refusal(reply) : NULL;
	if (refusal && refusal->retryable)
		code = later(job, refusal);
	else if (refusal)
		refuse_as(job, message, refusal);
	kinward_reply_free(reply);
	return code;
}

static int begin(struct table_job *job)
{
	Kinward__V1__BatchRequest step = KINWARD__V1__BATCH_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	step.step_case = KINWARD__V1__BATCH_REQUEST__STEP_BEGIN;
	step.begin = true;
	int code = ask(job, &step, &reply);
	if (code == CLI_OK && kinward_refusal(reply))
		code = later(job, kinward_refusal(reply));
	kinward_reply_free(reply);
	return code;
}

static int commit(struct table_job *job)
{
	Kinward__V1__BatchRequest step = KINWARD__V1__BATCH_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	step.step_case = KINWARD__V1__BATCH_REQUEST__STEP_COMMIT;
	step.commit = true;
	int code = ask(job, &step, &reply);
	if (code != CLI_OK) {
		(void)fputs("kinward: the agent did not say whether the file is in; it is in as a whole, or nothing of it is. Run the same "
			"command again: nothing is sent twice\n", job->call->err);
		return code;
	}
	const Kinward__V1__BatchReply *batch = reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_BATCH ? reply->batch : NULL;
	const Kinward__V1__LocalError *refusal = batch ? batch->refusal : kinward_refusal(reply);
	if (batch && batch->committed) {
		job->repeated = batch->repeated_count;
		job->sent = batch->count - batch->repeated_count;
	} else if (refusal && !refusal->retryable && batch && batch->refused_number > 0 &&
		batch->refused_number <= table_count(job->table)) {
		struct table_message message = table_at(job->table, batch->refused_number - 1);
		refuse_as(job, &message, refusal);
	} else if (refusal) {
		code = later(job, refusal);
	} else {
		code = cli_fail_err(job->call, KW_EVERSION, "The agent and this program are of different versions.");
	}
	kinward_reply_free(reply);
	return code;
}

static int send_all(struct table_job *job)
{
	json_t *seen = json_object();
	size_t count = table_count(job->table);
	int code = seen ? begin(job) : cli_fail_err(job->call, KW_ENOMEM, NULL);
	for (size_t i = 0; code == CLI_OK && i < count; i++) {
		struct table_message message = table_at(job->table, i);
		code = add_message(job, &message, seen);
	}
	json_decref(seen);
	if (code == CLI_OK && job->faults == 0)
		code = commit(job);
	return code == CLI_OK && job->faults > 0 ? CLI_REFUSED : code;
}

static int run(struct table_job *job, struct kw_view text)
{
	struct table_ask ask = {.kind = job->kind, .now_ms = cli_now_ms(), .refused = print_fault, .context = job};
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
