#ifndef AGENT_SHELL_ROLE_FILES_H
#define AGENT_SHELL_ROLE_FILES_H

#include "proto/wire/evidence.h"

/* The signed roles as they lie in the state directory, for evidence: root.bin (and every version of the root as root.N.bin,
 * because whoever starts from the fingerprint needs all of them), timestamp.bin, snapshot.bin, directory.bin. */

struct role_files {
	struct kw_buf roots[KW_ROLE_ROOTS_MAX];
	struct kw_buf timestamp;
	struct kw_buf snapshot;
	struct kw_buf directory;
	struct kw_evidence_roles roles; /* views of these */
};

/* Reads what there is. Fini in both cases.
 * KW_ENOTFOUND  one is missing: the hub has not given it out
 * KW_EFORMAT, KW_EFIELD, KW_ETOOBIG: a root that cannot be read, more than KW_ROLE_ROOTS_MAX; errors of file.h */
KW_MUST_USE enum kw_err role_files_read(const char *folder, struct role_files *out);
void role_files_fini(struct role_files *files);

/* Keeps a root that was accepted under its version, beside root.bin. Errors of kw_file_write_atomic. */
KW_MUST_USE enum kw_err role_files_keep_root(const char *folder, uint64_t version, struct kw_view signed_role);

#endif
