#ifndef KW_WIRE_ROLE_H
#define KW_WIRE_ROLE_H

#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* The signed roles behind a directory (kinward/v1/trust.proto), after TUF (theupdateframework.github.io/specification):
 * root, registrar, snapshot, timestamp. Here they are read, written and counted; what a client does with them, in which
 * order, and what it remembers is in role_client.h. Pure: no clock, no files. */

#define KW_ROLE_KEYS_MAX 8u       /* of one role */
#define KW_ROLE_HUBS_MAX 64u
#define KW_ROLE_ROOTS_MAX 1000u /* versions of a root: a newcomer reads them all */
#define KW_ROLE_SIGNATURES_MAX 16u /* old and new keys of a root */
#define KW_ROLE_KEY_ID_SIZE 8u
#define KW_ROLE_SIZE_MAX (41u << 20) /* of a SignedRole; the directory is the large one */

enum kw_role {
	KW_ROLE_ROOT,
	KW_ROLE_REGISTRAR,
	KW_ROLE_SNAPSHOT,
	KW_ROLE_TIMESTAMP,
	KW_ROLE_LOG,     /* a checkpoint of the audit log, see audit.h */
	KW_ROLE_WITNESS, /* another hub's word about one */
	KW_ROLE_COUNT
};
/* "root", "registrar", "snapshot", "timestamp", "log", "witness": as it is signed. */
const char *kw_role_name(enum kw_role role);

struct kw_role_keys {
	uint8_t keys[KW_ROLE_KEYS_MAX][KW_KEY_SIZE]; /* ascending */
	uint8_t count;     /* 1..KW_ROLE_KEYS_MAX */
	uint8_t threshold; /* 1..count */
};

struct kw_hub_role {
	struct kw_name hub;
	struct kw_role_keys registrar;
	struct kw_role_keys snapshot;
	struct kw_role_keys timestamp;
	struct kw_role_keys log;
};

struct kw_root {
	uint64_t version; /* from 1 */
	int64_t expires_unix_ms;
	struct kw_role_keys root;
	struct kw_digest tls_root_digest;
	struct kw_hub_role hubs[KW_ROLE_HUBS_MAX]; /* by name */
	uint32_t hub_count;                        /* 1..KW_ROLE_HUBS_MAX */
};
/* NULL when the root puts no such hub in charge. */
const struct kw_hub_role *kw_root_hub(const struct kw_root *root, const struct kw_name *hub);

struct kw_snapshot_entry {
	struct kw_name hub;
	uint64_t version;
	struct kw_digest digest;
};
struct kw_snapshot {
	struct kw_name hub;
	uint64_t version;
	int64_t expires_unix_ms;
	struct kw_snapshot_entry directories[KW_ROLE_HUBS_MAX]; /* by name */
	uint32_t count;
};

struct kw_timestamp {
	struct kw_name hub;
	uint64_t version;
	int64_t signed_unix_ms;
	int64_t expires_unix_ms;
	uint64_t snapshot_version;
	struct kw_digest snapshot_digest;
	uint64_t root_version;
};

/* Adds a public key in its place. KW_EEXIST when it is there, KW_EFULL past KW_ROLE_KEYS_MAX. */
KW_MUST_USE enum kw_err kw_role_keys_put(struct kw_role_keys *keys, const uint8_t *public_key);

/* Append the encoded payload. KW_EFIELD: a rule of the schema is broken (counts, order, zero); KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_root_add(struct kw_buf *out, const struct kw_root *root);
KW_MUST_USE enum kw_err kw_snapshot_add(struct kw_buf *out, const struct kw_snapshot *snapshot);
KW_MUST_USE enum kw_err kw_timestamp_add(struct kw_buf *out, const struct kw_timestamp *timestamp);
/* Read a payload whose signatures hold. KW_EFORMAT, KW_EFIELD; out untouched. */
KW_MUST_USE enum kw_err kw_root_read(struct kw_view payload, struct kw_root *out);
KW_MUST_USE enum kw_err kw_snapshot_read(struct kw_view payload, struct kw_snapshot *out);
KW_MUST_USE enum kw_err kw_timestamp_read(struct kw_view payload, struct kw_timestamp *out);

struct kw_role_signature {
	uint8_t key_id[KW_ROLE_KEY_ID_SIZE];
	uint8_t signature[KW_SIGNATURE_SIZE];
};

/* What kw_role_open found; views point into its input. */
struct kw_role_signed {
	struct kw_view payload;
	struct kw_role_signature signatures[KW_ROLE_SIGNATURES_MAX];
	uint32_t count;
};

/* Parses a SignedRole and verifies nothing. KW_EFORMAT, KW_EFIELD, KW_ETOOBIG. */
KW_MUST_USE enum kw_err kw_role_parse(struct kw_view bytes, struct kw_role_signed *out);
/* Whether enough *different* keys have signed; what other keys signed counts for nothing.
 * KW_EAUTH    fewer than the threshold; *good: how many did. KW_ENOMEM, KW_ECRYPTO */
KW_MUST_USE enum kw_err kw_role_check(const struct kw_role_signed *role, enum kw_role kind, const struct kw_role_keys *keys,
	uint32_t *good);

/* One signature more over a payload; by hand at several places when the threshold is more than 1.
 * KW_EEXIST when this key has signed, KW_EFULL, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_role_sign(struct kw_role_signed *role, enum kw_role kind, const struct kw_ed25519 *key);
/* Appends the SignedRole. KW_EFIELD: no payload or no signature; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_role_add(struct kw_buf *out, const struct kw_role_signed *role);

/* SHA-256 of a payload. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_role_digest(struct kw_view payload, struct kw_digest *out);

#endif
