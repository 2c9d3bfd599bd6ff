#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/states.h"

/* Walks through everything that can happen between the three parties of a thread while their words cross: each has its
 * own copy of the state, says what the table lets it say, and hears the others in the order of their words but in any
 * order between them. Whenever nothing is on its way, the copies must be equal. */

#define IN_FLIGHT_MAX 3 /* words of one party that another has not heard yet */

struct world {
	uint8_t state[KW_PARTY_COUNT];
	uint8_t pending[KW_PARTY_COUNT][KW_PARTY_COUNT]; /* [author][hearer]: count */
	uint8_t words[KW_PARTY_COUNT][KW_PARTY_COUNT][IN_FLIGHT_MAX];
};

struct walk {
	struct world *worlds; /* a hash set and, by `order`, the queue of those still to look at */
	uint32_t *slots;
	size_t count;
	size_t cap;
	enum kw_thread_kind kind;
	unsigned in_flight_max;
	size_t quiet; /* worlds with nothing on its way */
};

static uint64_t hash_of(const struct world *world)
{
	uint64_t hash = 1469598103934665603u;
	const uint8_t *bytes = (const uint8_t *)world;
	for (size_t i = 0; i < sizeof(*world); i++)
		hash = (hash ^ bytes[i]) * 1099511628211u;
	return hash ^ hash >> 29;
}

static void place(struct walk *walk, uint32_t index)
{
	size_t at = hash_of(&walk->worlds[index]) & (2 * walk->cap - 1);
	while (walk->slots[at] != 0)
		at = (at + 1) & (2 * walk->cap - 1);
	walk->slots[at] = index + 1;
}

static void add(struct walk *walk, const struct world *world)
{
	if (walk->cap != 0) {
		size_t at = hash_of(world) & (2 * walk->cap - 1);
		for (; walk->slots[at] != 0; at = (at + 1) & (2 * walk->cap - 1)) {
			if (memcmp(&walk->worlds[walk->slots[at] - 1], world, sizeof(*world)) == 0)
				return;
		}
	}
	if (walk->count == walk->cap) {
		walk->cap = walk->cap == 0 ? 4096 : walk->cap * 2;
		walk->worlds = realloc(walk->worlds, walk->cap * sizeof(*walk->worlds));
		free(walk->slots);
		walk->slots = calloc(2 * walk->cap, sizeof(*walk->slots));
		assert_non_null(walk->worlds);
		assert_non_null(walk->slots);
		for (size_t i = 0; i < walk->count; i++)
			place(walk, (uint32_t)i);
	}
	walk->worlds[walk->count] = *world;
	place(walk, (uint32_t)walk->count++);
}

static bool tell(struct world *world, unsigned in_flight_max, int author, uint8_t event)
{
	for (int hearer = 0; hearer < KW_PARTY_COUNT; hearer++) {
		if (hearer == author)
			continue;
		uint8_t *pending = &world->pending[author][hearer];
		if (*pending == in_flight_max)
			return false;
		world->words[author][hearer][(*pending)++] = event;
	}
	return true;
}

static uint8_t hear(struct world *world, int author, int hearer)
{
	uint8_t *words = world->words[author][hearer];
	uint8_t event = words[0];
	memmove(words, words + 1, IN_FLIGHT_MAX - 1);
	words[IN_FLIGHT_MAX - 1] = 0;
	world->pending[author][hearer]--;
	return event;
}

static bool quiet(const struct world *world)
{
	for (int author = 0; author < KW_PARTY_COUNT; author++) {
		for (int hearer = 0; hearer < KW_PARTY_COUNT; hearer++) {
			if (world->pending[author][hearer] != 0)
				return false;
		}
	}
	return true;
}

static void print_world(enum kw_thread_kind kind, const struct world *world)
{
	for (int p = 0; p < KW_PARTY_COUNT; p++) {
		print_error("%s has %s;", kw_party_name(p), kw_state_name(kind, world->state[p]));
		for (int hearer = 0; hearer < KW_PARTY_COUNT; hearer++) {
			for (int i = 0; i < world->pending[p][hearer]; i++)
				print_error(" ->%s %s", kw_party_name(hearer), kw_state_name(kind, world->words[p][hearer][i]));
		}
		print_error("\n");
	}
}

/* A new owner's yes, once said, can never meet an old owner who is free to offer the case elsewhere. */
static void check_owner(const struct world *world)
{
	uint8_t old = world->state[KW_PARTY_OPENER];
	bool moved = kw_transfer_owner(world->state[KW_PARTY_OTHER]) == KW_PARTY_OTHER;
	bool free_again = old == KW_TRANSFER_REJECTED || old == KW_TRANSFER_WITHDRAWN;
	if (moved && free_again) {
		print_world(KW_THREAD_TRANSFER, world);
		fail_msg("two owners");
	}
	if (kw_transfer_owner(old) == KW_PARTY_OTHER)
		assert_true(moved);
}

static void check(struct walk *walk, const struct world *world)
{
	if (walk->kind == KW_THREAD_TRANSFER)
		check_owner(world);
	if (!quiet(world))
		return;
	walk->quiet++;
	if (world->state[0] != world->state[1] || world->state[0] != world->state[2]) {
		print_world(walk->kind, world);
		fail_msg("%s: the copies differ though all was heard", kw_thread_kind_name(walk->kind));
	}
}

/* Adds every world that one step leads to: somebody speaks, or somebody hears the next word of somebody. */
static void step(struct walk *walk, const struct world *from)
{
	for (int author = 0; author < KW_PARTY_COUNT; author++) {
		uint8_t events[KW_STATE_MAX];
		size_t count = kw_state_choices(walk->kind, from->state[author], author, events);
		for (size_t i = 0; i < count; i++) {
			struct world world = *from;
			enum kw_verdict verdict =
				kw_state_apply(walk->kind, from->state[author], events[i], author, &world.state[author]);
			assert_int_equal(verdict, KW_VERDICT_APPLY);
			if (tell(&world, walk->in_flight_max, author, events[i]))
				add(walk, &world);
		}
		for (int hearer = 0; hearer < KW_PARTY_COUNT; hearer++) {
			if (from->pending[author][hearer] == 0)
				continue;
			if (author != KW_PARTY_HUB && hearer != KW_PARTY_HUB &&
				from->pending[author][KW_PARTY_HUB] >= from->pending[author][hearer])
				continue;
			struct world world = *from;
			uint8_t event = hear(&world, author, hearer);
			(void)kw_state_apply(walk->kind, from->state[hearer], event, author, &world.state[hearer]);
			add(walk, &world);
		}
	}
}

static void walk_all(enum kw_thread_kind kind, uint8_t opening, unsigned in_flight_max)
{
	struct walk walk = {.kind = kind, .in_flight_max = in_flight_max};
	struct world start = {.state = {opening, opening, opening}};
	add(&walk, &start);
	for (size_t i = 0; i < walk.count; i++) {
		struct world world = walk.worlds[i];
		check(&walk, &world);
		step(&walk, &world);
	}
	print_message("%s from %s, %u in flight: %zu worlds, %zu of them quiet\n", kw_thread_kind_name(kind),
		kw_state_name(kind, opening), in_flight_max, walk.count, walk.quiet);
	assert_true(walk.quiet > 3);
	free(walk.worlds);
	free(walk.slots);
}

static void test_copies_of_a_referral_agree(void **state)
{
	(void)state;
	walk_all(KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, 3);
}

static void test_copies_of_a_transfer_agree_and_it_has_one_owner(void **state)
{
	(void)state;
	walk_all(KW_THREAD_TRANSFER, KW_TRANSFER_REQUESTED, 3);
	walk_all(KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED, 3);
}

static void test_copies_of_a_tracing_case_agree(void **state)
{
	(void)state;
	walk_all(KW_THREAD_TRACING, KW_TRACING_REGISTERED, 3);
}

static void test_copies_of_a_match_agree(void **state)
{
	(void)state;
	walk_all(KW_THREAD_MATCH, KW_MATCH_CANDIDATE, 3);
}

static void test_copies_of_an_offer_agree(void **state)
{
	(void)state;
	walk_all(KW_THREAD_OFFER, KW_OFFER_OFFERED, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_of_a_referral_agree),
		cmocka_unit_test(test_copies_of_a_transfer_agree_and_it_has_one_owner),
		cmocka_unit_test(test_copies_of_a_tracing_case_agree),
		cmocka_unit_test(test_copies_of_a_match_agree),
		cmocka_unit_test(test_copies_of_an_offer_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
