#ifndef KW_WIRE_PREKEY_H
#define KW_WIRE_PREKEY_H

#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* Dated prekeys (kinward/v1/prekey.proto): their form, their signature, and what a reader accepts. Days are whole days since
 * 1970 (UTC), of hub time. */

#define KW_PREKEYS_MAX 64u          /* keys in a batch */
#define KW_PREKEY_DAY_MAX 100000u   /* in the year 2243 */
#define KW_PREKEYS_SIZE_MAX 2560u   /* of an encoded SignedPrekeys */
#define KW_PREKEY_ID_SIZE 8u
#define KW_PREKEY_AHEAD_DAYS 45u    /* published so far ahead of today */
#define KW_PREKEY_KEEP_DAYS 45u     /* the longest life of a message: so long after its day a secret is kept */
#define KW_PREKEY_SLACK_DAYS 1u     /* clocks differ: before its first day a batch is good for so long */
#define KW_PREKEY_ASK_DAYS 15u      /* with fewer left, newer ones are asked for */
#define KW_PREKEY_DAY_MS INT64_C(86400000)

struct kw_prekeys {
	struct kw_name agency;
	struct kw_name hub;
	uint8_t identity_key_id[KW_PREKEY_ID_SIZE];
	uint32_t first_day;
	uint32_t count;
	uint8_t keys[KW_PREKEYS_MAX][KW_KEY_SIZE];
};

/* The day of a time; 0 for a time before 1970, KW_PREKEY_DAY_MAX for one after that day. */
uint32_t kw_prekey_day(int64_t unix_ms);
uint32_t kw_prekeys_last_day(const struct kw_prekeys *prekeys);
/* The key for a day, KW_KEY_SIZE bytes within prekeys; the first one also KW_PREKEY_SLACK_DAYS before its day. NULL when there
 * is none: never one of a day that is over, whose secret goes before the message does. */
const uint8_t *kw_prekeys_key(const struct kw_prekeys *prekeys, uint32_t day);
/* First KW_PREKEY_ID_SIZE bytes of SHA-256 of a public key, as for every other key. KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_prekey_id(const uint8_t *public_key, uint8_t *out);

/* Appends an encoded SignedPrekeys; fills identity_key_id. KW_EFIELD for a count or day out of range, a key that stands twice;
 * KW_ETOOBIG, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_prekeys_sign(struct kw_prekeys *prekeys, const struct kw_ed25519 *identity, struct kw_buf *out);
/* The form alone, and not who signed. KW_EFORMAT, KW_EFIELD, KW_ETOOBIG; out untouched. */
KW_MUST_USE enum kw_err kw_prekeys_read(struct kw_view bytes, struct kw_prekeys *out);

/* Why a batch is refused. */
enum kw_prekey_rule {
	KW_PREKEY_RULE_NONE,
	KW_PREKEY_RULE_FORM,      /* does not parse, or breaks a rule of the schema */
	KW_PREKEY_RULE_AGENCY,    /* another agency's, or of another hub */
	KW_PREKEY_RULE_KEY,       /* made under another identity key than the directory's */
	KW_PREKEY_RULE_SIGNATURE, /* that key has not signed it */
	KW_PREKEY_RULE_ROLLBACK,  /* older than what was accepted */
	KW_PREKEY_RULE_COUNT
};
const char *kw_prekey_rule_name(enum kw_prekey_rule rule);
/* One sentence that says what it means; static storage. */
const char *kw_prekey_rule_text(enum kw_prekey_rule rule);

/* What a batch must be. */
struct kw_prekeys_expect {
	const struct kw_name *agency;
	const struct kw_name *hub;
	const uint8_t *identity_key;     /* of the directory, KW_KEY_SIZE bytes; NULL: not known, form and days alone */
	const struct kw_prekeys *before; /* accepted last; NULL: none */
};
/* Judges what came, by the rules in their order. One of the same days as before is accepted: keys that were lost are made anew.
 * Where `before` was made under another identity key, the new one begins anew as well.
 * KW_EFORMAT, KW_EFIELD, KW_ETOOBIG (form); KW_EAUTH (agency, key, signature); KW_EVERSION (rollback); KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_prekeys_accept(const struct kw_prekeys_expect *expect, struct kw_view bytes, struct kw_prekeys *out,
	enum kw_prekey_rule *rule);

/* PREKEYS is a frame of an encoded SignedPrekeys; kw_frame_add writes it. */
struct kw_prekeys_want {
	struct kw_name agency;
	uint32_t through_day;
};
KW_MUST_USE enum kw_err kw_prekeys_want_parse(struct kw_view body, struct kw_prekeys_want *out);
/* Appends a frame. KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_prekeys_want_add(struct kw_buf *out, const struct kw_prekeys_want *want);

#endif
