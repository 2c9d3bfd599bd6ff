#include <stdlib.h>
#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_thread_inner.h"

/* Whose a case is, run by the writer: the transfers of a case, open ones and those that are over, are looked for by
 * pseudonym and added up by agent/core/owner.h. A case has several pseudonyms, one a pair of agencies and one that the new
 * owner gives it; a thread that knows two of them ties their cases together. Of an erased thread the keyed hashes are left.
 *
 * It looks at every thread, as a withdrawal of consent does; a transfer is begun as seldom. */

/* One transfer. */
struct one {
	uint8_t key[SPOOL_THREAD_KEY_SIZE];
	struct agt_thread record;
	uint32_t log_count;
	uint8_t tags[2][SPOOL_TAG_SIZE];
	bool counted;
};

struct many {
	uint32_t count;
	uint32_t cap;
	struct one *list;
};

static const uint8_t none[SPOOL_TAG_SIZE];

static bool is_tag(const uint8_t *tag)
{
	return memcmp(tag, none, sizeof(none)) != 0;
}

static enum kw_err put_tags(struct spool *spool, MDB_txn *txn, const struct spool_thread *thread, struct one *out)
{
	struct spool_erasure erasure;
	struct agt_erase row;
	enum kw_err err = spool_case_tag(spool, thread->case_ref, out->tags[0]);

	if (err == KW_OK)
		err = spool_case_tag(spool, thread->alias, out->tags[1]);
	if (err != KW_OK || is_tag(out->tags[0]) || is_tag(out->tags[1]))
		return err;
	err = spool_erasure_find(spool, txn, out->key, &erasure, &row);
	memcpy(out->tags[0], erasure.case_tag, sizeof(out->tags[0]));
	memcpy(out->tags[1], erasure.alias_tag, sizeof(out->tags[1]));
	return err;
}

static enum kw_err add(struct spool *spool, MDB_txn *txn, struct kw_view key, struct many *many)
{
	struct spool_thread thread;

	/* A damaged one counts for nothing: it refuses what would move it, and there is nothing to know it by. */
	if (key.size != SPOOL_THREAD_KEY_SIZE || spool_thread_get(spool, txn, key.data, &thread) != KW_OK ||
		thread.record.kind != KW_THREAD_TRANSFER)
		return KW_OK;
	if (many->count == many->cap) {
		uint32_t cap = many->cap == 0 ? 32 : many->cap * 2;
		struct one *list = realloc(many->list, cap * sizeof(*list));

		if (list == NULL)
			return KW_ENOMEM;
		many->list = list;
		many->cap = cap;
	}
	struct one *one = &many->list[many->count++];
	*one = (struct one){.record = thread.record, .log_count = thread.log_count};
	memcpy(one->key, key.data, sizeof(one->key));
	return put_tags(spool, txn, &thread, one);
}

static enum kw_err gather(struct spool *spool, MDB_txn *txn, struct many *many)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	enum kw_err err = spool_mdb(mdb_cursor_open(txn, spool->tables[T_THREADNO], &cursor));

	if (err != KW_OK)
		return err;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	for (; err == KW_OK && rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		struct kw_view key;

		if (spool_check(T_THREADNO, KW_VIEW(k.mv_data, k.mv_size), &v, &key) == KW_OK)
			err = add(spool, txn, key, many);
	}
	mdb_cursor_close(cursor);
	return err != KW_OK || rc == MDB_NOTFOUND ? err : spool_mdb(rc);
}

/* The number of our message that moved it; UINT64_MAX when its log does not say. */
static enum kw_err moved_at(struct spool *spool, MDB_txn *txn, const struct one *one, uint64_t *out)
{
	uint8_t word = 0;
	enum kw_err err = KW_OK;

	*out = UINT64_MAX;
	if (!agt_case_moved(&one->record, &word))
		return KW_OK;
	for (uint32_t n = 1; err == KW_OK && n <= one->log_count; n++) {
		struct spool_log log;

		err = spool_log_get(spool, txn, one->key, n, &log);
		if (err == KW_OK && log.event.author == AGT_THREAD_OURS && log.event.state == word && !log.lost) {
			*out = log.number;
			break;
		}
	}
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static bool is_same(const struct one *one, const uint8_t (*tags)[SPOOL_TAG_SIZE])
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			if (is_tag(tags[j]) && memcmp(one->tags[i], tags[j], SPOOL_TAG_SIZE) == 0)
				return true;
	return false;
}

/* Adds those that share a pseudonym with `tags`, then those that share one with them, until there are no more. */
static enum kw_err add_up(struct spool *spool, MDB_txn *txn, struct many *many, const uint8_t (*tags)[SPOOL_TAG_SIZE],
	struct agt_case *out)
{
	uint64_t moved = 0;
	enum kw_err err = KW_OK;
	uint32_t *next = malloc((many->count + 1) * sizeof(*next));

	if (next == NULL)
		return KW_ENOMEM;
	for (uint32_t at = 0, count = 0; err == KW_OK && at <= count; at++) {
		const uint8_t(*of)[SPOOL_TAG_SIZE] = at == 0 ? tags : (const uint8_t(*)[SPOOL_TAG_SIZE])many->list[next[at]].tags;

		for (uint32_t i = 0; err == KW_OK && i < many->count; i++) {
			struct one *one = &many->list[i];

			if (one->counted || !is_same(one, of))
				continue;
			one->counted = true;
			next[++count] = i;
			err = moved_at(spool, txn, one, &moved);
			if (err == KW_OK)
				agt_case_add(out, &one->record, moved);
		}
	}
	free(next);
	return err;
}

static enum kw_err sum(struct spool *spool, MDB_txn *txn, const uint8_t (*tags)[SPOOL_TAG_SIZE], const uint8_t *but,
	struct agt_case *out)
{
	struct many many = {0};
	enum kw_err err = gather(spool, txn, &many);

	for (uint32_t i = 0; but != NULL && i < many.count; i++)
		many.list[i].counted = memcmp(many.list[i].key, but, sizeof(many.list[i].key)) == 0;
	*out = (struct agt_case){.got = 0};
	if (err == KW_OK)
		err = add_up(spool, txn, &many, tags, out);
	free(many.list);
	return err;
}

enum kw_err spool_case_of(struct spool *spool, MDB_txn *txn, const char *case_ref, const uint8_t *but,
	struct agt_case *out)
{
	uint8_t tags[2][SPOOL_TAG_SIZE] = {{0}};
	enum kw_err err = spool_case_tag(spool, case_ref, tags[0]);

	return err != KW_OK ? err : sum(spool, txn, (const uint8_t(*)[SPOOL_TAG_SIZE])tags, but, out);
}

enum kw_err spool_case_of_thread(struct spool *spool, MDB_txn *txn, const uint8_t *key, const struct spool_thread *thread,
	struct agt_case *out)
{
	struct one one = {.counted = false};
	enum kw_err err;

	memcpy(one.key, key, sizeof(one.key));
	err = put_tags(spool, txn, thread, &one);
	return err != KW_OK ? err : sum(spool, txn, (const uint8_t(*)[SPOOL_TAG_SIZE])one.tags, NULL, out);
}
