/* proto/wire/frame_track.c: what a hub may say in a Reminder, and what it may not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/frame.h"

/* Fields 12 and 13 are the agent's to fill in: what a hub says there of a case or a person is not taken. */
static void test_a_hub_names_no_case_and_no_phone(void **state)
{
	(void)state;
	const struct kw_frame_reminder sample = {.thread_id = {{9, 8, 7}}, .kind = 1, .clock = 2, .step = 150, .audience = 5, .risk = 3,
		.state = 4, .due_unix_ms = 1000, .late_ms = 5, .agency = {.text = "agency-a"}, .other_agency = {.text = "agency-b"}};
	struct kw_buf whole, again;
	struct kw_frame_reminder said;
	kw_buf_init(&whole, KW_FRAME_SIZE_MAX);
	kw_buf_init(&again, KW_FRAME_SIZE_MAX);
	assert_int_equal(kw_frame_reminder_add(&whole, &sample), KW_OK);
	size_t size = whole.size;
	assert_int_equal(kw_buf_add(&whole, KW_VIEW("\x62\x01K\x6a\x01" "1", 6)), KW_OK);
	assert_int_equal(kw_frame_reminder_parse(kw_buf_view(&whole), &said), KW_OK);
	assert_int_equal(kw_frame_reminder_add(&again, &said), KW_OK);
	assert_int_equal(again.size, size);
	assert_memory_equal(again.data, whole.data, size);
	kw_buf_fini(&again);
	kw_buf_fini(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_hub_names_no_case_and_no_phone)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
