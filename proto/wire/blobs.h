#ifndef KW_WIRE_BLOBS_H
#define KW_WIRE_BLOBS_H

#include "proto/wire/frame_blob.h"

/* The exchange of blobs, pure: what to offer, ask, send, store and forget. An event in, effects out; no clock, no I/O, no
 * allocation after init, and it cannot fail. Hub and agent run the same one: a hub takes a blob from one session and gives
 * it to another, an agent has one session and is the beginning or the end.
 *
 *   giver                                taker
 *     OFFER  ─────────────────────────▶    room? CREATE, or RECOVER what an earlier session left
 *     READ chunk  ◀─────────────  WANT     so many bytes as the link carries in half a second (blob_pace.h)
 *     CHUNK  ─────────────────────────▶    GATHER, whole chunk: WRITE (checks that it belongs), ... last one: FINISH
 *     (kept, or GIVE: only the name stays) ◀── DONE
 *
 * One blob at a time each way on a session; pieces leave only on KW_BLOBS_EV_READY, which the shell gives when nothing
 * waits in the connection, so messages always pass. Nothing here is remembered that the disk does not say again at start.
 *
 * The shell's promises: disk effects are carried out in plan order, one after the other, and each is answered by one
 * KW_BLOBS_EV_DISK. An entry lives until a REMOVE for it has been answered.
 *
 * At its end a blob counts for the agency that gave it, which the hub names, so that none can take the room of the others.
 * One that no stored message names goes after a while, and earlier where room is short; one that is named never makes way.
 * What we made and nobody took by its hour is LOST: its name stays until a person has seen it. */

struct kw_blobs;

#define KW_BLOBS_NONE UINT32_MAX
/* After a refusal that may pass, unless the other side says longer. */
#define KW_BLOBS_RETRY_MS 60000u
/* A giver that sends nothing for so long gives its place among those served at once to others. */
#define KW_BLOBS_STALL_MS 120000u
/* A blob may wait at most so long to be delivered; the longest life of a message, and a day. */
#define KW_BLOBS_LIFETIME_HOURS_MAX (1080u + 24u)
/* Where room is short, what no message names makes way after so long: its message, which is faster, had its time. */
#define KW_BLOBS_GRACE_HOURS 1u
/* A hub keeps the name of what it has given for so long after its hour, so that an owner that was away hears of it. */
#define KW_BLOBS_NEWS_HOURS 168u
/* Bytes of chunks on their way to the disk on one session, at most. */
#define KW_BLOBS_BEHIND_MAX (1u << 20)

struct kw_blobs_limits {
	uint32_t entries_max;
	uint32_t sessions_max;
	uint64_t bytes_max;       /* of all blobs here, sealed */
	uint64_t giver_bytes_max; /* of those from one session */
	uint32_t giver_count_max;
	uint64_t peer_bytes_max;  /* an end: of those from one agency that are here; 0: no limit of their own */
	uint32_t peer_count_max;
	uint32_t taking_max;      /* sessions served at once; the others wait */
	uint32_t keep_hours;      /* how long a blob that has reached its end stays */
	uint32_t unnamed_hours;   /* how long when no message names it; 0: as long */
	bool is_end;              /* an agent: what nobody takes from here has arrived */
};

enum kw_blob_state {
	KW_BLOB_PART,  /* being taken */
	KW_BLOB_WHOLE, /* durable here */
	KW_BLOB_GIVEN, /* delivered; only the name is left */
	KW_BLOB_LOST   /* made here, its hour has passed; only the name is left */
};
#define KW_BLOB_STATE_COUNT 4u

struct kw_blobs_entry {
	struct kw_blob_what what;
	struct kw_name from; /* zeroed: not known */
	struct kw_name to;
	uint32_t expiry_hour;
	enum kw_blob_state state;
	uint32_t giver; /* session that it comes from; KW_BLOBS_NONE: made here */
	uint32_t taker; /* session that it goes to; KW_BLOBS_NONE: this is its end */
	uint32_t named_hour; /* its end: when a message that names it was stored; 0: none is */
};

enum kw_blobs_event_type {
	KW_BLOBS_EV_ENTRY, /* entry: found on the disk at start, or made here since */
	KW_BLOBS_EV_UP,    /* session */
	KW_BLOBS_EV_DOWN,  /* session */
	KW_BLOBS_EV_OFFER, /* offer */
	KW_BLOBS_EV_WANT,  /* want */
	KW_BLOBS_EV_CHUNK, /* chunk */
	KW_BLOBS_EV_DONE,  /* done */
	KW_BLOBS_EV_READY, /* session: its connection is empty, one piece may leave */
	KW_BLOBS_EV_DISK,  /* disk: an effect is carried out */
	KW_BLOBS_EV_NAMED, /* digest: a message that names it is stored */
	KW_BLOBS_EV_DROP,  /* digest: a person wants it gone */
	KW_BLOBS_EV_ROOM,  /* room: for one that is being made here */
	KW_BLOBS_EV_TICK   /* about once a second */
};

enum kw_blobs_disk {
	KW_BLOBS_CREATE,  /* make the file, durable */
	KW_BLOBS_RECOVER, /* how many chunks are there, from the front? */
	KW_BLOBS_WRITE,   /* check and write chunk `chunk`, gathered on `session` */
	KW_BLOBS_FINISH,  /* all chunks are there: make it durable as whole, under the new expiry hour */
	KW_BLOBS_READ,    /* chunk `chunk` and its path into the session's place for reading */
	KW_BLOBS_GIVE,    /* drop the bytes, keep the name, durable */
	KW_BLOBS_LOSE,    /* the same for one whose hour has passed */
	KW_BLOBS_KEEP,    /* change the expiry hour, durable */
	KW_BLOBS_REMOVE
};

struct kw_blobs_event {
	enum kw_blobs_event_type type;
	uint64_t wall_ms; /* since 1970 */
	uint64_t mono_ms;
	uint32_t session;
	union {
		struct kw_blobs_entry entry;
		struct {
			struct kw_frame_blob_offer offer;
			struct kw_name from; /* hub: the session's agency; an end: the one that the hub names */
			uint32_t taker;      /* as in the entry */
			uint32_t named_hour; /* as in the entry */
			enum kw_err err;     /* not KW_OK: refuse with this */
		} offer;
		struct kw_frame_blob_want want;
		struct kw_frame_blob_chunk chunk; /* the views are not looked into */
		struct kw_frame_blob_done done;
		struct {
			enum kw_blobs_disk op;
			uint32_t entry;
			uint32_t chunk;
			uint32_t value; /* RECOVER: chunks; FINISH, KEEP: the expiry hour it stands under now */
			enum kw_err err;
		} disk;
		struct kw_digest digest;
		struct {
			uint32_t size; /* padded */
			bool taken;    /* false: given back */
		} room;
	} u;
};

enum kw_blobs_effect_type {
	KW_BLOBS_FX_OFFER,  /* send offer */
	KW_BLOBS_FX_WANT,   /* send want */
	KW_BLOBS_FX_DONE,   /* send done */
	KW_BLOBS_FX_PIECE,  /* send CHUNK: size bytes at offset, of the chunk that was read */
	KW_BLOBS_FX_GATHER, /* add the event's bytes at their place in the session's chunk, and keep the path if it has one */
	KW_BLOBS_FX_DISK,   /* op for entry */
	KW_BLOBS_FX_CLOSE,  /* the session broke the rules: err */
	KW_BLOBS_FX_NOTE    /* tell the log: entry, note, err */
};

enum kw_blobs_note {
	KW_BLOBS_NOTE_WHOLE,   /* all of it is durable here */
	KW_BLOBS_NOTE_HELD,    /* the next hop has it */
	KW_BLOBS_NOTE_GIVEN,   /* it is delivered */
	KW_BLOBS_NOTE_REFUSED, /* by us or by the other side */
	KW_BLOBS_NOTE_EXPIRED,
	KW_BLOBS_NOTE_UNNAMED, /* no message named it in time */
	KW_BLOBS_NOTE_DAMAGED  /* the disk gave back other bytes than were written; dropped, to be taken again */
};

struct kw_blobs_effect {
	enum kw_blobs_effect_type type;
	uint32_t session;
	uint32_t entry;
	enum kw_blobs_disk op;
	uint32_t chunk;
	uint32_t offset;
	uint32_t size;
	uint32_t expiry_hour; /* FINISH, KEEP */
	enum kw_blobs_note note;
	enum kw_err err;
	union {
		struct kw_frame_blob_offer offer;
		struct kw_frame_blob_want want;
		struct kw_frame_blob_done done;
	} u;
};

#define KW_BLOBS_PLAN_MAX 64u
struct kw_blobs_plan {
	uint32_t count;
	struct kw_blobs_effect effects[KW_BLOBS_PLAN_MAX];
};

/* Bytes that init needs; lent, zeroed, aligned for any type, for the exchange's life. */
size_t kw_blobs_size(const struct kw_blobs_limits *limits);
struct kw_blobs *kw_blobs_init(void *memory, const struct kw_blobs_limits *limits);
void kw_blobs_step(struct kw_blobs *blobs, const struct kw_blobs_event *event, struct kw_blobs_plan *plan);

/* Looking. An index below entries_max; NULL when nothing is there. */
struct kw_blobs_view {
	struct kw_blobs_entry entry;
	uint32_t moved;      /* sealed bytes that are here (PART), or that the next hop asked for or has (WHOLE) */
	bool held;           /* the next hop has all of it */
	enum kw_err problem; /* the last refusal; KW_OK for none */
};
bool kw_blobs_look(const struct kw_blobs *blobs, uint32_t index, struct kw_blobs_view *out);
/* What an effect is about: valid while the entry lives. */
const struct kw_blobs_entry *kw_blobs_entry(const struct kw_blobs *blobs, uint32_t index);
/* One that we made ourselves, for this agency. */
bool kw_blobs_has_own(const struct kw_blobs *blobs, const struct kw_blob_ref *ref);

/* Room that is promised counts. */
struct kw_blobs_counts {
	uint32_t entries;
	uint64_t bytes;
	uint32_t own;  /* of the entries, made here */
	uint32_t lost; /* of these, expired undelivered */
};
void kw_blobs_counts_get(const struct kw_blobs *blobs, struct kw_blobs_counts *out);

#endif
