#ifndef KW_WIRE_ROLE_CLIENT_H
#define KW_WIRE_ROLE_CLIENT_H

#include "proto/wire/directory.h"
#include "proto/wire/role.h"

/* What one who reads a hub's directory has verified so far, and what it accepts next: TUF's client workflow
 * (specification §5), in its order: roots, timestamp, snapshot, directory. Each is refused whole or taken.
 *
 * The caller makes each durable as the bytes that were accepted, before it uses them, and after a restart gives them back
 * (kw_role_client_restore): versions that were only in memory would let an old directory in again. Pure: time comes in. */

#define KW_ROLE_WARN_MS (7 * INT64_C(86400000))   /* without a new timestamp: people are told */
#define KW_ROLE_REFUSE_MS (30 * INT64_C(86400000)) /* nothing is sealed to agencies that we never wrote to */

/* Why something was refused; for the log and for people. */
enum kw_role_rule {
	KW_ROLE_RULE_NONE,
	KW_ROLE_RULE_FORM,        /* does not parse, or breaks a rule of the schema */
	KW_ROLE_RULE_FINGERPRINT, /* the first root is not signed by the key of the enrolment code's fingerprint */
	KW_ROLE_RULE_THRESHOLD,   /* fewer keys than needed have signed */
	KW_ROLE_RULE_ROLLBACK,    /* older than what was accepted before */
	KW_ROLE_RULE_SKIPPED,     /* a root that is not the next one */
	KW_ROLE_RULE_FORKED,      /* the same version with other content: two were signed */
	KW_ROLE_RULE_FROZEN,      /* expired: somebody holds newer ones back, or a clock is wrong */
	KW_ROLE_RULE_MIXED,       /* not the one that the role above it names */
	KW_ROLE_RULE_PREFIX,      /* speaks for another hub than the one whose keys signed it */
	KW_ROLE_RULE_HUB,         /* the root puts no such hub in charge */
	KW_ROLE_RULE_ORDER,       /* what has to come before it has not come */
	KW_ROLE_RULE_COUNT
};
/* Wire name, for example "rollback", and one sentence that says what to do; static storage. */
const char *kw_role_rule_name(enum kw_role_rule rule);
const char *kw_role_rule_text(enum kw_role_rule rule);

/* About 200 KiB: on the heap. Read only for callers. */
struct kw_role_client {
	struct kw_name hub;               /* whose timestamp and snapshot we follow */
	struct kw_digest tls_root_digest; /* of the enrolment code */
	struct kw_root root;              /* version 0: none yet */
	struct kw_timestamp timestamp;
	struct kw_digest timestamp_digest;
	struct kw_snapshot snapshot;
};

/* Knows only the fingerprint. */
void kw_role_client_init(struct kw_role_client *client, const struct kw_name *hub, const struct kw_digest *tls_root_digest);

/* What was durable at the last stop; size 0: not there yet. Nothing is too old here. *rule as below. */
struct kw_role_kept {
	struct kw_view root;
	struct kw_view timestamp;
	struct kw_view snapshot;
};
KW_MUST_USE enum kw_err kw_role_client_restore(struct kw_role_client *client, const struct kw_role_kept *kept,
	enum kw_role_rule *rule);

/* The calls below answer KW_OK, or refuse with *rule set and the client as it was: KW_EFORMAT, KW_EFIELD, KW_ETOOBIG (FORM);
 * KW_EAUTH (FINGERPRINT, THRESHOLD, FORKED, MIXED, PREFIX, HUB); KW_EVERSION (ROLLBACK, SKIPPED); KW_EEXPIRED (FROZEN);
 * KW_ESTATE (ORDER); KW_ENOMEM, KW_ECRYPTO with RULE_NONE. The one that was accepted last, again, is KW_OK. */

/* The next root. When it changes the keys of our hub's timestamp or snapshot, what they signed is forgotten: who had stolen
 * them could have used up all version numbers. */
KW_MUST_USE enum kw_err kw_role_client_root(struct kw_role_client *client, struct kw_view signed_role,
	enum kw_role_rule *rule);
KW_MUST_USE enum kw_err kw_role_client_timestamp(struct kw_role_client *client, struct kw_view signed_role,
	int64_t now_unix_ms, enum kw_role_rule *rule);
KW_MUST_USE enum kw_err kw_role_client_snapshot(struct kw_role_client *client, struct kw_view signed_role,
	int64_t now_unix_ms, enum kw_role_rule *rule);
/* The directory of `hub` that the snapshot names. Expired is what had ended when our timestamp was signed. *out: kw_directory_free. */
KW_MUST_USE enum kw_err kw_role_client_directory(const struct kw_role_client *client, const struct kw_name *hub,
	struct kw_view signed_role, struct kw_directory **out, enum kw_role_rule *rule);

enum kw_role_age {
	KW_ROLE_FRESH,
	KW_ROLE_STALE, /* KW_ROLE_WARN_MS without a new timestamp */
	KW_ROLE_OLD    /* KW_ROLE_REFUSE_MS; also without any */
};
enum kw_role_age kw_role_client_age(const struct kw_role_client *client, int64_t now_unix_ms);

#endif
