#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/cli/commands.h"
#include "proto/wire/message.h"

/* kinward validate: what the agent would say to a file, without an agent. Every file is looked at, whatever the others
 * are like; the exit code is the greatest of theirs. */

enum { AS, COMPLETE };

const struct cli_option CLI_VALIDATE_OPTIONS[] = {
	[AS] = {"as", "MESSAGE", "what the files are, such as ReferralRequest; default: Content"},
	[COMPLETE] = {"complete", NULL, "refuse a Content without message_id or created_unix_ms; else the agent sets them"},
	{NULL, NULL, NULL},
};

#define PATH_SIZE 4096u

struct validate_job {
	struct cli_call *call;
	const ProtobufCMessageDescriptor *type;
	size_t good;
	size_t refused;
	int code; /* greatest so far */
};

static void print_good(struct validate_job *job, const char *path)
{
	char name[PATH_SIZE];
	job->good++;
	cli_escape(name, sizeof(name), path);
	if (job->call->json)
		cli_print_json(job->call->out, json_pack("{s:s, s:b}", "file", name, "ok", 1));
	else
		(void)fprintf(job->call->out, "%s: OK\n", name);
}

/* FILE: FIELD: RULE, or FILE:LINE:COLUMN: RULE as compilers write it. */
static void print_fault(struct validate_job *job, const char *path, enum kw_err err, const struct json_fault *fault)
{
	char name[PATH_SIZE], field[4 * JSON_PATH_SIZE_MAX], rule[4 * JSON_RULE_SIZE_MAX];
	FILE *out = job->call->out;
	job->refused++;
	if (job->code < CLI_REFUSED)
		job->code = CLI_REFUSED;
	cli_escape(name, sizeof(name), path);
	cli_escape(field, sizeof(field), fault->path);
	cli_escape(rule, sizeof(rule), fault->rule);
	if (job->call->json) {
		json_t *line = json_pack("{s:s, s:b, s:s, s:s, s:s}", "file", name, "ok", 0, "code", kw_err_name(err), "field",
			field, "rule", rule);
		if (fault->line && line)
			(void)json_object_update_new(line, json_pack("{s:i, s:i}", "line", fault->line, "column", fault->column));
		cli_print_json(out, line);
	} else if (fault->line) {
		(void)fprintf(out, "%s:%d:%d: %s\n", name, fault->line, fault->column, rule);
	} else {
		(void)fprintf(out, "%s: %s%s%s\n", name, field, field[0] ? ": " : "", rule);
	}
}

static void copy_fault(struct json_fault *out, const struct kw_fault *fault)
{
	*out = (struct json_fault){.line = 0};
	_Static_assert(sizeof(fault->field) <= sizeof(out->path) && sizeof(fault->rule) <= sizeof(out->rule), "both fit");
	memcpy(out->path, fault->field, sizeof(fault->field));
	memcpy(out->rule, fault->rule, sizeof(fault->rule));
}

/* A Content as it would travel: its rules, its size, and what a recipient would unpack. */
static enum kw_err check_content(Kinward__V1__Content *content, bool complete, struct kw_fault *fault)
{
	uint8_t id[KW_ID_SIZE] = {1};
	ProtobufCBinaryData given_id = content->message_id;
	int64_t given_time = content->created_unix_ms;
	int64_t now_ms = (int64_t)time(NULL) * 1000;
	struct kw_buf bytes;
	if (!complete && given_id.len == 0)
		content->message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	if (!complete && given_time == 0)
		content->created_unix_ms = cli_now_ms(); /* as the agent would */
	kw_buf_init(&bytes, JSON_TEXT_SIZE_MAX); /* so that the fault says how large it is, and how large it may be */
	enum kw_err err = kw_message_validate_at(&content->base, now_ms, fault);
	if (err == KW_OK)
		err = kw_content_pack(content, &bytes, fault);
	kw_buf_fini(&bytes);
	content->message_id = given_id; /* the message frees its own */
	content->created_unix_ms = given_time;
	return err;
}

static enum kw_err check_text(const struct validate_job *job, struct kw_view text, struct json_fault *fault)
{
	ProtobufCMessage *message = NULL;
	struct kw_fault broken;
	enum kw_err err = json_map_parse(job->type, text, &message, fault);
	if (err != KW_OK)
		return err;
	if (job->type == &kinward__v1__content__descriptor)
		err = check_content((Kinward__V1__Content *)message, job->call->option[COMPLETE] != NULL, &broken);
	else
		err = kw_message_validate_at(message, (int64_t)time(NULL) * 1000, &broken);
	if (err != KW_OK)
		copy_fault(fault, &broken);
	protobuf_c_message_free_unpacked(message, NULL);
	return err;
}

static void check_file(struct validate_job *job, const char *path)
{
	struct kw_buf text;
	struct json_fault fault;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(job->call, path, &text);
	if (code == CLI_OK) {
		enum kw_err err = check_text(job, kw_buf_view(&text), &fault);
		if (err == KW_OK)
			print_good(job, path);
		else if (err == KW_ENOMEM)
			code = cli_fail_err(job->call, err, NULL);
		else
			print_fault(job, path, err, &fault);
	}
	kw_buf_fini(&text);
	if (code > job->code)
		job->code = code;
}

static int is_json(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);
	return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

/* By bytes, so that the order is the same in every language. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every .json in the folder, not below it. None at all is an error: it is most likely the wrong folder. */
static void check_folder(struct validate_job *job, const char *folder)
{
	struct dirent **entries = NULL;
	char path[PATH_SIZE];
	char text[600];
	int count = scandir(folder, &entries, is_json, by_name);
	if (count <= 0) {
		(void)snprintf(text, sizeof(text), count < 0 ? "cannot read the folder %.400s" : "no .json file in %.400s", folder);
		int code = cli_fail_err(job->call, count < 0 ? KW_EDENIED : KW_ENOTFOUND, text);
		if (code > job->code)
			job->code = code;
	}
	size_t size = strlen(folder);
	for (int i = 0; i < count; i++) {
		int n = snprintf(path, sizeof(path), "%s%s%s", folder, size && folder[size - 1] == '/' ? "" : "/",
			entries[i]->d_name);
		if (n > 0 && (size_t)n < sizeof(path))
			check_file(job, path);
		else
			job->code = cli_fail_err(job->call, KW_ETOOBIG, "the path of a file is too long");
		free(entries[i]);
	}
	free(entries);
}

/* The message of that name at or below `type`; NULL when there is none. No type holds itself, so this ends. */
static const ProtobufCMessageDescriptor *find_type(const ProtobufCMessageDescriptor *type, const char *name)
{
	if (strcmp(type->short_name, name) == 0)
		return type;
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (type->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		const ProtobufCMessageDescriptor *found = find_type(type->fields[i].descriptor, name);
		if (found)
			return found;
	}
	return NULL;
}

static void print_summary(const struct validate_job *job)
{
	size_t count = job->good + job->refused;
	if (job->call->json)
		cli_print_json(job->call->out, json_pack("{s:{s:I, s:I, s:I}}", "summary", "files", (json_int_t)count, "good",
			(json_int_t)job->good, "refused", (json_int_t)job->refused));
	else if (count > 1)
		(void)fprintf(job->call->out, "%zu files: %zu good, %zu refused\n", count, job->good, job->refused);
}

int cli_run_validate(struct cli_call *call)
{
	struct validate_job job = {.call = call, .type = &kinward__v1__content__descriptor};
	struct stat status;
	if (call->option[AS])
		job.type = find_type(job.type, call->option[AS]);
	if (!job.type)
		return cli_fail_usage(call, "--as is Content or a message in it, such as ReferralRequest or Consent");
	for (int i = 0; i < call->arg_count; i++) {
		if (stat(call->args[i], &status) == 0 && S_ISDIR(status.st_mode))
			check_folder(&job, call->args[i]);
		else
			check_file(&job, call->args[i]);
	}
	print_summary(&job);
	return job.code;
}
