#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/cli/services.h"
#include "agent/cli/print_consent.h"
#include "agent/shell/codes.h"

/* kinward case list, show, timeline; kinward todo. A case is a thread with one other agency. */

enum { KIND, AGENCY, CASE_REF, ALL, AFTER, LIMIT };

const struct cli_option CLI_CASE_OPTIONS[] = {
	[KIND] = {"kind", "KIND", "list: referral, transfer, tracing, match or offer"},
	[AGENCY] = {"agency", "AGENCY", "list: only cases with this agency"},
	[CASE_REF] = {"case-ref", "TEXT", "list: only cases with this pseudonym"},
	[ALL] = {"all", NULL, "list: those that are over, too"},
	[AFTER] = {"after", "POSITION", "list: go on where the last list ended"},
	[LIMIT] = {"limit", "COUNT", "list: at most so many, 1 to 500 (default 100)"},
	{NULL, NULL, NULL},
};

enum { TODO_LIMIT };

const struct cli_option CLI_TODO_OPTIONS[] = {
	[TODO_LIMIT] = {"limit", "COUNT", "at most so many, 1 to 500 (default 100)"},
	{NULL, NULL, NULL},
};

/* A state as it is typed in kinward event: in small letters. */
static void print_state(FILE *out, const char *name)
{
	for (; *name; name++)
		(void)fputc(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name, out);
}

/* "2 d 4 h", "3 h 5 min", "40 min", "12 s": two units, because nobody plans a week by the minute. */
static void print_span(FILE *out, int64_t ms)
{
	int64_t seconds = ms / 1000;

	if (seconds >= 86400)
		(void)fprintf(out, "%" PRId64 " d %" PRId64 " h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 3600)
		(void)fprintf(out, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds % 3600 / 60);
	else if (seconds >= 60)
		(void)fprintf(out, "%" PRId64 " min", seconds / 60);
	else
		(void)fprintf(out, "%" PRId64 " s", seconds);
}

static void print_due(FILE *out, const Kinward__V1__CaseRow *row)
{
	if (row->due_unix_ms == 0)
		return;
	if (row->late_ms > 0) {
		(void)fputs("late ", out);
		print_span(out, row->late_ms);
	} else {
		(void)fputs("due ", out);
		cli_print_time(out, row->due_unix_ms);
	}
}

/* What a person has to do about it. */
static const char *need_text(const Kinward__V1__CaseRow *row)
{
	switch (row->need) {
	case KINWARD__V1__CASE_NEED__CASE_NEED_UNDELIVERED:
		return "  NEVER ARRIVED: telephone or send it elsewhere, then cancel_requested\n";
	case KINWARD__V1__CASE_NEED__CASE_NEED_EXPIRED:
		return "  EXPIRED, nobody acknowledged it: telephone or send it elsewhere, then cancel_requested\n";
	default:
		return row->waits_for_us ? "  our move, TELEPHONE\n" : "  TELEPHONE: they are far too late\n";
	}
}

static void print_dead(FILE *out, const Kinward__V1__Item *item)
{
	(void)fputs("DEAD LETTER  ", out);
	cli_print_hex(out, &item->message_id);
	(void)fputs("  to ", out);
	cli_print_text(out, item->agency);
	(void)fputs("  ", out);
	cli_print_text(out, item->reason);
	(void)fputs("  thread ", out);
	cli_print_hex(out, &item->thread_id);
	(void)fputs("  see to it, then kinward ack\n", out);
}

/* One line: thread, kind, state, risk, agency, when it is due, pseudonym, whose move it is. */
static void print_row(FILE *out, const Kinward__V1__CaseRow *row)
{
	cli_print_hex(out, &row->thread_id);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__thread_kind__descriptor, (int)row->kind);
	(void)fputs("  ", out);
	print_state(out, row->state_name);
	(void)fputs("  ", out);
	if (row->risk != KINWARD__V1__RISK__RISK_UNSPECIFIED)
		cli_print_code(out, &kinward__v1__risk__descriptor, (int)row->risk);
	else
		(void)fputc('-', out);
	(void)fputs("  ", out);
	cli_print_text(out, row->agency);
	if (row->due_unix_ms != 0)
		(void)fputs("  ", out);
	print_due(out, row);
	if (row->case_ref[0]) {
		(void)fputs("  ", out);
		cli_print_text(out, row->case_ref);
	}
	if (row->unclaimed)
		(void)fputs("  UNCLAIMED: to coordinate", out);
	if (row->consent_lapsed)
		(void)fputs("  CONSENT HAS ENDED: ask again", out);
	if (row->need != KINWARD__V1__CASE_NEED__CASE_NEED_UNSPECIFIED)
		(void)fputs(need_text(row), out);
	else
		(void)fputs(row->waits_for_us ? "  our move\n" : row->open ? "\n" : "  over\n", out);
}

static void print_name(FILE *out, const char *name)
{
	(void)fprintf(out, "%-10s ", name);
}

static void print_case(FILE *out, const Kinward__V1__CaseRow *row)
{
	print_name(out, "thread");
	cli_print_hex(out, &row->thread_id);
	(void)fputc('\n', out);
	print_name(out, "kind");
	cli_print_code(out, &kinward__v1__thread_kind__descriptor, (int)row->kind);
	(void)fputc('\n', out);
	print_name(out, "state");
	print_state(out, row->state_name);
	(void)fputs(" since ", out);
	cli_print_time(out, row->since_unix_ms);
	(void)fputc('\n', out);
	print_name(out, "next");
	if (row->need != KINWARD__V1__CASE_NEED__CASE_NEED_UNSPECIFIED)
		(void)fputs(need_text(row) + 2, out); /* it ends its line */
	else
		(void)fputs(row->waits_for_us ? "our move" : row->open ? "the other side's move" : "nothing: it is over", out);
	if (row->need == KINWARD__V1__CASE_NEED__CASE_NEED_UNSPECIFIED)
		(void)fputc('\n', out);
	if (row->due_unix_ms != 0) {
		print_name(out, "clock");
		cli_print_code(out, &kinward__v1__thread_clock__descriptor, (int)row->clock);
		(void)fputs(", ", out);
		print_due(out, row);
		(void)fputc('\n', out);
	}
	if (row->consent_until_unix_ms != 0) {
		print_name(out, "consent");
		(void)fputs(row->consent_lapsed ? "HAS ENDED, ask again: " : "until ", out);
		cli_print_time(out, row->consent_until_unix_ms);
		(void)fputc('\n', out);
	}
	if (row->reminded)
		(void)fprintf(out, "%-10s at %" PRIu32 " %% of the time\n", "reminded", row->reminded);
	print_name(out, "agency");
	cli_print_text(out, row->agency);
	(void)fputs(row->party == KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER ? " (we are the opener)\n" :
		" (they are the opener)\n", out);
	if (row->risk != KINWARD__V1__RISK__RISK_UNSPECIFIED) {
		print_name(out, "risk");
		cli_print_code(out, &kinward__v1__risk__descriptor, (int)row->risk);
		(void)fputc('\n', out);
	}
	if (row->case_ref[0]) {
		print_name(out, "case ref");
		cli_print_text(out, row->case_ref);
		(void)fputc('\n', out);
	}
	if (row->service != KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_UNSPECIFIED) {
		print_name(out, "service");
		cli_print_code(out, &kinward__v1__service_type__descriptor, (int)row->service);
		(void)fputc('\n', out);
	}
	if (row->kind == KINWARD__V1__THREAD_KIND__THREAD_KIND_TRANSFER)
		(void)fprintf(out, "%-10s %s\n", "owner", row->owner ? "we" : "the other agency");
}

/* Consent that was withdrawn in the case, by whom it was asked and what it means here. */
static void print_withdrawn(FILE *out, const Kinward__V1__ConsentRow *row)
{
	if (!row)
		return;
	print_name(out, "consent");
	if (row->limited) {
		(void)fputs("withdrawn for ", out);
		cli_print_purposes(out, row);
		(void)fputs(": it goes on, not to be used for that", out);
	} else {
		(void)fputs("withdrawn: to ", out);
		cli_print_code(out, &kinward__v1__erasure_action__descriptor, (int)row->action);
	}
	(void)fputs(row->asked_us ? ", they asked, " : ", we asked, ", out);
	cli_print_time(out, row->asked_unix_ms);
	(void)fputc('\n', out);
}

static void print_event(FILE *out, size_t number, const Kinward__V1__CaseRow *row, const Kinward__V1__CaseEvent *event)
{
	(void)fprintf(out, "%zu  ", number);
	cli_print_time(out, event->at_unix_ms);
	(void)fputs("  ", out);
	if (event->author == KINWARD__V1__THREAD_PARTY__THREAD_PARTY_HUB)
		(void)fputs("hub", out);
	else if (event->author == row->party)
		(void)fputs("we", out);
	else
		cli_print_text(out, row->agency);
	(void)fputs("  ", out);
	print_state(out, event->state_name);
	if (event->out_state != KINWARD__V1__OUT_STATE__OUT_STATE_UNSPECIFIED) {
		(void)fputs("  ", out);
		cli_print_code(out, &kinward__v1__out_state__descriptor, (int)event->out_state);
	}
	if (event->message_id.len) {
		(void)fputs("  ", out);
		cli_print_hex(out, &event->message_id);
	}
	switch (event->verdict) {
	case KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REPEATED:
		(void)fputs("  (repeat)", out);
		break;
	case KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_EARLY:
		(void)fputs("  (waits)", out);
		break;
	case KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REFUSED:
		(void)fputs("  (refused)", out);
		break;
	default:
		break;
	}
	(void)fputc('\n', out);
}

static int read_filter(struct cli_call *call, Kinward__V1__CaseListRequest *list, uint8_t after[KW_ID_SIZE])
{
	uint64_t limit = 0;
	int kind = 0;
	if (call->option[KIND]) {
		int code = cli_code_option(call, &kinward__v1__thread_kind__descriptor, "--kind", call->option[KIND], &kind);
		if (code != CLI_OK)
			return code;
	}
	list->kind = (Kinward__V1__ThreadKind)kind;
	if (call->option[LIMIT] && cli_number_from(call->option[LIMIT], 1, 500, &limit) != KW_OK)
		return cli_fail_usage(call, "--limit is 1 to 500");
	list->limit = (uint32_t)limit;
	list->all = call->option[ALL] != NULL;
	if (call->option[AFTER]) {
		if (cli_id_from(call->option[AFTER], after) != KW_OK)
			return cli_fail_usage(call, "--after takes the position that the last list printed");
		list->after = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = after};
	}
	if (call->option[AGENCY])
		list->agency = (char *)(uintptr_t)call->option[AGENCY]; /* borrowed; protobuf-c changes nothing */
	if (call->option[CASE_REF])
		list->case_ref = (char *)(uintptr_t)call->option[CASE_REF];
	return CLI_OK;
}

/* Asks for a list of cases and prints it. */
static int ask_list(struct cli_call *call, Kinward__V1__LocalRequest *request, const char *nothing)
{
	struct kinward agent = {.fd = -1};
	Kinward__V1__LocalReply *reply = NULL;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, request, KINWARD__V1__LOCAL_REPLY__BODY_CASES, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->cases->base);
	} else if (code == CLI_OK) {
		for (size_t i = 0; i < reply->cases->n_clears; i++)
			cli_print_clear(call->out, reply->cases->clears[i]);
		for (size_t i = 0; i < reply->cases->n_dead; i++)
			print_dead(call->out, reply->cases->dead[i]);
		for (size_t i = 0; i < reply->cases->n_unclaimed; i++)
			cli_print_offer(call->out, reply->cases->unclaimed[i]);
		for (size_t i = 0; i < reply->cases->n_cases; i++)
			print_row(call->out, reply->cases->cases[i]);
		for (size_t i = 0; i < reply->cases->n_consents; i++)
			cli_print_consent(call->out, reply->cases->consents[i]);
		if (reply->cases->next_after.len) {
			(void)fputs("There are more: add --after ", call->err);
			cli_print_hex(call->err, &reply->cases->next_after);
			(void)fputc('\n', call->err);
		} else if (reply->cases->n_cases + reply->cases->n_consents + reply->cases->n_unclaimed + reply->cases->n_dead + reply->cases->n_clears == 0) {
			(void)fputs(nothing, call->err);
		}
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

static int run_list(struct cli_call *call)
{
	Kinward__V1__CaseListRequest list = KINWARD__V1__CASE_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint8_t after[KW_ID_SIZE];
	if (call->arg_count != 1)
		return cli_fail_usage(call, "kinward case list takes no id");
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASES;
	request.cases = &list;
	int code = read_filter(call, &list, after);
	return code == CLI_OK ? ask_list(call, &request, "No case; --all shows those that are over.\n") : code;
}

/* The thread of a message, when the id is one of a message; the id itself otherwise. */
static int find_thread(struct cli_call *call, struct kinward *agent, uint8_t id[KW_ID_SIZE])
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
	if (reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_ITEM && reply->item->thread_id.len == KW_ID_SIZE)
		memcpy(id, reply->item->thread_id.data, KW_ID_SIZE);
	kinward_reply_free(reply);
	return CLI_OK;
}

static int run_show(struct cli_call *call, bool timeline_only)
{
	Kinward__V1__CaseShowRequest show = KINWARD__V1__CASE_SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint8_t id[KW_ID_SIZE];
	if (call->arg_count != 2)
		return cli_fail_usage(call, "name the case: kinward case %s THREAD", call->args[0]);
	if (cli_id_from(call->args[1], id) != KW_OK)
		return cli_fail_usage(call, "THREAD is an id of 32 hex digits, as kinward case list prints them; a message of it does too");
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = find_thread(call, &agent, id);
	show.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW;
	request.case_show = &show;
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL, &reply);
	if (code == CLI_OK && (!reply->case_detail->row || reply->case_detail->n_events > 100000))
		code = cli_fail_err(call, KW_EFORMAT, NULL);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->case_detail->base);
	} else if (code == CLI_OK) {
		if (!timeline_only)
			print_case(call->out, reply->case_detail->row);
		if (!timeline_only)
			print_withdrawn(call->out, reply->case_detail->consent);
		for (size_t i = 0; i < reply->case_detail->n_events; i++)
			print_event(call->out, i + 1, reply->case_detail->row, reply->case_detail->events[i]);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_case(struct cli_call *call)
{
	bool has_filter = false;
	for (size_t i = 0; CLI_CASE_OPTIONS[i].name; i++)
		has_filter = has_filter || call->option[i];
	if (strcmp(call->args[0], "list") == 0)
		return run_list(call);
	bool show = strcmp(call->args[0], "show") == 0;
	if (!show && strcmp(call->args[0], "timeline") != 0)
		return cli_fail_usage(call, "kinward case list, kinward case show THREAD, or kinward case timeline THREAD");
	if (has_filter)
		return cli_fail_usage(call, "only kinward case list takes a filter");
	return run_show(call, !show);
}

int cli_run_todo(struct cli_call *call)
{
	Kinward__V1__TodoRequest todo = KINWARD__V1__TODO_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint64_t limit = 0;
	if (call->option[TODO_LIMIT] && cli_number_from(call->option[TODO_LIMIT], 1, 500, &limit) != KW_OK)
		return cli_fail_usage(call, "--limit is 1 to 500");
	todo.limit = (uint32_t)limit;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_TODO;
	request.todo = &todo;
	return ask_list(call, &request, "Nothing waits for us.\n");
}
