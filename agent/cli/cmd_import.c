#include <openssl/sha.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/import_csv.h"
#include "agent/shell/import_primero.h"

/* kinward import: registrations go to this agency's own agent, referrals to another agency. A row that was stored before
 * is no error, so an import that broke off is simply run again. */

enum { AS, TO, FORMAT, AS_OF, DEFAULTS, STRICT, DRY_RUN, COLUMNS };

const struct cli_option CLI_IMPORT_OPTIONS[] = {
	[AS] = {"as", "KIND", "registration (default), referral, or a message of kinward template --list"},
	[TO] = {"to", "AGENCY", "where it goes, when a row does not say"},
	[FORMAT] = {"format", "FORMAT", "csv or primero; default: primero if the file begins with { or ["},
	[AS_OF] = {"as-of", "DATE", "day on which ages were true, where a row does not say: YYYY-MM-DD"},
	[DEFAULTS] = {"default", "LIST", "column=value,column=value for what the file lacks"},
	[STRICT] = {"strict", NULL, "stop at the first refused row; refuse unknown columns"},
	[DRY_RUN] = {"dry-run", NULL, "check every row, send nothing"},
	[COLUMNS] = {"columns", NULL, "list the known columns (no FILE)"},
	{NULL, NULL, NULL},
};

struct import_job {
	struct cli_call *call;
	struct kinward agent;
	enum import_kind kind;
	bool dry_run;
};

static void print_fault(struct cli_call *call, const struct import_fault *fault)
{
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:{s:I, s:s, s:s, s:s}}", "refused", "line", (json_int_t)fault->line,
			"column", fault->column, "field", fault->field, "rule", fault->rule));
		return;
	}
	if (fault->line)
		(void)fprintf(call->err, "line %zu", fault->line);
	if (fault->column[0]) {
		(void)fputs(fault->line ? ", column " : "column ", call->err);
		cli_print_text(call->err, fault->column);
	}
	if (fault->field[0] && strcmp(fault->field, fault->column) != 0) {
		(void)fputs(" (", call->err);
		cli_print_text(call->err, fault->field);
		(void)fputc(')', call->err);
	}
	(void)fputs(fault->line || fault->column[0] ? ": " : "the file ", call->err);
	cli_print_text(call->err, fault->rule);
	(void)fputc('\n', call->err);
}

static void on_refused(void *context, const struct import_fault *fault)
{
	struct import_job *job = context;
	print_fault(job->call, fault);
}

static void on_ignored(void *context, const char *column)
{
	struct import_job *job = context;
	if (job->call->json) {
		/* Broken UTF-8 makes no JSON; then there is no line for it. */
		cli_print_json(job->call->out, json_pack("{s:s}", "ignoredColumn", column));
		return;
	}
	(void)fputs("column ignored, no rule knows it: ", job->call->err);
	cli_print_text(job->call->err, column);
	(void)fputc('\n', job->call->err);
}

/* Asks, and turns what is not the wanted reply into an error of the row. A failed connection is reported here, once. */
static enum kw_err ask(struct import_job *job, Kinward__V1__LocalRequest *request,
	Kinward__V1__LocalReply__BodyCase want, Kinward__V1__LocalReply **reply, struct import_fault *fault)
{
	enum kw_err err = kinward_ask(&job->agent, request, reply);
	if (err != KW_OK) {
		(void)snprintf(fault->rule, sizeof(fault->rule), "%.*s", (int)sizeof(fault->rule) - 1, job->agent.problem);
		return err;
	}
	if ((*reply)->body_case == want)
		return KW_OK;
	const Kinward__V1__LocalError *refusal = kinward_refusal(*reply);
	if (!refusal)
		return KW_EVERSION;
	(void)snprintf(fault->field, sizeof(fault->field), "%s", refusal->field);
	(void)snprintf(fault->rule, sizeof(fault->rule), "%s", refusal->text);
	if (refusal->retryable) {
		(void)snprintf(job->agent.problem, sizeof(job->agent.problem), "%s", refusal->text);
		return KW_EBUSY;
	}
	err = kw_err_from_name(refusal->code);
	return kw_err_class(err) == KW_CLASS_REJECT ? err : KW_EDENIED;
}

static enum kw_err take_registration(struct import_job *job, const struct import_record *record, bool *repeated,
	struct import_fault *fault)
{
	Kinward__V1__RegisterRequest body = KINWARD__V1__REGISTER_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	/* protobuf-c's structs have no const; packing changes nothing. */
	body.local_id = (char *)(uintptr_t)record->local_id;
	body.registration = (Kinward__V1__UascRegistration *)(uintptr_t)record->message;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER;
	request.register_ = &body;
	enum kw_err err = ask(job, &request, KINWARD__V1__LOCAL_REPLY__BODY_REGISTERED, &reply, fault);
	if (err == KW_OK)
		*repeated = reply->registered->repeated_request;
	kinward_reply_free(reply);
	return err;
}

/* The id of an imported referral comes from its agency and content, so that the same row is the same message. */
static enum kw_err derive_id(const char *agency, const ProtobufCMessage *message, uint8_t id[KW_ID_SIZE])
{
	static const char LABEL[] = "kw1 import referral";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct kw_buf bytes;
	size_t size = protobuf_c_message_get_packed_size(message);
	size_t head = sizeof(LABEL) + strlen(agency) + 1;
	kw_buf_init(&bytes, head + size);
	enum kw_err err = kw_buf_reserve(&bytes, head + size);
	if (err == KW_OK)
		err = kw_buf_add(&bytes, KW_VIEW(LABEL, sizeof(LABEL)));
	if (err == KW_OK)
		err = kw_buf_add(&bytes, KW_VIEW(agency, strlen(agency) + 1));
	if (err == KW_OK) {
		bytes.size += protobuf_c_message_pack(message, bytes.data + bytes.size);
		if (!SHA256(bytes.data, bytes.size, digest))
			err = KW_ECRYPTO;
	}
	if (err == KW_OK)
		memcpy(id, digest, KW_ID_SIZE);
	kw_buf_fini(&bytes);
	return err;
}

static enum kw_err take_referral(struct import_job *job, const struct import_record *record, bool *repeated,
	struct import_fault *fault)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	send.agency = (char *)(uintptr_t)job->call->option[TO]; /* as above */
	enum kw_err err = derive_id(send.agency, record->message, id);
	if (err != KW_OK)
		return err;
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
	content.referral_request = (Kinward__V1__ReferralRequest *)(uintptr_t)record->message; /* as above */
	send.content = &content;
	send.case_ = (char *)(uintptr_t)record->local_id; /* of the case in the system that it comes from; it stays here */
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SEND;
	request.send = &send;
	err = ask(job, &request, KINWARD__V1__LOCAL_REPLY__BODY_SENT, &reply, fault);
	if (err == KW_OK)
		*repeated = reply->sent->repeated_request;
	kinward_reply_free(reply);
	return err;
}

static enum kw_err on_take(void *context, const struct import_record *record, bool *repeated, struct import_fault *fault)
{
	struct import_job *job = context;
	if (job->dry_run)
		return KW_OK;
	return job->kind == IMPORT_REGISTRATION ? take_registration(job, record, repeated, fault)
						: take_referral(job, record, repeated, fault);
}

static void print_column(void *context, const char *name, const char *aliases, const char *field)
{
	struct cli_call *call = context;
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s}", "column", name, "aliases", aliases, "field", field));
	else
		(void)fprintf(call->out, "%-28s %-46s %s\n", name, field, aliases);
}

static bool looks_like_json(struct kw_view text)
{
	size_t i = 0;
	while (i < text.size && strchr(" \t\r\n", text.data[i]) && text.data[i])
		i++;
	return i < text.size && (text.data[i] == '{' || text.data[i] == '[');
}

static void print_summary(struct import_job *job, const struct import_summary *summary)
{
	struct cli_call *call = job->call;
	if (call->json)
		cli_print_json(call->out, json_pack("{s:{s:I, s:I, s:I, s:I}}", "summary", "rows", (json_int_t)summary->rows,
			"imported", (json_int_t)summary->imported, "repeated", (json_int_t)summary->repeated, "refused",
			(json_int_t)summary->refused));
	else
		(void)fprintf(call->out, "%zu rows: %zu %s, %zu there already, %zu refused\n", summary->rows, summary->imported,
			job->dry_run ? "good" : "imported", summary->repeated, summary->refused);
}

static int read_job(struct cli_call *call, struct import_job *job)
{
	const char *as = call->option[AS] ? call->option[AS] : "registration";
	const char *format = call->option[FORMAT] ? call->option[FORMAT] : "csv";
	bool referral = strcmp(as, "referral") == 0;
	job->kind = referral ? IMPORT_REFERRAL : IMPORT_REGISTRATION;
	job->dry_run = call->option[DRY_RUN] != NULL;
	if (strcmp(format, "csv") != 0 && strcmp(format, "primero") != 0)
		return cli_fail_usage(call, "--format is csv or primero");
	if (call->option[COLUMNS])
		return CLI_OK;
	if (call->arg_count == 0)
		return cli_fail_usage(call, "something is missing: FILE");
	if (referral && !call->option[TO] && !job->dry_run)
		return cli_fail_usage(call, "referrals need --to AGENCY");
	if (!referral && call->option[TO])
		return cli_fail_usage(call, "registrations go to your own agent; --to is for referrals");
	return CLI_OK;
}

static int run_import(struct cli_call *call, struct import_job *job, struct kw_view text)
{
	struct import_summary summary;
	struct import_options options = {.kind = job->kind, .as_of = call->option[AS_OF],
		.defaults = call->option[DEFAULTS], .strict = call->option[STRICT] != NULL};
	struct import_sink sink = {.context = job, .take = on_take, .refused = on_refused, .ignored = on_ignored};
	bool json = call->option[FORMAT] ? strcmp(call->option[FORMAT], "primero") == 0 : looks_like_json(text);
	enum kw_err err = json ? import_primero(text, &options, &sink, &summary) : import_csv(text, &options, &sink, &summary);
	print_summary(job, &summary);
	if (err == KW_OK)
		return summary.refused ? CLI_REFUSED : CLI_OK;
	if (kw_err_class(err) == KW_CLASS_REJECT)
		return CLI_REFUSED; /* has been reported */
	int code = cli_fail_err(call, err, job->agent.problem[0] ? job->agent.problem : NULL);
	(void)fputs("kinward: run the same command again; what is in already is recognised\n", call->err);
	return job->agent.fd < 0 ? CLI_UNREACHABLE : code;
}

/* What is neither of the two goes by the columns of kinward template. */
static int run_table(struct cli_call *call)
{
	static const int NOT_HERE[] = {FORMAT, AS_OF, DEFAULTS, STRICT, COLUMNS};
	for (size_t i = 0; i < sizeof(NOT_HERE) / sizeof(NOT_HERE[0]); i++)
		if (call->option[NOT_HERE[i]])
			return cli_fail_usage(call, "--%s is for --as registration and --as referral", CLI_IMPORT_OPTIONS[NOT_HERE[i]].name);
	if (call->arg_count == 0)
		return cli_fail_usage(call, "something is missing: FILE");
	return cli_import_table(call, &(struct cli_table_import){.as = call->option[AS], .to = call->option[TO],
		.dry_run = call->option[DRY_RUN] != NULL});
}

int cli_run_import(struct cli_call *call)
{
	if (call->option[AS] && strcmp(call->option[AS], "registration") != 0 && strcmp(call->option[AS], "referral") != 0)
		return run_table(call);
	struct import_job job = {.call = call, .agent = {.fd = -1}};
	struct kw_buf text;
	int code = read_job(call, &job);
	if (code != CLI_OK)
		return code;
	if (call->option[COLUMNS]) {
		import_describe(job.kind, print_column, call);
		return CLI_OK;
	}
	kw_buf_init(&text, IMPORT_FILE_SIZE_MAX);
	code = cli_read_file(call, call->args[0], &text);
	if (code == CLI_OK && !job.dry_run)
		code = cli_connect(call, &job.agent);
	if (code == CLI_OK)
		code = run_import(call, &job, kw_buf_view(&text));
	kinward_close(&job.agent);
	kw_buf_fini(&text);
	return code;
}
