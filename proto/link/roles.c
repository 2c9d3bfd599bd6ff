#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/link/file.h"
#include "proto/link/roles_inner.h"

/* Reading a hub's roles from its folder, and the lock. */

const char *roles_path(const char *folder, const char *name, char *path)
{
	(void)snprintf(path, KW_ROLES_PATH_SIZE, "%.1335s/%.255s", folder, name); /* roles_folder_check, and a name in a folder */
	return path;
}

enum kw_err roles_folder_check(const char *folder)
{
	return strlen(folder) <= 1335 ? KW_OK : KW_ETOOBIG;
}

enum kw_err kw_roles_lock(const char *folder, uint32_t wait_ms, int *fd)
{
	char path[KW_ROLES_PATH_SIZE];
	enum kw_err err = roles_folder_check(folder);
	return err != KW_OK ? err : kw_file_lock(roles_path(folder, "roles.lock", path), wait_ms, fd);
}

void kw_roles_unlock(int fd)
{
	kw_file_unlock(fd);
}

static enum kw_err read_file(const char *folder, const char *name, struct kw_buf *out)
{
	char path[KW_ROLES_PATH_SIZE];
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	return kw_file_read(roles_path(folder, name, path), KW_FILE_PUBLIC, out);
}

static enum kw_err read_roots(struct kw_roles *roles)
{
	enum kw_role_rule rule;
	char name[64];
	roles->roots = calloc(KW_ROLE_ROOTS_MAX, sizeof(*roles->roots));
	if (roles->roots == NULL)
		return KW_ENOMEM;
	while (roles->roots_count < KW_ROLE_ROOTS_MAX) {
		struct kw_buf *root = &roles->roots[roles->roots_count];
		(void)snprintf(name, sizeof(name), "roots/%u.bin", roles->roots_count + 1); /* fits */
		enum kw_err err = read_file(roles->folder, name, root);
		if (err == KW_ENOTFOUND && roles->roots_count > 0)
			return KW_OK;
		roles->roots_count++;
		if (err == KW_OK)
			err = kw_role_client_root(roles->client, kw_buf_view(root), &rule);
		if (err != KW_OK)
			return err;
	}
	return KW_OK; /* no root has a later version */
}

/* By the root before the present one too: a rotation that was cut short has not signed it anew. */
static enum kw_err check_registrar(const struct kw_roles *roles, const struct kw_role_signed *role)
{
	struct kw_role_signed before;
	uint32_t good;
	const struct kw_hub_role *keys = kw_root_hub(&roles->client->root, &roles->hub);
	enum kw_err err = keys == NULL ? KW_EAUTH : kw_role_check(role, KW_ROLE_REGISTRAR, &keys->registrar, &good);
	if (err != KW_EAUTH || roles->roots_count < 2)
		return err;
	struct kw_root *root = calloc(1, sizeof(*root));
	err = root == NULL ? KW_ENOMEM : kw_role_parse(kw_buf_view(&roles->roots[roles->roots_count - 2]), &before);
	if (err == KW_OK)
		err = kw_root_read(before.payload, root);
	keys = err == KW_OK ? kw_root_hub(root, &roles->hub) : NULL;
	if (err == KW_OK)
		err = keys == NULL ? KW_EAUTH : kw_role_check(role, KW_ROLE_REGISTRAR, &keys->registrar, &good);
	free(root);
	return err;
}

static enum kw_err read_directory(struct kw_roles *roles)
{
	struct kw_role_signed role;
	enum kw_err err = read_file(roles->folder, "directory.bin", &roles->signed_directory);
	if (err == KW_OK)
		err = kw_role_parse(kw_buf_view(&roles->signed_directory), &role);
	if (err == KW_OK)
		err = check_registrar(roles, &role);
	if (err == KW_OK)
		err = kw_directory_read(role.payload, &roles->directory);
	return err == KW_OK && !kw_name_equal(&roles->directory->hub, &roles->hub) ? KW_EAUTH : err;
}

/* Of these two only the versions matter: what does not fit is signed anew. A file that is missing is one that was not written
 * yet. */
static enum kw_err read_online(struct kw_roles *roles)
{
	struct kw_role_signed role;
	struct kw_timestamp timestamp;
	enum kw_err err = read_file(roles->folder, "snapshot.bin", &roles->signed_snapshot);
	if (err == KW_OK && kw_role_parse(kw_buf_view(&roles->signed_snapshot), &role) == KW_OK) {
		struct kw_snapshot *snapshot = calloc(1, sizeof(*snapshot));
		if (snapshot == NULL)
			return KW_ENOMEM;
		if (kw_snapshot_read(role.payload, snapshot) == KW_OK)
			roles->snapshot_version = snapshot->version;
		free(snapshot);
	}
	if (err == KW_OK || err == KW_ENOTFOUND)
		err = read_file(roles->folder, "timestamp.bin", &roles->signed_timestamp);
	if (err == KW_OK && kw_role_parse(kw_buf_view(&roles->signed_timestamp), &role) == KW_OK &&
		kw_timestamp_read(role.payload, &timestamp) == KW_OK) {
		roles->timestamp_version = timestamp.version;
		if (timestamp.snapshot_version > roles->snapshot_version)
			roles->snapshot_version = timestamp.snapshot_version;
	}
	return err == KW_ENOTFOUND ? KW_OK : err;
}

enum kw_err roles_judge(const struct kw_roles *roles, struct kw_view timestamp, struct kw_view snapshot,
	struct kw_view directory)
{
	enum kw_role_rule rule;
	struct kw_directory *read = NULL;
	struct kw_role_client *client = calloc(1, sizeof(*client));
	if (client == NULL)
		return KW_ENOMEM;
	*client = *roles->client;
	client->timestamp = (struct kw_timestamp){.version = 0};
	client->snapshot.version = 0;
	client->snapshot.count = 0;
	enum kw_err err = kw_role_client_timestamp(client, timestamp, 1, &rule);
	if (err == KW_OK)
		err = kw_role_client_snapshot(client, snapshot, 1, &rule);
	if (err == KW_OK && directory.size > 0)
		err = kw_role_client_directory(client, &roles->hub, directory, &read, &rule);
	if (err == KW_OK) {
		roles->client->timestamp = client->timestamp;
		roles->client->timestamp_digest = client->timestamp_digest;
		roles->client->snapshot = client->snapshot;
	}
	kw_directory_free(read);
	free(client);
	return err;
}

static void look(const struct kw_roles *roles, struct timespec *time, ino_t *file)
{
	char path[KW_ROLES_PATH_SIZE];
	struct stat info;
	*time = (struct timespec){.tv_sec = 0};
	*file = 0;
	if (stat(roles_path(roles->folder, "timestamp.bin", path), &info) == 0) {
		*time = info.st_mtim;
		*file = info.st_ino;
	}
}

void roles_seen(struct kw_roles *roles)
{
	look(roles, &roles->seen_time, &roles->seen_file);
}

bool kw_roles_is_old(const struct kw_roles *roles)
{
	struct timespec time;
	ino_t file;
	look(roles, &time, &file);
	return file != roles->seen_file || time.tv_sec != roles->seen_time.tv_sec || time.tv_nsec != roles->seen_time.tv_nsec;
}

static enum kw_err read_all(struct kw_roles *roles, const char **file)
{
	roles_seen(roles);
	*file = "roots/1.bin";
	enum kw_err err = read_roots(roles);
	if (err != KW_OK)
		*file = roles->roots_count < 2 ? "roots/1.bin" : "roots";
	if (err == KW_OK) {
		*file = "directory.bin";
		err = read_directory(roles);
	}
	if (err == KW_OK) {
		*file = "timestamp.bin";
		err = read_online(roles);
	}
	if (err != KW_OK)
		return err;
	roles->fits = roles_judge(roles, kw_buf_view(&roles->signed_timestamp), kw_buf_view(&roles->signed_snapshot),
			      kw_buf_view(&roles->signed_directory)) == KW_OK;
	roles_changes_load(roles);
	return KW_OK;
}

enum kw_err kw_roles_load(const char *folder, const struct kw_name *hub, const struct kw_digest *tls_root_digest,
	struct kw_roles **out, const char **file)
{
	*file = "";
	enum kw_err err = roles_folder_check(folder);
	struct kw_roles *roles = err == KW_OK ? calloc(1, sizeof(*roles)) : NULL;
	if (roles == NULL)
		return err != KW_OK ? err : KW_ENOMEM;
	(void)snprintf(roles->folder, sizeof(roles->folder), "%s", folder); /* checked */
	roles->hub = *hub;
	roles->client = calloc(1, sizeof(*roles->client));
	if (roles->client == NULL) {
		free(roles);
		return KW_ENOMEM;
	}
	kw_role_client_init(roles->client, hub, tls_root_digest);
	err = read_all(roles, file);
	if (err != KW_OK) {
		kw_roles_free(roles);
		return err;
	}
	*out = roles;
	return KW_OK;
}

void kw_roles_free(struct kw_roles *roles)
{
	if (roles == NULL)
		return;
	for (uint32_t i = 0; i < roles->roots_count; i++)
		kw_buf_fini(&roles->roots[i]);
	free(roles->roots);
	kw_buf_fini(&roles->signed_directory);
	kw_buf_fini(&roles->signed_snapshot);
	kw_buf_fini(&roles->signed_timestamp);
	kw_directory_free(roles->directory);
	free(roles->changes);
	free(roles->client);
	free(roles);
}
