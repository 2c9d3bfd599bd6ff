#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/kit/sim.h"

/* Positive controls with threads: a known fault in one must be found out (sim_must_catch). KW_SIM_MUTANT=name runs one alone. */

/* A mutant that so many seeds do not find is a hole in the simulation. */
#define SEEDS_MAX 8000u

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

static void test_a_pseudonym_that_comes_back_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_NAMES_BACK);
}

static void test_done_before_the_key_is_gone_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_DONE_EARLY);
}

static void test_done_too_early_when_both_asked_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_OWN_EARLY);
}

static void test_an_answer_that_is_not_true_any_more_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_STALE_ANSWER);
}

static void test_a_holder_that_asks_nobody_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_NOT_ONWARD);
}

static void test_a_question_that_is_asked_once_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_ASKS_ONCE);
}

static void test_an_answer_that_is_said_once_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_ANSWERS_ONCE);
}

static void test_a_lost_question_that_counts_as_answered_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_LOST_IS_DONE);
}

static void test_an_answer_after_done_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_LAST_ANSWER);
}

static void test_what_informs_taken_for_the_question_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ERASE_BESIDE);
}

static void test_a_recalled_acceptance_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_RECALL_ALL);
}

static void test_an_acceptance_undone_too_late_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_ACCEPTANCE_UNDONE);
}

static void test_a_former_owner_that_offers_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_OFFER_ONCE_GIVEN);
}

static void test_a_hub_believed_beyond_its_memory_is_caught(void **state)
{
	(void)state;
	must_be_caught(WORLD_NEW_HUB_KNOWS);
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
		cmocka_unit_test(test_a_pseudonym_that_comes_back_is_caught),
		cmocka_unit_test(test_done_before_the_key_is_gone_is_caught),
		cmocka_unit_test(test_done_too_early_when_both_asked_is_caught),
		cmocka_unit_test(test_an_answer_that_is_not_true_any_more_is_caught),
		cmocka_unit_test(test_a_holder_that_asks_nobody_is_caught),
		cmocka_unit_test(test_a_question_that_is_asked_once_is_caught),
		cmocka_unit_test(test_an_answer_that_is_said_once_is_caught),
		cmocka_unit_test(test_a_lost_question_that_counts_as_answered_is_caught),
		cmocka_unit_test(test_an_answer_after_done_is_caught),
		cmocka_unit_test(test_what_informs_taken_for_the_question_is_caught),
		cmocka_unit_test(test_a_recalled_acceptance_is_caught),
		cmocka_unit_test(test_an_acceptance_undone_too_late_is_caught),
		cmocka_unit_test(test_a_former_owner_that_offers_is_caught),
		cmocka_unit_test(test_a_hub_believed_beyond_its_memory_is_caught),
		cmocka_unit_test(test_a_reminder_apart_from_its_clock_is_caught),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
