#ifndef KW_WIRE_IDENTITY_H
#define KW_WIRE_IDENTITY_H

#include <stdbool.h>

#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* An agency replaces its identity key: a statement that the former key and the new one sign, and that stands in the directory
 * (kinward/v1/directory.proto). A hub without the former key cannot make one, so whoever knew the agency sees the difference
 * between a key that was replaced and one that was put in its place. */

enum kw_identity_reason {
	KW_IDENTITY_SCHEDULED = 1,
	KW_IDENTITY_STAFF = 2,
	KW_IDENTITY_COMPROMISED = 3, /* somebody else may have the former key */
	KW_IDENTITY_REASON_COUNT
};
/* "scheduled", "staff", "compromised"; NULL for another number. Static storage. */
const char *kw_identity_reason_name(uint8_t reason);
/* 0: no such name. */
uint8_t kw_identity_reason_from(const char *name);

/* How long what the former key signed before the change is believed: the longest life of a message, and 48 hours. */
#define KW_IDENTITY_FORMER_MS (INT64_C(1128) * 3600000)

struct kw_identity_change {
	uint8_t former_key[KW_KEY_SIZE];
	int64_t unix_ms;
	uint8_t reason; /* enum kw_identity_reason; 0: there is no change */
	uint8_t former_signature[KW_SIGNATURE_SIZE];
	uint8_t signature[KW_SIGNATURE_SIZE];
};

/* Whose, and from what to what. */
struct kw_identity_who {
	const struct kw_name *agency;
	const struct kw_name *hub;
};

/* Signs with both. KW_EFIELD: no such reason, or a time that is not after 1970; KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_identity_sign(const struct kw_identity_who *who, const struct kw_ed25519 *former,
	const struct kw_ed25519 *key, struct kw_identity_change *change);
/* KW_EAUTH: not signed by both; or both are one key. KW_EFIELD. */
KW_MUST_USE enum kw_err kw_identity_verify(const struct kw_identity_who *who, const uint8_t *key,
	const struct kw_identity_change *change);

#endif
