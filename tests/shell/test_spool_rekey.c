#include "tests/kit/spool_rig.h"

#include <signal.h>
#include <sys/wait.h>

#include "agent/shell/letter.h"
#include "agent/shell/spool_rekey.h"

/* A message whose key is gone at the other side is sealed once more, once, and whatever a crash leaves. */

static struct keys our_keys;

static int setup_keys(void **state)
{
	(void)state;
	return keys_generate(&our_keys) == KW_OK ? 0 : -1;
}

/* A whole envelope to agency-b: what is in the outbox is read again. */
static struct spool_box *envelope(void)
{
	struct letter_sealed sealed;
	struct kw_directory_entry entry = {.agency = name(THEM), .sealing_keys_count = 1};
	memcpy(entry.sealing_keys[0].public_key, our_keys.sealing.public_key, KW_KEY_SIZE);
	memcpy(entry.sealing_keys[0].key_id, our_keys.sealing_id, KEYS_ID_SIZE);
	entry.sealing_keys[0].suites[0] = KW_SUITE_AES;
	entry.sealing_keys[0].suites_count = 1;
	struct kw_directory directory = {.hub = name("hub-0"), .version = 1, .entries = &entry, .count = 1};
	const struct letter_office office = {
		.keys = &our_keys, .agency = name("agency-a"), .hub = name("hub-0"), .directory = &directory};
	const struct letter letter = {.to = name(THEM),
		.msg_class = KW_NORMAL,
		.expiry_hour = NOW / HOUR + 24,
		.content_type = 1,
		.thread_id = id(200),
		.now_ms = NOW,
		.content = kw_view_str("a secret sentence")};
	assert_int_equal(letter_seal(&office, &letter, &sealed), KW_OK);
	return sealed.box;
}

static struct spool_op *send_op(struct rig *rig, uint8_t n)
{
	struct said said = OPENS(.n = n, .thread = n, .sequence = 1);
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	spool_box_unref(op->box);
	op->box = envelope();
	op->u.append.act = act_from(&said);
	assert_int_equal(kw_buf_add(&op->box->tracks, kw_view_str("tracks")), KW_OK);
	fill_content(op, NULL);
	return op;
}

struct seen {
	uint32_t count;
	struct spool_rekey last;
	char content[64];
	char tracks[64];
};

static bool gather(void *user, const struct spool_rekey *rekey)
{
	struct seen *seen = user;
	seen->count++;
	seen->last = *rekey;
	(void)snprintf(seen->content, sizeof(seen->content), "%.*s", (int)rekey->content.size, (const char *)rekey->content.data);
	(void)snprintf(seen->tracks, sizeof(seen->tracks), "%.*s", (int)rekey->tracks.size, (const char *)rekey->tracks.data);
	return true;
}

static struct seen waiting_rekeys(struct rig *rig)
{
	struct seen seen = {.count = 0};
	assert_int_equal(spool_rekeys(rig->spool, gather, &seen), KW_OK);
	return seen;
}

static uint32_t rows_out(struct rig *rig)
{
	static struct spool_rows rows;
	rows.count_max = AGT_WINDOW_BOXES;
	assert_int_equal(spool_rows(rig->spool, KW_NORMAL, 0, &rows), KW_OK);
	for (uint32_t i = 0; i < rows.count; i++)
		spool_box_unref((struct spool_box *)(uintptr_t)rows.rows[i].box);
	return rows.count;
}

/* The agent has sealed it again: message n in envelope `fresh`. */
static struct spool_op *again_op(struct rig *rig, uint64_t number, uint8_t fresh)
{
	struct spool_op *op = append_op(rig, KW_NORMAL, (struct spool_item){.envelope_id = id(fresh), .at_ms = NOW + 9});
	spool_box_unref(op->box);
	op->box = envelope();
	op->u.append.fresh = false;
	op->u.append.rekey = true;
	op->u.append.rekey_digest = digest(fresh);
	op->u.append.retry_number = number;
	op->u.append.item = (struct spool_item){.number = 0};
	assert_int_equal(kw_buf_add(&op->box->tracks, kw_view_str("tracks")), KW_OK);
	return op;
}

static void test_a_gone_key_puts_the_message_among_those_to_be_sealed_again(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	held(rig);
	notice(rig, 1, KW_EKEYGONE, 0);
	assert_int_equal(rig->gone_count, 1);
	assert_int_equal(rows_out(rig), 0);
	struct spool_item item = sent(rig, 1);
	assert_int_equal(item.state, SPOOL_QUEUED);
	assert_true(item.rekeyed);
	close_spool(rig);
	open_spool(rig);
	struct seen seen = waiting_rekeys(rig);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.content, "a secret sentence");
	assert_string_equal(seen.tracks, "tracks");
	assert_int_equal(seen.last.item.number, item.number);
	assert_int_equal(seen.last.msg_class, KW_NORMAL);
	assert_int_equal(seen.last.expiry_hour, NOW / HOUR + 24);
	assert_true(kw_view_equal(kw_key_id_view(&seen.last.key_id), KW_VIEW_OF(our_keys.sealing_id)));
	/* The same word again changes nothing. */
	notice(rig, 1, KW_EKEYGONE, 0);
	assert_int_equal(waiting_rekeys(rig).count, 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_QUEUED), 1);
}

static void test_sealed_again_it_is_delivered_under_its_new_envelope(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	held(rig);
	notice(rig, 1, KW_EKEYGONE, 0);
	run(rig, again_op(rig, sent(rig, 1).number, 77));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	assert_int_equal(rows_out(rig), 1);
	assert_memory_equal(sent(rig, 1).digest.bytes, digest(77).bytes, KW_DIGEST_SIZE);
	receipt(rig, 1, KW_OK, true); /* of the envelope that nobody opened */
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	held(rig);
	assert_int_equal(sent(rig, 1).state, SPOOL_HELD);
	receipt(rig, 77, KW_OK, true);
	assert_int_equal(sent(rig, 1).state, SPOOL_OPENED);
	assert_int_equal(rows_out(rig), 0);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
}

static void test_the_second_time_it_is_a_dead_letter(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	held(rig);
	notice(rig, 1, KW_EKEYGONE, 0);
	run(rig, again_op(rig, sent(rig, 1).number, 77));
	close_spool(rig); /* the mark is on disk */
	open_spool(rig);
	notice(rig, 77, KW_EKEYGONE, 0);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	struct spool_item item = sent(rig, 1);
	assert_int_equal(item.state, SPOOL_DEAD);
	assert_int_equal(item.reason, KW_EKEYGONE);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 1);
	assert_int_equal(rows_out(rig), 0);
}

static void test_any_other_refusal_is_final_at_once(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	notice(rig, 1, KW_EOPEN, 0);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	assert_int_equal(sent(rig, 1).state, SPOOL_DEAD);
	assert_false(sent(rig, 1).rekeyed);
}

static void test_what_has_arrived_is_not_sealed_again(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	receipt(rig, 1, KW_OK, false); /* R1; a second copy fails later */
	notice(rig, 1, KW_EKEYGONE, 0);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	assert_int_equal(sent(rig, 1).state, SPOOL_DELIVERED);
}

/* The hub has put it off, which a hub that lost its memory may do with one that it had delivered before: it leaves again, and is not
 * sealed beside that. */
static void test_what_is_put_off_leaves_as_it_is(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	notice(rig, 1, KW_EFULL, 1000);
	assert_int_equal(rows_out(rig), 0);
	notice(rig, 1, KW_EKEYGONE, 0);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	assert_false(sent(rig, 1).rekeyed);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
}

static void test_what_cannot_be_sealed_again_is_a_dead_letter(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 1));
	notice(rig, 1, KW_EKEYGONE, 0);
	uint64_t number = sent(rig, 1).number;
	for (int again = 0; again < 2; again++) {
		struct spool_op *op = spool_op_new(SPOOL_OP_UNREKEY);
		op->u.unrekey.number = number;
		op->u.unrekey.now_ms = NOW + 9;
		run(rig, op);
		assert_int_equal(waiting_rekeys(rig).count, 0);
		assert_int_equal(sent(rig, 1).state, SPOOL_DEAD);
		assert_int_equal(sent(rig, 1).reason, KW_EKEYGONE);
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 1);
	}
	/* One that was sealed meanwhile does not leave after all. */
	run(rig, again_op(rig, number, 77));
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(rig->gone_count, 1);
	assert_int_equal(rows_out(rig), 0);
}

static void test_erased_meanwhile_it_does_not_leave(void **state)
{
	struct rig *rig = *state;
	run(rig, send_op(rig, 200));
	notice(rig, 200, KW_EKEYGONE, 0);
	uint64_t number = sent(rig, 200).number;
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	op->u.withdraw.by_thread = true;
	op->u.withdraw.thread_id = id(200);
	op->u.withdraw.erasure = calloc(1, sizeof(*op->u.withdraw.erasure));
	op->u.withdraw.erasure->action = SPOOL_ERASE_ACTION;
	op->u.withdraw.erasure->reason = 1;
	op->u.withdraw.erasure->purposes = 2;
	op->u.withdraw.erasure->from = 1;
	op->u.withdraw.erasure->asked_ms = NOW;
	run(rig, op);
	assert_int_equal(rig->count, 1);
	struct seen seen = waiting_rekeys(rig);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.content, ""); /* the agent sees that, too */
	run(rig, again_op(rig, number, 77));
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(rows_out(rig), 0);
	assert_int_equal(waiting_rekeys(rig).count, 0);
	assert_int_equal(sent(rig, 200).state, SPOOL_DEAD);
}

/* A child notes and seals again, message after message, until it is killed at some moment: then each message stands in the outbox
 * or waits to be sealed again, never both, never neither, and none was sealed twice. */
static void test_kill_9_leaves_each_message_in_one_place(void **state)
{
	struct rig *rig = *state;
	const uint8_t count = 60;
	for (uint8_t n = 1; n <= count; n++)
		run(rig, send_op(rig, n));
	for (uint32_t round = 0; round < 6; round++) {
		close_spool(rig);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			if (try_open_spool(rig, MAP_SIZE) != KW_OK)
				_exit(1);
			for (uint8_t n = 1; n <= count; n++) {
				struct kw_id message = id((uint8_t)(n + 100));
				struct kw_name agency = name(THEM);
				struct spool_item item;
				struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
				op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = n};
				op->u.notice.notice = (struct kw_frame_notice){.envelope_id = id(n), .reason = KW_EKEYGONE};
				op->u.notice.now_ms = NOW;
				if (try_run(rig, op) != KW_OK || spool_find_sent(rig->spool, &message, &agency, &item) != KW_OK)
					_exit(1);
				if (item.rekeyed && kw_id_equal(&item.envelope_id, &(struct kw_id){.bytes = {0}}))
					_exit(1);
				if (memcmp(item.digest.bytes, digest(n).bytes, KW_DIGEST_SIZE) == 0 &&
					try_run(rig, again_op(rig, item.number, (uint8_t)(n + 150))) != KW_OK)
					_exit(1);
			}
			_exit(0);
		}
		usleep(15000 + 9000 * round);
		(void)kill(child, SIGKILL);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) != 0);
		open_spool(rig);
		struct agt_start start;
		spool_recover(rig->spool, &start);
		rig->outbox[KW_NORMAL] = start.lanes[KW_NORMAL].next_sequence - 1;
		assert_int_equal(rows_out(rig) + waiting_rekeys(rig).count, count);
		for (uint8_t n = 1; n <= count; n++) {
			struct spool_item item = sent(rig, n);
			bool old = memcmp(item.digest.bytes, digest(n).bytes, KW_DIGEST_SIZE) == 0;
			assert_true(old || (item.rekeyed && item.digest.bytes[0] == (uint8_t)(n + 150)));
			assert_int_equal(item.state, SPOOL_QUEUED);
		}
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_gone_key_puts_the_message_among_those_to_be_sealed_again),
		T(test_sealed_again_it_is_delivered_under_its_new_envelope),
		T(test_the_second_time_it_is_a_dead_letter),
		T(test_any_other_refusal_is_final_at_once),
		T(test_what_has_arrived_is_not_sealed_again),
		T(test_what_is_put_off_leaves_as_it_is),
		T(test_what_cannot_be_sealed_again_is_a_dead_letter),
		T(test_erased_meanwhile_it_does_not_leave),
		T(test_kill_9_leaves_each_message_in_one_place),
	};
	return cmocka_run_group_tests(tests, setup_keys, NULL);
}
