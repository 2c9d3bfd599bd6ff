#include "agent/shell/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "proto/link/file.h"
#include "proto/wire/crypt.h"

#define MAGIC "KWK1"
#define SALT_SIZE 16u
#define HEAD_SIZE (8u + SALT_SIZE + KW_AEAD_NONCE_SIZE)
#define PLAIN_SIZE (3 * KW_KEY_SIZE + KEYS_STORE_SIZE)
#define FILE_SIZE (HEAD_SIZE + PLAIN_SIZE + KW_AEAD_TAG_SIZE)
/* 32 MiB and about 0.1 s: what an interactive start can bear. */
#define COST_LOG2 15u
#define COST_R 8u
#define COST_P 1u

enum kw_err keys_harden(void)
{
	const struct rlimit none = {0, 0};

	umask(0077);
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return KW_EIO;
	return KW_OK;
}

/* One line from the terminal, without echo. */
static enum kw_err ask(FILE *tty, const char *prompt, struct kw_buf *out)
{
	char line[KEYS_PASSPHRASE_SIZE_MAX + 2];
	struct termios was;
	struct termios quiet;
	enum kw_err err = KW_EIO;

	if (tcgetattr(fileno(tty), &was) != 0)
		return KW_ENOTFOUND;
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)fputs(prompt, tty);
	(void)fflush(tty);
	if (tcsetattr(fileno(tty), TCSAFLUSH, &quiet) != 0)
		return KW_EIO;
	if (fgets(line, sizeof(line), tty) != NULL)
		err = kw_buf_add(out, kw_view_str(line));
	(void)tcsetattr(fileno(tty), TCSAFLUSH, &was);
	(void)fputc('\n', tty);
	kw_wipe(line, sizeof(line));
	return err;
}

static enum kw_err ask_terminal(bool fresh, struct kw_buf *out)
{
	struct kw_buf again;
	FILE *tty = fopen("/dev/tty", "r+e");
	enum kw_err err;

	if (tty == NULL)
		return KW_ENOTFOUND;
	setvbuf(tty, NULL, _IONBF, 0); /* no copy of it stays in a stdio buffer */
	kw_buf_init(&again, KEYS_PASSPHRASE_SIZE_MAX + 2);
	err = ask(tty, "Passphrase of the key file: ", out);
	if (err == KW_OK && fresh) {
		err = ask(tty, "The same again: ", &again);
		if (err == KW_OK && !kw_view_equal(kw_buf_view(out), kw_buf_view(&again)))
			err = KW_EFIELD;
	}
	kw_buf_fini(&again);
	(void)fclose(tty);
	return err;
}

enum kw_err keys_passphrase(const char *file, bool fresh, struct kw_buf *out)
{
	char *variable = getenv(KEYS_PASSPHRASE_ENV);
	enum kw_err err;

	if (file != NULL) {
		err = kw_file_read(file, KW_FILE_SECRET, out);
	} else if (variable != NULL) {
		err = kw_buf_add(out, kw_view_str(variable));
		kw_wipe(variable, strlen(variable));
		unsetenv(KEYS_PASSPHRASE_ENV);
	} else {
		err = ask_terminal(fresh, out);
	}
	if (err != KW_OK)
		return err;
	while (out->size > 0 && (out->data[out->size - 1] == '\n' || out->data[out->size - 1] == '\r'))
		out->size--;
	if (out->size > KEYS_PASSPHRASE_SIZE_MAX)
		return KW_ETOOBIG;
	return out->size < KEYS_PASSPHRASE_SIZE_MIN ? KW_EFIELD : KW_OK;
}

enum kw_err keys_id(const uint8_t *public_key, uint8_t *out)
{
	struct kw_view part = KW_VIEW(public_key, KW_KEY_SIZE);
	struct kw_digest digest;
	enum kw_err err = kw_sha256(&part, 1, &digest);

	if (err == KW_OK)
		memcpy(out, digest.bytes, KEYS_ID_SIZE);
	return err;
}

static enum kw_err fill_ids(struct keys *keys)
{
	enum kw_err err = keys_id(keys->identity.public_key, keys->identity_id);

	return err != KW_OK ? err : keys_id(keys->sealing.public_key, keys->sealing_id);
}

enum kw_err keys_generate(struct keys *out)
{
	enum kw_err err;

	(void)mlock(out, sizeof(*out)); /* a limit of zero is no reason to fail: swap may be encrypted or absent */
	err = kw_ed25519_generate(&out->identity);
	if (err == KW_OK)
		err = kw_x25519_generate(&out->sealing);
	if (err == KW_OK)
		err = kw_random(out->tls_seed, sizeof(out->tls_seed));
	if (err == KW_OK)
		err = kw_random(out->store, sizeof(out->store));
	if (err == KW_OK)
		err = fill_ids(out);
	if (err != KW_OK)
		keys_fini(out);
	return err;
}

/* The key-encryption key for a head. */
static enum kw_err derive(const uint8_t *head, struct kw_view passphrase, uint8_t *kek)
{
	struct kw_scrypt scrypt = {.passphrase = passphrase,
		.salt = KW_VIEW(head + 8, SALT_SIZE),
		.cost_log2 = head[4],
		.r = head[5],
		.p = head[6]};

	return kw_scrypt(&scrypt, kek, KW_AEAD_KEY_SIZE_MAX);
}

enum kw_err keys_save(const char *path, const struct keys *keys, struct kw_view passphrase)
{
	uint8_t file[FILE_SIZE] = MAGIC;
	uint8_t plain[PLAIN_SIZE];
	uint8_t kek[KW_AEAD_KEY_SIZE_MAX];
	enum kw_err err;

	if (passphrase.size < KEYS_PASSPHRASE_SIZE_MIN || passphrase.size > KEYS_PASSPHRASE_SIZE_MAX)
		return KW_EFIELD;
	file[4] = COST_LOG2;
	file[5] = COST_R;
	file[6] = COST_P;
	err = kw_random(file + 8, SALT_SIZE + KW_AEAD_NONCE_SIZE);
	if (err != KW_OK)
		return err;
	memcpy(plain, keys->identity.seed, KW_KEY_SIZE);
	memcpy(plain + KW_KEY_SIZE, keys->sealing.secret, KW_KEY_SIZE);
	memcpy(plain + 2 * KW_KEY_SIZE, keys->tls_seed, KW_KEY_SIZE);
	memcpy(plain + 3 * KW_KEY_SIZE, keys->store, KEYS_STORE_SIZE);
	err = derive(file, passphrase, kek);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = kek, .nonce = file + 8 + SALT_SIZE};
		err = kw_aead_seal(&aead, KW_VIEW(file, HEAD_SIZE), KW_VIEW_OF(plain), file + HEAD_SIZE);
	}
	kw_wipe(plain, sizeof(plain));
	kw_wipe(kek, sizeof(kek));
	return err != KW_OK ? err : kw_file_write_atomic(path, KW_VIEW_OF(file), 0400);
}

static enum kw_err unwrap(const uint8_t *file, struct kw_view passphrase, struct keys *out)
{
	uint8_t plain[PLAIN_SIZE];
	uint8_t kek[KW_AEAD_KEY_SIZE_MAX];
	enum kw_err err = derive(file, passphrase, kek);

	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = kek, .nonce = file + 8 + SALT_SIZE};
		err = kw_aead_open(&aead, KW_VIEW(file, HEAD_SIZE), KW_VIEW(file + HEAD_SIZE, FILE_SIZE - HEAD_SIZE), plain);
	}
	kw_wipe(kek, sizeof(kek));
	if (err != KW_OK)
		return err == KW_EOPEN ? KW_EAUTH : err;
	(void)mlock(out, sizeof(*out)); /* see keys_generate */
	err = kw_ed25519_from_seed(plain, &out->identity);
	if (err == KW_OK)
		err = kw_x25519_from_secret(plain + KW_KEY_SIZE, &out->sealing);
	memcpy(out->tls_seed, plain + 2 * KW_KEY_SIZE, KW_KEY_SIZE);
	memcpy(out->store, plain + 3 * KW_KEY_SIZE, KEYS_STORE_SIZE);
	kw_wipe(plain, sizeof(plain));
	if (err == KW_OK)
		err = fill_ids(out);
	if (err != KW_OK)
		keys_fini(out);
	return err;
}

enum kw_err keys_load(const char *path, struct kw_view passphrase, struct keys *out)
{
	struct kw_buf file;
	enum kw_err err;

	kw_buf_init(&file, FILE_SIZE + 1);
	err = kw_file_read(path, KW_FILE_SECRET, &file);
	if (err == KW_ETOOBIG || (err == KW_OK && (file.size != FILE_SIZE || memcmp(file.data, MAGIC, 4) != 0)))
		err = KW_EFORMAT;
	if (err == KW_OK)
		err = unwrap(file.data, passphrase, out);
	if (err == KW_EFIELD) /* costs out of range */
		err = KW_EFORMAT;
	kw_buf_fini(&file);
	return err;
}

void keys_fini(struct keys *keys)
{
	if (keys == NULL)
		return;
	kw_wipe(keys, sizeof(*keys));
	(void)munlock(keys, sizeof(*keys)); /* nothing to lose any more */
}

enum kw_err keys_tls(const struct keys *keys, EVP_PKEY **out)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, keys->tls_seed, sizeof(keys->tls_seed));

	if (key == NULL)
		return KW_ECRYPTO;
	*out = key;
	return KW_OK;
}
