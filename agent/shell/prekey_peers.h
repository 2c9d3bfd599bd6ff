#ifndef AGENT_SHELL_PREKEY_PEERS_H
#define AGENT_SHELL_PREKEY_PEERS_H

#include "agent/shell/keys.h"
#include "proto/wire/directory.h"
#include "proto/wire/prekey.h"

/* The dated prekeys of those whom we write to: asked for at the hub, judged by the directory, and kept, because an older batch
 * must not be accepted after a newer one, not after a restart either.
 *
 * Each lies in a file of its own, sealed and named by a keyed hash: whom we write to is nobody's business. It is durable before
 * it is used. */

struct prekey_peers;

#define PREKEY_PEERS_FOLDER "prekeys"
#define PREKEY_PEERS_ASK_MAX 16u   /* questions at once: the answers are large */
#define PREKEY_PEERS_AGAIN_S 3600u /* before the same question in one session */
#define PREKEY_PEERS_WAIT_S 10u    /* for an answer; then it is taken for none */

struct prekey_peers_self {
	const char *folder;      /* of the state; copied */
	const struct keys *keys; /* borrowed */
	struct kw_name hub;
};

/* Reads what is kept; a file that cannot be read is logged and passed over: it is asked for anew. KW_EIO, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err prekey_peers_open(const struct prekey_peers_self *self, struct prekey_peers **out);
void prekey_peers_close(struct prekey_peers *peers); /* accepts NULL */

struct prekey_choice {
	uint8_t key_id[KW_PREKEY_ID_SIZE];
	uint8_t public_key[KW_KEY_SIZE];
};
/* The key of an agency for a day. KW_ENOTFOUND: none is known; it is asked for from then on. KW_EEXPIRED: its last day is past,
 * it is dormant. KW_ECRYPTO. Costs a look-up by name. */
KW_MUST_USE enum kw_err prekey_peers_choose(struct prekey_peers *peers, const struct kw_directory_entry *entry, uint32_t day,
	struct prekey_choice *out);

/* The last day of what is known of an agency, 0: nothing. */
uint32_t prekey_peers_through_day(const struct prekey_peers *peers, const struct kw_name *agency);
/* The last day of an agency that is dormant: it was before `day`, and the hub has said since that it has nothing newer. 0: it is
 * not, or we do not know yet. */
uint32_t prekey_peers_dormant(const struct prekey_peers *peers, const struct kw_name *agency, uint32_t day);
/* Calls back for each. */
void prekey_peers_dormants(const struct prekey_peers *peers, uint32_t day,
	void (*each)(void *user, const struct kw_name *agency, uint32_t through_day), void *user);

/* What is known of this agency has failed: it is asked for anew, whatever its days. */
void prekey_peers_renew(struct prekey_peers *peers, const struct kw_name *agency);
/* A message of this agency came: when it is taken for dormant, it is not, and newer keys are asked for. */
void prekey_peers_heard(struct prekey_peers *peers, const struct kw_name *agency);
/* Whether an answer to that has come, or none will. */
bool prekey_peers_is_renewed(const struct prekey_peers *peers, const struct kw_name *agency);
/* Whether nothing is known of this agency and the hub was not asked yet, or has not answered. */
bool prekey_peers_is_awaited(const struct prekey_peers *peers, const struct kw_name *agency);

/* The same for one agency, at once; nothing when it was asked. Errors as of prekey_peers_tick. */
KW_MUST_USE enum kw_err prekey_peers_ask(struct prekey_peers *peers, const struct kw_name *agency, struct kw_buf *out);
/* The answer is not waited for any more. */
void prekey_peers_give_up(struct prekey_peers *peers, const struct kw_name *agency);
/* Once a second in a session: appends the questions that are due. KW_EFULL, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err prekey_peers_tick(struct prekey_peers *peers, uint32_t day, struct kw_buf *out);
/* The session is over: what was asked is not answered any more. */
void prekey_peers_down(struct prekey_peers *peers);
/* An answer. What breaks a rule is logged (prekeys_refused, with the rule) and not taken, and what was known stays; so is one
 * that was not asked for, or cannot be written. KW_OK also then; KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err prekey_peers_take(struct prekey_peers *peers, const struct kw_directory *directory, struct kw_view bytes);
/* The answer that there is nothing newer. */
void prekey_peers_none(struct prekey_peers *peers, const struct kw_name *agency);

#endif
