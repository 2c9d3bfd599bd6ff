#ifndef AGENT_SHELL_SPOOL_CONSENT_H
#define AGENT_SHELL_SPOOL_CONSENT_H

#include "agent/shell/spool.h"

/* Reading what the spool knows of withdrawn consent. */

/* Nobody has said what became of it. */
bool spool_erasure_is_open(const struct spool_erasure *erasure);
/* What was asked about consent, in no order, until `each` returns false; open: only that, at the cost of that. */
KW_MUST_USE enum kw_err spool_erasures(struct spool *spool, bool open,
	bool (*each)(void *user, const struct spool_erasure *erasure), void *user);
/* Envelopes that the hub shall not deliver any more: said in each session. */
KW_MUST_USE enum kw_err spool_recalls(struct spool *spool,
	void (*each)(void *user, const struct kw_frame_recall *recall), void *user);
/* That of one thread. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_erasure(struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_erasure *out);
/* The tag under which a pseudonym stands in erasures: 8 bytes. */
KW_MUST_USE enum kw_err spool_case_tag(const struct spool *spool, const char *case_ref, uint8_t *out);

#endif
