#ifndef BROKER_LINKAGE_KERNEL_H
#define BROKER_LINKAGE_KERNEL_H

#include <stdint.h>

#include "broker/core/linkage_score.h"

/* The inner loop of a search: how many bits differ between some probes and many codes, and which pairs are near enough.
 *
 * Codes lie in blocks of eight, word by word: word w of lane i at block[8 w + i]. One vector register then holds the same
 * word of several records, and no sum ever crosses lanes. Kernels differ in speed alone: the same call writes the same hits
 * in the same order, by block, then probe, then lane. */

#define BRK_LINKAGE_LANES 8u
#define BRK_LINKAGE_BLOCK_WORDS (BRK_LINKAGE_CODE_WORDS * BRK_LINKAGE_LANES)

struct brk_linkage_probe {
	const uint64_t *code; /* BRK_LINKAGE_CODE_WORDS */
	uint32_t below;       /* a hit differs in fewer bits */
	uint32_t query;       /* the caller's number; kept */
};

struct brk_linkage_hit {
	uint32_t place;    /* block * BRK_LINKAGE_LANES + lane */
	uint16_t query;    /* of the probe */
	uint16_t distance;
};

struct brk_linkage_look {
	const uint64_t *blocks; /* 64-byte aligned */
	const uint64_t *next;   /* where the caller will look afterwards: fetched ahead, never used; may be `blocks` */
	const struct brk_linkage_probe *probes;
	uint32_t block_count;
	uint32_t probe_count;
};

struct brk_linkage_kernel {
	const char *name;
	/* Writes at most block_count * BRK_LINKAGE_LANES * probe_count hits; returns how many. */
	uint32_t (*look)(const struct brk_linkage_look *look, struct brk_linkage_hit *hits);
};

enum brk_linkage_kernel_kind {
	BRK_LINKAGE_PORTABLE,
	BRK_LINKAGE_AVX2,
	BRK_LINKAGE_AVX512, /* with VPOPCNTDQ */
	BRK_LINKAGE_KERNEL_COUNT
};

/* NULL when this processor, or this build, has no such kernel. */
const struct brk_linkage_kernel *brk_linkage_kernel_get(enum brk_linkage_kernel_kind kind);
/* The fastest that this processor has; never NULL. */
const struct brk_linkage_kernel *brk_linkage_kernel_best(void);

uint32_t brk_linkage_kernel_portable(const struct brk_linkage_look *look, struct brk_linkage_hit *hits);
#ifdef __x86_64__
uint32_t brk_linkage_kernel_avx2(const struct brk_linkage_look *look, struct brk_linkage_hit *hits);
uint32_t brk_linkage_kernel_avx512(const struct brk_linkage_look *look, struct brk_linkage_hit *hits);
#endif

/* So many blocks ahead of the one in work memory is fetched: far enough to hide its latency, near enough to stay in L1. */
#define BRK_LINKAGE_AHEAD 5u

static inline const uint64_t *brk_linkage_ahead(const struct brk_linkage_look *look, uint32_t block)
{
	uint32_t ahead = block + BRK_LINKAGE_AHEAD;
	if (ahead < look->block_count)
		return look->blocks + (uint64_t)ahead * BRK_LINKAGE_BLOCK_WORDS;
	return look->next + (uint64_t)(ahead - look->block_count) * BRK_LINKAGE_BLOCK_WORDS;
}

#endif
