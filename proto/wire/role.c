#include "proto/wire/role.h"

#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/pbscan.h"

#define PAYLOAD_SIZE_MAX (KW_ROLE_SIZE_MAX - 4096u)
#define KEYS_SIZE_MAX 512u
#define HUB_SIZE_MAX 2048u
#define ENTRY_SIZE_MAX 128u
#define SIGNATURE_SIZE 76u /* of an encoded RoleSignature: both fields with tag and length */

const char *kw_role_name(enum kw_role role)
{
	static const char *const names[KW_ROLE_COUNT] = {"root", "registrar", "snapshot", "timestamp", "log", "witness"};
	return role < KW_ROLE_COUNT ? names[role] : "unknown";
}

const struct kw_hub_role *kw_root_hub(const struct kw_root *root, const struct kw_name *hub)
{
	for (uint32_t i = 0; i < root->hub_count; i++)
		if (kw_name_equal(&root->hubs[i].hub, hub))
			return &root->hubs[i];
	return NULL;
}

enum kw_err kw_role_digest(struct kw_view payload, struct kw_digest *out)
{
	return kw_sha256(&payload, 1, out);
}

enum kw_err kw_role_keys_put(struct kw_role_keys *keys, const uint8_t *public_key)
{
	uint8_t at = 0;
	while (at < keys->count && memcmp(keys->keys[at], public_key, KW_KEY_SIZE) < 0)
		at++;
	if (at < keys->count && memcmp(keys->keys[at], public_key, KW_KEY_SIZE) == 0)
		return KW_EEXIST;
	if (keys->count >= KW_ROLE_KEYS_MAX)
		return KW_EFULL;
	memmove(keys->keys[at + 1], keys->keys[at], (size_t)(keys->count - at) * KW_KEY_SIZE);
	memcpy(keys->keys[at], public_key, KW_KEY_SIZE);
	keys->count++;
	return KW_OK;
}

/* A key that stood twice would fill a threshold alone. */
static enum kw_err check_keys(const struct kw_role_keys *keys)
{
	if (keys->count < 1 || keys->count > KW_ROLE_KEYS_MAX || keys->threshold < 1 || keys->threshold > keys->count)
		return KW_EFIELD;
	for (uint8_t i = 1; i < keys->count; i++)
		if (memcmp(keys->keys[i - 1], keys->keys[i], KW_KEY_SIZE) >= 0)
			return KW_EFIELD;
	return KW_OK;
}

static enum kw_err add_nested(struct kw_buf *out, uint32_t number, struct kw_buf *part, enum kw_err err)
{
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, number, kw_buf_view(part));
	kw_buf_fini(part);
	return err;
}

static enum kw_err add_keys(struct kw_buf *out, uint32_t number, const struct kw_role_keys *keys)
{
	struct kw_buf part;
	kw_buf_init(&part, KEYS_SIZE_MAX);
	enum kw_err err = check_keys(keys);
	for (uint8_t i = 0; err == KW_OK && i < keys->count; i++)
		err = kw_pb_add_bytes(&part, 1, KW_VIEW_OF(keys->keys[i]));
	if (err == KW_OK)
		err = kw_pb_add_uint(&part, 2, keys->threshold);
	return add_nested(out, number, &part, err);
}

static enum kw_err read_keys(struct kw_view bytes, struct kw_role_keys *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_role_keys keys = {.count = 0};
	while (keys.count < KW_ROLE_KEYS_MAX && kw_pb_is_next(&pb, 1)) {
		struct kw_view key = kw_pb_need_bytes(&pb, 1, KW_KEY_SIZE, KW_KEY_SIZE);
		if (key.size != KW_KEY_SIZE)
			break; /* sticky: told at the end */
		memcpy(keys.keys[keys.count++], key.data, KW_KEY_SIZE);
	}
	keys.threshold = (uint8_t)kw_pb_need_uint(&pb, 2, KW_ROLE_KEYS_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = check_keys(&keys);
	if (err == KW_OK)
		*out = keys;
	return err;
}

static bool ascends(const struct kw_name *before, const struct kw_name *after)
{
	return memcmp(before->text, after->text, sizeof(before->text)) < 0;
}

static enum kw_err add_hub(struct kw_buf *out, const struct kw_hub_role *hub)
{
	struct kw_buf part;
	kw_buf_init(&part, HUB_SIZE_MAX);
	enum kw_err err = kw_pb_add_bytes(&part, 1, kw_view_str(hub->hub.text));
	if (err == KW_OK)
		err = add_keys(&part, 2, &hub->registrar);
	if (err == KW_OK)
		err = add_keys(&part, 3, &hub->snapshot);
	if (err == KW_OK)
		err = add_keys(&part, 4, &hub->timestamp);
	if (err == KW_OK)
		err = add_keys(&part, 5, &hub->log);
	return add_nested(out, 5, &part, err);
}

enum kw_err kw_root_add(struct kw_buf *out, const struct kw_root *root)
{
	if (root->version == 0 || root->version > KW_ROLE_ROOTS_MAX || root->expires_unix_ms <= 0 || root->hub_count < 1 || root->hub_count > KW_ROLE_HUBS_MAX)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_uint(out, 1, root->version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, (uint64_t)root->expires_unix_ms);
	if (err == KW_OK)
		err = add_keys(out, 3, &root->root);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, KW_VIEW_OF(root->tls_root_digest.bytes));
	for (uint32_t i = 0; err == KW_OK && i < root->hub_count; i++) {
		if (i > 0 && !ascends(&root->hubs[i - 1].hub, &root->hubs[i].hub))
			return KW_EFIELD;
		err = add_hub(out, &root->hubs[i]);
	}
	return err;
}

static enum kw_err read_hub(struct kw_view bytes, struct kw_hub_role *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view name = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	struct kw_view keys[4];
	for (uint32_t i = 0; i < 4; i++)
		keys[i] = kw_pb_need_bytes(&pb, 2 + i, 1, KEYS_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(name, &out->hub);
	if (err == KW_OK)
		err = read_keys(keys[0], &out->registrar);
	if (err == KW_OK)
		err = read_keys(keys[1], &out->snapshot);
	if (err == KW_OK)
		err = read_keys(keys[2], &out->timestamp);
	if (err == KW_OK)
		err = read_keys(keys[3], &out->log);
	return err;
}

static enum kw_err read_root(struct kw_view payload, struct kw_root *root)
{
	struct kw_pb pb = kw_pb_from(payload);
	root->version = kw_pb_need_uint(&pb, 1, KW_ROLE_ROOTS_MAX);
	root->expires_unix_ms = (int64_t)kw_pb_need_uint(&pb, 2, INT64_MAX);
	struct kw_view keys = kw_pb_need_bytes(&pb, 3, 1, KEYS_SIZE_MAX);
	struct kw_view digest = kw_pb_need_bytes(&pb, 4, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	enum kw_err err = pb.err;
	while (err == KW_OK && kw_pb_is_next(&pb, 5)) {
		if (root->hub_count == KW_ROLE_HUBS_MAX)
			return KW_EFIELD;
		struct kw_hub_role *hub = &root->hubs[root->hub_count];
		struct kw_view bytes = kw_pb_need_bytes(&pb, 5, 1, HUB_SIZE_MAX);
		err = pb.err != KW_OK ? pb.err : read_hub(bytes, hub);
		/* Sorted and unique, or a hub could stand twice with other keys. */
		if (err == KW_OK && root->hub_count > 0 && !ascends(&hub[-1].hub, &hub->hub))
			err = KW_EFIELD;
		root->hub_count++;
	}
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	if (err == KW_OK && root->hub_count == 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = read_keys(keys, &root->root);
	if (err == KW_OK)
		memcpy(root->tls_root_digest.bytes, digest.data, KW_DIGEST_SIZE);
	return err;
}

enum kw_err kw_root_read(struct kw_view payload, struct kw_root *out)
{
	struct kw_root root = {.version = 0};
	enum kw_err err = read_root(payload, &root);
	if (err == KW_OK)
		*out = root;
	return err;
}

enum kw_err kw_snapshot_add(struct kw_buf *out, const struct kw_snapshot *snapshot)
{
	if (snapshot->version == 0 || snapshot->expires_unix_ms <= 0 || snapshot->count < 1 || snapshot->count > KW_ROLE_HUBS_MAX)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(snapshot->hub.text));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, snapshot->version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, (uint64_t)snapshot->expires_unix_ms);
	for (uint32_t i = 0; err == KW_OK && i < snapshot->count; i++) {
		const struct kw_snapshot_entry *entry = &snapshot->directories[i];
		struct kw_buf part;
		kw_buf_init(&part, ENTRY_SIZE_MAX);
		if (entry->version == 0 || (i > 0 && !ascends(&entry[-1].hub, &entry->hub)))
			err = KW_EFIELD;
		if (err == KW_OK)
			err = kw_pb_add_bytes(&part, 1, kw_view_str(entry->hub.text));
		if (err == KW_OK)
			err = kw_pb_add_uint(&part, 2, entry->version);
		if (err == KW_OK)
			err = kw_pb_add_bytes(&part, 3, KW_VIEW_OF(entry->digest.bytes));
		err = add_nested(out, 4, &part, err);
	}
	return err;
}

static enum kw_err read_snapshot_entry(struct kw_view bytes, struct kw_snapshot_entry *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view name = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	out->version = kw_pb_need_uint(&pb, 2, UINT64_MAX);
	struct kw_view digest = kw_pb_need_bytes(&pb, 3, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(name, &out->hub);
	if (err == KW_OK)
		memcpy(out->digest.bytes, digest.data, KW_DIGEST_SIZE);
	return err;
}

enum kw_err kw_snapshot_read(struct kw_view payload, struct kw_snapshot *out)
{
	struct kw_snapshot snapshot = {.version = 0};
	struct kw_pb pb = kw_pb_from(payload);
	struct kw_view name = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	snapshot.version = kw_pb_need_uint(&pb, 2, UINT64_MAX);
	snapshot.expires_unix_ms = (int64_t)kw_pb_need_uint(&pb, 3, INT64_MAX);
	enum kw_err err = pb.err;
	while (err == KW_OK && kw_pb_is_next(&pb, 4)) {
		if (snapshot.count == KW_ROLE_HUBS_MAX)
			return KW_EFIELD;
		struct kw_snapshot_entry *entry = &snapshot.directories[snapshot.count];
		struct kw_view bytes = kw_pb_need_bytes(&pb, 4, 1, ENTRY_SIZE_MAX);
		err = pb.err != KW_OK ? pb.err : read_snapshot_entry(bytes, entry);
		if (err == KW_OK && snapshot.count > 0 && !ascends(&entry[-1].hub, &entry->hub))
			err = KW_EFIELD;
		snapshot.count++;
	}
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	if (err == KW_OK && snapshot.count == 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = kw_name_from(name, &snapshot.hub);
	if (err == KW_OK)
		*out = snapshot;
	return err;
}

enum kw_err kw_timestamp_add(struct kw_buf *out, const struct kw_timestamp *timestamp)
{
	if (timestamp->version == 0 || timestamp->signed_unix_ms <= 0 || timestamp->expires_unix_ms <= 0 ||
		timestamp->snapshot_version == 0 || timestamp->root_version == 0)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(timestamp->hub.text));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, timestamp->version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, (uint64_t)timestamp->signed_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, (uint64_t)timestamp->expires_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 5, timestamp->snapshot_version);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 6, KW_VIEW_OF(timestamp->snapshot_digest.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 7, timestamp->root_version);
	return err;
}

enum kw_err kw_timestamp_read(struct kw_view payload, struct kw_timestamp *out)
{
	struct kw_timestamp timestamp = {.version = 0};
	struct kw_pb pb = kw_pb_from(payload);
	struct kw_view name = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	timestamp.version = kw_pb_need_uint(&pb, 2, UINT64_MAX);
	timestamp.signed_unix_ms = (int64_t)kw_pb_need_uint(&pb, 3, INT64_MAX);
	timestamp.expires_unix_ms = (int64_t)kw_pb_need_uint(&pb, 4, INT64_MAX);
	timestamp.snapshot_version = kw_pb_need_uint(&pb, 5, UINT64_MAX);
	struct kw_view digest = kw_pb_need_bytes(&pb, 6, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	timestamp.root_version = kw_pb_need_uint(&pb, 7, UINT64_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(name, &timestamp.hub);
	if (err != KW_OK)
		return err;
	memcpy(timestamp.snapshot_digest.bytes, digest.data, KW_DIGEST_SIZE);
	*out = timestamp;
	return KW_OK;
}

/* The role's name is signed with it: a snapshot is no timestamp, whoever has both keys. */
static enum kw_err label(enum kw_role kind, struct kw_view payload, struct kw_buf *out)
{
	kw_buf_init(out, payload.size + 64);
	enum kw_err err = kw_buf_add(out, kw_view_str("kw1 role "));
	if (err == KW_OK)
		err = kw_buf_add(out, kw_view_str(kw_role_name(kind)));
	if (err == KW_OK)
		err = kw_buf_add_u8(out, 0);
	if (err == KW_OK)
		err = kw_buf_add(out, payload);
	return err;
}

static enum kw_err key_id(const uint8_t *public_key, uint8_t *out)
{
	struct kw_digest digest;
	struct kw_view part = KW_VIEW(public_key, KW_KEY_SIZE);
	enum kw_err err = kw_sha256(&part, 1, &digest);
	if (err == KW_OK)
		memcpy(out, digest.bytes, KW_ROLE_KEY_ID_SIZE);
	return err;
}

static enum kw_err read_signature(struct kw_view bytes, struct kw_role_signature *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view id = kw_pb_need_bytes(&pb, 1, KW_ROLE_KEY_ID_SIZE, KW_ROLE_KEY_ID_SIZE);
	struct kw_view signature = kw_pb_need_bytes(&pb, 2, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	memcpy(out->key_id, id.data, id.size);
	memcpy(out->signature, signature.data, signature.size);
	return KW_OK;
}

enum kw_err kw_role_parse(struct kw_view bytes, struct kw_role_signed *out)
{
	if (bytes.size > KW_ROLE_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_role_signed role = {.count = 0};
	struct kw_pb pb = kw_pb_from(bytes);
	role.payload = kw_pb_need_bytes(&pb, 1, 1, PAYLOAD_SIZE_MAX);
	enum kw_err err = pb.err;
	while (err == KW_OK && kw_pb_is_next(&pb, 2)) {
		if (role.count == KW_ROLE_SIGNATURES_MAX)
			return KW_EFIELD;
		struct kw_role_signature *one = &role.signatures[role.count];
		struct kw_view part = kw_pb_need_bytes(&pb, 2, SIGNATURE_SIZE, SIGNATURE_SIZE);
		err = pb.err != KW_OK ? pb.err : read_signature(part, one);
		if (err == KW_OK && role.count > 0 && memcmp(one[-1].key_id, one->key_id, KW_ROLE_KEY_ID_SIZE) >= 0)
			err = KW_EFIELD;
		role.count++;
	}
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	if (err == KW_OK && role.count == 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = role;
	return err;
}

static const struct kw_role_signature *find_signature(const struct kw_role_signed *role, const uint8_t *id)
{
	for (uint32_t i = 0; i < role->count; i++)
		if (memcmp(role->signatures[i].key_id, id, KW_ROLE_KEY_ID_SIZE) == 0)
			return &role->signatures[i];
	return NULL;
}

/* Goes over the keys, not over the signatures: so no key can count twice. */
enum kw_err kw_role_check(const struct kw_role_signed *role, enum kw_role kind, const struct kw_role_keys *keys,
	uint32_t *good)
{
	struct kw_buf message;
	*good = 0;
	enum kw_err err = check_keys(keys) == KW_OK ? KW_OK : KW_EAUTH;
	if (err != KW_OK)
		return err;
	err = label(kind, role->payload, &message);
	for (uint8_t i = 0; err == KW_OK && i < keys->count; i++) {
		uint8_t id[KW_ROLE_KEY_ID_SIZE];
		err = key_id(keys->keys[i], id);
		const struct kw_role_signature *one = err == KW_OK ? find_signature(role, id) : NULL;
		if (one != NULL && kw_ed25519_verify(keys->keys[i], kw_buf_view(&message), KW_VIEW_OF(one->signature)) == KW_OK)
			(*good)++;
	}
	kw_buf_fini(&message);
	if (err == KW_OK && *good < keys->threshold)
		err = KW_EAUTH;
	return err;
}

enum kw_err kw_role_sign(struct kw_role_signed *role, enum kw_role kind, const struct kw_ed25519 *key)
{
	struct kw_role_signature one;
	struct kw_buf message;
	if (role->count >= KW_ROLE_SIGNATURES_MAX)
		return KW_EFULL;
	enum kw_err err = key_id(key->public_key, one.key_id);
	if (err == KW_OK && find_signature(role, one.key_id) != NULL)
		return KW_EEXIST;
	if (err == KW_OK) {
		err = label(kind, role->payload, &message);
		if (err == KW_OK)
			err = kw_ed25519_sign(key, kw_buf_view(&message), one.signature);
		kw_buf_fini(&message);
	}
	if (err != KW_OK)
		return err;
	uint32_t at = role->count;
	while (at > 0 && memcmp(role->signatures[at - 1].key_id, one.key_id, KW_ROLE_KEY_ID_SIZE) > 0) {
		role->signatures[at] = role->signatures[at - 1];
		at--;
	}
	role->signatures[at] = one;
	role->count++;
	return KW_OK;
}

enum kw_err kw_role_add(struct kw_buf *out, const struct kw_role_signed *role)
{
	if (role->payload.size == 0 || role->count == 0)
		return KW_EFIELD;
	if (role->payload.size > PAYLOAD_SIZE_MAX)
		return KW_ETOOBIG;
	enum kw_err err = kw_pb_add_bytes(out, 1, role->payload);
	for (uint32_t i = 0; err == KW_OK && i < role->count; i++) {
		struct kw_buf part;
		kw_buf_init(&part, SIGNATURE_SIZE);
		err = kw_pb_add_bytes(&part, 1, KW_VIEW_OF(role->signatures[i].key_id));
		if (err == KW_OK)
			err = kw_pb_add_bytes(&part, 2, KW_VIEW_OF(role->signatures[i].signature));
		err = add_nested(out, 2, &part, err);
	}
	return err;
}
