/* agent/core/thread_need.c: what a person is needed for, in every state, at both ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/core/thread.h"

static void test_what_a_person_is_needed_for(void **state)
{
	(void)state;
	unsigned undelivered = 0, expired = 0;
	for (int kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			for (int party = KW_PARTY_OPENER; party <= KW_PARTY_OTHER && kw_state_name(kind, s) != NULL; party++) {
				struct agt_thread thread = {.kind = kind, .state = s, .party = party};
				enum agt_thread_need before = agt_thread_need(&thread, 199), late = agt_thread_need(&thread, 200);
				bool ours = kind == KW_THREAD_REFERRAL && party == KW_PARTY_OPENER;
				enum agt_thread_need wanted = ours && s == KW_REFERRAL_UNDELIVERABLE ? AGT_NEED_UNDELIVERED :
					ours && s == KW_REFERRAL_EXPIRED ? AGT_NEED_EXPIRED : AGT_NEED_NONE;
				assert_int_equal(before, wanted);
				assert_int_equal(agt_thread_need(&thread, 0), wanted);
				assert_int_equal(late, wanted != AGT_NEED_NONE || !kw_state_is_open(kind, s) ? wanted : AGT_NEED_TELEPHONE);
				undelivered += wanted == AGT_NEED_UNDELIVERED;
				expired += wanted == AGT_NEED_EXPIRED;
			}
		}
	}
	assert_true(undelivered == 1 && expired == 1);
	struct agt_thread none = {0};
	assert_int_equal(agt_thread_need(&none, 200), AGT_NEED_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_person_is_needed_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
