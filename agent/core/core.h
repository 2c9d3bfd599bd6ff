#ifndef AGENT_CORE_H
#define AGENT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/id.h"
#include "proto/wire/frame.h"

/* The agent's pure core: when to connect, what to send next, what to acknowledge, what becomes of a sent message. An
 * event in, effects out; no clock, no I/O, no randomness, no allocation after init, and it cannot fail.
 *
 * The shell's promises: store effects (those with a ticket) are handed to the store in plan order and
 * AGT_EV_COMMITTED(ticket) comes once everything up to the ticket is durable. Messages are boxes to the core: opaque
 * numbers that the shell resolves to bytes. A box that comes in an event belongs to the core until a SEND, IN_STORE or
 * IN_NOTICE (which consume it), or a DROP; OUT_APPEND only looks at it. Rows come back from the disk with AGT_EV_ROWS.
 *
 * Each CONNECT is answered by CONN_UP or CONN_DOWN, and each CONN_UP is followed by one CONN_DOWN, also after a
 * DISCONNECT of ours. In between no event of an older connection arrives.
 *
 * Towards a full disk the core gives no more credit for messages; what was given before may still come, at most a window
 * of each class. Notices, which are small and free rows, always may. What we send goes on.
 *
 * A message that the hub refused for now is not the core's to keep: the shell remembers it and submits it again when
 * its time has come, so a lane never waits behind a row that must wait. */

struct agt;

/* Message windows the agent grants to its hub, per class. */
#define AGT_WINDOW_MESSAGES 256u
#define AGT_WINDOW_BYTES (1024u * 1024u)
/* Boxes waiting to be sent that the core holds per class; the rest stays on disk. */
#define AGT_WINDOW_BOXES 128u
/* Bytes handed to the connection and not yet taken by the network; the next class decision waits for AGT_EV_DRAINED. */
#define AGT_OUT_BYTES_MAX (64u * 1024u)
/* Reconnect: full jitter between 0 and min(cap, base * 2^tries), RETRY base and cap. */
#define AGT_RETRY_BASE_MS 1000u
#define AGT_RETRY_CAP_MS 600000u
/* A silent link: ping after this much silence, doubled by each answer up to the maximum, and give up when nothing is
 * heard for PING_MS after a ping. A link that died starts again at PING_MS. */
#define AGT_PING_MS 30000u
#define AGT_PING_MAX_MS 900000u
/* A hub without room says so again while it lasts; what it said is over after its own time, within these. */
#define AGT_HUB_FULL_MIN_MS 1000u
#define AGT_HUB_FULL_MAX_MS 600000u
/* From CONN_UP to WELCOME. */
#define AGT_WELCOME_MS 20000u

struct agt_row {
	uint64_t sequence;     /* place in the outbox log of the class */
	struct kw_id envelope_id;
	uint32_t size;         /* bytes of the envelope */
	uint32_t expiry_hour;  /* hours since 1970; 0 = never */
	bool wants_receipt;    /* false for receipts: they leave the outbox once the hub holds them */
	uint64_t box;          /* shell's handle; 0 = none */
};

struct agt_lane_recovery {
	uint64_t next_sequence;  /* first free one, from 1 */
	uint64_t held_sequence;  /* R0: the hub has everything up to here */
	struct kw_cursor received; /* from the hub, of this class */
};

/* START: the first event. lanes[] from the store; hub_epoch is the last one seen, 0 for none. */
struct agt_start {
	uint64_t epoch; /* our outbox epoch, not 0 */
	uint64_t hub_epoch;
	uint64_t directory_version;
	struct agt_lane_recovery lanes[KW_MSG_CLASS_COUNT];
};

enum agt_event_type {
	AGT_EV_START,
	AGT_EV_SUBMIT,     /* submit: a sealed envelope to send */
	AGT_EV_COMMITTED,  /* ticket */
	AGT_EV_CONN_UP,    /* TLS is up; the core sends HELLO */
	AGT_EV_CONN_DOWN,  /* the connection ended or could not be made; err */
	AGT_EV_WELCOME,    /* hello */
	AGT_EV_MESSAGE,    /* message: from the hub */
	AGT_EV_ACK,        /* ack */
	AGT_EV_ERROR,      /* error: from the hub */
	AGT_EV_GOAWAY,     /* delay_ms */
	AGT_EV_PONG,       /* any sign of life; the shell sends it for any frame at most once a second */
	AGT_EV_DRAINED,    /* the network took what was handed over */
	AGT_EV_ROWS,       /* rows: the answer to REFILL; may be empty */
	AGT_EV_RECEIPTED,  /* receipted: the row has left the outbox: R1 is stored, or it is a dead letter */
	AGT_EV_SPACE,      /* hold: our disk has no room for more messages from the hub, or has again */
	AGT_EV_TICK        /* about once a second */
};

struct agt_event {
	enum agt_event_type type;
	uint64_t wall_ms;   /* since 1970 */
	uint64_t mono_ms;
	uint64_t random;    /* fresh, uniform */
	union {
		struct agt_start start;
		struct {
			enum kw_msg_class msg_class;
			struct agt_row row; /* sequence is given by the core */
		} submit;
		uint64_t ticket;
		enum kw_err err;
		struct kw_frame_hello hello;
		struct {
			enum kw_msg_class msg_class;
			uint64_t sequence;
			uint32_t size;
			uint64_t box;
		} message;
		struct kw_frame_ack ack;
		struct kw_frame_error error;
		uint32_t delay_ms;
		bool hold;
		struct {
			enum kw_msg_class msg_class;
			uint64_t sequence;
		} receipted;
		struct {
			enum kw_msg_class msg_class;
			uint32_t count; /* at most the count_max of the REFILL */
			const struct agt_row *rows; /* in order; borrowed for this call; each box becomes the core's */
			bool end;                   /* nothing more on disk at the time of reading */
			uint64_t from;              /* as asked */
		} rows;
	} u;
};

enum agt_effect_type {
	AGT_FX_CONNECT,    /* dial the hub */
	AGT_FX_DISCONNECT, /* close the connection; err says why */
	AGT_FX_HELLO,      /* send hello; the shell puts its newest directory version in */
	AGT_FX_SEND,       /* send box as message (class, sequence) and release it */
	AGT_FX_ACK,        /* send ack */
	AGT_FX_PING,       /* send PING */
	AGT_FX_DROP,       /* release box */
	AGT_FX_OUT_APPEND, /* store: row in the outbox (class); keep box's bytes. The local reply waits for its commit */
	AGT_FX_OUT_HELD,   /* store: the hub has everything up to sequence (class): R0; rows that want no receipt go */
	AGT_FX_IN_STORE,   /* store: open the message, write inbox, seen-set, receipt due and the cursor (class, sequence,
	                      hub epoch in u.epoch) in one transaction; a repeat by digest writes the cursor and the
	                      receipt alone, because its sender would not repeat what it has a receipt for */
	AGT_FX_IN_NOTICE,  /* store: a notice of the hub about our message, with the cursor (as IN_STORE), in one transaction:
	                      a retryable one moves the row aside, to be submitted again when due, a final one to the dead
	                      letters */
	AGT_FX_REFILL,     /* read outbox rows of class from sequence on, count_max rows; answer with AGT_EV_ROWS */
	AGT_FX_EPOCH,      /* store: the hub's epoch is now `epoch`; what was held and has no receipt counts as unsent */
	AGT_FX_OWN_EPOCH,  /* store: our outbox epoch is now `epoch`, because the hub has more of the old one than we do: our
	                      disk went back in time. What has no receipt counts as unsent */
	AGT_FX_NOTE        /* tell the log: code and numbers */
};

enum agt_note {
	AGT_NOTE_ONLINE,
	AGT_NOTE_OFFLINE,
	AGT_NOTE_HUB_NEW_EPOCH,
	AGT_NOTE_HUB_REFUSES,   /* err: what the hub complains of */
	AGT_NOTE_HUB_TAKES,     /* it has room again, or has not said for a while that it has none */
	AGT_NOTE_OWN_NEW_EPOCH,
	AGT_NOTE_PEER_BROKE_RULES,
	AGT_NOTE_SILENT_LINK,
	AGT_NOTE_HUB_REPEATS    /* it has sent again what we have; once in a session */
};

struct agt_effect {
	enum agt_effect_type type;
	enum kw_msg_class msg_class;
	uint64_t sequence;
	uint64_t ticket; /* store effects; growing, from 1 */
	uint64_t box;
	union {
		struct agt_row row;
		struct kw_frame_hello hello;
		struct kw_frame_ack ack;
		enum kw_err err;
		uint64_t epoch;
		uint32_t count_max;
		struct {
			enum agt_note code;
			enum kw_err err;
		} note;
	} u;
};

/* Effects of one step. When the core has more to do than fits, it sets `more` and the shell steps again with
 * AGT_EV_TICK after it has carried out this plan. */
#define AGT_PLAN_MAX 512u
struct agt_plan {
	uint32_t count;
	bool more;
	struct agt_effect effects[AGT_PLAN_MAX];
};

/* Bytes of a core; the shell lends that much zeroed memory, aligned for any type, for the core's life. */
size_t agt_size(void);
struct agt *agt_init(void *memory);
void agt_step(struct agt *agt, const struct agt_event *event, struct agt_plan *plan);

/* For the status reply. */
bool agt_online(const struct agt *agt);

#endif
