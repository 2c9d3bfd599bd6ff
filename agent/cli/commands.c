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
	"An urgent action becomes a referral of one child with --from-urgent; say who the child is and that consent was given:\n\n"
	"  kinward send agency-b --from-urgent 5f2c...09 --case-ref R-2042 --code C-18 --age 6 --sex male --consent-from other\n\n"
	"--consent-from says that consent was given to the service and to sharing with this agency. Without consent, name\n"
	"--override-reason and --override-approver as well.\n";

static const char EVENT_DETAILS[] =
	"Tells the other agency of a thread what has become of the referral. The receiver says acknowledged, accepted,\n"
	"scheduled, in_progress, completed, rejected, onward_proposed, need_info, no_show, not_provided, cancelled; the sender\n"
	"says acknowledged (which answers need_info or onward_proposed), closed, cancel_requested, consent_withdrawn. What the case\n"
	"does not allow now is refused, with what it does; kinward case show names its state. 5f2c...09 below stands for a whole\n"
	"id of 32 hex digits.\n\n"
	"  kinward event 5f2c...09 accepted --author \"Sara Lado\"\n"
	"  kinward event 5f2c...09 scheduled --appointment 2025-03-01T14:00+03:00 --place \"Clinic 2\"\n"
	"  kinward event 5f2c...09 rejected --reason no_capacity --note \"Beds again from Friday\"\n"
	"  kinward event 5f2c...09 closed --feedback \"Mother told by phone\"\n";

static const char ATTACH_DETAILS[] =
	"Seals FILE (at most 64 MiB) for AGENCY and prints the reference that a message names it by. The sealed file leaves by\n"
	"itself, behind all messages, and goes on where it was after a cut or a restart. For a second agency attach it again.\n\n"
	"  kinward attach agency-b photo.jpg --json               the reference, for \"attachments\" in a message's JSON\n"
	"  kinward send agency-b --referral r.json --attach photo.jpg      both in one go\n";

static const char ATTACHMENT_DETAILS[] =
	"Opens an attachment that a received message names and writes it to a file that must not be there yet. DIGEST is what\n"
	"kinward show prints in the message. Exit code 75: it has not arrived yet; when it expired on its way, the sender has to\n"
	"send it again. remove takes one off this agent, and off the list one of ours that expired undelivered.\n\n"
	"  kinward attachment get 5f2c...09 --out photo.jpg\n"
	"  kinward attachment remove 5f2c...09\n";

static const char CASE_DETAILS[] =
	"A case is a thread: what was sent and said between us and one other agency about one request.\n\n"
	"  kinward case list                          cases to which something is still to come, the oldest first\n"
	"  kinward case list --all --agency agency-b  all that we ever had with agency-b\n"
	"  kinward case show 77ab...41                one case: its state, whose move it is, until when, and its timeline\n"
	"  kinward case timeline 77ab...41            the timeline alone: number, time, who, state, how far, message\n\n"
	"A step marked (waits) came before one that was said earlier; it counts when that one is here. One marked (refused)\n"
	"does not count: the other agency's agent refused it, because the case had moved on meanwhile, or it never arrived.\n";

static const char TODO_DETAILS[] =
	"Cases in which the next step is ours, the most overdue first, by the hub's limits and time; kinward event takes the next\n"
	"step. And open cases of ours whose consent has ended, until there is a new one (ConsentUpdate) or they are over.\n\n"
	"  kinward todo\n"
	"  kinward todo --json | your-program\n";

static const char PROOF_DETAILS[] =
	"show puts together what proves that we sent a message and what the recipient has signed about it, and writes it to a file\n"
	"of its own; verify checks such a file without an agent or a network. Both say in plain words what is proved and what is\n"
	"not. The file has nothing of the case, but it names who wrote to whom.\n\n"
	"  kinward proof show 5f2c...09\n"
	"  kinward proof show 5f2c...09 --out evidence.bin\n"
	"  kinward proof verify evidence.bin --root 9a41...c7\n\n"
	"Exit code 0: all in the file holds. 1: it does not, and nothing is proved by it. 4: no such message or file.\n";

static const char TRANSFER_OFFER_DETAILS[] =
	"Offers the case to AGENCY, which owns it from the moment it accepts, and not before. While the offer is open, the same\n"
	"case cannot be offered to another agency, whatever it is called there: say with --case or --from-thread what is one case.\n"
	"kinward case show tells who owns it.\n\n"
	"  kinward transfer offer agency-b --summary case.json --case-ref K-17 --reason relocation --risk medium \\\n"
	"      --caseworker \"Sara Lado\" --child-informed yes --consent-from caregiver\n"
	"  kinward transfer offer agency-b --offer offer.json\n"
	"  kinward transfer offer agency-b --offer offer.json --thread 77ab...41     answers their request\n";

static const char CONSENT_WITHDRAW_DETAILS[] =
	"Asks every agency that holds the case from us to erase it, or with --restrict not to use it any more; those to which it\n"
	"passed the case on are asked by it. Our own copy here is erased at once. What each says, and who has not answered, is in\n"
	"kinward consent list and, until all have, in kinward todo. An agency that is offline, or gone for a while, is asked\n"
	"when it comes back. Offers of the case to a service end, and nobody gets the referral.\n"
	"Copies in your own case system, and backups, are yours to erase.\n"
	"A pseudonym of ours names our case; what another agency calls alike may be another child's, and is named, not asked.\n\n"
	"A case ends with --purpose share_other_orgs (the default), a referral or a transfer with services, a tracing case or a\n"
	"match with tracing. Any other purpose restricts: the case goes on, and is not used for that by anybody who holds it\n"
	"(kinward case show says so). --erase ends and erases whatever the purpose, --restrict erases nothing.\n\n"
	"  kinward consent withdraw --case-ref R-2041 --from caregiver\n"
	"  kinward consent withdraw --case 4711                        the id in your own case system\n"
	"  kinward consent withdraw --from-thread 77ab...41            all threads of the case of this one\n"
	"  kinward consent withdraw --thread 77ab...41 --purpose public_photo,reporting\n";

static const char REFER_DETAILS[] =
	"Looks for agencies that offer the service there and shows what speaks for and against each: FULL, STALE, not for this\n"
	"age. One candidate gets the referral. Several are asked who would take it, without a word about the child; the referral\n"
	"lies here, sealed, and goes to the first to claim alone. What nobody claims goes to the coordinator and stands first in\n"
	"kinward todo.\n\n"
	"  kinward refer --service shelter --at SS0101 --risk high --case-ref A-17 --code A-17 --age 9 --sex female \\\n"
	"      --reason \"Alone since Monday\" --referrer \"Jo Bol\" --consent-from caregiver --dry-run\n"
	"  kinward refer --at SS0101 --referral referral.json --pick manual --claim-by 4h\n"
	"  kinward refer --at SS0101 --referral referral.json --direct agency-b\n";

static const char IMPORT_DETAILS[] =
	"Reads CSV (also with ; or tabs, as spreadsheets write it) or cases as Primero exports them in JSON. A row that breaks\n"
	"a rule is named with its line and column, and the others go on. Running it twice stores nothing twice.\n\n"
	"  kinward import cases.csv --as-of 2025-03-01\n"
	"  kinward import primero.json --dry-run\n"
	"  kinward import referrals.csv --as referral --to agency-b\n"
	"  kinward import cases.csv --default consent_source=caregiver,care_arrangement=kinship\n"
	"  kinward import --columns                                  which columns are known\n\n"
	"Any other message comes from a CSV file with the columns of kinward template, whole or not at all: every fault is\n"
	"named with its row and column, the first 100 of them, and nothing is sent unless every row is good. A message's id\n"
	"comes from its content, agency, thread and #group, so after a cut the same command sends only what is missing; to send\n"
	"the same content again, give it another #group. At most 100,000 rows, 2,048 columns, 8,192 bytes a cell, 64 MiB.\n\n"
	"  kinward import week.csv --as SeparationReport --to coordination\n"
	"  kinward import week.csv --as SeparationReport --dry-run   check it; with --json also print the messages\n";

static const char TEMPLATE_DETAILS[] =
	"The first row names the columns, the second says what to write into each; rows that begin with # are left out when the\n"
	"file is imported. One row is one message, and name.parts[1], name.parts[2] and so on are its parts, as many as needed.\n"
	"A column with [] is a list with one part a row: rows with the same word in #group form one message.\n\n"
	"  kinward template --list                                   which messages there are\n"
	"  kinward template SeparationReport > week.csv\n"
	"  kinward template ReferralRequest --rows children --excel --separator ';' > referrals.csv\n"
	"  kinward template ReferralRequest --list                   read what each column means\n"
	"  kinward template ReferralRequest --fill referral.json     a message as rows; cells that a spreadsheet would run as\n"
	"                                                            a formula begin with ', which kinward import takes off\n";

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

static const char CANDIDATES_DETAILS[] =
	"Reads the SeparationReports in the inbox and flags pairs of cases of one village, sex and cause, with ages within two\n"
	"years and reports within four weeks. What one of them does not say counts as no difference. A person decides.\n\n"
	"  kinward surveillance candidates --since 2026-W40\n";

static const char COMPLETENESS_DETAILS[] =
	"Reads the SeparationReports in the inbox and says for each week how many of the expected reports came, how many of these said\n"
	"that there was no case, and which are missing. A site is a focal point in a village. Of several reports of a site and week\n"
	"the last counts. Without --sites a report is expected from every site that ever sent one, from its first week on.\n\n"
	"FILE is CSV with the columns village_pcode, focal_point_code and, where known, children (how many live there): then all\n"
	"its sites are expected in every week, and new verified cases are told for 10000 children in a reported week.\n\n"
	"  kinward surveillance completeness --since 2026-W40\n"
	"  kinward surveillance completeness --sites sites.csv --since 2026-W40 --until 2026-W47\n";

static const char INDICATORS_DETAILS[] =
	"Counts what became of our own referrals and reunifications in a week that is over, and the care arrangements of our\n"
	"registrations, hides what could lead to a child, and keeps the result: asked again, it tells the same.\n\n"
	"The area is the P-code of level 1. A place that says level 1 is taken as it is; of any other P-code the two letters of\n"
	"the country and the first 2 digits are taken, or as many as --admin1-digits says; without them, the country.\n\n"
	"  kinward indicators --week 2026-W47\n"
	"  kinward indicators --week 2026-W47 --send coordination      also a second time: nothing is sent twice\n";

static const char SUPERVISION_DETAILS[] =
	"Counts the open referrals and transfers by risk, and those that are late on our side, as they are now; the other numbers\n"
	"are for you to give. A case in several of them with one agency counts once, with its highest risk. Look first, then send.\n\n"
	"  kinward supervision --month 2026-11 --caseworkers 12 --supervisors 2 --sessions-planned 24 --sessions-held 21\n"
	"  kinward supervision --month 2026-11 ... --send coordination\n";

static const char AGENT_INIT_DETAILS[] =
	"Makes this agency's keys and enrols it with the single-use code from the hub's operator. Writes the state directory\n"
	"with keys, certificates and agent.yaml, and prints the agency's identity fingerprint: the operator sees\n"
	"the same with kinward hub list.\n\n"
	"  kinward agent init KW1-... --passphrase-file /etc/kinward/passphrase\n"
	"  kinward-agent " CLI_AGENT_FOLDER "/agent.yaml\n\n"
	"Without --passphrase-file the passphrase of the key file comes from $" KEYS_PASSPHRASE_ENV ", else it is asked.\n";

static const char HUB_INIT_DETAILS[] =
	"Makes root, issuer and server keys, the signed roles with an empty directory, and broker.yaml in one folder. The address\n"
	"goes into every code: it is what agencies dial. With several root keys no single person can put other keys in charge.\n\n"
	"  kinward hub init --name ke-hub --address hub.example.org:7443\n"
	"  kinward-broker " CLI_HUB_FOLDER "/broker.yaml\n"
	"  kinward hub init --name ke-hub --address hub.example.org:7443 --root-keys 3 --root-threshold 2\n"
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

static const char HUB_TIME_DETAILS[] =
	"Clocks run on hub time, which does not follow a jump of the machine's clock. Once that clock was wrong at a start, hub time is\n"
	"wrong too, and follows the right one by a tenth only; until then nothing expires early. When the log says clock_jumped and\n"
	"this machine's clock is right, this ends it. The broker need not be restarted.\n\n"
	"  kinward hub time --reset\n";

static const char HUB_REVOKE_DETAILS[] =
	"For an agency that is gone, or whose machine or keys are in wrong hands. It cannot be undone under the same name.\n\n"
	"  kinward hub revoke agency-a --dry-run           who will see what; changes nothing\n"
	"  kinward hub revoke agency-a\n";

static const char HUB_ROTATE_DETAILS[] =
	"ROLE is registrar (signs the directory), snapshot, timestamp (sign which one is the present one), log (signs the audit log's\n"
	"checkpoints) or root (vouches for the others). Takes so many root keys as the root asks for: bring them back for it. The\n"
	"broker goes on meanwhile. A root lasts two years; rotating anything renews it.\n\n"
	"  kinward hub rotate timestamp --dry-run\n"
	"  kinward hub rotate timestamp --root-folder /media/key\n"
	"  kinward hub rotate root --root-keys 3 --root-threshold 2\n";

static const char HUB_UPGRADE_DETAILS[] =
	"Takes over the directory of a hub that was made before there were root-keys and roots in its folder. Stop the broker first.\n"
	"Agencies need do nothing.\n\n"
	"  kinward hub upgrade --root-key /media/key/root.key\n";

static const char TRACING_DETAILS[] =
	"A tracing case begins with a TracingRequest (kinward send AGENCY --content request.json). The agency that sent it leads:\n"
	"it says tracing, verifying, verified, not_verified, reunification_planned, reunified, follow_up, closed, suspended,\n"
	"invalid, reopened. The other one says family_located. Reunified is not closed: a follow-up comes first.\n\n"
	"  kinward tracing event 77ab...41 tracing --action community --outcome unsuccessful\n"
	"  kinward tracing event 77ab...41 family_located --located inter_camp\n"
	"  kinward tracing event 77ab...41 closed --reason followed_up\n";

static const char MATCH_PROPOSE_DETAILS[] =
	"Tells the other holder that a record of theirs and one of ours may belong together, and how each field compares; no value of\n"
	"either goes along. It is a match from then on: each holder looks at it (kinward match review), then confirms or rejects, and\n"
	"one that both confirm is linked. kinward case list --kind match shows them. A duplicate and a family are never merged.\n\n"
	"  kinward match propose agency-b --kind family_tracing --our 5f2c...09 --their 77ab...41 --band probable \\\n"
	"    --agree sex,mother_name --near name,age --missing birthplace\n";

const struct cli_group CLI_GROUPS[] = {
	{"hub", "set up a hub, enrol agencies and keep its keys, on the hub's machine",
		"  kinward hub init --name ke-hub --address hub.example.org:7443\n"
		"  kinward hub add agency-a\n"
		"  kinward hub list\n"
		"  kinward hub time --reset\n"
		"  kinward hub revoke agency-a --dry-run\n"
		"  kinward hub rotate timestamp --dry-run\n"
		"  kinward hub renew --dry-run\n"},
	{"consent", "withdraw consent to share, and see that every holder has erased",
		"  kinward consent withdraw --case-ref R-2041\n"
		"  kinward consent list                            who has answered, and who has not\n"
		"  kinward consent erase 77ab...41                 a holder's answer, where agent.yaml says erase: manual\n"
		"  kinward consent retain 77ab...41 --ground court_order\n"
		"  kinward consent confirm 77ab...41               our own case system is clear of it as well\n"},
	{"surveillance", "what the weekly separation reports say, and who has not reported",
		"  kinward surveillance completeness --sites sites.csv\n  kinward surveillance candidates --since 2026-W40\n"},
	{"tracing", "search for a family, and bring it together", "  kinward tracing event 77ab...41 verifying\n"},
	{"match", "two records that may belong together: look, confirm or reject",
		"  kinward match propose agency-b --kind duplicate --our 5f2c...09 --their 77ab...41 --band strong --agree name,sex\n"
		"  kinward match review 0c91...d2 --needed siblings --decider \"Jo Bol\"\n"
		"  kinward match confirm 0c91...d2 --ground family --decider \"Jo Bol\"\n"
		"  kinward match unlink 0c91...d2 --ground document --decider \"Jo Bol\"\n"},
	{"transfer", "move a case to another agency, which then owns it",
		"  kinward transfer offer agency-b --summary case.json ...     the owner\n"
		"  kinward transfer request agency-a --case-ref K-17 ...       the would-be owner\n"
		"  kinward transfer accept 77ab...41 --caseworker \"Peter Wani\"\n"
		"  kinward transfer reject 77ab...41 --refusal no_capacity\n"
		"  kinward transfer withdraw 77ab...41                         unless it was accepted\n"
		"  kinward transfer confirm 77ab...41 --meeting 2025-03-01T14:00+03:00\n"
		"  kinward transfer complete 77ab...41                         the former owner closes its file\n"},
	{"capacity", "ask whether there is a place, and answer",
		"  kinward capacity ask agency-b --service shelter --at SS0101\n"
		"  kinward capacity answer 5f2c...09 --capacity none\n"},
	{"proof", "show others that a message was sent, and who confirmed it",
		"  kinward proof show 5f2c...09 --out evidence.bin\n  kinward proof verify evidence.bin --root 9a41...c7\n"},
	{"agent", "an agency's agent and its keys, on the agency's machine",
		"  kinward agent init KW1-...\n"
		"  kinward agent rotate tls --dry-run\n"
		"  kinward agent passphrase\n"},
	{NULL, NULL, NULL},
};

const struct cli_command CLI_COMMANDS[] = {
	{.name = "send", .args = "AGENCY", .summary = "Send a referral, or any message, to another agency",
		.details = SEND_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_SEND_OPTIONS, .run = cli_run_send},
	{.name = "inbox", .args = "", .summary = "List what has come and is not acknowledged",
		.details = "  kinward inbox\n  kinward inbox --all --after 120\n", .options = CLI_LIST_OPTIONS, .run = cli_run_inbox},
	{.name = "outbox", .args = "", .summary = "List what was sent and how far it is",
		.details = "queued: only here; held: at the hub; delivered, opened: at the recipient; dead: will not arrive, or nobody knows.\n\n"
			   "  kinward outbox\n", .options = CLI_LIST_OPTIONS, .run = cli_run_outbox},
	{.name = "show", .args = "MESSAGE", .summary = "Show one message with its content",
		.details = "  kinward show 5f2c...09\n", .args_min = 1, .args_max = 1, .run = cli_run_show},
	{.name = "ack", .args = "MESSAGE...", .summary = "Take messages off the list of new ones, or of dead letters",
		.details = "This tells nobody else; kinward event does. An id that the agent has not is named, and the exit code is 4.\n\n  kinward ack 5f2c...09 77ab...41\n", .args_min = 1,
		.args_max = CLI_ACK_MAX, .run = cli_run_ack},
	{.name = "event", .args = "MESSAGE|THREAD STATE", .summary = "Answer: tell the other agency a referral's new state",
		.details = EVENT_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_EVENT_OPTIONS, .run = cli_run_event},
	{.name = "case", .args = "list|show|timeline [THREAD]", .summary = "Cases: their state, whose move it is, what was said",
		.details = CASE_DETAILS, .args_min = 1, .args_max = 2, .options = CLI_CASE_OPTIONS, .run = cli_run_case},
	{.name = "todo", .args = "", .summary = "What waits for us, the most overdue first", .details = TODO_DETAILS,
		.options = CLI_TODO_OPTIONS, .run = cli_run_todo},
	{.name = "refer", .args = "", .summary = "Refer to whoever offers a service where it is needed", .details = REFER_DETAILS,
		.options = CLI_REFER_OPTIONS, .run = cli_run_refer},
	{.name = "claims", .args = "[OFFER]", .summary = "Offers of ours, and who would take them",
		.details = "  kinward claims\n  kinward claims --all\n", .args_max = 1, .options = CLI_CLAIMS_OPTIONS, .run = cli_run_claims},
	{.name = "lease", .args = "THREAD|OFFER", .summary = "Choose the agency that gets the referral, or take the offer back",
		.details = "  kinward lease 77ab...41               the thread that kinward claims prints before the agency\n"
			   "  kinward lease 5f2c...09 --withdraw    the offer\n", .args_min = 1, .args_max = 1,
		.options = CLI_LEASE_OPTIONS, .run = cli_run_lease},
	{.name = "claim", .args = "THREAD", .summary = "Say that we would take what was offered to us",
		.details = "  kinward claim 77ab...41 --contact \"Sara Lado\"\n", .args_min = 1, .args_max = 1,
		.options = CLI_CLAIM_OPTIONS, .run = cli_run_claim},
	{.name = "decline", .args = "THREAD", .summary = "Say that we would not take it, or give it back",
		.details = "  kinward decline 77ab...41 --reason no_capacity\n", .args_min = 1, .args_max = 1,
		.options = CLI_DECLINE_OPTIONS, .run = cli_run_decline},
	{.name = "services publish", .args = "FILE.json|FILE.csv", .summary = "Tell other agencies what we offer",
		.details = "Replaces what we said before. kinward template service_directory prints a CSV file to fill in.\n\n"
			   "  kinward services publish services.json\n  kinward services publish services.csv --to agency-b,agency-c\n",
		.args_min = 1, .args_max = 1, .options = CLI_PUBLISH_OPTIONS, .run = cli_run_publish},
	{.name = "services", .args = "", .summary = "Who offers what, where, and whether there is a place",
		.details = "Those to try first stand in front. FULL: no place. STALE: nobody has assured it for 90 days, or its time is over.\n\n"
			   "  kinward services --service shelter --at SS0101 --age 9 --language apd\n",
		.options = CLI_SERVICES_OPTIONS, .run = cli_run_services},
	{.name = "capacity ask", .args = "AGENCY...", .summary = "Ask agencies whether they have a place; says nothing about a person",
		.details = "  kinward capacity ask agency-b agency-c --service shelter --at SS0101\n", .args_min = 1, .args_max = 100,
		.options = CLI_CAPACITY_ASK_OPTIONS, .run = cli_run_capacity_ask},
	{.name = "capacity answer", .args = "MESSAGE", .summary = "Answer such a question",
		.details = "With capacity_auto in agent.yaml the agent answers by itself from what we published.\n\n"
			   "  kinward capacity answer 5f2c...09 --capacity waitlist --wait-days 5\n", .args_min = 1, .args_max = 1,
		.options = CLI_CAPACITY_ANSWER_OPTIONS, .run = cli_run_capacity_answer},
	{.name = "consent withdraw", .args = "", .summary = "Withdraw consent: every holder erases the case, or restricts it",
		.details = CONSENT_WITHDRAW_DETAILS, .options = CLI_CONSENT_WITHDRAW_OPTIONS, .run = cli_run_consent_withdraw},
	{.name = "consent list", .args = "", .summary = "Who was asked to erase what, and what came of it",
		.details = "Those without an answer come first.\n\n  kinward consent list --open\n  kinward consent list --case-ref R-2041\n",
		.options = CLI_CONSENT_LIST_OPTIONS, .run = cli_run_consent_list},
	{.name = "consent erase", .args = "THREAD", .summary = "Erase what another agency asks us to, and tell it",
		.details = "  kinward consent erase 77ab...41\n", .args_min = 1, .args_max = 1, .run = cli_run_consent_erase},
	{.name = "consent confirm", .args = "THREAD", .summary = "Say that your own case system is clear of what was withdrawn",
		.details = "kinward todo names the case first, until this is said. With erase: confirmed in agent.yaml the other agency is\n"
			   "told only then; otherwise it was told when the agent's own copy was destroyed.\n\n"
			   "  kinward consent confirm 77ab...41\n", .args_min = 1, .args_max = 1, .run = cli_run_consent_confirm},
	{.name = "consent retain", .args = "THREAD", .summary = "Keep what another agency asks us to erase, by a law",
		.details = "It can still be erased later with kinward consent erase.\n\n"
			   "  kinward consent retain 77ab...41 --ground investigation --until 2026-12-31T00:00Z\n", .args_min = 1, .args_max = 1,
		.options = CLI_CONSENT_RETAIN_OPTIONS, .run = cli_run_consent_retain},
	{.name = "transfer offer", .args = "AGENCY", .summary = "Offer a case to the agency that shall own it",
		.details = TRANSFER_OFFER_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_TRANSFER_OFFER_OPTIONS,
		.run = cli_run_transfer_offer},
	{.name = "transfer request", .args = "AGENCY", .summary = "Ask the owner for a case",
		.details = "  kinward transfer request agency-a --case-ref K-17 --reason request --risk low --caseworker \"Peter Wani\"\n",
		.args_min = 1, .args_max = 1, .options = CLI_TRANSFER_REQUEST_OPTIONS, .run = cli_run_transfer_request},
	{.name = "transfer acknowledge", .args = "THREAD", .summary = "Say that a person has seen the offer",
		.details = "  kinward transfer acknowledge 77ab...41\n", .args_min = 1, .args_max = 1,
		.options = CLI_TRANSFER_SIMPLE_OPTIONS, .run = cli_run_transfer_acknowledge},
	{.name = "transfer accept", .args = "THREAD", .summary = "Take the case: from now on it is ours",
		.details = "  kinward transfer accept 77ab...41 --caseworker \"Peter Wani\" --new-case-ref J-3\n", .args_min = 1, .args_max = 1,
		.options = CLI_TRANSFER_ACCEPT_OPTIONS, .run = cli_run_transfer_accept},
	{.name = "transfer reject", .args = "THREAD", .summary = "Do not take the case, or do not give it when asked for it",
		.details = "  kinward transfer reject 77ab...41 --refusal no_capacity\n", .args_min = 1, .args_max = 1,
		.options = CLI_TRANSFER_REJECT_OPTIONS, .run = cli_run_transfer_reject},
	{.name = "transfer withdraw", .args = "THREAD", .summary = "Take an offer or a request back",
		.details = "An offer is back when the other agent says WITHDRAWN, which it does by itself unless the case was accepted.\n\n"
			   "  kinward transfer withdraw 77ab...41\n", .args_min = 1, .args_max = 1,
		.options = CLI_TRANSFER_SIMPLE_OPTIONS, .run = cli_run_transfer_withdraw},
	{.name = "transfer confirm", .args = "THREAD", .summary = "Say that the handover is done",
		.details = "  kinward transfer confirm 77ab...41 --meeting 2025-03-01T14:00+03:00 --place \"Clinic 2\"\n", .args_min = 1,
		.args_max = 1, .options = CLI_TRANSFER_CONFIRM_OPTIONS, .run = cli_run_transfer_confirm},
	{.name = "transfer complete", .args = "THREAD", .summary = "Say that our file of a case that was ours is closed",
		.details = "  kinward transfer complete 77ab...41\n", .args_min = 1, .args_max = 1,
		.options = CLI_TRANSFER_SIMPLE_OPTIONS, .run = cli_run_transfer_complete},
	{.name = "tracing event", .args = "THREAD STATE", .summary = "Say how the search for a family stands",
		.details = TRACING_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_TRACING_EVENT_OPTIONS,
		.run = cli_run_tracing_event},
	{.name = "match propose", .args = "AGENCY", .summary = "Tell another agency that two records may belong together",
		.details = MATCH_PROPOSE_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_MATCH_PROPOSE_OPTIONS,
		.run = cli_run_match_propose},
	{.name = "match review", .args = "THREAD", .summary = "Say that we look at a match, and what must be known first",
		.details = "  kinward match review 0c91...d2 --needed siblings,birthplace --decider \"Jo Bol\"\n", .args_min = 1,
		.args_max = 1, .options = CLI_MATCH_DECIDE_OPTIONS, .run = cli_run_match_review},
	{.name = "match confirm", .args = "THREAD", .summary = "Say that two records do belong together",
		.details = "Both holders have to; a name alone never links two people.\n\n"
			   "  kinward match confirm 0c91...d2 --ground family --decider \"Jo Bol\"\n", .args_min = 1, .args_max = 1,
		.options = CLI_MATCH_DECIDE_OPTIONS, .run = cli_run_match_confirm},
	{.name = "match reject", .args = "THREAD", .summary = "Say that they do not; one holder is enough",
		.details = "  kinward match reject 0c91...d2 --ground age --decider \"Jo Bol\"\n", .args_min = 1, .args_max = 1,
		.options = CLI_MATCH_DECIDE_OPTIONS, .run = cli_run_match_reject},
	{.name = "match unlink", .args = "THREAD", .summary = "Undo a link: it was a mistake",
		.details = "  kinward match unlink 0c91...d2 --ground document --decider \"Jo Bol\"\n", .args_min = 1, .args_max = 1,
		.options = CLI_MATCH_DECIDE_OPTIONS, .run = cli_run_match_unlink},
	{.name = "watch", .args = "", .summary = "Print each new message as it comes",
		.details = "Those not acknowledged come first; one that is never acknowledged comes again each time.\n\n"
			   "  kinward watch --json | your-program\n", .options = CLI_WATCH_OPTIONS, .run = cli_run_watch},
	{.name = "template", .args = "MESSAGE", .summary = "Print a CSV file to fill in for any message",
		.details = TEMPLATE_DETAILS, .args_min = 0, .args_max = 1, .options = CLI_TEMPLATE_OPTIONS,
		.run = cli_run_template},
	{.name = "import", .args = "FILE", .summary = "Import any message from CSV, or registrations from Primero's JSON",
		.details = IMPORT_DETAILS, .args_min = 0, .args_max = 1, .options = CLI_IMPORT_OPTIONS, .run = cli_run_import},
	{.name = "validate", .args = "FILE|FOLDER...", .summary = "Check messages in JSON files, without an agent",
		.details = VALIDATE_DETAILS, .args_min = 1, .args_max = CLI_FILES_MAX, .options = CLI_VALIDATE_OPTIONS,
		.run = cli_run_validate},
	{.name = "attach", .args = "AGENCY FILE", .summary = "Seal a photo or document for an agency",
		.details = ATTACH_DETAILS, .args_min = 2, .args_max = 2, .options = CLI_ATTACH_OPTIONS, .run = cli_run_attach},
	{.name = "attachment", .args = "get|remove DIGEST", .summary = "Open an attachment that has come, or remove one here", .details = ATTACHMENT_DETAILS,
		.args_min = 2, .args_max = 2, .options = CLI_ATTACHMENT_OPTIONS, .run = cli_run_attachment},
	{.name = "attachments", .args = "", .summary = "List attachments, sent and received, and how far each is",
		.details = "  kinward attachments\n", .run = cli_run_attachments},
	{.name = "dead-letters", .args = "", .summary = "List what will not arrive, and why",
		.details = "Each stays on the list until it is acknowledged. Call the other agency, or send again.\n\n"
			   "  kinward dead-letters\n  kinward ack 5f2c...09\n", .options = CLI_LIST_OPTIONS,
		.run = cli_run_dead_letters},
	{.name = "proof show", .args = "MESSAGE", .summary = "Evidence that we sent a message, and of who confirmed it",
		.details = PROOF_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_PROOF_SHOW_OPTIONS, .run = cli_run_proof_show},
	{.name = "proof verify", .args = "FILE", .summary = "Check such evidence offline, with the root fingerprint alone",
		.details = PROOF_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_PROOF_VERIFY_OPTIONS,
		.run = cli_run_proof_verify, .local = true},
	{.name = "assess", .args = "choose", .summary = "Which assessment to make of separation and protection, and why",
		.details = ASSESS_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_ASSESS_OPTIONS, .run = cli_run_assess},
	{.name = "surveillance candidates", .args = "", .summary = "Weekly separation reports: which cases may be one child",
		.details = CANDIDATES_DETAILS, .options = CLI_CANDIDATES_OPTIONS, .run = cli_run_candidates},
	{.name = "surveillance completeness", .args = "", .summary = "Weekly separation reports: which have come, and which are missing",
		.details = COMPLETENESS_DETAILS, .options = CLI_COMPLETENESS_OPTIONS, .run = cli_run_completeness},
	{.name = "indicators", .args = "", .summary = "Our week in numbers for coordination, suppressed here",
		.details = INDICATORS_DETAILS, .options = CLI_INDICATORS_OPTIONS, .run = cli_run_indicators},
	{.name = "supervision", .args = "", .summary = "Our month of supervision for coordination",
		.details = SUPERVISION_DETAILS, .options = CLI_SUPERVISION_OPTIONS, .run = cli_run_supervision},
	{.name = "status", .args = "", .summary = "Is the agent online, and what is it doing",
		.details = "Exit code 5: the hub's directory had another key under this agency's own name.\n\n  kinward status\n"
				   "  kinward status --json\n", .run = cli_run_status},
	{.name = "keys", .args = "", .summary = "Our fingerprints, and the agencies we can send to",
		.details = "Compare fingerprints by telephone before the first case goes to a new agency.\n\n  kinward keys\n",
		.run = cli_run_keys},
	{.name = "agent init", .args = "CODE", .summary = "Set up an agent with its hub's code", .details = AGENT_INIT_DETAILS,
		.args_min = 1, .args_max = 1, .options = CLI_AGENT_INIT_OPTIONS, .run = cli_run_agent_init, .local = true},
	{.name = "agent rotate", .args = "KEY", .summary = "Replace a key of this agency", .details = CLI_AGENT_ROTATE_DETAILS,
		.args_min = 1, .args_max = 1, .options = CLI_AGENT_ROTATE_OPTIONS, .run = cli_run_agent_rotate, .local = true},
	{.name = "agent passphrase", .args = "", .summary = "Put the key file under another passphrase",
		.details = CLI_AGENT_PASSPHRASE_DETAILS, .options = CLI_AGENT_PASSPHRASE_OPTIONS, .run = cli_run_agent_passphrase, .local = true},
	{.name = "hub init", .args = "", .summary = "Make a hub's keys, directory and settings", .details = HUB_INIT_DETAILS,
		.options = CLI_HUB_INIT_OPTIONS, .run = cli_run_hub_init, .local = true},
	{.name = "hub add", .args = "AGENCY", .summary = "Make a code with which one agency can enrol, once",
		.details = HUB_ADD_DETAILS, .args_min = 1, .args_max = 1, .options = CLI_HUB_ADD_OPTIONS, .run = cli_run_hub_add,
		.local = true},
	{.name = "hub list", .args = "", .summary = "List the agencies of a hub with their fingerprints",
		.details = HUB_LIST_DETAILS, .options = CLI_HUB_LIST_OPTIONS, .run = cli_run_hub_list, .local = true},
	{.name = "hub time", .args = "", .summary = "Set hub time to this machine's clock, after a wrong one",
		.details = HUB_TIME_DETAILS, .options = CLI_HUB_TIME_OPTIONS, .run = cli_run_hub_time, .local = true},
	{.name = "hub revoke", .args = "AGENCY", .summary = "Shut an agency out", .details = HUB_REVOKE_DETAILS, .args_min = 1,
		.args_max = 1, .options = CLI_HUB_REVOKE_OPTIONS, .run = cli_run_hub_revoke, .local = true},
	{.name = "hub rotate", .args = "ROLE", .summary = "Replace a key of the hub, or the root keys", .details = HUB_ROTATE_DETAILS,
		.args_min = 1, .args_max = 1, .options = CLI_HUB_ROTATE_OPTIONS, .run = cli_run_hub_rotate, .local = true},
	{.name = "hub renew", .args = "", .summary = "Renew the certificate of the hub's authority", .details = CLI_HUB_RENEW_DETAILS,
		.options = CLI_HUB_RENEW_OPTIONS, .run = cli_run_hub_renew, .local = true},
	{.name = "hub upgrade", .args = "", .summary = "Bring the folder of an older version up to date", .details = HUB_UPGRADE_DETAILS,
		.options = CLI_HUB_UPGRADE_OPTIONS, .run = cli_run_hub_upgrade, .local = true},
	{.name = "version", .args = "", .summary = "Print the version", .details = "  kinward version\n", .run = run_version,
		.local = true},
	{.name = "help", .args = "[COMMAND]", .summary = "Explain a command", .details = "  kinward help send\n  kinward help hub add\n",
		.args_max = 2, .run = run_help, .local = true},
	{.name = NULL},
};
