#include "agent/core/thread.h"

/* How a thread says that consent was withdrawn. Of a kind the first way that may be gone from where the thread stands:
 *   referral, tracing  CONSENT_WITHDRAWN, from either side
 *   transfer           CONSENT_WITHDRAWN once it is accepted; before, the case must keep its one owner: the owner asks for its offer
 *                      back or declines the request, the other declines the offer or takes its request back
 *   match              a holder rejects the pair, or unlinks it
 *   offer              the sender closes it, the other gives it up
 * So each state that is open has one, from both sides, but for the one in which the owner has asked for its offer back already
 * and waits for the other's agent: what comes then says how it goes on. */
static const uint8_t ways[KW_THREAD_KIND_COUNT][4] = {
	[KW_THREAD_REFERRAL] = {KW_REFERRAL_CONSENT_WITHDRAWN},
	[KW_THREAD_TRANSFER] = {KW_TRANSFER_CONSENT_WITHDRAWN, KW_TRANSFER_WITHDRAW_REQUESTED, KW_TRANSFER_WITHDRAWN,
		KW_TRANSFER_REJECTED},
	[KW_THREAD_TRACING] = {KW_TRACING_CONSENT_WITHDRAWN},
	[KW_THREAD_MATCH] = {KW_MATCH_REJECTED, KW_MATCH_UNLINKED},
	[KW_THREAD_OFFER] = {KW_OFFER_CLOSED, KW_OFFER_DECLINED},
};

static uint8_t way_of(const struct agt_thread *thread, enum kw_party party)
{
	for (int i = 0; thread->kind < KW_THREAD_KIND_COUNT && i < 4; i++)
		if (ways[thread->kind][i] != 0 && kw_state_may_declare(thread->kind, thread->state, ways[thread->kind][i], party))
			return ways[thread->kind][i];
	return 0;
}

uint8_t agt_thread_withdrawal(const struct agt_thread *thread)
{
	return thread->kind == KW_THREAD_NONE || thread->failed ? 0 : way_of(thread, thread->party);
}

uint8_t agt_thread_withdrawal_theirs(const struct agt_thread *thread)
{
	return thread->kind == KW_THREAD_NONE ? 0 :
		way_of(thread, thread->party == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER);
}

bool agt_thread_ends_without(enum kw_thread_kind kind, uint8_t purposes)
{
	const uint8_t needed = kind == KW_THREAD_TRACING || kind == KW_THREAD_MATCH ?
		AGT_PURPOSE_SHARE_OTHER_ORGS | AGT_PURPOSE_TRACING : AGT_PURPOSE_SHARE_OTHER_ORGS | AGT_PURPOSE_SERVICES;

	return (purposes & needed) != 0;
}
