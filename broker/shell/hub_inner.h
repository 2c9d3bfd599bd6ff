#ifndef BROKER_HUB_INNER_H
#define BROKER_HUB_INNER_H

#include "broker/shell/hub.h"
#include "broker/shell/roster.h"

/* The inside of the hub, shared by hub.c, hub_plan.c and hub_frame.c. */

/* Rows looked at by one slice of the search for expired ones. */
#define HUB_EXPIRED_MAX 2000u
/* Threads looked at in one tick; each may put some reminders into queues. */
#define HUB_DUE_MAX 1000u
/* Hub time is kept at most so often, and only when something was written anyway. */
#define HUB_TIME_KEPT_MS 60000
/* How often the log says that the wall clock is wrong. */
#define HUB_TIME_SAID_MS 3600000
/* No credit is given when this much of the map, or of the disk, is used, and nothing taken at all a little later: what is
 * left serves acks and deletes. Each ends well below where it began, or every delivered message would be news. */
#define HUB_SPACE_LOW_PERCENT 70u
#define HUB_SPACE_OUT_PERCENT 85u
#define HUB_SPACE_BACK_PERCENT 5u

/* Batches of dated prekeys that one agency gives in a minute; further ones are not looked at. */
#define HUB_PREKEYS_MINUTE_MAX 8u

struct hub {
	struct hub_wire wire;
	struct brk_limits limits;
	struct kw_name name;
	struct store *store;
	struct roster *roster;
	struct brk *brk;
	void *core_memory;
	struct brk_plan *plan;
	struct kw_buf scratch;
	uint64_t ticket; /* the core's last one; the hub's own changes ride on it */
	struct store_range *refills;
	uint32_t refill_count;
	uint32_t refill_cap;
	uint32_t expired_count;
	uint32_t sweep_hour; /* of the search that is under way; 0 for none */
	uint32_t swept_hour; /* of the last one that has ended */
	enum kw_err recover_err;
	enum brk_space space; /* as the core knows it */
	bool waiting;         /* as the log knows it */
	struct kw_hub_time time;
	struct uv_loop_s *loop;
	uint64_t turn_ms; /* the loop's time when the clocks were read last */
	void (*clock)(void *user, int64_t *wall_ms, int64_t *mono_ms);
	void *clock_user;
	int64_t time_kept_ms;
	int64_t time_said_ms; /* on the monotonic clock; 0: the wall clock is right */
	bool written;         /* since time was kept */
	struct brk_tracked tracks[KW_FRAME_TRACKS_MAX];
	struct {
		uint32_t minute;
		uint32_t count;
	} prekeys[STORE_SLOT_MAX]; /* given, by slot */
	struct hub_audit *audit; /* NULL: this hub keeps no audit log */
	struct hub_blobs *blobs; /* NULL: this hub carries none */
	struct store_row expired[HUB_EXPIRED_MAX];
	struct store_thread due[HUB_DUE_MAX];
};

void hub_step(struct hub *hub, struct brk_event *event);
void hub_event(struct hub *hub, struct brk_event *event);
/* hub_thread.c */
void hub_time_start(struct hub *hub, const struct hub_options *options);
/* Hub time, milliseconds since 1970. */
uint64_t hub_time_now(struct hub *hub);
/* How far it is ahead of the machine's clock; expiry is judged by that one then. */
uint64_t hub_time_ahead(const struct hub *hub);
void hub_time_keep(struct hub *hub, bool now);
/* Reads the tracks of a message and what is known of their threads. Errors are the frame's. */
enum kw_err hub_tracks(struct hub *hub, struct kw_view tracks, struct brk_message *message);
void hub_due(struct hub *hub);
/* Whose quota a record counts against, for the store. */
uint32_t hub_thread_payer(const uint8_t *record, uint32_t size);
void hub_thread_change(struct hub *hub, const struct brk_effect *fx);
/* hub_plan.c */
void hub_carry_out(struct hub *hub, const struct brk_plan *plan);
void hub_refill(struct hub *hub, const struct store_range *range);
/* hub_audit.c. A failed open is freed by hub_audit_free. */
KW_MUST_USE enum kw_err hub_audit_open(struct hub *hub, const struct hub_options *options);
void hub_audit_free(struct hub *hub);
/* Digest of an envelope, for the store. It was parsed when it came. */
enum kw_err hub_leaf_digest(const uint8_t *body, uint32_t size, struct kw_digest *out);
void hub_audit_hello(struct hub *hub, uint32_t conn, uint64_t log_size);
/* WELCOME was written. */
void hub_audit_welcomed(struct hub *hub, uint32_t conn);
void hub_audit_down(struct hub *hub, uint32_t conn);
/* The agency of this connection has sent a message. */
void hub_audit_sent(struct hub *hub, uint32_t conn);
void hub_audit_committed(struct hub *hub);
KW_MUST_USE enum kw_err hub_audit_prove(struct hub *hub, uint32_t conn, struct kw_view body);
void hub_audit_tick(struct hub *hub);
/* hub_blob.c; the roster is known. A failed open is freed by hub_blobs_free. */
KW_MUST_USE enum kw_err hub_blobs_open(struct hub *hub, const struct hub_options *options, struct uv_loop_s *loop);
void hub_blobs_free(struct hub *hub);
void hub_blobs_up(struct hub *hub, uint32_t conn, uint32_t slot);
void hub_blobs_down(struct hub *hub, uint32_t conn);
void hub_blobs_drained(struct hub *hub, uint32_t conn);
void hub_blobs_tick(struct hub *hub);

#endif
