#include "tests/kit/world_inner.h"

/* Offers to several agencies, on the disk of the agency that looks for one: the core's record, stepped in the transaction of
 * each message, and what it has to say. And the single-claim invariant, from outside. */

static struct w_offer *offer_of(struct world *w, const struct w_agent *agent, uint32_t thread, uint8_t *member)
{
	uint32_t group = w->thread.at[thread].group;
	if (group == UINT32_MAX || w->groups.at[group].agent != agent->number)
		return NULL;
	for (uint32_t i = 0; i < agent->offers.count; i++) {
		struct w_offer *offer = &agent->offers.at[i];
		for (uint8_t at = 0; offer->group == group && at < offer->thing.count; at++)
			if (offer->thread[at] == thread) {
				*member = at;
				return offer;
			}
	}
	return NULL; /* of an earlier round */
}

static void say(struct w_agent *agent, uint32_t thread, uint8_t state, bool opening)
{
	struct w_follow *one = W_PUSH(agent->follows);
	one->id = ++agent->follow_last;
	one->thread = thread;
	one->type = W_SAY_EVENT;
	one->state = state;
	one->opening = opening;
}

static void carry_out(struct world *w, struct w_agent *agent, struct w_offer *offer, const struct agt_offer_result *result)
{
	offer->thing = result->next;
	if (result->lease != AGT_OFFER_NOBODY)
		say(agent, offer->thread[result->lease], KW_OFFER_LEASED, false);
	for (uint8_t i = 0; i < offer->thing.count; i++)
		if ((result->close >> i & 1u) != 0)
			say(agent, offer->thread[i], KW_OFFER_CLOSED, false);
	if (result->refer) {
		uint32_t winner = w->thread.at[offer->thread[offer->thing.winner]].end[KW_PARTY_OTHER];
		uint32_t thread = w_thread_new(w, agent, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, winner);
		w->thread.at[thread].group = offer->group;
		say(agent, thread, KW_REFERRAL_QUEUED, true);
	}
	if (result->escalate)
		w_mark(w, WORLD_MARK_UNCLAIMED);
	if (!result->again)
		return;
	w_mark(w, WORLD_MARK_ANOTHER_ROUND);
	uint8_t from[AGT_OFFER_MEMBERS_MAX];
	uint32_t before[AGT_OFFER_MEMBERS_MAX];
	for (uint8_t i = 0; i < AGT_OFFER_MEMBERS_MAX; i++)
		before[i] = offer->thread[i];
	uint8_t count = agt_offer_again(&offer->thing, (int64_t)w_wall(w) + 20000, from);
	for (uint8_t i = 0; i < count; i++) {
		uint32_t thread = w_thread_new(w, agent, KW_THREAD_OFFER, KW_OFFER_OFFERED,
			w->thread.at[before[from[i]]].end[KW_PARTY_OTHER]);
		w->thread.at[thread].group = offer->group;
		offer->thread[i] = thread;
		say(agent, thread, KW_OFFER_OFFERED, true);
	}
}

static void step(struct world *w, struct w_agent *agent, struct w_offer *offer, enum agt_offer_event_type type,
	uint8_t member)
{
	struct agt_offer_event event = {.type = type, .member = member, .now_ms = (int64_t)w_wall(w)};
	struct agt_offer_result result;
	agt_offer_step(&offer->thing, &event, &result);
	w_log(w, "agent %u: group %u, event %d of member %u: state %d, winner %u, close %x%s", agent->number, offer->group,
		(int)type, member, (int)result.next.state, result.next.winner, result.close, result.again ? ", again" : "");
	carry_out(w, agent, offer, &result);
}

/* The first member's offer makes the record; the others are asked after it. */
static void begin(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_group *group = &w->groups.at[number];
	struct w_offer *offer = W_PUSH(agent->offers);
	offer->group = number;
	agt_offer_init(&offer->thing, group->count, group->manual, (int64_t)w_wall(w) + 20000);
	for (uint8_t i = 0; i < group->count; i++) {
		offer->thread[i] = group->thread[i];
		if (i > 0)
			say(agent, group->thread[i], KW_OFFER_OFFERED, true);
	}
}

/* A lease that was refused because it crossed a DECLINED is none, though that may still be on its way. */
static bool was_refused(const struct w_record *record)
{
	for (uint32_t i = 0; i < record->log.count; i++) {
		const struct w_step *step = &record->log.at[i];
		if (step->event.author == AGT_THREAD_OURS && step->event.state == KW_OFFER_LEASED && step->refused)
			return true;
	}
	return false;
}

/* At most one agency has the lease of a group, and the referral; the next one only when it was given back. */
static void check_single(struct world *w, const struct w_agent *agent, uint32_t thread, bool referral)
{
	const struct w_thread *about = &w->thread.at[thread];
	for (uint32_t i = 0; i < w->thread.count; i++) {
		const struct w_thread *other = &w->thread.at[i];
		if (i == thread || other->group != about->group)
			continue;
		const struct w_record *record = w_record(w, agent, i);
		if (record == NULL)
			continue;
		bool leased = other->kind == KW_THREAD_OFFER && record->thing.state == KW_OFFER_LEASED && !was_refused(record);
		if (!referral && leased)
			w_fail(w, "claim: agent %u gets the lease of group %u, which agent %u has", about->end[KW_PARTY_OTHER],
				about->group, other->end[KW_PARTY_OTHER]);
		if (referral && leased && other->end[KW_PARTY_OTHER] != about->end[KW_PARTY_OTHER])
			w_fail(w, "claim: agent %u gets the referral of group %u, which agent %u has", about->end[KW_PARTY_OTHER],
				about->group, other->end[KW_PARTY_OTHER]);
		/* The other's own word: it holds a lease that was never given back. */
		if (!referral && other->kind == KW_THREAD_OFFER && other->end[KW_PARTY_OTHER] != W_NOBODY) {
			const struct w_record *theirs = w_record(w, &w->agents[other->end[KW_PARTY_OTHER]], i);
			if (theirs != NULL && theirs->thing.kind != KW_THREAD_NONE && theirs->thing.state == KW_OFFER_LEASED)
				w_fail(w, "claim: agent %u gets the lease of group %u, and agent %u believes to have it",
					about->end[KW_PARTY_OTHER], about->group, other->end[KW_PARTY_OTHER]);
		}
	}
}

bool w_offer_may(struct world *w, const struct w_agent *agent, const struct w_say *word)
{
	const struct w_thread *about = &w->thread.at[word->thread];
	uint8_t member = 0;
	if (about->kind != KW_THREAD_OFFER || about->end[KW_PARTY_OPENER] != agent->number ||
		word->state != KW_OFFER_LEASED)
		return true;
	const struct w_offer *offer = offer_of(w, agent, word->thread, &member);
	bool may = offer != NULL && agt_offer_may_lease(&offer->thing, member);
	if (w->mutant == WORLD_CLAIM_IN_MEMORY)
		return offer != NULL;
	if (!may)
		w_mark(w, WORLD_MARK_LEASE_VOID);
	return may;
}

void w_offer_said(struct world *w, struct w_agent *agent, const struct w_say *word)
{
	const struct w_thread *about = &w->thread.at[word->thread];
	uint8_t member = 0;
	if (about->group == UINT32_MAX || about->end[KW_PARTY_OPENER] != agent->number)
		return;
	if (about->kind == KW_THREAD_REFERRAL && word->opening)
		check_single(w, agent, word->thread, true);
	if (about->kind != KW_THREAD_OFFER)
		return;
	if (word->opening && w->groups.at[about->group].thread[0] == word->thread)
		begin(w, agent, about->group);
	struct w_offer *offer = offer_of(w, agent, word->thread, &member);
	if (word->state != KW_OFFER_LEASED || offer == NULL)
		return;
	check_single(w, agent, word->thread, false);
	w_mark(w, WORLD_MARK_LEASED);
	if (!agt_offer_may_lease(&offer->thing, member))
		return; /* the mutant's */
	step(w, agent, offer, AGT_OFFER_EV_LEASE_SENT, member);
}

void w_offer_heard(struct world *w, struct w_agent *agent, const struct w_say *word)
{
	uint8_t member = 0;
	struct w_offer *offer = offer_of(w, agent, word->thread, &member);
	if (offer == NULL)
		return;
	if (word->state == KW_OFFER_CLAIMED && offer->thing.winner != AGT_OFFER_NOBODY)
		w_mark(w, WORLD_MARK_SECOND_CLAIM);
	if (word->state == KW_OFFER_CLAIMED)
		step(w, agent, offer, AGT_OFFER_EV_CLAIM, member);
	if (word->state == KW_OFFER_DECLINED && offer->thing.state == AGT_OFFER_LEASED && offer->thing.winner == member)
		w_mark(w, WORLD_MARK_GIVEN_BACK);
	if (word->state == KW_OFFER_DECLINED)
		step(w, agent, offer, AGT_OFFER_EV_DECLINE, member);
}

void w_offer_failed(struct world *w, struct w_agent *agent, const struct w_say *word)
{
	uint8_t member = 0;
	struct w_offer *offer = offer_of(w, agent, word->thread, &member);
	if (offer != NULL && w->thread.at[word->thread].kind == KW_THREAD_OFFER)
		step(w, agent, offer, AGT_OFFER_EV_FAILED, member);
}

/* A person picks one who claimed, or takes it all back; or time passes. */
void w_offer_act(struct world *w, struct w_agent *agent, uint32_t number, uint32_t what)
{
	struct w_offer *offer = &agent->offers.at[number];
	if (what < AGT_OFFER_MEMBERS_MAX && what < offer->thing.count)
		step(w, agent, offer, AGT_OFFER_EV_PICK, (uint8_t)what);
	else if (what == W_OFFER_WITHDRAW)
		step(w, agent, offer, AGT_OFFER_EV_WITHDRAW, 0);
	else if (what == W_OFFER_TIME)
		step(w, agent, offer, AGT_OFFER_EV_TIME, 0);
}

void w_offer_crash(struct world *w, struct w_agent *agent)
{
	if (w->mutant != WORLD_CLAIM_IN_MEMORY)
		return;
	for (uint32_t i = 0; i < agent->offers.count; i++) {
		struct agt_offer *offer = &agent->offers.at[i].thing;
		agt_offer_init(offer, offer->count > 0 ? offer->count : 1, offer->manual, offer->claim_by_ms);
	}
}

/* Everyone but the winner knows that it is over. */
void w_offer_check(struct world *w)
{
	for (uint32_t i = 0; i < w->thread.count && !w->failed; i++) {
		const struct w_thread *about = &w->thread.at[i];
		uint8_t member = 0;
		if (about->kind != KW_THREAD_OFFER || about->lost || about->end[KW_PARTY_OTHER] == W_NOBODY)
			continue;
		const struct w_agent *agent = &w->agents[about->end[KW_PARTY_OPENER]];
		const struct w_offer *offer = offer_of(w, agent, i, &member);
		const struct w_record *theirs = w_record(w, &w->agents[about->end[KW_PARTY_OTHER]], i);
		if (theirs == NULL || theirs->thing.kind == KW_THREAD_NONE)
			continue;
		uint8_t state = theirs->thing.state;
		bool over = state == KW_OFFER_CLOSED || state == KW_OFFER_DECLINED || state == KW_OFFER_UNCLAIMED;
		if (offer == NULL || offer->thing.state == AGT_OFFER_WITHDRAWN ||
			(offer->thing.state == AGT_OFFER_LEASED && offer->thing.winner != member)) {
			if (!over)
				w_fail(w, "claim: agent %u was not told that group %u is over", about->end[KW_PARTY_OTHER], about->group);
		} else if (offer->thing.state == AGT_OFFER_LEASED && state != KW_OFFER_LEASED) {
			w_fail(w, "claim: agent %u won group %u and has state %u", about->end[KW_PARTY_OTHER], about->group, state);
		}
	}
}
