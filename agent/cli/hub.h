#ifndef AGENT_CLI_HUB_H
#define AGENT_CLI_HUB_H

#include "agent/cli/commands.h"
#include "proto/link/roles.h"

/* What the commands about a hub's folder share. */

#define CLI_HUB_PATH_SIZE 1280u

/* 0 and *out, or CLI_USAGE after printing. given NULL: the usual folder. */
int cli_hub_take_dir(struct cli_call *call, const char *given, const char **out);
/* A failure with the folder; prints it and gives the exit code. */
int cli_hub_fail_dir(struct cli_call *call, const char *dir, enum kw_err err);
/* One with a field or argument. */
int cli_hub_fail_field(struct cli_call *call, enum kw_err err, const char *field, const char *text);
/* Of the issuing certificate: hub's name, and its public key (NULL: not wanted). */
KW_MUST_USE enum kw_err cli_hub_load_name(const char *dir, struct kw_name *out, uint8_t *public_key);
/* Free with kw_roles_free. */
KW_MUST_USE enum kw_err cli_hub_load_roles(const char *dir, struct kw_roles **out);
/* --root-keys and --root-threshold; 0, or CLI_USAGE after printing. */
int cli_hub_root_options(struct cli_call *call, const char *keys_text, const char *threshold_text, uint8_t *keys,
	uint8_t *threshold);

#endif
