#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/enrol.h"
#include "agent/shell/keys.h"

/* kinward agent init: makes an agent's keys and enrols it with the code its hub's operator gave out. */

enum { DIR, PASSPHRASE_FILE, SOCKET };

const struct cli_option CLI_AGENT_INIT_OPTIONS[] = {
	[DIR] = {"dir", "DIR", "state directory (default " CLI_AGENT_FOLDER "); must be new or empty"},
	[PASSPHRASE_FILE] = {"passphrase-file", "FILE", "passphrase of the key file, mode 0400; the daemon reads it too"},
	[SOCKET] = {"agent-socket", "PATH", "local socket for agent.yaml (default " KINWARD_SOCKET_DEFAULT ")"},
	{NULL, NULL, NULL},
};

struct advice {
	const char *field;
	const char *text;
};

static struct advice advice(enum kw_err err, bool by_hub)
{
	switch (err) {
	case KW_EFORMAT:
		return (struct advice){"CODE", "this is no enrolment code: one begins with KW1-"};
	case KW_EAUTH:
		return (struct advice){"CODE", "the code is mistyped, spent or expired, or the hub is not the one it names: ask the "
			"operator for a new one"};
	case KW_EEXIST:
		if (by_hub)
			return (struct advice){"CODE", "the hub has an agency of this name already, so this code enrols nobody. If that is "
				"your own agent, start it with its state directory or the backup of it; else ask the operator for a code "
				"under another name"};
		return (struct advice){"--dir", "the directory is not empty, an agent lives there: choose another one"};
	case KW_EFIELD:
		return (struct advice){"--dir", "paths of the state directory, socket and passphrase file may hold no quotes"};
	case KW_ENOTFOUND:
		return (struct advice){"--dir", "it cannot be made: make the folder above it first"};
	case KW_EOFFLINE:
	case KW_ECLOSED:
	case KW_ETIMEOUT:
		return (struct advice){"CODE", "the hub that the code names cannot be reached: is it running, and does the network let "
			"you out to its port? The code stays good"};
	default:
		return (struct advice){"", kw_err_text(err)};
	}
}

static int fail(struct cli_call *call, enum kw_err err, const char *field, const char *text)
{
	bool retry = kw_err_class(err) == KW_CLASS_RETRY;
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .field = field, .text = text, .retryable = retry,
		.exit = retry ? CLI_RETRY : CLI_REFUSED});
}

static int fail_passphrase(struct cli_call *call, enum kw_err err)
{
	const char *text = kw_err_text(err);
	if (err == KW_EFIELD)
		text = "the passphrase needs at least 8 characters, typed twice the same";
	else if (err == KW_EDENIED)
		text = "the file of the passphrase must be yours or root's, and have mode 0400 or 0600";
	else if (err == KW_ENOTFOUND)
		text = "there is no passphrase: name a file, set " KEYS_PASSPHRASE_ENV ", or run this at a terminal";
	return fail(call, err, "--passphrase-file", text);
}

static void print_enrolled(struct cli_call *call, const struct enrol_result *result)
{
	char fingerprint[2 * KW_DIGEST_SIZE + 1];
	kw_hex(fingerprint, KW_VIEW_OF(result->identity_fingerprint.bytes));
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s, s:s, s:s}", "agency", result->agency.text, "hub", result->hub.text,
			"address", result->address, "identityFingerprint", fingerprint, "config", result->config));
	else
		(void)fprintf(call->out, "Enrolled as %s at hub %s (%s).\nIdentity fingerprint: %s\n"
			"Read it to the hub's operator, whose kinward hub list must show the same.\nStart: kinward-agent %s\n",
			result->agency.text, result->hub.text, result->address, fingerprint, result->config);
}

int cli_run_agent_init(struct cli_call *call)
{
	struct enrol_request request = {.code = call->args[0], .folder = CLI_AGENT_FOLDER, .socket = KINWARD_SOCKET_DEFAULT};
	struct enrol_result result = {0};
	struct kw_buf passphrase;
	char file[PATH_MAX];
	if (call->option[DIR])
		request.folder = call->option[DIR];
	if (call->option[SOCKET])
		request.socket = call->option[SOCKET];
	if (call->option[PASSPHRASE_FILE]) {
		/* The daemon may be started from anywhere. */
		request.passphrase_file = realpath(call->option[PASSPHRASE_FILE], file);
		if (request.passphrase_file == NULL)
			return cli_fail(call, &(struct cli_failure){.code = kw_err_name(KW_ENOTFOUND), .field = "--passphrase-file",
				.text = "there is no such file", .exit = CLI_NOT_FOUND});
	}
	enum kw_err err = keys_harden();
	if (err != KW_OK)
		return fail(call, err, "", "the process cannot be hardened: it needs setrlimit and prctl");
	kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
	err = keys_passphrase(request.passphrase_file, true, &passphrase);
	if (err != KW_OK) {
		kw_buf_fini(&passphrase);
		return fail_passphrase(call, err);
	}
	request.passphrase = kw_buf_view(&passphrase);
	err = agent_enrol(&request, &result);
	kw_buf_fini(&passphrase);
	if (err != KW_OK) {
		struct advice what = advice(err, result.refused_by_hub);
		return fail(call, err, what.field, what.text);
	}
	print_enrolled(call, &result);
	return CLI_OK;
}
