#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/renew_inner.h"
#include "proto/link/file.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"

/* New keys: `kinward agent rotate` leaves an order → the new key is made and durable → the order goes → the hub is asked → the directory
 * has it → it takes the place of the former one. A stop anywhere goes on from what is on the disk. */

#define ORDER_SIZE_MAX 64u

static enum kw_err save(const struct agent *agent)
{
	char path[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_KEYS_FILE, path);

	if (err == KW_OK)
		err = keys_save_again(path, agent->keys);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "keys_not_written", KW_LOG_ERR(err),
			KW_LOG_STR("text", "the key file cannot be written: look at the state directory's owner and disk"));
	return err;
}

static enum kw_err digest_of(const uint8_t *seed, struct kw_digest *out)
{
	EVP_PKEY *key = NULL;
	unsigned char *der = NULL;
	enum kw_err err = keys_tls_of(seed, &key);

	if (err != KW_OK)
		return err;
	int size = i2d_PUBKEY(key, &der);
	struct kw_view part = KW_VIEW(der, size > 0 ? (size_t)size : 0);
	err = size > 0 ? kw_sha256(&part, 1, out) : KW_ECRYPTO;
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	return err;
}

enum kw_err agent_renew_self(const struct agent *agent, struct agent_roles_self *out)
{
	const struct keys *keys = agent->keys;
	struct agent_roles_self self = {
		.agency = agent->office.agency, .hub = agent->office.hub, .tls_root_digest = agent->root_fingerprint};

	memcpy(self.identity_keys[self.identity_count++], keys->identity.public_key, KW_KEY_SIZE);
	if (keys->next.identity_reason != 0)
		memcpy(self.identity_keys[self.identity_count++], keys->next.identity.public_key, KW_KEY_SIZE);
	memcpy(self.sealing_keys[self.sealing_count++], keys->sealing.public_key, KW_KEY_SIZE);
	if (keys->next.sealing_set)
		memcpy(self.sealing_keys[self.sealing_count++], keys->next.sealing.public_key, KW_KEY_SIZE);
	if (keys->hybrid.set)
		self.hybrid_digests[self.hybrid_count++] = keys->hybrid.public_digest;
	if (keys->next.hybrid.set)
		self.hybrid_digests[self.hybrid_count++] = keys->next.hybrid.public_digest;
	enum kw_err err = digest_of(keys->tls_seed, &self.tls_key_digests[self.tls_count++]);
	if (err == KW_OK && keys->next.tls_set)
		err = digest_of(keys->next.tls_seed, &self.tls_key_digests[self.tls_count++]);
	if (err == KW_OK)
		*out = self;
	return err;
}

static void tell_roles(struct agent *agent)
{
	struct agent_roles_self self;
	if (agent_renew_self(agent, &self) == KW_OK)
		agent_roles_self_set(agent->roles, &self);
}

static bool shows(const struct agent *agent, const struct kw_directory_entry *own, enum keys_which which)
{
	const struct keys *keys = agent->keys;
	struct kw_digest digest;

	switch (which) {
	case KEYS_IDENTITY:
		return memcmp(own->identity_key, keys->next.identity.public_key, KW_KEY_SIZE) == 0;
	case KEYS_SEALING:
		return memcmp(own->sealing_keys[0].public_key, keys->next.sealing.public_key, KW_KEY_SIZE) == 0;
	case KEYS_HYBRID:
		return own->hybrid_keys_count > 0 && keys_hybrid_is(&keys->next.hybrid, own->hybrid_keys[0].public_key);
	default:
		return digest_of(keys->next.tls_seed, &digest) == KW_OK && memcmp(&digest, &own->tls_key_digest, sizeof(digest)) == 0;
	}
}

static const struct kw_directory_entry *own_entry(const struct agent *agent)
{
	return agent->directory == NULL ? NULL : kw_directory_find(agent->directory, &agent->office.agency);
}

/* What could not be written stands in the file as before; the next directory, or the next start, does it again. */
void agent_renew_directory(struct agent *agent)
{
	const struct kw_directory_entry *own = own_entry(agent);
	bool some = false;

	for (int i = 0; own != NULL && i < KEYS_WHICH_COUNT; i++) {
		enum keys_which which = (enum keys_which)i;
		if (!keys_next_is(agent->keys, which) || !shows(agent, own, which))
			continue;
		if (keys_next_take(agent->keys, which, agent_hub_ms(agent) + AGENT_FORMER_MS) != KW_OK)
			continue;
		some = true;
		agent->renew->shows_next = agent->renew->shows_next && which != KEYS_TLS;
		kw_log(KW_LOG_INFO, "key_replaced", KW_LOG_STR("key", keys_which_name(which)));
	}
	if (some) {
		(void)save(agent); /* logged; the former key in the file is still good for a start */
		tell_roles(agent);
	}
}

int64_t renew_change_ms(uint8_t reason, int64_t now_unix_ms)
{
	return reason == KW_IDENTITY_COMPROMISED ? now_unix_ms : now_unix_ms + RENEW_GRACE_MS;
}

bool renew_keys_wanted(const struct agent *agent)
{
	const struct kw_directory_entry *own = own_entry(agent);

	if (own == NULL)
		return false;
	if (keys_next_is(agent->keys, KEYS_IDENTITY) && !shows(agent, own, KEYS_IDENTITY))
		return true;
	if (keys_next_is(agent->keys, KEYS_SEALING) && !shows(agent, own, KEYS_SEALING))
		return true;
	if (keys_next_is(agent->keys, KEYS_HYBRID) && !shows(agent, own, KEYS_HYBRID))
		return true;
	if (!keys_next_is(agent->keys, KEYS_HYBRID) && agent->keys->hybrid.set && own->hybrid_keys_count == 0 && kw_hybrid_able())
		return true; /* a hub that was put back from a backup */
	/* Of a TLS key the certificate is what we ask for; the directory follows its use. */
	return keys_next_is(agent->keys, KEYS_TLS) && !agent->renew->shows_next;
}

static enum kw_err carry_out(struct agent *agent, char *line)
{
	enum keys_which which;
	char *rest = NULL;
	const char *name = strtok_r(line, " \n", &rest);
	const char *word = strtok_r(NULL, " \n", &rest);
	uint8_t reason = word != NULL ? kw_identity_reason_from(word) : (uint8_t)KW_IDENTITY_SCHEDULED;

	if (name == NULL || reason == 0 || keys_which_from(name, &which) != KW_OK)
		return KW_EFIELD;
	bool fresh = !keys_next_is(agent->keys, which);
	bool fresh_hybrid = !keys_next_is(agent->keys, KEYS_HYBRID);
	enum kw_err err = keys_next_make(agent->keys, which, reason);
	if (err == KW_OK && which == KEYS_SEALING && kw_hybrid_able()) {
		enum kw_err hybrid = keys_next_make(agent->keys, KEYS_HYBRID, 0);
		if (hybrid != KW_OK) /* the other one is replaced all the same */
			kw_log(KW_LOG_WARN, "hybrid_key_not_made", KW_LOG_ERR(hybrid));
	}
	if (err == KW_OK)
		err = save(agent);
	/* A key that is nowhere but in memory must not come into the directory: after a stop nobody would have it. */
	if (err != KW_OK && fresh)
		keys_next_drop(agent->keys, which);
	if (err != KW_OK && fresh_hybrid)
		keys_next_drop(agent->keys, KEYS_HYBRID);
	if (err != KW_OK)
		return err;
	tell_roles(agent);
	kw_log(KW_LOG_INFO, "key_made", KW_LOG_STR("key", name), KW_LOG_STR("text", "it is brought in with the next session"));
	agent->renew->ask_mono_ms = 0;
	return KW_OK;
}

static void take_order(struct agent *agent, const char *path)
{
	char line[ORDER_SIZE_MAX + 1];
	struct kw_buf bytes;

	kw_buf_init(&bytes, ORDER_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_SECRET, &bytes);
	if (err == KW_OK) {
		memcpy(line, bytes.data, bytes.size);
		line[bytes.size] = '\0';
		err = carry_out(agent, line);
	}
	kw_buf_fini(&bytes);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "rotate_order", KW_LOG_STR("path", path), KW_LOG_ERR(err), KW_LOG_STR("text", err == KW_EFULL
			? "too many former sealing keys are kept still, each until nothing sealed to it can be on its way: wait for the oldest"
			: "this order cannot be carried out, and is taken away: give it again with kinward agent rotate"));
	agent->renew->order_stuck = unlink(path) != 0;
	if (agent->renew->order_stuck)
		kw_log(KW_LOG_ERROR, "rotate_order", KW_LOG_STR("path", path), KW_LOG_ERR(KW_EIO),
			KW_LOG_STR("text", "this file cannot be removed: remove it, or the next start makes new keys again"));
}

/* The first hybrid key: of an agency that is new, or whose libcrypto has ML-KEM since now. */
static void want_hybrid(struct agent *agent)
{
	struct keys *keys = agent->keys;

	if (keys->hybrid.set || keys->next.hybrid.set || agent->renew->hybrid_stuck || !kw_hybrid_able())
		return;
	enum kw_err err = keys_next_make(keys, KEYS_HYBRID, 0);
	if (err == KW_OK)
		err = save(agent);
	if (err != KW_OK) { /* nobody may seal to a key that is not durable */
		keys_next_drop(keys, KEYS_HYBRID);
		agent->renew->hybrid_stuck = true;
		kw_log(KW_LOG_WARN, "hybrid_key_not_made", KW_LOG_ERR(err), KW_LOG_STR("text", "the next start tries again"));
		return;
	}
	tell_roles(agent);
	kw_log(KW_LOG_INFO, "key_made", KW_LOG_STR("key", "hybrid"), KW_LOG_STR("text", "it is brought in with the next session"));
}

void renew_keys_tick(struct agent *agent)
{
	char path[PATH_MAX];

	if (!agent->renew->order_stuck && agent_path(agent->settings->state, AGENT_ROTATE_FILE, path) == KW_OK &&
		access(path, F_OK) == 0)
		take_order(agent, path);
	if (!agt_online(agent->core))
		return; /* what is destroyed by a clock is destroyed by the hub's alone, as it has just said */
	want_hybrid(agent);
	/* The directory of before a stop may have them. */
	if (keys_next_is(agent->keys, KEYS_IDENTITY) || keys_next_is(agent->keys, KEYS_SEALING) ||
		keys_next_is(agent->keys, KEYS_HYBRID) || agent->renew->shows_next)
		agent_renew_directory(agent);
	if (agent->keys->former_count + agent->keys->former_hybrid_count > 0 && keys_former_drop(agent->keys, agent_hub_ms(agent))) {
		kw_log(KW_LOG_INFO, "former_key_destroyed", KW_LOG_STR("key", "sealing"));
		(void)save(agent); /* logged; the file still has it, and the next start drops it */
	}
}
