#include "agent/shell/agent_inner.h"

/* Whether what could not be said to an agency stays to be said. An agency that is shut out or gone may be let in again, and
 * still has what it was given: what asks it to erase, or tells how a thread ends, waits for that. An offer or a lease does
 * not wait, because another agency can have it; what we offer is published anew. */

bool agent_follow_stays(const struct spool_follow *follow, enum kw_err err)
{
	bool consent = follow->what >= SPOOL_FOLLOW_CONSENT && follow->what <= SPOOL_FOLLOW_ACK;

	switch (err) {
	case KW_EILLEGAL: /* what it was about is not there */
		return false;
	case KW_EFIELD: /* a later version may say what this one cannot */
		return consent;
	case KW_ENOAGENCY:
	case KW_EDENIED:
		return consent || follow->what == SPOOL_FOLLOW_STATE || follow->what == SPOOL_FOLLOW_WITHDRAW;
	default: /* this agent's own trouble, which passes */
		return true;
	}
}
