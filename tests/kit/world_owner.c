#include "tests/kit/world_inner.h"

/* Who owns a case, by the definition and not by what the agents think: the new owner from the moment when its acceptance
 * is on its disk, else the old one. And what must be true of all threads in the end. */

static bool has_it(const struct world *w, uint32_t agent, uint32_t thread, uint8_t state)
{
	return w->thread.at[thread].end[kw_transfer_owner(state)] == agent;
}

/* The opener's record says that its offer may still be accepted. */
static bool is_on_offer(const struct w_record *record)
{
	return record->thing.kind == KW_THREAD_TRANSFER && record->thing.party == KW_PARTY_OPENER &&
		!record->thing.failed &&
		(record->thing.state == KW_TRANSFER_OFFERED || record->thing.state == KW_TRANSFER_ACKNOWLEDGED ||
			record->thing.state == KW_TRANSFER_WITHDRAW_REQUESTED);
}

static void offered(struct world *w, const struct w_agent *agent, uint32_t thread)
{
	uint32_t about = w->thread.at[thread].about;
	if (w->cases.at[about].owner != agent->number)
		w_fail(w, "owner: agent %u offers case %u of agent %u", agent->number, about, w->cases.at[about].owner);
	for (uint32_t i = 0; i < agent->records.count; i++) {
		const struct w_record *other = &agent->records.at[i];
		if (other->thread != thread && w->thread.at[other->thread].about == about && is_on_offer(other))
			w_fail(w, "owner: agent %u has case %u on offer in threads %u and %u", agent->number, about, other->thread,
				thread);
	}
}

void w_owner_changed(struct world *w, const struct w_agent *agent, uint32_t thread, uint8_t before)
{
	struct w_thread *about = &w->thread.at[thread];
	const struct w_record *record = w_record(w, agent, thread);
	uint8_t after = record->thing.state;
	if (about->kind != KW_THREAD_TRANSFER || before == after)
		return;
	uint32_t opener = about->end[KW_PARTY_OPENER];
	struct w_case *one = &w->cases.at[about->about];
	if (agent->number == opener) {
		if (after == KW_TRANSFER_OFFERED && (before == 0 || before == KW_TRANSFER_REQUESTED))
			offered(w, agent, thread);
		if (after == KW_TRANSFER_WITHDRAWN)
			w_mark(w, WORLD_MARK_WITHDRAWN);
		if (before == KW_TRANSFER_WITHDRAW_REQUESTED && after == KW_TRANSFER_ACCEPTED)
			w_mark(w, WORLD_MARK_WITHDRAW_LATE);
		/* The new owner may have given it back meanwhile, but it took it. */
		uint32_t other = about->end[KW_PARTY_OTHER];
		const struct w_record *theirs = other == W_NOBODY ? NULL : w_record(w, &w->agents[other], thread);
		if (has_it(w, other, thread, after) && (theirs == NULL || !has_it(w, other, thread, theirs->thing.state)))
			w_fail(w, "owner: agent %u gives case %u away and nobody has it", opener, about->about);
		return;
	}
	bool had = before != 0 && has_it(w, agent->number, thread, before);
	bool has = has_it(w, agent->number, thread, after);
	if (has && !had) {
		if (one->owner != opener)
			w_fail(w, "owner: agent %u accepts case %u of agent %u from agent %u", agent->number, about->about, one->owner,
				opener);
		w_mark(w, agent->number == one->first ? WORLD_MARK_CAME_BACK : WORLD_MARK_ACCEPTED);
		one->owner = agent->number;
	} else if (had && !has) {
		const struct w_record *theirs = w_record(w, &w->agents[opener], thread);
		if (theirs != NULL && theirs->thing.kind != KW_THREAD_NONE &&
			has_it(w, agent->number, thread, theirs->thing.state))
			w_fail(w, "owner: agent %u has given case %u to agent %u, which takes its acceptance back", opener,
				about->about, agent->number);
		else if (one->owner != agent->number)
			w_fail(w, "owner: agent %u takes back its acceptance of case %u, which agent %u has", agent->number,
				about->about, one->owner);
		one->owner = opener;
	}
}

/* The word of an acceptance went for good on its way to the old owner, or one went before which it has no turn. */
static bool unheard(struct world *w, const struct w_agent *agent, uint32_t about)
{
	for (uint32_t i = 0; i < w->thread.count; i++) {
		const struct w_thread *thread = &w->thread.at[i];
		if (thread->kind != KW_THREAD_TRANSFER || thread->about != about || !thread->lost_by_others ||
			thread->end[KW_PARTY_OPENER] != agent->number || thread->end[KW_PARTY_OTHER] == W_NOBODY)
			continue;
		const struct w_agent *other = &w->agents[thread->end[KW_PARTY_OTHER]];
		const struct w_record *ours = w_record(w, agent, i);
		const struct w_record *theirs = w_record(w, other, i);
		if (ours != NULL && theirs != NULL && agt_thread_owns(&theirs->thing) && agt_thread_owns(&ours->thing))
			return true;
	}
	return false;
}

void w_owner_check(struct world *w)
{
	for (uint32_t about = 0; about < w->cases.count && !w->failed; about++) {
		uint32_t owners = 0;
		for (uint32_t i = 0; i < w->draw.agents; i++) {
			struct agt_case view = w_say_case(w, &w->agents[i], about, UINT32_MAX);
			/* Of a case that it never had no agent has an opinion. */
			bool ours = agt_case_is_ours(&view) && (view.got > 0 || w->cases.at[about].first == i);
			if (ours && w->cases.at[about].owner != i && unheard(w, &w->agents[i], about)) {
				w_mark(w, WORLD_MARK_OWNER_UNHEARD);
				if (agt_case_may_offer(&view))
					w_fail(w, "owner: agent %u may offer case %u of agent %u", i, about, w->cases.at[about].owner);
				continue;
			}
			if (ours)
				w_log(w, "agent %u takes case %u of agent %u for its own: got %u, gave %u", i, about, w->cases.at[about].owner,
					view.got, view.given);
			owners += ours;
		}
		if (owners != 1)
			w_fail(w, "owner: %u agencies take case %u for theirs", owners, about);
	}
}

bool w_say_done(const struct world *w, const struct w_agent *agent)
{
	return w_erase_done(w, agent);
}

/* What went for good, and was not taken back by what came later. */
static void find_lost(struct world *w)
{
	for (uint32_t i = 0; i < w->msgs.count; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		if (msg->say.type != W_SAY_EVENT || (msg->state != W_DEAD && !msg->unopenable) || msg->delivered > 0)
			continue;
		struct w_thread *thread = &w->thread.at[msg->say.thread];
		thread->lost = true;
		thread->lost_by_others = thread->lost_by_others || msg->reason != KW_ERECALLED;
	}
}

/* States that a hub may have told one end of, and, having lost its memory, not the other. */
static bool is_hub_word(enum kw_thread_kind kind, uint8_t state)
{
	if (kind == KW_THREAD_REFERRAL)
		return state == KW_REFERRAL_QUEUED || state == KW_REFERRAL_DELIVERED || state == KW_REFERRAL_EXPIRED ||
			state == KW_REFERRAL_UNDELIVERABLE;
	return kind == KW_THREAD_OFFER && (state == KW_OFFER_OFFERED || state == KW_OFFER_UNCLAIMED);
}

static void check_ends(struct world *w, uint32_t number)
{
	const struct w_thread *thread = &w->thread.at[number];
	const struct w_record *ends[2] = {NULL, NULL};
	for (int party = 0; party < 2; party++)
		if (thread->end[party] != W_NOBODY)
			ends[party] = w_record(w, &w->agents[thread->end[party]], number);
	for (int party = 0; party < 2; party++)
		if (ends[party] != NULL && ends[party]->early.count > 0)
			w_fail(w, "agent %u: %u messages of thread %u wait for ever", thread->end[party], ends[party]->early.count,
				number);
	if (ends[0] == NULL || ends[1] == NULL || ends[0]->thing.kind == KW_THREAD_NONE ||
		ends[1]->thing.kind == KW_THREAD_NONE)
		return;
	uint8_t opener = kw_state_public(thread->kind, ends[0]->thing.state);
	uint8_t other = kw_state_public(thread->kind, ends[1]->thing.state);
	/* The hub's word that nobody claimed may come before the offer itself, and says nothing to one that has none: what it
	 * may do with the offer is the same. */
	bool overtaken = thread->kind == KW_THREAD_OFFER && thread->hub_word && opener == KW_OFFER_UNCLAIMED;
	if (opener != other && !((w->epoch_lost || overtaken) && is_hub_word(thread->kind, opener) && is_hub_word(thread->kind, other)))
		w_fail(w, "thread %u, %s: its opener %u has state %u, the other, %u, %u", number,
			kw_thread_kind_name(thread->kind), thread->end[0], opener, thread->end[1], other);
	if (other == KW_TRANSFER_WITHDRAW_REQUESTED && thread->kind == KW_THREAD_TRANSFER)
		w_fail(w, "thread %u: the withdrawal of the offer has no answer", number);
}

static const struct brk_thread *at_hub(const struct world *w, uint32_t number)
{
	for (uint32_t i = 0; i < w->hub.image.threads.count; i++)
		if (w_thread_of(&w->hub.image.threads.at[i].id) == number)
			return &w->hub.image.threads.at[i];
	return NULL;
}

static void check_hub(struct world *w, uint32_t number)
{
	const struct w_thread *thread = &w->thread.at[number];
	const struct brk_thread *hub = at_hub(w, number);
	const struct w_record *opener = w_record(w, &w->agents[thread->end[KW_PARTY_OPENER]], number);
	if (hub == NULL || thread->skipped || w->epoch_lost || opener == NULL)
		return;
	for (int party = 0; party < 2; party++) {
		const struct w_record *record =
			thread->end[party] == W_NOBODY ? NULL : w_record(w, &w->agents[thread->end[party]], number);
		if (record == NULL || (record->thing.kind != KW_THREAD_NONE && hub->sequence[party] + 1 != record->thing.next))
			return; /* one of its words was refused, or was lost */
	}
	w_mark(w, WORLD_MARK_HUB_AGREES);
	if (kw_state_public(thread->kind, hub->state) != kw_state_public(thread->kind, opener->thing.state))
		w_fail(w, "thread %u, %s: the hub heard all and has state %u, its ends %u", number,
			kw_thread_kind_name(thread->kind), hub->state, opener->thing.state);
}

void w_say_check(struct world *w)
{
	find_lost(w);
	w_owner_check(w);
	w_offer_check(w);
	w_erase_check(w);
	for (uint32_t i = 0; i < w->thread.count && !w->failed; i++) {
		if (w->thread.at[i].lost || w->thread.at[i].end[KW_PARTY_OPENER] == W_NOBODY)
			continue;
		check_ends(w, i);
		check_hub(w, i);
	}
}
