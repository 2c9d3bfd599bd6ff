#include <string.h>

#include "tests/kit/world_inner.h"

/* Consent that is withdrawn, on an agent's disk. What is decided is decided by the product's own agent/core/erase.c; here it
 * is carried out with the semantics of agent/shell/spool_erase.c and spool_shred.c: in the transaction of the message or the
 * word that it follows from, but for the destruction of keys, which is done after it and then said. What must be true is in
 * world_erase_check.c and knows nothing of that. */

static struct w_erasure *row_of(struct w_agent *agent, uint32_t thread)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		if (agent->erasures.at[i].thread == thread)
			return &agent->erasures.at[i];
	return NULL;
}

struct agt_erase w_erase_row(const struct w_agent *agent, uint32_t thread)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		if (agent->erasures.at[i].thread == thread)
			return agent->erasures.at[i].row;
	return (struct agt_erase){.known = false};
}

/* A spool that decides otherwise. */
static void spoil(const struct world *w, const struct agt_erase *before, const struct agt_erase_event *event,
	struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;
	bool again = before->known && event->type == AGT_ERASE_EV_ASKED && before->role == AGT_ERASE_HOLDER;
	switch (w->mutant) {
	case WORLD_ERASE_DONE_EARLY:
		if (out->onward) {
			next->shreds = false;
			next->outcome = AGT_ERASE_DONE;
			out->say |= 1u << AGT_ERASE_SAY_ACK;
		}
		break;
	case WORLD_ERASE_ASKS_ONCE:
		if (event->type == AGT_ERASE_EV_DEAD)
			out->say &= 1u << AGT_ERASE_SAY_ACK;
		break;
	case WORLD_ERASE_ANSWERS_ONCE:
		if (event->type == AGT_ERASE_EV_DEAD || again)
			out->say &= (uint8_t)~(1u << AGT_ERASE_SAY_ACK);
		break;
	case WORLD_ERASE_LOST_IS_DONE:
		if (event->type == AGT_ERASE_EV_DEAD && out->changed && next->role != AGT_ERASE_HOLDER) {
			next->outcome = AGT_ERASE_DONE;
			out->say = 0;
		}
		break;
	case WORLD_ERASE_LAST_ANSWER:
		if (event->type == AGT_ERASE_EV_ANSWERED && before->known && before->role != AGT_ERASE_HOLDER &&
			before->action == event->action) {
			next->outcome = event->outcome;
			out->changed = true;
		}
		break;
	case WORLD_ERASE_OWN_EARLY:
		if (event->type == AGT_ERASE_EV_ASKED && next->role == AGT_ERASE_OWN)
			out->say |= 1u << AGT_ERASE_SAY_ACK;
		break;
	case WORLD_ERASE_BESIDE:
		if (event->type == AGT_ERASE_EV_SENT && event->say == AGT_ERASE_SAY_CONSENT && next->known &&
			next->role != AGT_ERASE_HOLDER) {
			next->question = event->number;
			out->changed = true;
		}
		break;
	default:
		break;
	}
}

static void step(struct world *w, struct w_agent *agent, uint32_t thread, const struct agt_erase_event *event,
	struct agt_erase_result *out)
{
	struct agt_erase before = w_erase_row(agent, thread);
	agt_erase_step(&before, event, out);
	spoil(w, &before, event, out);
	if (out->changed)
		w_log(w, "agent %u: thread %u, consent: event %d, role %d, action %u, outcome %u%s, says %x%s", agent->number,
			thread, (int)event->type, (int)out->next.role, out->next.action, out->next.outcome,
			out->next.due ? ", due" : "", out->say, out->shred ? ", shreds" : "");
}

static void say(struct w_agent *agent, uint32_t thread, enum w_say_type type, uint8_t state)
{
	struct w_follow *one = W_PUSH(agent->follows);
	one->id = ++agent->follow_last;
	one->thread = thread;
	one->type = type;
	one->state = state;
}

/* The row, what is said, the key; the record forgets whom it is about. */
static void keep(struct world *w, struct w_agent *agent, uint32_t thread, const struct agt_erase_result *result)
{
	static const enum w_say_type types[AGT_ERASE_SAY_COUNT] = {W_SAY_CONSENT, W_SAY_ERASE, W_SAY_ACK};
	if (result->changed && row_of(agent, thread) == NULL)
		W_PUSH(agent->erasures)->thread = thread;
	if (result->changed)
		row_of(agent, thread)->row = result->next;
	for (int i = 0; i < AGT_ERASE_SAY_COUNT; i++)
		if ((result->say >> i & 1u) != 0)
			say(agent, thread, types[i], 0);
	if (!result->shred)
		return;
	struct w_record *record = w_record(w, agent, thread);
	if (record != NULL)
		record->named = false;
	for (uint32_t i = 0; i < agent->shreds.count; i++)
		if (agent->shreds.at[i].thread == thread)
			return;
	W_PUSH(agent->shreds)->thread = thread;
}

static void ask(struct world *w, struct w_agent *agent, uint32_t thread, uint8_t action, bool passed_on)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ASK, .action = action, .passed_on = passed_on};
	struct agt_erase_result result;
	uint8_t state = agt_thread_withdrawal(&w_record(w, agent, thread)->thing);
	step(w, agent, thread, &event, &result);
	if (!result.changed)
		return;
	if (result.fresh) /* else it is asked back, and its own question stands */
		w->thread.at[thread].questioned[w_say_party(w, agent, thread)] = false;
	if (passed_on)
		w_mark(w, WORLD_MARK_PASSED_ON);
	if (result.recall)
		w_agent_recall(w, agent, thread);
	if (result.withdraw && state != 0)
		say(agent, thread, W_SAY_EVENT, state);
	keep(w, agent, thread, &result);
}

/* In each thread with a record whose pseudonym it is; erasure has made a record forget it. */
static void ask_all(struct world *w, struct w_agent *agent, const struct agt_erase_reach *reach, uint32_t from,
	uint32_t about, uint8_t action)
{
	for (uint32_t i = 0; i < agent->records.count; i++) {
		const struct w_record *record = &agent->records.at[i];
		uint32_t thread = record->thread;
		struct agt_erase_match match = {.same_id = reach->by_thread && thread == from,
			.named = record->named && w->thread.at[thread].about == about,
			.cause = !reach->by_thread && thread == from};
		if (record->thing.kind != KW_THREAD_NONE && agt_erase_reaches(reach, &record->thing, &match) &&
			(!reach->told_by_us || w->mutant != WORLD_ERASE_NOT_ONWARD))
			ask(w, agent, thread, action, reach->told_by_us);
	}
}

/* A person withdraws consent: for a case, or for one thread of it. */
void w_erase_withdraw(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct agt_erase_reach reach = {.by_thread = op->body != UINT32_MAX};
	w_log(w, "agent %u: consent for case %u is withdrawn%s, action %u", agent->number, op->about,
		reach.by_thread ? " in one thread" : "", op->action);
	w_mark(w, op->action == AGT_ERASE_ACTION ? WORLD_MARK_CONSENT_WITHDRAWN : WORLD_MARK_RESTRICTED);
	if (op->action == AGT_ERASE_ACTION)
		w_must(w, agent, op->about, false, op->body);
	ask_all(w, agent, &reach, op->body, reach.by_thread ? UINT32_MAX : op->about, op->action);
}

/* A holder erases: its thread ends, and those that it told are asked. */
static void apply(struct world *w, struct w_agent *agent, uint32_t thread, const struct agt_erase_result *result)
{
	static const struct agt_erase_reach onward = {.told_by_us = true};
	const struct w_record *record = w_record(w, agent, thread);
	if (record != NULL && record->thing.kind != KW_THREAD_NONE) {
		bool named = record->named;
		w_say_end(w, agent, thread);
		if (named)
			ask_all(w, agent, &onward, thread, w->thread.at[thread].about, result->next.action);
	}
	keep(w, agent, thread, result);
}

/* Of what a holder has to erase, those that it told are to follow, whatever it does about it. */
static void must_follow(struct world *w, struct w_agent *agent, uint32_t thread)
{
	const struct w_record *record = w_record(w, agent, thread);
	if (record != NULL && record->thing.kind != KW_THREAD_NONE)
		w_must(w, agent, w->thread.at[thread].about, true, thread);
}

/* A person's word on what is due, or was kept. */
void w_erase_decide(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_DECIDED, .outcome = op->action};
	struct agt_erase_result result;
	struct agt_erase before = w_erase_row(agent, op->body);
	if (op->action == AGT_ERASE_DONE && before.role == AGT_ERASE_HOLDER && (before.due || before.outcome == AGT_ERASE_RETAINED))
		must_follow(w, agent, op->body);
	step(w, agent, op->body, &event, &result);
	if (result.changed && op->action == AGT_ERASE_RETAINED)
		w_mark(w, WORLD_MARK_RETAINED);
	if (result.onward)
		apply(w, agent, op->body, &result);
	else
		keep(w, agent, op->body, &result);
}

static void take_question(struct world *w, struct w_agent *agent, const struct w_say *said)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ASKED,
		.action = said->action,
		.manual = w->thread.at[said->thread].manual[w_say_party(w, agent, said->thread)]};
	struct agt_erase_result result;
	struct agt_erase before = w_erase_row(agent, said->thread);
	w->thread.at[said->thread].questioned[w_say_party(w, agent, said->thread)] = true;
	if (said->action == AGT_ERASE_ACTION && !event.manual && (!before.known || before.action != AGT_ERASE_ACTION))
		must_follow(w, agent, said->thread);
	step(w, agent, said->thread, &event, &result);
	if (result.next.role == AGT_ERASE_OWN)
		w_mark(w, WORLD_MARK_BOTH_ASKED);
	if (result.onward)
		apply(w, agent, said->thread, &result);
	else
		keep(w, agent, said->thread, &result);
}

static void take_answer(struct world *w, struct w_agent *agent, const struct w_say *said)
{
	struct agt_erase_event event = {.type = AGT_ERASE_EV_ANSWERED, .action = said->action, .outcome = said->outcome};
	struct agt_erase_result result;
	bool done = w_erase_row(agent, said->thread).outcome == AGT_ERASE_DONE;
	step(w, agent, said->thread, &event, &result);
	if (result.changed)
		w_mark(w, WORLD_MARK_ERASED);
	else if (done && said->outcome != AGT_ERASE_DONE)
		w_mark(w, WORLD_MARK_ANSWER_OVERTAKEN);
	keep(w, agent, said->thread, &result);
}

bool w_erase_receive(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_say said = w->msgs.at[number].say;
	if (said.type == W_SAY_ERASE || (said.type == W_SAY_CONSENT && said.action != AGT_ERASE_ACTION))
		take_question(w, agent, &said);
	else if (said.type == W_SAY_ACK)
		take_answer(w, agent, &said);
	return said.type == W_SAY_ERASE || said.type == W_SAY_CONSENT || said.type == W_SAY_ACK;
}

/* Whether what a person wants to say in this thread is refused: its contents are gone. */
bool w_erase_bars(struct world *w, const struct w_agent *agent, const struct w_say *word)
{
	struct agt_erase row = w_erase_row(agent, word->thread);
	bool bars = word->follow == 0 && agt_erase_is_over(&row);
	if (bars)
		w_mark(w, WORLD_MARK_ERASED_BARS);
	return bars;
}

/* Whether the content of a message, and the pseudonym that it names, are kept. */
bool w_erase_keeps(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	struct agt_erase row = w_erase_row(agent, thread);
	if (!agt_erase_is_over(&row))
		return true;
	w_mark(w, WORLD_MARK_AFTER_ERASURE);
	return w->mutant == WORLD_NO_TOMB;
}

bool w_erase_names(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	struct agt_erase row = w_erase_row(agent, thread);
	return !agt_erase_is_over(&row) || w->mutant == WORLD_ERASE_NAMES_BACK;
}

/* A message of ours about consent is in the outbox. */
void w_erase_sent(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_say said = w->msgs.at[number].say;
	struct agt_erase_event event = {.type = AGT_ERASE_EV_SENT, .number = number + 1ull,
		.say = said.type == W_SAY_ACK ? AGT_ERASE_SAY_ACK :
			said.type == W_SAY_ERASE ? AGT_ERASE_SAY_ERASE : AGT_ERASE_SAY_CONSENT};
	struct agt_erase_result result;
	step(w, agent, said.thread, &event, &result);
	keep(w, agent, said.thread, &result);
}

void w_erase_dead(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_msg *msg = &w->msgs.at[number];
	struct agt_erase_event event = {.type = AGT_ERASE_EV_DEAD, .number = number + 1ull, .reason = msg->reason};
	struct agt_erase_result result;
	uint32_t thread = msg->say.thread;
	if (msg->say.type == W_SAY_NOTHING)
		return;
	step(w, agent, thread, &event, &result);
	if ((result.say >> AGT_ERASE_SAY_ERASE & 1u) != 0)
		w_mark(w, WORLD_MARK_ASKED_AGAIN);
	if ((result.say >> AGT_ERASE_SAY_ACK & 1u) != 0)
		w_mark(w, WORLD_MARK_ANSWERED_AGAIN);
	keep(w, agent, thread, &result);
}

/* Says one of the list, as it is true now. An agency that the hub does not know is not written to: it waits. */
void w_erase_say(struct world *w, struct w_agent *agent, struct w_follow *follow)
{
	const struct w_thread *about = &w->thread.at[follow->thread];
	struct agt_erase row = w_erase_row(agent, follow->thread);
	uint32_t to = about->end[w_say_party(w, agent, follow->thread) == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER];
	struct w_msg msg = {.from = agent->number, .to = to,
		.say = {.type = follow->type, .thread = follow->thread, .follow = follow->id, .action = row.action}};
	if (to == W_NOBODY && (w->calm || prng_percent(&w->prng, 50)))
		return;
	if (!w->calm && prng_percent(&w->prng, follow->type == W_SAY_ACK ? 50 : 30)) /* it cannot be sent now; those behind it can */
		return;
	if (w->mutant == WORLD_ERASE_STALE_ANSWER)
		row.role = row.role == AGT_ERASE_AUTHOR ? AGT_ERASE_OWN : row.role;
	if (w->mutant == WORLD_ERASE_STALE_ANSWER || w->mutant == WORLD_ERASE_OWN_EARLY)
		row.shreds = false;
	follow->busy = true;
	if (!row.known || (follow->type == W_SAY_ACK && !agt_erase_answer(&row, &msg.say.outcome))) { /* it is not true any more */
		*W_PUSH(agent->ops) = (struct w_agent_op){.type = W_OP_UNFOLLOW, .body = follow->id};
		w_agent_disk_kick(w, agent);
		return;
	}
	msg.msg_class = (enum kw_msg_class)prng_range(&w->prng, KW_URGENT, KW_BULK);
	msg.size = 512;
	if (!w->calm && prng_percent(&w->prng, w->draw.expiry_percent))
		msg.expiry_hour = 500000u;
	if (!w->calm && prng_percent(&w->prng, w->draw.unopenable_percent))
		w->thread.at[follow->thread].unheard = msg.unopenable = true;
	w_agent_send(w, agent, &msg);
}

/* Keys that wait are destroyed right after the commit; without room for the new vault, later. */
void w_erase_kick(struct world *w, struct w_agent *agent)
{
	static const enum w_agent_op_type types[] = {W_OP_SHREDDED, W_OP_DESTROY};
	if (agent->shreds.count == 0 || agent->shredding || agent->in_flight > 0 ||
		(!w->calm && prng_percent(&w->prng, 20)))
		return;
	agent->shredding = true;
	for (int i = 0; i < 2; i++) {
		(void)W_PUSH(agent->ops);
		memmove(agent->ops.at + 1, agent->ops.at, (agent->ops.count - 1) * sizeof(*agent->ops.at));
		agent->ops.at[0] = (struct w_agent_op){.type = types[i]};
	}
}

void w_erase_destroy(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->shreds.count; i++) {
		uint32_t thread = agent->shreds.at[i].thread;
		agent->shreds.at[i].destroyed = true;
		w->thread.at[thread].gone[w_say_party(w, agent, thread)] = true;
		w_log(w, "agent %u: the key of thread %u is gone", agent->number, thread);
		for (uint32_t m = 0; m < w->msgs.count; m++)
			if (w->msgs.at[m].say.type == W_SAY_EVENT && w->msgs.at[m].say.thread == thread)
				w->msgs.at[m].copy[w->msgs.at[m].from == agent->number ? 0 : 1] = false;
	}
}

void w_erase_shredded(struct world *w, struct w_agent *agent)
{
	static const struct agt_erase_event event = {.type = AGT_ERASE_EV_SHREDDED};
	agent->shredding = false;
	for (uint32_t i = 0; i < agent->shreds.count;) {
		struct w_shred shred = agent->shreds.at[i];
		if (!shred.destroyed) {
			i++;
			continue;
		}
		agent->shreds.at[i] = agent->shreds.at[--agent->shreds.count];
		struct agt_erase_result result;
		step(w, agent, shred.thread, &event, &result);
		keep(w, agent, shred.thread, &result);
	}
}

/* People look at what is due. */
void w_erase_tick(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++) {
		const struct w_erasure *one = &agent->erasures.at[i];
		const struct w_thread *about = &w->thread.at[one->thread];
		bool keeps = about->retains[w_say_party(w, agent, one->thread)];
		bool kept = one->row.role == AGT_ERASE_HOLDER && one->row.outcome == AGT_ERASE_RETAINED;
		if ((!one->row.due || !prng_percent(&w->prng, 20)) && (!kept || w->calm || !prng_percent(&w->prng, 5)))
			continue;
		*W_PUSH(agent->ops) = (struct w_agent_op){.type = W_OP_DECIDE, .body = one->thread,
			.action = keeps && !kept ? AGT_ERASE_RETAINED : AGT_ERASE_DONE};
		w_agent_disk_kick(w, agent);
	}
	w_erase_kick(w, agent);
	w_agent_disk_kick(w, agent);
}

void w_erase_start(struct world *w, struct w_agent *agent)
{
	agent->shredding = false;
	if (w->mutant == WORLD_ERASE_VOLATILE)
		agent->shreds.count = 0;
	w_erase_kick(w, agent);
}

bool w_erase_done(const struct world *w, const struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++)
		if (agent->erasures.at[i].row.due)
			return false;
	for (uint32_t i = 0; i < agent->follows.count; i++) {
		const struct w_thread *about = &w->thread.at[agent->follows.at[i].thread];
		bool waits = agent->follows.at[i].type != W_SAY_EVENT &&
			(about->end[KW_PARTY_OPENER] == W_NOBODY || about->end[KW_PARTY_OTHER] == W_NOBODY);
		if (!waits)
			return false;
	}
	return agent->shreds.count == 0;
}
