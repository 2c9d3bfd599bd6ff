#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/cli/print_consent.h"

/* kinward consent: withdraw reaches every agency that holds a case from us; list shows what each has said; erase and retain
 * are a holder's answers where agent.yaml leaves them to a person. */

enum { W_CASE_REF, W_THREAD, W_PURPOSE, W_RESTRICT, W_ERASE, W_REASON, W_FROM, W_NOTE, W_CASE, W_FROM_THREAD };

const struct cli_option CLI_CONSENT_WITHDRAW_OPTIONS[] = {
	[W_CASE_REF] = {"case-ref", "TEXT", "every thread of the case that we call so, whatever it is called there"},
	[W_THREAD] = {"thread", "ID", "this thread alone"},
	[W_PURPOSE] = {"purpose", "CODE,...", "what it was given for, such as tracing,reporting; default: share_other_orgs"},
	[W_RESTRICT] = {"restrict", NULL, "they keep it and do not use it any more, also where it cannot go on"},
	[W_ERASE] = {"erase", NULL, "they erase it, also where it could go on without the purpose"},
	[W_REASON] = {"reason", "CODE", "why it shall go; default: consent_withdrawn"},
	[W_FROM] = {"from", "CODE", "who withdrew: individual, caregiver, other; default: individual"},
	[W_NOTE] = {"note", "TEXT", "in words; required with the reason other"},
	[W_CASE] = {"case", "ID", "every thread of the case with this id in your own case system"},
	[W_FROM_THREAD] = {"from-thread", "ID", "every thread of the case of this one"},
	{NULL, NULL, NULL},
};

#define PURPOSES_MAX 7u

static int take_purposes(struct cli_call *call, Kinward__V1__ConsentPurpose *list, size_t *count)
{
	const char *at = call->option[W_PURPOSE];
	while (at) {
		char word[64];
		size_t size = strcspn(at, ",");
		int value = 0;
		if (size >= sizeof(word) || *count == PURPOSES_MAX)
			return cli_fail_usage(call, "--purpose takes up to seven codes with commas in between");
		memcpy(word, at, size);
		word[size] = '\0';
		int code = cli_code_option(call, &kinward__v1__consent_purpose__descriptor, "--purpose", word, &value);
		if (code != CLI_OK)
			return code;
		list[(*count)++] = (Kinward__V1__ConsentPurpose)value;
		at = at[size] ? at + size + 1 : NULL;
	}
	return CLI_OK;
}

static int ask(struct cli_call *call, Kinward__V1__LocalRequest *request, const char *before, const char *behind)
{
	struct kinward agent = {.fd = -1};
	Kinward__V1__LocalReply *reply = NULL;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, request, KINWARD__V1__LOCAL_REPLY__BODY_CONSENT, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->consent->base);
	if (code == CLI_OK && !call->json) {
		(void)fprintf(call->out, "%s: %" PRIu32 "\n%s", before, reply->consent->holders, behind);
		if (reply->consent->limited != 0)
			(void)fprintf(call->out, "of them, those whose case goes on without the purpose: %" PRIu32 "\n", reply->consent->limited);
		cli_print_same_names(call->out, reply->consent->same_name, reply->consent->n_same_name);
		if (reply->consent->offers != 0)
			(void)fprintf(call->out, "open offers of the case that are over: %" PRIu32 "\n", reply->consent->offers);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_consent_withdraw(struct cli_call *call)
{
	Kinward__V1__ConsentWithdrawRequest withdraw = KINWARD__V1__CONSENT_WITHDRAW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__ConsentPurpose purposes[PURPOSES_MAX];
	uint8_t thread[KW_ID_SIZE];
	int reason = 0, from = 0;
	uint8_t from_thread[KW_ID_SIZE];
	struct cli_claim claim = {withdraw.case_, withdraw.from_thread, false};
	if (!!call->option[W_CASE_REF] + !!call->option[W_THREAD] + !!call->option[W_CASE] + !!call->option[W_FROM_THREAD] != 1)
		return cli_fail_usage(call, "name the case by one of --case-ref TEXT, --case ID and --from-thread ID, or one thread "
			"by --thread ID");
	int code = call->option[W_THREAD] ? cli_id_option(call, "--thread", call->option[W_THREAD], thread) : CLI_OK;
	if (code == CLI_OK)
		code = take_purposes(call, purposes, &withdraw.n_purposes);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__erasure_reason__descriptor, W_REASON, &reason);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__consent_source__descriptor, W_FROM, &from);
	if (code == CLI_OK)
		code = cli_claim_options(call, from_thread, &claim);
	withdraw.case_ = claim.case_id;
	withdraw.from_thread = claim.from_thread;
	withdraw.purposes = purposes;
	withdraw.reason = (Kinward__V1__ErasureReason)reason;
	withdraw.obtained_from = (Kinward__V1__ConsentSource)from;
	withdraw.case_ref = cli_borrowed(call->option[W_CASE_REF]);
	withdraw.note = cli_borrowed(call->option[W_NOTE]);
	if (call->option[W_RESTRICT] && call->option[W_ERASE])
		return cli_fail_usage(call, "--restrict or --erase; without either, what cannot go on is erased and the rest is restricted");
	if (call->option[W_RESTRICT])
		withdraw.action = KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_RESTRICT;
	else if (call->option[W_ERASE])
		withdraw.action = KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_ERASE;
	if (call->option[W_THREAD])
		withdraw.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_WITHDRAW;
	request.consent_withdraw = &withdraw;
	if (code == CLI_OK)
		code = ask(call, &request, "agencies asked", "  (kinward consent list shows who has answered)\n");
	return code;
}

enum { L_CASE_REF, L_OPEN };

const struct cli_option CLI_CONSENT_LIST_OPTIONS[] = {
	[L_CASE_REF] = {"case-ref", "TEXT", "only what was asked about this pseudonym"},
	[L_OPEN] = {"open", NULL, "only what has no answer yet"},
	{NULL, NULL, NULL},
};

int cli_run_consent_list(struct cli_call *call)
{
	Kinward__V1__ConsentListRequest list = KINWARD__V1__CONSENT_LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	Kinward__V1__LocalReply *reply = NULL;
	list.case_ref = cli_borrowed(call->option[L_CASE_REF]);
	list.open = call->option[L_OPEN] != NULL;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_LIST;
	request.consent_list = &list;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CONSENTS, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->consents->base);
	} else if (code == CLI_OK) {
		for (size_t i = 0; i < reply->consents->n_clears; i++)
			cli_print_clear(call->out, reply->consents->clears[i]);
		for (size_t i = 0; i < reply->consents->n_rows; i++)
			cli_print_consent(call->out, reply->consents->rows[i]);
		if (reply->consents->n_rows + reply->consents->n_clears == 0)
			(void)fputs(list.open ? "All have answered.\n" : "Nothing was asked.\n", call->err);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

enum { T_GROUND, T_NOTE, T_UNTIL };

const struct cli_option CLI_CONSENT_RETAIN_OPTIONS[] = {
	[T_GROUND] = {"ground", "CODE", "by which law it is kept: legal_obligation, court_order, investigation, ...; required"},
	[T_NOTE] = {"note", "TEXT", "in words; required with the ground other"},
	[T_UNTIL] = {"until", "TIME", "until when it is kept, as 2025-03-01T14:00+03:00; default: open"},
	{NULL, NULL, NULL},
};

static int answer(struct cli_call *call, Kinward__V1__ConsentAnswerRequest *body, const char *what)
{
	const char *behind = body->cleared ? "" : "  (its author is told)\n";
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint8_t thread[KW_ID_SIZE];
	if (cli_id_from(call->args[0], thread) != KW_OK)
		return cli_fail_usage(call, "THREAD is an id of 32 hex digits, as kinward consent list prints them");
	body->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_ANSWER;
	request.consent_answer = body;
	return ask(call, &request, what, behind);
}

int cli_run_consent_retain(struct cli_call *call)
{
	Kinward__V1__ConsentAnswerRequest body = KINWARD__V1__CONSENT_ANSWER_REQUEST__INIT;
	int ground = 0;
	if (!call->option[T_GROUND])
		return cli_fail_usage(call, "say by which law it is kept: --ground CODE, such as court_order");
	int code = cli_take_code(call, &kinward__v1__legal_ground__descriptor, T_GROUND, &ground);
	if (code == CLI_OK && call->option[T_UNTIL] && !cli_time_from(call->option[T_UNTIL], &body.retained_until_unix_ms))
		code = cli_fail_usage(call, "--until is a time with its zone: 2025-03-01T14:00+03:00 or ...Z");
	body.outcome = KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_RETAINED;
	body.legal_ground = (Kinward__V1__LegalGround)ground;
	body.note = cli_borrowed(call->option[T_NOTE]);
	return code == CLI_OK ? answer(call, &body, "threads kept") : code;
}

int cli_run_consent_erase(struct cli_call *call)
{
	Kinward__V1__ConsentAnswerRequest body = KINWARD__V1__CONSENT_ANSWER_REQUEST__INIT;
	body.outcome = KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_DONE;
	return answer(call, &body, "threads erased");
}

int cli_run_consent_confirm(struct cli_call *call)
{
	Kinward__V1__ConsentAnswerRequest body = KINWARD__V1__CONSENT_ANSWER_REQUEST__INIT;
	body.cleared = true;
	return answer(call, &body, "own copies cleared");
}
