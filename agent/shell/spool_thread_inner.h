#ifndef AGENT_SHELL_SPOOL_THREAD_INNER_H
#define AGENT_SHELL_SPOOL_THREAD_INNER_H

#include "agent/shell/spool_inner.h"

/* Shared by spool_thread.c (records, what we say, what the hub says), spool_early.c (what the other side says) and
 * spool_thread_read.c, spool_thread_void.c (what did not arrive); nobody else includes it. */

/* One message on its way into its thread. */
struct spool_pass {
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	bool known;
	struct spool_thread thread;
	struct agt_thread_event event;
	struct agt_thread_result result;
};

/* Finds the thread and judges the message. KW_ECORRUPT: the record is damaged. */
KW_MUST_USE enum kw_err spool_pass_judge(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	enum agt_thread_author author, struct spool_pass *pass);
/* Writes what the judgement made of the record, and the step where there was one. */
KW_MUST_USE enum kw_err spool_pass_keep(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	struct spool_pass *pass);
/* Writes down what the agent has to say by itself. */
KW_MUST_USE enum kw_err spool_pass_follow(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass);

/* A word of the other side's agent that has no place; nothing when it does not apply or there is no such thread. */
KW_MUST_USE enum kw_err spool_thread_receipt(struct spool *spool, MDB_txn *txn, const struct spool_move *move);
KW_MUST_USE enum kw_err spool_erasure_put(struct spool *spool, MDB_txn *txn, const uint8_t *thread_key,
	const struct spool_erasure *erasure);
/* The record, and whether it is on the list of the open ones. A new one gets its number. */
KW_MUST_USE enum kw_err spool_thread_put(struct spool *spool, MDB_txn *txn, const uint8_t *key,
	struct spool_thread *thread);
KW_MUST_USE enum kw_err spool_log_put(struct spool *spool, MDB_txn *txn, const uint8_t *key, uint32_t n,
	const struct spool_log *log);
/* The record behind an item of ours; KW_ENOTFOUND also for one that is damaged, which nothing here can mend. */
KW_MUST_USE enum kw_err spool_pass_find(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	struct spool_pass *pass);
/* Whether an item of ours opened this thread: then the log begins with it. KW_ENOTFOUND for an empty log. */
KW_MUST_USE enum kw_err spool_pass_is_opening(struct spool *spool, MDB_txn *txn, const struct spool_item *item,
	const struct spool_pass *pass, bool *out);
KW_MUST_USE enum kw_err spool_log_get(struct spool *spool, MDB_txn *txn, const uint8_t *key, uint32_t n,
	struct spool_log *out);

#define SPOOL_EARLY_KEY_SIZE (SPOOL_THREAD_KEY_SIZE + 8u)
void spool_early_key(const uint8_t *thread_key, uint64_t sequence, uint8_t *out);
/* The item of a message in the inbox; `refused` leaves the mark that it does not count. */
KW_MUST_USE enum kw_err spool_early_item(struct spool *spool, MDB_txn *txn, uint64_t number, bool refused,
	struct spool_item *out);
/* Whether one more message, or one more gap, may wait. */
KW_MUST_USE enum kw_err spool_early_crowded(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, bool gap,
	bool *out);

/* spool_gap.c: a gap has its turn; key is its row's, which has left the table. KW_ENOTFOUND: there is no such thread. */
KW_MUST_USE enum kw_err spool_gap_step(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_early *gap,
	const struct spool_move *after);
/* The message of a place that was taken for a gap has come after all, and says what stands there already. */
KW_MUST_USE enum kw_err spool_gap_filled(struct spool *spool, MDB_txn *txn, const struct spool_move *move,
	const struct spool_pass *pass, bool *out);

/* An offer or a lease that does not arrive: the member is out. A word that it is over may be lost without harm. */
KW_MUST_USE enum kw_err spool_pass_void_offer(struct spool *spool, MDB_txn *txn, const struct spool_pass *pass, uint8_t was);

#endif
