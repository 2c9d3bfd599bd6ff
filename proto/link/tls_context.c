#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "proto/base/check.h"
#include "proto/link/tls_inner.h"
#include "proto/wire/spki.h"

/* Policy, from the settings page of the protocol: everything not needed is off. */

#define SESSION_LIFE_S 86400
#define CERT_LIST_MAX 16384

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
	unsigned int in_size, void *user)
{
	struct kw_tls_context *context = user;
	static const unsigned char OURS[] = KW_TLS_ALPN_MAIN KW_TLS_ALPN_ENROL;
	unsigned char *chosen = NULL;
	if (SSL_select_next_proto(&chosen, out_size, OURS, sizeof(OURS) - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	if (*out_size != sizeof(KW_TLS_ALPN_ENROL) - 2)
		return SSL_TLSEXT_ERR_OK;
	/* Who enrols has no certificate yet; the code that it brings is checked instead, and nothing else is served. Nor has
	 * it the root, which it knows by its fingerprint only; for agents the root would be bytes wasted. */
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	if (context->root != NULL && SSL_add1_chain_cert(ssl, context->root) != 1)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static int server_put_session(SSL *ssl, SSL_SESSION *session)
{
	struct kw_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	/* An enrolment proves nobody, so there is nothing to resume. */
	if (SSL_SESSION_get0_peer(session) != NULL)
		kw_tls_sessions_put(context->sessions, session);
	return 0; /* the session stays libssl's */
}

static SSL_SESSION *server_take_session(SSL *ssl, const unsigned char *id, int size, int *copy)
{
	struct kw_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	*copy = 0;
	return size <= 0 ? NULL : kw_tls_sessions_take(context->sessions, KW_VIEW(id, (size_t)size));
}

/* The leaf may speak for a hub, or for an agency of it, only if that hub's own authority issued it: one hub's stolen
 * authority must not make agencies of another. */
static bool is_of_its_hub(STACK_OF(X509) *chain)
{
	struct kw_spki_name leaf;
	struct kw_spki_name issuer;
	return sk_X509_num(chain) == 3 && kw_spki_name_of(sk_X509_value(chain, 0), &leaf) == KW_OK &&
	       kw_spki_name_of(sk_X509_value(chain, 1), &issuer) == KW_OK && issuer.kind == KW_SPKI_HUB &&
	       kw_name_equal(&leaf.hub, &issuer.hub);
}

/* An agency whose certificate has expired, and nothing else, is let in to be told (tls.h, struct kw_tls_peer). */
static int pass_expired(int ok, X509_STORE_CTX *store)
{
	if (ok == 1 || X509_STORE_CTX_get_error(store) != X509_V_ERR_CERT_HAS_EXPIRED || X509_STORE_CTX_get_error_depth(store) != 0)
		return ok;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int verify_chain(X509_STORE_CTX *store)
{
	if (X509_verify_cert(store) != 1)
		return 0;
	if (is_of_its_hub(X509_STORE_CTX_get0_chain(store)))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* Afterwards only the leaf is needed: libssl would keep the rest in memory as long as the connection. `user`: NULL for a client. */
static int verify_peer(X509_STORE_CTX *store, void *user)
{
	if (user != NULL)
		X509_STORE_CTX_set_verify_cb(store, pass_expired);
	if (!verify_chain(store))
		return 0;
	X509_STORE_CTX_set0_verified_chain(store, NULL);
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
	while (sk_X509_num(sent) > 1)
		X509_free(sk_X509_pop(sent));
	return 1;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct kw_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_SESSION_free(context->session);
	context->session = session;
	return 1;
}

/* Enrolment: no root is known, only its fingerprint. The hub sends its whole chain; the certificate in it whose key has
 * that fingerprint becomes the one trust anchor, and the chain is verified as always. */
static int verify_pinned(X509_STORE_CTX *given, void *user)
{
	struct kw_tls_context *context = user;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(given);
	X509 *root = NULL;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		struct kw_digest digest;
		if (kw_spki_digest(sk_X509_value(chain, i), &digest) == KW_OK &&
			memcmp(&digest, &context->root_fingerprint, sizeof(digest)) == 0)
			root = sk_X509_value(chain, i);
	}
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *fresh = X509_STORE_CTX_new();
	int ok = 0;
	if (root != NULL && store != NULL && fresh != NULL && X509_STORE_add_cert(store, root) == 1 &&
		X509_STORE_CTX_init(fresh, store, X509_STORE_CTX_get0_cert(given), chain) == 1) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(fresh);
		X509_VERIFY_PARAM_set_depth(param, 2);
		X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
		ok = verify_chain(fresh);
		X509_STORE_CTX_set_error(given, X509_STORE_CTX_get_error(fresh));
	} else {
		X509_STORE_CTX_set_error(given, X509_V_ERR_CERT_UNTRUSTED);
	}
	if (ok && X509_up_ref(root) == 1) {
		X509_free(context->root);
		context->root = root;
	}
	X509_STORE_CTX_free(fresh);
	X509_STORE_free(store);
	return ok;
}

static int set_groups(SSL_CTX *ssl)
{
	if (SSL_CTX_set1_groups_list(ssl, "X25519MLKEM768:X25519") == 1)
		return 1;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(ssl, "X25519") == 1;
}

static int set_policy(SSL_CTX *ssl)
{
	SSL_CTX_set_security_level(ssl, 3);
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
		SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_NO_EXTENDED_MASTER_SECRET | SSL_OP_NO_ENCRYPT_THEN_MAC); /* of 1.2: bytes without a use */
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_max_cert_list(ssl, CERT_LIST_MAX);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_X509_STRICT);
	SSL_CTX_set_verify_depth(ssl, 2);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(ssl, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
	       SSL_CTX_set1_sigalgs_list(ssl, "ed25519:ECDSA+SHA256") == 1 && set_groups(ssl) == 1;
}

static int set_role(struct kw_tls_context *context)
{
	static const unsigned char ENROL[] = KW_TLS_ALPN_ENROL;
	static const unsigned char MAIN[] = KW_TLS_ALPN_MAIN;
	SSL_CTX *ssl = context->ssl;
	SSL_CTX_set_app_data(ssl, context);
	if (context->role == KW_TLS_HUB) {
		SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		SSL_CTX_set_cert_verify_callback(ssl, verify_peer, context);
		SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, context);
		SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ssl, server_put_session);
		SSL_CTX_sess_set_get_cb(ssl, server_take_session);
		SSL_CTX_set_timeout(ssl, SESSION_LIFE_S);
		return SSL_CTX_set_num_tickets(ssl, 1) == 1 &&
		       SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"kinward", 7) == 1;
	}
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if (context->role == KW_TLS_ENROL) {
		SSL_CTX_set_cert_verify_callback(ssl, verify_pinned, context);
		return SSL_CTX_set_alpn_protos(ssl, ENROL, sizeof(ENROL) - 1) == 0;
	}
	SSL_CTX_set_cert_verify_callback(ssl, verify_peer, NULL);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl, keep_session);
	return SSL_CTX_set_alpn_protos(ssl, MAIN, sizeof(MAIN) - 1) == 0;
}

/* The file may end with the root; the peers that need it get it by choose_alpn. */
static int drop_root(SSL_CTX *ssl, const X509 *root)
{
	STACK_OF(X509) *sent = NULL;
	if (SSL_CTX_get0_chain_certs(ssl, &sent) != 1)
		return 0;
	for (int i = sk_X509_num(sent) - 1; i >= 0; i--)
		if (X509_cmp(sk_X509_value(sent, i), root) == 0)
			X509_free(sk_X509_delete(sent, i));
	return 1;
}

static int set_identity(struct kw_tls_context *context, const struct kw_tls_files *files)
{
	SSL_CTX *ssl = context->ssl;
	if (files->chain != NULL &&
		(SSL_CTX_use_certificate_chain_file(ssl, files->chain) != 1 ||
			SSL_CTX_use_PrivateKey(ssl, files->key) != 1 || SSL_CTX_check_private_key(ssl) != 1))
		return 0;
	if (files->root == NULL)
		return 1;
	if (context->role == KW_TLS_HUB && X509_up_ref(files->root) == 1)
		context->root = files->root;
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), files->root) == 1 &&
	       (files->chain == NULL || (drop_root(ssl, files->root) && kw_tls_known_init(context)));
}

enum kw_err kw_tls_context_new(enum kw_tls_role role, const struct kw_tls_files *files, struct kw_tls_context **out)
{
	enum kw_err err = KW_ENOMEM;
	struct kw_tls_context *context = calloc(1, sizeof(*context));
	if (context == NULL)
		return KW_ENOMEM;
	context->role = role;
	context->root_fingerprint = files->root_fingerprint;
	context->bio = kw_tls_bio_method();
	context->ssl = SSL_CTX_new(role == KW_TLS_HUB ? TLS_server_method() : TLS_client_method());
	if (role == KW_TLS_HUB)
		context->sessions = kw_tls_sessions_new();
	if (context->bio == NULL || context->ssl == NULL || (role == KW_TLS_HUB && context->sessions == NULL))
		goto fail;
	err = KW_ECRYPTO;
	if (set_policy(context->ssl) != 1 || set_role(context) != 1)
		goto fail;
	err = KW_EAUTH;
	if (set_identity(context, files) != 1)
		goto fail;
	*out = context;
	return KW_OK;
fail:
	ERR_clear_error();
	kw_tls_context_free(context);
	return err;
}

enum kw_err kw_tls_context_reload(struct kw_tls_context *context, const struct kw_tls_files *files)
{
	SSL_CTX *ssl = context->ssl;
	KW_ASSERT(context->role != KW_TLS_ENROL && files->chain != NULL);
	SSL_SESSION_free(context->session);
	context->session = NULL;
	X509_NAME_free(context->mark);
	context->mark = NULL;
	enum kw_err err = KW_OK;
	if (SSL_CTX_use_certificate_chain_file(ssl, files->chain) != 1 || SSL_CTX_use_PrivateKey(ssl, files->key) != 1 ||
		SSL_CTX_check_private_key(ssl) != 1 || drop_root(ssl, files->root) != 1 || kw_tls_known_init(context) != 1)
		err = KW_EAUTH;
	ERR_clear_error();
	return err;
}

void kw_tls_context_free(struct kw_tls_context *context)
{
	if (context == NULL)
		return;
	X509_free(context->root);
	X509_NAME_free(context->mark);
	SSL_SESSION_free(context->session);
	SSL_CTX_free(context->ssl);
	kw_tls_sessions_free(context->sessions);
	BIO_meth_free(context->bio);
	free(context);
}

X509 *kw_tls_context_root(const struct kw_tls_context *context)
{
	return context->root;
}
