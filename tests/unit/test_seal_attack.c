/* What a network or a hub may do to an envelope, and that opening refuses it: every bit, every length, parts moved between
 * envelopes, another addressee. What somebody who knows the message key may do is in test_seal_forgery.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/pbscan.h"
#include "proto/wire/suite.h"
#include "tests/kit/scene.h"

static int reasons[KW_OPEN_REASON_COUNT];

/* Refused, and outward only as a fault of structure or as "cannot open". Counts the reason. */
static void assert_refused(struct scene *scene, struct kw_view envelope)
{
	enum kw_open_reason reason;
	enum kw_err err = scene_open_as(scene, scene->index, envelope, &reason);
	assert_int_not_equal(err, KW_OK);
	assert_int_not_equal(reason, KW_OPEN_OK);
	assert_int_not_equal(reason, KW_OPEN_LOCAL);
	if (reason == KW_OPEN_STRUCTURE)
		assert_true(err == KW_EFORMAT || err == KW_EFIELD || err == KW_EVERSION || err == KW_ETOOBIG);
	else
		assert_int_equal(err, KW_EOPEN);
	reasons[reason]++;
}

static void test_open_refuses_every_flipped_bit(void **state)
{
	(void)state;
	for (int suite = KW_SUITE_AES; suite <= KW_SUITE_CHACHA; suite++) {
		struct scene scene;
		scene_init(&scene, (enum kw_suite)suite, 400);
		struct kw_buf *envelope = &scene.sealed.envelopes[1];
		memset(reasons, 0, sizeof(reasons));
		for (size_t bit = 0; bit < envelope->size * 8; bit++) {
			envelope->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_refused(&scene, kw_buf_view(envelope));
			envelope->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		enum kw_open_reason reason;
		assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(envelope), &reason), KW_OK);
		printf("suite %d: %zu bits flipped, all refused:", suite, envelope->size * 8);
		for (int i = 0; i < KW_OPEN_REASON_COUNT; i++)
			if (reasons[i] > 0)
				printf(" %s %d", kw_open_reason_name((enum kw_open_reason)i), reasons[i]);
		printf("\n");
		scene_fini(&scene);
	}
}

static void test_open_refuses_every_byte_value_in_the_clear_parts(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, KW_SUITE_AES, 10);
	struct kw_buf *envelope = &scene.sealed.envelopes[1];
	size_t clear = (size_t)(scene.parts.slot.data + scene.parts.slot.size - envelope->data) + 8;
	for (size_t at = 0; at < clear; at++) {
		uint8_t before = envelope->data[at];
		for (unsigned value = 0; value < 256; value += at < 60 ? 1 : 37) {
			envelope->data[at] = (uint8_t)value;
			if (value != before)
				assert_refused(&scene, kw_buf_view(envelope));
		}
		envelope->data[at] = before;
	}
	scene_fini(&scene);
}

static void test_open_refuses_every_cut(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, KW_SUITE_AES, 400);
	struct kw_buf *envelope = &scene.sealed.envelopes[1];
	for (size_t size = 0; size < envelope->size; size++) {
		/* A copy of exactly that size, so that a read past the end is seen. */
		uint8_t *copy = malloc(size + (size == 0));
		struct kw_envelope_label label;
		struct kw_digest digest;
		assert_non_null(copy);
		memcpy(copy, envelope->data, size);
		assert_refused(&scene, KW_VIEW(copy, size));
		assert_int_not_equal(kw_envelope_peek(KW_VIEW(copy, size), &label), KW_OK);
		assert_int_not_equal(kw_envelope_digest(KW_VIEW(copy, size), &digest), KW_OK);
		free(copy);
	}
	scene_fini(&scene);
}

static void test_open_refuses_extensions(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, KW_SUITE_AES, 400);
	struct kw_view whole = kw_buf_view(&scene.sealed.envelopes[1]);
	for (unsigned value = 0; value < 256; value++) {
		kw_buf_clear(&scene.forged);
		assert_int_equal(kw_buf_add(&scene.forged, whole), KW_OK);
		assert_int_equal(kw_buf_add_u8(&scene.forged, (uint8_t)value), KW_OK);
		assert_refused(&scene, kw_buf_view(&scene.forged));
	}
	/* Whole fields: unknown ones, each known one again, an explicit zero index. */
	for (uint32_t number = 1; number <= 20; number++) {
		kw_buf_clear(&scene.forged);
		assert_int_equal(kw_buf_add(&scene.forged, whole), KW_OK);
		assert_int_equal(kw_pb_add_bytes(&scene.forged, number, scene.parts.header), KW_OK);
		assert_refused(&scene, kw_buf_view(&scene.forged));
		kw_buf_clear(&scene.forged);
		assert_int_equal(kw_pb_add_bytes(&scene.forged, number, scene.parts.header), KW_OK);
		assert_int_equal(kw_buf_add(&scene.forged, whole), KW_OK);
		assert_refused(&scene, kw_buf_view(&scene.forged));
	}
	kw_buf_clear(&scene.forged);
	assert_int_equal(kw_buf_reserve(&scene.forged, KW_ENVELOPE_SIZE_MAX), KW_OK);
	memset(scene.forged.data, 0, KW_ENVELOPE_SIZE_MAX);
	struct kw_envelope_label label;
	assert_int_equal(kw_envelope_peek(KW_VIEW(scene.forged.data, KW_ENVELOPE_SIZE_MAX + 1), &label), KW_ETOOBIG);
	assert_int_equal(kw_envelope_peek(KW_VIEW(scene.forged.data, KW_ENVELOPE_SIZE_MAX), &label), KW_EFIELD);
	scene_fini(&scene);
}

static void test_open_refuses_another_encoding_of_the_same(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, KW_SUITE_AES, 400);
	struct kw_view whole = kw_buf_view(&scene.sealed.envelopes[0]);
	struct kw_envelope parts;
	scene.index = 0;
	assert_int_equal(kw_envelope_parse(whole, &parts), KW_OK);
	/* Index 0 written out, where the one encoding leaves it out. */
	size_t at = (size_t)(parts.slot.data + parts.slot.size - whole.data);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data, at)), KW_OK);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW("\x20\x00", 2)), KW_OK);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data + at, whole.size - at)), KW_OK);
	assert_refused(&scene, kw_buf_view(&scene.forged));
	/* The header's length in two bytes instead of one. */
	kw_buf_clear(&scene.forged);
	uint8_t head[3] = {whole.data[0], whole.data[1] | 0x80, 0};
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW_OF(head)), KW_OK);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data + 2, whole.size - 2)), KW_OK);
	assert_refused(&scene, kw_buf_view(&scene.forged));
	/* Commit before header. */
	kw_buf_clear(&scene.forged);
	size_t header_end = (size_t)(parts.header.data + parts.header.size - whole.data);
	size_t commit_end = header_end + 2 + KW_DIGEST_SIZE;
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data + header_end, commit_end - header_end)), KW_OK);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data, header_end)), KW_OK);
	assert_int_equal(kw_buf_add(&scene.forged, KW_VIEW(whole.data + commit_end, whole.size - commit_end)), KW_OK);
	assert_refused(&scene, kw_buf_view(&scene.forged));
	scene_fini(&scene);
}

/* Rewrites the slot under test with another destination or key id. */
static void retarget(struct scene *scene, const char *agency, const char *hub, const struct kw_key_id *key_id)
{
	struct kw_envelope changed = scene->parts;
	struct kw_buf slot;
	kw_buf_init(&slot, 512);
	changed.label.agency = agency ? kw_view_str(agency) : changed.label.agency;
	changed.label.hub = hub ? kw_view_str(hub) : changed.label.hub;
	changed.key_id = key_id ? kw_key_id_view(key_id) : changed.key_id;
	assert_int_equal(kw_envelope_add_slot(&slot, &changed), KW_OK);
	changed.slot = kw_buf_view(&slot);
	kw_buf_clear(&scene->forged);
	assert_int_equal(kw_envelope_add(&scene->forged, &changed), KW_OK);
	kw_buf_fini(&slot);
}

static void test_open_refuses_another_addressee(void **state)
{
	(void)state;
	struct scene scene;
	enum kw_open_reason reason;
	scene_init(&scene, KW_SUITE_AES, 400);
	struct kw_view forged;
	/* The addressee of the forgery has the same secret: only the name is bound, and it is enough. */
	retarget(&scene, "agency-x", NULL, NULL);
	forged = kw_buf_view(&scene.forged);
	assert_int_equal(scene_open_as(&scene, 1, forged, &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_NOT_FOR_US);
	assert_int_equal(kw_name_from(kw_view_str("agency-x"), &scene.kit.recipients[1].agency), KW_OK);
	assert_int_equal(scene_open_as(&scene, 1, forged, &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SLOT);
	retarget(&scene, NULL, "hub-x", NULL);
	assert_int_equal(kw_name_from(kw_view_str("agency-1"), &scene.kit.recipients[1].agency), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("hub-x"), &scene.kit.recipients[1].hub), KW_OK);
	assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(&scene.forged), &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SLOT);
	/* The '@' cannot be moved: agency-1@hub-1 is not agency-@1hub-1, whose name is refused, nor agency-1h@ub-1. */
	retarget(&scene, "agency-1h", "ub-1", NULL);
	assert_int_equal(kw_name_from(kw_view_str("agency-1h"), &scene.kit.recipients[1].agency), KW_OK);
	assert_int_equal(kw_name_from(kw_view_str("ub-1"), &scene.kit.recipients[1].hub), KW_OK);
	assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(&scene.forged), &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SLOT);
	scene_fini(&scene);
}

static void test_open_refuses_another_key_id(void **state)
{
	(void)state;
	struct scene scene;
	enum kw_open_reason reason;
	scene_init(&scene, KW_SUITE_AES, 400);
	struct kw_key_id other = scene.kit.recipients[5].key_id;
	retarget(&scene, NULL, NULL, &other);
	/* First the id of another secret, then an id that leads to the same secret, then an id of nobody. */
	assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(&scene.forged), &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SLOT);
	scene.kit.secrets[5] = scene.kit.secrets[1];
	assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(&scene.forged), &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SLOT);
	other.bytes[0] = 0xee;
	retarget(&scene, NULL, NULL, &other);
	assert_int_equal(scene_open_as(&scene, 1, kw_buf_view(&scene.forged), &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_KEY_UNKNOWN);
	scene_fini(&scene);
}

/* Slots of one message cannot change places: the path leads to another root. */
static void test_open_refuses_swapped_slots_and_paths(void **state)
{
	(void)state;
	struct scene scene;
	struct kw_envelope other;
	scene_init(&scene, KW_SUITE_AES, 400);
	const struct kw_envelope mine = scene.parts;
	assert_int_equal(kw_envelope_parse(kw_buf_view(&scene.sealed.envelopes[2]), &other), KW_OK);
	scene.parts.slot = other.slot;
	scene_parts_give(&scene, KW_OPEN_NOT_FOR_US);
	scene.index = 2;
	scene_parts_give(&scene, KW_OPEN_AUTH); /* opens its slot, but not where it stands */
	scene.parts.path = other.path;
	scene_parts_give(&scene, KW_OPEN_OK); /* now it is simply the other's envelope */
	scene.index = 1;
	scene.parts = mine;
	scene.parts.path.index = 0;
	scene_parts_give(&scene, KW_OPEN_AUTH);
	scene.parts = mine;
	scene.parts.path.depth = 1;
	scene_parts_give(&scene, KW_OPEN_AUTH);
	scene.parts.path = (struct kw_merkle_path){.index = 0};
	scene_parts_give(&scene, KW_OPEN_AUTH);
	scene.parts = mine;
	scene.parts.path.hashes[0] = mine.path.hashes[1];
	scene.parts.path.hashes[1] = mine.path.hashes[0];
	scene_parts_give(&scene, KW_OPEN_AUTH);
	scene.parts = mine;
	scene.parts.path.depth = 3;
	scene.parts.path.hashes[2] = mine.path.hashes[1];
	scene_parts_give(&scene, KW_OPEN_AUTH);
	scene_fini(&scene);
}

/* Two messages, same sender, recipients, class and size. */
static void test_open_refuses_mixed_envelopes(void **state)
{
	(void)state;
	struct scene a;
	struct scene b;
	scene_init(&a, KW_SUITE_AES, 400);
	scene_init(&b, KW_SUITE_AES, 400);
	kw_sealed_fini(&b.sealed);
	assert_int_equal(kw_seal(&b.kit.request, &b.sealed), KW_OK); /* later draws: another message */
	assert_int_equal(kw_envelope_parse(kw_buf_view(&b.sealed.envelopes[1]), &b.parts), KW_OK);
	const struct kw_envelope mine = a.parts;
	for (unsigned mask = 0; mask < 64; mask++) {
		a.parts.header = mask & 1 ? b.parts.header : mine.header;
		a.parts.commit = mask & 2 ? b.parts.commit : mine.commit;
		a.parts.slot = mask & 4 ? b.parts.slot : mine.slot;
		a.parts.path = mask & 8 ? b.parts.path : mine.path;
		a.parts.body = mask & 16 ? b.parts.body : mine.body;
		a.parts.auth = mask & 32 ? b.parts.auth : mine.auth;
		if (mask == 0 || mask == 63)
			scene_parts_give(&a, KW_OPEN_OK);
		else
			assert_refused(&a, scene_encode(&a));
	}
	scene_fini(&a);
	scene_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_refuses_every_flipped_bit),
		cmocka_unit_test(test_open_refuses_every_byte_value_in_the_clear_parts),
		cmocka_unit_test(test_open_refuses_every_cut),
		cmocka_unit_test(test_open_refuses_extensions),
		cmocka_unit_test(test_open_refuses_another_encoding_of_the_same),
		cmocka_unit_test(test_open_refuses_another_addressee),
		cmocka_unit_test(test_open_refuses_another_key_id),
		cmocka_unit_test(test_open_refuses_swapped_slots_and_paths),
		cmocka_unit_test(test_open_refuses_mixed_envelopes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
