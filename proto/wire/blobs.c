#include "proto/wire/blobs.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/blobs_inner.h"

/* Entries looked at for their expiry in one tick: 16,384 are through in 16 seconds. */
#define SWEEP_COUNT 1024u

static size_t aligned(size_t size)
{
	return (size + 63u) & ~(size_t)63u;
}

size_t kw_blobs_size(const struct kw_blobs_limits *limits)
{
	return aligned(sizeof(struct kw_blobs)) + aligned(limits->entries_max * sizeof(struct blobs_slot)) +
	       aligned(limits->sessions_max * sizeof(struct blobs_session));
}

struct kw_blobs *kw_blobs_init(void *memory, const struct kw_blobs_limits *limits)
{
	struct kw_blobs *b = memory;
	uint8_t *at = memory;
	KW_ASSERT(limits->entries_max > 0 && limits->sessions_max > 0 && limits->taking_max > 0);
	at += aligned(sizeof(*b));
	b->limits = *limits;
	b->slots = (struct blobs_slot *)(void *)at;
	at += aligned(limits->entries_max * sizeof(struct blobs_slot));
	b->sessions = (struct blobs_session *)(void *)at;
	for (uint32_t i = 0; i < limits->entries_max; i++)
		b->slots[i].giver_next = i + 1 < limits->entries_max ? i + 1 : KW_BLOBS_NONE;
	for (uint32_t i = 0; i < limits->sessions_max; i++)
		b->sessions[i] = (struct blobs_session){.given_first = KW_BLOBS_NONE, .taking = KW_BLOBS_NONE,
			.taken_first = KW_BLOBS_NONE, .offering = KW_BLOBS_NONE, .giving = KW_BLOBS_NONE, .cached = KW_BLOBS_NONE};
	return b;
}

struct kw_blobs_effect *blobs_fx(struct kw_blobs *b, enum kw_blobs_effect_type type)
{
	KW_ASSERT(b->plan->count < KW_BLOBS_PLAN_MAX);
	struct kw_blobs_effect *fx = &b->plan->effects[b->plan->count++];
	memset(fx, 0, sizeof(*fx));
	fx->type = type;
	return fx;
}

bool blobs_room(const struct kw_blobs *b)
{
	return b->plan->count + BLOBS_RESERVE <= KW_BLOBS_PLAN_MAX;
}

struct kw_blobs_effect *blobs_disk(struct kw_blobs *b, enum kw_blobs_disk op, uint32_t entry)
{
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_DISK);
	fx->op = op;
	fx->entry = entry;
	b->slots[entry].disk++;
	return fx;
}

void blobs_note(struct kw_blobs *b, uint32_t entry, enum kw_blobs_note note, enum kw_err err)
{
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_NOTE);
	fx->entry = entry;
	fx->note = note;
	fx->err = err;
}

void blobs_tell(struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref, enum kw_err err, bool delivered)
{
	if (session == KW_BLOBS_NONE || !b->sessions[session].up)
		return;
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_DONE);
	fx->session = session;
	fx->u.done = (struct kw_frame_blob_done){.ref = *ref, .code = err, .delivered = err == KW_OK && delivered};
	if (kw_err_class(err) == KW_CLASS_RETRY)
		fx->u.done.retry_after_ms = KW_BLOBS_RETRY_MS;
}

struct kw_blob_ref blobs_ref(const struct kw_blobs *b, uint32_t entry)
{
	const struct kw_blobs_entry *e = &b->slots[entry].entry;
	return (struct kw_blob_ref){.digest = e->what.digest, .agency = e->to};
}

static bool is_ref(const struct blobs_slot *slot, const struct kw_blob_ref *ref)
{
	return memcmp(slot->entry.what.digest.bytes, ref->digest.bytes, KW_DIGEST_SIZE) == 0 &&
	       kw_name_equal(&slot->entry.to, &ref->agency);
}

uint32_t blobs_find_given(const struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref)
{
	uint32_t at = b->sessions[session].given_first;
	while (at != KW_BLOBS_NONE && !is_ref(&b->slots[at], ref))
		at = b->slots[at].giver_next;
	return at;
}

uint32_t blobs_find_taken(const struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref)
{
	uint32_t at = b->sessions[session].taken_first;
	while (at != KW_BLOBS_NONE && !is_ref(&b->slots[at], ref))
		at = b->slots[at].taker_next;
	return at;
}

static bool counts(const struct blobs_slot *slot)
{
	return slot->entry.state != KW_BLOB_GIVEN && slot->entry.state != KW_BLOB_LOST;
}

/* At the end of each list: first come, first served. */
static void link_in(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	slot->giver_next = KW_BLOBS_NONE;
	slot->taker_next = KW_BLOBS_NONE;
	if (slot->entry.giver != KW_BLOBS_NONE) {
		uint32_t *end = &b->sessions[slot->entry.giver].given_first;
		while (*end != KW_BLOBS_NONE)
			end = &b->slots[*end].giver_next;
		*end = at;
	}
	if (slot->entry.taker != KW_BLOBS_NONE) {
		uint32_t *end = &b->sessions[slot->entry.taker].taken_first;
		while (*end != KW_BLOBS_NONE)
			end = &b->slots[*end].taker_next;
		*end = at;
	}
}

static void link_out(struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	if (slot->entry.giver != KW_BLOBS_NONE) {
		uint32_t *from = &b->sessions[slot->entry.giver].given_first;
		while (*from != at)
			from = &b->slots[*from].giver_next;
		*from = slot->giver_next;
	}
	if (slot->entry.taker != KW_BLOBS_NONE) {
		uint32_t *from = &b->sessions[slot->entry.taker].taken_first;
		while (*from != at)
			from = &b->slots[*from].taker_next;
		*from = slot->taker_next;
	}
}

uint32_t blobs_add(struct kw_blobs *b, const struct kw_blobs_entry *entry)
{
	uint32_t at = b->free_first;
	if (at == KW_BLOBS_NONE)
		return at;
	b->free_first = b->slots[at].giver_next;
	b->slots[at] = (struct blobs_slot){.entry = *entry, .used = true};
	b->slots[at].since_hour = (uint32_t)(b->wall_ms / 3600000u);
	link_in(b, at);
	b->count++;
	b->own += entry->giver == KW_BLOBS_NONE;
	b->lost += entry->state == KW_BLOB_LOST;
	if (counts(&b->slots[at])) {
		uint64_t size = kw_blob_sealed_size(entry->what.size);
		b->bytes += size;
		if (entry->giver != KW_BLOBS_NONE) {
			b->sessions[entry->giver].bytes += size;
			b->sessions[entry->giver].count++;
		}
	}
	return at;
}

void blobs_uncount(struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	uint64_t size = kw_blob_sealed_size(slot->entry.what.size);
	if (!counts(slot))
		return;
	b->bytes -= size;
	if (slot->entry.giver != KW_BLOBS_NONE) {
		b->sessions[slot->entry.giver].bytes -= size;
		b->sessions[slot->entry.giver].count--;
	}
}

void blobs_remove(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	if (slot->leaving)
		return;
	slot->leaving = true;
	if (slot->entry.giver != KW_BLOBS_NONE && b->sessions[slot->entry.giver].taking == at)
		blobs_take_stop(b, slot->entry.giver);
	if (slot->entry.taker != KW_BLOBS_NONE) {
		struct blobs_session *taker = &b->sessions[slot->entry.taker];
		if (taker->giving == at)
			blobs_give_stop(b, slot->entry.taker);
		if (taker->offering == at)
			taker->offering = KW_BLOBS_NONE;
	}
	/* What is under way may rename the file: it goes when that is over. */
	if (slot->disk == 0)
		(void)blobs_disk(b, KW_BLOBS_REMOVE, at);
}

/* The file is gone: so is the entry. One that could not be removed is found again at the next start. */
static void removed(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	blobs_uncount(b, at);
	link_out(b, at);
	slot->used = false;
	b->own -= slot->entry.giver == KW_BLOBS_NONE;
	b->lost -= slot->entry.state == KW_BLOB_LOST;
	slot->giver_next = b->free_first;
	b->free_first = at;
	b->count--;
}

/* What the file is now, whatever becomes of the entry. */
static void settle(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	struct kw_blobs_entry *entry = &b->slots[event->u.disk.entry].entry;
	if (event->u.disk.err != KW_OK)
		return;
	if (event->u.disk.op == KW_BLOBS_FINISH) {
		entry->state = KW_BLOB_WHOLE;
		entry->expiry_hour = event->u.disk.value;
	} else if (event->u.disk.op == KW_BLOBS_KEEP) {
		entry->expiry_hour = event->u.disk.value;
	} else if (event->u.disk.op == KW_BLOBS_GIVE || event->u.disk.op == KW_BLOBS_LOSE) {
		blobs_uncount(b, event->u.disk.entry);
		b->lost -= entry->state == KW_BLOB_LOST;
		entry->state = event->u.disk.op == KW_BLOBS_GIVE ? KW_BLOB_GIVEN : KW_BLOB_LOST;
		b->lost += entry->state == KW_BLOB_LOST;
	}
}

static void on_disk(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	KW_ASSERT(event->u.disk.entry < b->limits.entries_max);
	struct blobs_slot *slot = &b->slots[event->u.disk.entry];
	KW_ASSERT(slot->used && slot->disk > 0);
	slot->disk--;
	settle(b, event);
	if (event->u.disk.op == KW_BLOBS_REMOVE) {
		removed(b, event->u.disk.entry);
		return;
	}
	if (event->u.disk.op == KW_BLOBS_READ || event->u.disk.op == KW_BLOBS_GIVE)
		blobs_give_disk(b, event);
	else if (event->u.disk.op == KW_BLOBS_LOSE || event->u.disk.op == KW_BLOBS_KEEP)
		blobs_keep_disk(b, event);
	else
		blobs_take_disk(b, event);
	if (slot->leaving && slot->disk == 0)
		(void)blobs_disk(b, KW_BLOBS_REMOVE, event->u.disk.entry);
}

static void on_up(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	s->up = true;
	s->ready = false;
	for (uint32_t at = s->taken_first; at != KW_BLOBS_NONE; at = b->slots[at].taker_next) {
		b->slots[at].retry_at_ms = 0;
		b->slots[at].answered = false;
	}
	for (uint32_t at = s->given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next) {
		b->slots[at].offered = false;
		b->slots[at].told = false;
	}
	blobs_give_pump(b, session);
}

static void on_down(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	blobs_take_stop(b, session);
	blobs_give_stop(b, session);
	s->offering = KW_BLOBS_NONE;
	s->up = false;
	for (uint32_t at = s->given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next)
		b->slots[at].offered = false;
}

static void on_tick(struct kw_blobs *b)
{
	for (uint32_t i = 0; i < SWEEP_COUNT && i < b->limits.entries_max && blobs_room(b); i++) {
		blobs_expire(b, b->swept);
		b->swept = (b->swept + 1) % b->limits.entries_max;
	}
	for (uint32_t i = 0; i < b->limits.sessions_max && blobs_room(b); i++) {
		uint32_t session = b->woken;
		b->woken = (b->woken + 1) % b->limits.sessions_max;
		struct blobs_session *s = &b->sessions[session];
		if (!s->up)
			continue;
		if (s->taking != KW_BLOBS_NONE && b->mono_ms - s->heard_ms >= KW_BLOBS_STALL_MS)
			blobs_take_stop(b, session);
		blobs_take_pump(b, session);
		blobs_give_pump(b, session);
	}
}

static void on_entry(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint32_t at = blobs_add(b, &event->u.entry);
	if (at != KW_BLOBS_NONE)
		blobs_found(b, at);
	if (at != KW_BLOBS_NONE && event->u.entry.taker != KW_BLOBS_NONE)
		blobs_give_pump(b, event->u.entry.taker);
}

static void on_room(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint64_t size = kw_blob_sealed_size(event->u.room.size);
	KW_ASSERT(event->u.room.taken || (b->promised_count > 0 && b->promised_bytes >= size));
	b->promised_count += event->u.room.taken ? 1u : UINT32_MAX;
	b->promised_bytes += event->u.room.taken ? size : 0 - size;
}

void kw_blobs_step(struct kw_blobs *b, const struct kw_blobs_event *event, struct kw_blobs_plan *plan)
{
	plan->count = 0;
	b->plan = plan;
	b->wall_ms = event->wall_ms;
	b->mono_ms = event->mono_ms;
	KW_ASSERT(event->session < b->limits.sessions_max);
	switch (event->type) {
	case KW_BLOBS_EV_ENTRY:
		on_entry(b, event);
		break;
	case KW_BLOBS_EV_UP:
		on_up(b, event->session);
		break;
	case KW_BLOBS_EV_DOWN:
		on_down(b, event->session);
		break;
	case KW_BLOBS_EV_OFFER:
		blobs_take_offer(b, event);
		break;
	case KW_BLOBS_EV_WANT:
		blobs_give_want(b, event);
		break;
	case KW_BLOBS_EV_CHUNK:
		blobs_take_chunk(b, event);
		break;
	case KW_BLOBS_EV_DONE:
		blobs_give_done(b, event);
		break;
	case KW_BLOBS_EV_READY:
		b->sessions[event->session].ready = true;
		blobs_give_piece(b, event->session);
		break;
	case KW_BLOBS_EV_DISK:
		on_disk(b, event);
		break;
	case KW_BLOBS_EV_NAMED:
		blobs_named(b, &event->u.digest);
		break;
	case KW_BLOBS_EV_DROP:
		blobs_drop(b, &event->u.digest);
		break;
	case KW_BLOBS_EV_ROOM:
		on_room(b, event);
		break;
	case KW_BLOBS_EV_TICK:
		on_tick(b);
		break;
	}
	b->plan = NULL;
}

const struct kw_blobs_entry *kw_blobs_entry(const struct kw_blobs *b, uint32_t index)
{
	KW_ASSERT(index < b->limits.entries_max && b->slots[index].used);
	return &b->slots[index].entry;
}

bool kw_blobs_look(const struct kw_blobs *b, uint32_t index, struct kw_blobs_view *out)
{
	if (index >= b->limits.entries_max || !b->slots[index].used || b->slots[index].leaving)
		return false;
	const struct blobs_slot *slot = &b->slots[index];
	uint32_t total = kw_blob_sealed_size(slot->entry.what.size);
	*out = (struct kw_blobs_view){.entry = slot->entry, .held = slot->held, .problem = slot->problem};
	uint32_t have = slot->have;
	if (slot->entry.giver != KW_BLOBS_NONE && b->sessions[slot->entry.giver].taking == index)
		have = b->sessions[slot->entry.giver].written;
	if (slot->entry.state == KW_BLOB_PART)
		out->moved = have >= kw_blob_chunks(slot->entry.what.size) ? total : have * KW_BLOB_SEALED_CHUNK_SIZE;
	else if (slot->entry.state == KW_BLOB_LOST)
		out->moved = 0;
	else if (slot->held || slot->entry.state == KW_BLOB_GIVEN || slot->entry.taker == KW_BLOBS_NONE)
		out->moved = total;
	else
		out->moved = slot->moved;
	return true;
}

bool kw_blobs_has_own(const struct kw_blobs *b, const struct kw_blob_ref *ref)
{
	for (uint32_t at = 0; at < b->limits.entries_max; at++) {
		const struct blobs_slot *slot = &b->slots[at];
		if (slot->used && !slot->leaving && slot->entry.giver == KW_BLOBS_NONE && slot->entry.state != KW_BLOB_LOST && is_ref(slot, ref))
			return true;
	}
	return false;
}

void kw_blobs_counts_get(const struct kw_blobs *b, struct kw_blobs_counts *out)
{
	*out = (struct kw_blobs_counts){.entries = b->count + b->promised_count,
		.bytes = b->bytes + b->promised_bytes, .own = b->own + b->promised_count, .lost = b->lost};
}
