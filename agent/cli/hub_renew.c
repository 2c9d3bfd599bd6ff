#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/hub.h"
#include "proto/link/pki.h"
#include "proto/wire/spki.h"

/* kinward hub renew: the certificate of the hub's authority, signed anew by the X.509 root's key. The broker notices within a minute, and
 * renews its own below it. */

enum { RENEW_DIR, RENEW_ROOT_KEY, RENEW_DRY_RUN };

const struct cli_option CLI_HUB_RENEW_OPTIONS[] = {
	[RENEW_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[RENEW_ROOT_KEY] = {"root-key", "FILE", "the X.509 root's key (default root-keys/1.key in the hub's folder)"},
	[RENEW_DRY_RUN] = {"dry-run", NULL, "only say until when each certificate is good, and what would happen"},
	{NULL, NULL, NULL},
};

const char CLI_HUB_RENEW_DETAILS[] =
	"Agencies' certificates (90 days) and the hub's own (a year) renew themselves at two thirds of their life. What signs them, issuer.pem, is\n"
	"good for five years and signed by the X.509 root's key, which is not at the hub: bring it when the log says certificate_expires.\n"
	"Keys stay, so no agency notices. root.pem is good for ten years and is not renewed: agencies enrol anew at a new hub.\n\n"
	"  kinward hub renew --dry-run\n"
	"  kinward hub renew --root-key /media/key/1.key\n";

struct renewal {
	struct cli_call *call;
	const char *dir;
	X509 *root;
	X509 *issuer;
	X509 *server;
};

static const char *in_dir(const char *dir, const char *name, char *path)
{
	(void)snprintf(path, CLI_HUB_PATH_SIZE, "%s/%s", dir, name); /* dir's length was checked */
	return path;
}

static enum kw_err load(struct renewal *renewal)
{
	char path[CLI_HUB_PATH_SIZE];
	struct stat info;
	if (stat(renewal->dir, &info) == 0 && info.st_uid != geteuid())
		return KW_EDENIED;
	enum kw_err err = kw_pki_cert_load(in_dir(renewal->dir, "root.pem", path), &renewal->root);
	if (err == KW_OK)
		err = kw_pki_cert_load(in_dir(renewal->dir, "issuer.pem", path), &renewal->issuer);
	return err != KW_OK ? err : kw_pki_cert_load(in_dir(renewal->dir, "server.pem", path), &renewal->server);
}

static void print_row(FILE *out, const char *file, const X509 *certificate, const char *how)
{
	int64_t ends;
	int64_t due;
	int64_t now = (int64_t)time(NULL) * 1000;
	if (kw_spki_expires(certificate, &ends) != KW_OK || kw_pki_due(certificate, &due) != KW_OK)
		return;
	(void)fprintf(out, "  %-10s  good until ", file);
	cli_print_time(out, ends);
	(void)fprintf(out, "%s  %s\n", ends <= now ? ", EXPIRED" : due <= now ? ", due" : "", how);
}

static void print(const struct renewal *renewal, bool dry_run)
{
	int64_t ends = 0;
	FILE *out = renewal->call->out;
	if (kw_spki_expires(renewal->issuer, &ends) != KW_OK)
		ends = 0; /* it was just read or made */
	if (renewal->call->json) {
		char text[24];
		(void)snprintf(text, sizeof(text), "%" PRId64, ends); /* fits */
		cli_print_json(out, json_pack("{s:s, s:b, s:s}", "folder", renewal->dir, "dryRun", (int)dry_run, "issuerExpiresUnixMs", text));
		return;
	}
	if (dry_run)
		(void)fputs("issuer.pem would be signed anew by the X.509 root's key, for five years from today, or as long as root.pem is good:\n", out);
	else
		(void)fputs("issuer.pem is signed anew by the X.509 root's key:\n", out);
	print_row(out, "root.pem", renewal->root, "");
	print_row(out, "issuer.pem", renewal->issuer, "");
	print_row(out, "server.pem", renewal->server, dry_run ? "the broker would renew it at once" : "the broker renews it within a minute");
	(void)fprintf(out, "No key changes and no session ends; each agency gets it with its own next certificate, and does not notice.\n%s",
		dry_run ? "Nothing was changed.\n" : "Carry the root's key away again.\n");
}

/* For the same key: what it has signed stays good. */
static enum kw_err sign(struct renewal *renewal, const char *key_file)
{
	char path[CLI_HUB_PATH_SIZE];
	struct kw_spki_name name;
	struct kw_pki_issuer root = {.certificate = renewal->root};
	X509 *issuer = NULL;
	EVP_PKEY *key = X509_get_pubkey(renewal->issuer);
	enum kw_err err = key == NULL ? KW_ECRYPTO : kw_spki_name_of(renewal->issuer, &name);
	if (err == KW_OK)
		err = kw_pki_key_load(key_file, &root.key);
	if (err == KW_OK && X509_check_private_key(renewal->root, root.key) != 1)
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_pki_issuing_new(&root, key, &name.hub, (int64_t)time(NULL) * 1000, &issuer);
	if (err == KW_OK)
		err = kw_pki_certs_save(in_dir(renewal->dir, "issuer.pem", path), &issuer, 1);
	EVP_PKEY_free(root.key);
	EVP_PKEY_free(key);
	if (err != KW_OK) {
		X509_free(issuer);
		return err;
	}
	X509_free(renewal->issuer);
	renewal->issuer = issuer;
	return KW_OK;
}

static int fail_sign(struct cli_call *call, const char *dir, enum kw_err err)
{
	if (err == KW_EEXPIRED)
		return cli_hub_fail_field(call, err, "--dir", "root.pem has expired: make a new hub, at which every agency enrols anew");
	if (err == KW_ENOTFOUND || err == KW_EAUTH || err == KW_EFORMAT || err == KW_EDENIED)
		return cli_hub_fail_field(call, err, "--root-key", "this is not the key of root.pem, or it cannot be read: bring the key 1.key that kinward "
			"hub init made, mode 0400 and owned by this user, and name its file with --root-key");
	return cli_hub_fail_dir(call, dir, err);
}

int cli_run_hub_renew(struct cli_call *call)
{
	struct renewal renewal = {.call = call};
	char path[CLI_HUB_PATH_SIZE];
	const char *key_file = call->option[RENEW_ROOT_KEY];
	bool dry_run = call->option[RENEW_DRY_RUN] != NULL;
	int code = cli_hub_take_dir(call, call->option[RENEW_DIR], &renewal.dir);
	if (code != CLI_OK)
		return code;
	enum kw_err err = load(&renewal);
	if (err != KW_OK) {
		code = cli_hub_fail_dir(call, renewal.dir, err);
	} else {
		err = dry_run ? KW_OK : sign(&renewal, key_file != NULL ? key_file : in_dir(renewal.dir, KW_ROLES_ROOT_FOLDER "/1.key", path));
		if (err != KW_OK)
			code = fail_sign(call, renewal.dir, err);
		else
			print(&renewal, dry_run);
	}
	X509_free(renewal.root);
	X509_free(renewal.issuer);
	X509_free(renewal.server);
	return code;
}
