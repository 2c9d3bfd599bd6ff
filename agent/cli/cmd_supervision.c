#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli/commands.h"

/* kinward supervision: an agency's month, with the open cases and the overdue ones counted from the agent's cases as they
 * are now; the rest is for the supervisor to say. */

enum { MONTH, SEND, CASEWORKERS, SUPERVISORS, HIGH, MEDIUM, LOW, PLANNED, HELD, GROUP, OBSERVED, FILES, CONFERENCES, OVERDUE };

const struct cli_option CLI_SUPERVISION_OPTIONS[] = {
	[MONTH] = {"month", "MONTH", "the month, such as 2026-11"},
	[SEND] = {"send", "AGENCY", "send it to this agency, the coordinator"},
	[CASEWORKERS] = {"caseworkers", "COUNT", "caseworkers at its end"},
	[SUPERVISORS] = {"supervisors", "COUNT", "supervisors at its end"},
	[HIGH] = {"open-high", "COUNT", "open cases of high risk; default: as counted"},
	[MEDIUM] = {"open-medium", "COUNT", "open cases of medium risk; default: as counted"},
	[LOW] = {"open-low", "COUNT", "open cases of low risk; default: as counted"},
	[PLANNED] = {"sessions-planned", "COUNT", "individual sessions planned"},
	[HELD] = {"sessions-held", "COUNT", "individual sessions held"},
	[GROUP] = {"group-sessions", "COUNT", "group sessions held"},
	[OBSERVED] = {"observations", "COUNT", "observations of a caseworker at work"},
	[FILES] = {"file-reviews", "COUNT", "case files reviewed"},
	[CONFERENCES] = {"case-conferences", "COUNT", "case conferences held"},
	[OVERDUE] = {"overdue-plans", "COUNT", "open cases with something overdue; default: those late on our side"},
	{NULL, NULL, NULL},
};

/* Open referrals and transfers; a case that is in several of them with one agency is one case there. */
struct open_case {
	char agency[KW_NAME_SIZE_MAX + 1];
	char case_ref[80];
	uint32_t risk;
	bool late;
};

struct counts {
	struct open_case *list;
	size_t count;
	size_t room;
};

static int by_case(const void *a, const void *b)
{
	const struct open_case *x = a, *y = b;
	int agency = strcmp(x->agency, y->agency);
	return agency != 0 ? agency : strcmp(x->case_ref, y->case_ref);
}

static bool add_case(struct counts *counts, const Kinward__V1__CaseRow *row)
{
	if (row->kind != KINWARD__V1__THREAD_KIND__THREAD_KIND_REFERRAL &&
		row->kind != KINWARD__V1__THREAD_KIND__THREAD_KIND_TRANSFER)
		return true;
	if (counts->count == counts->room) {
		size_t room = counts->room * 2 + 64;
		struct open_case *list = realloc(counts->list, room * sizeof(*list));
		if (!list)
			return false;
		counts->list = list;
		counts->room = room;
	}
	struct open_case *out = &counts->list[counts->count++];
	(void)snprintf(out->agency, sizeof(out->agency), "%s", row->agency);
	(void)snprintf(out->case_ref, sizeof(out->case_ref), "%s", row->case_ref); /* at most 64 bytes */
	out->risk = (uint32_t)row->risk;
	out->late = row->late_ms > 0 && row->waits_for_us;
	return true;
}

/* The highest risk of its threads is that of a case; one without a pseudonym stands for itself. */
static void sum_up(struct counts *counts, Kinward__V1__SupervisionReturn *out)
{
	if (counts->count > 1)
		qsort(counts->list, counts->count, sizeof(counts->list[0]), by_case);
	for (size_t i = 0; i < counts->count;) {
		struct open_case whole = counts->list[i++];
		for (; whole.case_ref[0] && i < counts->count && by_case(&whole, &counts->list[i]) == 0; i++) {
			uint32_t risk = counts->list[i].risk;
			if (risk != 0 && (whole.risk == 0 || risk < whole.risk))
				whole.risk = risk;
			whole.late = whole.late || counts->list[i].late;
		}
		out->open_high += whole.risk == KINWARD__V1__RISK__RISK_HIGH;
		out->open_medium += whole.risk == KINWARD__V1__RISK__RISK_MEDIUM;
		out->open_low += whole.risk == KINWARD__V1__RISK__RISK_LOW;
		out->overdue_plans += whole.late;
	}
}

static int count_cases(struct cli_call *call, struct kinward *agent, Kinward__V1__SupervisionReturn *out)
{
	Kinward__V1__CaseListRequest list = KINWARD__V1__CASE_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct counts counts = {0};
	uint8_t after[KW_ID_SIZE];
	bool more = true;
	int code = CLI_OK;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASES;
	request.cases = &list;
	list.limit = 500;
	while (code == CLI_OK && more) {
		Kinward__V1__LocalReply *reply = NULL;
		code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASES, &reply);
		if (code != CLI_OK)
			break;
		for (size_t i = 0; code == CLI_OK && i < reply->cases->n_cases; i++)
			if (!add_case(&counts, reply->cases->cases[i]))
				code = cli_fail_err(call, KW_ENOMEM, NULL);
		more = reply->cases->next_after.len == KW_ID_SIZE;
		if (more)
			memcpy(after, reply->cases->next_after.data, KW_ID_SIZE);
		list.after = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = after};
		kinward_reply_free(reply);
	}
	if (code == CLI_OK)
		sum_up(&counts, out);
	free(counts.list);
	return code;
}

static int read_month(struct cli_call *call, Kinward__V1__PartialDate *out)
{
	const char *text = call->option[MONTH];
	struct tm month = {0}, today;
	time_t now = (time_t)(cli_now_ms() / 1000);
	const char *rest = text && strlen(text) == 7 ? strptime(text, "%Y-%m", &month) : NULL;
	if (!rest || *rest || !gmtime_r(&now, &today))
		return cli_fail_usage(call, "--month is needed: a month such as 2026-11");
	if (month.tm_year > today.tm_year || (month.tm_year == today.tm_year && month.tm_mon > today.tm_mon))
		return cli_fail_usage(call, "--month %s has not begun", text);
	out->year = (uint32_t)month.tm_year + 1900;
	out->month = (uint32_t)month.tm_mon + 1;
	return CLI_OK;
}

static int read_counts(struct cli_call *call, Kinward__V1__SupervisionReturn *out)
{
	const struct {
		int option;
		uint32_t *value;
	} fields[] = {
		{CASEWORKERS, &out->caseworkers}, {SUPERVISORS, &out->supervisors}, {HIGH, &out->open_high},
		{MEDIUM, &out->open_medium}, {LOW, &out->open_low}, {PLANNED, &out->sessions_planned}, {HELD, &out->sessions_held},
		{GROUP, &out->group_sessions}, {OBSERVED, &out->observations}, {FILES, &out->file_reviews},
		{CONFERENCES, &out->case_conferences}, {OVERDUE, &out->overdue_plans},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint64_t value = 0;
		if (!call->option[fields[i].option])
			continue;
		if (cli_number_from(call->option[fields[i].option], 0, 1000000, &value) != KW_OK)
			return cli_fail_usage(call, "--%s is 0 to 1000000", CLI_SUPERVISION_OPTIONS[fields[i].option].name);
		*fields[i].value = (uint32_t)value;
	}
	return CLI_OK;
}

int cli_run_supervision(struct cli_call *call)
{
	Kinward__V1__SupervisionReturn body = KINWARD__V1__SUPERVISION_RETURN__INIT;
	Kinward__V1__PartialDate month = KINWARD__V1__PARTIAL_DATE__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	uint8_t id[KW_ID_SIZE];
	int code = read_month(call, &month);
	body.month = &month;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = count_cases(call, &agent, &body);
	if (code == CLI_OK)
		code = read_counts(call, &body);
	if (code == CLI_OK && !call->option[SEND]) {
		if (call->json)
			code = cli_print_message_json(call, &body.base);
		else
			cli_print_tree(call->out, &body.base);
	} else if (code == CLI_OK && (code = cli_random_id(call, id)) == CLI_OK) {
		content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
		content.body_case = KINWARD__V1__CONTENT__BODY_SUPERVISION_RETURN;
		content.supervision_return = &body;
		send.agency = (char *)(uintptr_t)call->option[SEND]; /* borrowed; protobuf-c changes nothing */
		send.content = &content;
		code = cli_send(call, &agent, &send);
	}
	kinward_close(&agent);
	return code;
}
