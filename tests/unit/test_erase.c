/* agent/core/erase.c: what becomes of one thread whose consent is withdrawn, rule by rule. That many agents which keep the
 * rules reach every holder is shown by tests/sim/test_sim_threads.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/core/erase.h"

#define RESTRICT (AGT_ERASE_ACTION + 1u)
#define CONSENT (1u << AGT_ERASE_SAY_CONSENT)
#define ERASE (1u << AGT_ERASE_SAY_ERASE)
#define ACK (1u << AGT_ERASE_SAY_ACK)

struct bench {
	struct agt_erase row;
	struct agt_erase_result result;
};

/* Steps, and returns what is said. */
static unsigned step(struct bench *b, struct agt_erase_event event)
{
	agt_erase_step(&b->row, &event, &b->result);
	b->row = b->result.next;
	return b->result.say;
}
#define STEP(b, kind, ...) step(b, (struct agt_erase_event){.type = AGT_ERASE_EV_##kind, __VA_ARGS__})
#define E .action = AGT_ERASE_ACTION
#define R .action = RESTRICT

static void test_erase_is_asked_once(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, ASK, E), CONSENT | ERASE);
	assert_true(b.result.recall && b.result.shred && b.result.withdraw && b.result.fresh && !b.result.onward);
	assert_true(agt_erase_is_over(&b.row));
	assert_int_equal(STEP(&b, ASK, E, .passed_on = true), 0);
	assert_false(b.result.changed || b.row.passed_on);
	assert_int_equal(STEP(&b, ASK, R), 0);
	assert_false(b.result.changed);
}

static void test_a_restriction_can_become_an_erasure(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, ASK, R), CONSENT);
	assert_true(!b.result.recall && !b.result.shred && b.result.withdraw);
	assert_false(agt_erase_hides(&b.row)); /* ours is ours to use; theirs is restricted */
	(void)STEP(&b, ANSWERED, R, .outcome = AGT_ERASE_DONE);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	assert_int_equal(STEP(&b, ASK, R), 0);
	assert_int_equal(STEP(&b, ASK, E), CONSENT | ERASE);
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN); /* that answer was about less */
}

static void test_done_is_said_when_the_key_is_gone(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, ASKED, E), 0);
	assert_true(b.result.shred && b.result.onward && b.result.fresh && !b.result.withdraw);
	assert_true(agt_erase_is_over(&b.row)); /* nothing is shown or kept from now on */
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN);
	assert_int_equal(STEP(&b, ASKED, E), 0);
	assert_false(b.result.changed);
	assert_int_equal(STEP(&b, SHREDDED, ), ACK);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	assert_int_equal(STEP(&b, SHREDDED, ), 0);
	assert_int_equal(STEP(&b, ASKED, E), ACK); /* it asks again */
}

/* Who asked us has erased its own, but may have asked for this thread alone: asked back, it asks those that it told. */
static void test_who_asked_for_one_thread_is_asked_for_the_case(void **state)
{
	(void)state;
	struct bench done = {0}, open = {0}, due = {0}, kept = {0}, passed = {0};
	(void)STEP(&done, ASKED, E);
	(void)STEP(&done, SHREDDED, );
	assert_int_equal(STEP(&done, ASK, E), ERASE | ACK); /* and again what it may not have heard: it is true */
	assert_true(done.row.role == AGT_ERASE_OWN && done.row.outcome == AGT_ERASE_OPEN && !done.result.shred);
	assert_int_equal(STEP(&done, ASK, E), 0);
	(void)STEP(&done, ANSWERED, E, .outcome = AGT_ERASE_DONE);
	assert_int_equal(done.row.outcome, AGT_ERASE_DONE);

	(void)STEP(&open, ASKED, E);
	assert_int_equal(STEP(&open, ASK, E), ERASE); /* our answer waits for the key */
	assert_false(open.result.shred);
	assert_int_equal(STEP(&open, SHREDDED, ), ACK);

	(void)STEP(&due, ASKED, E, .manual = true);
	assert_int_equal(STEP(&due, ASK, E), ERASE);
	assert_true(due.result.shred && !due.row.due && agt_erase_is_over(&due.row));
	assert_int_equal(STEP(&due, SHREDDED, ), ACK);

	(void)STEP(&kept, ASKED, E, .manual = true);
	(void)STEP(&kept, DECIDED, .outcome = AGT_ERASE_RETAINED);
	assert_int_equal(STEP(&kept, ASK, E), 0); /* the law stands */
	(void)STEP(&passed, ASKED, E);
	assert_int_equal(STEP(&passed, ASK, E, .passed_on = true), 0); /* or two would ask each other for ever */
}

/* Both ask at the same moment: each had told others, and has to ask them. */
static void test_questions_that_cross_reach_those_behind(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASK, E);
	(void)STEP(&b, ASKED, E);
	assert_true(b.row.role == AGT_ERASE_OWN && b.result.onward && b.result.changed);
	(void)STEP(&b, ASKED, E);
	assert_false(b.result.onward);
}

static void test_a_restriction_is_answered_at_once(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, ASKED, R, .manual = true), ACK);
	assert_true(agt_erase_hides(&b.row));
	assert_false(agt_erase_is_over(&b.row)); /* it is all there */
	assert_false(b.result.shred);
	assert_true(b.result.onward); /* those that we told are restricted like us */
	assert_int_equal(STEP(&b, ASKED, R), ACK);
	assert_false(b.result.onward);
	assert_int_equal(STEP(&b, ASKED, E), 0);
	assert_true(b.result.shred && b.result.onward);
}

static void test_where_a_person_decides_nothing_goes_by_itself(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, ASKED, E, .manual = true), 0);
	assert_true(b.row.due && !b.result.shred && !b.result.onward);
	assert_false(agt_erase_hides(&b.row));
	assert_int_equal(STEP(&b, ASKED, E, .manual = true), 0);
	assert_int_equal(STEP(&b, SHREDDED, ), 0);
	assert_int_equal(STEP(&b, DECIDED, .outcome = AGT_ERASE_RETAINED), ACK);
	assert_true(b.result.onward); /* the law that binds us does not bind those that we told */
	assert_false(agt_erase_hides(&b.row) || b.row.due);
	assert_int_equal(STEP(&b, ASKED, E, .manual = true), ACK);
	assert_int_equal(STEP(&b, DECIDED, .outcome = AGT_ERASE_DONE), 0); /* the law does not forbid it any more */
	assert_true(b.result.shred && b.result.onward);
	assert_int_equal(STEP(&b, DECIDED, .outcome = AGT_ERASE_RETAINED), 0);
	assert_false(b.result.changed); /* too late */
	assert_int_equal(STEP(&b, SHREDDED, ), ACK);
}

static void test_nothing_is_decided_that_nobody_asked(void **state)
{
	(void)state;
	struct bench b = {0};
	assert_int_equal(STEP(&b, DECIDED, .outcome = AGT_ERASE_DONE), 0);
	assert_false(b.result.changed || b.result.shred);
	assert_int_equal(STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_DONE), 0);
	assert_int_equal(STEP(&b, SHREDDED, ), 0);
	assert_int_equal(STEP(&b, SENT, .say = AGT_ERASE_SAY_ERASE, .number = 4), 0);
	assert_int_equal(STEP(&b, DEAD, .number = 4, .reason = KW_EEXPIRED), 0);
	assert_false(b.result.changed || b.row.known);
	(void)STEP(&b, ASK, E);
	assert_int_equal(STEP(&b, DECIDED, .outcome = AGT_ERASE_DONE), 0);
	assert_false(b.result.changed);
}

static void test_when_both_ask_each_answers_when_its_own_is_gone(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASK, E);
	assert_int_equal(STEP(&b, ASKED, E), 0);
	assert_int_equal(b.row.role, AGT_ERASE_OWN);
	assert_int_equal(STEP(&b, SHREDDED, ), ACK);
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN); /* what stands there is their answer */
	assert_int_equal(STEP(&b, ASKED, E), ACK);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_DONE);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	b = (struct bench){0};
	(void)STEP(&b, ASK, E);
	assert_int_equal(STEP(&b, SHREDDED, ), 0);
	assert_int_equal(STEP(&b, ASKED, E), ACK);
}

static void test_an_answer_that_waited_is_said_while_it_is_true(void **state)
{
	(void)state;
	uint8_t outcome = 9;
	struct bench b = {0};
	assert_false(agt_erase_answer(&b.row, &outcome));
	(void)STEP(&b, ASKED, R);
	assert_true(agt_erase_answer(&b.row, &outcome));
	assert_int_equal(outcome, AGT_ERASE_DONE);
	(void)STEP(&b, ASK, E); /* our own question takes its place, and the other side never asked for this */
	assert_false(agt_erase_answer(&b.row, &outcome));
	(void)STEP(&b, ASKED, E);
	assert_false(agt_erase_answer(&b.row, &outcome)); /* the key is there */
	(void)STEP(&b, SHREDDED, );
	assert_true(agt_erase_answer(&b.row, &outcome));
	b = (struct bench){0};
	(void)STEP(&b, ASKED, E, .manual = true);
	assert_false(agt_erase_answer(&b.row, &outcome));
	(void)STEP(&b, DECIDED, .outcome = AGT_ERASE_RETAINED);
	assert_true(agt_erase_answer(&b.row, &outcome));
	assert_int_equal(outcome, AGT_ERASE_RETAINED);
	(void)STEP(&b, DECIDED, .outcome = AGT_ERASE_DONE);
	assert_false(agt_erase_answer(&b.row, &outcome));
}

static void test_after_done_nothing_is_heard(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASK, E);
	(void)STEP(&b, ANSWERED, R, .outcome = AGT_ERASE_DONE); /* of an earlier question */
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_FAILED, .reason = KW_EIO);
	assert_int_equal(b.row.failure, KW_EIO);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_RETAINED);
	assert_int_equal(b.row.outcome, AGT_ERASE_RETAINED);
	assert_int_equal(b.row.failure, KW_OK);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_DONE);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_RETAINED); /* the first one came round by another way */
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	b = (struct bench){0};
	(void)STEP(&b, ASKED, E);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_DONE); /* nobody answers for us */
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN);
}

static void test_a_question_that_is_lost_is_asked_again(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASK, E);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ERASE, .number = 4);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_CONSENT, .number = 5);
	assert_int_equal(STEP(&b, DEAD, .number = 5, .reason = KW_EEXPIRED), 0);
	assert_int_equal(STEP(&b, DEAD, .number = 4, .reason = KW_EUNCONFIRMED), ERASE);
	assert_int_equal(b.row.failure, KW_OK);
	assert_int_equal(STEP(&b, DEAD, .number = 4, .reason = KW_EEXPIRED), 0); /* once */
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ERASE, .number = 6);
	assert_int_equal(STEP(&b, DEAD, .number = 6, .reason = KW_EDENIED), ERASE);
	assert_int_equal(b.row.failure, KW_EDENIED); /* until it is on its way */
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ERASE, .number = 7);
	assert_int_equal(b.row.failure, KW_OK);
	assert_int_equal(STEP(&b, DEAD, .number = 7, .reason = KW_ETOOBIG), 0);
	assert_int_equal(b.row.failure, KW_ETOOBIG);
	(void)STEP(&b, ANSWERED, E, .outcome = AGT_ERASE_DONE);
	assert_int_equal(STEP(&b, DEAD, .number = 7, .reason = KW_EEXPIRED), 0); /* it had arrived */
	b = (struct bench){0};
	(void)STEP(&b, ASK, R);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_CONSENT, .number = 8);
	assert_int_equal(STEP(&b, DEAD, .number = 8, .reason = KW_EEXPIRED), CONSENT);
}

static void test_an_answer_that_is_lost_is_said_again(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASKED, E);
	(void)STEP(&b, SHREDDED, );
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ACK, .number = 4);
	assert_int_equal(STEP(&b, DEAD, .number = 4, .reason = KW_EEXPIRED), ACK);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ACK, .number = 5);
	assert_int_equal(STEP(&b, DEAD, .number = 5, .reason = KW_ETOOBIG), 0);
	b = (struct bench){0}; /* what was said is not true any more, and the next one comes */
	(void)STEP(&b, ASKED, E, .manual = true);
	(void)STEP(&b, DECIDED, .outcome = AGT_ERASE_RETAINED);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ACK, .number = 6);
	(void)STEP(&b, DECIDED, .outcome = AGT_ERASE_DONE);
	assert_int_equal(STEP(&b, DEAD, .number = 6, .reason = KW_EEXPIRED), 0);
	assert_int_equal(STEP(&b, SHREDDED, ), ACK);
	b = (struct bench){0}; /* of two that asked, each has a question and an answer under way */
	(void)STEP(&b, ASK, E);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ERASE, .number = 7);
	(void)STEP(&b, SHREDDED, );
	(void)STEP(&b, ASKED, E);
	(void)STEP(&b, SENT, .say = AGT_ERASE_SAY_ACK, .number = 8);
	assert_int_equal(STEP(&b, DEAD, .number = 7, .reason = KW_EEXPIRED), ERASE);
	assert_int_equal(STEP(&b, DEAD, .number = 8, .reason = KW_EEXPIRED), ACK);
}

static void test_whom_it_reaches(void **state)
{
	(void)state;
	static const struct agt_erase_reach person = {0}, thread = {.by_thread = true}, onward = {.told_by_us = true};
	struct agt_thread ours = {.kind = KW_THREAD_REFERRAL, .party = KW_PARTY_OPENER};
	struct agt_thread theirs = {.kind = KW_THREAD_REFERRAL, .party = KW_PARTY_OTHER};
	struct agt_thread offer = {.kind = KW_THREAD_OFFER, .party = KW_PARTY_OPENER};
	struct agt_erase_match named = {.named = true}, same = {.same_id = true}, none = {0};
	assert_true(agt_erase_reaches(&person, &ours, &named));
	assert_true(agt_erase_reaches(&person, &theirs, &named)); /* it holds the case as well */
	assert_false(agt_erase_reaches(&person, &ours, &none));
	assert_false(agt_erase_reaches(&person, &offer, &named));
	assert_true(agt_erase_reaches(&thread, &offer, &same));
	assert_false(agt_erase_reaches(&thread, &ours, &named));
	assert_true(agt_erase_reaches(&onward, &ours, &named));
	assert_false(agt_erase_reaches(&onward, &theirs, &named)); /* it has the case from somebody else */
	named.cause = true;
	assert_false(agt_erase_reaches(&onward, &ours, &named));
}

#define PHOTO .purposes = 32u, .limited = true
#define REPORTS .purposes = 8u, .limited = true

static void test_a_purpose_that_is_withdrawn_leaves_the_thread_and_what_is_shown(void **state)
{
	(void)state;
	struct bench author = {0}, holder = {0};
	assert_int_equal(STEP(&author, ASK, R, PHOTO), CONSENT);
	assert_true(author.result.fresh && !author.result.withdraw && !author.result.shred && !author.result.recall);
	assert_false(agt_erase_ends(&author.row));
	assert_int_equal(STEP(&holder, ASKED, R, PHOTO, .manual = true), ACK);
	assert_int_equal(holder.row.outcome, AGT_ERASE_DONE);
	assert_true(holder.result.onward);
	assert_false(holder.result.shred || agt_erase_hides(&holder.row) || agt_erase_is_over(&holder.row));
	/* Against the whole: the same without `limited` ends it and hides it. */
	struct bench whole = {0}, hidden = {0};
	(void)STEP(&whole, ASK, R, .purposes = 2u);
	(void)STEP(&hidden, ASKED, R, .purposes = 2u);
	assert_true(whole.result.withdraw && agt_erase_ends(&whole.row) && agt_erase_hides(&hidden.row));
}

static void test_purposes_add_up_and_each_is_asked_once(void **state)
{
	(void)state;
	struct bench author = {0}, holder = {0};
	(void)STEP(&author, ASK, R, PHOTO);
	(void)STEP(&author, ANSWERED, R, .outcome = AGT_ERASE_DONE);
	assert_int_equal(STEP(&author, ASK, R, PHOTO), 0);
	assert_int_equal(STEP(&author, ASK, R, REPORTS), CONSENT);
	assert_int_equal(author.row.purposes, 40u);
	assert_int_equal(author.row.outcome, AGT_ERASE_OPEN); /* that answer was about less */
	assert_int_equal(STEP(&author, ASK, R, PHOTO), 0);
	(void)STEP(&holder, ASKED, R, PHOTO);
	assert_int_equal(STEP(&holder, ASKED, R, REPORTS), ACK);
	assert_int_equal(holder.row.purposes, 40u);
	assert_true(holder.row.limited);
	assert_int_equal(STEP(&holder, ASKED, R, PHOTO), ACK); /* it asks again */
	assert_false(holder.result.changed);
}

static void test_a_purpose_gives_way_to_the_whole_and_not_back(void **state)
{
	(void)state;
	struct bench author = {0}, holder = {0};
	(void)STEP(&author, ASK, R, PHOTO);
	assert_int_equal(STEP(&author, ASK, E, .purposes = 2u), CONSENT | ERASE);
	assert_true(!author.row.limited && author.result.withdraw && author.row.purposes == 34u);
	assert_int_equal(STEP(&author, ASK, R, REPORTS), 0);
	(void)STEP(&holder, ASKED, R, PHOTO);
	assert_int_equal(STEP(&holder, ASKED, R, .purposes = 2u), ACK);
	assert_true(agt_erase_hides(&holder.row));
	(void)STEP(&holder, ASKED, R, REPORTS);
	assert_true(agt_erase_hides(&holder.row));
	assert_int_equal(STEP(&holder, ASKED, E), 0);
	assert_true(holder.result.shred);
}

static void test_both_ask_about_purposes_and_both_answer(void **state)
{
	(void)state;
	struct bench b = {0};
	(void)STEP(&b, ASK, R, PHOTO);
	assert_int_equal(STEP(&b, ASKED, R, REPORTS), ACK);
	assert_int_equal(b.row.role, AGT_ERASE_OWN);
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN); /* of our question */
	assert_int_equal(b.row.purposes, 40u);
	assert_false(agt_erase_hides(&b.row) || agt_erase_ends(&b.row));
	(void)STEP(&b, ANSWERED, R, .outcome = AGT_ERASE_DONE);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
}

static void test_an_answer_that_waits_for_the_own_system_leaves_with_the_later_of_two(void **state)
{
	(void)state;
	struct bench key_first = {0}, word_first = {0}, plain = {0};
	assert_int_equal(STEP(&key_first, ASKED, E, .confirm = true), 0);
	assert_true(key_first.result.shred && key_first.result.onward && agt_erase_is_over(&key_first.row));
	assert_int_equal(STEP(&key_first, SHREDDED, ), 0);
	assert_int_equal(key_first.row.outcome, AGT_ERASE_OPEN);
	assert_int_equal(STEP(&key_first, CONFIRMED, ), ACK);
	assert_int_equal(key_first.row.outcome, AGT_ERASE_DONE);
	assert_int_equal(STEP(&key_first, CONFIRMED, ), 0);

	(void)STEP(&word_first, ASKED, E, .confirm = true);
	assert_int_equal(STEP(&word_first, CONFIRMED, ), 0);
	assert_int_equal(word_first.row.outcome, AGT_ERASE_OPEN);
	assert_int_equal(STEP(&word_first, SHREDDED, ), ACK);

	(void)STEP(&plain, ASKED, E);
	assert_int_equal(STEP(&plain, SHREDDED, ), ACK); /* without the setting the word changes nothing */
	assert_int_equal(STEP(&plain, CONFIRMED, ), 0);
	assert_false(plain.result.changed);
}

static void test_a_restriction_waits_for_the_own_system_and_hides_meanwhile(void **state)
{
	(void)state;
	struct bench b = {0}, due = {0};
	assert_int_equal(STEP(&b, ASKED, R, .confirm = true), 0);
	assert_int_equal(b.row.outcome, AGT_ERASE_OPEN);
	assert_true(agt_erase_hides(&b.row));
	assert_int_equal(STEP(&b, CONFIRMED, ), ACK);
	assert_int_equal(b.row.outcome, AGT_ERASE_DONE);
	/* Where a person decides, the decision is the word. */
	(void)STEP(&due, ASKED, E, .confirm = true, .manual = true);
	(void)STEP(&due, DECIDED, .outcome = AGT_ERASE_DONE);
	assert_int_equal(STEP(&due, SHREDDED, ), ACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_that_waits_for_the_own_system_leaves_with_the_later_of_two),
		cmocka_unit_test(test_a_restriction_waits_for_the_own_system_and_hides_meanwhile),
		cmocka_unit_test(test_a_purpose_that_is_withdrawn_leaves_the_thread_and_what_is_shown),
		cmocka_unit_test(test_purposes_add_up_and_each_is_asked_once),
		cmocka_unit_test(test_a_purpose_gives_way_to_the_whole_and_not_back),
		cmocka_unit_test(test_both_ask_about_purposes_and_both_answer),
		cmocka_unit_test(test_erase_is_asked_once),
		cmocka_unit_test(test_a_restriction_can_become_an_erasure),
		cmocka_unit_test(test_done_is_said_when_the_key_is_gone),
		cmocka_unit_test(test_who_asked_for_one_thread_is_asked_for_the_case),
		cmocka_unit_test(test_questions_that_cross_reach_those_behind),
		cmocka_unit_test(test_a_restriction_is_answered_at_once),
		cmocka_unit_test(test_where_a_person_decides_nothing_goes_by_itself),
		cmocka_unit_test(test_nothing_is_decided_that_nobody_asked),
		cmocka_unit_test(test_when_both_ask_each_answers_when_its_own_is_gone),
		cmocka_unit_test(test_an_answer_that_waited_is_said_while_it_is_true),
		cmocka_unit_test(test_after_done_nothing_is_heard),
		cmocka_unit_test(test_a_question_that_is_lost_is_asked_again),
		cmocka_unit_test(test_an_answer_that_is_lost_is_said_again),
		cmocka_unit_test(test_whom_it_reaches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
