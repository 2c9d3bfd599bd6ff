#include <string.h>

#include "agent/shell/spool_case.h"

/* Whose a case is, run by the writer: the transfers of it, open ones and those that are over, added up by agent/core/owner.h.
 * What each of them calls the case does not matter, and an erased thread still counts. */

struct sum {
	struct spool *spool;
	MDB_txn *txn;
	const uint8_t *but; /* key of a thread that is left out; NULL: none */
	struct agt_case *out;
};

/* The number of our message that moved it; UINT64_MAX when its log does not say. */
static enum kw_err moved_at(const struct sum *sum, const uint8_t *key, const struct spool_thread *thread, uint64_t *out)
{
	uint8_t word = 0;
	enum kw_err err = KW_OK;

	*out = UINT64_MAX;
	if (!agt_case_moved(&thread->record, &word))
		return KW_OK;
	for (uint32_t n = 1; err == KW_OK && n <= thread->log_count; n++) {
		struct spool_log log;

		err = spool_log_get(sum->spool, sum->txn, key, n, &log);
		if (err == KW_OK && log.event.author == AGT_THREAD_OURS && log.event.state == word && !log.lost) {
			*out = log.number;
			break;
		}
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static enum kw_err add(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	const struct sum *sum = user;
	uint64_t moved;

	if (thread->record.kind != KW_THREAD_TRANSFER ||
		(sum->but != NULL && memcmp(key, sum->but, SPOOL_THREAD_KEY_SIZE) == 0))
		return KW_OK;
	enum kw_err err = moved_at(sum, key, thread, &moved);
	if (err == KW_OK)
		agt_case_add(sum->out, &thread->record, moved);
	return err;
}

enum kw_err spool_owner_of(struct spool *spool, MDB_txn *txn, const struct spool_case_found *cases, const uint8_t *but,
	struct agt_case *out)
{
	struct sum sum = {spool, txn, but, out};
	enum kw_err err = KW_OK;

	*out = (struct agt_case){.got = 0};
	for (uint32_t i = 0; err == KW_OK && i < cases->count; i++)
		err = spool_case_threads(spool, txn, cases->list[i], add, &sum);
	return err;
}
