#include "agent/shell/enrol.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "agent/shell/agent_inner.h"
#include "agent/shell/keys.h"
#include "proto/link/file.h"
#include "proto/link/link.h"
#include "proto/link/pki.h"
#include "proto/wire/crypt.h"
#include "proto/wire/enrol.h"
#include "proto/wire/spki.h"

/* Steps: read the code; make keys and a request; connect, pin, send, wait for the reply; check that it is about us; write.
 * Any failure leaves no state directory. The code is single-use: a hub that has accepted it and whose reply is lost gives
 * the operator the work of a new code, and nothing worse. */

struct enrol {
	struct keys keys;
	EVP_PKEY *tls_key;
	struct kw_enrol_code code;
	struct kw_buf request; /* the ENROL frame's body */
	struct kw_buf reply;   /* the ENROLLED frame's body */
	uv_loop_t loop;
	uv_timer_t deadline;
	struct kw_net *net;
	struct kw_tls_context *tls;
	struct kw_link *link;
	struct kw_link_hooks hooks;
	X509 *root;
	enum kw_err err;
	bool refused; /* by the hub, in so many words */
	bool done;
};

static void end(struct enrol *enrol, enum kw_err err)
{
	if (!enrol->done) {
		enrol->done = true;
		enrol->err = err;
	}
	if (enrol->link != NULL)
		kw_link_close(enrol->link, KW_OK);
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct enrol *enrol = user;
	X509 *root = kw_tls_context_root(enrol->tls);
	struct kw_buf *out = kw_link_out(link);
	enum kw_err err = peer->kind == KW_PEER_HUB && root != NULL && X509_up_ref(root) == 1 ? KW_OK : KW_EAUTH;

	if (err == KW_OK) {
		enrol->root = root;
		err = out == NULL ? KW_ECLOSED : kw_frame_add(out, KW_FRAME_ENROL, kw_buf_view(&enrol->request));
	}
	if (err != KW_OK)
		end(enrol, err);
	else
		kw_link_ready(link);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct enrol *enrol = user;
	struct kw_frame_error error;
	enum kw_err err;

	(void)link;
	switch (frame->type) {
	case KW_FRAME_ENROLLED:
		end(enrol, kw_buf_add(&enrol->reply, frame->body));
		break;
	case KW_FRAME_ERROR:
		err = kw_frame_error_parse(frame->body, &error);
		enrol->refused = err == KW_OK;
		end(enrol, err != KW_OK ? err : error.code == KW_OK ? KW_EPROTO : error.code);
		break;
	default:
		if ((frame->type & 0x80u) == 0)
			end(enrol, KW_EPROTO);
		break;
	}
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct enrol *enrol = user;

	(void)link;
	enrol->link = NULL;
	end(enrol, err == KW_OK ? KW_ECLOSED : err);
	uv_close((uv_handle_t *)&enrol->deadline, NULL);
	uv_stop(&enrol->loop);
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_deadline(uv_timer_t *timer)
{
	end(timer->data, KW_ETIMEOUT);
}

/* Asks the hub; the reply is in enrol->reply on KW_OK. */
static enum kw_err ask(struct enrol *enrol)
{
	struct kw_tls_files files = {.root_fingerprint = enrol->code.root_fingerprint};
	enum kw_err err = kw_tls_context_new(KW_TLS_ENROL, &files, &enrol->tls);

	if (err != KW_OK)
		return err;
	enrol->hooks = (struct kw_link_hooks){
		.user = enrol, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	if (uv_loop_init(&enrol->loop) != 0)
		return KW_ENOMEM;
	enrol->deadline.data = enrol;
	if (uv_timer_init(&enrol->loop, &enrol->deadline) != 0 ||
		uv_timer_start(&enrol->deadline, on_deadline, ENROL_DEADLINE_MS, 0) != 0)
		return KW_ENOMEM;
	err = kw_net_new(&enrol->loop, &enrol->net);
	if (err == KW_OK)
		err = kw_link_connect(enrol->net, enrol->code.address, enrol->tls, &enrol->hooks, &enrol->link);
	if (err == KW_OK) {
		(void)uv_run(&enrol->loop, UV_RUN_DEFAULT);
		err = enrol->err;
	} else {
		uv_close((uv_handle_t *)&enrol->deadline, NULL);
	}
	kw_net_free(enrol->net);
	(void)uv_run(&enrol->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&enrol->loop); /* the program ends soon */
	return err;
}

static enum kw_err prepare(struct enrol *enrol, const char *code)
{
	struct kw_buf csr;
	enum kw_err err = kw_enrol_code_parse(code, &enrol->code);

	kw_buf_init(&csr, KW_ENROL_CSR_SIZE_MAX);
	if (err == KW_OK)
		err = keys_generate(&enrol->keys);
	if (err == KW_OK)
		err = keys_tls(&enrol->keys, &enrol->tls_key);
	if (err == KW_OK)
		err = kw_pki_csr_add(enrol->tls_key, &csr);
	if (err == KW_OK) {
		struct kw_enrol_request request = {
			.secret = enrol->code.secret, .csr = kw_buf_view(&csr), .sealing_key = enrol->keys.sealing.public_key};
		err = kw_enrol_request_add(&enrol->request, &request, &enrol->keys.identity);
	}
	kw_buf_fini(&csr);
	return err;
}

/* The leaf must be ours in name and key. That the directory shows our keys is seen in the first session, and ever after
 * (agent_roles.c). */
static enum kw_err check_leaf(const struct enrol *enrol, const struct kw_enrol_reply *reply)
{
	X509 *leaf = NULL;
	struct kw_spki_name name;
	enum kw_err err = kw_pki_cert_from_der(reply->certificates[0], &leaf);

	if (err != KW_OK)
		return err;
	err = kw_spki_name_of(leaf, &name);
	if (err == KW_OK && (name.kind != KW_SPKI_AGENCY || !kw_name_equal(&name.agency, &reply->agency) ||
		!kw_name_equal(&name.hub, &reply->hub) || X509_check_private_key(leaf, enrol->tls_key) != 1))
		err = KW_EAUTH;
	X509_free(leaf);
	return err;
}

static enum kw_err save_chain(const char *folder, const struct kw_enrol_reply *reply)
{
	X509 *certificates[KW_ENROL_CERTIFICATES_MAX] = {0};
	char path[PATH_MAX];
	enum kw_err err = agent_path(folder, AGENT_CHAIN_FILE, path);

	for (size_t i = 0; err == KW_OK && i < reply->certificates_count; i++)
		err = kw_pki_cert_from_der(reply->certificates[i], &certificates[i]);
	if (err == KW_OK)
		err = kw_pki_certs_save(path, certificates, reply->certificates_count);
	for (size_t i = 0; i < KW_ENROL_CERTIFICATES_MAX; i++)
		X509_free(certificates[i]);
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

static enum kw_err save_config(const struct enrol *enrol, const struct enrol_request *request, const char *folder)
{
	char path[PATH_MAX];
	char text[3 * PATH_MAX];
	char state[PATH_MAX];
	int size;
	enum kw_err err = agent_path(folder, AGENT_CONFIG_FILE, path);

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
		state, enrol->code.address, request->socket, request->passphrase_file != NULL ? "passphrase_file: '" : "",
		request->passphrase_file != NULL ? request->passphrase_file : "", request->passphrase_file != NULL ? "'\n" : "");
	if (size < 0 || (size_t)size >= sizeof(text))
		return KW_ETOOBIG;
	return kw_file_write_atomic(path, KW_VIEW(text, (size_t)size), 0600);
}

static enum kw_err save(const struct enrol *enrol, const struct enrol_request *request, const struct kw_enrol_reply *reply,
	const char *folder)
{
	char path[PATH_MAX];
	enum kw_err err = agent_path(folder, AGENT_KEYS_FILE, path);

	if (err == KW_OK)
		err = keys_save(path, &enrol->keys, request->passphrase);
	if (err == KW_OK)
		err = save_chain(folder, reply);
	if (err == KW_OK)
		err = agent_path(folder, AGENT_ROOT_FILE, path);
	if (err == KW_OK)
		err = kw_pki_certs_save(path, &enrol->root, 1);
	return err != KW_OK ? err : save_config(enrol, request, folder);
}

static void remove_new(const char *folder)
{
	static const char *const files[] = {
		AGENT_KEYS_FILE, AGENT_CHAIN_FILE, AGENT_ROOT_FILE, AGENT_CONFIG_FILE};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (agent_path(folder, files[i], path) == KW_OK)
			(void)unlink(path);
	}
	(void)rmdir(folder);
}

/* The state directory may be there, but empty. */
static enum kw_err check_folder(const char *folder)
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

static enum kw_err write_state(struct enrol *enrol, const struct enrol_request *request, const struct kw_enrol_reply *reply)
{
	char folder[PATH_MAX];
	int size = snprintf(folder, sizeof(folder), "%s.new", request->folder);

	if (size < 0 || (size_t)size >= sizeof(folder))
		return KW_ETOOBIG;
	remove_new(folder); /* of an enrolment that was cut short; its code is spent */
	if (mkdir(folder, 0700) != 0)
		return errno == ENOENT ? KW_ENOTFOUND : KW_EIO;
	enum kw_err err = save(enrol, request, reply, folder);
	if (err == KW_OK && rename(folder, request->folder) != 0)
		err = KW_EIO;
	if (err != KW_OK)
		remove_new(folder);
	return err;
}

static enum kw_err fill_result(const struct enrol *enrol, const struct enrol_request *request,
	const struct kw_enrol_reply *reply, struct enrol_result *out)
{
	struct kw_view key = KW_VIEW_OF(enrol->keys.identity.public_key);

	out->agency = reply->agency;
	out->hub = reply->hub;
	memcpy(out->address, enrol->code.address, sizeof(out->address));
	enum kw_err err = agent_path(request->folder, AGENT_CONFIG_FILE, out->config);
	return err != KW_OK ? err : kw_sha256(&key, 1, &out->identity_fingerprint);
}

enum kw_err agent_enrol(const struct enrol_request *request, struct enrol_result *out)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));
	struct kw_enrol_reply reply;
	enum kw_err err;

	if (enrol == NULL)
		return KW_ENOMEM;
	kw_buf_init(&enrol->request, KW_FRAME_SIZE_MAX_PREAUTH);
	kw_buf_init(&enrol->reply, KW_FRAME_SIZE_MAX);
	/* What would fail after the code is spent is looked at before. */
	err = check_folder(request->folder);
	if (err == KW_OK && request->passphrase.size < KEYS_PASSPHRASE_SIZE_MIN)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = prepare(enrol, request->code);
	if (err == KW_OK)
		err = ask(enrol);
	if (err == KW_OK)
		err = kw_enrol_reply_parse(kw_buf_view(&enrol->reply), &reply);
	if (err == KW_OK)
		err = check_leaf(enrol, &reply);
	if (err == KW_OK)
		err = write_state(enrol, request, &reply);
	if (err == KW_OK)
		err = fill_result(enrol, request, &reply, out);
	else
		out->refused_by_hub = enrol->refused;
	kw_buf_fini(&enrol->request);
	kw_buf_fini(&enrol->reply);
	kw_tls_context_free(enrol->tls);
	EVP_PKEY_free(enrol->tls_key);
	X509_free(enrol->root);
	keys_fini(&enrol->keys);
	kw_wipe(enrol, sizeof(*enrol));
	free(enrol);
	return err;
}
