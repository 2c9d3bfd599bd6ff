#include "agent/shell/spool_read.h"
#include "tests/kit/spool_rig.h"

#include <lmdb.h>

#include "proto/wire/crypt.h"

/* A spool of schema 1, which knew messages and no threads, gets its threads when it is opened. */

static const char REFERRAL_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralRequest\":{\"caseRef\":\"K-1\","
	"\"service\":\"SERVICE_TYPE_SHELTER\",\"risk\":\"RISK_LOW\",\"reason\":\"Fever.\",\"children\":[{\"code\":\"K\",\"age\":"
	"{\"years\":9,\"asOf\":{\"year\":2023,\"month\":9,\"day\":21}},\"sex\":\"SEX_FEMALE\"}],\"referrer\":{\"name\":\"Sara\"},"
	"\"consent\":{\"services\":\"CONSENT_ANSWER_GIVEN\",\"shareOtherOrgs\":\"CONSENT_ANSWER_GIVEN\",\"obtainedFrom\":"
	"\"CONSENT_SOURCE_CAREGIVER\"}}}";
static const char ACCEPTED_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralEvent\":{\"state\":"
	"\"REFERRAL_STATE_ACCEPTED\",\"atUnixMs\":\"1700000000000\"}}";
static const char ACKNOWLEDGED_JSON[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralEvent\":{\"state\":"
	"\"REFERRAL_STATE_ACKNOWLEDGED\",\"atUnixMs\":\"1700000000000\"}}";

/* Takes from the closed spool what schema 1 did not have, and says that it is one. */
static void make_old(struct rig *rig)
{
	static const char *const fresh[] = {"threads", "threadno", "open", "threadlog", "early", "tracks", "follow"};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	MDB_val key = {.mv_size = 5, .mv_data = (void *)(uintptr_t) "state"};
	MDB_val value;
	uint8_t row[4096];
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++) {
		MDB_dbi table;
		assert_int_equal(mdb_dbi_open(txn, fresh[i], 0, &table), 0);
		assert_int_equal(mdb_drop(txn, table, 1), 0);
	}
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
	assert_true(value.mv_size < sizeof(row) && value.mv_size > 5 + 8 + 16);
	size_t size = value.mv_size - 16; /* two numbers fewer */
	memcpy(row, value.mv_data, size);
	kw_put_u64(row + 5, 1);
	uint8_t table = 0;
	uint32_t crc = kw_crc32c(0, &table, 1);
	crc = kw_crc32c(crc, "state", 5);
	kw_put_u32(row, kw_crc32c(crc, row + 4, size - 4));
	value = (MDB_val){.mv_size = size, .mv_data = row};
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_spool_of_schema_1_gets_its_threads(void **state)
{
	struct rig *rig = *state;
	ours(rig, (struct said){.n = 1, .thread = 200, .sequence = 1, .json = REFERRAL_JSON});
	receipt(rig, 1, KW_OK, true);
	theirs(rig, (struct said){.n = 52, .thread = 200, .sequence = 2, .now_ms = NOW + 1, .json = ACCEPTED_JSON});
	theirs(rig, (struct said){.n = 51, .thread = 200, .sequence = 1, .now_ms = NOW + 2, .json = ACKNOWLEDGED_JSON});
	theirs(rig, (struct said){.n = 53, .thread = 201, .sequence = 1, .now_ms = NOW + 3, .json = REFERRAL_JSON});
	ours(rig, (struct said){.n = 2, .thread = 202, .sequence = 1, .json = REFERRAL_JSON});
	notice(rig, 2, KW_ENOAGENCY, 0);
	close_spool(rig);
	make_old(rig);
	open_spool(rig);
	struct spool_thread one = thread(rig, 200);
	assert_int_equal(one.record.state, KW_REFERRAL_ACCEPTED);
	assert_int_equal(one.record.next, 2);
	assert_int_equal(one.record.expected, 3);
	assert_int_equal(one.record.risk, KW_RISK_LOW);
	assert_string_equal(one.case_ref, "K-1");
	assert_int_equal(thread(rig, 201).record.state, KW_REFERRAL_DELIVERED);
	assert_int_equal(thread(rig, 202).record.state, KW_REFERRAL_UNDELIVERABLE);
	assert_int_equal(list_threads(rig, (struct spool_thread_query){0}, &(uint64_t){0}), 123);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), 2);
	assert_int_equal(dues(rig).count, 3); /* nobody is told anything of the past */
	ours(rig, MOVES(CANCEL_REQUESTED, .n = 3, .sequence = 2));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	close_spool(rig);
	open_spool(rig); /* and only once */
	assert_int_equal(state_of(rig), KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(steps(rig).count, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_spool_of_schema_1_gets_its_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
