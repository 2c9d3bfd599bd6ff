#ifndef BROKER_CORE_STATE_H
#define BROKER_CORE_STATE_H

#include "broker/core/core.h"
#include "proto/wire/lane.h"

/* The inside of the core, shared by its files and by nobody else.
 *
 * A queue's rows are on disk, or on the way there, with sequences acked+1..last (with gaps where rows expired). Of them,
 * a prefix was sent in this session (`flight`, waiting for the recipient's ack) and the next ones wait in `window`.
 * `cover` is the end of that: nothing in (.., cover] is left to be read from disk. New rows enter the window directly
 * when cover == last, otherwise they are read back once there is room. */

#define BRK_NODE_NONE UINT32_MAX

struct brk_node {
	struct brk_entry entry;
	uint32_t next;
};

struct brk_list {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

struct brk_queue {
	uint64_t acked;   /* rows up to here are gone */
	uint64_t last;    /* last sequence given out */
	uint64_t durable; /* rows up to here are committed */
	uint64_t cover;
	uint64_t resumed; /* the recipient's cursor at HELLO: rows up to here are read only to be counted off */
	uint64_t sent;    /* rows after this were never sent to the recipient, or it has said that it has not got them */
	uint64_t removed;       /* last expired row; off the disk for certain once remove_ticket is committed */
	uint64_t remove_ticket;
	uint64_t count;
	uint64_t bytes;
	struct brk_list window;
	struct brk_list flight;
	bool refill; /* asked for and not answered */
	bool dry;    /* rows were read and no box was free: not asked for again before one may be */
};

enum {
	BRK_DIRTY_ACK = 1,
	BRK_DIRTY_PUMP = 2,
	BRK_DIRTY_SPACE = 4
};

struct brk_agency {
	bool known;
	bool revoked;
	uint8_t dirty;
	bool listed; /* in the dirty list */
	bool owes_acks; /* got no credit because too many notices wait for it */
	uint32_t next_dirty;
	uint32_t conn;    /* BRK_CONN_NONE: offline */
	uint32_t session; /* grows with each HELLO */
	uint32_t out_bytes;
	struct brk_held held;
	uint32_t reminders_kept; /* of held, as the store knows it */
	struct kw_name name;
	struct kw_rx_lane rx[KW_MSG_CLASS_COUNT];
	struct kw_tx_lane tx[KW_MSG_CLASS_COUNT];
	struct brk_queue queue[KW_MSG_CLASS_COUNT];
};

/* Something handed to the store and not yet durable. */
struct brk_pending {
	uint64_t ticket;
	struct kw_cursor from_cursor; /* epoch 0: none */
	uint64_t to_sequence;         /* 0: none */
	uint32_t from_slot;
	uint32_t from_session;
	uint32_t from_size;
	uint32_t threads; /* changed on this ticket */
	bool clock;       /* a clock's, not a message's */
	uint32_t to_slot;
	enum kw_msg_class from_class;
	enum kw_msg_class to_class;
};

struct brk {
	struct brk_limits limits;
	uint64_t epoch;
	uint64_t ticket;
	uint64_t wall_ms;
	enum brk_space space;
	uint64_t space_told_ms; /* when the agencies last heard that it is not OK */
	bool postponed; /* an expiry found no place for its notice; looked at again likewise */
	bool clocks_held; /* for lack of space, and the log knows it */
	bool held; /* a burst kept credit back; all are told when it is over */
	uint64_t committed;     /* tickets up to here are durable */
	uint64_t remove_ticket; /* of the last row that expired; 0 when it is committed */
	bool starved; /* a delivery found no free node; all are looked at again at the next BRK_EV_SPACE */
	uint32_t threads_pending;
	uint32_t clocks_pending;        /* of pending_count: what clocks have caused */
	uint32_t clock_threads_pending; /* of threads_pending, likewise */
	uint32_t coordinator; /* its slot, or BRK_SLOT_NONE */
	bool scarce;  /* and that since the last one: nodes are shared out fairly */
	struct brk_counts counts;
	uint32_t dirty_head;
	uint32_t dirty_tail;
	uint32_t free_node;
	uint32_t free_count;
	uint32_t pending_head;
	uint32_t pending_count;
	struct brk_plan *plan; /* of the step that runs */
	uint32_t *conn_slot;   /* [conns_max], BRK_SLOT_NONE: no session */
	struct brk_agency *agencies;
	struct brk_node *nodes;
	struct brk_pending *pending;
};

/* core.c: the shared small things */
struct brk_effect *brk_fx(struct brk *brk, enum brk_effect_type type);
uint64_t brk_fx_ticket(struct brk *brk);
void brk_fx_note(struct brk *brk, uint32_t slot, enum brk_note code, enum kw_err err);
void brk_fx_close(struct brk *brk, uint32_t conn, enum kw_err err, const char *field);
void brk_dirty(struct brk *brk, uint32_t slot, uint8_t what);
/* Looks at every agency that is online, at the end of the step. */
void brk_wake_all(struct brk *brk, uint8_t what);
struct brk_agency *brk_agency_of(struct brk *brk, uint32_t conn, uint32_t *slot);

/* intake.c */
void brk_intake_message(struct brk *brk, const struct brk_message *message);
void brk_intake_committed(struct brk *brk, uint64_t ticket);
/* Puts a notice into the owner's control queue, with the ticket of the change that it tells of, which was planned just
 * before; `pending` rides on the same commit and may carry a cursor. */
void brk_intake_notice(struct brk *brk, uint32_t owner, const struct kw_frame_notice *notice, struct brk_pending *pending);
/* A place in the owner's control queue on the present ticket, for the caller to fill in; `pending` as above. */
struct brk_effect *brk_intake_control(struct brk *brk, uint32_t owner, enum brk_effect_type type,
	struct brk_pending *pending);
/* Something rides on the present ticket that needs no place in a queue. */
void brk_intake_pending(struct brk *brk, struct brk_pending *pending);
/* Notices that wait for it: what it caused itself. Reminders come whatever it does. */
uint64_t brk_intake_notices(const struct brk_agency *agency);
struct kw_credit brk_intake_grant(struct brk *brk, struct brk_agency *agency, enum kw_msg_class msg_class);

/* room.c: what may still be handed to the store. Room for a message is room for the notice of an expired one too. */
bool brk_room_for_message(const struct brk *brk, uint32_t tracks);
bool brk_room_for_clock(const struct brk *brk, uint32_t alarms);

/* deliver.c */
void brk_deliver_offer(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, const struct brk_entry *entry);
void brk_deliver_pump(struct brk *brk, uint32_t slot);
void brk_deliver_rows(struct brk *brk, const struct brk_event *event);
void brk_deliver_acked(struct brk *brk, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence);
void brk_deliver_expired(struct brk *brk, const struct brk_event *event);
void brk_deliver_recalled(struct brk *brk, const struct brk_event *event);
void brk_deliver_unopened(struct brk *brk, const struct brk_event *event);
/* Boxes may be free again: rows may be asked for. */
void brk_deliver_retry(struct brk_agency *agency);
/* Forgets what the session held in memory; the disk keeps it. */
void brk_deliver_reset(struct brk *brk, struct brk_agency *agency);

/* watch.c: tracks and clocks */

/* Carries out the tracks of an admitted message on this ticket, before the message itself, and writes the number of
 * changed threads. Returns the thread that the message opens, zero for none. */
struct kw_id brk_watch_tracks(struct brk *brk, const struct brk_message *message, uint32_t slot,
	struct brk_pending *pending);
/* The message that opened this thread (zero: none) will not be delivered; rides on the present ticket. */
void brk_watch_undeliverable(struct brk *brk, const struct kw_id *thread_id);
void brk_watch_due(struct brk *brk, const struct brk_event *event);
/* Writes what is held of this agency, on the present ticket. */
void brk_watch_held(struct brk *brk, uint32_t slot);

/* session.c */
void brk_session_hello(struct brk *brk, const struct brk_event *event);
void brk_session_down(struct brk *brk, uint32_t conn);
void brk_session_ack(struct brk *brk, const struct brk_event *event);
void brk_session_send_ack(struct brk *brk, struct brk_agency *agency);
void brk_session_send_space(struct brk *brk, struct brk_agency *agency);

#endif
