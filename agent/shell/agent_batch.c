#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent_inner.h"
#include "proto/base/check.h"
#include "proto/wire/spelling.h"

/* Batches. Steps: begin · each message is checked, placed behind those before it, sealed and kept in memory · commit hands
 * all of them to the spool as one group, and the reply waits for its commit. Until then nothing is promised and nothing is
 * on the disk, so a caller or an agent that ends leaves nothing.
 *
 * What can fail: a message is refused, and with it the whole; the caller goes or is silent for a minute, and the batch is
 * forgotten; between the check and the commit something else moves a thread, and the writer refuses the group. */

struct agent_batch {
	struct agent *agent;
	const void *caller;
	struct socket_call *call;      /* the commit */
	struct spool_group *group;     /* on its way */
	struct agent_sending *staged;  /* its messages, the last one first */
	struct spool_op **ops;         /* what is new, in order */
	uint32_t *numbers;             /* of each of them, from 1, with the repeats counted */
	uint32_t count, room;
	uint32_t given;                /* with the repeats */
	uint32_t repeated;
	size_t size;
	uint32_t idle_s;
	bool spoiled;
	uint32_t done;                 /* operations, which end in their order */
	uint32_t refused_number;
	struct agent_refusal refusal;
	enum kw_err err;
};

static void batch_free(struct agent_batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		if (batch->ops[i] != NULL && batch->ops[i]->type == SPOOL_OP_APPEND)
			free(batch->ops[i]->user);
		spool_op_free(batch->ops[i]);
	}
	spool_group_unref(batch->group);
	free(batch->ops);
	free(batch->numbers);
	free(batch);
}

void agent_batch_drop(struct agent *agent)
{
	if (agent->batch != NULL)
		batch_free(agent->batch);
	agent->batch = NULL;
}

void agent_batch_gone(void *user, const void *caller)
{
	struct agent *agent = user;

	if (agent->batch != NULL && agent->batch->caller == caller)
		agent_batch_drop(agent);
}

void agent_batch_tick(struct agent *agent)
{
	if (agent->batch != NULL && ++agent->batch->idle_s > AGENT_BATCH_IDLE_S)
		agent_batch_drop(agent);
}

static void reply(const struct agent_batch *batch, struct socket_call *call, bool committed)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__BatchReply body = KINWARD__V1__BATCH_REPLY__INIT;
	Kinward__V1__LocalError refusal = KINWARD__V1__LOCAL_ERROR__INIT;
	char field[256];

	body.count = batch->given;
	body.repeated_count = batch->repeated;
	body.committed = committed;
	if (batch->err != KW_OK) {
		const char *text = batch->refusal.text != NULL ? batch->refusal.text : kw_err_text(batch->err);
		body.refused_number = batch->refused_number;
		refusal.code = (char *)(uintptr_t)kw_err_name(batch->err);
		(void)snprintf(field, sizeof(field), "%s", batch->refusal.field != NULL ? batch->refusal.field : ""); /* fits: ours */
		kw_spell_json(field);
		refusal.field = field;
		refusal.text = (char *)(uintptr_t)text;
		refusal.retryable = kw_err_class(batch->err) == KW_CLASS_RETRY;
		body.refusal = &refusal;
	}
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_BATCH;
	reply.batch = &body;
	socket_call_reply(call, &reply);
}

/* Room for one more. */
static enum kw_err grow(struct agent_batch *batch)
{
	uint32_t room = batch->room == 0 ? 64 : batch->room * 2;

	if (batch->count < batch->room)
		return KW_OK;
	struct spool_op **ops = realloc(batch->ops, room * sizeof(*ops));
	if (ops == NULL)
		return KW_ENOMEM;
	batch->ops = ops;
	uint32_t *numbers = realloc(batch->numbers, room * sizeof(*numbers));
	if (numbers == NULL)
		return KW_ENOMEM;
	batch->numbers = numbers;
	batch->room = room;
	return KW_OK;
}

static enum kw_err say(struct agent_refusal *refusal, enum kw_err err, const char *text)
{
	refusal->field = "batch";
	refusal->text = text;
	return err;
}

static enum kw_err add_send(struct agent_batch *batch, Kinward__V1__SendRequest *request, struct agent_draft *draft)
{
	struct agent *agent = batch->agent;

	draft->op = spool_op_new(SPOOL_OP_APPEND);
	if (draft->op == NULL)
		return KW_ENOMEM;
	agent->staged = batch->staged;
	agent->staged_count = batch->count;
	enum kw_err err = agent_send_prepare(agent, request, draft);
	agent->staged = NULL;
	agent->staged_count = 0;
	if (err == KW_OK && !draft->repeated) {
		struct agent_sending *sending = draft->op->user;
		sending->batch = batch;
		sending->next = batch->staged;
		batch->staged = sending;
	}
	if (err != KW_OK)
		agent_send_words(err, &draft->refusal);
	return err;
}

static enum kw_err add_register(struct agent_batch *batch, const Kinward__V1__RegisterRequest *request,
	struct agent_draft *draft)
{
	struct kw_fault *fault = &draft->refusal.fault;
	enum kw_err err = socket_register_op(batch->agent->spool, request, fault, &draft->op);

	if (err != KW_OK && fault->rule[0] != '\0') {
		draft->refusal.field = fault->field;
		draft->refusal.text = fault->rule;
	} else if (err == KW_ENOSPACE) {
		draft->refusal.text = SOCKET_NO_SPACE_TEXT;
	}
	if (err == KW_OK)
		draft->op->user = batch;
	return err;
}

static enum kw_err add(struct agent_batch *batch, Kinward__V1__BatchRequest *request, struct agent_refusal *refusal)
{
	struct agent_draft draft = {.op = NULL};
	enum kw_err err = grow(batch);

	if (batch->given == AGENT_BATCH_COUNT_MAX) {
		batch->spoiled = true;
		return say(refusal, KW_ETOOBIG, "A batch has at most 4096 messages or records; split it.");
	}
	batch->given++;
	if (err == KW_OK)
		err = request->step_case == KINWARD__V1__BATCH_REQUEST__STEP_SEND ? add_send(batch, request->send, &draft) :
			add_register(batch, request->register_, &draft);
	if (err == KW_OK && !draft.repeated) {
		batch->numbers[batch->count] = batch->given;
		batch->ops[batch->count++] = draft.op;
		batch->size += draft.op->content.size + (draft.op->box != NULL ? draft.op->box->size : 0);
		draft.op = NULL;
		if (batch->size > AGENT_BATCH_SIZE_MAX)
			err = say(&draft.refusal, KW_ETOOBIG, "A batch has at most 32 MiB; split it.");
	}
	batch->repeated += draft.repeated ? 1 : 0;
	spool_op_free(draft.op);
	batch->spoiled = batch->spoiled || err != KW_OK;
	if (err == KW_OK)
		return KW_OK;
	*refusal = draft.refusal;
	if (draft.refusal.field == draft.refusal.path)
		refusal->field = refusal->path;
	if (draft.refusal.field == draft.refusal.fault.field)
		refusal->field = refusal->fault.field;
	if (draft.refusal.text == draft.refusal.words)
		refusal->text = refusal->words;
	if (draft.refusal.text == draft.refusal.fault.rule)
		refusal->text = refusal->fault.rule;
	return err;
}

static void end(struct agent_batch *batch)
{
	struct agent *agent = batch->agent;

	if (batch->err == KW_ENOSPACE)
		batch->refusal.text = SOCKET_NO_SPACE_TEXT;
	reply(batch, batch->call, batch->err == KW_OK);
	agent->committing--;
	batch_free(batch);
}

/* The words of the one that was refused, while its operation is there. */
static void note_refused(struct agent_batch *batch, const struct spool_op *op, const char *field)
{
	batch->refused_number = batch->numbers[batch->done];
	batch->err = agent_thread_refused(op, field, &batch->refusal);
}

static void batch_done(struct spool_op *op, enum kw_err err)
{
	struct agent_sending *sending = op->type == SPOOL_OP_APPEND ? op->user : NULL;
	struct agent_batch *batch = sending != NULL ? sending->batch : op->user;
	struct agent *agent = batch->agent;

	KW_ASSERT(batch->ops[batch->done] == op);
	if (err != KW_OK)
		batch->err = err;
	else if (op->fault != AGT_FAULT_NONE)
		note_refused(batch, op, sending != NULL ? sending->field : "");
	else if (batch->group->err == KW_ENOSPACE)
		batch->err = KW_ENOSPACE;
	else if (op->type == SPOOL_OP_REGISTER && op->repeat)
		batch->repeated++;
	if (sending != NULL) {
		agent_sending_end(agent, sending);
		free(sending);
		op->user = agent;
		agent_op_done(op, err);
	}
	batch->ops[batch->done++] = NULL; /* the spool frees it */
	if (batch->done == batch->count)
		end(batch);
}

static enum kw_err commit(struct agent *agent, struct socket_call *call, struct agent_refusal *refusal)
{
	struct agent_batch *batch = agent->batch;

	if (batch->spoiled)
		return say(refusal, KW_EFIELD, "Something in it was refused, so nothing of it is stored; correct that and begin again.");
	if (agent->committing > 0)
		return KW_EBUSY;
	if (agent->stopping || agent->failed)
		return KW_ECLOSED;
	if (batch->count > 0 && spool_space(agent->spool) != SPOOL_SPACE_OK) {
		refusal->text = SOCKET_NO_SPACE_TEXT;
		return KW_ENOSPACE;
	}
	if (batch->count > 0) {
		batch->group = spool_group_new(batch->count);
		if (batch->group == NULL)
			return KW_ENOMEM;
	}
	agent->batch = NULL;
	agent->committing++;
	batch->call = call;
	if (batch->count == 0) {
		end(batch); /* all were there already */
		return KW_OK;
	}
	for (uint32_t i = 0; i < batch->count; i++) {
		struct spool_op *op = batch->ops[i];

		op->group = batch->group;
		op->group->refs++;
		op->done = batch_done;
		if (op->type == SPOOL_OP_APPEND)
			agent_sending_go(agent, op);
		else
			spool_do(agent->spool, op);
	}
	return KW_OK;
}

static enum kw_err begin(struct agent *agent, const void *caller, struct agent_refusal *refusal)
{
	if (agent->batch != NULL && agent->batch->caller != caller)
		return say(refusal, KW_EBUSY, "Another caller is giving a batch; try again when it is done.");
	agent_batch_drop(agent);
	agent->batch = calloc(1, sizeof(*agent->batch));
	if (agent->batch == NULL)
		return KW_ENOMEM;
	*agent->batch = (struct agent_batch){.agent = agent, .caller = caller};
	return KW_OK;
}

void agent_batch(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	const void *caller = socket_call_caller(call);
	Kinward__V1__BatchRequest *body = request->batch;
	struct agent_refusal refusal = {0};
	bool mine = agent->batch != NULL && agent->batch->caller == caller;
	enum kw_err err;

	if (mine)
		agent->batch->idle_s = 0;
	if (body->step_case == KINWARD__V1__BATCH_REQUEST__STEP_BEGIN)
		err = begin(agent, caller, &refusal);
	else if (body->step_case == KINWARD__V1__BATCH_REQUEST__STEP__NOT_SET)
		err = say(&refusal, KW_EFIELD, "Give begin, a message, a record or commit.");
	else if (!mine)
		err = say(&refusal, KW_ESTATE, "There is no batch: it waited for too long, or never began. Begin again.");
	else if (body->step_case == KINWARD__V1__BATCH_REQUEST__STEP_COMMIT)
		err = commit(agent, call, &refusal);
	else
		err = add(agent->batch, body, &refusal);
	if (err != KW_OK)
		socket_call_refuse(call, err, refusal.field, refusal.text);
	else if (body->step_case != KINWARD__V1__BATCH_REQUEST__STEP_COMMIT)
		reply(agent->batch, call, false);
}
