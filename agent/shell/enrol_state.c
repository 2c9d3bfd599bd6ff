#include "agent/shell/enrol_inner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/agent_inner.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/spki.h"

/* What is on disk while an enrolment is under way. FOLDER.new holds keys and agent.yaml, and PENDING last: where it is, the rest is
 * whole. Nobody is asked before it is there, so no hub knows keys that a cut could lose. */

#define PENDING "enrolment"
#define VERSION "kinward agent enrolment 1"
#define PENDING_SIZE_MAX 8192u

static enum kw_err path_of(const struct enrol *enrol, const char *file, char path[PATH_MAX])
{
	int size = snprintf(path, PATH_MAX, "%s.new%s%s", enrol->request->folder, file[0] != '\0' ? "/" : "", file);

	return size > 0 && size < PATH_MAX ? KW_OK : KW_ETOOBIG;
}

enum kw_err enrol_check_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return errno == ENOENT ? KW_OK : KW_EIO;
	while ((entry = readdir(dir)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	(void)closedir(dir);
	return count == 0 ? KW_OK : KW_EEXIST;
}

static void remove_files(const struct enrol *enrol)
{
	static const char *const files[] = {
		PENDING, AGENT_KEYS_FILE, AGENT_CHAIN_FILE, AGENT_ROOT_FILE, AGENT_CONFIG_FILE};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (path_of(enrol, files[i], path) == KW_OK)
			(void)unlink(path);
	}
}

void enrol_give_up(struct enrol *enrol)
{
	char path[PATH_MAX];

	remove_files(enrol);
	if (path_of(enrol, "", path) == KW_OK)
		(void)rmdir(path);
}

/* Opens and locks FOLDER.new. */
static enum kw_err lock(struct enrol *enrol, bool make)
{
	char path[PATH_MAX];
	enum kw_err err = path_of(enrol, "", path);

	if (err != KW_OK)
		return err;
	if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
		return errno == ENOENT ? KW_ENOTFOUND : errno == EACCES ? KW_EDENIED : KW_EIO;
	enrol->lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (enrol->lock < 0) {
		enrol->out->fault = make ? ENROL_FAULT_NONE : ENROL_FAULT_NO_REQUEST;
		return make ? KW_EDENIED : KW_ENOTFOUND;
	}
	if (flock(enrol->lock, LOCK_EX | LOCK_NB) == 0)
		return KW_OK;
	enrol->out->fault = ENROL_FAULT_RUNNING;
	return KW_EBUSY;
}

static enum kw_err save_pending(const struct enrol *enrol)
{
	char path[PATH_MAX];
	char text[PENDING_SIZE_MAX];
	char root[2 * KW_DIGEST_SIZE + 1];
	char id[2 * KW_ENROL_ID_SIZE + 1];
	char asks[2 * KW_ENROL_REQUEST_SIZE_MAX + 1];
	enum kw_err err = path_of(enrol, PENDING, path);

	kw_hex(root, KW_VIEW_OF(enrol->root_fingerprint.bytes));
	kw_hex(id, KW_VIEW_OF(enrol->code_id));
	kw_hex(asks, kw_buf_view(&enrol->asks));
	int size = snprintf(text, sizeof(text), VERSION "\n%s\n%s\n%s\n%s\n%s\n", enrol->agency.text, enrol->address, root, id, asks);
	if (size < 0 || (size_t)size >= sizeof(text))
		return KW_ETOOBIG;
	return err != KW_OK ? err : kw_file_write_atomic(path, KW_VIEW(text, (size_t)size), 0600);
}

static enum kw_err parse_pending(struct enrol *enrol, char *text)
{
	char *line[6];
	uint8_t asks[KW_ENROL_REQUEST_SIZE_MAX];

	for (size_t i = 0; i < 6; i++) {
		line[i] = strsep(&text, "\n");
		if (line[i] == NULL)
			return KW_EFORMAT;
	}
	size_t address = strlen(line[2]);
	size_t size = strlen(line[5]) / 2;
	if (strcmp(line[0], VERSION) != 0)
		return KW_EVERSION;
	if (address == 0 || address > KW_ENROL_ADDRESS_SIZE_MAX || size > sizeof(asks) ||
		kw_name_from(kw_view_str(line[1]), &enrol->agency) != KW_OK ||
		kw_unhex(enrol->root_fingerprint.bytes, KW_DIGEST_SIZE, line[3]) != KW_OK ||
		kw_unhex(enrol->code_id, KW_ENROL_ID_SIZE, line[4]) != KW_OK || kw_unhex(asks, size, line[5]) != KW_OK)
		return KW_EFORMAT;
	memcpy(enrol->address, line[2], address + 1);
	return kw_buf_add(&enrol->asks, KW_VIEW(asks, size));
}

/* KW_ENOTFOUND: it was cut short before it was whole, and nobody has heard of it. */
static enum kw_err load_pending(struct enrol *enrol)
{
	char path[PATH_MAX];
	struct kw_buf text;
	enum kw_err err = path_of(enrol, PENDING, path);

	kw_buf_init(&text, PENDING_SIZE_MAX);
	if (err == KW_OK)
		err = kw_file_read(path, KW_FILE_SECRET, &text);
	if (err == KW_OK)
		err = kw_buf_add_u8(&text, 0);
	if (err == KW_OK)
		err = parse_pending(enrol, (char *)text.data);
	kw_buf_fini(&text);
	return err;
}

/* A path as a YAML string in single quotes; KW_EFIELD for one with a quote or control character in it. */
static enum kw_err check_yaml(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'' || (unsigned char)*text < 0x20)
			return KW_EFIELD;
	}
	return KW_OK;
}

static enum kw_err save_config(const struct enrol *enrol)
{
	const struct enrol_request *request = enrol->request;
	char path[PATH_MAX];
	char text[3 * PATH_MAX];
	char state[PATH_MAX];
	int size;
	enum kw_err err = path_of(enrol, AGENT_CONFIG_FILE, path);

	/* The daemon may be started from anywhere. */
	if (request->folder[0] == '/')
		size = snprintf(state, sizeof(state), "%s", request->folder);
	else if (getcwd(text, sizeof(text)) != NULL)
		size = snprintf(state, sizeof(state), "%s/%s", text, request->folder);
	else
		return KW_EIO;
	if (size < 0 || (size_t)size >= sizeof(state))
		return KW_ETOOBIG;
	if (err == KW_OK)
		err = check_yaml(state);
	if (err == KW_OK)
		err = check_yaml(request->socket);
	if (err == KW_OK && request->passphrase_file != NULL)
		err = check_yaml(request->passphrase_file);
	if (err != KW_OK)
		return err;
	size = snprintf(text, sizeof(text),
		"# Made by `kinward agent init`; kinward-agent(1) explains every key.\nstate: '%s'\nhub: '%s'\nsocket: '%s'\n%s%s%s",
		state, enrol->address, request->socket, request->passphrase_file != NULL ? "passphrase_file: '" : "",
		request->passphrase_file != NULL ? request->passphrase_file : "", request->passphrase_file != NULL ? "'\n" : "");
	if (size < 0 || (size_t)size >= sizeof(text))
		return KW_ETOOBIG;
	return kw_file_write_atomic(path, KW_VIEW(text, (size_t)size), 0600);
}

static enum kw_err make_request(struct enrol *enrol)
{
	EVP_PKEY *tls_key = NULL;
	struct kw_buf csr;
	enum kw_err err = keys_tls(&enrol->keys, &tls_key);

	kw_buf_init(&csr, KW_ENROL_CSR_SIZE_MAX);
	if (err == KW_OK)
		err = kw_pki_csr_add(tls_key, &csr);
	if (err == KW_OK) {
		const struct kw_enrol_request request = {.csr = kw_buf_view(&csr),
			.identity_key = enrol->keys.identity.public_key,
			.sealing_key = enrol->keys.sealing.public_key,
			.code_id = enrol->code_id};
		err = kw_enrol_request_add(&enrol->asks, &request);
	}
	kw_buf_fini(&csr);
	EVP_PKEY_free(tls_key);
	return err;
}

static enum kw_err make_new(struct enrol *enrol, const struct kw_enrol_code *code)
{
	char path[PATH_MAX];

	memcpy(enrol->address, code->address, sizeof(enrol->address));
	enrol->agency = code->agency;
	enrol->root_fingerprint = code->root_fingerprint;
	remove_files(enrol); /* of a call that was cut short */
	enum kw_err err = kw_enrol_code_id(code->secret, enrol->code_id);
	if (err == KW_OK)
		err = keys_generate(&enrol->keys);
	if (err == KW_OK)
		err = make_request(enrol);
	if (err == KW_OK)
		err = path_of(enrol, AGENT_KEYS_FILE, path);
	if (err == KW_OK)
		err = keys_save(path, &enrol->keys, enrol->request->passphrase);
	if (err == KW_OK)
		err = save_config(enrol);
	if (err == KW_OK)
		err = save_pending(enrol);
	if (err != KW_OK)
		enrol_give_up(enrol);
	return err;
}

static enum kw_err take_up(struct enrol *enrol, const struct kw_enrol_code *code)
{
	char path[PATH_MAX];
	uint8_t id[KW_ENROL_ID_SIZE];
	enum kw_err err = code == NULL ? KW_OK : kw_enrol_code_id(code->secret, id);

	if (err == KW_OK && code != NULL && memcmp(id, enrol->code_id, sizeof(id)) != 0) {
		enrol->out->fault = ENROL_FAULT_OTHER_CODE;
		return KW_ESTATE;
	}
	if (err == KW_OK)
		err = path_of(enrol, AGENT_KEYS_FILE, path);
	if (err == KW_OK)
		err = keys_load(path, enrol->request->passphrase, &enrol->keys);
	if (err == KW_EAUTH)
		enrol->out->fault = ENROL_FAULT_KEYS;
	return err;
}

enum kw_err enrol_begin(struct enrol *enrol, const struct kw_enrol_code *code)
{
	enum kw_err err = lock(enrol, code != NULL);

	if (err != KW_OK)
		return err;
	err = load_pending(enrol);
	if (err == KW_OK)
		err = take_up(enrol, code);
	else if (err == KW_ENOTFOUND && code != NULL)
		err = make_new(enrol, code);
	else if (err == KW_ENOTFOUND)
		enrol->out->fault = ENROL_FAULT_NO_REQUEST;
	return err != KW_OK ? err : kw_ed25519_from_seed(enrol->keys.tls_seed, &enrol->tls);
}

enum kw_err enrol_add_ask(const struct enrol *enrol, const struct kw_digest *binding, struct kw_buf *out)
{
	const struct kw_enrol_asker asker = {
		.identity = &enrol->keys.identity, .tls = &enrol->tls, .code_key = enrol->code_key, .binding = binding};

	return kw_enrol_ask_add(out, kw_buf_view(&enrol->asks), &asker);
}

enum kw_err enrol_write_request(struct enrol *enrol)
{
	struct kw_buf body;
	struct kw_buf paper;

	kw_buf_init(&body, KW_ENROL_ASK_SIZE_MAX);
	kw_buf_init(&paper, KW_ENROL_PAPER_SIZE_MAX);
	enum kw_err err = enrol_add_ask(enrol, NULL, &body);
	if (err == KW_OK)
		err = kw_enrol_paper_add(&paper, KW_ENROL_PAPER_REQUEST, kw_buf_view(&body));
	if (err == KW_OK) {
		err = kw_file_write_atomic(enrol->request->request_file, kw_buf_view(&paper), 0644);
		if (err != KW_OK)
			enrol->out->fault = ENROL_FAULT_REQUEST_FILE;
	}
	kw_buf_fini(&body);
	kw_buf_fini(&paper);
	return err;
}

enum kw_err enrol_read_reply(struct enrol *enrol)
{
	struct kw_buf paper;
	struct kw_view body;
	struct kw_enrol_reply reply;

	kw_buf_init(&paper, KW_ENROL_PAPER_SIZE_MAX);
	enum kw_err err = kw_file_read(enrol->request->reply_file, KW_FILE_PUBLIC, &paper);
	if (err == KW_OK)
		err = kw_enrol_paper_parse(kw_buf_view(&paper), KW_ENROL_PAPER_REPLY, &body);
	if (err == KW_OK)
		err = kw_enrol_reply_parse(body, &reply);
	if (err == KW_OK)
		err = kw_pki_cert_from_der(reply.root, &enrol->root);
	if (err == KW_OK)
		err = kw_buf_add(&enrol->reply, body);
	if (err != KW_OK)
		enrol->out->fault = ENROL_FAULT_REPLY_FILE;
	kw_buf_fini(&paper);
	return err;
}

/* Leaf first, under the root. The leaf must be ours in name and key, and made by the hub's own authority. That the directory shows
 * our keys is seen in the first session, and ever after (agent_roles.c). */
static enum kw_err check_chain(const struct enrol *enrol, const struct kw_enrol_reply *reply, X509 *const *chain)
{
	struct kw_spki_name leaf;
	struct kw_spki_name issuer;
	struct kw_digest digest;
	uint8_t key[KW_KEY_SIZE];
	size_t size = sizeof(key);

	if (reply->certificates_count != 2 || kw_spki_name_of(chain[0], &leaf) != KW_OK ||
		kw_spki_name_of(chain[1], &issuer) != KW_OK || kw_spki_digest(enrol->root, &digest) != KW_OK ||
		EVP_PKEY_get_raw_public_key(X509_get0_pubkey(chain[0]), key, &size) != 1)
		return KW_EAUTH;
	if (memcmp(&digest, &enrol->root_fingerprint, sizeof(digest)) != 0 ||
		X509_verify(enrol->root, X509_get0_pubkey(enrol->root)) != 1 || X509_verify(chain[1], X509_get0_pubkey(enrol->root)) != 1 ||
		X509_verify(chain[0], X509_get0_pubkey(chain[1])) != 1)
		return KW_EAUTH;
	if (leaf.kind != KW_SPKI_AGENCY || issuer.kind != KW_SPKI_HUB || !kw_name_equal(&leaf.hub, &issuer.hub) ||
		!kw_name_equal(&leaf.hub, &reply->hub) || !kw_name_equal(&leaf.agency, &enrol->agency) ||
		!kw_name_equal(&leaf.agency, &reply->agency))
		return KW_EAUTH;
	return memcmp(key, enrol->tls.public_key, sizeof(key)) == 0 ? KW_OK : KW_EAUTH;
}

static enum kw_err save_certificates(const struct enrol *enrol, const struct kw_enrol_reply *reply)
{
	X509 *chain[KW_ENROL_CERTIFICATES_MAX] = {0};
	char path[PATH_MAX];
	enum kw_err err = KW_OK;

	for (size_t i = 0; err == KW_OK && i < reply->certificates_count; i++)
		err = kw_pki_cert_from_der(reply->certificates[i], &chain[i]);
	if (err == KW_OK)
		err = check_chain(enrol, reply, chain);
	if (err != KW_OK && enrol->request->reply_file != NULL)
		enrol->out->fault = ENROL_FAULT_REPLY_FILE;
	if (err == KW_OK)
		err = path_of(enrol, AGENT_CHAIN_FILE, path);
	if (err == KW_OK)
		err = kw_pki_certs_save(path, chain, reply->certificates_count);
	if (err == KW_OK)
		err = path_of(enrol, AGENT_ROOT_FILE, path);
	if (err == KW_OK)
		err = kw_pki_certs_save(path, &enrol->root, 1);
	for (size_t i = 0; i < KW_ENROL_CERTIFICATES_MAX; i++)
		X509_free(chain[i]);
	return err;
}

enum kw_err enrol_finish(struct enrol *enrol)
{
	struct kw_enrol_reply reply;
	char from[PATH_MAX];
	char path[PATH_MAX];
	enum kw_err err = kw_enrol_reply_parse(kw_buf_view(&enrol->reply), &reply);

	if (err == KW_OK)
		err = save_certificates(enrol, &reply);
	if (err == KW_OK)
		err = path_of(enrol, "", from);
	if (err == KW_OK && rename(from, enrol->request->folder) != 0)
		err = KW_EIO;
	if (err != KW_OK)
		return err;
	if (agent_path(enrol->request->folder, PENDING, path) == KW_OK)
		(void)unlink(path); /* nobody reads it there */
	enrol->out->hub = reply.hub;
	return agent_path(enrol->request->folder, AGENT_CONFIG_FILE, enrol->out->config);
}
