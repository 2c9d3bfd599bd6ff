#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/enrol.h"
#include "agent/shell/keys.h"

/* kinward agent init: makes an agent's keys and enrols it with the code its hub's operator gave out. */

#define WAIT_S_MAX 31536000u

const char CLI_AGENT_INIT_DETAILS[] =
	"Makes this agency's keys and enrols it with the single-use code from the hub's operator. Prints a phrase of six numbers: read it\n"
	"to a person at the hub, who approves if the hub shows the same. Then the state directory is there, with keys, certificates and\n"
	"agent.yaml. Until then all lies beside it, in DIR.new: the same command, after whatever has cut it short, goes on with the same\n"
	"keys.\n\n"
	"  kinward agent init KW1-... --passphrase-file /etc/kinward/passphrase\n"
	"  kinward-agent " CLI_AGENT_FOLDER "/agent.yaml\n\n"
	"Without a link to the hub, by two files:\n\n"
	"  kinward agent init KW1-... --request agency-a.request\n"
	"  kinward agent init --reply agency-a.reply\n\n"
	"Without --passphrase-file the passphrase of the key file comes from $" KEYS_PASSPHRASE_ENV ", else it is asked.\n";

enum { DIR, PASSPHRASE_FILE, SOCKET, WAIT, REQUEST, REPLY };

const struct cli_option CLI_AGENT_INIT_OPTIONS[] = {
	[DIR] = {"dir", "DIR", "state directory (default " CLI_AGENT_FOLDER "); must be new or empty"},
	[PASSPHRASE_FILE] = {"passphrase-file", "FILE", "passphrase of the key file, mode 0400; the daemon reads it too"},
	[SOCKET] = {"agent-socket", "PATH", "local socket for agent.yaml (default " KINWARD_SOCKET_DEFAULT ")"},
	[WAIT] = {"wait", "SECONDS", "wait so long for the approval, then exit 75; 0 only asks (default: as long as it takes)"},
	[REQUEST] = {"request", "FILE", "no link to the hub: write the request there, to be carried to its operator"},
	[REPLY] = {"reply", "FILE", "what came back; without CODE"},
	{NULL, NULL, NULL},
};

struct advice {
	const char *field;
	const char *text;
};

static struct advice advice_of_phase(enum kw_enrol_phase phase)
{
	switch (phase) {
	case KW_ENROL_EXPIRED:
		return (struct advice){"CODE", "the code has expired, it was good for 72 hours: ask the operator for a new one"};
	case KW_ENROL_BURNT:
		return (struct advice){"CODE", "the code is burnt: somebody tried it wrongly five times. Tell the operator, who makes a new "
			"one; have it come to you by another way than this one"};
	case KW_ENROL_REFUSED:
		return (struct advice){"CODE", "the hub's people have refused this request: call the operator. A new code is needed"};
	case KW_ENROL_TAKEN:
		return (struct advice){"CODE", "ALARM: somebody else has used this code before you, so it was stolen on its way, or you began "
			"before in another directory and that one counts. Call the operator now; the request that came first must not be "
			"approved unless it is yours"};
	case KW_ENROL_EXISTS:
		return (struct advice){"CODE", "the hub has an agency of this name already, so this code enrols nobody. If that is "
			"your own agent, start it with its state directory or the backup of it; else ask the operator for a code "
			"under another name"};
	default:
		return (struct advice){"CODE", "the hub does not know this code, or not with this secret: it is mistyped, spent or void. Ask "
			"the operator for a new one; after five wrong tries a code is burnt"};
	}
}

static struct advice advice_of_fault(enum kw_err err, const struct enrol_result *result)
{
	switch (result->fault) {
	case ENROL_FAULT_KEYS:
		return (struct advice){"--passphrase-file", "this enrolment was begun with another passphrase: give that one"};
	case ENROL_FAULT_OTHER_CODE:
		return (struct advice){"CODE", "an enrolment with another code is under way in this directory with .new behind its name. Go on "
			"with that code; or, if it is given up and was not approved, remove that directory and begin again"};
	case ENROL_FAULT_NO_REQUEST:
		return (struct advice){"--dir", "no request was made for this directory: begin with kinward agent init CODE --request FILE, and "
			"name the same --dir"};
	case ENROL_FAULT_RUNNING:
		return (struct advice){"--dir", "another kinward agent init is at work on it: let it end"};
	case ENROL_FAULT_REQUEST_FILE:
		return (struct advice){"--request", err == KW_ENOTFOUND ? "there is no such folder" : "the file cannot be written there"};
	case ENROL_FAULT_REPLY_FILE:
		if (err == KW_ENOTFOUND || err == KW_EDENIED)
			return (struct advice){"--reply", "there is no such file, or it is writable by others or not to be read by this user"};
		if (err == KW_EVERSION)
			return (struct advice){"--reply", "the file is of another version of kinward: bring both sides to the same"};
		if (err == KW_EFIELD)
			return (struct advice){"--reply", "this is the request, or a reply with a field that is not allowed: bring the file that "
				"kinward hub approve --reply wrote"};
		if (err == KW_EAUTH)
			return (struct advice){"--reply", "the reply does not fit this request, or was changed on its way: bring the file that "
				"kinward hub approve --reply wrote for it"};
		return (struct advice){"--reply", "the file is damaged, or no reply of a hub: carry it over again"};
	default:
		return (struct advice){"", NULL};
	}
}

static struct advice advice(enum kw_err err, const struct enrol_result *result)
{
	struct advice what = advice_of_fault(err, result);
	if (what.text != NULL)
		return what;
	switch (err) {
	case KW_EFORMAT:
		return (struct advice){"CODE", "this is no enrolment code, or one that is mistyped or cut short: it begins with KW1-, and all its "
			"groups are needed. Type it again; nothing was asked of the hub, and no try is lost"};
	case KW_EAUTH:
		if (result->fault == ENROL_FAULT_HUB)
			return advice_of_phase(0);
		return (struct advice){"CODE", "the code is mistyped, or the hub is not the one it names: ask the operator for a new one"};
	case KW_ESTATE:
		return advice_of_phase(result->phase);
	case KW_EEXIST:
		return (struct advice){"--dir", "the directory is not empty, an agent lives there: choose another one"};
	case KW_EFIELD:
		return (struct advice){"--dir", "paths of the state directory, socket and passphrase file may hold no quotes"};
	case KW_ENOTFOUND:
		return (struct advice){"--dir", "it cannot be made: make the folder above it first"};
	case KW_EBUSY:
		if (result->phase == 0)
			return (struct advice){"CODE", "the hub is busy just now: try again, the code stays good"};
		return (struct advice){"CODE", "the request is with the hub and waits for a person there to approve it: run the same command "
			"again, it goes on with the same keys"};
	case KW_EEXPIRED:
		return (struct advice){"", "the hub's certificate is not good at the time of this machine: set its clock right, else tell the "
			"operator. The code stays good"};
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

static void print_asked(void *user, const struct kw_name *agency, const char *phrase)
{
	struct cli_call *call = user;
	const char *file = call->option[REQUEST];
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s}", "agency", agency->text, "state", "asked", "phrase", phrase));
	} else {
		(void)fprintf(call->out, "Phrase of %s: %s\n", agency->text, phrase);
		if (file != NULL)
			(void)fprintf(call->out, "Carry %s to the hub's operator and read the phrase to a person there, by another way than the "
				"file's.\nWhen the reply is here: kinward agent init --reply FILE, with the same --dir.\n", file);
		else
			(void)fputs("Read it to a person at the hub, by telephone or face to face; who approves must see the same.\n"
				"Waiting for the approval. Ending this is no harm: the same command goes on with the same keys.\n", call->out);
	}
	(void)fflush(call->out);
}

static void print_enrolled(struct cli_call *call, const struct enrol_result *result)
{
	char fingerprint[2 * KW_DIGEST_SIZE + 1];
	kw_hex(fingerprint, KW_VIEW_OF(result->identity_fingerprint.bytes));
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "agency", result->agency.text, "state", "done",
			"hub", result->hub.text, "address", result->address, "phrase", result->phrase, "identityFingerprint", fingerprint,
			"config", result->config));
	else
		(void)fprintf(call->out, "Enrolled as %s at hub %s (%s).\nIdentity fingerprint: %s\nStart: kinward-agent %s\n",
			result->agency.text, result->hub.text, result->address, fingerprint, result->config);
}

/* 0, or an exit code after printing. */
static int read_options(struct cli_call *call, struct enrol_request *request)
{
	uint64_t wait_s;
	*request = (struct enrol_request){.code = call->arg_count > 0 ? call->args[0] : NULL, .folder = CLI_AGENT_FOLDER,
		.socket = KINWARD_SOCKET_DEFAULT, .request_file = call->option[REQUEST], .reply_file = call->option[REPLY], .wait_s = -1,
		.on_asked = print_asked, .user = call};
	if (call->option[DIR])
		request->folder = call->option[DIR];
	if (call->option[SOCKET])
		request->socket = call->option[SOCKET];
	if ((request->code == NULL) == (request->reply_file == NULL))
		return cli_fail_usage(call, "give the CODE of the hub's operator, or --reply with the file that came back, and not both");
	if (request->request_file != NULL && request->reply_file != NULL)
		return cli_fail_usage(call, "--request begins an enrolment and --reply ends it: one of them");
	if (call->option[WAIT]) {
		if (cli_number_from(call->option[WAIT], 0, WAIT_S_MAX, &wait_s) != KW_OK)
			return cli_fail_usage(call, "--wait is a number of seconds from 0 to %u", WAIT_S_MAX);
		request->wait_s = (int64_t)wait_s;
	}
	return CLI_OK;
}

int cli_run_agent_init(struct cli_call *call)
{
	struct enrol_request request;
	struct enrol_result result = {.done = false};
	struct kw_buf passphrase;
	char file[PATH_MAX];
	int code = read_options(call, &request);
	if (code != CLI_OK)
		return code;
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
		struct advice what = advice(err, &result);
		return fail(call, err, what.field, what.text);
	}
	if (result.done)
		print_enrolled(call, &result);
	return CLI_OK;
}
