#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "kinward/v1/audit.pb-c.h"
#include "kinward/v1/frame.pb-c.h"
#include "proto/link/file.h"
#include "proto/wire/curve.h"

/* kinward audit prove, checkpoint, compare, accept, watch: an agency's side of its hub's audit log, over the local socket. */

enum { OUT };
enum { WATCH_COUNT };
enum { KEY };

const struct cli_option CLI_AUDIT_OUT_OPTIONS[] = {
	[OUT] = {"out", "FILE", "write it here"},
	{NULL, NULL, NULL},
};
const struct cli_option CLI_AUDIT_WATCH_OPTIONS[] = {
	[WATCH_COUNT] = {"count", "COUNT", "stop after so many lines"},
	{NULL, NULL, NULL},
};

const struct cli_option CLI_AUDIT_KEY_OPTIONS[] = {
	[KEY] = {"key", "HEX", "the witness's log key, 64 hex digits, when our root does not name it"},
	{NULL, NULL, NULL},
};

static int ask(struct cli_call *call, Kinward__V1__AuditRequest *body, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_AUDIT;
	request.audit = body;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_AUDIT, reply);
	kinward_close(&agent);
	return code;
}

static int write_message(struct cli_call *call, const char *path, const ProtobufCMessage *message)
{
	struct kw_buf bytes;
	size_t size = protobuf_c_message_get_packed_size(message);
	kw_buf_init(&bytes, CLI_FILE_SIZE_MAX);
	enum kw_err err = kw_buf_reserve(&bytes, size);
	if (err == KW_OK)
		bytes.size = protobuf_c_message_pack(message, bytes.data);
	if (err == KW_OK)
		err = kw_file_write_atomic(path, kw_buf_view(&bytes), 0644);
	kw_buf_fini(&bytes);
	if (err != KW_OK)
		return cli_fail_err(call, err, "the file of --out cannot be written: look at its folder and the disk");
	(void)fprintf(call->err, "written to %s\n", path);
	return CLI_OK;
}

static void print_checkpoint(FILE *out, const Kinward__V1__AuditReply *reply)
{
	(void)fprintf(out, "  log         %" PRIu64 " messages, checkpoint of ", reply->size);
	cli_print_time(out, reply->at_unix_ms);
	(void)fputs("\n  log key     ", out);
	cli_print_hex(out, &reply->log_key);
	(void)fputc('\n', out);
}

int cli_run_audit_prove(struct cli_call *call)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "ID is a message or envelope id: 32 hex digits, as kinward outbox shows them");
	body.id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	int code = ask(call, &body, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->audit->base);
	} else if (code == CLI_OK) {
		(void)fprintf(call->out, "proved: the hub has logged this message, as number %" PRIu64 "\n  envelope    ",
			reply->audit->index + 1);
		cli_print_hex(call->out, &reply->audit->envelope_digest);
		(void)fputc('\n', call->out);
		print_checkpoint(call->out, reply->audit);
	}
	if (code == CLI_OK && call->option[OUT] != NULL) {
		Kinward__V1__LogProofFile file = KINWARD__V1__LOG_PROOF_FILE__INIT;
		file.envelope_digest = reply->audit->envelope_digest;
		file.checkpoint = reply->audit->checkpoint;
		file.inclusion = reply->audit->inclusion;
		code = write_message(call, call->option[OUT], &file.base);
	}
	kinward_reply_free(reply);
	return code;
}

/* A LogCheckpoint, as it travels: for another agency to compare with, or for another hub to witness. */
static int finish_checkpoint(struct cli_call *call, const Kinward__V1__AuditReply *reply, const char *says, const char *out)
{
	Kinward__V1__LogCheckpoint file = KINWARD__V1__LOG_CHECKPOINT__INIT;
	if (reply->checkpoint.len == 0)
		return cli_fail(call, &(struct cli_failure){.code = kw_err_name(KW_ENOTFOUND), .field = "", .exit = CLI_NOT_FOUND,
			.text = "the hub has shown no checkpoint yet: it signs one when it has taken a message"});
	if (call->json)
		return cli_print_message_json(call, &reply->base);
	(void)fprintf(call->out, "%s\n", says);
	print_checkpoint(call->out, reply);
	if (out == NULL)
		return CLI_OK;
	file.checkpoint = reply->checkpoint;
	file.consistency = reply->consistency;
	file.log_key = reply->log_key;
	return write_message(call, out, &file.base);
}

int cli_run_audit_checkpoint(struct cli_call *call)
{
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	int code = ask(call, &body, &reply);
	if (code == CLI_OK)
		code = finish_checkpoint(call, reply->audit, "the last checkpoint that we believe", call->option[OUT]);
	kinward_reply_free(reply);
	return code;
}

int cli_run_audit_compare(struct cli_call *call)
{
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kw_buf bytes;
	kw_buf_init(&bytes, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, call->args[0], &bytes);
	Kinward__V1__LogCheckpoint *file =
		code == CLI_OK ? kinward__v1__log_checkpoint__unpack(NULL, bytes.size, bytes.data) : NULL;
	if (code == CLI_OK && (file == NULL || file->checkpoint.len == 0))
		code = cli_fail_err(call, KW_EFORMAT, "FILE is none of kinward audit checkpoint --out");
	if (code == CLI_OK) {
		body.checkpoint = file->checkpoint;
		code = ask(call, &body, &reply);
	}
	if (code == CLI_OK)
		code = finish_checkpoint(call, reply->audit, "one log: what the other one was shown is the beginning of what we were shown",
			call->option[OUT]);
	if (file != NULL)
		kinward__v1__log_checkpoint__free_unpacked(file, NULL);
	kinward_reply_free(reply);
	kw_buf_fini(&bytes);
	return code;
}

int cli_run_audit_witnessed(struct cli_call *call)
{
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	uint8_t key[KW_KEY_SIZE];
	struct kw_buf bytes;
	const char *hex = call->option[KEY];
	if (hex != NULL && (strlen(hex) != 2 * sizeof(key) || kw_unhex(key, sizeof(key), hex) != KW_OK))
		return cli_fail_usage(call, "--key is 64 hex digits, as kinward audit witness prints them");
	kw_buf_init(&bytes, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, call->args[0], &bytes);
	body.statement = (ProtobufCBinaryData){.len = bytes.size, .data = bytes.data};
	if (hex != NULL)
		body.witness_key = (ProtobufCBinaryData){.len = sizeof(key), .data = key};
	if (code == CLI_OK && bytes.size == 0)
		code = cli_fail_err(call, KW_EFORMAT, "FILE is empty");
	if (code == CLI_OK)
		code = ask(call, &body, &reply);
	if (code == CLI_OK)
		code = finish_checkpoint(call, reply->audit, "witnessed: the log that the witness saw is the beginning of what we were shown",
			NULL);
	kinward_reply_free(reply);
	kw_buf_fini(&bytes);
	return code;
}

int cli_run_audit_accept(struct cli_call *call)
{
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	body.accept = true;
	int code = ask(call, &body, &reply);
	if (code == CLI_OK)
		(void)fputs("The log is followed anew, from the hub's next checkpoint on.\n", call->out);
	kinward_reply_free(reply);
	return code;
}

static int look(struct cli_call *call, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__StatusRequest body = KINWARD__V1__STATUS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &body;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_STATUS, reply);
	kinward_close(&agent);
	return code;
}

/* What is new since the last look. True: something was printed. */
static bool print_news(FILE *out, const Kinward__V1__StatusReply *status, uint64_t *size, int64_t *alarm_unix_ms)
{
	bool said = false;
	if (status->log_size != *size) {
		cli_print_time(out, status->log_unix_ms);
		(void)fprintf(out, "  %" PRIu64 " messages, the log only grew\n", status->log_size);
		*size = status->log_size;
		said = true;
	}
	if (status->log_alarm_unix_ms != *alarm_unix_ms && status->log_alarm[0]) {
		cli_print_time(out, status->log_alarm_unix_ms);
		(void)fputs("  ALARM ", out);
		cli_print_text(out, status->log_alarm);
		(void)fputs(": ", out);
		cli_print_text(out, status->log_alarm_text);
		(void)fputc('\n', out);
		said = true;
	}
	*alarm_unix_ms = status->log_alarm_unix_ms;
	return said;
}

int cli_run_audit_watch(struct cli_call *call)
{
	uint64_t count = UINT64_MAX, size = 0;
	int64_t alarm_unix_ms = 0;
	if (call->option[WATCH_COUNT] && cli_number_from(call->option[WATCH_COUNT], 1, INT64_MAX, &count) != KW_OK)
		return cli_fail_usage(call, "--count is at least 1");
	int code = CLI_OK;
	while (code == CLI_OK && count > 0) {
		Kinward__V1__LocalReply *reply = NULL;
		code = look(call, &reply);
		if (code == CLI_OK && print_news(call->out, reply->status, &size, &alarm_unix_ms))
			count--;
		kinward_reply_free(reply);
		if (fflush(call->out) != 0)
			return CLI_RETRY;
		if (code == CLI_OK && count > 0)
			(void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
	return code;
}
