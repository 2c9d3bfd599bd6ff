/* Every kernel that this processor has against a count of bits one by one: the same hits in the same order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/linkage_kernel.h"
#include "tests/kit/prng.h"

#define BLOCKS 33u
#define PROBES 32u
#define PLACES (BLOCKS * BRK_LINKAGE_LANES)

static _Alignas(64) uint64_t blocks[BLOCKS * BRK_LINKAGE_BLOCK_WORDS];
static uint64_t codes[PROBES][BRK_LINKAGE_CODE_WORDS];
static struct brk_linkage_probe probes[PROBES];
static struct brk_linkage_hit expected[PLACES * PROBES];
/* One more, to see that nothing is written behind. */
static struct brk_linkage_hit hits[PLACES * PROBES + 1];

static uint64_t word_at(uint32_t place, uint32_t w)
{
	return blocks[place / BRK_LINKAGE_LANES * BRK_LINKAGE_BLOCK_WORDS + w * BRK_LINKAGE_LANES + place % BRK_LINKAGE_LANES];
}

static uint32_t distance_of(uint32_t place, const uint64_t *code)
{
	uint32_t count = 0;
	for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
		for (uint64_t x = word_at(place, w) ^ code[w]; x != 0; x >>= 1)
			count += x & 1;
	return count;
}

static uint32_t naive(const struct brk_linkage_look *look)
{
	uint32_t count = 0;
	for (uint32_t block = 0; block < look->block_count; block++)
		for (uint32_t p = 0; p < look->probe_count; p++)
			for (uint32_t lane = 0; lane < BRK_LINKAGE_LANES; lane++) {
				uint32_t place = block * BRK_LINKAGE_LANES + lane;
				uint32_t distance = distance_of(place, look->probes[p].code);
				if (distance < look->probes[p].below)
					expected[count++] = (struct brk_linkage_hit){place, (uint16_t)look->probes[p].query, (uint16_t)distance};
			}
	return count;
}

static void compare(const struct brk_linkage_look *look)
{
	uint32_t count = naive(look);
	for (uint32_t kind = 0; kind < BRK_LINKAGE_KERNEL_COUNT; kind++) {
		const struct brk_linkage_kernel *kernel = brk_linkage_kernel_get((enum brk_linkage_kernel_kind)kind);
		if (kernel == NULL)
			continue;
		memset(hits, 0xee, sizeof(hits));
		uint32_t found = kernel->look(look, hits);
		if (found != count || memcmp(hits, expected, count * sizeof(hits[0])) != 0)
			fail_msg("%s: %u hits, expected %u, or others", kernel->name, found, count);
		for (size_t i = 0; i < sizeof(hits[0]); i++)
			assert_int_equal(((const uint8_t *)&hits[count])[i], 0xee);
	}
}

static struct brk_linkage_look look_of(uint32_t block_count, uint32_t probe_count)
{
	return (struct brk_linkage_look){blocks, blocks, probes, block_count, probe_count};
}

static void fill(struct prng *prng)
{
	for (uint32_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		blocks[i] = prng_next(prng);
	for (uint32_t p = 0; p < PROBES; p++) {
		for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
			codes[p][w] = prng_next(prng);
		probes[p] = (struct brk_linkage_probe){codes[p], BRK_LINKAGE_CODE_BITS / 2, p};
	}
}

static void test_kernels_agree_on_random_codes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct prng prng = {seed};
		fill(&prng);
		for (uint32_t p = 0; p < PROBES; p++) {
			probes[p].below = (uint32_t)prng_range(&prng, 700, 830);
			probes[p].query = (uint32_t)prng_below(&prng, 65536);
		}
		struct brk_linkage_look look = look_of((uint32_t)prng_range(&prng, 1, BLOCKS), (uint32_t)prng_range(&prng, 1, PROBES));
		compare(&look);
	}
}

/* Each distance from none to all bits, with limits just at, under and over it. */
static void test_kernels_agree_on_each_distance(void **state)
{
	(void)state;
	struct prng prng = {7};
	fill(&prng);
	for (uint32_t from = 0; from <= BRK_LINKAGE_CODE_BITS; from += PLACES) {
		for (uint32_t place = 0; place < PLACES; place++) {
			uint64_t *lane = blocks + place / BRK_LINKAGE_LANES * BRK_LINKAGE_BLOCK_WORDS + place % BRK_LINKAGE_LANES;
			uint32_t turned = from + place < BRK_LINKAGE_CODE_BITS ? from + place : BRK_LINKAGE_CODE_BITS;
			for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
				lane[w * BRK_LINKAGE_LANES] = codes[0][w];
			for (uint32_t bit = 0; bit < turned; bit++) {
				uint32_t at = (bit * 611u + place * 5u) % BRK_LINKAGE_CODE_BITS; /* 611 is prime to 1536: each bit once */
				lane[at / 64 * BRK_LINKAGE_LANES] ^= UINT64_C(1) << at % 64;
			}
			assert_int_equal(distance_of(place, codes[0]), turned);
		}
		for (uint32_t p = 0; p < PROBES; p++) {
			static const uint32_t AT[] = {0, 1, 2, 255, 256, 257, 767, 768, 769, 1535, 1536, 1537};
			probes[p].code = codes[0];
			probes[p].below = p < 12 ? AT[p] : (uint32_t)prng_below(&prng, BRK_LINKAGE_CODE_BITS + 2);
		}
		struct brk_linkage_look look = look_of(BLOCKS, PROBES);
		compare(&look);
	}
}

static void test_kernels_agree_on_ties_and_extremes(void **state)
{
	static const uint64_t WORDS[] = {0, UINT64_MAX, UINT64_C(0x5555555555555555), UINT64_C(0x8000000000000001)};
	(void)state;
	for (uint32_t a = 0; a < 4; a++) {
		for (uint32_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
			blocks[i] = WORDS[a];
		for (uint32_t p = 0; p < PROBES; p++) {
			for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
				codes[p][w] = WORDS[p % 4];
			probes[p] = (struct brk_linkage_probe){codes[p], BRK_LINKAGE_CODE_BITS + (p & 1), p};
		}
		struct brk_linkage_look look = look_of(BLOCKS, PROBES);
		compare(&look);
	}
}

static void test_kernels_of_this_processor(void **state)
{
	(void)state;
	assert_non_null(brk_linkage_kernel_get(BRK_LINKAGE_PORTABLE));
	assert_non_null(brk_linkage_kernel_best());
	for (uint32_t kind = 0; kind < BRK_LINKAGE_KERNEL_COUNT; kind++) {
		const struct brk_linkage_kernel *kernel = brk_linkage_kernel_get((enum brk_linkage_kernel_kind)kind);
		if (kernel == NULL)
			print_message("kernel %u is not of this processor: not compared\n", kind);
		else
			assert_true(kernel == brk_linkage_kernel_best() || kind + 1 < BRK_LINKAGE_KERNEL_COUNT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels_of_this_processor),
		cmocka_unit_test(test_kernels_agree_on_random_codes),
		cmocka_unit_test(test_kernels_agree_on_each_distance),
		cmocka_unit_test(test_kernels_agree_on_ties_and_extremes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
