#include "tests/bench/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define SUB_BITS 6u

uint64_t bench_now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double bench_cpu_s(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Values below 64 have a bucket each; above, the top bit gives the row and the next six the place in it. */
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < (1u << SUB_BITS))
		return (uint32_t)ns;
	uint32_t top = 63u - (uint32_t)__builtin_clzll(ns);
	uint32_t row = top - SUB_BITS + 1;
	return (row << SUB_BITS) + (uint32_t)((ns >> (top - SUB_BITS)) & ((1u << SUB_BITS) - 1));
}

static double value_of(uint32_t bucket)
{
	uint32_t row = bucket >> SUB_BITS;
	uint32_t place = bucket & ((1u << SUB_BITS) - 1);
	if (row == 0)
		return place;
	return ((double)(1u << SUB_BITS) + place + 0.5) * (double)(1ull << (row - 1));
}

void bench_hist_add(struct bench_hist *hist, uint64_t ns)
{
	hist->buckets[bucket_of(ns)]++;
	hist->count++;
}

double bench_hist_ms(const struct bench_hist *hist, double share)
{
	uint64_t rank = (uint64_t)(share * (double)hist->count);
	uint64_t seen = 0;
	if (hist->count == 0)
		return 0;
	for (uint32_t i = 0; i < BENCH_HIST_SIZE; i++) {
		seen += hist->buckets[i];
		if (seen > rank || seen == hist->count)
			return value_of(i) / 1e6;
	}
	return 0;
}

static const char *separator = "";

static void key_out(const char *key)
{
	(void)printf("%s\"%s\": ", separator, key);
	separator = ", ";
}

void bench_json_begin(void)
{
	separator = "";
	(void)printf("{");
}

void bench_json_int(const char *key, uint64_t value)
{
	key_out(key);
	(void)printf("%" PRIu64, value);
}

void bench_json_real(const char *key, double value)
{
	key_out(key);
	if (!isfinite(value))
		(void)printf("null");
	else
		(void)printf(value < 1000 ? "%.4g" : "%.0f", value);
}

void bench_json_bool(const char *key, bool value)
{
	key_out(key);
	(void)printf(value ? "true" : "false");
}

void bench_json_null(const char *key)
{
	key_out(key);
	(void)printf("null");
}

void bench_json_str(const char *key, const char *value)
{
	key_out(key);
	(void)printf("\"%s\"", value);
}

void bench_json_end(void)
{
	(void)printf("}\n");
	(void)fflush(stdout);
}
