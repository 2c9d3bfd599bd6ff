#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"

/* kinward inbox, outbox, dead-letters, show, ack. */

enum { AFTER, LIMIT, ALL };

const struct cli_option CLI_LIST_OPTIONS[] = {
	[AFTER] = {"after", "NUMBER", "only items after this number"},
	[LIMIT] = {"limit", "COUNT", "at most so many, 1 to 500 (default 100)"},
	[ALL] = {"all", NULL, "the acknowledged ones too"},
	{NULL, NULL, NULL},
};

/* The catalogue's own name for a message, such as "transfer_offer"; "-" for none and for one of a newer agent. */
static void print_body_name(FILE *out, const Kinward__V1__Content *content)
{
	const ProtobufCFieldDescriptor *field = content ? protobuf_c_message_descriptor_get_field(
		&kinward__v1__content__descriptor, (unsigned)content->body_case) : NULL;
	(void)fputs(field ? field->name : "-", out);
}

/* What a content is, in a word or three. */
static void print_kind(FILE *out, const Kinward__V1__Content *content)
{
	switch (content ? content->body_case : KINWARD__V1__CONTENT__BODY__NOT_SET) {
	case KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST:
		(void)fputs("referral ", out);
		cli_print_code(out, &kinward__v1__risk__descriptor, (int)content->referral_request->risk);
		break;
	case KINWARD__V1__CONTENT__BODY_URGENT_ACTION:
		(void)fputs("urgent action ", out);
		cli_print_code(out, &kinward__v1__urgent_category__descriptor, (int)content->urgent_action->category);
		break;
	case KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT:
		(void)fputs("event ", out);
		cli_print_code(out, &kinward__v1__referral_state__descriptor, (int)content->referral_event->state);
		break;
	case KINWARD__V1__CONTENT__BODY_REMINDER:
		(void)fprintf(out, "reminder %u %% ", content->reminder->step);
		cli_print_code(out, &kinward__v1__thread_clock__descriptor, (int)content->reminder->clock);
		break;
	default:
		print_body_name(out, content);
		break;
	}
}

void cli_print_item_line(FILE *out, const Kinward__V1__Item *item)
{
	(void)fprintf(out, "%" PRIu64 "  ", item->number);
	cli_print_time(out, item->at_unix_ms);
	(void)fputs("  ", out);
	cli_print_text(out, item->agency);
	(void)fputs("  ", out);
	if (item->content) {
		print_kind(out, item->content);
		(void)fputs("  ", out);
	}
	if (item->withdrawn)
		(void)fputs("(consent withdrawn: see kinward todo)  ", out);
	if (item->state != KINWARD__V1__OUT_STATE__OUT_STATE_UNSPECIFIED) {
		cli_print_code(out, &kinward__v1__out_state__descriptor, (int)item->state);
		(void)fputs("  ", out);
	}
	if (item->reason[0]) {
		cli_print_text(out, item->reason);
		(void)fputs("  ", out);
	}
	cli_print_hex(out, &item->message_id);
	(void)fputs(item->acked ? "  acknowledged\n" : "\n", out);
}

static void print_row_hex(FILE *out, const char *name, const ProtobufCBinaryData *bytes)
{
	(void)fprintf(out, "%-10s ", name);
	cli_print_hex(out, bytes);
	(void)fputc('\n', out);
}

static void print_row_time(FILE *out, const char *name, int64_t unix_ms)
{
	if (unix_ms == 0)
		return;
	(void)fprintf(out, "%-10s ", name);
	cli_print_time(out, unix_ms);
	(void)fputc('\n', out);
}

/* Which of these times the recipient has signed. */
static void print_signed(FILE *out, const Kinward__V1__Item *item)
{
	if (item->delivered_unix_ms == 0 && item->n_signed_receipts == 0)
		return;
	(void)fprintf(out, "%-10s ", "signed");
	for (size_t i = 0; i < item->n_signed_receipts; i++) {
		cli_print_code(out, &kinward__v1__receipt_level__descriptor, (int)item->signed_receipts[i]);
		(void)fputs(i + 1 < item->n_signed_receipts ? ", " : "  (kinward proof show)\n", out);
	}
	if (item->n_signed_receipts == 0)
		(void)fputs("none: these times are the other agent's word, and no proof\n", out);
}

void cli_print_item(FILE *out, const Kinward__V1__Item *item)
{
	cli_print_item_line(out, item);
	print_row_hex(out, "thread", &item->thread_id);
	(void)fprintf(out, "%-10s %" PRIu64 "\n", "sequence", item->thread_sequence);
	if (item->envelope_id.len)
		print_row_hex(out, "envelope", &item->envelope_id);
	print_row_time(out, "held", item->held_unix_ms);
	print_row_time(out, "delivered", item->delivered_unix_ms);
	print_row_time(out, "opened", item->opened_unix_ms);
	print_row_time(out, "decided", item->decided_unix_ms);
	print_signed(out, item);
	if (item->content) {
		(void)fputs("content\n", out);
		cli_print_tree(out, &item->content->base);
	}
}

static int read_list_options(struct cli_call *call, Kinward__V1__ListRequest *list)
{
	uint64_t limit = 0;
	if (call->option[AFTER] && cli_number_from(call->option[AFTER], 0, INT64_MAX, &list->after) != KW_OK)
		return cli_fail_usage(call, "--after is a number of the list");
	if (call->option[LIMIT] && cli_number_from(call->option[LIMIT], 1, 500, &limit) != KW_OK)
		return cli_fail_usage(call, "--limit is 1 to 500");
	list->limit = (uint32_t)limit;
	list->all = call->option[ALL] != NULL;
	return CLI_OK;
}

static void print_list(struct cli_call *call, const Kinward__V1__ItemList *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		cli_print_item_line(call->out, list->items[i]);
	if (list->next_after)
		(void)fprintf(call->err, "There are more: add --after %" PRIu64 "\n", list->next_after);
	else if (list->n_items == 0)
		(void)fputs("Nothing here.\n", call->err);
}

static int run_list(struct cli_call *call, Kinward__V1__LocalRequest *request, Kinward__V1__ListRequest *list)
{
	struct kinward agent = {.fd = -1};
	Kinward__V1__LocalReply *reply = NULL;
	int code = read_list_options(call, list);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, request, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->items->base);
	else if (code == CLI_OK)
		print_list(call, reply->items);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_inbox(struct cli_call *call)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
	request.inbox = &list;
	return run_list(call, &request, &list);
}

int cli_run_outbox(struct cli_call *call)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_OUTBOX;
	request.outbox = &list;
	return run_list(call, &request, &list);
}

int cli_run_dead_letters(struct cli_call *call)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_DEAD_LETTERS;
	request.dead_letters = &list;
	return run_list(call, &request, &list);
}

int cli_run_show(struct cli_call *call)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "MESSAGE is an id of 32 hex digits, as kinward inbox prints them");
	show.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEM, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->item->base);
	else if (code == CLI_OK)
		cli_print_item(call->out, reply->item);
	if (code == CLI_OK && !call->json && reply->item->content &&
		reply->item->state == KINWARD__V1__OUT_STATE__OUT_STATE_UNSPECIFIED)
		code = cli_print_attachments(call, &agent, &reply->item->content->base);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

/* Which of the ids the agent has. */
struct known {
	size_t count;
	const char *unknown; /* the first that it has not, as it was given */
};

/* Moves the ids of messages that the agent has to the front. It acknowledges what it knows and says nothing of the rest,
 * and a mistyped id must not look like one that is done. */
static int sort_known(struct cli_call *call, struct kinward *agent, ProtobufCBinaryData *views, struct known *known)
{
	for (int i = 0; i < call->arg_count; i++) {
		Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
		Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
		Kinward__V1__LocalReply *reply = NULL;
		show.message_id = views[i];
		request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
		request.show = &show;
		enum kw_err err = kinward_ask(agent, &request, &reply);
		if (err != KW_OK)
			return cli_fail_agent(call, agent, err);
		const Kinward__V1__LocalError *refusal = kinward_refusal(reply);
		if (!refusal || kw_err_from_name(refusal->code) != KW_ENOTFOUND)
			views[known->count++] = views[i];
		else if (!known->unknown)
			known->unknown = call->args[i];
		kinward_reply_free(reply);
	}
	return CLI_OK;
}

static int print_acked(struct cli_call *call, const Kinward__V1__AckReply *acked, const struct known *known)
{
	if (call->json)
		return cli_print_message_json(call, &acked->base);
	(void)fprintf(call->out, "%u acknowledged", acked->count);
	if (acked->count < known->count)
		(void)fprintf(call->out, "; %zu were on no list: acknowledged before, or sent and not dead",
			known->count - acked->count);
	(void)fputc('\n', call->out);
	return CLI_OK;
}

static int fail_unknown(struct cli_call *call, const struct known *known)
{
	char text[200];
	size_t more = (size_t)call->arg_count - known->count - 1;
	(void)snprintf(text, sizeof(text), "the agent has no message %.80s", known->unknown);
	if (more > 0)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ", nor %zu more of these", more); /* fits */
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "; kinward inbox --all lists what it has"); /* fits */
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(KW_ENOTFOUND), .field = "MESSAGE", .text = text,
		.exit = CLI_NOT_FOUND});
}

int cli_run_ack(struct cli_call *call)
{
	static uint8_t ids[CLI_ACK_MAX][KW_ID_SIZE];
	static ProtobufCBinaryData views[CLI_ACK_MAX];
	Kinward__V1__AckRequest ack = KINWARD__V1__ACK_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	struct known known = {.count = 0};
	for (int i = 0; i < call->arg_count; i++) {
		if (cli_id_from(call->args[i], ids[i]) != KW_OK)
			return cli_fail_usage(call, "MESSAGE is an id of 32 hex digits, as kinward inbox prints them");
		views[i] = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = ids[i]};
	}
	ack.message_ids = views;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ACK;
	request.ack = &ack;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = sort_known(call, &agent, views, &known);
	ack.n_message_ids = known.count;
	if (code == CLI_OK && known.count > 0)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ACKED, &reply);
	if (code == CLI_OK && reply)
		code = print_acked(call, reply->acked, &known);
	if (code == CLI_OK && known.count < (size_t)call->arg_count)
		code = fail_unknown(call, &known);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}
