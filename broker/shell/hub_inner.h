#ifndef BROKER_HUB_INNER_H
#define BROKER_HUB_INNER_H

#include "broker/shell/hub.h"
#include "broker/shell/roster.h"

/* The inside of the hub, shared by hub.c, hub_plan.c and hub_frame.c. */

/* Rows looked at by one slice of the search for expired ones. */
#define HUB_EXPIRED_MAX 2000u
/* Intake stops when this much of the map, or of the disk, is used: what is left serves acks and deletes. */
#define HUB_SPACE_LOW_PERCENT 70u

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
	struct hub_blobs *blobs; /* NULL: this hub carries none */
	struct store_row expired[HUB_EXPIRED_MAX];
};

void hub_step(struct hub *hub, struct brk_event *event);
void hub_event(struct hub *hub, struct brk_event *event);
/* hub_plan.c */
void hub_carry_out(struct hub *hub, const struct brk_plan *plan);
void hub_refill(struct hub *hub, const struct store_range *range);
/* hub_blob.c; the roster is known. A failed open is freed by hub_blobs_free. */
KW_MUST_USE enum kw_err hub_blobs_open(struct hub *hub, const struct hub_options *options, struct uv_loop_s *loop);
void hub_blobs_free(struct hub *hub);
void hub_blobs_up(struct hub *hub, uint32_t conn, uint32_t slot);
void hub_blobs_down(struct hub *hub, uint32_t conn);
void hub_blobs_drained(struct hub *hub, uint32_t conn);
void hub_blobs_tick(struct hub *hub);

#endif
