#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "agent/shell/json.h"
#include "agent/shell/table.h"
#include "kinward/v1/content.pb-c.h"

/* Sheets of any message: what a reading told, and its messages as JSON. */
struct seen {
	enum kw_err err;
	size_t faults, told;
	struct table_fault fault[TABLE_FAULTS_MAX];
	size_t messages, rows;
	char json[65536]; /* the bodies, one after the other */
	size_t first_row; /* of the last message */
	char group[64], agency[64], thread[64], local_id[80];
};

static struct seen SEEN;

static void refused(void *context, const struct table_fault *fault)
{
	struct seen *seen = context;
	assert_in_range(seen->told, 0, TABLE_FAULTS_MAX - 1);
	seen->fault[seen->told++] = *fault;
}

static void keep(struct seen *seen, const ProtobufCFieldDescriptor *kind, const struct table_message *message)
{
	json_t *tree = NULL;
	struct json_fault fault;
	ProtobufCMessage *body = protobuf_c_message_unpack(kind->descriptor, NULL, message->body.size, message->body.data);
	assert_non_null(body);
	assert_int_equal(json_map_write(body, &tree, &fault), KW_OK);
	char *text = json_dumps(tree, JSON_COMPACT);
	size_t used = strlen(seen->json);
	(void)snprintf(seen->json + used, sizeof(seen->json) - used, "%s", text); /* cut where a test looks at less */
	free(text);
	json_decref(tree);
	protobuf_c_message_free_unpacked(body, NULL);
	seen->first_row = message->row;
	(void)snprintf(seen->group, sizeof(seen->group), "%s", message->group);
	(void)snprintf(seen->agency, sizeof(seen->agency), "%s", message->agency);
	(void)snprintf(seen->thread, sizeof(seen->thread), "%s", message->thread);
	(void)snprintf(seen->local_id, sizeof(seen->local_id), "%s", message->local_id);
}

static void read_view(const char *name, struct kw_view text)
{
	struct table *table = NULL;
	struct table_ask ask = {.kind = table_kind(name), .refused = refused, .context = &SEEN};
	assert_non_null(ask.kind);
	memset(&SEEN, 0, sizeof(SEEN));
	SEEN.err = table_read(text, &ask, &table, &SEEN.faults);
	assert_true((SEEN.err == KW_OK) == (table != NULL));
	assert_true((SEEN.err == KW_OK) == (SEEN.faults == 0));
	if (!table)
		return;
	SEEN.messages = table_count(table);
	SEEN.rows = table_rows(table);
	for (size_t i = 0; i < SEEN.messages && i < 8; i++) {
		struct table_message message = table_at(table, i);
		keep(&SEEN, ask.kind, &message);
	}
	table_free(table);
}

static void read_text(const char *name, const char *text)
{
	read_view(name, kw_view_str(text));
}

static void gives(const char *name, const char *text, const char *json)
{
	read_text(name, text);
	if (SEEN.err != KW_OK)
		fail_msg("row %zu, column %s: %s", SEEN.fault[0].row, SEEN.fault[0].column, SEEN.fault[0].rule);
	assert_string_equal(SEEN.json, json);
}

/* Fault i is in this row and column, and its rule has these words. */
static void told(size_t i, size_t row, const char *column, const char *rule)
{
	assert_in_range(SEEN.told, i + 1, TABLE_FAULTS_MAX);
	const struct table_fault *fault = &SEEN.fault[i];
	if (fault->row != row || strcmp(fault->column, column) != 0 || !strstr(fault->rule, rule))
		fail_msg("fault %zu is row %zu, column \"%s\": %s", i, fault->row, fault->column, fault->rule);
}

/* One fault, and no more. */
static void refuses(const char *name, const char *text, size_t row, const char *column, const char *rule)
{
	read_text(name, text);
	for (size_t i = 1; i < SEEN.told; i++)
		print_message("also: row %zu, column %s: %s\n", SEEN.fault[i].row, SEEN.fault[i].column, SEEN.fault[i].rule);
	told(0, row, column, rule);
	assert_int_equal(SEEN.faults, 1);
}

/* --- every message of the catalogue, there and back */

static void print_filled(FILE *out, char separator, json_t *headers, json_t *rows)
{
	for (size_t r = 0; r <= json_array_size(rows); r++) {
		for (size_t i = 0; i < json_array_size(headers); i++) {
			const char *header = json_string_value(json_array_get(headers, i));
			const char *cell = r ? json_string_value(json_object_get(json_array_get(rows, r - 1), header)) : header;
			if (i)
				(void)fputc(separator, out);
			sheet_print(out, separator, cell ? cell : "", r > 0);
		}
		(void)fputs(separator == ';' ? "\r\n" : "\n", out);
	}
}

static void there_and_back(const struct table_form *form, json_t *body, char separator, const char *name)
{
	json_t *headers = NULL, *rows = NULL;
	char *text = NULL;
	size_t size = 0;
	assert_int_equal(table_fill(form, body, &headers, &rows), KW_OK);
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	print_filled(out, separator, headers, rows);
	assert_int_equal(fclose(out), 0);
	read_view(form->kind->name, KW_VIEW(text, size));
	char *wanted = json_dumps(body, JSON_COMPACT);
	if (SEEN.err != KW_OK)
		fail_msg("%s: row %zu, column %s: %s", name, SEEN.fault[0].row, SEEN.fault[0].column, SEEN.fault[0].rule);
	if (SEEN.messages != 1 || strcmp(SEEN.json, wanted) != 0)
		fail_msg("%s: %s became %s", name, wanted, SEEN.json);
	free(wanted);
	free(text);
	json_decref(headers);
	json_decref(rows);
}

/* The body of a file of good messages, in its normal form; gives its kind. */
static const ProtobufCFieldDescriptor *load(const char *path, json_t **out)
{
	ProtobufCMessage *message = NULL, *body = NULL;
	struct json_fault fault;
	json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(file);
	assert_int_equal(json_map_read(&kinward__v1__content__descriptor, file, &message, &fault), KW_OK);
	uint32_t number = (uint32_t)((Kinward__V1__Content *)message)->body_case;
	const ProtobufCFieldDescriptor *kind =
		protobuf_c_message_descriptor_get_field(&kinward__v1__content__descriptor, number);
	assert_non_null(kind);
	memcpy(&body, (const char *)message + kind->offset, sizeof(body));
	assert_int_equal(json_map_write(body, out, &fault), KW_OK);
	protobuf_c_message_free_unpacked(message, NULL);
	json_decref(file);
	return kind;
}

static void test_table_every_good_message_goes_there_and_back(void **state)
{
	(void)state;
	bool met[64] = {false};
	unsigned files = 0, kinds = 0;
	DIR *folder = opendir(KW_TEST_DATA_DIR "/messages/good");
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[512];
		json_t *body = NULL;
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/messages/good/%s", KW_TEST_DATA_DIR, entry->d_name);
		struct table_form form = {.kind = load(path, &body)};
		there_and_back(&form, body, ',', entry->d_name);
		there_and_back(&form, body, '\t', entry->d_name);
		form.rows = "none";
		there_and_back(&form, body, ';', entry->d_name);
		json_decref(body);
		met[form.kind->id] = true;
		files++;
	}
	(void)closedir(folder);
	const ProtobufCFieldDescriptor *kind;
	for (; (kind = table_kind_at(kinds)) != NULL; kinds++)
		if (!met[kind->id])
			fail_msg("no good message of %s", kind->name);
	assert_in_range(files, kinds, 1000);
	assert_int_equal(kinds, 31);
}

struct sheet {
	char *text;
	size_t size;
	FILE *out;
	bool comments;
	unsigned count, blank;
};

static void on_column(void *context, const char *header, const char *comment)
{
	struct sheet *sheet = context;
	if (sheet->count++)
		(void)fputc(',', sheet->out);
	if (sheet->comments)
		(void)fputs("# ", sheet->out);
	sheet_print(sheet->out, ',', sheet->comments ? "x" : header, false);
	sheet->blank += strlen(comment) < 4 ? 1 : 0;
}

static void test_table_reads_each_template_and_its_comments_are_no_data(void **state)
{
	(void)state;
	const ProtobufCFieldDescriptor *kind;
	for (unsigned i = 0; (kind = table_kind_at(i)) != NULL; i++) {
		for (unsigned repeats = 0; repeats < 3; repeats++) {
			struct sheet sheet = {.text = NULL};
			struct table_form form = {.kind = kind, .repeats = repeats, .required = repeats == 2};
			sheet.out = open_memstream(&sheet.text, &sheet.size);
			assert_int_equal(table_columns(&form, on_column, &sheet), KW_OK);
			sheet.comments = true;
			(void)fputc('\n', sheet.out);
			sheet.count = 0;
			assert_int_equal(table_columns(&form, on_column, &sheet), KW_OK);
			(void)fputc('\n', sheet.out);
			assert_int_equal(fclose(sheet.out), 0);
			assert_in_range(sheet.count, 2, TABLE_COLUMNS_MAX);
			assert_int_equal(sheet.blank, 0);
			read_view(kind->name, KW_VIEW(sheet.text, sheet.size));
			told(0, 0, "", "has no row of data");
			assert_int_equal(SEEN.faults, 1);
			free(sheet.text);
		}
	}
}

static char COMMENT[2048];

static void on_wanted(void *context, const char *header, const char *comment)
{
	if (strcmp(header, context) == 0)
		(void)snprintf(COMMENT, sizeof(COMMENT), "%s", comment);
}

static const char *comment_of(const char *kind, const char *rows, const char *header)
{
	struct table_form form = {.kind = table_kind(kind), .rows = rows};
	COMMENT[0] = '\0';
	assert_int_equal(table_columns(&form, on_wanted, (void *)(uintptr_t)header), KW_OK);
	return COMMENT;
}

static void test_table_comments_say_what_to_fill_in(void **state)
{
	(void)state;
	assert_string_equal(comment_of("SeparationReport", NULL, "week"),
		"Required. The week, ISO 8601 week such as 2026-W48.");
	assert_string_equal(comment_of("SeparationReport", NULL, "cases[].sex"),
		"Required with cases[]. Sex. One of: female, male, other, unknown.");
	assert_string_equal(comment_of("SeparationReport", "none", "cases[2].local_number"),
		"Required with cases[2]. The focal point's own number of the child, 1..9999.");
	assert_string_equal(comment_of("SeparationReport", NULL, "zero_report"),
		"True when there was no case; then there are no cases. yes or no.");
	assert_string_equal(comment_of("ReferralRequest", "children", "children[].age.years"),
		"Fill in one: years or range. Completed years, 0..120; 0 is an infant.");
	assert_string_equal(comment_of("ReferralRequest", NULL, "children[1].age.as_of"),
		"Required. The day on which that was the age, not after that of the message. A date: 2026-11-24, 2026-11 or 2026.");
	assert_string_equal(comment_of("ReferralRequest", NULL, "reason"),
		"Required. Why the service is needed, 1..4000 bytes, line breaks allowed.");
	/* A state below the least that is sent is not offered. */
	assert_null(strstr(comment_of("ReferralEvent", NULL, "state"), "queued"));
	assert_non_null(strstr(COMMENT, "acknowledged, accepted"));
	assert_non_null(strstr(comment_of("ReferralEvent", NULL, "at_unix_ms"), "2026-11-24T14:00+03:00"));
	assert_non_null(strstr(comment_of("RapidAssessment", NULL, "causes"), "Several: put ; between them."));
	struct table_form form = {.kind = table_kind("SeparationReport"), .rows = "week"};
	assert_int_equal(table_columns(&form, on_wanted, (void *)(uintptr_t) "week"), KW_EFIELD);
}

/* --- cells */

#define QUERY "{\"service\":\"SERVICE_TYPE_SHELTER\",\"admin2Pcode\":\"SS0101\"}"

static void test_table_reads_csv_as_spreadsheets_write_it(void **state)
{
	(void)state;
	gives("CapacityQuery", "service,admin2_pcode\nshelter,SS0101\n", QUERY);
	gives("capacity_query", "\xef\xbb\xbfservice;admin2_pcode\r\nShelter;SS0101\r\n;\r\n\r\n", QUERY);
	gives("capacity-query", "service\tadmin2_pcode\nSERVICE_TYPE_SHELTER\tSS0101", QUERY);
	gives("CapacityQuery", "service,admin2_pcode\rshelter,SS0101\rshelter,SS0101\r", QUERY QUERY);
	assert_int_equal(SEEN.first_row, 3);
	gives("CapacityQuery", " Service , Admin2 Pcode ,#mine,\n\" shelter \", SS0101 ,\"any\nthing\",\n", QUERY);
	gives("SeparationSurvey", "method,stratum_pcode,start,end,households,children,note\r\n"
		"census,SS01,2026-10-01,2026-10-02,10,9,\"say \"\"hi\"\"\r\nand; more, too\"\r\n",
		"{\"method\":\"SURVEY_METHOD_CENSUS\",\"stratumPcode\":\"SS01\",\"start\":{\"year\":2026,\"month\":10,\"day\":1},"
		"\"end\":{\"year\":2026,\"month\":10,\"day\":2},\"households\":10,\"children\":9,"
		"\"note\":\"say \\\"hi\\\"\\nand; more, too\"}");
}

static void test_table_counts_rows_as_spreadsheets_do(void **state)
{
	(void)state;
	/* A line feed in quotes, an empty row and a comment: each is one row. */
	refuses("CapacityQuery", "service,admin2_pcode,#note\nshelter,SS0101,\"two\nlines\"\n\n# a comment,,\nshelter,ss,\n", 5,
		"admin2_pcode", "must be a P-code");
	refuses("CapacityQuery", "service,admin2_pcode\nshelter,SS01\nshelter\n", 3, "", "has 1 cells where the first row has 2");
	refuses("CapacityQuery", "service,admin2_pcode\nshelter,\"SS01\"x\nshelter,SS01\n", 2, "", "has a quote in the wrong place");
	refuses("CapacityQuery", "service,admin2_pcode\nshelter,SS01\nshelter,\"SS01\n", 3, "", "never closed");
	/* What is found late stands in its row's place. */
	read_text("CapacityQuery", "service,admin2_pcode\nshelter,x\nshelter\nhouse,y\n");
	assert_int_equal(SEEN.faults, 4);
	told(0, 2, "admin2_pcode", "must be a P-code");
	told(1, 3, "", "has 1 cells");
	told(2, 4, "service", "is no known code");
	told(3, 4, "admin2_pcode", "must be a P-code");
	/* Only a row in which all begins with # is a comment. */
	refuses("CapacityQuery", "service,admin2_pcode\n#1,SS01\n", 2, "service", "is no known code");
}

static void test_table_cells_of_each_kind(void **state)
{
	(void)state;
#define EVENT "state,at_unix_ms\naccepted,"
#define EVENT_IS(ms) "{\"state\":\"REFERRAL_STATE_ACCEPTED\",\"atUnixMs\":\"" ms "\"}"
	gives("ReferralEvent", EVENT "2026-11-24T14:00+03:00\n", EVENT_IS("1795518000000"));
	gives("ReferralEvent", EVENT "2026-11-24 11:00Z\n", EVENT_IS("1795518000000"));
	gives("ReferralEvent", EVENT "2026-11-24T08:30:15.250 -02:30\n", EVENT_IS("1795518015250"));
	gives("ReferralEvent", EVENT "2024-02-29\n", EVENT_IS("1709164800000"));
	refuses("ReferralEvent", EVENT "2026-11-24T14:00\n", 2, "at_unix_ms", "must have its zone");
	refuses("ReferralEvent", EVENT "24/11/2026\n", 2, "at_unix_ms", "must be a time such as");
	refuses("ReferralEvent", EVENT "2026-02-29\n", 2, "at_unix_ms", "must be a time such as");
	refuses("ReferralEvent", EVENT "2026-11-24T24:00Z\n", 2, "at_unix_ms", "must be a time such as");
	refuses("ReferralEvent", EVENT "2026-11-24T14:00+15:00\n", 2, "at_unix_ms", "must be a time such as");
	refuses("ReferralEvent", EVENT "1969-12-31\n", 2, "at_unix_ms", "must be after 1970");
	refuses("ReferralEvent", EVENT "\n", 2, "at_unix_ms", "must be milliseconds");
#define CLOSED "state,referral_thread_id\nleased,"
	gives("OfferClosed", CLOSED "000102030405060708090A0b0c0d0e0f\n",
		"{\"state\":\"OFFER_STATE_LEASED\",\"referralThreadId\":\"AAECAwQFBgcICQoLDA0ODw==\"}");
	refuses("OfferClosed", CLOSED "0001\n", 2, "referral_thread_id", "must be 16 bytes");
	refuses("OfferClosed", CLOSED "AAECAwQFBgcICQoLDA0ODw==\n", 2, "referral_thread_id", "must be 32 hex digits");
#define RAPID "site_pcode,date,method,communities,site_specific,separation_seen,no_adult,confidence,causes\nSS01,"
#define RAPID_END ",direct_observation,3,YES,yes,1 to 5,low,"
	gives("RapidAssessment", RAPID "2026-11" RAPID_END "\"poverty; Death, conflict\"\n",
		"{\"sitePcode\":\"SS01\",\"date\":{\"year\":2026,\"month\":11},\"method\":\"ASSESSMENT_METHOD_DIRECT_OBSERVATION\","
		"\"communities\":3,\"siteSpecific\":true,\"separationSeen\":\"ANSWER_YES\",\"causes\":[\"SEPARATION_CAUSE_POVERTY\","
		"\"SEPARATION_CAUSE_DEATH\",\"SEPARATION_CAUSE_CONFLICT\"],\"noAdult\":\"COUNT_BAND_1_TO_5\","
		"\"confidence\":\"SOURCE_CONFIDENCE_LOW\"}");
	refuses("RapidAssessment", RAPID "2026-13" RAPID_END "\n", 2, "date", "must be a date that is");
	refuses("RapidAssessment", RAPID "2026-02-30" RAPID_END "\n", 2, "date", "must be a date that is");
	refuses("RapidAssessment", RAPID "1899" RAPID_END "\n", 2, "date", "must be 1900 to 2100");
	refuses("RapidAssessment", RAPID "2026" RAPID_END "poverty;greed\n", 2, "causes", "is no known code; one of: conflict");
	refuses("RapidAssessment", RAPID "2026,direct_observation,4294967296,yes,no,none,low,\n", 2, "communities",
		"must be a whole number, 1 to 100000");
	refuses("RapidAssessment", RAPID "2026,direct_observation,100001,yes,no,none,low,\n", 2, "communities",
		"must be 1 to 100000");
	refuses("RapidAssessment", RAPID "2026,direct_observation,3,perhaps,no,none,low,\n", 2, "site_specific",
		"must be yes or no");
	refuses("CapacityQuery", "service,admin2_pcode\nshelter,\xff\n", 2, "admin2_pcode", "must be UTF-8");
	refuses("CapacityQuery", "\xff\xfes\0", 0, "", "is UTF-16");
}

static void test_table_cells_that_a_spreadsheet_runs_are_guarded(void **state)
{
	(void)state;
	static const struct {
		const char *text, *printed, *harmless;
	} CASES[] = {
		{"=1+1", "'=1+1", "=1+1"}, {"+211 9", "'+211 9", "+211 9"}, {"-x", "'-x", "-x"}, {"@a", "'@a", "@a"},
		{"'=1", "''=1", "'=1"}, {"\tx", "\"'\tx\"", "\"\tx\""}, {"'quoted'", "'quoted'", "'quoted'"},
		{"1=1", "1=1", "1=1"}, {"", "", ""}, {"a,b", "\"a,b\"", "\"a,b\""}, {"=a\"b", "\"'=a\"\"b\"", "\"=a\"\"b\""},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		for (int from_data = 0; from_data < 2; from_data++) {
			char out[64] = "";
			FILE *file = fmemopen(out, sizeof(out), "w");
			sheet_print(file, ',', CASES[i].text, from_data);
			assert_int_equal(fclose(file), 0);
			assert_string_equal(out, from_data ? CASES[i].printed : CASES[i].harmless);
		}
	}
	/* What is taken off is one ', and only before what would be run. */
	gives("SeparationReport", "week,village_pcode,focal_point_code,zero_report\n2026-W48,SS01,'=FP,yes\n2026-W48,SS01,''+FP,yes\n"
		"2026-W48,SS01,'FP',yes\n",
		"{\"week\":\"2026-W48\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"=FP\",\"zeroReport\":true}"
		"{\"week\":\"2026-W48\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"'+FP\",\"zeroReport\":true}"
		"{\"week\":\"2026-W48\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"'FP'\",\"zeroReport\":true}");
}

/* --- rows of one message, and where its faults are */

#define REPORT "#group,week,village_pcode,focal_point_code,cases[].local_number,cases[].sex,cases[].age_band,cases[].status," \
	"cases[].direction\n"
#define CASE_IS(number, sex) "{\"localNumber\":" number ",\"sex\":\"SEX_" sex "\",\"ageBand\":\"AGE_BAND_0_TO_5\"," \
	"\"status\":\"SEPARATION_STATUS_SEPARATED\",\"direction\":\"SEPARATION_DIRECTION_ARRIVED\"}"

static void test_table_rows_of_one_group_form_one_message(void **state)
{
	(void)state;
	gives("SeparationReport", REPORT "a,2026-W48,SS01,FP,1,girl,0_to_5,separated,arrived\n"
		"b,2026-W49,SS02,FQ,7,f,0_to_5,separated,arrived\n"
		"a,,,,2,m,0_to_5,separated,arrived\n"
		"a,2026-W48,SS01,FP,3,f,0_to_5,separated,arrived\n"
		",2026-W50,SS01,FP,1,f,0_to_5,separated,arrived\n"
		",2026-W50,SS01,FP,1,f,0_to_5,separated,arrived\n",
		"{\"week\":\"2026-W48\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"FP\",\"cases\":[" CASE_IS("1", "FEMALE") ","
		CASE_IS("2", "MALE") "," CASE_IS("3", "FEMALE") "]}"
		"{\"week\":\"2026-W49\",\"villagePcode\":\"SS02\",\"focalPointCode\":\"FQ\",\"cases\":[" CASE_IS("7", "FEMALE") "]}"
		"{\"week\":\"2026-W50\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"FP\",\"cases\":[" CASE_IS("1", "FEMALE") "]}"
		"{\"week\":\"2026-W50\",\"villagePcode\":\"SS01\",\"focalPointCode\":\"FP\",\"cases\":[" CASE_IS("1", "FEMALE") "]}");
	assert_int_equal(SEEN.messages, 4);
	assert_int_equal(SEEN.rows, 6);
	assert_int_equal(SEEN.first_row, 7);
	refuses("SeparationReport", REPORT "a,2026-W48,SS01,FP,1,f,0_to_5,separated,arrived\n"
		"a,2026-W49,,,2,f,0_to_5,separated,arrived\n", 3, "week", "says something else than before");
	refuses("CapacityQuery", "#group,#to,service,admin2_pcode\na,agency-b,shelter,SS01\na,agency-c,,\n", 3, "#to",
		"says something else than another row");
}

static void test_table_gaps_between_parts_close_and_faults_find_their_column(void **state)
{
	(void)state;
#define HEAD "case_ref,service,risk,reason,referrer.name,consent.services,consent.share_other_orgs,consent.obtained_from," \
	"children[2].code,children[2].age.years,children[2].age.as_of,children[2].sex,children[4].name.parts[1].text," \
	"children[4].name.parts[1].role,children[4].name.parts[3].text,children[4].name.parts[3].role,children[4].age.years," \
	"children[4].age.as_of,children[4].sex\n"
#define ROW "K-1,shelter,low,Alone,Jo,yes,yes,caregiver,A-1,9,2026,f,"
	gives("ReferralRequest", HEAD ROW "Amina,given,Deng,family,0,2026-11-24,f\n",
		"{\"caseRef\":\"K-1\",\"service\":\"SERVICE_TYPE_SHELTER\",\"risk\":\"RISK_LOW\",\"reason\":\"Alone\",\"children\":["
		"{\"code\":\"A-1\",\"age\":{\"years\":9,\"asOf\":{\"year\":2026}},\"sex\":\"SEX_FEMALE\"},"
		"{\"name\":{\"parts\":[{\"text\":\"Amina\",\"role\":\"NAME_ROLE_GIVEN\"},{\"text\":\"Deng\",\"role\":\"NAME_ROLE_FAMILY\"}]},"
		"\"age\":{\"years\":0,\"asOf\":{\"year\":2026,\"month\":11,\"day\":24}},\"sex\":\"SEX_FEMALE\"}],"
		"\"referrer\":{\"name\":\"Jo\"},\"consent\":{\"services\":\"CONSENT_ANSWER_GIVEN\",\"shareOtherOrgs\":"
		"\"CONSENT_ANSWER_GIVEN\",\"obtainedFrom\":\"CONSENT_SOURCE_CAREGIVER\"}}");
	refuses("ReferralRequest", HEAD ROW "Amina,given,Deng,,9,2026,f\n", 2, "children[4].name.parts[3].role", "is required");
	assert_string_equal(SEEN.fault[0].field, "children[1].name.parts[1].role");
	refuses("ReferralRequest", HEAD ROW "Amina,given,,,121,2026,f\n", 2, "children[4].age.years", "must be 0 to 120");
	refuses("ReferralRequest", HEAD ROW "Amina,given,,,9,,f\n", 2, "children[4].age.as_of", "is required");
	refuses("ReferralRequest", HEAD ROW ",,,,9,2026,f\n", 2, "children[4].name.parts[1].text", "a name or a code is required");
	assert_string_equal(SEEN.fault[0].field, "children[1].name");
	/* A cell that cannot be read is told once, not also as missing; the others are looked at all the same. */
	read_text("ReferralRequest", HEAD "K-1,shelter,low,,Jo,yes,yes,nobody,A-1,9,2026,f,Amina,given,,,9,24.11.2026,x\n");
	assert_int_equal(SEEN.faults, 4);
	told(0, 2, "consent.obtained_from", "is no known code; one of: individual caregiver other");
	told(1, 2, "children[4].age.as_of", "must be a date that is");
	told(2, 2, "children[4].sex", "is no known code");
	told(3, 2, "reason", "is required");
	/* A column that the file lacks is named as the template has it. */
	refuses("SeparationReport", "week,village_pcode,zero_report\n2026-W48,SS01,yes\n", 2, "focal_point_code",
		"is required; fill it in (the file has no such column");
	refuses("SeparationReport", "week,village_pcode,focal_point_code\n2026-W48,SS01,F\n", 2, "zero_report",
		"must be true when there is no case");
}

static void test_table_headers_that_are_wrong_refuse_the_file(void **state)
{
	(void)state;
	static const struct {
		const char *header, *column, *rule;
	} CASES[] = {
		{"weak", "weak", "is no known column; correct it, or put # before its name to have it ignored; SeparationReport has week"},
		{"cases[1].sexe", "cases[1].sexe", "SeparationCase has local_number sex"},
		{"cases[0].sex", "cases[0].sex", "is outside of cases[1] to cases[64]"},
		{"cases[65].sex", "cases[65].sex", "is outside of cases[1] to cases[64]"},
		{"cases.sex", "cases.sex", "needs a number: cases[1] side by side, or cases[] for one a row"},
		{"cases[1]", "cases[1]", "has parts, and each is a column of its own, such as cases[1].local_number"},
		{"cases", "cases", "has parts"},
		{"week[1]", "week[1]", "has a number, but a message has one week"},
		{"week.year", "week.year", "goes on behind week, which has no parts"},
		{"cases[x].sex", "cases[x].sex", "has no number in its brackets"},
		{"cases[1]x.sex", "cases[1]x.sex", "has something behind its brackets"},
		{"cases[1].sex,cases[].age_band", "cases[1].sex", "has a number where another column has cases[]"},
		{"week,WEEK", "WEEK", "is there twice"},
		{"#to,week,#to", "#to", "is there twice"},
		{"#a,", "", "has no column of separation_report in its first row"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), "%s\n", CASES[i].header);
		refuses("SeparationReport", text, 1, CASES[i].column, CASES[i].rule);
	}
	refuses("SeparationReport", "", 0, "", "is empty");
	refuses("SeparationReport", "week\n", 0, "", "has no row of data");
	refuses("CapacityQuery", "service,admin2_pcode,\nshelter,SS01,lost\n", 2, "", "has something in column 3, which has no name");
	assert_null(table_kind("Consent"));
	assert_null(table_kind("message_id"));
	assert_null(table_kind(""));
}

static void test_table_the_way_is_checked(void **state)
{
	(void)state;
	gives("CapacityQuery", "#to,#thread,service,admin2_pcode\nagency-b,000102030405060708090a0b0c0d0e0f,shelter,SS0101\n", QUERY);
	assert_string_equal(SEEN.agency, "agency-b");
	assert_string_equal(SEEN.thread, "000102030405060708090a0b0c0d0e0f");
	refuses("CapacityQuery", "#to,service,admin2_pcode\nAgency B,shelter,SS0101\n", 2, "#to", "must be an agency's name");
	refuses("CapacityQuery", "#thread,service,admin2_pcode\n77,shelter,SS0101\n", 2, "#thread", "32 hex digits");
	char text[256], id[TABLE_ID_SIZE_MAX + 2];
	memset(id, 'i', sizeof(id));
	for (unsigned over = 0; over < 2; over++) {
		id[TABLE_ID_SIZE_MAX + over] = '\0';
		(void)snprintf(text, sizeof(text), "#id,service,admin2_pcode\n%s,shelter,SS0101\n", id);
		read_text("CapacityQuery", text);
		assert_int_equal(SEEN.faults, over);
		if (over)
			told(0, 2, "#id", "must be 1 to 64 bytes");
		else
			assert_string_equal(SEEN.local_id, id);
		memset(id, 'i', sizeof(id));
	}
}

/* --- limits */

/* `head`, then `count` times `row`. */
static struct kw_buf many(const char *head, const char *row, size_t count)
{
	struct kw_buf text;
	kw_buf_init(&text, 256u * 1024u * 1024u);
	assert_int_equal(kw_buf_add(&text, kw_view_str(head)), KW_OK);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(kw_buf_add(&text, kw_view_str(row)), KW_OK);
	return text;
}

/* So many rows, 50 a message. */
static struct kw_buf reports(size_t count)
{
	struct kw_buf text;
	char row[128];
	kw_buf_init(&text, 64u * 1024u * 1024u);
	assert_int_equal(kw_buf_add(&text, kw_view_str(REPORT)), KW_OK);
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(row, sizeof(row), "g%zu,2026-W48,SS01,FP,%zu,f,0_to_5,separated,arrived\n", i / 50, i % 50 + 1);
		assert_int_equal(kw_buf_add(&text, kw_view_str(row)), KW_OK);
	}
	return text;
}

static void test_table_limits_hold_at_max_and_refuse_beyond(void **state)
{
	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		struct kw_buf text = reports(TABLE_ROWS_MAX + over);
		read_view("SeparationReport", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.err, over ? KW_ETOOBIG : KW_OK);
		assert_int_equal(SEEN.rows, over ? 0 : TABLE_ROWS_MAX);
		if (over)
			told(0, TABLE_ROWS_MAX + 2, "", "is one more than the 100000 rows");

		text = many("service,admin2_pcode\n", "shelter,SS0101\n", TABLE_MESSAGES_MAX + over);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.err, over ? KW_ETOOBIG : KW_OK);
		assert_int_equal(SEEN.messages, over ? 0 : TABLE_MESSAGES_MAX);
		if (over)
			told(0, TABLE_MESSAGES_MAX + 2, "", "is one more than the 4096 messages");

		text = many("service,admin2_pcode", ",#x", TABLE_COLUMNS_MAX - 2 + over);
		assert_int_equal(kw_buf_add(&text, kw_view_str("\nshelter,SS0101")), KW_OK);
		for (size_t i = 0; i < TABLE_COLUMNS_MAX - 2 + over; i++)
			assert_int_equal(kw_buf_add_u8(&text, ','), KW_OK);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.err, over ? KW_ETOOBIG : KW_OK);
		if (over)
			told(0, 1, "", "has more than 2048 columns");

		text = many("service,admin2_pcode,#x\nshelter,SS0101,", "x", TABLE_CELL_SIZE_MAX + over);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.faults, over);
		if (over)
			told(0, 2, "#x", "is longer than 8192 bytes");

		text = many("service,admin2_pcode,#", "x", TABLE_HEADER_SIZE_MAX - 1 + over);
		assert_int_equal(kw_buf_add(&text, kw_view_str("\nshelter,SS0101,\n")), KW_OK);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.faults, over);
		if (over)
			told(0, 1, SEEN.fault[0].column, "is longer than 127 bytes");

		text = many("service,admin2_pcode\n", "x,SS01\n", TABLE_FAULTS_MAX + over);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.told, TABLE_FAULTS_MAX);
		assert_int_equal(SEEN.faults, TABLE_FAULTS_MAX + over);
		told(TABLE_FAULTS_MAX - 1, TABLE_FAULTS_MAX + 1, "service", "is no known code");
	}
}

static void test_table_limits_of_files_and_rows(void **state)
{
	(void)state;
	static char line[1024 * 1024 + 1];
	memset(line, '#', sizeof(line) - 1);
	line[sizeof(line) - 2] = '\n';
	struct kw_buf text = many("service,admin2_pcode\nshelter,SS0101\n", line, 63);
	while (text.size < TABLE_FILE_SIZE_MAX)
		assert_int_equal(kw_buf_add(&text, KW_VIEW(text.size % 1024 ? "\n" : line + sizeof(line) - 1025,
			text.size % 1024 ? 1 : 1024)), KW_OK);
	assert_int_equal(text.size, TABLE_FILE_SIZE_MAX);
	read_view("CapacityQuery", kw_buf_view(&text));
	assert_int_equal(SEEN.err, KW_OK);
	assert_int_equal(SEEN.messages, 1);
	assert_int_equal(kw_buf_add_u8(&text, '\n'), KW_OK);
	read_view("CapacityQuery", kw_buf_view(&text));
	assert_int_equal(SEEN.err, KW_ETOOBIG);
	told(0, 0, "", "is larger than 64 MiB");
	kw_buf_fini(&text);
	/* A row is at most 4 MiB with the terminators of its cells. */
	for (unsigned over = 0; over < 2; over++) {
		text = many("service,admin2_pcode\nshelter,SS0101\n#", "#", SHEET_ROW_SIZE_MAX - 2 + over);
		read_view("CapacityQuery", kw_buf_view(&text));
		kw_buf_fini(&text);
		assert_int_equal(SEEN.err, over ? KW_ETOOBIG : KW_OK);
		if (over)
			told(0, 3, "", "is larger than 4 MiB");
	}
	/* More parts than a message may have, one a row. */
	text = many(REPORT "a,2026-W48,SS01,FP,,,,,\n", "a,,,,1,f,0_to_5,separated,arrived\n", 65);
	read_view("SeparationReport", kw_buf_view(&text));
	kw_buf_fini(&text);
	told(0, 2, "cases[].local_number", "must be given 0 to 64 times");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_every_good_message_goes_there_and_back),
		cmocka_unit_test(test_table_reads_each_template_and_its_comments_are_no_data),
		cmocka_unit_test(test_table_comments_say_what_to_fill_in),
		cmocka_unit_test(test_table_reads_csv_as_spreadsheets_write_it),
		cmocka_unit_test(test_table_counts_rows_as_spreadsheets_do),
		cmocka_unit_test(test_table_cells_of_each_kind),
		cmocka_unit_test(test_table_cells_that_a_spreadsheet_runs_are_guarded),
		cmocka_unit_test(test_table_rows_of_one_group_form_one_message),
		cmocka_unit_test(test_table_gaps_between_parts_close_and_faults_find_their_column),
		cmocka_unit_test(test_table_headers_that_are_wrong_refuse_the_file),
		cmocka_unit_test(test_table_the_way_is_checked),
		cmocka_unit_test(test_table_limits_hold_at_max_and_refuse_beyond),
		cmocka_unit_test(test_table_limits_of_files_and_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
