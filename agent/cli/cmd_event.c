#include <string.h>
#include <time.h>

#include "agent/cli/commands.h"

/* kinward event: finds the thread and the agency at its other end, then sends a ReferralEvent there.
 * MESSAGE|THREAD is asked for as a message first; if the agent has none of that id, its lists are searched for a thread. */

enum { REASON, NOTE, OUTCOME, AT, PLACE, FEEDBACK, ONWARD, AUTHOR, POSITION, CLASS, MESSAGE_ID };

const struct cli_option CLI_EVENT_OPTIONS[] = {
	[REASON] = {"reason", "CODE", "why; required with rejected and not_provided"},
	[NOTE] = {"note", "TEXT", "in words; required with need_info and with the reason other"},
	[OUTCOME] = {"outcome", "CODE", "what came of it; required with completed"},
	[AT] = {"appointment", "TIME", "as 2025-03-01T14:00+03:00 or 2025-03-01T11:00Z; required with scheduled"},
	[PLACE] = {"place", "TEXT", "where the appointment is"},
	[FEEDBACK] = {"feedback", "TEXT", "what the child or caregiver was told; required with closed"},
	[ONWARD] = {"onward", "AGENCY", "the agency that is proposed; required with onward_proposed"},
	[AUTHOR] = {"author", "TEXT", "who says so: name of the caseworker"},
	[POSITION] = {"position", "TEXT", "the author's position"},
	[CLASS] = {"class", "CLASS", "urgent, normal or bulk (default normal)"},
	[MESSAGE_ID] = {"message-id", "ID", "repeat a send whose outcome is not known"},
	{NULL, NULL, NULL},
};

/* Where an event goes. */
struct target {
	char agency[KW_NAME_SIZE_MAX + 1];
	uint8_t thread[KW_ID_SIZE];
};

static bool take_target(const Kinward__V1__Item *item, struct target *target)
{
	size_t size = strlen(item->agency);
	if (size > KW_NAME_SIZE_MAX || item->thread_id.len != KW_ID_SIZE)
		return false;
	memcpy(target->agency, item->agency, size + 1);
	memcpy(target->thread, item->thread_id.data, KW_ID_SIZE);
	return true;
}

/* Looks for a message of this id. *found says whether there is one; the exit code is of other failures. */
static int find_message(struct cli_call *call, struct kinward *agent, uint8_t id[KW_ID_SIZE], struct target *target,
	bool *found)
{
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	show.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	enum kw_err err = kinward_ask(agent, &request, &reply);
	if (err != KW_OK)
		return cli_fail_agent(call, agent, err);
	int code = CLI_OK;
	const Kinward__V1__LocalError *refusal = kinward_refusal(reply);
	if (refusal && kw_err_from_name(refusal->code) != KW_ENOTFOUND)
		code = cli_fail_refused(call, refusal);
	else if (!refusal && reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_ITEM)
		*found = take_target(reply->item, target);
	kinward_reply_free(reply);
	return code;
}

/* Looks through all of one list for the thread. */
static int find_thread(struct cli_call *call, struct kinward *agent, bool in_outbox, struct target *target, bool *found)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	list.limit = 500;
	list.all = true;
	if (in_outbox) {
		request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_OUTBOX;
		request.outbox = &list;
	} else {
		request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
		request.inbox = &list;
	}
	do {
		Kinward__V1__LocalReply *reply = NULL;
		int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS, &reply);
		if (code != CLI_OK)
			return code;
		for (size_t i = 0; !*found && i < reply->items->n_items; i++) {
			const Kinward__V1__Item *item = reply->items->items[i];
			if (item->thread_id.len == KW_ID_SIZE && memcmp(item->thread_id.data, target->thread, KW_ID_SIZE) == 0)
				*found = take_target(item, target);
		}
		uint64_t next = reply->items->next_after;
		kinward_reply_free(reply);
		if (next <= list.after) /* the end, or an agent that would have us go round in circles */
			break;
		list.after = next;
	} while (!*found);
	return CLI_OK;
}

static int find_target(struct cli_call *call, struct kinward *agent, struct target *target)
{
	uint8_t id[KW_ID_SIZE];
	bool found = false;
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "MESSAGE|THREAD is an id of 32 hex digits, as kinward inbox prints them");
	int code = find_message(call, agent, id, target, &found);
	memcpy(target->thread, found ? target->thread : id, KW_ID_SIZE);
	for (int in_outbox = 0; code == CLI_OK && !found && in_outbox <= 1; in_outbox++)
		code = find_thread(call, agent, in_outbox, target, &found);
	if (code == CLI_OK && !found)
		return cli_fail_err(call, KW_ENOTFOUND, "no message and no thread of that id; kinward inbox --all lists them");
	return code;
}

bool cli_time_from(const char *text, int64_t *unix_ms)
{
	struct tm parts = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M", &parts);
	if (!rest)
		rest = strptime(text, "%Y-%m-%d %H:%M", &parts);
	if (!rest)
		return false;
	int64_t seconds = timegm(&parts);
	if (strcmp(rest, "Z") != 0) {
		uint64_t hours = 0, minutes = 0;
		char hour_text[3] = {0}, minute_text[3] = {0};
		if ((rest[0] != '+' && rest[0] != '-') || strlen(rest) != 6 || rest[3] != ':')
			return false;
		memcpy(hour_text, rest + 1, 2);
		memcpy(minute_text, rest + 4, 2);
		if (cli_number_from(hour_text, 0, 14, &hours) != KW_OK || cli_number_from(minute_text, 0, 59, &minutes) != KW_OK)
			return false;
		int64_t offset = (int64_t)(hours * 3600 + minutes * 60);
		seconds -= rest[0] == '+' ? offset : -offset;
	}
	*unix_ms = seconds * 1000;
	return seconds > 0;
}

struct parts {
	Kinward__V1__Appointment appointment;
	Kinward__V1__Staff author;
};

static int read_event(struct cli_call *call, Kinward__V1__ReferralEvent *event, struct parts *parts)
{
	int value = 0;
	int code = cli_code_option(call, &kinward__v1__referral_state__descriptor, "STATE", call->args[1], &value);
	event->state = (Kinward__V1__ReferralState)value;
	value = 0;
	if (code == CLI_OK && call->option[REASON])
		code = cli_code_option(call, &kinward__v1__referral_reason__descriptor, "--reason", call->option[REASON], &value);
	event->reason = (Kinward__V1__ReferralReason)value;
	value = 0;
	if (code == CLI_OK && call->option[OUTCOME])
		code = cli_code_option(call, &kinward__v1__referral_outcome__descriptor, "--outcome", call->option[OUTCOME], &value);
	event->outcome = (Kinward__V1__ReferralOutcome)value;
	if (code != CLI_OK)
		return code;
	if (call->option[PLACE] && !call->option[AT])
		return cli_fail_usage(call, "--place needs --appointment");
	if (call->option[POSITION] && !call->option[AUTHOR])
		return cli_fail_usage(call, "--position needs --author");
	if (call->option[AT]) {
		if (!cli_time_from(call->option[AT], &parts->appointment.at_unix_ms))
			return cli_fail_usage(call, "--appointment is a time with its zone: 2025-03-01T14:00+03:00 or ...Z");
		parts->appointment.place = cli_borrowed(call->option[PLACE]);
		event->appointment = &parts->appointment;
	}
	if (call->option[AUTHOR]) {
		parts->author.name = cli_borrowed(call->option[AUTHOR]);
		parts->author.position = cli_borrowed(call->option[POSITION]);
		event->author = &parts->author;
	}
	event->note = cli_borrowed(call->option[NOTE]);
	event->feedback_to_client = cli_borrowed(call->option[FEEDBACK]);
	event->onward_agency = cli_borrowed(call->option[ONWARD]);
	event->at_unix_ms = cli_now_ms();
	return CLI_OK;
}

int cli_run_event(struct cli_call *call)
{
	Kinward__V1__ReferralEvent event = KINWARD__V1__REFERRAL_EVENT__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	struct parts parts = {KINWARD__V1__APPOINTMENT__INIT, KINWARD__V1__STAFF__INIT};
	struct kinward agent = {.fd = -1};
	struct target target = {{0}, {0}};
	uint8_t id[KW_ID_SIZE];
	int code = read_event(call, &event, &parts);
	if (code == CLI_OK && !call->option[MESSAGE_ID])
		code = cli_random_id(call, id);
	else if (code == CLI_OK && cli_id_from(call->option[MESSAGE_ID], id) != KW_OK)
		code = cli_fail_usage(call, "--message-id is an id of 32 hex digits");
	if (code == CLI_OK)
		code = cli_class_option(call, call->option[CLASS], &send);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = find_target(call, &agent, &target);
	if (code == CLI_OK) {
		content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
		content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT;
		content.referral_event = &event;
		send.agency = target.agency;
		send.content = &content;
		send.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = target.thread};
		code = cli_send(call, &agent, &send);
	}
	kinward_close(&agent);
	return code;
}
