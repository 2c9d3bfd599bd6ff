#include "agent/shell/spool_case.h"

#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_scan.h"

/* Reading cases on the loop thread: what one withdrawal reaches, and what it does not although it is called alike. */

struct alike {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t case_id;
	struct spool_same_names *out;
};

static enum kw_err add_alike(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	struct alike *alike = user;
	struct spool_same_names *out = alike->out;
	struct spool_erasure asked;

	if (thread->record.kind == KW_THREAD_OFFER || thread->case_id == alike->case_id || out->count == SPOOL_SAME_MAX)
		return KW_OK;
	for (uint32_t i = 0; i < out->count; i++)
		if (out->list[i].number == thread->number)
			return KW_OK;
	enum kw_err err = spool_erasure_get(alike->spool, alike->txn, key, &asked);
	if (err == KW_ENOTFOUND)
		out->list[out->count++] = (struct spool_same_name){thread->number, thread->thread_id, thread->agency};
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* What this thread was called when something was asked about it. */
static enum kw_err look_for_alike(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	struct alike *alike = user;
	struct spool_erasure asked;
	enum kw_err err = spool_erasure_get(alike->spool, alike->txn, key, &asked);

	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	alike->case_id = thread->case_id;
	err = spool_case_tagged(alike->spool, alike->txn, asked.case_tag, add_alike, alike);
	return err != KW_OK ? err : spool_case_tagged(alike->spool, alike->txn, asked.alias_tag, add_alike, alike);
}

enum kw_err spool_same_names(struct spool *spool, uint64_t case_id, const struct kw_id *thread_id,
	struct spool_same_names *out)
{
	struct alike alike = {.spool = spool, .case_id = case_id, .out = out};
	enum kw_err err = spool_read_begin(spool, &alike.txn);

	out->count = 0;
	if (err != KW_OK)
		return err;
	if (thread_id != NULL)
		err = spool_case_thread_id(spool, alike.txn, thread_id, look_for_alike, &alike);
	else
		err = spool_case_threads(spool, alike.txn, case_id, look_for_alike, &alike);
	mdb_txn_abort(alike.txn);
	return err;
}

enum kw_err spool_case_of(struct spool *spool, const char *case_ref, uint64_t *out)
{
	MDB_txn *txn;
	enum kw_err err = spool_read_begin(spool, &txn);

	*out = 0;
	if (err != KW_OK)
		return err;
	err = spool_case_meant(spool, txn, case_ref, NULL, out);
	if (err == KW_EEXIST)
		*out = 0;
	mdb_txn_abort(txn);
	return err == KW_EEXIST ? KW_OK : err;
}
