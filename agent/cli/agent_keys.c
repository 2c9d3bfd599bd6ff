#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "agent/shell/agent_inner.h"
#include "agent/shell/renew.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/crypt.h"
#include "proto/wire/role.h"
#include "proto/wire/spki.h"

/* kinward agent rotate: a new key in the place of one of the agency's. The agent makes it and brings it in; what is public about it stands
 * in the agent's state directory, so that no passphrase is needed here: an order is left there, and the agent takes it up. */

enum { ROTATE_DIR, ROTATE_REASON, ROTATE_DRY_RUN };

const struct cli_option CLI_AGENT_ROTATE_OPTIONS[] = {
	[ROTATE_DIR] = {"dir", "DIR", "state directory (default " CLI_AGENT_FOLDER ")"},
	[ROTATE_REASON] = {"reason", "REASON", "with identity: scheduled (default), staff or compromised; every agency sees it"},
	[ROTATE_DRY_RUN] = {"dry-run", NULL, "only say what would happen"},
	{NULL, NULL, NULL},
};

const char CLI_AGENT_ROTATE_DETAILS[] =
	"KEY is identity (signs what we send), tls (opens connections to the hub) or sealing (what others seal to as the last resort; with it\n"
	"goes the hybrid key, where libcrypto has ML-KEM). The agent makes the new key, and brings it in when it is online; until the hub has\n"
	"it in its directory the former one is in use, whatever happens in between. kinward status says when it is done. Run it as the agent's own user.\n\n"
	"With --reason compromised nothing that the former identity key has signed is believed any more. When the key is lost, or in other\n"
	"hands alone, this is of no use: have the hub's operator shut the agency out, and enrol anew under another name.\n\n"
	"  kinward agent rotate tls --dry-run\n"
	"  kinward agent rotate identity --reason staff\n";

#define TAKEN_MS 5000
#define DONE_MS 30000
#define STEP_MS 100

struct rotation {
	struct cli_call *call;
	const char *dir;
	enum keys_which which;
	uint8_t reason;
	struct kw_name agency;
	struct kw_name hub;
	struct kw_directory *directory;
	const struct kw_directory_entry *own;
};

static int fail(struct cli_call *call, enum kw_err err, const char *field, const char *text)
{
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .field = field, .text = text,
		.retryable = kw_err_class(err) == KW_CLASS_RETRY,
		.exit = err == KW_ENOTFOUND ? CLI_NOT_FOUND : kw_err_class(err) == KW_CLASS_RETRY ? CLI_RETRY : CLI_REFUSED});
}

static int fail_dir(struct cli_call *call, enum kw_err err)
{
	const char *text = kw_err_text(err);
	if (err == KW_ENOTFOUND)
		text = "no agent lives in this folder, or none that was at its hub yet: name its state directory";
	else if (err == KW_EDENIED)
		text = "its files cannot be read or written: run this as the user that the agent runs as";
	else if (err == KW_EFORMAT || err == KW_EFIELD)
		text = "a file in it is damaged: put the state directory back from a backup";
	return fail(call, err, "--dir", text);
}

static enum kw_err load_names(struct rotation *rotation)
{
	char path[PATH_MAX];
	X509 *leaf = NULL;
	struct kw_spki_name name;
	enum kw_err err = agent_path(rotation->dir, AGENT_CHAIN_FILE, path);
	if (err == KW_OK)
		err = kw_pki_cert_load(path, &leaf);
	if (err == KW_OK)
		err = kw_spki_name_of(leaf, &name);
	X509_free(leaf);
	if (err != KW_OK)
		return err;
	rotation->agency = name.agency;
	rotation->hub = name.hub;
	return KW_OK;
}

/* As the agent has accepted it, so it is not judged again. */
static enum kw_err load_directory(struct rotation *rotation)
{
	char path[PATH_MAX];
	struct kw_buf bytes;
	struct kw_role_signed role;
	kw_directory_free(rotation->directory);
	rotation->directory = NULL;
	rotation->own = NULL;
	kw_buf_init(&bytes, KW_ROLE_SIZE_MAX);
	enum kw_err err = agent_path(rotation->dir, "directory.bin", path);
	if (err == KW_OK)
		err = kw_file_read(path, KW_FILE_PUBLIC, &bytes);
	if (err == KW_OK)
		err = kw_role_parse(kw_buf_view(&bytes), &role);
	if (err == KW_OK)
		err = kw_directory_read(role.payload, &rotation->directory);
	if (err == KW_OK)
		rotation->own = kw_directory_find(rotation->directory, &rotation->agency);
	kw_buf_fini(&bytes);
	return err == KW_OK && rotation->own == NULL ? KW_ENOTFOUND : err;
}

static enum kw_err check_owner(const char *dir)
{
	struct stat info;
	if (stat(dir, &info) != 0)
		return KW_ENOTFOUND;
	return info.st_uid == geteuid() ? KW_OK : KW_EDENIED;
}

/* What stands in the directory for this key. */
static struct kw_digest shown(const struct rotation *rotation)
{
	struct kw_digest out = {.bytes = {0}};
	struct kw_view key = KW_VIEW_OF(rotation->own->identity_key);
	if (rotation->which == KEYS_TLS)
		return rotation->own->tls_key_digest;
	if (rotation->which == KEYS_SEALING)
		key = KW_VIEW_OF(rotation->own->sealing_keys[0].public_key);
	if (kw_sha256(&key, 1, &out) != KW_OK)
		memset(&out, 0, sizeof(out)); /* then it does not fit what anybody reads out */
	return out;
}

static size_t others(const struct rotation *rotation)
{
	size_t count = 0;
	for (size_t i = 0; i < rotation->directory->count; i++)
		count += !rotation->directory->entries[i].revoked;
	return count - (rotation->own->revoked ? 0 : 1);
}

/* What changes, and who notices. */
static void print_effects(FILE *out, const struct rotation *rotation)
{
	size_t count = others(rotation);
	bool compromised = rotation->reason == KW_IDENTITY_COMPROMISED;
	switch (rotation->which) {
	case KEYS_IDENTITY:
		(void)fprintf(out, "  here: the former secret is wiped from %s/keys, and what we send from then on is signed by the new one\n"
			"  the hub: its directory gets the new key and why (%s), signed by both keys; kinward hub list shows another fingerprint\n"
			"  the %zu other agencies: each, at once or at its next contact, sees in kinward keys and in its log (identity_replaced) that we\n"
			"    replaced it ourselves, and why. What the former key signed before %s.\n",
			rotation->dir, kw_identity_reason_name(rotation->reason), count, compromised
			? "is not believed any more: what is on\n    its way comes back as a dead letter, to be sent again"
			: "and is on its way is\n    believed for another 47 days");
		if (rotation->own->identity_change.reason != 0)
			(void)fputs("  the key that was replaced the last time is forgotten: nothing is believed of it any more, and what it has signed is no\n"
				"    evidence any more, neither ours nor what we confirmed to others. Write what may be needed to files first: kinward\n"
				"    proof show MESSAGE --out FILE; others do the same.\n", out);
		break;
	case KEYS_TLS:
		(void)fprintf(out, "  here: a new certificate with the new key; the former secret is wiped from %s/keys once the hub knows the new one alone\n"
			"  the hub: both keys open a session until the new one was used for the first time, a second later; then the former one opens none\n"
			"  the %zu other agencies: do not notice\n", rotation->dir, count);
		break;
	default:
		(void)fprintf(out, "  here: the former secret is kept in %s/keys for 47 days, for what is on its way to us, and then destroyed and overwritten\n"
			"  the hub: its directory gets the new key\n"
			"  the %zu other agencies: each, at once or at its next contact, seals to the new one where it has no key of the day from us\n",
			rotation->dir, count);
		if (rotation->own->hybrid_keys_count > 0)
			(void)fputs("  with it, and in the same way: our hybrid key (suite 0x11, ML-KEM-768 with X25519)\n", out);
	}
}

static void print(const struct rotation *rotation, bool dry_run, bool done)
{
	struct cli_call *call = rotation->call;
	const struct kw_digest digest = shown(rotation);
	const char *name = keys_which_name(rotation->which);
	char hex[2 * KW_DIGEST_SIZE + 1];
	kw_hex(hex, KW_VIEW_OF(digest.bytes));
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:I}", "key", name, "agency", rotation->agency.text, "hub",
			rotation->hub.text, "dryRun", (int)dry_run, "done", (int)done, "fingerprint", hex, "agenciesToTell",
			rotation->which == KEYS_TLS ? (json_int_t)0 : (json_int_t)others(rotation)));
		return;
	}
	if (done) {
		(void)fprintf(call->out, "The %s key of %s is replaced.\n  SHA-256 of the new one: %s\n", name, rotation->agency.text, hex);
		return;
	}
	(void)fprintf(call->out, "The %s key of %s at hub %s %s replaced. SHA-256 of the present one: %s\n", name, rotation->agency.text,
		rotation->hub.text, dry_run ? "would be" : "will be", hex);
	print_effects(call->out, rotation);
	if (dry_run)
		(void)fputs("Nothing was changed.\n", call->out);
}

static void nap(void)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	(void)nanosleep(&step, NULL); /* a shorter wait only looks earlier */
}

static bool taken(const char *order)
{
	for (int waited = 0; waited < TAKEN_MS; waited += STEP_MS) {
		if (access(order, F_OK) != 0)
			return true;
		nap();
	}
	return false;
}

static bool done(struct rotation *rotation, const struct kw_digest *before)
{
	for (int waited = 0; waited < DONE_MS; waited += STEP_MS) {
		struct kw_digest now;
		if (load_directory(rotation) == KW_OK) {
			now = shown(rotation);
			if (memcmp(&now, before, sizeof(now)) != 0)
				return true;
		}
		nap();
	}
	return false;
}

static int order(struct rotation *rotation)
{
	struct cli_call *call = rotation->call;
	char path[PATH_MAX];
	char line[64];
	const struct kw_digest before = shown(rotation);
	(void)snprintf(line, sizeof(line), "%s %s\n", keys_which_name(rotation->which), kw_identity_reason_name(rotation->reason)); /* fits */
	enum kw_err err = agent_path(rotation->dir, AGENT_ROTATE_FILE, path);
	if (err == KW_OK && access(path, F_OK) == 0)
		return fail(call, KW_EBUSY, "KEY", "another key is ordered to be replaced, and the agent has not taken that up yet: start it first");
	if (err == KW_OK)
		err = kw_file_write_atomic(path, kw_view_str(line), 0600);
	if (err != KW_OK)
		return fail_dir(call, err);
	if (!call->json)
		print(rotation, false, false);
	if (!taken(path)) {
		if (call->json)
			print(rotation, false, false);
		(void)fflush(call->out); /* in this order, also in a log */
		(void)fputs("The agent does not run: it does this when it is started.\n", call->err);
		return CLI_OK;
	}
	(void)fflush(call->out); /* what follows may take half a minute */
	bool is_done = done(rotation, &before);
	if (is_done || (call->json && rotation->own != NULL))
		print(rotation, false, is_done);
	(void)fflush(call->out); /* in this order, also in a log */
	if (!is_done)
		(void)fputs("It is not done yet; the agent goes on with it as soon as it is online. kinward status says how far it is.\n", call->err);
	return CLI_OK;
}

int cli_run_agent_rotate(struct cli_call *call)
{
	struct rotation rotation = {.call = call, .reason = KW_IDENTITY_SCHEDULED,
		.dir = call->option[ROTATE_DIR] ? call->option[ROTATE_DIR] : CLI_AGENT_FOLDER};
	const char *reason = call->option[ROTATE_REASON];
	if (keys_which_from(call->args[0], &rotation.which) != KW_OK)
		return cli_fail_usage(call, "KEY is identity, tls or sealing");
	if (reason && rotation.which != KEYS_IDENTITY)
		return cli_fail_usage(call, "--reason goes with identity: nobody sees why the others are replaced");
	if (reason && (rotation.reason = kw_identity_reason_from(reason)) == 0)
		return cli_fail_usage(call, "--reason is scheduled, staff or compromised");
	enum kw_err err = check_owner(rotation.dir);
	if (err == KW_OK)
		err = load_names(&rotation);
	if (err == KW_OK)
		err = load_directory(&rotation);
	int code = CLI_OK;
	if (err != KW_OK)
		code = fail_dir(call, err);
	else if (call->option[ROTATE_DRY_RUN])
		print(&rotation, true, false);
	else
		code = order(&rotation);
	kw_directory_free(rotation.directory);
	return code;
}
