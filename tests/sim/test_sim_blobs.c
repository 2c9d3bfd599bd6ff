/* proto/wire/blobs.c and its two halves: an owner, a hub and a recipient on a pretend network and pretend disks. Links are
 * cut, nodes lose power, disks forget what was not synced; at the end every blob has arrived once and whole, the hub keeps
 * nothing, and no more was carried than the faults explain. A failure names its seed; KW_SEED=n runs that one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/blobs_rig.h"

/* What was carried more than once, over all seeds without a lying disk. */
struct again {
	uint64_t bytes;
	uint64_t faults;
};

static void run_seed(uint64_t seed, struct again *again)
{
	struct world *w = world_new(seed);
	uint32_t blobs = 1 + rnd(w, 4);
	uint64_t total = 0;
	w->lies = seed % 4 == 0;
	w->refusals = seed % 5 == 0 ? 2 : 0;
	for (uint32_t i = 0; i < blobs; i++) {
		uint32_t size = rnd(w, 3) == 0 ? rnd(w, 20000) : rnd(w, 900000);
		uint32_t sealed = kw_blob_sealed_size(kw_blob_padded_size(size));
		total += sealed;
		make_blob(w, i, size);
	}
	for (int i = 0; i < 6000; i++)
		some_event(w, 4);
	w->lies = false;
	for (int i = 0; i < 60000; i++)
		some_event(w, 0);
	assert_int_equal(files_in(&w->nodes[RECIPIENT], KW_BLOB_WHOLE), blobs);
	assert_int_equal(files_in(&w->nodes[RECIPIENT], KW_BLOB_PART), 0);
	assert_int_equal(files_in(&w->nodes[OWNER], KW_BLOB_GIVEN), blobs);
	for (int s = KW_BLOB_PART; s <= KW_BLOB_GIVEN; s++)
		assert_int_equal(files_in(&w->nodes[HUB], (enum kw_blob_state)s), 0);
	for (int n = 0; n < NODES; n++)
		check_counts(&w->nodes[n]);
	if (seed % 4 != 0) {
		again->bytes += w->carried[0] - total + w->carried[1] - total;
		again->faults += w->cuts + w->crashes;
	}
	world_free(w);
}

static void test_every_blob_arrives_through_cuts_and_crashes(void **state)
{
	(void)state;
	const char *one = getenv("KW_SEED");
	const char *many = getenv("KW_SEEDS");
	uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1;
	uint64_t to = one != NULL ? from : many != NULL ? strtoull(many, NULL, 10) : 400;
	struct again again = {0};
	for (uint64_t seed = from; seed <= to; seed++) {
		(void)fprintf(stderr, "\rseed %llu ", (unsigned long long)seed); /* the last one shown is the one that failed */
		run_seed(seed, &again);
	}
	print_message("carried again: %llu bytes a fault\n", (unsigned long long)(again.bytes / (again.faults + 1)));
	/* Under way or not synced when the fault came; a transfer that began from the front each time costs 19,831 bytes a fault, and this one 5,839. */
	if (one == NULL)
		assert_true(again.bytes <= again.faults * CHUNK * 3 / 4);
	(void)fprintf(stderr, "\n");
}

/* --- single decisions */

/* What the hub says at once to an offer: KW_OK when it makes a file for it. */
static enum kw_err say(struct world *w, struct kw_blobs_event *event)
{
	kw_blobs_step(w->nodes[HUB].blobs, event, &plan);
	assert_int_equal(plan.count, 1);
	if (plan.effects[0].type == KW_BLOBS_FX_DISK) {
		assert_int_equal(plan.effects[0].op, KW_BLOBS_CREATE);
		return KW_OK;
	}
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_DONE);
	return plan.effects[0].u.done.code;
}

static void test_quotas_at_their_limit_and_one_more(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	/* 16 blobs of one giver, no 17th. */
	for (uint32_t i = 1; i <= 16; i++) {
		struct kw_blobs_event event = offer_of(w, i, 512);
		assert_int_equal(say(w, &event), KW_OK);
	}
	struct kw_blobs_event event = offer_of(w, 17, 512);
	assert_int_equal(say(w, &event), KW_EFULL);
	assert_true(plan.effects[0].u.done.retry_after_ms > 0);
	world_free(w);

	/* 4 MiB of one giver, sealed; what can never fit is refused for good. */
	w = world_new(1);
	link_up(w, 0);
	uint32_t two_mib = kw_blob_padded_size(2000000);
	event = offer_of(w, 1, two_mib);
	assert_int_equal(say(w, &event), KW_OK);
	event = offer_of(w, 2, two_mib);
	assert_int_equal(say(w, &event), KW_OK);
	event = offer_of(w, 3, two_mib);
	assert_int_equal(say(w, &event), KW_EFULL);
	event = offer_of(w, 4, 4u << 20);
	assert_int_equal(say(w, &event), KW_ETOOBIG);
	/* The same one again is no second one. */
	event = offer_of(w, 2, two_mib);
	kw_blobs_step(w->nodes[HUB].blobs, &event, &plan);
	assert_int_equal(plan.count, 0);
	event.u.offer.offer.commit.bytes[0] ^= 1;
	assert_int_equal(say(w, &event), KW_EEXIST);
	world_free(w);
}

static void test_expiry_is_judged_at_the_offer_and_removes_later(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	struct kw_blobs_event event = offer_of(w, 1, 512);
	event.u.offer.offer.expiry_hour = HOUR;
	assert_int_equal(say(w, &event), KW_EEXPIRED);
	event.u.offer.offer.expiry_hour = HOUR + KW_BLOBS_LIFETIME_HOURS_MAX + 1;
	assert_int_equal(say(w, &event), KW_EFIELD);
	event.u.offer.offer.expiry_hour = HOUR + KW_BLOBS_LIFETIME_HOURS_MAX;
	assert_int_equal(say(w, &event), KW_OK);
	link_down(w, 0, -1);
	world_free(w);

	w = world_new(1);
	link_up(w, 0);
	event = offer_of(w, 1, 512);
	step(w, HUB, &event);
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	assert_int_equal(files_in(&w->nodes[HUB], KW_BLOB_PART), 1);
	w->now_ms = 3600000 - 1;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	assert_int_equal(w->nodes[HUB].jobs_count, 0);
	w->now_ms = 3600000;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	assert_int_equal(files_in(&w->nodes[HUB], KW_BLOB_PART), 0);
	check_counts(&w->nodes[HUB]);

	/* While its last work is under way, which gives the file another name. */
	w->now_ms = 0;
	event = offer_of(w, 2, 512);
	step(w, HUB, &event);
	run_job(w, HUB);
	struct kw_blobs_event chunk = {.type = KW_BLOBS_EV_CHUNK};
	chunk.u.chunk = (struct kw_frame_blob_chunk){.ref = event.u.offer.offer.ref, .bytes = KW_VIEW(NULL, 528)};
	step(w, HUB, &chunk);
	run_job(w, HUB);
	assert_int_equal(w->nodes[HUB].jobs[w->nodes[HUB].jobs_head].fx.op, KW_BLOBS_FINISH);
	w->now_ms = 3600000;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	for (int i = 0; i < FILES_MAX; i++)
		assert_false(w->nodes[HUB].files[i].used);
	check_counts(&w->nodes[HUB]);
	world_free(w);
}

static void test_bytes_that_were_not_asked_end_the_session(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	struct kw_blobs_event offer = offer_of(w, 1, 512);
	step(w, HUB, &offer);
	run_job(w, HUB);
	struct frame want = w->links[0].queue[1][w->links[0].head[1]];
	assert_int_equal(want.type, KW_FRAME_BLOB_WANT);
	assert_int_equal(want.u.want.size, 528);
	struct kw_blobs_event chunk = {.type = KW_BLOBS_EV_CHUNK, .wall_ms = offer.wall_ms};
	chunk.u.chunk = (struct kw_frame_blob_chunk){.ref = offer.u.offer.offer.ref, .bytes = KW_VIEW(NULL, 529)};
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	/* A path where none belongs. */
	chunk.u.chunk.bytes.size = 528;
	chunk.u.chunk.path.size = KW_DIGEST_SIZE;
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	/* Bytes of an older question are let pass. */
	chunk.u.chunk.path.size = 0;
	chunk.u.chunk.offset = 100;
	chunk.u.chunk.bytes.size = 10;
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.count, 0);
	/* And a range beyond the blob. */
	struct kw_blobs_event beyond = {.type = KW_BLOBS_EV_WANT, .session = 0};
	make_blob(w, 7, 512);
	beyond.u.want = (struct kw_frame_blob_want){.ref.agency = name_of("recipient"), .offset = 0, .size = 529};
	memset(beyond.u.want.ref.digest.bytes, 8, KW_DIGEST_SIZE);
	kw_blobs_step(w->nodes[OWNER].blobs, &beyond, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	beyond.u.want.size = 528;
	kw_blobs_step(w->nodes[OWNER].blobs, &beyond, &plan);
	assert_int_equal(plan.effects[0].op, KW_BLOBS_READ);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_blob_arrives_through_cuts_and_crashes),
		cmocka_unit_test(test_quotas_at_their_limit_and_one_more),
		cmocka_unit_test(test_expiry_is_judged_at_the_offer_and_removes_later),
		cmocka_unit_test(test_bytes_that_were_not_asked_end_the_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
