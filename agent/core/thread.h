#ifndef AGENT_CORE_THREAD_H
#define AGENT_CORE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/clocks.h"

/* One thread of a case as one of its two agencies sees it: a record in, an event in, the next record and what to do out.
 * Pure: no clock, no I/O, no names. The table of proto/wire/states.h says what may follow what; here stands whose turn in
 * the order a message has, which messages open a thread, and what the agent answers by itself. The shell keeps the record, and
 * applies each event in the transaction that makes its message durable.
 *
 * Only messages that open or move a thread have a place in it: 1, 2, 3 … per author. A place counts as used once its
 * message was judged, also when it was refused, so that a refusal never holds up what follows. */

struct agt_thread {
	enum kw_thread_kind kind; /* KW_THREAD_NONE: there is no thread */
	enum kw_party party;      /* ours: KW_PARTY_OPENER or KW_PARTY_OTHER, as states.h tells them apart */
	enum kw_risk risk;
	uint8_t state;
	bool failed;        /* our opening never arrived: nothing more can come of it */
	uint64_t expected;  /* the other side's next place */
	uint64_t next;      /* our next place */
	int64_t opened_ms;  /* our clock, since 1970 */
	int64_t changed_ms; /* when the present state was reached */
	struct kw_clock_run run; /* as the hub runs it, on hub time as far as we know it; all zero: none, or of an older record */
	int64_t young_until_ms;  /* tracing: until then a child sought may be under 5; 0: none is */
};

enum agt_thread_author {
	AGT_THREAD_OURS,
	AGT_THREAD_THEIRS,
	AGT_THREAD_RECEIPT, /* the other side's agent, by its receipt; it has no place */
	AGT_THREAD_HUB,     /* a clock or the transport; it has no place */
	AGT_THREAD_AUTHOR_COUNT
};

/* What one message, or one word of the hub, does to its thread. */
struct agt_thread_event {
	enum agt_thread_author author;
	enum kw_thread_kind kind;
	bool opening;      /* its kind of message may begin a thread */
	uint8_t state;     /* the new state that it declares */
	enum kw_risk risk; /* of an opening */
	uint64_t sequence; /* its place; 0 where it has none */
	int64_t now_ms;
	int64_t hub_ms;    /* the same moment on hub time; 0: as now_ms */
	int64_t young_until_ms; /* of an opening: see the record */
	const struct kw_clock_limits *limits; /* the hub's; NULL: those of DOMAIN.md */
};

enum agt_thread_verdict {
	AGT_THREAD_APPLY,   /* the record changes */
	AGT_THREAD_REPEAT,  /* nothing new; the record may still have counted its place */
	AGT_THREAD_EARLY,   /* theirs: an earlier place is still empty; keep it and step again when that is filled */
	AGT_THREAD_ILLEGAL  /* refused; of theirs the place is used all the same */
};

/* Why it is not AGT_THREAD_APPLY. */
enum agt_thread_fault {
	AGT_FAULT_NONE,
	AGT_FAULT_NO_THREAD, /* nothing has opened this thread */
	AGT_FAULT_OPENED,    /* it is open already, and a message that opens came */
	AGT_FAULT_KIND,      /* the thread is of another kind */
	AGT_FAULT_PLACE,     /* not the next place: ours has been given away meanwhile, theirs was used by another message */
	AGT_FAULT_STATE,     /* the table says no */
	AGT_FAULT_FAILED,    /* our opening never arrived */
	AGT_FAULT_ERASED,    /* its contents are erased: consent was withdrawn */
	AGT_FAULT_OFFERED,   /* transfer: the case is on offer in another thread, or was given away in it */
	AGT_FAULT_LONG,      /* it has as many steps as a thread can have */
	AGT_FAULT_TAKEN,     /* another agency has a thread with this id */
	AGT_FAULT_GIVEN,     /* transfer: the case is another agency's */
	AGT_FAULT_FROM,      /* there is no such thread to pass on from */
	AGT_FAULT_CASE,      /* it is said to be of two cases */
	AGT_FAULT_WITHDRAWN  /* consent for its case was withdrawn, and nobody has said that there is one anew */
};

/* What the agent itself has to send or do in answer, in the same transaction or after a crash. */
enum agt_thread_follow {
	AGT_FOLLOW_NONE,
	AGT_FOLLOW_WITHDRAWN,   /* transfer: the old owner takes the offer back and we have not accepted: say WITHDRAWN */
	AGT_FOLLOW_CLOSE_OTHERS /* offer: one agency has the lease: say CLOSED in the other threads of the same offer */
};

struct agt_thread_result {
	enum agt_thread_verdict verdict;
	enum agt_thread_fault fault;
	enum agt_thread_follow follow;
	struct agt_thread next; /* the record from now on; equal to the one before where nothing changed */
};

/* Judges one event.
 *   thread  the record so far, of KW_THREAD_NONE when there is none
 *   out     all of it is written, whatever the verdict */
void agt_thread_step(const struct agt_thread *thread, const struct agt_thread_event *event,
	struct agt_thread_result *out);

/* Both make a record again from its events when a message of ours never reached the other end: back to
 * the opening, then step by step without the one that is gone. State and times are made anew; places stay as
 * they are. An event that needed the one that is gone does not count either. */
void agt_thread_rewind(struct agt_thread *thread, const struct agt_thread_event *opening);
void agt_thread_again(struct agt_thread *thread, const struct agt_thread_event *event);

/* Something is still to come, and may. */
bool agt_thread_is_open(const struct agt_thread *thread);

/* The states that we may declare now, in ascending order; states: KW_STATE_MAX bytes. Returns the count. */
uint32_t agt_thread_choices(const struct agt_thread *thread, uint8_t *states);
bool agt_thread_may(const struct agt_thread *thread, uint8_t state);
/* Declaring this state is a person's decision about what the other side asked: an answer, and not only a word that it was seen
 * or how far it is. */
bool agt_thread_decides(enum kw_thread_kind kind, uint8_t state);
/* It is our move: the other side waits for us. */
bool agt_thread_waits_for_us(const struct agt_thread *thread);
/* When the present state is to be left, on hub time; 0: no clock runs. Of a record of an older version by the default limits. */
int64_t agt_thread_due_ms(const struct agt_thread *thread);
/* Transfers: the case is ours, as far as we know. */
bool agt_thread_owns(const struct agt_thread *thread);
/* thread_end.c. The state by which we say that consent is withdrawn, or the nearest that the kind has; 0 when there is nothing
 * to say. */
uint8_t agt_thread_withdrawal(const struct agt_thread *thread);
/* Whose something is, a case or a lease, hangs on the words of such a thread: none of them is taken back. */
bool agt_thread_binds(enum kw_thread_kind kind);
/* Whether a message that expires is given up by our own clock. It may have arrived though no ack has come, and then what stands
 * on it here and there would differ, so only the hub or the other side can say that it does not count. An opening that
 * binds nobody is given up, because people wait for it: who answers it overrules that. */
bool agt_thread_gives_up(enum kw_thread_kind kind, bool opening);
/* The same of the other side. */
uint8_t agt_thread_withdrawal_theirs(const struct agt_thread *thread);

/* thread_need.c. What only a person can mend, so it comes before all that waits its turn: ours never arrived, nobody has
 * acknowledged it in all its time, or the other side is so late that the hub says to telephone. reminded: percent of the last
 * reminder in this state. */
enum agt_thread_need { AGT_NEED_NONE, AGT_NEED_UNDELIVERED, AGT_NEED_EXPIRED, AGT_NEED_TELEPHONE };
enum agt_thread_need agt_thread_need(const struct agt_thread *thread, uint8_t reminded);

/* Of the purposes of consent, as bit (ConsentPurpose - 1). */
#define AGT_PURPOSE_SERVICES 1u
#define AGT_PURPOSE_SHARE_OTHER_ORGS 2u
#define AGT_PURPOSE_TRACING 4u
/* A thread of this kind cannot go on without one of these purposes: sharing with other organisations is what every message needs,
 * then the service or the tracing that it is about. Without any other purpose it goes on, and is not used for that. */
bool agt_thread_ends_without(enum kw_thread_kind kind, uint8_t purposes);

#endif
