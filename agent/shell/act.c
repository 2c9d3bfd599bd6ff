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
		break;
	case KINWARD__V1__CONTENT__BODY_TRANSFER_OFFER:
		opens(out, KW_THREAD_TRANSFER, KW_TRANSFER_OFFERED); /* or answers a request */
		about(out, content->transfer_offer->case_ref, content->transfer_offer->risk);
		break;
	case KINWARD__V1__CONTENT__BODY_TRANSFER_EVENT:
		moves(out, KW_THREAD_TRANSFER, content->transfer_event->state);
		(void)snprintf(out->alias, sizeof(out->alias), "%s", content->transfer_event->new_case_ref);
		break;
	case KINWARD__V1__CONTENT__BODY_TRACING_REQUEST:
		opens(out, KW_THREAD_TRACING, KW_TRACING_REGISTERED);
		about(out, content->tracing_request->case_ref, KW_RISK_NONE);
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
