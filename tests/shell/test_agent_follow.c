#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/shell/agent_inner.h"

/* What stays to be said when it cannot be said now: every kind of follow-up with every error. */

enum ending {
	WAITS,  /* stays, whatever hinders it, while there is something to say */
	HEARD,  /* likewise, but not when it is no message at all */
	PASSES  /* leaves when the agency is gone: another has it, or it is said anew */
};

static const enum ending endings[SPOOL_FOLLOW_COUNT] = {
	[SPOOL_FOLLOW_STATE] = HEARD,
	[SPOOL_FOLLOW_CONSENT] = WAITS,
	[SPOOL_FOLLOW_ERASE] = WAITS,
	[SPOOL_FOLLOW_ACK] = WAITS,
	[SPOOL_FOLLOW_OFFER] = PASSES,
	[SPOOL_FOLLOW_LEASE] = PASSES,
	[SPOOL_FOLLOW_CLOSE] = PASSES,
	[SPOOL_FOLLOW_WITHDRAW] = HEARD,
	[SPOOL_FOLLOW_REFERRAL] = PASSES,
	[SPOOL_FOLLOW_DIRECTORY] = PASSES,
	[SPOOL_FOLLOW_CONTENT] = PASSES,
};

static bool wanted(enum ending ending, enum kw_err err)
{
	if (err == KW_EILLEGAL)
		return false;
	if (err == KW_EFIELD)
		return ending == WAITS;
	if (err == KW_ENOAGENCY || err == KW_EDENIED)
		return ending != PASSES;
	return true;
}

static void test_follow_ups_that_stay(void **state)
{
	(void)state;
	for (int what = 0; what < SPOOL_FOLLOW_COUNT; what++) {
		for (int err = KW_OK + 1; err < KW_ERR_COUNT; err++) {
			struct spool_follow follow = {.what = (enum spool_follow_what)what};
			if (agent_follow_stays(&follow, (enum kw_err)err) != wanted(endings[what], (enum kw_err)err))
				fail_msg("follow-up %d with %s", what, kw_err_name((enum kw_err)err));
		}
	}
}

/* The three that ask and answer about consent, in words of their own. */
static void test_a_withdrawal_outlasts_every_absence(void **state)
{
	(void)state;
	for (int what = SPOOL_FOLLOW_CONSENT; what <= SPOOL_FOLLOW_ACK; what++) {
		struct spool_follow follow = {.what = (enum spool_follow_what)what};
		assert_true(agent_follow_stays(&follow, KW_ENOAGENCY));
		assert_true(agent_follow_stays(&follow, KW_EDENIED));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follow_ups_that_stay),
		cmocka_unit_test(test_a_withdrawal_outlasts_every_absence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
