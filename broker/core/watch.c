#include "broker/core/state.h"
#include "proto/base/check.h"

/* Watching threads: what agencies say of them with their messages, and the clocks. A track rides in the transaction of its
 * message; what a clock says rides in the transaction that moves the clock on, so it is said once and not lost. */

static bool is_none(const struct kw_id *id)
{
	static const struct kw_id NONE;
	return kw_id_equal(id, &NONE);
}

/* Of two tracks of one thread, the later one has to see what the earlier one made. */
static void inherit(struct brk_tracked *tracks, uint32_t at)
{
	for (uint32_t i = at; i-- > 0;) {
		if (kw_id_equal(&tracks[i].track.id, &tracks[at].track.id)) {
			tracks[at].thread = tracks[i].thread;
			return;
		}
	}
}

void brk_watch_held(struct brk *brk, uint32_t slot)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_HELD);
	fx->ticket = brk->ticket;
	fx->slot = slot;
	fx->u.held = brk->agencies[slot].held;
	brk->agencies[slot].reminders_kept = fx->u.held.reminders;
}

/* Counts a thread that began or ceased to be open. False when nobody is to be told. */
static bool count_thread(struct brk *brk, const struct brk_thread *thread, bool was_open, bool is_open)
{
	uint32_t slot = brk_thread_payer(thread);
	if (was_open == is_open || slot >= brk->limits.slots_max)
		return false;
	struct brk_held *held = &brk->agencies[slot].held;
	if (is_open)
		held->threads++;
	else if (held->threads > 0)
		held->threads--;
	return true;
}

bool brk_undelivered(struct brk *brk, const struct brk_thread *before, const struct brk_thread *thread, uint32_t *slot,
	struct brk_held *held)
{
	if (!count_thread(brk, thread, brk_thread_is_open(before), brk_thread_is_open(thread)))
		return false;
	*slot = brk_thread_payer(thread);
	*held = brk->agencies[*slot].held;
	return true;
}

static void store_thread(struct brk *brk, const struct brk_thread *thread, bool was_open, struct brk_pending *pending)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_THREAD);
	fx->ticket = brk->ticket;
	fx->u.thread = *thread;
	pending->threads++;
	brk->threads_pending++;
	if (count_thread(brk, thread, was_open, brk_thread_is_open(thread)))
		brk_watch_held(brk, brk_thread_payer(thread));
}

/* A message opens one thread. Who has opened its share waits until some are over: a reminder costs others something too. */
static bool may_open(const struct brk *brk, uint32_t slot, const struct kw_id *opened)
{
	return is_none(opened) && brk->agencies[slot].held.threads < brk->limits.threads_open_max;
}

static void refuse_track(struct brk *brk, uint32_t slot, uint64_t *count, bool *said, enum brk_note code)
{
	static const enum kw_err ERRS[BRK_NOTE_COUNT] = {
		[BRK_NOTE_TRACK_ILLEGAL] = KW_ESTATE, [BRK_NOTE_TRACK_FOREIGN] = KW_EDENIED, [BRK_NOTE_TRACK_OVER] = KW_EFULL};
	(*count)++;
	if (!*said)
		brk_fx_note(brk, slot, code, ERRS[code]);
	*said = true;
}

struct kw_id brk_watch_tracks(struct brk *brk, const struct brk_message *message, uint32_t slot,
	struct brk_pending *pending)
{
	struct kw_id opened = {{0}};
	bool illegal = false, foreign = false, over = false, leased = false;
	KW_ASSERT(message->track_count <= KW_FRAME_TRACKS_MAX);
	for (uint32_t i = 0; i < message->track_count; i++) {
		struct brk_tracked *one = &message->tracks[i];
		inherit(message->tracks, i);
		one->track.from_slot = slot;
		one->track.to_slot = message->to_slot;
		one->track.expiry_hour = message->expiry_hour;
		const struct brk_thread before = one->thread;
		enum brk_verdict verdict = brk_thread_track(&brk->limits.threads, &one->thread, &one->track, brk->wall_ms);
		if (verdict == BRK_TRACK_OPENED && !may_open(brk, slot, &opened)) {
			one->thread = before;
			refuse_track(brk, slot, &brk->counts.over, &over, BRK_NOTE_TRACK_OVER);
			continue;
		}
		switch (verdict) {
		case BRK_TRACK_OPENED:
			brk->counts.opened++;
			opened = one->track.id;
			break;
		case BRK_TRACK_MOVED:
			brk->counts.moved++;
			if (one->track.kind == KW_THREAD_OFFER && one->track.state == KW_OFFER_LEASED) {
				brk->counts.leases++;
				leased = true;
			}
			break;
		case BRK_TRACK_EARLY:
			brk->counts.early++;
			break;
		case BRK_TRACK_REPEAT:
			continue;
		case BRK_TRACK_ILLEGAL:
			refuse_track(brk, slot, &brk->counts.illegal, &illegal, BRK_NOTE_TRACK_ILLEGAL);
			continue;
		case BRK_TRACK_FOREIGN:
			refuse_track(brk, slot, &brk->counts.foreign, &foreign, BRK_NOTE_TRACK_FOREIGN);
			continue;
		}
		store_thread(brk, &one->thread, brk_thread_is_open(&before), pending);
	}
	if (leased)
		brk_fx_note(brk, slot, BRK_NOTE_LEASE, KW_OK);
	return opened;
}

void brk_watch_undeliverable(struct brk *brk, const struct kw_id *thread_id)
{
	if (is_none(thread_id))
		return;
	struct brk_effect *fx = brk_fx(brk, BRK_FX_UNDELIVERABLE);
	fx->ticket = brk->ticket;
	fx->u.thread_id = *thread_id;
}

static bool is_receiver(enum kw_audience audience)
{
	return audience == KW_AUDIENCE_RECEIVER || audience == KW_AUDIENCE_RECEIVER_SUPERVISOR;
}

static uint32_t audience_slot(const struct brk *brk, const struct brk_thread *thread, enum kw_audience audience)
{
	if (audience == KW_AUDIENCE_COORDINATOR)
		return brk->coordinator;
	return thread->slot[is_receiver(audience) ? KW_PARTY_OTHER : KW_PARTY_OPENER];
}

/* The party that is waited for, as the alarm's audience sees it: when both are, each waits for the other. */
static enum kw_party late_party(const struct brk_thread *thread, const struct brk_alarm *alarm)
{
	if (alarm->audience == KW_AUDIENCE_COORDINATOR)
		return brk_thread_waits_for(thread);
	return is_receiver(alarm->audience) == is_receiver(alarm->as) ? KW_PARTY_OTHER : KW_PARTY_OPENER;
}

/* The name of an agency that this store has heard of; NULL when a damaged record names none. */
static const struct kw_name *name_of(const struct brk *brk, uint32_t slot)
{
	return slot < brk->limits.slots_max && brk->agencies[slot].known ? &brk->agencies[slot].name : NULL;
}

/* Puts the alarm into the queue of whom it is for. One that was shut out hears nothing any more. */
static void remind(struct brk *brk, const struct brk_thread *thread, const struct brk_alarm *alarm,
	struct brk_pending *pending)
{
	enum kw_party late = late_party(thread, alarm);
	uint32_t slot = audience_slot(brk, thread, alarm->audience);
	const struct kw_name *agency = name_of(brk, thread->slot[late]);
	const struct kw_name *other = name_of(brk, thread->slot[late == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER]);
	if (name_of(brk, slot) == NULL || brk->agencies[slot].revoked || agency == NULL || other == NULL)
		return;
	brk_intake_control(brk, slot, BRK_FX_REMINDER, pending)->u.reminder = (struct kw_frame_reminder){
		.thread_id = thread->id,
		.kind = thread->kind,
		.clock = alarm->clock,
		.step = alarm->percent,
		.audience = (uint8_t)(alarm->as + 1), /* the schema's 0 is "unspecified" */
		.risk = thread->risk,
		.state = alarm->state,
		.due_unix_ms = alarm->due_ms,
		.late_ms = alarm->late_ms,
		.agency = *agency,
		.other_agency = *other,
	};
	*pending = (struct brk_pending){.from_slot = BRK_SLOT_NONE, .clock = true};
	brk->agencies[slot].held.reminders++;
	brk_watch_held(brk, slot);
	brk->counts.reminders++;
}

/* One that is shut out has room for all: it hears nothing. */
static bool has_room(const struct brk *brk, const struct brk_thread *thread, enum kw_audience audience)
{
	uint32_t slot = audience_slot(brk, thread, audience);
	return !brk_is_admitted(brk, slot) || brk->agencies[slot].held.reminders < brk->limits.reminders_max;
}

/* Leaves out those who have no room. A step they hear of later, in one with those that follow; a word that comes once, the
 * hub's own or that a thread is given up, waits with the whole thread until all have room. False: it waits. */
static bool make_room(struct brk *brk, struct brk_thread *thread, struct brk_due *due)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < due->count; i++) {
		enum kw_audience audience = due->alarms[i].audience;
		if (has_room(brk, thread, audience)) {
			due->alarms[kept++] = due->alarms[i];
			continue;
		}
		if (due->declared || due->over)
			return false;
		brk_thread_owe(thread, audience, brk->wall_ms);
		brk->counts.owed++;
	}
	due->count = kept;
	return true;
}

void brk_watch_due(struct brk *brk, const struct brk_event *event)
{
	struct brk_thread thread = event->u.due;
	struct brk_due due;
	if (thread.due_ms == 0 || thread.due_ms > brk->wall_ms)
		return;
	/* Without room it stays due, and is looked at again. What is left of the disk serves acks and deletes. */
	if (brk->space != BRK_SPACE_OK) {
		if (!brk->clocks_held)
			brk_fx_note(brk, BRK_SLOT_NONE, BRK_NOTE_CLOCKS_HELD, KW_ENOSPACE);
		brk->clocks_held = true;
		return;
	}
	brk_thread_due(&brk->limits.threads, &thread, brk->wall_ms, &due);
	if (!brk_room_for_clock(brk, due.count))
		return;
	struct brk_pending pending = {.from_slot = BRK_SLOT_NONE, .clock = true};
	bool was_open = brk_thread_is_open(&event->u.due);
	if (!make_room(brk, &thread, &due)) {
		thread = event->u.due;
		thread.due_ms = brk->wall_ms + BRK_THREAD_WAIT_MS;
		due = (struct brk_due){.count = 0};
		brk->counts.owed++;
	}
	(void)brk_fx_ticket(brk);
	if (due.over) {
		struct brk_effect *fx = brk_fx(brk, BRK_FX_THREAD_GONE);
		fx->ticket = brk->ticket;
		fx->u.thread.id = thread.id;
		pending.threads++;
		brk->threads_pending++;
		brk->counts.forgotten++;
		if (count_thread(brk, &thread, was_open, false))
			brk_watch_held(brk, brk_thread_payer(&thread));
	} else {
		store_thread(brk, &thread, was_open, &pending);
		brk->counts.declared += due.declared;
	}
	for (uint32_t i = 0; i < due.count; i++)
		remind(brk, &thread, &due.alarms[i], &pending);
	/* If nobody could be told, the change itself is still to be counted off. */
	if (pending.threads > 0)
		brk_intake_pending(brk, &pending);
}
