#include "agent/shell/spool_consent.h"
#include "tests/kit/spool_rig.h"

/* Consent withdrawn for some purposes: which threads end by it, and what stands in those that go on. */

#define CASE "K-17-pseudonym"
#define SERVICES 1u
#define SHARING 2u
#define TRACING 4u
#define PHOTO 32u

static struct spool_erasure *question(uint8_t purposes, uint8_t action)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(200), .action = action, .reason = 1, .from = 1, .purposes = purposes,
		.asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static void withdraw(struct rig *rig, uint8_t purposes, uint8_t action)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), CASE);
	op->u.withdraw.erasure = question(purposes, action);
	run(rig, op);
}

/* Their ConsentUpdate. */
static void restricts(struct rig *rig, uint8_t n, uint8_t purposes)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = n, .thread = 200}));
	op->u.receive.erasure = question(purposes, SPOOL_RESTRICT_ACTION);
	fill_content(op, NULL);
	run(rig, op);
}

static struct spool_erasure row(struct rig *rig, uint8_t thread)
{
	struct kw_id thread_id = id(thread);
	struct kw_name agency = name(THEM);
	struct spool_erasure out;
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &agency, &out), KW_OK);
	return out;
}

struct said_by_itself {
	uint32_t states, updates, erases, acks;
};

static bool count(void *user, const struct spool_follow *follow)
{
	struct said_by_itself *out = user;
	out->states += follow->what == SPOOL_FOLLOW_STATE;
	out->updates += follow->what == SPOOL_FOLLOW_CONSENT;
	out->erases += follow->what == SPOOL_FOLLOW_ERASE;
	out->acks += follow->what == SPOOL_FOLLOW_ACK;
	return true;
}

static struct said_by_itself says(struct rig *rig)
{
	struct said_by_itself out = {0};
	assert_int_equal(spool_follows(rig->spool, 0, count, &out), KW_OK);
	return out;
}

static void refer(struct rig *rig)
{
	ours(rig, OPENS(.n = 1));
	theirs(rig, MOVES(ACKNOWLEDGED, .n = 2, .sequence = 1));
	theirs(rig, MOVES(ACCEPTED, .n = 3, .sequence = 2));
	theirs(rig, MOVES(IN_PROGRESS, .n = 4, .sequence = 3));
}

static void test_a_photo_does_not_end_a_service(void **state)
{
	struct rig *rig = *state;
	refer(rig);
	withdraw(rig, PHOTO, 0);
	assert_int_equal(rig->count, 1);
	struct said_by_itself said = says(rig);
	assert_true(said.updates == 1 && said.states == 0 && said.erases == 0);
	struct spool_erasure about = row(rig, 200);
	assert_true(about.limited && about.action == SPOOL_RESTRICT_ACTION && about.purposes == PHOTO);
	assert_int_equal(state_of(rig), KW_REFERRAL_IN_PROGRESS);
	struct spool_thread one = thread(rig, 200);
	assert_string_equal(one.case_ref, CASE); /* nothing is erased */
	theirs(rig, MOVES(COMPLETED, .n = 5, .sequence = 4)); /* and it goes on */
	assert_int_equal(says(rig).states, 0);
	close_spool(rig);
	open_spool(rig);
	about = row(rig, 200);
	assert_true(about.limited && about.purposes == PHOTO); /* as the disk has it */
}

static void test_a_photo_ends_it_when_erasure_is_asked_for(void **state)
{
	struct rig *rig = *state;
	refer(rig);
	withdraw(rig, PHOTO, SPOOL_ERASE_ACTION);
	struct said_by_itself said = says(rig);
	assert_true(said.states == 1 && said.updates == 1 && said.erases == 1);
}

static void test_the_service_ends_it(void **state)
{
	struct rig *rig = *state;
	refer(rig);
	withdraw(rig, SERVICES | PHOTO, 0);
	struct said_by_itself said = says(rig);
	assert_true(said.states == 1 && said.updates == 1 && said.erases == 1);
	assert_false(row(rig, 200).limited);
}

static void test_a_restriction_of_what_it_needs_ends_it_and_erases_nothing(void **state)
{
	struct rig *rig = *state;
	refer(rig);
	withdraw(rig, SHARING, SPOOL_RESTRICT_ACTION);
	struct said_by_itself said = says(rig);
	assert_true(said.states == 1 && said.updates == 1 && said.erases == 0);
	assert_false(row(rig, 200).limited);
}

static void test_of_one_case_each_kind_ends_with_its_own(void **state)
{
	struct rig *rig = *state;
	refer(rig);
	ours(rig, OPENS(.n = 10, .thread = 201, .kind = KW_THREAD_TRACING, .state = KW_TRACING_REGISTERED));
	withdraw(rig, TRACING, 0);
	assert_int_equal(rig->count, 2);
	assert_true(row(rig, 200).limited);
	assert_false(row(rig, 201).limited);
	assert_int_equal(row(rig, 201).action, SPOOL_ERASE_ACTION);
	struct said_by_itself said = says(rig);
	assert_true(said.states == 1 && said.updates == 2 && said.erases == 1);
}

static bool shows(struct rig *rig)
{
	struct kw_id message = id(101);
	struct spool_item item;
	struct kw_buf content;
	bool received = false;
	kw_buf_init(&content, 4096);
	assert_int_equal(spool_show(rig->spool, &message, &item, &received, &content), KW_OK);
	bool has = content.size > 0;
	kw_buf_fini(&content);
	return has;
}

static void test_a_holder_goes_on_and_still_reads_it(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	restricts(rig, 20, PHOTO);
	assert_int_equal(says(rig).acks, 1);
	assert_true(row(rig, 200).limited && shows(rig));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 3, .sequence = 1));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	restricts(rig, 21, SHARING); /* now the whole */
	assert_false(row(rig, 200).limited);
	assert_false(shows(rig));
}

/* To whom a holder passed the case on hears of the purpose from it. */
static void test_a_purpose_reaches_those_to_whom_it_was_passed_on(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	ours_from(rig, 200, OPENS(.n = 2, .thread = 201, .agency = "agency-c"));
	restricts(rig, 20, PHOTO);
	struct said_by_itself said = says(rig);
	assert_true(said.updates == 1 && said.acks == 1 && said.states == 0 && said.erases == 0);
	struct kw_id thread_id = id(201);
	struct kw_name agency = name("agency-c");
	struct spool_erasure out;
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &agency, &out), KW_OK);
	assert_true(out.passed_on && out.limited && out.purposes == PHOTO && out.role == SPOOL_ERASURE_AUTHOR);
	assert_int_equal(row(rig, 200).passed_count, 1); /* the answer names it */
	restricts(rig, 21, PHOTO); /* asked again, it asks nobody again */
	assert_int_equal(says(rig).updates, 1);
	restricts(rig, 22, SHARING);
	assert_int_equal(says(rig).updates, 2);
	assert_int_equal(spool_erasure(rig->spool, &thread_id, &agency, &out), KW_OK);
	assert_true(!out.limited && out.action == SPOOL_RESTRICT_ACTION);
	assert_int_equal(says(rig).states, 1); /* which cannot go on */
}

/* An Erase that restricts does not say for what: it is about the whole. */
static void test_a_restriction_without_purposes_is_about_the_whole(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1));
	restricts(rig, 20, 0);
	assert_false(row(rig, 200).limited);
	assert_false(shows(rig));
}

static void test_of_a_case_that_is_not_here_nothing_is_used(void **state)
{
	struct rig *rig = *state;
	restricts(rig, 20, PHOTO);
	assert_false(row(rig, 200).limited);
}

/* A new owner knows the case by its own pseudonym; by that it withdraws too. */
static void test_the_new_owners_pseudonym_names_the_case_as_well(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_OFFERED));
	ours(rig, SAYS(TRANSFER, ACKNOWLEDGED, .n = 2, .sequence = 1));
	struct said said = SAYS(TRANSFER, ACCEPTED, .n = 3, .sequence = 2);
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = act_from(&said);
	snprintf(op->u.append.act.alias, sizeof(op->u.append.act.alias), "J-3");
	fill_content(op, NULL);
	run(rig, op);
	op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "J-3");
	op->u.withdraw.erasure = question(SHARING, 0);
	run(rig, op);
	assert_int_equal(rig->count, 1);
	assert_int_equal(row(rig, 200).action, SPOOL_ERASE_ACTION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_photo_does_not_end_a_service, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_photo_ends_it_when_erasure_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_service_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_restriction_of_what_it_needs_ends_it_and_erases_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_one_case_each_kind_ends_with_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_holder_goes_on_and_still_reads_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_new_owners_pseudonym_names_the_case_as_well, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_purpose_reaches_those_to_whom_it_was_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_restriction_without_purposes_is_about_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_a_case_that_is_not_here_nothing_is_used, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
