#ifndef AGENT_CLI_PRINT_CONSENT_H
#define AGENT_CLI_PRINT_CONSENT_H

#include <stdio.h>

#include "kinward/v1/local.pb-c.h"

/* Threads that nobody was asked in although they are called alike, and what to do about it. */
void cli_print_same_names(FILE *out, Kinward__V1__SameName *const *rows, size_t count);
/* One line on what was asked about consent: thread, agency, what became of it, since when. */
void cli_print_consent(FILE *out, const Kinward__V1__ConsentRow *row);

/* One line: what to clear the own case system of, how it is found there, and what to say then. */
void cli_print_clear(FILE *out, const Kinward__V1__ClearRow *row);
/* The purposes that were withdrawn, with commas between. */
void cli_print_purposes(FILE *out, const Kinward__V1__ConsentRow *row);

#endif
