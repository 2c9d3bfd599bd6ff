#ifndef AGENT_SHELL_SPOOL_REKEY_H
#define AGENT_SHELL_SPOOL_REKEY_H

#include "agent/shell/spool.h"
#include "proto/wire/envelope.h"

/* Messages of ours that their recipient could not open because it has not got the key any more (key_gone): they wait here to be
 * sealed once more, to another key. Once: the item remembers it, and the second time it is a dead letter. */

struct spool_rekey {
	enum kw_msg_class msg_class;
	uint32_t expiry_hour;     /* of the envelope */
	uint32_t row_expiry_hour; /* of its row in the outbox; 0: none */
	struct kw_key_id key_id;  /* that is gone */
	struct spool_item item;
	struct kw_view content;   /* empty: erased meanwhile, or restricted */
	struct kw_view tracks;    /* what the hub is to know */
};

/* In the order in which they were sent, as of the last commit; views live for the call. Until `each` returns false. */
KW_MUST_USE enum kw_err spool_rekeys(struct spool *spool, bool (*each)(void *user, const struct spool_rekey *rekey), void *user);

#endif
