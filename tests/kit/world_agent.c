#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* Plays agent/shell: boxes, the local caller, receipts, retries, the sweep; and looks at every promise that leaves. */

static void check_promise(struct world *w, const struct w_agent *agent, int msg_class, struct kw_cursor told)
{
	struct kw_cursor durable = agent->received[msg_class];
	if (told.sequence > 0 && (durable.epoch != told.epoch || durable.sequence < told.sequence))
		w_fail(w, "I1: agent %u acknowledges %llu, class %d, and has %llu on disk", agent->number,
			(unsigned long long)told.sequence, msg_class, (unsigned long long)durable.sequence);
}

static void send(struct world *w, struct w_agent *agent, const struct w_frame *frame)
{
	if (agent->conn == UINT32_MAX)
		w_fail(w, "agent %u writes without a connection", agent->number);
	else
		w_net_send(w, agent->conn, W_TO_HUB, frame);
}

static void put_frame(struct world *w, struct w_agent *agent, const struct agt_effect *fx)
{
	struct w_frame frame = {.msg_class = fx->msg_class, .sequence = fx->sequence};
	struct w_box *box;
	switch (fx->type) {
	case AGT_FX_HELLO:
		frame.type = KW_FRAME_HELLO;
		frame.u.hello = fx->u.hello;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			check_promise(w, agent, c, fx->u.hello.cursors[c]);
		break;
	case AGT_FX_ACK:
		frame.type = KW_FRAME_ACK;
		frame.u.ack = fx->u.ack;
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
			if (fx->u.ack.cursor_mask & (1u << c))
				check_promise(w, agent, c, fx->u.ack.cursors[c]);
		break;
	case AGT_FX_SEND:
		frame.type = KW_FRAME_MESSAGE;
		box = w_box(w, &agent->boxes, fx->box);
		if (box == NULL)
			return;
		frame.body = box->body;
		w_log(w, "%u -> hub: message %d/%llu, body %x", agent->number, (int)fx->msg_class,
			(unsigned long long)fx->sequence, frame.body);
		w_box_hold(w, &agent->boxes, fx->box, -1);
		break;
	default:
		frame.type = KW_FRAME_PING;
		break;
	}
	send(w, agent, &frame);
}

static void put_op(struct world *w, struct w_agent *agent, const struct agt_effect *fx)
{
	struct w_agent_op op = {.ticket = fx->ticket, .msg_class = fx->msg_class, .sequence = fx->sequence};
	struct w_box *box = fx->box != 0 ? w_box(w, &agent->boxes, fx->box) : NULL;
	switch (fx->type) {
	case AGT_FX_OUT_APPEND:
		op = agent->submit;
		op.type = W_OP_APPEND;
		op.ticket = fx->ticket;
		op.msg_class = fx->msg_class;
		op.sequence = fx->sequence;
		break;
	case AGT_FX_OUT_HELD:
		op.type = W_OP_HELD;
		break;
	case AGT_FX_IN_STORE:
	case AGT_FX_IN_NOTICE:
		if (box == NULL)
			return;
		op.type = fx->type == AGT_FX_IN_STORE ? W_OP_RECEIVE : W_OP_NOTICE;
		op.body = box->body;
		op.epoch = fx->u.epoch;
		w_box_hold(w, &agent->boxes, fx->box, -1);
		if (op.type == W_OP_RECEIVE && (w->msgs.at[op.body].unopenable || w->msgs.at[op.body].key_gone > 0)) {
			struct w_frame frame = {.type = KW_FRAME_UNOPENED};
			frame.u.unopened.msg_class = fx->msg_class;
			frame.u.unopened.sequence = fx->sequence;
			frame.u.unopened.envelope_id = w_id(op.body);
			frame.u.unopened.key_gone = w->msgs.at[op.body].key_gone > 0;
			send(w, agent, &frame);
		}
		break;
	default:
		op.type = fx->type == AGT_FX_EPOCH ? W_OP_EPOCH : W_OP_OWN_EPOCH;
		op.epoch = fx->u.epoch;
		break;
	}
	*W_PUSH(agent->ops) = op;
}

static void carry_out(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < w->agent_plan.count && !w->failed; i++) {
		const struct agt_effect *fx = &w->agent_plan.effects[i];
		w_note(w, 200 + (uint64_t)fx->type, fx->sequence, fx->ticket);
		switch (fx->type) {
		case AGT_FX_CONNECT:
			w_net_dial(w, agent->number);
			break;
		case AGT_FX_DISCONNECT:
			if (fx->u.err == KW_EPROTO)
				w_fail(w, "agent %u finds that the hub broke the rules", agent->number);
			if (agent->conn != UINT32_MAX)
				w_net_close(w, agent->conn, 0);
			break;
		case AGT_FX_HELLO:
		case AGT_FX_SEND:
		case AGT_FX_ACK:
		case AGT_FX_PING:
			put_frame(w, agent, fx);
			break;
		case AGT_FX_DROP:
			w_box_hold(w, &agent->boxes, fx->box, -1);
			break;
		case AGT_FX_OUT_APPEND:
		case AGT_FX_OUT_HELD:
		case AGT_FX_IN_STORE:
		case AGT_FX_IN_NOTICE:
		case AGT_FX_EPOCH:
		case AGT_FX_OWN_EPOCH:
			put_op(w, agent, fx);
			break;
		case AGT_FX_REFILL:
			w_at(w, prng_below(&w->prng, 3), (struct w_event){.type = W_EV_READ, .node = agent->number,
				.life = agent->life, .a = (uint32_t)fx->msg_class, .b = fx->sequence, .c = fx->u.count_max});
			break;
		case AGT_FX_NOTE:
			w_log(w, "agent %u notes %d: %s", agent->number, (int)fx->u.note.code, kw_err_name(fx->u.note.err));
			if (fx->u.note.code == AGT_NOTE_SILENT_LINK)
				w_mark(w, WORLD_MARK_SILENT_LINK);
			break;
		}
	}
}

void w_agent_step(struct world *w, struct w_agent *agent, struct agt_event *event)
{
	w_note(w, 60, (uint64_t)event->type, agent->number);
	do {
		event->wall_ms = w_wall(w);
		event->mono_ms = w->now + 1000000u * agent->number;
		event->random = prng_next(&w->prng);
		agt_step(agent->agt, event, &w->agent_plan);
		carry_out(w, agent);
		*event = (struct agt_event){.type = AGT_EV_TICK};
	} while (w->agent_plan.more && !w->failed);
	w_agent_disk_kick(w, agent);
}

void w_agent_start(struct world *w, uint32_t number)
{
	struct w_agent *agent = &w->agents[number];
	agent->up = true;
	agent->life++;
	agent->conn = UINT32_MAX;
	if (agent->memory == NULL)
		agent->memory = malloc(agt_size());
	if (agent->memory == NULL)
		abort();
	memset(agent->memory, 0, agt_size());
	agent->agt = agt_init(agent->memory);
	for (uint32_t i = 0; i < agent->retries.count; i++)
		agent->retries.at[i].busy = false;
	for (uint32_t i = 0; i < agent->dues.count; i++)
		agent->dues.at[i].busy = false;
	for (uint32_t i = 0; i < agent->follows.count; i++) {
		w_mark(w, WORLD_MARK_FOLLOW_AGAIN);
		agent->follows.at[i].busy = false;
	}
	for (uint32_t i = 0; i < agent->rekeys.count; i++)
		agent->rekeys.at[i].busy = false;
	if (w->mutant == WORLD_REKEY_VOLATILE)
		agent->rekeys.count = 0;
	w_offer_crash(w, agent);
	w_erase_start(w, agent);
	if (w->mutant == WORLD_FOLLOW_VOLATILE)
		agent->follows.count = 0;
	struct agt_event event = {.type = AGT_EV_START};
	event.u.start.epoch = agent->epoch;
	event.u.start.hub_epoch = agent->hub_epoch;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		event.u.start.lanes[c] = (struct agt_lane_recovery){
			.next_sequence = agent->next[c], .held_sequence = agent->held[c], .received = agent->received[c]};
	w_agent_step(w, agent, &event);
	event = (struct agt_event){.type = AGT_EV_SPACE, .u.hold = agent->holds};
	w_agent_step(w, agent, &event);
	w_at(w, prng_below(&w->prng, 1000), (struct w_event){.type = W_EV_TICK, .node = number, .life = agent->life});
}

void w_agent_crash(struct world *w, uint32_t number)
{
	struct w_agent *agent = &w->agents[number];
	agent->up = false;
	w_boxes_clear(&agent->boxes);
	w_agent_disk_crash(w, agent);
	if (agent->conn != UINT32_MAX) {
		w->conns.at[agent->conn].open[0] = false;
		w_net_cut(w, agent->conn);
	}
	agent->conn = UINT32_MAX;
}

static void receive(struct world *w, struct w_agent *agent, const struct w_frame *frame)
{
	bool notice = frame->msg_class == KW_CONTROL;
	if (notice != ((frame->body & W_NOTICE) != 0))
		w_fail(w, "a notice and a message are mixed up");
	if (!notice && w->msgs.at[frame->body].to != agent->number)
		w_fail(w, "I3: message %u comes to agent %u", frame->body, agent->number);
	struct agt_event event = {.type = AGT_EV_MESSAGE};
	event.u.message.msg_class = frame->msg_class;
	event.u.message.sequence = frame->sequence;
	event.u.message.size = w_body_size(w, frame->body);
	event.u.message.box = w_box_new(&agent->boxes, frame->body, 1);
	w_agent_step(w, agent, &event);
}

void w_agent_frame(struct world *w, struct w_agent *agent, const struct w_frame *frame)
{
	struct agt_event event = {.type = AGT_EV_PONG};
	if (w->failed)
		return;
	switch (frame->type) {
	case KW_FRAME_WELCOME:
		event.type = AGT_EV_WELCOME;
		event.u.hello = frame->u.hello;
		if (w->mutant == WORLD_NO_RESEND_ON_EPOCH && frame->u.hello.epoch != agent->hub_epoch)
			for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
				event.u.hello.cursors[c] = (struct kw_cursor){.epoch = agent->epoch, .sequence = agent->held[c]};
		w_agent_step(w, agent, &event);
		break;
	case KW_FRAME_MESSAGE:
		receive(w, agent, frame);
		break;
	case KW_FRAME_ACK:
		event.type = AGT_EV_ACK;
		event.u.ack = frame->u.ack;
		w_agent_step(w, agent, &event);
		break;
	case KW_FRAME_ERROR:
		event.type = AGT_EV_ERROR;
		event.u.error = frame->u.error;
		w_agent_step(w, agent, &event);
		break;
	case KW_FRAME_PONG:
		w_agent_step(w, agent, &event);
		break;
	default:
		w_fail(w, "the hub sends a frame of type %d", (int)frame->type);
		break;
	}
}

void w_agent_read(struct world *w, struct w_agent *agent, const struct w_event *event)
{
	struct agt_row rows[AGT_WINDOW_BOXES];
	enum kw_msg_class msg_class = (enum kw_msg_class)event->a;
	struct agt_event answer = {.type = AGT_EV_ROWS};
	uint32_t count = 0;
	bool end = true;
	for (uint32_t i = 0; i < agent->rows[msg_class].count; i++) {
		const struct w_out_row *row = &agent->rows[msg_class].at[i];
		if (row->gone || row->sequence < event->b)
			continue;
		if (count == event->c || (count > 0 && prng_percent(&w->prng, 10))) {
			end = false;
			break;
		}
		const struct w_msg *msg = &w->msgs.at[row->msg];
		rows[count++] = (struct agt_row){.sequence = row->sequence, .envelope_id = w_id(row->msg), .size = msg->size,
			.expiry_hour = w_row_expiry(w, row->msg), .wants_receipt = !msg->receipt,
			.box = w_box_new(&agent->boxes, row->msg, 1)};
	}
	if (count > 0)
		w_mark(w, WORLD_MARK_AGENT_REFILL);
	answer.u.rows.msg_class = msg_class;
	answer.u.rows.count = count;
	answer.u.rows.rows = rows;
	answer.u.rows.end = end;
	answer.u.rows.from = event->b;
	w_agent_step(w, agent, &answer);
}

static void submit(struct world *w, struct w_agent *agent, uint32_t number, struct w_agent_op context)
{
	const struct w_msg *msg = &w->msgs.at[number];
	struct agt_event event = {.type = AGT_EV_SUBMIT};
	context.body = number;
	agent->submit = context;
	event.u.submit.msg_class = msg->msg_class;
	event.u.submit.row = (struct agt_row){.envelope_id = w_id(number), .size = msg->size,
		.expiry_hour = w_row_expiry(w, number), .wants_receipt = !msg->receipt,
		.box = w_box_new(&agent->boxes, number, 1)};
	w_agent_step(w, agent, &event);
}

void w_agent_send(struct world *w, struct w_agent *agent, const struct w_msg *like)
{
	uint32_t number = w->msgs.count;
	*W_PUSH(w->msgs) = *like;
	submit(w, agent, number, (struct w_agent_op){.submit = W_SUBMIT_FRESH});
}

void w_agent_submit(struct world *w, struct w_agent *agent)
{
	uint32_t burst = prng_percent(&w->prng, 1) ? (uint32_t)prng_range(&w->prng, 20, 150) : 1;
	for (uint32_t i = 0; i < burst && !w->failed; i++) {
		uint32_t number = w->msgs.count;
		struct w_msg *msg = W_PUSH(w->msgs);
		msg->from = agent->number;
		msg->to = (uint32_t)((agent->number + 1 + prng_below(&w->prng, w->draw.agents - 1)) % w->draw.agents);
		if (prng_percent(&w->prng, w->draw.nobody_percent))
			msg->to = W_NOBODY;
		msg->msg_class = (enum kw_msg_class)prng_range(&w->prng, KW_URGENT, KW_BULK);
		msg->size = (uint32_t)prng_range(&w->prng, 512, 4096);
		if (prng_percent(&w->prng, w->draw.expiry_percent))
			msg->expiry_hour = 500000u;
		msg->unopenable = prng_percent(&w->prng, w->draw.unopenable_percent);
		if (!msg->unopenable && prng_percent(&w->keys, w->draw.key_gone_percent))
			msg->key_gone = prng_percent(&w->keys, 20) ? 2 : 1;
		submit(w, agent, number, (struct w_agent_op){.submit = W_SUBMIT_FRESH});
	}
}

static void retry(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->retries.count; i++) {
		struct w_retry *retry = &agent->retries.at[i];
		if (retry->busy || retry->due > w->now)
			continue;
		retry->busy = true;
		w_mark(w, WORLD_MARK_RETRIED);
		submit(w, agent, retry->msg, (struct w_agent_op){.submit = W_SUBMIT_RETRY});
	}
}

/* Sealed once more: another envelope. */
static void seal_again(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->rekeys.count; i++) {
		if (agent->rekeys.at[i].busy)
			continue;
		agent->rekeys.at[i].busy = true;
		uint32_t about = agent->rekeys.at[i].msg;
		uint32_t number = w->msgs.count;
		struct w_msg *msg = W_PUSH(w->msgs);
		const struct w_msg *first = &w->msgs.at[about];
		*msg = (struct w_msg){.from = first->from, .to = first->to, .msg_class = first->msg_class, .size = first->size,
			.expiry_hour = first->expiry_hour, .key_gone = first->key_gone == 2, .again = true,
			.refused = true /* its place in the order is another */};
		submit(w, agent, number, (struct w_agent_op){.submit = W_SUBMIT_AGAIN, .about = about});
	}
}

static void send_receipts(struct world *w, struct w_agent *agent)
{
	for (uint32_t i = 0; i < agent->dues.count; i++) {
		if (agent->dues.at[i].busy)
			continue;
		agent->dues.at[i].busy = true;
		const struct w_due due = agent->dues.at[i];
		uint32_t about = due.msg;
		uint32_t number = w->msgs.count;
		struct w_msg *msg = W_PUSH(w->msgs);
		msg->receipt = true;
		msg->about = about;
		msg->failed = due.failed;
		msg->opened = due.opened;
		msg->from = agent->number;
		msg->to = w->msgs.at[about].from;
		msg->msg_class = KW_NORMAL;
		msg->size = 512;
		submit(w, agent, number, (struct w_agent_op){.submit = W_SUBMIT_DUE, .about = about});
	}
}

void w_agent_tick(struct world *w, struct w_agent *agent)
{
	struct agt_event event = {.type = AGT_EV_TICK};
	w_agent_step(w, agent, &event);
	retry(w, agent);
	seal_again(w, agent);
	if (w->threads) {
		w_people_follow(w, agent);
		w_erase_tick(w, agent);
	}
	if (w->now >= agent->receipt_at) {
		agent->receipt_at = w->now + prng_range(&w->prng, 1, 5000);
		send_receipts(w, agent);
	}
	if (w->now >= agent->sweep_at) {
		agent->sweep_at = w->now + prng_range(&w->prng, 1000, 60000);
		*W_PUSH(agent->ops) = (struct w_agent_op){.type = W_OP_SWEEP};
		w_agent_disk_kick(w, agent);
	}
}
