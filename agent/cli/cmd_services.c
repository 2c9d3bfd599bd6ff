#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/cli/services.h"
#include "agent/shell/table.h"

/* kinward services, services publish, capacity ask, capacity answer: who offers what, where, and whether there is a place. */

enum { SERVICE, AT, AGE, SEX, LANGUAGE };

const struct cli_option CLI_SERVICES_OPTIONS[] = {
	[SERVICE] = {"service", "CODE", "only this service, such as shelter"},
	[AT] = {"at", "PCODE", "where it is needed; the nearest come first"},
	[AGE] = {"age", "YEARS", "age of the person"},
	[SEX] = {"sex", "CODE", "sex of the person"},
	[LANGUAGE] = {"language", "CODE", "a language that must be spoken, ISO 639-3 such as apd"},
	{NULL, NULL, NULL},
};

enum { TO };

const struct cli_option CLI_PUBLISH_OPTIONS[] = {
	[TO] = {"to", "AGENCY,...", "to these agencies only; default: to all"},
	{NULL, NULL, NULL},
};

enum { ASK_SERVICE, ASK_AT, ASK_BAND };

const struct cli_option CLI_CAPACITY_ASK_OPTIONS[] = {
	[ASK_SERVICE] = {"service", "CODE", "the service; required"},
	[ASK_AT] = {"at", "PCODE", "area at level 2 where it is needed; required"},
	[ASK_BAND] = {"age-band", "CODE", "0_to_5, 6_to_11, 12_to_14, 15_to_17 or 18_or_more; default: any"},
	{NULL, NULL, NULL},
};

enum { ANSWER_CAPACITY, ANSWER_UNTIL, ANSWER_WAIT };

const struct cli_option CLI_CAPACITY_ANSWER_OPTIONS[] = {
	[ANSWER_CAPACITY] = {"capacity", "CODE", "available, waitlist or none; required"},
	[ANSWER_UNTIL] = {"until", "TIME", "until when it may be relied on, as 2025-03-01T14:00+03:00; required with available"},
	[ANSWER_WAIT] = {"wait-days", "DAYS", "with waitlist: days to wait"},
	{NULL, NULL, NULL},
};

/* ------------------------------------------------------------------------------------------------------------- services */

int cli_services_ask(struct cli_call *call, struct kinward *agent, Kinward__V1__ServicesRequest *services,
	Kinward__V1__LocalReply **reply)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SERVICES;
	request.services = services;
	return cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_SERVICES, reply);
}

static void print_marks(FILE *out, const Kinward__V1__ServiceRow *row)
{
	const struct {
		bool set;
		const char *text;
	} marks[] = {{row->dormant, "DORMANT"}, {row->full, "FULL"}, {row->stale, "STALE"}, {row->inactive, "not offered now"}, {row->wrong_age, "not for this age"},
		{row->wrong_sex, "not for this sex"}, {row->wrong_language, "language not spoken"}, {row->far, "far"},
		{row->own, "ours"}};
	bool any = false;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (!marks[i].set)
			continue;
		(void)fprintf(out, "%s%s", any ? ", " : "  [", marks[i].text);
		any = true;
	}
	(void)fputs(any ? "]\n" : "\n", out);
}

/* One line: agency, service, capacity, wait, area and place, ages, assured, marks. */
void cli_print_service(FILE *out, const Kinward__V1__ServiceRow *row)
{
	const Kinward__V1__DirectoryService *service = row->service;
	if (!service)
		return;
	cli_print_text(out, row->agency);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__service_type__descriptor, (int)service->type);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__capacity__descriptor, (int)row->capacity);
	if (row->wait_days)
		(void)fprintf(out, "  wait %" PRIu32 " d", row->wait_days);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__service_area__descriptor, (int)row->area);
	for (size_t i = 0; i < service->n_locations; i++) {
		(void)fputc(i == 0 ? ' ' : ',', out);
		cli_print_text(out, service->locations[i]->pcode);
	}
	(void)fputs("  ages ", out);
	if (service->maximum_age)
		(void)fprintf(out, "%" PRIu32 "-%" PRIu32, service->minimum_age, service->maximum_age);
	else
		(void)fprintf(out, "%" PRIu32 "+", service->minimum_age);
	(void)fputs(row->answered ? "  answered " : "  assured ", out);
	cli_print_time(out, row->assured_unix_ms);
	if (service->eligibility[0]) {
		(void)fputs("  ", out);
		cli_print_text(out, service->eligibility);
	}
	print_marks(out, row);
}

int cli_services_need(struct cli_call *call, const struct cli_need *need, Kinward__V1__ServicesRequest *out)
{
	uint64_t age = 0;
	int service = 0, sex = 0, code = CLI_OK;
	if (need->service)
		code = cli_code_option(call, &kinward__v1__service_type__descriptor, "--service", need->service, &service);
	if (code == CLI_OK && need->sex)
		code = cli_code_option(call, &kinward__v1__sex__descriptor, "--sex", need->sex, &sex);
	if (code != CLI_OK)
		return code;
	if (need->age && cli_number_from(need->age, 0, 120, &age) != KW_OK)
		return cli_fail_usage(call, "--age is 0 to 120");
	out->service = (Kinward__V1__ServiceType)service;
	/* Who serves one sex only is not asked for a person of no known one. */
	out->sex = sex == KINWARD__V1__SEX__SEX_UNKNOWN ? KINWARD__V1__SEX__SEX_UNSPECIFIED : (Kinward__V1__Sex)sex;
	out->has_age = need->age != NULL;
	out->age = (uint32_t)age;
	if (need->at)
		out->pcode = (char *)(uintptr_t)need->at; /* borrowed; protobuf-c changes nothing */
	if (need->language)
		out->language = (char *)(uintptr_t)need->language;
	return CLI_OK;
}

int cli_run_services(struct cli_call *call)
{
	Kinward__V1__ServicesRequest services = KINWARD__V1__SERVICES_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	struct cli_need need = {call->option[SERVICE], call->option[AT], call->option[AGE], call->option[SEX], call->option[LANGUAGE]};
	int code = cli_services_need(call, &need, &services);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_services_ask(call, &agent, &services, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->services->base);
	} else if (code == CLI_OK) {
		for (size_t i = 0; i < reply->services->n_rows; i++)
			cli_print_service(call->out, reply->services->rows[i]);
		if (reply->services->n_rows == 0)
			(void)fputs("No such service is known here; agencies say what they offer with kinward services publish.\n", call->err);
		if (reply->services->more)
			(void)fputs("There are more: name the service and the place.\n", call->err);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

/* -------------------------------------------------------------------------------------------------------------- publish */

static void print_fault(void *context, const struct table_fault *fault)
{
	struct cli_call *call = context;
	(void)fprintf(call->err, "row %zu, column ", fault->row);
	cli_print_text(call->err, fault->column);
	(void)fprintf(call->err, ": %s\n", fault->rule);
}

static int directory_from_csv(struct cli_call *call, struct kw_view text, ProtobufCMessage **out)
{
	struct table_ask ask = {.kind = table_kind("service_directory"), .refused = print_fault, .context = call};
	struct table *table = NULL;
	struct table_message message;
	size_t faults = 0;
	enum kw_err err = table_read(text, &ask, &table, &faults);
	if (err != KW_OK)
		return cli_fail_err(call, err, "Nothing was published; correct the file and try again. kinward template service_directory "
					       "prints one to fill in.");
	if (table_count(table) != 1) {
		table_free(table);
		return cli_fail_usage(call, "the file holds one directory: give all its rows the same word in #group");
	}
	message = table_at(table, 0);
	*out = (ProtobufCMessage *)kinward__v1__service_directory__unpack(NULL, message.body.size, message.body.data);
	table_free(table);
	return *out ? CLI_OK : cli_fail_err(call, KW_ENOMEM, NULL);
}

static int read_directory(struct cli_call *call, ProtobufCMessage **out)
{
	struct kw_buf text;
	struct json_fault fault;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, call->args[0], &text);
	const char *ending = strrchr(call->args[0], '.');
	if (code == CLI_OK && ending && strcmp(ending, ".csv") == 0) {
		code = directory_from_csv(call, kw_buf_view(&text), out);
	} else if (code == CLI_OK) {
		enum kw_err err = json_map_parse(&kinward__v1__service_directory__descriptor, kw_buf_view(&text), out, &fault);
		if (err != KW_OK)
			code = cli_fail_json(call, err, call->args[0], &fault);
	}
	kw_buf_fini(&text);
	return code;
}

/* "a,b,c" into the request; the texts live in `copy`. */
static int split_agencies(struct cli_call *call, char *copy, size_t size, char **names, size_t *count)
{
	const char *text = call->option[TO];
	if (!text || strcmp(text, "all") == 0)
		return CLI_OK;
	if (strlen(text) >= size)
		return cli_fail_usage(call, "--to names too many agencies; leave it out for all");
	memcpy(copy, text, strlen(text) + 1);
	char *rest = NULL;
	for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		if (*count == CLI_PUBLISH_MAX)
			return cli_fail_usage(call, "--to names at most %u agencies", CLI_PUBLISH_MAX);
		names[(*count)++] = name;
	}
	return CLI_OK;
}

int cli_run_publish(struct cli_call *call)
{
	Kinward__V1__PublishRequest publish = KINWARD__V1__PUBLISH_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	ProtobufCMessage *directory = NULL;
	struct kinward agent = {.fd = -1};
	char copy[CLI_PUBLISH_MAX * 64], *names[CLI_PUBLISH_MAX];
	size_t count = 0;
	int code = split_agencies(call, copy, sizeof(copy), names, &count);
	if (code == CLI_OK)
		code = read_directory(call, &directory);
	publish.directory = (Kinward__V1__ServiceDirectory *)directory;
	publish.agencies = names;
	publish.n_agencies = count;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_PUBLISH;
	request.publish = &publish;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_PUBLISHED, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->published->base);
	else if (code == CLI_OK)
		(void)fprintf(call->out, "on its way to %" PRIu32 " agencies\n", reply->published->count);
	kinward_reply_free(reply);
	kinward_close(&agent);
	if (directory)
		protobuf_c_message_free_unpacked(directory, NULL);
	return code;
}

/* ------------------------------------------------------------------------------------------------------------- capacity */

/* Sends a content in a thread, or a new one when `thread` is NULL. */
int cli_send_content(struct cli_call *call, struct kinward *agent, const struct cli_content *what)
{
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	uint8_t id[KW_ID_SIZE];
	int code = cli_random_id(call, id);
	what->content->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	send.agency = (char *)(uintptr_t)what->agency;
	send.content = what->content;
	if (what->thread)
		send.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)what->thread};
	return code == CLI_OK ? cli_send(call, agent, &send) : code;
}

int cli_run_capacity_ask(struct cli_call *call)
{
	Kinward__V1__CapacityQuery query = KINWARD__V1__CAPACITY_QUERY__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct kinward agent = {.fd = -1};
	int service = 0, band = 0;
	if (!call->option[ASK_SERVICE] || !call->option[ASK_AT])
		return cli_fail_usage(call, "say which service and where: --service CODE --at PCODE");
	int code = cli_code_option(call, &kinward__v1__service_type__descriptor, "--service", call->option[ASK_SERVICE], &service);
	if (code == CLI_OK && call->option[ASK_BAND])
		code = cli_code_option(call, &kinward__v1__age_band__descriptor, "--age-band", call->option[ASK_BAND], &band);
	query.service = (Kinward__V1__ServiceType)service;
	query.age_band = (Kinward__V1__AgeBand)band;
	query.admin2_pcode = (char *)(uintptr_t)call->option[ASK_AT];
	content.body_case = KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY;
	content.capacity_query = &query;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	for (int i = 0; code == CLI_OK && i < call->arg_count; i++)
		code = cli_send_content(call, &agent, &(struct cli_content){.agency = call->args[i], .content = &content});
	kinward_close(&agent);
	return code;
}

/* The query that a message id names. */
static int find_query(struct cli_call *call, struct kinward *agent, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint8_t id[KW_ID_SIZE];
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "MESSAGE is an id of 32 hex digits, as kinward inbox prints them");
	show.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEM, reply);
	if (code != CLI_OK)
		return code;
	const Kinward__V1__Item *item = (*reply)->item;
	if (!item->content || item->content->body_case != KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY ||
		item->thread_id.len != KW_ID_SIZE)
		return cli_fail_usage(call, "this message is no capacity query; kinward inbox lists them");
	return CLI_OK;
}

int cli_run_capacity_answer(struct cli_call *call)
{
	Kinward__V1__CapacityReply answer = KINWARD__V1__CAPACITY_REPLY__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint64_t days = 0;
	int capacity = 0;
	if (!call->option[ANSWER_CAPACITY])
		return cli_fail_usage(call, "say whether there is a place: --capacity available, waitlist or none");
	int code = cli_code_option(call, &kinward__v1__capacity__descriptor, "--capacity", call->option[ANSWER_CAPACITY], &capacity);
	if (code != CLI_OK)
		return code;
	if (call->option[ANSWER_UNTIL] && !cli_time_from(call->option[ANSWER_UNTIL], &answer.until_unix_ms))
		return cli_fail_usage(call, "--until is a time with its zone, as 2025-03-01T14:00+03:00");
	if (call->option[ANSWER_WAIT] && cli_number_from(call->option[ANSWER_WAIT], 0, 3650, &days) != KW_OK)
		return cli_fail_usage(call, "--wait-days is 0 to 3650");
	answer.capacity = (Kinward__V1__Capacity)capacity;
	answer.wait_days = (uint32_t)days;
	content.body_case = KINWARD__V1__CONTENT__BODY_CAPACITY_REPLY;
	content.capacity_reply = &answer;
	code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = find_query(call, &agent, &reply);
	if (code == CLI_OK)
		code = cli_send_content(call, &agent, &(struct cli_content){.agency = reply->item->agency,
			.thread = reply->item->thread_id.data, .content = &content});
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}
