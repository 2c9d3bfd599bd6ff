#include "broker/shell/office_log.h"

#include "proto/link/log.h"
#include "proto/link/pki.h"

#define FILE_NAME "log.key"

static enum kw_err make(const char *path, EVP_PKEY **out)
{
	enum kw_err err = kw_pki_key_new(out);
	if (err == KW_OK)
		err = kw_pki_key_save(path, *out);
	if (err == KW_OK)
		kw_log(KW_LOG_INFO, "log_key_made", KW_LOG_STR("file", FILE_NAME),
			KW_LOG_STR("text", "The hub had no key for its audit log. Keep a copy of it: agents know the log by it."));
	return err;
}

enum kw_err office_log_key(const struct config *config, struct kw_ed25519 *out)
{
	char path[CONFIG_PATH_SIZE];
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	EVP_PKEY *key = NULL;
	enum kw_err err = config_path(config, FILE_NAME, path);
	if (err == KW_OK)
		err = kw_pki_key_load(path, &key);
	if (err == KW_ENOTFOUND)
		err = make(path, &key);
	if (err == KW_OK && (EVP_PKEY_get_raw_private_key(key, seed, &size) != 1 || size != sizeof(seed)))
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_ed25519_from_seed(seed, out);
	kw_wipe(seed, sizeof(seed));
	EVP_PKEY_free(key);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("folder", config->folder), KW_LOG_STR("field", FILE_NAME), KW_LOG_ERR(err),
			KW_LOG_STR("text", err == KW_EDENIED ? "must be a regular file of the broker's own user with mode 0400"
												 : "cannot be read or made: put it back from a backup, and look at the disk"));
	return err;
}
