#ifndef AGENT_SHELL_KEYS_INNER_H
#define AGENT_SHELL_KEYS_INNER_H

#include "agent/shell/keys.h"

/* Shared by keys.c, keys_file.c and keys_next.c. */

KW_MUST_USE enum kw_err keys_fill_ids(struct keys *keys);

#endif
