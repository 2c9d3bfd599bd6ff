#ifndef KW_WIRE_ROLE_DELTA_H
#define KW_WIRE_ROLE_DELTA_H

#include "proto/wire/directory.h"
#include "proto/wire/role.h"

/* What changed in a directory since a version that its reader has (DirectoryDelta of trust.proto). It is not signed itself:
 * it makes the bytes of the new version, which are judged like any others (kw_role_client_directory). So a wrong one
 * changes nothing, and its reader asks for the whole. */

struct kw_role_delta {
	const struct kw_directory *directory; /* the new version, sorted */
	const struct kw_role_signed *role;    /* its signatures */
	uint64_t from_version;
	const struct kw_name *names;          /* agencies that changed, came or went since; any order, also twice */
	size_t count;
};
/* Appends a DirectoryDelta. KW_EFIELD, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_role_delta_add(struct kw_buf *out, const struct kw_role_delta *delta);

/* Appends the SignedRole of the new version, made from the one that we have.
 * KW_EVERSION  it starts from another version than `have`; KW_EFORMAT, KW_EFIELD, KW_ETOOBIG, KW_ENOMEM */
KW_MUST_USE enum kw_err kw_role_delta_apply(struct kw_view bytes, const struct kw_directory *have, struct kw_buf *out);

#endif
