#include <stdio.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_consent.h"
#include "agent/shell/agent_phones.h"
#include "agent/shell/spool_read.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Threads on the loop thread: which place a message gets and why one is refused, and the hub's reminders. What counts is decided by the spool's writer; the question asked here beforehand gives the caller its
 * answer at once. */

/* The step at which who waits is told to telephone. */
#define TELEPHONE_STEP 200u

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
	case AGT_FAULT_TAKEN:
		refusal->text = "This thread id is in use with another agency; leave it empty to begin a thread of its own.";
		break;
	case AGT_FAULT_LONG:
		refusal->text = "This thread has as many steps as one can have; end it, and go on in a new thread.";
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
	op->present = (struct agt_thread){.kind = KW_THREAD_NONE};
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
	op->present = result.next;
	return result.verdict == AGT_THREAD_ILLEGAL ? explain(result.fault, &thread.record, field, refusal) : KW_OK;
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
	struct agent_phones phones;
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
	if (reminder.step >= TELEPHONE_STEP && body.audience == KINWARD__V1__REMINDER_AUDIENCE__REMINDER_AUDIENCE_SENDER) {
		agent_phones_of(agent, &reminder.agency, thread.service, &phones);
		body.phones = phones.list;
		body.n_phones = phones.count;
	}
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
