/* proto/wire/blobs_keep.c and the room at an agency: whose it is, what a message names, what is lost, what is promised. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/blobs_rig.h"

static struct kw_blobs_event given_by(const struct world *w, const char *agency, uint32_t number, uint32_t size)
{
	struct kw_blobs_event event = offer_of(w, number, size);
	event.u.offer.from = name_of(agency);
	event.u.offer.taker = KW_BLOBS_NONE;
	event.u.offer.offer.expiry_hour = HOUR + 700;
	return event;
}

/* What the recipient says at once. */
static enum kw_err recipient_says(struct world *w, struct kw_blobs_event *event)
{
	event->wall_ms = HOUR * 3600000ull + w->now_ms;
	kw_blobs_step(w->nodes[RECIPIENT].blobs, event, &plan);
	const struct kw_blobs_effect *last = &plan.effects[plan.count - 1];
	for (uint32_t i = 0; i < plan.count; i++)
		if (plan.effects[i].type == KW_BLOBS_FX_DISK)
			add_job(w, RECIPIENT, &plan.effects[i]);
	return last->type == KW_BLOBS_FX_DONE ? last->u.done.code : KW_OK;
}

static void run_jobs(struct world *w, int n)
{
	while (w->nodes[n].jobs_count > 0)
		run_job(w, n);
}

/* One that is whole at the recipient, from this agency. */
static void have(struct world *w, const char *agency, uint32_t number, uint32_t named_hour)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_ENTRY};
	event.u.entry = (struct kw_blobs_entry){.what.size = 512, .from = name_of(agency), .to = name_of("recipient"),
		.expiry_hour = HOUR + (named_hour != 0 ? 2000 : 48), .state = KW_BLOB_WHOLE, .giver = 0, .taker = KW_BLOBS_NONE,
		.named_hour = named_hour};
	memset(event.u.entry.what.digest.bytes, (int)number, KW_DIGEST_SIZE);
	(void)file_new(&w->nodes[RECIPIENT], &event.u.entry);
	step(w, RECIPIENT, &event);
}

static struct kw_digest digest_of(uint32_t number)
{
	struct kw_digest digest;
	memset(digest.bytes, (int)number, KW_DIGEST_SIZE);
	return digest;
}

static struct file *file_at(struct node *node, uint32_t number)
{
	struct kw_digest digest = digest_of(number);
	for (int i = 0; i < FILES_MAX; i++)
		if (node->files[i].used && memcmp(&node->files[i].entry.what.digest, &digest, sizeof(digest)) == 0)
			return &node->files[i];
	return NULL;
}

static void tick(struct world *w, int n, uint32_t hour)
{
	w->now_ms = (uint64_t)hour * 3600000u;
	step(w, n, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	run_jobs(w, n);
}

static void test_no_agency_takes_the_room_of_another(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	w->nodes[RECIPIENT].limits.peer_count_max = 3;
	w->nodes[RECIPIENT].limits.peer_bytes_max = 2 * kw_blob_sealed_size(1u << 20);
	memset(w->nodes[RECIPIENT].memory, 0, kw_blobs_size(&w->nodes[RECIPIENT].limits));
	w->nodes[RECIPIENT].blobs = kw_blobs_init(w->nodes[RECIPIENT].memory, &w->nodes[RECIPIENT].limits);
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP});
	/* By number, at the limit and one more; another agency is not touched by it. */
	for (uint32_t i = 1; i <= 3; i++) {
		struct kw_blobs_event event = given_by(w, "flood", i, 512);
		assert_int_equal(recipient_says(w, &event), KW_OK);
	}
	struct kw_blobs_event event = given_by(w, "flood", 4, 512);
	assert_int_equal(recipient_says(w, &event), KW_EFULL);
	event = given_by(w, "other", 5, 512);
	assert_int_equal(recipient_says(w, &event), KW_OK);
	/* By size: two of 1 MiB fill it to the byte. */
	event = given_by(w, "large", 6, 1u << 20);
	assert_int_equal(recipient_says(w, &event), KW_OK);
	event = given_by(w, "large", 7, 1u << 20);
	assert_int_equal(recipient_says(w, &event), KW_OK);
	event = given_by(w, "large", 8, 512);
	assert_int_equal(recipient_says(w, &event), KW_EFULL);
	/* What can never fit is refused for good. */
	event = given_by(w, "new", 9, kw_blob_padded_size(2300000));
	assert_int_equal(recipient_says(w, &event), KW_ETOOBIG);
	world_free(w);
}

static void test_what_no_message_names_goes_and_makes_way(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	struct node *node = &w->nodes[RECIPIENT];
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP});
	have(w, "a", 1, 0);
	have(w, "a", 2, HOUR); /* named when it came */
	have(w, "a", 3, 0);
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_NAMED, .u.digest = digest_of(3)});
	run_jobs(w, RECIPIENT);
	assert_int_equal(file_at(node, 3)->entry.expiry_hour, HOUR + 2000);
	tick(w, RECIPIENT, 47);
	assert_non_null(file_at(node, 1));
	tick(w, RECIPIENT, 48);
	assert_null(file_at(node, 1));
	assert_non_null(file_at(node, 2));
	assert_non_null(file_at(node, 3));
	tick(w, RECIPIENT, 1999);
	assert_non_null(file_at(node, 3));
	tick(w, RECIPIENT, 2000);
	assert_null(file_at(node, 3));
	world_free(w);

	/* A part of one: 48 hours after its offer, though its own hour is later; named, it stays until that. */
	w = world_new(1);
	node = &w->nodes[RECIPIENT];
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP});
	struct kw_blobs_event event = given_by(w, "a", 1, 100000);
	assert_int_equal(recipient_says(w, &event), KW_OK);
	event = given_by(w, "a", 2, 100000);
	assert_int_equal(recipient_says(w, &event), KW_OK);
	run_jobs(w, RECIPIENT);
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_NAMED, .u.digest = digest_of(2)});
	tick(w, RECIPIENT, 48);
	assert_null(file_at(node, 1));
	assert_non_null(file_at(node, 2));
	tick(w, RECIPIENT, 700);
	assert_null(file_at(node, 2));
	world_free(w);

	/* Room is short: unnamed ones make way after an hour, the oldest first, named ones never. */
	w = world_new(1);
	node = &w->nodes[RECIPIENT];
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP});
	for (uint32_t i = 1; i <= 16; i++)
		have(w, "a", i, i == 1 || i > 3 ? HOUR : 0);
	event = given_by(w, "a", 20, 512);
	assert_int_equal(recipient_says(w, &event), KW_EFULL); /* their messages may be a second behind */
	w->now_ms = 2 * 3600000u;
	assert_int_equal(recipient_says(w, &event), KW_EBUSY);
	run_jobs(w, RECIPIENT);
	assert_null(file_at(node, 2));
	assert_non_null(file_at(node, 3));
	assert_int_equal(recipient_says(w, &event), KW_OK);
	run_jobs(w, RECIPIENT);
	event = given_by(w, "a", 21, 512);
	assert_int_equal(recipient_says(w, &event), KW_EBUSY);
	run_jobs(w, RECIPIENT);
	assert_null(file_at(node, 3));
	assert_int_equal(recipient_says(w, &event), KW_OK);
	run_jobs(w, RECIPIENT);
	event = given_by(w, "a", 22, 512);
	assert_int_equal(recipient_says(w, &event), KW_EFULL); /* the two new ones have their hour */
	for (uint32_t i = 4; i <= 16; i++)
		assert_non_null(file_at(node, i));
	check_counts(node);
	world_free(w);
}

/* The power goes between the message's commit and the file's new name. */
static void test_a_name_that_was_stored_counts_after_a_start(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	struct node *node = &w->nodes[RECIPIENT];
	have(w, "a", 1, 0);
	file_at(node, 1)->entry.named_hour = HOUR;
	node_start(w, RECIPIENT);
	tick(w, RECIPIENT, 1);
	assert_int_equal(file_at(node, 1)->entry.expiry_hour, HOUR + 2001);
	/* One of a store from before names were noted: kept, because its hour is later than any unnamed one's. */
	have(w, "a", 2, 0);
	file_at(node, 2)->entry.expiry_hour = HOUR + 500;
	node_start(w, RECIPIENT);
	tick(w, RECIPIENT, 499);
	assert_non_null(file_at(node, 2));
	world_free(w);
}

static void test_what_expires_undelivered_is_lost_until_it_was_seen(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	struct node *node = &w->nodes[OWNER];
	struct kw_blobs_counts counts;
	make_blob(w, 1, 5000);
	make_blob(w, 2, 5000);
	tick(w, OWNER, 699);
	assert_int_equal(files_in(node, KW_BLOB_WHOLE), 2);
	tick(w, OWNER, 700);
	assert_int_equal(files_in(node, KW_BLOB_LOST), 2);
	check_counts(node);
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.lost, 2);
	assert_int_equal(counts.bytes, 0);
	/* However long, and after a start. */
	node_start(w, OWNER);
	tick(w, OWNER, 9000);
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.lost, 2);
	/* Neither offered nor given. */
	link_up(w, 0);
	assert_int_equal(w->links[0].count[0], 0);
	/* The hub had delivered one; its news comes late. */
	struct kw_blobs_event done = {.type = KW_BLOBS_EV_DONE};
	done.u.done = (struct kw_frame_blob_done){.ref = {.digest = digest_of(2), .agency = name_of("recipient")},
		.code = KW_OK, .delivered = true};
	step(w, OWNER, &done);
	run_jobs(w, OWNER);
	assert_int_equal(files_in(node, KW_BLOB_GIVEN), 1);
	assert_int_equal(w->links[0].count[0], 1); /* which it is told is stored */
	/* The other one was seen. */
	step(w, OWNER, &(struct kw_blobs_event){.type = KW_BLOBS_EV_DROP, .u.digest = digest_of(3)});
	run_jobs(w, OWNER);
	assert_int_equal(files_in(node, KW_BLOB_LOST), 0);
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.lost, 0);
	world_free(w);
}

/* What is being made has its entry from the begin on, whatever is offered meanwhile. */
static void test_promised_room_is_kept(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	struct node *node = &w->nodes[RECIPIENT];
	struct kw_blobs_counts counts;
	node->limits.giver_count_max = 100;
	node->limits.peer_count_max = 100;
	memset(node->memory, 0, kw_blobs_size(&node->limits));
	node->blobs = kw_blobs_init(node->memory, &node->limits);
	step(w, RECIPIENT, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP});
	struct kw_blobs_event room = {.type = KW_BLOBS_EV_ROOM};
	room.u.room.size = 1u << 20;
	room.u.room.taken = true;
	step(w, RECIPIENT, &room);
	for (uint32_t i = 1; i < node->limits.entries_max; i++) {
		struct kw_blobs_event event = given_by(w, "a", i, 512);
		assert_int_equal(recipient_says(w, &event), KW_OK);
		run_jobs(w, RECIPIENT);
	}
	struct kw_blobs_event event = given_by(w, "a", 99, 512);
	assert_int_equal(recipient_says(w, &event), KW_EFULL);
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.entries, node->limits.entries_max);
	/* The upload ends: it gives the room back and takes the entry. */
	room.u.room.taken = false;
	step(w, RECIPIENT, &room);
	make_at(w, RECIPIENT, 98, 5000);
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.entries, node->limits.entries_max);
	assert_int_equal(counts.own, 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_agency_takes_the_room_of_another),
		cmocka_unit_test(test_what_no_message_names_goes_and_makes_way),
		cmocka_unit_test(test_a_name_that_was_stored_counts_after_a_start),
		cmocka_unit_test(test_what_expires_undelivered_is_lost_until_it_was_seen),
		cmocka_unit_test(test_promised_room_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
