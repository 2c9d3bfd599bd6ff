#include "agent/shell/agent_roles_self.h"
#include "agent/shell/role_files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/link/file.h"
#include "proto/link/log.h"
#include "proto/wire/role_delta.h"

#define ROOT_FILE "root.bin"
#define TIMESTAMP_FILE "timestamp.bin"
#define SNAPSHOT_FILE "snapshot.bin"
#define DIRECTORY_FILE "directory.bin"
#define REMIND_MS (INT64_C(24) * 3600000) /* a warning is said again */

struct agent_roles {
	char folder[PATH_MAX - 64];
	struct agent_roles_self self;
	struct kw_role_client client;
	struct kw_role_client before; /* what stands when a file cannot be written */
	struct kw_role_inbox inbox;
	struct kw_directory *directory;
	enum kw_role_rule refused;
	bool own_key_alarm;
	bool whole_asked; /* in this session */
	int64_t warned_unix_ms;
};

static const char *path_of(const struct agent_roles *roles, const char *file, char *path)
{
	(void)snprintf(path, PATH_MAX, "%s/%s", roles->folder, file); /* fits: the folder's size was checked */
	return path;
}

/* Empty when there is none. */
static enum kw_err read_file(const struct agent_roles *roles, const char *file, struct kw_buf *out)
{
	char path[PATH_MAX];
	kw_buf_init(out, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_file_read(path_of(roles, file, path), KW_FILE_PUBLIC, out);
	return err == KW_ENOTFOUND ? KW_OK : err;
}

static enum kw_err write_file(const struct agent_roles *roles, const char *file, struct kw_view bytes)
{
	char path[PATH_MAX];
	return kw_file_write_atomic(path_of(roles, file, path), bytes, 0644);
}

/* A root with other keys of the hub has come, and the stop was before theirs: those have no say any more. */
static enum kw_err restore(struct agent_roles *roles, const struct kw_role_kept *kept)
{
	enum kw_role_rule rule;
	struct kw_role_kept root = {.root = kept->root};
	enum kw_err err = kw_role_client_restore(&roles->client, kept, &rule);
	if (err != KW_EAUTH || rule != KW_ROLE_RULE_THRESHOLD)
		return err;
	kw_role_client_init(&roles->client, &roles->self.hub, &roles->self.tls_root_digest);
	return kw_role_client_restore(&roles->client, &root, &rule);
}

static enum kw_err load_client(struct agent_roles *roles, const char **file)
{
	struct kw_buf root;
	struct kw_buf timestamp;
	struct kw_buf snapshot;
	kw_buf_init(&timestamp, 0);
	kw_buf_init(&snapshot, 0);
	*file = ROOT_FILE;
	enum kw_err err = read_file(roles, ROOT_FILE, &root);
	if (err == KW_OK) {
		*file = TIMESTAMP_FILE;
		err = read_file(roles, TIMESTAMP_FILE, &timestamp);
	}
	if (err == KW_OK) {
		*file = SNAPSHOT_FILE;
		err = read_file(roles, SNAPSHOT_FILE, &snapshot);
	}
	struct kw_role_kept kept = {
		.root = kw_buf_view(&root), .timestamp = kw_buf_view(&timestamp), .snapshot = kw_buf_view(&snapshot)};
	if (err == KW_OK) {
		*file = ROOT_FILE ", " TIMESTAMP_FILE " or " SNAPSHOT_FILE;
		err = restore(roles, &kept);
	}
	kw_buf_fini(&root);
	kw_buf_fini(&timestamp);
	kw_buf_fini(&snapshot);
	return err;
}

/* Only one that the root's present keys have signed: one of an older version, or of keys that were replaced since, is asked for
 * anew. */
static enum kw_err load_directory(struct agent_roles *roles)
{
	struct kw_role_signed role;
	struct kw_buf bytes;
	uint32_t good;
	const struct kw_hub_role *keys = kw_root_hub(&roles->client.root, &roles->self.hub);
	enum kw_err err = read_file(roles, DIRECTORY_FILE, &bytes);
	if (err == KW_OK && bytes.size > 0 && keys != NULL && kw_role_parse(kw_buf_view(&bytes), &role) == KW_OK &&
		kw_role_check(&role, KW_ROLE_REGISTRAR, &keys->registrar, &good) == KW_OK &&
		kw_directory_read(role.payload, &roles->directory) == KW_OK &&
		!kw_name_equal(&roles->directory->hub, &roles->self.hub)) {
		kw_directory_free(roles->directory);
		roles->directory = NULL;
	}
	if (err == KW_OK && bytes.size > 0 && roles->directory == NULL)
		kw_log(KW_LOG_WARN, "directory_set_aside", KW_LOG_STR("text",
			"the stored directory is of an older version, or its keys were replaced: the hub gives a new one"));
	kw_buf_fini(&bytes);
	return err;
}

enum kw_err agent_roles_open(const char *folder, const struct agent_roles_self *self, struct agent_roles **out,
	const char **file)
{
	struct agent_roles *roles = calloc(1, sizeof(*roles));
	*file = "";
	if (roles == NULL)
		return KW_ENOMEM;
	kw_role_inbox_init(&roles->inbox);
	roles->self = *self;
	kw_role_client_init(&roles->client, &self->hub, &self->tls_root_digest);
	int size = snprintf(roles->folder, sizeof(roles->folder), "%s", folder);
	enum kw_err err = size < 0 || (size_t)size >= sizeof(roles->folder) ? KW_ETOOBIG : load_client(roles, file);
	if (err == KW_OK) {
		*file = DIRECTORY_FILE;
		err = load_directory(roles);
	}
	if (err != KW_OK) {
		agent_roles_close(roles);
		return err;
	}
	*out = roles;
	return KW_OK;
}

void agent_roles_close(struct agent_roles *roles)
{
	if (roles == NULL)
		return;
	kw_role_inbox_fini(&roles->inbox);
	kw_directory_free(roles->directory);
	free(roles);
}

void agent_roles_self_set(struct agent_roles *roles, const struct agent_roles_self *self)
{
	roles->self = *self;
}

void agent_roles_have(const struct agent_roles *roles, struct kw_roles_have *out)
{
	*out = (struct kw_roles_have){.root = roles->client.root.version,
		.timestamp = roles->client.timestamp.version,
		.snapshot = roles->client.snapshot.version,
		.directory = roles->directory == NULL ? 0 : roles->directory->version};
}

const struct kw_directory *agent_roles_directory(const struct agent_roles *roles)
{
	return roles->directory;
}

void agent_roles_reset(struct agent_roles *roles)
{
	kw_role_inbox_fini(&roles->inbox);
	kw_role_inbox_init(&roles->inbox);
	roles->whole_asked = false;
}

/* What comes after a refusal does not fit, because that is missing: the first says why. */
static bool is_consequence(enum kw_role_rule rule)
{
	return rule == KW_ROLE_RULE_MIXED || rule == KW_ROLE_RULE_ORDER;
}

static void refused(struct agent_roles *roles, const char *role, enum kw_err err, enum kw_role_rule rule)
{
	kw_log(KW_LOG_WARN, "role_refused", KW_LOG_STR("role", role), KW_LOG_STR("rule", kw_role_rule_name(rule)), KW_LOG_ERR(err),
		KW_LOG_STR("text", kw_role_rule_text(rule)));
	if (roles->refused == KW_ROLE_RULE_NONE || is_consequence(roles->refused) || !is_consequence(rule))
		roles->refused = rule;
}

/* Accepted and durable, or as before. */
static enum kw_err keep(struct agent_roles *roles, const char *file, struct kw_view bytes)
{
	enum kw_err err = write_file(roles, file, bytes);
	if (err != KW_OK)
		roles->client = roles->before;
	return err;
}

static enum kw_err take_root(struct agent_roles *roles, struct kw_view bytes)
{
	enum kw_role_rule rule;
	char path[PATH_MAX];
	enum kw_err err = kw_role_client_root(&roles->client, bytes, &rule);
	if (err != KW_OK && rule != KW_ROLE_RULE_NONE) {
		refused(roles, kw_role_name(KW_ROLE_ROOT), err, rule);
		return KW_OK;
	}
	if (err == KW_OK) { /* each version stays: evidence leads from the fingerprint over all of them */
		err = role_files_keep_root(roles->folder, roles->client.root.version, bytes);
		if (err != KW_OK)
			roles->client = roles->before;
	}
	if (err == KW_OK)
		err = keep(roles, ROOT_FILE, bytes);
	if (err != KW_OK)
		return err;
	/* What keys that are not in charge any more have signed. */
	if (roles->client.timestamp.version == 0 && roles->before.timestamp.version != 0) {
		(void)unlink(path_of(roles, TIMESTAMP_FILE, path)); /* else found out at the next start */
		(void)unlink(path_of(roles, SNAPSHOT_FILE, path));
	}
	kw_log(KW_LOG_INFO, "root", KW_LOG_INT("version", roles->client.root.version));
	return KW_OK;
}

static enum kw_err take_online(struct agent_roles *roles, enum kw_role role, struct kw_view bytes, int64_t now_unix_ms)
{
	enum kw_role_rule rule;
	bool timestamp = role == KW_ROLE_TIMESTAMP;
	enum kw_err err = timestamp ? kw_role_client_timestamp(&roles->client, bytes, now_unix_ms, &rule)
				    : kw_role_client_snapshot(&roles->client, bytes, now_unix_ms, &rule);
	if (err != KW_OK && rule != KW_ROLE_RULE_NONE) {
		refused(roles, kw_role_name(role), err, rule);
		return KW_OK;
	}
	if (err == KW_OK)
		err = keep(roles, timestamp ? TIMESTAMP_FILE : SNAPSHOT_FILE, bytes);
	if (err == KW_OK && timestamp)
		roles->refused = KW_ROLE_RULE_NONE;
	return err;
}

static bool is_ours(const struct agent_roles *roles, const struct kw_directory *directory)
{
	const struct kw_directory_entry *own = kw_directory_find(directory, &roles->self.agency);
	if (own == NULL)
		return true; /* not another key */
	return agent_roles_is_self(&roles->self, own);
}

static enum kw_err use_directory(struct agent_roles *roles, struct kw_directory *directory, struct kw_view bytes,
	enum agent_roles_news *news)
{
	if (!is_ours(roles, directory)) {
		roles->own_key_alarm = true;
		kw_log(KW_LOG_ERROR, "own_key_alarm", KW_LOG_INT("version", directory->version), KW_LOG_STR("text",
			"the hub's directory has another key under this agency's own name: somebody may read what others send to us. It is not "
			"taken; call the hub's operator by telephone, and tell the agencies that you work with"));
		kw_directory_free(directory);
		return KW_OK;
	}
	/* Stored before it is used: a restart must not fall back behind a revocation. */
	enum kw_err err = write_file(roles, DIRECTORY_FILE, bytes);
	if (err != KW_OK) {
		kw_directory_free(directory);
		return err;
	}
	agent_roles_tell_changes(&roles->self, roles->directory, directory);
	kw_directory_free(roles->directory);
	roles->directory = directory;
	roles->own_key_alarm = false;
	roles->whole_asked = false;
	*news = AGENT_ROLES_NEW;
	kw_log(KW_LOG_INFO, "directory", KW_LOG_INT("version", directory->version), KW_LOG_INT("agencies", directory->count));
	return KW_OK;
}

static enum kw_err take_directory(struct agent_roles *roles, struct kw_view bytes, enum agent_roles_news *news)
{
	enum kw_role_rule rule;
	struct kw_directory *directory = NULL;
	enum kw_err err = kw_role_client_directory(&roles->client, &roles->self.hub, bytes, &directory, &rule);
	if (err == KW_OK)
		return use_directory(roles, directory, bytes, news);
	if (rule == KW_ROLE_RULE_NONE)
		return err;
	refused(roles, kw_role_name(KW_ROLE_REGISTRAR), err, rule);
	return KW_OK;
}

/* What does not become the directory that was signed is asked for whole, once in a session. */
static enum kw_err take_delta(struct agent_roles *roles, struct kw_view bytes, enum agent_roles_news *news)
{
	static const struct kw_directory nothing = {.count = 0};
	enum kw_role_rule rule;
	struct kw_directory *directory = NULL;
	struct kw_buf whole;
	kw_buf_init(&whole, KW_ROLE_SIZE_MAX);
	enum kw_err err = kw_role_delta_apply(bytes, roles->directory != NULL ? roles->directory : &nothing, &whole);
	if (err == KW_OK)
		err = kw_role_client_directory(&roles->client, &roles->self.hub, kw_buf_view(&whole), &directory, &rule);
	if (err == KW_OK) {
		err = use_directory(roles, directory, kw_buf_view(&whole), news);
	} else if (kw_err_class(err) != KW_CLASS_FATAL) {
		kw_log(KW_LOG_WARN, "delta_refused", KW_LOG_ERR(err), KW_LOG_STR("text",
			"what changed in the directory does not make the one that was signed: the whole is asked for"));
		*news = roles->whole_asked ? AGENT_ROLES_SAME : AGENT_ROLES_WANT;
		roles->whole_asked = true;
		err = KW_OK;
	}
	kw_buf_fini(&whole);
	return err;
}

enum kw_err agent_roles_take(struct agent_roles *roles, const struct kw_role_part *part, int64_t now_unix_ms,
	enum agent_roles_news *news)
{
	bool whole;
	*news = AGENT_ROLES_SAME;
	enum kw_err err = kw_role_inbox_take(&roles->inbox, part, &whole);
	if (err != KW_OK || !whole)
		return err;
	struct kw_view bytes = kw_buf_view(&roles->inbox.bytes);
	roles->before = roles->client;
	switch (part->kind) {
	case KW_ROLE_KIND_ROOT:
		err = take_root(roles, bytes);
		break;
	case KW_ROLE_KIND_TIMESTAMP:
		err = take_online(roles, KW_ROLE_TIMESTAMP, bytes, now_unix_ms);
		break;
	case KW_ROLE_KIND_SNAPSHOT:
		err = take_online(roles, KW_ROLE_SNAPSHOT, bytes, now_unix_ms);
		break;
	case KW_ROLE_KIND_DIRECTORY:
		err = take_directory(roles, bytes, news);
		break;
	case KW_ROLE_KIND_DELTA:
		err = take_delta(roles, bytes, news);
		break;
	}
	kw_role_inbox_fini(&roles->inbox);
	kw_role_inbox_init(&roles->inbox);
	return err;
}

void agent_roles_state(const struct agent_roles *roles, int64_t now_unix_ms, struct agent_roles_state *out)
{
	*out = (struct agent_roles_state){.age = kw_role_client_age(&roles->client, now_unix_ms),
		.refused = roles->refused,
		.own_key_alarm = roles->own_key_alarm,
		.root_version = roles->client.root.version,
		.signed_unix_ms = roles->client.timestamp.signed_unix_ms};
}

void agent_roles_tick(struct agent_roles *roles, int64_t now_unix_ms, bool online)
{
	static const char *const texts[] = {[KW_ROLE_STALE] = "no new directory for 7 days: ask the hub's operator why",
		[KW_ROLE_OLD] = "no new directory for 30 days: nothing is sent to agencies that we never wrote to; ask the hub's operator why"};
	enum kw_role_age age = kw_role_client_age(&roles->client, now_unix_ms);
	bool frozen = roles->client.timestamp.version != 0 && roles->client.timestamp.expires_unix_ms <= now_unix_ms && online;
	if (roles->client.timestamp.version == 0 || now_unix_ms - roles->warned_unix_ms < REMIND_MS || (!frozen && age == KW_ROLE_FRESH))
		return;
	roles->warned_unix_ms = now_unix_ms;
	if (age != KW_ROLE_FRESH)
		kw_log(KW_LOG_WARN, age == KW_ROLE_OLD ? "directory_old" : "directory_stale", KW_LOG_STR("text", texts[age]));
	if (frozen)
		refused(roles, kw_role_name(KW_ROLE_TIMESTAMP), KW_EEXPIRED, KW_ROLE_RULE_FROZEN);
}
