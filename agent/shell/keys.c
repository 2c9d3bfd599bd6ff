#include "agent/shell/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent/shell/keys_inner.h"
#include "proto/link/file.h"
#include "proto/link/harden.h"
#include "proto/wire/crypt.h"

enum kw_err keys_harden(void)
{
	umask(0077);
	return kw_harden(false);
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
	err = ask(tty, fresh ? "New passphrase of the key file: " : "Passphrase of the key file: ", out);
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

enum kw_err keys_fill_ids(struct keys *keys)
{
	enum kw_err err = keys_id(keys->identity.public_key, keys->identity_id);

	return err != KW_OK ? err : keys_id(keys->sealing.public_key, keys->sealing_id);
}

enum kw_err keys_generate(struct keys *out)
{
	enum kw_err err;

	memset(out, 0, sizeof(*out));
	(void)mlock(out, sizeof(*out)); /* a limit of zero is no reason to fail: swap may be encrypted or absent */
	err = kw_ed25519_generate(&out->identity);
	if (err == KW_OK)
		err = kw_x25519_generate(&out->sealing);
	if (err == KW_OK)
		err = kw_random(out->tls_seed, sizeof(out->tls_seed));
	if (err == KW_OK)
		err = kw_random(out->store, sizeof(out->store));
	if (err == KW_OK)
		err = keys_fill_ids(out);
	if (err != KW_OK)
		keys_fini(out);
	return err;
}

void keys_fini(struct keys *keys)
{
	if (keys == NULL)
		return;
	kw_wipe(keys, sizeof(*keys));
	(void)munlock(keys, sizeof(*keys)); /* nothing to lose any more */
}

enum kw_err keys_tls_of(const uint8_t *seed, EVP_PKEY **out)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KW_KEY_SIZE);

	if (key == NULL)
		return KW_ECRYPTO;
	*out = key;
	return KW_OK;
}

enum kw_err keys_tls(const struct keys *keys, EVP_PKEY **out)
{
	return keys_tls_of(keys->tls_seed, out);
}
