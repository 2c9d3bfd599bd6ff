#include "broker/core/linkage_score.h"
#include "proto/base/check.h"

/* Fractions in fixed point: a root has ROOT_BITS binary places, a power PLACES, and a product of both fits 64 bits. */
#define ROOT_BITS 24u
#define PLACES 38u
#define PART_BITS 10u /* of a bit of the filter */

bool brk_linkage_params_valid(const struct brk_linkage_params *params)
{
	return params->filter_bits >= 1 && params->filter_bits <= BRK_LINKAGE_FILTER_BITS_MAX && params->arity >= 1 &&
	       params->arity <= BRK_LINKAGE_ARITY_MAX && params->quantum >= 1 &&
	       params->filter_bits / params->quantum <= BRK_LINKAGE_CLASS_MAX;
}

/* root^arity, cut off after each step: grows with root, which is all that the search below needs. */
static uint64_t power(uint64_t root, uint32_t arity)
{
	uint64_t result = UINT64_C(1) << PLACES;
	for (uint32_t i = 0; i < arity; i++)
		result = (result * root) >> ROOT_BITS;
	return result;
}

/* The largest root whose power is not above `value`. */
static uint64_t root_of(uint64_t value, uint32_t arity)
{
	uint64_t low = 0, high = UINT64_C(1) << ROOT_BITS;
	while (low < high) {
		uint64_t middle = (low + high + 1) / 2;
		if (power(middle, arity) <= value)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

void brk_linkage_score_init(struct brk_linkage_score *score, const struct brk_linkage_params *params)
{
	KW_ASSERT(brk_linkage_params_valid(params));
	score->params = *params;
	score->class_max = params->filter_bits / params->quantum;
	for (uint32_t h = 0; h <= BRK_LINKAGE_CODE_BITS; h++) {
		uint64_t kept = 0;
		if (2 * h < BRK_LINKAGE_CODE_BITS) {
			uint64_t same = ((uint64_t)(BRK_LINKAGE_CODE_BITS - 2 * h) << PLACES) / BRK_LINKAGE_CODE_BITS;
			kept = root_of(same, params->arity);
		}
		uint64_t twice = params->filter_bits * ((UINT64_C(1) << ROOT_BITS) - kept);
		score->differ[h] = (uint32_t)(twice >> (ROOT_BITS + 1 - PART_BITS));
	}
}

/* Of the bits of the filter, in parts. */
static uint64_t least_differ(const struct brk_linkage_score *score, uint32_t a, uint32_t b)
{
	uint32_t gap = a > b ? a - b : b - a;
	return gap == 0 ? 0 : (uint64_t)(gap - 1) * score->params.quantum << PART_BITS;
}

/* Twice the sum of both middles, so that half a quantum is an integer; in parts. */
static uint64_t sizes_twice(const struct brk_linkage_score *score, uint32_t a, uint32_t b)
{
	return (uint64_t)(2 * a + 2 * b + 2) * score->params.quantum << PART_BITS;
}

uint32_t brk_linkage_score_of(const struct brk_linkage_score *score, uint32_t distance, uint32_t a, uint32_t b)
{
	uint64_t differ = score->differ[distance];
	uint64_t least = least_differ(score, a, b);
	if (differ < least)
		differ = least;
	uint64_t lost = 2 * differ * BRK_LINKAGE_SCORE_ONE / sizes_twice(score, a, b);
	return lost >= BRK_LINKAGE_SCORE_ONE ? 0 : (uint32_t)(BRK_LINKAGE_SCORE_ONE - lost);
}

uint32_t brk_linkage_score_below(const struct brk_linkage_score *score, uint32_t least, uint32_t a, uint32_t b)
{
	uint32_t low = 0, high = BRK_LINKAGE_CODE_BITS + 1;
	if (least == 0)
		return high;
	if (least > BRK_LINKAGE_SCORE_ONE)
		return 0;
	/* At least `least` is scored where the quotient above is at most ONE - least: where |D| is at most so much. */
	uint64_t lost_over = BRK_LINKAGE_SCORE_ONE - least + 1;
	uint64_t differ_max = (lost_over * sizes_twice(score, a, b) - 1) / (2 * BRK_LINKAGE_SCORE_ONE);
	if (least_differ(score, a, b) > differ_max)
		return 0;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (score->differ[middle] <= differ_max)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
