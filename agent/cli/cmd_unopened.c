#include <inttypes.h>

#include "agent/cli/commands.h"

/* kinward unopened. */

enum { AFTER, LIMIT };

const struct cli_option CLI_UNOPENED_OPTIONS[] = {
	[AFTER] = {"after", "NUMBER", "only those after this number"},
	[LIMIT] = {"limit", "COUNT", "at most so many, 1 to 500 (default 100)"},
	{NULL, NULL, NULL},
};

static void print_one(FILE *out, const Kinward__V1__UnopenedItem *item)
{
	(void)fprintf(out, "%" PRIu64 "  ", item->number);
	if (item->at_unix_ms != 0)
		cli_print_time(out, item->at_unix_ms);
	else
		(void)fputc('-', out);
	(void)fputs("  ", out);
	cli_print_text(out, item->reason[0] ? item->reason : "-");
	(void)fputs("  ", out);
	cli_print_text(out, item->error[0] ? item->error : "-");
	(void)fprintf(out, "  %u bytes  ", item->size);
	if (item->envelope_id.len > 0)
		cli_print_hex(out, &item->envelope_id);
	else
		(void)fputs("no id", out);
	(void)fputc('\n', out);
}

static void print_list(struct cli_call *call, const Kinward__V1__UnopenedList *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		print_one(call->out, list->items[i]);
	if (list->next_after)
		(void)fprintf(call->err, "There are more: add --after %" PRIu64 "\n", list->next_after);
	else if (list->n_items == 0)
		(void)fputs("Nothing here.\n", call->err);
}

int cli_run_unopened(struct cli_call *call)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint64_t limit = 0;
	if (call->option[AFTER] && cli_number_from(call->option[AFTER], 0, INT64_MAX, &list.after) != KW_OK)
		return cli_fail_usage(call, "--after is a number of the list");
	if (call->option[LIMIT] && cli_number_from(call->option[LIMIT], 1, 500, &limit) != KW_OK)
		return cli_fail_usage(call, "--limit is 1 to 500");
	list.limit = (uint32_t)limit;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_UNOPENED;
	request.unopened = &list;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_UNOPENED, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->unopened->base);
	else if (code == CLI_OK)
		print_list(call, reply->unopened);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}
