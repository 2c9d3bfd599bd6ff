#ifndef TESTS_KIT_PRNG_H
#define TESTS_KIT_PRNG_H

#include <stdbool.h>
#include <stdint.h>

/* The simulator's own generator (splitmix64, Steele, Lea and Flood 2014): the same everywhere, for ever. */

struct prng {
	uint64_t state;
};

static inline uint64_t prng_next(struct prng *prng)
{
	uint64_t z = (prng->state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0..below - 1; below is not 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t below)
{
	return prng_next(prng) % below;
}

/* low..high, both in. */
static inline uint64_t prng_range(struct prng *prng, uint64_t low, uint64_t high)
{
	return low + prng_below(prng, high - low + 1);
}

static inline bool prng_percent(struct prng *prng, uint32_t percent)
{
	return prng_below(prng, 100) < percent;
}

#endif
