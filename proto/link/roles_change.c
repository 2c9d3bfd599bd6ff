#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/link/file.h"
#include "proto/link/roles_inner.h"

/* What changed lately: "from VERSION", then "VERSION NAME" a line. A hint only: a delta that is wrong is seen by its digest, and
 * whoever is not in here gets the whole directory. */

#define LINE_SIZE (KW_NAME_SIZE_MAX + 24u)

static void begin(struct kw_roles *roles, uint64_t version)
{
	free(roles->changes);
	roles->changes = NULL;
	roles->changes_count = 0;
	roles->changes_from = version;
}

static bool add(struct kw_roles *roles, uint64_t version, const struct kw_name *name)
{
	if (roles->changes == NULL)
		roles->changes = calloc(KW_ROLES_CHANGES_MAX, sizeof(*roles->changes));
	if (roles->changes == NULL)
		return false;
	if (roles->changes_count == KW_ROLES_CHANGES_MAX) {
		/* The older half goes, whole versions of it. */
		size_t keep = KW_ROLES_CHANGES_MAX / 2;
		uint64_t gone = roles->changes[keep - 1].version;
		while (keep < roles->changes_count && roles->changes[keep].version == gone)
			keep++;
		if (keep == roles->changes_count && gone == version)
			return false; /* one change that is larger than all this */
		memmove(roles->changes, roles->changes + keep, (roles->changes_count - keep) * sizeof(*roles->changes));
		roles->changes_count -= keep;
		roles->changes_from = gone;
	}
	roles->changes[roles->changes_count++] = (struct kw_roles_change){.version = version, .name = *name};
	return true;
}

static int compare(const struct kw_directory *a, size_t i, const struct kw_directory *b, size_t j)
{
	if (i == a->count || j == b->count)
		return i == a->count ? 1 : -1;
	return memcmp(a->entries[i].agency.text, b->entries[j].agency.text, sizeof(a->entries[i].agency.text));
}

void roles_changes_note(struct kw_roles *roles, const struct kw_directory *next)
{
	const struct kw_directory *old = roles->directory;
	size_t i = 0;
	size_t j = 0;
	bool all = true;
	while (all && (i < old->count || j < next->count)) {
		int order = compare(old, i, next, j);
		if (order < 0)
			all = add(roles, next->version, &old->entries[i++].agency);
		else if (order > 0)
			all = add(roles, next->version, &next->entries[j++].agency);
		else {
			if (memcmp(&old->entries[i], &next->entries[j], sizeof(old->entries[i])) != 0)
				all = add(roles, next->version, &next->entries[j].agency);
			i++;
			j++;
		}
	}
	if (!all)
		begin(roles, next->version);
}

static bool parse(struct kw_roles *roles, char *text)
{
	char *rest = NULL;
	char *line = strtok_r(text, "\n", &rest);
	char *end = NULL;
	if (line == NULL || strncmp(line, "from ", 5) != 0)
		return false;
	begin(roles, strtoull(line + 5, &end, 10));
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
		struct kw_name name;
		uint64_t version = strtoull(line, &end, 10);
		if (*end != ' ' || kw_name_from(kw_view_str(end + 1), &name) != KW_OK || version > roles->directory->version ||
			(roles->changes_count > 0 && version < roles->changes[roles->changes_count - 1].version) ||
			!add(roles, version, &name))
			return false;
	}
	return true;
}

void roles_changes_load(struct kw_roles *roles)
{
	char path[KW_ROLES_PATH_SIZE];
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLES_CHANGES_MAX * LINE_SIZE);
	enum kw_err err = kw_file_read(roles_path(roles->folder, "changes.txt", path), KW_FILE_PUBLIC, &bytes);
	if (err == KW_OK)
		err = kw_buf_add_u8(&bytes, 0);
	if (err != KW_OK || !parse(roles, (char *)bytes.data))
		begin(roles, roles->directory->version);
	kw_buf_fini(&bytes);
}

void roles_changes_save(const struct kw_roles *roles)
{
	char line[LINE_SIZE];
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_ROLES_CHANGES_MAX * LINE_SIZE);
	(void)snprintf(line, sizeof(line), "from %" PRIu64 "\n", roles->changes_from); /* fits, as below */
	enum kw_err err = kw_buf_add(&bytes, kw_view_str(line));
	for (size_t i = 0; err == KW_OK && i < roles->changes_count; i++) {
		(void)snprintf(line, sizeof(line), "%" PRIu64 " %s\n", roles->changes[i].version, roles->changes[i].name.text);
		err = kw_buf_add(&bytes, kw_view_str(line));
	}
	if (err == KW_OK)
		err = roles_write(roles->folder, "changes.txt", kw_buf_view(&bytes));
	(void)err; /* without it agents get more bytes, and the same directory */
	kw_buf_fini(&bytes);
}

enum kw_err kw_roles_changes(const struct kw_roles *roles, uint64_t version, struct kw_name **names, size_t *count)
{
	size_t first = roles->changes_count;
	if (version < roles->changes_from || version == 0 || version > roles->directory->version)
		return KW_ENOTFOUND;
	while (first > 0 && roles->changes[first - 1].version > version)
		first--;
	*count = roles->changes_count - first;
	*names = calloc(*count + 1, sizeof(**names));
	if (*names == NULL)
		return KW_ENOMEM;
	for (size_t i = 0; i < *count; i++)
		(*names)[i] = roles->changes[first + i].name;
	return KW_OK;
}
