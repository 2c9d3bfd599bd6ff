#include <string.h>

#include "agent/cli/commands.h"
#include "agent/core/assess.h"

/* kinward assess: asks what is not given, then says which assessment to make and why. It needs no agent. */

enum { PHASE, ACCESS, COMMUNITIES, RECENT_DATA, MULTI_SECTOR };

const struct cli_option CLI_ASSESS_OPTIONS[] = {
	[PHASE] = {"phase", "PHASE", "first_72_hours, first_two_weeks or later"},
	[ACCESS] = {"access", "ACCESS", "none, remote (calls only) or sites (teams can go there)"},
	[COMMUNITIES] = {"communities", "COUNT", "distinct affected communities, 1 to 100000; 0 when not known"},
	[RECENT_DATA] = {"recent-data", "yes|no", "was child protection assessed here since the emergency began?"},
	[MULTI_SECTOR] = {"multi-sector", "yes|no", "is a joint assessment of all sectors planned that takes our questions?"},
	{NULL, NULL, NULL},
};

static const char *const PHASES[] = {
	[ASSESS_FIRST_72_HOURS] = "first_72_hours", [ASSESS_FIRST_TWO_WEEKS] = "first_two_weeks", [ASSESS_LATER] = "later", NULL};
static const char *const ACCESSES[] = {
	[ASSESS_ACCESS_NONE] = "none", [ASSESS_ACCESS_REMOTE] = "remote", [ASSESS_ACCESS_SITES] = "sites", NULL};
static const char *const ANSWERS[] = {"no", "yes", NULL};

#define LINE_SIZE_MAX 64

/* The option's value, or a line that is asked for. NULL after printing. */
static const char *value_of(struct cli_call *call, int option, char line[LINE_SIZE_MAX])
{
	const struct cli_option *row = &CLI_ASSESS_OPTIONS[option];
	if (call->option[option])
		return call->option[option];
	(void)fprintf(call->err, "%s: %s? ", row->name, row->help);
	if (!fgets(line, LINE_SIZE_MAX, stdin)) {
		(void)cli_fail_usage(call, "--%s is needed: %s", row->name, row->help);
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static int pick(struct cli_call *call, int option, const char *const *names, int *out)
{
	char line[LINE_SIZE_MAX];
	const char *text = value_of(call, option, line);
	if (!text)
		return CLI_USAGE;
	for (*out = 0; names[*out]; (*out)++)
		if (strcmp(names[*out], text) == 0)
			return CLI_OK;
	return cli_fail_usage(call, "--%s: %s", CLI_ASSESS_OPTIONS[option].name, CLI_ASSESS_OPTIONS[option].metavar[0] == 'y' ?
		"answer yes or no" : CLI_ASSESS_OPTIONS[option].help);
}

static int count_communities(struct cli_call *call, uint32_t *out)
{
	char line[LINE_SIZE_MAX];
	uint64_t count = 0;
	const char *text = value_of(call, COMMUNITIES, line);
	if (!text)
		return CLI_USAGE;
	if (cli_number_from(text, 0, ASSESS_COMMUNITIES_MAX, &count) != KW_OK)
		return cli_fail_usage(call, "--communities is 0 to 100000");
	*out = (uint32_t)count;
	return CLI_OK;
}

static int read_question(struct cli_call *call, struct assess_question *question)
{
	int phase = 0, access = 0, recent = 0, joint = 0;
	int code = pick(call, PHASE, PHASES, &phase);
	if (code == CLI_OK)
		code = pick(call, ACCESS, ACCESSES, &access);
	if (code == CLI_OK)
		code = count_communities(call, &question->communities);
	if (code == CLI_OK)
		code = pick(call, RECENT_DATA, ANSWERS, &recent);
	if (code == CLI_OK)
		code = pick(call, MULTI_SECTOR, ANSWERS, &joint);
	question->phase = (enum assess_phase)phase;
	question->access = (enum assess_access)access;
	question->recent_cp_data = recent == 1;
	question->multi_sector_planned = joint == 1;
	return code;
}

int cli_run_assess(struct cli_call *call)
{
	struct assess_question question = {0};
	if (strcmp(call->args[0], "choose") != 0)
		return cli_fail_usage(call, "kinward assess choose is the one thing to do here");
	int code = read_question(call, &question);
	if (code != CLI_OK)
		return code;
	struct assess_advice advice = assess_choose(&question);
	bool site_specific = question.communities > 0 && assess_is_site_specific(question.communities);
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:b, s:s, s:s}", "choice", assess_choice_name(advice.choice), "siteSpecific",
			(int)site_specific, "reason", advice.reason, "next", advice.next));
		return CLI_OK;
	}
	(void)fprintf(call->out, "%s\n  why   %s\n  next  %s\n", assess_choice_name(advice.choice), advice.reason, advice.next);
	if (question.communities > 0)
		(void)fprintf(call->out, "  form  a RapidAssessment from here has siteSpecific %s\n", site_specific ? "true" : "false");
	return CLI_OK;
}
