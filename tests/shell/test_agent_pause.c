#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/shell/agent_inner.h"

/* What cannot be sent, because an agency is shut out or gone, is tried again ever more rarely, and is not given up. */

static uint32_t seconds_until_due(struct agent_pause *pause)
{
	uint32_t seconds = 1;
	while (!agent_pause_tick(pause)) {
		seconds++;
		assert_true(seconds <= AGENT_PAUSE_MAX);
	}
	return seconds;
}

static void test_pause_grows_and_ends(void **state)
{
	(void)state;
	struct agent_pause pause = {0};
	assert_false(agent_pause_tick(&pause)); /* nothing failed */
	uint32_t want = AGENT_PAUSE_MIN;
	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < 64; i++) /* however many fail in one round */
			agent_pause_begin(&pause);
		agent_pause_round(&pause, false);
		agent_pause_round(&pause, true);
		assert_int_equal(seconds_until_due(&pause), want);
		assert_false(agent_pause_tick(&pause));
		want = want * 2 > AGENT_PAUSE_MAX ? AGENT_PAUSE_MAX : want * 2;
	}
	agent_pause_round(&pause, false); /* there is more to come, which may fail */
	agent_pause_begin(&pause);
	assert_int_equal(seconds_until_due(&pause), AGENT_PAUSE_MAX);
	agent_pause_round(&pause, true);
	agent_pause_begin(&pause);
	assert_int_equal(seconds_until_due(&pause), AGENT_PAUSE_MIN);
}

/* A receipt waits 0 to 30 seconds, with all that come meanwhile; what is urgent does not, and does not end the wait. */
static void test_receipts_wait_for_company(void **state)
{
	(void)state;
	bool seen[AGENT_JITTER_MAX + 1] = {false};
	for (uint32_t drawn = 0; drawn < 200; drawn++) {
		struct agent_jitter jitter = {0};
		uint32_t seconds = 1;
		assert_false(agent_jitter_tick(&jitter)); /* nobody waits */
		assert_true(agent_jitter_leaves(&jitter, true, drawn));
		assert_false(jitter.waits);
		assert_false(agent_jitter_leaves(&jitter, false, drawn));
		assert_false(agent_jitter_leaves(&jitter, false, drawn + 7)); /* the second draws nothing */
		assert_int_equal(jitter.left, drawn % 31);
		seen[jitter.left] = true;
		uint32_t want = jitter.left > 0 ? jitter.left : 1;
		assert_true(agent_jitter_leaves(&jitter, true, drawn));
		while (!agent_jitter_tick(&jitter)) {
			seconds++;
			assert_true(seconds <= AGENT_JITTER_MAX);
		}
		assert_int_equal(seconds, want);
		assert_true(agent_jitter_leaves(&jitter, false, drawn)); /* also what came since */
		agent_jitter_end(&jitter);
		assert_false(agent_jitter_leaves(&jitter, false, drawn));
	}
	for (uint32_t i = 0; i <= AGENT_JITTER_MAX; i++)
		assert_true(seen[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_grows_and_ends),
		cmocka_unit_test(test_receipts_wait_for_company),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
