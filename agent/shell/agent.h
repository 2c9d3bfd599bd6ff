#ifndef AGENT_SHELL_AGENT_H
#define AGENT_SHELL_AGENT_H

/* The daemon: one loop around the core, the spool, the link to the hub and the local socket. */

/* Runs until SIGTERM or SIGINT, or until something that only a restart can mend. Returns the exit code: 0 after a clean
 * stop, 1 after a failure that was logged, 2 when the configuration or the keys are wrong. */
int agent_run(const char *config_path);

#endif
