/* proto/wire/lane.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/lane.h"

static const struct kw_credit WINDOW = {.messages = 3, .bytes = 100};

static struct kw_rx_lane lane(void)
{
	struct kw_rx_lane rx;
	memset(&rx, 0, sizeof(rx));
	kw_rx_begin(&rx, 5);
	(void)kw_rx_grant(&rx, WINDOW, false);
	return rx;
}

static void test_new_repeat_and_durable(void **state)
{
	(void)state;
	struct kw_rx_lane rx = lane();
	assert_int_equal(kw_rx_arrive(&rx, 1, 10), KW_RX_NEW);
	assert_int_equal(rx.durable.sequence, 0);
	assert_int_equal(kw_rx_arrive(&rx, 1, 10), KW_RX_REPEAT);
	kw_rx_committed(&rx, (struct kw_cursor){.epoch = 5, .sequence = 1});
	assert_int_equal(rx.durable.sequence, 1);
	kw_rx_released(&rx, 10);
	(void)kw_rx_grant(&rx, WINDOW, false); /* repeats use credit as well, and give it back */
	assert_int_equal(kw_rx_arrive(&rx, 4, 10), KW_RX_NEW); /* gaps are rows that are gone */
	assert_int_equal(kw_rx_arrive(&rx, 3, 10), KW_RX_REPEAT);
}

static void test_credit_at_the_limit_and_past_it(void **state)
{
	(void)state;
	struct kw_rx_lane rx = lane();
	assert_int_equal(kw_rx_arrive(&rx, 1, 30), KW_RX_NEW);
	assert_int_equal(kw_rx_arrive(&rx, 2, 30), KW_RX_NEW);
	assert_int_equal(kw_rx_arrive(&rx, 3, 40), KW_RX_NEW);
	struct kw_rx_lane full = rx;
	assert_int_equal(kw_rx_arrive(&full, 4, 0), KW_RX_OVERRUN);
	kw_rx_released(&rx, 30);
	assert_int_equal(kw_rx_grant(&rx, WINDOW, true).messages, 3);
	assert_int_equal(kw_rx_grant(&rx, WINDOW, false).messages, 4);
	assert_int_equal(rx.granted.bytes, 130);
	full = rx;
	assert_int_equal(kw_rx_arrive(&full, 4, 31), KW_RX_OVERRUN);
	assert_int_equal(kw_rx_arrive(&rx, 4, 30), KW_RX_NEW);
}

static void test_fast_reconnect_takes_nothing_twice(void **state)
{
	(void)state;
	struct kw_rx_lane rx = lane();
	assert_int_equal(kw_rx_arrive(&rx, 1, 10), KW_RX_NEW);
	kw_rx_begin(&rx, 5);
	assert_int_equal(rx.durable.sequence, 0);
	(void)kw_rx_grant(&rx, WINDOW, false);
	assert_int_equal(kw_rx_arrive(&rx, 1, 10), KW_RX_REPEAT);
}

static void test_another_epoch_begins_at_nothing(void **state)
{
	(void)state;
	struct kw_rx_lane rx = lane();
	assert_int_equal(kw_rx_arrive(&rx, 9, 10), KW_RX_NEW);
	kw_rx_begin(&rx, 6);
	kw_rx_committed(&rx, (struct kw_cursor){.epoch = 5, .sequence = 9}); /* too late */
	assert_int_equal(rx.durable.epoch, 6);
	assert_int_equal(rx.durable.sequence, 0);
	(void)kw_rx_grant(&rx, WINDOW, false);
	assert_int_equal(kw_rx_arrive(&rx, 1, 10), KW_RX_NEW);
}

static void test_sender_keeps_to_its_credit(void **state)
{
	(void)state;
	struct kw_tx_lane tx;
	kw_tx_begin(&tx, WINDOW);
	assert_true(kw_tx_may(&tx, 100));
	assert_false(kw_tx_may(&tx, 101));
	for (int i = 0; i < 3; i++)
		kw_tx_sent(&tx, 10);
	assert_false(kw_tx_may(&tx, 0));
	kw_tx_credit(&tx, (struct kw_credit){.messages = 2, .bytes = 200}); /* an older grant of messages */
	assert_false(kw_tx_may(&tx, 0));
	kw_tx_credit(&tx, (struct kw_credit){.messages = 4, .bytes = 0});
	assert_true(kw_tx_may(&tx, 170));
	assert_false(kw_tx_may(&tx, 171));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_repeat_and_durable),
		cmocka_unit_test(test_credit_at_the_limit_and_past_it),
		cmocka_unit_test(test_fast_reconnect_takes_nothing_twice),
		cmocka_unit_test(test_another_epoch_begins_at_nothing),
		cmocka_unit_test(test_sender_keeps_to_its_credit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
