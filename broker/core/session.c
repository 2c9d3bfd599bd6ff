#include "broker/core/state.h"
#include "proto/base/check.h"

#define PROTOCOL_VERSION 1u
/* A recipient may be ahead of a disk that lost rows, but not by more than any disk could lose: a cursor near the end of the
 * numbers would leave none for the messages to come. */
#define AHEAD_MAX (UINT64_C(1) << 32)

static void send_welcome(struct brk *brk, struct brk_agency *agency)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_WELCOME);
	fx->conn = agency->conn;
	fx->u.welcome = (struct kw_frame_hello){
		.version_min = PROTOCOL_VERSION,
		.version_max = PROTOCOL_VERSION,
		.epoch = brk->epoch,
		.clock_unix_ms = (int64_t)brk->wall_ms,
		.envelope_size_max = KW_ENVELOPE_SIZE_MAX,
		.limits = &brk->limits.threads.limits,
	};
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		fx->u.welcome.cursors[c] = agency->rx[c].durable;
		fx->u.welcome.credits[c] = brk_intake_grant(brk, agency, (enum kw_msg_class)c);
	}
}

/* The recipient has everything up to `cursor`. What is on disk up to there is read once more, to be counted off, and
 * goes; it is at most one credit window. */
static void resume_queue(struct brk *brk, struct brk_queue *queue, struct kw_cursor cursor)
{
	uint64_t sequence = cursor.epoch == brk->epoch ? cursor.sequence : 0;
	queue->resumed = sequence;
	queue->sent = sequence;
	queue->cover = queue->acked;
	/* A recipient that is ahead of us has seen rows that our disk lost: never give those numbers out again. */
	if (sequence > queue->last) {
		queue->last = sequence;
		queue->durable = sequence;
	}
}

static bool cursors_possible(const struct brk *brk, const struct brk_agency *agency, const struct kw_frame_hello *hello)
{
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		const struct kw_cursor *cursor = &hello->cursors[c];
		if (cursor->epoch == brk->epoch && cursor->sequence > agency->queue[c].last &&
			cursor->sequence - agency->queue[c].last > AHEAD_MAX)
			return false;
	}
	return true;
}

void brk_session_hello(struct brk *brk, const struct brk_event *event)
{
	uint32_t conn = event->u.hello.conn;
	uint32_t slot = event->u.hello.slot;
	const struct kw_frame_hello *hello = &event->u.hello.hello;
	KW_ASSERT(conn < brk->limits.conns_max && slot < brk->limits.slots_max);
	struct brk_agency *agency = &brk->agencies[slot];
	if (brk->conn_slot[conn] != BRK_SLOT_NONE) {
		brk_fx_close(brk, conn, KW_EPROTO, "hello");
		return;
	}
	if (!agency->known || agency->revoked) {
		brk_fx_close(brk, conn, KW_EDENIED, "agency");
		return;
	}
	if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION) {
		brk_fx_close(brk, conn, KW_EVERSION, "hello.version_min");
		return;
	}
	if (!cursors_possible(brk, agency, hello)) {
		brk_fx_close(brk, conn, KW_EPROTO, "hello.cursors");
		return;
	}
	if (agency->conn != BRK_CONN_NONE) {
		brk_fx_note(brk, slot, BRK_NOTE_REPLACED, KW_OK);
		brk_fx_close(brk, agency->conn, KW_ECLOSED, "");
	}
	agency->conn = conn;
	agency->session++;
	agency->out_bytes = 0;
	brk->conn_slot[conn] = slot;
	brk->counts.online++;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		kw_rx_begin(&agency->rx[c], hello->epoch);
		kw_tx_begin(&agency->tx[c], hello->credits[c]);
		resume_queue(brk, &agency->queue[c], hello->cursors[c]);
	}
	send_welcome(brk, agency);
	brk_fx_note(brk, slot, BRK_NOTE_ONLINE, KW_OK);
	brk_dirty(brk, slot, BRK_DIRTY_PUMP | (brk->space == BRK_SPACE_OK ? 0 : BRK_DIRTY_SPACE));
}

void brk_session_down(struct brk *brk, uint32_t conn)
{
	uint32_t slot;
	struct brk_agency *agency = brk_agency_of(brk, conn, &slot);
	if (agency == NULL)
		return;
	brk->conn_slot[conn] = BRK_SLOT_NONE;
	agency->conn = BRK_CONN_NONE;
	brk->counts.online--;
	brk_deliver_reset(brk, agency);
	brk_fx_note(brk, slot, BRK_NOTE_OFFLINE, KW_OK);
}

void brk_session_ack(struct brk *brk, const struct brk_event *event)
{
	uint32_t slot;
	struct brk_agency *agency = brk_agency_of(brk, event->u.ack.conn, &slot);
	if (agency == NULL)
		return;
	const struct kw_frame_ack *ack = &event->u.ack.ack;
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		if (ack->credit_mask & (1u << c))
			kw_tx_credit(&agency->tx[c], ack->credits[c]);
		if ((ack->cursor_mask & (1u << c)) && ack->cursors[c].epoch == brk->epoch)
			brk_deliver_acked(brk, slot, (enum kw_msg_class)c, ack->cursors[c].sequence);
	}
	brk_deliver_retry(agency);
	brk_dirty(brk, slot, BRK_DIRTY_PUMP);
}

void brk_session_send_ack(struct brk *brk, struct brk_agency *agency)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_ACK);
	fx->conn = agency->conn;
	fx->u.ack.cursor_mask = 0;
	fx->u.ack.credit_mask = 0;
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		const struct kw_rx_lane *rx = &agency->rx[c];
		if (rx->arrived.messages == 0 && brk->space == BRK_SPACE_OK && rx->granted.messages != 0)
			continue;
		fx->u.ack.cursor_mask |= (uint8_t)(rx->durable.sequence > 0 ? 1u << c : 0);
		fx->u.ack.cursors[c] = rx->durable;
		fx->u.ack.credit_mask |= (uint8_t)(1u << c);
		fx->u.ack.credits[c] = brk_intake_grant(brk, agency, (enum kw_msg_class)c);
	}
	if (fx->u.ack.cursor_mask == 0 && fx->u.ack.credit_mask == 0)
		brk->plan->count--;
}

void brk_session_send_space(struct brk *brk, struct brk_agency *agency)
{
	struct brk_effect *fx = brk_fx(brk, BRK_FX_ERROR);
	fx->conn = agency->conn;
	fx->u.error = (struct kw_frame_error){
		.code = KW_ENOSPACE,
		.scope = 1,
		.retryable = true,
		.retry_after_ms = brk->limits.refused_retry_ms,
	};
}
