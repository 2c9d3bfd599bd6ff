#ifndef KW_LINK_TLS_H
#define KW_LINK_TLS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"

/* TLS 1.3 as an engine: ciphertext in, plaintext out, and back; no sockets. One context per role, one engine per
 * connection. Contexts: private roots only, strict X.509, depth 2, security level 3, AES-256-GCM and ChaCha20-Poly1305,
 * groups X25519MLKEM768:X25519 where libcrypto has them and X25519 otherwise, no early data, no compression. */

enum kw_tls_role {
	KW_TLS_AGENT,        /* client: agency to hub, both authenticated, ALPN kinward/1 */
	KW_TLS_HUB,          /* server: both ALPNs; a client certificate is demanded for kinward/1 */
	KW_TLS_ENROL         /* client: new agency to hub, the hub authenticated, ALPN kinward-enrol/1 */
};

struct kw_tls_files {
	const char *chain;  /* PEM, leaf first; NULL for KW_TLS_ENROL */
	EVP_PKEY *key;      /* the leaf's private key; borrowed; NULL for KW_TLS_ENROL */
	X509 *root;         /* the only trust anchor; borrowed. NULL for KW_TLS_ENROL: root_fingerprint decides */
	struct kw_digest root_fingerprint; /* SHA-256 of the root's SubjectPublicKeyInfo; KW_TLS_ENROL only */
};

struct kw_tls_context;

/* KW_EAUTH when chain, key and root do not fit each other, KW_EIO, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_tls_context_new(enum kw_tls_role role, const struct kw_tls_files *files,
	struct kw_tls_context **out);
/* From now on new engines show this chain and key; those that are there go on with what they have. An agent's session is forgotten: it
 * was of the former certificate. The root stays. Errors as above; then the context may be spoilt for new engines: try again. */
KW_MUST_USE enum kw_err kw_tls_context_reload(struct kw_tls_context *context, const struct kw_tls_files *files);
/* Accepts NULL. Its engines must be freed before. */
void kw_tls_context_free(struct kw_tls_context *context);

/* Only for KW_TLS_ENROL: the root that the last successful handshake found by its fingerprint, to be stored; borrowed, valid until
 * the next handshake or free. NULL before. */
X509 *kw_tls_context_root(const struct kw_tls_context *context);

struct kw_tls;

enum kw_tls_peer_kind {
	KW_PEER_NONE,   /* no certificate (enrolment) */
	KW_PEER_AGENCY, /* URI SAN kinward:agency:NAME@HUB */
	KW_PEER_HUB     /* URI SAN kinward:hub:HUB */
};

struct kw_tls_peer {
	enum kw_tls_peer_kind kind;
	struct kw_name agency;  /* of KW_PEER_AGENCY */
	struct kw_name hub;
	struct kw_digest key;   /* SHA-256 of the leaf's SubjectPublicKeyInfo */
	bool enrolling;         /* ALPN kinward-enrol/1 */
	struct kw_digest binding; /* when enrolling: TLS exporter (RFC 8446 §7.5), the same at both ends of this connection only */
	/* When the leaf expires. A hub's handshake lets an agency in whose certificate, good in all else, has expired: so that it can be
	 * told. Nothing may be served to it. Also when a session was resumed, which looks at no certificate. */
	int64_t expires_unix_ms;
};

/* True when the handshake resumed an earlier session. */
bool kw_tls_resumed(const struct kw_tls *tls);

/* NULL when memory is out. */
struct kw_tls *kw_tls_new(struct kw_tls_context *context);
/* Accepts NULL. */
void kw_tls_free(struct kw_tls *tls);

/* Takes ciphertext from the network and appends plaintext to `plain`. Ciphertext to send may be due afterwards.
 * KW_ECLOSED  the peer ended TLS properly
 * KW_EAUTH    the handshake failed: certificate, root, ALPN or version
 * KW_EEXPIRED the same, because the peer's certificate is not good at this machine's time: expired, or not good yet
 * KW_EPROTO   broken records; KW_ENOMEM, KW_ETOOBIG (plain is full: drain it and call again with no bytes) */
KW_MUST_USE enum kw_err kw_tls_receive(struct kw_tls *tls, struct kw_view cipher, struct kw_buf *plain);
/* Starts or goes on with the handshake. */
KW_MUST_USE enum kw_err kw_tls_handshake(struct kw_tls *tls);
bool kw_tls_ready(const struct kw_tls *tls);
/* Encrypts all of `plain` in records of up to 16 KiB. Only when ready. */
KW_MUST_USE enum kw_err kw_tls_send(struct kw_tls *tls, struct kw_view plain);
/* Says goodbye (close_notify); errors do not matter any more. */
void kw_tls_close(struct kw_tls *tls);
/* Ciphertext that waits to be sent: a view, valid until the next call on tls. Drop what the network took. */
struct kw_view kw_tls_pending(struct kw_tls *tls);
void kw_tls_sent(struct kw_tls *tls, size_t size);

/* Who the peer is; only when ready. The handshake has made sure that the authority of the leaf's own hub issued it. Whether
 * that is the right hub, and the agency in the directory, is the caller's to check.
 * KW_EAUTH  no certificate on kinward/1, or one that names nobody */
KW_MUST_USE enum kw_err kw_tls_peer(struct kw_tls *tls, struct kw_tls_peer *out);
/* Bytes that both ends of this connection have, and nobody else, and no other connection (RFC 8446 §7.5; RFC 5705 without a context):
 * a signature over them is good here alone. Only when ready. label: begins with "EXPORTER". KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_tls_export(const struct kw_tls *tls, const char *label, void *out, size_t size);
/* The key exchange group in use, for the log; static storage. */
const char *kw_tls_group(const struct kw_tls *tls);

#endif
