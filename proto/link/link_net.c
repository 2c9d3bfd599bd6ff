#include <stdlib.h>

#include "proto/base/check.h"
#include "proto/link/link_inner.h"

#define CLOCK_MS 250u

static void on_no_wait(uv_idle_t *idle)
{
	(void)idle;
}

/* Links that are written to again while this runs wait for the next turn: one busy link cannot hold the loop. */
static void on_turn_end(uv_prepare_t *prepare)
{
	struct kw_net *net = prepare->data;
	struct kw_link *link = net->dirty;
	net->dirty = NULL;
	uv_idle_stop(&net->no_wait);
	while (link != NULL) {
		struct kw_link *next = link->next_dirty;
		link->next_dirty = NULL;
		link->is_dirty = false;
		link_flush(link);
		link = next;
	}
}

static void on_clock(uv_timer_t *timer)
{
	struct kw_net *net = timer->data;
	uint64_t now = uv_now(net->loop);
	server_resume_all(net);
	struct kw_link *link = net->watched;
	while (link != NULL) {
		struct kw_link *next = link->next_watched;
		if (now >= link->deadline_ms)
			link_drop(link, link->state == LINK_CLOSING ? link->err : KW_ETIMEOUT);
		link = next;
	}
}

enum kw_err kw_net_new(uv_loop_t *loop, struct kw_net **out)
{
	struct kw_net *net = calloc(1, sizeof(*net));
	if (net == NULL)
		return KW_ENOMEM;
	net->loop = loop;
	kw_buf_init(&net->plain, LINK_PLAIN_SIZE_MAX);
	/* These three cannot fail: they only fill the structs. */
	(void)uv_prepare_init(loop, &net->turn_end);
	(void)uv_idle_init(loop, &net->no_wait);
	(void)uv_timer_init(loop, &net->clock);
	net->turn_end.data = net;
	net->no_wait.data = net;
	net->clock.data = net;
	net->open_handles = 3;
	(void)uv_prepare_start(&net->turn_end, on_turn_end);
	(void)uv_timer_start(&net->clock, on_clock, CLOCK_MS, CLOCK_MS);
	/* A loop ends when its links and servers have ended. */
	uv_unref((uv_handle_t *)&net->turn_end);
	uv_unref((uv_handle_t *)&net->clock);
	*out = net;
	return KW_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct kw_net *net = handle->data;
	if (--net->open_handles > 0)
		return;
	kw_buf_fini(&net->plain);
	free(net);
}

void kw_net_free(struct kw_net *net)
{
	if (net == NULL)
		return;
	KW_ASSERT(net->stats.links == 0);
	uv_close((uv_handle_t *)&net->turn_end, on_handle_closed);
	uv_close((uv_handle_t *)&net->no_wait, on_handle_closed);
	uv_close((uv_handle_t *)&net->clock, on_handle_closed);
}

void kw_net_stats_get(const struct kw_net *net, struct kw_net_stats *out)
{
	*out = net->stats;
}

void net_dirty(struct kw_link *link)
{
	struct kw_net *net = link->net;
	if (link->is_dirty)
		return;
	link->is_dirty = true;
	link->next_dirty = net->dirty;
	net->dirty = link;
	(void)uv_idle_start(&net->no_wait, on_no_wait);
}

void net_watch(struct kw_link *link, uint32_t after_ms)
{
	struct kw_net *net = link->net;
	link->deadline_ms = uv_now(net->loop) + after_ms;
	if (link->link_watched != NULL)
		return;
	link->next_watched = net->watched;
	link->link_watched = &net->watched;
	if (net->watched != NULL)
		net->watched->link_watched = &link->next_watched;
	net->watched = link;
}

void net_unwatch(struct kw_link *link)
{
	if (link->link_watched == NULL)
		return;
	*link->link_watched = link->next_watched;
	if (link->next_watched != NULL)
		link->next_watched->link_watched = link->link_watched;
	link->link_watched = NULL;
	link->next_watched = NULL;
}
