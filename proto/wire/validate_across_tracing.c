/* Registration, tracing, matches and reunification: what holds across their fields. */

#include <string.h>

#include "kinward/v1/match.pb-c.h"
#include "kinward/v1/reunification.pb-c.h"
#include "kinward/v1/tracing.pb-c.h"
#include "proto/base/id.h"
#include "proto/wire/validate_across.h"
#include "proto/wire/validate_clash.h"

#define NEEDS_AGE "a birth date or an age is required; estimate one"

enum kw_err kw_across_uasc_registration(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__UascRegistration *registration = message;
	if (registration->birth_date == NULL && registration->age == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "birth_date", NEEDS_AGE);
	return KW_OK;
}

enum kw_err kw_across_tracing_event(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__TracingEvent *event = message;
	bool at_rest = event->state == KW_CODE(TRACING_STATE, SUSPENDED) || event->state == KW_CODE(TRACING_STATE, INVALID) ||
		event->state == KW_CODE(TRACING_STATE, CLOSED) || event->state == KW_CODE(TRACING_STATE, REOPENED);
	bool found = event->state == KW_CODE(TRACING_STATE, FAMILY_LOCATED);
	bool located = event->located != KW_CODE(LOCATED_KIND, UNSPECIFIED);
	bool other = event->reason == KW_CODE(TRACING_REASON, OTHER) ||
		(event->action != NULL && event->action->type == KW_CODE(TRACING_ACTION_TYPE, OTHER));
	const struct kw_clash clashes[] = {
		{found && !located, "located", KW_NEEDS_STATE},
		{!found && located, "located", KW_NOT_STATE},
		{at_rest && event->reason == KW_CODE(TRACING_REASON, UNSPECIFIED), "reason", KW_NEEDS_STATE},
		{other && kw_clash_empty(event->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_inquirer(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Inquirer *inquirer = message;
	if (inquirer->contact == NULL && inquirer->location == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "contact", "a contact or a location is required; fill in one");
	return KW_OK;
}

enum kw_err kw_across_sought_child(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__SoughtChild *child = message;
	if (child->birth_date == NULL && child->age == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "birth_date", NEEDS_AGE);
	return KW_OK;
}

static bool same_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* True when the child has no photo, or it is among the attachments. */
static bool photo_attached(const Kinward__V1__TracingRequest *request, const Kinward__V1__SoughtChild *child)
{
	if (child->photo_digest.len == 0)
		return true;
	for (size_t i = 0; i < request->n_attachments; i++)
		if (same_bytes(&request->attachments[i]->digest, &child->photo_digest))
			return true;
	return false;
}

enum kw_err kw_across_tracing_request(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__TracingRequest *request = message;
	for (size_t i = 0; i < request->n_children; i++)
		if (!photo_attached(request, request->children[i]))
			return kw_validate_refuse(walk, KW_EFIELD, "attachments",
				"must hold the photo that a child's photoDigest names; add it, or leave out the digest");
	return kw_clash_tracing(walk, request->consent);
}

static bool evidence_repeats(const Kinward__V1__MatchCandidate *candidate)
{
	for (size_t i = 0; i < candidate->n_evidence; i++)
		for (size_t j = 0; j < i; j++)
			if (candidate->evidence[i]->field == candidate->evidence[j]->field)
				return true;
	return false;
}

enum kw_err kw_across_match_candidate(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__MatchCandidate *candidate = message;
	bool superseded = candidate->state == KW_CODE(MATCH_STATE, SUPERSEDED);
	bool told = superseded || candidate->state == KW_CODE(MATCH_STATE, CANDIDATE) ||
		candidate->state == KW_CODE(MATCH_STATE, REUNITED_ELSEWHERE);
	const struct kw_clash clashes[] = {
		{!told, "state", "must be CANDIDATE, SUPERSEDED or REUNITED_ELSEWHERE here; holders decide the others"},
		{superseded && candidate->superseded_by.len == 0, "superseded_by", KW_NEEDS_STATE},
		{!superseded && candidate->superseded_by.len != 0, "superseded_by", KW_NOT_STATE},
		{same_bytes(&candidate->own_handle, &candidate->other_handle), "other_handle",
			"must be another record's than ownHandle; correct one of them"},
		{evidence_repeats(candidate), "evidence", "names a field twice; keep one of them"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_match_decision(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__MatchDecision *decision = message;
	bool need_info = decision->verdict == KW_CODE(MATCH_VERDICT, NEED_INFO);
	const struct kw_clash clashes[] = {
		{!need_info && decision->ground == KW_CODE(MATCH_GROUND, UNSPECIFIED), "ground",
			"is required unless more must be known first; choose one of its codes"},
		{need_info && decision->n_needed == 0, "needed", "is required with NEED_INFO; say what must be known"},
		{decision->ground == KW_CODE(MATCH_GROUND, OTHER) && kw_clash_empty(decision->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_verification_exchange(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__VerificationExchange *exchange = message;
	bool ask = exchange->step == KW_CODE(VERIFICATION_STEP, ASK);
	bool tell = exchange->step == KW_CODE(VERIFICATION_STEP, TELL);
	const struct kw_clash clashes[] = {
		{ask != (exchange->n_asked > 0), "asked", "goes with ASK, and only with it; correct one of them"},
		{tell != (exchange->person != NULL), "person", "goes with TELL, and only with it; correct one of them"},
		{tell && exchange->consent == NULL, "consent", "is required with TELL; ask for consent"},
	};
	enum kw_err err = KW_CLASHES(walk, clashes);
	if (err == KW_OK && exchange->consent != NULL)
		err = kw_clash_tracing(walk, exchange->consent);
	return err;
}

enum kw_err kw_across_person_verification(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__PersonVerification *person = message;
	bool other = false;
	for (size_t i = 0; i < person->n_methods; i++)
		other = other || person->methods[i] == KW_CODE(VERIFICATION_METHOD, OTHER);
	const struct kw_clash clashes[] = {
		{other && kw_clash_empty(person->note), "note", KW_NEEDS_OTHER},
		{person->result != KW_CODE(VERIFICATION_RESULT, CONFIRMED) && kw_clash_empty(person->note), "note",
			"is required unless the person is confirmed; say why"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_verification(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Verification *verification = message;
	if (verification->best_interests != KW_CODE(BEST_INTERESTS, PENDING) &&
		kw_clash_empty(verification->best_interests_note))
		return kw_validate_refuse(walk, KW_EFIELD, "best_interests_note",
			"is required with a decision; say why, and who decided");
	return KW_OK;
}

enum kw_err kw_across_reunification(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Reunification *reunification = message;
	bool remote = reunification->type == KW_CODE(REUNIFICATION_TYPE, REMOTE_CONTACT);
	bool other = false;
	for (size_t i = 0; i < reunification->n_support; i++)
		other = other || reunification->support[i] == KW_CODE(REUNIFICATION_SUPPORT, OTHER);
	const Kinward__V1__PartialDate *actual = reunification->actual;
	const Kinward__V1__PartialDate *next = reunification->first_follow_up;
	const struct kw_clash clashes[] = {
		{reunification->planned == NULL && actual == NULL, "planned", "a planned or an actual date is required; fill in one"},
		{!remote && reunification->place == NULL, "place", "is required unless the contact is remote; fill it in"},
		{actual != NULL && next == NULL, "first_follow_up", "is required with the actual date; plan it"},
		{actual != NULL && next != NULL && kw_clash_before(next, actual), "first_follow_up",
			"must not be before the actual date; correct one of them"},
		{other && kw_clash_empty(reunification->note), "note", KW_NEEDS_OTHER},
		{reunification->child_agrees != KW_CODE(ANSWER, YES) && kw_clash_empty(reunification->note), "note",
			"is required unless the child agrees; say what was decided, and why"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_follow_up(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__FollowUp *follow = message;
	bool seen = follow->child_seen == KW_CODE(ANSWER, YES);
	bool not_seen = follow->not_seen_reason != KW_CODE(NOT_SEEN_REASON, UNSPECIFIED);
	bool changed = follow->same_caregiver == KW_CODE(ANSWER, NO);
	bool change = follow->change_reason != KW_CODE(CARE_CHANGE_REASON, UNSPECIFIED);
	bool service = follow->service != KW_CODE(SERVICE_TYPE, UNSPECIFIED);
	bool other = follow->not_seen_reason == KW_CODE(NOT_SEEN_REASON, OTHER) ||
		follow->change_reason == KW_CODE(CARE_CHANGE_REASON, OTHER);
	const struct kw_clash clashes[] = {
		{!seen && !not_seen, "not_seen_reason", "is required unless the child was seen; choose one of its codes"},
		{seen && not_seen, "not_seen_reason", "does not go with a child that was seen; leave it out"},
		{changed != change, "change_reason", "goes with another caregiver, and only with one; correct one of them"},
		{service != (follow->type == KW_CODE(FOLLOW_UP_TYPE, FOR_SERVICE)), "service",
			"goes with FOR_SERVICE, and only with it; correct one of them"},
		{!follow->recommend_closure && follow->next_date == NULL, "next_date",
			"is required unless closure is recommended; plan it"},
		{follow->next_date != NULL && kw_clash_before(follow->next_date, follow->date), "next_date",
			"must not be before the date; correct one of them"},
		{other && kw_clash_empty(follow->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}
