/* Certificates that the peer has already are not sent. An agency and its hub have their certificates from the same
 * authority, and each keeps that authority's beside its own. So each says which it knows, and the other leaves it away:
 *
 *   client: ClientHello with certificate_authorities (RFC 8446 §4.2.4), the mark of the authority it knows
 *   server: sends its leaf alone if that is its own authority, the whole chain otherwise; says the same in its
 *           CertificateRequest
 *   client: does as the server did
 *
 * A mark is the hash of the authority's key in the form of a name, so two authorities of one name are never mixed up:
 * after a change of authority both sides send whole chains until both have the new one. Who does not know of marks
 * sends none and gets the whole chain. Nothing is trusted for being known: the way still has to end at the root. */

#include <openssl/x509v3.h>

#include "proto/link/tls_inner.h"
#include "proto/wire/spki.h"

#define MARK_SIZE 8u /* of the hash; it only has to tell authorities apart, and each byte travels in each handshake */

static X509_NAME *mark_of(X509 *authority)
{
	struct kw_digest digest;
	char text[2 * MARK_SIZE + 1];
	if (kw_spki_digest(authority, &digest) != KW_OK)
		return NULL;
	kw_hex(text, KW_VIEW(digest.bytes, MARK_SIZE));
	X509_NAME *name = X509_NAME_new();
	if (name == NULL ||
		X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (unsigned char *)text, -1, -1, 0) != 1) {
		X509_NAME_free(name);
		return NULL;
	}
	return name;
}

static STACK_OF(X509_NAME) *list_of(const X509_NAME *mark)
{
	STACK_OF(X509_NAME) *list = sk_X509_NAME_new_null();
	X509_NAME *copy = X509_NAME_dup(mark);
	if (list != NULL && copy != NULL && sk_X509_NAME_push(list, copy) > 0)
		return list;
	X509_NAME_free(copy);
	sk_X509_NAME_free(list);
	return NULL;
}

/* Called when the peer's list is known and our certificate is about to be chosen. */
static int choose_chain(SSL *ssl, void *user)
{
	const struct kw_tls_context *context = user;
	const STACK_OF(X509_NAME) *theirs = SSL_get0_peer_CA_list(ssl);
	for (int i = 0; i < sk_X509_NAME_num(theirs); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(theirs, i), context->mark) == 0)
			return SSL_set0_chain(ssl, NULL) == 1;
	return 1;
}

int kw_tls_known_init(struct kw_tls_context *context)
{
	SSL_CTX *ssl = context->ssl;
	STACK_OF(X509) *sent = NULL;
	if (SSL_CTX_get0_chain_certs(ssl, &sent) != 1)
		return 0;
	if (sk_X509_num(sent) != 1)
		return 1; /* nothing between leaf and root, or more than one authority: nothing to leave away */
	X509 *authority = sk_X509_value(sent, 0);
	context->mark = mark_of(authority);
	/* In the store it completes a chain. It is no trust anchor, because partial chains stay off. */
	if (context->mark == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority) != 1)
		return 0;
	/* Or libssl would complete what we leave away. */
	SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_cert_cb(ssl, choose_chain, context);
	if (context->role != KW_TLS_HUB)
		return 1;
	STACK_OF(X509_NAME) *list = list_of(context->mark);
	if (list == NULL)
		return 0;
	SSL_CTX_set0_CA_list(ssl, list);
	return 1;
}

void kw_tls_known_say(const struct kw_tls *tls)
{
	/* In a resumption no certificate travels. Without memory for it the handshake is only longer. */
	if (tls->context->mark == NULL || tls->context->session != NULL)
		return;
	STACK_OF(X509_NAME) *list = list_of(tls->context->mark);
	if (list != NULL)
		SSL_set0_CA_list(tls->ssl, list);
}
