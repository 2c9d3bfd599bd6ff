#include "broker/shell/office_inner.h"
#include "broker/shell/office_renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"

/* Says which file is at fault and what to do, once. */
enum kw_err office_blame(const struct config *config, const char *file, enum kw_err err, const char *text)
{
	if (text != NULL)
		; /* the caller knows better */
	else if (err == KW_ENOTFOUND)
		text = "this file is missing: kinward hub init makes it; put it back from a backup, or run the configuration of a hub";
	else if (err == KW_EDENIED)
		text = "must be a regular file of the broker's own user: keys with mode 0400, all else not writable by others";
	else if (err == KW_EFORMAT || err == KW_EAUTH)
		text = "is damaged, or not of this hub: put the right one back from a backup";
	else
		text = kw_err_text(err);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("folder", config->folder), KW_LOG_STR("field", file),
			KW_LOG_ERR(err), KW_LOG_STR("text", text));
	return err;
}

static enum kw_err blame(const struct config *config, const char *file, enum kw_err err)
{
	return office_blame(config, file, err, NULL);
}

static enum kw_err load_key(const struct config *config, const char *name, EVP_PKEY **out)
{
	char path[CONFIG_PATH_SIZE];
	enum kw_err err = config_path(config, name, path);
	return blame(config, name, err != KW_OK ? err : kw_pki_key_load(path, out));
}

static enum kw_err load_cert(const struct config *config, const char *name, X509 **out)
{
	char path[CONFIG_PATH_SIZE];
	enum kw_err err = config_path(config, name, path);
	return blame(config, name, err != KW_OK ? err : kw_pki_cert_load(path, out));
}

/* The hub's name stands in its certificates, and `hub` in broker.yaml has to be the same. */
static enum kw_err check_name(const struct office *office)
{
	struct kw_spki_name name;
	char text[2 * KW_NAME_SIZE_MAX + 160];
	enum kw_err err = kw_spki_name_of(office->issuer, &name);
	if (err == KW_OK && name.kind != KW_SPKI_HUB)
		err = KW_EAUTH;
	if (err != KW_OK)
		return blame(office->config, "issuer.pem", err);
	if (kw_name_equal(&name.hub, &office->config->hub))
		return KW_OK;
	(void)snprintf(text, sizeof(text), "is %s, but the certificates in this folder are of hub %s: write hub: %s", /* fits */
		office->config->hub.text, name.hub.text, name.hub.text);
	kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("folder", office->config->folder), KW_LOG_STR("field", "hub"),
		KW_LOG_ERR(KW_EFIELD), KW_LOG_STR("text", text));
	return KW_EFIELD;
}

enum kw_err office_open(const struct config *config, struct office **out)
{
	struct office *office = calloc(1, sizeof(*office));
	if (office == NULL)
		return KW_ENOMEM;
	office->config = config;
	enum kw_err err = load_cert(config, "root.pem", &office->root);
	if (err == KW_OK)
		err = load_cert(config, "issuer.pem", &office->issuer);
	if (err == KW_OK)
		err = check_name(office);
	if (err == KW_OK)
		err = load_key(config, "issuer.key", &office->issuer_key);
	if (err == KW_OK)
		err = load_key(config, "server.key", &office->server_key);
	if (err == KW_OK && X509_check_private_key(office->issuer, office->issuer_key) != 1)
		err = blame(config, "issuer.key", KW_EAUTH);
	if (err == KW_OK)
		err = office_roles_open(office);
	if (err == KW_OK)
		(void)office_server_tick(office); /* nobody has seen the former one */
	if (err != KW_OK) {
		office_close(office);
		return err;
	}
	*out = office;
	return KW_OK;
}

void office_close(struct office *office)
{
	if (office == NULL)
		return;
	X509_free(office->root);
	X509_free(office->issuer);
	EVP_PKEY_free(office->issuer_key);
	EVP_PKEY_free(office->server_key);
	kw_roles_free(office->roles);
	office_changes_free(office);
	free(office);
}

X509 *office_root(const struct office *office)
{
	return office->root;
}

EVP_PKEY *office_server_key(const struct office *office)
{
	return office->server_key;
}

enum kw_err office_describe(const struct kw_enrol_request *request, const struct kw_name *agency, const X509 *leaf,
	struct kw_directory_entry *out)
{
	*out = (struct kw_directory_entry){.agency = *agency, .sealing_keys_count = 1};
	memcpy(out->identity_key, request->identity_key, KW_KEY_SIZE);
	struct kw_directory_sealing_key *key = &out->sealing_keys[0];
	memcpy(key->public_key, request->sealing_key, KW_KEY_SIZE);
	key->suites[0] = 1;
	key->suites[1] = 2;
	key->suites_count = 2;
	enum kw_err err = kw_directory_key_id(key->public_key, key->key_id);
	return err != KW_OK ? err : kw_spki_digest(leaf, &out->tls_key_digest);
}

enum kw_err office_add_reply(const struct office *office, const struct kw_name *agency, X509 *leaf, struct kw_buf *reply)
{
	struct kw_buf leaf_der;
	struct kw_buf issuer_der;
	kw_buf_init(&leaf_der, KW_ENROL_CERTIFICATE_SIZE_MAX);
	kw_buf_init(&issuer_der, KW_ENROL_CERTIFICATE_SIZE_MAX);
	enum kw_err err = kw_pki_cert_add_der(leaf, &leaf_der);
	if (err == KW_OK)
		err = kw_pki_cert_add_der(office->issuer, &issuer_der);
	if (err == KW_OK) {
		struct kw_enrol_reply out = {
			.agency = *agency,
			.hub = office->config->hub,
			.certificates = {kw_buf_view(&leaf_der), kw_buf_view(&issuer_der)},
			.certificates_count = 2,
		};
		err = kw_enrol_reply_add(reply, &out);
	}
	kw_buf_fini(&leaf_der);
	kw_buf_fini(&issuer_der);
	return err;
}
