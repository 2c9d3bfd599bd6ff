#include "agent/shell/role_files.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/link/file.h"

static enum kw_err read_role(const char *folder, const char *name, struct kw_buf *out)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%s/%s", folder, name);

	return size < 0 || (size_t)size >= sizeof(path) ? KW_ETOOBIG : kw_file_read(path, KW_FILE_PUBLIC, out);
}

static enum kw_err version_of(struct kw_view bytes, uint64_t *out)
{
	struct kw_role_signed role;
	struct kw_root *root = calloc(1, sizeof(*root));
	enum kw_err err = root == NULL ? KW_ENOMEM : kw_role_parse(bytes, &role);

	if (err == KW_OK)
		err = kw_root_read(role.payload, root);
	if (err == KW_OK)
		*out = root->version;
	free(root);
	return err;
}

/* The present one last. */
static enum kw_err read_roots(const char *folder, struct role_files *out)
{
	struct kw_buf *last = &out->roots[KW_ROLE_ROOTS_MAX - 1];
	uint64_t version = 0;
	enum kw_err err = read_role(folder, "root.bin", last);

	if (err == KW_OK)
		err = version_of(kw_buf_view(last), &version);
	if (err == KW_OK && version > KW_ROLE_ROOTS_MAX)
		err = KW_ETOOBIG;
	for (uint64_t n = 1; err == KW_OK && n < version; n++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "root.%" PRIu64 ".bin", n); /* fits */
		err = read_role(folder, name, &out->roots[n - 1]);
		out->roles.roots[n - 1] = kw_buf_view(&out->roots[n - 1]);
	}
	if (err == KW_OK)
		out->roles.roots[version - 1] = kw_buf_view(last);
	out->roles.roots_count = (uint32_t)version;
	return err;
}

enum kw_err role_files_read(const char *folder, struct role_files *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < KW_ROLE_ROOTS_MAX; i++)
		kw_buf_init(&out->roots[i], KW_ROLE_SIZE_MAX);
	kw_buf_init(&out->timestamp, KW_ROLE_SIZE_MAX);
	kw_buf_init(&out->snapshot, KW_ROLE_SIZE_MAX);
	kw_buf_init(&out->directory, KW_ROLE_SIZE_MAX);
	enum kw_err err = read_roots(folder, out);
	if (err == KW_OK)
		err = read_role(folder, "timestamp.bin", &out->timestamp);
	if (err == KW_OK)
		err = read_role(folder, "snapshot.bin", &out->snapshot);
	if (err == KW_OK)
		err = read_role(folder, "directory.bin", &out->directory);
	out->roles.timestamp = kw_buf_view(&out->timestamp);
	out->roles.snapshot = kw_buf_view(&out->snapshot);
	out->roles.directories[0] = kw_buf_view(&out->directory);
	out->roles.directories_count = 1;
	return err;
}

void role_files_fini(struct role_files *files)
{
	for (uint32_t i = 0; i < KW_ROLE_ROOTS_MAX; i++)
		kw_buf_fini(&files->roots[i]);
	kw_buf_fini(&files->timestamp);
	kw_buf_fini(&files->snapshot);
	kw_buf_fini(&files->directory);
}

enum kw_err role_files_keep_root(const char *folder, uint64_t version, struct kw_view signed_role)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%s/root.%" PRIu64 ".bin", folder, version);

	return size < 0 || (size_t)size >= sizeof(path) ? KW_ETOOBIG : kw_file_write_atomic(path, signed_role, 0644);
}
