#ifndef AGENT_CLI_PRINT_CONSENT_H
#define AGENT_CLI_PRINT_CONSENT_H

#include <stdio.h>

#include "kinward/v1/local.pb-c.h"

/* One line on what was asked about consent: thread, agency, what became of it, since when. */
void cli_print_consent(FILE *out, const Kinward__V1__ConsentRow *row);

/* One line: what to clear the own case system of, how it is found there, and what to say then. */
void cli_print_clear(FILE *out, const Kinward__V1__ClearRow *row);
/* The purposes that were withdrawn, with commas between. */
void cli_print_purposes(FILE *out, const Kinward__V1__ConsentRow *row);

#endif
