#include "agent/shell/spool_consent.h"
#include "agent/shell/agent_consent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who decides what: the spool's writer reaches every holder and destroys keys (spool_erase.c); here messages become records
 * and records messages, and callers are answered after the commit. */

_Static_assert((int)SPOOL_ERASE_ACTION == (int)KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_ERASE &&
	(int)SPOOL_ERASE_DONE == (int)KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_DONE &&
	(int)SPOOL_ERASE_RETAINED == (int)KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_RETAINED &&
	(int)SPOOL_ERASE_FAILED == (int)KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_FAILED, "the schema's codes");

/* Cut at a whole character. */
static void copy_note(const char *from, char *out)
{
	size_t size = strnlen(from, SPOOL_ERASE_NOTE_MAX + 1);

	if (size > SPOOL_ERASE_NOTE_MAX)
		for (size = SPOOL_ERASE_NOTE_MAX; size > 0 && ((unsigned char)from[size] & 0xc0u) == 0x80u; size--)
			;
	memcpy(out, from, size);
	out[size] = '\0';
}

static bool take_about(const Kinward__V1__ErasureSubject *about, struct spool_erasure *out)
{
	if (about->subject_case != KINWARD__V1__ERASURE_SUBJECT__SUBJECT_THREAD_ID || about->thread_id.len != KW_ID_SIZE)
		return false; /* a tracing record, which no thread of ours is */
	memcpy(out->thread_id.bytes, about->thread_id.data, KW_ID_SIZE);
	return true;
}

static bool take_update(const Kinward__V1__ConsentUpdate *update, struct spool_erasure *out)
{
	/* A new consent is for a person to read; a withdrawal with ERASE is followed by the Erase. */
	if (update->action != KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_RESTRICT || !take_about(update->about, out))
		return false;
	out->action = (uint8_t)update->action;
	out->reason = KINWARD__V1__ERASURE_REASON__ERASURE_REASON_CONSENT_WITHDRAWN;
	out->from = (uint8_t)update->obtained_from;
	for (size_t i = 0; i < update->n_withdrawn; i++)
		out->purposes |= (uint8_t)(1u << (update->withdrawn[i] - 1));
	out->effective_ms = update->effective_at_unix_ms;
	return true;
}

static bool take_ack(const Kinward__V1__EraseAck *ack, struct spool_erasure *out)
{
	if (!take_about(ack->about, out))
		return false;
	out->action = (uint8_t)ack->action;
	out->outcome = (uint8_t)ack->outcome;
	out->ground = (uint8_t)ack->legal_ground;
	out->until_ms = ack->retained_until_unix_ms;
	if (ack->failure[0] != '\0') {
		out->failure = kw_err_from_name(ack->failure);
		if (out->failure == KW_ERR_COUNT)
			out->failure = KW_EFORMAT; /* of a newer version */
	}
	for (size_t i = 0; i < ack->n_passed_to && i < SPOOL_PASSED_MAX; i++)
		if (kw_name_from(kw_view_str(ack->passed_to[i]), &out->passed[out->passed_count]) == KW_OK)
			out->passed_count++;
	copy_note(ack->note, out->note);
	return true;
}

enum kw_err consent_of(const Kinward__V1__Content *content, struct spool_erasure **out)
{
	struct spool_erasure erasure = {.purposes = 0};
	bool has = false;

	*out = NULL;
	if (content->body_case == KINWARD__V1__CONTENT__BODY_CONSENT_UPDATE) {
		has = take_update(content->consent_update, &erasure);
	} else if (content->body_case == KINWARD__V1__CONTENT__BODY_ERASE) {
		has = take_about(content->erase->about, &erasure);
		erasure.action = (uint8_t)content->erase->action;
		erasure.reason = (uint8_t)content->erase->reason;
		erasure.effective_ms = content->erase->effective_at_unix_ms;
	} else if (content->body_case == KINWARD__V1__CONTENT__BODY_ERASE_ACK) {
		has = take_ack(content->erase_ack, &erasure);
	}
	if (!has)
		return KW_OK;
	*out = malloc(sizeof(erasure));
	if (*out == NULL)
		return KW_ENOMEM;
	**out = erasure;
	return KW_OK;
}

static void fill_update(struct consent_parts *parts, Kinward__V1__Content *content)
{
	const struct spool_erasure *erasure = &parts->erasure;
	Kinward__V1__ConsentUpdate *update = &parts->update;

	kinward__v1__consent_update__init(update);
	update->about = &parts->about;
	for (unsigned i = 0; i < 7; i++)
		if ((erasure->purposes & (1u << i)) != 0)
			parts->purposes[update->n_withdrawn++] = (Kinward__V1__ConsentPurpose)(i + 1);
	update->withdrawn = parts->purposes;
	update->action = (Kinward__V1__ErasureAction)erasure->action;
	update->effective_at_unix_ms = erasure->effective_ms;
	update->obtained_from = (Kinward__V1__ConsentSource)erasure->from;
	content->body_case = KINWARD__V1__CONTENT__BODY_CONSENT_UPDATE;
	content->consent_update = update;
}

static void fill_erase(struct consent_parts *parts, Kinward__V1__Content *content)
{
	const struct spool_erasure *erasure = &parts->erasure;
	Kinward__V1__Erase *erase = &parts->erase;

	kinward__v1__erase__init(erase);
	erase->about = &parts->about;
	erase->action = (Kinward__V1__ErasureAction)erasure->action;
	erase->reason = (Kinward__V1__ErasureReason)erasure->reason;
	erase->effective_at_unix_ms = erasure->effective_ms;
	if (erase->reason == KINWARD__V1__ERASURE_REASON__ERASURE_REASON_OTHER)
		erase->note = parts->erasure.note[0] != '\0' ? parts->erasure.note : (char *)(uintptr_t)"-";
	content->body_case = KINWARD__V1__CONTENT__BODY_ERASE;
	content->erase = erase;
}

static void fill_ack(struct consent_parts *parts, int64_t now_ms, Kinward__V1__Content *content)
{
	struct spool_erasure *erasure = &parts->erasure;
	Kinward__V1__EraseAck *ack = &parts->ack;

	kinward__v1__erase_ack__init(ack);
	ack->about = &parts->about;
	ack->action = (Kinward__V1__ErasureAction)erasure->action;
	ack->outcome = KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_DONE;
	ack->at_unix_ms = now_ms;
	content->body_case = KINWARD__V1__CONTENT__BODY_ERASE_ACK;
	content->erase_ack = ack;
	if (erasure->role != SPOOL_ERASURE_HOLDER)
		return; /* both asked: we had erased ours when we did; what stands in the record is the other's answer */
	ack->outcome = (Kinward__V1__ErasureOutcome)erasure->outcome;
	ack->at_unix_ms = erasure->answered_ms;
	for (uint32_t i = 0; i < erasure->passed_count; i++)
		parts->passed[i] = erasure->passed[i].text;
	ack->passed_to = parts->passed;
	ack->n_passed_to = erasure->passed_count;
	if (erasure->outcome != SPOOL_ERASE_RETAINED)
		return;
	ack->legal_ground = (Kinward__V1__LegalGround)erasure->ground;
	ack->retained_until_unix_ms = erasure->until_ms;
	ack->note = erasure->note;
}

enum kw_err consent_fill(struct agent *agent, const struct spool_follow *follow, int64_t now_ms, struct consent_parts *parts,
	Kinward__V1__Content *content)
{
	enum kw_err err = spool_erasure(agent->spool, &follow->thread_id, &follow->agency, &parts->erasure);

	if (err != KW_OK)
		return err == KW_ECORRUPT ? KW_ENOTFOUND : err;
	kinward__v1__erasure_subject__init(&parts->about);
	parts->about.subject_case = KINWARD__V1__ERASURE_SUBJECT__SUBJECT_THREAD_ID;
	parts->about.thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = parts->erasure.thread_id.bytes};
	if (follow->what == SPOOL_FOLLOW_CONSENT)
		fill_update(parts, content);
	else if (follow->what == SPOOL_FOLLOW_ERASE)
		fill_erase(parts, content);
	else
		fill_ack(parts, now_ms, content);
	return KW_OK;
}

static void tell_hub(void *user, const struct kw_frame_recall *recall)
{
	struct agent *agent = user;
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;

	if (out != NULL && kw_frame_recall_add(out, recall) != KW_OK)
		kw_link_close(agent->link, KW_EFULL); /* in the next session again */
}

void agent_recall(struct agent *agent)
{
	agent->recall = false;
	if (agent->stopping || agent->link == NULL || !agt_online(agent->core))
		return; /* coming online asks for it */
	enum kw_err err = spool_recalls(agent->spool, tell_hub, agent);
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	else if (agent->link != NULL)
		kw_link_ready(agent->link);
}

/* --- callers */

struct consent_call {
	struct agent *agent;
	struct socket_call *call;
};

struct refusal {
	const char *field;
	const char *text;
};

static enum kw_err refuse(struct refusal *refusal, const char *field, const char *text)
{
	*refusal = (struct refusal){.field = field, .text = text};
	return KW_EFIELD;
}

static void consent_done(struct spool_op *op, enum kw_err err)
{
	struct consent_call *waiting = op->user;
	bool withdraw = op->type == SPOOL_OP_WITHDRAW;

	if (err != KW_OK) {
		socket_call_refuse(waiting->call, err, NULL, NULL);
	} else if (op->count == 0 && !(withdraw && op->offers > 0)) {
		socket_call_refuse(waiting->call, KW_ENOTFOUND, withdraw ? "consent_withdraw" : "consent_answer.thread_id",
			withdraw ? "No agency holds such a case from us that was not asked before; kinward case list --all names cases, "
				   "kinward consent list those that were asked." :
				   "No erasure of this thread waits for us; kinward consent list shows those that do.");
	} else {
		Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
		Kinward__V1__ConsentReply body = KINWARD__V1__CONSENT_REPLY__INIT;

		body.holders = op->count;
		body.offers = op->offers;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_CONSENT;
		reply.consent = &body;
		socket_call_reply(waiting->call, &reply);
	}
	op->user = waiting->agent;
	free(waiting);
	agent_op_done(op, err);
}

static enum kw_err take_purposes(const Kinward__V1__ConsentWithdrawRequest *request, struct spool_erasure *out,
	struct refusal *refusal)
{
	for (size_t i = 0; i < request->n_purposes; i++) {
		if (request->purposes[i] < 1 || request->purposes[i] > 7)
			return refuse(refusal, "consent_withdraw.purposes", "A purpose is one of ConsentPurpose: 1 to 7.");
		out->purposes |= (uint8_t)(1u << (request->purposes[i] - 1));
	}
	if (out->purposes == 0) /* what every message needs, so without it nothing may be kept */
		out->purposes = 1u << (KINWARD__V1__CONSENT_PURPOSE__CONSENT_PURPOSE_SHARE_OTHER_ORGS - 1);
	return KW_OK;
}

static enum kw_err fill_withdraw(const Kinward__V1__ConsentWithdrawRequest *request, struct spool_op *op,
	struct refusal *refusal)
{
	struct spool_erasure *erasure = op->u.withdraw.erasure;
	int reason = request->reason != 0 ? (int)request->reason :
		(int)KINWARD__V1__ERASURE_REASON__ERASURE_REASON_CONSENT_WITHDRAWN;
	int from = request->obtained_from != 0 ? (int)request->obtained_from : (int)KINWARD__V1__CONSENT_SOURCE__CONSENT_SOURCE_INDIVIDUAL;
	size_t size = strlen(request->case_ref);

	if ((request->thread_id.len == 0) == (size == 0))
		return refuse(refusal, "consent_withdraw", "Name the case by its pseudonym, or one thread by its id.");
	if (request->thread_id.len != 0 && request->thread_id.len != KW_ID_SIZE)
		return refuse(refusal, "consent_withdraw.thread_id", "A thread id has 16 bytes.");
	if (size > SPOOL_CASE_REF_SIZE_MAX)
		return refuse(refusal, "consent_withdraw.case_ref", "A pseudonym has at most 64 bytes.");
	if (reason < 1 || reason > 6)
		return refuse(refusal, "consent_withdraw.reason", "A reason is one of ErasureReason: 1 to 6.");
	if (!protobuf_c_enum_descriptor_get_value(&kinward__v1__consent_source__descriptor, from))
		return refuse(refusal, "consent_withdraw.obtained_from", "Who withdrew is one of ConsentSource.");
	if (strlen(request->note) > SPOOL_ERASE_NOTE_MAX)
		return refuse(refusal, "consent_withdraw.note", "A note has at most 500 bytes.");
	if (reason == KINWARD__V1__ERASURE_REASON__ERASURE_REASON_OTHER && request->note[0] == '\0')
		return refuse(refusal, "consent_withdraw.note", "The reason OTHER needs a note.");
	op->u.withdraw.by_thread = size == 0;
	if (size == 0)
		memcpy(op->u.withdraw.thread_id.bytes, request->thread_id.data, KW_ID_SIZE);
	else
		memcpy(op->u.withdraw.case_ref, request->case_ref, size + 1);
	erasure->action = request->restrict_only ? KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_RESTRICT : SPOOL_ERASE_ACTION;
	erasure->reason = (uint8_t)reason;
	erasure->from = (uint8_t)from;
	erasure->asked_ms = agent_now_ms();
	erasure->effective_ms = erasure->asked_ms;
	copy_note(request->note, erasure->note);
	return take_purposes(request, erasure, refusal);
}

static enum kw_err fill_answer(const Kinward__V1__ConsentAnswerRequest *request, struct spool_op *op,
	struct refusal *refusal)
{
	struct spool_erasure *answer = op->u.answer.erasure;
	bool retained = request->outcome == KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_RETAINED;
	bool ground = request->legal_ground != KINWARD__V1__LEGAL_GROUND__LEGAL_GROUND_UNSPECIFIED;

	if (request->thread_id.len != KW_ID_SIZE)
		return refuse(refusal, "consent_answer.thread_id", "A thread id has 16 bytes.");
	if (!retained && request->outcome != KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_DONE)
		return refuse(refusal, "consent_answer.outcome", "1 erases now, 2 keeps it by a law.");
	if (retained != ground || request->legal_ground > KINWARD__V1__LEGAL_GROUND__LEGAL_GROUND_OTHER)
		return refuse(refusal, "consent_answer.legal_ground", "Say by which law it is kept, and only then.");
	if (request->legal_ground == KINWARD__V1__LEGAL_GROUND__LEGAL_GROUND_OTHER && request->note[0] == '\0')
		return refuse(refusal, "consent_answer.note", "The ground OTHER needs a note.");
	if (strlen(request->note) > SPOOL_ERASE_NOTE_MAX)
		return refuse(refusal, "consent_answer.note", "A note has at most 500 bytes.");
	memcpy(op->u.answer.thread_id.bytes, request->thread_id.data, KW_ID_SIZE);
	answer->outcome = (uint8_t)request->outcome;
	answer->ground = (uint8_t)request->legal_ground;
	answer->until_ms = retained ? request->retained_until_unix_ms : 0;
	answer->answered_ms = agent_now_ms();
	copy_note(request->note, answer->note);
	return KW_OK;
}

void agent_consent(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	bool withdraw = request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_CONSENT_WITHDRAW;
	struct spool_op *op = spool_op_new(withdraw ? SPOOL_OP_WITHDRAW : SPOOL_OP_ANSWER);
	struct spool_erasure *erasure = calloc(1, sizeof(*erasure));
	struct consent_call *waiting = calloc(1, sizeof(*waiting));
	struct refusal refusal = {0};
	enum kw_err err = op == NULL || erasure == NULL || waiting == NULL ? KW_ENOMEM : KW_OK;

	if (err == KW_OK && (agent->stopping || agent->failed))
		err = KW_ECLOSED;
	if (err == KW_OK && withdraw) {
		op->u.withdraw.erasure = erasure;
		erasure = NULL;
		err = fill_withdraw(request->consent_withdraw, op, &refusal);
	} else if (err == KW_OK) {
		op->u.answer.erasure = erasure;
		erasure = NULL;
		err = fill_answer(request->consent_answer, op, &refusal);
	}
	free(erasure);
	if (err != KW_OK) {
		spool_op_free(op);
		free(waiting);
		socket_call_refuse(call, err, refusal.field, refusal.text);
		return;
	}
	*waiting = (struct consent_call){.agent = agent, .call = call};
	op->user = waiting;
	op->done = consent_done;
	spool_do(agent->spool, op);
}
