#include <string.h>

#include "agent/shell/agent_audit.h"
#include "agent/shell/spool_read.h"
#include "proto/base/check.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"

/* Steps the core and does what its plan says, in order. What comes of it at once (rows that were asked for, a connection
 * that is gone) is told to the core in further steps, never from within one. */

static struct spool_box *box_of(uint64_t box)
{
	return (struct spool_box *)(uintptr_t)box;
}

/* An operation of the core; NULL stops the agent, because the core counts on it. */
static struct spool_op *op_new(struct agent *agent, enum spool_op_type type, uint64_t ticket)
{
	struct spool_op *op = spool_op_new(type);

	if (op == NULL) {
		agent_fail(agent, "no_memory", KW_ENOMEM);
		return NULL;
	}
	op->ticket = ticket;
	op->done = agent_op_done;
	op->user = agent;
	return op;
}

static void fx_send(struct agent *agent, const struct agt_effect *effect)
{
	struct spool_box *box = box_of(effect->box);
	struct kw_frame_message message = {.msg_class = effect->msg_class,
		.sequence = effect->sequence,
		.envelope = KW_VIEW(box->data, box->size),
		.tracks = kw_buf_view(&box->tracks)};
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;

	/* A full link loses the frame and with it the order: it must end. */
	if (out != NULL && kw_frame_message_add(out, &message) != KW_OK)
		kw_link_close(agent->link, KW_EFULL);
	agent->wrote = true;
	spool_box_unref(box);
}

static void fx_frame(struct agent *agent, const struct agt_effect *effect)
{
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;
	struct kw_frame_hello hello;
	struct kw_roles_have have;
	enum kw_err err = KW_OK;

	if (out == NULL)
		return;
	agent->wrote = true;
	switch (effect->type) {
	case AGT_FX_HELLO:
		hello = effect->u.hello;
		agent_roles_have(agent->roles, &have);
		hello.root_version = have.root;
		hello.timestamp_version = have.timestamp;
		hello.snapshot_version = have.snapshot;
		hello.directory_version = have.directory;
		hello.log_size = agent_audit_size(agent);
		err = kw_frame_hello_add(out, &hello);
		break;
	case AGT_FX_ACK:
		err = kw_frame_ack_add(out, &effect->u.ack);
		break;
	default:
		err = kw_frame_ping_add(out, KW_FRAME_PING, ++agent->nonce);
		break;
	}
	if (err != KW_OK)
		kw_link_close(agent->link, err);
}

static void fx_append(struct agent *agent, const struct agt_effect *effect)
{
	struct spool_op *op = agent->submitting;

	KW_ASSERT(op != NULL);
	agent->submitting = NULL;
	op->ticket = effect->ticket;
	op->u.append.sequence = effect->sequence;
	op->box = box_of(effect->box);
	spool_box_ref(op->box);
	spool_do(agent->spool, op);
}

static void fx_held(struct agent *agent, const struct agt_effect *effect)
{
	struct spool_op *op = op_new(agent, SPOOL_OP_HELD, effect->ticket);

	if (op == NULL)
		return;
	op->u.held.msg_class = effect->msg_class;
	op->u.held.sequence = effect->sequence;
	op->u.held.now_ms = agent_now_ms();
	spool_do(agent->spool, op);
}

static void fx_epoch(struct agent *agent, const struct agt_effect *effect)
{
	enum spool_op_type type = effect->type == AGT_FX_EPOCH ? SPOOL_OP_EPOCH : SPOOL_OP_OWN_EPOCH;
	struct spool_op *op = op_new(agent, type, effect->ticket);

	if (op == NULL)
		return;
	op->u.epoch = effect->u.epoch;
	spool_do(agent->spool, op);
}

static void fx_note(struct agent *agent, const struct agt_effect *effect)
{
	static const char *const names[] = {[AGT_NOTE_ONLINE] = "online",
		[AGT_NOTE_OFFLINE] = "offline",
		[AGT_NOTE_HUB_NEW_EPOCH] = "hub_new_epoch",
		[AGT_NOTE_HUB_REFUSES] = "hub_refuses",
		[AGT_NOTE_HUB_TAKES] = "hub_takes",
		[AGT_NOTE_OWN_NEW_EPOCH] = "own_new_epoch",
		[AGT_NOTE_PEER_BROKE_RULES] = "hub_broke_rules",
		[AGT_NOTE_SILENT_LINK] = "silent_link",
		[AGT_NOTE_HUB_REPEATS] = "hub_repeats"};
	enum agt_note code = effect->u.note.code;
	enum kw_err err = effect->u.note.err;

	if (code == AGT_NOTE_HUB_TAKES) {
		agent->problem = agent->problem == KW_ENOSPACE ? KW_OK : agent->problem;
	} else if (code == AGT_NOTE_ONLINE) {
		agent->problem = KW_OK;
		agent->since_ms = agent_now_ms();
		agent->recall = true;
		agent_blobs_up(agent);
	} else if (code == AGT_NOTE_OFFLINE) {
		if (agent->problem == KW_OK || err != KW_OK)
			agent->problem = err == KW_OK ? KW_EOFFLINE : err;
		agent->since_ms = agent_now_ms();
	} else if (err != KW_OK) {
		agent->problem = err;
	}
	kw_log(err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, names[code], KW_LOG_ERR(err),
		KW_LOG_STR("text", code == AGT_NOTE_HUB_REFUSES || err == KW_EEXPIRED ? agent_problem_text(agent) : ""));
}

static void execute(struct agent *agent, const struct agt_effect *effect)
{
	switch (effect->type) {
	case AGT_FX_CONNECT:
		agent_connect(agent);
		break;
	case AGT_FX_DISCONNECT:
		if (agent->link != NULL)
			kw_link_close(agent->link, effect->u.err);
		else
			agent_conn_down(agent, effect->u.err);
		break;
	case AGT_FX_HELLO:
	case AGT_FX_ACK:
	case AGT_FX_PING:
		fx_frame(agent, effect);
		break;
	case AGT_FX_SEND:
		fx_send(agent, effect);
		break;
	case AGT_FX_DROP:
		spool_box_unref(box_of(effect->box));
		break;
	case AGT_FX_OUT_APPEND:
		fx_append(agent, effect);
		break;
	case AGT_FX_OUT_HELD:
		fx_held(agent, effect);
		break;
	case AGT_FX_IN_STORE:
		agent_in_store(agent, effect);
		break;
	case AGT_FX_IN_NOTICE:
		agent_in_notice(agent, effect);
		break;
	case AGT_FX_REFILL:
		agent->refill_from[effect->msg_class] = effect->sequence;
		agent->refill_count[effect->msg_class] = effect->u.count_max;
		break;
	case AGT_FX_EPOCH:
	case AGT_FX_OWN_EPOCH:
		fx_epoch(agent, effect);
		break;
	case AGT_FX_NOTE:
		fx_note(agent, effect);
		break;
	}
}

static void step_once(struct agent *agent, struct agt_event *event)
{
	event->wall_ms = (uint64_t)agent_now_ms();
	event->mono_ms = uv_hrtime() / 1000000u;
	if (kw_random(&event->random, sizeof(event->random)) != KW_OK)
		event->random = event->mono_ms; /* jitter only */
	agt_step(agent->core, event, agent->plan);
	for (uint32_t i = 0; i < agent->plan->count; i++)
		execute(agent, &agent->plan->effects[i]);
}

/* Reads the rows that a class was asked for; false when it was not. */
static bool read_rows(struct agent *agent, enum kw_msg_class msg_class, struct agt_event *event)
{
	uint64_t from = agent->refill_from[msg_class];

	if (from == 0)
		return false;
	agent->refill_from[msg_class] = 0;
	agent->rows->count_max = agent->refill_count[msg_class];
	enum kw_err err = spool_rows(agent->spool, msg_class, from, agent->rows);
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err); /* the answer below is then empty and not the end */
	*event = (struct agt_event){.type = AGT_EV_ROWS};
	event->u.rows.msg_class = msg_class;
	event->u.rows.from = from;
	event->u.rows.count = agent->rows->count;
	event->u.rows.rows = agent->rows->rows;
	event->u.rows.end = agent->rows->end;
	return err == KW_OK;
}

/* What the steps so far made due; false when nothing. */
static bool next_event(struct agent *agent, struct agt_event *event)
{
	if (agent->plan->more) {
		*event = (struct agt_event){.type = AGT_EV_TICK};
		return true;
	}
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		if (read_rows(agent, (enum kw_msg_class)c, event))
			return true;
	}
	if (agent->down_due) {
		agent->down_due = false;
		*event = (struct agt_event){.type = AGT_EV_CONN_DOWN, .u.err = agent->down_err};
		return true;
	}
	if (agent->drained_due) {
		agent->drained_due = false;
		*event = (struct agt_event){.type = AGT_EV_DRAINED};
		return true;
	}
	return false;
}

void agent_step(struct agent *agent, struct agt_event *event)
{
	struct agt_event more;

	KW_ASSERT(!agent->stepping);
	agent->stepping = true;
	step_once(agent, event);
	while (next_event(agent, &more))
		step_once(agent, &more);
	agent->stepping = false;
	/* Only after a frame: an empty flush is drained at once, which is an event, which would come back here for ever. */
	if (agent->link != NULL && agent->wrote)
		kw_link_ready(agent->link);
	agent->wrote = false;
}

void agent_submit(struct agent *agent, struct spool_op *op)
{
	struct spool_box *box = op->box;
	struct agt_event event = {.type = AGT_EV_SUBMIT};

	op->box = NULL; /* the reference goes to the core; the append takes one of its own */
	event.u.submit.msg_class = op->u.append.msg_class;
	event.u.submit.row = (struct agt_row){.envelope_id = op->u.append.envelope_id,
		.size = box->size,
		.expiry_hour = op->u.append.expiry_hour,
		.wants_receipt = op->u.append.wants_receipt,
		.box = (uint64_t)(uintptr_t)box};
	agent->submitting = op;
	agent_step(agent, &event);
	KW_ASSERT(agent->submitting == NULL);
}
