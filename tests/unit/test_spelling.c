/* proto/wire/spelling.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/spelling.h"

static const char *spelled(const char *path)
{
	static char text[128];
	memcpy(text, path, strlen(path) + 1);
	kw_spell_json(text);
	return text;
}

static void test_a_path_is_spelled_as_in_json(void **state)
{
	(void)state;
	assert_string_equal(spelled("referral_request.consent.child_assent"), "referralRequest.consent.childAssent");
	assert_string_equal(spelled("send.content.children[2].age.as_of.year"), "send.content.children[2].age.asOf.year");
	assert_string_equal(spelled("admin2_pcode"), "admin2Pcode");
	assert_string_equal(spelled(""), "");
}

static void test_a_path_that_is_spelled_so_already_stays(void **state)
{
	(void)state;
	assert_string_equal(spelled("referralRequest.consent.childAssent"), "referralRequest.consent.childAssent");
	assert_string_equal(spelled("children[0].sex"), "children[0].sex");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_is_spelled_as_in_json),
		cmocka_unit_test(test_a_path_that_is_spelled_so_already_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
