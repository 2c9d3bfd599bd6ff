#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/thread.h"
#include "proto/base/id.h"
#include "proto/wire/frame.h"

/* The hub's pure core: admits, queues, delivers, acknowledges, refuses, expires. An event in, effects out; no clock, no
 * I/O, no randomness, no allocation after init, and it cannot fail: overload and bad input are effects.
 *
 * Write first, promise later: every store effect has a ticket; BRK_EV_COMMITTED(ticket) says that all up to it are
 * durable, and only then an ACK leaves. The backlog stays on disk; the core holds a bounded window of boxes that are
 * about to be sent and asks for more with REFILL.
 *
 * Boxes are opaque numbers for bodies; 0 is none. A box that comes in an event is lent for the step; the core says KEEP
 * when it holds on to it, and each kept one is consumed by exactly one SEND or DROP. Boxes in BRK_EV_ROWS are kept
 * already. */

struct brk;

#define BRK_SLOT_NONE UINT32_MAX

/* Connections are small numbers given by the shell, 0..conns_max - 1. */
#define BRK_CONN_NONE UINT32_MAX

/* Boxes held for one queue, and the most rows that one REFILL asks for. */
#define BRK_QUEUE_WINDOW 128u
#define BRK_REFILL_COUNT 64u
#define BRK_REFILL_BYTES (256u * 1024u)

struct brk_limits {
	uint32_t slots_max;           /* agencies */
	uint32_t conns_max;
	uint32_t window_entries;      /* messages in total that wait in memory to be sent or acknowledged */
	uint32_t pending_max;         /* messages taken and reminders said that are not yet durable, in total; one part in
	                                 eight, and at least room for one thread, is for reminders alone: brk_limits_fault */
	uint32_t threads_pending_max; /* threads changed and not yet durable, in total, shared likewise; 0: none are watched */
	uint32_t queue_messages_max;  /* waiting for one agency, normal and bulk together */
	uint64_t queue_bytes_max;
	uint32_t urgent_messages_max; /* urgent ones waiting for one agency: their own quota */
	uint32_t notices_max;         /* notices waiting for one agency that end its credit until it takes them; what
	                                 credit it has left may still add to them */
	uint32_t reminders_max;       /* reminders waiting for one agency; what it missed past that it hears in one, once
	                                 there is room. The last thread may add all of its own */
	uint32_t threads_open_max;    /* open threads that one agency has opened */
	uint32_t grant_messages;      /* credit window per agency and class */
	uint32_t grant_bytes;
	uint32_t out_bytes_max;       /* handed to a connection and not yet taken by the network */
	uint32_t refused_retry_ms;    /* what a refused sender is told to wait */
	struct brk_thread_rules threads;
	struct kw_name coordinator;   /* the agency that hears of what is very late; empty: none */
};
/* Clock limits that are all zero, as here, are the default ones. */
extern const struct brk_limits BRK_LIMITS_DEFAULT;

/* One waiting message, as the core sees it. */
struct brk_entry {
	uint64_t sequence;
	uint64_t box;
	uint32_t size;         /* bytes of the envelope or notice */
	uint32_t expiry_hour;  /* 0 = never */
	uint32_t owner_slot;   /* who sent it; BRK_SLOT_NONE for notices */
	struct kw_id envelope_id;
	struct kw_id thread_id; /* of the thread that it opens; zero for none */
	bool reminder;          /* of control rows */
};

/* Of one agency; kept by the store, so that a start need not count. */
struct brk_held {
	uint32_t threads;   /* open ones that it has opened */
	uint32_t reminders; /* waiting for it */
};

enum brk_event_type {
	BRK_EV_START,      /* epoch */
	BRK_EV_AGENCY,     /* agency: known, or shut out, or let in again */
	BRK_EV_QUEUE,      /* queue: recovered from disk */
	BRK_EV_CURSOR,     /* cursor: recovered from disk */
	BRK_EV_HELD,       /* held: recovered from disk */
	BRK_EV_HELLO,      /* hello: the first frame of a session, on a connection that TLS has tied to an agency */
	BRK_EV_CONN_DOWN,  /* conn */
	BRK_EV_MESSAGE,    /* message */
	BRK_EV_ACK,        /* ack */
	BRK_EV_UNOPENED,   /* unopened */
	BRK_EV_COMMITTED,  /* ticket */
	BRK_EV_ROWS,       /* rows: the answer to REFILL */
	BRK_EV_EXPIRED,    /* expired: a row on disk that is past its expiry */
	BRK_EV_RECALLED,   /* expired: a row on disk that its owner, on conn, takes back */
	BRK_EV_DRAINED,    /* conn: the network took what was handed over */
	BRK_EV_SPACE,      /* space; about once a second, and when it changes */
	BRK_EV_DUE,        /* due: a thread whose due_ms has come */
	BRK_EV_CONTINUE    /* after a plan with `more` */
};

enum brk_space {
	BRK_SPACE_OK,
	BRK_SPACE_LOW,  /* give no credit for new messages; acks and deletes go on */
	BRK_SPACE_OUT   /* nor take what old credit lets come: such a session ends, and its next one begins with none */
};

/* A track of a message, and what the store has of its thread (thread.kind 0: nothing). Of two tracks of one thread in one
 * message the later one counts from what the earlier one made. */
struct brk_tracked {
	struct brk_track track; /* from_slot, to_slot and expiry_hour are filled in by the core */
	struct brk_thread thread;
};

struct brk_message {
	uint32_t conn;
	enum kw_msg_class msg_class;
	uint64_t sequence;
	uint64_t box;
	uint32_t size;
	uint32_t to_slot;      /* BRK_SLOT_NONE: nobody of that name */
	uint32_t expiry_hour;
	struct kw_id envelope_id;
	struct kw_name to;     /* for the notice of a refusal */
	uint32_t track_count;  /* at most KW_FRAME_TRACKS_MAX */
	struct brk_tracked *tracks; /* borrowed for the step, and written in it */
	enum kw_err err;       /* not KW_OK: the envelope cannot be carried; refuse with this */
};

struct brk_event {
	enum brk_event_type type;
	uint64_t wall_ms; /* hub time, since 1970 */
	union {
		uint64_t epoch;
		uint64_t ticket;
		uint32_t conn;
		enum brk_space space;
		struct {
			uint32_t slot;
			struct kw_name name;
			bool revoked;
		} agency;
		struct {
			uint32_t slot;
			enum kw_msg_class msg_class;
			uint64_t first; /* first > last: empty */
			uint64_t last;
			uint64_t count;
			uint64_t bytes;
		} queue;
		struct {
			uint32_t slot;
			enum kw_msg_class msg_class;
			struct kw_cursor cursor;
		} cursor;
		struct {
			uint32_t slot;
			struct brk_held held;
		} held;
		struct {
			uint32_t conn;
			uint32_t slot;
			struct kw_frame_hello hello;
		} hello;
		struct brk_message message;
		struct {
			uint32_t conn;
			struct kw_frame_ack ack;
		} ack;
		struct {
			uint32_t conn;
			struct kw_frame_unopened unopened;
			uint32_t owner_slot; /* read from the row by the shell; BRK_SLOT_NONE if it is gone */
			struct kw_id thread_id; /* likewise */
		} unopened;
		struct {
			uint32_t slot;
			enum kw_msg_class msg_class;
			bool end; /* there was nothing more on disk when it was read */
			uint32_t count; /* at most BRK_REFILL_COUNT */
			const struct brk_entry *entries; /* ordered; borrowed for the step */
		} rows;
		struct {
			uint32_t slot;
			enum kw_msg_class msg_class;
			struct brk_entry entry; /* box is 0; size counts */
			uint32_t conn;          /* recalled: of who takes it back */
		} expired;
		struct brk_thread due;
	} u;
};

enum brk_effect_type {
	BRK_FX_KEEP,     /* box: hold it until SEND or DROP */
	BRK_FX_DROP,     /* box: release it */
	BRK_FX_APPEND,   /* store append.entry in the queue (slot, class), and the cursor of (from_slot, from_class) */
	BRK_FX_CURSOR,   /* store the cursor alone: the message became a notice, or nothing */
	BRK_FX_NOTICE,   /* store notice in the control queue of slot as `sequence` */
	BRK_FX_TRIM,     /* store: rows of (slot, class) up to sequence go */
	BRK_FX_REMOVE,   /* store: one row goes */
	BRK_FX_RECALL,   /* store: one row goes, and its bytes */
	BRK_FX_REMINDER, /* store reminder in the control queue of slot as `sequence` */
	BRK_FX_THREAD,   /* store thread */
	BRK_FX_THREAD_GONE, /* store: the thread is forgotten; thread.id */
	BRK_FX_UNDELIVERABLE, /* store what brk_thread_undeliverable makes of the thread with this id, and what brk_undelivered
	                         says if it is a change */
	BRK_FX_HELD,     /* store held of slot */
	BRK_FX_SEND,     /* write MESSAGE (class, sequence, box) to conn and release the box */
	BRK_FX_ACK,      /* write ack to conn */
	BRK_FX_WELCOME,  /* write welcome to conn */
	BRK_FX_ERROR,    /* write error to conn */
	BRK_FX_CLOSE,    /* close conn after what was written; err says why */
	BRK_FX_REFILL,   /* read the queue (slot, class) from sequence on; answer with BRK_EV_ROWS before any other event */
	BRK_FX_NOTE      /* tell the log */
};

enum brk_note {
	BRK_NOTE_ONLINE,
	BRK_NOTE_OFFLINE,
	BRK_NOTE_REPLACED,  /* a second connection of the same agency took over */
	BRK_NOTE_REFUSED,   /* a message was refused; err */
	BRK_NOTE_EXPIRED,
	BRK_NOTE_UNOPENED,
	BRK_NOTE_RECALLED,  /* slot: whom it was for */
	BRK_NOTE_SPACE_LOW,
	BRK_NOTE_SPACE_OK,
	BRK_NOTE_TRACK_ILLEGAL,  /* slot: who said it; the message went on */
	BRK_NOTE_TRACK_FOREIGN,  /* it spoke of a thread of others */
	BRK_NOTE_LEASE,          /* slot: who gave one of several agencies the lease of an offer */
	BRK_NOTE_TRACK_OVER,     /* it opens more threads than it may; the message went on, and nobody watches that thread */
	BRK_NOTE_CLOCKS_HELD,    /* a reminder is due and there is no room for it: once, until they go on */
	BRK_NOTE_CLOCKS_GO_ON,
	BRK_NOTE_COUNT
};

struct brk_effect {
	enum brk_effect_type type;
	uint32_t conn;
	uint32_t slot;
	enum kw_msg_class msg_class;
	uint64_t ticket;   /* store effects; growing from 1 */
	uint64_t sequence;
	uint64_t box;
	union {
		struct {
			struct brk_entry entry;
			uint32_t from_slot;
			enum kw_msg_class from_class;
			struct kw_cursor from_cursor;
		} append;
		struct kw_cursor cursor;
		struct kw_frame_notice notice;
		struct kw_frame_ack ack;
		struct kw_frame_hello welcome;
		struct kw_frame_error error;
		enum kw_err err;
		struct kw_frame_reminder reminder;
		struct brk_thread thread;
		struct kw_id thread_id;
		struct brk_held held;
		struct {
			uint32_t count_max;
			uint32_t bytes_max;
		} refill;
		struct {
			enum brk_note code;
			enum kw_err err;
		} note;
	} u;
};

/* Effects of one step. With `more`, carry this plan out and step again with BRK_EV_CONTINUE. */
#define BRK_PLAN_MAX 1024u
struct brk_plan {
	uint32_t count;
	bool more;
	struct brk_effect effects[BRK_PLAN_MAX];
};

/* The field of the first limit that is too small for anything to move, or NULL: a message and a thread whose time has come
 * both need room for all that they cause, or they would wait for ever. */
const char *brk_limits_fault(const struct brk_limits *limits);
/* Bytes that brk_init needs; the shell lends them, zeroed and aligned for any type, for the core's life. */
size_t brk_size(const struct brk_limits *limits);
/* The limits have no fault. */
struct brk *brk_init(void *memory, const struct brk_limits *limits);
/* The clocks that it runs by, for brk_thread_undeliverable. */
const struct brk_thread_rules *brk_rules(const struct brk *brk);
void brk_step(struct brk *brk, const struct brk_event *event, struct brk_plan *plan);
/* The thread has become undeliverable, so it is open no more: what is held now of the agency that opened it, to be stored on
 * the ticket of that effect. False when that is nobody. */
bool brk_undelivered(struct brk *brk, const struct brk_thread *before, const struct brk_thread *thread, uint32_t *slot,
	struct brk_held *held);
struct brk_held brk_held_of(const struct brk *brk, uint32_t slot);
/* Whether an agency may send and be sent to: it is known and not shut out. */
bool brk_is_admitted(const struct brk *brk, uint32_t slot);

/* Counters for the status port and the log. */
struct brk_counts {
	uint64_t taken;      /* messages made durable */
	uint64_t delivered;  /* acknowledged by their recipient */
	uint64_t repeats;    /* arrived again */
	uint64_t refused;
	uint64_t expired;
	uint64_t unopened;
	uint64_t recalled;   /* taken back by their owners before they were delivered */
	uint64_t waiting;    /* in all queues now */
	uint32_t online;     /* agencies with a session */
	uint64_t opened;     /* threads */
	uint64_t moved;      /* tracks that moved one */
	uint64_t early;      /* tracks that wait for what is missing */
	uint64_t illegal;    /* tracks that fit no machine */
	uint64_t foreign;    /* tracks of others' threads */
	uint64_t over;       /* tracks that would open one too many */
	uint64_t reminders;
	uint64_t owed;       /* reminders that found no room and come later, in one */
	uint64_t declared;   /* EXPIRED, UNCLAIMED */
	uint64_t leases;     /* offers that one agency got */
	uint64_t forgotten;  /* threads that were over for long enough */
};
void brk_counts_get(const struct brk *brk, struct brk_counts *out);

#endif
