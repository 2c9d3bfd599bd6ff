#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/json.h"
#include "kinward/v1/content.pb-c.h"
#include "kinward/v1/frame.pb-c.h"
#include "kinward/v1/local.pb-c.h"

#define HELLO &kinward__v1__hello__descriptor
#define CONTENT &kinward__v1__content__descriptor
#define REQUEST &kinward__v1__local_request__descriptor

static ProtobufCMessage *read_ok(const ProtobufCMessageDescriptor *type, const char *text)
{
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	enum kw_err err = json_map_parse(type, kw_view_str(text), &message, &fault);
	if (err != KW_OK)
		fail_msg("%s: %s %s", kw_err_name(err), fault.path, fault.rule);
	return message;
}

static void write_is(const ProtobufCMessage *message, const char *expected)
{
	json_t *tree = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_write(message, &tree, &fault), KW_OK);
	char *text = json_dumps(tree, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
	json_decref(tree);
}

static void round_trip(const ProtobufCMessageDescriptor *type, const char *in, const char *out)
{
	ProtobufCMessage *message = read_ok(type, in);
	write_is(message, out);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void refused(const ProtobufCMessageDescriptor *type, const char *text, const char *path, const char *rule)
{
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_parse(type, kw_view_str(text), &message, &fault), KW_EFIELD);
	assert_null(message);
	assert_string_equal(fault.path, path);
	if (!strstr(fault.rule, rule))
		fail_msg("rule \"%s\" lacks \"%s\"", fault.rule, rule);
}

static void test_json_names_are_lower_camel_and_both_spellings_are_read(void **state)
{
	(void)state;
	round_trip(HELLO, "{\"versionMin\": 1, \"version_max\": 2}", "{\"versionMin\":1,\"versionMax\":2}");
	refused(HELLO, "{\"versionMin\": 1, \"version_min\": 1}", "versionMin", "given twice");
	refused(HELLO, "{\"VersionMin\": 1}", "VersionMin", "no such field; Hello has versionMin");
}

static void test_json_64_bit_numbers_are_strings_and_exact(void **state)
{
	(void)state;
	round_trip(HELLO, "{\"features\": \"18446744073709551615\", \"epoch\": \"18446744073709551615\"}",
		"{\"features\":\"18446744073709551615\",\"epoch\":\"18446744073709551615\"}");
	round_trip(HELLO, "{\"clockUnixMs\": \"-9223372036854775808\"}", "{\"clockUnixMs\":\"-9223372036854775808\"}");
	round_trip(HELLO, "{\"clockUnixMs\": 9223372036854775807}", "{\"clockUnixMs\":\"9223372036854775807\"}");
	round_trip(HELLO, "{\"clockUnixMs\": 1.5e3}", "{\"clockUnixMs\":\"1500\"}");
	refused(HELLO, "{\"features\": \"18446744073709551616\"}", "features", "0 to 18446744073709551615");
	refused(HELLO, "{\"clockUnixMs\": \"9223372036854775808\"}", "clockUnixMs", "to 9223372036854775807");
	refused(HELLO, "{\"clockUnixMs\": \"-9223372036854775809\"}", "clockUnixMs", "from -9223372036854775808");
	refused(HELLO, "{\"features\": \"-1\"}", "features", "whole number");
	refused(HELLO, "{\"features\": \"\"}", "features", "whole number");
	refused(HELLO, "{\"features\": \" 1\"}", "features", "whole number");
	refused(HELLO, "{\"features\": \"01\"}", "features", "whole number");
	refused(HELLO, "{\"features\": \"1x\"}", "features", "whole number");
	refused(HELLO, "{\"features\": 1.25}", "features", "whole number");
	refused(HELLO, "{\"features\": 1e300}", "features", "whole number");
	refused(HELLO, "{\"features\": true}", "features", "whole number");
}

static void test_json_32_bit_ranges_are_exact(void **state)
{
	(void)state;
	round_trip(HELLO, "{\"versionMin\": 4294967295}", "{\"versionMin\":4294967295}");
	round_trip(HELLO, "{\"versionMin\": \"7\"}", "{\"versionMin\":7}");
	refused(HELLO, "{\"versionMin\": 4294967296}", "versionMin", "0 to 4294967295");
	refused(HELLO, "{\"versionMin\": -1}", "versionMin", "0 to 4294967295");
}

static void test_json_defaults_and_null_are_left_out(void **state)
{
	(void)state;
	round_trip(HELLO, "{}", "{}");
	round_trip(HELLO, "{\"versionMin\": 0, \"cursors\": [], \"features\": null}", "{}");
	refused(HELLO, "{\"nothing\": null}", "nothing", "no such field");
	refused(HELLO, "{\"cursors\": [null]}", "cursors[0]", "null");
}

static void test_json_repeated_messages_keep_order_and_name_the_index(void **state)
{
	(void)state;
	round_trip(HELLO, "{\"cursors\": [{\"class\": 1, \"sequence\": 5}, {}, {\"class\": 3}]}",
		"{\"cursors\":[{\"class\":1,\"sequence\":\"5\"},{},{\"class\":3}]}");
	refused(HELLO, "{\"cursors\": [{}, {\"class\": \"x\"}]}", "cursors[1].class", "whole number");
	refused(HELLO, "{\"cursors\": {}}", "cursors", "array");
	refused(HELLO, "{\"cursors\": [[]]}", "cursors[0]", "object");
	refused(HELLO, "[]", "", "object");
}

static void test_json_bytes_are_base64_of_either_alphabet(void **state)
{
	(void)state;
	round_trip(CONTENT, "{\"messageId\": \"AAEC/+8=\"}", "{\"messageId\":\"AAEC/+8=\"}");
	round_trip(CONTENT, "{\"messageId\": \"AAEC_-8\"}", "{\"messageId\":\"AAEC/+8=\"}");
	round_trip(CONTENT, "{\"messageId\": \"\"}", "{}");
	refused(CONTENT, "{\"messageId\": \"AAEC/+8==\"}", "messageId", "base64");
	refused(CONTENT, "{\"messageId\": \"AAEC/\"}", "messageId", "base64");
	refused(CONTENT, "{\"messageId\": \"AB==\"}", "messageId", "base64"); /* bits left over */
	refused(CONTENT, "{\"messageId\": \"A A=\"}", "messageId", "base64");
	refused(CONTENT, "{\"messageId\": 5}", "messageId", "base64");
}

static void test_json_enums_go_by_name_without_loss(void **state)
{
	(void)state;
	round_trip(CONTENT, "{\"referralRequest\": {\"service\": \"SERVICE_TYPE_SHELTER\", \"risk\": 1}}",
		"{\"referralRequest\":{\"service\":\"SERVICE_TYPE_SHELTER\",\"risk\":\"RISK_HIGH\"}}");
	refused(CONTENT, "{\"referralRequest\": {\"risk\": \"RISK_ENORMOUS\"}}", "referralRequest.risk",
		"one of RISK_HIGH, RISK_MEDIUM, RISK_LOW");
	refused(CONTENT, "{\"referralRequest\": {\"risk\": 99}}", "referralRequest.risk", "no such code");
	refused(CONTENT, "{\"referralRequest\": {\"risk\": 4294967297}}", "referralRequest.risk", "no such code");
	refused(CONTENT, "{\"referralRequest\": {\"risk\": \"risk_high\"}}", "referralRequest.risk", "no such code");
	refused(CONTENT, "{\"referralRequest\": {\"risk\": \"1\"}}", "referralRequest.risk", "no such code");

	/* A code of a later version, as it may lie in a stored message, is shown and not lost. */
	Kinward__V1__ReferralEvent event = KINWARD__V1__REFERRAL_EVENT__INIT;
	event.state = (Kinward__V1__ReferralState)77;
	write_is(&event.base, "{\"state\":77}");
	round_trip(CONTENT, "{\"uascRegistration\": {\"concerns\": [\"CONCERN_NEGLECT\", \"CONCERN_CAAFAG\"]}}",
		"{\"uascRegistration\":{\"concerns\":[\"CONCERN_NEGLECT\",\"CONCERN_CAAFAG\"]}}");
}

static void test_json_a_oneof_has_one_member_and_zero_counts_as_set(void **state)
{
	(void)state;
	round_trip(REQUEST, "{\"id\": 3, \"status\": {}}", "{\"id\":\"3\",\"status\":{}}");
	round_trip(REQUEST, "{\"status\": {}, \"keys\": null}", "{\"status\":{}}");
	refused(REQUEST, "{\"status\": {}, \"keys\": {}}", "status", "only one may be set");
	const char *infant = "{\"uascRegistration\":{\"age\":{\"years\":0}}}";
	round_trip(CONTENT, infant, infant);
}

static void test_json_text_keeps_every_script(void **state)
{
	(void)state;
	const char *text = "{\"referralRequest\":{\"reason\":\"عبد \xf0\x9f\x98\x80 \\n \\\"\"}}";
	round_trip(CONTENT, text, text);
	refused(CONTENT, "{\"referralRequest\": {\"reason\": 5}}", "referralRequest.reason", "string");

	Kinward__V1__ReferralEvent event = KINWARD__V1__REFERRAL_EVENT__INIT;
	event.note = (char *)(uintptr_t)"\xff";
	json_t *tree = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_write(&event.base, &tree, &fault), KW_EFORMAT);
	assert_null(tree);
	assert_string_equal(fault.path, "note");
}

static void test_json_booleans_are_booleans(void **state)
{
	(void)state;
	round_trip(REQUEST, "{\"inbox\": {\"all\": true}}", "{\"inbox\":{\"all\":true}}");
	refused(REQUEST, "{\"inbox\": {\"all\": 1}}", "inbox.all", "true or false");
	refused(REQUEST, "{\"inbox\": {\"all\": \"true\"}}", "inbox.all", "true or false");
}

static void test_json_broken_text_is_refused_with_its_place_and_without_its_content(void **state)
{
	(void)state;
	static const char *const TEXTS[] = {"", "{", "{\"versionMin\": }", "{\"versionMin\": 1} x", "nul", "{\"a\": \"\xff\"}",
		"{\"features\": \"\\u0000\"}", "{\"versionMin\": 1, \"versionMin\": 1}", "{\"features\": 18446744073709551616}"};
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		ProtobufCMessage *message = NULL;
		struct json_fault fault;
		assert_int_equal(json_map_parse(HELLO, kw_view_str(TEXTS[i]), &message, &fault), KW_EFORMAT);
		assert_null(message);
		assert_true(fault.line >= 1);
	}
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_parse(HELLO, kw_view_str("{\n\"name\": \"Amina\" \"Deng\"}"), &message, &fault), KW_EFORMAT);
	assert_int_equal(fault.line, 2);
	assert_null(strstr(fault.rule, "Amina"));
	assert_null(strstr(fault.rule, "Deng"));
}

/* `count` values in one array, in a text of the caller's to free. */
static char *many(size_t count)
{
	char *text = malloc(count * 3 + 64);
	size_t n = (size_t)snprintf(text, 64, "{\"cursors\":[{}");
	for (size_t i = 1; i < count; i++) {
		memcpy(text + n, ",{}", 3);
		n += 3;
	}
	memcpy(text + n, "]}", 3);
	return text;
}

static void test_json_limits_hold_at_max_and_refuse_beyond(void **state)
{
	(void)state;
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	char *text = many(JSON_VALUES_MAX);
	assert_int_equal(json_map_parse(HELLO, kw_view_str(text), &message, &fault), KW_OK);
	protobuf_c_message_free_unpacked(message, NULL);
	free(text);
	message = NULL;
	text = many(JSON_VALUES_MAX + 1);
	assert_int_equal(json_map_parse(HELLO, kw_view_str(text), &message, &fault), KW_ETOOBIG);
	assert_null(message);
	free(text);

	text = malloc(JSON_TEXT_SIZE_MAX + 1);
	memset(text, ' ', JSON_TEXT_SIZE_MAX + 1);
	memcpy(text, "{}", 2);
	assert_int_equal(json_map_parse(HELLO, KW_VIEW(text, JSON_TEXT_SIZE_MAX), &message, &fault), KW_OK);
	protobuf_c_message_free_unpacked(message, NULL);
	assert_int_equal(json_map_parse(HELLO, KW_VIEW(text, JSON_TEXT_SIZE_MAX + 1), &message, &fault), KW_ETOOBIG);
	free(text);

	/* Nesting that jansson itself would only stop much later. */
	char deep[4096];
	memset(deep, '[', sizeof(deep));
	assert_int_equal(json_map_parse(HELLO, KW_VIEW(deep, sizeof(deep)), &message, &fault), KW_EFORMAT);
}

static void test_json_a_long_unknown_name_is_cut_not_overrun(void **state)
{
	(void)state;
	char text[2048];
	memset(text, 'a', sizeof(text));
	memcpy(text, "{\"cursors\":[{\"", 14);
	memcpy(text + sizeof(text) - 8, "\":1}]}", 7);
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	assert_int_equal(json_map_parse(HELLO, kw_view_str(text), &message, &fault), KW_EFIELD);
	assert_int_equal(strlen(fault.path), JSON_PATH_SIZE_MAX);
}

static void test_json_base64_has_the_vectors_of_rfc_4648(void **state)
{
	(void)state;
	static const char *const PAIRS[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < sizeof(PAIRS) / sizeof(PAIRS[0]); i++) {
		char *text = NULL;
		assert_int_equal(json_base64(kw_view_str(PAIRS[i][0]), &text), KW_OK);
		assert_string_equal(text, PAIRS[i][1]);
		free(text);
		struct kw_buf bytes;
		kw_buf_init(&bytes, 64);
		assert_int_equal(json_unbase64(kw_view_str(PAIRS[i][1]), &bytes), KW_OK);
		assert_true(kw_view_equal(kw_buf_view(&bytes), kw_view_str(PAIRS[i][0])));
		kw_buf_fini(&bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_names_are_lower_camel_and_both_spellings_are_read),
		cmocka_unit_test(test_json_64_bit_numbers_are_strings_and_exact),
		cmocka_unit_test(test_json_32_bit_ranges_are_exact),
		cmocka_unit_test(test_json_defaults_and_null_are_left_out),
		cmocka_unit_test(test_json_repeated_messages_keep_order_and_name_the_index),
		cmocka_unit_test(test_json_bytes_are_base64_of_either_alphabet),
		cmocka_unit_test(test_json_enums_go_by_name_without_loss),
		cmocka_unit_test(test_json_a_oneof_has_one_member_and_zero_counts_as_set),
		cmocka_unit_test(test_json_text_keeps_every_script),
		cmocka_unit_test(test_json_booleans_are_booleans),
		cmocka_unit_test(test_json_broken_text_is_refused_with_its_place_and_without_its_content),
		cmocka_unit_test(test_json_limits_hold_at_max_and_refuse_beyond),
		cmocka_unit_test(test_json_a_long_unknown_name_is_cut_not_overrun),
		cmocka_unit_test(test_json_base64_has_the_vectors_of_rfc_4648),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
