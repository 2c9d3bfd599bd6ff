#ifndef TESTS_KIT_WORLD_INNER_H
#define TESTS_KIT_WORLD_INNER_H

#include "agent/core/core.h"
#include "agent/core/erase.h"
#include "agent/core/offer.h"
#include "agent/core/owner.h"
#include "broker/core/core.h"
#include "tests/kit/prng.h"
#include "tests/kit/world.h"

/* The inside of the world, shared by world*.c. Times are pretend milliseconds since the start. */

#define W_AGENTS_MAX 5u
#define W_HUB W_AGENTS_MAX /* its number as a node */
#define W_CONNS_MAX 16u
#define W_NOBODY 99u
#define W_NOTICE 0x80000000u   /* a body that is a notice */
#define W_REMINDER 0x40000000u /* beside it: a reminder instead */

/* A growing array: W_PUSH gives the new, zeroed item. */
#define W_VEC(type) \
	struct { \
		type *at; \
		uint32_t count; \
		uint32_t cap; \
	}
#define W_PUSH(vec) (w_grow((void **)&(vec).at, (vec).count, &(vec).cap, sizeof(*(vec).at)), &(vec).at[(vec).count++])
void w_grow(void **at, uint32_t count, uint32_t *cap, size_t size);

/* What a message says, in a world with threads. */
enum w_say_type { W_SAY_NOTHING, W_SAY_EVENT, W_SAY_CONSENT, W_SAY_ERASE, W_SAY_ACK };
struct w_say {
	enum w_say_type type;
	uint32_t thread;
	bool opening;
	uint8_t state;
	enum kw_risk risk;
	uint32_t place;
	uint32_t follow; /* the follow-up that it carries out; 0: none */
	uint8_t action;  /* of what is about consent */
	uint8_t outcome;
};

enum w_state { W_FRESH, W_QUEUED, W_DELIVERED, W_DEAD };

/* An envelope. What its two ends have on disk about it is here too: only durable state, so a crash needs no copy. */
struct w_msg {
	bool receipt;
	bool unopenable;
	uint8_t key_gone; /* sealed to a key that its recipient has not got: 1, and sealed once more it is opened; 2, not then either */
	bool rekeyed;    /* on the sender's disk: it is sealed once more, or waits for it */
	bool again;      /* it is that second envelope */
	uint32_t copies; /* second envelopes of it */
	uint32_t about; /* receipts: the message */
	uint32_t from;
	uint32_t to; /* W_NOBODY: no such agency */
	enum kw_msg_class msg_class;
	uint32_t size;
	uint32_t expiry_hour;
	enum w_state state;  /* on the sender's disk */
	enum kw_err reason;  /* dead ones */
	bool passed;         /* a hub that has lost its memory since had it */
	bool acked;          /* the local caller was told "held" */
	bool refused;        /* for now, at least once */
	bool seen;           /* on the recipient's disk */
	uint32_t delivered;  /* times in the recipient's inbox */
	uint64_t submit_order;
	uint64_t deliver_order;
	/* with threads */
	struct w_say say;
	bool copy[2]; /* its content is on the disk of the sender, of the recipient */
	bool barred; /* the sender's own agent took it back when it was to be stored */
	bool failed; /* receipts: the message was refused */
	bool opened; /* receipts: it was judged */
};

/* A thread, as nobody in it sees it. */
struct w_thread {
	enum kw_thread_kind kind;
	uint32_t end[2];    /* the agency of each party */
	uint32_t record[2]; /* its place among that agency's records; UINT32_MAX: none */
	uint32_t about;     /* the case */
	uint32_t group;     /* of offers; UINT32_MAX: none */
	bool gone[2];       /* the key of its contents was destroyed at that end, by what the disk says */
	bool must[2];       /* by what the world knows, that end must be without it */
	bool manual[2];     /* a person decides there about an Erase */
	bool retains[2];    /* and a law forbids to erase it */
	bool questioned[2]; /* that end was asked, and has not asked itself since */
	bool unheard;       /* a word about consent went for good */
	bool lost;          /* a message of it went for good: its ends need not agree */
	bool lost_by_others; /* and its sender did not take it back */
	bool skipped;       /* the hub did not hear all in order */
	bool hub_word;      /* the hub declared a state */
};
struct w_case {
	uint32_t first; /* where it began */
	uint32_t owner;
};

/* One referral offered to several agencies. */
struct w_group {
	uint32_t agent;
	bool manual;
	uint8_t count;
	uint32_t thread[AGT_OFFER_AGENCIES_MAX]; /* of the first round */
};
/* What was asked about consent in one thread. */
struct w_erasure {
	uint32_t thread;
	struct agt_erase row;
};
/* A key that is to be destroyed. */
struct w_shred {
	uint32_t thread;
	bool destroyed; /* and the disk does not say so yet */
};
struct w_offer { /* on the disk of the agent that offers */
	uint32_t group;
	struct agt_offer thing;
	uint32_t thread[AGT_OFFER_MEMBERS_MAX];
};
enum { W_OFFER_WITHDRAW = 100, W_OFFER_TIME };

/* A thread on an agent's disk. */
struct w_step {
	struct agt_thread_event event;
	uint32_t msg;
	uint64_t order; /* of ours: a later word has a higher one */
	bool refused;
	bool lost;
};
struct w_record {
	uint32_t thread;
	struct agt_thread thing;
	bool named; /* it says whom it is about */
	W_VEC(struct w_step) log;
	W_VEC(uint32_t) early; /* messages */
};
struct w_follow {
	uint32_t id;
	uint32_t thread;
	enum w_say_type type;
	uint8_t state;
	bool opening;
	bool busy; /* volatile */
};

struct w_box {
	uint32_t body;
	int32_t kept;
	bool live;
};
struct w_boxes {
	W_VEC(struct w_box) box;
	W_VEC(uint32_t) spare;
	uint32_t live;
};

struct w_conn {
	uint32_t agent;
	uint32_t hub_conn; /* BRK_CONN_NONE: not accepted */
	bool open[2];      /* the agent's end, the hub's end */
	bool dead;         /* nothing passes any more */
	uint64_t arrive[2];
	uint64_t depart[2];
	uint64_t stall_until[2];
	bool drain[2];
};
enum { W_TO_HUB, W_TO_AGENT };

struct w_frame {
	uint8_t type;
	enum kw_msg_class msg_class;
	uint64_t sequence;
	uint32_t body;
	union {
		struct kw_frame_ack ack;
		struct kw_frame_hello hello;
		struct kw_frame_error error;
		struct kw_frame_unopened unopened;
	} u;
};

enum w_event_type {
	W_EV_FRAME,       /* a: conn, b: frame, dir */
	W_EV_FIN,         /* a: conn: the other end has closed */
	W_EV_DIALLED,     /* a: conn */
	W_EV_DIAL_FAILED, /* node, life */
	W_EV_DOWN,        /* a: conn, dir: that end notices */
	W_EV_DRAIN,       /* a: conn, dir */
	W_EV_COMMIT,      /* node, life */
	W_EV_TICK,        /* node, life */
	W_EV_READ,        /* agent, life; a: class, b: from, c: count */
	W_EV_SUBMIT,      /* agent */
	W_EV_CRASH,       /* node */
	W_EV_RESTART,     /* node */
	W_EV_LINK_FAULT,
	W_EV_SPACE,
	W_EV_BACKUP,
	W_EV_CALM,
	W_EV_SPLIT,
	W_EV_JUMP
};
struct w_event {
	uint64_t at;
	uint64_t order;
	enum w_event_type type;
	uint32_t node;
	uint32_t life;
	uint32_t a;
	uint64_t b;
	uint32_t c;
	uint8_t dir;
};

/* The hub's disk. */
struct w_hub_row {
	uint64_t sequence;
	uint32_t body;
	uint32_t size;
	uint32_t expiry_hour;
	uint32_t owner;
	struct kw_id id;
	struct kw_id thread_id;
};
struct w_hub_queue {
	uint64_t last;
	W_VEC(struct w_hub_row) rows;
};
struct w_hub_image {
	uint64_t epoch;
	struct w_hub_queue queue[W_AGENTS_MAX][KW_MSG_CLASS_COUNT];
	struct kw_cursor cursor[W_AGENTS_MAX][KW_MSG_CLASS_COUNT];
	W_VEC(struct brk_thread) threads;
	struct brk_held held[W_AGENTS_MAX];
};
struct w_hub_op {
	enum brk_effect_type type;
	uint64_t ticket;
	uint32_t slot;
	enum kw_msg_class msg_class;
	uint64_t sequence;
	struct w_hub_row row;
	struct brk_thread thread;
	struct brk_held held;
	uint32_t held_slot; /* BRK_SLOT_NONE: of none */
	uint32_t from_slot;
	enum kw_msg_class from_class;
	struct kw_cursor cursor;
};
struct w_refill {
	uint32_t slot;
	enum kw_msg_class msg_class;
	uint64_t from;
	uint32_t count_max;
};
struct w_hub {
	bool up;
	uint32_t life;
	struct brk_limits limits;
	void *memory;
	struct brk *brk;
	struct brk_plan plan;
	struct w_boxes boxes;
	uint32_t conn_of[W_CONNS_MAX]; /* world's number, UINT32_MAX: free */
	W_VEC(struct w_refill) refills;
	enum brk_space space;
	struct kw_hub_time time;
	int64_t jump_ms;      /* how far its wall clock is off */
	int64_t time_on_disk;
	uint64_t seen_repeats;
	uint64_t trimmed[W_AGENTS_MAX][KW_MSG_CLASS_COUNT];
	struct w_hub_image image;
	struct w_hub_image backup;
	bool has_backup;
	W_VEC(struct w_hub_op) ops;
	uint32_t in_flight;
};

/* An agent's disk. */
enum w_agent_op_type { W_OP_APPEND, W_OP_HELD, W_OP_RECEIVE, W_OP_NOTICE, W_OP_EPOCH, W_OP_OWN_EPOCH, W_OP_SWEEP, W_OP_OFFER,
	W_OP_WITHDRAW, /* about: the case; body: a thread, or UINT32_MAX for all; action */
	W_OP_DECIDE,   /* body: the thread; action: the outcome */
	W_OP_UNFOLLOW, /* body: what will not be said */
	W_OP_DESTROY, W_OP_SHREDDED };
enum w_submit { W_SUBMIT_FRESH, W_SUBMIT_RETRY, W_SUBMIT_DUE, W_SUBMIT_AGAIN };
struct w_agent_op {
	enum w_agent_op_type type;
	uint64_t ticket;
	enum kw_msg_class msg_class;
	uint64_t sequence;
	uint64_t epoch;
	uint32_t body;
	uint32_t about; /* W_SUBMIT_DUE: the message received; W_SUBMIT_AGAIN: the one that nobody could open */
	uint8_t action;
	enum w_submit submit;
};
struct w_out_row {
	uint64_t sequence;
	uint32_t msg;
	bool gone;
};
struct w_retry {
	uint64_t due;
	uint32_t msg;
	bool busy; /* volatile */
};
struct w_due {
	uint32_t msg;
	bool failed;
	bool opened;
	bool busy; /* volatile */
};
struct w_rekey {
	uint32_t msg;
	bool busy; /* volatile */
};
struct w_gone {
	enum kw_msg_class msg_class;
	uint64_t sequence;
};
struct w_agent {
	bool up;
	uint32_t number;
	uint32_t life;
	void *memory;
	struct agt *agt;
	struct w_boxes boxes;
	uint32_t conn; /* UINT32_MAX: none */
	bool holds;    /* its disk has no room for more */
	struct w_agent_op submit; /* of the SUBMIT that is being stepped */
	uint64_t sweep_at;
	uint64_t receipt_at;
	/* durable */
	uint64_t epoch;
	uint64_t hub_epoch;
	uint64_t next[KW_MSG_CLASS_COUNT];
	uint64_t held[KW_MSG_CLASS_COUNT];
	struct kw_cursor received[KW_MSG_CLASS_COUNT];
	W_VEC(struct w_out_row) rows[KW_MSG_CLASS_COUNT];
	W_VEC(struct w_retry) retries;
	W_VEC(struct w_due) dues;
	W_VEC(struct w_rekey) rekeys; /* to be sealed once more */
	W_VEC(struct w_record) records;
	W_VEC(struct w_follow) follows;
	uint32_t follow_last;
	W_VEC(struct w_offer) offers;
	W_VEC(struct w_erasure) erasures;
	W_VEC(struct w_shred) shreds;
	uint64_t steps; /* of ours in threads */
	/* volatile */
	uint64_t split_until;
	W_VEC(struct w_agent_op) ops;
	uint32_t in_flight;
	bool shredding; /* what is to be destroyed is on its way to the disk */
	W_VEC(struct w_gone) gone;
};

/* What a hub said of a clock. */
struct w_told {
	struct kw_frame_reminder reminder;
	uint32_t slot;
	uint32_t inbox; /* times on that agent's disk */
	bool queued;    /* on the hub's disk */
};
/* A step of a clock that the hub's disk says was taken. */
struct w_taken {
	struct kw_id thread_id;
	uint8_t clock;
	uint8_t step;
	int64_t due_ms;
};

/* What the seed drew. */
struct w_draw {
	uint32_t agents;
	uint64_t calm_at;
	uint64_t delay_min, delay_max;
	uint64_t commit_min, commit_max;
	uint64_t submit_every;
	uint32_t messages_max; /* after so many, no new ones */
	uint64_t fault_every;  /* 0: none */
	uint64_t crash_every;  /* 0: none */
	uint64_t space_every;  /* 0: none */
	uint32_t restore_percent;
	uint32_t unopenable_percent;
	uint32_t key_gone_percent;
	uint32_t nobody_percent;
	uint32_t expiry_percent;
	uint64_t wall_start;
	/* with threads */
	uint64_t split_every; /* 0: none */
	uint64_t jump_every;  /* 0: none */
	uint32_t loss_percent; /* thread messages that may be lost for good */
};

struct world {
	struct prng prng;
	struct prng keys; /* of its own, so that a seed goes on as before */
	struct w_draw draw;
	enum world_mutant mutant;
	bool threads;
	FILE *log;
	struct world_result *result;
	uint64_t now;
	uint64_t order;
	bool calm;
	bool failed;
	bool epoch_lost;
	uint64_t deliveries;
	uint64_t submissions;
	W_VEC(struct w_event) heap;
	W_VEC(struct w_msg) msgs;
	W_VEC(struct kw_frame_notice) notices;
	W_VEC(struct w_told) reminders;
	W_VEC(struct w_taken) taken;
	W_VEC(struct w_thread) thread;
	W_VEC(struct w_case) cases;
	W_VEC(struct w_group) groups;
	W_VEC(struct w_conn) conns;
	W_VEC(struct w_frame) frames;
	W_VEC(uint32_t) spare_frames;
	struct w_hub hub;
	struct w_agent agents[W_AGENTS_MAX];
	struct agt_plan agent_plan;
};

/* world.c */
void w_note(struct world *w, uint64_t a, uint64_t b, uint64_t c);
void w_log(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void w_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void w_mark(struct world *w, enum world_mark mark);
void w_at(struct world *w, uint64_t delay, struct w_event event);
uint64_t w_wall(const struct world *w);
struct kw_id w_id(uint32_t msg);
uint32_t w_msg_of(const struct kw_id *id);
struct kw_name w_name(uint32_t agent);
uint32_t w_body_size(const struct world *w, uint32_t body);
uint64_t w_box_new(struct w_boxes *boxes, uint32_t body, int32_t kept);
struct w_box *w_box(struct world *w, struct w_boxes *boxes, uint64_t box);
/* Adds to the holds; the box goes when none is left. */
void w_box_hold(struct world *w, struct w_boxes *boxes, uint64_t box, int32_t add);
void w_boxes_clear(struct w_boxes *boxes);

/* world_net.c */
void w_net_send(struct world *w, uint32_t conn, uint8_t dir, const struct w_frame *frame);
void w_net_close(struct world *w, uint32_t conn, uint8_t end);
void w_net_cut(struct world *w, uint32_t conn);
void w_net_dial(struct world *w, uint32_t agent);
void w_net_event(struct world *w, const struct w_event *event);
void w_net_fault(struct world *w);
void w_net_heal(struct world *w);

/* world_hub.c, world_hub_disk.c */
void w_hub_step(struct world *w, struct brk_event *event);
void w_hub_start(struct world *w);
void w_hub_crash(struct world *w);
void w_hub_frame(struct world *w, uint32_t conn, const struct w_frame *frame);
void w_hub_tick(struct world *w);
void w_hub_down(struct world *w, uint32_t conn);
void w_hub_disk_do(struct world *w, const struct brk_effect *fx);
void w_hub_disk_kick(struct world *w);
void w_hub_disk_done(struct world *w);
void w_hub_disk_crash(struct world *w);
void w_hub_image_copy(struct w_hub_image *to, const struct w_hub_image *from);
void w_hub_image_free(struct w_hub_image *image);

/* world_thread.c */
void w_thread_limits(struct world *w);
bool w_thread_is(uint32_t msg);
/* Fills in a change of a thread; what depends on the thread as it is becomes a plain one. */
void w_thread_do(struct world *w, const struct brk_effect *fx, struct w_hub_op *op);
void w_thread_apply(struct world *w, const struct w_hub_op *op);
uint32_t w_thread_tracks(struct world *w, uint32_t number, struct brk_tracked *out);
void w_thread_due(struct world *w);
uint32_t w_thread_remind(struct world *w, const struct brk_effect *fx);
/* A reminder is on an agent's disk. */
void w_thread_reminded(struct world *w, uint32_t agent, uint32_t body);
/* No clock has a step that is due and was not looked at. */
bool w_thread_done(struct world *w, bool tell);
void w_thread_check(struct world *w);
/* The hub's time, and what its disk knows of it. */
uint64_t w_hub_now(struct world *w);
void w_hub_time_start(struct world *w);
void w_hub_jump(struct world *w);

/* world_agent.c, world_agent_disk.c */
void w_agent_step(struct world *w, struct w_agent *agent, struct agt_event *event);
void w_agent_start(struct world *w, uint32_t number);
void w_agent_crash(struct world *w, uint32_t number);
void w_agent_frame(struct world *w, struct w_agent *agent, const struct w_frame *frame);
void w_agent_tick(struct world *w, struct w_agent *agent);
void w_agent_submit(struct world *w, struct w_agent *agent);
void w_agent_send(struct world *w, struct w_agent *agent, const struct w_msg *like);
void w_agent_read(struct world *w, struct w_agent *agent, const struct w_event *event);
void w_agent_disk_kick(struct world *w, struct w_agent *agent);
void w_agent_disk_done(struct world *w, struct w_agent *agent);
void w_agent_disk_crash(struct world *w, struct w_agent *agent);
/* Ours in this thread which the hub has not taken from us yet. */
void w_agent_recall(struct world *w, struct w_agent *agent, uint32_t thread);
/* A message of ours has arrived: a receipt or an answer says so. */
void w_agent_arrived(struct world *w, struct w_agent *agent, uint32_t number);

/* world_say.c: threads on an agent's disk, as agent/shell/spool_thread.c and spool_early.c have them */
struct w_record *w_record(struct world *w, const struct w_agent *agent, uint32_t thread);
uint32_t w_say_party(const struct world *w, const struct w_agent *agent, uint32_t thread);
/* False: it may not go after all, and nothing is stored. */
bool w_say_append(struct world *w, struct w_agent *agent, uint32_t number);
/* A message that was not here before, and the receipts that it makes due. */
void w_say_receive(struct world *w, struct w_agent *agent, uint32_t number);
void w_say_delivered(struct world *w, struct w_agent *agent, uint32_t number);
/* How a message of ours ended, as spool_end of agent/shell/spool_inner.h. */
enum w_end { W_END_REFUSED, W_END_LOST, W_END_UNSURE, W_END_NONE };
/* A message of ours does not count, or does after all. */
void w_say_void(struct world *w, struct w_agent *agent, uint32_t number, enum w_end end);
/* The other side has said it all with its Erase. */
void w_say_end(struct world *w, struct w_agent *agent, uint32_t thread);
void w_say_unfollow(struct w_agent *agent, uint32_t id);
/* See agt_thread_binds. */
bool w_say_binds(const struct world *w, const struct w_say *say);
void w_say_hub(struct world *w, struct w_agent *agent, const struct kw_frame_reminder *reminder);
void w_say_free(struct w_agent *agent);
struct agt_case w_say_case(struct world *w, const struct w_agent *agent, uint32_t about, uint32_t but);
/* When the agent itself gives it up, as agent/shell/agent_send.c; 0: it leaves that to the hub. */
uint32_t w_row_expiry(const struct world *w, uint32_t number);
struct kw_id w_thread_id(uint32_t thread);
uint32_t w_thread_of(const struct kw_id *id);

/* world_erase.c */
struct agt_erase w_erase_row(const struct w_agent *agent, uint32_t thread);
void w_erase_withdraw(struct world *w, struct w_agent *agent, const struct w_agent_op *op);
void w_erase_decide(struct world *w, struct w_agent *agent, const struct w_agent_op *op);
/* False: the message is about something else. */
bool w_erase_receive(struct world *w, struct w_agent *agent, uint32_t number);
bool w_erase_bars(struct world *w, const struct w_agent *agent, const struct w_say *word);
bool w_erase_keeps(struct world *w, const struct w_agent *agent, uint32_t thread);
bool w_erase_names(struct world *w, const struct w_agent *agent, uint32_t thread);
void w_erase_sent(struct world *w, struct w_agent *agent, uint32_t number);
void w_erase_dead(struct world *w, struct w_agent *agent, uint32_t number);
void w_erase_say(struct world *w, struct w_agent *agent, struct w_follow *follow);
void w_erase_kick(struct world *w, struct w_agent *agent);
void w_erase_destroy(struct world *w, struct w_agent *agent);
void w_erase_shredded(struct world *w, struct w_agent *agent);
void w_erase_tick(struct world *w, struct w_agent *agent);
void w_erase_start(struct world *w, struct w_agent *agent);
bool w_erase_done(const struct world *w, const struct w_agent *agent);

/* world_erase_check.c */
void w_must(struct world *w, const struct w_agent *agent, uint32_t about, bool onward, uint32_t only);
void w_erase_promised(struct world *w, const struct w_agent *agent, const struct w_say *said);
void w_erase_check_lists(struct world *w);
void w_erase_check(struct world *w);

/* world_offer.c */
bool w_offer_may(struct world *w, const struct w_agent *agent, const struct w_say *word);
void w_offer_said(struct world *w, struct w_agent *agent, const struct w_say *word);
void w_offer_heard(struct world *w, struct w_agent *agent, const struct w_say *word);
void w_offer_failed(struct world *w, struct w_agent *agent, const struct w_say *word);
/* what: a member, W_OFFER_WITHDRAW or W_OFFER_TIME */
void w_offer_act(struct world *w, struct w_agent *agent, uint32_t number, uint32_t what);
void w_offer_crash(struct world *w, struct w_agent *agent);
void w_offer_check(struct world *w);

/* world_people.c */
uint32_t w_thread_new(struct world *w, const struct w_agent *agent, enum kw_thread_kind kind, uint8_t state, uint32_t to);
void w_people_draw(struct world *w);
void w_people_act(struct world *w, struct w_agent *agent);
void w_people_follow(struct world *w, struct w_agent *agent);

/* world_owner.c */
void w_owner_changed(struct world *w, const struct w_agent *agent, uint32_t thread, uint8_t before);
void w_owner_check(struct world *w);
void w_say_check(struct world *w);
bool w_say_done(const struct world *w, const struct w_agent *agent);

/* world_check.c */
bool w_check_converged(struct world *w, bool tell);
void w_check_end(struct world *w);

#endif
