#ifndef AGENT_CORE_OFFER_H
#define AGENT_CORE_OFFER_H

#include <stdbool.h>
#include <stdint.h>

/* One referral offered to several agencies, as the agency that looks for a provider keeps it: an event in, the next record
 * and what to say to whom out. Pure: no clock, no I/O, no names; members are places in a list that the shell keeps.
 *
 * The shell steps it in the transaction of the message or of the word that is the event, so whichever claim is committed
 * first is the first. At most one member is the winner at any time, and the lease is said to nobody else. */

#define AGT_OFFER_AGENCIES_MAX 8u
#define AGT_OFFER_MEMBERS_MAX (AGT_OFFER_AGENCIES_MAX + 1u) /* and the coordinator */
#define AGT_OFFER_NOBODY 0xffu

enum agt_offer_state {
	AGT_OFFER_OPEN,     /* nobody has the lease; one may have been chosen */
	AGT_OFFER_LEASED,   /* the winner was told, and the referral goes to it alone */
	AGT_OFFER_WITHDRAWN /* not needed any more, or not allowed */
};

enum agt_member_state {
	AGT_MEMBER_ASKED,
	AGT_MEMBER_CLAIMED,
	AGT_MEMBER_DECLINED, /* also when it gave back what it had claimed */
	AGT_MEMBER_FAILED,   /* what we said to it never arrived */
	AGT_MEMBER_CLOSED    /* it was told that the offer is over */
};

struct agt_offer_member {
	enum agt_member_state state;
	bool coordinator;  /* was asked because nobody else claimed; never chosen without a person */
	uint32_t claim;    /* order of its claim, from 1; 0: none */
};

struct agt_offer {
	enum agt_offer_state state;
	bool manual;       /* a person picks the winner */
	bool unclaimed;    /* it went to the coordination inbox and nobody has it yet */
	uint8_t count;
	uint8_t winner;    /* AGT_OFFER_NOBODY: none */
	uint8_t round;     /* from 1; a lease given back begins another */
	uint32_t claims;
	int64_t claim_by_ms;
	struct agt_offer_member members[AGT_OFFER_MEMBERS_MAX];
};

enum agt_offer_event_type {
	AGT_OFFER_EV_CLAIM,      /* the member would take it */
	AGT_OFFER_EV_DECLINE,    /* the member would not, or gives back */
	AGT_OFFER_EV_FAILED,     /* a message of ours to the member will not arrive */
	AGT_OFFER_EV_LEASE_SENT, /* LEASED for the member is in the outbox */
	AGT_OFFER_EV_PICK,       /* a person chose the member */
	AGT_OFFER_EV_WITHDRAW,   /* a person takes all of it back */
	AGT_OFFER_EV_TIME,       /* it is now_ms */
	AGT_OFFER_EV_CONSENT     /* consent to share the case is withdrawn: over, whoever has the lease */
};

struct agt_offer_event {
	enum agt_offer_event_type type;
	uint8_t member;
	int64_t now_ms; /* TIME */
};

enum agt_offer_refusal {
	AGT_OFFER_TAKEN_ON, /* not refused */
	AGT_OFFER_OVER,     /* it is withdrawn */
	AGT_OFFER_HAS_WINNER,
	AGT_OFFER_NOT_CLAIMED /* this member has not claimed it */
};

/* What to do in the same transaction. */
struct agt_offer_result {
	enum agt_offer_refusal refusal; /* PICK, WITHDRAW and CONSENT: nothing changed */
	uint8_t lease;     /* say LEASED to this member; AGT_OFFER_NOBODY: to none */
	uint16_t close;    /* say CLOSED to these members, one bit each */
	bool refer;        /* the full referral goes to the winner now */
	bool escalate;     /* nobody claimed it: the coordinator is asked, as a new member where there is one */
	bool again;        /* the winner gave back: another round with those who may still want it, see agt_offer_again */
	struct agt_offer next;
};

/* A first round with `count` members, all asked. 1..AGT_OFFER_AGENCIES_MAX. */
void agt_offer_init(struct agt_offer *offer, uint8_t count, bool manual, int64_t claim_by_ms);
/* All of *out is written. */
void agt_offer_step(const struct agt_offer *offer, const struct agt_offer_event *event, struct agt_offer_result *out);
/* Whether LEASED may be said to this member now: it is the winner, and nobody was told before. */
bool agt_offer_may_lease(const struct agt_offer *offer, uint8_t member);
/* Whether the referral may go to this member now: it has the lease, has not given it back, and nothing was withdrawn. */
bool agt_offer_may_refer(const struct agt_offer *offer, uint8_t member);
/* Another round: those who have neither declined nor failed, in their old order; `from`: AGT_OFFER_MEMBERS_MAX places
 * that they had. Returns their count, which may be 0: then it is unclaimed at once. The coordinator is not among them. */
uint8_t agt_offer_again(struct agt_offer *offer, int64_t claim_by_ms, uint8_t *from);
/* The coordinator becomes a member. Returns its place, or AGT_OFFER_NOBODY when it is one already or there is no room. */
uint8_t agt_offer_coordinator(struct agt_offer *offer);

#endif
