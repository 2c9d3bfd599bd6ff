#ifndef BROKER_LOG_VERIFY_H
#define BROKER_LOG_VERIFY_H

#include "broker/shell/config.h"
#include "proto/wire/role.h"

/* The whole audit log of a hub, read beside a broker that may be running: every row, every leaf and node, every checkpoint that
 * somebody was shown. (A salt is as it was written; that it leads to its leaf shows with the envelope, in a proof.) Nothing is
 * changed. */

/* Of the role "log", by all roots that the hub has had. */
struct log_keys {
	struct kw_role_keys *keys;
	uint32_t count;
};

struct log_verified {
	uint64_t leaves;
	uint64_t salts;       /* the other leaves are of forgotten envelopes */
	uint64_t checkpoints;
	struct kw_digest root;
	uint64_t at;          /* of a fault: the leaf, or the size of the checkpoint */
};

/* path: of the store. *fault: NULL, or what is wrong, one sentence; static storage.
 * KW_EAUTH  something does not fit; KW_ENOTFOUND, KW_EIO, KW_ECORRUPT: it cannot be read; KW_EBUSY: it is being written anew, try
 * again; KW_ENOMEM, KW_ECRYPTO */
KW_MUST_USE enum kw_err log_verify(const char *path, const struct kw_name *hub, const struct log_keys *keys,
	struct log_verified *out, const char **fault);

#endif
