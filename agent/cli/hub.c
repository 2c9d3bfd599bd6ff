#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <qrencode.h>

#include "agent/cli/hub.h"
#include "proto/link/address.h"
#include "proto/link/enrolments.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/clocks.h"
#include "proto/wire/crypt.h"
#include "proto/wire/enrol.h"
#include "proto/wire/spki.h"

/* The operator's side of a hub. `init` makes root, issuer and server keys, the signed roles with an empty directory, and broker.yaml in one
 * folder; `add` leaves the record of an enrolment code, which the running broker takes up when the agency comes; hub_enrol.c has the rest. */

#define PATH_SIZE CLI_HUB_PATH_SIZE
#define LISTEN_DEFAULT "0.0.0.0:7443"
#define LOCK_WAIT_MS 5000u

enum { INIT_DIR, INIT_NAME, INIT_LISTEN, INIT_ADDRESS, INIT_ROOT_KEYS, INIT_ROOT_THRESHOLD };

const struct cli_option CLI_HUB_INIT_OPTIONS[] = {
	[INIT_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[INIT_NAME] = {"name", "HUB", "the hub's name: 1 to 63 of a-z, 0-9 and '-'; required"},
	[INIT_LISTEN] = {"listen", "ADDRESS:PORT", "where the broker listens, numeric (default " LISTEN_DEFAULT ")"},
	[INIT_ADDRESS] = {"address", "HOST:PORT", "what agencies dial; required unless --listen says one address"},
	[INIT_ROOT_KEYS] = {"root-keys", "K", "make so many root keys, 1 to 8 (default 1)"},
	[INIT_ROOT_THRESHOLD] = {"root-threshold", "N", "so many of them must sign a new root (default: more than half)"},
	{NULL, NULL, NULL},
};

enum { ADD_DIR, ADD_QR, ADD_BY };

const struct cli_option CLI_HUB_ADD_OPTIONS[] = {
	[ADD_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[ADD_QR] = {"qr", NULL, "show the code as a QR code too"},
	[ADD_BY] = {"by", "NAME", "who makes the code, for the record (default: your login name); another person approves"},
	{NULL, NULL, NULL},
};

enum { LIST_DIR };

const struct cli_option CLI_HUB_LIST_OPTIONS[] = {
	[LIST_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	{NULL, NULL, NULL},
};

enum { TIME_DIR, TIME_RESET };

const struct cli_option CLI_HUB_TIME_OPTIONS[] = {
	[TIME_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[TIME_RESET] = {"reset", NULL, "hub time becomes what this machine's clock says; required"},
	{NULL, NULL, NULL},
};

/* What the functions below work on. */
struct hub_args {
	struct cli_call *call;
	const char *dir;
	struct kw_name name;
	const char *listen;
	const char *address;
	uint8_t root_keys;
	uint8_t root_threshold;
};

int cli_hub_fail_field(struct cli_call *call, enum kw_err err, const char *field, const char *text)
{
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .field = field, .text = text,
		.retryable = kw_err_class(err) == KW_CLASS_RETRY,
		.exit = err == KW_ENOTFOUND ? CLI_NOT_FOUND : kw_err_class(err) == KW_CLASS_RETRY ? CLI_RETRY : CLI_REFUSED});
}

int cli_hub_fail_dir(struct cli_call *call, const char *dir, enum kw_err err)
{
	char text[PATH_SIZE + 200];
	const char *what = kw_err_text(err);
	if (err == KW_ENOTFOUND)
		what = "there is no hub in this folder, or one of an older version: name the right one, make one with kinward hub init, or "
			"bring it up to date with kinward hub upgrade";
	else if (err == KW_EDENIED)
		what = "its files cannot be read or written: run this as the user that the hub belongs to";
	else if (err == KW_EAUTH || err == KW_EFORMAT)
		what = "its files do not fit each other: put them back from a backup";
	else if (err == KW_EBUSY)
		what = "the broker or another command is signing just now: try again";
	(void)snprintf(text, sizeof(text), "%.1240s: %s", dir, what); /* fits: dir's length was checked */
	return cli_hub_fail_field(call, err, "--dir", text);
}

static int fail_dir(const struct hub_args *args, enum kw_err err)
{
	return cli_hub_fail_dir(args->call, args->dir, err);
}

int cli_hub_take_dir(struct cli_call *call, const char *given, const char **out)
{
	*out = given ? given : CLI_HUB_FOLDER;
	if ((*out)[0] == '\0' || strlen(*out) >= PATH_SIZE - 64)
		return cli_fail_usage(call, "--dir is a path of 1 to %u bytes", PATH_SIZE - 65);
	return CLI_OK;
}

static int take_dir(struct hub_args *args, const char *given)
{
	return cli_hub_take_dir(args->call, given, &args->dir);
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
	enum kw_err err = kw_pki_key_save(in_dir(args, "issuer.key", path), keys->issuer_key);
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

static enum kw_err save_roles(const struct hub_args *args, const struct hub_keys *keys)
{
	const struct kw_roles_plan plan = {.folder = args->dir,
		.hub = args->name,
		.root_key = keys->root_key,
		.root_keys = args->root_keys,
		.root_threshold = args->root_threshold,
		.now_unix_ms = now_unix_ms()};
	return kw_roles_create(&plan);
}

static enum kw_err save_config(const struct hub_args *args)
{
	char path[PATH_SIZE];
	char text[1024];
	int size = snprintf(text, sizeof(text),
		"# Settings of this hub; README.md has all of them. The address that agencies dial stands in address.txt.\n"
		"hub: %s\nlisten: %s\n", args->name.text, args->listen);
	enum kw_err err = size > 0 && (size_t)size < sizeof(text) ? KW_OK : KW_ETOOBIG;
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(args, "broker.yaml", path), KW_VIEW(text, (size_t)size), 0644);
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(args, "address.txt", path), kw_view_str(args->address), 0644);
	return err;
}

static enum kw_err make_folders(const struct hub_args *args)
{
	char path[PATH_SIZE];
	struct stat info;
	(void)mkdir(args->dir, 0700); /* judged by what follows */
	if (stat(args->dir, &info) != 0)
		return errno == EACCES ? KW_EDENIED : KW_ENOTFOUND;
	if (stat(in_dir(args, "root.pem", path), &info) == 0)
		return KW_EEXIST;
	if (mkdir(in_dir(args, "enrol", path), 0700) != 0 && stat(path, &info) != 0)
		return KW_EDENIED;
	return KW_OK;
}

static int fail_folders(const struct hub_args *args, enum kw_err err)
{
	char text[PATH_SIZE + 240];
	const char *what = err == KW_EEXIST
		? "holds a hub already, and nothing in it was changed: run it with kinward-broker, or make the new one elsewhere with --dir"
		: err == KW_ENOTFOUND ? "cannot be made: make the folder above it first" : "cannot be written by this user";
	(void)snprintf(text, sizeof(text), "%s %s", args->dir, what); /* fits: dir's length was checked */
	return cli_hub_fail_field(args->call, err == KW_ENOTFOUND ? KW_EDENIED : err, "--dir", text);
}

static void print_made(const struct hub_args *args, const char *fingerprint)
{
	if (args->call->json) {
		cli_print_json(args->call->out, json_pack("{s:s, s:s, s:s, s:s, s:s+, s:s}", "hub", args->name.text, "folder", args->dir,
			"listen", args->listen, "address", args->address, "config", args->dir, "/broker.yaml", "rootFingerprint",
			fingerprint));
		return;
	}
	(void)fprintf(args->call->out,
		"root fingerprint %s\nhub %s is ready in %s; agencies dial %s\n\nNext:\n  kinward-broker %s/broker.yaml\n"
		"  kinward hub add AGENCY --dir %s\n\n"
		"Then carry the root key%s away, off this machine%s: the hub runs without, and\n"
		"kinward hub rotate takes %u of %u. Folder: %s/root-keys\n",
		fingerprint, args->name.text, args->dir, args->address, args->dir, args->dir, args->root_keys == 1 ? "" : "s",
		args->root_keys == 1 ? "" : ", each to another person", args->root_threshold, args->root_keys, args->dir);
}

static int read_init_options(struct cli_call *call, struct hub_args *args)
{
	const char *rule = NULL;
	int code = take_dir(args, call->option[INIT_DIR]);
	if (code != CLI_OK)
		return code;
	if (!call->option[INIT_NAME] || kw_name_from(kw_view_str(call->option[INIT_NAME]), &args->name) != KW_OK)
		return cli_fail_usage(call, "--name is the hub's name: 1 to 63 of a-z, 0-9 and '-', beginning and ending with no '-'");
	args->listen = call->option[INIT_LISTEN] ? call->option[INIT_LISTEN] : LISTEN_DEFAULT;
	args->address = call->option[INIT_ADDRESS] ? call->option[INIT_ADDRESS] : args->listen;
	if (kw_address_check(args->listen, KW_ADDRESS_LISTEN, &rule) != KW_OK)
		return cli_fail_usage(call, "--listen %s", rule);
	if (!call->option[INIT_ADDRESS] && kw_address_check(args->address, KW_ADDRESS_DIAL, &rule) != KW_OK)
		return cli_fail_usage(call, "--address is missing: %s can be listened on, but no agency can dial it. Say --address "
			"HOST:PORT, the name or address and port under which agencies reach this hub; it goes into their codes",
			args->listen);
	if (kw_address_check(args->address, KW_ADDRESS_DIAL, &rule) != KW_OK)
		return cli_fail_usage(call, "--address %s", rule);
	if (strlen(args->address) > KW_ENROL_ADDRESS_SIZE_MAX)
		return cli_fail_usage(call, "--address has at most %u bytes", KW_ENROL_ADDRESS_SIZE_MAX);
	return cli_hub_root_options(call, call->option[INIT_ROOT_KEYS], call->option[INIT_ROOT_THRESHOLD], &args->root_keys,
		&args->root_threshold);
}

int cli_run_hub_init(struct cli_call *call)
{
	struct hub_args args = {.call = call};
	struct hub_keys keys = {.root = NULL};
	struct kw_digest digest;
	char fingerprint[2 * KW_DIGEST_SIZE + 1];
	int code = read_init_options(call, &args);
	if (code != CLI_OK)
		return code;
	enum kw_err err = make_folders(&args);
	if (err != KW_OK)
		return fail_folders(&args, err);
	err = make_keys(&args.name, &keys);
	if (err == KW_OK)
		err = save_keys(&args, &keys);
	if (err == KW_OK)
		err = save_roles(&args, &keys);
	if (err == KW_OK)
		err = save_config(&args);
	if (err == KW_OK)
		err = kw_spki_digest(keys.root, &digest);
	keys_fini(&keys);
	if (err != KW_OK)
		return fail_dir(&args, err);
	kw_hex(fingerprint, KW_VIEW_OF(digest.bytes));
	print_made(&args, fingerprint);
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
		code->agency = args->name;
		err = kw_random(code->secret, sizeof(code->secret));
	}
	X509_free(root);
	kw_buf_fini(&address);
	return err;
}

static enum kw_err save_code(const struct hub_args *args, const struct kw_enrol_code *code, struct kw_enrolment *enrolment)
{
	int lock;
	enrolment->agency = args->name;
	enum kw_err err = kw_enrol_code_id(code->secret, enrolment->id);
	if (err == KW_OK)
		err = kw_enrol_code_key(code->secret, &enrolment->key);
	if (err == KW_OK)
		err = kw_enrolments_lock(args->dir, LOCK_WAIT_MS, &lock);
	if (err != KW_OK)
		return err;
	err = kw_enrolments_save(args->dir, enrolment);
	kw_enrolments_unlock(lock);
	return err;
}

static void print_qr(FILE *out, const char *text)
{
	QRcode *qr = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 0);
	if (qr == NULL)
		return; /* the text is there to be typed */
	for (int y = -2; y < qr->width + 2; y += 2) {
		for (int x = -2; x < qr->width + 2; x++) {
			bool in_x = x >= 0 && x < qr->width;
			bool top = in_x && y >= 0 && y < qr->width && (qr->data[y * qr->width + x] & 1) != 0;
			bool low = in_x && y + 1 >= 0 && y + 1 < qr->width && (qr->data[(y + 1) * qr->width + x] & 1) != 0;
			(void)fputs(top ? (low ? " " : "\u2584") : (low ? "\u2580" : "\u2588"), out);
		}
		(void)fputs("\n", out);
	}
	QRcode_free(qr);
}

static void print_code(const struct hub_args *args, const char *text, int64_t expires_s)
{
	struct cli_call *call = args->call;
	if (call->json) {
		char expires[24];
		(void)snprintf(expires, sizeof(expires), "%lld", (long long)expires_s * 1000); /* fits */
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s, s:s}", "agency", args->name.text, "code", text, "expiresUnixMs",
			expires, "address", args->address));
		return;
	}
	(void)fprintf(call->out, "%s\n", text);
	if (call->option[ADD_QR])
		print_qr(call->out, text);
	(void)fprintf(call->err, "Give this code to %s by a way that you trust; it works once, for 72 hours:\n"
		"  kinward agent init CODE\n"
		"Then they read you a phrase, and another person than the one who made this code approves it:\n"
		"  kinward hub enrolments\n"
		"  kinward hub approve %s --phrase \"....\"\n", args->name.text, args->name.text);
}

/* A code that can never work is not made: neither for a name that is taken, nor for an address that cannot be dialled. */
static int check_code(const struct hub_args *args, const struct kw_enrol_code *code)
{
	struct kw_roles *roles = NULL;
	const char *rule = NULL;
	char text[KW_NAME_SIZE_MAX + 300];
	enum kw_err err = cli_hub_load_roles(args->dir, &roles);
	const struct kw_directory_entry *entry = err == KW_OK ? kw_directory_find(roles->directory, &args->name) : NULL;
	bool taken = entry != NULL;
	bool revoked = taken && entry->revoked;
	kw_roles_free(roles);
	if (err != KW_OK)
		return fail_dir(args, err);
	if (taken) {
		(void)snprintf(text, sizeof(text), revoked ? "%s was shut out (kinward hub list shows it), and nobody is let in under that "
			"name again: who is to come back needs another one" : "%s is enrolled already (kinward hub list shows it). An agent "
			"that lost its machine goes on with the backup of its state directory; a second agent needs a name of its own",
			args->name.text); /* fits */
		return cli_hub_fail_field(args->call, KW_EEXIST, "AGENCY", text);
	}
	if (kw_address_check(code->address, KW_ADDRESS_DIAL, &rule) != KW_OK) {
		(void)snprintf(text, sizeof(text), "\"%s\" %s; correct that file", code->address, rule); /* fits */
		return cli_hub_fail_field(args->call, KW_EFIELD, "address.txt", text);
	}
	return CLI_OK;
}

int cli_run_hub_add(struct cli_call *call)
{
	struct hub_args args = {.call = call};
	struct kw_enrol_code code;
	char text[KW_ENROL_TEXT_SIZE_MAX];
	struct kw_enrolment enrolment = {.made_s = (int64_t)time(NULL)};
	enrolment.expires_s = enrolment.made_s + KW_ENROL_LIFE_S;
	int exit_code = take_dir(&args, call->option[ADD_DIR]);
	if (exit_code == CLI_OK)
		exit_code = cli_hub_take_by(call, call->option[ADD_BY], enrolment.made_by);
	if (exit_code != CLI_OK)
		return exit_code;
	if (kw_name_from(kw_view_str(call->args[0]), &args.name) != KW_OK)
		return cli_fail_usage(call, "AGENCY is a name of 1 to 63 of a-z, 0-9 and '-', beginning and ending with no '-'");
	enum kw_err err = cli_hub_check_owner(args.dir);
	if (err == KW_OK)
		err = load_code(&args, &code);
	exit_code = err == KW_OK ? check_code(&args, &code) : fail_dir(&args, err);
	if (exit_code != CLI_OK) {
		kw_wipe(&code, sizeof(code));
		return exit_code;
	}
	err = kw_enrol_code_format(&code, text);
	if (err == KW_OK)
		err = save_code(&args, &code, &enrolment);
	args.address = code.address;
	if (err == KW_OK)
		print_code(&args, text, enrolment.expires_s);
	kw_wipe(&enrolment, sizeof(enrolment));
	kw_wipe(&code, sizeof(code));
	kw_wipe(text, sizeof(text));
	return err == KW_OK ? CLI_OK : fail_dir(&args, err);
}

int cli_run_hub_time(struct cli_call *call)
{
	struct hub_args args = {.call = call};
	struct kw_name name;
	char path[PATH_SIZE];
	int code = take_dir(&args, call->option[TIME_DIR]);
	if (code != CLI_OK)
		return code;
	if (!call->option[TIME_RESET])
		return cli_fail_usage(call, "say --reset, when this machine's clock is right and the log says clock_jumped");
	enum kw_err err = cli_hub_load_name(args.dir, &name, NULL); /* it is a hub's folder */
	if (err == KW_OK)
		err = kw_file_write_atomic(in_dir(&args, KW_TIME_RESET_FILE, path), KW_VIEW(NULL, 0), 0600);
	if (err != KW_OK)
		return fail_dir(&args, err);
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:b}", "hub", name.text, "asked", 1));
	else
		(void)fputs("The broker sets hub time to this machine's clock within a second, or when it starts; its log says "
			"hub_time_reset.\n", call->out);
	return CLI_OK;
}

static enum kw_err print_entry(struct cli_call *call, const struct kw_directory_entry *entry)
{
	struct kw_view key = KW_VIEW_OF(entry->identity_key);
	struct kw_digest digest;
	char fingerprint[2 * KW_DIGEST_SIZE + 1];
	enum kw_err err = kw_sha256(&key, 1, &digest);
	if (err != KW_OK)
		return err;
	kw_hex(fingerprint, KW_VIEW_OF(digest.bytes));
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s, s:b}", "agency", entry->agency.text, "identityFingerprint", fingerprint,
			"revoked", (int)entry->revoked));
	else
		(void)fprintf(call->out, "%s  %s%s\n", entry->agency.text, fingerprint, entry->revoked ? "  SHUT OUT" : "");
	return KW_OK;
}

int cli_run_hub_list(struct cli_call *call)
{
	struct hub_args args = {.call = call};
	struct kw_roles *roles = NULL;
	int code = take_dir(&args, call->option[LIST_DIR]);
	if (code != CLI_OK)
		return code;
	enum kw_err err = cli_hub_load_roles(args.dir, &roles);
	const struct kw_directory *directory = err == KW_OK ? roles->directory : NULL;
	for (size_t i = 0; err == KW_OK && i < directory->count; i++)
		err = print_entry(call, &directory->entries[i]);
	if (err == KW_OK && directory->count == 0)
		(void)fputs("No agency is enrolled yet; kinward hub add AGENCY makes a code for one.\n", call->err);
	kw_roles_free(roles);
	return err == KW_OK ? CLI_OK : fail_dir(&args, err);
}
