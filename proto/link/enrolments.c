#include "proto/link/enrolments.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proto/link/file.h"

#define FILE_SIZE_MAX 65536u

static enum kw_err path_of(const char *folder, const char *name, char path[PATH_MAX])
{
	int size = snprintf(path, PATH_MAX, "%s/enrol/%s", folder, name);
	return size > 0 && size < PATH_MAX ? KW_OK : KW_ETOOBIG;
}

static enum kw_err path_of_id(const char *folder, const uint8_t *id, char path[PATH_MAX])
{
	char name[2 * KW_ENROL_ID_SIZE + 1];
	kw_hex(name, KW_VIEW(id, KW_ENROL_ID_SIZE));
	return path_of(folder, name, path);
}

enum kw_err kw_enrolments_lock(const char *folder, uint32_t wait_ms, int *fd)
{
	char path[PATH_MAX];
	enum kw_err err = path_of(folder, "lock", path);
	return err != KW_OK ? err : kw_file_lock(path, wait_ms, fd);
}

void kw_enrolments_unlock(int fd)
{
	kw_file_unlock(fd);
}

enum kw_err kw_enrolments_load(const char *folder, const uint8_t *id, struct kw_enrolment *out)
{
	char path[PATH_MAX];
	struct kw_buf text;
	*out = (struct kw_enrolment){.tries = 0};
	memcpy(out->id, id, KW_ENROL_ID_SIZE);
	kw_buf_init(&text, FILE_SIZE_MAX);
	enum kw_err err = path_of_id(folder, id, path);
	if (err == KW_OK)
		err = kw_file_read(path, KW_FILE_SECRET, &text);
	if (err == KW_OK)
		err = kw_enrolment_parse(kw_buf_view(&text), out);
	kw_buf_fini(&text);
	return err;
}

enum kw_err kw_enrolments_save(const char *folder, const struct kw_enrolment *enrolment)
{
	char path[PATH_MAX];
	struct kw_buf text;
	kw_buf_init(&text, FILE_SIZE_MAX);
	enum kw_err err = kw_enrolment_format(enrolment, &text);
	if (err == KW_OK)
		err = path_of_id(folder, enrolment->id, path);
	if (err == KW_OK)
		err = kw_file_write_atomic(path, kw_buf_view(&text), 0600);
	kw_buf_fini(&text);
	return err;
}

enum kw_err kw_enrolments_each(const char *folder, bool (*each)(void *user, struct kw_enrolment *enrolment, enum kw_err err),
	void *user)
{
	char path[PATH_MAX];
	enum kw_err err = path_of(folder, "", path);
	if (err != KW_OK)
		return err;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT || errno == ENOTDIR ? KW_ENOTFOUND : errno == EACCES ? KW_EDENIED : KW_EIO;
	bool go_on = true;
	struct dirent *entry;
	while (go_on && (entry = readdir(dir)) != NULL) {
		uint8_t id[KW_ENROL_ID_SIZE];
		struct kw_enrolment enrolment;
		if (strlen(entry->d_name) != 2 * sizeof(id) || kw_unhex(id, sizeof(id), entry->d_name) != KW_OK)
			continue; /* the lock, or a file that is being written */
		err = kw_enrolments_load(folder, id, &enrolment);
		go_on = each(user, &enrolment, err);
		kw_enrolment_fini(&enrolment);
	}
	(void)closedir(dir);
	return KW_OK;
}
