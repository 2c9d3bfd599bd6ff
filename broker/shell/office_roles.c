#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/shell/office_inner.h"
#include "proto/link/log.h"
#include "proto/wire/spki.h"

/* The signed roles of this hub: a new timestamp each hour, what commands in the folder have signed, what enrolment adds. */

#define LOCK_WAIT_MS 200u
#define AGAIN_MS 60000          /* after a signing that failed */
#define ROOT_WARN_MS (90 * KW_ROLES_DAY_MS)

int64_t office_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct kw_directory *office_directory(const struct office *office)
{
	return office->roles->directory;
}

const struct kw_roles *office_roles(const struct office *office)
{
	return office->roles;
}

static enum kw_err load(struct office *office, const char **file)
{
	struct kw_digest digest;
	struct kw_roles *roles = NULL;
	*file = "root.pem";
	enum kw_err err = kw_spki_digest(office->root, &digest);
	if (err == KW_OK)
		err = kw_roles_load(office->config->folder, &office->config->hub, &digest, &roles, file);
	if (err != KW_OK)
		return err;
	if (office->roles == NULL) {
		office->roles = roles;
		return KW_OK;
	}
	/* In place: others hold the pointer. */
	struct kw_roles old = *office->roles;
	*office->roles = *roles;
	*roles = old;
	kw_roles_free(roles);
	return KW_OK;
}

/* With the lock: what is in memory is what is on disk. */
static enum kw_err begin(struct office *office, int *lock)
{
	const char *file;
	enum kw_err err = kw_roles_lock(office->config->folder, LOCK_WAIT_MS, lock);
	if (err != KW_OK || !kw_roles_is_old(office->roles))
		return err;
	err = load(office, &file);
	if (err != KW_OK)
		kw_roles_unlock(*lock);
	return err;
}

static enum kw_err publish(struct office *office, const struct kw_directory *directory)
{
	enum kw_err err = kw_roles_publish(office->roles, directory, office_now_ms());
	const char *file;
	/* Parts of it may be on disk. */
	if (err != KW_OK && err != KW_EAUTH && load(office, &file) != KW_OK)
		kw_log(KW_LOG_ERROR, "roles_unreadable", KW_LOG_STR("field", file), KW_LOG_ERR(err));
	return err;
}

static void warn_of_root(struct office *office)
{
	int64_t left = office->roles->client->root.expires_unix_ms - office_now_ms();
	if (office->root_warned || left > ROOT_WARN_MS)
		return;
	office->root_warned = true;
	kw_log(KW_LOG_WARN, "root_expires", KW_LOG_INT("days", left < 0 ? 0 : left / KW_ROLES_DAY_MS), KW_LOG_STR("text",
		"agents take no new directory once the root has expired: bring the root keys and run kinward hub rotate root"));
}

enum kw_err office_roles_open(struct office *office)
{
	const char *file;
	int lock;
	enum kw_err err = load(office, &file);
	if (err == KW_ENOTFOUND)
		return office_blame(office->config, file, err, "this file is missing. A folder of an older version is brought up to date by "
			"kinward hub upgrade, with the root key in it; else put the file back from a backup");
	if (err != KW_OK)
		return office_blame(office->config, file, err, NULL);
	err = begin(office, &lock);
	if (err != KW_OK)
		return office_blame(office->config, "roles.lock", err, err == KW_EBUSY
			? "a kinward hub command is signing just now: start again when it has ended" : NULL);
	err = publish(office, NULL);
	kw_roles_unlock(lock);
	if (err == KW_OK)
		warn_of_root(office);
	return office_blame(office->config, "registrar.key, snapshot.key or timestamp.key", err, err != KW_EAUTH ? NULL
		: "is missing, or not one that the root has in charge: put it back from a backup, or make a new one with kinward hub rotate");
}

void office_heard(struct office *office, const struct kw_name *agency, const struct kw_roles_have *have)
{
	const struct kw_role_client *now = office->roles->client;
	int64_t at = office_now_ms();
	bool behind = have->root > now->root.version || have->timestamp > now->timestamp.version ||
		have->snapshot > now->snapshot.version || have->directory > office->roles->directory->version;
	if (!behind || at - office->behind_unix_ms < KW_ROLES_HOUR_MS)
		return;
	office->behind_unix_ms = at;
	kw_log(KW_LOG_ERROR, "hub_behind", KW_LOG_STR("agency", agency->text), KW_LOG_INT("directory_theirs", (int64_t)have->directory),
		KW_LOG_INT("directory_ours", (int64_t)office->roles->directory->version), KW_LOG_STR("text", "this agency has seen later "
		"signed roles than this folder has: it was put back from an older copy, or somebody else has its keys. Agents keep theirs and "
		"refuse these. Put the newer files back; or bring the root keys, run kinward hub rotate snapshot and kinward hub rotate "
		"timestamp, and look with kinward hub list whom the old copy lacks or lets in again"));
}

bool office_tick(struct office *office)
{
	const char *file;
	int lock;
	int64_t now = office_now_ms();
	bool old = kw_roles_is_old(office->roles);
	bool due = now - office->roles->client->timestamp.signed_unix_ms >= KW_ROLES_HOUR_MS && now - office->tried_unix_ms >= AGAIN_MS;
	if (!old && !due)
		return false;
	enum kw_err err = kw_roles_lock(office->config->folder, 0, &lock);
	if (err == KW_EBUSY)
		return false; /* the next tick */
	uint64_t version = office->roles->client->timestamp.version;
	if (err == KW_OK) {
		/* A command may have signed since. */
		if (kw_roles_is_old(office->roles))
			err = load(office, &file);
		if (err == KW_OK && (!office->roles->fits || due))
			err = publish(office, NULL);
		kw_roles_unlock(lock);
	}
	if (err != KW_OK) {
		if (now - office->tried_unix_ms >= AGAIN_MS)
			kw_log(KW_LOG_ERROR, "signing_failed", KW_LOG_ERR(err), KW_LOG_STR("text", "the directory cannot be signed anew; agents "
				"warn after 7 days and write to nobody new after 30: look at the keys and files in the hub's folder"));
		office->tried_unix_ms = now;
		return false;
	}
	warn_of_root(office);
	return office->roles->client->timestamp.version != version || old;
}

enum kw_err office_roles_extend(struct office *office, const struct kw_directory_entry *entry)
{
	int lock;
	enum kw_err err = begin(office, &lock);
	if (err != KW_OK)
		return err;
	const struct kw_directory *old = office->roles->directory;
	struct kw_directory next = *old;
	next.entries = NULL;
	if (kw_directory_find(old, &entry->agency) != NULL)
		err = KW_EEXIST;
	else if (old->count >= KW_DIRECTORY_AGENCIES_MAX)
		err = KW_EFULL;
	else if ((next.entries = calloc(old->count + 1, sizeof(*next.entries))) == NULL)
		err = KW_ENOMEM;
	if (err == KW_OK) {
		if (old->count > 0)
			memcpy(next.entries, old->entries, old->count * sizeof(*next.entries));
		next.entries[next.count++] = *entry;
		err = publish(office, &next);
	}
	free(next.entries);
	kw_roles_unlock(lock);
	return err;
}

enum kw_err office_roles_change(struct office *office, const struct kw_directory_entry *entry)
{
	int lock;
	enum kw_err err = begin(office, &lock);
	if (err != KW_OK)
		return err;
	const struct kw_directory *old = office->roles->directory;
	const struct kw_directory_entry *at = kw_directory_find(old, &entry->agency);
	struct kw_directory next = *old;
	next.entries = calloc(old->count + 1, sizeof(*next.entries));
	if (next.entries == NULL)
		err = KW_ENOMEM;
	else if (at == NULL)
		err = KW_ENOAGENCY;
	else if (at->revoked)
		err = KW_EDENIED; /* by a command, just now */
	if (err == KW_OK) {
		memcpy(next.entries, old->entries, old->count * sizeof(*next.entries));
		next.entries[at - old->entries] = *entry;
		err = publish(office, &next);
	}
	free(next.entries);
	kw_roles_unlock(lock);
	return err;
}
