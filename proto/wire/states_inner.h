#ifndef KW_WIRE_STATES_INNER_H
#define KW_WIRE_STATES_INNER_H

#include "proto/wire/states.h"

/* The form of the tables; for states.c and states_tables.c only. */

enum kw_state_how {
	KW_HOW_STEP,  /* the author may declare it in this state */
	KW_HOW_LATE,  /* taken, because the author said it before it could know this state; not offered */
	KW_HOW_MOOT   /* the same, but it adds nothing: a repeat */
};

#define KW_STATE_STAY 0u /* as `to`: the state stays */

/* One row: in each state of `from`, `event` declared by one of `by` leads to `to`. No two rows speak of the same cell. */
struct kw_state_rule {
	uint32_t from; /* bit n: state n; bit 0: no thread yet */
	uint8_t event;
	uint8_t by; /* bit n: party n */
	uint8_t to;
	uint8_t how;
};

struct kw_state_info {
	const char *name;   /* NULL: no such state */
	uint8_t waits_for;  /* bit n: party n; none when the thread is over */
	uint8_t public_number; /* 0: its own */
};

struct kw_state_machine {
	const char *name;
	const struct kw_state_info *states; /* KW_STATE_MAX of them */
	const struct kw_state_rule *rules;
	size_t rules_count;
};

extern const struct kw_state_machine kw_state_machines[KW_THREAD_KIND_COUNT];

#endif
