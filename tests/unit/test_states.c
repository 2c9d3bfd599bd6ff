#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kinward/v1/referral.pb-c.h"
#include "kinward/v1/tracing.pb-c.h"
#include "kinward/v1/transfer.pb-c.h"
#include "proto/wire/states.h"
#include "proto/wire/states_inner.h"

/* What the tables must say, written state by state, while the tables are written event by event. After each party stand
 * the events it may declare in that state:
 *   EVENT      offered, leads to the state of that name      ~EVENT   taken, not offered (it was said too early to know)
 *   EVENT>TO   leads to TO instead                           =EVENT   a repeat
 *   EVENT.     offered or taken, the state stays
 * All the rest is illegal. */
static const char *const expected_referral[] = {
	"NONE | opener QUEUED",
	"QUEUED | opener =QUEUED CANCEL_REQUESTED CONSENT_WITHDRAWN | other DELIVERED ACKNOWLEDGED CONSENT_WITHDRAWN"
		" | hub UNDELIVERABLE EXPIRED",
	"DELIVERED | opener CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED ACKNOWLEDGED CONSENT_WITHDRAWN | hub EXPIRED",
	"UNDELIVERABLE | opener CANCEL_REQUESTED CONSENT_WITHDRAWN | other ~DELIVERED ~ACKNOWLEDGED CONSENT_WITHDRAWN"
		" | hub =UNDELIVERABLE EXPIRED",
	"EXPIRED | opener CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED ~ACKNOWLEDGED CONSENT_WITHDRAWN"
		" | hub =UNDELIVERABLE =EXPIRED",
	"ACKNOWLEDGED | opener =ACKNOWLEDGED CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =ACKNOWLEDGED ACCEPTED"
		" REJECTED NEED_INFO ONWARD_PROPOSED CONSENT_WITHDRAWN",
	"ACCEPTED | opener ~ACKNOWLEDGED. CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =ACCEPTED SCHEDULED IN_PROGRESS"
		" COMPLETED NOT_PROVIDED CONSENT_WITHDRAWN",
	"SCHEDULED | opener ~ACKNOWLEDGED. CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED SCHEDULED IN_PROGRESS NO_SHOW"
		" COMPLETED NOT_PROVIDED CONSENT_WITHDRAWN",
	"IN_PROGRESS | opener ~ACKNOWLEDGED. CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =IN_PROGRESS COMPLETED"
		" NOT_PROVIDED CONSENT_WITHDRAWN",
	"NO_SHOW | opener ~ACKNOWLEDGED. CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =NO_SHOW SCHEDULED IN_PROGRESS"
		" NOT_PROVIDED CONSENT_WITHDRAWN",
	"NEED_INFO | opener ACKNOWLEDGED CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =NEED_INFO ACCEPTED REJECTED"
		" CONSENT_WITHDRAWN",
	"ONWARD_PROPOSED | opener ACKNOWLEDGED CLOSED CANCEL_REQUESTED CONSENT_WITHDRAWN | other =DELIVERED =ONWARD_PROPOSED"
		" CONSENT_WITHDRAWN",
	"COMPLETED | opener ~ACKNOWLEDGED. CLOSED CONSENT_WITHDRAWN | other =DELIVERED =COMPLETED CONSENT_WITHDRAWN",
	"REJECTED | opener ~ACKNOWLEDGED. CLOSED CONSENT_WITHDRAWN | other =DELIVERED =REJECTED CONSENT_WITHDRAWN",
	"NOT_PROVIDED | opener ~ACKNOWLEDGED. CLOSED CONSENT_WITHDRAWN | other =DELIVERED =NOT_PROVIDED CONSENT_WITHDRAWN",
	"CANCEL_REQUESTED | opener =CANCEL_REQUESTED CLOSED CONSENT_WITHDRAWN | other =DELIVERED CANCELLED COMPLETED NOT_PROVIDED"
		" ~REJECTED CONSENT_WITHDRAWN",
	"CANCELLED | opener CLOSED CONSENT_WITHDRAWN | other =DELIVERED =CANCELLED CONSENT_WITHDRAWN",
	"CLOSED | opener =CLOSED CONSENT_WITHDRAWN | other =DELIVERED =CANCELLED CONSENT_WITHDRAWN",
	"CONSENT_WITHDRAWN | opener =CONSENT_WITHDRAWN | other =DELIVERED =CONSENT_WITHDRAWN",
	NULL,
};

static const char *const expected_transfer[] = {
	"NONE | opener OFFERED | other REQUESTED",
	"REQUESTED | opener OFFERED REJECTED | other =REQUESTED WITHDRAWN",
	"OFFERED | opener =OFFERED WITHDRAW_REQUESTED | other ACKNOWLEDGED ~WITHDRAWN",
	"ACKNOWLEDGED | opener WITHDRAW_REQUESTED | other =ACKNOWLEDGED ACCEPTED REJECTED",
	"ACCEPTED | other =ACCEPTED HANDOVER_CONFIRMED",
	"HANDOVER_CONFIRMED | opener COMPLETE | other =HANDOVER_CONFIRMED",
	"COMPLETE | opener =COMPLETE",
	"REJECTED | opener =REJECTED =WITHDRAW_REQUESTED | other =REJECTED ~WITHDRAWN",
	"WITHDRAWN | opener =WITHDRAW_REQUESTED | other =WITHDRAWN",
	"WITHDRAW_REQUESTED | opener =WITHDRAW_REQUESTED | other =ACKNOWLEDGED ~ACCEPTED ~REJECTED WITHDRAWN",
	NULL,
};

static const char *const expected_tracing[] = {
	"NONE | opener REGISTERED",
	"REGISTERED | opener =REGISTERED TRACING SUSPENDED INVALID CLOSED",
	"TRACING | opener =TRACING SUSPENDED INVALID CLOSED | other FAMILY_LOCATED",
	"FAMILY_LOCATED | opener VERIFYING | other =FAMILY_LOCATED",
	"VERIFYING | opener =VERIFYING VERIFIED NOT_VERIFIED SUSPENDED INVALID CLOSED",
	"VERIFIED | opener =VERIFIED NOT_VERIFIED REUNIFICATION_PLANNED SUSPENDED INVALID CLOSED",
	"NOT_VERIFIED | opener =NOT_VERIFIED TRACING SUSPENDED INVALID CLOSED",
	"REUNIFICATION_PLANNED | opener =REUNIFICATION_PLANNED REUNIFIED SUSPENDED INVALID CLOSED",
	"REUNIFIED | opener =REUNIFIED FOLLOW_UP REOPENED INVALID",
	"FOLLOW_UP | opener FOLLOW_UP CLOSED REOPENED INVALID",
	"CLOSED | opener =CLOSED REOPENED | other ~FAMILY_LOCATED",
	"SUSPENDED | opener =SUSPENDED REOPENED INVALID CLOSED | other FAMILY_LOCATED",
	"INVALID | opener =INVALID REOPENED | other ~FAMILY_LOCATED",
	"REOPENED | opener =REOPENED TRACING SUSPENDED INVALID CLOSED | other ~FAMILY_LOCATED",
	NULL,
};

static const char *const expected_match[] = {
	"NONE | hub CANDIDATE | opener CANDIDATE",
	"CANDIDATE | opener =CANDIDATE REVIEWING ~CONFIRMED_ONE REJECTED | other REVIEWING ~CONFIRMED_ONE>CONFIRMED_BY_OTHER REJECTED"
		" | hub =CANDIDATE SUPERSEDED REUNITED_ELSEWHERE",
	"REVIEWING | opener REVIEWING CONFIRMED_ONE REJECTED | other REVIEWING CONFIRMED_ONE>CONFIRMED_BY_OTHER REJECTED"
		" | hub =REVIEWING SUPERSEDED REUNITED_ELSEWHERE",
	"CONFIRMED_ONE | opener =REVIEWING =CONFIRMED_ONE REJECTED | other REVIEWING. CONFIRMED_ONE>CONFIRMED_BOTH REJECTED"
		" | hub SUPERSEDED REUNITED_ELSEWHERE>ELSEWHERE_BY_OPENER ~LINKED",
	"CONFIRMED_BY_OTHER | opener REVIEWING. CONFIRMED_ONE>CONFIRMED_BOTH REJECTED | other =REVIEWING =CONFIRMED_ONE REJECTED"
		" | hub SUPERSEDED REUNITED_ELSEWHERE>ELSEWHERE_BY_OTHER ~LINKED",
	"CONFIRMED_BOTH | opener =REVIEWING =CONFIRMED_ONE REJECTED ~VERIFIED ~UNLINKED | other =REVIEWING =CONFIRMED_ONE REJECTED"
		" ~VERIFIED ~UNLINKED | hub LINKED SUPERSEDED REUNITED_ELSEWHERE>ELSEWHERE_BY_BOTH",
	"LINKED | opener =REVIEWING =CONFIRMED_ONE ~REJECTED VERIFIED UNLINKED | other =REVIEWING =CONFIRMED_ONE ~REJECTED"
		" VERIFIED UNLINKED | hub =LINKED =REVIEWING =REUNITED_ELSEWHERE",
	"VERIFIED | opener =REVIEWING =CONFIRMED_ONE ~REJECTED =VERIFIED REUNITED UNLINKED | other =REVIEWING =CONFIRMED_ONE"
		" ~REJECTED =VERIFIED REUNITED UNLINKED | hub =LINKED =REVIEWING =REUNITED_ELSEWHERE",
	"REUNITED | opener =REVIEWING =CONFIRMED_ONE ~REJECTED =VERIFIED =REUNITED UNLINKED | other =REVIEWING =CONFIRMED_ONE"
		" ~REJECTED =VERIFIED =REUNITED UNLINKED | hub =LINKED =REVIEWING =REUNITED_ELSEWHERE",
	"UNLINKED | opener =REVIEWING =CONFIRMED_ONE ~REJECTED =UNLINKED | other =REVIEWING =CONFIRMED_ONE ~REJECTED =UNLINKED"
		" | hub =LINKED =REVIEWING =REUNITED_ELSEWHERE",
	"REJECTED | opener =REVIEWING =REJECTED | other =REVIEWING =REJECTED | hub =REVIEWING =REUNITED_ELSEWHERE",
	"SUPERSEDED | opener =REVIEWING ~REJECTED | other =REVIEWING ~REJECTED | hub =SUPERSEDED =REVIEWING =REUNITED_ELSEWHERE",
	"REUNITED_ELSEWHERE | opener =REVIEWING ~CONFIRMED_ONE>ELSEWHERE_BY_OPENER ~REJECTED | other =REVIEWING"
		" ~CONFIRMED_ONE>ELSEWHERE_BY_OTHER ~REJECTED | hub =REUNITED_ELSEWHERE REVIEWING SUPERSEDED",
	"ELSEWHERE_BY_OPENER | opener =REVIEWING =CONFIRMED_ONE ~REJECTED | other =REVIEWING"
		" ~CONFIRMED_ONE>ELSEWHERE_BY_BOTH ~REJECTED | hub =REUNITED_ELSEWHERE REVIEWING>CONFIRMED_ONE SUPERSEDED",
	"ELSEWHERE_BY_OTHER | opener =REVIEWING ~CONFIRMED_ONE>ELSEWHERE_BY_BOTH ~REJECTED | other =REVIEWING =CONFIRMED_ONE"
		" ~REJECTED | hub =REUNITED_ELSEWHERE REVIEWING>CONFIRMED_BY_OTHER SUPERSEDED",
	"ELSEWHERE_BY_BOTH | opener =REVIEWING =CONFIRMED_ONE ~REJECTED ~VERIFIED ~UNLINKED | other =REVIEWING =CONFIRMED_ONE"
		" ~REJECTED ~VERIFIED ~UNLINKED | hub =REUNITED_ELSEWHERE REVIEWING>CONFIRMED_BOTH SUPERSEDED",
	NULL,
};

static const char *const expected_offer[] = {
	"NONE | opener OFFERED",
	"OFFERED | opener =OFFERED CLOSED | other CLAIMED DECLINED | hub UNCLAIMED",
	"CLAIMED | opener LEASED CLOSED | other =CLAIMED DECLINED",
	"DECLINED | opener CLOSED | other =DECLINED",
	"LEASED | opener =LEASED CLOSED | other DECLINED",
	"CLOSED | opener =CLOSED | other =DECLINED",
	"UNCLAIMED | opener CLOSED | other CLAIMED DECLINED | hub =UNCLAIMED",
	NULL,
};

struct cell {
	enum kw_verdict verdict;
	uint8_t next;
	bool offered;
};

struct grid {
	enum kw_thread_kind kind;
	struct cell cells[KW_STATE_MAX][KW_STATE_MAX][KW_PARTY_COUNT];
	bool said[KW_STATE_MAX]; /* the expectation has a line for this state */
};

static enum kw_party party_from_name(const char *name)
{
	int party = 0;
	while (party < KW_PARTY_COUNT && strcmp(kw_party_name(party), name) != 0)
		party++;
	assert_int_not_equal(party, KW_PARTY_COUNT);
	return party;
}

static uint8_t state_from_name(enum kw_thread_kind kind, const char *name)
{
	uint8_t state = kw_state_from_name(kind, name);
	if (state == 0)
		fail_msg("%s has no state %s", kw_thread_kind_name(kind), name);
	return state;
}

/* The next word of a text, which moves on; false at its end. */
static bool next_word(const char **at, char *word, size_t size)
{
	*at += strspn(*at, " ");
	size_t length = strcspn(*at, " ");
	assert_true(length < size);
	memcpy(word, *at, length);
	word[length] = 0;
	*at += length;
	return length > 0;
}

/* One word of a line, such as ~CONFIRMED_ONE>CONFIRMED_BOTH. */
static void read_word(struct grid *grid, uint8_t state, enum kw_party party, const char *word)
{
	struct cell cell = {.verdict = KW_VERDICT_APPLY, .offered = word[0] != '~' && word[0] != '='};
	if (word[0] == '=')
		cell.verdict = KW_VERDICT_REPEAT;
	if (!cell.offered)
		word++;
	char event_name[64];
	size_t size = strcspn(word, ">.");
	assert_true(size < sizeof(event_name));
	memcpy(event_name, word, size);
	event_name[size] = 0;
	uint8_t event = state_from_name(grid->kind, event_name);
	cell.next = word[size] == '.' ? state : event;
	if (word[size] == '>')
		cell.next = state_from_name(grid->kind, word + size + 1);
	struct cell *there = &grid->cells[state][event][party];
	assert_int_equal(there->verdict, KW_VERDICT_ILLEGAL);
	*there = cell;
}

static void read_grid(struct grid *grid, enum kw_thread_kind kind, const char *const *lines)
{
	memset(grid, 0, sizeof(*grid));
	grid->kind = kind;
	for (size_t i = 0; i < sizeof(grid->cells) / sizeof(struct cell); i++)
		(&grid->cells[0][0][0])[i].verdict = KW_VERDICT_ILLEGAL;
	for (; *lines != NULL; lines++) {
		char word[64];
		const char *at = *lines;
		assert_true(next_word(&at, word, sizeof(word)));
		uint8_t state = strcmp(word, "NONE") == 0 ? 0 : state_from_name(kind, word);
		assert_false(grid->said[state]);
		grid->said[state] = true;
		int party = -1;
		while (next_word(&at, word, sizeof(word))) {
			if (strcmp(word, "|") == 0)
				party = -1;
			else if (party < 0)
				party = (int)party_from_name(word);
			else
				read_word(grid, state, party, word);
		}
	}
}

static void check_cell(const struct grid *grid, uint8_t state, uint8_t event, enum kw_party party)
{
	const struct cell *want = &grid->cells[state][event][party];
	uint8_t next = 0xee;
	enum kw_verdict verdict = kw_state_apply(grid->kind, state, event, party, &next);
	bool offered = kw_state_may_declare(grid->kind, state, event, party);
	uint8_t want_next = want->verdict == KW_VERDICT_APPLY ? want->next : 0xee;
	if (verdict != want->verdict || next != want_next || offered != want->offered) {
		fail_msg("%s: in %s, %s by the %s: verdict %d, next %d, offered %d; expected %d, %d, %d",
			kw_thread_kind_name(grid->kind), state == 0 ? "NONE" : kw_state_name(grid->kind, state),
			kw_state_name(grid->kind, event), kw_party_name(party), (int)verdict, next, offered, (int)want->verdict,
			want_next, want->offered);
	}
}

static const struct {
	enum kw_thread_kind kind;
	const char *const *lines;
	unsigned states; /* without NONE */
} machines[] = {
	{KW_THREAD_REFERRAL, expected_referral, 18}, {KW_THREAD_TRANSFER, expected_transfer, 9},
	{KW_THREAD_TRACING, expected_tracing, 13},   {KW_THREAD_MATCH, expected_match, 15},
	{KW_THREAD_OFFER, expected_offer, 6},
};
#define MACHINES_COUNT (sizeof(machines) / sizeof(machines[0]))

static void test_every_cell_is_as_expected(void **state)
{
	(void)state;
	static struct grid grid;
	for (size_t m = 0; m < MACHINES_COUNT; m++) {
		read_grid(&grid, machines[m].kind, machines[m].lines);
		unsigned known = 0;
		for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
			bool exists = s != 0 && kw_state_name(grid.kind, s) != NULL;
			known += exists;
			assert_int_equal(grid.said[s], exists || s == 0);
			for (uint8_t event = 0; event < KW_STATE_MAX; event++) {
				for (int party = 0; party < KW_PARTY_COUNT; party++) {
					if (kw_state_name(grid.kind, event) != NULL)
						check_cell(&grid, s, event, party);
				}
			}
		}
		assert_int_equal(known, machines[m].states);
	}
}

static void assert_illegal(enum kw_thread_kind kind, unsigned state, unsigned event, int author)
{
	uint8_t next = 0xee;
	assert_int_equal(kw_state_apply(kind, (uint8_t)state, (uint8_t)event, author, &next), KW_VERDICT_ILLEGAL);
	assert_int_equal(next, 0xee);
	assert_false(kw_state_may_declare(kind, (uint8_t)state, (uint8_t)event, author));
}

static void test_the_unknown_is_illegal(void **state)
{
	(void)state;
	assert_illegal(KW_THREAD_NONE, 0, 1, KW_PARTY_OPENER);
	assert_illegal(KW_THREAD_KIND_COUNT, 0, 1, KW_PARTY_OPENER);
	assert_illegal((enum kw_thread_kind)-1, 0, 1, KW_PARTY_OPENER);
	assert_illegal(KW_THREAD_REFERRAL, 0, 1, KW_PARTY_COUNT);
	assert_illegal(KW_THREAD_REFERRAL, 0, 1, -1);
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (unsigned value = 0; value < 256; value++) {
			bool exists = kw_state_name(kind, (uint8_t)value) != NULL;
			for (unsigned other = 0; other < 256; other++) {
				for (int party = 0; party < KW_PARTY_COUNT && !exists; party++) {
					assert_illegal(kind, other, value, party);
					if (value != 0)
						assert_illegal(kind, value, other, party);
				}
			}
		}
	}
}

static void test_no_cell_has_two_rows(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		const struct kw_state_machine *machine = &kw_state_machines[kind];
		for (size_t i = 0; i < machine->rules_count; i++) {
			const struct kw_state_rule *a = &machine->rules[i];
			assert_true(a->from != 0 && a->by != 0);
			assert_true(a->how == KW_HOW_MOOT ? a->to == KW_STATE_STAY : true);
			for (size_t j = 0; j < i; j++) {
				const struct kw_state_rule *b = &machine->rules[j];
				if (a->event == b->event && (a->from & b->from) != 0 && (a->by & b->by) != 0)
					fail_msg("%s: rows %zu and %zu both speak of %s", machine->name, j, i, machine->states[a->event].name);
			}
		}
	}
}

/* All states that ordinary steps lead to from `from`, itself not counted unless a way comes back. */
static uint32_t reach(enum kw_thread_kind kind, uint8_t from)
{
	uint32_t seen = 0;
	uint32_t todo = 1u << from;
	while (todo != 0) {
		uint8_t s = (uint8_t)__builtin_ctz(todo);
		todo &= todo - 1;
		for (int party = 0; party < KW_PARTY_COUNT; party++) {
			uint8_t events[KW_STATE_MAX];
			size_t count = kw_state_choices(kind, s, party, events);
			for (size_t i = 0; i < count; i++) {
				uint8_t next = 0;
				assert_int_equal(kw_state_apply(kind, s, events[i], party, &next), KW_VERDICT_APPLY);
				if ((seen >> next & 1u) == 0)
					todo |= 1u << next;
				seen |= 1u << next;
			}
		}
	}
	return seen;
}

static void test_every_state_can_be_reached_and_every_open_one_can_end(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		uint32_t all = 0, over = 0;
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			all |= kw_state_name(kind, s) == NULL ? 0 : 1u << s;
			over |= kw_state_name(kind, s) == NULL || kw_state_is_open(kind, s) ? 0 : 1u << s;
		}
		assert_int_equal(reach(kind, 0), all);
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			if (kw_state_is_open(kind, s) && (reach(kind, s) & over) == 0)
				fail_msg("%s: %s never ends", kw_thread_kind_name(kind), kw_state_name(kind, s));
		}
	}
}

static void test_a_party_that_is_waited_for_can_do_something(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			bool waits = false;
			for (int party = 0; party < KW_PARTY_COUNT; party++) {
				uint8_t events[KW_STATE_MAX];
				bool turn = kw_state_waits_for(kind, s, party);
				waits |= turn;
				/* In VERIFYING the other's part is a message of its own, not an event. */
				bool by_message = kind == KW_THREAD_TRACING && s == KW_TRACING_VERIFYING && party == KW_PARTY_OTHER;
				if (turn && !by_message)
					assert_true(kw_state_choices(kind, s, party, events) > 0);
			}
			assert_int_equal(waits, kw_state_is_open(kind, s));
		}
		assert_false(kw_state_is_open(kind, 0));
		assert_false(kw_state_is_open(kind, 200));
	}
	assert_true(kw_state_waits_for(KW_THREAD_REFERRAL, KW_REFERRAL_COMPLETED, KW_PARTY_OPENER)); /* feedback, then close */
	assert_false(kw_state_waits_for(KW_THREAD_REFERRAL, KW_REFERRAL_COMPLETED, KW_PARTY_OTHER));
	assert_false(kw_state_waits_for(KW_THREAD_REFERRAL, KW_REFERRAL_COMPLETED, KW_PARTY_COUNT));
}

static void test_only_the_entitled_declare(void **state)
{
	(void)state;
	static const uint8_t provider[] = {KW_REFERRAL_ACCEPTED, KW_REFERRAL_SCHEDULED, KW_REFERRAL_IN_PROGRESS,
		KW_REFERRAL_COMPLETED, KW_REFERRAL_REJECTED, KW_REFERRAL_NO_SHOW, KW_REFERRAL_NOT_PROVIDED};
	for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
		uint8_t next = 0;
		for (size_t i = 0; i < sizeof(provider); i++) {
			assert_illegal(KW_THREAD_REFERRAL, s, provider[i], KW_PARTY_OPENER);
			assert_illegal(KW_THREAD_REFERRAL, s, provider[i], KW_PARTY_HUB);
		}
		assert_illegal(KW_THREAD_REFERRAL, s, KW_REFERRAL_CLOSED, KW_PARTY_OTHER);
		assert_illegal(KW_THREAD_REFERRAL, s, KW_REFERRAL_CLOSED, KW_PARTY_HUB);
		if (kw_state_apply(KW_THREAD_REFERRAL, s, KW_REFERRAL_EXPIRED, KW_PARTY_HUB, &next) == KW_VERDICT_APPLY)
			assert_true(s >= KW_REFERRAL_QUEUED && s <= KW_REFERRAL_UNDELIVERABLE);
		/* Neither holder of a match can confirm for both. */
		if (kw_state_apply(KW_THREAD_MATCH, s, KW_MATCH_CONFIRMED_ONE, KW_PARTY_OPENER, &next) == KW_VERDICT_APPLY &&
			next == KW_MATCH_CONFIRMED_BOTH)
			assert_int_equal(s, KW_MATCH_CONFIRMED_BY_OTHER);
		for (int party = 0; party < KW_PARTY_COUNT; party++)
			assert_illegal(KW_THREAD_MATCH, s, KW_MATCH_CONFIRMED_BOTH, party);
	}
}

static void test_ownership_moves_at_accepted_alone(void **state)
{
	(void)state;
	for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
		for (uint8_t event = 1; event < KW_STATE_MAX; event++) {
			for (int party = 0; party < KW_PARTY_COUNT; party++) {
				uint8_t next = 0;
				if (kw_state_apply(KW_THREAD_TRANSFER, s, event, party, &next) != KW_VERDICT_APPLY)
					continue;
				if (kw_transfer_owner(s) == kw_transfer_owner(next))
					continue;
				assert_int_equal(event, KW_TRANSFER_ACCEPTED);
				assert_int_equal(next, KW_TRANSFER_ACCEPTED);
				assert_int_equal(party, KW_PARTY_OTHER);
			}
		}
	}
	assert_int_equal(kw_transfer_owner(KW_TRANSFER_ACKNOWLEDGED), KW_PARTY_OPENER);
	assert_int_equal(kw_transfer_owner(KW_TRANSFER_ACCEPTED), KW_PARTY_OTHER);
}

static void test_the_first_message_tells_who_its_author_is(void **state)
{
	(void)state;
	assert_int_equal(kw_state_first_author(KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED), KW_PARTY_OPENER);
	assert_int_equal(kw_state_first_author(KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED), KW_PARTY_OPENER);
	assert_int_equal(kw_state_first_author(KW_THREAD_TRANSFER, KW_TRANSFER_REQUESTED), KW_PARTY_OTHER);
	assert_int_equal(kw_state_first_author(KW_THREAD_TRACING, KW_TRACING_REGISTERED), KW_PARTY_OPENER);
	assert_int_equal(kw_state_first_author(KW_THREAD_MATCH, KW_MATCH_CANDIDATE), KW_PARTY_OPENER);
	assert_int_equal(kw_state_first_author(KW_THREAD_OFFER, KW_OFFER_OFFERED), KW_PARTY_OPENER);
	assert_int_equal(kw_state_first_author(KW_THREAD_REFERRAL, KW_REFERRAL_ACCEPTED), KW_PARTY_COUNT);
	assert_int_equal(kw_state_first_author(KW_THREAD_NONE, 1), KW_PARTY_COUNT);
}

static void test_names_lead_there_and_back(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		assert_int_equal(kw_thread_kind_from_name(kw_thread_kind_name(kind)), kind);
		for (uint8_t s = 1; s < KW_STATE_MAX; s++) {
			const char *name = kw_state_name(kind, s);
			if (name != NULL)
				assert_int_equal(kw_state_from_name(kind, name), s);
		}
		assert_int_equal(kw_state_from_name(kind, "acknowledged"), 0);
		assert_int_equal(kw_state_from_name(kind, ""), 0);
	}
	assert_null(kw_state_name(KW_THREAD_REFERRAL, 0));
	assert_null(kw_state_name(KW_THREAD_REFERRAL, 19));
	assert_null(kw_thread_kind_name(KW_THREAD_NONE));
	assert_null(kw_thread_kind_name(KW_THREAD_KIND_COUNT));
	assert_int_equal(kw_thread_kind_from_name("none"), KW_THREAD_NONE);
	assert_null(kw_party_name(KW_PARTY_COUNT));
	assert_string_equal(kw_risk_name(KW_RISK_HIGH), "high");
	assert_null(kw_risk_name(KW_RISK_NONE));
	assert_null(kw_risk_name(KW_RISK_COUNT));
}

static void test_numbers_are_those_of_the_schema(void **state)
{
	(void)state;
	static const struct {
		enum kw_thread_kind kind;
		const ProtobufCEnumDescriptor *schema;
		const char *prefix;
	} enums[] = {
		{KW_THREAD_REFERRAL, &kinward__v1__referral_state__descriptor, "REFERRAL_STATE_"},
		{KW_THREAD_TRANSFER, &kinward__v1__transfer_state__descriptor, "TRANSFER_STATE_"},
		{KW_THREAD_TRACING, &kinward__v1__tracing_state__descriptor, "TRACING_STATE_"},
	};
	for (size_t e = 0; e < sizeof(enums) / sizeof(enums[0]); e++) {
		unsigned known = 0;
		for (uint8_t s = 1; s < KW_STATE_MAX; s++)
			known += kw_state_name(enums[e].kind, s) != NULL;
		assert_int_equal(enums[e].schema->n_values, known + 1); /* and "unspecified" */
		for (unsigned i = 1; i < enums[e].schema->n_values; i++) {
			const ProtobufCEnumValue *value = &enums[e].schema->values[i];
			assert_memory_equal(value->name, enums[e].prefix, strlen(enums[e].prefix));
			assert_int_equal(kw_state_from_name(enums[e].kind, value->name + strlen(enums[e].prefix)), value->value);
		}
	}
	/* What only copies of a match know has a number of the schema to show. */
	assert_int_equal(kw_state_public(KW_THREAD_MATCH, KW_MATCH_CONFIRMED_BY_OTHER), KW_MATCH_CONFIRMED_ONE);
	for (uint8_t s = KW_MATCH_ELSEWHERE_BY_OPENER; s <= KW_MATCH_ELSEWHERE_BY_BOTH; s++)
		assert_int_equal(kw_state_public(KW_THREAD_MATCH, s), KW_MATCH_REUNITED_ELSEWHERE);
	for (uint8_t s = 0; s <= KW_MATCH_REUNITED_ELSEWHERE; s++)
		assert_int_equal(kw_state_public(KW_THREAD_MATCH, s), s);
}

static void test_choices_are_offered_in_order(void **state)
{
	(void)state;
	uint8_t events[KW_STATE_MAX];
	size_t count = kw_state_choices(KW_THREAD_REFERRAL, KW_REFERRAL_NEED_INFO, KW_PARTY_OPENER, events);
	assert_int_equal(count, 3);
	assert_int_equal(events[0], KW_REFERRAL_ACKNOWLEDGED);
	assert_int_equal(events[1], KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(events[2], KW_REFERRAL_CONSENT_WITHDRAWN);
	assert_int_equal(kw_state_choices(KW_THREAD_REFERRAL, KW_REFERRAL_CONSENT_WITHDRAWN, KW_PARTY_OPENER, events), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell_is_as_expected),
		cmocka_unit_test(test_the_unknown_is_illegal),
		cmocka_unit_test(test_no_cell_has_two_rows),
		cmocka_unit_test(test_every_state_can_be_reached_and_every_open_one_can_end),
		cmocka_unit_test(test_a_party_that_is_waited_for_can_do_something),
		cmocka_unit_test(test_only_the_entitled_declare),
		cmocka_unit_test(test_ownership_moves_at_accepted_alone),
		cmocka_unit_test(test_the_first_message_tells_who_its_author_is),
		cmocka_unit_test(test_names_lead_there_and_back),
		cmocka_unit_test(test_numbers_are_those_of_the_schema),
		cmocka_unit_test(test_choices_are_offered_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
