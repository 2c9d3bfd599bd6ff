#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/act.h"
#include "agent/shell/agent_audit.h"
#include "agent/shell/agent_inner.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/renew.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* What a caller sends: checked, completed, told from a repeat, sealed, submitted. The reply waits for the commit. */

static enum kw_err refuse(struct agent_refusal *refusal, const char *field, const char *text)
{
	refusal->field = field;
	refusal->text = text;
	return KW_EFIELD;
}

/* The form of the request, without its content's rules. */
static enum kw_err check(const Kinward__V1__SendRequest *request, struct kw_name *agency,
	struct agent_refusal *refusal)
{
	const Kinward__V1__Content *content = request->content;

	if (kw_name_from(kw_view_str(request->agency), agency) != KW_OK)
		return refuse(refusal, "send.agency", "Name the agency to send to: 1 to 63 of a-z, 0-9 and '-'.");
	if (content == NULL || content->body_case == KINWARD__V1__CONTENT__BODY__NOT_SET)
		return refuse(refusal, "send.content", "Give what is to be sent.");
	if (content->body_case == KINWARD__V1__CONTENT__BODY_RECEIPT)
		return refuse(refusal, "send.content.receipt", "The agent writes receipts itself.");
	if (content->body_case == KINWARD__V1__CONTENT__BODY_UASC_REGISTRATION)
		return refuse(refusal, "send.content.uasc_registration", "A registration stays at its agency: use register.");
	if (content->body_case == KINWARD__V1__CONTENT__BODY_REMINDER)
		return refuse(refusal, "send.content.reminder", "The agent writes reminders itself, from its hub's word.");
	if (content->body_case == KINWARD__V1__CONTENT__BODY_SERVICE_OFFER ||
		content->body_case == KINWARD__V1__CONTENT__BODY_OFFER_CLOSED)
		return refuse(refusal, "send.content", "The agent offers and closes by itself, so that one agency has it: use refer, "
						       "lease.");
	if (content->n_gaps != 0)
		return refuse(refusal, "send.content.gaps", "The agent writes gaps itself, from what it knows of the thread.");
	if (content->message_id.len != 0 && content->message_id.len != KW_ID_SIZE)
		return refuse(refusal, "send.content.message_id", "A message id has 16 bytes, or is empty for a new one.");
	if (request->thread_id.len != 0 && request->thread_id.len != KW_ID_SIZE)
		return refuse(refusal, "send.thread_id", "A thread id has 16 bytes, or is empty for a new thread.");
	const ProtobufCBinaryData *match = act_match(content);
	if (match != NULL && request->thread_id.len != 0 &&
		(match->len != KW_ID_SIZE || memcmp(match->data, request->thread_id.data, KW_ID_SIZE) != 0))
		return refuse(refusal, "send.thread_id", "The thread of a match has the match's id; give that, or leave the thread empty.");
	if (request->lifetime_hours > AGENT_LIFETIME_HOURS_MAX)
		return refuse(refusal, "send.lifetime_hours", "A message lives 1 to 1080 hours; 0 means 720.");
	if (request->class_ >= KW_MSG_CLASS_COUNT)
		return refuse(refusal, "send.class", "1 urgent, 2 normal, 3 bulk; 0 lets the agent choose.");
	return KW_OK;
}

enum kw_err agent_take_claim(const char *local_id, const ProtobufCBinaryData *from_thread, struct spool_claim *out)
{
	size_t size = strlen(local_id);

	if (size > SPOOL_CASE_REF_SIZE_MAX || (from_thread->len != 0 && from_thread->len != KW_ID_SIZE))
		return KW_EFIELD;
	memcpy(out->local_id, local_id, size + 1);
	out->has_from = from_thread->len != 0;
	if (out->has_from)
		memcpy(out->from_thread.bytes, from_thread->data, KW_ID_SIZE);
	return KW_OK;
}

/* Of all that the caller asked for, before anything is completed, so that a repeat is known by it. */
static enum kw_err digest_request(const Kinward__V1__SendRequest *request, struct kw_digest *out)
{
	struct kw_buf packed;
	enum kw_err err;

	kw_buf_init(&packed, SOCKET_REQUEST_SIZE_MAX * 2);
	err = kw_buf_reserve(&packed, kinward__v1__send_request__get_packed_size(request));
	if (err == KW_OK) {
		packed.size = kinward__v1__send_request__pack(request, packed.data);
		struct kw_view part = kw_buf_view(&packed);
		err = kw_sha256(&part, 1, out);
	}
	kw_buf_fini(&packed);
	return err;
}

/* Fills message id, thread and time where the caller left them empty; the memory is the item's. */
static enum kw_err complete(Kinward__V1__SendRequest *request, struct spool_item *item)
{
	Kinward__V1__Content *content = request->content;
	enum kw_err err = KW_OK;

	if (content->message_id.len == 0)
		err = kw_random(item->message_id.bytes, KW_ID_SIZE);
	else
		memcpy(item->message_id.bytes, content->message_id.data, KW_ID_SIZE);
	const ProtobufCBinaryData *match = act_match(content);
	if (err == KW_OK && request->thread_id.len == 0 && match != NULL && match->len == KW_ID_SIZE)
		memcpy(item->thread_id.bytes, match->data, KW_ID_SIZE);
	else if (err == KW_OK && request->thread_id.len == 0)
		err = kw_random(item->thread_id.bytes, KW_ID_SIZE);
	else if (err == KW_OK)
		memcpy(item->thread_id.bytes, request->thread_id.data, KW_ID_SIZE);
	content->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = item->message_id.bytes};
	if (content->created_unix_ms == 0)
		content->created_unix_ms = item->at_ms;
	return err;
}

/* What asks for something at high risk overtakes the rest: a referral, an urgent action, a transfer, an offer. */
static enum kw_msg_class choose_class(const Kinward__V1__SendRequest *request, const struct spool_act *act)
{
	if (request->class_ != 0)
		return (enum kw_msg_class)request->class_;
	return act->opening && act->risk == KW_RISK_HIGH ? KW_URGENT : KW_NORMAL;
}

/* KW_OK: new, or a repeat: then *repeated is true and `sent` filled. KW_EEXIST: another message with this id. KW_EBUSY: the
 * same, and its commit is under way. KW_ESTATE: the same, and it is dead: a repeat would only look like a success. */
static enum kw_err find_repeat(struct agent *agent, const struct spool_item *item, struct socket_sent *sent, bool *repeated)
{
	struct spool_item old;
	enum kw_err err;

	const struct agent_sending *lists[] = {agent->sending, agent->staged};
	for (int i = 0; i < 2; i++) {
		for (const struct agent_sending *it = lists[i]; it != NULL; it = it->next)
			if (kw_id_equal(&it->sent.message_id, &item->message_id) && kw_name_equal(&it->agency, &item->agency))
				return KW_EBUSY;
	}
	err = spool_find_sent(agent->spool, &item->message_id, &item->agency, &old);
	if (err == KW_ENOTFOUND)
		return KW_OK;
	if (err != KW_OK)
		return err;
	if (memcmp(old.request_digest.bytes, item->request_digest.bytes, KW_DIGEST_SIZE) != 0)
		return KW_EEXIST;
	if (old.state == SPOOL_DEAD)
		return KW_ESTATE;
	*repeated = true;
	*sent = (struct socket_sent){.message_id = old.message_id,
		.thread_id = old.thread_id,
		.envelope_id = old.envelope_id,
		.repeated = true};
	return KW_OK;
}

static enum kw_err check_room(const struct agent *agent)
{
	uint32_t max = agent->settings->outbox_max != 0 ? agent->settings->outbox_max : AGENT_OUTBOX_DEFAULT;

	if (agent->stopping || agent->failed)
		return KW_ECLOSED;
	if (spool_space(agent->spool) != SPOOL_SPACE_OK)
		return KW_ENOSPACE;
	if (spool_count(agent->spool, SPOOL_COUNT_QUEUED) + spool_count(agent->spool, SPOOL_COUNT_HELD) +
			agent->sending_count + agent->staged_count >= max)
		return KW_EFULL;
	return agent->sending_count >= AGENT_SENDING_MAX ? KW_EBUSY : KW_OK;
}

void agent_sending_go(struct agent *agent, struct spool_op *op)
{
	struct agent_sending *sending = op->user;

	sending->next = agent->sending;
	sending->at = &agent->sending;
	if (sending->next != NULL)
		sending->next->at = &sending->next;
	agent->sending = sending;
	agent->sending_count++;
	agent_submit(agent, op);
}

void agent_sending_end(struct agent *agent, struct agent_sending *sending)
{
	*sending->at = sending->next;
	if (sending->next != NULL)
		sending->next->at = sending->at;
	agent->sending_count--;
}

static void sent_done(struct spool_op *op, enum kw_err err)
{
	struct agent_sending *sending = op->user;
	struct agent *agent = sending->agent;

	agent_sending_end(agent, sending);
	if (sending->call == NULL) {
		agent->following--;
	} else if (err != KW_OK) {
		socket_call_refuse(sending->call, err, NULL, NULL);
	} else if (op->fault != AGT_FAULT_NONE) {
		struct agent_refusal refusal = {0};
		enum kw_err why = agent_thread_refused(op, sending->field, &refusal);

		socket_call_refuse(sending->call, why, refusal.field, refusal.text);
	} else {
		agent_warn_sent(agent, op, sending);
	}
	free(sending);
	op->user = agent;
	agent_op_done(op, err);
}

uint32_t agent_expiry_hour(int64_t now_ms, uint32_t lifetime_hours)
{
	int64_t next_hour = (now_ms + AGENT_HOUR_MS - 1) / AGENT_HOUR_MS;

	return (uint32_t)next_hour + (lifetime_hours != 0 ? lifetime_hours : AGENT_LIFETIME_HOURS);
}

/* What the hub is to know of the thread. */
static enum kw_err add_track(const struct spool_op *op, enum kw_risk risk, struct kw_buf *out)
{
	const struct spool_item *item = &op->u.append.item;
	struct kw_frame_track track = {.thread_id = item->thread_id,
		.kind = (uint8_t)op->u.append.act.kind,
		.state = op->u.append.act.state,
		.risk = (uint8_t)risk,
		.sequence = (uint32_t)item->thread_sequence, /* far below, as the log of a thread is short */
		.other_agency = item->agency};

	/* For a hub that knows something else: where we are with it, and what of theirs we know. The states of a match are its own. */
	if (op->present.kind != KW_THREAD_NONE && op->present.kind != KW_THREAD_MATCH) {
		track.present = op->present.state;
		track.heard = (uint32_t)(op->present.expected - 1);
	}

	return op->u.append.act.kind == KW_THREAD_NONE ? KW_OK : kw_frame_track_add(out, &track);
}

/* Seals, and fills `op` for its append; its user is then the agent_sending that waits for it. */
static enum kw_err seal(struct agent *agent, struct agent_outgoing *outgoing, struct spool_op *op)
{
	struct letter *letter = &outgoing->letter;
	struct spool_item *item = &op->u.append.item;
	struct agent_sending *sending = calloc(1, sizeof(*sending));
	struct letter_sealed sealed = {0};
	enum kw_err err = sending == NULL ? KW_ENOMEM : spool_gaps(agent->spool, item, letter->gaps, &letter->gaps_count);

	if (err == KW_OK)
		err = letter_seal_proved(&agent->office, letter, &op->proof, &sealed);

	if (err == KW_OK)
		err = add_track(op, outgoing->risk, &sealed.box->tracks);
	if (err != KW_OK) {
		spool_box_unref(sealed.box);
		free(sending);
		return err;
	}
	item->envelope_id = sealed.envelope_id;
	item->digest = sealed.digest;
	op->box = sealed.box;
	op->u.append.fresh = true;
	op->u.append.by_person = outgoing->by_person || op->u.append.follow_what == SPOOL_FOLLOW_LEASE;
	op->u.append.msg_class = letter->msg_class;
	op->u.append.envelope_id = sealed.envelope_id;
	/* The envelope says when it ends; the row may stay until the hub has said what became of it. */
	op->u.append.expiry_hour =
		agt_thread_gives_up(op->u.append.act.kind, op->u.append.act.opening) ? letter->expiry_hour : 0;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = letter->now_ms;
	*sending = (struct agent_sending){.agent = agent,
		.agency = item->agency,
		.thread_id = item->thread_id,
		.thread_sequence = item->thread_sequence,
		.risk = outgoing->risk,
		.sent = {.message_id = item->message_id, .thread_id = item->thread_id, .envelope_id = item->envelope_id}};
	(void)snprintf(sending->field, sizeof(sending->field), "%s", outgoing->field); /* names of ours, and short */
	op->user = sending;
	return KW_OK;
}

enum kw_err agent_submit_letter(struct agent *agent, struct agent_outgoing *outgoing, struct spool_op *op,
	struct socket_call *call)
{
	enum kw_err err = seal(agent, outgoing, op);

	if (err != KW_OK)
		return err;
	struct agent_sending *sending = op->user;
	sending->call = call;
	op->done = sent_done;
	agent_sending_go(agent, op);
	return KW_OK;
}

enum kw_err agent_send_prepare(struct agent *agent, Kinward__V1__SendRequest *request, struct agent_draft *draft)
{
	struct spool_op *op = draft->op;
	struct agent_refusal *refusal = &draft->refusal;
	enum kw_risk risk = KW_RISK_NONE;
	struct spool_item *item = &op->u.append.item;
	struct spool_act *act = &op->u.append.act;

	item->at_ms = agent_now_ms();
	enum kw_err err = check(request, &item->agency, refusal);
	op->u.append.claim.consent_anew = request->consent_anew;
	if (err == KW_OK && agent_take_claim(request->case_, &request->from_thread, &op->u.append.claim) != KW_OK)
		err = refuse(refusal, "send.case", "A case id has at most 64 bytes; the thread that it comes from has 16.");
	if (err == KW_OK)
		err = digest_request(request, &item->request_digest);
	if (err == KW_OK)
		err = complete(request, item);
	if (err == KW_OK)
		err = kw_content_pack(request->content, &op->content, &refusal->fault);
	if (err == KW_OK)
		err = find_repeat(agent, item, &draft->sent, &draft->repeated);
	if (err != KW_OK || draft->repeated)
		return err;
	/* Not of a repeat: that was sent while the consent held. */
	err = kw_message_validate_at(&request->content->base, item->at_ms, &refusal->fault);
	/* Not of a repeat: what it names may have been delivered and forgotten since. */
	if (err == KW_OK && agent_blobs_named(agent, &request->content->base, &item->agency) != KW_OK)
		err = refuse(refusal, "send.content", "It names an attachment that is not for this agency; attach the file to it first.");
	if (err == KW_OK)
		err = agent_contact_check(agent, &item->agency, &refusal->text);
	if (err == KW_OK)
		err = check_room(agent);
	if (err == KW_OK) {
		act_of(request->content, act);
		if (act->kind != KW_THREAD_NONE && kw_name_equal(&item->agency, &agent->office.agency))
			err = refuse(refusal, "send.agency", "A case goes between two agencies, and this name is our own: name the other "
				"agency. What stays with us needs no message.");
	}
	if (err == KW_OK)
		err = agent_thread_place(agent, op, act_field(request->content), refusal, &risk);
	if (err != KW_OK)
		return err;
	struct agent_outgoing outgoing = {.risk = risk,
		.by_person = true,
		.field = act_field(request->content),
		.letter = {.to = item->agency,
			.msg_class = choose_class(request, act),
			.expiry_hour = agent_expiry_hour(item->at_ms, request->lifetime_hours),
			.content_type = (uint32_t)request->content->body_case,
			.thread_id = item->thread_id,
			.thread_sequence = item->thread_sequence,
			.now_ms = item->at_ms,
			.content = kw_buf_view(&op->content)}};

	return seal(agent, &outgoing, op);
}

void agent_send_words(enum kw_err err, struct agent_refusal *refusal)
{
	if (refusal->fault.rule[0] != '\0') {
		memcpy(refusal->path, "send.content", sizeof("send.content"));
		if (refusal->fault.field[0] != '\0') {
			refusal->path[12] = '.';
			memcpy(refusal->path + 13, refusal->fault.field, sizeof(refusal->fault.field));
		}
		refusal->field = refusal->path;
		refusal->text = refusal->fault.rule;
	} else if (err == KW_EILLEGAL) {
		/* field and words stand already */
	} else if (err == KW_ENOAGENCY || err == KW_EDENIED || err == KW_EEXPIRED || err == KW_EOFFLINE) {
		refusal->field = "send.agency"; /* words of agent_contact_check stand already */
		if (err == KW_EDENIED)
			refusal->text = "This agency is shut out of the network (kinward keys shows it), and nothing is sealed to it. Speak to its "
				"people by another way, or refer to another agency.";
	} else if (err == KW_ENOSPACE) {
		refusal->text = SOCKET_NO_SPACE_TEXT;
	} else if (err == KW_EEXIST) {
		refusal->field = "send.content.message_id";
	} else if (err == KW_ESTATE) {
		refusal->field = "send.content.message_id";
		refusal->text = "This message is a dead letter: kinward dead-letters says why, and whether it may have arrived all the "
				"same. If it has not, send it again with a new message id.";
	}
}

void agent_send(void *user, Kinward__V1__SendRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	struct agent_draft draft = {.op = spool_op_new(SPOOL_OP_APPEND)};
	enum kw_err err = draft.op == NULL ? KW_ENOMEM : agent_send_prepare(agent, request, &draft);

	if (err == KW_OK && !draft.repeated) {
		struct agent_sending *sending = draft.op->user;
		sending->call = call;
		draft.op->done = sent_done;
		agent_sending_go(agent, draft.op);
		return;
	}
	spool_op_free(draft.op);
	if (err == KW_OK) {
		socket_call_sent(call, &draft.sent);
		return;
	}
	agent_send_words(err, &draft.refusal);
	socket_call_refuse(call, err, draft.refusal.field, draft.refusal.text);
}

const char *agent_problem_text(const struct agent *agent)
{
	struct agent_renew_state state;

	agent_renew_state(agent, &state);
	if (state.text[0] != '\0')
		return state.text;
	switch (agent->problem) {
	case KW_OK:
		return "";
	case KW_ENOSPACE:
		return "The hub's store or disk is full: what is sent stays here, safe, and leaves by itself once the hub has room.";
	default:
		return kw_err_text(agent->problem);
	}
}

static void status_roles(const struct agent *agent, Kinward__V1__StatusReply *reply)
{
	static const Kinward__V1__DirectoryAge ages[] = {
		[KW_ROLE_FRESH] = KINWARD__V1__DIRECTORY_AGE__DIRECTORY_AGE_FRESH,
		[KW_ROLE_STALE] = KINWARD__V1__DIRECTORY_AGE__DIRECTORY_AGE_STALE,
		[KW_ROLE_OLD] = KINWARD__V1__DIRECTORY_AGE__DIRECTORY_AGE_OLD};
	struct agent_roles_state state;

	agent_roles_state(agent->roles, agent_now_ms(), &state);
	reply->root_version = state.root_version;
	reply->directory_signed_unix_ms = state.signed_unix_ms;
	reply->directory_age = ages[state.age];
	reply->own_key_alarm = state.own_key_alarm;
	if (state.refused != KW_ROLE_RULE_NONE) {
		reply->directory_refused = (char *)(uintptr_t)kw_role_rule_name(state.refused);
		reply->directory_refused_text = (char *)(uintptr_t)kw_role_rule_text(state.refused);
	}
}

static void status_renew(const struct agent *agent, Kinward__V1__StatusReply *reply)
{
	struct agent_renew_state state;

	agent_renew_state(agent, &state);
	reply->certificate_expires_unix_ms = state.expires_unix_ms;
	reply->rotating = (char *)(uintptr_t)state.rotating;
	if (state.problem != KW_OK)
		reply->renewal_problem = (char *)(uintptr_t)kw_err_name(state.problem);
}

void agent_status(void *user, Kinward__V1__StatusReply *reply)
{
	struct agent *agent = user;
	struct kw_net_stats stats = {0};

	kw_net_stats_get(agent->net, &stats);
	reply->agency = agent->office.agency.text;
	reply->hub = agent->office.hub.text;
	reply->online = agt_online(agent->core);
	reply->attachments_expired = agent_blobs_lost(agent);
	reply->since_unix_ms = agent->since_ms;
	if (agent->problem != KW_OK)
		reply->problem = (char *)(uintptr_t)kw_err_name(agent->problem);
	reply->problem_text = (char *)(uintptr_t)agent_problem_text(agent);
	reply->wire_bytes_in = stats.bytes_in;
	reply->wire_bytes_out = stats.bytes_out;
	reply->directory_version = agent->directory != NULL ? agent->directory->version : 0;
	reply->clock_skew_ms = agent->skew_ms;
	status_roles(agent, reply);
	status_renew(agent, reply);
	agent_prekeys_status(agent, reply);
	agent_audit_status(agent, reply);
}

void agent_identity(void *user, struct socket_identity *out)
{
	struct agent *agent = user;
	struct kw_view key = KW_VIEW_OF(agent->keys->identity.public_key);

	if (kw_sha256(&key, 1, &out->identity_fingerprint) != KW_OK)
		memset(&out->identity_fingerprint, 0, sizeof(out->identity_fingerprint)); /* seen by whoever compares */
	memcpy(out->sealing_key_id, agent->keys->sealing_id, sizeof(out->sealing_key_id));
	out->root_fingerprint = agent->root_fingerprint;
	out->directory = agent->directory;
}
