#include "tests/kit/fake_agent.h"

/* kinward template and kinward import --as MESSAGE, against a fake agent that keeps what it is sent by message id. */

#define SENT_MAX 16u

struct fake {
	struct fake_agent at;              /* first: the kit gives it back */
	uint8_t ids[SENT_MAX][KW_ID_SIZE]; /* of new messages, in order */
	char agencies[SENT_MAX][64];
	uint8_t threads[SENT_MAX][KW_ID_SIZE];
	unsigned sent;       /* new messages */
	unsigned asked;      /* SEND and REGISTER requests */
	unsigned registered;
	char local_id[80];
	unsigned refuse_from; /* refuse each new message from this one on; 0 never */
	bool retryable;
};

/* Keeps a new message; true for one that it has. */
static bool take(struct fake *fake, const Kinward__V1__SendRequest *send)
{
	for (unsigned i = 0; i < fake->sent; i++)
		if (memcmp(fake->ids[i], send->content->message_id.data, KW_ID_SIZE) == 0)
			return true;
	memcpy(fake->ids[fake->sent], send->content->message_id.data, KW_ID_SIZE);
	if (send->thread_id.len == KW_ID_SIZE)
		memcpy(fake->threads[fake->sent], send->thread_id.data, KW_ID_SIZE);
	(void)snprintf(fake->agencies[fake->sent++], sizeof(fake->agencies[0]), "%s", send->agency);
	return false;
}

static void answer(struct fake_agent *agent, const Kinward__V1__LocalRequest *request, struct kw_buf *out)
{
	struct fake *fake = (struct fake *)agent;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__LocalError error = KINWARD__V1__LOCAL_ERROR__INIT;
	Kinward__V1__SendReply sent = KINWARD__V1__SEND_REPLY__INIT;
	Kinward__V1__RegisterReply registered = KINWARD__V1__REGISTER_REPLY__INIT;
	Kinward__V1__KeysReply keys = KINWARD__V1__KEYS_REPLY__INIT;
	Kinward__V1__KnownAgency known[3] = {KINWARD__V1__KNOWN_AGENCY__INIT, KINWARD__V1__KNOWN_AGENCY__INIT,
		KINWARD__V1__KNOWN_AGENCY__INIT};
	Kinward__V1__KnownAgency *agencies[3] = {&known[0], &known[1], &known[2]};
	reply.id = request->id;
	if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_KEYS) {
		known[0].agency = text("agency-b");
		known[1].agency = text("agency-c");
		known[1].revoked = true;
		known[2].agency = text("agency-d");
		keys.n_agencies = 3;
		keys.agencies = agencies;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_KEYS;
		reply.keys = &keys;
	} else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_REGISTER) {
		registered.repeated_request = fake->registered++ > 0;
		(void)snprintf(fake->local_id, sizeof(fake->local_id), "%s", request->register_->local_id);
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_REGISTERED;
		reply.registered = &registered;
	} else if (++fake->asked && fake->refuse_from && fake->sent + 1 >= fake->refuse_from) {
		error.code = text(fake->retryable ? "queue_full" : "illegal_state");
		error.field = text("state");
		error.text = text("Not now.");
		error.retryable = fake->retryable;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ERROR;
		reply.error = &error;
	} else {
		sent.repeated_request = take(fake, request->send);
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_SENT;
		reply.sent = &sent;
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

#define QUERIES "service,admin2_pcode\nshelter,SS01\nfood,SS01\nshelter,SS01\n"
#define IMPORT(...) kinward(&fake->at, "import", fake->at.file, "--as", "CapacityQuery", __VA_ARGS__)

static void test_template_prints_what_import_reads(void **state)
{
	const struct fake *fake = *state;
	assert_int_equal(kinward(NULL, "template", "CapacityQuery", NULL), CLI_OK);
	holds(OUT, "#to,#thread,service,admin2_pcode,age_band\n# The agency that it goes to; empty for the one that --to names.,");
	fake_file(&fake->at, OUT);
	assert_int_equal(IMPORT("--dry-run", NULL), CLI_REFUSED);
	holds(ERR, "has no row of data below its first row");
	assert_int_equal(kinward(NULL, "template", "capacity-query", "--excel", "--separator", ";", NULL), CLI_OK);
	assert_memory_equal(OUT, "\xef\xbb\xbf#to;#thread;service;admin2_pcode;age_band\r\n\"#", 47);
	fake_file(&fake->at, "#to,#thread,service,admin2_pcode,age_band\n,,shelter,SS0101,\n");
	assert_int_equal(IMPORT("--dry-run", NULL), CLI_OK);
	assert_string_equal(OUT, "1 rows: 1 messages, all good; nothing was sent\n");
	assert_int_equal(IMPORT("--dry-run", "--json", NULL), CLI_OK);
	holds(OUT, "{\"row\":2,\"content\":{\"capacityQuery\":{\"service\":\"SERVICE_TYPE_SHELTER\",\"admin2Pcode\":\"SS0101\"}}}\n");
	holds(OUT, "\"rows\":1,\"messages\":1,\"sent\":0,\"repeated\":0,\"faults\":0}}");
	assert_int_equal(fake->asked, 0);
}

static void test_template_forms_and_wrong_lines(void **state)
{
	const struct fake *fake = *state;
	assert_int_equal(kinward(NULL, "template", "--list", NULL), CLI_OK);
	holds(OUT, "SeparationReport       A focal point's week.\n");
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--list", NULL), CLI_OK);
	holds(OUT, "cases[].sex                              Required with cases[]. Sex. One of: female,");
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--json", NULL), CLI_OK);
	holds(OUT, "{\"column\":\"week\",\"meaning\":\"Required. The week, ISO 8601 week such as 2026-W48.\"}\n");
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--required", NULL), CLI_OK);
	holds(OUT, "#group,#to,#thread,week,village_pcode,focal_point_code\n");
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--rows", "none", "--repeat", "4", NULL), CLI_OK);
	holds(OUT, ",cases[4].sex,");
	assert_null(strstr(OUT, "cases[5].sex"));
	assert_int_equal(kinward(NULL, "template", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "template", "Nonsense", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--rows", "week", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--repeat", "17", NULL), CLI_USAGE);
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--separator", "x", NULL), CLI_USAGE);
	fake_file(&fake->at,
		"{\"separationReport\": {\"week\": \"2026-W48\", \"villagePcode\": \"SS01\", \"focalPointCode\": \"=HYPERLINK(1)\", "
		"\"zeroReport\": true}}");
	assert_int_equal(kinward(NULL, "template", "SeparationReport", "--fill", fake->at.file, NULL), CLI_OK);
	assert_string_equal(OUT, "#group,week,village_pcode,focal_point_code,zero_report\n1,2026-W48,SS01,'=HYPERLINK(1),yes\n");
	assert_int_equal(kinward(NULL, "template", "ReferralRequest", "--fill", fake->at.file, NULL), CLI_REFUSED);
}

static void test_import_is_whole_or_not_at_all(void **state)
{
	struct fake *fake = *state;
	fake_file(&fake->at, QUERIES "shelter,ss01\nhouse,SS01\n");
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_REFUSED);
	holds(ERR, "file.csv: row 5, column admin2_pcode: must be a P-code, 2 to 20 of A-Z and 0-9; correct it\n");
	holds(ERR, "file.csv: row 6, column service: is no known code; one of: safehouse ");
	assert_string_equal(OUT, "2 faults; nothing was sent\n");
	assert_int_equal(IMPORT("--to", "agency-b", "--json", NULL), CLI_REFUSED);
	holds(OUT, "\"row\":5,\"column\":\"admin2_pcode\",\"field\":\"admin2_pcode\",\"rule\":\"must be a P-code");
	holds(OUT, "\"faults\":2}}");
	/* Agencies are looked up before the first message goes. */
	fake_file(&fake->at,
		"#to,service,admin2_pcode\nagency-b,shelter,SS01\nagency-c,shelter,SS01\nagency-x,shelter,SS01\n,shelter,SS01\n");
	assert_int_equal(IMPORT(NULL), CLI_REFUSED);
	holds(ERR, "row 5, column #to: is required where the command line has no --to");
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_REFUSED);
	holds(ERR, "row 3, column #to: goes to an agency that is shut out");
	holds(ERR, "row 4, column #to: goes to an agency that is not in the directory");
	assert_null(strstr(ERR, "row 5"));
	assert_int_equal(fake->asked, 0);
	assert_int_equal(IMPORT("--dry-run", NULL), CLI_OK);
	char many[2048] = "service,admin2_pcode\n";
	for (unsigned i = 0; i < 102; i++)
		(void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "x,SS01\n");
	fake_file(&fake->at, many);
	assert_int_equal(IMPORT("--dry-run", NULL), CLI_REFUSED);
	holds(ERR, "row 101, column service");
	assert_null(strstr(ERR, "row 102"));
	holds(ERR, "and 2 more faults; correct these first\n");
}

static void test_import_goes_on_where_it_was_cut(void **state)
{
	struct fake *fake = *state;
	fake_file(&fake->at, QUERIES);
	fake->refuse_from = 3;
	fake->retryable = true;
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_RETRY);
	holds(ERR, "stopped at row 4, 2 of 3 messages are in; run the same command again, and it sends only what is missing");
	assert_int_equal(fake->sent, 2);
	fake->retryable = false;
	fake->refuse_from = 1; /* also what is there already, as an agent may that is down */
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_REFUSED);
	holds(ERR, "stopped at row 2, 0 of 3 messages are in; correct the row, run the same command again");
	fake->refuse_from = 0;
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_OK);
	assert_string_equal(OUT, "3 rows: 3 messages, 1 in the outbox, 2 there already\n");
	assert_int_equal(fake->sent, 3);
	/* Rows that are alike are messages of their own; a row added later is the only one that is new. */
	assert_memory_not_equal(fake->ids[0], fake->ids[2], KW_ID_SIZE);
	fake_file(&fake->at, "service,admin2_pcode\ncash,SS01\n" "shelter,SS01\nfood,SS01\nshelter,SS01\n");
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_OK);
	assert_string_equal(OUT, "4 rows: 4 messages, 1 in the outbox, 3 there already\n");
	/* The agency's column says the same as --to; another #group or thread is another message. */
	fake_file(&fake->at, "#to,#group,#thread,service,admin2_pcode\nagency-b,,,food,SS01\nagency-b,again,,food,SS01\n"
		"agency-b,,77ab0300000000000000000000000000,food,SS01\n");
	assert_int_equal(IMPORT(NULL), CLI_OK);
	assert_string_equal(OUT, "3 rows: 3 messages, 2 in the outbox, 1 there already\n");
	fake_file(&fake->at, "#to,#group,service,admin2_pcode\nagency-b,,food,SS01\n");
	assert_int_equal(IMPORT(NULL), CLI_OK);
	assert_string_equal(OUT, "1 rows: 1 messages, 0 in the outbox, 1 there already\n");
	fake_file(&fake->at, "#to,#group,service,admin2_pcode\nagency-b,third,food,SS01\n");
	assert_int_equal(IMPORT(NULL), CLI_OK);
	assert_string_equal(OUT, "1 rows: 1 messages, 1 in the outbox, 0 there already\n");
	fake_file(&fake->at, "service,admin2_pcode\nfood,SS01\n");
	assert_int_equal(IMPORT("--to", "agency-d", NULL), CLI_OK);
	assert_string_equal(OUT, "1 rows: 1 messages, 1 in the outbox, 0 there already\n");
	fake_file(&fake->at, "#thread,service,admin2_pcode\n88ab0300000000000000000000000000,food,SS01\n");
	assert_int_equal(IMPORT("--to", "agency-b", NULL), CLI_OK);
	assert_string_equal(OUT, "1 rows: 1 messages, 1 in the outbox, 0 there already\n");
	assert_int_equal(fake->threads[5][0], 0x77);
	assert_string_equal(fake->agencies[5], "agency-b");
}

static void test_import_registrations_stay_at_home(void **state)
{
	struct fake *fake = *state;
	static const char ROWS[] = "#id,sex,separation.status,care_arrangement,consent.services,consent.share_other_orgs,"
		"consent.obtained_from,name.parts[1].text,name.parts[1].role,birth_date\n%s,f,separated,kinship,yes,yes,caregiver,Amina,given,2019\n";
	char whole[512];
	(void)snprintf(whole, sizeof(whole), ROWS, "C-1");
	fake_file(&fake->at, whole);
	for (int i = 0; i < 2; i++)
		if (kinward(&fake->at, "import", fake->at.file, "--as", "UascRegistration", NULL) != CLI_OK)
			fail_msg("%s", ERR);
	assert_string_equal(OUT, "1 rows: 1 messages, 0 in the outbox, 1 there already\n");
	assert_string_equal(fake->local_id, "C-1");
	assert_int_equal(fake->asked, 0);
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "UascRegistration", "--to", "agency-b", NULL), CLI_USAGE);
	(void)snprintf(whole, sizeof(whole), ROWS, "");
	fake_file(&fake->at, whole);
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "UascRegistration", NULL), CLI_REFUSED);
	holds(ERR, "row 2, column #id: is required");
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "Consent", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "import", fake->at.file, "--as", "CapacityQuery", "--strict", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "import", "--as", "CapacityQuery", NULL), CLI_USAGE);
	assert_int_equal(kinward(&fake->at, "import", "/nonexistent.csv", "--as", "CapacityQuery", NULL), CLI_NOT_FOUND);
	fake_file(&fake->at, QUERIES);
	assert_int_equal(kinward(NULL, "import", fake->at.file, "--as", "CapacityQuery", "--to", "agency-b", "--socket",
		"/nonexistent.sock", NULL), CLI_UNREACHABLE);
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(test_template_prints_what_import_reads),
		WITH_FAKE(test_template_forms_and_wrong_lines),
		WITH_FAKE(test_import_is_whole_or_not_at_all),
		WITH_FAKE(test_import_goes_on_where_it_was_cut),
		WITH_FAKE(test_import_registrations_stay_at_home),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
