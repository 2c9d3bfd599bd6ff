#ifndef KW_WIRE_CLOCKS_H
#define KW_WIRE_CLOCKS_H

#include "proto/base/err.h"
#include "proto/wire/states.h"

/* How long a thread may wait, and who hears of it when it waits longer (DOMAIN.md §5). Pure: time comes in as hub time, in
 * Unix milliseconds; nothing here reads a clock. Timers inform; they never decide: no function here changes a state.
 *
 * At most one clock runs for a thread: the one of its state. It runs on while the state changes but the clock is the same
 * (a new appointment does not give a provider more time for the first service), and steps at 50, 100, 150 and 200 % of its
 * limit. Its deadline is absolute and stored, so it outlives restarts and new settings. */

/* The numbers of the schema's ThreadClock. */
enum kw_clock {
	KW_CLOCK_NONE,
	KW_CLOCK_DELIVERED,       /* until it is at the other's agent */
	KW_CLOCK_ACKNOWLEDGED,    /* until a person has seen it */
	KW_CLOCK_DECIDED,         /* until it is accepted or rejected; a question asked meanwhile does not stop it */
	KW_CLOCK_SERVICE,         /* until the first service */
	KW_CLOCK_OUTCOME,         /* until an outcome is recorded */
	KW_CLOCK_REVIEW,          /* the opener has the answer and must look at the case */
	KW_CLOCK_TRACING,         /* tracing without any action; each action starts it anew */
	KW_CLOCK_VERIFICATION,    /* located and unverified */
	KW_CLOCK_REUNIFICATION,   /* verified and not reunified */
	KW_CLOCK_FOLLOW_UP_FIRST, /* this, the second and the third count from the reunion */
	KW_CLOCK_MATCH,           /* a candidate that both holders have not decided */
	KW_CLOCK_HANDOVER,        /* accepted and not handed over */
	KW_CLOCK_CLAIMED,         /* an offer until somebody has it */
	KW_CLOCK_TRACING_YOUNG,   /* KW_CLOCK_TRACING for a child under 5. Only where the age is known: never at a hub */
	KW_CLOCK_FOLLOW_UP_SECOND,
	KW_CLOCK_FOLLOW_UP_THIRD,
	KW_CLOCK_COUNT
};

#define KW_CLOCK_LIMIT_MS_MIN 1000
#define KW_CLOCK_LIMIT_MS_MAX (400 * INT64_C(86400000))

/* Limits in milliseconds. A thread without a risk counts as one of high risk. Column KW_RISK_NONE and row KW_CLOCK_NONE are
 * not used. */
struct kw_clock_limits {
	int64_t limit_ms[KW_CLOCK_COUNT][KW_RISK_COUNT];
};

/* The values of DOMAIN.md §5. An offer waits as long as an acknowledgement may. */
void kw_clock_limits_default(struct kw_clock_limits *limits);
/* Sets one limit; KW_RISK_NONE sets those of all risks.
 * KW_EFIELD  no such clock or risk, or not KW_CLOCK_LIMIT_MS_MIN..KW_CLOCK_LIMIT_MS_MAX; limits untouched */
KW_MUST_USE enum kw_err kw_clock_limit_set(struct kw_clock_limits *limits, enum kw_clock clock, enum kw_risk risk,
	int64_t limit_ms);
/* The limit in milliseconds; 0 for KW_CLOCK_NONE. */
int64_t kw_clock_limit(const struct kw_clock_limits *limits, enum kw_clock clock, enum kw_risk risk);

/* What a clock needs to know of a thread. */
struct kw_clock_thread {
	enum kw_thread_kind kind;
	uint8_t state;
	enum kw_risk risk;
	bool young; /* the child is, or may be, under 5; false at a hub */
};

/* A clock that runs: part of the stored row of a thread. All zero: none runs. */
struct kw_clock_run {
	uint8_t clock; /* enum kw_clock */
	uint8_t risk;  /* enum kw_risk; whose limit the deadline has */
	uint8_t told;  /* percent of the last step that was taken; 0, 50, 100, 150 or 200 */
	int64_t started_ms;
	int64_t deadline_ms; /* 100 % */
};

/* The clock of a state; of a follow-up, the second one. */
enum kw_clock kw_clock_of(const struct kw_clock_thread *thread);

/* The thread is now as told: call it for each event that was applied, also one that left the state (another appointment,
 * a follow-up visit). Starts, stops or keeps the clock. A new risk moves the deadline of a clock that goes on. */
void kw_clock_move(struct kw_clock_run *run, const struct kw_clock_limits *limits, const struct kw_clock_thread *thread,
	int64_t now_ms);

/* Something was done that moved no state, such as a message about the case: tracing without action starts anew. */
void kw_clock_touch(struct kw_clock_run *run, int64_t now_ms);

/* One less than the schema's ReminderAudience. */
enum kw_audience {
	KW_AUDIENCE_RECEIVER, /* the focal point of the thread's other */
	KW_AUDIENCE_RECEIVER_SUPERVISOR,
	KW_AUDIENCE_SENDER, /* the focal point of the thread's opener */
	KW_AUDIENCE_SENDER_SUPERVISOR,
	KW_AUDIENCE_COORDINATOR, /* hears of thread, agencies, risk and lateness only */
	KW_AUDIENCE_COUNT
};

struct kw_clock_notice {
	uint8_t percent; /* 50, 100, 150; 200: telephone */
	enum kw_audience audience; /* who, by the part in the thread: decides whose queue it goes to */
	enum kw_audience as; /* in which part of the delay, as a Reminder says it: the receiver has to act, the sender waits */
	int64_t due_ms; /* when this step was due */
};

#define KW_CLOCK_NOTICES_MAX 12u

/* All steps that are due at now_ms and were not taken before, the earliest first, each to all whom it concerns:
 *   50 %   the focal point of the party that is waited for
 *   100 %  its supervisor, and the focal point of the party that waits
 *   150 %  the supervisor of the party that waits, and the coordinator
 *   200 %  the party that waits is told to telephone; at 100 % already when one of high risk is undelivered
 * When both are waited for, both are reminded, and both telephone. Marks the steps as taken; the caller stores the run and
 * the notices together. A time before the start is not late: nothing is due. Returns the count. */
size_t kw_clock_take_due(struct kw_clock_run *run, const struct kw_clock_thread *thread, int64_t now_ms,
	struct kw_clock_notice *notices);

/* When the next step is due; INT64_MAX when none is to come. What a hub sorts its threads by. */
int64_t kw_clock_next_ms(const struct kw_clock_run *run);
/* Milliseconds past the deadline; 0 when there are none. */
int64_t kw_clock_late_ms(const struct kw_clock_run *run, int64_t now_ms);
/* Is the deadline reached? */
bool kw_clock_is_late(const struct kw_clock_run *run, int64_t now_ms);

const char *kw_clock_name(enum kw_clock clock);          /* "acknowledged"; NULL when there is none */
enum kw_clock kw_clock_from_name(const char *name);      /* KW_CLOCK_NONE when there is none */
const char *kw_audience_name(enum kw_audience audience); /* "receiver_supervisor"; NULL when there is none */

/* Hub time: what the clocks run on. It goes with the monotonic clock, and leans towards the wall clock by at most a tenth of
 * the time that passes. So a wall clock that jumps a day ahead makes nobody late at once, and one that jumps a day back
 * stops nothing. It goes back only when a person resets it. */
struct kw_hub_time {
	int64_t hub_ms;  /* the time now, as of the last call; store it from time to time */
	int64_t mono_ms; /* of the last call */
	int64_t apart_ms; /* wall clock minus hub time at the last call */
	int64_t rest_ms; /* time passed that did not make up a tenth yet */
};

/* In a hub's folder: its operator asks for kw_hub_time_reset. The broker takes the file away when that is done. */
#define KW_TIME_RESET_FILE "time.reset"

/* Over this, a hub should log that its wall clock has jumped. */
#define KW_HUB_TIME_APART_MS_MAX 60000

/* After a start. stored_ms: hub_ms as it was stored last, 0 if never. Time that passed while nothing ran shows on the wall
 * clock only, so that one is believed, unless it is before what was stored. */
void kw_hub_time_start(struct kw_hub_time *time, int64_t stored_ms, int64_t wall_ms, int64_t mono_ms);
/* Returns the hub time now. */
int64_t kw_hub_time_now(struct kw_hub_time *time, int64_t wall_ms, int64_t mono_ms);
/* How far hub time is ahead of the wall clock, as of the last call; else 0. Whether something has expired is judged by the
 * earlier of the two: while they differ one of them is wrong, and what is kept too long does less harm. */
int64_t kw_hub_time_ahead_ms(const struct kw_hub_time *time);
/* A person has said that the wall clock is right: hub time is what it says, whatever was before. The one way back. */
void kw_hub_time_reset(struct kw_hub_time *time, int64_t wall_ms, int64_t mono_ms);

#endif
