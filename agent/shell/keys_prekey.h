#ifndef AGENT_SHELL_KEYS_PREKEY_H
#define AGENT_SHELL_KEYS_PREKEY_H

#include "agent/shell/keys.h"
#include "proto/wire/prekey.h"

/* The secrets of our dated prekeys, in a file of their own beside the long-term keys: "KWP1", 12 bytes of nonce, then AES-256-GCM
 * of u32 count and, for each, u32 day and the secret; the head is additional data. The key is derived from the key of the spool,
 * which lies in the key file under the passphrase: without that file and its passphrase nobody reads this one.
 *
 * A secret is destroyed by writing the file without it:
 *
 *   the others → prekeys.key.new, synced → prekeys.key gets the second name prekeys.key.old → prekeys.key.new takes the name
 *   prekeys.key → the folder is synced → prekeys.key.old is overwritten, synced, unlinked
 *
 * A crash anywhere leaves the file before or the one after it under its name; the next start overwrites what else is left. On a
 * disk that writes elsewhere than it is told (flash, copy on write) old bytes may outlive this; they are still sealed. */

#define KEYS_PREKEY_FILE "prekeys.key"
/* The days that are kept, those ahead, and as many again for a clock that was set. */
#define KEYS_PREKEYS_MAX 192u

struct keys_prekey {
	uint32_t day;
	struct kw_x25519 pair;
	uint8_t id[KW_PREKEY_ID_SIZE];
};

struct keys_prekeys {
	uint32_t count;
	struct keys_prekey list[KEYS_PREKEYS_MAX]; /* by day, each once */
};

/* Finishes what a crash has left, then reads; none when there is no file. Lock *out in memory before, where that matters.
 * KW_EAUTH     the file is of other keys, or damaged; KW_EFORMAT: it is no such file
 * KW_EDENIED   a mode looser than 0600; KW_EIO, KW_ENOMEM, KW_ECRYPTO */
KW_MUST_USE enum kw_err keys_prekey_load(const char *folder, const struct keys *keys, struct keys_prekeys *out);
/* Replaces the file, and overwrites the one before. On an error either may be under its name, and what is in `prekeys` and not
 * in the file is to be written again. KW_ENOSPACE, KW_EIO, KW_EDENIED, KW_ECRYPTO. */
KW_MUST_USE enum kw_err keys_prekey_save(const char *folder, const struct keys *keys, const struct keys_prekeys *prekeys);
/* Overwrites and unlinks the file: nobody can read it. KW_EIO. */
KW_MUST_USE enum kw_err keys_prekey_drop(const char *folder);
/* A new pair for a day. KW_ECRYPTO. */
KW_MUST_USE enum kw_err keys_prekey_make(uint32_t day, struct keys_prekey *out);

#endif
