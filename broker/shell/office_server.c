#include <string.h>
#include <sys/stat.h>

#include "broker/shell/office_inner.h"
#include "broker/shell/office_renew.h"
#include "proto/link/log.h"
#include "proto/wire/spki.h"

/* The hub's own certificates. server.pem is signed by issuer.key, which is here, so the hub renews it itself. issuer.pem is signed by
 * the X.509 root's key, which is with people: they are reminded, and bring it (`kinward hub renew`). root.pem is what agents have as
 * their only anchor; it lasts ten years, and a new one means that every agency enrols anew. */

#define LOOK_MS 60000
#define REMIND_MS (INT64_C(24) * 3600000)

static enum kw_err write_server(struct office *office)
{
	char path[CONFIG_PATH_SIZE];
	X509 *leaf = NULL;
	const struct kw_pki_issuer issuer = {.key = office->issuer_key, .certificate = office->issuer};
	enum kw_err err = kw_pki_server_new(&issuer, office->server_key, &office->config->hub, office_now_ms(), &leaf);
	if (err == KW_OK)
		err = config_path(office->config, "server.pem", path);
	if (err == KW_OK) {
		X509 *const chain[] = {leaf, office->issuer, office->root};
		err = kw_pki_certs_save(path, chain, 3);
	}
	X509_free(leaf);
	return err;
}

/* Whether `kinward hub renew` has brought another issuer.pem; takes it. */
static bool issuer_replaced(struct office *office)
{
	char path[CONFIG_PATH_SIZE];
	struct stat info;
	X509 *issuer = NULL;
	if (config_path(office->config, "issuer.pem", path) != KW_OK || stat(path, &info) != 0 ||
		kw_pki_cert_load(path, &issuer) != KW_OK)
		return false; /* the next start says it */
	bool other = X509_cmp(issuer, office->issuer) != 0;
	if (!other || X509_check_private_key(issuer, office->issuer_key) != 1 ||
		kw_pki_chain_check(&issuer, 1, office->root, office_now_ms()) != KW_OK) {
		if (other)
			kw_log(KW_LOG_ERROR, "issuer_refused", KW_LOG_STR("text",
				"the new issuer.pem is not of issuer.key, or root.pem's key has not signed it: make it with kinward hub renew"));
		X509_free(issuer);
		return false;
	}
	X509_free(office->issuer);
	office->issuer = issuer;
	kw_log(KW_LOG_INFO, "issuer_renewed");
	return true;
}

static bool is_due(const X509 *certificate, int64_t now)
{
	int64_t due;
	return kw_pki_due(certificate, &due) == KW_OK && due <= now;
}

static bool server_due(const struct office *office, int64_t now)
{
	char path[CONFIG_PATH_SIZE];
	X509 *leaf = NULL;
	bool due = config_path(office->config, "server.pem", path) == KW_OK && kw_pki_cert_load(path, &leaf) == KW_OK &&
		is_due(leaf, now);
	X509_free(leaf);
	return due;
}

static void remind(const char *file, const X509 *certificate, int64_t now, const char *text)
{
	int64_t ends;
	if (!is_due(certificate, now) || kw_spki_expires(certificate, &ends) != KW_OK)
		return;
	kw_log(ends <= now ? KW_LOG_ERROR : KW_LOG_WARN, "certificate_expires", KW_LOG_STR("file", file),
		KW_LOG_INT("days", ends <= now ? 0 : (ends - now) / KW_ROLES_DAY_MS), KW_LOG_STR("text", text));
}

bool office_server_tick(struct office *office)
{
	int64_t now = office_now_ms();
	if (now - office->looked_unix_ms < LOOK_MS && now >= office->looked_unix_ms)
		return false;
	office->looked_unix_ms = now;
	bool replaced = issuer_replaced(office);
	if (now - office->reminded_unix_ms >= REMIND_MS || replaced) {
		office->reminded_unix_ms = now;
		remind("issuer.pem", office->issuer, now, "when this certificate has expired no agent can connect: bring the X.509 root's key "
			"(root-keys/1.key) and run kinward hub renew");
		remind("root.pem", office->root, now, "when this certificate has expired no agent can connect: plan a new hub, at which every "
			"agency enrols anew");
	}
	if (!replaced && !server_due(office, now))
		return false;
	enum kw_err err = write_server(office);
	if (err == KW_OK)
		kw_log(KW_LOG_INFO, "server_certificate_renewed");
	else
		kw_log(KW_LOG_ERROR, "server_certificate_not_renewed", KW_LOG_ERR(err), KW_LOG_STR("text", err == KW_EEXPIRED
			? "issuer.pem has expired: bring the X.509 root's key and run kinward hub renew"
			: "server.pem cannot be written: look at the hub's folder; when it has expired no agent can connect"));
	return err == KW_OK;
}

enum kw_err office_server_files(const struct office *office, char *path, struct kw_tls_files *out)
{
	*out = (struct kw_tls_files){.chain = path, .key = office->server_key, .root = office->root};
	return config_path(office->config, "server.pem", path);
}
