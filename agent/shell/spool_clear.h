#ifndef AGENT_SHELL_SPOOL_CLEAR_H
#define AGENT_SHELL_SPOOL_CLEAR_H

#include "agent/shell/spool.h"

/* What another agency asks us to erase or not to use any more, and our own case system may still have: what a person or the
 * integrator needs to find it there, and no more. It stays until it is confirmed; then its key is destroyed too. */
struct spool_clear {
	struct kw_id thread_id;
	struct kw_name agency;    /* who asks */
	struct kw_id message_id;  /* of the message that opened the thread for us; zeros when that was ours */
	enum kw_thread_kind kind;
	uint8_t action;           /* ErasureAction */
	uint8_t purposes;         /* bit n - 1: ConsentPurpose n; 0: not said */
	bool limited;             /* not to be used for these purposes alone: the case goes on */
	bool answer_waits;        /* who asks is told "done" only when this is confirmed */
	int64_t asked_ms;
	char case_ref[SPOOL_CASE_REF_SIZE_MAX + 1]; /* as the message has it; empty for none */
	char alias[SPOOL_CASE_REF_SIZE_MAX + 1];    /* of a transfer: the new owner's pseudonym */
};

/* In no order, until `each` returns false. */
KW_MUST_USE enum kw_err spool_clears(struct spool *spool, bool (*each)(void *user, const struct spool_clear *clear), void *user);

#endif
