#include "proto/wire/role_delta.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/pbscan.h"

#define SIGNATURE_SIZE 76u /* of an encoded RoleSignature */

static int compare_names(const void *a, const void *b)
{
	const struct kw_name *x = a;
	const struct kw_name *y = b;
	return memcmp(x->text, y->text, sizeof(x->text));
}

static enum kw_err add_signatures(struct kw_buf *out, const struct kw_role_signed *role)
{
	enum kw_err err = KW_OK;
	for (uint32_t i = 0; err == KW_OK && i < role->count; i++) {
		err = kw_pb_add_head(out, 4, SIGNATURE_SIZE);
		if (err == KW_OK)
			err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(role->signatures[i].key_id));
		if (err == KW_OK)
			err = kw_pb_add_bytes(out, 2, KW_VIEW_OF(role->signatures[i].signature));
	}
	return err;
}

/* Each name once: as an entry of `changed`, or as gone. */
static enum kw_err sort_out(const struct kw_role_delta *delta, struct kw_name *names, struct kw_directory *changed,
	struct kw_buf *out)
{
	enum kw_err err = KW_OK;
	if (delta->count > 0)
		memcpy(names, delta->names, delta->count * sizeof(*names));
	qsort(names, delta->count, sizeof(*names), compare_names);
	for (size_t i = 0; err == KW_OK && i < delta->count; i++) {
		if (i > 0 && compare_names(&names[i - 1], &names[i]) == 0)
			continue;
		const struct kw_directory_entry *entry = kw_directory_find(delta->directory, &names[i]);
		if (entry != NULL)
			changed->entries[changed->count++] = *entry;
		else
			err = kw_pb_add_bytes(out, 2, kw_view_str(names[i].text));
	}
	return err;
}

enum kw_err kw_role_delta_add(struct kw_buf *out, const struct kw_role_delta *delta)
{
	struct kw_directory changed = *delta->directory;
	struct kw_buf part;
	size_t start = out->size;
	struct kw_name *names = calloc(delta->count + 1, sizeof(*names));
	changed.count = 0;
	changed.entries = calloc(delta->count + 1, sizeof(*changed.entries));
	kw_buf_init(&part, KW_DIRECTORY_SIZE_MAX);
	enum kw_err err = names == NULL || changed.entries == NULL ? KW_ENOMEM : delta->from_version == 0 ? KW_EFIELD : KW_OK;
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, delta->from_version);
	if (err == KW_OK)
		err = sort_out(delta, names, &changed, out);
	if (err == KW_OK)
		err = kw_directory_pack(&changed, &part);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, kw_buf_view(&part));
	if (err == KW_OK)
		err = add_signatures(out, delta->role);
	if (err != KW_OK)
		out->size = start;
	kw_buf_fini(&part);
	free(changed.entries);
	free(names);
	return err;
}

struct reading {
	uint64_t from_version;
	struct kw_name *removed; /* ascending */
	size_t removed_count;
	struct kw_directory *changed;
	struct kw_role_signed role;
};

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

/* reading->removed has room for as many as `have` has. */
static enum kw_err read_delta(struct kw_view bytes, size_t removed_max, struct reading *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	out->from_version = kw_pb_need_uint(&pb, 1, UINT64_MAX);
	enum kw_err err = pb.err;
	while (err == KW_OK && kw_pb_is_next(&pb, 2)) {
		struct kw_view name = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
		if (out->removed_count == removed_max)
			return KW_EFIELD;
		err = pb.err != KW_OK ? pb.err : kw_name_from(name, &out->removed[out->removed_count]);
		if (err == KW_OK && out->removed_count > 0 &&
			compare_names(&out->removed[out->removed_count - 1], &out->removed[out->removed_count]) >= 0)
			err = KW_EFIELD;
		out->removed_count++;
	}
	struct kw_view changed = kw_pb_need_bytes(&pb, 3, 1, KW_DIRECTORY_SIZE_MAX);
	if (err == KW_OK)
		err = pb.err;
	while (err == KW_OK && kw_pb_is_next(&pb, 4)) {
		if (out->role.count == KW_ROLE_SIGNATURES_MAX)
			return KW_EFIELD;
		struct kw_view part = kw_pb_need_bytes(&pb, 4, SIGNATURE_SIZE, SIGNATURE_SIZE);
		err = pb.err != KW_OK ? pb.err : read_signature(part, &out->role.signatures[out->role.count++]);
	}
	if (err == KW_OK)
		err = kw_pb_end(&pb);
	return err != KW_OK ? err : kw_directory_read(changed, &out->changed);
}

/* Both are sorted: one pass. */
static void merge(const struct reading *delta, const struct kw_directory *have, struct kw_directory *out)
{
	const struct kw_directory *changed = delta->changed;
	size_t next = 0;
	for (size_t i = 0; i < have->count; i++) {
		const struct kw_directory_entry *entry = &have->entries[i];
		while (next < changed->count && compare_names(&changed->entries[next].agency, &entry->agency) < 0)
			out->entries[out->count++] = changed->entries[next++];
		if (next < changed->count && kw_name_equal(&changed->entries[next].agency, &entry->agency))
			out->entries[out->count++] = changed->entries[next++];
		else if (bsearch(&entry->agency, delta->removed, delta->removed_count, sizeof(*delta->removed), compare_names) == NULL)
			out->entries[out->count++] = *entry;
	}
	while (next < changed->count)
		out->entries[out->count++] = changed->entries[next++];
}

static enum kw_err rebuild(struct reading *delta, const struct kw_directory *have, struct kw_buf *out)
{
	struct kw_buf payload;
	struct kw_directory next = *delta->changed;
	kw_buf_init(&payload, KW_DIRECTORY_SIZE_MAX);
	next.count = 0;
	next.entries = calloc(have->count + delta->changed->count + 1, sizeof(*next.entries));
	if (next.entries == NULL)
		return KW_ENOMEM;
	merge(delta, have, &next);
	enum kw_err err = kw_directory_pack(&next, &payload);
	delta->role.payload = kw_buf_view(&payload);
	if (err == KW_OK)
		err = kw_role_add(out, &delta->role);
	kw_buf_fini(&payload);
	free(next.entries);
	return err;
}

enum kw_err kw_role_delta_apply(struct kw_view bytes, const struct kw_directory *have, struct kw_buf *out)
{
	struct reading delta = {.removed = calloc(have->count + 1, sizeof(*delta.removed))};
	if (delta.removed == NULL)
		return KW_ENOMEM;
	enum kw_err err = read_delta(bytes, have->count, &delta);
	if (err == KW_OK && delta.from_version != have->version)
		err = KW_EVERSION;
	if (err == KW_OK)
		err = rebuild(&delta, have, out);
	kw_directory_free(delta.changed);
	free(delta.removed);
	return err;
}
