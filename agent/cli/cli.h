#ifndef AGENT_CLI_CLI_H
#define AGENT_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "agent/clients/c/kinward.h"
#include "agent/shell/json.h"
#include "proto/base/id.h"

/* The command line `kinward`: a table of commands, each with a table of options, over one agent's local socket.
 * Everything that came in a message is escaped before it reaches the terminal (cli_print_text). */

/* Exit codes; --help and the manual page list them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_REFUSED = 1,      /* the agent, or a file's content, said no */
	CLI_USAGE = 2,        /* the command line is wrong */
	CLI_UNREACHABLE = 3,  /* no agent to talk to */
	CLI_NOT_FOUND = 4,    /* no such message, thread or file */
	CLI_ALARM = 5,        /* of status: the directory had another key under our own name, or the hub's log is not to be believed */
	CLI_RETRY = 75        /* the same may succeed later (EX_TEMPFAIL) */
};

/* Where hubs and agents live unless --dir says otherwise. */
#define CLI_HUB_FOLDER "/var/lib/kinward/hub"
#define CLI_AGENT_FOLDER "/var/lib/kinward/agent"
/* Options of one command, and files read at once. */
#define CLI_OPTIONS_MAX 32u
#define CLI_FILE_SIZE_MAX JSON_TEXT_SIZE_MAX
#define CLI_TIMEOUT_MS_DEFAULT 10000
#define CLI_TIMEOUT_S_MAX 3600
/* Messages of one `kinward ack`; also a limit of the agent. */
#define CLI_ACK_MAX 500
/* Files and folders of one `kinward validate`. */
#define CLI_FILES_MAX 10000

struct cli_option {
	const char *name;    /* without the dashes */
	const char *metavar; /* name of its value in the help; NULL for a switch */
	const char *help;
};

struct cli_call;

struct cli_command {
	const char *name;    /* one word, or two with a blank in between */
	const char *args;    /* its arguments, as the help shows them */
	const char *summary; /* one line */
	const char *details; /* paragraphs and examples, each line ended by \n */
	int args_min;
	int args_max;
	const struct cli_option *options; /* ended by a row without name; may be NULL */
	int (*run)(struct cli_call *call);
	bool local;          /* asks no agent, so --socket and --timeout are no options of it */
};

/* Commands of two words, "hub init" and "hub add", have their first word explained too. */
struct cli_group {
	const char *name;
	const char *summary; /* one line */
	const char *details; /* as of a command */
};

/* One command as it was called. */
struct cli_call {
	const struct cli_command *command;
	const char *option[CLI_OPTIONS_MAX]; /* by index in command->options; NULL if not given, "" for a switch */
	char **args;
	int arg_count;
	bool json;
	const char *socket_path; /* NULL for the default */
	int timeout_ms;
	FILE *out;
	FILE *err;
};

/* Runs a command line and returns the exit code. argv as in main(); its strings are borrowed, its order may change. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);

/* The overview, or the help of one command. */
void cli_help(FILE *out);
void cli_help_command(FILE *out, const struct cli_command *command);
void cli_help_group(FILE *out, const struct cli_group *group);
/* A command or group by the first words of a list; *used says how many words its name has. NULL if there is none. */
const struct cli_command *cli_find_command(int count, char **words, int *used);
const struct cli_group *cli_find_group(const char *name);

/* --- failing: each prints one error (as text on err, with --json also as an object on out) and returns the exit code */

__attribute__((format(printf, 2, 3))) int cli_fail_usage(struct cli_call *call, const char *format, ...);

struct cli_failure {
	const char *code;  /* wire name of the error */
	const char *field; /* a path, or empty */
	const char *text;
	bool retryable;
	int exit;
	int line;          /* of a file, from 1; 0: none */
	int column;
};
int cli_fail(struct cli_call *call, const struct cli_failure *failure);
/* For an error of our own code; `text` NULL takes the error's own. */
int cli_fail_err(struct cli_call *call, enum kw_err err, const char *text);
/* For JSON that was refused; `name` says where it came from. */
int cli_fail_json(struct cli_call *call, enum kw_err err, const char *name, const struct json_fault *fault);

/* --- talking to the agent */

/* Opens the connection; 0, or an exit code after printing why not. Close with kinward_close in both cases. */
int cli_connect(struct cli_call *call, struct kinward *agent);
/* Asks and expects a reply of the given kind; 0 and *reply (free it), or an exit code after printing. */
int cli_ask(struct cli_call *call, struct kinward *agent, Kinward__V1__LocalRequest *request,
	Kinward__V1__LocalReply__BodyCase want, Kinward__V1__LocalReply **reply);
/* Prints a refusal, or a failure of the connection, and returns its exit code. */
int cli_fail_refused(struct cli_call *call, const Kinward__V1__LocalError *refusal);
int cli_fail_agent(struct cli_call *call, const struct kinward *agent, enum kw_err err);

/* --- reading */

/* A file, or standard input for "-", into `out` (initialised). 0, or an exit code after printing. */
int cli_read_file(struct cli_call *call, const char *path, struct kw_buf *out);
/* A 16-byte id written as 32 hex digits or as base64 (as --json prints them). KW_EFORMAT. */
KW_MUST_USE enum kw_err cli_id_from(const char *text, uint8_t id[KW_ID_SIZE]);
/* An id for a new message or thread, given by option `name`; 0, or CLI_USAGE after printing. All zeros is no id. */
int cli_id_option(struct cli_call *call, const char *name, const char *text, uint8_t id[KW_ID_SIZE]);
/* A decimal number within [min, max]. KW_EFIELD. */
KW_MUST_USE enum kw_err cli_number_from(const char *text, uint64_t min, uint64_t max, uint64_t *out);
/* A code by its name (codes_find); 0, or CLI_USAGE after printing the choices. `option` is what the message calls it. */
int cli_code_option(struct cli_call *call, const ProtobufCEnumDescriptor *type, const char *option, const char *text,
	int *out);
/* The same from this option of the call's table; without it *value stays. */
int cli_take_code(struct cli_call *call, const ProtobufCEnumDescriptor *type, int option, int *value);
/* Free text of the command line for a message, borrowed; NULL is empty. protobuf-c has no const in its structs and changes
 * nothing. */
char *cli_borrowed(const char *text);

/* --- printing */

/* Text from a message or file: control characters, overlong or broken UTF-8 and direction overrides are shown as \xNN or
 * \u{NNNN}, so that no message can drive the terminal or hide what it says. NULL prints nothing. */
void cli_print_text(FILE *out, const char *text);
/* The same into a string of at most size - 1 bytes, cut at a whole character. */
void cli_escape(char *out, size_t size, const char *text);
/* Is it UTF-8 as a message may hold it? */
bool cli_is_utf8(const char *text);
/* An id or digest in hex; "-" when it is empty. */
void cli_print_hex(FILE *out, const ProtobufCBinaryData *bytes);
/* "2025-03-01 14:05:09Z"; "-" for 0. */
void cli_print_time(FILE *out, int64_t unix_ms);
/* A code by its short name, such as "delivered" for OUT_STATE_DELIVERED; its number if it is unknown. */
void cli_print_code(FILE *out, const ProtobufCEnumDescriptor *type, int value);
/* Lines "  name: value", indented, of any message; nothing for NULL. */
void cli_print_tree(FILE *out, const ProtobufCMessage *message);
/* One JSON value on one line, everything but ASCII escaped. Takes the value; NULL prints nothing. */
void cli_print_json(FILE *out, json_t *value);
/* A message as one line of JSON. 0, or an exit code after printing why not. */
int cli_print_message_json(struct cli_call *call, const ProtobufCMessage *message);

#endif
