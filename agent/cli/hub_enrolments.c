#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/hub_enrol.h"

/* The codes that a hub has given out, and who asks with them. */

const char CLI_HUB_ENROLMENTS_DETAILS[] =
	"Every code that was made, and how far it is: waiting (for the agency), asked (for your approval, with the phrase), approved,\n"
	"done, expired, burnt or refused; who made it and who decided. ALARM: two different requests came with one code.\n\n"
	"  kinward hub enrolments\n"
	"  kinward hub enrolments --json\n";

enum { LIST_DIR };

const struct cli_option CLI_HUB_ENROLMENTS_OPTIONS[] = {
	[LIST_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	{NULL, NULL, NULL},
};

int cli_hub_take_by(struct cli_call *call, const char *given, char out[KW_ENROL_BY_SIZE_MAX + 1])
{
	/* sudo says who is behind it; a record, and no proof. */
	const char *name = given != NULL ? given : getenv("SUDO_USER");
	char login[KW_ENROL_BY_SIZE_MAX + 1];
	if (name == NULL && getlogin_r(login, sizeof(login)) == 0)
		name = login;
	if (name == NULL) {
		const struct passwd *user = getpwuid(getuid());
		name = user != NULL ? user->pw_name : NULL;
	}
	if (name == NULL || !kw_enrolment_by_good(name) || !cli_is_utf8(name))
		return cli_fail_usage(call, "--by is the name of a person, 1 to %u bytes without control characters", KW_ENROL_BY_SIZE_MAX);
	memcpy(out, name, strlen(name) + 1);
	return CLI_OK;
}

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

void cli_enrolments_free(struct cli_enrolments *all)
{
	for (size_t i = 0; i < all->count; i++)
		kw_enrolment_fini(&all->rows[i]);
	free(all->rows);
}

static bool keep(void *user, struct kw_enrolment *enrolment, enum kw_err err)
{
	struct cli_enrolments *all = user;
	if (err != KW_OK) {
		all->damaged++;
		return true;
	}
	/* Not realloc: it may leave keys behind in freed memory. */
	struct kw_enrolment *rows = calloc(all->count + 1, sizeof(*rows));
	if (rows == NULL) {
		all->err = KW_ENOMEM;
		return false;
	}
	if (all->count > 0) {
		memcpy(rows, all->rows, all->count * sizeof(*rows));
		kw_wipe(all->rows, all->count * sizeof(*rows));
	}
	free(all->rows);
	all->rows = rows;
	rows[all->count++] = *enrolment;
	*enrolment = (struct kw_enrolment){.tries = 0}; /* taken */
	return true;
}

static int by_time(const void *left, const void *right)
{
	const struct kw_enrolment *a = left;
	const struct kw_enrolment *b = right;
	return a->made_s != b->made_s ? (a->made_s < b->made_s ? -1 : 1) : memcmp(a->id, b->id, sizeof(a->id));
}

enum kw_err cli_enrolments_load(const char *dir, struct cli_enrolments *all)
{
	*all = (struct cli_enrolments){.count = 0};
	enum kw_err err = kw_enrolments_each(dir, keep, all);
	if (all->count > 1)
		qsort(all->rows, all->count, sizeof(*all->rows), by_time);
	return err != KW_OK ? err : all->err;
}

static const char *state_of(const struct kw_enrolment *enrolment)
{
	bool expired = enrolment->state == KW_ENROLMENT_WAITING && now_s() > enrolment->expires_s;
	return kw_enrolment_state_name(expired ? KW_ENROLMENT_EXPIRED : enrolment->state);
}

static json_t *unix_ms(int64_t seconds)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%lld", (long long)seconds * 1000); /* fits */
	return json_string(seconds == 0 ? "" : text);
}

static void print_enrolment(struct cli_call *call, const struct kw_enrolment *row)
{
	FILE *out = call->out;
	if (call->json) {
		cli_print_json(out, json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:s, s:o, s:I, s:s, s:s, s:o, s:b}", "agency", row->agency.text,
			"state", state_of(row), "madeBy", row->made_by, "madeUnixMs", unix_ms(row->made_s), "expiresUnixMs",
			unix_ms(row->expires_s), "wrongTries", (json_int_t)row->tries, "phrase", row->phrase, "askedUnixMs",
			unix_ms(row->asked_s), "alarms", (json_int_t)row->alarms, "alarmPhrase", row->alarm_phrase, "decidedBy",
			row->decided_by, "decidedUnixMs", unix_ms(row->decided_s), "alone", (int)row->alone));
		return;
	}
	(void)fprintf(out, "%s  %s", row->agency.text, state_of(row));
	if (row->phrase[0] != '\0')
		(void)fprintf(out, "  phrase %s", row->phrase);
	(void)fputs("  made by ", out);
	cli_print_text(out, row->made_by);
	(void)fputs(" ", out);
	cli_print_time(out, row->made_s * 1000);
	if (row->decided_s != 0) {
		(void)fputs("  decided by ", out);
		cli_print_text(out, row->decided_by);
		(void)fputs(row->alone ? " (alone) " : " ", out);
		cli_print_time(out, row->decided_s * 1000);
	}
	(void)fputs("\n", out);
	if (row->tries > 0)
		(void)fprintf(out, "  %u of %u wrong tries\n", row->tries, KW_ENROL_TRIES_MAX);
	if (row->alarms > 0)
		(void)fprintf(out, "  ALARM: %u other request%s with this code, the last with the phrase %s: somebody has the code who should "
			"not\n", row->alarms, row->alarms == 1 ? "" : "s", row->alarm_phrase);
}

int cli_run_hub_enrolments(struct cli_call *call)
{
	struct cli_enrolments all;
	const char *dir;
	int code = cli_hub_take_dir(call, call->option[LIST_DIR], &dir);
	if (code != CLI_OK)
		return code;
	enum kw_err err = cli_enrolments_load(dir, &all);
	for (size_t i = 0; err == KW_OK && i < all.count; i++)
		print_enrolment(call, &all.rows[i]);
	if (err == KW_OK && all.damaged > 0)
		(void)fprintf(call->err, "%zu files in enrol/ are damaged or of another version; codes behind them let nobody in.\n",
			all.damaged);
	if (err == KW_OK && all.count == 0)
		(void)fputs("No code was made yet; kinward hub add AGENCY makes one.\n", call->err);
	cli_enrolments_free(&all);
	return err == KW_OK ? CLI_OK : cli_hub_fail_dir(call, dir, err);
}
