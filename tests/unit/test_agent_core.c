#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/core.h"

/* A core with a pretend shell: a clock, and the effects of the last step. */
struct rig {
	struct agt *agt;
	struct agt_plan plan;
	uint64_t now;
	uint64_t wall;
	uint64_t random;
	uint64_t ticket; /* the newest one seen */
};

#define HUB_EPOCH 77u
#define OUR_EPOCH 55u

static void step(struct rig *rig, struct agt_event *event)
{
	event->mono_ms = rig->now;
	event->wall_ms = rig->wall + rig->now;
	event->random = rig->random;
	agt_step(rig->agt, event, &rig->plan);
	for (uint32_t i = 0; i < rig->plan.count; i++) {
		if (rig->plan.effects[i].ticket != 0) {
			assert_int_equal(rig->plan.effects[i].ticket, rig->ticket + 1);
			rig->ticket++;
		}
	}
}

static uint32_t count(const struct rig *rig, enum agt_effect_type type)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < rig->plan.count; i++)
		n += rig->plan.effects[i].type == type;
	return n;
}

static const struct agt_effect *find(const struct rig *rig, enum agt_effect_type type)
{
	for (uint32_t i = 0; i < rig->plan.count; i++) {
		if (rig->plan.effects[i].type == type)
			return &rig->plan.effects[i];
	}
	return NULL;
}

static void simple(struct rig *rig, enum agt_event_type type)
{
	struct agt_event event = {.type = type};
	step(rig, &event);
}

static void start(struct rig *rig, const struct agt_start *from)
{
	struct agt_event event = {.type = AGT_EV_START, .u.start = *from};
	step(rig, &event);
}

static const struct agt_start *fresh(void)
{
	static struct agt_start from = {.epoch = OUR_EPOCH};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		from.lanes[c].next_sequence = 1;
	return &from;
}

static struct agt_event welcome_event(uint64_t epoch)
{
	struct agt_event event = {.type = AGT_EV_WELCOME};
	event.u.hello.version_min = event.u.hello.version_max = 1;
	event.u.hello.epoch = epoch;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		event.u.hello.credits[c] = (struct kw_credit){.messages = 1000, .bytes = 1u << 24};
	return event;
}

static void online(struct rig *rig)
{
	simple(rig, AGT_EV_CONN_UP);
	assert_int_equal(count(rig, AGT_FX_HELLO), 1);
	struct agt_event event = welcome_event(HUB_EPOCH);
	step(rig, &event);
	assert_true(agt_online(rig->agt));
}

static void submit(struct rig *rig, enum kw_msg_class msg_class, uint64_t box, uint32_t size)
{
	struct agt_event event = {.type = AGT_EV_SUBMIT};
	event.u.submit.msg_class = msg_class;
	event.u.submit.row = (struct agt_row){.size = size, .wants_receipt = true, .box = box};
	step(rig, &event);
}

static void commit(struct rig *rig)
{
	struct agt_event event = {.type = AGT_EV_COMMITTED, .u.ticket = rig->ticket};
	step(rig, &event);
}

static void message(struct rig *rig, enum kw_msg_class msg_class, uint64_t sequence, uint32_t size)
{
	struct agt_event event = {.type = AGT_EV_MESSAGE};
	event.u.message.msg_class = msg_class;
	event.u.message.sequence = sequence;
	event.u.message.size = size;
	event.u.message.box = 9;
	step(rig, &event);
}

static void ack(struct rig *rig, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct agt_event event = {.type = AGT_EV_ACK};
	event.u.ack.cursor_mask = (uint8_t)(1u << msg_class);
	event.u.ack.cursors[msg_class] = (struct kw_cursor){.epoch = OUR_EPOCH, .sequence = sequence};
	step(rig, &event);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	rig->agt = agt_init(calloc(1, agt_size()));
	rig->wall = 1700000000000u;
	rig->now = 1000;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	free(rig->agt);
	free(rig);
	return 0;
}

static void test_agt_core_dials_at_start_and_greets(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	assert_int_equal(count(rig, AGT_FX_CONNECT), 1);
	online(rig);
	assert_int_equal(find(rig, AGT_FX_EPOCH)->u.epoch, HUB_EPOCH);
}

static void test_agt_core_sends_only_after_commit(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	submit(rig, KW_NORMAL, 5, 1000);
	assert_int_equal(find(rig, AGT_FX_OUT_APPEND)->sequence, 1);
	assert_int_equal(count(rig, AGT_FX_SEND), 0);
	commit(rig);
	assert_int_equal(count(rig, AGT_FX_SEND), 1);
	assert_int_equal(find(rig, AGT_FX_SEND)->box, 5);
}

static void test_agt_core_urgent_goes_first(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	for (uint64_t i = 1; i <= 100; i++)
		submit(rig, KW_BULK, i, 60000);
	submit(rig, KW_URGENT, 1000, 600);
	commit(rig);
	online(rig);
	assert_int_equal(find(rig, AGT_FX_SEND)->box, 1000);
	/* The rest waits for the network. */
	assert_in_range(count(rig, AGT_FX_SEND), 2, 3);
	simple(rig, AGT_EV_DRAINED);
	assert_in_range(count(rig, AGT_FX_SEND), 1, 2);
}

static void test_agt_core_stops_at_the_credit(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	simple(rig, AGT_EV_CONN_UP);
	struct agt_event event = welcome_event(HUB_EPOCH);
	event.u.hello.credits[KW_NORMAL].messages = 2;
	step(rig, &event);
	for (uint64_t i = 1; i <= 3; i++)
		submit(rig, KW_NORMAL, i, 100);
	commit(rig);
	assert_int_equal(count(rig, AGT_FX_SEND), 2);
	struct agt_event more = {.type = AGT_EV_ACK};
	more.u.ack.credit_mask = 1u << KW_NORMAL;
	more.u.ack.credits[KW_NORMAL] = (struct kw_credit){.messages = 3, .bytes = 1000};
	step(rig, &more);
	assert_int_equal(count(rig, AGT_FX_SEND), 1);
}

static void test_agt_core_asks_the_disk_for_what_does_not_fit(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	uint32_t dropped = 0;
	for (uint64_t i = 1; i <= AGT_WINDOW_BOXES + 1; i++) {
		submit(rig, KW_NORMAL, i, 100);
		dropped += count(rig, AGT_FX_DROP);
	}
	assert_int_equal(dropped, 1);
	commit(rig); /* moves the first mark */
	commit(rig);
	online(rig);
	assert_int_equal(count(rig, AGT_FX_SEND), AGT_WINDOW_BOXES);
	const struct agt_effect *refill = find(rig, AGT_FX_REFILL);
	assert_non_null(refill);
	assert_int_equal(refill->sequence, AGT_WINDOW_BOXES + 1);

	struct agt_row row = {.sequence = AGT_WINDOW_BOXES + 1, .size = 100, .box = 500};
	struct agt_event event = {.type = AGT_EV_ROWS};
	event.u.rows.msg_class = KW_NORMAL;
	event.u.rows.from = AGT_WINDOW_BOXES + 1;
	event.u.rows.count = 1;
	event.u.rows.rows = &row;
	event.u.rows.end = true;
	step(rig, &event);
	assert_int_equal(find(rig, AGT_FX_SEND)->box, 500);
	/* The next one needs no disk. */
	submit(rig, KW_NORMAL, 501, 100);
	commit(rig);
	assert_int_equal(find(rig, AGT_FX_SEND)->box, 501);
	assert_null(find(rig, AGT_FX_REFILL));
}

static void test_agt_core_hub_ack_means_held_and_too_much_ends_the_session(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	submit(rig, KW_NORMAL, 1, 100);
	commit(rig);
	ack(rig, KW_NORMAL, 1);
	assert_int_equal(find(rig, AGT_FX_OUT_HELD)->sequence, 1);
	ack(rig, KW_NORMAL, 1); /* again: nothing */
	assert_null(find(rig, AGT_FX_OUT_HELD));
	ack(rig, KW_NORMAL, 2);
	assert_int_equal(find(rig, AGT_FX_DISCONNECT)->u.err, KW_EPROTO);
}

static void test_agt_core_resumes_after_the_hubs_cursor(void **state)
{
	struct rig *rig = *state;
	struct agt_start from = *fresh();
	from.hub_epoch = HUB_EPOCH;
	from.lanes[KW_NORMAL].next_sequence = 11;
	from.lanes[KW_NORMAL].held_sequence = 3;
	start(rig, &from);
	simple(rig, AGT_EV_CONN_UP);
	struct agt_event event = welcome_event(HUB_EPOCH);
	event.u.hello.cursors[KW_NORMAL] = (struct kw_cursor){.epoch = OUR_EPOCH, .sequence = 7};
	step(rig, &event);
	assert_null(find(rig, AGT_FX_EPOCH));
	assert_int_equal(find(rig, AGT_FX_OUT_HELD)->sequence, 7);
	assert_int_equal(find(rig, AGT_FX_REFILL)->sequence, 8);
}

static void test_agt_core_new_hub_epoch_sends_all_again(void **state)
{
	struct rig *rig = *state;
	struct agt_start from = *fresh();
	from.hub_epoch = 1;
	from.lanes[KW_NORMAL].next_sequence = 11;
	from.lanes[KW_NORMAL].held_sequence = 10;
	start(rig, &from);
	simple(rig, AGT_EV_CONN_UP);
	struct agt_event event = welcome_event(HUB_EPOCH);
	step(rig, &event);
	assert_int_equal(find(rig, AGT_FX_EPOCH)->u.epoch, HUB_EPOCH);
	assert_int_equal(find(rig, AGT_FX_REFILL)->sequence, 1);
	assert_null(find(rig, AGT_FX_OUT_HELD));
}

static void test_agt_core_begins_a_new_log_when_the_hub_knows_more(void **state)
{
	struct rig *rig = *state;
	struct agt_start from = *fresh();
	from.hub_epoch = HUB_EPOCH;
	from.lanes[KW_URGENT].next_sequence = 3;
	from.lanes[KW_URGENT].held_sequence = 2;
	start(rig, &from);
	simple(rig, AGT_EV_CONN_UP);
	rig->random = 1234;
	struct agt_event event = welcome_event(HUB_EPOCH);
	event.u.hello.cursors[KW_URGENT] = (struct kw_cursor){.epoch = OUR_EPOCH, .sequence = 3};
	step(rig, &event);
	assert_int_equal(find(rig, AGT_FX_OWN_EPOCH)->u.epoch, 1235);
	assert_non_null(find(rig, AGT_FX_DISCONNECT));
	simple(rig, AGT_EV_CONN_DOWN);
	assert_null(find(rig, AGT_FX_CONNECT)); /* not before the epoch is durable */
	commit(rig);
	assert_non_null(find(rig, AGT_FX_CONNECT));
	simple(rig, AGT_EV_CONN_UP);
	assert_int_equal(find(rig, AGT_FX_HELLO)->u.hello.epoch, 1235);
	step(rig, &event);
	assert_true(agt_online(rig->agt));
	assert_int_equal(find(rig, AGT_FX_REFILL)->sequence, 1);
}

static void test_agt_core_acks_after_commit_only(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	message(rig, KW_URGENT, 1, 500);
	assert_non_null(find(rig, AGT_FX_IN_STORE));
	assert_int_equal(find(rig, AGT_FX_IN_STORE)->u.epoch, HUB_EPOCH);
	assert_null(find(rig, AGT_FX_ACK));
	message(rig, KW_NORMAL, 4, 500);
	message(rig, KW_CONTROL, 1, 50);
	assert_non_null(find(rig, AGT_FX_IN_NOTICE));
	commit(rig);
	assert_int_equal(count(rig, AGT_FX_ACK), 1);
	const struct kw_frame_ack *told = &find(rig, AGT_FX_ACK)->u.ack;
	assert_int_equal(told->cursor_mask, 7);
	assert_int_equal(told->cursors[KW_NORMAL].sequence, 4);
	assert_int_equal(told->cursors[KW_NORMAL].epoch, HUB_EPOCH);
	assert_int_equal(told->credits[KW_NORMAL].messages, AGT_WINDOW_MESSAGES + 1);
}

static void test_agt_core_repeat_is_acked_and_not_stored(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	message(rig, KW_NORMAL, 2, 500);
	commit(rig);
	message(rig, KW_NORMAL, 2, 500);
	assert_null(find(rig, AGT_FX_IN_STORE));
	assert_non_null(find(rig, AGT_FX_DROP));
	assert_int_equal(find(rig, AGT_FX_ACK)->u.ack.cursors[KW_NORMAL].sequence, 2);
}

static void test_agt_core_overrun_ends_the_session(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	for (uint64_t i = 1; i <= AGT_WINDOW_MESSAGES; i++) {
		message(rig, KW_NORMAL, i, 100);
		assert_null(find(rig, AGT_FX_DISCONNECT));
	}
	message(rig, KW_NORMAL, AGT_WINDOW_MESSAGES + 1, 100);
	assert_int_equal(find(rig, AGT_FX_DISCONNECT)->u.err, KW_EPROTO);
	assert_non_null(find(rig, AGT_FX_DROP));
	/* The next session begins once all is durable, from there. */
	simple(rig, AGT_EV_CONN_DOWN);
	rig->now += AGT_RETRY_CAP_MS;
	simple(rig, AGT_EV_TICK);
	assert_null(find(rig, AGT_FX_CONNECT));
	commit(rig);
	assert_non_null(find(rig, AGT_FX_CONNECT));
	simple(rig, AGT_EV_CONN_UP);
	assert_int_equal(find(rig, AGT_FX_HELLO)->u.hello.cursors[KW_NORMAL].sequence, AGT_WINDOW_MESSAGES);
}

static void test_agt_core_backs_off_with_jitter_and_contact_resets(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	rig->random = UINT64_MAX;
	uint64_t limit = AGT_RETRY_BASE_MS;
	for (int i = 0; i < 15; i++) {
		simple(rig, AGT_EV_CONN_DOWN);
		rig->now += UINT64_MAX % (limit + 1);
		simple(rig, AGT_EV_TICK);
		assert_int_equal(count(rig, AGT_FX_CONNECT), 1);
		limit = limit * 2 < AGT_RETRY_CAP_MS ? limit * 2 : AGT_RETRY_CAP_MS;
	}
	online(rig);
	simple(rig, AGT_EV_CONN_DOWN);
	rig->now += AGT_RETRY_BASE_MS;
	simple(rig, AGT_EV_TICK);
	assert_int_equal(count(rig, AGT_FX_CONNECT), 1);
}

static void test_agt_core_pings_a_silent_link_and_gives_up(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	rig->now += AGT_PING_MS - 1;
	simple(rig, AGT_EV_TICK);
	assert_null(find(rig, AGT_FX_PING));
	rig->now += 1;
	simple(rig, AGT_EV_TICK);
	assert_non_null(find(rig, AGT_FX_PING));
	simple(rig, AGT_EV_PONG);
	rig->now += AGT_PING_MS;
	simple(rig, AGT_EV_TICK); /* the answer doubled the wait */
	assert_null(find(rig, AGT_FX_PING));
	rig->now += AGT_PING_MS;
	simple(rig, AGT_EV_TICK);
	assert_non_null(find(rig, AGT_FX_PING));
	rig->now += AGT_PING_MS;
	simple(rig, AGT_EV_TICK);
	assert_int_equal(find(rig, AGT_FX_DISCONNECT)->u.err, KW_ETIMEOUT);
}

static void test_agt_core_goaway_waits(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	struct agt_event event = {.type = AGT_EV_GOAWAY, .u.delay_ms = 5000};
	step(rig, &event);
	assert_non_null(find(rig, AGT_FX_DISCONNECT));
	simple(rig, AGT_EV_CONN_DOWN);
	rig->now += 4999;
	simple(rig, AGT_EV_TICK);
	assert_null(find(rig, AGT_FX_CONNECT));
	rig->now += 1;
	simple(rig, AGT_EV_TICK);
	assert_non_null(find(rig, AGT_FX_CONNECT));
}

static void test_agt_core_passes_over_expired_and_gone(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	struct agt_event event = {.type = AGT_EV_SUBMIT};
	event.u.submit.msg_class = KW_NORMAL;
	event.u.submit.row = (struct agt_row){.size = 10, .expiry_hour = (uint32_t)(rig->wall / 3600000u), .box = 1};
	step(rig, &event);
	event.u.submit.row.expiry_hour += 2;
	event.u.submit.row.box = 2;
	step(rig, &event);
	event.u.submit.row.box = 3;
	step(rig, &event);
	struct agt_event gone = {.type = AGT_EV_RECEIPTED};
	gone.u.receipted.msg_class = KW_NORMAL;
	gone.u.receipted.sequence = 2;
	step(rig, &gone);
	assert_int_equal(find(rig, AGT_FX_DROP)->box, 2);
	commit(rig);
	assert_int_equal(count(rig, AGT_FX_SEND), 1);
	assert_int_equal(find(rig, AGT_FX_SEND)->sequence, 3);
	assert_int_equal(find(rig, AGT_FX_DROP)->box, 1);
}

static void test_agt_core_stale_rows_are_dropped(void **state)
{
	struct rig *rig = *state;
	struct agt_row rows[2] = {{.sequence = 1, .size = 10, .box = 1}, {.sequence = 2, .size = 10, .box = 2}};
	struct agt_event event = {.type = AGT_EV_ROWS};
	start(rig, fresh());
	online(rig);
	event.u.rows.msg_class = KW_NORMAL;
	event.u.rows.from = 1;
	event.u.rows.count = 2;
	event.u.rows.rows = rows;
	step(rig, &event); /* nobody asked */
	assert_int_equal(count(rig, AGT_FX_DROP), 2);
	assert_int_equal(count(rig, AGT_FX_SEND), 0);
}

static const struct agt_effect *note_of(const struct rig *rig, enum agt_note code)
{
	for (uint32_t i = 0; i < rig->plan.count; i++) {
		if (rig->plan.effects[i].type == AGT_FX_NOTE && rig->plan.effects[i].u.note.code == code)
			return &rig->plan.effects[i];
	}
	return NULL;
}

static void space(struct rig *rig, bool hold)
{
	struct agt_event event = {.type = AGT_EV_SPACE, .u.hold = hold};
	step(rig, &event);
}

static void test_agt_core_a_full_disk_gives_no_credit_and_goes_on(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	space(rig, true);
	assert_int_equal(count(rig, AGT_FX_DISCONNECT), 0);
	/* What credit of before lets come is stored and acknowledged, and gives no more. */
	message(rig, KW_NORMAL, 1, 100);
	assert_int_equal(count(rig, AGT_FX_IN_STORE), 1);
	commit(rig);
	assert_int_equal(find(rig, AGT_FX_ACK)->u.ack.cursors[KW_NORMAL].sequence, 1);
	assert_int_equal(find(rig, AGT_FX_ACK)->u.ack.credits[KW_NORMAL].messages, AGT_WINDOW_MESSAGES);
	/* Notices are let in, and what we send leaves. */
	message(rig, KW_CONTROL, 1, 100);
	assert_int_equal(count(rig, AGT_FX_IN_NOTICE), 1);
	commit(rig);
	assert_int_equal(find(rig, AGT_FX_ACK)->u.ack.credits[KW_CONTROL].messages, AGT_WINDOW_MESSAGES + 1);
	submit(rig, KW_NORMAL, 5, 100);
	commit(rig);
	assert_int_equal(count(rig, AGT_FX_SEND), 1);
	/* Room again: the hub hears of it at once, for every class. */
	space(rig, false);
	const struct agt_effect *told = find(rig, AGT_FX_ACK);
	assert_non_null(told);
	assert_int_equal(told->u.ack.credits[KW_NORMAL].messages, AGT_WINDOW_MESSAGES + 1);
	assert_int_equal(told->u.ack.credits[KW_URGENT].messages, AGT_WINDOW_MESSAGES);
	assert_int_equal(told->u.ack.cursor_mask, 1u << KW_NORMAL); /* of the others there is nothing to tell */
	space(rig, false);
	assert_null(find(rig, AGT_FX_ACK));
}

static void test_agt_core_a_session_may_begin_with_a_full_disk(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	space(rig, true);
	simple(rig, AGT_EV_CONN_UP);
	const struct kw_frame_hello *hello = &find(rig, AGT_FX_HELLO)->u.hello;
	assert_int_equal(hello->credits[KW_NORMAL].messages, 0);
	assert_int_equal(hello->credits[KW_URGENT].bytes, 0);
	assert_int_equal(hello->credits[KW_CONTROL].messages, AGT_WINDOW_MESSAGES);
	space(rig, false); /* between HELLO and WELCOME: HELLO holds until the hub is told otherwise */
	struct agt_event event = welcome_event(HUB_EPOCH);
	step(rig, &event);
	assert_int_equal(find(rig, AGT_FX_ACK)->u.ack.credits[KW_NORMAL].messages, AGT_WINDOW_MESSAGES);
	message(rig, KW_NORMAL, 1, 100);
	assert_int_equal(count(rig, AGT_FX_IN_STORE), 1);

	/* The other way round, what HELLO gave stands. */
	simple(rig, AGT_EV_CONN_DOWN);
	commit(rig);
	rig->now += 100000;
	simple(rig, AGT_EV_TICK);
	simple(rig, AGT_EV_CONN_UP);
	assert_int_equal(find(rig, AGT_FX_HELLO)->u.hello.credits[KW_NORMAL].messages, AGT_WINDOW_MESSAGES);
	space(rig, true);
	event = welcome_event(HUB_EPOCH);
	step(rig, &event);
	message(rig, KW_NORMAL, 2, 100);
	assert_int_equal(count(rig, AGT_FX_IN_STORE), 1);
}

static void hub_is_full(struct rig *rig)
{
	struct agt_event event = {.type = AGT_EV_ERROR};
	event.u.error = (struct kw_frame_error){.code = KW_ENOSPACE, .scope = 1, .retryable = true, .retry_after_ms = 60000};
	step(rig, &event);
}

static void test_agt_core_a_full_hub_is_noted_once_and_until_it_takes(void **state)
{
	struct rig *rig = *state;
	start(rig, fresh());
	online(rig);
	hub_is_full(rig);
	assert_int_equal(note_of(rig, AGT_NOTE_HUB_REFUSES)->u.note.err, KW_ENOSPACE);
	rig->now += 40000;
	hub_is_full(rig); /* still so: not news, and good for another minute */
	assert_null(note_of(rig, AGT_NOTE_HUB_REFUSES));
	rig->now += 40000;
	simple(rig, AGT_EV_TICK);
	assert_null(note_of(rig, AGT_NOTE_HUB_TAKES));
	rig->now += 20000;
	simple(rig, AGT_EV_TICK);
	assert_non_null(note_of(rig, AGT_NOTE_HUB_TAKES));
	hub_is_full(rig);
	assert_non_null(note_of(rig, AGT_NOTE_HUB_REFUSES));
	struct agt_event event = {.type = AGT_EV_ACK};
	event.u.ack.credit_mask = 1u << KW_NORMAL;
	event.u.ack.credits[KW_NORMAL] = (struct kw_credit){.messages = 1000, .bytes = 1u << 24}; /* as before */
	step(rig, &event);
	assert_null(note_of(rig, AGT_NOTE_HUB_TAKES));
	event.u.ack.credits[KW_NORMAL].messages = 1001;
	step(rig, &event);
	assert_non_null(note_of(rig, AGT_NOTE_HUB_TAKES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(test_agt_core_dials_at_start_and_greets),
		CASE(test_agt_core_sends_only_after_commit),
		CASE(test_agt_core_urgent_goes_first),
		CASE(test_agt_core_stops_at_the_credit),
		CASE(test_agt_core_asks_the_disk_for_what_does_not_fit),
		CASE(test_agt_core_hub_ack_means_held_and_too_much_ends_the_session),
		CASE(test_agt_core_resumes_after_the_hubs_cursor),
		CASE(test_agt_core_new_hub_epoch_sends_all_again),
		CASE(test_agt_core_begins_a_new_log_when_the_hub_knows_more),
		CASE(test_agt_core_acks_after_commit_only),
		CASE(test_agt_core_repeat_is_acked_and_not_stored),
		CASE(test_agt_core_overrun_ends_the_session),
		CASE(test_agt_core_backs_off_with_jitter_and_contact_resets),
		CASE(test_agt_core_pings_a_silent_link_and_gives_up),
		CASE(test_agt_core_goaway_waits),
		CASE(test_agt_core_passes_over_expired_and_gone),
		CASE(test_agt_core_stale_rows_are_dropped),
		CASE(test_agt_core_a_full_disk_gives_no_credit_and_goes_on),
		CASE(test_agt_core_a_session_may_begin_with_a_full_disk),
		CASE(test_agt_core_a_full_hub_is_noted_once_and_until_it_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
