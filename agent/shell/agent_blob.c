#include "agent/shell/agent_blob.h"

#include <stdlib.h>
#include <string.h>

#include "agent/shell/attach_ref.h"
#include "agent/shell/spool_read.h"
#include "proto/link/log.h"

/* Attachments on the link to the hub. The exchange has one session here, number 0: the hub. What we made goes to it, what
 * it offers is taken at once, as far as there is room; the key, only the message has that names it. The hub says who gave
 * it, so that no agency takes the room of another: a hub that lies about that can do no more than one that gives nothing. */

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

/* 0: none that is known. */
static uint32_t named_hour(const struct agent *agent, const struct kw_digest *digest)
{
	uint32_t hour = 0;
	enum kw_err err = spool_named(agent->spool, digest, &hour);

	if (err != KW_OK && err != KW_ENOTFOUND)
		kw_log(KW_LOG_WARN, "blob_named", KW_LOG_ERR(err));
	return err == KW_OK ? hour : 0;
}

static enum kw_err node_admit(void *user, uint32_t session, const struct kw_frame_blob_offer *offer,
	struct kw_blobs_entry *label)
{
	const struct agent *agent = user;

	(void)session;
	label->taker = KW_BLOBS_NONE;
	/* Under our own name it would look like one that we made. Those of whom the hub does not speak share one room. */
	if (!kw_name_equal(&offer->giver, &agent->office.agency))
		label->from = offer->giver;
	label->named_hour = named_hour(agent, &offer->ref.digest);
	return kw_name_equal(&offer->ref.agency, &agent->office.agency) ? KW_OK : KW_ENOAGENCY;
}

static bool node_find(void *user, struct kw_blobs_entry *entry)
{
	const struct agent *agent = user;
	bool ours = kw_name_equal(&entry->from, &agent->office.agency);

	entry->giver = ours ? KW_BLOBS_NONE : 0;
	entry->taker = ours ? 0 : KW_BLOBS_NONE;
	if (!ours)
		entry->named_hour = named_hour(agent, &entry->what.digest);
	return ours || kw_name_equal(&entry->to, &agent->office.agency);
}

static void node_fatal(void *user, enum kw_err err)
{
	agent_fail(user, "blobs", err);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static enum kw_err folder_key(const struct agent *agent, uint8_t *out)
{
	const struct kw_view label = kw_view_str("kw1 blob folder");
	struct kw_digest key;
	enum kw_err err = kw_hmac_sha256(KW_VIEW_OF(agent->keys->store), &label, 1, &key);

	memcpy(out, key.bytes, KW_BLOB_FOLDER_KEY_SIZE);
	kw_wipe(&key, sizeof(key));
	return err;
}

enum kw_err agent_blobs_open(struct agent *agent)
{
	char path[4096];
	uint32_t mib = or_default(agent->settings->blob_store_mib, AGENT_BLOB_STORE_MIB_DEFAULT);
	const struct kw_blob_node_hooks hooks = {.user = agent,
		.out = node_out,
		.ready = node_ready,
		.pending = node_pending,
		.close = node_close,
		.admit = node_admit,
		.find = node_find,
		.fatal = node_fatal};
	uint8_t key[KW_BLOB_FOLDER_KEY_SIZE];
	struct kw_blob_node_options options = {.folder = path,
		.key = key,
		.own = agent->office.agency,
		.limits = {.entries_max = AGENT_BLOBS_MAX,
			.sessions_max = 1,
			.bytes_max = (uint64_t)mib << 20,
			.giver_bytes_max = ((uint64_t)mib << 20) / 2,
			.giver_count_max = AGENT_BLOBS_MAX - AGENT_BLOBS_OWN_MAX,
			.peer_bytes_max = (uint64_t)or_default(agent->settings->blob_peer_mib, AGENT_BLOB_PEER_MIB_DEFAULT) << 20,
			.peer_count_max = or_default(agent->settings->blob_peer_count_max, AGENT_BLOB_PEER_COUNT_DEFAULT),
			.unnamed_hours = AGENT_BLOB_UNNAMED_HOURS,
			.taking_max = 1,
			.keep_hours = AGENT_BLOB_KEEP_HOURS,
			.is_end = true}};
	enum kw_err err = agent_path(agent->settings->state, AGENT_BLOB_FOLDER, path);

	if (err == KW_OK)
		err = folder_key(agent, key);

	agent->blobs = calloc(1, sizeof(*agent->blobs));
	if (agent->blobs == NULL)
		return KW_ENOMEM;
	agent->blobs->agent = agent;
	if (err == KW_OK)
		err = kw_blob_node_open(&options, &agent->loop, &hooks, &agent->blobs->node);
	kw_wipe(key, sizeof(key));
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

void agent_blobs_name(struct agent *agent, const struct kw_digest *digest)
{
	if (node_of(agent) != NULL)
		kw_blob_node_named(node_of(agent), digest);
}

uint64_t agent_blobs_lost(const struct agent *agent)
{
	struct kw_blobs_counts counts = {0};

	if (node_of(agent) != NULL)
		kw_blobs_counts_get(kw_blob_node_blobs(node_of(agent)), &counts);
	return counts.lost;
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
