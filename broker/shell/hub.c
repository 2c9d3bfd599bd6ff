#include "broker/shell/hub.h"

#include <stdlib.h>
#include <string.h>

#include "broker/shell/hub_inner.h"
#include "proto/base/check.h"
#include "proto/link/log.h"
#include "proto/wire/envelope.h"

void hub_step(struct hub *hub, struct brk_event *event)
{
	event->wall_ms = hub_time_now(hub);
	event->ahead_ms = hub_time_ahead(hub);
	brk_step(hub->brk, event, hub->plan);
	hub_carry_out(hub, hub->plan);
	struct brk_event more = {.type = BRK_EV_CONTINUE, .wall_ms = event->wall_ms, .ahead_ms = event->ahead_ms};
	while (hub->plan->more) {
		brk_step(hub->brk, &more, hub->plan);
		hub_carry_out(hub, hub->plan);
	}
}

/* Answers what the plans asked to be read. Each answer is a step whose plan may ask again; a connection's bound on
 * bytes under way ends it. */
static void refill_all(struct hub *hub)
{
	while (hub->refill_count > 0) {
		struct store_range range = hub->refills[--hub->refill_count];
		hub_refill(hub, &range);
	}
}

void hub_event(struct hub *hub, struct brk_event *event)
{
	hub_step(hub, event);
	refill_all(hub);
}

static bool reaches(const struct store_stats *stats, uint32_t percent)
{
	return stats->used_bytes >= stats->map_bytes / 100u * percent;
}

static enum brk_space measure(const struct hub *hub, const struct store_stats *stats)
{
	uint32_t low = HUB_SPACE_LOW_PERCENT - (hub->space >= BRK_SPACE_LOW ? HUB_SPACE_BACK_PERCENT : 0);
	uint32_t out = HUB_SPACE_OUT_PERCENT - (hub->space >= BRK_SPACE_OUT ? HUB_SPACE_BACK_PERCENT : 0);
	if (stats->waiting || reaches(stats, out))
		return BRK_SPACE_OUT;
	return reaches(stats, low) ? BRK_SPACE_LOW : BRK_SPACE_OK;
}

/* Tells the core when it has changed, or, once a second, all the same. */
static void look_at_space(struct hub *hub, bool all_the_same)
{
	struct store_stats stats;
	store_stats_get(hub->store, &stats);
	struct brk_event event = {.type = BRK_EV_SPACE, .u.space = measure(hub, &stats)};
	if (stats.waiting != hub->waiting)
		kw_log(stats.waiting ? KW_LOG_ERROR : KW_LOG_INFO, stats.waiting ? "store_waits" : "store_goes_on",
			KW_LOG_STR("text", stats.waiting ? "The disk is full: nothing can be written or confirmed until there is room. Free disk."
											 : "There is room again."));
	hub->waiting = stats.waiting;
	if (event.u.space == hub->space && !all_the_same)
		return;
	hub->space = event.u.space;
	hub_event(hub, &event);
}

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct hub *hub = user;
	if (err != KW_OK) {
		hub->wire.fatal(hub->wire.user, err);
		return;
	}
	/* Before the acks of this commit, so that they give no credit that the disk has no room for. A fast sender fills a small
	 * disk in less than the second between two ticks. */
	look_at_space(hub, false);
	struct brk_event event = {.type = BRK_EV_COMMITTED, .u.ticket = ticket};
	hub_event(hub, &event);
	hub_audit_committed(hub); /* after the acks: none waits for a signature */
}

static void recover_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	struct hub *hub = user;
	if (roster_put(hub->roster, slot, name) != KW_OK) {
		hub->recover_err = KW_ECORRUPT;
		return;
	}
	/* Only its name, which threads may need: it is let in when the directory names it. */
	struct brk_event event = {.type = BRK_EV_AGENCY};
	event.u.agency.slot = slot;
	event.u.agency.name = *name;
	event.u.agency.revoked = true;
	hub_event(hub, &event);
}

static void recover_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	struct hub *hub = user;
	if (slot >= STORE_SLOT_MAX) {
		hub->recover_err = KW_ECORRUPT;
		return;
	}
	struct brk_event event = {.type = BRK_EV_QUEUE};
	event.u.queue.slot = slot;
	event.u.queue.msg_class = msg_class;
	event.u.queue.first = extent->first;
	event.u.queue.last = extent->last;
	event.u.queue.count = extent->count;
	event.u.queue.bytes = extent->bytes;
	hub_event(hub, &event);
}

static void recover_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	struct hub *hub = user;
	if (slot >= STORE_SLOT_MAX) {
		hub->recover_err = KW_ECORRUPT;
		return;
	}
	struct brk_event event = {.type = BRK_EV_CURSOR};
	event.u.cursor.slot = slot;
	event.u.cursor.msg_class = msg_class;
	event.u.cursor.cursor = cursor;
	hub_event(hub, &event);
}

static void recover_held(void *user, uint32_t slot, uint32_t threads, uint32_t reminders)
{
	struct hub *hub = user;
	struct brk_event event = {.type = BRK_EV_HELD};
	event.u.held.slot = slot;
	event.u.held.held = (struct brk_held){.threads = threads, .reminders = reminders};
	hub_event(hub, &event);
}

static enum kw_err recover(struct hub *hub)
{
	struct brk_event event = {.type = BRK_EV_START, .u.epoch = store_epoch(hub->store)};
	hub_event(hub, &event);
	const struct store_recovery recovery = {
		.user = hub,
		.agency = recover_agency,
		.queue = recover_queue,
		.cursor = recover_cursor,
		.held = recover_held,
	};
	enum kw_err err = store_recover(hub->store, &recovery);
	look_at_space(hub, false); /* before the first WELCOME gives credit */
	return err != KW_OK ? err : hub->recover_err;
}

enum kw_err hub_new(const struct hub_options *options, struct uv_loop_s *loop, const struct hub_wire *wire,
	struct hub **out)
{
	enum kw_err err = KW_ENOMEM;
	struct hub *hub = calloc(1, sizeof(*hub));
	if (hub == NULL)
		return KW_ENOMEM;
	hub->wire = *wire;
	hub->loop = loop;
	hub->name = options->name;
	hub->limits = options->limits;
	hub->limits.slots_max = STORE_SLOT_MAX;
	const char *fault = brk_limits_fault(&hub->limits);
	if (fault != NULL) {
		kw_log(KW_LOG_ERROR, "limits_refused", KW_LOG_STR("field", fault),
			KW_LOG_STR("rule", "must leave room for one message and for one thread whose time has come; raise it"));
		hub_free(hub);
		return KW_EFIELD;
	}
	hub->plan = malloc(sizeof(*hub->plan));
	hub->core_memory = aligned_alloc(64, (brk_size(&hub->limits) + 63u) & ~(size_t)63u);
	hub->roster = roster_new(STORE_SLOT_MAX);
	if (hub->plan == NULL || hub->core_memory == NULL || hub->roster == NULL)
		goto fail;
	memset(hub->core_memory, 0, brk_size(&hub->limits));
	hub->brk = brk_init(hub->core_memory, &hub->limits);
	kw_buf_init(&hub->scratch, KW_FRAME_SIZE_MAX);
	const struct store_hooks hooks = {.user = hub, .on_committed = on_committed};
	struct store_options store_options = options->store;
	store_options.record_version = BRK_THREAD_VERSION;
	store_options.thread_payer = hub_thread_payer;
	store_options.leaf_digest = options->log_key != NULL ? hub_leaf_digest : NULL;
	err = hub_audit_open(hub, options);
	if (err == KW_OK)
		err = store_open(&store_options, loop, &hooks, &hub->store);
	if (err != KW_OK)
		goto fail;
	hub_time_start(hub, options);
	err = recover(hub);
	if (err == KW_OK)
		err = hub_blobs_open(hub, options, loop);
	if (err != KW_OK)
		goto fail;
	*out = hub;
	return KW_OK;
fail:
	hub_free(hub);
	return err;
}

void hub_free(struct hub *hub)
{
	if (hub == NULL)
		return;
	hub_time_keep(hub, true);
	hub_blobs_free(hub);
	hub_audit_free(hub);
	store_close(hub->store);
	roster_free(hub->roster);
	kw_buf_fini(&hub->scratch);
	free(hub->core_memory);
	free(hub->refills);
	free(hub->plan);
	free(hub);
}

enum kw_err hub_agency(struct hub *hub, const struct kw_name *name, bool revoked)
{
	uint32_t slot = roster_find(hub->roster, name);
	if (slot == STORE_SLOT_NONE) {
		enum kw_err err = roster_add(hub->roster, name, &slot);
		if (err != KW_OK)
			return err;
		store_put_agency(hub->store, hub->ticket, slot, name);
	}
	struct brk_event event = {.type = BRK_EV_AGENCY};
	event.u.agency.slot = slot;
	event.u.agency.name = *name;
	event.u.agency.revoked = revoked;
	hub_event(hub, &event);
	return KW_OK;
}

void hub_drained(struct hub *hub, uint32_t conn)
{
	struct brk_event event = {.type = BRK_EV_DRAINED, .u.conn = conn};
	hub_event(hub, &event);
	hub_blobs_drained(hub, conn); /* after the messages: it sends only when they have nothing to send */
}

void hub_conn_down(struct hub *hub, uint32_t conn)
{
	struct brk_event event = {.type = BRK_EV_CONN_DOWN, .u.conn = conn};
	hub_event(hub, &event);
	hub_audit_down(hub, conn);
	hub_blobs_down(hub, conn);
}

static void each_expired(void *user, const struct store_row *row)
{
	struct hub *hub = user;
	if (hub->expired_count < HUB_EXPIRED_MAX)
		hub->expired[hub->expired_count++] = *row;
}

static void sweep(struct hub *hub)
{
	hub->expired_count = 0;
	/* Expiry is in whole hours: one walk over the rows an hour, a slice a second, and then rest. */
	uint32_t hour = (uint32_t)((hub_time_now(hub) - hub_time_ahead(hub)) / 3600000u);
	if (hub->sweep_hour == 0) {
		if (hour == hub->swept_hour)
			return;
		hub->sweep_hour = hour;
	}
	if (store_sweep(hub->store, hub->sweep_hour, HUB_EXPIRED_MAX, each_expired, hub)) {
		hub->swept_hour = hub->sweep_hour;
		hub->sweep_hour = 0;
	}
	for (uint32_t i = 0; i < hub->expired_count; i++) {
		const struct store_row *row = &hub->expired[i];
		struct brk_event event = {.type = BRK_EV_EXPIRED};
		event.u.expired.slot = row->slot;
		event.u.expired.msg_class = row->msg_class;
		event.u.expired.entry.sequence = row->sequence;
		event.u.expired.entry.size = row->body_size;
		event.u.expired.entry.owner_slot = row->owner_slot;
		event.u.expired.entry.expiry_hour = row->expiry_hour;
		event.u.expired.entry.envelope_id = row->envelope_id;
		event.u.expired.entry.thread_id = row->thread_id;
		hub_event(hub, &event);
	}
}

void hub_tick(struct hub *hub)
{
	look_at_space(hub, true);
	sweep(hub);
	hub_due(hub);
	hub_time_keep(hub, false);
	hub_audit_tick(hub);
	hub_blobs_tick(hub);
}

void hub_kick(struct hub *hub)
{
	store_kick(hub->store);
}

void hub_stats_get(struct hub *hub, struct hub_stats *out)
{
	brk_counts_get(hub->brk, &out->counts);
	store_stats_get(hub->store, &out->store);
}
