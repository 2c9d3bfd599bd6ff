#ifndef KW_LINK_ROLES_INNER_H
#define KW_LINK_ROLES_INNER_H

#include "proto/link/roles.h"

/* Shared by roles.c (files), roles_sign.c, roles_change.c and roles_rotate.c. */

/* folder + "/" + name into path[KW_ROLES_PATH_SIZE]; folders are checked for their length first. */
const char *roles_path(const char *folder, const char *name, char *path);
KW_MUST_USE enum kw_err roles_folder_check(const char *folder);

KW_MUST_USE enum kw_err roles_write(const char *folder, const char *name, struct kw_view bytes);
/* Ed25519 keys in PEM files, mode 0400. Wipe what was loaded. */
KW_MUST_USE enum kw_err roles_key_load(const char *path, struct kw_ed25519 *out);
KW_MUST_USE enum kw_err roles_key_new(const char *path, struct kw_ed25519 *out);

/* One signature under a payload; appends the SignedRole. */
KW_MUST_USE enum kw_err roles_sign(enum kw_role kind, struct kw_view payload, const struct kw_ed25519 *key,
	struct kw_buf *out);
/* Whether an agent that has our roots takes these three. An empty directory: it has that already. */
KW_MUST_USE enum kw_err roles_judge(const struct kw_roles *roles, struct kw_view timestamp, struct kw_view snapshot,
	struct kw_view directory);
/* timestamp.bin is what is in memory. */
void roles_seen(struct kw_roles *roles);
/* Loads again, in place. */
KW_MUST_USE enum kw_err roles_read_again(struct kw_roles *roles);

/* changes.txt: notes how `next` differs from roles->directory; read at load. */
void roles_changes_note(struct kw_roles *roles, const struct kw_directory *next);
void roles_changes_load(struct kw_roles *roles);
void roles_changes_save(const struct kw_roles *roles);

#endif
