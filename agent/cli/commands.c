#include "agent/cli/commands.h"

#include <string.h>

#include "agent/shell/keys.h"

static int run_version(struct cli_call *call)
{
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s}", "program", "kinward", "version", KW_VERSION));
	else
		(void)fputs("kinward " KW_VERSION "\n", call->out);
	return CLI_OK;
}

static int run_help(struct cli_call *call)
{
	if (call->arg_count == 0) {
		cli_help(call->out);
		return CLI_OK;
	}
	int used = 0;
	const struct cli_command *command = cli_find_command(call->arg_count, call->args, &used);
	const struct cli_group *group = cli_find_group(call->args[0]);
	if (command)
		cli_help_command(call->out, command);
	else if (group)
		cli_help_group(call->out, group);
	else
		return cli_fail_usage(call, "no such command: %s; kinward help lists them", call->args[0]);
	return CLI_OK;
}

static const char SEND_DETAILS[] =
	"The message is sealed to AGENCY on this machine and lies in the outbox when this command returns; it leaves by\n"
	"itself, now or when the hub is reachable again. A high-risk referral travels before all others.\n\n"
	"  kinward send agency-b --referral referral.json\n"
	"  kinward send agency-b --service shelter --risk high --case-ref R-2041 --code C-17 --age 9 --sex female \\\n"
	"      --reason \"Alone since Monday\" --referrer \"Jo Bol\" --consent-from caregiver\n"
	"  kinward send agency-b --service shelter ... --dry-run     print the JSON, to edit and send with --content\n\n"
	"--consent-from says that consent was given to the service and to sharing with this agency. Without consent, name\n"
	"--override-reason and --override-approver as well.\n";

static const char EVENT_DETAILS[] =
	"Tells the other agency of a thread what has become of the referral. The receiver says acknowledged, accepted,\n"
	"scheduled, in_progress, completed, rejected, onward_proposed, need_info, no_show, not_provided, cancelled; the sender\n"
	"says closed, cancel_requested, consent_withdrawn. 5f2c...09 below stands for a whole id of 32 hex digits.\n\n"
	"  kinward event 5f2c...09 accepted --author \"Sara Lado\"\n"
	"  kinward event 5f2c...09 scheduled --appointment 2025-03-01T14:00+03:00 --place \"Clinic 2\"\n"
	"  kinward event 5f2c...09 rejected --reason no_capacity --note \"Beds again from Friday\"\n"
	"  kinward event 5f2c...09 closed --feedback \"Mother told by phone\"\n";

static const char IMPORT_DETAILS[] =
	"Reads CSV (also with ; or tabs, as spreadsheets write it) or cases as Primero exports them in JSON. A row that breaks\n"
	"a rule is named with its line and column, and the others go on. Running it twice stores nothing twice.\n\n"
	"  kinward import cases.csv --as-of 2025-03-01\n"
	"  kinward import primero.json --dry-run\n"
	"  kinward import referrals.csv --as referral --to agency-b\n"
	"  kinward import cases.csv --default consent_source=caregiver,care_arrangement=kinship\n"
	"  kinward import --columns                                  which columns are known\n";

static const char AGENT_INIT_DETAILS[] =
	"Makes this agency's keys and enrols it with the single-use code from the hub's operator. Writes the state directory\n"
	"with keys, certificates, directory and agent.yaml, and prints the agency's identity fingerprint: the operator sees\n"
	"the same with kinward hub list.\n\n"
	"  kinward agent init KW1-... --passphrase-file /etc/kinward/passphrase\n"
	"  kinward-agent " CLI_AGENT_FOLDER "/agent.yaml\n\n"
	"Without --passphrase-file the passphrase of the key file comes from $" KEYS_PASSPHRASE_ENV ", else it is asked.\n";

static const char HUB_INIT_DETAILS[] =
	"Makes root, issuer and server keys, an empty signed directory and broker.yaml in one folder. The address goes into every\n"
	"code: it is what agencies dial.\n\n"
	"  kinward hub init --name ke-hub --address hub.example.org:7443\n"
	"  kinward-broker " CLI_HUB_FOLDER "/broker.yaml\n"
	"  kinward hub init --dir /tmp/hub --name test --listen 127.0.0.1:7443\n";

static const char HUB_ADD_DETAILS[] =
	"Prints a code that works once, within 72 hours; give it to the agency by a way that you trust. The broker need not be\n"
	"restarted.\n\n"
	"  kinward hub add agency-a\n"
	"  kinward hub add agency-a --qr\n";

static const char HUB_LIST_DETAILS[] =
	"One line an agency: its name and its identity fingerprint, SHA-256 in hex, the same that kinward agent init and\n"
	"kinward keys print at the agency. Compare them by telephone after each enrolment.\n\n"
	"  kinward hub list\n"
	"  kinward hub list --json\n";

const struct cli_group CLI_GROUPS[] = {
	{"hub", "set up a hub and enrol agencies, on the hub's machine",
		"  kinward hub init --name ke-hub --address hub.example.org:7443\n"
		"  kinward hub add agency-a\n"
		"  kinward hub list\n"},
	{"agent", "set up an agency's agent, on the agency's machine", "  kinward agent init KW1-...\n"},
	{NULL, NULL, NULL},
};

const struct cli_command CLI_COMMANDS[] = {
	{.name = "send", .args = "AGENCY", .summary = "Send a referral, or any message, to another agency",
		.details = SEND_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_SEND_OPTIONS, .run = cli_run_send},
	{.name = "inbox", .args = "", .summary = "List what has come and is not acknowledged",
		.details = "  kinward inbox\n  kinward inbox --all --after 120\n", .options = CLI_LIST_OPTIONS, .run = cli_run_inbox},
	{.name = "outbox", .args = "", .summary = "List what was sent and how far it is",
		.details = "queued: only here; held: at the hub; delivered, opened: at the recipient; dead: will not arrive.\n\n"
			   "  kinward outbox\n", .options = CLI_LIST_OPTIONS, .run = cli_run_outbox},
	{.name = "show", .args = "MESSAGE", .summary = "Show one message with its content",
		.details = "  kinward show 5f2c...09\n", .args_min = 1, .args_max = 1, .run = cli_run_show},
	{.name = "ack", .args = "MESSAGE...", .summary = "Take messages off the list of new ones, or of dead letters",
		.details = "This tells nobody else; kinward event does. An id that the agent has not is named, and the exit code is 4.\n\n  kinward ack 5f2c...09 77ab...41\n", .args_min = 1,
		.args_max = CLI_ACK_MAX, .run = cli_run_ack},
	{.name = "event", .args = "MESSAGE|THREAD STATE", .summary = "Answer: tell the other agency a referral's new state",
		.details = EVENT_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_EVENT_OPTIONS, .run = cli_run_event},
	{.name = "watch", .args = "", .summary = "Print each new message as it comes",
		.details = "Those not acknowledged come first; one that is never acknowledged comes again each time.\n\n"
			   "  kinward watch --json | your-program\n", .options = CLI_WATCH_OPTIONS, .run = cli_run_watch},
	{.name = "import", .args = "FILE", .summary = "Import registrations or referrals from CSV or Primero's JSON",
		.details = IMPORT_DETAILS, .args_min = 0, .args_max = 1, .options = CLI_IMPORT_OPTIONS, .run = cli_run_import},
	{.name = "dead-letters", .args = "", .summary = "List what will not arrive, and why",
		.details = "Each stays on the list until it is acknowledged. Call the other agency, or send again.\n\n"
			   "  kinward dead-letters\n  kinward ack 5f2c...09\n", .options = CLI_LIST_OPTIONS,
		.run = cli_run_dead_letters},
	{.name = "status", .args = "", .summary = "Is the agent online, and what is it doing",
		.details = "  kinward status\n  kinward status --json\n", .run = cli_run_status},
	{.name = "keys", .args = "", .summary = "Our fingerprints, and the agencies we can send to",
		.details = "Compare fingerprints by telephone before the first case goes to a new agency.\n\n  kinward keys\n",
		.run = cli_run_keys},
	{.name = "agent init", .args = "CODE", .summary = "Set up an agent with its hub's code", .details = AGENT_INIT_DETAILS,
		.args_min = 1, .args_max = 1, .options = CLI_AGENT_INIT_OPTIONS, .run = cli_run_agent_init, .local = true},
	{.name = "hub init", .args = "", .summary = "Make a hub's keys, directory and settings", .details = HUB_INIT_DETAILS,
		.options = CLI_HUB_INIT_OPTIONS, .run = cli_run_hub_init, .local = true},
	{.name = "hub add", .args = "AGENCY", .summary = "Make a code with which one agency can enrol, once",
		.details = HUB_ADD_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_HUB_ADD_OPTIONS, .run = cli_run_hub_add,
		.local = true},
	{.name = "hub list", .args = "", .summary = "List the agencies of a hub with their fingerprints",
		.details = HUB_LIST_DETAILS, .options = CLI_HUB_LIST_OPTIONS, .run = cli_run_hub_list, .local = true},
	{.name = "version", .args = "", .summary = "Print the version", .details = "  kinward version\n", .run = run_version,
		.local = true},
	{.name = "help", .args = "[COMMAND]", .summary = "Explain a command", .details = "  kinward help send\n  kinward help hub add\n",
		.args_max = 2, .run = run_help, .local = true},
	{.name = NULL},
};
