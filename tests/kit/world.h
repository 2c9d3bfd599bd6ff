#ifndef TESTS_KIT_WORLD_H
#define TESTS_KIT_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One hub and some agents, with their real cores, on a pretend clock, network and disks. The seed draws the topology, the
 * limits and the faults; the same seed gives the same run. A run has two phases: faults for some minutes, then none, and
 * everything that was promised must come true within a bound. What is checked is TESTING's I1 to I5, outside the cores. */

enum world_mutant {
	WORLD_SOUND,
	WORLD_NO_DEDUP,           /* a recipient forgets what it has seen */
	WORLD_ACK_BEFORE_COMMIT,  /* the hub's disk promises before it keeps */
	WORLD_LOSE_ACKED,         /* the hub's disk loses its last commits in a crash, and nobody notices */
	WORLD_NO_RESEND_ON_EPOCH, /* agents believe a restored hub to have all that it once had */
	WORLD_REKEY_VOLATILE,     /* what is to be sealed once more is lost in a crash */
	WORLD_REKEY_EACH_TIME,    /* it is sealed once more for each time that one hears of it */
	WORLD_REKEY_PUT_OFF,      /* also one that the hub has put off, which leaves by itself */
	/* of threads */
	WORLD_WITHDRAW_ALONE,     /* a transfer: the old owner counts its offer as withdrawn before the answer */
	WORLD_EARLY_AT_ONCE,      /* an early event is applied when it comes */
	WORLD_FOLLOW_VOLATILE,    /* what an agent has to say by itself is lost in a crash */
	WORLD_TRANSFER_EXPIRES,   /* what is said in a transfer is given up when it expires, as in other threads */
	WORLD_CLAIM_IN_MEMORY,    /* who has claimed an offer, and who won, is lost in a crash; what is on its way goes */
	WORLD_ERASE_VOLATILE,     /* which keys are to be destroyed is lost in a crash */
	WORLD_NO_TOMB,            /* an agent keeps what comes in a thread that it erased */
	WORLD_ERASE_NAMES_BACK,   /* and whom it is about */
	WORLD_ERASE_DONE_EARLY,   /* a holder answers when it is asked, before the key is gone */
	WORLD_ERASE_OWN_EARLY,    /* so does one that had asked itself */
	WORLD_ERASE_STALE_ANSWER, /* an answer that waited is said though it is not true any more */
	WORLD_ERASE_NOT_ONWARD,   /* a holder does not ask those that it told */
	WORLD_ERASE_ASKS_ONCE,    /* a question that expired is not asked again */
	WORLD_ERASE_ANSWERS_ONCE, /* nor is an answer said again */
	WORLD_ERASE_LOST_IS_DONE, /* a question that did not arrive counts as answered */
	WORLD_ERASE_LAST_ANSWER,  /* the last answer counts, also after "done" */
	WORLD_ERASE_BESIDE,       /* what informs of a withdrawal is taken for the question */
	WORLD_ACCEPTANCE_UNDONE,  /* an acceptance that expired is undone, though the case has gone on */
	WORLD_OFFER_ONCE_GIVEN,   /* a former owner may offer a case again when its transfer is complete */
	WORLD_NEW_HUB_KNOWS,      /* a hub is believed that a message never arrived, also when it says or shows that it does not know */
	WORLD_RECALL_ALL,         /* a withdrawal takes back the word that makes a case somebody's */
	WORLD_REMINDER_APART,     /* a hub's reminder is not in the transaction that moves the clock on */
	WORLD_MUTANT_COUNT
};
extern const char *const WORLD_MUTANT_NAMES[WORLD_MUTANT_COUNT];

/* Rare paths, counted. */
enum world_mark {
	WORLD_MARK_DELIVERED,
	WORLD_MARK_REFUSED,
	WORLD_MARK_RETRIED,
	WORLD_MARK_DEAD,
	WORLD_MARK_HUB_REFILL,
	WORLD_MARK_AGENT_REFILL,
	WORLD_MARK_REPLACED,
	WORLD_MARK_EXPIRED_AT_HUB,
	WORLD_MARK_EXPIRED_AT_AGENT,
	WORLD_MARK_NEW_EPOCH,
	WORLD_MARK_HUB_REPEAT,
	WORLD_MARK_SEEN_REPEAT,
	WORLD_MARK_UNOPENED,
	WORLD_MARK_HUB_CRASH_KEPT,  /* a crash with a transaction in flight, which turned out durable */
	WORLD_MARK_HUB_CRASH_LOST,
	WORLD_MARK_AGENT_CRASH_KEPT,
	WORLD_MARK_AGENT_CRASH_LOST,
	WORLD_MARK_HUB_BUSY,        /* pending was full */
	WORLD_MARK_SPACE_LOW,
	WORLD_MARK_AGENT_HOLDS,     /* an agent without room, which is online */
	WORLD_MARK_SILENT_LINK,
	WORLD_MARK_STALL,
	WORLD_MARK_HELD_CREDIT,     /* a WELCOME without credit */
	WORLD_MARK_DELIVERED_AND_DEAD, /* expired at the hub after it was delivered, before the hub knew */
	WORLD_MARK_SEALED_AGAIN,
	WORLD_MARK_KEY_GONE_TWICE,
	WORLD_MARK_REMINDED,
	WORLD_MARK_UNDELIVERABLE,
	WORLD_MARK_TRACK_ILLEGAL,
	WORLD_MARK_THREADS_FIRST, /* from here on: of worlds with threads only */
	WORLD_MARK_ACCEPTED = WORLD_MARK_THREADS_FIRST,
	WORLD_MARK_CAME_BACK,
	WORLD_MARK_OFFER_BARRED,
	WORLD_MARK_WITHDRAWN,
	WORLD_MARK_WITHDRAW_LATE,
	WORLD_MARK_EARLY,
	WORLD_MARK_ILLEGAL_THEIRS,
	WORLD_MARK_ILLEGAL_OURS,
	WORLD_MARK_REPLAYED,
	WORLD_MARK_PLACE_AGAIN,
	WORLD_MARK_FOLLOW_AGAIN,
	WORLD_MARK_CANCEL_CROSSED,
	WORLD_MARK_HUB_WORD,
	WORLD_MARK_HUB_AGREES,
	WORLD_MARK_CLOCK_JUMP,
	WORLD_MARK_SPLIT,
	WORLD_MARK_LATE_THREAD,
	WORLD_MARK_LEASED,
	WORLD_MARK_SECOND_CLAIM,
	WORLD_MARK_GIVEN_BACK,
	WORLD_MARK_ANOTHER_ROUND,
	WORLD_MARK_LEASE_VOID,
	WORLD_MARK_UNCLAIMED,
	WORLD_MARK_OFFER_GIVEN,
	WORLD_MARK_STANDS,
	WORLD_MARK_OWNER_UNHEARD,
	WORLD_MARK_UNCONFIRMED,
	WORLD_MARK_ROSE,
	WORLD_MARK_CONSENT_WITHDRAWN,
	WORLD_MARK_RESTRICTED,
	WORLD_MARK_ERASED,
	WORLD_MARK_RETAINED,
	WORLD_MARK_PASSED_ON,
	WORLD_MARK_BOTH_ASKED,
	WORLD_MARK_RECALLED,
	WORLD_MARK_ERASED_BARS,
	WORLD_MARK_AFTER_ERASURE,
	WORLD_MARK_ASKED_AGAIN,
	WORLD_MARK_ANSWERED_AGAIN,
	WORLD_MARK_ANSWER_OVERTAKEN,
	WORLD_MARK_COUNT
};
extern const char *const WORLD_MARK_NAMES[WORLD_MARK_COUNT];

struct world_options {
	uint64_t seed;
	enum world_mutant mutant;
	bool threads; /* messages say something: cases move between agencies (world_say.c), and the hub's clock jumps */
	FILE *log; /* the narration; NULL for none */
};

struct world_result {
	bool ok;
	char why[200]; /* when not ok */
	uint64_t hash; /* of all that happened, in order */
	uint64_t steps;
	uint64_t marks[WORLD_MARK_COUNT]; /* added to, so that runs sum up */
};

void world_run(const struct world_options *options, struct world_result *result);

/* The seed that runs, for a handler of SIGABRT. */
extern volatile uint64_t world_seed;

#endif
