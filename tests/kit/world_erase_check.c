#include "tests/kit/world_inner.h"

/* What must be true of erasure, looked at from outside: with whom a case was shared the world knows by itself. Whoever asked:
 * each holder has erased, or stands on the list of those who have not answered; "done" is said when it is gone; and what is
 * gone does not come back. */

/* A case is withdrawn at an agency, in one thread (`only`) or in all; or an agency erases what it was told and all whom it told
 * itself are to follow (`onward`, but not the thread `only`). From now on both ends of those threads must be without it. */
void w_must(struct world *w, const struct w_agent *agent, uint32_t about, bool onward, uint32_t only)
{
	for (uint32_t i = 0; i < agent->records.count; i++) {
		const struct w_record *record = &agent->records.at[i];
		struct w_thread *thread = &w->thread.at[record->thread];
		bool meant = onward ? record->thread != only && thread->end[KW_PARTY_OPENER] == agent->number :
			only == UINT32_MAX || record->thread == only;
		if (!meant || thread->about != about || about == UINT32_MAX || record->thing.kind == KW_THREAD_NONE)
			continue;
		thread->must[KW_PARTY_OPENER] = true;
		thread->must[KW_PARTY_OTHER] = true;
	}
}

/* An answer leaves. */
void w_erase_promised(struct world *w, const struct w_agent *agent, const struct w_say *said)
{
	const struct w_thread *thread = &w->thread.at[said->thread];
	if (said->type == W_SAY_ACK && said->action == AGT_ERASE_ACTION && !thread->questioned[w_say_party(w, agent, said->thread)])
		w_fail(w, "erase: agent %u answers about thread %u, and nobody has asked", agent->number, said->thread);
	if (said->type == W_SAY_ACK && said->action == AGT_ERASE_ACTION && said->outcome == AGT_ERASE_DONE &&
		!thread->gone[w_say_party(w, agent, said->thread)])
		w_fail(w, "erase: agent %u says that it has erased thread %u, and has not", agent->number, said->thread);
}

static uint32_t other(uint32_t party)
{
	return party == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
}

static void check_list(struct world *w, const struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->erasures.count; i++) {
		const struct w_erasure *one = &agent->erasures.at[i];
		const struct w_thread *thread = &w->thread.at[one->thread];
		uint32_t party = w_say_party(w, agent, one->thread);
		const struct w_record *record = w_record(w, agent, one->thread);
		if (one->row.role != AGT_ERASE_HOLDER && one->row.action == AGT_ERASE_ACTION &&
			one->row.outcome == AGT_ERASE_DONE && !thread->gone[other(party)])
			w_fail(w, "erase: agent %u counts thread %u as erased by agent %u, which has it", agent->number, one->thread,
				thread->end[other(party)]);
		if (thread->gone[party] && record != NULL && record->named)
			w_fail(w, "erase: agent %u knows again whom thread %u is about", agent->number, one->thread);
	}
}

void w_erase_check_lists(struct world *w)
{
	for (uint32_t a = 0; a < w->draw.agents; a++)
		check_list(w, &w->agents[a]);
	for (uint32_t i = 0; i < w->msgs.count && !w->failed; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type != W_SAY_EVENT)
			continue;
		const struct w_thread *thread = &w->thread.at[msg->say.thread];
		uint32_t from = thread->end[KW_PARTY_OPENER] == msg->from ? KW_PARTY_OPENER : KW_PARTY_OTHER;
		if ((msg->copy[0] && thread->gone[from]) || (msg->copy[1] && thread->gone[other(from)]))
			w_fail(w, "erase: message %u of thread %u is there again", i, msg->say.thread);
	}
}

static struct agt_erase row_at(const struct world *w, uint32_t number, uint32_t party)
{
	uint32_t end = w->thread.at[number].end[party];
	return end == W_NOBODY ? (struct agt_erase){.known = false} : w_erase_row(&w->agents[end], number);
}

/* This end must be without the case. */
static void check_end(struct world *w, uint32_t number, uint32_t party)
{
	const struct w_thread *thread = &w->thread.at[number];
	struct agt_erase own = row_at(w, number, party);
	struct agt_erase asker = row_at(w, number, other(party));
	if (thread->end[party] == W_NOBODY)
		return;
	bool keeps = own.known && own.role == AGT_ERASE_HOLDER && own.outcome == AGT_ERASE_RETAINED;
	bool listed = asker.known && asker.role != AGT_ERASE_HOLDER && asker.action == AGT_ERASE_ACTION;
	if (!thread->gone[party] && !keeps && (!listed || (asker.outcome == AGT_ERASE_OPEN && !thread->unheard)))
		w_fail(w, "erase: consent for case %u was withdrawn, and agent %u still has thread %u%s", thread->about,
			thread->end[party], number, listed ? "" : ", and nobody asks it");
	if (!listed || thread->unheard)
		return;
	if (asker.outcome == AGT_ERASE_OPEN)
		w_fail(w, "erase: agent %u has no answer about thread %u from agent %u", thread->end[other(party)], number,
			thread->end[party]);
	if ((asker.outcome == AGT_ERASE_DONE) != thread->gone[party])
		w_fail(w, "erase: agent %u believes %u of thread %u at agent %u", thread->end[other(party)], asker.outcome, number,
			thread->end[party]);
}

/* When all has come to rest. */
void w_erase_check(struct world *w)
{
	w_erase_check_lists(w);
	for (uint32_t i = 0; i < w->thread.count && !w->failed; i++)
		for (uint32_t party = 0; party < 2 && !w->failed; party++)
			if (w->thread.at[i].must[party])
				check_end(w, i, party);
}
