/* Referrals, offers, transfers: what holds across their fields. */

#include "kinward/v1/referral.pb-c.h"
#include "kinward/v1/transfer.pb-c.h"
#include "proto/wire/validate_across.h"
#include "proto/wire/validate_clash.h"

enum kw_err kw_across_referred_child(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferredChild *child = message;
	if (child->name == NULL && kw_clash_empty(child->code))
		return kw_validate_refuse(walk, KW_EFIELD, "name", "a name or a code is required; fill in one");
	return KW_OK;
}

enum kw_err kw_across_referral_request(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferralRequest *request = message;
	return kw_clash_sharing(walk, request->consent);
}

/* The field that an event's state demands, NULL when it has all it needs. */
static const char *event_lacks(const Kinward__V1__ReferralEvent *event)
{
	switch (event->state) {
	case KW_CODE(REFERRAL_STATE, REJECTED):
	case KW_CODE(REFERRAL_STATE, NOT_PROVIDED):
		return event->reason == KW_CODE(REFERRAL_REASON, UNSPECIFIED) ? "reason" : NULL;
	case KW_CODE(REFERRAL_STATE, SCHEDULED):
		return event->appointment == NULL ? "appointment" : NULL;
	case KW_CODE(REFERRAL_STATE, COMPLETED):
		return event->outcome == KW_CODE(REFERRAL_OUTCOME, UNSPECIFIED) ? "outcome" : NULL;
	case KW_CODE(REFERRAL_STATE, CLOSED):
		return kw_clash_empty(event->feedback_to_client) ? "feedback_to_client" : NULL;
	case KW_CODE(REFERRAL_STATE, ONWARD_PROPOSED):
		return kw_clash_empty(event->onward_agency) ? "onward_agency" : NULL;
	case KW_CODE(REFERRAL_STATE, NEED_INFO):
		return kw_clash_empty(event->note) ? "note" : NULL;
	default:
		return NULL;
	}
}

enum kw_err kw_across_referral_event(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferralEvent *event = message;
	const char *lacks = event_lacks(event);
	if (lacks != NULL)
		return kw_validate_refuse(walk, KW_EFIELD, lacks, KW_NEEDS_STATE);
	if (event->reason == KW_CODE(REFERRAL_REASON, OTHER) && kw_clash_empty(event->note))
		return kw_validate_refuse(walk, KW_EFIELD, "note", "is required with the reason OTHER; fill it in");
	if (event->state != KW_CODE(REFERRAL_STATE, ONWARD_PROPOSED) && !kw_clash_empty(event->onward_agency))
		return kw_validate_refuse(walk, KW_EFIELD, "onward_agency", "goes with ONWARD_PROPOSED only; leave it out");
	return KW_OK;
}

enum kw_err kw_across_capacity_reply(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__CapacityReply *reply = message;
	const struct kw_clash clashes[] = {
		{reply->capacity == KW_CODE(CAPACITY, AVAILABLE) && reply->until_unix_ms == 0, "until_unix_ms",
			"is required with AVAILABLE: a place is promised for a time; fill it in"},
		{reply->capacity != KW_CODE(CAPACITY, WAITLIST) && reply->wait_days != 0, "wait_days",
			"goes with WAITLIST only; leave it out"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_service_claim(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ServiceClaim *claim = message;
	bool claimed = claim->state == KW_CODE(OFFER_STATE, CLAIMED);
	bool declined = claim->state == KW_CODE(OFFER_STATE, DECLINED);
	bool reason = claim->reason != KW_CODE(REFERRAL_REASON, UNSPECIFIED);
	const struct kw_clash clashes[] = {
		{!claimed && !declined, "state", "must be CLAIMED or DECLINED here; choose one"},
		{declined && !reason, "reason", KW_NEEDS_STATE},
		{claimed && reason, "reason", KW_NOT_STATE},
		{claimed && claim->held_until_unix_ms == 0, "held_until_unix_ms", KW_NEEDS_STATE},
		{declined && claim->held_until_unix_ms != 0, "held_until_unix_ms", KW_NOT_STATE},
		{claim->reason == KW_CODE(REFERRAL_REASON, OTHER) && kw_clash_empty(claim->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_offer_closed(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__OfferClosed *closed = message;
	bool leased = closed->state == KW_CODE(OFFER_STATE, LEASED);
	bool over = closed->state == KW_CODE(OFFER_STATE, CLOSED);
	bool reason = closed->reason != KW_CODE(OFFER_CLOSE_REASON, UNSPECIFIED);
	const struct kw_clash clashes[] = {
		{!leased && !over, "state", "must be LEASED or CLOSED here; choose one"},
		{over && !reason, "reason", KW_NEEDS_STATE},
		{leased && reason, "reason", KW_NOT_STATE},
		{leased && closed->referral_thread_id.len == 0, "referral_thread_id", KW_NEEDS_STATE},
		{over && closed->referral_thread_id.len != 0, "referral_thread_id", KW_NOT_STATE},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_due_date(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__DueDate *due = message;
	if (due->task == KW_CODE(CASE_TASK, OTHER) && kw_clash_empty(due->note))
		return kw_validate_refuse(walk, KW_EFIELD, "note", KW_NEEDS_OTHER);
	return KW_OK;
}

enum kw_err kw_across_case_summary(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__CaseSummary *summary = message;
	if (summary->birth_date == NULL && summary->age == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "birth_date", "a birth date or an age is required; estimate one");
	return KW_OK;
}

enum kw_err kw_across_transfer_offer(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__TransferOffer *offer = message;
	if (offer->reason == KW_CODE(TRANSFER_REASON, OTHER) && kw_clash_empty(offer->note))
		return kw_validate_refuse(walk, KW_EFIELD, "note", KW_NEEDS_OTHER);
	return kw_clash_sharing(walk, offer->consent);
}

enum kw_err kw_across_transfer_request(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__TransferRequest *request = message;
	const struct kw_clash clashes[] = {
		{kw_clash_empty(request->case_ref) && request->child == NULL, "case_ref",
			"a common pseudonym or the child is required; fill in one"},
		{request->reason == KW_CODE(TRANSFER_REASON, OTHER) && kw_clash_empty(request->note), "note", KW_NEEDS_OTHER},
		{request->child != NULL && request->consent == NULL, "consent",
			"is required with the child; ask for consent, or use a common pseudonym"},
	};
	enum kw_err err = KW_CLASHES(walk, clashes);
	if (err == KW_OK && request->consent != NULL)
		err = kw_clash_sharing(walk, request->consent);
	return err;
}

enum kw_err kw_across_transfer_event(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__TransferEvent *event = message;
	bool accepted = event->state == KW_CODE(TRANSFER_STATE, ACCEPTED);
	bool rejected = event->state == KW_CODE(TRANSFER_STATE, REJECTED);
	bool refusal = event->refusal != KW_CODE(TRANSFER_REFUSAL, UNSPECIFIED);
	const struct kw_clash clashes[] = {
		{rejected && !refusal, "refusal", KW_NEEDS_STATE},
		{!rejected && refusal, "refusal", KW_NOT_STATE},
		{event->refusal == KW_CODE(TRANSFER_REFUSAL, OTHER) && kw_clash_empty(event->note), "note", KW_NEEDS_OTHER},
		{event->state == KW_CODE(TRANSFER_STATE, HANDOVER_CONFIRMED) && event->handover == NULL, "handover",
			KW_NEEDS_STATE},
		{accepted && event->caseworker == NULL, "caseworker", KW_NEEDS_STATE},
		{!accepted && !kw_clash_empty(event->new_case_ref), "new_case_ref", KW_NOT_STATE},
	};
	return KW_CLASHES(walk, clashes);
}
