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
	int meta_fd;  /* the broker's, opened with O_DSYNC: each write to it is a sync; -1 when not counting */
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
/* An LMDB commit flushes twice: fdatasync for its pages, then its meta page, written to a file opened with O_DSYNC. A
 * commit that changes nothing does neither, and its number is not counted up. */
#define CHILD_SYNCS_PER_COMMIT 2u
/* Transactions that the store in this site has committed since it was made; 0 when it cannot be read. Nothing is read
 * through the broker, so it works for one that is not ours too. */
uint64_t child_commits(const char *folder);
/* True when a broker that we start would not sync: KW_UNSAFE_NO_SYNC, the tests' positive control. */
bool child_is_unsafe(void);
/* After child_stop with options->count_syncs: all syncs of its whole life that the kernel was asked for: fdatasync, fsync,
 * msync, and writes to meta_fd. */
bool child_syncs(const struct child *child, uint64_t *out);

#endif
