#ifndef BROKER_HERALD_H
#define BROKER_HERALD_H

#include "proto/link/link.h"
#include "proto/link/roles.h"
#include "proto/wire/role_frame.h"

/* Tells agents the signed roles: roots in order, timestamp, snapshot, directory; of the directory what changed, where that is
 * less. In pieces, as the connection takes them, so that a message does not wait behind a large directory. What is under way is
 * told to its end, as it was when it began; what is newer follows. */

struct herald;
struct herald_blob;

/* One connection's. Zeroed is idle. */
struct herald_talk {
	struct kw_roles_have have;   /* at the agent, once what is under way has come */
	struct kw_roles_have wanted; /* asked for while something was under way */
	bool busy;
	bool again;
	bool asked;
	uint64_t root_next; /* versions */
	uint64_t root_last;
	struct {
		enum kw_role_kind kind;
		struct herald_blob *blob;
	} items[3];
	uint32_t items_count;
	uint32_t item;
	uint32_t offset;
};

KW_MUST_USE enum kw_err herald_new(struct herald **out);
/* When no talk is left. Accepts NULL. */
void herald_free(struct herald *herald);
/* What there is to tell; copied, but for the roots: `roles` is borrowed until the next call. KW_ENOMEM: the old stays. */
KW_MUST_USE enum kw_err herald_set(struct herald *herald, const struct kw_roles *roles);

/* The agent has these; begins to tell it the rest. */
void herald_begin(struct herald *herald, struct herald_talk *talk, const struct kw_roles_have *have);
/* There is something newer. */
void herald_again(struct herald *herald, struct herald_talk *talk);
/* Writes as much as the link should have; after the calls above, and when it has drained. */
void herald_go_on(struct herald *herald, struct herald_talk *talk, struct kw_link *link);
void herald_end(struct herald_talk *talk);

#endif
