#include "proto/link/blob_file_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a file name says of a blob. */

static const char *const SUFFIX[KW_BLOB_STATE_COUNT] = {[KW_BLOB_PART] = "part", [KW_BLOB_WHOLE] = "whole",
	[KW_BLOB_GIVEN] = "given", [KW_BLOB_LOST] = "lost"};

/* The sealed word: 16 bytes of HMAC over digest and agencies, then these under a stream that the 16 bytes begin. The same
 * blob always has the same word, so it can be found; another has another, whoever its agencies are. */
#define TAG_SIZE 16u
#define PLAIN_SIZE 64u /* 1 from us, 2 to us; the other agency, zeros */
#define WORD_SIZE (TAG_SIZE + PLAIN_SIZE)

static enum kw_err keyed(const struct kw_blob_folder *folder, const char *label, struct kw_view a, struct kw_view b,
	struct kw_digest *out)
{
	const struct kw_view parts[] = {kw_view_str(label), a, b};
	return kw_hmac_sha256(KW_VIEW(folder->key, KW_BLOB_FOLDER_KEY_SIZE), parts, 3, out);
}

static enum kw_err tag_of(const struct kw_blob_folder *folder, const struct kw_digest *digest, const uint8_t *plain,
	uint8_t *out)
{
	struct kw_digest all;
	enum kw_err err = keyed(folder, "kw1 blob tag", KW_VIEW_OF(digest->bytes), KW_VIEW(plain, PLAIN_SIZE), &all);
	memcpy(out, all.bytes, TAG_SIZE);
	return err;
}

static enum kw_err stream(const struct kw_blob_folder *folder, const uint8_t *tag, const uint8_t *in, uint8_t *out)
{
	for (uint8_t i = 0; i < PLAIN_SIZE / KW_DIGEST_SIZE; i++) {
		struct kw_digest pad;
		enum kw_err err = keyed(folder, "kw1 blob word", KW_VIEW(tag, TAG_SIZE), KW_VIEW(&i, 1), &pad);
		if (err != KW_OK)
			return err;
		for (uint32_t k = 0; k < KW_DIGEST_SIZE; k++)
			out[i * KW_DIGEST_SIZE + k] = in[i * KW_DIGEST_SIZE + k] ^ pad.bytes[k];
	}
	return KW_OK;
}

/* out: 2 * WORD_SIZE + 1. */
static enum kw_err seal(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, char *out)
{
	uint8_t plain[PLAIN_SIZE] = {0};
	uint8_t word[WORD_SIZE];
	bool ours = kw_name_equal(&entry->from, &folder->own);
	const struct kw_name *other = ours ? &entry->to : &entry->from;
	plain[0] = ours ? 1 : 2;
	memcpy(plain + 1, other->text, strnlen(other->text, PLAIN_SIZE - 1));
	enum kw_err err = tag_of(folder, &entry->what.digest, plain, word);
	if (err == KW_OK)
		err = stream(folder, word, plain, word + TAG_SIZE);
	if (err == KW_OK)
		kw_hex(out, KW_VIEW_OF(word));
	return err;
}

static bool open_word(const struct kw_blob_folder *folder, const char *hex, struct kw_blobs_entry *out)
{
	uint8_t word[WORD_SIZE], plain[PLAIN_SIZE], tag[TAG_SIZE];
	struct kw_name other = {.text = ""};
	if (folder->key == NULL || strlen(hex) != 2u * WORD_SIZE || kw_unhex(word, WORD_SIZE, hex) != KW_OK ||
		stream(folder, word, word + TAG_SIZE, plain) != KW_OK || tag_of(folder, &out->what.digest, plain, tag) != KW_OK ||
		memcmp(tag, word, TAG_SIZE) != 0)
		return false;
	struct kw_view text = KW_VIEW(plain + 1, strnlen((const char *)plain + 1, PLAIN_SIZE - 1));
	if (text.size > 0 && kw_name_from(text, &other) != KW_OK)
		return false;
	out->from = plain[0] == 1 ? folder->own : other;
	out->to = plain[0] == 1 ? other : folder->own;
	return true;
}

enum kw_err blob_file_path(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, char *out)
{
	char hex[2 * KW_DIGEST_SIZE + 1], who[2 * WORD_SIZE + 1];
	kw_hex(hex, KW_VIEW_OF(entry->what.digest.bytes));
	if (folder->key != NULL) {
		enum kw_err err = seal(folder, entry, who);
		if (err != KW_OK)
			return err;
	} else {
		(void)snprintf(who, sizeof(who), "%s.%s", entry->from.text[0] != '\0' ? entry->from.text : "-",
			entry->to.text[0] != '\0' ? entry->to.text : "-"); /* names are shorter than half of it */
	}
	int size = snprintf(out, KW_BLOB_FILE_PATH_MAX, "%s/%s.%s.%u.%s", folder->path, hex, who, entry->expiry_hour,
		SUFFIX[entry->state]);
	return size > 0 && (uint32_t)size < KW_BLOB_FILE_PATH_MAX ? KW_OK : KW_ETOOBIG;
}

enum kw_err blob_file_new_path(const struct kw_blob_folder *folder, const struct kw_id *id, char *out)
{
	char hex[2 * KW_ID_SIZE + 1];
	kw_hex(hex, KW_VIEW_OF(id->bytes));
	int size = snprintf(out, KW_BLOB_FILE_PATH_MAX, "%s/new-%s", folder->path, hex);
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

static bool is_clear(const char *name)
{
	uint32_t dots = 0;
	for (; *name != '\0'; name++)
		dots += *name == '.';
	return dots == 4;
}

bool blob_file_parse(const struct kw_blob_folder *folder, const char *name, struct kw_blobs_entry *out, bool *clear)
{
	char hex[2 * KW_DIGEST_SIZE + 1], from[2 * WORD_SIZE + 1], to[KW_NAME_SIZE_MAX + 1], hour[12], state[8];
	*out = (struct kw_blobs_entry){.giver = KW_BLOBS_NONE, .taker = KW_BLOBS_NONE};
	*clear = is_clear(name);
	if (!next_part(&name, hex, sizeof(hex)) || !next_part(&name, from, sizeof(from)) ||
		(*clear && !next_part(&name, to, sizeof(to))) || !next_part(&name, hour, sizeof(hour)) ||
		!next_part(&name, state, sizeof(state)) || *name != '\0')
		return false;
	char *end;
	unsigned long expiry = strtoul(hour, &end, 10);
	if (*end != '\0' || expiry > UINT32_MAX || strspn(hour, "0123456789") != strlen(hour))
		return false;
	out->expiry_hour = (uint32_t)expiry;
	uint32_t s = 0;
	while (s < KW_BLOB_STATE_COUNT - 1 && strcmp(state, SUFFIX[s]) != 0)
		s++;
	if (strcmp(state, SUFFIX[s]) != 0 || strlen(hex) != 2u * KW_DIGEST_SIZE ||
		kw_unhex(out->what.digest.bytes, KW_DIGEST_SIZE, hex) != KW_OK)
		return false;
	out->state = (enum kw_blob_state)s;
	return *clear ? name_from(from, &out->from) && name_from(to, &out->to) : open_word(folder, from, out);
}
