#include "agent/core/thread.h"

/* The percent of a clock at which who waits is told to telephone (proto/wire/clocks.h). */
#define TELEPHONE 200u

enum agt_thread_need agt_thread_need(const struct agt_thread *thread, uint8_t reminded)
{
	bool sent = thread->kind == KW_THREAD_REFERRAL && thread->party == KW_PARTY_OPENER;

	if (sent && thread->state == KW_REFERRAL_UNDELIVERABLE)
		return AGT_NEED_UNDELIVERED;
	if (sent && thread->state == KW_REFERRAL_EXPIRED)
		return AGT_NEED_EXPIRED;
	return reminded >= TELEPHONE && agt_thread_is_open(thread) ? AGT_NEED_TELEPHONE : AGT_NEED_NONE;
}
