#ifndef AGENT_SHELL_AGENT_ROLES_H
#define AGENT_SHELL_AGENT_ROLES_H

#include "proto/wire/role_client.h"
#include "proto/wire/role_frame.h"

/* Whom this agent believes about who is who: the signed roles that its hub gives out, judged by kw_role_client. What was accepted
 * is on disk before it is used, so that a restart is no way back: root.bin, timestamp.bin, snapshot.bin, directory.bin in the
 * state directory. Refusals are logged. */

struct agent_roles;

/* Who we are: under our own name no other key is accepted. The present key of each kind, and the one that is being brought in. */
#define AGENT_ROLES_SELF_KEYS 2u
struct agent_roles_self {
	struct kw_name agency;
	struct kw_name hub;
	struct kw_digest tls_root_digest; /* of the enrolment code */
	uint32_t identity_count;
	uint8_t identity_keys[AGENT_ROLES_SELF_KEYS][KW_KEY_SIZE];
	uint32_t tls_count;
	struct kw_digest tls_key_digests[AGENT_ROLES_SELF_KEYS];
	uint32_t hybrid_count;
	struct kw_digest hybrid_digests[AGENT_ROLES_SELF_KEYS]; /* of the public keys */
	uint32_t sealing_count;
	uint8_t sealing_keys[AGENT_ROLES_SELF_KEYS][KW_KEY_SIZE];
};

/* folder: copied. *file: what is at fault, static storage. KW_EAUTH, KW_EFORMAT, KW_EFIELD: a file is not what was accepted
 * once; errors of file.h; KW_ENOMEM. A missing file is one that has not come yet. */
KW_MUST_USE enum kw_err agent_roles_open(const char *folder, const struct agent_roles_self *self, struct agent_roles **out,
	const char **file);
/* Accepts NULL. */
void agent_roles_close(struct agent_roles *roles);

/* Other keys of ours from now on; names and root are the same. */
void agent_roles_self_set(struct agent_roles *roles, const struct agent_roles_self *self);

/* For HELLO and for ROLES_WANT. */
void agent_roles_have(const struct agent_roles *roles, struct kw_roles_have *out);
/* The last good one; NULL: none yet. Valid until agent_roles_take gives AGENT_ROLES_NEW. */
const struct kw_directory *agent_roles_directory(const struct agent_roles *roles);

/* The keys that sign the audit log of `hub`. False: no root is there yet, or it has no such hub. */
bool agent_roles_log_keys(const struct agent_roles *roles, const struct kw_name *hub, struct kw_role_keys *out);

enum agent_roles_news {
	AGENT_ROLES_SAME,
	AGENT_ROLES_NEW, /* there is another directory */
	AGENT_ROLES_WANT /* ask for the whole directory: have.directory 0 */
};
/* A piece from the hub. An error ends the session: KW_EPROTO: no piece that fits; KW_EIO and the like: it cannot be stored, and
 * nothing was accepted. */
KW_MUST_USE enum kw_err agent_roles_take(struct agent_roles *roles, const struct kw_role_part *part, int64_t now_unix_ms,
	enum agent_roles_news *news);
/* A session begins or has ended: what was half there is gone. */
void agent_roles_reset(struct agent_roles *roles);

struct agent_roles_state {
	enum kw_role_age age;
	enum kw_role_rule refused; /* the hub's last word was refused for this; NONE */
	bool own_key_alarm;        /* a directory had another key under our name, and was not taken */
	uint64_t root_version;
	int64_t signed_unix_ms;    /* of the timestamp; 0: none */
};
void agent_roles_state(const struct agent_roles *roles, int64_t now_unix_ms, struct agent_roles_state *out);
/* Now and then: logs what has become of the age. */
void agent_roles_tick(struct agent_roles *roles, int64_t now_unix_ms, bool online);

#endif
