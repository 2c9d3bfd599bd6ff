/* broker/core/watch.c: tracks and clocks within brk_step. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/core.h"

#define NOW (480000ull * 3600000u)

struct fix {
	struct brk_limits limits;
	void *memory;
	struct brk *brk;
	struct brk_plan *plan;
	uint64_t now_ms;
	uint64_t sequence; /* of the last message */
	uint64_t ticket;   /* the last one */
	struct brk_tracked tracks[KW_FRAME_TRACKS_MAX];
	uint32_t track_count;
};

static void step(struct fix *f, struct brk_event *event)
{
	event->wall_ms = f->now_ms;
	brk_step(f->brk, event, f->plan);
	assert_false(f->plan->more);
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].ticket > f->ticket)
			f->ticket = f->plan->effects[i].ticket;
}

static const struct brk_effect *find(const struct fix *f, enum brk_effect_type type, uint32_t skip)
{
	for (uint32_t i = 0; i < f->plan->count; i++)
		if (f->plan->effects[i].type == type && skip-- == 0)
			return &f->plan->effects[i];
	return NULL;
}

static const struct brk_effect *want(const struct fix *f, enum brk_effect_type type)
{
	const struct brk_effect *fx = find(f, type, 0);
	assert_non_null(fx);
	return fx;
}

static bool noted(const struct fix *f, enum brk_note code)
{
	for (uint32_t i = 0; find(f, BRK_FX_NOTE, i) != NULL; i++)
		if (find(f, BRK_FX_NOTE, i)->u.note.code == code)
			return true;
	return false;
}

static struct brk_counts counts(const struct fix *f)
{
	struct brk_counts out;
	brk_counts_get(f->brk, &out);
	return out;
}

static void agency(struct fix *f, uint32_t slot, bool revoked)
{
	struct brk_event event = {.type = BRK_EV_AGENCY};
	event.u.agency.slot = slot;
	event.u.agency.name.text[0] = (char)('a' + (char)slot);
	event.u.agency.revoked = revoked;
	step(f, &event);
}

static void hello(struct fix *f, uint32_t slot)
{
	struct brk_event event = {.type = BRK_EV_HELLO};
	event.u.hello.conn = slot;
	event.u.hello.slot = slot;
	event.u.hello.hello = (struct kw_frame_hello){.version_min = 1, .version_max = 1, .epoch = 70 + slot};
	step(f, &event);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	f->plan = malloc(sizeof(*f->plan));
	f->now_ms = NOW;
	f->limits = (struct brk_limits){.slots_max = 4, .conns_max = 8, .window_entries = 64, .pending_max = 64,
		.threads_pending_max = 40, .queue_messages_max = 100, .queue_bytes_max = 1 << 20, .urgent_messages_max = 100, .notices_max = 100, .reminders_max = 100, .threads_open_max = 100,
		.grant_messages = 16, .grant_bytes = 1 << 20, .out_bytes_max = 1 << 20, .refused_retry_ms = 1234};
	f->limits.coordinator.text[0] = 'c';
	f->memory = calloc(1, brk_size(&f->limits));
	assert_non_null(f->memory);
	f->brk = brk_init(f->memory, &f->limits);
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = 7};
	step(f, &event);
	for (uint32_t slot = 0; slot < 3; slot++)
		agency(f, slot, false);
	hello(f, 0);
	hello(f, 1);
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

static struct brk_tracked *track(struct fix *f, uint8_t id, uint8_t state, uint32_t other)
{
	struct brk_tracked *one = &f->tracks[f->track_count++];
	*one = (struct brk_tracked){.track = {.id = {{id}}, .kind = KW_THREAD_REFERRAL, .state = state, .risk = KW_RISK_HIGH,
								.sequence = 0, .other_slot = other},
		.thread = {.id = {{id}}}};
	return one;
}

/* A message from agency 0 with the tracks so far. */
static void message(struct fix *f, uint64_t sequence, uint32_t to)
{
	struct brk_event event = {.type = BRK_EV_MESSAGE};
	event.u.message = (struct brk_message){.msg_class = KW_NORMAL, .sequence = sequence, .to_slot = to, .box = sequence,
		.size = 600, .track_count = f->track_count, .tracks = f->tracks, .expiry_hour = 480100};
	event.u.message.envelope_id.bytes[0] = (uint8_t)sequence;
	step(f, &event);
	f->track_count = 0;
}

static void committed(struct fix *f, uint64_t ticket)
{
	struct brk_event event = {.type = BRK_EV_COMMITTED, .u.ticket = ticket};
	step(f, &event);
}

/* Opens a thread with agency 1 and gives its record. */
static struct brk_thread opened(struct fix *f)
{
	(void)track(f, 9, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	return want(f, BRK_FX_THREAD)->u.thread;
}

static void due(struct fix *f, const struct brk_thread *thread)
{
	struct brk_event event = {.type = BRK_EV_DUE, .u.due = *thread};
	step(f, &event);
}

static void test_a_track_rides_on_the_ticket_of_its_message(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	const struct brk_effect *append = want(f, BRK_FX_APPEND);
	assert_int_equal(want(f, BRK_FX_THREAD)->ticket, append->ticket);
	assert_int_equal(append->u.append.entry.thread_id.bytes[0], 9);
	assert_true(thread.slot[0] == 0 && thread.slot[1] == 1 && thread.expiry_hour == 480100);
	assert_int_equal(counts(f).opened, 1);
	message(f, ++f->sequence, 1); /* none: none */
	assert_null(find(f, BRK_FX_THREAD, 0));
	assert_int_equal(want(f, BRK_FX_APPEND)->u.append.entry.thread_id.bytes[0], 0);
}

static void test_a_repeat_and_a_refusal_move_nothing(void **state)
{
	struct fix *f = *state;
	(void)opened(f);
	(void)track(f, 9, KW_REFERRAL_QUEUED, 1);
	message(f, f->sequence, 1);
	assert_null(find(f, BRK_FX_THREAD, 0));
	(void)track(f, 8, KW_REFERRAL_QUEUED, BRK_SLOT_NONE);
	message(f, ++f->sequence, BRK_SLOT_NONE);
	assert_non_null(find(f, BRK_FX_NOTICE, 0));
	assert_null(find(f, BRK_FX_THREAD, 0));
}

static void test_an_illegal_or_foreign_track_is_counted_and_the_message_goes_on(void **state)
{
	struct fix *f = *state;
	(void)track(f, 9, KW_REFERRAL_ACCEPTED, 1);
	track(f, 8, KW_REFERRAL_ACCEPTED, 1)->thread =
		(struct brk_thread){.id = {{8}}, .kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_ACKNOWLEDGED, .slot = {1, 2}};
	(void)track(f, 7, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	assert_non_null(find(f, BRK_FX_APPEND, 0));
	assert_true(want(f, BRK_FX_THREAD)->u.thread.id.bytes[0] == 7 && find(f, BRK_FX_THREAD, 1) == NULL);
	assert_true(noted(f, BRK_NOTE_TRACK_ILLEGAL) && noted(f, BRK_NOTE_TRACK_FOREIGN));
	assert_true(counts(f).illegal == 1 && counts(f).foreign == 1 && counts(f).opened == 1);
}

static void test_two_tracks_of_one_thread_follow_each_other(void **state)
{
	struct fix *f = *state;
	(void)track(f, 9, KW_REFERRAL_QUEUED, 1);
	(void)track(f, 9, KW_REFERRAL_CANCEL_REQUESTED, 1);
	message(f, ++f->sequence, 1);
	assert_int_equal(find(f, BRK_FX_THREAD, 1)->u.thread.state, KW_REFERRAL_CANCEL_REQUESTED);
	assert_int_equal(find(f, BRK_FX_THREAD, 1)->u.thread.slot[1], 1);
}

/* A track of a thread that is there. */
static void moving(struct fix *f, uint8_t id)
{
	track(f, id, KW_REFERRAL_CANCEL_REQUESTED, 1)->thread = (struct brk_thread){.id = {{id}}, .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_QUEUED, .risk = KW_RISK_HIGH, .slot = {0, 1}};
}

static void test_a_message_opens_one_thread(void **state)
{
	struct fix *f = *state;
	for (uint8_t i = 0; i < 32; i++)
		(void)track(f, (uint8_t)(100 + i / 2), i % 2 == 0 ? KW_REFERRAL_QUEUED : KW_REFERRAL_CANCEL_REQUESTED, 1);
	message(f, ++f->sequence, 1);
	assert_true(counts(f).opened == 1 && counts(f).over == 15);
	/* The first one, and what follows it; nothing is made of what follows one that was refused. */
	assert_true(counts(f).moved == 1 && find(f, BRK_FX_THREAD, 1)->u.thread.id.bytes[0] == 100);
	assert_null(find(f, BRK_FX_THREAD, 2));
	assert_true(noted(f, BRK_NOTE_TRACK_OVER) && want(f, BRK_FX_APPEND)->u.append.entry.thread_id.bytes[0] == 100);
	assert_true(want(f, BRK_FX_HELD)->slot == 0 && want(f, BRK_FX_HELD)->ticket == want(f, BRK_FX_APPEND)->ticket);
	assert_true(want(f, BRK_FX_HELD)->u.held.threads == 1 && brk_held_of(f->brk, 0).threads == 1);
}

/* A new core that has what the old one kept. */
static void restarted(struct fix *f, uint32_t slot, struct brk_held held)
{
	memset(f->memory, 0, brk_size(&f->limits));
	f->brk = brk_init(f->memory, &f->limits);
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = 7};
	step(f, &event);
	for (uint32_t i = 0; i < 3; i++)
		agency(f, i, false);
	event = (struct brk_event){.type = BRK_EV_HELD};
	event.u.held.slot = slot;
	event.u.held.held = held;
	step(f, &event);
	f->sequence = 0;
	hello(f, 0);
	hello(f, 1);
}

static void test_an_agency_has_a_quota_of_open_threads(void **state)
{
	struct fix *f = *state;
	restarted(f, 0, (struct brk_held){.threads = 99}); /* of 100 */
	struct brk_thread thread = opened(f);
	assert_int_equal(want(f, BRK_FX_HELD)->u.held.threads, 100);
	committed(f, want(f, BRK_FX_APPEND)->ticket);
	(void)track(f, 10, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	assert_true(find(f, BRK_FX_THREAD, 0) == NULL && find(f, BRK_FX_APPEND, 0) != NULL && counts(f).over == 1);
	/* A closed one makes room, and one that opens again takes it. */
	struct brk_tracked *closed = track(f, 9, KW_REFERRAL_CONSENT_WITHDRAWN, 1);
	closed->thread = thread;
	message(f, ++f->sequence, 1);
	assert_int_equal(want(f, BRK_FX_HELD)->u.held.threads, 99);
	struct brk_thread expired = thread, before = thread;
	uint32_t slot;
	struct brk_held held;
	assert_true(brk_thread_undeliverable(brk_rules(f->brk), &expired, f->now_ms));
	assert_true(brk_undelivered(f->brk, &before, &expired, &slot, &held));
	assert_true(slot == 0 && held.threads == 98);
	struct brk_tracked *again = track(f, 9, KW_REFERRAL_CANCEL_REQUESTED, 1);
	again->thread = thread;
	message(f, ++f->sequence, 1);
	assert_null(find(f, BRK_FX_HELD, 0)); /* it is open as before */
	(void)track(f, 11, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	assert_int_equal(want(f, BRK_FX_HELD)->u.held.threads, 99);
}

static void test_full_of_reminders_it_is_owed_them_and_the_others_hear(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	committed(f, want(f, BRK_FX_APPEND)->ticket);
	struct brk_event event = {.type = BRK_EV_HELD};
	event.u.held.slot = 1;
	event.u.held.held.reminders = 100; /* of 100 */
	step(f, &event);
	f->now_ms = NOW + 900000; /* 50 % and 100 % */
	due(f, &thread);
	for (uint32_t i = 0; find(f, BRK_FX_REMINDER, i) != NULL; i++)
		assert_int_equal(find(f, BRK_FX_REMINDER, i)->slot, 0);
	assert_true(find(f, BRK_FX_REMINDER, 0) != NULL && counts(f).owed == 2);
	thread = want(f, BRK_FX_THREAD)->u.thread;
	assert_true(thread.owed == 3 && thread.due_ms > f->now_ms && thread.run.told == 100);
	committed(f, want(f, BRK_FX_THREAD)->ticket);
	event.u.held.held.reminders = 99;
	step(f, &event);
	f->now_ms = NOW + 1200000;
	thread.due_ms = f->now_ms;
	due(f, &thread);
	assert_true(find(f, BRK_FX_REMINDER, 1) != NULL && find(f, BRK_FX_REMINDER, 2) == NULL);
	assert_true(want(f, BRK_FX_REMINDER)->slot == 1 && want(f, BRK_FX_REMINDER)->u.reminder.step == 100);
	assert_int_equal(brk_held_of(f->brk, 1).reminders, 101);
	assert_int_equal(find(f, BRK_FX_HELD, 1)->u.held.reminders, 101);
	assert_int_equal(find(f, BRK_FX_HELD, 1)->ticket, want(f, BRK_FX_THREAD)->ticket);
}

static void test_what_is_said_once_waits_for_room(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	committed(f, want(f, BRK_FX_APPEND)->ticket);
	thread.state = KW_REFERRAL_DELIVERED;
	thread.due_ms = f->now_ms = 480100ull * 3600000u;
	struct brk_event event = {.type = BRK_EV_HELD};
	event.u.held.slot = 1;
	event.u.held.held.reminders = 100;
	step(f, &event);
	due(f, &thread);
	assert_null(find(f, BRK_FX_REMINDER, 0));
	struct brk_thread later = want(f, BRK_FX_THREAD)->u.thread;
	assert_true(later.state == KW_REFERRAL_DELIVERED && later.run.told == thread.run.told);
	assert_int_equal(later.due_ms, f->now_ms + BRK_THREAD_WAIT_MS); /* behind the others */
	committed(f, want(f, BRK_FX_THREAD)->ticket);
	event.u.held.held.reminders = 0;
	step(f, &event);
	f->now_ms = later.due_ms;
	due(f, &later);
	assert_int_equal(want(f, BRK_FX_THREAD)->u.thread.state, KW_REFERRAL_EXPIRED);
	assert_int_equal(brk_held_of(f->brk, 0).threads, 0);
}

static bool has_credit(struct fix *f, uint32_t slot)
{
	struct brk_event down = {.type = BRK_EV_CONN_DOWN, .u.conn = slot};
	step(f, &down);
	hello(f, slot);
	return want(f, BRK_FX_WELCOME)->u.welcome.credits[KW_NORMAL].messages > 0;
}

/* Others cause reminders: they must not take the credit of whom they are for. */
static void test_reminders_hold_no_credit(void **state)
{
	struct fix *f = *state;
	struct brk_event event = {.type = BRK_EV_QUEUE};
	event.u.queue.slot = 1;
	event.u.queue.msg_class = KW_CONTROL;
	event.u.queue.first = 1;
	event.u.queue.last = event.u.queue.count = 150;
	step(f, &event);
	assert_false(has_credit(f, 1)); /* 150 notices of 100 */
	event = (struct brk_event){.type = BRK_EV_HELD};
	event.u.held.slot = 1;
	event.u.held.held.reminders = 51;
	step(f, &event);
	assert_true(has_credit(f, 1));
}

static void test_threads_under_way_are_bounded(void **state)
{
	struct fix *f = *state;
	for (uint8_t i = 0; i < 32; i++)
		moving(f, (uint8_t)(i + 1));
	message(f, ++f->sequence, 1);
	uint64_t ticket = want(f, BRK_FX_APPEND)->ticket;
	for (uint8_t i = 0; i < 3; i++)
		moving(f, (uint8_t)(i + 101));
	message(f, ++f->sequence, 1); /* 35 in all: the limit, one part in eight of which is the clocks' own */
	assert_non_null(find(f, BRK_FX_APPEND, 0));
	struct brk_thread thread = want(f, BRK_FX_THREAD)->u.thread;
	(void)track(f, 200, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EBUSY);
	committed(f, ticket);
	hello(f, 0);
	(void)track(f, 200, KW_REFERRAL_QUEUED, 1);
	message(f, f->sequence, 1);
	assert_non_null(find(f, BRK_FX_APPEND, 0));
	f->now_ms = thread.due_ms;
	for (uint8_t i = 0; i < 5; i++) { /* the clocks' part */
		due(f, &thread);
		assert_non_null(find(f, BRK_FX_THREAD, 0));
	}
	due(f, &thread);
	assert_int_equal(f->plan->count, 0); /* looked at again later */
	committed(f, f->ticket);
	due(f, &thread);
	assert_non_null(find(f, BRK_FX_THREAD, 0));
}

/* A thread of which all hear at once: a step is due, and all are owed one. */
static struct brk_thread heard_by_all(struct fix *f)
{
	struct brk_thread thread = opened(f);
	thread.run.told = 50;
	thread.owed = (1u << KW_AUDIENCE_COUNT) - 1;
	f->now_ms = thread.due_ms = (uint64_t)thread.run.deadline_ms;
	return thread;
}

static uint32_t reminders(const struct fix *f)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < f->plan->count; i++)
		count += f->plan->effects[i].type == BRK_FX_REMINDER;
	return count;
}

static void limited(struct fix *f, uint32_t pending_max, uint32_t threads_pending_max)
{
	f->limits.pending_max = pending_max;
	f->limits.threads_pending_max = threads_pending_max;
	free(f->memory);
	f->memory = calloc(1, brk_size(&f->limits));
	assert_non_null(f->memory);
	f->brk = brk_init(f->memory, &f->limits);
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = 7};
	step(f, &event);
	for (uint32_t slot = 0; slot < 3; slot++)
		agency(f, slot, false);
	hello(f, 0);
	hello(f, 1);
	f->sequence = 0;
	f->ticket = 0;
}

/* With so little room a thread with many to remind would have waited for ever. */
static void test_limits_that_leave_no_room_are_refused(void **state)
{
	struct fix *f = *state;
	struct brk_limits limits = f->limits;
	assert_null(brk_limits_fault(&limits));
	limits.pending_max = BRK_ALARMS_MAX + 2;
	assert_string_equal(brk_limits_fault(&limits), "pending_max");
	limits.pending_max = BRK_ALARMS_MAX + 3;
	assert_null(brk_limits_fault(&limits));
	limits.threads_pending_max = KW_FRAME_TRACKS_MAX;
	assert_string_equal(brk_limits_fault(&limits), "threads_pending_max");
	limits.threads_pending_max = KW_FRAME_TRACKS_MAX + 1;
	assert_null(brk_limits_fault(&limits));
	limits.threads_pending_max = 0; /* no clocks */
	limits.pending_max = 2;
	assert_null(brk_limits_fault(&limits));
	limits.pending_max = 1;
	assert_string_equal(brk_limits_fault(&limits), "pending_max");
}

static void test_messages_leave_the_clocks_their_room(void **state)
{
	struct fix *f = *state;
	limited(f, BRK_ALARMS_MAX + 3, KW_FRAME_TRACKS_MAX + 1);
	const struct brk_thread thread = heard_by_all(f); /* its message takes all the room that messages have */
	message(f, ++f->sequence, 1);
	assert_int_equal(want(f, BRK_FX_CLOSE)->u.err, KW_EBUSY);
	due(f, &thread);
	assert_true(reminders(f) >= KW_AUDIENCE_COUNT);
}

static void test_clocks_leave_messages_their_room(void **state)
{
	struct fix *f = *state;
	limited(f, BRK_ALARMS_MAX + 3, KW_FRAME_TRACKS_MAX + 1);
	const struct brk_thread thread = heard_by_all(f);
	committed(f, f->ticket);
	uint32_t taken = 0;
	for (; taken < 1000; taken++) {
		due(f, &thread);
		if (reminders(f) == 0)
			break;
	}
	assert_in_range(taken, 1, BRK_ALARMS_MAX); /* then it waits */
	(void)track(f, 8, KW_REFERRAL_QUEUED, 1);
	message(f, ++f->sequence, 1);
	assert_non_null(find(f, BRK_FX_APPEND, 0));
	committed(f, f->ticket);
	due(f, &thread);
	assert_true(reminders(f) >= KW_AUDIENCE_COUNT);
}

static void test_a_due_clock_reminds_on_one_ticket_with_the_record(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	f->now_ms = thread.due_ms - 1;
	due(f, &thread);
	assert_int_equal(f->plan->count, 0);
	f->now_ms = thread.due_ms;
	due(f, &thread);
	const struct brk_effect *record = want(f, BRK_FX_THREAD), *reminder = want(f, BRK_FX_REMINDER);
	assert_true(record->ticket == reminder->ticket && record->u.thread.run.told == 50);
	assert_true(reminder->slot == 1 && reminder->msg_class == KW_CONTROL && reminder->sequence == 1);
	const struct kw_frame_reminder *said = &reminder->u.reminder;
	assert_true(said->step == 50 && said->audience == 1 && said->clock == 1 && said->kind == KW_THREAD_REFERRAL);
	assert_true(said->risk == KW_RISK_HIGH && said->state == KW_REFERRAL_QUEUED && said->late_ms == 0);
	assert_true(said->due_unix_ms == (int64_t)NOW + 900000 && said->thread_id.bytes[0] == 9);
	assert_true(said->agency.text[0] == 'b' && said->other_agency.text[0] == 'a');
	thread = record->u.thread;
	committed(f, reminder->ticket);
	const struct brk_effect *refill = want(f, BRK_FX_REFILL); /* it is on its way like any row */
	assert_true(refill->slot == 1 && refill->msg_class == KW_CONTROL);

	f->now_ms = NOW + 1350000; /* 150 %: its 100 % was missed and comes with it */
	due(f, &thread);
	uint32_t coordinator = 0, sender = 0;
	for (uint32_t i = 0; find(f, BRK_FX_REMINDER, i) != NULL; i++) {
		coordinator += find(f, BRK_FX_REMINDER, i)->slot == 2;
		sender += find(f, BRK_FX_REMINDER, i)->slot == 0;
		assert_int_equal(find(f, BRK_FX_REMINDER, i)->ticket, want(f, BRK_FX_THREAD)->ticket);
	}
	assert_true(coordinator == 1 && sender == 3);
}

/* Who is late may be the opener, and both may be. */
static void test_a_reminder_names_who_is_late_and_who_waits(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = {.id = {{9}}, .kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_COMPLETED, .slot = {0, 1},
		.due_ms = NOW, .run = {.clock = KW_CLOCK_REVIEW, .risk = KW_RISK_LOW, .started_ms = (int64_t)NOW - 500,
						   .deadline_ms = (int64_t)NOW + 500}};
	due(f, &thread);
	const struct brk_effect *fx = want(f, BRK_FX_REMINDER);
	assert_true(fx->slot == 0 && fx->u.reminder.audience == KW_AUDIENCE_RECEIVER + 1);
	assert_true(fx->u.reminder.agency.text[0] == 'a' && fx->u.reminder.other_agency.text[0] == 'b');
	f->now_ms = NOW + 500;
	due(f, &thread); /* 50 and 100 %: the waiting one is the other */
	fx = find(f, BRK_FX_REMINDER, 2);
	assert_true(fx->slot == 1 && fx->u.reminder.audience == KW_AUDIENCE_SENDER + 1);
	assert_true(fx->u.reminder.agency.text[0] == 'a' && fx->u.reminder.other_agency.text[0] == 'b');

	thread.kind = KW_THREAD_MATCH;
	thread.state = KW_MATCH_CANDIDATE;
	f->now_ms = NOW;
	due(f, &thread);
	for (uint32_t i = 0; i < 2; i++) {
		fx = find(f, BRK_FX_REMINDER, i);
		assert_non_null(fx);
		assert_int_equal(fx->u.reminder.audience, KW_AUDIENCE_RECEIVER + 1);
		assert_int_equal(fx->u.reminder.agency.text[0], (char)('a' + (char)fx->slot));
	}
	assert_int_not_equal(find(f, BRK_FX_REMINDER, 0)->slot, find(f, BRK_FX_REMINDER, 1)->slot);
}

/* The coordinator has no part in the delay: it hears which of the two is late. */
static void test_the_coordinator_hears_who_is_late(void **state)
{
	struct fix *f = *state;
	static const struct {
		uint8_t kind, state, clock;
		char late;
	} rows[] = {{KW_THREAD_REFERRAL, KW_REFERRAL_COMPLETED, KW_CLOCK_REVIEW, 'a'},
		{KW_THREAD_REFERRAL, KW_REFERRAL_ACCEPTED, KW_CLOCK_SERVICE, 'b'},
		{KW_THREAD_TRANSFER, KW_TRANSFER_REQUESTED, KW_CLOCK_DECIDED, 'a'},
		{KW_THREAD_TRANSFER, KW_TRANSFER_ACCEPTED, KW_CLOCK_HANDOVER, 'b'}};
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct brk_thread thread = {.id = {{(uint8_t)(9 + row)}}, .kind = rows[row].kind, .state = rows[row].state,
			.slot = {0, 1}, .due_ms = NOW, .run = {.clock = rows[row].clock, .risk = KW_RISK_LOW, .told = 100,
				.started_ms = (int64_t)NOW - 1500, .deadline_ms = (int64_t)NOW - 500}};
		uint32_t heard = 0;
		due(f, &thread);
		for (uint32_t i = 0; find(f, BRK_FX_REMINDER, i) != NULL; i++) {
			const struct brk_effect *fx = find(f, BRK_FX_REMINDER, i);
			if (fx->slot != 2)
				continue;
			heard++;
			assert_int_equal(fx->u.reminder.step, 150);
			assert_int_equal(fx->u.reminder.agency.text[0], rows[row].late);
			assert_int_equal(fx->u.reminder.other_agency.text[0], rows[row].late == 'a' ? 'b' : 'a');
		}
		assert_int_equal(heard, 1);
	}
}

static void test_nobody_to_remind_is_no_reason_to_stop(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	agency(f, 1, true);
	f->now_ms = thread.due_ms;
	due(f, &thread);
	assert_null(find(f, BRK_FX_REMINDER, 0)); /* it was shut out */
	assert_int_equal(want(f, BRK_FX_THREAD)->u.thread.run.told, 50);
	thread.slot[1] = 3; /* nobody of that slot was ever heard of */
	due(f, &thread);
	assert_null(find(f, BRK_FX_REMINDER, 0));
	assert_non_null(find(f, BRK_FX_THREAD, 0));
	committed(f, want(f, BRK_FX_THREAD)->ticket);
}

static void test_a_low_disk_holds_reminders_back(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = opened(f);
	struct brk_event event = {.type = BRK_EV_SPACE, .u.space = BRK_SPACE_LOW};
	step(f, &event);
	assert_false(noted(f, BRK_NOTE_CLOCKS_HELD)); /* none is due */
	f->now_ms = thread.due_ms;
	due(f, &thread);
	assert_true(f->plan->count == 1 && noted(f, BRK_NOTE_CLOCKS_HELD));
	due(f, &thread);
	assert_int_equal(f->plan->count, 0); /* said once */
	event.u.space = BRK_SPACE_OUT;
	step(f, &event);
	assert_false(noted(f, BRK_NOTE_CLOCKS_GO_ON));
	event.u.space = BRK_SPACE_OK;
	step(f, &event);
	assert_true(noted(f, BRK_NOTE_CLOCKS_GO_ON));
	due(f, &thread);
	assert_non_null(find(f, BRK_FX_REMINDER, 0));
	event.u.space = BRK_SPACE_LOW;
	step(f, &event);
	event.u.space = BRK_SPACE_OK;
	step(f, &event);
	assert_false(noted(f, BRK_NOTE_CLOCKS_GO_ON)); /* nothing was held back */
}

static void test_an_expired_opening_message_takes_its_thread_along(void **state)
{
	struct fix *f = *state;
	struct brk_event down = {.type = BRK_EV_CONN_DOWN, .u.conn = 1};
	step(f, &down);
	(void)opened(f);
	struct brk_event event = {.type = BRK_EV_EXPIRED};
	event.u.expired.slot = 1;
	event.u.expired.msg_class = KW_NORMAL;
	event.u.expired.entry = want(f, BRK_FX_APPEND)->u.append.entry;
	committed(f, want(f, BRK_FX_APPEND)->ticket);
	f->now_ms = 480100ull * 3600000u;
	step(f, &event);
	const struct brk_effect *fx = want(f, BRK_FX_UNDELIVERABLE);
	assert_int_equal(fx->u.thread_id.bytes[0], 9);
	assert_true(fx->ticket == want(f, BRK_FX_REMOVE)->ticket && fx->ticket == want(f, BRK_FX_NOTICE)->ticket);
}

static void test_one_that_cannot_be_opened_does_too(void **state)
{
	struct fix *f = *state;
	struct brk_event event = {.type = BRK_EV_UNOPENED};
	event.u.unopened.conn = 1;
	event.u.unopened.owner_slot = 0;
	step(f, &event);
	assert_null(find(f, BRK_FX_UNDELIVERABLE, 0));
	event.u.unopened.thread_id.bytes[0] = 9;
	step(f, &event);
	assert_int_equal(want(f, BRK_FX_UNDELIVERABLE)->ticket, want(f, BRK_FX_NOTICE)->ticket);
}

static void test_one_whose_key_is_gone_goes_on(void **state)
{
	struct fix *f = *state;
	struct brk_event event = {.type = BRK_EV_UNOPENED};
	event.u.unopened.conn = 1;
	event.u.unopened.owner_slot = 0;
	event.u.unopened.thread_id.bytes[0] = 9;
	event.u.unopened.unopened.key_gone = true;
	step(f, &event);
	assert_int_equal(want(f, BRK_FX_NOTICE)->u.notice.reason, KW_EKEYGONE);
	assert_null(find(f, BRK_FX_UNDELIVERABLE, 0)); /* its owner seals it anew */
}

static void test_a_thread_that_is_over_is_forgotten(void **state)
{
	struct fix *f = *state;
	struct brk_thread thread = {.id = {{9}}, .kind = KW_THREAD_REFERRAL, .state = KW_REFERRAL_CLOSED, .slot = {0, 1},
		.due_ms = NOW};
	due(f, &thread);
	assert_int_equal(want(f, BRK_FX_THREAD_GONE)->u.thread.id.bytes[0], 9);
	assert_null(find(f, BRK_FX_REMINDER, 0));
	assert_int_equal(counts(f).forgotten, 1);
	committed(f, want(f, BRK_FX_THREAD_GONE)->ticket);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_track_rides_on_the_ticket_of_its_message),
		TEST(test_a_repeat_and_a_refusal_move_nothing),
		TEST(test_an_illegal_or_foreign_track_is_counted_and_the_message_goes_on),
		TEST(test_two_tracks_of_one_thread_follow_each_other),
		TEST(test_a_message_opens_one_thread),
		TEST(test_an_agency_has_a_quota_of_open_threads),
		TEST(test_full_of_reminders_it_is_owed_them_and_the_others_hear),
		TEST(test_what_is_said_once_waits_for_room),
		TEST(test_reminders_hold_no_credit),
		TEST(test_threads_under_way_are_bounded),
		TEST(test_limits_that_leave_no_room_are_refused),
		TEST(test_messages_leave_the_clocks_their_room),
		TEST(test_clocks_leave_messages_their_room),
		TEST(test_a_due_clock_reminds_on_one_ticket_with_the_record),
		TEST(test_a_reminder_names_who_is_late_and_who_waits),
		TEST(test_the_coordinator_hears_who_is_late),
		TEST(test_nobody_to_remind_is_no_reason_to_stop),
		TEST(test_a_low_disk_holds_reminders_back),
		TEST(test_an_expired_opening_message_takes_its_thread_along),
		TEST(test_one_that_cannot_be_opened_does_too),
		TEST(test_one_whose_key_is_gone_goes_on),
		TEST(test_a_thread_that_is_over_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
