#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/kit/sim.h"

/* Positive controls: a world with a known fault in it must be found out (sim_must_catch). KW_SIM_MUTANT=name runs one alone. */

/* A mutant that so many seeds do not find is a hole in the simulation. */
#define SEEDS_MAX 200u

static void must_be_caught(enum world_mutant mutant)
{
	sim_must_catch(mutant, false, SEEDS_MAX);
}

static void test_no_dedup_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_NO_DEDUP);
}

static void test_ack_before_commit_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ACK_BEFORE_COMMIT);
}

static void test_lost_rows_are_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_LOSE_ACKED);
}

static void test_no_resend_on_a_new_epoch_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_NO_RESEND_ON_EPOCH);
}

static void test_lost_lists_of_what_is_sealed_again_are_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_REKEY_VOLATILE);
}

static void test_sealing_again_each_time_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_REKEY_EACH_TIME);
}

static void test_sealing_again_what_is_put_off_is_caught(void **state)
{
	(void)state;
	sim_must_catch(WORLD_REKEY_PUT_OFF, false, 1000); /* seldom: a hub put back from a backup, and full */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_dedup_is_caught),
		cmocka_unit_test(test_ack_before_commit_is_caught),
		cmocka_unit_test(test_lost_rows_are_caught),
		cmocka_unit_test(test_no_resend_on_a_new_epoch_is_caught),
		cmocka_unit_test(test_lost_lists_of_what_is_sealed_again_are_caught),
		cmocka_unit_test(test_sealing_again_each_time_is_caught),
		cmocka_unit_test(test_sealing_again_what_is_put_off_is_caught),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
