#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/shell/agent_phones.h"
#include "agent/shell/agent_prekeys.h"

/* What the caller of a send should know although the message is on its way: the agency is dormant, so it may be long until
 * anybody reads it, and who else offers the same. */

#define TEXT_SIZE 400u

static void sentence(const struct kw_name *agency, uint32_t through_day, bool alternates, char *out)
{
	time_t last = (time_t)through_day * 86400 - (time_t)KW_PREKEY_AHEAD_DAYS * 86400;
	struct tm day = {.tm_year = 70};

	(void)gmtime_r(&last, &day);
	(void)snprintf(out, TEXT_SIZE, "%s is dormant: its agent was last at the hub about %04d-%02d-%02d. The message waits for it, "
		"sealed to its long-term key; telephone the agency%s.", agency->text, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday,
		alternates ? ", or ask one of those that offer the same there" : "");
}

static void reply_dormant(struct agent *agent, const struct agent_sending *sending, uint32_t through_day, uint32_t service)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__SendReply body = KINWARD__V1__SEND_REPLY__INIT;
	Kinward__V1__Alternate bodies[AGENT_ALTERNATES_MAX];
	Kinward__V1__Alternate *list[AGENT_ALTERNATES_MAX];
	char *phones[AGENT_ALTERNATES_MAX][AGENT_ALTERNATE_PHONES_MAX];
	struct agent_alternates alternates = {.count = 0};
	struct socket_sent sent = sending->sent;
	char text[TEXT_SIZE];

	agent_alternates_of(agent, &sending->agency, service, &alternates);
	for (size_t i = 0; i < alternates.count; i++) {
		kinward__v1__alternate__init(&bodies[i]);
		bodies[i].agency = alternates.list[i].agency.text;
		for (size_t k = 0; k < alternates.list[i].count; k++)
			phones[i][k] = alternates.list[i].texts[k];
		bodies[i].phones = phones[i];
		bodies[i].n_phones = alternates.list[i].count;
		list[i] = &bodies[i];
	}
	sentence(&sending->agency, through_day, alternates.count > 0, text);
	body.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = sent.message_id.bytes};
	body.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = sent.thread_id.bytes};
	body.envelope_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = sent.envelope_id.bytes};
	body.warning = (char *)(uintptr_t)"dormant";
	body.warning_text = text;
	body.alternates = list;
	body.n_alternates = alternates.count;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_SENT;
	reply.sent = &body;
	socket_call_reply(sending->call, &reply);
}

void agent_warn_sent(struct agent *agent, const struct spool_op *op, const struct agent_sending *sending)
{
	uint32_t through_day = agent_prekeys_dormant(agent, &sending->agency);

	if (through_day == 0)
		socket_call_sent(sending->call, &sending->sent);
	else
		reply_dormant(agent, sending, through_day, op->u.append.act.service);
}
