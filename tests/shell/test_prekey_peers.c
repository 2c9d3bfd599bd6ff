#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/shell/letter.h"
#include "proto/link/log.h"
#include "proto/wire/envelope.h"
#include "proto/wire/frame.h"
#include "proto/wire/open.h"
#include "tests/kit/folder.h"

/* The dated keys of others: asked for, judged, kept, and used to seal; and who has the secret opens. */

#define DAY 20700u
#define AT(day) ((int64_t)(day) * KW_PREKEY_DAY_MS)

struct rig {
	char folder[64];       /* ours: agency-a */
	char other_folder[64]; /* theirs: agency-b */
	struct keys keys;
	struct keys other;
	struct kw_directory_entry entries[2];
	struct kw_directory directory;
	struct prekey_peers *peers;
	struct prekeys *theirs;
	struct prekeys_self theirs_self;
};

static struct kw_name name(const char *text)
{
	struct kw_name out = {.text = {0}};
	memcpy(out.text, text, strlen(text));
	return out;
}

static void fill_entry(struct kw_directory_entry *entry, const char *agency, const struct keys *keys)
{
	entry->agency = name(agency);
	memcpy(entry->identity_key, keys->identity.public_key, KW_KEY_SIZE);
	memcpy(entry->sealing_keys[0].public_key, keys->sealing.public_key, KW_KEY_SIZE);
	memcpy(entry->sealing_keys[0].key_id, keys->sealing_id, sizeof(entry->sealing_keys[0].key_id));
	entry->sealing_keys[0].suites[0] = KW_SUITE_AES;
	entry->sealing_keys[0].suites_count = 1;
	entry->sealing_keys_count = 1;
}

static void open_peers(struct rig *rig)
{
	const struct prekey_peers_self self = {.folder = rig->folder, .keys = &rig->keys, .hub = name("hub-0")};
	assert_int_equal(prekey_peers_open(&self, &rig->peers), KW_OK);
}

static void open_rig(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	kw_log_level_set((enum kw_log_level)(KW_LOG_ERROR + 1)); /* refusals are what is looked for */
	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/kinward-peers.XXXXXX");
	(void)snprintf(rig->other_folder, sizeof(rig->other_folder), "/tmp/kinward-peers.XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	assert_non_null(mkdtemp(rig->other_folder));
	assert_int_equal(keys_generate(&rig->keys), KW_OK);
	assert_int_equal(keys_generate(&rig->other), KW_OK);
	fill_entry(&rig->entries[0], "agency-a", &rig->keys);
	fill_entry(&rig->entries[1], "agency-b", &rig->other);
	rig->directory = (struct kw_directory){.hub = name("hub-0"), .version = 1, .entries = rig->entries, .count = 2};
	rig->theirs_self = (struct prekeys_self){
		.folder = rig->other_folder, .keys = &rig->other, .agency = name("agency-b"), .hub = name("hub-0")};
	assert_int_equal(prekeys_open(&rig->theirs_self, &rig->theirs), KW_OK);
	open_peers(rig);
}

static void close_rig(struct rig *rig)
{
	prekey_peers_close(rig->peers);
	prekeys_close(rig->theirs);
	keys_fini(&rig->keys);
	keys_fini(&rig->other);
	assert_int_equal(folder_remove(rig->folder), 0);
	assert_int_equal(folder_remove(rig->other_folder), 0);
}

static void restart(struct rig *rig)
{
	prekey_peers_close(rig->peers);
	open_peers(rig);
}

/* Their day comes; a copy of the batch that they publish. */
static void their_day(struct rig *rig, uint32_t day, struct kw_buf *out)
{
	const struct prekeys_clock clock = {.heard = true, .hub_ms = AT(day), .wall_ms = AT(day)};
	bool news;
	assert_int_equal(prekeys_day(rig->theirs, &clock, &news), KW_OK);
	kw_buf_init(out, KW_PREKEYS_SIZE_MAX);
	assert_int_equal(kw_buf_add(out, prekeys_batch(rig->theirs)), KW_OK);
}

static enum kw_err choose(struct rig *rig, uint32_t day, struct prekey_choice *out)
{
	return prekey_peers_choose(rig->peers, &rig->entries[1], day, out);
}

/* Questions of one second; the last one's agency and day. */
static uint32_t ask(struct rig *rig, uint32_t day, struct kw_prekeys_want *last)
{
	struct kw_buf out;
	struct kw_frame frame;
	uint32_t count = 0;
	size_t used = 0, at = 0;
	kw_buf_init(&out, 1u << 20);
	assert_int_equal(prekey_peers_tick(rig->peers, day, &out), KW_OK);
	while (at < out.size) {
		assert_int_equal(kw_frame_next(KW_VIEW(out.data + at, out.size - at), KW_FRAME_SIZE_MAX, &frame, &used), KW_OK);
		assert_int_equal(frame.type, KW_FRAME_PREKEYS_WANT);
		assert_int_equal(kw_prekeys_want_parse(frame.body, last), KW_OK);
		at += used;
		count++;
	}
	kw_buf_fini(&out);
	return count;
}

static void take(struct rig *rig, const struct kw_buf *bytes)
{
	assert_int_equal(prekey_peers_take(rig->peers, &rig->directory, kw_buf_view(bytes)), KW_OK);
}

static void learn(struct rig *rig, uint32_t day, const struct kw_buf *bytes)
{
	struct kw_prekeys_want want;
	struct prekey_choice choice;
	(void)choose(rig, day, &choice);
	assert_int_equal(ask(rig, day, &want), 1);
	take(rig, bytes);
}

static void test_who_is_written_to_is_asked_for_and_its_key_of_the_day_is_used(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct kw_prekeys batch;
	struct kw_prekeys_want want = {.through_day = 7};
	struct prekey_choice choice;
	open_rig(&rig);
	assert_int_equal(ask(&rig, DAY, &want), 0); /* nobody is written to yet */
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	assert_true(prekey_peers_is_awaited(rig.peers, &rig.entries[1].agency));
	assert_int_equal(ask(&rig, DAY, &want), 1);
	assert_string_equal(want.agency.text, "agency-b");
	assert_int_equal(want.through_day, 0);
	assert_int_equal(ask(&rig, DAY, &want), 0); /* once */
	their_day(&rig, DAY, &bytes);
	take(&rig, &bytes);
	assert_int_equal(kw_prekeys_read(kw_buf_view(&bytes), &batch), KW_OK);
	for (uint32_t i = 0; i < batch.count; i++) {
		uint8_t id[KW_PREKEY_ID_SIZE];
		assert_int_equal(choose(&rig, DAY + i, &choice), KW_OK);
		assert_memory_equal(choice.public_key, batch.keys[i], KW_KEY_SIZE);
		assert_int_equal(kw_prekey_id(batch.keys[i], id), KW_OK);
		assert_memory_equal(choice.key_id, id, sizeof(id));
	}
	assert_int_equal(prekey_peers_through_day(rig.peers, &rig.entries[1].agency), DAY + 45);
	restart(&rig); /* it is kept */
	assert_int_equal(choose(&rig, DAY + 3, &choice), KW_OK);
	assert_memory_equal(choice.public_key, batch.keys[3], KW_KEY_SIZE);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

static void test_newer_ones_are_asked_for_when_less_than_15_days_are_left(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct kw_prekeys_want want;
	open_rig(&rig);
	their_day(&rig, DAY, &bytes);
	learn(&rig, DAY, &bytes);
	uint32_t last = DAY + 45;
	assert_int_equal(ask(&rig, last - KW_PREKEY_ASK_DAYS, &want), 0);
	assert_int_equal(ask(&rig, last - KW_PREKEY_ASK_DAYS + 1, &want), 0); /* answered in this session already */
	prekey_peers_down(rig.peers);
	assert_int_equal(ask(&rig, last - KW_PREKEY_ASK_DAYS, &want), 0);
	assert_int_equal(ask(&rig, last - KW_PREKEY_ASK_DAYS + 1, &want), 1);
	assert_int_equal(want.through_day, last);
	/* The hub has none: not asked again for an hour. */
	prekey_peers_none(rig.peers, &want.agency);
	for (uint32_t i = 1; i < PREKEY_PEERS_AGAIN_S; i++)
		assert_int_equal(ask(&rig, last, &want), 0);
	assert_int_equal(ask(&rig, last, &want), 1);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

static void test_a_question_without_an_answer_is_given_up(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys_want want;
	struct prekey_choice choice;
	open_rig(&rig);
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	assert_int_equal(ask(&rig, DAY, &want), 1);
	for (uint32_t i = 1; i < PREKEY_PEERS_WAIT_S; i++) {
		assert_int_equal(ask(&rig, DAY, &want), 0);
		assert_true(prekey_peers_is_awaited(rig.peers, &rig.entries[1].agency));
	}
	assert_int_equal(ask(&rig, DAY, &want), 0);
	assert_false(prekey_peers_is_awaited(rig.peers, &rig.entries[1].agency));
	close_rig(&rig);
}

static void test_16_questions_at_once_and_no_more(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_prekeys_want want;
	struct prekey_choice choice;
	open_rig(&rig);
	for (uint32_t i = 0; i < PREKEY_PEERS_ASK_MAX + 1; i++) {
		struct kw_directory_entry entry = rig.entries[1];
		char text[16];
		(void)snprintf(text, sizeof(text), "agency-%u", 100 + i);
		entry.agency = name(text);
		assert_int_equal(prekey_peers_choose(rig.peers, &entry, DAY, &choice), KW_ENOTFOUND);
	}
	assert_int_equal(ask(&rig, DAY, &want), PREKEY_PEERS_ASK_MAX);
	assert_int_equal(ask(&rig, DAY, &want), 0);
	prekey_peers_none(rig.peers, &want.agency);
	assert_int_equal(ask(&rig, DAY, &want), 1);
	close_rig(&rig);
}

static void test_an_agency_whose_last_day_is_past_is_dormant(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct prekey_choice choice;
	open_rig(&rig);
	their_day(&rig, DAY, &bytes);
	learn(&rig, DAY, &bytes);
	assert_int_equal(choose(&rig, DAY + 45, &choice), KW_OK);
	assert_int_equal(choose(&rig, DAY + 46, &choice), KW_EEXPIRED);
	/* Our own clock may be a day behind; two are too many. */
	assert_int_equal(choose(&rig, DAY - 1, &choice), KW_OK);
	assert_int_equal(choose(&rig, DAY - 2, &choice), KW_ENOTFOUND);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

static void test_a_rolled_back_batch_is_refused_after_a_restart_too(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf old, new;
	struct kw_prekeys_want want;
	open_rig(&rig);
	their_day(&rig, DAY, &old);
	their_day(&rig, DAY + 20, &new);
	learn(&rig, DAY + 20, &new);
	for (int again = 0; again < 2; again++) {
		prekey_peers_renew(rig.peers, &rig.entries[1].agency);
		assert_false(prekey_peers_is_renewed(rig.peers, &rig.entries[1].agency));
		assert_int_equal(ask(&rig, DAY + 20, &want), 1);
		assert_int_equal(want.through_day, 0);
		take(&rig, &old);
		assert_int_equal(prekey_peers_through_day(rig.peers, &rig.entries[1].agency), DAY + 65);
		assert_true(prekey_peers_is_renewed(rig.peers, &rig.entries[1].agency)); /* answered, if badly */
		restart(&rig);
	}
	kw_buf_fini(&old);
	kw_buf_fini(&new);
	close_rig(&rig);
}

static void test_what_was_not_asked_for_or_is_of_another_key_is_refused(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct prekey_choice choice;
	struct kw_prekeys_want want;
	open_rig(&rig);
	their_day(&rig, DAY, &bytes);
	take(&rig, &bytes);
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	take(&rig, &bytes); /* wanted by now, and not asked for yet */
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	assert_int_equal(ask(&rig, DAY, &want), 1);
	rig.entries[1].identity_key[0] ^= 1; /* the directory knows another one */
	take(&rig, &bytes);
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	rig.entries[1].identity_key[0] ^= 1;
	prekey_peers_down(rig.peers);
	assert_int_equal(ask(&rig, DAY, &want), 1);
	take(&rig, &bytes);
	assert_int_equal(choose(&rig, DAY, &choice), KW_OK);
	/* What is known counts under its own identity key alone; after a rotation it is asked for anew. */
	rig.entries[1].identity_key[0] ^= 1;
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	prekey_peers_down(rig.peers);
	assert_int_equal(choose(&rig, DAY, &choice), KW_ENOTFOUND);
	assert_int_equal(ask(&rig, DAY, &want), 1);
	assert_int_equal(want.through_day, 0);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

/* A batch that is not durable could be rolled back by the next start. */
static void test_what_cannot_be_kept_is_not_used(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf old, new;
	struct kw_prekeys_want want;
	struct prekey_choice choice;
	char path[512];
	open_rig(&rig);
	their_day(&rig, DAY, &old);
	learn(&rig, DAY, &old);
	their_day(&rig, DAY + 20, &new);
	(void)snprintf(path, sizeof(path), "%s/" PREKEY_PEERS_FOLDER, rig.folder);
	assert_int_equal(folder_remove(path), 0);
	prekey_peers_renew(rig.peers, &rig.entries[1].agency);
	assert_int_equal(ask(&rig, DAY + 20, &want), 1);
	take(&rig, &new);
	assert_int_equal(prekey_peers_through_day(rig.peers, &rig.entries[1].agency), DAY + 45);
	assert_int_equal(choose(&rig, DAY + 20, &choice), KW_OK); /* of the one before */
	kw_buf_fini(&old);
	kw_buf_fini(&new);
	close_rig(&rig);
}

/* Who is named as dormant, and when: not before the hub has said that it has nothing newer. */
static void test_dormant_is_who_the_hub_knows_nothing_newer_of(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf old, new;
	struct kw_prekeys_want want;
	const struct kw_name *them = &rig.entries[1].agency;
	open_rig(&rig);
	their_day(&rig, DAY, &old);
	learn(&rig, DAY, &old);
	prekey_peers_down(rig.peers);
	assert_int_equal(ask(&rig, DAY + 45, &want), 1);
	prekey_peers_none(rig.peers, them);
	assert_int_equal(prekey_peers_dormant(rig.peers, them, DAY + 45), 0); /* its last day */
	prekey_peers_down(rig.peers);
	assert_int_equal(prekey_peers_dormant(rig.peers, them, DAY + 46), 0); /* we were away ourselves */
	assert_int_equal(ask(&rig, DAY + 46, &want), 1);
	prekey_peers_none(rig.peers, them);
	assert_int_equal(prekey_peers_dormant(rig.peers, them, DAY + 46), DAY + 45);
	assert_int_equal(ask(&rig, DAY + 46, &want), 0);
	prekey_peers_heard(rig.peers, them); /* a message of theirs: asked at once */
	assert_int_equal(ask(&rig, DAY + 46, &want), 1);
	their_day(&rig, DAY + 46, &new);
	take(&rig, &new);
	assert_int_equal(prekey_peers_dormant(rig.peers, them, DAY + 46), 0);
	kw_buf_fini(&old);
	kw_buf_fini(&new);
	close_rig(&rig);
}

/* Neither the name of the agency nor a key of it can be read on the disk, or guessed from a file's name. */
static void test_the_disk_does_not_tell_whom_we_write_to(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct kw_prekeys batch;
	char path[512];
	uint8_t file[4096];
	uint32_t count = 0;
	open_rig(&rig);
	their_day(&rig, DAY, &bytes);
	learn(&rig, DAY, &bytes);
	assert_int_equal(kw_prekeys_read(kw_buf_view(&bytes), &batch), KW_OK);
	(void)snprintf(path, sizeof(path), "%s/" PREKEY_PEERS_FOLDER, rig.folder);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (entry->d_name[0] == '.')
			continue;
		assert_null(strstr(entry->d_name, "agency"));
		(void)snprintf(path, sizeof(path), "%s/" PREKEY_PEERS_FOLDER "/%.64s", rig.folder, entry->d_name);
		int fd = open(path, O_RDONLY);
		ssize_t size = read(fd, file, sizeof(file));
		assert_true(size > 1000);
		assert_null(memmem(file, (size_t)size, "agency", 6));
		assert_null(memmem(file, (size_t)size, batch.keys[0], KW_KEY_SIZE));
		assert_int_equal(close(fd), 0);
		count++;
	}
	assert_int_equal(count, 1);
	assert_int_equal(closedir(folder), 0);
	/* Damaged, it is passed over and asked for anew. */
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 100), 1);
	assert_int_equal(close(fd), 0);
	restart(&rig);
	assert_int_equal(prekey_peers_through_day(rig.peers, &rig.entries[1].agency), 0);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

static void seal(struct rig *rig, const struct letter *letter, struct letter_sealed *out)
{
	const struct letter_office office = {.keys = &rig->keys,
		.agency = name("agency-a"),
		.hub = name("hub-0"),
		.directory = &rig->directory,
		.peers = rig->peers,
		.day = DAY};
	assert_int_equal(letter_seal(&office, letter, out), KW_OK);
}

static enum kw_err open_there(struct rig *rig, const struct letter_sealed *sealed, const char **reason)
{
	struct letter_opened opened;
	const struct letter_office office = {.keys = &rig->other,
		.agency = name("agency-b"),
		.hub = name("hub-0"),
		.directory = &rig->directory,
		.prekeys = rig->theirs,
		.day = DAY};
	enum kw_err err = letter_open(&office, KW_VIEW(sealed->box->data, sealed->box->size), &opened, reason);
	if (err == KW_OK) {
		assert_memory_equal(opened.content.data, "hello", 5);
		letter_opened_fini(&opened);
	}
	return err;
}

static struct kw_view key_id_of(const struct letter_sealed *sealed)
{
	struct kw_envelope envelope;
	assert_int_equal(kw_envelope_parse(KW_VIEW(sealed->box->data, sealed->box->size), &envelope), KW_OK);
	return envelope.key_id;
}

static void test_a_letter_goes_to_the_key_of_the_day_and_nobody_opens_it_after_its_end(void **state)
{
	(void)state;
	struct rig rig;
	struct kw_buf bytes;
	struct letter_sealed first, dated, avoided;
	const char *reason;
	struct letter letter = {.to = name("agency-b"),
		.msg_class = KW_NORMAL,
		.expiry_hour = 480000,
		.content_type = 1,
		.now_ms = AT(DAY),
		.content = kw_view_str("hello")};
	letter.thread_id.bytes[0] = 9;
	open_rig(&rig);
	seal(&rig, &letter, &first); /* nothing known yet: the directory's key */
	assert_true(kw_view_equal(key_id_of(&first), KW_VIEW_OF(rig.other.sealing_id)));
	their_day(&rig, DAY, &bytes);
	learn(&rig, DAY, &bytes);
	seal(&rig, &letter, &dated);
	assert_false(kw_view_equal(key_id_of(&dated), KW_VIEW_OF(rig.other.sealing_id)));
	letter.gone_key_id = key_id_of(&dated);
	seal(&rig, &letter, &avoided);
	assert_true(kw_view_equal(key_id_of(&avoided), KW_VIEW_OF(rig.other.sealing_id)));
	assert_int_equal(open_there(&rig, &dated, &reason), KW_OK);
	/* A stolen disk, with the passphrase, when the secret's time is over. */
	const struct prekeys_clock clock = {.heard = true, .hub_ms = AT(DAY + 46), .wall_ms = AT(DAY + 46)};
	bool news;
	assert_int_equal(prekeys_day(rig.theirs, &clock, &news), KW_OK);
	prekeys_close(rig.theirs);
	assert_int_equal(prekeys_open(&rig.theirs_self, &rig.theirs), KW_OK);
	assert_int_equal(open_there(&rig, &dated, &reason), KW_EOPEN);
	assert_string_equal(reason, kw_open_reason_name(KW_OPEN_KEY_UNKNOWN));
	assert_int_equal(open_there(&rig, &first, &reason), KW_OK); /* the last resort has no such end */
	spool_box_unref(first.box);
	spool_box_unref(dated.box);
	spool_box_unref(avoided.box);
	kw_buf_fini(&bytes);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_written_to_is_asked_for_and_its_key_of_the_day_is_used),
		cmocka_unit_test(test_newer_ones_are_asked_for_when_less_than_15_days_are_left),
		cmocka_unit_test(test_a_question_without_an_answer_is_given_up),
		cmocka_unit_test(test_16_questions_at_once_and_no_more),
		cmocka_unit_test(test_an_agency_whose_last_day_is_past_is_dormant),
		cmocka_unit_test(test_a_rolled_back_batch_is_refused_after_a_restart_too),
		cmocka_unit_test(test_what_was_not_asked_for_or_is_of_another_key_is_refused),
		cmocka_unit_test(test_what_cannot_be_kept_is_not_used),
		cmocka_unit_test(test_dormant_is_who_the_hub_knows_nothing_newer_of),
		cmocka_unit_test(test_the_disk_does_not_tell_whom_we_write_to),
		cmocka_unit_test(test_a_letter_goes_to_the_key_of_the_day_and_nobody_opens_it_after_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
