#ifndef TESTS_KIT_LINKAGE_RIG_H
#define TESTS_KIT_LINKAGE_RIG_H

#include <stdlib.h>
#include <string.h>

#include "broker/core/linkage_scan.h"
#include "proto/base/check.h"
#include "tests/kit/prng.h"

/* An index in memory of its own, and codes as agents make them: near to each other and far, with whole families of equals. */

static const struct brk_linkage_params RIG_PARAMS = {.filter_bits = 1536, .arity = 5, .quantum = 32};

struct linkage_rig {
	struct brk_linkage_index index;
	uint64_t size;
	uint8_t *memory;
};

static inline void linkage_rig_init(struct linkage_rig *rig, const struct brk_linkage_limits *limits,
	const struct brk_linkage_kernel *kernel)
{
	struct brk_linkage_config config = {*limits, RIG_PARAMS, kernel, {UINT64_C(0x0123456789abcdef), 42}};
	KW_ASSERT(brk_linkage_index_size(limits, &rig->size) == KW_OK);
	rig->memory = aligned_alloc(4096, (rig->size + 4095) / 4096 * 4096);
	KW_ASSERT(rig->memory != NULL);
	memset(rig->memory, 0, rig->size);
	KW_ASSERT(brk_linkage_index_init(&rig->index, &config, rig->memory) == KW_OK);
}

static inline void linkage_rig_fini(struct linkage_rig *rig)
{
	free(rig->memory);
}

static inline struct kw_id linkage_rig_handle(uint64_t number)
{
	struct prng prng = {number * 2 + 1};
	struct kw_id id;
	kw_put_u64(id.bytes, prng_next(&prng) | 1);
	kw_put_u64(id.bytes + 8, prng_next(&prng));
	return id;
}

/* One of `families` codes, with up to `flips` of its bits turned over. */
static inline void linkage_rig_code(struct prng *prng, uint32_t families, uint32_t flips, uint8_t code[BRK_LINKAGE_CODE_SIZE])
{
	struct prng family = {(UINT64_C(1) << 40) + prng_below(prng, families)}; /* no handle's */
	for (uint32_t i = 0; i < BRK_LINKAGE_CODE_SIZE; i += 8)
		kw_put_u64(code + i, prng_next(&family));
	for (uint64_t i = flips == 0 ? 0 : prng_below(prng, flips + 1); i > 0; i--) {
		uint64_t bit = prng_below(prng, BRK_LINKAGE_CODE_BITS);
		code[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static inline uint32_t linkage_rig_distance(const uint8_t *a, const uint8_t *b)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < BRK_LINKAGE_CODE_SIZE; i++)
		for (uint32_t x = a[i] ^ b[i]; x != 0; x >>= 1)
			count += x & 1;
	return count;
}

#endif
