#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

#include "tests/bench/bench.h"

/* A broker as a child process. It dies with us, whatever happens. */

struct child {
	pid_t pid;    /* what was started: the broker, or strace */
	pid_t broker; /* the broker itself */
	uint16_t port;
	char folder[256];
	bool counts_syncs;
};

/* Starts it on folder/broker.yaml and waits for its "ready" line. */
void child_start(struct child *child, const char *folder, const struct bench_options *options);
/* SIGTERM, then SIGKILL after ten seconds. False when it did not end by itself with success. */
bool child_stop(struct child *child);
/* SIGKILL. For bench_at_end. */
void child_kill(struct child *child);
bool child_alive(const struct child *child);

/* CPU seconds of all its threads. */
double child_cpu_s(const struct child *child);
struct child_memory {
	uint64_t resident; /* bytes */
	uint64_t anonymous; /* of them, not of files */
};
void child_memory(const struct child *child, struct child_memory *out);
/* Transactions that its store has committed; 0 when it cannot be read. */
uint64_t child_commits(const struct child *child);
/* After child_stop with options->count_syncs: fdatasync, fsync and msync calls of its whole life. */
bool child_syncs(const struct child *child, uint64_t *out);

#endif
