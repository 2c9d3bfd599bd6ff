#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "kinward/v1/frame.pb-c.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/audit.h"
#include "proto/wire/spki.h"

/* kinward audit verify, forget, witness: the operator's side, in the hub's folder. The broker may run meanwhile. */

#define PATH_SIZE 1280u
#define FORGET_WAIT_S 10

enum { DIR };
enum { WITNESS_DIR, WITNESS_PREVIOUS, WITNESS_OUT };

const struct cli_option CLI_AUDIT_DIR_OPTIONS[] = {
	[DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	{NULL, NULL, NULL},
};
const struct cli_option CLI_AUDIT_WITNESS_OPTIONS[] = {
	[WITNESS_DIR] = {"dir", "DIR", "our hub's folder, whose log key signs (default " CLI_HUB_FOLDER ")"},
	[WITNESS_PREVIOUS] = {"previous", "FILE", "the checkpoint of that hub that we witnessed last"},
	[WITNESS_OUT] = {"out", "FILE", "write the statement here; required"},
	{NULL, NULL, NULL},
};

static int take_path(struct cli_call *call, const char *dir, const char *name, char *out)
{
	const char *folder = dir != NULL ? dir : CLI_HUB_FOLDER;
	int length = snprintf(out, PATH_SIZE, "%s/%s", folder, name);
	return length > 0 && (size_t)length < PATH_SIZE ? CLI_OK : cli_fail_usage(call, "--dir is too long");
}

/* The broker's program knows its store; it lies beside this one, or in the path. */
int cli_run_audit_verify(struct cli_call *call)
{
	char config[PATH_SIZE], program[PATH_SIZE];
	static char option[] = "--verify-log", name[] = "kinward-broker";
	char *argv[] = {name, option, config, NULL};
	int code = take_path(call, call->option[DIR], "broker.yaml", config);
	if (code != CLI_OK)
		return code;
	ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - sizeof("kinward-broker"));
	char *slash = size > 0 ? memrchr(program, '/', (size_t)size) : NULL;
	if (fflush(call->out) != 0)
		return CLI_RETRY;
	pid_t pid = fork();
	if (pid == 0) {
		if (slash != NULL) {
			memcpy(slash + 1, name, sizeof(name));
			(void)execv(program, argv);
		}
		(void)execvp(name, argv);
		_exit(127);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
		return cli_fail_err(call, KW_EIO, "kinward-broker cannot be started: install it beside this program");
	return WEXITSTATUS(status) == 0 ? CLI_OK : WEXITSTATUS(status) == 2 ? CLI_USAGE : CLI_REFUSED;
}

int cli_run_audit_forget(struct cli_call *call)
{
	struct kw_digest digest;
	char folder[PATH_SIZE], name[16 + 2 * KW_DIGEST_SIZE], path[PATH_SIZE], hex[2 * KW_DIGEST_SIZE + 1];
	if (strlen(call->args[0]) != 2u * KW_DIGEST_SIZE || kw_unhex(digest.bytes, sizeof(digest.bytes), call->args[0]) != KW_OK)
		return cli_fail_usage(call, "DIGEST is the digest of an envelope, 64 hex digits, as kinward audit prove shows it");
	kw_hex(hex, KW_VIEW_OF(digest.bytes)); /* one spelling */
	(void)snprintf(name, sizeof(name), "forget/%s", hex); /* fits */
	int code = take_path(call, call->option[DIR], "forget", folder);
	if (code == CLI_OK)
		code = take_path(call, call->option[DIR], name, path);
	if (code != CLI_OK)
		return code;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return cli_fail_err(call, errno == ENOENT ? KW_ENOTFOUND : KW_EIO, "the hub's folder cannot be written: name the right one, and run this as its user");
	enum kw_err err = kw_file_write_atomic(path, kw_view_str("forget\n"), 0600);
	if (err != KW_OK)
		return cli_fail_err(call, err, NULL);
	for (int i = 0; i < 10 * FORGET_WAIT_S; i++) {
		if (access(path, F_OK) != 0) {
			(void)fputs("Forgotten: no leaf of the log can be tied to this envelope any more.\n", call->out);
			return CLI_OK;
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	(void)fputs("Asked for: it is forgotten when the broker runs.\n", call->out);
	return CLI_OK;
}

/* A LogCheckpoint of a file; views into it. */
static int read_checkpoint(struct cli_call *call, const char *path, struct kw_buf *bytes, Kinward__V1__LogCheckpoint **out)
{
	int code = cli_read_file(call, path, bytes);
	if (code != CLI_OK)
		return code;
	*out = kinward__v1__log_checkpoint__unpack(NULL, bytes->size, bytes->data);
	if (*out == NULL || (*out)->checkpoint.len == 0 || (*out)->log_key.len != KW_KEY_SIZE)
		return cli_fail_err(call, KW_EFORMAT, "a file is none of kinward audit checkpoint --out or compare --out");
	return CLI_OK;
}

static struct kw_view view_of(const ProtobufCBinaryData *data)
{
	return KW_VIEW(data->data, data->len);
}

/* That the log only grew from `old`, or its first checkpoint. */
static int check(struct cli_call *call, const Kinward__V1__LogCheckpoint *old, const Kinward__V1__LogCheckpoint *next,
	struct kw_checkpoint *out)
{
	struct kw_role_signed role;
	struct kw_audit_client client = {.last.size = 0};
	struct kw_role_keys keys = {.threshold = 1};
	enum kw_audit_rule rule = KW_AUDIT_RULE_FORM;
	const Kinward__V1__LogCheckpoint *first = old != NULL ? old : next;
	enum kw_err err = kw_role_keys_put(&keys, first->log_key.data);
	if (err == KW_OK)
		err = kw_role_parse(view_of(&first->checkpoint), &role);
	if (err == KW_OK)
		err = kw_checkpoint_read(role.payload, &client.last);
	client.last.size = 0; /* the hub's name is what was needed */
	if (err == KW_OK)
		err = kw_audit_client_take(&client, &keys, view_of(&first->checkpoint), KW_VIEW(NULL, 0), &rule);
	if (err == KW_OK && old != NULL)
		err = kw_audit_client_take(&client, &keys, view_of(&next->checkpoint), view_of(&next->consistency), &rule);
	*out = client.last;
	return err == KW_OK ? CLI_OK : cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .exit = CLI_REFUSED,
		.field = kw_audit_rule_name(rule), .text = kw_audit_rule_text(rule)});
}

static enum kw_err load_witness(const char *dir, struct kw_name *hub, struct kw_ed25519 *key, struct cli_call *call)
{
	char path[PATH_SIZE];
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	X509 *issuer = NULL;
	EVP_PKEY *pkey = NULL;
	struct kw_spki_name name;
	enum kw_err err = take_path(call, dir, "issuer.pem", path) == CLI_OK ? kw_pki_cert_load(path, &issuer) : KW_ETOOBIG;
	if (err == KW_OK)
		err = kw_spki_name_of(issuer, &name);
	if (err == KW_OK && take_path(call, dir, "log.key", path) == CLI_OK)
		err = kw_pki_key_load(path, &pkey);
	if (err == KW_OK && EVP_PKEY_get_raw_private_key(pkey, seed, &size) != 1)
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_ed25519_from_seed(seed, key);
	kw_wipe(seed, sizeof(seed));
	EVP_PKEY_free(pkey);
	X509_free(issuer);
	if (err == KW_OK)
		*hub = name.hub;
	return err;
}

static int sign(struct cli_call *call, const Kinward__V1__LogCheckpoint *next, const struct kw_checkpoint *checked)
{
	struct kw_role_signed role, statement = {.count = 0};
	struct kw_ed25519 key;
	struct kw_witness witness = {.at_unix_ms = cli_now_ms()};
	char hex[2 * KW_KEY_SIZE + 1];
	struct kw_buf payload, bytes;
	kw_buf_init(&payload, KW_AUDIT_SIGNED_SIZE_MAX);
	kw_buf_init(&bytes, KW_AUDIT_SIGNED_SIZE_MAX);
	enum kw_err err = load_witness(call->option[WITNESS_DIR], &witness.witness, &key, call);
	if (err == KW_OK)
		err = kw_role_parse(view_of(&next->checkpoint), &role);
	witness.checkpoint = role.payload;
	if (err == KW_OK)
		err = kw_witness_add(&payload, &witness);
	statement.payload = kw_buf_view(&payload);
	if (err == KW_OK)
		err = kw_role_sign(&statement, KW_ROLE_WITNESS, &key);
	if (err == KW_OK)
		err = kw_role_add(&bytes, &statement);
	if (err == KW_OK)
		err = kw_file_write_atomic(call->option[WITNESS_OUT], kw_buf_view(&bytes), 0644);
	kw_hex(hex, KW_VIEW_OF(key.public_key));
	kw_wipe(&key, sizeof(key));
	kw_buf_fini(&payload);
	kw_buf_fini(&bytes);
	if (err != KW_OK)
		return cli_fail_err(call, err, NULL);
	(void)fprintf(call->out, "%s says of the log of %s: %llu messages, and it only grew\n  witness key %s\n", witness.witness.text,
		checked->hub.text, (unsigned long long)checked->size, hex);
	return CLI_OK;
}

int cli_run_audit_witness(struct cli_call *call)
{
	struct kw_buf new_bytes, old_bytes;
	Kinward__V1__LogCheckpoint *next = NULL, *old = NULL;
	struct kw_checkpoint checked;
	if (call->option[WITNESS_OUT] == NULL)
		return cli_fail_usage(call, "--out says where the statement goes");
	kw_buf_init(&new_bytes, CLI_FILE_SIZE_MAX);
	kw_buf_init(&old_bytes, CLI_FILE_SIZE_MAX);
	int code = read_checkpoint(call, call->args[0], &new_bytes, &next);
	if (code == CLI_OK && call->option[WITNESS_PREVIOUS] != NULL)
		code = read_checkpoint(call, call->option[WITNESS_PREVIOUS], &old_bytes, &old);
	if (code == CLI_OK)
		code = check(call, old, next, &checked);
	if (code == CLI_OK)
		code = sign(call, next, &checked);
	if (next != NULL)
		kinward__v1__log_checkpoint__free_unpacked(next, NULL);
	if (old != NULL)
		kinward__v1__log_checkpoint__free_unpacked(old, NULL);
	kw_buf_fini(&new_bytes);
	kw_buf_fini(&old_bytes);
	return code;
}
