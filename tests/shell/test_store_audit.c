/* The audit log in the store: a leaf for each message that was committed and no other, proofs, what is forgotten, what is
 * damaged, and a store that had no log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "broker/shell/log_verify.h"
#include "broker/shell/store_inner.h"
#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"
#include "tests/kit/folder.h"

#define SLOT 3u
#define BODY_SIZE 64u
#define BLOCK 1024u /* leaves in a row of their own */
#define STRIP 32u

struct rig {
	char dir[64];
	char path[80];
	uv_loop_t loop;
	uv_timer_t alive;
	struct store *store;
	bool no_log;
	uint64_t rewrite_wait_ms;
	uint64_t committed;
	uint64_t ticket;
	enum kw_err err;
};

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	struct rig *rig = user;
	rig->committed = ticket;
	if (err != KW_OK)
		rig->err = err;
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static enum kw_err leaf_digest(const uint8_t *body, uint32_t size, struct kw_digest *out)
{
	struct kw_view view = KW_VIEW(body, size);
	return kw_sha256(&view, 1, out);
}

static void on_agency(void *user, uint32_t slot, const struct kw_name *name)
{
	(void)user;
	(void)slot;
	(void)name;
}

static void on_queue(void *user, uint32_t slot, enum kw_msg_class msg_class, const struct store_extent *extent)
{
	(void)slot;
	struct rig *rig = user;
	if (msg_class != KW_CONTROL && extent->last > rig->ticket)
		rig->ticket = extent->last;
}

static void on_cursor(void *user, uint32_t slot, enum kw_msg_class msg_class, struct kw_cursor cursor)
{
	(void)user;
	(void)slot;
	(void)msg_class;
	(void)cursor;
}

static void open_store(struct rig *rig)
{
	const struct store_options options = {.path = rig->path, .map_size = 64u << 20,
		.leaf_digest = rig->no_log ? NULL : leaf_digest, .rewrite_wait_ms = rig->rewrite_wait_ms};
	const struct store_hooks hooks = {.user = rig, .on_committed = on_committed};
	const struct store_recovery recovery = {.user = rig, .agency = on_agency, .queue = on_queue, .cursor = on_cursor};
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	rig->committed = 0;
	assert_int_equal(store_open(&options, &rig->loop, &hooks, &rig->store), KW_OK);
	(void)uv_timer_init(&rig->loop, &rig->alive);
	(void)uv_timer_start(&rig->alive, on_alive, 1000, 1000);
	assert_int_equal(store_recover(rig->store, &recovery), KW_OK);
}

static void close_store(struct rig *rig)
{
	store_close(rig->store);
	uv_close((uv_handle_t *)&rig->alive, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
}

static void body_of(uint64_t n, uint8_t *out)
{
	memset(out, 0x5a, BODY_SIZE);
	kw_put_u64(out, n);
}

static struct kw_digest digest_of(uint64_t n)
{
	uint8_t body[BODY_SIZE];
	struct kw_digest digest;
	body_of(n, body);
	assert_int_equal(leaf_digest(body, sizeof(body), &digest), KW_OK);
	return digest;
}

static void append(struct rig *rig, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct store_box *box = store_box_new(BODY_SIZE);
	assert_non_null(box);
	body_of(sequence, box->data);
	const struct store_row row = {.slot = SLOT, .msg_class = msg_class, .sequence = sequence, .owner_slot = 1, .box = box};
	rig->ticket = sequence;
	store_append(rig->store, rig->ticket, &row);
	store_box_unref(box);
}

/* Waits for a commit of everything so far. */
static void commit(struct rig *rig)
{
	struct store_stats stats;
	do {
		store_kick(rig->store);
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		store_stats_get(rig->store, &stats);
	} while (stats.pending_ops > 0 && rig->err == KW_OK);
	assert_int_equal(rig->err, KW_OK);
}

static void append_many(struct rig *rig, uint64_t first, uint64_t last, uint64_t in_one)
{
	for (uint64_t i = first; i <= last; i++) {
		append(rig, KW_NORMAL, i);
		if (i % in_one == 0 || i == last)
			commit(rig);
	}
}

static const struct kw_tree *tree_of(struct rig *rig)
{
	const struct kw_tree *tree;
	assert_true(store_log(rig->store, &tree));
	return tree;
}

/* The root of the log at `size`, as its own nodes say. */
static struct kw_digest root_of(struct rig *rig)
{
	struct kw_digest root;
	assert_int_equal(kw_tree_root(tree_of(rig), &root), KW_OK);
	return root;
}

static enum kw_err proves(struct rig *rig, const struct kw_digest *digest, uint64_t *index)
{
	struct store_leaf leaf;
	struct kw_tree_proof proof;
	struct kw_checkpoint checkpoint = {.size = tree_of(rig)->size, .root = root_of(rig)};
	uint64_t looked_from;
	enum kw_err err = store_find_leaf(rig->store, digest, 0, &leaf, &looked_from);
	if (err != KW_OK)
		return err;
	assert_int_equal(store_prove(rig->store, leaf.index, checkpoint.size, &proof), KW_OK);
	*index = leaf.index;
	return kw_audit_verify(&checkpoint, digest, &(struct kw_inclusion){.index = leaf.index, .salt = leaf.salt,
		.path = KW_VIEW(proof.hashes, proof.count * KW_DIGEST_SIZE)});
}

static void assert_proved(struct rig *rig, uint64_t sequence, uint64_t index)
{
	struct kw_digest digest = digest_of(sequence);
	uint64_t at = UINT64_MAX;
	assert_int_equal(proves(rig, &digest, &at), KW_OK);
	assert_int_equal(at, index);
}

static void find(struct rig *rig, uint64_t sequence, struct store_leaf *out)
{
	struct kw_digest digest = digest_of(sequence);
	uint64_t looked_from;
	assert_int_equal(store_find_leaf(rig->store, &digest, 0, out, &looked_from), KW_OK);
}

static void assert_not_proved(struct rig *rig, uint64_t sequence)
{
	struct kw_digest digest = digest_of(sequence);
	uint64_t at;
	assert_int_equal(proves(rig, &digest, &at), KW_ENOTFOUND);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/kw-audit-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/db", rig->dir);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	(void)folder_remove(rig->dir);
	free(rig);
	return 0;
}

static void test_each_message_has_a_leaf_and_nothing_else_has(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append(rig, KW_NORMAL, 1);
	append(rig, KW_CONTROL, 2); /* the hub's own word */
	append(rig, KW_URGENT, 3);
	store_trim(rig->store, 3, SLOT, KW_URGENT, 3); /* delivered before it was committed */
	append(rig, KW_BULK, 4);
	commit(rig);
	assert_int_equal(tree_of(rig)->size, 3);
	assert_proved(rig, 1, 0);
	assert_not_proved(rig, 2);
	assert_proved(rig, 3, 1);
	assert_proved(rig, 4, 2);
	assert_not_proved(rig, 5);
	close_store(rig);
}

static void test_the_log_goes_on_after_a_restart(void **state)
{
	struct rig *rig = *state;
	struct kw_digest first = {{0}};
	for (uint64_t from = 1; from <= 4001; from += 400) {
		open_store(rig);
		assert_int_equal(tree_of(rig)->size, from - 1);
		append_many(rig, from, from + 399, from % 3 == 0 ? 1 : 150);
		if (from == 1)
			first = root_of(rig);
		close_store(rig);
	}
	open_store(rig);
	for (uint64_t i = 1; i <= 4400; i += 37) /* from every place */
		assert_proved(rig, i, i - 1);
	assert_proved(rig, 4400, 4399);
	struct kw_tree_proof growth;
	struct kw_view views[KW_TREE_PROOF_MAX];
	assert_int_equal(store_prove_growth(rig->store, 400, 4400, &growth), KW_OK);
	for (size_t i = 0; i < growth.count; i++)
		views[i] = KW_VIEW_OF(growth.hashes[i].bytes);
	struct kw_digest root = root_of(rig);
	assert_int_equal(kw_tree_verify_consistency(&(struct kw_tree_consistency){.size_old = 400, .size = 4400,
		.root_old = KW_VIEW_OF(first.bytes), .root = KW_VIEW_OF(root.bytes), .path = views, .path_count = growth.count}), KW_OK);
	close_store(rig);
}

static void test_batches_of_any_size_find_their_salts(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, 3000, 3000);
	append_many(rig, 3001, 3010, 1);
	append_many(rig, 3011, 5000, 700);
	for (uint64_t i = 1; i <= 5000; i += 29)
		assert_proved(rig, i, i - 1);
	close_store(rig);
	open_store(rig);
	append_many(rig, 5001, 5003, 1);
	assert_proved(rig, 5002, 5001);
	assert_proved(rig, 4999, 4998);
	close_store(rig);
}

/* An envelope that its agency sends anew, to a hub that has lost its cursor. */
static void test_one_envelope_twice_is_two_leaves_and_the_later_is_proved(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		struct store_box *box = store_box_new(BODY_SIZE);
		body_of(7, box->data);
		const struct store_row row = {.slot = SLOT, .msg_class = KW_NORMAL, .sequence = sequence, .owner_slot = 1, .box = box};
		store_append(rig->store, ++rig->ticket, &row);
		store_box_unref(box);
		if (sequence == 2)
			commit(rig); /* two in one batch, one in another */
	}
	commit(rig);
	assert_int_equal(tree_of(rig)->size, 3);
	assert_proved(rig, 7, 2);
	close_store(rig);
}

static bool file_has(const struct rig *rig, const uint8_t *bytes, size_t size)
{
	char name[128];
	(void)snprintf(name, sizeof(name), "%s/data.mdb", rig->path);
	int fd = open(name, O_RDONLY);
	struct stat info;
	assert_int_equal(fstat(fd, &info), 0);
	uint8_t *whole = malloc((size_t)info.st_size);
	assert_int_equal(read(fd, whole, (size_t)info.st_size), info.st_size);
	(void)close(fd);
	bool found = memmem(whole, (size_t)info.st_size, bytes, size) != NULL;
	free(whole);
	return found;
}

static void test_what_is_forgotten_proves_nothing_and_the_log_stands(void **state)
{
	struct rig *rig = *state;
	struct store_leaf leaf;
	rig->rewrite_wait_ms = 1;
	open_store(rig);
	append_many(rig, 1, 1500, 300);
	struct kw_digest digest = digest_of(700), root = root_of(rig);
	find(rig, 700, &leaf);
	assert_true(file_has(rig, leaf.salt, sizeof(leaf.salt)));
	struct kw_digest other = digest_of(701);
	store_forget(rig->store, rig->ticket, &other, leaf.index); /* not its leaf: nothing happens */
	store_forget(rig->store, rig->ticket, &digest, leaf.index);
	commit(rig);
	assert_not_proved(rig, 700);
	assert_proved(rig, 701, 700);
	append_many(rig, 1501, 1502, 1);
	close_store(rig); /* what a start finds marked, it writes anew */
	open_store(rig);
	assert_not_proved(rig, 700);
	assert_proved(rig, 699, 698);
	assert_proved(rig, 1502, 1501);
	assert_false(file_has(rig, leaf.salt, sizeof(leaf.salt)));
	struct kw_tree_proof growth;
	struct kw_view views[KW_TREE_PROOF_MAX];
	assert_int_equal(store_prove_growth(rig->store, 1500, 1502, &growth), KW_OK);
	for (size_t i = 0; i < growth.count; i++)
		views[i] = KW_VIEW_OF(growth.hashes[i].bytes);
	struct kw_digest after = root_of(rig);
	assert_int_equal(kw_tree_verify_consistency(&(struct kw_tree_consistency){.size_old = 1500, .size = 1502,
		.root_old = KW_VIEW_OF(root.bytes), .root = KW_VIEW_OF(after.bytes), .path = views, .path_count = growth.count}), KW_OK);
	close_store(rig);
}

/* Also what LMDB leaves in the gaps between rows. */
static void test_no_salt_of_many_that_are_forgotten_stays(void **state)
{
	struct rig *rig = *state;
	struct store_leaf leaves[100];
	open_store(rig);
	append_many(rig, 1, 1500, 300);
	for (uint64_t i = 0; i < 100; i++) {
		struct kw_digest digest = digest_of(15 * i + 1);
		find(rig, 15 * i + 1, &leaves[i]);
		store_forget(rig->store, rig->ticket, &digest, leaves[i].index);
		if (i % 9 == 0)
			commit(rig);
	}
	commit(rig);
	close_store(rig);
	open_store(rig);
	for (uint64_t i = 0; i < 100; i++) {
		assert_not_proved(rig, 15 * i + 1);
		assert_false(file_has(rig, leaves[i].salt, sizeof(leaves[i].salt)));
	}
	close_store(rig);
}

/* In the block that is not full, also one that came in the same batch; what comes later is in its place. */
static void test_what_came_last_is_forgotten_too(void **state)
{
	struct rig *rig = *state;
	const uint64_t base = BLOCK + STRIP;
	struct store_leaf leaf;
	open_store(rig);
	append_many(rig, 1, base + 3, 50);
	find(rig, base + 2, &leaf);
	struct kw_digest digest = digest_of(base + 2), newest = digest_of(base + 4);
	append(rig, KW_NORMAL, base + 4);
	store_forget(rig->store, rig->ticket, &digest, leaf.index);
	store_forget(rig->store, rig->ticket, &newest, base + 3);
	append(rig, KW_NORMAL, base + 5);
	commit(rig);
	for (uint64_t round = 0; round < 3; round++) {
		assert_proved(rig, base + 1, base);
		assert_not_proved(rig, base + 2);
		assert_proved(rig, base + 3, base + 2);
		assert_not_proved(rig, base + 4);
		assert_proved(rig, base + 5, base + 4);
		append_many(rig, base + 6 + 700 * round, base + 705 + 700 * round, 70);
		close_store(rig);
		open_store(rig);
		assert_false(file_has(rig, leaf.salt, sizeof(leaf.salt)));
	}
	close_store(rig);
}

/* One look goes STORE_FIND_LEAVES_MAX leaves back, and not one more. */
static void test_a_leaf_is_found_as_far_back_as_one_look_goes(void **state)
{
	struct rig *rig = *state;
	struct store_leaf leaf;
	uint64_t looked_from;
	open_store(rig);
	append_many(rig, 1, STORE_FIND_LEAVES_MAX + 2 * BLOCK, 4000);
	struct kw_digest in = digest_of(2 * BLOCK + 1), out = digest_of(2 * BLOCK);
	assert_int_equal(store_find_leaf(rig->store, &in, 0, &leaf, &looked_from), KW_OK);
	assert_int_equal(leaf.index, 2 * BLOCK);
	assert_int_equal(store_find_leaf(rig->store, &out, 0, &leaf, &looked_from), KW_ENOTFOUND);
	assert_int_equal(looked_from, 2 * BLOCK);
	assert_int_equal(store_find_leaf(rig->store, &out, looked_from, &leaf, &looked_from), KW_OK);
	assert_int_equal(leaf.index, 2 * BLOCK - 1);
	/* Below a leaf, it is not there any more. */
	assert_int_equal(store_find_leaf(rig->store, &out, leaf.index, &leaf, &looked_from), KW_ENOTFOUND);
	assert_int_equal(looked_from, 0);
	close_store(rig);
}

/* Batches that end before, at and behind the end of a strip and of a block: the log goes on from each. */
static void test_every_end_of_the_last_block_goes_on(void **state)
{
	struct rig *rig = *state;
	const uint64_t ends[] = {1, STRIP - 1, STRIP, STRIP + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + STRIP,
		4 * BLOCK - 1, 4 * BLOCK + 5, 7 * BLOCK};
	uint64_t last = 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); last = ends[i++]) {
		open_store(rig);
		assert_int_equal(tree_of(rig)->size, last);
		append_many(rig, last + 1, ends[i], ends[i]);
		for (uint64_t at = 1; at <= ends[i]; at += at < ends[i] - 1 ? 1 + ends[i] / 9 : 1)
			assert_proved(rig, at, at - 1);
		assert_proved(rig, ends[i], ends[i] - 1);
		close_store(rig);
	}
}

/* A hub of a version before the log: its messages of then are in no log, those of now are. */
static void test_a_store_without_a_log_gets_one(void **state)
{
	struct rig *rig = *state;
	rig->no_log = true;
	open_store(rig);
	append_many(rig, 1, 10, 5);
	const struct kw_tree *tree;
	assert_false(store_log(rig->store, &tree));
	close_store(rig);
	rig->no_log = false;
	open_store(rig);
	assert_int_equal(tree_of(rig)->size, 0);
	append_many(rig, 11, 12, 1);
	assert_not_proved(rig, 10);
	assert_proved(rig, 12, 1);
	close_store(rig);
}

/* Changes the last byte of one row of the log in the closed store: of block or strip `number`, or UINT64_MAX: of the peaks. */
static void spoil(struct rig *rig, const char *table, uint64_t number)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	uint8_t bytes[8];
	kw_put_u64(bytes, number);
	if (number == UINT64_MAX)
		bytes[0] = 0;
	MDB_val key = {.mv_size = number == UINT64_MAX ? 1 : sizeof(bytes), .mv_data = bytes}, value;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 20), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 256u << 20), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
	uint8_t *copy = malloc(value.mv_size);
	memcpy(copy, value.mv_data, value.mv_size);
	copy[value.mv_size - 1] ^= 1;
	MDB_val bad = {.mv_size = value.mv_size, .mv_data = copy};
	assert_int_equal(mdb_put(txn, dbi, &key, &bad, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(copy);
}

static enum kw_err verify(struct rig *rig, const char **fault, struct log_verified *out)
{
	struct kw_name hub = {.text = "hub-a"};
	const struct log_keys keys = {.count = 0};
	return log_verify(rig->path, &hub, &keys, out, fault);
}

static void test_a_damaged_block_takes_proofs_and_not_the_log(void **state)
{
	struct rig *rig = *state;
	struct log_verified found;
	struct kw_tree_proof proof;
	const char *fault;
	open_store(rig);
	append_many(rig, 1, 4 * BLOCK + 13, 500);
	struct kw_digest root = root_of(rig);
	close_store(rig);
	assert_int_equal(verify(rig, &fault, &found), KW_OK);
	assert_int_equal(found.leaves, 4 * BLOCK + 13);
	assert_int_equal(found.salts, 4 * BLOCK + 13);
	assert_memory_equal(&found.root, &root, sizeof(root));
	spoil(rig, "leaves", 2);
	assert_int_equal(verify(rig, &fault, &found), KW_EAUTH);
	assert_string_equal(fault, "a row of leaves is damaged");
	assert_int_equal(found.at, 2 * BLOCK);
	open_store(rig);
	struct kw_digest again = root_of(rig);
	assert_memory_equal(&root, &again, sizeof(root));
	assert_not_proved(rig, 2 * BLOCK + 1);
	assert_int_equal(store_prove(rig->store, 2 * BLOCK, 4 * BLOCK, &proof), KW_ECORRUPT);
	assert_int_equal(store_prove(rig->store, 3 * BLOCK, 4 * BLOCK, &proof), KW_ECORRUPT); /* it stands beside */
	assert_proved(rig, BLOCK + 1, BLOCK);
	append_many(rig, 4 * BLOCK + 14, 6 * BLOCK, 300);
	assert_proved(rig, 6 * BLOCK, 6 * BLOCK - 1);
	close_store(rig);
}

static void assert_lost(struct rig *rig, const char *says)
{
	const struct kw_tree *tree;
	struct log_verified found;
	struct store_stats stats;
	const char *fault;
	uint64_t next = rig->ticket + 1;
	assert_int_equal(verify(rig, &fault, &found), KW_EAUTH);
	assert_string_equal(fault, says);
	open_store(rig);
	assert_false(store_log(rig->store, &tree));
	store_stats_get(rig->store, &stats);
	assert_int_equal(stats.damaged_rows, 1);
	append_many(rig, next, next + 20, 3);
	assert_int_equal(rig->err, KW_OK);
	close_store(rig);
}

static void test_a_log_that_has_lost_its_end_stops_no_message(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, BLOCK + STRIP + 8, 8);
	close_store(rig);
	spoil(rig, "tail", BLOCK + STRIP);
	assert_lost(rig, "a row of leaves is damaged");
}

static void test_a_log_that_has_lost_its_peaks_stops_no_message(void **state)
{
	struct rig *rig = *state;
	open_store(rig);
	append_many(rig, 1, BLOCK + STRIP + 8, 8);
	close_store(rig);
	spoil(rig, "tail", UINT64_MAX);
	assert_lost(rig, "the row of the peaks is damaged");
}

/* Keeps a checkpoint of the log as it is, signed with `key`; or with another root. */
static void keep_checkpoint(struct rig *rig, const struct kw_ed25519 *key, bool of_this_log)
{
	struct kw_checkpoint checkpoint = {.hub = {.text = "hub-a"}, .size = tree_of(rig)->size, .root = root_of(rig), .at_unix_ms = 5};
	struct kw_buf payload, bytes;
	checkpoint.root.bytes[7] ^= of_this_log ? 0 : 1;
	kw_buf_init(&payload, KW_AUDIT_SIGNED_SIZE_MAX);
	kw_buf_init(&bytes, KW_AUDIT_SIGNED_SIZE_MAX);
	assert_int_equal(kw_checkpoint_add(&payload, &checkpoint), KW_OK);
	struct kw_role_signed role = {.payload = kw_buf_view(&payload)};
	assert_int_equal(kw_role_sign(&role, KW_ROLE_LOG, key), KW_OK);
	assert_int_equal(kw_role_add(&bytes, &role), KW_OK);
	store_put_checkpoint(rig->store, rig->ticket, checkpoint.size, kw_buf_view(&bytes));
	commit(rig);
	kw_buf_fini(&payload);
	kw_buf_fini(&bytes);
}

/* Somebody who knows the form of the rows changes one, checksum and all, in the closed store; with nothing: takes it out. */
static void forge(struct rig *rig, uint64_t strip, bool take_out)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	uint8_t bytes[8];
	kw_put_u64(bytes, strip);
	MDB_val key = store_val(bytes, sizeof(bytes)), value;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 20), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 256u << 20), 0);
	assert_int_equal(mdb_env_open(env, rig->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "tail", 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
	uint8_t *copy = malloc(value.mv_size);
	memcpy(copy, value.mv_data, value.mv_size);
	copy[STORE_ROW_HEAD_SIZE + 3] ^= 1; /* its first leaf */
	store_row_seal(copy, STORE_STRIP, &key, (uint32_t)value.mv_size - STORE_ROW_HEAD_SIZE);
	MDB_val bad = store_val(copy, value.mv_size);
	assert_int_equal(take_out ? mdb_del(txn, dbi, &key, NULL) : mdb_put(txn, dbi, &key, &bad, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(copy);
}

static enum kw_err verify_signed(struct rig *rig, struct kw_role_keys *keys, uint32_t count, const char **fault)
{
	struct kw_name hub = {.text = "hub-a"};
	const struct log_keys all = {.keys = keys, .count = count};
	struct log_verified found;
	return log_verify(rig->path, &hub, &all, &found, fault);
}

static void test_what_was_shown_binds_the_log(void **state)
{
	struct rig *rig = *state;
	struct kw_ed25519 old_key, new_key;
	struct kw_role_keys keys[2] = {{.threshold = 1}, {.threshold = 1}};
	const char *fault;
	assert_int_equal(kw_ed25519_generate(&old_key), KW_OK);
	assert_int_equal(kw_ed25519_generate(&new_key), KW_OK);
	assert_int_equal(kw_role_keys_put(&keys[0], old_key.public_key), KW_OK);
	assert_int_equal(kw_role_keys_put(&keys[1], new_key.public_key), KW_OK);
	open_store(rig);
	append_many(rig, 1, 20, 10);
	keep_checkpoint(rig, &old_key, true);
	append_many(rig, 21, 30, 10);
	keep_checkpoint(rig, &new_key, true); /* after a change of keys */
	close_store(rig);
	assert_int_equal(verify_signed(rig, keys, 2, &fault), KW_OK);
	assert_int_equal(verify_signed(rig, keys, 1, &fault), KW_EAUTH);
	assert_string_equal(fault, "a checkpoint is not signed by this hub's log key");
	forge(rig, 10, false);
	assert_int_equal(verify_signed(rig, keys, 2, &fault), KW_EAUTH);
	assert_string_equal(fault, "a checkpoint that was shown is not of this log");
	forge(rig, 10, false); /* as it was */
	assert_int_equal(verify_signed(rig, keys, 2, &fault), KW_OK);
	forge(rig, 20, true);
	assert_int_equal(verify_signed(rig, keys, 2, &fault), KW_EAUTH);
	assert_string_equal(fault, "a checkpoint was shown of more leaves than there are: the log was cut");
}

static void test_a_checkpoint_of_another_log_is_found(void **state)
{
	struct rig *rig = *state;
	struct kw_ed25519 key;
	struct kw_role_keys keys = {.threshold = 1};
	const char *fault;
	assert_int_equal(kw_ed25519_generate(&key), KW_OK);
	assert_int_equal(kw_role_keys_put(&keys, key.public_key), KW_OK);
	open_store(rig);
	append_many(rig, 1, BLOCK + 5, 100);
	keep_checkpoint(rig, &key, false);
	close_store(rig);
	assert_int_equal(verify_signed(rig, &keys, 1, &fault), KW_EAUTH);
	assert_string_equal(fault, "a checkpoint that was shown is not of this log");
}

/* Batches of any size, trimmed or not, until it is killed; each committed ticket goes through the pipe. */
static void child(struct rig *rig, int out)
{
	open_store(rig);
	for (uint64_t i = tree_of(rig)->size + 1;; i++) {
		append(rig, KW_NORMAL, i);
		if (i % 3 == 0)
			store_trim(rig->store, rig->ticket, SLOT, KW_NORMAL, i);
		if (i % 7 > 2)
			continue;
		commit(rig);
		if (write(out, &i, sizeof(i)) != sizeof(i))
			_exit(2);
	}
}

static void test_the_log_has_the_leaves_of_what_was_committed_after_sigkill(void **state)
{
	struct rig *rig = *state;
	uint64_t acked = 0;
	for (int round = 0; round < 8; round++) {
		int pipes[2];
		assert_int_equal(pipe(pipes), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child(rig, pipes[1]);
		close(pipes[1]);
		uint64_t ticket;
		for (int i = 0; i < 15 + round * 5 && read(pipes[0], &ticket, sizeof(ticket)) == sizeof(ticket); i++)
			acked = ticket;
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (read(pipes[0], &ticket, sizeof(ticket)) == sizeof(ticket))
			acked = ticket;
		close(pipes[0]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		rig->ticket = 0;
		open_store(rig);
		uint64_t size = tree_of(rig)->size;
		assert_true(size >= acked);
		assert_int_equal(size, rig->ticket); /* the queue's last sequence, of the same transaction */
		for (uint64_t i = 1; i <= size; i += 5)
			assert_proved(rig, i, i - 1);
		close_store(rig);
	}
	assert_true(acked > 100);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_each_message_has_a_leaf_and_nothing_else_has),
		CASE(test_the_log_goes_on_after_a_restart),
		CASE(test_batches_of_any_size_find_their_salts),
		CASE(test_one_envelope_twice_is_two_leaves_and_the_later_is_proved),
		CASE(test_what_is_forgotten_proves_nothing_and_the_log_stands),
		CASE(test_no_salt_of_many_that_are_forgotten_stays),
		CASE(test_what_came_last_is_forgotten_too),
		CASE(test_a_leaf_is_found_as_far_back_as_one_look_goes),
		CASE(test_every_end_of_the_last_block_goes_on),
		CASE(test_a_store_without_a_log_gets_one),
		CASE(test_a_damaged_block_takes_proofs_and_not_the_log),
		CASE(test_a_log_that_has_lost_its_end_stops_no_message),
		CASE(test_a_log_that_has_lost_its_peaks_stops_no_message),
		CASE(test_what_was_shown_binds_the_log),
		CASE(test_a_checkpoint_of_another_log_is_found),
		CASE(test_the_log_has_the_leaves_of_what_was_committed_after_sigkill),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
