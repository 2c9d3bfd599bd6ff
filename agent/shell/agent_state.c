#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/agent_audit.h"
#include "agent/shell/agent_inner.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/renew.h"
#include "proto/link/file.h"
#include "proto/link/log.h"
#include "proto/link/pki.h"
#include "proto/wire/spki.h"

/* What enrolment left in the state directory: keys, certificate chain, root, directory. */

enum kw_err agent_path(const char *folder, const char *file, char *out)
{
	int size = snprintf(out, PATH_MAX, "%s/%s", folder, file);

	return size < 0 || size >= PATH_MAX ? KW_ETOOBIG : KW_OK;
}

static void tell(const char *field, const char *path, enum kw_err err, const char *text)
{
	kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("field", field), KW_LOG_STR("path", path), KW_LOG_ERR(err),
		KW_LOG_STR("text", text));
}

/* Tells which file is at fault. */
static enum kw_err blame(const char *path, enum kw_err err)
{
	const char *text = kw_err_text(err);

	if (err == KW_ENOTFOUND)
		text = "this file is missing: write the folder that kinward agent init made for state, or put it back from a backup";
	else if (err == KW_EDENIED)
		text = "must be a regular file of the agent's own user: keys with mode 0400, all else not writable by others";
	else if (err == KW_EFORMAT || err == KW_EAUTH)
		text = "is damaged, or does not fit the other files: put the state directory back from a backup";
	if (err != KW_OK)
		tell("state", path, err, text);
	return err;
}

static enum kw_err blame_passphrase(const char *file, enum kw_err err)
{
	const char *text = kw_err_text(err);

	if (err == KW_ENOTFOUND)
		text = file != NULL ? "there is no such file: write its path, mode 0400"
				    : "there is none: name a passphrase_file, set " KEYS_PASSPHRASE_ENV ", or start at a terminal";
	else if (err == KW_EDENIED)
		text = "must be a regular file of the agent's own user or of root, with mode 0400 or 0600";
	else if (err == KW_EFIELD)
		text = "is shorter than 8 characters, so it is not the one of kinward agent init: correct it";
	else if (err == KW_ETOOBIG)
		text = "is longer than 1024 bytes, so it is not the one of kinward agent init: correct it";
	if (err != KW_OK)
		tell("passphrase_file", file, err, text);
	return err;
}

static enum kw_err load_keys(struct agent *agent)
{
	const char *file = agent->settings->passphrase_file;
	struct kw_buf passphrase;
	char path[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_KEYS_FILE, path);

	kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
	if (err == KW_OK)
		err = blame_passphrase(file, keys_passphrase(file, false, &passphrase));
	if (err == KW_OK) {
		agent->keys = calloc(1, sizeof(*agent->keys));
		err = agent->keys == NULL ? KW_ENOMEM : keys_load(path, kw_buf_view(&passphrase), agent->keys);
		if (err == KW_EAUTH)
			tell("passphrase_file", path, err, "the passphrase is not the one of this key file, or the file is damaged: correct "
				"passphrase_file or " KEYS_PASSPHRASE_ENV ", or put the keys back from a backup");
		else
			err = blame(path, err);
	}
	kw_buf_fini(&passphrase);
	return err;
}

/* The certificate says which of our TLS keys is in use: while a new one is brought in there are two. */
static enum kw_err pick_tls(struct agent *agent, X509 *leaf)
{
	const uint8_t *seed = agent_renew_seed(agent->keys, leaf);

	return seed == NULL ? KW_EAUTH : keys_tls_of(seed, &agent->tls_key);
}

/* Who we are stands in our certificate. */
static enum kw_err load_names(struct agent *agent, const char *chain)
{
	X509 *leaf = NULL;
	struct kw_spki_name name;
	enum kw_err err = kw_pki_cert_load(chain, &leaf);

	if (err == KW_OK)
		err = kw_spki_name_of(leaf, &name);
	if (err == KW_OK && name.kind != KW_SPKI_AGENCY)
		err = KW_EAUTH;
	if (err == KW_OK)
		err = pick_tls(agent, leaf);
	X509_free(leaf);
	if (err != KW_OK)
		return err;
	agent->office.agency = name.agency;
	agent->office.hub = name.hub;
	return KW_OK;
}

static void use_directory(struct agent *agent)
{
	agent->directory = agent_roles_directory(agent->roles);
	agent->office.directory = agent->directory;
}

/* Under our name nothing but these keys is believed. */
static enum kw_err load_roles(struct agent *agent)
{
	char path[PATH_MAX];
	const char *file;
	struct agent_roles_self self;
	enum kw_err err = agent_renew_self(agent, &self);

	if (err != KW_OK)
		return err;
	err = agent_roles_open(agent->settings->state, &self, &agent->roles, &file);
	if (err != KW_OK)
		return agent_path(agent->settings->state, file, path) == KW_OK ? blame(path, err) : err;
	use_directory(agent);
	return KW_OK;
}

/* Who may write in the folder may put another key file there. */
static enum kw_err check_folder(const char *folder)
{
	struct stat info;

	if (stat(folder, &info) != 0)
		return blame(folder, errno == ENOENT ? KW_ENOTFOUND : KW_EDENIED);
	if (S_ISDIR(info.st_mode) && (info.st_mode & 022) == 0 && (info.st_uid == geteuid() || info.st_uid == 0))
		return KW_OK;
	tell("state", folder, KW_EDENIED, "must be a folder of the agent's own user that nobody else can write in: chmod 0700");
	return KW_EDENIED;
}

/* A command that writes the key file, or another agent, must not be there meanwhile. */
static enum kw_err lock_keys(struct agent *agent)
{
	enum kw_err err = keys_lock(agent->settings->state, &agent->keys_lock);

	if (err != KW_EBUSY)
		return blame(agent->settings->state, err);
	tell("state", agent->settings->state, err, "another agent runs on this state directory, or a command changes its keys: stop that one first, "
		"or write another state");
	return err;
}

enum kw_err agent_state_load(struct agent *agent)
{
	char chain[PATH_MAX];
	char root[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_CHAIN_FILE, chain);

	if (err == KW_OK)
		err = agent_path(agent->settings->state, AGENT_ROOT_FILE, root);
	if (err == KW_OK)
		err = check_folder(agent->settings->state);
	if (err == KW_OK)
		err = lock_keys(agent);
	if (err == KW_OK)
		err = load_keys(agent);
	if (err == KW_OK)
		err = blame(root, kw_pki_cert_load(root, &agent->root));
	if (err == KW_OK)
		err = kw_spki_digest(agent->root, &agent->root_fingerprint);
	if (err == KW_OK)
		err = blame(chain, load_names(agent, chain));
	if (err != KW_OK)
		return err;
	agent->office.keys = agent->keys;
	struct kw_tls_files files = {.chain = chain, .key = agent->tls_key, .root = agent->root};
	err = blame(chain, kw_tls_context_new(KW_TLS_AGENT, &files, &agent->tls));
	if (err == KW_OK)
		err = load_roles(agent);
	if (err == KW_OK)
		err = agent_renew_open(agent);
	return err != KW_OK ? err : agent_prekeys_open(agent);
}

enum kw_err agent_role_frame(struct agent *agent, struct kw_view body)
{
	struct kw_role_part part;
	enum agent_roles_news news = AGENT_ROLES_SAME;
	struct kw_roles_have have;
	struct kw_buf *out = kw_link_out(agent->link);
	enum kw_err err = kw_role_part_parse(body, &part);

	if (err == KW_OK)
		err = agent_roles_take(agent->roles, &part, agent_now_ms(), &news);
	if (err != KW_OK)
		return err;
	agent_audit_roles(agent);
	if (news == AGENT_ROLES_NEW) {
		use_directory(agent);
		agent_renew_directory(agent);
		agent->follow = true; /* who was gone may be there again */
		agent->follow_from = 0;
	} else if (news == AGENT_ROLES_WANT && out != NULL) {
		agent_roles_have(agent->roles, &have);
		have.directory = 0;
		err = kw_roles_want_add(out, &have);
		kw_link_ready(agent->link);
	}
	return err;
}

void agent_state_fini(struct agent *agent)
{
	kw_tls_context_free(agent->tls);
	EVP_PKEY_free(agent->tls_key);
	X509_free(agent->root);
	agent_prekeys_close(agent);
	agent_roles_close(agent->roles);
	keys_fini(agent->keys);
	free(agent->keys);
	keys_unlock(agent->keys_lock);
	settings_free(agent->settings);
}
