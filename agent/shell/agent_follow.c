#include <stdlib.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* What the agent says by itself: answers that threads demand, offers, leases, referrals that an offer led to, its own
 * directory, answers about capacity. The spool's writer decides what is to be said, in the transaction of what it follows
 * from, and strikes it off the list in the transaction that appends the message. Here it becomes a message. */

#define FOLLOWS_MAX 64u

/* The content of a follow-up; the parts live with the caller. */
struct follow_parts {
	Kinward__V1__Content content;
	Kinward__V1__TransferEvent transfer;
	Kinward__V1__OfferClosed closed;
	Kinward__V1__ServiceOffer offer;
	Kinward__V1__ReferralEvent referral;
	Kinward__V1__TracingEvent tracing;
	Kinward__V1__MatchDecision match;
	Kinward__V1__Staff decider;
	struct consent_parts consent;
	struct spool_offer record;
	uint8_t id[KW_ID_SIZE];
};

static void fill_closed(const struct spool_follow *follow, struct follow_parts *parts)
{
	Kinward__V1__OfferClosed *closed = &parts->closed;

	kinward__v1__offer_closed__init(closed);
	closed->state = (Kinward__V1__OfferState)follow->state;
	if (follow->what == SPOOL_FOLLOW_LEASE)
		closed->referral_thread_id =
			(ProtobufCBinaryData){.len = KW_ID_SIZE, .data = parts->record.referral_thread_id.bytes};
	else
		closed->reason = follow->what == SPOOL_FOLLOW_WITHDRAW
			? KINWARD__V1__OFFER_CLOSE_REASON__OFFER_CLOSE_REASON_WITHDRAWN
			: KINWARD__V1__OFFER_CLOSE_REASON__OFFER_CLOSE_REASON_TAKEN;
	parts->content.body_case = KINWARD__V1__CONTENT__BODY_OFFER_CLOSED;
	parts->content.offer_closed = closed;
}

static void fill_offer(const struct agent *agent, const struct spool_follow *follow, struct follow_parts *parts)
{
	const struct spool_offer *record = &parts->record;
	Kinward__V1__ServiceOffer *offer = &parts->offer;

	kinward__v1__service_offer__init(offer);
	offer->need_class = (Kinward__V1__ServiceType)record->service;
	offer->age_band = (Kinward__V1__AgeBand)record->age_band;
	offer->risk = (Kinward__V1__Risk)record->risk;
	offer->admin2_pcode = (char *)(uintptr_t)record->admin2;
	offer->claim_by_unix_ms = record->core.claim_by_ms + agent->skew_ms; /* others know the hub's time, not ours */
	for (uint8_t i = 0; i < record->core.count; i++) {
		if (record->core.members[i].coordinator && kw_id_equal(&record->threads[i], &follow->thread_id))
			offer->unclaimed = true;
	}
	memcpy(parts->id, record->message_id.bytes, KW_ID_SIZE);
	parts->content.body_case = KINWARD__V1__CONTENT__BODY_SERVICE_OFFER;
	parts->content.service_offer = offer;
}

/* Of a match the agent says one thing by itself: that consent was withdrawn. The candidate is erased by then; its match has the
 * id of the thread. */
static void fill_match(const struct agent *agent, const struct spool_follow *follow, int64_t now_ms,
	struct follow_parts *parts)
{
	Kinward__V1__MatchDecision *decision = &parts->match;

	kinward__v1__match_decision__init(decision);
	kinward__v1__staff__init(&parts->decider);
	parts->decider.name = (char *)(uintptr_t)agent->office.agency.text; /* protobuf-c has no const, and changes nothing */
	decision->match_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)follow->thread_id.bytes};
	decision->verdict = follow->state == KW_MATCH_UNLINKED ? KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_UNLINK
		: KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_REJECT;
	decision->ground = KINWARD__V1__MATCH_GROUND__MATCH_GROUND_OTHER;
	decision->note = (char *)(uintptr_t)"Consent was withdrawn.";
	decision->decider = &parts->decider;
	decision->at_unix_ms = now_ms;
	parts->content.body_case = KINWARD__V1__CONTENT__BODY_MATCH_DECISION;
	parts->content.match_decision = decision;
}

/* The message that declares a bare state. False: no message of this kind of thread does. */
static bool fill_state(const struct spool_follow *follow, int64_t now_ms, struct follow_parts *parts)
{
	Kinward__V1__Content *content = &parts->content;

	if (follow->kind == KW_THREAD_TRANSFER) {
		kinward__v1__transfer_event__init(&parts->transfer);
		parts->transfer.state = (Kinward__V1__TransferState)follow->state;
		parts->transfer.at_unix_ms = now_ms;
		content->body_case = KINWARD__V1__CONTENT__BODY_TRANSFER_EVENT;
		content->transfer_event = &parts->transfer;
	} else if (follow->kind == KW_THREAD_REFERRAL) {
		kinward__v1__referral_event__init(&parts->referral);
		parts->referral.state = (Kinward__V1__ReferralState)follow->state;
		parts->referral.at_unix_ms = now_ms;
		content->body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT;
		content->referral_event = &parts->referral;
	} else if (follow->kind == KW_THREAD_TRACING) {
		kinward__v1__tracing_event__init(&parts->tracing);
		parts->tracing.state = (Kinward__V1__TracingState)follow->state;
		parts->tracing.at_unix_ms = now_ms;
		parts->tracing.reason = KINWARD__V1__TRACING_REASON__TRACING_REASON_CONSENT_WITHDRAWN; /* nothing else is said here */
		content->body_case = KINWARD__V1__CONTENT__BODY_TRACING_EVENT;
		content->tracing_event = &parts->tracing;
	} else {
		return false;
	}
	return true;
}

/* The content of a follow-up that is no ready-made one. KW_EILLEGAL: it cannot be said any more. */
static enum kw_err fill_follow(struct agent *agent, const struct spool_follow *follow, int64_t now_ms,
	struct follow_parts *parts)
{
	Kinward__V1__Content *content = &parts->content;
	enum kw_err err = kw_random(parts->id, KW_ID_SIZE);

	kinward__v1__content__init(content);
	content->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = parts->id};
	content->created_unix_ms = now_ms;
	if (err == KW_OK && follow->offer != 0) {
		err = spool_offer(agent->spool, &(struct spool_offer_key){.number = follow->offer}, &parts->record);
		if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
			return KW_EILLEGAL;
	}
	if (err != KW_OK)
		return err;
	if (follow->what >= SPOOL_FOLLOW_CONSENT && follow->what <= SPOOL_FOLLOW_ACK)
		return consent_fill(agent, follow, now_ms, &parts->consent, content);
	if (follow->what == SPOOL_FOLLOW_OFFER)
		fill_offer(agent, follow, parts);
	else if (follow->kind == KW_THREAD_OFFER)
		fill_closed(follow, parts);
	else if (follow->kind == KW_THREAD_MATCH)
		fill_match(agent, follow, now_ms, parts);
	else if (!fill_state(follow, now_ms, parts))
		return KW_EILLEGAL;
	return KW_OK;
}

/* The packed content, with what it does and its id; risk: of a thread that it opens. */
static enum kw_err make_content(struct agent *agent, const struct spool_follow *follow, struct spool_op *op)
{
	struct spool_item *item = &op->u.append.item;
	struct follow_parts parts = {0};
	struct kw_fault fault = {0};
	Kinward__V1__Content *content = &parts.content;
	struct kw_arena arena;
	enum kw_err err;

	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	if (follow->what == SPOOL_FOLLOW_REFERRAL)
		err = spool_offer_referral(agent->spool, follow->offer, &op->content);
	else if (follow->what == SPOOL_FOLLOW_DIRECTORY)
		err = spool_services_of(agent->spool, &agent->office.agency, &op->content);
	else if (follow->what == SPOOL_FOLLOW_CONTENT)
		err = kw_buf_add(&op->content, follow->content);
	else
		err = fill_follow(agent, follow, item->at_ms, &parts);
	if (err == KW_OK && op->content.size > 0)
		err = kw_content_unpack(kw_buf_view(&op->content), &arena, &content, &fault);
	else if (err == KW_OK)
		err = kw_content_pack(content, &op->content, &fault);
	if (err == KW_OK) {
		memcpy(item->message_id.bytes, content->message_id.data, KW_ID_SIZE);
		act_of(content, &op->u.append.act);
	}
	kw_arena_fini(&arena);
	kw_wipe(&parts, sizeof(parts));
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_EILLEGAL : err;
}

static void unfollowed(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->following--;
	agent_op_done(op, err);
}

/* It can never be said: it leaves the list, and what it was about goes on without. */
static enum kw_err unfollow(struct agent *agent, const struct spool_follow *follow)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_UNFOLLOW);

	if (op == NULL)
		return KW_ENOMEM;
	op->u.unfollow.follow = *follow;
	op->u.unfollow.follow.content = KW_VIEW(NULL, 0);
	op->u.unfollow.now_ms = agent_now_ms();
	op->done = unfollowed;
	op->user = agent;
	spool_do(agent->spool, op);
	return KW_OK;
}

static enum kw_msg_class class_of(const struct spool_follow *follow, const struct spool_act *act)
{
	if (follow->what == SPOOL_FOLLOW_DIRECTORY)
		return KW_BULK;
	return follow->what == SPOOL_FOLLOW_REFERRAL && act->risk == KW_RISK_HIGH ? KW_URGENT : KW_NORMAL;
}

/* Sends one. The writer takes it off the list with the append, also when the thread does not want it any more. */
static enum kw_err send_follow(struct agent *agent, const struct spool_follow *follow)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	struct agent_refusal refusal = {0};
	struct agent_outgoing outgoing = {.field = ""};
	int64_t now_ms = agent_now_ms();

	if (op == NULL)
		return KW_ENOMEM;
	struct spool_item *item = &op->u.append.item;
	item->agency = follow->agency;
	item->thread_id = follow->thread_id;
	item->at_ms = now_ms;
	op->u.append.follow_key = follow->key;
	op->u.append.follow_what = follow->what;
	enum kw_err err = make_content(agent, follow, op);
	if (err == KW_OK) {
		err = agent_thread_place(agent, op, "", &refusal, &outgoing.risk);
		if (err == KW_EILLEGAL) /* the writer alone may say that it is not wanted: then it leaves the list */
			err = KW_OK;
	}
	/* What is about consent waits for as long as a message may. */
	bool consent = follow->what >= SPOOL_FOLLOW_CONSENT && follow->what <= SPOOL_FOLLOW_ACK;
	outgoing.letter = (struct letter){.to = item->agency,
		.msg_class = class_of(follow, &op->u.append.act),
		.expiry_hour = agent_expiry_hour(now_ms, consent ? AGENT_LIFETIME_HOURS_MAX : 0),
		.content_type = op->u.append.act.content_type,
		.thread_id = item->thread_id,
		.thread_sequence = item->thread_sequence,
		.now_ms = now_ms,
		.content = kw_buf_view(&op->content)};
	if (err == KW_OK)
		err = agent_submit_letter(agent, &outgoing, op, NULL);
	if (err == KW_OK)
		return KW_OK;
	spool_op_free(op);
	if (!agent_follow_stays(follow, err)) {
		kw_log(KW_LOG_WARN, "follow_up_dropped", KW_LOG_STR("agency", follow->agency.text), KW_LOG_ERR(err));
		return unfollow(agent, follow);
	}
	return err;
}

struct follows {
	uint32_t count;
	struct spool_follow list[FOLLOWS_MAX];
	struct kw_buf contents[FOLLOWS_MAX];
	enum kw_err err;
};

static bool gather_follow(void *user, const struct spool_follow *follow)
{
	struct follows *follows = user;
	struct kw_buf *content = &follows->contents[follows->count];

	kw_buf_init(content, KW_FRAME_SIZE_MAX);
	if (follow->content.size > 0)
		follows->err = kw_buf_add(content, follow->content);
	follows->list[follows->count] = *follow;
	follows->list[follows->count++].content = kw_buf_view(content);
	return follows->err == KW_OK && follows->count < FOLLOWS_MAX;
}

void agent_follow(struct agent *agent)
{
	struct follows follows = {0};

	if (agent->following > 0 || agent->stopping) /* what was read last is not yet gone from the table */
		return;
	agent->follow = false;
	uint64_t from = agent->follow_from;
	enum kw_err err = spool_follows(agent->spool, from, gather_follow, &follows);
	if (err == KW_OK)
		err = follows.err;
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	/* Those that cannot be sent stay where they are: the others are behind them. */
	agent->follow = follows.count == FOLLOWS_MAX;
	agent->follow_from = agent->follow ? follows.list[FOLLOWS_MAX - 1].key + 1 : 0;
	for (uint32_t i = 0; i < follows.count; i++) {
		enum kw_err sent = err == KW_OK ? send_follow(agent, &follows.list[i]) : err;

		if (sent == KW_OK)
			agent->following++;
		else if (err == KW_OK) { /* it stays in the table and is tried again */
			kw_log(KW_LOG_WARN, "follow_up_not_sent", KW_LOG_STR("agency", follows.list[i].agency.text), KW_LOG_ERR(sent));
			agent_pause_begin(&agent->follow_pause);
		}
		kw_buf_fini(&follows.contents[i]);
	}
	agent_pause_round(&agent->follow_pause, !agent->follow);
}
