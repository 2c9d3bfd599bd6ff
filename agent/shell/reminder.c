#include "agent/shell/reminder.h"

#include "agent/shell/agent_phones.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

#define TELEPHONE_STEP 200u /* per cent: messages did not help */

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

/* The parts live with the caller. */
struct alternates {
	struct agent_alternates found;
	Kinward__V1__ReminderAlternate bodies[AGENT_ALTERNATES_MAX];
	Kinward__V1__ReminderAlternate *list[AGENT_ALTERNATES_MAX];
	char *phones[AGENT_ALTERNATES_MAX][AGENT_ALTERNATE_PHONES_MAX];
};

static void fill_alternates(struct agent *agent, const struct kw_name *agency, uint32_t service, struct alternates *parts,
	Kinward__V1__Reminder *out)
{
	agent_alternates_of(agent, agency, service, &parts->found);
	for (size_t i = 0; i < parts->found.count; i++) {
		struct agent_alternate *from = &parts->found.list[i];

		kinward__v1__reminder_alternate__init(&parts->bodies[i]);
		for (size_t k = 0; k < from->count; k++)
			parts->phones[i][k] = from->texts[k];
		parts->bodies[i].agency = from->agency.text;
		parts->bodies[i].phones = parts->phones[i];
		parts->bodies[i].n_phones = from->count;
		parts->list[i] = &parts->bodies[i];
	}
	out->alternates = parts->list;
	out->n_alternates = parts->found.count;
}

enum kw_err reminder_pack(struct agent *agent, const struct kw_frame_reminder *reminder, struct spool_item *item,
	struct kw_buf *out)
{
	struct spool_thread thread = {0};
	struct kw_fault fault = {0};
	struct agent_phones phones;
	struct alternates alternates;
	Kinward__V1__Reminder body;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	enum kw_err err = kw_random(item->message_id.bytes, KW_ID_SIZE);

	if (err != KW_OK)
		return err;
	/* Ours is a pseudonym for this pair of agencies; a coordinator has none. A record that cannot be read has none either. */
	if (spool_thread(agent->spool, &item->thread_id, &item->agency, &thread) != KW_OK)
		thread.record.kind = KW_THREAD_NONE;
	fill_reminder(reminder, &thread, &body);
	if (reminder->step >= TELEPHONE_STEP && body.audience == KINWARD__V1__REMINDER_AUDIENCE__REMINDER_AUDIENCE_SENDER) {
		agent_phones_of(agent, &reminder->agency, thread.service, &phones);
		body.phones = phones.list;
		body.n_phones = phones.count;
		fill_alternates(agent, &reminder->agency, thread.service, &alternates, &body);
	}
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = item->message_id.bytes};
	content.created_unix_ms = item->at_ms;
	content.body_case = KINWARD__V1__CONTENT__BODY_REMINDER;
	content.reminder = &body;
	err = kw_content_pack(&content, out, &fault);
	if (err != KW_OK && err != KW_ENOMEM) {
		kw_log(KW_LOG_WARN, "bad_reminder", KW_LOG_ERR(err), KW_LOG_STR("field", fault.field));
		err = KW_OK;
	}
	return err;
}
