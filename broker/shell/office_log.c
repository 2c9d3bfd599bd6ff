#include "broker/shell/office_log.h"

#include <stdlib.h>

#include "broker/shell/office_inner.h"
#include "proto/link/log.h"
#include "proto/wire/spki.h"

#define FILE_NAME "log.key"

/* The one that the root has in charge: agents believe no other. */
static enum kw_err check(const struct office *office, const struct kw_ed25519 *key)
{
	const struct kw_hub_role *hub = kw_root_hub(&office->roles->client->root, &office->config->hub);
	struct kw_role_keys keys;
	if (hub == NULL)
		return KW_EAUTH;
	keys = hub->log;
	/* Not put, because it is there. */
	return kw_role_keys_put(&keys, key->public_key) == KW_EEXIST ? KW_OK : KW_EAUTH;
}

enum kw_err office_log_key(const struct office *office, struct kw_ed25519 *out)
{
	char path[CONFIG_PATH_SIZE];
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	EVP_PKEY *key = NULL;
	struct kw_ed25519 found;
	enum kw_err err = config_path(office->config, FILE_NAME, path);
	if (err == KW_OK)
		err = kw_pki_key_load(path, &key);
	if (err == KW_OK && (EVP_PKEY_get_raw_private_key(key, seed, &size) != 1 || size != sizeof(seed)))
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_ed25519_from_seed(seed, &found);
	if (err == KW_OK)
		err = check(office, &found);
	if (err == KW_OK)
		*out = found;
	kw_wipe(&found, sizeof(found));
	kw_wipe(seed, sizeof(seed));
	EVP_PKEY_free(key);
	return err;
}

enum kw_err office_log_open(const struct office *office, struct kw_ed25519 *out)
{
	enum kw_err err = office_log_key(office, out);
	return office_blame(office->config, FILE_NAME, err, err != KW_EAUTH && err != KW_ENOTFOUND ? NULL
		: "is missing, or not the one that the root has in charge of the audit log: put it back from a backup, or make a new one "
		  "with kinward hub rotate log");
}

static enum kw_err add_keys(const struct kw_roles *roles, struct log_keys *out)
{
	struct kw_root *root = calloc(1, sizeof(*root));
	struct kw_role_signed role;
	enum kw_err err = KW_OK;
	out->keys = calloc(roles->roots_count, sizeof(*out->keys));
	if (out->keys == NULL || root == NULL)
		err = KW_ENOMEM;
	for (uint32_t i = 0; i < roles->roots_count && err == KW_OK; i++) {
		err = kw_role_parse(kw_buf_view(&roles->roots[i]), &role);
		if (err == KW_OK)
			err = kw_root_read(role.payload, root);
		const struct kw_hub_role *hub = err == KW_OK ? kw_root_hub(root, &roles->hub) : NULL;
		if (hub != NULL)
			out->keys[out->count++] = hub->log;
	}
	free(root);
	return err;
}

enum kw_err office_log_keys(const struct config *config, struct log_keys *out)
{
	char path[CONFIG_PATH_SIZE];
	struct kw_digest digest;
	struct kw_roles *roles = NULL;
	X509 *root = NULL;
	const char *file = "root.pem";
	*out = (struct log_keys){.count = 0};
	enum kw_err err = config_path(config, file, path);
	if (err == KW_OK)
		err = kw_pki_cert_load(path, &root);
	if (err == KW_OK)
		err = kw_spki_digest(root, &digest);
	if (err == KW_OK)
		err = kw_roles_load(config->folder, &config->hub, &digest, &roles, &file);
	if (err == KW_OK)
		err = add_keys(roles, out);
	kw_roles_free(roles);
	X509_free(root);
	return office_blame(config, file, err, NULL);
}
