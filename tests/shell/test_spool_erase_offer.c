#include "tests/kit/folder.h"
#include "tests/kit/spool_rig.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <lmdb.h>

#include "agent/shell/spool_consent.h"
#include "proto/wire/crypt.h"
#include "proto/wire/seal.h"

/* Consent that is withdrawn and the offers of the case: who was asked hears of it, nobody gets the referral any more, and the
 * one that waited is gone for whoever has every file of the spool and the store key. */

#define SECRET "a secret sentence"
#define CASE "K-17-pseudonym"
#define OFFERBODY 33 /* the order of enum spool_table is the order on disk */
#define COUNT 3u

static struct kw_name provider(uint8_t at)
{
	char text[8];
	snprintf(text, sizeof(text), "p%u", at);
	return name(text);
}

/* Offer `n`: its threads are n * 16 and on, its referral's is n * 16 + 8. */
static struct spool_op *offer_op(struct rig *rig, uint8_t n, const char *case_ref, const char *json)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_OFFER);
	struct spool_offer *out = &op->u.offer.offer;
	out->id = id((uint8_t)(n + 1));
	out->message_id = id(2);
	out->referral_thread_id = id((uint8_t)(n * 16 + 8));
	out->created_ms = NOW;
	out->span_ms = HOUR;
	out->service = 14;
	out->risk = 1;
	if (case_ref != NULL) {
		assert_int_equal(spool_case_tag(rig->spool, case_ref, out->case_tag), KW_OK);
		snprintf(op->u.offer.case_ref, sizeof(op->u.offer.case_ref), "%s", case_ref);
	}
	agt_offer_init(&out->core, COUNT, false, NOW + HOUR);
	for (uint8_t i = 0; i < COUNT; i++) {
		out->agencies[i] = provider(i);
		out->threads[i] = id((uint8_t)(n * 16 + i));
	}
	fill_content(op, json);
	return op;
}

static void offer(struct rig *rig, uint8_t n, const char *case_ref)
{
	run(rig, offer_op(rig, n, case_ref, NULL));
}

static struct spool_offer the_offer(struct rig *rig, uint8_t n)
{
	struct spool_offer out;
	struct kw_id one = id((uint8_t)(n + 1));
	assert_int_equal(spool_offer(rig->spool, &(struct spool_offer_key){.id = &one}, &out), KW_OK);
	return out;
}

static bool has_draft(struct rig *rig, uint64_t number)
{
	struct kw_buf body;
	kw_buf_init(&body, 65536);
	enum kw_err err = spool_offer_referral(rig->spool, number, &body);
	assert_true(err == KW_OK ? body.size > 0 : err == KW_ENOTFOUND);
	kw_buf_fini(&body);
	return err == KW_OK;
}

static struct spool_follow first(struct rig *rig, enum spool_follow_what what)
{
	struct follow_list list = pending(rig);
	for (uint32_t i = 0; i < list.count; i++)
		if (list.follows[i].what == what)
			return list.follows[i];
	fail_msg("nothing of that kind waits: %d", (int)what);
	return (struct spool_follow){0};
}

/* The agent's append of a follow-up, as far as it is made before it is handed over. */
static struct spool_op *append_of(struct rig *rig, const struct spool_follow *follow)
{
	static uint32_t said;
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	struct spool_item *item = &op->u.append.item;
	struct spool_thread thread = {0};
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox[KW_NORMAL];
	op->u.append.expiry_hour = NOW / HOUR + 24 * 45;
	op->u.append.now_ms = NOW + 1;
	op->u.append.fresh = true;
	op->u.append.follow_key = follow->key;
	op->u.append.follow_what = follow->what;
	item->thread_id = follow->thread_id;
	item->agency = follow->agency;
	item->at_ms = NOW + 1;
	memset(item->message_id.bytes, 0xaa, KW_ID_SIZE);
	kw_put_u32(item->message_id.bytes, ++said);
	item->envelope_id = item->message_id;
	op->u.append.envelope_id = item->envelope_id;
	op->u.append.act = (struct spool_act){.kind = follow->kind, .state = follow->state, .risk = KW_RISK_HIGH,
		.opening = follow->what == SPOOL_FOLLOW_OFFER || follow->what == SPOOL_FOLLOW_REFERRAL};
	item->thread_sequence = spool_thread(rig->spool, &item->thread_id, &item->agency, &thread) == KW_OK ? thread.record.next : 1;
	if (follow->what == SPOOL_FOLLOW_REFERRAL) {
		snprintf(op->u.append.act.case_ref, sizeof(op->u.append.act.case_ref), CASE);
		assert_int_equal(spool_offer_referral(rig->spool, follow->offer, &op->content), KW_OK);
	} else {
		assert_int_equal(kw_buf_add(&op->content, kw_view_str("need class")), KW_OK);
	}
	return op;
}

static void say_first(struct rig *rig, enum spool_follow_what what)
{
	struct spool_follow follow = first(rig, what);
	run(rig, append_of(rig, &follow));
	assert_int_equal(rig->fault, AGT_FAULT_NONE);
}

static void say_all(struct rig *rig, enum spool_follow_what what)
{
	while (waiting(rig, what) > 0)
		say_first(rig, what);
}

/* Provider 1 answers in its thread of offer 0. */
static void answers(struct rig *rig, uint8_t state, uint64_t place)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	uint8_t n = (uint8_t)(100 + place);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = (struct spool_item){.message_id = id(n), .digest = digest(n), .thread_id = id(1),
		.thread_sequence = place, .agency = provider(1), .at_ms = NOW + 2};
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_OFFER, .state = state};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("an answer")), KW_OK);
	run(rig, op);
}

static struct spool_erasure *question(uint8_t thread)
{
	struct spool_erasure *out = calloc(1, sizeof(*out));
	*out = (struct spool_erasure){.thread_id = id(thread), .action = SPOOL_ERASE_ACTION, .reason = 1, .from = 1,
		.purposes = 2, .asked_ms = NOW, .effective_ms = NOW};
	return out;
}

static uint32_t holders, offers;

static void withdrawn(struct spool_op *op, enum kw_err err)
{
	holders = op->count;
	offers = op->offers;
	on_done(op, err);
}

/* thread 0: by the case. */
static struct spool_op *withdraw_op(const char *case_ref, uint8_t thread)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_WITHDRAW);
	op->u.withdraw.by_thread = case_ref == NULL;
	op->u.withdraw.thread_id = id(thread);
	snprintf(op->u.withdraw.case_ref, sizeof(op->u.withdraw.case_ref), "%s", case_ref ? case_ref : "");
	op->u.withdraw.erasure = question(0);
	return op;
}

static void withdraw(struct rig *rig, const char *case_ref, uint8_t thread)
{
	struct spool_op *op = withdraw_op(case_ref, thread);
	op->user = rig;
	op->done = withdrawn;
	spool_do(rig->spool, op);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(rig->err, KW_OK);
}

/* ------------------------------------------------------------------------------------------------------------ the thief */

struct bytes {
	uint8_t *data;
	size_t size;
};

static struct bytes slurp(const char *path)
{
	struct bytes out = {0};
	struct stat file;
	int fd = open(path, O_RDONLY);
	if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
		out.data = malloc((size_t)file.st_size + 1);
		out.size = (size_t)read(fd, out.data, (size_t)file.st_size);
	}
	if (fd >= 0)
		close(fd);
	return out;
}

static bool try_open(const uint8_t *key, struct kw_view aad, struct kw_view sealed, uint8_t *out)
{
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = sealed.data};
	return kw_aead_open(&aead, aad, KW_VIEW(sealed.data + 12, sealed.size - 12), out) == KW_OK;
}

static void row_key_of(const struct rig *rig, uint8_t *out)
{
	const struct kw_view rows = kw_view_str("kw1 spool rows");
	struct kw_hkdf hkdf = {.key = KW_VIEW_OF(rig->key), .parts = &rows, .parts_count = 1};
	assert_int_equal(kw_hkdf_expand(&hkdf, out, SPOOL_KEY_SIZE), KW_OK);
}

/* The key of an offer's referral, wherever it lies in the vault's files, freed pages included. */
static bool steal_key(const struct rig *rig, uint64_t number, uint8_t *out)
{
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t vault_id[9] = {'o'};
	char path[400];
	bool found = false;
	kw_put_u64(vault_id + 1, number);
	row_key_of(rig, row_key);
	snprintf(path, sizeof(path), "%s/keys", rig->path);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder)) {
		snprintf(path, sizeof(path), "%s/keys/%.200s", rig->path, entry->d_name);
		struct bytes file = slurp(path);
		for (size_t at = 0; at + 60 <= file.size && !found; at++)
			found = try_open(row_key, KW_VIEW_OF(vault_id), KW_VIEW(file.data + at, 60), out);
		free(file.data);
	}
	closedir(folder);
	return found;
}

/* What the store key alone, and with it a stolen key, make of every place where the row of a referral could begin. */
static bool find_draft(const struct rig *rig, uint64_t number, struct kw_view text, const uint8_t *stolen, size_t *rows)
{
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t aad[9] = {OFFERBODY};
	uint8_t plain[2][1024];
	char path[200];
	bool found = false;
	size_t inner = 1 + 28 + text.size;
	kw_put_u64(aad + 1, number);
	row_key_of(rig, row_key);
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	struct bytes file = slurp(path);
	*rows = 0;
	for (size_t at = 0; at + inner + 28 <= file.size; at++) {
		if (try_open(row_key, KW_VIEW_OF(aad), KW_VIEW(file.data + at, text.size + 28), plain[0]))
			found = true; /* under the store key alone */
		if (!try_open(row_key, KW_VIEW_OF(aad), KW_VIEW(file.data + at, inner + 28), plain[0]))
			continue;
		(*rows)++;
		found = found || (stolen != NULL && try_open(stolen, KW_VIEW_OF(aad), KW_VIEW(plain[0] + 1, inner - 1), plain[1]) &&
			memcmp(plain[1], text.data, text.size) == 0);
	}
	free(file.data);
	return found;
}

/* Rows of a table of the closed spool. */
static size_t rows_of(const struct rig *rig, const char *table)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_stat stat;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, MDB_RDONLY, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return stat.ms_entries;
}

/* -------------------------------------------------------------------------------------------------------------- offers */

static void test_withdrawn_consent_ends_the_offers_of_the_case(void **state)
{
	struct rig *rig = *state;
	uint8_t key[SPOOL_KEY_SIZE];
	size_t rows;
	offer(rig, 0, CASE);
	offer(rig, 1, "K-18");
	say_all(rig, SPOOL_FOLLOW_OFFER);
	answers(rig, KW_OFFER_CLAIMED, 1);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_LEASE), 1);
	close_spool(rig);
	assert_true(steal_key(rig, 1, key));
	assert_true(find_draft(rig, 1, kw_view_str(SECRET), key, &rows)); /* or what is below proves nothing */
	open_spool(rig);
	struct spool_follow lease = first(rig, SPOOL_FOLLOW_LEASE);
	struct spool_op *late = append_of(rig, &lease);
	withdraw(rig, CASE, 0);
	assert_int_equal(holders, 0); /* nobody has had it */
	assert_int_equal(offers, 1);
	assert_true(rig->follow);
	assert_int_equal(the_offer(rig, 0).core.state, AGT_OFFER_WITHDRAWN);
	assert_int_equal(the_offer(rig, 1).core.state, AGT_OFFER_OPEN);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_WITHDRAW), COUNT);
	assert_false(has_draft(rig, 1));
	assert_true(has_draft(rig, 2));
	run(rig, late);
	assert_int_equal(rig->fault, AGT_FAULT_STATE); /* the lease was under way */
	say_all(rig, SPOOL_FOLLOW_WITHDRAW);
	assert_int_equal(pending(rig).count, 0);
	withdraw(rig, CASE, 0);
	assert_int_equal(offers, 0);
	close_spool(rig);
	assert_false(steal_key(rig, 1, (uint8_t[SPOOL_KEY_SIZE]){0}));
	assert_false(find_draft(rig, 1, kw_view_str(SECRET), NULL, &rows)); /* and not under the store key either */
	assert_true(steal_key(rig, 2, key));
	assert_int_equal(rows_of(rig, "offerbody"), 1); /* the other case's */
	assert_int_equal(rows_of(rig, "shred"), 0);
	open_spool(rig);
	assert_false(has_draft(rig, 1));
}

static void test_a_referral_under_way_is_stopped(void **state)
{
	struct rig *rig = *state;
	offer(rig, 0, CASE);
	say_all(rig, SPOOL_FOLLOW_OFFER);
	answers(rig, KW_OFFER_CLAIMED, 1);
	say_first(rig, SPOOL_FOLLOW_LEASE);
	struct spool_follow referral = first(rig, SPOOL_FOLLOW_REFERRAL);
	struct spool_op *late = append_of(rig, &referral); /* written and sealed, and not yet in the outbox */
	withdraw(rig, CASE, 0);
	assert_int_equal(offers, 1);
	run(rig, late);
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_REFERRAL), 0);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_WITHDRAW), 1); /* the others were told that it is taken; they wait no more */
	struct kw_id thread_id = id(8);
	struct kw_name agency = provider(1);
	struct spool_thread thread;
	assert_int_equal(spool_thread(rig->spool, &thread_id, &agency, &thread), KW_ENOTFOUND);
}

static void test_a_referral_does_not_follow_a_lease_that_was_given_back(void **state)
{
	struct rig *rig = *state;
	offer(rig, 0, CASE);
	say_all(rig, SPOOL_FOLLOW_OFFER);
	answers(rig, KW_OFFER_CLAIMED, 1);
	say_first(rig, SPOOL_FOLLOW_LEASE);
	struct spool_follow referral = first(rig, SPOOL_FOLLOW_REFERRAL);
	struct spool_op *late = append_of(rig, &referral);
	answers(rig, KW_OFFER_DECLINED, 2);
	run(rig, late);
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(the_offer(rig, 0).core.round, 2);
	assert_true(has_draft(rig, 1)); /* for the next who claims */
}

static void test_what_was_leased_is_not_offered_again(void **state)
{
	struct rig *rig = *state;
	offer(rig, 0, CASE);
	say_all(rig, SPOOL_FOLLOW_OFFER);
	answers(rig, KW_OFFER_CLAIMED, 1);
	say_first(rig, SPOOL_FOLLOW_LEASE);
	say_first(rig, SPOOL_FOLLOW_REFERRAL);
	withdraw(rig, CASE, 0);
	assert_int_equal(holders, 1); /* in the referral's own thread */
	assert_int_equal(offers, 1);
	assert_false(has_draft(rig, 1));
	answers(rig, KW_OFFER_DECLINED, 2);
	assert_int_equal(the_offer(rig, 0).core.state, AGT_OFFER_WITHDRAWN);
	assert_int_equal(the_offer(rig, 0).core.round, 1);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_OFFER), 0);
}

static void test_a_withdrawal_by_thread_reaches_its_offer(void **state)
{
	struct rig *rig = *state;
	offer(rig, 0, CASE);
	offer(rig, 1, NULL);
	say_all(rig, SPOOL_FOLLOW_OFFER);
	withdraw(rig, NULL, 1);
	assert_int_equal(offers, 1);
	assert_false(has_draft(rig, 1));
	assert_true(has_draft(rig, 2));
	withdraw(rig, NULL, 16 + 8); /* where the referral would go */
	assert_int_equal(offers, 1);
	assert_false(has_draft(rig, 2));
}

static void test_a_holder_that_is_asked_ends_its_own_offers(void **state)
{
	struct rig *rig = *state;
	theirs(rig, OPENS(.n = 1, .case_ref = CASE));
	offer(rig, 1, CASE); /* another child, whom we call as they call theirs */
	struct spool_op *passes_on = offer_op(rig, 0, "J-5", NULL);
	passes_on->u.offer.claim = (struct spool_claim){.has_from = true, .from_thread = id(200)};
	run(rig, passes_on);
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	op->u.receive.item = item_of(&(struct said){.n = 2, .thread = 200});
	op->u.receive.erasure = question(200);
	fill_content(op, NULL);
	run(rig, op);
	assert_int_equal(the_offer(rig, 0).core.state, AGT_OFFER_WITHDRAWN);
	assert_false(has_draft(rig, 2));
	assert_int_equal(the_offer(rig, 1).core.state, AGT_OFFER_OPEN);
	assert_true(has_draft(rig, 1));
}

/* ------------------------------------------------------------------------------------------------------------- upgrade */

static const char referral_json[] =
	"{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1700000000000\",\"referralRequest\":{\"caseRef\":\"K-1\","
	"\"service\":\"SERVICE_TYPE_SHELTER\",\"risk\":\"RISK_LOW\",\"reason\":\"Fever.\",\"children\":[{\"code\":\"K\",\"age\":"
	"{\"years\":9,\"asOf\":{\"year\":2023,\"month\":9,\"day\":21}},\"sex\":\"SEX_FEMALE\"}],\"referrer\":{\"name\":\"Sara\"},"
	"\"consent\":{\"services\":\"CONSENT_ANSWER_GIVEN\",\"shareOtherOrgs\":\"CONSENT_ANSWER_GIVEN\",\"obtainedFrom\":"
	"\"CONSENT_SOURCE_CAREGIVER\"}}}";

/* Writes a row as every schema does: CRC-32C over table, key and the rest; version 1. */
static void put_row(MDB_txn *txn, const char *table, uint8_t number, struct kw_view key, struct kw_view payload)
{
	uint8_t row[1024] = {[4] = 1};
	MDB_dbi dbi;
	assert_true(payload.size + 5 <= sizeof(row));
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	memcpy(row + 5, payload.data, payload.size);
	uint32_t crc = kw_crc32c(kw_crc32c(0, &number, 1), key.data, key.size);
	kw_put_u32(row, kw_crc32c(crc, row + 4, payload.size + 1));
	MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
	MDB_val v = {.mv_size = payload.size + 5, .mv_data = row};
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
}

/* Makes of the closed spool what schema 3 had: the referral of offer 1 under the store key alone. */
static void make_old(const struct rig *rig, struct kw_view referral)
{
	uint8_t number[8] = {0, 0, 0, 0, 0, 0, 0, 1};
	uint8_t aad[9] = {OFFERBODY};
	uint8_t row_key[SPOOL_KEY_SIZE];
	uint8_t sealed[900] = {9};
	uint8_t meta[1024];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = {.mv_size = 5, .mv_data = (void *)(uintptr_t)"state"};
	MDB_val v;
	memcpy(aad + 1, number, 8);
	row_key_of(rig, row_key);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 40), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = row_key, .nonce = sealed};
	assert_true(referral.size + 28 <= sizeof(sealed));
	assert_int_equal(kw_aead_seal(&aead, KW_VIEW_OF(aad), referral, sealed + 12), KW_OK);
	put_row(txn, "offerbody", OFFERBODY, KW_VIEW_OF(number), KW_VIEW(sealed, referral.size + 28));
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
	assert_true(v.mv_size <= sizeof(meta));
	memcpy(meta, (const uint8_t *)v.mv_data + 5, v.mv_size - 5);
	assert_int_equal(kw_get_u64(meta), 5);
	kw_put_u64(meta, 3); /* the schema is the first number */
	put_row(txn, "meta", 0, kw_view_str("state"), KW_VIEW(meta, v.mv_size - 5));
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

/* An offer that knows nothing of its case, as schema 3 made them, in a spool of that schema. */
static struct kw_buf old_spool(struct rig *rig)
{
	struct kw_buf referral;
	struct spool_op *op = offer_op(rig, 0, NULL, referral_json);
	kw_buf_init(&referral, 4096);
	assert_int_equal(kw_buf_add(&referral, kw_buf_view(&op->content)), KW_OK);
	run(rig, op);
	return referral;
}

static void test_an_old_referral_gets_its_key(void **state)
{
	struct rig *rig = *state;
	uint8_t key[SPOOL_KEY_SIZE];
	size_t rows;
	struct kw_buf referral = old_spool(rig);
	close_spool(rig);
	make_old(rig, kw_buf_view(&referral));
	assert_true(find_draft(rig, 1, kw_buf_view(&referral), NULL, &rows)); /* without any key of the vault: the old way */
	open_spool(rig);
	assert_true(has_draft(rig, 1));
	close_spool(rig);
	assert_false(find_draft(rig, 1, kw_buf_view(&referral), NULL, &rows)); /* nor in a freed page */
	assert_true(steal_key(rig, 1, key));
	assert_true(find_draft(rig, 1, kw_buf_view(&referral), key, &rows));
	open_spool(rig);
	offer(rig, 1, "K-18");
	assert_int_equal(the_offer(rig, 1).number, 2); /* the numbers go on */
	withdraw(rig, "K-1", 0);
	assert_int_equal(offers, 1); /* the upgrade has read which case it is about */
	assert_false(has_draft(rig, 1));
	kw_buf_fini(&referral);
}

static void test_an_old_withdrawal_reaches_an_old_referral(void **state)
{
	struct rig *rig = *state;
	struct kw_buf referral = old_spool(rig);
	ours(rig, OPENS(.n = 1, .case_ref = "K-1"));
	withdraw(rig, "K-1", 0);
	assert_int_equal(holders, 1);
	assert_int_equal(offers, 0); /* as it was then */
	close_spool(rig);
	make_old(rig, kw_buf_view(&referral));
	open_spool(rig);
	assert_false(has_draft(rig, 1));
	assert_int_equal(the_offer(rig, 0).core.state, AGT_OFFER_WITHDRAWN);
	assert_int_equal(waiting(rig, SPOOL_FOLLOW_WITHDRAW), COUNT);
	close_spool(rig);
	assert_false(steal_key(rig, 1, (uint8_t[SPOOL_KEY_SIZE]){0}));
	open_spool(rig);
	kw_buf_fini(&referral);
}

/* ---------------------------------------------------------------------------------------------------------------- kill */

#define KILL_OFFERS 12u

static void case_name(uint8_t n, char *out)
{
	snprintf(out, 16, "K-%u", n);
}

static void no_done(struct spool_op *op, enum kw_err err)
{
	(void)op;
	assert_int_equal(err, KW_OK);
}

/* Makes offers, and withdraws one case after another until it is killed. */
static void withdraw_for_ever(struct rig *rig, int ready)
{
	char text[16];
	uv_loop_init(&rig->loop);
	open_spool(rig);
	for (uint8_t n = 0; n < KILL_OFFERS; n++) {
		case_name(n, text);
		run(rig, offer_op(rig, n, text, NULL));
	}
	(void)!write(ready, "1", 1);
	for (uint8_t n = 0; n < KILL_OFFERS; n++) {
		case_name(n, text);
		struct spool_op *op = withdraw_op(text, 0);
		op->done = no_done;
		spool_do(rig->spool, op);
		while (spool_pending(rig->spool) > 0)
			uv_run(&rig->loop, UV_RUN_ONCE);
	}
	for (;;)
		pause();
}

static void test_a_kill_brings_no_referral_back(void **state)
{
	struct rig *rig = *state;
	uint8_t key[SPOOL_KEY_SIZE];
	uint32_t ended = 0, kept = 0;
	close_spool(rig);
	for (int round = 0; round < 20; round++) {
		assert_true(folder_remove(rig->path) == 0 || errno == ENOENT);
		int ready[2];
		char byte;
		assert_int_equal(pipe(ready), 0);
		pid_t child = fork();
		if (child == 0)
			withdraw_for_ever(rig, ready[1]);
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		usleep((useconds_t)(round * 5000));
		close(ready[0]);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		open_spool(rig); /* it does again what was on the list */
		bool over[KILL_OFFERS];
		for (uint8_t n = 0; n < KILL_OFFERS; n++) {
			over[n] = the_offer(rig, n).core.state == AGT_OFFER_WITHDRAWN;
			assert_int_equal(has_draft(rig, (uint64_t)n + 1), !over[n]);
			ended += over[n];
			kept += !over[n];
		}
		close_spool(rig);
		for (uint8_t n = 0; n < KILL_OFFERS; n++)
			assert_int_equal(steal_key(rig, (uint64_t)n + 1, key), !over[n]);
	}
	printf("%u referrals were destroyed and %u kept when it was killed\n", ended, kept);
	assert_true(ended > 0 && kept > 0);
	open_spool(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_CASE(test_withdrawn_consent_ends_the_offers_of_the_case),
		SPOOL_CASE(test_a_referral_under_way_is_stopped),
		SPOOL_CASE(test_a_referral_does_not_follow_a_lease_that_was_given_back),
		SPOOL_CASE(test_what_was_leased_is_not_offered_again),
		SPOOL_CASE(test_a_withdrawal_by_thread_reaches_its_offer),
		SPOOL_CASE(test_a_holder_that_is_asked_ends_its_own_offers),
		SPOOL_CASE(test_an_old_referral_gets_its_key),
		SPOOL_CASE(test_an_old_withdrawal_reaches_an_old_referral),
		SPOOL_CASE(test_a_kill_brings_no_referral_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
