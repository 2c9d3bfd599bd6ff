#include <time.h>
#include <uv.h>

#include "broker/shell/hub_inner.h"
#include "proto/link/log.h"

/* Threads and the time that their clocks run on:
 *
 *   a message's tracks → what is known of their threads → the core → records in the message's transaction
 *   tick → threads whose time has come, in their order → the core → reminders and records in one transaction
 *
 * What can fail: reading the store, which is final as everywhere. */

static int64_t milliseconds(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A machine that was asleep has not jumped: the second clock goes on in sleep. */
static void machine_clock(void *user, int64_t *wall_ms, int64_t *mono_ms)
{
	(void)user;
	*wall_ms = milliseconds(CLOCK_REALTIME);
	*mono_ms = milliseconds(CLOCK_BOOTTIME);
}

void hub_time_start(struct hub *hub, const struct hub_options *options)
{
	int64_t wall_ms, mono_ms;
	hub->clock = options->clock != NULL ? options->clock : machine_clock;
	hub->clock_user = options->clock_user;
	hub->clock(hub->clock_user, &wall_ms, &mono_ms);
	kw_hub_time_start(&hub->time, (int64_t)store_time(hub->store), wall_ms, mono_ms);
	hub->time_kept_ms = hub->time.hub_ms;
}

uint64_t hub_time_now(struct hub *hub)
{
	int64_t wall_ms, mono_ms;
	/* Many events share a turn of the loop; they share its time too, and two looks at a clock. */
	uint64_t turn_ms = uv_now(hub->loop);
	if (turn_ms == hub->turn_ms && hub->clock == machine_clock)
		return (uint64_t)hub->time.hub_ms;
	hub->turn_ms = turn_ms;
	hub->clock(hub->clock_user, &wall_ms, &mono_ms);
	return (uint64_t)kw_hub_time_now(&hub->time, wall_ms, mono_ms);
}

/* Says loudly that the wall clock cannot be right, and that clocks do not follow it at once. */
static void say_apart(struct hub *hub)
{
	int64_t apart_ms = hub->time.apart_ms;
	bool apart = apart_ms > KW_HUB_TIME_APART_MS_MAX || apart_ms < -KW_HUB_TIME_APART_MS_MAX;
	int64_t now_ms = hub->time.mono_ms + 1; /* not 0 */
	if (!apart && hub->time_said_ms != 0) {
		kw_log(KW_LOG_INFO, "clock_agrees");
		hub->time_said_ms = 0;
	} else if (apart && (hub->time_said_ms == 0 || now_ms - hub->time_said_ms >= HUB_TIME_SAID_MS)) {
		kw_log(KW_LOG_ERROR, "clock_jumped", KW_LOG_INT("apart_ms", apart_ms),
			KW_LOG_STR("action", "hub time goes on as before and follows by a tenth; correct the machine's clock, "
								 "or restart the broker if the clock is right"));
		hub->time_said_ms = now_ms;
	}
}

void hub_time_keep(struct hub *hub, bool now)
{
	if (hub->store == NULL || hub->clock == NULL)
		return;
	say_apart(hub);
	if (!hub->written || (!now && hub->time.hub_ms - hub->time_kept_ms < HUB_TIME_KEPT_MS))
		return;
	hub->written = false;
	hub->time_kept_ms = hub->time.hub_ms;
	store_put_time(hub->store, hub->ticket, (uint64_t)hub->time.hub_ms);
}

/* The record of a thread as the core knows it. One of a later version, which the start should have found, is not none: it
 * would be written over. */
static enum kw_err unpack(struct hub *hub, const struct store_thread *from, struct brk_thread *out)
{
	*out = (struct brk_thread){.id = from->id};
	enum kw_err err = from->size == 0 ? KW_OK : brk_thread_unpack(KW_VIEW(from->record, from->size), out);
	if (err == KW_OK && from->size > 0)
		out->due_ms = from->due_ms;
	if (err == KW_OK)
		return KW_OK;
	kw_log(KW_LOG_ERROR, "thread_unknown", KW_LOG_ERR(err),
		KW_LOG_STR("text", "The store has a thread that a later version wrote: start that version."));
	hub->wire.fatal(hub->wire.user, err);
	return err;
}

uint32_t hub_thread_payer(const uint8_t *record, uint32_t size)
{
	struct brk_thread thread = {.kind = KW_THREAD_NONE};
	bool counts = brk_thread_unpack(KW_VIEW(record, size), &thread) == KW_OK && brk_thread_is_open(&thread);
	return counts ? brk_thread_payer(&thread) : STORE_SLOT_NONE;
}

static void put(struct hub *hub, uint64_t ticket, const struct brk_thread *thread)
{
	struct store_thread row = {.id = thread->id, .due_ms = thread->due_ms, .size = BRK_THREAD_SIZE};
	brk_thread_pack(row.record, thread);
	store_put_thread(hub->store, ticket, &row);
}

enum kw_err hub_tracks(struct hub *hub, struct kw_view tracks, struct brk_message *message)
{
	struct kw_frame_track parsed[KW_FRAME_TRACKS_MAX];
	struct store_thread known[KW_FRAME_TRACKS_MAX];
	uint32_t count;
	enum kw_err err = kw_frame_tracks_parse(tracks, parsed, &count);
	if (err != KW_OK)
		return err;
	for (uint32_t i = 0; i < count; i++)
		known[i].id = parsed[i].thread_id;
	err = store_get_threads(hub->store, known, count);
	if (err != KW_OK) {
		hub->wire.fatal(hub->wire.user, err);
		return err;
	}
	for (uint32_t i = 0; i < count && err == KW_OK; i++) {
		hub->tracks[i].track = (struct brk_track){
			.id = parsed[i].thread_id,
			.kind = parsed[i].kind,
			.state = parsed[i].state,
			.risk = parsed[i].risk,
			.sequence = parsed[i].sequence,
			.other_slot = roster_find(hub->roster, &parsed[i].other_agency),
			.present = parsed[i].present,
			.heard = parsed[i].heard,
		};
		err = unpack(hub, &known[i], &hub->tracks[i].thread);
	}
	message->track_count = count;
	message->tracks = hub->tracks;
	return err;
}

void hub_due(struct hub *hub)
{
	uint32_t count = 0;
	enum kw_err err = store_due(hub->store, hub_time_now(hub), HUB_DUE_MAX, hub->due, &count);
	if (err != KW_OK) {
		hub->wire.fatal(hub->wire.user, err);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct brk_event event = {.type = BRK_EV_DUE};
		if (unpack(hub, &hub->due[i], &event.u.due) != KW_OK)
			return;
		event.u.due.due_ms = hub->due[i].due_ms;
		hub_event(hub, &event);
	}
}

void hub_thread_change(struct hub *hub, const struct brk_effect *fx)
{
	struct brk_thread thread;
	struct store_thread row = {.size = 0};
	if (fx->type == BRK_FX_THREAD) {
		put(hub, fx->ticket, &fx->u.thread);
		return;
	}
	if (fx->type == BRK_FX_THREAD_GONE) {
		row.id = fx->u.thread.id;
		store_put_thread(hub->store, fx->ticket, &row);
		return;
	}
	row.id = fx->u.thread_id;
	enum kw_err err = store_get_threads(hub->store, &row, 1);
	if (err != KW_OK) {
		hub->wire.fatal(hub->wire.user, err);
		return;
	}
	if (unpack(hub, &row, &thread) != KW_OK)
		return;
	const struct brk_thread before = thread;
	if (!brk_thread_undeliverable(brk_rules(hub->brk), &thread, (uint64_t)hub->time.hub_ms))
		return;
	put(hub, fx->ticket, &thread);
	uint32_t slot;
	struct brk_held held;
	if (brk_undelivered(hub->brk, &before, &thread, &slot, &held))
		store_put_held(hub->store, fx->ticket, slot, held.threads, held.reminders);
}
