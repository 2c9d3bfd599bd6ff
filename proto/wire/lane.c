#include "proto/wire/lane.h"

void kw_rx_begin(struct kw_rx_lane *rx, uint64_t peer_epoch)
{
	if (rx->durable.epoch != peer_epoch)
		rx->durable = (struct kw_cursor){.epoch = peer_epoch, .sequence = 0};
	if (rx->got.epoch != peer_epoch)
		rx->got = rx->durable;
	rx->taken = (struct kw_credit){0};
	rx->arrived = (struct kw_credit){0};
	rx->granted = (struct kw_credit){0};
}

void kw_tx_begin(struct kw_tx_lane *tx, struct kw_credit credit)
{
	tx->used = (struct kw_credit){0};
	tx->credit = credit;
}

enum kw_rx_verdict kw_rx_arrive(struct kw_rx_lane *rx, uint64_t sequence, uint32_t size)
{
	/* A repeat uses credit as well: the sender cannot know that it is one. */
	rx->arrived.messages++;
	rx->arrived.bytes += size;
	if (rx->arrived.messages > rx->granted.messages || rx->arrived.bytes > rx->granted.bytes)
		return KW_RX_OVERRUN;
	if (sequence <= rx->got.sequence) {
		kw_rx_released(rx, size);
		return KW_RX_REPEAT;
	}
	rx->got.sequence = sequence;
	return KW_RX_NEW;
}

void kw_rx_committed(struct kw_rx_lane *rx, struct kw_cursor cursor)
{
	if (rx->durable.epoch == cursor.epoch && cursor.sequence > rx->durable.sequence)
		rx->durable.sequence = cursor.sequence;
}

void kw_rx_released(struct kw_rx_lane *rx, uint32_t size)
{
	rx->taken.messages++;
	rx->taken.bytes += size;
}

struct kw_credit kw_rx_grant(struct kw_rx_lane *rx, struct kw_credit window, bool hold)
{
	if (!hold) {
		rx->granted.messages = rx->taken.messages + window.messages;
		rx->granted.bytes = rx->taken.bytes + window.bytes;
	}
	return rx->granted;
}

bool kw_tx_may(const struct kw_tx_lane *tx, uint32_t size)
{
	return tx->used.messages + 1 <= tx->credit.messages && tx->used.bytes + size <= tx->credit.bytes;
}

void kw_tx_sent(struct kw_tx_lane *tx, uint32_t size)
{
	tx->used.messages++;
	tx->used.bytes += size;
}

void kw_tx_credit(struct kw_tx_lane *tx, struct kw_credit credit)
{
	if (credit.messages > tx->credit.messages)
		tx->credit.messages = credit.messages;
	if (credit.bytes > tx->credit.bytes)
		tx->credit.bytes = credit.bytes;
}
