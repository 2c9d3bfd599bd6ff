#include <string.h>

#include "proto/wire/blobs_inner.h"

/* How long what is here stays. On the way a blob lives as long as its message; at its end, as long as its owner may want to
 * look at it, if a message names it, else for a while and not in the way of others. */

static uint32_t hour_of(const struct kw_blobs *b)
{
	return (uint32_t)(b->wall_ms / 3600000u);
}

static bool is_incoming(const struct blobs_slot *slot)
{
	return slot->entry.taker == KW_BLOBS_NONE && slot->entry.giver != KW_BLOBS_NONE;
}

static bool is_unnamed(const struct kw_blobs *b, const struct blobs_slot *slot)
{
	return b->limits.unnamed_hours != 0 && is_incoming(slot) && slot->entry.named_hour == 0;
}

uint32_t blobs_keep_hour(const struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	if (!is_incoming(slot))
		return slot->entry.expiry_hour;
	return hour_of(b) + (is_unnamed(b, slot) ? b->limits.unnamed_hours : b->limits.keep_hours);
}

void blobs_keep(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	if (slot->leaving || slot->disk > 0)
		return; /* tried again by the expiry walk */
	struct kw_blobs_effect *fx = blobs_disk(b, KW_BLOBS_KEEP, at);
	fx->expiry_hour = hour_of(b) + b->limits.keep_hours;
}

void blobs_found(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	if (!is_incoming(slot) || slot->entry.state != KW_BLOB_WHOLE || b->limits.unnamed_hours == 0)
		return;
	/* From before names were noted: only what was kept stands under so late an hour. */
	if (slot->entry.named_hour == 0 && slot->entry.expiry_hour > hour_of(b) + b->limits.unnamed_hours + 1u)
		slot->entry.named_hour = 1;
	/* The message was stored, the file not renamed. */
	slot->keep_due = slot->entry.named_hour != 0 && slot->entry.expiry_hour < slot->entry.named_hour + b->limits.keep_hours;
}

void blobs_named(struct kw_blobs *b, const struct kw_digest *digest)
{
	for (uint32_t at = 0; at < b->limits.entries_max && blobs_room(b); at++) {
		struct blobs_slot *slot = &b->slots[at];
		if (!slot->used || slot->leaving || !is_unnamed(b, slot) ||
			memcmp(slot->entry.what.digest.bytes, digest->bytes, KW_DIGEST_SIZE) != 0)
			continue;
		slot->entry.named_hour = hour_of(b);
		/* A part stands under its own hour; one that is being made whole may stand under that of an unnamed one. */
		slot->keep_due = slot->entry.state == KW_BLOB_WHOLE || slot->disk > 0;
		if (slot->entry.state == KW_BLOB_WHOLE)
			blobs_keep(b, at);
	}
}

void blobs_drop(struct kw_blobs *b, const struct kw_digest *digest)
{
	for (uint32_t at = 0; at < b->limits.entries_max && blobs_room(b); at++) {
		const struct blobs_slot *slot = &b->slots[at];
		if (slot->used && memcmp(slot->entry.what.digest.bytes, digest->bytes, KW_DIGEST_SIZE) == 0)
			blobs_remove(b, at);
	}
}

/* Its owner is to know: the name stays. */
static void lose(struct kw_blobs *b, uint32_t at)
{
	struct blobs_slot *slot = &b->slots[at];
	struct blobs_session *taker = &b->sessions[slot->entry.taker];
	if (slot->disk > 0)
		return; /* what is under way may rename the file */
	if (taker->giving == at)
		blobs_give_stop(b, slot->entry.taker);
	if (taker->offering == at)
		taker->offering = KW_BLOBS_NONE;
	slot->losing = true;
	(void)blobs_disk(b, KW_BLOBS_LOSE, at);
}

void blobs_keep_disk(struct kw_blobs *b, const struct kw_blobs_event *event)
{
	uint32_t at = event->u.disk.entry;
	struct blobs_slot *slot = &b->slots[at];
	if (event->u.disk.op == KW_BLOBS_KEEP) {
		slot->keep_due = event->u.disk.err != KW_OK;
		return;
	}
	slot->losing = false;
	if (event->u.disk.err == KW_OK && !slot->leaving)
		blobs_note(b, at, KW_BLOBS_NOTE_EXPIRED, KW_EEXPIRED);
}

void blobs_expire(struct kw_blobs *b, uint32_t at)
{
	const struct blobs_slot *slot = &b->slots[at];
	uint64_t hour = b->wall_ms / 3600000u;
	if (!slot->used || slot->leaving || slot->losing || slot->entry.state == KW_BLOB_LOST)
		return;
	if (slot->keep_due && slot->entry.state == KW_BLOB_WHOLE) {
		blobs_keep(b, at);
		return;
	}
	uint64_t news = slot->entry.state == KW_BLOB_GIVEN && slot->entry.giver != KW_BLOBS_NONE ? KW_BLOBS_NEWS_HOURS : 0;
	bool unnamed = is_unnamed(b, slot) && (uint64_t)slot->since_hour + b->limits.unnamed_hours <= hour;
	if (!unnamed && slot->entry.expiry_hour + news > hour)
		return;
	if (slot->entry.giver == KW_BLOBS_NONE && slot->entry.taker != KW_BLOBS_NONE && slot->entry.state == KW_BLOB_WHOLE) {
		lose(b, at);
		return;
	}
	if (is_unnamed(b, slot))
		blobs_note(b, at, KW_BLOBS_NOTE_UNNAMED, KW_OK);
	else if (slot->entry.state != KW_BLOB_GIVEN)
		blobs_note(b, at, KW_BLOBS_NOTE_EXPIRED, KW_EEXPIRED);
	blobs_remove(b, at);
}

bool blobs_peer_room(const struct kw_blobs *b, uint32_t session, const struct kw_name *from, uint64_t size)
{
	uint32_t count = 0;
	if (b->limits.peer_bytes_max == 0)
		return true;
	for (uint32_t at = b->sessions[session].given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next) {
		const struct kw_blobs_entry *entry = &b->slots[at].entry;
		if (entry->state == KW_BLOB_GIVEN || !kw_name_equal(&entry->from, from))
			continue;
		count++;
		size += kw_blob_sealed_size(entry->what.size);
	}
	return count < b->limits.peer_count_max && size <= b->limits.peer_bytes_max;
}

bool blobs_evict(struct kw_blobs *b, uint32_t session, const struct kw_name *from)
{
	uint32_t oldest = KW_BLOBS_NONE;
	for (uint32_t at = b->sessions[session].given_first; at != KW_BLOBS_NONE; at = b->slots[at].giver_next) {
		const struct blobs_slot *slot = &b->slots[at];
		if (!is_unnamed(b, slot) || slot->leaving || (from != NULL && !kw_name_equal(&slot->entry.from, from)) ||
			slot->since_hour + KW_BLOBS_GRACE_HOURS >= hour_of(b))
			continue;
		if (oldest == KW_BLOBS_NONE || slot->since_hour < b->slots[oldest].since_hour)
			oldest = at;
	}
	if (oldest == KW_BLOBS_NONE)
		return false;
	blobs_note(b, oldest, KW_BLOBS_NOTE_UNNAMED, KW_OK);
	blobs_remove(b, oldest);
	return true;
}
