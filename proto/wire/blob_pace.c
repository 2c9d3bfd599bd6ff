#include "proto/wire/blob_pace.h"

/* A measurement lasts at least so long, or half a window. */
#define MEASURE_MS 200u

void kw_blob_pace_begin(struct kw_blob_pace *pace)
{
	*pace = (struct kw_blob_pace){.window = KW_BLOB_WINDOW_FIRST, .round_ms = UINT32_MAX};
}

void kw_blob_pace_asked(struct kw_blob_pace *pace, bool idle, uint64_t now_ms)
{
	if (!idle)
		return;
	pace->waiting = true;
	pace->asked_ms = now_ms;
	pace->mark_ms = now_ms;
	pace->bytes = 0;
}

static void measure(struct kw_blob_pace *pace, uint64_t now_ms)
{
	uint64_t took_ms = now_ms > pace->mark_ms ? now_ms - pace->mark_ms : 1;
	if (took_ms < MEASURE_MS && pace->bytes < pace->window / 2)
		return;
	/* At most 2^32 * 2,500: fits. */
	uint64_t window = (uint64_t)pace->bytes * (KW_BLOB_SLICE_MS + pace->round_ms) / took_ms;
	if (window < KW_BLOB_WINDOW_MIN)
		window = KW_BLOB_WINDOW_MIN;
	if (window > KW_BLOB_WINDOW_MAX)
		window = KW_BLOB_WINDOW_MAX;
	pace->window = (uint32_t)window;
	pace->mark_ms = now_ms;
	pace->bytes = 0;
}

void kw_blob_pace_got(struct kw_blob_pace *pace, uint32_t bytes, uint64_t now_ms)
{
	if (pace->waiting) {
		uint64_t round_ms = now_ms > pace->asked_ms ? now_ms - pace->asked_ms : 0;
		if (round_ms > KW_BLOB_ROUND_MS_MAX)
			round_ms = KW_BLOB_ROUND_MS_MAX;
		if (round_ms < pace->round_ms)
			pace->round_ms = (uint32_t)round_ms;
		pace->waiting = false;
	}
	pace->bytes += bytes;
	measure(pace, now_ms);
}

uint32_t kw_blob_pace_ask(const struct kw_blob_pace *pace, uint32_t under_way, uint32_t left)
{
	uint32_t room = pace->window > under_way ? pace->window - under_way : 0;
	uint32_t size = room < left ? room : left;
	return size == 0 || (under_way > 0 && size < left && size < pace->window / KW_BLOB_ASK_PART) ? 0 : size;
}

uint32_t kw_blob_pace_piece(uint32_t range)
{
	uint32_t size = range / KW_BLOB_PIECE_PART;
	return size < KW_BLOB_PIECE_MIN ? KW_BLOB_PIECE_MIN : size;
}
