#ifndef KW_WIRE_DIRECTORY_H
#define KW_WIRE_DIRECTORY_H

#include "proto/base/id.h"
#include "proto/wire/hybrid.h"
#include "proto/wire/identity.h"

/* The directory of a hub: agencies and their public keys (kinward/v1/directory.proto). It is the payload of the registrar's
 * role; who may sign it is in role.h, whom a reader believes in role_client.h. */

#define KW_DIRECTORY_AGENCIES_MAX 10000u
#define KW_DIRECTORY_SEALING_KEYS_MAX 8u /* per agency */
#define KW_DIRECTORY_HYBRID_KEYS_MAX 2u  /* per agency: the present and the next */
#define KW_DIRECTORY_SUITES_MAX 4u       /* per sealing key */
#define KW_DIRECTORY_SIZE_MAX (40u << 20) /* encoded: all agencies with both hybrid keys, which are large */
#define KW_DIRECTORY_KEY_ID_SIZE 8u
#define KW_DIRECTORY_KEY_SIZE 32u

struct kw_directory_sealing_key {
	uint8_t key_id[KW_DIRECTORY_KEY_ID_SIZE]; /* first bytes of SHA-256 of public_key */
	uint8_t public_key[KW_DIRECTORY_KEY_SIZE]; /* X25519 */
	uint8_t suites[KW_DIRECTORY_SUITES_MAX];  /* strongest first; at least one */
	uint8_t suites_count;
};

/* The same for the hybrid suite. */
struct kw_directory_hybrid_key {
	uint8_t key_id[KW_DIRECTORY_KEY_ID_SIZE];
	uint8_t public_key[KW_HYBRID_PUBLIC_SIZE];
	uint8_t suites[KW_DIRECTORY_SUITES_MAX];
	uint8_t suites_count;
};

struct kw_directory_entry {
	struct kw_name agency;
	uint8_t identity_key[KW_DIRECTORY_KEY_SIZE]; /* Ed25519 */
	struct kw_directory_sealing_key sealing_keys[KW_DIRECTORY_SEALING_KEYS_MAX]; /* the first is preferred */
	uint8_t sealing_keys_count; /* at least 1 */
	struct kw_directory_hybrid_key hybrid_keys[KW_DIRECTORY_HYBRID_KEYS_MAX]; /* the first is preferred */
	uint8_t hybrid_keys_count; /* may be 0 */
	bool revoked;
	struct kw_digest tls_key_digest;
	struct kw_digest next_tls_key_digest; /* while a new one is being brought in; else zeros */
	struct kw_identity_change identity_change; /* reason 0: none */
};

/* Borrowed by whoever reads one; made by kw_directory_read, or by hand to be packed. */
struct kw_directory {
	struct kw_name hub;
	uint64_t version; /* not 0 */
	int64_t signed_unix_ms;
	int64_t expires_unix_ms; /* more than 0 */
	struct kw_directory_entry *entries; /* sorted by name when read; any order to pack */
	size_t count;
};

/* Accepts NULL. Only for what kw_directory_read made. */
void kw_directory_free(struct kw_directory *directory);

/* Appends an encoded Directory, sorted: one content, one encoding.
 * KW_EFIELD  two entries of one name, a count out of range, a version or an end of 0; KW_ETOOBIG, KW_ENOMEM */
KW_MUST_USE enum kw_err kw_directory_pack(const struct kw_directory *directory, struct kw_buf *out);
/* Reads an encoded Directory whose signatures hold.
 * KW_EFORMAT does not parse; KW_EFIELD a rule is broken (names sorted and unique, sizes, ids); KW_ETOOBIG, KW_ENOMEM. *out: kw_directory_free. */
KW_MUST_USE enum kw_err kw_directory_read(struct kw_view payload, struct kw_directory **out);

/* NULL when there is none of this name. A revoked entry is returned too: look at `revoked`. Valid as long as directory. */
const struct kw_directory_entry *kw_directory_find(const struct kw_directory *directory, const struct kw_name *agency);

/* Fills key_id from public_key: X25519, or the second of a hybrid key. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_directory_key_id(const uint8_t *public_key, uint8_t *key_id);
KW_MUST_USE enum kw_err kw_directory_hybrid_key_id(const uint8_t *public_key, uint8_t *key_id);

/* True when who shows this TLS key is the agency of the entry: it is the present one, or the one that is being brought in. */
bool kw_directory_tls_key(const struct kw_directory_entry *entry, const struct kw_digest *key);
/* The public key with which the agency of the entry has signed what says to be of `key_id` and sent at a time: the present one, or
 * the former one for KW_IDENTITY_FORMER_MS after the change, if it was sent before that and the former one is not said to be in
 * wrong hands. NULL: none. Of a revoked entry too. */
const uint8_t *kw_directory_identity(const struct kw_directory_entry *entry, struct kw_view key_id, int64_t sent_unix_ms,
	int64_t now_unix_ms);

/* What to seal to: the strongest that the agency lists and the sender has, so that neither side's age decides for the
 * other. Pointers are into the entry; exactly one of the two keys is set. */
struct kw_directory_choice {
	uint8_t suite; /* an enum kw_suite */
	const uint8_t *key_id; /* KW_DIRECTORY_KEY_ID_SIZE bytes */
	const uint8_t *public_key; /* X25519 */
	const uint8_t *hybrid_key; /* KW_HYBRID_PUBLIC_SIZE bytes */
};

/* hybrid_able: the sender's, kw_hybrid_able(). A suite listed under a key of the other kind is not taken.
 * KW_EVERSION  no suite in common */
KW_MUST_USE enum kw_err kw_directory_choose(const struct kw_directory_entry *entry, bool hybrid_able,
	struct kw_directory_choice *out);

#endif
