#include "agent/cli/commands.h"
#include "agent/cli/enrol.h"
#include "agent/cli/hub.h"

#include <string.h>

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
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++) {
		if (strcmp(command->name, call->args[0]) == 0 && command->run) {
			cli_help_command(call->out, command);
			return CLI_OK;
		}
	}
	return cli_fail_usage(call, "no such command: %s; kinward help lists them", call->args[0]);
}

static const char SEND_DETAILS[] =
	"The message is sealed to AGENCY on this machine and lies in the outbox when this command returns; it leaves by\n"
	"itself, now or when the hub is reachable again. A high-risk referral travels before all others.\n\n"
	"  kinward send agency-b --referral referral.json\n"
	"  kinward send agency-b --service shelter --risk high --case-ref A-17 --code A-17 --age 9 --sex female \\\n"
	"      --reason \"Alone since Monday\" --referrer \"Jo Bol\" --consent-from caregiver\n"
	"  kinward send agency-b --service shelter ... --dry-run     print the JSON, to edit and send with --content\n\n"
	"--consent-from says that consent was given to the service and to sharing with this agency. Without consent, name\n"
	"--override-reason and --override-approver as well.\n";

static const char EVENT_DETAILS[] =
	"Tells the other agency of a thread what has become of the referral. The receiver says acknowledged, accepted,\n"
	"scheduled, in_progress, completed, rejected, onward_proposed, need_info, no_show, not_provided; the sender says\n"
	"acknowledged (which answers need_info or onward_proposed), closed, cancel_requested, consent_withdrawn. What the case\n"
	"does not allow now is refused, with what it does; kinward case show names its state.\n\n"
	"  kinward event 5f2c...09 accepted --author \"Sara Lado\"\n"
	"  kinward event 5f2c...09 scheduled --appointment 2025-03-01T14:00+03:00 --place \"Clinic 2\"\n"
	"  kinward event 5f2c...09 rejected --reason no_capacity --note \"Beds again from Friday\"\n"
	"  kinward event 5f2c...09 closed --feedback \"Mother told by phone\"\n";

static const char CASE_DETAILS[] =
	"A case is a thread: what was sent and said between us and one other agency about one request.\n\n"
	"  kinward case list                          cases to which something is still to come, the oldest first\n"
	"  kinward case list --all --agency agency-b  all that we ever had with agency-b\n"
	"  kinward case show 77ab...41                one case: its state, whose move it is, until when, and its timeline\n"
	"  kinward case timeline 77ab...41            the timeline alone: number, time, who, state, how far, message\n\n"
	"A step marked (waits) came before one that was said earlier; it counts when that one is here. One marked (refused)\n"
	"does not count: the other agency's agent refused it, because the case had moved on meanwhile, or it never arrived.\n";

static const char TODO_DETAILS[] =
	"Cases in which the next step is ours, the most overdue first. The time is counted from when the case came into its\n"
	"present state; kinward event takes the next step.\n\n"
	"  kinward todo\n"
	"  kinward todo --json | your-program\n";

static const char ATTACH_DETAILS[] =
	"Seals FILE (at most 64 MiB) for AGENCY and prints the reference that a message names it by. The sealed file leaves by\n"
	"itself, behind all messages, and goes on where it was after a cut or a restart. For a second agency attach it again.\n\n"
	"  kinward attach agency-b photo.jpg --json               the reference, for \"attachments\" in a message's JSON\n"
	"  kinward send agency-b --referral r.json --attach photo.jpg      both in one go\n";

static const char ATTACHMENT_DETAILS[] =
	"Opens an attachment that a received message names and writes it to a file that must not be there yet. DIGEST is what\n"
	"kinward show prints in the message. Exit code 75: it has not arrived yet.\n\n"
	"  kinward attachment get 5f2c...09 --out photo.jpg\n";

static const char IMPORT_DETAILS[] =
	"Reads CSV (also with ; or tabs, as spreadsheets write it) or cases as Primero exports them in JSON. A row that breaks\n"
	"a rule is named with its line and column, and the others go on. Running it twice stores nothing twice.\n\n"
	"  kinward import cases.csv --as-of 2025-03-01\n"
	"  kinward import primero.json --dry-run\n"
	"  kinward import referrals.csv --as referral --to agency-b\n"
	"  kinward import cases.csv --default consent_source=caregiver,care_arrangement=kinship\n"
	"  kinward import --columns                                  which columns are known\n";

static const char VALIDATE_DETAILS[] =
	"Checks messages in JSON against the rules of the schema, as the agent does before it sends one; no agent is needed.\n"
	"Of a folder it takes each file that ends in .json. Each file gives one line: FILE: OK, or FILE: FIELD: RULE, or, where\n"
	"it is not JSON, FILE:LINE:COLUMN: RULE.\n\n"
	"  kinward validate message.json\n"
	"  kinward validate --as ReferralRequest referral.json       what kinward send --referral takes\n"
	"  kinward validate --json outgoing/ late.json\n";

static const char ASSESS_DETAILS[] =
	"Asks for what is not given and advises a desk review, a multi-sector, a rapid or a site-specific assessment. With fewer\n"
	"than 15 distinct affected communities each is assessed; from 15 on a sample speaks for all. It needs no agent.\n\n"
	"  kinward assess choose\n"
	"  kinward assess choose --phase later --access sites --communities 9 --recent-data no --multi-sector no\n";

static const char SURVEILLANCE_DETAILS[] =
	"Reads the SeparationReports in the inbox and flags pairs of cases of one village, sex and cause, with ages within two\n"
	"years and reports within four weeks. What one of them does not say counts as no difference. A person decides.\n\n"
	"  kinward surveillance candidates --since 2026-W40\n";

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
		.details = "This tells nobody else; kinward event does.\n\n  kinward ack 5f2c...09 77ab...41\n", .args_min = 1,
		.args_max = CLI_ACK_MAX, .run = cli_run_ack},
	{.name = "event", .args = "MESSAGE|THREAD STATE", .summary = "Answer: tell the other agency a referral's new state",
		.details = EVENT_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_EVENT_OPTIONS, .run = cli_run_event},
	{.name = "case", .args = "list|show|timeline [THREAD]", .summary = "Cases: their state, whose move it is, what was said",
		.details = CASE_DETAILS, .args_min = 1, .args_max = 2, .options = CLI_CASE_OPTIONS, .run = cli_run_case},
	{.name = "todo", .args = "", .summary = "What waits for us, the most overdue first", .details = TODO_DETAILS,
		.options = CLI_TODO_OPTIONS, .run = cli_run_todo},
	{.name = "watch", .args = "", .summary = "Print each new message as it comes",
		.details = "Those not acknowledged come first; one that is never acknowledged comes again each time.\n\n"
			   "  kinward watch --json | your-program\n", .options = CLI_WATCH_OPTIONS, .run = cli_run_watch},
	{.name = "import", .args = "FILE", .summary = "Import registrations or referrals from CSV or Primero's JSON",
		.details = IMPORT_DETAILS, .args_min = 0, .args_max = 1, .options = CLI_IMPORT_OPTIONS, .run = cli_run_import},
	{.name = "validate", .args = "FILE|FOLDER...", .summary = "Check messages in JSON files, without an agent",
		.details = VALIDATE_DETAILS, .args_min = 1, .args_max = CLI_FILES_MAX, .options = CLI_VALIDATE_OPTIONS,
		.run = cli_run_validate},
	{.name = "attach", .args = "AGENCY FILE", .summary = "Seal a photo or document for an agency",
		.details = ATTACH_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_ATTACH_OPTIONS, .run = cli_run_attach},
	{.name = "attachment", .args = "get DIGEST", .summary = "Open an attachment that has come", .details = ATTACHMENT_DETAILS,
		.args_min = 2, .args_max = 2, .options = CLI_ATTACHMENT_OPTIONS, .run = cli_run_attachment},
	{.name = "attachments", .args = "", .summary = "List attachments, sent and received, and how far each is",
		.details = "  kinward attachments\n", .run = cli_run_attachments},
	{.name = "dead-letters", .args = "", .summary = "List what will not arrive, and why",
		.details = "Each stays on the list until it is acknowledged. Call the other agency, or send again.\n\n"
			   "  kinward dead-letters\n  kinward ack 5f2c...09\n", .options = CLI_LIST_OPTIONS,
		.run = cli_run_dead_letters},
	{.name = "assess", .args = "choose", .summary = "Which assessment to make of separation and protection, and why",
		.details = ASSESS_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_ASSESS_OPTIONS, .run = cli_run_assess},
	{.name = "surveillance", .args = "candidates", .summary = "Weekly separation reports: which cases may be one child",
		.details = SURVEILLANCE_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_SURVEILLANCE_OPTIONS,
		.run = cli_run_surveillance},
	{.name = "status", .args = "", .summary = "Is the agent online, and what is it doing",
		.details = "  kinward status\n  kinward status --json\n", .run = cli_run_status},
	{.name = "keys", .args = "", .summary = "Our fingerprints, and the agencies we can send to",
		.details = "Compare fingerprints by telephone before the first case goes to a new agency.\n\n  kinward keys\n",
		.run = cli_run_keys},
	{.name = "agent", .args = "init CODE", .summary = "Set up an agent with its hub's code", .details = "", .raw = cli_agent},
	{.name = "hub", .args = "init|add|list", .summary = "Set up a hub and enrol agencies", .details = "", .raw = cli_hub},
	{.name = "version", .args = "", .summary = "Print the version", .details = "", .run = run_version},
	{.name = "help", .args = "[COMMAND]", .summary = "Explain a command", .details = "", .args_max = 1, .run = run_help},
	{.name = NULL},
};
