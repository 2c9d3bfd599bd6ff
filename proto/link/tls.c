#include "proto/link/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "proto/base/check.h"
#include "proto/link/tls_inner.h"
#include "proto/wire/spki.h"

/* A BIO over the engine's two buffers: reads take from the lent view, writes append to `out`. Memory BIOs would keep
 * their largest size for the life of each connection. */
static int bio_write(BIO *bio, const char *data, int size)
{
	struct kw_tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (kw_buf_add(&tls->out, KW_VIEW(data, (size_t)size)) != KW_OK)
		return -1;
	return size;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct kw_tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (tls->in.size == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	size_t take = tls->in.size < (size_t)size ? tls->in.size : (size_t)size;
	memcpy(data, tls->in.data, take);
	tls->in.data += take;
	tls->in.size -= take;
	return (int)take;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

BIO_METHOD *kw_tls_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kinward");
	if (method == NULL)
		return NULL;
	if (BIO_meth_set_write(method, bio_write) != 1 || BIO_meth_set_read(method, bio_read) != 1 ||
		BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

struct kw_tls *kw_tls_new(struct kw_tls_context *context)
{
	struct kw_tls *tls = calloc(1, sizeof(*tls));
	if (tls == NULL)
		return NULL;
	tls->context = context;
	kw_buf_init(&tls->out, KW_TLS_OUT_SIZE_MAX);
	BIO *bio = BIO_new(context->bio);
	tls->ssl = SSL_new(context->ssl);
	if (bio == NULL || tls->ssl == NULL) {
		BIO_free(bio);
		kw_tls_free(tls);
		return NULL;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	if (context->role == KW_TLS_HUB) {
		SSL_set_accept_state(tls->ssl);
	} else {
		SSL_set_connect_state(tls->ssl);
		/* A session that does not fit any more only costs the full handshake. */
		if (context->session != NULL)
			(void)SSL_set_session(tls->ssl, context->session);
		kw_tls_known_say(tls);
	}
	return tls;
}

void kw_tls_free(struct kw_tls *tls)
{
	if (tls == NULL)
		return;
	/* Or libssl would spoil the session of every connection that broke. */
	if (tls->ready)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	kw_buf_fini(&tls->out);
	free(tls);
}

/* Why a handshake failed. What time makes wrong is told apart: one of the two clocks may be to blame, and people can mend that. */
static enum kw_err refused(const struct kw_tls *tls)
{
	long result = SSL_get_verify_result(tls->ssl);
	return result == X509_V_ERR_CERT_HAS_EXPIRED || result == X509_V_ERR_CERT_NOT_YET_VALID ? KW_EEXPIRED : KW_EAUTH;
}

/* What libssl's answer means. KW_OK: it waits for more bytes. */
static enum kw_err judge(struct kw_tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return KW_OK;
	case SSL_ERROR_ZERO_RETURN:
		return KW_ECLOSED;
	default:
		ERR_clear_error();
		return tls->ready ? KW_EPROTO : refused(tls);
	}
}

enum kw_err kw_tls_handshake(struct kw_tls *tls)
{
	if (tls->ready)
		return KW_OK;
	ERR_clear_error();
	int result = SSL_do_handshake(tls->ssl);
	if (result != 1)
		return judge(tls, result);
	tls->ready = true;
	return KW_OK;
}

enum kw_err kw_tls_receive(struct kw_tls *tls, struct kw_view cipher, struct kw_buf *plain)
{
	tls->in = cipher;
	enum kw_err err = kw_tls_handshake(tls);
	while (err == KW_OK && tls->ready) {
		err = kw_buf_reserve(plain, KW_TLS_RECORD_SIZE_MAX);
		if (err != KW_OK)
			break;
		size_t got = 0;
		ERR_clear_error();
		int result = SSL_read_ex(tls->ssl, plain->data + plain->size, KW_TLS_RECORD_SIZE_MAX, &got);
		if (result != 1) {
			err = judge(tls, result);
			break;
		}
		plain->size += got;
	}
	KW_ASSERT(err != KW_OK || tls->in.size == 0);
	tls->in = (struct kw_view){0};
	return err;
}

bool kw_tls_ready(const struct kw_tls *tls)
{
	return tls->ready;
}

enum kw_err kw_tls_send(struct kw_tls *tls, struct kw_view plain)
{
	KW_ASSERT(tls->ready);
	while (plain.size > 0) {
		size_t sent = 0;
		ERR_clear_error();
		if (SSL_write_ex(tls->ssl, plain.data, plain.size, &sent) != 1) {
			ERR_clear_error();
			return KW_EPROTO;
		}
		plain.data += sent;
		plain.size -= sent;
	}
	return KW_OK;
}

void kw_tls_close(struct kw_tls *tls)
{
	if (!tls->ready)
		return;
	(void)SSL_shutdown(tls->ssl); /* best effort: the socket closes anyway */
	ERR_clear_error();
}

struct kw_view kw_tls_pending(struct kw_tls *tls)
{
	return kw_buf_view(&tls->out);
}

void kw_tls_sent(struct kw_tls *tls, size_t size)
{
	if (size >= tls->out.size)
		kw_buf_fini(&tls->out); /* idle connections own no buffer */
	else
		kw_buf_drop(&tls->out, size);
}

static enum kw_err export_binding(SSL *ssl, struct kw_digest *out)
{
	static const char LABEL[] = "EXPORTER-kinward-enrol/1";
	return SSL_export_keying_material(ssl, out->bytes, sizeof(out->bytes), LABEL, sizeof(LABEL) - 1, NULL, 0, 0) == 1 ? KW_OK
		: KW_ECRYPTO;
}

enum kw_err kw_tls_peer(struct kw_tls *tls, struct kw_tls_peer *out)
{
	KW_ASSERT(tls->ready);
	struct kw_tls_peer peer = {.kind = KW_PEER_NONE};
	const unsigned char *alpn = NULL;
	unsigned int alpn_size = 0;
	SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_size);
	peer.enrolling = alpn_size == sizeof(KW_TLS_ALPN_ENROL) - 2;
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	enum kw_err err = KW_OK;
	if (certificate != NULL) {
		struct kw_spki_name name;
		err = kw_spki_name_of(certificate, &name);
		if (err == KW_OK)
			err = kw_spki_digest(certificate, &peer.key);
		if (err == KW_OK)
			err = kw_spki_expires(certificate, &peer.expires_unix_ms);
		if (err == KW_OK) {
			peer.kind = name.kind == KW_SPKI_AGENCY ? KW_PEER_AGENCY : KW_PEER_HUB;
			peer.agency = name.agency;
			peer.hub = name.hub;
		}
	} else if (!peer.enrolling) {
		err = KW_EAUTH;
	}
	X509_free(certificate);
	if (err == KW_OK && peer.enrolling)
		err = export_binding(tls->ssl, &peer.binding);
	if (err == KW_OK)
		*out = peer;
	return err;
}

enum kw_err kw_tls_export(const struct kw_tls *tls, const char *label, void *out, size_t size)
{
	KW_ASSERT(tls->ready);
	if (SSL_export_keying_material(tls->ssl, out, size, label, strlen(label), NULL, 0, 0) == 1)
		return KW_OK;
	ERR_clear_error();
	return KW_ECRYPTO;
}

const char *kw_tls_group(const struct kw_tls *tls)
{
	const char *name = SSL_group_to_name(tls->ssl, (int)SSL_get_negotiated_group(tls->ssl));
	return name == NULL ? "unknown" : name;
}

bool kw_tls_resumed(const struct kw_tls *tls)
{
	return SSL_session_reused(tls->ssl) == 1;
}
