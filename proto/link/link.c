#include "proto/link/link.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/link/link_inner.h"

/* In steps: TCP up → handshake by reads → identity → on_open → frames → close.
 * Each step fails into link_drop (nothing more can be said) or kw_link_close (say goodbye first). */

struct kw_link *link_new(struct kw_net *net, struct kw_tls_context *context, const struct kw_link_hooks *hooks)
{
	struct kw_link *link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->tls = kw_tls_new(context);
	if (link->tls == NULL || uv_tcp_init(net->loop, &link->tcp) != 0) {
		kw_tls_free(link->tls);
		free(link);
		return NULL;
	}
	link->net = net;
	link->hooks = *hooks;
	link->tcp.data = link;
	link->write.data = link;
	link->state = LINK_OPENING;
	kw_buf_init(&link->out, KW_LINK_OUT_SIZE_MAX);
	kw_buf_init(&link->partial, LINK_PLAIN_SIZE_MAX);
	net->stats.links++;
	return link;
}

static void half_open_end(struct kw_link *link)
{
	if (!link->is_half_open)
		return;
	link->is_half_open = false;
	link->net->half_open--;
}

static void end(struct kw_link *link)
{
	if (!link->is_handle_closed || link->resolving != NULL)
		return;
	half_open_end(link);
	link->net->stats.links--;
	link->hooks.on_close(link->hooks.user, link, link->err);
	if (link->server != NULL)
		server_link_gone(link->server);
	kw_tls_free(link->tls);
	kw_buf_fini(&link->out);
	kw_buf_fini(&link->partial);
	kw_buf_fini(&link->writing);
	free(link);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct kw_link *link = handle->data;
	link->is_handle_closed = true;
	end(link);
}

void link_closed_late(struct kw_link *link)
{
	end(link);
}

void link_drop(struct kw_link *link, enum kw_err err)
{
	if (link->is_closing_handle)
		return;
	if (link->state != LINK_CLOSING)
		link->err = err;
	link->state = LINK_CLOSING;
	link->is_closing_handle = true;
	net_unwatch(link);
	if (link->is_dirty) {
		/* Unlink: the list is short, and the link must not be found there once it is freed. */
		struct kw_link **at = &link->net->dirty;
		while (*at != NULL && *at != link)
			at = &(*at)->next_dirty;
		if (*at == link)
			*at = link->next_dirty;
		link->is_dirty = false;
	}
	if (link->resolving != NULL)
		(void)uv_cancel((uv_req_t *)link->resolving); /* when it is too late, its callback comes anyway */
	uv_close((uv_handle_t *)&link->tcp, on_handle_closed);
}

static void written_all(struct kw_link *link)
{
	if (link->state == LINK_CLOSING)
		link_drop(link, link->err);
	else if (link->state == LINK_OPEN)
		link->hooks.on_drained(link->hooks.user, link);
}

static void on_written(uv_write_t *write, int status)
{
	struct kw_link *link = write->data;
	link->is_writing = false;
	kw_buf_fini(&link->writing);
	if (link->is_closing_handle)
		return;
	if (status != 0) {
		link_drop(link, KW_ECLOSED);
		return;
	}
	if (kw_tls_pending(link->tls).size > 0 || link->out.size > 0)
		net_dirty(link);
	else
		written_all(link);
}

/* Hands the rest to uv_write, which keeps it until the network takes it. */
static void write_rest(struct kw_link *link, struct kw_view rest)
{
	kw_buf_init(&link->writing, rest.size);
	if (kw_buf_add(&link->writing, rest) != KW_OK) {
		link_drop(link, KW_ENOMEM);
		return;
	}
	kw_tls_sent(link->tls, rest.size);
	uv_buf_t buf = uv_buf_init((char *)link->writing.data, (unsigned int)link->writing.size);
	link->is_writing = true;
	if (uv_write(&link->write, (uv_stream_t *)&link->tcp, &buf, 1, on_written) != 0) {
		link->is_writing = false;
		link_drop(link, KW_ECLOSED);
	}
}

void link_flush(struct kw_link *link)
{
	if (link->is_closing_handle || link->is_writing)
		return;
	if (link->out.size > 0 && kw_tls_ready(link->tls)) {
		enum kw_err err = kw_tls_send(link->tls, kw_buf_view(&link->out));
		kw_buf_fini(&link->out);
		if (err != KW_OK) {
			link_drop(link, err);
			return;
		}
	}
	struct kw_view pending = kw_tls_pending(link->tls);
	link->net->stats.bytes_out += pending.size;
	link->stats.bytes_out += pending.size;
	while (pending.size > 0) {
		uv_buf_t buf = uv_buf_init((char *)(uintptr_t)pending.data, (unsigned int)pending.size);
		int sent = uv_try_write((uv_stream_t *)&link->tcp, &buf, 1);
		if (sent == UV_EAGAIN)
			break;
		if (sent < 0) {
			link_drop(link, KW_ECLOSED);
			return;
		}
		kw_tls_sent(link->tls, (size_t)sent);
		pending = kw_tls_pending(link->tls);
	}
	if (pending.size > 0)
		write_rest(link, pending);
	else
		written_all(link);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)suggested;
	struct kw_link *link = handle->data;
	*buf = uv_buf_init(link->net->read, LINK_READ_SIZE);
}

static void got_frame(struct kw_link *link, const struct kw_frame *frame)
{
	if (link->is_half_open) {
		half_open_end(link);
		net_unwatch(link);
	}
	link->hooks.on_frame(link->hooks.user, link, frame);
}

/* Hands out the whole frames at the front of `bytes`; used says how much they took. */
static enum kw_err take_frames(struct kw_link *link, struct kw_view bytes, size_t *used)
{
	*used = 0;
	while (link->state == LINK_OPEN) {
		struct kw_frame frame;
		size_t took;
		size_t size_max = link->is_half_open ? KW_FRAME_SIZE_MAX_PREAUTH : KW_FRAME_SIZE_MAX;
		struct kw_view rest = KW_VIEW(bytes.data + *used, bytes.size - *used);
		enum kw_err err = kw_frame_next(rest, size_max, &frame, &took);
		if (err != KW_OK)
			return err;
		if (took == 0)
			return KW_OK;
		*used += took;
		got_frame(link, &frame);
	}
	return KW_OK;
}

static enum kw_err opened(struct kw_link *link)
{
	struct kw_tls_peer peer;
	enum kw_err err = kw_tls_peer(link->tls, &peer);
	if (err != KW_OK)
		return err;
	link->state = LINK_OPEN;
	if (link->server == NULL)
		net_unwatch(link);
	else
		net_watch(link, link->server->limits.first_frame_ms);
	link->hooks.on_open(link->hooks.user, link, &peer);
	return KW_OK;
}

static enum kw_err take_plain(struct kw_link *link, struct kw_buf *plain)
{
	size_t used = 0;
	enum kw_err err = KW_OK;
	if (link->state == LINK_OPENING && kw_tls_ready(link->tls))
		err = opened(link);
	if (err == KW_OK && plain->size > 0)
		err = take_frames(link, kw_buf_view(plain), &used);
	if (err != KW_OK)
		return err;
	if (plain == &link->partial) {
		kw_buf_drop(plain, used);
		if (plain->size == 0)
			kw_buf_fini(plain);
		return KW_OK;
	}
	return kw_buf_add(&link->partial, KW_VIEW(plain->data + used, plain->size - used));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	struct kw_link *link = stream->data;
	if (size == 0 || link->is_closing_handle)
		return;
	if (size < 0) {
		link_drop(link, KW_ECLOSED);
		return;
	}
	if (link->state == LINK_CLOSING)
		return;
	link->net->stats.bytes_in += (uint64_t)size;
	link->stats.bytes_in += (uint64_t)size;
	struct kw_buf *plain = link->partial.size > 0 ? &link->partial : &link->net->plain;
	if (plain == &link->net->plain)
		kw_buf_clear(plain);
	enum kw_err err = kw_tls_receive(link->tls, KW_VIEW(buf->base, (size_t)size), plain);
	/* What arrived before the end still counts. */
	enum kw_err frames = err == KW_OK || err == KW_ECLOSED ? take_plain(link, plain) : KW_OK;
	if (err == KW_OK)
		err = frames;
	if (err != KW_OK)
		kw_link_close(link, err);
	else if (kw_tls_pending(link->tls).size > 0)
		net_dirty(link);
}

void link_start(struct kw_link *link)
{
	struct sockaddr_storage peer;
	int size = sizeof(peer);
	if (uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&peer, &size) == 0)
		(void)uv_ip_name((const struct sockaddr *)&peer, link->address, sizeof(link->address));
	(void)uv_tcp_nodelay(&link->tcp, 1); /* only slower without */
	enum kw_err err = kw_tls_handshake(link->tls);
	if (err != KW_OK || uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read) != 0) {
		link_drop(link, err != KW_OK ? err : KW_ECLOSED);
		return;
	}
	net_dirty(link);
}

struct kw_buf *kw_link_out(struct kw_link *link)
{
	return link->state == LINK_OPEN ? &link->out : NULL;
}

void kw_link_ready(struct kw_link *link)
{
	if (link->state == LINK_OPEN)
		net_dirty(link);
}

void kw_link_close(struct kw_link *link, enum kw_err err)
{
	if (link->state == LINK_CLOSING)
		return;
	link->state = LINK_CLOSING;
	link->err = err;
	/* The goodbye belongs behind the last frame. */
	if (link->out.size > 0 && kw_tls_ready(link->tls)) {
		if (kw_tls_send(link->tls, kw_buf_view(&link->out)) != KW_OK)
			link->err = err != KW_OK ? err : KW_EPROTO;
		kw_buf_fini(&link->out);
	}
	kw_tls_close(link->tls);
	net_watch(link, KW_LINK_CLOSE_MS);
	net_dirty(link);
}

void kw_link_pause(struct kw_link *link)
{
	if (link->is_paused || link->is_closing_handle)
		return;
	link->is_paused = true;
	(void)uv_read_stop((uv_stream_t *)&link->tcp); /* always succeeds */
}

void kw_link_resume(struct kw_link *link)
{
	if (!link->is_paused || link->is_closing_handle)
		return;
	link->is_paused = false;
	if (uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read) != 0)
		link_drop(link, KW_ECLOSED);
}

size_t kw_link_pending_bytes(const struct kw_link *link)
{
	return link->out.size + kw_tls_pending(link->tls).size + link->writing.size;
}

void kw_link_stats_get(const struct kw_link *link, struct kw_link_stats *out)
{
	*out = link->stats;
}

void kw_link_user_set(struct kw_link *link, void *user)
{
	link->user = user;
}

void *kw_link_user(const struct kw_link *link)
{
	return link->user;
}

const char *kw_link_address(const struct kw_link *link)
{
	return link->address;
}

enum kw_err kw_link_export(const struct kw_link *link, const char *label, void *out, size_t size)
{
	KW_ASSERT(link->state == LINK_OPEN);
	return kw_tls_export(link->tls, label, out, size);
}

const char *kw_link_group(const struct kw_link *link)
{
	return kw_tls_group(link->tls);
}
