#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>

#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/link/roles_inner.h"
#include "proto/wire/crypt.h"
#include "proto/wire/pbscan.h"

/* Making a hub's roles, and signing them anew. */

enum kw_err roles_write(const char *folder, const char *name, struct kw_view bytes)
{
	char path[KW_ROLES_PATH_SIZE];
	return kw_file_write_atomic(roles_path(folder, name, path), bytes, 0644);
}

/* Straight into our bytes: EVP_PKEY_get_raw_private_key of 3.0 leaves a copy in freed memory. */
static enum kw_err from_pkey(EVP_PKEY *key, struct kw_ed25519 *out)
{
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	enum kw_err err = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PRIV_KEY, seed, sizeof(seed), &size) == 1 && size == sizeof(seed)
		? kw_ed25519_from_seed(seed, out) : KW_ECRYPTO;
	kw_wipe(seed, sizeof(seed));
	return err;
}

enum kw_err roles_key_load(const char *path, struct kw_ed25519 *out)
{
	EVP_PKEY *key = NULL;
	enum kw_err err = kw_pki_key_load(path, &key);
	if (err == KW_OK)
		err = from_pkey(key, out);
	EVP_PKEY_free(key);
	return err;
}

static enum kw_err save(const char *path, EVP_PKEY *key)
{
	return kw_pki_key_save(path, key);
}

enum kw_err roles_key_new(const char *path, struct kw_ed25519 *out)
{
	EVP_PKEY *key = NULL;
	enum kw_err err = kw_pki_key_new(&key);
	if (err == KW_OK)
		err = save(path, key);
	if (err == KW_OK)
		err = from_pkey(key, out);
	EVP_PKEY_free(key);
	return err;
}

enum kw_err roles_sign(enum kw_role kind, struct kw_view payload, const struct kw_ed25519 *key, struct kw_buf *out)
{
	struct kw_role_signed role = {.payload = payload};
	enum kw_err err = kw_role_sign(&role, kind, key);
	return err != KW_OK ? err : kw_role_add(out, &role);
}

/* The key that the root has in charge. A rotation that was cut short has left it beside the old one. */
static enum kw_err load_key(const struct kw_roles *roles, const char *name, const struct kw_role_keys *keys,
	struct kw_ed25519 *out)
{
	char path[KW_ROLES_PATH_SIZE];
	char fresh[KW_ROLES_PATH_SIZE];
	char new_name[64];
	(void)snprintf(new_name, sizeof(new_name), "%s.new", name); /* fits: names of ours */
	enum kw_err err = roles_key_load(roles_path(roles->folder, name, path), out);
	for (uint8_t i = 0; err == KW_OK && i < keys->count; i++)
		if (memcmp(keys->keys[i], out->public_key, KW_KEY_SIZE) == 0)
			return KW_OK;
	if (err != KW_OK && err != KW_ENOTFOUND)
		return err;
	err = roles_key_load(roles_path(roles->folder, new_name, fresh), out);
	for (uint8_t i = 0; err == KW_OK && i < keys->count; i++)
		if (memcmp(keys->keys[i], out->public_key, KW_KEY_SIZE) == 0)
			return rename(fresh, path) == 0 ? KW_OK : KW_EIO;
	return err == KW_ENOTFOUND || err == KW_OK ? KW_EAUTH : err;
}

struct signing {
	struct kw_ed25519 registrar;
	struct kw_ed25519 snapshot;
	struct kw_ed25519 timestamp;
	struct kw_buf directory_bytes; /* SignedRoles */
	struct kw_buf snapshot_bytes;
	struct kw_buf timestamp_bytes;
	struct kw_directory *directory; /* NULL: stays */
	bool new_snapshot;
	struct kw_digest directory_digest;
};

static enum kw_err sign_directory(const struct kw_roles *roles, struct signing *signing,
	const struct kw_directory *entries, int64_t now_unix_ms)
{
	struct kw_buf payload;
	struct kw_directory next = *entries;
	next.hub = roles->hub;
	next.version = (roles->directory == NULL ? 0 : roles->directory->version) + 1;
	next.signed_unix_ms = now_unix_ms;
	next.expires_unix_ms = now_unix_ms + KW_ROLES_DIRECTORY_LIFE_MS;
	kw_buf_init(&payload, KW_DIRECTORY_SIZE_MAX);
	enum kw_err err = kw_directory_pack(&next, &payload);
	if (err == KW_OK)
		err = roles_sign(KW_ROLE_REGISTRAR, kw_buf_view(&payload), &signing->registrar, &signing->directory_bytes);
	if (err == KW_OK)
		err = kw_directory_read(kw_buf_view(&payload), &signing->directory);
	kw_buf_fini(&payload);
	return err;
}

static enum kw_err sign_snapshot(const struct kw_roles *roles, struct signing *signing, uint64_t version,
	int64_t now_unix_ms)
{
	struct kw_role_signed role;
	struct kw_buf payload;
	const struct kw_directory *directory = signing->directory != NULL ? signing->directory : roles->directory;
	const struct kw_buf *bytes = signing->directory != NULL ? &signing->directory_bytes : &roles->signed_directory;
	struct kw_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		return KW_ENOMEM;
	*snapshot = (struct kw_snapshot){.hub = roles->hub, .version = version, .count = 1,
		.expires_unix_ms = now_unix_ms + KW_ROLES_SNAPSHOT_LIFE_MS};
	snapshot->directories[0].hub = roles->hub;
	snapshot->directories[0].version = directory->version;
	kw_buf_init(&payload, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_role_parse(kw_buf_view(bytes), &role);
	if (err == KW_OK)
		err = kw_role_digest(role.payload, &snapshot->directories[0].digest);
	if (err == KW_OK)
		err = kw_snapshot_add(&payload, snapshot);
	if (err == KW_OK)
		err = roles_sign(KW_ROLE_SNAPSHOT, kw_buf_view(&payload), &signing->snapshot, &signing->snapshot_bytes);
	kw_buf_fini(&payload);
	free(snapshot);
	return err;
}

static enum kw_err sign_timestamp(const struct kw_roles *roles, struct signing *signing, uint64_t snapshot_version,
	int64_t now_unix_ms)
{
	struct kw_role_signed role;
	struct kw_buf payload;
	const struct kw_buf *bytes = signing->new_snapshot ? &signing->snapshot_bytes : &roles->signed_snapshot;
	struct kw_timestamp timestamp = {.hub = roles->hub,
		.version = roles->timestamp_version + 1,
		.signed_unix_ms = now_unix_ms,
		.expires_unix_ms = now_unix_ms + KW_ROLES_TIMESTAMP_LIFE_MS,
		.snapshot_version = snapshot_version,
		.root_version = roles->client->root.version};
	kw_buf_init(&payload, 4096);
	enum kw_err err = kw_role_parse(kw_buf_view(bytes), &role);
	if (err == KW_OK)
		err = kw_role_digest(role.payload, &timestamp.snapshot_digest);
	if (err == KW_OK)
		err = kw_timestamp_add(&payload, &timestamp);
	if (err == KW_OK)
		err = roles_sign(KW_ROLE_TIMESTAMP, kw_buf_view(&payload), &signing->timestamp, &signing->timestamp_bytes);
	kw_buf_fini(&payload);
	return err;
}

static enum kw_err load_keys(const struct kw_roles *roles, struct signing *signing)
{
	const struct kw_hub_role *hub = kw_root_hub(&roles->client->root, &roles->hub);
	enum kw_err err = hub == NULL ? KW_EAUTH : load_key(roles, "registrar.key", &hub->registrar, &signing->registrar);
	if (err == KW_OK)
		err = load_key(roles, "snapshot.key", &hub->snapshot, &signing->snapshot);
	return err != KW_OK ? err : load_key(roles, "timestamp.key", &hub->timestamp, &signing->timestamp);
}

/* Judged as an agent would before anything is written. */
static enum kw_err write_all(struct kw_roles *roles, const struct signing *signing)
{
	struct kw_view directory = kw_buf_view(signing->directory != NULL ? &signing->directory_bytes : &roles->signed_directory);
	struct kw_view snapshot = kw_buf_view(signing->new_snapshot ? &signing->snapshot_bytes : &roles->signed_snapshot);
	bool known = signing->directory == NULL && !signing->new_snapshot; /* judged when it was loaded, and large */
	enum kw_err err = roles_judge(roles, kw_buf_view(&signing->timestamp_bytes), snapshot, known ? KW_VIEW(NULL, 0) : directory);
	if (err == KW_OK && signing->directory != NULL)
		err = roles_write(roles->folder, "directory.bin", directory);
	if (err == KW_OK && signing->new_snapshot)
		err = roles_write(roles->folder, "snapshot.bin", snapshot);
	return err != KW_OK ? err : roles_write(roles->folder, "timestamp.bin", kw_buf_view(&signing->timestamp_bytes));
}

static enum kw_err sign_all(struct kw_roles *roles, struct signing *signing, const struct kw_directory *directory,
	int64_t now_unix_ms)
{
	bool half = roles->directory != NULL &&
		roles->directory->expires_unix_ms - now_unix_ms < KW_ROLES_DIRECTORY_LIFE_MS / 2;
	const struct kw_directory *entries = directory != NULL ? directory : !roles->fits || half ? roles->directory : NULL;
	enum kw_err err = load_keys(roles, signing);
	if (err == KW_OK && entries != NULL)
		err = sign_directory(roles, signing, entries, now_unix_ms);
	signing->new_snapshot = signing->directory != NULL ||
		roles->client->snapshot.expires_unix_ms - now_unix_ms < KW_ROLES_SNAPSHOT_LIFE_MS / 2;
	uint64_t version = roles->snapshot_version + (signing->new_snapshot ? 1 : 0);
	if (err == KW_OK && signing->new_snapshot)
		err = sign_snapshot(roles, signing, version, now_unix_ms);
	return err != KW_OK ? err : sign_timestamp(roles, signing, version, now_unix_ms);
}

/* From the files, so that memory holds what they hold. On an error all stays. */
enum kw_err roles_read_again(struct kw_roles *roles)
{
	const char *file;
	struct kw_roles *fresh = NULL;
	enum kw_err err = kw_roles_load(roles->folder, &roles->hub, &roles->client->tls_root_digest, &fresh, &file);
	if (err != KW_OK)
		return err;
	struct kw_roles old = *roles;
	*roles = *fresh;
	*fresh = old;
	kw_roles_free(fresh);
	return KW_OK;
}

/* Memory as the files are. A timestamp alone is not worth reading a large directory again. */
static enum kw_err take_over(struct kw_roles *roles, struct signing *signing)
{
	if (signing->directory != NULL || signing->new_snapshot)
		return roles_read_again(roles);
	struct kw_buf old = roles->signed_timestamp;
	roles->signed_timestamp = signing->timestamp_bytes;
	signing->timestamp_bytes = old;
	roles->timestamp_version++;
	roles_seen(roles);
	return KW_OK;
}

enum kw_err kw_roles_publish(struct kw_roles *roles, const struct kw_directory *directory, int64_t now_unix_ms)
{
	struct signing *signing = calloc(1, sizeof(*signing));
	if (signing == NULL)
		return KW_ENOMEM;
	kw_buf_init(&signing->directory_bytes, KW_ROLE_SIZE_MAX);
	kw_buf_init(&signing->snapshot_bytes, KW_ROLE_SIZE_MAX);
	kw_buf_init(&signing->timestamp_bytes, KW_ROLE_SIZE_MAX);
	enum kw_err err = sign_all(roles, signing, directory, now_unix_ms);
	if (err == KW_OK)
		err = write_all(roles, signing);
	if (err == KW_OK && signing->directory != NULL && roles->directory != NULL) {
		roles_changes_note(roles, signing->directory);
		roles_changes_save(roles);
	}
	if (err == KW_OK)
		err = take_over(roles, signing);
	kw_directory_free(signing->directory);
	kw_buf_fini(&signing->directory_bytes);
	kw_buf_fini(&signing->snapshot_bytes);
	kw_buf_fini(&signing->timestamp_bytes);
	kw_wipe(signing, sizeof(*signing));
	free(signing);
	return err;
}

static enum kw_err make_folder(const char *folder, const char *name)
{
	char path[KW_ROLES_PATH_SIZE];
	if (mkdir(roles_path(folder, name, path), 0700) == 0 || errno == EEXIST)
		return KW_OK;
	return errno == EACCES ? KW_EDENIED : errno == ENOENT ? KW_ENOTFOUND : KW_EIO;
}

static enum kw_err make_online_key(const char *folder, const char *name, struct kw_role_keys *keys)
{
	char path[KW_ROLES_PATH_SIZE];
	struct kw_ed25519 key;
	enum kw_err err = roles_key_new(roles_path(folder, name, path), &key);
	*keys = (struct kw_role_keys){.threshold = 1};
	if (err == KW_OK)
		err = kw_role_keys_put(keys, key.public_key);
	kw_wipe(&key, sizeof(key));
	return err;
}

static enum kw_err make_root_keys(const struct kw_roles_plan *plan, struct kw_ed25519 *keys, struct kw_root *root)
{
	char path[KW_ROLES_PATH_SIZE];
	char name[64];
	root->root.threshold = plan->root_threshold;
	enum kw_err err = from_pkey(plan->root_key, &keys[0]);
	if (err == KW_OK)
		err = save(roles_path(plan->folder, KW_ROLES_ROOT_FOLDER "/1.key", path), plan->root_key);
	for (uint8_t i = 1; err == KW_OK && i < plan->root_keys; i++) {
		(void)snprintf(name, sizeof(name), KW_ROLES_ROOT_FOLDER "/%u.key", i + 1u); /* fits */
		err = roles_key_new(roles_path(plan->folder, name, path), &keys[i]);
	}
	for (uint8_t i = 0; err == KW_OK && i < plan->root_keys; i++)
		err = kw_role_keys_put(&root->root, keys[i].public_key);
	return err;
}

static enum kw_err sign_first_root(const struct kw_roles_plan *plan, const struct kw_ed25519 *keys,
	const struct kw_root *root)
{
	struct kw_role_signed role = {.count = 0};
	struct kw_buf payload;
	struct kw_buf bytes;
	kw_buf_init(&payload, KW_ROLE_SIZE_MAX);
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_root_add(&payload, root);
	role.payload = kw_buf_view(&payload);
	for (uint8_t i = 0; err == KW_OK && i < plan->root_keys; i++)
		err = kw_role_sign(&role, KW_ROLE_ROOT, &keys[i]);
	if (err == KW_OK)
		err = kw_role_add(&bytes, &role);
	if (err == KW_OK)
		err = roles_write(plan->folder, "roots/1.bin", kw_buf_view(&bytes));
	kw_buf_fini(&payload);
	kw_buf_fini(&bytes);
	return err;
}

/* SHA-256 of the SubjectPublicKeyInfo, as kw_spki_digest of its certificate. */
static enum kw_err key_digest(EVP_PKEY *key, struct kw_digest *out)
{
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	if (size <= 0)
		return KW_ECRYPTO;
	struct kw_view part = KW_VIEW(der, (size_t)size);
	enum kw_err err = kw_sha256(&part, 1, out);
	OPENSSL_free(der);
	return err;
}

static enum kw_err make_root(const struct kw_roles_plan *plan, struct kw_root *root)
{
	struct kw_ed25519 keys[KW_ROLE_KEYS_MAX];
	struct kw_hub_role *hub = &root->hubs[0];
	root->version = 1;
	root->expires_unix_ms = plan->now_unix_ms + KW_ROLES_ROOT_LIFE_MS;
	root->hub_count = 1;
	hub->hub = plan->hub;
	enum kw_err err = key_digest(plan->root_key, &root->tls_root_digest);
	if (err == KW_OK)
		err = make_online_key(plan->folder, "registrar.key", &hub->registrar);
	if (err == KW_OK)
		err = make_online_key(plan->folder, "snapshot.key", &hub->snapshot);
	if (err == KW_OK)
		err = make_online_key(plan->folder, "timestamp.key", &hub->timestamp);
	if (err == KW_OK)
		err = make_online_key(plan->folder, "log.key", &hub->log);
	if (err == KW_OK)
		err = make_root_keys(plan, keys, root);
	if (err == KW_OK)
		err = sign_first_root(plan, keys, root);
	kw_wipe(keys, sizeof(keys));
	return err;
}

enum kw_err kw_roles_create(const struct kw_roles_plan *plan)
{
	struct kw_directory nobody = {.count = 0};
	struct kw_root *root = calloc(1, sizeof(*root));
	struct kw_roles *roles = calloc(1, sizeof(*roles));
	struct kw_role_client *client = calloc(1, sizeof(*client));
	enum kw_role_rule rule;
	if (roles != NULL)
		roles->client = client;
	enum kw_err err = root == NULL || roles == NULL || client == NULL ? KW_ENOMEM : roles_folder_check(plan->folder);
	if (err == KW_OK && (plan->root_keys < 1 || plan->root_keys > KW_ROLE_KEYS_MAX || plan->root_threshold < 1 ||
				    plan->root_threshold > plan->root_keys))
		err = KW_EFIELD;
	if (err == KW_OK)
		err = make_folder(plan->folder, "roots");
	if (err == KW_OK)
		err = make_folder(plan->folder, KW_ROLES_ROOT_FOLDER);
	if (err == KW_OK)
		err = make_root(plan, root);
	if (err == KW_OK) {
		struct kw_buf bytes;
		char path[KW_ROLES_PATH_SIZE];
		(void)snprintf(roles->folder, sizeof(roles->folder), "%s", plan->folder); /* checked */
		roles->hub = plan->hub;
		kw_role_client_init(client, &plan->hub, &root->tls_root_digest);
		kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
		err = kw_file_read(roles_path(plan->folder, "roots/1.bin", path), KW_FILE_PUBLIC, &bytes);
		if (err == KW_OK)
			err = kw_role_client_root(client, kw_buf_view(&bytes), &rule);
		kw_buf_fini(&bytes);
	}
	if (err == KW_OK)
		err = kw_roles_publish(roles, plan->directory != NULL ? plan->directory : &nobody, plan->now_unix_ms);
	if (roles != NULL)
		kw_roles_free(roles);
	else
		free(client);
	free(root);
	return err;
}
