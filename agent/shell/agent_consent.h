#ifndef AGENT_SHELL_AGENT_CONSENT_H
#define AGENT_SHELL_AGENT_CONSENT_H

#include "agent/shell/agent_inner.h"
#include "kinward/v1/content.pb-c.h"

/* Consent on the loop thread: what a message says about it, what the agent says, what callers ask. */

/* What a received ConsentUpdate, Erase or EraseAck says, for the spool's writer; NULL for other contents and for what is about
 * no thread. KW_ENOMEM. */
KW_MUST_USE enum kw_err consent_of(const Kinward__V1__Content *content, struct spool_erasure **out);

/* A content that the agent sends by itself; the parts live with the caller. */
/* The answer to an Erase or a restriction of a record by its handle, appended to out; nothing for any other content. Nothing is
 * kept by a handle here, and that is said: whoever asks must not take silence for an erasure. KW_ENOMEM. */
KW_MUST_USE enum kw_err consent_answer_handle(const Kinward__V1__Content *content, struct kw_buf *out);

struct consent_parts {
	Kinward__V1__ErasureSubject about;
	Kinward__V1__ConsentUpdate update;
	Kinward__V1__Erase erase;
	Kinward__V1__EraseAck ack;
	Kinward__V1__ConsentPurpose purposes[8];
	char *passed[SPOOL_PASSED_MAX];
	struct spool_erasure erasure;
};
/* Fills the body. KW_ENOTFOUND: nothing is written down about that thread. */
KW_MUST_USE enum kw_err consent_fill(struct agent *agent, const struct spool_follow *follow, int64_t now_ms,
	struct consent_parts *parts, Kinward__V1__Content *content);

/* Tells the hub what it shall not deliver any more; nothing while there is no session, and all of it in the next. */
void agent_recall(struct agent *agent);

/* The socket's host: consent_withdraw, consent_answer. */
void agent_consent(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call);

#endif
