#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "proto/wire/seal.h"
#include "tests/kit/prng.h"
#include "tests/kit/spool_rig.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <lmdb.h>

/* Contents and their keys: what a thief finds who has every file of the spool, every page of them, and the store key. */

#define SECRET "the girl with the red scarf"
#define OTHER "the boy at the well"

/* A referral of ours in thread `thread`, which it opens. */
static void refer(struct rig *rig, uint8_t n, uint8_t thread, const char *agency, const char *text)
{
	struct said said = {.n = n, .thread = thread, .agency = agency, .sequence = 1};
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&said));
	op->u.append.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .opening = true, .state = KW_REFERRAL_QUEUED,
		.risk = KW_RISK_HIGH, .content_type = 10, .service = 3, .case_ref = "K-17"};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	run(rig, op);
}

static struct spool_op *receive_op(uint8_t n, uint8_t thread, const char *agency, const char *text)
{
	struct said said = {.n = n, .thread = thread, .agency = agency, .sequence = 1};
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, n, item_of(&said));
	op->u.receive.item.message_id = id(n);
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	return op;
}

static struct spool_op *referral_op(uint8_t n, uint8_t thread, const char *text)
{
	struct spool_op *op = receive_op(n, thread, THEM, text);
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .opening = true, .state = KW_REFERRAL_QUEUED,
		.risk = KW_RISK_HIGH, .content_type = 10, .case_ref = "K-17"};
	return op;
}

static void receive(struct rig *rig, uint8_t n, uint8_t thread, const char *text)
{
	run(rig, referral_op(n, thread, text));
}

static struct spool_erasure *question(uint8_t thread)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(thread), .action = SPOOL_ERASE_ACTION, .reason = 1, .from = 1,
		.purposes = 2, .asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static void asked_to_erase(struct rig *rig, uint8_t n, uint8_t thread, const char *agency, bool manual)
{
	struct spool_op *op = receive_op(n, thread, agency, "erase it");
	op->u.receive.erasure = question(thread);
	op->u.receive.erase_manual = manual;
	run(rig, op);
}

static uint32_t withdraw(struct rig *rig, const char *case_ref)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "%s", case_ref);
	op->u.withdraw.erasure = question(0);
	run(rig, op);
	return rig->count;
}

static bool shows(struct rig *rig, uint8_t message, const char *text)
{
	struct spool_item item;
	struct kw_id key = id(message);
	bool received;
	struct kw_buf content;
	kw_buf_init(&content, 65536);
	assert_int_equal(spool_show(rig->spool, &key, &item, &received, &content), KW_OK);
	bool out = kw_view_equal(kw_buf_view(&content), kw_view_str(text));
	assert_true(out || content.size == 0);
	kw_buf_fini(&content);
	return out;
}

static int count_follow(void *user, const struct spool_follow *follow, enum spool_follow_what what)
{
	int *count = user;
	*count += follow->what == what;
	return 1;
}

static bool count_acks(void *user, const struct spool_follow *follow)
{
	return count_follow(user, follow, SPOOL_FOLLOW_ACK) != 0;
}

static bool count_erases(void *user, const struct spool_follow *follow)
{
	return count_follow(user, follow, SPOOL_FOLLOW_ERASE) != 0;
}

static int follows(struct rig *rig, bool (*each)(void *user, const struct spool_follow *follow))
{
	int count = 0;
	assert_int_equal(spool_follows(rig->spool, 0, each, &count), KW_OK);
	return count;
}

/* ------------------------------------------------------------------------------------------------------------ the thief */

struct bytes {
	uint8_t *data;
	size_t size;
};

/* A whole file; empty when it is not there. */
static struct bytes slurp(const char *path)
{
	struct bytes out = {0};
	struct stat file;
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return out;
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
		close(fd);
		return out;
	}
	out.data = malloc((size_t)file.st_size + 1);
	out.size = (size_t)read(fd, out.data, (size_t)file.st_size);
	close(fd);
	return out;
}

struct thief {
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t keys[64][SPOOL_KEY_SIZE]; /* of the vault, wherever they lie in its files */
	size_t count;
	size_t opened;
};

static bool try_open(const uint8_t *key, struct kw_view aad, struct kw_view sealed, uint8_t *out)
{
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = sealed.data};
	return sealed.size > 28 && kw_aead_open(&aead, aad, KW_VIEW(sealed.data + 12, sealed.size - 12), out) == KW_OK;
}

/* Every place of a file where 60 bytes could be a key under this id: also in freed pages. */
static void steal_keys(struct thief *thief, const char *path, const uint8_t *ids, size_t id_count)
{
	struct bytes file = slurp(path);
	for (size_t at = 0; at + 60 <= file.size; at++) {
		for (size_t i = 0; i < id_count && thief->count < 64; i++) {
			if (try_open(thief->row_key, KW_VIEW(ids + i * 16, 16), KW_VIEW(file.data + at, 60), thief->keys[thief->count]))
				thief->count++;
		}
	}
	free(file.data);
}

/* Every place of the spool where a row of this table, key and size could begin, opened with every key that there is; also in
 * freed pages. Returns whether the text was found. */
static bool find_text(struct thief *thief, const char *path, uint8_t table, uint64_t number, const char *text)
{
	struct bytes file = slurp(path);
	uint8_t aad[9] = {table};
	uint8_t plain[2][4096];
	size_t inner = strlen(text) + 1 + 28;
	size_t head = table == 7 ? 288 : 0; /* T_INBOX: item ‖ content */
	bool found = false;
	kw_put_u64(aad + 1, number);
	for (size_t at = 0; at + head + inner + 28 <= file.size; at++) {
		struct kw_view old = KW_VIEW(file.data + at, head + strlen(text) + 28);
		if (try_open(thief->row_key, KW_VIEW_OF(aad), old, plain[0]))
			found = found || memcmp(plain[0] + head, text, strlen(text)) == 0;
		if (!try_open(thief->row_key, KW_VIEW_OF(aad), KW_VIEW(file.data + at, head + inner + 28), plain[0]))
			continue;
		thief->opened++;
		for (size_t k = 0; k < thief->count; k++)
			found = found || (try_open(thief->keys[k], KW_VIEW_OF(aad), KW_VIEW(plain[0] + head + 1, inner - 1), plain[1]) &&
				memcmp(plain[1], text, strlen(text)) == 0);
	}
	free(file.data);
	return found;
}

static void steal_row_key(const struct rig *rig, struct thief *thief)
{
	const struct kw_view rows = kw_view_str("kw1 spool rows");
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(rig->key), .parts = &rows, .parts_count = 1};
	assert_int_equal(kw_hkdf_expand(&hkdf, thief->row_key, SPOOL_KEY_SIZE), KW_OK);
}

static void tag_of(const struct rig *rig, struct kw_view text, uint8_t *out)
{
	const struct kw_view tags = kw_view_str("kw1 spool tags");
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(rig->key), .parts = &tags, .parts_count = 1};
	uint8_t key[SPOOL_KEY_SIZE];
	struct kw_digest mac;
	assert_int_equal(kw_hkdf_expand(&hkdf, key, SPOOL_KEY_SIZE), KW_OK);
	assert_int_equal(kw_hmac_sha256(KW_VIEW_OF(key), &text, 1, &mac), KW_OK);
	memcpy(out, mac.bytes, 8);
}

/* Every key of `count` threads from `first` on that lies in the vault's files. */
static void steal_vault(const struct rig *rig, struct thief *thief, uint8_t first, uint8_t count)
{
	uint8_t ids[2 * 16];
	char path[400];
	assert_in_range(count, 1, 2);
	steal_row_key(rig, thief);
	for (uint8_t i = 0; i < count; i++) {
		struct kw_id thread = id((uint8_t)(first + i));
		tag_of(rig, KW_VIEW_OF(thread.bytes), ids + i * 16);
		tag_of(rig, kw_view_str(THEM), ids + i * 16 + 8);
	}
	snprintf(path, sizeof(path), "%s/keys", rig->path);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		snprintf(path, sizeof(path), "%s/keys/%.200s", rig->path, entry->d_name);
		steal_keys(thief, path, ids, count);
	}
	closedir(folder);
}

/* Whether the vault's files still have a key of this thread. */
static bool has_key(const struct rig *rig, uint8_t thread)
{
	struct thief *thief = calloc(1, sizeof(*thief));
	steal_vault(rig, thief, thread, 1);
	bool out = thief->count > 0;
	free(thief);
	return out;
}

/* Takes everything: each file of the spool's folder and of the vault's. */
static bool thief_finds(const struct rig *rig, uint8_t table, uint64_t number, const char *text, size_t *opened)
{
	struct thief *thief = calloc(1, sizeof(*thief));
	char path[400];
	bool found = false;
	steal_vault(rig, thief, 1, 2);
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	found = find_text(thief, path, table, number, text);
	*opened = thief->opened;
	free(thief);
	return found;
}

/* What the sixth and eighth tables are: the order of enum spool_table is the order on disk. */
#define SENTBODY 5
#define INBOX 7

static void test_a_thief_finds_what_is_not_erased(void **state)
{
	struct rig *rig = *state;
	size_t opened;
	refer(rig, 1, 1, THEM, SECRET);
	receive(rig, 2, 2, OTHER);
	close_spool(rig);
	assert_true(thief_finds(rig, SENTBODY, 1, SECRET, &opened)); /* or the cases below prove nothing */
	assert_true(thief_finds(rig, INBOX, 1, OTHER, &opened));
}

static void test_of_an_erased_thread_the_author_keeps_no_content(void **state)
{
	struct rig *rig = *state;
	struct spool_thread thread;
	size_t opened;
	struct kw_id first = id(1);
	struct kw_name agency = name(THEM);
	refer(rig, 1, 1, THEM, SECRET);
	receive(rig, 2, 2, OTHER);
	assert_true(shows(rig, 101, SECRET));
	assert_int_equal(withdraw(rig, "K-17"), 2); /* both are of that pseudonym: the one we opened and theirs */
	assert_false(shows(rig, 101, SECRET));
	assert_false(shows(rig, 2, OTHER));
	assert_int_equal(follows(rig, count_erases), 2);
	/* What an audit needs is there, and nothing of the case. */
	assert_int_equal(spool_thread(rig->spool, &first, &agency, &thread), KW_OK);
	assert_int_equal(thread.record.opened_ms, NOW);
	assert_string_equal(thread.case_ref, "");
	assert_int_equal(thread.service, 0);
	close_spool(rig);
	assert_false(thief_finds(rig, SENTBODY, 1, SECRET, &opened));
	assert_int_not_equal(opened, 0); /* the row is there and opens under the store key; its content does not */
	assert_false(thief_finds(rig, INBOX, 1, OTHER, &opened));
	assert_int_not_equal(opened, 0);
	open_spool(rig);
	assert_false(shows(rig, 101, SECRET));
	assert_int_equal(withdraw(rig, "K-17"), 0);
}

static void test_a_holder_answers_when_the_key_is_gone(void **state)
{
	struct rig *rig = *state;
	size_t opened;
	receive(rig, 2, 1, SECRET);
	receive(rig, 3, 2, OTHER);
	asked_to_erase(rig, 4, 1, THEM, false);
	assert_false(shows(rig, 2, SECRET));
	assert_true(shows(rig, 3, OTHER));
	assert_int_equal(follows(rig, count_acks), 1);
	close_spool(rig);
	assert_false(thief_finds(rig, INBOX, 1, SECRET, &opened));
	assert_true(thief_finds(rig, INBOX, 2, OTHER, &opened));
}

static void test_nobody_erases_the_threads_of_others(void **state)
{
	struct rig *rig = *state;
	receive(rig, 2, 1, SECRET);
	asked_to_erase(rig, 4, 1, "agency-c", false);
	assert_true(shows(rig, 2, SECRET));
}

static void test_what_comes_after_the_erasure_is_not_kept(void **state)
{
	struct rig *rig = *state;
	asked_to_erase(rig, 4, 1, THEM, false); /* it overtook the referral */
	assert_int_equal(follows(rig, count_acks), 1);
	receive(rig, 2, 1, SECRET);
	assert_false(shows(rig, 2, SECRET));
	receive(rig, 2, 1, SECRET);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REPEATS), 1);
	assert_false(shows(rig, 2, SECRET));
}

static void test_manual_waits_for_a_person(void **state)
{
	struct rig *rig = *state;
	struct spool_op *op;
	receive(rig, 2, 1, SECRET);
	asked_to_erase(rig, 4, 1, THEM, true);
	assert_true(shows(rig, 2, SECRET));
	assert_int_equal(follows(rig, count_acks), 0);
	op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(1);
	op->u.answer.erasure = question(1);
	op->u.answer.erasure->outcome = SPOOL_ERASE_RETAINED;
	op->u.answer.erasure->ground = 2;
	run(rig, op);
	assert_int_equal(rig->count, 1);
	assert_true(shows(rig, 2, SECRET));
	assert_int_equal(follows(rig, count_acks), 1);
	op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(1);
	op->u.answer.erasure = question(1);
	op->u.answer.erasure->outcome = SPOOL_ERASE_DONE;
	run(rig, op);
	assert_false(shows(rig, 2, SECRET));
	assert_int_equal(follows(rig, count_acks), 2);
}

static void test_an_erased_thread_takes_nothing_more_from_us(void **state)
{
	struct rig *rig = *state;
	receive(rig, 2, 1, SECRET);
	asked_to_erase(rig, 4, 1, THEM, false);
	run(rig, append_op(rig, KW_NORMAL, item_of(&(struct said){.n = 90, .thread = 1})));
	assert_int_equal(rig->fault, AGT_FAULT_ERASED);
}

/* -------------------------------------------------------------------------------------------------------------- upgrade */

/* Writes a row as every schema does: CRC-32C over table, key and the rest; version 1. */
static void put_row(MDB_txn *txn, const char *table, uint8_t number, struct kw_view key, struct kw_view payload)
{
	uint8_t row[1024];
	MDB_dbi dbi;
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	row[4] = 1;
	memcpy(row + 5, payload.data, payload.size);
	uint32_t crc = kw_crc32c(kw_crc32c(0, &number, 1), key.data, key.size);
	kw_put_u32(row, kw_crc32c(crc, row + 4, payload.size + 1));
	MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
	MDB_val v = {.mv_size = payload.size + 5, .mv_data = row};
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
}

static void put_sealed(const struct thief *thief, MDB_txn *txn, const char *table, uint8_t number, struct kw_view key,
	struct kw_view plain)
{
	uint8_t aad[64] = {number};
	uint8_t sealed[1024] = {9};
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = thief->row_key, .nonce = sealed};
	memcpy(aad + 1, key.data, key.size);
	assert_int_equal(kw_aead_seal(&aead, KW_VIEW(aad, key.size + 1), plain, sealed + 12), KW_OK);
	put_row(txn, table, number, key, KW_VIEW(sealed, plain.size + 28));
}

/* Makes of a spool with one referral of ours and one for us what schema 2 had: contents under the store key alone. */
static void make_old(const struct rig *rig, const struct thief *thief)
{
	static const char sent[] = SECRET, received[] = OTHER;
	uint8_t number[8] = {0, 0, 0, 0, 0, 0, 0, 1};
	uint8_t thread[224] = {0};
	uint8_t key[16];
	uint8_t plain[1024];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k, v;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_set_mapsize(env, MAP_SIZE), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	put_sealed(thief, txn, "sentbody", SENTBODY, KW_VIEW_OF(number), KW_VIEW(sent, sizeof(sent) - 1));
	assert_int_equal(mdb_dbi_open(txn, "inbox", 0, &dbi), 0);
	k = (MDB_val){.mv_size = 8, .mv_data = number};
	assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
	uint8_t aad[9] = {INBOX};
	memcpy(aad + 1, number, 8);
	assert_true(try_open(thief->row_key, KW_VIEW_OF(aad), KW_VIEW((const uint8_t *)v.mv_data + 5, v.mv_size - 5), plain));
	memcpy(plain + 288, received, sizeof(received) - 1);
	put_sealed(thief, txn, "inbox", INBOX, KW_VIEW_OF(number), KW_VIEW(plain, 288 + sizeof(received) - 1));
	/* version, kind, party, state, risk; expected, next, opened, changed; log count, number; service; id, agency, case */
	thread[0] = 1;
	thread[1] = KW_THREAD_REFERRAL;
	thread[3] = KW_REFERRAL_QUEUED;
	thread[4] = KW_RISK_HIGH;
	kw_put_u64(thread + 8, 1);
	kw_put_u64(thread + 16, 2);
	kw_put_u64(thread + 24, NOW);
	kw_put_u64(thread + 32, NOW);
	kw_put_u32(thread + 40, 1);
	kw_put_u64(thread + 48, 1);
	kw_put_u32(thread + 56, 3);
	memset(thread + 64, 1, 16);
	memcpy(thread + 80, THEM, sizeof(THEM) - 1);
	memcpy(thread + 144, "K-17", 4);
	struct kw_id first = id(1);
	tag_of(rig, KW_VIEW_OF(first.bytes), key);
	tag_of(rig, kw_view_str(THEM), key + 8);
	put_sealed(thief, txn, "threads", 17, KW_VIEW_OF(key), KW_VIEW_OF(thread));
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	k = (MDB_val){.mv_size = 5, .mv_data = (void *)(uintptr_t)"state"};
	assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
	memcpy(plain, (const uint8_t *)v.mv_data + 5, v.mv_size - 5);
	kw_put_u64(plain, 2); /* the schema is the first number */
	put_row(txn, "meta", 0, kw_view_str("state"), KW_VIEW(plain, v.mv_size - 5));
	static const char *const gone[] = {"erasure", "shred"};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mdb_dbi_open(txn, gone[i], 0, &dbi), 0);
		assert_int_equal(mdb_drop(txn, dbi, 1), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	char path[200];
	static const char *const files[] = {"keys/data.mdb", "keys/lock.mdb", "keys"};
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", rig->path, files[i]);
		assert_int_equal(remove(path), 0);
	}
}

static void test_an_old_spool_is_sealed_anew_and_its_old_pages_are_gone(void **state)
{
	struct rig *rig = *state;
	struct thief *thief = calloc(1, sizeof(*thief));
	struct spool_thread thread;
	struct kw_id first = id(1);
	struct kw_name agency = name(THEM);
	size_t opened;
	steal_row_key(rig, thief);
	refer(rig, 1, 1, THEM, "-");
	receive(rig, 2, 2, "-");
	close_spool(rig);
	make_old(rig, thief);
	char path[200];
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	assert_true(find_text(thief, path, SENTBODY, 1, SECRET)); /* without any key of the vault: that is the old way */
	assert_true(find_text(thief, path, INBOX, 1, OTHER));
	open_spool(rig);
	assert_true(shows(rig, 101, SECRET));
	assert_true(shows(rig, 2, OTHER));
	assert_int_equal(spool_thread(rig->spool, &first, &agency, &thread), KW_OK);
	assert_string_equal(thread.case_ref, "K-17");
	assert_int_equal(thread.service, 3);
	close_spool(rig);
	thief->count = 0;
	assert_false(find_text(thief, path, SENTBODY, 1, SECRET));
	assert_false(find_text(thief, path, INBOX, 1, OTHER));
	assert_true(thief_finds(rig, SENTBODY, 1, SECRET, &opened)); /* with the vault it is readable, as it should be */
	open_spool(rig);
	assert_int_equal(withdraw(rig, "K-17"), 1); /* the other's pseudonym went with the vault that was taken away above */
	assert_false(shows(rig, 101, SECRET));
	free(thief);
}

/* ----------------------------------------------------------------------------------------------------------------- kill */

#define THREADS 119u
#define KILLS_AT_START 5
#define KILLS_RECEIVING 5
#define KILLS_ERASING 15

/* Receives, then erases thread after thread, and says each step once it is done, until it is killed. */
static void erase_for_ever(struct rig *rig, int done)
{
	uv_loop_init(&rig->loop);
	if (try_open_spool(rig, MAP_SIZE) != KW_OK)
		_exit(1);
	for (uint32_t step = 0; step < 2 * THREADS; step++) {
		uint8_t n = (uint8_t)(step % THREADS + 1);
		struct spool_op *op;
		if (step < THREADS) {
			op = referral_op(n, n, SECRET);
		} else {
			op = receive_op((uint8_t)(n + THREADS + 1), n, THEM, "erase it");
			op->u.receive.erasure = question(n);
		}
		if (try_run(rig, op) != KW_OK || write(done, "x", 1) != 1)
			_exit(1);
	}
	(void)pause(); /* the pipe stays open until the kill */
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Kills the child somewhere in the step that follows `wanted` ones. Where in it comes from how long the last step took, or,
 * before the first one, `open_us`: on a slow machine everything is as much later. Returns how many steps it has said. */
static uint32_t kill_after(struct rig *rig, uint32_t wanted, uint32_t permille, int64_t *open_us)
{
	int done[2];
	char byte;
	assert_int_equal(pipe(done), 0);
	fflush(NULL);
	int64_t was = now_us();
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		erase_for_ever(rig, done[1]);
	close(done[1]);
	int64_t step_us = *open_us;
	uint32_t said = 0;
	for (; said < wanted; said++) {
		assert_int_equal(read(done[0], &byte, 1), 1);
		step_us = now_us() - was;
		was += step_us;
		if (said == 0)
			*open_us = step_us;
	}
	usleep((useconds_t)(step_us * permille / 1000));
	kill(child, SIGKILL);
	while (read(done[0], &byte, 1) == 1)
		said++;
	close(done[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return said;
}

/* Steps to wait for, so that it dies in every phase whatever the speed: before it has said anything, as it receives, and as
 * it erases from the first thread to the last. */
static uint32_t step_of(struct prng *prng, int round)
{
	if (round == 0)
		return 1; /* tells how long a start takes */
	if (round < KILLS_AT_START)
		return 0;
	round -= KILLS_AT_START;
	if (round < KILLS_RECEIVING)
		return 1 + (uint32_t)prng_below(prng, THREADS - 1);
	round -= KILLS_RECEIVING;
	return THREADS + (uint32_t)(prng_below(prng, THREADS) + THREADS * (uint64_t)round) / KILLS_ERASING;
}

struct tally {
	uint32_t done;
	uint32_t open;
};

static bool count_erasure(void *user, const struct spool_erasure *erasure)
{
	struct tally *tally = user;
	tally->done += erasure->outcome == SPOOL_ERASE_DONE;
	tally->open += erasure->outcome == 0;
	return true;
}

static struct tally tally_of(struct rig *rig, bool open)
{
	struct tally out = {0};
	assert_int_equal(spool_erasures(rig->spool, open, count_erasure, &out), KW_OK);
	return out;
}

static void test_what_has_no_answer_is_on_a_list_of_its_own(void **state)
{
	struct rig *rig = *state;
	receive(rig, 1, 201, SECRET);
	receive(rig, 2, 202, SECRET);
	asked_to_erase(rig, 3, 201, "agency-b", true);
	asked_to_erase(rig, 4, 202, "agency-b", false);
	assert_true(tally_of(rig, false).open == 1 && tally_of(rig, false).done == 1);
	assert_true(tally_of(rig, true).open == 1 && tally_of(rig, true).done == 0);
	struct spool_op *op = spool_op_new(SPOOL_OP_ANSWER);
	op->u.answer.thread_id = id(201);
	op->u.answer.erasure = question(201);
	op->u.answer.erasure->outcome = SPOOL_ERASE_DONE;
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
	assert_true(tally_of(rig, false).done == 2);
	assert_true(tally_of(rig, true).open == 0 && tally_of(rig, true).done == 0);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_DAMAGED), 0);
}

/* After a death: a content is readable or was asked to go, every answer has its key gone, every erasure its answer, and what
 * was said to be done is done. Returns how many erasures there are. */
static uint32_t look_after_kill(struct rig *rig, uint32_t said)
{
	open_spool(rig);
	const struct tally tally = tally_of(rig, false), open = tally_of(rig, true);
	assert_true(open.open == tally.open && open.done == 0);
	assert_int_equal(tally.open, 0); /* the start has done what was on the list */
	assert_int_equal(follows(rig, count_acks), tally.done);
	uint32_t received = (uint32_t)spool_count(rig->spool, SPOOL_COUNT_RECEIVED);
	assert_in_range(received, said, said + 1); /* the one that it died in may be there */
	uint32_t readable = 0;
	for (uint8_t n = 1; n <= THREADS && n <= received; n++)
		readable += shows(rig, n, SECRET);
	assert_int_equal(readable + tally.done, received < THREADS ? received : THREADS);
	assert_int_equal(tally.done, received < THREADS ? 0 : received - THREADS);
	char old[200];
	snprintf(old, sizeof(old), "%s/keys/old", rig->path);
	assert_int_not_equal(access(old, F_OK), 0);
	close_spool(rig);
	if (tally.done > 0)
		assert_false(has_key(rig, (uint8_t)tally.done)); /* the one that it died in, or the last before that */
	if (tally.done < THREADS && received > 0)
		assert_true(has_key(rig, (uint8_t)(tally.done + 1)));
	return tally.done;
}

static void test_a_kill_loses_no_erasure_and_no_content(void **state)
{
	struct rig *rig = *state;
	struct prng prng = {.state = 1};
	int64_t open_us = 0;
	uint32_t seen = 0, unsaid = 0;
	close_spool(rig);
	for (int round = 0; round < KILLS_AT_START + KILLS_RECEIVING + KILLS_ERASING; round++) {
		struct stat folder;
		/* The round before may have been killed before the spool had its name. */
		assert_true(folder_remove(rig->path) == 0 || errno == ENOENT);
		uint32_t wanted = step_of(&prng, round);
		uint32_t said = kill_after(rig, wanted, (uint32_t)prng_below(&prng, 1000), &open_us);
		if (said == 0 && stat(rig->path, &folder) != 0)
			continue; /* killed before the spool had its name */
		uint32_t erased = look_after_kill(rig, said);
		unsaid += erased > 0 && erased + THREADS > said;
		seen += erased;
	}
	assert_int_not_equal(seen, 0);
	printf("%u erasures were done when it was killed; %u times it died between doing one and saying so\n", seen, unsaid);
	open_spool(rig);
}

static void no_done(struct spool_op *op, enum kw_err err)
{
	(void)op;
	assert_int_equal(err, KW_OK);
}

/* What an erasure costs: the vault is written anew, so it grows with the threads. */
static void test_what_it_costs_is_told(void **state)
{
	struct rig *rig = *state;
	struct timespec from, to;
	for (uint32_t n = 1; n <= 20000; n++) {
		struct spool_op *op = receive_op(1, 1, THEM, SECRET);
		kw_put_u32(op->u.receive.item.message_id.bytes, n);
		kw_put_u32(op->u.receive.item.thread_id.bytes, n);
		kw_put_u32(op->u.receive.item.digest.bytes, n);
		op->done = no_done;
		spool_do(rig->spool, op);
	}
	wait_done(rig);
	receive(rig, 200, 2, OTHER);
	clock_gettime(CLOCK_MONOTONIC, &from);
	asked_to_erase(rig, 201, 2, THEM, false);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("one erasure beside 20,000 threads: %.0f ms\n",
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	assert_false(shows(rig, 200, OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_a_thief_finds_what_is_not_erased),
		SPOOL_CASE(test_of_an_erased_thread_the_author_keeps_no_content),
		SPOOL_CASE(test_a_holder_answers_when_the_key_is_gone),
		SPOOL_CASE(test_nobody_erases_the_threads_of_others),
		SPOOL_CASE(test_what_comes_after_the_erasure_is_not_kept),
		SPOOL_CASE(test_manual_waits_for_a_person),
		SPOOL_CASE(test_what_has_no_answer_is_on_a_list_of_its_own),
		SPOOL_CASE(test_an_erased_thread_takes_nothing_more_from_us),
		SPOOL_CASE(test_an_old_spool_is_sealed_anew_and_its_old_pages_are_gone),
		SPOOL_CASE(test_what_it_costs_is_told),
		SPOOL_CASE(test_a_kill_loses_no_erasure_and_no_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
