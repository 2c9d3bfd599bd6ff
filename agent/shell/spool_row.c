#include <string.h>

#include "agent/shell/spool_inner.h"
#include "proto/wire/crypt.h"

/* Rows: u32 CRC-32C over table, key and payload, u8 version, payload. Sealed payloads: 12 random bytes of nonce, then
 * AES-256-GCM with table and key as additional data, so that a row opens only in its place. */

#define ROW_VERSION 1u
#define ROW_HEAD 5u
#define SEAL_EXTRA (KW_AEAD_NONCE_SIZE + KW_AEAD_TAG_SIZE)

enum kw_err spool_mdb(int rc)
{
	switch (rc) {
	case 0:
		return KW_OK;
	case MDB_NOTFOUND:
		return KW_ENOTFOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return KW_ENOSPACE;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_PANIC: /* a meta page could not be written */
		return KW_ECORRUPT;
	case MDB_VERSION_MISMATCH:
		return KW_EVERSION;
	case ENOMEM:
		return KW_ENOMEM;
	default:
		return KW_EIO;
	}
}

enum kw_err spool_keys(struct spool *spool, const uint8_t *store_key)
{
	const struct kw_view rows = kw_view_str("kw1 spool rows");
	const struct kw_view tags = kw_view_str("kw1 spool tags");
	struct kw_hkdf hkdf = {.key = KW_VIEW(store_key, SPOOL_KEY_SIZE), .parts = &rows, .parts_count = 1};
	enum kw_err err = kw_hkdf_expand(&hkdf, spool->row_key, SPOOL_KEY_SIZE);

	if (err != KW_OK)
		return err;
	hkdf.parts = &tags;
	return kw_hkdf_expand(&hkdf, spool->tag_key, SPOOL_KEY_SIZE);
}

static uint32_t row_crc(enum spool_table table, struct kw_view key, const uint8_t *rest, size_t rest_size)
{
	uint8_t number = (uint8_t)table;
	uint32_t crc = kw_crc32c(0, &number, 1);

	crc = kw_crc32c(crc, key.data, key.size);
	return kw_crc32c(crc, rest, rest_size);
}

enum kw_err spool_put(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key, struct kw_view payload)
{
	MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
	MDB_val v = {.mv_size = ROW_HEAD + payload.size};
	/* MDB_RESERVE writes in place; the payload must not be a view into this table's dirty pages. */
	enum kw_err err = spool_mdb(mdb_put(txn, spool->tables[table], &k, &v, MDB_RESERVE));

	if (err != KW_OK)
		return err;
	uint8_t *out = v.mv_data;
	out[4] = ROW_VERSION;
	if (payload.size > 0)
		memcpy(out + ROW_HEAD, payload.data, payload.size);
	kw_put_u32(out, row_crc(table, key, out + 4, payload.size + 1));
	return KW_OK;
}

enum kw_err spool_check(enum spool_table table, struct kw_view key, const MDB_val *value, struct kw_view *payload)
{
	const uint8_t *data = value->mv_data;

	if (value->mv_size < ROW_HEAD || kw_get_u32(data) != row_crc(table, key, data + 4, value->mv_size - 4))
		return KW_ECORRUPT;
	if (data[4] != ROW_VERSION)
		return KW_EVERSION;
	*payload = KW_VIEW(data + ROW_HEAD, value->mv_size - ROW_HEAD);
	return KW_OK;
}

enum kw_err spool_get(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key, struct kw_view *payload)
{
	MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_get(txn, spool->tables[table], &k, &v));

	return err != KW_OK ? err : spool_check(table, key, &v, payload);
}

enum kw_err spool_del(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key, bool *had)
{
	MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
	enum kw_err err = spool_mdb(mdb_del(txn, spool->tables[table], &k, NULL));

	if (had != NULL)
		*had = err == KW_OK;
	return err == KW_ENOTFOUND ? KW_OK : err;
}

static struct kw_view row_aad(enum spool_table table, struct kw_view key, uint8_t *space, size_t space_size)
{
	size_t size = key.size < space_size - 1 ? key.size : space_size - 1;

	space[0] = (uint8_t)table;
	memcpy(space + 1, key.data, size);
	return KW_VIEW(space, size + 1);
}

enum kw_err spool_put_sealed(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_view plain)
{
	uint8_t aad[64];
	struct kw_buf sealed;
	enum kw_err err;

	kw_buf_init(&sealed, plain.size + SEAL_EXTRA);
	err = kw_buf_reserve(&sealed, plain.size + SEAL_EXTRA);
	if (err != KW_OK)
		return err;
	err = kw_random(sealed.data, KW_AEAD_NONCE_SIZE);
	if (err != KW_OK)
		goto out;
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = spool->row_key, .nonce = sealed.data};
	err = kw_aead_seal(&aead, row_aad(table, key, aad, sizeof(aad)), plain, sealed.data + KW_AEAD_NONCE_SIZE);
	if (err == KW_OK)
		err = spool_put(spool, txn, table, key, KW_VIEW(sealed.data, plain.size + SEAL_EXTRA));
out:
	kw_buf_fini(&sealed);
	return err;
}

enum kw_err spool_unseal(struct spool *spool, enum spool_table table, struct kw_view key, struct kw_view sealed,
	struct kw_buf *out)
{
	uint8_t aad[64];
	enum kw_err err;

	if (sealed.size < SEAL_EXTRA)
		return KW_ECORRUPT;
	err = kw_buf_reserve(out, sealed.size - SEAL_EXTRA);
	if (err != KW_OK)
		return err;
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = spool->row_key, .nonce = sealed.data};
	err = kw_aead_open(&aead, row_aad(table, key, aad, sizeof(aad)),
		KW_VIEW(sealed.data + KW_AEAD_NONCE_SIZE, sealed.size - KW_AEAD_NONCE_SIZE), out->data + out->size);
	if (err == KW_OK)
		out->size += sealed.size - SEAL_EXTRA;
	return err == KW_EOPEN ? KW_ECORRUPT : err;
}

enum kw_err spool_get_sealed(struct spool *spool, MDB_txn *txn, enum spool_table table, struct kw_view key,
	struct kw_buf *out)
{
	struct kw_view sealed;
	enum kw_err err = spool_get(spool, txn, table, key, &sealed);

	return err != KW_OK ? err : spool_unseal(spool, table, key, sealed, out);
}

struct kw_view spool_name_view(const struct kw_name *name)
{
	return kw_view_str(name->text);
}

enum kw_err spool_tag(const struct spool *spool, struct kw_view text, uint8_t *out)
{
	struct kw_digest digest;
	enum kw_err err = kw_hmac_sha256(KW_VIEW_OF(spool->tag_key), &text, 1, &digest);

	if (err == KW_OK)
		memcpy(out, digest.bytes, SPOOL_TAG_SIZE);
	return err;
}

/* Fixed places, so that no field can be read as another. */
#define AT_THREAD 16u
#define AT_TSEQ 32u
#define AT_AT 40u
#define AT_HELD 48u
#define AT_DELIVERED 56u
#define AT_OPENED 64u
#define AT_STATE 72u
#define AT_PASSED 73u /* bit 0; bit n: a signed receipt of level n is kept */
#define AT_DECIDED 74u /* 6 bytes */
#define AT_ENVELOPE 80u
#define AT_DIGEST 96u
#define AT_REQUEST 128u
#define AT_AGENCY 160u
#define AT_REASON 224u
#define REASON_SIZE 64u
#define SIGNED_LEVELS 0x1eu

void spool_item_encode(const struct spool_item *item, uint8_t *out)
{
	memset(out, 0, SPOOL_ITEM_SIZE);
	memcpy(out, item->message_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_THREAD, item->thread_id.bytes, KW_ID_SIZE);
	kw_put_u64(out + AT_TSEQ, item->thread_sequence);
	kw_put_u64(out + AT_AT, (uint64_t)item->at_ms);
	kw_put_u64(out + AT_HELD, (uint64_t)item->held_ms);
	kw_put_u64(out + AT_DELIVERED, (uint64_t)item->delivered_ms);
	kw_put_u64(out + AT_OPENED, (uint64_t)item->opened_ms);
	out[AT_STATE] = (uint8_t)item->state;
	out[AT_PASSED] = (uint8_t)(item->passed | (item->signed_levels & SIGNED_LEVELS));
	kw_put_u16(out + AT_DECIDED, (uint16_t)((uint64_t)item->decided_ms >> 32));
	kw_put_u32(out + AT_DECIDED + 2, (uint32_t)item->decided_ms);
	memcpy(out + AT_ENVELOPE, item->envelope_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_DIGEST, item->digest.bytes, KW_DIGEST_SIZE);
	memcpy(out + AT_REQUEST, item->request_digest.bytes, KW_DIGEST_SIZE);
	memcpy(out + AT_AGENCY, item->agency.text, sizeof(item->agency.text));
	if (item->reason != KW_OK) {
		const char *name = kw_err_name(item->reason);
		memcpy(out + AT_REASON, name, strnlen(name, REASON_SIZE - 1));
	}
}

enum kw_err spool_item_decode(struct kw_view bytes, struct spool_item *out)
{
	const uint8_t *in = bytes.data;
	const char *agency = (const char *)in + AT_AGENCY;
	const char *reason = (const char *)in + AT_REASON;

	if (bytes.size < SPOOL_ITEM_SIZE || in[AT_STATE] > SPOOL_DEAD || agency[KW_NAME_SIZE_MAX] != '\0' ||
		reason[REASON_SIZE - 1] != '\0')
		return KW_ECORRUPT;
	memset(out, 0, sizeof(*out));
	memcpy(out->message_id.bytes, in, KW_ID_SIZE);
	memcpy(out->thread_id.bytes, in + AT_THREAD, KW_ID_SIZE);
	out->thread_sequence = kw_get_u64(in + AT_TSEQ);
	out->at_ms = (int64_t)kw_get_u64(in + AT_AT);
	out->held_ms = (int64_t)kw_get_u64(in + AT_HELD);
	out->delivered_ms = (int64_t)kw_get_u64(in + AT_DELIVERED);
	out->opened_ms = (int64_t)kw_get_u64(in + AT_OPENED);
	out->state = (enum spool_state)in[AT_STATE];
	out->passed = in[AT_PASSED] & 1;
	out->signed_levels = in[AT_PASSED] & SIGNED_LEVELS;
	out->decided_ms = (int64_t)((uint64_t)kw_get_u16(in + AT_DECIDED) << 32 | kw_get_u32(in + AT_DECIDED + 2));
	memcpy(out->envelope_id.bytes, in + AT_ENVELOPE, KW_ID_SIZE);
	memcpy(out->digest.bytes, in + AT_DIGEST, KW_DIGEST_SIZE);
	memcpy(out->request_digest.bytes, in + AT_REQUEST, KW_DIGEST_SIZE);
	memcpy(out->agency.text, agency, sizeof(out->agency.text));
	if (reason[0] != '\0')
		out->reason = kw_err_from_name(reason);
	return KW_OK;
}

enum kw_err spool_item_get(struct spool *spool, MDB_txn *txn, uint64_t number, struct spool_item *out)
{
	uint8_t key[8];
	struct kw_buf plain;
	enum kw_err err;

	kw_put_u64(key, number);
	kw_buf_init(&plain, 4096);
	err = spool_get_sealed(spool, txn, T_SENT, KW_VIEW_OF(key), &plain);
	if (err == KW_OK)
		err = spool_item_decode(kw_buf_view(&plain), out);
	if (err == KW_OK)
		out->number = number;
	kw_buf_fini(&plain);
	return err;
}

enum kw_err spool_item_put(struct spool *spool, MDB_txn *txn, const struct spool_item *item)
{
	uint8_t key[8];
	uint8_t plain[SPOOL_ITEM_SIZE];
	enum kw_err err;

	kw_put_u64(key, item->number);
	spool_item_encode(item, plain);
	err = spool_put_sealed(spool, txn, T_SENT, KW_VIEW_OF(key), KW_VIEW_OF(plain));
	kw_wipe(plain, sizeof(plain));
	return err;
}

void spool_out_key(enum kw_msg_class msg_class, uint64_t sequence, uint8_t *out)
{
	out[0] = (uint8_t)msg_class;
	kw_put_u64(out + 1, sequence);
}

enum kw_err spool_out_encode(const struct spool_out_row *row, struct kw_buf *out)
{
	uint8_t head[SPOOL_OUT_HEAD_SIZE];
	enum kw_err err;

	kw_put_u64(head, row->number);
	kw_put_u64(head + 8, (uint64_t)row->at_ms);
	memcpy(head + 16, row->envelope_id.bytes, KW_ID_SIZE);
	kw_put_u32(head + 32, row->expiry_hour);
	head[36] = row->wants_receipt;
	err = kw_buf_add(out, KW_VIEW_OF(head));
	return err != KW_OK ? err : kw_buf_add(out, row->envelope);
}

enum kw_err spool_out_decode(struct kw_view bytes, struct spool_out_row *out)
{
	if (bytes.size <= SPOOL_OUT_HEAD_SIZE)
		return KW_ECORRUPT;
	out->number = kw_get_u64(bytes.data);
	out->at_ms = (int64_t)kw_get_u64(bytes.data + 8);
	memcpy(out->envelope_id.bytes, bytes.data + 16, KW_ID_SIZE);
	out->expiry_hour = kw_get_u32(bytes.data + 32);
	out->wants_receipt = bytes.data[36] != 0;
	out->envelope = KW_VIEW(bytes.data + SPOOL_OUT_HEAD_SIZE, bytes.size - SPOOL_OUT_HEAD_SIZE);
	return KW_OK;
}

enum kw_err spool_place_get(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id, struct spool_place *out)
{
	struct kw_view bytes;
	enum kw_err err = spool_get(spool, txn, T_ENV, KW_VIEW_OF(envelope_id->bytes), &bytes);

	if (err != KW_OK)
		return err;
	if (bytes.size != SPOOL_ENV_SIZE || bytes.data[8] >= KW_MSG_CLASS_COUNT)
		return KW_ECORRUPT;
	out->number = kw_get_u64(bytes.data);
	out->msg_class = (enum kw_msg_class)bytes.data[8];
	out->sequence = kw_get_u64(bytes.data + 9);
	return KW_OK;
}

enum kw_err spool_place_put(struct spool *spool, MDB_txn *txn, const struct kw_id *envelope_id,
	const struct spool_place *place)
{
	uint8_t bytes[SPOOL_ENV_SIZE];

	kw_put_u64(bytes, place->number);
	bytes[8] = (uint8_t)place->msg_class;
	kw_put_u64(bytes + 9, place->sequence);
	return spool_put(spool, txn, T_ENV, KW_VIEW_OF(envelope_id->bytes), KW_VIEW_OF(bytes));
}
