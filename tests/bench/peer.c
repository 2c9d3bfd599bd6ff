#include "tests/bench/peer.h"

#include <string.h>
#include <time.h>

#include "proto/wire/crypt.h"

#define OUT_BYTES_MAX (1u << 20)

static const struct kw_credit WINDOW = {.messages = PEER_WINDOW_MESSAGES, .bytes = PEER_WINDOW_BYTES};

static struct kw_credit grant(struct peer *peer, int msg_class)
{
	return kw_rx_grant(&peer->rx[msg_class], WINDOW, msg_class != KW_CONTROL && !peer->gives_credit);
}

static void say_hello(struct peer *peer)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	struct kw_frame_hello hello = {
		.version_min = 1,
		.version_max = 1,
		.epoch = peer->epoch,
		.clock_unix_ms = (int64_t)now.tv_sec * 1000,
		.root_version = 1, /* as one that was here before: what a newcomer is told is no part of these benches */
		.timestamp_version = 1,
		.snapshot_version = 1,
		.directory_version = 1,
	};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++)
		hello.credits[c] = grant(peer, c);
	bench_must(kw_frame_hello_add(kw_link_out(peer->link), &hello), "hello");
	kw_link_ready(peer->link);
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *hub)
{
	struct peer *peer = user;
	(void)link;
	if (hub->kind != KW_PEER_HUB)
		bench_die("the other side is no hub");
	say_hello(peer);
}

static void take_welcome(struct peer *peer, struct kw_view body)
{
	struct kw_frame_hello welcome;
	bench_must(kw_frame_welcome_parse(body, &welcome), "welcome");
	peer->hub_epoch = welcome.epoch;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		kw_rx_begin(&peer->rx[c], welcome.epoch);
		(void)grant(peer, c); /* the same as HELLO said */
	}
	kw_tx_begin(&peer->tx, welcome.credits[KW_NORMAL]);
	peer->is_ready = true;
	peer->hooks->on_ready(peer->hooks->user, peer);
}

static void take_notice(struct kw_view bytes)
{
	struct kw_frame_notice notice;
	bench_must(kw_frame_notice_parse(bytes, &notice), "notice");
	bench_die("the hub refused a message: %s", kw_err_name(notice.reason));
}

static void take_message(struct peer *peer, struct kw_view body)
{
	struct kw_frame_message message;
	bench_must(kw_frame_message_parse(body, &message), "message");
	if (message.msg_class == KW_CONTROL)
		take_notice(message.notice);
	struct kw_rx_lane *rx = &peer->rx[message.msg_class];
	uint32_t size = (uint32_t)message.envelope.size;
	if (kw_rx_arrive(rx, message.sequence, size) != KW_RX_NEW)
		bench_die("the hub repeated a message or passed its credit");
	kw_rx_committed(rx, rx->got);
	kw_rx_released(rx, size);
	peer->ack_due = true;
	peer->waiting++;
	peer->hooks->on_message(peer->hooks->user, peer, &message);
}

static void take_ack(struct peer *peer, struct kw_view body)
{
	struct kw_frame_ack ack;
	bench_must(kw_frame_ack_parse(body, &ack), "ack");
	if (ack.credit_mask & (1u << KW_NORMAL))
		kw_tx_credit(&peer->tx, ack.credits[KW_NORMAL]);
	const struct kw_cursor *cursor = &ack.cursors[KW_NORMAL];
	if (!(ack.cursor_mask & (1u << KW_NORMAL)) || cursor->epoch != peer->epoch || cursor->sequence <= peer->acked)
		return;
	if (cursor->sequence > peer->sent)
		bench_die("the hub acknowledged what was not sent");
	uint64_t first = peer->acked + 1;
	peer->acked = cursor->sequence;
	peer->hooks->on_acked(peer->hooks->user, peer, first, cursor->sequence);
}

static void take_error(const struct peer *peer, struct kw_view body)
{
	struct kw_frame_error error;
	bench_must(kw_frame_error_parse(body, &error), "error");
	bench_die("the hub complains to agency %u: %s %s", peer->index, kw_err_name(error.code), error.field);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct peer *peer = user;
	uint64_t nonce;
	switch (frame->type) {
	case KW_FRAME_MESSAGE:
		take_message(peer, frame->body);
		break;
	case KW_FRAME_ACK:
		take_ack(peer, frame->body);
		break;
	case KW_FRAME_WELCOME:
		take_welcome(peer, frame->body);
		break;
	case KW_FRAME_ERROR:
		take_error(peer, frame->body);
		break;
	case KW_FRAME_PING:
		bench_must(kw_frame_ping_parse(frame->body, &nonce), "ping");
		if (kw_link_out(link) != NULL)
			bench_must(kw_frame_ping_add(kw_link_out(link), KW_FRAME_PONG, nonce), "pong");
		kw_link_ready(link);
		break;
	default:
		break;
	}
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct peer *peer = user;
	(void)link;
	peer->link = NULL;
	peer->is_ready = false;
	if (err != KW_OK)
		bench_die("agency %u lost its connection: %s", peer->index, kw_err_name(err));
}

void peer_init(struct peer *peer, uint32_t index, struct kw_tls_context *context, const struct peer_hooks *hooks)
{
	*peer = (struct peer){.index = index, .context = context, .hooks = hooks, .gives_credit = true};
	/* A new store each time: the hub forgets what an earlier run sent. */
	bench_must(kw_random(&peer->epoch, sizeof(peer->epoch)), "random");
	peer->epoch = (peer->epoch >> 1) | 1;
}

void peer_dial(struct peer *peer, struct kw_net *net, const char *address)
{
	const struct kw_link_hooks hooks = {
		.user = peer,
		.on_open = on_open,
		.on_frame = on_frame,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	bench_must(kw_link_connect(net, address, peer->context, &hooks, &peer->link), address);
}

bool peer_may(const struct peer *peer, uint32_t size)
{
	return peer->is_ready && kw_tx_may(&peer->tx, size) && kw_link_pending_bytes(peer->link) < OUT_BYTES_MAX;
}

void peer_send(struct peer *peer, struct kw_view envelope)
{
	struct kw_frame_message message = {.msg_class = KW_NORMAL, .sequence = peer->sent + 1, .envelope = envelope};
	struct kw_buf *out = kw_link_out(peer->link);
	if (out == NULL)
		bench_die("agency %u is closing", peer->index);
	bench_must(kw_frame_message_add(out, &message), "message");
	kw_link_ready(peer->link);
	kw_tx_sent(&peer->tx, (uint32_t)envelope.size);
	peer->sent++;
}

void peer_flush(struct peer *peer)
{
	struct kw_buf *out = peer->link == NULL ? NULL : kw_link_out(peer->link);
	if (!peer->ack_due || out == NULL)
		return;
	struct kw_frame_ack ack = {.cursor_mask = 1u << KW_NORMAL, .credit_mask = 1u << KW_NORMAL};
	ack.cursors[KW_NORMAL] = peer->rx[KW_NORMAL].durable;
	ack.credits[KW_NORMAL] = grant(peer, KW_NORMAL);
	bench_must(kw_frame_ack_add(out, &ack), "ack");
	kw_link_ready(peer->link);
	peer->ack_due = false;
	peer->received += peer->waiting;
	peer->waiting = 0;
}

void peer_close(struct peer *peer)
{
	if (peer->link != NULL)
		kw_link_close(peer->link, KW_OK);
}

void peer_fini(struct peer *peer)
{
	kw_tls_context_free(peer->context);
	peer->context = NULL;
}
