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

/* An agency to ask instead. */
#define AGENT_ALTERNATES_MAX 8u
#define AGENT_ALTERNATE_PHONES_MAX 4u
struct agent_alternate {
	struct kw_name agency;
	int area; /* enum agt_area, of the nearest of its places */
	size_t count;
	char texts[AGENT_ALTERNATE_PHONES_MAX][AGENT_PHONE_SIZE_MAX + 1];
};
struct agent_alternates {
	size_t count;
	struct agent_alternate list[AGENT_ALTERNATES_MAX];
};

/* The agencies, neither ours nor `agency`, that by their last directories offer `service` now, are not full, and are where
 * `agency` offers it: in one area of level 2 at most apart. The nearest first. Where `agency` offers none, the place is not
 * known and all of them are named. None for service 0. */
void agent_alternates_of(struct agent *agent, const struct kw_name *agency, uint32_t service, struct agent_alternates *out);

#endif
