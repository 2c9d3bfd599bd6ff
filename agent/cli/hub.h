#ifndef AGENT_CLI_HUB_H
#define AGENT_CLI_HUB_H

/* `kinward hub init|add|list ...`: makes and keeps a hub's keys, directory and enrolment codes. argv[0] is "hub".
 * Prints to stdout and stderr; returns an exit code of cli.h. */
int cli_hub(int argc, char **argv);

#endif
