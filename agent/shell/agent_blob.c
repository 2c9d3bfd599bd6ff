#include "agent/shell/agent_blob.h"

#include <stdlib.h>
#include <string.h>

#include "agent/shell/attach_ref.h"
#include "proto/link/log.h"

/* Attachments on the link to the hub. The exchange has one session here, number 0: the hub. What we made goes to it, what
 * it offers is taken at once, as far as there is room; who sent it, and its key, only the message says that names it. */

static struct kw_buf *node_out(void *user, uint32_t session)
{
	const struct agent *agent = user;

	(void)session;
	return agent->link != NULL ? kw_link_out(agent->link) : NULL;
}

static void node_ready(void *user, uint32_t session)
{
	const struct agent *agent = user;

	(void)session;
	if (agent->link != NULL)
		kw_link_ready(agent->link);
}

static size_t node_pending(void *user, uint32_t session)
{
	const struct agent *agent = user;

	(void)session;
	return agent->link != NULL ? kw_link_pending_bytes(agent->link) : SIZE_MAX;
}

static void node_close(void *user, uint32_t session, enum kw_err err)
{
	const struct agent *agent = user;

	(void)session;
	if (agent->link != NULL)
		kw_link_close(agent->link, err);
}

/* The hub does not say whose it is. */
static enum kw_err node_admit(void *user, uint32_t session, const struct kw_frame_blob_offer *offer,
	struct kw_blobs_entry *label)
{
	const struct agent *agent = user;

	(void)session;
	label->taker = KW_BLOBS_NONE;
	return kw_name_equal(&offer->ref.agency, &agent->office.agency) ? KW_OK : KW_ENOAGENCY;
}

static bool node_find(void *user, struct kw_blobs_entry *entry)
{
	const struct agent *agent = user;
	bool ours = kw_name_equal(&entry->from, &agent->office.agency);

	entry->giver = ours ? KW_BLOBS_NONE : 0;
	entry->taker = ours ? 0 : KW_BLOBS_NONE;
	return ours || kw_name_equal(&entry->to, &agent->office.agency);
}

static void node_fatal(void *user, enum kw_err err)
{
	agent_fail(user, "blobs", err);
}

enum kw_err agent_blobs_open(struct agent *agent)
{
	char path[4096];
	uint32_t mib = agent->settings->blob_store_mib != 0 ? agent->settings->blob_store_mib : AGENT_BLOB_STORE_MIB_DEFAULT;
	const struct kw_blob_node_hooks hooks = {.user = agent,
		.out = node_out,
		.ready = node_ready,
		.pending = node_pending,
		.close = node_close,
		.admit = node_admit,
		.find = node_find,
		.fatal = node_fatal};
	struct kw_blob_node_options options = {.folder = path,
		.limits = {.entries_max = AGENT_BLOBS_MAX,
			.sessions_max = 1,
			.bytes_max = (uint64_t)mib << 20,
			.giver_bytes_max = ((uint64_t)mib << 20) / 2,
			.giver_count_max = AGENT_BLOBS_MAX / 2,
			.taking_max = 1,
			.keep_hours = AGENT_BLOB_KEEP_HOURS,
			.is_end = true}};
	enum kw_err err = agent_path(agent->settings->state, AGENT_BLOB_FOLDER, path);

	agent->blobs = calloc(1, sizeof(*agent->blobs));
	if (agent->blobs == NULL)
		return KW_ENOMEM;
	agent->blobs->agent = agent;
	if (err == KW_OK)
		err = kw_blob_node_open(&options, &agent->loop, &hooks, &agent->blobs->node);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "blobs_open", KW_LOG_STR("path", path), KW_LOG_ERR(err));
	return err;
}

void agent_blobs_close(struct agent *agent)
{
	if (agent->blobs == NULL)
		return;
	kw_blob_node_free(agent->blobs->node);
	agent->blobs->node = NULL;
}

void agent_blobs_free(struct agent *agent)
{
	if (agent->blobs == NULL)
		return;
	kw_wipe(agent->blobs, sizeof(*agent->blobs));
	free(agent->blobs);
	agent->blobs = NULL;
}

static struct kw_blob_node *node_of(const struct agent *agent)
{
	return agent->blobs != NULL ? agent->blobs->node : NULL;
}

void agent_blobs_up(struct agent *agent)
{
	if (node_of(agent) != NULL)
		kw_blob_node_up(node_of(agent), 0);
}

void agent_blobs_down(struct agent *agent)
{
	if (node_of(agent) != NULL)
		kw_blob_node_down(node_of(agent), 0);
}

void agent_blobs_drained(struct agent *agent)
{
	if (node_of(agent) != NULL)
		kw_blob_node_drained(node_of(agent), 0);
}

void agent_blobs_tick(struct agent *agent)
{
	if (node_of(agent) == NULL)
		return;
	kw_blob_node_tick(node_of(agent));
	agent_desk_tick(agent->blobs);
}

enum kw_err agent_blob_frame(struct agent *agent, const struct kw_frame *frame)
{
	return node_of(agent) != NULL ? kw_blob_node_frame(node_of(agent), 0, frame) : KW_OK;
}

struct naming {
	const struct kw_blobs *blobs;
	struct kw_blob_ref ref;
};

static bool is_ours(void *user, const Kinward__V1__AttachmentRef *ref)
{
	struct naming *naming = user;

	if (ref->digest.len != KW_DIGEST_SIZE)
		return false;
	memcpy(naming->ref.digest.bytes, ref->digest.data, KW_DIGEST_SIZE);
	return kw_blobs_has_own(naming->blobs, &naming->ref);
}

enum kw_err agent_blobs_named(const struct agent *agent, const ProtobufCMessage *content, const struct kw_name *agency)
{
	struct naming naming = {.ref.agency = *agency};

	if (node_of(agent) == NULL)
		return KW_OK;
	naming.blobs = kw_blob_node_blobs(node_of(agent));
	return attach_ref_each(content, is_ours, &naming) ? KW_OK : KW_ENOTFOUND;
}
