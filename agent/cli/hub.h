#ifndef AGENT_CLI_HUB_H
#define AGENT_CLI_HUB_H

#include "agent/cli/commands.h"
#include "proto/link/roles.h"
#include "proto/wire/enrolment.h"

/* What the commands about a hub's folder share. */

#define CLI_HUB_PATH_SIZE 1280u

/* 0 and *out, or CLI_USAGE after printing. given NULL: the usual folder. */
int cli_hub_take_dir(struct cli_call *call, const char *given, const char **out);
/* A failure with the folder; prints it and gives the exit code. */
int cli_hub_fail_dir(struct cli_call *call, const char *dir, enum kw_err err);
/* One with a field or argument. */
int cli_hub_fail_field(struct cli_call *call, enum kw_err err, const char *field, const char *text);
/* What root makes in the hub's folder cannot be read by the hub. KW_ENOTFOUND, KW_EDENIED. */
KW_MUST_USE enum kw_err cli_hub_check_owner(const char *dir);
/* Who is at work, for the record of an enrolment: `given` (--by), else the login name, also behind sudo. 0, or CLI_USAGE after
 * printing. */
int cli_hub_take_by(struct cli_call *call, const char *given, char out[KW_ENROL_BY_SIZE_MAX + 1]);
/* Of the issuing certificate: hub's name, and its public key (NULL: not wanted). */
KW_MUST_USE enum kw_err cli_hub_load_name(const char *dir, struct kw_name *out, uint8_t *public_key);
/* Free with kw_roles_free. */
KW_MUST_USE enum kw_err cli_hub_load_roles(const char *dir, struct kw_roles **out);
/* --root-keys and --root-threshold; 0, or CLI_USAGE after printing. */
int cli_hub_root_options(struct cli_call *call, const char *keys_text, const char *threshold_text, uint8_t *keys,
	uint8_t *threshold);

#endif
