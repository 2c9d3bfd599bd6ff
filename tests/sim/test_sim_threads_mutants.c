#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/kit/sim.h"

/* Positive controls with threads: a known fault in one must be found out (sim_must_catch). KW_SIM_MUTANT=name runs one alone. */

/* A mutant that so many seeds do not find is a hole in the simulation. */
#define SEEDS_MAX 2000u

static void must_be_caught(enum world_mutant mutant)
{
	sim_must_catch(mutant, true, SEEDS_MAX);
}

static void test_an_owner_that_withdraws_alone_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_WITHDRAW_ALONE);
}

static void test_an_early_event_out_of_order_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_EARLY_AT_ONCE);
}

static void test_a_lost_follow_up_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_FOLLOW_VOLATILE);
}

static void test_a_transfer_that_expires_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_TRANSFER_EXPIRES);
}

static void test_a_claim_in_memory_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_CLAIM_IN_MEMORY);
}

static void test_an_erasure_that_a_crash_undoes_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_VOLATILE);
}

static void test_an_erasure_that_is_forgotten_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_NO_TOMB);
}

static void test_a_reminder_apart_from_its_clock_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_REMINDER_APART);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_owner_that_withdraws_alone_is_caught),
		cmocka_unit_test(test_an_early_event_out_of_order_is_caught),
		cmocka_unit_test(test_a_lost_follow_up_is_caught),
		cmocka_unit_test(test_a_transfer_that_expires_is_caught),
		cmocka_unit_test(test_a_claim_in_memory_is_caught),
		cmocka_unit_test(test_an_erasure_that_a_crash_undoes_is_caught),
		cmocka_unit_test(test_an_erasure_that_is_forgotten_is_caught),
		cmocka_unit_test(test_a_reminder_apart_from_its_clock_is_caught),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
