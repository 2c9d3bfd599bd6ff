#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/blobs_inner.h"

/* Giving. One blob is offered at a time; its taker asks for ranges, and one piece leaves whenever the connection is empty.
 * A hub that has given a blob keeps its name until the owner has stored the news. */

/* Deliveries told at once; the next ones follow when these are acknowledged, or a second later. */
#define TELL_MAX 8u

static bool may_offer(const struct kw_blobs *b, const struct blobs_slot *slot)
{
	return slot->entry.state == KW_BLOB_WHOLE && !slot->leaving && !slot->losing && !slot->answered &&
	       b->mono_ms >= slot->retry_at_ms;
}

static void offer_next(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	uint32_t at = s->taken_first;
	while (at != KW_BLOBS_NONE && !may_offer(b, &b->slots[at]))
		at = b->slots[at].taker_next;
	if (at == KW_BLOBS_NONE)
		return;
	const struct kw_blobs_entry *entry = &b->slots[at].entry;
	s->offering = at;
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_OFFER);
	fx->session = session;
	fx->u.offer = (struct kw_frame_blob_offer){.ref = blobs_ref(b, at),
		.size = entry->what.size,
		.commit = entry->what.commit,
		.expiry_hour = entry->expiry_hour};
	if (entry->giver != KW_BLOBS_NONE)
		fx->u.offer.giver = entry->from;
}

/* The owner of what was given through us. */
static void tell_given(struct kw_blobs *b, uint32_t session)
{
	uint32_t count = 0;
	for (uint32_t at = b->sessions[session].given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next) {
		struct blobs_slot *slot = &b->slots[at];
		if (slot->entry.state != KW_BLOB_GIVEN || slot->told || slot->leaving)
			continue;
		if (count++ == TELL_MAX || !blobs_room(b))
			return;
		struct kw_blob_ref ref = blobs_ref(b, at);
		slot->told = true;
		blobs_tell(b, session, &ref, KW_OK, true);
	}
}

void blobs_give_pump(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	if (!s->up)
		return;
	if (s->offering == KW_BLOBS_NONE && blobs_room(b))
		offer_next(b, session);
	tell_given(b, session);
}

void blobs_give_stop(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	s->giving = KW_BLOBS_NONE;
	s->give_next = 0;
	s->give_upto = 0;
	s->cached = KW_BLOBS_NONE;
}

void blobs_give_piece(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	if (!s->up || s->giving == KW_BLOBS_NONE || s->give_next >= s->give_upto)
		return;
	uint32_t chunk = s->give_next / KW_BLOB_SEALED_CHUNK_SIZE;
	if (s->cached != chunk) {
		if (s->reading)
			return;
		s->reading = true;
		struct kw_blobs_effect *fx = blobs_disk(b, KW_BLOBS_READ, s->giving);
		fx->session = session;
		fx->chunk = chunk;
		return;
	}
	if (!s->ready)
		return;
	s->ready = false;
	uint32_t left = KW_BLOB_SEALED_CHUNK_SIZE - s->give_next % KW_BLOB_SEALED_CHUNK_SIZE;
	uint32_t size = s->give_upto - s->give_next;
	size = size < left ? size : left;
	size = size < s->piece_max ? size : s->piece_max;
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_PIECE);
	fx->session = session;
	fx->entry = s->giving;
	fx->offset = s->give_next;
	fx->size = size;
	s->give_next += size;
	b->slots[s->giving].moved = s->give_next;
}

void blobs_give_want(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	const struct kw_frame_blob_want *want = &event->u.want;
	struct blobs_session *s = &b->sessions[event->session];
	if (!s->up)
		return;
	uint32_t at = blobs_find_taken(b, event->session, &want->ref);
	if (at == KW_BLOBS_NONE || b->slots[at].leaving || b->slots[at].losing ||
		b->slots[at].entry.state != KW_BLOB_WHOLE) {
		blobs_tell(b, event->session, &want->ref, KW_ENOTFOUND, false);
		return;
	}
	uint32_t total = kw_blob_sealed_size(b->slots[at].entry.what.size);
	if (want->offset >= total || want->size > total - want->offset) {
		struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_CLOSE);
		fx->session = event->session;
		fx->err = KW_EPROTO;
		return;
	}
	if (s->giving != at) {
		blobs_give_stop(b, event->session);
		s->giving = at;
	}
	if (want->offset != s->give_upto)
		s->give_next = want->offset;
	s->give_upto = want->offset + want->size;
	if (b->slots[at].moved < want->offset)
		b->slots[at].moved = want->offset;
	s->piece_max = kw_blob_pace_piece(want->size);
	blobs_give_piece(b, event->session);
}

/* The next hop has it, or it is delivered. */
static void taken(struct kw_blobs *b, uint32_t at, bool delivered)
{
	struct blobs_slot *slot = &b->slots[at];
	uint32_t taker = slot->entry.taker;
	if (b->sessions[taker].offering == at)
		b->sessions[taker].offering = KW_BLOBS_NONE;
	slot->held = true;
	slot->answered = true;
	slot->problem = KW_OK;
	if (b->sessions[taker].giving == at)
		blobs_give_stop(b, taker);
	if (delivered)
		(void)blobs_disk(b, KW_BLOBS_GIVE, at);
	else
		blobs_note(b, at, KW_BLOBS_NOTE_HELD, KW_OK);
	blobs_give_pump(b, taker);
}

static void refused(struct kw_blobs *b, uint32_t at, const struct kw_frame_blob_done *done)
{
	struct blobs_slot *slot = &b->slots[at];
	struct blobs_session *s = &b->sessions[slot->entry.taker];
	if (s->offering == at)
		s->offering = KW_BLOBS_NONE;
	if (s->giving == at)
		blobs_give_stop(b, slot->entry.taker);
	slot->problem = done->code;
	slot->moved = 0;
	slot->held = false;
	slot->answered = kw_err_class(done->code) != KW_CLASS_RETRY;
	if (!slot->answered)
		slot->retry_at_ms = b->mono_ms + (done->retry_after_ms > 1000 ? done->retry_after_ms : 1000);
	blobs_note(b, at, KW_BLOBS_NOTE_REFUSED, done->code);
	blobs_give_pump(b, slot->entry.taker);
}

/* The giver has it no more, or the owner knows of the delivery. */
static void from_giver(struct kw_blobs *b, uint32_t session, uint32_t at, const struct kw_frame_blob_done *done)
{
	const struct blobs_slot *slot = &b->slots[at];
	if (slot->leaving)
		return;
	if (done->code == KW_OK) {
		if (slot->entry.state == KW_BLOB_GIVEN)
			blobs_remove(b, at);
		tell_given(b, session);
	} else if (slot->entry.state == KW_BLOB_PART) {
		b->slots[at].offered = false;
		b->slots[at].problem = done->code;
		if (b->sessions[session].taking == at)
			blobs_take_stop(b, session);
		blobs_take_pump(b, session);
	}
}

void blobs_give_done(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	const struct kw_frame_blob_done *done = &event->u.done;
	if (!b->sessions[event->session].up)
		return;
	uint32_t at = blobs_find_taken(b, event->session, &done->ref);
	if (at != KW_BLOBS_NONE && b->slots[at].losing)
		return; /* told again in the next session */
	bool late = at != KW_BLOBS_NONE && b->slots[at].entry.state == KW_BLOB_LOST && done->code == KW_OK && done->delivered;
	if (at != KW_BLOBS_NONE && !b->slots[at].leaving && (late || b->slots[at].entry.state == KW_BLOB_WHOLE)) {
		if (done->code != KW_OK)
			refused(b, at, done);
		else
			taken(b, at, done->delivered);
		return;
	}
	uint32_t mine = blobs_find_given(b, event->session, &done->ref);
	if (mine != KW_BLOBS_NONE)
		from_giver(b, event->session, mine, done);
	else if (b->limits.is_end && done->code == KW_OK && done->delivered)
		blobs_tell(b, event->session, &done->ref, KW_OK, true); /* old news: stored, or expired here */
}

static void given(struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	blobs_note(b, at, KW_BLOBS_NOTE_GIVEN, KW_OK);
	if (slot->entry.giver != KW_BLOBS_NONE) {
		tell_given(b, slot->entry.giver);
		return;
	}
	struct kw_blob_ref ref = blobs_ref(b, at);
	blobs_tell(b, slot->entry.taker, &ref, KW_OK, true);
}

void blobs_give_disk(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint32_t at = event->u.disk.entry;
	struct blobs_slot *slot = &b->slots[at];
	uint32_t taker = slot->entry.taker;
	struct blobs_session *s = &b->sessions[taker];
	if (event->u.disk.op == KW_BLOBS_GIVE) {
		if (!slot->leaving && event->u.disk.err == KW_OK)
			given(b, at);
		return;
	}
	s->reading = false;
	if (event->u.disk.err != KW_OK && !slot->leaving && !slot->losing && slot->entry.state == KW_BLOB_WHOLE) {
		/* Taken again from its giver, which has it until it is delivered: told now, or by itself in its next session. */
		struct kw_blob_ref ref = blobs_ref(b, at);
		blobs_note(b, at, KW_BLOBS_NOTE_DAMAGED, event->u.disk.err);
		blobs_tell(b, taker, &ref, KW_ENOTFOUND, false);
		blobs_tell(b, slot->entry.giver, &ref, KW_EBUSY, false);
		blobs_remove(b, at);
	} else if (s->giving == at) {
		s->cached = event->u.disk.chunk;
	}
	blobs_give_piece(b, taker);
	blobs_give_pump(b, taker);
}
