#include "proto/wire/directory.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "kinward/v1/directory.pb-c.h"
#include "proto/wire/crypt.h"
#include "proto/wire/curve.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/spki.h"

#define SIGNER_SIZE_MAX 4096u

static const char LABEL[] = "kw1 directory";

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
	return key_id_of(KW_VIEW(public_key, KW_KEY_SIZE), key_id);
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
	if (directory->version == 0 || directory->count > KW_DIRECTORY_AGENCIES_MAX)
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

static enum kw_err sign_bytes(EVP_PKEY *key, struct kw_view bytes, uint8_t signature[KW_SIGNATURE_SIZE])
{
	struct kw_buf message;
	size_t size = KW_SIGNATURE_SIZE;
	kw_buf_init(&message, bytes.size + sizeof(LABEL));
	enum kw_err err = kw_buf_add(&message, kw_view_str(LABEL));
	if (err == KW_OK)
		err = kw_buf_add(&message, bytes);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (err == KW_OK && (context == NULL || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
				    EVP_DigestSign(context, signature, &size, message.data, message.size) != 1))
		err = KW_ECRYPTO;
	EVP_MD_CTX_free(context);
	kw_buf_fini(&message);
	return err;
}

static enum kw_err verify_bytes(X509 *signer, struct kw_view bytes, struct kw_view signature)
{
	uint8_t key[KW_KEY_SIZE];
	size_t size = sizeof(key);
	EVP_PKEY *public_key = X509_get0_pubkey(signer);
	if (public_key == NULL || EVP_PKEY_get_base_id(public_key) != EVP_PKEY_ED25519 ||
		EVP_PKEY_get_raw_public_key(public_key, key, &size) != 1)
		return KW_EAUTH;
	struct kw_buf message;
	kw_buf_init(&message, bytes.size + sizeof(LABEL));
	enum kw_err err = kw_buf_add(&message, kw_view_str(LABEL));
	if (err == KW_OK)
		err = kw_buf_add(&message, bytes);
	if (err == KW_OK)
		err = kw_ed25519_verify(key, kw_buf_view(&message), signature);
	kw_buf_fini(&message);
	return err;
}

enum kw_err kw_directory_sign(const struct kw_directory *directory, const struct kw_directory_signer *signer,
	struct kw_buf *out)
{
	uint8_t signature[KW_SIGNATURE_SIZE];
	unsigned char *der = NULL;
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_DIRECTORY_SIZE_MAX);
	enum kw_err err = kw_directory_pack(directory, &bytes);
	if (err == KW_OK)
		err = sign_bytes(signer->key, kw_buf_view(&bytes), signature);
	int der_size = i2d_X509(signer->certificate, &der);
	if (err == KW_OK && der_size <= 0)
		err = KW_ECRYPTO;
	if (err == KW_OK) {
		Kinward__V1__SignedDirectory message = KINWARD__V1__SIGNED_DIRECTORY__INIT;
		message.directory = lend(bytes.data, bytes.size);
		message.signer_certificate = lend(der, (size_t)der_size);
		message.signature = lend(signature, sizeof(signature));
		err = kw_buf_reserve(out, kinward__v1__signed_directory__get_packed_size(&message));
		if (err == KW_OK)
			out->size += kinward__v1__signed_directory__pack(&message, out->data + out->size);
	}
	OPENSSL_free(der);
	kw_buf_fini(&bytes);
	return err;
}

/* The root is the one that was pinned, and the signer an authority that it issued for this hub: agencies and servers are
 * none. */
static enum kw_err verify_signer(X509 *signer, const struct kw_directory_trust *trust)
{
	struct kw_digest digest;
	struct kw_spki_name name;
	if (kw_spki_digest(trust->root, &digest) != KW_OK ||
		memcmp(&digest, &trust->root_fingerprint, sizeof(digest)) != 0)
		return KW_EAUTH;
	if (X509_check_ca(signer) != 1 || X509_cmp(signer, trust->root) == 0)
		return KW_EAUTH;
	if (kw_spki_name_of(signer, &name) != KW_OK || name.kind != KW_SPKI_HUB || !kw_name_equal(&name.hub, &trust->hub))
		return KW_EAUTH;
	enum kw_err err = KW_EAUTH;
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	if (store != NULL && context != NULL && X509_STORE_add_cert(store, trust->root) == 1 &&
		X509_STORE_CTX_init(context, store, signer, NULL) == 1) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
		X509_VERIFY_PARAM_set_time(param, (time_t)(trust->now_unix_ms / 1000));
		if (X509_verify_cert(context) == 1)
			err = KW_OK;
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
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
	struct kw_directory directory = {.version = message->version, .signed_unix_ms = message->signed_unix_ms};
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
	if (err == KW_OK && directory.version == 0)
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

static enum kw_err open_signed(struct kw_view signed_directory, const struct kw_directory_trust *trust,
	struct kw_directory *out)
{
	/* Nothing is unpacked before the signature holds. */
	struct kw_pb pb = kw_pb_from(signed_directory);
	struct kw_view bytes = kw_pb_need_bytes(&pb, 1, 1, KW_DIRECTORY_SIZE_MAX);
	struct kw_view der = kw_pb_need_bytes(&pb, 2, 1, SIGNER_SIZE_MAX);
	struct kw_view signature = kw_pb_need_bytes(&pb, 3, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err != KW_OK)
		return err;
	const unsigned char *at = der.data;
	X509 *signer = d2i_X509(NULL, &at, (long)der.size);
	ERR_clear_error();
	err = signer == NULL || at != der.data + der.size ? KW_EFORMAT : verify_signer(signer, trust);
	if (err == KW_OK)
		err = verify_bytes(signer, bytes, signature);
	X509_free(signer);
	struct kw_directory directory = {.count = 0};
	if (err == KW_OK)
		err = read_directory(bytes, &directory);
	if (err == KW_OK && !kw_name_equal(&directory.hub, &trust->hub))
		err = KW_EAUTH;
	if (err == KW_OK && directory.version < trust->version_min)
		err = KW_EVERSION;
	if (err == KW_OK)
		*out = directory;
	else
		free(directory.entries);
	return err;
}

enum kw_err kw_directory_verify(struct kw_view bytes, const struct kw_directory_trust *trust, struct kw_directory **out)
{
	if (bytes.size > KW_DIRECTORY_SIZE_MAX)
		return KW_ETOOBIG;
	struct kw_directory *directory = calloc(1, sizeof(*directory));
	enum kw_err err = directory == NULL ? KW_ENOMEM : open_signed(bytes, trust, directory);
	if (err == KW_OK)
		*out = directory;
	else
		free(directory);
	return err;
}
