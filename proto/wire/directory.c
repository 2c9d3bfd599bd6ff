#include "proto/wire/directory.h"

#include <stdlib.h>
#include <string.h>

#include "kinward/v1/directory.pb-c.h"
#include "proto/wire/crypt.h"
#include "proto/wire/identity_inner.h"

void kw_directory_free(struct kw_directory *directory)
{
	if (directory == NULL)
		return;
	free(directory->entries);
	free(directory);
}

static int compare(const void *a, const void *b)
{
	const struct kw_directory_entry *x = a;
	const struct kw_directory_entry *y = b;
	return memcmp(x->agency.text, y->agency.text, sizeof(x->agency.text));
}

const struct kw_directory_entry *kw_directory_find(const struct kw_directory *directory, const struct kw_name *agency)
{
	struct kw_directory_entry key = {.agency = *agency};
	if (directory->count == 0)
		return NULL;
	return bsearch(&key, directory->entries, directory->count, sizeof(key), compare);
}

static enum kw_err key_id_of(struct kw_view public_key, uint8_t *key_id)
{
	struct kw_digest digest;
	enum kw_err err = kw_sha256(&public_key, 1, &digest);
	if (err == KW_OK)
		memcpy(key_id, digest.bytes, KW_DIRECTORY_KEY_ID_SIZE);
	return err;
}

enum kw_err kw_directory_key_id(const uint8_t *public_key, uint8_t *key_id)
{
	return key_id_of(KW_VIEW(public_key, KW_DIRECTORY_KEY_SIZE), key_id);
}

enum kw_err kw_directory_hybrid_key_id(const uint8_t *public_key, uint8_t *key_id)
{
	return key_id_of(KW_VIEW(public_key, KW_HYBRID_PUBLIC_SIZE), key_id);
}

static ProtobufCBinaryData lend(const void *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)data};
}

#define ROW_KEYS_MAX (KW_DIRECTORY_SEALING_KEYS_MAX + KW_DIRECTORY_HYBRID_KEYS_MAX)

/* One row of pointers per entry, because protobuf-c wants them; freed after packing. The hybrid keys come last. */
struct pack_row {
	Kinward__V1__DirectoryEntry entry;
	Kinward__V1__IdentityChange change;
	Kinward__V1__SealingKey keys[ROW_KEYS_MAX];
	Kinward__V1__SealingKey *pointers[ROW_KEYS_MAX];
	uint32_t suites[ROW_KEYS_MAX][KW_DIRECTORY_SUITES_MAX];
};

/* A key of either kind. */
struct pack_key {
	struct kw_view key_id;
	struct kw_view public_key;
	struct kw_view suites; /* a number in each byte */
};

static void fill_key(struct pack_row *row, size_t index, const struct pack_key *from)
{
	Kinward__V1__SealingKey *to = &row->keys[index];
	kinward__v1__sealing_key__init(to);
	to->key_id = lend(from->key_id.data, from->key_id.size);
	to->public_key = lend(from->public_key.data, from->public_key.size);
	for (size_t i = 0; i < from->suites.size; i++)
		row->suites[index][i] = from->suites.data[i];
	to->n_suites = from->suites.size;
	to->suites = row->suites[index];
	row->pointers[index] = to;
}

static void fill_row(struct pack_row *row, struct kw_directory_entry *from)
{
	kinward__v1__directory_entry__init(&row->entry);
	for (size_t i = 0; i < from->sealing_keys_count; i++) {
		struct kw_directory_sealing_key *key = &from->sealing_keys[i];
		struct pack_key pack = {KW_VIEW_OF(key->key_id), KW_VIEW_OF(key->public_key),
			KW_VIEW(key->suites, key->suites_count)};
		fill_key(row, i, &pack);
	}
	for (size_t i = 0; i < from->hybrid_keys_count; i++) {
		struct kw_directory_hybrid_key *key = &from->hybrid_keys[i];
		struct pack_key pack = {KW_VIEW_OF(key->key_id), KW_VIEW_OF(key->public_key),
			KW_VIEW(key->suites, key->suites_count)};
		fill_key(row, KW_DIRECTORY_SEALING_KEYS_MAX + i, &pack);
	}
	row->entry.agency = from->agency.text;
	row->entry.identity_key = lend(from->identity_key, sizeof(from->identity_key));
	row->entry.n_sealing_keys = from->sealing_keys_count;
	row->entry.sealing_keys = row->pointers;
	row->entry.n_hybrid_keys = from->hybrid_keys_count;
	row->entry.hybrid_keys = row->pointers + KW_DIRECTORY_SEALING_KEYS_MAX;
	row->entry.tls_key_digest = lend(&from->tls_key_digest, sizeof(from->tls_key_digest));
	row->entry.revoked = from->revoked;
	if (kw_directory_is_set(&from->next_tls_key_digest))
		row->entry.next_tls_key_digest = lend(&from->next_tls_key_digest, sizeof(from->next_tls_key_digest));
	if (from->identity_change.reason == 0)
		return;
	kw_identity_lend(&from->identity_change, &row->change);
	row->entry.identity_change = &row->change;
}

static bool suites_count_ok(uint8_t count)
{
	return count >= 1 && count <= KW_DIRECTORY_SUITES_MAX;
}

static bool entry_counts_ok(const struct kw_directory_entry *entry)
{
	if (entry->sealing_keys_count < 1 || entry->sealing_keys_count > KW_DIRECTORY_SEALING_KEYS_MAX ||
		entry->hybrid_keys_count > KW_DIRECTORY_HYBRID_KEYS_MAX)
		return false;
	for (size_t i = 0; i < entry->sealing_keys_count; i++)
		if (!suites_count_ok(entry->sealing_keys[i].suites_count))
			return false;
	for (size_t i = 0; i < entry->hybrid_keys_count; i++)
		if (!suites_count_ok(entry->hybrid_keys[i].suites_count))
			return false;
	return true;
}

static enum kw_err check_counts(const struct kw_directory *directory)
{
	if (directory->version == 0 || directory->expires_unix_ms <= 0 || directory->count > KW_DIRECTORY_AGENCIES_MAX)
		return KW_EFIELD;
	for (size_t i = 0; i < directory->count; i++)
		if (!entry_counts_ok(&directory->entries[i]))
			return KW_EFIELD;
	return KW_OK;
}

/* A sorted copy: readers demand the order, which proves that no name stands twice. */
static enum kw_err sorted(const struct kw_directory *directory, struct kw_directory_entry **out)
{
	struct kw_directory_entry *entries = calloc(directory->count + 1, sizeof(*entries));
	if (entries == NULL)
		return KW_ENOMEM;
	if (directory->count > 0)
		memcpy(entries, directory->entries, directory->count * sizeof(*entries));
	qsort(entries, directory->count, sizeof(*entries), compare);
	for (size_t i = 1; i < directory->count; i++) {
		if (compare(&entries[i - 1], &entries[i]) == 0) {
			free(entries);
			return KW_EFIELD;
		}
	}
	*out = entries;
	return KW_OK;
}

enum kw_err kw_directory_pack(const struct kw_directory *directory, struct kw_buf *out)
{
	struct kw_directory_entry *entries = NULL;
	enum kw_err err = check_counts(directory);
	if (err == KW_OK)
		err = sorted(directory, &entries);
	if (err != KW_OK)
		return err;
	err = KW_ENOMEM;
	struct pack_row *rows = calloc(directory->count + 1, sizeof(*rows));
	Kinward__V1__DirectoryEntry **pointers = calloc(directory->count + 1, sizeof(*pointers));
	if (rows != NULL && pointers != NULL) {
		Kinward__V1__Directory message = KINWARD__V1__DIRECTORY__INIT;
		for (size_t i = 0; i < directory->count; i++) {
			fill_row(&rows[i], &entries[i]);
			pointers[i] = &rows[i].entry;
		}
		message.hub = (char *)(uintptr_t)directory->hub.text;
		message.version = directory->version;
		message.signed_unix_ms = directory->signed_unix_ms;
		message.expires_unix_ms = directory->expires_unix_ms;
		message.n_entries = directory->count;
		message.entries = pointers;
		size_t size = kinward__v1__directory__get_packed_size(&message);
		err = kw_buf_reserve(out, size);
		if (err == KW_OK)
			out->size += kinward__v1__directory__pack(&message, out->data + out->size);
	}
	free(pointers);
	free(rows);
	free(entries);
	return err;
}

static bool take_fixed(uint8_t *out, size_t size, ProtobufCBinaryData from)
{
	if (from.len != size)
		return false;
	memcpy(out, from.data, size);
	return true;
}

/* The id must be the key's, or a sender would name one key and mean another. */
static enum kw_err take_key_id(uint8_t *out, const Kinward__V1__SealingKey *from)
{
	uint8_t key_id[KW_DIRECTORY_KEY_ID_SIZE];
	if (!take_fixed(out, sizeof(key_id), from->key_id))
		return KW_EFIELD;
	enum kw_err err = key_id_of(KW_VIEW(from->public_key.data, from->public_key.len), key_id);
	if (err != KW_OK)
		return err;
	return memcmp(key_id, out, sizeof(key_id)) == 0 ? KW_OK : KW_EFIELD;
}

static enum kw_err take_suites(uint8_t *out, uint8_t *count, const Kinward__V1__SealingKey *from)
{
	if (from->n_suites < 1 || from->n_suites > KW_DIRECTORY_SUITES_MAX)
		return KW_EFIELD;
	for (size_t i = 0; i < from->n_suites; i++) {
		if (from->suites[i] < 1 || from->suites[i] > UINT8_MAX)
			return KW_EFIELD;
		out[i] = (uint8_t)from->suites[i];
	}
	*count = (uint8_t)from->n_suites;
	return KW_OK;
}

static enum kw_err read_key(const Kinward__V1__SealingKey *from, struct kw_directory_sealing_key *out)
{
	if (!take_fixed(out->public_key, sizeof(out->public_key), from->public_key))
		return KW_EFIELD;
	enum kw_err err = take_suites(out->suites, &out->suites_count, from);
	return err == KW_OK ? take_key_id(out->key_id, from) : err;
}

static enum kw_err read_hybrid_key(const Kinward__V1__SealingKey *from, struct kw_directory_hybrid_key *out)
{
	if (!take_fixed(out->public_key, sizeof(out->public_key), from->public_key))
		return KW_EFIELD;
	enum kw_err err = take_suites(out->suites, &out->suites_count, from);
	return err == KW_OK ? take_key_id(out->key_id, from) : err;
}

static enum kw_err read_entry(const Kinward__V1__DirectoryEntry *from, struct kw_directory_entry *out)
{
	if (kw_name_from(kw_view_str(from->agency), &out->agency) != KW_OK)
		return KW_EFIELD;
	if (from->n_sealing_keys < 1 || from->n_sealing_keys > KW_DIRECTORY_SEALING_KEYS_MAX ||
		from->n_hybrid_keys > KW_DIRECTORY_HYBRID_KEYS_MAX)
		return KW_EFIELD;
	if (!take_fixed(out->identity_key, sizeof(out->identity_key), from->identity_key) ||
		!take_fixed(out->tls_key_digest.bytes, sizeof(out->tls_key_digest.bytes), from->tls_key_digest))
		return KW_EFIELD;
	for (size_t i = 0; i < from->n_sealing_keys; i++) {
		enum kw_err err = read_key(from->sealing_keys[i], &out->sealing_keys[i]);
		if (err != KW_OK)
			return err;
	}
	for (size_t i = 0; i < from->n_hybrid_keys; i++) {
		enum kw_err err = read_hybrid_key(from->hybrid_keys[i], &out->hybrid_keys[i]);
		if (err != KW_OK)
			return err;
	}
	if (from->next_tls_key_digest.len > 0 && !take_fixed(out->next_tls_key_digest.bytes,
		sizeof(out->next_tls_key_digest.bytes), from->next_tls_key_digest))
		return KW_EFIELD;
	if (from->identity_change != NULL && kw_identity_take(from->identity_change, &out->identity_change) != KW_OK)
		return KW_EFIELD;
	out->sealing_keys_count = (uint8_t)from->n_sealing_keys;
	out->hybrid_keys_count = (uint8_t)from->n_hybrid_keys;
	out->revoked = from->revoked;
	return KW_OK;
}

static enum kw_err read_directory(struct kw_view bytes, struct kw_directory *out)
{
	Kinward__V1__Directory *message = kinward__v1__directory__unpack(NULL, bytes.size, bytes.data);
	if (message == NULL)
		return KW_EFORMAT;
	struct kw_directory directory = {.version = message->version, .signed_unix_ms = message->signed_unix_ms,
		.expires_unix_ms = message->expires_unix_ms};
	enum kw_err err = kw_name_from(kw_view_str(message->hub), &directory.hub);
	if (err == KW_OK && message->n_entries > KW_DIRECTORY_AGENCIES_MAX)
		err = KW_ETOOBIG;
	if (err == KW_OK) {
		directory.entries = calloc(message->n_entries + 1, sizeof(*directory.entries));
		err = directory.entries == NULL ? KW_ENOMEM : KW_OK;
	}
	for (size_t i = 0; err == KW_OK && i < message->n_entries; i++) {
		err = read_entry(message->entries[i], &directory.entries[i]);
		/* Sorted and unique, or a name could stand twice with two keys. */
		if (err == KW_OK && i > 0 && compare(&directory.entries[i - 1], &directory.entries[i]) >= 0)
			err = KW_EFIELD;
		directory.count = i + 1;
	}
	kinward__v1__directory__free_unpacked(message, NULL);
	if (err == KW_OK && (directory.version == 0 || directory.expires_unix_ms <= 0))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = directory;
	else
		free(directory.entries);
	return err;
}

enum kw_err kw_directory_read(struct kw_view payload, struct kw_directory **out)
{
	if (payload.size > KW_DIRECTORY_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_directory *directory = calloc(1, sizeof(*directory));
	enum kw_err err = directory == NULL ? KW_ENOMEM : read_directory(payload, directory);
	if (err == KW_OK)
		*out = directory;
	else
		free(directory);
	return err;
}
