#ifndef AGENT_SHELL_AGENT_SERVICE_H
#define AGENT_SHELL_AGENT_SERVICE_H

#include "agent/shell/agent_inner.h"

/* Shared by agent_service.c (directories, capacity) and agent_offer.c (offers, and who asks for what); of the others only
 * agent.c and agent_in.c include it. */

/* services, publish, refer, offers, lease on the local socket: the host's. */
void agent_service(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

/* Each answers the call on KW_OK, now or after the commit; otherwise it stays the caller's. */
KW_MUST_USE enum kw_err agent_services(struct agent *agent, const Kinward__V1__ServicesRequest *request,
	struct socket_call *call);
KW_MUST_USE enum kw_err agent_publish(struct agent *agent, const Kinward__V1__PublishRequest *request,
	struct socket_call *call, struct agent_refusal *refusal);

/* The reply to a capacity query that our own directory gives, as a Content appended to out; nothing where a person has to
 * answer. KW_ENOMEM. */
KW_MUST_USE enum kw_err agent_answer_capacity(struct agent *agent, const Kinward__V1__CapacityQuery *query,
	struct kw_buf *out);

/* A call that waits for a commit. */
struct agent_service_call {
	struct agent *agent;
	struct socket_call *call;
};
struct agent_service_call *agent_service_wait(struct agent *agent, struct socket_call *call);
/* The band of the youngest child of a referral, which its offer names. */
Kinward__V1__AgeBand agent_offer_band(const Kinward__V1__ReferralRequest *referral);
/* An agency that can be written to. KW_EFIELD, KW_ENOAGENCY, KW_EDENIED. */
KW_MUST_USE enum kw_err agent_service_agency(const struct agent *agent, const char *text, struct kw_name *out);

#endif
