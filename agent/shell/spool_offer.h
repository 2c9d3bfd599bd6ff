#ifndef AGENT_SHELL_SPOOL_OFFER_H
#define AGENT_SHELL_SPOOL_OFFER_H

#include "agent/core/offer.h"
#include "proto/base/id.h"

/* What the spool keeps for referrals to a service: offers of ours to several agencies, what agencies say that they offer,
 * and what they answered when asked for a place. Part of spool.h. */

struct spool;

#define SPOOL_PCODE_SIZE 24u
#define SPOOL_CASE_TAG_SIZE 8u
#define SPOOL_OFFER_KEEP_MS (30 * INT64_C(86400000)) /* the referral of a lease, in case it is given back */
#define SPOOL_ANSWER_KEEP_MS (30 * INT64_C(86400000))
#define SPOOL_ANSWERS_MAX 256u /* kept for one agency */

/* A referral that is offered to several agencies. */
struct spool_offer {
	uint64_t number;  /* in order of making, from 1 */
	struct kw_id id;
	struct kw_digest request_digest; /* of what the caller asked for */
	int64_t created_ms;
	int64_t span_ms;  /* how long each round waits for a claim */
	int64_t leased_ms;
	uint32_t service;
	uint32_t age_band;
	uint32_t risk;
	char admin2[SPOOL_PCODE_SIZE];
	uint8_t case_tag[SPOOL_CASE_TAG_SIZE]; /* keyed hash of the pseudonym, see spool_case_tag; zeros for none */
	struct kw_id message_id;  /* of this round's offers, the same to all */
	struct kw_id referral_thread_id; /* where the referral goes in this round */
	struct agt_offer core;
	struct kw_id threads[AGT_OFFER_MEMBERS_MAX];
	struct kw_name agencies[AGT_OFFER_MEMBERS_MAX];
};

/* What an agency says that it offers. */
struct spool_services {
	struct kw_name agency;
	bool own;
	int64_t issued_ms;
	int64_t received_ms;
	struct kw_view content; /* a Content with its ServiceDirectory */
};

/* What we asked an agency, and what it answered. */
struct spool_answer {
	struct kw_name agency;
	uint32_t service;
	uint32_t age_band;
	char admin2[SPOOL_PCODE_SIZE];
	int64_t asked_ms;
	int64_t at_ms; /* 0: no answer yet */
	int64_t until_ms;
	uint32_t capacity;
	uint32_t wait_days;
};

/* By number, by id, or by the thread of one of its members (any of its rounds), whichever is given first. KW_ENOTFOUND. */
struct spool_offer_key {
	uint64_t number;
	const struct kw_id *id;
};
KW_MUST_USE enum kw_err spool_offer(struct spool *spool, const struct spool_offer_key *key, struct spool_offer *out);
/* The newest first, until `each` returns false. */
KW_MUST_USE enum kw_err spool_offers(struct spool *spool, bool (*each)(void *user, const struct spool_offer *offer),
	void *user);
/* Those that nobody has claimed in time, the most overdue first. */
KW_MUST_USE enum kw_err spool_offers_unclaimed(struct spool *spool, int64_t now_ms,
	bool (*each)(void *user, const struct spool_offer *offer), void *user);
/* The referral of an offer, a Content, appended to out. KW_ENOTFOUND when it is gone, or its key is. */
KW_MUST_USE enum kw_err spool_offer_referral(struct spool *spool, uint64_t number, struct kw_buf *out);

/* All that agencies say, ours included; views live for the call. */
KW_MUST_USE enum kw_err spool_services(struct spool *spool, bool (*each)(void *user, const struct spool_services *said),
	void *user);
/* What one agency says: its Content, appended to out. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_services_of(struct spool *spool, const struct kw_name *agency, struct kw_buf *out);
KW_MUST_USE enum kw_err spool_answers(struct spool *spool, bool (*each)(void *user, const struct spool_answer *answer),
	void *user);

#endif
