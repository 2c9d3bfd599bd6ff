#ifndef KW_LINK_TLS_INNER_H
#define KW_LINK_TLS_INNER_H

#include "proto/link/tls.h"

/* Shared by tls.c (engine) and tls_context.c (policy). */

#define KW_TLS_OUT_SIZE_MAX (4u << 20) /* ciphertext that waits for the network, per connection */
#define KW_TLS_RECORD_SIZE_MAX 16384u

struct kw_tls_sessions;

struct kw_tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	enum kw_tls_role role;
	struct kw_digest root_fingerprint;
	X509 *root;           /* enrolment: found by its fingerprint; hub: what it shows to those who enrol */
	SSL_SESSION *session; /* agent: the last one, for resumption */
	struct kw_tls_sessions *sessions; /* hub */
	X509_NAME *mark;      /* of the authority that issued our certificate; NULL when nothing of the chain is left away */
};

struct kw_tls {
	SSL *ssl;
	struct kw_tls_context *context;
	struct kw_view in; /* lent for one call */
	struct kw_buf out;
	bool ready;
};

#define KW_TLS_ALPN_MAIN "\x09kinward/1"
#define KW_TLS_ALPN_ENROL "\x0fkinward-enrol/1"

BIO_METHOD *kw_tls_bio_method(void);

/* tls_known.c. After the certificates and the root are loaded; 0 as libssl does when it fails. */
int kw_tls_known_init(struct kw_tls_context *context);
/* For a client that is about to start its handshake. */
void kw_tls_known_say(const struct kw_tls *tls);

/* tls_session.c. NULL when memory is out. */
struct kw_tls_sessions *kw_tls_sessions_new(void);
/* Accepts NULL. */
void kw_tls_sessions_free(struct kw_tls_sessions *sessions);
/* Keeps a copy. Failing is harmless: it is only forgotten. */
void kw_tls_sessions_put(struct kw_tls_sessions *sessions, SSL_SESSION *session);
/* Gives the session out once; the caller's. NULL when there is none. */
SSL_SESSION *kw_tls_sessions_take(struct kw_tls_sessions *sessions, struct kw_view id);

#endif
