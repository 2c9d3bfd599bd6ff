#include "agent/core/thread.h"

#include "proto/base/check.h"

static enum kw_party other_party(enum kw_party party)
{
	return party == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
}

static enum kw_party party_of(const struct agt_thread *thread, enum agt_thread_author author)
{
	if (author == AGT_THREAD_HUB)
		return KW_PARTY_HUB;
	return author == AGT_THREAD_OURS ? thread->party : other_party(thread->party);
}

static void refuse(struct agt_thread_result *out, enum agt_thread_fault fault)
{
	out->verdict = AGT_THREAD_ILLEGAL;
	out->fault = fault;
}

/* The clock goes on as the hub's does. Only here the age is known, so that of a young child runs here. `moved`: the event
 * brought a state; else somebody did something all the same. */
static void run_clock(struct agt_thread *thread, const struct agt_thread_event *event, bool moved)
{
	int64_t hub_ms = event->hub_ms != 0 ? event->hub_ms : event->now_ms;
	const struct kw_clock_thread now = {.kind = thread->kind, .state = thread->state, .risk = thread->risk,
		.young = hub_ms < thread->young_until_ms};
	struct kw_clock_limits limits;

	if (event->limits != NULL)
		limits = *event->limits;
	else
		kw_clock_limits_default(&limits);
	if (moved)
		kw_clock_move(&thread->run, &limits, &now, hub_ms);
	else
		kw_clock_touch(&thread->run, hub_ms);
}

/* The first state; false when no agency may begin a thread so. */
static bool begin(struct agt_thread *thread, const struct agt_thread_event *event)
{
	enum kw_party author = kw_state_first_author(event->kind, event->state);
	uint8_t state = 0;

	if (author > KW_PARTY_OTHER || kw_state_apply(event->kind, 0, event->state, author, &state) != KW_VERDICT_APPLY)
		return false;
	thread->kind = event->kind;
	thread->party = event->author == AGT_THREAD_OURS ? author : other_party(author);
	thread->risk = event->risk;
	thread->state = state;
	thread->failed = false;
	thread->opened_ms = event->now_ms;
	thread->changed_ms = event->now_ms;
	/* What reached us was delivered: the receiver of a referral never sees it queued. */
	if (event->author == AGT_THREAD_THEIRS && thread->kind == KW_THREAD_REFERRAL)
		(void)kw_state_apply(thread->kind, state, KW_REFERRAL_DELIVERED, thread->party, &thread->state);
	if (event->young_until_ms != 0) /* else made again: it is as it was */
		thread->young_until_ms = event->young_until_ms;
	thread->run = (struct kw_clock_run){0};
	run_clock(thread, event, true);
	return true;
}

static void open_thread(const struct agt_thread_event *event, struct agt_thread_result *out)
{
	if (event->author > AGT_THREAD_THEIRS || !event->opening) {
		refuse(out, AGT_FAULT_NO_THREAD);
	} else if (!begin(&out->next, event)) {
		refuse(out, AGT_FAULT_STATE);
	} else {
		out->next.expected = event->author == AGT_THREAD_THEIRS ? 2 : 1;
		out->next.next = event->author == AGT_THREAD_OURS ? 2 : 1;
		out->verdict = AGT_THREAD_APPLY;
	}
}

/* Whether it is the place's turn; false with a verdict when it is not. */
static bool take_place(const struct agt_thread_event *event, struct agt_thread_result *out)
{
	bool known = out->next.kind != KW_THREAD_NONE;
	uint64_t expected = known ? out->next.expected : 1;

	if (event->author > AGT_THREAD_THEIRS)
		return true;
	if (event->sequence > UINT32_MAX) { /* what a track can carry; no thread is so long */
		refuse(out, AGT_FAULT_PLACE);
		return false;
	}
	if (event->author == AGT_THREAD_OURS) {
		if (event->sequence == (known ? out->next.next : 1))
			return true;
		refuse(out, AGT_FAULT_PLACE);
	} else if (event->sequence == expected) {
		return true;
	} else if (event->sequence > expected) {
		out->verdict = AGT_THREAD_EARLY;
	} else if (event->sequence == 0) {
		refuse(out, AGT_FAULT_PLACE);
	} else {
		out->verdict = AGT_THREAD_REPEAT;
		out->fault = AGT_FAULT_PLACE;
	}
	return false;
}

/* The table's answer; changes state and time when it applies. Of ours it asks for what we may say knowing the state; what
 * comes from elsewhere may have been said before its author could know it. */
static enum kw_verdict move(struct agt_thread *thread, const struct agt_thread_event *event)
{
	enum kw_party party = party_of(thread, event->author);
	uint8_t next = 0;
	enum kw_verdict verdict = kw_state_apply(thread->kind, thread->state, event->state, party, &next);

	/* Nor may we say again what is so already: by the time it arrives the other side may have moved on, and take it anew. */
	if (verdict != KW_VERDICT_ILLEGAL && event->author == AGT_THREAD_OURS &&
		!kw_state_may_declare(thread->kind, thread->state, event->state, party))
		return KW_VERDICT_ILLEGAL;
	if (verdict == KW_VERDICT_APPLY) {
		bool moved = next != thread->state || event->state == next;

		thread->state = next;
		thread->changed_ms = event->now_ms;
		run_clock(thread, event, moved);
	} else if (verdict == KW_VERDICT_REPEAT) {
		run_clock(thread, event, false);
	}
	return verdict;
}

static enum agt_thread_follow follow_of(const struct agt_thread *thread, const struct agt_thread_event *event)
{
	/* It applied, so we have not accepted: after an acceptance the table refuses it. */
	if (event->author == AGT_THREAD_THEIRS && thread->kind == KW_THREAD_TRANSFER &&
		event->state == KW_TRANSFER_WITHDRAW_REQUESTED && thread->state == KW_TRANSFER_WITHDRAW_REQUESTED)
		return AGT_FOLLOW_WITHDRAWN;
	if (event->author == AGT_THREAD_OURS && thread->kind == KW_THREAD_OFFER && event->state == KW_OFFER_LEASED)
		return AGT_FOLLOW_CLOSE_OTHERS;
	return AGT_FOLLOW_NONE;
}

static void move_thread(const struct agt_thread_event *event, struct agt_thread_result *out)
{
	if (out->next.kind != event->kind) {
		refuse(out, AGT_FAULT_KIND);
		return;
	}
	if (out->next.failed && event->author == AGT_THREAD_OURS) {
		refuse(out, AGT_FAULT_FAILED);
		return;
	}
	switch (move(&out->next, event)) {
	case KW_VERDICT_APPLY:
		/* A word from the other side: our opening has arrived after all. */
		if (event->author == AGT_THREAD_THEIRS || event->author == AGT_THREAD_RECEIPT)
			out->next.failed = false;
		out->verdict = AGT_THREAD_APPLY;
		out->follow = follow_of(&out->next, event);
		break;
	case KW_VERDICT_REPEAT:
		/* Two openings are two cases in one thread, not one said twice. */
		if (event->opening)
			refuse(out, AGT_FAULT_OPENED);
		else
			out->verdict = AGT_THREAD_REPEAT;
		break;
	case KW_VERDICT_ILLEGAL:
		refuse(out, event->opening ? AGT_FAULT_OPENED : AGT_FAULT_STATE);
		break;
	}
}

void agt_thread_step(const struct agt_thread *thread, const struct agt_thread_event *event,
	struct agt_thread_result *out)
{
	bool known = thread->kind != KW_THREAD_NONE;

	*out = (struct agt_thread_result){.next = *thread};
	KW_ASSERT(event->kind > KW_THREAD_NONE && event->kind < KW_THREAD_KIND_COUNT);
	if (!take_place(event, out))
		return;
	if (!known) {
		open_thread(event, out);
		return;
	}
	move_thread(event, out);
	/* Refused or not, theirs is judged; ours has a place only once it is on its way. */
	if (event->author == AGT_THREAD_THEIRS)
		out->next.expected++;
	else if (event->author == AGT_THREAD_OURS && out->verdict != AGT_THREAD_ILLEGAL)
		out->next.next++;
}

void agt_thread_rewind(struct agt_thread *thread, const struct agt_thread_event *opening)
{
	(void)begin(thread, opening); /* it began so before */
}

void agt_thread_again(struct agt_thread *thread, const struct agt_thread_event *event)
{
	(void)move(thread, event); /* what the table refuses now did need the one that is gone */
}

bool agt_thread_is_open(const struct agt_thread *thread)
{
	return thread->kind != KW_THREAD_NONE && !thread->failed && kw_state_is_open(thread->kind, thread->state);
}

uint32_t agt_thread_choices(const struct agt_thread *thread, uint8_t *states)
{
	if (thread->kind == KW_THREAD_NONE || thread->failed)
		return 0;
	return (uint32_t)kw_state_choices(thread->kind, thread->state, thread->party, states);
}

bool agt_thread_may(const struct agt_thread *thread, uint8_t state)
{
	return thread->kind != KW_THREAD_NONE && !thread->failed &&
	       kw_state_may_declare(thread->kind, thread->state, state, thread->party);
}

bool agt_thread_waits_for_us(const struct agt_thread *thread)
{
	return agt_thread_is_open(thread) && kw_state_waits_for(thread->kind, thread->state, thread->party);
}

int64_t agt_thread_due_ms(const struct agt_thread *thread)
{
	const struct kw_clock_thread clocked = {.kind = thread->kind, .state = thread->state, .risk = thread->risk};
	enum kw_clock clock = kw_clock_of(&clocked);
	struct kw_clock_limits limits;

	if (clock == KW_CLOCK_NONE || !agt_thread_is_open(thread))
		return 0;
	if (thread->run.clock != KW_CLOCK_NONE)
		return thread->run.deadline_ms;
	kw_clock_limits_default(&limits);
	return thread->changed_ms + kw_clock_limit(&limits, clock, thread->risk);
}

bool agt_thread_owns(const struct agt_thread *thread)
{
	return thread->kind == KW_THREAD_TRANSFER && kw_transfer_owner(thread->state) == thread->party;
}

bool agt_thread_binds(enum kw_thread_kind kind)
{
	return kind == KW_THREAD_TRANSFER || kind == KW_THREAD_OFFER;
}

bool agt_thread_gives_up(enum kw_thread_kind kind, bool opening)
{
	return kind == KW_THREAD_NONE || (opening && !agt_thread_binds(kind));
}

#define BIT(state) (1u << (state))

bool agt_thread_decides(enum kw_thread_kind kind, uint8_t state)
{
	static const uint32_t decisions[KW_THREAD_KIND_COUNT] = {
		[KW_THREAD_REFERRAL] = BIT(KW_REFERRAL_ACCEPTED) | BIT(KW_REFERRAL_REJECTED) | BIT(KW_REFERRAL_ONWARD_PROPOSED) |
			BIT(KW_REFERRAL_COMPLETED) | BIT(KW_REFERRAL_NOT_PROVIDED) | BIT(KW_REFERRAL_CANCELLED) |
			BIT(KW_REFERRAL_CLOSED),
		[KW_THREAD_TRANSFER] = BIT(KW_TRANSFER_OFFERED) | BIT(KW_TRANSFER_ACCEPTED) | BIT(KW_TRANSFER_REJECTED) |
			BIT(KW_TRANSFER_COMPLETE),
		[KW_THREAD_TRACING] = BIT(KW_TRACING_TRACING) | BIT(KW_TRACING_VERIFIED) | BIT(KW_TRACING_NOT_VERIFIED) |
			BIT(KW_TRACING_CLOSED) | BIT(KW_TRACING_INVALID),
		[KW_THREAD_MATCH] = BIT(KW_MATCH_CONFIRMED_ONE) | BIT(KW_MATCH_REJECTED) | BIT(KW_MATCH_UNLINKED),
		[KW_THREAD_OFFER] = BIT(KW_OFFER_CLAIMED) | BIT(KW_OFFER_DECLINED) | BIT(KW_OFFER_LEASED) | BIT(KW_OFFER_CLOSED),
	};

	return kind < KW_THREAD_KIND_COUNT && state < KW_STATE_MAX && (decisions[kind] & BIT(state)) != 0;
}
