#ifndef AGENT_SHELL_KEYS_H
#define AGENT_SHELL_KEYS_H

#include <openssl/evp.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/wire/curve.h"

/* The secrets of an agency, in one file: identity (Ed25519), sealing (X25519), TLS (Ed25519) and the key of the spool.
 *
 * File: "KWK1", u8 cost_log2, u8 r, u8 p, u8 0, 16 bytes of salt, 12 of nonce, then AES-256-GCM of the four secrets under
 * scrypt(passphrase), the head being additional data. It lies outside the spool, because freed pages keep bytes. */

#define KEYS_PASSPHRASE_SIZE_MIN 8u
#define KEYS_PASSPHRASE_SIZE_MAX 1024u
#define KEYS_PASSPHRASE_ENV "KINWARD_PASSPHRASE"
#define KEYS_ID_SIZE 8u
#define KEYS_STORE_SIZE 32u

struct keys {
	struct kw_ed25519 identity;
	struct kw_x25519 sealing;
	uint8_t tls_seed[KW_KEY_SIZE];
	uint8_t store[KEYS_STORE_SIZE];
	uint8_t identity_id[KEYS_ID_SIZE]; /* first bytes of SHA-256 of the public key */
	uint8_t sealing_id[KEYS_ID_SIZE];
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
/* KW_EAUTH    wrong passphrase, or a damaged file: the two cannot be told apart
 * KW_EFORMAT  not a key file; errors of kw_file_read: KW_EDENIED for a mode looser than 0600 */
KW_MUST_USE enum kw_err keys_load(const char *path, struct kw_view passphrase, struct keys *out);
/* Wipes. Accepts NULL. */
void keys_fini(struct keys *keys);

/* The TLS key as an object of libcrypto; the caller frees it. */
KW_MUST_USE enum kw_err keys_tls(const struct keys *keys, EVP_PKEY **out);

/* First KEYS_ID_SIZE bytes of SHA-256 of a 32-byte public key. */
KW_MUST_USE enum kw_err keys_id(const uint8_t *public_key, uint8_t *out);

#endif
