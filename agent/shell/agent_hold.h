#ifndef AGENT_SHELL_AGENT_HOLD_H
#define AGENT_SHELL_AGENT_HOLD_H

#include "agent/shell/agent_inner.h"

/* A caller's first message to an agency waits for the answer about its dated keys, so that it is not sealed to the long-term one
 * while the hub has better. Shortly: no answer is one as well. When too many wait it goes at once; so do batches, and what the
 * agent says by itself. */

/* The socket's host, in place of agent_send. */
void agent_hold_send(void *user, Kinward__V1__SendRequest *request, struct socket_call *call);
/* Those whose answer has come, and, when `second` is true, those that have waited for long enough, are sent. */
void agent_hold_release(struct agent *agent, bool second);
/* The agent stops: they are refused, and nothing was promised. */
void agent_hold_drop(struct agent *agent);

#endif
