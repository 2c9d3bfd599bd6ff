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

static void store_thread(struct brk *brk, const struct brk_thread *thread, struct brk_pending *pending)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_THREAD);
	fx->ticket = brk->ticket;
	fx->u.thread = *thread;
	pending->threads++;
	brk->threads_pending++;
}

struct kw_id brk_watch_tracks(struct brk *brk, const struct brk_message *message, uint32_t slot,
	struct brk_pending *pending)
{
	struct kw_id opened = {{0}};
	bool illegal = false, foreign = false;
	KW_ASSERT(message->track_count <= KW_FRAME_TRACKS_MAX);
	for (uint32_t i = 0; i < message->track_count; i++) {
		struct brk_tracked *one = &message->tracks[i];
		inherit(message->tracks, i);
		one->track.from_slot = slot;
		one->track.to_slot = message->to_slot;
		one->track.expiry_hour = message->expiry_hour;
		switch (brk_thread_track(&brk->limits.threads, &one->thread, &one->track, brk->wall_ms)) {
		case BRK_TRACK_OPENED:
			brk->counts.opened++;
			opened = one->track.id;
			store_thread(brk, &one->thread, pending);
			break;
		case BRK_TRACK_MOVED:
			brk->counts.moved++;
			store_thread(brk, &one->thread, pending);
			break;
		case BRK_TRACK_EARLY:
			brk->counts.early++;
			store_thread(brk, &one->thread, pending);
			break;
		case BRK_TRACK_REPEAT:
			break;
		case BRK_TRACK_ILLEGAL:
			brk->counts.illegal++;
			illegal = true;
			break;
		case BRK_TRACK_FOREIGN:
			brk->counts.foreign++;
			foreign = true;
			break;
		}
	}
	if (illegal)
		brk_fx_note(brk, slot, BRK_NOTE_TRACK_ILLEGAL, KW_ESTATE);
	if (foreign)
		brk_fx_note(brk, slot, BRK_NOTE_TRACK_FOREIGN, KW_EDENIED);
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
	*pending = (struct brk_pending){.from_slot = BRK_SLOT_NONE};
	brk->counts.reminders++;
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
	if (brk->pending_count + due.count + 1 > brk->limits.pending_max ||
		brk->threads_pending >= brk->limits.threads_pending_max)
		return;
	struct brk_pending pending = {.from_slot = BRK_SLOT_NONE};
	(void)brk_fx_ticket(brk);
	if (due.over) {
		struct brk_effect *fx = brk_fx(brk, BRK_FX_THREAD_GONE);
		fx->ticket = brk->ticket;
		fx->u.thread.id = thread.id;
		pending.threads++;
		brk->threads_pending++;
		brk->counts.forgotten++;
	} else {
		store_thread(brk, &thread, &pending);
		brk->counts.declared += due.declared;
	}
	for (uint32_t i = 0; i < due.count; i++)
		remind(brk, &thread, &due.alarms[i], &pending);
	/* If nobody could be told, the change itself is still to be counted off. */
	if (pending.threads > 0)
		brk_intake_pending(brk, &pending);
}
