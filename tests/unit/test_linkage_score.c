/* The integer score against the formula in doubles, and the bound that a scan prunes by against the score. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/linkage_score.h"

static struct brk_linkage_score score;

static double dice(uint32_t distance, uint32_t a, uint32_t b)
{
	const struct brk_linkage_params *p = &score.params;
	double same = 1 - 2.0 * distance / BRK_LINKAGE_CODE_BITS;
	double share = same <= 0 ? 0.5 : (1 - pow(same, 1.0 / p->arity)) / 2;
	double size_a = (a + 0.5) * p->quantum, size_b = (b + 0.5) * p->quantum;
	double differ = fmax(share * p->filter_bits, fabs(size_a - size_b) - p->quantum);
	return fmax(0, 1 - differ / (size_a + size_b));
}

static void compare_all(struct brk_linkage_params params)
{
	brk_linkage_score_init(&score, &params);
	for (uint32_t a = 0; a <= score.class_max; a += 3) {
		for (uint32_t b = 0; b <= score.class_max; b += 2) {
			/* 1/1024 of a bit is lost at most, and a millionth. */
			double slack = 2 + 1e6 / 512 / ((a + b + 1.0) * params.quantum);
			uint32_t last = BRK_LINKAGE_SCORE_ONE;
			for (uint32_t h = 0; h <= BRK_LINKAGE_CODE_BITS; h++) {
				uint32_t now = brk_linkage_score_of(&score, h, a, b);
				assert_true(fabs(now - 1e6 * dice(h, a, b)) <= slack);
				assert_true(now <= last);
				assert_int_equal(now, brk_linkage_score_of(&score, h, b, a));
				last = now;
			}
		}
	}
}

static void test_score_is_the_formula(void **state)
{
	(void)state;
	compare_all((struct brk_linkage_params){1536, 5, 32});
	compare_all((struct brk_linkage_params){1536, 4, 32});
	compare_all((struct brk_linkage_params){1000, 1, 16});
	compare_all((struct brk_linkage_params){2048, 3, 64});
	compare_all((struct brk_linkage_params){BRK_LINKAGE_FILTER_BITS_MAX, BRK_LINKAGE_ARITY_MAX, 128});
}

static void test_score_by_hand(void **state)
{
	(void)state;
	brk_linkage_score_init(&score, &(struct brk_linkage_params){1536, 5, 32});
	/* Equal codes of one class; of classes apart the sizes alone bound it: |416 - 544| - 32 of 960. */
	assert_int_equal(brk_linkage_score_of(&score, 0, 12, 12), BRK_LINKAGE_SCORE_ONE);
	assert_int_equal(brk_linkage_score_of(&score, 0, 12, 16), 896552); /* 1 - 96/928 */
	/* 493 of 1536: 1 - 2h/L = .358073, its fifth root .814335, so d = .0928323, |D| = 142.59 of 800. */
	assert_true(abs((int)brk_linkage_score_of(&score, 493, 12, 12) - 821762) < 30);
	/* No better than chance. */
	assert_int_equal(brk_linkage_score_of(&score, 768, 12, 12), 40000); /* 1 - 768/800 */
	assert_int_equal(brk_linkage_score_of(&score, 1536, 12, 12), 40000);
	assert_int_equal(brk_linkage_score_of(&score, 768, 3, 3), 0);
}

static void test_score_is_strict_where_codes_tell(void **state)
{
	(void)state;
	brk_linkage_score_init(&score, &(struct brk_linkage_params){1536, 5, 32});
	for (uint32_t h = 0; h < BRK_LINKAGE_CODE_BITS / 2; h++)
		assert_true(brk_linkage_score_of(&score, h, 47, 48) > brk_linkage_score_of(&score, h + 1, 47, 48));
}

static void test_below_is_where_the_score_falls_under(void **state)
{
	static const uint32_t LEASTS[] = {0, 1, 2, 40000, 40001, 500000, 821000, 896552, 896553, 999999, 1000000, 1000001};
	(void)state;
	brk_linkage_score_init(&score, &(struct brk_linkage_params){1536, 5, 32});
	for (uint32_t a = 0; a <= score.class_max; a += 4) {
		for (uint32_t b = 0; b <= score.class_max; b += 4) {
			for (uint32_t i = 0; i < sizeof(LEASTS) / sizeof(LEASTS[0]); i++) {
				uint32_t below = brk_linkage_score_below(&score, LEASTS[i], a, b);
				assert_true(below <= BRK_LINKAGE_CODE_BITS + 1);
				if (below > 0)
					assert_true(brk_linkage_score_of(&score, below - 1, a, b) >= LEASTS[i]);
				if (below <= BRK_LINKAGE_CODE_BITS)
					assert_true(brk_linkage_score_of(&score, below, a, b) < LEASTS[i]);
			}
		}
	}
}

static void test_params_limits(void **state)
{
	struct brk_linkage_params params = {BRK_LINKAGE_FILTER_BITS_MAX, BRK_LINKAGE_ARITY_MAX, 65};
	(void)state;
	assert_true(brk_linkage_params_valid(&params));
	params.filter_bits = BRK_LINKAGE_FILTER_BITS_MAX + 1;
	assert_false(brk_linkage_params_valid(&params));
	params.filter_bits = 0;
	assert_false(brk_linkage_params_valid(&params));
	params.filter_bits = 1536;
	params.arity = BRK_LINKAGE_ARITY_MAX + 1;
	assert_false(brk_linkage_params_valid(&params));
	params.arity = 0;
	assert_false(brk_linkage_params_valid(&params));
	params.arity = 5;
	params.quantum = 0;
	assert_false(brk_linkage_params_valid(&params));
	params.quantum = 24; /* 1536 / 24 = BRK_LINKAGE_CLASS_MAX + 1 */
	assert_int_equal(1536 / 24, BRK_LINKAGE_CLASS_MAX + 1);
	assert_false(brk_linkage_params_valid(&params));
	params.filter_bits = 1535;
	assert_true(brk_linkage_params_valid(&params));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_score_is_the_formula),
		cmocka_unit_test(test_score_by_hand),
		cmocka_unit_test(test_score_is_strict_where_codes_tell),
		cmocka_unit_test(test_below_is_where_the_score_falls_under),
		cmocka_unit_test(test_params_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
