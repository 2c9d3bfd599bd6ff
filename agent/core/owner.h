#ifndef AGENT_CORE_OWNER_H
#define AGENT_CORE_OWNER_H

#include "agent/core/thread.h"

/* Whose a case is, as one agency can tell from its own transfers of it, open ones and those that are over. A case can go
 * away and come back, so one thread alone does not say; but it comes and goes in turn, so counting does. Pure.
 *
 * Nobody tells the agent of a case that begins: one that no other agency ever gave to us is ours until we give it away, unless
 * another one has it on offer to us. */

struct agt_case {
	uint32_t got;
	uint32_t given;
	uint64_t first_got;   /* `moved` of the earliest; 0: none */
	uint64_t first_given;
	bool on_offer;        /* somebody may accept it at this moment */
	bool given_open;      /* given, and not handed over yet */
	bool offered_to_us;   /* we may accept it */
};

/* Adds one transfer of the case; the order does not matter.
 *   moved  where among all that we ever said our own word stands that moved it, from 1: OFFERED of what we gave, ACCEPTED of
 *          what we got. Of other transfers it is not read */
void agt_case_add(struct agt_case *about, const struct agt_thread *thread, uint64_t moved);
/* Whether agt_case_add reads `moved` of this thread, and of which word of ours. */
bool agt_case_moved(const struct agt_thread *thread, uint8_t *word);
bool agt_case_is_ours(const struct agt_case *about);
/* Two new owners must not be able to accept it, so it is ours and nobody has an offer of it that it may still accept. An
 * acceptance of ours that never arrived is taken back on the same condition: once the case has gone on from us, or may, it
 * stands, and the two agencies have to talk. */
bool agt_case_may_offer(const struct agt_case *about);

#endif
