#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/core/indicators.h"
#include "proto/wire/crypt.h"

/* kinward indicators: reads the cases of a week that is over, counts and suppresses (agent/core/indicators.h), has the agent
 * keep the result, prints or sends it. What was kept once is told ever after. */

enum { WEEK, SEND, DIGITS };

const struct cli_option CLI_INDICATORS_OPTIONS[] = {
	[WEEK] = {"week", "WEEK", "a week that is over, such as 2026-W47"},
	[SEND] = {"send", "AGENCY", "send it to this agency, the coordinator"},
	[DIGITS] = {"admin1-digits", "COUNT", "digits of a P-code of level 1 after the country's letters, 1 to 9 (default 2)"},
	{NULL, NULL, NULL},
};

#define PAGE_CASES 500u
#define STEPS_MAX 1024u
#define PART_CELLS 112u /* the validator's limit of an IndicatorReturn */
#define PARTS_MAX (INDICATORS_CELLS_MAX / PART_CELLS + 1)
#define WEEK_MS (INT64_C(7) * 86400000)

_Static_assert((int)KINWARD__V1__INDICATOR__INDICATOR_UNMET_DEMAND == INDICATORS_UNMET &&
	(int)KINWARD__V1__INDICATOR__INDICATOR_CARE_ARRANGEMENT == INDICATORS_CARE &&
	(int)KINWARD__V1__INDICATOR__INDICATOR_REUNIFIED_OR_IN_CARE == INDICATORS_IN_CARE, "the same numbers");
_Static_assert((int)KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_SAFEHOUSE == INDICATORS_SENSITIVE_SERVICE &&
	(int)KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_OTHER == INDICATORS_SERVICES_MAX &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_OTHER == INDICATORS_CARES_MAX &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_PARENTS == 1 &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_FOSTER == 6 &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_RESIDENTIAL == 7 &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_KAFALA == 8 &&
	(int)KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_INDEPENDENT_LIVING == 9, "the same codes");

struct tally {
	struct cli_call *call;
	struct kinward agent;
	struct indicators_book book;
	uint32_t digits;
	uint32_t placeless;
	struct indicators_step steps[STEPS_MAX];
	struct indicators_cell cells[INDICATORS_CELLS_MAX];
	Kinward__V1__IndicatorCell rows[INDICATORS_CELLS_MAX];
	Kinward__V1__IndicatorCell *row_list[INDICATORS_CELLS_MAX];
	Kinward__V1__IndicatorReturn parts[PARTS_MAX];
	Kinward__V1__IndicatorReturn *part_list[PARTS_MAX];
};

/* A message with its content; *content NULL when it is gone. */
static int fetch(struct tally *tally, const ProtobufCBinaryData *id, Kinward__V1__LocalReply **reply,
	const Kinward__V1__Content **content)
{
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	*content = NULL;
	if (id->len != KW_ID_SIZE)
		return CLI_OK;
	show.message_id = *id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	int code = cli_ask(tally->call, &tally->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEM, reply);
	if (code == CLI_OK)
		*content = (*reply)->item->content;
	return code;
}

/* Reason and outcome stand in the message; only those of this week are asked for. */
static int take_step(struct tally *tally, const Kinward__V1__CaseEvent *event, struct indicators_step *out)
{
	Kinward__V1__LocalReply *reply = NULL;
	const Kinward__V1__Content *content = NULL;
	int code = CLI_OK;
	*out = (struct indicators_step){.state = (uint8_t)event->state, .at_ms = event->at_unix_ms};
	if (event->content_type == KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT)
		code = fetch(tally, &event->message_id, &reply, &content);
	if (content && content->body_case == KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT) {
		out->reason = (uint8_t)content->referral_event->reason;
		out->outcome = (uint8_t)content->referral_event->outcome;
	}
	kinward_reply_free(reply);
	return code;
}

static int find_area(struct tally *tally, const Kinward__V1__CaseDetail *detail, char area[INDICATORS_AREA_SIZE_MAX + 1])
{
	struct indicators_place place = {.country = "", .pcode = "", .digits = tally->digits};
	Kinward__V1__LocalReply *reply = NULL;
	const Kinward__V1__Content *content = NULL;
	int code = fetch(tally, &detail->events[0]->message_id, &reply, &content);
	area[0] = '\0';
	if (content && content->body_case == KINWARD__V1__CONTENT__BODY_URGENT_ACTION) {
		place.pcode = content->urgent_action->site_pcode;
	} else if (content && content->body_case == KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST &&
		content->referral_request->location) {
		place.country = content->referral_request->location->country;
		place.pcode = content->referral_request->location->pcode;
		place.level = content->referral_request->location->admin_level;
	}
	if (!indicators_area_from(&place, area))
		area[0] = '\0';
	kinward_reply_free(reply);
	return code;
}

static int take_detail(struct tally *tally, const Kinward__V1__CaseDetail *detail)
{
	struct indicators_thread thread = {.steps = tally->steps};
	char area[INDICATORS_AREA_SIZE_MAX + 1];
	int code = CLI_OK;
	for (size_t i = 0; code == CLI_OK && i < detail->n_events && thread.count < STEPS_MAX; i++) {
		if (detail->events[i]->verdict == KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_APPLIED && detail->events[i]->state)
			code = take_step(tally, detail->events[i], &tally->steps[thread.count++]);
	}
	if (code != CLI_OK || detail->n_events == 0)
		return code;
	if (detail->row->kind == KINWARD__V1__THREAD_KIND__THREAD_KIND_TRACING) {
		indicators_tracing(&tally->book, &thread);
		return CLI_OK;
	}
	code = find_area(tally, detail, area);
	if (code != CLI_OK)
		return code;
	switch (indicators_referral(&tally->book, &thread, (uint32_t)detail->row->service, area)) {
	case INDICATORS_NO_PLACE:
		tally->placeless++;
		break;
	case INDICATORS_FULL:
		return cli_fail_err(tally->call, KW_ETOOBIG, "More than 32 areas of level 1; look at --admin1-digits.");
	default:
		break;
	}
	return CLI_OK;
}

/* Only what can be in the week: ours, begun before its end, and moved in it or later. */
static int take_case(struct tally *tally, const Kinward__V1__CaseRow *row)
{
	Kinward__V1__CaseShowRequest show = KINWARD__V1__CASE_SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	const struct indicators_week *week = &tally->book.week;
	bool tracing = row->kind == KINWARD__V1__THREAD_KIND__THREAD_KIND_TRACING;
	if (row->party != KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER || row->opened_unix_ms >= week->to_ms ||
		row->since_unix_ms < week->from_ms - (tracing ? INDICATORS_FOLLOW_UP_MS : 0) ||
		(!tracing && row->kind != KINWARD__V1__THREAD_KIND__THREAD_KIND_REFERRAL))
		return CLI_OK;
	show.thread_id = row->thread_id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW;
	request.case_show = &show;
	int code = cli_ask(tally->call, &tally->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL, &reply);
	if (code == CLI_OK && reply->case_detail->row)
		code = take_detail(tally, reply->case_detail);
	kinward_reply_free(reply);
	return code;
}

static int take_cases(struct tally *tally)
{
	Kinward__V1__CaseListRequest list = KINWARD__V1__CASE_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint8_t after[KW_ID_SIZE];
	bool more = true;
	int code = CLI_OK;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASES;
	request.cases = &list;
	list.all = true;
	list.limit = PAGE_CASES;
	while (code == CLI_OK && more) {
		Kinward__V1__LocalReply *reply = NULL;
		code = cli_ask(tally->call, &tally->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASES, &reply);
		if (code != CLI_OK)
			return code;
		for (size_t i = 0; code == CLI_OK && i < reply->cases->n_cases; i++)
			code = take_case(tally, reply->cases->cases[i]);
		more = reply->cases->next_after.len == KW_ID_SIZE;
		if (more)
			memcpy(after, reply->cases->next_after.data, KW_ID_SIZE);
		list.after = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = after};
		kinward_reply_free(reply);
	}
	return code;
}

/* They are counted as they are now, so only for the last week that is over. */
static int take_cares(struct tally *tally)
{
	Kinward__V1__CareCountRequest none = KINWARD__V1__CARE_COUNT_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	if (cli_now_ms() >= tally->book.week.to_ms + WEEK_MS) {
		(void)fputs("kinward: care arrangements, and who is reunified or in care, are left out: they can be counted for the last week only\n", tally->call->err);
		return CLI_OK;
	}
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CARE_COUNT;
	request.care_count = &none;
	int code = cli_ask(tally->call, &tally->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CARE_COUNTS, &reply);
	for (size_t i = 0; code == CLI_OK && i < reply->care_counts->n_counts; i++)
		indicators_care(&tally->book, (uint32_t)reply->care_counts->counts[i]->care_arrangement,
			reply->care_counts->counts[i]->count);
	kinward_reply_free(reply);
	return code;
}

/* Cells as messages, at most so many in each; one part also when there is no cell. */
static size_t fill_parts(struct tally *tally, char *week)
{
	size_t count = indicators_cells(&tally->book, tally->cells);
	size_t parts = count == 0 ? 1 : (count + PART_CELLS - 1) / PART_CELLS;
	for (size_t i = 0; i < count; i++) {
		const struct indicators_cell *cell = &tally->cells[i];
		Kinward__V1__IndicatorCell *row = &tally->rows[i];
		kinward__v1__indicator_cell__init(row);
		row->indicator = (Kinward__V1__Indicator)cell->kind;
		row->service = (Kinward__V1__ServiceType)cell->service;
		row->admin1_pcode = (char *)(uintptr_t)cell->area; /* borrowed from the book */
		row->care_arrangement = (Kinward__V1__CareArrangement)cell->care_arrangement;
		row->numerator = cell->numerator;
		row->denominator = cell->denominator;
		row->suppressed = cell->hidden;
		tally->row_list[i] = row;
	}
	for (size_t i = 0; i < parts; i++) {
		kinward__v1__indicator_return__init(&tally->parts[i]);
		tally->parts[i].week = week;
		tally->parts[i].cells = &tally->row_list[i * PART_CELLS];
		tally->parts[i].n_cells = i + 1 < parts ? PART_CELLS : count - i * PART_CELLS;
		tally->part_list[i] = &tally->parts[i];
	}
	return parts;
}

/* With no parts: only asks. */
static int keep(struct tally *tally, char *week, size_t parts, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__WeekKeepRequest body = KINWARD__V1__WEEK_KEEP_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	body.week = week;
	body.parts = tally->part_list;
	body.n_parts = parts;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_WEEK_KEEP;
	request.week_keep = &body;
	return cli_ask(tally->call, &tally->agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_WEEK_KEPT, reply);
}

static void print_cell(FILE *out, const Kinward__V1__IndicatorCell *cell)
{
	cli_print_code(out, &kinward__v1__indicator__descriptor, (int)cell->indicator);
	if (cell->service) {
		(void)fputs("  ", out);
		cli_print_code(out, &kinward__v1__service_type__descriptor, (int)cell->service);
		(void)fprintf(out, "  %s", cell->admin1_pcode);
	}
	if (cell->care_arrangement) {
		(void)fputs("  ", out);
		cli_print_code(out, &kinward__v1__care_arrangement__descriptor, (int)cell->care_arrangement);
	}
	if (cell->suppressed)
		(void)fputs("  suppressed\n", out);
	else if (cell->denominator)
		(void)fprintf(out, "  %" PRIu32 " of %" PRIu32 "\n", cell->numerator, cell->denominator);
	else
		(void)fprintf(out, "  %" PRIu32 "\n", cell->numerator);
}

/* The id comes from what is sent, so that sending a week again sends nothing twice. */
static int send_part(struct tally *tally, Kinward__V1__IndicatorReturn *part)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	struct kw_digest digest;
	struct kw_buf packed;
	kw_buf_init(&packed, CLI_FILE_SIZE_MAX);
	enum kw_err err = kw_buf_reserve(&packed, kinward__v1__indicator_return__get_packed_size(part));
	if (err == KW_OK) {
		packed.size = kinward__v1__indicator_return__pack(part, packed.data);
		struct kw_view whole[] = {kw_view_str(tally->call->option[SEND]), kw_buf_view(&packed)};
		err = kw_sha256(whole, 2, &digest);
	}
	kw_buf_fini(&packed);
	if (err != KW_OK)
		return cli_fail_err(tally->call, err, NULL);
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = digest.bytes};
	content.body_case = KINWARD__V1__CONTENT__BODY_INDICATOR_RETURN;
	content.indicator_return = part;
	send.agency = (char *)(uintptr_t)tally->call->option[SEND]; /* borrowed; protobuf-c changes nothing */
	send.content = &content;
	return cli_send(tally->call, &tally->agent, &send);
}

static int tell(struct tally *tally, const Kinward__V1__WeekKeepReply *week)
{
	struct cli_call *call = tally->call;
	int code = CLI_OK;
	for (size_t i = 0; code == CLI_OK && i < week->n_parts; i++) {
		if (call->option[SEND])
			code = send_part(tally, week->parts[i]);
		else if (call->json)
			code = cli_print_message_json(call, &week->parts[i]->base);
		for (size_t k = 0; !call->json && k < week->parts[i]->n_cells; k++)
			print_cell(call->out, week->parts[i]->cells[k]);
	}
	if (code == CLI_OK && tally->placeless)
		(void)fprintf(call->err, "kinward: %" PRIu32 " referral(s) are left out: no service or no place is known\n",
			tally->placeless);
	if (code == CLI_OK && week->repeated_request)
		(void)fputs("kinward: as counted and kept before\n", call->err);
	return code;
}

static int run(struct tally *tally, char *week)
{
	Kinward__V1__LocalReply *reply = NULL;
	int code = cli_connect(tally->call, &tally->agent);
	if (code == CLI_OK)
		code = keep(tally, week, 0, &reply);
	if (code == CLI_OK && reply->week_kept->n_parts == 0) {
		kinward_reply_free(reply);
		reply = NULL;
		code = take_cases(tally);
		if (code == CLI_OK)
			code = take_cares(tally);
		if (code == CLI_OK)
			code = keep(tally, week, fill_parts(tally, week), &reply);
	}
	if (code == CLI_OK)
		code = tell(tally, reply->week_kept);
	kinward_reply_free(reply);
	kinward_close(&tally->agent);
	return code;
}

int cli_run_indicators(struct cli_call *call)
{
	uint64_t digits = INDICATORS_DIGITS_DEFAULT;
	struct tally *tally;
	struct indicators_week week;
	if (!call->option[WEEK] || !indicators_week_from(call->option[WEEK], &week))
		return cli_fail_usage(call, "--week is needed: an ISO 8601 week, such as 2026-W47");
	if (week.to_ms > cli_now_ms())
		return cli_fail_usage(call, "--week %s is not over: a number that still grows would tell of single cases",
			call->option[WEEK]);
	if (call->option[DIGITS] && cli_number_from(call->option[DIGITS], 1, INDICATORS_DIGITS_MAX, &digits) != KW_OK)
		return cli_fail_usage(call, "--admin1-digits is 1 to 9");
	tally = calloc(1, sizeof(*tally));
	if (!tally)
		return cli_fail_err(call, KW_ENOMEM, NULL);
	tally->call = call;
	tally->agent.fd = -1;
	tally->book.week = week;
	tally->digits = (uint32_t)digits;
	int code = run(tally, (char *)(uintptr_t)call->option[WEEK]); /* borrowed; protobuf-c changes nothing */
	free(tally);
	return code;
}
