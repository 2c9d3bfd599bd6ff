#include "proto/wire/role_client.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/crypt.h"

const char *kw_role_rule_name(enum kw_role_rule rule)
{
	static const char *const names[KW_ROLE_RULE_COUNT] = {"none", "form", "fingerprint", "threshold", "rollback", "skipped",
		"forked", "frozen", "mixed", "prefix", "hub", "order"};
	return rule < KW_ROLE_RULE_COUNT ? names[rule] : "unknown";
}

const char *kw_role_rule_text(enum kw_role_rule rule)
{
	static const char *const texts[KW_ROLE_RULE_COUNT] = {
		[KW_ROLE_RULE_NONE] = "nothing is wrong with it",
		[KW_ROLE_RULE_FORM] = "does not parse: ask the hub's operator for its version of Kinward",
		[KW_ROLE_RULE_FINGERPRINT] = "the root is not the one of the enrolment code: somebody stands in between, or it is another "
									 "network; compare the fingerprint with the hub's operator by telephone",
		[KW_ROLE_RULE_THRESHOLD] = "not enough of the keys in charge have signed: do not trust this hub before its operator has "
								   "explained it",
		[KW_ROLE_RULE_ROLLBACK] = "older than what was accepted before: the hub was restored from a backup, or somebody replays; "
								  "the operator has to publish a newer one",
		[KW_ROLE_RULE_SKIPPED] = "a root in between is missing: the operator has to publish every version",
		[KW_ROLE_RULE_FORKED] = "two different ones of the same version were signed: tell the hub's operator at once, somebody has "
								"its keys",
		[KW_ROLE_RULE_FROZEN] = "has expired: the hub's signing has stopped, somebody holds newer ones back, or this machine's clock "
								"is wrong",
		[KW_ROLE_RULE_MIXED] = "is not the one that belongs to the others: it was put together from several, or damaged",
		[KW_ROLE_RULE_PREFIX] = "speaks for another hub than its own: do not trust this hub before its operator has explained it",
		[KW_ROLE_RULE_HUB] = "the root does not put this hub in charge of anything: ask who keeps the root keys",
		[KW_ROLE_RULE_ORDER] = "what has to come before it has not come: it is asked for again",
	};
	return rule < KW_ROLE_RULE_COUNT ? texts[rule] : "unknown";
}

static enum kw_err refuse(enum kw_role_rule *rule, enum kw_role_rule what, enum kw_err err)
{
	*rule = what;
	return err;
}

/* A failure of memory or libcrypto is nobody's fault. */
static enum kw_err refuse_form(enum kw_role_rule *rule, enum kw_err err)
{
	return kw_err_class(err) == KW_CLASS_FATAL ? err : refuse(rule, KW_ROLE_RULE_FORM, err);
}

void kw_role_client_init(struct kw_role_client *client, const struct kw_name *hub, const struct kw_digest *tls_root_digest)
{
	*client = (struct kw_role_client){.hub = *hub, .tls_root_digest = *tls_root_digest};
}

static enum kw_err check(const struct kw_role_signed *role, enum kw_role kind, const struct kw_role_keys *keys,
	enum kw_role_rule *rule)
{
	uint32_t good;
	enum kw_err err = kw_role_check(role, kind, keys, &good);
	return err == KW_EAUTH ? refuse(rule, KW_ROLE_RULE_THRESHOLD, err) : err;
}

/* The digest of an Ed25519 key as a certificate's SubjectPublicKeyInfo (RFC 8410). */
static enum kw_err spki_digest(const uint8_t *key, struct kw_digest *out)
{
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	struct kw_view parts[] = {KW_VIEW_OF(head), KW_VIEW(key, KW_KEY_SIZE)};
	return kw_sha256(parts, 2, out);
}

/* The first root hangs on the fingerprint of the enrolment code: its key is among the root's, and has signed. */
static enum kw_err check_first(const struct kw_role_client *client, const struct kw_role_signed *role,
	const struct kw_root *root, enum kw_role_rule *rule)
{
	struct kw_role_keys anchor = {.count = 1, .threshold = 1};
	uint32_t good;
	if (memcmp(&root->tls_root_digest, &client->tls_root_digest, sizeof(root->tls_root_digest)) != 0)
		return refuse(rule, KW_ROLE_RULE_FINGERPRINT, KW_EAUTH);
	for (uint8_t i = 0; i < root->root.count; i++) {
		struct kw_digest digest;
		enum kw_err err = spki_digest(root->root.keys[i], &digest);
		if (err != KW_OK)
			return err;
		if (memcmp(&digest, &client->tls_root_digest, sizeof(digest)) != 0)
			continue;
		memcpy(anchor.keys[0], root->root.keys[i], KW_KEY_SIZE);
		err = kw_role_check(role, KW_ROLE_ROOT, &anchor, &good);
		return err == KW_EAUTH ? refuse(rule, KW_ROLE_RULE_FINGERPRINT, err) : err;
	}
	return refuse(rule, KW_ROLE_RULE_FINGERPRINT, KW_EAUTH);
}

static bool same_keys(const struct kw_role_keys *a, const struct kw_role_keys *b)
{
	return a->count == b->count && a->threshold == b->threshold && memcmp(a->keys, b->keys, (size_t)a->count * KW_KEY_SIZE) == 0;
}

static void forget_what_old_keys_signed(struct kw_role_client *client, const struct kw_root *next)
{
	const struct kw_hub_role *before = kw_root_hub(&client->root, &client->hub);
	const struct kw_hub_role *after = kw_root_hub(next, &client->hub);
	if (before != NULL && after != NULL && same_keys(&before->timestamp, &after->timestamp) &&
		same_keys(&before->snapshot, &after->snapshot))
		return;
	client->timestamp = (struct kw_timestamp){.version = 0};
	client->timestamp_digest = (struct kw_digest){{0}};
	client->snapshot = (struct kw_snapshot){.version = 0};
}

/* chained: it has to be the one after ours. Else it is ours, from disk. */
static enum kw_err take_root(struct kw_role_client *client, struct kw_view bytes, bool chained, enum kw_role_rule *rule)
{
	struct kw_role_signed role;
	struct kw_root *next = calloc(1, sizeof(*next));
	if (next == NULL)
		return KW_ENOMEM;
	enum kw_err err = kw_role_parse(bytes, &role);
	if (err == KW_OK)
		err = kw_root_read(role.payload, next);
	if (err != KW_OK)
		err = refuse_form(rule, err);
	else if (chained && next->version < client->root.version)
		err = refuse(rule, KW_ROLE_RULE_ROLLBACK, KW_EVERSION);
	else if (chained && next->version > client->root.version + 1)
		err = refuse(rule, KW_ROLE_RULE_SKIPPED, KW_EVERSION);
	else if (chained && client->root.version == 0)
		err = check_first(client, &role, next, rule);
	else if (chained)
		err = check(&role, KW_ROLE_ROOT, &client->root.root, rule);
	if (err == KW_OK)
		err = check(&role, KW_ROLE_ROOT, &next->root, rule);
	if (err == KW_OK && chained && next->version == client->root.version) {
		if (memcmp(next, &client->root, sizeof(*next)) != 0)
			err = refuse(rule, KW_ROLE_RULE_FORKED, KW_EAUTH);
	} else if (err == KW_OK) {
		if (chained)
			forget_what_old_keys_signed(client, next);
		client->root = *next;
	}
	free(next);
	return err;
}

enum kw_err kw_role_client_root(struct kw_role_client *client, struct kw_view signed_role, enum kw_role_rule *rule)
{
	*rule = KW_ROLE_RULE_NONE;
	return take_root(client, signed_role, true, rule);
}

/* The keys of a hub, once there is a root that has them. */
static enum kw_err find_hub(const struct kw_role_client *client, const struct kw_name *hub, const struct kw_hub_role **out,
	enum kw_role_rule *rule)
{
	if (client->root.version == 0)
		return refuse(rule, KW_ROLE_RULE_ORDER, KW_ESTATE);
	*out = kw_root_hub(&client->root, hub);
	return *out == NULL ? refuse(rule, KW_ROLE_RULE_HUB, KW_EAUTH) : KW_OK;
}

static enum kw_err judge_timestamp(const struct kw_role_client *client, const struct kw_timestamp *next,
	const struct kw_digest *digest, enum kw_role_rule *rule)
{
	if (!kw_name_equal(&next->hub, &client->hub))
		return refuse(rule, KW_ROLE_RULE_PREFIX, KW_EAUTH);
	if (next->version < client->timestamp.version || next->snapshot_version < client->timestamp.snapshot_version)
		return refuse(rule, KW_ROLE_RULE_ROLLBACK, KW_EVERSION);
	if (next->version == client->timestamp.version && memcmp(digest, &client->timestamp_digest, sizeof(*digest)) != 0)
		return refuse(rule, KW_ROLE_RULE_FORKED, KW_EAUTH);
	/* One snapshot version, one snapshot. */
	if (next->snapshot_version == client->timestamp.snapshot_version &&
		memcmp(&next->snapshot_digest, &client->timestamp.snapshot_digest, sizeof(*digest)) != 0)
		return refuse(rule, KW_ROLE_RULE_FORKED, KW_EAUTH);
	return next->root_version > client->root.version ? refuse(rule, KW_ROLE_RULE_ORDER, KW_ESTATE) : KW_OK;
}

/* now_unix_ms 0: from disk, where age does not matter. */
static enum kw_err take_timestamp(struct kw_role_client *client, struct kw_view bytes, int64_t now_unix_ms,
	enum kw_role_rule *rule)
{
	struct kw_role_signed role;
	struct kw_timestamp next;
	struct kw_digest digest;
	const struct kw_hub_role *hub = NULL;
	enum kw_err err = find_hub(client, &client->hub, &hub, rule);
	if (err != KW_OK)
		return err;
	err = kw_role_parse(bytes, &role);
	if (err != KW_OK)
		return refuse_form(rule, err);
	err = check(&role, KW_ROLE_TIMESTAMP, &hub->timestamp, rule);
	if (err != KW_OK)
		return err;
	err = kw_timestamp_read(role.payload, &next);
	if (err != KW_OK)
		return refuse_form(rule, err);
	err = kw_role_digest(role.payload, &digest);
	if (err == KW_OK)
		err = judge_timestamp(client, &next, &digest, rule);
	/* An expired root vouches for no key, its timestamp's included. */
	if (err == KW_OK && now_unix_ms != 0 &&
		(next.expires_unix_ms <= now_unix_ms || client->root.expires_unix_ms <= now_unix_ms))
		err = refuse(rule, KW_ROLE_RULE_FROZEN, KW_EEXPIRED);
	if (err != KW_OK)
		return err;
	client->timestamp = next;
	client->timestamp_digest = digest;
	return KW_OK;
}

enum kw_err kw_role_client_timestamp(struct kw_role_client *client, struct kw_view signed_role, int64_t now_unix_ms,
	enum kw_role_rule *rule)
{
	*rule = KW_ROLE_RULE_NONE;
	return take_timestamp(client, signed_role, now_unix_ms == 0 ? 1 : now_unix_ms, rule);
}

static const struct kw_snapshot_entry *find_entry(const struct kw_snapshot *snapshot, const struct kw_name *hub)
{
	for (uint32_t i = 0; i < snapshot->count; i++)
		if (kw_name_equal(&snapshot->directories[i].hub, hub))
			return &snapshot->directories[i];
	return NULL;
}

static enum kw_err judge_snapshot(const struct kw_role_client *client, const struct kw_snapshot *next, enum kw_role_rule *rule)
{
	if (!kw_name_equal(&next->hub, &client->hub))
		return refuse(rule, KW_ROLE_RULE_PREFIX, KW_EAUTH);
	if (next->version != client->timestamp.snapshot_version)
		return refuse(rule, KW_ROLE_RULE_MIXED, KW_EAUTH);
	/* No directory goes back, and none goes away that the root still has a hub for. */
	for (uint32_t i = 0; i < client->snapshot.count; i++) {
		const struct kw_snapshot_entry *before = &client->snapshot.directories[i];
		const struct kw_snapshot_entry *after = find_entry(next, &before->hub);
		if (after == NULL && kw_root_hub(&client->root, &before->hub) == NULL)
			continue;
		if (after == NULL || after->version < before->version)
			return refuse(rule, KW_ROLE_RULE_ROLLBACK, KW_EVERSION);
		if (after->version == before->version && memcmp(&after->digest, &before->digest, sizeof(after->digest)) != 0)
			return refuse(rule, KW_ROLE_RULE_FORKED, KW_EAUTH);
	}
	return KW_OK;
}

/* kept: ours, from disk. After a stop between the two it is older than the timestamp, and what it names must not go back
 * all the same. */
static enum kw_err read_snapshot(const struct kw_role_client *client, const struct kw_role_signed *role, bool kept,
	struct kw_snapshot *out, enum kw_role_rule *rule)
{
	struct kw_digest digest;
	enum kw_err err = kw_snapshot_read(role->payload, out);
	if (err != KW_OK || kept)
		return err != KW_OK ? refuse_form(rule, err) : KW_OK;
	err = kw_role_digest(role->payload, &digest);
	if (err == KW_OK && memcmp(&digest, &client->timestamp.snapshot_digest, sizeof(digest)) != 0)
		return refuse(rule, KW_ROLE_RULE_MIXED, KW_EAUTH);
	return err != KW_OK ? err : judge_snapshot(client, out, rule);
}

static enum kw_err take_snapshot(struct kw_role_client *client, struct kw_view bytes, int64_t now_unix_ms,
	enum kw_role_rule *rule)
{
	struct kw_role_signed role;
	const struct kw_hub_role *hub = NULL;
	enum kw_err err = find_hub(client, &client->hub, &hub, rule);
	if (err == KW_OK && client->timestamp.version == 0)
		err = refuse(rule, KW_ROLE_RULE_ORDER, KW_ESTATE);
	if (err != KW_OK)
		return err;
	err = kw_role_parse(bytes, &role);
	if (err != KW_OK)
		return refuse_form(rule, err);
	err = check(&role, KW_ROLE_SNAPSHOT, &hub->snapshot, rule);
	if (err != KW_OK)
		return err;
	struct kw_snapshot *next = calloc(1, sizeof(*next));
	if (next == NULL)
		return KW_ENOMEM;
	err = read_snapshot(client, &role, now_unix_ms == 0, next, rule);
	if (err == KW_OK && now_unix_ms != 0 && next->expires_unix_ms <= now_unix_ms)
		err = refuse(rule, KW_ROLE_RULE_FROZEN, KW_EEXPIRED);
	if (err == KW_OK)
		client->snapshot = *next;
	free(next);
	return err;
}

enum kw_err kw_role_client_snapshot(struct kw_role_client *client, struct kw_view signed_role, int64_t now_unix_ms,
	enum kw_role_rule *rule)
{
	*rule = KW_ROLE_RULE_NONE;
	return take_snapshot(client, signed_role, now_unix_ms == 0 ? 1 : now_unix_ms, rule);
}

enum kw_err kw_role_client_restore(struct kw_role_client *client, const struct kw_role_kept *kept, enum kw_role_rule *rule)
{
	*rule = KW_ROLE_RULE_NONE;
	if (kept->root.size == 0)
		return KW_OK;
	enum kw_err err = take_root(client, kept->root, false, rule);
	if (err == KW_OK && kept->timestamp.size > 0)
		err = take_timestamp(client, kept->timestamp, 0, rule);
	if (err == KW_OK && kept->timestamp.size > 0 && kept->snapshot.size > 0)
		err = take_snapshot(client, kept->snapshot, 0, rule);
	return err;
}

enum kw_err kw_role_client_directory(const struct kw_role_client *client, const struct kw_name *hub,
	struct kw_view signed_role, struct kw_directory **out, enum kw_role_rule *rule)
{
	struct kw_role_signed role;
	struct kw_digest digest;
	struct kw_directory *directory = NULL;
	const struct kw_hub_role *keys = NULL;
	*rule = KW_ROLE_RULE_NONE;
	enum kw_err err = find_hub(client, hub, &keys, rule);
	const struct kw_snapshot_entry *entry = find_entry(&client->snapshot, hub);
	if (err == KW_OK && entry == NULL)
		err = refuse(rule, KW_ROLE_RULE_ORDER, KW_ESTATE);
	if (err != KW_OK)
		return err;
	err = kw_role_parse(signed_role, &role);
	if (err != KW_OK)
		return refuse_form(rule, err);
	err = check(&role, KW_ROLE_REGISTRAR, &keys->registrar, rule);
	if (err == KW_OK)
		err = kw_role_digest(role.payload, &digest);
	if (err != KW_OK)
		return err;
	if (memcmp(&digest, &entry->digest, sizeof(digest)) != 0)
		return refuse(rule, KW_ROLE_RULE_MIXED, KW_EAUTH);
	err = kw_directory_read(role.payload, &directory);
	if (err != KW_OK)
		return refuse_form(rule, err);
	if (!kw_name_equal(&directory->hub, hub))
		err = refuse(rule, KW_ROLE_RULE_PREFIX, KW_EAUTH);
	else if (directory->version != entry->version)
		err = refuse(rule, KW_ROLE_RULE_MIXED, KW_EAUTH);
	else if (directory->expires_unix_ms <= client->timestamp.signed_unix_ms)
		err = refuse(rule, KW_ROLE_RULE_FROZEN, KW_EEXPIRED);
	if (err == KW_OK)
		*out = directory;
	else
		kw_directory_free(directory);
	return err;
}

enum kw_role_age kw_role_client_age(const struct kw_role_client *client, int64_t now_unix_ms)
{
	if (client->timestamp.version == 0)
		return KW_ROLE_OLD;
	int64_t age = now_unix_ms - client->timestamp.signed_unix_ms;
	return age >= KW_ROLE_REFUSE_MS ? KW_ROLE_OLD : age >= KW_ROLE_WARN_MS ? KW_ROLE_STALE : KW_ROLE_FRESH;
}
