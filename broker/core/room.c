#include "broker/core/state.h"

/* Room for what is handed to the store and not yet durable. Messages and clocks have each their own: a burst of messages does
 * not keep a reminder from being said, and an hour in which much falls due does not shut agencies out. */

/* What one thread takes whose time has come: its reminders, and itself. */
#define CLOCK_ROOM (BRK_ALARMS_MAX + 1u)
/* A refusal needs two places. */
#define MESSAGE_ROOM 2u
#define CLOCK_SHARE 8u /* clocks have one part in so many, and at least room for one thread */

static uint32_t share(uint32_t max, uint32_t least)
{
	return max / CLOCK_SHARE > least ? max / CLOCK_SHARE : least;
}

/* A core without threads, of a test, has no clocks. */
static bool has_clocks(const struct brk_limits *limits)
{
	return limits->threads_pending_max > 0;
}

const char *brk_limits_fault(const struct brk_limits *limits)
{
	if (limits->slots_max == 0)
		return "slots_max";
	if (limits->conns_max == 0)
		return "conns_max";
	if (limits->window_entries == 0)
		return "window_entries";
	if (limits->pending_max < MESSAGE_ROOM + (has_clocks(limits) ? CLOCK_ROOM : 0))
		return "pending_max";
	if (has_clocks(limits) && limits->threads_pending_max < KW_FRAME_TRACKS_MAX + 1)
		return "threads_pending_max";
	return NULL;
}

bool brk_room_for_message(const struct brk *brk, uint32_t tracks)
{
	const struct brk_limits *limits = &brk->limits;
	uint32_t clocks = has_clocks(limits) ? share(limits->pending_max, CLOCK_ROOM) : 0;
	uint32_t clock_threads = has_clocks(limits) ? share(limits->threads_pending_max, 1) : 0;
	return brk->pending_count - brk->clocks_pending + MESSAGE_ROOM <= limits->pending_max - clocks &&
		   brk->threads_pending - brk->clock_threads_pending + tracks <= limits->threads_pending_max - clock_threads;
}

bool brk_room_for_clock(const struct brk *brk, uint32_t alarms)
{
	const struct brk_limits *limits = &brk->limits;
	return brk->clocks_pending + alarms + 1 <= share(limits->pending_max, CLOCK_ROOM) &&
		   brk->clock_threads_pending < share(limits->threads_pending_max, 1);
}
