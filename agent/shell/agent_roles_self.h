#ifndef AGENT_SHELL_AGENT_ROLES_SELF_H
#define AGENT_SHELL_AGENT_ROLES_SELF_H

#include "agent/shell/agent_roles.h"

/* What a new directory says of ourselves, and of those whose identity key is another one than before. */

/* Every key that stands under our name is one of ours. */
bool agent_roles_is_self(const struct agent_roles_self *self, const struct kw_directory_entry *own);
/* Logs each agency whose identity key has changed, with its own reason if the former key has signed that; `before` NULL: nobody was known. */
void agent_roles_tell_changes(const struct agent_roles_self *self, const struct kw_directory *before,
	const struct kw_directory *after);

#endif
