#ifndef AGENT_CLI_HUB_ENROL_H
#define AGENT_CLI_HUB_ENROL_H

#include "agent/cli/hub.h"
#include "proto/link/enrolments.h"

/* All enrolments of a hub, the oldest code first. */
struct cli_enrolments {
	struct kw_enrolment *rows;
	size_t count;
	size_t damaged; /* files that cannot be read, left out */
	enum kw_err err;
};
/* Free it after a failure too. Errors of kw_enrolments_each; KW_ENOMEM. */
KW_MUST_USE enum kw_err cli_enrolments_load(const char *dir, struct cli_enrolments *out);
void cli_enrolments_free(struct cli_enrolments *enrolments);

#endif
