#include "proto/wire/states_inner.h"

/* The five machines of DOMAIN.md §4. A row reads: from one of these states, this event, by these parties, leads there.
 *
 *   STEP  an ordinary step: an author who knows the state may declare it
 *   LATE  not offered, but taken: the author said it before it could know the state, and both sides must end up equal
 *   MOOT  the same, where it adds nothing to what is known
 * All that no row speaks of is illegal, or a repeat of the present state. The comments beside LATE rows name the two events
 * that cross. Changing a row changes the protocol: agents of different age would disagree. */

#define OPENER (1u << KW_PARTY_OPENER)
#define OTHER (1u << KW_PARTY_OTHER)
#define HUB (1u << KW_PARTY_HUB)
#define STEP KW_HOW_STEP
#define LATE KW_HOW_LATE
#define MOOT KW_HOW_MOOT
#define STAY KW_STATE_STAY
#define NOBODY 0u
#define NEW 1u /* from: no thread yet */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --------------------------------------------------------------------------------------------------------- referral */

#define R(name) KW_REFERRAL_##name
#define F(name) (1u << KW_REFERRAL_##name)

static const struct kw_state_info referral_states[KW_STATE_MAX] = {
	[R(QUEUED)] = {"QUEUED", HUB, 0},
	[R(DELIVERED)] = {"DELIVERED", OTHER, 0},
	[R(UNDELIVERABLE)] = {"UNDELIVERABLE", NOBODY, 0},
	[R(EXPIRED)] = {"EXPIRED", NOBODY, 0},
	[R(ACKNOWLEDGED)] = {"ACKNOWLEDGED", OTHER, 0},
	[R(ACCEPTED)] = {"ACCEPTED", OTHER, 0},
	[R(SCHEDULED)] = {"SCHEDULED", OTHER, 0},
	[R(IN_PROGRESS)] = {"IN_PROGRESS", OTHER, 0},
	[R(COMPLETED)] = {"COMPLETED", OPENER, 0},
	[R(CLOSED)] = {"CLOSED", NOBODY, 0},
	[R(REJECTED)] = {"REJECTED", OPENER, 0},
	[R(ONWARD_PROPOSED)] = {"ONWARD_PROPOSED", OPENER, 0},
	[R(NEED_INFO)] = {"NEED_INFO", OPENER, 0},
	[R(NO_SHOW)] = {"NO_SHOW", OTHER, 0},
	[R(NOT_PROVIDED)] = {"NOT_PROVIDED", OPENER, 0},
	[R(CANCEL_REQUESTED)] = {"CANCEL_REQUESTED", OTHER, 0},
	[R(CANCELLED)] = {"CANCELLED", NOBODY, 0},
	[R(CONSENT_WITHDRAWN)] = {"CONSENT_WITHDRAWN", NOBODY, 0},
};

/* Nobody at the other has seen it yet, as far as is known. */
#define UNSEEN (F(QUEUED) | F(DELIVERED) | F(UNDELIVERABLE) | F(EXPIRED))
/* The other works on it. */
#define ACTIVE (F(ACCEPTED) | F(SCHEDULED) | F(IN_PROGRESS) | F(NO_SHOW))
/* The other has said its last word. */
#define ANSWERED (F(COMPLETED) | F(REJECTED) | F(NOT_PROVIDED))
#define ENDED (ANSWERED | F(CLOSED) | F(CANCELLED))
#define ASKING (F(NEED_INFO) | F(ONWARD_PROPOSED))

static const struct kw_state_rule referral_rules[] = {
	{NEW, R(QUEUED), OPENER, R(QUEUED), STEP},

	/* Transport. What has arrived has arrived, whatever a hub thought; the receipt may also come after the events. */
	{F(QUEUED), R(DELIVERED), OTHER, R(DELIVERED), STEP},
	{F(UNDELIVERABLE), R(DELIVERED), OTHER, R(DELIVERED), LATE},
	{F(EXPIRED) | F(ACKNOWLEDGED) | ACTIVE | ASKING | ENDED | F(CANCEL_REQUESTED) | F(CONSENT_WITHDRAWN), R(DELIVERED), OTHER,
		STAY, MOOT},
	{F(QUEUED), R(UNDELIVERABLE), HUB, R(UNDELIVERABLE), STEP},
	{F(EXPIRED), R(UNDELIVERABLE), HUB, STAY, MOOT},
	{F(QUEUED) | F(DELIVERED) | F(UNDELIVERABLE), R(EXPIRED), HUB, R(EXPIRED), STEP},

	/* The other decides. An acknowledgement overrules EXPIRED: a person has it. */
	{F(QUEUED) | F(DELIVERED), R(ACKNOWLEDGED), OTHER, R(ACKNOWLEDGED), STEP},
	{F(UNDELIVERABLE) | F(EXPIRED), R(ACKNOWLEDGED), OTHER, R(ACKNOWLEDGED), LATE},
	{F(ACKNOWLEDGED) | F(NEED_INFO), R(ACCEPTED), OTHER, R(ACCEPTED), STEP},
	{F(ACKNOWLEDGED) | F(NEED_INFO), R(REJECTED), OTHER, R(REJECTED), STEP},
	{F(ACKNOWLEDGED), R(NEED_INFO), OTHER, R(NEED_INFO), STEP},
	{F(ACKNOWLEDGED), R(ONWARD_PROPOSED), OTHER, R(ONWARD_PROPOSED), STEP},

	/* The opener answers; an answer that crosses a decision is read and moves nothing. */
	{ASKING, R(ACKNOWLEDGED), OPENER, R(ACKNOWLEDGED), STEP},
	{ACTIVE | ANSWERED, R(ACKNOWLEDGED), OPENER, STAY, LATE},

	/* The other provides the service. One given on the spot has no appointment. */
	{F(ACCEPTED) | F(SCHEDULED) | F(NO_SHOW), R(SCHEDULED), OTHER, R(SCHEDULED), STEP},
	{F(ACCEPTED) | F(SCHEDULED) | F(NO_SHOW), R(IN_PROGRESS), OTHER, R(IN_PROGRESS), STEP},
	{F(SCHEDULED), R(NO_SHOW), OTHER, R(NO_SHOW), STEP},
	{F(ACCEPTED) | F(SCHEDULED) | F(IN_PROGRESS), R(COMPLETED), OTHER, R(COMPLETED), STEP},
	{ACTIVE, R(NOT_PROVIDED), OTHER, R(NOT_PROVIDED), STEP},

	/* The opener cancels. A request overrules what the other said on the way, but not its last word: that one stands. */
	{F(QUEUED) | F(DELIVERED) | F(ACKNOWLEDGED) | ASKING | ACTIVE, R(CANCEL_REQUESTED), OPENER, R(CANCEL_REQUESTED), STEP},
	{F(UNDELIVERABLE) | F(EXPIRED), R(CANCEL_REQUESTED), OPENER, R(CANCEL_REQUESTED), STEP}, /* it may have arrived after all */
	{F(CANCEL_REQUESTED), R(CANCELLED), OTHER, R(CANCELLED), STEP},
	{F(CANCEL_REQUESTED), R(COMPLETED), OTHER, R(COMPLETED), STEP}, /* too late: the service was given */
	{F(CANCEL_REQUESTED), R(NOT_PROVIDED), OTHER, R(NOT_PROVIDED), STEP},
	{F(CANCEL_REQUESTED), R(REJECTED), OTHER, R(REJECTED), LATE},

	/* The opener closes, after feedback to the child or caregiver, or when nobody answers its request to cancel. */
	{ANSWERED | F(ONWARD_PROPOSED) | F(CANCEL_REQUESTED), R(CLOSED), OPENER, R(CLOSED), STEP},
	{F(CANCELLED), R(CLOSED), OPENER, R(CLOSED), STEP},
	{F(CLOSED), R(CANCELLED), OTHER, STAY, MOOT}, /* CANCELLED x CLOSED */

	/* Consent ends everything, from both sides, also what is over: the data may still be there. */
	{UNSEEN | F(ACKNOWLEDGED) | ASKING | ACTIVE | ENDED | F(CANCEL_REQUESTED), R(CONSENT_WITHDRAWN), OPENER | OTHER,
		R(CONSENT_WITHDRAWN), STEP},
};

#undef R
#undef F

/* --------------------------------------------------------------------------------------------------------- transfer */

#define T(name) KW_TRANSFER_##name
#define F(name) (1u << KW_TRANSFER_##name)

static const struct kw_state_info transfer_states[KW_STATE_MAX] = {
	[T(REQUESTED)] = {"REQUESTED", OPENER, 0},
	[T(OFFERED)] = {"OFFERED", OTHER, 0},
	[T(ACKNOWLEDGED)] = {"ACKNOWLEDGED", OTHER, 0},
	[T(ACCEPTED)] = {"ACCEPTED", OTHER, 0},
	[T(HANDOVER_CONFIRMED)] = {"HANDOVER_CONFIRMED", OPENER, 0},
	[T(COMPLETE)] = {"COMPLETE", NOBODY, 0},
	[T(REJECTED)] = {"REJECTED", NOBODY, 0},
	[T(WITHDRAWN)] = {"WITHDRAWN", NOBODY, 0},
	[T(WITHDRAW_REQUESTED)] = {"WITHDRAW_REQUESTED", OTHER, 0},
};

static const struct kw_state_rule transfer_rules[] = {
	{NEW, T(REQUESTED), OTHER, T(REQUESTED), STEP},
	{NEW | F(REQUESTED), T(OFFERED), OPENER, T(OFFERED), STEP},
	{F(REQUESTED), T(REJECTED), OPENER, T(REJECTED), STEP},
	{F(REQUESTED), T(WITHDRAWN), OTHER, T(WITHDRAWN), STEP},
	{F(OFFERED) | F(REJECTED), T(WITHDRAWN), OTHER, T(WITHDRAWN), LATE}, /* request taken back x OFFERED, REJECTED */

	{F(OFFERED), T(ACKNOWLEDGED), OTHER, T(ACKNOWLEDGED), STEP},
	{F(ACKNOWLEDGED), T(ACCEPTED), OTHER, T(ACCEPTED), STEP},
	{F(ACKNOWLEDGED), T(REJECTED), OTHER, T(REJECTED), STEP},
	{F(ACCEPTED), T(HANDOVER_CONFIRMED), OTHER, T(HANDOVER_CONFIRMED), STEP},
	{F(HANDOVER_CONFIRMED), T(COMPLETE), OPENER, T(COMPLETE), STEP},

	/* The owner asks for its offer back and waits: until the answer it can neither keep nor offer the case elsewhere, so
	 * there is one owner at every instant. An acceptance that was on its way stands. */
	{F(OFFERED) | F(ACKNOWLEDGED), T(WITHDRAW_REQUESTED), OPENER, T(WITHDRAW_REQUESTED), STEP},
	{F(WITHDRAW_REQUESTED), T(WITHDRAWN), OTHER, T(WITHDRAWN), STEP},
	{F(WITHDRAW_REQUESTED), T(ACKNOWLEDGED), OTHER, STAY, MOOT}, /* WITHDRAW_REQUESTED x ACKNOWLEDGED */
	{F(WITHDRAW_REQUESTED), T(ACCEPTED), OTHER, T(ACCEPTED), LATE},
	{F(WITHDRAW_REQUESTED), T(REJECTED), OTHER, T(REJECTED), LATE},
	{F(REJECTED) | F(WITHDRAWN), T(WITHDRAW_REQUESTED), OPENER, STAY, MOOT}, /* it has what it asked for */
};

#undef T
#undef F

/* ---------------------------------------------------------------------------------------------------------- tracing */

#define T(name) KW_TRACING_##name
#define F(name) (1u << KW_TRACING_##name)

static const struct kw_state_info tracing_states[KW_STATE_MAX] = {
	[T(REGISTERED)] = {"REGISTERED", OPENER, 0},
	[T(TRACING)] = {"TRACING", OPENER | OTHER, 0},
	[T(FAMILY_LOCATED)] = {"FAMILY_LOCATED", OPENER, 0},
	[T(VERIFYING)] = {"VERIFYING", OPENER | OTHER, 0},
	[T(VERIFIED)] = {"VERIFIED", OPENER, 0},
	[T(NOT_VERIFIED)] = {"NOT_VERIFIED", OPENER, 0},
	[T(REUNIFICATION_PLANNED)] = {"REUNIFICATION_PLANNED", OPENER, 0},
	[T(REUNIFIED)] = {"REUNIFIED", OPENER, 0},
	[T(FOLLOW_UP)] = {"FOLLOW_UP", OPENER, 0},
	[T(CLOSED)] = {"CLOSED", NOBODY, 0},
	[T(SUSPENDED)] = {"SUSPENDED", OPENER, 0},
	[T(INVALID)] = {"INVALID", NOBODY, 0},
	[T(REOPENED)] = {"REOPENED", OPENER, 0},
};

/* Until the family is located, between VERIFYING and the plan, and after the reunion. FAMILY_LOCATED is in none. */
#define BEFORE (F(REGISTERED) | F(TRACING) | F(SUSPENDED) | F(REOPENED))
#define VERIFICATION (F(VERIFYING) | F(VERIFIED) | F(NOT_VERIFIED) | F(REUNIFICATION_PLANNED))
#define AFTER (F(REUNIFIED) | F(FOLLOW_UP))

/* The opener leads, so that nothing crosses but the one word of the other. A located family outweighs whatever the opener
 * declared meanwhile: from FAMILY_LOCATED only VERIFYING leads on, by which the opener shows that it knows. Were the
 * opener allowed another way out, or to locate by itself, a late FAMILY_LOCATED could meet a second round of tracing and
 * the two sides would differ. */
static const struct kw_state_rule tracing_rules[] = {
	{NEW, T(REGISTERED), OPENER, T(REGISTERED), STEP},
	{F(REGISTERED) | F(REOPENED) | F(NOT_VERIFIED), T(TRACING), OPENER, T(TRACING), STEP},
	{F(TRACING) | F(SUSPENDED), T(FAMILY_LOCATED), OTHER, T(FAMILY_LOCATED), STEP},
	{F(CLOSED) | F(INVALID) | F(REOPENED), T(FAMILY_LOCATED), OTHER, T(FAMILY_LOCATED), LATE},

	{F(FAMILY_LOCATED), T(VERIFYING), OPENER, T(VERIFYING), STEP},
	{F(VERIFYING), T(VERIFIED), OPENER, T(VERIFIED), STEP},
	{F(VERIFYING) | F(VERIFIED), T(NOT_VERIFIED), OPENER, T(NOT_VERIFIED), STEP},
	{F(VERIFIED), T(REUNIFICATION_PLANNED), OPENER, T(REUNIFICATION_PLANNED), STEP},
	{F(REUNIFICATION_PLANNED), T(REUNIFIED), OPENER, T(REUNIFIED), STEP},
	{AFTER, T(FOLLOW_UP), OPENER, T(FOLLOW_UP), STEP},
	{F(FOLLOW_UP), T(CLOSED), OPENER, T(CLOSED), STEP},

	{BEFORE | VERIFICATION, T(CLOSED), OPENER, T(CLOSED), STEP}, /* without a reunion; after one, follow up first */
	{(BEFORE & ~F(SUSPENDED)) | VERIFICATION, T(SUSPENDED), OPENER, T(SUSPENDED), STEP},
	{BEFORE | VERIFICATION | AFTER, T(INVALID), OPENER, T(INVALID), STEP},
	{F(SUSPENDED) | F(CLOSED) | F(INVALID) | AFTER, T(REOPENED), OPENER, T(REOPENED), STEP},
};

#undef T
#undef F

/* ------------------------------------------------------------------------------------------------------------ match */

#define M(name) KW_MATCH_##name
#define F(name) (1u << KW_MATCH_##name)
#define HOLDERS (OPENER | OTHER)

static const struct kw_state_info match_states[KW_STATE_MAX] = {
	[M(CANDIDATE)] = {"CANDIDATE", HOLDERS, 0},
	[M(REVIEWING)] = {"REVIEWING", HOLDERS, 0},
	[M(REJECTED)] = {"REJECTED", NOBODY, 0},
	[M(CONFIRMED_ONE)] = {"CONFIRMED_ONE", OTHER, 0},
	[M(CONFIRMED_BOTH)] = {"CONFIRMED_BOTH", HUB, 0},
	[M(LINKED)] = {"LINKED", NOBODY, 0}, /* a duplicate rests here; a family goes on in its tracing case */
	[M(VERIFIED)] = {"VERIFIED", NOBODY, 0},
	[M(REUNITED)] = {"REUNITED", NOBODY, 0},
	[M(SUPERSEDED)] = {"SUPERSEDED", NOBODY, 0},
	[M(UNLINKED)] = {"UNLINKED", NOBODY, 0},
	[M(REUNITED_ELSEWHERE)] = {"REUNITED_ELSEWHERE", NOBODY, 0},
	[M(CONFIRMED_BY_OTHER)] = {"CONFIRMED_BY_OTHER", OPENER, M(CONFIRMED_ONE)},
	[M(ELSEWHERE_BY_OPENER)] = {"ELSEWHERE_BY_OPENER", NOBODY, M(REUNITED_ELSEWHERE)},
	[M(ELSEWHERE_BY_OTHER)] = {"ELSEWHERE_BY_OTHER", NOBODY, M(REUNITED_ELSEWHERE)},
	[M(ELSEWHERE_BY_BOTH)] = {"ELSEWHERE_BY_BOTH", NOBODY, M(REUNITED_ELSEWHERE)},
};

#define ONE (F(CONFIRMED_ONE) | F(CONFIRMED_BY_OTHER))
#define UNDECIDED (F(CANDIDATE) | F(REVIEWING) | ONE | F(CONFIRMED_BOTH))
#define ELSEWHERE (F(REUNITED_ELSEWHERE) | F(ELSEWHERE_BY_OPENER) | F(ELSEWHERE_BY_OTHER) | F(ELSEWHERE_BY_BOTH))
#define JOINED (F(LINKED) | F(VERIFIED) | F(REUNITED))
#define GONE (F(REJECTED) | F(SUPERSEDED) | F(UNLINKED))

/* The words of the hub and of the holders take different ways, so one may arrive before what it stands on. */
static const struct kw_state_rule match_rules[] = {
	{NEW, M(CANDIDATE), HUB | OPENER, M(CANDIDATE), STEP}, /* a holder, when people and not a comparison found it */
	{F(CANDIDATE) | F(REVIEWING), M(REVIEWING), HOLDERS, M(REVIEWING), STEP}, /* again for each question */
	{F(CONFIRMED_ONE), M(REVIEWING), OTHER, STAY, STEP}, /* whose turn it is may ask before it decides */
	{F(CONFIRMED_BY_OTHER), M(REVIEWING), OPENER, STAY, STEP},
	{F(CONFIRMED_ONE), M(REVIEWING), OPENER, STAY, MOOT},
	{F(CONFIRMED_BY_OTHER), M(REVIEWING), OTHER, STAY, MOOT},
	{F(CONFIRMED_BOTH) | ELSEWHERE | JOINED | GONE, M(REVIEWING), HOLDERS, STAY, MOOT},
	{JOINED | GONE, M(REVIEWING), HUB, STAY, MOOT},
	{JOINED | GONE, M(REUNITED_ELSEWHERE), HUB, STAY, MOOT},

	/* Each holder confirms for itself, and neither can confirm for both. From CANDIDATE: the other knows already that the
	 * hub brought the pair back to REVIEWING. */
	{F(CANDIDATE), M(CONFIRMED_ONE), OPENER, M(CONFIRMED_ONE), LATE},
	{F(CANDIDATE), M(CONFIRMED_ONE), OTHER, M(CONFIRMED_BY_OTHER), LATE},
	{F(REVIEWING), M(CONFIRMED_ONE), OPENER, M(CONFIRMED_ONE), STEP},
	{F(REVIEWING), M(CONFIRMED_ONE), OTHER, M(CONFIRMED_BY_OTHER), STEP},
	{F(CONFIRMED_ONE), M(CONFIRMED_ONE), OTHER, M(CONFIRMED_BOTH), STEP},
	{F(CONFIRMED_BY_OTHER), M(CONFIRMED_ONE), OPENER, M(CONFIRMED_BOTH), STEP},
	{F(CONFIRMED_BOTH) | JOINED | F(UNLINKED), M(CONFIRMED_ONE), HOLDERS, STAY, MOOT},

	/* A rejection outweighs all: a link must not stand against one holder. After the link a holder unlinks instead. */
	{UNDECIDED, M(REJECTED), HOLDERS, M(REJECTED), STEP}, /* of a candidate too: its consent may be withdrawn before anybody looks */
	{ELSEWHERE | JOINED | F(SUPERSEDED) | F(UNLINKED), M(REJECTED), HOLDERS, M(REJECTED), LATE},

	{F(CONFIRMED_BOTH), M(LINKED), HUB, M(LINKED), STEP},
	{ONE, M(LINKED), HUB, M(LINKED), LATE}, /* before the second confirmation arrives here */
	{F(VERIFIED) | F(REUNITED) | F(UNLINKED), M(LINKED), HUB, STAY, MOOT},
	{F(LINKED), M(VERIFIED), HOLDERS, M(VERIFIED), STEP},
	{F(CONFIRMED_BOTH) | F(ELSEWHERE_BY_BOTH), M(VERIFIED), HOLDERS, M(VERIFIED), LATE}, /* before LINKED arrives here */
	{F(REUNITED), M(VERIFIED), HOLDERS, STAY, MOOT},
	{F(VERIFIED), M(REUNITED), HOLDERS, M(REUNITED), STEP},
	{JOINED, M(UNLINKED), HOLDERS, M(UNLINKED), STEP},
	{F(CONFIRMED_BOTH) | F(ELSEWHERE_BY_BOTH), M(UNLINKED), HOLDERS, M(UNLINKED), LATE}, /* before LINKED arrives here */

	/* The hub puts a pair aside. REUNITED_ELSEWHERE keeps what was said, and takes what is still on its way. */
	{UNDECIDED | ELSEWHERE, M(SUPERSEDED), HUB, M(SUPERSEDED), STEP},
	{F(CANDIDATE) | F(REVIEWING), M(REUNITED_ELSEWHERE), HUB, M(REUNITED_ELSEWHERE), STEP},
	{F(CONFIRMED_ONE), M(REUNITED_ELSEWHERE), HUB, M(ELSEWHERE_BY_OPENER), STEP},
	{F(CONFIRMED_BY_OTHER), M(REUNITED_ELSEWHERE), HUB, M(ELSEWHERE_BY_OTHER), STEP},
	{F(CONFIRMED_BOTH), M(REUNITED_ELSEWHERE), HUB, M(ELSEWHERE_BY_BOTH), STEP},
	{F(REUNITED_ELSEWHERE), M(CONFIRMED_ONE), OPENER, M(ELSEWHERE_BY_OPENER), LATE},
	{F(REUNITED_ELSEWHERE), M(CONFIRMED_ONE), OTHER, M(ELSEWHERE_BY_OTHER), LATE},
	{F(ELSEWHERE_BY_OPENER), M(CONFIRMED_ONE), OTHER, M(ELSEWHERE_BY_BOTH), LATE},
	{F(ELSEWHERE_BY_OTHER), M(CONFIRMED_ONE), OPENER, M(ELSEWHERE_BY_BOTH), LATE},
	{F(ELSEWHERE_BY_OPENER), M(CONFIRMED_ONE), OPENER, STAY, MOOT},
	{F(ELSEWHERE_BY_OTHER), M(CONFIRMED_ONE), OTHER, STAY, MOOT},
	{F(ELSEWHERE_BY_BOTH), M(CONFIRMED_ONE), HOLDERS, STAY, MOOT},
	{F(REUNITED_ELSEWHERE), M(REVIEWING), HUB, M(REVIEWING), STEP},
	{F(ELSEWHERE_BY_OPENER), M(REVIEWING), HUB, M(CONFIRMED_ONE), STEP},
	{F(ELSEWHERE_BY_OTHER), M(REVIEWING), HUB, M(CONFIRMED_BY_OTHER), STEP},
	{F(ELSEWHERE_BY_BOTH), M(REVIEWING), HUB, M(CONFIRMED_BOTH), STEP},
};

#undef M
#undef F

/* ------------------------------------------------------------------------------------------------------------ offer */

#define O(name) KW_OFFER_##name
#define F(name) (1u << KW_OFFER_##name)

static const struct kw_state_info offer_states[KW_STATE_MAX] = {
	[O(OFFERED)] = {"OFFERED", OTHER, 0},
	[O(CLAIMED)] = {"CLAIMED", OPENER, 0},
	[O(DECLINED)] = {"DECLINED", NOBODY, 0},
	[O(LEASED)] = {"LEASED", NOBODY, 0},
	[O(CLOSED)] = {"CLOSED", NOBODY, 0},
	[O(UNCLAIMED)] = {"UNCLAIMED", NOBODY, 0},
};

static const struct kw_state_rule offer_rules[] = {
	{NEW, O(OFFERED), OPENER, O(OFFERED), STEP},
	{F(OFFERED), O(CLAIMED), OTHER, O(CLAIMED), STEP},
	{F(UNCLAIMED), O(CLAIMED), OTHER, O(CLAIMED), STEP}, /* late, and still of use */
	{F(OFFERED) | F(UNCLAIMED), O(DECLINED), OTHER, O(DECLINED), STEP},
	{F(CLAIMED) | F(LEASED), O(DECLINED), OTHER, O(DECLINED), STEP}, /* given back; a lease that crosses it is void */
	{F(CLOSED), O(DECLINED), OTHER, STAY, MOOT},
	{F(CLAIMED), O(LEASED), OPENER, O(LEASED), STEP},
	{F(OFFERED), O(UNCLAIMED), HUB, O(UNCLAIMED), STEP},
	/* The opener closes with everyone, also with those who have not answered; a claim on its way comes too late. */
	{F(OFFERED) | F(CLAIMED) | F(DECLINED) | F(LEASED) | F(UNCLAIMED), O(CLOSED), OPENER, O(CLOSED), STEP},
};

#undef O
#undef F

/* ----------------------------------------------------------------------------------------------------------------- */

const struct kw_state_machine kw_state_machines[KW_THREAD_KIND_COUNT] = {
	[KW_THREAD_REFERRAL] = {"referral", referral_states, referral_rules, COUNT(referral_rules)},
	[KW_THREAD_TRANSFER] = {"transfer", transfer_states, transfer_rules, COUNT(transfer_rules)},
	[KW_THREAD_TRACING] = {"tracing", tracing_states, tracing_rules, COUNT(tracing_rules)},
	[KW_THREAD_MATCH] = {"match", match_states, match_rules, COUNT(match_rules)},
	[KW_THREAD_OFFER] = {"offer", offer_states, offer_rules, COUNT(offer_rules)},
};
