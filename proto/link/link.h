#ifndef KW_LINK_LINK_H
#define KW_LINK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/link/tls.h"
#include "proto/wire/frame.h"

/* One connection: TCP, TLS and frames, with back-pressure. Used by broker and agent alike, on one loop thread.
 *
 * Reading: one buffer per loop; frames are handed out as views; a connection keeps only a partial frame. Writing: frames
 * are appended to the link's output and leave together when the loop's turn ends, in TLS records of up to 16 KiB. An
 * idle connection owns no buffer.
 *
 * A link is OPENING (TCP and TLS), OPEN, or CLOSING, and is freed after on_close has returned; nothing may touch it then.
 * Every wait has a deadline: connect, handshake and the first frame, and the goodbye. Silence on an open link is for the
 * session above to judge. */

#define KW_LINK_OUT_SIZE_MAX (2u << 20) /* plaintext that waits for the end of the turn */
#define KW_LINK_CLOSE_MS 2000u          /* a goodbye that the peer does not read is cut off */

struct uv_loop_s;
struct kw_net; /* what all links of a loop share */
struct kw_link;
struct kw_link_server;

struct kw_link_hooks {
	void *user;
	/* TLS is up and the peer's certificate names it (or it enrols). */
	void (*on_open)(void *user, struct kw_link *link, const struct kw_tls_peer *peer);
	void (*on_frame)(void *user, struct kw_link *link, const struct kw_frame *frame);
	/* All that was written has been taken by the network. */
	void (*on_drained)(void *user, struct kw_link *link);
	/* The last call for this link, once, whatever happened; KW_OK when kw_link_close was asked for without error. */
	void (*on_close)(void *user, struct kw_link *link, enum kw_err err);
};

struct kw_link_limits {
	uint32_t connections_max;
	uint32_t half_open_max;             /* no first frame yet */
	uint32_t half_open_per_address_max;
	uint32_t handshake_ms;
	uint32_t first_frame_ms;
	uint32_t handshakes_per_s_max;      /* more wait in the listen queue; 0 means no limit */
};
/* 16384; 256; 8; 20 s; 10 s; 50 a second */
extern const struct kw_link_limits KW_LINK_LIMITS_DEFAULT;

/* KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_net_new(struct uv_loop_s *loop, struct kw_net **out);
/* Only when no link and no server is left; run the loop once more afterwards. Accepts NULL. */
void kw_net_free(struct kw_net *net);
/* TCP payload since the start, TLS included. */
struct kw_net_stats {
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint32_t links;
};
void kw_net_stats_get(const struct kw_net *net, struct kw_net_stats *out);

/* address: "host:port" or "[v6]:port", numeric; port 0 chooses a free one. context and hooks->user must outlive the server.
 * KW_EFIELD  not such an address; KW_EBUSY: another program listens there; KW_ENOTFOUND: this machine has no such address;
 * KW_EDENIED: the port is for root; KW_EIO, KW_ENOMEM */
KW_MUST_USE enum kw_err kw_link_listen(struct kw_net *net, const char *address, struct kw_tls_context *context,
	const struct kw_link_hooks *hooks, struct kw_link_server **out);
void kw_link_server_limits(struct kw_link_server *server, const struct kw_link_limits *limits);
uint16_t kw_link_server_port(const struct kw_link_server *server);
/* Stops accepting; links stay. Accepts NULL. Freed on the loop's next turn. */
void kw_link_server_close(struct kw_link_server *server);

/* Dials "host:port" (names are resolved). Failure comes as on_close. KW_EFIELD for a bad address, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_link_connect(struct kw_net *net, const char *address, struct kw_tls_context *context,
	const struct kw_link_hooks *hooks, struct kw_link **out);

/* Where to append frames; NULL when the link is not OPEN. Call kw_link_ready afterwards. */
struct kw_buf *kw_link_out(struct kw_link *link);
void kw_link_ready(struct kw_link *link);
/* Closes once what was appended has left. Repeats are ignored. */
void kw_link_close(struct kw_link *link, enum kw_err err);
/* Stops reading from the network, so that TCP pushes back; frames already read are still handed out. */
void kw_link_pause(struct kw_link *link);
void kw_link_resume(struct kw_link *link);
/* Bytes that wait to leave: appended frames and ciphertext that the network has not taken. Push back above a limit, go on
 * at on_drained. */
size_t kw_link_pending_bytes(const struct kw_link *link);
/* TCP payload of this link since its start. */
struct kw_link_stats {
	uint64_t bytes_in;
	uint64_t bytes_out;
};
void kw_link_stats_get(const struct kw_link *link, struct kw_link_stats *out);

void kw_link_user_set(struct kw_link *link, void *user);
void *kw_link_user(const struct kw_link *link);
/* Numeric peer address for the log; at most 64 characters, valid as long as the link. */
const char *kw_link_address(const struct kw_link *link);
/* kw_tls_export of its connection; only when OPEN. */
KW_MUST_USE enum kw_err kw_link_export(const struct kw_link *link, const char *label, void *out, size_t size);
/* Key exchange group, for the log; static storage. */
const char *kw_link_group(const struct kw_link *link);

#endif
