/* proto/wire/frame_clocks.c: the hub's limits in a WELCOME. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/frame.h"
#include "proto/wire/frame_field.h"

static struct kw_frame_hello welcome_with(const struct kw_clock_limits *limits)
{
	return (struct kw_frame_hello){.version_min = 1, .version_max = 1, .epoch = 9, .clock_unix_ms = 1760000000123,
		.envelope_size_max = KW_ENVELOPE_SIZE_MAX, .limits = limits};
}

static void add_body(struct kw_buf *buf, const struct kw_clock_limits *limits)
{
	struct kw_frame_hello welcome = welcome_with(limits);
	assert_int_equal(kw_frame_welcome_add(buf, &welcome), KW_OK);
	kw_buf_drop(buf, KW_FRAME_HEAD_SIZE);
}

static void test_every_limit_arrives(void **state)
{
	(void)state;
	struct kw_clock_limits sent, got;
	struct kw_frame_hello out;
	struct kw_buf buf;
	bool said = false;
	memset(&sent, 0, sizeof(sent));
	for (int clock = 1; clock < KW_CLOCK_COUNT; clock++)
		for (int risk = KW_RISK_HIGH; risk < KW_RISK_COUNT; risk++)
			assert_int_equal(kw_clock_limit_set(&sent, clock, risk, 1000 * (clock * 10 + risk)), KW_OK);
	assert_int_equal(kw_clock_limit_set(&sent, KW_CLOCK_SERVICE, KW_RISK_LOW, KW_CLOCK_LIMIT_MS_MAX), KW_OK);
	kw_buf_init(&buf, 4096);
	add_body(&buf, &sent);
	assert_int_equal(kw_frame_welcome_parse(kw_buf_view(&buf), &out), KW_OK);
	assert_null(out.limits);
	kw_clock_limits_default(&got);
	assert_int_equal(kw_frame_welcome_limits(kw_buf_view(&buf), &got, &said), KW_OK);
	assert_true(said);
	assert_memory_equal(&got, &sent, sizeof(got));
	/* Half a second more is a second more: nobody is late too early. */
	assert_int_equal(kw_clock_limit_set(&sent, KW_CLOCK_MATCH, KW_RISK_NONE, 1500), KW_OK);
	kw_buf_clear(&buf);
	add_body(&buf, &sent);
	assert_int_equal(kw_frame_welcome_limits(kw_buf_view(&buf), &got, &said), KW_OK);
	assert_int_equal(kw_clock_limit(&got, KW_CLOCK_MATCH, KW_RISK_HIGH), 2000);
	kw_buf_fini(&buf);
}

static void test_an_older_hub_says_none(void **state)
{
	(void)state;
	struct kw_clock_limits before, got;
	struct kw_buf buf;
	bool said = true;
	kw_clock_limits_default(&before);
	assert_int_equal(kw_clock_limit_set(&before, KW_CLOCK_MATCH, KW_RISK_NONE, 5000), KW_OK);
	got = before;
	kw_buf_init(&buf, 4096);
	add_body(&buf, NULL);
	assert_int_equal(kw_frame_welcome_limits(kw_buf_view(&buf), &got, &said), KW_OK);
	assert_false(said);
	assert_memory_equal(&got, &before, sizeof(got));
	kw_buf_fini(&buf);
}

/* A WELCOME with these ClockLimits behind it. */
static enum kw_err take(const char *bytes, size_t size, struct kw_clock_limits *got)
{
	struct kw_frame_hello out;
	struct kw_buf buf;
	bool said = false;
	kw_buf_init(&buf, 4096);
	add_body(&buf, NULL);
	assert_int_equal(kw_buf_add(&buf, KW_VIEW(bytes, size)), KW_OK);
	enum kw_err err = kw_frame_welcome_parse(kw_buf_view(&buf), &out);
	assert_int_equal(kw_frame_welcome_limits(kw_buf_view(&buf), got, &said), err);
	kw_buf_fini(&buf);
	return err;
}

static void test_a_bad_limit_is_refused_and_an_unknown_clock_passed_over(void **state)
{
	(void)state;
	struct kw_clock_limits limits, before;
	kw_clock_limits_default(&limits);
	before = limits;
#define TAKE(text) take(text, sizeof(text) - 1, &limits)
	assert_int_equal(TAKE("\x4a\x06\x08\x01\x10\x05\x18\x06"), KW_EFIELD);                 /* no limit for low risk */
	assert_int_equal(TAKE("\x4a\x08\x08\x01\x10\x05\x18\x06\x20\x00"), KW_EFIELD);         /* 0 s */
	assert_int_equal(TAKE("\x4a\x06\x10\x05\x18\x06\x20\x07"), KW_EFIELD);                 /* no clock */
	assert_int_equal(TAKE("\x4a\x0b\x08\x01\x10\x81\xb0\xbd\x10\x18\x06\x20\x07"), KW_EFIELD); /* 34,560,001 s */
	assert_int_equal(TAKE("\x4a\x08\x08\x01\x10\x05\x18\x06\x20\x07\x4a\x08\x08\x01\x10\x05\x18\x06\x20\x07"), KW_EFIELD);
	assert_int_equal(TAKE("\x4a\x08\x08\x01\x10\x05\x10\x05\x18\x06"), KW_EFORMAT);        /* a field twice */
	assert_int_equal(TAKE("\x4a\x02\x0a\x00"), KW_EFORMAT);                                /* of another wire type */
	assert_memory_equal(&limits, &before, sizeof(limits));
	assert_int_equal(TAKE("\x4a\x08\x08\x7f\x10\x05\x18\x06\x20\x07"), KW_OK);             /* a clock of a newer hub */
	assert_memory_equal(&limits, &before, sizeof(limits));
	assert_int_equal(TAKE("\x4a\x0b\x08\x01\x10\x80\xb0\xbd\x10\x18\x06\x20\x07"), KW_OK); /* 34,560,000 s */
	assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_DELIVERED, KW_RISK_HIGH), KW_CLOCK_LIMIT_MS_MAX);
	assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_DELIVERED, KW_RISK_MEDIUM), 6000);
	assert_int_equal(kw_clock_limit(&limits, KW_CLOCK_DELIVERED, KW_RISK_LOW), 7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_limit_arrives),
		cmocka_unit_test(test_an_older_hub_says_none),
		cmocka_unit_test(test_a_bad_limit_is_refused_and_an_unknown_clock_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
