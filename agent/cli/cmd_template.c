#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/table.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/comments.h"

/* kinward template: what kinward import reads, with a row that says what each column means. */

enum { LIST, ROWS, REPEAT, REQUIRED, FILL, EXCEL, SEPARATOR };

const struct cli_option CLI_TEMPLATE_OPTIONS[] = {
	[LIST] = {"list", NULL, "list the messages, or the columns of MESSAGE with their meaning, to read"},
	[ROWS] = {"rows", "LIST", "which list stands one part a row, or none; default: the only one of a message"},
	[REPEAT] = {"repeat", "NUMBER", "how often other lists of parts are given side by side, 1 to 16 (default 2)"},
	[REQUIRED] = {"required", NULL, "only the columns that no message can do without"},
	[FILL] = {"fill", "FILE", "print the columns and rows of this message in JSON; - is standard input"},
	[EXCEL] = {"excel", NULL, "with a byte order mark and CRLF, by which Excel knows UTF-8"},
	[SEPARATOR] = {"separator", "CHAR", "what stands between cells: , (default) or ; or tab"},
	{NULL, NULL, NULL},
};

struct template_job {
	struct cli_call *call;
	struct table_form form;
	char separator;
	bool comments; /* the second row */
	unsigned count;
};

static void end_row(const struct template_job *job)
{
	(void)fputs(job->call->option[EXCEL] ? "\r\n" : "\n", job->call->out);
}

static void print_cell(struct template_job *job, const char *header, const char *comment)
{
	FILE *out = job->call->out;
	char text[2048];
	if (job->count++)
		(void)fputc(job->separator, out);
	(void)snprintf(text, sizeof(text), "%s%s", job->comments ? "# " : "", job->comments ? comment : header); /* fits */
	sheet_print(out, job->separator, text, false);
}

static void on_column(void *context, const char *header, const char *comment)
{
	print_cell(context, header, comment);
}

static void on_listed(void *context, const char *header, const char *comment)
{
	struct template_job *job = context;
	if (job->call->json)
		cli_print_json(job->call->out, json_pack("{s:s, s:s}", "column", header, "meaning", comment));
	else
		(void)fprintf(job->call->out, "%-40s %s\n", header, comment);
}

static int list_messages(struct cli_call *call)
{
	const ProtobufCMessageDescriptor *content = &kinward__v1__content__descriptor;
	const ProtobufCFieldDescriptor *kind;
	for (unsigned i = 0; (kind = table_kind_at(i)) != NULL; i++) {
		const ProtobufCMessageDescriptor *type = kind->descriptor;
		const char *comment = kw_schema_comment(content, (unsigned)(kind - content->fields));
		if (call->json)
			cli_print_json(call->out, json_pack("{s:s, s:s}", "message", type->short_name, "meaning", comment));
		else
			(void)fprintf(call->out, "%-22s %s\n", type->short_name, comment);
	}
	return CLI_OK;
}

static int fail_form(struct cli_call *call, enum kw_err err)
{
	if (err == KW_EFIELD)
		return cli_fail_usage(call, "--rows is no list of parts of this message; kinward template MESSAGE --list shows them");
	if (err == KW_ETOOBIG)
		return cli_fail_err(call, err, "that makes more than 2048 columns; ask for fewer with --repeat, or for --rows");
	return cli_fail_err(call, err, NULL);
}

static int print_template(struct template_job *job)
{
	struct cli_call *call = job->call;
	bool listed = call->option[LIST] || call->json;
	enum kw_err err;
	if (listed) {
		err = table_columns(&job->form, on_listed, job);
		return err == KW_OK ? CLI_OK : fail_form(call, err);
	}
	if (call->option[EXCEL])
		(void)fputs("\xef\xbb\xbf", call->out);
	err = table_columns(&job->form, on_column, job);
	end_row(job);
	job->comments = true;
	job->count = 0;
	if (err == KW_OK)
		err = table_columns(&job->form, on_column, job);
	end_row(job);
	return err == KW_OK ? CLI_OK : fail_form(call, err);
}

/* The message as JSON in its normal form, from a file with a Content or with its body alone. */
static int read_message(struct cli_call *call, const ProtobufCFieldDescriptor *kind, const char *path, json_t **out)
{
	const ProtobufCMessageDescriptor *content = &kinward__v1__content__descriptor;
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	struct kw_buf text;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, path, &text);
	if (code == CLI_OK) {
		struct json_fault other;
		enum kw_err err = json_map_parse(content, kw_buf_view(&text), &message, &fault);
		if (err == KW_OK && ((Kinward__V1__Content *)message)->body_case == kind->id) {
			ProtobufCMessage *body;
			memcpy(&body, (const char *)message + kind->offset, sizeof(body)); /* the members of the oneof are pointers */
			err = json_map_write(body, out, &fault);
		} else {
			if (message)
				protobuf_c_message_free_unpacked(message, NULL);
			message = NULL;
			err = json_map_parse(kind->descriptor, kw_buf_view(&text), &message, &other);
			if (err == KW_OK)
				err = json_map_write(message, out, &other);
			fault = other;
		}
		if (err != KW_OK)
			code = cli_fail_json(call, err, path, &fault);
	}
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
	kw_buf_fini(&text);
	return code;
}

static void print_rows(struct template_job *job, json_t *headers, json_t *rows)
{
	FILE *out = job->call->out;
	if (job->call->option[EXCEL])
		(void)fputs("\xef\xbb\xbf", out);
	for (size_t i = 0; i < json_array_size(headers); i++)
		print_cell(job, json_string_value(json_array_get(headers, i)), "");
	end_row(job);
	for (size_t r = 0; r < json_array_size(rows); r++) {
		for (size_t i = 0; i < json_array_size(headers); i++) {
			const char *header = json_string_value(json_array_get(headers, i));
			const char *text = json_string_value(json_object_get(json_array_get(rows, r), header));
			if (i)
				(void)fputc(job->separator, out);
			sheet_print(out, job->separator, text ? text : "", true);
		}
		end_row(job);
	}
}

static int fill_template(struct template_job *job)
{
	json_t *message = NULL, *headers = NULL, *rows = NULL;
	int code = read_message(job->call, job->form.kind, job->call->option[FILL], &message);
	if (code != CLI_OK)
		return code;
	enum kw_err err = table_fill(&job->form, message, &headers, &rows);
	if (err == KW_OK)
		print_rows(job, headers, rows);
	json_decref(message);
	json_decref(headers);
	json_decref(rows);
	return err == KW_OK ? CLI_OK : fail_form(job->call, err);
}

int cli_run_template(struct cli_call *call)
{
	struct template_job job = {.call = call, .separator = ','};
	const char *separator = call->option[SEPARATOR] ? call->option[SEPARATOR] : ",";
	uint64_t repeats = 0;
	if (call->arg_count == 0 && call->option[LIST])
		return list_messages(call);
	if (call->arg_count == 0)
		return cli_fail_usage(call, "something is missing: MESSAGE; kinward template --list names them");
	job.form.kind = table_kind(call->args[0]);
	if (!job.form.kind)
		return cli_fail_usage(call, "no such message: %s; kinward template --list names them", call->args[0]);
	if (call->option[REPEAT] && cli_number_from(call->option[REPEAT], 1, 16, &repeats) != KW_OK)
		return cli_fail_usage(call, "--repeat is 1 to 16");
	if (strcmp(separator, "tab") == 0)
		separator = "\t";
	if (strlen(separator) != 1 || !strchr(",;\t", separator[0]))
		return cli_fail_usage(call, "--separator is , or ; or tab");
	job.separator = separator[0];
	job.form.rows = call->option[ROWS];
	job.form.repeats = (unsigned)repeats;
	job.form.required = call->option[REQUIRED] != NULL;
	return call->option[FILL] ? fill_template(&job) : print_template(&job);
}
