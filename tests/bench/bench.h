#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

/* What the files of kinward-bench share. It is a tool: a failure prints one line and ends the program, after the broker
 * that it started has been stopped and its folder removed. */

struct bench_options {
	const char *program;   /* kinward-broker; NULL: the one beside this program */
	const char *broker;    /* "host:port" of a broker that runs already, with `site`; NULL: start one */
	const char *site;      /* folder made by `kinward-bench site` */
	const char *parent;    /* where the temporary site goes; its disk is what is measured */
	const char *listen;    /* `site` only */
	uint32_t agents;
	uint32_t open;         /* threads */
	uint32_t records;      /* of the linkage index */
	uint32_t dedup;        /* records to find duplicates among; 0: not */
	uint32_t runs;         /* of them: medians are told */
	uint32_t size;         /* of the padded message */
	uint32_t seconds;
	uint32_t warm_s;
	uint32_t inflight;     /* per agent */
	uint32_t rate;         /* messages a second of all agents together; 0: as fast as `inflight` lets */
	uint32_t dialling_max; /* handshakes at once */
	uint32_t ack_delay_ms; /* recipients acknowledge once in so long, as if their own commit took that; 0: each turn */
	bool seal;             /* seal each message anew instead of repeating one */
	bool submit_only;      /* recipients give no credit: nothing is delivered */
	bool count_syncs;      /* run the broker under strace: the proof of what the commits claim */
	bool keep;             /* leave the temporary folder */
};

/* Prints and exits with 1. */
void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* bench_die unless err is KW_OK. */
void bench_must(enum kw_err err, const char *what);
/* Called once by bench_die and by bench_end; replaces the one before. */
void bench_at_end(void (*call)(void *user), void *user);
void bench_end(void);
/* SIGINT or SIGTERM came. */
bool bench_interrupted(void);

uint64_t bench_now_ns(void);
/* CPU seconds of this process. */
double bench_cpu_s(void);

/* Latencies in ns, in buckets of at most 1/64 of their value. */
#define BENCH_HIST_SIZE (64u * 64u)
struct bench_hist {
	uint64_t count;
	uint64_t buckets[BENCH_HIST_SIZE];
};
void bench_hist_add(struct bench_hist *hist, uint64_t ns);
/* share: 0..1. Milliseconds; 0 without values. */
double bench_hist_ms(const struct bench_hist *hist, double share);

/* One flat JSON object on stdout. */
void bench_json_begin(void);
void bench_json_int(const char *key, uint64_t value);
void bench_json_real(const char *key, double value);
void bench_json_bool(const char *key, bool value);
void bench_json_null(const char *key);
void bench_json_str(const char *key, const char *value);
void bench_json_end(void);

int bench_route(const struct bench_options *options);
int bench_idle(const struct bench_options *options);
int bench_threads(const struct bench_options *options);
int bench_seal(const struct bench_options *options);
int bench_index(const struct bench_options *options);
int bench_site(const struct bench_options *options);

#endif
