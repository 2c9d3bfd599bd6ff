#include "broker/core/linkage_kernel.h"

#ifdef __x86_64__

#include <immintrin.h>

/* A block is 24 registers, loaded once for all probes; a word of a probe is broadcast by the instruction that uses it. Memory
 * is fetched ahead after the loads: the other way round a search by one probe took a fifth longer. */

#define EACH_WORD(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) \
	X(21) X(22) X(23)
#define LOAD(w) \
	const __m512i r##w = _mm512_load_si512((const void *)(words + (w) * BRK_LINKAGE_LANES));
#define FETCH(w) _mm_prefetch((const char *)(ahead + (w) * BRK_LINKAGE_LANES), _MM_HINT_NTA);
/* Three sums, so that none waits for the one before. */
#define COUNT(w) \
	sums[(w) % 3] = _mm512_add_epi64(sums[(w) % 3], \
		_mm512_popcnt_epi64(_mm512_xor_si512(r##w, _mm512_set1_epi64((long long)code[w]))));

_Static_assert(BRK_LINKAGE_CODE_WORDS == 24u, "EACH_WORD names them");

__attribute__((target("avx512f,avx512vpopcntdq"))) static uint32_t emit(struct brk_linkage_hit *hits, uint32_t mask,
	__m512i sum, struct brk_linkage_hit first)
{
	uint64_t lanes[BRK_LINKAGE_LANES];
	uint32_t count = 0;
	_mm512_storeu_si512(lanes, sum);
	for (; mask != 0; mask &= mask - 1) {
		uint32_t lane = (uint32_t)__builtin_ctz(mask);
		hits[count++] = (struct brk_linkage_hit){first.place + lane, first.query, (uint16_t)lanes[lane]};
	}
	return count;
}

__attribute__((target("avx512f,avx512vpopcntdq"))) uint32_t brk_linkage_kernel_avx512(
	const struct brk_linkage_look *look, struct brk_linkage_hit *hits)
{
	uint32_t count = 0;
	for (uint32_t block = 0; block < look->block_count; block++) {
		const uint64_t *words = look->blocks + (uint64_t)block * BRK_LINKAGE_BLOCK_WORDS;
		const uint64_t *ahead = brk_linkage_ahead(look, block);
		EACH_WORD(LOAD)
		EACH_WORD(FETCH)
		for (uint32_t p = 0; p < look->probe_count; p++) {
			const struct brk_linkage_probe *probe = &look->probes[p];
			const uint64_t *code = probe->code;
			__m512i sums[3] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
			EACH_WORD(COUNT)
			__m512i sum = _mm512_add_epi64(sums[0], _mm512_add_epi64(sums[1], sums[2]));
			uint32_t mask = _mm512_cmplt_epu64_mask(sum, _mm512_set1_epi64((long long)probe->below));
			if (mask != 0) {
				struct brk_linkage_hit first = {block * BRK_LINKAGE_LANES, (uint16_t)probe->query, 0};
				count += emit(hits + count, mask, sum, first);
			}
		}
	}
	return count;
}

#endif
