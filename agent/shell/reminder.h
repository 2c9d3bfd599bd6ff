#ifndef AGENT_SHELL_REMINDER_H
#define AGENT_SHELL_REMINDER_H

#include "agent/shell/agent_inner.h"

/* A reminder, of the hub or of our own clocks, as a message of the inbox: with our pseudonym of the case, and with phones where
 * it says to telephone.
 *   item  agency, thread and time are given; its message id is written
 *   out   stays empty for one that cannot be such a message, which is logged
 * KW_ENOMEM only. */
KW_MUST_USE enum kw_err reminder_pack(struct agent *agent, const struct kw_frame_reminder *reminder, struct spool_item *item,
	struct kw_buf *out);

#endif
