#include <stdio.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_consent.h"
#include "agent/shell/reminder.h"
#include "agent/shell/spool_read.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Threads on the loop thread: which place a message gets and why one is refused, and the hub's reminders. What counts is
 * decided by the spool's writer; the question asked here beforehand gives the caller its answer at once. */

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
	case AGT_FAULT_GIVEN:
		refusal->field = "send.content.transfer_offer.case_ref";
		refusal->text = "This case is another agency's: only its owner can offer it. Ask for it with kinward transfer request, or "
				"accept it first; another case needs a reference of its own.";
		break;
	case AGT_FAULT_TAKEN:
		refusal->text = "This thread id is in use with another agency; leave it empty to begin a thread of its own.";
		break;
	case AGT_FAULT_FROM:
		refusal->field = "send.from_thread";
		refusal->text = "No thread has this id here, or it is an offer; kinward case list --all shows those that brought a case.";
		break;
	case AGT_FAULT_CASE:
		refusal->field = "send.case";
		refusal->text = "What this names is of two cases here; say which it is: --case with its id in your own case system, or "
				"--from-thread.";
		break;
	case AGT_FAULT_WITHDRAWN:
		refusal->field = "send.consent_anew";
		refusal->text = AGENT_WITHDRAWN_TEXT;
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
	const struct agent_sending *lists[] = {agent->sending, agent->staged};
	for (int i = 0; i < 2; i++) {
		for (const struct agent_sending *it = lists[i]; it != NULL; it = it->next) {
			if (it->thread_sequence < item->thread_sequence || !kw_id_equal(&it->thread_id, &item->thread_id) ||
				!kw_name_equal(&it->agency, &item->agency))
				continue;
			item->thread_sequence = it->thread_sequence + 1;
			*risk = it->risk;
			under_way = true;
		}
	}
	if (under_way)
		return KW_OK; /* on what state it will be, the writer knows */
	event.sequence = item->thread_sequence;
	agt_thread_step(&thread.record, &event, &result);
	op->present = result.next;
	return result.verdict == AGT_THREAD_ILLEGAL ? explain(result.fault, &thread.record, field, refusal) : KW_OK;
}

enum kw_err agent_reminder(struct agent *agent, struct kw_view bytes, struct spool_op *op)
{
	struct kw_frame_reminder reminder;
	struct spool_item *item = &op->u.notice.item;
	enum kw_err err = kw_frame_reminder_parse(bytes, &reminder);

	if (err == KW_OK) {
		item->at_ms = agent_now_ms();
		item->thread_id = reminder.thread_id;
		item->agency = kw_name_equal(&reminder.agency, &agent->office.agency) ? reminder.other_agency : reminder.agency;
		op->u.notice.act = (struct spool_act){.kind = (enum kw_thread_kind)reminder.kind, .state = reminder.state};
		op->u.notice.step = reminder.step;
		op->u.notice.clock = reminder.clock;
		op->u.notice.due_ms = reminder.due_unix_ms;
		return reminder_pack(agent, &reminder, item, &op->content);
	}
	kw_log(KW_LOG_WARN, "bad_reminder", KW_LOG_ERR(err));
	return KW_OK;
}
