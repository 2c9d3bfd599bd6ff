/* What may stand in a directory under an agency's own name: its keys, present and next, and no other one of any kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/agent_roles_self.h"
#include "proto/wire/crypt.h"

static struct agent_roles_self self;
static struct kw_directory_entry own;

static int setup(void **state)
{
	(void)state;
	self = (struct agent_roles_self){.agency = {.text = "agency-0"}, .hub = {.text = "hub-0"}, .identity_count = 2, .tls_count = 2,
		.sealing_count = 2};
	for (uint8_t i = 0; i < AGENT_ROLES_SELF_KEYS; i++) {
		memset(self.identity_keys[i], 1 + i, KW_KEY_SIZE);
		memset(self.tls_key_digests[i].bytes, 11 + i, KW_DIGEST_SIZE);
		memset(self.sealing_keys[i], 21 + i, KW_KEY_SIZE);
	}
	own = (struct kw_directory_entry){.agency = self.agency, .sealing_keys_count = 1};
	memcpy(own.identity_key, self.identity_keys[0], KW_KEY_SIZE);
	memcpy(own.sealing_keys[0].public_key, self.sealing_keys[0], KW_KEY_SIZE);
	own.tls_key_digest = self.tls_key_digests[0];
	return 0;
}

static void test_present_and_next_keys_are_ours(void **state)
{
	(void)state;
	assert_true(agent_roles_is_self(&self, &own));
	own.next_tls_key_digest = self.tls_key_digests[1];
	assert_true(agent_roles_is_self(&self, &own));
	own.tls_key_digest = self.tls_key_digests[1];
	memcpy(own.identity_key, self.identity_keys[1], KW_KEY_SIZE);
	memcpy(own.sealing_keys[0].public_key, self.sealing_keys[1], KW_KEY_SIZE);
	assert_true(agent_roles_is_self(&self, &own));
	/* Once the next one has taken the place, the former is nobody's. */
	self.identity_count = 1;
	assert_false(agent_roles_is_self(&self, &own));
}

static void test_any_other_key_is_an_alarm(void **state)
{
	const struct kw_directory_entry good = own;
	(void)state;
	own.identity_key[31] ^= 1;
	assert_false(agent_roles_is_self(&self, &own));
	own = good;
	own.tls_key_digest.bytes[31] ^= 1;
	assert_false(agent_roles_is_self(&self, &own));
	own = good;
	own.next_tls_key_digest.bytes[0] = 1; /* somebody else's, to be brought in */
	assert_false(agent_roles_is_self(&self, &own));
	own = good;
	own.sealing_keys[0].public_key[0] ^= 1;
	assert_false(agent_roles_is_self(&self, &own));
	own = good;
	own.sealing_keys[1] = good.sealing_keys[0];
	own.sealing_keys[1].public_key[0] ^= 1; /* beside ours */
	own.sealing_keys_count = 2;
	assert_false(agent_roles_is_self(&self, &own));
	own = good;
	own.hybrid_keys_count = 1; /* senders take it before any other */
	assert_false(agent_roles_is_self(&self, &own));
	/* The present one and the next one are ours; the next one alone too; any other byte, or one beside them, is not. */
	for (uint32_t i = 0; i < 2; i++) {
		memset(own.hybrid_keys[i].public_key, (int)(40 + i), KW_HYBRID_PUBLIC_SIZE);
		const struct kw_view part = KW_VIEW_OF(own.hybrid_keys[i].public_key);
		assert_int_equal(kw_sha256(&part, 1, &self.hybrid_digests[i]), KW_OK);
		own.hybrid_keys_count = (uint8_t)(i + 1);
		assert_false(agent_roles_is_self(&self, &own));
		self.hybrid_count = i + 1;
		assert_true(agent_roles_is_self(&self, &own));
	}
	own.hybrid_keys[1].public_key[KW_HYBRID_PUBLIC_SIZE - 1] ^= 1;
	assert_false(agent_roles_is_self(&self, &own));
}

/* The log of what a directory changes. */
static char *told(const struct kw_directory *before, const struct kw_directory *after)
{
	static char text[4096];
	FILE *log = tmpfile();
	int was = dup(STDERR_FILENO);
	assert_non_null(log);
	(void)fflush(stderr);
	(void)dup2(fileno(log), STDERR_FILENO);
	agent_roles_tell_changes(&self, before, after);
	(void)fflush(stderr);
	(void)dup2(was, STDERR_FILENO);
	(void)close(was);
	rewind(log);
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	(void)fclose(log);
	return text;
}

static void test_a_replaced_identity_is_told_by_who_said_so(void **state)
{
	struct kw_ed25519 former;
	struct kw_ed25519 key;
	struct kw_directory_entry was = {.agency = {.text = "agency-1"}};
	const struct kw_identity_who who = {.agency = &was.agency, .hub = &self.hub};
	const struct kw_directory before = {.entries = &was, .count = 1};
	(void)state;
	assert_int_equal(kw_ed25519_generate(&former), KW_OK);
	assert_int_equal(kw_ed25519_generate(&key), KW_OK);
	memcpy(was.identity_key, former.public_key, KW_KEY_SIZE);
	struct kw_directory_entry is = was;
	const struct kw_directory after = {.entries = &is, .count = 1};
	assert_string_equal(told(&before, &after), "");
	assert_string_equal(told(NULL, &after), "");
	memcpy(is.identity_key, key.public_key, KW_KEY_SIZE);
	assert_non_null(strstr(told(&before, &after), "identity_unproven")); /* the hub alone */
	is.identity_change = (struct kw_identity_change){.unix_ms = 1, .reason = KW_IDENTITY_STAFF};
	assert_int_equal(kw_identity_sign(&who, &former, &key, &is.identity_change), KW_OK);
	assert_non_null(strstr(told(&before, &after), "\"event\":\"identity_replaced\",\"agency\":\"agency-1\",\"reason\":\"staff\""));
	/* A word of that key about another change, or of a key that was not known here, proves nothing. */
	is.identity_change.reason = KW_IDENTITY_SCHEDULED;
	assert_non_null(strstr(told(&before, &after), "identity_unproven"));
	is.identity_change.reason = KW_IDENTITY_STAFF;
	was.identity_key[0] ^= 1;
	assert_non_null(strstr(told(&before, &after), "identity_unproven"));
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_present_and_next_keys_are_ours),
		CASE(test_any_other_key_is_an_alarm),
		CASE(test_a_replaced_identity_is_told_by_who_said_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
