#ifndef AGENT_SHELL_SOCKET_SAME_H
#define AGENT_SHELL_SOCKET_SAME_H

#include "agent/shell/spool_consent.h"
#include "kinward/v1/local.pb-c.h"

/* Threads of the same pseudonym, as rows of a reply; views into itself. */
struct socket_same_names {
	struct spool_same_names list;
	Kinward__V1__SameName body[SPOOL_SAME_MAX];
	Kinward__V1__SameName *rows[SPOOL_SAME_MAX];
};
void socket_same_names_fill(struct socket_same_names *same);

#endif
