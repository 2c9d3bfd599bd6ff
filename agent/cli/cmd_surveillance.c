#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/core/surveillance.h"

/* kinward surveillance candidates: the weekly separation reports in the inbox. Flags cases that may be one child, for a person
 * to decide; changes nothing. */

enum { SINCE };

const struct cli_option CLI_CANDIDATES_OPTIONS[] = {
	[SINCE] = {"since", "WEEK", "only reports of this week and later, such as 2026-W40"},
	{NULL, NULL, NULL},
};

#define PAGE_ITEMS 500u
#define HEX_SIZE (2 * KW_ID_SIZE + 1)

/* Where a case stands. */
struct origin {
	char message[HEX_SIZE];
	char week[16];
	char focal_point[80];
	uint32_t local_number;
};

struct board {
	struct cli_call *call;
	uint32_t since;
	struct surveillance_case *cases;
	struct origin *origins;
	size_t count;
	size_t reports;
	size_t zero_reports;
	size_t pairs;
	json_t *list; /* --json only */
};

static void put_hex(char out[HEX_SIZE], const ProtobufCBinaryData *id)
{
	for (size_t i = 0; i < KW_ID_SIZE && i < id->len; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id->data[i]); /* fits */
}

static void take_age(const Kinward__V1__SeparationCase *child, struct surveillance_case *out)
{
	static const uint8_t BANDS[][2] = {{0, 0}, {0, 5}, {6, 11}, {12, 14}, {15, 17}, {18, 120}};
	unsigned band = (unsigned)child->age_band;
	out->age_known = true;
	if (child->known_age_case == KINWARD__V1__SEPARATION_CASE__KNOWN_AGE_AGE_YEARS) {
		out->age_low = out->age_high = (uint8_t)child->age_years;
	} else if (band > 0 && band < sizeof(BANDS) / sizeof(BANDS[0])) {
		out->age_low = BANDS[band][0];
		out->age_high = BANDS[band][1];
	} else {
		out->age_known = false;
	}
}

static bool take_case(struct board *board, const Kinward__V1__Item *item, const Kinward__V1__SeparationCase *child, uint32_t week)
{
	const Kinward__V1__SeparationReport *report = item->content->separation_report;
	if (board->count == SURVEILLANCE_CASES_MAX)
		return false;
	struct surveillance_case *out = &board->cases[board->count];
	struct origin *origin = &board->origins[board->count];
	*out = (struct surveillance_case){.week = week, .handle = (uint32_t)board->count};
	(void)snprintf(out->village_pcode, sizeof(out->village_pcode), "%s", report->village_pcode);
	out->sex = child->sex == KINWARD__V1__SEX__SEX_UNKNOWN ? 0 : (uint8_t)child->sex;
	out->cause = (uint8_t)child->cause;
	take_age(child, out);
	put_hex(origin->message, &item->message_id);
	(void)snprintf(origin->week, sizeof(origin->week), "%s", report->week);
	cli_escape(origin->focal_point, sizeof(origin->focal_point), report->focal_point_code);
	origin->local_number = child->local_number;
	board->count++;
	return true;
}

static int take_report(void *user, const Kinward__V1__Item *item, uint32_t week)
{
	struct board *board = user;
	const Kinward__V1__SeparationReport *report = item->content->separation_report;
	if (week < board->since)
		return CLI_OK;
	board->reports++;
	board->zero_reports += report->zero_report ? 1 : 0;
	for (size_t i = 0; i < report->n_cases; i++)
		if (!take_case(board, item, report->cases[i], week))
			return cli_fail_err(board->call, KW_ETOOBIG, "More than 20000 cases: look at fewer weeks, with --since.");
	return CLI_OK;
}

int cli_each_separation_report(struct cli_call *call, struct kinward *agent,
	int (*each)(void *user, const Kinward__V1__Item *item, uint32_t week), void *user)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
	request.inbox = &list;
	list.limit = PAGE_ITEMS;
	list.all = true;
	do {
		Kinward__V1__LocalReply *reply = NULL;
		int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS, &reply);
		if (code != CLI_OK)
			return code;
		list.after = reply->items->next_after;
		for (size_t i = 0; code == CLI_OK && i < reply->items->n_items; i++) {
			const Kinward__V1__Item *item = reply->items->items[i];
			uint32_t week = 0;
			if (item->content && item->content->body_case == KINWARD__V1__CONTENT__BODY_SEPARATION_REPORT &&
				surveillance_week_from(item->content->separation_report->week, &week))
				code = each(user, item, week);
		}
		kinward_reply_free(reply);
		if (code != CLI_OK)
			return code;
	} while (list.after != 0);
	return CLI_OK;
}

static json_t *origin_json(const struct origin *origin)
{
	return json_pack("{s:s, s:s, s:s, s:i}", "message", origin->message, "week", origin->week, "focalPointCode",
		origin->focal_point, "localNumber", (int)origin->local_number);
}

static bool print_pair(void *user, const struct surveillance_pair *pair)
{
	struct board *board = user;
	const struct origin *first = &board->origins[pair->first];
	const struct origin *second = &board->origins[pair->second];
	board->pairs++;
	if (board->list) {
		(void)json_array_append_new(board->list, json_pack("{s:o, s:o, s:i}", "first", origin_json(first), "second",
			origin_json(second), "missing", (int)pair->missing)); /* out of memory shows in the count */
		return true;
	}
	(void)fprintf(board->call->out, "%s %s no. %" PRIu32 "  and  %s %s no. %" PRIu32 "%s\n", first->week, first->focal_point,
		first->local_number, second->week, second->focal_point, second->local_number,
		pair->missing ? "  (little to go by: something is missing)" : "");
	return true;
}

static int print_board(struct board *board)
{
	FILE *out = board->call->out;
	if (board->call->json)
		board->list = json_array();
	surveillance_candidates(board->cases, board->count, print_pair, board);
	if (board->call->json) {
		cli_print_json(out, json_pack("{s:i, s:i, s:i, s:i, s:o}", "reports", (int)board->reports, "zeroReports",
			(int)board->zero_reports, "cases", (int)board->count, "candidateCount", (int)board->pairs, "candidates", board->list));
		return CLI_OK;
	}
	(void)fprintf(out, "%zu report(s), %zu of them of no case; %zu case(s), %zu pair(s) that may be one child: same village, sex "
		"and cause,\nage within 2 years, within 4 weeks. Look at both before counting either out.\n", board->reports,
		board->zero_reports, board->count, board->pairs);
	return CLI_OK;
}

int cli_run_candidates(struct cli_call *call)
{
	struct board board = {.call = call};
	struct kinward agent = {.fd = -1};
	if (call->option[SINCE] && !surveillance_week_from(call->option[SINCE], &board.since))
		return cli_fail_usage(call, "--since is an ISO 8601 week, such as 2026-W40");
	board.cases = calloc(SURVEILLANCE_CASES_MAX, sizeof(*board.cases));
	board.origins = calloc(SURVEILLANCE_CASES_MAX, sizeof(*board.origins));
	int code = board.cases && board.origins ? cli_connect(call, &agent) : cli_fail_err(call, KW_ENOMEM, NULL);
	if (code == CLI_OK)
		code = cli_each_separation_report(call, &agent, take_report, &board);
	if (code == CLI_OK)
		code = print_board(&board);
	kinward_close(&agent);
	free(board.cases);
	free(board.origins);
	return code;
}
