/* A hub with its real store and a clock of ours: what it watches, through kills, restarts and jumps of the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "broker/shell/hub_inner.h"
#include "proto/wire/frame_blob.h"
#include "tests/kit/folder.h"
#include "tests/kit/sealing.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define START (480000 * HOUR)
#define LIMIT (15 * INT64_C(60000)) /* delivered, high */
#define CONNS 3u                    /* agency "a", "b" and the coordinator "c", by connection */
#define SAID_MAX 4096u

struct rig {
	char dir[64];
	char path[80];
	uv_loop_t loop;
	uv_timer_t alive;
	struct hub *hub;
	int64_t wall_ms;
	int64_t mono_ms;
	struct kw_buf out[CONNS];
	uint32_t threads_open_max; /* 0: the default */
	uint64_t sent; /* sequence of a's last message */
	enum kw_err fatal;
	struct kw_frame_reminder said[CONNS][SAID_MAX];
	uint32_t said_count[CONNS];
	uint32_t notices[CONNS];
	struct kit_sealing kit;
};

static struct kw_name name_of(uint32_t conn)
{
	struct kw_name name = {.text = {(char)('a' + (char)conn)}};
	return name;
}

static struct kw_buf *on_out(void *user, uint32_t conn)
{
	return &((struct rig *)user)->out[conn];
}

static void on_ready(void *user, uint32_t conn)
{
	(void)user;
	(void)conn;
}

static void on_close(void *user, uint32_t conn, enum kw_err err)
{
	(void)user;
	print_message("connection %u is closed: %s\n", conn, kw_err_name(err));
}

static void on_fatal(void *user, enum kw_err err)
{
	((struct rig *)user)->fatal = err;
}

static void on_clock(void *user, int64_t *wall_ms, int64_t *mono_ms)
{
	struct rig *rig = user;
	*wall_ms = rig->wall_ms;
	*mono_ms = rig->mono_ms;
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static void hello(struct rig *rig, uint32_t conn)
{
	struct kw_name name = name_of(conn);
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 70 + conn};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		hello.credits[c] = (struct kw_credit){.messages = 100000, .bytes = 1 << 30};
	hub_hello(rig->hub, conn, &name, &hello);
}

static size_t on_pending(void *user, uint32_t conn)
{
	(void)user;
	(void)conn;
	return 0;
}

static void open_hub(struct rig *rig)
{
	struct hub_options options = {.limits = BRK_LIMITS_DEFAULT, .name = {"hub-0"}, .clock = on_clock, .clock_user = rig};
	options.store = (struct store_options){.path = rig->path, .map_size = 64u << 20};
	options.limits.conns_max = CONNS;
	options.limits.out_bytes_max = 1u << 30;
	options.limits.coordinator = name_of(2);
	if (rig->threads_open_max != 0)
		options.limits.threads_open_max = rig->threads_open_max;
	char blobs[sizeof(rig->dir) + 8];
	(void)snprintf(blobs, sizeof(blobs), "%s/blobs", rig->dir);
	options.blob_folder = blobs;
	options.blob_limits = HUB_BLOB_LIMITS_DEFAULT;
	const struct hub_wire wire = {.user = rig, .out = on_out, .ready = on_ready, .close = on_close,
		.fatal = on_fatal, .pending = on_pending};
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(uv_timer_init(&rig->loop, &rig->alive), 0);
	assert_int_equal(uv_timer_start(&rig->alive, on_alive, 2, 2), 0);
	assert_int_equal(hub_new(&options, &rig->loop, &wire, &rig->hub), KW_OK);
	for (uint32_t conn = 0; conn < CONNS; conn++) {
		struct kw_name name = name_of(conn);
		assert_int_equal(hub_agency(rig->hub, &name, false), KW_OK);
		kw_buf_init(&rig->out[conn], 64u << 20);
	}
	rig->sent = 0;
	hello(rig, 0);
}

static void close_hub(struct rig *rig)
{
	hub_free(rig->hub);
	rig->hub = NULL;
	uv_close((uv_handle_t *)&rig->alive, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	for (uint32_t conn = 0; conn < CONNS; conn++)
		kw_buf_fini(&rig->out[conn]);
	assert_int_equal(rig->fatal, KW_OK);
}

static struct hub_stats stats(struct rig *rig)
{
	struct hub_stats out;
	hub_stats_get(rig->hub, &out);
	return out;
}

/* Until everything is durable and what follows from it is done. */
static void settle(struct rig *rig)
{
	do {
		hub_kick(rig->hub);
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
	} while (stats(rig).store.pending_ops > 0);
}

/* Time passes as on a machine that is well; then a tick. */
static void pass(struct rig *rig, int64_t ms)
{
	rig->wall_ms += ms;
	rig->mono_ms += ms;
	hub_tick(rig->hub);
	settle(rig);
}

static struct kw_id id_of(uint32_t number)
{
	struct kw_id id = {{7}};
	kw_put_u32(id.bytes + 12, number);
	return id;
}

/* One message of `from` with one track. */
static void submit(struct rig *rig, uint32_t from, uint64_t sequence, struct kw_frame_track track)
{
	static const uint8_t content[] = "x";
	struct kw_sealed sealed;
	struct kw_buf bytes, tracks;
	struct kw_frame frame;
	size_t used;
	kit_sealing_init(&rig->kit, KW_SUITE_AES, 1, KW_VIEW_OF(content));
	rig->kit.recipients[0].agency = track.other_agency;
	rig->kit.request.msg_class = KW_NORMAL;
	rig->kit.request.expiry_hour = (uint32_t)(START / HOUR) + 100;
	assert_int_equal(kw_seal(&rig->kit.request, &sealed), KW_OK);
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	kw_buf_init(&tracks, 4096);
	assert_int_equal(kw_frame_track_add(&tracks, &track), KW_OK);
	struct kw_frame_message message = {.msg_class = KW_NORMAL, .sequence = sequence,
		.envelope = kw_buf_view(&sealed.envelopes[0]), .tracks = kw_buf_view(&tracks)};
	assert_int_equal(kw_frame_message_add(&bytes, &message), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	struct kw_name name = name_of(from);
	assert_int_equal(hub_frame(rig->hub, from, &name, &frame), KW_OK);
	kw_buf_fini(&bytes);
	kw_buf_fini(&tracks);
	kw_sealed_fini(&sealed);
}

static struct kw_frame_track track_of(uint32_t number, uint8_t state, uint32_t sequence, uint32_t other)
{
	return (struct kw_frame_track){.thread_id = id_of(number), .kind = KW_THREAD_REFERRAL, .state = state,
		.risk = KW_RISK_HIGH, .sequence = sequence, .other_agency = name_of(other)};
}

static void open_thread(struct rig *rig, uint32_t number)
{
	submit(rig, 0, ++rig->sent, track_of(number, KW_REFERRAL_QUEUED, 1, 1));
}

/* Reads what was written to a connection, acknowledges control rows, and remembers what was said. */
static void hear(struct rig *rig, uint32_t conn)
{
	struct kw_frame_ack ack = {.cursor_mask = 0};
	struct kw_frame frame;
	size_t used;
	while (kw_frame_next(kw_buf_view(&rig->out[conn]), KW_FRAME_SIZE_MAX, &frame, &used) == KW_OK && used > 0) {
		struct kw_frame_message message;
		if (frame.type == KW_FRAME_MESSAGE && kw_frame_message_parse(frame.body, &message) == KW_OK &&
			message.msg_class == KW_CONTROL) {
			rig->notices[conn] += message.notice.size > 0;
			if (message.reminder.size > 0)
				assert_int_equal(kw_frame_reminder_parse(message.reminder, &rig->said[conn][rig->said_count[conn]++]), KW_OK);
			ack.cursor_mask = 1u << KW_CONTROL;
			ack.cursors[KW_CONTROL] =
				(struct kw_cursor){.epoch = store_epoch(rig->hub->store), .sequence = message.sequence};
		}
		kw_buf_drop(&rig->out[conn], used);
	}
	if (ack.cursor_mask == 0)
		return;
	struct kw_buf bytes;
	struct kw_name name = name_of(conn);
	kw_buf_init(&bytes, 1000);
	assert_int_equal(kw_frame_ack_add(&bytes, &ack), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(hub_frame(rig->hub, conn, &name, &frame), KW_OK);
	kw_buf_fini(&bytes);
	settle(rig);
	hear(rig, conn);
}

/* How often `conn` was told of this thread and step. */
static uint32_t heard(const struct rig *rig, uint32_t conn, uint32_t number, uint8_t step, uint8_t audience)
{
	struct kw_id id = id_of(number);
	uint32_t count = 0;
	for (uint32_t i = 0; i < rig->said_count[conn]; i++) {
		const struct kw_frame_reminder *said = &rig->said[conn][i];
		count += kw_id_equal(&said->thread_id, &id) && said->step == step && said->audience == audience + 1;
	}
	return count;
}

static struct brk_thread thread_of(struct rig *rig, uint32_t number)
{
	struct store_thread row = {.id = id_of(number)};
	struct brk_thread thread = {.id = row.id};
	assert_int_equal(store_get_threads(rig->hub->store, &row, 1), KW_OK);
	if (row.size > 0)
		assert_int_equal(brk_thread_unpack(KW_VIEW(row.record, row.size), &thread), KW_OK);
	return thread;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/kw-hub-threads-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/db", rig->dir);
	rig->wall_ms = START;
	rig->mono_ms = 1000;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->hub != NULL)
		close_hub(rig);
	(void)folder_remove(rig->dir);
	free(rig);
	return 0;
}

static void test_each_step_is_said_at_its_time_and_once(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	for (uint32_t conn = 1; conn < CONNS; conn++)
		hello(rig, conn);
	open_thread(rig, 1);
	settle(rig);
	pass(rig, LIMIT / 2 - 1000);
	hear(rig, 1);
	assert_int_equal(rig->said_count[1], 0);
	pass(rig, 1000);
	pass(rig, 1000);
	hear(rig, 1);
	assert_true(rig->said_count[1] == 1 && heard(rig, 1, 1, 50, KW_AUDIENCE_RECEIVER) == 1);
	const struct kw_frame_reminder *said = &rig->said[1][0];
	assert_true(said->due_unix_ms == START + LIMIT && said->late_ms == 0 && said->state == KW_REFERRAL_QUEUED);
	assert_true(said->agency.text[0] == 'b' && said->other_agency.text[0] == 'a' && said->risk == KW_RISK_HIGH);
	pass(rig, LIMIT);
	for (uint32_t conn = 0; conn < CONNS; conn++)
		hear(rig, conn);
	assert_int_equal(heard(rig, 1, 1, 100, KW_AUDIENCE_RECEIVER_SUPERVISOR), 1);
	assert_int_equal(heard(rig, 0, 1, 200, KW_AUDIENCE_SENDER), 1); /* telephone, as it is of high risk */
	assert_int_equal(heard(rig, 2, 1, 150, KW_AUDIENCE_COORDINATOR), 1);
	/* The receipt stops that clock. */
	submit(rig, 1, 1, track_of(1, KW_REFERRAL_DELIVERED, 0, 0));
	settle(rig);
	assert_true(thread_of(rig, 1).state == KW_REFERRAL_DELIVERED && thread_of(rig, 1).run.clock == KW_CLOCK_ACKNOWLEDGED);
	uint32_t before = rig->said_count[0];
	pass(rig, LIMIT);
	hear(rig, 0);
	assert_int_equal(rig->said_count[0], before);
}

static void test_clocks_outlive_a_restart(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	open_thread(rig, 1);
	settle(rig);
	pass(rig, LIMIT / 2);
	close_hub(rig);
	rig->wall_ms += LIMIT; /* it was off so long: 100 and 150 % went by */
	rig->mono_ms = 5;      /* and the machine was started anew */
	open_hub(rig);
	hello(rig, 1);
	hello(rig, 2);
	pass(rig, 1000);
	for (uint32_t conn = 0; conn < CONNS; conn++)
		hear(rig, conn);
	assert_int_equal(heard(rig, 1, 1, 50, KW_AUDIENCE_RECEIVER), 1);
	assert_int_equal(heard(rig, 1, 1, 100, KW_AUDIENCE_RECEIVER_SUPERVISOR), 1);
	assert_int_equal(heard(rig, 2, 1, 150, KW_AUDIENCE_COORDINATOR), 1);
	assert_int_equal(heard(rig, 0, 1, 150, KW_AUDIENCE_SENDER_SUPERVISOR), 1);
}

static void test_a_clock_that_jumps_a_day_makes_nobody_late(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	hello(rig, 1);
	open_thread(rig, 1);
	settle(rig);
	rig->wall_ms += DAY;
	pass(rig, 1000);
	pass(rig, 60000);
	hear(rig, 1);
	assert_int_equal(rig->said_count[1], 0);
	open_thread(rig, 2); /* its clock starts on hub time too */
	settle(rig);
	assert_true(thread_of(rig, 2).run.started_ms < START + 100000);
	rig->wall_ms -= DAY;
	pass(rig, LIMIT / 2 - 61000);
	hear(rig, 1);
	assert_int_equal(heard(rig, 1, 1, 50, KW_AUDIENCE_RECEIVER), 1);
	assert_int_equal(heard(rig, 1, 2, 50, KW_AUDIENCE_RECEIVER), 0);
}

static void test_a_clock_that_jumps_back_stops_nothing(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	hello(rig, 1);
	open_thread(rig, 1);
	settle(rig);
	rig->wall_ms -= DAY;
	/* Hub time leans back by a tenth meanwhile, and no more. */
	pass(rig, LIMIT / 2 + LIMIT / 10);
	hear(rig, 1);
	assert_int_equal(heard(rig, 1, 1, 50, KW_AUDIENCE_RECEIVER), 1);
	/* Nor does a restart with the wrong clock: the time that was kept is the floor. */
	close_hub(rig);
	open_hub(rig);
	hello(rig, 1);
	pass(rig, LIMIT / 2 + LIMIT / 5);
	hear(rig, 1);
	assert_int_equal(heard(rig, 1, 1, 100, KW_AUDIENCE_RECEIVER_SUPERVISOR), 1);
}

static void test_an_expired_opening_message_makes_its_thread_undeliverable(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	open_thread(rig, 1);
	settle(rig);
	pass(rig, 101 * HOUR);
	pass(rig, 1000);
	hear(rig, 0);
	assert_int_equal(rig->notices[0], 1);
	assert_int_equal(thread_of(rig, 1).state, KW_REFERRAL_UNDELIVERABLE);
	pass(rig, 89 * DAY);
	assert_int_equal(stats(rig).store.threads, 1);
	pass(rig, 2 * DAY);
	assert_true(stats(rig).store.threads == 0 && stats(rig).store.clocks == 0);
	assert_int_equal(stats(rig).counts.forgotten, 1);
}

static void test_a_third_agency_moves_nothing(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	hello(rig, 2);
	open_thread(rig, 1);
	submit(rig, 2, 1, track_of(1, KW_REFERRAL_DELIVERED, 0, 0));
	settle(rig);
	assert_true(stats(rig).counts.foreign == 1 && stats(rig).counts.taken == 2);
	assert_int_equal(thread_of(rig, 1).state, KW_REFERRAL_QUEUED);
}

static void test_the_quota_of_open_threads_outlives_a_restart(void **state)
{
	struct rig *rig = *state;
	rig->threads_open_max = 3;
	open_hub(rig);
	for (uint32_t number = 1; number <= 4; number++)
		open_thread(rig, number);
	settle(rig);
	assert_true(stats(rig).store.threads == 3 && stats(rig).counts.over == 1 && stats(rig).counts.taken == 4);
	close_hub(rig);
	open_hub(rig);
	rig->sent = 4;
	open_thread(rig, 5);
	settle(rig);
	assert_true(stats(rig).store.threads == 3 && stats(rig).counts.over == 1);
	/* The opening messages expire: their threads are open no more, and that is kept too. */
	pass(rig, 101 * HOUR);
	pass(rig, 1000);
	assert_int_equal(thread_of(rig, 1).state, KW_REFERRAL_UNDELIVERABLE);
	close_hub(rig);
	open_hub(rig);
	assert_int_equal(brk_held_of(rig->hub->brk, roster_find(rig->hub->roster, &(struct kw_name){"a"})).threads, 0);
}

static void test_reminders_that_wait_are_known_after_a_restart(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	for (uint32_t number = 1; number <= 5; number++)
		open_thread(rig, number);
	settle(rig);
	pass(rig, LIMIT / 2);
	struct kw_name b = name_of(1);
	uint32_t slot = roster_find(rig->hub->roster, &b);
	assert_int_equal(brk_held_of(rig->hub->brk, slot).reminders, 5);
	close_hub(rig);
	open_hub(rig);
	assert_int_equal(brk_held_of(rig->hub->brk, slot).reminders, 5);
	hello(rig, 1);
	settle(rig);
	hear(rig, 1);
	assert_int_equal(rig->said_count[1], 5);
	assert_int_equal(brk_held_of(rig->hub->brk, slot).reminders, 0);
	close_hub(rig);
	open_hub(rig);
	assert_int_equal(brk_held_of(rig->hub->brk, slot).reminders, 0);
}

/* Of a version that this one does not know: not none, and not to be written over. */
static void test_a_thread_of_a_later_version_stops_the_hub(void **state)
{
	struct rig *rig = *state;
	struct store_thread row = {.id = id_of(1), .due_ms = (uint64_t)START, .size = 90, .record = {BRK_THREAD_VERSION + 1}};
	open_hub(rig);
	store_put_thread(rig->hub->store, rig->hub->ticket, &row);
	open_thread(rig, 2); /* a ticket to ride on */
	settle(rig);
	pass(rig, 1000);
	assert_int_equal(rig->fatal, KW_EVERSION);
	rig->fatal = KW_OK;
	struct store_thread kept = {.id = row.id};
	assert_int_equal(store_get_threads(rig->hub->store, &kept, 1), KW_OK);
	assert_true(kept.size == row.size && kept.due_ms == row.due_ms);
	/* Nor is it opened anew. */
	struct brk_message message = {.track_count = 0};
	struct kw_frame_track track = track_of(1, KW_REFERRAL_QUEUED, 1, 1);
	struct kw_buf tracks;
	kw_buf_init(&tracks, 4096);
	assert_int_equal(kw_frame_track_add(&tracks, &track), KW_OK);
	assert_int_equal(hub_tracks(rig->hub, kw_buf_view(&tracks), &message), KW_EVERSION);
	kw_buf_fini(&tracks);
	assert_int_equal(rig->fatal, KW_EVERSION);
	rig->fatal = KW_OK;
}

/* What the hub answers to an offer of a for b: the type of the frame, and a refusal's code. */
static uint8_t offer_blob(struct rig *rig, uint8_t number, enum kw_err *code)
{
	struct kw_frame_blob_offer offer = {.ref = {.digest = {{number}}, .agency = name_of(1)}, .size = 4096,
		.expiry_hour = (uint32_t)(time(NULL) / 3600) + 100}; /* its clock is the machine's */
	struct kw_frame frame = {.type = 0};
	struct kw_buf bytes;
	size_t used;
	kw_buf_init(&bytes, 4096);
	kw_buf_clear(&rig->out[0]);
	assert_int_equal(kw_frame_blob_offer_add(&bytes, &offer), KW_OK);
	assert_int_equal(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	assert_int_equal(hub_blob_frame(rig->hub, 0, &frame), KW_OK);
	kw_buf_fini(&bytes);
	for (int i = 0; i < 200 && rig->out[0].size == 0; i++)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(kw_frame_next(kw_buf_view(&rig->out[0]), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
	struct kw_frame_blob_done done = {.code = KW_OK};
	if (frame.type == KW_FRAME_BLOB_DONE)
		assert_int_equal(kw_frame_blob_done_parse(frame.body, &done), KW_OK);
	*code = done.code;
	return frame.type;
}

static void test_no_attachment_is_taken_for_one_that_is_shut_out(void **state)
{
	struct rig *rig = *state;
	struct kw_name b = name_of(1);
	enum kw_err code;
	open_hub(rig);
	assert_int_equal(offer_blob(rig, 1, &code), KW_FRAME_BLOB_WANT);
	assert_int_equal(hub_agency(rig->hub, &b, true), KW_OK);
	assert_int_equal(offer_blob(rig, 2, &code), KW_FRAME_BLOB_DONE);
	assert_int_equal(code, KW_ENOAGENCY);
}

#define KILLED_THREADS 40u

/* Threads are opened while clocks run out, until the kill. The clock runs fast. */
static void run_until_killed(struct rig *rig)
{
	open_hub(rig);
	for (uint32_t i = 0;; i++) {
		if (i < KILLED_THREADS)
			open_thread(rig, i);
		rig->wall_ms += LIMIT / 80;
		rig->mono_ms += LIMIT / 80;
		hub_tick(rig->hub);
		hub_kick(rig->hub);
		(void)uv_run(&rig->loop, i % 3 == 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
		usleep(300);
	}
}

/* Whatever the kill left: each thread that is there gets each of its steps once, in the end. */
static void check_after_kill(struct rig *rig)
{
	rig->wall_ms = START + 3 * DAY;
	rig->mono_ms = 5;
	memset(rig->said_count, 0, sizeof(rig->said_count));
	open_hub(rig);
	hello(rig, 1);
	hello(rig, 2);
	pass(rig, 1000);
	pass(rig, 1000);
	for (uint32_t conn = 0; conn < CONNS; conn++)
		hear(rig, conn);
	uint32_t there = 0;
	for (uint32_t number = 0; number < KILLED_THREADS; number++) {
		uint32_t one = thread_of(rig, number).kind != KW_THREAD_NONE ? 1 : 0;
		there += one;
		assert_int_equal(heard(rig, 1, number, 50, KW_AUDIENCE_RECEIVER), one);
		assert_int_equal(heard(rig, 1, number, 100, KW_AUDIENCE_RECEIVER_SUPERVISOR), one);
		assert_int_equal(heard(rig, 0, number, 100, KW_AUDIENCE_SENDER), one);
		assert_int_equal(heard(rig, 0, number, 200, KW_AUDIENCE_SENDER), one);
		assert_int_equal(heard(rig, 0, number, 150, KW_AUDIENCE_SENDER_SUPERVISOR), one);
		assert_int_equal(heard(rig, 2, number, 150, KW_AUDIENCE_COORDINATOR), one);
	}
	assert_int_equal(stats(rig).store.threads, there);
	/* What is held was kept in the transactions that changed it. */
	assert_int_equal(brk_held_of(rig->hub->brk, roster_find(rig->hub->roster, &(struct kw_name){"a"})).threads, there);
	for (uint32_t slot = 0; slot < CONNS; slot++)
		assert_int_equal(brk_held_of(rig->hub->brk, slot).reminders, 0);
	close_hub(rig);
}

static void test_a_killed_hub_reminds_of_each_step_once(void **state)
{
	struct rig *rig = *state;
	for (uint32_t round = 0; round < 10; round++) {
		(void)folder_remove(rig->path);
		rig->wall_ms = START;
		rig->mono_ms = 1000;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			run_until_killed(rig);
		usleep(30000 + round * 17000);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		if (access(rig->path, F_OK) == 0)
			check_after_kill(rig);
	}
}

/* B's REJECTED was undone, and it accepts in the same place. Who says where it is, is reminded of what it has to do now, through a
 * restart too; who does not say is not. */
static void test_an_undone_event_is_not_reminded_of(void **state)
{
	struct rig *rig = *state;
	open_hub(rig);
	hello(rig, 1);
	for (uint32_t number = 1; number <= 2; number++) {
		uint64_t first = (number - 1) * 4;
		open_thread(rig, number);
		settle(rig);
		submit(rig, 1, first + 1, track_of(number, KW_REFERRAL_DELIVERED, 0, 0));
		submit(rig, 1, first + 2, track_of(number, KW_REFERRAL_ACKNOWLEDGED, 1, 0));
		submit(rig, 1, first + 3, track_of(number, KW_REFERRAL_REJECTED, 2, 0));
		settle(rig);
		assert_int_equal(thread_of(rig, number).state, KW_REFERRAL_REJECTED);
		struct kw_frame_track accepted = track_of(number, KW_REFERRAL_ACCEPTED, 2, 0);
		accepted.present = number == 1 ? KW_REFERRAL_ACCEPTED : 0;
		accepted.heard = 1;
		submit(rig, 1, first + 4, accepted);
		settle(rig);
	}
	close_hub(rig);
	open_hub(rig);
	hello(rig, 1);
	assert_int_equal(thread_of(rig, 1).state, KW_REFERRAL_ACCEPTED);
	assert_int_equal(thread_of(rig, 1).run.clock, KW_CLOCK_SERVICE);
	assert_int_equal(thread_of(rig, 2).state, KW_REFERRAL_REJECTED);
	for (int i = 0; i < 26; i++)
		pass(rig, HOUR);
	hear(rig, 1);
	assert_int_equal(heard(rig, 1, 1, 50, KW_AUDIENCE_RECEIVER), 1);
	assert_int_equal(heard(rig, 1, 2, 50, KW_AUDIENCE_RECEIVER), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_an_undone_event_is_not_reminded_of),
		TEST(test_each_step_is_said_at_its_time_and_once),
		TEST(test_clocks_outlive_a_restart),
		TEST(test_a_clock_that_jumps_a_day_makes_nobody_late),
		TEST(test_a_clock_that_jumps_back_stops_nothing),
		TEST(test_an_expired_opening_message_makes_its_thread_undeliverable),
		TEST(test_a_third_agency_moves_nothing),
		TEST(test_the_quota_of_open_threads_outlives_a_restart),
		TEST(test_reminders_that_wait_are_known_after_a_restart),
		TEST(test_a_thread_of_a_later_version_stops_the_hub),
		TEST(test_no_attachment_is_taken_for_one_that_is_shut_out),
		TEST(test_a_killed_hub_reminds_of_each_step_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
