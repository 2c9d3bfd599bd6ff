#include "agent/shell/agent_audit.h"
#include "agent/shell/agent_inner.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/renew.h"
#include "proto/link/log.h"
#include "proto/wire/frame_blob.h"
#include "proto/wire/prekey.h"

/* The link to the hub: frames in, events to the core. A frame that breaks the rules ends the connection; one that we do
 * not know and that says it may be skipped (high bit) is skipped. */

#define PONG_EVERY_MS 1000u

static void signal_down(struct agent *agent, enum kw_err err)
{
	struct agt_event event = {.type = AGT_EV_CONN_DOWN, .u.err = err};

	if (agent->stepping) {
		agent->down_due = true;
		agent->down_err = err;
	} else {
		agent_step(agent, &event);
	}
}

void agent_conn_down(struct agent *agent, enum kw_err err)
{
	signal_down(agent, err);
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct agent *agent = user;
	struct agt_event event = {.type = AGT_EV_CONN_UP};

	if (agent->stopping)
		return;
	if (peer->kind != KW_PEER_HUB || !kw_name_equal(&peer->hub, &agent->office.hub)) {
		kw_link_close(link, KW_EAUTH);
		return;
	}
	kw_log(KW_LOG_INFO, "connected", KW_LOG_STR("address", kw_link_address(link)), KW_LOG_STR("group", kw_link_group(link)));
	agent_step(agent, &event);
}

static void on_drained(void *user, struct kw_link *link)
{
	struct agent *agent = user;
	struct agt_event event = {.type = AGT_EV_DRAINED};

	(void)link;
	if (agent->stepping)
		agent->drained_due = true;
	else if (!agent->stopping)
		agent_step(agent, &event);
	if (!agent->stopping)
		agent_blobs_drained(agent); /* after the messages: it sends only when they have nothing to send */
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct agent *agent = user;

	(void)link;
	agent->link = NULL;
	agent_blobs_down(agent);
	agent_roles_reset(agent->roles);
	agent_renew_down(agent, err);
	agent_prekeys_down(agent);
	agent_audit_down(agent);
	if (!agent->stopping)
		signal_down(agent, err);
}

static enum kw_err take_message(struct agent *agent, struct kw_view body)
{
	struct kw_frame_message message;
	struct agt_event event = {.type = AGT_EV_MESSAGE};
	enum kw_err err = kw_frame_message_parse(body, &message);

	if (err != KW_OK)
		return err;
	bool reminder = message.reminder.size > 0;
	struct kw_view own = reminder ? message.reminder : message.notice;
	struct spool_box *box = spool_box_new(message.msg_class == KW_CONTROL ? own : message.envelope);
	if (box == NULL)
		return KW_ENOMEM;
	box->reminder = reminder;
	event.u.message.msg_class = message.msg_class;
	event.u.message.sequence = message.sequence;
	event.u.message.size = box->size;
	event.u.message.box = (uint64_t)(uintptr_t)box;
	agent_step(agent, &event);
	return KW_OK;
}

static enum kw_err take_ping(struct agent *agent, struct kw_view body)
{
	struct kw_buf *out = kw_link_out(agent->link);
	uint64_t nonce;
	enum kw_err err = kw_frame_ping_parse(body, &nonce);

	if (err != KW_OK || out == NULL)
		return err;
	err = kw_frame_ping_add(out, KW_FRAME_PONG, nonce);
	kw_link_ready(agent->link);
	return err;
}

/* Frames that become an event each. */
static enum kw_err take_event(struct agent *agent, const struct kw_frame *frame)
{
	struct agt_event event = {.type = AGT_EV_PONG};
	struct kw_clock_limits limits = agent->limits;
	bool said = false;
	uint64_t nonce;
	enum kw_err err;

	switch (frame->type) {
	case KW_FRAME_WELCOME:
		event.type = AGT_EV_WELCOME;
		err = kw_frame_welcome_parse(frame->body, &event.u.hello);
		if (err == KW_OK)
			err = kw_frame_welcome_limits(frame->body, &limits, &said);
		if (err == KW_OK)
			agent_clock_welcome(agent, event.u.hello.clock_unix_ms, said ? &limits : NULL);
		if (err == KW_OK)
			agent_prekeys_up(agent);
		break;
	case KW_FRAME_ACK:
		event.type = AGT_EV_ACK;
		err = kw_frame_ack_parse(frame->body, &event.u.ack);
		break;
	case KW_FRAME_ERROR:
		event.type = AGT_EV_ERROR;
		err = kw_frame_error_parse(frame->body, &event.u.error);
		if (err == KW_OK && event.u.error.scope == 3)
			agent_renew_refused(agent, event.u.error.code);
		break;
	case KW_FRAME_GOAWAY:
		event.type = AGT_EV_GOAWAY;
		err = kw_frame_goaway_parse(frame->body, &event.u.delay_ms);
		break;
	case KW_FRAME_PONG:
		err = kw_frame_ping_parse(frame->body, &nonce);
		break;
	default:
		return (frame->type & 0x80u) != 0 ? KW_OK : KW_EPROTO;
	}
	if (err == KW_OK)
		agent_step(agent, &event);
	return err;
}

/* Frames that are no event of their own are still a sign of life. */
static void alive(struct agent *agent)
{
	struct agt_event event = {.type = AGT_EV_PONG};
	uint64_t now = uv_now(&agent->loop);

	if (now - agent->pong_ms < PONG_EVERY_MS)
		return;
	agent->pong_ms = now;
	agent_step(agent, &event);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct agent *agent = user;
	enum kw_err err;

	if (link != agent->link || agent->stopping)
		return;
	switch (frame->type) {
	case KW_FRAME_MESSAGE:
		err = take_message(agent, frame->body);
		break;
	case KW_FRAME_PING:
		err = take_ping(agent, frame->body);
		alive(agent);
		break;
	case KW_FRAME_ROLE_PART:
		err = agent_role_frame(agent, frame->body);
		alive(agent);
		break;
	case KW_FRAME_RENEWED:
		err = agent_renew_frame(agent, frame->body);
		alive(agent);
		break;
	case KW_FRAME_PREKEYS:
	case KW_FRAME_PREKEYS_WANT:
		err = agent_prekeys_frame(agent, frame);
		alive(agent);
		break;
	case KW_FRAME_CHECKPOINT:
	case KW_FRAME_PROOF:
		err = agent_audit_frame(agent, frame);
		alive(agent);
		break;
	default:
		if (kw_frame_is_blob(frame->type)) {
			err = agent_blob_frame(agent, frame);
			alive(agent);
		} else {
			err = take_event(agent, frame);
		}
		break;
	}
	if (err != KW_OK && agent->link == link) {
		kw_log(KW_LOG_WARN, "bad_frame", KW_LOG_INT("type", frame->type), KW_LOG_ERR(err));
		kw_link_close(link, KW_EPROTO);
	}
}

void agent_connect(struct agent *agent)
{
	agent->hooks = (struct kw_link_hooks){.user = agent,
		.on_open = on_open,
		.on_frame = on_frame,
		.on_drained = on_drained,
		.on_close = on_close};
	if (agent_renew_connect(agent))
		return;
	enum kw_err err = kw_link_connect(agent->net, agent->settings->hub, agent->tls, &agent->hooks, &agent->link);
	if (err != KW_OK) {
		agent->link = NULL;
		signal_down(agent, err);
	}
}
