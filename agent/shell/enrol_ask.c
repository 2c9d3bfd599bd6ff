#include "agent/shell/enrol_inner.h"

#include <string.h>
#include <uv.h>

#include "proto/link/link.h"
#include "proto/wire/frame.h"

/* One question to the hub: connect, pin, send the request with a proof that is good on this connection, take the answer. */

struct ask {
	struct enrol *enrol;
	uv_loop_t loop;
	uv_timer_t deadline;
	struct kw_net *net;
	struct kw_tls_context *tls;
	struct kw_link *link;
	struct kw_link_hooks hooks;
	enum kw_enrol_phase phase;
	enum kw_err err;
	bool done;
};

static void end(struct ask *ask, enum kw_err err)
{
	if (!ask->done) {
		ask->done = true;
		ask->err = err;
	}
	if (ask->link != NULL)
		kw_link_close(ask->link, KW_OK);
}

static enum kw_err send_ask(struct ask *ask, struct kw_buf *out, const struct kw_digest *binding)
{
	struct kw_buf body;
	enum kw_err err;

	if (out == NULL)
		return KW_ECLOSED;
	kw_buf_init(&body, KW_ENROL_ASK_SIZE_MAX);
	err = enrol_add_ask(ask->enrol, binding, &body);
	if (err == KW_OK)
		err = kw_frame_add(out, KW_FRAME_ENROL, kw_buf_view(&body));
	kw_buf_fini(&body);
	return err;
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct ask *ask = user;
	X509 *root = kw_tls_context_root(ask->tls);
	enum kw_err err = peer->kind == KW_PEER_HUB && root != NULL && X509_up_ref(root) == 1 ? KW_OK : KW_EAUTH;

	if (err == KW_OK) {
		X509_free(ask->enrol->root);
		ask->enrol->root = root;
		err = send_ask(ask, kw_link_out(link), &peer->binding);
	}
	if (err != KW_OK)
		end(ask, err);
	else
		kw_link_ready(link);
}

static void on_state(struct ask *ask, const struct kw_frame *frame)
{
	struct kw_enrol_state state;
	enum kw_err err = kw_enrol_state_parse(frame->body, &state);

	if (err == KW_OK && !kw_name_equal(&state.agency, &ask->enrol->agency))
		err = KW_EAUTH; /* the code says another name */
	if (err == KW_OK)
		ask->phase = state.phase;
	end(ask, err);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct ask *ask = user;
	struct kw_frame_error error;
	enum kw_err err;

	(void)link;
	switch (frame->type) {
	case KW_FRAME_ENROLLED:
		kw_buf_clear(&ask->enrol->reply);
		end(ask, kw_buf_add(&ask->enrol->reply, frame->body));
		break;
	case KW_FRAME_ENROL_STATE:
		on_state(ask, frame);
		break;
	case KW_FRAME_ERROR:
		err = kw_frame_error_parse(frame->body, &error);
		if (err == KW_OK)
			ask->enrol->out->fault = ENROL_FAULT_HUB;
		end(ask, err != KW_OK ? err : error.code == KW_OK ? KW_EPROTO : error.code);
		break;
	default:
		if ((frame->type & 0x80u) == 0)
			end(ask, KW_EPROTO);
		break;
	}
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct ask *ask = user;

	(void)link;
	ask->link = NULL;
	end(ask, err == KW_OK ? KW_ECLOSED : err);
	uv_close((uv_handle_t *)&ask->deadline, NULL);
	uv_stop(&ask->loop);
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_deadline(uv_timer_t *timer)
{
	end(timer->data, KW_ETIMEOUT);
}

static enum kw_err turn(struct ask *ask)
{
	ask->hooks = (struct kw_link_hooks){
		.user = ask, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	if (uv_loop_init(&ask->loop) != 0)
		return KW_ENOMEM;
	ask->deadline.data = ask;
	enum kw_err err = KW_ENOMEM;
	if (uv_timer_init(&ask->loop, &ask->deadline) == 0 &&
		uv_timer_start(&ask->deadline, on_deadline, ENROL_DEADLINE_MS, 0) == 0)
		err = kw_net_new(&ask->loop, &ask->net);
	if (err == KW_OK)
		err = kw_link_connect(ask->net, ask->enrol->address, ask->tls, &ask->hooks, &ask->link);
	if (err == KW_OK) {
		(void)uv_run(&ask->loop, UV_RUN_DEFAULT);
		err = ask->err;
	} else {
		uv_close((uv_handle_t *)&ask->deadline, NULL);
	}
	kw_net_free(ask->net);
	(void)uv_run(&ask->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&ask->loop); /* nothing is left in it */
	return err;
}

enum kw_err enrol_ask(struct enrol *enrol, enum kw_enrol_phase *phase)
{
	struct ask ask = {.enrol = enrol};
	struct kw_tls_files files = {.root_fingerprint = enrol->root_fingerprint};
	enum kw_err err = kw_tls_context_new(KW_TLS_ENROL, &files, &ask.tls);

	if (err == KW_OK)
		err = turn(&ask);
	kw_tls_context_free(ask.tls);
	if (err == KW_OK)
		*phase = ask.phase;
	return err;
}
