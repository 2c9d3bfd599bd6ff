#include <string.h>
#include <sys/mman.h>

#include "agent/shell/keys_inner.h"
#include "proto/link/file.h"
#include "proto/wire/crypt.h"
#include "proto/wire/identity.h"

/* The key file: written whole, in one step. */

#define MAGIC_OLD "KWK1"
#define MAGIC "KWK2"
#define MAGIC_SIZE 4u
#define SALT_SIZE 16u
#define HEAD_SIZE (KEYS_HEAD_SIZE + KW_AEAD_NONCE_SIZE)
#define OLD_PLAIN_SIZE (3 * KW_KEY_SIZE + KEYS_STORE_SIZE)
/* Kind and size before each; the longest is a former key with its time. */
#define RECORD_SIZE_MAX (2u + KW_KEY_SIZE + 8u)
#define PLAIN_SIZE_MAX ((7u + KEYS_FORMER_MAX) * RECORD_SIZE_MAX + (2u + KEYS_FORMER_MAX) * HYBRID_RECORD_SIZE_MAX)
/* Seed and digest; a former one with its time. */
#define HYBRID_SIZE (KW_HYBRID_SEED_SIZE + KW_DIGEST_SIZE)
#define HYBRID_RECORD_SIZE_MAX (2u + HYBRID_SIZE + 8u)
#define FILE_SIZE_MIN (HEAD_SIZE + 4u * (2u + KW_KEY_SIZE) + KW_AEAD_TAG_SIZE)
#define OLD_FILE_SIZE (HEAD_SIZE + OLD_PLAIN_SIZE + KW_AEAD_TAG_SIZE)
#define FILE_SIZE_MAX (HEAD_SIZE + PLAIN_SIZE_MAX + KW_AEAD_TAG_SIZE)
/* 32 MiB and about 0.1 s: what an interactive start can bear. */
#define COST_LOG2 15u
#define COST_R 8u
#define COST_P 1u

enum kind { IDENTITY = 1, SEALING, TLS, STORE, NEXT_IDENTITY, NEXT_SEALING, NEXT_TLS, FORMER_SEALING, HYBRID, NEXT_HYBRID, FORMER_HYBRID };

static void put(struct kw_buf *out, enum kind kind, const uint8_t *secret, struct kw_view more)
{
	const uint8_t head[] = {(uint8_t)kind, (uint8_t)(KW_KEY_SIZE + more.size)};
	enum kw_err err = kw_buf_add(out, KW_VIEW_OF(head));

	if (err == KW_OK)
		err = kw_buf_add(out, KW_VIEW(secret, KW_KEY_SIZE));
	if (err == KW_OK && more.size > 0)
		err = kw_buf_add(out, more);
	(void)err; /* there is room for all, reserved before */
}

static void put_hybrid(struct kw_buf *out, enum kind kind, const struct keys_hybrid *key)
{
	uint8_t more[KW_DIGEST_SIZE + 8u];

	if (!key->set)
		return;
	memcpy(more, key->public_digest.bytes, KW_DIGEST_SIZE);
	kw_put_u64(more + KW_DIGEST_SIZE, (uint64_t)key->until_unix_ms);
	put(out, kind, key->seed, KW_VIEW(more, kind == FORMER_HYBRID ? sizeof(more) : KW_DIGEST_SIZE));
}

/* All secrets as records. */
static enum kw_err pack(const struct keys *keys, struct kw_buf *out)
{
	static const struct kw_view nothing = {0};
	uint8_t time[8];
	enum kw_err err = kw_buf_reserve(out, PLAIN_SIZE_MAX);

	if (err != KW_OK)
		return err;
	put(out, IDENTITY, keys->identity.seed, nothing);
	put(out, SEALING, keys->sealing.secret, nothing);
	put(out, TLS, keys->tls_seed, nothing);
	put(out, STORE, keys->store, nothing);
	if (keys->next.identity_reason != 0)
		put(out, NEXT_IDENTITY, keys->next.identity.seed, KW_VIEW(&keys->next.identity_reason, 1));
	if (keys->next.sealing_set)
		put(out, NEXT_SEALING, keys->next.sealing.secret, nothing);
	if (keys->next.tls_set)
		put(out, NEXT_TLS, keys->next.tls_seed, nothing);
	for (uint32_t i = 0; i < keys->former_count; i++) {
		kw_put_u64(time, (uint64_t)keys->former[i].until_unix_ms);
		put(out, FORMER_SEALING, keys->former[i].key.secret, KW_VIEW_OF(time));
	}
	put_hybrid(out, HYBRID, &keys->hybrid);
	put_hybrid(out, NEXT_HYBRID, &keys->next.hybrid);
	for (uint32_t i = 0; i < keys->former_hybrid_count; i++)
		put_hybrid(out, FORMER_HYBRID, &keys->former_hybrid[i]);
	return KW_OK;
}

/* The key-encryption key for a head. Costs out of range are KW_EFIELD: they would ask for all memory. */
static enum kw_err derive(const uint8_t *head, struct kw_view passphrase, uint8_t *kek)
{
	struct kw_scrypt scrypt = {.passphrase = passphrase,
		.salt = KW_VIEW(head + 8, SALT_SIZE),
		.cost_log2 = head[4],
		.r = head[5],
		.p = head[6]};

	if (scrypt.cost_log2 > KEYS_COST_LOG2_MAX || scrypt.r > KEYS_COST_R_MAX || scrypt.p > KEYS_COST_P_MAX)
		return KW_EFIELD;
	return kw_scrypt(&scrypt, kek, KW_KEY_SIZE);
}

static enum kw_err write_file(const char *path, const struct keys *keys, const uint8_t *head, const uint8_t *kek)
{
	struct kw_buf plain;
	struct kw_buf file;
	uint8_t nonce[KW_AEAD_NONCE_SIZE];
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = kek, .nonce = nonce};

	kw_buf_init(&plain, PLAIN_SIZE_MAX);
	kw_buf_init(&file, FILE_SIZE_MAX);
	enum kw_err err = pack(keys, &plain);
	if (err == KW_OK)
		err = kw_random(nonce, sizeof(nonce));
	if (err == KW_OK)
		err = kw_buf_reserve(&file, FILE_SIZE_MAX);
	if (err == KW_OK) {
		memcpy(file.data, head, KEYS_HEAD_SIZE);
		memcpy(file.data + KEYS_HEAD_SIZE, nonce, sizeof(nonce));
		err = kw_aead_seal(&aead, KW_VIEW(file.data, HEAD_SIZE), kw_buf_view(&plain), file.data + HEAD_SIZE);
		file.size = HEAD_SIZE + plain.size + KW_AEAD_TAG_SIZE;
	}
	if (err == KW_OK)
		err = kw_file_replace_secret(path, kw_buf_view(&file));
	kw_buf_fini(&plain);
	kw_buf_fini(&file);
	return err;
}

enum kw_err keys_save(const char *path, const struct keys *keys, struct kw_view passphrase)
{
	uint8_t head[KEYS_HEAD_SIZE] = MAGIC;
	uint8_t kek[KW_KEY_SIZE];

	if (passphrase.size < KEYS_PASSPHRASE_SIZE_MIN || passphrase.size > KEYS_PASSPHRASE_SIZE_MAX)
		return KW_EFIELD;
	head[4] = COST_LOG2;
	head[5] = COST_R;
	head[6] = COST_P;
	enum kw_err err = kw_random(head + 8, SALT_SIZE);
	if (err == KW_OK)
		err = derive(head, passphrase, kek);
	if (err == KW_OK)
		err = write_file(path, keys, head, kek);
	kw_wipe(kek, sizeof(kek));
	return err;
}

enum kw_err keys_save_again(const char *path, const struct keys *keys)
{
	if (memcmp(keys->head, MAGIC, MAGIC_SIZE) != 0)
		return KW_ESTATE;
	return write_file(path, keys, keys->head, keys->kek);
}

static enum kw_err take_former(struct keys *keys, struct kw_view record)
{
	if (keys->former_count == KEYS_FORMER_MAX || record.size != KW_KEY_SIZE + 8u)
		return KW_EFORMAT;
	struct keys_former *former = &keys->former[keys->former_count++];
	former->until_unix_ms = (int64_t)kw_get_u64(record.data + KW_KEY_SIZE);
	enum kw_err err = kw_x25519_from_secret(record.data, &former->key);
	return err != KW_OK ? err : keys_id(former->key.public_key, former->id);
}

static enum kw_err take_next_identity(struct keys *keys, struct kw_view record)
{
	if (record.size != KW_KEY_SIZE + 1u || kw_identity_reason_name(record.data[KW_KEY_SIZE]) == NULL)
		return KW_EFORMAT;
	keys->next.identity_reason = record.data[KW_KEY_SIZE];
	return kw_ed25519_from_seed(record.data, &keys->next.identity);
}

static enum kw_err take_hybrid(struct keys *keys, uint8_t kind, struct kw_view record)
{
	struct keys_hybrid *key = kind == HYBRID ? &keys->hybrid : &keys->next.hybrid;

	if (record.size != HYBRID_SIZE + (kind == FORMER_HYBRID ? 8u : 0u) ||
		(kind == FORMER_HYBRID && keys->former_hybrid_count == KEYS_FORMER_MAX))
		return KW_EFORMAT;
	if (kind == FORMER_HYBRID) {
		key = &keys->former_hybrid[keys->former_hybrid_count++];
		key->until_unix_ms = (int64_t)kw_get_u64(record.data + HYBRID_SIZE);
	}
	memcpy(key->seed, record.data, KW_HYBRID_SEED_SIZE);
	memcpy(key->public_digest.bytes, record.data + KW_HYBRID_SEED_SIZE, KW_DIGEST_SIZE);
	key->set = true;
	return KW_OK;
}

static enum kw_err take_record(struct keys *keys, uint8_t kind, struct kw_view record)
{
	if (kind >= HYBRID && kind <= FORMER_HYBRID)
		return take_hybrid(keys, kind, record);
	if (kind != FORMER_SEALING && kind != NEXT_IDENTITY && record.size != KW_KEY_SIZE)
		return KW_EVERSION;
	switch (kind) {
	case IDENTITY:
		return kw_ed25519_from_seed(record.data, &keys->identity);
	case SEALING:
		return kw_x25519_from_secret(record.data, &keys->sealing);
	case TLS:
		memcpy(keys->tls_seed, record.data, KW_KEY_SIZE);
		return KW_OK;
	case STORE:
		memcpy(keys->store, record.data, KEYS_STORE_SIZE);
		return KW_OK;
	case NEXT_IDENTITY:
		return take_next_identity(keys, record);
	case NEXT_SEALING:
		keys->next.sealing_set = true;
		enum kw_err err = kw_x25519_from_secret(record.data, &keys->next.sealing);
		return err != KW_OK ? err : keys_id(keys->next.sealing.public_key, keys->next.sealing_id);
	case NEXT_TLS:
		keys->next.tls_set = true;
		memcpy(keys->next.tls_seed, record.data, KW_KEY_SIZE);
		return KW_OK;
	case FORMER_SEALING:
		return take_former(keys, record);
	default:
		return KW_EVERSION; /* a secret that we would lose */
	}
}

/* Each of the first four once, or it is no file of ours. */
static enum kw_err unpack(struct kw_view plain, struct keys *out)
{
	uint32_t seen = 0;
	enum kw_err err = KW_OK;

	while (err == KW_OK && plain.size >= 2) {
		uint8_t kind = plain.data[0];
		size_t size = plain.data[1];
		if (size > plain.size - 2)
			return KW_EFORMAT;
		seen |= kind < 32 ? 1u << kind : 0;
		err = take_record(out, kind, KW_VIEW(plain.data + 2, size));
		plain = KW_VIEW(plain.data + 2 + size, plain.size - 2 - size);
	}
	if (err != KW_OK)
		return err;
	return plain.size == 0 && (seen & 0x1eu) == 0x1eu ? KW_OK : KW_EFORMAT;
}

static enum kw_err unpack_old(struct kw_view plain, struct keys *out)
{
	enum kw_err err = kw_ed25519_from_seed(plain.data, &out->identity);
	if (err == KW_OK)
		err = kw_x25519_from_secret(plain.data + KW_KEY_SIZE, &out->sealing);
	memcpy(out->tls_seed, plain.data + 2 * (size_t)KW_KEY_SIZE, KW_KEY_SIZE);
	memcpy(out->store, plain.data + 3 * (size_t)KW_KEY_SIZE, KEYS_STORE_SIZE);
	return err;
}

static enum kw_err unwrap(struct kw_view file, struct kw_view passphrase, struct keys *out)
{
	uint8_t plain[PLAIN_SIZE_MAX];
	size_t size = file.size - HEAD_SIZE - KW_AEAD_TAG_SIZE;
	bool old = memcmp(file.data, MAGIC_OLD, MAGIC_SIZE) == 0;

	(void)mlock(out, sizeof(*out)); /* see keys_generate */
	enum kw_err err = derive(file.data, passphrase, out->kek);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = out->kek, .nonce = file.data + KEYS_HEAD_SIZE};
		err = kw_aead_open(&aead, KW_VIEW(file.data, HEAD_SIZE), KW_VIEW(file.data + HEAD_SIZE, file.size - HEAD_SIZE), plain);
		err = err == KW_EOPEN ? KW_EAUTH : err;
	}
	if (err == KW_OK)
		err = old ? unpack_old(KW_VIEW(plain, size), out) : unpack(KW_VIEW(plain, size), out);
	kw_wipe(plain, sizeof(plain));
	if (err == KW_OK)
		err = keys_fill_ids(out);
	if (err != KW_OK) {
		keys_fini(out);
		return err;
	}
	memcpy(out->head, file.data, KEYS_HEAD_SIZE);
	memcpy(out->head, MAGIC, MAGIC_SIZE);
	return KW_OK;
}

static bool is_key_file(struct kw_view file)
{
	return (file.size >= FILE_SIZE_MIN && memcmp(file.data, MAGIC, MAGIC_SIZE) == 0) ||
		(file.size == OLD_FILE_SIZE && memcmp(file.data, MAGIC_OLD, MAGIC_SIZE) == 0);
}

enum kw_err keys_load(const char *path, struct kw_view passphrase, struct keys *out)
{
	struct kw_buf file;

	memset(out, 0, sizeof(*out));
	kw_buf_init(&file, FILE_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_SECRET, &file);
	if (err == KW_ETOOBIG || (err == KW_OK && !is_key_file(kw_buf_view(&file))))
		err = KW_EFORMAT;
	if (err == KW_OK)
		err = unwrap(kw_buf_view(&file), passphrase, out);
	if (err == KW_EFIELD) /* costs out of range */
		err = KW_EFORMAT;
	kw_buf_fini(&file);
	return err;
}
