#include <stdlib.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_consent.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/agent_rekey.h"
#include "agent/shell/agent_service.h"
#include "agent/shell/attach_ref.h"
#include "agent/shell/batch.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/link/log.h"
#include "proto/wire/message.h"
#include "proto/wire/open.h"

/* What arrives: opened and checked here, stored by the spool's writer. A message that cannot be opened is set aside, and
 * the hub is told before its ack, because it forgets the message then. */

#define SEEN_KEEP_HOURS 48u

void agent_op_done(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	if (err == KW_ENOSPACE && agent->stopping)
		return; /* it waited for room; nothing was promised */
	if (err != KW_OK) {
		agent_fail(agent, "spool", err);
		return;
	}
	if (agent->stopping) /* the core is told by the next start */
		return;
	if (op->ticket > agent->committed)
		agent->committed = op->ticket;
	agent->due = agent->due || op->decided;
	if (op->type == SPOOL_OP_RECEIVE) {
		agent->due = true;
		if (op->strangers > 0)
			kw_log(KW_LOG_WARN, "receipt_refused", KW_LOG_STR("agency", op->u.receive.item.agency.text), KW_LOG_ERR(KW_EAUTH),
				KW_LOG_INT("count", op->strangers), KW_LOG_STR("text", "it is about messages that were not for that agency, or "
				"about other envelopes than theirs: not believed"));
		agent->news = agent->news || op->number != 0;
		if (op->repeat) /* after a hub's loss of memory an honest one; else a replay. Either way it is here once. */
			kw_log(KW_LOG_INFO, "repeat", KW_LOG_STR("agency", op->u.receive.item.agency.text),
				KW_LOG_INT("class", op->u.receive.msg_class), KW_LOG_INT("sequence", op->u.receive.cursor.sequence));
		for (uint32_t i = 0; i < op->u.receive.named_count && op->number != 0; i++)
			agent_blobs_name(agent, &op->u.receive.named[i]);
	} else if (op->type == SPOOL_OP_NOTICE) {
		agent->news = agent->news || op->number != 0;
	} else if (op->type == SPOOL_OP_SWEEP) {
		agent->due = true; /* what waited too long for its turn */
	}
	agent_rekey_noticed(agent, op);
	agent_prekeys_heard(agent, op);
	agent->follow = agent->follow || op->follow;
	agent->recall = agent->recall || op->follow;
	for (uint32_t i = 0; i < op->gone_count; i++) {
		struct agt_event event = {.type = AGT_EV_RECEIPTED};

		event.u.receipted.msg_class = op->gone[i].msg_class;
		event.u.receipted.sequence = op->gone[i].sequence;
		agent_step(agent, &event);
	}
}

static void tell_unopened(struct agent *agent, const struct agt_effect *effect, const struct kw_id *envelope_id, bool key_gone)
{
	struct kw_frame_unopened unopened = {
		.msg_class = effect->msg_class, .sequence = effect->sequence, .envelope_id = *envelope_id,
		.key_gone = key_gone};
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;

	agent->wrote = true;
	if (out != NULL && kw_frame_unopened_add(out, &unopened) != KW_OK)
		kw_link_close(agent->link, KW_EFULL);
}

/* The entries of a Receipt, when the agency that sent it has signed them, with the key that has signed the envelope. */
static enum kw_err take_receipts(const struct letter_opened *opened, const Kinward__V1__Receipt *receipt, struct spool_op *op)
{
	const struct kw_name *from = &op->u.receive.item.agency;
	enum kw_err err = batch_take(receipt, opened->sender_key, op);

	if (err != KW_EAUTH)
		return err;
	kw_log(KW_LOG_WARN, "receipt_refused", KW_LOG_STR("agency", from->text), KW_LOG_ERR(err), KW_LOG_STR("text",
		"the signature is not that agency's: nothing of it is believed; ask the agency what its agent is"));
	op->u.receive.arrival = SPOOL_REFUSED;
	op->u.receive.failure = KW_EAUTH;
	return KW_OK;
}

/* Once more than a message of this size can name. */
#define NAMED_MAX 256u

static bool add_named(void *user, const Kinward__V1__AttachmentRef *ref)
{
	struct spool_op *op = user;

	memcpy(op->u.receive.named[op->u.receive.named_count++].bytes, ref->digest.data, KW_DIGEST_SIZE); /* size: kw_content_validate */
	return op->u.receive.named_count < NAMED_MAX;
}

static enum kw_err take_named(const Kinward__V1__Content *content, struct spool_op *op)
{
	op->u.receive.named = calloc(NAMED_MAX, sizeof(*op->u.receive.named));
	if (op->u.receive.named == NULL)
		return KW_ENOMEM;
	(void)attach_ref_each(&content->base, add_named, op); /* what is over stays unnamed */
	return KW_OK;
}

static void take_gaps(const Kinward__V1__Content *content, struct spool_op *op)
{
	for (size_t i = 0; i < content->n_gaps && i < SPOOL_GAPS_MAX; i++) { /* no more: kw_content_validate */
		const Kinward__V1__ThreadGap *from = content->gaps[i];
		struct spool_gap *gap = &op->u.receive.gaps[op->u.receive.gaps_count++];

		*gap = (struct spool_gap){.sequence = from->thread_sequence, .state = (uint8_t)from->state};
		if (from->thread_id.len == KW_ID_SIZE)
			memcpy(gap->thread_id.bytes, from->thread_id.data, KW_ID_SIZE);
	}
}

/* Decides what an opened message is. KW_ENOMEM only; what is wrong with the content becomes a receipt. */
static enum kw_err classify(struct agent *agent, struct spool_op *op, struct letter_opened *opened)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;
	enum kw_err err;

	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	err = kw_content_unpack(kw_buf_view(&opened->content), &arena, &content, &fault);
	if (err == KW_OK && ((uint32_t)content->body_case != opened->content_type ||
		content->body_case == KINWARD__V1__CONTENT__BODY_UASC_REGISTRATION ||
		content->body_case == KINWARD__V1__CONTENT__BODY_REMINDER))
		err = KW_EFIELD;
	if (err == KW_OK && agent_now_ms() / AGENT_HOUR_MS >= (int64_t)opened->expiry_hour + SEEN_KEEP_HOURS)
		err = KW_EEXPIRED; /* its digest may be forgotten: it could be a replay */
	if (err == KW_ENOMEM)
		goto out;
	op->u.receive.item = opened->item;
	op->u.receive.item.at_ms = agent_now_ms();
	op->u.receive.expiry_hour = opened->expiry_hour;
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "content_refused", KW_LOG_ERR(err), KW_LOG_STR("field", fault.field));
		op->u.receive.arrival = SPOOL_REFUSED;
		op->u.receive.failure = err;
		err = KW_OK;
		goto out;
	}
	memcpy(op->u.receive.item.message_id.bytes, content->message_id.data, KW_ID_SIZE);
	take_gaps(content, op);
	if (content->body_case == KINWARD__V1__CONTENT__BODY_RECEIPT) {
		op->u.receive.arrival = SPOOL_RECEIPT;
		err = take_receipts(opened, content->receipt, op);
	} else {
		op->u.receive.arrival = SPOOL_MESSAGE;
		act_of(content, &op->u.receive.act);
		err = consent_of(content, &op->u.receive.erasure);
		if (err == KW_OK)
			err = consent_answer_handle(content, &op->answer);
		if (err == KW_OK)
			err = take_named(content, op);
		if (err == KW_OK)
			err = kw_buf_add(&op->content, kw_buf_view(&opened->content));
		if (err == KW_OK && agent->settings->capacity_auto &&
			content->body_case == KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY)
			err = agent_answer_capacity(agent, content->capacity_query, &op->answer);
	}
out:
	kw_arena_fini(&arena);
	return err;
}

void agent_in_store(struct agent *agent, const struct agt_effect *effect)
{
	struct spool_box *box = (struct spool_box *)(uintptr_t)effect->box;
	struct kw_view envelope = KW_VIEW(box->data, box->size);
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	struct letter_opened opened;
	const char *reason = "";
	agent->office.now_ms = agent_hub_ms(agent);
	enum kw_err err = op == NULL ? KW_ENOMEM : letter_open(&agent->office, envelope, &opened, &reason);

	if (err == KW_OK) {
		if (opened.weaker)
			kw_log(KW_LOG_INFO, "weaker_suite", KW_LOG_STR("agency", opened.item.agency.text));
		err = classify(agent, op, &opened);
		letter_opened_fini(&opened);
		spool_box_unref(box);
	} else if (op != NULL && kw_err_class(err) == KW_CLASS_REJECT) {
		struct kw_id id = letter_id(envelope);

		kw_log(KW_LOG_WARN, "cannot_open", KW_LOG_STR("reason", reason), KW_LOG_ERR(err), KW_LOG_INT("class", effect->msg_class),
			KW_LOG_INT("sequence", effect->sequence));
		tell_unopened(agent, effect, &id, strcmp(reason, kw_open_reason_name(KW_OPEN_KEY_UNKNOWN)) == 0);
		op->u.receive.arrival = SPOOL_UNOPENED;
		op->u.receive.item.at_ms = agent_now_ms();
		op->u.receive.failure = err;
		op->u.receive.aside_reason = reason;
		op->box = box;
		err = KW_OK;
	} else {
		spool_box_unref(box);
	}
	if (err != KW_OK) {
		spool_op_free(op);
		agent_fail(agent, "receive", err);
		return;
	}
	op->ticket = effect->ticket;
	op->done = agent_op_done;
	op->user = agent;
	op->u.receive.erase_manual = agent->settings->erase_manual;
	op->u.receive.erase_confirmed = agent->settings->erase_confirmed;
	op->u.receive.msg_class = effect->msg_class;
	op->u.receive.cursor = (struct kw_cursor){.epoch = effect->u.epoch, .sequence = effect->sequence};
	spool_do(agent->spool, op);
}

static const char *notice_text(const struct kw_frame_notice *notice)
{
	if (notice->reason == KW_EFULL)
		return "The hub keeps no more messages for this agency, which has not fetched those it has; sent again by itself.";
	return notice->retry_after_ms != 0 ? "The hub cannot take this message now; sent again by itself." : kw_err_text(notice->reason);
}

static void take_notice(const struct spool_box *box, struct spool_op *op)
{
	struct kw_frame_notice notice = {0};
	enum kw_err err = kw_frame_notice_parse(KW_VIEW(box->data, box->size), &notice);

	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "bad_notice", KW_LOG_ERR(err)); /* its cursor moves on all the same */
		notice = (struct kw_frame_notice){0};
	} else {
		kw_log(KW_LOG_WARN, "notice", KW_LOG_STR("agency", notice.agency.text), KW_LOG_ERR(notice.reason),
			KW_LOG_INT("retry_after_ms", notice.retry_after_ms), KW_LOG_STR("text", notice_text(&notice)));
	}
	op->u.notice.notice = notice;
}

void agent_in_notice(struct agent *agent, const struct agt_effect *effect)
{
	struct spool_box *box = (struct spool_box *)(uintptr_t)effect->box;
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	enum kw_err err = KW_OK;

	if (op == NULL)
		err = KW_ENOMEM;
	else if (box->reminder)
		err = agent_reminder(agent, KW_VIEW(box->data, box->size), op);
	else
		take_notice(box, op);
	spool_box_unref(box);
	if (err != KW_OK) {
		spool_op_free(op);
		agent_fail(agent, "notice", err);
		return;
	}
	op->ticket = effect->ticket;
	op->done = agent_op_done;
	op->user = agent;
	op->u.notice.cursor = (struct kw_cursor){.epoch = effect->u.epoch, .sequence = effect->sequence};
	op->u.notice.now_ms = agent_now_ms();
	spool_do(agent->spool, op);
}
