/* broker/core: brk_step driven by hand, one event after the other. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/core.h"

#define EPOCH 7u
#define PEER_EPOCH 70u
#define HOUR 480000u
#define SIZE 600u

struct fix {
	struct brk_limits limits;
	void *memory;
	struct brk *brk;
	struct brk_plan *plan;
	uint64_t ticket; /* the last one that the core gave */
	uint64_t box;
	uint64_t later_ms; /* than HOUR */
	uint64_t ahead_ms; /* of it, ahead of the machine's clock */
};

static void step(struct fix *f, struct brk_event *event)
{
	event->wall_ms = HOUR * 3600000ull + f->later_ms;
	event->ahead_ms = f->ahead_ms;
	brk_step(f->brk, event, f->plan);
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].type >= BRK_FX_APPEND && f->plan->effects[i].type <= BRK_FX_RECALL)
			f->ticket = f->plan->effects[i].ticket;
}

static const struct brk_effect *find(const struct fix *f, enum brk_effect_type type)
{
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].type == type)
			return &f->plan->effects[i];
	return NULL;
}

static const struct brk_effect *want(const struct fix *f, enum brk_effect_type type)
{
	const struct brk_effect *fx = find(f, type);
	assert_non_null(fx);
	return fx;
}

static uint32_t count(const struct fix *f, enum brk_effect_type type)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < f->plan->count; i++)
		n += f->plan->effects[i].type == type;
	return n;
}

static bool noted(const struct fix *f, enum brk_note code)
{
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].type == BRK_FX_NOTE && f->plan->effects[i].u.note.code == code)
			return true;
	return false;
}

static void agency(struct fix *f, uint32_t slot, bool revoked)
{
	struct brk_event event = {.type = BRK_EV_AGENCY};
	event.u.agency.slot = slot;
	event.u.agency.name.text[0] = (char)('a' + (char)slot);
	event.u.agency.revoked = revoked;
	step(f, &event);
}

static void start(struct fix *f)
{
	free(f->memory);
	size_t size = brk_size(&f->limits);
	f->memory = calloc(1, size);
	assert_non_null(f->memory);
	f->brk = brk_init(f->memory, &f->limits);
	f->ticket = 0;
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = EPOCH};
	step(f, &event);
	for (uint32_t slot = 0; slot < 3; slot++)
		agency(f, slot, false);
}

static void hello_from(struct fix *f, uint32_t conn, uint32_t slot, const struct kw_cursor *cursors)
{
	struct brk_event event = {.type = BRK_EV_HELLO};
	event.u.hello.conn = conn;
	event.u.hello.slot = slot;
	event.u.hello.hello = (struct kw_frame_hello){.version_min = 1, .version_max = 1, .epoch = PEER_EPOCH + slot};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		event.u.hello.hello.credits[c] = (struct kw_credit){.messages = 256, .bytes = 1 << 20};
		if (cursors != NULL)
			event.u.hello.hello.cursors[c] = cursors[c];
	}
	step(f, &event);
}

static void hello(struct fix *f, uint32_t conn, uint32_t slot)
{
	hello_from(f, conn, slot, NULL);
}

static void message_at(struct fix *f, struct brk_message message)
{
	struct brk_event event = {.type = BRK_EV_MESSAGE, .u.message = message};
	event.u.message.box = ++f->box;
	event.u.message.size = SIZE;
	event.u.message.envelope_id.bytes[0] = (uint8_t)f->box;
	step(f, &event);
}

static void message(struct fix *f, uint32_t conn, enum kw_msg_class msg_class, uint64_t sequence, uint32_t to)
{
	message_at(f, (struct brk_message){.conn = conn, .msg_class = msg_class, .sequence = sequence, .to_slot = to});
}

static void committed(struct fix *f)
{
	struct brk_event event = {.type = BRK_EV_COMMITTED, .u.ticket = f->ticket};
	step(f, &event);
}

static void acked(struct fix *f, uint32_t conn, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct brk_event event = {.type = BRK_EV_ACK};
	event.u.ack.conn = conn;
	event.u.ack.ack.cursor_mask = (uint8_t)(1u << msg_class);
	event.u.ack.ack.cursors[msg_class] = (struct kw_cursor){.epoch = EPOCH, .sequence = sequence};
	step(f, &event);
}

static void rows(struct fix *f, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entries, uint32_t n)
{
	struct brk_event event = {.type = BRK_EV_ROWS};
	event.u.rows.slot = slot;
	event.u.rows.msg_class = msg_class;
	event.u.rows.count = n;
	event.u.rows.entries = entries;
	event.u.rows.end = true;
	step(f, &event);
}

static void space(struct fix *f, enum brk_space now)
{
	struct brk_event event = {.type = BRK_EV_SPACE, .u.space = now};
	step(f, &event);
}

static void recovered(struct fix *f, uint32_t slot, uint64_t first, uint64_t last)
{
	struct brk_event event = {.type = BRK_EV_QUEUE};
	event.u.queue.slot = slot;
	event.u.queue.msg_class = KW_NORMAL;
	event.u.queue.first = first;
	event.u.queue.last = last;
	event.u.queue.count = last + 1 - first;
	event.u.queue.bytes = event.u.queue.count * SIZE;
	step(f, &event);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->plan = malloc(sizeof(*f->plan));
	assert_non_null(f->plan);
	f->limits = (struct brk_limits){.slots_max = 4, .conns_max = 8, .window_entries = 64, .pending_max = 64,
		.queue_messages_max = 100, .queue_bytes_max = 1 << 20, .urgent_messages_max = 100, .notices_max = 100, .reminders_max = 100, .threads_open_max = 100, .grant_messages = 16,
		.grant_bytes = 1 << 20, .out_bytes_max = 1 << 20, .refused_retry_ms = 1234};
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	free(f->memory);
	free(f->plan);
	free(f);
	return 0;
}

static void test_ack_only_after_the_commit(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	const struct brk_effect *fx = want(f, BRK_FX_WELCOME);
	assert_int_equal(fx->u.welcome.epoch, EPOCH);
	assert_int_equal(fx->u.welcome.credits[KW_NORMAL].messages, 16);
	assert_int_equal(fx->u.welcome.credits[KW_CONTROL].messages, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	fx = want(f, BRK_FX_APPEND);
	assert_int_equal(fx->slot, 1);
	assert_int_equal(fx->sequence, 1);
	assert_int_equal(fx->u.append.from_cursor.epoch, PEER_EPOCH);
	assert_int_equal(fx->u.append.from_cursor.sequence, 1);
	assert_null(find(f, BRK_FX_ACK));
	assert_null(find(f, BRK_FX_KEEP));
	struct brk_event other = {.type = BRK_EV_COMMITTED, .u.ticket = f->ticket - 1};
	step(f, &other);
	assert_null(find(f, BRK_FX_ACK));
	committed(f);
	fx = want(f, BRK_FX_ACK);
	assert_int_equal(fx->u.ack.cursors[KW_NORMAL].sequence, 1);
	assert_int_equal(fx->u.ack.credits[KW_NORMAL].messages, 17);
}

static void test_online_recipient_gets_it_without_the_disk(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	hello(f, 1, 1);
	message(f, 0, KW_NORMAL, 1, 1);
	assert_int_equal(want(f, BRK_FX_KEEP)->box, f->box);
	/* A sequence that was sent and that a crash takes back would be given to another message. */
	assert_null(find(f, BRK_FX_SEND));
	committed(f);
	const struct brk_effect *fx = want(f, BRK_FX_SEND);
	assert_int_equal(fx->conn, 1);
	assert_int_equal(fx->box, f->box);
	assert_null(find(f, BRK_FX_REFILL));
	acked(f, 1, KW_NORMAL, 1);
	assert_int_equal(want(f, BRK_FX_TRIM)->sequence, 1);
	struct brk_counts counts;
	brk_counts_get(f->brk, &counts);
	assert_int_equal(counts.taken, 1);
	assert_int_equal(counts.delivered, 1);
	assert_int_equal(counts.waiting, 0);
}

static void test_offline_recipient_gets_it_by_refill(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	committed(f);
	hello(f, 1, 1);
	const struct brk_effect *fx = want(f, BRK_FX_REFILL);
	assert_int_equal(fx->slot, 1);
	assert_int_equal(fx->sequence, 1);
	struct brk_entry entry = {.sequence = 1, .box = 99, .size = SIZE};
	rows(f, 1, KW_NORMAL, &entry, 1);
	assert_int_equal(want(f, BRK_FX_SEND)->box, 99);
	struct brk_event down = {.type = BRK_EV_CONN_DOWN, .u.conn = 1};
	step(f, &down);
	assert_true(noted(f, BRK_NOTE_OFFLINE));
	hello(f, 2, 1);
	assert_int_equal(want(f, BRK_FX_REFILL)->sequence, 1);
}

static void test_resume_after_the_recipients_cursor(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 3, 6);
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT] = {[KW_NORMAL] = {.epoch = EPOCH, .sequence = 4}};
	hello_from(f, 1, 1, cursors);
	assert_int_equal(want(f, BRK_FX_REFILL)->sequence, 3);
	struct brk_entry entries[] = {{.sequence = 3, .box = 1, .size = SIZE}, {.sequence = 4, .box = 2, .size = SIZE},
		{.sequence = 5, .box = 3, .size = SIZE}, {.sequence = 6, .box = 4, .size = SIZE}};
	rows(f, 1, KW_NORMAL, entries, 4);
	assert_int_equal(count(f, BRK_FX_DROP), 2);
	assert_int_equal(want(f, BRK_FX_TRIM)->sequence, 4);
	assert_int_equal(count(f, BRK_FX_SEND), 2);
	assert_int_equal(want(f, BRK_FX_SEND)->sequence, 5);
	struct brk_counts counts;
	brk_counts_get(f->brk, &counts);
	assert_int_equal(counts.waiting, 2);
}

static void test_cursor_of_another_epoch_counts_as_nothing(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 3, 3);
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT] = {[KW_NORMAL] = {.epoch = EPOCH + 1, .sequence = 400}};
	hello_from(f, 1, 1, cursors);
	struct brk_entry entry = {.sequence = 3, .box = 5, .size = SIZE};
	rows(f, 1, KW_NORMAL, &entry, 1);
	assert_int_equal(want(f, BRK_FX_SEND)->sequence, 3);
}

static void test_recipient_ahead_of_us_never_sees_a_number_twice(void **state)
{
	struct fix *f = *state;
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT] = {[KW_NORMAL] = {.epoch = EPOCH, .sequence = 9}};
	hello_from(f, 1, 1, cursors);
	rows(f, 1, KW_NORMAL, NULL, 0);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	assert_int_equal(want(f, BRK_FX_APPEND)->sequence, 10);
	committed(f);
	assert_int_equal(want(f, BRK_FX_SEND)->sequence, 10);
}

static void test_impossible_cursor_is_refused(void **state)
{
	struct fix *f = *state;
	const uint64_t most = UINT64_C(1) << 32; /* named in session.c */
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT] = {[KW_NORMAL] = {.epoch = EPOCH, .sequence = UINT64_MAX}};
	hello_from(f, 1, 1, cursors);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EPROTO);
	assert_null(find(f, BRK_FX_WELCOME));
	cursors[KW_NORMAL].sequence = most + 1;
	hello_from(f, 1, 1, cursors);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EPROTO);
	cursors[KW_NORMAL].sequence = most;
	hello_from(f, 1, 1, cursors);
	want(f, BRK_FX_WELCOME);
	rows(f, 1, KW_NORMAL, NULL, 0);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	assert_int_equal(want(f, BRK_FX_APPEND)->sequence, most + 1);
}

static void test_urgent_overtakes(void **state)
{
	struct fix *f = *state;
	f->limits.out_bytes_max = 1;
	start(f);
	hello(f, 0, 0);
	hello(f, 1, 1);
	message(f, 0, KW_BULK, 1, 1);
	committed(f);
	assert_int_equal(want(f, BRK_FX_SEND)->msg_class, KW_BULK);
	message(f, 0, KW_NORMAL, 1, 1);
	message(f, 0, KW_URGENT, 1, 1);
	committed(f);
	assert_null(find(f, BRK_FX_SEND));
	struct brk_event drained = {.type = BRK_EV_DRAINED, .u.conn = 1};
	step(f, &drained);
	assert_int_equal(count(f, BRK_FX_SEND), 1);
	assert_int_equal(want(f, BRK_FX_SEND)->msg_class, KW_URGENT);
}

/* Each refusal: one notice in the sender's queue and the cursor, in one transaction; nothing in the recipient's. */
static void refused(struct fix *f, enum kw_err reason, uint32_t retry_after_ms)
{
	assert_null(find(f, BRK_FX_APPEND));
	const struct brk_effect *notice = want(f, BRK_FX_NOTICE);
	assert_int_equal(notice->slot, 0);
	assert_int_equal(notice->u.notice.reason, reason);
	assert_int_equal(notice->u.notice.retry_after_ms, retry_after_ms);
	assert_int_equal(notice->ticket, want(f, BRK_FX_CURSOR)->ticket);
	assert_null(find(f, BRK_FX_KEEP));
	assert_true(noted(f, BRK_NOTE_REFUSED));
}

static void test_refusals_are_notices(void **state)
{
	struct fix *f = *state;
	f->limits.queue_messages_max = 2;
	f->limits.urgent_messages_max = 1;
	start(f);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, BRK_SLOT_NONE);
	refused(f, KW_ENOAGENCY, 0);
	committed(f);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.cursors[KW_NORMAL].sequence, 1);
	assert_int_equal(want(f, BRK_FX_REFILL)->msg_class, KW_CONTROL);
	message(f, 0, KW_NORMAL, 2, 3); /* a slot without an agency */
	refused(f, KW_ENOAGENCY, 0);
	message(f, 0, KW_NORMAL, 3, 1);
	message(f, 0, KW_BULK, 1, 1); /* at the limit */
	want(f, BRK_FX_APPEND);
	message(f, 0, KW_NORMAL, 4, 1);
	refused(f, KW_EFULL, 1234);
	message(f, 0, KW_URGENT, 1, 1); /* its own quota */
	want(f, BRK_FX_APPEND);
	message(f, 0, KW_URGENT, 2, 1);
	refused(f, KW_EFULL, 1234);
	message_at(f, (struct brk_message){.msg_class = KW_NORMAL, .sequence = 5, .to_slot = 2, .expiry_hour = HOUR});
	refused(f, KW_EEXPIRED, 0);
	message_at(f, (struct brk_message){.msg_class = KW_NORMAL, .sequence = 6, .to_slot = 2, .expiry_hour = HOUR + 1});
	want(f, BRK_FX_APPEND);
	message_at(f, (struct brk_message){.msg_class = KW_NORMAL, .sequence = 7, .to_slot = 2, .err = KW_EFORMAT});
	refused(f, KW_EFORMAT, 0);
	agency(f, 2, true);
	message(f, 0, KW_NORMAL, 8, 2);
	refused(f, KW_ENOAGENCY, 0);
}

/* A sender that never takes its notices gets no more credit, also not by connecting again; nothing is skipped. */
static void test_notices_have_a_quota(void **state)
{
	struct fix *f = *state;
	f->limits.notices_max = 2;
	start(f);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, BRK_SLOT_NONE);
	committed(f);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.credits[KW_NORMAL].messages, 17);
	message(f, 0, KW_NORMAL, 2, BRK_SLOT_NONE);
	refused(f, KW_ENOAGENCY, 0);
	committed(f);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.credits[KW_NORMAL].messages, 17);
	struct brk_event down = {.type = BRK_EV_CONN_DOWN, .u.conn = 0};
	step(f, &down);
	hello(f, 0, 0);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.cursors[KW_NORMAL].sequence, 2);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.credits[KW_URGENT].messages, 0);
	struct brk_entry notices[] = {{.sequence = 1, .box = 101, .size = SIZE}, {.sequence = 2, .box = 102, .size = SIZE}};
	rows(f, 0, KW_CONTROL, notices, 2);
	assert_int_equal(count(f, BRK_FX_SEND), 2);
	acked(f, 0, KW_CONTROL, 1); /* it takes one */
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.credits[KW_NORMAL].messages, 16);
}

static void test_full_queue_in_bytes(void **state)
{
	struct fix *f = *state;
	f->limits.queue_bytes_max = 2 * SIZE;
	start(f);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	message(f, 0, KW_NORMAL, 2, 1);
	want(f, BRK_FX_APPEND);
	message(f, 0, KW_NORMAL, 3, 1);
	refused(f, KW_EFULL, 1234);
}

static void conn_down(struct fix *f, uint32_t conn)
{
	struct brk_event down = {.type = BRK_EV_CONN_DOWN, .u.conn = conn};
	step(f, &down);
}

static void expire_row(struct fix *f, uint64_t sequence, uint32_t expiry_hour)
{
	struct brk_event event = {.type = BRK_EV_EXPIRED};
	event.u.expired.slot = 1;
	event.u.expired.msg_class = KW_NORMAL;
	event.u.expired.entry = (struct brk_entry){.sequence = sequence, .expiry_hour = expiry_hour, .owner_slot = 0};
	step(f, &event);
}

static void test_expired_row_goes_with_a_notice_to_its_owner(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	message(f, 0, KW_NORMAL, 2, 1);
	committed(f);
	expire_row(f, 1, HOUR);
	assert_int_equal(want(f, BRK_FX_REMOVE)->sequence, 1);
	assert_int_equal(want(f, BRK_FX_NOTICE)->u.notice.reason, KW_EEXPIRED); /* never sent: it is certain */
	assert_int_equal(want(f, BRK_FX_NOTICE)->ticket, want(f, BRK_FX_REMOVE)->ticket);
	committed(f);
	expire_row(f, 2, HOUR + 1);
	assert_null(find(f, BRK_FX_REMOVE));
}

/* Hub time is an hour and more ahead of the machine's clock: nothing expires before that one says so. */
static void test_nothing_expires_while_hub_time_is_ahead(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	f->ahead_ms = 2 * UINT64_C(3600000);
	message_at(f, (struct brk_message){.msg_class = KW_NORMAL, .sequence = 1, .to_slot = 1, .expiry_hour = HOUR - 1});
	want(f, BRK_FX_APPEND);
	committed(f);
	expire_row(f, 1, HOUR - 1);
	assert_null(find(f, BRK_FX_REMOVE));
	message_at(f, (struct brk_message){.msg_class = KW_NORMAL, .sequence = 2, .to_slot = 1, .expiry_hour = HOUR - 2});
	refused(f, KW_EEXPIRED, 0);
	f->ahead_ms = UINT64_C(3600000) - 1;
	expire_row(f, 1, HOUR - 1);
	assert_int_equal(want(f, BRK_FX_REMOVE)->sequence, 1);
}

static void test_expired_row_that_was_under_way_may_have_arrived(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 1, 3);
	expire_row(f, 1, HOUR); /* before the crash it may have been sent */
	assert_int_equal(want(f, BRK_FX_NOTICE)->u.notice.reason, KW_EUNCONFIRMED);
	committed(f);
	hello(f, 1, 1); /* the recipient has none of these */
	conn_down(f, 1);
	expire_row(f, 2, HOUR);
	assert_int_equal(want(f, BRK_FX_NOTICE)->u.notice.reason, KW_EEXPIRED);
	committed(f);
	hello(f, 0, 0);
	hello(f, 1, 1);
	struct brk_entry entry = {.sequence = 3, .size = SIZE, .expiry_hour = HOUR + 1};
	rows(f, 1, KW_NORMAL, &entry, 1);
	want(f, BRK_FX_SEND);
	conn_down(f, 1);
	expire_row(f, 3, HOUR); /* its ack is lost */
	assert_int_equal(want(f, BRK_FX_NOTICE)->u.notice.reason, KW_EUNCONFIRMED);
}

static void recall(struct fix *f, uint32_t conn, uint64_t sequence)
{
	struct brk_event event = {.type = BRK_EV_RECALLED};
	event.u.expired.conn = conn;
	event.u.expired.slot = 1;
	event.u.expired.msg_class = KW_NORMAL;
	event.u.expired.entry = (struct brk_entry){.sequence = sequence, .size = SIZE, .expiry_hour = HOUR + 1, .owner_slot = 0};
	step(f, &event);
}

static void test_a_waiting_row_goes_when_its_owner_takes_it_back(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 1, 2);
	hello(f, 0, 0);
	hello(f, 2, 2);
	recall(f, 2, 1); /* not its owner */
	assert_null(find(f, BRK_FX_RECALL));
	recall(f, 5, 1); /* nobody said hello there */
	assert_null(find(f, BRK_FX_RECALL));
	recall(f, 0, 1);
	assert_int_equal(want(f, BRK_FX_RECALL)->sequence, 1);
	assert_null(find(f, BRK_FX_NOTICE)); /* it knows */
	assert_true(noted(f, BRK_NOTE_RECALLED));
	recall(f, 0, 1); /* not durable yet, and read again */
	assert_null(find(f, BRK_FX_RECALL));
	committed(f);
	recall(f, 0, 3); /* never was */
	assert_null(find(f, BRK_FX_RECALL));
}

static void test_a_row_under_way_is_not_taken_back(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 1, 1);
	hello(f, 0, 0);
	hello(f, 1, 1);
	struct brk_entry entry = {.sequence = 1, .box = 9, .size = SIZE, .expiry_hour = HOUR + 1, .owner_slot = 0};
	recall(f, 0, 1); /* it is being read */
	assert_null(find(f, BRK_FX_RECALL));
	rows(f, 1, KW_NORMAL, &entry, 1);
	want(f, BRK_FX_SEND);
	recall(f, 0, 1);
	assert_null(find(f, BRK_FX_RECALL));
}

static void test_expired_row_is_not_sent(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 1, 1);
	hello(f, 1, 1);
	struct brk_entry entry = {.sequence = 1, .box = 9, .size = SIZE, .expiry_hour = HOUR, .owner_slot = 0};
	rows(f, 1, KW_NORMAL, &entry, 1);
	assert_null(find(f, BRK_FX_SEND));
	assert_int_equal(want(f, BRK_FX_DROP)->box, 9);
	want(f, BRK_FX_REMOVE);
	assert_true(noted(f, BRK_NOTE_EXPIRED));
}

/* Found by the simulation: with no place for its notice an expired row stayed at the head of its queue for ever. */
static void test_expiry_without_a_place_is_looked_at_again(void **state)
{
	struct fix *f = *state;
	f->limits.pending_max = 3;
	start(f);
	recovered(f, 1, 1, 1);
	hello(f, 0, 0);
	hello(f, 1, 1);
	message(f, 0, KW_NORMAL, 1, 2);
	message(f, 0, KW_NORMAL, 2, 2);
	struct brk_entry entry = {.sequence = 1, .box = 9, .size = SIZE, .expiry_hour = HOUR, .owner_slot = 0};
	rows(f, 1, KW_NORMAL, &entry, 1);
	assert_null(find(f, BRK_FX_REMOVE));
	committed(f);
	space(f, BRK_SPACE_OK);
	assert_int_equal(want(f, BRK_FX_REMOVE)->sequence, 1);
}

/* Found by the simulation: a reader may see a row whose removal is not durable. */
static void test_expired_row_is_judged_once(void **state)
{
	struct fix *f = *state;
	recovered(f, 1, 1, 2);
	struct brk_event event = {.type = BRK_EV_EXPIRED};
	event.u.expired.slot = 1;
	event.u.expired.msg_class = KW_NORMAL;
	event.u.expired.entry = (struct brk_entry){.sequence = 1, .size = SIZE, .expiry_hour = HOUR, .owner_slot = 0};
	step(f, &event);
	want(f, BRK_FX_REMOVE);
	uint64_t ticket = f->ticket;
	step(f, &event);
	assert_null(find(f, BRK_FX_REMOVE));
	hello(f, 1, 1);
	assert_null(find(f, BRK_FX_REFILL));
	f->ticket = ticket;
	committed(f);
	want(f, BRK_FX_REFILL);
}

/* Found by the simulation: one slow reader held all boxes. */
static void test_scarce_boxes_are_shared(void **state)
{
	struct fix *f = *state;
	f->limits.window_entries = 4;
	start(f);
	for (uint32_t slot = 0; slot < 3; slot++)
		hello(f, slot, slot);
	for (uint64_t i = 1; i <= 4; i++)
		message(f, 0, KW_NORMAL, i, 1);
	committed(f); /* agency 1 holds all */
	assert_int_equal(count(f, BRK_FX_SEND), 4);
	message(f, 0, KW_NORMAL, 5, 2);
	message(f, 0, KW_NORMAL, 6, 1);
	committed(f);
	assert_null(find(f, BRK_FX_REFILL));
	space(f, BRK_SPACE_OK);
	acked(f, 1, KW_NORMAL, 3); /* holds one and its share is one */
	assert_null(find(f, BRK_FX_REFILL));
	space(f, BRK_SPACE_OK);
	assert_int_equal(want(f, BRK_FX_REFILL)->slot, 2);
}

static void test_second_connection_replaces_the_first(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	hello(f, 1, 1);
	message(f, 0, KW_NORMAL, 1, 1);
	hello(f, 2, 1);
	assert_true(noted(f, BRK_NOTE_REPLACED));
	assert_int_equal(want(f, BRK_FX_CLOSE)->conn, 1);
	assert_int_equal(want(f, BRK_FX_DROP)->box, f->box);
	assert_int_equal(want(f, BRK_FX_WELCOME)->conn, 2);
	acked(f, 1, KW_NORMAL, 1); /* from the old one */
	assert_null(find(f, BRK_FX_TRIM));
	committed(f);
	assert_int_equal(want(f, BRK_FX_REFILL)->sequence, 1);
	struct brk_counts counts;
	brk_counts_get(f->brk, &counts);
	assert_int_equal(counts.online, 2);
}

static void test_repeat_is_a_success(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	hello(f, 1, 0); /* a fast reconnect, before the commit */
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.cursors[KW_NORMAL].sequence, 0);
	message(f, 1, KW_NORMAL, 1, 1);
	assert_null(find(f, BRK_FX_APPEND));
	const struct brk_effect *fx = find(f, BRK_FX_ACK);
	assert_true(fx == NULL || (fx->u.ack.cursor_mask & (1u << KW_NORMAL)) == 0);
	committed(f);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.cursors[KW_NORMAL].sequence, 1);
	message(f, 1, KW_NORMAL, 1, 1);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.cursors[KW_NORMAL].sequence, 1);
}

static void test_credit_overrun_ends_the_session(void **state)
{
	struct fix *f = *state;
	f->limits.grant_messages = 2;
	start(f);
	hello(f, 0, 0);
	message(f, 0, KW_NORMAL, 1, 1);
	message(f, 0, KW_NORMAL, 2, 1);
	want(f, BRK_FX_APPEND);
	message(f, 0, KW_NORMAL, 3, 1);
	assert_null(find(f, BRK_FX_APPEND));
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EPROTO);
	committed(f);
	assert_null(find(f, BRK_FX_ACK));
}

static void test_control_class_is_the_hubs_own(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	message(f, 0, KW_CONTROL, 1, 1);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EPROTO);
}

static void test_low_space_stops_new_credit_and_not_the_rest(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	space(f, BRK_SPACE_LOW);
	assert_int_equal(want(f, BRK_FX_ERROR)->u.error.code, KW_ENOSPACE);
	assert_int_equal(want(f, BRK_FX_ERROR)->u.error.scope, 1);
	message(f, 0, KW_NORMAL, 1, 1);
	committed(f);
	assert_int_equal(want(f, BRK_FX_ACK)->u.ack.credits[KW_NORMAL].messages, 16);
	hello(f, 1, 1);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.credits[KW_NORMAL].messages, 0);
	want(f, BRK_FX_REFILL);
	space(f, BRK_SPACE_OK);
	assert_int_equal(count(f, BRK_FX_ACK), 2);
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].type == BRK_FX_ACK)
			assert_true(f->plan->effects[i].u.ack.credits[KW_NORMAL].messages >= 16);
}

/* What credit of better days lets come would be more than is left: its session ends, and the next one starts without. */
static void test_no_space_at_all_takes_the_old_credit_back(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	hello(f, 1, 1);
	message(f, 0, KW_NORMAL, 1, 1);
	committed(f);
	space(f, BRK_SPACE_OUT);
	assert_int_equal(count(f, BRK_FX_ERROR), 2);
	message(f, 0, KW_NORMAL, 2, 1);
	assert_null(find(f, BRK_FX_APPEND));
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_ENOSPACE);
	assert_true(want(f, BRK_FX_ERROR)->u.error.retryable);
	assert_int_equal(want(f, BRK_FX_ERROR)->u.error.retry_after_ms, 1000);
	hello(f, 2, 0);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.credits[KW_NORMAL].messages, 0);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.cursors[KW_NORMAL].sequence, 1);
	acked(f, 1, KW_NORMAL, 1);
	want(f, BRK_FX_TRIM);
	space(f, BRK_SPACE_LOW);
	assert_false(noted(f, BRK_NOTE_SPACE_LOW)); /* it was said */
	space(f, BRK_SPACE_OK);
	assert_true(want(f, BRK_FX_ACK)->u.ack.credits[KW_NORMAL].messages >= 16);
	message(f, 2, KW_NORMAL, 2, 1);
	want(f, BRK_FX_APPEND);
}

/* An agency believes what it was told for refused_retry_ms; while it is so, it hears it again before that is over. */
static void test_low_space_is_told_again(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 0);
	space(f, BRK_SPACE_LOW);
	want(f, BRK_FX_ERROR);
	space(f, BRK_SPACE_LOW);
	assert_null(find(f, BRK_FX_ERROR));
	f->later_ms = f->limits.refused_retry_ms / 2;
	space(f, BRK_SPACE_LOW);
	assert_int_equal(want(f, BRK_FX_ERROR)->u.error.code, KW_ENOSPACE);
	assert_int_equal(want(f, BRK_FX_ERROR)->u.error.retry_after_ms, f->limits.refused_retry_ms);
}

/* A burst of all agencies holds credit back; when it is over, everybody hears of it, not only who was in it. */
static void test_who_was_held_back_is_let_go(void **state)
{
	struct fix *f = *state;
	f->limits.pending_max = 4;
	start(f);
	hello(f, 0, 0);
	for (uint64_t i = 1; i <= 3; i++)
		message(f, 0, KW_NORMAL, i, 1);
	hello(f, 1, 1);
	assert_int_equal(want(f, BRK_FX_WELCOME)->u.welcome.credits[KW_NORMAL].messages, 0);
	committed(f);
	bool told = false;
	for (uint32_t i = 0; i < f->plan->count; i++)
		told = told || (f->plan->effects[i].type == BRK_FX_ACK && f->plan->effects[i].conn == 1 &&
						   f->plan->effects[i].u.ack.credits[KW_NORMAL].messages == 16);
	assert_true(told);
}

static void test_unopened_tells_the_owner(void **state)
{
	struct fix *f = *state;
	hello(f, 1, 1);
	struct brk_event event = {.type = BRK_EV_UNOPENED};
	event.u.unopened.conn = 1;
	event.u.unopened.owner_slot = 0;
	event.u.unopened.unopened = (struct kw_frame_unopened){.msg_class = KW_NORMAL, .sequence = 1};
	step(f, &event);
	const struct brk_effect *fx = want(f, BRK_FX_NOTICE);
	assert_int_equal(fx->slot, 0);
	assert_int_equal(fx->u.notice.reason, KW_EOPEN);
	assert_string_equal(fx->u.notice.agency.text, "b");
	event.u.unopened.owner_slot = BRK_SLOT_NONE;
	step(f, &event);
	assert_null(find(f, BRK_FX_NOTICE));
}

static void test_unknown_and_shut_out_agencies_stay_out(void **state)
{
	struct fix *f = *state;
	hello(f, 0, 3);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EDENIED);
	hello(f, 1, 1);
	want(f, BRK_FX_WELCOME);
	agency(f, 1, true);
	assert_int_equal(want(f, BRK_FX_CLOSE)->conn, 1);
	hello(f, 2, 1);
	assert_null(find(f, BRK_FX_WELCOME));
	agency(f, 1, false);
	hello(f, 3, 1);
	want(f, BRK_FX_WELCOME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_ack_only_after_the_commit),
		T(test_online_recipient_gets_it_without_the_disk),
		T(test_offline_recipient_gets_it_by_refill),
		T(test_resume_after_the_recipients_cursor),
		T(test_cursor_of_another_epoch_counts_as_nothing),
		T(test_recipient_ahead_of_us_never_sees_a_number_twice),
		T(test_impossible_cursor_is_refused),
		T(test_urgent_overtakes),
		T(test_refusals_are_notices),
		T(test_notices_have_a_quota),
		T(test_full_queue_in_bytes),
		T(test_expired_row_goes_with_a_notice_to_its_owner),
		T(test_nothing_expires_while_hub_time_is_ahead),
		T(test_expired_row_that_was_under_way_may_have_arrived),
		T(test_a_waiting_row_goes_when_its_owner_takes_it_back),
		T(test_a_row_under_way_is_not_taken_back),
		T(test_expired_row_is_not_sent),
		T(test_expiry_without_a_place_is_looked_at_again),
		T(test_expired_row_is_judged_once),
		T(test_scarce_boxes_are_shared),
		T(test_second_connection_replaces_the_first),
		T(test_repeat_is_a_success),
		T(test_credit_overrun_ends_the_session),
		T(test_control_class_is_the_hubs_own),
		T(test_low_space_stops_new_credit_and_not_the_rest),
		T(test_no_space_at_all_takes_the_old_credit_back),
		T(test_low_space_is_told_again),
		T(test_who_was_held_back_is_let_go),
		T(test_unopened_tells_the_owner),
		T(test_unknown_and_shut_out_agencies_stay_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
