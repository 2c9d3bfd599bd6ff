#ifndef AGENT_SHELL_SPOOL_READ_H
#define AGENT_SHELL_SPOOL_READ_H

#include "agent/shell/spool.h"

/* Reading, as of the last commit. Callbacks get copies that live for the call. */

struct spool_rows {
	uint32_t count_max; /* set by the caller, at most AGT_WINDOW_BOXES */
	uint32_t count;
	bool end;
	struct agt_row rows[AGT_WINDOW_BOXES];
};
/* Outbox rows of a class from `from` on, for the core's REFILL: fills rows (box: a struct spool_box with one reference
 * that the caller owns), at most count_max. *end: no more on disk. */
KW_MUST_USE enum kw_err spool_rows(struct spool *spool, enum kw_msg_class msg_class, uint64_t from,
	struct spool_rows *out);

enum spool_list {
	SPOOL_LIST_INBOX,
	SPOOL_LIST_SENT,
	SPOOL_LIST_DEAD
};
struct spool_query {
	enum spool_list list;
	uint64_t after;
	uint32_t limit; /* 1..SPOOL_LIST_MAX */
	bool all;       /* inbox and dead letters: the acknowledged ones too */
	bool content;   /* hand the content over */
};
/* Calls `each` in order until it returns false. *next_after: number to go on from, 0 when the end was reached. */
KW_MUST_USE enum kw_err spool_list(struct spool *spool, const struct spool_query *query,
	bool (*each)(void *user, const struct spool_item *item, struct kw_view content), void *user, uint64_t *next_after);

/* One message by message id or envelope id, inbox first. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_show(struct spool *spool, const struct kw_id *id, struct spool_item *out,
	bool *received, struct kw_buf *content);

/* When a message that names this attachment was stored, hours since 1970. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_named(struct spool *spool, const struct kw_digest *digest, uint32_t *hour);

/* A message of ours by id and destination. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_find_sent(struct spool *spool, const struct kw_id *message_id,
	const struct kw_name *agency, struct spool_item *out);

/* A thread with an agency; agency NULL: the one with this id that was opened first. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err spool_thread(struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_thread *out);

struct spool_thread_query {
	uint64_t after;
	uint32_t limit;           /* 0: no limit */
	bool open;                /* those only to which something is still to come */
	enum kw_thread_kind kind; /* KW_THREAD_NONE: all */
};
/* Threads in the order of their opening, until `each` returns false. *next_after as in spool_list. */
KW_MUST_USE enum kw_err spool_threads(struct spool *spool, const struct spool_thread_query *query,
	bool (*each)(void *user, const struct spool_thread *thread), void *user, uint64_t *next_after);
/* Threads that wait for us, in the order in which a person takes them: unclaimed ones, then what is due first; what has no clock
 * comes last, of two the older first. Until `each` returns false. Costs what it hands over. */
KW_MUST_USE enum kw_err spool_todo(struct spool *spool, bool (*each)(void *user, const struct spool_thread *thread), void *user);
/* All steps of a thread, oldest first, then what waits for its turn. */
KW_MUST_USE enum kw_err spool_steps(struct spool *spool, const struct spool_thread *thread,
	void (*each)(void *user, const struct spool_step *step), void *user);
/* Our places in the thread of this item, before the item's own, that its agency may wait for in vain; of an item that has none,
 * those before our last. Lowest first, at most SPOOL_GAPS_MAX. */
KW_MUST_USE enum kw_err spool_gaps(struct spool *spool, const struct spool_item *item, struct spool_gap *out,
	uint32_t *count);
/* What the agent has to say by itself, from key `from` on. */
KW_MUST_USE enum kw_err spool_follows(struct spool *spool, uint64_t from,
	bool (*each)(void *user, const struct spool_follow *follow), void *user);
/* All registrations, in no order, until `each` returns false. The bytes are a packed UascRegistration, checked when it was
 * stored. Damaged rows are skipped and counted. */
KW_MUST_USE enum kw_err spool_registrations(struct spool *spool, bool (*each)(void *user, struct kw_view registration),
	void *user);

/* Receipts due from `from` on (a key), at most SPOOL_RECEIPTS_MAX * 4 of them. */
KW_MUST_USE enum kw_err spool_due(struct spool *spool, uint64_t from,
	void (*each)(void *user, const struct spool_receipt *receipt), void *user);

/* Rows of the retry table that are due at now_ms: place, class, row and envelope (one reference, the callee's). Returns
 * when `each` says false. */
struct spool_retry {
	uint64_t due_ms;
	uint64_t number;
	enum kw_msg_class msg_class;
	struct agt_row row; /* box: struct spool_box */
};
KW_MUST_USE enum kw_err spool_retries(struct spool *spool, uint64_t now_ms,
	bool (*each)(void *user, const struct spool_retry *retry), void *user);

#endif
