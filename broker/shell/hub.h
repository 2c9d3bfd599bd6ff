#ifndef BROKER_HUB_H
#define BROKER_HUB_H

#include <stdint.h>

#include "broker/core/core.h"
#include "broker/shell/store.h"
#include "proto/base/bytes.h"
#include "proto/wire/blobs.h"
#include "proto/wire/curve.h"

/* Drives the core: turns frames of authenticated connections and completions of the store into events, and carries out
 * the plans: store effects to the store in order, frames to the connection's output buffer.
 *
 *   frame → event → brk_step → plan → { store changes, frames out, refills } → … → commit → event → acks
 *
 * What can fail: the store (any commit error is final: hooks->on_fatal, the process stops with nothing more acked), and
 * memory (the same). A connection that breaks the rules is closed by the core's plan. Used on the loop thread only. */

struct hub;
struct uv_loop_s;

/* How frames leave. `conn` is the number that the caller gave in hub_hello. */
struct hub_wire {
	void *user;
	/* Where to append frames for conn; NULL when it is closing, and they are dropped. */
	struct kw_buf *(*out)(void *user, uint32_t conn);
	/* Something was appended: flush by the end of the loop's turn. */
	void (*ready)(void *user, uint32_t conn);
	/* Bytes of conn that the network has not taken. Asked only by a hub that carries blobs, or is asked for prekeys. */
	size_t (*pending)(void *user, uint32_t conn);
	/* Close after what was appended has left. */
	void (*close)(void *user, uint32_t conn, enum kw_err err);
	/* Nothing durable can be promised any more: log, stop the loop, exit non-zero. */
	void (*fatal)(void *user, enum kw_err err);
};

struct hub_options {
	struct store_options store;
	struct brk_limits limits;
	struct kw_name name;
	/* The wall clock and one that only goes forward, in milliseconds; NULL: the machine's. */
	void (*clock)(void *user, int64_t *wall_ms, int64_t *mono_ms);
	void *clock_user;
	/* Signs the checkpoints of the audit log; copied. NULL: none is kept. */
	const struct kw_ed25519 *log_key;
	const char *forget_folder; /* files named after the digests of envelopes, in hex, that the log shall forget; or NULL */
	const char *blob_folder;           /* NULL: no blobs are carried */
	struct kw_blobs_limits blob_limits; /* sessions_max is the hub's own affair */
};

/* What broker.yaml says when it says nothing: 16 GiB in all, 512 MiB and 1,000 blobs from one agency, 64 at once. */
#define HUB_BLOB_LIMITS_DEFAULT \
	((struct kw_blobs_limits){.entries_max = 16384, .bytes_max = 16ull << 30, .giver_bytes_max = 512ull << 20, \
		.giver_count_max = 1000, .taking_max = 64})

/* Opens the store and recovers. KW_* of store_open, KW_ENOMEM. wire is copied. */
KW_MUST_USE enum kw_err hub_new(const struct hub_options *options, struct uv_loop_s *loop, const struct hub_wire *wire,
	struct hub **out);
/* Commits what waits and frees. Accepts NULL. */
void hub_free(struct hub *hub);

/* Makes an agency known, shuts it out, or lets it in again. KW_EFULL past STORE_SLOT_MAX, KW_ENOMEM. */
KW_MUST_USE enum kw_err hub_agency(struct hub *hub, const struct kw_name *name, bool revoked);

/* First frame of a connection that TLS has tied to `agency`. */
void hub_hello(struct hub *hub, uint32_t conn, const struct kw_name *agency, const struct kw_frame_hello *hello);
/* What its HELLO had of credit for messages, given later. */
void hub_credit(struct hub *hub, uint32_t conn, const struct kw_credit *credits);
/* A later frame, of the agency that said hello: MESSAGE, ACK, UNOPENED, RECALL or PROVE. Others are for the caller. KW_EFORMAT and the like: the frame breaks the
 * protocol, close the connection. */
KW_MUST_USE enum kw_err hub_frame(struct hub *hub, uint32_t conn, const struct kw_name *agency,
	const struct kw_frame *frame);
/* A frame of kw_frame_is_blob, of a connection that said hello. An error: close it. */
KW_MUST_USE enum kw_err hub_blob_frame(struct hub *hub, uint32_t conn, const struct kw_frame *frame);
/* hub_prekey.c: PREKEYS of the agency itself, whose identity key the directory says, and PREKEYS_WANT. What a batch breaks is
 * logged and ends nothing. */
KW_MUST_USE enum kw_err hub_prekeys(struct hub *hub, const struct kw_name *agency, const uint8_t *identity_key,
	struct kw_view body);
KW_MUST_USE enum kw_err hub_prekeys_want(struct hub *hub, uint32_t conn, struct kw_view body);
/* After hub_hello: what the hub has of the agency's own. */
void hub_prekeys_hello(struct hub *hub, uint32_t conn, const struct kw_name *agency);
void hub_drained(struct hub *hub, uint32_t conn);
void hub_conn_down(struct hub *hub, uint32_t conn);
/* Signs the checkpoints from now on; copied. */
void hub_log_key(struct hub *hub, const struct kw_ed25519 *key);
/* Once a second: space on disk, a slice of the search for expired rows, threads whose time has come. */
void hub_tick(struct hub *hub);
/* Sets hub time to the machine's clock, because an operator says that it is right, and says so in the log. */
void hub_time_reset(struct hub *hub);
/* At the end of each loop turn: hands the batch to the writer. */
void hub_kick(struct hub *hub);

struct hub_stats {
	struct brk_counts counts;
	struct store_stats store;
};
void hub_stats_get(struct hub *hub, struct hub_stats *out);

#endif
