#ifndef KW_LINK_ENROLMENTS_H
#define KW_LINK_ENROLMENTS_H

#include "proto/wire/enrolment.h"

/* The folder enrol/ of a hub: one file per code, named by its id in hex, mode 0600, replaced in one step. The broker and the
 * `kinward hub` commands change them under one lock. `folder` is the hub's. */

/* KW_EBUSY after wait_ms; KW_ENOTFOUND: no such folder; KW_EDENIED, KW_EIO. *fd: kw_enrolments_unlock. */
KW_MUST_USE enum kw_err kw_enrolments_lock(const char *folder, uint32_t wait_ms, int *fd);
void kw_enrolments_unlock(int fd);

/* *out: kw_enrolment_fini, also after a failure. KW_ENOTFOUND; errors of kw_file_read and kw_enrolment_parse. */
KW_MUST_USE enum kw_err kw_enrolments_load(const char *folder, const uint8_t *id, struct kw_enrolment *out);
/* Errors of file.h; the old file is whole then. */
KW_MUST_USE enum kw_err kw_enrolments_save(const char *folder, const struct kw_enrolment *enrolment);

/* All of them, in no order. `each` is given what could not be read too, with its error and only its id; it returns false to end.
 * KW_ENOTFOUND: no such folder; KW_EDENIED, KW_EIO. */
KW_MUST_USE enum kw_err kw_enrolments_each(const char *folder, bool (*each)(void *user, struct kw_enrolment *enrolment,
	enum kw_err err), void *user);

#endif
