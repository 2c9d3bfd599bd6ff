#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/hub.h"
#include "proto/link/pki.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"

/* The operator's commands about who is who: shutting an agency out, new keys, and a folder of an older version. Each signs in the
 * hub's folder; a broker that runs takes it up within a second. */

#define LOCK_WAIT_MS 5000u

enum { REVOKE_DIR, REVOKE_DRY_RUN };

const struct cli_option CLI_HUB_REVOKE_OPTIONS[] = {
	[REVOKE_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[REVOKE_DRY_RUN] = {"dry-run", NULL, "only say what would happen"},
	{NULL, NULL, NULL},
};

enum { ROTATE_DIR, ROTATE_DRY_RUN, ROTATE_ROOT_FOLDER, ROTATE_ROOT_KEYS, ROTATE_ROOT_THRESHOLD };

const struct cli_option CLI_HUB_ROTATE_OPTIONS[] = {
	[ROTATE_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[ROTATE_DRY_RUN] = {"dry-run", NULL, "only say what would happen"},
	[ROTATE_ROOT_FOLDER] = {"root-folder", "DIR", "where the root keys are now (default root-keys in the hub's folder)"},
	[ROTATE_ROOT_KEYS] = {"root-keys", "K", "with root: make so many new root keys, 1 to 8 (default 1)"},
	[ROTATE_ROOT_THRESHOLD] = {"root-threshold", "N", "with root: so many of them must sign (default: more than half)"},
	{NULL, NULL, NULL},
};

enum { UPGRADE_DIR, UPGRADE_ROOT_KEY, UPGRADE_ROOT_KEYS, UPGRADE_ROOT_THRESHOLD };

const struct cli_option CLI_HUB_UPGRADE_OPTIONS[] = {
	[UPGRADE_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[UPGRADE_ROOT_KEY] = {"root-key", "FILE", "the root key (default root.key in the hub's folder)"},
	[UPGRADE_ROOT_KEYS] = {"root-keys", "K", "make so many root keys, this one included, 1 to 8 (default 1)"},
	[UPGRADE_ROOT_THRESHOLD] = {"root-threshold", "N", "so many of them must sign a new root (default: more than half)"},
	{NULL, NULL, NULL},
};

static int64_t now_unix_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

int cli_hub_root_options(struct cli_call *call, const char *keys_text, const char *threshold_text, uint8_t *keys,
	uint8_t *threshold)
{
	uint64_t count = 1;
	if (keys_text && cli_number_from(keys_text, 1, KW_ROLE_KEYS_MAX, &count) != KW_OK)
		return cli_fail_usage(call, "--root-keys is a number from 1 to %u", KW_ROLE_KEYS_MAX);
	uint64_t needed = count / 2 + 1;
	if (threshold_text && cli_number_from(threshold_text, 1, count, &needed) != KW_OK)
		return cli_fail_usage(call, "--root-threshold is a number from 1 to that of the root keys");
	*keys = (uint8_t)count;
	*threshold = (uint8_t)needed;
	return CLI_OK;
}

static const char *in_dir(const char *dir, const char *name, char *path)
{
	(void)snprintf(path, CLI_HUB_PATH_SIZE, "%s/%s", dir, name); /* dir's length was checked */
	return path;
}

enum kw_err cli_hub_load_name(const char *dir, struct kw_name *out, uint8_t *public_key)
{
	char path[CLI_HUB_PATH_SIZE];
	X509 *issuer = NULL;
	struct kw_spki_name name;
	size_t size = KW_KEY_SIZE;
	enum kw_err err = kw_pki_cert_load(in_dir(dir, "issuer.pem", path), &issuer);
	if (err == KW_OK)
		err = kw_spki_name_of(issuer, &name);
	if (err == KW_OK && public_key != NULL &&
		EVP_PKEY_get_raw_public_key(X509_get0_pubkey(issuer), public_key, &size) != 1)
		err = KW_EAUTH;
	X509_free(issuer);
	if (err == KW_OK)
		*out = name.hub;
	return err;
}

enum kw_err cli_hub_load_roles(const char *dir, struct kw_roles **out)
{
	char path[CLI_HUB_PATH_SIZE];
	X509 *root = NULL;
	struct kw_name hub;
	struct kw_digest digest;
	const char *file;
	enum kw_err err = cli_hub_load_name(dir, &hub, NULL);
	if (err == KW_OK)
		err = kw_pki_cert_load(in_dir(dir, "root.pem", path), &root);
	if (err == KW_OK)
		err = kw_spki_digest(root, &digest);
	if (err == KW_OK)
		err = kw_roles_load(dir, &hub, &digest, out, &file);
	X509_free(root);
	return err;
}

/* A key that root makes in the hub's folder cannot be read by the hub. */
static enum kw_err check_owner(const char *dir)
{
	struct stat info;
	if (stat(dir, &info) != 0)
		return KW_ENOTFOUND;
	return info.st_uid == geteuid() ? KW_OK : KW_EDENIED;
}

/* With the lock; *lock -1 when not taken. */
static enum kw_err lock_and_load(const char *dir, struct kw_roles **roles, int *lock)
{
	enum kw_err err = check_owner(dir);
	if (err == KW_OK)
		err = kw_roles_lock(dir, LOCK_WAIT_MS, lock);
	if (err != KW_OK) {
		*lock = -1;
		return err;
	}
	return cli_hub_load_roles(dir, roles);
}

static void unlock(struct kw_roles *roles, int lock)
{
	kw_roles_free(roles);
	if (lock >= 0)
		kw_roles_unlock(lock);
}

/* How many others there are to hear of it. */
static size_t others(const struct kw_directory *directory, const struct kw_name *but)
{
	size_t count = 0;
	for (size_t i = 0; i < directory->count; i++)
		count += !directory->entries[i].revoked && !(but != NULL && kw_name_equal(&directory->entries[i].agency, but));
	return count;
}

static void print_revoked(struct cli_call *call, const struct kw_name *agency, const struct kw_roles *roles, bool dry_run)
{
	uint64_t version = roles->directory->version + (dry_run ? 1 : 0);
	size_t count = others(roles->directory, agency);
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:b, s:I, s:I}", "agency", agency->text, "dryRun", (int)dry_run,
			"directoryVersion", (json_int_t)version, "agenciesToTell", (json_int_t)count));
		return;
	}
	(void)fprintf(call->out,
		"%s %s shut out, with directory version %llu:\n"
		"  %s: its session ends within a second, and it may not connect, renew or enrol under this name again.\n"
		"    Its agent shows the refusal \"denied\"; what it has in its own store stays there.\n"
		"  the %zu other agencies: learn it at once, or at their next contact with the hub. From then on their agents seal\n"
		"    nothing to %s and open nothing new from it; sending answers \"denied\". What waits at the hub for it is not delivered.\n"
		"%s",
		agency->text, dry_run ? "would be" : "is", (unsigned long long)version, agency->text, count, agency->text,
		dry_run ? "Nothing was changed.\n" : "");
}

static enum kw_err shut_out(struct kw_roles *roles, const struct kw_name *agency, bool dry_run)
{
	const struct kw_directory_entry *entry = kw_directory_find(roles->directory, agency);
	if (entry == NULL || entry->revoked)
		return entry == NULL ? KW_ENOAGENCY : KW_EEXIST;
	if (dry_run)
		return KW_OK;
	struct kw_directory next = *roles->directory;
	next.entries = calloc(next.count, sizeof(*next.entries));
	if (next.entries == NULL)
		return KW_ENOMEM;
	memcpy(next.entries, roles->directory->entries, next.count * sizeof(*next.entries));
	next.entries[entry - roles->directory->entries].revoked = true;
	enum kw_err err = kw_roles_publish(roles, &next, now_unix_ms());
	free(next.entries);
	return err;
}

static int fail_signing(struct cli_call *call, const char *dir, enum kw_err err)
{
	if (err == KW_EAUTH)
		return cli_hub_fail_field(call, err, "--dir", "registrar.key, snapshot.key or timestamp.key is missing or not one that the "
			"root has in charge, and nothing was changed: put it back from a backup, or make a new one with kinward hub rotate");
	return cli_hub_fail_dir(call, dir, err);
}

int cli_run_hub_revoke(struct cli_call *call)
{
	struct kw_roles *roles = NULL;
	struct kw_name agency;
	const char *dir;
	int lock = -1;
	bool dry_run = call->option[REVOKE_DRY_RUN] != NULL;
	int code = cli_hub_take_dir(call, call->option[REVOKE_DIR], &dir);
	if (code == CLI_OK && kw_name_from(kw_view_str(call->args[0]), &agency) != KW_OK)
		code = cli_fail_usage(call, "AGENCY is a name of 1 to 63 of a-z, 0-9 and '-', beginning and ending with no '-'");
	if (code != CLI_OK)
		return code;
	enum kw_err err = lock_and_load(dir, &roles, &lock);
	if (err != KW_OK) {
		code = cli_hub_fail_dir(call, dir, err);
	} else {
		err = shut_out(roles, &agency, dry_run);
		if (err == KW_ENOAGENCY)
			code = cli_hub_fail_field(call, KW_ENOTFOUND, "AGENCY", "no such agency is enrolled here: kinward hub list shows all");
		else if (err == KW_EEXIST)
			code = cli_hub_fail_field(call, err, "AGENCY", "is shut out already: kinward hub list shows it");
		else if (err != KW_OK)
			code = fail_signing(call, dir, err);
		else
			print_revoked(call, &agency, roles, dry_run);
	}
	unlock(roles, lock);
	return code;
}

/* What agents see, by the role. */
static const char *seen_text(enum kw_roles_which which)
{
	switch (which) {
	case KW_ROLES_REGISTRAR:
		return "takes the new root and a directory that the new key has signed. A directory that the old key signs from now on is\n"
			   "    refused (rule threshold).";
	case KW_ROLES_SNAPSHOT:
	case KW_ROLES_TIMESTAMP:
		return "takes the new root and forgets which versions the old key has signed, so that who stole it cannot have used them up.\n"
			   "    What the old key signs from now on is refused (rule threshold).";
	case KW_ROLES_LOG:
		return "takes the new root; checkpoints of the audit log are believed with the new key's signature only.";
	default:
		return "takes the new root, because enough of the old keys have signed it, and from then on only roots that enough of the new\n"
			   "    keys have signed. Enrolment codes stay good: their fingerprint is that of the X.509 root, which stays.";
	}
}

static void print_rotated(struct cli_call *call, const struct kw_roles *roles, const struct kw_roles_rotation *rotation,
	uint8_t needed)
{
	const char *name = kw_roles_which_name(rotation->which);
	uint64_t version = roles->client->root.version + (rotation->dry_run ? 1 : 0);
	size_t count = others(roles->directory, NULL);
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "role", name, "dryRun", (int)rotation->dry_run,
			"rootVersion", (json_int_t)version, "rootKeysFound", (json_int_t)rotation->found, "rootKeysNeeded", (json_int_t)needed,
			"agenciesToTell", (json_int_t)count));
		return;
	}
	(void)fprintf(call->out,
		"The %s key%s of hub %s %s replaced, with root version %llu, signed by %u root keys of which %u are needed:\n", name,
		rotation->which == KW_ROLES_ROOT ? "s" : "", roles->hub.text,
		rotation->dry_run ? "would be" : rotation->which == KW_ROLES_ROOT ? "are" : "is", (unsigned long long)version, rotation->found, needed);
	if (rotation->which == KW_ROLES_ROOT)
		(void)fprintf(call->out, "  new: %u root keys in %s, of which %u must sign. Carry them away, each to another person, and\n"
			"    destroy the old ones, all but 1.key: it is the X.509 root's, and issues the hub's certificate.\n", rotation->new_keys,
			rotation->root_keys, rotation->new_threshold);
	else
		(void)fprintf(call->out, "  new: %s.key in the hub's folder; the old one is gone. What it had signed is signed anew.\n", name);
	(void)fprintf(call->out, "  the %zu agencies: each, at once or at its next contact,\n    %s\n%s", count, seen_text(rotation->which),
		rotation->dry_run ? "Nothing was changed.\n" : "");
}

static int fail_rotation(struct cli_call *call, const char *dir, const struct kw_roles_rotation *rotation, enum kw_err err,
	uint8_t needed)
{
	char text[CLI_HUB_PATH_SIZE + 240];
	if (err == KW_EFULL)
		return cli_hub_fail_field(call, err, "ROLE", "the root has had as many versions as one can have, 1000: begin a new network with "
			"kinward hub init, and enrol its agencies anew");
	if (err != KW_EAUTH && err != KW_ENOTFOUND && err != KW_EDENIED)
		return cli_hub_fail_dir(call, dir, err);
	if (err == KW_EAUTH && rotation->found >= needed)
		return fail_signing(call, dir, err);
	(void)snprintf(text, sizeof(text), "%.1240s holds %u of the %u root keys that must sign: bring the others as *.key files, readable "
		"by this user alone, and name their folder with --root-folder", rotation->root_keys, rotation->found, needed); /* fits */
	return cli_hub_fail_field(call, err, "--root-folder", text);
}

static int which_of(struct cli_call *call, enum kw_roles_which *out)
{
	for (unsigned i = 0; i < KW_ROLES_WHICH_COUNT; i++) {
		if (strcmp(call->args[0], kw_roles_which_name((enum kw_roles_which)i)) == 0) {
			*out = (enum kw_roles_which)i;
			return CLI_OK;
		}
	}
	return cli_fail_usage(call, "ROLE is registrar, snapshot, timestamp, log or root");
}

int cli_run_hub_rotate(struct cli_call *call)
{
	struct kw_roles *roles = NULL;
	char keys_folder[CLI_HUB_PATH_SIZE];
	const char *dir;
	const char *given = call->option[ROTATE_ROOT_FOLDER];
	int lock = -1;
	uint8_t needed = 0;
	struct kw_roles_rotation rotation = {.dry_run = call->option[ROTATE_DRY_RUN] != NULL, .now_unix_ms = now_unix_ms()};
	int code = cli_hub_take_dir(call, call->option[ROTATE_DIR], &dir);
	if (code == CLI_OK)
		code = which_of(call, &rotation.which);
	if (code == CLI_OK)
		code = cli_hub_root_options(call, call->option[ROTATE_ROOT_KEYS], call->option[ROTATE_ROOT_THRESHOLD], &rotation.new_keys,
			&rotation.new_threshold);
	if (code == CLI_OK && given && (given[0] == '\0' || strlen(given) >= CLI_HUB_PATH_SIZE - 64))
		code = cli_fail_usage(call, "--root-folder is a path of 1 to %u bytes", CLI_HUB_PATH_SIZE - 65);
	if (code != CLI_OK)
		return code;
	rotation.root_keys = given ? given : in_dir(dir, KW_ROLES_ROOT_FOLDER, keys_folder);
	enum kw_err err = lock_and_load(dir, &roles, &lock);
	if (err != KW_OK) {
		code = cli_hub_fail_dir(call, dir, err);
	} else {
		needed = roles->client->root.root.threshold;
		err = kw_roles_rotate(roles, &rotation);
		if (err != KW_OK)
			code = fail_rotation(call, dir, &rotation, err, needed);
		else
			print_rotated(call, roles, &rotation, needed);
	}
	unlock(roles, lock);
	return code;
}

static enum kw_err upgrade(struct kw_roles_plan *plan, const char *key_file)
{
	uint8_t issuer_key[KW_KEY_SIZE];
	EVP_PKEY *key = NULL;
	X509 *root = NULL;
	char path[CLI_HUB_PATH_SIZE];
	enum kw_err err = check_owner(plan->folder);
	if (err == KW_OK)
		err = cli_hub_load_name(plan->folder, &plan->hub, issuer_key);
	if (err == KW_OK)
		err = kw_pki_cert_load(in_dir(plan->folder, "root.pem", path), &root);
	if (err == KW_OK)
		err = kw_pki_key_load(key_file, &key);
	if (err == KW_OK && X509_check_private_key(root, key) != 1)
		err = KW_EAUTH;
	plan->root_key = key;
	if (err == KW_OK)
		err = kw_roles_upgrade(plan, issuer_key);
	EVP_PKEY_free(key);
	X509_free(root);
	return err;
}

int cli_run_hub_upgrade(struct cli_call *call)
{
	char path[CLI_HUB_PATH_SIZE];
	struct kw_roles_plan plan = {.now_unix_ms = now_unix_ms()};
	const char *dir;
	int code = cli_hub_take_dir(call, call->option[UPGRADE_DIR], &dir);
	if (code == CLI_OK)
		code = cli_hub_root_options(call, call->option[UPGRADE_ROOT_KEYS], call->option[UPGRADE_ROOT_THRESHOLD], &plan.root_keys,
			&plan.root_threshold);
	if (code != CLI_OK)
		return code;
	plan.folder = dir;
	enum kw_err err = upgrade(&plan, call->option[UPGRADE_ROOT_KEY] ? call->option[UPGRADE_ROOT_KEY] : in_dir(dir, "root.key", path));
	if (err == KW_EEXIST)
		return cli_hub_fail_field(call, err, "--dir", "this hub is up to date already, and nothing in it was changed");
	if (err == KW_ENOTFOUND || err == KW_EAUTH)
		return cli_hub_fail_field(call, err, "--root-key", "the hub's files and its root key are needed together: bring the root key that "
			"kinward hub init made, and name its file with --root-key");
	if (err != KW_OK)
		return cli_hub_fail_dir(call, dir, err);
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:s}", "hub", plan.hub.text, "folder", dir));
	else
		(void)fprintf(call->out, "hub %s in %s is up to date. Carry its root keys in %s/root-keys away, and destroy the old root.key.\n",
			plan.hub.text, dir, dir);
	return CLI_OK;
}
