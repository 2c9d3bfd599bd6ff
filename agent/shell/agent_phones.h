#ifndef AGENT_SHELL_AGENT_PHONES_H
#define AGENT_SHELL_AGENT_PHONES_H

#include "agent/shell/agent_inner.h"

/* Whom to telephone when messages do not help (DOMAIN.md §5, at 200%). Only the agent knows: a hub reads no directory. */

#define AGENT_PHONES_MAX 8u      /* as the schema says of a Reminder */
#define AGENT_PHONE_SIZE_MAX 32u /* as it says of each */

struct agent_phones {
	size_t count;
	char texts[AGENT_PHONES_MAX][AGENT_PHONE_SIZE_MAX + 1];
	char *list[AGENT_PHONES_MAX]; /* into texts */
};

/* The phones in the last directory of `agency`: those of `service` first, then those of its other services, each once, in
 * the order to try. service 0: none is preferred. None when it published no directory, or one that cannot be read. */
void agent_phones_of(struct agent *agent, const struct kw_name *agency, uint32_t service, struct agent_phones *out);

#endif
