#include <time.h>

#include "agent/cli/commands.h"

/* kinward tracing event: a TracingEvent into a thread of tracing. */

enum { LOCATED, REASON, ACTION, OUTCOME, NOTE, AUTHOR };

const struct cli_option CLI_TRACING_EVENT_OPTIONS[] = {
	[LOCATED] = {"located", "CODE", "where: in_country, inter_camp or cross_border; required with family_located"},
	[REASON] = {"reason", "CODE", "why; required with suspended, invalid, closed and reopened"},
	[ACTION] = {"action", "CODE", "a step of the search: case_by_case, mass, photo, community, ..."},
	[OUTCOME] = {"outcome", "CODE", "what came of that step; required with --action"},
	[NOTE] = {"note", "TEXT", "in words; required with the reason or action other"},
	[AUTHOR] = {"author", "TEXT", "who says so: name of the caseworker"},
	{NULL, NULL, NULL},
};

struct parts {
	Kinward__V1__TracingAction action;
	Kinward__V1__PartialDate today;
	Kinward__V1__Staff author;
};

static void take_today(Kinward__V1__PartialDate *date, int64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	struct tm parts;
	if (!gmtime_r(&now, &parts))
		return; /* the validator names the date then */
	date->year = (uint32_t)parts.tm_year + 1900;
	date->month = (uint32_t)parts.tm_mon + 1;
	date->day = (uint32_t)parts.tm_mday;
}

static int read_event(struct cli_call *call, Kinward__V1__TracingEvent *event, struct parts *parts)
{
	int state = 0, located = 0, reason = 0, action = 0, outcome = 0;
	int code = cli_code_option(call, &kinward__v1__tracing_state__descriptor, "STATE", call->args[1], &state);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__located_kind__descriptor, LOCATED, &located);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__tracing_reason__descriptor, REASON, &reason);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__tracing_action_type__descriptor, ACTION, &action);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__tracing_outcome__descriptor, OUTCOME, &outcome);
	event->state = (Kinward__V1__TracingState)state;
	event->located = (Kinward__V1__LocatedKind)located;
	event->reason = (Kinward__V1__TracingReason)reason;
	event->at_unix_ms = cli_now_ms();
	/* Texts of the command line; protobuf-c has no const, and changes nothing. */
	if (call->option[NOTE])
		event->note = (char *)(uintptr_t)call->option[NOTE];
	if (call->option[ACTION]) {
		parts->action.type = (Kinward__V1__TracingActionType)action;
		parts->action.outcome = (Kinward__V1__TracingOutcome)outcome;
		parts->action.date = &parts->today;
		take_today(&parts->today, event->at_unix_ms);
		event->action = &parts->action;
	}
	if (call->option[AUTHOR]) {
		parts->author.name = (char *)(uintptr_t)call->option[AUTHOR];
		event->author = &parts->author;
	}
	return code;
}

int cli_run_tracing_event(struct cli_call *call)
{
	Kinward__V1__TracingEvent event = KINWARD__V1__TRACING_EVENT__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct parts parts = {KINWARD__V1__TRACING_ACTION__INIT, KINWARD__V1__PARTIAL_DATE__INIT, KINWARD__V1__STAFF__INIT};
	struct kinward agent = {.fd = -1};
	struct cli_place place;
	int code = read_event(call, &event, &parts);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_find_place(call, &agent, KINWARD__V1__THREAD_KIND__THREAD_KIND_TRACING, &place);
	content.body_case = KINWARD__V1__CONTENT__BODY_TRACING_EVENT;
	content.tracing_event = &event;
	if (code == CLI_OK)
		code = cli_send_in_thread(call, &agent, place.agency, place.thread, &content);
	kinward_close(&agent);
	return code;
}
