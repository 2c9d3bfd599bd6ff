#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/commands.h"
#include "agent/shell/agent_inner.h"
#include "agent/shell/keys.h"

/* kinward agent passphrase: the key file under another passphrase. It is written whole and takes the place of the old one in one
 * step, so a stop anywhere leaves one that opens with the old passphrase or with the new one. What else is sealed on this machine is
 * sealed under keys that lie in it, and stays as it is. */

enum { PASS_DIR, PASS_OLD_FILE, PASS_NEW_FILE, PASS_DRY_RUN };

const struct cli_option CLI_AGENT_PASSPHRASE_OPTIONS[] = {
	[PASS_DIR] = {"dir", "DIR", "state directory (default " CLI_AGENT_FOLDER ")"},
	[PASS_OLD_FILE] = {"passphrase-file", "FILE", "the present passphrase, mode 0400"},
	[PASS_NEW_FILE] = {"new-passphrase-file", "FILE", "the new one, mode 0400"},
	[PASS_DRY_RUN] = {"dry-run", NULL, "only look whether the present one fits, and say what would happen"},
	{NULL, NULL, NULL},
};

const char CLI_AGENT_PASSPHRASE_DETAILS[] =
	"Stop the agent first. The keys stay, so nobody else notices. Without files the present passphrase comes from\n"
	"$" KEYS_PASSPHRASE_ENV ", else both are asked for. The file that agent.yaml names is yours to replace, before the agent is\n"
	"started again. Backups of the state directory still open with the passphrase that they were made with.\n\n"
	"  kinward agent passphrase --passphrase-file /etc/kinward/passphrase --new-passphrase-file /root/new\n";

static int fail(struct cli_call *call, enum kw_err err, const char *field, const char *text)
{
	bool retry = kw_err_class(err) == KW_CLASS_RETRY;
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .field = field, .text = text, .retryable = retry,
		.exit = err == KW_ENOTFOUND ? CLI_NOT_FOUND : retry ? CLI_RETRY : CLI_REFUSED});
}

static int fail_passphrase(struct cli_call *call, enum kw_err err, const char *field)
{
	const char *text = kw_err_text(err);
	if (err == KW_EFIELD)
		text = "a passphrase has at least 8 characters, and the new one is typed twice the same";
	else if (err == KW_ETOOBIG)
		text = "a passphrase has at most 1024 bytes";
	else if (err == KW_EDENIED)
		text = "the file of a passphrase must be yours or root's, and have mode 0400 or 0600";
	else if (err == KW_ENOTFOUND)
		text = "there is no passphrase: name a file, or run this at a terminal";
	return fail(call, err, field, text);
}

static int fail_keys(struct cli_call *call, enum kw_err err)
{
	if (err == KW_EBUSY)
		return fail(call, err, "--dir", "the agent runs on this state directory, and would write its keys under the old passphrase again: "
			"stop it first");
	if (err == KW_EAUTH)
		return fail(call, err, "--passphrase-file", "the passphrase is not the one of this key file, or the file is damaged");
	if (err == KW_ENOTFOUND)
		return fail(call, err, "--dir", "no agent lives in this folder: name its state directory");
	if (err == KW_EDENIED)
		return fail(call, err, "--dir", "its files cannot be read or written: run this as the user that the agent runs as");
	return fail(call, err, "--dir", kw_err_text(err));
}

static void print(const struct cli_call *call, const char *dir, bool dry_run)
{
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:b}", "folder", dir, "dryRun", (int)dry_run));
		return;
	}
	(void)fprintf(call->out, "%s/keys %s under the new passphrase, by scrypt with a new salt; what it held before %s overwritten. The keys\n"
		"stay, and nobody else notices. Put the new passphrase where agent.yaml has it, then start the agent.\n%s", dir,
		dry_run ? "would be" : "is", dry_run ? "would be" : "is", dry_run ? "Nothing was changed.\n" : "");
}

static int change(struct cli_call *call, const char *dir, const char *path, struct keys *keys)
{
	struct kw_buf passphrase;
	kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
	enum kw_err err = keys_passphrase(call->option[PASS_OLD_FILE], false, &passphrase);
	if (err != KW_OK) {
		kw_buf_fini(&passphrase);
		return fail_passphrase(call, err, "--passphrase-file");
	}
	err = keys_load(path, kw_buf_view(&passphrase), keys);
	kw_buf_fini(&passphrase);
	if (err != KW_OK)
		return fail_keys(call, err);
	if (call->option[PASS_DRY_RUN] == NULL) {
		kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
		err = keys_passphrase(call->option[PASS_NEW_FILE], true, &passphrase);
		if (err != KW_OK) {
			kw_buf_fini(&passphrase);
			return fail_passphrase(call, err, "--new-passphrase-file");
		}
		err = keys_save(path, keys, kw_buf_view(&passphrase));
		kw_buf_fini(&passphrase);
	}
	if (err != KW_OK)
		return fail_keys(call, err);
	print(call, dir, call->option[PASS_DRY_RUN] != NULL);
	return CLI_OK;
}

int cli_run_agent_passphrase(struct cli_call *call)
{
	const char *dir = call->option[PASS_DIR] ? call->option[PASS_DIR] : CLI_AGENT_FOLDER;
	char path[PATH_MAX];
	struct keys keys;
	int lock;
	enum kw_err err = keys_harden();
	if (err != KW_OK)
		return fail(call, err, "", "the process cannot be hardened: it needs setrlimit and prctl");
	err = agent_path(dir, AGENT_KEYS_FILE, path);
	if (err == KW_OK)
		err = keys_lock(dir, &lock);
	if (err != KW_OK)
		return fail_keys(call, err);
	memset(&keys, 0, sizeof(keys));
	int code = change(call, dir, path, &keys);
	keys_fini(&keys);
	keys_unlock(lock);
	return code;
}
