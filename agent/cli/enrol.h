#ifndef AGENT_CLI_ENROL_H
#define AGENT_CLI_ENROL_H

/* `kinward agent init CODE ...`: makes an agent's keys and enrols it with the code its hub's operator gave out. argv[0] is
 * "agent". Prints to stdout and stderr; returns an exit code of cli.h. */
int cli_agent(int argc, char **argv);

#endif
