#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent_service.h"
#include "agent/shell/socket_offer.h"
#include "agent/shell/spool_consent.h"
#include "proto/wire/clocks.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Referrals to a service on the loop thread: a request becomes an offer with the referral beside it, one operation for the
 * spool's writer, which does all the rest. */

#define OFFERS_MAX 100u
#define CLAIM_MS_MAX (30 * INT64_C(86400000))

struct agent_service_call *agent_service_wait(struct agent *agent, struct socket_call *call)
{
	struct agent_service_call *wait = calloc(1, sizeof(*wait));

	if (wait != NULL)
		*wait = (struct agent_service_call){.agent = agent, .call = call};
	return wait;
}

enum kw_err agent_service_agency(const struct agent *agent, const char *text, struct kw_name *out)
{
	const struct kw_directory_entry *entry;
	const char *why;

	if (kw_name_from(kw_view_str(text), out) != KW_OK || kw_name_equal(out, &agent->office.agency))
		return KW_EFIELD;
	enum kw_err err = agent_contact_check(agent, out, &why);
	if (err != KW_OK)
		return err;
	entry = agent->directory != NULL ? kw_directory_find(agent->directory, out) : NULL;
	if (entry == NULL)
		return KW_ENOAGENCY;
	return entry->revoked ? KW_EDENIED : KW_OK;
}

static enum kw_err refuse(struct agent_refusal *refusal, const char *field, const char *text)
{
	refusal->field = field;
	refusal->text = text;
	return KW_EFIELD;
}

/* A provider must be able to take all of them, and it is the youngest who decides. */
Kinward__V1__AgeBand agent_offer_band(const Kinward__V1__ReferralRequest *referral)
{
	uint32_t youngest = UINT32_MAX;

	for (size_t i = 0; i < referral->n_children; i++) {
		const Kinward__V1__Age *age = referral->children[i]->age;
		uint32_t years = age->value_case == KINWARD__V1__AGE__VALUE_RANGE ? age->range->years_min : age->years;

		youngest = years < youngest ? years : youngest;
	}
	if (youngest <= 5)
		return KINWARD__V1__AGE_BAND__AGE_BAND_0_TO_5;
	if (youngest <= 11)
		return KINWARD__V1__AGE_BAND__AGE_BAND_6_TO_11;
	if (youngest <= 14)
		return KINWARD__V1__AGE_BAND__AGE_BAND_12_TO_14;
	return youngest <= 17 ? KINWARD__V1__AGE_BAND__AGE_BAND_15_TO_17 : KINWARD__V1__AGE_BAND__AGE_BAND_18_OR_MORE;
}

/* Whom it goes to. */
static enum kw_err fill_members(struct agent *agent, const Kinward__V1__ReferRequest *request, struct spool_offer *offer,
	struct agent_refusal *refusal)
{
	enum kw_err err = KW_OK;

	if (request->n_agencies == 0 || request->n_agencies > AGT_OFFER_AGENCIES_MAX)
		return refuse(refusal, "refer.agencies", "Name 1 to 8 agencies; each hears only of the need, not of the person.");
	for (size_t i = 0; err == KW_OK && i < request->n_agencies; i++) {
		err = agent_service_agency(agent, request->agencies[i], &offer->agencies[i]);
		for (size_t k = 0; err == KW_OK && k < i; k++)
			err = kw_name_equal(&offer->agencies[i], &offer->agencies[k]) ? KW_EFIELD : KW_OK;
		if (err != KW_OK) {
			(void)snprintf(refusal->path, sizeof(refusal->path), "refer.agencies[%zu]", i);
			refusal->field = refusal->path;
			refusal->text = err == KW_EFIELD ? "Name each agency once, and not ourselves: a-z, 0-9 and '-'." : NULL;
		} else {
			err = kw_random(offer->threads[i].bytes, KW_ID_SIZE);
		}
	}
	return err;
}

/* Where and until when. */
static enum kw_err fill_need(const struct agent *agent, const Kinward__V1__ReferRequest *request, int64_t now_ms,
	struct spool_offer *offer, struct agent_refusal *refusal)
{
	const Kinward__V1__ReferralRequest *referral = request->referral;
	size_t size = strlen(request->admin2_pcode);

	if (size < 2 || size > 20)
		return refuse(refusal, "refer.admin2_pcode", "Give the area at level 2 as a P-code: 2 to 20 of A-Z and 0-9.");
	offer->span_ms = kw_clock_limit(&agent->limits, KW_CLOCK_CLAIMED, (enum kw_risk)referral->risk);
	if (request->claim_by_unix_ms != 0)
		offer->span_ms = request->claim_by_unix_ms - now_ms;
	if (offer->span_ms <= 0 || offer->span_ms > CLAIM_MS_MAX)
		return refuse(refusal, "refer.claim_by_unix_ms", "The last moment to claim is in the future, within 30 days.");
	offer->service = referral->service;
	offer->risk = referral->risk;
	offer->age_band = agent_offer_band(referral);
	offer->created_ms = now_ms;
	memcpy(offer->admin2, request->admin2_pcode, size);
	agt_offer_init(&offer->core, (uint8_t)request->n_agencies, request->manual, now_ms + offer->span_ms);
	return KW_OK;
}

static enum kw_err digest_of(const Kinward__V1__ReferRequest *request, struct kw_digest *out)
{
	struct kw_buf packed;

	kw_buf_init(&packed, SOCKET_REQUEST_SIZE_MAX * 2);
	enum kw_err err = kw_buf_reserve(&packed, kinward__v1__refer_request__get_packed_size(request));
	if (err == KW_OK) {
		packed.size = kinward__v1__refer_request__pack(request, packed.data);
		struct kw_view part = kw_buf_view(&packed);
		err = kw_sha256(&part, 1, out);
	}
	kw_buf_fini(&packed);
	return err;
}

/* The referral as the message that it will be. */
static enum kw_err pack_referral(const Kinward__V1__ReferRequest *request, int64_t now_ms, struct kw_buf *out,
	struct agent_refusal *refusal)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	uint8_t id[KW_ID_SIZE];
	enum kw_err err = kw_random(id, sizeof(id));

	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	content.created_unix_ms = now_ms;
	content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
	content.referral_request = request->referral;
	return err != KW_OK ? err : kw_content_pack(&content, out, &refusal->fault);
}

static void refer_done(struct spool_op *op, enum kw_err err)
{
	struct agent_service_call *wait = op->user;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__ReferReply body = KINWARD__V1__REFER_REPLY__INIT;

	body.offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = op->u.offer.offer.id.bytes};
	body.repeated_request = op->repeat;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_REFERRED;
	reply.referred = &body;
	if (err != KW_OK)
		socket_call_refuse(wait->call, err, NULL, NULL);
	else if (op->fault == AGT_FAULT_WITHDRAWN)
		socket_call_refuse(wait->call, KW_EILLEGAL, "refer.consent_anew", AGENT_WITHDRAWN_TEXT);
	else if (op->fault != AGT_FAULT_NONE)
		socket_call_refuse(wait->call, KW_EILLEGAL, op->fault == AGT_FAULT_FROM ? "refer.from_thread" : "refer.case",
			op->fault == AGT_FAULT_FROM ? "No thread has this id here; kinward case list --all shows those that brought a case."
						    : "What this names is of two cases here; say which it is, by --case or --from-thread.");
	else if (op->u.offer.taken)
		socket_call_refuse(wait->call, KW_EEXIST, "refer.offer_id", NULL);
	else
		socket_call_reply(wait->call, &reply);
	op->user = wait->agent;
	free(wait);
	agent_op_done(op, err);
}

static enum kw_err refer(struct agent *agent, const Kinward__V1__ReferRequest *request, struct socket_call *call,
	struct agent_refusal *refusal)
{
	int64_t now_ms = agent_now_ms();
	struct spool_op *op;
	struct agent_service_call *wait;

	if (request->referral == NULL)
		return refuse(refusal, "refer.referral", "Give the referral; it stays here until one agency has the lease.");
	if (request->offer_id.len != 0 && request->offer_id.len != KW_ID_SIZE)
		return refuse(refusal, "refer.offer_id", "An offer id has 16 bytes, or is empty for a new one.");
	if (spool_space(agent->spool) != SPOOL_SPACE_OK)
		return KW_ENOSPACE;
	op = spool_op_new(SPOOL_OP_OFFER);
	wait = agent_service_wait(agent, call);
	enum kw_err err = op == NULL || wait == NULL ? KW_ENOMEM : pack_referral(request, now_ms, &op->content, refusal);
	struct spool_offer *offer = op != NULL ? &op->u.offer.offer : NULL;
	if (err == KW_OK)
		err = fill_members(agent, request, offer, refusal);
	if (err == KW_OK)
		err = fill_need(agent, request, now_ms, offer, refusal);
	if (err == KW_OK)
		err = spool_case_tag(agent->spool, request->referral->case_ref, offer->case_tag);
	if (err == KW_OK && agent_take_claim(request->case_, &request->from_thread, &op->u.offer.claim) != KW_OK)
		err = refuse(refusal, "refer.case", "A case id has at most 64 bytes; the thread that it comes from has 16.");
	if (err == KW_OK)
		op->u.offer.claim.consent_anew = request->consent_anew;
	if (err == KW_OK) /* the validator knows the same limit */
		(void)snprintf(op->u.offer.case_ref, sizeof(op->u.offer.case_ref), "%s", request->referral->case_ref);
	if (err == KW_OK)
		err = digest_of(request, &offer->request_digest);
	if (err == KW_OK && request->offer_id.len == 0)
		err = kw_random(offer->id.bytes, KW_ID_SIZE);
	else if (err == KW_OK)
		memcpy(offer->id.bytes, request->offer_id.data, KW_ID_SIZE);
	if (err == KW_OK)
		err = kw_random(offer->message_id.bytes, KW_ID_SIZE);
	if (err == KW_OK)
		err = kw_random(offer->referral_thread_id.bytes, KW_ID_SIZE);
	if (err != KW_OK) {
		spool_op_free(op);
		free(wait);
		return err;
	}
	op->done = refer_done;
	op->user = wait;
	spool_do(agent->spool, op);
	return KW_OK;
}

static void pick_done(struct spool_op *op, enum kw_err err)
{
	static const char *const words[] = {
		[AGT_OFFER_OVER] = "The offer is withdrawn; make a new one.",
		[AGT_OFFER_HAS_WINNER] = "One agency has it already; kinward claims shows which. Cancel the referral with it first.",
		[AGT_OFFER_NOT_CLAIMED] = "This agency has not claimed it; kinward claims shows who has."};
	struct agent_service_call *wait = op->user;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__LeaseReply body = KINWARD__V1__LEASE_REPLY__INIT;
	const char *field = op->u.pick.withdraw ? "lease.withdraw_offer_id" : "lease.thread_id";

	body.offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = op->u.pick.offer_id.bytes};
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_LEASED;
	reply.leased = &body;
	if (err != KW_OK)
		socket_call_refuse(wait->call, err, NULL, NULL);
	else if (op->u.pick.result == KW_EILLEGAL)
		socket_call_refuse(wait->call, KW_EILLEGAL, field, words[op->u.pick.refusal]);
	else if (op->u.pick.result != KW_OK)
		socket_call_refuse(wait->call, op->u.pick.result, field, NULL);
	else
		socket_call_reply(wait->call, &reply);
	op->user = wait->agent;
	free(wait);
	agent_op_done(op, err);
}

static enum kw_err lease(struct agent *agent, const Kinward__V1__LeaseRequest *request, struct socket_call *call,
	struct agent_refusal *refusal)
{
	bool withdraw = request->withdraw_offer_id.len != 0;
	const ProtobufCBinaryData *id = withdraw ? &request->withdraw_offer_id : &request->thread_id;
	struct spool_op *op;
	struct agent_service_call *wait;

	if (id->len != KW_ID_SIZE || (withdraw && request->thread_id.len != 0))
		return refuse(refusal, "lease.thread_id", "Give the thread of the agency that gets it, or the offer to withdraw.");
	op = spool_op_new(SPOOL_OP_PICK);
	wait = agent_service_wait(agent, call);
	if (op == NULL || wait == NULL) {
		spool_op_free(op);
		free(wait);
		return KW_ENOMEM;
	}
	memcpy(op->u.pick.id.bytes, id->data, KW_ID_SIZE);
	op->u.pick.withdraw = withdraw;
	op->u.pick.now_ms = agent_now_ms();
	op->done = pick_done;
	op->user = wait;
	spool_do(agent->spool, op);
	return KW_OK;
}

struct offers {
	bool all;
	uint32_t limit;
	struct socket_offers list;
	enum kw_err err;
};

static bool gather(void *user, const struct spool_offer *offer)
{
	struct offers *offers = user;

	if (!offers->all && offer->core.state != AGT_OFFER_OPEN)
		return true;
	offers->err = socket_offers_add(&offers->list, offer);
	return offers->err == KW_OK && offers->list.count < offers->limit;
}

static enum kw_err list_offers(struct agent *agent, const Kinward__V1__OffersRequest *request, struct socket_call *call,
	struct agent_refusal *refusal)
{
	struct offers offers = {.all = request->all, .limit = request->limit != 0 ? request->limit : OFFERS_MAX};
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__OfferList body = KINWARD__V1__OFFER_LIST__INIT;
	struct spool_offer one;
	struct kw_id id;
	enum kw_err err;

	if (request->limit > OFFERS_MAX || (request->offer_id.len != 0 && request->offer_id.len != KW_ID_SIZE))
		return refuse(refusal, "offers", "An offer id has 16 bytes; a list has at most 100 offers.");
	if (request->offer_id.len != 0) {
		memcpy(id.bytes, request->offer_id.data, KW_ID_SIZE);
		err = spool_offer(agent->spool, &(struct spool_offer_key){.id = &id}, &one);
		offers.all = true;
		if (err == KW_OK)
			(void)gather(&offers, &one); /* its error is looked at below */
		refusal->field = "offers.offer_id";
	} else {
		err = spool_offers(agent->spool, gather, &offers);
	}
	if (err == KW_OK)
		err = offers.err;
	if (err == KW_OK)
		err = socket_offers_rows(&offers.list, &body.offers);
	if (err == KW_OK) {
		body.n_offers = offers.list.count;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_OFFERS;
		reply.offers = &body;
		socket_call_reply(call, &reply);
	}
	socket_offers_fini(&offers.list);
	return err;
}

void agent_service(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	struct agent_refusal refusal = {0};
	const char *root = "";
	enum kw_err err;

	switch (request->body_case) {
	case KINWARD__V1__LOCAL_REQUEST__BODY_SERVICES:
		err = agent_services(agent, request->services, call);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_PUBLISH:
		root = "publish.directory";
		err = agent_publish(agent, request->publish, call, &refusal);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_REFER:
		root = "refer.referral";
		err = refer(agent, request->refer, call, &refusal);
		break;
	case KINWARD__V1__LOCAL_REQUEST__BODY_OFFERS:
		err = list_offers(agent, request->offers, call, &refusal);
		break;
	default:
		err = lease(agent, request->lease, call, &refusal);
		break;
	}
	if (err == KW_OK)
		return;
	if (refusal.fault.rule[0] != '\0') {
		const char *at = strchr(refusal.fault.field, '.'); /* behind the name of the content's body */

		(void)snprintf(refusal.path, sizeof(refusal.path), "%s%s", root, at != NULL ? at : ""); /* both are ours */
		refusal.field = refusal.path;
		refusal.text = refusal.fault.rule;
	} else if (err == KW_ENOSPACE) {
		refusal.text = SOCKET_NO_SPACE_TEXT;
	}
	socket_call_refuse(call, err, refusal.field, refusal.text);
}
