#ifndef KW_WIRE_BLOBS_INNER_H
#define KW_WIRE_BLOBS_INNER_H

#include "proto/wire/blob_pace.h"
#include "proto/wire/blobs.h"

/* Shared by blobs.c (entries, expiry, dispatch), blobs_take.c (offers to us, chunks in) and blobs_give.c (offers of ours,
 * chunks out), blobs_keep.c (how long what is here stays). */

/* The most effects that one handler adds. Loops look before each turn. */
#define BLOBS_RESERVE 8u

struct blobs_slot {
	struct kw_blobs_entry entry;
	bool used;
	bool leaving;        /* REMOVE is under way or due */
	bool losing;         /* LOSE is under way */
	bool keep_due;       /* named after it was whole: it stands under too early an hour */
	uint32_t since_hour; /* it is here */
	uint16_t disk;       /* effects not answered yet */
	uint32_t giver_next; /* in the list of the giver's session */
	uint32_t taker_next;
	/* taking */
	bool offered;        /* in this session of the giver */
	bool known;          /* `have` is known */
	uint32_t have;       /* chunks durable or written here, from the front */
	/* giving */
	bool held;           /* for who looks: the next hop said so once */
	bool answered;       /* taken or refused for good: not offered again in this session */
	bool told;           /* GIVEN: the giver was told in this session */
	uint32_t moved;
	uint64_t retry_at_ms;
	enum kw_err problem;
};

struct blobs_session {
	bool up;
	/* the blobs that it gives to us */
	uint32_t given_first;
	uint32_t count;       /* of them, not delivered yet */
	uint64_t bytes;
	uint32_t taking;      /* entry; KW_BLOBS_NONE */
	uint32_t got;         /* sealed bytes arrived, from the front */
	uint32_t asked;
	uint32_t written;     /* chunks the disk has */
	uint64_t heard_ms;
	struct kw_blob_pace pace;
	/* the blobs that it takes from us */
	uint32_t taken_first;
	uint32_t offering;    /* entry whose offer is not answered */
	uint32_t giving;      /* entry */
	uint32_t give_next;   /* next byte to send */
	uint32_t give_upto;
	uint32_t piece_max;
	uint32_t cached;      /* chunk of `giving` that was read; KW_BLOBS_NONE */
	bool reading;
	bool ready;           /* a piece may leave */
};

struct kw_blobs {
	struct kw_blobs_limits limits;
	struct kw_blobs_plan *plan; /* of the step that runs */
	uint64_t wall_ms;
	uint64_t mono_ms;
	uint64_t bytes;
	uint32_t count;
	uint32_t own;         /* of these, made here */
	uint32_t lost;
	uint64_t promised_bytes; /* to what is being made here */
	uint32_t promised_count;
	uint32_t taking;      /* sessions served now */
	uint32_t free_first;
	uint32_t swept;       /* the expiry walk goes on here */
	uint32_t woken;       /* the walk over sessions goes on here */
	struct blobs_slot *slots;
	struct blobs_session *sessions;
};

struct kw_blobs_effect *blobs_fx(struct kw_blobs *b, enum kw_blobs_effect_type type);
bool blobs_room(const struct kw_blobs *b);
/* A disk effect for an entry; counted. */
struct kw_blobs_effect *blobs_disk(struct kw_blobs *b, enum kw_blobs_disk op, uint32_t entry);
void blobs_note(struct kw_blobs *b, uint32_t entry, enum kw_blobs_note note, enum kw_err err);
/* DONE to a session, if it is up. err KW_OK: delivered says which. */
void blobs_tell(struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref, enum kw_err err, bool delivered);
struct kw_blob_ref blobs_ref(const struct kw_blobs *b, uint32_t entry);
uint32_t blobs_find_given(const struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref);
uint32_t blobs_find_taken(const struct kw_blobs *b, uint32_t session, const struct kw_blob_ref *ref);
/* KW_BLOBS_NONE when there is no room. */
uint32_t blobs_add(struct kw_blobs *b, const struct kw_blobs_entry *entry);
/* Takes it out of all that is under way, and off the disk. */
void blobs_remove(struct kw_blobs *b, uint32_t entry);
/* Its bytes count no more. */
void blobs_uncount(struct kw_blobs *b, uint32_t entry);

/* blobs_keep.c */
void blobs_expire(struct kw_blobs *b, uint32_t entry);
/* One that was found on the disk. */
void blobs_found(struct kw_blobs *b, uint32_t entry);
void blobs_named(struct kw_blobs *b, const struct kw_digest *digest);
void blobs_drop(struct kw_blobs *b, const struct kw_digest *digest);
/* The hour under which it stands once it is whole here. */
uint32_t blobs_keep_hour(const struct kw_blobs *b, uint32_t entry);
/* A named one stands under too early an hour. */
void blobs_keep(struct kw_blobs *b, uint32_t entry);
void blobs_keep_disk(struct kw_blobs *b, const struct kw_blobs_event *event);
/* Of this agency's blobs here, from this session; and whether one more of this size fits. */
bool blobs_peer_room(const struct kw_blobs *b, uint32_t session, const struct kw_name *from, uint64_t size);
/* Makes room among what no message names; from: of this agency only, NULL: of any. False when there is nothing. What goes is
 * gone when the disk has answered. */
bool blobs_evict(struct kw_blobs *b, uint32_t session, const struct kw_name *from);

void blobs_take_offer(struct kw_blobs *b, const struct kw_blobs_event *event);
void blobs_take_chunk(struct kw_blobs *b, const struct kw_blobs_event *event);
void blobs_take_disk(struct kw_blobs *b, const struct kw_blobs_event *event);
/* Goes on with what is offered. */
void blobs_take_pump(struct kw_blobs *b, uint32_t session);
/* Stops taking; what is written stays. */
void blobs_take_stop(struct kw_blobs *b, uint32_t session);

void blobs_give_want(struct kw_blobs *b, const struct kw_blobs_event *event);
void blobs_give_done(struct kw_blobs *b, const struct kw_blobs_event *event);
void blobs_give_disk(struct kw_blobs *b, const struct kw_blobs_event *event);
void blobs_give_piece(struct kw_blobs *b, uint32_t session);
/* Offers the next one and tells of deliveries. */
void blobs_give_pump(struct kw_blobs *b, uint32_t session);
void blobs_give_stop(struct kw_blobs *b, uint32_t session);

#endif
