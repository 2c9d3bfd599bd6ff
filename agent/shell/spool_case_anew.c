#include "agent/shell/spool_case.h"
#include "agent/shell/spool_consent.h"

/* Nobody passes a case on after its consent was withdrawn without knowing it. What is new in the case is refused, until its caller
 * says that there is a consent anew. From the first thread on that was opened after the withdrawal, by us or by the other side, there
 * is one on record, and nobody is asked again. */

struct anew {
	struct spool *spool;
	MDB_txn *txn;
	enum kw_thread_kind kind; /* of what is to be opened */
	int64_t withdrawn_ms;     /* the last withdrawal of what it needs; 0: none */
	int64_t opened_ms;        /* the youngest thread */
};

static enum kw_err look(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	struct anew *anew = user;
	struct spool_erasure asked;
	enum kw_err err = spool_erasure_get(anew->spool, anew->txn, key, &asked);

	if (thread->record.kind != KW_THREAD_OFFER && thread->record.opened_ms > anew->opened_ms)
		anew->opened_ms = thread->record.opened_ms;
	if (err != KW_OK)
		return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
	bool needed = asked.purposes == 0 || agt_thread_ends_without(anew->kind, asked.purposes);
	if (needed && asked.asked_ms > anew->withdrawn_ms)
		anew->withdrawn_ms = asked.asked_ms;
	return KW_OK;
}

enum kw_err spool_case_anew(struct spool *spool, MDB_txn *txn, enum kw_thread_kind kind, struct spool_case_found *found)
{
	struct anew anew = {.spool = spool, .txn = txn, .kind = kind};
	enum kw_err err = KW_OK;

	for (uint32_t i = 0; err == KW_OK && i < found->count; i++)
		err = spool_case_threads(spool, txn, found->list[i], look, &anew);
	if (err == KW_OK && anew.withdrawn_ms != 0 && anew.opened_ms <= anew.withdrawn_ms)
		found->fault = AGT_FAULT_WITHDRAWN;
	return err;
}
