#include <string.h>

#include "agent/shell/agent_audit.h"
#include "proto/link/log.h"

/* Callers of the local socket that wait for a proof of the hub. A message that is not among the leaves that the hub has looked
 * at is asked for again, from there on, until it has looked at all. */

enum kw_err agent_audit_ask(struct agent *agent, const struct kw_frame_prove *prove)
{
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;
	if (out == NULL || !agt_online(agent->core))
		return KW_EOFFLINE;
	enum kw_err err = kw_frame_prove_add(out, prove);
	if (err == KW_OK)
		kw_link_ready(agent->link);
	return err;
}

static struct agent_audit_wait *waiting_for(struct agent_log *log, const struct kw_frame_prove *of)
{
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++) {
		const struct kw_frame_prove *prove = &log->waiting[i].prove;
		if (log->waiting[i].used && prove->size_old == of->size_old &&
			memcmp(&prove->digest, &of->digest, sizeof(of->digest)) == 0)
			return &log->waiting[i];
	}
	return NULL;
}

struct agent_audit_wait *agent_audit_place(struct agent_log *log, const struct kw_frame_prove *prove)
{
	if (waiting_for(log, prove) != NULL)
		return NULL;
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++)
		if (!log->waiting[i].used)
			return &log->waiting[i];
	return NULL;
}

void agent_audit_wait_for(struct agent *agent, const struct agent_audit_wait *what)
{
	struct agent_audit_wait *place = agent_audit_place(agent->log, &what->prove);
	enum kw_err err = place == NULL ? KW_EBUSY : agent_audit_ask(agent, &what->prove);
	if (err != KW_OK) {
		socket_call_refuse(what->call, err, NULL, NULL);
		return;
	}
	*place = *what;
	place->used = true;
	place->left_s = AGENT_AUDIT_WAIT_S;
}

static ProtobufCBinaryData data_of(struct kw_view view)
{
	return (ProtobufCBinaryData){.len = view.size, .data = (uint8_t *)(uintptr_t)view.data};
}

/* The key as well: who has no root of this hub, such as a witness, checks by it. */
void agent_audit_fill(const struct agent *agent, Kinward__V1__AuditReply *body)
{
	const struct agent_log_state *state = &agent->log->state;
	struct kw_role_keys *keys = &agent->log->keys; /* until the reply is written */
	body->checkpoint = data_of(kw_buf_view(&state->last));
	body->size = state->client.last.size;
	body->at_unix_ms = state->client.last.at_unix_ms;
	if (agent_roles_log_keys(agent->roles, &agent->office.hub, keys))
		body->log_key = data_of(KW_VIEW_OF(keys->keys[0]));
}

void agent_audit_reply(struct socket_call *call, Kinward__V1__AuditReply *body)
{
	Kinward__V1__LocalReply out = KINWARD__V1__LOCAL_REPLY__INIT;
	out.body_case = KINWARD__V1__LOCAL_REPLY__BODY_AUDIT;
	out.audit = body;
	socket_call_reply(call, &out);
}

static void answer_inclusion(struct agent *agent, const struct agent_audit_wait *waiting, const struct kw_frame_proof *frame)
{
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	struct kw_inclusion inclusion;
	enum kw_err err = kw_inclusion_read(frame->proof, &inclusion);
	if (err == KW_OK)
		err = kw_audit_verify(&agent->log->state.client.last, &frame->of.digest, &inclusion);
	if (err != KW_OK) {
		kw_log(KW_LOG_ERROR, "audit_proof_refused", KW_LOG_ERR(err));
		socket_call_refuse(waiting->call, KW_EAUTH, "audit.id", "The hub's proof does not show this message in its log: ask its operator.");
		return;
	}
	if (waiting->number != 0)
		agent_audit_keep(agent, waiting->number, frame->proof);
	agent_audit_fill(agent, &body);
	body.envelope_digest = data_of(KW_VIEW_OF(frame->of.digest.bytes));
	body.inclusion = data_of(frame->proof);
	body.index = inclusion.index;
	agent_audit_reply(waiting->call, &body);
}

/* Whether the log that somebody else was shown is the one that we were shown. */
static enum kw_audit_rule compare(struct agent *agent, const struct agent_audit_wait *waiting, const struct kw_frame_proof *frame)
{
	struct kw_audit_client client = {.last = waiting->other};
	enum kw_audit_rule rule = KW_AUDIT_RULE_SIGNATURE;
	struct kw_role_keys keys;
	if (!agent_roles_log_keys(agent->roles, &agent->office.hub, &keys))
		return rule;
	enum kw_err err = kw_audit_client_take(&client, &keys, frame->checkpoint, frame->proof, &rule);
	return err != KW_OK && rule == KW_AUDIT_RULE_NONE ? KW_AUDIT_RULE_FORM : rule;
}

/* What the hub has signed for others shows a fork; what only a witness says, who may be wrong, does not. */
static void answer_two(struct agent *agent, const struct agent_audit_wait *waiting, enum kw_audit_rule rule, struct kw_view shown)
{
	if (waiting->witnessed) {
		kw_log(KW_LOG_WARN, "audit_statement_refused", KW_LOG_STR("rule", kw_audit_rule_name(rule)));
		socket_call_refuse(waiting->call, KW_EAUTH, kw_audit_rule_name(rule),
			"The witness says that it saw another log than we were shown: ask it for the checkpoint that the hub has signed, and give "
			"that to kinward audit compare.");
		return;
	}
	agent_audit_alarm(agent, rule, shown);
	socket_call_refuse(waiting->call, KW_EAUTH, kw_audit_rule_name(rule), kw_audit_rule_text(rule));
}

static void answer_growth(struct agent *agent, const struct agent_audit_wait *waiting, const struct kw_frame_proof *frame)
{
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	enum kw_audit_rule rule = compare(agent, waiting, frame);
	if (rule != KW_AUDIT_RULE_NONE) {
		answer_two(agent, waiting, rule, frame->checkpoint);
		return;
	}
	agent_audit_fill(agent, &body);
	body.consistency = data_of(frame->proof);
	agent_audit_reply(waiting->call, &body);
}

static void refuse(const struct agent_audit_wait *waiting, const struct kw_frame_proof *frame)
{
	if (frame->code == KW_ENOTFOUND)
		socket_call_refuse(waiting->call, KW_ENOTFOUND, "audit.id",
			"The hub's log has no leaf of this message: it was sent before the log began, or was forgotten at somebody's wish.");
	else
		socket_call_refuse(waiting->call, frame->code, NULL, NULL);
}

/* The hub has not looked at all leaves: false when it cannot be asked for the others. */
static bool go_on(struct agent *agent, struct agent_audit_wait *waiting, const struct kw_frame_proof *frame)
{
	uint64_t before = waiting->prove.below;
	if (frame->code != KW_ENOTFOUND || frame->below == 0 || (before != 0 && frame->below >= before))
		return false;
	waiting->prove.below = frame->below;
	waiting->left_s = AGENT_AUDIT_WAIT_S;
	return agent_audit_ask(agent, &waiting->prove) == KW_OK;
}

bool agent_audit_answer(struct agent *agent, const struct kw_frame_proof *frame)
{
	struct agent_log *log = agent->log;
	struct agent_audit_wait *place = waiting_for(log, &frame->of);
	if (place == NULL)
		return false;
	if (frame->code == KW_EBUSY) {
		place->again = true; /* with the next tick */
		return true;
	}
	if (go_on(agent, place, frame))
		return true;
	const struct agent_audit_wait waiting = *place;
	*place = (struct agent_audit_wait){.used = false};
	bool is_of_last = log->state.client.last.size > 0 && kw_view_equal(frame->checkpoint, kw_buf_view(&log->state.last));
	if (frame->code == KW_ENOTFOUND && waiting.other.size > 0)
		/* The hub has signed more for others than it has now. */
		answer_two(agent, &waiting, KW_AUDIT_RULE_ROLLBACK, kw_buf_view(&log->state.last));
	else if (frame->code != KW_OK)
		refuse(&waiting, frame);
	else if (!is_of_last)
		socket_call_refuse(waiting.call, KW_EAUTH, "audit",
			"The proof is of a checkpoint that is not believed: kinward status says why.");
	else if (frame->of.size_old != 0)
		answer_growth(agent, &waiting, frame);
	else
		answer_inclusion(agent, &waiting, frame);
	return true;
}

static void give_up(struct agent_audit_wait *waiting, enum kw_err err, const char *text)
{
	struct socket_call *call = waiting->call;
	*waiting = (struct agent_audit_wait){.used = false};
	socket_call_refuse(call, err, NULL, text);
}

void agent_audit_down(struct agent *agent)
{
	if (agent->log == NULL)
		return;
	agent->log->asked = false;
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++)
		if (agent->log->waiting[i].used)
			give_up(&agent->log->waiting[i], KW_EOFFLINE, NULL);
}

/* A hub that was busy is asked again each second. */
void agent_audit_wait_tick(struct agent *agent)
{
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++) {
		struct agent_audit_wait *waiting = &agent->log->waiting[i];
		if (waiting->used && --waiting->left_s == 0)
			give_up(waiting, KW_EBUSY, "The hub does not answer: it is busy, or of a version without an audit log.");
		else if (waiting->used && waiting->again)
			waiting->again = agent_audit_ask(agent, &waiting->prove) != KW_OK;
	}
}
