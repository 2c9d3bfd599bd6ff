#include "agent/shell/prekey_peers.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* The default hash falls through between case labels, which clang warns of. */
#define HASH_FUNCTION(key, size, hash) HASH_OAT(key, size, hash)
#include <uthash.h>

#include "proto/link/file.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"

#define FILE_NAME_SIZE 16u /* bytes, in hex */
#define FILE_SIZE_MAX (KW_AEAD_NONCE_SIZE + KW_PREKEYS_SIZE_MAX + KW_AEAD_TAG_SIZE)

struct peer {
	struct kw_name agency;
	struct kw_prekeys batch;            /* count 0: none */
	uint8_t identity_key[KW_KEY_SIZE];  /* under which it is good, once looked at */
	bool good;                          /* that one is known */
	uint32_t chosen_day;                /* 0: none */
	uint8_t chosen_id[KW_PREKEY_ID_SIZE];
	bool asked;
	bool answered;                      /* in this session */
	bool ended;                         /* the hub has nothing newer, though its last day is past */
	bool renew;                         /* whatever is known */
	uint32_t since_s;                   /* of the question, or of the answer */
	UT_hash_handle hh;
};

struct prekey_peers {
	char folder[PATH_MAX - 128];
	uint8_t key[KW_AEAD_KEY_SIZE_MAX];
	struct kw_name hub;
	struct peer *by_name;
	uint32_t asked_count;
	uint32_t day; /* of the last tick */
};

static struct peer *find(const struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = NULL;
	HASH_FIND(hh, peers->by_name, agency, sizeof(*agency), peer);
	return peer;
}

/* The one of this name, new if need be; NULL when memory is out. The directory bounds how many there are. */
static struct peer *need(struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = find(peers, agency);
	if (peer != NULL)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		return NULL;
	peer->agency = *agency;
	HASH_ADD(hh, peers->by_name, agency, sizeof(peer->agency), peer);
	return peer;
}

/* ------------------------------------------------------------------------------------------------------------ files */

static enum kw_err path_of(const struct prekey_peers *peers, const struct kw_name *agency, char *out)
{
	const struct kw_view parts[] = {kw_view_str("kw1 prekeys of "), kw_view_str(agency->text)};
	char name[2 * FILE_NAME_SIZE + 1];
	struct kw_digest tag;
	enum kw_err err = kw_hmac_sha256(KW_VIEW_OF(peers->key), parts, 2, &tag);
	if (err != KW_OK)
		return err;
	kw_hex(name, KW_VIEW(tag.bytes, FILE_NAME_SIZE));
	(void)snprintf(out, PATH_MAX, "%s/%s", peers->folder, name); /* fits: the folder's size was checked */
	return KW_OK;
}

static enum kw_err write_file(const struct prekey_peers *peers, const struct kw_name *agency, struct kw_view bytes)
{
	char path[PATH_MAX];
	uint8_t file[FILE_SIZE_MAX];
	enum kw_err err = path_of(peers, agency, path);
	if (err == KW_OK)
		err = kw_random(file, KW_AEAD_NONCE_SIZE);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = peers->key, .nonce = file};
		err = kw_aead_seal(&aead, KW_VIEW(NULL, 0), bytes, file + KW_AEAD_NONCE_SIZE);
	}
	if (err != KW_OK)
		return err;
	return kw_file_write_atomic(path, KW_VIEW(file, KW_AEAD_NONCE_SIZE + bytes.size + KW_AEAD_TAG_SIZE), 0600);
}

/* KW_EFORMAT, KW_EFIELD, KW_EOPEN: it is none of ours. */
static enum kw_err read_file(struct prekey_peers *peers, const char *path)
{
	struct kw_prekeys batch;
	uint8_t plain[KW_PREKEYS_SIZE_MAX];
	struct kw_buf file;
	kw_buf_init(&file, FILE_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_PUBLIC, &file);
	if (err == KW_OK && file.size < KW_AEAD_NONCE_SIZE + KW_AEAD_TAG_SIZE)
		err = KW_EFORMAT;
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = peers->key, .nonce = file.data};
		err = kw_aead_open(&aead, KW_VIEW(NULL, 0), KW_VIEW(file.data + KW_AEAD_NONCE_SIZE, file.size - KW_AEAD_NONCE_SIZE), plain);
	}
	if (err == KW_OK)
		err = kw_prekeys_read(KW_VIEW(plain, file.size - KW_AEAD_NONCE_SIZE - KW_AEAD_TAG_SIZE), &batch);
	kw_buf_fini(&file);
	if (err != KW_OK)
		return err;
	struct peer *peer = need(peers, &batch.agency);
	if (peer == NULL)
		return KW_ENOMEM;
	peer->batch = batch;
	return KW_OK;
}

static enum kw_err read_all(struct prekey_peers *peers)
{
	DIR *folder = opendir(peers->folder);
	const struct dirent *entry;
	enum kw_err err = KW_OK;
	if (folder == NULL)
		return KW_EIO;
	while (err == KW_OK && (entry = readdir(folder)) != NULL) {
		char path[PATH_MAX];
		if (strlen(entry->d_name) != 2 * (size_t)FILE_NAME_SIZE)
			continue; /* itself, its parent, and what a crash left of a new one */
		(void)snprintf(path, sizeof(path), "%s/%.*s", peers->folder, 2 * (int)FILE_NAME_SIZE, entry->d_name);
		err = read_file(peers, path);
		if (err != KW_OK && kw_err_class(err) != KW_CLASS_FATAL) {
			kw_log(KW_LOG_WARN, "prekeys_unreadable", KW_LOG_STR("path", path), KW_LOG_ERR(err));
			err = KW_OK;
		}
	}
	(void)closedir(folder); /* only read from */
	return err;
}

enum kw_err prekey_peers_open(const struct prekey_peers_self *self, struct prekey_peers **out)
{
	const struct kw_view info = kw_view_str("kw1 prekeys of others");
	const struct kw_hkdf hkdf = {.key = KW_VIEW_OF(self->keys->store), .parts = &info, .parts_count = 1};
	struct prekey_peers *peers = calloc(1, sizeof(*peers));
	if (peers == NULL)
		return KW_ENOMEM;
	peers->hub = self->hub;
	int size = snprintf(peers->folder, sizeof(peers->folder), "%s/" PREKEY_PEERS_FOLDER, self->folder);
	enum kw_err err = size < 0 || (size_t)size >= sizeof(peers->folder) ? KW_ETOOBIG : KW_OK;
	if (err == KW_OK && mkdir(peers->folder, 0700) != 0 && errno != EEXIST)
		err = KW_EIO;
	if (err == KW_OK)
		err = kw_hkdf_expand(&hkdf, peers->key, sizeof(peers->key));
	if (err == KW_OK)
		err = read_all(peers);
	if (err != KW_OK) {
		prekey_peers_close(peers);
		return err;
	}
	*out = peers;
	return KW_OK;
}

void prekey_peers_close(struct prekey_peers *peers)
{
	if (peers == NULL)
		return;
	struct peer *peer;
	struct peer *next;
	HASH_ITER(hh, peers->by_name, peer, next) {
		HASH_DEL(peers->by_name, peer);
		free(peer);
	}
	kw_wipe(peers->key, sizeof(peers->key));
	free(peers);
}

/* ------------------------------------------------------------------------------------------------------------ using */

/* Whether the batch was made under the identity key that the directory says now. */
static enum kw_err look_at_identity(struct peer *peer, const uint8_t *identity_key)
{
	uint8_t id[KW_PREKEY_ID_SIZE];
	if (peer->good && memcmp(peer->identity_key, identity_key, KW_KEY_SIZE) == 0)
		return KW_OK;
	enum kw_err err = kw_prekey_id(identity_key, id);
	if (err != KW_OK)
		return err;
	if (memcmp(id, peer->batch.identity_key_id, sizeof(id)) != 0) {
		peer->renew = peer->renew || !peer->answered;
		return KW_ENOTFOUND;
	}
	memcpy(peer->identity_key, identity_key, KW_KEY_SIZE);
	peer->good = true;
	return KW_OK;
}

enum kw_err prekey_peers_choose(struct prekey_peers *peers, const struct kw_directory_entry *entry, uint32_t day,
	struct prekey_choice *out)
{
	struct peer *peer = need(peers, &entry->agency);
	if (peer == NULL || peer->batch.count == 0)
		return KW_ENOTFOUND;
	enum kw_err err = look_at_identity(peer, entry->identity_key);
	if (err != KW_OK)
		return err;
	const uint8_t *key = kw_prekeys_key(&peer->batch, day);
	if (key == NULL)
		return day > kw_prekeys_last_day(&peer->batch) ? KW_EEXPIRED : KW_ENOTFOUND;
	if (peer->chosen_day != day) {
		err = kw_prekey_id(key, peer->chosen_id);
		peer->chosen_day = err == KW_OK ? day : 0;
	}
	if (err != KW_OK)
		return err;
	memcpy(out->key_id, peer->chosen_id, sizeof(out->key_id));
	memcpy(out->public_key, key, sizeof(out->public_key));
	return KW_OK;
}

uint32_t prekey_peers_through_day(const struct prekey_peers *peers, const struct kw_name *agency)
{
	const struct peer *peer = find(peers, agency);
	return peer == NULL || peer->batch.count == 0 ? 0 : kw_prekeys_last_day(&peer->batch);
}

static uint32_t dormant(const struct peer *peer, uint32_t day)
{
	uint32_t last = peer->batch.count == 0 ? 0 : kw_prekeys_last_day(&peer->batch);
	return peer->ended && last < day ? last : 0;
}

uint32_t prekey_peers_dormant(const struct prekey_peers *peers, const struct kw_name *agency, uint32_t day)
{
	const struct peer *peer = find(peers, agency);
	return peer == NULL ? 0 : dormant(peer, day);
}

void prekey_peers_dormants(const struct prekey_peers *peers, uint32_t day,
	void (*each)(void *user, const struct kw_name *agency, uint32_t through_day), void *user)
{
	for (const struct peer *peer = peers->by_name; peer != NULL; peer = peer->hh.next)
		if (dormant(peer, day) != 0)
			each(user, &peer->agency, dormant(peer, day));
}

/* ----------------------------------------------------------------------------------------------------------- asking */

void prekey_peers_renew(struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = need(peers, agency);
	if (peer != NULL)
		peer->renew = true;
}

void prekey_peers_heard(struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = find(peers, agency);
	if (peer != NULL && peer->ended)
		peer->renew = true;
}

bool prekey_peers_is_renewed(const struct prekey_peers *peers, const struct kw_name *agency)
{
	const struct peer *peer = find(peers, agency);
	return peer == NULL || !peer->renew;
}

bool prekey_peers_is_awaited(const struct prekey_peers *peers, const struct kw_name *agency)
{
	const struct peer *peer = find(peers, agency);
	return peer == NULL || (peer->batch.count == 0 && !peer->answered);
}

static void settle(struct prekey_peers *peers, struct peer *peer)
{
	peers->asked_count -= peer->asked && peers->asked_count > 0;
	peer->asked = false;
	peer->answered = true;
	peer->renew = false;
	peer->since_s = 0;
}

static bool is_due(const struct peer *peer, uint32_t day)
{
	bool little = peer->batch.count == 0 || kw_prekeys_last_day(&peer->batch) < day + KW_PREKEY_ASK_DAYS;
	return !peer->asked && (peer->renew || (little && (!peer->answered || peer->since_s >= PREKEY_PEERS_AGAIN_S)));
}

static enum kw_err ask(struct prekey_peers *peers, struct peer *peer, struct kw_buf *out)
{
	struct kw_prekeys_want want = {.agency = peer->agency,
		.through_day = peer->renew || peer->batch.count == 0 ? 0 : kw_prekeys_last_day(&peer->batch)};
	enum kw_err err = kw_prekeys_want_add(out, &want);
	if (err != KW_OK)
		return err;
	peer->asked = true;
	peer->since_s = 0;
	peers->asked_count++;
	return KW_OK;
}

enum kw_err prekey_peers_ask(struct prekey_peers *peers, const struct kw_name *agency, struct kw_buf *out)
{
	struct peer *peer = need(peers, agency);
	if (peer == NULL)
		return KW_ENOMEM;
	return peer->asked ? KW_OK : ask(peers, peer, out);
}

void prekey_peers_give_up(struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = find(peers, agency);
	if (peer != NULL && peer->asked)
		settle(peers, peer);
}

enum kw_err prekey_peers_tick(struct prekey_peers *peers, uint32_t day, struct kw_buf *out)
{
	enum kw_err err = KW_OK;
	peers->day = day;
	for (struct peer *peer = peers->by_name; peer != NULL && err == KW_OK; peer = peer->hh.next) {
		peer->since_s += peer->since_s < UINT32_MAX;
		if (peer->asked && peer->since_s >= PREKEY_PEERS_WAIT_S)
			settle(peers, peer);
		if (is_due(peer, day) && peers->asked_count < PREKEY_PEERS_ASK_MAX)
			err = ask(peers, peer, out);
	}
	return err;
}

void prekey_peers_down(struct prekey_peers *peers)
{
	for (struct peer *peer = peers->by_name; peer != NULL; peer = peer->hh.next) {
		peer->asked = false;
		peer->answered = false;
	}
	peers->asked_count = 0;
}

void prekey_peers_none(struct prekey_peers *peers, const struct kw_name *agency)
{
	struct peer *peer = find(peers, agency);
	if (peer == NULL || !peer->asked)
		return;
	peer->ended = peer->batch.count > 0 && kw_prekeys_last_day(&peer->batch) < peers->day;
	settle(peers, peer);
}

static void refused(const struct kw_name *agency, enum kw_err err, enum kw_prekey_rule rule)
{
	kw_log(KW_LOG_WARN, "prekeys_refused", KW_LOG_STR("agency", agency->text), KW_LOG_ERR(err),
		KW_LOG_STR("rule", kw_prekey_rule_name(rule)), KW_LOG_STR("text", kw_prekey_rule_text(rule)));
}

static enum kw_err use(struct prekey_peers *peers, struct peer *peer, const struct kw_prekeys *batch, struct kw_view bytes)
{
	enum kw_err err = write_file(peers, &peer->agency, bytes);
	if (err != KW_OK && err != KW_ENOMEM && err != KW_ECRYPTO) {
		/* What is not durable could be rolled back; the one before goes on. */
		kw_log(KW_LOG_WARN, "prekeys_not_kept", KW_LOG_STR("agency", peer->agency.text), KW_LOG_ERR(err));
		settle(peers, peer);
		return KW_OK;
	}
	if (err != KW_OK)
		return err;
	peer->batch = *batch;
	peer->good = false;
	peer->ended = false;
	peer->chosen_day = 0;
	settle(peers, peer);
	return KW_OK;
}

enum kw_err prekey_peers_take(struct prekey_peers *peers, const struct kw_directory *directory, struct kw_view bytes)
{
	struct kw_prekeys batch;
	static const struct kw_name nobody;
	enum kw_prekey_rule rule;
	enum kw_err err = kw_prekeys_read(bytes, &batch);
	if (err != KW_OK) {
		refused(&nobody, err, KW_PREKEY_RULE_FORM);
		return KW_OK;
	}
	struct peer *peer = find(peers, &batch.agency);
	const struct kw_directory_entry *entry = directory == NULL ? NULL : kw_directory_find(directory, &batch.agency);
	if (peer == NULL || !peer->asked || entry == NULL) {
		refused(&batch.agency, KW_EAUTH, KW_PREKEY_RULE_AGENCY);
		return KW_OK;
	}
	const struct kw_prekeys_expect expect = {.agency = &peer->agency,
		.hub = &peers->hub,
		.identity_key = entry->identity_key,
		.before = peer->batch.count > 0 ? &peer->batch : NULL};
	err = kw_prekeys_accept(&expect, bytes, &batch, &rule);
	if (err == KW_OK)
		return use(peers, peer, &batch, bytes);
	if (kw_err_class(err) == KW_CLASS_FATAL)
		return err;
	refused(&peer->agency, err, rule);
	settle(peers, peer);
	return KW_OK;
}
