#ifndef AGENT_CORE_STATE_H
#define AGENT_CORE_STATE_H

#include "agent/core/core.h"
#include "proto/wire/lane.h"

/* What the core's own files share; nobody else includes it. outbox.c decides what is sent, inflow.c what is received
 * and acknowledged, core.c the session around both. */

struct agt_entry {
	uint64_t sequence;
	uint64_t box;    /* 0: gone meanwhile */
	uint64_t ticket; /* may be sent once this is committed */
	uint32_t size;
	uint32_t expiry_hour;
};

/* One class of our outbox. The ring holds the next rows to send, in order. Every row below `covered` is sent, in the
 * ring, or gone; rows from there on are on disk only. */
struct agt_outbox {
	uint64_t next;      /* first sequence not given yet */
	uint64_t committed; /* rows up to here are on disk for certain */
	uint64_t held;      /* R0 */
	uint64_t sent;      /* rows up to here were sent or passed over, counted from the hub's cursor */
	uint64_t covered;
	uint64_t last_ticket;   /* of the newest append */
	uint64_t mark_ticket;   /* when this one commits, `committed` becomes mark_sequence; 0 = none */
	uint64_t mark_sequence;
	bool asked;             /* a REFILL is under way */
	bool stale;             /* and its answer is not wanted any more */
	uint64_t asked_from;
	uint64_t asked_upto;    /* rows up to here must be in the answer if it says `end` */
	struct kw_tx_lane tx;
	uint32_t head;
	uint32_t count;
	struct agt_entry ring[AGT_WINDOW_BOXES];
};

/* A message handed to the store. */
struct agt_taken {
	enum kw_msg_class msg_class;
	uint32_t size;
	uint64_t sequence;
	uint64_t ticket;
};

#define AGT_TAKEN_MAX (AGT_WINDOW_MESSAGES * KW_MSG_CLASS_COUNT)

struct agt_inflow {
	struct kw_rx_lane lanes[KW_MSG_CLASS_COUNT];
	uint8_t ack_mask; /* classes whose cursor or credit is to be told */
	bool repeated;    /* something came again in this session */
	bool hold;        /* no credit for messages */
	bool hello_hold;  /* as our HELLO has told it */
	uint32_t head;
	uint32_t count;
	struct agt_taken taken[AGT_TAKEN_MAX];
};

enum agt_state {
	AGT_BLANK,    /* before START */
	AGT_IDLE,     /* no connection; dials at retry_at */
	AGT_DIALLING,
	AGT_GREETING, /* HELLO is out, WELCOME is not in */
	AGT_ONLINE,
	AGT_CLOSING   /* DISCONNECT is out */
};

struct agt {
	enum agt_state state;
	uint64_t epoch;
	uint64_t hub_epoch;
	uint64_t directory_version;
	uint64_t ticket;           /* last one given */
	uint64_t committed_ticket;
	uint64_t gate_ticket;      /* no dialling before it is committed */
	uint64_t retry_at_ms;      /* monotonic */
	uint32_t tries;
	uint64_t heard_ms;         /* last sign of life */
	uint64_t ping_ms;          /* when the unanswered ping went out */
	bool pinged;
	uint32_t ping_after_ms;
	uint64_t hub_full_until_ms; /* the hub takes nothing new until then, or until it gives credit; 0 = it does */
	uint64_t out_bytes;        /* handed to the connection since it was last empty */
	struct agt_outbox outbox[KW_MSG_CLASS_COUNT]; /* KW_CONTROL stays unused */
	struct agt_inflow inflow;
};

/* Effects that one step may add after the pump has filled the plan: three refills, an ack, a connect, a ping. */
#define AGT_PLAN_RESERVE 16u

/* The next effect of the plan, zeroed but for its type. */
struct agt_effect *agt_plan_add(struct agt_plan *plan, enum agt_effect_type type);
/* The same for a store effect: with the next ticket. */
struct agt_effect *agt_plan_store(struct agt *agt, struct agt_plan *plan, enum agt_effect_type type);
void agt_plan_drop(struct agt_plan *plan, uint64_t box);
void agt_plan_note(struct agt_plan *plan, enum agt_note code, enum kw_err err);

void agt_outbox_start(struct agt *agt, const struct agt_start *start);
void agt_outbox_submit(struct agt *agt, const struct agt_event *event, struct agt_plan *plan);
void agt_outbox_committed(struct agt *agt);
void agt_outbox_rows(struct agt *agt, const struct agt_event *event, struct agt_plan *plan);
void agt_outbox_gone(struct agt *agt, enum kw_msg_class msg_class, uint64_t sequence, struct agt_plan *plan);
/* The hub has the class up to `sequence`: true, or false when it claims what we never sent. */
bool agt_outbox_held(struct agt *agt, enum kw_msg_class msg_class, uint64_t sequence, struct agt_plan *plan);
/* A session begins: go on after the hub's cursor. */
void agt_outbox_session(struct agt *agt, enum kw_msg_class msg_class, uint64_t hub_has, struct agt_plan *plan);
/* Sends what credit and the connection allow, in order of class, and asks for more rows. */
void agt_outbox_pump(struct agt *agt, uint64_t wall_ms, struct agt_plan *plan);

void agt_inflow_start(struct agt *agt, const struct agt_start *start);
void agt_inflow_hello(struct agt *agt, struct kw_frame_hello *hello);
void agt_inflow_session(struct agt *agt, uint64_t hub_epoch);
/* True, or false when the hub overran its credit. The box is consumed either way. */
bool agt_inflow_message(struct agt *agt, const struct agt_event *event, struct agt_plan *plan);
void agt_inflow_committed(struct agt *agt);
void agt_inflow_space(struct agt *agt, bool hold);
void agt_inflow_ack(struct agt *agt, struct agt_plan *plan);

#endif
