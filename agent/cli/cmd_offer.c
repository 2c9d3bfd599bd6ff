#include <inttypes.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/cli/services.h"

/* kinward claims and lease, for who offered a referral; claim and decline, for who was asked. */

enum { ALL };

const struct cli_option CLI_CLAIMS_OPTIONS[] = {
	[ALL] = {"all", NULL, "those that are over, too"},
	{NULL, NULL, NULL},
};

enum { WITHDRAW };

const struct cli_option CLI_LEASE_OPTIONS[] = {
	[WITHDRAW] = {"withdraw", NULL, "take the OFFER back: nobody gets it, and all who were asked are told"},
	{NULL, NULL, NULL},
};

enum { HOLD, CONTACT, CLAIM_NOTE };

const struct cli_option CLI_CLAIM_OPTIONS[] = {
	[HOLD] = {"hold", "TIME", "until when the place is kept free, as 2025-03-01T14:00+03:00 (default: two days from now)"},
	[CONTACT] = {"contact", "TEXT", "whom to ask: name of a member of staff"},
	[CLAIM_NOTE] = {"note", "TEXT", "in words, nothing about a person"},
	{NULL, NULL, NULL},
};

enum { REASON, DECLINE_NOTE };

const struct cli_option CLI_DECLINE_OPTIONS[] = {
	[REASON] = {"reason", "CODE", "why, such as no_capacity; required"},
	[DECLINE_NOTE] = {"note", "TEXT", "in words, nothing about a person; required with other"},
	{NULL, NULL, NULL},
};

#define HOLD_MS (2 * INT64_C(86400000))

void cli_print_offer(FILE *out, const Kinward__V1__OfferRow *offer)
{
	(void)fputs("offer ", out);
	cli_print_hex(out, &offer->offer_id);
	(void)fputs("  ", out);
	if (offer->unclaimed)
		(void)fputs("UNCLAIMED", out);
	else
		cli_print_code(out, &kinward__v1__offer_standing__descriptor, (int)offer->standing);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__service_type__descriptor, (int)offer->service);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__risk__descriptor, (int)offer->risk);
	(void)fputs("  ", out);
	cli_print_code(out, &kinward__v1__age_band__descriptor, (int)offer->age_band);
	(void)fputs("  ", out);
	cli_print_text(out, offer->admin2_pcode);
	(void)fputs("  claim by ", out);
	cli_print_time(out, offer->claim_by_unix_ms);
	if (offer->manual)
		(void)fputs("  picked by a person", out);
	if (offer->round > 1)
		(void)fprintf(out, "  round %" PRIu32, offer->round);
	if (offer->referral_thread_id.len) {
		(void)fputs("  referral ", out);
		cli_print_hex(out, &offer->referral_thread_id);
	}
	(void)fputc('\n', out);
	for (size_t i = 0; i < offer->n_members; i++) {
		const Kinward__V1__OfferMember *member = offer->members[i];
		(void)fputs("  ", out);
		cli_print_hex(out, &member->thread_id);
		(void)fputs("  ", out);
		cli_print_text(out, member->agency);
		(void)fputs("  ", out);
		cli_print_code(out, &kinward__v1__offer_answer__descriptor, (int)member->answer);
		if (member->claim)
			(void)fprintf(out, "  claim %" PRIu32, member->claim);
		(void)fputs(member->winner ? "  has it" : "", out);
		(void)fputs(member->coordinator ? "  coordinator\n" : "\n", out);
	}
}

int cli_run_claims(struct cli_call *call)
{
	Kinward__V1__OffersRequest offers = KINWARD__V1__OFFERS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint8_t id[KW_ID_SIZE];
	if (call->arg_count == 1 && cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "OFFER is an id of 32 hex digits, as kinward claims prints them");
	if (call->arg_count == 1)
		offers.offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	offers.all = call->option[ALL] != NULL;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_OFFERS;
	request.offers = &offers;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_OFFERS, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->offers->base);
	} else if (code == CLI_OK) {
		for (size_t i = 0; i < reply->offers->n_offers; i++)
			cli_print_offer(call->out, reply->offers->offers[i]);
		if (reply->offers->n_offers == 0)
			(void)fputs("No offer is open; --all shows those that are over.\n", call->err);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_lease(struct cli_call *call)
{
	Kinward__V1__LeaseRequest lease = KINWARD__V1__LEASE_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint8_t id[KW_ID_SIZE];
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "THREAD is an id of 32 hex digits, as kinward claims prints it before the agency");
	if (call->option[WITHDRAW])
		lease.withdraw_offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	else
		lease.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_LEASE;
	request.lease = &lease;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_LEASED, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->leased->base);
	} else if (code == CLI_OK) {
		(void)fputs(call->option[WITHDRAW] ? "withdrawn\n  offer  " : "leased; the referral follows by itself\n  offer  ", call->out);
		cli_print_hex(call->out, &reply->leased->offer_id);
		(void)fputc('\n', call->out);
	}
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

/* Sends an answer in the thread of an offer, to the agency that made it. */
static int answer(struct cli_call *call, Kinward__V1__ServiceClaim *claim)
{
	Kinward__V1__CaseShowRequest show = KINWARD__V1__CASE_SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	uint8_t thread[KW_ID_SIZE];
	if (cli_id_from(call->args[0], thread) != KW_OK)
		return cli_fail_usage(call, "THREAD is an id of 32 hex digits, as kinward todo prints them");
	show.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_CASE_SHOW;
	request.case_show = &show;
	content.body_case = KINWARD__V1__CONTENT__BODY_SERVICE_CLAIM;
	content.service_claim = claim;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL, &reply);
	if (code == CLI_OK && (!reply->case_detail->row || reply->case_detail->row->kind != KINWARD__V1__THREAD_KIND__THREAD_KIND_OFFER))
		code = cli_fail_usage(call, "this thread is no offer; kinward todo lists those that wait");
	if (code == CLI_OK)
		code = cli_send_content(call, &agent, &(struct cli_content){.agency = reply->case_detail->row->agency, .thread = thread,
			.content = &content});
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_claim(struct cli_call *call)
{
	Kinward__V1__ServiceClaim claim = KINWARD__V1__SERVICE_CLAIM__INIT;
	Kinward__V1__Staff contact = KINWARD__V1__STAFF__INIT;
	claim.state = KINWARD__V1__OFFER_STATE__OFFER_STATE_CLAIMED;
	claim.held_until_unix_ms = cli_now_ms() + HOLD_MS;
	if (call->option[HOLD] && !cli_time_from(call->option[HOLD], &claim.held_until_unix_ms))
		return cli_fail_usage(call, "--hold is a time with its zone, as 2025-03-01T14:00+03:00");
	if (call->option[CONTACT]) {
		contact.name = (char *)(uintptr_t)call->option[CONTACT];
		claim.contact = &contact;
	}
	if (call->option[CLAIM_NOTE])
		claim.note = (char *)(uintptr_t)call->option[CLAIM_NOTE];
	return answer(call, &claim);
}

int cli_run_decline(struct cli_call *call)
{
	Kinward__V1__ServiceClaim claim = KINWARD__V1__SERVICE_CLAIM__INIT;
	int reason = 0;
	if (!call->option[REASON])
		return cli_fail_usage(call, "say why: --reason no_capacity, not_eligible, outside_area and so on");
	int code = cli_code_option(call, &kinward__v1__referral_reason__descriptor, "--reason", call->option[REASON], &reason);
	if (code != CLI_OK)
		return code;
	claim.state = KINWARD__V1__OFFER_STATE__OFFER_STATE_DECLINED;
	claim.reason = (Kinward__V1__ReferralReason)reason;
	if (call->option[DECLINE_NOTE])
		claim.note = (char *)(uintptr_t)call->option[DECLINE_NOTE];
	return answer(call, &claim);
}
