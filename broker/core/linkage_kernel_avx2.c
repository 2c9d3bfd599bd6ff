#include "broker/core/linkage_kernel.h"

#ifdef __x86_64__

#include <immintrin.h>

/* Bits are counted by looking up nibbles (Muła, Kurz and Lemire 2018), after carry-save adders have turned eight words into
 * four: one of ones, one of twos, one of fours and one of eights. Counts add up in bytes, 3 groups of at most 64. */

#define TARGET __attribute__((target("avx2")))
#define GROUP 8u

_Static_assert(BRK_LINKAGE_CODE_WORDS % GROUP == 0, "codes are whole groups");

TARGET static inline __attribute__((always_inline)) __m256i nibbles(__m256i x)
{
	const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2,
		3, 2, 3, 3, 4);
	const __m256i low = _mm256_set1_epi8(0x0f);
	return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
		_mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

/* sum + 2 carry = a + b + c, bit by bit. */
TARGET static inline __attribute__((always_inline)) __m256i carry_save(__m256i *sum, __m256i a, __m256i b, __m256i c)
{
	__m256i either = _mm256_xor_si256(a, b);
	*sum = _mm256_xor_si256(either, c);
	return _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(either, c));
}

TARGET static inline __attribute__((always_inline)) __m256i word(const uint64_t *words, const uint64_t *code, uint32_t w)
{
	return _mm256_xor_si256(_mm256_load_si256((const __m256i *)(const void *)(words + w * BRK_LINKAGE_LANES)),
		_mm256_set1_epi64x((long long)code[w]));
}

/* The distances of four lanes. */
TARGET static inline __attribute__((always_inline)) __m256i half(const uint64_t *words, const uint64_t *code)
{
	const __m256i zero = _mm256_setzero_si256();
	__m256i ones = zero, twos = zero, fours = zero, eights = zero;
	__m256i bytes = zero;
#pragma GCC unroll 3
	for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w += GROUP) {
		__m256i twos_a = carry_save(&ones, word(words, code, w), word(words, code, w + 1), ones);
		__m256i twos_b = carry_save(&ones, word(words, code, w + 2), word(words, code, w + 3), ones);
		__m256i fours_a = carry_save(&twos, twos_a, twos_b, twos);
		twos_a = carry_save(&ones, word(words, code, w + 4), word(words, code, w + 5), ones);
		twos_b = carry_save(&ones, word(words, code, w + 6), word(words, code, w + 7), ones);
		__m256i fours_b = carry_save(&twos, twos_a, twos_b, twos);
		eights = carry_save(&fours, fours_a, fours_b, fours);
		bytes = _mm256_add_epi8(bytes, nibbles(eights));
	}
	bytes = _mm256_add_epi8(_mm256_add_epi8(bytes, bytes), nibbles(fours));
	bytes = _mm256_add_epi8(_mm256_add_epi8(bytes, bytes), nibbles(twos));
	bytes = _mm256_add_epi8(_mm256_add_epi8(bytes, bytes), nibbles(ones));
	return _mm256_sad_epu8(bytes, zero);
}

TARGET static inline __attribute__((always_inline)) uint32_t nearer(__m256i sums, uint32_t below)
{
	__m256i is_near = _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)below), sums);
	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(is_near));
}

TARGET static uint32_t emit(struct brk_linkage_hit *hits, __m256i low, __m256i high, struct brk_linkage_hit first,
	uint32_t mask)
{
	uint64_t lanes[BRK_LINKAGE_LANES];
	uint32_t count = 0;
	_mm256_storeu_si256((__m256i *)(void *)lanes, low);
	_mm256_storeu_si256((__m256i *)(void *)(lanes + 4), high);
	for (; mask != 0; mask &= mask - 1) {
		uint32_t lane = (uint32_t)__builtin_ctz(mask);
		hits[count++] = (struct brk_linkage_hit){first.place + lane, first.query, (uint16_t)lanes[lane]};
	}
	return count;
}

TARGET uint32_t brk_linkage_kernel_avx2(const struct brk_linkage_look *look, struct brk_linkage_hit *hits)
{
	uint32_t count = 0;
	for (uint32_t block = 0; block < look->block_count; block++) {
		const uint64_t *words = look->blocks + (uint64_t)block * BRK_LINKAGE_BLOCK_WORDS;
		const uint64_t *ahead = brk_linkage_ahead(look, block);
		for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
			_mm_prefetch((const char *)(ahead + w * BRK_LINKAGE_LANES), _MM_HINT_NTA);
		for (uint32_t p = 0; p < look->probe_count; p++) {
			const struct brk_linkage_probe *probe = &look->probes[p];
			__m256i low = half(words, probe->code);
			__m256i high = half(words + 4, probe->code);
			uint32_t mask = nearer(low, probe->below) | nearer(high, probe->below) << 4;
			if (mask != 0) {
				struct brk_linkage_hit first = {block * BRK_LINKAGE_LANES, (uint16_t)probe->query, 0};
				count += emit(hits + count, low, high, first, mask);
			}
		}
	}
	return count;
}

#endif
