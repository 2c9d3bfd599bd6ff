#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* What must be true when the faults are over. */

static bool agent_done(struct world *w, const struct w_agent *agent, bool tell)
{
	if (!agent->up || agent->ops.count > 0 || agent->retries.count > 0 || agent->dues.count > 0 ||
		agent->rekeys.count > 0 || !w_say_done(w, agent)) {
		if (tell)
			w_fail(w, "agent %u does not come to rest: %u operations, %u retries, %u receipts, %u follow-ups due",
				agent->number, agent->ops.count, agent->retries.count, agent->dues.count, agent->follows.count);
		return false;
	}
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		for (uint32_t i = 0; i < agent->rows[c].count; i++) {
			const struct w_out_row *row = &agent->rows[c].at[i];
			const struct w_msg *msg = &w->msgs.at[row->msg];
			/* Receipts stay a while after the hub has them; what cannot be opened ends at its expiry. */
			if (row->gone || (msg->receipt && row->sequence <= agent->held[c]) ||
				((msg->unopenable || (msg->key_gone > 0 && !msg->rekeyed)) && row->sequence <= agent->held[c]))
				continue;
			if (tell)
				w_fail(w, "I4: %s %u of agent %u to %u has no end: class %d/%llu, held up to %llu, %s, %s",
					msg->receipt ? "receipt" : "message", row->msg, agent->number, msg->to, c,
					(unsigned long long)row->sequence, (unsigned long long)agent->held[c],
					msg->delivered > 0 ? "delivered" : "not delivered", agt_online(agent->agt) ? "online" : "offline");
			return false;
		}
	}
	return true;
}

static bool hub_done(struct world *w, bool tell)
{
	if (!w->hub.up || w->hub.ops.count > 0 || !w_thread_done(w, tell))
		return false;
	for (uint32_t slot = 0; slot < w->draw.agents; slot++) {
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
			const struct w_hub_queue *queue = &w->hub.image.queue[slot][c];
			if (queue->rows.count == 0)
				continue;
			if (tell)
				w_fail(w, "the hub keeps %u rows of queue %u/%d from %llu on, agent %s", queue->rows.count, slot, c,
					(unsigned long long)queue->rows.at[0].sequence,
					agt_online(w->agents[slot].agt) ? "online" : "offline");
			return false;
		}
	}
	return true;
}

static void describe(struct world *w)
{
	for (uint32_t slot = 0; slot < w->draw.agents; slot++) {
		for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
			const struct w_hub_queue *queue = &w->hub.image.queue[slot][c];
			const struct kw_cursor *received = &w->agents[slot].received[c];
			w_log(w, "queue %u/%d: %u rows from %llu, last %llu; recipient has %llu%s", slot, c, queue->rows.count,
				(unsigned long long)(queue->rows.count > 0 ? queue->rows.at[0].sequence : 0),
				(unsigned long long)queue->last, (unsigned long long)received->sequence,
				received->epoch == w->hub.image.epoch ? "" : " of another epoch");
		}
	}
}

bool w_check_converged(struct world *w, bool tell)
{
	if (tell)
		describe(w);
	for (uint32_t i = 0; i < w->draw.agents; i++)
		if (!agent_done(w, &w->agents[i], tell))
			return false;
	if (hub_done(w, tell))
		return true;
	if (tell)
		w_fail(w, "the hub does not come to rest");
	return false;
}

/* Exactly once, or a reason; and in order, for what was never refused for now. */
static void check_messages(struct world *w)
{
	static _Thread_local uint64_t last[W_AGENTS_MAX][W_AGENTS_MAX][KW_MSG_CLASS_COUNT];
	memset(last, 0, sizeof(last));
	for (uint32_t i = 0; i < w->msgs.count && !w->failed; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		if (msg->receipt)
			continue;
		if (msg->acked && msg->state == W_FRESH)
			w_fail(w, "I1: message %u was acknowledged and is nowhere", i);
		if (msg->state == W_DELIVERED && msg->delivered != 1)
			w_fail(w, "I2: message %u is receipted and was delivered %u times", i, msg->delivered);
		if (msg->state == W_FRESH && msg->delivered > 0)
			w_fail(w, "message %u came from nowhere", i);
		if (msg->delivered > 1)
			w_fail(w, "I2: message %u was delivered %u times", i, msg->delivered);
		if (msg->state == W_QUEUED && !msg->unopenable && (msg->key_gone == 0 || msg->rekeyed))
			w_fail(w, "I4: message %u has no end", i);
		if (msg->delivered == 0 || msg->refused || w->epoch_lost)
			continue;
		uint64_t *at = &last[msg->from][msg->to][msg->msg_class];
		if (msg->deliver_order < *at)
			w_fail(w, "message %u of agent %u to %u, class %d, was overtaken", i, msg->from, msg->to,
				(int)msg->msg_class);
		*at = msg->deliver_order;
	}
}

void w_check_end(struct world *w)
{
	check_messages(w);
	w_thread_check(w);
	if (w->threads)
		w_say_check(w);
	struct brk_counts counts;
	brk_counts_get(w->hub.brk, &counts);
	w->result->marks[WORLD_MARK_HUB_REPEAT] += counts.repeats;
	if (counts.waiting != 0 && !w->failed)
		w_fail(w, "the hub counts %llu waiting and has none", (unsigned long long)counts.waiting);
	for (uint32_t i = 0; i < w->draw.agents && !w->failed; i++) {
		struct agt_event event = {.type = AGT_EV_CONN_DOWN, .u.err = KW_ECLOSED};
		w_agent_step(w, &w->agents[i], &event);
		if (w->agents[i].boxes.live != 0)
			w_fail(w, "agent %u leaks %u boxes", i, w->agents[i].boxes.live);
	}
	for (uint32_t i = 0; i < W_CONNS_MAX && !w->failed; i++) {
		struct brk_event event = {.type = BRK_EV_CONN_DOWN, .u.conn = i};
		w_hub_step(w, &event);
	}
	brk_counts_get(w->hub.brk, &counts);
	if (counts.online != 0 && !w->failed)
		w_fail(w, "the hub counts %u online and nobody is there", counts.online);
	if (w->hub.boxes.live != 0 && !w->failed)
		w_fail(w, "the hub leaks %u boxes", w->hub.boxes.live);
}
