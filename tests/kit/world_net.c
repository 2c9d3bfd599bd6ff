#include "tests/kit/world_inner.h"

/* Connections as TCP and TLS give them: in order or not at all within one, any order across them. An end may learn late,
 * or never, that the other is gone. */

static uint64_t delay(struct world *w)
{
	return prng_range(&w->prng, w->draw.delay_min, w->draw.delay_max);
}

/* When something that enters now comes out. */
static uint64_t arrival(struct world *w, struct w_conn *conn, uint8_t dir)
{
	uint64_t at = w->now + delay(w);
	if (at < conn->stall_until[dir])
		at = conn->stall_until[dir] + delay(w);
	if (at < conn->arrive[dir])
		at = conn->arrive[dir];
	conn->arrive[dir] = at;
	return at;
}

void w_net_send(struct world *w, uint32_t number, uint8_t dir, const struct w_frame *frame)
{
	struct w_conn *conn = &w->conns.at[number];
	if (!conn->open[dir == W_TO_HUB ? 0 : 1])
		return;
	if (frame->type == KW_FRAME_MESSAGE && !conn->drain[dir]) {
		conn->drain[dir] = true;
		uint64_t wait = delay(w);
		if (w->now + wait < conn->stall_until[dir])
			wait = conn->stall_until[dir] - w->now;
		w_at(w, wait, (struct w_event){.type = W_EV_DRAIN, .a = number, .dir = dir});
	}
	if (conn->dead)
		return;
	uint32_t at;
	if (w->spare_frames.count > 0) {
		at = w->spare_frames.at[--w->spare_frames.count];
	} else {
		at = w->frames.count;
		(void)W_PUSH(w->frames);
	}
	w->frames.at[at] = *frame;
	w_at(w, arrival(w, conn, dir) - w->now,
		(struct w_event){.type = W_EV_FRAME, .a = number, .b = at, .dir = dir});
}

/* One end closes: what it has written still arrives, then the end of the stream. */
void w_net_close(struct world *w, uint32_t number, uint8_t end)
{
	struct w_conn *conn = &w->conns.at[number];
	if (!conn->open[end])
		return;
	conn->open[end] = false;
	w_at(w, prng_below(&w->prng, 50), (struct w_event){.type = W_EV_DOWN, .a = number, .dir = end});
	if (!conn->dead)
		w_at(w, arrival(w, conn, end) - w->now, (struct w_event){.type = W_EV_FIN, .a = number, .dir = end});
	else if (conn->open[!end])
		/* Nobody tells the other end; its own probes do, in the end. */
		w_at(w, prng_range(&w->prng, 10000, 180000), (struct w_event){.type = W_EV_FIN, .a = number, .dir = end});
}

/* The link dies; each end may notice, soon or late. */
void w_net_cut(struct world *w, uint32_t number)
{
	struct w_conn *conn = &w->conns.at[number];
	conn->dead = true;
	for (uint8_t end = 0; end < 2; end++)
		if (conn->open[end] && prng_percent(&w->prng, 60))
			w_at(w, prng_range(&w->prng, 1, 20000), (struct w_event){.type = W_EV_FIN, .a = number, .dir = !end});
}

void w_net_dial(struct world *w, uint32_t agent)
{
	uint32_t number = w->conns.count;
	struct w_conn *conn = W_PUSH(w->conns);
	conn->agent = agent;
	conn->hub_conn = BRK_CONN_NONE;
	w->agents[agent].conn = number;
	conn->open[0] = true;
	w_at(w, 2 * delay(w), (struct w_event){.type = W_EV_DIALLED, .a = number});
}

static void down(struct world *w, uint32_t number, uint8_t end)
{
	struct w_conn *conn = &w->conns.at[number];
	if (end == 1) {
		w_hub_down(w, number);
		return;
	}
	struct w_agent *agent = &w->agents[conn->agent];
	if (!agent->up || agent->conn != number)
		return;
	agent->conn = UINT32_MAX;
	struct agt_event event = {.type = AGT_EV_CONN_DOWN, .u.err = KW_ECLOSED};
	w_agent_step(w, agent, &event);
}

static void dialled(struct world *w, uint32_t number)
{
	struct w_conn *conn = &w->conns.at[number];
	struct w_agent *agent = &w->agents[conn->agent];
	if (!agent->up || agent->conn != number || !conn->open[0])
		return;
	uint32_t free_conn = 0;
	while (free_conn < W_CONNS_MAX && w->hub.conn_of[free_conn] != UINT32_MAX)
		free_conn++;
	if (!w->hub.up || free_conn == W_CONNS_MAX || conn->dead ||
		w->now < agent->split_until) {
		w_net_close(w, number, 0);
		return;
	}
	w->hub.conn_of[free_conn] = number;
	conn->hub_conn = free_conn;
	conn->open[1] = true;
	w_log(w, "agent %u: connection %u up, hub's %u", conn->agent, number, free_conn);
	struct agt_event event = {.type = AGT_EV_CONN_UP};
	w_agent_step(w, agent, &event);
}

static void drain(struct world *w, const struct w_event *event)
{
	struct w_conn *conn = &w->conns.at[event->a];
	bool to_hub = event->dir == W_TO_HUB;
	if (!conn->open[to_hub ? 0 : 1])
		return;
	if (w->now < conn->stall_until[event->dir]) {
		w_at(w, conn->stall_until[event->dir] - w->now, *event);
		return;
	}
	conn->drain[event->dir] = false;
	if (conn->dead)
		return; /* what lies in the buffer stays there */
	if (to_hub) {
		struct agt_event drained = {.type = AGT_EV_DRAINED};
		w_agent_step(w, &w->agents[conn->agent], &drained);
	} else {
		struct brk_event drained = {.type = BRK_EV_DRAINED, .u.conn = conn->hub_conn};
		w_hub_step(w, &drained);
	}
}

void w_net_event(struct world *w, const struct w_event *event)
{
	struct w_conn *conn = &w->conns.at[event->a];
	uint8_t to = event->dir == W_TO_HUB ? 1 : 0;
	switch (event->type) {
	case W_EV_FRAME: {
		struct w_frame frame = w->frames.at[event->b];
		*W_PUSH(w->spare_frames) = (uint32_t)event->b;
		if (conn->dead || !conn->open[to])
			break;
		if (to == 1)
			w_hub_frame(w, event->a, &frame);
		else
			w_agent_frame(w, &w->agents[conn->agent], &frame);
		break;
	}
	case W_EV_FIN: /* from end `dir`, seen by the other */
		w_net_close(w, event->a, !event->dir);
		break;
	case W_EV_DIALLED:
		dialled(w, event->a);
		break;
	case W_EV_DOWN:
		down(w, event->a, event->dir);
		break;
	case W_EV_DRAIN:
		drain(w, event);
		break;
	default:
		w_fail(w, "an event of type %d has no home", (int)event->type);
		break;
	}
}

void w_net_fault(struct world *w)
{
	w_at(w, prng_below(&w->prng, w->draw.fault_every * 2), (struct w_event){.type = W_EV_LINK_FAULT});
	struct w_agent *agent = &w->agents[prng_below(&w->prng, w->draw.agents)];
	if (agent->conn == UINT32_MAX)
		return;
	struct w_conn *conn = &w->conns.at[agent->conn];
	uint8_t dir = (uint8_t)prng_below(&w->prng, 2);
	if (prng_percent(&w->prng, 50)) {
		w_log(w, "connection %u is cut", agent->conn);
		w_net_cut(w, agent->conn);
	} else {
		conn->stall_until[dir] = w->now + prng_range(&w->prng, 100, 90000);
		w_log(w, "connection %u stalls %s until %llu", agent->conn, dir == W_TO_HUB ? "to the hub" : "to the agent",
			(unsigned long long)conn->stall_until[dir]);
		w_mark(w, WORLD_MARK_STALL);
	}
}

void w_net_heal(struct world *w)
{
	for (uint32_t i = 0; i < w->conns.count; i++)
		for (uint8_t dir = 0; dir < 2; dir++)
			if (w->conns.at[i].stall_until[dir] > w->now)
				w->conns.at[i].stall_until[dir] = w->now;
}
