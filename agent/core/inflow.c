#include "agent/core/state.h"

#include "proto/base/check.h"

/* What is received. A message counts once it is durable; then its cursor may be told and new credit granted. */

static const struct kw_credit window = {.messages = AGT_WINDOW_MESSAGES, .bytes = AGT_WINDOW_BYTES};

void agt_inflow_start(struct agt *agt, const struct agt_start *start)
{
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		agt->inflow.lanes[c].durable = start->lanes[c].received;
}

/* A full disk still takes notices: the hub's refusals of what we sent. */
static bool is_held(bool hold, int msg_class)
{
	return hold && msg_class != KW_CONTROL;
}

void agt_inflow_hello(struct agt *agt, struct kw_frame_hello *hello)
{
	struct agt_inflow *in = &agt->inflow;

	in->hello_hold = in->hold;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		hello->cursors[c] = in->lanes[c].durable;
		if (!is_held(in->hold, c))
			hello->credits[c] = window;
	}
}

static void tell_all(struct agt_inflow *in)
{
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
		in->ack_mask |= (uint8_t)(1u << c);
}

void agt_inflow_space(struct agt *agt, bool hold)
{
	bool ends = agt->inflow.hold && !hold;

	agt->inflow.hold = hold;
	if (ends && agt->state == AGT_ONLINE)
		tell_all(&agt->inflow);
}

void agt_inflow_session(struct agt *agt, uint64_t hub_epoch)
{
	struct agt_inflow *in = &agt->inflow;

	/* Nothing of the last session is under way: we do not dial before it is durable. */
	KW_ASSERT(in->count == 0);
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		kw_rx_begin(&in->lanes[c], hub_epoch);
		(void)kw_rx_grant(&in->lanes[c], window, is_held(in->hello_hold, c)); /* HELLO has told it */
	}
	in->ack_mask = 0;
	in->repeated = false;
	if (in->hello_hold && !in->hold)
		tell_all(in);
}

bool agt_inflow_message(struct agt *agt, const struct agt_event *event, struct agt_plan *plan)
{
	struct agt_inflow *in = &agt->inflow;
	enum kw_msg_class msg_class = event->u.message.msg_class;
	struct kw_rx_lane *lane = &in->lanes[msg_class];

	switch (kw_rx_arrive(lane, event->u.message.sequence, event->u.message.size)) {
	case KW_RX_OVERRUN:
		agt_plan_drop(plan, event->u.message.box);
		return false;
	case KW_RX_REPEAT:
		agt_plan_drop(plan, event->u.message.box);
		in->ack_mask |= (uint8_t)(1u << msg_class);
		if (!in->repeated)
			agt_plan_note(plan, AGT_NOTE_HUB_REPEATS, KW_OK);
		in->repeated = true;
		return true;
	case KW_RX_NEW:
		break;
	}

	struct agt_effect *effect =
		agt_plan_store(agt, plan, msg_class == KW_CONTROL ? AGT_FX_IN_NOTICE : AGT_FX_IN_STORE);
	effect->msg_class = msg_class;
	effect->sequence = event->u.message.sequence;
	effect->box = event->u.message.box;
	effect->u.epoch = agt->hub_epoch;

	/* The credit bounds what is taken and not durable, so there is room. */
	KW_ASSERT(in->count < AGT_TAKEN_MAX);
	in->taken[(in->head + in->count) % AGT_TAKEN_MAX] = (struct agt_taken){.msg_class = msg_class,
		.size = event->u.message.size,
		.sequence = event->u.message.sequence,
		.ticket = effect->ticket};
	in->count++;
	return true;
}

void agt_inflow_committed(struct agt *agt)
{
	struct agt_inflow *in = &agt->inflow;

	while (in->count > 0 && in->taken[in->head].ticket <= agt->committed_ticket) {
		const struct agt_taken *taken = &in->taken[in->head];

		kw_rx_committed(&in->lanes[taken->msg_class],
			(struct kw_cursor){.epoch = agt->hub_epoch, .sequence = taken->sequence});
		kw_rx_released(&in->lanes[taken->msg_class], taken->size);
		in->ack_mask |= (uint8_t)(1u << taken->msg_class);
		in->head = (in->head + 1) % AGT_TAKEN_MAX;
		in->count--;
	}
}

void agt_inflow_ack(struct agt *agt, struct agt_plan *plan)
{
	struct agt_inflow *in = &agt->inflow;

	if (agt->state != AGT_ONLINE || in->ack_mask == 0)
		return;
	struct agt_effect *effect = agt_plan_add(plan, AGT_FX_ACK);
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		if ((in->ack_mask & (1u << c)) == 0)
			continue;
		if (in->lanes[c].durable.sequence > 0) {
			effect->u.ack.cursors[c] = in->lanes[c].durable;
			effect->u.ack.cursor_mask |= (uint8_t)(1u << c);
		}
		effect->u.ack.credits[c] = kw_rx_grant(&in->lanes[c], window, is_held(in->hold, c));
	}
	effect->u.ack.credit_mask = in->ack_mask;
	in->ack_mask = 0;
}
