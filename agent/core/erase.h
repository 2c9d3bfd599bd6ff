#ifndef AGENT_CORE_ERASE_H
#define AGENT_CORE_ERASE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/core/thread.h"
#include "proto/base/err.h"

/* Consent that is withdrawn, in one thread, as the agency at one of its two ends keeps it: an event in, the next record and
 * what to do out. Pure: no clock, no I/O, no names. One record a thread: what was asked first was asked for both ends.
 *
 * The shell steps it in the transaction of the message or of the word that is the event, and does what comes out in that
 * transaction. Destroying a key is no part of a transaction: it is written down there and done after it, and then the shell
 * says SHREDDED. That is why "done" is answered only then. */

/* Of consent.proto's ErasureAction; any other action restricts. Both are passed on to those whom a holder told. What is
 * restricted for some purposes only (`limited`) goes on, is shown, and is not used for those: agt_thread_ends_without() tells
 * which purposes those are. */
#define AGT_ERASE_ACTION 1u

/* Of consent.proto's ErasureOutcome. */
enum agt_erase_outcome {
	AGT_ERASE_OPEN, /* no answer yet */
	AGT_ERASE_DONE,
	AGT_ERASE_RETAINED,
	AGT_ERASE_FAILED
};

enum agt_erase_role {
	AGT_ERASE_AUTHOR, /* we asked the other agency */
	AGT_ERASE_HOLDER, /* it asked us */
	AGT_ERASE_OWN     /* it asked us after we had asked: both have answers to give */
};

struct agt_erase {
	bool known;         /* false: nothing was asked in this thread, and the rest is nothing */
	enum agt_erase_role role;
	uint8_t action;
	uint8_t purposes;   /* bit n - 1: ConsentPurpose n is withdrawn; of a limited one all that ever were */
	bool limited;       /* restricted for these purposes alone: the thread goes on */
	uint8_t outcome;    /* of the holder; a HOLDER's own */
	bool due;           /* HOLDER: a person has to decide */
	bool unconfirmed;   /* HOLDER: the answer waits until a person says that the agency's own case system is clear as well */
	bool passed_on;     /* we ask because we were asked */
	bool shreds;        /* the key of our own contents waits to be destroyed */
	uint64_t question;  /* our message that asks, while it is the last one that does; 0: none is under way */
	uint64_t answer;    /* our message that answers, likewise */
	enum kw_err failure; /* why the question does not arrive, or what the holder said */
};

/* Messages, in the order in which they are said. */
enum agt_erase_say {
	AGT_ERASE_SAY_CONSENT, /* ConsentUpdate */
	AGT_ERASE_SAY_ERASE,   /* Erase */
	AGT_ERASE_SAY_ACK,     /* EraseAck */
	AGT_ERASE_SAY_COUNT
};

enum agt_erase_event_type {
	AGT_ERASE_EV_ASK,      /* we withdraw what the other end has */
	AGT_ERASE_EV_ASKED,    /* its Erase, or its ConsentUpdate that restricts */
	AGT_ERASE_EV_ANSWERED, /* its EraseAck */
	AGT_ERASE_EV_DECIDED,  /* a person's word on what is due */
	AGT_ERASE_EV_SENT,     /* a message of ours is on its way */
	AGT_ERASE_EV_DEAD,     /* a message of ours does not arrive, or nobody knows whether it did */
	AGT_ERASE_EV_SHREDDED, /* the key of the thread's contents is gone */
	AGT_ERASE_EV_CONFIRMED /* a person's word that the agency's own case system is clear */
};

struct agt_erase_event {
	enum agt_erase_event_type type;
	uint8_t action;         /* ASK, ASKED, ANSWERED */
	uint8_t purposes;       /* ASK, ASKED */
	bool limited;           /* ASK, ASKED: never with AGT_ERASE_ACTION */
	uint8_t outcome;        /* ANSWERED, DECIDED */
	bool passed_on;         /* ASK */
	bool manual;            /* ASKED: nothing is erased here without a person */
	bool confirm;           /* ASKED: the answer waits for CONFIRMED */
	enum agt_erase_say say; /* SENT: which one */
	uint64_t number;        /* SENT, DEAD: of the message */
	enum kw_err reason;     /* DEAD; ANSWERED: what failed */
};

struct agt_erase_result {
	bool changed;  /* next differs */
	bool fresh;    /* next stands for what is asked now, and nothing of an earlier question is left */
	uint8_t say;   /* bit n: message n is to be said */
	bool recall;   /* what of ours is on its way there need not arrive */
	bool withdraw; /* the thread says so too, see agt_thread_withdrawal */
	bool shred;    /* the key of the contents is to be destroyed, and the record forgets whom it is about */
	bool onward;   /* the threads in which we told others are asked the same; with shred our own ends as if the other side had
	                * said so */
	struct agt_erase next;
};

/* All of *out is written. */
void agt_erase_step(const struct agt_erase *row, const struct agt_erase_event *event, struct agt_erase_result *out);

/* What an EraseAck may say at this moment; false: nothing, because nobody asked what the record is about, or we have not done
 * it yet. What is to be said waits on a list, and may not be true any more when its turn comes. */
bool agt_erase_answer(const struct agt_erase *row, uint8_t *outcome);

/* What there is of the contents is not shown: erased, about to be, or restricted. */
bool agt_erase_hides(const struct agt_erase *row);
/* The contents are gone, or about to be: nothing that comes later is kept, neither content nor pseudonym, and no person says
 * anything more in the thread. What the agent says by itself still goes: it is about the erasure. */
bool agt_erase_is_over(const struct agt_erase *row);

/* We have asked, and the thread ends with it. */
bool agt_erase_ends(const struct agt_erase *row);

/* Whom a withdrawal reaches, thread by thread. */
struct agt_erase_reach {
	bool by_thread;  /* the threads of one id; else those of a case */
	bool told_by_us; /* only those that we began: the others have it from elsewhere */
};
struct agt_erase_match {
	bool same_id; /* it has the id */
	bool named;   /* it is of the case */
	bool cause;   /* it is the thread in which we were asked */
};
bool agt_erase_reaches(const struct agt_erase_reach *reach, const struct agt_thread *thread,
	const struct agt_erase_match *match);

#endif
