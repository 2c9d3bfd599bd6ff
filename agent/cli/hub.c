#include "agent/cli/hub.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <qrencode.h>

#include "agent/cli/cli.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/crypt.h"
#include "proto/wire/directory.h"
#include "proto/wire/enrol.h"
#include "proto/wire/spki.h"

/* The operator's side of a hub. `init` makes root, issuer and server keys, an empty signed directory and broker.yaml in one
 * folder; `add` leaves one file per enrolment code, which the running broker reads when the agency comes. */

#define PATH_SIZE 1280u

struct hub_args {
	const char *dir;
	const char *name;
	const char *listen;
	const char *address;
	const char *agency;
	bool qr;
};

static int fail(const char *what, enum kw_err err)
{
	(void)fprintf(stderr, "kinward hub: %s: %s\n", what, kw_err_text(err));
	return kw_err_class(err) == KW_CLASS_RETRY ? CLI_RETRY : CLI_REFUSED;
}

static int64_t now_unix_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static const char *in_dir(const struct hub_args *args, const char *name, char *path)
{
	(void)snprintf(path, PATH_SIZE, "%s/%s", args->dir, name); /* dir's length was checked */
	return path;
}

struct hub_keys {
	EVP_PKEY *root_key;
	EVP_PKEY *issuer_key;
	EVP_PKEY *server_key;
	X509 *root;
	X509 *issuer;
	X509 *server;
};

static void keys_fini(struct hub_keys *keys)
{
	EVP_PKEY_free(keys->root_key);
	EVP_PKEY_free(keys->issuer_key);
	EVP_PKEY_free(keys->server_key);
	X509_free(keys->root);
	X509_free(keys->issuer);
	X509_free(keys->server);
}

static enum kw_err make_keys(const struct kw_name *hub, struct hub_keys *keys)
{
	int64_t now = now_unix_ms();
	enum kw_err err = kw_pki_key_new(&keys->root_key);
	if (err == KW_OK)
		err = kw_pki_key_new(&keys->issuer_key);
	if (err == KW_OK)
		err = kw_pki_key_new(&keys->server_key);
	if (err == KW_OK)
		err = kw_pki_root_new(keys->root_key, hub->text, now, &keys->root);
	struct kw_pki_issuer root = {.key = keys->root_key, .certificate = keys->root};
	if (err == KW_OK)
		err = kw_pki_issuing_new(&root, keys->issuer_key, hub, now, &keys->issuer);
	struct kw_pki_issuer issuer = {.key = keys->issuer_key, .certificate = keys->issuer};
	if (err == KW_OK)
		err = kw_pki_server_new(&issuer, keys->server_key, hub, now, &keys->server);
	return err;
}

static enum kw_err save_keys(const struct hub_args *args, const struct hub_keys *keys)
{
	char path[PATH_SIZE];
	/* The root goes with the server's chain: who enrols knows its fingerprint only. */
	X509 *const chain[] = {keys->server, keys->issuer, keys->root};
	enum kw_err err = kw_pki_key_save(in_dir(args, "root.key", path), keys->root_key);
	if (err == KW_OK)
		err = kw_pki_key_save(in_dir(args, "issuer.key", path), keys->issuer_key);
	if (err == KW_OK)
		err = kw_pki_key_save(in_dir(args, "server.key", path), keys->server_key);
	if (err == KW_OK)
		err = kw_pki_certs_save(in_dir(args, "root.pem", path), &keys->root, 1);
	if (err == KW_OK)
		err = kw_pki_certs_save(in_dir(args, "issuer.pem", path), &keys->issuer, 1);
	if (err == KW_OK)
		err = kw_pki_certs_save(in_dir(args, "server.pem", path), chain, 3);
	return err;
}

static enum kw_err save_directory(const struct hub_args *args, const struct kw_name *hub, const struct hub_keys *keys)
{
	char path[PATH_SIZE];
	struct kw_directory directory = {.hub = *hub, .version = 1, .signed_unix_ms = now_unix_ms()};
	struct kw_directory_signer signer = {.key = keys->issuer_key, .certificate = keys->issuer};
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_DIRECTORY_SIZE_MAX);
	enum kw_err err = kw_directory_sign(&directory, &signer, &bytes);
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(args, "directory.bin", path), kw_buf_view(&bytes), 0644);
	kw_buf_fini(&bytes);
	return err;
}

static enum kw_err save_config(const struct hub_args *args)
{
	char path[PATH_SIZE];
	char text[1024];
	int size = snprintf(text, sizeof(text),
		"# Settings of this hub; README.md has all of them. The address that agencies dial stands in address.txt.\n"
		"hub: %s\nlisten: %s\n", args->name, args->listen);
	enum kw_err err = size > 0 && (size_t)size < sizeof(text) ? KW_OK : KW_ETOOBIG;
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(args, "broker.yaml", path), KW_VIEW(text, (size_t)size), 0644);
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(args, "address.txt", path), kw_view_str(args->address), 0644);
	return err;
}

static enum kw_err print_fingerprint(const char *label, const X509 *certificate)
{
	struct kw_digest digest;
	char hex[2 * KW_DIGEST_SIZE + 1];
	enum kw_err err = kw_spki_digest(certificate, &digest);
	if (err != KW_OK)
		return err;
	kw_hex(hex, KW_VIEW_OF(digest.bytes));
	printf("%s %s\n", label, hex);
	return KW_OK;
}

static enum kw_err make_folders(const struct hub_args *args)
{
	char path[PATH_SIZE];
	struct stat info;
	(void)mkdir(args->dir, 0700); /* judged by what follows */
	if (stat(in_dir(args, "root.pem", path), &info) == 0)
		return KW_EEXIST;
	if (mkdir(in_dir(args, "enrol", path), 0700) != 0 && stat(path, &info) != 0)
		return KW_EDENIED;
	return KW_OK;
}

static int hub_init(const struct hub_args *args)
{
	struct kw_name hub;
	struct hub_keys keys = {.root = NULL};
	if (args->name == NULL || kw_name_from(kw_view_str(args->name), &hub) != KW_OK) {
		(void)fprintf(stderr, "kinward hub init: --name must be 1 to 63 of a-z, 0-9 and '-'\n");
		return CLI_USAGE;
	}
	enum kw_err err = make_folders(args);
	if (err == KW_EEXIST)
		return fail("this folder holds a hub already", err);
	if (err == KW_OK)
		err = make_keys(&hub, &keys);
	if (err == KW_OK)
		err = save_keys(args, &keys);
	if (err == KW_OK)
		err = save_directory(args, &hub, &keys);
	if (err == KW_OK)
		err = save_config(args);
	if (err == KW_OK)
		err = print_fingerprint("root fingerprint", keys.root);
	keys_fini(&keys);
	if (err != KW_OK)
		return fail(args->dir, err);
	printf("hub %s is ready in %s\n\nNext:\n  kinward-broker %s/broker.yaml\n  kinward hub add AGENCY --dir %s\n\n"
	       "Then move %s/root.key to a safe place off this machine: it is not needed to run the hub.\n",
		hub.text, args->dir, args->dir, args->dir, args->dir);
	return CLI_OK;
}

static enum kw_err load_code(const struct hub_args *args, struct kw_enrol_code *code)
{
	char path[PATH_SIZE];
	X509 *root = NULL;
	struct kw_buf address;
	kw_buf_init(&address, KW_ENROL_ADDRESS_SIZE_MAX);
	enum kw_err err = kw_pki_cert_load(in_dir(args, "root.pem", path), &root);
	if (err == KW_OK)
		err = kw_spki_digest(root, &code->root_fingerprint);
	if (err == KW_OK)
		err = kw_file_read(in_dir(args, "address.txt", path), KW_FILE_PUBLIC, &address);
	if (err == KW_OK) {
		memset(code->address, 0, sizeof(code->address));
		memcpy(code->address, address.data, address.size);
		err = kw_random(code->secret, sizeof(code->secret));
	}
	X509_free(root);
	kw_buf_fini(&address);
	return err;
}

static enum kw_err save_code(const struct hub_args *args, const struct kw_enrol_code *code)
{
	char name[KW_ENROL_FILE_SIZE];
	char path[PATH_SIZE];
	char text[128];
	enum kw_err err = kw_enrol_file_name(code->secret, name);
	if (err != KW_OK)
		return err;
	int size = snprintf(text, sizeof(text), "%s %lld\n", args->agency, (long long)time(NULL) + KW_ENROL_LIFE_S);
	return kw_file_write_atomic(in_dir(args, name, path), KW_VIEW(text, (size_t)size), 0600);
}

static void print_qr(const char *text)
{
	QRcode *qr = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 0);
	if (qr == NULL)
		return; /* the text is there to be typed */
	for (int y = -2; y < qr->width + 2; y += 2) {
		for (int x = -2; x < qr->width + 2; x++) {
			bool in_x = x >= 0 && x < qr->width;
			bool top = in_x && y >= 0 && y < qr->width && (qr->data[y * qr->width + x] & 1) != 0;
			bool low = in_x && y + 1 >= 0 && y + 1 < qr->width && (qr->data[(y + 1) * qr->width + x] & 1) != 0;
			(void)fputs(top ? (low ? " " : "\u2584") : (low ? "\u2580" : "\u2588"), stdout);
		}
		(void)fputs("\n", stdout);
	}
	QRcode_free(qr);
}

static int hub_add(const struct hub_args *args)
{
	struct kw_name agency;
	struct kw_enrol_code code;
	char text[KW_ENROL_TEXT_SIZE_MAX];
	if (args->agency == NULL || kw_name_from(kw_view_str(args->agency), &agency) != KW_OK) {
		(void)fprintf(stderr, "kinward hub add: AGENCY must be 1 to 63 of a-z, 0-9 and '-'\n");
		return CLI_USAGE;
	}
	enum kw_err err = load_code(args, &code);
	if (err == KW_OK)
		err = save_code(args, &code);
	if (err == KW_OK)
		err = kw_enrol_code_format(&code, text);
	kw_wipe(&code, sizeof(code));
	if (err != KW_OK)
		return fail(args->dir, err);
	printf("%s\n", text);
	if (args->qr)
		print_qr(text);
	(void)fprintf(stderr, "Give this code to %s by a way that you trust; it works once, for 72 hours:\n"
		"  kinward agent init CODE\n", agency.text);
	kw_wipe(text, sizeof(text));
	return CLI_OK;
}

static int hub_list(const struct hub_args *args)
{
	char path[PATH_SIZE];
	X509 *root = NULL;
	struct kw_buf bytes;
	struct kw_directory *directory = NULL;
	struct kw_directory_trust trust = {.now_unix_ms = now_unix_ms()};
	kw_buf_init(&bytes, KW_DIRECTORY_SIZE_MAX);
	enum kw_err err = args->name == NULL ? KW_EFIELD : kw_name_from(kw_view_str(args->name), &trust.hub);
	if (err != KW_OK) {
		(void)fprintf(stderr, "kinward hub list: say --name HUB, the hub's name\n");
		return CLI_USAGE;
	}
	err = kw_pki_cert_load(in_dir(args, "root.pem", path), &root);
	if (err == KW_OK)
		err = kw_spki_digest(root, &trust.root_fingerprint);
	trust.root = root;
	if (err == KW_OK)
		err = kw_file_read(in_dir(args, "directory.bin", path), KW_FILE_PUBLIC, &bytes);
	if (err == KW_OK)
		err = kw_directory_verify(kw_buf_view(&bytes), &trust, &directory);
	for (size_t i = 0; err == KW_OK && i < directory->count; i++)
		printf("%s%s\n", directory->entries[i].agency.text, directory->entries[i].revoked ? " (shut out)" : "");
	kw_directory_free(directory);
	kw_buf_fini(&bytes);
	X509_free(root);
	return err == KW_OK ? CLI_OK : fail(args->dir, err);
}

static int usage(FILE *out, int code)
{
	(void)fputs(
		"usage: kinward hub init --dir DIR --name HUB [--listen ADDRESS:PORT] [--address HOST:PORT]\n"
		"       kinward hub add AGENCY --dir DIR [--qr]\n"
		"       kinward hub list --dir DIR --name HUB\n\n"
		"init  makes a hub's keys, empty directory and broker.yaml in DIR.\n"
		"      --listen   where the broker listens (default 0.0.0.0:7443)\n"
		"      --address  what agencies dial; it goes into their codes (default: --listen)\n"
		"add   prints a code with which AGENCY can enrol, once, within 72 hours.\n"
		"      --qr       shows it as a QR code too\n"
		"list  prints the agencies of the directory.\n", out);
	return code;
}

static bool parse(int argc, char **argv, struct hub_args *args)
{
	static const struct option OPTIONS[] = {
		{"dir", required_argument, NULL, 'd'},
		{"name", required_argument, NULL, 'n'},
		{"listen", required_argument, NULL, 'l'},
		{"address", required_argument, NULL, 'a'},
		{"qr", no_argument, NULL, 'q'},
		{NULL, 0, NULL, 0},
	};
	int found;
	optind = 1;
	while ((found = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		if (found == 'd')
			args->dir = optarg;
		else if (found == 'n')
			args->name = optarg;
		else if (found == 'l')
			args->listen = optarg;
		else if (found == 'a')
			args->address = optarg;
		else if (found == 'q')
			args->qr = true;
		else
			return false;
	}
	if (optind < argc)
		args->agency = argv[optind++];
	if (args->address == NULL)
		args->address = args->listen;
	return optind == argc && args->dir != NULL && strlen(args->dir) < PATH_SIZE - 64;
}

int cli_hub(int argc, char **argv)
{
	struct hub_args args = {.listen = "0.0.0.0:7443"};
	if (argc < 2)
		return usage(stderr, CLI_USAGE);
	if (strcmp(argv[1], "--help") == 0)
		return usage(stdout, CLI_OK);
	if (!parse(argc - 1, argv + 1, &args))
		return usage(stderr, CLI_USAGE);
	if (strcmp(argv[1], "init") == 0)
		return hub_init(&args);
	if (strcmp(argv[1], "add") == 0)
		return hub_add(&args);
	if (strcmp(argv[1], "list") == 0)
		return hub_list(&args);
	return usage(stderr, CLI_USAGE);
}
