#ifndef AGENT_SHELL_SPOOL_SCAN_H
#define AGENT_SHELL_SPOOL_SCAN_H

#include "agent/shell/spool_inner.h"

/* Reading on the loop thread, for the files that implement the spool's reads. A read transaction lasts one call, because one
 * that is held keeps every freed page alive. Damaged rows are skipped and counted. */

KW_MUST_USE enum kw_err spool_read_begin(struct spool *spool, MDB_txn **out);

enum spool_scan_word {
	SPOOL_SCAN_ON,
	SPOOL_SCAN_STOP,
	SPOOL_SCAN_DAMAGED /* this row is; on with the next */
};

/* Sealed rows, each unsealed in its turn; `plain` is valid as long as the call. */
struct spool_scan {
	enum spool_table table;
	struct kw_view from; /* the first key; empty: all rows */
	enum spool_scan_word (*each)(void *user, struct kw_view key, struct kw_view plain);
	void *user;
};
KW_MUST_USE enum kw_err spool_scan(struct spool *spool, const struct spool_scan *scan);

/* Rows whose keys are numbers: those after `after`, until so many have counted or it is stopped. */
struct spool_page {
	enum spool_table table;
	uint64_t after;
	uint32_t limit;
	enum kw_err (*each)(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_page *page);
	const void *user;
	uint32_t count; /* by `each` */
	bool stopped;   /* by `each` */
};
/* *next_after: what to give as `after` for the rest; 0: there is none. */
KW_MUST_USE enum kw_err spool_page(struct spool *spool, struct spool_page *page, uint64_t *next_after);

#endif
