#include "tests/kit/fake_agent.h"

/* The command line against a fake agent that answers each request by its kind and keeps the last SEND. */

struct fake {
	struct fake_agent at; /* first: the kit gives it back */
	char sent[8192];     /* the last SEND as JSON */
	unsigned registered; /* REGISTER requests */
	bool refuse;         /* answer SEND with a refusal that may be retried */
	bool acked_before;   /* nothing is left to acknowledge */
	bool illegal;        /* answer SEND with a refusal of the thread */
	char asked[512];     /* the last question about cases as JSON */
	bool no_cases;
};

static uint8_t ID[KW_ID_SIZE] = {0x5f, 0x2c, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 9};
static uint8_t THREAD_ID[KW_ID_SIZE] = {0x77, 0xab, 3};
#define ID_HEX "5f2c030405060708090a0b0c0d0e0f09"
#define THREAD_HEX "77ab0300000000000000000000000000"

/* The referral that lies in the inbox; its reason would clear a screen and turn the text around. */
static void fill_item(Kinward__V1__Item *item, Kinward__V1__Content *content, Kinward__V1__ReferralRequest *referral)
{
	kinward__v1__referral_request__init(referral);
	referral->reason = text("calm\x1b[2J\x07 \xc2\x9b""31m \xe2\x80\xaetxt");
	referral->risk = KINWARD__V1__RISK__RISK_HIGH;
	kinward__v1__content__init(content);
	content->body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
	content->referral_request = referral;
	kinward__v1__item__init(item);
	item->number = 7;
	item->agency = text("agency-b");
	item->at_unix_ms = 1740837909000;
	item->message_id = (ProtobufCBinaryData){KW_ID_SIZE, ID};
	item->thread_id = (ProtobufCBinaryData){KW_ID_SIZE, THREAD_ID};
	item->content = content;
}

static void keep(struct fake *fake, const Kinward__V1__SendRequest *send)
{
	json_t *tree = NULL;
	struct json_fault fault;
	if (json_map_write(&send->base, &tree, &fault) != KW_OK)
		return;
	char *dump = json_dumps(tree, JSON_COMPACT);
	snprintf(fake->sent, sizeof(fake->sent), "%s", dump);
	free(dump);
	json_decref(tree);
}

static uint8_t POSITION[KW_ID_SIZE] = {[15] = 7};

static void fill_case(Kinward__V1__CaseRow *row)
{
	kinward__v1__case_row__init(row);
	row->thread_id = (ProtobufCBinaryData){KW_ID_SIZE, THREAD_ID};
	row->kind = KINWARD__V1__THREAD_KIND__THREAD_KIND_REFERRAL;
	row->party = KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER;
	row->agency = text("agency-b");
	row->state = 6;
	row->state_name = text("ACCEPTED");
	row->risk = KINWARD__V1__RISK__RISK_HIGH;
	row->case_ref = text("K-1\x1b[2J");
	row->service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_SHELTER;
	row->since_unix_ms = 1740837909000;
	row->due_unix_ms = 1740924309000;
	row->late_ms = 97200000; /* 1 d 3 h */
	row->clock = KINWARD__V1__THREAD_CLOCK__THREAD_CLOCK_SERVICE;
	row->waits_for_us = 1;
	row->open = 1;
	row->reminded = 100;
}

static void fill_events(Kinward__V1__CaseEvent *events)
{
	static const struct {
		Kinward__V1__ThreadParty author;
		const char *state;
		Kinward__V1__EventVerdict verdict;
		Kinward__V1__OutState out;
	} ROWS[4] = {
		{KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER, "QUEUED", KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_APPLIED,
			KINWARD__V1__OUT_STATE__OUT_STATE_OPENED},
		{KINWARD__V1__THREAD_PARTY__THREAD_PARTY_HUB, "EXPIRED", KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REFUSED, 0},
		{KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OTHER, "ACCEPTED", KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REPEATED, 0},
		{KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OTHER, "NO_SHOW", KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_EARLY, 0},
	};
	for (int i = 0; i < 4; i++) {
		kinward__v1__case_event__init(&events[i]);
		events[i].at_unix_ms = 1740837909000;
		events[i].author = ROWS[i].author;
		events[i].state_name = text(ROWS[i].state);
		events[i].verdict = ROWS[i].verdict;
		events[i].out_state = ROWS[i].out;
		if (i != 1)
			events[i].message_id = (ProtobufCBinaryData){KW_ID_SIZE, ID};
	}
}

static void keep_question(struct fake *fake, const ProtobufCMessage *question)
{
	json_t *tree = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_write(question, &tree, &fault), KW_OK);
	char *dump = json_dumps(tree, JSON_COMPACT);
	snprintf(fake->asked, sizeof(fake->asked), "%s", dump);
	free(dump);
	json_decref(tree);
}

/* Parts of a reply about cases; they live as long as the reply. */
struct case_parts {
	Kinward__V1__CaseRow row, *rows[1];
	Kinward__V1__CaseEvent events[4], *list[4];
	Kinward__V1__CaseList cases;
	Kinward__V1__CaseDetail detail;
};

/* True when the request was about cases. */
static bool answer_case(struct fake *fake, const Kinward__V1__LocalRequest *request, Kinward__V1__LocalReply *reply,
	struct case_parts *parts)
{
	fill_case(&parts->row);
	fill_events(parts->events);
	parts->rows[0] = &parts->row;
	for (int i = 0; i < 4; i++)
		parts->list[i] = &parts->events[i];
	kinward__v1__case_list__init(&parts->cases);
	kinward__v1__case_detail__init(&parts->detail);
	parts->cases.n_cases = fake->no_cases ? 0 : 1;
	parts->cases.cases = parts->rows;
	if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_CASES) {
		keep_question(fake, &request->cases->base);
		if (!fake->no_cases)
			parts->cases.next_after = (ProtobufCBinaryData){KW_ID_SIZE, POSITION};
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_TODO) {
		keep_question(fake, &request->todo->base);
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW &&
		memcmp(request->case_show->thread_id.data, THREAD_ID, KW_ID_SIZE) == 0) {
		parts->detail.row = &parts->row;
		parts->detail.n_events = 4;
		parts->detail.events = parts->list;
		reply->body_case = KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL;
		reply->case_detail = &parts->detail;
		return true;
	} else {
		return false;
	}
	reply->body_case = KINWARD__V1__LOCAL_REPLY__BODY_CASES;
	reply->cases = &parts->cases;
	return true;
}

static void answer(struct fake_agent *agent, const Kinward__V1__LocalRequest *request, struct kw_buf *out)
{
	struct fake *fake = (struct fake *)agent;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__LocalError error = KINWARD__V1__LOCAL_ERROR__INIT;
	Kinward__V1__SendReply sent = KINWARD__V1__SEND_REPLY__INIT;
	Kinward__V1__RegisterReply registered = KINWARD__V1__REGISTER_REPLY__INIT;
	Kinward__V1__StatusReply status = KINWARD__V1__STATUS_REPLY__INIT;
	Kinward__V1__ItemList list = KINWARD__V1__ITEM_LIST__INIT;
	Kinward__V1__AckReply acked = KINWARD__V1__ACK_REPLY__INIT;
	Kinward__V1__Item item, *items[1] = {&item};
	Kinward__V1__Content content;
	Kinward__V1__ReferralRequest referral;
	fill_item(&item, &content, &referral);
	reply.id = request->id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ERROR;
	reply.error = &error;
	error.code = text("not_found");
	error.text = text("No such item; check the id.");
	struct case_parts parts;
	if (answer_case(fake, request, &reply, &parts)) {
		/* done */
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_SEND && fake->illegal) {
		error.code = text("illegal_state");
		error.field = text("send.content.referral_event.state");
		error.text = text("The referral is CLOSED; nothing follows.");
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_SEND && fake->refuse) {
		error.code = text("queue_full");
		error.retryable = 1;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_SEND) {
		keep(fake, request->send);
		sent.message_id = request->send->content->message_id;
		sent.thread_id = (ProtobufCBinaryData){KW_ID_SIZE, THREAD_ID};
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_SENT;
		reply.sent = &sent;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER) {
		registered.repeated_request = fake->registered++ > 0;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_REGISTERED;
		reply.registered = &registered;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_STATUS) {
		status.agency = text("agency-a");
		status.hub = text("hub-ke");
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_STATUS;
		reply.status = &status;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_INBOX) {
		list.n_items = 1;
		list.items = items;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEMS;
		reply.items = &list;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_OUTBOX) {
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEMS;
		reply.items = &list;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_ACK) {
		acked.count = fake->acked_before ? 0 : (uint32_t)request->ack->n_message_ids;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ACKED;
		reply.acked = &acked;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_SUBSCRIBE ||
		(request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_SHOW &&
			memcmp(request->show->message_id.data, ID, KW_ID_SIZE) == 0)) {
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ITEM;
		reply.item = &item;
	}
	fake_reply(&reply, out);
}

static int setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	fake->at.answer = answer;
	fake_start(&fake->at);
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	struct fake *fake = *state;
	fake_stop(&fake->at);
	free(fake);
	return 0;
}

static void holds(const char *whole, const char *part)
{
	if (!strstr(whole, part))
		fail_msg("\"%s\" lacks \"%s\"", whole, part);
}

#define FLAGS "--service", "Health/Medical", "--risk", "high", "--case-ref", "K-1", "--name", "Amina Deng", "--age", "0", \
	"--sex", "girl", "--reason", "Fever", "--referrer", "Jo Bol"

static void test_cli_help_teaches_each_command(void **state)
{
	(void)state;
	assert_int_equal(kinward(NULL, "--help", NULL), CLI_OK);
	holds(OUT, "A first round trip");
	holds(OUT, "75  not now");
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++) {
		holds(OUT, command->name);
	}
	for (const struct cli_command *command = CLI_COMMANDS; command->name; command++) {
		char words[64];
		snprintf(words, sizeof(words), "%s", command->name);
		char *second = strchr(words, ' ');
		if (second)
			*second++ = '\0';
		const char *help = "--help";
		assert_int_equal(kinward(NULL, words, second ? second : help, second ? help : NULL, NULL), CLI_OK);
		holds(OUT, "Usage: kinward ");
		holds(OUT, command->local ? "--json" : "--socket PATH");
		holds(OUT, "  kinward "); /* an example */
		holds(OUT, "75  not now");
		assert_true(!command->local || !strstr(OUT, "--socket PATH"));
		assert_int_equal(kinward(NULL, "help", words, second, NULL), CLI_OK);
		holds(OUT, command->summary);
	}
	for (const struct cli_group *group = CLI_GROUPS; group->name; group++) {
		for (int i = 0; i < 2; i++) {
			assert_int_equal(i ? kinward(NULL, "help", group->name, NULL) : kinward(NULL, group->name, "--help", NULL), CLI_OK);
			holds(OUT, group->summary);
			holds(OUT, "75  not now");
		}
		assert_int_equal(kinward(NULL, group->name, NULL), CLI_USAGE);
		assert_int_equal(kinward(NULL, group->name, "nonsense", "--json", NULL), CLI_USAGE);
		holds(OUT, "{\"error\":{\"code\":\"usage\"");
	}
	assert_int_equal(kinward(NULL, "--version", NULL), CLI_OK);
	assert_string_equal(OUT, "kinward " KW_VERSION "\n");
	assert_int_equal(kinward(NULL, "version", "--json", NULL), CLI_OK);
	holds(OUT, "\"version\":");
}

static void test_cli_wrong_lines_are_usage_errors(void **state)
{
	(void)state;
	assert_int_equal(kinward(NULL, NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "sned", NULL), CLI_USAGE);
	holds(ERR, "no such command: sned");
	assert_int_equal(kinward(NULL, "show", NULL), CLI_USAGE);
	holds(ERR, "something is missing");
	assert_int_equal(kinward(NULL, "status", "now", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--lmit", "5", NULL), CLI_USAGE);
	holds(ERR, "no such option: --lmit");
	assert_int_equal(kinward(NULL, "inbox", "--limit", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--limit", "0", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--limit=501", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--limit=5", "--limit=6", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--all=yes", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "-x", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "inbox", "--timeout", "0", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "show", "5f2c", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "send", "agency-b", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "send", "agency-b", "--referral", "a", "--risk", "high", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "event", ID_HEX, "rejceted", NULL), CLI_USAGE);
	holds(ERR, "acknowledged accepted");
	assert_int_equal(kinward(NULL, "event", ID_HEX, "scheduled", "--appointment", "2025-03-01T14:00", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "import", "f", "--as", "referral", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "import", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "show", "\x1b[2J", NULL), CLI_USAGE);
	assert_null(strchr(ERR, '\x1b'));
}

static void test_cli_without_an_agent_says_so(void **state)
{
	(void)state;
	assert_int_equal(kinward(NULL, "status", "--socket", "/nonexistent/agent.sock", NULL), CLI_UNREACHABLE);
	holds(ERR, "Start kinward-agent");
	assert_int_equal(kinward(NULL, "status", "--json", "--socket", "/nonexistent/agent.sock", NULL), CLI_UNREACHABLE);
	holds(OUT, "\"code\":\"agent_unreachable\"");
}

static void test_cli_status_and_lists(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "status", NULL), CLI_OK);
	holds(OUT, "agency-a is OFFLINE from hub hub-ke");
	assert_int_equal(kinward(&fake->at, "status", "--json", NULL), CLI_OK);
	assert_string_equal(OUT, "{\"agency\":\"agency-a\",\"hub\":\"hub-ke\"}\n");
	assert_int_equal(kinward(&fake->at, "inbox", NULL), CLI_OK);
	assert_string_equal(OUT, "7  2025-03-01 14:05:09Z  agency-b  referral high  " ID_HEX "\n");
	assert_int_equal(kinward(&fake->at, "outbox", NULL), CLI_OK);
	holds(ERR, "Nothing here.");
	assert_int_equal(kinward(&fake->at, "watch", "--count", "1", NULL), CLI_OK);
	holds(OUT, ID_HEX);
}

static void test_cli_ack_tells_what_it_does_not_know(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "ack", ID_HEX, NULL), CLI_OK);
	assert_string_equal(OUT, "1 acknowledged\n");
	assert_int_equal(kinward(&fake->at, "ack", THREAD_HEX, ID_HEX, NULL), CLI_NOT_FOUND);
	assert_string_equal(OUT, "1 acknowledged\n");
	holds(ERR, "MESSAGE: the agent has no message " THREAD_HEX);
	assert_int_equal(kinward(&fake->at, "ack", THREAD_HEX, "--json", NULL), CLI_NOT_FOUND);
	holds(OUT, "{\"error\":{\"code\":\"not_found\",\"field\":\"MESSAGE\"");
	fake->acked_before = true;
	assert_int_equal(kinward(&fake->at, "ack", ID_HEX, NULL), CLI_OK);
	holds(OUT, "0 acknowledged; 1 were on no list: acknowledged before");
}

/* The hub's side works on a folder, without any agent. */
static void test_cli_hub_makes_and_lists(void **state)
{
	struct fake *fake = *state;
	char dir[64], path[96];
	snprintf(dir, sizeof(dir), "%s/hub", fake->at.folder);
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, NULL), CLI_USAGE);
	holds(ERR, "--name is the hub's name");
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, "--name", "ke", NULL), CLI_USAGE);
	holds(ERR, "--address is missing: 0.0.0.0:7443 can be listened on");
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, "--name", "ke", "--listen", "foo", "--json", NULL), CLI_USAGE);
	holds(OUT, "--listen must be ADDRESS:PORT");
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, "--name", "ke", "--address", "[::]:7443", NULL), CLI_USAGE);
	holds(ERR, "--address can be listened on, but nobody can dial it");
	assert_int_equal(access(dir, F_OK), -1); /* a mistake leaves nothing behind */
	assert_int_equal(kinward(NULL, "hub", "list", "--dir", dir, "--json", NULL), CLI_NOT_FOUND);
	holds(OUT, "there is no hub in this folder");
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, "--name", "ke", "--address", "hub:7443", "--json", NULL), CLI_OK);
	holds(OUT, "\"hub\":\"ke\"");
	holds(OUT, "\"rootFingerprint\":\"");
	assert_int_equal(kinward(NULL, "hub", "init", "--dir", dir, "--name", "ke", "--address", "hub:7443", NULL), CLI_REFUSED);
	holds(ERR, "holds a hub already, and nothing in it was changed");
	assert_int_equal(kinward(NULL, "hub", "list", "--dir", dir, NULL), CLI_OK);
	holds(ERR, "No agency is enrolled yet");
	assert_int_equal(kinward(NULL, "hub", "add", "No Name", "--dir", dir, NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "hub", "add", "agency-a", "--dir", dir, "--json", NULL), CLI_OK);
	holds(OUT, "\"code\":\"KW1-");
	holds(OUT, "\"address\":\"hub:7443\"");
	/* An older hub whose codes could not be dialled. */
	snprintf(path, sizeof(path), "%s/address.txt", dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("0.0.0.0:7443", file);
	(void)fclose(file);
	assert_int_equal(kinward(NULL, "hub", "add", "agency-a", "--dir", dir, NULL), CLI_REFUSED);
	holds(ERR, "address.txt: ");
	(void)folder_remove(dir);
}

static void test_cli_send_names_options_and_refuses_odd_values(void **state)
{
	struct fake *fake = *state;
	fake->sent[0] = '\0';
#define SEND "send", "agency-b", FLAGS, "--consent-from", "caregiver"
	assert_int_equal(kinward(&fake->at, SEND, "--message-id", "00000000000000000000000000000000", NULL), CLI_USAGE);
	holds(ERR, "--message-id is all zeros");
	assert_int_equal(kinward(&fake->at, SEND, "--thread", "00000000000000000000000000000000", NULL), CLI_USAGE);
	holds(ERR, "--thread is all zeros");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--service", "shelter", "--risk", "low", "--case-ref", "K-1", "--name",
		"Amina", "--age", "999", "--sex", "f", "--reason", "Fever", "--referrer", "Jo", "--consent-from", "caregiver", NULL),
		CLI_REFUSED);
	holds(ERR, "kinward: --age: ");
	assert_int_equal(kinward(&fake->at, SEND, "--location", "caf\xe9", "--json", NULL), CLI_REFUSED);
	holds(ERR, "--location: must be UTF-8 text; set the terminal's");
	holds(OUT, "{\"error\":{\"code\":\"bad_field\",\"field\":\"--location\"");
	fake_file(&fake->at, "{\"messageId\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"referralEvent\":{\"state\":\"REFERRAL_STATE_ACCEPTED\"}}");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--content", fake->at.file, NULL), CLI_REFUSED);
	holds(ERR, "message_id: is all zeros");
	assert_int_equal(kinward(&fake->at, "event", ID_HEX, "accepted", "--message-id", "00000000000000000000000000000000", NULL),
		CLI_REFUSED);
	assert_string_equal(fake->sent, "");
	fake_file(&fake->at, "{\"reason\":\n  \"a\" \"b\"}");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--referral", fake->at.file, "--json", NULL), CLI_REFUSED);
	holds(ERR, "line 2 column");
	holds(OUT, "\"line\":2,\"column\":");
	assert_int_equal(kinward(NULL, "send\xff", "--json", NULL), CLI_USAGE);
	holds(OUT, "send\\\\xff");
}

static void test_cli_show_disarms_what_a_message_says(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "show", ID_HEX, NULL), CLI_OK);
	holds(OUT, "reason: calm\\x1b[2J\\x07 \\u{9b}31m \\u{202e}txt\n");
	holds(OUT, "thread     " THREAD_HEX);
	assert_int_equal(kinward(&fake->at, "show", ID_HEX, "--json", NULL), CLI_OK);
	for (const char *c = OUT; *c; c++)
		assert_true(*c == '\n' || (*c >= 0x20 && *c < 0x7f));
	assert_int_equal(kinward(&fake->at, "show", THREAD_HEX, NULL), CLI_NOT_FOUND);
	assert_int_equal(kinward(&fake->at, "show", "XywDBAUGBwgJCgsMDQ4PCQ==", NULL), CLI_OK); /* as --json prints it */
}

static void test_cli_send_makes_a_referral_of_options(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "send", "agency-b", FLAGS, "--consent-from", "caregiver", NULL), CLI_OK);
	holds(OUT, THREAD_HEX);
	holds(fake->sent, "\"agency\":\"agency-b\"");
	holds(fake->sent, "\"service\":\"SERVICE_TYPE_HEALTH_MEDICAL\"");
	holds(fake->sent, "\"age\":{\"years\":0,\"asOf\":");
	holds(fake->sent, "\"consent\":{\"services\":\"CONSENT_ANSWER_GIVEN\",\"shareOtherOrgs\":\"CONSENT_ANSWER_GIVEN\"");
	fake->sent[0] = '\0';
	/* Nobody is said to have consented who was not. */
	assert_int_equal(kinward(&fake->at, "send", "agency-b", FLAGS, NULL), CLI_REFUSED);
	holds(ERR, "consent");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", FLAGS, "--age=x", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--risk", "huge", NULL), CLI_REFUSED);
	holds(ERR, "--risk: is no known code; one of: high medium low");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", FLAGS, "--consent-from", "child", "--dry-run", NULL), CLI_OK);
	holds(OUT, "\"referralRequest\":");
	assert_string_equal(fake->sent, "");
}

static void test_cli_send_reads_json_and_names_its_faults(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--content", fake->at.file, NULL), CLI_NOT_FOUND);
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--content", fake->at.folder, NULL), CLI_REFUSED);
	fake_file(&fake->at, "{\"messageId\":\"AAAAAAAAAAAAAAAAAAAAAQ==\",\"referralEvent\":{\"state\":\"REFERRAL_STATE_ACCEPTED\"}}");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--content", fake->at.file, "--class", "urgent", NULL), CLI_OK);
	holds(fake->sent, "\"messageId\":\"AAAAAAAAAAAAAAAAAAAAAQ==\"");
	holds(fake->sent, "\"class\":1");
	fake_file(&fake->at, "{\"children\":[{\"age\":{\"years\":\"x\"}}]}");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--referral", fake->at.file, NULL), CLI_REFUSED);
	holds(ERR, "children[0].age.years: must be a whole number");
	fake_file(&fake->at, "{,}");
	assert_int_equal(kinward(&fake->at, "send", "agency-b", "--referral", fake->at.file, NULL), CLI_REFUSED);
	holds(ERR, "line 1 column");
}

static void test_cli_send_that_may_be_repeated_says_how(void **state)
{
	struct fake *fake = *state;
	fake->refuse = true;
	assert_int_equal(kinward(&fake->at, "send", "agency-b", FLAGS, "--consent-from", "caregiver", "--message-id", ID_HEX, NULL),
		CLI_RETRY);
	holds(ERR, "--message-id " ID_HEX);
}

static void test_cli_event_goes_to_the_other_agency_in_the_thread(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "event", ID_HEX, "scheduled", "--appointment", "2025-03-01T14:00+03:00",
		"--place", "Clinic 2", "--author", "Sara Lado", NULL), CLI_OK);
	holds(fake->sent, "\"agency\":\"agency-b\"");
	holds(fake->sent, "\"threadId\":\"d6sDAAAAAAAAAAAAAAAAAA==\"");
	holds(fake->sent, "\"state\":\"REFERRAL_STATE_SCHEDULED\"");
	holds(fake->sent, "\"atUnixMs\":\"1740826800000\",\"place\":\"Clinic 2\"");
	fake->sent[0] = '\0';
	assert_int_equal(kinward(&fake->at, "event", THREAD_HEX, "rejected", "--reason", "no-capacity", NULL), CLI_OK);
	holds(fake->sent, "\"threadId\":\"d6sDAAAAAAAAAAAAAAAAAA==\"");
	holds(fake->sent, "\"reason\":\"REFERRAL_REASON_NO_CAPACITY\"");
	assert_int_equal(kinward(&fake->at, "event", "00000000000000000000000000000000", "accepted", NULL), CLI_NOT_FOUND);
}

static void test_cli_import_counts_and_names_refused_rows(void **state)
{
	struct fake *fake = *state;
	const char *defaults = "sex=f,protection_status=separated,care_arrangement=kinship,consent_for_services=yes,"
		"disclosure_other_orgs=yes,consent_source=caregiver";
	fake_file(&fake->at, "case_id,name_first,age,shoe\n1,Amina,5,1\n2,Deng,x,1\n3,Akol,7,1\n");
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as-of", "2025-03-01", "--default", defaults, NULL),
		CLI_REFUSED);
	assert_string_equal(OUT, "3 rows: 1 imported, 1 there already, 1 refused\n");
	holds(ERR, "column ignored, no rule knows it: shoe");
	holds(ERR, "line 3, column age (age.years): must be a whole number");
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as-of", "2025-03-01", "--default", defaults, "--json", NULL),
		CLI_REFUSED);
	holds(OUT, "{\"refused\":{\"line\":3,\"column\":\"age\"");
	holds(OUT, "{\"summary\":{\"rows\":3,\"imported\":0,\"repeated\":2,\"refused\":1}}");
	assert_int_equal(kinward(NULL, "import", fake->at.file, "--as-of", "2025-03-01", "--default", defaults, "--dry-run", NULL),
		CLI_REFUSED);
	holds(OUT, "2 good");
	assert_int_equal(kinward(NULL, "import", "--columns", NULL), CLI_OK);
	holds(OUT, "name_first");
}

static void test_cli_import_sends_referrals_under_ids_that_repeat(void **state)
{
	struct fake *fake = *state;
	char first[sizeof(fake->sent)];
	fake_file(&fake->at, "case_ref,service,risk,reason,name,age,sex,referrer_name,consent_for_services,disclosure_other_orgs,"
		"consent_source,registration_date\nK-1,shelter,low,Alone,Amina,9,f,Jo,yes,yes,child,2025-01-01\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "referral", "--to", "agency-b", NULL), CLI_OK);
		if (i == 0)
			memcpy(first, fake->sent, sizeof(first));
	}
	holds(first, "\"caseRef\":\"K-1\"");
	assert_string_equal(first, fake->sent);
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "referral", "--to", "agency-c", NULL), CLI_OK);
	assert_string_not_equal(strstr(first, "messageId"), strstr(fake->sent, "messageId"));
	fake->refuse = true;
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "referral", "--to", "agency-b", NULL), CLI_RETRY);
	holds(ERR, "run the same command again");
}

static void test_cli_escape_shows_broken_text_as_bytes(void **state)
{
	(void)state;
	static const char *const CASES[][2] = {
		{"plain", "plain"}, {"\xd8\xb9\xd8\xa8\xd8\xaf", "\xd8\xb9\xd8\xa8\xd8\xaf"}, {"a\nb\tc", "a\\x0ab\\x09c"},
		{"\xff", "\\xff"}, {"\xc0\xaf", "\\xc0\\xaf"}, {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, {"\xe2\x82", "\\xe2\\x82"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, {"\xe2\x80\x8c", "\xe2\x80\x8c"}, {"\xe2\x80\x8b", "\\u{200b}"},
		{"\xf3\xa0\x81\x81", "\\u{e0041}"}, {"\x7f", "\\x7f"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char out[64];
		cli_escape(out, sizeof(out), CASES[i][0]);
		assert_string_equal(out, CASES[i][1]);
	}
	char small[8];
	cli_escape(small, sizeof(small), "abcd\xff");
	assert_string_equal(small, "abcd"); /* never half of an escape */
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void test_cli_cases_are_listed(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "case", "list", "--kind", "referral", "--agency", "agency-b", "--case-ref", "K-1", "--all",
		"--limit", "5", "--after", "00000000000000000000000000000003", NULL), CLI_OK);
	holds(fake->asked, "\"kind\":\"THREAD_KIND_REFERRAL\"");
	holds(fake->asked, "\"agency\":\"agency-b\"");
	holds(fake->asked, "\"caseRef\":\"K-1\"");
	holds(fake->asked, "\"all\":true");
	holds(fake->asked, "\"limit\":5");
	holds(fake->asked, "\"after\":\"AAAAAAAAAAAAAAAAAAAAAw==\"");
	assert_string_equal(OUT, THREAD_HEX "  referral  accepted  high  agency-b  late 1 d 3 h  K-1\\x1b[2J  our move\n");
	holds(ERR, "add --after 00000000000000000000000000000007");
	assert_int_equal(kinward(&fake->at, "case", "list", "--json", NULL), CLI_OK);
	holds(OUT, "\"stateName\":\"ACCEPTED\"");
	fake->no_cases = true;
	assert_int_equal(kinward(&fake->at, "case", "list", NULL), CLI_OK);
	assert_string_equal(OUT, "");
	holds(ERR, "No case");
}

static void test_cli_todo_is_what_waits_for_us(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "todo", "--limit", "2", NULL), CLI_OK);
	holds(fake->asked, "\"limit\":2");
	holds(OUT, "our move");
	assert_int_equal(kinward(&fake->at, "todo", "--limit", "501", NULL), CLI_USAGE);
	fake->no_cases = true;
	assert_int_equal(kinward(&fake->at, "todo", NULL), CLI_OK);
	holds(ERR, "Nothing waits for us.");
}

static void test_cli_case_is_shown_with_its_timeline(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "case", "show", THREAD_HEX, NULL), CLI_OK);
	holds(OUT, "state      accepted since 2025-03-01 14:05:09Z\n");
	holds(OUT, "next       our move\n");
	holds(OUT, "clock      service, late 1 d 3 h\n");
	holds(OUT, "reminded   at 100 % of the time\n");
	holds(OUT, "agency     agency-b (we are the opener)\n");
	holds(OUT, "case ref   K-1\\x1b[2J\n");
	const char *timeline = "1  2025-03-01 14:05:09Z  we  queued  opened  " ID_HEX "\n"
			       "2  2025-03-01 14:05:09Z  hub  expired  (refused)\n"
			       "3  2025-03-01 14:05:09Z  agency-b  accepted  " ID_HEX "  (repeat)\n"
			       "4  2025-03-01 14:05:09Z  agency-b  no_show  " ID_HEX "  (waits)\n";
	holds(OUT, timeline);
	assert_int_equal(kinward(&fake->at, "case", "timeline", ID_HEX, NULL), CLI_OK); /* a message of the thread will do */
	assert_string_equal(OUT, timeline);
	assert_int_equal(kinward(&fake->at, "case", "timeline", THREAD_HEX, "--json", NULL), CLI_OK);
	holds(OUT, "\"verdict\":\"EVENT_VERDICT_EARLY\"");
}

static void test_cli_case_refuses_with_reasons(void **state)
{
	struct fake *fake = *state;
	assert_int_equal(kinward(&fake->at, "case", "show", "00000000000000000000000000000001", NULL), CLI_NOT_FOUND);
	assert_int_equal(kinward(&fake->at, "case", "show", NULL), CLI_USAGE);
	holds(ERR, "kinward case show THREAD");
	assert_int_equal(kinward(&fake->at, "case", "close", THREAD_HEX, NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "case", "show", "xyz", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "case", "list", THREAD_HEX, NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "case", "show", THREAD_HEX, "--all", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "case", "list", "--kind", "visit", NULL), CLI_USAGE);
	holds(ERR, "transfer");
	assert_int_equal(kinward(&fake->at, "case", "--help", NULL), CLI_OK);
	holds(OUT, "kinward case timeline");
	fake->illegal = true;
	assert_int_equal(kinward(&fake->at, "event", ID_HEX, "accepted", NULL), CLI_REFUSED);
	holds(ERR, "send.content.referral_event.state: The referral is CLOSED");
	assert_int_equal(kinward(&fake->at, "event", ID_HEX, "accepted", "--class", "fast", NULL), CLI_USAGE);
	fake->illegal = false;
	assert_int_equal(kinward(&fake->at, "event", ID_HEX, "accepted", "--class", "bulk", NULL), CLI_OK);
	holds(fake->sent, "\"class\":3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cli_help_teaches_each_command),
		cmocka_unit_test(test_cli_wrong_lines_are_usage_errors),
		cmocka_unit_test(test_cli_without_an_agent_says_so),
		WITH_FAKE(test_cli_status_and_lists),
		WITH_FAKE(test_cli_ack_tells_what_it_does_not_know),
		WITH_FAKE(test_cli_hub_makes_and_lists),
		WITH_FAKE(test_cli_send_names_options_and_refuses_odd_values),
		WITH_FAKE(test_cli_show_disarms_what_a_message_says),
		WITH_FAKE(test_cli_send_makes_a_referral_of_options),
		WITH_FAKE(test_cli_send_reads_json_and_names_its_faults),
		WITH_FAKE(test_cli_send_that_may_be_repeated_says_how),
		WITH_FAKE(test_cli_event_goes_to_the_other_agency_in_the_thread),
		WITH_FAKE(test_cli_import_counts_and_names_refused_rows),
		WITH_FAKE(test_cli_import_sends_referrals_under_ids_that_repeat),
		cmocka_unit_test(test_cli_escape_shows_broken_text_as_bytes),
		WITH_FAKE(test_cli_cases_are_listed),
		WITH_FAKE(test_cli_todo_is_what_waits_for_us),
		WITH_FAKE(test_cli_case_is_shown_with_its_timeline),
		WITH_FAKE(test_cli_case_refuses_with_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
