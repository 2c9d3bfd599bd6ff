#include <string.h>

#include "agent/cli/commands.h"

/* kinward match: two records, ours and another agency's, that may belong together. `propose` tells the other holder of the
 * pair, without a value of either; the others say what we think of it. Each side decides for itself, and nothing is merged. */

enum { P_KIND, P_OUR, P_THEIR, P_BAND, P_SCORE, P_AGREE, P_NEAR, P_CONFLICT, P_MISSING };

const struct cli_option CLI_MATCH_PROPOSE_OPTIONS[] = {
	[P_KIND] = {"kind", "CODE", "duplicate (one child, registered twice) or family_tracing"},
	[P_OUR] = {"our", "ID", "handle of our record, 32 hex digits"},
	[P_THEIR] = {"their", "ID", "handle of their record, 32 hex digits"},
	[P_BAND] = {"band", "CODE", "how much speaks for it: possible, probable or strong"},
	[P_SCORE] = {"score", "COUNT", "weight of the evidence, thousandths of a nat; default: not said"},
	[P_AGREE] = {"agree", "FIELDS", "what is the same, such as name,sex,mother_name"},
	[P_NEAR] = {"near", "FIELDS", "what is nearly the same"},
	[P_CONFLICT] = {"conflict", "FIELDS", "what is different"},
	[P_MISSING] = {"missing", "FIELDS", "what one side does not know"},
	{NULL, NULL, NULL},
};

enum { D_DECIDER, D_GROUND, D_NEEDED, D_NOTE };

const struct cli_option CLI_MATCH_DECIDE_OPTIONS[] = {
	[D_DECIDER] = {"decider", "TEXT", "who says so: name of the caseworker"},
	[D_GROUND] = {"ground", "CODE", "on what ground: names, age, family, places, photo, document, person_says, known_already, other"},
	[D_NEEDED] = {"needed", "FIELDS", "review: what must be known first, such as birthplace,siblings"},
	[D_NOTE] = {"note", "TEXT", "in words; required with the ground other"},
	{NULL, NULL, NULL},
};

/* Kinds of a field of evidence; also the longest list. */
#define FIELDS_MAX 18u
/* What people compared has the first version: they know of no encoding. */
#define ENCODING_BY_PEOPLE 1u

struct parts {
	Kinward__V1__MatchCandidate candidate;
	Kinward__V1__MatchDecision decision;
	Kinward__V1__Staff decider;
	Kinward__V1__FieldEvidence evidence[4 * FIELDS_MAX];
	Kinward__V1__FieldEvidence *evidence_list[4 * FIELDS_MAX];
	Kinward__V1__EvidenceField fields[FIELDS_MAX];
	uint8_t match_id[KW_ID_SIZE];
	uint8_t our[KW_ID_SIZE];
	uint8_t their[KW_ID_SIZE];
};

static int take_code(struct cli_call *call, const ProtobufCEnumDescriptor *type, int option, int *out)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "--%s", call->command->options[option].name); /* names are ours, and short */
	return call->option[option] ? cli_code_option(call, type, name, call->option[option], out) : CLI_OK;
}

/* "name,sex" into at most FIELDS_MAX fields. */
static int take_fields(struct cli_call *call, int option, Kinward__V1__EvidenceField *out, size_t *count)
{
	const char *at = call->option[option];
	char name[64];
	char word[64];
	*count = 0;
	(void)snprintf(name, sizeof(name), "--%s", call->command->options[option].name);
	while (at && *at) {
		size_t size = strcspn(at, ",");
		int code = 0;
		if (size >= sizeof(word) || *count == FIELDS_MAX)
			return cli_fail_usage(call, "%s is at most 18 names of fields, with commas between them", name);
		memcpy(word, at, size);
		word[size] = '\0';
		int failed = cli_code_option(call, &kinward__v1__evidence_field__descriptor, name, word, &code);
		if (failed != CLI_OK)
			return failed;
		out[(*count)++] = (Kinward__V1__EvidenceField)code;
		at += size + (at[size] == ',' ? 1 : 0);
	}
	return CLI_OK;
}

static int take_evidence(struct cli_call *call, struct parts *parts)
{
	static const struct {
		int option;
		Kinward__V1__Evidence evidence;
	} SORTS[] = {{P_AGREE, KINWARD__V1__EVIDENCE__EVIDENCE_AGREE}, {P_NEAR, KINWARD__V1__EVIDENCE__EVIDENCE_NEAR},
		{P_CONFLICT, KINWARD__V1__EVIDENCE__EVIDENCE_CONFLICT}, {P_MISSING, KINWARD__V1__EVIDENCE__EVIDENCE_MISSING}};
	Kinward__V1__MatchCandidate *candidate = &parts->candidate;
	for (size_t i = 0; i < sizeof(SORTS) / sizeof(SORTS[0]); i++) {
		size_t count = 0;
		int code = take_fields(call, SORTS[i].option, parts->fields, &count);
		if (code != CLI_OK)
			return code;
		for (size_t k = 0; k < count; k++) {
			Kinward__V1__FieldEvidence *one = &parts->evidence[candidate->n_evidence];
			kinward__v1__field_evidence__init(one);
			one->field = parts->fields[k];
			one->evidence = SORTS[i].evidence;
			parts->evidence_list[candidate->n_evidence++] = one;
		}
	}
	candidate->evidence = parts->evidence_list;
	return CLI_OK;
}

static ProtobufCBinaryData id_of(uint8_t bytes[KW_ID_SIZE])
{
	return (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = bytes};
}

static int read_candidate(struct cli_call *call, struct parts *parts)
{
	Kinward__V1__MatchCandidate *candidate = &parts->candidate;
	int kind = 0, band = 0;
	uint64_t score = 0;
	if (!call->option[P_OUR] || !call->option[P_THEIR])
		return cli_fail_usage(call, "--our and --their are needed: the handles of both records");
	int code = cli_id_option(call, "our", call->option[P_OUR], parts->our);
	if (code == CLI_OK)
		code = cli_id_option(call, "their", call->option[P_THEIR], parts->their);
	if (code == CLI_OK)
		code = take_code(call, &kinward__v1__match_kind__descriptor, P_KIND, &kind);
	if (code == CLI_OK)
		code = take_code(call, &kinward__v1__match_band__descriptor, P_BAND, &band);
	if (code == CLI_OK && call->option[P_SCORE] && cli_number_from(call->option[P_SCORE], 0, 100000, &score) != KW_OK)
		code = cli_fail_usage(call, "--score is 0 to 100000");
	if (code == CLI_OK)
		code = take_evidence(call, parts);
	if (code == CLI_OK)
		code = cli_random_id(call, parts->match_id);
	candidate->match_id = id_of(parts->match_id);
	candidate->own_handle = id_of(parts->their); /* the receiver's record, as the receiver reads it */
	candidate->other_handle = id_of(parts->our);
	candidate->kind = (Kinward__V1__MatchKind)kind;
	candidate->band = (Kinward__V1__MatchBand)band;
	candidate->score = (uint32_t)score;
	candidate->state = KINWARD__V1__MATCH_STATE__MATCH_STATE_CANDIDATE;
	candidate->encoding_version = ENCODING_BY_PEOPLE;
	candidate->at_unix_ms = cli_now_ms();
	return code;
}

int cli_run_match_propose(struct cli_call *call)
{
	struct parts parts = {.candidate = KINWARD__V1__MATCH_CANDIDATE__INIT};
	struct kinward agent = {.fd = -1};
	Kinward__V1__StatusRequest none = KINWARD__V1__STATUS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	int code = read_candidate(call, &parts);
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &none;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_STATUS, &reply);
	content.body_case = KINWARD__V1__CONTENT__BODY_MATCH_CANDIDATE;
	content.match_candidate = &parts.candidate;
	if (code == CLI_OK) {
		parts.candidate.other_agency = reply->status->agency; /* to the receiver we are the other */
		code = cli_send_in_thread(call, &agent, call->args[0], NULL, &content);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

static int decide(struct cli_call *call, Kinward__V1__MatchVerdict verdict)
{
	struct parts parts = {.decision = KINWARD__V1__MATCH_DECISION__INIT, .decider = KINWARD__V1__STAFF__INIT};
	struct kinward agent = {.fd = -1};
	Kinward__V1__MatchDecision *decision = &parts.decision;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct cli_place place = {.agency = ""};
	int ground = 0;
	int code = take_code(call, &kinward__v1__match_ground__descriptor, D_GROUND, &ground);
	if (code == CLI_OK)
		code = take_fields(call, D_NEEDED, parts.fields, &decision->n_needed);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_find_place(call, &agent, KINWARD__V1__THREAD_KIND__THREAD_KIND_MATCH, &place);
	decision->match_id = id_of(place.thread); /* the thread has the id of the match */
	decision->verdict = verdict;
	decision->ground = (Kinward__V1__MatchGround)ground;
	decision->needed = parts.fields;
	decision->at_unix_ms = cli_now_ms();
	/* Texts of the command line; protobuf-c has no const, and changes nothing. */
	if (call->option[D_NOTE])
		decision->note = (char *)(uintptr_t)call->option[D_NOTE];
	if (call->option[D_DECIDER]) {
		parts.decider.name = (char *)(uintptr_t)call->option[D_DECIDER];
		decision->decider = &parts.decider;
	}
	content.body_case = KINWARD__V1__CONTENT__BODY_MATCH_DECISION;
	content.match_decision = decision;
	if (code == CLI_OK)
		code = cli_send_in_thread(call, &agent, place.agency, place.thread, &content);
	kinward_close(&agent);
	return code;
}

int cli_run_match_review(struct cli_call *call)
{
	return decide(call, KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_NEED_INFO);
}

int cli_run_match_confirm(struct cli_call *call)
{
	return decide(call, KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_CONFIRM);
}

int cli_run_match_reject(struct cli_call *call)
{
	return decide(call, KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_REJECT);
}

int cli_run_match_unlink(struct cli_call *call)
{
	return decide(call, KINWARD__V1__MATCH_VERDICT__MATCH_VERDICT_UNLINK);
}
