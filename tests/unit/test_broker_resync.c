/* broker/core/thread.c: a thread that an undone event has moved away from where its parties are, and back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/thread.h"

#define HOUR_MS 3600000ull
#define DAY_MS (24 * HOUR_MS)
#define NOW (480000ull * HOUR_MS)
#define A 3u /* the sender, by slot */
#define B 5u /* the provider */

struct fix {
	struct brk_thread_rules rules;
	struct brk_thread thread;
	uint64_t now_ms;
};

static enum brk_verdict say(struct fix *f, uint32_t from, uint8_t state, uint32_t sequence, uint8_t present, uint32_t heard)
{
	uint32_t to = from == A ? B : A;
	struct brk_track track = {.id = {{1}}, .kind = KW_THREAD_REFERRAL, .state = state, .risk = KW_RISK_HIGH,
		.sequence = sequence, .from_slot = from, .other_slot = to, .to_slot = to, .present = present, .heard = heard};
	return brk_thread_track(&f->rules, &f->thread, &track, f->now_ms);
}

#define R(name) KW_REFERRAL_##name

/* A's referral, which B has acknowledged. */
static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	kw_clock_limits_default(&f->rules.limits);
	f->rules.keep_ms = 90 * DAY_MS;
	f->now_ms = NOW;
	assert_int_equal(say(f, A, R(QUEUED), 1, R(QUEUED), 0), BRK_TRACK_OPENED);
	assert_int_equal(say(f, B, R(DELIVERED), 0, 0, 0), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, R(ACKNOWLEDGED), 1, R(ACKNOWLEDGED), 1), BRK_TRACK_MOVED);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* B's ACCEPTED never reached A, so B took it back; its place is B's next one's. */
static void test_a_place_that_is_used_again(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(ACCEPTED), 2, R(ACCEPTED), 1), BRK_TRACK_MOVED);
	struct fix old = *f;
	assert_int_equal(say(&old, B, R(REJECTED), 2, 0, 0), BRK_TRACK_REPEAT); /* of an agent that does not say where it is */
	assert_int_equal(old.thread.state, R(ACCEPTED));                        /* wrong for good */
	f->now_ms += HOUR_MS;
	assert_int_equal(say(f, B, R(REJECTED), 2, R(REJECTED), 1), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(REJECTED));
	assert_int_equal(f->thread.sequence[KW_PARTY_OTHER], 2);
	/* And the thread goes on. */
	assert_int_equal(say(f, A, R(CLOSED), 2, R(CLOSED), 2), BRK_TRACK_MOVED);
	assert_false(brk_thread_is_open(&f->thread));
}

/* What could not be read there keeps its place: the next one has another. */
static void test_a_place_that_stays_used(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(REJECTED), 2, R(REJECTED), 1), BRK_TRACK_MOVED); /* A could not read it */
	f->now_ms += HOUR_MS;
	struct fix old = *f;
	assert_int_equal(say(&old, B, R(ACCEPTED), 3, 0, 0), BRK_TRACK_ILLEGAL);
	assert_int_equal(say(f, B, R(ACCEPTED), 3, R(ACCEPTED), 1), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(ACCEPTED));
	assert_int_equal(f->thread.run.clock, KW_CLOCK_SERVICE);
	assert_int_equal(f->thread.run.started_ms, f->now_ms);
	assert_true(f->thread.due_ms > f->now_ms && f->thread.due_ms <= f->now_ms + DAY_MS); /* reminded as it should be */
}

/* The other party's next word mends it as well, once it has heard the place that was used again. */
static void test_the_other_party_corrects_too(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(REJECTED), 2, R(REJECTED), 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, A, R(CANCEL_REQUESTED), 2, R(CANCEL_REQUESTED), 2), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(CANCEL_REQUESTED));
}

/* Tracks that cross are for the table: who has not heard the other cannot know better. */
static void test_one_that_crossed_corrects_nothing(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, A, R(CANCEL_REQUESTED), 2, R(CANCEL_REQUESTED), 1), BRK_TRACK_MOVED);
	struct fix table = *f;
	enum brk_verdict alone = say(&table, B, R(ACCEPTED), 2, 0, 0);
	assert_int_equal(say(f, B, R(ACCEPTED), 2, R(ACCEPTED), 1), alone); /* it has not heard A's second */
	assert_int_equal(f->thread.state, table.thread.state);
}

/* An agency restored from a backup says again what is old: places below the last say nothing, and in the last one only who has
 * heard the other. */
static void test_an_old_word_corrects_nothing(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(ACCEPTED), 2, R(ACCEPTED), 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, R(SCHEDULED), 3, R(SCHEDULED), 1), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, R(REJECTED), 2, R(REJECTED), 1), BRK_TRACK_REPEAT);
	assert_int_equal(f->thread.state, R(SCHEDULED));
	assert_int_equal(say(f, A, R(CANCEL_REQUESTED), 2, R(CANCEL_REQUESTED), 3), BRK_TRACK_MOVED);
	assert_int_equal(say(f, B, R(REJECTED), 3, R(REJECTED), 1), BRK_TRACK_REPEAT);
	assert_int_equal(f->thread.state, R(CANCEL_REQUESTED));
	/* The same word again, as after a restore of the hub's. */
	assert_int_equal(say(f, A, R(CANCEL_REQUESTED), 2, R(CANCEL_REQUESTED), 3), BRK_TRACK_REPEAT);
}

/* Nobody takes a thread to what its own event cannot lead to, nor away from what the hub has said itself. */
static void test_what_it_may_not_claim(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(ACCEPTED), 2, R(CLOSED), 1), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(ACCEPTED));
	assert_int_equal(say(f, B, R(SCHEDULED), 3, 200, 1), BRK_TRACK_MOVED); /* no state at all */
	assert_int_equal(f->thread.state, R(SCHEDULED));
	assert_int_equal(say(f, B, R(CLOSED), 4, R(CLOSED), 1), BRK_TRACK_ILLEGAL); /* the sender's alone */
	assert_int_equal(f->thread.state, R(SCHEDULED));
	f->thread.state = R(EXPIRED);
	struct fix table = *f;
	enum brk_verdict alone = say(&table, B, R(ACCEPTED), 4, 0, 0);
	assert_int_equal(say(f, B, R(ACCEPTED), 4, R(ACCEPTED), 1), alone);
	assert_int_equal(f->thread.state, table.thread.state);
}

/* A track that the hub never got leaves no hole: what waited for it is overtaken. */
static void test_a_track_that_never_came(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, B, R(SCHEDULED), 3, 0, 0), BRK_TRACK_EARLY);
	assert_int_equal(say(f, B, R(IN_PROGRESS), 4, R(IN_PROGRESS), 1), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(IN_PROGRESS));
	assert_int_equal(f->thread.early_state[KW_PARTY_OTHER], 0);
	assert_int_equal(f->thread.sequence[KW_PARTY_OTHER], 4);
}

/* What the other party said before its turn, and the author has judged already, is not taken later. */
static void test_what_its_author_has_judged_is_not_early_any_more(void **state)
{
	struct fix *f = *state;
	assert_int_equal(say(f, A, R(CLOSED), 3, 0, 0), BRK_TRACK_EARLY);
	struct fix unheard = *f;
	assert_int_equal(say(f, B, R(SCHEDULED), 3, R(SCHEDULED), 3), BRK_TRACK_MOVED); /* its second is missing here */
	assert_int_equal(say(f, B, R(NOT_PROVIDED), 4, R(NOT_PROVIDED), 3), BRK_TRACK_MOVED);
	assert_int_equal(f->thread.state, R(NOT_PROVIDED)); /* B has refused that CLOSED */
	assert_int_equal(say(&unheard, B, R(SCHEDULED), 3, R(SCHEDULED), 1), BRK_TRACK_MOVED);
	assert_int_equal(say(&unheard, B, R(NOT_PROVIDED), 4, R(NOT_PROVIDED), 1), BRK_TRACK_MOVED);
	assert_int_equal(unheard.thread.state, R(CLOSED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_place_that_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_place_that_stays_used, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_other_party_corrects_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_crossed_corrects_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_old_word_corrects_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_may_not_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_track_that_never_came, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_its_author_has_judged_is_not_early_any_more, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
