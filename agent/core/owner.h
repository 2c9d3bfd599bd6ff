#ifndef AGENT_CORE_OWNER_H
#define AGENT_CORE_OWNER_H

#include "agent/core/thread.h"

/* Whose a case is, as one agency can tell from its own transfers of it, open ones and those that are over. A case can go
 * away and come back, so one thread alone does not say; but it comes and goes in turn, so counting does. Pure. */

struct agt_case {
	bool ours_first; /* it began with us: no other agency gave it to us */
	uint32_t got;
	uint32_t given;
	bool on_offer;   /* somebody may accept it at this moment */
};

/* Adds one transfer of the case; the order does not matter. */
void agt_case_add(struct agt_case *about, const struct agt_thread *thread);
bool agt_case_is_ours(const struct agt_case *about);
/* Two new owners must not be able to accept it, so it is ours and nobody has an offer of it that it may still accept. */
bool agt_case_may_offer(const struct agt_case *about);

#endif
