#include "agent/shell/spool_read.h"
#include "tests/kit/spool_rig.h"

#include <sys/wait.h>

/* What a spool keeps of messages whatever they say: places, states, receipts, what is put off, and what a kill leaves. */

static struct spool_op *message_op(struct rig *rig, uint8_t n, enum kw_msg_class msg_class)
{
	struct said said = {.n = n, .thread = 200, .sequence = rig->outbox[msg_class] + 1};
	struct spool_op *op = append_op(rig, msg_class, item_of(&said));
	fill_content(op, NULL);
	return op;
}

static void append(struct rig *rig, uint8_t n, enum kw_msg_class msg_class)
{
	run(rig, message_op(rig, n, msg_class));
}

static void receive(struct rig *rig, uint8_t n, uint8_t message, uint64_t sequence)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, sequence, item_of(&(struct said){.n = n}));
	op->u.receive.item.message_id = id(message);
	op->u.receive.item.thread_id = (struct kw_id){{0}};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("their words")), KW_OK);
	run(rig, op);
}

static uint32_t rows(struct rig *rig, enum kw_msg_class msg_class, uint64_t from)
{
	struct spool_rows out = {.count_max = AGT_WINDOW_BOXES};
	assert_int_equal(spool_rows(rig->spool, msg_class, from, &out), KW_OK);
	for (uint32_t i = 0; i < out.count; i++)
		spool_box_unref((struct spool_box *)(uintptr_t)out.rows[i].box);
	return out.count;
}

static uint32_t list(struct rig *rig, enum spool_list which, bool all)
{
	struct spool_query query = {.list = which, .limit = SPOOL_LIST_MAX, .all = all, .content = true};
	uint32_t counts[2] = {0};
	uint64_t next = 1;
	assert_int_equal(spool_list(rig->spool, &query, count_item, counts, &next), KW_OK);
	assert_int_equal(next, 0);
	return counts[0];
}

static void test_spool_append_survives_reopening(void **state)
{
	struct rig *rig = *state;
	struct agt_start start;
	append(rig, 1, KW_NORMAL);
	append(rig, 2, KW_URGENT);
	assert_int_equal(rows(rig, KW_NORMAL, 1), 1);
	assert_int_equal(rows(rig, KW_NORMAL, 2), 0);
	close_spool(rig);
	open_spool(rig);
	spool_recover(rig->spool, &start);
	assert_int_not_equal(start.epoch, 0);
	assert_int_equal(start.lanes[KW_NORMAL].next_sequence, 2);
	assert_int_equal(start.lanes[KW_BULK].next_sequence, 1);
	assert_int_equal(rows(rig, KW_URGENT, 1), 1);
	assert_int_equal(list(rig, SPOOL_LIST_SENT, true), 2);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_QUEUED), 2);

	struct kw_buf content;
	struct spool_item item;
	struct kw_id by_envelope = id(2);
	bool received = true;
	kw_buf_init(&content, 1000);
	assert_int_equal(spool_show(rig->spool, &by_envelope, &item, &received, &content), KW_OK);
	assert_false(received);
	assert_true(kw_view_equal(kw_buf_view(&content), kw_view_str("a secret sentence")));
	kw_buf_fini(&content);
}

static void test_spool_other_key_is_refused(void **state)
{
	struct rig *rig = *state;
	struct spool *spool = NULL;
	close_spool(rig);
	rig->key[0] ^= 1;
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = MAP_SIZE};
	assert_int_equal(spool_open(&options, &rig->loop, &spool), KW_EAUTH);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	options.unsafe_no_sync = true;
	assert_int_equal(spool_open(&options, &rig->loop, &spool), KW_EDENIED);
	assert_null(spool);
}

static void test_spool_has_one_agent(void **state)
{
	struct rig *rig = *state;
	struct spool *second = NULL;
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = MAP_SIZE};
	assert_int_equal(spool_open(&options, &rig->loop, &second), KW_EBUSY);
	assert_null(second);
	close_spool(rig);
	open_spool(rig);
}

static bool file_has(struct rig *rig, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	int fd = open(path, O_RDONLY);
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	char *bytes = malloc((size_t)file.st_size);
	assert_int_equal(read(fd, bytes, (size_t)file.st_size), file.st_size);
	close(fd);
	bool found = memmem(bytes, (size_t)file.st_size, text, strlen(text)) != NULL;
	free(bytes);
	return found;
}

static void test_spool_pages_hold_no_plain_text(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	receive(rig, 50, 51, 1);
	close_spool(rig);
	assert_false(file_has(rig, "secret sentence"));
	assert_false(file_has(rig, "their words"));
	assert_false(file_has(rig, THEM));
	assert_true(file_has(rig, "sealed envelope")); /* so the search does find */
}

static void test_spool_receipt_moves_the_state_and_frees_the_row(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	held_to(rig, KW_NORMAL, 1, NOW + 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_HELD);
	assert_int_equal(sent(rig, 1).held_ms, NOW + 1);
	assert_int_equal(rows(rig, KW_NORMAL, 1), 1); /* kept until the receipt */

	receipt_of(rig, "agency-c", 1, KW_OK, true); /* not from the addressed agency */
	assert_int_equal(sent(rig, 1).state, SPOOL_HELD);
	receipt_of(rig, THEM, 1, KW_OK, true);
	assert_int_equal(sent(rig, 1).state, SPOOL_OPENED);
	assert_int_equal(sent(rig, 1).delivered_ms, NOW + 2);
	assert_int_equal(rig->gone_count, 1);
	assert_int_equal(rig->gone[0].sequence, 1);
	assert_int_equal(rows(rig, KW_NORMAL, 1), 0);
	receipt_of(rig, THEM, 1, KW_OK, true); /* again: nothing */
	assert_int_equal(rig->gone_count, 0);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_OPENED), 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_HELD), 0);
}

static void test_spool_failed_receipt_is_a_dead_letter(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	receipt_of(rig, THEM, 1, KW_EFIELD, false);
	assert_int_equal(sent(rig, 1).state, SPOOL_DEAD);
	assert_int_equal(sent(rig, 1).reason, KW_EFIELD);
	assert_int_equal(list(rig, SPOOL_LIST_DEAD, false), 1);

	struct spool_op *op = spool_op_new(SPOOL_OP_ACK);
	op->u.ack.ids_count = 2;
	op->u.ack.ids = calloc(2, sizeof(struct kw_id));
	op->u.ack.ids[0] = id(101);
	op->u.ack.ids[1] = id(250); /* nobody's */
	run(rig, op);
	assert_int_equal(rig->count, 1);
	assert_int_equal(list(rig, SPOOL_LIST_DEAD, false), 0);
	assert_int_equal(list(rig, SPOOL_LIST_DEAD, true), 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 0);
}

/* How many receipts are due to the other agency; there is no other. */
static uint32_t due_count(struct rig *rig)
{
	struct dues due = dues(rig);
	for (uint32_t i = 0; i < due.count; i++)
		assert_string_equal(due.list[i].agency.text, THEM);
	return due.count;
}

static void test_spool_receives_once(void **state)
{
	struct rig *rig = *state;
	receive(rig, 50, 51, 4);
	assert_false(rig->repeat);
	receive(rig, 50, 51, 5); /* the envelope again */
	assert_true(rig->repeat);
	receive(rig, 60, 51, 6); /* the message in another envelope */
	assert_true(rig->repeat);
	assert_int_equal(list(rig, SPOOL_LIST_INBOX, false), 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REPEATS), 2);
	assert_int_equal(due_count(rig), 3); /* who repeats has no receipt */

	struct agt_start start;
	close_spool(rig);
	open_spool(rig);
	spool_recover(rig->spool, &start);
	assert_int_equal(start.lanes[KW_NORMAL].received.sequence, 6);
	assert_int_equal(start.lanes[KW_NORMAL].received.epoch, 9);
	receive(rig, 50, 51, 7);
	assert_true(rig->repeat);
}

static void test_spool_due_goes_with_the_append(void **state)
{
	struct rig *rig = *state;
	receive(rig, 50, 51, 4);
	struct spool_op *op = message_op(rig, 3, KW_NORMAL);
	op->u.append.fresh = false;
	op->u.append.wants_receipt = false;
	op->u.append.due_count = 1;
	op->u.append.due_keys = calloc(1, sizeof(uint64_t));
	op->u.append.due_keys[0] = 1;
	run(rig, op);
	assert_int_equal(due_count(rig), 0);
	assert_int_equal(list(rig, SPOOL_LIST_SENT, true), 0);
	assert_int_equal(rows(rig, KW_NORMAL, 1), 1);
}

static uint32_t retry_count;
static struct spool_retry last_retry;
static bool on_retry(void *user, const struct spool_retry *retry)
{
	(void)user;
	retry_count++;
	last_retry = *retry;
	spool_box_unref((struct spool_box *)(uintptr_t)retry->row.box);
	return true;
}

static void test_spool_notice_puts_off_or_buries(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	append(rig, 2, KW_NORMAL);
	held_to(rig, KW_NORMAL, 2, NOW + 1);
	notice_at(rig, 1, KW_EFULL, 5000, NOW);
	assert_int_equal(rig->gone_count, 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	retry_count = 0;
	assert_int_equal(spool_retries(rig->spool, NOW + 4999, on_retry, NULL), KW_OK);
	assert_int_equal(retry_count, 0);
	assert_int_equal(spool_retries(rig->spool, NOW + 7500, on_retry, NULL), KW_OK);
	assert_int_equal(retry_count, 1);

	struct spool_op *op = message_op(rig, 1, KW_NORMAL); /* again, with a new place */
	op->u.append.fresh = false;
	op->u.append.retry_ms = last_retry.due_ms;
	op->u.append.retry_number = last_retry.number;
	run(rig, op);
	retry_count = 0;
	assert_int_equal(spool_retries(rig->spool, NOW + 7500, on_retry, NULL), KW_OK);
	assert_int_equal(retry_count, 0);
	assert_int_equal(rows(rig, KW_NORMAL, 3), 1);
	held_to(rig, KW_NORMAL, 3, NOW + 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_HELD);

	notice_at(rig, 2, KW_EOPEN, 0, NOW);
	assert_int_equal(sent(rig, 2).state, SPOOL_DEAD);
	assert_int_equal(sent(rig, 2).reason, KW_EOPEN);
	notice_at(rig, 77, KW_EOPEN, 0, NOW); /* about nothing of ours */
}

/* When the row that was put off comes back; exactly one must be there. */
static int64_t back_at(struct rig *rig)
{
	retry_count = 0;
	assert_int_equal(spool_retries(rig->spool, NOW + 30ull * HOUR, on_retry, NULL), KW_OK);
	assert_int_equal(retry_count, 1);
	return (int64_t)last_retry.due_ms;
}

static void put_off_at(struct rig *rig, enum kw_msg_class msg_class, int64_t age_ms, int64_t wait_ms)
{
	append(rig, 1, msg_class);
	held_to(rig, msg_class, 1, NOW + 1);
	notice_at(rig, 1, KW_EFULL, 60000, NOW + age_ms);
	int64_t due = back_at(rig);
	assert_true(due >= NOW + age_ms + wait_ms && due <= NOW + age_ms + wait_ms * 3 / 2);
}

static void test_spool_put_off_again_waits_longer(void **state)
{
	put_off_at(*state, KW_NORMAL, 10 * 60000, 150000);
}

static void test_spool_put_off_for_days_is_tried_each_hour(void **state)
{
	put_off_at(*state, KW_NORMAL, 20 * HOUR, HOUR);
}

static void test_spool_put_off_urgent_is_tried_soon(void **state)
{
	put_off_at(*state, KW_URGENT, 20 * HOUR, 300000);
}

static void test_spool_expired_is_buried_and_digests_are_forgotten(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	append(rig, 2, KW_BULK);
	receive(rig, 50, 51, 4);
	sweep(rig, NOW);
	assert_int_equal(rig->gone_count, 0);
	sweep(rig, NOW + (int64_t)25 * HOUR);
	assert_int_equal(rig->gone_count, 2);
	assert_int_equal(sent(rig, 1).reason, KW_EEXPIRED);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DEAD), 2);
	receive(rig, 50, 99, 5); /* still remembered */
	assert_true(rig->repeat);
	sweep(rig, NOW + (int64_t)73 * HOUR);
	receive(rig, 50, 99, 6);
	assert_false(rig->repeat);
}

static void test_spool_new_epochs_unhold(void **state)
{
	struct rig *rig = *state;
	struct agt_start start;
	struct spool_op *op = spool_op_new(SPOOL_OP_EPOCH);
	op->u.epoch = 5;
	run(rig, op);
	append(rig, 1, KW_NORMAL);
	held_to(rig, KW_NORMAL, 1, NOW + 1);
	op = spool_op_new(SPOOL_OP_EPOCH);
	op->u.epoch = 6;
	run(rig, op);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	close_spool(rig);
	open_spool(rig);
	spool_recover(rig->spool, &start);
	assert_int_equal(start.hub_epoch, 6);
	assert_int_equal(start.lanes[KW_NORMAL].held_sequence, 0);

	uint64_t epoch = start.epoch;
	close_spool(rig);
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = MAP_SIZE, .new_epoch = true};
	assert_int_equal(spool_open(&options, &rig->loop, &rig->spool), KW_OK);
	spool_recover(rig->spool, &start);
	assert_int_not_equal(start.epoch, epoch);
	assert_int_equal(start.lanes[KW_NORMAL].next_sequence, 2);
}

static void enrol_record(struct rig *rig, const char *local_id, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_REGISTER);
	memcpy(op->u.registration.local_id, local_id, strlen(local_id));
	op->u.registration.local_id_size = strlen(local_id);
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	run(rig, op);
}

static void test_spool_registers_once(void **state)
{
	struct rig *rig = *state;
	enrol_record(rig, "A1", "one");
	assert_false(rig->repeat);
	enrol_record(rig, "A1", "one");
	assert_true(rig->repeat);
	enrol_record(rig, "A1", "changed");
	assert_false(rig->repeat);
	enrol_record(rig, "A2", "one");
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REGISTRATIONS), 2);
}

static void test_spool_damaged_row_is_skipped_and_counted(void **state)
{
	struct rig *rig = *state;
	append(rig, 1, KW_NORMAL);
	append(rig, 2, KW_NORMAL);
	close_spool(rig);
	/* Flip the first envelope's last bytes wherever they lie. */
	char path[128];
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	int fd = open(path, O_RDWR);
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	char *bytes = malloc((size_t)file.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)file.st_size, 0), file.st_size);
	uint8_t wanted[KW_ID_SIZE];
	memset(wanted, 1, sizeof(wanted));
	uint32_t flipped = 0;
	for (off_t i = 0; i + 64 < file.st_size; i++) {
		if (memcmp(bytes + i, "sealed envelope", 15) == 0 && memcmp(bytes + i - 21, wanted, 16) == 0) {
			assert_int_equal(pwrite(fd, "S", 1, i), 1);
			flipped++;
		}
	}
	free(bytes);
	close(fd);
	assert_true(flipped > 0);
	open_spool(rig);
	assert_int_equal(rows(rig, KW_NORMAL, 1), 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DAMAGED), 1);
	held_to(rig, KW_NORMAL, 2, NOW + 1);
	assert_int_equal(sent(rig, 2).state, SPOOL_HELD);
}

static void test_spool_truncated_file_is_refused(void **state)
{
	struct rig *rig = *state;
	char path[128];
	append(rig, 1, KW_NORMAL);
	close_spool(rig);
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	assert_int_equal(truncate(path, 16384), 0);
	assert_int_equal(try_open_spool(rig, MAP_SIZE), KW_ECORRUPT);
	rig->spool = NULL;
	uv_run(&rig->loop, UV_RUN_DEFAULT);
}

/* The child appends and writes each number to a pipe once it is durable, until it is killed. */
static void child(struct rig *rig, int pipe_fd)
{
	struct agt_start start;
	uv_loop_init(&rig->loop);
	if (try_open_spool(rig, MAP_SIZE) != KW_OK)
		_exit(1);
	spool_recover(rig->spool, &start);
	rig->outbox[KW_NORMAL] = start.lanes[KW_NORMAL].next_sequence - 1;
	for (;;) {
		struct spool_op *op = message_op(rig, 1, KW_NORMAL);
		kw_put_u64(op->u.append.item.message_id.bytes, rig->outbox[KW_NORMAL]);
		kw_put_u64(op->u.append.envelope_id.bytes, rig->outbox[KW_NORMAL]);
		if (try_run(rig, op) != KW_OK || write(pipe_fd, &rig->outbox[KW_NORMAL], 8) != 8)
			_exit(1);
	}
}

static void test_spool_loses_nothing_acked_when_killed(void **state)
{
	struct rig *rig = *state;
	uint64_t acked = 0;
	close_spool(rig);
	for (int round = 0; round < 10; round++) {
		int fds[2];
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		if (pid == 0)
			child(rig, fds[1]);
		close(fds[1]);
		uint64_t got;
		for (int i = 0; i < 5 + round && read(fds[0], &got, 8) == 8; i++)
			acked = got;
		usleep((useconds_t)(round * 700));
		kill(pid, SIGKILL);
		while (read(fds[0], &got, 8) == 8)
			acked = got;
		close(fds[0]);
		int status;
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));

		open_spool(rig);
		struct agt_start start;
		spool_recover(rig->spool, &start);
		assert_true(start.lanes[KW_NORMAL].next_sequence > acked);
		struct spool_rows last = {.count_max = 1};
		assert_int_equal(spool_rows(rig->spool, KW_NORMAL, acked, &last), KW_OK);
		assert_int_equal(last.count, 1);
		assert_int_equal(last.rows[0].sequence, acked);
		spool_box_unref((struct spool_box *)(uintptr_t)last.rows[0].box);
		assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_QUEUED), start.lanes[KW_NORMAL].next_sequence - 1);
		close_spool(rig);
	}
	assert_true(acked > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_spool_append_survives_reopening),
		SPOOL_CASE(test_spool_other_key_is_refused),
		SPOOL_CASE(test_spool_has_one_agent),
		SPOOL_CASE(test_spool_pages_hold_no_plain_text),
		SPOOL_CASE(test_spool_receipt_moves_the_state_and_frees_the_row),
		SPOOL_CASE(test_spool_failed_receipt_is_a_dead_letter),
		SPOOL_CASE(test_spool_receives_once),
		SPOOL_CASE(test_spool_due_goes_with_the_append),
		SPOOL_CASE(test_spool_notice_puts_off_or_buries),
		SPOOL_CASE(test_spool_put_off_again_waits_longer),
		SPOOL_CASE(test_spool_put_off_for_days_is_tried_each_hour),
		SPOOL_CASE(test_spool_put_off_urgent_is_tried_soon),
		SPOOL_CASE(test_spool_expired_is_buried_and_digests_are_forgotten),
		SPOOL_CASE(test_spool_new_epochs_unhold),
		SPOOL_CASE(test_spool_registers_once),
		SPOOL_CASE(test_spool_damaged_row_is_skipped_and_counted),
		SPOOL_CASE(test_spool_truncated_file_is_refused),
		SPOOL_CASE(test_spool_loses_nothing_acked_when_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
