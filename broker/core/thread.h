#ifndef BROKER_THREAD_H
#define BROKER_THREAD_H

#include "proto/base/id.h"
#include "proto/wire/clocks.h"

/* What a hub knows of one thread, and what becomes of it: a record in, a record out. The agencies decide; a hub watches, so
 * that nobody has to remember to follow up. It declares four things itself: UNDELIVERABLE when the opening message goes,
 * EXPIRED when a delivered one passes its expiry unacknowledged, UNCLAIMED when an offer's clock reaches its limit, and LINKED
 * when both holders of a match have confirmed it.
 *
 * Times are hub time, milliseconds since 1970. */

#define BRK_THREAD_SIZE 55u
#define BRK_THREAD_VERSION 2u /* of the record; the store refuses to open with a later one */
/* What found no room is tried again so much later: the most overdue threads are looked at first, and must not stand in the
 * way of the others. */
#define BRK_THREAD_WAIT_MS UINT64_C(600000)

struct brk_thread {
	struct kw_id id;
	uint32_t slot[2];          /* the agency of KW_PARTY_OPENER, of KW_PARTY_OTHER */
	uint8_t kind;              /* enum kw_thread_kind; 0: there is no such thread */
	uint8_t state;
	uint8_t risk;              /* enum kw_risk */
	uint8_t early_state[2];    /* an event that came before what it stands on, by party; 0: none */
	uint32_t early_sequence[2];
	uint32_t sequence[2];      /* of each party's last event */
	uint32_t expiry_hour;      /* of the opening message; 0: never */
	uint8_t first;             /* the party that opened it, and answers for it */
	uint8_t owed;              /* by enum kw_audience: one bit for each that had no room for the last step */
	struct kw_clock_run run;
	uint64_t due_ms;           /* when to look at it again; 0: never. What the store sorts by, beside the record */
};

struct brk_thread_rules {
	struct kw_clock_limits limits;
	uint64_t keep_ms; /* a thread that is over, or that nobody answers, goes after so long without an event */
};

/* A track, and who said it. */
struct brk_track {
	struct kw_id id;
	uint8_t kind;
	uint8_t state;
	uint8_t risk;
	uint32_t sequence;    /* 0: a receipt */
	uint32_t from_slot;
	uint32_t other_slot;  /* the agency that the track names */
	uint32_t to_slot;     /* the recipient of the message that carries it */
	uint32_t expiry_hour; /* of that message */
	uint8_t present;      /* the thread's state at its author with this event; 0: not said */
	uint32_t heard;       /* the other party's last event that its author had judged */
};

enum brk_verdict {
	BRK_TRACK_OPENED,
	BRK_TRACK_MOVED,
	BRK_TRACK_REPEAT,  /* nothing to write */
	BRK_TRACK_EARLY,   /* kept until what is missing has come */
	BRK_TRACK_ILLEGAL, /* changes nothing: the machine, the risk or the other agency does not fit */
	BRK_TRACK_FOREIGN  /* changes nothing: its sender has no part in the thread */
};

/* `thread` is what is known, all zero for nothing; written on OPENED, MOVED and EARLY only. An event that was undone, because
 * it was lost or could not be read, has moved it all the same: the next one of its author that has heard all that is known of
 * the other party takes it to the state which that author is in. */
enum brk_verdict brk_thread_track(const struct brk_thread_rules *rules, struct brk_thread *thread,
	const struct brk_track *track, uint64_t now_ms);

/* The opening message will not be delivered. False when that changes nothing. */
bool brk_thread_undeliverable(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms);

/* Whom to remind of what. */
struct brk_alarm {
	enum kw_audience audience; /* decides whose queue */
	enum kw_audience as;       /* what the reminder says: the receiver has to act, the sender waits */
	uint8_t percent;
	uint8_t clock; /* enum kw_clock */
	uint8_t state; /* as the schema counts */
	int64_t due_ms; /* the clock's limit */
	int64_t late_ms;
};

#define BRK_ALARMS_MAX (KW_CLOCK_NOTICES_MAX + 3u + KW_AUDIENCE_COUNT)

struct brk_due {
	uint32_t count;
	bool over;     /* the thread may be forgotten; one that is open, and long silent, when its alarms are told */
	bool declared; /* the hub has declared a state */
	struct brk_alarm alarms[BRK_ALARMS_MAX];
};

/* The thread's time has come (due_ms <= now_ms). Writes the thread; on `over` it is to be removed. */
void brk_thread_due(const struct brk_thread_rules *rules, struct brk_thread *thread, uint64_t now_ms,
	struct brk_due *due);

/* This audience has no room for what it had to be told: the newest step is told again once it has. */
void brk_thread_owe(struct brk_thread *thread, enum kw_audience audience, uint64_t now_ms);

/* There is such a thread, and something is still to come. */
bool brk_thread_is_open(const struct brk_thread *thread);
/* The agency whose quota it counts against. */
uint32_t brk_thread_payer(const struct brk_thread *thread);

/* The party whose turn it is; the other one when it is both. */
enum kw_party brk_thread_waits_for(const struct brk_thread *thread);

/* The record as the store keeps it, without id and due_ms; BRK_THREAD_SIZE bytes. */
void brk_thread_pack(uint8_t out[BRK_THREAD_SIZE], const struct brk_thread *thread);
/* KW_EVERSION for one of a later version. id and due_ms are left as they are. */
KW_MUST_USE enum kw_err brk_thread_unpack(struct kw_view bytes, struct brk_thread *out);

#endif
