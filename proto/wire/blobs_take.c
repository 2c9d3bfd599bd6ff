#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/blobs_inner.h"

/* Taking. What a session asked for arrives in order; a chunk is written when its last byte is here, and checked on the way
 * to the disk. A giver that sends what was not asked breaks the rules; bytes from an earlier question are let pass. */

static uint32_t total_of(const struct kw_blobs *b, uint32_t at)
{
	return kw_blob_sealed_size(b->slots[at].entry.what.size);
}

static uint32_t chunks_of(const struct kw_blobs *b, uint32_t at)
{
	return kw_blob_chunks(b->slots[at].entry.what.size);
}

static enum kw_err may_take(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	const struct blobs_session *s = &b->sessions[event->session];
	const struct kw_frame_blob_offer *offer = &event->u.offer.offer;
	uint64_t size = kw_blob_sealed_size(offer->size);
	uint64_t hour = b->wall_ms / 3600000u;
	if (event->u.offer.err != KW_OK)
		return event->u.offer.err;
	if (offer->expiry_hour <= hour)
		return KW_EEXPIRED;
	if (offer->expiry_hour > hour + KW_BLOBS_LIFETIME_HOURS_MAX)
		return KW_EFIELD;
	if (size > b->limits.giver_bytes_max || size > b->limits.bytes_max)
		return KW_ETOOBIG;
	if (b->limits.peer_bytes_max != 0 && size > b->limits.peer_bytes_max)
		return KW_ETOOBIG;
	if (s->count >= b->limits.giver_count_max || s->bytes + size > b->limits.giver_bytes_max)
		return blobs_evict(b, event->session, NULL) ? KW_EBUSY : KW_EFULL;
	if (!blobs_peer_room(b, event->session, &event->u.offer.from, size))
		return blobs_evict(b, event->session, &event->u.offer.from) ? KW_EBUSY : KW_EFULL;
	if (b->bytes + b->promised_bytes + size > b->limits.bytes_max || b->count + b->promised_count >= b->limits.entries_max)
		return blobs_evict(b, event->session, NULL) ? KW_EBUSY : KW_EFULL;
	return KW_OK;
}

void blobs_take_offer(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	const struct kw_frame_blob_offer *offer = &event->u.offer.offer;
	if (!b->sessions[event->session].up)
		return;
	uint32_t at = blobs_find_given(b, event->session, &offer->ref);
	if (at == KW_BLOBS_NONE) {
		enum kw_err err = may_take(b, event);
		if (err != KW_OK) {
			blobs_tell(b, event->session, &offer->ref, err, false);
			return;
		}
		const struct kw_blobs_entry entry = {
			.what = {.digest = offer->ref.digest, .commit = offer->commit, .size = offer->size},
			.from = event->u.offer.from,
			.to = offer->ref.agency,
			.expiry_hour = offer->expiry_hour,
			.giver = event->session,
			.taker = event->u.offer.taker,
			.named_hour = event->u.offer.named_hour,
		};
		at = blobs_add(b, &entry);
		b->slots[at].offered = true;
		(void)blobs_disk(b, KW_BLOBS_CREATE, at);
		return;
	}
	struct blobs_slot *slot = &b->slots[at];
	if (slot->leaving) {
		blobs_tell(b, event->session, &offer->ref, KW_EBUSY, false);
		return;
	}
	if (slot->entry.what.size != offer->size ||
		memcmp(slot->entry.what.commit.bytes, offer->commit.bytes, KW_DIGEST_SIZE) != 0) {
		blobs_tell(b, event->session, &offer->ref, KW_EEXIST, false);
		return;
	}
	if (slot->entry.state != KW_BLOB_PART) {
		blobs_tell(b, event->session, &offer->ref, KW_OK,
			slot->entry.state == KW_BLOB_GIVEN || slot->entry.taker == KW_BLOBS_NONE);
		return;
	}
	slot->offered = true;
	blobs_take_pump(b, event->session);
}

static void ask(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	uint32_t total = total_of(b, s->taking);
	/* A slow disk holds the link back. */
	uint64_t limit = (uint64_t)s->written * KW_BLOB_SEALED_CHUNK_SIZE + KW_BLOBS_BEHIND_MAX + KW_BLOB_SEALED_CHUNK_SIZE;
	uint32_t end = limit < total ? (uint32_t)limit : total;
	uint32_t under_way = s->asked - s->got;
	uint32_t size = end > s->asked ? kw_blob_pace_ask(&s->pace, under_way, end - s->asked) : 0;
	if (size == 0)
		return;
	kw_blob_pace_asked(&s->pace, under_way == 0, b->mono_ms);
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_WANT);
	fx->session = session;
	fx->u.want = (struct kw_frame_blob_want){.ref = blobs_ref(b, s->taking), .offset = s->asked, .size = size};
	s->asked += size;
}

static void finish(struct kw_blobs *b, uint32_t at)
{
	struct kw_blobs_effect *fx = blobs_disk(b, KW_BLOBS_FINISH, at);
	fx->expiry_hour = blobs_keep_hour(b, at);
}

static void begin(struct kw_blobs *b, uint32_t session, uint32_t at)
{
	struct blobs_session *s = &b->sessions[session];
	s->taking = at;
	s->written = b->slots[at].have;
	s->heard_ms = b->mono_ms;
	b->taking++;
	kw_blob_pace_begin(&s->pace);
	if (s->written >= chunks_of(b, at)) {
		finish(b, at);
		return;
	}
	s->got = s->written * KW_BLOB_SEALED_CHUNK_SIZE;
	s->asked = s->got;
	ask(b, session);
}

void blobs_take_pump(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	for (uint32_t at = s->given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next) {
		struct blobs_slot *slot = &b->slots[at];
		if (!s->up || s->taking != KW_BLOBS_NONE || b->taking >= b->limits.taking_max || !blobs_room(b))
			return;
		if (slot->entry.state != KW_BLOB_PART || !slot->offered || slot->leaving || slot->disk > 0)
			continue;
		if (slot->known)
			begin(b, session, at);
		else
			(void)blobs_disk(b, KW_BLOBS_RECOVER, at);
	}
}

void blobs_take_stop(struct kw_blobs *b, uint32_t session)
{
	struct blobs_session *s = &b->sessions[session];
	if (s->taking == KW_BLOBS_NONE)
		return;
	b->slots[s->taking].have = s->written;
	s->taking = KW_BLOBS_NONE;
	b->taking--;
}

static bool path_fits(const struct kw_blobs *b, uint32_t at, const struct kw_frame_blob_chunk *chunk)
{
	uint32_t places[KW_BLOB_PATH_MAX];
	uint32_t index = chunk->offset / KW_BLOB_SEALED_CHUNK_SIZE;
	if (chunk->offset % KW_BLOB_SEALED_CHUNK_SIZE != 0)
		return chunk->path.size == 0;
	return chunk->path.size == (size_t)kw_blob_tree_path(chunks_of(b, at), index, places) * KW_DIGEST_SIZE;
}

void blobs_take_chunk(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	struct blobs_session *s = &b->sessions[event->session];
	const struct kw_frame_blob_chunk *chunk = &event->u.chunk;
	uint32_t at = blobs_find_given(b, event->session, &chunk->ref);
	if (!s->up || at == KW_BLOBS_NONE || at != s->taking || chunk->offset != s->got)
		return;
	uint32_t size = (uint32_t)chunk->bytes.size;
	uint32_t index = s->got / KW_BLOB_SEALED_CHUNK_SIZE;
	if (size > s->asked - s->got || !path_fits(b, at, chunk)) {
		struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_CLOSE);
		fx->session = event->session;
		fx->err = KW_EPROTO;
		return;
	}
	struct kw_blobs_effect *fx = blobs_fx(b, KW_BLOBS_FX_GATHER);
	fx->session = event->session;
	fx->entry = at;
	fx->offset = s->got % KW_BLOB_SEALED_CHUNK_SIZE;
	s->got += size;
	s->heard_ms = b->mono_ms;
	kw_blob_pace_got(&s->pace, size, b->mono_ms);
	if (s->got % KW_BLOB_SEALED_CHUNK_SIZE == 0 || s->got == total_of(b, at)) {
		fx = blobs_disk(b, KW_BLOBS_WRITE, at);
		fx->session = event->session;
		fx->chunk = index;
	}
	ask(b, event->session);
}

/* The blob cannot be stored. What the other side did wrong is told to it; what this disk did wrong may pass. */
static void failed(struct kw_blobs *b, uint32_t at, enum kw_err err)
{
	struct kw_blob_ref ref = blobs_ref(b, at);
	blobs_note(b, at, KW_BLOBS_NOTE_REFUSED, err);
	blobs_tell(b, b->slots[at].entry.giver, &ref, kw_err_class(err) == KW_CLASS_REJECT ? err : KW_ENOSPACE, false);
	blobs_remove(b, at);
}

static void finished(struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	uint32_t giver = slot->entry.giver;
	struct kw_blob_ref ref = blobs_ref(b, at);
	if (b->sessions[giver].taking == at)
		blobs_take_stop(b, giver);
	blobs_note(b, at, KW_BLOBS_NOTE_WHOLE, KW_OK);
	if (slot->keep_due)
		blobs_keep(b, at); /* named while it was made whole */
	blobs_tell(b, giver, &ref, KW_OK, slot->entry.taker == KW_BLOBS_NONE);
	if (slot->entry.taker != KW_BLOBS_NONE)
		blobs_give_pump(b, slot->entry.taker);
	blobs_take_pump(b, giver);
}

static void wrote(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint32_t at = event->u.disk.entry;
	struct blobs_session *s = &b->sessions[b->slots[at].entry.giver];
	/* Of a session that has ended meanwhile: it will be written again. */
	if (s->taking != at)
		return;
	KW_ASSERT(event->u.disk.chunk == s->written);
	s->written++;
	if (s->written == chunks_of(b, at))
		finish(b, at);
	else
		ask(b, b->slots[at].entry.giver);
}

void blobs_take_disk(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint32_t at = event->u.disk.entry;
	struct blobs_slot *slot = &b->slots[at];
	if (slot->leaving)
		return;
	if (event->u.disk.err != KW_OK) {
		failed(b, at, event->u.disk.err);
		return;
	}
	switch (event->u.disk.op) {
	case KW_BLOBS_CREATE:
	case KW_BLOBS_RECOVER:
		slot->known = true;
		slot->have = event->u.disk.op == KW_BLOBS_CREATE ? 0 : event->u.disk.value;
		blobs_take_pump(b, slot->entry.giver);
		break;
	case KW_BLOBS_WRITE:
		wrote(b, event);
		break;
	default:
		finished(b, at);
		break;
	}
}
