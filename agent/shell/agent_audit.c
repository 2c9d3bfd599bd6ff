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

struct waiting {
	struct socket_call *call; /* NULL: free, or we ask for ourselves */
	struct kw_frame_prove prove;
	struct kw_checkpoint other; /* of a caller who was given another one; size 0: none */
	uint32_t left_s;
	bool used;
};

struct agent_log {
	struct agent_log_state state;
	char path[4096];
	bool asked; /* for growth, in this session */
	struct waiting waiting[AGENT_AUDIT_CALLS_MAX];
};

bool agent_log_keys(struct agent *agent, struct kw_view offered, struct kw_role_keys *out)
{
	struct agent_log_state *state = &agent->log->state;
	if (!state->keyed && offered.size == KW_KEY_SIZE) {
		memcpy(state->log_key, offered.data, KW_KEY_SIZE);
		state->keyed = true;
	}
	*out = (struct kw_role_keys){.threshold = 1};
	return state->keyed && kw_role_keys_put(out, state->log_key) == KW_OK;
}

enum kw_err agent_audit_open(struct agent *agent)
{
	struct agent_log *log = calloc(1, sizeof(*log));
	if (log == NULL)
		return KW_ENOMEM;
	agent->log = log;
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

/* The first one stays: it has the checkpoint that shows it. */
static void raise_alarm(struct agent *agent, enum kw_audit_rule rule, struct kw_view refused)
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

static enum kw_err ask(struct agent *agent, const struct kw_frame_prove *prove)
{
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;
	if (out == NULL || !agt_online(agent->core))
		return KW_EOFFLINE;
	enum kw_err err = kw_frame_prove_add(out, prove);
	if (err == KW_OK)
		kw_link_ready(agent->link);
	return err;
}

/* Takes one as the next, or says why not. On disk before it counts. */
static enum kw_audit_rule believe(struct agent *agent, struct kw_view signed_role, struct kw_view growth)
{
	struct agent_log_state *state = &agent->log->state;
	struct kw_audit_client client = state->client;
	enum kw_audit_rule rule;
	struct kw_buf last;
	kw_buf_init(&last, KW_AUDIT_SIGNED_SIZE_MAX);
	enum kw_err err = kw_audit_client_take(&client, &state->keys, signed_role, growth, &rule);
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

static void take_checkpoint(struct agent *agent, const struct kw_frame_checkpoint *frame)
{
	struct agent_log *log = agent->log;
	struct kw_frame_prove growth = {.size_old = log->state.client.last.size};
	if (!agent_log_keys(agent, frame->log_key, &log->state.keys))
		return; /* nobody to believe yet */
	enum kw_audit_rule rule = believe(agent, frame->checkpoint, frame->consistency);
	if (rule == KW_AUDIT_RULE_NONE)
		return;
	if (rule == KW_AUDIT_RULE_PROOF && !log->asked && ask(agent, &growth) == KW_OK) {
		log->asked = true;
		return;
	}
	if (rule != KW_AUDIT_RULE_PROOF || log->state.alarm == KW_AUDIT_RULE_NONE)
		raise_alarm(agent, rule, frame->checkpoint);
}

static bool is_same(const struct kw_frame_prove *a, const struct kw_frame_prove *b)
{
	return a->size_old == b->size_old && memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0;
}

static struct waiting *waiting_for(struct agent_log *log, const struct kw_frame_prove *prove)
{
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++)
		if (log->waiting[i].used && is_same(&log->waiting[i].prove, prove))
			return &log->waiting[i];
	return NULL;
}

static ProtobufCBinaryData data_of(struct kw_view view)
{
	return (ProtobufCBinaryData){.len = view.size, .data = (uint8_t *)(uintptr_t)view.data};
}

/* The proof is for the checkpoint that we believe, or for none. */
static bool is_of_last(const struct agent_log *log, struct kw_view checkpoint)
{
	return log->state.client.last.size > 0 && kw_view_equal(checkpoint, kw_buf_view(&log->state.last));
}

static void fill_last(const struct agent *agent, Kinward__V1__AuditReply *body)
{
	const struct agent_log_state *state = &agent->log->state;
	body->checkpoint = data_of(kw_buf_view(&state->last));
	body->size = state->client.last.size;
	body->at_unix_ms = state->client.last.at_unix_ms;
	if (state->keyed)
		body->log_key = data_of(KW_VIEW_OF(state->log_key));
}

static void reply(struct socket_call *call, Kinward__V1__AuditReply *body)
{
	Kinward__V1__LocalReply out = KINWARD__V1__LOCAL_REPLY__INIT;
	out.body_case = KINWARD__V1__LOCAL_REPLY__BODY_AUDIT;
	out.audit = body;
	socket_call_reply(call, &out);
}

static void answer_inclusion(struct agent *agent, struct waiting *waiting, const struct kw_frame_proof *frame)
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
	fill_last(agent, &body);
	body.envelope_digest = data_of(KW_VIEW_OF(frame->of.digest.bytes));
	body.inclusion = data_of(frame->proof);
	body.index = inclusion.index;
	reply(waiting->call, &body);
}

/* Whether the log that somebody else was shown is the one that we were shown. */
static enum kw_audit_rule compare(struct agent *agent, const struct waiting *waiting, const struct kw_frame_proof *frame)
{
	struct kw_audit_client client = {.last = waiting->other};
	enum kw_audit_rule rule = KW_AUDIT_RULE_NONE;
	enum kw_err err =
		kw_audit_client_take(&client, &agent->log->state.keys, frame->checkpoint, frame->proof, &rule);
	return err != KW_OK && rule == KW_AUDIT_RULE_NONE ? KW_AUDIT_RULE_FORM : rule;
}

static void answer_growth(struct agent *agent, struct waiting *waiting, const struct kw_frame_proof *frame)
{
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	enum kw_audit_rule rule = compare(agent, waiting, frame);
	if (rule != KW_AUDIT_RULE_NONE) {
		raise_alarm(agent, rule, frame->checkpoint);
		socket_call_refuse(waiting->call, KW_EAUTH, kw_audit_rule_name(rule), kw_audit_rule_text(rule));
		return;
	}
	fill_last(agent, &body);
	body.consistency = data_of(frame->proof);
	reply(waiting->call, &body);
}

static void refused_growth(struct agent *agent, struct waiting *waiting)
{
	struct kw_view last = kw_buf_view(&agent->log->state.last);
	raise_alarm(agent, KW_AUDIT_RULE_ROLLBACK, last);
	socket_call_refuse(waiting->call, KW_EAUTH, kw_audit_rule_name(KW_AUDIT_RULE_ROLLBACK),
		kw_audit_rule_text(KW_AUDIT_RULE_ROLLBACK));
}

static void answer(struct agent *agent, struct waiting *waiting, const struct kw_frame_proof *frame)
{
	if (frame->code == KW_ENOTFOUND && waiting->other.size > 0)
		refused_growth(agent, waiting); /* the hub has signed more for others than it has now */
	else if (frame->code == KW_ENOTFOUND)
		socket_call_refuse(waiting->call, KW_ENOTFOUND, "audit.id",
			"The hub's log has no leaf of this message: it was sent before the log began, or was forgotten at somebody's wish.");
	else if (frame->code != KW_OK)
		socket_call_refuse(waiting->call, frame->code, NULL, NULL);
	else if (!is_of_last(agent->log, frame->checkpoint))
		socket_call_refuse(waiting->call, KW_EAUTH, "audit",
			"The proof is of a checkpoint that is not believed: kinward status says why.");
	else if (frame->of.size_old != 0)
		answer_growth(agent, waiting, frame);
	else
		answer_inclusion(agent, waiting, frame);
}

static void take_proof(struct agent *agent, const struct kw_frame_proof *frame)
{
	struct agent_log *log = agent->log;
	struct waiting *waiting = waiting_for(log, &frame->of);
	if (waiting != NULL) {
		struct waiting taken = *waiting;
		*waiting = (struct waiting){.used = false};
		answer(agent, &taken, frame);
		return;
	}
	if (!log->asked || frame->of.size_old != log->state.client.last.size || frame->code != KW_OK)
		return;
	enum kw_audit_rule rule = believe(agent, frame->checkpoint, frame->proof);
	if (rule != KW_AUDIT_RULE_NONE)
		raise_alarm(agent, rule, frame->checkpoint);
}

enum kw_err agent_audit_frame(struct agent *agent, const struct kw_frame *frame)
{
	if (frame->type == KW_FRAME_CHECKPOINT) {
		struct kw_frame_checkpoint checkpoint;
		enum kw_err err = kw_frame_checkpoint_parse(frame->body, &checkpoint);
		if (err == KW_OK)
			take_checkpoint(agent, &checkpoint);
		return err;
	}
	struct kw_frame_proof proof;
	enum kw_err err = kw_frame_proof_parse(frame->body, &proof);
	if (err == KW_OK)
		take_proof(agent, &proof);
	return err;
}

static void give_up(struct waiting *waiting, enum kw_err err, const char *text)
{
	struct socket_call *call = waiting->call;
	if (!waiting->used)
		return;
	*waiting = (struct waiting){.used = false};
	socket_call_refuse(call, err, NULL, text);
}

void agent_audit_down(struct agent *agent)
{
	if (agent->log == NULL)
		return;
	agent->log->asked = false;
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++)
		give_up(&agent->log->waiting[i], KW_EOFFLINE, NULL);
}

void agent_audit_tick(struct agent *agent)
{
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX; i++) {
		struct waiting *waiting = &agent->log->waiting[i];
		if (waiting->used && --waiting->left_s == 0)
			give_up(waiting, KW_EBUSY, "The hub does not answer: it is busy, or of a version without an audit log.");
	}
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

static void wait_for(struct agent *agent, const struct waiting *what)
{
	struct agent_log *log = agent->log;
	struct waiting *place = NULL;
	for (uint32_t i = 0; i < AGENT_AUDIT_CALLS_MAX && place == NULL; i++)
		place = log->waiting[i].used ? NULL : &log->waiting[i];
	bool twice = waiting_for(log, &what->prove) != NULL;
	enum kw_err err = place == NULL || twice ? KW_EBUSY : ask(agent, &what->prove);
	if (err != KW_OK) {
		socket_call_refuse(what->call, err, NULL, NULL);
		return;
	}
	*place = *what;
	place->used = true;
	place->left_s = AGENT_AUDIT_WAIT_S;
}

static void prove_message(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call)
{
	struct waiting waiting = {.call = call};
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
	wait_for(agent, &waiting);
}

static void compare_with(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call)
{
	struct waiting waiting = {.call = call};
	struct kw_audit_client client = {.last.hub = agent->office.hub};
	enum kw_audit_rule rule = KW_AUDIT_RULE_NONE;
	struct kw_role_keys keys;
	enum kw_err err = agent_log_keys(agent, KW_VIEW(NULL, 0), &keys) ? KW_OK : KW_EOFFLINE;
	if (err == KW_OK)
		err = kw_audit_client_take(&client, &keys, KW_VIEW(request->checkpoint.data, request->checkpoint.len), KW_VIEW(NULL, 0),
			&rule);
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "audit_checkpoint_refused", KW_LOG_STR("rule", kw_audit_rule_name(rule)), KW_LOG_ERR(err));
		socket_call_refuse(call, err, "audit.checkpoint", rule != KW_AUDIT_RULE_NONE ? kw_audit_rule_text(rule) : NULL);
		return;
	}
	waiting.other = client.last;
	waiting.prove.size_old = client.last.size;
	wait_for(agent, &waiting);
}

/* From the next checkpoint on, whatever it is; the key too, which may be another one. */
static void accept_log(struct agent *agent, struct socket_call *call)
{
	Kinward__V1__AuditReply body = KINWARD__V1__AUDIT_REPLY__INIT;
	struct agent_log *log = agent->log;
	kw_log(KW_LOG_WARN, "audit_accepted", KW_LOG_STR("rule", kw_audit_rule_name(log->state.alarm)),
		KW_LOG_INT("size", (int64_t)log->state.client.last.size));
	agent_log_state_fini(&log->state);
	agent_log_state_init(&log->state, &agent->office.hub);
	save(log);
	reply(call, &body);
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
	} else if (audit->accept) {
		accept_log(agent, call);
	} else {
		fill_last(agent, &body);
		reply(call, &body);
	}
}
