#include "broker/core/linkage_kernel.h"

#include <stddef.h>

static const struct brk_linkage_kernel PORTABLE = {"portable", brk_linkage_kernel_portable};

#ifdef __x86_64__
static const struct brk_linkage_kernel AVX2 = {"avx2", brk_linkage_kernel_avx2};
static const struct brk_linkage_kernel AVX512 = {"avx512", brk_linkage_kernel_avx512};

static const struct brk_linkage_kernel *vector(enum brk_linkage_kernel_kind kind)
{
	if (kind == BRK_LINKAGE_AVX2 && __builtin_cpu_supports("avx2"))
		return &AVX2;
	if (kind == BRK_LINKAGE_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq"))
		return &AVX512;
	return NULL;
}
#else
static const struct brk_linkage_kernel *vector(enum brk_linkage_kernel_kind kind)
{
	(void)kind;
	return NULL;
}
#endif

const struct brk_linkage_kernel *brk_linkage_kernel_get(enum brk_linkage_kernel_kind kind)
{
	return kind == BRK_LINKAGE_PORTABLE ? &PORTABLE : vector(kind);
}

const struct brk_linkage_kernel *brk_linkage_kernel_best(void)
{
	for (uint32_t kind = BRK_LINKAGE_KERNEL_COUNT; kind-- > 0;) {
		const struct brk_linkage_kernel *kernel = brk_linkage_kernel_get((enum brk_linkage_kernel_kind)kind);
		if (kernel != NULL)
			return kernel;
	}
	return &PORTABLE;
}
