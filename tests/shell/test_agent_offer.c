#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/shell/agent_service.h"

/* What an offer says of the person: a band of ages, each to its last year. */

static int band(uint32_t years, uint32_t older, bool range)
{
	Kinward__V1__AgeRange span = KINWARD__V1__AGE_RANGE__INIT;
	Kinward__V1__Age ages[2] = {KINWARD__V1__AGE__INIT, KINWARD__V1__AGE__INIT};
	Kinward__V1__ReferredChild children[2] = {KINWARD__V1__REFERRED_CHILD__INIT, KINWARD__V1__REFERRED_CHILD__INIT};
	Kinward__V1__ReferredChild *list[2] = {&children[1], &children[0]};
	Kinward__V1__ReferralRequest referral = KINWARD__V1__REFERRAL_REQUEST__INIT;
	span.years_min = years;
	span.years_max = years + 4;
	ages[0].value_case = range ? KINWARD__V1__AGE__VALUE_RANGE : KINWARD__V1__AGE__VALUE_YEARS;
	if (range)
		ages[0].range = &span;
	else
		ages[0].years = years;
	ages[1].value_case = KINWARD__V1__AGE__VALUE_YEARS;
	ages[1].years = older;
	children[0].age = &ages[0];
	children[1].age = &ages[1];
	referral.children = list;
	referral.n_children = 2;
	return (int)agent_offer_band(&referral);
}

static void test_each_year_has_its_band_by_the_youngest(void **state)
{
	(void)state;
	for (uint32_t years = 0; years < 30; years++) {
		int wanted = years <= 5 ? KINWARD__V1__AGE_BAND__AGE_BAND_0_TO_5 :
			years <= 11 ? KINWARD__V1__AGE_BAND__AGE_BAND_6_TO_11 :
			years <= 14 ? KINWARD__V1__AGE_BAND__AGE_BAND_12_TO_14 :
			years <= 17 ? KINWARD__V1__AGE_BAND__AGE_BAND_15_TO_17 : KINWARD__V1__AGE_BAND__AGE_BAND_18_OR_MORE;
		assert_int_equal(band(years, years, false), wanted);
		assert_int_equal(band(years, years + 10, false), wanted);
		assert_int_equal(band(years, years + 10, true), wanted); /* a range by its lower end */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_year_has_its_band_by_the_youngest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
