#include <stdio.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_consent.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Threads on the loop thread: which place a message gets and why one is refused, what the agent says by itself, and the
 * hub's reminders. What counts is decided by the spool's writer; the question asked here beforehand gives the caller its
 * answer at once. */

#define FOLLOWS_MAX 64u

/* ", A, B or C" into words, at most size bytes. */
static void list_choices(const struct agt_thread *present, char *out, size_t size)
{
	uint8_t states[KW_STATE_MAX];
	uint32_t count = agt_thread_choices(present, states);
	size_t used = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < count && used < size; i++) {
		const char *between = i == 0 ? "" : i + 1 == count ? " or " : ", ";
		int n = snprintf(out + used, size - used, "%s%s", between, kw_state_name(present->kind, states[i]));

		used += n > 0 ? (size_t)n : 0;
	}
}

static void say_state(const struct agt_thread *present, struct agent_refusal *refusal)
{
	char choices[300];
	const char *kind = kw_thread_kind_name(present->kind);
	const char *state = kw_state_name(present->kind, kw_state_public(present->kind, present->state));

	list_choices(present, choices, sizeof(choices));
	if (kind == NULL || state == NULL)
		refusal->text = NULL;
	else if (choices[0] != '\0')
		(void)snprintf(refusal->words, sizeof(refusal->words), "The %s is %s; from us it can become %s now.", kind, state,
			choices);
	else if (agt_thread_is_open(present))
		(void)snprintf(refusal->words, sizeof(refusal->words), "The %s is %s; the other agency has to act now.", kind, state);
	else
		(void)snprintf(refusal->words, sizeof(refusal->words), "The %s is %s; nothing follows. Begin a new thread.", kind,
			state);
}

/* The words and the field for one fault. */
static enum kw_err explain(enum agt_thread_fault fault, const struct agt_thread *present, const char *field,
	struct agent_refusal *refusal)
{
	refusal->field = "send.thread_id";
	refusal->text = refusal->words;
	switch (fault) {
	case AGT_FAULT_NONE:
		break;
	case AGT_FAULT_NO_THREAD:
		refusal->text = "Nothing has opened this thread with this agency; check both, or send the request first.";
		break;
	case AGT_FAULT_OPENED:
		refusal->text = "This thread has its case already; leave the thread id empty to begin another.";
		break;
	case AGT_FAULT_KIND:
		(void)snprintf(refusal->words, sizeof(refusal->words), "This thread is a %s; send what belongs to one.",
			kw_thread_kind_name(present->kind));
		break;
	case AGT_FAULT_FAILED:
		refusal->text = "The message that opened this thread never arrived; send it again in a new thread.";
		break;
	case AGT_FAULT_ERASED:
		refusal->text = "Consent was withdrawn and this thread is erased; with a new consent begin a new thread.";
		break;
	case AGT_FAULT_OFFERED:
		refusal->field = "send.content.transfer_offer.case_ref";
		refusal->text = "This case is on offer already, or given away and not handed over; withdraw that offer first.";
		break;
	case AGT_FAULT_PLACE:
		refusal->text = "Something else went into this thread at the same moment; look at it, then try again.";
		return KW_EBUSY;
	case AGT_FAULT_STATE:
		if (field[0] != '\0') {
			(void)snprintf(refusal->path, sizeof(refusal->path), "send.content.%s", field);
			refusal->field = refusal->path;
		}
		say_state(present, refusal);
		break;
	}
	return KW_EILLEGAL;
}

enum kw_err agent_thread_refused(const struct spool_op *op, const char *field, struct agent_refusal *refusal)
{
	return explain(op->fault, &op->present, field, refusal);
}

enum kw_err agent_thread_place(struct agent *agent, struct spool_op *op, const char *field,
	struct agent_refusal *refusal, enum kw_risk *risk)
{
	const struct spool_act *act = &op->u.append.act;
	struct spool_item *item = &op->u.append.item;
	struct spool_thread thread = {0};
	struct agt_thread_event event = {.author = AGT_THREAD_OURS,
		.kind = act->kind,
		.opening = act->opening,
		.state = act->state,
		.risk = act->risk,
		.now_ms = item->at_ms};
	struct agt_thread_result result;
	bool under_way = false;

	item->thread_sequence = 0; /* what moves nothing has no place */
	if (act->kind == KW_THREAD_NONE)
		return KW_OK;
	enum kw_err err = spool_thread(agent->spool, &item->thread_id, &item->agency, &thread);
	if (err != KW_OK && err != KW_ENOTFOUND)
		return err;
	*risk = err == KW_OK ? thread.record.risk : act->risk;
	item->thread_sequence = err == KW_OK ? thread.record.next : 1;
	for (const struct agent_sending *it = agent->sending; it != NULL; it = it->next) {
		if (it->thread_sequence < item->thread_sequence || !kw_id_equal(&it->thread_id, &item->thread_id) ||
			!kw_name_equal(&it->agency, &item->agency))
			continue;
		item->thread_sequence = it->thread_sequence + 1;
		*risk = it->risk;
		under_way = true;
	}
	if (under_way)
		return KW_OK; /* on what state it will be, the writer knows */
	event.sequence = item->thread_sequence;
	agt_thread_step(&thread.record, &event, &result);
	return result.verdict == AGT_THREAD_ILLEGAL ? explain(result.fault, &thread.record, field, refusal) : KW_OK;
}

/* The content of a follow-up; the parts live with the caller. */
struct follow_parts {
	Kinward__V1__Content content;
	Kinward__V1__TransferEvent transfer;
	Kinward__V1__OfferClosed closed;
	Kinward__V1__ReferralEvent referral;
	Kinward__V1__TracingEvent tracing;
	struct consent_parts consent;
	uint8_t id[KW_ID_SIZE];
};

/* The message that declares a state. False: no message of this kind of thread does. */
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
	} else if (follow->kind == KW_THREAD_OFFER && follow->state == KW_OFFER_CLOSED) {
		kinward__v1__offer_closed__init(&parts->closed);
		parts->closed.state = (Kinward__V1__OfferState)follow->state;
		parts->closed.reason = KINWARD__V1__OFFER_CLOSE_REASON__OFFER_CLOSE_REASON_TAKEN;
		content->body_case = KINWARD__V1__CONTENT__BODY_OFFER_CLOSED;
		content->offer_closed = &parts->closed;
	} else {
		return false;
	}
	return true;
}

static enum kw_err fill_follow(struct agent *agent, const struct spool_follow *follow, int64_t now_ms,
	struct follow_parts *parts)
{
	Kinward__V1__Content *content = &parts->content;
	enum kw_err err = KW_OK;

	kinward__v1__content__init(content);
	content->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = parts->id};
	content->created_unix_ms = now_ms;
	if (follow->what != SPOOL_FOLLOW_STATE)
		err = consent_fill(agent, follow, now_ms, &parts->consent, content);
	else if (!fill_state(follow, now_ms, parts))
		err = KW_EFIELD;
	return err != KW_OK ? err : kw_random(parts->id, KW_ID_SIZE);
}

/* Sends one. The writer takes it off the list with the append, also when the thread does not want it any more. */
static enum kw_err send_follow(struct agent *agent, const struct spool_follow *follow)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	struct follow_parts parts;
	struct kw_fault fault = {0};
	struct agent_refusal refusal = {0};
	struct agent_outgoing outgoing = {.field = ""};
	int64_t now_ms = agent_now_ms();

	if (op == NULL)
		return KW_ENOMEM;
	enum kw_err err = fill_follow(agent, follow, now_ms, &parts);
	if (err == KW_OK)
		err = kw_content_pack(&parts.content, &op->content, &fault);
	struct spool_item *item = &op->u.append.item;
	item->agency = follow->agency;
	item->thread_id = follow->thread_id;
	item->at_ms = now_ms;
	op->u.append.follow_key = follow->key;
	op->u.append.follow_what = follow->what;
	if (err == KW_OK) {
		memcpy(item->message_id.bytes, parts.id, KW_ID_SIZE);
		act_of(&parts.content, &op->u.append.act);
		err = agent_thread_place(agent, op, "", &refusal, &outgoing.risk);
	}
	/* The writer alone may say that it is not wanted: then it leaves the list. */
	if (err == KW_EILLEGAL)
		err = KW_OK;
	outgoing.letter = (struct letter){.to = item->agency,
		.msg_class = KW_NORMAL,
		/* What is about consent waits for as long as a message may. */
		.expiry_hour = agent_expiry_hour(now_ms, follow->what == SPOOL_FOLLOW_STATE ? 0 : AGENT_LIFETIME_HOURS_MAX),
		.content_type = op->u.append.act.content_type,
		.thread_id = item->thread_id,
		.thread_sequence = item->thread_sequence,
		.now_ms = now_ms,
		.content = kw_buf_view(&op->content)};
	if (err == KW_OK)
		err = agent_submit_letter(agent, &outgoing, op, NULL);
	if (err != KW_OK)
		spool_op_free(op);
	return err;
}

struct follows {
	uint32_t count;
	struct spool_follow list[FOLLOWS_MAX];
};

static bool gather_follow(void *user, const struct spool_follow *follow)
{
	struct follows *follows = user;

	follows->list[follows->count++] = *follow;
	return follows->count < FOLLOWS_MAX;
}

void agent_follow(struct agent *agent)
{
	struct follows follows = {0};

	if (agent->following > 0 || agent->stopping) /* what was read last is not yet gone from the table */
		return;
	agent->follow = false;
	enum kw_err err = spool_follows(agent->spool, 0, gather_follow, &follows);
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	agent->follow = follows.count == FOLLOWS_MAX;
	for (uint32_t i = 0; err == KW_OK && i < follows.count; i++) {
		enum kw_err sent = send_follow(agent, &follows.list[i]);

		if (sent == KW_OK)
			agent->following++;
		else /* it stays in the table and is tried again */
			kw_log(KW_LOG_WARN, "follow_up_not_sent", KW_LOG_STR("agency", follows.list[i].agency.text), KW_LOG_ERR(sent));
	}
}

static void fill_reminder(const struct kw_frame_reminder *from, const struct spool_thread *thread,
	Kinward__V1__Reminder *out)
{
	kinward__v1__reminder__init(out);
	out->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)from->thread_id.bytes};
	out->kind = (Kinward__V1__ThreadKind)from->kind;
	out->clock = (Kinward__V1__ThreadClock)from->clock;
	out->step = from->step;
	out->audience = (Kinward__V1__ReminderAudience)from->audience;
	out->risk = (Kinward__V1__Risk)from->risk;
	out->state = from->state;
	out->due_unix_ms = from->due_unix_ms;
	out->late_ms = from->late_ms;
	out->agency = (char *)(uintptr_t)from->agency.text;
	out->other_agency = (char *)(uintptr_t)from->other_agency.text;
	if (thread->record.kind != KW_THREAD_NONE && thread->record.kind != KW_THREAD_OFFER)
		out->case_ref = (char *)(uintptr_t)thread->case_ref;
}

enum kw_err agent_reminder(struct agent *agent, struct kw_view bytes, struct spool_op *op)
{
	struct kw_frame_reminder reminder;
	struct spool_item *item = &op->u.notice.item;
	struct spool_thread thread = {0};
	struct kw_fault fault = {0};
	Kinward__V1__Reminder body;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	enum kw_err err = kw_frame_reminder_parse(bytes, &reminder);

	if (err != KW_OK)
		goto out;
	item->at_ms = agent_now_ms();
	item->thread_id = reminder.thread_id;
	item->agency = kw_name_equal(&reminder.agency, &agent->office.agency) ? reminder.other_agency : reminder.agency;
	op->u.notice.act = (struct spool_act){.kind = (enum kw_thread_kind)reminder.kind, .state = reminder.state};
	op->u.notice.step = reminder.step;
	err = kw_random(item->message_id.bytes, KW_ID_SIZE);
	if (err != KW_OK)
		return err;
	/* Ours is a pseudonym for this pair of agencies; a coordinator has none. A record that cannot be read has none either. */
	if (spool_thread(agent->spool, &item->thread_id, &item->agency, &thread) != KW_OK)
		thread.record.kind = KW_THREAD_NONE;
	fill_reminder(&reminder, &thread, &body);
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = item->message_id.bytes};
	content.created_unix_ms = item->at_ms;
	content.body_case = KINWARD__V1__CONTENT__BODY_REMINDER;
	content.reminder = &body;
	err = kw_content_pack(&content, &op->content, &fault);
out:
	if (err != KW_OK && err != KW_ENOMEM) {
		kw_log(KW_LOG_WARN, "bad_reminder", KW_LOG_ERR(err), KW_LOG_STR("field", fault.field));
		err = KW_OK;
	}
	return err;
}
