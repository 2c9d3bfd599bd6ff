#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/codes.h"
#include "agent/shell/import_csv.h"
#include "agent/shell/import_primero.h"
#include "agent/shell/json.h"
#include "kinward/v1/types.pb-c.h"

/* What an import did, for a look afterwards. */
struct seen {
	struct import_summary summary;
	struct import_fault first; /* the first refusal */
	size_t refusals;
	char ignored[256];
	char last[4096]; /* the last record as JSON */
	char last_id[80];
	size_t last_line;
	enum kw_err answer; /* what take returns */
	bool repeated;
};

static enum kw_err take(void *context, const struct import_record *record, bool *repeated, struct import_fault *fault)
{
	struct seen *seen = context;
	json_t *tree = NULL;
	struct json_fault json_fault;
	assert_int_equal(json_map_write(record->message, &tree, &json_fault), KW_OK);
	char *text = json_dumps(tree, JSON_COMPACT);
	snprintf(seen->last, sizeof(seen->last), "%s", text);
	free(text);
	json_decref(tree);
	snprintf(seen->last_id, sizeof(seen->last_id), "%s", record->local_id);
	seen->last_line = record->line;
	*repeated = seen->repeated;
	if (seen->answer != KW_OK)
		snprintf(fault->rule, sizeof(fault->rule), "said the sink");
	return seen->answer;
}

static void refused(void *context, const struct import_fault *fault)
{
	struct seen *seen = context;
	if (seen->refusals++ == 0)
		seen->first = *fault;
}

static void ignored(void *context, const char *column)
{
	struct seen *seen = context;
	size_t size = strlen(seen->ignored);
	snprintf(seen->ignored + size, sizeof(seen->ignored) - size, "%s;", column);
}

typedef enum kw_err (*importer)(struct kw_view, const struct import_options *, const struct import_sink *,
	struct import_summary *);

static enum kw_err run_as(importer import, struct seen *seen, const struct import_options *options, struct kw_view text)
{
	struct import_sink sink = {.context = seen, .take = take, .refused = refused, .ignored = ignored};
	return import(text, options, &sink, &seen->summary);
}

/* Columns and values of the smallest registration, to which a test adds. */
#define MIN_HEADER "case_id,sex,protection_status,care_arrangement,consent_for_services,disclosure_other_orgs,consent_source"
#define MIN_ROW "c1,f,separated,kinship,yes,yes,caregiver"
#define MIN_DEFAULTS "sex=f,protection_status=separated,care_arrangement=kinship,consent_for_services=yes," \
	"disclosure_other_orgs=yes,consent_source=caregiver"

static struct seen csv_with(const char *text, struct import_options options)
{
	struct seen seen = {0};
	(void)run_as(import_csv, &seen, &options, kw_view_str(text));
	return seen;
}

static struct seen csv(const char *text)
{
	return csv_with(text, (struct import_options){.kind = IMPORT_REGISTRATION, .as_of = "2025-03-01"});
}

static void holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void test_import_csv_row_becomes_a_registration(void **state)
{
	(void)state;
	struct seen seen = csv(MIN_HEADER ",name_first,name_father,name_last,age,date_of_separation,separation_cause,language,"
		"location_found,mother_name,mother_alive,name_caregiver,relationship_caregiver,protection_concerns,unhcr_id\r\n"
		MIN_ROW ", Amina ,Deng,Akol,7,2024-11,conflict;population movement,apd|din,Malakal,Mary Nyandeng,unknown,Rose Akol,"
		"aunt,\"neglect, distressed\",U-9\r\n");
	assert_int_equal(seen.refusals, 0);
	assert_int_equal(seen.summary.imported, 1);
	assert_string_equal(seen.last_id, "c1");
	assert_int_equal(seen.last_line, 2);
	holds(seen.last, "\"parts\":[{\"text\":\"Amina\",\"role\":\"NAME_ROLE_GIVEN\"},{\"text\":\"Deng\",\"role\":\"NAME_ROLE_FATHER\"},"
		"{\"text\":\"Akol\",\"role\":\"NAME_ROLE_FAMILY\"}]");
	holds(seen.last, "\"sex\":\"SEX_FEMALE\"");
	holds(seen.last, "\"age\":{\"years\":7,\"asOf\":{\"year\":2025,\"month\":3,\"day\":1}}");
	holds(seen.last, "\"date\":{\"year\":2024,\"month\":11}");
	holds(seen.last, "\"causes\":[\"SEPARATION_CAUSE_CONFLICT\",\"SEPARATION_CAUSE_POPULATION_MOVEMENT\"]");
	holds(seen.last, "\"languages\":[\"apd\",\"din\"]");
	holds(seen.last, "\"locations\":[{\"kind\":\"LOCATION_KIND_FOUND\",\"place\":{\"text\":\"Malakal\"}}]");
	holds(seen.last, "\"relation\":\"RELATION_MOTHER\",\"alive\":\"ALIVE_UNKNOWN\"");
	holds(seen.last, "\"concerns\":[\"CONCERN_NEGLECT\",\"CONCERN_DISTRESSED\"]");
	holds(seen.last, "\"otherIds\":[{\"issuer\":\"UNHCR\",\"id\":\"U-9\"}]");
	holds(seen.last, "\"services\":\"CONSENT_ANSWER_GIVEN\"");
}

static void test_import_csv_bad_rows_are_named_and_the_others_go_on(void **state)
{
	(void)state;
	struct seen seen = csv(MIN_HEADER ",surname,age\n"
		MIN_ROW ",Akol,5\n"
		"c2,fem,separated,kinship,yes,yes,caregiver,Deng,5\n"
		MIN_ROW ",\"two\nlines\",\n"
		MIN_ROW ",Akol,6\n");
	assert_int_equal(seen.summary.rows, 4);
	assert_int_equal(seen.summary.imported, 2);
	assert_int_equal(seen.summary.refused, 2);
	assert_int_equal(seen.first.line, 3);
	assert_string_equal(seen.first.column, "sex");
	assert_string_equal(seen.first.field, "sex");
	holds(seen.first.rule, "female male other unknown");
	assert_null(strstr(seen.first.rule, "fem "));
	assert_int_equal(seen.last_line, 6); /* the quoted line feed counts */
}

static void refuses_with(const char *extra_header, const char *extra_cell, const char *column, const char *rule)
{
	char text[1024];
	snprintf(text, sizeof(text), MIN_HEADER ",name_first,%s\n" MIN_ROW ",Amina,%s\n", extra_header, extra_cell);
	struct seen seen = csv(text);
	if (seen.refusals != 1)
		fail_msg("%s=%s was not refused once", extra_header, extra_cell);
	assert_string_equal(seen.first.column, column);
	holds(seen.first.rule, rule);
}

static void test_import_csv_refuses_values_that_break_a_rule(void **state)
{
	(void)state;
	refuses_with("date_of_birth", "03/04/2015", "date_of_birth", "YYYY-MM-DD");
	refuses_with("date_of_birth", "20151301", "date_of_birth", "");
	refuses_with("birth_date", "2015-02-30", "birth_date", "");
	refuses_with("date_of_birth", "20150010", "date_of_birth", "zero");
	refuses_with("date_of_birth", "2015-1-1", "date_of_birth", "YYYY-MM-DD");
	refuses_with("date_of_birth", "1066", "date_of_birth", "");
	refuses_with("age", "7.5", "age", "whole number");
	refuses_with("age", "-1", "age", "whole number");
	refuses_with("age", "121", "age", "");
	refuses_with("age,nationality", "7,South Sudan", "nationality", "");
	refuses_with("age,language", "7,english", "language", "");
	refuses_with("age,separation_cause", "7,war", "separation_cause", "conflict death");
	refuses_with("age,estimated", "7,perhaps", "estimated", "yes or no");
	refuses_with("age,location_current", "7,\xff\xfe", "location_current", "UTF-8");
	refuses_with("nickname", "Ami", "date_of_birth", "age is required");
}

static void test_import_csv_dates_keep_what_is_known(void **state)
{
	(void)state;
	static const char *const CASES[][2] = {
		{"2015", "{\"year\":2015}"}, {"2015-03", "{\"year\":2015,\"month\":3}"},
		{"2015-03-09", "{\"year\":2015,\"month\":3,\"day\":9}"}, {"20150309", "{\"year\":2015,\"month\":3,\"day\":9}"},
		{"2015/03/09", "{\"year\":2015,\"month\":3,\"day\":9}"},
		{"2015-03-09T00:00:00Z", "{\"year\":2015,\"month\":3,\"day\":9}"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text), MIN_HEADER ",name_first,date_of_birth\n" MIN_ROW ",Amina,%s\n", CASES[i][0]);
		struct seen seen = csv(text);
		assert_int_equal(seen.refusals, 0);
		holds(seen.last, CASES[i][1]);
	}
}

static void test_import_csv_age_needs_its_day(void **state)
{
	(void)state;
	const char *text = MIN_HEADER ",name_first,age\n" MIN_ROW ",Amina,0\n";
	struct seen seen = csv_with(text, (struct import_options){.kind = IMPORT_REGISTRATION});
	assert_string_equal(seen.first.column, "age");
	holds(seen.first.rule, "--as-of");
	seen = csv_with(MIN_HEADER ",name_first,age,registration_date\n" MIN_ROW ",Amina,0,2023-01-05\n",
		(struct import_options){.kind = IMPORT_REGISTRATION, .as_of = "2025-03-01"});
	assert_int_equal(seen.refusals, 0);
	holds(seen.last, "\"age\":{\"years\":0,\"asOf\":{\"year\":2023,\"month\":1,\"day\":5}}");
}

static void test_import_csv_reads_what_spreadsheets_write(void **state)
{
	(void)state;
	/* A byte order mark, semicolons, other case, blanks in names, blank lines, no line feed at the end. */
	struct seen seen = csv("\xef\xbb\xbfRecord-ID;Name First;AGE;SEX;Separation Status;Care Arrangement;Consent Services;"
		"Consent Share Other Orgs;Consent Source\r\n\r\n;;;;;;;;\r\n"
		"c9;\"A \"\"B\"\"\";12;girl;Unaccompanied;Child headed household;true;given;child");
	assert_int_equal(seen.refusals, 0);
	assert_int_equal(seen.summary.rows, 1);
	assert_int_equal(seen.last_line, 4);
	holds(seen.last, "A \\\"B\\\"");
	holds(seen.last, "CARE_ARRANGEMENT_CHILD_HEADED_HOUSEHOLD");
	seen = csv("case_id\tname_first\tage\n");
	assert_int_equal(seen.refusals, 0);
	assert_int_equal(seen.summary.rows, 0);
}

static void test_import_csv_wrong_quotes_refuse_their_row_only(void **state)
{
	(void)state;
	struct seen seen = csv(MIN_HEADER ",name_first,age\n" MIN_ROW ",\"Ami\"na,5\n" MIN_ROW ",Akol,5\n");
	assert_int_equal(seen.refusals, 1);
	assert_int_equal(seen.first.line, 2);
	holds(seen.first.rule, "quote in the wrong place");
	assert_int_equal(seen.summary.imported, 1);

	seen = csv(MIN_HEADER ",name_first,age\n" MIN_ROW ",Akol,5\n" MIN_ROW ",\"Amina,5\n" MIN_ROW ",Deng,5\n");
	assert_int_equal(seen.first.line, 3);
	holds(seen.first.rule, "never closed");
	assert_int_equal(seen.summary.imported, 1);

	seen = csv(MIN_HEADER ",name_first,age\n" MIN_ROW ",Akol, Amina,5\n" MIN_ROW ",Deng,5\n");
	assert_int_equal(seen.first.line, 2);
	holds(seen.first.rule, "has 10 cells where the header has 9");
	assert_int_equal(seen.summary.imported, 1);
}

static void test_import_csv_unknown_columns_are_named_or_with_strict_refused(void **state)
{
	(void)state;
	const char *text = MIN_HEADER ",name_first,age,shoe_size,\n" MIN_ROW ",Amina,5,33,\n" MIN_ROW ",,,34,\n" MIN_ROW ",Amina,5,33,\n";
	struct seen seen = csv(text);
	assert_string_equal(seen.ignored, "shoe_size;");
	assert_int_equal(seen.summary.imported, 2);

	struct import_options strict = {.kind = IMPORT_REGISTRATION, .as_of = "2025-03-01", .strict = true};
	struct seen other = {0};
	assert_int_equal(run_as(import_csv, &other, &strict, kw_view_str(text)), KW_EFIELD);
	assert_int_equal(other.summary.rows, 0);
	assert_int_equal(other.refusals, 1);

	const char *known = MIN_HEADER ",name_first,age\n" MIN_ROW ",Amina,5\n" MIN_ROW ",,\n" MIN_ROW ",Amina,5\n";
	other = (struct seen){0};
	assert_int_equal(run_as(import_csv, &other, &strict, kw_view_str(known)), KW_EFIELD);
	assert_int_equal(other.summary.imported, 1);
	assert_int_equal(other.summary.rows, 2);
}

static void test_import_csv_defaults_fill_only_what_is_missing(void **state)
{
	(void)state;
	struct import_options options = {.kind = IMPORT_REGISTRATION, .as_of = "2025", .defaults = MIN_DEFAULTS};
	struct seen seen = csv_with("case_id,name_first,age,sex\nc1,Amina,5,\nc2,Deng,6,m\n", options);
	assert_int_equal(seen.refusals, 0);
	assert_int_equal(seen.summary.imported, 2);
	holds(seen.last, "SEX_MALE");
	options.defaults = "shoe_size=33";
	seen = csv_with("case_id,name_first,age,sex\nc1,Amina,5,\n", options);
	assert_int_equal(seen.summary.rows, 0);
	assert_string_equal(seen.first.column, "shoe_size");
}

static void test_import_csv_a_column_under_two_names_is_refused(void **state)
{
	(void)state;
	refuses_with("age,name_last,surname", "5,Akol,Deng", "surname", "given twice");
}

static void test_import_csv_files_that_are_none_are_refused(void **state)
{
	(void)state;
	static const char *const TEXTS[] = {"", "\n\n", "a,b,c\n1,2,3\n", "\"case_id\"x,sex\n"};
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		struct seen seen = {0};
		struct import_options options = {.kind = IMPORT_REGISTRATION};
		assert_int_equal(run_as(import_csv, &seen, &options, kw_view_str(TEXTS[i])), KW_EFORMAT);
		assert_int_equal(seen.refusals, 1);
		assert_int_equal(seen.summary.rows, 0);
	}
}

static void test_import_csv_limits_hold_at_max_and_refuse_beyond(void **state)
{
	(void)state;
	char text[9000];
	for (int over = 0; over <= 1; over++) {
		int n = snprintf(text, sizeof(text), MIN_HEADER ",name_first,age\n");
		memset(text + n, 'x', IMPORT_LOCAL_ID_SIZE_MAX + (size_t)over);
		snprintf(text + n + IMPORT_LOCAL_ID_SIZE_MAX + over, 200, "%s,Amina,5\n", strchr(MIN_ROW, ','));
		struct seen seen = csv(text);
		assert_int_equal(seen.refusals, over);
	}
	struct seen seen = {0};
	struct import_options options = {.kind = IMPORT_REGISTRATION};
	char *huge = calloc(1, IMPORT_FILE_SIZE_MAX + 1);
	assert_int_equal(run_as(import_csv, &seen, &options, KW_VIEW(huge, IMPORT_FILE_SIZE_MAX + 1)), KW_ETOOBIG);
	assert_int_equal(run_as(import_primero, &seen, &options, KW_VIEW(huge, IMPORT_FILE_SIZE_MAX + 1)), KW_ETOOBIG);
	free(huge);
}

static void test_import_sink_answers_are_counted_and_an_outage_stops(void **state)
{
	(void)state;
	const char *text = MIN_HEADER ",name_first,age\n" MIN_ROW ",Amina,5\n" MIN_ROW ",Deng,5\n";
	struct import_options options = {.kind = IMPORT_REGISTRATION, .as_of = "2025"};
	struct seen seen = {.repeated = true};
	assert_int_equal(run_as(import_csv, &seen, &options, kw_view_str(text)), KW_OK);
	assert_int_equal(seen.summary.repeated, 2);
	seen = (struct seen){.answer = KW_EDENIED};
	assert_int_equal(run_as(import_csv, &seen, &options, kw_view_str(text)), KW_OK);
	assert_int_equal(seen.summary.refused, 2);
	assert_string_equal(seen.first.rule, "said the sink");
	seen = (struct seen){.answer = KW_ECLOSED};
	assert_int_equal(run_as(import_csv, &seen, &options, kw_view_str(text)), KW_ECLOSED);
	assert_int_equal(seen.summary.rows, 0);
}

static void test_import_csv_row_becomes_a_referral(void **state)
{
	(void)state;
	const char *head = "case_ref,service_type,risk_level,reason,name_first,age,sex,referrer_name,consent_for_services,"
		"disclosure_other_orgs,consent_source\n";
	char text[1024];
	snprintf(text, sizeof(text), "%sK-1,Mental health/psychosocial,high,Nightmares,Amina,9,f,Jo Bol,yes,yes,child\n"
		"K-2,shelter,high,Alone,Deng,9,m,Jo Bol,yes,no,child\n", head);
	struct seen seen = csv_with(text, (struct import_options){.kind = IMPORT_REFERRAL, .as_of = "2025-03-01"});
	assert_int_equal(seen.summary.imported, 1);
	holds(seen.last, "\"caseRef\":\"K-1\",\"service\":\"SERVICE_TYPE_MENTAL_HEALTH_PSYCHOSOCIAL\",\"risk\":\"RISK_HIGH\"");
	holds(seen.last, "\"children\":[{\"name\":{\"parts\":[{\"text\":\"Amina\"");
	assert_int_equal(seen.first.line, 3); /* no consent to share, no override */
	holds(seen.first.field, "consent");
}

static struct kw_buf load(const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", KW_TEST_DATA_DIR, name);
	FILE *in = fopen(path, "rb");
	assert_non_null(in);
	struct kw_buf out;
	kw_buf_init(&out, IMPORT_FILE_SIZE_MAX);
	char part[4096];
	for (size_t n; (n = fread(part, 1, sizeof(part), in)) > 0;)
		assert_int_equal(kw_buf_add(&out, KW_VIEW(part, n)), KW_OK);
	(void)fclose(in);
	return out;
}

static void test_import_febrl_files_come_in_as_they_are(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t rows;
		size_t refused; /* counted by other means: no name, no birth date, or one that is no date */
	} FILES[] = {{"linkage/febrl/dataset1.csv", 1000, 44}, {"linkage/febrl/dataset3.csv", 5000, 196}};
	for (size_t i = 0; i < 2; i++) {
		struct kw_buf text = load(FILES[i].name);
		struct seen seen = {0};
		struct import_options options = {.kind = IMPORT_REGISTRATION, .defaults = "consent_for_tracing=given"};
		assert_int_equal(run_as(import_csv, &seen, &options, kw_buf_view(&text)), KW_OK);
		assert_int_equal(seen.summary.rows, FILES[i].rows);
		assert_int_equal(seen.summary.refused, FILES[i].refused);
		assert_int_equal(seen.summary.imported, FILES[i].rows - FILES[i].refused);
		assert_string_equal(seen.ignored, "");
		holds(seen.last, "\"tracing\":\"CONSENT_ANSWER_GIVEN\"");
		holds(seen.last, "\"issuer\":\"soc_sec_id\"");
		kw_buf_fini(&text);
	}
}

static const char PRIMERO[] =
	"{\"data\": [{\"case_id\": \"P-1\", \"name_first\": \"Amina\", \"name_nickname\": null, \"age\": 6, \"sex\": \"female\","
	"\"registration_date\": \"2025-02-03\", \"protection_status\": \"unaccompanied\", \"separation_cause\": [\"conflict\", \"death\"],"
	"\"care_arrangements_type\": \"foster\", \"consent_for_services\": true, \"disclosure_other_orgs\": true,"
	"\"consent_source\": \"caregiver\", \"module_id\": \"primeromodule-cp\", \"family_details_section\": ["
	"{\"relation_name\": \"Mary Akol\", \"relation\": \"mother\", \"relation_age\": 30, \"relation_is_alive\": \"dead\"}]}";

static struct seen primero(const char *more)
{
	char text[2048];
	struct seen seen = {0};
	struct import_options options = {.kind = IMPORT_REGISTRATION, .as_of = "2025-03-01"};
	snprintf(text, sizeof(text), "%s%s]}", PRIMERO, more);
	assert_int_equal(run_as(import_primero, &seen, &options, kw_view_str(text)), KW_OK);
	return seen;
}

static void test_import_primero_case_becomes_a_registration(void **state)
{
	(void)state;
	struct seen seen = primero("");
	assert_int_equal(seen.refusals, 0);
	assert_int_equal(seen.summary.imported, 1);
	assert_string_equal(seen.last_id, "P-1");
	assert_string_equal(seen.ignored, "module_id;");
	holds(seen.last, "\"age\":{\"years\":6,\"asOf\":{\"year\":2025,\"month\":2,\"day\":3}}");
	holds(seen.last, "\"causes\":[\"SEPARATION_CAUSE_CONFLICT\",\"SEPARATION_CAUSE_DEATH\"]");
	holds(seen.last, "\"relatives\":[{\"name\":{\"parts\":[{\"text\":\"Mary\",\"role\":\"NAME_ROLE_OTHER\"},{\"text\":\"Akol\"");
	holds(seen.last, "\"alive\":\"ALIVE_DEAD\",\"age\":{\"years\":30");
}

static void test_import_primero_bad_cases_are_named_and_the_others_go_on(void **state)
{
	(void)state;
	struct seen seen = primero(", 5, {\"case_id\": \"P-3\", \"age\": {}}, {\"case_id\": \"P-4\", \"sex\": \"x\"},"
		"{\"case_id\": \"P-5\", \"family_details_section\": [{\"relation\": \"cousin\"}]}, {\"name_first\": \"A\"}");
	assert_int_equal(seen.summary.rows, 6);
	assert_int_equal(seen.summary.imported, 1);
	assert_int_equal(seen.summary.refused, 5);
	assert_int_equal(seen.first.line, 2);
	holds(seen.first.rule, "must be an object");
}

static void test_import_primero_files_that_are_none_are_refused(void **state)
{
	(void)state;
	static const char *const TEXTS[] = {"", "5", "{\"data\": 5}", "[{\"case_id\": \"a\", \"case_id\": \"b\"}]", "[{]"};
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		struct seen seen = {0};
		struct import_options options = {.kind = IMPORT_REGISTRATION};
		assert_int_equal(run_as(import_primero, &seen, &options, kw_view_str(TEXTS[i])), KW_EFORMAT);
		assert_int_equal(seen.refusals, 1);
	}
}

static void count_column(void *context, const char *name, const char *aliases, const char *field)
{
	assert_true(name[0] && field[0] && aliases);
	++*(size_t *)context;
}

static void test_import_describes_each_column(void **state)
{
	(void)state;
	size_t count = 0;
	import_describe(IMPORT_REGISTRATION, count_column, &count);
	assert_true(count > 50);
	count = 0;
	import_describe(IMPORT_REFERRAL, count_column, &count);
	assert_true(count > 20);
}

static void test_codes_are_found_as_people_write_them(void **state)
{
	(void)state;
	const ProtobufCEnumDescriptor *service = &kinward__v1__service_type__descriptor;
	char text[CODES_SHORT_SIZE];
	static const char *const WORDS[] = {"health_medical", "Health/Medical", "health-medical", "SERVICE_TYPE_HEALTH_MEDICAL"};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(codes_find(service, WORDS[i])->value, 2);
	assert_null(codes_find(service, "unspecified"));
	assert_null(codes_find(service, ""));
	assert_null(codes_find(service, "health"));
	assert_string_equal(codes_short(service, 2, text, sizeof(text)), "health_medical");
	assert_string_equal(codes_short(service, 99, text, sizeof(text)), "99");
	assert_string_equal(codes_list(&kinward__v1__risk__descriptor, text, sizeof(text)), "high medium low");
	assert_string_equal(codes_list(&kinward__v1__risk__descriptor, text, 12), "high medium");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_import_csv_row_becomes_a_registration),
		cmocka_unit_test(test_import_csv_bad_rows_are_named_and_the_others_go_on),
		cmocka_unit_test(test_import_csv_refuses_values_that_break_a_rule),
		cmocka_unit_test(test_import_csv_dates_keep_what_is_known),
		cmocka_unit_test(test_import_csv_age_needs_its_day),
		cmocka_unit_test(test_import_csv_reads_what_spreadsheets_write),
		cmocka_unit_test(test_import_csv_wrong_quotes_refuse_their_row_only),
		cmocka_unit_test(test_import_csv_unknown_columns_are_named_or_with_strict_refused),
		cmocka_unit_test(test_import_csv_defaults_fill_only_what_is_missing),
		cmocka_unit_test(test_import_csv_a_column_under_two_names_is_refused),
		cmocka_unit_test(test_import_csv_files_that_are_none_are_refused),
		cmocka_unit_test(test_import_csv_limits_hold_at_max_and_refuse_beyond),
		cmocka_unit_test(test_import_sink_answers_are_counted_and_an_outage_stops),
		cmocka_unit_test(test_import_csv_row_becomes_a_referral),
		cmocka_unit_test(test_import_febrl_files_come_in_as_they_are),
		cmocka_unit_test(test_import_primero_case_becomes_a_registration),
		cmocka_unit_test(test_import_primero_bad_cases_are_named_and_the_others_go_on),
		cmocka_unit_test(test_import_primero_files_that_are_none_are_refused),
		cmocka_unit_test(test_import_describes_each_column),
		cmocka_unit_test(test_codes_are_found_as_people_write_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
