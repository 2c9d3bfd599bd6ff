#ifndef KW_WIRE_STATES_H
#define KW_WIRE_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a thread stands and who may move it: one table per kind of thread (states_tables.c), used by agents to act and by
 * hubs to watch. Pure, and free of the schema; the numbers equal those of the schema's enums.
 *
 * An event is the new state that a party declares. Every party keeps its own copy of the state and applies its own events
 * when it sends them, those of the others when they arrive, each party's in the order of their sequence. Events cross on
 * the wire, so the tables are made such that all copies agree once everything has arrived, whatever the order between
 * the parties (tests/unit/test_states_crossing.c walks through all of it). Where two crossing events exclude each other,
 * the same one loses on every side: its verdict is KW_VERDICT_ILLEGAL, the state stays, and its author is told.
 *
 * Who is the opener:
 *   referral  the case owner, who sent the request; the other is the provider
 *   transfer  the present owner of the case, ALSO WHEN THE THREAD BEGAN WITH A REQUEST of the would-be new owner, whose
 *             first message REQUESTED makes it the other; kw_state_first_author() tells the two forms apart
 *   tracing   the holder of the child's record, who leads the case; the other traces. One agency that does both speaks
 *             as both. Contents of the other (Verification, Reunification, FollowUp) inform; the opener declares after them
 *   match     the holder that told the other of the pair; where the hub found it and opens the thread, the holder of the
 *             record that the candidate names first
 *   offer     the sender who looks for a provider; the other is one candidate (one thread for each of them)
 * The hub declares what transport and clocks know: EXPIRED, UNDELIVERABLE, UNCLAIMED, and the link between records. */

enum kw_thread_kind {
	KW_THREAD_NONE,
	KW_THREAD_REFERRAL,
	KW_THREAD_TRANSFER,
	KW_THREAD_TRACING,
	KW_THREAD_MATCH,
	KW_THREAD_OFFER,
	KW_THREAD_KIND_COUNT
};

enum kw_party { KW_PARTY_OPENER, KW_PARTY_OTHER, KW_PARTY_HUB, KW_PARTY_COUNT };

enum kw_risk { KW_RISK_NONE, KW_RISK_HIGH, KW_RISK_MEDIUM, KW_RISK_LOW, KW_RISK_COUNT };

/* States are 1..31; 0 is a thread that does not exist yet. */
#define KW_STATE_MAX 32u

enum kw_referral_state {
	KW_REFERRAL_QUEUED = 1,        /* opens; in the sender's outbox or at a hub */
	KW_REFERRAL_DELIVERED,         /* the other's agent, by its receipt */
	KW_REFERRAL_UNDELIVERABLE,     /* the hub; a late receipt or acknowledgement overrules it */
	KW_REFERRAL_EXPIRED,           /* the hub, while unacknowledged; a late acknowledgement overrules it */
	KW_REFERRAL_ACKNOWLEDGED,      /* a person at the other; the opener when it answers NEED_INFO or an onward proposal */
	KW_REFERRAL_ACCEPTED,
	KW_REFERRAL_SCHEDULED,         /* again for a new appointment */
	KW_REFERRAL_IN_PROGRESS,
	KW_REFERRAL_COMPLETED,
	KW_REFERRAL_CLOSED,            /* the opener alone */
	KW_REFERRAL_REJECTED,
	KW_REFERRAL_ONWARD_PROPOSED,
	KW_REFERRAL_NEED_INFO,
	KW_REFERRAL_NO_SHOW,
	KW_REFERRAL_NOT_PROVIDED,
	KW_REFERRAL_CANCEL_REQUESTED,
	KW_REFERRAL_CANCELLED,         /* the other, in answer to CANCEL_REQUESTED */
	KW_REFERRAL_CONSENT_WITHDRAWN  /* both, from any state; nothing follows */
};

enum kw_transfer_state {
	KW_TRANSFER_REQUESTED = 1,     /* opens, by the would-be new owner */
	KW_TRANSFER_OFFERED,           /* opens, or answers a request; the present owner */
	KW_TRANSFER_ACKNOWLEDGED,
	KW_TRANSFER_ACCEPTED,          /* the new owner; ownership moves here and nowhere else */
	KW_TRANSFER_HANDOVER_CONFIRMED, /* the new owner has all it needs */
	KW_TRANSFER_COMPLETE,          /* the former owner has closed its side */
	KW_TRANSFER_REJECTED,          /* the new owner declines an offer; the owner declines a request */
	KW_TRANSFER_WITHDRAWN,         /* the new owner: its agent's answer to WITHDRAW_REQUESTED, or its own request taken back */
	KW_TRANSFER_WITHDRAW_REQUESTED /* the owner takes its offer back, if it is not too late */
};

enum kw_tracing_state {
	KW_TRACING_REGISTERED = 1,
	KW_TRACING_TRACING,
	KW_TRACING_FAMILY_LOCATED,     /* the other alone; only VERIFYING follows */
	KW_TRACING_VERIFYING,
	KW_TRACING_VERIFIED,           /* needs the child and the adult: the sender's agent looks at that */
	KW_TRACING_NOT_VERIFIED,
	KW_TRACING_REUNIFICATION_PLANNED,
	KW_TRACING_REUNIFIED,          /* not closed */
	KW_TRACING_FOLLOW_UP,          /* again for each visit */
	KW_TRACING_CLOSED,
	KW_TRACING_SUSPENDED,
	KW_TRACING_INVALID,
	KW_TRACING_REOPENED
};

enum kw_match_state {
	KW_MATCH_CANDIDATE = 1,        /* opens; the hub, or a holder whose people found the pair */
	KW_MATCH_REVIEWING,            /* a holder, again for each question; the hub when a reunion elsewhere was undone */
	KW_MATCH_REJECTED,             /* a holder; nothing follows, the pair comes back in a new thread */
	KW_MATCH_CONFIRMED_ONE,        /* the opener confirmed. As an event: "I confirm", by either holder */
	KW_MATCH_CONFIRMED_BOTH,       /* follows from the second CONFIRMED_ONE; never declared */
	KW_MATCH_LINKED,               /* the hub, once both confirmed */
	KW_MATCH_VERIFIED,
	KW_MATCH_REUNITED,
	KW_MATCH_SUPERSEDED,           /* the hub: a record changed */
	KW_MATCH_UNLINKED,             /* a holder undoes a link; linking again takes a new thread */
	KW_MATCH_REUNITED_ELSEWHERE,   /* the hub puts the pair aside; REVIEWING by the hub brings it back */
	/* Not in the schema, kept in copies of the state only: who has confirmed. kw_state_public() maps them. */
	KW_MATCH_CONFIRMED_BY_OTHER = 24,
	KW_MATCH_ELSEWHERE_BY_OPENER,
	KW_MATCH_ELSEWHERE_BY_OTHER,
	KW_MATCH_ELSEWHERE_BY_BOTH
};

enum kw_offer_state {
	KW_OFFER_OFFERED = 1,
	KW_OFFER_CLAIMED,
	KW_OFFER_DECLINED,             /* also a claim or a lease given back */
	KW_OFFER_LEASED,               /* the opener picked this one: the full referral follows in its own thread */
	KW_OFFER_CLOSED,
	KW_OFFER_UNCLAIMED             /* the hub, at the deadline; a late claim overrules it */
};

enum kw_verdict {
	KW_VERDICT_APPLY,   /* the state is now *next, which may be the old one (another appointment, a late answer) */
	KW_VERDICT_REPEAT,  /* says nothing new: a no-op, nobody is told */
	KW_VERDICT_ILLEGAL  /* a no-op, and its author is told */
};

/* What becomes of `state` when `author` declares `event`. *next is written for APPLY only. An unknown kind, state, event
 * or author is illegal. For what arrives; what one's own side may say is kw_state_may_declare. */
enum kw_verdict kw_state_apply(enum kw_thread_kind kind, uint8_t state, uint8_t event, enum kw_party author, uint8_t *next);
/* May `author`, who knows this state, declare `event` now? Narrower than kw_state_apply, which also takes what was said
 * before the author could know the state. */
bool kw_state_may_declare(enum kw_thread_kind kind, uint8_t state, uint8_t event, enum kw_party author);
/* All that `author` may declare now, in ascending order; events: KW_STATE_MAX bytes. Returns the count. */
size_t kw_state_choices(enum kw_thread_kind kind, uint8_t state, enum kw_party author, uint8_t *events);
/* Which party the sender of a thread's first message is, by the state which that message declares; KW_PARTY_COUNT when
 * no thread begins so. */
enum kw_party kw_state_first_author(enum kw_thread_kind kind, uint8_t event);

const char *kw_state_name(enum kw_thread_kind kind, uint8_t state);     /* "ACKNOWLEDGED"; NULL when there is none */
uint8_t kw_state_from_name(enum kw_thread_kind kind, const char *name); /* 0 when there is none */
/* The schema's number: the state itself, but for those of a match that are kept in copies only. */
uint8_t kw_state_public(enum kw_thread_kind kind, uint8_t state);
bool kw_state_is_open(enum kw_thread_kind kind, uint8_t state);         /* something is still to come */
/* Is it this party's turn? Several may be waited for; nobody is when the thread is not open. */
bool kw_state_waits_for(enum kw_thread_kind kind, uint8_t state, enum kw_party party);
/* Who owns the case of a transfer in this state: the opener until ACCEPTED, the other from then on. */
enum kw_party kw_transfer_owner(uint8_t state);

const char *kw_thread_kind_name(enum kw_thread_kind kind);     /* "referral"; NULL when there is none */
enum kw_thread_kind kw_thread_kind_from_name(const char *name); /* KW_THREAD_NONE when there is none */
const char *kw_party_name(enum kw_party party);                /* "opener"; NULL when there is none */
const char *kw_risk_name(enum kw_risk risk);                   /* "high"; NULL for none */

#endif
