#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/core/completeness.h"
#include "agent/core/surveillance.h"
#include "agent/shell/sheet.h"

/* kinward surveillance completeness: which weekly separation reports have come, and which are missing. Reads the inbox and, if
 * given, the list of sites; changes nothing. */

enum { SITES, SINCE, UNTIL };

const struct cli_option CLI_COMPLETENESS_OPTIONS[] = {
	[SITES] = {"sites", "FILE", "who should report, CSV: village_pcode, focal_point_code, children"},
	[SINCE] = {"since", "WEEK", "first week, such as 2026-W40; default: the first with a report"},
	[UNTIL] = {"until", "WEEK", "last week; default: the last one that is over"},
	{NULL, NULL, NULL},
};

#define VILLAGE_SIZE (SURVEILLANCE_PCODE_SIZE_MAX + 1)
#define FOCAL_POINT_SIZE 65u /* the validator's limit of a code, and the end */
#define REPORTS_MAX 200000u
#define WEEK_MS (INT64_C(7) * 86400000)
/* 1970-01-05, from which weeks are counted. */
#define FIRST_MONDAY_MS (INT64_C(4) * 86400000)
#define CHILDREN_UNIT 10000u

struct site {
	char village[VILLAGE_SIZE];
	char focal_point[FOCAL_POINT_SIZE];
};

/* A report that came, until the sites are known. */
struct report {
	uint32_t site;
	uint32_t week;
	struct completeness_cell cell;
};

struct desk {
	struct cli_call *call;
	bool listed; /* sites come from the file and from nowhere else */
	uint32_t since; /* 0: not said */
	uint32_t until;
	struct site *sites;
	struct completeness_site *rows;
	size_t sites_count;
	struct report *reports;
	size_t reports_count;
	uint32_t unlisted; /* reports of sites that the file does not have */
	size_t columns[3]; /* of the file, by place in COLUMNS */
	struct completeness_book book;
	json_t *weeks; /* --json only */
};

static const char *const COLUMNS[] = {"village_pcode", "focal_point_code", "children"};
#define COLUMNS_COUNT (sizeof(COLUMNS) / sizeof(COLUMNS[0]))
#define NO_COLUMN SIZE_MAX

/* sites_count when there is none. */
static size_t find_site(const struct desk *desk, const char *village, const char *focal_point)
{
	size_t i = 0;
	while (i < desk->sites_count &&
		(strcmp(desk->sites[i].village, village) != 0 || strcmp(desk->sites[i].focal_point, focal_point) != 0))
		i++;
	return i;
}

/* False when there is no room. */
static bool add_site(struct desk *desk, const char *village, const char *focal_point, const struct completeness_site *row)
{
	if (desk->sites_count == COMPLETENESS_SITES_MAX)
		return false;
	struct site *site = &desk->sites[desk->sites_count];
	(void)snprintf(site->village, sizeof(site->village), "%s", village); /* the callers know the limits */
	(void)snprintf(site->focal_point, sizeof(site->focal_point), "%s", focal_point);
	desk->rows[desk->sites_count++] = *row;
	return true;
}

/* --- the file */

static enum kw_err take_head(struct desk *desk, const struct sheet_row *row)
{
	for (size_t column = 0; column < COLUMNS_COUNT; column++) {
		desk->columns[column] = NO_COLUMN;
		for (size_t i = 0; i < row->count; i++)
			if (strcmp(sheet_cell(row, i), COLUMNS[column]) == 0)
				desk->columns[column] = i;
	}
	if (desk->columns[0] != NO_COLUMN && desk->columns[1] != NO_COLUMN)
		return KW_OK;
	(void)cli_fail_usage(desk->call, "%s: the first row must name the columns village_pcode and focal_point_code, and may name children",
		desk->call->option[SITES]);
	return KW_EFIELD;
}

static const char *cell_of(const struct desk *desk, const struct sheet_row *row, size_t column)
{
	size_t at = desk->columns[column];
	return at == NO_COLUMN || at >= row->count ? "" : sheet_unguard(sheet_cell(row, at));
}

static enum kw_err refuse_row(const struct desk *desk, const struct sheet_row *row, const char *column, const char *rule)
{
	(void)cli_fail_usage(desk->call, "%s: row %zu, column %s: %s", desk->call->option[SITES], row->number, column, rule);
	return KW_EFIELD;
}

static enum kw_err take_row(void *context, const struct sheet_row *row)
{
	struct desk *desk = context;
	uint64_t children = 0;
	if (desk->columns[0] == desk->columns[1]) /* both still 0: the first row */
		return take_head(desk, row);
	if (sheet_row_is_blank(row))
		return KW_OK;
	const char *village = cell_of(desk, row, 0);
	const char *focal_point = cell_of(desk, row, 1);
	const char *number = cell_of(desk, row, 2);
	size_t size = strlen(village);
	if (size < 2 || size > SURVEILLANCE_PCODE_SIZE_MAX || strspn(village, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != size)
		return refuse_row(desk, row, COLUMNS[0], "must be a P-code, 2 to 20 of A-Z and 0-9; correct it");
	if (focal_point[0] == '\0' || strlen(focal_point) >= FOCAL_POINT_SIZE)
		return refuse_row(desk, row, COLUMNS[1], "must be 1 to 64 bytes; fill in the focal point's code");
	if (number[0] != '\0' && cli_number_from(number, 1, 10000000, &children) != KW_OK)
		return refuse_row(desk, row, COLUMNS[2], "must be 1 to 10000000, or empty when not known; correct it");
	if (find_site(desk, village, focal_point) < desk->sites_count)
		return refuse_row(desk, row, COLUMNS[1], "is in the file twice for this village; keep one of them");
	if (!add_site(desk, village, focal_point, &(struct completeness_site){0, (uint32_t)children}))
		return refuse_row(desk, row, COLUMNS[0], "is the 4001st site; split the file by area");
	return KW_OK;
}

static enum kw_err take_broken(void *context, const struct sheet_row *place, enum sheet_broken what)
{
	return refuse_row(context, place, COLUMNS[0], what == SHEET_ROW_SIZE ? "is too long; is this a CSV file?" :
		"has a quote that is not closed or stands inside a cell; correct it");
}

static int read_sites(struct desk *desk)
{
	struct kw_buf text;
	const struct sheet_sink sink = {.context = desk, .columns_max = 64, .row = take_row, .broken = take_broken};
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(desk->call, desk->call->option[SITES], &text);
	if (code == CLI_OK) {
		enum kw_err err = sheet_read(kw_buf_view(&text), &sink);
		if (err == KW_EFIELD)
			code = CLI_USAGE; /* it was said */
		else if (err != KW_OK)
			code = cli_fail_err(desk->call, err, NULL);
		else if (desk->sites_count == 0)
			code = cli_fail_usage(desk->call, "%s: has no site; write one in each row", desk->call->option[SITES]);
	}
	kw_buf_fini(&text);
	desk->listed = true;
	return code;
}

/* --- the reports */

static int take_report(void *user, const Kinward__V1__Item *item, uint32_t week)
{
	struct desk *desk = user;
	const Kinward__V1__SeparationReport *given = item->content->separation_report;
	struct report report = {.week = week, .cell = {.reported = true, .zero = given->zero_report}};
	size_t site = find_site(desk, given->village_pcode, given->focal_point_code);
	if (site == desk->sites_count && desk->listed) {
		desk->unlisted += week >= desk->since && week <= desk->until ? 1 : 0;
		return CLI_OK;
	}
	if (site == desk->sites_count &&
		!add_site(desk, given->village_pcode, given->focal_point_code, &(struct completeness_site){week, 0}))
		return cli_fail_err(desk->call, KW_ETOOBIG, "More than 4000 sites: say which, with --sites.");
	if (!desk->listed && week < desk->rows[site].expected_from)
		desk->rows[site].expected_from = week;
	if (week < desk->since || week > desk->until)
		return CLI_OK;
	if (desk->reports_count == REPORTS_MAX)
		return cli_fail_err(desk->call, KW_ETOOBIG, "More than 200000 reports: look at fewer weeks, with --since.");
	report.site = (uint32_t)site;
	report.cell.cases = (uint32_t)given->n_cases;
	for (size_t i = 0; i < given->n_cases; i++)
		report.cell.verified += given->cases[i]->verified && given->cases[i]->seen_before != KINWARD__V1__ANSWER__ANSWER_YES;
	desk->reports[desk->reports_count++] = report;
	return CLI_OK;
}

static int make_book(struct desk *desk)
{
	uint32_t first = desk->since;
	for (size_t i = 0; desk->since == 0 && i < desk->reports_count; i++)
		if (first == 0 || desk->reports[i].week < first)
			first = desk->reports[i].week;
	uint32_t weeks = first == 0 || desk->until < first ? 0 : desk->until - first + 1;
	if (weeks > COMPLETENESS_WEEKS_MAX)
		return cli_fail_usage(desk->call, "that is more than 104 weeks; look at fewer, with --since and --until");
	desk->book = (struct completeness_book){.sites = desk->rows, .sites_count = desk->sites_count, .first_week = first,
		.weeks_count = weeks, .cells = calloc(desk->sites_count * weeks + 1, sizeof(*desk->book.cells))};
	if (!desk->book.cells)
		return cli_fail_err(desk->call, KW_ENOMEM, NULL);
	for (size_t i = 0; i < desk->reports_count; i++)
		(void)completeness_take(&desk->book, desk->reports[i].site, desk->reports[i].week, &desk->reports[i].cell);
	return CLI_OK;
}

/* --- telling */

static void put_site(const struct desk *desk, size_t site, char *out, size_t size)
{
	char focal_point[4 * FOCAL_POINT_SIZE];
	cli_escape(focal_point, sizeof(focal_point), desk->sites[site].focal_point);
	(void)snprintf(out, size, "%s %s", desk->sites[site].village, focal_point); /* a long one is cut */
}

static json_t *missing_json(const struct desk *desk, uint32_t week)
{
	json_t *list = json_array();
	for (size_t site = 0; site < desk->sites_count; site++)
		if (completeness_is_missing(&desk->book, site, week))
			(void)json_array_append_new(list, json_pack("{s:s, s:s}", "villagePcode", desk->sites[site].village, "focalPointCode",
				desk->sites[site].focal_point)); /* out of memory shows in the count */
	return list;
}

static json_t *sum_json(const struct completeness_sum *sum)
{
	json_t *out = json_pack("{s:i, s:i, s:i, s:i, s:i}", "expected", (int)sum->expected, "reported", (int)sum->reported,
		"zeroReports", (int)sum->zero, "cases", (int)sum->cases, "newVerified", (int)sum->verified);
	if (sum->child_weeks > 0)
		(void)json_object_set_new(out, "newVerifiedPer10000ChildWeeks",
			json_real((double)sum->verified_there * CHILDREN_UNIT / (double)sum->child_weeks));
	return out;
}

static void print_sum(FILE *out, const char *head, const struct completeness_sum *sum)
{
	(void)fprintf(out, "%s  %" PRIu32 " of %" PRIu32 " reports (%" PRIu64 " %%), %" PRIu32 " of no case, %" PRIu32
		" case(s), %" PRIu32 " new and verified", head, sum->reported, sum->expected,
		sum->expected ? (uint64_t)sum->reported * 100 / sum->expected : 0, sum->zero, sum->cases, sum->verified);
	if (sum->child_weeks > 0)
		(void)fprintf(out, ", %.1f for 10000 children in a week", (double)sum->verified_there * CHILDREN_UNIT /
			(double)sum->child_weeks);
	(void)fputc('\n', out);
}

static void tell_week(struct desk *desk, uint32_t week)
{
	struct completeness_sum sum = {0};
	char text[SURVEILLANCE_WEEK_SIZE];
	char site_text[VILLAGE_SIZE + 4 * FOCAL_POINT_SIZE];
	completeness_add(&desk->book, week, &sum);
	surveillance_week_text(week, text);
	if (desk->call->json) {
		json_t *row = sum_json(&sum);
		(void)json_object_set_new(row, "week", json_string(text));
		(void)json_object_set_new(row, "missing", missing_json(desk, week));
		(void)json_array_append_new(desk->weeks, row);
		return;
	}
	print_sum(desk->call->out, text, &sum);
	for (size_t site = 0; site < desk->sites_count; site++) {
		if (!completeness_is_missing(&desk->book, site, week))
			continue;
		put_site(desk, site, site_text, sizeof(site_text));
		(void)fprintf(desk->call->out, "  missing  %s\n", site_text);
	}
}

static void tell(struct desk *desk)
{
	struct completeness_sum all = {0};
	if (desk->call->json)
		desk->weeks = json_array();
	for (uint32_t i = 0; i < desk->book.weeks_count; i++) {
		tell_week(desk, desk->book.first_week + i);
		completeness_add(&desk->book, desk->book.first_week + i, &all);
	}
	if (desk->call->json) {
		json_t *out = sum_json(&all);
		(void)json_object_set_new(out, "sites", json_integer((json_int_t)desk->sites_count));
		(void)json_object_set_new(out, "unlisted", json_integer(desk->unlisted));
		(void)json_object_set_new(out, "weeks", desk->weeks);
		cli_print_json(desk->call->out, out);
		return;
	}
	print_sum(desk->call->out, "in all  ", &all);
	if (desk->unlisted > 0)
		(void)fprintf(desk->call->out, "%" PRIu32 " report(s) of sites that %s does not have are left out\n", desk->unlisted,
			desk->call->option[SITES]);
}

static int take_weeks(struct desk *desk)
{
	struct cli_call *call = desk->call;
	uint32_t now = (uint32_t)((cli_now_ms() - FIRST_MONDAY_MS) / WEEK_MS);
	desk->until = now - 1;
	if (call->option[SINCE] && !surveillance_week_from(call->option[SINCE], &desk->since))
		return cli_fail_usage(call, "--since is an ISO 8601 week, such as 2026-W40");
	if (call->option[UNTIL] && !surveillance_week_from(call->option[UNTIL], &desk->until))
		return cli_fail_usage(call, "--until is an ISO 8601 week, such as 2026-W47");
	if (desk->since > desk->until)
		return cli_fail_usage(call, "--since must not be after --until, nor a week that is not over");
	return CLI_OK;
}

int cli_run_completeness(struct cli_call *call)
{
	struct desk desk = {.call = call};
	struct kinward agent = {.fd = -1};
	int code = take_weeks(&desk);
	if (code != CLI_OK)
		return code;
	desk.sites = calloc(COMPLETENESS_SITES_MAX, sizeof(*desk.sites));
	desk.rows = calloc(COMPLETENESS_SITES_MAX, sizeof(*desk.rows));
	desk.reports = calloc(REPORTS_MAX, sizeof(*desk.reports));
	if (!desk.sites || !desk.rows || !desk.reports)
		code = cli_fail_err(call, KW_ENOMEM, NULL);
	if (code == CLI_OK && call->option[SITES])
		code = read_sites(&desk);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_each_separation_report(call, &agent, take_report, &desk);
	if (code == CLI_OK)
		code = make_book(&desk);
	if (code == CLI_OK)
		tell(&desk);
	kinward_close(&agent);
	free(desk.book.cells);
	free(desk.reports);
	free(desk.rows);
	free(desk.sites);
	return code;
}
