#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>
#include <uv.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/crypt.h"
#include "proto/wire/seal.h"

/* Contents and their keys: what a thief finds who has every file of the spool, every page of them, and the store key. */

#define NOW 1700000000000
#define HOUR 3600000
#define SECRET "the girl with the red scarf"
#define OTHER "the boy at the well"

struct rig {
	uv_loop_t loop;
	struct spool *spool;
	char folder[64];
	char path[96];
	uint8_t key[SPOOL_KEY_SIZE];
	uint64_t sequence;
	enum kw_err err;
	uint32_t count;
	uint64_t number;
	enum agt_thread_fault fault;
};

static void on_done(struct spool_op *op, enum kw_err err)
{
	struct rig *rig = op->user;
	rig->err = err;
	rig->count = op->count;
	rig->number = op->number;
	rig->fault = op->fault;
}

static void open_spool(struct rig *rig)
{
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = 64u << 20};
	assert_int_equal(spool_open(&options, &rig->loop, &rig->spool), KW_OK);
}

static void close_spool(struct rig *rig)
{
	spool_close(rig->spool);
	rig->spool = NULL;
	uv_run(&rig->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-erase-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/spool", rig->folder);
	memset(rig->key, 7, sizeof(rig->key));
	uv_loop_init(&rig->loop);
	open_spool(rig);
	*state = rig;
	return 0;
}

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *walk)
{
	(void)file;
	(void)kind;
	(void)walk;
	return remove(path);
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	if (rig->spool != NULL)
		close_spool(rig);
	uv_loop_close(&rig->loop);
	assert_int_equal(nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(rig);
	return 0;
}

static struct kw_name name(const char *text)
{
	struct kw_name out = {0};
	snprintf(out.text, sizeof(out.text), "%s", text);
	return out;
}

static struct kw_id id(uint8_t n)
{
	struct kw_id out;
	memset(out.bytes, n, sizeof(out.bytes));
	return out;
}

static struct kw_digest digest(uint8_t n)
{
	struct kw_digest out;
	memset(out.bytes, n, sizeof(out.bytes));
	return out;
}

static void run(struct rig *rig, struct spool_op *op)
{
	op->user = rig;
	op->done = on_done;
	spool_do(rig->spool, op);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

/* A referral of ours in thread `thread`, which it opens. */
static void refer(struct rig *rig, uint8_t n, uint8_t thread, const char *agency, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->sequence;
	op->u.append.envelope_id = id(n);
	op->u.append.expiry_hour = NOW / HOUR + 24;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = NOW;
	op->u.append.fresh = true;
	op->u.append.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .opening = true, .state = KW_REFERRAL_QUEUED,
		.risk = KW_RISK_HIGH, .content_type = 10, .service = 3, .case_ref = "K-17"};
	op->u.append.item = (struct spool_item){.message_id = id((uint8_t)(n + 100)), .thread_id = id(thread), .thread_sequence = 1,
		.agency = name(agency), .at_ms = NOW, .envelope_id = id(n), .digest = digest(n)};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
}

static struct spool_op *receive_op(uint8_t n, uint8_t thread, const char *agency, const char *text)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = n};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = (struct spool_item){.message_id = id(n), .thread_id = id(thread), .thread_sequence = 1,
		.agency = name(agency), .at_ms = NOW, .envelope_id = id(n), .digest = digest(n)};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(text)), KW_OK);
	return op;
}

static void receive(struct rig *rig, uint8_t n, uint8_t thread, const char *text)
{
	struct spool_op *op = receive_op(n, thread, "agency-b", text);
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_REFERRAL, .opening = true, .state = KW_REFERRAL_QUEUED,
		.risk = KW_RISK_HIGH, .content_type = 10, .case_ref = "K-17"};
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
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
	assert_int_equal(rig->err, KW_OK);
}

static uint32_t withdraw(struct rig *rig, const char *case_ref)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "%s", case_ref);
	op->u.withdraw.erasure = question(0);
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
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

/* Takes everything: each file of the spool's folder and of the vault's. */
static bool thief_finds(const struct rig *rig, uint8_t table, uint64_t number, const char *text, size_t *opened)
{
	struct thief *thief = calloc(1, sizeof(*thief));
	const uint8_t threads[] = {1, 2};
	uint8_t ids[2 * 16];
	char path[400];
	bool found = false;
	steal_row_key(rig, thief);
	for (size_t i = 0; i < 2; i++) {
		struct kw_id thread = id(threads[i]);
		tag_of(rig, KW_VIEW_OF(thread.bytes), ids + i * 16);
		tag_of(rig, kw_view_str("agency-b"), ids + i * 16 + 8);
	}
	snprintf(path, sizeof(path), "%s/keys", rig->path);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		snprintf(path, sizeof(path), "%s/keys/%.200s", rig->path, entry->d_name);
		steal_keys(thief, path, ids, 2);
	}
	closedir(folder);
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
	refer(rig, 1, 1, "agency-b", SECRET);
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
	struct kw_name agency = name("agency-b");
	refer(rig, 1, 1, "agency-b", SECRET);
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
	asked_to_erase(rig, 4, 1, "agency-b", false);
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
	asked_to_erase(rig, 4, 1, "agency-b", false); /* it overtook the referral */
	assert_int_equal(follows(rig, count_acks), 1);
	receive(rig, 2, 1, SECRET);
	assert_false(shows(rig, 2, SECRET));
	receive(rig, 2, 1, SECRET);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REPEATS), 1);
	assert_false(shows(rig, 2, SECRET));
}

static void names_nobody(struct rig *rig, uint8_t thread)
{
	struct kw_id thread_id = id(thread);
	struct kw_name agency = name("agency-b");
	struct spool_thread out;
	assert_int_equal(spool_thread(rig->spool, &thread_id, &agency, &out), KW_OK);
	assert_string_equal(out.case_ref, "");
	assert_string_equal(out.alias, "");
	assert_int_equal(out.service, 0);
}

static void test_no_pseudonym_comes_back_after_the_erasure(void **state)
{
	struct rig *rig = *state;
	asked_to_erase(rig, 4, 1, "agency-b", false);
	receive(rig, 2, 1, SECRET); /* its opening, which says "K-17" */
	names_nobody(rig, 1);
	/* A transfer of ours, which its new owner names in a message that crosses the Erase. */
	struct spool_op *op = receive_op(6, 3, "agency-b", "we ask for K-17");
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_TRANSFER, .opening = true, .state = KW_TRANSFER_REQUESTED,
		.risk = KW_RISK_LOW, .content_type = 11, .case_ref = "K-17"};
	run(rig, op);
	assert_int_equal(withdraw(rig, "K-17"), 1);
	op = receive_op(7, 3, "agency-b", "not any more");
	op->u.receive.item.thread_sequence = 2;
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_TRANSFER, .state = KW_TRANSFER_WITHDRAWN, .content_type = 12,
		.alias = "J-3"};
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
	names_nobody(rig, 3);
}

static void test_manual_waits_for_a_person(void **state)
{
	struct rig *rig = *state;
	struct spool_op *op;
	receive(rig, 2, 1, SECRET);
	asked_to_erase(rig, 4, 1, "agency-b", true);
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
	asked_to_erase(rig, 4, 1, "agency-b", false);
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->sequence;
	op->u.append.fresh = true;
	op->u.append.now_ms = NOW;
	op->u.append.item = (struct spool_item){.message_id = id(90), .thread_id = id(1), .agency = name("agency-b")};
	run(rig, op);
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
	assert_int_equal(mdb_env_set_mapsize(env, 64u << 20), 0);
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
	memcpy(thread + 80, "agency-b", 8);
	memcpy(thread + 144, "K-17", 4);
	struct kw_id first = id(1);
	tag_of(rig, KW_VIEW_OF(first.bytes), key);
	tag_of(rig, kw_view_str("agency-b"), key + 8);
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
	struct kw_name agency = name("agency-b");
	size_t opened;
	steal_row_key(rig, thief);
	refer(rig, 1, 1, "agency-b", "-");
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

/* Erases thread after thread until it is killed. */
static void erase_for_ever(struct rig *rig, int ready)
{
	uv_loop_init(&rig->loop);
	open_spool(rig);
	for (uint8_t n = 1; n < 120; n++)
		receive(rig, n, n, SECRET);
	(void)!write(ready, "x", 1);
	for (uint8_t n = 1; n < 120; n++) {
		struct spool_op *op = receive_op((uint8_t)(n + 120), n, "agency-b", "erase it");
		op->u.receive.erasure = question(n);
		run(rig, op);
	}
	_exit(0);
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

/* After each death: a content is readable or was asked to go, every answer has its key gone, and every erasure its answer. */
static void test_a_kill_loses_no_erasure_and_no_content(void **state)
{
	struct rig *rig = *state;
	uint32_t seen = 0;
	close_spool(rig);
	for (int round = 0; round < 25; round++) {
		/* The round before may have been killed before the spool had its name. */
		assert_true(nftw(rig->path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT);
		int ready[2];
		char byte;
		assert_int_equal(pipe(ready), 0);
		pid_t child = fork();
		if (child == 0)
			erase_for_ever(rig, ready[1]);
		close(ready[1]);
		if (round > 4) /* the first rounds also kill it while it still receives */
			assert_int_equal(read(ready[0], &byte, 1), 1);
		usleep((useconds_t)(5000 + round * 3000));
		close(ready[0]);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		rig->sequence = 0;
		struct stat folder;
		if (stat(rig->path, &folder) != 0)
			continue; /* killed before the spool had its name */
		open_spool(rig);
		struct tally tally = {0};
		assert_int_equal(spool_erasures(rig->spool, count_erasure, &tally), KW_OK);
		assert_int_equal(tally.open, 0); /* the start has done what was on the list */
		assert_int_equal(follows(rig, count_acks), tally.done);
		uint64_t received = spool_count(rig->spool, SPOOL_COUNT_RECEIVED);
		uint32_t readable = 0;
		for (uint8_t n = 1; n < 120 && n <= received; n++)
			readable += shows(rig, n, SECRET);
		uint64_t referrals = received < 119 ? received : 119;
		assert_int_equal(readable + tally.done, referrals);
		seen += tally.done;
		char old[200];
		snprintf(old, sizeof(old), "%s/keys/old", rig->path);
		assert_int_not_equal(access(old, F_OK), 0);
		close_spool(rig);
	}
	assert_int_not_equal(seen, 0);
	printf("%u erasures were under way or done when it was killed\n", seen);
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
		struct spool_op *op = receive_op(1, 1, "agency-b", SECRET);
		kw_put_u32(op->u.receive.item.message_id.bytes, n);
		kw_put_u32(op->u.receive.item.thread_id.bytes, n);
		kw_put_u32(op->u.receive.item.digest.bytes, n);
		op->done = no_done;
		spool_do(rig->spool, op);
	}
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	receive(rig, 200, 2, OTHER);
	clock_gettime(CLOCK_MONOTONIC, &from);
	asked_to_erase(rig, 201, 2, "agency-b", false);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("one erasure beside 20,000 threads: %.0f ms\n",
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	assert_false(shows(rig, 200, OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_thief_finds_what_is_not_erased, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_an_erased_thread_the_author_keeps_no_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_holder_answers_when_the_key_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_erases_the_threads_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_comes_after_the_erasure_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_pseudonym_comes_back_after_the_erasure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_manual_waits_for_a_person, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_erased_thread_takes_nothing_more_from_us, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_old_spool_is_sealed_anew_and_its_old_pages_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_costs_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_kill_loses_no_erasure_and_no_content, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
