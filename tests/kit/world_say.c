#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* Threads on an agent's disk, with the semantics of agent/shell/spool_thread.c and spool_early.c: each event is judged by
 * the core in the transaction of its message; early ones wait, refused ones go back to their author, who makes the record
 * again without them. Nothing here is called but by a transaction that ends well. */

struct kw_id w_thread_id(uint32_t thread)
{
	return w_id(thread | 0x10000000u);
}

uint32_t w_thread_of(const struct kw_id *id)
{
	return w_msg_of(id) & ~0x10000000u;
}

uint32_t w_say_party(const struct world *w, const struct w_agent *agent, uint32_t thread)
{
	return w->thread.at[thread].end[KW_PARTY_OPENER] == agent->number ? KW_PARTY_OPENER : KW_PARTY_OTHER;
}

struct w_record *w_record(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	uint32_t at = w->thread.at[thread].record[w_say_party(w, agent, thread)];
	return at == UINT32_MAX ? NULL : &agent->records.at[at];
}

void w_say_free(struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->records.count; i++) {
		free(agent->records.at[i].log.at);
		free(agent->records.at[i].early.at);
	}
	free(agent->records.at);
	free(agent->follows.at);
	free(agent->offers.at);
	free(agent->erasures.at);
	free(agent->shreds.at);
}

/* Where our word that moved a transfer stands among all of ours; as spool_case.c finds it in the log. */
static uint64_t moved_at(const struct w_record *record)
{
	uint8_t word = 0;
	if (!agt_case_moved(&record->thing, &word))
		return 0;
	for (uint32_t i = 0; i < record->log.count; i++) {
		const struct w_step *step = &record->log.at[i];
		if (step->event.author == AGT_THREAD_OURS && step->event.state == word && !step->lost)
			return step->order;
	}
	return UINT64_MAX;
}

/* What the agent knows of a case, from all of its threads but one. */
struct agt_case w_say_case(struct world *w, const struct w_agent *agent, uint32_t about, uint32_t but)
{
	struct agt_case out = {.got = 0};
	for (uint32_t i = 0; i < agent->records.count; i++) {
		const struct w_record *record = &agent->records.at[i];
		if (record->thread == but || w->thread.at[record->thread].about != about)
			continue;
		if (w->mutant == WORLD_WITHDRAW_ALONE && record->thing.state == KW_TRANSFER_WITHDRAW_REQUESTED)
			continue;
		agt_case_add(&out, &record->thing, moved_at(record));
	}
	return out;
}

uint32_t w_row_expiry(const struct world *w, uint32_t number)
{
	const struct w_msg *msg = &w->msgs.at[number];
	bool event = w->threads && msg->say.type == W_SAY_EVENT;
	bool ends = !event || w->mutant == WORLD_TRANSFER_EXPIRES ||
		agt_thread_gives_up(w->thread.at[msg->say.thread].kind, msg->say.opening);
	return ends ? msg->expiry_hour : 0;
}

struct pass {
	const struct w_say *say;
	struct agt_thread before;
	struct agt_thread_event event;
	struct agt_thread_result result;
};

static void judge(struct world *w, struct w_agent *agent, const struct w_say *say, enum agt_thread_author author,
	struct pass *pass)
{
	struct w_record *record = w_record(w, agent, say->thread);
	pass->say = say;
	pass->before = record != NULL ? record->thing : (struct agt_thread){.kind = KW_THREAD_NONE};
	pass->event = (struct agt_thread_event){.author = author,
		.kind = w->thread.at[say->thread].kind,
		.opening = say->opening,
		.state = say->state,
		.risk = say->risk,
		.sequence = author > AGT_THREAD_THEIRS ? 0 : say->place,
		.now_ms = (int64_t)w_wall(w)};
	agt_thread_step(&pass->before, &pass->event, &pass->result);
	if (w->mutant == WORLD_EARLY_AT_ONCE && pass->result.verdict == AGT_THREAD_EARLY &&
		pass->before.kind != KW_THREAD_NONE) {
		struct agt_thread before = pass->before;
		before.expected = say->place;
		agt_thread_step(&before, &pass->event, &pass->result);
	}
}

static void keep(struct world *w, struct w_agent *agent, struct pass *pass, uint32_t number)
{
	struct w_record *record = w_record(w, agent, pass->say->thread);
	if (record == NULL) {
		w->thread.at[pass->say->thread].record[w_say_party(w, agent, pass->say->thread)] = agent->records.count;
		record = W_PUSH(agent->records);
		record->thread = pass->say->thread;
	}
	if (pass->before.kind == KW_THREAD_NONE && w->thread.at[record->thread].about != UINT32_MAX)
		record->named = w_erase_names(w, agent, record->thread);
	record->thing = pass->result.next;
	if (pass->result.verdict == AGT_THREAD_APPLY || pass->result.verdict == AGT_THREAD_REPEAT)
		*W_PUSH(record->log) = (struct w_step){.event = pass->event, .msg = number, .order = ++agent->steps};
	w_log(w, "agent %u: thread %u of case %d, %s: %u -> %u by %d's %u, place %u, message %d", agent->number, record->thread,
		(int)w->thread.at[record->thread].about, kw_thread_kind_name(record->thing.kind), pass->before.state,
		record->thing.state, (int)pass->event.author, pass->event.state, (unsigned)pass->event.sequence, (int)number);
	bool theirs = pass->event.author == AGT_THREAD_THEIRS;
	if (theirs && record->thing.kind == KW_THREAD_REFERRAL && pass->before.state == KW_REFERRAL_CANCEL_REQUESTED &&
		record->thing.state != KW_REFERRAL_CANCEL_REQUESTED && record->thing.state != KW_REFERRAL_CANCELLED)
		w_mark(w, WORLD_MARK_CANCEL_CROSSED);
	w_owner_changed(w, agent, record->thread, pass->before.state);
}

static void follow(struct world *w, struct w_agent *agent, const struct pass *pass)
{
	if (pass->result.follow != AGT_FOLLOW_WITHDRAWN)
		return;
	struct w_follow *one = W_PUSH(agent->follows);
	one->id = ++agent->follow_last;
	one->thread = pass->say->thread;
	one->type = W_SAY_EVENT;
	one->state = KW_TRANSFER_WITHDRAWN;
	w_log(w, "agent %u: has to say %u in thread %u", agent->number, one->state, one->thread);
}

/* It is said, or not wanted any more; one whose place was given away is said again. The others keep their order: an offer
 * is made before it is closed. */
static void follow_gone(struct w_agent *agent, uint32_t id, bool again)
{
	for (uint32_t i = 0; i < agent->follows.count; i++) {
		if (agent->follows.at[i].id != id)
			continue;
		agent->follows.at[i].busy = false;
		for (uint32_t j = i; !again && j + 1 < agent->follows.count; j++)
			agent->follows.at[j] = agent->follows.at[j + 1];
		agent->follows.count -= !again;
		return;
	}
}

void w_say_unfollow(struct w_agent *agent, uint32_t id)
{
	follow_gone(agent, id, false);
}

bool w_say_append(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_say say = w->msgs.at[number].say;
	struct pass pass;
	if (say.type != W_SAY_EVENT) {
		w_erase_promised(w, agent, &say);
		follow_gone(agent, say.follow, false);
		if (say.type != W_SAY_NOTHING)
			w_erase_sent(w, agent, number);
		return true;
	}
	if (w_erase_bars(w, agent, &say))
		return false;
	judge(w, agent, &say, AGT_THREAD_OURS, &pass);
	if (say.follow != 0)
		follow_gone(agent, say.follow,
			pass.result.verdict == AGT_THREAD_ILLEGAL && pass.result.fault == AGT_FAULT_PLACE);
	if (pass.result.verdict == AGT_THREAD_ILLEGAL) {
		w_mark(w, WORLD_MARK_ILLEGAL_OURS);
		return false;
	}
	if (!w_offer_may(w, agent, &say))
		return false;
	if (pass.event.kind == KW_THREAD_TRANSFER && say.state == KW_TRANSFER_OFFERED) {
		struct agt_case about = w_say_case(w, agent, w->thread.at[say.thread].about, say.thread);
		bool may = w->mutant == WORLD_OFFER_ONCE_GIVEN ? !about.on_offer : agt_case_may_offer(&about);
		if (!may) {
			if (!about.on_offer)
				w_mark(w, WORLD_MARK_OFFER_GIVEN);
			w_mark(w, WORLD_MARK_OFFER_BARRED);
			return false;
		}
	}
	keep(w, agent, &pass, number);
	follow(w, agent, &pass);
	w_offer_said(w, agent, &say);
	w->msgs.at[number].copy[0] = w_erase_keeps(w, agent, say.thread);
	return true;
}

static void put_due(struct w_agent *agent, uint32_t number, bool failed, bool opened)
{
	*W_PUSH(agent->dues) = (struct w_due){.msg = number, .failed = failed, .opened = opened};
}

/* False: it was early. */
static bool take(struct world *w, struct w_agent *agent, uint32_t number, bool waited)
{
	const struct w_say say = w->msgs.at[number].say;
	struct pass pass;
	judge(w, agent, &say, AGT_THREAD_THEIRS, &pass);
	struct w_record *record = w_record(w, agent, say.thread);
	if (pass.result.verdict == AGT_THREAD_EARLY) {
		if (waited)
			w_fail(w, "agent %u takes message %u before its turn", agent->number, number);
		w_mark(w, WORLD_MARK_EARLY);
		return false;
	}
	if (pass.result.verdict == AGT_THREAD_APPLY ||
		(record != NULL && pass.result.next.expected != pass.before.expected))
		keep(w, agent, &pass, number);
	/* Who answers has had our opening. */
	record = w_record(w, agent, say.thread);
	if (pass.before.kind != KW_THREAD_NONE && pass.before.expected == 1 && pass.result.verdict == AGT_THREAD_APPLY &&
		record->log.at[0].event.author == AGT_THREAD_OURS)
		w_agent_arrived(w, agent, record->log.at[0].msg);
	follow(w, agent, &pass);
	if (pass.result.verdict == AGT_THREAD_APPLY)
		w_offer_heard(w, agent, &say);
	if (!waited)
		w->msgs.at[number].copy[1] = w_erase_keeps(w, agent, say.thread);
	bool refused = pass.result.verdict == AGT_THREAD_ILLEGAL ||
		(pass.result.verdict == AGT_THREAD_REPEAT && pass.result.fault == AGT_FAULT_PLACE);
	if (refused) {
		w_mark(w, WORLD_MARK_ILLEGAL_THEIRS);
		w_log(w, "agent %u: refuses message %u, place %u of thread %u: %u in %u, fault %d", agent->number, number,
			say.place, say.thread, say.state, pass.before.state, (int)pass.result.fault);
	}
	put_due(agent, number, refused, !refused);
	return true;
}

/* What waits for its opening has no record to wait in: it stands by the world's thread. */
static struct w_record *waiting_room(struct world *w, struct w_agent *agent, uint32_t thread)
{
	struct w_record *record = w_record(w, agent, thread);
	if (record != NULL)
		return record;
	w->thread.at[thread].record[w_say_party(w, agent, thread)] = agent->records.count;
	record = W_PUSH(agent->records);
	record->thread = thread;
	return record;
}

void w_say_receive(struct world *w, struct w_agent *agent, uint32_t number)
{
	const struct w_say *say = &w->msgs.at[number].say;
	uint32_t thread = say->thread;
	if (w_erase_receive(w, agent, number) || say->type != W_SAY_EVENT) {
		put_due(agent, number, false, true);
		return;
	}
	if (!take(w, agent, number, false)) {
		*W_PUSH(waiting_room(w, agent, thread)->early) = number;
		w->msgs.at[number].copy[1] = w_erase_keeps(w, agent, thread);
		put_due(agent, number, false, false);
		return;
	}
	for (bool found = true; found && !w->failed;) {
		struct w_record *record = w_record(w, agent, thread);
		found = false;
		for (uint32_t i = 0; record != NULL && i < record->early.count; i++) {
			uint32_t early = record->early.at[i];
			uint64_t expected = record->thing.kind == KW_THREAD_NONE ? 1 : record->thing.expected;
			if (w->msgs.at[early].say.place > expected)
				continue;
			record->early.at[i] = record->early.at[--record->early.count];
			(void)take(w, agent, early, true);
			found = true;
			break;
		}
	}
}

/* A word that has no place: one that does not apply changes nothing, and nobody is told. */
static bool placeless(struct world *w, struct w_agent *agent, const struct w_say *say, enum agt_thread_author author,
	uint32_t number)
{
	struct pass pass;
	const struct w_record *record = w_record(w, agent, say->thread);
	if (record == NULL || record->thing.kind == KW_THREAD_NONE)
		return false;
	judge(w, agent, say, author, &pass);
	if (pass.result.verdict != AGT_THREAD_APPLY)
		return false;
	keep(w, agent, &pass, number);
	return true;
}

static bool is_opening(const struct w_record *record, uint32_t number)
{
	return record->log.count > 0 && record->log.at[0].event.author == AGT_THREAD_OURS &&
		record->log.at[0].msg == number;
}

void w_say_delivered(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_say say = w->msgs.at[number].say;
	if (say.type != W_SAY_EVENT || w->thread.at[say.thread].kind != KW_THREAD_REFERRAL)
		return;
	const struct w_record *record = w_record(w, agent, say.thread);
	if (record == NULL || !is_opening(record, number))
		return;
	say.state = KW_REFERRAL_DELIVERED;
	say.opening = false;
	(void)placeless(w, agent, &say, AGT_THREAD_RECEIPT, number);
}

void w_say_hub(struct world *w, struct w_agent *agent, const struct kw_frame_reminder *reminder)
{
	uint32_t thread = w_thread_of(&reminder->thread_id);
	const struct w_thread *about = &w->thread.at[thread];
	struct w_say say = {.type = W_SAY_EVENT, .thread = thread, .state = reminder->state};
	if (about->end[0] != agent->number && about->end[1] != agent->number)
		return; /* a coordinator */
	if (placeless(w, agent, &say, AGT_THREAD_HUB, UINT32_MAX))
		w_mark(w, WORLD_MARK_HUB_WORD);
}

void w_say_end(struct world *w, struct w_agent *agent, uint32_t thread)
{
	struct w_say say = {.type = W_SAY_EVENT, .thread = thread, .state = KW_REFERRAL_CONSENT_WITHDRAWN};
	if (w->thread.at[thread].kind == KW_THREAD_REFERRAL)
		(void)placeless(w, agent, &say, AGT_THREAD_RECEIPT, UINT32_MAX);
}

bool w_say_binds(const struct world *w, const struct w_say *say)
{
	return w->threads && say->type == W_SAY_EVENT && agt_thread_binds(w->thread.at[say->thread].kind);
}

/* As void_opening of agent/shell/spool_thread_void.c. */
static void void_opening(struct world *w, struct w_agent *agent, struct w_record *record, enum w_end end)
{
	struct w_say say = {.type = W_SAY_EVENT, .thread = record->thread, .state = KW_REFERRAL_UNDELIVERABLE};
	bool applied = record->thing.kind == KW_THREAD_REFERRAL && placeless(w, agent, &say, AGT_THREAD_HUB, UINT32_MAX);
	if (end != W_END_UNSURE || applied)
		record->thing.failed = !applied;
}

/* The record made again from its log without what is lost, and without `number` or with it. */
static struct agt_thread replay(const struct w_record *record, uint32_t number, bool without)
{
	struct agt_thread thing = record->thing;
	for (uint32_t i = 0; i < record->log.count; i++) {
		const struct w_step *step = &record->log.at[i];
		bool ours = i > 0 && step->event.author == AGT_THREAD_OURS && step->msg == number;
		if (ours ? without : step->lost)
			continue;
		if (i == 0)
			agt_thread_rewind(&thing, &step->event);
		else
			agt_thread_again(&thing, &step->event);
	}
	return thing;
}

/* An acceptance that never arrived stands once the case has gone on from here. */
static bool stands(struct world *w, const struct w_agent *agent, const struct w_record *record, uint32_t number)
{
	struct agt_thread thing = replay(record, number, true);
	if (record->thing.kind != KW_THREAD_TRANSFER || record->thing.party != KW_PARTY_OTHER ||
		!agt_thread_owns(&record->thing) || agt_thread_owns(&thing) || w->mutant == WORLD_ACCEPTANCE_UNDONE)
		return false;
	struct agt_case all = w_say_case(w, agent, w->thread.at[record->thread].about, UINT32_MAX);
	if (agt_case_may_offer(&all))
		return false;
	w_mark(w, WORLD_MARK_STANDS);
	w_log(w, "agent %u: its acceptance of case %u stands", agent->number, w->thread.at[record->thread].about);
	return true;
}

/* As step_void there. */
static void step_void(struct world *w, struct w_record *record, uint32_t number, enum w_end end)
{
	for (uint32_t i = 1; i < record->log.count; i++) {
		struct w_step *step = &record->log.at[i];
		if (step->event.author != AGT_THREAD_OURS || step->msg != number)
			continue;
		bool again = end == W_END_LOST || step->lost;
		step->refused = end != W_END_NONE;
		step->lost = end == W_END_LOST;
		if (again) {
			w_mark(w, WORLD_MARK_REPLAYED);
			record->thing = replay(record, number, step->lost);
		}
		return;
	}
	w_fail(w, "message %u is not in the log of its thread", number);
}

/* A lease that may stand is one; a word that it is over may be lost without harm. */
static void void_offer(struct world *w, struct w_agent *agent, const struct w_say *say, uint8_t was)
{
	const struct w_record *record = w_record(w, agent, say->thread);
	if (record->thing.kind == KW_THREAD_OFFER && record->thing.party == KW_PARTY_OPENER &&
		(was == KW_OFFER_OFFERED || was == KW_OFFER_LEASED))
		w_offer_failed(w, agent, say);
}

void w_say_void(struct world *w, struct w_agent *agent, uint32_t number, enum w_end end)
{
	static const char *const words[] = {"is refused", "is lost", "may be lost", "arrived after all"};
	const struct w_say *say = &w->msgs.at[number].say;
	struct w_record *record = say->type == W_SAY_EVENT ? w_record(w, agent, say->thread) : NULL;
	if (record == NULL || record->thing.kind == KW_THREAD_NONE)
		return;
	uint8_t before = record->thing.state;
	bool opening = is_opening(record, number);
	bool gone = end == W_END_LOST || end == W_END_REFUSED;
	w_log(w, "agent %u: message %u, %u in thread %u, %s", agent->number, number, say->state, say->thread, words[end]);
	if (opening && end != W_END_NONE) {
		/* One that was answered has arrived, though its receipt was late or got lost. */
		if (record->thing.expected > 1)
			return;
		void_opening(w, agent, record, end);
		if (gone)
			void_offer(w, agent, say, KW_OFFER_OFFERED);
		return;
	}
	if (!opening && end == W_END_LOST && stands(w, agent, record, number)) {
		w->msgs.at[number].reason = KW_EUNCONFIRMED;
		return;
	}
	record->thing.failed = record->thing.failed && !opening;
	if (!opening && end != W_END_UNSURE)
		step_void(w, record, number, end);
	if (end == W_END_LOST && say->place + 1 == record->thing.next) {
		record->thing.next = say->place;
		w_mark(w, WORLD_MARK_PLACE_AGAIN);
	} else if (end == W_END_NONE && say->place == record->thing.next) {
		record->thing.next = say->place + 1;
	}
	w_owner_changed(w, agent, say->thread, before);
	if (gone)
		void_offer(w, agent, say, before);
}
