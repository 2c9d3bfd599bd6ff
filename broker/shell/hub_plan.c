#include <stdlib.h>
#include <string.h>

#include "broker/shell/hub_inner.h"
#include "proto/base/check.h"
#include "proto/link/log.h"

static struct store_box *box_of(uint64_t handle)
{
	return (struct store_box *)(uintptr_t)handle;
}

static void add_append(struct hub *hub, const struct brk_effect *fx)
{
	const struct brk_entry *entry = &fx->u.append.entry;
	struct store_row row = {
		.slot = fx->slot,
		.msg_class = fx->msg_class,
		.sequence = fx->sequence,
		.owner_slot = entry->owner_slot,
		.expiry_hour = entry->expiry_hour,
		.envelope_id = entry->envelope_id,
		.thread_id = entry->thread_id,
		.box = box_of(fx->box),
	};
	store_append(hub->store, fx->ticket, &row);
	store_put_cursor(hub->store, fx->ticket, fx->u.append.from_slot, fx->u.append.from_class,
		fx->u.append.from_cursor);
}

/* The first byte of a reminder's row. A Notice, whose fields are 1 to 5, cannot begin so. */
#define REMINDER_MARK UINT8_C('r')

/* A control row is a row like any other; its body is the encoded Notice, or the mark and the encoded Reminder. */
static void add_control(struct hub *hub, const struct brk_effect *fx)
{
	kw_buf_clear(&hub->scratch);
	struct store_box *box = NULL;
	enum kw_err err = KW_OK;
	if (fx->type == BRK_FX_REMINDER)
		err = kw_buf_add_u8(&hub->scratch, REMINDER_MARK);
	if (err == KW_OK && fx->type == BRK_FX_REMINDER)
		err = kw_frame_reminder_add(&hub->scratch, &fx->u.reminder);
	else if (err == KW_OK)
		err = kw_frame_notice_add(&hub->scratch, &fx->u.notice);
	if (err == KW_OK)
		box = store_box_new((uint32_t)hub->scratch.size);
	if (box == NULL) {
		hub->wire.fatal(hub->wire.user, KW_ENOMEM);
		return;
	}
	memcpy(box->data, hub->scratch.data, hub->scratch.size);
	struct store_row row = {
		.slot = fx->slot,
		.msg_class = KW_CONTROL,
		.sequence = fx->sequence,
		.owner_slot = STORE_SLOT_NONE,
		.envelope_id = fx->type == BRK_FX_REMINDER ? fx->u.reminder.thread_id : fx->u.notice.envelope_id,
		.box = box,
	};
	store_append(hub->store, fx->ticket, &row);
	store_box_unref(box);
}

static void note_space(struct hub *hub, const struct brk_effect *fx)
{
	bool low = fx->u.note.code == BRK_NOTE_SPACE_LOW;
	struct store_stats stats;
	store_stats_get(hub->store, &stats);
	kw_log(low ? KW_LOG_WARN : KW_LOG_INFO, low ? "space_low" : "space_ok", KW_LOG_ERR(fx->u.note.err),
		KW_LOG_INT("used_mib", (int64_t)(stats.used_bytes >> 20)), KW_LOG_INT("room_mib", (int64_t)(stats.map_bytes >> 20)),
		KW_LOG_STR("text", low ? "The store or its disk is nearly full: no new messages are taken, their senders keep them; "
								 "deliveries go on and make room. If it lasts, free disk or raise map_size_mib."
							   : "There is room again: messages are taken."));
}

static void note_clocks(const struct brk_effect *fx)
{
	bool held = fx->u.note.code == BRK_NOTE_CLOCKS_HELD;
	kw_log(held ? KW_LOG_WARN : KW_LOG_INFO, held ? "clocks_held" : "clocks_go_on", KW_LOG_ERR(fx->u.note.err),
		KW_LOG_STR("text", held ? "The store or its disk is nearly full: nobody is reminded of what is late until there is room. "
								  "Free disk or raise map_size_mib."
								: "There is room again: what became late meanwhile is told now."));
}

static void note(struct hub *hub, const struct brk_effect *fx)
{
	static const char *const NAMES[] = {
		[BRK_NOTE_ONLINE] = "agency_online",
		[BRK_NOTE_OFFLINE] = "agency_offline",
		[BRK_NOTE_REPLACED] = "session_replaced",
		[BRK_NOTE_REFUSED] = "message_refused",
		[BRK_NOTE_EXPIRED] = "message_expired",
		[BRK_NOTE_UNOPENED] = "message_unopened",
		[BRK_NOTE_RECALLED] = "message_recalled",
		[BRK_NOTE_TRACK_ILLEGAL] = "track_illegal",
		[BRK_NOTE_TRACK_FOREIGN] = "track_foreign",
		[BRK_NOTE_LEASE] = "lease",
		[BRK_NOTE_TRACK_OVER] = "track_over",
	};
	if (fx->u.note.code == BRK_NOTE_SPACE_LOW || fx->u.note.code == BRK_NOTE_SPACE_OK) {
		note_space(hub, fx);
		return;
	}
	if (fx->u.note.code == BRK_NOTE_CLOCKS_HELD || fx->u.note.code == BRK_NOTE_CLOCKS_GO_ON) {
		note_clocks(fx);
		return;
	}
	const struct kw_name *name = fx->slot == BRK_SLOT_NONE ? NULL : roster_name(hub->roster, fx->slot);
	kw_log(fx->u.note.err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, NAMES[fx->u.note.code],
		KW_LOG_STR("agency", name == NULL ? NULL : name->text), KW_LOG_ERR(fx->u.note.err));
}

/* Writes one frame to a connection. A failure here is memory or a size that was checked before: the connection goes. */
static void write_frame(struct hub *hub, const struct brk_effect *fx)
{
	struct kw_buf *out = hub->wire.out(hub->wire.user, fx->conn);
	if (out == NULL)
		return;
	enum kw_err err = KW_OK;
	if (fx->type == BRK_FX_ACK)
		err = kw_frame_ack_add(out, &fx->u.ack);
	else if (fx->type == BRK_FX_WELCOME)
		err = kw_frame_welcome_add(out, &fx->u.welcome);
	else
		err = kw_frame_error_add(out, &fx->u.error);
	if (err != KW_OK)
		hub->wire.close(hub->wire.user, fx->conn, err);
	else
		hub->wire.ready(hub->wire.user, fx->conn);
	if (err == KW_OK && fx->type == BRK_FX_WELCOME)
		hub_audit_welcomed(hub, fx->conn);
}

static void write_message(struct hub *hub, const struct brk_effect *fx)
{
	struct store_box *box = box_of(fx->box);
	struct kw_buf *out = hub->wire.out(hub->wire.user, fx->conn);
	if (out != NULL) {
		struct kw_view body = KW_VIEW(box->data, box->size);
		struct kw_frame_message message = {.msg_class = fx->msg_class, .sequence = fx->sequence};
		if (fx->msg_class == KW_CONTROL && box->data[0] == REMINDER_MARK)
			message.reminder = KW_VIEW(box->data + 1, box->size - 1);
		else if (fx->msg_class == KW_CONTROL)
			message.notice = body;
		else
			message.envelope = body;
		enum kw_err err = kw_frame_message_add(out, &message);
		if (err != KW_OK)
			hub->wire.close(hub->wire.user, fx->conn, err);
		else
			hub->wire.ready(hub->wire.user, fx->conn);
	}
	store_box_unref(box);
}

static void ask_refill(struct hub *hub, const struct brk_effect *fx)
{
	if (hub->refill_count == hub->refill_cap) {
		uint32_t cap = hub->refill_cap == 0 ? 64 : hub->refill_cap * 2;
		struct store_range *refills = realloc(hub->refills, cap * sizeof(*refills));
		if (refills == NULL) {
			hub->wire.fatal(hub->wire.user, KW_ENOMEM);
			return;
		}
		hub->refills = refills;
		hub->refill_cap = cap;
	}
	hub->refills[hub->refill_count++] = (struct store_range){
		.slot = fx->slot,
		.msg_class = fx->msg_class,
		.from = fx->sequence,
		.count_max = fx->u.refill.count_max,
		.bytes_max = fx->u.refill.bytes_max,
	};
}

static void store_change(struct hub *hub, const struct brk_effect *fx)
{
	hub->ticket = fx->ticket;
	hub->written = true;
	if (fx->type == BRK_FX_APPEND)
		add_append(hub, fx);
	else if (fx->type == BRK_FX_NOTICE || fx->type == BRK_FX_REMINDER)
		add_control(hub, fx);
	else if (fx->type == BRK_FX_CURSOR)
		store_put_cursor(hub->store, fx->ticket, fx->slot, fx->msg_class, fx->u.cursor);
	else if (fx->type == BRK_FX_TRIM)
		store_trim(hub->store, fx->ticket, fx->slot, fx->msg_class, fx->sequence);
	else if (fx->type == BRK_FX_RECALL)
		store_recall(hub->store, fx->ticket, fx->slot, fx->msg_class, fx->sequence);
	else if (fx->type == BRK_FX_HELD)
		store_put_held(hub->store, fx->ticket, fx->slot, fx->u.held.threads, fx->u.held.reminders);
	else if (fx->type == BRK_FX_REMOVE)
		store_remove(hub->store, fx->ticket, fx->slot, fx->msg_class, fx->sequence);
	else
		hub_thread_change(hub, fx);
}

void hub_carry_out(struct hub *hub, const struct brk_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct brk_effect *fx = &plan->effects[i];
		switch (fx->type) {
		case BRK_FX_KEEP:
			store_box_ref(box_of(fx->box));
			break;
		case BRK_FX_DROP:
			store_box_unref(box_of(fx->box));
			break;
		case BRK_FX_APPEND:
		case BRK_FX_CURSOR:
		case BRK_FX_NOTICE:
		case BRK_FX_TRIM:
		case BRK_FX_REMOVE:
		case BRK_FX_RECALL:
		case BRK_FX_REMINDER:
		case BRK_FX_THREAD:
		case BRK_FX_THREAD_GONE:
		case BRK_FX_UNDELIVERABLE:
		case BRK_FX_HELD:
			store_change(hub, fx);
			break;
		case BRK_FX_SEND:
			write_message(hub, fx);
			break;
		case BRK_FX_ACK:
		case BRK_FX_WELCOME:
		case BRK_FX_ERROR:
			write_frame(hub, fx);
			break;
		case BRK_FX_CLOSE:
			hub->wire.close(hub->wire.user, fx->conn, fx->u.err);
			break;
		case BRK_FX_REFILL:
			ask_refill(hub, fx);
			break;
		case BRK_FX_NOTE:
			note(hub, fx);
			break;
		}
	}
}

struct refill_rows {
	uint32_t count;
	uint32_t bytes;
	struct brk_entry entries[BRK_REFILL_COUNT];
};

static void each_row(void *user, const struct store_row *row)
{
	struct refill_rows *rows = user;
	KW_ASSERT(rows->count < BRK_REFILL_COUNT);
	rows->bytes += row->box->size;
	rows->entries[rows->count++] = (struct brk_entry){
		.sequence = row->sequence,
		.box = (uint64_t)(uintptr_t)row->box,
		.size = row->box->size,
		.expiry_hour = row->expiry_hour,
		.owner_slot = row->owner_slot,
		.envelope_id = row->envelope_id,
		.thread_id = row->thread_id,
		.reminder = row->msg_class == KW_CONTROL && row->box->size > 0 && row->box->data[0] == REMINDER_MARK,
	};
}

void hub_refill(struct hub *hub, const struct store_range *range)
{
	struct refill_rows rows = {.count = 0};
	enum kw_err err = store_read(hub->store, range, each_row, &rows);
	if (err != KW_OK) {
		for (uint32_t i = 0; i < rows.count; i++)
			store_box_unref(box_of(rows.entries[i].box));
		hub->wire.fatal(hub->wire.user, err);
		return;
	}
	struct brk_event event = {.type = BRK_EV_ROWS};
	event.u.rows.slot = range->slot;
	event.u.rows.msg_class = range->msg_class;
	event.u.rows.end = rows.count < range->count_max && rows.bytes < range->bytes_max;
	event.u.rows.count = rows.count;
	event.u.rows.entries = rows.entries;
	hub_step(hub, &event);
}
