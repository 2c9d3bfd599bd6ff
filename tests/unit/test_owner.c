/* agent/core/owner.c: whose a case is, by one agency's own transfers of it, whatever their order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/core/owner.h"

struct one {
	enum kw_party party;
	uint8_t state;
	uint64_t moved;
};
#define GAVE(when) {KW_PARTY_OPENER, KW_TRANSFER_COMPLETE, when}
#define GOT(when) {KW_PARTY_OTHER, KW_TRANSFER_COMPLETE, when}
#define OFFERS(what) {KW_PARTY_OPENER, KW_TRANSFER_##what, 0}
#define HEARS(what) {KW_PARTY_OTHER, KW_TRANSFER_##what, 0}

/* The same from both ends of the list. */
static struct agt_case sum(const struct one *list, uint32_t count)
{
	struct agt_case out[2] = {{.got = 0}, {.got = 0}};
	for (uint32_t i = 0; i < 2 * count; i++) {
		const struct one *one = &list[i < count ? i : 2 * count - 1 - i];
		struct agt_thread thread = {.kind = KW_THREAD_TRANSFER, .party = one->party, .state = one->state};
		agt_case_add(&out[i / count], &thread, one->moved);
	}
	assert_memory_equal(&out[0], &out[1], sizeof(out[0]));
	return out[0];
}

static bool may(const struct one *list, uint32_t count)
{
	struct agt_case about = sum(list, count);
	return agt_case_may_offer(&about);
}
#define MAY(...) may((const struct one[]){__VA_ARGS__}, sizeof((const struct one[]){__VA_ARGS__}) / sizeof(struct one))

static void test_owner_gives_it_once(void **state)
{
	(void)state;
	struct agt_case nothing = {.got = 0};
	assert_true(agt_case_may_offer(&nothing)); /* it began with us, and was never offered */
	assert_true(MAY(OFFERS(REJECTED), OFFERS(WITHDRAWN)));
	assert_true(MAY(OFFERS(REQUESTED)));
	assert_false(MAY(OFFERS(OFFERED)));
	assert_false(MAY(OFFERS(ACKNOWLEDGED)));
	assert_false(MAY(OFFERS(WITHDRAW_REQUESTED)));
	assert_false(MAY({KW_PARTY_OPENER, KW_TRANSFER_ACCEPTED, 4}));
	assert_false(MAY(GAVE(4)));
}

static void test_owner_again_when_it_came_back(void **state)
{
	(void)state;
	assert_true(MAY(GAVE(4), GOT(7)));
	assert_false(MAY(GAVE(4), GOT(7), GAVE(9)));
	assert_true(MAY(GAVE(4), GOT(7), GAVE(9), GOT(12)));
	assert_false(MAY(GAVE(4), GOT(7), OFFERS(OFFERED)));
}

static void test_owner_of_what_it_was_given(void **state)
{
	(void)state;
	assert_true(MAY(GOT(3)));
	assert_false(MAY(GOT(3), GAVE(5)));
	assert_true(MAY(GOT(3), GAVE(5), GOT(8)));
	assert_false(MAY(GOT(3), GAVE(5), GOT(8), GAVE(9)));
}

static void test_owner_is_who_offers_it_to_us(void **state)
{
	(void)state;
	assert_false(MAY(HEARS(OFFERED)));
	assert_false(MAY(HEARS(ACKNOWLEDGED)));
	assert_true(MAY(HEARS(REQUESTED))); /* we asked for it: that says nothing of whose it is */
	assert_true(MAY(HEARS(REJECTED)));
	assert_true(MAY(HEARS(OFFERED), GOT(3))); /* what we have, nobody else can offer */
	assert_false(MAY(HEARS(OFFERED), GAVE(3)));
}

static void test_owner_is_not_moved_by_other_threads(void **state)
{
	(void)state;
	struct agt_case about = {.got = 0};
	struct agt_thread referral = {.kind = KW_THREAD_REFERRAL, .party = KW_PARTY_OPENER, .state = KW_REFERRAL_ACCEPTED};
	struct agt_thread failed = {
		.kind = KW_THREAD_TRANSFER, .party = KW_PARTY_OPENER, .state = KW_TRANSFER_OFFERED, .failed = true};
	agt_case_add(&about, &referral, 1);
	agt_case_add(&about, &failed, 2);
	assert_true(agt_case_may_offer(&about));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_gives_it_once),
		cmocka_unit_test(test_owner_again_when_it_came_back),
		cmocka_unit_test(test_owner_of_what_it_was_given),
		cmocka_unit_test(test_owner_is_who_offers_it_to_us),
		cmocka_unit_test(test_owner_is_not_moved_by_other_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
