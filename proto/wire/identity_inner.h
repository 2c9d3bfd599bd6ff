#ifndef KW_WIRE_IDENTITY_INNER_H
#define KW_WIRE_IDENTITY_INNER_H

#include "kinward/v1/directory.pb-c.h"
#include "proto/wire/directory.h"

/* Shared by identity.c, directory.c and renew.c. */

/* Not all zeros. */
bool kw_directory_is_set(const struct kw_digest *digest);
/* To pack; valid as long as `change`. */
void kw_identity_lend(const struct kw_identity_change *change, Kinward__V1__IdentityChange *out);
/* Form only. KW_EFIELD. */
KW_MUST_USE enum kw_err kw_identity_take(const Kinward__V1__IdentityChange *from, struct kw_identity_change *out);

#endif
