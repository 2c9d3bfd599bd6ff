#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/hold.h"

/* First messages that wait for the keys of their agency. */

static struct kw_name name(const char *text)
{
	struct kw_name out = {.text = {0}};
	memcpy(out.text, text, strlen(text));
	return out;
}

static enum kw_err add(struct hold *hold, const char *agency, uint32_t lifetime)
{
	struct kw_name to = name(agency);
	Kinward__V1__SendRequest request = KINWARD__V1__SEND_REQUEST__INIT;
	request.agency = to.text;
	request.lifetime_hours = lifetime;
	return hold_add(hold, &to, &request, NULL);
}

static bool waits_for_b(void *user, const struct kw_name *agency)
{
	(void)user;
	return strcmp(agency->text, "agency-b") == 0;
}

/* Frees the list; the lifetimes of what was in it, in order, as digits. */
static const char *digits(struct hold_one *one)
{
	static char out[128];
	size_t count = 0;
	while (one != NULL) {
		struct hold_one *next = one->next;
		Kinward__V1__SendRequest *request = kinward__v1__send_request__unpack(NULL, one->request.size, one->request.data);
		assert_non_null(request);
		assert_string_equal(request->agency, one->agency.text);
		out[count++] = (char)('0' + request->lifetime_hours % 10);
		kinward__v1__send_request__free_unpacked(request, NULL);
		hold_free(one);
		one = next;
	}
	out[count] = '\0';
	return out;
}

static void test_those_whose_answer_has_come_go_in_their_order(void **state)
{
	(void)state;
	struct hold hold = {.count = 0};
	assert_int_equal(add(&hold, "agency-c", 1), KW_OK);
	assert_int_equal(add(&hold, "agency-b", 2), KW_OK);
	assert_int_equal(add(&hold, "agency-c", 3), KW_OK);
	assert_int_equal(add(&hold, "agency-b", 4), KW_OK);
	assert_string_equal(digits(hold_take(&hold, false, waits_for_b, NULL)), "13");
	assert_int_equal(hold.count, 2);
	assert_string_equal(digits(hold_take(&hold, false, waits_for_b, NULL)), "");
	assert_int_equal(add(&hold, "agency-b", 5), KW_OK);
	for (uint32_t i = 1; i < HOLD_S; i++)
		assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "");
	assert_int_equal(add(&hold, "agency-b", 6), KW_OK); /* it came later */
	assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "245");
	assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "6");
	assert_int_equal(hold.count, 0);
}

static void test_64_wait_and_no_more(void **state)
{
	(void)state;
	struct hold hold = {.count = 0};
	for (uint32_t i = 0; i < HOLD_MAX; i++)
		assert_int_equal(add(&hold, "agency-b", 7), KW_OK);
	assert_int_equal(add(&hold, "agency-b", 7), KW_EFULL);
	assert_int_equal(hold.count, HOLD_MAX);
	for (uint32_t i = 1; i < HOLD_S; i++)
		assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "");
	assert_int_equal(strlen(digits(hold_take(&hold, true, waits_for_b, NULL))), HOLD_MAX);
	assert_int_equal(add(&hold, "agency-b", 7), KW_OK);
	assert_string_equal(digits(hold_take(&hold, false, waits_for_b, NULL)), "");
	for (uint32_t i = 1; i < HOLD_S; i++)
		assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "");
	assert_string_equal(digits(hold_take(&hold, true, waits_for_b, NULL)), "7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_those_whose_answer_has_come_go_in_their_order),
		cmocka_unit_test(test_64_wait_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
