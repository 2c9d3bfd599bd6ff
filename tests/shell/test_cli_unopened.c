/* kinward unopened, against an agent that the test plays. */
#include "tests/kit/fake_agent.h"

static void answer(struct fake_agent *agent, const Kinward__V1__LocalRequest *request, struct kw_buf *out)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__UnopenedList list = KINWARD__V1__UNOPENED_LIST__INIT;
	Kinward__V1__UnopenedItem items[2];
	Kinward__V1__UnopenedItem *rows[2] = {&items[0], &items[1]};
	uint8_t id[16] = {0xab, 0xcd};
	char signature[] = "signature";
	char cannot_open[] = "cannot_open";
	(void)agent;
	if (request->body_case != KINWARD__V1__LOCAL_REQUEST__BODY_UNOPENED)
		return;
	for (int i = 0; i < 2; i++)
		kinward__v1__unopened_item__init(&items[i]);
	items[0].number = request->unopened->after + 1; /* of an older agent */
	items[0].size = 3;
	items[1].number = request->unopened->after + 2;
	items[1].at_unix_ms = 1790000000000;
	items[1].reason = signature;
	items[1].error = cannot_open;
	items[1].size = 1234;
	items[1].envelope_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	list.items = rows;
	list.n_items = request->unopened->limit == 1 ? 1 : 2;
	list.next_after = request->unopened->limit == 1 ? 7 : 0;
	reply.id = request->id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_UNOPENED;
	reply.unopened = &list;
	fake_reply(&reply, out);
}

static void test_unopened_says_when_why_and_which(void **state)
{
	struct fake_agent agent = {.answer = answer};
	(void)state;
	fake_start(&agent);
	assert_int_equal(kinward(&agent, "unopened", NULL), CLI_OK);
	assert_non_null(strstr(OUT, "1  -  -  -  3 bytes  no id\n"));
	assert_non_null(strstr(OUT, "  signature  cannot_open  1234 bytes  abcd0000000000000000000000000000\n"));
	assert_string_equal(ERR, "");
	assert_int_equal(kinward(&agent, "unopened", "--after", "6", "--limit", "1", NULL), CLI_OK);
	assert_string_equal(OUT, "7  -  -  -  3 bytes  no id\n");
	assert_non_null(strstr(ERR, "--after 7"));
	assert_int_equal(kinward(&agent, "unopened", "--json", NULL), CLI_OK);
	assert_non_null(strstr(OUT, "\"reason\":\"signature\""));
	assert_int_equal(kinward(&agent, "unopened", "--limit", "501", NULL), CLI_USAGE);
	assert_int_equal(kinward(&agent, "unopened", "--after", "x", NULL), CLI_USAGE);
	fake_stop(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unopened_says_when_why_and_which),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
