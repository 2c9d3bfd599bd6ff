#include "tests/kit/world_inner.h"

/* The people at the agencies: they do what they may, at any time, without looking at what the others do. And what an agent
 * says by itself. */

#define CASES_MAX 3u
#define PLACES_MAX 24u /* of a party in one thread */

void w_people_draw(struct world *w)
{
	static const uint64_t SPLIT[] = {0, 0, 20000, 60000};
	static const uint64_t JUMP[] = {0, 0, 10000, 40000};
	for (uint32_t i = 0; i < w->draw.agents; i++) {
		uint32_t count = (uint32_t)prng_range(&w->prng, 0, CASES_MAX);
		for (uint32_t j = 0; j < count || w->cases.count == 0; j++)
			*W_PUSH(w->cases) = (struct w_case){.first = i, .owner = i};
	}
	w->draw.split_every = SPLIT[prng_below(&w->prng, 4)];
	w->draw.jump_every = JUMP[prng_below(&w->prng, 4)];
	w->draw.loss_percent = prng_percent(&w->prng, 30) ? 5 : 0;
	if (w->draw.submit_every > 1000)
		w->draw.submit_every /= 3;
	/* A talk takes many messages; with queues of one it would take all night. */
	w->draw.messages_max = w->draw.messages_max > 80 ? 400 : 80;
}

static uint32_t anybody(struct world *w, const struct w_agent *agent)
{
	return (uint32_t)((agent->number + 1 + prng_below(&w->prng, w->draw.agents - 1)) % w->draw.agents);
}

/* The next free place: after those on disk, and those under way. */
static uint32_t next_place(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	const struct w_record *record = w_record(w, agent, thread);
	uint32_t place = record != NULL && record->thing.kind != KW_THREAD_NONE ? (uint32_t)record->thing.next : 1;
	for (uint32_t i = 0; i < agent->ops.count; i++) {
		const struct w_agent_op *op = &agent->ops.at[i];
		if (op->type != W_OP_APPEND || op->submit != W_SUBMIT_FRESH)
			continue;
		const struct w_say *say = &w->msgs.at[op->body].say;
		if (say->type == W_SAY_EVENT && say->thread == thread && say->place >= place)
			place = say->place + 1;
	}
	return place;
}

static void declare(struct world *w, struct w_agent *agent, uint32_t thread, struct w_say say)
{
	const struct w_thread *about = &w->thread.at[thread];
	uint32_t to = about->end[w_say_party(w, agent, thread) == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER];
	struct w_msg msg = {.from = agent->number, .to = to, .say = say};
	msg.say.type = W_SAY_EVENT;
	msg.say.thread = thread;
	msg.say.place = next_place(w, agent, thread);
	msg.msg_class = (enum kw_msg_class)prng_range(&w->prng, KW_URGENT, KW_BULK);
	msg.size = (uint32_t)prng_range(&w->prng, 512, 4096);
	/* An hour ends in the run: then what was not received goes. */
	if (prng_percent(&w->prng, say.opening ? w->draw.expiry_percent : w->draw.loss_percent))
		msg.expiry_hour = 500000u;
	if (say.follow == 0 && prng_percent(&w->prng, w->draw.loss_percent))
		msg.unopenable = true;
	w_agent_send(w, agent, &msg);
}

uint32_t w_thread_new(struct world *w, const struct w_agent *agent, enum kw_thread_kind kind, uint8_t state, uint32_t to)
{
	uint32_t number = w->thread.count;
	struct w_thread *thread = W_PUSH(w->thread);
	enum kw_party author = kw_state_first_author(kind, state);
	thread->kind = kind;
	thread->end[author] = agent->number;
	thread->end[author == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER] = to;
	thread->record[0] = UINT32_MAX;
	thread->record[1] = UINT32_MAX;
	thread->about = UINT32_MAX;
	thread->group = UINT32_MAX;
	for (int party = 0; party < 2; party++) {
		thread->manual[party] = prng_percent(&w->prng, 15);
		thread->retains[party] = thread->manual[party] && prng_percent(&w->prng, 50);
	}
	return number;
}

static void begin(struct world *w, struct w_agent *agent, enum kw_thread_kind kind, uint8_t state, uint32_t about)
{
	uint32_t to = prng_percent(&w->prng, w->draw.nobody_percent) ? W_NOBODY : anybody(w, agent);
	uint32_t thread = w_thread_new(w, agent, kind, state, to);
	w->thread.at[thread].about = about;
	declare(w, agent, thread, (struct w_say){.opening = true, .state = state,
		.risk = (enum kw_risk)prng_range(&w->prng, KW_RISK_HIGH, KW_RISK_LOW)});
}

/* A case that was theirs once: they may offer it, rightly or wrongly. What never was theirs they do not offer; that the case
 * system knows, and the agent does not. */
static bool was_ours(const struct world *w, const struct w_agent *agent, uint32_t about)
{
	bool was = w->cases.at[about].first == agent->number;
	for (uint32_t i = 0; i < agent->records.count && !was; i++) {
		const struct w_record *record = &agent->records.at[i];
		was = w->thread.at[record->thread].about == about && record->thing.party == KW_PARTY_OTHER &&
			agt_thread_owns(&record->thing);
	}
	return was;
}

/* A case that these people have heard of, begun here or offered to them. */
static bool case_known(struct world *w, const struct w_agent *agent, uint32_t *out)
{
	for (uint32_t tries = 0; tries < 4; tries++) {
		uint32_t about = (uint32_t)prng_below(&w->prng, w->cases.count);
		bool known = w->cases.at[about].first == agent->number;
		for (uint32_t i = 0; i < agent->records.count && !known; i++)
			known = w->thread.at[agent->records.at[i].thread].about == about &&
				agent->records.at[i].thing.kind != KW_THREAD_NONE;
		*out = about;
		if (known)
			return true;
	}
	return false;
}

/* Asks several agencies at once. */
static void offer_around(struct world *w, struct w_agent *agent)
{
	uint32_t number = w->groups.count;
	struct w_group group = {.agent = agent->number, .manual = prng_percent(&w->prng, 30)};
	uint32_t first = anybody(w, agent);
	for (uint32_t i = 0; i < w->draw.agents && group.count < AGT_OFFER_AGENCIES_MAX; i++) {
		uint32_t to = (first + i) % w->draw.agents;
		if (to == agent->number)
			continue;
		uint32_t thread = w_thread_new(w, agent, KW_THREAD_OFFER, KW_OFFER_OFFERED, to);
		w->thread.at[thread].group = number;
		group.thread[group.count++] = thread;
	}
	*W_PUSH(w->groups) = group;
	declare(w, agent, group.thread[0], (struct w_say){.opening = true, .state = KW_OFFER_OFFERED,
		.risk = (enum kw_risk)prng_range(&w->prng, KW_RISK_HIGH, KW_RISK_LOW)});
}

/* A person looks at an offer of theirs, or its time passes. */
static void look_at_offer(struct world *w, struct w_agent *agent)
{
	if (agent->offers.count == 0)
		return;
	struct w_agent_op op = {.type = W_OP_OFFER, .body = (uint32_t)prng_below(&w->prng, agent->offers.count)};
	uint64_t chance = prng_below(&w->prng, 100);
	op.about = chance < 10 ? W_OFFER_WITHDRAW : W_OFFER_TIME;
	if (chance >= 30)
		op.about = (uint32_t)prng_below(&w->prng, AGT_OFFER_AGENCIES_MAX);
	*W_PUSH(agent->ops) = op;
	w_agent_disk_kick(w, agent);
}

/* Consent to share a case is withdrawn, here or there, for all of it or for one thread. */
static void withdraw(struct world *w, struct w_agent *agent, uint32_t about)
{
	struct w_agent_op op = {.type = W_OP_WITHDRAW, .about = about, .body = UINT32_MAX,
		.action = prng_percent(&w->prng, 60) ? AGT_ERASE_ACTION : AGT_ERASE_ACTION + 1u};
	if (prng_percent(&w->prng, 30)) {
		const struct w_record *record = &agent->records.at[prng_below(&w->prng, agent->records.count)];
		op.about = w->thread.at[record->thread].about;
		op.body = record->thread;
	}
	if (op.about == UINT32_MAX)
		return;
	*W_PUSH(agent->ops) = op;
	w_agent_disk_kick(w, agent);
}

static void begin_some(struct world *w, struct w_agent *agent)
{
	uint64_t chance = prng_below(&w->prng, 100);
	uint32_t about;
	uint32_t person = UINT32_MAX;
	if (agent->records.count > 0 && prng_percent(&w->prng, 10) && case_known(w, agent, &about)) {
		withdraw(w, agent, about);
		return;
	}
	if (case_known(w, agent, &about))
		person = about;
	if (chance < 25)
		offer_around(w, agent);
	else if (chance < 42)
		begin(w, agent, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED, person);
	else if (chance < 55)
		begin(w, agent, KW_THREAD_TRACING, KW_TRACING_REGISTERED, person);
	else if (chance < 63)
		begin(w, agent, KW_THREAD_TRANSFER, KW_TRANSFER_REQUESTED, (uint32_t)prng_below(&w->prng, w->cases.count));
	else if (case_known(w, agent, &about) && was_ours(w, agent, about))
		begin(w, agent, KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED, about);
}

static bool go_on(struct world *w, struct w_agent *agent)
{
	if (agent->records.count == 0)
		return false;
	for (uint32_t tries = 0; tries < 6; tries++) {
		/* Mostly what is new. */
		uint32_t back = (uint32_t)prng_below(&w->prng, prng_percent(&w->prng, 80) ? 8 : agent->records.count);
		if (back >= agent->records.count)
			continue;
		const struct w_record *record = &agent->records.at[agent->records.count - 1 - back];
		/* The agent leads its own offers. */
		if (record->thing.kind == KW_THREAD_OFFER && record->thing.party == KW_PARTY_OPENER) {
			look_at_offer(w, agent);
			return true;
		}
		uint8_t states[KW_STATE_MAX];
		uint32_t count = agt_thread_choices(&record->thing, states);
		if (count == 0 || record->thing.next > PLACES_MAX)
			continue;
		uint8_t state = states[prng_below(&w->prng, count)];
		/* Consent ends the talk, so it is seldom withdrawn. */
		bool withdrawn = (record->thing.kind == KW_THREAD_REFERRAL && state == KW_REFERRAL_CONSENT_WITHDRAWN) ||
			(record->thing.kind == KW_THREAD_TRACING && state == KW_TRACING_CONSENT_WITHDRAWN);
		if (withdrawn && !prng_percent(&w->prng, 20))
			continue;
		/* Nor is what was claimed given back often. */
		if (record->thing.kind == KW_THREAD_OFFER && state == KW_OFFER_DECLINED && !prng_percent(&w->prng, 30))
			continue;
		if (record->thing.kind == KW_THREAD_TRANSFER && state >= KW_TRANSFER_REJECTED && !prng_percent(&w->prng, 25))
			continue;
		if (record->thing.kind == KW_THREAD_TRANSFER && state == KW_TRANSFER_OFFERED &&
			!was_ours(w, agent, w->thread.at[record->thread].about))
			continue;
		declare(w, agent, record->thread, (struct w_say){.state = state, .risk = record->thing.risk});
		return true;
	}
	return false;
}

void w_people_act(struct world *w, struct w_agent *agent)
{
	uint32_t busy = prng_percent(&w->prng, 10) ? 4 : 1;
	for (uint32_t i = 0; i < busy && !w->failed; i++)
		if (prng_percent(&w->prng, 20) || !go_on(w, agent))
			begin_some(w, agent);
}

void w_people_follow(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->follows.count && !w->failed; i++) {
		struct w_follow *one = &agent->follows.at[i];
		if (one->busy)
			continue;
		if (one->type != W_SAY_EVENT) {
			w_erase_say(w, agent, one);
			continue;
		}
		one->busy = true;
		const struct w_record *record = w_record(w, agent, one->thread);
		declare(w, agent, one->thread, (struct w_say){.opening = one->opening, .state = one->state,
			.risk = record != NULL ? record->thing.risk : KW_RISK_HIGH, .follow = one->id});
	}
}
