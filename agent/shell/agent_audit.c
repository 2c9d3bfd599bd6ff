#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent_audit.h"
#include "proto/link/log.h"

/* Following the log:
 *
 *   CHECKPOINT → signed, and the log only grew → on disk → believed
 *   a caller asks → PROVE → (CHECKPOINT) → PROOF of the checkpoint that we believe → verified → the caller
 *
 * What is not believed: a checkpoint that raises an alarm is kept beside the last good one, and that one stays. A proof that the
 * log grew which is missing or does not fit is asked for, once in a session; one that is refused then is a fork. */

enum kw_err agent_audit_open(struct agent *agent)
{
	struct agent_log *log = calloc(1, sizeof(*log));
	if (log == NULL)
		return KW_ENOMEM;
	agent->log = log;
	kw_buf_init(&log->unjudged, KW_FRAME_SIZE_MAX);
	agent_log_state_init(&log->state, &agent->office.hub);
	enum kw_err err = agent_path(agent->settings->state, AGENT_AUDIT_FILE, log->path);
	if (err == KW_OK)
		err = agent_log_state_load(log->path, &log->state);
	if (err == KW_EFORMAT) {
		kw_log(KW_LOG_ERROR, "audit_state_damaged", KW_LOG_STR("path", log->path), KW_LOG_STR("text",
			"What was known of the hub's audit log cannot be read; it is followed anew from its next checkpoint."));
		err = KW_OK;
	}
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("path", log->path), KW_LOG_ERR(err));
	else if (log->state.alarm != KW_AUDIT_RULE_NONE)
		kw_log(KW_LOG_ERROR, "audit_alarm_stands", KW_LOG_STR("rule", kw_audit_rule_name(log->state.alarm)));
	return err;
}

void agent_audit_free(struct agent *agent)
{
	if (agent->log == NULL)
		return;
	agent_log_state_fini(&agent->log->state);
	kw_buf_fini(&agent->log->unjudged);
	free(agent->log);
	agent->log = NULL;
}

uint64_t agent_audit_size(const struct agent *agent)
{
	return agent->log == NULL ? 0 : agent->log->state.client.last.size;
}

static void save(struct agent_log *log)
{
	enum kw_err err = agent_log_state_save(log->path, &log->state);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "audit_state_not_saved", KW_LOG_STR("path", log->path), KW_LOG_ERR(err));
}

void agent_audit_alarm(struct agent *agent, enum kw_audit_rule rule, struct kw_view refused)
{
	struct agent_log_state *state = &agent->log->state;
	kw_log(KW_LOG_ERROR, "audit_alarm", KW_LOG_STR("rule", kw_audit_rule_name(rule)),
		KW_LOG_INT("size", (int64_t)state->client.last.size), KW_LOG_STR("text", kw_audit_rule_text(rule)));
	if (state->alarm != KW_AUDIT_RULE_NONE)
		return;
	state->alarm = rule;
	state->alarm_unix_ms = agent_now_ms();
	kw_buf_clear(&state->refused);
	if (kw_buf_add(&state->refused, refused) != KW_OK)
		kw_buf_clear(&state->refused); /* the alarm counts, not its evidence */
	save(agent->log);
}

/* Takes one as the next, or says why not. On disk before it counts. */
static enum kw_audit_rule believe(struct agent *agent, struct kw_view signed_role, struct kw_view growth)
{
	struct agent_log_state *state = &agent->log->state;
	struct kw_audit_client client = state->client;
	struct kw_role_keys keys;
	enum kw_audit_rule rule = KW_AUDIT_RULE_SIGNATURE;
	struct kw_buf last;
	if (!agent_roles_log_keys(agent->roles, &agent->office.hub, &keys))
		return rule;
	kw_buf_init(&last, KW_AUDIT_SIGNED_SIZE_MAX);
	enum kw_err err = kw_audit_client_take(&client, &keys, signed_role, growth, &rule);
	if (err == KW_OK)
		err = kw_buf_add(&last, signed_role);
	if (err != KW_OK) {
		kw_buf_fini(&last);
		return rule;
	}
	bool same = client.last.size == state->client.last.size;
	state->client = client;
	kw_buf_fini(&state->last);
	state->last = last;
	if (!same)
		save(agent->log);
	return KW_AUDIT_RULE_NONE;
}

/* Signed by keys that are not in our root. A newer one may be on its way; without any there is nobody to believe yet. */
static void put_aside(struct agent *agent, const struct kw_frame_checkpoint *frame)
{
	struct agent_log *log = agent->log;
	struct kw_role_keys keys;
	if (log->unjudged.size == 0)
		log->unjudged_s = agent_roles_log_keys(agent->roles, &agent->office.hub, &keys) ? AGENT_AUDIT_ROOT_S : 0;
	kw_buf_clear(&log->unjudged);
	if (kw_frame_checkpoint_add(&log->unjudged, frame) != KW_OK)
		kw_buf_clear(&log->unjudged); /* the hub shows another one */
}

static bool take_checkpoint(struct agent *agent, const struct kw_frame_checkpoint *frame)
{
	struct agent_log *log = agent->log;
	struct kw_frame_prove growth = {.size_old = log->state.client.last.size};
	enum kw_audit_rule rule = believe(agent, frame->checkpoint, frame->consistency);
	if (rule == KW_AUDIT_RULE_SIGNATURE)
		return false;
	kw_buf_clear(&log->unjudged);
	if (rule == KW_AUDIT_RULE_NONE)
		return true;
	if (rule == KW_AUDIT_RULE_PROOF && !log->asked && agent_audit_ask(agent, &growth) == KW_OK)
		log->asked = true;
	else if (rule != KW_AUDIT_RULE_PROOF || log->state.alarm == KW_AUDIT_RULE_NONE)
		agent_audit_alarm(agent, rule, frame->checkpoint);
	return true;
}

/* The frame that was put aside; false: none. Views into a copy that `out` owns. */
static bool unjudged(const struct agent_log *log, struct kw_buf *copy, struct kw_frame_checkpoint *out)
{
	struct kw_frame frame;
	size_t used;
	kw_buf_init(copy, KW_FRAME_SIZE_MAX);
	return log->unjudged.size > 0 && kw_buf_add(copy, kw_buf_view(&log->unjudged)) == KW_OK &&
		kw_frame_next(kw_buf_view(copy), KW_FRAME_SIZE_MAX, &frame, &used) == KW_OK &&
		kw_frame_checkpoint_parse(frame.body, out) == KW_OK;
}

void agent_audit_roles(struct agent *agent)
{
	struct kw_frame_checkpoint frame;
	struct kw_role_keys keys;
	struct kw_buf copy;
	if (unjudged(agent->log, &copy, &frame) && !take_checkpoint(agent, &frame) && agent->log->unjudged_s == 0 &&
		agent_roles_log_keys(agent->roles, &agent->office.hub, &keys))
		agent->log->unjudged_s = AGENT_AUDIT_ROOT_S; /* there is a root now, and it does not explain it */
	kw_buf_fini(&copy);
}

static void unjudged_tick(struct agent *agent)
{
	struct agent_log *log = agent->log;
	struct kw_frame_checkpoint frame;
	struct kw_buf copy;
	if (log->unjudged.size == 0 || log->unjudged_s == 0 || --log->unjudged_s > 0)
		return;
	if (unjudged(log, &copy, &frame))
		agent_audit_alarm(agent, KW_AUDIT_RULE_SIGNATURE, frame.checkpoint);
	kw_buf_fini(&copy);
	kw_buf_clear(&log->unjudged);
}

static void take_proof(struct agent *agent, const struct kw_frame_proof *frame)
{
	struct agent_log *log = agent->log;
	if (agent_audit_answer(agent, frame))
		return;
	if (!log->asked || frame->of.size_old != log->state.client.last.size || frame->of.size_old == 0)
		return;
	enum kw_audit_rule rule = frame->code != KW_OK ? KW_AUDIT_RULE_PROOF : believe(agent, frame->checkpoint, frame->proof);
	if (rule != KW_AUDIT_RULE_NONE && frame->code != KW_EBUSY)
		agent_audit_alarm(agent, rule, frame->checkpoint);
}

enum kw_err agent_audit_frame(struct agent *agent, const struct kw_frame *frame)
{
	if (frame->type == KW_FRAME_CHECKPOINT) {
		struct kw_frame_checkpoint checkpoint;
		enum kw_err err = kw_frame_checkpoint_parse(frame->body, &checkpoint);
		if (err == KW_OK && !take_checkpoint(agent, &checkpoint))
			put_aside(agent, &checkpoint);
		return err;
	}
	struct kw_frame_proof proof;
	enum kw_err err = kw_frame_proof_parse(frame->body, &proof);
	if (err == KW_OK)
		take_proof(agent, &proof);
	return err;
}

void agent_audit_tick(struct agent *agent)
{
	unjudged_tick(agent);
	agent_audit_wait_tick(agent);
}

void agent_audit_status(const struct agent *agent, Kinward__V1__StatusReply *out)
{
	const struct agent_log_state *state = &agent->log->state;
	out->log_size = state->client.last.size;
	out->log_unix_ms = state->client.last.at_unix_ms;
	if (state->alarm == KW_AUDIT_RULE_NONE)
		return;
	out->log_alarm = (char *)(uintptr_t)kw_audit_rule_name(state->alarm);
	out->log_alarm_text = (char *)(uintptr_t)kw_audit_rule_text(state->alarm);
	out->log_alarm_unix_ms = state->alarm_unix_ms;
}

static void prove_message(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call)
{
	struct agent_audit_wait waiting = {.call = call};
	struct spool_item item;
	struct kw_buf content;
	struct kw_id id;
	bool received = false;
	if (request->id.len != KW_ID_SIZE) {
		socket_call_refuse(call, KW_EFIELD, "audit.id", "A message or envelope id has 16 bytes.");
		return;
	}
	memcpy(id.bytes, request->id.data, KW_ID_SIZE);
	kw_buf_init(&content, KW_FRAME_SIZE_MAX * 2);
	enum kw_err err = spool_show(agent->spool, &id, &item, &received, &content);
	kw_buf_fini(&content);
	if (err != KW_OK) {
		socket_call_refuse(call, err, "audit.id", NULL);
		return;
	}
	waiting.prove.digest = item.digest;
	waiting.number = received ? 0 : item.number;
	agent_audit_wait_for(agent, &waiting);
}

static void compare_with(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call)
{
	struct agent_audit_wait waiting = {.call = call};
	struct kw_audit_client client = {.last.hub = agent->office.hub};
	enum kw_audit_rule rule = KW_AUDIT_RULE_NONE;
	struct kw_role_keys keys;
	enum kw_err err = agent_roles_log_keys(agent->roles, &agent->office.hub, &keys) ? KW_OK : KW_EOFFLINE;
	if (err == KW_OK)
		err = kw_audit_client_take(&client, &keys, KW_VIEW(request->checkpoint.data, request->checkpoint.len), KW_VIEW(NULL, 0),
			&rule);
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "audit_checkpoint_refused", KW_LOG_STR("rule", kw_audit_rule_name(rule)), KW_LOG_ERR(err));
		socket_call_refuse(call, err, "audit.checkpoint", rule == KW_AUDIT_RULE_NONE ? NULL : rule != KW_AUDIT_RULE_FORM
			? kw_audit_rule_text(rule) : "This file is no checkpoint: kinward audit checkpoint --out writes one.");
		return;
	}
	waiting.other = client.last;
	waiting.prove.size_old = client.last.size;
	agent_audit_wait_for(agent, &waiting);
}

/* From the next checkpoint on, whatever it is. */
static void accept_log(struct agent *agent, struct socket_call *call)
{
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	struct agent_log *log = agent->log;
	if (log->state.alarm == KW_AUDIT_RULE_NONE) {
		/* It would forget what the next fork or shorter log is known by. */
		socket_call_refuse(call, KW_ESTATE, "audit.accept", "There is no alarm to accept, and nothing was forgotten.");
		return;
	}
	kw_log(KW_LOG_WARN, "audit_accepted", KW_LOG_STR("rule", kw_audit_rule_name(log->state.alarm)),
		KW_LOG_INT("size", (int64_t)log->state.client.last.size));
	agent_log_state_fini(&log->state);
	agent_log_state_init(&log->state, &agent->office.hub);
	kw_buf_clear(&log->unjudged);
	save(log);
	agent_audit_reply(call, &body);
	if (agent->link != NULL)
		kw_link_close(agent->link, KW_OK); /* the next session begins with a checkpoint */
}

void agent_audit(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	const Kinward__V1__AuditRequest *audit = request->audit;
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	if (audit->id.len > 0) {
		prove_message(agent, audit, call);
	} else if (audit->checkpoint.len > 0) {
		compare_with(agent, audit, call);
	} else if (audit->statement.len > 0) {
		agent_audit_witnessed(agent, audit, call);
	} else if (audit->accept) {
		accept_log(agent, call);
	} else {
		agent_audit_fill(agent, &body);
		agent_audit_reply(call, &body);
	}
}
