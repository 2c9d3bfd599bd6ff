#include "agent/core/owner.h"

static bool may_be_accepted(const struct agt_thread *thread)
{
	return thread->state == KW_TRANSFER_OFFERED || thread->state == KW_TRANSFER_ACKNOWLEDGED ||
	       thread->state == KW_TRANSFER_WITHDRAW_REQUESTED;
}

bool agt_case_moved(const struct agt_thread *thread, uint8_t *word)
{
	if (thread->kind != KW_THREAD_TRANSFER || kw_transfer_owner(thread->state) != KW_PARTY_OTHER)
		return false;
	*word = thread->party == KW_PARTY_OTHER ? KW_TRANSFER_ACCEPTED : KW_TRANSFER_OFFERED;
	return true;
}

static void earlier(uint64_t *first, uint64_t moved)
{
	if (*first == 0 || moved < *first)
		*first = moved;
}

void agt_case_add(struct agt_case *about, const struct agt_thread *thread, uint64_t moved)
{
	uint8_t word = 0;

	if (agt_case_moved(thread, &word)) {
		about->got += thread->party == KW_PARTY_OTHER;
		about->given += thread->party == KW_PARTY_OPENER;
		about->given_open = about->given_open || (thread->party == KW_PARTY_OPENER && agt_thread_is_open(thread));
		earlier(thread->party == KW_PARTY_OTHER ? &about->first_got : &about->first_given, moved);
	} else if (thread->kind == KW_THREAD_TRANSFER && !thread->failed && may_be_accepted(thread)) {
		about->on_offer = about->on_offer || thread->party == KW_PARTY_OPENER;
		about->offered_to_us = about->offered_to_us || thread->party == KW_PARTY_OTHER;
	}
}

/* What we gave before we ever got it began with us. */
static uint32_t began_here(const struct agt_case *about)
{
	if (about->given > 0)
		return about->got == 0 || about->first_given < about->first_got ? 1 : 0;
	return about->got == 0 && !about->offered_to_us ? 1 : 0;
}

bool agt_case_is_ours(const struct agt_case *about)
{
	return about->given < about->got + began_here(about);
}

bool agt_case_may_offer(const struct agt_case *about)
{
	return agt_case_is_ours(about) && !about->on_offer;
}
