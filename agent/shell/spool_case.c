#include "agent/shell/spool_case.h"

#include <string.h>

#include "agent/shell/spool_consent.h"
#include "proto/wire/crypt.h"

static enum kw_err local_tag(const struct spool *spool, const char *local_id, uint8_t *out)
{
	char text[SPOOL_CASE_REF_SIZE_MAX + 16] = "local id ";

	memcpy(text + 9, local_id, strnlen(local_id, SPOOL_CASE_REF_SIZE_MAX));
	return spool_tag(spool, kw_view_str(text), out);
}

static enum kw_err local_head(const struct spool *spool, const uint8_t *tag, uint8_t *out)
{
	memcpy(out, tag, SPOOL_TAG_SIZE);
	return spool_tag(spool, kw_view_str("case system"), out + SPOOL_TAG_SIZE);
}

/* --- what is named */

struct seen {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t first; /* of the oldest member */
	bool many;
};

static void see(struct seen *seen, uint64_t case_id)
{
	seen->many = seen->many || (seen->first != 0 && case_id != 0 && seen->first != case_id);
	if (seen->first == 0)
		seen->first = case_id;
}

static enum kw_err see_member(void *user, uint64_t member)
{
	struct seen *seen = user;
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct spool_thread thread = {0};
	struct spool_offer offer = {0};
	bool is_offer = (member & SPOOL_MEMBER_OFFER) != 0;
	enum kw_err err = is_offer ? spool_offer_get(seen->spool, seen->txn, member & ~SPOOL_MEMBER_OFFER, &offer)
		: spool_case_member(seen->spool, seen->txn, member, key, &thread);

	if (err == KW_OK)
		see(seen, is_offer ? offer.case_id : thread.case_id);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static enum kw_err see_thread(void *user, const uint8_t *key, const struct spool_thread *thread)
{
	(void)key; /* the id is enough */
	see(user, thread->case_id);
	return KW_OK;
}

static enum kw_err by_name(struct spool *spool, MDB_txn *txn, const struct spool_case_name *name, struct seen *out)
{
	uint8_t head[2 * SPOOL_TAG_SIZE];
	enum kw_err err = spool_case_name_head(spool, name, head);

	*out = (struct seen){.spool = spool, .txn = txn};
	if (err != KW_OK || name->ref[0] == '\0')
		return err;
	return spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, head, sizeof(head), SPOOL_NAME_KEY_SIZE, see_member, out});
}

static enum kw_err by_local(struct spool *spool, MDB_txn *txn, const uint8_t *tag, struct seen *out)
{
	uint8_t head[2 * SPOOL_TAG_SIZE];
	enum kw_err err = local_head(spool, tag, head);

	*out = (struct seen){.spool = spool, .txn = txn};
	return err != KW_OK ? err : spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, head, sizeof(head), SPOOL_NAME_KEY_SIZE, see_member, out});
}

/* The caller's own id of a case, as a tag; false: it has none. */
static enum kw_err local_of(struct spool *spool, MDB_txn *txn, uint64_t case_id, uint8_t *tag, bool *has)
{
	uint8_t key[SPOOL_CASE_KEY_SIZE] = {0};
	struct kw_view row;
	enum kw_err err = spool_case_head(spool, case_id, key);

	*has = false;
	if (err == KW_OK)
		err = spool_get(spool, txn, T_CASES, KW_VIEW_OF(key), &row);
	if (err == KW_OK && row.size == SPOOL_TAG_SIZE) {
		memcpy(tag, row.data, SPOOL_TAG_SIZE);
		*has = true;
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

/* One more that is the same. Two ids of the caller's are two cases. */
static enum kw_err also(struct spool *spool, MDB_txn *txn, uint64_t case_id, struct spool_case_found *out)
{
	uint8_t tag[SPOOL_TAG_SIZE];
	bool has = false;

	for (uint32_t i = 0; i < out->count; i++)
		if (out->list[i] == case_id)
			return KW_OK;
	if (case_id == 0)
		return KW_OK;
	enum kw_err err = local_of(spool, txn, case_id, tag, &has);
	if (err != KW_OK)
		return err;
	if (has && out->has_local && memcmp(tag, out->local, sizeof(tag)) != 0)
		out->fault = AGT_FAULT_CASE;
	if (has && !out->has_local)
		memcpy(out->local, tag, sizeof(tag));
	out->has_local = out->has_local || has;
	out->list[out->count++] = case_id;
	return KW_OK;
}

/* What we call so ourselves. Where the caller names the case or the thread, that counts: one pseudonym may stand for two
 * children, with two agencies. */
static enum kw_err also_own(struct spool *spool, MDB_txn *txn, const struct spool_case_wish *wish, bool has_from,
	struct spool_case_found *out)
{
	struct seen own;
	uint8_t tag[SPOOL_TAG_SIZE];
	bool bound = false;

	if (has_from || wish->own_ref == NULL || wish->own_ref[0] == '\0')
		return KW_OK;
	enum kw_err err = by_name(spool, txn, &(struct spool_case_name){.ref = wish->own_ref}, &own);
	if (err == KW_OK && own.first != 0 && wish->claim != NULL && wish->claim->local_id[0] != '\0')
		err = local_of(spool, txn, own.first, tag, &bound); /* to an id: what the caller says now is said of this one alone */
	if (err != KW_OK || bound || (own.many && out->count > 0))
		return err;
	if (own.many) /* we said so of two: the caller must say which */
		out->fault = AGT_FAULT_CASE;
	return also(spool, txn, own.first, out);
}

enum kw_err spool_case_find(struct spool *spool, MDB_txn *txn, const struct spool_case_wish *wish,
	struct spool_case_found *out)
{
	const struct spool_claim *claim = wish->claim;
	struct seen seen = {.first = 0};
	bool has_from = claim != NULL && claim->has_from;
	enum kw_err err;

	*out = (struct spool_case_found){.fault = AGT_FAULT_NONE};
	if (claim != NULL && claim->local_id[0] != '\0') {
		err = local_tag(spool, claim->local_id, out->local);
		out->has_local = true;
		if (err == KW_OK)
			err = by_local(spool, txn, out->local, &seen);
		if (err != KW_OK)
			return err;
	}
	err = also(spool, txn, wish->present, out);
	if (err == KW_OK)
		err = also(spool, txn, seen.first, out);
	if (err == KW_OK && has_from) {
		seen = (struct seen){.first = 0};
		err = spool_case_thread_id(spool, txn, &claim->from_thread, see_thread, &seen);
		if (err == KW_OK && (seen.first == 0 || seen.many))
			out->fault = AGT_FAULT_FROM;
		if (err == KW_OK)
			err = also(spool, txn, seen.first, out);
	}
	return err != KW_OK ? err : also_own(spool, txn, wish, has_from, out);
}

enum kw_err spool_case_meant(struct spool *spool, MDB_txn *txn, const char *case_ref, const struct spool_claim *claim,
	uint64_t *out)
{
	struct spool_case_wish wish = {.claim = claim};
	struct spool_case_found found;
	struct seen seen;
	uint8_t tag[SPOOL_TAG_SIZE];
	enum kw_err err = spool_case_find(spool, txn, &wish, &found);

	*out = 0;
	if (err != KW_OK || found.count > 1 || found.fault != AGT_FAULT_NONE)
		return err != KW_OK ? err : found.fault == AGT_FAULT_FROM ? KW_OK : KW_EEXIST;
	*out = found.count == 1 ? found.list[0] : 0;
	if (case_ref[0] == '\0')
		return KW_OK;
	err = by_name(spool, txn, &(struct spool_case_name){.ref = case_ref}, &seen);
	if (err == KW_OK && seen.first == 0) {
		err = spool_case_tag(spool, case_ref, tag);
		if (err == KW_OK)
			err = spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, tag, SPOOL_TAG_SIZE, SPOOL_NAME_KEY_SIZE, see_member, &seen});
	}
	*out = seen.first;
	return err == KW_OK && seen.many ? KW_EEXIST : err;
}

/* --- writing */

enum kw_err spool_case_add(struct spool *spool, MDB_txn *txn, uint64_t case_id, uint64_t member)
{
	uint8_t key[SPOOL_CASE_KEY_SIZE];
	enum kw_err err = spool_case_head(spool, case_id, key);

	kw_put_u64(key + SPOOL_TAG_SIZE, member);
	return err != KW_OK || case_id == 0 ? err : spool_put(spool, txn, T_CASES, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
}

enum kw_err spool_case_call(struct spool *spool, MDB_txn *txn, const struct spool_case_name *name, uint64_t member)
{
	uint8_t key[SPOOL_NAME_KEY_SIZE];
	enum kw_err err = spool_case_name_head(spool, name, key);

	kw_put_u64(key + 2 * SPOOL_TAG_SIZE, member);
	return err != KW_OK || name->ref[0] == '\0' ? err
		: spool_put(spool, txn, T_NAMES, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
}

enum kw_err spool_case_call_local(struct spool *spool, MDB_txn *txn, const struct spool_case_found *found, uint64_t member)
{
	uint8_t key[SPOOL_NAME_KEY_SIZE];

	if (!found->has_local)
		return KW_OK;
	enum kw_err err = local_head(spool, found->local, key);
	kw_put_u64(key + 2 * SPOOL_TAG_SIZE, member);
	return err != KW_OK ? err : spool_put(spool, txn, T_NAMES, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
}

struct merge {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t from;
	uint64_t into;
};

static enum kw_err move_member(void *user, uint64_t member)
{
	const struct merge *merge = user;
	uint8_t key[SPOOL_CASE_KEY_SIZE];
	uint8_t thread_key[SPOOL_THREAD_KEY_SIZE];
	enum kw_err err = spool_case_head(merge->spool, merge->from, key);

	kw_put_u64(key + SPOOL_TAG_SIZE, member);
	if (err == KW_OK)
		err = spool_del(merge->spool, merge->txn, T_CASES, KW_VIEW_OF(key), NULL);
	if (err == KW_OK && (member & SPOOL_MEMBER_OFFER) != 0) {
		struct spool_offer offer = {0};

		err = spool_offer_get(merge->spool, merge->txn, member & ~SPOOL_MEMBER_OFFER, &offer);
		const struct spool_offer before = offer;
		offer.case_id = merge->into;
		if (err == KW_OK)
			err = spool_offer_put(merge->spool, merge->txn, &offer, &before);
	} else if (err == KW_OK) {
		struct spool_thread thread = {0};

		err = spool_case_member(merge->spool, merge->txn, member, thread_key, &thread);
		thread.case_id = merge->into;
		if (err == KW_OK)
			err = spool_thread_put(merge->spool, merge->txn, thread_key, &thread);
	}
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK; /* what cannot be read cannot be asked either */
	return err != KW_OK ? err : spool_case_add(merge->spool, merge->txn, merge->into, member);
}

static enum kw_err put_local(struct spool *spool, MDB_txn *txn, uint64_t case_id, const uint8_t *tag)
{
	uint8_t key[SPOOL_CASE_KEY_SIZE] = {0};
	enum kw_err err = spool_case_head(spool, case_id, key);

	return err != KW_OK ? err : spool_put(spool, txn, T_CASES, KW_VIEW_OF(key), KW_VIEW(tag, SPOOL_TAG_SIZE));
}

static enum kw_err merge(struct spool *spool, MDB_txn *txn, uint64_t from, uint64_t into)
{
	struct merge merge = {spool, txn, from, into};
	uint8_t head[SPOOL_CASE_KEY_SIZE] = {0};
	enum kw_err err = spool_case_head(spool, from, head);

	if (err == KW_OK)
		err = spool_case_walk(spool, txn, &(struct spool_case_rows){T_CASES, head, SPOOL_TAG_SIZE, SPOOL_CASE_KEY_SIZE, move_member, &merge});
	return err != KW_OK ? err : spool_del(spool, txn, T_CASES, KW_VIEW_OF(head), NULL);
}

static enum kw_err make(uint64_t *out)
{
	enum kw_err err = KW_OK;

	for (*out = 0; err == KW_OK && *out == 0;)
		err = kw_random(out, sizeof(*out));
	return err;
}

enum kw_err spool_case_settle(struct spool *spool, MDB_txn *txn, const struct spool_case_found *found, uint64_t *out)
{
	enum kw_err err = KW_OK;

	*out = found->list[0];
	if (found->count == 0)
		err = make(out);
	for (uint32_t i = 1; err == KW_OK && i < found->count; i++)
		err = merge(spool, txn, found->list[i], *out);
	return err != KW_OK || !found->has_local ? err : put_local(spool, txn, *out, found->local);
}

enum kw_err spool_case_theirs(struct spool *spool, MDB_txn *txn, const struct kw_name *agency, const char *case_ref,
	uint64_t *out)
{
	struct seen seen;
	enum kw_err err = by_name(spool, txn, &(struct spool_case_name){agency, case_ref}, &seen);

	*out = seen.first;
	return err != KW_OK || *out != 0 ? err : make(out);
}

enum kw_err spool_case_offer_old(struct spool *spool, MDB_txn *txn, struct spool_offer *offer)
{
	static const uint8_t none[SPOOL_CASE_TAG_SIZE];
	uint8_t key[SPOOL_NAME_KEY_SIZE];
	struct seen seen = {.spool = spool, .txn = txn};
	bool named = memcmp(offer->case_tag, none, sizeof(none)) != 0;
	enum kw_err err = spool_case_name_head(spool, &(struct spool_case_name){.ref = ""}, key);

	memcpy(key, offer->case_tag, SPOOL_CASE_TAG_SIZE);
	kw_put_u64(key + 2 * SPOOL_TAG_SIZE, offer->number | SPOOL_MEMBER_OFFER);
	if (err == KW_OK && named)
		err = spool_case_walk(spool, txn, &(struct spool_case_rows){T_NAMES, key, 2 * SPOOL_TAG_SIZE, SPOOL_NAME_KEY_SIZE, see_member, &seen});
	offer->case_id = seen.first;
	if (err == KW_OK && seen.first == 0)
		err = make(&offer->case_id);
	if (err == KW_OK && named)
		err = spool_put(spool, txn, T_NAMES, KW_VIEW_OF(key), KW_VIEW(NULL, 0));
	return err != KW_OK ? err : spool_case_add(spool, txn, offer->case_id, offer->number | SPOOL_MEMBER_OFFER);
}

enum kw_err spool_case_alias(struct spool *spool, MDB_txn *txn, struct spool_thread *thread)
{
	struct spool_case_wish wish = {.present = thread->case_id, .own_ref = thread->alias};
	struct spool_case_found found;
	enum kw_err err = spool_case_find(spool, txn, &wish, &found);

	/* Two cases of the caller's, or a pseudonym that we gave to two: nothing is made one. */
	if (err != KW_OK || found.fault != AGT_FAULT_NONE || found.count < 2)
		return err;
	return spool_case_settle(spool, txn, &found, &thread->case_id);
}
