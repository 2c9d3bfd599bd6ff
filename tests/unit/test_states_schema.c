/* proto/wire/states.c, clocks.c: their numbers and names are those of the schema's enums, because both travel. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kinward/v1/match.pb-c.h"
#include "kinward/v1/referral.pb-c.h"
#include "kinward/v1/track.pb-c.h"
#include "kinward/v1/tracing.pb-c.h"
#include "kinward/v1/transfer.pb-c.h"
#include "kinward/v1/types.pb-c.h"
#include "proto/wire/clocks.h"
#include "proto/wire/states.h"

/* The code's name without the enum's prefix, in lower case if asked; NULL when the enum has no such code. */
static const char *short_name(const ProtobufCEnumDescriptor *type, int code, const char *prefix, bool lower)
{
	static char name[64];
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, code);
	if (value == NULL)
		return NULL;
	assert_int_equal(strncmp(value->name, prefix, strlen(prefix)), 0);
	(void)snprintf(name, sizeof(name), "%s", value->name + strlen(prefix));
	for (char *at = name; lower && *at != '\0'; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
	return name;
}

static void is_same(const char *ours, const char *schema)
{
	assert_non_null(ours);
	assert_non_null(schema);
	assert_string_equal(ours, schema);
}

static void states_agree(enum kw_thread_kind kind, const ProtobufCEnumDescriptor *type, const char *prefix)
{
	for (unsigned i = 1; i < type->n_values; i++) {
		int code = type->values[i].value;
		is_same(kw_state_name(kind, (uint8_t)code), short_name(type, code, prefix, false));
	}
	/* What a hub or a caseworker is shown is a code of the schema, whatever else the table knows. */
	for (unsigned state = 1; state < KW_STATE_MAX; state++)
		if (kw_state_name(kind, (uint8_t)state) != NULL)
			assert_non_null(short_name(type, kw_state_public(kind, (uint8_t)state), prefix, false));
}

static void test_schema_has_the_states(void **state)
{
	(void)state;
	states_agree(KW_THREAD_REFERRAL, &kinward__v1__referral_state__descriptor, "REFERRAL_STATE_");
	states_agree(KW_THREAD_TRANSFER, &kinward__v1__transfer_state__descriptor, "TRANSFER_STATE_");
	states_agree(KW_THREAD_TRACING, &kinward__v1__tracing_state__descriptor, "TRACING_STATE_");
	states_agree(KW_THREAD_MATCH, &kinward__v1__match_state__descriptor, "MATCH_STATE_");
	states_agree(KW_THREAD_OFFER, &kinward__v1__offer_state__descriptor, "OFFER_STATE_");
}

static void test_schema_has_the_kinds(void **state)
{
	(void)state;
	assert_int_equal(kinward__v1__thread_kind__descriptor.n_values, KW_THREAD_KIND_COUNT);
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++)
		is_same(kw_thread_kind_name((enum kw_thread_kind)kind),
			short_name(&kinward__v1__thread_kind__descriptor, kind, "THREAD_KIND_", true));
}

static void test_schema_has_the_risks(void **state)
{
	(void)state;
	assert_int_equal(kinward__v1__risk__descriptor.n_values, KW_RISK_COUNT);
	for (int risk = 1; risk < KW_RISK_COUNT; risk++)
		is_same(kw_risk_name((enum kw_risk)risk), short_name(&kinward__v1__risk__descriptor, risk, "RISK_", true));
}

static void test_schema_has_the_clocks(void **state)
{
	(void)state;
	assert_int_equal(kinward__v1__thread_clock__descriptor.n_values, KW_CLOCK_COUNT);
	for (int clock = 1; clock < KW_CLOCK_COUNT; clock++)
		is_same(kw_clock_name((enum kw_clock)clock),
			short_name(&kinward__v1__thread_clock__descriptor, clock, "THREAD_CLOCK_", true));
}

/* Here the schema's codes are one more: its 0 is not set. */
static void test_schema_has_the_audiences(void **state)
{
	(void)state;
	assert_int_equal(kinward__v1__reminder_audience__descriptor.n_values, KW_AUDIENCE_COUNT + 1);
	for (int audience = 0; audience < KW_AUDIENCE_COUNT; audience++)
		is_same(kw_audience_name((enum kw_audience)audience),
			short_name(&kinward__v1__reminder_audience__descriptor, audience + 1, "REMINDER_AUDIENCE_", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_has_the_states),
		cmocka_unit_test(test_schema_has_the_kinds),
		cmocka_unit_test(test_schema_has_the_risks),
		cmocka_unit_test(test_schema_has_the_clocks),
		cmocka_unit_test(test_schema_has_the_audiences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
