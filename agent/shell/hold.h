#ifndef AGENT_SHELL_HOLD_H
#define AGENT_SHELL_HOLD_H

#include "agent/shell/socket.h"
#include "proto/base/id.h"

/* Requests to send that wait for an answer about the keys of their agency, in the order in which they came, for HOLD_S seconds
 * at most. */

#define HOLD_MAX 64u
#define HOLD_S 2u

struct hold_one {
	struct hold_one *next;
	struct kw_name agency;
	uint32_t left_s;
	struct socket_call *call; /* the owner's to answer */
	struct kw_buf request;    /* packed, because what was unpacked lives for the call; wiped */
};

struct hold {
	struct hold_one *first; /* zeroed: nothing */
	uint32_t count;
};

/* KW_EFULL at HOLD_MAX, KW_ENOMEM: the call stays the caller's to answer. */
KW_MUST_USE enum kw_err hold_add(struct hold *hold, const struct kw_name *agency, const Kinward__V1__SendRequest *request,
	struct socket_call *call);
/* Takes off the list those that need not wait any more: whose time is over, or for whom `waits` says false. `second`: one has
 * passed. In their order; each is the caller's, for hold_free. */
struct hold_one *hold_take(struct hold *hold, bool second, bool (*waits)(void *user, const struct kw_name *agency), void *user);
void hold_free(struct hold_one *one);

#endif
