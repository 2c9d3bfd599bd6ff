#include "agent/shell/act.h"

#include <stdio.h>
#include <string.h>

#include "proto/wire/message.h"

static void opens(struct spool_act *out, enum kw_thread_kind kind, uint32_t state)
{
	out->kind = kind;
	out->opening = true;
	out->state = (uint8_t)state;
}

static void moves(struct spool_act *out, enum kw_thread_kind kind, uint32_t state)
{
	out->kind = kind;
	out->state = (uint8_t)state;
}

static void about(struct spool_act *out, const char *case_ref, uint32_t risk)
{
	(void)snprintf(out->case_ref, sizeof(out->case_ref), "%s", case_ref); /* the validator knows the same limit */
	out->risk = (enum kw_risk)risk;
}

/* Days from 1970-01-01 (H. Hinnant, chrono-compatible low-level date algorithms, days_from_civil). */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = year / 400; /* years are 1900 and later */
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (int64_t)day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The last moment, UTC, at which it may not be `years` after this date yet: what is not known of it is as late as can be. */
static int64_t years_after(const Kinward__V1__PartialDate *date, unsigned years)
{
	unsigned month = date->month != 0 ? date->month : 12;
	unsigned day = date->day != 0 ? date->day : 31; /* of a shorter month it is a day of the next: later still */

	return days_of((int64_t)date->year + years, month, day) * 86400000;
}

#define YOUNG_YEARS 5u

/* Until when a child may be under 5; 0 when it was not when this was written, or nothing is known. In doubt it is. */
static int64_t young_until(const Kinward__V1__SoughtChild *child)
{
	int64_t until = 0;

	if (child->birth_date != NULL)
		until = years_after(child->birth_date, YOUNG_YEARS);
	else if (child->age != NULL && child->age->as_of != NULL) {
		unsigned years = child->age->value_case == KINWARD__V1__AGE__VALUE_RANGE ? child->age->range->years_min : child->age->years;

		if (years < YOUNG_YEARS) /* completed years: the next birthday is within one */
			until = years_after(child->age->as_of, YOUNG_YEARS - years);
	}
	return until > 0 ? until : 0;
}

static void about_children(struct spool_act *out, const Kinward__V1__TracingRequest *request)
{
	for (size_t i = 0; i < request->n_children; i++) {
		int64_t until = young_until(request->children[i]);

		out->young_until_ms = until > out->young_until_ms ? until : out->young_until_ms;
	}
}

/* With an override it is not the consent that it stands on. */
static void stands_on(struct spool_act *out, const Kinward__V1__Consent *consent)
{
	out->consent = consent != NULL;
	if (consent != NULL && consent->override == NULL)
		out->consent_until_ms = consent->valid_until_unix_ms;
}

/* The threads of one offer share the id of its message, which is the same for every agency that is asked. */
static void about_offer(struct spool_act *out, const Kinward__V1__Content *content)
{
	for (size_t i = 0; i < content->message_id.len && i * 2 + 2 < sizeof(out->case_ref); i++)
		(void)snprintf(out->case_ref + i * 2, 3, "%02x", content->message_id.data[i]);
	out->risk = (enum kw_risk)content->service_offer->risk;
	out->service = content->service_offer->need_class;
	out->unclaimed = content->service_offer->unclaimed;
}

/* Only a candidate opens; the other two states are the hub's to say, and refused from an agency. */
static void about_match(struct spool_act *out, const Kinward__V1__MatchCandidate *candidate)
{
	if (candidate->state == KINWARD__V1__MATCH_STATE__MATCH_STATE_CANDIDATE)
		opens(out, KW_THREAD_MATCH, KW_MATCH_CANDIDATE);
	else
		moves(out, KW_THREAD_MATCH, candidate->state);
}

static uint32_t verdict_state(Kinward__V1__MatchVerdict verdict)
{
	switch (verdict) {
	case KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_CONFIRM:
		return KW_MATCH_CONFIRMED_ONE;
	case KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_REJECT:
		return KW_MATCH_REJECTED;
	case KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_UNLINK:
		return KW_MATCH_UNLINKED;
	default: /* NEED_INFO: somebody looks, and has a question */
		return KW_MATCH_REVIEWING;
	}
}

void act_of(const Kinward__V1__Content *content, struct spool_act *out)
{
	memset(out, 0, sizeof(*out));
	out->content_type = (uint32_t)content->body_case;
	switch (content->body_case) {
	case KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST:
		opens(out, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED);
		about(out, content->referral_request->case_ref, content->referral_request->risk);
		out->service = content->referral_request->service;
		stands_on(out, content->referral_request->consent);
		break;
	case KINWARD__V1__CONTENT__BODY_URGENT_ACTION: /* same-day action: a referral of high risk from here on */
		opens(out, KW_THREAD_REFERRAL, KW_REFERRAL_QUEUED);
		about(out, "", KW_RISK_HIGH);
		out->service = content->urgent_action->service;
		break;
	case KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT:
		moves(out, KW_THREAD_REFERRAL, content->referral_event->state);
		break;
	case KINWARD__V1__CONTENT__BODY_TRANSFER_REQUEST:
		opens(out, KW_THREAD_TRANSFER, KW_TRANSFER_REQUESTED);
		about(out, content->transfer_request->case_ref, content->transfer_request->risk);
		stands_on(out, content->transfer_request->consent);
		break;
	case KINWARD__V1__CONTENT__BODY_TRANSFER_OFFER:
		opens(out, KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED); /* or answers a request */
		about(out, content->transfer_offer->case_ref, content->transfer_offer->risk);
		stands_on(out, content->transfer_offer->consent);
		break;
	case KINWARD__V1__CONTENT__BODY_TRANSFER_EVENT:
		moves(out, KW_THREAD_TRANSFER, content->transfer_event->state);
		(void)snprintf(out->alias, sizeof(out->alias), "%s", content->transfer_event->new_case_ref);
		break;
	case KINWARD__V1__CONTENT__BODY_TRACING_REQUEST:
		opens(out, KW_THREAD_TRACING, KW_TRACING_REGISTERED);
		about(out, content->tracing_request->case_ref, KW_RISK_NONE);
		stands_on(out, content->tracing_request->consent);
		about_children(out, content->tracing_request);
		break;
	case KINWARD__V1__CONTENT__BODY_TRACING_EVENT:
		moves(out, KW_THREAD_TRACING, content->tracing_event->state);
		break;
	case KINWARD__V1__CONTENT__BODY_MATCH_CANDIDATE:
		about_match(out, content->match_candidate);
		break;
	case KINWARD__V1__CONTENT__BODY_MATCH_DECISION:
		moves(out, KW_THREAD_MATCH, verdict_state(content->match_decision->verdict));
		break;
	case KINWARD__V1__CONTENT__BODY_SERVICE_OFFER:
		opens(out, KW_THREAD_OFFER, KW_OFFER_OFFERED);
		about_offer(out, content);
		break;
	case KINWARD__V1__CONTENT__BODY_SERVICE_CLAIM:
		moves(out, KW_THREAD_OFFER, content->service_claim->state);
		break;
	case KINWARD__V1__CONTENT__BODY_OFFER_CLOSED:
		moves(out, KW_THREAD_OFFER, content->offer_closed->state);
		break;
	case KINWARD__V1__CONTENT__BODY_CONSENT_UPDATE: /* one that withdraws says with what it is withdrawn what becomes of the thread */
		if (content->consent_update->n_withdrawn == 0)
			stands_on(out, content->consent_update->consent);
		break;
	default:
		break; /* of the others none declares a state of a thread between two agencies */
	}
}

const char *act_field(const Kinward__V1__Content *content)
{
	switch (content->body_case) {
	case KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT:
		return "referral_event.state";
	case KINWARD__V1__CONTENT__BODY_TRANSFER_EVENT:
		return "transfer_event.state";
	case KINWARD__V1__CONTENT__BODY_TRACING_EVENT:
		return "tracing_event.state";
	case KINWARD__V1__CONTENT__BODY_MATCH_CANDIDATE:
		return "match_candidate.state";
	case KINWARD__V1__CONTENT__BODY_MATCH_DECISION:
		return "match_decision.verdict";
	case KINWARD__V1__CONTENT__BODY_SERVICE_CLAIM:
		return "service_claim.state";
	case KINWARD__V1__CONTENT__BODY_OFFER_CLOSED:
		return "offer_closed.state";
	default:
		return "";
	}
}

const ProtobufCBinaryData *act_match(const Kinward__V1__Content *content)
{
	switch (content->body_case) {
	case KINWARD__V1__CONTENT__BODY_MATCH_CANDIDATE:
		return &content->match_candidate->match_id;
	case KINWARD__V1__CONTENT__BODY_MATCH_DECISION:
		return &content->match_decision->match_id;
	case KINWARD__V1__CONTENT__BODY_VERIFICATION_EXCHANGE:
		return &content->verification_exchange->match_id;
	default:
		return NULL;
	}
}

void act_of_bytes(struct kw_view bytes, struct spool_act *out)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;

	memset(out, 0, sizeof(*out));
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	if (kw_content_unpack(bytes, &arena, &content, &fault) == KW_OK)
		act_of(content, out);
	kw_arena_fini(&arena);
}
