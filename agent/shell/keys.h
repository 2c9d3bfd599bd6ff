#ifndef AGENT_SHELL_KEYS_H
#define AGENT_SHELL_KEYS_H

#include <openssl/evp.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/wire/curve.h"
#include "proto/wire/hybrid.h"

/* The secrets of an agency, in one file: identity (Ed25519), sealing (X25519), TLS (Ed25519) and the key of the spool; those that
 * are being brought in, and former sealing keys until nothing that is sealed to them can be on its way any more.
 *
 * File: "KWK2", u8 cost_log2, u8 r, u8 p, u8 0, 16 bytes of salt, 12 of nonce, then AES-256-GCM under scrypt(passphrase), the head
 * being additional data, of records: u8 kind, u8 size, bytes (keys_file.c). "KWK1", of older versions, has the four secrets and no
 * records; it is read, and written anew as KWK2. The file lies outside the spool, because freed pages keep bytes. */

#define KEYS_PASSPHRASE_SIZE_MIN 8u
#define KEYS_PASSPHRASE_SIZE_MAX 1024u
#define KEYS_PASSPHRASE_ENV "KINWARD_PASSPHRASE"
#define KEYS_ID_SIZE 8u
#define KEYS_STORE_SIZE 32u
#define KEYS_FORMER_MAX 6u /* sealing keys, and hybrid keys */
#define KEYS_COST_LOG2_MAX 18u /* with r 8: 256 MiB. A file that asks for more is damaged, or not of this program. */
#define KEYS_COST_R_MAX 16u
#define KEYS_COST_P_MAX 4u
#define KEYS_HEAD_SIZE 24u /* magic, costs and salt */

/* A key in the place of which another one has come; it still opens. */
struct keys_former {
	struct kw_x25519 key;
	uint8_t id[KEYS_ID_SIZE];
	int64_t until_unix_ms;
};

/* Of the hybrid suite. The digest of the public key goes with the seed, so that a libcrypto without ML-KEM, which cannot make the one
 * of the other, still knows which key in the directory is this one. */
struct keys_hybrid {
	bool set;
	uint8_t seed[KW_HYBRID_SEED_SIZE];
	struct kw_digest public_digest; /* its first KEYS_ID_SIZE bytes are the id */
	int64_t until_unix_ms;          /* of a former one */
};

/* Made and durable before the hub hears of them; they take the place of the others when it has said them on. */
struct keys_next {
	uint8_t identity_reason; /* enum kw_identity_reason; 0: there is no new identity key */
	bool sealing_set;
	bool tls_set;
	struct kw_ed25519 identity;
	struct kw_x25519 sealing;
	uint8_t sealing_id[KEYS_ID_SIZE];
	uint8_t tls_seed[KW_KEY_SIZE];
	struct keys_hybrid hybrid;
};

struct keys {
	struct kw_ed25519 identity;
	struct kw_x25519 sealing;
	uint8_t tls_seed[KW_KEY_SIZE];
	uint8_t store[KEYS_STORE_SIZE];
	uint8_t identity_id[KEYS_ID_SIZE]; /* first bytes of SHA-256 of the public key */
	uint8_t sealing_id[KEYS_ID_SIZE];
	struct keys_next next;
	uint32_t former_count;
	struct keys_former former[KEYS_FORMER_MAX]; /* oldest first */
	struct keys_hybrid hybrid; /* set once the directory has it */
	uint32_t former_hybrid_count;
	struct keys_hybrid former_hybrid[KEYS_FORMER_MAX]; /* oldest first */
	uint8_t kek[KW_KEY_SIZE];      /* of the file that they were loaded from, so that it can be written again */
	uint8_t head[KEYS_HEAD_SIZE];  /* of that file; zeros: it was not loaded */
};

/* The process dumps no core and cannot be traced by others; umask 0077. KW_EIO. */
KW_MUST_USE enum kw_err keys_harden(void);

/* From `file` when it is not NULL (mode 0400 or 0600), else from the environment, which is wiped, else asked on the
 * terminal (twice when `fresh`). A line end is not part of it. out bounds it, and wipes it.
 * KW_ENOTFOUND  no file, no variable and no terminal; KW_EDENIED a loose file; KW_EFIELD the two typed ones differ, or it
 *               is shorter than KEYS_PASSPHRASE_SIZE_MIN; KW_ETOOBIG, KW_EIO, KW_ENOMEM */
KW_MUST_USE enum kw_err keys_passphrase(const char *file, bool fresh, struct kw_buf *out);

/* New ones. The struct is locked in memory where the limits allow it. */
KW_MUST_USE enum kw_err keys_generate(struct keys *out);
/* KW_EFIELD for a passphrase out of bounds; errors of kw_file_write_atomic. Mode 0400. */
KW_MUST_USE enum kw_err keys_save(const char *path, const struct keys *keys, struct kw_view passphrase);
/* The same into the file that they were loaded from, under the same passphrase; what it held before is overwritten as far as the file
 * system lets it. Errors of kw_file_write_atomic. */
KW_MUST_USE enum kw_err keys_save_again(const char *path, const struct keys *keys);
/* KW_EVERSION a file of a later version
 * KW_EAUTH    wrong passphrase, or a damaged file: the two cannot be told apart
 * KW_EFORMAT  not a key file; errors of kw_file_read: KW_EDENIED for a mode looser than 0600 */
KW_MUST_USE enum kw_err keys_load(const char *path, struct kw_view passphrase, struct keys *out);
/* Wipes. Accepts NULL. */
void keys_fini(struct keys *keys);

/* For as long as the key file may be written from here. *out: keys_unlock. KW_EBUSY: another process has it; KW_ENOTFOUND: no such folder;
 * KW_EDENIED, KW_EIO */
KW_MUST_USE enum kw_err keys_lock(const char *folder, int *out);
/* Accepts -1. */
void keys_unlock(int lock);

/* The TLS key as an object of libcrypto; the caller frees it. */
KW_MUST_USE enum kw_err keys_tls(const struct keys *keys, EVP_PKEY **out);

/* Of a seed: KW_KEY_SIZE bytes. */
KW_MUST_USE enum kw_err keys_tls_of(const uint8_t *seed, EVP_PKEY **out);

/* keys_next.c: one key takes the place of another. None of them writes the file. */
enum keys_which { KEYS_IDENTITY, KEYS_TLS, KEYS_SEALING, KEYS_HYBRID, KEYS_WHICH_COUNT };
/* "identity"…; static storage. */
const char *keys_which_name(enum keys_which which);
/* KW_EFIELD: no such name; the hybrid key has none here, as it is replaced with the sealing key. */
KW_MUST_USE enum kw_err keys_which_from(const char *name, enum keys_which *out);
/* Makes a new one, unless one is being brought in already. reason: enum kw_identity_reason, for KEYS_IDENTITY.
 * KW_EFULL: KEYS_FORMER_MAX former keys of this kind are kept still; KW_EVERSION: no ML-KEM here, for KEYS_HYBRID; KW_ECRYPTO. */
KW_MUST_USE enum kw_err keys_next_make(struct keys *keys, enum keys_which which, uint8_t reason);
bool keys_next_is(const struct keys *keys, enum keys_which which);
/* Wipes the one that keys_next_make made: it could not be written, so nobody may hear of it. */
void keys_next_drop(struct keys *keys, enum keys_which which);
/* The new one takes its place; the former one is wiped, or kept until then (KEYS_SEALING, KEYS_HYBRID). KW_ECRYPTO. */
KW_MUST_USE enum kw_err keys_next_take(struct keys *keys, enum keys_which which, int64_t until_unix_ms);
/* Wipes former sealing and hybrid keys whose time is over. True: there were some. */
bool keys_former_drop(struct keys *keys, int64_t now_unix_ms);
/* The secret with which what was sealed to `key_id` opens: the present one, the next one, or a former one. KW_ENOTFOUND. */
KW_MUST_USE enum kw_err keys_sealing_find(const struct keys *keys, struct kw_view key_id, struct kw_x25519 *out);

/* keys_hybrid.c. The same for what was sealed in the hybrid suite. KW_ENOTFOUND; KW_EVERSION: no ML-KEM here. */
KW_MUST_USE enum kw_err keys_hybrid_find(const struct keys *keys, struct kw_view key_id, struct kw_hybrid *out);
/* Whether this public key, KW_HYBRID_PUBLIC_SIZE bytes, is of it. */
bool keys_hybrid_is(const struct keys_hybrid *key, const uint8_t *public_key);
/* For keys_next.c. */
KW_MUST_USE enum kw_err keys_hybrid_make(struct keys *keys);
void keys_hybrid_take(struct keys *keys, int64_t until_unix_ms);
bool keys_hybrid_drop(struct keys *keys, int64_t now_unix_ms);

/* First KEYS_ID_SIZE bytes of SHA-256 of a 32-byte public key. */
KW_MUST_USE enum kw_err keys_id(const uint8_t *public_key, uint8_t *out);

#endif
