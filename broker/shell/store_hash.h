#ifndef BROKER_STORE_HASH_H
#define BROKER_STORE_HASH_H

#include "broker/shell/store.h"

/* Leaves of the audit log, hashed on a thread of their own between the loop, which hands bodies over, and the writer, which takes
 * the leaves in the same order. A hash of each body within the writer's own time cost a hub a quarter of its messages. What the
 * thread has not done when the writer wants it, the writer does itself, so few messages wake nobody. */

struct store_leaf_job {
	const struct store_box *box; /* borrowed until the writer has taken the leaf */
	struct kw_digest digest;     /* of the envelope */
	uint8_t salt[KW_AUDIT_SALT_SIZE];
	struct kw_digest leaf;
};

struct store_hash;

typedef enum kw_err (*store_leaf_digest)(const uint8_t *body, uint32_t size, struct kw_digest *out);

/* A machine that gives no thread is no error: the writer does it all. KW_ENOMEM. */
KW_MUST_USE enum kw_err store_hash_new(store_leaf_digest digest, struct store_hash **out);
/* Accepts NULL. When the writer has ended. */
void store_hash_free(struct store_hash *hash);
/* No body is looked at any more; nothing is to be taken from then on. */
void store_hash_halt(struct store_hash *hash);

/* The loop's. A body; it is looked at once it is published. KW_ENOMEM. */
KW_MUST_USE enum kw_err store_hash_add(struct store_hash *hash, const struct store_box *box);
void store_hash_publish(struct store_hash *hash);

/* The writer's. Some of the next leaves, 1..count_max: that many were published. jobs: valid until the next take. KW_EIO,
 * KW_ECRYPTO, KW_ENOMEM and what `digest` says. */
KW_MUST_USE enum kw_err store_hash_take(struct store_hash *hash, uint32_t count_max, const struct store_leaf_job **jobs,
	uint32_t *count);

#endif
