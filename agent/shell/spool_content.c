#include <string.h>

#include "agent/shell/spool_inner.h"
#include "proto/wire/crypt.h"

/* Contents: sealed under the key of their thread, then in a row under the store key like everything. The first byte says
 * which form it is: no content of the schema begins with SEALED, so one of an older spool is told apart. A content whose key
 * was destroyed reads as empty; an erased thread takes no more. */

#define SEALED 1u
#define SEAL_EXTRA (KW_AEAD_NONCE_SIZE + KW_AEAD_TAG_SIZE)

enum kw_err spool_vault_thread(const struct spool *spool, const struct kw_id *thread_id, const struct kw_name *agency,
	struct spool_vault_id *out)
{
	out->size = SPOOL_THREAD_KEY_SIZE;
	return spool_thread_key(spool, thread_id, agency, out->bytes);
}

/* Where it stands: a content opens in its own row only. */
static struct kw_view place_of(enum spool_table table, struct kw_view key, uint8_t *space, size_t space_size)
{
	size_t size = key.size < space_size - 1 ? key.size : space_size - 1;

	space[0] = (uint8_t)table;
	memcpy(space + 1, key.data, size);
	return KW_VIEW(space, size + 1);
}

enum kw_err spool_content_seal(struct spool *spool, const struct spool_vault_id *id, struct spool_content_place place,
	struct kw_view plain, struct kw_buf *out)
{
	uint8_t aad[64];
	uint8_t key[SPOOL_KEY_SIZE];
	size_t at = out->size + 1;
	enum kw_err err = spool_vault_make(spool, id, key);

	if (err == KW_OK)
		err = kw_buf_add_u8(out, SEALED);
	if (err == KW_OK)
		err = kw_buf_reserve(out, plain.size + SEAL_EXTRA);
	if (err == KW_OK)
		err = kw_random(out->data + at, KW_AEAD_NONCE_SIZE);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = out->data + at};

		err = kw_aead_seal(&aead, place_of(place.table, place.key, aad, sizeof(aad)), plain,
			out->data + at + KW_AEAD_NONCE_SIZE);
	}
	if (err == KW_OK)
		out->size += plain.size + SEAL_EXTRA;
	kw_wipe(key, sizeof(key));
	return err;
}

bool spool_content_is_sealed(struct kw_view blob)
{
	return blob.size > 0 && blob.data[0] == SEALED;
}

enum kw_err spool_content_open(struct spool *spool, const struct spool_vault_id *id, struct spool_content_place place,
	struct kw_view blob, struct kw_buf *out)
{
	uint8_t aad[64];
	uint8_t key[SPOOL_KEY_SIZE];
	enum kw_err err;

	if (blob.size == 0)
		return KW_OK;
	if (!spool_content_is_sealed(blob))
		return kw_buf_add(out, blob);
	if (blob.size < 1 + SEAL_EXTRA)
		return KW_ECORRUPT;
	err = spool_vault_key(spool, id, key);
	if (err == KW_ENOTFOUND)
		return KW_OK;
	size_t size = blob.size - 1 - SEAL_EXTRA;
	if (err == KW_OK)
		err = kw_buf_reserve(out, size);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = blob.data + 1};

		err = kw_aead_open(&aead, place_of(place.table, place.key, aad, sizeof(aad)),
			KW_VIEW(blob.data + 1 + KW_AEAD_NONCE_SIZE, blob.size - 1 - KW_AEAD_NONCE_SIZE), out->data + out->size);
	}
	if (err == KW_OK)
		out->size += size;
	kw_wipe(key, sizeof(key));
	return err == KW_EOPEN ? KW_ECORRUPT : err;
}

/* A thread's is longer, so these are told apart by their first byte. */
void spool_vault_registration_row(const uint8_t *tag, struct spool_vault_id *out)
{
	out->size = 1 + SPOOL_TAG_SIZE;
	out->bytes[0] = 'r';
	memcpy(out->bytes + 1, tag, SPOOL_TAG_SIZE);
}

enum kw_err spool_vault_registration(const struct spool *spool, struct kw_view local_id, struct spool_vault_id *out)
{
	uint8_t tag[SPOOL_TAG_SIZE];
	enum kw_err err = spool_tag(spool, local_id, tag);

	if (err == KW_OK)
		spool_vault_registration_row(tag, out);
	return err;
}

void spool_vault_offer(uint64_t number, struct spool_vault_id *out)
{
	out->size = 1 + sizeof(number);
	out->bytes[0] = 'o';
	kw_put_u64(out->bytes + 1, number);
}

enum kw_err spool_content_put(struct spool *spool, MDB_txn *txn, struct spool_content_place place,
	struct kw_view plain, struct kw_buf *out)
{
	struct spool_vault_id id;
	bool gone = false;
	enum kw_err err = spool_vault_thread(spool, &place.item->thread_id, &place.item->agency, &id);

	if (err == KW_OK)
		err = spool_erasure_is_done(spool, txn, id.bytes, &gone);
	return err != KW_OK || gone ? err : spool_content_seal(spool, &id, place, plain, out);
}

enum kw_err spool_content_get(struct spool *spool, MDB_txn *txn, struct spool_content_place place,
	struct kw_view blob, struct kw_buf *out)
{
	struct spool_erasure erasure;
	struct spool_vault_id id;
	enum kw_err err = spool_vault_thread(spool, &place.item->thread_id, &place.item->agency, &id);

	if (err == KW_OK)
		err = spool_erasure_get(spool, txn, id.bytes, &erasure);
	if (err == KW_OK && spool_erasure_hides(&erasure))
		return KW_OK; /* erased, or about to be, or restricted */
	return err == KW_OK || err == KW_ENOTFOUND ? spool_content_open(spool, &id, place, blob, out) : err;
}
