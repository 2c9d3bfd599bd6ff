#ifndef AGENT_SHELL_SPOOL_CONSENT_H
#define AGENT_SHELL_SPOOL_CONSENT_H

#include "agent/shell/spool.h"

/* Reading what the spool knows of withdrawn consent. */

/* Nobody has said what became of it. */
bool spool_erasure_is_open(const struct spool_erasure *erasure);
/* What there is of the contents is not shown. */
bool spool_erasure_hides(const struct spool_erasure *erasure);
/* What was asked about consent, in no order, until `each` returns false; open: only that, at the cost of that. */
KW_MUST_USE enum kw_err spool_erasures(struct spool *spool, bool open,
	bool (*each)(void *user, const struct spool_erasure *erasure), void *user);
/* Envelopes that the hub shall not deliver any more: said in each session. */
KW_MUST_USE enum kw_err spool_recalls(struct spool *spool,
	void (*each)(void *user, const struct kw_frame_recall *recall), void *user);
/* That of one thread. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_erasure(struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_erasure *out);
/* A thread with the pseudonym of a case that is not of it, and in which nobody was asked anything. */
struct spool_same_name {
	uint64_t number;
	struct kw_id thread_id;
	struct kw_name agency;
};
#define SPOOL_SAME_MAX 100u
struct spool_same_names {
	uint32_t count;
	struct spool_same_name list[SPOOL_SAME_MAX];
};
/* Those of a case; of 0 those of this thread, whatever the agency. What is asked about consent there names the pseudonyms, also
 * when nothing else does any more. */
KW_MUST_USE enum kw_err spool_same_names(struct spool *spool, uint64_t case_id, const struct kw_id *thread_id,
	struct spool_same_names *out);
/* The case that a withdrawal by this pseudonym would reach; 0: none, or more than one. */
KW_MUST_USE enum kw_err spool_case_of(struct spool *spool, const char *case_ref, uint64_t *out);
/* The tag under which a pseudonym stands in erasures: 8 bytes. */
KW_MUST_USE enum kw_err spool_case_tag(const struct spool *spool, const char *case_ref, uint8_t *out);

/* The part of a row that agent/core/erase.h decides about. */
void spool_erasure_core(const struct spool_erasure *erasure, struct agt_erase *out);

#endif
