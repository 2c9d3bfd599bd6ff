#ifndef KW_LINK_FILE_H
#define KW_LINK_FILE_H

#include <sys/types.h>

#include "proto/base/bytes.h"

/* Small files: keys, certificates, configuration. Symbolic links are refused in the last part of a path. */

enum kw_file_kind {
	KW_FILE_PUBLIC, /* not writable by group or others */
	KW_FILE_SECRET  /* no access at all for group and others: mode 0400 or 0600 */
};

/* Appends the whole file to out, which bounds it (kw_buf_init's size_max) and wipes it.
 * KW_ENOTFOUND  there is none
 * KW_EDENIED    not ours to open, a symbolic link, not a regular file, a mode looser than its kind, or a secret that
 *               belongs to neither us nor root
 * KW_ETOOBIG, KW_ENOMEM, KW_EIO */
KW_MUST_USE enum kw_err kw_file_read(const char *path, enum kw_file_kind kind, struct kw_buf *out);

/* Replaces the file in one step, or leaves the old one: a temporary file beside it, fsync, rename, fsync of the folder.
 * mode: permission bits, whatever the umask.
 * KW_ENOTFOUND (no such folder), KW_EDENIED, KW_ETOOBIG (the path), KW_ENOSPACE, KW_EIO */
KW_MUST_USE enum kw_err kw_file_write_atomic(const char *path, struct kw_view bytes, mode_t mode);

/* The same for a secret, mode 0400, and then overwrites what the file held before: a disk that writes elsewhere than it is told (flash,
 * copy on write) may keep it all the same. */
KW_MUST_USE enum kw_err kw_file_replace_secret(const char *path, struct kw_view bytes);

/* One process at a time: a lock on this file, which is made when it is missing, mode 0600. The kernel lets go of it with the process.
 * wait_ms: how long to wait for another, which blocks the caller.
 * KW_EBUSY (another has it); KW_ENOTFOUND (no such folder), KW_EDENIED, KW_ENOSPACE, KW_EIO */
KW_MUST_USE enum kw_err kw_file_lock(const char *path, uint32_t wait_ms, int *lock);
void kw_file_unlock(int lock); /* accepts -1 */

#endif
