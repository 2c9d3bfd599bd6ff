#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/link/file.h"
#include "proto/link/roles_inner.h"
#include "proto/wire/crypt.h"
#include "proto/wire/pbscan.h"

/* A new root that puts other keys in charge, and the folder of an older version. */

struct rotating {
	struct kw_roles *roles;
	struct kw_roles_rotation *rotation;
	struct kw_root *next;
	struct kw_ed25519 old_keys[KW_ROLE_KEYS_MAX];
	uint32_t old_count;
	struct kw_ed25519 new_keys[KW_ROLE_KEYS_MAX]; /* of the root */
	uint8_t new_count;
};

const char *kw_roles_which_name(enum kw_roles_which which)
{
	static const char *const names[KW_ROLES_WHICH_COUNT] = {"registrar", "snapshot", "timestamp", "log", "root"};
	return which < KW_ROLES_WHICH_COUNT ? names[which] : "unknown";
}

static bool is_in(const struct kw_role_keys *keys, const uint8_t *key)
{
	for (uint8_t i = 0; i < keys->count; i++)
		if (memcmp(keys->keys[i], key, KW_KEY_SIZE) == 0)
			return true;
	return false;
}

static bool is_taken(const struct rotating *rotating, const uint8_t *key)
{
	for (uint32_t i = 0; i < rotating->old_count; i++)
		if (memcmp(rotating->old_keys[i].public_key, key, KW_KEY_SIZE) == 0)
			return true;
	return false;
}

/* Every *.key of the folder that belongs to the present root; the same one from two files counts once. */
static enum kw_err find_keys(struct rotating *rotating)
{
	const char *folder = rotating->rotation->root_keys;
	const struct kw_role_keys *root = &rotating->roles->client->root.root;
	char path[KW_ROLES_PATH_SIZE];
	struct dirent *entry;
	enum kw_err err = roles_folder_check(folder);
	DIR *dir = err == KW_OK ? opendir(folder) : NULL;
	if (dir == NULL)
		return err != KW_OK ? err : errno == EACCES ? KW_EDENIED : KW_ENOTFOUND;
	while (err == KW_OK && rotating->old_count < root->count && (entry = readdir(dir)) != NULL) {
		size_t size = strlen(entry->d_name);
		struct kw_ed25519 *key = &rotating->old_keys[rotating->old_count];
		if (size < 5 || size > 60 || strcmp(entry->d_name + size - 4, ".key") != 0)
			continue;
		err = roles_key_load(roles_path(folder, entry->d_name, path), key);
		if (err == KW_OK && is_in(root, key->public_key) && !is_taken(rotating, key->public_key))
			rotating->old_count++;
	}
	(void)closedir(dir);
	rotating->rotation->found = rotating->old_count;
	if (err == KW_OK && rotating->old_count < root->threshold)
		err = KW_EAUTH;
	return err;
}

static struct kw_role_keys *keys_of(struct kw_root *root, const struct kw_name *hub, enum kw_roles_which which)
{
	for (uint32_t i = 0; i < root->hub_count; i++) {
		struct kw_hub_role *role = &root->hubs[i];
		if (kw_name_equal(&role->hub, hub))
			return which == KW_ROLES_REGISTRAR ? &role->registrar : which == KW_ROLES_SNAPSHOT ? &role->snapshot
				: which == KW_ROLES_TIMESTAMP ? &role->timestamp : &role->log;
	}
	return NULL;
}

static enum kw_err make_online(struct rotating *rotating)
{
	char name[64];
	char path[KW_ROLES_PATH_SIZE];
	struct kw_ed25519 key;
	enum kw_roles_which which = rotating->rotation->which;
	struct kw_role_keys *keys = keys_of(rotating->next, &rotating->roles->hub, which);
	if (keys == NULL)
		return KW_EAUTH;
	(void)snprintf(name, sizeof(name), "%s.key.new", kw_roles_which_name(which)); /* fits */
	enum kw_err err = roles_key_new(roles_path(rotating->roles->folder, name, path), &key);
	*keys = (struct kw_role_keys){.threshold = 1};
	if (err == KW_OK)
		err = kw_role_keys_put(keys, key.public_key);
	kw_wipe(&key, sizeof(key));
	return err;
}

static enum kw_err make_root(struct rotating *rotating)
{
	const struct kw_roles_rotation *rotation = rotating->rotation;
	char name[64];
	char path[KW_ROLES_PATH_SIZE];
	enum kw_err err = KW_OK;
	rotating->next->root = (struct kw_role_keys){.threshold = rotation->new_threshold};
	for (uint8_t i = 0; err == KW_OK && i < rotation->new_keys; i++) {
		(void)snprintf(name, sizeof(name), "%llu-%u.key", (unsigned long long)rotating->next->version, i + 1u); /* fits */
		err = roles_key_new(roles_path(rotation->root_keys, name, path), &rotating->new_keys[rotating->new_count]);
		if (err == KW_OK)
			err = kw_role_keys_put(&rotating->next->root, rotating->new_keys[rotating->new_count++].public_key);
	}
	return err;
}

static enum kw_err sign_root(const struct rotating *rotating, struct kw_buf *out)
{
	struct kw_role_signed role = {.count = 0};
	struct kw_buf payload;
	kw_buf_init(&payload, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_root_add(&payload, rotating->next);
	role.payload = kw_buf_view(&payload);
	for (uint32_t i = 0; err == KW_OK && i < rotating->old_count; i++)
		err = kw_role_sign(&role, KW_ROLE_ROOT, &rotating->old_keys[i]);
	for (uint8_t i = 0; err == KW_OK && i < rotating->new_count; i++)
		err = kw_role_sign(&role, KW_ROLE_ROOT, &rotating->new_keys[i]);
	if (err == KW_OK)
		err = kw_role_add(out, &role);
	kw_buf_fini(&payload);
	return err;
}

/* The key goes to its place after the root that names it: in between, the next signing finds it (load_key). */
static enum kw_err install(const struct rotating *rotating, struct kw_view root)
{
	char name[64];
	char path[KW_ROLES_PATH_SIZE];
	char fresh[KW_ROLES_PATH_SIZE];
	const struct kw_roles *roles = rotating->roles;
	const char *which = kw_roles_which_name(rotating->rotation->which);
	(void)snprintf(name, sizeof(name), "roots/%llu.bin", (unsigned long long)rotating->next->version); /* fits, as below */
	enum kw_err err = roles_write(roles->folder, name, root);
	if (err != KW_OK || rotating->rotation->which == KW_ROLES_ROOT)
		return err;
	(void)snprintf(name, sizeof(name), "%s.key.new", which);
	(void)roles_path(roles->folder, name, fresh);
	(void)snprintf(name, sizeof(name), "%s.key", which);
	return rename(fresh, roles_path(roles->folder, name, path)) == 0 ? KW_OK : KW_EIO;
}

static enum kw_err carry_out(struct rotating *rotating)
{
	enum kw_role_rule rule;
	struct kw_buf root;
	struct kw_roles *roles = rotating->roles;
	kw_buf_init(&root, KW_ROLE_SIZE_MAX);
	enum kw_err err = rotating->rotation->which == KW_ROLES_ROOT ? make_root(rotating) : make_online(rotating);
	if (err == KW_OK)
		err = sign_root(rotating, &root);
	/* Judged before it is written: a root cannot be taken back. */
	if (err == KW_OK)
		err = kw_role_client_root(roles->client, kw_buf_view(&root), &rule);
	if (err == KW_OK)
		err = install(rotating, kw_buf_view(&root));
	kw_buf_fini(&root);
	if (err != KW_OK)
		return err;
	err = roles_read_again(roles);
	return err != KW_OK ? err : kw_roles_publish(roles, NULL, rotating->rotation->now_unix_ms);
}

enum kw_err kw_roles_rotate(struct kw_roles *roles, struct kw_roles_rotation *rotation)
{
	bool counts_fit = rotation->new_keys >= 1 && rotation->new_keys <= KW_ROLE_KEYS_MAX && rotation->new_threshold >= 1 &&
		rotation->new_threshold <= rotation->new_keys;
	if (rotation->which == KW_ROLES_ROOT && !counts_fit)
		return KW_EFIELD;
	if (roles->client->root.version >= KW_ROLE_ROOTS_MAX)
		return KW_EFULL;
	struct rotating *rotating = calloc(1, sizeof(*rotating));
	struct kw_root *next = calloc(1, sizeof(*next));
	enum kw_err err = KW_ENOMEM;
	if (rotating != NULL && next != NULL) {
		*next = roles->client->root;
		next->version++;
		next->expires_unix_ms = rotation->now_unix_ms + KW_ROLES_ROOT_LIFE_MS;
		rotating->roles = roles;
		rotating->rotation = rotation;
		rotating->next = next;
		err = find_keys(rotating);
		if (err == KW_OK && !rotation->dry_run)
			err = carry_out(rotating);
		kw_wipe(rotating, sizeof(*rotating));
	}
	free(rotating);
	free(next);
	return err;
}

/* The form before these roles: {bytes directory = 1; certificate = 2; signature = 3 over "kw1 directory" and the bytes}. Its
 * payload is a Directory without an end, which is put behind it. */
static enum kw_err read_old(const char *folder, const uint8_t *issuer_key, int64_t now_unix_ms, struct kw_directory **out)
{
	char path[KW_ROLES_PATH_SIZE];
	struct kw_buf bytes;
	struct kw_buf message;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	kw_buf_init(&message, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_file_read(roles_path(folder, "directory.bin", path), KW_FILE_PUBLIC, &bytes);
	struct kw_pb pb = kw_pb_from(kw_buf_view(&bytes));
	struct kw_view payload = kw_pb_need_bytes(&pb, 1, 1, KW_DIRECTORY_SIZE_MAX - 64);
	(void)kw_pb_need_bytes(&pb, 2, 1, 4096);
	struct kw_view signature = kw_pb_need_bytes(&pb, 3, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_buf_add(&message, kw_view_str("kw1 directory"));
	if (err == KW_OK)
		err = kw_buf_add(&message, payload);
	if (err == KW_OK)
		err = kw_ed25519_verify(issuer_key, kw_buf_view(&message), signature);
	message.size = 0;
	if (err == KW_OK)
		err = kw_buf_add(&message, payload);
	if (err == KW_OK)
		err = kw_pb_add_uint(&message, 5, (uint64_t)now_unix_ms);
	if (err == KW_OK)
		err = kw_directory_read(kw_buf_view(&message), out);
	kw_buf_fini(&message);
	kw_buf_fini(&bytes);
	return err;
}

enum kw_err kw_roles_upgrade(const struct kw_roles_plan *plan, const uint8_t *issuer_key)
{
	char path[KW_ROLES_PATH_SIZE];
	struct stat info;
	struct kw_directory *directory = NULL;
	struct kw_roles_plan whole = *plan;
	enum kw_err err = roles_folder_check(plan->folder);
	if (err == KW_OK && stat(roles_path(plan->folder, "timestamp.bin", path), &info) == 0)
		err = KW_EEXIST;
	if (err == KW_OK)
		err = read_old(plan->folder, issuer_key, plan->now_unix_ms, &directory);
	if (err == KW_OK && !kw_name_equal(&directory->hub, &plan->hub))
		err = KW_EAUTH;
	whole.directory = directory;
	if (err == KW_OK)
		err = kw_roles_create(&whole);
	kw_directory_free(directory);
	return err;
}
