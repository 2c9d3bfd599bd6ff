/* Addresses as people write them: what is wrong is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/link/address.h"

/* The rule that is told must hold this word; NULL: it is good. */
static const struct {
	const char *address;
	const char *listen;
	const char *dial;
} CASES[] = {
	{"0.0.0.0:7443", NULL, "nobody can dial"},
	{"[::]:7443", NULL, "nobody can dial"},
	{"127.0.0.1:0", NULL, "1 to 65535"},
	{"127.0.0.1:65535", NULL, NULL},
	{"[2001:db8::1]:7443", NULL, NULL},
	{"localhost:27555", "not a name", NULL},
	{"hub.example.org:7443", "not a name", NULL},
	{"127.0.0.1:99999", "at most 65535", "1 to 65535"},
	{"300.0.0.1:7443", "not a name", "numeric address"},
	{"foo", "ADDRESS:PORT", "HOST:PORT"},
	{":x", "ADDRESS:PORT", "HOST:PORT"},
	{":7443", "ADDRESS:PORT", "HOST:PORT"},
	{"host:", "ADDRESS:PORT", "HOST:PORT"},
	{"host:7443x", "ADDRESS:PORT", "HOST:PORT"},
	{"a host:7443", "not a name", "HOST is a name"},
	{"", "ADDRESS:PORT", "HOST:PORT"},
};

static void judge(const char *address, enum kw_address_use use, const char *word)
{
	const char *rule = "untouched";
	enum kw_err err = kw_address_check(address, use, &rule);
	print_message("%s: %s\n", address, rule);
	assert_int_equal(err, word == NULL ? KW_OK : KW_EFIELD);
	assert_non_null(strstr(rule, word == NULL ? "untouched" : word));
}

static void test_address_rules_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		judge(CASES[i].address, KW_ADDRESS_LISTEN, CASES[i].listen);
		judge(CASES[i].address, KW_ADDRESS_DIAL, CASES[i].dial);
	}
}

static void test_address_hosts_have_a_longest_size(void **state)
{
	(void)state;
	char text[KW_ADDRESS_HOST_SIZE + 8], host[KW_ADDRESS_HOST_SIZE], port[KW_ADDRESS_PORT_SIZE];
	memset(text, 'a', sizeof(text));
	memcpy(text + KW_ADDRESS_HOST_SIZE - 1, ":1", 3);
	assert_int_equal(kw_address_split(text, host, port), KW_OK);
	assert_int_equal(strlen(host), KW_ADDRESS_HOST_SIZE - 1);
	memcpy(text + KW_ADDRESS_HOST_SIZE - 1, "a:1", 4);
	assert_int_equal(kw_address_split(text, host, port), KW_EFIELD);
}

static void test_address_any_is_known_in_every_spelling(void **state)
{
	(void)state;
	assert_true(kw_address_is_any("0.0.0.0:1") && kw_address_is_any("[::]:1") && kw_address_is_any("[0:0::0]:1"));
	assert_false(kw_address_is_any("127.0.0.1:1") || kw_address_is_any("host:1") || kw_address_is_any("0.0.0.0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_rules_are_told),
		cmocka_unit_test(test_address_hosts_have_a_longest_size),
		cmocka_unit_test(test_address_any_is_known_in_every_spelling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
