#include "agent/cli/cli.h"
#include "agent/cli/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"

/* Options that every command takes, and those of every command that asks the agent; their values go to the call itself. */
static const struct cli_option COMMON[] = {
	{"json", NULL, "print JSON (protobuf's mapping), one value a line; errors too"},
	{"help", NULL, "explain this command"},
	{NULL, NULL, NULL},
};
static const struct cli_option ASKING[] = {
	{"socket", "PATH", "the agent's socket (default $" KINWARD_SOCKET_ENV ", else " KINWARD_SOCKET_DEFAULT ")"},
	{"timeout", "SECONDS", "wait at most so long for the agent (default 10)"},
	{NULL, NULL, NULL},
};

static const char EXIT_CODES[] =
	"Exit codes:\n"
	"  0   done\n"
	"  1   refused: the agent, the hub or a file's content said no; the message names the field\n"
	"  2   wrong command line\n"
	"  3   the agent cannot be reached\n"
	"  4   no such message, thread, file or folder\n"
	"  5   kinward status: the directory had another key under our own name, or the audit log has an alarm\n"
	"  75  not now: the same command may succeed later\n";

static void help_options(FILE *out, const struct cli_option *options)
{
	for (; options && options->name; options++) {
		char left[64];
		(void)snprintf(left, sizeof(left), "--%s%s%s", options->name, options->metavar ? " " : "",
			options->metavar ? options->metavar : "");
		(void)fprintf(out, "  %-26s %s\n", left, options->help);
	}
}

void cli_help(FILE *out)
{
	(void)fputs("kinward: send and receive sealed child-protection referrals through this machine's kinward-agent\n\n"
		    "Usage: kinward COMMAND [ARGUMENTS] [OPTIONS]      kinward COMMAND --help explains one command\n\n", out);
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++)
		(void)fprintf(out, "  %-20s %s\n", command->name, command->summary);
	for (const struct cli_group *group = CLI_GROUPS; group->name; group++)
		(void)fprintf(out, "\nkinward help %s: %s\n", group->name, group->summary);
	(void)fputs("\nA first round trip:\n"
		    "  kinward status                                  is the agent there, and online?\n"
		    "  kinward keys                                    which agencies can I write to?\n"
		    "  kinward send agency-b --referral referral.json  send a referral, sealed to agency-b\n"
		    "  kinward outbox                                  has it arrived?\n"
		    "  kinward inbox                                   what has come for us?\n"
		    "  kinward show MESSAGE                            read one message\n"
		    "  kinward event MESSAGE accepted                  answer the other agency\n"
		    "  kinward ack MESSAGE                             take it off the list of new ones\n\n"
		    "Options of every command:\n", out);
	help_options(out, COMMON);
	help_options(out, ASKING);
	(void)fputc('\n', out);
	(void)fputs(EXIT_CODES, out);
}

void cli_help_group(FILE *out, const struct cli_group *group)
{
	size_t size = strlen(group->name);
	(void)fprintf(out, "kinward %s: %s\n\nUsage:\n", group->name, group->summary);
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++)
		if (strncmp(command->name, group->name, size) == 0 && command->name[size] == ' ')
			(void)fprintf(out, "  kinward %s%s%s [OPTIONS]\n      %s\n", command->name, command->args[0] ? " " : "",
				command->args, command->summary);
	(void)fprintf(out, "\nkinward %s COMMAND --help explains one.\n\n%s\n%s", group->name, group->details, EXIT_CODES);
}

const struct cli_group *cli_find_group(const char *name)
{
	for (const struct cli_group *group = CLI_GROUPS; group->name; group++)
		if (strcmp(group->name, name) == 0)
			return group;
	return NULL;
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
	(void)fprintf(out, "Usage: kinward %s%s%s [OPTIONS]\n\n%s.\n\n%s", command->name, command->args[0] ? " " : "",
		command->args, command->summary, command->details);
	if (command->options && command->options->name)
		(void)fputs("\nOptions:\n", out);
	help_options(out, command->options);
	(void)fputs("\nOptions of every command:\n", out);
	help_options(out, COMMON);
	if (!command->local)
		help_options(out, ASKING);
	(void)fputc('\n', out);
	(void)fputs(EXIT_CODES, out);
}

/* Field and text may hold bytes of the command line that are no UTF-8, which JSON cannot: they are escaped. */
static void print_failure(FILE *out, const struct cli_failure *failure)
{
	char field[1024], text[2048];
	cli_escape(field, sizeof(field), failure->field);
	cli_escape(text, sizeof(text), failure->text);
	json_t *error = json_pack("{s:s, s:s, s:s, s:b}", "code", failure->code, "field", field, "text", text, "retryable",
		(int)failure->retryable);
	if (error && failure->line)
		(void)json_object_update_new(error, json_pack("{s:i, s:i}", "line", failure->line, "column", failure->column));
	cli_print_json(out, json_pack("{s:o}", "error", error));
}

int cli_fail(struct cli_call *call, const struct cli_failure *failure)
{
	(void)fputs("kinward: ", call->err);
	if (failure->field[0]) {
		cli_print_text(call->err, failure->field);
		(void)fputs(": ", call->err);
	}
	cli_print_text(call->err, failure->text);
	(void)fputc('\n', call->err);
	if (call->json)
		print_failure(call->out, failure);
	return failure->exit;
}

int cli_fail_usage(struct cli_call *call, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* cut short is good enough */
	va_end(args);
	int code = cli_fail(call, &(struct cli_failure){.code = "usage", .field = "", .text = text, .exit = CLI_USAGE});
	if (call->command)
		(void)fprintf(call->err, "Usage: kinward %s%s%s [OPTIONS]; kinward %s --help explains it.\n",
			call->command->name, call->command->args[0] ? " " : "", call->command->args, call->command->name);
	return code;
}

static int exit_of(enum kw_err err)
{
	if (err == KW_OK)
		return CLI_OK;
	if (err == KW_ENOTFOUND)
		return CLI_NOT_FOUND;
	return kw_err_class(err) == KW_CLASS_REJECT ? CLI_REFUSED : CLI_RETRY;
}

int cli_fail_err(struct cli_call *call, enum kw_err err, const char *text)
{
	struct cli_failure failure = {
		.code = kw_err_name(err),
		.field = "",
		.text = text ? text : kw_err_text(err),
		.retryable = kw_err_class(err) == KW_CLASS_RETRY,
		.exit = exit_of(err),
	};
	return cli_fail(call, &failure);
}

int cli_fail_json(struct cli_call *call, enum kw_err err, const char *name, const struct json_fault *fault)
{
	char text[JSON_RULE_SIZE_MAX + 300];
	if (fault->line)
		(void)snprintf(text, sizeof(text), "%.200s, line %d column %d: %s", name, fault->line, fault->column, fault->rule);
	else
		(void)snprintf(text, sizeof(text), "%s (in %.200s)", fault->rule, name);
	struct cli_failure failure = {.code = kw_err_name(err), .field = fault->path, .text = text, .exit = exit_of(err),
		.line = fault->line, .column = fault->column};
	return cli_fail(call, &failure);
}

int cli_fail_refused(struct cli_call *call, const Kinward__V1__LocalError *refusal)
{
	enum kw_err err = kw_err_from_name(refusal->code);
	struct cli_failure failure = {
		.code = refusal->code,
		.field = refusal->field,
		.text = refusal->text,
		.retryable = refusal->retryable,
		.exit = refusal->retryable ? CLI_RETRY : err == KW_ENOTFOUND ? CLI_NOT_FOUND : CLI_REFUSED,
	};
	return cli_fail(call, &failure);
}

/* A failure of the connection: no agent is 3, whatever the code; a timeout is "try again". */
int cli_fail_agent(struct cli_call *call, const struct kinward *agent, enum kw_err err)
{
	bool unreachable = err == KW_ENOTFOUND || err == KW_ECLOSED || err == KW_EDENIED || err == KW_EIO;
	struct cli_failure failure = {
		.code = unreachable ? "agent_unreachable" : kw_err_name(err),
		.field = "",
		.text = agent->problem,
		.retryable = unreachable || kw_err_class(err) == KW_CLASS_RETRY,
		.exit = unreachable ? CLI_UNREACHABLE : err == KW_EFIELD ? CLI_USAGE : exit_of(err),
	};
	return cli_fail(call, &failure);
}

int cli_connect(struct cli_call *call, struct kinward *agent)
{
	enum kw_err err = kinward_open(agent, call->socket_path, call->timeout_ms);
	return err == KW_OK ? CLI_OK : cli_fail_agent(call, agent, err);
}

int cli_ask(struct cli_call *call, struct kinward *agent, Kinward__V1__LocalRequest *request,
	Kinward__V1__LocalReply__BodyCase want, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__LocalReply *got = NULL;
	enum kw_err err = kinward_ask(agent, request, &got);
	if (err != KW_OK)
		return cli_fail_agent(call, agent, err);
	if (got->body_case == want) {
		*reply = got;
		return CLI_OK;
	}
	const Kinward__V1__LocalError *refusal = kinward_refusal(got);
	int code = refusal ? cli_fail_refused(call, refusal)
			   : cli_fail_err(call, KW_EVERSION, "The agent's answer is of another kind than the question: the agent and "
							     "this program are of different versions.");
	kinward_reply_free(got);
	return code;
}

int cli_read_file(struct cli_call *call, const char *path, struct kw_buf *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(path, "rbe");
	char text[600];
	if (!in) {
		int code = errno;
		(void)snprintf(text, sizeof(text), "cannot read %.400s: %s", path, strerror(code));
		return cli_fail_err(call, code == ENOENT ? KW_ENOTFOUND : KW_EDENIED, text);
	}
	enum kw_err err = KW_OK;
	bool failed = false;
	while (err == KW_OK && !feof(in)) {
		char part[16384];
		size_t n = fread(part, 1, sizeof(part), in);
		failed = ferror(in) != 0;
		if (failed)
			break;
		err = kw_buf_add(out, KW_VIEW(part, n));
		kw_wipe(part, sizeof(part));
	}
	if (!is_stdin)
		(void)fclose(in); /* it was only read */
	if (failed) {
		(void)snprintf(text, sizeof(text), "cannot read %.400s (is it a folder?)", path);
		return cli_fail_err(call, KW_EDENIED, text);
	}
	if (err == KW_OK)
		return CLI_OK;
	(void)snprintf(text, sizeof(text), "%.400s is larger than %zu bytes; split it", path, out->size_max);
	return cli_fail_err(call, err, err == KW_ETOOBIG ? text : NULL);
}

enum kw_err cli_id_from(const char *text, uint8_t id[KW_ID_SIZE])
{
	uint8_t bytes[KW_ID_SIZE];
	if (kw_unhex(bytes, KW_ID_SIZE, text) != KW_OK) {
		struct kw_buf decoded;
		kw_buf_init(&decoded, KW_ID_SIZE);
		enum kw_err err = json_unbase64(kw_view_str(text), &decoded);
		bool whole = err == KW_OK && decoded.size == KW_ID_SIZE;
		if (whole)
			memcpy(bytes, decoded.data, KW_ID_SIZE);
		kw_buf_fini(&decoded);
		if (!whole)
			return KW_EFORMAT;
	}
	memcpy(id, bytes, KW_ID_SIZE);
	return KW_OK;
}

int cli_id_option(struct cli_call *call, const char *name, const char *text, uint8_t id[KW_ID_SIZE])
{
	static const uint8_t NONE[KW_ID_SIZE];
	if (cli_id_from(text, id) != KW_OK)
		return cli_fail_usage(call, "%s is an id of 32 hex digits", name);
	if (memcmp(id, NONE, KW_ID_SIZE) == 0)
		return cli_fail_usage(call, "%s is all zeros, which is no id: give 16 random bytes as 32 hex digits", name);
	return CLI_OK;
}

enum kw_err cli_number_from(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 19 || text[digits])
		return KW_EFIELD;
	uint64_t number = strtoull(text, NULL, 10);
	if (number < min || number > max)
		return KW_EFIELD;
	*out = number;
	return KW_OK;
}

/* An option that every command has. */
static int take_common(struct cli_call *call, const struct cli_option *option, const char *value, bool *help)
{
	uint64_t seconds = 0;
	if (option == &COMMON[0]) {
		call->json = true;
	} else if (option == &COMMON[1]) {
		*help = true;
	} else if (option == &ASKING[0]) {
		call->socket_path = value;
	} else {
		if (cli_number_from(value, 1, CLI_TIMEOUT_S_MAX, &seconds) != KW_OK)
			return cli_fail_usage(call, "--timeout is 1 to %d seconds", CLI_TIMEOUT_S_MAX);
		call->timeout_ms = (int)seconds * 1000;
	}
	return CLI_OK;
}

/* Takes one option whose name is argv[*i] without dashes; moves *i over its value. */
static int take_option(struct cli_call *call, int argc, char **argv, int *i, bool *help)
{
	const char *name = argv[*i] + 2;
	size_t size = strcspn(name, "=");
	const struct cli_option *tables[3] = {call->command->options, COMMON, call->command->local ? NULL : ASKING};
	for (int t = 0; t < 3; t++) {
		for (const struct cli_option *option = tables[t]; option && option->name; option++) {
			if (strlen(option->name) != size || memcmp(option->name, name, size) != 0)
				continue;
			const char *value = name[size] == '=' ? name + size + 1 : NULL;
			if (!option->metavar && value)
				return cli_fail_usage(call, "--%s takes no value", option->name);
			if (option->metavar && !value && ++*i >= argc)
				return cli_fail_usage(call, "--%s needs a value: %s", option->name, option->metavar);
			if (option->metavar && !value)
				value = argv[*i];
			if (t != 0)
				return take_common(call, option, value, help);
			size_t index = (size_t)(option - tables[0]);
			KW_ASSERT(index < CLI_OPTIONS_MAX);
			if (call->option[index])
				return cli_fail_usage(call, "--%s is given twice", option->name);
			call->option[index] = value ? value : "";
			return CLI_OK;
		}
	}
	return cli_fail_usage(call, "no such option: --%.*s", (int)size, name);
}

/* Sorts argv (after the command's name) into options and arguments. */
static int parse(struct cli_call *call, int argc, char **argv, bool *help)
{
	bool only_args = false;
	call->args = argv;
	for (int i = 0; i < argc; i++) {
		if (only_args || argv[i][0] != '-' || argv[i][1] == '\0') {
			call->args[call->arg_count++] = argv[i]; /* never ahead of i */
		} else if (strcmp(argv[i], "--") == 0) {
			only_args = true;
		} else if (strcmp(argv[i], "-h") == 0) {
			*help = true;
		} else if (argv[i][1] != '-') {
			return cli_fail_usage(call, "no such option: %s", argv[i]);
		} else {
			int code = take_option(call, argc, argv, &i, help);
			if (code != CLI_OK)
				return code;
		}
	}
	if (*help)
		return CLI_OK;
	if (call->arg_count < call->command->args_min)
		return cli_fail_usage(call, "something is missing: %s", call->command->args);
	if (call->arg_count > call->command->args_max)
		return cli_fail_usage(call, "too many arguments, beginning with \"%s\"", call->args[call->command->args_max]);
	return CLI_OK;
}

const struct cli_command *cli_find_command(int count, char **words, int *used)
{
	char two[64];
	int n = count > 1 ? snprintf(two, sizeof(two), "%s %s", words[0], words[1]) : 0;
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++) {
		bool both = n > 0 && (size_t)n < sizeof(two) && strcmp(command->name, two) == 0;
		if (both || (count > 0 && strcmp(command->name, words[0]) == 0)) {
			*used = both ? 2 : 1;
			return command;
		}
	}
	return NULL;
}

/* A first word that is a group's, with nothing or nothing known behind it. */
static int run_group(struct cli_call *call, const struct cli_group *group, const char *next)
{
	if (next && (strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0)) {
		cli_help_group(call->out, group);
		return CLI_OK;
	}
	if (next && next[0] != '-')
		return cli_fail_usage(call, "no such command: %s %s; kinward help %s lists them", group->name, next, group->name);
	return cli_fail_usage(call, "say what to do; kinward help %s lists what there is", group->name);
}

/* Mistakes in front of the options are printed as JSON too for whoever asks for it. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int cli_main(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli_call call = {.timeout_ms = CLI_TIMEOUT_MS_DEFAULT, .json = wants_json(argc, argv), .out = out, .err = err};
	int used = 1;
	if (argc < 2 || !argv[1][0]) {
		cli_help(err);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_help(out);
		return CLI_OK;
	}
	char version[] = "version";
	if (strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	const struct cli_group *group = cli_find_group(argv[1]);
	call.command = cli_find_command(argc - 1, argv + 1, &used);
	if (!call.command && group)
		return run_group(&call, group, argc > 2 ? argv[2] : NULL);
	if (!call.command)
		return cli_fail_usage(&call, "no such command: %s; kinward help lists them", argv[1]);
	bool help = false;
	int code = parse(&call, argc - 1 - used, argv + 1 + used, &help);
	if (code != CLI_OK)
		return code;
	if (help) {
		cli_help_command(out, call.command);
		return CLI_OK;
	}
	return call.command->run(&call);
}
