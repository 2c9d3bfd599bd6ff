#include "broker/core/linkage_kernel.h"

/* Plain C: the bits of each byte are counted in place, and the 24 words of a code are summed byte by byte before the bytes
 * are summed, which no byte can overflow: 24 words give at most 192. */

_Static_assert(BRK_LINKAGE_CODE_WORDS * 8u <= 255u, "a byte holds the sum of its column");

#define FIVES UINT64_C(0x5555555555555555)
#define THREES UINT64_C(0x3333333333333333)
#define FIFTEENS UINT64_C(0x0f0f0f0f0f0f0f0f)
#define EVEN_BYTES UINT64_C(0x00ff00ff00ff00ff)

static inline uint64_t bytes_count(uint64_t x)
{
	x -= (x >> 1) & FIVES;
	x = (x & THREES) + ((x >> 2) & THREES);
	return (x + (x >> 4)) & FIFTEENS;
}

static inline uint32_t bytes_sum(uint64_t x)
{
	x = (x & EVEN_BYTES) + ((x >> 8) & EVEN_BYTES);
	return (uint32_t)((x * UINT64_C(0x0001000100010001)) >> 48);
}

uint32_t brk_linkage_kernel_portable(const struct brk_linkage_look *look, struct brk_linkage_hit *hits)
{
	uint32_t count = 0;
	for (uint32_t block = 0; block < look->block_count; block++) {
		const uint64_t *words = look->blocks + (uint64_t)block * BRK_LINKAGE_BLOCK_WORDS;
		for (uint32_t p = 0; p < look->probe_count; p++) {
			const struct brk_linkage_probe *probe = &look->probes[p];
			uint64_t sums[BRK_LINKAGE_LANES] = {0};
			for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
				for (uint32_t lane = 0; lane < BRK_LINKAGE_LANES; lane++)
					sums[lane] += bytes_count(words[w * BRK_LINKAGE_LANES + lane] ^ probe->code[w]);
			for (uint32_t lane = 0; lane < BRK_LINKAGE_LANES; lane++) {
				uint32_t distance = bytes_sum(sums[lane]);
				if (distance >= probe->below)
					continue;
				hits[count++] = (struct brk_linkage_hit){block * BRK_LINKAGE_LANES + lane, (uint16_t)probe->query,
					(uint16_t)distance};
			}
		}
	}
	return count;
}
