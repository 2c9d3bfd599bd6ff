#include <string.h>

#include "agent/cli/commands.h"

/* kinward transfer: a case goes to another agency. `offer` and `request` begin a thread (an offer may answer a request in
 * its thread); the others say what becomes of it. Who we are in the thread, and where it stands, the agent knows: so
 * `withdraw` is one word for both sides, and accept and reject first say that a person has seen the offer. */

static void take_staff(const char *name, Kinward__V1__Staff *parts, Kinward__V1__Staff **out)
{
	if (!name)
		return;
	kinward__v1__staff__init(parts);
	parts->name = cli_borrowed(name);
	*out = parts;
}

static int read_message(struct cli_call *call, const char *path, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage **out)
{
	struct kw_buf text;
	struct json_fault fault;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, path, &text);
	enum kw_err err = code == CLI_OK ? json_map_parse(type, kw_buf_view(&text), out, &fault) : KW_OK;
	if (err != KW_OK)
		code = cli_fail_json(call, err, path, &fault);
	kw_buf_fini(&text);
	return code;
}

/* ------------------------------------------------------------------------------------------------- offer and request */

enum {
	O_OFFER, O_SUMMARY, O_CASE_REF, O_REASON, O_NOTE, O_RISK, O_CASEWORKER, O_SUPERVISOR, O_CHILD_INFORMED,
	O_CAREGIVER_INFORMED, O_CONSENT_FROM, O_MEETING, O_PLACE, O_THREAD,
	O_CASE, O_FROM_THREAD, O_NEW_CONSENT
};

const struct cli_option CLI_TRANSFER_OFFER_OPTIONS[] = {
	[O_OFFER] = {"offer", "FILE", "a TransferOffer as JSON; the options below replace what it says"},
	[O_SUMMARY] = {"summary", "FILE", "the case: a CaseSummary as JSON; - is standard input"},
	[O_CASE_REF] = {"case-ref", "TEXT", "a pseudonym of the case for this pair of agencies, not your own case number"},
	[O_REASON] = {"reason", "CODE", "why it moves: relocation, mandate, capacity, request or other"},
	[O_NOTE] = {"note", "TEXT", "in words; required with the reason other"},
	[O_RISK] = {"risk", "CODE", "high, medium or low"},
	[O_CASEWORKER] = {"caseworker", "TEXT", "who hands over"},
	[O_SUPERVISOR] = {"supervisor", "TEXT", "their supervisor"},
	[O_CHILD_INFORMED] = {"child-informed", "ANSWER", "does the child know: yes, no, not_known"},
	[O_CAREGIVER_INFORMED] = {"caregiver-informed", "ANSWER", "does the caregiver know: yes, no, not_known"},
	[O_CONSENT_FROM] = {"consent-from", "CODE", "who consented to services and to sharing: individual, caregiver, other"},
	[O_MEETING] = {"meeting", "TIME", "handover meeting proposed, as 2025-03-01T14:00+03:00"},
	[O_PLACE] = {"place", "TEXT", "where it would be"},
	[O_THREAD] = {"thread", "ID", "answers the request in this thread; default: a new one"},
	[O_CASE] = {"case", "ID", "the case's id in your own case system: it stays here; threads with one id are of one case"},
	[O_FROM_THREAD] = {"from-thread", "ID", "this passes on, or is about the same child as, what that thread brought"},
	[O_NEW_CONSENT] = {"new-consent", NULL, "consent for this case was withdrawn, and has been given again since"},
	{NULL, NULL, NULL},
};

struct offer_parts {
	Kinward__V1__TransferOffer offer;
	Kinward__V1__Staff caseworker;
	Kinward__V1__Staff supervisor;
	Kinward__V1__Consent consent;
	Kinward__V1__HandoverMeeting meeting;
};

static int take_meeting(struct cli_call *call, int at, int place, Kinward__V1__HandoverMeeting *parts,
	Kinward__V1__HandoverMeeting **out)
{
	if (call->option[place] && !call->option[at])
		return cli_fail_usage(call, "--place needs --meeting");
	if (!call->option[at])
		return CLI_OK;
	kinward__v1__handover_meeting__init(parts);
	if (!cli_time_from(call->option[at], &parts->at_unix_ms))
		return cli_fail_usage(call, "--meeting is a time with its zone: 2025-03-01T14:00+03:00 or ...Z");
	parts->place = cli_borrowed(call->option[place]);
	*out = parts;
	return CLI_OK;
}

static int take_offer_codes(struct cli_call *call, struct offer_parts *parts)
{
	Kinward__V1__TransferOffer *offer = &parts->offer;
	int reason = (int)offer->reason, risk = (int)offer->risk, from = 0;
	int child = (int)offer->child_informed, caregiver = (int)offer->caregiver_informed;
	int code = cli_take_code(call, &kinward__v1__transfer_reason__descriptor, O_REASON, &reason);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__risk__descriptor, O_RISK, &risk);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__answer__descriptor, O_CHILD_INFORMED, &child);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__answer__descriptor, O_CAREGIVER_INFORMED, &caregiver);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__consent_source__descriptor, O_CONSENT_FROM, &from);
	offer->reason = (Kinward__V1__TransferReason)reason;
	offer->risk = (Kinward__V1__Risk)risk;
	offer->child_informed = (Kinward__V1__Answer)child;
	offer->caregiver_informed = (Kinward__V1__Answer)caregiver;
	if (code == CLI_OK && from != 0) {
		kinward__v1__consent__init(&parts->consent);
		parts->consent.services = KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_GIVEN;
		parts->consent.share_other_orgs = KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_GIVEN;
		parts->consent.obtained_from = (Kinward__V1__ConsentSource)from;
		offer->consent = &parts->consent;
	}
	return code;
}

/* From the file and the options; *body is what to free. */
static int read_offer(struct cli_call *call, struct offer_parts *parts, ProtobufCMessage **body)
{
	Kinward__V1__TransferOffer *offer = &parts->offer;
	const char *whole = call->option[O_OFFER], *summary = call->option[O_SUMMARY];
	kinward__v1__transfer_offer__init(offer);
	if (!whole == !summary)
		return cli_fail_usage(call, "name the case: --summary FILE, or --offer FILE");
	int code = read_message(call, whole ? whole : summary,
		whole ? &kinward__v1__transfer_offer__descriptor : &kinward__v1__case_summary__descriptor, body);
	if (code != CLI_OK)
		return code;
	if (whole)
		*offer = *(Kinward__V1__TransferOffer *)*body; /* a shallow copy that body keeps alive */
	else
		offer->summary = (Kinward__V1__CaseSummary *)*body;
	if (call->option[O_CASE_REF])
		offer->case_ref = cli_borrowed(call->option[O_CASE_REF]);
	if (call->option[O_NOTE])
		offer->note = cli_borrowed(call->option[O_NOTE]);
	take_staff(call->option[O_CASEWORKER], &parts->caseworker, &offer->caseworker);
	take_staff(call->option[O_SUPERVISOR], &parts->supervisor, &offer->supervisor);
	code = take_meeting(call, O_MEETING, O_PLACE, &parts->meeting, &offer->handover);
	return code == CLI_OK ? take_offer_codes(call, parts) : code;
}

int cli_run_transfer_offer(struct cli_call *call)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct kinward agent = {.fd = -1};
	struct offer_parts parts;
	ProtobufCMessage *body = NULL;
	uint8_t thread[KW_ID_SIZE];
	int code = call->option[O_THREAD] ? cli_id_option(call, "--thread", call->option[O_THREAD], thread) : CLI_OK;
	if (code == CLI_OK)
		code = read_offer(call, &parts, &body);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK) {
		content.body_case = KINWARD__V1__CONTENT__BODY_TRANSFER_OFFER;
		content.transfer_offer = &parts.offer;
		code = cli_send_in_thread(call, &agent, call->args[0], call->option[O_THREAD] ? thread : NULL, &content);
	}
	kinward_close(&agent);
	if (body)
		protobuf_c_message_free_unpacked(body, NULL);
	return code;
}

enum { R_CASE_REF, R_REASON, R_NOTE, R_RISK, R_CASEWORKER, R_CASE, R_FROM_THREAD };

const struct cli_option CLI_TRANSFER_REQUEST_OPTIONS[] = {
	[R_CASE_REF] = {"case-ref", "TEXT", "the case that is asked for: a pseudonym that both know"},
	[R_REASON] = {"reason", "CODE", "why it should move: relocation, mandate, capacity, request or other"},
	[R_NOTE] = {"note", "TEXT", "in words; required with the reason other"},
	[R_RISK] = {"risk", "CODE", "high, medium or low, as seen from here"},
	[R_CASEWORKER] = {"caseworker", "TEXT", "who would take it"},
	[R_CASE] = {"case", "ID", "the case's id in your own case system: it stays here; threads with one id are of one case"},
	[R_FROM_THREAD] = {"from-thread", "ID", "this passes on, or is about the same child as, what that thread brought"},
	{NULL, NULL, NULL},
};

int cli_run_transfer_request(struct cli_call *call)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__TransferRequest request = KINWARD__V1__TRANSFER_REQUEST__INIT;
	Kinward__V1__Staff caseworker;
	struct kinward agent = {.fd = -1};
	int reason = 0, risk = 0;
	int code = cli_take_code(call, &kinward__v1__transfer_reason__descriptor, R_REASON, &reason);
	if (code == CLI_OK)
		code = cli_take_code(call, &kinward__v1__risk__descriptor, R_RISK, &risk);
	request.reason = (Kinward__V1__TransferReason)reason;
	request.risk = (Kinward__V1__Risk)risk;
	request.case_ref = cli_borrowed(call->option[R_CASE_REF]);
	request.note = cli_borrowed(call->option[R_NOTE]);
	take_staff(call->option[R_CASEWORKER], &caseworker, &request.caseworker);
	content.body_case = KINWARD__V1__CONTENT__BODY_TRANSFER_REQUEST;
	content.transfer_request = &request;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_send_in_thread(call, &agent, call->args[0], NULL, &content);
	kinward_close(&agent);
	return code;
}

/* ------------------------------------------------------------------------------------------------------------ events */

static int send_event(struct cli_call *call, struct kinward *agent, const struct cli_place *place,
	Kinward__V1__TransferEvent *event)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	event->at_unix_ms = cli_now_ms();
	content.body_case = KINWARD__V1__CONTENT__BODY_TRANSFER_EVENT;
	content.transfer_event = event;
	return cli_send_in_thread(call, agent, place->agency, place->thread, &content);
}

/* An offer that is answered was seen by a person: that is said first, and printed by nobody. */
static int acknowledge(struct cli_call *call, struct kinward *agent, struct cli_place *place)
{
	Kinward__V1__TransferEvent seen = KINWARD__V1__TRANSFER_EVENT__INIT;
	FILE *out = call->out;
	if (place->party != KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OTHER ||
		place->state != KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_OFFERED)
		return CLI_OK;
	FILE *nowhere = fopen("/dev/null", "we");
	if (!nowhere)
		return cli_fail_err(call, KW_EIO, NULL);
	seen.state = KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_ACKNOWLEDGED;
	call->out = nowhere;
	int code = send_event(call, agent, place, &seen);
	call->out = out;
	(void)fclose(nowhere); /* nothing of it matters */
	return code;
}

static int run_event(struct cli_call *call, Kinward__V1__TransferEvent *event)
{
	struct kinward agent = {.fd = -1};
	struct cli_place place;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_find_place(call, &agent, KINWARD__V1__THREAD_KIND__THREAD_KIND_TRANSFER, &place);
	if (code == CLI_OK && (event->state == KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_ACCEPTED ||
		event->state == KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_REJECTED))
		code = acknowledge(call, &agent, &place);
	/* The owner asks for its offer back; who only asked for the case takes that back. */
	if (code == CLI_OK && event->state == KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_WITHDRAWN &&
		place.party == KINWARD__V1__THREAD_PARTY__THREAD_PARTY_OPENER)
		event->state = KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_WITHDRAW_REQUESTED;
	if (code == CLI_OK)
		code = send_event(call, &agent, &place, event);
	kinward_close(&agent);
	return code;
}

enum { E_NOTE, E_CASEWORKER, E_NEW_CASE_REF };

const struct cli_option CLI_TRANSFER_ACCEPT_OPTIONS[] = {
	[E_NOTE] = {"note", "TEXT", "in words"},
	[E_CASEWORKER] = {"caseworker", "TEXT", "who has the case from now on; required"},
	[E_NEW_CASE_REF] = {"new-case-ref", "TEXT", "our pseudonym of the case from now on"},
	{NULL, NULL, NULL},
};

int cli_run_transfer_accept(struct cli_call *call)
{
	Kinward__V1__TransferEvent event = KINWARD__V1__TRANSFER_EVENT__INIT;
	Kinward__V1__Staff caseworker;
	if (!call->option[E_CASEWORKER])
		return cli_fail_usage(call, "say who has the case from now on: --caseworker NAME");
	event.state = KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_ACCEPTED;
	event.note = cli_borrowed(call->option[E_NOTE]);
	event.new_case_ref = cli_borrowed(call->option[E_NEW_CASE_REF]);
	take_staff(call->option[E_CASEWORKER], &caseworker, &event.caseworker);
	return run_event(call, &event);
}

enum { J_NOTE, J_REFUSAL };

const struct cli_option CLI_TRANSFER_REJECT_OPTIONS[] = {
	[J_NOTE] = {"note", "TEXT", "in words; required with the refusal other"},
	[J_REFUSAL] = {"refusal", "CODE", "why not, such as no_capacity; required"},
	{NULL, NULL, NULL},
};

int cli_run_transfer_reject(struct cli_call *call)
{
	Kinward__V1__TransferEvent event = KINWARD__V1__TRANSFER_EVENT__INIT;
	int refusal = 0;
	if (!call->option[J_REFUSAL])
		return cli_fail_usage(call, "say why not: --refusal CODE, such as no_capacity");
	int code = cli_take_code(call, &kinward__v1__transfer_refusal__descriptor, J_REFUSAL, &refusal);
	event.state = KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_REJECTED;
	event.refusal = (Kinward__V1__TransferRefusal)refusal;
	event.note = cli_borrowed(call->option[J_NOTE]);
	return code == CLI_OK ? run_event(call, &event) : code;
}

enum { S_NOTE };

const struct cli_option CLI_TRANSFER_SIMPLE_OPTIONS[] = {
	[S_NOTE] = {"note", "TEXT", "in words"},
	{NULL, NULL, NULL},
};

static int run_simple(struct cli_call *call, Kinward__V1__TransferState state)
{
	Kinward__V1__TransferEvent event = KINWARD__V1__TRANSFER_EVENT__INIT;
	event.state = state;
	event.note = cli_borrowed(call->option[S_NOTE]);
	return run_event(call, &event);
}

int cli_run_transfer_acknowledge(struct cli_call *call)
{
	return run_simple(call, KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_ACKNOWLEDGED);
}

int cli_run_transfer_withdraw(struct cli_call *call)
{
	return run_simple(call, KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_WITHDRAWN);
}

int cli_run_transfer_complete(struct cli_call *call)
{
	return run_simple(call, KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_COMPLETE);
}

enum { C_NOTE, C_MEETING, C_PLACE };

const struct cli_option CLI_TRANSFER_CONFIRM_OPTIONS[] = {
	[C_NOTE] = {"note", "TEXT", "in words"},
	[C_MEETING] = {"meeting", "TIME", "when the handover was, as 2025-03-01T14:00+03:00; required"},
	[C_PLACE] = {"place", "TEXT", "where it was"},
	{NULL, NULL, NULL},
};

int cli_run_transfer_confirm(struct cli_call *call)
{
	Kinward__V1__TransferEvent event = KINWARD__V1__TRANSFER_EVENT__INIT;
	Kinward__V1__HandoverMeeting meeting;
	if (!call->option[C_MEETING])
		return cli_fail_usage(call, "say when the handover was: --meeting TIME");
	event.state = KINWARD__V1__TRANSFER_STATE__TRANSFER_STATE_HANDOVER_CONFIRMED;
	event.note = cli_borrowed(call->option[C_NOTE]);
	int code = take_meeting(call, C_MEETING, C_PLACE, &meeting, &event.handover);
	return code == CLI_OK ? run_event(call, &event) : code;
}
