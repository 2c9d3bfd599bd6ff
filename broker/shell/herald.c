#include "broker/shell/herald.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/role_delta.h"

#define PENDING_MAX KW_ROLE_PART_SIZE_MAX
#define DELTAS_MAX 16u /* agents are mostly one version behind, the rest is made again */

struct herald_blob {
	uint32_t refs;
	uint32_t size;
	uint8_t data[];
};

struct herald {
	const struct kw_roles *roles;
	struct herald_blob *timestamp;
	struct herald_blob *snapshot;
	struct herald_blob *directory;
	struct {
		uint64_t from_version;
		struct herald_blob *blob;
	} deltas[DELTAS_MAX];
	uint32_t deltas_next;
};

static struct herald_blob *blob_new(struct kw_view bytes)
{
	struct herald_blob *blob = malloc(sizeof(*blob) + bytes.size);
	if (blob == NULL)
		return NULL;
	blob->refs = 1;
	blob->size = (uint32_t)bytes.size; /* KW_ROLE_SIZE_MAX */
	if (bytes.size > 0)
		memcpy(blob->data, bytes.data, bytes.size);
	return blob;
}

static struct herald_blob *blob_ref(struct herald_blob *blob)
{
	if (blob != NULL)
		blob->refs++;
	return blob;
}

static void blob_unref(struct herald_blob *blob)
{
	if (blob != NULL && --blob->refs == 0)
		free(blob);
}

enum kw_err herald_new(struct herald **out)
{
	struct herald *herald = calloc(1, sizeof(*herald));
	if (herald == NULL)
		return KW_ENOMEM;
	*out = herald;
	return KW_OK;
}

static void drop(struct herald *herald)
{
	blob_unref(herald->timestamp);
	blob_unref(herald->snapshot);
	blob_unref(herald->directory);
	for (uint32_t i = 0; i < DELTAS_MAX; i++) {
		blob_unref(herald->deltas[i].blob);
		herald->deltas[i].blob = NULL;
	}
}

void herald_free(struct herald *herald)
{
	if (herald == NULL)
		return;
	drop(herald);
	free(herald);
}

enum kw_err herald_set(struct herald *herald, const struct kw_roles *roles)
{
	struct herald_blob *timestamp = blob_new(kw_buf_view(&roles->signed_timestamp));
	struct herald_blob *snapshot = blob_new(kw_buf_view(&roles->signed_snapshot));
	struct herald_blob *directory = blob_new(kw_buf_view(&roles->signed_directory));
	herald->roles = roles;
	if (timestamp == NULL || snapshot == NULL || directory == NULL) {
		blob_unref(timestamp);
		blob_unref(snapshot);
		blob_unref(directory);
		return KW_ENOMEM;
	}
	drop(herald);
	herald->timestamp = timestamp;
	herald->snapshot = snapshot;
	herald->directory = directory;
	herald->deltas_next = 0;
	return KW_OK;
}

/* NULL when there is none that is smaller than the whole. */
static struct herald_blob *make_delta(const struct herald *herald, uint64_t from_version)
{
	struct kw_role_signed role;
	struct kw_buf bytes;
	struct kw_name *names = NULL;
	struct herald_blob *blob = NULL;
	struct kw_role_delta delta = {.directory = herald->roles->directory, .role = &role, .from_version = from_version};
	enum kw_err err = kw_roles_changes(herald->roles, from_version, &names, &delta.count);
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	delta.names = names;
	if (err == KW_OK)
		err = kw_role_parse(kw_buf_view(&herald->roles->signed_directory), &role);
	if (err == KW_OK)
		err = kw_role_delta_add(&bytes, &delta);
	if (err == KW_OK && bytes.size < herald->directory->size)
		blob = blob_new(kw_buf_view(&bytes));
	kw_buf_fini(&bytes);
	free(names);
	return blob;
}

static struct herald_blob *find_delta(struct herald *herald, uint64_t from_version)
{
	for (uint32_t i = 0; i < DELTAS_MAX; i++)
		if (herald->deltas[i].blob != NULL && herald->deltas[i].from_version == from_version)
			return herald->deltas[i].blob;
	struct herald_blob *blob = make_delta(herald, from_version);
	if (blob == NULL)
		return NULL;
	uint32_t at = herald->deltas_next++ % DELTAS_MAX;
	blob_unref(herald->deltas[at].blob);
	herald->deltas[at].from_version = from_version;
	herald->deltas[at].blob = blob;
	return blob;
}

static void add(struct herald_talk *talk, enum kw_role_kind kind, struct herald_blob *blob)
{
	talk->items[talk->items_count].kind = kind;
	talk->items[talk->items_count++].blob = blob_ref(blob);
}

/* Who has a later version than ours is told ours too: it refuses it, and its people see that this hub has gone back. The
 * timestamp goes with what is told, also of the version that the agent has: it may be another one. So may all of them where the
 * keys are new: with those, versions count anew. */
static void plan(struct herald *herald, struct herald_talk *talk)
{
	const struct kw_role_client *now = herald->roles->client;
	const struct kw_roles_have *have = &talk->have;
	talk->items_count = 0;
	talk->item = 0;
	talk->offset = 0;
	talk->again = false;
	talk->root_next = have->root + 1;
	talk->root_last = now->root.version;
	uint64_t version = herald->roles->directory->version;
	bool anew = have->root < now->root.version || have->snapshot == 0;
	bool rest = anew || have->snapshot != now->snapshot.version || have->directory != version;
	if (rest || have->timestamp != now->timestamp.version)
		add(talk, KW_ROLE_KIND_TIMESTAMP, herald->timestamp);
	if (anew || have->snapshot != now->snapshot.version)
		add(talk, KW_ROLE_KIND_SNAPSHOT, herald->snapshot);
	if (anew || have->directory != version) {
		struct herald_blob *delta = have->directory == 0 || have->directory >= version ? NULL : find_delta(herald, have->directory);
		add(talk, delta != NULL ? KW_ROLE_KIND_DELTA : KW_ROLE_KIND_DIRECTORY, delta != NULL ? delta : herald->directory);
	}
	talk->have = (struct kw_roles_have){.root = now->root.version,
		.timestamp = now->timestamp.version,
		.snapshot = now->snapshot.version,
		.directory = version};
	talk->busy = talk->root_next <= talk->root_last || talk->items_count > 0;
}

void herald_begin(struct herald *herald, struct herald_talk *talk, const struct kw_roles_have *have)
{
	if (talk->busy) {
		talk->asked = true;
		talk->wanted = *have;
		return;
	}
	talk->have = *have;
	plan(herald, talk);
}

void herald_again(struct herald *herald, struct herald_talk *talk)
{
	if (talk->busy)
		talk->again = true;
	else
		plan(herald, talk);
}

/* What is next; false at the end. */
static bool current(const struct herald *herald, const struct herald_talk *talk, struct kw_role_part *part,
	struct kw_view *whole)
{
	if (talk->root_next <= talk->root_last) {
		part->kind = KW_ROLE_KIND_ROOT;
		*whole = kw_buf_view(&herald->roles->roots[talk->root_next - 1]); /* roots stay as they are */
		return true;
	}
	if (talk->item == talk->items_count)
		return false;
	part->kind = talk->items[talk->item].kind;
	*whole = KW_VIEW(talk->items[talk->item].blob->data, talk->items[talk->item].blob->size);
	return true;
}

static enum kw_err add_part(struct herald_talk *talk, struct kw_role_part *part, struct kw_view whole, struct kw_buf *out)
{
	size_t size = whole.size - talk->offset;
	if (size > KW_ROLE_PART_SIZE_MAX)
		size = KW_ROLE_PART_SIZE_MAX;
	part->offset = talk->offset;
	part->total = (uint32_t)whole.size;
	part->bytes = KW_VIEW(whole.data + talk->offset, size);
	enum kw_err err = kw_role_part_add(out, part);
	if (err != KW_OK)
		return err;
	talk->offset += (uint32_t)size;
	if (talk->offset < whole.size)
		return KW_OK;
	talk->offset = 0;
	if (part->kind == KW_ROLE_KIND_ROOT)
		talk->root_next++;
	else
		talk->item++;
	return KW_OK;
}

static void finish(struct herald *herald, struct herald_talk *talk)
{
	for (uint32_t i = 0; i < talk->items_count; i++)
		blob_unref(talk->items[i].blob);
	talk->items_count = 0;
	talk->busy = false;
	if (talk->asked)
		talk->have = talk->wanted;
	if (talk->asked || talk->again)
		plan(herald, talk);
	talk->asked = false;
}

void herald_go_on(struct herald *herald, struct herald_talk *talk, struct kw_link *link)
{
	struct kw_role_part part;
	struct kw_view whole;
	bool wrote = false;
	while (talk->busy && kw_link_pending_bytes(link) < PENDING_MAX) {
		struct kw_buf *out = kw_link_out(link);
		if (out == NULL)
			break;
		if (!current(herald, talk, &part, &whole)) {
			finish(herald, talk);
			continue;
		}
		if (add_part(talk, &part, whole, out) != KW_OK) {
			kw_link_close(link, KW_EFULL); /* the rest would not fit to it */
			return;
		}
		wrote = true;
	}
	if (wrote)
		kw_link_ready(link);
}

void herald_end(struct herald_talk *talk)
{
	for (uint32_t i = 0; i < talk->items_count; i++)
		blob_unref(talk->items[i].blob);
	*talk = (struct herald_talk){.busy = false};
}
