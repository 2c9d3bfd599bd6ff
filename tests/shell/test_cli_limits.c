#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cli/commands.h"

/* How much one command takes. */

/* kinward ack with so many messages, and nobody behind the socket. */
static int ack(int count)
{
	static char id[] = "77ab0300000000000000000000000000";
	static char *argv[CLI_ACK_MAX + 8] = {(char *)(uintptr_t) "kinward", (char *)(uintptr_t) "ack"};
	int argc = 2;
	for (int i = 0; i < count; i++)
		argv[argc++] = id;
	argv[argc++] = (char *)(uintptr_t) "--socket";
	argv[argc++] = (char *)(uintptr_t) "/nonexistent.sock";
	FILE *out = fopen("/dev/null", "w");
	FILE *err = fopen("/dev/null", "w");
	assert_non_null(out);
	assert_non_null(err);
	int code = cli_main(argc, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return code;
}

static void test_cli_ack_takes_so_many_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(ack(CLI_ACK_MAX), CLI_UNREACHABLE); /* it went as far as the agent */
	assert_int_equal(ack(CLI_ACK_MAX + 1), CLI_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cli_ack_takes_so_many_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
