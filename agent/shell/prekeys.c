#include "agent/shell/prekeys.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/link/log.h"

#define GIVE_TIMES 2u /* a link may be cut behind the first */
#define SAY_MS INT64_C(86400000)
#define AGREE_MS KW_PREKEY_DAY_MS

struct place {
	uint8_t id[KW_PREKEY_ID_SIZE];
	uint32_t at;
};

struct prekeys {
	char folder[PATH_MAX - 64];
	const struct keys *keys;
	struct kw_name agency;
	struct kw_name hub;
	struct keys_prekeys secrets;
	struct place by_id[KEYS_PREKEYS_MAX]; /* of secrets.list, by key id */
	struct kw_prekeys batch;
	struct kw_buf signed_batch;
	uint32_t day;    /* that all is done for; 0: none yet */
	uint32_t give;   /* so many more times, whatever the hub has */
	bool unsaved;    /* the file is not as the secrets are */
	bool differs;
	int64_t said_ms;
};

/* By id, so that opening a message does not go through all of them. */
static int by_id(const void *a, const void *b)
{
	const struct place *x = a;
	const struct place *y = b;
	return memcmp(x->id, y->id, KW_PREKEY_ID_SIZE);
}

static void index_secrets(struct prekeys *prekeys)
{
	for (uint32_t i = 0; i < prekeys->secrets.count; i++) {
		prekeys->by_id[i].at = i;
		memcpy(prekeys->by_id[i].id, prekeys->secrets.list[i].id, KW_PREKEY_ID_SIZE);
	}
	qsort(prekeys->by_id, prekeys->secrets.count, sizeof(prekeys->by_id[0]), by_id);
}

enum kw_err prekeys_find(const struct prekeys *prekeys, struct kw_view key_id, struct kw_x25519 *out)
{
	uint32_t from = 0;
	uint32_t to = key_id.size == KW_PREKEY_ID_SIZE ? prekeys->secrets.count : 0;
	while (from < to) {
		uint32_t at = from + (to - from) / 2;
		const struct place *place = &prekeys->by_id[at];
		int order = memcmp(key_id.data, place->id, KW_PREKEY_ID_SIZE);
		if (order == 0) {
			*out = prekeys->secrets.list[place->at].pair;
			return KW_OK;
		}
		if (order < 0)
			to = at;
		else
			from = at + 1;
	}
	return KW_ENOTFOUND;
}

enum kw_err prekeys_open(const struct prekeys_self *self, struct prekeys **out)
{
	struct prekeys *prekeys = calloc(1, sizeof(*prekeys));
	if (prekeys == NULL)
		return KW_ENOMEM;
	(void)mlock(prekeys, sizeof(*prekeys)); /* a limit of zero is no reason to fail: swap may be encrypted or absent */
	prekeys->keys = self->keys;
	prekeys->agency = self->agency;
	prekeys->hub = self->hub;
	kw_buf_init(&prekeys->signed_batch, KW_PREKEYS_SIZE_MAX);
	int size = snprintf(prekeys->folder, sizeof(prekeys->folder), "%s", self->folder);
	enum kw_err err = size < 0 || (size_t)size >= sizeof(prekeys->folder) ? KW_ETOOBIG
		: keys_prekey_load(prekeys->folder, self->keys, &prekeys->secrets);
	if (err == KW_EAUTH || err == KW_EFORMAT) {
		kw_log(KW_LOG_ERROR, "prekeys_lost", KW_LOG_ERR(err), KW_LOG_STR("text", KEYS_PREKEY_FILE " is damaged, or of other keys: "
			"new ones are made, and what was sealed to the old ones is sealed anew by its sender"));
		prekeys->secrets.count = 0;
		err = keys_prekey_drop(prekeys->folder);
	}
	if (err != KW_OK) {
		prekeys_close(prekeys);
		return err;
	}
	index_secrets(prekeys);
	*out = prekeys;
	return KW_OK;
}

void prekeys_close(struct prekeys *prekeys)
{
	if (prekeys == NULL)
		return;
	kw_buf_fini(&prekeys->signed_batch);
	kw_wipe(prekeys, sizeof(*prekeys));
	(void)munlock(prekeys, sizeof(*prekeys)); /* nothing to lose any more */
	free(prekeys);
}

/* The first of those that stay: the others' days ended longer ago than a message lives. */
static uint32_t destroy(struct prekeys *prekeys, uint32_t today)
{
	struct keys_prekeys *secrets = &prekeys->secrets;
	uint32_t gone = 0;
	while (gone < secrets->count && secrets->list[gone].day + 1 + KW_PREKEY_KEEP_DAYS <= today)
		gone++;
	if (gone == 0)
		return 0;
	memmove(secrets->list, secrets->list + gone, (secrets->count - gone) * sizeof(secrets->list[0]));
	secrets->count -= gone;
	kw_wipe(secrets->list + secrets->count, gone * sizeof(secrets->list[0]));
	return gone;
}

/* Room in the order for a day that has none yet; NULL when it has one, or there is none left. */
static struct keys_prekey *insert(struct keys_prekeys *secrets, uint32_t day)
{
	uint32_t at = secrets->count;
	while (at > 0 && secrets->list[at - 1].day > day)
		at--;
	if ((at > 0 && secrets->list[at - 1].day == day) || secrets->count == KEYS_PREKEYS_MAX)
		return NULL;
	memmove(secrets->list + at + 1, secrets->list + at, (secrets->count - at) * sizeof(secrets->list[0]));
	secrets->count++;
	return &secrets->list[at];
}

static enum kw_err make(struct prekeys *prekeys, uint32_t today, uint32_t *made)
{
	*made = 0;
	for (uint32_t day = today; day <= today + KW_PREKEY_AHEAD_DAYS && day <= KW_PREKEY_DAY_MAX; day++) {
		struct keys_prekey fresh;
		struct keys_prekey *place = insert(&prekeys->secrets, day);
		if (place == NULL)
			continue;
		enum kw_err err = keys_prekey_make(day, &fresh);
		if (err != KW_OK) /* the place must not stay empty */
			memmove(place, place + 1,
				(size_t)(&prekeys->secrets.list[prekeys->secrets.count--] - (place + 1)) * sizeof(*place));
		else
			*place = fresh;
		kw_wipe(&fresh, sizeof(fresh));
		if (err != KW_OK)
			return err;
		(*made)++;
	}
	return KW_OK;
}

/* From today on. A gap ends it: the days of a batch follow each other. */
static enum kw_err sign(struct prekeys *prekeys, uint32_t today)
{
	struct kw_prekeys *batch = &prekeys->batch;
	*batch = (struct kw_prekeys){.agency = prekeys->agency, .hub = prekeys->hub, .first_day = today};
	for (uint32_t i = 0; i < prekeys->secrets.count && batch->count < KW_PREKEYS_MAX; i++) {
		const struct keys_prekey *prekey = &prekeys->secrets.list[i];
		if (prekey->day == today + batch->count)
			memcpy(batch->keys[batch->count++], prekey->pair.public_key, KW_KEY_SIZE);
	}
	kw_buf_clear(&prekeys->signed_batch);
	if (batch->count == 0)
		return KW_OK;
	enum kw_err err = kw_prekeys_sign(batch, &prekeys->keys->identity, &prekeys->signed_batch);
	if (err != KW_OK) {
		kw_buf_clear(&prekeys->signed_batch);
		batch->count = 0;
	}
	return err;
}

/* Whether the clocks agree. Says it once a day when they do not. */
static bool agree(struct prekeys *prekeys, const struct prekeys_clock *clock)
{
	int64_t apart = clock->hub_ms - clock->wall_ms;
	prekeys->differs = apart > AGREE_MS || apart < -AGREE_MS;
	if (prekeys->differs && (prekeys->said_ms == 0 || clock->hub_ms - prekeys->said_ms >= SAY_MS)) {
		prekeys->said_ms = clock->hub_ms;
		kw_log(KW_LOG_WARN, "prekeys_clock", KW_LOG_INT("apart_s", apart / 1000), KW_LOG_STR("text", "the hub's clock and this "
			"machine's differ by more than a day: no keys are made and none destroyed until they agree; set the one that is wrong"));
	}
	return !prekeys->differs;
}

enum kw_err prekeys_day(struct prekeys *prekeys, const struct prekeys_clock *clock, bool *news)
{
	*news = false;
	if (!clock->heard || !agree(prekeys, clock))
		return KW_OK;
	/* The earlier of the two: both say that this day has begun. */
	uint32_t today = kw_prekey_day(clock->hub_ms < clock->wall_ms ? clock->hub_ms : clock->wall_ms);
	/* Also when our identity key was replaced: others believe what the present one has signed. */
	bool replaced = prekeys->batch.count > 0 &&
		memcmp(prekeys->batch.identity_key_id, prekeys->keys->identity_id, KW_PREKEY_ID_SIZE) != 0;
	if (today <= prekeys->day && !replaced)
		return KW_OK;
	today = today < prekeys->day ? prekeys->day : today;
	uint32_t gone = destroy(prekeys, today);
	uint32_t made;
	enum kw_err err = make(prekeys, today, &made);
	index_secrets(prekeys);
	prekeys->unsaved = prekeys->unsaved || made > 0 || gone > 0;
	prekeys->give = made > 0 || replaced ? GIVE_TIMES : prekeys->give;
	if (err == KW_OK && prekeys->unsaved)
		err = keys_prekey_save(prekeys->folder, prekeys->keys, &prekeys->secrets);
	if (err == KW_OK)
		err = sign(prekeys, today);
	if (err != KW_OK) {
		kw_log(KW_LOG_ERROR, "prekeys_not_kept", KW_LOG_ERR(err), KW_LOG_STR("text", "the file of the dated keys cannot be written: "
			"look at the state folder and its disk; it is tried again each second"));
		return err;
	}
	prekeys->unsaved = false;
	prekeys->day = today;
	*news = true;
	kw_log(KW_LOG_INFO, "prekeys", KW_LOG_INT("made", made), KW_LOG_INT("destroyed", gone),
		KW_LOG_INT("through_day", kw_prekeys_last_day(&prekeys->batch)));
	return KW_OK;
}

bool prekeys_clock_differs(const struct prekeys *prekeys)
{
	return prekeys->differs;
}

struct kw_view prekeys_batch(const struct prekeys *prekeys)
{
	return kw_buf_view(&prekeys->signed_batch);
}

uint32_t prekeys_through_day(const struct prekeys *prekeys)
{
	return prekeys->batch.count == 0 ? 0 : kw_prekeys_last_day(&prekeys->batch);
}

bool prekeys_give(struct prekeys *prekeys, uint32_t through_day)
{
	if (prekeys->batch.count == 0 || (prekeys->give == 0 && through_day >= prekeys_through_day(prekeys)))
		return false;
	prekeys->give -= prekeys->give > 0;
	return true;
}
