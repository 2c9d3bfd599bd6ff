#ifndef AGENT_SHELL_SPOOL_ASIDE_H
#define AGENT_SHELL_SPOOL_ASIDE_H

#include "agent/shell/spool_read.h"

/* Envelopes that could not be opened. */

struct spool_aside {
	uint64_t number;
	int64_t at_ms;      /* 0: an agent before this one set it aside, and the next two are not known */
	enum kw_err error;
	char reason[SPOOL_ASIDE_REASON_SIZE_MAX + 1]; /* of kw_open_reason_name */
	uint32_t size;      /* bytes of the envelope */
	bool readable;      /* it has an id */
	struct kw_id envelope_id;
};

/* In the order of their coming, until `each` returns false; `after` and `limit` of query alone count. *next_after: as of spool_list. */
KW_MUST_USE enum kw_err spool_asides(struct spool *spool, const struct spool_query *query,
	bool (*each)(void *user, const struct spool_aside *aside), void *user, uint64_t *next_after);

#endif
