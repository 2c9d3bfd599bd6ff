#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/cli/services.h"

/* kinward refer: looks for who offers the service where it is needed, shows what speaks for and against each, and then
 *   one candidate, or --direct: sends the referral to it;
 *   several: offers it to at most eight, and the agent gives the referral to one of those who claim it.
 * A full or unsuited one is shown and not chosen; a stale one is chosen last, and never gets a referral unasked. */

#define AGENCIES_MAX 8u
#define ADMIN2_SIZE 6u /* of a P-code with two characters a level */

enum {
	REFERRAL, SERVICE, RISK, REASON, CASE_REF, NAME, CODE, AGE, SEX, REFERRER, PHONE, CONSENT_FROM, OVERRIDE_REASON,
	OVERRIDE_APPROVER, LOCATION, SAFE_CONTACT, AT, ADMIN2, LANGUAGE, DIRECT, PICK, CLAIM_BY, OFFER_ID, DRY_RUN,
	CASE, FROM_THREAD, NEW_CONSENT
};

const struct cli_option CLI_REFER_OPTIONS[] = {
	[REFERRAL] = {"referral", "FILE", "a ReferralRequest as JSON; - is standard input"},
	[SERVICE] = {"service", "CODE", "service asked for, such as shelter or health_medical"},
	[RISK] = {"risk", "CODE", "high, medium or low"},
	[REASON] = {"reason", "TEXT", "why the service is needed"},
	[CASE_REF] = {"case-ref", "TEXT", "a pseudonym of the case for the agency that gets it, not your own case number"},
	[NAME] = {"name", "TEXT", "the child's name, parts in the order they are said"},
	[CODE] = {"code", "TEXT", "a code in place of the name"},
	[AGE] = {"age", "YEARS", "the child's age today"},
	[SEX] = {"sex", "CODE", "female, male, other or unknown"},
	[REFERRER] = {"referrer", "TEXT", "who refers: name of the caseworker"},
	[PHONE] = {"referrer-phone", "TEXT", "the caseworker's phone"},
	[CONSENT_FROM] = {"consent-from", "CODE", "who consented to the service and to sharing: individual, caregiver, other"},
	[OVERRIDE_REASON] = {"override-reason", "TEXT", "without consent: why it is shared all the same"},
	[OVERRIDE_APPROVER] = {"override-approver", "TEXT", "without consent: who approved that"},
	[LOCATION] = {"location", "TEXT", "where the child is"},
	[SAFE_CONTACT] = {"safe-contact", "TEXT", "how to make contact without doing harm"},
	[AT] = {"at", "PCODE", "where the service is needed; required"},
	[ADMIN2] = {"admin2", "PCODE", "the area at level 2 that an offer names (default: the first 6 characters of --at)"},
	[LANGUAGE] = {"language", "CODE", "a language that must be spoken, ISO 639-3"},
	[DIRECT] = {"direct", "AGENCY", "send it to this agency, without offers"},
	[PICK] = {"pick", "HOW", "first (default): the first claim has it; manual: a person chooses, see kinward claims"},
	[CLAIM_BY] = {"claim-by", "SPAN", "how long to wait for claims, as 90s, 30min, 4h or 2d (default: by the risk)"},
	[OFFER_ID] = {"offer-id", "ID", "repeat a request whose outcome is not known"},
	[DRY_RUN] = {"dry-run", NULL, "show the candidates and the choice, send nothing"},
	[CASE] = {"case", "ID", "the case's id in your own case system: it stays here; threads with one id are of one case"},
	[FROM_THREAD] = {"from-thread", "ID", "this passes on, or is about the same child as, what that thread brought"},
	[NEW_CONSENT] = {"new-consent", NULL, "consent for this case was withdrawn, and has been given again since"},
	{NULL, NULL, NULL},
};

struct choice {
	char *agencies[AGENCIES_MAX]; /* borrowed from the reply */
	size_t count;
	bool stale; /* the first is */
};

/* "30min" in milliseconds. */
static bool span_from(const char *text, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	char *unit = NULL;
	long long count = strtoll(text, &unit, 10);
	if (count <= 0 || count > 100000 || unit == text)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].unit) == 0) {
			*ms = count * units[i].ms;
			return true;
		}
	return false;
}

static int read_referral(struct cli_call *call, ProtobufCMessage **out)
{
	if (!call->option[REFERRAL])
		return cli_referral_from_options(call, out);
	struct kw_buf text;
	struct json_fault fault;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, call->option[REFERRAL], &text);
	if (code == CLI_OK) {
		enum kw_err err = json_map_parse(&kinward__v1__referral_request__descriptor, kw_buf_view(&text), out, &fault);
		if (err != KW_OK)
			code = cli_fail_json(call, err, call->option[REFERRAL], &fault);
	}
	kw_buf_fini(&text);
	return code;
}

/* What the referral says of the need, where it comes from a file. */
static int need_of(struct cli_call *call, const Kinward__V1__ReferralRequest *referral, Kinward__V1__ServicesRequest *need)
{
	struct cli_need typed = {.at = call->option[AT], .language = call->option[LANGUAGE]};
	int code = cli_services_need(call, &typed, need);
	if (code != CLI_OK)
		return code;
	need->service = referral->service;
	if (referral->n_children == 0)
		return CLI_OK;
	const Kinward__V1__ReferredChild *child = referral->children[0];
	if (child->age) {
		need->has_age = true;
		need->age = child->age->value_case == KINWARD__V1__AGE__VALUE_RANGE && child->age->range ? child->age->range->years_min
			: child->age->years;
	}
	if (child->sex != KINWARD__V1__SEX__SEX_UNKNOWN)
		need->sex = child->sex;
	return CLI_OK;
}

static void choose(const Kinward__V1__ServiceList *list, struct choice *out)
{
	for (size_t i = 0; i < list->n_rows && out->count < AGENCIES_MAX; i++) {
		const Kinward__V1__ServiceRow *row = list->rows[i];
		bool known = row->own || !row->suited || row->full;
		for (size_t k = 0; !known && k < out->count; k++)
			known = strcmp(out->agencies[k], row->agency) == 0;
		if (known)
			continue;
		if (out->count == 0)
			out->stale = row->stale;
		out->agencies[out->count++] = row->agency;
	}
}

/* The choice, on the stream that does not carry the result. */
static void show(struct cli_call *call, const Kinward__V1__ServiceList *list, const struct choice *choice)
{
	FILE *out = call->option[DRY_RUN] && !call->json ? call->out : call->err;
	for (size_t i = 0; i < list->n_rows; i++) {
		bool chosen = false;
		for (size_t k = 0; k < choice->count; k++)
			chosen = chosen || strcmp(choice->agencies[k], list->rows[i]->agency) == 0;
		(void)fputs(chosen && list->rows[i]->suited && !list->rows[i]->full ? "+ " : "- ", out);
		cli_print_service(out, list->rows[i]);
	}
}

static int send_direct(struct cli_call *call, struct kinward *agent, Kinward__V1__ReferralRequest *referral, const char *agency)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
	content.referral_request = referral;
	return cli_send_content(call, agent, &(struct cli_content){.agency = agency, .content = &content});
}

static int offer_it(struct cli_call *call, struct kinward *agent, Kinward__V1__ReferralRequest *referral, struct choice *choice)
{
	Kinward__V1__ReferRequest refer = KINWARD__V1__REFER_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	uint8_t id[KW_ID_SIZE];
	char admin2[32];
	int64_t span = 0;
	uint8_t from[KW_ID_SIZE];
	struct cli_claim claim = {refer.case_, refer.from_thread, refer.consent_anew};
	int code = cli_claim_options(call, from, &claim);
	if (code == CLI_OK && !call->option[OFFER_ID])
		code = cli_random_id(call, id);
	if (call->option[OFFER_ID] && cli_id_from(call->option[OFFER_ID], id) != KW_OK)
		return cli_fail_usage(call, "--offer-id is an id of 32 hex digits");
	if (call->option[CLAIM_BY] && !span_from(call->option[CLAIM_BY], &span))
		return cli_fail_usage(call, "--claim-by is a span: 90s, 30min, 4h or 2d");
	(void)snprintf(admin2, sizeof(admin2), call->option[ADMIN2] ? "%.20s" : "%.6s",
		call->option[ADMIN2] ? call->option[ADMIN2] : call->option[AT]); /* the agent checks its form */
	refer.offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	refer.case_ = claim.case_id;
	refer.from_thread = claim.from_thread;
	refer.consent_anew = claim.consent_anew;
	refer.referral = referral;
	refer.agencies = choice->agencies;
	refer.n_agencies = choice->count;
	refer.admin2_pcode = admin2;
	refer.claim_by_unix_ms = span ? cli_now_ms() + span : 0;
	refer.manual = call->option[PICK] && strcmp(call->option[PICK], "manual") == 0;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_REFER;
	request.refer = &refer;
	if (code == CLI_OK)
		code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_REFERRED, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->referred->base);
	} else if (code == CLI_OK) {
		(void)fprintf(call->out, "offered to %zu agencies\n  offer    ", choice->count);
		cli_print_hex(call->out, &reply->referred->offer_id);
		(void)fputs("\n  (kinward claims shows who would take it; nothing about the child has left yet)\n", call->out);
	}
	kinward_reply_free(reply);
	return code;
}

static int act(struct cli_call *call, struct kinward *agent, Kinward__V1__ReferralRequest *referral, struct choice *choice)
{
	if (choice->count == 0)
		return cli_fail(call, &(struct cli_failure){.code = kw_err_name(KW_ENOTFOUND), .field = "--service", .exit = CLI_NOT_FOUND,
			.text = "Nobody known here offers this there and has a place; what is known stands above. Ask with kinward capacity "
				"ask, or name an agency with --direct."});
	if (choice->count == 1 && !choice->stale && !call->option[PICK]) {
		if (call->option[DRY_RUN])
			(void)fprintf(call->out, "would send the referral to %s\n", choice->agencies[0]);
		return call->option[DRY_RUN] ? CLI_OK : send_direct(call, agent, referral, choice->agencies[0]);
	}
	if (call->option[DRY_RUN]) {
		(void)fprintf(call->out, "would offer it to %zu:", choice->count);
		for (size_t i = 0; i < choice->count; i++)
			(void)fprintf(call->out, " %s", choice->agencies[i]);
		(void)fputc('\n', call->out);
		return CLI_OK;
	}
	return offer_it(call, agent, referral, choice);
}

int cli_run_refer(struct cli_call *call)
{
	Kinward__V1__ServicesRequest need = KINWARD__V1__SERVICES_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	ProtobufCMessage *body = NULL;
	struct kinward agent = {.fd = -1};
	struct choice choice = {0};
	const char *pick = call->option[PICK];
	if (!call->option[AT] && !call->option[DIRECT])
		return cli_fail_usage(call, "say where it is needed: --at PCODE");
	if (pick && strcmp(pick, "first") != 0 && strcmp(pick, "manual") != 0)
		return cli_fail_usage(call, "--pick is first or manual");
	int code = read_referral(call, &body);
	Kinward__V1__ReferralRequest *referral = (Kinward__V1__ReferralRequest *)body;
	if (code == CLI_OK)
		code = need_of(call, referral, &need);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_services_ask(call, &agent, &need, &reply);
	if (code == CLI_OK) {
		if (!call->option[DIRECT])
			choose(reply->services, &choice);
		show(call, reply->services, &choice);
		if (call->option[DIRECT] && call->option[DRY_RUN])
			(void)fprintf(call->out, "would send the referral to %s\n", call->option[DIRECT]);
		else if (call->option[DIRECT])
			code = send_direct(call, &agent, referral, call->option[DIRECT]);
		else
			code = act(call, &agent, referral, &choice);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	if (body)
		protobuf_c_message_free_unpacked(body, NULL);
	return code;
}
