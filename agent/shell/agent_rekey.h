#ifndef AGENT_SHELL_AGENT_REKEY_H
#define AGENT_SHELL_AGENT_REKEY_H

#include "agent/shell/agent_inner.h"

/* agent_rekey.c: what could not be opened because its key is gone is sealed once more. */

/* What waits from before the start. */
void agent_rekey_start(struct agent *agent);
/* Each second. */
void agent_rekey_tick(struct agent *agent);
/* An operation is done: a notice that asks for it. */
void agent_rekey_noticed(struct agent *agent, const struct spool_op *op);

#endif
