#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "proto/link/link.h"
#include "proto/wire/lane.h"
#include "tests/bench/bench.h"

/* One agency's end of a session, in the real protocol: HELLO, WELCOME, messages under credit, cumulative acks. It keeps
 * nothing: what it sends comes from its user, and what it receives is acknowledged when peer_flush is called, which stands
 * for an agent's own commit. */

/* The windows that kinward-agent grants. */
#define PEER_WINDOW_MESSAGES 256u
#define PEER_WINDOW_BYTES (1u << 20)

struct peer;

struct peer_hooks {
	void *user;
	void (*on_ready)(void *user, struct peer *peer);
	/* The hub holds our messages first..last. */
	void (*on_acked)(void *user, struct peer *peer, uint64_t first, uint64_t last);
	void (*on_message)(void *user, struct peer *peer, const struct kw_frame_message *message);
};

struct peer {
	struct kw_link *link; /* NULL: not connected */
	struct kw_tls_context *context;
	const struct peer_hooks *hooks;
	uint32_t index;
	bool is_ready;
	bool gives_credit; /* for messages; notices always come */
	bool ack_due;
	uint64_t epoch;
	uint64_t hub_epoch;
	uint64_t sent;     /* last sequence */
	uint64_t acked;
	uint64_t received; /* messages for which an ack was sent */
	uint64_t waiting;  /* messages for which none was sent yet */
	struct kw_tx_lane tx;
	struct kw_rx_lane rx[KW_MSG_CLASS_COUNT];
};

/* context: taken over. hooks: borrowed for the peer's life. */
void peer_init(struct peer *peer, uint32_t index, struct kw_tls_context *context, const struct peer_hooks *hooks);
void peer_dial(struct peer *peer, struct kw_net *net, const char *address);
/* May one more message of `size` leave now? */
bool peer_may(const struct peer *peer, uint32_t size);
/* Only after peer_may. Sends as message peer->sent + 1 of class normal. */
void peer_send(struct peer *peer, struct kw_view envelope);
/* Sends the ack that is due. */
void peer_flush(struct peer *peer);
void peer_close(struct peer *peer);
/* Once its link has ended. */
void peer_fini(struct peer *peer);

#endif
