#ifndef AGENT_SHELL_AGENT_PREKEYS_H
#define AGENT_SHELL_AGENT_PREKEYS_H

#include "agent/shell/agent_inner.h"
#include "agent/shell/prekey_peers.h"
#include "agent/shell/prekeys.h"

/* Dated prekeys in the agent: ours go to the hub, those of others come from it. On the loop thread. */

/* With the state; keys and names are loaded. What is at fault is told. */
KW_MUST_USE enum kw_err agent_prekeys_open(struct agent *agent);
void agent_prekeys_close(struct agent *agent); /* accepts an agent without them */
/* The clock has started. */
void agent_prekeys_start(struct agent *agent);
/* A WELCOME came; the session is over. */
void agent_prekeys_up(struct agent *agent);
void agent_prekeys_down(struct agent *agent);
/* PREKEYS or PREKEYS_WANT. */
KW_MUST_USE enum kw_err agent_prekeys_frame(struct agent *agent, const struct kw_frame *frame);
/* What is known of this agency's keys has failed; whether the hub has answered since, or has none. */
void agent_prekeys_renew(struct agent *agent, const struct kw_name *agency);
/* An operation is done: what came shows that its agency is there. */
void agent_prekeys_heard(struct agent *agent, const struct spool_op *op);
bool agent_prekeys_is_renewed(const struct agent *agent, const struct kw_name *agency);
/* The last day of an agency that is dormant; 0: it is not. */
uint32_t agent_prekeys_dormant(const struct agent *agent, const struct kw_name *agency);
void agent_prekeys_status(struct agent *agent, Kinward__V1__StatusReply *reply);
/* Whether nothing is known of its keys, and an answer about them may come; asks for it now; waits no more. */
bool agent_prekeys_is_awaited(const struct agent *agent, const struct kw_name *agency);
void agent_prekeys_ask(struct agent *agent, const struct kw_name *agency);
void agent_prekeys_await_no_more(struct agent *agent, const struct kw_name *agency);
/* agent_warn.c: the answer to a send, with what its caller should know although it was sent. Ends the call. */
void agent_warn_sent(struct agent *agent, const struct spool_op *op, const struct agent_sending *sending);
/* Each second. */
void agent_prekeys_tick(struct agent *agent);

#endif
