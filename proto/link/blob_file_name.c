#include "proto/link/blob_file_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a file name says of a blob. */

static const char *const SUFFIX[] = {[KW_BLOB_PART] = "part", [KW_BLOB_WHOLE] = "whole", [KW_BLOB_GIVEN] = "given"};

enum kw_err blob_file_path(const char *folder, const struct kw_blobs_entry *entry, char *out)
{
	char hex[2 * KW_DIGEST_SIZE + 1];
	kw_hex(hex, KW_VIEW_OF(entry->what.digest.bytes));
	int size = snprintf(out, KW_BLOB_FILE_PATH_MAX, "%s/%s.%s.%s.%u.%s", folder, hex,
		entry->from.text[0] != '\0' ? entry->from.text : "-", entry->to.text[0] != '\0' ? entry->to.text : "-",
		entry->expiry_hour, SUFFIX[entry->state]);
	return size > 0 && (uint32_t)size < KW_BLOB_FILE_PATH_MAX ? KW_OK : KW_ETOOBIG;
}

enum kw_err blob_file_new_path(const char *folder, const struct kw_id *id, char *out)
{
	char hex[2 * KW_ID_SIZE + 1];
	kw_hex(hex, KW_VIEW_OF(id->bytes));
	int size = snprintf(out, KW_BLOB_FILE_PATH_MAX, "%s/new-%s", folder, hex);
	return size > 0 && (uint32_t)size < KW_BLOB_FILE_PATH_MAX ? KW_OK : KW_ETOOBIG;
}

/* The next part of a file name, up to a dot or the end; copied to `out` of `size` bytes. */
static bool next_part(const char **at, char *out, size_t size)
{
	size_t length = strcspn(*at, ".");
	if (length == 0 || length >= size)
		return false;
	memcpy(out, *at, length);
	out[length] = '\0';
	*at += length + ((*at)[length] == '.' ? 1 : 0);
	return true;
}

static bool name_from(const char *text, struct kw_name *out)
{
	*out = (struct kw_name){.text = ""};
	return strcmp(text, "-") == 0 || kw_name_from(kw_view_str(text), out) == KW_OK;
}

bool blob_file_parse(const char *name, struct kw_blobs_entry *out)
{
	char hex[2 * KW_DIGEST_SIZE + 1], from[KW_NAME_SIZE_MAX + 1], to[KW_NAME_SIZE_MAX + 1], hour[12], state[8];
	*out = (struct kw_blobs_entry){.giver = KW_BLOBS_NONE, .taker = KW_BLOBS_NONE};
	if (!next_part(&name, hex, sizeof(hex)) || !next_part(&name, from, sizeof(from)) || !next_part(&name, to, sizeof(to)) ||
		!next_part(&name, hour, sizeof(hour)) || !next_part(&name, state, sizeof(state)) || *name != '\0')
		return false;
	char *end;
	unsigned long expiry = strtoul(hour, &end, 10);
	if (*end != '\0' || expiry > UINT32_MAX || strspn(hour, "0123456789") != strlen(hour))
		return false;
	out->expiry_hour = (uint32_t)expiry;
	int s = 0;
	while (s <= KW_BLOB_GIVEN && strcmp(state, SUFFIX[s]) != 0)
		s++;
	out->state = (enum kw_blob_state)s;
	return s <= KW_BLOB_GIVEN && strlen(hex) == 2u * KW_DIGEST_SIZE &&
	       kw_unhex(out->what.digest.bytes, KW_DIGEST_SIZE, hex) == KW_OK && name_from(from, &out->from) &&
	       name_from(to, &out->to);
}
