#include <stdlib.h>

#include "broker/shell/hub_inner.h"
#include "proto/link/blob_node.h"

/* Blobs at the hub: taken from their owner, kept until the agency that they are for has them. A session of the exchange is
 * an agency's slot; connections come and go. Apart from the message lanes: only frames and the empty connection are shared. */

#define NO_CONN UINT32_MAX

struct hub_blobs {
	struct hub *hub;
	struct kw_blob_node *node;
	uint32_t conns_max;
	uint32_t *slot_of;  /* [conns_max]; STORE_SLOT_NONE: no session */
	uint32_t conn_of[STORE_SLOT_MAX];
};

static struct kw_buf *node_out(void *user, uint32_t slot)
{
	const struct hub_blobs *blobs = user;
	uint32_t conn = blobs->conn_of[slot];
	return conn == NO_CONN ? NULL : blobs->hub->wire.out(blobs->hub->wire.user, conn);
}

static void node_ready(void *user, uint32_t slot)
{
	const struct hub_blobs *blobs = user;
	if (blobs->conn_of[slot] != NO_CONN)
		blobs->hub->wire.ready(blobs->hub->wire.user, blobs->conn_of[slot]);
}

static size_t node_pending(void *user, uint32_t slot)
{
	const struct hub_blobs *blobs = user;
	uint32_t conn = blobs->conn_of[slot];
	return conn == NO_CONN ? SIZE_MAX : blobs->hub->wire.pending(blobs->hub->wire.user, conn);
}

static void node_close(void *user, uint32_t slot, enum kw_err err)
{
	const struct hub_blobs *blobs = user;
	if (blobs->conn_of[slot] != NO_CONN)
		blobs->hub->wire.close(blobs->hub->wire.user, blobs->conn_of[slot], err);
}

static enum kw_err node_admit(void *user, uint32_t slot, const struct kw_frame_blob_offer *offer,
	struct kw_blobs_entry *label)
{
	const struct hub_blobs *blobs = user;
	label->from = *roster_name(blobs->hub->roster, slot);
	if (offer->giver.text[0] != '\0' && !kw_name_equal(&offer->giver, &label->from))
		return KW_EDENIED; /* only its owner gives to a hub */
	label->taker = roster_find(blobs->hub->roster, &offer->ref.agency);
	/* As for messages: nothing is kept for one that will not come for it. */
	return brk_is_admitted(blobs->hub->brk, label->taker) ? KW_OK : KW_ENOAGENCY;
}

static bool node_find(void *user, struct kw_blobs_entry *entry)
{
	const struct hub_blobs *blobs = user;
	entry->giver = roster_find(blobs->hub->roster, &entry->from);
	entry->taker = roster_find(blobs->hub->roster, &entry->to);
	return entry->giver != STORE_SLOT_NONE && entry->taker != STORE_SLOT_NONE;
}

static void node_fatal(void *user, enum kw_err err)
{
	const struct hub_blobs *blobs = user;
	blobs->hub->wire.fatal(blobs->hub->wire.user, err);
}

enum kw_err hub_blobs_open(struct hub *hub, const struct hub_options *options, struct uv_loop_s *loop)
{
	if (options->blob_folder == NULL)
		return KW_OK;
	struct hub_blobs *blobs = calloc(1, sizeof(*blobs));
	if (blobs == NULL)
		return KW_ENOMEM;
	hub->blobs = blobs;
	blobs->hub = hub;
	blobs->conns_max = options->limits.conns_max;
	blobs->slot_of = calloc(blobs->conns_max, sizeof(*blobs->slot_of));
	if (blobs->slot_of == NULL)
		return KW_ENOMEM;
	for (uint32_t i = 0; i < blobs->conns_max; i++)
		blobs->slot_of[i] = STORE_SLOT_NONE;
	for (uint32_t i = 0; i < STORE_SLOT_MAX; i++)
		blobs->conn_of[i] = NO_CONN;
	const struct kw_blob_node_hooks hooks = {
		.user = blobs,
		.out = node_out,
		.ready = node_ready,
		.pending = node_pending,
		.close = node_close,
		.admit = node_admit,
		.find = node_find,
		.fatal = node_fatal,
	};
	struct kw_blob_node_options node_options = {.folder = options->blob_folder, .limits = options->blob_limits};
	node_options.limits.sessions_max = STORE_SLOT_MAX;
	return kw_blob_node_open(&node_options, loop, &hooks, &blobs->node);
}

void hub_blobs_free(struct hub *hub)
{
	if (hub->blobs == NULL)
		return;
	kw_blob_node_free(hub->blobs->node);
	free(hub->blobs->slot_of);
	free(hub->blobs);
	hub->blobs = NULL;
}

void hub_blobs_up(struct hub *hub, uint32_t conn, uint32_t slot)
{
	struct hub_blobs *blobs = hub->blobs;
	if (blobs == NULL)
		return;
	/* A second connection of the same agency takes over, as it does for messages. */
	if (blobs->conn_of[slot] != NO_CONN)
		hub_blobs_down(hub, blobs->conn_of[slot]);
	blobs->conn_of[slot] = conn;
	blobs->slot_of[conn] = slot;
	kw_blob_node_up(blobs->node, slot);
}

void hub_blobs_down(struct hub *hub, uint32_t conn)
{
	struct hub_blobs *blobs = hub->blobs;
	if (blobs == NULL || blobs->slot_of[conn] == STORE_SLOT_NONE)
		return;
	uint32_t slot = blobs->slot_of[conn];
	blobs->slot_of[conn] = STORE_SLOT_NONE;
	blobs->conn_of[slot] = NO_CONN;
	kw_blob_node_down(blobs->node, slot);
}

void hub_blobs_drained(struct hub *hub, uint32_t conn)
{
	const struct hub_blobs *blobs = hub->blobs;
	if (blobs != NULL && blobs->slot_of[conn] != STORE_SLOT_NONE)
		kw_blob_node_drained(blobs->node, blobs->slot_of[conn]);
}

void hub_blobs_tick(struct hub *hub)
{
	if (hub->blobs != NULL)
		kw_blob_node_tick(hub->blobs->node);
}

enum kw_err hub_blob_frame(struct hub *hub, uint32_t conn, const struct kw_frame *frame)
{
	const struct hub_blobs *blobs = hub->blobs;
	if (blobs == NULL || blobs->slot_of[conn] == STORE_SLOT_NONE)
		return KW_OK; /* a frame that may be skipped */
	return kw_blob_node_frame(blobs->node, blobs->slot_of[conn], frame);
}
