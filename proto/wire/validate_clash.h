#ifndef KW_WIRE_VALIDATE_CLASH_H
#define KW_WIRE_VALIDATE_CLASH_H

#include <stdbool.h>

#include "kinward/v1/types.pb-c.h"
#include "proto/wire/validate.h"

/* Shared by the files of validate_across.h. */

/* The enum value `code` of the type `type`, both as in the schema's enum values: KW_CODE(OFFER_STATE, CLAIMED). */
#define KW_CODE(type, code) KINWARD__V1__##type##__##type##_##code

/* The usual rules; each says what to do. */
#define KW_NEEDS_STATE "is required with this state; fill it in"
#define KW_NEEDS_OTHER "is required with OTHER, to say what it is; fill it in"
#define KW_NOT_STATE "does not go with this state; leave it out"

/* One thing that must not be so. */
struct kw_clash {
	bool broken;
	const char *field; /* a path below the message */
	const char *rule;
};

/* Refuses the first that is broken. */
KW_MUST_USE enum kw_err kw_clashes_check(struct kw_walk *walk, const struct kw_clash *clashes, size_t count);
#define KW_CLASHES(walk, clashes) kw_clashes_check(walk, clashes, sizeof(clashes) / sizeof((clashes)[0]))

bool kw_clash_empty(const char *text);
/* True when the code is among `count` codes. */
bool kw_clash_holds(const int *codes, size_t count, int code);
/* True when the later date is certainly before the earlier one; parts that are not known are no contradiction. */
bool kw_clash_before(const Kinward__V1__PartialDate *later, const Kinward__V1__PartialDate *earlier);

/* The consent lets a service be asked of another agency: services and share_other_orgs are given, the child has not refused,
 * and it has not ended (walk->at_ms); or there is an override. The fault names consent.override, consent.child_assent or
 * consent.valid_until_unix_ms. */
KW_MUST_USE enum kw_err kw_clash_sharing(struct kw_walk *walk, const Kinward__V1__Consent *consent);
/* The same for tracing. */
KW_MUST_USE enum kw_err kw_clash_tracing(struct kw_walk *walk, const Kinward__V1__Consent *consent);

#endif
