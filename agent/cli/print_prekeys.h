#ifndef AGENT_CLI_PRINT_PREKEYS_H
#define AGENT_CLI_PRINT_PREKEYS_H

#include "agent/cli/cli.h"

/* A send's warning and whom to ask instead; nothing when there is none. */
void cli_print_warning(FILE *out, const Kinward__V1__SendReply *sent);
/* Lines of kinward status: who is dormant, and clocks that differ. */
void cli_print_prekeys(FILE *out, const Kinward__V1__StatusReply *status);

#endif
