#ifndef KW_LINK_ROLES_H
#define KW_LINK_ROLES_H

#include <openssl/evp.h>
#include <sys/types.h>
#include <time.h>

#include "proto/wire/role_client.h"

/* The signed roles (proto/wire/role.h) in a hub's folder: made by `kinward hub init`, signed anew by the broker each hour and
 * with each change, and by `kinward hub revoke` and `rotate`. One at a time has the lock, whoever it is.
 *
 *   root-keys/N.key           to be carried away; 1.key is the X.509 root's
 *   registrar.key snapshot.key timestamp.key log.key
 *   roots/N.bin               every version, from 1
 *   directory.bin snapshot.bin timestamp.bin
 *   changes.txt               what changed in the directory lately, so that agents get a delta; unsigned, and may be missing
 *
 * Files are written in the order directory, snapshot, timestamp: a stop in between leaves what the next signing mends. */

#define KW_ROLES_PATH_SIZE 1600u
#define KW_ROLES_CHANGES_MAX 4096u
#define KW_ROLES_ROOT_FOLDER "root-keys"

#define KW_ROLES_HOUR_MS INT64_C(3600000)
#define KW_ROLES_DAY_MS (24 * KW_ROLES_HOUR_MS)
#define KW_ROLES_TIMESTAMP_LIFE_MS KW_ROLES_DAY_MS
#define KW_ROLES_SNAPSHOT_LIFE_MS (7 * KW_ROLES_DAY_MS)   /* renewed at half, as the next */
#define KW_ROLES_DIRECTORY_LIFE_MS (90 * KW_ROLES_DAY_MS)
#define KW_ROLES_ROOT_LIFE_MS (730 * KW_ROLES_DAY_MS)     /* renewed by hand: kinward hub rotate root */

struct kw_roles_change {
	uint64_t version; /* of the directory that it came with */
	struct kw_name name;
};

/* Read only for callers. */
struct kw_roles {
	char folder[KW_ROLES_PATH_SIZE];
	struct kw_name hub;
	struct kw_role_client *client; /* as an agent would see it that has everything */
	struct kw_buf *roots;          /* SignedRoles; version N at N - 1 */
	uint32_t roots_count;
	struct kw_buf signed_directory;
	struct kw_buf signed_snapshot;
	struct kw_buf signed_timestamp;
	struct kw_directory *directory;
	uint64_t snapshot_version;  /* highest that was given out, whatever else is wrong with the file */
	uint64_t timestamp_version;
	bool fits;                  /* an agent takes it as it is; else it has to be signed anew */
	uint64_t changes_from;      /* `changes` is complete for whoever has this version or a later one */
	struct kw_roles_change *changes;
	size_t changes_count;
	struct timespec seen_time;  /* of timestamp.bin */
	ino_t seen_file;
};

/* What `kinward hub init` makes of nothing. */
struct kw_roles_plan {
	const char *folder;
	struct kw_name hub;
	EVP_PKEY *root_key; /* of the X.509 root; borrowed */
	uint8_t root_keys;  /* 1..KW_ROLE_KEYS_MAX, that one included */
	uint8_t root_threshold;
	const struct kw_directory *directory; /* NULL: nobody yet. Version and times are set here. */
	int64_t now_unix_ms;
};
/* Makes keys and files; those that are there are replaced. KW_EFIELD: counts; errors of file.h; KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_roles_create(const struct kw_roles_plan *plan);

/* Reads and checks what needs no key. *out: kw_roles_free. *file: which one is at fault, static storage.
 * KW_ENOTFOUND  roots/1.bin: the folder of an older version (kw_roles_upgrade), or none
 * KW_EAUTH, KW_EVERSION  does not verify under this fingerprint; errors of file.h, KW_EFORMAT, KW_EFIELD, KW_ENOMEM */
KW_MUST_USE enum kw_err kw_roles_load(const char *folder, const struct kw_name *hub, const struct kw_digest *tls_root_digest,
	struct kw_roles **out, const char **file);
/* Accepts NULL. */
void kw_roles_free(struct kw_roles *roles);
/* True when somebody else has signed since it was loaded. */
bool kw_roles_is_old(const struct kw_roles *roles);

/* For the time between load and publish. KW_EBUSY after wait_ms; KW_EDENIED, KW_EIO. *fd: kw_roles_unlock. */
KW_MUST_USE enum kw_err kw_roles_lock(const char *folder, uint32_t wait_ms, int *fd);
void kw_roles_unlock(int fd);

/* Signs a new timestamp, and before it what has changed or is at half of its life. With the lock, and not kw_roles_is_old.
 *   directory  whose entries shall be the new ones; NULL: as they are. Version and times are set here.
 * KW_EAUTH: a key is not the one that the root has in charge, and nothing was written; KW_EFIELD, errors of file.h,
 * KW_ENOMEM, KW_ECRYPTO. After another error than KW_EAUTH: load again. */
KW_MUST_USE enum kw_err kw_roles_publish(struct kw_roles *roles, const struct kw_directory *directory, int64_t now_unix_ms);

/* Names of agencies that changed since a version, in their order; *names: free. KW_ENOTFOUND: not known any more. */
KW_MUST_USE enum kw_err kw_roles_changes(const struct kw_roles *roles, uint64_t version, struct kw_name **names,
	size_t *count);

/* New keys. With the lock. */
enum kw_roles_which { KW_ROLES_REGISTRAR, KW_ROLES_SNAPSHOT, KW_ROLES_TIMESTAMP, KW_ROLES_LOG, KW_ROLES_ROOT, KW_ROLES_WHICH_COUNT };
/* "registrar"…; static storage. */
const char *kw_roles_which_name(enum kw_roles_which which);
struct kw_roles_rotation {
	enum kw_roles_which which;
	const char *root_keys;  /* folder with *.key */
	uint8_t new_keys;       /* of the root: 1..KW_ROLE_KEYS_MAX */
	uint8_t new_threshold;
	int64_t now_unix_ms;
	bool dry_run;           /* looks whether it could be done, and writes nothing */
	uint32_t found;         /* out: root keys of the present root that are in the folder */
};
/* KW_EAUTH: fewer root keys in the folder than the root's threshold; KW_EFULL: the root has had KW_ROLE_ROOTS_MAX versions; KW_EFIELD, errors of file.h and of kw_roles_publish. */
KW_MUST_USE enum kw_err kw_roles_rotate(struct kw_roles *roles, struct kw_roles_rotation *rotation);

/* The folder of a version before these roles: takes over its directory. issuer_key: of issuer.pem, whose signature stands under
 * it, 32 bytes. Else as kw_roles_create; KW_EEXIST: it has roles already. */
KW_MUST_USE enum kw_err kw_roles_upgrade(const struct kw_roles_plan *plan, const uint8_t *issuer_key);

#endif
