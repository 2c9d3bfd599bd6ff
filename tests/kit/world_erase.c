#include "tests/kit/world_inner.h"

/* Erasure: who withdraws a consent asks every agency with which it has a thread about the case, keeps a list of those who
 * have not answered, and asks again; who is asked erases, or keeps on a legal ground, answers, and asks those with whom it
 * has shared the case itself. A thread that was erased takes no content any more, however late it comes. All of it is in the
 * transaction of the message that asks for it. */

#define ASK_AGAIN_MS 60000u

static bool has_erased(const struct w_agent *agent, uint32_t about)
{
	for (uint32_t i = 0; i < agent->erased_cases.count; i++)
		if (agent->erased_cases.at[i] == about)
			return true;
	return false;
}

static void erase_thread(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	struct w_thread *about = &w->thread.at[thread];
	uint32_t party = w_say_party(w, agent, thread);
	about->erased[party] = true;
	if (about->retained[party]) {
		w_mark(w, WORLD_MARK_RETAINED);
		return;
	}
	w_log(w, "agent %u: thread %u is erased", agent->number, thread);
	for (uint32_t i = 0; i < w->msgs.count; i++) {
		struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type != W_SAY_EVENT || msg->say.thread != thread)
			continue;
		msg->copy[msg->from == agent->number ? 0 : 1] = false;
	}
}

static void ask(struct world *w, struct w_agent *agent, uint32_t thread)
{
	const struct w_thread *about = &w->thread.at[thread];
	if (about->end[w_say_party(w, agent, thread) == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER] == W_NOBODY)
		return;
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		if (agent->erasures.at[i].thread == thread)
			return;
	W_PUSH(agent->erasures)->thread = thread;
}

static void erase_case(struct world *w, struct w_agent *agent, uint32_t about, uint32_t but)
{
	if (about == UINT32_MAX || has_erased(agent, about))
		return;
	*W_PUSH(agent->erased_cases) = about;
	for (uint32_t i = 0; i < agent->records.count; i++) {
		uint32_t thread = agent->records.at[i].thread;
		if (w->thread.at[thread].about != about || thread == but)
			continue;
		erase_thread(w, agent, thread);
		ask(w, agent, thread);
	}
}

bool w_erase_bars(struct world *w, const struct w_agent *agent, const struct w_say *say)
{
	return say->opening && has_erased(agent, w->thread.at[say->thread].about);
}

/* Our own message is stored; a withdrawal of consent is one more step. */
void w_erase_said(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_msg *msg = &w->msgs.at[number];
	uint32_t thread = msg->say.thread;
	msg->copy[0] = !w->thread.at[thread].erased[w_say_party(w, agent, thread)];
	if (w->thread.at[thread].kind != KW_THREAD_REFERRAL || msg->say.state != KW_REFERRAL_CONSENT_WITHDRAWN)
		return;
	w_mark(w, WORLD_MARK_CONSENT_WITHDRAWN);
	erase_case(w, agent, w->thread.at[thread].about, UINT32_MAX);
}

/* Their message is taken: its content stays, unless the thread was erased before it came. */
void w_erase_heard(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_msg *msg = &w->msgs.at[number];
	struct w_thread *about = &w->thread.at[msg->say.thread];
	uint32_t party = w_say_party(w, agent, msg->say.thread);
	bool tomb = about->erased[party] && w->mutant != WORLD_NO_TOMB;
	if (about->erased[party])
		w_mark(w, WORLD_MARK_AFTER_ERASURE);
	msg->copy[1] = !tomb || about->retained[party];
	/* One who writes about what was erased here has not heard yet. */
	if (!about->erased[party] && msg->say.opening && about->about != UINT32_MAX && has_erased(agent, about->about)) {
		erase_thread(w, agent, msg->say.thread);
		ask(w, agent, msg->say.thread);
	}
}

static bool erase_asked(struct world *w, struct w_agent *agent, uint32_t thread)
{
	erase_thread(w, agent, thread);
	*W_PUSH(agent->acks) = (struct w_ack){.thread = thread};
	erase_case(w, agent, w->thread.at[thread].about, thread);
	return true;
}

static void erase_answered(struct world *w, struct w_agent *agent, uint32_t thread, uint32_t holder)
{
	const struct w_thread *about = &w->thread.at[thread];
	uint32_t party = about->end[KW_PARTY_OPENER] == holder ? KW_PARTY_OPENER : KW_PARTY_OTHER;
	if (!about->erased[party])
		w_fail(w, "erase: agent %u says that it has erased thread %u, and has not", holder, thread);
	for (uint32_t i = 0; i < agent->erasures.count; i++) {
		struct w_erasure *one = &agent->erasures.at[i];
		if (one->thread != thread)
			continue;
		if (!one->acked)
			w_mark(w, WORLD_MARK_ERASED);
		one->acked = true;
	}
}

bool w_erase_receive(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_say say = w->msgs.at[number].say;
	if (say.type == W_SAY_ERASE)
		return erase_asked(w, agent, say.thread);
	if (say.type == W_SAY_ERASED)
		erase_answered(w, agent, say.thread, w->msgs.at[number].from);
	return say.type == W_SAY_ERASED;
}

static void send(struct world *w, struct w_agent *agent, enum w_say_type type, uint32_t thread)
{
	const struct w_thread *about = &w->thread.at[thread];
	uint32_t to = about->end[w_say_party(w, agent, thread) == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER];
	struct w_msg msg = {.from = agent->number, .to = to, .say = {.type = type, .thread = thread}};
	msg.msg_class = (enum kw_msg_class)prng_range(&w->prng, KW_URGENT, KW_BULK);
	msg.size = 512;
	if (!w->calm && prng_percent(&w->prng, w->draw.expiry_percent))
		msg.expiry_hour = 500000u;
	if (!w->calm && prng_percent(&w->prng, w->draw.unopenable_percent))
		msg.unopenable = true;
	w_agent_send(w, agent, &msg);
}

/* To ask again while the last question is on its way would fill a slow link with questions. */
static bool is_under_way(const struct world *w, const struct w_erasure *one)
{
	const struct w_msg *msg = &w->msgs.at[one->last];
	return !msg->unopenable && (msg->state == W_QUEUED || msg->state == W_FRESH);
}

void w_erase_tick(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->acks.count && !w->failed; i++) {
		if (agent->acks.at[i].busy)
			continue;
		agent->acks.at[i].busy = true;
		send(w, agent, W_SAY_ERASED, agent->acks.at[i].thread);
	}
	for (uint32_t i = 0; i < agent->erasures.count && !w->failed; i++) {
		struct w_erasure *one = &agent->erasures.at[i];
		if (one->acked || (one->asked_at != 0 && (w->now < one->asked_at + ASK_AGAIN_MS || is_under_way(w, one))))
			continue;
		if (one->asked_at != 0)
			w_mark(w, WORLD_MARK_ASKED_AGAIN);
		one->asked_at = w->now;
		one->last = w->msgs.count;
		send(w, agent, W_SAY_ERASE, one->thread);
	}
}

/* An answer is in the outbox. */
void w_erase_append(struct w_agent *agent, const struct w_say *say)
{
	for (uint32_t i = 0; say->type == W_SAY_ERASED && i < agent->acks.count; i++)
		if (agent->acks.at[i].thread == say->thread && agent->acks.at[i].busy) {
			agent->acks.at[i] = agent->acks.at[--agent->acks.count];
			return;
		}
}

void w_erase_start(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->acks.count; i++)
		agent->acks.at[i].busy = false;
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		agent->erasures.at[i].asked_at = 0;
	if (w->mutant != WORLD_ERASE_VOLATILE)
		return;
	for (uint32_t i = 0; i < w->msgs.count; i++) {
		struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type == W_SAY_EVENT && msg->to == agent->number && msg->delivered > 0)
			msg->copy[1] = true;
	}
}

bool w_erase_done(const struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		if (!agent->erasures.at[i].acked)
			return false;
	return agent->acks.count == 0;
}

/* Whoever is off a list has erased. */
void w_erase_check_lists(struct world *w)
{
	for (uint32_t a = 0; a < w->draw.agents; a++) {
		const struct w_agent *agent = &w->agents[a];
		for (uint32_t i = 0; i < agent->erasures.count; i++) {
			const struct w_erasure *one = &agent->erasures.at[i];
			const struct w_thread *about = &w->thread.at[one->thread];
			uint32_t party = w_say_party(w, agent, one->thread) == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
			if (one->acked && !about->erased[party])
				w_fail(w, "erase: agent %u counts thread %u as erased by agent %u, which has it", a, one->thread,
					about->end[party]);
		}
	}
	for (uint32_t i = 0; i < w->msgs.count && !w->failed; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type != W_SAY_EVENT)
			continue;
		const struct w_thread *about = &w->thread.at[msg->say.thread];
		uint32_t from = about->end[KW_PARTY_OPENER] == msg->from ? KW_PARTY_OPENER : KW_PARTY_OTHER;
		uint32_t to = from == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
		if ((msg->copy[0] && about->erased[from] && !about->retained[from]) ||
			(msg->copy[1] && about->erased[to] && !about->retained[to]))
			w_fail(w, "erase: message %u of thread %u is there again", i, msg->say.thread);
	}
}

/* The opening of the thread has come: before that nobody there can tell what it is about. */
static bool knows(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	const struct w_record *record = w_record(w, agent, thread);
	return record != NULL && record->thing.kind != KW_THREAD_NONE;
}

/* Where one end of a thread has erased the case, neither has anything left of it: so erasure has reached all who have the
 * case from one another. */
void w_erase_check(struct world *w)
{
	w_erase_check_lists(w);
	for (uint32_t i = 0; i < w->msgs.count && !w->failed; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type != W_SAY_EVENT || w->thread.at[msg->say.thread].about == UINT32_MAX)
			continue;
		const struct w_thread *thread = &w->thread.at[msg->say.thread];
		bool gone = false;
		for (uint32_t a = 0; a < w->draw.agents; a++)
			gone = gone || ((a == msg->from || a == msg->to) && knows(w, &w->agents[a], msg->say.thread) &&
								has_erased(&w->agents[a], thread->about));
		uint32_t from = thread->end[KW_PARTY_OPENER] == msg->from ? KW_PARTY_OPENER : KW_PARTY_OTHER;
		uint32_t to = from == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
		if (gone && ((msg->copy[0] && !thread->retained[from]) || (msg->copy[1] && !thread->retained[to])))
			w_fail(w, "erase: case %u was erased, and message %u of thread %u, %u to %u, is at the %s", thread->about, i,
				msg->say.thread, msg->from, msg->to, msg->copy[0] ? "sender" : "recipient");
	}
}
