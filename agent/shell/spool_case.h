#ifndef AGENT_SHELL_SPOOL_CASE_H
#define AGENT_SHELL_SPOOL_CASE_H

#include "agent/shell/spool_thread_inner.h"

/* Which threads are of one case, as this agency knows it. A pseudonym is one agency's word in its threads with another: the same
 * word of two agencies says nothing. So each thread belongs to a local case, a random number that never leaves the spool, and
 * threads come together only by what somebody here said, or by what the same agency called them before:
 *
 *   ours    the caller's own id of the case; the thread that it passes on; the pseudonym that we gave before, to whomever
 *   theirs  the pseudonym that this agency gave before, in a thread that it opened or a case that it took over
 *
 * Cases are found by index: their threads and offers (table cases), and those that somebody calls so (table names). Rows of the
 * index outlive an erasure, as keyed hashes: whose a case is stays true of one that is erased.
 *
 * A member is the number of a thread, or that of an offer with the highest bit. */

#define SPOOL_MEMBER_OFFER (UINT64_C(1) << 63)

/* What a message of ours, or an offer, says about its case; each may be missing. */
struct spool_case_wish {
	uint64_t present;              /* of the thread, where it stands already; 0 */
	const char *own_ref;           /* the pseudonym that we give; NULL or empty */
	const struct spool_claim *claim; /* NULL */
};
KW_MUST_USE enum kw_err spool_case_find(struct spool *spool, MDB_txn *txn, const struct spool_case_wish *wish,
	struct spool_case_found *out);
/* Makes them one, or a new one where there is none. Not with a fault. */
KW_MUST_USE enum kw_err spool_case_settle(struct spool *spool, MDB_txn *txn, const struct spool_case_found *found,
	uint64_t *out);
/* Whether something of this kind may be opened in it: AGT_FAULT_WITHDRAWN where consent was withdrawn and is not known to be anew. */
KW_MUST_USE enum kw_err spool_case_anew(struct spool *spool, MDB_txn *txn, enum kw_thread_kind kind,
	struct spool_case_found *found);
/* The case of a thread of theirs that is new: that of an earlier one which this agency calls so, or a new one. */
KW_MUST_USE enum kw_err spool_case_theirs(struct spool *spool, MDB_txn *txn, const struct kw_name *agency,
	const char *case_ref, uint64_t *out);

/* Who calls it so: us, or an agency. NULL: us. */
struct spool_case_name {
	const struct kw_name *agency;
	const char *ref;
};
/* Adds a member to a case, and what it is called; an empty name adds none. */
KW_MUST_USE enum kw_err spool_case_add(struct spool *spool, MDB_txn *txn, uint64_t case_id, uint64_t member);
KW_MUST_USE enum kw_err spool_case_call(struct spool *spool, MDB_txn *txn, const struct spool_case_name *name, uint64_t member);
/* The same for the caller's own id. */
KW_MUST_USE enum kw_err spool_case_call_local(struct spool *spool, MDB_txn *txn, const struct spool_case_found *found,
	uint64_t member);
/* The new owner is us and calls it so: what we call so already is the same case. */
KW_MUST_USE enum kw_err spool_case_alias(struct spool *spool, MDB_txn *txn, struct spool_thread *thread);

/* Which case a person means by a withdrawal. 0: none. KW_EEXIST: more than one. */
KW_MUST_USE enum kw_err spool_case_meant(struct spool *spool, MDB_txn *txn, const char *case_ref,
	const struct spool_claim *claim, uint64_t *out);

/* spool_case_walk.c. The head of a case's keys: behind it stands the member, and under 0 the tag of the caller's own id. Of a
 * name's keys: the pseudonym, then who gave it. */
#define SPOOL_CASE_KEY_SIZE (SPOOL_TAG_SIZE + 8u)
#define SPOOL_NAME_KEY_SIZE (2u * SPOOL_TAG_SIZE + 8u)
KW_MUST_USE enum kw_err spool_case_head(const struct spool *spool, uint64_t case_id, uint8_t *out);
KW_MUST_USE enum kw_err spool_case_name_head(const struct spool *spool, const struct spool_case_name *name, uint8_t *out);
/* Calls each for the members behind a head; the callback may delete the row that it is given. */
struct spool_case_rows {
	enum spool_table table;
	const uint8_t *head; /* all keys begin so */
	size_t head_size;
	size_t key_size;
	enum kw_err (*each)(void *user, uint64_t member);
	void *user;
};
KW_MUST_USE enum kw_err spool_case_walk(struct spool *spool, MDB_txn *txn, const struct spool_case_rows *rows);
/* The thread of a member, with its key. KW_ENOTFOUND also for one that is damaged. */
KW_MUST_USE enum kw_err spool_case_member(struct spool *spool, MDB_txn *txn, uint64_t member, uint8_t *key,
	struct spool_thread *out);

/* The threads of a case, until each says otherwise than KW_OK, which is returned then; it may write all tables but the index. */
typedef enum kw_err spool_case_each(void *user, const uint8_t *key, const struct spool_thread *thread);
KW_MUST_USE enum kw_err spool_case_threads(struct spool *spool, MDB_txn *txn, uint64_t case_id, spool_case_each *each, void *user);
/* Those of one thread id, whatever the agency. */
KW_MUST_USE enum kw_err spool_case_thread_id(struct spool *spool, MDB_txn *txn, const struct kw_id *thread_id,
	spool_case_each *each, void *user);
/* Those that are called so by us, or by one agency. */
KW_MUST_USE enum kw_err spool_case_named(struct spool *spool, MDB_txn *txn, const struct spool_case_name *name,
	spool_case_each *each, void *user);
/* By the tag of the pseudonym, whoever gave it. */
KW_MUST_USE enum kw_err spool_case_tagged(struct spool *spool, MDB_txn *txn, const uint8_t *tag, spool_case_each *each,
	void *user);
/* The offers of a case, likewise; by number. */
KW_MUST_USE enum kw_err spool_case_offers(struct spool *spool, MDB_txn *txn, uint64_t case_id,
	enum kw_err (*each)(void *user, uint64_t number), void *user);

/* An offer of an older spool, which has the tag of our pseudonym alone: its case, and its rows of the index. */
KW_MUST_USE enum kw_err spool_case_offer_old(struct spool *spool, MDB_txn *txn, struct spool_offer *offer);
/* spool_case_build.c, the upgrade's: every thread and offer of an older spool gets its case by these rules. */
KW_MUST_USE enum kw_err spool_case_build(struct spool *spool, MDB_txn *txn);

#endif
