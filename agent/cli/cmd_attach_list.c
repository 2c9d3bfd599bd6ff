#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/attach_ref.h"
#include "proto/wire/crypt.h"

/* kinward attachments, and how far the attachments of one message are. */

static void print_attachment(FILE *out, const Kinward__V1__AttachmentItem *item)
{
	cli_print_hex(out, &item->digest);
	(void)fputs("  ", out);
	cli_print_text(out, item->state <= KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_HERE && item->giver[0] ? item->giver
															: item->agency);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__attachment_state__descriptor, (int)item->state);
	(void)fprintf(out, "  %" PRIu32 " of %" PRIu32 " bytes", item->moved, item->size);
	if (item->problem[0]) {
		(void)fputs("  ", out);
		cli_print_text(out, item->problem);
	}
	if (item->state == KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_EXPIRED) {
		(void)fputs("  never arrived there: send it again, then kinward attachment remove\n", out);
		return;
	}
	(void)fputs("  until ", out);
	cli_print_time(out, (int64_t)item->expiry_hour * 3600000);
	(void)fputs(item->state == KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_HERE && !item->named ?
			    "  no message names it\n" : "\n", out);
}

int cli_run_attachments(struct cli_call *call)
{
	Kinward__V1__AttachmentListRequest list = KINWARD__V1__ATTACHMENT_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	uint32_t next = 0;
	list.limit = 500;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENTS;
	request.attachments = &list;
	int code = cli_connect(call, &agent);
	do {
		Kinward__V1__LocalReply *reply = NULL;
		if (code == CLI_OK)
			code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ATTACHMENTS, &reply);
		if (code != CLI_OK)
			break;
		for (size_t i = 0; code == CLI_OK && i < reply->attachments->n_items; i++) {
			if (call->json)
				code = cli_print_message_json(call, &reply->attachments->items[i]->base);
			else
				print_attachment(call->out, reply->attachments->items[i]);
		}
		next = reply->attachments->next_after > list.after ? reply->attachments->next_after : 0;
		list.after = next;
		kinward_reply_free(reply);
	} while (next != 0);
	kinward_close(&agent);
	return code;
}

/* --- of one message */

struct naming {
	struct cli_call *call;
	struct kinward *agent;
	int code;
};

/* 0 and whether it is here, in *found; an exit code after printing. */
static int print_known(struct cli_call *call, struct kinward *agent, const ProtobufCBinaryData *digest, bool *found)
{
	Kinward__V1__AttachmentListRequest list = KINWARD__V1__ATTACHMENT_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint32_t next = 0;
	list.limit = 500;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENTS;
	request.attachments = &list;
	*found = false;
	do {
		Kinward__V1__LocalReply *reply = NULL;
		int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ATTACHMENTS, &reply);
		if (code != CLI_OK)
			return code;
		for (size_t i = 0; !*found && i < reply->attachments->n_items; i++) {
			const Kinward__V1__AttachmentItem *item = reply->attachments->items[i];
			*found = item->digest.len == digest->len && memcmp(item->digest.data, digest->data, digest->len) == 0;
			if (*found)
				print_attachment(call->out, item);
		}
		next = reply->attachments->next_after > list.after ? reply->attachments->next_after : 0;
		list.after = next;
		kinward_reply_free(reply);
	} while (!*found && next != 0);
	return CLI_OK;
}

static bool print_named(void *user, const Kinward__V1__AttachmentRef *ref)
{
	struct naming *naming = user;
	bool found;
	naming->code = print_known(naming->call, naming->agent, &ref->digest, &found);
	if (naming->code != CLI_OK || found)
		return naming->code == CLI_OK;
	cli_print_hex(naming->call->out, &ref->digest);
	if (ref->expiry_hour != 0 && (int64_t)ref->expiry_hour * 3600000 <= cli_now_ms())
		(void)fputs("  is not here and is not carried any more: expired, ask the sender\n", naming->call->out);
	else
		(void)fputs("  is not here: not arrived yet, or removed\n", naming->call->out);
	return true;
}

int cli_print_attachments(struct cli_call *call, struct kinward *agent, const ProtobufCMessage *content)
{
	struct naming naming = {.call = call, .agent = agent, .code = CLI_OK};
	(void)attach_ref_each(content, print_named, &naming); /* the code says it */
	return naming.code;
}
