#include "agent/core/owner.h"

static bool may_be_accepted(const struct agt_thread *thread)
{
	return thread->state == KW_TRANSFER_OFFERED || thread->state == KW_TRANSFER_ACKNOWLEDGED ||
	       thread->state == KW_TRANSFER_WITHDRAW_REQUESTED;
}

void agt_case_add(struct agt_case *about, const struct agt_thread *thread)
{
	if (thread->kind != KW_THREAD_TRANSFER)
		return;
	bool moved = kw_transfer_owner(thread->state) == KW_PARTY_OTHER;

	if (moved && thread->party == KW_PARTY_OTHER)
		about->got++;
	else if (moved)
		about->given++;
	else if (thread->party == KW_PARTY_OPENER && !thread->failed && may_be_accepted(thread))
		about->on_offer = true;
}

bool agt_case_is_ours(const struct agt_case *about)
{
	return about->given < about->got + (about->ours_first ? 1 : 0);
}

bool agt_case_may_offer(const struct agt_case *about)
{
	return agt_case_is_ours(about) && !about->on_offer;
}
