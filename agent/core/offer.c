#include "agent/core/offer.h"

#include "proto/base/check.h"

void agt_offer_init(struct agt_offer *offer, uint8_t count, bool manual, int64_t claim_by_ms)
{
	KW_ASSERT(count > 0 && count <= AGT_OFFER_AGENCIES_MAX);
	*offer = (struct agt_offer){
		.manual = manual, .count = count, .winner = AGT_OFFER_NOBODY, .round = 1, .claim_by_ms = claim_by_ms};
}

static bool waits(const struct agt_offer_member *member)
{
	return member->state == AGT_MEMBER_ASKED || member->state == AGT_MEMBER_CLAIMED;
}

/* All but `but` are told that it is over. */
static void close_all(struct agt_offer *offer, uint8_t but, struct agt_offer_result *out)
{
	for (uint8_t i = 0; i < offer->count; i++) {
		if (i == but || !waits(&offer->members[i]))
			continue;
		offer->members[i].state = AGT_MEMBER_CLOSED;
		out->close |= (uint16_t)(1u << i);
	}
}

static void choose(struct agt_offer *offer, uint8_t member, struct agt_offer_result *out)
{
	offer->winner = member;
	offer->unclaimed = false;
	out->lease = member;
}

/* Chooses the first who claimed, unless a person does. */
static void choose_first(struct agt_offer *offer, struct agt_offer_result *out)
{
	uint8_t first = AGT_OFFER_NOBODY;

	if (offer->state != AGT_OFFER_OPEN || offer->winner != AGT_OFFER_NOBODY || offer->manual)
		return;
	for (uint8_t i = 0; i < offer->count; i++) {
		const struct agt_offer_member *member = &offer->members[i];

		if (member->state != AGT_MEMBER_CLAIMED || member->coordinator)
			continue;
		if (first == AGT_OFFER_NOBODY || member->claim < offer->members[first].claim)
			first = i;
	}
	if (first != AGT_OFFER_NOBODY)
		choose(offer, first, out);
}

/* Nobody claimed it in time, or nobody is left who could. */
static void look_for_end(struct agt_offer *offer, bool late, struct agt_offer_result *out)
{
	bool hope = false;

	if (offer->state != AGT_OFFER_OPEN || offer->winner != AGT_OFFER_NOBODY || offer->unclaimed)
		return;
	for (uint8_t i = 0; i < offer->count; i++) {
		if (offer->members[i].state == AGT_MEMBER_CLAIMED && !offer->members[i].coordinator)
			return; /* a person has a choice to make */
		hope = hope || (offer->members[i].state == AGT_MEMBER_ASKED && !offer->members[i].coordinator);
	}
	if (hope && !late)
		return;
	offer->unclaimed = true;
	out->escalate = true;
}

static void claim(struct agt_offer *offer, uint8_t at, struct agt_offer_result *out)
{
	struct agt_offer_member *member = &offer->members[at];

	if (member->state != AGT_MEMBER_ASKED)
		return; /* it was closed, or said so before */
	member->state = AGT_MEMBER_CLAIMED;
	member->claim = ++offer->claims;
	choose_first(offer, out);
}

static void lose(struct agt_offer *offer, uint8_t at, enum agt_member_state state, struct agt_offer_result *out)
{
	bool winner = offer->winner == at;

	if (!waits(&offer->members[at]))
		return;
	offer->members[at].state = state;
	if (!winner) {
		look_for_end(offer, false, out);
		return;
	}
	offer->winner = AGT_OFFER_NOBODY;
	if (offer->state == AGT_OFFER_LEASED) {
		offer->state = AGT_OFFER_OPEN; /* the others were closed: they are asked again */
		out->again = true;
		return;
	}
	choose_first(offer, out);
	look_for_end(offer, false, out);
}

static void pick(struct agt_offer *offer, uint8_t at, struct agt_offer_result *out)
{
	if (offer->state == AGT_OFFER_WITHDRAWN)
		out->refusal = AGT_OFFER_OVER;
	else if (offer->winner != AGT_OFFER_NOBODY)
		out->refusal = AGT_OFFER_HAS_WINNER;
	else if (offer->members[at].state != AGT_MEMBER_CLAIMED)
		out->refusal = AGT_OFFER_NOT_CLAIMED;
	else
		choose(offer, at, out);
}

static void withdraw(struct agt_offer *offer, bool leased_too, struct agt_offer_result *out)
{
	if (offer->state == AGT_OFFER_WITHDRAWN) {
		out->refusal = AGT_OFFER_OVER;
	} else if (offer->state == AGT_OFFER_LEASED && !leased_too) {
		out->refusal = AGT_OFFER_HAS_WINNER; /* it has the referral: that is what must be cancelled */
	} else {
		offer->state = AGT_OFFER_WITHDRAWN;
		offer->winner = AGT_OFFER_NOBODY;
		offer->unclaimed = false;
		close_all(offer, AGT_OFFER_NOBODY, out);
	}
}

bool agt_offer_may_lease(const struct agt_offer *offer, uint8_t member)
{
	return offer->state == AGT_OFFER_OPEN && offer->winner == member && member != AGT_OFFER_NOBODY;
}

bool agt_offer_may_refer(const struct agt_offer *offer, uint8_t member)
{
	return offer->state == AGT_OFFER_LEASED && offer->winner == member && member != AGT_OFFER_NOBODY;
}

void agt_offer_step(const struct agt_offer *offer, const struct agt_offer_event *event, struct agt_offer_result *out)
{
	*out = (struct agt_offer_result){.lease = AGT_OFFER_NOBODY, .next = *offer};
	struct agt_offer *next = &out->next;

	KW_ASSERT(event->type >= AGT_OFFER_EV_WITHDRAW || event->member < offer->count);
	switch (event->type) {
	case AGT_OFFER_EV_CLAIM:
		claim(next, event->member, out);
		break;
	case AGT_OFFER_EV_DECLINE:
		lose(next, event->member, AGT_MEMBER_DECLINED, out);
		break;
	case AGT_OFFER_EV_FAILED:
		lose(next, event->member, AGT_MEMBER_FAILED, out);
		break;
	case AGT_OFFER_EV_LEASE_SENT:
		KW_ASSERT(agt_offer_may_lease(offer, event->member));
		next->state = AGT_OFFER_LEASED;
		out->refer = true;
		close_all(next, event->member, out);
		break;
	case AGT_OFFER_EV_PICK:
		pick(next, event->member, out);
		break;
	case AGT_OFFER_EV_WITHDRAW:
	case AGT_OFFER_EV_CONSENT:
		withdraw(next, event->type == AGT_OFFER_EV_CONSENT, out);
		break;
	case AGT_OFFER_EV_TIME:
		look_for_end(next, event->now_ms >= next->claim_by_ms, out);
		break;
	}
}

uint8_t agt_offer_again(struct agt_offer *offer, int64_t claim_by_ms, uint8_t *from)
{
	uint8_t count = 0;

	for (uint8_t i = 0; i < offer->count; i++) {
		const struct agt_offer_member *member = &offer->members[i];

		if (member->coordinator || member->state == AGT_MEMBER_DECLINED || member->state == AGT_MEMBER_FAILED)
			continue;
		from[count++] = i;
	}
	for (uint8_t i = 0; i < AGT_OFFER_MEMBERS_MAX; i++)
		offer->members[i] = (struct agt_offer_member){.state = AGT_MEMBER_ASKED};
	offer->state = AGT_OFFER_OPEN;
	offer->winner = AGT_OFFER_NOBODY;
	offer->unclaimed = count == 0;
	offer->count = count;
	offer->claims = 0;
	offer->claim_by_ms = claim_by_ms;
	offer->round = offer->round < UINT8_MAX ? offer->round + 1 : offer->round;
	return count;
}

uint8_t agt_offer_coordinator(struct agt_offer *offer)
{
	for (uint8_t i = 0; i < offer->count; i++) {
		if (offer->members[i].coordinator)
			return AGT_OFFER_NOBODY;
	}
	if (offer->count == AGT_OFFER_MEMBERS_MAX)
		return AGT_OFFER_NOBODY;
	offer->members[offer->count] = (struct agt_offer_member){.state = AGT_MEMBER_ASKED, .coordinator = true};
	return offer->count++;
}
