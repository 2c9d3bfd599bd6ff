#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/letter.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/envelope.h"
#include "proto/wire/message.h"

/* What is sealed and opened again: the content, and behind it the places that are not to be waited for. */

static struct kw_name name(const char *text)
{
	struct kw_name out = {.text = {0}};
	memcpy(out.text, text, strlen(text));
	return out;
}

/* A content of about `size` bytes, written by hand: what is sealed is bytes. */
static void make_content(struct kw_buf *out, size_t size)
{
	uint8_t id[KW_ID_SIZE] = {1, 2, 3};
	struct kw_fault fault;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__ReferralEvent event = KINWARD__V1__REFERRAL_EVENT__INIT;
	char note[4096];
	memset(note, 'n', sizeof(note) - 1);
	note[size < sizeof(note) ? size : 1] = '\0';
	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	content.created_unix_ms = 1790000000000;
	content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT;
	content.referral_event = &event;
	event.state = KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_SCHEDULED;
	event.note = note;
	event.at_unix_ms = 1790000000000;
	Kinward__V1__Appointment appointment = KINWARD__V1__APPOINTMENT__INIT;
	appointment.at_unix_ms = 1790000000000;
	event.appointment = &appointment;
	kw_buf_init(out, (size_t)KW_CONTENT_SIZE_MAX * 2);
	assert_int_equal(kw_content_pack(&content, out, &fault), KW_OK);
}

struct office {
	struct keys keys;
	struct kw_directory_entry entry;
	struct kw_directory directory;
	struct letter_office office;
};

/* An agency that writes to itself. */
static void open_office(struct office *f)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(keys_generate(&f->keys), KW_OK);
	f->entry.agency = name("agency-a");
	memcpy(f->entry.identity_key, f->keys.identity.public_key, sizeof(f->entry.identity_key));
	memcpy(f->entry.sealing_keys[0].public_key, f->keys.sealing.public_key, sizeof(f->entry.sealing_keys[0].public_key));
	memcpy(f->entry.sealing_keys[0].key_id, f->keys.sealing_id, sizeof(f->entry.sealing_keys[0].key_id));
	f->entry.sealing_keys[0].suites[0] = KW_SUITE_AES;
	f->entry.sealing_keys[0].suites_count = 1;
	f->entry.sealing_keys_count = 1;
	f->directory = (struct kw_directory){.hub = name("hub-0"), .version = 1, .entries = &f->entry, .count = 1};
	f->office = (struct letter_office){
		.keys = &f->keys, .agency = name("agency-a"), .hub = name("hub-0"), .directory = &f->directory};
}

static struct letter letter_of(struct kw_view content, uint32_t gaps)
{
	struct letter letter = {.to = name("agency-a"),
		.msg_class = KW_NORMAL,
		.expiry_hour = 480000,
		.content_type = KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT,
		.thread_sequence = 99,
		.now_ms = 1790000000000,
		.content = content,
		.gaps_count = gaps};
	letter.thread_id.bytes[0] = 9;
	for (uint32_t i = 0; i < gaps; i++)
		letter.gaps[i] = (struct spool_gap){.sequence = 2 + i, .state = (uint8_t)(i == 0 ? 0 : 3 + i)};
	return letter;
}

/* Seals, opens, unpacks; the caller frees both. */
static Kinward__V1__Content *there_and_back(struct office *f, const struct letter *letter, struct letter_opened *opened,
	struct kw_arena *arena)
{
	struct letter_sealed sealed;
	struct kw_fault fault = {0};
	const char *reason;
	Kinward__V1__Content *content = NULL;
	assert_int_equal(letter_seal(&f->office, letter, &sealed), KW_OK);
	assert_int_equal(letter_open(&f->office, KW_VIEW(sealed.box->data, sealed.box->size), opened, &reason), KW_OK);
	spool_box_unref(sealed.box);
	kw_arena_init(arena, KW_CONTENT_ARENA_MAX);
	assert_int_equal(kw_content_unpack(kw_buf_view(&opened->content), arena, &content, &fault), KW_OK);
	return content;
}

static void test_gaps_travel_with_the_content(void **state)
{
	(void)state;
	struct office f;
	struct letter_opened opened;
	struct kw_arena arena;
	struct kw_buf bytes;
	open_office(&f);
	make_content(&bytes, 10);
	for (uint32_t count = 0; count <= SPOOL_GAPS_MAX; count++) {
		struct letter letter = letter_of(kw_buf_view(&bytes), count);
		Kinward__V1__Content *content = there_and_back(&f, &letter, &opened, &arena);
		assert_int_equal(content->body_case, KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT);
		assert_int_equal(content->n_gaps, count);
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(content->gaps[i]->thread_sequence, letter.gaps[i].sequence);
			assert_int_equal(content->gaps[i]->state, letter.gaps[i].state);
		}
		if (count == 0)
			assert_true(kw_view_equal(kw_buf_view(&opened.content), kw_buf_view(&bytes)));
		kw_arena_fini(&arena);
		letter_opened_fini(&opened);
	}
	kw_buf_fini(&bytes);
	keys_fini(&f.keys);
}

/* Both are too much for one message: the content goes, as it is. */
static void test_a_full_message_goes_without_gaps(void **state)
{
	(void)state;
	struct office f;
	struct letter_opened opened;
	struct kw_arena arena;
	struct kw_buf bytes;
	open_office(&f);
	make_content(&bytes, 10);
	for (size_t room = 12; room > 0; room--) { /* of a field that nobody knows, so that the content is as large as one may be */
		struct kw_buf full;
		size_t rest = KW_CONTENT_SIZE_MAX - room - bytes.size - 5; /* tag of two bytes, length of three */
		kw_buf_init(&full, KW_CONTENT_SIZE_MAX);
		assert_int_equal(kw_buf_add(&full, kw_buf_view(&bytes)), KW_OK);
		const uint8_t head[5] = {0xfa, 0x3e, (uint8_t)(0x80 | (rest & 0x7f)), (uint8_t)(0x80 | (rest >> 7 & 0x7f)), (uint8_t)(rest >> 14)};
		assert_int_equal(kw_buf_add(&full, KW_VIEW_OF(head)), KW_OK);
		assert_int_equal(kw_buf_reserve(&full, rest), KW_OK);
		memset(full.data + full.size, 'x', rest);
		full.size += rest;
		assert_int_equal(full.size, KW_CONTENT_SIZE_MAX - room);
		struct letter letter = letter_of(kw_buf_view(&full), 2); /* ten bytes */
		Kinward__V1__Content *content = there_and_back(&f, &letter, &opened, &arena);
		assert_int_equal(content->n_gaps, room >= 10 ? 2 : 0);
		kw_arena_fini(&arena);
		letter_opened_fini(&opened);
		kw_buf_fini(&full);
	}
	kw_buf_fini(&bytes);
	keys_fini(&f.keys);
}

/* Who has an old libcrypto can do no better, so it is taken; that it was so is said. */
static void test_a_weaker_suite_than_the_best_is_taken_and_told(void **state)
{
	(void)state;
	struct office f;
	struct letter_opened opened;
	struct letter_sealed sealed;
	struct kw_buf bytes;
	const char *reason;
	open_office(&f);
	make_content(&bytes, 10);
	struct letter letter = letter_of(kw_buf_view(&bytes), 0);
	assert_int_equal(letter_seal(&f.office, &letter, &sealed), KW_OK);
	for (uint8_t hybrid = 0; hybrid < 2; hybrid++) {
		f.entry.hybrid_keys_count = hybrid;
		assert_int_equal(letter_open(&f.office, KW_VIEW(sealed.box->data, sealed.box->size), &opened, &reason), KW_OK);
		assert_int_equal(opened.weaker, hybrid == 1);
		letter_opened_fini(&opened);
	}
	spool_box_unref(sealed.box);
	kw_buf_fini(&bytes);
	keys_fini(&f.keys);
}

/* By the hybrid key while it is the present one, and while it is a former one; to whom it is gone, by the other suite. */
static void test_the_hybrid_suite_there_and_back(void **state)
{
	(void)state;
	struct office f;
	struct letter_opened opened;
	struct letter_sealed sealed;
	struct kw_hybrid key;
	struct kw_buf bytes;
	const char *reason;
	if (!kw_hybrid_able()) {
		print_message("skipped: no ML-KEM\n");
		skip();
	}
	open_office(&f);
	make_content(&bytes, 10);
	assert_int_equal(keys_next_make(&f.keys, KEYS_HYBRID, 0), KW_OK);
	struct kw_directory_hybrid_key *shown = &f.entry.hybrid_keys[0];
	memcpy(shown->key_id, f.keys.next.hybrid.public_digest.bytes, sizeof(shown->key_id));
	assert_int_equal(keys_hybrid_find(&f.keys, KW_VIEW_OF(shown->key_id), &key), KW_OK);
	memcpy(shown->public_key, key.public_key, sizeof(shown->public_key));
	shown->suites[0] = KW_SUITE_HYBRID;
	shown->suites_count = 1;
	f.entry.hybrid_keys_count = 1;
	struct letter letter = letter_of(kw_buf_view(&bytes), 0);
	assert_int_equal(letter_seal(&f.office, &letter, &sealed), KW_OK);
	struct kw_view envelope = KW_VIEW(sealed.box->data, sealed.box->size);
	for (int turn = 0; turn < 3; turn++) { /* next, present, former */
		assert_int_equal(letter_open(&f.office, envelope, &opened, &reason), KW_OK);
		assert_false(opened.weaker); /* so it is the hybrid one */
		letter_opened_fini(&opened);
		if (turn == 1)
			assert_int_equal(keys_next_make(&f.keys, KEYS_HYBRID, 0), KW_OK);
		assert_int_equal(keys_next_take(&f.keys, KEYS_HYBRID, 1000), KW_OK);
	}
	assert_true(keys_former_drop(&f.keys, 1000));
	assert_int_equal(letter_open(&f.office, envelope, &opened, &reason), KW_EOPEN);
	spool_box_unref(sealed.box);
	letter.gone_key_id = KW_VIEW_OF(shown->key_id);
	assert_int_equal(letter_seal(&f.office, &letter, &sealed), KW_OK);
	assert_int_equal(letter_open(&f.office, KW_VIEW(sealed.box->data, sealed.box->size), &opened, &reason), KW_OK);
	assert_true(opened.weaker);
	letter_opened_fini(&opened);
	spool_box_unref(sealed.box);
	kw_buf_fini(&bytes);
	keys_fini(&f.keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gaps_travel_with_the_content),
		cmocka_unit_test(test_a_full_message_goes_without_gaps),
		cmocka_unit_test(test_the_hybrid_suite_there_and_back),
		cmocka_unit_test(test_a_weaker_suite_than_the_best_is_taken_and_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
