#ifndef KW_TEST_KIT_DAEMON_H
#define KW_TEST_KIT_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

/* A program of the build as a process of its own, and its log. It dies with the test. Failures are assertions. */

struct kit_daemon {
	pid_t pid;     /* 0: it does not run */
	char log[256]; /* path; grows over restarts */
};

/* program: a file of the build's bin. config: its one argument. log: where standard error is appended. */
void kit_daemon_start(struct kit_daemon *daemon, const char *program, const char *config, const char *log);
/* SIGTERM; gives its exit code, or 128 and the signal that ended it. */
int kit_daemon_stop(struct kit_daemon *daemon);
/* Whether it has ended by itself. */
int kit_daemon_is_gone(struct kit_daemon *daemon);
/* Prints the end of its log, for whoever reads why a test failed. */
void kit_daemon_tell(const struct kit_daemon *daemon);
/* Lines of the log that have all of these words; `more` may be NULL. */
uint32_t kit_daemon_logged(const struct kit_daemon *daemon, const char *words, const char *more);
/* The number behind "key": in the last line with these words; -1: none. */
int64_t kit_daemon_number(const struct kit_daemon *daemon, const char *words, const char *key);

#endif
