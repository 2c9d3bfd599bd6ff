/* What an agent remembers of its hub's audit log: written and read again, and a damaged file is a new beginning, not an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/shell/agent_audit.h"
#include "proto/link/file.h"
#include "tests/kit/folder.h"

struct rig {
	char dir[64];
	char path[96];
	struct kw_name hub;
	struct agent_log_state state;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/kw-agent-audit-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/audit.bin", rig->dir);
	assert_int_equal(kw_name_from(kw_view_str("hub-a"), &rig->hub), KW_OK);
	agent_log_state_init(&rig->state, &rig->hub);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	agent_log_state_fini(&rig->state);
	(void)folder_remove(rig->dir);
	free(rig);
	return 0;
}

/* A signed checkpoint of `hub`. */
static void sign(const char *hub, uint64_t size, struct kw_buf *out)
{
	struct kw_checkpoint checkpoint = {.size = size, .at_unix_ms = 1780000000000};
	struct kw_ed25519 key;
	struct kw_buf payload;
	assert_int_equal(kw_ed25519_generate(&key), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str(hub), &checkpoint.hub), KW_OK);
	kw_buf_init(&payload, KW_AUDIT_SIGNED_SIZE_MAX);
	assert_int_equal(kw_checkpoint_add(&payload, &checkpoint), KW_OK);
	struct kw_role_signed role = {.payload = kw_buf_view(&payload)};
	assert_int_equal(kw_role_sign(&role, KW_ROLE_LOG, &key), KW_OK);
	assert_int_equal(kw_role_add(out, &role), KW_OK);
	kw_buf_fini(&payload);
}

static void fill(struct rig *rig, const char *hub)
{
	sign(hub, 77, &rig->state.last);
	rig->state.client.last.size = 77;
	rig->state.alarm = KW_AUDIT_RULE_FORKED;
	rig->state.alarm_unix_ms = 1780000000123;
	assert_int_equal(kw_buf_add(&rig->state.refused, kw_view_str("what was refused")), KW_OK);
	assert_int_equal(agent_log_state_save(rig->path, &rig->state), KW_OK);
}

static void test_it_is_remembered(void **state)
{
	struct rig *rig = *state;
	struct agent_log_state again;
	fill(rig, "hub-a");
	agent_log_state_init(&again, &rig->hub);
	assert_int_equal(agent_log_state_load(rig->path, &again), KW_OK);
	assert_int_equal(again.client.last.size, 77);
	assert_true(kw_view_equal(kw_buf_view(&again.last), kw_buf_view(&rig->state.last)));
	assert_int_equal(again.alarm, KW_AUDIT_RULE_FORKED);
	assert_int_equal(again.alarm_unix_ms, 1780000000123);
	assert_true(kw_view_equal(kw_buf_view(&again.refused), kw_view_str("what was refused")));
	agent_log_state_fini(&again);
}

static void test_no_file_is_nothing_known(void **state)
{
	struct rig *rig = *state;
	assert_int_equal(agent_log_state_load(rig->path, &rig->state), KW_OK);
	assert_int_equal(rig->state.client.last.size, 0);
}

static void test_a_file_of_another_hub_is_not_taken(void **state)
{
	struct rig *rig = *state;
	struct agent_log_state again;
	fill(rig, "hub-b");
	agent_log_state_init(&again, &rig->hub);
	assert_int_equal(agent_log_state_load(rig->path, &again), KW_EFORMAT);
	assert_int_equal(again.client.last.size, 0);
	assert_true(kw_name_equal(&again.client.last.hub, &rig->hub));
	agent_log_state_fini(&again);
}

static void test_every_cut_file_is_a_new_beginning_or_an_older_one(void **state)
{
	struct rig *rig = *state;
	struct kw_buf whole;
	fill(rig, "hub-a");
	kw_buf_init(&whole, 8192);
	assert_int_equal(kw_file_read(rig->path, KW_FILE_PUBLIC, &whole), KW_OK);
	uint32_t refused = 0;
	for (size_t size = 0; size < whole.size; size++) {
		struct agent_log_state again;
		assert_int_equal(kw_file_write_atomic(rig->path, KW_VIEW(whole.data, size), 0600), KW_OK);
		agent_log_state_init(&again, &rig->hub);
		enum kw_err err = agent_log_state_load(rig->path, &again);
		assert_true(err == KW_OK || err == KW_EFORMAT);
		if (err != KW_OK)
			assert_int_equal(again.client.last.size, 0);
		refused += err != KW_OK;
		agent_log_state_fini(&again);
	}
	assert_true(refused + 6 > whole.size);
	kw_buf_fini(&whole);
}

static struct kw_frame_prove about(uint32_t n)
{
	struct kw_frame_prove prove = {.size_old = 0};
	kw_put_u32(prove.digest.bytes, n);
	return prove;
}

static void test_so_many_callers_wait_and_not_one_more(void **state)
{
	struct agent_log *log = calloc(1, sizeof(*log));
	(void)state;
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++) {
		struct agent_audit_wait *place = agent_audit_place(log, &(struct kw_frame_prove){.size_old = 5});
		const struct kw_frame_prove prove = about(i);
		assert_non_null(place);
		assert_ptr_equal(agent_audit_place(log, &prove), place);
		*place = (struct agent_audit_wait){.used = true, .prove = prove};
		assert_null(agent_audit_place(log, &prove)); /* one waits for it already */
	}
	const struct kw_frame_prove one_more = about(AGENT_AUDIT_CALLS_MAX);
	assert_null(agent_audit_place(log, &one_more));
	log->waiting[3].used = false;
	assert_ptr_equal(agent_audit_place(log, &one_more), &log->waiting[3]);
	free(log);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_it_is_remembered),
		CASE(test_no_file_is_nothing_known),
		CASE(test_a_file_of_another_hub_is_not_taken),
		CASE(test_every_cut_file_is_a_new_beginning_or_an_older_one),
		CASE(test_so_many_callers_wait_and_not_one_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
