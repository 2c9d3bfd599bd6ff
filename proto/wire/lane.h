#ifndef KW_WIRE_LANE_H
#define KW_WIRE_LANE_H

#include <stdbool.h>

#include "proto/wire/frame.h"

/* One class of one direction of a session: who may send what, and what has arrived. Pure; used by both cores.
 *
 * A receiver grants credit as absolute totals since the session began, so a repeated grant is harmless. It grants only
 * what is durable plus a window, so memory for what is not yet durable is bounded by the window. Bytes are those of the
 * envelope or notice. */

struct kw_rx_lane {
	struct kw_cursor got;     /* received in this session or before; got.epoch is the peer's store */
	struct kw_cursor durable; /* committed; what an ack may say */
	struct kw_credit taken;   /* durable since the session began */
	struct kw_credit arrived; /* received since the session began */
	struct kw_credit granted; /* last grant told to the peer */
};

struct kw_tx_lane {
	struct kw_credit used;   /* sent since the session began */
	struct kw_credit credit; /* the peer's last grant */
};

/* A new session: totals start at zero; the peer's store has this epoch. A cursor of another epoch counts as nothing.
 * What was received and is still on its way to the disk stays received, or a fast reconnect would take it twice. */
void kw_rx_begin(struct kw_rx_lane *rx, uint64_t peer_epoch);
void kw_tx_begin(struct kw_tx_lane *tx, struct kw_credit credit);

enum kw_rx_verdict {
	KW_RX_NEW,      /* take it */
	KW_RX_REPEAT,   /* a success: it is here already */
	KW_RX_OVERRUN   /* past the credit: the session ends */
};
/* Judges a message and, when it is new, counts it as received. */
enum kw_rx_verdict kw_rx_arrive(struct kw_rx_lane *rx, uint64_t sequence, uint32_t size);
/* The message at `cursor` is durable: the cursor moves, unless it is of an epoch that ended meanwhile. Calls come in
 * the order of arrival. */
void kw_rx_committed(struct kw_rx_lane *rx, struct kw_cursor cursor);
/* Memory of a message of this session is free again; counts towards the next grant. */
void kw_rx_released(struct kw_rx_lane *rx, uint32_t size);
/* The next grant: durable totals plus the window, or what was granted when `hold` (overload). Never shrinks. */
struct kw_credit kw_rx_grant(struct kw_rx_lane *rx, struct kw_credit window, bool hold);

/* May one more message of this size leave? */
bool kw_tx_may(const struct kw_tx_lane *tx, uint32_t size);
void kw_tx_sent(struct kw_tx_lane *tx, uint32_t size);
/* Takes a grant; a smaller one than before is ignored. */
void kw_tx_credit(struct kw_tx_lane *tx, struct kw_credit credit);

#endif
