#include <string.h>

#include "agent/cli/commands.h"

/* What the commands share that speak in a thread of a kind. */

int cli_find_place(struct cli_call *call, struct kinward *agent, Kinward__V1__ThreadKind kind, struct cli_place *place)
{
	Kinward__V1__CaseShowRequest show = KINWARD__V1__CASE_SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	if (cli_id_from(call->args[0], place->thread) != KW_OK)
		return cli_fail_usage(call, "THREAD is an id of 32 hex digits, as kinward case list prints them");
	show.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = place->thread};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW;
	request.case_show = &show;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL, &reply);
	if (code != CLI_OK)
		return code;
	const Kinward__V1__CaseRow *row = reply->case_detail->row;
	if (!row || strlen(row->agency) > KW_NAME_SIZE_MAX) {
		code = cli_fail_err(call, KW_EFORMAT, NULL);
	} else if (row->kind != kind) {
		code = cli_fail_usage(call, "this thread is of another kind: kinward event speaks in referrals, kinward transfer in "
			"transfers, kinward tracing in the search for a family, kinward match of two records; kinward case show says which it is");
	} else {
		memcpy(place->agency, row->agency, strlen(row->agency) + 1);
		place->party = row->party;
		place->state = row->state;
	}
	kinward_reply_free(reply);
	return code;
}

int cli_send_in_thread(struct cli_call *call, struct kinward *agent, const char *agency, const uint8_t *thread,
	Kinward__V1__Content *content)
{
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	uint8_t id[KW_ID_SIZE];
	int code = cli_random_id(call, id);
	if (code != CLI_OK)
		return code;
	content->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	send.agency = (char *)(uintptr_t)agency; /* protobuf-c has no const, and changes nothing */
	send.content = content;
	if (thread)
		send.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)thread};
	return cli_send(call, agent, &send);
}
