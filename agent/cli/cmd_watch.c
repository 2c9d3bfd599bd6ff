#include "agent/cli/commands.h"

/* kinward watch: prints each item as it comes, those not acknowledged first. What was printed is not acknowledged by
 * that: the reader does it (kinward ack), so an item is lost to no crash in between. */

enum { AFTER, COUNT };

const struct cli_option CLI_WATCH_OPTIONS[] = {
	[AFTER] = {"after", "NUMBER", "only items after this number of the inbox"},
	[COUNT] = {"count", "COUNT", "stop after so many items"},
	{NULL, NULL, NULL},
};

static int print_reply(struct cli_call *call, const Kinward__V1__LocalReply *reply)
{
	const Kinward__V1__LocalError *refusal = kinward_refusal(reply);
	if (refusal)
		return cli_fail_refused(call, refusal);
	int code = CLI_OK;
	if (reply->body_case != KINWARD__V1__LOCAL_REPLY__BODY_ITEM)
		return CLI_OK;
	if (call->json)
		code = cli_print_message_json(call, &reply->item->base);
	else
		cli_print_item_line(call->out, reply->item);
	if (fflush(call->out) != 0) /* the reader of the pipe is gone */
		return CLI_RETRY;
	return code;
}

int cli_run_watch(struct cli_call *call)
{
	uint64_t after = 0, count = UINT64_MAX;
	struct kinward agent = {.fd = -1};
	if (call->option[AFTER] && cli_number_from(call->option[AFTER], 0, INT64_MAX, &after) != KW_OK)
		return cli_fail_usage(call, "--after is a number of the inbox");
	if (call->option[COUNT] && cli_number_from(call->option[COUNT], 1, INT64_MAX, &count) != KW_OK)
		return cli_fail_usage(call, "--count is at least 1");
	int code = cli_connect(call, &agent);
	if (code == CLI_OK) {
		enum kw_err err = kinward_subscribe(&agent, after);
		if (err != KW_OK)
			code = cli_fail_agent(call, &agent, err);
	}
	while (code == CLI_OK && count > 0) {
		Kinward__V1__LocalReply *reply = NULL;
		enum kw_err err = kinward_next(&agent, -1, &reply);
		code = err == KW_OK ? print_reply(call, reply) : cli_fail_agent(call, &agent, err);
		if (err == KW_OK && reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_ITEM)
			count--;
		kinward_reply_free(reply);
	}
	kinward_close(&agent);
	return code;
}
