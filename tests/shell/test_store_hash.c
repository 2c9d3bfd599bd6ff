/* The thread that hashes leaves: every body once, in its order, whoever did it; and what it refuses reaches the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>
#include <uv.h>

#include "broker/shell/store_hash.h"
#include "proto/wire/crypt.h"

static atomic_uint calls;
static atomic_uint slow;

static enum kw_err digest(const uint8_t *body, uint32_t size, struct kw_digest *out)
{
	const struct kw_view view = KW_VIEW(body, size);
	atomic_fetch_add(&calls, 1);
	if (atomic_load(&slow) > 0)
		uv_sleep(1);
	return body[0] == 0xff ? KW_EFORMAT : kw_sha256(&view, 1, out);
}

static struct store_box *box_of(uint32_t n)
{
	struct store_box *box = store_box_new(8);
	assert_non_null(box);
	memset(box->data, 0, 8);
	kw_put_u32(box->data + 4, n);
	return box;
}

static int setup(void **state)
{
	struct store_hash *hash;
	atomic_store(&calls, 0);
	atomic_store(&slow, 0);
	assert_int_equal(store_hash_new(digest, &hash), KW_OK);
	*state = hash;
	return 0;
}

static int teardown(void **state)
{
	store_hash_free(*state);
	return 0;
}

/* Takes `count` leaves and lets go of their boxes: they are of the bodies first, first + 1, ... */
static void take(struct store_hash *hash, uint32_t first, uint32_t count, struct store_box **boxes)
{
	while (count > 0) {
		const struct store_leaf_job *jobs;
		uint32_t got;
		assert_int_equal(store_hash_take(hash, count, &jobs, &got), KW_OK);
		assert_true(got >= 1 && got <= count);
		for (uint32_t i = 0; i < got; i++, first++) {
			struct kw_digest want, leaf;
			assert_ptr_equal(jobs[i].box, boxes[first]);
			assert_int_equal(digest(boxes[first]->data, 8, &want), KW_OK);
			assert_memory_equal(&jobs[i].digest, &want, sizeof(want));
			assert_int_equal(kw_audit_leaf(jobs[i].salt, &want, &leaf), KW_OK);
			assert_memory_equal(&jobs[i].leaf, &leaf, sizeof(leaf));
		}
		count -= got;
	}
}

/* Handed over in turns of every size, taken in batches of another. */
static void test_leaves_come_in_the_order_of_their_bodies(void **state)
{
	enum { COUNT = 6000 };
	static struct store_box *boxes[COUNT];
	struct store_hash *hash = *state;
	uint32_t published = 0, taken = 0;
	for (uint32_t turn = 1; published < COUNT; turn++) {
		for (uint32_t i = 0; i < turn % 97 + 1 && published < COUNT; i++, published++) {
			boxes[published] = box_of(published);
			assert_int_equal(store_hash_add(hash, boxes[published]), KW_OK);
		}
		store_hash_publish(hash);
		if (turn % 3 == 0) {
			uint32_t count = published - taken;
			count = count > 150 && turn % 2 == 0 ? count - 13 : count; /* or to the middle of a piece */
			take(hash, taken, count, boxes);
			taken += count;
		}
	}
	take(hash, taken, COUNT - taken, boxes);
	assert_int_equal(atomic_load(&calls), 2 * COUNT); /* once by it, once by us */
	for (uint32_t i = 0; i < COUNT; i++)
		store_box_unref(boxes[i]);
}

static void test_no_salt_comes_twice(void **state)
{
	enum { COUNT = 200 };
	static uint8_t salts[COUNT][KW_AUDIT_SALT_SIZE];
	struct store_box *boxes[COUNT];
	struct store_hash *hash = *state;
	for (uint32_t i = 0; i < COUNT; i++) {
		boxes[i] = box_of(i);
		assert_int_equal(store_hash_add(hash, boxes[i]), KW_OK);
	}
	store_hash_publish(hash);
	for (uint32_t n = 0; n < COUNT;) {
		const struct store_leaf_job *jobs;
		uint32_t got;
		assert_int_equal(store_hash_take(hash, COUNT - n, &jobs, &got), KW_OK);
		for (uint32_t i = 0; i < got; i++)
			memcpy(salts[n++], jobs[i].salt, KW_AUDIT_SALT_SIZE);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_memory_not_equal(salts[i], salts[j], KW_AUDIT_SALT_SIZE);
	for (uint32_t i = 0; i < COUNT; i++)
		store_box_unref(boxes[i]);
}

static void test_what_cannot_be_hashed_reaches_the_writer(void **state)
{
	struct store_hash *hash = *state;
	struct store_box *box = box_of(1);
	const struct store_leaf_job *jobs;
	uint32_t count;
	box->data[0] = 0xff;
	assert_int_equal(store_hash_add(hash, box), KW_OK);
	store_hash_publish(hash);
	assert_int_equal(store_hash_take(hash, 1, &jobs, &count), KW_EFORMAT);
	store_box_unref(box);
}

/* After a halt bodies may go, also those that were not looked at. */
static void test_after_a_halt_no_body_is_looked_at(void **state)
{
	enum { COUNT = 640 };
	struct store_hash *hash = *state;
	struct store_box *boxes[COUNT];
	atomic_store(&slow, 1);
	for (uint32_t i = 0; i < COUNT; i++) {
		boxes[i] = box_of(i);
		assert_int_equal(store_hash_add(hash, boxes[i]), KW_OK);
	}
	store_hash_publish(hash);
	store_hash_halt(hash);
	unsigned before = atomic_load(&calls);
	assert_true(before < COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		store_box_unref(boxes[i]);
	uv_sleep(20);
	assert_int_equal(atomic_load(&calls), before);
	store_hash_halt(hash); /* again: nothing */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_leaves_come_in_the_order_of_their_bodies),
		CASE(test_no_salt_comes_twice),
		CASE(test_what_cannot_be_hashed_reaches_the_writer),
		CASE(test_after_a_halt_no_body_is_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
