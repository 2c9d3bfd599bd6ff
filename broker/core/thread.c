#include "broker/core/thread.h"

#include <string.h>

#define HOUR_MS UINT64_C(3600000)
/* The search for expired rows goes once an hour; until it must have come by, UNDELIVERABLE is the better word. */
#define UNDELIVERED_GRACE_MS (2u * HOUR_MS)
/* A record of version 1 has neither opener nor debts, at its end. */
#define RECORD_SIZE_1 53u

static struct kw_clock_thread clock_thread(const struct brk_thread *thread)
{
	return (struct kw_clock_thread){
		.kind = (enum kw_thread_kind)thread->kind, .state = thread->state, .risk = (enum kw_risk)thread->risk};
}

/* When an unacknowledged referral is over; 0 when it will not be. */
static uint64_t expiry_ms(const struct brk_thread *thread)
{
	if (thread->kind != KW_THREAD_REFERRAL || thread->expiry_hour == 0)
		return 0;
	if (thread->state == KW_REFERRAL_DELIVERED)
		return thread->expiry_hour * HOUR_MS;
	return thread->state == KW_REFERRAL_QUEUED ? thread->expiry_hour * HOUR_MS + UNDELIVERED_GRACE_MS : 0;
}

bool brk_thread_is_open(const struct brk_thread *thread)
{
	return thread->kind != KW_THREAD_NONE && kw_state_is_open((enum kw_thread_kind)thread->kind, thread->state);
}

uint32_t brk_thread_payer(const struct brk_thread *thread)
{
	return thread->slot[thread->first == KW_PARTY_OTHER ? KW_PARTY_OTHER : KW_PARTY_OPENER];
}

/* Both holders have confirmed; what is left to say is the hub's, and at once. */
static bool is_to_link(const struct brk_thread *thread)
{
	return thread->kind == KW_THREAD_MATCH && thread->state == KW_MATCH_CONFIRMED_BOTH;
}

static bool is_owed(const struct brk_thread *thread)
{
	return thread->owed != 0 && thread->run.told > 0;
}

static void look_again(struct brk_thread *thread, uint64_t now_ms)
{
	if (thread->due_ms == 0 || thread->due_ms > now_ms + BRK_THREAD_WAIT_MS)
		thread->due_ms = now_ms + BRK_THREAD_WAIT_MS;
}

void brk_thread_owe(struct brk_thread *thread, enum kw_audience audience, uint64_t now_ms)
{
	thread->owed |= (uint8_t)(1u << audience);
	look_again(thread, now_ms);
}

/* Sets due_ms. A thread that is over stays for a while, for what comes late; one that is open and of which nothing is to be
 * said any more stays as long, for an answer. */
static void set_due(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms)
{
	int64_t next_ms = kw_clock_next_ms(&thread->run);
	uint64_t expiry = expiry_ms(thread);
	thread->due_ms = next_ms == INT64_MAX ? 0 : (uint64_t)next_ms;
	if (expiry != 0 && (thread->due_ms == 0 || expiry < thread->due_ms))
		thread->due_ms = expiry;
	if (thread->due_ms == 0)
		thread->due_ms = now_ms + rules->keep_ms;
	if (is_to_link(thread))
		thread->due_ms = now_ms;
	if (is_owed(thread))
		look_again(thread, now_ms);
}

enum declared {
	REFUSED,
	REPEATED, /* says nothing new */
	TAKEN,    /* an answer that came late: it moves nothing, so it does not move the clock */
	CHANGED
};

static enum declared declare(const struct brk_thread_rules *rules, struct brk_thread *thread, uint8_t event,
	enum kw_party author, uint64_t now_ms)
{
	uint8_t next = 0;
	switch (kw_state_apply((enum kw_thread_kind)thread->kind, thread->state, event, author, &next)) {
	case KW_VERDICT_ILLEGAL:
		return REFUSED;
	case KW_VERDICT_REPEAT:
		return REPEATED;
	case KW_VERDICT_APPLY:
		break;
	}
	if (next == thread->state && event != next)
		return TAKEN;
	thread->state = next;
	const struct kw_clock_thread now = clock_thread(thread);
	kw_clock_move(&thread->run, &rules->limits, &now, (int64_t)now_ms);
	if (thread->run.told == 0)
		thread->owed = 0; /* of a clock that has stopped, or starts anew */
	return CHANGED;
}

/* Takes what was early and fits now; forgets what has been overtaken, or fits nowhere though nothing is missing. */
static void take_early(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms)
{
	for (int party = KW_PARTY_OPENER; party <= KW_PARTY_OTHER;) {
		uint32_t sequence = thread->early_sequence[party];
		enum declared result = REFUSED;
		bool waits = thread->early_state[party] != 0;
		if (waits && sequence > thread->sequence[party])
			result = declare(rules, thread, thread->early_state[party], (enum kw_party)party, now_ms);
		if (waits && (result != REFUSED || sequence <= thread->sequence[party] + 1)) {
			thread->early_state[party] = 0;
			thread->early_sequence[party] = 0;
			if (result != REFUSED)
				thread->sequence[party] = sequence;
		}
		party = result == CHANGED ? KW_PARTY_OPENER : party + 1; /* what moved may have made the other one fit */
	}
}

static enum brk_verdict open_thread(const struct brk_thread_rules *rules, struct brk_thread *thread,
	const struct brk_track *track, uint64_t now_ms)
{
	enum kw_party author = kw_state_first_author((enum kw_thread_kind)track->kind, track->state);
	if ((author != KW_PARTY_OPENER && author != KW_PARTY_OTHER) || track->risk >= KW_RISK_COUNT)
		return BRK_TRACK_ILLEGAL;
	/* Nobody is reminded of what was never sent to it. */
	if (track->other_slot != track->to_slot)
		return BRK_TRACK_ILLEGAL;
	struct brk_thread fresh = {
		.id = track->id, .kind = track->kind, .risk = track->risk, .expiry_hour = track->expiry_hour,
		.first = (uint8_t)author};
	if (declare(rules, &fresh, track->state, author, now_ms) != CHANGED)
		return BRK_TRACK_ILLEGAL;
	fresh.slot[author] = track->from_slot;
	fresh.slot[author == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER] = track->other_slot;
	fresh.sequence[author] = track->sequence;
	set_due(rules, &fresh, now_ms);
	*thread = fresh;
	return BRK_TRACK_OPENED;
}

static enum brk_verdict move_thread(const struct brk_thread_rules *rules, struct brk_thread *thread,
	const struct brk_track *track, enum kw_party author, uint64_t now_ms)
{
	struct brk_thread moved = *thread;
	/* How urgent a case is says who has it. The one that is waited for would only win time by it. */
	if (author == KW_PARTY_OPENER)
		moved.risk = track->risk;
	enum declared result = declare(rules, &moved, track->state, author, now_ms);
	if (result == REFUSED) {
		/* With something missing before it, it may be right later. */
		if (track->sequence <= thread->sequence[author] + 1)
			return BRK_TRACK_ILLEGAL;
		thread->early_state[author] = track->state;
		thread->early_sequence[author] = track->sequence;
		return BRK_TRACK_EARLY;
	}
	/* A new risk moves the clock, so it needs an event that does. */
	if (result != CHANGED)
		moved.risk = thread->risk;
	if (track->sequence != 0)
		moved.sequence[author] = track->sequence;
	else if (result != CHANGED)
		return BRK_TRACK_REPEAT;
	/* It moved nothing, and yet somebody did something. */
	if (result != CHANGED)
		kw_clock_touch(&moved.run, (int64_t)now_ms);
	if (moved.run.told == 0)
		moved.owed = 0;
	take_early(rules, &moved, now_ms);
	/* The time of removal counts from the last event, a clock's from where it started. */
	set_due(rules, &moved, now_ms);
	*thread = moved;
	return BRK_TRACK_MOVED;
}

/* Whether this event of this party's can lead to `present` at all, from whatever state. */
static bool leads_to(const struct brk_track *track, enum kw_party author)
{
	for (uint8_t state = 1; state < KW_STATE_MAX; state++) {
		uint8_t next = 0;
		if (kw_state_apply((enum kw_thread_kind)track->kind, state, track->state, author, &next) == KW_VERDICT_APPLY &&
			next == track->present)
			return true;
	}
	return false;
}

/* What the hub has declared itself stands until a party's event moves it: the agents may not have heard it yet. */
static bool is_declared(const struct brk_thread *thread)
{
	for (uint8_t state = 0; state < KW_STATE_MAX; state++)
		if (kw_state_may_declare((enum kw_thread_kind)thread->kind, state, thread->state, KW_PARTY_HUB))
			return true;
	return false;
}

/* Takes the thread to where its author is, if that is somewhere else and the author knows all that we do: then what moved it
 * away has been undone, or never came here. An older word of the author's says nothing, and one that crossed the other
 * party's is for the table to judge. */
static bool correct(const struct brk_thread_rules *rules, struct brk_thread *thread, const struct brk_track *track,
	uint64_t now_ms)
{
	enum kw_party author = track->from_slot == thread->slot[KW_PARTY_OPENER] ? KW_PARTY_OPENER : KW_PARTY_OTHER;
	enum kw_party other = author == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
	if (track->present == 0 || track->present == thread->state || track->sequence == 0 ||
		track->sequence < thread->sequence[author] || track->heard < thread->sequence[other] || is_declared(thread) ||
		!leads_to(track, author))
		return false;
	thread->state = track->present;
	thread->sequence[author] = track->sequence;
	if (author == KW_PARTY_OPENER)
		thread->risk = track->risk;
	const struct kw_clock_thread now = clock_thread(thread);
	kw_clock_move(&thread->run, &rules->limits, &now, (int64_t)now_ms);
	if (thread->run.told == 0)
		thread->owed = 0;
	take_early(rules, thread, now_ms);
	set_due(rules, thread, now_ms);
	return true;
}

enum brk_verdict brk_thread_track(const struct brk_thread_rules *rules, struct brk_thread *thread,
	const struct brk_track *track, uint64_t now_ms)
{
	if (thread->kind == KW_THREAD_NONE)
		return open_thread(rules, thread, track, now_ms);
	bool opener = track->from_slot == thread->slot[KW_PARTY_OPENER];
	bool other = track->from_slot == thread->slot[KW_PARTY_OTHER];
	if (!opener && !other)
		return BRK_TRACK_FOREIGN;
	enum kw_party author = opener ? KW_PARTY_OPENER : KW_PARTY_OTHER;
	if (track->other_slot != thread->slot[opener ? KW_PARTY_OTHER : KW_PARTY_OPENER] || track->kind != thread->kind ||
		track->risk >= KW_RISK_COUNT)
		return BRK_TRACK_ILLEGAL;
	if (track->sequence != 0 && track->sequence <= thread->sequence[author])
		return !(opener && other) && correct(rules, thread, track, now_ms) ? BRK_TRACK_MOVED : BRK_TRACK_REPEAT;
	enum brk_verdict verdict = move_thread(rules, thread, track, author, now_ms);
	/* One agency may hold both ends of a tracing case: it speaks as both. */
	if (verdict == BRK_TRACK_ILLEGAL && opener && other)
		verdict = move_thread(rules, thread, track, KW_PARTY_OTHER, now_ms);
	return !(opener && other) && correct(rules, thread, track, now_ms) ? BRK_TRACK_MOVED : verdict;
}

bool brk_thread_undeliverable(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms)
{
	if (thread->kind != KW_THREAD_REFERRAL ||
		declare(rules, thread, KW_REFERRAL_UNDELIVERABLE, KW_PARTY_HUB, now_ms) != CHANGED)
		return false;
	set_due(rules, thread, now_ms);
	return true;
}

/* Once: at its limit an unclaimed offer is a step of the clock and a word of the hub, and both go to the sender. */
static void alarm_add(struct brk_due *due, const struct brk_alarm *like, enum kw_audience audience,
	enum kw_audience as)
{
	for (uint32_t i = 0; i < due->count; i++) {
		const struct brk_alarm *there = &due->alarms[i];
		if (there->audience == audience && there->as == as && there->percent == like->percent &&
			there->due_ms == like->due_ms)
			return;
	}
	struct brk_alarm *alarm = &due->alarms[due->count++];
	*alarm = *like;
	alarm->audience = audience;
	alarm->as = as;
}

/* The part of this audience in the delay: its party is waited for, or waits. */
static enum kw_audience part_of(const struct brk_thread *thread, enum kw_audience audience)
{
	enum kw_thread_kind kind = (enum kw_thread_kind)thread->kind;
	if (audience == KW_AUDIENCE_COORDINATOR)
		return audience;
	bool for_opener = kw_state_waits_for(kind, thread->state, KW_PARTY_OPENER);
	bool for_other = !for_opener || kw_state_waits_for(kind, thread->state, KW_PARTY_OTHER);
	bool is_other = audience == KW_AUDIENCE_RECEIVER || audience == KW_AUDIENCE_RECEIVER_SUPERVISOR;
	bool supervisor = audience == KW_AUDIENCE_RECEIVER_SUPERVISOR || audience == KW_AUDIENCE_SENDER_SUPERVISOR;
	if (is_other ? for_other : for_opener)
		return supervisor ? KW_AUDIENCE_RECEIVER_SUPERVISOR : KW_AUDIENCE_RECEIVER;
	return supervisor ? KW_AUDIENCE_SENDER_SUPERVISOR : KW_AUDIENCE_SENDER;
}

/* What one that had no room hears in place of what it missed. No supervisor hears of 200% before a thread is given up. */
static uint8_t owed_percent(const struct brk_thread *thread, enum kw_audience part)
{
	uint8_t told = thread->run.told;
	if (part == KW_AUDIENCE_SENDER && told >= 100 && thread->run.clock == KW_CLOCK_DELIVERED &&
		(thread->run.risk == KW_RISK_HIGH || thread->run.risk == KW_RISK_NONE))
		return 200; /* it was told to telephone at 100% already */
	return told > 150 && part != KW_AUDIENCE_SENDER && part != KW_AUDIENCE_RECEIVER ? 150 : told;
}

static void take_owed(struct brk_thread *thread, uint8_t owed, uint64_t now_ms, struct brk_due *due)
{
	struct brk_alarm alarm = {
		.clock = thread->run.clock,
		.due_ms = thread->run.deadline_ms,
		.late_ms = kw_clock_late_ms(&thread->run, (int64_t)now_ms),
	};
	for (int audience = 0; audience < KW_AUDIENCE_COUNT; audience++) {
		bool told = false;
		for (uint32_t i = 0; i < due->count; i++)
			told = told || due->alarms[i].audience == (enum kw_audience)audience;
		enum kw_audience part = part_of(thread, (enum kw_audience)audience);
		alarm.percent = owed_percent(thread, part);
		if (((uint32_t)owed >> audience & 1u) != 0 && !told)
			alarm_add(due, &alarm, (enum kw_audience)audience, part);
	}
}

/* All steps were taken, nobody answered for as long as a thread is kept, and nothing more will come of itself. */
static bool is_silent(const struct brk_thread *thread, uint64_t now_ms)
{
	return brk_thread_is_open(thread) && kw_clock_next_ms(&thread->run) == INT64_MAX && expiry_ms(thread) == 0 &&
		   !is_owed(thread) && !is_to_link(thread) && thread->due_ms != 0 && thread->due_ms <= now_ms;
}

/* Both hear that nobody reminds them any more; of a thread without a clock nothing was due. */
static void give_up(const struct brk_thread *thread, uint64_t now_ms, struct brk_due *due)
{
	const struct brk_alarm alarm = {
		.percent = thread->run.told,
		.clock = thread->run.clock,
		.state = kw_state_public((enum kw_thread_kind)thread->kind, thread->state),
		.due_ms = thread->run.deadline_ms,
		.late_ms = kw_clock_late_ms(&thread->run, (int64_t)now_ms),
	};
	due->over = true;
	if (alarm.clock == KW_CLOCK_NONE)
		return;
	/* The telephone step went to the focal points; a supervisor hears of 200% only here. */
	alarm_add(due, &alarm, KW_AUDIENCE_RECEIVER_SUPERVISOR, part_of(thread, KW_AUDIENCE_RECEIVER_SUPERVISOR));
	alarm_add(due, &alarm, KW_AUDIENCE_SENDER_SUPERVISOR, part_of(thread, KW_AUDIENCE_SENDER_SUPERVISOR));
}

static void take_steps(struct brk_thread *thread, uint64_t now_ms, struct brk_due *due)
{
	struct kw_clock_notice notices[KW_CLOCK_NOTICES_MAX];
	const struct kw_clock_thread now = clock_thread(thread);
	struct brk_alarm alarm = {
		.clock = thread->run.clock,
		.due_ms = thread->run.deadline_ms,
		.late_ms = kw_clock_late_ms(&thread->run, (int64_t)now_ms),
	};
	size_t count = kw_clock_take_due(&thread->run, &now, (int64_t)now_ms, notices);
	for (size_t i = 0; i < count; i++) {
		alarm.percent = notices[i].percent;
		alarm_add(due, &alarm, notices[i].audience, notices[i].as);
	}
}

/* What the hub itself declares when the time has come, and both parties' agents have to hear. */
static void declare_own(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms,
	struct brk_due *due)
{
	struct brk_alarm alarm = {.percent = 200,
		.clock = thread->run.clock,
		.due_ms = thread->run.deadline_ms};
	enum declared result = REFUSED;
	uint64_t expiry = expiry_ms(thread);
	if (expiry != 0 && expiry <= now_ms) {
		alarm.due_ms = (int64_t)expiry;
		result = declare(rules, thread, KW_REFERRAL_EXPIRED, KW_PARTY_HUB, now_ms);
	} else if (thread->kind == KW_THREAD_OFFER && thread->state == KW_OFFER_OFFERED &&
			   kw_clock_is_late(&thread->run, (int64_t)now_ms)) {
		alarm.percent = 100;
		result = declare(rules, thread, KW_OFFER_UNCLAIMED, KW_PARTY_HUB, now_ms);
	} else if (is_to_link(thread)) {
		alarm = (struct brk_alarm){.percent = 50, .clock = KW_CLOCK_MATCH, .due_ms = (int64_t)now_ms}; /* nobody is late */
		result = declare(rules, thread, KW_MATCH_LINKED, KW_PARTY_HUB, now_ms);
	}
	if (result != CHANGED)
		return;
	due->declared = true;
	alarm.late_ms = (int64_t)now_ms - alarm.due_ms;
	alarm_add(due, &alarm, KW_AUDIENCE_SENDER, KW_AUDIENCE_SENDER);
	alarm_add(due, &alarm, KW_AUDIENCE_RECEIVER, KW_AUDIENCE_RECEIVER);
	if (thread->kind != KW_THREAD_MATCH)
		alarm_add(due, &alarm, KW_AUDIENCE_COORDINATOR, KW_AUDIENCE_COORDINATOR);
}

void brk_thread_due(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms,
	struct brk_due *due)
{
	due->count = 0;
	due->declared = false;
	due->over = !brk_thread_is_open(thread) && thread->run.clock == KW_CLOCK_NONE;
	if (due->over)
		return;
	if (is_silent(thread, now_ms)) {
		give_up(thread, now_ms, due);
		return;
	}
	uint8_t owed = is_owed(thread) ? thread->owed : 0;
	thread->owed = 0;
	take_steps(thread, now_ms, due);
	take_owed(thread, owed, now_ms, due);
	declare_own(rules, thread, now_ms, due);
	for (uint32_t i = 0; i < due->count; i++)
		due->alarms[i].state = kw_state_public((enum kw_thread_kind)thread->kind, thread->state);
	set_due(rules, thread, now_ms);
}

enum kw_party brk_thread_waits_for(const struct brk_thread *thread)
{
	enum kw_thread_kind kind = (enum kw_thread_kind)thread->kind;
	bool opener = kw_state_waits_for(kind, thread->state, KW_PARTY_OPENER);
	return opener && !kw_state_waits_for(kind, thread->state, KW_PARTY_OTHER) ? KW_PARTY_OPENER : KW_PARTY_OTHER;
}

/* version, kind, state, risk, early states u8 · slots, early sequences, sequences, expiry u32 · clock, its risk, told u8 ·
 * started, deadline u64 · first, owed u8 */
void brk_thread_pack(uint8_t out[BRK_THREAD_SIZE], const struct brk_thread *thread)
{
	const uint8_t head[] = {BRK_THREAD_VERSION, thread->kind, thread->state, thread->risk, thread->early_state[0],
		thread->early_state[1]};
	const uint32_t words[] = {thread->slot[0], thread->slot[1], thread->early_sequence[0], thread->early_sequence[1],
		thread->sequence[0], thread->sequence[1], thread->expiry_hour};
	memcpy(out, head, sizeof(head));
	out += sizeof(head);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++, out += 4)
		kw_put_u32(out, words[i]);
	out[0] = thread->run.clock;
	out[1] = thread->run.risk;
	out[2] = thread->run.told;
	kw_put_u64(out + 3, (uint64_t)thread->run.started_ms);
	kw_put_u64(out + 11, (uint64_t)thread->run.deadline_ms);
	out[19] = thread->first;
	out[20] = thread->owed;
}

enum kw_err brk_thread_unpack(struct kw_view bytes, struct brk_thread *out)
{
	bool old = bytes.size == RECORD_SIZE_1 && bytes.data[0] == 1;
	if (!old && (bytes.size != BRK_THREAD_SIZE || bytes.data[0] != BRK_THREAD_VERSION))
		return KW_EVERSION;
	const uint8_t *at = bytes.data;
	uint32_t *const words[] = {&out->slot[0], &out->slot[1], &out->early_sequence[0], &out->early_sequence[1],
		&out->sequence[0], &out->sequence[1], &out->expiry_hour};
	out->kind = at[1];
	out->state = at[2];
	out->risk = at[3];
	out->early_state[0] = at[4];
	out->early_state[1] = at[5];
	at += 6;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++, at += 4)
		*words[i] = kw_get_u32(at);
	out->run = (struct kw_clock_run){.clock = at[0], .risk = at[1], .told = at[2],
		.started_ms = (int64_t)kw_get_u64(at + 3), .deadline_ms = (int64_t)kw_get_u64(at + 11)};
	out->first = old ? 0 : at[19];
	out->owed = old ? 0 : at[20];
	return KW_OK;
}
