#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent_inner.h"
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
	return err != KW_OK ? err : keys_tls(agent->keys, &agent->tls_key);
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
	X509_free(leaf);
	if (err != KW_OK)
		return err;
	agent->office.agency = name.agency;
	agent->office.hub = name.hub;
	return KW_OK;
}

static enum kw_err verify(struct agent *agent, struct kw_view bytes, uint64_t version_min, struct kw_directory **out)
{
	struct kw_directory_trust trust = {.root = agent->root,
		.root_fingerprint = agent->root_fingerprint,
		.hub = agent->office.hub,
		.version_min = version_min,
		.now_unix_ms = agent_now_ms()};

	return kw_directory_verify(bytes, &trust, out);
}

static void use_directory(struct agent *agent, struct kw_directory *directory)
{
	kw_directory_free(agent->directory);
	agent->directory = directory;
	agent->office.directory = directory;
}

static enum kw_err load_directory(struct agent *agent)
{
	struct kw_directory *directory = NULL;
	struct kw_buf bytes;
	char path[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_DIRECTORY_FILE, path);

	kw_buf_init(&bytes, KW_DIRECTORY_SIZE_MAX);
	if (err == KW_OK)
		err = kw_file_read(path, KW_FILE_PUBLIC, &bytes);
	if (err == KW_OK)
		err = verify(agent, kw_buf_view(&bytes), 1, &directory);
	kw_buf_fini(&bytes);
	if (err != KW_OK)
		return blame(path, err);
	use_directory(agent, directory);
	return KW_OK;
}

enum kw_err agent_state_load(struct agent *agent)
{
	char chain[PATH_MAX];
	char root[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_CHAIN_FILE, chain);

	if (err == KW_OK)
		err = agent_path(agent->settings->state, AGENT_ROOT_FILE, root);
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
	return err != KW_OK ? err : load_directory(agent);
}

void agent_directory_take(struct agent *agent, struct kw_view signed_directory)
{
	struct kw_directory *directory = NULL;
	uint64_t have = agent->directory != NULL ? agent->directory->version : 0;
	char path[PATH_MAX];
	enum kw_err err = verify(agent, signed_directory, have, &directory);

	if (err == KW_OK && directory->version == have) {
		kw_directory_free(directory);
		return;
	}
	if (err == KW_OK)
		err = agent_path(agent->settings->state, AGENT_DIRECTORY_FILE, path);
	/* Stored before it is used: a restart must not fall back behind a revocation. */
	if (err == KW_OK)
		err = kw_file_write_atomic(path, signed_directory, 0644);
	if (err != KW_OK) {
		kw_directory_free(directory);
		kw_log(KW_LOG_WARN, "directory_refused", KW_LOG_ERR(err));
		return;
	}
	use_directory(agent, directory);
	agent->follow = true; /* who was gone may be there again */
	agent->follow_from = 0;
	kw_log(KW_LOG_INFO, "directory", KW_LOG_INT("version", directory->version), KW_LOG_INT("agencies", directory->count));
}

void agent_state_fini(struct agent *agent)
{
	kw_tls_context_free(agent->tls);
	EVP_PKEY_free(agent->tls_key);
	X509_free(agent->root);
	kw_directory_free(agent->directory);
	keys_fini(agent->keys);
	free(agent->keys);
	settings_free(agent->settings);
}
